/* SPDX-License-Identifier: MIT */
/*
 * Connectors and ports on every wire: the order of callbacks, each way an attempt can fail, each
 * verb in each state. Expectations: vectors/README.md, "Connectors", "Basic connections",
 * "buildProtocol and exceptions", section 4: 4, 5; each case names its record.
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static side s[3], k[3]; /* the server's and the client's */
static side *ss[3] = {&s[0], &s[1], &s[2]}, *ks[3] = {&k[0], &k[1], &k[2]};
static serving f, g; /* the server's and the client's factory */
static dw_delayed_call calls[3];

static void begin(conf *c) {
    for (int i = 0; i < 3; i++) {
        side_init(&s[i], c);
        side_init(&k[i], c);
    }
    serving_init(&f, c, ss, 3);
    serving_init(&g, c, ks, 3);
    memset(calls, 0, sizeof(calls));
}

static void end(void) {
    for (int i = 0; i < 3; i++) {
        free(s[i].bytes);
        free(k[i].bytes);
    }
}

static void mark(serving *at, const char *word) {
    note(at->log, sizeof(at->log), word);
}

static const char *state_of(const dw_connector *connector) {
    static const char *const words[] = {"disconnected", "connecting", "connected"};
    return words[dw_connector_get_state(connector)];
}

/* A port that was just closed: nobody listens there. */
static uint16_t refusing_port(conf *c) {
    serving nobody;
    serving_init(&nobody, c, NULL, 0);
    dw_port *port = conf_listen(c, &nobody);
    uint16_t number = dw_port_host(port).port;
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    ck_assert_str_eq(nobody.log, "start stop");
    return number;
}

static dw_connector *connect_with(conf *c, const char *host, uint16_t port, dw_time timeout,
                                  const dw_address *bind) {
    dw_connector *connector = NULL;
    ck_assert_int_eq(
        dw_reactor_connect_tcp(c->client, host, port, &g.client, timeout, bind, &connector), 0);
    mark(&g, "returned");
    return connector;
}

/* ---- The order of callbacks ---- */

static void mark_state(serving *at) {
    mark(at, state_of(at->connector));
}

static void mark_state_at(serving *at, dw_connector *connector) {
    mark(at, state_of(connector));
}

static void side_marks_state(side *self) {
    note(self->log, sizeof(self->log), state_of(g.connector));
}

static void marks_state_and_says_hello(side *self) {
    side_marks_state(self);
    do_hello(self);
}

/* tcp-connector-states, tcp-build-state */
CONF_CASE(the_connectors_state_in_every_callback) {
    begin(c);
    s[0].on_data = do_lose;
    k[0].on_made = marks_state_and_says_hello;
    k[0].on_lost = side_marks_state;
    g.on_started = g.on_lost = mark_state_at;
    g.on_build = g.on_stop = mark_state;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(g.log, "start connecting connecting build connected lost:CONNECTION_DONE "
                            "disconnected stop disconnected");
    ck_assert_str_eq(k[0].log, "made connected lost:CONNECTION_DONE connected");
    ck_assert_str_eq(s[0].log, "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(f.log, "start build");
    end();
}

/* tcp-hooks-two-connectors */
CONF_CASE(a_client_factory_of_two_connectors_starts_and_stops_once) {
    begin(c);
    uint16_t port = dw_port_host(conf_listen(c, &f)).port;
    conf_connect(c, &g, port);
    conf_connect(c, &g, port);
    ck_assert_str_eq(g.log, "start connecting connecting");
    conf_settle(c);
    do_lose(&s[0]);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting connecting build build lost:CONNECTION_DONE");
    do_lose(&s[1]);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting connecting build build lost:CONNECTION_DONE "
                            "lost:CONNECTION_DONE stop");
    end();
}

/* ---- Failures ---- */

/* tcp-turn-refused-vs-timer without the timers */
CONF_CASE(a_port_that_nobody_listens_on_refuses) {
    begin(c);
    connect_with(c, c->address, refusing_port(c), 0, NULL);
    ck_assert_str_eq(g.log, "start connecting returned");
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:CONNECTION_REFUSED stop");
    ck_assert_int_eq(g.reason.sys_errno, ECONNREFUSED);
    end();
}

/* tcp-attempt-refused-twice */
CONF_CASE(two_refused_attempts_are_both_reported) {
    begin(c);
    uint16_t port = refusing_port(c);
    connect_with(c, c->address, port, 0, NULL);
    connect_with(c, c->address, port, 0, NULL);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned connecting returned "
                            "failed:CONNECTION_REFUSED failed:CONNECTION_REFUSED stop");
    end();
}

/* tcp-attempt-timeout */
CONF_CASE(an_attempt_into_a_black_hole_times_out) {
    begin(c);
    char host[DW_ADDRESS_TEXT_MAX];
    uint16_t port = conf_black_hole(c, host);
    dw_time before = dw_reactor_now(c->client);
    connect_with(c, host, port, DW_MSEC(200), NULL);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:TIMEOUT stop");
    ck_assert(dw_reactor_now(c->client) - before >= DW_MSEC(200));
    end();
}

static void raise_flag(void *user) {
    *(bool *)user = true;
}

static void stop_connecting(void *user) {
    ck_assert_int_eq(dw_connector_stop_connecting(user), 0);
    mark(&g, "stopped");
}

/* tcp-attempt-timeout-stop: no second report */
CONF_CASE(stop_connecting_in_a_black_hole_reports_at_once_and_only_then) {
    begin(c);
    char host[DW_ADDRESS_TEXT_MAX];
    uint16_t port = conf_black_hole(c, host);
    dw_connector *connector = connect_with(c, host, port, DW_MSEC(100), NULL);
    dw_reactor_call_later(c->client, &calls[0], DW_MSEC(50), stop_connecting, connector);
    conf_until(c, &g.over);
    bool later = false;
    dw_reactor_call_later(c->client, &calls[1], DW_MSEC(150), raise_flag, &later);
    conf_until(c, &later);
    ck_assert_str_eq(g.log, "start connecting returned failed:USER_ERROR stop stopped");
    ck_assert_uint_eq(dw_reactor_count(c->client).delayed_calls, 0);
    end();
}

/* tcp-attempt-no-timeout-after-success */
CONF_CASE(the_time_out_does_not_fire_once_connected) {
    begin(c);
    bool later = false;
    uint16_t port = dw_port_host(conf_listen(c, &f)).port;
    connect_with(c, c->address, port, DW_MSEC(100), NULL);
    dw_reactor_call_later(c->client, &calls[0], DW_MSEC(200), raise_flag, &later);
    conf_until(c, &later);
    ck_assert_str_eq(k[0].log, "made");
    do_lose(&k[0]);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting returned build lost:CONNECTION_DONE stop");
    end();
}

/* tcp-attempt-bind-used: never synchronously */
CONF_CASE(a_local_address_in_use_is_a_bind_error) {
    begin(c);
    serving other;
    serving_init(&other, c, NULL, 0);
    dw_port *port = conf_listen(c, &f);
    dw_port *taken = NULL;
    const char *own = c->backend != NULL ? "10.0.0.2" : "127.0.0.1";
    ck_assert_int_eq(dw_reactor_listen_tcp(c->client, 0, &other.client.base, 0, own, &taken), 0);
    dw_address bind = dw_port_host(taken);
    connect_with(c, c->address, dw_port_host(port).port, 0, &bind);
    ck_assert_str_eq(g.log, "start connecting returned");
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:CONNECT_BIND_ERROR stop");
    ck_assert_int_eq(g.reason.sys_errno, EADDRINUSE);
    end();
}

/* 198.51.100.0/24 is for documents only (RFC 5737) */
CONF_CASE(a_local_address_of_somebody_else_is_a_bind_error) {
    begin(c);
    dw_address bind;
    dw_address_parse(&bind, "198.51.100.1", 0);
    connect_with(c, c->address, dw_port_host(conf_listen(c, &f)).port, 0, &bind);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:CONNECT_BIND_ERROR stop");
    ck_assert_int_eq(g.reason.sys_errno, EADDRNOTAVAIL);
    end();
}

CONF_CASE(a_local_address_of_ones_own_is_used) {
    begin(c);
    dw_address bind;
    dw_address_parse(&bind, c->backend != NULL ? "10.0.0.2" : "127.0.0.1", 0);
    connect_with(c, c->address, dw_port_host(conf_listen(c, &f)).port, 0, &bind);
    conf_settle(c);
    dw_address host = dw_transport_host(k[0].protocol.transport);
    ck_assert_mem_eq(host.ip, bind.ip, 4);
    ck_assert_uint_ne(host.port, 0);
    end();
}

/* "name does not resolve: DNSLookupError, never synchronously"; .invalid never does (RFC 6761) */
CONF_CASE(a_name_that_does_not_exist_is_a_look_up_failure) {
    begin(c);
    connect_with(c, "drywire.invalid", 9, 0, NULL);
    ck_assert_str_eq(g.log, "start connecting returned");
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:DNS_LOOKUP stop");
    end();
}

CONF_CASE(a_name_is_looked_up) {
    begin(c);
    k[0].on_made = do_lose;
    connect_with(c, c->name, dw_port_host(conf_listen(c, &f)).port, 0, NULL);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned build lost:CONNECTION_DONE stop");
    end();
}

/* In the turn in which the look-up began: its answer finds nobody. */
CONF_CASE(stop_connecting_ends_a_look_up) {
    begin(c);
    dw_connector *connector = connect_with(c, "drywire.invalid", 9, 0, NULL);
    dw_reactor_call_later(c->client, &calls[0], 0, stop_connecting, connector);
    conf_until(c, &g.over);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting returned failed:USER_ERROR stop stopped");
    end();
}

/* ---- Verbs ---- */

static void stop_in_started(serving *at, dw_connector *connector) {
    mark(at, state_of(connector));
    ck_assert_int_eq(dw_connector_stop_connecting(connector), 0);
    mark(at, "stopped");
}

/* tcp-attempt-stop-in-started */
CONF_CASE(stop_connecting_inside_started_connecting_is_synchronous) {
    begin(c);
    g.on_started = stop_in_started;
    ck_assert_ptr_null(connect_with(c, c->address, dw_port_host(conf_listen(c, &f)).port, 0, NULL));
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting connecting failed:USER_ERROR stop stopped returned");
    ck_assert_str_eq(f.log, "start");
    end();
}

/* tcp-attempt-disconnect-at-once */
CONF_CASE(disconnect_while_connecting_is_stop_connecting) {
    begin(c);
    dw_connector_disconnect(
        connect_with(c, c->address, dw_port_host(conf_listen(c, &f)).port, 0, NULL));
    mark(&g, "disconnected");
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting returned failed:USER_ERROR stop disconnected");
    ck_assert_str_eq(f.log, "start");
    end();
}

static void refused_and_lose(side *self) {
    ck_assert_int_eq(dw_connector_stop_connecting(g.connector), DW_NOT_CONNECTING);
    ck_assert_int_eq(dw_connector_connect(g.connector), DW_NOT_DISCONNECTED);
    do_lose(self);
}

static void connect_refused(side *self) {
    (void)self;
    ck_assert_int_eq(dw_connector_connect(g.connector), DW_NOT_DISCONNECTED);
    ck_assert_int_eq(dw_connector_stop_connecting(g.connector), DW_NOT_CONNECTING);
}

static void connect_refused_at(serving *at, dw_connector *connector) {
    (void)at;
    ck_assert_int_eq(dw_connector_connect(connector), DW_NOT_DISCONNECTED);
}

/* tcp-attempt-stop-when-connected; "connect() while connecting or connected, or inside the
 * protocol's connectionLost" */
CONF_CASE(stop_connecting_when_connected_and_connect_when_not_disconnected_are_refused) {
    begin(c);
    g.on_started = connect_refused_at;
    k[0].on_made = refused_and_lose;
    k[0].on_lost = connect_refused;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE stop");
    end();
}

static void refused_when_failed(serving *at, dw_connector *connector) {
    mark(at, state_of(connector));
    ck_assert_int_eq(dw_connector_stop_connecting(connector), DW_NOT_CONNECTING);
    dw_connector_disconnect(connector);
    mark(at, "end");
}

/* tcp-attempt-stop-when-failed, tcp-connector-disconnect-when-lost */
CONF_CASE(stop_connecting_and_disconnect_when_disconnected_do_nothing) {
    begin(c);
    g.on_failed = g.on_lost = refused_when_failed;
    connect_with(c, c->address, refusing_port(c), 0, NULL);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:CONNECTION_REFUSED disconnected end "
                            "stop");
    end();
    begin(c);
    g.on_lost = refused_when_failed;
    s[0].on_made = do_lose;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE disconnected end stop");
    end();
}

enum { MUCH = 2000000 };

static void much_and_disconnect(side *self) {
    uint8_t *data = calloc(1, MUCH);
    ck_assert_ptr_nonnull(data);
    dw_transport_write(self->protocol.transport, data, MUCH);
    free(data);
    dw_connector_disconnect(g.connector);
    note(self->log, sizeof(self->log), state_of(g.connector));
}

/* tcp-connector-disconnect */
CONF_CASE(disconnect_when_connected_flushes_and_closes) {
    begin(c);
    k[0].on_made = much_and_disconnect;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(k[0].log, "made connected lost:CONNECTION_DONE");
    ck_assert_uint_eq(s[0].received, MUCH);
    ck_assert_str_eq(s[0].log, "made data lost:CONNECTION_DONE");
    end();
}

/* ---- Connecting again ---- */

static int again;

static void connect_again(serving *at, dw_connector *connector) {
    if (again-- > 0) {
        ck_assert_int_eq(dw_connector_connect(connector), 0);
        mark(at, "again");
    }
}

/* tcp-attempt-reconnect-in-failed-thrice */
CONF_CASE(connecting_again_inside_failed_neither_stops_nor_starts_the_factory) {
    begin(c);
    again = 3;
    g.on_failed = connect_again;
    connect_with(c, c->address, refusing_port(c), 0, NULL);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned failed:CONNECTION_REFUSED "
                            "connecting again failed:CONNECTION_REFUSED "
                            "connecting again failed:CONNECTION_REFUSED "
                            "connecting again failed:CONNECTION_REFUSED stop");
    end();
}

/* tcp-connector-reconnect-in-lost-twice */
CONF_CASE(connecting_again_inside_lost_neither_stops_nor_starts_the_factory) {
    begin(c);
    again = 2;
    g.on_lost = connect_again;
    s[0].on_made = s[1].on_made = s[2].on_made = do_lose;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE connecting again "
                            "build lost:CONNECTION_DONE connecting again "
                            "build lost:CONNECTION_DONE stop");
    ck_assert_str_eq(k[2].log, "made lost:CONNECTION_DONE");
    conf_settle(c);
    ck_assert_str_eq(s[2].log, "made lost:CONNECTION_DONE");
    end();
}

/* tcp-connector-reconnect-later */
CONF_CASE(connecting_again_later_stops_and_starts_the_factory) {
    begin(c);
    s[0].on_made = s[1].on_made = do_lose;
    dw_connector *connector = dw_connector_hold(
        connect_with(c, c->address, dw_port_host(conf_listen(c, &f)).port, 0, NULL));
    conf_until(c, &g.over);
    g.over = false;
    ck_assert_int_eq(dw_connector_connect(connector), 0);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting returned build lost:CONNECTION_DONE stop "
                            "start connecting build lost:CONNECTION_DONE stop");
    dw_connector_release(connector);
    end();
}

static void connect_and_stop(serving *at, dw_connector *connector) {
    ck_assert_int_eq(dw_connector_connect(connector), 0);
    ck_assert_int_eq(dw_connector_stop_connecting(connector), 0);
    mark(at, "end");
}

/* tcp-connector-reconnect-then-stop */
CONF_CASE(connecting_again_and_stopping_at_once) {
    begin(c);
    g.on_lost = connect_and_stop;
    s[0].on_made = do_lose;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE connecting "
                            "failed:USER_ERROR stop end");
    end();
}

/* tcp-connector-reconnect-refused */
CONF_CASE(connecting_again_to_a_port_that_was_closed_meanwhile) {
    begin(c);
    again = 1;
    g.on_lost = connect_again;
    dw_port *port = conf_pair(c, &f, &g);
    dw_port_stop_listening(port, NULL, NULL);
    conf_settle(c);
    do_lose(&s[0]);
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE connecting again "
                            "failed:CONNECTION_REFUSED stop");
    ck_assert_str_eq(f.log, "start build stop");
    end();
}

/* ---- build_protocol ---- */

/* tcp-build-raise-client: the server sees an orderly end */
CONF_CASE(a_client_that_cannot_build_leaves_the_server_an_orderly_end) {
    begin(c);
    g.build = BUILD_FAILED;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(g.log, "start connecting build failed:CONNECT_ERROR stop");
    ck_assert_str_eq(s[0].log, "made lost:CONNECTION_DONE");
    end();
}

static void quiet(void *user, const char *line) {
    (void)user, (void)line;
}

/* tcp-build-raise-server */
CONF_CASE(a_server_that_cannot_build_closes_in_order) {
    begin(c);
    dw_reactor_set_log(c->server, quiet, NULL);
    f.build = BUILD_FAILED;
    conf_pair(c, &f, &g);
    ck_assert_str_eq(k[0].log, "made lost:CONNECTION_DONE");
    ck_assert_str_eq(f.log, "start build");
    end();
}

/* ---- Ports ---- */

static void port_done(void *user) {
    mark(&f, user);
}

static void stop_port(dw_port *port, const char *word) {
    ck_assert_int_eq(dw_port_stop_listening(port, port_done, (void *)(uintptr_t)word), 0);
}

/* tcp-hooks-two-ports */
CONF_CASE(a_factory_on_two_ports_starts_and_stops_once) {
    begin(c);
    dw_port *p0 = conf_listen(c, &f);
    dw_port *p1 = conf_listen(c, &f);
    ck_assert_uint_ne(dw_port_host(p0).port, dw_port_host(p1).port);
    stop_port(p0, "p0");
    conf_settle(c);
    stop_port(p1, "p1");
    conf_settle(c);
    ck_assert_str_eq(f.log, "start p0 stop p1");
    end();
}

/* tcp-hooks-stop-listening-open, tcp-hooks-stop-listening-then-connect */
CONF_CASE(stop_listening_keeps_connections_and_refuses_new_ones) {
    begin(c);
    s[0].on_data = do_echo;
    dw_port *port = conf_pair(c, &f, &g);
    uint16_t number = dw_port_host(port).port;
    stop_port(port, "done");
    mark(&f, "returned");
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), DW_NOT_LISTENING);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start build returned stop done");
    do_hello(&k[0]);
    conf_settle(c);
    ck_assert_str_eq(k[0].log, "made data");
    conf_connect(c, &g, number);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting build connecting failed:CONNECTION_REFUSED");
    do_lose(&k[0]);
    conf_settle(c);
    ck_assert_str_eq(g.log, "start connecting build connecting failed:CONNECTION_REFUSED "
                            "lost:CONNECTION_DONE stop");
    end();
}

static dw_port *first_port;

static void stop_again(void *user) {
    mark(&f, user);
    ck_assert_int_eq(dw_port_stop_listening(first_port, port_done, "never"), DW_NOT_LISTENING);
    mark(&f, "second-returned");
}

/* tcp-hooks-stop-listening-twice */
CONF_CASE(stop_listening_twice_has_nothing_to_wait_for) {
    begin(c);
    first_port = conf_listen(c, &f);
    dw_port_stop_listening(first_port, stop_again, "done");
    conf_settle(c);
    ck_assert_str_eq(f.log, "start stop done second-returned");
    end();
}

static void listen_again(void *user) {
    mark(&f, "done");
    stop_port(conf_listen(user, &f), "p1");
}

/* tcp-hooks-relisten */
CONF_CASE(listening_again_with_the_same_factory_starts_it_again) {
    begin(c);
    dw_port_stop_listening(conf_listen(c, &f), listen_again, c);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start stop done start stop p1");
    end();
}

CONF_CASE(a_used_port_cannot_be_listened_on_until_it_is_closed) {
    begin(c);
    serving other;
    serving_init(&other, c, NULL, 0);
    dw_port *port = conf_listen(c, &f);
    dw_port *second = NULL;
    uint16_t number = dw_port_host(port).port;
    ck_assert_int_eq(
        dw_reactor_listen_tcp(c->server, number, &other.client.base, 0, c->address, &second),
        DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(c->server), EADDRINUSE);
    ck_assert_ptr_null(second);
    ck_assert_str_eq(other.log, "");
    stop_port(port, "done");
    conf_settle(c);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(c->server, number, &other.client.base, 0, c->address, &second), 0);
    ck_assert_uint_eq(dw_port_host(second).port, number);
    end();
}

CONF_CASE(an_address_of_somebody_else_cannot_be_listened_on) {
    begin(c);
    ck_assert_int_eq(dw_reactor_listen_tcp(c->server, 0, &f.client.base, 0, "198.51.100.1", NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(c->server), EADDRNOTAVAIL);
    ck_assert_str_eq(f.log, "");
    end();
}

static Suite *suite(void) {
    Suite *suite = suite_create("connectors");
    TCase *tc = tcase_create("connectors");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, the_connectors_state_in_every_callback);
    CONF_ADD(tc, a_client_factory_of_two_connectors_starts_and_stops_once);
    CONF_ADD(tc, a_port_that_nobody_listens_on_refuses);
    CONF_ADD(tc, two_refused_attempts_are_both_reported);
    CONF_ADD(tc, an_attempt_into_a_black_hole_times_out);
    CONF_ADD(tc, stop_connecting_in_a_black_hole_reports_at_once_and_only_then);
    CONF_ADD(tc, the_time_out_does_not_fire_once_connected);
    CONF_ADD(tc, a_local_address_in_use_is_a_bind_error);
    CONF_ADD(tc, a_local_address_of_somebody_else_is_a_bind_error);
    CONF_ADD(tc, a_local_address_of_ones_own_is_used);
    CONF_ADD(tc, a_name_that_does_not_exist_is_a_look_up_failure);
    CONF_ADD(tc, a_name_is_looked_up);
    CONF_ADD(tc, stop_connecting_ends_a_look_up);
    CONF_ADD(tc, stop_connecting_inside_started_connecting_is_synchronous);
    CONF_ADD(tc, disconnect_while_connecting_is_stop_connecting);
    CONF_ADD(tc, stop_connecting_when_connected_and_connect_when_not_disconnected_are_refused);
    CONF_ADD(tc, stop_connecting_and_disconnect_when_disconnected_do_nothing);
    CONF_ADD(tc, disconnect_when_connected_flushes_and_closes);
    CONF_ADD(tc, connecting_again_inside_failed_neither_stops_nor_starts_the_factory);
    CONF_ADD(tc, connecting_again_inside_lost_neither_stops_nor_starts_the_factory);
    CONF_ADD(tc, connecting_again_later_stops_and_starts_the_factory);
    CONF_ADD(tc, connecting_again_and_stopping_at_once);
    CONF_ADD(tc, connecting_again_to_a_port_that_was_closed_meanwhile);
    CONF_ADD(tc, a_client_that_cannot_build_leaves_the_server_an_orderly_end);
    CONF_ADD(tc, a_server_that_cannot_build_closes_in_order);
    CONF_ADD(tc, a_factory_on_two_ports_starts_and_stops_once);
    CONF_ADD(tc, stop_listening_keeps_connections_and_refuses_new_ones);
    CONF_ADD(tc, stop_listening_twice_has_nothing_to_wait_for);
    CONF_ADD(tc, listening_again_with_the_same_factory_starts_it_again);
    CONF_ADD(tc, a_used_port_cannot_be_listened_on_until_it_is_closed);
    CONF_ADD(tc, an_address_of_somebody_else_cannot_be_listened_on);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
