/* SPDX-License-Identifier: MIT */
/*
 * Nagle's algorithm (RFC 9293, section 3.7.4) with delayed acknowledgements. On Linux 6.18 over lo,
 * write, write, read takes 44 ms; with TCP_NODELAY none. Here a way takes 1 ms, the second write
 * comes 100 us after the first, and so waits until 1 + 40 + 1 ms after it.
 */
#include "sim_support.h"

#define PAUSE   DW_USEC(100) /* what one callback writes leaves at once */
#define WAIT    DW_MSEC(42)
#define ARRIVAL (WAIT + DW_MSEC(1))

static pair p;
static dw_time start;

static void connect_nagle(dw_world *w) {
    dw_world_set_nagle(w, true);
    pair_connect(&p, w);
    start = dw_world_now(w);
}

static void write_twice(dw_world *w) {
    side_write(&p.client, "a");
    dw_world_run(w, PAUSE);
    side_write(&p.client, "b");
}

CALM_TEST(a_second_small_write_waits_for_the_acknowledgement) {
    connect_nagle(w);
    write_twice(w);
    dw_world_run(w, DW_MSEC(20));
    ck_assert(side_has(&p.server, "a"));
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "ab"));
    ck_assert_int_eq(p.server.data_at, start + ARRIVAL);
}

CALM_TEST(no_delay_does_not_wait) {
    connect_nagle(w);
    ck_assert_int_eq(dw_transport_set_no_delay(p.client.protocol.transport, true), 0);
    write_twice(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.data_at, start + PAUSE + DW_MSEC(1));
}

CALM_TEST(a_world_without_it_does_not_wait) {
    pair_connect(&p, w);
    start = dw_world_now(w);
    write_twice(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.data_at, start + PAUSE + DW_MSEC(1));
}

/* The echo of the first carries its acknowledgement: it is back after 2 ms. */
CALM_TEST(an_answer_acknowledges) {
    connect_nagle(w);
    p.server.echo = true;
    write_twice(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "ab"));
    ck_assert_int_eq(p.server.data_at, start + DW_MSEC(3));
}

/* "a" is there at 1 ms; "x" left at 0.5 ms. */
CALM_TEST(what_crossed_it_on_the_way_does_not_acknowledge) {
    connect_nagle(w);
    write_twice(w);
    dw_world_run(w, DW_USEC(400));
    side_write(&p.server, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "x"));
    ck_assert_int_eq(p.server.data_at, start + ARRIVAL);
}

CALM_TEST(a_write_after_the_acknowledgement_does_not_wait) {
    connect_nagle(w);
    side_write(&p.client, "a");
    dw_world_run(w, WAIT);
    side_write(&p.client, "b");
    dw_world_run(w, DW_MSEC(1));
    ck_assert(side_has(&p.server, "ab"));
}

CALM_TEST(a_full_segment_does_not_wait) {
    connect_nagle(w);
    stream_write(&p.client, 0, 10);
    dw_world_run(w, PAUSE);
    stream_write(&p.client, 10, DW_SEGMENT_MAX);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_uint_eq(p.server.received, 10 + DW_SEGMENT_MAX);
}

/* Small writes add up: the first leaves, of the others 15 make a segment, in one piece. */
CALM_TEST(small_writes_gather_to_a_segment) {
    connect_nagle(w);
    stream_write(&p.client, 0, 100);
    for (size_t i = 1; i < 16; i++) {
        dw_world_run(w, PAUSE);
        stream_write(&p.client, 100 * i, 100);
    }
    dw_world_run(w, DW_MSEC(2));
    ck_assert_uint_eq(p.server.received, 1600);
    ck_assert_uint_eq(p.server.largest, 1500);
    ck_assert(stream_intact(&p.server));
}

/* Linux: tcp_send_fin pushes. */
CALM_TEST(closing_does_not_wait) {
    connect_nagle(w);
    write_twice(w);
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(2));
    ck_assert(side_has(&p.server, "ab"));
    ck_assert_uint_eq(p.server.lost, 1);
}

/* tcp(7): TCP_NODELAY flushes. */
CALM_TEST(no_delay_lets_go_what_waits) {
    connect_nagle(w);
    write_twice(w);
    dw_world_run(w, DW_MSEC(5));
    ck_assert(side_has(&p.server, "a"));
    ck_assert_int_eq(dw_transport_set_no_delay(p.client.protocol.transport, true), 0);
    dw_world_run(w, DW_MSEC(1));
    ck_assert(side_has(&p.server, "ab"));
}

/* While "a" is lost, "b" is not sent; then both, in order. */
CALM_TEST(a_lost_segment_holds_the_next) {
    connect_nagle(w);
    dw_world_partition(w, p.client_host, p.server_host);
    write_twice(w);
    dw_world_run(w, DW_MSEC(150));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "ab"));
    ck_assert_int_eq(p.server.data_at, start + DW_MSEC(1) + DW_MSEC(200) + DW_MSEC(42));
}

CALM_TEST(a_connection_that_dies_takes_it_along) {
    connect_nagle(w);
    write_twice(w);
    dw_world_run(w, DW_MSEC(5));
    dw_transport_abort_connection(p.server.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert(side_has(&p.server, "a"));
}

static void busy_nagle(dw_world *w) {
    dw_world_set_nagle(w, true);
    busy(w);
}

START_TEST(it_is_the_same_in_every_run) {
    played a, b;
    for (uint64_t seed = 1; seed < 20; seed++) {
        play(busy_nagle, seeded(seed), true, &a);
        play(busy_nagle, seeded(seed), true, &b);
        ck_assert_str_eq(a.timeline, b.timeline);
        played_free(&a);
        played_free(&b);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_nagle");
    TCase *nagle = tcase_create("nagle");
    tcase_add_test(nagle, a_second_small_write_waits_for_the_acknowledgement);
    tcase_add_test(nagle, no_delay_does_not_wait);
    tcase_add_test(nagle, a_world_without_it_does_not_wait);
    tcase_add_test(nagle, an_answer_acknowledges);
    tcase_add_test(nagle, what_crossed_it_on_the_way_does_not_acknowledge);
    tcase_add_test(nagle, a_write_after_the_acknowledgement_does_not_wait);
    tcase_add_test(nagle, a_full_segment_does_not_wait);
    tcase_add_test(nagle, small_writes_gather_to_a_segment);
    tcase_add_test(nagle, closing_does_not_wait);
    tcase_add_test(nagle, no_delay_lets_go_what_waits);
    tcase_add_test(nagle, a_lost_segment_holds_the_next);
    tcase_add_test(nagle, a_connection_that_dies_takes_it_along);
    tcase_add_test(nagle, it_is_the_same_in_every_run);
    suite_add_tcase(suite, nagle);
    return run_suite(suite);
}
