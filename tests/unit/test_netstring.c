/* SPDX-License-Identifier: MIT */
/*
 * The netstring receiver. It obeys commands in the strings it gets. Expectations:
 * cr.yp.to/proto/netstrings.txt and vectors/README.md, section 3 "NetstringReceiver"; the lengths
 * are counted by hand.
 */
#include "framing_rig.h"

#include <drywire/netstring.h>

struct probe {
    dw_netstring_receiver base; /* first */
    dw_reactor *reactor;
};

static bool is(const uint8_t *string, size_t len, const char *word) {
    return len == strlen(word) && memcmp(string, word, len) == 0;
}

static void probe_string(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    dw_transport *t = r->base.transport;
    rig_bytes("string", string, len);
    if (is(string, len, "lose")) {
        dw_transport_lose_connection(t);
    } else if (is(string, len, "abort")) {
        dw_transport_abort_connection(t);
    } else if (is(string, len, "fail")) {
        dw_transport_fail(t, &(dw_reason){DW_APP_ERROR, 0, "told to"});
    } else if (is(string, len, "pause")) {
        dw_netstring_receiver_pause_producing(r);
    } else if (is(string, len, "nap")) {
        dw_netstring_receiver_pause_producing(r);
        dw_netstring_receiver_resume_producing(r);
    } else if (is(string, len, "stop")) {
        dw_netstring_receiver_stop_producing(r);
    } else if (is(string, len, "max 3")) {
        r->max_length = 3;
    }
}

static void probe_destroy(dw_protocol *protocol) {
    struct probe *p = (struct probe *)(void *)protocol;
    dw_netstring_receiver_fini(&p->base);
    dw_free(p->reactor, p);
}

static const dw_netstring_receiver_class probe_class = {
    .base = {.name = "probe", DW_NETSTRING_RECEIVER_SLOTS, .destroy = probe_destroy},
    .string_received = probe_string,
};

static dw_protocol *probe_make(dw_reactor *reactor) {
    struct probe *p = dw_new(reactor, struct probe);
    dw_netstring_receiver_init(&p->base, &probe_class);
    p->reactor = reactor;
    p->base.max_length = 12;
    return &p->base.base;
}

static void resume(dw_protocol *protocol) {
    dw_netstring_receiver_resume_producing((dw_netstring_receiver *)(void *)protocol);
}

static void expect(const char *stream, const char *expected) {
    rig_expect(
        (rig_play){.make = probe_make, .stream = stream, .len = strlen(stream), .after = resume},
        expected);
}

START_TEST(strings_come_whole_and_in_order) {
    expect("5:hello,1:a,12:123456789012,", "string(hello) string(a) string(123456789012) open");
}
END_TEST

START_TEST(empty_strings_are_delivered) {
    expect("0:,0:,", "string() string() open");
}
END_TEST

START_TEST(unfinished_string_is_not_delivered) {
    expect("1:a,5:hello", "string(a) open");
}
END_TEST

START_TEST(commas_and_colons_may_be_in_a_string) {
    expect("4:,:1:,", "string(,:1:) open");
}
END_TEST

START_TEST(bad_length_closes_after_what_was_good) {
    const char *bad[] = {"1:a,01:b,", "1:a,:b,",  "1:a,-1:b,", "1:a,+1:b,",
                         "1:a, 1:b,", "1:a,x:b,", "1:a,1x:b,", "1:a,00:,"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(bad[i], "string(a) DW_CONNECTION_DONE");
    }
}
END_TEST

START_TEST(newline_behind_the_digits_is_refused_at_once) {
    expect("3\n", "DW_CONNECTION_DONE");
}
END_TEST

START_TEST(missing_comma_shows_with_the_byte_in_its_place) {
    expect("1:a", "open");
    expect("1:aa", "DW_CONNECTION_DONE");
    expect("0:a", "DW_CONNECTION_DONE");
    expect("1:a,1:bb", "string(a) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(length_over_the_limit_shows_with_its_digits) {
    expect("1", "open");
    expect("13", "DW_CONNECTION_DONE");
    expect("1:a,99999999999999999999999999:", "string(a) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(length_beyond_all_integers_is_refused_even_without_a_limit) {
    dw_netstring_receiver r;
    dw_netstring_receiver_init(
        &r, &(const dw_netstring_receiver_class){.base = {.name = "x", DW_NETSTRING_RECEIVER_SLOTS},
                                                 .string_received = probe_string});
    r.max_length = SIZE_MAX;
    rig_endless(&r.base, &r.framing_, "9", 1, '9', 4096, 16);
    ck_assert_str_eq(rig_log, "DW_CONNECTION_DONE");
    ck_assert(r.broken_peer);
}
END_TEST

START_TEST(limit_counts_for_the_very_next_string) {
    expect("5:max 3,3:abc,4:abcd,", "string(max 3) string(abc) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(nothing_is_delivered_after_the_end) {
    expect("4:lose,1:a,", "string(lose) DW_CONNECTION_DONE");
    expect("5:abort,1:a,", "string(abort) DW_CONNECTION_ABORTED");
    expect("4:fail,1:a,", "string(fail) DW_APP_ERROR");
    expect("4:stop,1:a,", "string(stop) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(paused_strings_come_with_resume) {
    expect("5:pause,1:a,0:,2:b", "string(pause) string(a) string() open");
}
END_TEST

START_TEST(pause_and_resume_in_one_callback_changes_nothing) {
    expect("3:nap,1:a,", "string(nap) string(a) open");
}
END_TEST

START_TEST(each_allocation_may_fail) {
    const char *stream = "5:hello,5:pause,12:123456789012,3:no";
    const char *log = "string(hello) string(pause) string(123456789012) open";
    rig_play play = {.make = probe_make, .stream = stream, .len = strlen(stream), .after = resume};
    for (play.first = 0; play.first < play.len; play.first++) {
        rig_expect_alloc_failures(play, log);
    }
    play.first = 0;
    play.piece = 1;
    ck_assert_uint_ge(rig_expect_alloc_failures(play, log), 1);
}
END_TEST

START_TEST(whole_strings_take_no_memory) {
    rig_play play = {.make = probe_make, .stream = "1:a,1:b,", .len = 8};
    ck_assert_uint_eq(rig_expect_alloc_failures(play, "string(a) string(b) open"), 0);
}
END_TEST

static void count_string(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    (void)r;
    (void)string;
    ck_assert_uint_eq(len, DW_NETSTRING_MAX_LENGTH_DEFAULT);
    rig_word("99999");
}

static const dw_netstring_receiver_class count_class = {
    .base = {.name = "count", DW_NETSTRING_RECEIVER_SLOTS},
    .string_received = count_string,
};

START_TEST(longest_string_keeps_itself_and_its_prefix) {
    dw_netstring_receiver r;
    dw_netstring_receiver_init(&r, &count_class);
    size_t most = rig_endless(&r.base, &r.framing_, "99999:", 6, ',', 102400, 1024);
    ck_assert_uint_le(most, DW_NETSTRING_MAX_LENGTH_DEFAULT + 22);
    ck_assert_str_eq(rig_log, "99999 DW_CONNECTION_DONE");
}
END_TEST

START_TEST(announced_length_takes_no_memory_before_its_bytes_come) {
    dw_netstring_receiver r;
    dw_netstring_receiver_init(&r, &count_class);
    size_t most = rig_endless(&r.base, &r.framing_, "99999:", 6, 'x', 64, 1);
    ck_assert_uint_le(most, 128);
}
END_TEST

START_TEST(send_string_writes_length_string_and_comma) {
    dw_netstring_receiver r;
    dw_netstring_receiver_init(&r, &count_class);
    r.max_length = 1;
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &r.base);
    dw_netstring_receiver_send_string(&r, "hello, world", 12);
    dw_netstring_receiver_send_string(&r, "", 0);
    dw_test_transport_advance(rig_test, 0);
    ck_assert_str_eq(dw_test_transport_written(rig_test, NULL), "12:hello, world,0:,");
    dw_test_transport_free(rig_test);
}
END_TEST

START_TEST(verbs_without_a_connection_are_harmless) {
    dw_netstring_receiver r;
    rig_log[0] = '\0';
    dw_netstring_receiver_init(&r, &count_class);
    dw_netstring_receiver_send_string(&r, "x", 1);
    dw_netstring_receiver_pause_producing(&r);
    dw_netstring_receiver_resume_producing(&r);
    dw_netstring_receiver_stop_producing(&r);
    dw_netstring_receiver_fini(&r);
    ck_assert_str_eq(rig_log, "");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("netstring");
    TCase *c = tcase_create("netstring receiver");
    tcase_add_test(c, strings_come_whole_and_in_order);
    tcase_add_test(c, empty_strings_are_delivered);
    tcase_add_test(c, unfinished_string_is_not_delivered);
    tcase_add_test(c, commas_and_colons_may_be_in_a_string);
    tcase_add_test(c, bad_length_closes_after_what_was_good);
    tcase_add_test(c, newline_behind_the_digits_is_refused_at_once);
    tcase_add_test(c, missing_comma_shows_with_the_byte_in_its_place);
    tcase_add_test(c, length_over_the_limit_shows_with_its_digits);
    tcase_add_test(c, length_beyond_all_integers_is_refused_even_without_a_limit);
    tcase_add_test(c, limit_counts_for_the_very_next_string);
    tcase_add_test(c, nothing_is_delivered_after_the_end);
    tcase_add_test(c, paused_strings_come_with_resume);
    tcase_add_test(c, pause_and_resume_in_one_callback_changes_nothing);
    tcase_add_test(c, each_allocation_may_fail);
    tcase_add_test(c, whole_strings_take_no_memory);
    tcase_add_test(c, longest_string_keeps_itself_and_its_prefix);
    tcase_add_test(c, announced_length_takes_no_memory_before_its_bytes_come);
    tcase_add_test(c, send_string_writes_length_string_and_comma);
    tcase_add_test(c, verbs_without_a_connection_are_harmless);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
