/* SPDX-License-Identifier: MIT */
/*
 * TIME_WAIT: who closes first keeps the port for 60 s (RFC 9293, section 3.6.1; Linux:
 * TCP_TIMEWAIT_LEN). Each case was tried on Linux 6.18 in a network namespace.
 */
#include "sim_support.h"

static pair p;
static side again;

static void connect_from(side *s, uint16_t port) {
    ck_assert_int_eq(dw_reactor_connect_tcp(s->reactor, "10.0.0.1", 80, &s->factory, -1,
                                            &(dw_address){.kind = DW_ADDRESS_IPV4, .port = port},
                                            NULL),
                     0);
}

/* A connection from port 9000, ended by `first`, at 1.003 s. */
static void connect_and_close(dw_world *w, side *first) {
    pair_hosts(&p, w);
    connect_from(&p.client, 9000);
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(p.client.made, 1);
    dw_transport_lose_connection(first->protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.lost + p.server.lost, 2);
    side_init(&again, p.client.reactor);
}

CALM_TEST(who_closed_first_cannot_bind_the_port) {
    connect_and_close(w, &p.client);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(again.failed, 1);
    ck_assert_int_eq(again.reason_errno, EADDRINUSE);
}

/* The server's FIN arrives at 3 ms + a round trip: TIME_WAIT begins at 5 ms. */
CALM_TEST(the_port_is_free_after_a_minute) {
    connect_and_close(w, &p.client);
    dw_world_run(w, DW_MSEC(60004) - dw_world_now(w));
    connect_from(&again, 9000);
    dw_world_run(w, DW_USEC(900));
    ck_assert_uint_eq(again.failed, 1);
    dw_world_run(w, DW_MSEC(60005) - dw_world_now(w));
    side_init(&again, p.client.reactor);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(again.made, 1);
}

CALM_TEST(who_closed_second_is_free_at_once) {
    connect_and_close(w, &p.server);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(again.made, 1); /* a SYN into the server's TIME_WAIT: a new connection */
}

CALM_TEST(after_a_reset_there_is_no_time_wait) {
    pair_hosts(&p, w);
    connect_from(&p.client, 9000);
    dw_world_run(w, DW_MSEC(3));
    dw_transport_abort_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    side_init(&again, p.client.reactor);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(again.made, 1);
}

/* SO_REUSEADDR. */
CALM_TEST(a_listener_binds_over_the_connections_it_had) {
    connect_and_close(w, &p.server);
    dw_port_stop_listening(p.server.port, NULL, NULL);
    dw_world_run(w, DW_MSEC(1));
    side_listen(&p.server, 80, 0);
}

/* It is not the listener's, and its socket had no SO_REUSEADDR. */
CALM_TEST(a_listener_does_not_bind_over_a_clients_time_wait) {
    connect_and_close(w, &p.client);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(p.client.reactor, 9000, &again.factory.base, 0, NULL, NULL),
        DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(p.client.reactor), EADDRINUSE);
}

CALM_TEST(a_port_in_time_wait_does_not_lead_there_again) {
    pair_hosts(&p, w);
    dw_host_set_ports(p.client_host, 40000, 40000);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    side_init(&again, p.client.reactor);
    side_connect(&again, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(again.reason_errno, EADDRNOTAVAIL);
    dw_world_run(w, DW_SEC(60));
    side_init(&again, p.client.reactor);
    side_connect(&again, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(again.made, 1);
}

/* The kernel keeps it when the program is killed; a machine that loses power forgets. */
CALM_TEST(it_survives_the_program_but_not_the_machine) {
    connect_and_close(w, &p.client);
    dw_host_kill(p.client_host);
    dw_host_restart(p.client_host);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_int_eq(again.reason_errno, EADDRINUSE);
    dw_host_crash(p.client_host);
    dw_host_restart(p.client_host);
    side_init(&again, p.client.reactor);
    connect_from(&again, 9000);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(again.made, 1);
}

int main(void) {
    Suite *suite = suite_create("sim_time_wait");
    TCase *wait = tcase_create("time-wait");
    tcase_add_test(wait, who_closed_first_cannot_bind_the_port);
    tcase_add_test(wait, the_port_is_free_after_a_minute);
    tcase_add_test(wait, who_closed_second_is_free_at_once);
    tcase_add_test(wait, after_a_reset_there_is_no_time_wait);
    tcase_add_test(wait, a_listener_binds_over_the_connections_it_had);
    tcase_add_test(wait, a_listener_does_not_bind_over_a_clients_time_wait);
    tcase_add_test(wait, a_port_in_time_wait_does_not_lead_there_again);
    tcase_add_test(wait, it_survives_the_program_but_not_the_machine);
    suite_add_tcase(suite, wait);
    return run_suite(suite);
}
