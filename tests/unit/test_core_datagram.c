/* SPDX-License-Identifier: MIT */
/*
 * Datagram ports on a wire that does what the test says: opening, receiving, stopping, the files of
 * UNIX ports.
 */
#include "core_datagrams.h"

/* ---- Opening ---- */

START_TEST(listening_starts_the_protocol_inside_the_call) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_str_eq(g->log, "start");
    ck_assert_uint_eq(dw_datagram_host(port).port, 4321);
    ck_assert_ptr_eq(dw_datagram_reactor(port), &f->reactor);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 1);
    ck_assert_str_eq(dw_io_name(f->sockets[0].io), "gram");
    fake_fini(f);
    ck_assert_str_eq(g->log, "start destroy"); /* no word about the end */
}
END_TEST

START_TEST(a_wire_without_datagrams_says_so) {
    fake *f = fake_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, NULL),
        DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, NULL),
                     DW_UNSUPPORTED);
    fake_fini(f);
}
END_TEST

START_TEST(bad_arguments_are_refused_before_anything_is_opened) {
    fake *f = net_new();
    gram *g = gram_new();
    char long_path[DW_UNIX_PATH_MAX + 2] = "";
    memset(long_path, 'a', DW_UNIX_PATH_MAX + 1);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, "localhost", 0, NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, NULL, NULL, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, DW_RECV_MAX + 1, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, long_path, &g->base, 0, 0, NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, "", NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(f->socket_count, 0);
    ck_assert_str_eq(g->log, "");
    fake_fini(f);
}
END_TEST

/* udp-udp-cannot-listen */
START_TEST(a_failed_bind_leaves_the_protocol_alone) {
    fake *f = net_new();
    gram *g = gram_new();
    net.bind_error = EADDRINUSE;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 53, &g->base, NULL, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EADDRINUSE);
    ck_assert(!f->sockets[0].open);
    ck_assert_str_eq(g->log, "");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    fake_fini(f);
}
END_TEST

START_TEST(no_memory_for_a_port_is_an_answer) {
    fake *f = net_new();
    gram *g = gram_new();
    f->fail_in = 1;
    f->fail_after = true;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, 0, NULL), DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_listen_multicast(&f->reactor, 0, &g->base, NULL, 0, NULL),
                     DW_NO_MEMORY);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, NULL),
        DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, NULL),
                     DW_NO_MEMORY);
    f->fail_in = 0;
    fake_fini(f);
}
END_TEST

static void stop_in_start(gram *g) {
    dw_datagram_stop_listening(g->base.transport, done, g);
}

START_TEST(a_port_may_be_stopped_while_it_starts) {
    fake *f = net_new();
    gram *g = gram_new();
    g->on_start = stop_in_start;
    open_udp(f, g);
    ck_assert_str_eq(g->log, "start");
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

START_TEST(members_of_a_group_share_their_port) {
    fake *f = net_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_multicast(&f->reactor, 5353, &g->base, NULL, 0, NULL), 0);
    ck_assert_int_eq(net.options[DW_OPTION_REUSE_PORT], 1);
    fake_fini(f);
}
END_TEST

/* ---- Receiving ---- */

START_TEST(datagrams_come_whole_cut_by_the_wire_and_empty) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(5, 1);
    net_queue(0, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 2);
    ck_assert_uint_eq(g->len, 0);
    ck_assert_uint_eq(net.max, 8192); /* Twisted's default (udp-udp-truncated-default) */
    fake_fini(f);
}
END_TEST

/* 256 KiB / 8 KiB = 32 */
START_TEST(a_turn_reads_a_quarter_of_a_megabyte) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(8192, 40);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 32);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 40);
    fake_fini(f);
}
END_TEST

START_TEST(empty_datagrams_do_not_hold_a_turn_up_for_ever) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(0, 1500);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1024);
    fake_fini(f);
}
END_TEST

static void pause_it(gram *g) {
    dw_datagram_pause_producing(g->base.transport);
}

START_TEST(a_paused_port_leaves_the_rest_in_the_queue) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    g->on_received = pause_it;
    net_queue(1, 3);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    g->on_received = NULL;
    dw_datagram_resume_producing(port);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 3);
    fake_fini(f);
}
END_TEST

static void stop_it(gram *g) {
    dw_datagram_stop_listening(g->base.transport, done, g);
}

/* "datagrams that the receive loop of this turn finds are still delivered" */
START_TEST(a_stopped_port_delivers_what_this_turn_finds) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    g->on_received = stop_it;
    net_queue(1, 3);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 3);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

START_TEST(a_reading_error_is_logged_and_the_port_rests) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(-ENOMEM, 1);
    net_queue(1, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(f->logs, 1);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_advance(f, DW_MSEC(100));
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

START_TEST(a_resting_port_can_be_stopped) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    net_queue(-EIO, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

/* What Linux reports about a datagram that was sent (icmp(7)) ends nothing. */
START_TEST(errors_of_the_network_pass) {
    static const int errors[] = {ENETUNREACH, EHOSTUNREACH, EPROTO, EMSGSIZE, EINTR, EACCES};
    fake *f = net_new();
    gram *g = gram_new();
    connect_udp(open_udp(f, g));
    net_queue(-errors[_i], 1);
    net_queue(1, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    ck_assert_uint_eq(f->logs, 0);
    ck_assert_str_eq(g->log, "start");
    fake_fini(f);
}
END_TEST

/* ---- Stopping ---- */

/* udp-udp-stop, udp-udp-stop-twice */
START_TEST(stopping_happens_later_and_once) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), 0);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_write(port, "bye", 3, &net.from), 3); /* still open */
    ck_assert_str_eq(g->log, "start");
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    ck_assert(!g->transport_in_stop);
    ck_assert(!f->sockets[0].open);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    fake_fini(f);
}
END_TEST

/* udp-reactor-udp-at-stop */
START_TEST(the_reactors_end_stops_the_port) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_reactor_startup(&f->reactor);
    open_udp(f, g);
    dw_reactor_shutdown(&f->reactor);
    ck_assert_str_eq(g->log, "start stop destroy");
    fake_fini(f);
}
END_TEST

START_TEST(null_is_a_port_that_is_gone) {
    fake *f = net_new();
    ck_assert_int_eq(dw_datagram_write(NULL, "a", 1, NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_connect(NULL, "127.0.0.1", 1), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_stop_listening(NULL, NULL, NULL), DW_NOT_LISTENING);
    dw_datagram_pause_producing(NULL);
    dw_datagram_resume_producing(NULL);
    ck_assert_uint_eq(dw_datagram_host(NULL).kind, DW_ADDRESS_NONE);
    ck_assert_uint_eq(dw_datagram_peer(NULL).kind, DW_ADDRESS_NONE);
    ck_assert_ptr_null(dw_datagram_reactor(NULL));
    ck_assert(!dw_datagram_get_broadcast_allowed(NULL) && !dw_datagram_get_loopback_mode(NULL));
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(NULL, true), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_join_group(NULL, "224.0.0.1", NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_get_ttl(NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_set_ttl(NULL, 1), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(NULL, NULL), DW_NOT_LISTENING);
    ck_assert_uint_eq(dw_datagram_get_outgoing_interface(NULL).kind, DW_ADDRESS_NONE);
    fake_fini(f);
}
END_TEST

/* ---- UNIX files ---- */

static dw_datagram_port *open_unix(fake *f, gram *g) {
    dw_datagram_port *port;
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(&f->reactor, "/run/a", &g->base, 0, 0600, &port), 0);
    return port;
}

START_TEST(a_unix_port_takes_its_file_with_it) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_unix(f, g);
    ck_assert_uint_eq(net.mode, 0600);
    dw_datagram_stop_listening(port, NULL, NULL);
    ck_assert_uint_eq(net.unlinked, 0);
    fake_settle(f);
    ck_assert_uint_eq(net.unlinked, 1);
    fake_fini(f);
}
END_TEST

START_TEST(a_file_that_somebody_put_in_its_place_stays) {
    static const uint64_t now[] = {8 /* another one */, 0 /* none */};
    fake *f = net_new();
    gram *g = gram_new();
    open_unix(f, g);
    net.file = now[_i];
    fake_fini(f);
    ck_assert_uint_eq(net.unlinked, 0);
}
END_TEST

START_TEST(abstract_names_have_no_file) {
    fake *f = net_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, "@a", &g->base, 0, 0600, NULL),
                     0);
    fake_fini(f);
    ck_assert_uint_eq(net.mode, 0);
    ck_assert_uint_eq(net.unlinked, 0);
}
END_TEST

START_TEST(a_file_that_was_made_goes_when_the_rest_fails) {
    fake *f = net_new();
    gram *g = gram_new();
    net.mode_error = EPERM;
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(&f->reactor, "/run/a", &g->base, 0, 0600, NULL),
        DW_CANNOT_LISTEN);
    ck_assert_uint_eq(net.unlinked, 1);
    net.mode_error = 0;
    net.connect_error = ENOENT;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/run/b", &g->base, 0, 0, "/run/a", NULL),
        DW_CONNECT_ERROR);
    ck_assert_uint_eq(net.unlinked, 2);
    net.connect_error = ECONNREFUSED;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/run/b", &g->base, 0, 0, NULL, NULL),
        DW_CONNECTION_REFUSED);
    ck_assert_str_eq(g->log, "");
    fake_fini(f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("datagrams");
    tcase_add_test(tc, listening_starts_the_protocol_inside_the_call);
    tcase_add_test(tc, a_wire_without_datagrams_says_so);
    tcase_add_test(tc, bad_arguments_are_refused_before_anything_is_opened);
    tcase_add_test(tc, a_failed_bind_leaves_the_protocol_alone);
    tcase_add_test(tc, no_memory_for_a_port_is_an_answer);
    tcase_add_test(tc, a_port_may_be_stopped_while_it_starts);
    tcase_add_test(tc, members_of_a_group_share_their_port);
    tcase_add_test(tc, datagrams_come_whole_cut_by_the_wire_and_empty);
    tcase_add_test(tc, a_turn_reads_a_quarter_of_a_megabyte);
    tcase_add_test(tc, empty_datagrams_do_not_hold_a_turn_up_for_ever);
    tcase_add_test(tc, a_paused_port_leaves_the_rest_in_the_queue);
    tcase_add_test(tc, a_stopped_port_delivers_what_this_turn_finds);
    tcase_add_test(tc, a_reading_error_is_logged_and_the_port_rests);
    tcase_add_test(tc, a_resting_port_can_be_stopped);
    tcase_add_loop_test(tc, errors_of_the_network_pass, 0, 6);
    tcase_add_test(tc, stopping_happens_later_and_once);
    tcase_add_test(tc, the_reactors_end_stops_the_port);
    tcase_add_test(tc, null_is_a_port_that_is_gone);
    tcase_add_test(tc, a_unix_port_takes_its_file_with_it);
    tcase_add_loop_test(tc, a_file_that_somebody_put_in_its_place_stays, 0, 2);
    tcase_add_test(tc, abstract_names_have_no_file);
    tcase_add_test(tc, a_file_that_was_made_goes_when_the_rest_fails);
    return run_case(tc);
}
