/* SPDX-License-Identifier: MIT */
/*
 * Run files: the format of the design's section 1.2, read and written. Expectations are that
 * format's words, and arithmetic.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "../suite.h"
#include "duration.h"
#include "runfile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char example[] = "drywire run 1\n"
                              "scenario  kv/reconnect\n"
                              "deviate   client-1:1>server:6379   cut      3   17\n"
                              "deviate   client-1:1>server:6379   reset    7   1\n"
                              "deviate   link client-1>server     latency  4   250ms\n";

static char message[SIM_RUNFILE_ERROR];

static bool parse(const char *text, sim_runfile *file) {
    message[0] = '\0';
    return sim_runfile_parse("x.run", text, strlen(text), file, message);
}

/* Expects the text to be refused with this message, and nothing to be half-read. */
static void expect_refusal(const char *text, const char *why) {
    sim_runfile file;
    ck_assert_msg(!parse(text, &file), "accepted: %s", text);
    ck_assert_msg(strstr(message, why) != NULL, "expected '%s' in '%s'", why, message);
    ck_assert_uint_eq(file.list.count, 0);
    ck_assert_ptr_null(file.list.items);
    ck_assert_str_eq(file.scenario, "");
}

START_TEST(the_example_of_the_design_is_read) {
    sim_runfile file;
    ck_assert_msg(parse(example, &file), "%s", message);
    ck_assert_str_eq(file.scenario, "kv/reconnect");
    ck_assert_uint_eq(file.list.count, 3);
    ck_assert_str_eq(file.list.items[0].who, "client-1:1>server:6379");
    ck_assert_str_eq(file.list.items[0].what, "cut");
    ck_assert_uint_eq(file.list.items[0].nth, 3);
    ck_assert_uint_eq(file.list.items[0].value, 17);
    ck_assert_str_eq(file.list.items[2].who, "link client-1>server");
    ck_assert_uint_eq(file.list.items[2].value, 250000000);
    ck_assert(!file.has_expect && !file.has_hash);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(comments_blank_lines_tabs_and_crlf_are_fine) {
    sim_runfile file;
    ck_assert_msg(parse("# by hand\r\n\r\n  drywire run 1\r\n\tscenario a # which\r\n"
                        "deviate\tlink  a>b\tlatency 1 1s # slow\r\n"
                        "expect always: one # is not a comment\r\nhash 00000000000000ff\r\n",
                        &file),
                  "%s", message);
    ck_assert_str_eq(file.scenario, "a");
    ck_assert_str_eq(file.list.items[0].who, "link a>b");
    ck_assert_uint_eq(file.list.items[0].value, 1000000000);
    ck_assert_str_eq(file.oracle, "always");
    ck_assert_str_eq(file.message, "one # is not a comment");
    ck_assert_uint_eq(file.hash, 255);
    sim_runfile_free(&file);
}
END_TEST

START_TEST(errors_name_file_and_line) {
    expect_refusal("", "x.run:1: no run file: the first line must be 'drywire run 1'");
    expect_refusal("hello\n", "x.run:1: no run file");
    expect_refusal("drywire run 2\n", "x.run:1: format '2' is not known here");
    expect_refusal("drywire run 1\n", "without a 'scenario NAME' line");
    expect_refusal("drywire run 1\nscenario a\n\nfrobnicate\n",
                   "x.run:4: unknown word 'frobnicate'");
    expect_refusal("drywire run 1\nscenario a\nscenario b\n", "x.run:3: a second scenario");
}
END_TEST

START_TEST(a_bad_deviation_is_refused) {
    static const char head[] = "drywire run 1\nscenario a\n";
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"deviate cut 3 17\n", "x.run:3: expected: deviate WHO WHAT NTH VALUE"},
        {"deviate\n", "x.run:3: expected: deviate WHO WHAT NTH VALUE"},
        {"deviate a cut x 17\n", "'x' is no count"},
        {"deviate a cut 0 17\n", "'0' is no count"},
        {"deviate a cut 1 -1\n", "'-1' is no number"},
        {"deviate a cut 1 0\n", "the value 0 is the calm one"},
        {"deviate a cut 1 18446744073709551616\n", "is no number"},
        {"deviate a cut 1 17ms\n", "'17ms' is no number"},
        {"deviate a latency 1 250\n", "'250' is no duration"},
        {"deviate a latency 1 9223372037s\n", "is no duration"},
        {"deviate a cut 1 2\ndeviate b cut 1 2\ndeviate a cut 1 3\n",
         "x.run:5: the same draw as in line 3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s%s", head, cases[i].line);
        expect_refusal(text, cases[i].why);
    }
}
END_TEST

START_TEST(limits_have_messages) {
    char text[4096] = "drywire run 1\nscenario a\ndeviate ";
    size_t at = strlen(text);
    memset(text + at, 'w', SIM_WHO_MAX);
    strcpy(text + at + SIM_WHO_MAX, " cut 1 1\n");
    expect_refusal(text, "WHO is longer than");
    memset(text + at, 'w', SIM_RUNFILE_LINE_MAX);
    strcpy(text + at + SIM_RUNFILE_LINE_MAX, " cut 1 1\n");
    expect_refusal(text, "the line is longer than");
    expect_refusal("drywire run 1\nscen\001ario a\n", "control characters");
}
END_TEST

START_TEST(a_nul_byte_is_no_run_file) {
    sim_runfile file;
    static const char text[] = "drywire run 1\nscenario a\0b\n";
    ck_assert(!sim_runfile_parse("x.run", text, sizeof(text) - 1, &file, message));
    ck_assert_str_eq(message, "x.run:2: control characters: this is no run file");
}
END_TEST

START_TEST(what_is_written_reads_back_the_same) {
    char directory[] = "/tmp/drywire-test-XXXXXX";
    char path[100];
    sim_runfile file;
    sim_runfile again;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/a.run", directory);
    ck_assert(parse(example, &file));
    file.has_expect = file.has_hash = true;
    strcpy(file.oracle, "always");
    strcpy(file.message, "an acknowledged SET is stored: 1 != 2");
    file.hash = UINT64_C(0x0123456789abcdef);
    ck_assert_msg(sim_runfile_write(path, &file, message), "%s", message);
    ck_assert_msg(sim_runfile_read(path, &again, message), "%s", message);
    ck_assert_str_eq(again.scenario, file.scenario);
    ck_assert_str_eq(again.oracle, file.oracle);
    ck_assert_str_eq(again.message, file.message);
    ck_assert(again.has_hash && again.hash == file.hash);
    ck_assert_uint_eq(again.list.count, 3);
    ck_assert_mem_eq(again.list.items, file.list.items, 3 * sizeof(sim_deviation));
    unlink(path);
    ck_assert_msg(rmdir(directory) == 0, "a temporary file was left in %s", directory);
    sim_runfile_free(&file);
    sim_runfile_free(&again);
}
END_TEST

START_TEST(a_path_that_cannot_be_written_is_an_error) {
    sim_runfile file;
    ck_assert(parse(example, &file));
    ck_assert(!sim_runfile_write("/nonexistent/a.run", &file, message));
    ck_assert_str_eq(message, "/nonexistent/a.run: cannot be written: No such file or directory");
    ck_assert(!sim_runfile_can_write_in("/nonexistent", message));
    ck_assert_str_eq(message, "/nonexistent: cannot write there: No such file or directory");
    ck_assert(sim_runfile_can_write_in("/tmp", message));
    sim_runfile_free(&file);
}
END_TEST

START_TEST(a_path_that_cannot_be_read_is_an_error) {
    sim_runfile file;
    ck_assert(!sim_runfile_read("/nonexistent/a.run", &file, message));
    ck_assert_str_eq(message, "/nonexistent/a.run: No such file or directory");
    ck_assert(!sim_runfile_read("/tmp", &file, message));
    ck_assert_str_eq(message, "/tmp: Is a directory");
}
END_TEST

START_TEST(durations_are_exact_both_ways) {
    static const struct {
        const char *text;
        dw_time ns;
        const char *written;
    } cases[] = {
        {"250ms", DW_MSEC(250), "250ms"},
        {"1s", DW_SEC(1), "1s"},
        {"17us", DW_USEC(17), "17us"},
        {"3ns", 3, "3ns"},
        {"1000ms", DW_SEC(1), "1s"},
        {"1001us", DW_USEC(1001), "1001us"},
        {"10m", DW_MIN(10), "600s"},
        {"2h", DW_HOUR(2), "7200s"},
        {"0s", 0, "0ns"},
        {"9223372036854775807ns", INT64_MAX, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dw_time ns = -1;
        char text[SIM_DURATION_TEXT];
        ck_assert_msg(sim_duration_parse(cases[i].text, &ns), "%s", cases[i].text);
        ck_assert_int_eq(ns, cases[i].ns);
        ck_assert_str_eq(sim_duration_format(ns, text),
                         cases[i].written ? cases[i].written : cases[i].text);
    }
}
END_TEST

START_TEST(what_is_no_duration_is_refused) {
    static const char *const cases[] = {"",        "1",    "ms",  "-1s", "1.5s",
                                        "1 s",     "1sec", "+1s", "1S",  "9223372036854775808ns",
                                        "3000000h"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dw_time ns = 0;
        ck_assert_msg(!sim_duration_parse(cases[i], &ns), "accepted '%s'", cases[i]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runfile");
    TCase *tc = tcase_create("runfile");
    tcase_add_test(tc, the_example_of_the_design_is_read);
    tcase_add_test(tc, comments_blank_lines_tabs_and_crlf_are_fine);
    tcase_add_test(tc, errors_name_file_and_line);
    tcase_add_test(tc, a_bad_deviation_is_refused);
    tcase_add_test(tc, limits_have_messages);
    tcase_add_test(tc, a_nul_byte_is_no_run_file);
    tcase_add_test(tc, what_is_written_reads_back_the_same);
    tcase_add_test(tc, a_path_that_cannot_be_written_is_an_error);
    tcase_add_test(tc, a_path_that_cannot_be_read_is_an_error);
    tcase_add_test(tc, durations_are_exact_both_ways);
    tcase_add_test(tc, what_is_no_duration_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
