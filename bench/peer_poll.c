/* SPDX-License-Identifier: MIT */
/*
 * An echo server that is nothing but a poll(2) loop: a dense array, the last entry moves into a
 * gap. What a connection cannot take at once is kept, and the connection not read until it has
 * gone.
 */
#include "peer.h"

#include <poll.h>

struct conn {
    size_t kept, sent;
    char *rest;
};

static struct pollfd *fds;
static struct conn *conns;
static size_t count, room;
static char buffer[PEER_READ];

static void add(int fd) {
    if (count == room) {
        room = room > 0 ? room * 2 : 64;
        fds = realloc(fds, room * sizeof(*fds));
        conns = realloc(conns, room * sizeof(*conns));
        if (fds == NULL || conns == NULL) {
            peer_die("memory");
        }
    }
    fds[count] = (struct pollfd){.fd = fd, .events = POLLIN};
    conns[count++] = (struct conn){0};
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        add(fd);
    }
}

static void drop(size_t i) {
    close(fds[i].fd);
    free(conns[i].rest);
    count--;
    fds[i] = fds[count];
    conns[i] = conns[count];
}

static void flush(size_t i) {
    struct conn *conn = &conns[i];
    ssize_t n = send(fds[i].fd, conn->rest + conn->sent, conn->kept - conn->sent, MSG_NOSIGNAL);
    conn->sent += n > 0 ? (size_t)n : 0;
    if (conn->sent == conn->kept) {
        free(conn->rest);
        *conn = (struct conn){0};
        fds[i].events = POLLIN;
    }
}

static void keep(size_t i, const char *data, size_t len) {
    conns[i] = (struct conn){.rest = malloc(len), .kept = len};
    if (conns[i].rest == NULL) {
        peer_die("memory");
    }
    memcpy(conns[i].rest, data, len);
    fds[i].events = POLLOUT;
}

static void serve(size_t i) {
    if (conns[i].rest != NULL) {
        flush(i);
        return;
    }
    ssize_t got = recv(fds[i].fd, buffer, sizeof(buffer), 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            drop(i);
        }
        return;
    }
    ssize_t sent = send(fds[i].fd, buffer, (size_t)got, MSG_NOSIGNAL);
    sent = sent < 0 ? 0 : sent;
    if (sent < got) {
        keep(i, buffer + sent, (size_t)(got - sent));
    }
}

int main(int argc, char **argv) {
    add(peer_listen(argc, argv));
    for (;;) {
        int found = poll(fds, count, -1);
        for (size_t i = count; i-- > 0 && found > 0;) {
            if (fds[i].revents == 0) {
                continue;
            }
            found--;
            fds[i].revents = 0;
            if (i == 0) {
                accept_all(fds[0].fd);
            } else {
                serve(i);
            }
        }
    }
}
