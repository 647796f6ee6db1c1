/* SPDX-License-Identifier: MIT */
/*
 * Streams on the dry wire: the handshake, data, and every way in which a connection ends, with the
 * times at which each side learns of it. Expectations: RFC 9293, tcp(7), vectors/README.md section
 * 3; times by counting packets of 1 ms each.
 */
#include "sim_support.h"

static pair p;

static void write_hello(side *s) {
    side_write(s, "hello");
}

static void pause_reading(side *s) {
    dw_transport_pause_producing(s->protocol.transport);
}

static void lose(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

static void resume_reading(side *s) {
    dw_transport_resume_producing(s->protocol.transport);
}

/* ---- Handshake: RFC 9293, section 3.5, figure 6 ---- */

CALM_TEST(client_is_connected_after_one_round_trip_and_server_half_a_one_later) {
    pair_connect(&p, w);
    ck_assert_int_eq(p.client.made_at, DW_MSEC(2));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(3));
}

CALM_TEST(handshake_takes_the_latency_of_its_link) {
    pair_hosts(&p, w);
    dw_world_set_latency(w, p.client_host, p.server_host, DW_MSEC(70));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.made_at, DW_MSEC(140));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(210));
}

CALM_TEST(both_ends_know_each_others_addresses) {
    pair_connect(&p, w);
    dw_address peer = dw_transport_peer(p.client.protocol.transport);
    dw_address seen = dw_transport_peer(p.server.protocol.transport);
    dw_address own = dw_transport_host(p.client.protocol.transport);
    dw_address bound = dw_transport_host(p.server.protocol.transport);
    ck_assert(dw_address_equal(&own, &seen));
    ck_assert(dw_address_equal(&bound, &peer));
    ck_assert_uint_eq(peer.port, 80);
    ck_assert_uint_ge(own.port, 32768); /* Linux: ip_local_port_range */
}

CALM_TEST(nobody_listens_is_refused_after_one_round_trip) {
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.1", 81);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.failed, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
    ck_assert_int_eq(p.client.reason_errno, ECONNREFUSED);
    ck_assert_int_eq(p.client.failed_at, DW_MSEC(2));
}

CALM_TEST(a_stopped_port_refuses) {
    pair_hosts(&p, w);
    dw_port_stop_listening(p.server.port, NULL, NULL);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
}

CALM_TEST(an_address_that_nobody_has_is_not_reachable) {
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.77", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_NO_ROUTE);
}

CALM_TEST(a_used_port_cannot_be_listened_on) {
    pair_hosts(&p, w);
    side_init(&p.client, dw_host_reactor(p.server_host));
    ck_assert_int_eq(dw_reactor_listen_tcp(p.client.reactor, 80, &p.client.factory.base, 0, NULL,
                                           &p.client.port),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(p.client.reactor), EADDRINUSE);
    side_listen(&p.client, 0, 0);
    ck_assert_uint_ge(dw_port_host(p.client.port).port, 32768);
}

CALM_TEST(a_foreign_address_cannot_be_bound) {
    dw_address foreign;
    pair_hosts(&p, w);
    ck_assert_int_eq(dw_address_parse(&foreign, "10.0.0.1", 0), 0);
    dw_reactor_connect_tcp(p.client.reactor, "10.0.0.1", 80, &p.client.factory, -1, &foreign, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECT_BIND_ERROR);
}

CALM_TEST(a_bound_local_port_is_the_one_the_server_sees) {
    dw_address local;
    pair_hosts(&p, w);
    ck_assert_int_eq(dw_address_parse(&local, "10.0.0.2", 4444), 0);
    dw_reactor_connect_tcp(p.client.reactor, "10.0.0.1", 80, &p.client.factory, -1, &local, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(dw_transport_peer(p.server.protocol.transport).port, 4444);
}

CALM_TEST(a_connect_time_out_ends_the_attempt) {
    pair_hosts(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_reactor_connect_tcp(p.client.reactor, "10.0.0.1", 80, &p.client.factory, DW_SEC(5), NULL,
                           NULL);
    dw_world_run(w, DW_SEC(60));
    ck_assert_int_eq(p.client.reason, DW_TIMEOUT);
    ck_assert_int_eq(p.client.failed_at, DW_SEC(5));
    ck_assert_uint_eq(p.server.built, 0);
}

/* A closed socket's SYN is not sent again: nothing is left to happen. */
CALM_TEST(an_attempt_that_was_given_up_leaves_nothing_behind) {
    pair_hosts(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    dw_reactor_connect_tcp(p.client.reactor, "10.0.0.1", 80, &p.client.factory, DW_MSEC(500), NULL,
                           NULL);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(4)));
}

CALM_TEST(a_syn_whose_socket_is_closed_already_leads_to_nothing) {
    dw_connector *connector;
    pair_hosts(&p, w);
    dw_reactor_connect_tcp(p.client.reactor, "10.0.0.1", 80, &p.client.factory, -1, NULL,
                           &connector);
    dw_world_run(w, DW_USEC(500));
    ck_assert_int_eq(dw_connector_stop_connecting(connector), 0);
    ck_assert_int_eq(p.client.reason, DW_USER_ERROR);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(p.server.built, 0);
}

/* The last packet of the handshake finds nobody: RST (RFC 9293, section 3.10.7.1). */
CALM_TEST(a_port_that_stops_in_the_handshake_resets_the_client) {
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_USEC(1500));
    dw_port_stop_listening(p.server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert_uint_eq(p.server.built, 0);
}

/* ---- The accept queue: listen(2) ---- */

static side others[4];

static void connect_others(dw_world *w, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "c%u", i);
        side_init(&others[i], dw_host_reactor(dw_world_add_host(w, name, NULL, NULL)));
        side_connect(&others[i], "10.0.0.1", 80);
    }
}

/* "if the underlying protocol supports retransmission, the request may be ignored so that a later
 * reattempt at connection succeeds" (listen(2)). Linux lets one more wait than the backlog says
 * (sk_acceptq_is_full). */
CALM_TEST(a_full_backlog_makes_late_clients_wait_and_none_is_lost) {
    dw_host *server = dw_world_add_host(w, "server", NULL, NULL);
    side_init(&p.server, dw_host_reactor(server));
    side_listen(&p.server, 80, 1);
    dw_host_stall(server, DW_MSEC(500)); /* accepts nothing */
    connect_others(w, 2);
    dw_world_run(w, DW_MSEC(100));
    side_init(&others[2], dw_host_reactor(dw_world_add_host(w, "late", NULL, NULL)));
    side_connect(&others[2], "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(800));
    ck_assert_uint_eq(others[1].made, 1);
    ck_assert_uint_eq(others[2].made, 0);
    dw_world_run(w, DW_SEC(2)); /* its SYN is sent again after a second */
    ck_assert_uint_eq(others[2].made, 1);
    ck_assert_int_eq(others[2].made_at, DW_MSEC(100) + DW_SEC(1) + DW_MSEC(2));
}

static unsigned accepted;

static dw_protocol *count_and_refuse(dw_factory *factory, const dw_address *peer) {
    (void)factory;
    (void)peer;
    accepted++;
    return NULL;
}

/* Three at once find room for one SYN each, but the queue takes only two of them at a time: one
 * more than its backlog. */
CALM_TEST(simultaneous_handshakes_do_not_overfill_the_backlog) {
    dw_host *server = dw_world_add_host(w, "server", NULL, NULL);
    side_init(&p.server, dw_host_reactor(server));
    static const dw_factory_class cls = {.name = "count", .build_protocol = count_and_refuse};
    static dw_factory factory;
    dw_factory_init(&factory, &cls);
    accepted = 0;
    ck_assert_int_eq(dw_reactor_listen_tcp(p.server.reactor, 80, &factory, 1, NULL, NULL), 0);
    dw_host_stall(server, DW_MSEC(10));
    connect_others(w, 3);
    dw_world_run(w, DW_MSEC(11));
    ck_assert_uint_eq(accepted, 2);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(accepted, 3);
}

/* More wait than are accepted in one turn. */
CALM_TEST(a_long_accept_queue_is_emptied) {
    static side many[150];
    dw_host *server = dw_world_add_host(w, "server", NULL, NULL);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    static const dw_factory_class cls = {.name = "count", .build_protocol = count_and_refuse};
    static dw_factory factory;
    dw_factory_init(&factory, &cls);
    accepted = 0;
    ck_assert_int_eq(dw_reactor_listen_tcp(dw_host_reactor(server), 80, &factory, 200, NULL, NULL),
                     0);
    dw_host_stall(server, DW_MSEC(10));
    for (unsigned i = 0; i < 150; i++) {
        side_init(&many[i], dw_host_reactor(client));
        side_connect(&many[i], "10.0.0.1", 80);
    }
    dw_world_run(w, DW_MSEC(20));
    ck_assert_uint_eq(accepted, 150);
}

/* ---- Data ---- */

CALM_TEST(data_arrives_one_latency_later) {
    pair_hosts(&p, w);
    p.client.on_made = write_hello;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(3)); /* with the ACK that ends the handshake */
}

CALM_TEST(an_echo_takes_a_round_trip) {
    pair_connect(&p, w);
    p.server.echo = true;
    dw_time start = dw_world_now(w);
    side_write(&p.client, "ping");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "ping"));
    ck_assert_int_eq(p.client.data_at - start, DW_MSEC(2));
}

CALM_TEST(what_a_paused_side_did_not_read_comes_in_one_piece) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    side_write(&p.client, "one");
    dw_world_run(w, DW_MSEC(5));
    side_write(&p.client, "two");
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.server.data_calls, 0);
    resume_reading(&p.server);
    dw_world_run(w, DW_MSEC(5));
    ck_assert(side_has(&p.server, "onetwo"));
    ck_assert_uint_eq(p.server.data_calls, 1);
}

/* ---- FIN: RFC 9293, section 3.6 ---- */

CALM_TEST(an_orderly_close_is_done_for_both) {
    pair_connect(&p, w);
    dw_time start = dw_world_now(w);
    lose(&p.client);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.lost_at, start);
    ck_assert_int_eq(p.server.lost_at, start + DW_MSEC(1));
}

CALM_TEST(fin_comes_behind_all_data) {
    pair_connect(&p, w);
    side_write(&p.client, "last words");
    lose(&p.client);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "last words"));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_uint_eq(p.server.lost, 1);
}

CALM_TEST(close_leaves_nothing_to_happen) {
    pair_connect(&p, w);
    lose(&p.client);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(5)); /* FIN there, FIN back */
}

CALM_TEST(half_close_ends_one_direction_only) {
    pair_hosts(&p, w);
    p.server.aware = p.client.aware = true;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    dw_transport_lose_write_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_uint_eq(p.client.write_lost, 1);
    ck_assert_uint_eq(p.server.read_lost, 1);
    ck_assert_uint_eq(p.server.lost, 0);
    side_write(&p.server, "still talking");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "still talking"));
    lose(&p.server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.read_lost, 1);
    ck_assert_uint_eq(p.client.lost, 0); /* vectors/README.md, section 4: 6 */
    lose(&p.client);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

/* ---- RST: RFC 9293, section 3.10.7 ---- */

CALM_TEST(abort_resets_the_peer) {
    pair_connect(&p, w);
    dw_time start = dw_world_now(w);
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_ABORTED);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.server.lost_at, start + DW_MSEC(1));
}

/* RFC 9293, section 3.10.7.4, would flush the queue; Linux does not (vectors:
 * tcp-abort-peer-paused-unread). */
CALM_TEST(unread_data_is_still_read_after_a_reset) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    side_write(&p.client, "read late");
    dw_world_run(w, DW_MSEC(5));
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.server.lost, 0); /* vectors/README.md, section 4: 7 */
    resume_reading(&p.server);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.server.received, strlen("read late"));
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
}

/* What a program closes ends for the peer in good order (vectors:
 * tcp-close-peer-closes-large-unread): the FIN goes first. */
CALM_TEST(closing_with_unread_data_ends_the_stream_first) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    side_write(&p.client, "unread");
    dw_world_run(w, DW_MSEC(5));
    lose(&p.server);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

/* RFC 1122, section 4.2.2.13; RFC 2525, section 2.17: what a kernel closes for a program that is
 * gone. */
CALM_TEST(unread_data_of_a_killed_program_resets_the_peer) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    side_write(&p.client, "unread");
    dw_world_run(w, DW_MSEC(5));
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

/* The FIN is sent, then data meets a closed socket: the reader has seen the end of the stream. */
CALM_TEST(data_in_flight_to_a_closing_peer_is_answered_by_a_reset) {
    pair_hosts(&p, w);
    p.client.aware = true; /* so that the FIN alone does not end it */
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    lose(&p.server);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_uint_eq(p.client.read_lost, 1);
    side_write(&p.client, "first"); /* answered by RST */
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.client.lost, 0);
    side_write(&p.client, "second");
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.client.lost, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
}

/* Several segments are on their way when the first of them meets a socket that is gone. */
CALM_TEST(a_whole_flight_to_a_closed_socket_is_one_reset) {
    pair_connect(&p, w);
    dw_world_set_latency(w, p.client_host, p.server_host, DW_MSEC(50));
    for (int i = 0; i < 4; i++) {
        side_write(&p.client, "segment");
        dw_world_run(w, DW_MSEC(5));
    }
    dw_transport_abort_connection(p.server.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 0);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    lose(&p.client);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
}

CALM_TEST(both_aborting_at_once_is_harmless) {
    pair_connect(&p, w);
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_transport_abort_connection(p.server.protocol.transport);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_ABORTED);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_ABORTED);
}

CALM_TEST(a_refusing_factory_closes_what_was_accepted) {
    pair_connect(&p, w);
    static side second;
    side_init(&second, p.client.reactor);
    side_connect(&second, "10.0.0.1", 80); /* the server has one already */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(second.made, 1);
    ck_assert_int_eq(second.reason, DW_CONNECTION_DONE);
    ck_assert_uint_eq(p.server.lost, 0);
}

/* ---- Bind and connect within one machine ---- */

CALM_TEST(loopback_is_the_machine_itself) {
    pair_hosts(&p, w);
    side_init(&p.client, p.server.reactor);
    side_connect(&p.client, "127.0.0.1", 80);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_int_eq(p.client.made_at, DW_USEC(40)); /* 20 us each way */
    ck_assert_uint_eq(p.server.made, 1);
}

CALM_TEST(options_are_off_at_first_and_stay_as_set) {
    pair_connect(&p, w);
    dw_transport *t = p.client.protocol.transport;
    ck_assert(!dw_transport_get_no_delay(t) && !dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_no_delay(t, true), 0);
    ck_assert(dw_transport_get_no_delay(t) && !dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_keep_alive(t, true), 0);
    ck_assert_int_eq(dw_transport_set_no_delay(t, false), 0);
    ck_assert(!dw_transport_get_no_delay(t) && dw_transport_get_keep_alive(t));
}

static TCase *handshake_case(void) {
    TCase *tc = tcase_create("handshake");
    tcase_add_test(tc, client_is_connected_after_one_round_trip_and_server_half_a_one_later);
    tcase_add_test(tc, handshake_takes_the_latency_of_its_link);
    tcase_add_test(tc, both_ends_know_each_others_addresses);
    tcase_add_test(tc, nobody_listens_is_refused_after_one_round_trip);
    tcase_add_test(tc, a_stopped_port_refuses);
    tcase_add_test(tc, an_address_that_nobody_has_is_not_reachable);
    tcase_add_test(tc, a_used_port_cannot_be_listened_on);
    tcase_add_test(tc, a_foreign_address_cannot_be_bound);
    tcase_add_test(tc, a_bound_local_port_is_the_one_the_server_sees);
    tcase_add_test(tc, a_connect_time_out_ends_the_attempt);
    tcase_add_test(tc, an_attempt_that_was_given_up_leaves_nothing_behind);
    tcase_add_test(tc, a_syn_whose_socket_is_closed_already_leads_to_nothing);
    tcase_add_test(tc, a_port_that_stops_in_the_handshake_resets_the_client);
    tcase_add_test(tc, a_full_backlog_makes_late_clients_wait_and_none_is_lost);
    tcase_add_test(tc, simultaneous_handshakes_do_not_overfill_the_backlog);
    tcase_add_test(tc, a_long_accept_queue_is_emptied);
    tcase_add_test(tc, loopback_is_the_machine_itself);
    return tc;
}

static TCase *ends_case(void) {
    TCase *tc = tcase_create("data and ends");
    tcase_add_test(tc, data_arrives_one_latency_later);
    tcase_add_test(tc, an_echo_takes_a_round_trip);
    tcase_add_test(tc, what_a_paused_side_did_not_read_comes_in_one_piece);
    tcase_add_test(tc, an_orderly_close_is_done_for_both);
    tcase_add_test(tc, fin_comes_behind_all_data);
    tcase_add_test(tc, close_leaves_nothing_to_happen);
    tcase_add_test(tc, half_close_ends_one_direction_only);
    tcase_add_test(tc, abort_resets_the_peer);
    tcase_add_test(tc, unread_data_is_still_read_after_a_reset);
    tcase_add_test(tc, closing_with_unread_data_ends_the_stream_first);
    tcase_add_test(tc, unread_data_of_a_killed_program_resets_the_peer);
    tcase_add_test(tc, data_in_flight_to_a_closing_peer_is_answered_by_a_reset);
    tcase_add_test(tc, a_whole_flight_to_a_closed_socket_is_one_reset);
    tcase_add_test(tc, both_aborting_at_once_is_harmless);
    tcase_add_test(tc, a_refusing_factory_closes_what_was_accepted);
    tcase_add_test(tc, options_are_off_at_first_and_stay_as_set);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_stream");
    suite_add_tcase(suite, handshake_case());
    suite_add_tcase(suite, ends_case());
    return run_suite(suite);
}
