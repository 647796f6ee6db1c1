/* SPDX-License-Identifier: MIT */
/* An echo server on libev: one watcher for reading, another one only while there is a rest. */
#include "peer.h"

#include <ev.h>

struct conn {
    ev_io read, write;
    size_t kept, sent;
    char *rest;
};

static char buffer[PEER_READ];

static void drop(struct ev_loop *loop, struct conn *conn) {
    ev_io_stop(loop, &conn->read);
    ev_io_stop(loop, &conn->write);
    close(conn->read.fd);
    free(conn->rest);
    free(conn);
}

static void writable(struct ev_loop *loop, ev_io *watcher, int events) {
    struct conn *conn = watcher->data;
    (void)events;
    ssize_t n = send(watcher->fd, conn->rest + conn->sent, conn->kept - conn->sent, MSG_NOSIGNAL);
    conn->sent += n > 0 ? (size_t)n : 0;
    if (conn->sent == conn->kept) {
        free(conn->rest);
        conn->rest = NULL;
        ev_io_stop(loop, &conn->write);
        ev_io_start(loop, &conn->read);
    }
}

static void keep(struct ev_loop *loop, struct conn *conn, const char *data, size_t len) {
    conn->rest = malloc(len);
    if (conn->rest == NULL) {
        peer_die("memory");
    }
    memcpy(conn->rest, data, len);
    conn->kept = len;
    conn->sent = 0;
    ev_io_stop(loop, &conn->read);
    ev_io_start(loop, &conn->write);
}

static void readable(struct ev_loop *loop, ev_io *watcher, int events) {
    struct conn *conn = watcher->data;
    (void)events;
    ssize_t got = recv(watcher->fd, buffer, sizeof(buffer), 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            drop(loop, conn);
        }
        return;
    }
    ssize_t sent = send(watcher->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    sent = sent < 0 ? 0 : sent;
    if (sent < got) {
        keep(loop, conn, buffer + sent, (size_t)(got - sent));
    }
}

static void acceptable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    for (;;) {
        int fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct conn *conn = calloc(1, sizeof(*conn));
        if (conn == NULL) {
            peer_die("memory");
        }
        ev_io_init(&conn->read, readable, fd, EV_READ);
        ev_io_init(&conn->write, writable, fd, EV_WRITE);
        conn->read.data = conn->write.data = conn;
        ev_io_start(loop, &conn->read);
    }
}

int main(int argc, char **argv) {
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
    ev_io listener;
    ev_io_init(&listener, acceptable, peer_listen(argc, argv), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
    return 0;
}
