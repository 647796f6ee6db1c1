/* SPDX-License-Identifier: MIT */
/*
 * The runner among machines: shards by option and by the variables of CI systems, results and their
 * merging, JUnit, TAP, Bazel's places, drywire.conf. The facts about CI systems are those of their
 * manuals: where they begin to count, and what they call things.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "runner_rig.h"

static char text[OUTPUT_MAX];

static const char *read_text(const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *in = fopen(path, "r");
    ck_assert_msg(in != NULL, "there is no %s:\n%s", name, output);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    return text;
}

static void expect_text(const char *name, const char *part) {
    ck_assert_msg(strstr(read_text(name), part) != NULL, "expected '%s' in:\n%s", part, text);
}

/* ---- Shards ---- */

START_TEST(shards_together_play_every_run_once) {
    /* 200 = 67 + 67 + 66 */
    ck_assert_int_eq(run("steady --out DIR --shard 1/3"), 0);
    expect_output("steady: shard 1 of 3 (--shard): 67 of 200 runs");
    expect_output("steady: 67 runs, ");
    ck_assert_int_eq(run("steady --out DIR --shard 2/3"), 0);
    expect_output("steady: 67 runs, ");
    ck_assert_int_eq(run("steady --out DIR --shard 3/3"), 0);
    expect_output("steady: 66 runs, ");
}
END_TEST

START_TEST(more_shards_than_runs_leave_some_without) {
    ck_assert_int_eq(run("steady --seeds 2 --out DIR --shard 3/3"), 0);
    expect_output("steady: 0 runs, 0 failures");
}
END_TEST

static const struct {
    const char *index, *index_value, *total, *total_value, *expected;
} ci[] = {
    {"TEST_SHARD_INDEX", "0", "TEST_TOTAL_SHARDS", "4", "shard 1 of 4 (TEST_SHARD_INDEX)"},
    {"GTEST_SHARD_INDEX", "3", "GTEST_TOTAL_SHARDS", "4", "shard 4 of 4"},
    {"CI_NODE_INDEX", "1", "CI_NODE_TOTAL", "4", "shard 1 of 4"},
    {"CI_NODE_INDEX", "4", "CI_NODE_TOTAL", "4", "shard 4 of 4"},
    {"CIRCLE_NODE_INDEX", "0", "CIRCLE_NODE_TOTAL", "4", "shard 1 of 4"},
    {"BUILDKITE_PARALLEL_JOB", "1", "BUILDKITE_PARALLEL_JOB_COUNT", "4", "shard 2 of 4"},
    {"BITBUCKET_PARALLEL_STEP", "1", "BITBUCKET_PARALLEL_STEP_COUNT", "4", "shard 2 of 4"},
    {"SEMAPHORE_JOB_INDEX", "1", "SEMAPHORE_JOB_COUNT", "4", "shard 1 of 4"},
    {"SEMAPHORE_CURRENT_JOB", "2", "SEMAPHORE_JOB_COUNT", "4", "shard 2 of 4"},
    {"AWS_BATCH_JOB_ARRAY_INDEX", "3", "AWS_BATCH_JOB_ARRAY_SIZE", "4", "shard 4 of 4"},
};

START_TEST(ci_systems_say_which_shard_it_is) {
    setenv(ci[_i].index, ci[_i].index_value, 1);
    setenv(ci[_i].total, ci[_i].total_value, 1);
    ck_assert_int_eq(run("steady --out DIR"), 0);
    expect_output(ci[_i].expected);
}
END_TEST

/* --array=10-40:10 has the tasks 10, 20, 30, 40. */
START_TEST(slurms_arrays_may_begin_anywhere_and_have_steps) {
    setenv("SLURM_ARRAY_TASK_ID", "30", 1);
    setenv("SLURM_ARRAY_TASK_COUNT", "4", 1);
    setenv("SLURM_ARRAY_TASK_MIN", "10", 1);
    setenv("SLURM_ARRAY_TASK_STEP", "10", 1);
    ck_assert_int_eq(run("steady --out DIR"), 0);
    expect_output("shard 3 of 4 (SLURM_ARRAY_TASK_ID)");
}
END_TEST

START_TEST(kubernetes_names_no_total) {
    setenv("JOB_COMPLETION_INDEX", "2", 1);
    ck_assert_int_eq(run("steady --out DIR"), 0);
    expect_no_output("shard");
    ck_assert_int_eq(run("steady --out DIR --shard auto/4"), 0);
    expect_output("shard 3 of 4 (JOB_COMPLETION_INDEX)");
}
END_TEST

START_TEST(the_option_wins_over_the_environment) {
    setenv("CI_NODE_INDEX", "1", 1);
    setenv("CI_NODE_TOTAL", "4", 1);
    ck_assert_int_eq(run("steady --out DIR --shard 2/2"), 0);
    expect_output("shard 2 of 2 (--shard)");
}
END_TEST

START_TEST(a_shard_out_of_range_is_wrong_usage) {
    ck_assert_int_eq(run("steady --shard 4/3"), 2);
    expect_output("shard 4 of 3 is out of range");
    ck_assert_int_eq(run("steady --shard 0/3"), 2);
    ck_assert_int_eq(run("steady --shard 3"), 2);
    ck_assert_int_eq(run("steady --shard auto/3"), 2);
    expect_output("no variable says which shard this is");
    setenv("CI_NODE_INDEX", "0", 1);
    setenv("CI_NODE_TOTAL", "4", 1);
    ck_assert_int_eq(run("steady"), 2);
    expect_output("CI_NODE_INDEX");
    setenv("CI_NODE_INDEX", "x", 1);
    ck_assert_int_eq(run("steady"), 2);
    expect_output("no number");
}
END_TEST

START_TEST(bazel_is_told_that_sharding_is_understood) {
    char path[128];
    snprintf(path, sizeof(path), "%s/status", directory);
    setenv("TEST_SHARD_INDEX", "1", 1);
    setenv("TEST_TOTAL_SHARDS", "2", 1);
    setenv("TEST_SHARD_STATUS_FILE", path, 1);
    ck_assert_int_eq(run("steady --out DIR"), 0);
    ck_assert_str_eq(read_text("status"), "");
}
END_TEST

START_TEST(bazels_places_are_used) {
    char path[128];
    snprintf(path, sizeof(path), "%s/test.xml", directory);
    setenv("XML_OUTPUT_FILE", path, 1);
    setenv("TEST_UNDECLARED_OUTPUTS_DIR", directory, 1);
    setenv("TESTBRIDGE_TEST_ONLY", "pair", 1);
    ck_assert_int_eq(run("--jobs 1"), 1);
    expect_no_output("steady");
    expect_text("test.xml", "name=\"pair\"");
    ck_assert_ptr_nonnull(strstr(output, directory)); /* the run file's place */
}
END_TEST

START_TEST(repetitions_try_other_seeds) {
    ck_assert_int_eq(run("one_cut --seeds 50 --first-seed 50 --out DIR --results DIR/second"), 1);
    char *seed = strdup(strstr(output, "first seen: seed"));
    seed[strcspn(seed, ";\n")] = '\0';
    setenv("TEST_RANDOM_SEED", "2", 1);
    ck_assert_int_eq(run("one_cut --seeds 50 --out DIR"), 1);
    expect_output(seed);
    free(seed);
}
END_TEST

/* ---- Results ---- */

START_TEST(merged_shards_say_what_one_search_says) {
    ck_assert_int_eq(run("steady pair --out DIR --shard 1/2 --results DIR/1"), 1);
    ck_assert_int_eq(run("steady pair --out DIR --shard 2/2 --results DIR/2"), 1);
    ck_assert_int_eq(run("--merge DIR/2 DIR/1 --results DIR/both"), 1);
    expect_output("steady: 200 runs, 0 failures");
    expect_output("pair: 300 runs, ");
    expect_output("FAILED pair: a late link and a reset do no harm");
    char *merged = strdup(read_text("both"));
    ck_assert_int_eq(run("steady pair --out DIR --results DIR/whole"), 1);
    char *failures = strstr(read_text("whole"), "scenario pair");
    failures = strstr(failures, "failures ");
    failures[strcspn(failures, "\n")] = '\0';
    ck_assert_msg(strstr(merged, failures) != NULL, "%s", merged);
    free(merged);
}
END_TEST

START_TEST(a_missing_shard_is_named) {
    ck_assert_int_eq(run("steady --out DIR --shard 1/4 --results DIR/1"), 0);
    ck_assert_int_eq(run("steady --out DIR --shard 3/4 --results DIR/3"), 0);
    ck_assert_int_eq(run("--merge DIR/1 DIR/3"), 2);
    expect_output("2 of 4 shards missing: 2, 4");
}
END_TEST

START_TEST(a_shard_may_come_once_only) {
    ck_assert_int_eq(run("steady --out DIR --shard 1/2 --results DIR/1"), 0);
    ck_assert_int_eq(run("--merge DIR/1 DIR/1"), 2);
    expect_output("shard 1 is in ");
}
END_TEST

START_TEST(other_searches_are_not_added_up) {
    ck_assert_int_eq(run("steady --out DIR --shard 1/2 --results DIR/1"), 0);
    ck_assert_int_eq(run("steady --seeds 20 --out DIR --shard 2/2 --results DIR/2"), 0);
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 2);
    expect_output("not of the same program and search");
    ck_assert_int_eq(run("--merge"), 2);
    ck_assert_int_eq(run("--merge DIR/none"), 2);
    write_file("bad", "drywire results 1\nprogram fake\nshard 1 1\nscenario a\n");
    ck_assert_int_eq(run("--merge DIR/bad"), 2);
    expect_output("cut off");
    write_file("bad", "hello\n");
    ck_assert_int_eq(run("--merge DIR/bad"), 2);
    expect_output("no results file");
}
END_TEST

/* Shard 2 holds less than it says: its file was written by a search that ended early. */
START_TEST(runs_that_were_never_played_fail_the_merge) {
    ck_assert_int_eq(run("steady --out DIR --shard 1/2 --results DIR/1"), 0);
    ck_assert_int_eq(run("steady --out DIR --shard 2/2 --results DIR/2"), 0);
    char *runs = strstr(read_text("2"), "\nruns 100");
    ck_assert_ptr_nonnull(runs);
    memcpy(runs, "\nruns 099", 9);
    write_file("2", text);
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 1);
    expect_output("FAILED merge: steady: 199 of 200 runs were played");
}
END_TEST

/* ---- JUnit and TAP ---- */

START_TEST(junit_names_each_scenario_and_its_failure) {
    ck_assert_int_eq(run("steady pair --out DIR --junit DIR/j.xml"), 1);
    expect_text("j.xml", "tests=\"2\" failures=\"1\"");
    expect_text("j.xml", "<testcase classname=\"fake\" name=\"steady\"");
    expect_text("j.xml",
                "<failure type=\"always\" message=\"a late link and a reset do no harm\">");
    ck_assert_int_eq(run("steady --junit DIR/none/j.xml"), 2);
}
END_TEST

START_TEST(tap_has_a_line_for_each_scenario_and_comments) {
    ck_assert_int_eq(run("steady pair --out DIR --tap"), 1);
    ck_assert_int_eq(strncmp(output, "TAP version 13\n", 15), 0);
    expect_output("\n1..2\n");
    expect_output("\nok 1 - steady, seeds: 200 runs, 0 failures\n");
    expect_output("\nnot ok 2 - pair, seeds: 300 runs, ");
    expect_output("\n  ---\n  oracle: \"always\"\n");
    for (const char *line = output; *line != '\0'; line += strcspn(line, "\n") + 1) {
        ck_assert_msg(strchr("T1#on ", *line) != NULL, "no line of TAP: %.80s", line);
    }
}
END_TEST

/* ---- --report ---- */

START_TEST(a_report_counts_traces_and_kinds) {
    ck_assert_int_eq(run("one_cut --out DIR --report"), 1);
    expect_output(" distinct in 1000 runs");
    expect_output("deviations taken: cut ");
    expect_output("never taken: latency, ");
}
END_TEST

/* ---- Depth 2 ---- */

/* What needs two deviations is found by pairs, and by nothing less. */
START_TEST(pairs_find_what_single_deviations_do_not) {
    sim_runfile file;
    ck_assert_int_eq(run("pair --sweep latency,reset --out DIR"), 0);
    ck_assert_int_eq(run("pair --sweep latency,reset --depth 2 --out DIR --jobs 2"), 1);
    expect_output("FAILED pair: a late link and a reset do no harm");
    expect_output("first seen: pair ");
    expect_output("2 deviations (minimal");
    const char *path = strstr(output, "--replay ");
    ck_assert_ptr_nonnull(path);
    char name[200], error[SIM_RUNFILE_ERROR];
    ck_assert_int_eq(sscanf(path, "--replay %199s", name), 1);
    ck_assert_msg(sim_runfile_read(name, &file, error), "%s", error);
    ck_assert_uint_eq(file.list.count, 2);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_budget_of_pairs_is_kept_and_told) {
    ck_assert_int_eq(run("steady --sweep latency --depth 2 --pairs 10 --out DIR"), 0);
    expect_output(" pairs played (");
    ck_assert_int_eq(run("steady --depth 2"), 2);
    ck_assert_int_eq(run("steady --sweep reset --depth 3"), 2);
}
END_TEST

/* ---- Bazel's time and files ---- */

/* Nine tenths of what it gives, so that there is a report before the test is killed. */
START_TEST(bazels_time_limit_ends_a_search_in_time) {
    setenv("TEST_TIMEOUT", "2", 1);
    ck_assert_int_eq(run("slow --seeds 1000000 --jobs 1 --out DIR"), 124);
    expect_output("slow: out of wall time after ");
    setenv("TEST_TIMEOUT", "60", 1);
    ck_assert_int_eq(run("steady --out DIR"), 0);
}
END_TEST

START_TEST(bazel_sees_a_test_that_did_not_come_to_its_end) {
    char path[128];
    snprintf(path, sizeof(path), "%s/premature", directory);
    setenv("TEST_PREMATURE_EXIT_FILE", path, 1);
    ck_assert_int_eq(run("pair --seeds 50 --out DIR"), 1);
    ck_assert_int_ne(access(path, F_OK), 0);
    setenv("DRYWIRE_TEST_EXIT_FILE", path, 1);
    run("looks_for_exit_file --seeds 1 --jobs 1 --out DIR");
    expect_output("the file is there");
}
END_TEST

START_TEST(the_number_of_a_repetition_will_do) {
    setenv("TEST_RUN_NUMBER", "2", 1);
    ck_assert_int_eq(run("steady --seeds 50 --results DIR/r --out DIR"), 0);
    expect_text("r", "first-seed 50\n");
}
END_TEST

/* ---- Merging what is no plain search ---- */

/* What two shards have in common is counted by each. */
START_TEST(traces_of_shards_are_at_most_their_sum) {
    run("never --seeds 10 --report --shard 1/2 --results DIR/1 --out DIR");
    run("never --seeds 10 --report --shard 2/2 --results DIR/2 --out DIR");
    run("--merge DIR/1 DIR/2 --report");
    expect_output("traces: at most 2 distinct in 10 runs");
}
END_TEST

START_TEST(pairs_of_all_shards_add_up) {
    run("steady --sweep latency --depth 2 --pairs 400 --shard 1/2 --results DIR/1 --out DIR");
    expect_output("steady: depth 2: ");
    run("steady --sweep latency --depth 2 --pairs 400 --shard 2/2 --results DIR/2 --out DIR");
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 0);
    /* 20 draws of 4 times; the pairs behind each: 4 * (19 + 18 + ... + 0) * 4. */
    expect_output("steady: depth 2: ");
    expect_output(" of 3040 pairs played");
}
END_TEST

/* ---- drywire.conf ---- */

START_TEST(the_command_line_wins_over_the_file_and_a_section_over_what_stands_above) {
    write_file("c", "seeds 30 # for all\n\n[pair]\nseeds=40\nfirst-seed 7\n");
    ck_assert_int_eq(run("steady --out DIR --config DIR/c"), 0);
    expect_output("steady: 30 runs");
    run("pair --out DIR --config DIR/c");
    expect_output("pair: 40 runs");
    run("pair --seeds 50 --out DIR --config DIR/c");
    expect_output("pair: 50 runs");
}
END_TEST

START_TEST(known_seeds_are_played_first_and_always) {
    ck_assert_int_eq(run("one_cut --out DIR"), 1);
    char seed[64];
    ck_assert_int_eq(
        sscanf(strstr(output, "first seen: seed "), "first seen: seed %60[0-9a-fx]", seed), 1);
    char lines[200];
    snprintf(lines, sizeof(lines), "[one_cut]\nseed %s\nseeds 1\nfirst-seed 0xffffffff0\n", seed);
    write_file("c", lines);
    ck_assert_int_eq(run("one_cut --out DIR --config DIR/c"), 1);
    expect_output("one_cut: 2 runs, 1 failure");
    expect_output(seed);
}
END_TEST

START_TEST(skip_leaves_a_scenario_out_unless_it_is_named) {
    write_file("c", "[steady]\nskip\n[crash]\nskip\n");
    ck_assert_int_eq(run("steady --out DIR --config DIR/c"), 0);
    expect_output("steady: 200 runs");
}
END_TEST

START_TEST(a_mistake_in_the_file_is_told_with_its_line) {
    static const struct {
        const char *lines, *why;
    } bad[] = {
        {"\nseed\n", "c:2: seed: '' is no number"},
        {"[nobody]\n", "c:1: there is no scenario 'nobody'"},
        {"[pair\n", "c:1: a section's name ends"},
        {"seeds 0\n", "c:1: seeds: 0 is out of range"},
        {"kinds cut,quake\n", "there is no kind 'quake'"},
        {"speed 9\n", "there is no 'speed'; there are: seeds"},
        {"skip\n", "skip stands in a scenario's section"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file("c", bad[i].lines);
        ck_assert_int_eq(run("steady --config DIR/c"), 2);
        expect_output(bad[i].why);
    }
    ck_assert_int_eq(run("steady --config DIR/none"), 2);
}
END_TEST

static void in_its_directory(void *user) {
    ck_assert_int_eq(chdir(directory), 0);
    main_body(user);
}

START_TEST(the_file_beside_the_user_is_read_unless_none_is_wanted) {
    char words[] = "steady", none[] = "steady --config none";
    write_file("drywire.conf", "seeds 3\n");
    ck_assert_int_eq(in_child(in_its_directory, words), 0);
    expect_output("steady: 3 runs");
    ck_assert_int_eq(in_child(in_its_directory, none), 0);
    expect_output("steady: 200 runs");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runner_ci");
    TCase *tc = tcase_create("ci");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, shards_together_play_every_run_once);
    tcase_add_test(tc, more_shards_than_runs_leave_some_without);
    tcase_add_loop_test(tc, ci_systems_say_which_shard_it_is, 0, (int)(sizeof(ci) / sizeof(ci[0])));
    tcase_add_test(tc, slurms_arrays_may_begin_anywhere_and_have_steps);
    tcase_add_test(tc, kubernetes_names_no_total);
    tcase_add_test(tc, the_option_wins_over_the_environment);
    tcase_add_test(tc, a_shard_out_of_range_is_wrong_usage);
    tcase_add_test(tc, bazel_is_told_that_sharding_is_understood);
    tcase_add_test(tc, bazels_places_are_used);
    tcase_add_test(tc, repetitions_try_other_seeds);
    tcase_add_test(tc, merged_shards_say_what_one_search_says);
    tcase_add_test(tc, a_missing_shard_is_named);
    tcase_add_test(tc, a_shard_may_come_once_only);
    tcase_add_test(tc, other_searches_are_not_added_up);
    tcase_add_test(tc, runs_that_were_never_played_fail_the_merge);
    tcase_add_test(tc, junit_names_each_scenario_and_its_failure);
    tcase_add_test(tc, tap_has_a_line_for_each_scenario_and_comments);
    tcase_add_test(tc, a_report_counts_traces_and_kinds);
    tcase_add_test(tc, bazels_time_limit_ends_a_search_in_time);
    tcase_add_test(tc, bazel_sees_a_test_that_did_not_come_to_its_end);
    tcase_add_test(tc, the_number_of_a_repetition_will_do);
    tcase_add_test(tc, traces_of_shards_are_at_most_their_sum);
    tcase_add_test(tc, pairs_of_all_shards_add_up);
    tcase_add_test(tc, pairs_find_what_single_deviations_do_not);
    tcase_add_test(tc, a_budget_of_pairs_is_kept_and_told);
    tcase_add_test(tc, the_command_line_wins_over_the_file_and_a_section_over_what_stands_above);
    tcase_add_test(tc, known_seeds_are_played_first_and_always);
    tcase_add_test(tc, skip_leaves_a_scenario_out_unless_it_is_named);
    tcase_add_test(tc, a_mistake_in_the_file_is_told_with_its_line);
    tcase_add_test(tc, the_file_beside_the_user_is_read_unless_none_is_wanted);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
