/* SPDX-License-Identifier: MIT */
/*
 * The verbs of a transport (core/src/transport.c): writing, with and without copying what was just
 * received; closing; verbs where they must do nothing; no memory. Expectations:
 * drywire/transport.h; vectors/README.md, "Basic connections", "loseConnection", "abortConnection",
 * section 4.
 */
#include "test_core_wire.h"

static fake *f;
static rec r, s;
static rec_factory g;
static int a, b; /* the sockets of r and s */

static void setup(void) {
    f = fake_new();
    rec_init(&r, f);
    rec_init(&s, f);
    rec_factory_init(&g, f, NULL);
    fake_port(f, &g);
    a = fake_serve(f, &g, &r, 0);
    b = fake_serve(f, &g, &s, 0);
    r.other = &s;
}

static void teardown(void) {
    fake_fini(f);
}

/* Received bytes are the wire's: once they were handed over and flushed they may be anything. */
static void receive(const char *text, size_t room) {
    static char bytes[100];
    f->sockets[a].room = room;
    snprintf(bytes, sizeof(bytes), "%s", text);
    fake_receive(f, a, bytes, strlen(text));
    memset(bytes, '#', sizeof(bytes));
}

static void let_out(int socket) {
    f->sockets[socket].room = FAKE_OUT_MAX;
    fake_ready(f, socket, DW_WRITABLE);
    fake_settle(f);
}

/* ---- Echoing without a copy ---- */

static void echo(rec *self) {
    dw_transport_write(rec_transport(self), self->data, self->len);
}

START_TEST(an_echo_is_one_send_and_takes_no_memory) {
    size_t blocks = f->blocks;
    r.on_data = echo;
    f->fail_in = 1;
    receive("hello", FAKE_OUT_MAX);
    ck_assert(fake_sent(f, a, "hello"));
    ck_assert_uint_eq(f->sockets[a].sends, 1);
    ck_assert_uint_eq(f->fails, 0);
    ck_assert_uint_eq(f->blocks, blocks);
}
END_TEST

START_TEST(an_echo_that_the_wire_takes_in_part_is_kept) {
    r.on_data = echo;
    receive("hello", (size_t)_i);
    ck_assert_uint_eq(f->sockets[a].out_len, (size_t)_i);
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(&r)), 5 - (size_t)_i);
    let_out(a);
    ck_assert(fake_sent(f, a, "hello"));
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(&r)), 0);
}
END_TEST

START_TEST(an_echo_that_cannot_be_kept_aborts) {
    r.on_data = echo;
    f->fail_in = 1;
    receive("hello", 2);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data lost:NO_MEMORY");
    ck_assert(f->sockets[a].reset);
}
END_TEST

static void echo_part(rec *self) {
    dw_transport_write(rec_transport(self), self->data + 1, self->len - 2);
}

START_TEST(a_part_may_be_echoed) {
    r.on_data = echo_part;
    receive("hello", 1);
    let_out(a);
    ck_assert(fake_sent(f, a, "ell"));
}
END_TEST

static void echo_and_more(rec *self) {
    rec_write(self, "<");
    echo(self);
    rec_write(self, "|");
    echo(self);
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(self)), 2 * self->len + 2);
}

static void echo_twice(rec *self) {
    echo(self);
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(self)), self->len);
    echo(self);
    rec_write(self, "!");
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(self)), 2 * self->len + 1);
}

START_TEST(an_echo_among_other_writes_keeps_its_place) {
    r.on_data = _i == 0 ? echo_and_more : echo_twice;
    receive("ab", 3);
    let_out(a);
    ck_assert(fake_sent(f, a, _i == 0 ? "<ab|ab" : "abab!"));
}
END_TEST

static void echo_to_other(rec *self) {
    dw_transport_write(rec_transport(self->other), self->data, self->len);
}

static void echo_to_both(rec *self) {
    echo(self);
    echo_to_other(self);
    rec_write(self, "1");
    rec_write(self->other, "2");
}

START_TEST(bytes_may_be_echoed_to_another_connection) {
    r.on_data = _i == 0 ? echo_to_other : echo_to_both;
    f->sockets[b].room = 1;
    receive("ab", 1);
    let_out(a);
    let_out(b);
    ck_assert(fake_sent(f, a, _i == 0 ? "" : "ab1"));
    ck_assert(fake_sent(f, b, _i == 0 ? "ab" : "ab2"));
}
END_TEST

static void echo_and_abort(rec *self) {
    echo(self);
    dw_transport_abort_connection(rec_transport(self));
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(self)), 0);
    echo_to_other(self);
}

static void echo_and_fail(rec *self) {
    dw_reason reason = {DW_APP_ERROR, 0, "planted"};
    echo(self);
    dw_transport_fail(rec_transport(self), &reason);
    echo(self);
    echo_to_other(self);
}

/* tcp-abort-drops-pending-server, tcp-exception-data-server */
START_TEST(an_echo_before_an_abort_or_a_failure_is_dropped) {
    r.on_data = _i == 0 ? echo_and_abort : echo_and_fail;
    receive("ab", FAKE_OUT_MAX);
    fake_settle(f);
    ck_assert(fake_sent(f, a, ""));
    ck_assert(fake_sent(f, b, "ab"));
    ck_assert_str_eq(r.log,
                     _i == 0 ? "made data lost:CONNECTION_ABORTED" : "made data lost:APP_ERROR");
}
END_TEST

static void echo_to_other_that_ends(rec *self) {
    echo_to_other(self);
    dw_transport_lose_connection(rec_transport(self->other)); /* ends inside: it has half closed */
    echo(self);
}

START_TEST(the_borrower_may_end_before_the_flush) {
    dw_protocol_init(&s.protocol, &rec_aware_class);
    b = fake_serve(f, &g, &s, 0);
    dw_transport_lose_write_connection(rec_transport(&s));
    fake_settle(f);
    r.on_data = echo_to_other_that_ends;
    receive("ab", FAKE_OUT_MAX);
    ck_assert(fake_sent(f, a, "ab"));
    ck_assert_str_eq(s.log, "made made write-lost lost:CONNECTION_DONE");
}
END_TEST

static const uint8_t *kept;

static void keep(rec *self) {
    kept = self->data;
}

/* What lay in the read buffer in an earlier callback is like any other memory. */
START_TEST(bytes_at_an_old_address_are_copied) {
    static char bytes[] = "abc";
    r.on_data = keep;
    fake_receive(f, a, bytes, 3);
    dw_transport_write(rec_transport(&r), kept, 3);
    memset(bytes, '#', 3);
    fake_settle(f);
    ck_assert(fake_sent(f, a, "abc"));
}
END_TEST

/* ---- Answering from memory of one's own ---- */

/* A write buffer lies ready, as after any write: then a short answer does without it. */
static void prime(void) {
    rec_write(&s, "x");
    fake_settle(f);
    f->sockets[b].out_len = 0;
}

static size_t answer_len;

static void answer(rec *self) {
    char own[300];
    memset(own, 'a', sizeof(own));
    dw_transport_write(rec_transport(self), own, answer_len);
    memset(own, '#', sizeof(own));
}

/* The memory of a write is the caller's again when it returns (drywire/transport.h). */
START_TEST(an_answer_leaves_as_it_was_written) {
    static const size_t lens[] = {1, 255, 256, 257};
    char expected[300];
    prime();
    answer_len = lens[_i / 2];
    r.on_data = answer;
    receive("?", _i % 2 == 0 ? FAKE_OUT_MAX : 1);
    let_out(a);
    memset(expected, 'a', sizeof(expected));
    expected[answer_len] = '\0';
    ck_assert(fake_sent(f, a, expected));
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(&r)), 0);
}
END_TEST

static void answer_in_turns(rec *self) {
    char own[3] = "ab";
    dw_transport_write(rec_transport(self), own, 2);
    ck_assert_uint_eq(dw_transport_buffered(rec_transport(self)), 2);
    strcpy(own, "cd");
    dw_transport_write(rec_transport(self->other), own, 2);
    strcpy(own, "ef");
    dw_transport_write(rec_transport(self), own, 2);
    echo(self);
    strcpy(own, "##");
}

START_TEST(answers_of_one_callback_keep_apart_and_in_order) {
    prime();
    r.on_data = answer_in_turns;
    receive("?", 1);
    let_out(a);
    ck_assert(fake_sent(f, a, "abef?"));
    ck_assert(fake_sent(f, b, "cd"));
}
END_TEST

static void answer_and_end(rec *self) {
    answer(self);
    if (answer_len == 1) {
        dw_transport_lose_connection(rec_transport(self));
    } else {
        dw_transport_abort_connection(rec_transport(self));
    }
}

/* tcp-basic-server-greets-and-closes: what was written goes out first; an abort drops it */
START_TEST(an_answer_goes_out_before_a_close_and_not_before_an_abort) {
    prime();
    answer_len = 1 + (size_t)_i;
    r.on_data = answer_and_end;
    receive("?", FAKE_OUT_MAX);
    fake_settle(f);
    ck_assert(fake_sent(f, a, _i == 0 ? "a" : ""));
    ck_assert_str_eq(r.log, _i == 0 ? "made data lost:CONNECTION_DONE"
                                    : "made data lost:CONNECTION_ABORTED");
}
END_TEST

/* ---- Writing ---- */

/* tcp-basic-empty-writes, tcp-turn-write-not-immediate */
static void write_all_ways(rec *self) {
    struct iovec pieces[4] = {{"", 0}, {"ab", 2}, {NULL, 0}, {"cd", 2}};
    dw_transport_write(rec_transport(self), NULL, 0);
    dw_transport_writev(rec_transport(self), NULL, 0);
    dw_transport_writev(rec_transport(self), pieces, 1);
    dw_transport_writev(rec_transport(self), pieces, 4);
    rec_write(self, "e");
    ck_assert_uint_eq(f->sockets[a].sends, 0);
}

START_TEST(what_one_callback_writes_leaves_in_one_send) {
    r.on_data = write_all_ways;
    receive("x", FAKE_OUT_MAX);
    ck_assert(fake_sent(f, a, "abcde"));
    ck_assert_uint_eq(f->sockets[a].sends, 1);
}
END_TEST

static void writev_with_echo(rec *self) {
    struct iovec pieces[3] = {
        {(void *)(uintptr_t)self->data, self->len}, {"-", 1}, {(void *)(uintptr_t)self->data, 1}};
    dw_transport_writev(rec_transport(self), pieces, 3);
}

START_TEST(pieces_may_lie_in_what_was_received) {
    r.on_data = writev_with_echo;
    receive("ab", 1);
    let_out(a);
    ck_assert(fake_sent(f, a, "ab-a"));
}
END_TEST

static void echo_echo(rec *self) {
    echo(self);
    echo(self);
}

/* Each allocation of a write fails in turn. Nothing is dropped in silence (design, section 3). */
START_TEST(without_memory_a_write_aborts) {
    struct iovec pieces[2] = {{"ab", 2}, {"cd", 2}};
    f->fail_in = 1;
    if (_i == 0) {
        rec_write(&r, "ab");
    } else if (_i == 1) {
        dw_transport_writev(rec_transport(&r), pieces, 2);
    } else {
        r.on_data = echo_echo; /* the borrowed bytes have to move, and there is no room */
        receive("ab", FAKE_OUT_MAX);
    }
    rec_write(&r, "after");
    fake_settle(f);
    ck_assert_int_eq(r.reason.kind, DW_NO_MEMORY);
    ck_assert(fake_sent(f, a, ""));
    ck_assert(f->sockets[a].reset);
    ck_assert_str_eq(s.log, "made");
}
END_TEST

static void write_far(rec *self) {
    static const char block[5000];
    for (int i = 0; i < 4; i++) {
        dw_transport_write(rec_transport(self), block, sizeof(block));
    }
}

START_TEST(without_memory_to_grow_a_buffer_a_write_aborts) {
    f->fail_in = 2;
    r.on_data = write_far;
    receive("x", FAKE_OUT_MAX);
    fake_settle(f);
    ck_assert_int_eq(r.reason.kind, DW_NO_MEMORY);
    ck_assert_uint_eq(f->sockets[a].out_len, 0);
}
END_TEST

/* ---- Where verbs do nothing ---- */

static void all_verbs(dw_transport *t) {
    dw_reason reason = {DW_APP_ERROR, 0, NULL};
    struct iovec piece = {"x", 1};
    dw_transport_write(t, "x", 1);
    dw_transport_writev(t, &piece, 1);
    dw_transport_lose_connection(t);
    dw_transport_abort_connection(t);
    dw_transport_lose_write_connection(t);
    dw_transport_fail(t, &reason);
    dw_transport_pause_producing(t);
    dw_transport_resume_producing(t);
    dw_transport_stop_producing(t);
    dw_transport_unregister_producer(t);
    ck_assert_int_eq(dw_transport_set_write_limits(t, 1, 2), 0);
    ck_assert_int_eq(dw_transport_set_no_delay(t, true), DW_NOT_CONNECTED);
    ck_assert_int_eq(dw_transport_set_keep_alive(t, true), DW_NOT_CONNECTED);
    ck_assert(!dw_transport_get_no_delay(t) && !dw_transport_get_keep_alive(t));
    ck_assert(!dw_transport_connected(t) && dw_transport_disconnected(t));
    ck_assert_uint_eq(dw_transport_buffered(t), 0);
}

START_TEST(verbs_on_null_do_nothing) {
    all_verbs(NULL);
    ck_assert_int_eq(dw_transport_register_producer(NULL, &r.producer, true), 0);
    ck_assert_str_eq(r.log, "made stop");
    ck_assert_uint_eq(dw_transport_peer(NULL).kind, DW_ADDRESS_NONE);
    ck_assert_uint_eq(dw_transport_host(NULL).kind, DW_ADDRESS_NONE);
    ck_assert(!dw_transport_disconnecting(NULL));
    ck_assert_ptr_null(dw_transport_reactor(NULL));
    ck_assert_int_eq(dw_transport_set_write_limits(NULL, 2, 1), DW_INVALID_ARGUMENT);
}
END_TEST

static void verbs_in_lost(rec *self) {
    all_verbs(rec_transport(self));
    dw_transport_register_producer(rec_transport(self), &self->producer, true);
    ck_assert_uint_eq(dw_transport_peer(rec_transport(self)).port, 999);
    ck_assert_uint_eq(dw_transport_host(rec_transport(self)).port, 4321);
    ck_assert_ptr_eq(dw_transport_reactor(rec_transport(self)), &f->reactor);
    ck_assert(!self->protocol.connected);
}

/* tcp-close-write-later-than-lost; "registerProducer in or after connectionLost: stopProducing at
 * once"; "The addresses can still be read" */
START_TEST(verbs_in_connection_lost_do_nothing) {
    r.on_lost = verbs_in_lost;
    f->sockets[a].in_end = true;
    fake_ready(f, a, DW_READABLE);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_DONE stop");
    ck_assert_ptr_null(rec_transport(&r));
    ck_assert_uint_eq(f->sockets[a].sends, 0);
}
END_TEST

static void stop_with_verbs(dw_producer *p) {
    rec *self = DW_CONTAINER_OF(p, rec, producer);
    say(self->log, "stop");
    all_verbs(rec_transport(self));
}

/* The connection has ended when its producer is stopped. */
START_TEST(verbs_in_stop_producing_do_nothing) {
    static dw_producer_class cls;
    cls = rec_producer;
    cls.stop_producing = stop_with_verbs;
    r.producer.cls = &cls;
    dw_transport_register_producer(rec_transport(&r), &r.producer, true);
    f->sockets[a].in_error = ECONNRESET;
    fake_ready(f, a, DW_READABLE);
    ck_assert_str_eq(r.log, "made stop lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, ECONNRESET);
}
END_TEST

/* ---- Closing ---- */

static void say_lost_order(rec *self) {
    dw_transport *t = rec_transport(self);
    rec_write(self, "a");
    dw_transport_lose_connection(t);
    dw_transport_lose_connection(t);
    rec_write(self, "b");
    say(self->log, "returned");
}

/* tcp-close-write-after, tcp-close-twice */
START_TEST(lose_connection_flushes_what_is_written_before_and_after_it) {
    r.on_data = say_lost_order;
    receive("x", 1);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made data returned");
    rec_write(&r, "c");
    let_out(a);
    ck_assert_str_eq(r.log, "made data returned lost:CONNECTION_DONE");
    ck_assert(fake_sent(f, a, "abc"));
    ck_assert(!f->sockets[a].reset);
}
END_TEST

/* "reading stops at once"; resumeProducing after loseConnection: no effect */
START_TEST(nothing_is_read_after_lose_connection) {
    f->sockets[a].room = 0;
    rec_write(&r, "pending");
    dw_transport_lose_connection(rec_transport(&r));
    dw_transport_pause_producing(rec_transport(&r));
    dw_transport_resume_producing(rec_transport(&r));
    fake_settle(f);
    ck_assert_uint_eq(f->sockets[a].io->want, DW_WRITABLE);
    receive("late", 0);
    ck_assert_str_eq(r.log, "made");
}
END_TEST

/* Section 4: 8; tcp-close-peer-closes-while-flushing */
START_TEST(lose_connection_whose_flush_fails_is_connection_lost) {
    f->sockets[a].room = 0;
    rec_write(&r, "pending");
    dw_transport_lose_connection(rec_transport(&r));
    fake_settle(f);
    f->sockets[a].send_error = EPIPE;
    fake_ready(f, a, DW_WRITABLE);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(r.reason.sys_errno, EPIPE);
}
END_TEST

static void fail_then(rec *self) {
    dw_reason reason = {DW_APP_ERROR, 7, "first"};
    dw_reason second = {DW_TIMEOUT, 8, "second"};
    dw_transport_fail(rec_transport(self), &reason);
    dw_transport_fail(rec_transport(self), &second);
    dw_transport_abort_connection(rec_transport(self));
    dw_transport_lose_connection(rec_transport(self));
    rec_write(self, "x");
}

/* "connection_lost(reason) follows": an exception ends the callback, so nothing after it counts.
 * From inside a callback and from outside. */
START_TEST(after_a_failure_other_ends_do_not_count) {
    if (_i == 0) {
        r.on_data = fail_then;
        receive("x", FAKE_OUT_MAX);
    } else {
        fail_then(&r);
        ck_assert_str_eq(r.log, "made");
    }
    fake_settle(f);
    ck_assert_str_eq(r.log, _i == 0 ? "made data lost:APP_ERROR" : "made lost:APP_ERROR");
    ck_assert_int_eq(r.reason.sys_errno, 7);
    ck_assert_str_eq(r.reason.text, "first");
    ck_assert(!f->sockets[a].reset);
    ck_assert(fake_sent(f, a, ""));
}
END_TEST

/* The same where lose_connection would end it at once. */
START_TEST(after_a_failure_a_half_closed_connection_has_that_reason_too) {
    dw_protocol_init(&r.protocol, &rec_aware_class);
    a = fake_serve(f, &g, &r, 0);
    dw_transport_lose_write_connection(rec_transport(&r));
    fake_settle(f);
    r.on_data = fail_then;
    receive("x", FAKE_OUT_MAX);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made made write-lost data lost:APP_ERROR");
}
END_TEST

static void write_fail_abort(rec *self) {
    dw_reason reason = {DW_APP_ERROR, 0, NULL};
    rec_write(self, "x");
    dw_transport_fail(rec_transport(self), &reason);
    dw_transport_abort_connection(rec_transport(self));
}

/* A server's connection_made that fails is forgiven (section 4: 9), an abort is not forgotten. */
START_TEST(a_forgiven_failure_does_not_hide_an_abort) {
    rec_init(&r, f);
    r.on_made = write_fail_abort;
    a = fake_serve(f, &g, &r, 0);
    fake_settle(f);
    ck_assert_str_eq(r.log, "made lost:CONNECTION_ABORTED");
    ck_assert_uint_eq(f->logs, 1);
}
END_TEST

START_TEST(options_answer_what_the_wire_says) {
    dw_transport *t = rec_transport(&r);
    ck_assert(!dw_transport_get_no_delay(t));
    ck_assert_int_eq(dw_transport_set_no_delay(t, true), 0);
    ck_assert(dw_transport_get_no_delay(t) && !dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_keep_alive(t, false), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EINVAL);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core transport");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_echo_is_one_send_and_takes_no_memory);
    tcase_add_loop_test(tc, an_echo_that_the_wire_takes_in_part_is_kept, 0, 5);
    tcase_add_test(tc, an_echo_that_cannot_be_kept_aborts);
    tcase_add_test(tc, a_part_may_be_echoed);
    tcase_add_loop_test(tc, an_echo_among_other_writes_keeps_its_place, 0, 2);
    tcase_add_loop_test(tc, bytes_may_be_echoed_to_another_connection, 0, 2);
    tcase_add_loop_test(tc, an_echo_before_an_abort_or_a_failure_is_dropped, 0, 2);
    tcase_add_test(tc, the_borrower_may_end_before_the_flush);
    tcase_add_test(tc, bytes_at_an_old_address_are_copied);
    tcase_add_loop_test(tc, an_answer_leaves_as_it_was_written, 0, 8);
    tcase_add_test(tc, answers_of_one_callback_keep_apart_and_in_order);
    tcase_add_loop_test(tc, an_answer_goes_out_before_a_close_and_not_before_an_abort, 0, 2);
    tcase_add_test(tc, what_one_callback_writes_leaves_in_one_send);
    tcase_add_test(tc, pieces_may_lie_in_what_was_received);
    tcase_add_loop_test(tc, without_memory_a_write_aborts, 0, 3);
    tcase_add_test(tc, without_memory_to_grow_a_buffer_a_write_aborts);
    tcase_add_test(tc, verbs_on_null_do_nothing);
    tcase_add_test(tc, verbs_in_connection_lost_do_nothing);
    tcase_add_test(tc, verbs_in_stop_producing_do_nothing);
    tcase_add_test(tc, lose_connection_flushes_what_is_written_before_and_after_it);
    tcase_add_test(tc, nothing_is_read_after_lose_connection);
    tcase_add_test(tc, lose_connection_whose_flush_fails_is_connection_lost);
    tcase_add_loop_test(tc, after_a_failure_other_ends_do_not_count, 0, 2);
    tcase_add_test(tc, after_a_failure_a_half_closed_connection_has_that_reason_too);
    tcase_add_test(tc, a_forgiven_failure_does_not_hide_an_abort);
    tcase_add_test(tc, options_answer_what_the_wire_says);
    return run_case(tc);
}
