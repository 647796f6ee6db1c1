/* SPDX-License-Identifier: MIT */
/*
 * Links: latency, partitions and what retransmission makes of them (RFC 9293, section 3.8.1;
 * tcp(7): tcp_syn_retries, tcp_retries2), and machines that are dark or come back. Loss is delay,
 * and in the end a time-out.
 */
#include "sim_support.h"

static pair p;

static void lose(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

/* ---- Latency ---- */

CALM_TEST(a_new_latency_counts_for_what_is_sent_from_now_on) {
    pair_connect(&p, w);
    side_write(&p.client, "a");
    dw_world_run(w, DW_USEC(500)); /* it is under way */
    dw_world_set_latency(w, p.server_host, p.client_host, DW_MSEC(30));
    dw_world_run(w, DW_MSEC(1));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(4));
    side_write(&p.client, "b"); /* at 4.5 ms */
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.data_at, DW_USEC(34500));
    side_write(&p.server, "c");
    dw_time start = dw_world_now(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.data_at, start + DW_MSEC(30));
}

/* A shorter latency does not let later bytes overtake earlier ones. */
CALM_TEST(a_stream_keeps_its_order_when_the_link_gets_faster) {
    pair_connect(&p, w);
    dw_world_set_latency(w, p.server_host, p.client_host, DW_MSEC(100));
    side_write(&p.client, "slow");
    dw_world_run(w, DW_MSEC(1));
    dw_world_set_latency(w, p.server_host, p.client_host, DW_MSEC(1));
    side_write(&p.client, "fast");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "slowfast"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(103));
}

/* ---- Partitions ---- */

/* The wait doubles, so the next try comes at most as long after the repair as the cut lasted. */
CALM_TEST(a_partition_that_is_repaired_is_a_delay) {
    pair_connect(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    side_write(&p.client, "late");
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 0);
    dw_time repaired = dw_world_now(w);
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(20));
    ck_assert(side_has(&p.server, "late"));
    ck_assert_int_ge(p.server.data_at, repaired);
    ck_assert_int_le(p.server.data_at, repaired + DW_SEC(11));
    ck_assert_uint_eq(p.client.lost + p.server.lost, 0);
}

CALM_TEST(a_partition_catches_what_is_in_flight) {
    pair_connect(&p, w);
    side_write(&p.client, "caught");
    dw_world_run(w, DW_USEC(500));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(p.server.received, 0);
}

CALM_TEST(a_one_way_partition_lets_the_other_direction_through) {
    pair_connect(&p, w);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    side_write(&p.client, "there");
    side_write(&p.server, "back");
    dw_world_run(w, DW_MSEC(10));
    ck_assert(side_has(&p.server, "there"));
    ck_assert_uint_eq(p.client.received, 0);
    dw_world_repair(w, p.server_host, p.client_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "back"));
}

CALM_TEST(a_partition_of_two_hosts_leaves_a_third_alone) {
    static side third;
    pair_connect(&p, w);
    dw_host *host = dw_world_add_host(w, "third", NULL, NULL);
    lose(&p.client);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, p.client_host, p.server_host);
    side_init(&third, dw_host_reactor(host));
    side_connect(&third, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(third.made, 1);
}

/* tcp_retries2 = 15: "a hypothetical timeout of 924.6 seconds" (Linux, ip-sysctl). */
CALM_TEST(a_partition_for_ever_is_a_time_out_after_fifteen_retries) {
    pair_connect(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_time start = dw_world_now(w);
    side_write(&p.client, "nobody hears this");
    dw_world_run(w, DW_MIN(40));
    ck_assert_uint_eq(p.client.lost, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
    ck_assert_int_ge(p.client.lost_at - start, DW_MSEC(924600));
    ck_assert_int_le(p.client.lost_at - start, DW_MSEC(924700));
    ck_assert_uint_eq(p.server.lost, 0); /* it has nothing to send and notices nothing */
}

CALM_TEST(a_reset_that_is_lost_leaves_the_peer_half_open) {
    pair_connect(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(10));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MIN(40));
    ck_assert_uint_eq(p.server.lost, 0);
    side_write(&p.server, "anybody?"); /* finds nobody: RST */
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
}

CALM_TEST(a_fin_that_is_lost_is_sent_again) {
    pair_connect(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    side_write(&p.client, "bye");
    lose(&p.client);
    dw_world_run(w, DW_SEC(1));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert(side_has(&p.server, "bye"));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
}

CALM_TEST(heal_repairs_every_partition) {
    pair_connect(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    side_write(&p.client, "x");
    side_write(&p.server, "y");
    dw_world_run(w, DW_SEC(3));
    dw_world_heal(w);
    dw_world_run(w, DW_SEC(5));
    ck_assert(side_has(&p.server, "x"));
    ck_assert(side_has(&p.client, "y"));
}

/* ---- The SYN: retries after 1, 3, 7, 15, 31 and 63 s (tcp(7): tcp_syn_retries is 6) ---- */

CALM_TEST(a_syn_is_sent_again_after_one_three_and_seven_seconds) {
    static const struct {
        dw_time repaired, made;
    } cases[] = {{DW_MSEC(500), DW_SEC(1)}, {DW_MSEC(1500), DW_SEC(3)}, {DW_MSEC(3500), DW_SEC(7)}};
    pair_hosts(&p, w);
    dw_time start = 0;
    for (size_t i = 0; i < 3; i++) {
        side_init(&p.client, dw_host_reactor(p.client_host));
        dw_world_partition(w, p.client_host, p.server_host);
        side_connect(&p.client, "10.0.0.1", 80);
        dw_world_run(w, cases[i].repaired);
        dw_world_repair(w, p.client_host, p.server_host);
        dw_world_run(w, DW_SEC(20));
        ck_assert_uint_eq(p.client.made, 1);
        ck_assert_int_eq(p.client.made_at - start, cases[i].made + DW_MSEC(2));
        lose(&p.client);
        dw_world_run(w, DW_SEC(1));
        start = dw_world_now(w);
    }
}

/* "corresponds to retrying for up to approximately 127 seconds" (tcp(7)). */
CALM_TEST(connecting_times_out_after_127_seconds) {
    pair_hosts(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(p.client.failed, 1);
    ck_assert_int_eq(p.client.reason, DW_TCP_TIMED_OUT);
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
    ck_assert_int_ge(p.client.failed_at, DW_SEC(127));
    ck_assert_int_le(p.client.failed_at, DW_SEC(127) + DW_MSEC(10));
}

/* The SYN gets through, its answer never does: for the client that is the same. */
CALM_TEST(connecting_times_out_when_only_the_answers_are_lost) {
    pair_hosts(&p, w);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(p.client.failed, 1);
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
    ck_assert_uint_eq(p.server.made, 0);
}

/* Nobody listens, and the RST that says so is lost: the SYN comes again and finds a listener. */
CALM_TEST(a_lost_refusal_is_as_good_as_a_lost_syn) {
    pair_hosts(&p, w);
    static side later;
    side_init(&later, dw_host_reactor(p.server_host));
    side_connect(&p.client, "10.0.0.1", 81);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    dw_world_run(w, DW_MSEC(500));
    ck_assert_uint_eq(p.client.failed, 0);
    dw_world_repair(w, p.server_host, p.client_host);
    side_listen(&later, 81, 0);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_uint_eq(later.made, 1);
}

CALM_TEST(connecting_times_out_when_every_refusal_is_lost) {
    pair_hosts(&p, w);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    side_connect(&p.client, "10.0.0.1", 81);
    ck_assert(dw_world_run_until_idle(w, DW_MIN(10)));
    ck_assert_uint_eq(p.client.failed, 1);
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
    ck_assert_int_ge(p.client.failed_at, DW_SEC(127));
}

CALM_TEST(a_lost_answer_to_a_syn_is_a_delay) {
    pair_hosts(&p, w);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(300));
    dw_world_repair(w, p.server_host, p.client_host);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_uint_eq(p.server.made, 1);
}

/* ---- Dark machines ---- */

CALM_TEST(data_to_a_crashed_machine_times_out) {
    pair_connect(&p, w);
    dw_host_crash(p.server_host);
    side_write(&p.client, "hello?");
    dw_world_run(w, DW_MIN(40));
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
}

CALM_TEST(an_idle_peer_of_a_crashed_machine_is_half_open) {
    pair_connect(&p, w);
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_HOUR(2));
    ck_assert_uint_eq(p.client.lost, 0);
}

CALM_TEST(data_to_a_machine_that_crashed_and_came_back_is_reset) {
    pair_connect(&p, w);
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_SEC(1));
    dw_host_restart(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.lost, 0);
    dw_time start = dw_world_now(w);
    side_write(&p.client, "remember me?");
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.client.lost_at - start, DW_MSEC(2));
}

/* The data is not acknowledged, so it comes again after 200 ms, and so does its answer. */
CALM_TEST(a_reset_that_answers_data_is_not_lost_for_good) {
    pair_connect(&p, w);
    dw_host_crash(p.server_host);
    dw_host_restart(p.server_host);
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    dw_time start = dw_world_now(w);
    side_write(&p.client, "who are you?");
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(p.client.lost, 0);
    dw_world_repair(w, p.server_host, p.client_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.client.lost_at, start + DW_MSEC(202));
}

CALM_TEST(a_fin_to_a_machine_that_crashed_and_came_back_is_reset) {
    pair_hosts(&p, w);
    p.client.aware = true;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    dw_host_crash(p.server_host);
    dw_host_restart(p.server_host);
    dw_transport_lose_write_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

/* The writer is stalled by a shut window; its probes find nobody (RFC 9293, section 3.8.6.1). */
CALM_TEST(a_stalled_writer_learns_that_its_reader_crashed) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 300000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_gt(dw_transport_buffered(p.client.protocol.transport), 0);
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_MIN(40));
    ck_assert_uint_eq(p.client.lost, 1);
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
}

CALM_TEST(a_stalled_writer_is_reset_by_a_reader_that_crashed_and_came_back) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 300000);
    dw_world_run(w, DW_SEC(1));
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_SEC(1));
    dw_host_restart(p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

/* ---- The window update ---- */

CALM_TEST(a_lost_window_update_is_a_delay) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 150000);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_transport_resume_producing(p.server.protocol.transport);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(p.server.received, 65536); /* what had arrived */
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(20));
    ck_assert_uint_eq(p.server.received, 150000);
    ck_assert(stream_intact(&p.server));
}

/* Probes are not answered for ever: in the end the writer gives up like any other sender. */
CALM_TEST(a_writer_whose_window_updates_never_come_times_out) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 300000);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_transport_resume_producing(p.server.protocol.transport);
    ck_assert(dw_world_run_until_idle(w, DW_MIN(40)));
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
}

CALM_TEST(a_stalled_writer_finds_its_reader_gone_though_the_reset_was_lost) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 300000);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, p.client_host, p.server_host);
    dw_transport_abort_connection(p.server.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

CALM_TEST(a_window_update_to_a_crashed_writer_is_not_repeated_for_ever) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 150000);
    dw_world_run(w, DW_SEC(1));
    dw_transport_resume_producing(p.server.protocol.transport);
    dw_world_run(w, DW_USEC(500)); /* the update is under way */
    dw_host_crash(p.client_host);
    ck_assert(dw_world_run_until_idle(w, DW_MIN(1)));
}

static TCase *partition_case(void) {
    TCase *tc = tcase_create("latency and partitions");
    tcase_add_test(tc, a_new_latency_counts_for_what_is_sent_from_now_on);
    tcase_add_test(tc, a_stream_keeps_its_order_when_the_link_gets_faster);
    tcase_add_test(tc, a_partition_that_is_repaired_is_a_delay);
    tcase_add_test(tc, a_partition_catches_what_is_in_flight);
    tcase_add_test(tc, a_one_way_partition_lets_the_other_direction_through);
    tcase_add_test(tc, a_partition_of_two_hosts_leaves_a_third_alone);
    tcase_add_test(tc, a_partition_for_ever_is_a_time_out_after_fifteen_retries);
    tcase_add_test(tc, a_reset_that_is_lost_leaves_the_peer_half_open);
    tcase_add_test(tc, a_fin_that_is_lost_is_sent_again);
    tcase_add_test(tc, heal_repairs_every_partition);
    return tc;
}

static TCase *syn_case(void) {
    TCase *tc = tcase_create("SYN");
    tcase_add_test(tc, a_syn_is_sent_again_after_one_three_and_seven_seconds);
    tcase_add_test(tc, connecting_times_out_after_127_seconds);
    tcase_add_test(tc, connecting_times_out_when_only_the_answers_are_lost);
    tcase_add_test(tc, a_lost_refusal_is_as_good_as_a_lost_syn);
    tcase_add_test(tc, connecting_times_out_when_every_refusal_is_lost);
    tcase_add_test(tc, a_lost_answer_to_a_syn_is_a_delay);
    return tc;
}

static TCase *dark_case(void) {
    TCase *tc = tcase_create("dark machines and windows");
    tcase_add_test(tc, data_to_a_crashed_machine_times_out);
    tcase_add_test(tc, an_idle_peer_of_a_crashed_machine_is_half_open);
    tcase_add_test(tc, data_to_a_machine_that_crashed_and_came_back_is_reset);
    tcase_add_test(tc, a_reset_that_answers_data_is_not_lost_for_good);
    tcase_add_test(tc, a_fin_to_a_machine_that_crashed_and_came_back_is_reset);
    tcase_add_test(tc, a_stalled_writer_learns_that_its_reader_crashed);
    tcase_add_test(tc, a_stalled_writer_is_reset_by_a_reader_that_crashed_and_came_back);
    tcase_add_test(tc, a_lost_window_update_is_a_delay);
    tcase_add_test(tc, a_writer_whose_window_updates_never_come_times_out);
    tcase_add_test(tc, a_stalled_writer_finds_its_reader_gone_though_the_reset_was_lost);
    tcase_add_test(tc, a_window_update_to_a_crashed_writer_is_not_repeated_for_ever);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_link");
    suite_add_tcase(suite, partition_case());
    suite_add_tcase(suite, syn_case());
    suite_add_tcase(suite, dark_case());
    return run_suite(suite);
}
