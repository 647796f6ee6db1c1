/* SPDX-License-Identifier: MIT */
/*
 * Load for the echo servers of the live wire, and the measure of what it costs them:
 *
 *     live_load [-p PID] [-c CONNECTIONS] [-i IDLE] [-s BYTES] [-n MESSAGES] [-m MODE] PORT
 *
 * MODE: pong (each connection sends a message when the last one is back), churn (connect, one
 * message, close), bulk (sends as fast as it can), idle (opens the idle ones and nothing else).
 * Prints one line: messages, ns per message by the wall clock, ns of PID's processor time per
 * message, and for idle what PID's resident set grew by for each connection. Called by live.sh.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

enum { PONG, CHURN, BULK, IDLE };

/* How long a server may keep silent. */
#define SILENCE_MS 20000

struct conn {
    int fd;
    size_t to_send, to_receive; /* of the present message */
};

static struct {
    int mode;
    unsigned connections, idle;
    size_t size;
    uint64_t messages; /* to begin, still */
    uint64_t done;
    long pid;
    uint16_t port;
    int epoll;
    unsigned source; /* the last address used */
} load = {.connections = 1, .size = 64, .messages = 10000};

static uint8_t *message, *heap;

static void die(const char *what) {
    fprintf(stderr, "live_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Ports that were closed rest for a while; so each group of connections has an address of its own.
 */
static int open_connection(void) {
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket");
    }
    load.source = (load.source + 1) % 60000;
    from.sin_addr.s_addr = htonl(0x7f000000u + 0x200 + load.source / 240 * 256 + load.source % 240);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(load.port);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("connect");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void watch(struct conn *conn, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(load.epoll, operation, conn->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void push(struct conn *conn) {
    while (conn->to_send > 0) {
        ssize_t sent = send(conn->fd, message + (load.size - conn->to_send), conn->to_send,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) {
                die("send");
            }
            return;
        }
        conn->to_send -= (size_t)sent;
    }
}

static bool begin(struct conn *conn) {
    if (load.messages == 0) {
        return false;
    }
    load.messages--;
    conn->to_send = conn->to_receive = load.size;
    push(conn);
    return true;
}

static void dial(struct conn *conn) {
    if (load.messages > 0) {
        conn->fd = open_connection();
        begin(conn);
        watch(conn, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void finished(struct conn *conn) {
    load.done++;
    if (load.mode == CHURN) {
        close(conn->fd);
        dial(conn);
    } else {
        begin(conn);
    }
}

static void pull(struct conn *conn) {
    ssize_t got = recv(conn->fd, heap, 1 << 18, MSG_DONTWAIT);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        die("recv");
    }
    conn->to_receive -= (size_t)got;
    if (conn->to_receive == 0) {
        finished(conn);
    }
}

static void handle(const struct epoll_event *event) {
    struct conn *conn = event->data.ptr;
    if ((event->events & EPOLLOUT) != 0) {
        push(conn);
    }
    if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        pull(conn);
    }
}

static void turn(void) {
    struct epoll_event events[256];
    int found = epoll_wait(load.epoll, events, 256, SILENCE_MS);
    if (found == 0) {
        errno = ETIMEDOUT;
        die("waiting");
    }
    for (int i = 0; i < found; i++) {
        handle(&events[i]);
    }
}

/* Everything in one stream: `messages` writes of `size`, received in whatever pieces. */
static void run_bulk(struct conn *conn) {
    uint64_t left = load.messages * load.size;
    uint64_t unsent = load.messages;
    watch(conn, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
    while (left > 0) {
        while (unsent > 0 || conn->to_send > 0) {
            if (conn->to_send == 0) {
                conn->to_send = load.size;
                unsent--;
            }
            push(conn);
            if (conn->to_send > 0) {
                break;
            }
        }
        ssize_t got;
        while ((got = recv(conn->fd, heap, 1 << 18, MSG_DONTWAIT)) > 0) {
            left -= (uint64_t)got;
        }
        struct epoll_event event;
        if (left > 0 && epoll_wait(load.epoll, &event, 1, SILENCE_MS) != 1) {
            errno = ETIMEDOUT;
            die("waiting");
        }
    }
    load.done = load.messages;
}

static void run_messages(struct conn *conns) {
    uint64_t all = load.messages;
    for (unsigned i = 0; i < load.connections; i++) {
        if (load.mode == CHURN) {
            dial(&conns[i]);
        } else if (begin(&conns[i])) {
            watch(&conns[i], EPOLLIN, EPOLL_CTL_ADD);
        }
    }
    while (load.done < all) {
        turn();
    }
}

/* ---- What the server used ---- */

static uint64_t server_cpu_ns(void) {
    clockid_t clock;
    struct timespec used = {.tv_sec = 0};
    if (load.pid <= 0 || clock_getcpuclockid((pid_t)load.pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t server_memory(void) {
    char line[256];
    unsigned long long kib = 0;
    snprintf(line, sizeof(line), "/proc/%ld/smaps_rollup", load.pid);
    FILE *file = load.pid > 0 ? fopen(line, "r") : NULL;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "Private_Dirty: %llu", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib * 1024;
}

/* Idle connections are there when the last one has been answered. */
static void open_idle(unsigned count) {
    int last = -1;
    for (unsigned i = 0; i < count; i++) {
        last = open_connection();
    }
    if (last >= 0 && (send(last, message, 1, 0) != 1 || recv(last, heap, 1, 0) != 1)) {
        die("the last idle connection");
    }
}

static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int mode_of(const char *name) {
    static const char *const names[] = {"pong", "churn", "bulk", "idle"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_arguments(int argc, char **argv) {
    uint64_t number = 0;
    for (int c; (c = getopt(argc, argv, "p:c:i:s:n:m:")) != -1;) {
        if (c == 'm') {
            load.mode = mode_of(optarg);
            continue;
        }
        if (c == '?' || !parse_number(optarg, &number)) {
            return false;
        }
        switch (c) {
        case 'p':
            load.pid = (long)number;
            break;
        case 'c':
            load.connections = (unsigned)number;
            break;
        case 'i':
            load.idle = (unsigned)number;
            break;
        case 's':
            load.size = (size_t)number;
            break;
        default:
            load.messages = number;
            break;
        }
    }
    if (optind + 1 != argc || !parse_number(argv[optind], &number) || load.size == 0) {
        return false;
    }
    load.port = (uint16_t)number;
    return load.mode >= 0 && (load.connections > 0 || load.mode == IDLE);
}

static void measure_messages(void) {
    struct conn *conns = calloc(load.connections, sizeof(*conns));
    if (conns == NULL) {
        die("memory");
    }
    open_idle(load.idle);
    for (unsigned i = 0; load.mode != CHURN && i < load.connections; i++) {
        conns[i].fd = open_connection();
        /* It is there, and so is its protocol, before the clock starts. */
        if (send(conns[i].fd, message, 1, 0) != 1 || recv(conns[i].fd, heap, 1, 0) != 1) {
            die("first byte");
        }
    }
    uint64_t cpu = server_cpu_ns(), began = wall_ns();
    if (load.mode == BULK) {
        run_bulk(&conns[0]);
    } else {
        run_messages(conns);
    }
    uint64_t wall = wall_ns() - began;
    cpu = server_cpu_ns() - cpu;
    printf("messages=%llu wall=%llu cpu=%llu\n", (unsigned long long)load.done,
           (unsigned long long)(wall / load.done), (unsigned long long)(cpu / load.done));
    free(conns);
}

static void measure_idle(void) {
    open_idle(100); /* what a first connection brings about */
    uint64_t before = server_memory();
    open_idle(load.idle);
    printf("connections=%u memory=%.1f\n", load.idle,
           (double)(server_memory() - before) / load.idle);
}

int main(int argc, char **argv) {
    if (!read_arguments(argc, argv)) {
        fprintf(stderr, "usage: live_load [-p PID] [-c CONNECTIONS] [-i IDLE] [-s BYTES] "
                        "[-n MESSAGES] [-m pong|churn|bulk|idle] PORT\n");
        return 2;
    }
    raise_limit();
    load.epoll = epoll_create1(0);
    message = calloc(1, load.size);
    heap = malloc(1 << 18);
    if (load.epoll < 0 || message == NULL || heap == NULL) {
        die("start");
    }
    if (load.mode == IDLE) {
        measure_idle();
    } else {
        measure_messages();
    }
    free(message);
    free(heap);
    return 0;
}
