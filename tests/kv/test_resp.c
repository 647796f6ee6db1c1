/* SPDX-License-Identifier: MIT */
/*
 * The RESP parsers by themselves: what a stream of bytes means must not depend on where it is cut.
 * Expectations are from the protocol's specification (redis.io, "Redis serialization protocol
 * specification") and Redis's words for errors.
 */
#include "kv_support.h"

#include <stdio.h>

#define TEXT_MAX 4096

static dw_test_transport *wire;

static void setup(void) {
    wire = dw_test_transport_new();
}

static void teardown(void) {
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
    dw_test_transport_free(wire);
}

/* Writes what the parser makes of the fed bytes: "[3 SET|a|1]", "!error". */
static void put_requests(kv_request_parser *parser, char *out, size_t *at) {
    for (;;) {
        switch (kv_request_parser_next(parser)) {
        case KV_PARSE_DONE:
            *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "[%zu ", parser->argc);
            for (size_t i = 0; i < parser->argc; i++) {
                *at +=
                    (size_t)snprintf(out + *at, TEXT_MAX - *at, "%s%.*s", i > 0 ? "|" : "",
                                     (int)parser->args[i].len, (const char *)parser->args[i].data);
            }
            *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "]");
            break;
        case KV_PARSE_ERROR:
            if (strchr(out, '!') == NULL) {
                *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "!%s", parser->error);
            }
            return;
        case KV_PARSE_NO_MEMORY:
            *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "!memory");
            return;
        default:
            return;
        }
    }
}

/* Feeds a copy of each piece that is gone afterwards, so that a use of old bytes is seen. */
static void feed_piece(kv_request_parser *parser, const char *data, size_t len, char *out,
                       size_t *at) {
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, data, len);
    kv_request_parser_feed(parser, copy, len);
    put_requests(parser, out, at);
    memset(copy, '#', len);
    free(copy);
    kv_request_parser_feed(parser, NULL, 0);
}

/* The bytes cut at `first` and at `second`. */
static void parse_cut(const char *data, size_t len, size_t first, size_t second,
                      const kv_limits *limits, char out[TEXT_MAX]) {
    kv_request_parser parser;
    size_t at = 0;
    out[0] = '\0';
    kv_request_parser_init(&parser, dw_test_transport_reactor(wire), limits);
    feed_piece(&parser, data, first, out, &at);
    feed_piece(&parser, data + first, second - first, out, &at);
    feed_piece(&parser, data + second, len - second, out, &at);
    kv_request_parser_fini(&parser);
}

static void expect_requests_within(const char *data, const kv_limits *limits,
                                   const char *expected) {
    char got[TEXT_MAX];
    size_t len = strlen(data);
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            parse_cut(data, len, first, second, limits, got);
            ck_assert_msg(strcmp(got, expected) == 0, "cut at %zu and %zu: \"%s\" is not \"%s\"",
                          first, second, got, expected);
        }
    }
}

static void expect_requests(const char *data, const char *expected) {
    expect_requests_within(data, NULL, expected);
}

START_TEST(arrays_of_bulk_strings_are_requests) {
    expect_requests("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n*1\r\n$4\r\nPING\r\n",
                    "[3 SET|a|hello][1 PING]");
    expect_requests("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[2 GET|]");
    expect_requests("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "[2 ECHO|\r\n\r\n]");
}
END_TEST

START_TEST(empty_requests_have_no_words) {
    expect_requests("*0\r\n*-1\r\n\r\n\n   \r\nPING\r\n", "[0 ][0 ][0 ][0 ][0 ][1 PING]");
}
END_TEST

START_TEST(inline_requests_are_split_at_spaces) {
    expect_requests("SET  a\t1 \r\nGET a\n", "[3 SET|a|1][2 GET|a]");
}
END_TEST

START_TEST(inline_quotes_are_taken_off) {
    expect_requests("SET a \"b c\"\r\n", "[3 SET|a|b c]");
    expect_requests("SET a \"\\x41\\n\\t\\\"\\q\"\r\n", "[3 SET|a|A\n\t\"q]");
    expect_requests("SET a 'b \\' \\n'\r\n", "[3 SET|a|b ' \\n]");
    expect_requests("SET \"\" ''\r\n", "[3 SET||]");
    expect_requests("ECHO a\"b c\"\r\n", "[2 ECHO|ab c]");
}
END_TEST

START_TEST(inline_quotes_that_do_not_match_are_an_error) {
    expect_requests("GET \"a\r\n", "!Protocol error: unbalanced quotes in request");
    expect_requests("GET 'a\r\n", "!Protocol error: unbalanced quotes in request");
    expect_requests("GET \"a\"b\r\n", "!Protocol error: unbalanced quotes in request");
}
END_TEST

START_TEST(broken_counts_are_an_error) {
    expect_requests("*x\r\n", "!Protocol error: invalid multibulk length");
    expect_requests("*\r\n", "!Protocol error: invalid multibulk length");
    expect_requests("*01\r\n", "!Protocol error: invalid multibulk length");
    expect_requests("* 1\r\n", "!Protocol error: invalid multibulk length");
    expect_requests("*99999999999999999999\r\n", "!Protocol error: invalid multibulk length");
}
END_TEST

START_TEST(broken_lengths_are_an_error) {
    expect_requests("*1\r\n$x\r\n", "!Protocol error: invalid bulk length");
    expect_requests("*1\r\n$-1\r\n", "!Protocol error: invalid bulk length");
    expect_requests("*1\r\nxGET\r\n", "!Protocol error: expected '$', got 'x'");
    expect_requests("*1\r\n\r\n", "!Protocol error: expected '$', got ' '");
    expect_requests("PING\r\n*1\r\n:1\r\nPING\r\n",
                    "[1 PING]!Protocol error: expected '$', got ':'");
}
END_TEST

START_TEST(limits_hold_wherever_the_stream_is_cut) {
    kv_limits limits = {.request_max = 30, .args_max = 2, .bulk_max = 9};
    expect_requests_within("*2\r\n$3\r\nGET\r\n$9\r\n123456789\r\n", &limits, "[2 GET|123456789]");
    expect_requests_within("*2\r\n$3\r\nGET\r\n$10\r\n", &limits,
                           "!Protocol error: invalid bulk length");
    expect_requests_within("*3\r\n", &limits, "!Protocol error: invalid multibulk length");
    limits.bulk_max = 100;
    expect_requests_within("*2\r\n$3\r\nGET\r\n$14\r\n", &limits,
                           "!Protocol error: invalid bulk length");
    expect_requests_within("A B C\r\n", &limits, "!Protocol error: too big inline request");
    expect_requests_within("A 12345678901234567890123456789012\r\n", &limits,
                           "!Protocol error: too big inline request");
}
END_TEST

static void expect_too_long(char first, const char *start, const char *error) {
    size_t len = strlen(start) + KV_LINE_MAX + 10;
    char *data = malloc(len);
    char got[TEXT_MAX];
    memset(data, first, len);
    memcpy(data, start, strlen(start));
    size_t cuts[] = {0, 1, 5, 1000, KV_LINE_MAX - 1, KV_LINE_MAX, KV_LINE_MAX + 1, len};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        parse_cut(data, len, cuts[i], len, NULL, got);
        ck_assert_str_eq(got, error);
    }
    free(data);
}

START_TEST(lines_without_end_are_an_error) {
    expect_too_long('a', "", "!Protocol error: too big inline request");
    expect_too_long('1', "*1", "!Protocol error: too big mbulk count string");
    expect_too_long('1', "*1\r\n$1", "!Protocol error: too big bulk count string");
}
END_TEST

START_TEST(a_request_that_lies_whole_in_a_chunk_is_not_copied) {
    static const uint8_t data[] = "*2\r\n$3\r\nGET\r\n$3\r\nabc\r\n*1\r\n$4\r\nPING\r\n";
    kv_request_parser parser;
    kv_request_parser_init(&parser, dw_test_transport_reactor(wire), NULL);
    kv_request_parser_feed(&parser, data, sizeof(data) - 1);
    ck_assert_int_eq(kv_request_parser_next(&parser), KV_PARSE_DONE);
    ck_assert_ptr_eq(parser.args[1].data, data + 17);
    ck_assert_int_eq(kv_request_parser_next(&parser), KV_PARSE_DONE);
    ck_assert_uint_eq(parser.input.held.room, 0);
    kv_slice rest = kv_request_parser_rest(&parser);
    ck_assert_uint_eq(rest.len, 0);
    kv_request_parser_fini(&parser);
}
END_TEST

START_TEST(what_is_announced_is_not_allocated) {
    static const uint8_t data[] = "*2\r\n$3\r\nGET\r\n$8000000\r\nabc";
    kv_request_parser parser;
    kv_request_parser_init(&parser, dw_test_transport_reactor(wire), NULL);
    kv_request_parser_feed(&parser, data, sizeof(data) - 1);
    ck_assert_int_eq(kv_request_parser_next(&parser), KV_PARSE_MORE);
    ck_assert_uint_lt(kv_request_parser_memory(&parser), 4096);
    kv_request_parser_fini(&parser);
}
END_TEST

START_TEST(a_large_request_leaves_no_memory_behind) {
    size_t body = 1000000;
    char *data = malloc(body + 100);
    int header = snprintf(data, 100, "*1\r\n$%zu\r\n", body);
    memset(data + header, 'x', body + 2);
    kv_request_parser parser;
    kv_request_parser_init(&parser, dw_test_transport_reactor(wire), NULL);
    size_t len = (size_t)header + body + 2;
    for (size_t at = 0; at < len; at += 65536) {
        size_t piece = len - at < 65536 ? len - at : 65536;
        kv_request_parser_feed(&parser, (uint8_t *)data + at, piece);
        kv_parse got = kv_request_parser_next(&parser);
        ck_assert_int_eq(got, at + piece == len ? KV_PARSE_DONE : KV_PARSE_MORE);
    }
    ck_assert_uint_eq(parser.args[0].len, body);
    ck_assert_int_eq(kv_request_parser_next(&parser), KV_PARSE_MORE);
    ck_assert_uint_lt(kv_request_parser_memory(&parser), 65536);
    kv_request_parser_fini(&parser);
    free(data);
}
END_TEST

/* ---- Replies ---- */

static size_t put_item(char *out, size_t room, const kv_reply *item) {
    if (item->null) {
        return (size_t)snprintf(out, room, "%c(nil)", item->type);
    }
    switch (item->type) {
    case ':':
        return (size_t)snprintf(out, room, ":%lld", (long long)item->integer);
    case '*':
        return (size_t)snprintf(out, room, "*%zu", item->count);
    default:
        return (size_t)snprintf(out, room, "%c%.*s", item->type, (int)item->text.len,
                                (const char *)item->text.data);
    }
}

static void put_replies(kv_reply_parser *parser, char *out, size_t *at) {
    kv_parse got;
    while ((got = kv_reply_parser_next(parser)) == KV_PARSE_DONE) {
        *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "[");
        for (size_t i = 0; i < parser->items_count; i++) {
            *at += put_item(out + *at, TEXT_MAX - *at, &parser->items[i]);
            *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, " ");
        }
        *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "]");
    }
    if (got == KV_PARSE_ERROR && strchr(out, '!') == NULL) {
        *at += (size_t)snprintf(out + *at, TEXT_MAX - *at, "!");
    }
}

static void expect_replies(const char *data, const char *expected) {
    char got[TEXT_MAX];
    size_t len = strlen(data);
    for (size_t cut = 0; cut <= len; cut++) {
        kv_reply_parser parser;
        size_t at = 0;
        got[0] = '\0';
        kv_reply_parser_init(&parser, dw_test_transport_reactor(wire), 64, 16);
        kv_reply_parser_feed(&parser, (const uint8_t *)data, cut);
        put_replies(&parser, got, &at);
        kv_reply_parser_feed(&parser, (const uint8_t *)data + cut, len - cut);
        put_replies(&parser, got, &at);
        kv_reply_parser_fini(&parser);
        ck_assert_msg(strcmp(got, expected) == 0, "cut at %zu: \"%s\" is not \"%s\"", cut, got,
                      expected);
    }
}

START_TEST(replies_of_each_type_are_read) {
    expect_replies("+OK\r\n-ERR no\r\n:-12\r\n$3\r\nabc\r\n$0\r\n\r\n$-1\r\n",
                   "[+OK ][-ERR no ][:-12 ][$abc ][$ ][$(nil) ]");
}
END_TEST

START_TEST(arrays_are_followed_by_their_items) {
    expect_replies("*2\r\n:1\r\n$1\r\na\r\n*0\r\n*-1\r\n", "[*2 :1 $a ][*0 ][*(nil) ]");
    expect_replies("*2\r\n*1\r\n+a\r\n*2\r\n*0\r\n:2\r\n:3\r\n", "[*2 *1 +a *2 *0 :2 ][:3 ]");
}
END_TEST

START_TEST(replies_that_make_no_sense_are_an_error) {
    expect_replies("+a\r\n?\r\n", "[+a ]!");
    expect_replies(":x\r\n", "!");
    expect_replies("$-2\r\n", "!");
    expect_replies("$1\r\nabcd\r\n", "!");
    expect_replies("$65\r\n", "!");
    expect_replies("*17\r\n", "!");
    expect_replies("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "!");
}
END_TEST

/* ---- Numbers ---- */

static bool is_integer(const char *text, int64_t expected) {
    int64_t value = 12345;
    return kv_parse_integer(kv_text(text), &value) && value == expected;
}

START_TEST(integers_are_read_as_strictly_as_redis_does) {
    ck_assert(is_integer("0", 0));
    ck_assert(is_integer("-1", -1));
    ck_assert(is_integer("9223372036854775807", INT64_MAX));
    ck_assert(is_integer("-9223372036854775808", INT64_MIN));
    const char *const bad[] = {"",
                               "-",
                               "+1",
                               " 1",
                               "1 ",
                               "01",
                               "-0",
                               "1.0",
                               "0x1",
                               "1e",
                               "9223372036854775808",
                               "-9223372036854775809",
                               "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t value;
        ck_assert_msg(!kv_parse_integer(kv_text(bad[i]), &value), "\"%s\"", bad[i]);
    }
}
END_TEST

START_TEST(integers_are_written_in_decimal) {
    const int64_t values[] = {0, 7, -7, 10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char got[KV_INTEGER_MAX + 1], expected[32];
        got[kv_format_integer(got, values[i])] = '\0';
        snprintf(expected, sizeof(expected), "%lld", (long long)values[i]);
        ck_assert_str_eq(got, expected);
    }
}
END_TEST

static void add_tests(TCase *tc) {
    tcase_add_test(tc, arrays_of_bulk_strings_are_requests);
    tcase_add_test(tc, empty_requests_have_no_words);
    tcase_add_test(tc, inline_requests_are_split_at_spaces);
    tcase_add_test(tc, inline_quotes_are_taken_off);
    tcase_add_test(tc, inline_quotes_that_do_not_match_are_an_error);
    tcase_add_test(tc, broken_counts_are_an_error);
    tcase_add_test(tc, broken_lengths_are_an_error);
    tcase_add_test(tc, limits_hold_wherever_the_stream_is_cut);
    tcase_add_test(tc, lines_without_end_are_an_error);
    tcase_add_test(tc, a_request_that_lies_whole_in_a_chunk_is_not_copied);
    tcase_add_test(tc, what_is_announced_is_not_allocated);
    tcase_add_test(tc, a_large_request_leaves_no_memory_behind);
    tcase_add_test(tc, replies_of_each_type_are_read);
    tcase_add_test(tc, arrays_are_followed_by_their_items);
    tcase_add_test(tc, replies_that_make_no_sense_are_an_error);
    tcase_add_test(tc, integers_are_read_as_strictly_as_redis_does);
    tcase_add_test(tc, integers_are_written_in_decimal);
}

int main(void) {
    Suite *suite = suite_create("kv_resp");
    TCase *tc = tcase_create("resp");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_tests(tc);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
