/* SPDX-License-Identifier: MIT */
/*
 * The two line receivers. Both obey commands in the lines they get, so that a stream says what
 * happens in which callback. Expectations: vectors/README.md, section 3 "LineOnlyReceiver" and
 * "LineReceiver", and the promise that cuts never matter; the numbers are counted by hand.
 */
#include "framing_rig.h"

#include <drywire/line.h>

/* ---- A line receiver that obeys ---- */

struct probe {
    dw_line_receiver base; /* first */
    dw_reactor *reactor;
    size_t raw_left;
    size_t max_length;
    unsigned skip_long : 1, raw_after_long : 1, lines_after_long : 1, keep_long : 1;
    char raw[64];
};

static struct probe *probe_of(dw_line_receiver *r) {
    return (struct probe *)(void *)r;
}

static bool is(const uint8_t *line, size_t len, const char *word) {
    return len == strlen(word) && memcmp(line, word, len) == 0;
}

static void close_as_told(dw_transport *t, const uint8_t *line, size_t len) {
    if (is(line, len, "lose")) {
        dw_transport_lose_connection(t);
    } else if (is(line, len, "abort")) {
        dw_transport_abort_connection(t);
    } else if (is(line, len, "fail")) {
        dw_transport_fail(t, &(dw_reason){DW_APP_ERROR, 0, "told to"});
    }
}

static void probe_line(dw_line_receiver *r, const uint8_t *line, size_t len) {
    rig_bytes("line", line, len);
    close_as_told(r->base.transport, line, len);
    if (len == 5 && memcmp(line, "raw ", 4) == 0) {
        probe_of(r)->raw_left = (size_t)(line[4] - '0');
        dw_line_receiver_set_raw_mode(r);
    } else if (is(line, len, "pause")) {
        dw_line_receiver_pause_producing(r);
    } else if (is(line, len, "nap")) {
        dw_line_receiver_pause_producing(r);
        dw_line_receiver_resume_producing(r);
    } else if (is(line, len, "stop")) {
        dw_line_receiver_stop_producing(r);
    } else if (is(line, len, "twice")) {
        dw_line_receiver_set_line_mode(r, "one\r\ntwo\r\n", 10);
        ck_assert(is(line, len, "twice"));
    } else if (is(line, len, "max 3")) {
        r->max_length = 3;
    } else if (is(line, len, "slash")) {
        r->delimiter = "/";
        r->delimiter_len = 1;
    } else if (is(line, len, "empty delimiter")) {
        r->delimiter_len = 0;
    } else if (is(line, len, "echo")) {
        dw_line_receiver_send_line(r, line, len);
    }
}

/* Notes the bytes that were asked for, however they were cut, and gives back the others. */
static void probe_raw(dw_line_receiver *r, const uint8_t *data, size_t len) {
    struct probe *p = probe_of(r);
    size_t n = len < p->raw_left ? len : p->raw_left;
    ck_assert_uint_gt(len, 0);
    strncat(p->raw, (const char *)data, n);
    p->raw_left -= n;
    if (p->raw_left == 0) {
        rig_bytes("raw", (const uint8_t *)p->raw, strlen(p->raw));
        p->raw[0] = '\0';
        dw_line_receiver_set_line_mode(r, data + n, len - n);
    }
}

static void probe_exceeded(dw_line_receiver *r, const uint8_t *start, size_t len) {
    struct probe *p = probe_of(r);
    rig_bytes("long", start, len);
    if (p->skip_long) {
        dw_line_receiver_skip_line(r);
    } else if (p->raw_after_long) {
        p->raw_left = 4;
        dw_line_receiver_set_raw_mode(r);
    } else if (p->lines_after_long) {
        dw_line_receiver_set_line_mode(r, NULL, 0);
    } else if (!p->keep_long) {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void probe_destroy(dw_protocol *protocol) {
    struct probe *p = (struct probe *)(void *)protocol;
    dw_line_receiver_fini(&p->base);
    dw_free(p->reactor, p);
}

static const dw_line_receiver_class probe_class = {
    .base = {.name = "probe", DW_LINE_RECEIVER_SLOTS, .destroy = probe_destroy},
    .line_received = probe_line,
    .raw_data_received = probe_raw,
    .line_length_exceeded = probe_exceeded,
};

static struct probe options; /* what the next ones get */

static dw_protocol *probe_make(dw_reactor *reactor) {
    struct probe *p = dw_new(reactor, struct probe);
    *p = options;
    dw_line_receiver_init(&p->base, &probe_class);
    p->reactor = reactor;
    p->base.max_length = options.max_length > 0 ? options.max_length : 20;
    return &p->base.base;
}

static void resume(dw_protocol *protocol) {
    dw_line_receiver_resume_producing((dw_line_receiver *)(void *)protocol);
}

static void expect(const char *stream, const char *expected) {
    rig_play play = {.make = probe_make, .stream = stream, .len = strlen(stream), .after = resume};
    rig_expect(play, expected);
}

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

static struct probe *live;

static void connect_live(void) {
    rig_log[0] = '\0';
    rig_test = dw_test_transport_new();
    live = (struct probe *)(void *)probe_make(dw_test_transport_reactor(rig_test));
    dw_test_transport_connect(rig_test, &live->base.base);
}

static void receive(const char *text) {
    dw_test_transport_receive(rig_test, text, strlen(text));
}

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

/* ---- Pausing ---- */

START_TEST(paused_lines_come_with_resume) {
    expect("a\r\npause\r\nb\r\nc\r\nd", "line(a) line(pause) line(b) line(c) open");
}
END_TEST

START_TEST(pause_and_resume_in_one_callback_changes_nothing) {
    expect("a\r\nnap\r\nb\r\n", "line(a) line(nap) line(b) open");
}
END_TEST

START_TEST(pause_stops_the_transport_and_resume_starts_it_first) {
    connect_live();
    receive("pause\r\npause\r\nx\r\n");
    ck_assert(dw_test_transport_paused(rig_test));
    ck_assert_str_eq(rig_log, "line(pause)");
    dw_line_receiver_resume_producing(&live->base);
    ck_assert_str_eq(rig_log, "line(pause) line(pause)");
    ck_assert(dw_test_transport_paused(rig_test));
    dw_line_receiver_resume_producing(&live->base);
    ck_assert_str_eq(rig_log, "line(pause) line(pause) line(x)");
    ck_assert(!dw_test_transport_paused(rig_test));
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(bytes_that_arrive_while_paused_are_kept) {
    connect_live();
    dw_line_receiver_pause_producing(&live->base);
    dw_line_receiver_data_received(&live->base.base, (const uint8_t *)"a\r\nb", 4);
    dw_line_receiver_data_received(&live->base.base, (const uint8_t *)"c\r\n", 3);
    ck_assert_str_eq(rig_log, "");
    dw_line_receiver_resume_producing(&live->base);
    ck_assert_str_eq(rig_log, "line(a) line(bc)");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(raw_bytes_kept_while_paused_come_in_one_call) {
    connect_live();
    receive("pause\r\nraw 4\r\na\r\nb");
    dw_line_receiver_resume_producing(&live->base);
    ck_assert_str_eq(rig_log, "line(pause) line(raw 4) raw(a..b)");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(resume_after_the_end_delivers_nothing) {
    connect_live();
    receive("pause\r\nx\r\n");
    dw_transport_abort_connection(live->base.base.transport);
    dw_line_receiver_resume_producing(&live->base);
    ck_assert_str_eq(rig_log, "line(pause)");
    dw_test_transport_advance(rig_test, 0);
    dw_test_transport_free(rig_test);
}
END_TEST

/* ---- An end in the middle of a callback ---- */

/* After a finished half close lose_connection reports inside the call (vectors/README.md, 4: 3), so
 * that a receiver which is resumed from outside goes while it delivers. */
static void half_closed(dw_protocol *protocol) {
    (void)protocol;
    rig_word("half-closed");
}

static void lost_in_callback(dw_protocol *protocol, const dw_reason *reason) {
    rig_word("lost");
    dw_line_receiver_connection_lost(protocol, reason);
}

static const dw_line_receiver_class half_close_class = {
    .base = {.name = "half-close",
             .data_received = dw_line_receiver_data_received,
             .connection_lost = lost_in_callback,
             .write_connection_lost = half_closed,
             .destroy = probe_destroy},
    .line_received = probe_line,
};

START_TEST(receiver_may_go_in_its_own_callback) {
    rig_log[0] = '\0';
    rig_test = dw_test_transport_new();
    struct probe *p = dw_new(dw_test_transport_reactor(rig_test), struct probe);
    dw_line_receiver_init(&p->base, &half_close_class);
    p->reactor = dw_test_transport_reactor(rig_test);
    dw_test_transport_connect(rig_test, &p->base.base);
    receive("pause\r\nlose\r\nnever\r\n");
    dw_transport_lose_write_connection(p->base.base.transport);
    dw_test_transport_advance(rig_test, 0);
    dw_line_receiver_resume_producing(&p->base);
    ck_assert_str_eq(rig_log, "line(pause) half-closed line(lose) lost");
    ck_assert_uint_eq(dw_test_transport_allocations(rig_test), 0);
    dw_test_transport_free(rig_test);
}
END_TEST

/* The line must stay readable when the callback makes its receiver's block grow. */
static void growing_line(dw_line_receiver *r, const uint8_t *line, size_t len) {
    char many[1000];
    memset(many, 'x', sizeof(many));
    if (is(line, len, "grow")) {
        dw_line_receiver_set_line_mode(r, many, sizeof(many));
        dw_line_receiver_set_line_mode(r, many, sizeof(many));
        ck_assert(is(line, len, "grow"));
        dw_transport_write(r->base.transport, line, len);
    } else {
        rig_word(len == 2001 ? "2001" : "wrong");
    }
}

static const dw_line_receiver_class growing_class = {
    .base = {.name = "growing", DW_LINE_RECEIVER_SLOTS},
    .line_received = growing_line,
};

START_TEST(line_lives_until_its_callback_returns) {
    dw_line_receiver r;
    rig_log[0] = '\0';
    dw_line_receiver_init(&r, &growing_class);
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &r.base);
    receive("gr");
    receive("ow\r\n1");
    receive("\r\n");
    ck_assert_str_eq(rig_log, "2001");
    ck_assert_str_eq(dw_test_transport_written(rig_test, NULL), "grow");
    dw_test_transport_free(rig_test);
}
END_TEST

/* ---- Memory ---- */

static const char busy[] = "a\r\nraw 4\r\nabcdpause\r\ntwelve\r\nanother\r\nun";
static const char busy_log[] =
    "line(a) line(raw 4) raw(abcd) line(pause) line(twelve) line(another) open";

START_TEST(each_allocation_may_fail) {
    rig_play play = {.make = probe_make, .stream = busy, .len = sizeof(busy) - 1, .after = resume};
    for (play.first = 0; play.first < play.len; play.first++) {
        rig_expect_alloc_failures(play, busy_log);
    }
    play.first = 0;
    play.piece = 1;
    ck_assert_uint_ge(rig_expect_alloc_failures(play, busy_log), 1);
}
END_TEST

START_TEST(whole_lines_take_no_memory) {
    rig_play play = {.make = probe_make, .stream = "a\r\nb\r\n", .len = 6};
    ck_assert_uint_eq(rig_expect_alloc_failures(play, "line(a) line(b) open"), 0);
}
END_TEST

static const dw_line_receiver_class plain_class = {
    .base = {.name = "plain", DW_LINE_RECEIVER_SLOTS},
    .line_received = probe_line,
};

START_TEST(endless_line_keeps_no_more_than_the_limit) {
    for (size_t piece = 1; piece < 4096; piece += 333) {
        dw_line_receiver r;
        dw_line_receiver_init(&r, &plain_class);
        size_t most = rig_endless(&r.base, &r.framing_, "ok\r\n", 4, 'x', 1 << 20, piece);
        ck_assert_uint_le(most, DW_LINE_MAX_LENGTH_DEFAULT + 2);
        ck_assert_str_eq(rig_log, "line(ok) DW_CONNECTION_DONE");
    }
}
END_TEST

static void skip_long(dw_line_receiver *r, const uint8_t *start, size_t len) {
    (void)start;
    (void)len;
    dw_line_receiver_skip_line(r);
}

static const dw_line_receiver_class skip_class = {
    .base = {.name = "skip", DW_LINE_RECEIVER_SLOTS},
    .line_received = probe_line,
    .line_length_exceeded = skip_long,
};

START_TEST(endless_skipped_line_keeps_next_to_nothing) {
    dw_line_receiver r;
    dw_line_receiver_init(&r, &skip_class);
    r.max_length = 100;
    size_t most = rig_endless(&r.base, &r.framing_, "ok\r\n", 4, '\r', 1 << 20, 777);
    ck_assert_uint_le(most, 128);
    ck_assert_str_eq(rig_log, "line(ok) open");
}
END_TEST

/* ---- Sending ---- */

START_TEST(send_line_adds_the_delimiter_and_checks_no_limit) {
    connect_live();
    live->base.max_length = 2;
    dw_line_receiver_send_line(&live->base, "hello", 5);
    dw_line_receiver_send_line(&live->base, "", 0);
    live->base.delimiter = "<END>";
    live->base.delimiter_len = 5;
    dw_line_receiver_send_line(&live->base, "x", 1);
    dw_test_transport_advance(rig_test, 0);
    ck_assert_str_eq(dw_test_transport_written(rig_test, NULL), "hello\r\n\r\nx<END>");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(verbs_without_a_connection_are_harmless) {
    dw_line_receiver r;
    size_t len;
    rig_log[0] = '\0';
    dw_line_receiver_init(&r, &plain_class);
    dw_line_receiver_send_line(&r, "x", 1);
    dw_line_receiver_pause_producing(&r);
    dw_line_receiver_resume_producing(&r);
    dw_line_receiver_set_line_mode(&r, "x\r\n", 3);
    dw_line_receiver_clear_line_buffer(&r, &len);
    dw_line_receiver_stop_producing(&r);
    dw_line_receiver_fini(&r);
    dw_line_receiver_fini(&r);
    ck_assert_uint_eq(len, 0);
    ck_assert_str_eq(rig_log, "");
}
END_TEST

/* ---- The line-only receiver ---- */

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

/* The reactor is freed under a live connection: destroy comes without connection_lost. */
START_TEST(fini_in_destroy_gives_back_what_is_kept) {
    connect_live();
    receive("unfinished");
    dw_test_transport_free(rig_test);
}
END_TEST

static void add_line_tests(TCase *c) {
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
    tcase_add_test(c, paused_lines_come_with_resume);
    tcase_add_test(c, pause_and_resume_in_one_callback_changes_nothing);
    tcase_add_test(c, pause_stops_the_transport_and_resume_starts_it_first);
    tcase_add_test(c, bytes_that_arrive_while_paused_are_kept);
    tcase_add_test(c, raw_bytes_kept_while_paused_come_in_one_call);
    tcase_add_test(c, resume_after_the_end_delivers_nothing);
    tcase_add_test(c, receiver_may_go_in_its_own_callback);
    tcase_add_test(c, line_lives_until_its_callback_returns);
    tcase_add_test(c, each_allocation_may_fail);
    tcase_add_test(c, whole_lines_take_no_memory);
    tcase_add_test(c, endless_line_keeps_no_more_than_the_limit);
    tcase_add_test(c, endless_skipped_line_keeps_next_to_nothing);
    tcase_add_test(c, send_line_adds_the_delimiter_and_checks_no_limit);
    tcase_add_test(c, verbs_without_a_connection_are_harmless);
    tcase_add_test(c, fini_in_destroy_gives_back_what_is_kept);
}

static void add_only_tests(TCase *c) {
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
    Suite *suite = suite_create("line");
    TCase *lines = tcase_create("line receiver");
    TCase *only = tcase_create("line-only receiver");
    add_line_tests(lines);
    add_only_tests(only);
    suite_add_tcase(suite, lines);
    suite_add_tcase(suite, only);
    return rig_main(suite);
}
