/* SPDX-License-Identifier: MIT */
/*
 * The measure of all others: an echo server that is nothing but an edge-triggered epoll loop. One
 * buffer; a connection that cannot take its echo at once gets memory for the rest, and is not read
 * until that has gone. Data that fills the buffer, or that has an end behind it, is read again.
 */
#include "peer.h"

#include <sys/epoll.h>

#define EVENTS 1024

struct conn {
    int fd;
    size_t kept, sent;
    char *rest;
};

static int epoll;
static char buffer[PEER_READ];

static void add(int fd, void *data, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        peer_die("epoll_ctl");
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct conn *conn = calloc(1, sizeof(*conn));
        if (conn == NULL) {
            peer_die("memory");
        }
        conn->fd = fd;
        add(fd, conn, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

static void drop(struct conn *conn) {
    close(conn->fd);
    free(conn->rest);
    free(conn);
}

static void keep(struct conn *conn, const char *data, size_t len) {
    conn->rest = malloc(len);
    if (conn->rest == NULL) {
        peer_die("memory");
    }
    memcpy(conn->rest, data, len);
    conn->kept = len;
    conn->sent = 0;
}

/* Returns whether nothing is left. */
static int flush(struct conn *conn) {
    while (conn->sent < conn->kept) {
        ssize_t n = send(conn->fd, conn->rest + conn->sent, conn->kept - conn->sent, MSG_NOSIGNAL);
        if (n < 0) {
            return 0;
        }
        conn->sent += (size_t)n;
    }
    free(conn->rest);
    conn->rest = NULL;
    conn->kept = 0;
    return 1;
}

static void serve(struct conn *conn, uint32_t events) {
    if (conn->rest != NULL && !flush(conn)) {
        return;
    }
    for (;;) {
        ssize_t got = recv(conn->fd, buffer, sizeof(buffer), 0);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            drop(conn);
            return;
        }
        ssize_t sent = send(conn->fd, buffer, (size_t)got, MSG_NOSIGNAL);
        sent = sent < 0 ? 0 : sent;
        if (sent < got) {
            keep(conn, buffer + sent, (size_t)(got - sent));
            return;
        }
        if ((size_t)got < sizeof(buffer) && (events & EPOLLRDHUP) == 0) {
            return;
        }
    }
}

int main(int argc, char **argv) {
    static struct epoll_event events[EVENTS];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = peer_listen(argc, argv);
    add(listener, NULL, EPOLLIN | EPOLLET);
    for (;;) {
        int found = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < found; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(listener);
            } else {
                serve(events[i].data.ptr, events[i].events);
            }
        }
    }
}
