/* SPDX-License-Identifier: MIT */
/*
 * Stopping, triggers and turns on every wire. Expectations: vectors/README.md, "Start and stop of
 * the reactor", "Turns of the loop", "Timers of the reactor"; each case names its record. Starting
 * is the world's business on the dry wire; test_core_reactor.c has it.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static side s, k; /* the server's and the client's */
static side *ss[1] = {&s}, *ks[1] = {&k};
static serving f, g;
static dw_delayed_call calls[6];
static dw_trigger triggers[8];
static char seen[2000];
static dw_reactor *reactor; /* the client's */

static void begin(conf *c) {
    side_init(&s, c);
    side_init(&k, c);
    serving_init(&f, c, ss, 1);
    serving_init(&g, c, ks, 1);
    memset(calls, 0, sizeof(calls));
    memset(triggers, 0, sizeof(triggers));
    seen[0] = '\0';
    reactor = c->client;
}

static void end(void) {
    free(s.bytes);
    free(k.bytes);
}

static void say(const char *word) {
    note(seen, sizeof(seen), word);
}

static void say_it(void *user) {
    say(user);
}

static void after(int i, dw_time delay, dw_delayed_fn fn, const char *name) {
    dw_reactor_call_later(reactor, &calls[i], delay, fn, (void *)(uintptr_t)name);
}

static void add(int i, dw_phase phase, void (*fn)(void *user), const char *name) {
    dw_reactor_add_trigger(reactor, &triggers[i], phase, fn, (void *)(uintptr_t)name);
}

static void stop(void *user) {
    say(user);
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    say("stop-returned");
}

/* ---- Stop ---- */

/* clock-reactor-stop-from-timer */
CONF_CASE(stop_lets_the_rest_of_the_turn_run_and_then_the_triggers) {
    begin(c);
    add(0, DW_AFTER_SHUTDOWN, say_it, "after1");
    add(1, DW_DURING_SHUTDOWN, say_it, "during1");
    add(2, DW_BEFORE_SHUTDOWN, say_it, "before1");
    after(0, 0, stop, "a");
    after(1, 0, say_it, "b");
    after(2, DW_MSEC(50), say_it, "c");
    conf_run(c);
    ck_assert_str_eq(seen, "a stop-returned b before1 during1 after1");
    end();
}

static void stop_and_arm(void *user) {
    stop(user);
    after(1, 0, say_it, "inner");
}

/* clock-reactor-stop-zero-after */
CONF_CASE(a_call_without_delay_made_after_stop_does_not_run) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, say_it, "before");
    add(1, DW_AFTER_SHUTDOWN, say_it, "after");
    after(0, 0, stop_and_arm, "a");
    conf_run(c);
    ck_assert_str_eq(seen, "a stop-returned before after");
    end();
}

static void say_running(void *user) {
    say(user);
    say(dw_reactor_running(reactor) ? "running" : "not");
}

/* clock-reactor-stop-running-flag */
CONF_CASE(the_reactor_runs_until_the_during_phase) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, say_running, "b");
    add(1, DW_DURING_SHUTDOWN, say_running, "d");
    add(2, DW_AFTER_SHUTDOWN, say_running, "a");
    after(0, 0, say_running, "c");
    after(1, 0, stop, "s");
    after(2, 0, say_running, "t");
    conf_run(c);
    ck_assert_str_eq(seen, "c running s stop-returned t running b running d not a not");
    end();
}

static void stop_refused(void *user) {
    say(user);
    ck_assert_int_eq(dw_reactor_stop(reactor), DW_NOT_RUNNING);
}

/* clock-reactor-stop-twice, clock-reactor-stop-in-trigger */
CONF_CASE(a_second_stop_is_not_running) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, stop_refused, "b");
    add(1, DW_DURING_SHUTDOWN, stop_refused, "d");
    after(0, 0, stop, "s");
    after(1, 0, stop_refused, "t");
    conf_run(c);
    ck_assert_str_eq(seen, "s stop-returned t b d");
    end();
}

static void add_and_remove(void *user) {
    say(user);
    add(3, DW_BEFORE_SHUTDOWN, say_it, "late-before");
    add(4, DW_DURING_SHUTDOWN, say_it, "late-during");
    add(5, DW_AFTER_SHUTDOWN, say_it, "late-after");
    dw_trigger_remove(&triggers[6]);
}

/* clock-reactor-stop-trigger-added-by-trigger; removed ones do not run */
CONF_CASE(triggers_may_be_added_and_removed_during_the_shutdown) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, add_and_remove, "b");
    add(1, DW_DURING_SHUTDOWN, say_it, "d");
    add(6, DW_DURING_SHUTDOWN, say_it, "removed");
    add(2, DW_AFTER_SHUTDOWN, say_it, "a");
    after(0, 0, stop, "s");
    conf_run(c);
    ck_assert_str_eq(seen, "s stop-returned b late-before d late-during a late-after");
    end();
}

static void call_at_once(void *user) {
    say(user);
    dw_reactor_call_when_running(reactor, &triggers[0], say_it, "w");
    say("at-once");
    stop("s");
}

/* clock-reactor-when-running */
CONF_CASE(call_when_running_calls_at_once_while_running) {
    begin(c);
    after(0, 0, call_at_once, "a");
    conf_run(c);
    ck_assert_str_eq(seen, "a w at-once s stop-returned");
    end();
}

/* ---- Connections at stop ---- */

static void write_lose_stop(side *self) {
    side_say(self, "lost?");
    do_lose(self);
    ck_assert_int_eq(dw_reactor_stop(dw_transport_reactor(self->protocol.transport)), 0);
}

/* tcp-reactor-client-stops-lose; from an input callback, with nothing else to wait for */
CONF_CASE(stop_in_data_received_ends_the_loop_and_loses_the_connection) {
    begin(c);
    s.on_made = do_hello;
    k.on_data = write_lose_stop;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(k.log, "made data lost:CONNECTION_LOST");
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_LOST stop");
    end();
}

static void stop_side(side *self) {
    ck_assert_int_eq(dw_reactor_stop(self->c->client), 0);
}

/* "stop returns; the rest of this turn's timers run; then ...": the end comes too when it is asked
 * for by a callback of the second half of a turn, after the last thing there was to wait for. */
CONF_CASE(stop_in_connection_lost_ends_the_loop) {
    begin(c);
    add(0, DW_AFTER_SHUTDOWN, say_it, "ended");
    s.on_made = do_hello;
    k.on_data = do_lose;
    k.on_lost = stop_side;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(k.log, "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_str_eq(seen, "ended");
    end();
}

/* The same with a call that is far off: the loop does not wait for it. */
CONF_CASE(stop_does_not_wait_for_the_next_call) {
    begin(c);
    add(0, DW_AFTER_SHUTDOWN, say_it, "ended");
    s.on_made = do_hello;
    k.on_data = do_lose;
    k.on_lost = stop_side;
    after(0, DW_SEC(10), say_it, "never");
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(seen, "ended");
    end();
}

static void stop_serving(serving *at) {
    (void)at;
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
}

CONF_CASE(stop_in_the_factorys_stop_ends_the_loop) {
    begin(c);
    add(0, DW_AFTER_SHUTDOWN, say_it, "ended");
    s.on_made = do_lose;
    g.on_stop = stop_serving;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_str_eq(seen, "ended");
    end();
}

static void f_stopped(serving *at) {
    (void)at;
    say("port-stopped");
}

/* tcp-reactor-listening-at-stop */
CONF_CASE(a_listening_port_ends_between_the_before_and_the_during_triggers) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, say_it, "b");
    add(1, DW_DURING_SHUTDOWN, say_it, "d");
    f.on_stop = f_stopped;
    const char *own = c->backend != NULL ? "10.0.0.2" : "127.0.0.1";
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 0, &f.client.base, 0, own, NULL), 0);
    after(0, DW_MSEC(5), stop, "s");
    conf_run(c);
    ck_assert_str_eq(seen, "s stop-returned b port-stopped d");
    end();
}

static void g_failed(serving *at, dw_connector *connector) {
    (void)at, (void)connector;
    say("failed");
}

/* tcp-reactor-connecting-at-stop */
CONF_CASE(an_unfinished_attempt_fails_between_the_before_and_the_during_triggers) {
    begin(c);
    char host[DW_ADDRESS_TEXT_MAX];
    uint16_t port = conf_black_hole(c, host);
    add(0, DW_BEFORE_SHUTDOWN, say_it, "b");
    add(1, DW_DURING_SHUTDOWN, say_it, "d");
    g.on_failed = g_failed;
    ck_assert_int_eq(dw_reactor_connect_tcp(reactor, host, port, &g.client, 0, NULL, NULL), 0);
    after(0, DW_MSEC(20), stop, "s");
    conf_run(c);
    ck_assert_str_eq(seen, "s stop-returned b failed d");
    ck_assert_str_eq(g.log, "start connecting failed:CONNECT_ERROR stop");
    end();
}

static void say_lost(side *self) {
    (void)self;
    say("lost");
}

static void stop_soon(side *self) {
    (void)self;
    after(0, 0, stop, "s");
}

/* tcp-reactor-server-stops-open: with clientConnectionLost, doStop, stopFactory */
CONF_CASE(an_open_connection_is_lost_between_the_before_and_the_during_triggers) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, say_it, "b");
    add(1, DW_DURING_SHUTDOWN, say_it, "d");
    s.on_made = do_hello;
    k.on_data = stop_soon;
    k.on_lost = say_lost;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(seen, "s stop-returned b lost d");
    ck_assert_str_eq(k.log, "made data lost:CONNECTION_LOST");
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_LOST stop");
    end();
}

enum { MUCH = 20000000 };

static void much_lose_stop(side *self) {
    uint8_t *data = calloc(1, MUCH);
    ck_assert_ptr_nonnull(data);
    dw_transport_write(self->protocol.transport, data, MUCH);
    free(data);
    do_lose(self);
    after(0, 0, stop, "s");
}

/* "pending writes are dropped, even after loseConnection" */
CONF_CASE(pending_writes_are_dropped_at_stop) {
    begin(c);
    s.on_made = do_pause;
    k.on_made = much_lose_stop;
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(k.log, "made lost:CONNECTION_LOST");
    end();
}

/* ---- Turns ---- */

static void arm_inner(void *user) {
    say(user);
    after(3, 0, say_it, "inner");
    say("end");
}

/* clock-timer-zero-order, clock-timer-zero-nested */
CONF_CASE(a_call_without_delay_inside_a_call_waits_for_the_next_turn) {
    begin(c);
    after(0, 0, arm_inner, "a");
    after(1, 0, say_it, "b");
    after(2, 0, say_it, "c");
    conf_settle(c);
    ck_assert_str_eq(seen, "a end b c inner");
    end();
}

static void reset_inner(void *user) {
    say(user);
    ck_assert_int_eq(dw_delayed_call_reset(&calls[3], 0), 0);
}

/* "Turns of the loop": the calls of a turn are those due when it began; moved is as good as armed
 */
CONF_CASE(a_call_reset_to_now_inside_a_call_waits_for_the_next_turn) {
    begin(c);
    after(3, DW_SEC(100), arm_inner, "moved");
    after(0, 0, reset_inner, "a");
    after(1, 0, say_it, "b");
    conf_settle(c);
    ck_assert_str_eq(seen, "a b moved end inner");
    end();
}

static void cancel_other(void *user) {
    say(user);
    ck_assert_int_eq(dw_delayed_call_cancel(&calls[1]), 0);
}

/* clock-timer-cancel-other-same-turn */
CONF_CASE(a_due_call_cancels_another_due_call) {
    begin(c);
    after(0, 0, cancel_other, "a");
    after(1, 0, say_it, "b");
    after(2, 0, say_it, "c");
    conf_settle(c);
    ck_assert_str_eq(seen, "a c");
    end();
}

static void raise_flag(void *user) {
    *(bool *)user = true;
}

/* clock-timer-reset-later, clock-timer-delay-twice */
CONF_CASE(reset_and_delay_change_the_order) {
    begin(c);
    after(0, DW_MSEC(5), say_it, "a");
    after(1, DW_MSEC(10), say_it, "b");
    after(2, DW_MSEC(1), say_it, "c");
    ck_assert_int_eq(dw_delayed_call_reset(&calls[0], DW_MSEC(15)), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&calls[2], DW_MSEC(10)), 0);
    ck_assert_int_eq(dw_delayed_call_delay(&calls[2], DW_MSEC(10)), 0);
    bool over = false;
    dw_reactor_call_later(reactor, &calls[3], DW_MSEC(30), raise_flag, &over);
    conf_until(c, &over);
    ck_assert_str_eq(seen, "b a c");
    end();
}

static void lose_and_arm(void *user) {
    (void)user;
    do_lose(&k);
    after(1, 0, say_it, "call");
}

/* "loseConnection, then callLater(0) in a timer: connectionLost first" */
CONF_CASE(a_connection_closed_in_a_call_is_lost_before_the_next_turns_calls) {
    begin(c);
    conf_pair(c, &f, &g);
    k.on_lost = say_lost;
    after(0, 0, lose_and_arm, NULL);
    conf_settle(c);
    ck_assert_str_eq(seen, "lost call");
    end();
}

static void port_done(void *user) {
    say(user);
}

/* tcp-turn-stop-listening-vs-timer */
CONF_CASE(stop_listening_takes_its_place_among_the_calls) {
    begin(c);
    reactor = c->server;
    dw_port *port = conf_listen(c, &f);
    f.on_stop = f_stopped;
    after(0, 0, say_it, "t1");
    ck_assert_int_eq(dw_port_stop_listening(port, port_done, (void *)(uintptr_t) "done"), 0);
    after(1, 0, say_it, "t2");
    conf_settle(c);
    ck_assert_str_eq(seen, "t1 port-stopped done t2");
    end();
}

/* tcp-turn-stop-connecting-vs-timer */
CONF_CASE(stop_connecting_does_not_wait_for_the_calls) {
    begin(c);
    dw_connector *connector = NULL;
    g.on_failed = g_failed;
    ck_assert_int_eq(dw_reactor_connect_tcp(reactor, c->address, 9, &g.client, 0, NULL, &connector),
                     0);
    after(0, 0, say_it, "t");
    ck_assert_int_eq(dw_connector_stop_connecting(connector), 0);
    say("returned");
    conf_settle(c);
    ck_assert_str_eq(seen, "failed returned t");
    end();
}

static void say_made(side *self) {
    (void)self;
    say("made");
}

/* tcp-turn-refused-vs-timer */
CONF_CASE(an_attempt_comes_after_the_calls_made_around_it) {
    begin(c);
    uint16_t port = dw_port_host(conf_listen(c, &f)).port;
    k.on_made = say_made;
    after(0, 0, say_it, "t1");
    conf_connect(c, &g, port);
    after(1, 0, say_it, "t2");
    conf_settle(c);
    ck_assert_str_eq(seen, "t1 t2 made");
    end();
}

static void call_in_data(side *self) {
    (void)self;
    after(0, 0, say_it, "call");
}

static void resume(void *user) {
    (void)user;
    dw_transport_resume_producing(k.protocol.transport);
}

/* tcp-turn-data-then-end: one reception per turn and connection */
CONF_CASE(data_and_end_both_waiting_are_two_turns) {
    begin(c);
    k.on_made = do_pause;
    s.on_made = do_hello;
    conf_pair(c, &f, &g);
    do_lose(&s);
    conf_settle(c);
    ck_assert_str_eq(k.log, "made");
    k.on_data = call_in_data;
    k.on_lost = say_lost;
    after(1, 0, resume, NULL);
    conf_settle(c);
    ck_assert_str_eq(k.log, "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(seen, "call lost");
    end();
}

static void say_data(side *self) {
    (void)self;
    say("data");
}

static void resume_and_arm(void *user) {
    resume(user);
    after(0, 0, say_it, "call");
}

/* tcp-turn-resume-vs-timer: the waiting data first */
CONF_CASE(data_that_waits_comes_before_a_call_made_after_resuming) {
    begin(c);
    k.on_made = do_pause;
    k.on_data = say_data;
    s.on_made = do_hello;
    conf_pair(c, &f, &g);
    after(1, 0, resume_and_arm, NULL);
    conf_settle(c);
    ck_assert_str_eq(seen, "data call");
    end();
}

static Suite *suite(void) {
    Suite *suite = suite_create("reactor");
    TCase *tc = tcase_create("reactor");
    tcase_set_timeout(tc, 20);
    CONF_ADD(tc, stop_lets_the_rest_of_the_turn_run_and_then_the_triggers);
    CONF_ADD(tc, a_call_without_delay_made_after_stop_does_not_run);
    CONF_ADD(tc, the_reactor_runs_until_the_during_phase);
    CONF_ADD(tc, a_second_stop_is_not_running);
    CONF_ADD(tc, triggers_may_be_added_and_removed_during_the_shutdown);
    CONF_ADD(tc, call_when_running_calls_at_once_while_running);
    CONF_ADD(tc, stop_in_data_received_ends_the_loop_and_loses_the_connection);
    CONF_ADD(tc, stop_in_connection_lost_ends_the_loop);
    CONF_ADD(tc, stop_does_not_wait_for_the_next_call);
    CONF_ADD(tc, stop_in_the_factorys_stop_ends_the_loop);
    CONF_ADD(tc, a_listening_port_ends_between_the_before_and_the_during_triggers);
    CONF_ADD(tc, an_unfinished_attempt_fails_between_the_before_and_the_during_triggers);
    CONF_ADD(tc, an_open_connection_is_lost_between_the_before_and_the_during_triggers);
    CONF_ADD(tc, pending_writes_are_dropped_at_stop);
    CONF_ADD(tc, a_call_without_delay_inside_a_call_waits_for_the_next_turn);
    CONF_ADD(tc, a_call_reset_to_now_inside_a_call_waits_for_the_next_turn);
    CONF_ADD(tc, a_due_call_cancels_another_due_call);
    CONF_ADD(tc, reset_and_delay_change_the_order);
    CONF_ADD(tc, a_connection_closed_in_a_call_is_lost_before_the_next_turns_calls);
    CONF_ADD(tc, stop_listening_takes_its_place_among_the_calls);
    CONF_ADD(tc, stop_connecting_does_not_wait_for_the_calls);
    CONF_ADD(tc, an_attempt_comes_after_the_calls_made_around_it);
    CONF_ADD(tc, data_and_end_both_waiting_are_two_turns);
    CONF_ADD(tc, data_that_waits_comes_before_a_call_made_after_resuming);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
