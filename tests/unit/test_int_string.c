/* SPDX-License-Identifier: MIT */
/*
 * Strings behind a binary length, in all five formats. The receiver obeys commands in the strings
 * it gets. Expectations: vectors/README.md, section 3 "Int8/16/32StringReceiver"; prefixes are
 * written out by hand.
 */
#include "framing_rig.h"

#include <drywire/int_string.h>

struct probe {
    dw_int_string_receiver base; /* first */
    dw_reactor *reactor;
};

static dw_int_format format;
static bool skips, keeps;

static bool is(const uint8_t *string, size_t len, const char *word) {
    return len == strlen(word) && memcmp(string, word, len) == 0;
}

static void probe_string(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
    dw_transport *t = r->base.transport;
    rig_bytes("string", string, len);
    if (is(string, len, "lose")) {
        dw_transport_lose_connection(t);
    } else if (is(string, len, "abort")) {
        dw_transport_abort_connection(t);
    } else if (is(string, len, "fail")) {
        dw_transport_fail(t, &(dw_reason){DW_APP_ERROR, 0, "told to"});
    } else if (is(string, len, "pause")) {
        dw_int_string_receiver_pause_producing(r);
    } else if (is(string, len, "nap")) {
        dw_int_string_receiver_pause_producing(r);
        dw_int_string_receiver_resume_producing(r);
    } else if (is(string, len, "stop")) {
        dw_int_string_receiver_stop_producing(r);
    } else if (is(string, len, "16")) {
        r->format = DW_INT16_LITTLE;
    }
}

static void probe_exceeded(dw_int_string_receiver *r, uint32_t length) {
    char text[32];
    snprintf(text, sizeof(text), "long(%u)", (unsigned)length);
    rig_word(text);
    if (skips) {
        dw_int_string_receiver_skip_string(r);
    } else if (!keeps) {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void probe_destroy(dw_protocol *protocol) {
    struct probe *p = (struct probe *)(void *)protocol;
    dw_int_string_receiver_fini(&p->base);
    dw_free(p->reactor, p);
}

static const dw_int_string_receiver_class probe_class = {
    .base = {.name = "probe", DW_INT_STRING_RECEIVER_SLOTS, .destroy = probe_destroy},
    .string_received = probe_string,
    .length_limit_exceeded = probe_exceeded,
};

static const dw_int_string_receiver_class plain_class = {
    .base = {.name = "plain", DW_INT_STRING_RECEIVER_SLOTS},
    .string_received = probe_string,
};

static dw_protocol *probe_make(dw_reactor *reactor) {
    struct probe *p = dw_new(reactor, struct probe);
    dw_int_string_receiver_init(&p->base, &probe_class, format);
    p->reactor = reactor;
    p->base.max_length = 12;
    return &p->base.base;
}

static void resume(dw_protocol *protocol) {
    dw_int_string_receiver_resume_producing((dw_int_string_receiver *)(void *)protocol);
}

static void expect_bytes(const char *stream, size_t len, const char *expected) {
    rig_expect((rig_play){.make = probe_make, .stream = stream, .len = len, .after = resume},
               expected);
}

/* For a string literal with NULs inside. */
#define EXPECT(stream, expected) expect_bytes((stream), sizeof(stream) - 1, (expected))

START_TEST(each_format_reads_its_prefix) {
    format = DW_INT8;
    EXPECT("\x03"
           "abc"
           "\x00"
           "\x01"
           "x",
           "string(abc) string() string(x) open");
    format = DW_INT16_BIG;
    EXPECT("\x00\x03"
           "abc"
           "\x00\x00"
           "\x00\x01"
           "x",
           "string(abc) string() string(x) open");
    format = DW_INT16_LITTLE;
    EXPECT("\x03\x00"
           "abc"
           "\x00\x00"
           "\x01\x00"
           "x",
           "string(abc) string() string(x) open");
    format = DW_INT32_BIG;
    EXPECT("\0\0\0\x03"
           "abc"
           "\0\0\0\0"
           "\0\0\0\x01"
           "x",
           "string(abc) string() string(x) open");
    format = DW_INT32_LITTLE;
    EXPECT("\x03\0\0\0"
           "abc"
           "\0\0\0\0"
           "\x01\0\0\0"
           "x",
           "string(abc) string() string(x) open");
}
END_TEST

START_TEST(each_byte_of_a_prefix_counts) {
    format = DW_INT8;
    EXPECT("\xff", "long(255) DW_CONNECTION_DONE");
    format = DW_INT16_BIG;
    EXPECT("\x01\x02", "long(258) DW_CONNECTION_DONE");
    format = DW_INT16_LITTLE;
    EXPECT("\x01\x02", "long(513) DW_CONNECTION_DONE");
    format = DW_INT32_BIG;
    EXPECT("\x01\x02\x03\x04", "long(16909060) DW_CONNECTION_DONE");
    format = DW_INT32_LITTLE;
    EXPECT("\x01\x02\x03\x84", "long(2214789633) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(unfinished_string_is_not_delivered) {
    format = DW_INT16_BIG;
    EXPECT("\x00\x01"
           "a"
           "\x00\x03"
           "ab",
           "string(a) open");
    EXPECT("\x00", "open");
}
END_TEST

START_TEST(string_of_the_limit_is_accepted_and_one_more_is_not) {
    EXPECT("\x0c"
           "123456789012"
           "\x0d",
           "string(123456789012) long(13) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(nothing_comes_behind_a_long_string_that_did_not_close) {
    keeps = true;
    EXPECT("\x01"
           "a"
           "\x0d"
           "1234567890123"
           "\x01"
           "b",
           "string(a) long(13) open");
}
END_TEST

START_TEST(long_string_may_be_skipped) {
    skips = true;
    EXPECT("\x0d"
           "1234567890123"
           "\x01"
           "b"
           "\x0e"
           "\x01"
           "a234567890123"
           "\x01"
           "c",
           "long(13) string(b) long(14) string(c) open");
    EXPECT("\x0d"
           "1234567890123"
           "\x01"
           "b",
           "long(13) string(b) open");
}
END_TEST

START_TEST(format_counts_for_the_very_next_prefix) {
    EXPECT("\x02"
           "16"
           "\x01\x00"
           "a",
           "string(16) string(a) open");
}
END_TEST

START_TEST(nothing_is_delivered_after_the_end) {
    EXPECT("\x04"
           "lose"
           "\x01"
           "a",
           "string(lose) DW_CONNECTION_DONE");
    EXPECT("\x05"
           "abort"
           "\x01"
           "a",
           "string(abort) DW_CONNECTION_ABORTED");
    EXPECT("\x04"
           "fail"
           "\x01"
           "a",
           "string(fail) DW_APP_ERROR");
    EXPECT("\x04"
           "stop"
           "\x01"
           "a",
           "string(stop) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(paused_strings_come_with_resume) {
    EXPECT("\x05"
           "pause"
           "\x01"
           "a"
           "\x00"
           "\x02"
           "b",
           "string(pause) string(a) string() open");
}
END_TEST

START_TEST(pause_and_resume_in_one_callback_changes_nothing) {
    EXPECT("\x03"
           "nap"
           "\x01"
           "a",
           "string(nap) string(a) open");
}
END_TEST

START_TEST(each_allocation_may_fail) {
    static const char stream[] = "\x05"
                                 "hello"
                                 "\x05"
                                 "pause"
                                 "\x0c"
                                 "123456789012"
                                 "\x03"
                                 "no";
    const char *log = "string(hello) string(pause) string(123456789012) open";
    rig_play play = {
        .make = probe_make, .stream = stream, .len = sizeof(stream) - 1, .after = resume};
    for (play.first = 0; play.first < play.len; play.first++) {
        rig_expect_alloc_failures(play, log);
    }
    play.first = 0;
    play.piece = 1;
    ck_assert_uint_ge(rig_expect_alloc_failures(play, log), 1);
}
END_TEST

START_TEST(whole_strings_take_no_memory) {
    rig_play play = {.make = probe_make,
                     .stream = "\x01"
                               "a"
                               "\x01"
                               "b",
                     .len = 4};
    ck_assert_uint_eq(rig_expect_alloc_failures(play, "string(a) string(b) open"), 0);
}
END_TEST

static void count_string(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
    (void)r;
    (void)string;
    ck_assert_uint_eq(len, DW_INT_STRING_MAX_LENGTH_DEFAULT);
    rig_word("99999");
}

static const dw_int_string_receiver_class count_class = {
    .base = {.name = "count", DW_INT_STRING_RECEIVER_SLOTS},
    .string_received = count_string,
};

START_TEST(longest_string_keeps_itself_and_its_prefix) {
    dw_int_string_receiver r;
    dw_int_string_receiver_init(&r, &count_class, DW_INT32_BIG);
    size_t most = rig_endless(&r.base, &r.framing_, "\x00\x01\x86\x9f", 4, 0xff, 102400, 1000);
    ck_assert_uint_le(most, DW_INT_STRING_MAX_LENGTH_DEFAULT + 4);
    ck_assert_str_eq(rig_log, "99999 DW_CONNECTION_DONE");
}
END_TEST

START_TEST(announced_length_takes_no_memory_before_its_bytes_come) {
    dw_int_string_receiver r;
    dw_int_string_receiver_init(&r, &count_class, DW_INT32_BIG);
    size_t most = rig_endless(&r.base, &r.framing_, "\x00\x01\x86\x9f", 4, 'x', 64, 1);
    ck_assert_uint_le(most, 128);
}
END_TEST

START_TEST(skipped_string_keeps_nothing) {
    skips = true;
    dw_int_string_receiver r;
    dw_int_string_receiver_init(&r,
                                &(const dw_int_string_receiver_class){
                                    .base = {.name = "skip", DW_INT_STRING_RECEIVER_SLOTS},
                                    .string_received = count_string,
                                    .length_limit_exceeded = probe_exceeded},
                                DW_INT32_BIG);
    size_t most = rig_endless(&r.base, &r.framing_, "\xff\xff\xff\xff", 4, 'x', 1 << 20, 1000);
    ck_assert_uint_eq(most, 0);
    ck_assert_str_eq(rig_log, "long(4294967295) open");
}
END_TEST

static dw_int_string_receiver sender;

static void expect_sent(dw_int_format as, size_t len, const char *prefix, size_t prefix_len) {
    char *bytes = calloc(1, len + 1);
    size_t n;
    rig_test = dw_test_transport_new();
    dw_int_string_receiver_init(&sender, &plain_class, as);
    sender.max_length = 0;
    dw_test_transport_connect(rig_test, &sender.base);
    int result = dw_int_string_receiver_send_string(&sender, bytes, len);
    dw_test_transport_advance(rig_test, 0);
    const char *sent = dw_test_transport_written(rig_test, &n);
    if (prefix == NULL) {
        ck_assert_int_eq(result, DW_INVALID_ARGUMENT);
        ck_assert_uint_eq(n, 0);
    } else {
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(n, prefix_len + len);
        ck_assert(memcmp(sent, prefix, prefix_len) == 0);
    }
    dw_test_transport_free(rig_test);
    free(bytes);
}

START_TEST(send_string_writes_its_prefix_and_minds_its_width_only) {
    expect_sent(DW_INT8, 0, "\x00", 1);
    expect_sent(DW_INT8, 255, "\xff", 1);
    expect_sent(DW_INT8, 256, NULL, 0);
    expect_sent(DW_INT16_BIG, 258, "\x01\x02", 2);
    expect_sent(DW_INT16_LITTLE, 258, "\x02\x01", 2);
    expect_sent(DW_INT16_BIG, 65535, "\xff\xff", 2);
    expect_sent(DW_INT16_BIG, 65536, NULL, 0);
    expect_sent(DW_INT16_LITTLE, 65536, NULL, 0);
    expect_sent(DW_INT32_BIG, 66051, "\x00\x01\x02\x03", 4);
    expect_sent(DW_INT32_LITTLE, 66051, "\x03\x02\x01\x00", 4);
}
END_TEST

START_TEST(verbs_without_a_connection_are_harmless) {
    dw_int_string_receiver r;
    rig_log[0] = '\0';
    dw_int_string_receiver_init(&r, &plain_class, DW_INT8);
    ck_assert_int_eq(dw_int_string_receiver_send_string(&r, "x", 1), 0);
    dw_int_string_receiver_pause_producing(&r);
    dw_int_string_receiver_resume_producing(&r);
    dw_int_string_receiver_stop_producing(&r);
    dw_int_string_receiver_skip_string(&r);
    dw_int_string_receiver_fini(&r);
    ck_assert_str_eq(rig_log, "");
}
END_TEST

START_TEST(length_callback_may_be_left_out) {
    dw_int_string_receiver r;
    dw_int_string_receiver_init(&r, &plain_class, DW_INT32_BIG);
    rig_endless(&r.base, &r.framing_, "\x00\x01\x86\xa0", 4, 'x', 4, 1);
    ck_assert_str_eq(rig_log, "DW_CONNECTION_DONE");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("int_string");
    TCase *c = tcase_create("int string receiver");
    tcase_add_test(c, each_format_reads_its_prefix);
    tcase_add_test(c, each_byte_of_a_prefix_counts);
    tcase_add_test(c, unfinished_string_is_not_delivered);
    tcase_add_test(c, string_of_the_limit_is_accepted_and_one_more_is_not);
    tcase_add_test(c, nothing_comes_behind_a_long_string_that_did_not_close);
    tcase_add_test(c, long_string_may_be_skipped);
    tcase_add_test(c, format_counts_for_the_very_next_prefix);
    tcase_add_test(c, nothing_is_delivered_after_the_end);
    tcase_add_test(c, paused_strings_come_with_resume);
    tcase_add_test(c, pause_and_resume_in_one_callback_changes_nothing);
    tcase_add_test(c, each_allocation_may_fail);
    tcase_add_test(c, whole_strings_take_no_memory);
    tcase_add_test(c, longest_string_keeps_itself_and_its_prefix);
    tcase_add_test(c, announced_length_takes_no_memory_before_its_bytes_come);
    tcase_add_test(c, skipped_string_keeps_nothing);
    tcase_add_test(c, send_string_writes_its_prefix_and_minds_its_width_only);
    tcase_add_test(c, verbs_without_a_connection_are_harmless);
    tcase_add_test(c, length_callback_may_be_left_out);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
