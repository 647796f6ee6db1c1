/* SPDX-License-Identifier: MIT */
/*
 * PROXY headers: the parser, byte by byte and in all cuts, and the factory. Expectations: HAProxy's
 * proxy-protocol.txt, sections 2.1 and 2.2; headers are written out by hand from its tables.
 */
#include "../suite.h"

#include <check.h>
#include <drywire/haproxy.h>
#include <drywire/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The parser ---- */

static dw_haproxy_parser parser;

static dw_haproxy_status feed_cut(const void *bytes, size_t len, size_t first, size_t *used) {
    size_t n;
    dw_haproxy_parser_init(&parser);
    dw_haproxy_status status = dw_haproxy_parser_feed(&parser, bytes, first, used);
    if (status != DW_HAPROXY_MORE) {
        return status;
    }
    ck_assert_uint_eq(*used, first);
    status = dw_haproxy_parser_feed(&parser, (const uint8_t *)bytes + first, len - first, &n);
    *used += n;
    return status;
}

static const char *end_text(const dw_address *address, char *buffer) {
    return dw_address_format(address, buffer, DW_ADDRESS_TEXT_MAX);
}

/* Feeds it cut in two at each place; `rest` bytes behind the header must be left. */
static void expect_ends(const void *bytes, size_t len, size_t rest, const char *source,
                        const char *destination) {
    char buffer[DW_ADDRESS_TEXT_MAX];
    for (size_t first = 0; first <= len; first++) {
        size_t used = 0;
        ck_assert_msg(feed_cut(bytes, len, first, &used) == DW_HAPROXY_DONE, "%s", parser.error);
        ck_assert_uint_eq(used, len - rest);
        ck_assert(parser.header.proxied == (source != NULL));
        ck_assert_str_eq(end_text(&parser.header.source, buffer), source ? source : "none");
        ck_assert_str_eq(end_text(&parser.header.destination, buffer),
                         destination ? destination : "none");
    }
}

static void expect_line(const char *line, const char *source, const char *destination) {
    char with_rest[256];
    int len = snprintf(with_rest, sizeof(with_rest), "%sGET /", line);
    expect_ends(with_rest, (size_t)len, 5, source, destination);
    ck_assert_uint_eq(parser.header.version, 1);
}

/* Refused whole and in all cuts, and never before `good` bytes. */
static void expect_invalid(const void *bytes, size_t len, size_t good) {
    size_t used;
    for (size_t first = 0; first <= len; first++) {
        ck_assert_msg(feed_cut(bytes, len, first, &used) == DW_HAPROXY_INVALID, "%.*s", (int)len,
                      (const char *)bytes);
        ck_assert_ptr_nonnull(parser.error);
        if (first <= good) {
            ck_assert_uint_gt(used, good);
        }
    }
    ck_assert_int_eq(dw_haproxy_parser_feed(&parser, bytes, len, &used), DW_HAPROXY_INVALID);
    ck_assert_uint_eq(used, 0);
}

static void expect_bad_line(const char *line) {
    expect_invalid(line, strlen(line), strlen(line) - 1);
}

START_TEST(line_gives_both_ends) {
    expect_line("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324",
                "192.168.0.11:443");
    expect_line("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "[2001:db8::1]:0", "[::1]:65535");
    expect_line("PROXY TCP6 ::ffff:1.2.3.4 FFFF::A 1 2\r\n", "[::ffff:1.2.3.4]:1", "[ffff::a]:2");
}
END_TEST

START_TEST(longest_lines_are_accepted) {
    expect_line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
                "255.255.255.255:65535", "255.255.255.255:65535");
    expect_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    expect_line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                NULL, NULL);
}
END_TEST

START_TEST(unknown_ignores_the_rest_of_the_line) {
    expect_line("PROXY UNKNOWN\r\n", NULL, NULL);
    expect_line("PROXY UNKNOWN \r \n any thing\r\n", NULL, NULL);
}
END_TEST

START_TEST(line_without_end_is_refused_at_107_bytes) {
    char line[128] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof(line) - 14);
    expect_invalid(line, sizeof(line), 106);
    memcpy(line + 105, "\r\n", 2);
    size_t used;
    ck_assert_int_eq(feed_cut(line, sizeof(line), 0, &used), DW_HAPROXY_DONE);
    ck_assert_uint_eq(used, 107);
    memset(line + 105, 'x', 2);
    memcpy(line + 106, "\r\n", 2);
    expect_invalid(line, sizeof(line), 106);
}
END_TEST

START_TEST(malformed_lines_are_refused_at_their_end) {
    static const char *const bad[] = {
        "PROXY \r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1..3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1%1 ::1 1 2\r\n",
        "PROXY TCP6 :::1 ::1 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 123456\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_bad_line(bad[i]);
    }
}
END_TEST

START_TEST(anything_else_is_refused_at_its_first_wrong_byte) {
    expect_invalid("GET / HTTP/1.1\r\n", 16, 0);
    expect_invalid("PROXX TCP4 ", 11, 4);
    expect_invalid("PROXY\r\n", 7, 5);
    expect_invalid("\r\n\r\n\0\r\nQUIX\n!", 13, 10);
    expect_invalid("\r\nPROXY UNKNOWN\r\n", 17, 2);
}
END_TEST

/* ---- Version 2 ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

#define EXPECT_ENDS(bytes, source, destination) \
    expect_ends((bytes "rest"), sizeof(bytes "rest") - 1, 4, (source), (destination))

START_TEST(binary_header_gives_both_ends) {
    EXPECT_ENDS(SIGNATURE "\x21\x11\x00\x0c"
                          "\x0a\x01\x02\x03\xc0\xa8\x00\x01\x12\x34\x01\xbb",
                "10.1.2.3:4660", "192.168.0.1:443");
    ck_assert_uint_eq(parser.header.version, 2);
    ck_assert(!parser.header.datagram && !parser.header.local);
    EXPECT_ENDS(SIGNATURE "\x21\x12\x00\x0c"
                          "\x0a\x01\x02\x03\xc0\xa8\x00\x01\x12\x34\x01\xbb",
                "10.1.2.3:4660", "192.168.0.1:443");
    ck_assert(parser.header.datagram);
    EXPECT_ENDS(SIGNATURE "\x21\x21\x00\x24"
                          "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05"
                          "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                          "\xff\xff\x00\x50",
                "[2001:db8::5]:65535", "[::1]:80");
}
END_TEST

START_TEST(type_length_values_behind_the_addresses_are_skipped) {
    EXPECT_ENDS(SIGNATURE "\x21\x11\x00\x13"
                          "\x0a\x01\x02\x03\xc0\xa8\x00\x01\x12\x34\x01\xbb"
                          "\x04\x00\x04pad.",
                "10.1.2.3:4660", "192.168.0.1:443");
}
END_TEST

START_TEST(local_and_unspecified_headers_are_skipped_whole) {
    EXPECT_ENDS(SIGNATURE "\x20\x00\x00\x00", NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x20\x11\x00\x0c"
                          "\x0a\x01\x02\x03\xc0\xa8\x00\x01\x12\x34\x01\xbb",
                NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x20\xff\x00\x03xyz", NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x21\x00\x00\x00", NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x21\x00\x00\x05hello", NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x21\x10\x00\x02hi", NULL, NULL);
    EXPECT_ENDS(SIGNATURE "\x21\x01\x00\x02hi", NULL, NULL);
}
END_TEST

START_TEST(longest_header_is_skipped) {
    static uint8_t bytes[16 + 65535 + 1] = SIGNATURE "\x20\x00\xff\xff";
    size_t used;
    ck_assert_int_eq(feed_cut(bytes, sizeof(bytes), 1000, &used), DW_HAPROXY_DONE);
    ck_assert_uint_eq(used, 16 + 65535);
}
END_TEST

START_TEST(unix_header_gives_both_paths) {
    uint8_t bytes[16 + 216 + 3] = SIGNATURE "\x21\x31\x00\xd9";
    memset(bytes + 16, 'a', 108);
    memcpy(bytes + 16 + 108, "/run/app", 8);
    expect_ends(bytes, sizeof(bytes), 2, "none", "none");
    ck_assert(parser.header.local && parser.header.proxied);
    ck_assert_uint_eq(strlen(parser.header.source_path), 108);
    ck_assert_str_eq(parser.header.destination_path, "/run/app");
    bytes[13] = 0x32;
    expect_ends(bytes, sizeof(bytes), 2, "none", "none");
    ck_assert(parser.header.datagram);
}
END_TEST

#define EXPECT_INVALID(bytes, good) expect_invalid((bytes), sizeof(bytes) - 1, (good))

START_TEST(wrong_fields_are_refused_where_they_stand) {
    EXPECT_INVALID(SIGNATURE "\x11\x11\x00\x0c", 12);
    EXPECT_INVALID(SIGNATURE "\x31\x11\x00\x0c", 12);
    EXPECT_INVALID(SIGNATURE "\x22\x11\x00\x0c", 12);
    EXPECT_INVALID(SIGNATURE "\x21\x41\x00\x0c", 13);
    EXPECT_INVALID(SIGNATURE "\x21\x13\x00\x0c", 13);
    EXPECT_INVALID(SIGNATURE "\x21\x11\x00\x0b", 15);
    EXPECT_INVALID(SIGNATURE "\x21\x21\x00\x23", 15);
    EXPECT_INVALID(SIGNATURE "\x21\x31\x00\xd7", 15);
}
END_TEST

/* ---- The factory ---- */

struct app {
    dw_protocol base; /* first */
    dw_reactor *reactor;
};

static char notes[1024];
static dw_haproxy_factory behind;
static dw_test_transport *test;
static struct app *inner;
static bool pause_at_once, lose_at_once, refuse, fail_to_build, aware;

static void note(const char *format, const char *text) {
    size_t len = strlen(notes);
    snprintf(notes + len, sizeof(notes) - len, format, text);
}

static void app_made(dw_protocol *p) {
    char buffer[DW_ADDRESS_TEXT_MAX];
    dw_address peer = dw_transport_peer(p->transport), host = dw_transport_host(p->transport);
    note("made %s", dw_address_format(&peer, buffer, sizeof(buffer)));
    note(" %s;", dw_address_format(&host, buffer, sizeof(buffer)));
    if (pause_at_once) {
        dw_transport_pause_producing(p->transport);
    }
    if (lose_at_once) {
        dw_transport_lose_connection(p->transport);
    }
}

static void app_data(dw_protocol *p, const uint8_t *data, size_t len) {
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)data);
    note("data %s;", text);
    dw_transport_write(p->transport, data, len);
    if (strcmp(text, "lose") == 0) {
        dw_transport_lose_connection(p->transport);
    } else if (strcmp(text, "pause") == 0) {
        dw_transport_pause_producing(p->transport);
    }
}

static void app_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p;
    note("lost %s;", dw_error_name((int)reason->kind));
}

static void app_read_lost(dw_protocol *p) {
    note("%s;", "read lost");
    dw_transport_lose_connection(p->transport);
}

static void app_write_lost(dw_protocol *p) {
    (void)p;
    note("%s;", "write lost");
}

static const char *app_prefix(dw_protocol *p) {
    (void)p;
    return "app prefix";
}

static void app_destroy(dw_protocol *p) {
    struct app *app = (struct app *)(void *)p;
    inner = NULL;
    dw_free(app->reactor, app);
}

static const dw_protocol_class app_class = {
    .name = "app",
    .connection_made = app_made,
    .data_received = app_data,
    .connection_lost = app_lost,
    .destroy = app_destroy,
};

static const dw_protocol_class aware_class = {
    .name = "aware app",
    .connection_made = app_made,
    .data_received = app_data,
    .connection_lost = app_lost,
    .read_connection_lost = app_read_lost,
    .write_connection_lost = app_write_lost,
    .destroy = app_destroy,
    .log_prefix = app_prefix,
};

static dw_protocol *app_build(dw_factory *factory, const dw_address *peer) {
    char buffer[DW_ADDRESS_TEXT_MAX];
    (void)factory;
    note("build %s;", dw_address_format(peer, buffer, sizeof(buffer)));
    if (refuse || fail_to_build) {
        return refuse ? NULL : DW_PROTOCOL_FAILED;
    }
    dw_reactor *reactor = dw_test_transport_reactor(test);
    inner = dw_new(reactor, struct app);
    if (inner == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&inner->base, aware ? &aware_class : &app_class);
    inner->reactor = reactor;
    return &inner->base;
}

static const dw_factory_class app_factory_class = {.name = "app", .build_protocol = app_build};
static dw_factory app_factory;

static void begin(void) {
    notes[0] = '\0';
    test = dw_test_transport_new();
    dw_factory_init(&app_factory, &app_factory_class);
    dw_haproxy_factory_init(&behind, dw_test_transport_reactor(test), &app_factory);
    ck_assert_ptr_nonnull(dw_test_transport_build(test, &behind.base.base.base));
}

static void receive(const char *text) {
    dw_test_transport_receive(test, text, strlen(text));
}

/* Nothing is left when the connection is gone. */
static void end(const char *expected) {
    ck_assert_str_eq(notes, expected);
    if (dw_test_transport_connected(test)) {
        dw_test_transport_lose(test, 0);
    }
    ck_assert_uint_eq(dw_test_transport_allocations(test), 0);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(test)).delayed_calls, 0);
    ck_assert_uint_eq(dw_wrapping_factory_count(&behind.base), 0);
    dw_test_transport_free(test);
}

#define LINE  "PROXY TCP4 10.0.0.1 10.0.0.2 1111 80\r\n"
#define BUILT "build 10.0.0.1:1111;made 10.0.0.1:1111 10.0.0.2:80;"

START_TEST(protocol_sees_the_announced_ends) {
    begin();
    receive(LINE);
    ck_assert_ptr_eq(inner->base.factory, &app_factory);
    receive("hello");
    ck_assert_str_eq(dw_test_transport_written(test, NULL), "hello");
    end(BUILT "data hello;");
    ck_assert_ptr_null(inner);
}
END_TEST

START_TEST(bytes_behind_the_header_come_at_once) {
    begin();
    receive(LINE "hello");
    end(BUILT "data hello;");
}
END_TEST

START_TEST(header_may_come_byte_by_byte) {
    begin();
    dw_test_transport_receive_cut(test, LINE, strlen(LINE), 1);
    receive("hello");
    end(BUILT "data hello;");
}
END_TEST

START_TEST(unproxied_connection_has_its_own_ends) {
    char own[DW_ADDRESS_TEXT_MAX], expected[3 * DW_ADDRESS_TEXT_MAX];
    begin();
    dw_haproxy_header empty = {.version = 1};
    receive("PROXY UNKNOWN\r\nx");
    const dw_haproxy_header *h = dw_haproxy_header_of(inner->base.transport);
    ck_assert(memcmp(h, &empty, sizeof(empty)) == 0);
    dw_address peer = dw_transport_peer(inner->base.transport);
    dw_address host = dw_transport_host(inner->base.transport);
    char other[DW_ADDRESS_TEXT_MAX];
    dw_address_format(&peer, own, sizeof(own));
    snprintf(expected, sizeof(expected), "build %s;made %s %s;data x;", own, own,
             dw_address_format(&host, other, sizeof(other)));
    ck_assert_int_ne(peer.port, 1111);
    end(expected);
}
END_TEST

START_TEST(header_can_be_asked_for) {
    begin();
    receive(LINE);
    const dw_haproxy_header *h = dw_haproxy_header_of(inner->base.transport);
    ck_assert_uint_eq(h->version, 1);
    ck_assert_uint_eq(h->source.port, 1111);
    ck_assert_ptr_null(dw_haproxy_header_of(NULL));
    end(BUILT);
}
END_TEST

START_TEST(wrong_header_aborts_without_a_protocol) {
    begin();
    receive("GET / HTTP/1.1\r\n");
    dw_test_transport_advance(test, 0);
    ck_assert(dw_test_transport_sent_reset(test));
    ck_assert_int_eq(dw_test_transport_reason(test), DW_CONNECTION_ABORTED);
    end("");
}
END_TEST

START_TEST(late_header_aborts) {
    begin();
    receive("PROXY TCP4 ");
    dw_test_transport_advance(test, DW_HAPROXY_TIMEOUT_DEFAULT - 1);
    ck_assert(dw_test_transport_connected(test));
    dw_test_transport_advance(test, 1);
    ck_assert_int_eq(dw_test_transport_reason(test), DW_CONNECTION_ABORTED);
    end("");
}
END_TEST

START_TEST(time_out_ends_with_the_header) {
    begin();
    receive(LINE);
    dw_test_transport_advance(test, DW_HOUR(1));
    ck_assert(dw_test_transport_connected(test));
    end(BUILT);
}
END_TEST

START_TEST(connection_may_end_before_its_header) {
    begin();
    receive("PROXY ");
    dw_test_transport_lose(test, 0);
    end("");
}
END_TEST

START_TEST(refused_connection_is_closed) {
    refuse = true;
    begin();
    receive(LINE "x");
    dw_test_transport_advance(test, 0);
    ck_assert_int_eq(dw_test_transport_reason(test), DW_CONNECTION_DONE);
    end("build 10.0.0.1:1111;");
}
END_TEST

START_TEST(protocol_that_could_not_be_made_closes) {
    fail_to_build = true;
    begin();
    receive(LINE "x");
    dw_test_transport_advance(test, 0);
    ck_assert(!dw_test_transport_connected(test));
    end("build 10.0.0.1:1111;");
}
END_TEST

START_TEST(nothing_comes_behind_the_header_after_lose) {
    lose_at_once = true;
    begin();
    receive(LINE "x");
    dw_test_transport_advance(test, 0);
    end(BUILT "lost DW_CONNECTION_DONE;");
}
END_TEST

START_TEST(paused_protocol_gets_the_rest_with_resume) {
    pause_at_once = true;
    begin();
    receive(LINE "first");
    receive("second");
    ck_assert_str_eq(notes, BUILT);
    dw_transport_resume_producing(inner->base.transport);
    ck_assert_str_eq(notes, BUILT);
    dw_test_transport_advance(test, 0);
    end(BUILT "data first;data second;");
}
END_TEST

START_TEST(paused_again_before_the_rest_came) {
    pause_at_once = true;
    begin();
    receive(LINE "first");
    dw_transport_resume_producing(inner->base.transport);
    dw_transport_pause_producing(inner->base.transport);
    dw_test_transport_advance(test, 0);
    ck_assert_str_eq(notes, BUILT);
    dw_transport_resume_producing(inner->base.transport);
    dw_test_transport_advance(test, 0);
    receive("second");
    end(BUILT "data first;data second;");
}
END_TEST

START_TEST(paused_again_while_the_rest_is_delivered) {
    pause_at_once = true;
    begin();
    receive(LINE "pause");
    receive("second");
    dw_transport_resume_producing(inner->base.transport);
    dw_test_transport_advance(test, 0);
    ck_assert_str_eq(notes, BUILT "data pause;");
    dw_transport_resume_producing(inner->base.transport);
    dw_test_transport_advance(test, 0);
    end(BUILT "data pause;data second;");
}
END_TEST

START_TEST(connection_may_go_while_the_rest_is_delivered) {
    pause_at_once = true;
    aware = true;
    begin();
    receive(LINE "lose");
    dw_transport_lose_write_connection(inner->base.transport);
    dw_test_transport_advance(test, 0);
    ck_assert_str_eq(notes, BUILT "write lost;");
    dw_transport_resume_producing(inner->base.transport);
    dw_test_transport_advance(test, 0);
    end(BUILT "write lost;data lose;lost DW_CONNECTION_DONE;");
}
END_TEST

START_TEST(connection_may_end_with_the_rest_undelivered) {
    pause_at_once = true;
    begin();
    receive(LINE "first");
    dw_transport_resume_producing(inner->base.transport);
    dw_transport_abort_connection(inner->base.transport);
    dw_test_transport_advance(test, 0);
    end(BUILT "lost DW_CONNECTION_ABORTED;");
}
END_TEST

START_TEST(half_close_reaches_an_aware_protocol) {
    aware = true;
    begin();
    receive(LINE "x");
    dw_test_transport_half_close(test);
    dw_test_transport_advance(test, 0);
    end(BUILT "data x;read lost;lost DW_CONNECTION_DONE;");
}
END_TEST

START_TEST(unaware_protocol_is_lost_by_a_half_close) {
    begin();
    receive(LINE "x");
    dw_test_transport_half_close(test);
    end(BUILT "data x;lost DW_CONNECTION_DONE;");
}
END_TEST

/* At least three are not to be had without: the wrapper, the protocol, the rest. */
START_TEST(each_allocation_may_fail) {
    unsigned ended = 0;
    pause_at_once = true;
    for (unsigned n = 1; n < 20; n++) {
        notes[0] = '\0';
        test = dw_test_transport_new();
        dw_factory_init(&app_factory, &app_factory_class);
        dw_haproxy_factory_init(&behind, dw_test_transport_reactor(test), &app_factory);
        dw_test_transport_fail_alloc(test, n, false);
        if (dw_test_transport_build(test, &behind.base.base.base) != NULL) {
            receive(LINE "x");
            dw_test_transport_advance(test, 0);
        }
        if (dw_test_transport_connected(test)) {
            ck_assert_str_eq(notes, BUILT);
        } else {
            ended++;
        }
        dw_test_transport_free(test);
        ck_assert_uint_eq(dw_wrapping_factory_count(&behind.base), 0);
    }
    ck_assert_uint_ge(ended, 3);
    ck_assert_uint_lt(ended, 19);
}
END_TEST

static void add_parser_tests(TCase *c) {
    tcase_add_test(c, line_gives_both_ends);
    tcase_add_test(c, longest_lines_are_accepted);
    tcase_add_test(c, unknown_ignores_the_rest_of_the_line);
    tcase_add_test(c, line_without_end_is_refused_at_107_bytes);
    tcase_add_test(c, malformed_lines_are_refused_at_their_end);
    tcase_add_test(c, anything_else_is_refused_at_its_first_wrong_byte);
    tcase_add_test(c, binary_header_gives_both_ends);
    tcase_add_test(c, type_length_values_behind_the_addresses_are_skipped);
    tcase_add_test(c, local_and_unspecified_headers_are_skipped_whole);
    tcase_add_test(c, longest_header_is_skipped);
    tcase_add_test(c, unix_header_gives_both_paths);
    tcase_add_test(c, wrong_fields_are_refused_where_they_stand);
}

static void add_factory_tests(TCase *c) {
    tcase_add_test(c, protocol_sees_the_announced_ends);
    tcase_add_test(c, bytes_behind_the_header_come_at_once);
    tcase_add_test(c, header_may_come_byte_by_byte);
    tcase_add_test(c, unproxied_connection_has_its_own_ends);
    tcase_add_test(c, header_can_be_asked_for);
    tcase_add_test(c, wrong_header_aborts_without_a_protocol);
    tcase_add_test(c, late_header_aborts);
    tcase_add_test(c, time_out_ends_with_the_header);
    tcase_add_test(c, connection_may_end_before_its_header);
    tcase_add_test(c, refused_connection_is_closed);
    tcase_add_test(c, protocol_that_could_not_be_made_closes);
    tcase_add_test(c, nothing_comes_behind_the_header_after_lose);
    tcase_add_test(c, paused_protocol_gets_the_rest_with_resume);
    tcase_add_test(c, paused_again_before_the_rest_came);
    tcase_add_test(c, paused_again_while_the_rest_is_delivered);
    tcase_add_test(c, connection_may_go_while_the_rest_is_delivered);
    tcase_add_test(c, connection_may_end_with_the_rest_undelivered);
    tcase_add_test(c, half_close_reaches_an_aware_protocol);
    tcase_add_test(c, unaware_protocol_is_lost_by_a_half_close);
    tcase_add_test(c, each_allocation_may_fail);
}

int main(void) {
    Suite *suite = suite_create("haproxy");
    TCase *headers = tcase_create("parser");
    TCase *factory = tcase_create("factory");
    add_parser_tests(headers);
    add_factory_tests(factory);
    suite_add_tcase(suite, headers);
    suite_add_tcase(suite, factory);
    return run_suite(suite);
}
