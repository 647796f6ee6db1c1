/* SPDX-License-Identifier: MIT */
/* An echo server on libevent's bufferevents, the interface that its book teaches. */
#include "peer.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static void readable(struct bufferevent *conn, void *user) {
    (void)user;
    bufferevent_write_buffer(conn, bufferevent_get_input(conn));
}

static void ended(struct bufferevent *conn, short events, void *user) {
    (void)user;
    if ((events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
        bufferevent_free(conn);
    }
}

static void connected(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int len, void *user) {
    (void)peer;
    (void)len;
    (void)user;
    struct bufferevent *conn =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (conn == NULL) {
        peer_die("memory");
    }
    bufferevent_setcb(conn, readable, NULL, ended, NULL);
    bufferevent_enable(conn, EV_READ | EV_WRITE);
}

int main(int argc, char **argv) {
    struct event_base *base = event_base_new();
    int fd = peer_listen(argc, argv);
    if (base == NULL || evconnlistener_new(base, connected, NULL, LEV_OPT_CLOSE_ON_FREE,
                                           PEER_BACKLOG, fd) == NULL) {
        return 1;
    }
    return event_base_dispatch(base);
}
