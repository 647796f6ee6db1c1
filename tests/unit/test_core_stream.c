/* SPDX-License-Identifier: MIT */
/*
 * The state machine of a connection (core/src/stream.c): every errno of the wire, short sends,
 * producers, half closes, failures, who frees what and when. Expectations: vectors/README.md,
 * "loseConnection", "Half close", "Producers", "buildProtocol and exceptions", section 4;
 * send(2), recv(2); drywire/protocol.h, producer.h.
 */
#include "test_core_wire.h"

static fake *f;
static rec r;
static rec_factory g;
static int a; /* the socket of r */

static void serve(const dw_protocol_class *cls) {
    rec_init(&r, f);
    dw_protocol_init(&r.protocol, cls);
    a = fake_serve(f, &g, &r, 0);
}

static void setup(void) {
    f = fake_new();
    rec_factory_init(&g, f, NULL);
    fake_port(f, &g);
    serve(&rec_class);
}

static void teardown(void) {
    fake_fini(f);
}

static dw_transport *t(void) {
    return rec_transport(&r);
}

static void room(size_t bytes) {
    f->sockets[a].room = bytes;
    fake_ready(f, a, DW_WRITABLE);
    fake_settle(f);
}

static void write_bytes(size_t len) {
    static const uint8_t bytes[200000];
    dw_transport_write(t(), bytes, len);
}

/* ---- Receiving ---- */

/* recv(2): these three say nothing about the connection */
START_TEST(a_reception_that_was_none_changes_nothing) {
    const int errors[] = {EAGAIN, EWOULDBLOCK, EINTR};
    f->sockets[a].in_error = errors[_i];
    fake_ready(f, a, DW_READABLE);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->sockets[a].io->want, DW_READABLE);
}
END_TEST

START_TEST(any_other_error_of_a_reception_is_connection_lost) {
    const int errors[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENOMEM, EIO};
    f->sockets[a].in_error = errors[_i];
    fake_ready(f, a, DW_READABLE);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, errors[_i]);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connections, 0);
}
END_TEST

static void pause_it(rec *self) {
    dw_transport_pause_producing(rec_transport(self));
}

/* "not counted (one resume is enough); resume without pause is harmless" */
START_TEST(pausing_is_not_counted) {
    dw_transport_resume_producing(t());
    pause_it(&r);
    pause_it(&r);
    ck_assert_uint_eq(f->sockets[a].io->want, 0);
    dw_transport_resume_producing(t());
    ck_assert_uint_eq(f->sockets[a].io->want, DW_READABLE);
}
END_TEST

/* A protocol needs no slot but a name. */
START_TEST(a_class_with_nothing_in_it_works) {
    static const dw_protocol_class empty = {.name = "empty"};
    serve(&empty);
    fake_receive(f, a, "x", 1);
    ck_assert_str_eq(dw_protocol_log_prefix(&r.protocol), "empty");
    ck_assert_str_eq(dw_io_name(f->sockets[a].io), "empty");
    ck_assert_str_eq(dw_io_name(f->sockets[0].io), "recs");
    f->sockets[a].in_end = true;
    fake_ready(f, a, DW_READABLE);
    ck_assert(!f->sockets[a].open);
}
END_TEST

/* ---- Sending ---- */

/* send(2): wait until it can be written to; nothing is lost */
START_TEST(a_send_that_was_none_is_tried_again) {
    const int errors[] = {EAGAIN, EWOULDBLOCK, EINTR};
    f->sockets[a].send_error = errors[_i];
    rec_write(&r, "abc");
    fake_settle(f);
    ck_assert_uint_eq(f->sockets[a].io->want, DW_READABLE | DW_WRITABLE);
    f->sockets[a].send_error = 0;
    rec_write(&r, "def");
    fake_settle(f);
    ck_assert_uint_eq(f->sockets[a].sends, 1); /* not before it can be written to */
    room(FAKE_OUT_MAX);
    ck_assert(fake_sent(f, a, "abcdef"));
    ck_assert_uint_eq(f->sockets[a].io->want, DW_READABLE);
}
END_TEST

static void write_x(rec *self) {
    rec_write(self, "x");
    say(self->log, "wrote");
}

/* A write never runs a callback: the loss is told later. */
START_TEST(a_send_that_fails_in_the_flush_is_connection_lost_later) {
    const int errors[] = {EPIPE, ECONNRESET, ENOBUFS};
    r.on_data = write_x;
    f->sockets[a].send_error = errors[_i];
    fake_receive(f, a, "?", 1);
    ck_assert_str_eq(r.log, "made data wrote");
    rec_write(&r, "y");
    ck_assert_uint_eq(dw_transport_buffered(t()), 0);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data wrote lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, errors[_i]);
    ck_assert_uint_eq(f->sockets[a].sends, 1);
}
END_TEST

static void fail_a_write(int error) {
    f->sockets[a].send_error = error;
    rec_write(&r, "x");
    dw_reactor_turn_calls(&f->reactor); /* the flush, not what follows it */
    ck_assert_uint_eq(f->sockets[a].sends, 1);
    ck_assert_str_eq(r.log, "made");
}

/* Twisted reads before it writes (its poll reactor's _doReadOrWrite), so what the peer sent before
 * it closed is not lost to a write that fails. */
START_TEST(what_has_come_is_read_before_a_failed_send_is_told) {
    const int errors[] = {EPIPE, ECONNRESET};
    fail_a_write(errors[_i]);
    f->sockets[a].in = (const uint8_t *)"last";
    f->sockets[a].in_len = 4;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, errors[_i]);
}
END_TEST

START_TEST(an_end_that_has_come_is_read_before_a_broken_pipe_is_told) {
    fail_a_write(EPIPE);
    f->sockets[a].in_end = true;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_DONE");
}
END_TEST

/* The write took the error from the socket (SO_ERROR, socket(7)); the reader would have had it. */
START_TEST(the_end_that_a_reset_leaves_behind_is_none) {
    fail_a_write(ECONNRESET);
    f->sockets[a].in_end = true;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
}
END_TEST

START_TEST(who_does_not_read_hears_of_the_failed_send_alone) {
    fail_a_write(EPIPE);
    pause_it(&r);
    f->sockets[a].in_end = true;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
}
END_TEST

static void abort_it(rec *self) {
    dw_transport_abort_connection(rec_transport(self));
}

START_TEST(an_abort_before_a_failed_send_is_told_wins) {
    fail_a_write(EPIPE);
    r.on_data = abort_it;
    f->sockets[a].in = (const uint8_t *)"last";
    f->sockets[a].in_len = 4;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data lost:CONNECTION_ABORTED");
}
END_TEST

/* Twisted's SEND_LIMIT: 128 KiB a turn; and between two of them it reads. */
START_TEST(many_bytes_leave_over_several_turns_with_a_look_at_the_input_between) {
    write_bytes(200000);
    dw_reactor_turn_calls(&f->reactor);
    ck_assert_uint_eq(f->sockets[a].out_len, 131072);
    ck_assert_int_eq(dw_reactor_next_due(&f->reactor), 0);
    ck_assert_uint_eq(f->sockets[a].io->want, DW_READABLE);
    f->sockets[a].in = (const uint8_t *)"stop";
    f->sockets[a].in_len = 4;
    r.on_data = abort_it;
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data lost:CONNECTION_ABORTED");
    ck_assert_uint_eq(f->sockets[a].out_len, 131072);
}
END_TEST

START_TEST(many_bytes_all_leave) {
    write_bytes(200000);
    write_bytes(60000);
    dw_reactor_turn_calls(&f->reactor);
    ck_assert_uint_eq(f->sockets[a].out_len, 131072);
    fake_settle(f);
    ck_assert_uint_eq(f->sockets[a].out_len, 260000);
    ck_assert_uint_eq(f->sockets[a].sends, 2);
    ck_assert_uint_eq(dw_transport_buffered(t()), 0);
    ck_assert_str_eq(r.log, "made");
}
END_TEST

START_TEST(a_broken_connection_may_still_be_aborted) {
    f->sockets[a].send_error = EPIPE;
    rec_write(&r, "x");
    dw_reactor_turn_calls(&f->reactor); /* the flush */
    dw_transport_abort_connection(t());
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_ABORTED");
}
END_TEST

START_TEST(bytes_keep_their_order_through_any_short_sends) {
    static uint8_t expected[20000];
    size_t at = 0;
    for (size_t i = 0; i < sizeof(expected); i++) {
        expected[i] = (uint8_t)(i * 31 + i / 256);
    }
    for (size_t len = 1; at < sizeof(expected); len = len * 7 % 997) {
        len = len < sizeof(expected) - at ? len : sizeof(expected) - at;
        dw_transport_write(t(), expected + at, len);
        at += len;
        room(at % 5 == 0 ? 0 : at % 701);
        ck_assert_uint_eq(dw_transport_buffered(t()), at - f->sockets[a].out_len);
    }
    room(FAKE_OUT_MAX);
    ck_assert_uint_eq(f->sockets[a].out_len, sizeof(expected));
    ck_assert_mem_eq(f->sockets[a].out, expected, sizeof(expected));
}
END_TEST

/* ---- Half closes ---- */

/* "a second half close breaks the connection"; an error of shutdown(2) as well */
START_TEST(a_half_close_that_the_wire_refuses_is_connection_lost) {
    f->shutdown_error = ENOTCONN;
    dw_transport_lose_write_connection(t());
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, ENOTCONN);
}
END_TEST

START_TEST(a_half_close_waits_for_the_flush_and_then_takes_no_writes) {
    serve(&rec_aware_class);
    f->sockets[a].room = 1;
    rec_write(&r, "ab");
    dw_transport_lose_write_connection(t());
    rec_write(&r, "c");
    fake_settle(f);
    ck_assert(!f->sockets[a].fin);
    room(FAKE_OUT_MAX);
    ck_assert(f->sockets[a].fin);
    ck_assert_str_eq(r.log, "made write-lost");
    rec_write(&r, "d");
    fake_settle(f);
    ck_assert(fake_sent(f, a, "abc"));
}
END_TEST

static void lose(rec *self) {
    dw_transport_lose_connection(rec_transport(self));
    say(self->log, "returned");
}

/* Section 4: 3. The transport goes when the outer callback has returned. */
START_TEST(lose_connection_after_a_half_close_ends_inside_any_callback) {
    serve(&rec_aware_class);
    r.on_write_lost = _i == 0 ? lose : NULL;
    r.on_data = _i == 1 ? lose : NULL;
    r.on_read_lost = _i == 2 ? lose : NULL;
    dw_transport_lose_write_connection(t());
    fake_settle(f);
    if (_i == 1) {
        fake_receive(f, a, "x", 1);
    } else if (_i == 2) {
        f->sockets[a].in_end = true;
        fake_ready(f, a, DW_READABLE);
    }
    const char *const logs[] = {"made write-lost lost:CONNECTION_DONE returned",
                                "made write-lost data lost:CONNECTION_DONE returned",
                                "made write-lost read-lost lost:CONNECTION_DONE returned"};
    ck_assert_str_eq(r.log, logs[_i]);
    ck_assert(!f->sockets[a].open);
}
END_TEST

/* ---- Producers ---- */

/* Section 4: 12; "registering while the buffer is over the limit: no pause until the next write" */
START_TEST(a_push_producer_is_paused_above_the_mark_at_every_write) {
    f->sockets[a].room = 0;
    write_bytes(DW_HIGH_WATER_DEFAULT + 1);
    ck_assert_int_eq(dw_transport_register_producer(t(), &r.producer, true), 0);
    ck_assert_str_eq(r.log, "made");
    write_bytes(1);
    write_bytes(1);
    ck_assert_str_eq(r.log, "made pause pause");
    fake_settle(f);
    room(DW_HIGH_WATER_DEFAULT + 2); /* one byte is left */
    ck_assert_str_eq(r.log, "made pause pause");
    room(1);
    ck_assert_str_eq(r.log, "made pause pause resume");
}
END_TEST

START_TEST(a_push_producer_that_was_not_paused_is_not_resumed) {
    dw_transport_register_producer(t(), &r.producer, true);
    write_bytes(DW_HIGH_WATER_DEFAULT);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->sockets[a].out_len, DW_HIGH_WATER_DEFAULT);
}
END_TEST

/* drywire/producer.h: "to resume when the buffer has drained to the low-water mark" */
START_TEST(the_marks_may_be_set) {
    ck_assert_int_eq(dw_transport_set_write_limits(t(), 3, 2), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_transport_set_write_limits(t(), 2, 4), 0);
    dw_transport_register_producer(t(), &r.producer, true);
    f->sockets[a].room = 0;
    write_bytes(4);
    ck_assert_str_eq(r.log, "made");
    write_bytes(1);
    ck_assert_str_eq(r.log, "made pause");
    fake_settle(f);
    room(2);
    ck_assert_str_eq(r.log, "made pause");
    room(1);
    ck_assert_str_eq(r.log, "made pause resume");
    room(2);
    ck_assert_str_eq(r.log, "made pause resume");
}
END_TEST

START_TEST(without_memory_marks_are_refused_and_a_producer_is_stopped) {
    f->fail_in = 1;
    ck_assert_int_eq(dw_transport_set_write_limits(t(), 2, 4), DW_NO_MEMORY);
    f->fail_in = 1;
    ck_assert_int_eq(dw_transport_register_producer(t(), &r.producer, true), 0);
    ck_assert_str_eq(r.log, "made stop");
    fake_settle(f);
    ck_assert_str_eq(r.log, "made stop lost:NO_MEMORY");
}
END_TEST

static unsigned pieces_left;

static void write_piece(rec *self) {
    if (pieces_left > 0) {
        pieces_left--;
        rec_write(self, "p");
    }
}

/* Section 4: 13; "once per emptied buffer"; a resume that writes nothing is the last one */
START_TEST(a_pull_producer_is_asked_once_per_emptied_buffer) {
    pieces_left = 3;
    r.on_resume = write_piece;
    f->sockets[a].room = 0;
    dw_transport_register_producer(t(), &r.producer, false);
    ck_assert_str_eq(r.log, "made resume");
    fake_settle(f);
    ck_assert_str_eq(r.log, "made resume");
    room(1);
    ck_assert_str_eq(r.log, "made resume resume");
    room(FAKE_OUT_MAX);
    ck_assert_str_eq(r.log, "made resume resume resume resume");
    ck_assert(fake_sent(f, a, "ppp"));
}
END_TEST

/* tcp-producer-lose-pull, tcp-producer-register-after-lose */
START_TEST(lose_connection_waits_for_a_pull_producer_until_it_is_unregistered) {
    pieces_left = 2;
    r.on_resume = write_piece;
    dw_transport_lose_connection(t());
    dw_transport_register_producer(t(), &r.producer, false);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made resume resume resume");
    dw_transport_unregister_producer(t());
    dw_transport_unregister_producer(t());
    fake_settle(f);
    ck_assert_str_eq(r.log, "made resume resume resume lost:CONNECTION_DONE");
    ck_assert(fake_sent(f, a, "pp"));
}
END_TEST

static void unregister_in_pause(rec *self) {
    dw_transport_unregister_producer(rec_transport(self));
}

static void abort_in_pause(rec *self) {
    dw_transport_abort_connection(rec_transport(self));
}

static void write_in_pause(rec *self) {
    self->on_pause = NULL;
    rec_write(self, "more");
}

/* pause_producing comes inside write: every verb is allowed there too. */
START_TEST(verbs_inside_pause_producing) {
    const rec_reaction reactions[] = {unregister_in_pause, abort_in_pause, write_in_pause, lose};
    const char *const logs[] = {"made pause", "made pause stop lost:CONNECTION_ABORTED",
                                "made pause pause resume",
                                "made pause returned resume stop lost:CONNECTION_DONE"};
    r.on_pause = reactions[_i];
    dw_transport_register_producer(t(), &r.producer, true);
    write_bytes(DW_HIGH_WATER_DEFAULT + 1);
    fake_settle(f);
    if (_i == 3) { /* lose_connection with a paused producer: resumed, and it writes on */
        ck_assert_str_eq(r.log, "made pause returned resume");
        rec_write(&r, "end");
        fake_settle(f);
    }
    ck_assert_str_eq(r.log, logs[_i]);
}
END_TEST

/* ---- Failures ---- */

static void go_wrong(rec *self) {
    dw_reason reason = {DW_APP_ERROR, 0, "planted"};
    rec_write(self, "dropped");
    dw_transport_fail(rec_transport(self), &reason);
}

/* drywire/transport.h: "ends it as an exception ends it in Twisted", in whatever callback */
START_TEST(a_failure_ends_the_connection_after_any_callback) {
    serve(&rec_aware_class);
    r.on_data = _i == 0 ? go_wrong : NULL;
    r.on_read_lost = _i == 1 ? go_wrong : NULL;
    r.on_write_lost = _i == 2 ? go_wrong : NULL;
    r.on_resume = _i == 3 ? go_wrong : NULL;
    if (_i == 0) {
        fake_receive(f, a, "x", 1);
    } else if (_i == 1) {
        f->sockets[a].in_end = true;
        fake_ready(f, a, DW_READABLE);
    } else if (_i == 2) {
        dw_transport_lose_write_connection(t());
    } else {
        dw_transport_register_producer(t(), &r.producer, false);
    }
    fake_settle(f);
    const char *const logs[] = {"made data lost:APP_ERROR", "made read-lost lost:APP_ERROR",
                                "made write-lost lost:APP_ERROR",
                                "made resume stop lost:APP_ERROR"};
    ck_assert_str_eq(r.log, logs[_i]);
    ck_assert_uint_eq(f->sockets[a].out_len, 0);
    ck_assert(!f->sockets[a].reset);
}
END_TEST

static void abort_and_go_wrong(rec *self) {
    dw_transport_abort_connection(rec_transport(self));
    go_wrong(self);
}

/* tcp-abort-then-raise: one connectionLost, with the exception as reason */
START_TEST(an_abort_and_a_failure_in_one_callback_are_one_loss) {
    r.on_data = abort_and_go_wrong;
    fake_receive(f, a, "x", 1);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data lost:APP_ERROR");
}
END_TEST

/* Section 4: 9 */
START_TEST(a_failure_in_a_clients_connection_made_closes_it) {
    rec_init(&r, f);
    r.on_made = go_wrong;
    rec_factory client;
    rec_factory_init(&client, f, &r);
    dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 1, &client.client, 0, NULL, NULL);
    fake_settle(f);
    fake_ready(f, f->socket_count - 1, DW_WRITABLE);
    ck_assert_str_eq(r.log, "made lost:APP_ERROR");
    ck_assert_str_eq(client.log, "start connecting build lost:APP_ERROR stop");
    ck_assert_uint_eq(f->sockets[f->socket_count - 1].out_len, 0);
}
END_TEST

START_TEST(a_failure_from_outside_a_callback_ends_it_later) {
    go_wrong(&r);
    ck_assert_str_eq(r.log, "made");
    ck_assert_uint_eq(f->sockets[a].io->want, 0);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:APP_ERROR");
    ck_assert_uint_eq(f->sockets[a].sends, 0);
}
END_TEST

/* ---- Whose memory ---- */

static int destroyed;

static void free_rec(dw_protocol *p) {
    ck_assert_ptr_null(p->transport);
    destroyed++;
    free(rec_of(p));
}

static rec *heap_rec(dw_protocol_class *cls) {
    *cls = rec_class;
    cls->destroy = free_rec;
    rec *self = malloc(sizeof(*self));
    ck_assert_ptr_nonnull(self);
    rec_init(self, f);
    dw_protocol_init(&self->protocol, cls);
    destroyed = 0;
    return self;
}

/* drywire/protocol.h: "connection_lost exactly once, then destroy", however it ends. */
START_TEST(destroy_comes_once_after_any_end) {
    static dw_protocol_class cls;
    rec *self = heap_rec(&cls);
    int socket = fake_serve(f, &g, self, 0);
    dw_transport *transport = rec_transport(self);
    if (_i == 0) {
        f->sockets[socket].in_end = true;
        fake_ready(f, socket, DW_READABLE);
    } else if (_i == 1) {
        rec_write(self, "x");
        dw_transport_abort_connection(transport);
    } else if (_i == 2) {
        f->sockets[socket].send_error = EPIPE;
        rec_write(self, "x");
    } else if (_i == 3) {
        dw_transport_lose_write_connection(transport);
        fake_settle(f);
        dw_transport_lose_connection(transport);
    } else if (_i == 4) {
        rec_write(self, "x");
        f->sockets[socket].in_error = ECONNRESET;
        fake_ready(f, socket, DW_READABLE); /* lost while it waits to be flushed */
    } else {
        dw_reactor_fini(&f->reactor);
    }
    if (_i < 5) {
        fake_settle(f);
    }
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

static void lose_in_resume(rec *self) {
    lose(self);
    ck_assert_int_eq(destroyed, 0);
}

/* Section 4: 3 and 13 together: the end comes inside the call, the object goes after the callback.
 */
START_TEST(a_pull_producer_may_end_a_half_closed_connection_inside_register) {
    static dw_protocol_class cls;
    rec *self = heap_rec(&cls);
    self->on_resume = lose_in_resume;
    self->log = g.log;
    fake_serve(f, &g, self, 0);
    dw_transport_lose_write_connection(rec_transport(self));
    fake_settle(f);
    g.log[0] = '\0';
    ck_assert_int_eq(dw_transport_register_producer(rec_transport(self), &self->producer, false),
                     0);
    ck_assert_str_eq(g.log, "resume stop lost:CONNECTION_DONE returned");
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(a_protocol_connected_twice_breaks_the_contract) {
    dw_protocol_make_connection(&r.protocol, t());
    ck_assert_uint_eq(f->violations, 1);
    ck_assert_str_eq(r.log, "made");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core stream");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_reception_that_was_none_changes_nothing, 0, 3);
    tcase_add_loop_test(tc, any_other_error_of_a_reception_is_connection_lost, 0, 5);
    tcase_add_test(tc, pausing_is_not_counted);
    tcase_add_test(tc, a_class_with_nothing_in_it_works);
    tcase_add_loop_test(tc, a_send_that_was_none_is_tried_again, 0, 3);
    tcase_add_loop_test(tc, a_send_that_fails_in_the_flush_is_connection_lost_later, 0, 3);
    tcase_add_loop_test(tc, what_has_come_is_read_before_a_failed_send_is_told, 0, 2);
    tcase_add_test(tc, an_end_that_has_come_is_read_before_a_broken_pipe_is_told);
    tcase_add_test(tc, the_end_that_a_reset_leaves_behind_is_none);
    tcase_add_test(tc, who_does_not_read_hears_of_the_failed_send_alone);
    tcase_add_test(tc, an_abort_before_a_failed_send_is_told_wins);
    tcase_add_test(tc, many_bytes_leave_over_several_turns_with_a_look_at_the_input_between);
    tcase_add_test(tc, many_bytes_all_leave);
    tcase_add_test(tc, a_broken_connection_may_still_be_aborted);
    tcase_add_test(tc, bytes_keep_their_order_through_any_short_sends);
    tcase_add_test(tc, a_half_close_that_the_wire_refuses_is_connection_lost);
    tcase_add_test(tc, a_half_close_waits_for_the_flush_and_then_takes_no_writes);
    tcase_add_loop_test(tc, lose_connection_after_a_half_close_ends_inside_any_callback, 0, 3);
    tcase_add_test(tc, a_push_producer_is_paused_above_the_mark_at_every_write);
    tcase_add_test(tc, a_push_producer_that_was_not_paused_is_not_resumed);
    tcase_add_test(tc, the_marks_may_be_set);
    tcase_add_test(tc, without_memory_marks_are_refused_and_a_producer_is_stopped);
    tcase_add_test(tc, a_pull_producer_is_asked_once_per_emptied_buffer);
    tcase_add_test(tc, lose_connection_waits_for_a_pull_producer_until_it_is_unregistered);
    tcase_add_loop_test(tc, verbs_inside_pause_producing, 0, 4);
    tcase_add_loop_test(tc, a_failure_ends_the_connection_after_any_callback, 0, 4);
    tcase_add_test(tc, an_abort_and_a_failure_in_one_callback_are_one_loss);
    tcase_add_test(tc, a_failure_in_a_clients_connection_made_closes_it);
    tcase_add_test(tc, a_failure_from_outside_a_callback_ends_it_later);
    tcase_add_loop_test(tc, destroy_comes_once_after_any_end, 0, 6);
    tcase_add_test(tc, a_pull_producer_may_end_a_half_closed_connection_inside_register);
    tcase_add_test(tc, a_protocol_connected_twice_breaks_the_contract);
    return run_case(tc);
}
