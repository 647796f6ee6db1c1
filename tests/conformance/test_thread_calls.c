/* SPDX-License-Identifier: MIT */
/*
 * Calls from threads, made on the reactor's own thread, and shutdowns that wait, on every wire.
 * Expectations: vectors/README.md, "Turns of the loop" and "Start and stop of the reactor"; where
 * no record is named they were read off Twisted 22.4.0, running the same script. Other threads are
 * in tests/unit/test_thread_call.c.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dw_thread_call thread_calls[4];
static dw_delayed_call calls[6];
static dw_trigger triggers[6];
static char seen[2000];
static dw_reactor *reactor;

static void begin(conf *c) {
    memset(thread_calls, 0, sizeof(thread_calls));
    memset(calls, 0, sizeof(calls));
    memset(triggers, 0, sizeof(triggers));
    seen[0] = '\0';
    reactor = c->client;
}

static void say(void *word) {
    note(seen, sizeof(seen), word);
}

static void *text(const char *literal) {
    return (void *)(uintptr_t)literal;
}

static bool call(int i, void (*fn)(void *user), const char *name) {
    return dw_reactor_call_from_thread(reactor, &thread_calls[i], fn, text(name));
}

static void after(int i, dw_time delay, dw_delayed_fn fn, const char *name) {
    dw_reactor_call_later(reactor, &calls[i], delay, fn, text(name));
}

static void add(int i, dw_phase phase, void (*fn)(void *user), const char *name) {
    dw_reactor_add_trigger(reactor, &triggers[i], phase, fn, text(name));
}

static void stop(void *word) {
    say(word);
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
}

/* ---- Order ---- */

static void call_nested(void *word) {
    say(word);
    ck_assert(call(2, say, "nested"));
    say(text("end"));
}

/* clock-reactor-call-from-thread */
CONF_CASE(a_thread_call_never_runs_at_once_and_a_nested_one_waits_for_the_next_turn) {
    begin(c);
    ck_assert(call(0, call_nested, "a"));
    ck_assert(call(1, say, "b"));
    say(text("made"));
    conf_settle(c);
    ck_assert_str_eq(seen, "made a end b nested");
}

static void call_and_arm(void *word) {
    say(word);
    after(1, 0, say, "later");
    ck_assert(call(1, say, "nested"));
}

/* "One turn: calls from threads, then due timers"; a delayed call that a thread call makes is in
 * time for the timers of its turn. Twisted: ['a', 'timer', 'later0', 'nested']. */
CONF_CASE(thread_calls_come_before_the_timers_of_their_turn) {
    begin(c);
    after(0, 0, say, "timer");
    ck_assert(call(0, call_and_arm, "a"));
    conf_settle(c);
    ck_assert_str_eq(seen, "a timer later nested");
}

static void call_in_timer(void *word) {
    say(word);
    ck_assert(call(0, say, "call"));
    after(1, 0, say, "timer2");
}

CONF_CASE(a_thread_call_made_by_a_timer_comes_before_the_timer_it_armed) {
    begin(c);
    after(0, 0, call_in_timer, "timer");
    conf_settle(c);
    ck_assert_str_eq(seen, "timer call timer2");
}

/* ---- The call itself ---- */

CONF_CASE(a_call_that_is_pending_runs_once_as_it_was_made_first) {
    begin(c);
    ck_assert(call(0, say, "first"));
    ck_assert(call(1, say, "other"));
    ck_assert(!call(0, say, "second"));
    conf_settle(c);
    ck_assert_str_eq(seen, "first other");
}

static void again(void *word) {
    say(word);
    if (strcmp(seen, "x x x") != 0) {
        ck_assert(call(0, again, "x"));
    }
}

CONF_CASE(a_call_may_be_made_again_by_its_own_function) {
    begin(c);
    ck_assert(call(0, again, "x"));
    conf_settle(c);
    ck_assert_str_eq(seen, "x x x");
}

CONF_CASE(stop_in_a_thread_call_lets_the_rest_of_the_turn_run) {
    begin(c);
    add(0, DW_AFTER_SHUTDOWN, say, "after");
    ck_assert(call(0, stop, "stop"));
    ck_assert(call(1, say, "b"));
    after(0, 0, say, "timer");
    conf_run(c);
    ck_assert_str_eq(seen, "stop b timer after");
}

/* ---- A shutdown that waits ---- */

static void hold(void *word) {
    say(word);
    dw_trigger_hold(&triggers[0]);
}

static void let_go(void *word) {
    say(word);
    ck_assert(dw_reactor_running(reactor));
    ck_assert_int_eq(dw_reactor_stop(reactor), DW_NOT_RUNNING);
    dw_trigger_release(&triggers[0]);
    dw_trigger_release(&triggers[0]);
}

/* "a before-trigger with an unfinished result: the reactor goes on running until all such results
 * are there"; delayed calls run, the flag stays, stop is refused. Twisted: stop x b1 b2 t0
 * ReactorNotRunning fire(running) d a. */
CONF_CASE(a_trigger_that_holds_makes_the_shutdown_wait) {
    begin(c);
    add(3, DW_AFTER_SHUTDOWN, say, "after");
    add(0, DW_BEFORE_SHUTDOWN, hold, "b1");
    add(1, DW_BEFORE_SHUTDOWN, say, "b2");
    add(2, DW_DURING_SHUTDOWN, say, "during");
    after(0, 0, stop, "stop");
    after(1, 0, say, "x");
    after(2, DW_MSEC(3), say, "t");
    after(3, DW_MSEC(6), let_go, "done");
    conf_run(c);
    ck_assert_str_eq(seen, "stop x b1 b2 t done during after");
}

static void hold_second(void *word) {
    say(word);
    dw_trigger_hold(&triggers[1]);
}

static void let_second_go(void *word) {
    say(word);
    dw_trigger_release(&triggers[1]);
}

/* "... until all such results are there" */
CONF_CASE(the_shutdown_waits_for_the_last_of_several) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, hold, "b1");
    add(1, DW_BEFORE_SHUTDOWN, hold_second, "b2");
    add(2, DW_DURING_SHUTDOWN, say, "during");
    after(0, 0, stop, "stop");
    after(1, DW_MSEC(2), let_second_go, "second");
    after(2, DW_MSEC(4), let_go, "first");
    conf_run(c);
    ck_assert_str_eq(seen, "stop b1 b2 second first during");
}

static void hold_and_release(void *word) {
    hold(word);
    dw_trigger_release(&triggers[0]);
}

CONF_CASE(a_trigger_that_lets_go_at_once_holds_nothing_up) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, hold_and_release, "b");
    add(1, DW_DURING_SHUTDOWN, say, "during");
    after(0, 0, stop, "stop");
    after(1, DW_SEC(50), say, "never");
    conf_run(c);
    ck_assert_str_eq(seen, "stop b during");
}

static void remove_holder(void *word) {
    say(word);
    dw_trigger_remove(&triggers[0]);
}

CONF_CASE(removing_a_trigger_that_holds_lets_go) {
    begin(c);
    add(0, DW_BEFORE_SHUTDOWN, hold, "b");
    add(1, DW_DURING_SHUTDOWN, say, "during");
    after(0, 0, stop, "stop");
    after(1, DW_MSEC(2), remove_holder, "remove");
    conf_run(c);
    ck_assert_str_eq(seen, "stop b remove during");
}

static side s, k;
static side *ss[1] = {&s}, *ks[1] = {&k};
static serving f, g;

static void farewell(void *word) {
    say(word);
    dw_trigger_hold(&triggers[0]);
    side_say(&k, "bye");
}

static void answered(side *self) {
    (void)self;
    say(text("answer"));
    dw_trigger_release(&triggers[0]);
}

static void k_lost(side *self) {
    (void)self;
    say(text("lost"));
}

static void stop_from(side *self) {
    (void)self;
    stop(text("stop"));
}

/* Input and output go on too: the farewell is answered before the connections are lost. */
CONF_CASE(a_held_shutdown_lets_a_conversation_finish) {
    begin(c);
    side_init(&s, c);
    side_init(&k, c);
    serving_init(&f, c, ss, 1);
    serving_init(&g, c, ks, 1);
    s.on_data = do_echo;
    k.on_made = stop_from;
    k.on_data = answered;
    k.on_lost = k_lost;
    add(0, DW_BEFORE_SHUTDOWN, farewell, "before");
    add(1, DW_DURING_SHUTDOWN, say, "during");
    conf_connect(c, &g, dw_port_host(conf_listen(c, &f)).port);
    conf_run(c);
    ck_assert_str_eq(seen, "stop before answer lost during");
    ck_assert_str_eq(k.log, "made data lost:CONNECTION_LOST");
    free(s.bytes);
    free(k.bytes);
}

static Suite *suite(void) {
    Suite *suite = suite_create("thread calls");
    TCase *tc = tcase_create("thread calls");
    tcase_set_timeout(tc, 20);
    CONF_ADD(tc, a_thread_call_never_runs_at_once_and_a_nested_one_waits_for_the_next_turn);
    CONF_ADD(tc, thread_calls_come_before_the_timers_of_their_turn);
    CONF_ADD(tc, a_thread_call_made_by_a_timer_comes_before_the_timer_it_armed);
    CONF_ADD(tc, a_call_that_is_pending_runs_once_as_it_was_made_first);
    CONF_ADD(tc, a_call_may_be_made_again_by_its_own_function);
    CONF_ADD(tc, stop_in_a_thread_call_lets_the_rest_of_the_turn_run);
    CONF_ADD(tc, a_trigger_that_holds_makes_the_shutdown_wait);
    CONF_ADD(tc, the_shutdown_waits_for_the_last_of_several);
    CONF_ADD(tc, a_trigger_that_lets_go_at_once_holds_nothing_up);
    CONF_ADD(tc, removing_a_trigger_that_holds_lets_go);
    CONF_ADD(tc, a_held_shutdown_lets_a_conversation_finish);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
