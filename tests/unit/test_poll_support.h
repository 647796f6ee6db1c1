/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the poll reactor share: a protocol that records what it was told, factories for
 * it, plain POSIX peers on the loopback, and a way to turn the loop until something holds. The
 * peers are ordinary blocking sockets with a time limit, so a broken test fails instead of hanging.
 */
#ifndef DRYWIRE_TEST_POLL_SUPPORT_H
#define DRYWIRE_TEST_POLL_SUPPORT_H

#include "../../real/src/live.h"
#include "../suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

/* How long anything in these tests may take before they fail. */
#define LIMIT_S 10
/* The same for what takes microseconds, in looks. */
#define SETTLE_MAX 10000000

/* ---- The protocol ---- */

struct probe {
    dw_protocol base;
    int made, lost, received_calls;
    size_t received;
    char first[64]; /* the first bytes, as text */
    bool echo, stop_when_lost;
    void (*on_made)(struct probe *probe);
    void (*on_data)(struct probe *probe);
    dw_error reason;
    int sys_errno;
};

static inline void probe_made(dw_protocol *protocol) {
    struct probe *probe = (struct probe *)protocol;
    probe->made++;
    if (probe->on_made != NULL) {
        probe->on_made(probe);
    }
}

static inline void probe_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    struct probe *probe = (struct probe *)protocol;
    size_t at = probe->received;
    for (size_t i = 0; i < len && at + i < sizeof(probe->first) - 1; i++) {
        probe->first[at + i] = (char)data[i];
    }
    probe->received += len;
    probe->received_calls++;
    if (probe->echo) {
        dw_transport_write(protocol->transport, data, len);
    }
    if (probe->on_data != NULL) {
        probe->on_data(probe);
    }
}

static inline void probe_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct probe *probe = (struct probe *)protocol;
    probe->lost++;
    probe->reason = reason->kind;
    probe->sys_errno = reason->sys_errno;
    if (probe->stop_when_lost) {
        dw_reactor_stop(dw_transport_reactor(protocol->transport));
    }
}

static const dw_protocol_class probe_class = {
    .name = "probe",
    .connection_made = probe_made,
    .data_received = probe_data,
    .connection_lost = probe_lost,
};

/* A factory for servers and clients that hands out the probes of an array, one after another. */
struct probes {
    dw_client_factory base;
    struct probe *all;
    size_t count, used;
    int failed, lost;
    dw_error failed_kind;
    int failed_errno;
    bool stop_when_failed;
};

static inline dw_protocol *probes_build(dw_factory *factory, const dw_address *peer) {
    struct probes *probes = (struct probes *)factory;
    (void)peer;
    if (probes->used == probes->count) {
        return NULL;
    }
    struct probe *probe = &probes->all[probes->used++];
    dw_protocol_init(&probe->base, &probe_class);
    return &probe->base;
}

static inline void probes_failed(dw_client_factory *factory, dw_connector *connector,
                                 const dw_reason *reason) {
    struct probes *probes = (struct probes *)factory;
    probes->failed++;
    probes->failed_kind = reason->kind;
    probes->failed_errno = reason->sys_errno;
    if (probes->stop_when_failed) {
        dw_reactor_stop(dw_connector_reactor(connector));
    }
}

static inline void probes_lost(dw_client_factory *factory, dw_connector *connector,
                               const dw_reason *reason) {
    (void)connector;
    (void)reason;
    ((struct probes *)factory)->lost++;
}

static const dw_client_factory_class probes_class = {
    .base = {.name = "probes", .build_protocol = probes_build},
    .client_connection_failed = probes_failed,
    .client_connection_lost = probes_lost,
};

static inline void probes_init(struct probes *probes, struct probe *all, size_t count) {
    memset(probes, 0, sizeof(*probes));
    dw_client_factory_init(&probes->base, &probes_class);
    probes->all = all;
    probes->count = count;
}

/* ---- The loop ---- */

/* The poller under test; see run_on_each_poller. */
static const char *poller = "poll";

static inline bool poller_is(const char *name) {
    return strcmp(poller, name) == 0;
}

/* A reactor of that poller on a table of system calls. */
static inline dw_reactor *new_reactor_on(const struct dw_syscalls *sys) {
    dw_reactor *reactor = dw_live_reactor_on(poller, NULL, sys);
    ck_assert_ptr_nonnull(reactor);
    ck_assert_str_eq(dw_live_reactor_poller(reactor), poller);
    return reactor;
}

static inline dw_reactor *new_reactor(void) {
    return new_reactor_on(&dw_syscalls_libc);
}

/* Turns the loop until *flag is `value`, and says whether it came to that. */
static inline bool turn_until(dw_reactor *reactor, const int *flag, int value) {
    dw_time limit = dw_reactor_now(reactor) + DW_SEC(LIMIT_S);
    while (*flag != value && dw_reactor_now(reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);
    }
    return *flag == value;
}

static inline uint16_t listen_on(dw_reactor *reactor, struct probes *probes, const char *interface,
                                 dw_port **out) {
    dw_port *port;
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 0, &probes->base.base, 0, interface, &port), 0);
    if (out != NULL) {
        *out = port;
    }
    return dw_port_host(port).port;
}

/* ---- Plain peers ---- */

static inline void peer_limit(int fd) {
    struct timeval limit = {.tv_sec = LIMIT_S};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

static inline int peer_connect(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    peer_limit(fd);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static inline int peer_connect6(uint16_t port) {
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    to.sin6_addr = in6addr_loopback;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    peer_limit(fd);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A listener of the kernel's choice of port. */
static inline int peer_listen(int backlog, uint16_t *port) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    peer_limit(fd);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static inline void peer_write(int fd, const char *text) {
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads as many bytes as `expected` has and compares. */
static inline void peer_expect(int fd, const char *expected) {
    char buffer[256];
    size_t want = strlen(expected), have = 0;
    ck_assert_uint_lt(want, sizeof(buffer));
    while (have < want) {
        ssize_t got = recv(fd, buffer + have, want - have, 0);
        ck_assert_msg(got > 0, "after %zu of \"%s\": %s", have, expected,
                      got == 0 ? "end of stream" : strerror(errno));
        have += (size_t)got;
    }
    buffer[have] = '\0';
    ck_assert_str_eq(buffer, expected);
}

/* 0 at the end of the stream, else the errno of the next recv. */
static inline int peer_end(int fd) {
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    ck_assert_int_le(got, 0);
    return got == 0 ? 0 : errno;
}

/* Waits until the kernel at the other end has all that was sent, a FIN included (tcp(7), SIOCOUTQ):
 * the next wait of the reactor then finds it. */
static inline void peer_settle(int fd) {
    int left = 1;
    for (int i = 0; i < SETTLE_MAX && left != 0; i++) {
        ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &left), 0);
        if (left != 0) {
            sched_yield();
        }
    }
    ck_assert_int_eq(left, 0);
}

static inline void peer_reset(int fd) {
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    ck_assert_int_eq(close(fd), 0);
}

/* ---- Descriptors ---- */

static inline int open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    int count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* Runs the suite that `make` makes once for each poller that this system has. `make` gets a name
 * for it that says which. */
static inline int run_on_each_poller(const char *what, Suite *(*make)(const char *name)) {
    static const char *const pollers[] = {"poll", "epoll", "uring"};
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < sizeof(pollers) / sizeof(pollers[0]); i++) {
        dw_reactor *reactor = dw_live_reactor_new(pollers[i], NULL);
        if (reactor == NULL && errno == ENOSYS) {
            printf("%s: this system has no %s\n", what, pollers[i]);
            continue;
        }
        bool other = strcmp(dw_live_reactor_poller(reactor), pollers[i]) != 0;
        dw_reactor_free(reactor);
        if (other) {
            continue; /* it has said why */
        }
        char name[64];
        snprintf(name, sizeof(name), "%s on %s", what, pollers[i]);
        poller = pollers[i];
        status |= run_suite(make(name));
    }
    return status;
}

#endif
