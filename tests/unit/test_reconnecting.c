/* SPDX-License-Identifier: MIT */
/*
 * The reconnecting client factory, by vectors/README.md, section 3 "ReconnectingClientFactory" and
 * section 4: 15, on core's scripted wire. Delays without jitter are worked out by hand.
 */
#include "test_core_wire.h"

#include <drywire/reconnecting.h>

static fake *f;
static dw_reconnecting_client_factory again;
static dw_protocol protocol;
static char notes[REC_LOG_MAX];
static bool reset_when_built;

static void note(const char *word) {
    say(notes, word);
}

static void expect(const char *words) {
    ck_assert_str_eq(notes, words);
    notes[0] = '\0';
}

static void made(dw_protocol *p) {
    (void)p;
    note("made");
}

static const dw_protocol_class protocol_class = {.name = "client", .connection_made = made};

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    if (reset_when_built) {
        dw_reconnecting_reset_delay(&again);
    }
    dw_protocol_init(&protocol, &protocol_class);
    return &protocol;
}

static void start(dw_factory *factory) {
    (void)factory;
    note("start");
}

static void stop(dw_factory *factory) {
    (void)factory;
    note("stop");
}

static void started(dw_client_factory *factory, dw_connector *connector) {
    (void)factory, (void)connector;
    note("connecting");
}

static void failed(dw_client_factory *factory, dw_connector *connector, const dw_reason *reason) {
    note("failed");
    dw_reconnecting_client_connection_failed(factory, connector, reason);
}

static const dw_client_factory_class class = {
    .base = {.name = "client", .build_protocol = build, .start = start, .stop = stop},
    .started_connecting = started,
    .client_connection_failed = failed,
};

static void setup(void) {
    f = fake_new();
    dw_reactor_startup(&f->reactor);
    notes[0] = '\0';
    reset_when_built = false;
    dw_reconnecting_client_factory_init(&again, &class);
    again.jitter_ppb = 0;
    again.factor = (dw_ratio){2, 1};
}

/* The reactor stops: nothing may be left of the factory, whatever it was doing. */
static void teardown(void) {
    dw_reactor_shutdown(&f->reactor);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
    fake_fini(f);
}

static dw_connector *connect_it(void) {
    dw_connector *connector = NULL;
    int error =
        dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 80, &again.base, -1, NULL, &connector);
    ck_assert_int_eq(error, 0);
    fake_settle(f);
    return connector;
}

/* The attempt that is under way ends: 0, or an errno. */
static void decide(int error) {
    f->connected = -error;
    fake_ready(f, f->socket_count - 1, DW_WRITABLE);
}

static void refuse(void) {
    decide(ECONNREFUSED);
}

static void peer_closes(void) {
    f->sockets[f->socket_count - 1].in_end = true;
    fake_ready(f, f->socket_count - 1, DW_READABLE);
    fake_settle(f);
}

static dw_time waits(void) {
    dw_time due = dw_reconnecting_due(&again);
    return due == DW_TIME_MAX ? -1 : due - f->now;
}

/* Waits as long as it should, and the next attempt begins. */
static void wait_for(dw_time delay) {
    ck_assert_int_eq(waits(), delay);
    fake_advance(f, delay - 1);
    expect("");
    fake_advance(f, 1);
    expect("start connecting");
}

/* ---- Delays ---- */

START_TEST(the_first_wait_is_multiplied_already_and_each_next_one_again) {
    connect_it();
    expect("start connecting");
    for (int i = 1; i <= 6; i++) {
        refuse();
        expect("failed stop");
        wait_for(DW_SEC(1 << i));
    }
}
END_TEST

START_TEST(no_wait_is_over_the_maximum) {
    again.max_delay = DW_MSEC(5500);
    connect_it();
    notes[0] = '\0';
    static const int64_t expected[] = {2000, 4000, 5500, 5500};
    for (int i = 0; i < 4; i++) {
        refuse();
        expect("failed stop");
        wait_for(DW_MSEC(expected[i]));
    }
}
END_TEST

START_TEST(the_maximum_may_be_below_the_first) {
    again.max_delay = DW_MSEC(1500);
    connect_it();
    refuse();
    ck_assert_int_eq(waits(), DW_MSEC(1500));
}
END_TEST

START_TEST(the_stock_factor_is_e_to_nine_digits_through_the_whole_back_off) {
    again.factor = (dw_ratio){28245729, 10391023};
    /* e^1 .. e^8 in nanoseconds, then the maximum of an hour */
    static const int64_t expected[] = {2718281828,    7389056099,    20085536923,
                                       54598150033,   148413159103,  403428793493,
                                       1096633158428, 2980957987042, 3600000000000};
    connect_it();
    for (int i = 0; i < 9; i++) {
        refuse();
        int64_t off = waits() - expected[i];
        ck_assert_int_le((off < 0 ? -off : off) * 1000000000, expected[i] + 1000000000);
        fake_advance(f, waits());
    }
}
END_TEST

START_TEST(small_delays_lose_nothing_to_rounding) {
    again.initial_delay = 1; /* 1.5^40 ns is 11057332.32 */
    again.factor = (dw_ratio){3, 2};
    connect_it();
    for (int i = 0; i < 39; i++) {
        refuse();
        fake_advance(f, waits());
    }
    refuse();
    ck_assert_int_ge(waits(), 11057331 - 1500); /* 2^-16 ns of it are lost 40 times */
    ck_assert_int_le(waits(), 11057333);
}
END_TEST

START_TEST(absurd_settings_stay_within_the_limit) {
    again.initial_delay = DW_TIME_MAX;
    again.max_delay = DW_TIME_MAX;
    again.factor = (dw_ratio){UINT64_MAX, 1};
    connect_it();
    refuse();
    ck_assert_int_eq(waits(), DW_RECONNECTING_DELAY_LIMIT);
    fake_advance(f, waits());
    again.factor = (dw_ratio){UINT64_MAX, UINT64_MAX};
    refuse();
    ck_assert_int_eq(waits(), DW_RECONNECTING_DELAY_LIMIT);
}
END_TEST

START_TEST(a_fraction_below_one_is_fine) {
    again.factor = (dw_ratio){1, UINT64_MAX};
    connect_it();
    refuse();
    ck_assert_int_eq(waits(), 0);
}
END_TEST

/* ---- Jitter ---- */

static uint8_t random_byte;

static void same_bytes(dw_reactor *reactor, void *buffer, size_t len) {
    (void)reactor;
    memset(buffer, random_byte, len);
}

static dw_time jittered_first_wait(uint8_t byte, uint32_t jitter_ppb) {
    static dw_wire wire;
    wire = *f->reactor.wire;
    wire.random = same_bytes;
    f->reactor.wire = &wire;
    random_byte = byte;
    again.jitter_ppb = jitter_ppb;
    connect_it();
    refuse();
    return waits();
}

START_TEST(the_middle_of_the_draws_moves_nothing) {
    /* 12 * 0x80808080 is 6 * 2^32 * (1 + 2^-8 + ...): 0.0235 deviations over the middle */
    dw_time wait = jittered_first_wait(0x80, 100000000);
    ck_assert_int_ge(wait, DW_MSEC(2000));
    ck_assert_int_le(wait, DW_MSEC(2005));
}
END_TEST

START_TEST(the_extremes_are_six_deviations_away) {
    dw_time least = jittered_first_wait(0, 100000000); /* 2 s - 6 * 0.2 s */
    ck_assert_int_eq(least, DW_MSEC(800));
}
END_TEST

START_TEST(the_most_is_six_deviations_away) {
    dw_time most = jittered_first_wait(0xff, 100000000); /* nearly 2 s + 6 * 0.2 s */
    ck_assert_int_ge(most, DW_MSEC(3200) - 10);
    ck_assert_int_le(most, DW_MSEC(3200));
}
END_TEST

START_TEST(no_jitter_makes_a_delay_negative) {
    ck_assert_int_eq(jittered_first_wait(0, UINT32_MAX), 0);
}
END_TEST

/* ---- When to try again ---- */

START_TEST(a_lost_connection_is_tried_again_and_success_does_not_set_the_delay_back) {
    connect_it();
    refuse();
    fake_advance(f, DW_SEC(2));
    decide(0);
    notes[0] = '\0';
    peer_closes();
    expect("stop");
    wait_for(DW_SEC(4));
}
END_TEST

START_TEST(reset_delay_sets_it_back) {
    reset_when_built = true;
    connect_it();
    for (int i = 0; i < 3; i++) {
        decide(0);
        peer_closes();
        notes[0] = '\0';
        wait_for(DW_SEC(2));
    }
}
END_TEST

START_TEST(after_the_last_retry_there_is_silence_until_reset_delay_and_retry) {
    again.max_retries = 2;
    connect_it();
    refuse();
    fake_advance(f, DW_SEC(2));
    refuse();
    fake_advance(f, DW_SEC(4));
    refuse();
    notes[0] = '\0';
    ck_assert_int_eq(waits(), -1);
    fake_advance(f, DW_HOUR(2));
    ck_assert_int_eq(dw_reconnecting_retry(&again), 0);
    ck_assert_int_eq(waits(), -1);
    dw_reconnecting_reset_delay(&again);
    ck_assert_int_eq(dw_reconnecting_retry(&again), 0);
    wait_for(DW_SEC(2));
}
END_TEST

START_TEST(no_retries_at_all) {
    again.max_retries = 0;
    connect_it();
    refuse();
    ck_assert_int_eq(waits(), -1);
    expect("start connecting failed stop");
}
END_TEST

START_TEST(what_the_application_stops_is_tried_again) {
    dw_connector *connector = connect_it();
    dw_connector_disconnect(connector);
    expect("start connecting failed stop");
    wait_for(DW_SEC(2));
}
END_TEST

START_TEST(retry_without_a_known_connector_is_an_error) {
    ck_assert_int_eq(dw_reconnecting_retry(&again), DW_NOT_CONNECTED);
    connect_it();
    ck_assert_int_eq(dw_reconnecting_retry(&again), DW_NOT_CONNECTED);
    refuse();
    ck_assert_int_eq(dw_reconnecting_retry(&again), 0); /* begins its wait anew */
    ck_assert_int_eq(waits(), DW_SEC(4));
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 1);
}
END_TEST

START_TEST(one_that_was_connected_meanwhile_is_left_alone) {
    dw_connector *connector = connect_it();
    refuse();
    ck_assert_int_eq(dw_connector_connect(connector), 0);
    fake_advance(f, DW_SEC(10));
    ck_assert_int_eq(dw_connector_get_state(connector), DW_CONNECTOR_CONNECTING);
    expect("start connecting failed stop start connecting");
}
END_TEST

/* ---- stop_trying ---- */

START_TEST(stop_trying_while_waiting_takes_the_retry_back) {
    connect_it();
    refuse();
    dw_reconnecting_stop_trying(&again);
    ck_assert_int_eq(waits(), -1);
    ck_assert_int_eq(dw_reconnecting_retry(&again), 0);
    fake_advance(f, DW_SEC(100));
    expect("start connecting failed stop");
    dw_reconnecting_reset_delay(&again); /* and trying is on again */
    ck_assert_int_eq(dw_reconnecting_retry(&again), 0);
    wait_for(DW_SEC(2));
}
END_TEST

START_TEST(stop_trying_after_reset_delay_takes_the_retry_back_too) {
    connect_it();
    refuse();
    dw_reconnecting_reset_delay(&again);
    ck_assert_int_eq(waits(), DW_SEC(2));
    dw_reconnecting_stop_trying(&again);
    fake_advance(f, DW_SEC(100));
    expect("start connecting failed stop");
}
END_TEST

START_TEST(stop_trying_while_connecting_fails_the_attempt) {
    connect_it();
    refuse();
    fake_advance(f, DW_SEC(2));
    notes[0] = '\0';
    dw_reconnecting_stop_trying(&again);
    expect("failed stop");
    fake_advance(f, DW_SEC(100));
    expect("");
}
END_TEST

START_TEST(before_the_first_failure_stop_trying_leaves_the_attempt_alone) {
    connect_it();
    dw_reconnecting_stop_trying(&again);
    expect("start connecting");
    decide(0);
    expect("made");
    peer_closes();
    expect("stop");
    ck_assert_int_eq(waits(), -1);
}
END_TEST

START_TEST(stop_trying_while_connected_leaves_the_connection_alone) {
    connect_it();
    refuse();
    fake_advance(f, DW_SEC(2));
    decide(0);
    dw_reconnecting_stop_trying(&again);
    ck_assert(protocol.connected);
    peer_closes();
    ck_assert_int_eq(waits(), -1);
}
END_TEST

/* ---- The end ---- */

START_TEST(shutdown_while_waiting_leaves_nothing) {
    connect_it();
    refuse();
    ck_assert_int_ge(waits(), 0);
    size_t blocks = f->blocks;
    dw_reactor_shutdown(&f->reactor);
    ck_assert_int_eq(waits(), -1);
    ck_assert_uint_lt(f->blocks, blocks); /* the connector went */
    ck_assert_int_eq(dw_reconnecting_retry(&again), DW_NOT_CONNECTED);
}
END_TEST

START_TEST(shutdown_while_connecting_or_connected_begins_no_wait) {
    connect_it();
    dw_reactor_shutdown(&f->reactor);
    expect("start connecting failed stop");
    ck_assert_int_eq(waits(), -1);
    dw_reactor_startup(&f->reactor);
    connect_it();
    decide(0);
    dw_reactor_shutdown(&f->reactor);
    expect("start connecting made stop");
    ck_assert_int_eq(waits(), -1);
}
END_TEST

START_TEST(after_shutdown_a_reactor_that_runs_again_serves_again) {
    connect_it();
    refuse();
    dw_reactor_shutdown(&f->reactor);
    dw_reactor_startup(&f->reactor);
    notes[0] = '\0';
    connect_it();
    refuse();
    expect("start connecting failed stop");
    wait_for(DW_SEC(4)); /* the back-off goes on */
}
END_TEST

START_TEST(after_fini_the_memory_may_go) {
    connect_it();
    refuse();
    dw_reconnecting_client_factory_fini(&again);
    dw_reconnecting_client_factory_fini(&again);
    memset(&again, 0x5a, sizeof(again));
    fake_advance(f, DW_SEC(100));
    dw_reactor_shutdown(&f->reactor);
}
END_TEST

START_TEST(a_retry_without_memory_for_the_attempt_is_a_failure_like_others) {
    connect_it();
    refuse();
    f->fail_in = 1; /* the attempt's transport */
    fake_advance(f, DW_SEC(2));
    expect("start connecting failed stop start connecting failed stop");
    ck_assert_int_eq(waits(), DW_SEC(4));
}
END_TEST

static void two(dw_reactor *reactor, const char *oracle, const char *message) {
    (void)reactor;
    ck_assert_str_eq(oracle, "contract");
    note(strstr(message, "two connectors") != NULL ? "two" : message);
}

START_TEST(two_connectors_at_once_are_a_broken_contract) {
    static dw_wire wire;
    wire = *f->reactor.wire;
    wire.violation = two;
    f->reactor.wire = &wire;
    connect_it();
    refuse();
    connect_it();
    notes[0] = '\0';
    refuse();
    expect("failed two stop");
}
END_TEST

START_TEST(without_callbacks_of_its_own_a_class_gets_the_stock_ones) {
    static const dw_client_factory_class bare = {.base = {.name = "bare", .build_protocol = build}};
    dw_reconnecting_client_factory_init(&again, &bare);
    again.jitter_ppb = 0;
    connect_it();
    refuse();
    ck_assert_int_eq(waits(), 2718281828);
    fake_advance(f, waits());
    decide(0);
    peer_closes();
    ck_assert_int_gt(waits(), DW_SEC(7));
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("reconnecting");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_first_wait_is_multiplied_already_and_each_next_one_again);
    tcase_add_test(tc, no_wait_is_over_the_maximum);
    tcase_add_test(tc, the_maximum_may_be_below_the_first);
    tcase_add_test(tc, the_stock_factor_is_e_to_nine_digits_through_the_whole_back_off);
    tcase_add_test(tc, small_delays_lose_nothing_to_rounding);
    tcase_add_test(tc, absurd_settings_stay_within_the_limit);
    tcase_add_test(tc, a_fraction_below_one_is_fine);
    tcase_add_test(tc, the_middle_of_the_draws_moves_nothing);
    tcase_add_test(tc, the_extremes_are_six_deviations_away);
    tcase_add_test(tc, the_most_is_six_deviations_away);
    tcase_add_test(tc, no_jitter_makes_a_delay_negative);
    tcase_add_test(tc, a_lost_connection_is_tried_again_and_success_does_not_set_the_delay_back);
    tcase_add_test(tc, reset_delay_sets_it_back);
    tcase_add_test(tc, after_the_last_retry_there_is_silence_until_reset_delay_and_retry);
    tcase_add_test(tc, no_retries_at_all);
    tcase_add_test(tc, what_the_application_stops_is_tried_again);
    tcase_add_test(tc, retry_without_a_known_connector_is_an_error);
    tcase_add_test(tc, one_that_was_connected_meanwhile_is_left_alone);
    tcase_add_test(tc, stop_trying_while_waiting_takes_the_retry_back);
    tcase_add_test(tc, stop_trying_after_reset_delay_takes_the_retry_back_too);
    tcase_add_test(tc, stop_trying_while_connecting_fails_the_attempt);
    tcase_add_test(tc, before_the_first_failure_stop_trying_leaves_the_attempt_alone);
    tcase_add_test(tc, stop_trying_while_connected_leaves_the_connection_alone);
    tcase_add_test(tc, shutdown_while_waiting_leaves_nothing);
    tcase_add_test(tc, shutdown_while_connecting_or_connected_begins_no_wait);
    tcase_add_test(tc, after_shutdown_a_reactor_that_runs_again_serves_again);
    tcase_add_test(tc, after_fini_the_memory_may_go);
    tcase_add_test(tc, a_retry_without_memory_for_the_attempt_is_a_failure_like_others);
    tcase_add_test(tc, two_connectors_at_once_are_a_broken_contract);
    tcase_add_test(tc, without_callbacks_of_its_own_a_class_gets_the_stock_ones);
    return run_case(tc);
}
