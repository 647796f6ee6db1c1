/* SPDX-License-Identifier: MIT */
/*
 * UNIX stream sockets on every wire that has them. Both sides run on one host, whose file system
 * the socket's file is in. The expectations are what the real Twisted did: each case names the
 * vectors (vectors/README.md; lifecycle_unix.jsonl).
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A service at a path, and a client. */
typedef struct pair {
    conf *conf;
    char dir[32], path[64]; /* dir: "" on a wire without real files */
    side s, c;
    side *server_sides[1], *client_sides[1];
    serving f, g;
    dw_port *port;
} pair;

/* False: this wire has no UNIX sockets. */
static bool pair_listen(pair *p, conf *c) {
    memset(p, 0, sizeof(*p));
    p->conf = c;
    side_init(&p->s, c);
    side_init(&p->c, c);
    p->server_sides[0] = &p->s;
    p->client_sides[0] = &p->c;
    serving_init(&p->f, c, p->server_sides, 1);
    serving_init(&p->g, c, p->client_sides, 1);
    if (c->backend == NULL) {
        strcpy(p->dir, "/tmp/drywire-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(p->dir));
    }
    snprintf(p->path, sizeof(p->path), "%s/service", p->dir[0] != '\0' ? p->dir : "/run");
    int result = dw_reactor_listen_unix(c->server, p->path, &p->f.client.base, 0, 0, &p->port);
    ck_assert(result == 0 || result == DW_UNSUPPORTED);
    return result == 0;
}

static void pair_connect(pair *p) {
    ck_assert_int_eq(dw_reactor_connect_unix(p->conf->server, p->path, &p->g.client, 0, NULL), 0);
    conf_settle(p->conf);
}

/* The port takes its file with it, so the directory is empty at the end. */
static void pair_fini(pair *p) {
    if (p->port != NULL) {
        ck_assert_int_eq(dw_port_stop_listening(p->port, NULL, NULL), 0);
        conf_settle(p->conf);
    }
    if (p->dir[0] != '\0') {
        ck_assert_int_eq(rmdir(p->dir), 0);
    }
    free(p->s.bytes);
    free(p->c.bytes);
}

static void expect(const pair *p, const char *client, const char *server) {
    ck_assert_str_eq(p->c.log, client);
    ck_assert_str_eq(p->s.log, server);
}

#define WITH_SERVICE(p)        \
    pair p;                    \
    if (!pair_listen(&p, c)) { \
        return;                \
    }

/* ---- Basic connections ---- */

static void echo_and_lose(side *s) {
    do_echo(s);
    do_lose(s);
}

/* unix-basic-echo-server-closes */
CONF_CASE(echo_then_the_server_closes) {
    WITH_SERVICE(p)
    p.c.on_made = do_hello;
    p.s.on_data = echo_and_lose;
    pair_connect(&p);
    expect(&p, "made data lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(p.g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_mem_eq(p.c.bytes, "hello", 5);
    pair_fini(&p);
    ck_assert_str_eq(p.f.log, "start build stop");
}

static dw_address client_peer, client_host, server_peer, server_host;

static void take_client_addresses(side *s) {
    client_peer = dw_transport_peer(s->protocol.transport);
    client_host = dw_transport_host(s->protocol.transport);
}

static void take_server_addresses(side *s) {
    server_peer = dw_transport_peer(s->protocol.transport);
    server_host = dw_transport_host(s->protocol.transport);
}

/* unix-basic-addresses: the connecting end has no name */
CONF_CASE(the_service_has_a_name_and_its_client_has_none) {
    WITH_SERVICE(p)
    dw_address at;
    p.c.on_lost = take_client_addresses;
    p.s.on_made = take_server_addresses;
    pair_connect(&p);
    do_lose(&p.s);
    conf_settle(c);
    ck_assert_int_eq(dw_address_unix(&at, p.path), 0);
    ck_assert(dw_address_equal(&client_peer, &at) && dw_address_equal(&server_host, &at));
    ck_assert_uint_eq(client_host.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(server_peer.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(client_host.path_len, 0);
    ck_assert_uint_eq(server_peer.path_len, 0);
    at = dw_port_host(p.port);
    ck_assert_str_eq(at.path, p.path);
    pair_fini(&p);
}

enum { LARGE = 2 * 1000 * 1000 };

static uint8_t *large(void) {
    uint8_t *data = malloc(LARGE);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < LARGE; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    return data;
}

static void large_and_lose(side *s) {
    uint8_t *data = large();
    dw_transport_write(s->protocol.transport, data, LARGE);
    free(data);
    do_lose(s);
}

/* unix-close-large-pending-client */
CONF_CASE(lose_connection_flushes_megabytes_first) {
    WITH_SERVICE(p)
    p.c.on_made = large_and_lose;
    pair_connect(&p);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.s.received, LARGE);
    uint8_t *sent = large();
    ck_assert(memcmp(p.s.bytes, sent, LARGE) == 0);
    free(sent);
    pair_fini(&p);
}

/* unix-abort-client: there is no reset */
CONF_CASE(the_peer_of_an_abort_sees_an_orderly_end) {
    WITH_SERVICE(p)
    pair_connect(&p);
    do_abort(&p.c);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_ABORTED", "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

static void hello_and_lose(side *s) {
    do_hello(s);
    do_lose(s);
}

static void hello_and_abort(side *s) {
    do_hello(s);
    do_abort(s);
}

/* unix-abort-in-made-client, tcp-abort-drops-pending-server */
CONF_CASE(abort_drops_what_was_written) {
    WITH_SERVICE(p)
    p.c.on_made = hello_and_abort;
    pair_connect(&p);
    expect(&p, "made lost:CONNECTION_ABORTED", "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* unix-pause-local-lose: unlike TCP */
CONF_CASE(closing_with_unread_input_breaks_the_peers_connection) {
    WITH_SERVICE(p)
    p.s.on_made = do_pause;
    p.c.on_made = do_hello;
    pair_connect(&p);
    do_lose(&p.s);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_LOST", "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* Twisted reads before it writes; the client is gone when the server greets it. */
CONF_CASE(what_a_client_that_left_had_sent_is_read_though_greeting_it_fails) {
    WITH_SERVICE(p)
    p.s.on_made = do_hello;
    p.c.on_made = hello_and_lose;
    pair_connect(&p);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:CONNECTION_LOST");
    ck_assert_mem_eq(p.s.bytes, "hello", 5);
    pair_fini(&p);
}

/* unix-abort-peer-paused-unread: what was sent before is read first */
CONF_CASE(a_paused_side_reads_what_the_aborting_peer_had_sent) {
    WITH_SERVICE(p)
    p.s.on_made = do_pause;
    p.c.on_made = do_hello;
    pair_connect(&p);
    do_abort(&p.c);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_ABORTED", "made");
    dw_transport_resume_producing(p.s.protocol.transport);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_ABORTED", "made data lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* ---- Half close ---- */

/* unix-halfclose-neither-aware */
CONF_CASE(a_half_close_ends_a_side_that_is_not_aware) {
    WITH_SERVICE(p)
    pair_connect(&p);
    do_hello(&p.c);
    do_lose_write(&p.c);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* "loseConnection when only the input ended": the peer is there still */
CONF_CASE(closing_after_the_input_ended_is_orderly_while_the_peer_is_there) {
    WITH_SERVICE(p)
    p.s.aware = p.c.aware = true;
    pair_connect(&p);
    do_lose_write(&p.c);
    conf_settle(c);
    expect(&p, "made write-lost", "made read-lost");
    do_hello(&p.s);
    do_lose(&p.s);
    conf_settle(c);
    expect(&p, "made write-lost data read-lost", "made read-lost lost:CONNECTION_DONE");
    do_lose(&p.c);
    conf_settle(c);
    expect(&p, "made write-lost data read-lost lost:CONNECTION_DONE",
           "made read-lost lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* ... and is gone: unix-halfclose-lose-in-write-lost */
CONF_CASE(closing_after_the_peer_is_gone_is_a_loss) {
    WITH_SERVICE(p)
    p.s.aware = true;
    pair_connect(&p);
    do_lose(&p.c);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_DONE", "made read-lost");
    do_lose(&p.s);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_DONE", "made read-lost lost:CONNECTION_LOST");
    pair_fini(&p);
}

/* unix-halfclose-both-half: nobody gets connection_lost */
CONF_CASE(two_half_closes_are_no_end) {
    WITH_SERVICE(p)
    p.s.aware = p.c.aware = true;
    p.s.on_read_lost = do_lose_write;
    pair_connect(&p);
    do_lose_write(&p.c);
    conf_settle(c);
    expect(&p, "made write-lost read-lost", "made read-lost write-lost");
    do_lose(&p.c);
    do_lose(&p.s);
    conf_settle(c);
    pair_fini(&p);
}

/* ---- Attempts ---- */

/* "no listener behind the file / no file" */
CONF_CASE(a_missing_file_and_one_without_a_listener_are_told_apart) {
    WITH_SERVICE(p)
    char stale[80], missing[80];
    snprintf(missing, sizeof(missing), "%s-missing", p.path);
    snprintf(stale, sizeof(stale), "%s-stale", p.path);
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, missing, &p.g.client, 0, NULL), 0);
    ck_assert_str_eq(p.g.log, "start connecting"); /* never inside the call */
    conf_settle(c);
    ck_assert_str_eq(p.g.log, "start connecting failed:CONNECT_ERROR stop");
    ck_assert_int_eq(p.g.reason.sys_errno, ENOENT);
    /* A listener that has gone leaves its file behind if it was given another name. */
    if (p.dir[0] != '\0') {
        ck_assert_int_eq(link(p.path, stale), 0);
        dw_port_stop_listening(p.port, NULL, NULL);
        p.port = NULL;
        conf_settle(c);
        ck_assert_int_eq(dw_reactor_connect_unix(c->server, stale, &p.g.client, 0, NULL), 0);
        conf_settle(c);
        ck_assert_int_eq(p.g.reason.kind, DW_CONNECTION_REFUSED);
        ck_assert_int_eq(unlink(stale), 0);
    }
    pair_fini(&p);
}

static char order[200];

static void first(void *user) {
    (void)user;
    note(order, sizeof(order), "first");
}

static void second(void *user) {
    (void)user;
    note(order, sizeof(order), "second");
}

static void note_build(serving *g) {
    (void)g;
    note(order, sizeof(order), "build");
}

/* "UNIX: connecting completes inside connect's own callLater(0)" */
CONF_CASE(connecting_takes_its_place_among_the_delayed_calls) {
    WITH_SERVICE(p)
    dw_delayed_call before = {0}, after = {0};
    order[0] = '\0';
    p.g.on_build = note_build;
    dw_reactor_call_later(c->server, &before, 0, first, NULL);
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, p.path, &p.g.client, 0, NULL), 0);
    dw_reactor_call_later(c->server, &after, 0, second, NULL);
    conf_settle(c);
    ck_assert_str_eq(order, "first build second");
    do_lose(&p.c);
    conf_settle(c);
    pair_fini(&p);
}

/* unix-attempt-stop-at-once */
CONF_CASE(stop_connecting_calls_back_inside) {
    WITH_SERVICE(p)
    dw_connector *connector;
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, p.path, &p.g.client, 0, &connector), 0);
    ck_assert_str_eq(dw_connector_host(connector), p.path);
    ck_assert_uint_eq(dw_connector_port(connector), 0);
    ck_assert_int_eq(dw_connector_stop_connecting(connector), 0);
    ck_assert_str_eq(p.g.log, "start connecting failed:USER_ERROR stop");
    conf_settle(c);
    ck_assert_str_eq(p.f.log, "start");
    pair_fini(&p);
}

static void connect_again(serving *g, dw_connector *connector) {
    g->on_lost = NULL;
    g->used = 0;
    ck_assert_int_eq(dw_connector_connect(connector), 0);
}

/* unix-connector-reconnect-in-lost */
CONF_CASE(a_connector_connects_again_inside_lost) {
    WITH_SERVICE(p)
    p.g.on_lost = connect_again;
    p.c.on_made = do_lose;
    p.f.build = BUILD_NONE;
    pair_connect(&p);
    ck_assert_str_eq(p.g.log, "start connecting build lost:CONNECTION_DONE connecting build "
                              "lost:CONNECTION_DONE stop");
    pair_fini(&p);
}

CONF_CASE(paths_that_no_socket_can_have_are_refused) {
    pair p;
    char too_long[DW_UNIX_PATH_MAX + 2] = "";
    memset(too_long, 'a', DW_UNIX_PATH_MAX + 1);
    serving_init(&p.g, c, NULL, 0);
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, too_long, &p.g.client, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, "", &p.g.client, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_listen_unix(c->server, too_long, &p.g.client.base, 0, 0, NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_str_eq(p.g.log, "");
}

/* ---- Ports ---- */

/* "listen on a used port": on UNIX the factory was started before the bind */
CONF_CASE(a_path_in_use_cannot_be_listened_on) {
    WITH_SERVICE(p)
    ck_assert_int_eq(dw_reactor_listen_unix(c->server, p.path, &p.g.client.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(c->server), EADDRINUSE);
    ck_assert_str_eq(p.g.log, "start stop");
    ck_assert_uint_eq(dw_reactor_count(c->server).ports, 1);
    pair_connect(&p); /* and its file is still there */
    ck_assert_str_eq(p.s.log, "made");
    do_lose(&p.c);
    conf_settle(c);
    pair_fini(&p);
}

/* unix-hooks-relisten */
CONF_CASE(a_path_is_free_again_when_its_port_is_closed) {
    WITH_SERVICE(p)
    ck_assert_int_eq(dw_port_stop_listening(p.port, NULL, NULL), 0);
    conf_settle(c);
    ck_assert_int_eq(dw_reactor_listen_unix(c->server, p.path, &p.f.client.base, 0, 0600, &p.port),
                     0);
    ck_assert_str_eq(p.f.log, "start stop start");
    pair_connect(&p);
    ck_assert_str_eq(p.s.log, "made");
    do_lose(&p.c);
    conf_settle(c);
    pair_fini(&p);
}

/* An abstract name has no file, and is free when its last socket is closed (unix(7)). */
CONF_CASE(abstract_names_work_without_a_file) {
    WITH_SERVICE(p)
    char name[sizeof(p.path)], text[DW_ADDRESS_TEXT_MAX];
    dw_port *port;
    memcpy(name, p.path, sizeof(name));
    name[0] = '@';
    ck_assert_int_eq(dw_reactor_listen_unix(c->server, name, &p.f.client.base, 0, 0600, &port), 0);
    dw_address at = dw_port_host(port);
    ck_assert_str_eq(dw_address_format_host(&at, text, sizeof(text)), name);
    ck_assert_int_eq(dw_reactor_connect_unix(c->server, name, &p.g.client, 0, NULL), 0);
    p.s.on_data = echo_and_lose;
    p.c.on_made = do_hello;
    conf_settle(c);
    expect(&p, "made data lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    dw_port_stop_listening(port, NULL, NULL);
    conf_settle(c);
    pair_fini(&p);
}

int main(void) {
    Suite *suite = suite_create("conformance: unix");
    TCase *tc = tcase_create("unix");
    CONF_ADD(tc, echo_then_the_server_closes);
    CONF_ADD(tc, the_service_has_a_name_and_its_client_has_none);
    CONF_ADD(tc, lose_connection_flushes_megabytes_first);
    CONF_ADD(tc, the_peer_of_an_abort_sees_an_orderly_end);
    CONF_ADD(tc, abort_drops_what_was_written);
    CONF_ADD(tc, closing_with_unread_input_breaks_the_peers_connection);
    CONF_ADD(tc, what_a_client_that_left_had_sent_is_read_though_greeting_it_fails);
    CONF_ADD(tc, a_paused_side_reads_what_the_aborting_peer_had_sent);
    CONF_ADD(tc, a_half_close_ends_a_side_that_is_not_aware);
    CONF_ADD(tc, closing_after_the_input_ended_is_orderly_while_the_peer_is_there);
    CONF_ADD(tc, closing_after_the_peer_is_gone_is_a_loss);
    CONF_ADD(tc, two_half_closes_are_no_end);
    CONF_ADD(tc, a_missing_file_and_one_without_a_listener_are_told_apart);
    CONF_ADD(tc, connecting_takes_its_place_among_the_delayed_calls);
    CONF_ADD(tc, stop_connecting_calls_back_inside);
    CONF_ADD(tc, a_connector_connects_again_inside_lost);
    CONF_ADD(tc, paths_that_no_socket_can_have_are_refused);
    CONF_ADD(tc, a_path_in_use_cannot_be_listened_on);
    CONF_ADD(tc, a_path_is_free_again_when_its_port_is_closed);
    CONF_ADD(tc, abstract_names_work_without_a_file);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
