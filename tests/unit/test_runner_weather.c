/* SPDX-License-Identifier: MIT */
/*
 * The runner and weathers: who says in which a scenario is played, what a run file keeps of it, and
 * that shards of different weathers are not added up. `foggy` fails in fog alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "runner_rig.h"

#include <glob.h>

/* The one run file of that name's pattern in the directory. */
static const char *the_file(const char *pattern) {
    static char path[200];
    char whole[200];
    glob_t found;
    snprintf(whole, sizeof(whole), "%s/%s", directory, pattern);
    ck_assert_msg(glob(whole, 0, NULL, &found) == 0, "there is no %s:\n%s", pattern, output);
    ck_assert_uint_eq(found.gl_pathc, 1);
    snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

static int run_on(const char *before, const char *path, const char *after) {
    char line[500];
    snprintf(line, sizeof(line), "%s %s %s", before, path, after);
    return run(line);
}

/* ---- Who says ---- */

START_TEST(a_weather_that_is_unknown_is_wrong_usage) {
    ck_assert_int_eq(run("foggy --weather rain"), 2);
    expect_output("--weather: there is no weather 'rain'; there are: calm, wan, fog");
    ck_assert_int_eq(run("foggy --weather"), 2);
    expect_output("needs a value");
    ck_assert_int_eq(run("--help"), 0);
    expect_output("Weathers: calm, wan, fog");
}
END_TEST

START_TEST(any_scenario_can_be_played_in_any_weather) {
    ck_assert_int_eq(run("foggy --out DIR"), 0);
    ck_assert_int_eq(run("foggy --weather wan --out DIR"), 0);
    expect_output("foggy: in weather wan");
    ck_assert_int_eq(run("foggy --weather fog --out DIR"), 1);
    expect_output("FAILED foggy: who is cut in fog is seen");
    ck_assert_int_eq(run("foggy --sweep cut --weather fog --out DIR"), 1);
    ck_assert_int_eq(run("foggy --exhaustive cut --bound 1 --weather fog --out DIR"), 1);
    ck_assert_int_eq(run("foggy --seed 1 --weather fog --out DIR"), 0);
    expect_output("weather fog");
}
END_TEST

START_TEST(a_scenarios_own_weather_is_in_force_unless_another_is_wanted) {
    ck_assert_int_eq(run("own_fog --out DIR"), 1);
    ck_assert_int_eq(run("own_fog --weather calm --out DIR"), 0);
    ck_assert_int_eq(run("own_fog --list"), 0);
    expect_output("weather fog");
}
END_TEST

START_TEST(the_file_may_say_it_and_the_command_line_wins) {
    write_file("c", "weather wan\n[foggy]\nweather fog\n");
    ck_assert_int_eq(run("foggy --out DIR --config DIR/c"), 1);
    ck_assert_int_eq(run("foggy --out DIR --config DIR/c --weather calm"), 0);
    ck_assert_int_eq(run("own_fog --out DIR --config DIR/c"), 0);
    expect_output("own_fog: in weather wan");
    ck_assert_int_eq(run("foggy --seed 1 --config DIR/c"), 0);
    expect_output("weather fog");
    write_file("c", "\nweather rain\n");
    ck_assert_int_eq(run("foggy --config DIR/c"), 2);
    expect_output("c:2: weather: there is no weather 'rain'");
}
END_TEST

/* Else the seed that was told would be another run. */
START_TEST(one_seed_is_played_as_the_file_says_like_all_of_them) {
    write_file("c", "[pair]\nkinds reset\n");
    ck_assert_int_eq(run("pair --seed 3 --config DIR/c"), 0);
    expect_no_output("latency");
    ck_assert_int_eq(run("pair --seed 3 --config none"), 0);
    expect_output("latency");
}
END_TEST

/* ---- Run files ---- */

START_TEST(a_run_file_keeps_its_weather) {
    sim_runfile file;
    char error[SIM_RUNFILE_ERROR];
    ck_assert_int_eq(run("foggy --weather fog --out DIR"), 1);
    const char *path = the_file("foggy-fog-*.run");
    ck_assert_msg(sim_runfile_read(path, &file, error), "%s", error);
    ck_assert_str_eq(file.weather, "fog");
    sim_runfile_free(&file);
    ck_assert_int_eq(run_on("--replay", path, ""), 1);
    expect_output("this is the failure");
    expect_no_output("the hash is not the one");
    ck_assert_int_eq(run_on("--shrink", path, ""), 1);
    ck_assert_msg(sim_runfile_read(the_file("*.min.run"), &file, error), "%s", error);
    ck_assert_str_eq(file.weather, "fog");
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_replays_weather_is_the_files_alone) {
    write_file("x.run", "drywire run 1\nscenario foggy\nweather fog\ndeviate a:1>b:2 cut 3 7\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 1);
    ck_assert_int_eq(run("--replay DIR/x.run --weather wan"), 2);
    expect_output("--replay takes the weather from the file: leave --weather out");
    ck_assert_int_eq(run("--shrink DIR/x.run --weather wan"), 2);
    write_file("x.run", "drywire run 1\nscenario foggy\ndeviate a:1>b:2 cut 3 7\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 0);
    write_file("x.run", "drywire run 1\nscenario own_fog\ndeviate a:1>b:2 cut 3 7\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 1);
    write_file("x.run", "drywire run 1\nscenario own_fog\nweather calm\ndeviate a:1>b:2 cut 3 7\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 0);
    write_file("x.run", "drywire run 1\nscenario foggy\nweather rain\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 2);
    expect_output("x.run: there is no weather 'rain'; there are: calm, wan, fog");
    write_file("x.run", "drywire run 1\nscenario foggy\nweather fog\nweather wan\n");
    ck_assert_int_eq(run("--replay DIR/x.run"), 2);
    expect_output("x.run:4: a second weather");
}
END_TEST

static void check_glue(void *user) {
    char report[2000];
    bool held = dw_scenario_holds(user, "./fake", report, sizeof(report));
    fputs(report, stdout);
    fflush(stdout);
    sim_child_end(held ? 0 : 1);
}

START_TEST(other_harnesses_have_weathers_too) {
    static const dw_scenario *foggy;
    for (size_t i = 0; i < fake_scenario_count; i++) {
        foggy = strcmp(fake_scenarios[i].name, "foggy") == 0 ? &fake_scenarios[i] : foggy;
    }
    char path[200];
    write_file("x.run", "drywire run 1\nscenario foggy\nweather fog\ndeviate a:1>b:2 cut 3 7\n");
    snprintf(path, sizeof(path), "%s/x.run", directory);
    ck_assert_int_eq(in_child(check_glue, (void *)(uintptr_t)foggy), 0);
    setenv("DRYWIRE_OUT", directory, 1);
    setenv("DRYWIRE_WEATHER", "fog", 1);
    ck_assert_int_eq(in_child(check_glue, (void *)(uintptr_t)foggy), 1);
    the_file("foggy-fog-*.run");
    setenv("DRYWIRE_WEATHER", "rain", 1);
    ck_assert_int_eq(in_child(check_glue, (void *)(uintptr_t)foggy), 1);
    expect_output("DRYWIRE_WEATHER: there is no weather 'rain'");
    setenv("DRYWIRE_WEATHER", "wan", 1);
    setenv("DRYWIRE_REPLAY", path, 1);
    ck_assert_int_eq(in_child(check_glue, (void *)(uintptr_t)foggy), 1);
    expect_output("who is cut in fog is seen");
    write_file("x.run", "drywire run 1\nscenario foggy\nweather rain\n");
    ck_assert_int_eq(in_child(check_glue, (void *)(uintptr_t)foggy), 1);
    expect_output("there is no weather 'rain'");
}
END_TEST

/* ---- Shards and reports ---- */

START_TEST(shards_of_one_weather_add_up_and_those_of_two_do_not) {
    run("foggy --shard 1/2 --weather fog --results DIR/1 --out DIR");
    run("foggy --shard 2/2 --weather fog --results DIR/2 --out DIR");
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 1);
    expect_output("foggy (fog): 300 runs");
    run("foggy --shard 2/2 --weather wan --results DIR/2 --out DIR");
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 2);
    expect_output("not of the same program and search");
}
END_TEST

START_TEST(shards_of_sweeps_of_other_kinds_do_not_add_up) {
    run("steady --sweep cut --shard 1/2 --results DIR/1 --out DIR");
    run("steady --sweep cut,latency --shard 2/2 --results DIR/2 --out DIR");
    ck_assert_int_eq(run("--merge DIR/1 DIR/2"), 2);
    expect_output("not of the same program and search");
}
END_TEST

START_TEST(reports_name_the_weather) {
    char text[4000];
    ck_assert_int_eq(run("foggy --weather wan --out DIR --junit DIR/x.xml --tap"), 0);
    expect_output("ok 1 - foggy, seeds in wan: 300 runs");
    snprintf(text, sizeof(text), "grep -q 'name=\"foggy (wan)\"' %s/x.xml", directory);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runner_weather");
    TCase *tc = tcase_create("weather");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, a_weather_that_is_unknown_is_wrong_usage);
    tcase_add_test(tc, any_scenario_can_be_played_in_any_weather);
    tcase_add_test(tc, a_scenarios_own_weather_is_in_force_unless_another_is_wanted);
    tcase_add_test(tc, the_file_may_say_it_and_the_command_line_wins);
    tcase_add_test(tc, one_seed_is_played_as_the_file_says_like_all_of_them);
    tcase_add_test(tc, a_run_file_keeps_its_weather);
    tcase_add_test(tc, a_replays_weather_is_the_files_alone);
    tcase_add_test(tc, other_harnesses_have_weathers_too);
    tcase_add_test(tc, shards_of_one_weather_add_up_and_those_of_two_do_not);
    tcase_add_test(tc, shards_of_sweeps_of_other_kinds_do_not_add_up);
    tcase_add_test(tc, reports_name_the_weather);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
