/* SPDX-License-Identifier: MIT */
/*
 * The line receiver: pauses, ends in the middle of a callback, memory, sending. Expectations:
 * vectors/README.md, section 3 "LineReceiver" and section 4, and the bounds that line.h promises.
 */
#include "line_probe.h"

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

/* The reactor is freed under a live connection: destroy comes without connection_lost. */
START_TEST(fini_in_destroy_gives_back_what_is_kept) {
    connect_live();
    receive("unfinished");
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

static void add_tests(TCase *c) {
    tcase_add_test(c, paused_lines_come_with_resume);
    tcase_add_test(c, pause_and_resume_in_one_callback_changes_nothing);
    tcase_add_test(c, pause_stops_the_transport_and_resume_starts_it_first);
    tcase_add_test(c, bytes_that_arrive_while_paused_are_kept);
    tcase_add_test(c, raw_bytes_kept_while_paused_come_in_one_call);
    tcase_add_test(c, resume_after_the_end_delivers_nothing);
    tcase_add_test(c, receiver_may_go_in_its_own_callback);
    tcase_add_test(c, line_lives_until_its_callback_returns);
    tcase_add_test(c, fini_in_destroy_gives_back_what_is_kept);
    tcase_add_test(c, each_allocation_may_fail);
    tcase_add_test(c, whole_lines_take_no_memory);
    tcase_add_test(c, endless_line_keeps_no_more_than_the_limit);
    tcase_add_test(c, endless_skipped_line_keeps_next_to_nothing);
    tcase_add_test(c, send_line_adds_the_delimiter_and_checks_no_limit);
    tcase_add_test(c, verbs_without_a_connection_are_harmless);
}

int main(void) {
    Suite *suite = suite_create("line flow");
    TCase *c = tcase_create("line receiver");
    add_tests(c);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
