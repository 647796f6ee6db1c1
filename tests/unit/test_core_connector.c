/* SPDX-License-Identifier: MIT */
/*
 * Connectors (core/src/connector.c) on a wire that answers as told: names with several addresses,
 * every error, time-outs, holds, verbs in every callback, no memory. Expectations:
 * vectors/README.md, "Connectors" and section 4: 4, 5, 9; lifecycle_tcp.jsonl, connectors.jsonl.
 */
#include "test_core_wire.h"

static fake *f;
static rec r;
static rec_factory g;

static void setup(void) {
    f = fake_new();
    rec_init(&r, f);
    rec_factory_init(&g, f, &r);
}

static void teardown(void) {
    fake_fini(f);
}

static int connect_to(const char *host, dw_time timeout, dw_connector **out) {
    return dw_reactor_connect_tcp(&f->reactor, host, 80, &g.client, timeout, NULL, out);
}

static dw_connector *begin(const char *host) {
    dw_connector *connector = NULL;
    ck_assert_int_eq(connect_to(host, 0, &connector), 0);
    ck_assert_ptr_nonnull(connector);
    return connector;
}

/* Ends as the socket says: 0, or an errno. */
static void decide(int socket, int error) {
    f->connected = -error;
    fake_ready(f, socket, DW_WRITABLE);
}

static void expect(const char *log) {
    ck_assert_str_eq(g.log, log);
}

/* ---- The order of callbacks ---- */

static const char *state_word(const rec_factory *factory) {
    static const char *const words[] = {"disconnected", "connecting", "connected"};
    return words[dw_connector_get_state(factory->connector)];
}

static void say_state(rec_factory *factory) {
    say(factory->log, state_word(factory));
}

static void rec_say_state(rec *self) {
    say(self->log, state_word(&g));
}

/* tcp-connector-states */
START_TEST(the_state_in_every_callback) {
    r.log = g.log;
    g.on_started = g.on_build = g.on_lost = say_state;
    r.on_made = r.on_lost = rec_say_state;
    dw_connector *connector = dw_connector_hold(begin("192.0.2.1"));
    g.on_stop = say_state;
    fake_settle(f);
    decide(0, 0);
    f->sockets[0].in_end = true;
    fake_ready(f, 0, DW_READABLE);
    expect("start connecting connecting build connected made connected lost:CONNECTION_DONE "
           "connected lost:CONNECTION_DONE disconnected stop disconnected");
    dw_connector_release(connector);
}
END_TEST

/* Whatever comes of it comes later, also when connect(2) succeeds at once. */
START_TEST(nothing_but_started_connecting_comes_inside_connect) {
    f->connect_answer = 0;
    begin("192.0.2.1");
    expect("start connecting");
    fake_settle(f);
    expect("start connecting build");
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connections, 1);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connecting, 0);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0); /* no time-out is left */
}
END_TEST

/* ---- Failures ---- */

typedef struct errno_case {
    int error;
    dw_error kind;
} errno_case;

/* Twisted's getConnectError; an unknown one is ConnectError. */
static const errno_case connect_errors[] = {
    {ECONNREFUSED, DW_CONNECTION_REFUSED},
    {ETIMEDOUT, DW_TCP_TIMED_OUT},
    {ENETUNREACH, DW_NO_ROUTE},
    {EHOSTUNREACH, DW_NO_ROUTE},
    {EADDRNOTAVAIL, DW_CONNECT_ERROR},
    {ECONNRESET, DW_CONNECT_ERROR},
    {EACCES, DW_CONNECT_ERROR},
    {ENOMEM, DW_NO_MEMORY},
};
enum { CONNECT_ERRORS = sizeof(connect_errors) / sizeof(connect_errors[0]) };

static void expect_failed(dw_error kind, int error) {
    char log[100];
    snprintf(log, sizeof(log), "start connecting failed:%s stop", dw_error_name((int)kind) + 3);
    expect(log);
    ck_assert_int_eq(g.reason.sys_errno, error);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connecting, 0);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
}

START_TEST(an_attempt_fails_with_the_kind_of_its_errno) {
    const errno_case *e = &connect_errors[_i];
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, e->error);
    expect_failed(e->kind, e->error);
}
END_TEST

START_TEST(an_attempt_that_fails_at_once_is_reported_later_all_the_same) {
    const errno_case *e = &connect_errors[_i];
    f->connect_answer = -e->error;
    begin("192.0.2.1");
    expect("start connecting");
    fake_settle(f);
    expect_failed(e->kind, e->error);
}
END_TEST

START_TEST(no_descriptor_for_an_attempt_is_a_connect_error) {
    f->open_error = EMFILE;
    begin("192.0.2.1");
    fake_settle(f);
    expect_failed(DW_CONNECT_ERROR, EMFILE);
}
END_TEST

/* tcp-attempt-bind-used: never synchronously */
START_TEST(an_unusable_local_address_is_a_bind_error) {
    dw_address bind;
    dw_address_parse(&bind, "198.51.100.1", 7);
    f->bind_error = EADDRINUSE;
    ck_assert_int_eq(
        dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 80, &g.client, 0, &bind, NULL), 0);
    expect("start connecting");
    fake_settle(f);
    expect_failed(DW_CONNECT_BIND_ERROR, EADDRINUSE);
}
END_TEST

START_TEST(a_spurious_readiness_decides_nothing) {
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, EINPROGRESS);
    decide(0, EAGAIN);
    expect("start connecting");
    decide(0, 0);
    expect("start connecting build");
}
END_TEST

/* connector-002: at 29 s nothing, at 30 s TimeoutError */
START_TEST(the_time_out_is_thirty_seconds_unless_said_otherwise) {
    begin("192.0.2.1");
    fake_advance(f, DW_SEC(30) - 1);
    expect("start connecting");
    fake_advance(f, 1);
    expect_failed(DW_TIMEOUT, ETIMEDOUT);
    ck_assert(!f->sockets[0].open);
}
END_TEST

START_TEST(a_negative_time_out_is_none) {
    connect_to("192.0.2.1", -1, NULL);
    fake_advance(f, DW_HOUR(1000));
    expect("start connecting");
    decide(0, 0);
    expect("start connecting build");
}
END_TEST

static void no_time_out_left(rec_factory *factory) {
    (void)factory;
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
}

/* "the time-out is cancelled before buildProtocol"; tcp-attempt-no-timeout-after-success */
START_TEST(the_time_out_is_cancelled_before_build_protocol) {
    g.on_build = no_time_out_left;
    connect_to("192.0.2.1", DW_SEC(1), NULL);
    fake_settle(f);
    decide(0, 0);
    fake_advance(f, DW_SEC(5));
    ck_assert_str_eq(r.log, "made");
}
END_TEST

/* ---- build_protocol ---- */

/* tcp-build-raise-client: the server sees an orderly end, connectionLost(ConnectionDone) */
START_TEST(a_protocol_that_cannot_be_built_fails_the_attempt_and_closes_in_order) {
    g.next[0] = DW_PROTOCOL_FAILED;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    expect("start connecting build failed:CONNECT_ERROR stop");
    ck_assert(!f->sockets[0].open);
    ck_assert(!f->sockets[0].reset);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connecting, 0);
}
END_TEST

/* "the client's buildProtocol returns nothing" */
START_TEST(no_protocol_is_an_orderly_end_without_protocol_callbacks) {
    g.next[0] = NULL;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    expect("start connecting build");
    fake_settle(f);
    expect("start connecting build lost:CONNECTION_DONE stop");
    ck_assert(!f->sockets[0].reset);
}
END_TEST

static void disconnect(rec_factory *factory) {
    dw_connector_disconnect(factory->connector);
}

/* "disconnect: connected: loseConnection"; in build_protocol the state is connected already */
START_TEST(every_verb_in_build_protocol_is_harmless) {
    g.on_build = disconnect;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    fake_settle(f);
    ck_assert_int_eq(strncmp(r.log, "made", 4), 0);
}
END_TEST

/* ---- Verbs ---- */

static void stop_connecting(rec_factory *factory) {
    say(factory->log, "stopping");
    ck_assert_int_eq(dw_connector_stop_connecting(factory->connector), 0);
    say(factory->log, "stopped");
}

/* tcp-attempt-stop-in-started: inside the call, and the connector is gone when connect returns */
START_TEST(stop_connecting_inside_started_connecting) {
    dw_connector *connector = (dw_connector *)&r;
    g.on_started = stop_connecting;
    ck_assert_int_eq(connect_to("192.0.2.1", 0, &connector), 0);
    expect("start connecting stopping failed:USER_ERROR stop stopped");
    ck_assert_ptr_null(connector);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
}
END_TEST

/* tcp-attempt-disconnect-at-once, tcp-turn-stop-connecting-vs-timer; at each stage of an attempt */
START_TEST(disconnect_while_connecting_reports_at_once) {
    dw_connector *connector = begin(_i == 1 ? "name.example" : "192.0.2.1");
    if (_i > 0) {
        fake_settle(f);
    }
    ck_assert_int_eq(f->lookup != NULL, _i == 1);
    dw_connector_disconnect(connector);
    expect("start connecting failed:USER_ERROR stop");
    ck_assert_ptr_null(f->lookup);
    fake_advance(f, DW_MIN(1));
    expect("start connecting failed:USER_ERROR stop");
}
END_TEST

static void refused_verbs(rec_factory *factory) {
    ck_assert_int_eq(dw_connector_stop_connecting(factory->connector), DW_NOT_CONNECTING);
    dw_connector_disconnect(factory->connector);
    say(factory->log, "end");
}

/* tcp-attempt-stop-when-failed, tcp-connector-disconnect-when-lost */
START_TEST(stop_connecting_and_disconnect_when_disconnected_do_nothing) {
    g.on_failed = g.on_lost = refused_verbs;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, ECONNREFUSED);
    expect("start connecting failed:CONNECTION_REFUSED end stop");
}
END_TEST

static void busy_verbs(rec_factory *factory) {
    ck_assert_int_eq(dw_connector_connect(factory->connector), DW_NOT_DISCONNECTED);
}

static void rec_connected_verbs(rec *self) {
    (void)self;
    ck_assert_int_eq(dw_connector_connect(g.connector), DW_NOT_DISCONNECTED);
    ck_assert_int_eq(dw_connector_stop_connecting(g.connector), DW_NOT_CONNECTING);
}

/* "connect() while connecting or connected, or inside the protocol's connectionLost";
 * tcp-attempt-stop-when-connected */
START_TEST(connect_is_refused_unless_disconnected) {
    g.on_started = g.on_build = busy_verbs;
    r.on_made = r.on_lost = rec_connected_verbs;
    begin("192.0.2.1");
    busy_verbs(&g);
    fake_settle(f);
    decide(0, 0);
    busy_verbs(&g);
    dw_connector_disconnect(g.connector);
    fake_settle(f);
    expect("start connecting build lost:CONNECTION_DONE stop");
    ck_assert_str_eq(r.log, "made lost:CONNECTION_DONE");
}
END_TEST

static void rec_disconnect(rec *self) {
    say(self->log, "disconnecting");
    dw_connector_disconnect(g.connector);
    say(self->log, "returned");
}

/* In connection_lost the connector still says "connected": the verb must not find the old one. */
START_TEST(disconnect_inside_the_callbacks_of_the_protocol) {
    r.on_made = r.on_lost = rec_disconnect;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    fake_settle(f);
    ck_assert_str_eq(r.log,
                     "made disconnecting returned lost:CONNECTION_DONE disconnecting returned");
}
END_TEST

static void connect_again(rec_factory *factory) {
    say(factory->log, "again");
    ck_assert_int_eq(dw_connector_connect(factory->connector), 0);
    say(factory->log, "returned");
    factory->on_failed = factory->on_lost = NULL;
}

/* tcp-attempt-reconnect-in-failed: nested, and no stop and start in between */
START_TEST(connecting_again_inside_failed_keeps_the_factory_going) {
    g.on_failed = connect_again;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, ECONNREFUSED);
    expect("start connecting failed:CONNECTION_REFUSED again connecting returned");
    fake_settle(f);
    decide(1, ECONNREFUSED);
    expect("start connecting failed:CONNECTION_REFUSED again connecting returned "
           "failed:CONNECTION_REFUSED stop");
}
END_TEST

static void connect_and_stop(rec_factory *factory) {
    factory->on_lost = NULL;
    ck_assert_int_eq(dw_connector_connect(factory->connector), 0);
    ck_assert_int_eq(dw_connector_stop_connecting(factory->connector), 0);
    say(factory->log, "returned");
}

/* tcp-connector-reconnect-then-stop */
START_TEST(connecting_again_and_stopping_at_once_stops_the_factory_once) {
    g.on_lost = connect_and_stop;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    f->sockets[0].in_end = true;
    fake_ready(f, 0, DW_READABLE);
    expect("start connecting build lost:CONNECTION_DONE connecting failed:USER_ERROR stop "
           "returned");
    ck_assert_uint_eq(g.client.base.num_ports, 0);
}
END_TEST

static void connect_in_stop(rec_factory *factory) {
    factory->on_stop = NULL;
    ck_assert_int_eq(dw_connector_connect(factory->connector), 0);
}

/* vectors/README.md, section 5 forgives what Twisted does here; a start is the sane answer. */
START_TEST(connecting_again_inside_stop_starts_the_factory_again) {
    g.on_stop = connect_in_stop;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, ECONNREFUSED);
    expect("start connecting failed:CONNECTION_REFUSED stop start connecting");
    ck_assert_uint_eq(g.client.base.num_ports, 1);
    dw_connector_disconnect(g.connector);
    ck_assert_uint_eq(g.client.base.num_ports, 0);
}
END_TEST

/* ---- Holding ---- */

/* tcp-connector-reconnect-later: stop and start again */
START_TEST(a_held_connector_connects_again_later) {
    dw_connector *connector = dw_connector_hold(begin("192.0.2.1"));
    fake_settle(f);
    decide(0, ECONNREFUSED);
    expect("start connecting failed:CONNECTION_REFUSED stop");
    ck_assert_int_eq(dw_connector_get_state(connector), DW_CONNECTOR_DISCONNECTED);
    ck_assert_int_eq(dw_connector_connect(connector), 0);
    expect("start connecting failed:CONNECTION_REFUSED stop start connecting");
    dw_connector_release(connector); /* now the attempt keeps it */
    fake_settle(f);
    decide(1, ECONNREFUSED);
    ck_assert_uint_eq(f->blocks, 1); /* the timers' heap */
}
END_TEST

static void hold_it(rec_factory *factory) {
    dw_connector_hold(factory->connector);
}

static void release_it(rec_factory *factory) {
    dw_connector_release(factory->connector);
}

START_TEST(the_last_release_inside_a_callback_frees_after_it) {
    g.on_started = hold_it;
    g.on_failed = release_it;
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, ECONNREFUSED);
    ck_assert_uint_eq(f->blocks, 1);
}
END_TEST

/* drywire/connector.h: "The library frees it when it is disconnected ... and nobody holds it" */
START_TEST(a_connector_that_nobody_holds_is_freed_when_its_connection_is_lost) {
    begin("192.0.2.1");
    fake_settle(f);
    decide(0, 0);
    f->sockets[0].in_end = true;
    fake_ready(f, 0, DW_READABLE);
    expect("start connecting build lost:CONNECTION_DONE stop");
    ck_assert_uint_eq(f->blocks, 1); /* the timers' heap */
}
END_TEST

START_TEST(a_held_connector_that_ended_inside_connect_is_handed_out) {
    dw_connector *connector = NULL;
    g.on_started = stop_connecting;
    g.on_failed = hold_it;
    ck_assert_int_eq(connect_to("192.0.2.1", 0, &connector), 0);
    ck_assert_ptr_nonnull(connector);
    ck_assert_str_eq(dw_connector_host(connector), "192.0.2.1");
    ck_assert_uint_eq(dw_connector_port(connector), 80);
    ck_assert_ptr_eq(dw_connector_reactor(connector), &f->reactor);
    dw_connector_release(connector);
    dw_connector_release(NULL);
}
END_TEST

/* drywire/connector.h: what was asked for is good for every attempt, wherever the text ends. */
START_TEST(the_local_address_is_that_of_every_attempt) {
    static const char *const hosts[] = {"::", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1"};
    dw_address own;
    g.on_failed = connect_again;
    dw_address_parse(&own, _i % 2 == 0 ? "198.51.100.1" : "2001:db8::99", 7);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(&f->reactor, hosts[_i / 2], 80, &g.client, 0, &own, NULL), 0);
    for (int attempt = 0; attempt < 2; attempt++) {
        fake_settle(f);
        ck_assert_int_eq(memcmp(&f->bound, &own, sizeof(own)), 0);
        ck_assert_str_eq(dw_connector_host(g.connector), hosts[_i / 2]);
        f->bound = (dw_address){0};
        decide(attempt, ECONNREFUSED);
    }
}
END_TEST

/* ---- What a client has beside its connection ---- */

/* It is there a million times: a transport and a connector, and nothing of the attempt. */
START_TEST(an_idle_client_is_two_blocks) {
    connect_to("192.0.2.1", -1, NULL);
    fake_settle(f);
    decide(0, 0);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->blocks, 2);
}
END_TEST

static void produce(rec *self) {
    ck_assert_int_eq(dw_transport_set_write_limits(rec_transport(self), 0, 1), 0);
    ck_assert_int_eq(dw_transport_register_producer(rec_transport(self), &self->producer, true), 0);
}

static void end_inside(rec *self) {
    dw_transport *t = rec_transport(self);
    dw_transport_lose_connection(t);
    ck_assert_ptr_null(rec_transport(self)); /* it was over at once */
    ck_assert_uint_eq(dw_transport_buffered(t), 0);
    dw_transport_unregister_producer(t);
    dw_transport_write(t, "late", 4);
}

/* The connection ends inside a callback of its own, and the connector is gone, or tries again,
 * before that returns; the transport is not gone yet. */
START_TEST(a_connection_outlives_its_connector) {
    dw_protocol_init(&r.protocol, &rec_aware_class);
    r.on_made = _i % 2 == 0 ? produce : NULL;
    r.on_data = end_inside;
    g.on_lost = _i >= 2 ? connect_again : NULL;
    connect_to("192.0.2.1", -1, NULL);
    fake_settle(f);
    decide(0, 0);
    dw_transport_lose_write_connection(rec_transport(&r));
    fake_settle(f);
    fake_receive(f, 0, "x", 1);
    fake_settle(f);
    ck_assert_str_eq(r.log, _i % 2 == 0 ? "made write-lost data stop lost:CONNECTION_DONE"
                                        : "made write-lost data lost:CONNECTION_DONE");
    expect(_i >= 2 ? "start connecting build lost:CONNECTION_DONE again connecting returned"
                   : "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_uint_eq(f->blocks, _i >= 2 ? 3 : 0); /* a transport, its connector, its attempt */
}
END_TEST

static void produce_unlimited(rec *self) {
    dw_transport_register_producer(rec_transport(self), &self->producer, true);
}

/* The marks of producer.h are 65,536 and 0 until the program says otherwise: of this connection. */
START_TEST(the_next_connection_has_marks_and_bytes_of_its_own) {
    static rec second;
    rec_init(&second, f);
    g.next[1] = &second.protocol;
    r.on_made = produce;
    second.on_made = produce_unlimited;
    g.on_lost = connect_again;
    connect_to("192.0.2.1", -1, NULL);
    fake_settle(f);
    decide(0, 0);
    f->sockets[0].room = 1;
    rec_write(&r, "abc");
    fake_settle(f);
    ck_assert_str_eq(r.log, "made pause");
    f->sockets[0].in_error = ECONNRESET;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_str_eq(r.log, "made pause stop lost:CONNECTION_LOST");
    fake_settle(f);
    decide(1, 0);
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(&second)), 0);
    rec_write(&second, "defg");
    fake_settle(f);
    ck_assert_str_eq(second.log, "made");
    ck_assert(fake_sent(f, 1, "defg"));
}
END_TEST

/* The reactor's end with all of that in use; teardown finds what it leaves. */
START_TEST(the_reactor_ends_with_clients_in_every_state) {
    r.on_made = _i == 3 ? produce : NULL;
    f->fail_in = _i == 0 ? 2 : 0; /* the attempt */
    begin("192.0.2.1");
    if (_i >= 2) {
        fake_settle(f);
    }
    if (_i >= 3) {
        decide(0, 0);
        f->sockets[0].room = 0;
        rec_write(&r, "never sent");
        fake_settle(f);
    }
    if (_i == 5) {
        dw_transport_fail(rec_transport(&r), &(dw_reason){DW_APP_ERROR, 0, "text"});
    }
    ck_assert_uint_eq(f->fails, _i == 0);
}
END_TEST

/* ---- Names ---- */

static void answer(int error, size_t count) {
    static dw_address addresses[12];
    char text[20];
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof(text), "192.0.2.%d", i + 1);
        dw_address_parse(&addresses[i], text, 0);
    }
    dw_lookup *lookup = f->lookup;
    ck_assert_ptr_nonnull(lookup);
    ck_assert_str_eq(lookup->name, "name.example");
    f->lookup = NULL;
    dw_lookup_done(&f->reactor, lookup, error, addresses, count);
}

static dw_address peer;

static void take_peer(rec *self) {
    peer = dw_transport_peer(rec_transport(self));
}

START_TEST(a_name_is_looked_up_and_tried_address_by_address) {
    char text[DW_ADDRESS_TEXT_MAX];
    r.on_made = take_peer;
    begin("name.example");
    fake_settle(f);
    answer(0, 3);
    decide(0, ECONNREFUSED);
    decide(1, ENETUNREACH);
    ck_assert(!f->sockets[0].open && !f->sockets[1].open);
    expect("start connecting");
    decide(2, 0);
    expect("start connecting build");
    ck_assert_str_eq(dw_address_format(&peer, text, sizeof(text)), "192.0.2.3:80");
}
END_TEST

START_TEST(when_every_address_fails_the_last_error_is_told) {
    f->connect_answer = -ECONNREFUSED;
    begin("name.example");
    fake_settle(f);
    answer(0, 12); /* more than it remembers */
    expect_failed(DW_CONNECTION_REFUSED, ECONNREFUSED);
    ck_assert_int_eq(f->socket_count, 8);
}
END_TEST

/* "name does not resolve: DNSLookupError, never synchronously" */
START_TEST(a_name_without_addresses_is_a_look_up_failure) {
    f->resolve_error = _i == 0 ? ENOENT : 0;
    begin("name.example");
    expect("start connecting");
    fake_settle(f);
    if (_i == 1) {
        answer(-ENOENT, 0);
    } else if (_i == 2) {
        answer(0, 0);
    }
    expect_failed(DW_DNS_LOOKUP, _i == 2 ? ENODATA : ENOENT);
}
END_TEST

START_TEST(the_time_out_covers_look_up_and_attempts_together) {
    begin("name.example");
    fake_advance(f, DW_SEC(20));
    answer(0, 2);
    fake_advance(f, DW_SEC(5));
    decide(0, ECONNREFUSED);
    fake_advance(f, DW_SEC(5));
    expect_failed(DW_TIMEOUT, ETIMEDOUT);
    ck_assert_ptr_null(f->lookup);
    ck_assert(!f->sockets[1].open);
}
END_TEST

START_TEST(a_time_out_ends_the_look_up) {
    begin("name.example");
    fake_advance(f, DW_SEC(30));
    expect_failed(DW_TIMEOUT, ETIMEDOUT);
    ck_assert_ptr_null(f->lookup);
}
END_TEST

/* ---- Arguments and memory ---- */

START_TEST(wrong_arguments_are_refused_and_touch_nothing) {
    char longest[1100];
    memset(longest, 'x', sizeof(longest));
    longest[1025] = '\0'; /* NI_MAXHOST counts the final NUL */
    ck_assert_int_eq(connect_to("", 0, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(connect_to(NULL, 0, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(connect_to(longest, 0, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_connect_tcp(&f->reactor, "x", 1, NULL, 0, NULL, NULL),
                     DW_INVALID_ARGUMENT);
    expect("");
    longest[1024] = '\0';
    ck_assert_int_eq(connect_to(longest, 0, NULL), 0);
}
END_TEST

START_TEST(the_host_is_copied) {
    char host[] = "192.0.2.1";
    dw_connector *connector = begin(host);
    host[0] = 'x';
    ck_assert_str_eq(dw_connector_host(connector), "192.0.2.1");
}
END_TEST

/* Every allocation of a client's whole life fails in turn: it connects, or is told why not. */
START_TEST(every_allocation_may_fail) {
    dw_connector *connector = NULL;
    f->fail_in = (unsigned)_i / 2 + 1;
    f->fail_after = _i % 2 == 1;
    if (connect_to("name.example", 0, &connector) == 0) {
        fake_settle(f);
        if (f->lookup != NULL) {
            answer(0, 2); /* the first is refused */
        }
        for (int i = 0; i < f->socket_count; i++) {
            decide(i, i == 0 ? ECONNREFUSED : 0);
        }
        if (r.log[0] != '\0') {
            rec_write(&r, "hello");
            fake_settle(f);
            dw_transport_lose_connection(rec_transport(&r));
            fake_settle(f);
        }
        ck_assert_int_eq(strncmp(g.log, "start connecting ", 17), 0);
        ck_assert_str_eq(g.log + strlen(g.log) - 4, "stop");
    } else {
        expect("");
        ck_assert_ptr_null(connector);
    }
}
END_TEST

/* Without memory to begin with. */
static dw_connector *starve(rec_factory *factory) {
    dw_connector *connector = NULL;
    f->fail_in = 2;
    ck_assert_int_eq(
        dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 80, &factory->client, 0, NULL, &connector),
        0);
    ck_assert_uint_eq(f->fail_in, 0);
    return connector;
}

static void say_first(rec_factory *factory) {
    say(factory->log, "first");
}

static void say_second(rec_factory *factory) {
    say(factory->log, "second");
}

/* As every outcome: later. One after the other, each in a turn of its own. */
START_TEST(attempts_without_memory_fail_later_and_in_order) {
    rec_factory h;
    rec_factory_init(&h, f, NULL);
    h.log = g.log;
    g.on_failed = say_first;
    h.on_failed = say_second;
    starve(&g);
    starve(&h);
    expect("start connecting start connecting");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connecting, 2);
    dw_reactor_turn(&f->reactor);
    expect("start connecting start connecting failed:NO_MEMORY first stop");
    ck_assert_int_eq(g.reason.sys_errno, ENOMEM);
    dw_reactor_turn(&f->reactor);
    expect("start connecting start connecting failed:NO_MEMORY first stop "
           "failed:NO_MEMORY second stop");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

static void starve_again(rec_factory *factory) {
    say(factory->log, "first");
    f->fail_in = 1;
    ck_assert_int_eq(dw_connector_connect(factory->connector), 0);
}

/* Who tries again at once does not keep the others from hearing of theirs. */
START_TEST(an_attempt_that_starves_again_goes_to_the_end) {
    rec_factory h;
    rec_factory_init(&h, f, NULL);
    h.log = g.log;
    g.on_started = h.on_started = NULL;
    g.on_failed = starve_again;
    h.on_failed = say_second;
    starve(&g);
    starve(&h);
    dw_reactor_turn(&f->reactor);
    dw_reactor_turn(&f->reactor);
    dw_reactor_turn(&f->reactor);
    expect("start connecting start connecting failed:NO_MEMORY first connecting "
           "failed:NO_MEMORY second stop failed:NO_MEMORY first connecting");
    g.on_failed = NULL;
    fake_settle(f);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

/* Given up before it was told, or by the reactor's stop: nothing is left to run. */
START_TEST(a_starved_attempt_can_be_given_up) {
    rec_factory h;
    rec_factory_init(&h, f, NULL);
    dw_connector *first = starve(&g);
    if (_i == 1) {
        starve(&h);
    }
    ck_assert_int_eq(dw_connector_stop_connecting(first), 0);
    expect("start connecting failed:USER_ERROR stop");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, _i == 1);
    fake_settle(f);
    expect("start connecting failed:USER_ERROR stop");
    ck_assert_str_eq(h.log, _i == 1 ? "start connecting failed:NO_MEMORY stop" : "");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core connector");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_state_in_every_callback);
    tcase_add_test(tc, nothing_but_started_connecting_comes_inside_connect);
    tcase_add_loop_test(tc, an_attempt_fails_with_the_kind_of_its_errno, 0, CONNECT_ERRORS);
    tcase_add_loop_test(tc, an_attempt_that_fails_at_once_is_reported_later_all_the_same, 0,
                        CONNECT_ERRORS);
    tcase_add_test(tc, no_descriptor_for_an_attempt_is_a_connect_error);
    tcase_add_test(tc, an_unusable_local_address_is_a_bind_error);
    tcase_add_test(tc, a_spurious_readiness_decides_nothing);
    tcase_add_test(tc, the_time_out_is_thirty_seconds_unless_said_otherwise);
    tcase_add_test(tc, a_negative_time_out_is_none);
    tcase_add_test(tc, the_time_out_is_cancelled_before_build_protocol);
    tcase_add_test(tc, a_protocol_that_cannot_be_built_fails_the_attempt_and_closes_in_order);
    tcase_add_test(tc, no_protocol_is_an_orderly_end_without_protocol_callbacks);
    tcase_add_test(tc, every_verb_in_build_protocol_is_harmless);
    tcase_add_test(tc, stop_connecting_inside_started_connecting);
    tcase_add_loop_test(tc, disconnect_while_connecting_reports_at_once, 0, 3);
    tcase_add_test(tc, stop_connecting_and_disconnect_when_disconnected_do_nothing);
    tcase_add_test(tc, connect_is_refused_unless_disconnected);
    tcase_add_test(tc, disconnect_inside_the_callbacks_of_the_protocol);
    tcase_add_test(tc, connecting_again_inside_failed_keeps_the_factory_going);
    tcase_add_test(tc, connecting_again_and_stopping_at_once_stops_the_factory_once);
    tcase_add_test(tc, connecting_again_inside_stop_starts_the_factory_again);
    tcase_add_test(tc, a_held_connector_connects_again_later);
    tcase_add_test(tc, the_last_release_inside_a_callback_frees_after_it);
    tcase_add_test(tc, a_connector_that_nobody_holds_is_freed_when_its_connection_is_lost);
    tcase_add_test(tc, a_held_connector_that_ended_inside_connect_is_handed_out);
    tcase_add_loop_test(tc, the_local_address_is_that_of_every_attempt, 0, 10);
    tcase_add_test(tc, an_idle_client_is_two_blocks);
    tcase_add_loop_test(tc, a_connection_outlives_its_connector, 0, 4);
    tcase_add_test(tc, the_next_connection_has_marks_and_bytes_of_its_own);
    tcase_add_loop_test(tc, the_reactor_ends_with_clients_in_every_state, 0, 6);
    tcase_add_test(tc, a_name_is_looked_up_and_tried_address_by_address);
    tcase_add_test(tc, when_every_address_fails_the_last_error_is_told);
    tcase_add_loop_test(tc, a_name_without_addresses_is_a_look_up_failure, 0, 3);
    tcase_add_test(tc, the_time_out_covers_look_up_and_attempts_together);
    tcase_add_test(tc, a_time_out_ends_the_look_up);
    tcase_add_test(tc, wrong_arguments_are_refused_and_touch_nothing);
    tcase_add_test(tc, the_host_is_copied);
    tcase_add_loop_test(tc, every_allocation_may_fail, 0, 16);
    tcase_add_test(tc, attempts_without_memory_fail_later_and_in_order);
    tcase_add_test(tc, an_attempt_that_starves_again_goes_to_the_end);
    tcase_add_loop_test(tc, a_starved_attempt_can_be_given_up, 0, 2);
    return run_case(tc);
}
