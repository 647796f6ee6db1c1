/* SPDX-License-Identifier: MIT */
/*
 * How streams end, on every wire: closing, aborting, failures in callbacks, half closes. The
 * expectations are what the real Twisted did: each case names the vectors (vectors/README.md).
 */
#include "stream_pair.h"

#include <errno.h>

/* ---- lose_connection ---- */

enum { LARGE = 3 * 1000 * 1000 };

static void large_and_lose(side *s) {
    uint8_t *data = malloc(LARGE);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < LARGE; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    dw_transport_write(s->protocol.transport, data, LARGE);
    free(data);
    do_lose(s);
}

/* tcp-close-large-pending-server */
CONF_CASE(lose_connection_flushes_megabytes_first) {
    WITH_PAIR(p);
    p.s.on_made = large_and_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data lost:CONNECTION_DONE", "made lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.c.received, LARGE);
    size_t same = 0;
    while (same < LARGE && p.c.bytes[same] == (uint8_t)(same * 7 + same / 251)) {
        same++;
    }
    ck_assert_uint_eq(same, LARGE);
    pair_fini(&p);
}

static void a_lose_b(side *s) {
    side_say(s, "a");
    do_lose(s);
    side_say(s, "b");
    do_lose(s);
}

/* tcp-close-write-after, tcp-close-twice */
CONF_CASE(a_write_after_lose_connection_is_still_sent) {
    WITH_PAIR(p);
    p.c.on_made = a_lose_b;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    ck_assert_uint_eq(p.s.received, 2);
    pair_fini(&p);
}

static void every_verb(side *s) {
    do_hello(s);
    do_lose(s);
    do_abort(s);
    do_lose_write(s);
    dw_transport_pause_producing(s->protocol.transport);
    dw_transport_resume_producing(s->protocol.transport);
}

/* tcp-close-write-later-than-lost */
CONF_CASE(verbs_in_and_after_connection_lost_do_nothing) {
    WITH_PAIR(p);
    p.c.on_lost = every_verb;
    p.s.on_made = do_lose;
    conf_pair(c, &p.f, &p.g);
    every_verb(&p.c);
    conf_settle(c);
    expect(&p, "made lost:CONNECTION_DONE", "made lost:CONNECTION_DONE");
    ck_assert_ptr_null(p.c.protocol.transport);
    pair_fini(&p);
}

/* tcp-close-in-made-both */
CONF_CASE(both_close_at_once_and_both_are_done) {
    WITH_PAIR(p);
    p.c.on_made = p.s.on_made = do_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* ---- abort_connection ---- */

/* tcp-abort-client */
CONF_CASE(abort_is_aborted_here_and_lost_there) {
    WITH_PAIR(p);
    p.s.on_data = do_abort;
    p.c.on_made = do_hello;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_LOST", "made data lost:CONNECTION_ABORTED");
    ck_assert_int_eq(p.c.reason.sys_errno, ECONNRESET);
    pair_fini(&p);
}

static void hello_and_abort(side *s) {
    do_hello(s);
    do_abort(s);
    do_abort(s);
    do_lose(s);
    note(s->log, sizeof(s->log), "returned");
}

/* tcp-abort-drops-pending-server, tcp-abort-twice */
CONF_CASE(abort_drops_what_was_written_and_reports_later) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = hello_and_abort;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_LOST", "made data returned lost:CONNECTION_ABORTED");
    pair_fini(&p);
}

static void lose_and_abort(side *s) {
    do_lose(s);
    do_abort(s);
}

/* tcp-abort-after-lose */
CONF_CASE(abort_after_lose_connection_wins) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = lose_and_abort;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_LOST", "made data lost:CONNECTION_ABORTED");
    pair_fini(&p);
}

static void call_it(void *user) {
    side *s = user;
    note(s->log, sizeof(s->log), "call");
}

static dw_delayed_call first_call, second_call;

static void call_abort_call(side *s) {
    dw_reactor *reactor = dw_transport_reactor(s->protocol.transport);
    dw_reactor_call_later(reactor, &first_call, 0, call_it, s);
    do_abort(s);
    dw_reactor_call_later(reactor, &second_call, 0, call_it, s);
}

/* tcp-turn-abort-vs-timer */
CONF_CASE(abort_takes_its_place_among_delayed_calls) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = call_abort_call;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made data call lost:CONNECTION_ABORTED call");
    pair_fini(&p);
}

static void abort_and_fail(side *s) {
    dw_reason reason = {DW_APP_ERROR, 0, "planted"};
    do_abort(s);
    dw_transport_fail(s->protocol.transport, &reason);
}

/* tcp-abort-then-raise */
CONF_CASE(abort_and_failure_are_one_loss_with_the_failure_as_reason) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = abort_and_fail;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made data lost:APP_ERROR");
    pair_fini(&p);
}

/* ---- Failures in callbacks ---- */

static void say_and_fail(side *s) {
    dw_reason reason = {DW_APP_ERROR, 0, "planted"};
    do_hello(s);
    dw_transport_fail(s->protocol.transport, &reason);
}

/* tcp-exception-data-server */
CONF_CASE(a_failure_in_data_received_drops_writes_and_closes) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = say_and_fail;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:APP_ERROR");
    ck_assert_str_eq(p.s.reason.text, "planted");
    pair_fini(&p);
}

static void quiet(void *user, const char *line) {
    (void)user;
    (void)line;
}

/* tcp-exception-made-server */
CONF_CASE(a_failure_in_a_servers_connection_made_leaves_it_open) {
    WITH_PAIR(p);
    dw_reactor_set_log(c->server, quiet, NULL);
    p.s.on_made = say_and_fail;
    p.c.on_made = do_hello;
    p.s.on_data = do_echo;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made data", "made data");
    ck_assert_mem_eq(p.c.bytes, "hellohello", 10);
    pair_fini(&p);
}

/* ---- Half close ---- */

static void hello_and_lose_write(side *s) {
    do_hello(s);
    do_lose_write(s);
}

/* tcp-halfclose-both-aware */
CONF_CASE(a_half_close_flushes_and_is_told_to_both_aware_sides) {
    WITH_PAIR(p);
    p.c.aware = p.s.aware = true;
    p.c.on_made = hello_and_lose_write;
    p.s.on_read_lost = hello_and_lose;
    p.c.on_read_lost = do_lose;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made write-lost data read-lost lost:CONNECTION_DONE",
           "made data read-lost lost:CONNECTION_DONE");
    pair_fini(&p);
}

/* tcp-halfclose-neither-aware */
CONF_CASE(a_half_close_ends_a_peer_that_is_not_aware) {
    WITH_PAIR(p);
    p.c.on_made = do_lose_write;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made lost:CONNECTION_DONE");
    pair_fini(&p);
}

static void lose_and_return(side *s) {
    do_lose(s);
    note(s->log, sizeof(s->log), "returned");
}

/* tcp-halfclose-lose-in-write-lost */
CONF_CASE(lose_connection_after_write_connection_lost_is_synchronous) {
    WITH_PAIR(p);
    p.c.aware = true;
    p.c.on_made = do_lose_write;
    p.c.on_write_lost = lose_and_return;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.c.log, "made write-lost lost:CONNECTION_DONE returned");
    ck_assert_str_eq(p.g.log, "start connecting build lost:CONNECTION_DONE stop");
    pair_fini(&p);
}

/* tcp-halfclose-peer-closes-fully-passive */
CONF_CASE(an_aware_side_whose_peer_closed_is_responsible_for_its_own_end) {
    WITH_PAIR(p);
    p.c.aware = true;
    p.s.on_made = do_lose;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.c.log, "made read-lost");
    do_lose(&p.c);
    conf_settle(c);
    ck_assert_str_eq(p.c.log, "made read-lost lost:CONNECTION_DONE");
    pair_fini(&p);
}

static void both_closes(side *s) {
    do_hello(s);
    do_lose_write(s);
    do_lose(s);
}

/* tcp-halfclose-lose-same-turn */
CONF_CASE(a_half_close_and_a_close_together_are_a_close) {
    WITH_PAIR(p);
    p.c.aware = true;
    p.c.on_made = both_closes;
    conf_pair(c, &p.f, &p.g);
    expect(&p, "made lost:CONNECTION_DONE", "made data lost:CONNECTION_DONE");
    pair_fini(&p);
}

CONF_CASE(a_second_half_close_breaks_the_connection) {
    WITH_PAIR(p);
    p.c.aware = p.s.aware = true;
    p.c.on_made = do_lose_write;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.c.log, "made write-lost");
    do_lose_write(&p.c);
    conf_settle(c);
    ck_assert_str_eq(p.c.log, "made write-lost lost:CONNECTION_LOST");
    pair_fini(&p);
}

/* ---- Turns ---- */

static void lose_then_call(side *s) {
    dw_reactor *reactor = dw_transport_reactor(s->protocol.transport);
    do_lose(s);
    dw_reactor_call_later(reactor, &first_call, 0, call_it, s);
}

/* "Turns of the loop": in an input callback the delayed call comes first */
CONF_CASE(a_delayed_call_comes_before_the_loss_asked_for_in_the_same_input_callback) {
    WITH_PAIR(p);
    p.c.on_made = do_hello;
    p.s.on_data = lose_then_call;
    conf_pair(c, &p.f, &p.g);
    ck_assert_str_eq(p.s.log, "made data call lost:CONNECTION_DONE");
    pair_fini(&p);
}

static Suite *suite(void) {
    Suite *suite = suite_create("conformance");
    TCase *tc = tcase_create("ends of streams");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, lose_connection_flushes_megabytes_first);
    CONF_ADD(tc, a_write_after_lose_connection_is_still_sent);
    CONF_ADD(tc, verbs_in_and_after_connection_lost_do_nothing);
    CONF_ADD(tc, both_close_at_once_and_both_are_done);
    CONF_ADD(tc, abort_is_aborted_here_and_lost_there);
    CONF_ADD(tc, abort_drops_what_was_written_and_reports_later);
    CONF_ADD(tc, abort_after_lose_connection_wins);
    CONF_ADD(tc, abort_takes_its_place_among_delayed_calls);
    CONF_ADD(tc, abort_and_failure_are_one_loss_with_the_failure_as_reason);
    CONF_ADD(tc, a_failure_in_data_received_drops_writes_and_closes);
    CONF_ADD(tc, a_failure_in_a_servers_connection_made_leaves_it_open);
    CONF_ADD(tc, a_half_close_flushes_and_is_told_to_both_aware_sides);
    CONF_ADD(tc, a_half_close_ends_a_peer_that_is_not_aware);
    CONF_ADD(tc, lose_connection_after_write_connection_lost_is_synchronous);
    CONF_ADD(tc, an_aware_side_whose_peer_closed_is_responsible_for_its_own_end);
    CONF_ADD(tc, a_half_close_and_a_close_together_are_a_close);
    CONF_ADD(tc, a_second_half_close_breaks_the_connection);
    CONF_ADD(tc, a_delayed_call_comes_before_the_loss_asked_for_in_the_same_input_callback);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
