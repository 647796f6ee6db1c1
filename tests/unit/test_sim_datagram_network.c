/* SPDX-License-Identifier: MIT */
/*
 * UDP on the dry wire, what a network does to datagrams: buffers, MTU, partitions, broadcast, and
 * hosts that stall or go down. What sockets do was tried on loopback and on a veth of Linux 6.18;
 * sums are by hand.
 */
#include "sim_datagrams.h"

#include <drywire/backend.h>

static two_ears t;

/* ---- Buffers and size ---- */

/* Linux 6.18: 256 datagrams of a byte fit into the 212992 bytes of rmem_default, at 832 each. */
CALM_TEST(a_receive_buffer_holds_so_much_and_the_rest_is_lost) {
    two_init(&t, w);
    dw_datagram_pause_producing(t.server.port);
    two_say(&t, 300, "");
    dw_world_run(w, DW_SEC(1));
    dw_datagram_resume_producing(t.server.port);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 256);
    two_say(&t, 3, "x"); /* there is room again */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 259);
}

CALM_TEST(the_size_of_the_buffer_is_the_scenarios_to_say) {
    two_init(&t, w);
    dw_world_set_datagram_buffer(w, 3 * (DW_DATAGRAM_COST + 10));
    dw_datagram_pause_producing(t.server.port);
    two_say(&t, 5, "0123456789");
    dw_world_run(w, DW_SEC(1));
    dw_datagram_resume_producing(t.server.port);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 3);
    dw_world_set_datagram_buffer(w, 0); /* one always fits */
    two_say(&t, 2, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 5);
}

/* 1500 bytes less 28 of headers. */
CALM_TEST(a_datagram_larger_than_the_mtu_is_lost) {
    static const uint8_t zeros[1473];
    static pair p;
    pair_connect(&p, w);
    ear_listen(&t.server, p.server_host, 53);
    ear_listen(&t.client, p.client_host, 5000);
    dw_address to = dw_host_address(p.server_host);
    to.port = 53;
    dw_world_set_mtu(w, p.server_host, p.client_host, 1500);
    ck_assert_int_eq(dw_datagram_write(t.client.port, zeros, 1473, &to), 1473);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 0);
    ck_assert_int_eq(dw_datagram_write(t.client.port, zeros, 1472, &to), 1472);
    stream_write(&p.client, 0, 9000); /* a stream is cut to fit */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
    ck_assert_uint_eq(p.server.received, 9000);
    dw_world_set_mtu(w, p.server_host, p.client_host, 0);
    ck_assert_int_eq(dw_datagram_write(t.client.port, zeros, 1473, &to), 1473);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 2);
}

/* ---- Links and hosts ---- */

CALM_TEST(a_partition_catches_a_datagram_in_flight) {
    two_init(&t, w);
    ear_say(&t.client, "caught", "10.0.0.1", 53);
    dw_world_run(w, DW_USEC(500));
    dw_world_partition(w, t.client_host, t.server_host);
    dw_world_run(w, DW_SEC(1));
    dw_world_repair(w, t.client_host, t.server_host);
    dw_world_run(w, DW_MIN(10)); /* nobody sends it again */
    ck_assert_uint_eq(t.server.heard, 0);
}

CALM_TEST(what_the_sender_sent_before_it_died_still_arrives) {
    two_init(&t, w);
    ear_say(&t.client, "a", "10.0.0.1", 53);
    dw_host_kill(t.client_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
}

CALM_TEST(a_stalled_program_finds_all_of_it_when_it_runs_again) {
    two_init(&t, w);
    dw_host_stall(t.server_host, DW_SEC(2));
    ear_say(&t.client, "a", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ear_say(&t.client, "b", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1) - 1);
    ck_assert_uint_eq(t.server.heard, 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ab");
    ck_assert_int_eq(t.server.heard_at, DW_SEC(2));
    dw_host_stall(t.server_host, DW_SEC(100));
    ear_say(&t.client, "c", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    dw_world_heal(w); /* ends a stall */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 3);
}

static void stop_hearing(ear *e) {
    dw_datagram_stop_listening(e->port, NULL, NULL);
}

static void kill_server(ear *e) {
    (void)e;
    dw_host_kill(t.server_host);
}

CALM_TEST(a_port_may_be_closed_inside_its_callback) {
    two_init(&t, w);
    t.server.on_heard = stop_hearing;
    two_say(&t, 3, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.stopped, 1);
    ck_assert_uint_ge(t.server.heard, 1);
}

CALM_TEST(a_program_may_be_killed_inside_its_callback) {
    two_init(&t, w);
    t.server.on_heard = kill_server;
    two_say(&t, 3, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.stopped, 0); /* it is told nothing */
    ck_assert_uint_eq(t.server.heard, 1);
}

/* ---- Broadcast ---- */

CALM_TEST(broadcast_needs_leave) {
    two_init(&t, w);
    ck_assert_int_eq(ear_send(&t.client, "x", "255.255.255.255", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(t.client.reactor), EACCES);
    ck_assert_int_eq(dw_datagram_connect(t.client.port, "10.255.255.255", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(t.client.reactor), EACCES);
    ck_assert(!dw_datagram_get_broadcast_allowed(t.client.port));
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(t.client.port, true), 0);
    ck_assert(dw_datagram_get_broadcast_allowed(t.client.port));
    ear_say(&t.client, "x", "255.255.255.255", 53);
}

/* Linux, tried: the sender's own host is among them; a socket on one address is not, one on the
 * broadcast address is. */
CALM_TEST(a_broadcast_reaches_every_host_of_the_net) {
    static ear here, third, exact, narrow;
    two_init(&t, w);
    dw_host *host = dw_world_add_host(w, "third", NULL, NULL);
    ear_listen(&here, t.client_host, 53);
    ear_listen(&third, host, 53);
    ck_assert_int_eq(ear_try_listen(&exact, host, 54, "10.255.255.255"), 0);
    ck_assert_int_eq(ear_try_listen(&narrow, host, 54, "10.0.0.3"), 0);
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(t.client.port, true), 0);
    ear_say(&t.client, "all", "255.255.255.255", 53);
    ear_say(&t.client, "net", "10.255.255.255", 54);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "all") && ear_has(&here, "all") && ear_has(&third, "all"));
    ck_assert(is_address(&third.from, "10.0.0.2:5000"));
    ck_assert(is_address(&here.from, "10.0.0.2:5000"));
    ck_assert(ear_has(&exact, "net"));
    ck_assert_uint_eq(narrow.heard + t.client.refused, 0);
    ck_assert_uint_eq(t.server.heard + here.heard + third.heard + exact.heard, 4);
}

int main(void) {
    Suite *suite = suite_create("sim_datagram_network");
    TCase *tc = tcase_create("network");
    tcase_add_test(tc, a_receive_buffer_holds_so_much_and_the_rest_is_lost);
    tcase_add_test(tc, the_size_of_the_buffer_is_the_scenarios_to_say);
    tcase_add_test(tc, a_datagram_larger_than_the_mtu_is_lost);
    tcase_add_test(tc, a_partition_catches_a_datagram_in_flight);
    tcase_add_test(tc, what_the_sender_sent_before_it_died_still_arrives);
    tcase_add_test(tc, a_stalled_program_finds_all_of_it_when_it_runs_again);
    tcase_add_test(tc, a_port_may_be_closed_inside_its_callback);
    tcase_add_test(tc, a_program_may_be_killed_inside_its_callback);
    tcase_add_test(tc, broadcast_needs_leave);
    tcase_add_test(tc, a_broadcast_reaches_every_host_of_the_net);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
