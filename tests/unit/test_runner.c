/* SPDX-License-Identifier: MIT */
/*
 * The whole runner on a fake world: dw_main in a child process, its output and exit status against
 * the design's words, and the glue for Check.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "runner_rig.h"

static const char pair_file[] = "drywire run 1\n"
                                "scenario  pair\n"
                                "deviate   link client-1>server    latency  2  926807114ns\n"
                                "deviate   client-1:1>server:6379  reset    9  1\n"
                                "deviate   client-1:1>server:6379  cut      3  17\n"
                                "expect    always: a late link and a reset do no harm\n";

static void expect_file(const char *name, sim_runfile *file) {
    char path[128];
    char error[SIM_RUNFILE_ERROR];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    ck_assert_msg(sim_runfile_read(path, file, error), "%s\n%s", error, output);
}

/* ---- Seeds ---- */

START_TEST(seeds_that_hold_exit_0) {
    ck_assert_int_eq(run("steady --out DIR --jobs 2"), 0);
    expect_output("steady: 200 runs, 0 failures, ");
    expect_output(" runs/s, virtual/wall ");
}
END_TEST

START_TEST(a_failure_is_shrunk_written_and_exits_1) {
    sim_runfile file;
    ck_assert_int_eq(run("pair --out DIR --jobs 2"), 1);
    expect_output("FAILED pair: a late link and a reset do no harm");
    expect_output("2 deviations (minimal; shrunk from ");
    expect_output("latency  ");
    expect_output("  play it again:\n    ./fake --replay ");
    expect_file("pair-5.run", &file);
    ck_assert_uint_eq(file.list.count, 2);
    ck_assert_uint_eq(file.list.items[0].value, (uint64_t)DW_MSEC(300)); /* 250 is the least */
    ck_assert_str_eq(file.oracle, "always");
    ck_assert(file.has_hash);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(the_parts_of_a_failure_come_in_reading_order) {
    ck_assert_int_eq(run("pair --out DIR"), 1);
    const char *sentence = strstr(output, "FAILED pair");
    const char *list = strstr(output, "deviate ");
    const char *timeline = strstr(output, "timeline");
    const char *command = strstr(output, "--replay");
    ck_assert(sentence && list && timeline && command);
    ck_assert(sentence < list && list < timeline && timeline < command);
}
END_TEST

START_TEST(the_same_failure_is_found_however_many_workers) {
    sim_runfile one;
    sim_runfile many;
    ck_assert_int_eq(run("pair --out DIR --jobs 1"), 1);
    expect_output("first seen: seed 0x5; ");
    expect_file("pair-5.run", &one);
    ck_assert_int_eq(run("pair --out DIR --jobs 7"), 1);
    expect_output("first seen: seed 0x5; ");
    expect_file("pair-5.run", &many);
    ck_assert_uint_eq(one.hash, many.hash);
    sim_runfile_free(&one);
    sim_runfile_free(&many);
}
END_TEST

START_TEST(first_seed_moves_the_range) {
    ck_assert_int_eq(run("pair --out DIR --first-seed 0x6 --seeds 50"), 1);
    expect_output("pair: 50 runs, ");
    expect_no_output("seed 0x5;");
}
END_TEST

START_TEST(without_shrinking_the_list_is_whole) {
    sim_runfile file;
    ck_assert_int_eq(run("pair --out DIR --no-shrink"), 1);
    expect_file("pair-5.run", &file);
    ck_assert_uint_gt(file.list.count, 2);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_failing_calm_run_needs_no_deviation) {
    ck_assert_int_eq(run("calm_fails --out DIR --seeds 10"), 1);
    expect_output("calm_fails: 10 runs, 10 failures");
    expect_output("no deviation is needed: the calm run fails");
}
END_TEST

START_TEST(what_was_never_true_is_told_and_fails_only_when_strict) {
    ck_assert_int_eq(run("never --out DIR --seeds 10"), 0);
    expect_output("never true: \"what cannot be\"");
    ck_assert_int_eq(run("never --out DIR --seeds 10 --strict"), 1);
}
END_TEST

START_TEST(other_scenarios_assertions_are_not_missed_when_they_did_not_run) {
    ck_assert_int_eq(run("steady --out DIR --seeds 10 --strict"), 0);
    expect_no_output("never");
}
END_TEST

START_TEST(what_the_program_printed_is_quoted) {
    ck_assert_int_eq(run("chatty --out DIR --seeds 100"), 1);
    expect_output("the program printed:");
    expect_output("    closing\n");
    expect_output("    hello from the program\n");
}
END_TEST

/* ---- Time ---- */

START_TEST(out_of_time_before_the_seeds_exits_124) {
    ck_assert_int_eq(run("slow --out DIR --seeds 1000 --for 300ms"), 124);
    expect_output("slow: out of wall time after ");
    expect_output(" of 1000");
}
END_TEST

START_TEST(a_time_without_a_number_of_seeds_exits_0) {
    ck_assert_int_eq(run("slow --out DIR --for 300ms"), 0);
    expect_output("slow: out of wall time after ");
}
END_TEST

/* ---- Crashes and hangs ---- */

START_TEST(a_crash_is_a_finding_with_a_list) {
    sim_runfile file;
    ck_assert_int_eq(run("crash --out DIR --first-seed 2 --seeds 1"), 1);
    expect_output("crash: 1 run, 1 failure");
    expect_output("FAILED crash: killed by SIGABRT");
    expect_output("1 deviation (minimal; ");
    expect_output("    before the end"); /* its timeline was saved by the dying process */
    expect_output("    about to die\n");
#ifdef __GLIBC__
    expect_output("    drywire: fault in ");
#endif
    expect_file("crash-2.run", &file);
    ck_assert_uint_eq(file.list.count, 1);
    ck_assert_uint_eq(file.list.items[0].value, 30);
    sim_runfile_free(&file);
    ck_assert_int_eq(run("--replay DIR/crash-2.run"), 1);
    expect_output("this is the failure that ");
}
END_TEST

START_TEST(after_a_crash_the_search_goes_on) {
    ck_assert_int_eq(run("crash --out DIR --seeds 400 --no-shrink --jobs 2"), 1);
    expect_output("crash: 400 runs, ");
    expect_output("killed by SIGABRT");
    expect_output("the run ended the process with exit(3)");
}
END_TEST

START_TEST(too_many_crashes_end_the_search) {
    ck_assert_int_eq(run("crash --out DIR --seeds 5000 --no-shrink"), 1);
    expect_output("given up, too many runs ended their process");
}
END_TEST

START_TEST(a_hang_is_a_finding_with_a_list) {
    sim_runfile file;
    ck_assert_int_eq(run("hang --out DIR --first-seed 4 --seeds 1"), 1);
    expect_output("FAILED hang: more than 1 s of wall time in one run");
    expect_output("    spinning"); /* its timeline, too */
    expect_file("hang-4.run", &file);
    ck_assert_uint_eq(file.list.count, 1);
    ck_assert_uint_eq(file.list.items[0].nth, 2);
    sim_runfile_free(&file);
}
END_TEST

/* ---- Sweeps ---- */

START_TEST(a_sweep_plays_each_single_deviation) {
    sim_runfile file;
    ck_assert_int_eq(run("one_cut --out DIR --sweep cut"), 1);
    expect_output("one_cut: sweep of 55 points: cut 55\n"); /* 5 segments, 11 places each */
    expect_output("one_cut: 55 runs, 1 failure, ");
    expect_file("one_cut-sweep-28.run", &file); /* 2 * 11 + 7 - 1 */
    ck_assert_uint_eq(file.list.count, 1);
    ck_assert_uint_eq(file.list.items[0].value, 7);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_sweep_says_how_many_points_each_kind_has) {
    ck_assert_int_eq(run("pair --out DIR --sweep reset,cut"), 0);
    expect_output("pair: sweep of 600 points: cut 580, reset 20\n");
}
END_TEST

START_TEST(a_kind_without_a_point_fails_the_sweep) {
    ck_assert_int_eq(run("steady --out DIR --sweep cut,refuse"), 1);
    expect_output("FAILED sweep: no run offers a point of kind 'refuse': nothing of it was tested");
    expect_no_output("kind 'cut'");
}
END_TEST

START_TEST(sweeping_all_kinds_takes_what_there_is) {
    ck_assert_int_eq(run("steady --out DIR --sweep all"), 0);
    expect_output("refuse 0");
}
END_TEST

START_TEST(a_failing_calm_run_is_not_swept) {
    ck_assert_int_eq(run("calm_fails --out DIR --sweep close"), 1);
    expect_output("calm_fails: the calm run fails; nothing else is played");
    expect_output("FAILED calm_fails: 1 connection is left");
}
END_TEST

/* ---- Determinism ---- */

START_TEST(a_run_that_goes_two_ways_exits_125_and_shows_where) {
    ck_assert_int_eq(run("forgetful --out DIR --seeds 10"), 125);
    expect_output("NOT DETERMINISTIC forgetful: seed 0x0 went two ways when played twice");
    expect_output("the first event that differs is line 2 of the timeline:");
    expect_output("before  the first line");
    expect_output("once    run number 0");
    expect_output("then    run number 1");
}
END_TEST

START_TEST(a_single_seed_is_checked_for_determinism_too) {
    ck_assert_int_eq(run("forgetful --seed 1"), 125);
    expect_output("once    run number 0");
}
END_TEST

START_TEST(a_failure_that_does_not_come_back_is_not_deterministic) {
    ck_assert_int_eq(run("moody --out DIR --seeds 100 --jobs 1"), 125);
    expect_output("went two ways when played twice");
    expect_output("run again alone, in a fresh process, it holds");
    expect_output("it had failed with: always: the seventh run of a process");
}
END_TEST

START_TEST(an_interrupt_ends_the_search_and_exits_130) {
    ck_assert_int_eq(run("interrupting never --out DIR --seeds 100000 --jobs 1"), 130);
    expect_output("interrupting: interrupted after ");
    expect_no_output("never:");
}
END_TEST

/* ---- Single runs ---- */

START_TEST(one_seed_prints_its_timeline) {
    ck_assert_int_eq(run("steady --seed 0x2"), 0);
    expect_output("    step 0\n");
    expect_output("    step 19\n");
    expect_output("steady: held; ");
    ck_assert_int_eq(run("pair --seed 5"), 1);
    expect_output("> FINDING always: a late link and a reset do no harm");
    ck_assert_int_eq(run("pair --seed 5 --no-fork"), 1);
    expect_output("> FINDING always: a late link and a reset do no harm");
}
END_TEST

START_TEST(a_replay_says_whether_it_is_the_expected_failure) {
    write_file("a.run", pair_file);
    ck_assert_int_eq(run("--replay DIR/a.run"), 1);
    expect_output("this is the failure that ");
    expect_output("    step 19\n");
    write_file("b.run", "drywire run 1\nscenario calm_fails\nexpect always: another\n");
    ck_assert_int_eq(run("--replay DIR/b.run"), 1);
    expect_output("expects another failure: always: another");
    write_file("c.run", "drywire run 1\nscenario steady\nexpect always: something\n");
    ck_assert_int_eq(run("--replay DIR/c.run"), 0);
    expect_output("it held; ");
}
END_TEST

START_TEST(a_replay_says_what_was_not_reached_or_taken_otherwise) {
    write_file("a.run", "drywire run 1\nscenario one_cut\ndeviate a:1>b:2 cut 99 7\n"
                        "deviate a:1>b:2 cut 1 50\nhash 0000000000000000\n");
    ck_assert_int_eq(run("--replay DIR/a.run"), 0);
    expect_output("not reached: deviate   a:1>b:2  cut   99  7");
    expect_output("taken as 11: deviate   a:1>b:2  cut    1  50");
    expect_output("the hash is not the one that was recorded (0000000000000000)");
}
END_TEST

START_TEST(a_run_replays_the_same_every_time) {
    write_file("a.run", pair_file);
    ck_assert_int_eq(run("--replay DIR/a.run"), 1);
    char *first = strdup(output);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(run("--replay DIR/a.run"), 1);
        ck_assert_str_eq(output, first);
    }
    free(first);
}
END_TEST

START_TEST(shrinking_a_file_writes_its_minimal_form_beside_it) {
    sim_runfile file;
    write_file("a.run", pair_file);
    ck_assert_int_eq(run("--shrink DIR/a.run"), 1);
    expect_output("2 deviations (minimal; shrunk from 3 in ");
    expect_file("a.min.run", &file);
    ck_assert_uint_eq(file.list.count, 2);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_file_that_does_not_fail_is_not_shrunk) {
    write_file("a.run", "drywire run 1\nscenario steady\n");
    ck_assert_int_eq(run("--shrink DIR/a.run"), 0);
    expect_output("it does not fail: there is nothing to shrink");
}
END_TEST

/* ---- Wrong usage ---- */

START_TEST(wrong_usage_is_one_line_and_exits_2) {
    static const char *const cases[][2] = {
        {"nosuch", "./fake: there is no scenario 'nosuch'; there are: steady, pair, "},
        {"--seed x", "./fake: --seed: 'x' is no number"},
        {"--frob", "./fake: there is no option '--frob'"},
        {"--replay /nonexistent", "./fake: /nonexistent: No such file or directory"},
        {"steady --out /nonexistent", "./fake: /nonexistent: cannot write there: "},
        {"--replay DIR/bad.run", "bad.run:3: '0' is no count: NTH is 1 or more"},
        {"--replay DIR/who.run", "who.run: there is no scenario 'who'; there are: steady, "},
        {"--shrink DIR/bad.run", "bad.run:3: "},
    };
    write_file("bad.run", "drywire run 1\nscenario steady\ndeviate a cut 0 1\n");
    write_file("who.run", "drywire run 1\nscenario who\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(run(cases[i][0]), 2);
        expect_output(cases[i][1]);
        ck_assert_msg(strchr(output, '\n') == output + strlen(output) - 1, "%s", output);
    }
}
END_TEST

static void bad_kinds_body(void *user) {
    (void)user;
    char *argv[] = {(char *)"./fake", NULL};
    static const dw_scenario scenarios[] = {{.name = "odd", .run = steady, .kinds = "cut,rest"}};
    int status = dw_main(1, argv, scenarios, 1);
    sim_child_end(status);
}

static void no_scenarios_body(void *user) {
    (void)user;
    char *argv[] = {(char *)"./fake", NULL};
    int status = dw_main(1, argv, NULL, 0);
    sim_child_end(status);
}

START_TEST(wrong_scenarios_are_wrong_usage_too) {
    ck_assert_int_eq(in_child(bad_kinds_body, NULL), 2);
    expect_output("./fake: scenario odd: there is no kind 'rest'; there are: latency, ");
    ck_assert_int_eq(in_child(no_scenarios_body, NULL), 2);
    expect_output("./fake: this program has no scenarios");
}
END_TEST

START_TEST(nothing_is_written_after_wrong_usage) {
    ck_assert_int_eq(run("pair --out DIR --seeds x"), 2);
    ck_assert_int_eq(rmdir(directory), 0); /* empty */
    ck_assert_int_eq(mkdir(directory, 0700), 0);
}
END_TEST

START_TEST(list_help_and_version_exit_0) {
    ck_assert_int_eq(run("--list"), 0);
    expect_output("steady                   200 seeds\n");
    ck_assert_int_eq(run("--help"), 0);
    expect_output("Exit status: 0 all held;");
    ck_assert_int_eq(run("--version"), 0);
    expect_output("drywire ");
}
END_TEST

/* ---- Names of failures ---- */

START_TEST(a_sanitizers_report_names_the_bug_without_addresses) {
    static const char asan[] =
        "=================================================================\n"
        "==77==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x4\n"
        "    #0 0x4 in parse /home/me/src/kv.c:12\n"
        "SUMMARY: AddressSanitizer: heap-use-after-free /home/me/src/kv.c:12:5 in parse\n";
    static const char ubsan[] =
        "/home/me/src/kv.c:7:13: runtime error: signed integer overflow: 1 + 2 cannot be\n";
    static const char pointer[] =
        "kv.c:7:13: runtime error: load of misaligned address 0x7f00 for type 'int'\n";
    sim_outcome outcome = {0};
    ck_assert(sim_finding_from_text(&outcome, asan));
    ck_assert_str_eq(outcome.oracle, "sanitizer");
    ck_assert_str_eq(outcome.message, "AddressSanitizer: heap-use-after-free in parse");
    ck_assert_str_eq(outcome.where, "kv.c:12");
    ck_assert(sim_finding_is_deadly(&outcome));
    ck_assert(sim_finding_from_text(&outcome, ubsan));
    ck_assert_str_eq(outcome.message, "signed integer overflow");
    ck_assert_str_eq(outcome.where, "kv.c:7");
    ck_assert(sim_finding_from_text(&outcome, pointer));
    ck_assert_str_eq(outcome.message, "load of misaligned address");
    ck_assert(sim_finding_from_text(
        &outcome, "a.c:1:2: runtime error: index 7 out of bounds for type 'int [4]'\n"));
    ck_assert_str_eq(outcome.message, "index # out of bounds for type 'int [#]'");
    ck_assert(!sim_finding_from_text(&outcome, "all is well\n"));
}
END_TEST

START_TEST(a_failed_assertion_is_named_by_its_text_and_place) {
    sim_outcome outcome = {0};
    sim_finding_from_death(&outcome, SIGABRT,
                           "kv_tests: /home/me/src/kv.c:42: parse: Assertion `len > 0' failed.\n");
    ck_assert_str_eq(outcome.oracle, "crash");
    ck_assert_str_eq(outcome.message, "assertion failed: len > 0");
    ck_assert_str_eq(outcome.where, "kv.c:42");
    sim_finding_from_death(&outcome, SIGSEGV, "");
    ck_assert_str_eq(outcome.message, "killed by SIGSEGV, invalid memory access");
}
END_TEST

/* ---- The glue for Check ---- */

static void suite_body(void *user) {
    const char *fork_mode = user;
    setenv("CK_FORK", fork_mode, 1);
    setenv("DRYWIRE_OUT", directory, 1);
    setenv("CK_RUN_CASE", "glue", 1);
    Suite *suite = suite_create("inner");
    TCase *tc = tcase_create("glue");
    dw_tcase_add_scenario(tc, steady, .seeds = 50);
    dw_tcase_add_scenario(tc, pair, .seeds = 50);
    dw_tcase_add_scenario(tc, calm_fails);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    sim_child_end(failed);
}

static void expect_glue(const char *fork_mode) {
    char replay[128];
    ck_assert_int_eq(in_child(suite_body, (void *)(uintptr_t)fork_mode), 2);
    expect_output("33%: Checks: 3, Failures: 2, Errors: 0");
    expect_output("glue:pair:");
    expect_output("a late link and a reset do no harm\n");
    expect_output("  2 deviations (minimal; ");
    expect_output("deviate   link client-1>server    latency");
    expect_output("  > FINDING always:");
    snprintf(replay, sizeof(replay), "DRYWIRE_REPLAY=%s/pair-5.run CK_RUN_CASE='glue' ", directory);
    expect_output(replay);
}

START_TEST(a_scenario_is_a_test_of_check_with_and_without_fork) {
    expect_glue("yes");
    expect_glue("no");
}
END_TEST

START_TEST(the_environment_names_a_run_to_replay) {
    char path[128];
    snprintf(path, sizeof(path), "%s/a.run", directory);
    write_file("a.run", pair_file);
    setenv("DRYWIRE_REPLAY", path, 1);
    ck_assert_int_eq(in_child(suite_body, (void *)(uintptr_t) "yes"), 1); /* the other two pass */
    expect_output("66%: Checks: 3, Failures: 1, Errors: 0");
    expect_output("    step 19\n");
    unsetenv("DRYWIRE_REPLAY");
}
END_TEST

START_TEST(a_report_fits_its_buffer_and_keeps_the_command) {
    char report[700];
    dw_scenario scenario = {.name = "pair", .run = pair, .seeds = 20};
    setenv("DRYWIRE_OUT", directory, 1);
    memset(report, 'x', sizeof(report));
    ck_assert(!dw_scenario_holds(&scenario, "./mine", report, sizeof(report)));
    ck_assert_uint_lt(strlen(report), sizeof(report));
    ck_assert_msg(strstr(report, "pair-5.run ./mine\n") != NULL, "%s", report);
    ck_assert_msg(strncmp(report, "a late link and a reset do no harm\n", 35) == 0, "%s", report);
    ck_assert(!dw_scenario_holds(&scenario, "./mine", report, 8));
    ck_assert_uint_lt(strlen(report), 8);
}
END_TEST

START_TEST(what_is_not_deterministic_does_not_hold) {
    char report[1000];
    dw_scenario scenario = {.name = "forgetful", .run = forgetful, .seeds = 5};
    ck_assert(!dw_scenario_holds(&scenario, "./mine", report, sizeof(report)));
    ck_assert_msg(strstr(report, "not deterministic: seed 0x0 went two ways") != NULL, "%s",
                  report);
    scenario.kinds = "rest";
    ck_assert(!dw_scenario_holds(&scenario, "./mine", report, sizeof(report)));
    ck_assert_msg(strstr(report, "there is no kind 'rest'") != NULL, "%s", report);
}
END_TEST

START_TEST(a_replay_of_a_bad_file_does_not_hold) {
    char report[1000];
    dw_scenario scenario = {.name = "steady", .run = steady};
    setenv("DRYWIRE_REPLAY", "/nonexistent/a.run", 1);
    ck_assert(!dw_scenario_holds(&scenario, "./mine", report, sizeof(report)));
    ck_assert_str_eq(report, "/nonexistent/a.run: No such file or directory");
    unsetenv("DRYWIRE_REPLAY");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runner");
    TCase *tc = tcase_create("runner");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, seeds_that_hold_exit_0);
    tcase_add_test(tc, a_failure_is_shrunk_written_and_exits_1);
    tcase_add_test(tc, the_parts_of_a_failure_come_in_reading_order);
    tcase_add_test(tc, the_same_failure_is_found_however_many_workers);
    tcase_add_test(tc, first_seed_moves_the_range);
    tcase_add_test(tc, without_shrinking_the_list_is_whole);
    tcase_add_test(tc, a_failing_calm_run_needs_no_deviation);
    tcase_add_test(tc, what_was_never_true_is_told_and_fails_only_when_strict);
    tcase_add_test(tc, other_scenarios_assertions_are_not_missed_when_they_did_not_run);
    tcase_add_test(tc, what_the_program_printed_is_quoted);
    tcase_add_test(tc, out_of_time_before_the_seeds_exits_124);
    tcase_add_test(tc, a_time_without_a_number_of_seeds_exits_0);
    tcase_add_test(tc, a_crash_is_a_finding_with_a_list);
    tcase_add_test(tc, after_a_crash_the_search_goes_on);
    tcase_add_test(tc, too_many_crashes_end_the_search);
    tcase_add_test(tc, a_hang_is_a_finding_with_a_list);
    tcase_add_test(tc, a_sweep_plays_each_single_deviation);
    tcase_add_test(tc, a_sweep_says_how_many_points_each_kind_has);
    tcase_add_test(tc, a_kind_without_a_point_fails_the_sweep);
    tcase_add_test(tc, sweeping_all_kinds_takes_what_there_is);
    tcase_add_test(tc, a_failing_calm_run_is_not_swept);
    tcase_add_test(tc, a_run_that_goes_two_ways_exits_125_and_shows_where);
    tcase_add_test(tc, a_single_seed_is_checked_for_determinism_too);
    tcase_add_test(tc, a_failure_that_does_not_come_back_is_not_deterministic);
    tcase_add_test(tc, an_interrupt_ends_the_search_and_exits_130);
    tcase_add_test(tc, one_seed_prints_its_timeline);
    tcase_add_test(tc, a_replay_says_whether_it_is_the_expected_failure);
    tcase_add_test(tc, a_replay_says_what_was_not_reached_or_taken_otherwise);
    tcase_add_test(tc, a_run_replays_the_same_every_time);
    tcase_add_test(tc, shrinking_a_file_writes_its_minimal_form_beside_it);
    tcase_add_test(tc, a_file_that_does_not_fail_is_not_shrunk);
    tcase_add_test(tc, wrong_usage_is_one_line_and_exits_2);
    tcase_add_test(tc, wrong_scenarios_are_wrong_usage_too);
    tcase_add_test(tc, nothing_is_written_after_wrong_usage);
    tcase_add_test(tc, list_help_and_version_exit_0);
    tcase_add_test(tc, a_sanitizers_report_names_the_bug_without_addresses);
    tcase_add_test(tc, a_failed_assertion_is_named_by_its_text_and_place);
    tcase_add_test(tc, a_scenario_is_a_test_of_check_with_and_without_fork);
    tcase_add_test(tc, the_environment_names_a_run_to_replay);
    tcase_add_test(tc, a_report_fits_its_buffer_and_keeps_the_command);
    tcase_add_test(tc, what_is_not_deterministic_does_not_hold);
    tcase_add_test(tc, a_replay_of_a_bad_file_does_not_hold);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
