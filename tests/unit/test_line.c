/* SPDX-License-Identifier: MIT */
/*
 * The line receiver: splitting, limits, closing in callbacks, modes. Expectations:
 * vectors/README.md, section 3 "LineReceiver", and the promise that cuts never matter; the numbers
 * are counted by hand.
 */
#include "line_probe.h"

#include <drywire/wrapper.h>

/* ---- Splitting ---- */

START_TEST(lines_come_without_their_delimiter) {
    expect("a\r\nbc\r\n", "line(a) line(bc) open");
}
END_TEST

START_TEST(empty_lines_are_delivered) {
    expect("\r\n\r\nx\r\n", "line() line() line(x) open");
}
END_TEST

START_TEST(unfinished_line_is_not_delivered) {
    expect("a\r\nbc", "line(a) open");
}
END_TEST

START_TEST(lone_cr_and_lone_lf_belong_to_the_line) {
    expect("a\rb\nc\r\r\n\n\r\n", "line(a.b.c.) line(.) open");
}
END_TEST

START_TEST(delimiter_may_be_replaced_by_another) {
    expect("slash\r\na/b", "line(slash) line(a) open");
}
END_TEST

static dw_protocol *end_make(dw_reactor *reactor) {
    struct probe *p = (struct probe *)(void *)probe_make(reactor);
    p->base.delimiter = "aab";
    p->base.delimiter_len = 3;
    return &p->base.base;
}

START_TEST(delimiter_that_overlaps_itself_ends_at_its_first_end) {
    rig_play play = {.make = end_make, .stream = "aaab-aab--aaaaabaab", .len = 19};
    rig_expect(play, "line(a) line(-) line(--aaa) line() open");
}
END_TEST

/* ---- Limits ---- */

START_TEST(line_of_the_limit_is_accepted) {
    options.max_length = 8;
    expect("12345678\r\nok\r\n", "line(12345678) line(ok) open");
}
END_TEST

START_TEST(line_of_one_more_is_refused_with_its_first_bytes) {
    options.max_length = 8;
    expect("ok\r\n123456789\r\nok\r\n", "line(ok) long(123456789) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(line_far_too_long_is_refused_the_same) {
    options.max_length = 8;
    expect("1234567890abcdefghijkl\r\nok\r\n", "long(123456789) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(line_of_the_limit_that_ends_in_half_delimiters_is_accepted) {
    options.max_length = 4;
    expect("ab\r\r\r\n\r\r\r\r\r\nx\r\n", "line(ab..) line(....) line(x) open");
}
END_TEST

static dw_protocol *zero_make(dw_reactor *reactor) {
    struct probe *p = (struct probe *)(void *)probe_make(reactor);
    p->base.max_length = 0;
    return &p->base.base;
}

START_TEST(limit_of_zero_accepts_empty_lines_only) {
    rig_play play = {.make = zero_make, .stream = "\r\n\r\na\r\n", .len = 7};
    rig_expect(play, "line() line() long(a) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(callback_that_does_not_close_gets_nothing_more) {
    options.max_length = 8;
    options.keep_long = 1;
    expect("1234567890\r\nok\r\n1234567890\r\n", "long(123456789) open");
}
END_TEST

START_TEST(skip_line_goes_on_behind_the_long_line) {
    options.max_length = 8;
    options.skip_long = 1;
    expect("1234567890\r\r\n\r\nok\r\n123456789\r\nno\r\n",
           "long(123456789) line() line(ok) long(123456789) line(no) open");
}
END_TEST

START_TEST(raw_mode_goes_on_behind_what_was_handed_over) {
    options.max_length = 8;
    options.raw_after_long = 1;
    expect("1234567890\r\nok\r\n", "long(123456789) raw(0..o) line(k) open");
}
END_TEST

START_TEST(line_mode_goes_on_behind_what_was_handed_over) {
    options.max_length = 8;
    options.lines_after_long = 1;
    expect("1234567890\r\nok\r\n", "long(123456789) line(0) line(ok) open");
}
END_TEST

START_TEST(empty_delimiter_fails_the_connection) {
    expect("empty delimiter\r\nx\r\n", "line(empty delimiter) DW_INVALID_ARGUMENT");
}
END_TEST

/* ---- Closing inside a callback ---- */

START_TEST(nothing_is_delivered_after_lose) {
    expect("a\r\nlose\r\nb\r\nc", "line(a) line(lose) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(nothing_is_delivered_after_abort) {
    expect("a\r\nabort\r\nb\r\nc", "line(a) line(abort) DW_CONNECTION_ABORTED");
}
END_TEST

START_TEST(nothing_is_delivered_after_fail) {
    expect("a\r\nfail\r\nb\r\nc", "line(a) line(fail) DW_APP_ERROR");
}
END_TEST

START_TEST(nothing_is_delivered_after_stop) {
    expect("a\r\nstop\r\nb\r\nc", "line(a) line(stop) DW_CONNECTION_DONE");
}
END_TEST

/* Behind a policy the receiver's transport is a wrapper. */
static dw_protocol *wrapped_build(dw_factory *factory, const dw_address *peer) {
    (void)factory;
    (void)peer;
    return probe_make(dw_test_transport_reactor(rig_test));
}

static void expect_wrapped(const char *stream, const char *expected) {
    static const dw_factory_class factory_class = {.name = "app", .build_protocol = wrapped_build};
    dw_factory factory;
    dw_wrapping_factory wrapping;
    rig_log[0] = '\0';
    rig_test = dw_test_transport_new();
    dw_factory_init(&factory, &factory_class);
    dw_wrapping_factory_init(&wrapping, &dw_wrapping_factory_plain,
                             dw_test_transport_reactor(rig_test), &factory);
    ck_assert_ptr_nonnull(dw_test_transport_build(rig_test, &wrapping.base.base));
    dw_test_transport_receive(rig_test, stream, strlen(stream));
    dw_test_transport_advance(rig_test, 0);
    ck_assert_str_eq(rig_log, expected);
    dw_test_transport_free(rig_test);
    ck_assert_uint_eq(dw_wrapping_factory_count(&wrapping), 0);
}

START_TEST(receiver_behind_a_policy_does_the_same) {
    expect_wrapped("a\r\nraw 1\r\nxb\r\nc", "line(a) line(raw 1) raw(x) line(b)");
    expect_wrapped("a\r\nlose\r\nb\r\n", "line(a) line(lose)");
    expect_wrapped("a\r\nabort\r\nb\r\n", "line(a) line(abort)");
    expect_wrapped("a\r\nfail\r\nb\r\n", "line(a) line(fail)");
    expect_wrapped("a\r\npause\r\nb\r\n", "line(a) line(pause)");
}
END_TEST

/* ---- Modes ---- */

START_TEST(raw_bytes_follow_the_line_and_the_rest_is_lines_again) {
    expect("raw 4\r\na\r\nbc\r\nd\r\n", "line(raw 4) raw(a..b) line(c) line(d) open");
}
END_TEST

START_TEST(raw_mode_of_no_bytes_gives_all_of_them_back) {
    expect("raw 0\r\na\r\n", "line(raw 0) raw() line(a) open");
}
END_TEST

START_TEST(raw_mode_twice_in_one_segment) {
    expect("raw 1\r\nxraw 2\r\nyzend\r\n", "line(raw 1) raw(x) line(raw 2) raw(yz) line(end) open");
}
END_TEST

START_TEST(extra_lines_come_after_the_callback) {
    rig_play play = {.make = probe_make, .stream = "twice\r\n", .len = 7};
    rig_expect(play, "line(twice) line(one) line(two) open");
}
END_TEST

START_TEST(extra_comes_behind_what_is_buffered) {
    rig_play play = {.make = probe_make, .stream = "twice\r\nx\r\n", .len = 10};
    ck_assert_str_eq(rig_run(&play), "line(twice) line(x) line(one) line(two) open");
}
END_TEST

START_TEST(extra_from_outside_is_parsed_at_once) {
    connect_live();
    receive("half");
    dw_line_receiver_set_line_mode(&live->base, "way\r\nnext", 9);
    ck_assert_str_eq(rig_log, "line(halfway)");
    receive("\r\n");
    ck_assert_str_eq(rig_log, "line(halfway) line(next)");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(raw_mode_from_outside_takes_what_is_buffered_with_the_next_bytes) {
    connect_live();
    receive("ha");
    live->raw_left = 4;
    dw_line_receiver_set_raw_mode(&live->base);
    ck_assert_str_eq(rig_log, "");
    receive("lfline\r\n");
    ck_assert_str_eq(rig_log, "raw(half) line(line)");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(clear_from_outside_takes_the_unfinished_line) {
    size_t len;
    connect_live();
    receive("one\r\ntw");
    ck_assert(memcmp(dw_line_receiver_clear_line_buffer(&live->base, &len), "tw", 2) == 0);
    ck_assert_uint_eq(len, 2);
    ck_assert_ptr_nonnull(dw_line_receiver_clear_line_buffer(&live->base, &len));
    ck_assert_uint_eq(len, 0);
    receive("o\r\n");
    ck_assert_str_eq(rig_log, "line(one) line(o)");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(cleared_bytes_may_be_given_back) {
    size_t len;
    connect_live();
    receive("tw");
    const uint8_t *bytes = dw_line_receiver_clear_line_buffer(&live->base, &len);
    dw_line_receiver_set_line_mode(&live->base, bytes, len);
    receive("o\r\n");
    ck_assert_str_eq(rig_log, "line(two)");
    dw_test_transport_free(rig_test);
}
END_TEST

static void clear_line(dw_line_receiver *r, const uint8_t *line, size_t len) {
    size_t n;
    rig_bytes("line", line, len);
    const uint8_t *bytes = dw_line_receiver_clear_line_buffer(r, &n);
    rig_bytes("line", line, len); /* still readable */
    rig_bytes("cleared", bytes, n);
}

static const dw_line_receiver_class clear_class = {
    .base = {.name = "clear", DW_LINE_RECEIVER_SLOTS},
    .line_received = clear_line,
};

START_TEST(clear_in_a_callback_takes_the_lines_behind_too) {
    dw_line_receiver r;
    rig_log[0] = '\0';
    dw_line_receiver_init(&r, &clear_class);
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &r.base);
    receive("on");
    receive("e\r\ntwo\r\nth");
    receive("four\r\n");
    ck_assert_str_eq(rig_log, "line(one) line(one) cleared(two..th) "
                              "line(four) line(four) cleared()");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(limit_and_delimiter_count_for_the_very_next_line) {
    expect("slash\r\na\r\nb/max 3/1234/", "line(slash) line(a..b) line(max 3) long(1234) "
                                          "DW_CONNECTION_DONE");
}
END_TEST

static void add_tests(TCase *c) {
    tcase_add_test(c, lines_come_without_their_delimiter);
    tcase_add_test(c, empty_lines_are_delivered);
    tcase_add_test(c, unfinished_line_is_not_delivered);
    tcase_add_test(c, lone_cr_and_lone_lf_belong_to_the_line);
    tcase_add_test(c, delimiter_may_be_replaced_by_another);
    tcase_add_test(c, delimiter_that_overlaps_itself_ends_at_its_first_end);
    tcase_add_test(c, line_of_the_limit_is_accepted);
    tcase_add_test(c, line_of_one_more_is_refused_with_its_first_bytes);
    tcase_add_test(c, line_far_too_long_is_refused_the_same);
    tcase_add_test(c, line_of_the_limit_that_ends_in_half_delimiters_is_accepted);
    tcase_add_test(c, limit_of_zero_accepts_empty_lines_only);
    tcase_add_test(c, callback_that_does_not_close_gets_nothing_more);
    tcase_add_test(c, skip_line_goes_on_behind_the_long_line);
    tcase_add_test(c, raw_mode_goes_on_behind_what_was_handed_over);
    tcase_add_test(c, line_mode_goes_on_behind_what_was_handed_over);
    tcase_add_test(c, empty_delimiter_fails_the_connection);
    tcase_add_test(c, nothing_is_delivered_after_lose);
    tcase_add_test(c, nothing_is_delivered_after_abort);
    tcase_add_test(c, nothing_is_delivered_after_fail);
    tcase_add_test(c, nothing_is_delivered_after_stop);
    tcase_add_test(c, receiver_behind_a_policy_does_the_same);
    tcase_add_test(c, raw_bytes_follow_the_line_and_the_rest_is_lines_again);
    tcase_add_test(c, raw_mode_of_no_bytes_gives_all_of_them_back);
    tcase_add_test(c, raw_mode_twice_in_one_segment);
    tcase_add_test(c, extra_lines_come_after_the_callback);
    tcase_add_test(c, extra_comes_behind_what_is_buffered);
    tcase_add_test(c, extra_from_outside_is_parsed_at_once);
    tcase_add_test(c, raw_mode_from_outside_takes_what_is_buffered_with_the_next_bytes);
    tcase_add_test(c, clear_from_outside_takes_the_unfinished_line);
    tcase_add_test(c, cleared_bytes_may_be_given_back);
    tcase_add_test(c, clear_in_a_callback_takes_the_lines_behind_too);
    tcase_add_test(c, limit_and_delimiter_count_for_the_very_next_line);
}

int main(void) {
    Suite *suite = suite_create("line");
    TCase *c = tcase_create("line receiver");
    add_tests(c);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
