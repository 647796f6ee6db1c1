/* SPDX-License-Identifier: MIT */
/*
 * Driving a world's time: run, run_until, run_until_idle, step, advance_to_next, after; and that
 * delayed calls run at their own due times however far the world is driven.
 */
#include "sim_support.h"

enum { NOTED = 32 };

static dw_world *world;
static struct {
    int what;
    dw_time at;
} noted[NOTED];
static unsigned count;

static void note(void *user) {
    ck_assert_uint_lt(count, NOTED);
    noted[count].what = *(int *)user;
    noted[count++].at = dw_world_now(world);
}

static int numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

static void begin(dw_world *w) {
    world = w;
    count = 0;
}

static void at(dw_time when, int what) {
    dw_world_after(world, when - dw_world_now(world), note, &numbers[what]);
}

static void expect(unsigned i, int what, dw_time when) {
    ck_assert_uint_lt(i, count);
    ck_assert_int_eq(noted[i].what, what);
    ck_assert_int_eq(noted[i].at, when);
}

CALM_TEST(time_begins_at_zero_and_run_ends_at_its_duration) {
    begin(w);
    ck_assert_int_eq(dw_world_now(w), 0);
    ck_assert(dw_world_run(w, DW_SEC(7)));
    ck_assert_int_eq(dw_world_now(w), DW_SEC(7));
    ck_assert(dw_world_run(w, 0));
    ck_assert_int_eq(dw_world_now(w), DW_SEC(7));
}

CALM_TEST(run_runs_all_that_is_due_by_its_end_and_no_more) {
    begin(w);
    at(DW_MSEC(30), 3);
    at(DW_MSEC(10), 1);
    at(DW_MSEC(20), 2);
    at(DW_MSEC(20) + 1, 4);
    dw_world_run(w, DW_MSEC(20));
    ck_assert_uint_eq(count, 2);
    expect(0, 1, DW_MSEC(10));
    expect(1, 2, DW_MSEC(20));
    dw_world_run(w, DW_MSEC(20));
    expect(2, 4, DW_MSEC(20) + 1);
    expect(3, 3, DW_MSEC(30));
}

CALM_TEST(run_of_nothing_runs_what_is_due_now) {
    begin(w);
    at(0, 1);
    dw_world_run(w, 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(dw_world_now(w), 0);
}

static void after_again(void *user) {
    note(user);
    at(dw_world_now(world), 9);
}

CALM_TEST(after_inside_an_event_runs_later_in_the_same_instant) {
    begin(w);
    dw_world_after(w, DW_MSEC(1), after_again, &numbers[1]);
    at(DW_MSEC(1), 2);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_uint_eq(count, 3);
    expect(0, 1, DW_MSEC(1));
    expect(1, 2, DW_MSEC(1));
    expect(2, 9, DW_MSEC(1));
}

CALM_TEST(after_without_end_never_comes) {
    begin(w);
    dw_world_run(w, DW_SEC(1));
    dw_world_after(w, DW_TIME_MAX, note, &numbers[1]);
    dw_world_run(w, DW_HOUR(100));
    ck_assert_uint_eq(count, 0);
}

CALM_TEST(the_longest_run_is_no_overflow) {
    begin(w);
    static pair p;
    dw_world_run(w, DW_SEC(1));
    dw_world_run(w, DW_TIME_MAX);
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.1", 80); /* there is no time left for it */
    dw_world_run(w, DW_TIME_MAX);
    ck_assert_uint_eq(p.client.made, 0);
}

/* ---- run_until ---- */

static unsigned asked;

static bool two_noted(void *user) {
    (void)user;
    asked++;
    return count >= 2;
}

CALM_TEST(run_until_stops_at_the_event_that_made_it_true) {
    begin(w);
    asked = 0;
    for (int i = 1; i <= 4; i++) {
        at(DW_MSEC(10) * i, i);
    }
    ck_assert(dw_world_run_until(w, two_noted, NULL, DW_SEC(1)));
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(asked, 3); /* before each event, and then it holds */
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(20));
    ck_assert(dw_world_run_until(w, two_noted, NULL, 0)); /* true already: nothing runs */
    ck_assert_uint_eq(count, 2);
}

CALM_TEST(run_until_gives_up_at_its_limit) {
    begin(w);
    at(DW_MSEC(10), 1);
    at(DW_MSEC(30), 2);
    ck_assert(!dw_world_run_until(w, two_noted, NULL, DW_MSEC(20)));
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(20));
    ck_assert_uint_eq(count, 1);
    ck_assert(dw_world_run_until(w, two_noted, NULL, DW_MSEC(10)));
}

static bool a_second_has_passed(void *user) {
    (void)user;
    return dw_world_now(world) >= DW_SEC(1);
}

CALM_TEST(run_until_asks_once_more_when_time_is_up) {
    begin(w);
    ck_assert(dw_world_run_until(w, a_second_has_passed, NULL, DW_SEC(1)));
}

/* ---- run_until_idle, step, advance_to_next ---- */

CALM_TEST(run_until_idle_stops_where_the_last_event_was) {
    begin(w);
    at(DW_MSEC(10), 1);
    at(DW_SEC(5), 2);
    ck_assert(!dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(count, 1);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(10)));
    ck_assert_int_eq(dw_world_now(w), DW_SEC(5));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(10)));
    ck_assert_int_eq(dw_world_now(w), DW_SEC(5));
}

CALM_TEST(step_runs_one_event) {
    begin(w);
    at(DW_MSEC(10), 1);
    at(DW_MSEC(10), 2);
    ck_assert(dw_world_step(w));
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(10));
    ck_assert(dw_world_step(w));
    ck_assert_uint_eq(count, 2);
    ck_assert(!dw_world_step(w));
}

CALM_TEST(advance_to_next_runs_a_whole_moment) {
    begin(w);
    at(DW_MSEC(10), 1);
    dw_world_after(w, DW_MSEC(10), after_again, &numbers[2]);
    at(DW_MSEC(20), 3);
    ck_assert(dw_world_advance_to_next(w));
    ck_assert_uint_eq(count, 3); /* 1, 2, and the 9 that 2 asked for */
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(10));
    ck_assert(dw_world_advance_to_next(w));
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(20));
    ck_assert(!dw_world_advance_to_next(w));
}

/* ---- Delayed calls ---- */

CALM_TEST(delayed_calls_run_at_their_own_times_in_order) {
    static dw_delayed_call calls[4];
    memset(calls, 0, sizeof(calls));
    begin(w);
    dw_reactor *r = dw_host_reactor(dw_world_add_host(w, "host", NULL, NULL));
    dw_reactor_call_later(r, &calls[0], DW_SEC(3), note, &numbers[3]);
    dw_reactor_call_later(r, &calls[1], DW_SEC(1), note, &numbers[1]);
    dw_reactor_call_later(r, &calls[2], DW_SEC(1), note, &numbers[2]);
    dw_reactor_call_later(r, &calls[3], 0, note, &numbers[0]);
    dw_world_run(w, DW_HOUR(1));
    ck_assert_uint_eq(count, 4);
    expect(0, 0, 0);
    expect(1, 1, DW_SEC(1));
    expect(2, 2, DW_SEC(1));
    expect(3, 3, DW_SEC(3));
}

CALM_TEST(a_call_moved_to_later_leaves_nothing_at_its_old_time) {
    static dw_delayed_call call;
    memset(&call, 0, sizeof(call));
    begin(w);
    dw_reactor *r = dw_host_reactor(dw_world_add_host(w, "host", NULL, NULL));
    dw_reactor_call_later(r, &call, DW_SEC(1), note, &numbers[1]);
    ck_assert_int_eq(dw_delayed_call_reset(&call, DW_SEC(5)), 0);
    ck_assert(dw_world_advance_to_next(w));
    ck_assert_uint_eq(count, 1);
    expect(0, 1, DW_SEC(5));
}

CALM_TEST(a_cancelled_call_leaves_an_idle_world) {
    static dw_delayed_call call;
    memset(&call, 0, sizeof(call));
    begin(w);
    dw_reactor *r = dw_host_reactor(dw_world_add_host(w, "host", NULL, NULL));
    dw_reactor_call_later(r, &call, DW_SEC(1), note, &numbers[1]);
    ck_assert_int_eq(dw_delayed_call_cancel(&call), 0);
    ck_assert(!dw_world_step(w));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(2)));
    ck_assert_int_eq(dw_world_now(w), 0);
    ck_assert_uint_eq(count, 0);
}

CALM_TEST(heal_and_run_until_make_a_liveness_check) {
    static pair p;
    pair_connect(&p, w);
    begin(w);
    dw_world_partition(w, p.client_host, p.server_host);
    p.server.echo = true;
    side_write(&p.client, "hello");
    dw_world_run(w, DW_MIN(1));
    dw_world_heal(w);
    ck_assert(dw_world_run_until_idle(w, DW_MIN(5)));
    ck_assert(side_has(&p.client, "hello"));
}

int main(void) {
    Suite *suite = suite_create("sim_time");
    TCase *tc = tcase_create("time");
    tcase_add_test(tc, time_begins_at_zero_and_run_ends_at_its_duration);
    tcase_add_test(tc, run_runs_all_that_is_due_by_its_end_and_no_more);
    tcase_add_test(tc, run_of_nothing_runs_what_is_due_now);
    tcase_add_test(tc, after_inside_an_event_runs_later_in_the_same_instant);
    tcase_add_test(tc, after_without_end_never_comes);
    tcase_add_test(tc, the_longest_run_is_no_overflow);
    tcase_add_test(tc, run_until_stops_at_the_event_that_made_it_true);
    tcase_add_test(tc, run_until_gives_up_at_its_limit);
    tcase_add_test(tc, run_until_asks_once_more_when_time_is_up);
    tcase_add_test(tc, run_until_idle_stops_where_the_last_event_was);
    tcase_add_test(tc, step_runs_one_event);
    tcase_add_test(tc, advance_to_next_runs_a_whole_moment);
    tcase_add_test(tc, delayed_calls_run_at_their_own_times_in_order);
    tcase_add_test(tc, a_call_moved_to_later_leaves_nothing_at_its_old_time);
    tcase_add_test(tc, a_cancelled_call_leaves_an_idle_world);
    tcase_add_test(tc, heal_and_run_until_make_a_liveness_check);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
