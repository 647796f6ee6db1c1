/* SPDX-License-Identifier: MIT */
/*
 * UDP on the dry wire: ports, addresses, refusals, buffers, broadcast, and what a network does to
 * datagrams. What sockets do was tried on loopback and on a veth of Linux 6.18; sums are by hand.
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

/* ---- Buffers and size ---- */

static void say_many(unsigned n, const char *text) {
    for (unsigned i = 0; i < n; i++) {
        ear_say(&t.client, text, "10.0.0.1", 53);
    }
}

/* Linux 6.18: 256 datagrams of a byte fit into the 212992 bytes of rmem_default, at 832 each. */
CALM_TEST(a_receive_buffer_holds_so_much_and_the_rest_is_lost) {
    two_init(&t, w);
    dw_datagram_pause_producing(t.server.port);
    say_many(300, "");
    dw_world_run(w, DW_SEC(1));
    dw_datagram_resume_producing(t.server.port);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 256);
    say_many(3, "x"); /* there is room again */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 259);
}

CALM_TEST(the_size_of_the_buffer_is_the_scenarios_to_say) {
    two_init(&t, w);
    dw_world_set_datagram_buffer(w, 3 * (DW_DATAGRAM_COST + 10));
    dw_datagram_pause_producing(t.server.port);
    say_many(5, "0123456789");
    dw_world_run(w, DW_SEC(1));
    dw_datagram_resume_producing(t.server.port);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.heard, 3);
    dw_world_set_datagram_buffer(w, 0); /* one always fits */
    say_many(2, "x");
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
    say_many(3, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(t.server.stopped, 1);
    ck_assert_uint_ge(t.server.heard, 1);
}

CALM_TEST(a_program_may_be_killed_inside_its_callback) {
    two_init(&t, w);
    t.server.on_heard = kill_server;
    say_many(3, "x");
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

/* ---- Faults ---- */

LIST_TEST(lose_loses_this_one, {"udp client:5000>server:53", "lose", 2, 1}) {
    two_init(&t, w);
    say_many(1, "a");
    say_many(1, "b");
    say_many(1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ac");
}

LIST_TEST(duplicate_sends_two_of_it, {"udp client:5000>server:53", "duplicate", 2, 1}) {
    two_init(&t, w);
    say_many(1, "a");
    say_many(1, "b");
    say_many(1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "abbc");
}

/* Each of the two is a datagram by itself: its draws are those behind the first one's. */
LIST_TEST(a_duplicate_may_be_late_and_lost, {"udp client:5000>server:53", "duplicate", 1, 1},
          {"udp client:5000>server:53", "reorder", 2, DW_MSEC(10)},
          {"udp client:5000>server:53", "lose", 1, 1}) {
    two_init(&t, w);
    say_many(1, "a");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "a");
    ck_assert_int_eq(t.server.heard_at, DW_MSEC(11));
}

LIST_TEST(reorder_lets_later_ones_overtake,
          {"udp client:5000>server:53", "reorder", 1, DW_USEC(1500)}) {
    two_init(&t, w);
    say_many(1, "a");
    say_many(1, "b");
    dw_world_run(w, DW_MSEC(1));
    say_many(1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "bca");
    ck_assert_uint_eq(t.server.heard, 3);
}

/* 'a' is 0x61: bit 1 makes it 0x63; value 2 is bit 1. Value 16 is the highest bit of byte 1. */
LIST_TEST(corrupt_inverts_one_bit, {"udp client:5000>server:53", "corrupt", 1, 2},
          {"udp client:5000>server:53", "corrupt", 2, 16}) {
    two_init(&t, w);
    say_many(1, "abc");
    dw_world_run(w, DW_MSEC(2));
    ck_assert(ear_has(&t.server, "cbc"));
    say_many(1, "abc");
    dw_world_run(w, DW_MSEC(2));
    ck_assert_mem_eq(t.server.bytes, "a\xe2\x63", 3);
    say_many(1, "abc");
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "abc"));
}

LIST_TEST(unreachable_refuses_though_somebody_is_there,
          {"udp client:5000>server:53", "unreachable", 2, 1}) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "a");
    ear_tell(&t.client, "b");
    dw_world_run(w, DW_SEC(1));
    ear_tell(&t.client, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ac");
    ck_assert_uint_eq(t.client.refused, 1);
    ck_assert_int_eq(t.client.refused_at, DW_MSEC(2));
}

LIST_TEST(a_datagram_is_late_by_the_links_choice_too,
          {"link client>server", "latency", 1, DW_MSEC(9)}) {
    two_init(&t, w);
    say_many(1, "a");
    say_many(1, "b");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ba");
    ck_assert_int_eq(t.server.heard_at, DW_MSEC(10));
}

LIST_TEST(a_partition_by_choice_loses_for_so_long,
          {"link client>server", "partition", 1, DW_MSEC(40)}) {
    two_init(&t, w);
    say_many(1, "a");
    dw_world_run(w, DW_MSEC(20));
    say_many(1, "b");
    dw_world_run(w, DW_MSEC(25));
    say_many(1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "c");
}

/* ---- What is offered, and seeds ---- */

enum { DATAGRAM_KINDS = 5 };
static const sim_kind kinds[DATAGRAM_KINDS] = {SIM_LOSE, SIM_DUPLICATE, SIM_REORDER, SIM_CORRUPT,
                                               SIM_UNREACHABLE};

static uint32_t all_kinds(void) {
    uint32_t bits = 0;
    for (int i = 0; i < DATAGRAM_KINDS; i++) {
        bits |= 1u << kinds[i];
    }
    return bits;
}

static sim_offers offers_of(void (*run)(dw_world *w), uint32_t of_kinds) {
    sim_offers offers = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = of_kinds};
    dw_scenario scenario = {.name = "offers", .run = run};
    sim_runner *runner = sim_runner_new();
    sim_source source = calm();
    sim_outcome outcome;
    sim_run(runner, &scenario, &source, &options, &outcome);
    ck_assert(!outcome.failed);
    sim_runner_free(runner);
    return offers;
}

static void one_connected(dw_world *w) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_datagram_that_arrives_offers_each_draw_once) {
    static const struct {
        const char *what;
        uint64_t options;
    } expected[] = {{"reorder", 0},
                    {"duplicate", 2},
                    {"lose", 2},
                    {"unreachable", 2},
                    {"corrupt", 25}}; /* 3 bytes of 8 bits, and none */
    sim_offers offers = offers_of(one_connected, all_kinds());
    ck_assert_uint_eq(offers.count, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(offers.items[i].at.who, "udp client:5000>server:53");
        ck_assert_str_eq(offers.items[i].at.what, expected[i].what);
        ck_assert_uint_eq(offers.items[i].at.nth, 1);
        ck_assert_uint_eq(offers.items[i].options, expected[i].options);
    }
    sim_offers_free(&offers);
}
END_TEST

/* Nobody would notice whether one is lost that nobody gets. */
static void none_gets_any(dw_world *w) {
    two_init(&t, w);
    ear_say(&t.client, "closed", "10.0.0.1", 54);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, t.server_host, t.client_host);
    ear_say(&t.client, "cut", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(one_that_nobody_gets_offers_nothing_at_its_end) {
    sim_offers offers = offers_of(none_gets_any, all_kinds() | 1u << SIM_LATENCY);
    ck_assert_uint_eq(offers.count, 6); /* and no ICMP message for who would not hear of it */
    for (size_t i = 0; i < offers.count; i++) {
        sim_kind kind = sim_kind_of(offers.items[i].at.what);
        ck_assert(kind == SIM_REORDER || kind == SIM_DUPLICATE || kind == SIM_LATENCY);
    }
    sim_offers_free(&offers);
}
END_TEST

static void too_large(dw_world *w) {
    two_init(&t, w);
    dw_world_set_mtu(w, t.server_host, t.client_host, 30);
    ear_say(&t.client, "large", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(one_that_is_too_large_offers_nothing) {
    sim_offers offers = offers_of(too_large, all_kinds() | 1u << SIM_LATENCY);
    ck_assert_uint_eq(offers.count, 0);
    sim_offers_free(&offers);
}
END_TEST

static void answer(ear *e) {
    if (e->heard < 200) {
        dw_datagram_write(e->port, e->bytes, e->heard <= EAR_KEEP ? e->lens[e->heard - 1] : 1,
                          &e->from);
    }
}

/* Ears that answer each other, one by a connected port; killed and restarted meanwhile. */
static void chatty(dw_world *w) {
    static ear connected;
    two_init(&t, w);
    ear_listen(&connected, t.client_host, 0);
    ear_connect(&connected, "10.0.0.1", 53);
    t.server.on_heard = t.client.on_heard = answer;
    for (int i = 0; i < 10; i++) {
        if (t.client.port == NULL || connected.port == NULL) {
            break;
        }
        ear_send(&t.client, "hello", "10.0.0.1", 53);
        dw_datagram_write(connected.port, "connected", 9, NULL);
        dw_world_run(w, DW_MSEC(3));
    }
    dw_world_run(w, DW_SEC(1));
}

START_TEST(what_a_seed_took_of_datagrams_replays_as_a_list) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "chatty", .run = chatty};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_source source = seeded(seed);
        source.kinds = all_kinds() | 1u << SIM_LATENCY | 1u << SIM_PARTITION | 1u << SIM_ORDER;
        played first, second;
        play_scenario(runner, &scenario, source, seed % 10 == 0, &first);
        play_scenario(runner, &scenario, listed(&first.taken), seed % 10 == 0, &second);
        expect_good(&first);
        ck_assert_msg(first.outcome.hash == second.outcome.hash, "seed %llu",
                      (unsigned long long)seed);
        ck_assert_uint_eq(first.taken.count, second.taken.count);
        if (first.timeline != NULL) {
            ck_assert_str_eq(first.timeline, second.timeline);
        }
        played_free(&first);
        played_free(&second);
    }
    sim_runner_free(runner);
}
END_TEST

START_TEST(every_offer_of_a_datagram_can_be_taken) {
    sim_offers offers = offers_of(chatty, all_kinds());
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "chatty", .run = chatty};
    unsigned met[DATAGRAM_KINDS] = {0};
    size_t step = offers.count / 200 + 1;
    for (size_t i = 0; i < offers.count; i += step) {
        sim_deviation d = offers.items[i].at;
        sim_list list = {&d, 1, 1};
        played result;
        d.value = sim_kind_is_time(sim_kind_of(d.what)) ? (uint64_t)DW_MSEC(30)
                                                        : offers.items[i].options - 1;
        play_scenario(runner, &scenario, listed(&list), false, &result);
        expect_good(&result);
        ck_assert_uint_eq(result.taken.count, 1);
        ck_assert(same_deviation(&result.taken.items[0], &d));
        for (int k = 0; k < DATAGRAM_KINDS; k++) {
            met[k] += sim_kind_of(d.what) == kinds[k];
        }
        played_free(&result);
    }
    for (int k = 0; k < DATAGRAM_KINDS; k++) {
        ck_assert_msg(met[k] > 0, "%s", sim_kind_name(kinds[k]));
    }
    sim_runner_free(runner);
    sim_offers_free(&offers);
}
END_TEST

/* ---- Seeing it ---- */

static void three_fates(dw_world *w) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, t.server_host, t.client_host);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(the_timeline_tells_what_became_of_each) {
    static const char *const lines[] = {
        "udp client:5000>server:53       sent, 3 bytes",
        "udp client:5000>server:53       arrives",
        "udp server:53                   ear: datagram_received 3 \"abc\"",
        "udp client:5000>server:53       datagram lost: the link is cut",
    };
    played p;
    play(three_fates, calm(), true, &p);
    expect_good(&p);
    const char *at = p.timeline;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *found = strstr(at, lines[i]);
        ck_assert_msg(found != NULL, "'%s' is not in\n%s", lines[i], p.timeline);
        at = found;
    }
    played_free(&p);
}
END_TEST

static TCase *sockets_case(void) {
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
    return tc;
}

static TCase *faults_case(void) {
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, lose_loses_this_one);
    tcase_add_test(tc, duplicate_sends_two_of_it);
    tcase_add_test(tc, a_duplicate_may_be_late_and_lost);
    tcase_add_test(tc, reorder_lets_later_ones_overtake);
    tcase_add_test(tc, corrupt_inverts_one_bit);
    tcase_add_test(tc, unreachable_refuses_though_somebody_is_there);
    tcase_add_test(tc, a_datagram_is_late_by_the_links_choice_too);
    tcase_add_test(tc, a_partition_by_choice_loses_for_so_long);
    tcase_add_test(tc, a_datagram_that_arrives_offers_each_draw_once);
    tcase_add_test(tc, one_that_nobody_gets_offers_nothing_at_its_end);
    tcase_add_test(tc, one_that_is_too_large_offers_nothing);
    tcase_add_test(tc, what_a_seed_took_of_datagrams_replays_as_a_list);
    tcase_add_test(tc, every_offer_of_a_datagram_can_be_taken);
    tcase_add_test(tc, the_timeline_tells_what_became_of_each);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_datagram");
    suite_add_tcase(suite, sockets_case());
    suite_add_tcase(suite, faults_case());
    return run_suite(suite);
}
