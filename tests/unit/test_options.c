/* SPDX-License-Identifier: MIT */
/*
 * The runner's command line: what it means, and the one line that says what is wrong with it. Also
 * the progress bar's line, which is text made of numbers.
 */
#include "../suite.h"
#include "options.h"
#include "progress.h"
#include "report.h"

#include <check.h>
#include <string.h>

enum { ARGS_MAX = 70 };

static sim_options options;
static char error[SIM_OPTIONS_ERROR];

/* Parses words separated by one space. */
static bool parse(const char *line) {
    static char words[2048];
    static char *argv[ARGS_MAX + 1];
    int argc = 0;
    snprintf(words, sizeof(words), "%s", line);
    argv[argc++] = (char *)"./scenarios";
    for (char *word = strtok(words, " "); word && argc < ARGS_MAX; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    error[0] = '\0';
    return sim_options_parse(argc, argv, &options, error);
}

static void expect_error(const char *line, const char *why) {
    ck_assert_msg(!parse(line), "accepted: %s", line);
    ck_assert_msg(strstr(error, why) != NULL, "expected '%s' in '%s'", why, error);
    ck_assert_msg(strchr(error, '\n') == NULL, "more than one line: %s", error);
}

START_TEST(nothing_given_means_every_scenario_and_its_seeds) {
    ck_assert(parse(""));
    ck_assert_int_eq(options.mode, SIM_MODE_SEEDS);
    ck_assert(!options.seeds_given);
    ck_assert_uint_eq(options.filter_count, 0);
    ck_assert_uint_ge(options.jobs, 1);
    ck_assert_str_eq(options.out_dir, ".");
    ck_assert_str_eq(options.program, "./scenarios");
}
END_TEST

START_TEST(seeds_are_decimal_or_hexadecimal) {
    ck_assert(parse("reconnect --seed 0x5EED"));
    ck_assert_int_eq(options.mode, SIM_MODE_ONE_SEED);
    ck_assert_uint_eq(options.seed, 0x5eed);
    ck_assert_str_eq(options.filters[0], "reconnect");
    ck_assert(parse("--seed=18446744073709551615"));
    ck_assert_uint_eq(options.seed, UINT64_MAX);
    ck_assert(parse("--seeds 1000000 --jobs 2 --for 10m --first-seed 7"));
    ck_assert_uint_eq(options.seeds, 1000000);
    ck_assert(options.seeds_given);
    ck_assert_uint_eq(options.jobs, 2);
    ck_assert_int_eq(options.run_for, DW_MIN(10));
    ck_assert_uint_eq(options.first_seed, 7);
}
END_TEST

START_TEST(sweep_takes_kinds) {
    ck_assert(parse("--sweep reset,cut"));
    ck_assert_int_eq(options.mode, SIM_MODE_SWEEP);
    ck_assert_uint_eq(options.sweep_kinds, (1U << SIM_RESET) | (1U << SIM_CUT));
    ck_assert(!options.sweep_all);
    ck_assert(parse("--sweep all"));
    ck_assert(options.sweep_all);
}
END_TEST

START_TEST(switches_are_off_until_given) {
    ck_assert(parse("--replay a.run --no-fork --quiet --full-timeline --strict --no-shrink"));
    ck_assert_int_eq(options.mode, SIM_MODE_REPLAY);
    ck_assert_str_eq(options.file, "a.run");
    ck_assert(options.no_fork && options.quiet && options.full_timeline);
    ck_assert(options.strict && options.no_shrink);
    ck_assert(parse("--shrink a.run --out /tmp"));
    ck_assert_int_eq(options.mode, SIM_MODE_SHRINK);
    ck_assert_str_eq(options.out_dir, "/tmp");
    ck_assert(!options.no_fork && !options.quiet && !options.strict && !options.no_shrink);
}
END_TEST

START_TEST(errors_are_one_clear_line) {
    expect_error("--bogus", "there is no option '--bogus'");
    expect_error("-x", "there is no option '-x'");
    expect_error("--seed", "--seed needs a value: N");
    expect_error("--seed abc", "--seed: 'abc' is no number");
    expect_error("--seed 0x", "--seed: '0x' is no number");
    expect_error("--seed -1", "--seed: '-1' is no number");
    expect_error("--seed 1.5", "--seed: '1.5' is no number");
    expect_error("--seed 18446744073709551616", "--seed: '18446744073709551616' is no number");
    expect_error("--seeds 0", "--seeds: 0 is out of range");
    expect_error("--jobs 0", "--jobs: 0 is out of range: 1 to 256");
    expect_error("--jobs 257", "--jobs: 257 is out of range");
    expect_error("--for 10", "--for: '10' is no duration");
    expect_error("--for 0s", "--for: '0s' is no duration");
    expect_error("--sweep rest", "--sweep: there is no kind 'rest'; there are: latency, cut");
    expect_error("--quiet=yes", "--quiet takes no value");
}
END_TEST

START_TEST(options_that_contradict_are_refused) {
    expect_error("--seed 1 --sweep cut", "--seed and --sweep do not go together");
    expect_error("--replay a --shrink b", "--replay and --shrink do not go together");
    expect_error("--seeds 5 --seed 1", "--seeds and --seed do not go together");
    expect_error("--replay a --for 1s", "--for and --replay do not go together");
    expect_error("--no-fork", "--no-fork goes with --seed or --replay");
    expect_error("pair --replay a", "--replay takes the scenario from the file");
}
END_TEST

static const dw_scenario scenarios[] = {
    {.name = "reconnect"}, {.name = "reconnect_slow"}, {.name = "expiry"}};

static bool chooses(const char *line, size_t which) {
    ck_assert_msg(parse(line), "%s", error);
    return sim_options_choose(&options, scenarios, 3, which);
}

START_TEST(a_whole_name_chooses_only_itself) {
    ck_assert(chooses("reconnect", 0));
    ck_assert(!chooses("reconnect", 1));
    ck_assert(!chooses("reconnect", 2));
}
END_TEST

START_TEST(a_part_of_a_name_chooses_all_that_have_it) {
    ck_assert(chooses("reco", 0));
    ck_assert(chooses("reco", 1));
    ck_assert(!chooses("reco", 2));
    ck_assert(chooses("slow expiry", 1));
    ck_assert(chooses("slow expiry", 2));
    ck_assert(chooses("", 2));
}
END_TEST

START_TEST(an_unknown_name_lists_what_there_is) {
    ck_assert(parse("expiry nosuch"));
    ck_assert(!sim_options_check_filters(&options, scenarios, 3, error));
    ck_assert_str_eq(error,
                     "there is no scenario 'nosuch'; there are: reconnect, reconnect_slow, expiry");
}
END_TEST

START_TEST(a_long_list_of_names_is_cut) {
    char names[24];
    sim_scenario_names(scenarios, 3, names, sizeof(names));
    ck_assert_str_eq(names, "reconnect, ...");
}
END_TEST

START_TEST(the_bar_shows_runs_speed_failures_and_time_left) {
    char line[SIM_PROGRESS_LINE];
    sim_progress progress = {.name = "reconnect"};
    static sim_tally tally;
    tally = (sim_tally){.runs = 5000, .failures = 2, .virtual_us = 2000000000, .wall = DW_SEC(2)};
    sim_progress_line(&progress, &tally, 10000, 200, line);
    ck_assert_str_eq(line, "reconnect [#####-----] 5000/10000  2500 runs/s  2 failed  2 s left  "
                           "virtual/wall 1000");
    sim_progress_line(&progress, &tally, 10000, 30, line);
    ck_assert_uint_eq(strlen(line), 29);
}
END_TEST

START_TEST(without_an_end_of_runs_the_bar_shows_the_time) {
    char line[SIM_PROGRESS_LINE];
    sim_progress progress = {.name = "x", .ends_in = DW_SEC(8)};
    static sim_tally tally;
    tally = (sim_tally){.runs = 10, .wall = DW_SEC(2)};
    sim_progress_line(&progress, &tally, UINT64_MAX, 200, line);
    ck_assert_msg(strstr(line, "] 10  5 runs/s") && strstr(line, "6 s left"), "%s", line);
}
END_TEST

START_TEST(speeds_are_whole_numbers_without_overflow) {
    static sim_tally tally;
    tally = (sim_tally){.runs = UINT64_C(1) << 50, .wall = DW_SEC(1024)};
    ck_assert_uint_eq(sim_tally_speed(&tally), UINT64_C(1) << 40);
    tally = (sim_tally){.runs = 3, .virtual_us = 7};
    ck_assert_uint_eq(sim_tally_speed(&tally), 3000000);
    ck_assert_uint_eq(sim_tally_ratio(&tally), 7);
}
END_TEST

START_TEST(words_are_quoted_for_the_shell) {
    char word[64];
    sim_report_quote(word, sizeof(word), "./kv_scenarios");
    ck_assert_str_eq(word, "./kv_scenarios");
    sim_report_quote(word, sizeof(word), "my dir/it's");
    ck_assert_str_eq(word, "'my dir/it'\\''s'");
    sim_report_quote(word, sizeof(word), "");
    ck_assert_str_eq(word, "''");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");
    tcase_add_test(tc, nothing_given_means_every_scenario_and_its_seeds);
    tcase_add_test(tc, seeds_are_decimal_or_hexadecimal);
    tcase_add_test(tc, sweep_takes_kinds);
    tcase_add_test(tc, switches_are_off_until_given);
    tcase_add_test(tc, errors_are_one_clear_line);
    tcase_add_test(tc, options_that_contradict_are_refused);
    tcase_add_test(tc, a_whole_name_chooses_only_itself);
    tcase_add_test(tc, a_part_of_a_name_chooses_all_that_have_it);
    tcase_add_test(tc, an_unknown_name_lists_what_there_is);
    tcase_add_test(tc, a_long_list_of_names_is_cut);
    tcase_add_test(tc, the_bar_shows_runs_speed_failures_and_time_left);
    tcase_add_test(tc, without_an_end_of_runs_the_bar_shows_the_time);
    tcase_add_test(tc, speeds_are_whole_numbers_without_overflow);
    tcase_add_test(tc, words_are_quoted_for_the_shell);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
