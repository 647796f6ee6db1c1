/* SPDX-License-Identifier: MIT */
/*
 * Streams on every wire: opening, writing, addresses and options, what build_protocol answers, the
 * flags. The expectations are what the real Twisted did: each case names the vectors
 * (vectors/README.md).
 */
#include "stream_pair.h"

#include <stdio.h>

/* ---- Basic connections ---- */

/* tcp-basic-echo-client-closes */
CONF_CASE(echo_then_the_client_closes) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = do_echo;
    p.c.on_data = do_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(p.g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_mem_eq(p.c.bytes, "hello", 5);
    pair_fini(&p);
}

/* tcp-basic-greeting-goodbye */
CONF_CASE(the_server_greets_and_closes_in_connection_made) {
    WITH_PAIR(p);
    p.s.on_made = hello_and_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data lost:CONNECTION_DONE", "made lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.c.received, 5);
    pair_fini(&p);
}

static void write_in_pieces(side *s) {
    struct iovec pieces[3] = {{"ab", 2}, {"", 0}, {"cd", 2}};
    side_say(s, "");
    side_say(s, "12");
    dw_transport_writev(s->protocol.transport, pieces, 3);
    side_say(s, "34");
}

/* tcp-basic-empty-writes */
CONF_CASE(writes_keep_their_order_and_empty_ones_do_nothing) {
    WITH_PAIR(p);
    p.c.on_made = write_in_pieces;
    conf_pair(c, &p.f, &p.g);
    ck_assert_uint_eq(p.s.received, 8);
    ck_assert_mem_eq(p.s.bytes, "12abcd34", 8);
    pair_fini(&p);
}

static dw_address peer_in_lost, host_in_lost;

static void take_addresses(side *s) {
    peer_in_lost = dw_transport_peer(s->protocol.transport);
    host_in_lost = dw_transport_host(s->protocol.transport);
}

/* tcp-basic-addresses */
CONF_CASE(addresses_are_readable_inside_connection_lost) {
    WITH_PAIR(p);
    p.c.on_lost = take_addresses;
    p.s.on_made = do_lose;
    dw_port *port = conf_pair(c, &p.f, &p.g);
    dw_address at = dw_port_host(port);
    ck_assert(dw_address_equal(&peer_in_lost, &at));
    ck_assert_uint_eq(host_in_lost.kind, DW_ADDRESS_IPV4);
    ck_assert_uint_ne(host_in_lost.port, 0);
    pair_fini(&p);
}

CONF_CASE(options_are_off_at_first_and_answer_what_was_set) {
    WITH_PAIR(p);
    conf_pair(c, &p.f, &p.g);
    dw_transport *t = p.c.protocol.transport;
    ck_assert(!dw_transport_get_no_delay(t) && !dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_no_delay(t, true), 0);
    ck_assert_int_eq(dw_transport_set_keep_alive(t, true), 0);
    ck_assert(dw_transport_get_no_delay(t) && dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_no_delay(t, false), 0);
    ck_assert(!dw_transport_get_no_delay(t));
    pair_fini(&p);
}

/* ---- build_protocol ---- */

/* tcp-build-none-then-ok */
CONF_CASE(a_server_that_builds_nothing_closes_and_listens_on) {
    WITH_PAIR(p);
    p.f.build = BUILD_NONE;
    dw_port *port = conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.c.log, "made lost:CONNECTION_DONE");
    p.f.build = BUILD_SIDE;
    p.c.log[0] = '\0';
    p.g.used = 0;
    p.c.on_made = do_hello;
    conf_connect(c, &p.g, dw_port_host(port).port);
    conf_settle(c);
    expect(&p, "made", "made data");
    pair_fini(&p);
}

CONF_CASE(a_client_that_builds_nothing_loses_an_orderly_connection) {
    WITH_PAIR(p);
    p.g.build = BUILD_NONE;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_str_eq(p.s.log, "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* tcp-build-raise-client */
CONF_CASE(a_client_that_cannot_build_has_failed_to_connect) {
    WITH_PAIR(p);
    p.g.build = BUILD_FAILED;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.g.log, "start connecting build failed:CONNECT_ERROR stop");
    pair_fini(&p);
}

/* ---- Flags ---- */

static char flags[3][4];

static void take_flags(side *s, int i) {
    dw_transport *t = s->protocol.transport;
    snprintf(flags[i], sizeof(flags[i]), "%d%d%d", dw_transport_connected(t),
             dw_transport_disconnecting(t), dw_transport_disconnected(t));
}

static void flags_around_lose(side *s) {
    take_flags(s, 0);
    do_lose(s);
    take_flags(s, 1);
}

static void flags_around_abort(side *s) {
    take_flags(s, 0);
    do_abort(s);
    take_flags(s, 1);
}

static void flags_in_lost(side *s) {
    take_flags(s, 2);
}

/* tcp-flags-lose, unix-flags-abort */
CONF_CASE(flags_are_twisteds) {
    pair p;
    for (int aborts = 0; aborts < 2; aborts++) {
        pair_init(&p, c);
        p.c.on_made = aborts ? flags_around_abort : flags_around_lose;
        p.c.on_lost = flags_in_lost;
        conf_pair(c, &p.f, &p.g);
        ck_assert_str_eq(flags[0], "100");
        ck_assert_str_eq(flags[1], aborts ? "100" : "110");
        ck_assert_str_eq(flags[2], aborts ? "001" : "011");
        pair_fini(&p);
    }
}

static Suite *suite(void) {
    Suite *suite = suite_create("conformance");
    TCase *tc = tcase_create("streams");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, echo_then_the_client_closes);
    CONF_ADD(tc, the_server_greets_and_closes_in_connection_made);
    CONF_ADD(tc, writes_keep_their_order_and_empty_ones_do_nothing);
    CONF_ADD(tc, addresses_are_readable_inside_connection_lost);
    CONF_ADD(tc, options_are_off_at_first_and_answer_what_was_set);
    CONF_ADD(tc, a_server_that_builds_nothing_closes_and_listens_on);
    CONF_ADD(tc, a_client_that_builds_nothing_loses_an_orderly_connection);
    CONF_ADD(tc, a_client_that_cannot_build_has_failed_to_connect);
    CONF_ADD(tc, flags_are_twisteds);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
