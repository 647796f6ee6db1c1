/* SPDX-License-Identifier: MIT */
/*
 * Listening ports (core/src/port.c): opening and its errors, accepting and each error of accept(2),
 * closing, no memory. Expectations: accept(2), ERRORS; vectors/README.md, "Basic connections",
 * "buildProtocol and exceptions"; lifecycle_tcp.jsonl, tcp-hooks-*; drywire/port.h.
 */
#include "test_core_wire.h"

static fake *f;
static rec r, s;
static rec_factory g;

static void setup(void) {
    f = fake_new();
    rec_init(&r, f);
    rec_init(&s, f);
    rec_factory_init(&g, f, NULL);
}

static void teardown(void) {
    fake_fini(f);
}

static void say_done(void *user) {
    say(g.log, user);
}

static void stop_port(dw_port *port, const char *word) {
    ck_assert_int_eq(dw_port_stop_listening(port, say_done, (void *)(uintptr_t)word), 0);
    say(g.log, "returned");
}

/* ---- Opening ---- */

START_TEST(a_port_that_cannot_open_leaves_the_factory_alone) {
    int *const errors[] = {&f->open_error, &f->bind_error, &f->listen_error};
    dw_port *port = NULL;
    *errors[_i] = EADDRINUSE;
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 80, &g.client.base, 0, NULL, &port),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EADDRINUSE);
    ck_assert_ptr_null(port);
    ck_assert_str_eq(g.log, "");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

START_TEST(an_interface_must_be_an_address) {
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 80, &g.client.base, 0, "localhost", NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 80, &g.client.base, -5, "::1", NULL), 0);
    ck_assert_str_eq(g.log, "start");
}
END_TEST

START_TEST(without_memory_listening_answers_no_memory) {
    f->fail_in = 1;
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 80, &g.client.base, 0, NULL, NULL),
                     DW_NO_MEMORY);
    f->bind_error = ENOMEM;
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 80, &g.client.base, 0, NULL, NULL),
                     DW_NO_MEMORY);
    ck_assert_str_eq(g.log, "");
}
END_TEST

START_TEST(the_host_is_the_real_address) {
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address host = dw_port_host(fake_port(f, &g));
    ck_assert_str_eq(dw_address_format(&host, text, sizeof(text)), "192.0.2.1:4321");
}
END_TEST

/* ---- Accepting ---- */

/* All that waits is accepted in one go, but a bounded number, so that others get their turn. */
START_TEST(a_hundred_connections_are_accepted_in_one_turn) {
    fake_port(f, &g);
    for (int i = 0; i < 150; i++) {
        fake_accepts(f, -ECONNABORTED);
    }
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(f->accept_at, 100);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(f->accept_at, 150);
    ck_assert_uint_eq(f->logs, 0);
}
END_TEST

/* accept(2): "already-pending network errors on the new socket ... should be treated like EAGAIN by
 * retrying"; ECONNABORTED, EINTR and EPERM are of one connection too. */
static const int passing_errors[] = {
    EINTR,       ECONNABORTED, EPERM,      ENETDOWN,    EPROTO,
    ENOPROTOOPT, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH,
#ifdef EHOSTDOWN
    EHOSTDOWN,
#endif
#ifdef ENONET
    ENONET,
#endif
};
enum { PASSING_ERRORS = sizeof(passing_errors) / sizeof(passing_errors[0]) };

START_TEST(an_error_of_one_connection_does_not_keep_the_next_one_waiting) {
    fake_port(f, &g);
    fake_accepts(f, -passing_errors[_i]);
    fake_serve(f, &g, &r, 0);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->logs, 0);
}
END_TEST

static const int system_errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EIO};
enum { SYSTEM_ERRORS = sizeof(system_errors) / sizeof(system_errors[0]) };

START_TEST(an_error_of_the_system_rests_the_port_for_a_while) {
    fake_port(f, &g);
    fake_accepts(f, -system_errors[_i]);
    fake_serve(f, &g, &r, 0);
    ck_assert_str_eq(r.log, "");
    ck_assert_uint_eq(f->logs, 1);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_advance(f, DW_SEC(1));
    ck_assert_uint_eq(f->sockets[0].io->want, DW_READABLE);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_str_eq(r.log, "made");
}
END_TEST

START_TEST(a_resting_port_can_be_stopped) {
    dw_port *port = fake_port(f, &g);
    fake_accepts(f, -EMFILE);
    fake_ready(f, 0, DW_READABLE);
    stop_port(port, "done");
    fake_advance(f, DW_SEC(1));
    ck_assert_str_eq(g.log, "start returned stop done");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
}
END_TEST

/* tcp-build-none-then-ok, tcp-build-raise-server: closed in order, and the port goes on */
START_TEST(a_connection_without_protocol_is_closed_in_order) {
    fake_port(f, &g);
    g.next[0] = _i == 0 ? NULL : DW_PROTOCOL_FAILED;
    g.next[1] = &r.protocol;
    fake_accepts(f, 0);
    fake_accepts(f, 0);
    fake_ready(f, 0, DW_READABLE);
    ck_assert(!f->sockets[1].open && !f->sockets[1].reset);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->logs, (unsigned)_i);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connections, 1);
}
END_TEST

START_TEST(without_memory_for_a_connection_it_is_reset_and_the_port_goes_on) {
    fake_port(f, &g);
    f->fail_in = 1;
    fake_accepts(f, 0);
    fake_ready(f, 0, DW_READABLE);
    ck_assert(!f->sockets[1].open && f->sockets[1].reset);
    ck_assert_str_eq(g.log, "start");
    fake_serve(f, &g, &r, 0);
    ck_assert_str_eq(r.log, "made");
}
END_TEST

START_TEST(a_connection_knows_its_factory_and_its_peer) {
    char text[DW_ADDRESS_TEXT_MAX];
    fake_port(f, &g);
    fake_serve(f, &g, &r, 0);
    ck_assert_ptr_eq(r.protocol.factory, &g.client.base);
    ck_assert(r.protocol.connected);
    dw_address peer = dw_transport_peer(rec_transport(&r));
    ck_assert_str_eq(dw_address_format(&peer, text, sizeof(text)), "192.0.2.9:999");
}
END_TEST

/* ---- Stopping ---- */

/* "stopListening returns, later doStop, stopFactory, then its result fires" */
START_TEST(stop_listening_closes_later) {
    dw_port *port = fake_port(f, &g);
    stop_port(port, "done");
    ck_assert_str_eq(g.log, "start returned");
    ck_assert_int_eq(dw_port_stop_listening(port, say_done, "twice"), DW_NOT_LISTENING);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_settle(f);
    ck_assert_str_eq(g.log, "start returned stop done");
    ck_assert(!f->sockets[0].open);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

static dw_port *stopped;

static void stop_twice(void *user) {
    say(g.log, user);
    ck_assert_int_eq(dw_port_stop_listening(stopped, say_done, "never"), DW_NOT_LISTENING);
    say(g.log, "second-returned");
}

/* tcp-hooks-stop-listening-twice: asked again when the result of the first has fired */
START_TEST(stop_listening_inside_done_is_not_listening) {
    stopped = fake_port(f, &g);
    dw_port_stop_listening(stopped, stop_twice, "done");
    fake_settle(f);
    ck_assert_str_eq(g.log, "start stop done second-returned");
    ck_assert_int_eq(dw_port_stop_listening(NULL, NULL, NULL), DW_NOT_LISTENING);
}
END_TEST

static void stop_in_stop(rec_factory *factory) {
    (void)factory;
    ck_assert_int_eq(dw_port_stop_listening(stopped, NULL, NULL), DW_NOT_LISTENING);
}

START_TEST(stop_listening_inside_the_factorys_stop_is_not_listening) {
    stopped = fake_port(f, &g);
    g.on_stop = stop_in_stop;
    dw_port_stop_listening(stopped, say_done, "done");
    fake_settle(f);
    ck_assert_str_eq(g.log, "start stop done");
}
END_TEST

static void listen_again(void *user) {
    say(g.log, user);
    fake_port(f, &g);
}

/* tcp-hooks-relisten */
START_TEST(listening_again_inside_done_starts_the_factory_again) {
    dw_port_stop_listening(fake_port(f, &g), listen_again, "done");
    fake_settle(f);
    ck_assert_str_eq(g.log, "start stop done start");
}
END_TEST

/* tcp-hooks-two-ports */
START_TEST(a_factory_on_two_ports_starts_and_stops_once) {
    dw_port *p0 = fake_port(f, &g);
    dw_port *p1 = fake_port(f, &g);
    stop_port(p0, "p0");
    fake_settle(f);
    stop_port(p1, "p1");
    fake_settle(f);
    ck_assert_str_eq(g.log, "start returned p0 returned stop p1");
}
END_TEST

static void stop_it(rec_factory *factory) {
    stop_port(stopped, "done");
    factory->on_build = NULL;
}

/* Connections that wait are not accepted any more; the one being built is. */
START_TEST(stop_listening_inside_build_protocol_accepts_no_more) {
    stopped = fake_port(f, &g);
    g.on_build = stop_it;
    g.next[0] = &r.protocol;
    g.next[1] = &s.protocol;
    fake_accepts(f, 0);
    fake_accepts(f, 0);
    fake_ready(f, 0, DW_READABLE);
    fake_settle(f);
    ck_assert_str_eq(g.log, "start build returned stop done");
    ck_assert_str_eq(r.log, "made");
    ck_assert_str_eq(s.log, "");
    fake_receive(f, 1, "x", 1);
    ck_assert_str_eq(r.log, "made data"); /* tcp-hooks-stop-listening-open */
}
END_TEST

/* The factory is the caller's again when it was stopped. */
static void free_factory(rec_factory *factory) {
    free(factory);
}

START_TEST(a_factory_may_free_itself_when_it_is_stopped) {
    rec_factory *factory = malloc(sizeof(*factory));
    ck_assert_ptr_nonnull(factory);
    rec_factory_init(factory, f, NULL);
    factory->on_stop = free_factory;
    dw_port_stop_listening(fake_port(f, factory), NULL, NULL);
    fake_settle(f);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

START_TEST(one_stop_too_many_is_forgiven) {
    dw_factory_do_stop(&g.client.base);
    dw_factory_do_start(&g.client.base);
    dw_factory_do_start(&g.client.base);
    dw_factory_do_stop(&g.client.base);
    dw_factory_do_stop(&g.client.base);
    dw_factory_do_stop(&g.client.base);
    ck_assert_str_eq(g.log, "start stop");
}
END_TEST

START_TEST(at_shutdown_a_port_that_is_stopping_is_done_once) {
    dw_reactor_startup(&f->reactor);
    dw_port *port = fake_port(f, &g);
    stop_port(port, "done");
    dw_reactor_shutdown(&f->reactor);
    ck_assert_str_eq(g.log, "start returned stop done");
    fake_settle(f);
    ck_assert_str_eq(g.log, "start returned stop done");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core port");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_port_that_cannot_open_leaves_the_factory_alone, 0, 3);
    tcase_add_test(tc, an_interface_must_be_an_address);
    tcase_add_test(tc, without_memory_listening_answers_no_memory);
    tcase_add_test(tc, the_host_is_the_real_address);
    tcase_add_test(tc, a_hundred_connections_are_accepted_in_one_turn);
    tcase_add_loop_test(tc, an_error_of_one_connection_does_not_keep_the_next_one_waiting, 0,
                        PASSING_ERRORS);
    tcase_add_loop_test(tc, an_error_of_the_system_rests_the_port_for_a_while, 0, SYSTEM_ERRORS);
    tcase_add_test(tc, a_resting_port_can_be_stopped);
    tcase_add_loop_test(tc, a_connection_without_protocol_is_closed_in_order, 0, 2);
    tcase_add_test(tc, without_memory_for_a_connection_it_is_reset_and_the_port_goes_on);
    tcase_add_test(tc, a_connection_knows_its_factory_and_its_peer);
    tcase_add_test(tc, stop_listening_closes_later);
    tcase_add_test(tc, stop_listening_inside_done_is_not_listening);
    tcase_add_test(tc, stop_listening_inside_the_factorys_stop_is_not_listening);
    tcase_add_test(tc, listening_again_inside_done_starts_the_factory_again);
    tcase_add_test(tc, a_factory_on_two_ports_starts_and_stops_once);
    tcase_add_test(tc, stop_listening_inside_build_protocol_accepts_no_more);
    tcase_add_test(tc, a_factory_may_free_itself_when_it_is_stopped);
    tcase_add_test(tc, one_stop_too_many_is_forgiven);
    tcase_add_test(tc, at_shutdown_a_port_that_is_stopping_is_done_once);
    return run_case(tc);
}
