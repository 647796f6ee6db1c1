/* SPDX-License-Identifier: MIT */
/*
 * Links of limited bandwidth, with queues, jitter and loss, and links that are held. The times are
 * arithmetic: (bytes + headers) / bandwidth + latency; headers are 40 bytes of TCP (RFC 791, RFC
 * 9293), 28 of UDP.
 */
#include "sim_support.h"

#include <stream.h> /* the link itself */

static pair p;

/* ---- Bandwidth ---- */

/* 960 + 40 bytes at 1000 bytes/s are a second, and 1 ms of latency. */
CALM_TEST(a_segment_takes_its_time) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    stream_write(&p.client, 0, 960);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 960);
    ck_assert_int_eq(p.server.data_at, DW_MSEC(3) + DW_SEC(1) + DW_MSEC(1));
}

/* Three segments of 1460 bytes at 1500 bytes/s: one each second. */
CALM_TEST(a_long_write_arrives_in_segments) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1500);
    stream_write(&p.client, 0, 3 * DW_SEGMENT_MAX);
    dw_world_run(w, DW_MSEC(1002));
    ck_assert_uint_eq(p.server.received, DW_SEGMENT_MAX);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 2 * DW_SEGMENT_MAX);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 3 * DW_SEGMENT_MAX);
    ck_assert(stream_intact(&p.server));
}

/* Each way has all of it. */
CALM_TEST(the_ways_do_not_share) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    stream_write(&p.client, 0, 960);
    stream_write(&p.server, 0, 960);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.data_at, p.client.data_at);
}

/* 8 windows of 64 KiB at 1 MB/s: what is sent in all, headers included, is sent at that rate. */
CALM_TEST(a_stream_gets_the_bandwidth) {
    size_t total = 500000;
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000000);
    stream_write(&p.client, 0, total);
    dw_time start = dw_world_now(w);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, total);
    size_t segments = (total + DW_SEGMENT_MAX - 1) / DW_SEGMENT_MAX;
    dw_time least = DW_USEC((dw_time)(total + segments * 40)) + DW_MSEC(1);
    ck_assert_int_ge(p.server.data_at - start, least);
    ck_assert_int_le(p.server.data_at - start, least + least / 10);
}

/* ---- Queues: on the link itself, one packet of 1000 bytes a second ---- */

static sim_link *slow_link(dw_world *w, size_t queue) {
    pair_hosts(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    dw_world_set_queue(w, p.client_host, p.server_host, queue);
    return sim_link_between(p.client_host, p.server_host);
}

CALM_TEST(packets_leave_one_after_the_other) {
    sim_link *link = slow_link(w, 0);
    ck_assert_int_eq(sim_link_carry(link, 1000, true), DW_MSEC(1001));
    ck_assert_int_eq(sim_link_carry(link, 1000, true), DW_MSEC(2001));
    ck_assert_int_eq(sim_link_carry(link, 500, true), DW_MSEC(2501));
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(sim_link_carry(link, 1000, true), DW_MSEC(11001));
}

CALM_TEST(the_tail_is_dropped) {
    sim_link *link = slow_link(w, 2000);
    ck_assert_int_lt(sim_link_carry(link, 1000, true), DW_TIME_MAX);
    ck_assert_int_lt(sim_link_carry(link, 1000, true), DW_TIME_MAX);
    ck_assert_int_eq(sim_link_carry(link, 1, true), DW_TIME_MAX);
    dw_world_run(w, DW_MSEC(500)); /* half a packet has left */
    ck_assert_int_eq(sim_link_carry(link, 501, true), DW_TIME_MAX);
    ck_assert_int_eq(sim_link_carry(link, 500, true), DW_MSEC(2501));
}

CALM_TEST(one_packet_always_fits) {
    sim_link *link = slow_link(w, 100);
    ck_assert_int_eq(sim_link_carry(link, 1000, true), DW_MSEC(1001));
    ck_assert_int_eq(sim_link_carry(link, 1000, true), DW_TIME_MAX);
}

/* Rounded up: 3 bytes/s, and no remainder is lost. */
CALM_TEST(times_are_whole_nanoseconds) {
    pair_hosts(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 3);
    sim_link *link = sim_link_between(p.client_host, p.server_host);
    ck_assert_int_eq(sim_link_carry(link, 1, true), DW_MSEC(1) + 333333334);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, UINT64_MAX); /* 80 Gbit/s */
    ck_assert_int_eq(sim_link_carry(link, 65535, true), DW_MSEC(1) + 6554);
}

/* What the queue drops is sent again, after 200 ms and more (RFC 6298; Linux: TCP_RTO_MIN). */
CALM_TEST(a_stream_loses_nothing_to_a_full_queue) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 100000);
    dw_world_set_queue(w, p.client_host, p.server_host, 10000);
    stream_write(&p.client, 0, 60000);
    dw_world_run(w, DW_MIN(5));
    ck_assert_uint_eq(p.server.received, 60000);
    ck_assert(stream_intact(&p.server));
    ck_assert_int_ge(p.server.data_at, DW_MSEC(617)); /* 60000 bytes in 42 packets */
}

/* What is sent again has its place behind what is there then: a second for 960 bytes and headers,
 * at the first try and at the second one, 200 ms after the first had left. */
CALM_TEST(what_is_sent_again_takes_its_time_again) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    stream_write(&p.client, 0, 960);
    dw_world_run(w, DW_MSEC(500));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(600));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(3 + 1000 + 200 + 1000 + 1));
}

/* It had left at 1.003 s. A full queue drops it at 1.203 s; 400 ms later there is room behind
 * the 906 bytes that are left. */
CALM_TEST(what_is_sent_again_is_dropped_by_a_full_queue) {
    pair_connect(&p, w);
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    dw_world_set_queue(w, p.client_host, p.server_host, 2000);
    stream_write(&p.client, 0, 960);
    dw_world_run(w, DW_MSEC(500));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(600));
    dw_world_repair(w, p.client_host, p.server_host);
    sim_link *link = sim_link_between(p.client_host, p.server_host);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_lt(sim_link_carry(link, 703, true), DW_TIME_MAX); /* until 2.509 s */
    }
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(1103 + 2 * 703 + 1000 + 1));
}

/* The question for room, too: its reader reads while there is nothing but a question to carry. */
CALM_TEST(a_window_update_that_is_sent_again_takes_its_time) {
    pair_connect(&p, w);
    dw_world_set_buffers(w, 65536, 1000);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 1500);
    dw_world_run(w, DW_MSEC(7)); /* the window is full at 4 ms; it is 10 ms now */
    dw_world_set_bandwidth(w, p.client_host, p.server_host, 1000);
    dw_transport_resume_producing(p.server.protocol.transport);
    dw_world_run(w, DW_MSEC(20)); /* 40 bytes take 40 ms */
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(100));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 1500);
    /* The update left at 50 ms, again at 250 and is there at 291; 500 bytes more take 540 ms. */
    ck_assert_int_eq(p.server.data_at, DW_MSEC(291 + 540 + 1));
}

/* ---- Jitter and loss ---- */

CALM_TEST(jitter_is_within_its_bounds_and_not_constant) {
    pair_hosts(&p, w);
    dw_world_set_jitter(w, p.client_host, p.server_host, DW_MSEC(10));
    sim_link *link = sim_link_between(p.client_host, p.server_host);
    dw_time least = DW_TIME_MAX, most = 0;
    for (int i = 0; i < 1000; i++) {
        dw_time at = sim_link_carry(link, 100, true);
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    ck_assert_int_ge(least, DW_MSEC(1));
    ck_assert_int_le(most, DW_MSEC(11));
    ck_assert_int_gt(most - least, DW_MSEC(9));
}

CALM_TEST(loss_is_about_what_was_asked_for) {
    pair_hosts(&p, w);
    dw_world_set_loss(w, p.client_host, p.server_host, 100000); /* one in ten */
    sim_link *link = sim_link_between(p.client_host, p.server_host);
    unsigned lost = 0;
    for (int i = 0; i < 10000; i++) {
        lost += sim_link_carry(link, 100, true) == DW_TIME_MAX;
    }
    ck_assert_uint_gt(lost, 850); /* five deviations of 30 */
    ck_assert_uint_lt(lost, 1150);
}

CALM_TEST(a_lossy_stream_arrives_whole) {
    pair_connect(&p, w);
    dw_world_set_loss(w, p.client_host, p.server_host, 300000);
    dw_world_set_buffers(w, 65536, 2000); /* many segments and window updates */
    stream_write(&p.client, 0, 30000);
    dw_world_run(w, DW_MIN(20));
    ck_assert_uint_eq(p.server.received, 30000);
    ck_assert(stream_intact(&p.server));
    ck_assert_uint_eq(p.client.lost + p.server.lost, 0);
}

CALM_TEST(a_link_that_loses_all_is_a_timeout) {
    pair_hosts(&p, w);
    dw_world_set_loss(w, p.client_host, p.server_host, DW_LOSS_ALL);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MIN(10));
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
    ck_assert_int_eq(p.client.failed_at, DW_SEC(127)); /* tcp(7), tcp_syn_retries: 127 s */
}

/* ---- Holding ---- */

CALM_TEST(what_is_held_arrives_at_the_release_in_order) {
    pair_connect(&p, w);
    dw_world_hold(w, p.client_host, p.server_host);
    side_write(&p.client, "one ");
    dw_world_run(w, DW_SEC(1));
    side_write(&p.client, "two ");
    dw_world_run(w, DW_MIN(60)); /* longer than any retransmission */
    side_write(&p.client, "three");
    ck_assert_uint_eq(p.server.received, 0);
    dw_world_release(w, p.client_host, p.server_host);
    dw_time released = dw_world_now(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "one two three"));
    ck_assert_int_eq(p.server.data_at, released + DW_MSEC(1)); /* the third had just left */
}

CALM_TEST(one_way_holds_one_way) {
    pair_connect(&p, w);
    p.server.echo = true;
    dw_world_hold_one_way(w, p.server_host, p.client_host);
    side_write(&p.client, "there");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "there"));
    ck_assert_uint_eq(p.client.received, 0);
    dw_world_release(w, p.server_host, p.client_host);
    dw_world_run(w, 0);
    ck_assert(side_has(&p.client, "there"));
}

CALM_TEST(a_reset_is_held_too) {
    pair_connect(&p, w);
    dw_world_hold(w, p.client_host, p.server_host);
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.lost, 0);
    dw_world_release(w, p.client_host, p.server_host);
    dw_world_run(w, 0);
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
}

CALM_TEST(healing_releases) {
    pair_connect(&p, w);
    dw_world_hold(w, p.client_host, p.server_host);
    side_write(&p.client, "late");
    dw_world_run(w, DW_SEC(10));
    dw_world_heal(w);
    dw_world_run(w, 0);
    ck_assert(side_has(&p.server, "late"));
}

/* Held and cut: it waits, and is lost when it is released into the cut. */
CALM_TEST(what_is_released_into_a_partition_is_lost) {
    pair_connect(&p, w);
    dw_world_hold(w, p.client_host, p.server_host);
    side_write(&p.client, "late");
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_release(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(100));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(99));
    ck_assert_uint_eq(p.server.received, 0);
    dw_world_run(w, DW_MSEC(2)); /* RTO: 200 ms */
    ck_assert(side_has(&p.server, "late"));
}

int main(void) {
    Suite *suite = suite_create("sim_bandwidth");
    TCase *bandwidth = tcase_create("bandwidth");
    tcase_add_test(bandwidth, a_segment_takes_its_time);
    tcase_add_test(bandwidth, a_long_write_arrives_in_segments);
    tcase_add_test(bandwidth, the_ways_do_not_share);
    tcase_add_test(bandwidth, a_stream_gets_the_bandwidth);
    suite_add_tcase(suite, bandwidth);
    TCase *queues = tcase_create("queues");
    tcase_add_test(queues, packets_leave_one_after_the_other);
    tcase_add_test(queues, the_tail_is_dropped);
    tcase_add_test(queues, one_packet_always_fits);
    tcase_add_test(queues, times_are_whole_nanoseconds);
    tcase_add_test(queues, a_stream_loses_nothing_to_a_full_queue);
    tcase_add_test(queues, what_is_sent_again_takes_its_time_again);
    tcase_add_test(queues, what_is_sent_again_is_dropped_by_a_full_queue);
    tcase_add_test(queues, a_window_update_that_is_sent_again_takes_its_time);
    suite_add_tcase(suite, queues);
    TCase *chance = tcase_create("jitter and loss");
    tcase_add_test(chance, jitter_is_within_its_bounds_and_not_constant);
    tcase_add_test(chance, loss_is_about_what_was_asked_for);
    tcase_add_test(chance, a_lossy_stream_arrives_whole);
    tcase_add_test(chance, a_link_that_loses_all_is_a_timeout);
    suite_add_tcase(suite, chance);
    TCase *holding = tcase_create("holding");
    tcase_add_test(holding, what_is_held_arrives_at_the_release_in_order);
    tcase_add_test(holding, one_way_holds_one_way);
    tcase_add_test(holding, a_reset_is_held_too);
    tcase_add_test(holding, healing_releases);
    tcase_add_test(holding, what_is_released_into_a_partition_is_lost);
    suite_add_tcase(suite, holding);
    return run_suite(suite);
}
