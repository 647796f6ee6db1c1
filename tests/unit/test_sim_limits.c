/* SPDX-License-Identifier: MIT */
/*
 * What a host runs out of: descriptors (accept(2), socket(2): EMFILE) and ports (ip(7):
 * ip_local_port_range). What Linux 6.18 says was tried in a network namespace with a range of four
 * ports: EADDRNOTAVAIL from connect, EADDRINUSE from bind; and each destination has all four.
 */
#include "sim_support.h"

enum { MANY = 6 };

static pair p;
static side many[MANY], servers[MANY];
static dw_factory crowd;
static unsigned crowd_size;

/* A server that takes any number. */
static dw_protocol *crowd_build(dw_factory *f, const dw_address *peer) {
    (void)f;
    return crowd_size < MANY ? side_build(&servers[crowd_size++].factory.base, peer) : NULL;
}

static void crowd_listen(dw_reactor *reactor, uint16_t port) {
    static const dw_factory_class cls = {.name = "crowd", .build_protocol = crowd_build};
    crowd_size = 0;
    for (unsigned i = 0; i < MANY; i++) {
        side_init(&servers[i], reactor);
    }
    dw_factory_init(&crowd, &cls);
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, port, &crowd, 0, NULL, NULL), 0);
}

static void connect_many(dw_host *host, uint16_t port, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++) {
        side_init(&many[i], dw_host_reactor(host));
        side_connect(&many[i], "10.0.0.1", port);
    }
}

/* ---- Descriptors ---- */

CALM_TEST(a_client_without_descriptors_fails_with_emfile) {
    pair_hosts(&p, w);
    crowd_listen(p.server.reactor, 81);
    dw_host_set_descriptor_limit(p.client_host, 2);
    connect_many(p.client_host, 81, 0, 3);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(many[0].made + many[1].made, 2);
    ck_assert_uint_eq(many[2].failed, 1);
    ck_assert_int_eq(many[2].reason_errno, EMFILE);
    dw_transport_lose_connection(many[0].protocol.transport);
    dw_world_run(w, DW_SEC(1));
    connect_many(p.client_host, 81, 2, 3); /* one is free again */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(many[2].made, 1);
}

CALM_TEST(listening_without_descriptors_fails_with_emfile) {
    pair_hosts(&p, w);
    side another;
    side_init(&another, p.server.reactor);
    dw_host_set_descriptor_limit(p.server_host, 1);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(p.server.reactor, 81, &another.factory.base, 0, NULL, NULL),
        DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(p.server.reactor), EMFILE);
}

/* As on the live wire: the connection is accepted by a reserve and closed; the peer sees an orderly
 * end. The port rests for 100 ms then, so the next one waits in the queue. */
CALM_TEST(a_server_without_descriptors_closes_what_it_accepts) {
    pair_hosts(&p, w);
    crowd_listen(p.server.reactor, 81);
    dw_host_set_descriptor_limit(p.server_host, 3); /* two ports and one connection */
    connect_many(p.client_host, 81, 0, 3);
    dw_world_run(w, DW_MSEC(50));
    ck_assert_uint_eq(many[0].made + many[1].made + many[2].made, 3);
    ck_assert_uint_eq(crowd_size, 1);
    ck_assert_uint_eq(many[0].lost, 0);
    ck_assert_uint_eq(many[1].lost, 1);
    ck_assert_int_eq(many[1].reason, DW_CONNECTION_DONE);
    ck_assert_uint_eq(many[2].lost, 0);
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(many[2].lost, 1);
}

CALM_TEST(a_port_works_again_when_descriptors_are_free) {
    pair_hosts(&p, w);
    crowd_listen(p.server.reactor, 81);
    dw_host_set_descriptor_limit(p.server_host, 3);
    connect_many(p.client_host, 81, 0, 3);
    dw_world_run(w, DW_MSEC(50));
    dw_transport_lose_connection(servers[0].protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(crowd_size, 2); /* many[2] was taken after the rest */
    ck_assert_uint_eq(many[2].lost, 0);
}

CALM_TEST(a_killed_host_has_all_descriptors_again) {
    pair_connect(&p, w);
    dw_host_set_descriptor_limit(p.server_host, 2);
    dw_host_kill(p.server_host);
    dw_host_restart(p.server_host);
    crowd_listen(p.server.reactor, 80);
    connect_many(p.client_host, 80, 0, 1);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(crowd_size, 1);
    ck_assert_uint_eq(many[0].lost, 0);
}

/* ---- Ports ---- */

CALM_TEST(without_a_port_connecting_fails) {
    pair_hosts(&p, w);
    crowd_listen(p.server.reactor, 81);
    dw_host_set_ports(p.client_host, 40000, 40003);
    connect_many(p.client_host, 81, 0, 5);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(crowd_size, 4);
    ck_assert_uint_eq(many[4].failed, 1);
    ck_assert_int_eq(many[4].reason_errno, EADDRNOTAVAIL);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(dw_transport_peer(servers[i].protocol.transport).port, 40000 + i);
    }
}

CALM_TEST(another_destination_has_its_own_ports) {
    pair_hosts(&p, w);
    crowd_listen(p.server.reactor, 81);
    dw_host_set_ports(p.client_host, 40000, 40000);
    connect_many(p.client_host, 81, 0, 1);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(many[0].made, 1);
    ck_assert_uint_eq(p.client.made, 1);
}

CALM_TEST(without_a_port_binding_fails) {
    pair_hosts(&p, w);
    dw_host_set_ports(p.client_host, 40000, 40000);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    side_init(&many[0], p.client.reactor);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(p.client.reactor, 0, &many[0].factory.base, 0, NULL, NULL),
        DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(p.client.reactor), EADDRINUSE);
}

/* Tried with the same range: the fifth bind meets EADDRINUSE. */
CALM_TEST(udp_has_the_range_too) {
    static const dw_datagram_protocol_class cls = {.name = "quiet"};
    static dw_datagram_protocol quiet[5];
    dw_host *host = dw_world_add_host(w, "host", NULL, NULL);
    dw_reactor *reactor = dw_host_reactor(host);
    dw_host_set_ports(host, 40000, 40003);
    for (unsigned i = 0; i < 5; i++) {
        dw_datagram_protocol_init(&quiet[i], &cls);
        int error = dw_reactor_listen_udp(reactor, 0, &quiet[i], NULL, 0, NULL);
        ck_assert_int_eq(error, i < 4 ? 0 : DW_CANNOT_LISTEN);
    }
    ck_assert_int_eq(dw_reactor_errno(reactor), EADDRINUSE);
}

int main(void) {
    Suite *suite = suite_create("sim_limits");
    TCase *descriptors = tcase_create("descriptors");
    tcase_add_test(descriptors, a_client_without_descriptors_fails_with_emfile);
    tcase_add_test(descriptors, listening_without_descriptors_fails_with_emfile);
    tcase_add_test(descriptors, a_server_without_descriptors_closes_what_it_accepts);
    tcase_add_test(descriptors, a_port_works_again_when_descriptors_are_free);
    tcase_add_test(descriptors, a_killed_host_has_all_descriptors_again);
    suite_add_tcase(suite, descriptors);
    TCase *ports = tcase_create("ports");
    tcase_add_test(ports, without_a_port_connecting_fails);
    tcase_add_test(ports, another_destination_has_its_own_ports);
    tcase_add_test(ports, without_a_port_binding_fails);
    tcase_add_test(ports, udp_has_the_range_too);
    suite_add_tcase(suite, ports);
    return run_suite(suite);
}
