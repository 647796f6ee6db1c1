/* SPDX-License-Identifier: MIT */
/*
 * Looping calls (core/src/looping_call.c). Expectations: vectors/README.md, 1.8 and section 3
 * "Clock": ticks at start + k * interval, missed ones dropped, the next on the grid again. When the
 * clock of the fake wire is advanced every tick sees its own due time; when it is moved by hand the
 * loop is late.
 */
#include "test_core_wire.h"

#include "drywire/looping_call.h"

enum { TICKS_MAX = 64 };

typedef struct beat {
    dw_looping_call loop;
    fake *f;
    dw_reactor *reactor;
    dw_time began, at[TICKS_MAX]; /* of the ticks, since the beginning */
    uint64_t counts[TICKS_MAX];
    unsigned ticks, ended;
    unsigned stop_at;  /* which tick stops it; 0: none, 1: the first */
    bool start_again;  /* and starts it anew */
    unsigned reset_at; /* which tick resets it */
    unsigned slow_at;  /* which tick takes 2.5 s */
} beat;

static void tick(void *user) {
    beat *b = user;
    ck_assert_uint_lt(b->ticks, TICKS_MAX);
    b->counts[b->ticks] = dw_looping_call_count(&b->loop);
    b->at[b->ticks++] = dw_reactor_now(b->reactor) - b->began;
    if (b->ticks == b->stop_at) {
        ck_assert_int_eq(dw_looping_call_stop(&b->loop), 0);
        ck_assert_uint_eq(b->ended, 0);
    }
    if (b->ticks == b->stop_at && b->start_again) {
        ck_assert_int_eq(dw_looping_call_start(&b->loop, b->reactor, DW_SEC(3), true), 0);
        ck_assert_uint_eq(b->ticks, b->stop_at);
    }
    if (b->ticks == b->slow_at) {
        b->f->now += DW_MSEC(2500);
    }
    if (b->ticks == b->reset_at) {
        ck_assert_int_eq(dw_looping_call_reset(&b->loop), 0);
    }
}

static void stopped(void *user) {
    beat *b = user;
    b->ended++;
}

static beat *beat_new(void) {
    beat *b = calloc(1, sizeof(*b));
    ck_assert_ptr_nonnull(b);
    b->f = fake_new();
    b->reactor = &b->f->reactor;
    b->began = dw_reactor_now(b->reactor);
    b->loop = (dw_looping_call){.tick = tick, .stopped = stopped, .user = b};
    return b;
}

static void beat_free(beat *b) {
    dw_looping_call_stop(&b->loop);
    ck_assert_uint_eq(dw_reactor_count(b->reactor).delayed_calls, 0);
    fake_fini(b->f);
    free(b);
}

static void start(beat *b, dw_time interval, bool now) {
    ck_assert_int_eq(dw_looping_call_start(&b->loop, b->reactor, interval, now), 0);
}

/* ---- The grid ---- */

START_TEST(first_tick_comes_inside_start_or_one_interval_later) {
    beat *b = beat_new();
    start(b, DW_SEC(1), true);
    ck_assert_uint_eq(b->ticks, 1);
    dw_looping_call_stop(&b->loop);
    start(b, DW_SEC(1), false);
    ck_assert_uint_eq(b->ticks, 1);
    fake_advance(b->f, DW_SEC(1) - 1);
    ck_assert_uint_eq(b->ticks, 1);
    fake_advance(b->f, 1);
    ck_assert_uint_eq(b->ticks, 2);
    beat_free(b);
}
END_TEST

START_TEST(ticks_stand_on_the_grid_however_far_time_moves) {
    beat *b = beat_new();
    start(b, DW_MSEC(700), false);
    fake_advance(b->f, DW_SEC(7));
    ck_assert_uint_eq(b->ticks, 10);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(b->at[i], DW_MSEC(700) * (i + 1));
    }
    beat_free(b);
}
END_TEST

/* loop-002 */
START_TEST(missed_ticks_are_dropped_and_the_next_is_on_the_grid) {
    beat *b = beat_new();
    start(b, DW_SEC(1), false);
    b->f->now += DW_MSEC(3500);
    dw_reactor_turn(b->reactor);
    ck_assert_uint_eq(b->ticks, 1);
    ck_assert_int_eq(b->at[0], DW_MSEC(3500));
    fake_advance(b->f, DW_SEC(2));
    ck_assert_uint_eq(b->ticks, 3);
    ck_assert_int_eq(b->at[1], DW_SEC(4));
    ck_assert_int_eq(b->at[2], DW_SEC(5));
    beat_free(b);
}
END_TEST

/* loop-006: a tick at 1 s that takes until 3.5 s */
START_TEST(a_slow_tick_drops_those_it_covers) {
    beat *b = beat_new();
    b->slow_at = 1;
    start(b, DW_SEC(1), false);
    b->f->now += DW_SEC(1);
    dw_reactor_turn(b->reactor);
    fake_advance(b->f, DW_MSEC(1500));
    ck_assert_uint_eq(b->ticks, 3);
    ck_assert_int_eq(b->at[1], DW_SEC(4));
    ck_assert_int_eq(b->at[2], DW_SEC(5));
    beat_free(b);
}
END_TEST

/* A tick exactly on time is followed by the next point, not by its own again. */
START_TEST(a_point_of_the_grid_ticks_once) {
    beat *b = beat_new();
    start(b, DW_SEC(1), true);
    b->f->now += DW_SEC(2);
    dw_reactor_turn(b->reactor);
    ck_assert_int_eq(dw_reactor_next_due(b->reactor) - b->began, DW_SEC(3));
    beat_free(b);
}
END_TEST

START_TEST(interval_zero_ticks_once_per_turn) {
    beat *b = beat_new();
    b->stop_at = 5;
    start(b, 0, false);
    fake_advance(b->f, 0);
    ck_assert_uint_eq(b->ticks, 5);
    ck_assert_int_eq(b->at[4], 0);
    ck_assert_uint_eq(b->ended, 1);
    beat_free(b);
}
END_TEST

START_TEST(reset_moves_the_grid_to_now) {
    beat *b = beat_new();
    start(b, DW_SEC(4), false);
    fake_advance(b->f, DW_SEC(5));
    ck_assert_int_eq(dw_looping_call_reset(&b->loop), 0);
    fake_advance(b->f, DW_SEC(8));
    ck_assert_uint_eq(b->ticks, 3);
    ck_assert_int_eq(b->at[0], DW_SEC(4));
    ck_assert_int_eq(b->at[1], DW_SEC(9));
    ck_assert_int_eq(b->at[2], DW_SEC(13));
    beat_free(b);
}
END_TEST

START_TEST(reset_inside_a_tick_leaves_one_next_tick) {
    beat *b = beat_new();
    b->reset_at = 1;
    start(b, DW_SEC(1), false);
    fake_advance(b->f, DW_SEC(2));
    ck_assert_uint_eq(b->ticks, 2);
    ck_assert_uint_eq(dw_reactor_count(b->reactor).delayed_calls, 1);
    beat_free(b);
}
END_TEST

/* ---- The end ---- */

START_TEST(stop_reports_the_end_before_it_returns) {
    beat *b = beat_new();
    start(b, DW_SEC(1), false);
    ck_assert(dw_looping_call_running(&b->loop));
    ck_assert_int_eq(dw_looping_call_stop(&b->loop), 0);
    ck_assert(!dw_looping_call_running(&b->loop));
    ck_assert_uint_eq(b->ended, 1);
    fake_advance(b->f, DW_SEC(9));
    ck_assert_uint_eq(b->ticks, 0);
    beat_free(b);
}
END_TEST

START_TEST(stop_inside_a_tick_reports_the_end_after_it) {
    beat *b = beat_new();
    b->stop_at = 2; /* tick() checks that the end was not reported yet */
    start(b, DW_SEC(1), false);
    fake_advance(b->f, DW_SEC(9));
    ck_assert_uint_eq(b->ticks, 2);
    ck_assert_uint_eq(b->ended, 1);
    beat_free(b);
}
END_TEST

START_TEST(nobody_needs_to_wait_for_the_end) {
    beat *b = beat_new();
    b->loop.stopped = NULL;
    b->stop_at = 1;
    start(b, DW_SEC(1), true);
    ck_assert(!dw_looping_call_running(&b->loop));
    beat_free(b);
}
END_TEST

START_TEST(a_tick_may_stop_the_loop_and_start_it_anew) {
    beat *b = beat_new();
    b->stop_at = 1;
    b->start_again = true; /* tick() checks that no tick comes inside a tick */
    start(b, DW_SEC(1), false);
    fake_advance(b->f, DW_SEC(4));
    ck_assert_uint_eq(b->ended, 1);
    ck_assert_uint_eq(b->ticks, 3);
    ck_assert_int_eq(b->at[1], DW_SEC(1));
    ck_assert_int_eq(b->at[2], DW_SEC(4));
    beat_free(b);
}
END_TEST

/* ---- Refusals ---- */

START_TEST(what_makes_no_sense_is_refused_and_changes_nothing) {
    beat *b = beat_new();
    ck_assert_int_eq(dw_looping_call_stop(&b->loop), DW_NOT_RUNNING);
    ck_assert_int_eq(dw_looping_call_reset(&b->loop), DW_NOT_RUNNING);
    ck_assert_int_eq(dw_looping_call_start(&b->loop, b->reactor, -1, true), DW_INVALID_ARGUMENT);
    ck_assert(!dw_looping_call_running(&b->loop));
    start(b, DW_SEC(1), false);
    ck_assert_int_eq(dw_looping_call_start(&b->loop, b->reactor, DW_SEC(5), true),
                     DW_ALREADY_RUNNING);
    ck_assert_uint_eq(b->ended, 0);
    fake_advance(b->f, DW_SEC(1));
    ck_assert_uint_eq(b->ticks, 1);
    beat_free(b);
}
END_TEST

/* ---- Counting (LoopingCall.withCount, each row run with Twisted 22.4.0) ---- */

enum { RESET = -1, RESTART = -2, STEPS_MAX = 8 };

static const struct {
    bool now;
    int steps[STEPS_MAX];                       /* seconds that pass at once, or one of the above */
    int expected[STEPS_MAX][2], expected_count; /* second, count */
} counted[] = {
    {true, {10, 10, 35, 5, 10}, {{0, 1}, {10, 1}, {20, 1}, {55, 3}, {60, 1}, {70, 1}}, 6},
    {false, {10, 10, 35, 5, 10}, {{10, 1}, {20, 1}, {55, 3}, {60, 1}, {70, 1}}, 5},
    {false, {25, 5}, {{25, 2}, {30, 1}}, 2},
    {false, {10, 4, RESET, 10, 10}, {{10, 1}, {24, 1}, {34, 1}}, 3},
    {false, {10, 4, RESET, 25, 10}, {{10, 1}, {39, 2}, {49, 1}}, 3},
    {false, {10, 25, RESTART, 10, 25}, {{10, 1}, {35, 2}, {45, 1}, {70, 2}}, 4},
};

static void step(beat *b, int what, bool now) {
    if (what == RESET) {
        ck_assert_int_eq(dw_looping_call_reset(&b->loop), 0);
    } else if (what == RESTART) {
        ck_assert_int_eq(dw_looping_call_stop(&b->loop), 0);
        start(b, DW_SEC(10), now);
    } else {
        b->f->now += DW_SEC(what); /* so that the loop is late */
        fake_advance(b->f, 0);
    }
}

START_TEST(a_tick_can_tell_how_many_points_of_the_grid_it_stands_for) {
    beat *b = beat_new();
    start(b, DW_SEC(10), counted[_i].now);
    for (int i = 0; i < STEPS_MAX && counted[_i].steps[i] != 0; i++) {
        step(b, counted[_i].steps[i], counted[_i].now);
    }
    ck_assert_int_eq((int)b->ticks, counted[_i].expected_count);
    for (unsigned i = 0; i < b->ticks; i++) {
        ck_assert_int_eq(b->at[i], DW_SEC(counted[_i].expected[i][0]));
        ck_assert_uint_eq(b->counts[i], (uint64_t)counted[_i].expected[i][1]);
    }
    beat_free(b);
}
END_TEST

/* Twisted counts the pause too, and says 11. */
START_TEST(a_pause_between_two_runs_does_not_count) {
    beat *b = beat_new();
    start(b, DW_SEC(10), false);
    step(b, 10, false);
    ck_assert_int_eq(dw_looping_call_stop(&b->loop), 0);
    step(b, 100, false);
    start(b, DW_SEC(10), false);
    step(b, 10, false);
    ck_assert_uint_eq(b->counts[1], 1);
    dw_looping_call_stop(&b->loop);
    start(b, 0, true);
    ck_assert_uint_eq(b->counts[2], 1);
    beat_free(b);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("looping_call");
    tcase_add_test(tc, first_tick_comes_inside_start_or_one_interval_later);
    tcase_add_test(tc, ticks_stand_on_the_grid_however_far_time_moves);
    tcase_add_test(tc, missed_ticks_are_dropped_and_the_next_is_on_the_grid);
    tcase_add_test(tc, a_slow_tick_drops_those_it_covers);
    tcase_add_test(tc, a_point_of_the_grid_ticks_once);
    tcase_add_test(tc, interval_zero_ticks_once_per_turn);
    tcase_add_test(tc, reset_moves_the_grid_to_now);
    tcase_add_test(tc, reset_inside_a_tick_leaves_one_next_tick);
    tcase_add_test(tc, stop_reports_the_end_before_it_returns);
    tcase_add_test(tc, stop_inside_a_tick_reports_the_end_after_it);
    tcase_add_test(tc, nobody_needs_to_wait_for_the_end);
    tcase_add_test(tc, a_tick_may_stop_the_loop_and_start_it_anew);
    tcase_add_test(tc, what_makes_no_sense_is_refused_and_changes_nothing);
    tcase_add_loop_test(tc, a_tick_can_tell_how_many_points_of_the_grid_it_stands_for, 0,
                        sizeof(counted) / sizeof(counted[0]));
    tcase_add_test(tc, a_pause_between_two_runs_does_not_count);
    return run_case(tc);
}
