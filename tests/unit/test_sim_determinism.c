/* SPDX-License-Identifier: MIT */
/*
 * A run is a function of scenario and source: the same one again, in the same workshop or another,
 * after whatever else was played there, traced or not, gives the same hash and timeline.
 */
#include "sim_support.h"

static pair p;

static void large_transfer(dw_world *w) {
    if (pair_try_hosts(&p, w) && side_try_connect(&p.client, "server", 80)) {
        p.server.echo = true;
        dw_world_run(w, DW_MSEC(10));
        if (p.client.protocol.transport != NULL) {
            stream_write(&p.client, 0, 150000);
        }
        dw_world_run(w, DW_MIN(1));
    }
}

static void failing(dw_world *w) {
    busy(w);
    dw_always(w, busy_clients[0].echoed < 20, "the first client never hears twenty");
}

static void (*const scenarios[])(dw_world *) = {busy, large_transfer, failing};
enum { SCENARIOS = 3, SEEDS = 60 };

static void expect_same(const played *a, const played *b) {
    ck_assert_uint_eq(a->outcome.hash, b->outcome.hash);
    ck_assert_uint_eq(a->outcome.events, b->outcome.events);
    ck_assert_uint_eq(a->outcome.deviations, b->outcome.deviations);
    ck_assert_int_eq(a->outcome.virtual_time, b->outcome.virtual_time);
    ck_assert_int_eq(a->outcome.failed, b->outcome.failed);
    ck_assert_str_eq(a->outcome.message, b->outcome.message);
    if (a->timeline != NULL && b->timeline != NULL) {
        ck_assert_str_eq(a->timeline, b->timeline);
    }
}

/* Seed 0 stands for the calm run. */
static played once(sim_runner *runner, int scenario, uint64_t seed, bool traced) {
    dw_scenario s = {.name = "same", .run = scenarios[scenario]};
    played result;
    play_scenario(runner, &s, seed == 0 ? calm() : seeded(seed), traced, &result);
    return result;
}

static void compare_and_free(played a, played b) {
    expect_same(&a, &b);
    played_free(&a);
    played_free(&b);
}

START_TEST(the_same_twice_in_one_workshop) {
    sim_runner *runner = sim_runner_new();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        compare_and_free(once(runner, _i, seed, true), once(runner, _i, seed, true));
    }
    sim_runner_free(runner);
}
END_TEST

START_TEST(the_same_in_a_new_workshop) {
    sim_runner *used = sim_runner_new();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_runner *fresh = sim_runner_new();
        compare_and_free(once(used, _i, seed, true), once(fresh, _i, seed, true));
        sim_runner_free(fresh);
    }
    sim_runner_free(used);
}
END_TEST

START_TEST(the_same_after_others_were_played_there) {
    sim_runner *runner = sim_runner_new();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        played first = once(runner, _i, seed, true);
        for (int other = 0; other < SCENARIOS; other++) {
            played between = once(runner, other, seed + 1000, other % 2 == 0);
            played_free(&between);
        }
        compare_and_free(first, once(runner, _i, seed, true));
    }
    sim_runner_free(runner);
}
END_TEST

START_TEST(the_same_whether_traced_or_not) {
    sim_runner *runner = sim_runner_new();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        played traced = once(runner, _i, seed, true);
        ck_assert_ptr_nonnull(sim_runner_trace(runner));
        compare_and_free(traced, once(runner, _i, seed, false));
        ck_assert_ptr_null(sim_runner_trace(runner));
    }
    sim_runner_free(runner);
}
END_TEST

/* Offers are only written down; they change nothing. Without them most data goes the straight way
 * (sim/src/straight.c), draws are looked at a few at a time, and events are taken without counting;
 * here all of it goes the longer way, draw by draw.
 */
START_TEST(the_same_whether_offers_are_kept_or_not) {
    sim_runner *runner = sim_runner_new();
    sim_offers offers = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = (1u << SIM_KIND_COUNT) - 1};
    dw_scenario scenario = {.name = "same", .run = scenarios[_i]};
    sim_outcome outcome;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_source source = seed == 0 ? calm() : seeded(seed);
        offers.count = 0;
        sim_run(runner, &scenario, &source, &options, &outcome);
        played plain = once(runner, _i, seed, false);
        ck_assert_uint_eq(outcome.hash, plain.outcome.hash);
        ck_assert_uint_eq(outcome.events, plain.outcome.events);
        ck_assert_uint_eq(outcome.deviations, plain.outcome.deviations);
        ck_assert_uint_gt(offers.count, 0);
        played_free(&plain);
    }
    sim_offers_free(&offers);
    sim_runner_free(runner);
}
END_TEST

/* A seed and the list of what it took are the same run. Of a list's kinds, too, draws are looked at
 * a few at a time. */
START_TEST(the_same_from_a_list) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "same", .run = scenarios[_i]};
    sim_run_options options = {0};
    sim_outcome outcome;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        sim_list taken = {0};
        played plain = once(runner, _i, seed, false);
        ck_assert(sim_list_copy(&taken, sim_runner_taken(runner)));
        sim_source source = {.kind = SIM_LIST, .list = &taken};
        sim_run(runner, &scenario, &source, &options, &outcome);
        ck_assert_uint_eq(outcome.hash, plain.outcome.hash);
        ck_assert_uint_eq(outcome.deviations, plain.outcome.deviations);
        played_free(&plain);
        sim_list_free(&taken);
    }
    sim_runner_free(runner);
}
END_TEST

START_TEST(different_seeds_are_different_runs) {
    sim_runner *runner = sim_runner_new();
    uint64_t hashes[SEEDS];
    unsigned same = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        played result = once(runner, 0, seed, false);
        hashes[seed] = result.outcome.hash;
        for (uint64_t other = 0; other < seed; other++) {
            same += hashes[seed] == hashes[other];
        }
        played_free(&result);
    }
    ck_assert_uint_le(same, 10); /* a seed may take nothing and be calm */
    sim_runner_free(runner);
}
END_TEST

static unsigned extra;
static const char *written = "x";

static void nothing(void *user) {
    (void)user;
}

static void with_extra(dw_world *w) {
    pair_connect(&p, w);
    for (unsigned i = 0; i < extra; i++) {
        side_write(&p.client, written);
    }
    dw_world_after(w, DW_MSEC(1), nothing, NULL);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(the_hash_sees_one_byte_more) {
    played a, b;
    extra = 3;
    play(with_extra, calm(), false, &a);
    extra = 4;
    play(with_extra, calm(), false, &b);
    ck_assert_uint_ne(a.outcome.hash, b.outcome.hash);
    played_free(&a);
    played_free(&b);
}
END_TEST

START_TEST(the_hash_sees_another_byte) {
    played a, b;
    extra = 3;
    play(with_extra, calm(), false, &a);
    written = "y";
    play(with_extra, calm(), false, &b);
    written = "x";
    ck_assert_uint_ne(a.outcome.hash, b.outcome.hash);
    played_free(&a);
    played_free(&b);
}
END_TEST

/* The hash of a line is the run's up to there: equal prefixes have equal hashes. */
START_TEST(hashes_of_two_runs_agree_up_to_the_line_in_which_they_differ) {
    sim_runner *calm_runner = sim_runner_new(), *other_runner = sim_runner_new();
    dw_scenario scenario = {.name = "same", .run = busy};
    sim_list list = {0};
    played a, b;
    deviate(&list, "server:7>client-1:1", "cut", 3, 2);
    play_scenario(calm_runner, &scenario, calm(), true, &a);
    play_scenario(other_runner, &scenario, listed(&list), true, &b);
    const sim_trace *one = sim_runner_trace(calm_runner), *two = sim_runner_trace(other_runner);
    size_t i = 0;
    while (sim_trace_hash(one, i) == sim_trace_hash(two, i)) {
        ck_assert_str_eq(sim_trace_line(one, i, false), sim_trace_line(two, i, false));
        i++;
    }
    ck_assert_uint_gt(i, 10);
    ck_assert(sim_trace_marked(two, i)); /* the deviation itself is the first difference */
    ck_assert(!sim_trace_marked(one, i));
    ck_assert_ptr_nonnull(strstr(sim_trace_line(two, i, false), "cut 3 = 2"));
    ck_assert_ptr_nonnull(strstr(sim_trace_line(two, i, true), "\033[31m"));
    played_free(&a);
    played_free(&b);
    sim_list_free(&list);
    sim_runner_free(calm_runner);
    sim_runner_free(other_runner);
}
END_TEST

START_TEST(the_timeline_tells_what_happened) {
    static const char *const told[] = {
        "server                          sides: listens on 80",
        "connect 10.0.0.1:80",
        "client:1>server:80              SYN",
        "server:80>client:1",
        "SYN-ACK",
        "connection_made",
        "write 1 \"x\"",
        "data_received 4 \"xxxx\"",
        "connection_lost",
    };
    played result;
    extra = 4;
    play(with_extra, calm(), true, &result);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        ck_assert_msg(strstr(result.timeline, told[i]) != NULL, "%s\n%s", told[i], result.timeline);
    }
    played_free(&result);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_determinism");
    TCase *tc = tcase_create("determinism");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, the_same_twice_in_one_workshop, 0, SCENARIOS);
    tcase_add_loop_test(tc, the_same_in_a_new_workshop, 0, SCENARIOS);
    tcase_add_loop_test(tc, the_same_after_others_were_played_there, 0, SCENARIOS);
    tcase_add_loop_test(tc, the_same_whether_traced_or_not, 0, SCENARIOS);
    tcase_add_loop_test(tc, the_same_whether_offers_are_kept_or_not, 0, SCENARIOS);
    tcase_add_loop_test(tc, the_same_from_a_list, 0, SCENARIOS);
    tcase_add_test(tc, different_seeds_are_different_runs);
    tcase_add_test(tc, the_hash_sees_one_byte_more);
    tcase_add_test(tc, the_hash_sees_another_byte);
    tcase_add_test(tc, hashes_of_two_runs_agree_up_to_the_line_in_which_they_differ);
    tcase_add_test(tc, the_timeline_tells_what_happened);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
