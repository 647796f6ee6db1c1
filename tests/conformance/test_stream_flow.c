/* SPDX-License-Identifier: MIT */
/*
 * The flow of streams on every wire: pausing, producers. The expectations are what the real Twisted
 * did: each case names the vectors (vectors/README.md).
 */
#include "stream_pair.h"

/* ---- Pausing ---- */

/* tcp-pause-no-data */
CONF_CASE(a_paused_side_gets_nothing_and_everything_when_it_resumes) {
    WITH_PAIR(p);
    p.s.on_made = do_pause;
    p.c.on_made = do_hello;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made");
    dw_transport_resume_producing(p.s.protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made data");
    pair_fini(&p);
}

/* tcp-pause-peer-closes, tcp-pause-peer-closes-never-resumed */
CONF_CASE(a_paused_side_does_not_notice_that_its_peer_closed) {
    WITH_PAIR(p);
    p.s.on_made = do_pause;
    p.c.on_made = hello_and_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made");
    dw_transport_resume_producing(p.s.protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made data lost:CONNECTION_DONE");
    pair_fini(&p);
}

static void hello_then_abort_later(side *s) {
    do_hello(s);
    note(s->log, sizeof(s->log), "sent");
}

/* tcp-abort-peer-paused-unread */
CONF_CASE(a_paused_side_reads_what_came_before_a_reset_and_then_the_reset) {
    WITH_PAIR(p);
    p.s.on_made = do_pause;
    p.c.on_made = hello_then_abort_later;
    conf_pair(c, &p.f, &p.g);
    do_abort(&p.c);
    conf_settle(c);
    expect(&p, "made sent lost:CONNECTION_ABORTED", "made");
    dw_transport_resume_producing(p.s.protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made data lost:CONNECTION_LOST");
    pair_fini(&p);
}

/* The peer has closed, and resets when it is written to. An end of stream that has come is not
 * taken back by that (RFC 9293 is silent; Linux looks for the end before the error). */
CONF_CASE(a_paused_side_reads_the_end_that_came_before_a_reset) {
    WITH_PAIR(p);
    p.s.on_made = do_pause;
    p.c.on_made = hello_and_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made");
    do_hello(&p.s); /* nobody is there: RST */
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made");
    dw_transport_resume_producing(p.s.protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made data lost:CONNECTION_DONE");
    pair_fini(&p);
}

static void pause_and_hello(side *s) {
    do_pause(s);
    do_hello(s);
}

/* tcp-pause-close-noticed-by-write: closed, the second write tells */
CONF_CASE(a_paused_side_notices_a_reset_when_it_writes) {
    WITH_PAIR(p);
    p.s.on_made = pause_and_hello;
    p.c.on_data = do_abort;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data lost:CONNECTION_ABORTED", "made");
    do_hello(&p.s);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made lost:CONNECTION_LOST");
    pair_fini(&p);
}

/* ---- Producers ---- */

static void register_push(side *s) {
    dw_transport_register_producer(s->protocol.transport, &s->producer, true);
}

static void write_70000(side *s) {
    static const uint8_t data[70000];
    register_push(s);
    dw_transport_write(s->protocol.transport, data, 65536);
    note(s->log, sizeof(s->log), "full");
    dw_transport_write(s->protocol.transport, data, 1);
    dw_transport_write(s->protocol.transport, data, 1);
}

/* tcp-producer-push-two-writes: 65536 are not too many; then at every write */
CONF_CASE(a_push_producer_is_paused_above_65536_and_resumed_at_empty) {
    WITH_PAIR(p);
    p.s.on_made = write_70000;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made full pause pause resume");
    ck_assert_uint_eq(p.c.received, 65538);
    pair_fini(&p);
}

static void register_pull(side *s) {
    dw_transport_register_producer(s->protocol.transport, &s->producer, false);
    note(s->log, sizeof(s->log), "registered");
}

static void unregister_and_lose(side *s) {
    dw_transport_unregister_producer(s->protocol.transport);
    do_lose(s);
}

/* tcp-producer-pull */
CONF_CASE(a_pull_producer_is_called_inside_register_and_once_per_empty_buffer) {
    WITH_PAIR(p);
    p.s.produce_left = 3;
    p.s.produce_size = 100;
    p.s.on_produced = unregister_and_lose;
    p.s.on_made = register_pull;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made resume registered resume resume lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.c.received, 300);
    pair_fini(&p);
}

static void pull_and_lose(side *s) {
    register_pull(s);
    do_lose(s);
}

static void unregister(side *s) {
    dw_transport_unregister_producer(s->protocol.transport);
}

/* tcp-producer-lose-pull */
CONF_CASE(lose_connection_waits_for_a_pull_producer) {
    WITH_PAIR(p);
    p.s.produce_left = 5;
    p.s.produce_size = 70000;
    p.s.producer_quiet = true;
    p.s.on_produced = unregister;
    p.s.on_made = pull_and_lose;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made registered lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.c.received, 350000);
    pair_fini(&p);
}

static void push_and_lose(side *s) {
    register_push(s);
    do_hello(s);
    do_lose(s);
}

/* tcp-producer-lose-unpaused-push */
CONF_CASE(lose_connection_does_not_wait_for_a_push_producer_that_is_not_paused) {
    WITH_PAIR(p);
    p.s.on_made = push_and_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data lost:CONNECTION_DONE", "made stop lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* tcp-producer-peer-closes, tcp-producer-register-twice */
CONF_CASE(a_producer_is_stopped_before_connection_lost) {
    WITH_PAIR(p);
    p.s.on_made = register_push;
    p.s.on_lost = register_push;
    conf_pair(c, &p.f, &p.g);
    dw_producer other = {p.s.producer.cls};
    ck_assert_int_eq(dw_transport_register_producer(p.s.protocol.transport, &other, true),
                     DW_PRODUCER_REGISTERED);
    do_lose(&p.c);
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made stop lost:CONNECTION_DONE stop");
    pair_fini(&p);
}

CONF_CASE(a_low_water_mark_resumes_before_the_buffer_is_empty) {
    WITH_PAIR(p);
    conf_pair(c, &p.f, &p.g);
    dw_transport *t = p.s.protocol.transport;
    ck_assert_int_eq(dw_transport_set_write_limits(t, 10, 5), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_transport_set_write_limits(t, 10, 20), 0);
    register_push(&p.s);
    side_say(&p.s, "123456789012345678901");
    ck_assert_str_eq(p.s.log, "made pause");
    conf_settle(c);
    ck_assert_str_eq(p.s.log, "made pause resume");
    pair_fini(&p);
}

static Suite *suite(void) {
    Suite *suite = suite_create("conformance");
    TCase *tc = tcase_create("flow of streams");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, a_paused_side_gets_nothing_and_everything_when_it_resumes);
    CONF_ADD(tc, a_paused_side_does_not_notice_that_its_peer_closed);
    CONF_ADD(tc, a_paused_side_reads_what_came_before_a_reset_and_then_the_reset);
    CONF_ADD(tc, a_paused_side_reads_the_end_that_came_before_a_reset);
    CONF_ADD(tc, a_paused_side_notices_a_reset_when_it_writes);
    CONF_ADD(tc, a_push_producer_is_paused_above_65536_and_resumed_at_empty);
    CONF_ADD(tc, a_pull_producer_is_called_inside_register_and_once_per_empty_buffer);
    CONF_ADD(tc, lose_connection_waits_for_a_pull_producer);
    CONF_ADD(tc, lose_connection_does_not_wait_for_a_push_producer_that_is_not_paused);
    CONF_ADD(tc, a_producer_is_stopped_before_connection_lost);
    CONF_ADD(tc, a_low_water_mark_resumes_before_the_buffer_is_empty);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
