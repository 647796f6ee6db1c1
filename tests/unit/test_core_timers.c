/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls (core/src/timers.c) by example: their order, cancelling and moving, the ends of
 * time, the clock. Expectations: vectors/README.md, "Timers of the reactor", "Turns of the loop"
 * and section 4: 14, and drywire/delayed_call.h.
 */
#include "timer_calls.h"

/* ---- Order ---- */

/* clock-timer-zero-order, clock-000: equal due times run in the order of arming */
START_TEST(equal_due_times_run_in_order_of_arming) {
    fake *f = calls_new();
    arm(&c, DW_SEC(1));
    arm(&a, DW_SEC(1));
    arm(&d, 0);
    arm(&b, DW_SEC(1));
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(fired, "d c a b");
    fake_fini(f);
}
END_TEST

/* clock-timer-late: what became due while a callback was busy runs in order of due time */
START_TEST(late_calls_run_in_due_order) {
    fake *f = calls_new();
    arm(&a, DW_MSEC(20));
    arm(&b, DW_MSEC(10));
    arm(&c, DW_MSEC(200));
    f->now += DW_MSEC(60);
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(fired, "b a");
    fake_advance(f, DW_MSEC(140));
    ck_assert_str_eq(fired, "b a c");
    fake_fini(f);
}
END_TEST

static void arm_other_now(call *self) {
    arm(self->other, 0);
}

/* clock-timer-zero-nested */
START_TEST(a_call_armed_without_delay_inside_a_call_waits_for_the_next_turn) {
    fake *f = calls_new();
    a.then = arm_other_now;
    a.other = &d;
    arm(&a, 0);
    arm(&b, 0);
    arm(&c, 0);
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(fired, "a b c");
    ck_assert_int_eq(dw_reactor_next_due(&f->reactor), 0);
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(fired, "a b c d");
    fake_fini(f);
}
END_TEST

static void arm_and_reset_other(call *self) {
    arm(self->other, DW_SEC(5));
    self->result = dw_delayed_call_reset(&self->other->call, 0);
}

/* drywire/delayed_call.h: "armed during a turn, even with delay 0, runs in a later turn". A clock
 * that stands still must not make a difference between the wires. */
START_TEST(a_call_reset_to_now_inside_a_call_waits_for_the_next_turn) {
    fake *f = calls_new();
    a.then = arm_and_reset_other;
    a.other = &b;
    arm(&a, 0);
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(fired, "a");
    ck_assert_int_eq(a.result, 0);
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(fired, "a b");
    fake_fini(f);
}
END_TEST

static void rearm_self(call *self) {
    arm(self, 0);
}

START_TEST(a_call_that_rearms_itself_runs_once_per_turn) {
    fake *f = calls_new();
    a.then = rearm_self;
    arm(&a, 0);
    for (int i = 0; i < 3; i++) {
        dw_reactor_turn(&f->reactor);
    }
    ck_assert_str_eq(fired, "a a a");
    ck_assert(dw_delayed_call_active(&a.call));
    fake_fini(f);
}
END_TEST

/* ---- Cancelling and moving ---- */

static void cancel_other(call *self) {
    self->result = dw_delayed_call_cancel(&self->other->call);
}

/* clock-timer-cancel-other-same-turn, for both queues */
START_TEST(a_call_due_in_the_same_turn_can_be_cancelled) {
    for (int delay = 0; delay < 2; delay++) {
        fake *f = calls_new();
        a.then = cancel_other;
        a.other = &b;
        arm(&a, delay);
        arm(&b, delay);
        arm(&c, delay);
        f->now += delay;
        dw_reactor_turn(&f->reactor);
        ck_assert_str_eq(fired, "a c");
        ck_assert_int_eq(a.result, 0);
        fake_fini(f);
    }
}
END_TEST

static void self_verbs(call *self) {
    ck_assert(!dw_delayed_call_active(&self->call));
    ck_assert_int_eq(dw_delayed_call_cancel(&self->call), DW_ALREADY_CALLED);
    ck_assert_int_eq(dw_delayed_call_reset(&self->call, 1), DW_ALREADY_CALLED);
    ck_assert_int_eq(dw_delayed_call_delay(&self->call, 1), DW_ALREADY_CALLED);
}

/* clock-timer-cancel-self, clock-timer-cancel-called */
START_TEST(inside_and_after_its_callback_a_call_was_called) {
    fake *f = calls_new();
    a.then = self_verbs;
    arm(&a, DW_MSEC(20));
    ck_assert(dw_delayed_call_active(&a.call));
    fake_advance(f, DW_MSEC(20));
    ck_assert_str_eq(fired, "a");
    self_verbs(&a);
    ck_assert_int_eq(dw_delayed_call_time(&a.call), DW_MSEC(20));
    fake_fini(f);
}
END_TEST

/* clock-timer-cancel-twice, clock-timer-cancel */
START_TEST(after_cancel_a_call_was_cancelled) {
    fake *f = calls_new();
    arm(&a, DW_MSEC(50));
    ck_assert_int_eq(dw_delayed_call_cancel(&a.call), 0);
    ck_assert(!dw_delayed_call_active(&a.call));
    ck_assert_int_eq(dw_delayed_call_cancel(&a.call), DW_ALREADY_CANCELLED);
    ck_assert_int_eq(dw_delayed_call_reset(&a.call, 1), DW_ALREADY_CANCELLED);
    ck_assert_int_eq(dw_delayed_call_delay(&a.call, 1), DW_ALREADY_CANCELLED);
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(fired, "");
    arm(&a, 1);
    fake_advance(f, 1);
    ck_assert_str_eq(fired, "a");
    fake_fini(f);
}
END_TEST

/* drywire/delayed_call.h: "also ... for one that was never armed" */
START_TEST(a_call_that_was_never_armed_counts_as_called) {
    dw_delayed_call never = {0};
    ck_assert_int_eq(dw_delayed_call_cancel(&never), DW_ALREADY_CALLED);
    ck_assert_int_eq(dw_delayed_call_reset(&never, 1), DW_ALREADY_CALLED);
    ck_assert_int_eq(dw_delayed_call_delay(&never, 1), DW_ALREADY_CALLED);
    ck_assert(!dw_delayed_call_active(&never));
}
END_TEST

/* clock-timer-reset-later, clock-timer-delay-twice */
START_TEST(reset_counts_from_now_and_delay_from_the_due_time) {
    fake *f = calls_new();
    arm(&a, DW_MSEC(50));
    arm(&b, DW_MSEC(50));
    f->now = DW_MSEC(10);
    ck_assert_int_eq(dw_delayed_call_reset(&a.call, DW_MSEC(150)), 0);
    ck_assert_int_eq(dw_delayed_call_time(&a.call), DW_MSEC(160));
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, DW_MSEC(50)), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, DW_MSEC(80)), 0);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), DW_MSEC(180));
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(fired, "a b");
    fake_fini(f);
}
END_TEST

START_TEST(reset_and_delay_may_move_a_call_to_the_front) {
    fake *f = calls_new();
    arm(&a, DW_SEC(1));
    arm(&b, DW_SEC(2));
    arm(&c, DW_SEC(3));
    ck_assert_int_eq(dw_delayed_call_reset(&c.call, DW_MSEC(1)), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, DW_MSEC(-1999)), 0);
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(fired, "c b a");
    fake_fini(f);
}
END_TEST

/* The queue without delays is a list, the rest a heap: a call may change over, and be in the middle
 * or at either end of the list. */
START_TEST(calls_leave_the_queue_without_delays_from_anywhere) {
    fake *f = calls_new();
    arm(&a, 0);
    arm(&b, 0);
    arm(&c, 0);
    arm(&d, 0);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 4);
    ck_assert_int_eq(dw_delayed_call_reset(&b.call, DW_SEC(1)), 0);
    ck_assert_int_eq(dw_delayed_call_cancel(&a.call), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&d.call, DW_SEC(2)), 0);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 3);
    fake_settle(f);
    ck_assert_str_eq(fired, "c");
    arm(&a, 0);
    fake_advance(f, DW_SEC(2));
    ck_assert_str_eq(fired, "c a b d");
    fake_fini(f);
}
END_TEST

static void fire_other(void *user) {
    (void)user;
    say(fired, "other");
}

/* drywire/delayed_call.h: "A call that is pending already is moved and gets the new function" */
START_TEST(arming_a_pending_call_moves_it_and_changes_its_function) {
    fake *f = calls_new();
    arm(&a, DW_SEC(1));
    arm(&b, DW_SEC(2));
    dw_reactor_call_later(&f->reactor, &a.call, DW_SEC(3), fire_other, NULL);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 2);
    fake_advance(f, DW_SEC(3));
    ck_assert_str_eq(fired, "b other");
    fake_fini(f);
}
END_TEST

START_TEST(arming_a_pending_call_at_another_reactor_moves_it_there) {
    fake *f = calls_new();
    fake *g = fake_new();
    arm(&a, DW_SEC(1));
    dw_reactor_call_later(&g->reactor, &a.call, DW_SEC(1), fire, &a);
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(fired, "");
    fake_advance(g, DW_SEC(1));
    ck_assert_str_eq(fired, "a");
    fake_fini(f);
    fake_fini(g);
}
END_TEST

/* clock-timer-negative: an AssertionError; and the others run */
START_TEST(a_negative_delay_breaks_the_contract) {
    fake *f = calls_new();
    arm(&a, -1);
    ck_assert_uint_eq(f->violations, 1);
    arm(&b, 1);
    dw_delayed_call_reset(&b.call, -1);
    ck_assert_uint_eq(f->violations, 2);
    fake_settle(f);
    ck_assert_str_eq(fired, "a b"); /* taken for 0 */
    fake_fini(f);
}
END_TEST

START_TEST(the_call_due_next_is_named_by_where_it_was_armed) {
    fake *f = calls_new();
    ck_assert_ptr_null(dw_reactor_pending_call(&f->reactor));
    dw_reactor_call_later_at(&f->reactor, &a.call, 2, fire, &a, "late");
    dw_reactor_call_later_at(&f->reactor, &b.call, 1, fire, &b, "early");
    ck_assert_str_eq(dw_reactor_pending_call(&f->reactor), "early");
    fake_fini(f);
}
END_TEST

/* ---- The ends of time ---- */

START_TEST(the_end_of_time_is_not_passed) {
    fake *f = calls_new();
    f->now = DW_SEC(100);
    arm(&a, DW_TIME_MAX);
    arm(&b, DW_TIME_MAX - DW_SEC(100));
    arm(&c, 1);
    ck_assert_int_eq(dw_delayed_call_time(&a.call), DW_TIME_MAX);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), DW_TIME_MAX);
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, 1), 0);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), DW_TIME_MAX);
    ck_assert_int_eq(dw_delayed_call_reset(&b.call, DW_TIME_MAX), 0);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), DW_TIME_MAX);
    fake_advance(f, DW_HOUR(1));
    ck_assert_str_eq(fired, "c");
    ck_assert_int_eq(dw_reactor_next_due(&f->reactor), DW_TIME_MAX);
    fake_fini(f);
}
END_TEST

/* INT64_MIN + INT64_MIN does not exist */
START_TEST(the_beginning_of_time_is_not_passed) {
    fake *f = calls_new();
    f->now = DW_SEC(1);
    arm(&a, DW_SEC(1));
    arm(&b, DW_SEC(1));
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, INT64_MIN), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&b.call, INT64_MIN), 0);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), INT64_MIN);
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
    ck_assert_str_eq(fired, "b");
    fake_fini(f);
}
END_TEST

static void move_other_to_the_past(call *self) {
    dw_delayed_call_delay(&self->other->call, INT64_MIN);
}

START_TEST(the_loop_does_not_sleep_over_a_call_in_the_distant_past) {
    fake *f = calls_new();
    f->now = DW_SEC(1);
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, DW_SEC(1)), 0);
    ck_assert_int_eq(f->now, DW_SEC(2));
    arm(&b, DW_SEC(1));
    move_other_to_the_past(&(call){.other = &b});
    dw_reactor_iterate(&f->reactor, DW_SEC(1));
    ck_assert_str_eq(fired, "b");
    arm(&a, 0);
    a.then = move_other_to_the_past;
    a.other = &b;
    arm(&b, DW_SEC(1));
    dw_time before = f->now;
    dw_reactor_iterate(&f->reactor, DW_SEC(1));
    dw_reactor_iterate(&f->reactor, 0);
    ck_assert_str_eq(fired, "b a b");
    ck_assert_int_le(f->now - before, DW_SEC(1));
    fake_fini(f);
}
END_TEST

/* ---- The clock: drywire/delayed_call.h, "What now is" ---- */

static dw_time clock_dues[4];

/* Blocks for 5 ns after each of two calls, then asks for the time. */
static void arm_and_block(call *self) {
    fake *f = self->f;
    arm(&b, 100);
    clock_dues[0] = dw_delayed_call_time(&b.call) - f->now;
    f->now += 5;
    arm(&c, 100);
    clock_dues[1] = dw_delayed_call_time(&c.call) - f->now;
    f->now += 5;
    dw_reactor_now(&f->reactor);
    dw_delayed_call_reset(&b.call, 100);
    clock_dues[2] = dw_delayed_call_time(&b.call) - f->now;
    f->now += 5;
}

static void arm_anew(call *self) {
    arm(&c, 100);
    clock_dues[3] = dw_delayed_call_time(&c.call) - self->f->now;
}

START_TEST(one_callback_reads_the_clock_once) {
    fake *f = calls_new();
    arm(&a, 1);
    arm(&d, 1);
    a.then = arm_and_block;
    d.then = arm_anew;
    f->now++;
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
    ck_assert_str_eq(fired, "a d");
    ck_assert_int_eq(clock_dues[0], 100);
    ck_assert_int_eq(clock_dues[1], 95);
    ck_assert_int_eq(clock_dues[2], 100);
    ck_assert_int_eq(clock_dues[3], 100);
    fake_fini(f);
}
END_TEST

static void arm_many(call *self) {
    for (int i = 0; i < 130; i++) {
        arm(&b, 1000);
        self->f->now++;
    }
    clock_dues[0] = dw_delayed_call_time(&b.call) - self->f->now;
}

/* Each takes one: so the last one is at most 64 behind. */
START_TEST(a_callback_that_arms_many_calls_reads_the_clock_again) {
    fake *f = calls_new();
    arm(&a, 1);
    a.then = arm_many;
    f->now++;
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
    ck_assert_int_ge(clock_dues[0], 1000 - 65);
    ck_assert_int_lt(clock_dues[0], 1000);
    fake_fini(f);
}
END_TEST

START_TEST(outside_the_loop_the_clock_is_read_each_time) {
    fake *f = calls_new();
    arm(&a, 100);
    f->now += 5;
    arm(&b, 100);
    ck_assert_int_eq(dw_delayed_call_time(&b.call), f->now + 100);
    fake_fini(f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core timers");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, equal_due_times_run_in_order_of_arming);
    tcase_add_test(tc, late_calls_run_in_due_order);
    tcase_add_test(tc, a_call_armed_without_delay_inside_a_call_waits_for_the_next_turn);
    tcase_add_test(tc, a_call_reset_to_now_inside_a_call_waits_for_the_next_turn);
    tcase_add_test(tc, a_call_that_rearms_itself_runs_once_per_turn);
    tcase_add_test(tc, a_call_due_in_the_same_turn_can_be_cancelled);
    tcase_add_test(tc, inside_and_after_its_callback_a_call_was_called);
    tcase_add_test(tc, after_cancel_a_call_was_cancelled);
    tcase_add_test(tc, a_call_that_was_never_armed_counts_as_called);
    tcase_add_test(tc, reset_counts_from_now_and_delay_from_the_due_time);
    tcase_add_test(tc, reset_and_delay_may_move_a_call_to_the_front);
    tcase_add_test(tc, calls_leave_the_queue_without_delays_from_anywhere);
    tcase_add_test(tc, arming_a_pending_call_moves_it_and_changes_its_function);
    tcase_add_test(tc, arming_a_pending_call_at_another_reactor_moves_it_there);
    tcase_add_test(tc, a_negative_delay_breaks_the_contract);
    tcase_add_test(tc, the_end_of_time_is_not_passed);
    tcase_add_test(tc, the_beginning_of_time_is_not_passed);
    tcase_add_test(tc, the_loop_does_not_sleep_over_a_call_in_the_distant_past);
    tcase_add_test(tc, the_call_due_next_is_named_by_where_it_was_armed);
    tcase_add_test(tc, one_callback_reads_the_clock_once);
    tcase_add_test(tc, a_callback_that_arms_many_calls_reads_the_clock_again);
    tcase_add_test(tc, outside_the_loop_the_clock_is_read_each_time);
    return run_case(tc);
}
