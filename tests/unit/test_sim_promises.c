/* SPDX-License-Identifier: MIT */
/*
 * Promises on the dry wire: whose are tried, when, with what, and that trying leaves no trace in
 * the run. That each one finds its bug, and no other oracle does, is tests/planted's.
 */
#include "sim_support.h"

/* ---- A server: counts what is done to its protocols ---- */

static struct server {
    dw_factory factory;
    dw_wrapping_factory outer;
    dw_reactor *reactor;
    const dw_protocol_class *cls;
    unsigned built, data_calls;
} server;

typedef struct conn {
    dw_protocol base;
    char *hoard;
    size_t len;
} conn;

static void conn_echo(dw_protocol *p, const uint8_t *data, size_t len) {
    server.data_calls++;
    dw_transport_write(p->transport, data, len);
}

static void conn_destroy(dw_protocol *p) {
    conn *c = DW_CONTAINER_OF(p, conn, base);
    dw_free(server.reactor, c->hoard);
    dw_free(server.reactor, c);
}

static dw_protocol *conn_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    server.built++;
    conn *c = dw_new(server.reactor, conn);
    if (c != NULL) {
        dw_protocol_init(&c->base, server.cls);
    }
    return c != NULL ? &c->base : DW_PROTOCOL_FAILED;
}

static const dw_promises invariants = {.segment_invariant = true,
                                       .window_invariant = true,
                                       .pipeline_invariant = true,
                                       .replies_after_eof = true,
                                       .framed = true,
                                       .fresh_reconnect = true};

static const dw_factory_class quiet_factory = {.name = "factory", .build_protocol = conn_build};
static const dw_factory_class proud_factory = {
    .name = "factory", .build_protocol = conn_build, .promises = &invariants};
static const dw_protocol_class quiet_conn = {
    .name = "conn", .data_received = conn_echo, .destroy = conn_destroy};
static const dw_protocol_class proud_conn = {
    .name = "conn", .data_received = conn_echo, .destroy = conn_destroy, .promises = &invariants};

static pair p; /* only its client is used */

static void serve(dw_world *w, const dw_factory_class *factory, const dw_protocol_class *cls,
                  bool wrapped) {
    memset(&server, 0, sizeof(server));
    server.cls = cls;
    p.server_host = dw_world_add_host(w, "server", NULL, NULL);
    p.client_host = dw_world_add_host(w, "client", NULL, NULL);
    server.reactor = dw_host_reactor(p.server_host);
    dw_factory_init(&server.factory, factory);
    dw_factory *outer = &server.factory;
    if (wrapped) {
        dw_wrapping_factory_init(&server.outer, &dw_wrapping_factory_plain, server.reactor, outer);
        outer = &server.outer.base.base;
    }
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, outer, 0, NULL, NULL), 0);
    side_init(&p.client, dw_host_reactor(p.client_host));
    side_connect(&p.client, "server", 80);
    dw_world_run(w, DW_MSEC(5));
}

static void say(dw_world *w, const char *text) {
    if (p.client.protocol.transport != NULL) {
        side_write(&p.client, text);
    }
    dw_world_run(w, DW_MSEC(5));
}

/* The outcome of a scenario in its calm run, its timeline with the hashes. */
static played calm_run(void (*run)(dw_world *w), const char *off) {
    played result;
    dw_scenario scenario = {.name = "promises", .run = run, .oracles_off = off};
    sim_runner *runner = sim_runner_new();
    play_scenario(runner, &scenario, calm(), true, &result);
    sim_runner_free(runner);
    return result;
}

static void expect_oracle(void (*run)(dw_world *w), const char *oracle, const char *words) {
    played r = calm_run(run, NULL);
    ck_assert_msg(r.outcome.failed, "nothing was found\n%s", r.timeline);
    ck_assert_str_eq(r.outcome.oracle, oracle);
    ck_assert_msg(strstr(r.timeline, words) != NULL, "not '%s' in\n%s", words, r.timeline);
    played_free(&r);
}

static void expect_silence(void (*run)(dw_world *w)) {
    played r = calm_run(run, NULL);
    expect_good(&r);
    played_free(&r);
}

/* ---- Trying leaves no trace ---- */

static void quiet_run(dw_world *w) {
    serve(w, &quiet_factory, &quiet_conn, false);
    say(w, "one");
    say(w, "two");
}

static void proud_run(dw_world *w) {
    serve(w, &proud_factory, &quiet_conn, false);
    say(w, "one");
    say(w, "two");
}

START_TEST(a_run_with_promises_has_the_same_timeline_and_hash) {
    played quiet = calm_run(quiet_run, NULL);
    ck_assert_uint_eq(server.built, 1);
    played proud = calm_run(proud_run, NULL);
    ck_assert_uint_gt(server.built, 6); /* one for each play: it was tried */
    expect_good(&quiet);
    expect_good(&proud);
    ck_assert_str_eq(quiet.timeline, proud.timeline);
    ck_assert_uint_eq(quiet.outcome.hash, proud.outcome.hash);
    ck_assert_uint_eq(quiet.outcome.events, proud.outcome.events);
    played_free(&quiet);
    played_free(&proud);
}
END_TEST

static void proud_conn_run(dw_world *w) {
    serve(w, &quiet_factory, &proud_conn, false);
    say(w, "one");
}

START_TEST(the_class_of_the_protocol_may_promise_too) {
    expect_silence(proud_conn_run);
    ck_assert_uint_gt(server.built, 6);
}
END_TEST

static void wrapped_run(dw_world *w) {
    serve(w, &quiet_factory, &proud_conn, true);
    say(w, "one");
}

START_TEST(a_protocol_inside_a_wrapper_is_tried_without_it) {
    expect_silence(wrapped_run);
    ck_assert_uint_gt(server.built, 6);
    ck_assert_uint_eq(dw_wrapping_factory_count(&server.outer), 0);
}
END_TEST

static void silent_run(dw_world *w) {
    serve(w, &proud_factory, &quiet_conn, false);
    say(w, "");
}

START_TEST(a_connection_that_received_nothing_is_not_tried) {
    expect_silence(silent_run);
    ck_assert_uint_eq(server.built, 1);
}
END_TEST

static void killed_run(dw_world *w) {
    proud_run(w);
    dw_host_kill(p.server_host);
}

static void restarted_run(dw_world *w) {
    proud_run(w);
    dw_host_kill(p.server_host);
    dw_host_restart(p.server_host);
}

static void stopped_run(dw_world *w) {
    proud_run(w);
    dw_host_stop(p.server_host);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_factory_that_may_be_gone_is_not_touched) {
    expect_silence(killed_run);
    ck_assert_uint_eq(server.built, 1);
    expect_silence(restarted_run);
    ck_assert_uint_eq(server.built, 1);
    expect_silence(stopped_run);
    ck_assert_uint_eq(server.built, 1);
}
END_TEST

/* ---- What a protocol asserts while it is tried is not the run's ---- */

static dw_world *the_world;

static void asserting_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    conn_echo(protocol, data, len);
    dw_always(the_world, server.data_calls <= 1, "only one piece ever comes");
    if (server.data_calls > 1) {
        dw_world_fail(the_world, "more than one piece came");
    }
}

static void asserting_run(dw_world *w) {
    static const dw_promises promises = {.window_invariant = true};
    static const dw_protocol_class cls = {.name = "asserting",
                                          .data_received = asserting_data,
                                          .destroy = conn_destroy,
                                          .promises = &promises};
    the_world = w;
    serve(w, &quiet_factory, &cls, false);
    say(w, "one");
}

START_TEST(assertions_count_in_the_run_only) {
    expect_silence(asserting_run);
    ck_assert_uint_gt(server.data_calls, 1);
}
END_TEST

/* ---- One that cannot be compared ---- */

static dw_protocol *once_build(dw_factory *factory, const dw_address *peer) {
    return server.built == 0 ? conn_build(factory, peer) : NULL;
}

static void once_run(dw_world *w) {
    static const dw_factory_class once = {
        .name = "once", .build_protocol = once_build, .promises = &invariants};
    serve(w, &once, &quiet_conn, false);
    say(w, "one");
}

START_TEST(a_factory_that_refuses_breaks_no_promise) {
    expect_silence(once_run);
}
END_TEST

/* Gives up on a peer that takes nothing: 100 bytes unsent are too many. */
static void strict_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    conn_echo(protocol, data, len);
    if (dw_transport_buffered(protocol->transport) > 100 && server.data_calls % 2 == 0) {
        dw_transport_abort_connection(protocol->transport);
    }
}

static void strict_run(dw_world *w) {
    static const dw_promises promises = {.window_invariant = true};
    static const dw_protocol_class cls = {.name = "strict",
                                          .data_received = strict_data,
                                          .destroy = conn_destroy,
                                          .promises = &promises};
    char text[81];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    serve(w, &quiet_factory, &cls, false);
    say(w, text);
    say(w, text);
}

START_TEST(a_limit_on_unsent_bytes_is_no_breach_of_window_invariance) {
    expect_silence(strict_run);
}
END_TEST

/* ---- Limits ---- */

static void hoarding_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    conn *c = DW_CONTAINER_OF(protocol, conn, base);
    char *more = dw_resize(server.reactor, c->hoard, c->len + len);
    if (more != NULL) {
        memcpy(more + c->len, data, len);
        c->hoard = more;
        c->len += len;
    }
}

static const dw_promises modest = {.memory_max = 40};
static const dw_protocol_class hoarding = {.name = "hoarding",
                                           .data_received = hoarding_data,
                                           .destroy = conn_destroy,
                                           .promises = &modest};

static void hoard_40(dw_world *w) {
    serve(w, &quiet_factory, &hoarding, false);
    for (int i = 0; i < 4; i++) {
        say(w, "ten bytes.");
    }
}

static void hoard_41(dw_world *w) {
    hoard_40(w);
    say(w, "!");
}

START_TEST(memory_is_counted_by_connection_up_to_the_last_byte) {
    expect_silence(hoard_40);
    expect_oracle(hoard_41, "memory-limit", "promised 40 bytes");
}
END_TEST

static void unsent_run(dw_world *w) {
    static const dw_protocol_class cls = {.name = "echoing",
                                          .data_received = conn_echo,
                                          .destroy = conn_destroy,
                                          .promises = &modest};
    dw_world_set_buffers(w, 16, 4096); /* the echo finds no room */
    serve(w, &quiet_factory, &cls, false);
    say(w, "");
    dw_transport_pause_producing(p.client.protocol.transport);
    for (int i = 0; i < 500; i++) {
        say(w, "ten bytes.");
    }
}

START_TEST(what_is_unsent_counts_as_memory) {
    expect_oracle(unsent_run, "memory-limit", "promised 40 bytes");
}
END_TEST

static size_t line_len(const uint8_t *input, size_t len) {
    const uint8_t *end = memchr(input, '\n', len);
    return end != NULL ? (size_t)(end - input) + 1 : 0;
}

static const dw_promises punctual = {.message_deadline = DW_SEC(2), .message_len = line_len};
static const dw_protocol_class idling = {
    .name = "idling", .data_received = conn_echo, .destroy = conn_destroy, .promises = &punctual};

static void lines_in_time(dw_world *w) {
    serve(w, &quiet_factory, &idling, false);
    for (int i = 0; i < 5; i++) {
        say(w, i % 2 == 0 ? "a line\n" : "half, ");
        dw_world_run(w, DW_MSEC(900));
    }
}

static void bytes_but_no_line(dw_world *w) {
    serve(w, &quiet_factory, &idling, false);
    for (int i = 0; i < 5; i++) {
        say(w, "half, ");
        dw_world_run(w, DW_MSEC(900));
    }
}

static void stalled_while_it_waits(dw_world *w) {
    serve(w, &quiet_factory, &idling, false);
    dw_world_run(w, DW_SEC(1));
    dw_host_stall(p.server_host, DW_SEC(10));
    dw_world_run(w, DW_MSEC(10500));
}

static void ended_by_the_peer(dw_world *w) {
    serve(w, &quiet_factory, &idling, false);
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(10));
}

START_TEST(a_deadline_counts_whole_messages) {
    expect_silence(lines_in_time);
    expect_oracle(bytes_but_no_line, "deadline", "idling");
    expect_silence(stalled_while_it_waits);
    expect_silence(ended_by_the_peer);
}
END_TEST

static void pausing_made(dw_protocol *protocol) {
    dw_transport_pause_producing(protocol->transport);
}

static void paused_run(dw_world *w) {
    static const dw_protocol_class cls = {.name = "pausing",
                                          .connection_made = pausing_made,
                                          .destroy = conn_destroy,
                                          .promises = &punctual};
    serve(w, &quiet_factory, &cls, false);
    dw_world_run(w, DW_SEC(10));
}

START_TEST(a_protocol_that_does_not_read_has_no_deadline) {
    expect_silence(paused_run);
}
END_TEST

/* ---- Switches ---- */

START_TEST(an_oracle_can_be_switched_off) {
    static const char *const off[] = {"deadline", "leak,deadline", "deadline,framed"};
    for (size_t i = 0; i < 3; i++) {
        played r = calm_run(bytes_but_no_line, off[i]);
        expect_good(&r);
        played_free(&r);
    }
    static const char *const on[] = {"dead", "deadlines", "deadline2,leak", ""};
    for (size_t i = 0; i < 4; i++) {
        played r = calm_run(bytes_but_no_line, on[i]);
        ck_assert(r.outcome.failed);
        played_free(&r);
    }
}
END_TEST

/* ---- Stock receivers ---- */

static struct netstrings {
    dw_netstring_receiver receiver;
    dw_factory factory;
    unsigned built, strings;
} netstrings;

static void netstrings_received(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    (void)r, (void)string, (void)len;
    netstrings.strings++;
}

static dw_protocol *netstrings_build(dw_factory *factory, const dw_address *peer) {
    static const dw_netstring_receiver_class cls = {
        .base = {.name = "netstrings", DW_NETSTRING_RECEIVER_SLOTS},
        .string_received = netstrings_received};
    (void)factory, (void)peer;
    netstrings.built++;
    dw_netstring_receiver_init(&netstrings.receiver, &cls);
    return &netstrings.receiver.base;
}

static void netstrings_run(dw_world *w) {
    static const dw_factory_class cls = {.name = "netstrings", .build_protocol = netstrings_build};
    memset(&netstrings, 0, sizeof(netstrings));
    pair_hosts(&p, w);
    dw_factory_init(&netstrings.factory, &cls);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(p.server.reactor, 81, &netstrings.factory, 0, NULL, NULL), 0);
    side_connect(&p.client, "server", 81);
    dw_world_run(w, DW_MSEC(5));
    say(w, "3:one,3:tw");
    say(w, "o,5:three,");
}

START_TEST(a_stock_receiver_is_tried_without_its_program) {
    expect_silence(netstrings_run);
    ck_assert_uint_eq(netstrings.built, 1);
    ck_assert_uint_eq(netstrings.strings, 3);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_promises");
    TCase *tc = tcase_create("promises");
    tcase_add_test(tc, a_run_with_promises_has_the_same_timeline_and_hash);
    tcase_add_test(tc, the_class_of_the_protocol_may_promise_too);
    tcase_add_test(tc, a_protocol_inside_a_wrapper_is_tried_without_it);
    tcase_add_test(tc, a_connection_that_received_nothing_is_not_tried);
    tcase_add_test(tc, a_factory_that_may_be_gone_is_not_touched);
    tcase_add_test(tc, assertions_count_in_the_run_only);
    tcase_add_test(tc, a_factory_that_refuses_breaks_no_promise);
    tcase_add_test(tc, a_limit_on_unsent_bytes_is_no_breach_of_window_invariance);
    tcase_add_test(tc, memory_is_counted_by_connection_up_to_the_last_byte);
    tcase_add_test(tc, what_is_unsent_counts_as_memory);
    tcase_add_test(tc, a_deadline_counts_whole_messages);
    tcase_add_test(tc, a_protocol_that_does_not_read_has_no_deadline);
    tcase_add_test(tc, an_oracle_can_be_switched_off);
    tcase_add_test(tc, a_stock_receiver_is_tried_without_its_program);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
