/* SPDX-License-Identifier: MIT */
/*
 * The server through a client's eyes: every command and error, limits, time-outs, back-pressure,
 * and each allocation failing. Expected replies are Redis's (redis.io, "Commands"; the error lines
 * also by compare_with_redis.sh, against the real one).
 */
#include "kv_support.h"

#include <errno.h>
#include <stdio.h>

/* ---- Commands ---- */

START_TEST(strings_are_set_and_read) {
    bench b = bench_new(NULL);
    expect_reply(&b, "SET a 1\r\n", "+OK\r\n");
    expect_reply(&b, "GET a\r\n", "$1\r\n1\r\n");
    expect_reply(&b, "get none\r\n", "$-1\r\n");
    expect_reply(&b, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$4\r\n\r\n\r\n\r\n", "+OK\r\n");
    expect_reply(&b, "MGET a b none\r\n", "*3\r\n$1\r\n1\r\n$4\r\n\r\n\r\n\r\n$-1\r\n");
    expect_reply(&b, "MSET x 1 y 2 x 3\r\n", "+OK\r\n");
    expect_reply(&b, "MGET x y\r\n", "*2\r\n$1\r\n3\r\n$1\r\n2\r\n");
    expect_reply(&b, "APPEND a 23\r\n", ":3\r\n");
    expect_reply(&b, "APPEND new z\r\n", ":1\r\n");
    expect_reply(&b, "GET a\r\n", "$3\r\n123\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(set_obeys_its_options) {
    bench b = bench_new(NULL);
    expect_reply(&b, "SET a 1 XX\r\n", "$-1\r\n");
    expect_reply(&b, "SET a 1 NX\r\n", "+OK\r\n");
    expect_reply(&b, "SET a 2 nx\r\n", "$-1\r\n");
    expect_reply(&b, "SET a 3 XX EX 10\r\n", "+OK\r\n");
    expect_reply(&b, "TTL a\r\n", ":10\r\n");
    expect_reply(&b, "SET a 4 PX 1500 XX\r\n", "+OK\r\n");
    expect_reply(&b, "TTL a\r\n", ":2\r\n");
    dw_test_transport_advance(b.wire, DW_MSEC(1501));
    expect_reply(&b, "GET a\r\n", "$-1\r\n");
    expect_reply(&b, "SET a 1 NX XX\r\n", "-ERR syntax error\r\n");
    expect_reply(&b, "SET a 1 EX 1 PX 1\r\n", "-ERR syntax error\r\n");
    expect_reply(&b, "SET a 1 EX\r\n", "-ERR syntax error\r\n");
    expect_reply(&b, "SET a 1 what\r\n", "-ERR syntax error\r\n");
    expect_reply(&b, "SET a 1 EX x\r\n", "-ERR value is not an integer or out of range\r\n");
    expect_reply(&b, "SET a 1 EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n");
    expect_reply(&b, "SET a 1 PX -1\r\n", "-ERR invalid expire time in 'set' command\r\n");
    expect_reply(&b, "SET a 1 EX 9223372036854775807\r\n",
                 "-ERR invalid expire time in 'set' command\r\n");
    expect_reply(&b, "EXISTS a\r\n", ":0\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(numbers_are_counted_up_and_down) {
    bench b = bench_new(NULL);
    expect_reply(&b, "INCR n\r\n", ":1\r\n");
    expect_reply(&b, "INCRBY n 41\r\n", ":42\r\n");
    expect_reply(&b, "DECR n\r\n", ":41\r\n");
    expect_reply(&b, "INCRBY n -50\r\n", ":-9\r\n");
    expect_reply(&b, "GET n\r\n", "$2\r\n-9\r\n");
    expect_reply(&b, "INCRBY n x\r\n", "-ERR value is not an integer or out of range\r\n");
    expect_reply(&b, "SET s abc\r\n", "+OK\r\n");
    expect_reply(&b, "INCR s\r\n", "-ERR value is not an integer or out of range\r\n");
    expect_reply(&b, "SET n 9223372036854775807\r\n", "+OK\r\n");
    expect_reply(&b, "INCR n\r\n", "-ERR increment or decrement would overflow\r\n");
    expect_reply(&b, "INCRBY n -9223372036854775808\r\n", ":-1\r\n");
    expect_reply(&b, "INCRBY n -9223372036854775808\r\n",
                 "-ERR increment or decrement would overflow\r\n");
    expect_reply(&b, "GET n\r\n", "$2\r\n-1\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(keys_are_counted_listed_and_deleted) {
    bench b = bench_new(NULL);
    expect_reply(&b, "MSET b 1 a 2 c 3 aa 4\r\n", "+OK\r\n");
    expect_reply(&b, "DBSIZE\r\n", ":4\r\n");
    expect_reply(&b, "KEYS *\r\n", "*4\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nc\r\n$2\r\naa\r\n");
    expect_reply(&b, "KEYS a*\r\n", "*2\r\n$1\r\na\r\n$2\r\naa\r\n");
    expect_reply(&b, "KEYS z\r\n", "*0\r\n");
    expect_reply(&b, "EXISTS a a none b\r\n", ":3\r\n");
    expect_reply(&b, "DEL a a none b\r\n", ":2\r\n");
    expect_reply(&b, "KEYS *\r\n", "*2\r\n$1\r\nc\r\n$2\r\naa\r\n");
    expect_reply(&b, "FLUSHALL x\r\n", "-ERR syntax error\r\n");
    expect_reply(&b, "FLUSHALL async\r\n", "+OK\r\n");
    expect_reply(&b, "DBSIZE\r\n", ":0\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(keys_expire_and_persist) {
    bench b = bench_new(NULL);
    expect_reply(&b, "MSET a 1 b 2\r\n", "+OK\r\n");
    expect_reply(&b, "TTL none\r\n", ":-2\r\n");
    expect_reply(&b, "TTL a\r\n", ":-1\r\n");
    expect_reply(&b, "EXPIRE none 10\r\n", ":0\r\n");
    expect_reply(&b, "EXPIRE a 10\r\n", ":1\r\n");
    expect_reply(&b, "EXPIRE a 20 GT\r\n", ":1\r\n");
    expect_reply(&b, "EXPIRE a 30 LT\r\n", ":0\r\n");
    expect_reply(&b, "EXPIRE a 30 NX\r\n", ":0\r\n");
    expect_reply(&b, "EXPIRE b 30 XX\r\n", ":0\r\n");
    expect_reply(&b, "TTL a\r\n", ":20\r\n");
    expect_reply(&b, "PERSIST a\r\n", ":1\r\n");
    expect_reply(&b, "PERSIST a\r\n", ":0\r\n");
    expect_reply(&b, "EXPIRE a x\r\n", "-ERR value is not an integer or out of range\r\n");
    expect_reply(&b, "EXPIRE a 9223372036854775807\r\n",
                 "-ERR invalid expire time in 'expire' command\r\n");
    expect_reply(&b, "EXPIRE a 1 what\r\n", "-ERR Unsupported option what\r\n");
    expect_reply(&b, "EXPIRE a 1 NX XX\r\n",
                 "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
    expect_reply(&b, "EXPIRE a 1 GT LT\r\n",
                 "-ERR GT and LT options at the same time are not compatible\r\n");
    expect_reply(&b, "EXPIRE a -1\r\n", ":1\r\n");
    expect_reply(&b, "EXPIRE b 1\r\n", ":1\r\n");
    expect_reply(&b, "DBSIZE\r\n", ":1\r\n");
    dw_test_transport_advance(b.wire, DW_MSEC(1001));
    expect_reply(&b, "DBSIZE\r\n", ":0\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(connections_are_greeted_and_named) {
    bench b = bench_new(NULL);
    expect_reply(&b, "PING\r\n", "+PONG\r\n");
    expect_reply(&b, "PING hi\r\n", "$2\r\nhi\r\n");
    expect_reply(&b, "ECHO hi\r\n", "$2\r\nhi\r\n");
    expect_reply(&b, "SELECT 0\r\n", "+OK\r\n");
    expect_reply(&b, "SELECT 1\r\n", "-ERR DB index is out of range\r\n");
    expect_reply(&b, "SELECT x\r\n", "-ERR value is not an integer or out of range\r\n");
    expect_reply(&b, "CLIENT ID\r\n", ":1\r\n");
    expect_reply(&b, "CLIENT GETNAME\r\n", "$-1\r\n");
    expect_reply(&b, "CLIENT SETNAME me\r\n", "+OK\r\n");
    expect_reply(&b, "CLIENT GETNAME\r\n", "$2\r\nme\r\n");
    expect_reply(&b, "CLIENT SETNAME \"m e\"\r\n",
                 "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    expect_reply(&b, "CLIENT SETNAME \"\"\r\n", "+OK\r\n");
    expect_reply(&b, "CLIENT GETNAME\r\n", "$-1\r\n");
    expect_reply(&b, "CLIENT SETINFO lib-name x\r\n", "+OK\r\n");
    expect_reply(&b, "CLIENT SETINFO other x\r\n", "-ERR Unrecognized option 'other'\r\n");
    expect_reply(&b, "CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    expect_reply(&b, "CONFIG GET app* none\r\n", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(commands_are_described) {
    bench b = bench_new(NULL);
    size_t count = 0;
    for (size_t i = 0; kv_command_at(i) != NULL; i++) {
        count += strchr(kv_command_at(i)->name, '|') == NULL ? 1 : 0;
    }
    char expected[64];
    snprintf(expected, sizeof(expected), ":%zu\r\n", count);
    expect_reply(&b, "COMMAND COUNT\r\n", expected);
    snprintf(expected, sizeof(expected), "*%zu\r\n", count);
    ck_assert(strncmp(bench_ask(&b, "COMMAND\r\n"), expected, strlen(expected)) == 0);
    ck_assert(strncmp(bench_ask(&b, "COMMAND LIST\r\n"), expected, strlen(expected)) == 0);
    snprintf(expected, sizeof(expected), "*%zu\r\n", count * 2);
    ck_assert(strncmp(bench_ask(&b, "COMMAND DOCS\r\n"), expected, strlen(expected)) == 0);
    expect_reply(&b, "COMMAND INFO get none\r\n",
                 "*2\r\n*6\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
                 "*-1\r\n");
    ck_assert(
        strncmp(bench_ask(&b, "COMMAND DOCS get none\r\n"), "*2\r\n$3\r\nget\r\n*6\r\n", 17) == 0);
    ck_assert(strncmp(bench_ask(&b, "CLIENT HELP\r\n"), "*5\r\n+id: ", 9) == 0);
    bench_free(&b);
}
END_TEST

START_TEST(errors_are_in_redis_words) {
    bench b = bench_new(NULL);
    expect_reply(&b, "foo\r\n", "-ERR unknown command 'foo', with args beginning with: \r\n");
    expect_reply(&b, "foo a \"b\\r\\nc\"\r\n",
                 "-ERR unknown command 'foo', with args beginning with: 'a' 'b  c' \r\n");
    expect_reply(&b, "client|id\r\n",
                 "-ERR unknown command 'client|id', with args beginning with: \r\n");
    expect_reply(&b, "GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n");
    expect_reply(&b, "SET a\r\n", "-ERR wrong number of arguments for 'set' command\r\n");
    expect_reply(&b, "MSET a 1 b\r\n", "-ERR wrong number of arguments for 'mset' command\r\n");
    expect_reply(&b, "PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n");
    expect_reply(&b, "CLIENT\r\n", "-ERR wrong number of arguments for 'client' command\r\n");
    expect_reply(&b, "CLIENT ID x\r\n",
                 "-ERR wrong number of arguments for 'client|id' command\r\n");
    expect_reply(&b, "client foo\r\n", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n");
    bench_free(&b);
}
END_TEST

/* ---- The connection ---- */

START_TEST(a_pipeline_is_answered_in_order_and_in_one_write) {
    bench b = bench_new(NULL);
    expect_reply(&b, "SET a 1\r\nINCR a\r\n\r\nGET a\r\nfoo\r\nPING\r\n",
                 "+OK\r\n:2\r\n$1\r\n2\r\n"
                 "-ERR unknown command 'foo', with args beginning with: \r\n+PONG\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(quit_answers_and_closes) {
    bench b = bench_new(NULL);
    expect_reply(&b, "PING\r\nQUIT\r\nPING\r\n", "+PONG\r\n+OK\r\n");
    ck_assert(!dw_test_transport_connected(b.wire));
    ck_assert_int_eq(dw_test_transport_reason(b.wire), DW_CONNECTION_DONE);
    bench_free(&b);
}
END_TEST

START_TEST(a_protocol_error_is_told_and_closes) {
    bench b = bench_new(NULL);
    expect_reply(&b, "PING\r\n*1\r\nx\r\nPING\r\n",
                 "+PONG\r\n-ERR Protocol error: expected '$', got 'x'\r\n");
    ck_assert(!dw_test_transport_connected(b.wire));
    bench_free(&b);
}
END_TEST

START_TEST(a_half_closed_client_gets_its_replies) {
    bench b = bench_new(NULL);
    dw_test_transport_set_room(b.wire, 3);
    bench_ask(&b, "ECHO 0123456789\r\nPIN");
    dw_test_transport_half_close(b.wire);
    ck_assert(dw_test_transport_connected(b.wire));
    dw_test_transport_set_room(b.wire, SIZE_MAX);
    ck_assert_str_eq(dw_test_transport_written(b.wire, NULL), "$10\r\n0123456789\r\n");
    ck_assert_int_eq(dw_test_transport_reason(b.wire), DW_CONNECTION_DONE);
    bench_free(&b);
}
END_TEST

START_TEST(an_idle_client_is_let_go) {
    bench b = bench_new(&(kv_server_options){.idle = DW_SEC(30)});
    dw_test_transport_advance(b.wire, DW_SEC(29));
    expect_reply(&b, "PING\r\n", "+PONG\r\n");
    dw_test_transport_advance(b.wire, DW_MSEC(29999));
    ck_assert(dw_test_transport_connected(b.wire));
    dw_test_transport_advance(b.wire, DW_MSEC(1));
    ck_assert(!dw_test_transport_connected(b.wire));
    ck_assert_int_eq(dw_test_transport_reason(b.wire), DW_CONNECTION_DONE);
    bench_free(&b);
}
END_TEST

START_TEST(without_an_idle_time_a_client_may_stay) {
    bench b = bench_new(&(kv_server_options){.idle = -1});
    dw_test_transport_advance(b.wire, DW_HOUR(24));
    expect_reply(&b, "PING\r\n", "+PONG\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(a_client_that_does_not_read_its_last_reply_is_cut_off) {
    bench b = bench_new(&(kv_server_options){.linger = DW_SEC(10)});
    dw_test_transport_set_room(b.wire, 2);
    bench_ask(&b, "QUIT\r\n");
    dw_test_transport_advance(b.wire, DW_MSEC(9999));
    ck_assert(dw_test_transport_connected(b.wire));
    dw_test_transport_advance(b.wire, DW_MSEC(1));
    ck_assert(!dw_test_transport_connected(b.wire));
    ck_assert(dw_test_transport_sent_reset(b.wire));
    bench_free(&b);
}
END_TEST

START_TEST(more_clients_than_allowed_are_refused) {
    bench b = bench_new(&(kv_server_options){.clients_max = 1});
    dw_factory *factory = kv_server_factory(b.server);
    dw_address nobody = {0};
    ck_assert_ptr_null(factory->cls->build_protocol(factory, &nobody));
    ck_assert_uint_eq(kv_server_get_stats(b.server).clients, 1);
    bench_free(&b);
}
END_TEST

/* ---- Back-pressure ---- */

#define MARK 1000

static void set_big_value(bench *b, size_t len) {
    char *request = malloc(len + 64);
    int header = snprintf(request, 64, "*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%zu\r\n", len);
    memset(request + header, 'x', len);
    memcpy(request + (size_t)header + len, "\r\n", 3);
    ck_assert_str_eq(bench_ask(b, request), "+OK\r\n");
    free(request);
    dw_test_transport_clear(b->wire);
}

START_TEST(a_client_that_does_not_read_is_not_read_from) {
    bench b = bench_new(&(kv_server_options){.unsent_mark = MARK});
    set_big_value(&b, 400);
    dw_test_transport_set_room(b.wire, 0);
    for (int i = 0; i < 100; i++) {
        dw_test_transport_receive(b.wire, "GET v\r\n", 7);
    }
    ck_assert(dw_test_transport_paused(b.wire));
    ck_assert_uint_le(dw_transport_buffered(b.session->transport), MARK + 500);
    dw_test_transport_set_room(b.wire, SIZE_MAX);
    size_t len;
    dw_test_transport_written(b.wire, &len);
    ck_assert_uint_eq(len, 100 * (sizeof("$400\r\n") - 1 + 400 + 2));
    ck_assert(!dw_test_transport_paused(b.wire));
    expect_reply(&b, "PING\r\n", "+PONG\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(a_pipeline_waits_while_its_replies_do) {
    bench b = bench_new(&(kv_server_options){.unsent_mark = MARK});
    set_big_value(&b, 400);
    char pipeline[100 * 7 + 1] = "";
    for (int i = 0; i < 100; i++) {
        memcpy(pipeline + i * 7, "GET v\r\n", 8);
    }
    dw_test_transport_set_room(b.wire, 0);
    bench_ask(&b, pipeline);
    ck_assert_uint_le(kv_server_get_stats(b.server).unsent_top, MARK + 500);
    size_t len = 0, steps = 0;
    for (size_t room = 100; len < 100 * 408; room += 100) {
        dw_test_transport_set_room(b.wire, room);
        dw_test_transport_written(b.wire, &len);
        ck_assert_uint_lt(++steps, 2000);
    }
    ck_assert_uint_eq(len, 100 * 408);
    ck_assert_uint_le(kv_server_get_stats(b.server).unsent_top, 2 * MARK + 500);
    ck_assert_uint_gt(kv_server_get_stats(b.server).throttled, 1);
    bench_free(&b);
}
END_TEST

START_TEST(a_reply_over_the_limit_ends_the_connection) {
    bench b = bench_new(&(kv_server_options){.unsent_max = 2000});
    set_big_value(&b, 900);
    bench_ask(&b, "MGET v v v\r\n");
    ck_assert(!dw_test_transport_connected(b.wire));
    ck_assert_int_eq(dw_test_transport_reason(b.wire), DW_APP_ERROR);
    ck_assert_uint_eq(kv_server_get_stats(b.server).cut_off, 1);
    b.session = dw_test_transport_build(b.wire, kv_server_factory(b.server));
    ck_assert_str_eq(bench_ask(&b, "EXISTS v\r\n"), ":1\r\n");
    bench_free(&b);
}
END_TEST

START_TEST(garbage_never_takes_more_memory_than_allowed) {
    kv_server_options options = {.limits = {.request_max = 10000, .args_max = 100}};
    uint64_t state = 1;
    for (int run = 0; run < 50; run++) {
        bench b = bench_new(&options);
        for (int i = 0; i < 200 && dw_test_transport_connected(b.wire); i++) {
            static const char letters[] = "*$\r\n\r\n0123459\"' aSETGx";
            char noise[300];
            for (size_t k = 0; k < sizeof(noise); k++) {
                state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
                noise[k] = letters[(state >> 33) % (sizeof(letters) - 1)];
            }
            noise[0] = i == 0 ? '*' : noise[0];
            dw_test_transport_receive(b.wire, noise, sizeof(noise));
            ck_assert_uint_lt(kv_server_get_stats(b.server).buffers, 200000);
        }
        bench_free(&b);
    }
}
END_TEST

/* ---- Cuts ---- */

static const char conversation[] =
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n"
    "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\nMSET x 1 y '2 3'\r\n*3\r\n$4\r\nMGET\r\n$1\r\nx\r\n$1\r\ny\r\n"
    "*0\r\nfoo bar\r\n*1\r\n$4\r\nKEYS\r\nAPPEND a \"\\x21\"\r\nGET a\r\nDEL a x\r\nKEYS "
    "*\r\nQUIT\r\n";

#define CONVERSATION_REPLIES                                                            \
    "+OK\r\n$5\r\nhello\r\n+PONG\r\n:1\r\n+OK\r\n*2\r\n$1\r\n1\r\n$3\r\n2 3\r\n"        \
    "-ERR unknown command 'foo', with args beginning with: 'bar' \r\n"                  \
    "-ERR wrong number of arguments for 'keys' command\r\n:6\r\n$6\r\nhello!\r\n:2\r\n" \
    "*2\r\n$1\r\nn\r\n$1\r\ny\r\n+OK\r\n"

START_TEST(every_cut_gives_the_same_replies) {
    size_t len = sizeof(conversation) - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        bench b = bench_new(NULL);
        dw_test_transport_receive(b.wire, conversation, cut);
        dw_test_transport_receive(b.wire, conversation + cut, len - cut);
        ck_assert_str_eq(dw_test_transport_written(b.wire, NULL), CONVERSATION_REPLIES);
        bench_free(&b);
    }
}
END_TEST

START_TEST(every_size_of_pieces_gives_the_same_replies) {
    for (size_t piece = 1; piece < 40; piece++) {
        bench b = bench_new(NULL);
        dw_test_transport_receive_cut(b.wire, conversation, sizeof(conversation) - 1, piece);
        ck_assert_str_eq(dw_test_transport_written(b.wire, NULL), CONVERSATION_REPLIES);
        bench_free(&b);
    }
}
END_TEST

/* ---- No memory ---- */

/* A conversation in pieces, so that everything that can allocate does. */
static const char hungry[] =
    "SET a 1\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$40\r\n0123456789012345678901234567890123456789\r\n"
    "SET e 1 EX 100\r\nEXPIRE a 100\r\nINCR n\r\nAPPEND a 23456789012345678901234567890\r\n"
    "MSET x 1 y 2 b 3\r\nCLIENT SETNAME me\r\nKEYS *\r\nMGET a b c d e f g h i j k l m n o p\r\n"
    "DEL a\r\nPING\r\n";

/* Whether what is there is whole: all of MSET or nothing of it, a value before or after a change.
 */
static void check_store_whole(kv_server *server) {
    kv_store *store = kv_server_store(server);
    const kv_entry *x = kv_store_find(store, kv_text("x"));
    const kv_entry *y = kv_store_find(store, kv_text("y"));
    ck_assert((x != NULL) == (y != NULL));
    const kv_entry *b = kv_store_find(store, kv_text("b"));
    ck_assert(b == NULL || b->value_len == 40 || (x != NULL && b->value_len == 1));
    const kv_entry *a = kv_store_find(store, kv_text("a"));
    ck_assert(a == NULL || a->value_len == 1 || a->value_len == 30);
    size_t count = 0;
    for (const kv_entry *e = NULL; (e = kv_store_next(store, e)) != NULL;) {
        ck_assert_ptr_eq(kv_store_find(store, kv_entry_key(e)), e);
        count++;
    }
    ck_assert_uint_eq(count, kv_store_count(store));
}

/* Every line of it is a calm one, or says that there is no memory, or follows from that. */
static bool run_hungry(unsigned n, bool and_after, char *out, size_t size) {
    dw_test_transport *wire = dw_test_transport_new();
    dw_test_transport_fail_alloc(wire, n, and_after);
    kv_server *server = kv_server_new(dw_test_transport_reactor(wire), NULL);
    bool served = false;
    out[0] = '\0';
    if (server != NULL) {
        dw_test_transport_build(wire, kv_server_factory(server));
        dw_test_transport_receive_cut(wire, hungry, sizeof(hungry) - 1, 7);
        snprintf(out, size, "%s", dw_test_transport_written(wire, NULL));
        served = dw_test_transport_connected(wire);
        dw_test_transport_fail_alloc(wire, 0, false);
        check_store_whole(server);
        if (dw_test_transport_connected(wire)) {
            dw_test_transport_lose(wire, ECONNRESET);
        }
        kv_server_free(server);
    }
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
    dw_test_transport_free(wire);
    return served;
}

static void fail_each_allocation(bool and_after) {
    char calm[2048], got[2048];
    ck_assert(run_hungry(0, false, calm, sizeof(calm)));
    ck_assert_ptr_nonnull(strstr(calm, "+PONG\r\n"));
    ck_assert_ptr_null(strstr(calm, "OOM"));
    unsigned refused = 0, ended = 0, as_ever = 0;
    for (unsigned n = 1; as_ever < 30; n++) {
        ck_assert_uint_lt(n, 500);
        bool served = run_hungry(n, and_after, got, sizeof(got));
        bool same = served && strcmp(got, calm) == 0;
        refused +=
            strstr(got, "-OOM command not allowed when used memory > 'maxmemory'.\r\n") != NULL;
        ended += served ? 0 : 1;
        as_ever = same ? as_ever + 1 : 0;
    }
    ck_assert_uint_gt(refused, 5);
    ck_assert_uint_gt(ended, 2);
}

START_TEST(each_allocation_may_fail) {
    fail_each_allocation(false);
}
END_TEST

START_TEST(each_allocation_and_all_after_it_may_fail) {
    fail_each_allocation(true);
}
END_TEST

START_TEST(a_full_store_refuses_writes_and_serves_reads) {
    bench b = bench_new(&(kv_server_options){.memory_max = 3000});
    char request[64];
    for (int i = 0; i < 100; i++) {
        snprintf(request, sizeof(request), "SET key:%d 0123456789\r\n", i);
        bench_ask(&b, request);
    }
    const char *oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    ck_assert_str_eq(dw_test_transport_written(b.wire, NULL), oom);
    expect_reply(&b, "GET key:0\r\n", "$10\r\n0123456789\r\n");
    expect_reply(&b, "MSET a 1 b 2\r\n", oom);
    expect_reply(&b, "INCR c\r\n", oom);
    memset(request, 'x', sizeof(request));
    memcpy(request, "APPEND key:0 ", 13);
    memcpy(request + sizeof(request) - 3, "\r\n", 3);
    for (int i = 0; strcmp(bench_ask(&b, request), oom) != 0; i++) {
        ck_assert_int_lt(i, 10);
        ck_assert_uint_le(kv_server_get_stats(b.server).store, 3000);
    }
    expect_reply(&b, "DEL key:0 key:1\r\n", ":2\r\n");
    expect_reply(&b, "SET again 1\r\n", "+OK\r\n");
    ck_assert_uint_le(kv_server_get_stats(b.server).store, 3000);
    bench_free(&b);
}
END_TEST

static void add_command_tests(TCase *tc) {
    tcase_add_test(tc, strings_are_set_and_read);
    tcase_add_test(tc, set_obeys_its_options);
    tcase_add_test(tc, numbers_are_counted_up_and_down);
    tcase_add_test(tc, keys_are_counted_listed_and_deleted);
    tcase_add_test(tc, keys_expire_and_persist);
    tcase_add_test(tc, connections_are_greeted_and_named);
    tcase_add_test(tc, commands_are_described);
    tcase_add_test(tc, errors_are_in_redis_words);
}

static void add_connection_tests(TCase *tc) {
    tcase_add_test(tc, a_pipeline_is_answered_in_order_and_in_one_write);
    tcase_add_test(tc, quit_answers_and_closes);
    tcase_add_test(tc, a_protocol_error_is_told_and_closes);
    tcase_add_test(tc, a_half_closed_client_gets_its_replies);
    tcase_add_test(tc, an_idle_client_is_let_go);
    tcase_add_test(tc, without_an_idle_time_a_client_may_stay);
    tcase_add_test(tc, a_client_that_does_not_read_its_last_reply_is_cut_off);
    tcase_add_test(tc, more_clients_than_allowed_are_refused);
    tcase_add_test(tc, a_client_that_does_not_read_is_not_read_from);
    tcase_add_test(tc, a_pipeline_waits_while_its_replies_do);
    tcase_add_test(tc, a_reply_over_the_limit_ends_the_connection);
    tcase_add_test(tc, garbage_never_takes_more_memory_than_allowed);
    tcase_add_test(tc, every_cut_gives_the_same_replies);
    tcase_add_test(tc, every_size_of_pieces_gives_the_same_replies);
    tcase_add_test(tc, each_allocation_may_fail);
    tcase_add_test(tc, each_allocation_and_all_after_it_may_fail);
    tcase_add_test(tc, a_full_store_refuses_writes_and_serves_reads);
}

int main(void) {
    Suite *suite = suite_create("kv_server");
    TCase *commands = tcase_create("commands");
    add_command_tests(commands);
    suite_add_tcase(suite, commands);
    TCase *connections = tcase_create("connections");
    tcase_set_timeout(connections, 60);
    add_connection_tests(connections);
    suite_add_tcase(suite, connections);
    return run_suite(suite);
}
