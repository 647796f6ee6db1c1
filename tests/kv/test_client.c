/* SPDX-License-Identifier: MIT */
/*
 * The client: each request gets one outcome, in order, whatever becomes of the connection. The
 * test transport plays the server; how the client connects again is tried in kv_scenarios.c.
 */
#include "client.h"
#include "kv_support.h"

#include <errno.h>
#include <stdio.h>

static dw_test_transport *wire;
static kv_client *client;
static char outcomes[1024]; /* "1=+OK 2=unknown " */

static void note(void *user, kv_outcome outcome, const kv_reply *reply) {
    size_t at = strlen(outcomes), room = sizeof(outcomes) - at;
    const char *name = user;
    if (outcome != KV_ANSWERED) {
        ck_assert_ptr_null(reply);
        snprintf(outcomes + at, room, "%s=%s ", name, outcome == KV_FAILED ? "failed" : "unknown");
    } else if (reply->type == ':') {
        snprintf(outcomes + at, room, "%s=:%lld ", name, (long long)reply->integer);
    } else {
        snprintf(outcomes + at, room, "%s=%c%.*s ", name, reply->type, (int)reply->text.len,
                 (const char *)reply->text.data);
    }
}

static int ask(const char *name, const char *command, const char *key, const char *value) {
    const char *const words[] = {command, key, value, NULL};
    return kv_client_ask_words(client, words, note, (void *)(uintptr_t)name);
}

static void connect_client(void) {
    dw_test_transport_build(wire, &kv_client_factory(client)->base);
    ck_assert(kv_client_is_connected(client));
}

static void setup(void) {
    outcomes[0] = '\0';
    wire = dw_test_transport_new();
    kv_client_options options = {.timeout = DW_SEC(5), .waiting_max = 4, .sends_max = 2};
    client = kv_client_new(dw_test_transport_reactor(wire), &options);
    ck_assert_ptr_nonnull(client);
}

static void teardown(void) {
    kv_client_close(client);
    dw_test_transport_advance(wire, DW_SEC(1));
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
    dw_test_transport_free(wire);
}

static void receive(const char *text) {
    dw_test_transport_receive(wire, text, strlen(text));
}

static const char *written(void) {
    return dw_test_transport_written(wire, NULL);
}

#define GET_A  "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define INCR_A "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
#define SET_A  "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n12\r\n"

START_TEST(requests_are_pipelined_and_answered_in_order) {
    connect_client();
    ask("1", "SET", "a", "12");
    ask("2", "INCR", "a", NULL);
    dw_test_transport_advance(wire, 0);
    ck_assert_str_eq(written(), SET_A INCR_A);
    receive("+OK\r\n:1");
    ck_assert_str_eq(outcomes, "1=+OK ");
    receive("3\r\n");
    ck_assert_str_eq(outcomes, "1=+OK 2=:13 ");
    ck_assert_uint_eq(kv_client_get_stats(client).waiting, 0);
}
END_TEST

START_TEST(requests_wait_for_a_connection) {
    ask("1", "GET", "a", NULL);
    dw_test_transport_advance(wire, DW_SEC(4));
    connect_client();
    ck_assert_str_eq(written(), GET_A);
    receive("$-1\r\n");
    ck_assert_str_eq(outcomes, "1=$ ");
}
END_TEST

START_TEST(error_replies_are_replies) {
    connect_client();
    ask("1", "INCR", "a", NULL);
    receive("-ERR no\r\n");
    ck_assert_str_eq(outcomes, "1=-ERR no ");
}
END_TEST

START_TEST(what_may_run_twice_is_sent_again_in_order) {
    connect_client();
    ask("1", "SET", "a", "12");
    ask("2", "GET", "a", NULL);
    dw_test_transport_lose(wire, ECONNRESET);
    ck_assert_str_eq(outcomes, "");
    ask("3", "INCR", "a", NULL);
    dw_test_transport_clear(wire);
    connect_client();
    ck_assert_str_eq(written(), SET_A GET_A INCR_A);
    receive("+OK\r\n$2\r\n12\r\n:13\r\n");
    ck_assert_str_eq(outcomes, "1=+OK 2=$12 3=:13 ");
    ck_assert_uint_eq(kv_client_get_stats(client).resent, 2);
}
END_TEST

START_TEST(what_may_not_run_twice_has_an_unknown_outcome) {
    connect_client();
    ask("1", "INCR", "a", NULL);
    ask("2", "GET", "a", NULL);
    dw_test_transport_lose(wire, 0);
    ck_assert_str_eq(outcomes, "1=unknown ");
    dw_test_transport_clear(wire);
    connect_client();
    ck_assert_str_eq(written(), GET_A);
}
END_TEST

START_TEST(a_conditional_set_may_not_run_twice) {
    const char *const words[] = {"SET", "a", "1", "NX", NULL};
    connect_client();
    kv_client_ask_words(client, words, note, (void *)(uintptr_t) "1");
    dw_test_transport_lose(wire, ECONNRESET);
    ck_assert_str_eq(outcomes, "1=unknown ");
}
END_TEST

START_TEST(a_request_is_not_sent_for_ever) {
    connect_client();
    ask("1", "GET", "a", NULL);
    dw_test_transport_lose(wire, ECONNRESET);
    connect_client();
    ck_assert_str_eq(outcomes, "");
    dw_test_transport_lose(wire, ECONNRESET);
    ck_assert_str_eq(outcomes, "1=unknown "); /* sends_max is 2 */
}
END_TEST

START_TEST(a_late_reply_costs_the_connection) {
    connect_client();
    ask("1", "INCR", "a", NULL);
    dw_test_transport_advance(wire, DW_SEC(3));
    ask("2", "GET", "a", NULL);
    dw_test_transport_advance(wire, DW_MSEC(1999));
    ck_assert_str_eq(outcomes, "");
    dw_test_transport_advance(wire, DW_MSEC(1));
    ck_assert_str_eq(outcomes, "1=unknown ");
    ck_assert(!dw_test_transport_connected(wire));
    ck_assert(dw_test_transport_sent_reset(wire));
    connect_client();
    receive("$1\r\nx\r\n");
    ck_assert_str_eq(outcomes, "1=unknown 2=$x ");
}
END_TEST

START_TEST(a_request_that_was_never_sent_has_failed) {
    ask("1", "INCR", "a", NULL);
    dw_test_transport_advance(wire, DW_SEC(5));
    ck_assert_str_eq(outcomes, "1=failed ");
}
END_TEST

START_TEST(a_reply_to_nothing_costs_the_connection) {
    connect_client();
    receive("+OK\r\n");
    ck_assert(!dw_test_transport_connected(wire));
}
END_TEST

START_TEST(a_reply_that_makes_no_sense_costs_the_connection) {
    connect_client();
    ask("1", "INCR", "a", NULL);
    receive("what\r\n");
    ck_assert(!dw_test_transport_connected(wire));
    ck_assert_str_eq(outcomes, "1=unknown ");
}
END_TEST

START_TEST(a_new_connection_knows_nothing_of_an_old_reply) {
    connect_client();
    ask("1", "GET", "a", NULL);
    receive("$5\r\nhel");
    dw_test_transport_lose(wire, ECONNRESET);
    connect_client();
    receive("$2\r\nab\r\n");
    ck_assert_str_eq(outcomes, "1=$ab ");
}
END_TEST

START_TEST(the_queue_has_a_limit) {
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(ask("x", "GET", "a", NULL), 0);
    }
    ck_assert_int_eq(ask("y", "GET", "a", NULL), KV_CLIENT_FULL);
}
END_TEST

START_TEST(closing_gives_each_request_its_outcome) {
    ask("1", "GET", "a", NULL);
    connect_client();
    ask("2", "SET", "a", "12");
    kv_client_close(client);
    ck_assert_int_eq(ask("3", "GET", "a", NULL), KV_CLIENT_CLOSED);
    dw_test_transport_advance(wire, 0);
    ck_assert_str_eq(outcomes, "1=unknown 2=unknown ");
    ck_assert(!dw_test_transport_connected(wire));
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
    client = NULL;
}
END_TEST

static void close_and_ask(void *user, kv_outcome outcome, const kv_reply *reply) {
    note(user, outcome, reply);
    if (client != NULL && outcome == KV_ANSWERED) {
        ask("again", "GET", "a", NULL);
        kv_client_close(client);
        client = NULL;
    }
}

START_TEST(the_client_may_be_closed_inside_an_answer) {
    const char *const get[] = {"GET", "a", NULL};
    connect_client();
    kv_client_ask_words(client, get, close_and_ask, (void *)(uintptr_t) "1");
    kv_client_ask_words(client, get, close_and_ask, (void *)(uintptr_t) "2");
    receive("$1\r\nx\r\n$1\r\ny\r\n");
    ck_assert_str_eq(outcomes, "1=$x 2=unknown again=unknown ");
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
}
END_TEST

START_TEST(without_memory_nothing_is_asked) {
    connect_client();
    dw_test_transport_fail_alloc(wire, 1, true);
    ck_assert_int_eq(ask("1", "GET", "a", NULL), DW_NO_MEMORY);
    dw_test_transport_fail_alloc(wire, 0, false);
    ck_assert_int_eq(ask("2", "GET", "a", NULL), 0);
    receive("$1\r\nx\r\n");
    ck_assert_str_eq(outcomes, "2=$x ");
}
END_TEST

/* The whole story once for each allocation that fails: no request may get no outcome, or two. */
START_TEST(each_allocation_may_fail) {
    teardown();
    for (unsigned n = 1; n < 40; n++) {
        setup();
        dw_test_transport_fail_alloc(wire, n, false);
        unsigned asked = 0, settled = 0;
        dw_test_transport_build(wire, &kv_client_factory(client)->base);
        asked += ask("x", "SET", "a", "12") == 0 ? 1 : 0;
        asked += ask("x", "INCR", "a", NULL) == 0 ? 1 : 0;
        dw_test_transport_receive_cut(wire, "+OK\r\n*3\r\n:1\r\n:2\r\n$1\r\nx\r\n", 24, 3);
        dw_test_transport_advance(wire, DW_SEC(6));
        dw_test_transport_fail_alloc(wire, 0, false);
        for (const char *c = outcomes; *c != '\0'; c++) {
            settled += *c == '=' ? 1 : 0;
        }
        ck_assert_uint_eq(settled, asked);
        teardown();
    }
    setup();
}
END_TEST

static void add_tests(TCase *tc) {
    tcase_add_test(tc, requests_are_pipelined_and_answered_in_order);
    tcase_add_test(tc, requests_wait_for_a_connection);
    tcase_add_test(tc, error_replies_are_replies);
    tcase_add_test(tc, what_may_run_twice_is_sent_again_in_order);
    tcase_add_test(tc, what_may_not_run_twice_has_an_unknown_outcome);
    tcase_add_test(tc, a_conditional_set_may_not_run_twice);
    tcase_add_test(tc, a_request_is_not_sent_for_ever);
    tcase_add_test(tc, a_late_reply_costs_the_connection);
    tcase_add_test(tc, a_request_that_was_never_sent_has_failed);
    tcase_add_test(tc, a_reply_to_nothing_costs_the_connection);
    tcase_add_test(tc, a_reply_that_makes_no_sense_costs_the_connection);
    tcase_add_test(tc, a_new_connection_knows_nothing_of_an_old_reply);
    tcase_add_test(tc, the_queue_has_a_limit);
    tcase_add_test(tc, closing_gives_each_request_its_outcome);
    tcase_add_test(tc, the_client_may_be_closed_inside_an_answer);
    tcase_add_test(tc, without_memory_nothing_is_asked);
    tcase_add_test(tc, each_allocation_may_fail);
}

int main(void) {
    Suite *suite = suite_create("kv_client");
    TCase *tc = tcase_create("client");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_tests(tc);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
