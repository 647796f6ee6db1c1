/* SPDX-License-Identifier: MIT */
/*
 * Keep-alive finds peers that are gone without a word (tcp(7): 7200 s, 75 s, 9 probes; on
 * Linux 6.18 with 1 s, 1 s, 3: ETIMEDOUT 4 s after the last word), and only it, or writing, does.
 */
#include "sim_support.h"

static pair p;

static void keep_alive(side *s) {
    ck_assert_int_eq(dw_transport_set_keep_alive(s->protocol.transport, true), 0);
}

/* Set at 3 ms, and nothing comes after it. */
CALM_TEST(a_dark_peer_is_found_after_the_last_probe) {
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_SEC(7200 + 9 * 75));
    ck_assert_uint_eq(p.client.lost, 1);
    ck_assert_int_eq(p.client.lost_at, DW_MSEC(3) + DW_SEC(7875));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST); /* with the errno that recv(2) had */
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
}

CALM_TEST(without_it_a_dark_peer_is_never_found) {
    pair_connect(&p, w);
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_SEC(100000));
    ck_assert_uint_eq(p.client.lost, 0);
    dw_transport_abort_connection(p.client.protocol.transport);
}

CALM_TEST(the_world_has_its_own_times) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(100));
    ck_assert_int_eq(p.client.lost_at, DW_MSEC(3) + DW_SEC(16));
    ck_assert_uint_eq(p.server.lost, 0); /* its RST was lost, too */
    dw_transport_abort_connection(p.server.protocol.transport);
}

CALM_TEST(an_answer_is_enough) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_world_run(w, DW_SEC(1000));
    ck_assert_uint_eq(p.client.lost, 0);
    ck_assert_uint_eq(p.server.data_calls, 0);
}

/* Two probes are lost, the third is answered; so three more are needed. */
CALM_TEST(an_answer_after_lost_probes_starts_afresh) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(13)); /* probes at 10.003 and 12.003 */
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(2)); /* and at 14.003 s: heard at 14.005 s */
    dw_world_partition(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(100));
    ck_assert_int_eq(p.client.lost_at, DW_MSEC(14005) + DW_SEC(16));
    dw_transport_abort_connection(p.server.protocol.transport);
}

/* What comes counts, be it data: 5 s later, 5 s later. */
CALM_TEST(data_counts_as_an_answer) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_world_run(w, DW_SEC(5));
    side_write(&p.server, "still here");
    dw_world_run(w, DW_MSEC(5));
    dw_host_crash(p.server_host);
    dw_world_run(w, DW_SEC(100));
    ck_assert_int_eq(p.client.lost_at, p.client.data_at + DW_SEC(16));
}

/* RFC 9293, section 3.10.7.1. */
CALM_TEST(a_peer_that_came_back_resets) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_host_crash(p.server_host);
    dw_host_restart(p.server_host);
    dw_world_run(w, DW_SEC(20));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.client.lost_at, DW_MSEC(3) + DW_SEC(10) + DW_MSEC(2)); /* a round trip */
}

/* While data waits to be acknowledged, no probes are sent: retransmission gives up, after
 * tcp_retries2 (tcp(7): 15 to 30 minutes). */
CALM_TEST(unacknowledged_data_is_left_to_retransmission) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    dw_host_crash(p.server_host);
    side_write(&p.client, "anybody?");
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(p.client.lost, 0);
    dw_world_run(w, DW_MIN(20));
    ck_assert_int_eq(p.client.reason_errno, ETIMEDOUT);
}

CALM_TEST(switched_off_it_stops) {
    dw_world_set_keep_alive(w, DW_SEC(10), DW_SEC(2), 3);
    pair_connect(&p, w);
    keep_alive(&p.client);
    ck_assert_int_eq(dw_transport_set_keep_alive(p.client.protocol.transport, false), 0);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(100)));
    ck_assert_int_le(dw_world_now(w), DW_SEC(11));
}

int main(void) {
    Suite *suite = suite_create("sim_keepalive");
    TCase *keep = tcase_create("keep-alive");
    tcase_add_test(keep, a_dark_peer_is_found_after_the_last_probe);
    tcase_add_test(keep, without_it_a_dark_peer_is_never_found);
    tcase_add_test(keep, the_world_has_its_own_times);
    tcase_add_test(keep, an_answer_is_enough);
    tcase_add_test(keep, an_answer_after_lost_probes_starts_afresh);
    tcase_add_test(keep, data_counts_as_an_answer);
    tcase_add_test(keep, a_peer_that_came_back_resets);
    tcase_add_test(keep, unacknowledged_data_is_left_to_retransmission);
    tcase_add_test(keep, switched_off_it_stops);
    suite_add_tcase(suite, keep);
    return run_suite(suite);
}
