/* SPDX-License-Identifier: MIT */
/*
 * Streams on every wire: opening, writing, closing, aborting, half closes, pausing, producers. The
 * expectations are what the real Twisted did: each case names the vectors (vectors/README.md).
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One side at each end. */
typedef struct pair {
    side s, c;
    side *server_sides[1], *client_sides[1];
    serving f, g;
} pair;

static void pair_init(pair *p, conf *c) {
    side_init(&p->s, c);
    side_init(&p->c, c);
    p->server_sides[0] = &p->s;
    p->client_sides[0] = &p->c;
    serving_init(&p->f, c, p->server_sides, 1);
    serving_init(&p->g, c, p->client_sides, 1);
}

static void pair_fini(pair *p) {
    free(p->s.bytes);
    free(p->c.bytes);
}

static void expect(const pair *p, const char *client, const char *server) {
    ck_assert_str_eq(p->c.log, client);
    ck_assert_str_eq(p->s.log, server);
}

#define WITH_PAIR(p) \
    pair p;          \
    pair_init(&p, c)

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

static void hello_and_lose(side *s) {
    do_hello(s);
    do_lose(s);
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
    TCase *tc = tcase_create("streams");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, echo_then_the_client_closes);
    CONF_ADD(tc, the_server_greets_and_closes_in_connection_made);
    CONF_ADD(tc, writes_keep_their_order_and_empty_ones_do_nothing);
    CONF_ADD(tc, addresses_are_readable_inside_connection_lost);
    CONF_ADD(tc, options_are_off_at_first_and_answer_what_was_set);
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
    CONF_ADD(tc, a_server_that_builds_nothing_closes_and_listens_on);
    CONF_ADD(tc, a_client_that_builds_nothing_loses_an_orderly_connection);
    CONF_ADD(tc, a_client_that_cannot_build_has_failed_to_connect);
    CONF_ADD(tc, flags_are_twisteds);
    CONF_ADD(tc, a_half_close_flushes_and_is_told_to_both_aware_sides);
    CONF_ADD(tc, a_half_close_ends_a_peer_that_is_not_aware);
    CONF_ADD(tc, lose_connection_after_write_connection_lost_is_synchronous);
    CONF_ADD(tc, an_aware_side_whose_peer_closed_is_responsible_for_its_own_end);
    CONF_ADD(tc, a_half_close_and_a_close_together_are_a_close);
    CONF_ADD(tc, a_second_half_close_breaks_the_connection);
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
    CONF_ADD(tc, a_delayed_call_comes_before_the_loss_asked_for_in_the_same_input_callback);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
