/* SPDX-License-Identifier: MIT */
/*
 * `close`: somebody in between ends a connection in good order, both ways. Each end sees a FIN
 * behind what had passed him; what comes later meets somebody who knows of no connection (RFC 9293,
 * section 3.10.7.1).
 */
#include "sim_support.h"

static pair p;

static void say(void *user) {
    side_write(user, "two");
}

/* The echo of "one" is under way when "two" meets its end: first that, then the end. */
LIST_TEST(the_end_comes_behind_what_is_under_way, {"client:1>server:80", "close", 2, 1}) {
    pair_connect(&p, w);
    p.server.echo = true;
    dw_world_set_latency(w, p.client_host, p.server_host, DW_MSEC(50));
    dw_time start = dw_world_now(w);
    side_write(&p.client, "one");
    dw_world_after(w, DW_MSEC(10), say, &p.client);
    dw_world_run(w, DW_MIN(1));
    ck_assert(side_has(&p.server, "one"));
    ck_assert(side_has(&p.client, "one"));
    ck_assert_int_eq(p.client.data_at, start + DW_MSEC(100));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.server.lost_at, start + DW_MSEC(60));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.lost_at, start + DW_MSEC(110));
    ck_assert(dw_world_run_until_idle(w, DW_MSEC(50)));
}

/* Two deviations: a reply that takes long, and the end of the connection meanwhile. */
LIST_TEST(the_end_comes_behind_a_late_reply, {"link server>client", "latency", 2, DW_MSEC(100)},
          {"client:1>server:80", "close", 2, 1}) {
    pair_connect(&p, w);
    p.server.echo = true;
    dw_time start = dw_world_now(w);
    side_write(&p.client, "one");
    dw_world_after(w, DW_MSEC(10), say, &p.client);
    dw_world_run(w, DW_MIN(1));
    ck_assert(side_has(&p.client, "one"));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.lost_at, start + DW_MSEC(102));
}

/* The sender's own FIN ends where its data did. */
LIST_TEST(who_had_closed_is_told, {"client:1>server:80", "close", 1, 1}) {
    pair_connect(&p, w);
    side_write(&p.client, "last words");
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 0);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert(dw_world_run_until_idle(w, 0));
}

static void from_port_9000(side *s) {
    ck_assert_int_eq(dw_reactor_connect_tcp(s->reactor, "10.0.0.1", 80, &s->factory, -1,
                                            &(dw_address){.kind = DW_ADDRESS_IPV4, .port = 9000},
                                            NULL),
                     0);
}

/* Both ends were told first, so neither has the TIME_WAIT (RFC 9293, section 3.6.1). */
LIST_TEST(nobody_waits_with_the_port, {"client:1>server:80", "close", 1, 1}) {
    pair_hosts(&p, w);
    from_port_9000(&p.client);
    dw_world_run(w, DW_MSEC(3));
    side_write(&p.client, "hello");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.lost, 1);
    from_port_9000(&p.client);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 2);
    ck_assert_uint_eq(p.server.made, 2);
}

static void half_closers(dw_world *w) {
    pair_hosts(&p, w);
    p.server.aware = p.client.aware = true;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
}

/* The first write meets nobody and is answered by RST; the second one tells (vectors:
 * tcp-pause-close-noticed-by-write). */
static void expect_nobody(dw_world *w, side *s) {
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(s->lost, 0);
        side_write(s, "anybody there?");
        dw_world_run(w, DW_SEC(1));
    }
    ck_assert_int_eq(s->reason, DW_CONNECTION_LOST);
}

LIST_TEST(what_is_said_later_is_reset, {"client:1>server:80", "close", 1, 1}) {
    half_closers(w);
    side_write(&p.client, "hello");
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(p.server.read_lost, 1);
    ck_assert_uint_eq(p.client.read_lost, 1);
    expect_nobody(w, &p.server);
    expect_nobody(w, &p.client);
    ck_assert_uint_eq(p.client.received + p.server.received, 0);
}

/* What had no room in the window does not wait for ever for somebody to read. */
LIST_TEST(what_was_blocked_is_reset, {"client:1>server:80", "close", 1, 1}) {
    dw_world_set_buffers(w, 65536, 1000);
    half_closers(w);
    stream_write(&p.client, 0, 5000);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 0);
    ck_assert_uint_eq(p.server.read_lost, 1);
    side_write(&p.client, "?");
    dw_world_run(w, 0);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
}

/* Both directions meet their end at the same time. */
LIST_TEST(two_ends_are_as_good_as_one, {"client:1>server:80", "close", 1, 1},
          {"server:80>client:1", "close", 1, 1}) {
    pair_connect(&p, w);
    side_write(&p.client, "hello");
    side_write(&p.server, "hello");
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert(dw_world_run_until_idle(w, 0));
}

int main(void) {
    Suite *suite = suite_create("sim_between");
    TCase *tc = tcase_create("close");
    tcase_add_test(tc, the_end_comes_behind_what_is_under_way);
    tcase_add_test(tc, the_end_comes_behind_a_late_reply);
    tcase_add_test(tc, who_had_closed_is_told);
    tcase_add_test(tc, nobody_waits_with_the_port);
    tcase_add_test(tc, what_is_said_later_is_reset);
    tcase_add_test(tc, what_was_blocked_is_reset);
    tcase_add_test(tc, two_ends_are_as_good_as_one);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
