/* SPDX-License-Identifier: MIT */
/*
 * UDP on the dry wire, what sockets do: ports, addresses, who hears what, refusals. Tried on
 * loopback and on a veth of Linux 6.18; sums are by hand.
 */
#include "sim_datagrams.h"

#include <drywire/backend.h>

static two_ears t;

/* ---- There and back ---- */

CALM_TEST(a_datagram_takes_the_links_latency_and_names_its_sender) {
    two_init(&t, w);
    dw_world_set_latency(w, t.server_host, t.client_host, DW_MSEC(30));
    ear_say(&t.client, "hello", "10.0.0.1", 53);
    dw_world_run(w, DW_MSEC(30) - 1);
    ck_assert_uint_eq(t.server.heard, 0);
    dw_world_run(w, 1);
    ck_assert(ear_has(&t.server, "hello"));
    ck_assert(is_address(&t.server.from, "10.0.0.2:5000"));
    ck_assert_int_eq(dw_datagram_write(t.server.port, "back", 4, &t.server.from), 4);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.client, "back"));
    ck_assert(is_address(&t.client.from, "10.0.0.1:53"));
    ck_assert_int_eq(t.client.heard_at, DW_MSEC(60));
    ck_assert_uint_eq(t.server.heard + t.client.heard, 2);
}

CALM_TEST(an_empty_datagram_is_one) {
    two_init(&t, w);
    ear_say(&t.client, "", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
    ck_assert_uint_eq(t.server.lens[0], 0);
}

/* 65535 less 20 and 8 bytes of headers (RFC 791, RFC 768). */
CALM_TEST(the_longest_has_65507_bytes) {
    static uint8_t long_one[65508];
    two_init(&t, w);
    dw_address to = t.server_host != NULL ? dw_host_address(t.server_host) : (dw_address){0};
    to.port = 53;
    for (size_t i = 0; i < sizeof(long_one); i++) {
        long_one[i] = stream_byte(i);
    }
    ck_assert_int_eq(dw_datagram_write(t.client.port, long_one, 65508, &to), DW_MESSAGE_TOO_LONG);
    ck_assert_int_eq(dw_datagram_write(t.client.port, long_one, 65507, &to), 65507);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
    ck_assert_uint_eq(t.server.lens[0], 65507);
    ck_assert_mem_eq(t.server.bytes, long_one, 65507);
}

CALM_TEST(pieces_make_one_datagram) {
    two_init(&t, w);
    dw_address to = dw_host_address(t.server_host);
    char parts[2][4] = {"one", "two"};
    struct iovec pieces[3] = {{parts[0], 3}, {parts[1], 0}, {parts[1], 3}};
    to.port = 53;
    ck_assert_int_eq(dw_datagram_writev(t.client.port, pieces, 3, &to), 6);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
    ck_assert(ear_has(&t.server, "onetwo"));
}

CALM_TEST(what_leaves_later_on_a_faster_link_overtakes) {
    two_init(&t, w);
    dw_world_set_latency(w, t.server_host, t.client_host, DW_MSEC(50));
    ear_say(&t.client, "slow", "10.0.0.1", 53);
    dw_world_set_latency(w, t.server_host, t.client_host, DW_MSEC(5));
    ear_say(&t.client, "fast", "10.0.0.1", 53);
    ear_say(&t.client, "Fast", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "fFs");
}

CALM_TEST(within_a_host_it_comes_by_loopback) {
    static ear asking;
    two_init(&t, w);
    ear_listen(&asking, t.server_host, 0);
    uint16_t number = ear_number(&asking);
    char expected[DW_ADDRESS_TEXT_MAX];
    ear_say(&asking, "a", "127.0.0.1", 53);
    dw_world_run(w, DW_USEC(20)); /* the latency within a host */
    ck_assert(ear_has(&t.server, "a"));
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)number);
    ck_assert(is_address(&t.server.from, expected));
    ear_say(&asking, "b", "0.0.0.0", 53); /* Linux: this host */
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "b"));
    ck_assert(is_address(&t.server.from, expected));
    ear_say(&asking, "c", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "c"));
    snprintf(expected, sizeof(expected), "10.0.0.1:%u", (unsigned)number);
    ck_assert(is_address(&t.server.from, expected));
}

CALM_TEST(a_socket_on_all_addresses_of_ipv6_hears_both_kinds) {
    static ear both, six;
    two_init(&t, w);
    ck_assert_int_eq(ear_try_listen(&both, t.server_host, 54, "::"), 0);
    ck_assert_int_eq(ear_try_listen(&six, t.server_host, 0, "::1"), 0);
    ear_say(&six, "6", "::1", 54);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&both, "6"));
    ck_assert(both.from.kind == DW_ADDRESS_IPV6 && both.from.ip[15] == 1);
    ck_assert_uint_eq(both.from.port, ear_number(&six));
    ck_assert_int_eq(dw_datagram_write(both.port, "back", 4, &both.from), 4);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&six, "back"));
    ck_assert(is_address(&six.from, "[::1]:54"));
    ck_assert_int_eq(ear_send(&six, "x", "::ffff:127.0.0.1", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(six.reactor), ENETUNREACH); /* tried on Linux */
    ear_say(&t.client, "4", "10.0.0.1", 54);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&both, "4"));
    ck_assert(is_address(&both.from, "[::ffff:10.0.0.2]:5000") ||
              is_address(&both.from, "[::ffff:a00:2]:5000"));
    ck_assert_int_eq(dw_datagram_write(both.port, "back", 4, &both.from), 4);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.client, "back"));
}

CALM_TEST(hosts_have_an_address_of_ipv6_too) {
    static ear six, asking;
    two_init(&t, w);
    dw_address address = dw_host_address6(t.server_host);
    ck_assert_int_eq(ear_try_listen(&six, t.server_host, 54, "fd00::a00:1"), 0);
    ck_assert_int_eq(ear_try_listen(&asking, t.client_host, 54, "fd00::a00:1"), DW_CANNOT_LISTEN);
    ck_assert_int_eq(ear_try_listen(&asking, t.client_host, 5001, "::"), 0);
    address.port = 54;
    ck_assert_int_eq(dw_datagram_write(asking.port, "6", 1, &address), 1);
    dw_world_run(w, DW_MSEC(1));
    ck_assert(ear_has(&six, "6"));
    address = dw_host_address6(t.client_host);
    address.port = 5001;
    ck_assert(dw_address_equal(&six.from, &address));
    ck_assert_int_eq(dw_datagram_write(six.port, "back", 4, &six.from), 4);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&asking, "back"));
    ear_connect(&asking, "fd00::a00:1", 55);
    ear_tell(&asking, "anybody?");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(asking.refused, 1);
    ck_assert_int_eq(ear_send(&six, "x", "fd00::a00:9", 54), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(six.reactor), ENETUNREACH);
}

/* ---- Ports ---- */

CALM_TEST(a_port_is_taken_once_per_address) {
    static ear e, f;
    two_init(&t, w);
    ck_assert_int_eq(ear_try_listen(&e, t.server_host, 53, NULL), DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(e.reactor), EADDRINUSE);
    ck_assert_int_eq(ear_try_listen(&e, t.server_host, 53, "127.0.0.1"), DW_CANNOT_LISTEN);
    ck_assert_int_eq(ear_try_listen(&e, t.server_host, 53, "::"), DW_CANNOT_LISTEN);
    ck_assert_int_eq(ear_try_listen(&e, t.server_host, 54, "127.0.0.1"), 0);
    ck_assert_int_eq(ear_try_listen(&f, t.server_host, 54, "10.0.0.1"), 0);
    ck_assert_int_eq(ear_try_listen(&f, t.server_host, 54, NULL), DW_CANNOT_LISTEN);
    ck_assert_int_eq(ear_try_listen(&f, t.server_host, 54, "10.0.0.2"), DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(f.reactor), EADDRNOTAVAIL);
}

/* Linux: both have to say so. */
CALM_TEST(who_shares_a_port_shares_with_those_who_share) {
    static ear e[4];
    two_init(&t, w);
    for (int i = 0; i < 3; i++) {
        ear_init(&e[i], t.server_host);
        ck_assert_int_eq(dw_reactor_listen_multicast(e[i].reactor, i == 2 ? 53 : 9, &e[i].protocol,
                                                     NULL, 0, &e[i].port),
                         i == 2 ? DW_CANNOT_LISTEN : 0);
    }
    ck_assert_int_eq(ear_try_listen(&e[3], t.server_host, 9, NULL), DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(e[3].reactor), EADDRINUSE);
}

CALM_TEST(a_closed_port_may_be_taken_again) {
    static ear e;
    two_init(&t, w);
    ck_assert_int_eq(dw_datagram_stop_listening(t.server.port, NULL, NULL), 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.stopped, 1);
    ear_listen(&e, t.server_host, 53);
    ear_say(&t.client, "x", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(e.heard, 1);
    ck_assert_uint_eq(t.server.heard, 0);
}

CALM_TEST(tcp_has_numbers_of_its_own) {
    static side s;
    two_init(&t, w);
    side_init(&s, t.server.reactor);
    side_listen(&s, 53, 0);
    ear_say(&t.client, "x", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
}

/* Linux: net.ipv4.ip_local_port_range. */
CALM_TEST(port_0_is_a_free_one_of_the_ephemeral_ones) {
    static ear e[2];
    two_init(&t, w);
    for (int i = 0; i < 2; i++) {
        ear_listen(&e[i], t.server_host, 0);
        ck_assert_uint_ge(ear_number(&e[i]), 32768);
        ck_assert_uint_le(ear_number(&e[i]), 60999);
    }
    ck_assert_uint_ne(ear_number(&e[0]), ear_number(&e[1]));
}

enum { MANY = 300 };

CALM_TEST(each_of_many_ports_gets_its_own) {
    static ear *many;
    two_init(&t, w);
    many = realloc(many, MANY * sizeof(*many));
    ck_assert_ptr_nonnull(many);
    for (unsigned i = 0; i < MANY; i++) {
        ear_listen(&many[i], t.server_host, (uint16_t)(10000 + i));
    }
    for (unsigned i = 0; i < MANY; i++) {
        ear_say(&t.client, i % 2 ? "odd" : "even", "10.0.0.1", (uint16_t)(10000 + i));
    }
    dw_world_run(w, DW_SEC(1));
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_uint_eq(many[i].heard, 1);
        ck_assert(ear_has(&many[i], i % 2 ? "odd" : "even"));
    }
}

CALM_TEST(the_closest_of_those_that_share_a_port_gets_it) {
    static ear any, own, joined;
    two_init(&t, w);
    ear_init(&any, t.server_host);
    ear_init(&own, t.server_host);
    ear_init(&joined, t.server_host);
    ck_assert_int_eq(
        dw_reactor_listen_multicast(joined.reactor, 9, &joined.protocol, NULL, 0, &joined.port), 0);
    ck_assert_int_eq(
        dw_reactor_listen_multicast(own.reactor, 9, &own.protocol, "10.0.0.1", 0, &own.port), 0);
    ck_assert_int_eq(dw_reactor_listen_multicast(any.reactor, 9, &any.protocol, NULL, 0, &any.port),
                     0);
    ear_connect(&joined, "10.0.0.2", 5000);
    ear_say(&t.client, "to joined", "10.0.0.1", 9);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&joined, "to joined"));
    ear_say(&t.server, "to own", "10.0.0.1", 9);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&own, "to own"));
    ear_say(&t.server, "to any", "127.0.0.1", 9);
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&any, "to any"));
    ck_assert_uint_eq(any.heard + own.heard + joined.heard, 3);
}

CALM_TEST(nobody_has_that_address) {
    two_init(&t, w);
    ck_assert_int_eq(ear_send(&t.client, "x", "10.0.0.9", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(t.client.reactor), ENETUNREACH);
    ck_assert_int_eq(ear_send(&t.client, "x", "192.168.1.1", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(ear_send(&t.client, "x", "10.0.0.1", 0), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(t.client.reactor), EINVAL);
}

/* Linux answers EINVAL. */
CALM_TEST(an_address_of_the_loopback_does_not_lead_out) {
    static ear e;
    two_init(&t, w);
    ck_assert_int_eq(ear_try_listen(&e, t.client_host, 0, "127.0.0.1"), 0);
    ck_assert_int_eq(ear_send(&e, "x", "10.0.0.1", 53), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(e.reactor), EINVAL);
    ear_say(&e, "x", "10.0.0.2", 5000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.heard, 1);
}

/* ---- Connected ---- */

CALM_TEST(a_connected_port_hears_its_peer_only) {
    static ear other;
    two_init(&t, w);
    ear_listen(&other, t.client_host, 5001);
    ear_connect(&t.server, "10.0.0.2", 5000);
    dw_address own = dw_datagram_host(t.server.port);
    ck_assert(is_address(&own, "10.0.0.1:53")); /* it was 0.0.0.0:53 */
    ear_say(&other, "not me", "10.0.0.1", 53);
    ear_say(&t.client, "me", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 1);
    ck_assert(ear_has(&t.server, "me"));
    ear_tell(&t.server, "yes");
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.client, "yes"));
    ear_connect(&other, "10.0.0.1", 53); /* for it that port is closed: tried on Linux */
    ear_tell(&other, "again");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(other.refused, 1);
}

/* ICMP port unreachable comes back over the link (RFC 1122, section 4.1.3.1). */
CALM_TEST(a_refusal_takes_the_way_there_and_back) {
    two_init(&t, w);
    dw_world_set_latency(w, t.server_host, t.client_host, DW_MSEC(20));
    ear_connect(&t.client, "10.0.0.1", 54);
    ear_tell(&t.client, "anybody?");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused, 1);
    ck_assert_int_eq(t.client.refused_at, DW_MSEC(40));
}

CALM_TEST(who_is_not_connected_hears_of_no_refusal) {
    two_init(&t, w);
    ear_say(&t.client, "anybody?", "10.0.0.1", 54);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused + t.client.heard, 0);
}

CALM_TEST(a_killed_program_refuses_and_a_dark_machine_is_silent) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    dw_host_kill(t.server_host);
    ear_tell(&t.client, "a");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused, 1);
    dw_host_restart(t.server_host);
    dw_host_crash(t.server_host);
    ear_tell(&t.client, "b");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused, 1);
    dw_host_restart(t.server_host);
    ear_listen(&t.server, t.server_host, 53);
    ear_tell(&t.client, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "c"));
    ck_assert_uint_eq(t.server.heard, 1);
}

CALM_TEST(a_cut_link_carries_neither_datagram_nor_refusal) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 54);
    dw_world_partition_one_way(w, t.server_host, t.client_host);
    ear_tell(&t.client, "the answer is lost");
    dw_world_run(w, DW_SEC(1));
    dw_world_repair(w, t.server_host, t.client_host);
    dw_world_partition_one_way(w, t.client_host, t.server_host);
    ear_tell(&t.client, "lost");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused, 0);
    dw_world_heal(w);
    ear_tell(&t.client, "refused");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.client.refused, 1);
}

/* The slots of the wire, below core. Linux tells the error before what has arrived, once, by send
 * or by recv; the datagram of a send that tells it is not sent. */
CALM_TEST(a_refusal_is_told_once_and_before_what_has_arrived) {
    two_init(&t, w);
    dw_reactor *reactor = t.client.reactor;
    const dw_wire *wire = reactor->wire;
    dw_io io = {.kind = DW_IO_DATAGRAM};
    dw_address to = dw_host_address(t.server_host), own, from;
    char byte[] = "x";
    const uint8_t *data;
    struct iovec piece = {byte, 1};
    to.port = 54;
    ck_assert_int_eq(wire->open(reactor, &io, DW_ADDRESS_IPV4), 0);
    ck_assert_int_eq(wire->send_to(reactor, &io, &piece, 1, NULL), -EDESTADDRREQ);
    ck_assert_int_eq(wire->connect(reactor, &io, &to), 0);
    ck_assert_int_eq(wire->local_address(reactor, &io, &own), 0);
    ck_assert_int_eq(wire->recv_from(reactor, &io, 99, &data, &from), -EAGAIN);
    ck_assert_int_eq(wire->send_to(reactor, &io, &piece, 1, NULL), 1);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(wire->send_to(reactor, &io, &piece, 1, NULL), -ECONNREFUSED);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(wire->recv_from(reactor, &io, 99, &data, &from), -EAGAIN);
    static ear answering;
    ear_listen(&answering, t.server_host, 54);
    ear_say(&answering, "data", "10.0.0.2", own.port);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(dw_datagram_stop_listening(answering.port, NULL, NULL), 0);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(wire->send_to(reactor, &io, &piece, 1, NULL), 1);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_int_eq(wire->recv_from(reactor, &io, 99, &data, &from), -ECONNREFUSED);
    ck_assert_int_eq(wire->recv_from(reactor, &io, 3, &data, &from), 3); /* cut */
    ck_assert_mem_eq(data, "dat", 3);
    ck_assert(is_address(&from, "10.0.0.1:54"));
    ck_assert_int_eq(wire->recv_from(reactor, &io, 99, &data, &from), -EAGAIN);
    wire->close(reactor, &io, false);
    ck_assert_int_eq(io.socket, DW_SOCKET_NONE);
}

CALM_TEST(a_refusal_is_not_for_who_has_the_port_now) {
    two_init(&t, w);
    dw_reactor *reactor = t.client.reactor;
    const dw_wire *wire = reactor->wire;
    dw_address to = dw_host_address(t.server_host), own, from;
    char byte[] = "x";
    const uint8_t *data;
    struct iovec piece = {byte, 1};
    dw_io io = {.kind = DW_IO_DATAGRAM}, next = io;
    to.port = 54;
    ck_assert_int_eq(wire->open(reactor, &io, DW_ADDRESS_IPV4), 0);
    ck_assert_int_eq(wire->connect(reactor, &io, &to), 0);
    ck_assert_int_eq(wire->local_address(reactor, &io, &own), 0);
    ck_assert_int_eq(wire->send_to(reactor, &io, &piece, 1, NULL), 1);
    dw_world_run(w, DW_USEC(1500)); /* the refusal is on its way */
    wire->close(reactor, &io, false);
    ck_assert_int_eq(wire->open(reactor, &next, DW_ADDRESS_IPV4), 0);
    ck_assert_int_eq(wire->bind(reactor, &next, &own), 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(wire->recv_from(reactor, &next, 9, &data, &from), -EAGAIN);
    wire->close(reactor, &next, false);
}

int main(void) {
    Suite *suite = suite_create("sim_datagram");
    TCase *tc = tcase_create("sockets");
    tcase_add_test(tc, a_datagram_takes_the_links_latency_and_names_its_sender);
    tcase_add_test(tc, an_empty_datagram_is_one);
    tcase_add_test(tc, the_longest_has_65507_bytes);
    tcase_add_test(tc, pieces_make_one_datagram);
    tcase_add_test(tc, what_leaves_later_on_a_faster_link_overtakes);
    tcase_add_test(tc, within_a_host_it_comes_by_loopback);
    tcase_add_test(tc, a_socket_on_all_addresses_of_ipv6_hears_both_kinds);
    tcase_add_test(tc, hosts_have_an_address_of_ipv6_too);
    tcase_add_test(tc, a_port_is_taken_once_per_address);
    tcase_add_test(tc, who_shares_a_port_shares_with_those_who_share);
    tcase_add_test(tc, a_closed_port_may_be_taken_again);
    tcase_add_test(tc, tcp_has_numbers_of_its_own);
    tcase_add_test(tc, port_0_is_a_free_one_of_the_ephemeral_ones);
    tcase_add_test(tc, each_of_many_ports_gets_its_own);
    tcase_add_test(tc, the_closest_of_those_that_share_a_port_gets_it);
    tcase_add_test(tc, nobody_has_that_address);
    tcase_add_test(tc, an_address_of_the_loopback_does_not_lead_out);
    tcase_add_test(tc, a_connected_port_hears_its_peer_only);
    tcase_add_test(tc, a_refusal_takes_the_way_there_and_back);
    tcase_add_test(tc, who_is_not_connected_hears_of_no_refusal);
    tcase_add_test(tc, a_killed_program_refuses_and_a_dark_machine_is_silent);
    tcase_add_test(tc, a_cut_link_carries_neither_datagram_nor_refusal);
    tcase_add_test(tc, a_refusal_is_told_once_and_before_what_has_arrived);
    tcase_add_test(tc, a_refusal_is_not_for_who_has_the_port_now);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
