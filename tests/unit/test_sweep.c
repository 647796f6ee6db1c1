/* SPDX-License-Identifier: MIT */
/*
 * Planning sweeps: which points the offers of a calm run give. The expected counts follow from the
 * numbers of options and the limits named in sweep.h.
 */
#include "../suite.h"
#include "sweep.h"
#include "workers.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static sim_offer offer(const char *what, uint64_t nth, uint64_t options) {
    sim_offer o = {.at = {.nth = nth}, .options = options};
    strcpy(o.at.who, "a:1>b:2");
    strcpy(o.at.what, what);
    return o;
}

static sim_sweep plan(sim_offer *items, size_t count) {
    sim_sweep sweep;
    sim_offers offers = {.items = items, .count = count, .room = count};
    ck_assert(sim_sweep_plan(&sweep, &offers));
    return sweep;
}

START_TEST(each_byte_of_a_segment_is_a_cut) {
    sim_offer items[] = {offer("cut", 1, 4), offer("cut", 2, 2), offer("cut", 3, 1)};
    sim_sweep sweep = plan(items, 3);
    static const uint64_t expected[][2] = {{1, 1}, {1, 2}, {1, 3}, {2, 1}};
    ck_assert_uint_eq(sweep.count, 4);
    ck_assert_uint_eq(sweep.per_kind[SIM_CUT], 4);
    for (size_t i = 0; i < 4; i++) {
        sim_deviation d = sim_sweep_point(&sweep, i);
        ck_assert_uint_eq(d.nth, expected[i][0]);
        ck_assert_uint_eq(d.value, expected[i][1]);
        ck_assert_str_eq(d.who, "a:1>b:2");
        ck_assert_str_eq(d.what, "cut");
    }
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(of_many_values_the_ends_are_tried) {
    sim_offer items[] = {offer("write", 1, 1001)};
    sim_sweep sweep = plan(items, 1);
    ck_assert_uint_eq(sweep.count, SIM_SWEEP_WRITE_MAX);
    ck_assert_uint_eq(sim_sweep_point(&sweep, 0).value, 1);
    ck_assert_uint_eq(sim_sweep_point(&sweep, SIM_SWEEP_WRITE_MAX / 2 - 1).value,
                      SIM_SWEEP_WRITE_MAX / 2);
    ck_assert_uint_eq(sim_sweep_point(&sweep, SIM_SWEEP_WRITE_MAX / 2).value,
                      1000 - SIM_SWEEP_WRITE_MAX / 2 + 1);
    ck_assert_uint_eq(sim_sweep_point(&sweep, SIM_SWEEP_WRITE_MAX - 1).value, 1000);
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(just_as_many_values_as_allowed_are_all_tried) {
    sim_offer items[] = {offer("write", 1, SIM_SWEEP_WRITE_MAX + 1)};
    sim_sweep sweep = plan(items, 1);
    ck_assert_uint_eq(sweep.count, SIM_SWEEP_WRITE_MAX);
    for (size_t i = 0; i < sweep.count; i++) {
        ck_assert_uint_eq(sim_sweep_point(&sweep, i).value, i + 1);
    }
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(yes_or_no_kinds_have_one_point_each) {
    sim_offer items[] = {offer("reset", 1, 2), offer("close", 1, 2),   offer("refuse", 1, 2),
                         offer("alloc", 1, 2), offer("join", 1, 2),    offer("syn-drop", 1, 10),
                         offer("order", 1, 3), offer("skip-ack", 1, 3)};
    sim_sweep sweep = plan(items, 8);
    ck_assert_uint_eq(sweep.per_kind[SIM_RESET], 1);
    ck_assert_uint_eq(sweep.per_kind[SIM_CLOSE], 1);
    ck_assert_uint_eq(sweep.per_kind[SIM_REFUSE], 1);
    ck_assert_uint_eq(sweep.per_kind[SIM_ALLOC], 1);
    ck_assert_uint_eq(sweep.per_kind[SIM_JOIN], 1);
    ck_assert_uint_eq(sweep.per_kind[SIM_SYN_DROP], 6);
    ck_assert_uint_eq(sweep.per_kind[SIM_ORDER], 2);
    ck_assert_uint_eq(sweep.per_kind[SIM_USER], 2);
    ck_assert_uint_eq(sweep.count, 15);
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(times_are_tried_at_several_lengths) {
    sim_offer items[] = {offer("latency", 1, 0), offer("partition", 1, 0)};
    sim_sweep sweep = plan(items, 2);
    ck_assert_uint_ge(sweep.per_kind[SIM_LATENCY], 3);
    ck_assert_uint_ge(sweep.per_kind[SIM_PARTITION], 3);
    uint64_t longest = 0;
    for (size_t i = 0; i < sweep.count; i++) {
        uint64_t value = sim_sweep_point(&sweep, i).value;
        ck_assert_uint_gt(value, 0);
        longest = value > longest ? value : longest;
    }
    ck_assert_uint_gt(longest, (uint64_t)DW_SEC(60)); /* past any connection time-out of a minute */
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(no_offers_give_no_points) {
    sim_sweep sweep = plan(NULL, 0);
    ck_assert_uint_eq(sweep.count, 0);
    sim_sweep_free(&sweep);
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(a_point_is_a_run_with_that_one_deviation) {
    sim_offer items[] = {offer("cut", 5, 3)};
    sim_sweep sweep = plan(items, 1);
    sim_plan p = {.sweep = &sweep, .count = sweep.count};
    sim_deviation room;
    sim_list list;
    sim_source source;
    sim_plan_source(&p, 1, &room, &list, &source);
    ck_assert_int_eq(source.kind, SIM_LIST);
    ck_assert_uint_eq(source.list->count, 1);
    ck_assert_uint_eq(source.list->items[0].nth, 5);
    ck_assert_uint_eq(source.list->items[0].value, 2);
    sim_sweep_free(&sweep);
}
END_TEST

START_TEST(run_i_has_the_seed_first_plus_i) {
    sim_plan p = {.first_seed = 100, .kinds = 6, .count = 10};
    sim_deviation room;
    sim_list list;
    sim_source source;
    sim_plan_source(&p, 7, &room, &list, &source);
    ck_assert_int_eq(source.kind, SIM_SEED);
    ck_assert_uint_eq(source.seed, 107);
    ck_assert_uint_eq(source.kinds, 6);
}
END_TEST

START_TEST(kinds_are_read_from_a_list) {
    uint32_t kinds = 0;
    char bad[SIM_WHAT_MAX];
    ck_assert(sim_kinds_parse("reset,cut", &kinds, bad));
    ck_assert_uint_eq(kinds, (1U << SIM_RESET) | (1U << SIM_CUT));
    ck_assert(sim_kinds_parse("all", &kinds, bad));
    ck_assert_uint_eq(kinds, (1U << SIM_KIND_COUNT) - 1);
    ck_assert(sim_kinds_parse("user", &kinds, bad));
    ck_assert_uint_eq(kinds, 1U << SIM_USER);
}
END_TEST

START_TEST(an_unknown_kind_is_named) {
    static const char *const cases[][2] = {
        {"rest", "rest"}, {"reset,", ""}, {"", ""}, {"cut, reset", " reset"}, {"cut,x,reset", "x"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t kinds = 42;
        char bad[SIM_WHAT_MAX] = "?";
        ck_assert(!sim_kinds_parse(cases[i][0], &kinds, bad));
        ck_assert_str_eq(bad, cases[i][1]);
        ck_assert_uint_eq(kinds, 42);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sweep");
    TCase *tc = tcase_create("sweep");
    tcase_add_test(tc, each_byte_of_a_segment_is_a_cut);
    tcase_add_test(tc, of_many_values_the_ends_are_tried);
    tcase_add_test(tc, just_as_many_values_as_allowed_are_all_tried);
    tcase_add_test(tc, yes_or_no_kinds_have_one_point_each);
    tcase_add_test(tc, times_are_tried_at_several_lengths);
    tcase_add_test(tc, no_offers_give_no_points);
    tcase_add_test(tc, a_point_is_a_run_with_that_one_deviation);
    tcase_add_test(tc, run_i_has_the_seed_first_plus_i);
    tcase_add_test(tc, kinds_are_read_from_a_list);
    tcase_add_test(tc, an_unknown_kind_is_named);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
