/* SPDX-License-Identifier: MIT */
/*
 * The shrinker by itself: whether a list fails is here a rule about which deviations are in it.
 * What is minimal follows from the rule.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "../suite.h"
#include "shrink.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A failure needs each of `needs` with at least the value given. Only the first `reached` draws of
 * a list come to pass; 0: all. */
typedef struct rule {
    sim_deviation needs[128];
    size_t count;
    uint64_t never_between[2]; /* these values of the first one do not fail: a hole */
    bool (*also)(const sim_list *list);
    uint64_t runs;
    bool report_taken;
    sim_list taken;
} rule;

static sim_deviation draw(const char *who, const char *what, uint64_t nth, uint64_t value) {
    sim_deviation d = {.nth = nth, .value = value};
    strcpy(d.who, who);
    strcpy(d.what, what);
    return d;
}

static uint64_t value_in(const sim_list *list, const sim_deviation *d) {
    for (size_t i = 0; i < list->count; i++) {
        const sim_deviation *x = &list->items[i];
        if (x->nth == d->nth && strcmp(x->what, d->what) == 0 && strcmp(x->who, d->who) == 0) {
            return x->value;
        }
    }
    return 0;
}

static bool rule_fails(void *user, const sim_list *list, const sim_list **taken) {
    rule *r = user;
    r->runs++;
    r->taken.count = 0;
    for (size_t i = 0; i < r->count; i++) {
        uint64_t value = value_in(list, &r->needs[i]);
        if (value < r->needs[i].value) {
            return false;
        }
        if (i == 0 && r->never_between[1] && value > r->never_between[0] &&
            value < r->never_between[1]) {
            return false;
        }
        sim_deviation d = r->needs[i];
        d.value = value;
        sim_list_add(&r->taken, &d);
    }
    *taken = r->report_taken ? &r->taken : NULL;
    return !r->also || r->also(list);
}

/* A list of `count` deviations over a few whos and whats, each with value 9. */
static sim_list noise(size_t count) {
    static const char *const whos[] = {"a:1>b:2", "a:2>b:2", "link a>b", "server", "world"};
    static const char *const whats[] = {"cut", "reset", "write", "order", "mine"};
    sim_list list = {0};
    for (size_t i = 0; i < count; i++) {
        sim_deviation d = draw(whos[i % 5], whats[(i / 5) % 5], 1 + i / 25, 9);
        ck_assert(sim_list_add(&list, &d));
    }
    return list;
}

static sim_shrink_stats stats;

static sim_shrink_end shrink(sim_list *list, rule *r) {
    sim_shrink_test test = {.fails = rule_fails, .user = r};
    sim_shrink_budget budget = {0};
    sim_shrink_end end = sim_shrink(list, &test, &budget, &stats);
    sim_list_free(&r->taken);
    return end;
}

START_TEST(one_needed_deviation_of_many_is_left) {
    sim_list list = noise(500);
    rule r = {.needs = {list.items[333]}, .count = 1};
    r.needs[0].value = 1;
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_mem_eq(&list.items[0], &r.needs[0], sizeof(sim_deviation));
    ck_assert_uint_lt(stats.attempts, 60);
    sim_list_free(&list);
}
END_TEST

START_TEST(needed_deviations_far_apart_are_all_left) {
    sim_list list = noise(1000);
    rule r = {.needs = {list.items[3], list.items[501], list.items[999]}, .count = 3};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(value_in(&list, &r.needs[i]), 9);
    }
    sim_list_free(&list);
}
END_TEST

START_TEST(a_list_that_fails_calm_becomes_empty) {
    sim_list list = noise(100);
    rule r = {.count = 0};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_uint_eq(stats.attempts, 2);
    sim_list_free(&list);
}
END_TEST

START_TEST(a_list_that_holds_is_left_alone) {
    sim_list list = noise(10);
    rule r = {.needs = {draw("nobody", "cut", 1, 1)}, .count = 1};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRINK_PASSES);
    ck_assert_uint_eq(list.count, 10);
    ck_assert_uint_eq(stats.attempts, 1);
    sim_list_free(&list);
}
END_TEST

START_TEST(only_what_was_taken_is_kept) {
    sim_list list = noise(10000);
    rule r = {.needs = {list.items[77], list.items[7777]}, .count = 2, .report_taken = true};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_uint_lt(stats.attempts, 60); /* mostly for the values */
    sim_list_free(&list);
}
END_TEST

START_TEST(numbers_go_to_the_smallest_that_fails) {
    static const uint64_t least[] = {1, 2, 15, 16, 17, 18, 100, 4095};
    for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++) {
        sim_list list = {0};
        sim_deviation d = draw("a:1>b:2", "cut", 1, 65000);
        sim_list_add(&list, &d);
        rule r = {.needs = {draw("a:1>b:2", "cut", 1, least[i])}, .count = 1};
        ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
        ck_assert_uint_eq(list.items[0].value, least[i]);
        sim_list_free(&list);
    }
}
END_TEST

START_TEST(small_numbers_are_found_behind_a_hole) {
    sim_list list = {0};
    sim_deviation d = draw("x", "cut", 1, 900);
    sim_list_add(&list, &d);
    rule r = {.needs = {draw("x", "cut", 1, 5)}, .count = 1, .never_between = {5, 800}};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.items[0].value, 5);
    sim_list_free(&list);
}
END_TEST

START_TEST(durations_become_round_and_short) {
    /* least that fails, start, expected: the shortest with the fewest digits. */
    static const dw_time cases[][3] = {
        {DW_MSEC(200), 926807114, DW_MSEC(200)},
        {DW_MSEC(200) + 1, 926807114, DW_MSEC(300)},
        {1, 926807114, 1},
        {DW_SEC(9) + 1, DW_SEC(9) + 123, DW_SEC(10)},
        {DW_MSEC(250), DW_MSEC(250), DW_MSEC(300)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sim_list list = {0};
        sim_deviation d = draw("link a>b", "latency", 2, (uint64_t)cases[i][1]);
        sim_list_add(&list, &d);
        rule r = {.needs = {draw("link a>b", "latency", 2, (uint64_t)cases[i][0])}, .count = 1};
        ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
        ck_assert_uint_eq(list.items[0].value, (uint64_t)cases[i][2]);
        sim_list_free(&list);
    }
}
END_TEST

static bool near_a_quarter(const sim_list *list) {
    return list->items[0].value >= (uint64_t)DW_MSEC(245) &&
           list->items[0].value <= (uint64_t)DW_MSEC(253);
}

START_TEST(durations_take_as_many_digits_as_needed) {
    sim_list list = {0};
    sim_deviation d = draw("link a>b", "latency", 2, 249998713);
    sim_list_add(&list, &d);
    rule r = {.needs = {draw("link a>b", "latency", 2, 1)}, .count = 1, .also = near_a_quarter};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.items[0].value, (uint64_t)DW_MSEC(250));
    sim_list_free(&list);
}
END_TEST

/* Fails with a pair of anything: no single one can be named in advance. */
static bool odd_count(const sim_list *list) {
    return list->count % 2 == 1;
}

START_TEST(rules_that_are_not_monotonic_still_end_minimal) {
    sim_list list = noise(101);
    rule r = {.needs = {list.items[50]}, .count = 1, .also = odd_count};
    r.needs[0].value = 1;
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    /* Taking any one away passes (an even count); the empty list passes, too. */
    ck_assert_uint_eq(list.count % 2, 1);
    ck_assert_uint_eq(value_in(&list, &r.needs[0]), 1);
    sim_list_free(&list);
}
END_TEST

/* A reply is lost on the n-th connection, which exists only when those before it were reset. */
static bool lost_reply(const sim_list *list) {
    char who[64];
    for (uint64_t n = 1; n < 10; n++) {
        snprintf(who, sizeof(who), "server:6379>client-1:%d", (int)n);
        sim_deviation reply = draw(who, "reset", 3, 1);
        if (value_in(list, &reply)) {
            return true;
        }
        snprintf(who, sizeof(who), "client-1:%d>server:6379", (int)n);
        sim_deviation first = draw(who, "reset", 1, 1);
        sim_deviation second = draw(who, "reset", 2, 1);
        if (!value_in(list, &first) && !value_in(list, &second)) {
            return false;
        }
    }
    return false;
}

START_TEST(what_needs_no_third_connection_moves_to_the_first) {
    sim_list list = {0};
    sim_deviation items[] = {draw("client-1:1>server:6379", "reset", 1, 1),
                             draw("client-1:2>server:6379", "reset", 2, 1),
                             draw("server:6379>client-1:3", "reset", 3, 1)};
    for (size_t i = 0; i < 3; i++) {
        sim_list_add(&list, &items[i]);
    }
    rule r = {.also = lost_reply};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.items[0].who, "server:6379>client-1:1");
    ck_assert_uint_eq(list.items[0].nth, 3);
    sim_list_free(&list);
}
END_TEST

/* Two segments of 98 bytes on one connection; what is left of a segment that was cut is drawn for
 * again. The second must not be cut at byte 88. */
static bool cut_at_88(const sim_list *list) {
    uint64_t nth = 1;
    for (int segment = 0; segment < 2; segment++) {
        uint64_t at = 0, cut;
        do {
            sim_deviation d = draw("a:1>b:2", "cut", nth++, 1);
            cut = value_in(list, &d);
            at += cut;
            if (segment == 1 && at == 88) {
                return true;
            }
        } while (cut > 0 && at < 98);
    }
    return false;
}

/* Each of the three cuts of the second segment is needed, and so is the one of the first, without
 * which their numbers would be others; but one cut at 88 does it, as draw 2. */
START_TEST(several_cuts_of_one_segment_become_one) {
    sim_list list = {0};
    sim_deviation items[] = {draw("a:1>b:2", "cut", 1, 1), draw("a:1>b:2", "cut", 3, 80),
                             draw("a:1>b:2", "cut", 4, 6), draw("a:1>b:2", "cut", 5, 2)};
    for (size_t i = 0; i < 4; i++) {
        sim_list_add(&list, &items[i]);
    }
    rule r = {.also = cut_at_88};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_uint_eq(list.items[0].nth, 2);
    ck_assert_uint_eq(list.items[0].value, 88);
    sim_list_free(&list);
}
END_TEST

START_TEST(no_list_is_tried_twice) {
    sim_list list = noise(40);
    rule r = {.needs = {list.items[1], list.items[20], list.items[39]}, .count = 3};
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(r.runs, stats.attempts);
    ck_assert_uint_gt(stats.cached, 0);
    sim_list_free(&list);
}
END_TEST

START_TEST(the_budget_of_attempts_has_an_end_of_its_own) {
    sim_list list = noise(200);
    rule r = {.needs = {list.items[0], list.items[199]}, .count = 2};
    sim_shrink_test test = {.fails = rule_fails, .user = &r};
    sim_shrink_budget budget = {.attempts = 8};
    ck_assert_int_eq(sim_shrink(&list, &test, &budget, &stats), SIM_SHRINK_ATTEMPTS_OUT);
    ck_assert_uint_eq(stats.attempts, 8);
    const sim_list *taken = NULL;
    ck_assert(rule_fails(&r, &list, &taken)); /* what is left still fails */
    sim_list_free(&r.taken);
    sim_list_free(&list);
}
END_TEST

static dw_time spend_a_second_per_run(void *user) {
    const rule *r = user;
    return DW_SEC((dw_time)r->runs);
}

START_TEST(the_budget_of_cpu_time_has_an_end_of_its_own) {
    sim_list list = noise(200);
    rule r = {.needs = {list.items[0], list.items[199]}, .count = 2};
    sim_shrink_test test = {.fails = rule_fails, .spent = spend_a_second_per_run, .user = &r};
    sim_shrink_budget budget = {.cpu = DW_SEC(5)};
    ck_assert_int_eq(sim_shrink(&list, &test, &budget, &stats), SIM_SHRINK_CPU_OUT);
    ck_assert_uint_eq(stats.attempts, 6);
    sim_list_free(&r.taken);
    sim_list_free(&list);
}
END_TEST

START_TEST(ten_thousand_deviations_take_less_than_two_seconds) {
    sim_list list = noise(10000);
    rule r = {.count = 0};
    for (size_t i = 0; i < 10; i++) {
        r.needs[r.count++] = list.items[i * 1000 + 137];
    }
    clock_t begun = clock();
    ck_assert_int_eq(shrink(&list, &r), SIM_SHRUNK);
    ck_assert_uint_eq(list.count, 10);
    double seconds = (double)(clock() - begun) / (double)CLOCKS_PER_SEC;
    ck_assert_msg(seconds < 2.0 || getenv("DRYWIRE_SLOW"), "%.2f s", seconds);
    sim_list_free(&list);
}
END_TEST

START_TEST(lists_are_copied_and_freed) {
    sim_list a = noise(3);
    sim_list b = {0};
    ck_assert(sim_list_copy(&b, &a));
    ck_assert_uint_eq(b.count, 3);
    ck_assert_ptr_ne(a.items, b.items);
    ck_assert(sim_list_add(&a, &a.items[0])); /* a member of itself, while it grows */
    ck_assert_mem_eq(&a.items[3], &b.items[0], sizeof(sim_deviation));
    sim_list_free(&a);
    sim_list_free(&b);
    sim_list_free(&b);
    ck_assert_ptr_null(b.items);
}
END_TEST

START_TEST(kinds_have_the_names_of_the_design) {
    ck_assert_str_eq(sim_kind_name(SIM_SYN_DROP), "syn-drop");
    ck_assert_int_eq(sim_kind_of("latency"), SIM_LATENCY);
    ck_assert_int_eq(sim_kind_of("user"), SIM_USER);
    ck_assert_int_eq(sim_kind_of("skip-ack"), SIM_USER);
    ck_assert(sim_kind_is_time(SIM_LATENCY) && sim_kind_is_time(SIM_PARTITION));
    ck_assert(!sim_kind_is_time(SIM_CUT) && !sim_kind_is_time(SIM_USER));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("shrink");
    TCase *tc = tcase_create("shrink");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, one_needed_deviation_of_many_is_left);
    tcase_add_test(tc, needed_deviations_far_apart_are_all_left);
    tcase_add_test(tc, a_list_that_fails_calm_becomes_empty);
    tcase_add_test(tc, a_list_that_holds_is_left_alone);
    tcase_add_test(tc, only_what_was_taken_is_kept);
    tcase_add_test(tc, numbers_go_to_the_smallest_that_fails);
    tcase_add_test(tc, small_numbers_are_found_behind_a_hole);
    tcase_add_test(tc, durations_become_round_and_short);
    tcase_add_test(tc, durations_take_as_many_digits_as_needed);
    tcase_add_test(tc, rules_that_are_not_monotonic_still_end_minimal);
    tcase_add_test(tc, what_needs_no_third_connection_moves_to_the_first);
    tcase_add_test(tc, several_cuts_of_one_segment_become_one);
    tcase_add_test(tc, no_list_is_tried_twice);
    tcase_add_test(tc, the_budget_of_attempts_has_an_end_of_its_own);
    tcase_add_test(tc, the_budget_of_cpu_time_has_an_end_of_its_own);
    tcase_add_test(tc, ten_thousand_deviations_take_less_than_two_seconds);
    tcase_add_test(tc, lists_are_copied_and_freed);
    tcase_add_test(tc, kinds_have_the_names_of_the_design);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
