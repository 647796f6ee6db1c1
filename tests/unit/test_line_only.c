/* SPDX-License-Identifier: MIT */
/*
 * The line-only receiver; it obeys its lines. Expectations: vectors/README.md, section 3
 * "LineOnlyReceiver", and the promise that cuts never matter; the numbers are counted by hand.
 */
#include "line_probe.h"

struct only {
    dw_line_only_receiver base; /* first */
    dw_reactor *reactor;
};

static bool only_skips, only_keeps;

static void only_line(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    rig_bytes("line", line, len);
    close_as_told(r->base.transport, line, len);
    if (is(line, len, "echo")) {
        dw_line_only_receiver_send_line(r, line, len);
    } else if (is(line, len, "empty delimiter")) {
        r->delimiter_len = 0;
    }
}

static void only_exceeded(dw_line_only_receiver *r, const uint8_t *start, size_t len) {
    rig_bytes("long", start, len);
    if (only_skips) {
        dw_line_only_receiver_skip_line(r);
    } else if (!only_keeps) {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void only_destroy(dw_protocol *protocol) {
    struct only *o = (struct only *)(void *)protocol;
    dw_line_only_receiver_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_line_only_receiver_class only_class = {
    .base = {.name = "only", DW_LINE_ONLY_RECEIVER_SLOTS, .destroy = only_destroy},
    .line_received = only_line,
    .line_length_exceeded = only_exceeded,
};

static dw_protocol *only_make(dw_reactor *reactor) {
    struct only *o = dw_new(reactor, struct only);
    dw_line_only_receiver_init(&o->base, &only_class);
    o->reactor = reactor;
    o->base.max_length = 8;
    return &o->base.base;
}

static void expect_only(const char *stream, const char *expected) {
    rig_expect((rig_play){.make = only_make, .stream = stream, .len = strlen(stream)}, expected);
}

START_TEST(only_lines_are_split_at_each_delimiter) {
    expect_only("a\r\n\r\n\rb\nc\r\r\nrest", "line(a) line() line(.b.c.) open");
}
END_TEST

START_TEST(only_line_of_the_limit_is_accepted_wherever_it_is_cut) {
    expect_only("12345678\r\nok\r\n", "line(12345678) line(ok) open");
}
END_TEST

START_TEST(only_line_of_one_more_is_refused) {
    expect_only("123456789\r\nok\r\n", "long(123456789) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(only_unfinished_line_over_the_limit_is_refused_at_once) {
    expect_only("ok\r\n123456789", "line(ok) long(123456789) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(only_half_delimiter_behind_the_limit_is_waited_for) {
    expect_only("12345678\r", "open");
    expect_only("1234567\r\r\n", "line(1234567.) open");
    expect_only("12345678\r\r\n", "long(12345678.) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(only_nothing_is_delivered_after_the_end) {
    expect_only("lose\r\na\r\n", "line(lose) DW_CONNECTION_DONE");
    expect_only("abort\r\na\r\n", "line(abort) DW_CONNECTION_ABORTED");
    expect_only("fail\r\na\r\n", "line(fail) DW_APP_ERROR");
}
END_TEST

START_TEST(only_long_line_that_does_not_close_ends_delivery) {
    only_keeps = true;
    expect_only("1234567890\r\na\r\n1234567890\r\n", "long(123456789) open");
}
END_TEST

START_TEST(only_long_line_may_be_skipped) {
    only_skips = true;
    expect_only("1234567890\n\r\r\na\r\n123456789\r\nb\r\n",
                "long(123456789) line(a) long(123456789) line(b) open");
}
END_TEST

START_TEST(only_empty_delimiter_fails_the_connection) {
    dw_line_only_receiver r;
    rig_log[0] = '\0';
    dw_line_only_receiver_init(&r, &only_class);
    r.base.cls = &(const dw_protocol_class){.name = "x", DW_LINE_ONLY_RECEIVER_SLOTS};
    r.delimiter_len = 0;
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &r.base);
    receive("x");
    ck_assert_int_eq(dw_test_transport_reason(rig_test), DW_INVALID_ARGUMENT);
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(only_each_allocation_may_fail) {
    const char *stream = "abc\r\ndefg\r\nhi";
    rig_play play = {.make = only_make, .stream = stream, .len = strlen(stream)};
    for (play.first = 0; play.first < play.len; play.first++) {
        rig_expect_alloc_failures(play, "line(abc) line(defg) open");
    }
}
END_TEST

static const dw_line_only_receiver_class only_plain_class = {
    .base = {.name = "only", DW_LINE_ONLY_RECEIVER_SLOTS},
    .line_received = only_line,
};

START_TEST(only_endless_line_keeps_no_more_than_the_limit) {
    for (size_t piece = 1; piece < 4096; piece += 333) {
        dw_line_only_receiver r;
        dw_line_only_receiver_init(&r, &only_plain_class);
        size_t most = rig_endless(&r.base, &r.framing_, "ok\r\n", 4, 'x', 1 << 20, piece);
        ck_assert_uint_le(most, DW_LINE_MAX_LENGTH_DEFAULT + 2);
        ck_assert_str_eq(rig_log, "line(ok) DW_CONNECTION_DONE");
    }
}
END_TEST

START_TEST(only_send_line_adds_the_delimiter) {
    dw_line_only_receiver r;
    dw_line_only_receiver_init(&r, &only_plain_class);
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &r.base);
    receive("echo\r\n");
    ck_assert_str_eq(dw_test_transport_written(rig_test, NULL), "echo\r\n");
    dw_test_transport_free(rig_test);
}
END_TEST

static void add_tests(TCase *c) {
    tcase_add_test(c, only_lines_are_split_at_each_delimiter);
    tcase_add_test(c, only_line_of_the_limit_is_accepted_wherever_it_is_cut);
    tcase_add_test(c, only_line_of_one_more_is_refused);
    tcase_add_test(c, only_unfinished_line_over_the_limit_is_refused_at_once);
    tcase_add_test(c, only_half_delimiter_behind_the_limit_is_waited_for);
    tcase_add_test(c, only_nothing_is_delivered_after_the_end);
    tcase_add_test(c, only_long_line_that_does_not_close_ends_delivery);
    tcase_add_test(c, only_long_line_may_be_skipped);
    tcase_add_test(c, only_empty_delimiter_fails_the_connection);
    tcase_add_test(c, only_each_allocation_may_fail);
    tcase_add_test(c, only_endless_line_keeps_no_more_than_the_limit);
    tcase_add_test(c, only_send_line_adds_the_delimiter);
}

int main(void) {
    Suite *suite = suite_create("line only");
    TCase *c = tcase_create("line-only receiver");
    add_tests(c);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
