/* SPDX-License-Identifier: MIT */
/*
 * The traffic log: the lines that drywire/traffic_log.h promises, for every event, in each format.
 */
#include "../suite.h"
#include "policy_rig.h"

#include <drywire/traffic_log.h>
#include <stdlib.h>

static dw_factory app;
static dw_traffic_log_factory logged;
static dw_factory *const factory = &logged.base.base.base;
static char lines[8192];

static void keep(void *user, const char *line) {
    size_t len = strlen(lines);
    ck_assert_ptr_eq(user, &logged);
    snprintf(lines + len, sizeof(lines) - len, "%s\n", line);
}

#define expect_lines(text)               \
    do {                                 \
        ck_assert_str_eq(lines, (text)); \
        lines[0] = '\0';                 \
    } while (0)

static void open_rig(void) {
    dw_traffic_log_factory_init(&logged, rig_open(&app), &app);
    logged.fn = keep;
    logged.fn_user = &logged;
    lines[0] = '\0';
}

/* On the connection code of the library. */
static dw_transport *connect_for_real(void) {
    ck_assert_ptr_nonnull(dw_test_transport_build(rig, factory));
    return rig_transport(0);
}

static void receive(const char *text) {
    dw_test_transport_receive(rig, text, strlen(text));
}

START_TEST(a_conversation_reads_as_the_header_shows) {
    open_rig();
    rig_connect(factory);
    static const uint8_t ping[] = "PING\r\n";
    dw_protocol_wrapper_data_received(&rig_belows[0].base, ping, 6);
    dw_transport_write(rig_transport(0), "+PONG\r\n", 7);
    dw_transport_lose_connection(rig_transport(0));
    rig_expect("build0 made0 data0:6 write0:7 lose0");
    rig_end(0);
    expect_lines("1 * made none\n"
                 "1 < [6] \"PING\\r\\n\"\n"
                 "1 > [7] \"+PONG\\r\\n\"\n"
                 "1 > lose_connection\n"
                 "1 * lost: connection was closed cleanly\n");
    rig_close();
}
END_TEST

START_TEST(the_peer_is_named) {
    open_rig();
    dw_transport *transport = connect_for_real();
    char expected[128], peer[DW_ADDRESS_TEXT_MAX];
    dw_address address = dw_transport_peer(transport);
    snprintf(expected, sizeof(expected), "1 * made %s\n",
             dw_address_format(&address, peer, sizeof(peer)));
    ck_assert_uint_ne(address.kind, DW_ADDRESS_NONE);
    expect_lines(expected);
    rig_close();
}
END_TEST

START_TEST(connections_are_numbered_from_one) {
    open_rig();
    rig_connect(factory);
    rig_connect(factory);
    rig_receive(1, 1);
    expect_lines("1 * made none\n2 * made none\n2 < [1] \"\\x00\"\n");
    rig_close();
}
END_TEST

START_TEST(what_is_not_printable_is_escaped) {
    open_rig();
    rig_connect(factory);
    lines[0] = '\0';
    dw_transport_write(rig_transport(0), " ~\t\\\"\x01\x7f\xff\x1f", 9);
    expect_lines("1 > [9] \" ~\\t\\\\\\\"\\x01\\x7f\\xff\\x1f\"\n");
    rig_close();
}
END_TEST

START_TEST(hex_shows_every_byte_alike) {
    open_rig();
    logged.format = DW_TRAFFIC_HEX;
    rig_connect(factory);
    lines[0] = '\0';
    struct iovec pieces[] = {{(void *)"PI", 2}, {(void *)"", 0}, {(void *)"\r\xff", 2}};
    dw_transport_writev(rig_transport(0), pieces, 3);
    expect_lines("1 > [4] 50 49 0d ff\n");
    rig_close();
}
END_TEST

START_TEST(sizes_show_no_bytes) {
    open_rig();
    logged.format = DW_TRAFFIC_SIZES;
    rig_connect(factory);
    lines[0] = '\0';
    dw_transport_write(rig_transport(0), "secret", 6);
    expect_lines("1 > [6]\n");
    rig_close();
}
END_TEST

START_TEST(no_more_than_the_limit_is_shown) {
    open_rig();
    logged.shown_max = 3;
    rig_connect(factory);
    lines[0] = '\0';
    dw_transport_write(rig_transport(0), "abc", 3);
    struct iovec pieces[] = {{(void *)"ab", 2}, {(void *)"cd", 2}, {(void *)"e", 1}};
    dw_transport_writev(rig_transport(0), pieces, 3);
    logged.format = DW_TRAFFIC_HEX;
    dw_transport_write(rig_transport(0), "abcd", 4);
    expect_lines("1 > [3] \"abc\"\n1 > [5] \"abc\"...\n1 > [4] 61 62 63...\n");
    rig_close();
}
END_TEST

START_TEST(the_limit_itself_has_one) {
    char bytes[DW_TRAFFIC_SHOWN_MAX + 1];
    memset(bytes, 0, sizeof(bytes)); /* four characters each */
    open_rig();
    logged.shown_max = SIZE_MAX;
    rig_connect(factory);
    lines[0] = '\0';
    dw_transport_write(rig_transport(0), bytes, DW_TRAFFIC_SHOWN_MAX);
    ck_assert_uint_eq(strlen(lines), strlen("1 > [1024] \"\"\n") + 4 * DW_TRAFFIC_SHOWN_MAX);
    lines[0] = '\0';
    dw_transport_write(rig_transport(0), bytes, sizeof(bytes));
    ck_assert_uint_eq(strlen(lines), strlen("1 > [1025] \"\"...\n") + 4 * DW_TRAFFIC_SHOWN_MAX);
    rig_close();
}
END_TEST

static void aware(dw_protocol *p) {
    rig_note("aware", rig_number(p), -1);
}

static dw_protocol_class aware_class;

static dw_protocol *aware_build(dw_factory *f, const dw_address *peer) {
    dw_protocol *p = rig_build(f, peer);
    aware_class = rig_app_class;
    aware_class.read_connection_lost = aware_class.write_connection_lost = aware;
    p->cls = &aware_class;
    return p;
}

START_TEST(half_closes_and_the_other_verbs_are_logged) {
    static const dw_factory_class aware_factory = {.name = "aware", .build_protocol = aware_build};
    open_rig();
    dw_factory_init(&app, &aware_factory);
    dw_transport *transport = connect_for_real();
    lines[0] = '\0';
    dw_transport_pause_producing(transport);
    dw_transport_resume_producing(transport);
    dw_transport_lose_write_connection(transport);
    rig_advance(0);
    dw_test_transport_half_close(rig);
    dw_transport_abort_connection(transport);
    rig_advance(0);
    expect_lines("1 > pause_producing\n1 > resume_producing\n1 > lose_write_connection\n"
                 "1 * end of stream sent\n1 < end of stream\n1 > abort_connection\n"
                 "1 * lost: connection was aborted by this side\n");
    rig_close();
}
END_TEST

START_TEST(a_fatal_error_of_the_application_is_logged) {
    open_rig();
    dw_transport *transport = connect_for_real();
    dw_reason reason = {DW_APP_ERROR, 0, "bad request"};
    lines[0] = '\0';
    dw_transport_fail(transport, &reason);
    rig_advance(0);
    char expected[400], text[160];
    dw_reason_format(&reason, text, sizeof(text));
    snprintf(expected, sizeof(expected), "1 > fail: %s\n1 * lost: %s\n", text, text);
    expect_lines(expected);
    rig_close();
}
END_TEST

static void write_in_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_transport_write(p->transport, "x", 1);
    dw_transport_writev(p->transport, NULL, 0);
    dw_transport_lose_connection(p->transport);
}

START_TEST(verbs_on_a_connection_that_ended_are_not_logged) {
    static dw_protocol_class writing;
    writing = rig_app_class;
    writing.connection_lost = write_in_lost;
    open_rig();
    connect_for_real();
    rig_apps[0]->cls = &writing;
    lines[0] = '\0';
    dw_test_transport_lose(rig, 0);
    expect_lines("1 * lost: connection was closed cleanly\n");
    rig_close();
}
END_TEST

START_TEST(a_file_gets_the_lines) {
    char *text = NULL;
    size_t size = 0;
    open_rig();
    logged.fn = NULL;
    logged.file = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(logged.file);
    connect_for_real();
    receive("hello");
    ck_assert_ptr_nonnull(strstr(text, "1 < [5] \"hello\"\n")); /* flushed already */
    rig_close();
    fclose(logged.file);
    free(text);
}
END_TEST

static void keep_last(void *user, const char *line) {
    snprintf(user, 600, "%s", line);
}

START_TEST(without_either_the_reactors_log_gets_them) {
    char last[600] = "";
    open_rig();
    logged.fn = NULL;
    dw_reactor_set_log(dw_test_transport_reactor(rig), keep_last, last);
    rig_connect(factory);
    ck_assert_str_eq(last, "1 * made none");
    rig_close();
}
END_TEST

START_TEST(logging_takes_no_memory) {
    open_rig();
    rig_connect(factory);
    dw_test_transport_fail_alloc(rig, 1, true);
    rig_receive(0, 200);
    dw_transport_write(rig_transport(0), "x", 1);
    rig_expect("build0 made0 data0:200 write0:1");
    rig_connect(factory);
    rig_expect("failed1");
    rig_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("traffic_log");
    TCase *tc = tcase_create("traffic_log");
    tcase_add_test(tc, a_conversation_reads_as_the_header_shows);
    tcase_add_test(tc, the_peer_is_named);
    tcase_add_test(tc, connections_are_numbered_from_one);
    tcase_add_test(tc, what_is_not_printable_is_escaped);
    tcase_add_test(tc, hex_shows_every_byte_alike);
    tcase_add_test(tc, sizes_show_no_bytes);
    tcase_add_test(tc, no_more_than_the_limit_is_shown);
    tcase_add_test(tc, the_limit_itself_has_one);
    tcase_add_test(tc, half_closes_and_the_other_verbs_are_logged);
    tcase_add_test(tc, a_fatal_error_of_the_application_is_logged);
    tcase_add_test(tc, verbs_on_a_connection_that_ended_are_not_logged);
    tcase_add_test(tc, a_file_gets_the_lines);
    tcase_add_test(tc, without_either_the_reactors_log_gets_them);
    tcase_add_test(tc, logging_takes_no_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
