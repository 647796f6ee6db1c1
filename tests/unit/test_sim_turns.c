/* SPDX-License-Identifier: MIT */
/*
 * Turns of a host's reactor within one instant. A turn is due calls, then input, and each
 * connection receives once in it (vectors/README.md, "Turns of the loop"), so what call_later(0)
 * asks for in data_received comes before that connection's next word, be it there already. Which of
 * a call and a packet is first that both fall due at one instant is open: a poll that wakes up for
 * both reports the packet before the next turn's calls; one whose time was over just before does
 * not.
 */
#include "sim_support.h"

static pair p;
static side other, other_server;
static dw_delayed_call call;
static char seen[200];

static void note(const char *what) {
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof(seen) - len, "%s%s", len > 0 ? ", " : "", what);
}

static void called(void *user) {
    (void)user;
    note("call");
}

static void soon(side *s) {
    dw_reactor_call_later(s->reactor, &call, 0, called, NULL);
}

static void got(side *s, const uint8_t *data, size_t len) {
    char text[20];
    snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)data);
    note(text);
    if (!dw_delayed_call_active(&call)) {
        soon(s);
    }
}

static void made(side *s) {
    note("made");
    soon(s);
}

static void lost(side *s) {
    (void)s;
    note("lost");
}

static void watch(side *s) {
    s->on_data = got;
    s->on_lost = lost;
}

static void begin(dw_world *w) {
    memset(&call, 0, sizeof(call));
    seen[0] = '\0';
    pair_connect(&p, w);
    watch(&p.server);
}

/* vectors: tcp-turn-data-then-end */
CALM_TEST(a_call_comes_between_data_and_the_end_behind_it) {
    begin(w);
    side_write(&p.client, "data");
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(seen, "data, call, lost");
    ck_assert_int_eq(p.server.lost_at, p.server.data_at);
}

static void say_two(void *user) {
    side_write(user, "two");
}

/* Not in one segment with the first. */
static void say_one_and_two(dw_world *w) {
    side_write(&p.client, "one");
    dw_world_after(w, 0, say_two, &p.client);
    dw_world_run(w, DW_SEC(1));
}

CALM_TEST(a_call_comes_between_two_segments_of_one_instant) {
    begin(w);
    say_one_and_two(w);
    ck_assert_uint_eq(p.server.data_calls, 2);
    ck_assert_str_eq(seen, "one, call, two, call");
}

/* The connection is made in one turn, its first data comes in the next. */
CALM_TEST(a_call_comes_between_accepting_and_the_first_data) {
    memset(&call, 0, sizeof(call));
    seen[0] = '\0';
    pair_hosts(&p, w);
    watch(&p.server);
    p.server.on_made = made;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(2));
    side_write(&p.client, "data"); /* arrives with the ACK */
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(seen, "made, call, data, call");
    ck_assert_int_eq(p.server.made_at, p.server.data_at);
}

/* One poll reports both; the calls are the next turn's. */
CALM_TEST(two_connections_are_told_in_one_turn) {
    begin(w);
    side_init(&other, p.client.reactor);
    side_init(&other_server, p.server.reactor);
    watch(&other_server);
    side_listen(&other_server, 81, 0);
    side_connect(&other, "10.0.0.1", 81);
    dw_world_run(w, DW_SEC(1));
    side_write(&p.client, "one");
    side_write(&other, "other");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(seen, "one, other, call");
}

/* ---- What the call in between does ---- */

static void kills(void *user) {
    note("kill");
    dw_host_kill(user);
}

static void closes(void *user) {
    note("close");
    dw_transport_abort_connection(((side *)user)->protocol.transport);
}

static void got_then_kills(side *s, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    dw_reactor_call_later(s->reactor, &call, 0, kills, p.server_host);
}

static void got_then_closes(side *s, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    dw_reactor_call_later(s->reactor, &call, 0, closes, s);
}

CALM_TEST(it_may_kill_the_host) {
    begin(w);
    p.server.on_data = got_then_kills;
    say_one_and_two(w);
    ck_assert_str_eq(seen, "kill");
    ck_assert_uint_eq(p.server.data_calls, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST); /* "two" was not read */
}

CALM_TEST(it_may_end_the_connection) {
    begin(w);
    p.server.on_data = got_then_closes;
    say_one_and_two(w);
    ck_assert_str_eq(seen, "close, lost");
    ck_assert_uint_eq(p.server.data_calls, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
}

/* ---- Every order of simultaneous events ---- */

/* `texts` are all that may be seen, one a line. */
static void expect_one_of(void (*scenario)(dw_world *w), const char *texts, unsigned kinds_seen) {
    unsigned found = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_source source = seeded(seed);
        played result;
        char line[sizeof(seen) + 2];
        source.kinds = 1u << SIM_ORDER;
        play(scenario, source, false, &result);
        expect_good(&result);
        played_free(&result);
        snprintf(line, sizeof(line), "%s\n", seen);
        const char *at = strstr(texts, line);
        ck_assert_msg(at != NULL, "seed %llu: %s", (unsigned long long)seed, line);
        found |= 1u << (at - texts);
    }
    ck_assert_uint_eq((unsigned)__builtin_popcount(found), kinds_seen);
}

static void data_and_end(dw_world *w) {
    begin(w);
    side_write(&p.client, "data");
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(no_order_brings_the_end_before_the_call) {
    expect_one_of(data_and_end, "data, call, lost\n", 1);
}
END_TEST

/* Both are due after a millisecond; first in, first out when calm. */
static void call_and_packet(dw_world *w) {
    begin(w);
    dw_reactor_call_later(p.server.reactor, &call, DW_MSEC(1), called, NULL);
    side_write(&p.client, "data");
    dw_world_run(w, DW_SEC(1));
}

CALM_TEST(a_call_that_was_armed_first_comes_first) {
    call_and_packet(w);
    ck_assert_str_eq(seen, "call, data, call");
}

START_TEST(a_packet_of_the_same_instant_may_come_first) {
    expect_one_of(call_and_packet, "call, data, call, lost\ndata, call, lost\n", 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_turns");
    TCase *tc = tcase_create("turns");
    tcase_add_test(tc, a_call_comes_between_data_and_the_end_behind_it);
    tcase_add_test(tc, a_call_comes_between_two_segments_of_one_instant);
    tcase_add_test(tc, a_call_comes_between_accepting_and_the_first_data);
    tcase_add_test(tc, two_connections_are_told_in_one_turn);
    tcase_add_test(tc, it_may_kill_the_host);
    tcase_add_test(tc, it_may_end_the_connection);
    tcase_add_test(tc, no_order_brings_the_end_before_the_call);
    tcase_add_test(tc, a_call_that_was_armed_first_comes_first);
    tcase_add_test(tc, a_packet_of_the_same_instant_may_come_first);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
