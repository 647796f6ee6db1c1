/* SPDX-License-Identifier: MIT */
/*
 * dw_timeout, by the table "TimeoutMixin" in vectors/README.md, section 3.
 */
#include "../suite.h"

#include <check.h>
#include <drywire/sim.h>
#include <drywire/timeout.h>

static dw_test_transport *t;
static dw_reactor *reactor;
static int fired;
static dw_time fired_at;

struct session {
    dw_protocol base;
    dw_timeout timeout;
};
static struct session session;

static const dw_protocol_class session_class = {.name = "session"};

static void note_fire(dw_protocol *p) {
    ck_assert_ptr_eq(p, &session.base);
    fired++;
    fired_at = dw_reactor_now(reactor);
}

static void fire_and_rearm(dw_protocol *p) {
    note_fire(p);
    dw_timeout_set(&session.timeout, DW_SEC(2));
}

static void setup(void) {
    t = dw_test_transport_new();
    reactor = dw_test_transport_reactor(t);
    fired = 0;
    dw_protocol_init(&session.base, &session_class);
    dw_timeout_init(&session.timeout, reactor, &session.base, note_fire);
}

static void teardown(void) {
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 0);
    dw_test_transport_free(t);
}

static void advance(dw_time by) {
    dw_test_transport_advance(t, by);
}

START_TEST(it_fires_once_at_its_time) {
    dw_timeout_set(&session.timeout, DW_SEC(5));
    advance(DW_SEC(5) - 1);
    ck_assert_int_eq(fired, 0);
    advance(1);
    ck_assert_int_eq(fired, 1);
    ck_assert_int_eq(fired_at, DW_SEC(5));
    advance(DW_SEC(50));
    ck_assert_int_eq(fired, 1);
}
END_TEST

START_TEST(set_returns_the_period_before) {
    ck_assert_int_eq(dw_timeout_set(&session.timeout, DW_SEC(3)), DW_TIMEOUT_OFF);
    ck_assert_int_eq(dw_timeout_set(&session.timeout, 0), DW_SEC(3));
    ck_assert_int_eq(dw_timeout_set(&session.timeout, DW_TIMEOUT_OFF), 0);
    ck_assert_int_eq(dw_timeout_off(&session.timeout), DW_TIMEOUT_OFF);
    ck_assert_int_eq(dw_timeout_set(&session.timeout, DW_SEC(1)), DW_TIMEOUT_OFF);
    advance(DW_SEC(1));
    ck_assert_int_eq(dw_timeout_period(&session.timeout), DW_SEC(1));
    ck_assert_int_eq(dw_timeout_off(&session.timeout), DW_SEC(1));
}
END_TEST

START_TEST(setting_again_begins_anew_and_cancels_the_first) {
    dw_timeout_set(&session.timeout, DW_SEC(5));
    advance(DW_SEC(4));
    dw_timeout_set(&session.timeout, DW_SEC(2));
    advance(DW_SEC(1));
    ck_assert_int_eq(fired, 0);
    advance(DW_SEC(1));
    ck_assert_int_eq(fired, 1);
    advance(DW_SEC(10));
    ck_assert_int_eq(fired, 1);
}
END_TEST

START_TEST(reset_begins_anew_with_the_same_period) {
    dw_timeout_set(&session.timeout, DW_SEC(5));
    advance(DW_SEC(4));
    dw_timeout_reset(&session.timeout);
    advance(DW_SEC(5) - 1);
    ck_assert_int_eq(fired, 0);
    ck_assert(dw_timeout_pending(&session.timeout));
    advance(1);
    ck_assert_int_eq(fired, 1);
    ck_assert(!dw_timeout_pending(&session.timeout));
}
END_TEST

START_TEST(reset_does_nothing_when_off_or_run_out) {
    dw_timeout_reset(&session.timeout);
    advance(DW_SEC(100));
    dw_timeout_set(&session.timeout, DW_SEC(1));
    dw_timeout_off(&session.timeout);
    dw_timeout_reset(&session.timeout);
    advance(DW_SEC(100));
    ck_assert_int_eq(fired, 0);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    advance(DW_SEC(1));
    dw_timeout_reset(&session.timeout);
    advance(DW_SEC(100));
    ck_assert_int_eq(fired, 1);
}
END_TEST

START_TEST(zero_fires_in_a_later_turn_of_the_same_instant) {
    dw_timeout_set(&session.timeout, 0);
    ck_assert_int_eq(fired, 0);
    advance(0);
    ck_assert_int_eq(fired, 1);
}
END_TEST

START_TEST(its_callback_may_set_it_again) {
    dw_timeout_init(&session.timeout, reactor, &session.base, fire_and_rearm);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    advance(DW_SEC(6));
    ck_assert_int_eq(fired, 3); /* at 1, 3, 5 s, each at its own due time */
    ck_assert_int_eq(fired_at, DW_SEC(5));
    dw_timeout_off(&session.timeout);
}
END_TEST

START_TEST(without_a_callback_it_loses_the_connection) {
    dw_timeout_init(&session.timeout, reactor, &session.base, NULL);
    dw_test_transport_connect(t, &session.base);
    dw_transport_write(session.base.transport, "bye", 3);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    advance(DW_SEC(1));
    ck_assert(!dw_test_transport_connected(t));
    ck_assert_int_eq(dw_test_transport_reason(t), DW_CONNECTION_DONE);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "bye");
}
END_TEST

START_TEST(the_end_of_the_connection_does_not_stop_it) {
    dw_test_transport_connect(t, &session.base);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    dw_test_transport_lose(t, 0);
    advance(DW_SEC(1));
    ck_assert_int_eq(fired, 1);
    dw_timeout_init(&session.timeout, reactor, &session.base, NULL);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    advance(DW_SEC(1)); /* without a transport there is nothing to lose */
}
END_TEST

START_TEST(zeroed_memory_can_be_switched_off) {
    dw_timeout zero = {0};
    ck_assert_int_eq(dw_timeout_off(&zero), DW_TIMEOUT_OFF);
    ck_assert_int_eq(dw_timeout_period(&zero), DW_TIMEOUT_OFF);
    dw_timeout_reset(&zero);
    ck_assert(!dw_timeout_pending(&zero));
}
END_TEST

START_TEST(nothing_is_allocated_beyond_the_reactors_own) {
    dw_test_transport_fail_alloc(t, 1, true);
    dw_timeout_set(&session.timeout, DW_SEC(1));
    advance(DW_SEC(1));
    ck_assert_int_eq(fired, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("timeout");
    TCase *tc = tcase_create("timeout");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, it_fires_once_at_its_time);
    tcase_add_test(tc, set_returns_the_period_before);
    tcase_add_test(tc, setting_again_begins_anew_and_cancels_the_first);
    tcase_add_test(tc, reset_begins_anew_with_the_same_period);
    tcase_add_test(tc, reset_does_nothing_when_off_or_run_out);
    tcase_add_test(tc, zero_fires_in_a_later_turn_of_the_same_instant);
    tcase_add_test(tc, its_callback_may_set_it_again);
    tcase_add_test(tc, without_a_callback_it_loses_the_connection);
    tcase_add_test(tc, the_end_of_the_connection_does_not_stop_it);
    tcase_add_test(tc, zeroed_memory_can_be_switched_off);
    tcase_add_test(tc, nothing_is_allocated_beyond_the_reactors_own);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
