/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls (core/src/timers.c): by example, and against a naive model that keeps an unsorted
 * table and searches it. Expectations: vectors/README.md, "Timers of the reactor", "Turns of the
 * loop" and section 4: 14, and drywire/delayed_call.h.
 */
#include "test_core_wire.h"

/* A call that notes its name, then does something. */
typedef struct call {
    dw_delayed_call call;
    fake *f;
    const char *name;
    void (*then)(struct call *c);
    struct call *other;
    int result;
} call;

static char fired[REC_LOG_MAX];
static call a, b, c, d;

static void fire(void *user) {
    call *self = user;
    say(fired, self->name);
    if (self->then != NULL) {
        self->then(self);
    }
}

static void arm(call *self, dw_time delay) {
    dw_reactor_call_later(&self->f->reactor, &self->call, delay, fire, self);
}

static fake *calls_new(void) {
    fake *f = fake_new();
    fired[0] = '\0';
    a = (call){.f = f, .name = "a"};
    b = (call){.f = f, .name = "b"};
    c = (call){.f = f, .name = "c"};
    d = (call){.f = f, .name = "d"};
    return f;
}

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

/* ---- Memory ---- */

enum { MANY = 200 };

static void note_index(void *user) {
    char text[12];
    snprintf(text, sizeof(text), "%d", *(int *)user);
    say(fired, text);
}

/* drywire/delayed_call.h: "arming, moving and cancelling never fail" */
START_TEST(without_memory_calls_still_run_in_order) {
    fake *f = calls_new();
    static dw_delayed_call calls[MANY];
    static int index[MANY];
    char expected[REC_LOG_MAX] = "";
    memset(calls, 0, sizeof(calls));
    f->fail_in = (unsigned)_i;
    f->fail_after = true;
    for (int i = 0; i < MANY; i++) {
        index[i] = i;
        dw_time delay = 1 + (i * 7) % MANY; /* 7 and 200 have no common factor: all different */
        dw_reactor_call_later(&f->reactor, &calls[i], delay, note_index, &index[i]);
    }
    ck_assert_uint_gt(f->fails, 0);
    for (int due = 0; due < MANY; due++) {
        for (int i = 0; i < MANY; i++) {
            if ((i * 7) % MANY == due && i % 10 != 0) {
                char text[12];
                snprintf(text, sizeof(text), "%d", i);
                say(expected, text);
            }
        }
    }
    for (int i = 0; i < MANY; i += 10) {
        ck_assert_int_eq(dw_delayed_call_cancel(&calls[i]), 0);
    }
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, MANY - MANY / 10);
    fake_advance(f, MANY);
    ck_assert_str_eq(fired, expected);
    fake_fini(f);
}
END_TEST

START_TEST(fini_takes_back_pending_calls_of_every_queue) {
    fake *f = calls_new();
    arm(&a, DW_SEC(1));
    f->fail_in = 1;
    f->fail_after = true;
    static dw_delayed_call more[MANY];
    memset(more, 0, sizeof(more));
    for (int i = 0; i < MANY; i++) {
        dw_reactor_call_later(&f->reactor, &more[i], DW_SEC(1), note_index, NULL);
    }
    arm(&b, 0);
    fake_fini(f);
    ck_assert_int_eq(dw_delayed_call_cancel(&a.call), DW_ALREADY_CANCELLED);
    ck_assert_int_eq(dw_delayed_call_cancel(&b.call), DW_ALREADY_CANCELLED);
    ck_assert_int_eq(dw_delayed_call_cancel(&more[MANY - 1]), DW_ALREADY_CANCELLED);
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

/* ---- Many ---- */

enum { MILLION = 1000000 };

static size_t ran;
static dw_time last_due;

static void count_in_order(void *user) {
    dw_time due = dw_delayed_call_time(user);
    ck_assert(due >= last_due);
    last_due = due;
    ran++;
}

START_TEST(a_million_calls_run_in_order) {
    fake *f = fake_new();
    dw_delayed_call *calls = calloc(MILLION, sizeof(*calls));
    ck_assert_ptr_nonnull(calls);
    ran = 0;
    last_due = 0;
    for (uint64_t i = 0; i < MILLION; i++) {
        dw_time delay = (dw_time)(i * 2654435761u % 1000003u);
        dw_reactor_call_later(&f->reactor, &calls[i], delay, count_in_order, &calls[i]);
    }
    f->now = 1000003;
    dw_reactor_turn(&f->reactor);
    ck_assert_uint_eq(ran, MILLION);
    free(calls);
    fake_fini(f);
}
END_TEST

/* At most half of all nodes and 64 are of calls that were taken back: so with 10 others a table of
 * 256 has to do. */
START_TEST(scheduling_and_cancelling_for_ever_needs_no_more_memory) {
    fake *f = calls_new();
    static dw_delayed_call calls[10];
    memset(calls, 0, sizeof(calls));
    for (int i = 0; i < 10; i++) {
        dw_reactor_call_later(&f->reactor, &calls[i], DW_SEC(1000 + i), note_index, NULL);
    }
    for (int i = 0; i < 100000; i++) {
        arm(&a, DW_SEC(1 + i % 2000)); /* before and behind the others */
        ck_assert_int_eq(dw_delayed_call_cancel(&a.call), 0);
        if (_i != 0) {
            ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
        }
    }
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 10);
    ck_assert_uint_le(f->reactor.timers.room, 256);
    fake_fini(f);
}
END_TEST

/* 10 of 5,000 stay. At most half of all nodes and 64 are dead, so 2 * 10 + 2 * 64 are left. */
START_TEST(what_was_taken_back_is_dropped) {
    fake *f = calls_new();
    static dw_delayed_call calls[5000];
    memset(calls, 0, sizeof(calls));
    for (int i = 0; i < 5000; i++) {
        dw_reactor_call_later(&f->reactor, &calls[i], DW_SEC(1 + i), note_index, NULL);
    }
    for (int i = 0; i < 4990; i++) {
        ck_assert_int_eq(dw_delayed_call_cancel(&calls[i]), 0);
    }
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 10);
    ck_assert_uint_le(f->reactor.timers.count, 148);
    ck_assert_int_eq(dw_reactor_next_due(&f->reactor), DW_SEC(4991));
    fake_fini(f);
}
END_TEST

/* The time-outs of 1,000 connections, moved for ever. */
START_TEST(resetting_for_ever_needs_no_more_memory) {
    fake *f = calls_new();
    static dw_delayed_call calls[1000];
    memset(calls, 0, sizeof(calls));
    for (int i = 0; i < 1000; i++) {
        dw_reactor_call_later(&f->reactor, &calls[i], DW_SEC(60), note_index, NULL);
    }
    for (int i = 0; i < 1000000; i++) {
        f->now++;
        ck_assert_int_eq(dw_delayed_call_reset(&calls[i * 7 % 1000], DW_SEC(1 + i % 59)), 0);
    }
    ck_assert_uint_le(f->reactor.timers.room, 1024);
    fake_fini(f);
}
END_TEST

enum { CROWD = 5000, CROWD_STEPS = 60000 };

typedef struct crowd_call {
    dw_delayed_call call;
    dw_time due;
    uint64_t order; /* of arming or moving */
} crowd_call;

static crowd_call crowd[CROWD];
static crowd_call *expected_next[CROWD];
static size_t expected_count, crowd_ran_count;

static void crowd_ran(void *user) {
    ck_assert_uint_lt(crowd_ran_count, expected_count);
    ck_assert_ptr_eq(user, expected_next[crowd_ran_count]);
    crowd_ran_count++;
}

static int by_due_and_order(const void *left, const void *right) {
    const crowd_call *l = *(crowd_call *const *)left, *r = *(crowd_call *const *)right;
    if (l->due != r->due) {
        return l->due < r->due ? -1 : 1;
    }
    return l->order < r->order ? -1 : 1;
}

/* Many are due at once, many are taken back: up to three in four of those that are there. */
START_TEST(a_crowd_that_is_moved_and_thinned_out_runs_in_order) {
    fake *f = fake_new();
    uint32_t random = 12345;
    memset(crowd, 0, sizeof(crowd));
    for (uint32_t step = 1; step <= CROWD_STEPS; step++) {
        random = random * 1664525u + 1013904223u; /* Numerical Recipes' */
        crowd_call *one = &crowd[(random >> 8) % CROWD];
        dw_time delay = 1 + (random >> 4) % 997;
        uint32_t phase = step / 10000; /* arm and move; thin out; arm again */
        if (phase % 3 == 1) {
            dw_delayed_call_cancel(&one->call);
            continue;
        }
        if (dw_delayed_call_reset(&one->call, delay) != 0) {
            dw_reactor_call_later(&f->reactor, &one->call, delay, crowd_ran, one);
        }
        one->due = f->now + delay;
        one->order = step;
        if (_i != 0 && step % 100 == 0) {
            ck_assert_int_le(dw_reactor_next_due(&f->reactor), one->due); /* looks at the first */
        }
    }
    expected_count = crowd_ran_count = 0;
    for (int i = 0; i < CROWD; i++) {
        if (dw_delayed_call_active(&crowd[i].call)) {
            expected_next[expected_count++] = &crowd[i];
        }
    }
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, expected_count);
    qsort(expected_next, expected_count, sizeof(crowd_call *), by_due_and_order);
    f->now += 1000;
    dw_reactor_turn(&f->reactor);
    ck_assert_uint_eq(crowd_ran_count, expected_count);
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

/* ---- The model ---- */

enum { MODEL_CALLS = 40, MODEL_STEPS = 20000, MODEL_RUNS = 10 };

typedef struct model_call {
    dw_delayed_call call;
    bool pending, cancelled, ever;
    dw_time due;
    uint64_t order;
    bool waits; /* armed without delay in the turn that runs: not before the next one */
} model_call;

static struct model {
    fake *f;
    model_call calls[MODEL_CALLS];
    uint64_t order, random;
    dw_time turn; /* when the running turn began, or -1 outside */
    size_t ran;
} model;

/* xorshift64 (Marsaglia 2003) */
static unsigned below(unsigned n) {
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return (unsigned)(model.random % n);
}

static model_call *model_next(dw_time now) {
    model_call *best = NULL;
    for (int i = 0; i < MODEL_CALLS; i++) {
        model_call *m = &model.calls[i];
        if (m->pending && !m->waits && m->due <= now &&
            (best == NULL || m->due < best->due ||
             (m->due == best->due && m->order < best->order))) {
            best = m;
        }
    }
    return best;
}

static void model_ran(void *user);

static void model_put(model_call *m, dw_time due, bool waits) {
    m->pending = m->ever = true;
    m->cancelled = false;
    m->due = due;
    m->order = ++model.order;
    m->waits = waits && model.turn >= 0;
}

static void model_arm(model_call *m) {
    dw_time delay = (dw_time)(below(3) == 0 ? 0 : below(50));
    dw_reactor_call_later(&model.f->reactor, &m->call, delay, model_ran, m);
    model_put(m, model.f->now + delay, delay == 0);
}

static int model_result(const model_call *m) {
    if (m->pending) {
        return 0;
    }
    return m->cancelled ? DW_ALREADY_CANCELLED : DW_ALREADY_CALLED;
}

static void model_verb(void) {
    model_call *m = &model.calls[below(MODEL_CALLS)];
    int expected = model_result(m);
    dw_time by = (dw_time)below(40);
    switch (below(6)) {
    case 0:
        ck_assert_int_eq(dw_delayed_call_cancel(&m->call), expected);
        m->cancelled = expected == 0 || m->cancelled;
        m->pending = false;
        break;
    case 1:
        ck_assert_int_eq(dw_delayed_call_reset(&m->call, by), expected);
        if (expected == 0) {
            model_put(m, model.f->now + by, by == 0);
        }
        break;
    case 2:
        /* Not into the turn that runs: whether it still takes part is nobody's promise. */
        by = model.turn >= 0 ? by + 1 : by - 20;
        ck_assert_int_eq(dw_delayed_call_delay(&m->call, by), expected);
        if (expected == 0) {
            model_put(m, m->due + by, false);
        }
        break;
    default:
        model_arm(m);
    }
    ck_assert(dw_delayed_call_active(&m->call) == m->pending);
}

static void model_ran(void *user) {
    model_call *m = user;
    ck_assert_ptr_eq(m, model_next(model.turn));
    m->pending = false;
    model.ran++;
    for (unsigned i = below(4); i > 0; i--) {
        model_verb();
    }
}

static void model_turn(void) {
    model.turn = model.f->now;
    dw_reactor_turn(&model.f->reactor);
    ck_assert_ptr_null(model_next(model.turn));
    model.turn = -1;
    for (int i = 0; i < MODEL_CALLS; i++) {
        model.calls[i].waits = false;
    }
}

/* `delay` may move a call before another's due time, and so on: any order of verbs, inside and
 * outside calls, with memory that fails now and then. */
START_TEST(any_order_of_verbs_runs_as_a_sorted_list_would) {
    memset(&model, 0, sizeof(model));
    model.f = fake_new();
    model.random = 88172645463325252u + (uint64_t)_i;
    model.turn = -1;
    for (int step = 0; step < MODEL_STEPS; step++) {
        if (below(50) == 0) {
            model.f->fail_in = 1;
            model.f->fail_after = below(2) == 0;
        }
        if (below(5) == 0) {
            model.f->now += below(30);
            model_turn();
        } else {
            model_verb();
        }
    }
    ck_assert_uint_gt(model.ran, MODEL_STEPS / 50);
    fake_fini(model.f);
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
    tcase_add_loop_test(tc, without_memory_calls_still_run_in_order, 1, 5);
    tcase_add_test(tc, fini_takes_back_pending_calls_of_every_queue);
    tcase_add_test(tc, the_call_due_next_is_named_by_where_it_was_armed);
    tcase_add_test(tc, a_million_calls_run_in_order);
    tcase_add_loop_test(tc, scheduling_and_cancelling_for_ever_needs_no_more_memory, 0, 2);
    tcase_add_test(tc, what_was_taken_back_is_dropped);
    tcase_add_test(tc, resetting_for_ever_needs_no_more_memory);
    tcase_add_loop_test(tc, a_crowd_that_is_moved_and_thinned_out_runs_in_order, 0, 2);
    tcase_add_test(tc, one_callback_reads_the_clock_once);
    tcase_add_test(tc, a_callback_that_arms_many_calls_reads_the_clock_again);
    tcase_add_test(tc, outside_the_loop_the_clock_is_read_each_time);
    tcase_add_loop_test(tc, any_order_of_verbs_runs_as_a_sorted_list_would, 0, MODEL_RUNS);
    return run_case(tc);
}
