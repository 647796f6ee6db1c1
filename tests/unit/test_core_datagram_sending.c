/* SPDX-License-Identifier: MIT */
/*
 * What datagram ports send, and where: refusals, datagrams that are lost on the way out, connected
 * ports, options and groups; on a wire that does what the test says.
 */
#include "core_datagrams.h"

/* ---- Refusals ---- */

/* udp-udp-connected-refused */
START_TEST(a_refusal_found_by_reading_is_told_and_the_port_lives) {
    fake *f = net_new();
    gram *g = gram_new();
    connect_udp(open_udp(f, g));
    net_queue(-ECONNREFUSED, 1);
    net_queue(3, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_str_eq(g->log, "start refused");
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

/* udp-udp-unconnected-refused */
START_TEST(a_port_that_is_not_connected_hears_of_no_refusal) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(-ECONNREFUSED, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start");
    fake_fini(f);
}
END_TEST

START_TEST(a_refusal_found_by_writing_is_told_later_and_this_one_is_sent) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    net.sends[net.send_count++] = -ECONNREFUSED;
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 3);
    ck_assert_uint_eq(net.sent, 1);
    ck_assert_str_eq(g->log, "start"); /* not inside the call */
    fake_settle(f);
    ck_assert_str_eq(g->log, "start refused");
    fake_fini(f);
}
END_TEST

START_TEST(a_refusal_that_is_still_to_be_told_dies_with_the_port) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    net.sends[net.send_count++] = -ECONNREFUSED;
    dw_datagram_stop_listening(port, NULL, NULL);
    dw_datagram_write(port, "abc", 3, NULL);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop destroy");
    fake_fini(f);
}
END_TEST

/* A UNIX socket's peer is gone for good: ECONNREFUSED, then ENOTCONN (Linux). */
START_TEST(a_unix_peer_that_is_gone_refuses_each_datagram) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, &port), 0);
    net.sends[net.send_count++] = -ECONNREFUSED;
    net.sends[net.send_count++] = -ENOTCONN;
    net.sends[net.send_count++] = -ENOTCONN;
    net.sends[net.send_count++] = -ENOTCONN;
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 0);
    fake_settle(f);
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start refused refused");
    fake_fini(f);
}
END_TEST

/* ---- Writing ---- */

START_TEST(write_takes_an_address_of_its_own_kind) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    dw_address six, path, to, other;
    dw_address_parse(&six, "::1", 9);
    dw_address_unix(&path, "/a");
    dw_address_parse(&to, "192.0.2.9", 999);
    dw_address_parse(&other, "192.0.2.9", 998);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &six), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &path), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &(dw_address){0}), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, NULL, 0, &to), 0);
    ck_assert_uint_eq(net.sent, 1); /* an empty datagram is one */
    connect_udp(port);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &other), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &to), 1);
    ck_assert(net.to_null);
    fake_fini(f);
}
END_TEST

START_TEST(pieces_are_one_datagram) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    struct iovec pieces[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    ck_assert_int_eq(dw_datagram_writev(port, pieces, 3, &net.from), 5);
    ck_assert_uint_eq(net.sent, 1);
    ck_assert_int_eq(dw_datagram_writev(port, NULL, 0, &net.from), 0);
    ck_assert_uint_eq(net.sent, 2);
    ck_assert_int_eq(dw_datagram_writev(port, pieces, DW_DATAGRAM_PIECES_MAX + 1, &net.from),
                     DW_INVALID_ARGUMENT);
    fake_fini(f);
}
END_TEST

START_TEST(what_the_network_has_no_room_for_is_lost) {
    static const struct {
        int error;
        ssize_t result;
    } cases[] = {{EAGAIN, 0},
                 {ENOBUFS, 0},
                 {EINTR, 0},
                 {EMSGSIZE, DW_MESSAGE_TOO_LONG},
                 {EPERM, DW_SYSTEM_ERROR},
                 {ENETUNREACH, DW_SYSTEM_ERROR}};
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    net.sends[net.send_count++] = -cases[_i].error;
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &net.from), cases[_i].result);
    if (cases[_i].result == DW_SYSTEM_ERROR) {
        ck_assert_int_eq(dw_reactor_errno(&f->reactor), cases[_i].error);
    }
    fake_fini(f);
}
END_TEST

/* ---- Connecting ---- */

START_TEST(connecting_filters_what_waits_already) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    dw_address peer = dw_datagram_peer(port);
    ck_assert(dw_address_equal(&peer, &net.from));
    net_queue(1, 1);
    net.from.port++;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 0);
    net_queue(1, 1);
    net.from.port--;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

START_TEST(connecting_takes_a_literal_once) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_connect(port, "localhost", 9), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_connect(port, NULL, 9), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_connect(port, "::1", 9), DW_INVALID_ADDRESS);
    net.connect_error = ENETUNREACH;
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), DW_SYSTEM_ERROR);
    ck_assert_uint_eq(dw_datagram_peer(port).kind, DW_ADDRESS_NONE);
    net.connect_error = 0;
    connect_udp(port);
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), DW_ALREADY_CONNECTED);
    fake_fini(f);
}
END_TEST

START_TEST(an_adopted_socket_may_be_connected_already) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port;
    net.peer = net.from;
    bound = net.from;
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, -EBADF, &g->base, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, -EMFILE, &g->base, 0, NULL),
                     DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, &port), 0);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, NULL), 1);
    fake_fini(f);
}
END_TEST

/* ---- Options and groups ---- */

START_TEST(options_go_to_the_wire) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(port, true), 0);
    ck_assert(dw_datagram_get_broadcast_allowed(port));
    ck_assert_int_eq(dw_datagram_set_ttl(port, 255), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(port), 255);
    ck_assert_int_eq(dw_datagram_set_ttl(port, 256), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_set_ttl(port, -1), DW_INVALID_ARGUMENT);
    net.option_error = EOPNOTSUPP;
    ck_assert_int_eq(dw_datagram_get_ttl(port), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_set_loopback_mode(port, false), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EOPNOTSUPP);
    fake_fini(f);
}
END_TEST

START_TEST(groups_are_literals_of_multicast_addresses) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", "192.0.2.1"), 0);
    ck_assert(net.joined && !net.by_null && net.group.ip[0] == 239 && net.by.ip[0] == 192);
    ck_assert_int_eq(dw_datagram_leave_group(port, "239.1.2.3", NULL), 0);
    ck_assert(!net.joined && net.by_null);
    ck_assert_int_eq(dw_datagram_join_group(port, "192.0.2.9", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "240.0.0.1", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "ff02::1", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", "lo"), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(port, NULL), DW_UNSUPPORTED);
    net.option_error = EADDRINUSE;
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", NULL), DW_SYSTEM_ERROR);
    fake_fini(f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("sending");
    tcase_add_test(tc, a_refusal_found_by_reading_is_told_and_the_port_lives);
    tcase_add_test(tc, a_port_that_is_not_connected_hears_of_no_refusal);
    tcase_add_test(tc, a_refusal_found_by_writing_is_told_later_and_this_one_is_sent);
    tcase_add_test(tc, a_refusal_that_is_still_to_be_told_dies_with_the_port);
    tcase_add_test(tc, a_unix_peer_that_is_gone_refuses_each_datagram);
    tcase_add_test(tc, write_takes_an_address_of_its_own_kind);
    tcase_add_test(tc, pieces_are_one_datagram);
    tcase_add_loop_test(tc, what_the_network_has_no_room_for_is_lost, 0, 6);
    tcase_add_test(tc, connecting_filters_what_waits_already);
    tcase_add_test(tc, connecting_takes_a_literal_once);
    tcase_add_test(tc, an_adopted_socket_may_be_connected_already);
    tcase_add_test(tc, options_go_to_the_wire);
    tcase_add_test(tc, groups_are_literals_of_multicast_addresses);
    return run_case(tc);
}
