/* SPDX-License-Identifier: MIT */
/*
 * Work "beside the loop" on the dry wire: in the loop, at a time that the choice "offload" says
 * (drywire/offload.h: none, or 1 ms, 4 ms, 16 ms, ... 4096 ms). What it has in common with live
 * wires is in tests/conformance/test_offloads.c.
 */
#include "sim_support.h"

typedef struct piece {
    dw_offload offload;
    dw_reactor *reactor;
    char name;
    int worked, dropped;
    dw_time at;
} piece;

static piece pieces[3];
static char order[20];
static dw_host *host;

static void one_host(dw_world *w) {
    host = dw_world_add_host(w, "host", NULL, NULL);
    memset(pieces, 0, sizeof(pieces));
    memset(order, 0, sizeof(order));
    for (int i = 0; i < 3; i++) {
        pieces[i].reactor = dw_host_reactor(host);
        pieces[i].name = (char)('a' + i);
    }
}

static void note(char c) {
    order[strlen(order)] = c;
}

static void work(void *user) {
    piece *p = user;
    note(p->name);
    ck_assert(dw_offload_active(&p->offload));
    ck_assert(!dw_offload_cancel(&p->offload)); /* it has begun */
}

static void done(void *user, bool worked) {
    piece *p = user;
    p->worked += worked;
    p->dropped += !worked;
    p->at = dw_reactor_now(p->reactor);
}

static void give(int i) {
    ck_assert_int_eq(
        dw_reactor_offload(pieces[i].reactor, &pieces[i].offload, work, done, &pieces[i]), 0);
}

static void give_all(dw_world *w) {
    one_host(w);
    give(0);
    give(1);
    give(2);
    ck_assert_str_eq(order, "");
}

CALM_TEST(calm_work_is_done_in_order_and_takes_no_time) {
    give_all(w);
    dw_time from = dw_reactor_now(pieces[0].reactor);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(order, "abc");
    ck_assert_int_eq(pieces[0].at, from);
    ck_assert_int_eq(pieces[2].at, from);
}

/* The first takes 4 ms, the third 1 ms. */
LIST_TEST(a_choice_makes_it_late_and_others_overtake_it, {"host", "offload", 1, 2},
          {"host", "offload", 3, 1}) {
    give_all(w);
    dw_time from = dw_reactor_now(pieces[0].reactor);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(order, "bca");
    ck_assert_int_eq(pieces[0].at - from, DW_MSEC(4));
    ck_assert_int_eq(pieces[1].at - from, 0);
    ck_assert_int_eq(pieces[2].at - from, DW_MSEC(1));
}

LIST_TEST(the_latest_is_four_seconds_late, {"host", "offload", 1, 7}) {
    one_host(w);
    give(0);
    dw_time from = dw_reactor_now(pieces[0].reactor);
    dw_world_run(w, DW_MIN(1));
    ck_assert_int_eq(pieces[0].at - from, DW_MSEC(4096));
}

LIST_TEST(what_has_not_begun_is_dropped_when_the_host_stops, {"host", "offload", 1, 7}) {
    give_all(w);
    dw_world_run(w, DW_MSEC(1));
    dw_host_stop(host);
    dw_world_run(w, DW_MIN(1));
    ck_assert_str_eq(order, "bc");
    ck_assert_int_eq(pieces[0].dropped, 1);
    ck_assert_int_eq(pieces[1].dropped + pieces[2].dropped, 0);
}

LIST_TEST(a_host_that_crashes_forgets_it, {"host", "offload", 1, 7}) {
    give_all(w);
    dw_world_run(w, DW_MSEC(1));
    dw_host_crash(host);
    dw_world_run(w, DW_MIN(1));
    ck_assert_str_eq(order, "bc");
    ck_assert_int_eq(pieces[0].worked + pieces[0].dropped, 0);
    ck_assert(!dw_offload_active(&pieces[0].offload));
}

CALM_TEST(one_that_was_taken_back_is_not_done) {
    give_all(w);
    ck_assert(dw_offload_cancel(&pieces[1].offload));
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(order, "ac");
}

static void again_when_dropped(void *user, bool worked) {
    done(user, worked);
    if (!worked) {
        dw_reactor_offload_at(pieces[0].reactor, &pieces[0].offload, work, done, user,
                              "offload.c:1");
    }
}

static void leave_over(dw_world *w) {
    one_host(w);
    ck_assert_int_eq(dw_reactor_offload(pieces[0].reactor, &pieces[0].offload, work,
                                        again_when_dropped, &pieces[0]),
                     0);
}

/* What is given to a reactor that shuts down already. */
START_TEST(the_oracle_of_leaks_sees_what_is_left_over) {
    played p;
    play(leave_over, calm(), true, &p);
    ck_assert(p.outcome.failed);
    ck_assert_str_eq(p.outcome.oracle, "leak");
    ck_assert_ptr_nonnull(strstr(p.outcome.message, "armed at offload.c:1"));
    played_free(&p);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_offload");
    TCase *tc = tcase_create("offloads");
    tcase_add_test(tc, calm_work_is_done_in_order_and_takes_no_time);
    tcase_add_test(tc, a_choice_makes_it_late_and_others_overtake_it);
    tcase_add_test(tc, the_latest_is_four_seconds_late);
    tcase_add_test(tc, what_has_not_begun_is_dropped_when_the_host_stops);
    tcase_add_test(tc, a_host_that_crashes_forgets_it);
    tcase_add_test(tc, one_that_was_taken_back_is_not_done);
    tcase_add_test(tc, the_oracle_of_leaks_sees_what_is_left_over);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
