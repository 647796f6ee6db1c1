/* SPDX-License-Identifier: MIT */
/* Wall clocks that are off, drift and are set; the monotonic clock stays true. */
#include "sim_support.h"

#define START DW_SEC(1767225600) /* 2026-01-01T00:00:00Z: date -d @1767225600 */

static dw_host *host;

static dw_time wall(void) {
    return dw_reactor_wall_clock(dw_host_reactor(host)) - START;
}

static void expect_mono(dw_world *w) {
    ck_assert_int_eq(dw_reactor_now(dw_host_reactor(host)), dw_world_now(w));
}

CALM_TEST(an_offset_is_from_the_true_time) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_offset(host, DW_SEC(-5));
    dw_world_run(w, DW_SEC(7));
    ck_assert_int_eq(wall(), DW_SEC(2));
    dw_host_set_clock_offset(host, 0);
    ck_assert_int_eq(wall(), DW_SEC(7));
    expect_mono(w);
}

/* 20000 ppb, an ordinary quartz: 1.728 s a day. */
CALM_TEST(a_fast_clock_gains) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_drift(host, 20000);
    dw_world_run(w, DW_SEC(86400));
    ck_assert_int_eq(wall(), DW_SEC(86400) + DW_MSEC(1728));
    expect_mono(w);
}

CALM_TEST(a_slow_clock_loses_but_never_runs_backwards) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_drift(host, -2000000000); /* more than there is */
    dw_time before = wall();
    for (int i = 0; i < 100; i++) {
        dw_world_run(w, 7);
        ck_assert_int_ge(wall(), before);
        before = wall();
    }
    ck_assert_int_eq(wall(), 0);
}

/* What was gained stays when the drift changes: 1 ms in each of 10 s, then none. */
CALM_TEST(a_new_drift_counts_from_now_on) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_drift(host, 1000000);
    dw_world_run(w, DW_SEC(10));
    dw_host_set_clock_drift(host, 0);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(wall(), DW_SEC(20) + DW_MSEC(10));
}

CALM_TEST(a_step_is_from_what_the_clock_shows) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_offset(host, DW_SEC(3));
    dw_host_set_clock_drift(host, 1000000);
    dw_world_run(w, DW_SEC(1));
    dw_host_step_clock(host, DW_SEC(-10));
    ck_assert_int_eq(wall(), DW_SEC(-6) + DW_MSEC(1));
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(wall(), DW_SEC(-5) + DW_MSEC(2)); /* and the drift goes on */
    expect_mono(w);
}

static dw_time called_at;

static void call(void *user) {
    called_at = dw_reactor_now(user);
}

CALM_TEST(delayed_calls_do_not_notice) {
    dw_delayed_call delayed = {0};
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_reactor *reactor = dw_host_reactor(host);
    dw_reactor_call_later(reactor, &delayed, DW_SEC(2), call, reactor);
    dw_host_set_clock_drift(host, 500000000);
    dw_world_run(w, DW_SEC(1));
    dw_host_step_clock(host, DW_SEC(3600));
    dw_world_run(w, DW_SEC(5));
    ck_assert_int_eq(called_at, DW_SEC(2));
}

/* 31 years, all but one second of which are gained. */
CALM_TEST(a_long_time_does_not_overflow) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_host_set_clock_drift(host, 999999999);
    dw_world_run(w, DW_SEC(1000000000));
    ck_assert_int_eq(wall(), DW_SEC(2000000000) - DW_SEC(1));
}

int main(void) {
    Suite *suite = suite_create("sim_clock");
    TCase *clock = tcase_create("clock");
    tcase_add_test(clock, an_offset_is_from_the_true_time);
    tcase_add_test(clock, a_fast_clock_gains);
    tcase_add_test(clock, a_slow_clock_loses_but_never_runs_backwards);
    tcase_add_test(clock, a_new_drift_counts_from_now_on);
    tcase_add_test(clock, a_step_is_from_what_the_clock_shows);
    tcase_add_test(clock, delayed_calls_do_not_notice);
    tcase_add_test(clock, a_long_time_does_not_overflow);
    suite_add_tcase(suite, clock);
    return run_suite(suite);
}
