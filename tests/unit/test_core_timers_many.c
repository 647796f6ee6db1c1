/* SPDX-License-Identifier: MIT */
/*
 * Many delayed calls (core/src/timers.c, timer_heap.c): without memory, a million at once, taken
 * back and moved for ever, a crowd against a sorted table. Expectations: drywire/delayed_call.h;
 * each bound on memory is reckoned beside its test.
 */
#include "timer_calls.h"

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

int main(void) {
    TCase *tc = tcase_create("many core timers");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, without_memory_calls_still_run_in_order, 1, 5);
    tcase_add_test(tc, fini_takes_back_pending_calls_of_every_queue);
    tcase_add_test(tc, a_million_calls_run_in_order);
    tcase_add_loop_test(tc, scheduling_and_cancelling_for_ever_needs_no_more_memory, 0, 2);
    tcase_add_test(tc, what_was_taken_back_is_dropped);
    tcase_add_test(tc, resetting_for_ever_needs_no_more_memory);
    tcase_add_loop_test(tc, a_crowd_that_is_moved_and_thinned_out_runs_in_order, 0, 2);
    return run_case(tc);
}
