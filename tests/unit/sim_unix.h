/* SPDX-License-Identifier: MIT */
/*
 * For the tests of UNIX sockets on the dry wire: two programs on one host, and another host. What
 * sockets do was tried on Linux 6.18 (unix(7), connect(2)); the ids in those tests are those of
 * Twisted's recorded vectors, vectors/lifecycle_unix.jsonl.
 */
#ifndef DRYWIRE_TESTS_SIM_UNIX_H
#define DRYWIRE_TESTS_SIM_UNIX_H

#include "sim_datagrams.h"

#include <drywire/backend.h>

#define PATH "/run/s"

static dw_host *host, *other;
static side server, client;

static inline void listen_on(side *s, const char *path) {
    ck_assert_int_eq(dw_reactor_listen_unix(s->reactor, path, &s->factory.base, 0, 0, &s->port), 0);
}

static inline void connect_to(side *s, const char *path) {
    ck_assert_int_eq(dw_reactor_connect_unix(s->reactor, path, &s->factory, -1, NULL), 0);
}

static inline void one_host(dw_world *w) {
    host = dw_world_add_host(w, "a", NULL, NULL);
    other = dw_world_add_host(w, "b", NULL, NULL);
    side_init(&server, dw_host_reactor(host));
    side_init(&client, dw_host_reactor(host));
    server.aware = client.aware = false;
}

static inline void listen_datagrams(ear *e, dw_host *of, const char *path) {
    ear_init(e, of);
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(e->reactor, path, &e->protocol, 0, 0, &e->port), 0);
}

static inline int connect_datagrams(ear *e, dw_host *of, const char *path, const char *own) {
    ear_init(e, of);
    return dw_reactor_connect_unix_datagram(e->reactor, path, &e->protocol, 0, 0, own, &e->port);
}

static inline ssize_t send_unix(ear *e, const char *text, const char *path) {
    dw_address to;
    ck_assert_int_eq(dw_address_unix(&to, path), 0);
    return dw_datagram_write(e->port, text, strlen(text), &to);
}

/* Both are connected, no time has passed. */
static inline void connected(dw_world *w) {
    one_host(w);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.made, 1);
    ck_assert_uint_eq(server.made, 1);
}

static inline void lose(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

static inline void expect_end(const side *s, dw_error reason, int error) {
    ck_assert_uint_eq(s->lost, 1);
    ck_assert_int_eq(s->reason, reason);
    ck_assert_int_eq(s->reason_errno, error);
}

static inline void expect_failure(side *s, dw_world *w, const char *path, dw_error reason,
                                  int error) {
    unsigned failed = s->failed;
    connect_to(s, path);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(s->failed, failed + 1);
    ck_assert_int_eq(s->reason, reason);
    ck_assert_int_eq(s->reason_errno, error);
}

static inline void unlink_path(dw_host *of, const char *path) {
    dw_address address;
    dw_reactor *reactor = dw_host_reactor(of);
    ck_assert_int_eq(dw_address_unix(&address, path), 0);
    reactor->wire->unlink(reactor, &address);
}

static inline void restart(void) {
    dw_host_restart(host);
    side_init(&server, dw_host_reactor(host));
    side_init(&client, dw_host_reactor(host));
}

#endif
