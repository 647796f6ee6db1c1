/* SPDX-License-Identifier: MIT */
/*
 * The reactor (core/src/reactor.c, trigger.c): start, stop, triggers, turns, its end. Expectations:
 * vectors/README.md, "Start and stop of the reactor" and "Turns of the loop", lifecycle_clock.jsonl
 * (named at each test), and drywire/reactor.h.
 */
#include "test_core_wire.h"

static char seen[REC_LOG_MAX];
static fake *f;
static dw_delayed_call calls[4];
static dw_trigger triggers[12];

static void setup(void) {
    f = fake_new();
    seen[0] = '\0';
    memset(calls, 0, sizeof(calls));
    memset(triggers, 0, sizeof(triggers));
}

static void teardown(void) {
    fake_fini(f);
}

static void say_it(void *user) {
    say(seen, user);
}

static void add(int i, dw_phase phase, const char *name) {
    dw_reactor_add_trigger(&f->reactor, &triggers[i], phase, say_it, (void *)(uintptr_t)name);
}

static void after(int i, dw_time delay, dw_delayed_fn fn, const char *name) {
    dw_reactor_call_later(&f->reactor, &calls[i], delay, fn, (void *)(uintptr_t)name);
}

static void stop(void *user) {
    if (user != NULL) {
        say(seen, user);
    }
    ck_assert_int_eq(dw_reactor_stop(&f->reactor), 0);
    say(seen, "stop-returned");
}

static void run(void) {
    ck_assert_int_eq(dw_reactor_run(&f->reactor), 0);
    say(seen, "run-returned");
}

static void say_running(void *user) {
    say(seen, user);
    say(seen, dw_reactor_running(&f->reactor) ? "running" : "not");
}

/* ---- Start ---- */

static void when_running_again(void *user) {
    say(seen, user);
    dw_reactor_call_when_running(&f->reactor, &triggers[5], say_it, "w3");
    say(seen, "w3-was-called");
}

/* clock-reactor-when-running */
START_TEST(call_when_running_waits_for_the_start_and_then_calls_at_once) {
    dw_reactor_call_when_running(&f->reactor, &triggers[0], say_it, "w1");
    dw_reactor_call_when_running(&f->reactor, &triggers[1], when_running_again, "w2");
    after(0, 0, say_it, "t0");
    after(1, DW_SEC(1), stop, NULL);
    say_running("before");
    run();
    ck_assert_str_eq(seen, "before not w1 w2 w3 w3-was-called t0 stop-returned run-returned");
}
END_TEST

/* "Start and stop": before-startup (not running yet), during (running), after */
START_TEST(startup_has_three_phases_and_runs_from_the_second_on) {
    const char *names[] = {"before", "during", "after"};
    for (int i = 2; i >= 0; i--) {
        dw_reactor_add_trigger(&f->reactor, &triggers[i], (dw_phase)(DW_BEFORE_STARTUP + i),
                               say_running, (void *)(uintptr_t)names[i]);
    }
    after(0, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "before not during running after running stop-returned run-returned");
    ck_assert_uint_eq(f->runs_begun, 1);
    ck_assert_uint_eq(f->runs_ended, 1);
}
END_TEST

/* ---- Stop ---- */

/* clock-reactor-stop-from-timer */
START_TEST(stop_from_a_call_lets_the_rest_of_the_turn_run) {
    add(0, DW_AFTER_SHUTDOWN, "after1");
    add(1, DW_DURING_SHUTDOWN, "during1");
    add(2, DW_BEFORE_SHUTDOWN, "before1");
    after(0, 0, stop, "a");
    after(1, 0, say_it, "b");
    after(2, DW_MSEC(50), say_it, "c");
    run();
    ck_assert_str_eq(seen, "a stop-returned b before1 during1 after1 run-returned");
}
END_TEST

static void stop_and_arm(void *user) {
    stop(user);
    after(1, 0, say_it, "inner");
}

/* clock-reactor-stop-zero-after */
START_TEST(a_call_armed_after_stop_does_not_run) {
    add(0, DW_BEFORE_SHUTDOWN, "before");
    after(0, 0, stop_and_arm, "a");
    run();
    ck_assert_str_eq(seen, "a stop-returned before run-returned");
    ck_assert(dw_delayed_call_active(&calls[1]));
}
END_TEST

/* clock-reactor-stop-running-flag */
START_TEST(running_is_true_in_the_before_phase_and_false_from_the_during_phase_on) {
    const char *names[] = {"b", "d", "a"};
    for (int i = 0; i < 3; i++) {
        dw_reactor_add_trigger(&f->reactor, &triggers[i], (dw_phase)(DW_BEFORE_SHUTDOWN + i),
                               say_running, (void *)(uintptr_t)names[i]);
    }
    dw_reactor_call_when_running(&f->reactor, &triggers[3], stop, NULL);
    run();
    ck_assert_str_eq(seen, "stop-returned b running d not a not run-returned");
    ck_assert(!dw_reactor_running(&f->reactor));
}
END_TEST

static void stop_refused(void *user) {
    say(seen, user);
    ck_assert_int_eq(dw_reactor_stop(&f->reactor), DW_NOT_RUNNING);
}

/* clock-reactor-stop-twice, clock-reactor-stop-in-trigger; "stop before run" */
START_TEST(stop_before_run_twice_or_in_a_trigger_is_not_running) {
    ck_assert_int_eq(dw_reactor_stop(&f->reactor), DW_NOT_RUNNING);
    dw_reactor_add_trigger(&f->reactor, &triggers[0], DW_BEFORE_STARTUP, stop_refused, "s");
    for (int i = 0; i < 3; i++) {
        dw_reactor_add_trigger(&f->reactor, &triggers[i + 1], (dw_phase)(DW_BEFORE_SHUTDOWN + i),
                               stop_refused, "t");
    }
    after(0, 0, stop, NULL);
    after(1, 0, stop_refused, "twice");
    run();
    ck_assert_str_eq(seen, "s stop-returned twice t t t run-returned");
    ck_assert_int_eq(dw_reactor_stop(&f->reactor), DW_NOT_RUNNING);
}
END_TEST

/* clock-reactor-stop-in-when-running: one turn of calls still runs */
START_TEST(stop_from_call_when_running_leaves_one_turn_of_calls) {
    dw_reactor_call_when_running(&f->reactor, &triggers[0], stop, "w");
    after(0, 0, say_it, "t");
    run();
    ck_assert_str_eq(seen, "w stop-returned t run-returned");
}
END_TEST

START_TEST(a_reactor_may_run_again) {
    for (int i = 0; i < 3; i++) {
        add(0, DW_DURING_SHUTDOWN, "during");
        after(0, DW_SEC(1), stop, NULL);
        run();
    }
    ck_assert_str_eq(seen, "stop-returned during run-returned stop-returned during run-returned "
                           "stop-returned during run-returned");
}
END_TEST

static void nested(void *user) {
    (void)user;
    ck_assert_int_eq(dw_reactor_run(&f->reactor), DW_ALREADY_RUNNING);
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), DW_ALREADY_RUNNING);
    say(seen, "refused");
}

/* drywire/reactor.h: run and iterate */
START_TEST(run_and_iterate_inside_run_or_iterate_are_refused) {
    after(0, 0, nested, NULL);
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
    after(0, 0, nested, NULL);
    after(1, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "refused refused stop-returned run-returned");
}
END_TEST

/* ---- Triggers ---- */

static void add_late(void *user) {
    say(seen, user);
    add(6, DW_BEFORE_SHUTDOWN, "late-before");
    add(7, DW_DURING_SHUTDOWN, "late-during");
    add(8, DW_AFTER_SHUTDOWN, "late-after");
}

/* clock-reactor-stop-trigger-added-by-trigger */
START_TEST(triggers_added_meanwhile_for_this_or_a_later_phase_run) {
    dw_reactor_add_trigger(&f->reactor, &triggers[0], DW_BEFORE_SHUTDOWN, add_late, "b");
    add(1, DW_DURING_SHUTDOWN, "d");
    add(2, DW_AFTER_SHUTDOWN, "a");
    after(0, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "stop-returned b late-before d late-during a late-after run-returned");
}
END_TEST

static void remove_others(void *user) {
    say(seen, user);
    dw_trigger_remove(&triggers[1]);
    dw_trigger_remove(&triggers[2]);
    dw_trigger_remove(&triggers[0]); /* itself: nothing to do */
    dw_trigger_remove(&triggers[2]); /* twice: nothing to do */
}

/* "Start and stop": removed ones do not run */
START_TEST(triggers_removed_meanwhile_do_not_run) {
    dw_reactor_add_trigger(&f->reactor, &triggers[0], DW_BEFORE_SHUTDOWN, remove_others, "b");
    add(1, DW_BEFORE_SHUTDOWN, "removed");
    add(2, DW_AFTER_SHUTDOWN, "removed");
    add(3, DW_AFTER_SHUTDOWN, "a");
    after(0, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "stop-returned b a run-returned");
}
END_TEST

START_TEST(triggers_of_a_phase_run_in_order_of_adding_once) {
    add(0, DW_BEFORE_SHUTDOWN, "1");
    add(1, DW_BEFORE_SHUTDOWN, "2");
    add(2, DW_BEFORE_SHUTDOWN, "3");
    add(0, DW_BEFORE_SHUTDOWN, "again"); /* a pending one moves to the end */
    for (int i = 0; i < 2; i++) {
        after(0, 0, stop, NULL);
        run();
    }
    ck_assert_str_eq(seen, "stop-returned 2 3 again run-returned stop-returned run-returned");
}
END_TEST

START_TEST(a_trigger_may_free_itself) {
    dw_trigger *trigger = calloc(1, sizeof(*trigger));
    ck_assert_ptr_nonnull(trigger);
    dw_reactor_add_trigger(&f->reactor, trigger, DW_AFTER_SHUTDOWN, free, trigger);
    after(0, 0, stop, NULL);
    run();
    ck_assert_uint_eq(f->violations, 0);
}
END_TEST

START_TEST(a_trigger_may_free_itself_inside_call_when_running) {
    dw_trigger *trigger = calloc(1, sizeof(*trigger));
    ck_assert_ptr_nonnull(trigger);
    dw_reactor_startup(&f->reactor);
    dw_reactor_add_trigger(&f->reactor, trigger, DW_AFTER_SHUTDOWN, say_it, "moved");
    dw_reactor_call_when_running(&f->reactor, trigger, free, trigger);
    dw_reactor_shutdown(&f->reactor);
    ck_assert_str_eq(seen, "");
}
END_TEST

START_TEST(a_trigger_that_is_left_over_is_let_go) {
    dw_trigger trigger = {0};
    fake *g = fake_new();
    dw_reactor_add_trigger(&g->reactor, &trigger, DW_AFTER_SHUTDOWN, say_it, NULL);
    fake_fini(g);
    dw_trigger_remove(&trigger); /* touches nothing of the reactor that is gone */
}
END_TEST

/* ---- Connections at stop ---- */

static rec server, client;
static rec_factory serving, connecting;

/* A port with one connection (socket 1), and a client's connection (socket 2). */
static void open_everything(bool connect) {
    rec_init(&server, f);
    rec_init(&client, f);
    rec_factory_init(&serving, f, &server);
    rec_factory_init(&connecting, f, &client);
    fake_port(f, &serving);
    fake_serve(f, &serving, &server, 0);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(&f->reactor, "192.0.2.3", 80, &connecting.client, 0, NULL, NULL), 0);
    fake_settle(f);
    if (connect) {
        fake_ready(f, 2, DW_WRITABLE);
    }
    server.log = client.log = serving.log = connecting.log = seen;
    seen[0] = '\0';
}

/* tcp-reactor-server-stops-open, tcp-reactor-listening-at-stop: "Between the before- and the
 * application's during-triggers every open connection gets ConnectionLost, with
 * clientConnectionLost, doStop, stopFactory"; ports too; their order among each other is open */
START_TEST(at_stop_all_ends_between_the_before_and_the_during_triggers) {
    add(0, DW_BEFORE_SHUTDOWN, "b");
    add(1, DW_DURING_SHUTDOWN, "d");
    open_everything(true);
    after(0, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "stop-returned b stop lost:CONNECTION_LOST lost:CONNECTION_LOST "
                           "lost:CONNECTION_LOST stop d run-returned");
    dw_reactor_counts counts = dw_reactor_count(&f->reactor);
    ck_assert_uint_eq(counts.connections + counts.connecting + counts.ports, 0);
}
END_TEST

/* tcp-reactor-connecting-at-stop */
START_TEST(at_stop_an_unfinished_attempt_fails_with_connect_error) {
    add(0, DW_BEFORE_SHUTDOWN, "b");
    add(1, DW_DURING_SHUTDOWN, "d");
    open_everything(false);
    after(0, 0, stop, NULL);
    run();
    ck_assert_str_eq(seen, "stop-returned b stop lost:CONNECTION_LOST failed:CONNECT_ERROR stop d "
                           "run-returned");
}
END_TEST

static void connect_again(rec_factory *g) {
    ck_assert_int_eq(dw_connector_connect(g->connector), 0);
}

/* A client that always tries again is asked twice, then left behind for dw_reactor_free. */
START_TEST(at_stop_a_client_that_reconnects_does_not_hold_up_the_end) {
    open_everything(true);
    connecting.on_failed = connecting.on_lost = connect_again;
    after(0, 0, stop, NULL);
    run();
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).connections, 0);
}
END_TEST

static void write_and_lose(rec *r) {
    rec_write(r, "lost");
    dw_transport_lose_connection(rec_transport(r));
}

/* "pending writes are dropped, even after loseConnection" */
START_TEST(at_stop_pending_writes_are_dropped_even_after_lose_connection) {
    open_everything(true);
    f->sockets[1].room = 1;
    write_and_lose(&server);
    dw_reactor_turn(&f->reactor);
    ck_assert(fake_sent(f, 1, "l"));
    after(0, 0, stop, NULL);
    run();
    ck_assert_int_eq(server.reason.kind, DW_CONNECTION_LOST);
    ck_assert(fake_sent(f, 1, "l"));
}
END_TEST

static void stop_in_lost(rec *r) {
    (void)r;
    ck_assert_int_eq(dw_reactor_stop(&f->reactor), 0);
}

static void lose_it(void *user) {
    dw_transport_lose_connection(rec_transport(user));
}

/* "stop returns; the rest of this turn's timers run; then ..." from wherever it is called: here
 * from the second half of a turn, with nothing else to wait for. fake_wait fails the test when the
 * loop would sleep for ever. */
START_TEST(stop_from_connection_lost_ends_the_loop) {
    open_everything(true);
    server.on_lost = stop_in_lost;
    dw_reactor_call_later(&f->reactor, &calls[0], 0, lose_it, &server);
    run();
    ck_assert_int_eq(server.reason.kind, DW_CONNECTION_DONE);
}
END_TEST

/* Protocols without `destroy` belong to their owner as soon as connection_lost has returned
 * (drywire/protocol.h). Here the owner frees it in client_connection_lost. */
static void free_protocol(rec_factory *g) {
    free(DW_CONTAINER_OF(g->next[0], rec, protocol));
}

START_TEST(an_owner_may_free_the_protocol_in_client_connection_lost) {
    rec *r = malloc(sizeof(*r));
    ck_assert_ptr_nonnull(r);
    rec_init(r, f);
    rec_factory_init(&connecting, f, r);
    connecting.on_lost = free_protocol;
    dw_reactor_connect_tcp(&f->reactor, "192.0.2.3", 80, &connecting.client, 0, NULL, NULL);
    fake_settle(f);
    fake_ready(f, 0, DW_WRITABLE);
    f->sockets[0].in_end = true;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_str_eq(connecting.log, "start connecting build lost:CONNECTION_DONE stop");
}
END_TEST

/* The same for one that was aborted when the reactor stopped: its transport still waits. */
START_TEST(an_owner_may_free_the_protocol_of_an_aborted_connection_after_run) {
    rec *r = malloc(sizeof(*r));
    ck_assert_ptr_nonnull(r);
    rec_init(r, f);
    rec_factory_init(&serving, f, r);
    fake_port(f, &serving);
    fake_serve(f, &serving, r, 0);
    dw_reactor_call_when_running(&f->reactor, &triggers[0], stop, NULL);
    dw_reactor_startup(&f->reactor);
    dw_transport_abort_connection(rec_transport(r));
    dw_reactor_shutdown(&f->reactor);
    ck_assert_str_eq(r->log, "made lost:CONNECTION_LOST");
    free(r);
}
END_TEST

/* ---- Turns ---- */

static void write_later(void *user) {
    rec_write(user, "x");
}

/* "a delayed call's writes leave when it has returned" */
START_TEST(what_a_delayed_call_writes_leaves_before_the_next_one) {
    open_everything(true);
    dw_reactor_call_later(&f->reactor, &calls[0], 0, write_later, &server);
    dw_reactor_call_later(&f->reactor, &calls[1], 0, write_later, &server);
    dw_reactor_turn(&f->reactor);
    ck_assert(fake_sent(f, 1, "xx"));
    ck_assert_uint_eq(f->sockets[1].sends, 2);
}
END_TEST

START_TEST(what_is_written_outside_callbacks_leaves_with_the_next_turn) {
    open_everything(true);
    rec_write(&server, "a");
    rec_write(&server, "b");
    ck_assert_uint_eq(f->sockets[1].sends, 0);
    ck_assert_int_le(dw_reactor_next_due(&f->reactor), f->now);
    dw_reactor_turn(&f->reactor);
    ck_assert(fake_sent(f, 1, "ab"));
    ck_assert_uint_eq(f->sockets[1].sends, 1);
}
END_TEST

START_TEST(iterate_waits_for_the_next_call_at_most) {
    after(0, DW_SEC(3), say_it, "c");
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, DW_SEC(1)), 0);
    ck_assert_int_eq(f->now, DW_SEC(1));
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, -1), 0);
    ck_assert_int_eq(f->now, DW_SEC(3));
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, 0), 0);
    ck_assert_int_eq(f->now, DW_SEC(3));
    ck_assert_str_eq(seen, "c");
}
END_TEST

/* A stop is over when it was carried out. */
START_TEST(after_a_run_iterate_waits_again) {
    after(0, 0, stop, NULL);
    run();
    ck_assert(!dw_reactor_stopping(&f->reactor));
    dw_time before = f->now;
    ck_assert_int_eq(dw_reactor_iterate(&f->reactor, DW_SEC(1)), 0);
    ck_assert_int_eq(f->now, before + DW_SEC(1));
}
END_TEST

static void write_one(rec *r) {
    rec_write(r, "p");
}

/* What a turn brings about waits for the next one: others get theirs. */
START_TEST(endless_pull_producers_are_asked_once_per_turn) {
    open_everything(true);
    server.on_resume = client.on_resume = write_one;
    dw_transport_register_producer(rec_transport(&server), &server.producer, false);
    dw_transport_register_producer(rec_transport(&client), &client.producer, false);
    ck_assert_str_eq(seen, "resume resume");
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(seen, "resume resume resume resume");
    dw_reactor_turn(&f->reactor);
    ck_assert_str_eq(seen, "resume resume resume resume resume resume");
}
END_TEST

/* ---- The end ---- */

/* drywire/reactor.h: "Connections that are still open are closed without a callback" */
START_TEST(fini_with_everything_open_calls_nobody_and_leaks_nothing) {
    open_everything(_i == 0);
    rec_write(&server, "unsent");
    dw_transport_abort_connection(rec_transport(&server));
    dw_transport_register_producer(rec_transport(&client), &client.producer, true);
    dw_reactor_connect_tcp(&f->reactor, "name.example", 1, &connecting.client, 0, NULL, NULL);
    dw_connector_hold(connecting.connector);
    dw_reactor_turn(&f->reactor);
    seen[0] = '\0';
    dw_reactor_fini(&f->reactor);
    ck_assert_str_eq(seen, "");
    ck_assert_uint_eq(f->blocks, 0);
    ck_assert_ptr_null(f->lookup);
}
END_TEST

static void poke_the_other(dw_protocol *p) {
    rec *other = rec_of(p)->other;
    rec_write(other, "farewell");
    dw_transport_abort_connection(rec_transport(other));
}

/* Half of a proxy tells the other half when it is destroyed. */
START_TEST(destroy_may_use_other_connections_while_the_reactor_ends) {
    static dw_protocol_class cls;
    static rec three[3];
    cls = rec_class;
    cls.destroy = poke_the_other;
    rec_factory_init(&serving, f, NULL);
    fake_port(f, &serving);
    for (int i = 0; i < 3; i++) {
        rec_init(&three[i], f);
        dw_protocol_init(&three[i].protocol, &cls);
        three[i].other = &three[(i + 1) % 3];
        fake_serve(f, &serving, &three[i], 0);
    }
    dw_reactor_fini(&f->reactor);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

static void lose_the_other(dw_protocol *p) {
    dw_transport_lose_connection(rec_transport(rec_of(p)->other));
}

/* The same; and the other half is a client's connection that has half closed, so that its end comes
 * inside the call (vectors/README.md, section 4: 3). */
START_TEST(destroy_may_end_a_half_closed_client_while_the_reactor_ends) {
    static dw_protocol_class cls;
    cls = rec_class;
    cls.destroy = lose_the_other;
    rec_init(&server, f);
    rec_init(&client, f);
    dw_protocol_init(&server.protocol, &cls);
    dw_protocol_init(&client.protocol, &rec_aware_class);
    server.other = &client;
    rec_factory_init(&serving, f, &server);
    rec_factory_init(&connecting, f, &client);
    fake_port(f, &serving);
    fake_serve(f, &serving, &server, 0);
    dw_reactor_connect_tcp(&f->reactor, "192.0.2.3", 80, &connecting.client, 0, NULL, NULL);
    fake_settle(f);
    fake_ready(f, 2, DW_WRITABLE);
    dw_transport_lose_write_connection(rec_transport(&client));
    fake_settle(f);
    ck_assert_str_eq(client.log, "made write-lost");
    dw_reactor_fini(&f->reactor);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

START_TEST(free_of_a_reactor_that_is_not_the_programs_breaks_the_contract) {
    dw_reactor_free(NULL);
    dw_reactor_free(&f->reactor); /* this wire has no destroy */
    ck_assert_uint_eq(f->violations, 1);
}
END_TEST

/* ---- Small things ---- */

static void take_line(void *user, const char *line) {
    snprintf(user, REC_LOG_MAX, "%s", line);
}

START_TEST(log_lines_go_to_the_programs_function_and_are_cut) {
    dw_reactor_log(&f->reactor, "to the wire");
    ck_assert_uint_eq(f->logs, 1);
    dw_reactor_set_log(&f->reactor, take_line, seen);
    dw_reactor_log(&f->reactor, "%d %s", 7, "words");
    ck_assert_str_eq(seen, "7 words");
    dw_reactor_log(&f->reactor, "%01000d", 1);
    ck_assert_uint_eq(strlen(seen), 511);
    ck_assert_uint_eq(f->logs, 1);
}
END_TEST

/* drywire/choice.h: "A number below n (n >= 1)"; where there is no choice none is drawn */
START_TEST(choices_below_two_are_not_asked_for) {
    ck_assert_uint_eq(dw_choose(&f->reactor, "what", 0), 0);
    ck_assert_uint_eq(dw_choose(&f->reactor, "what", 1), 0);
    ck_assert_uint_eq(dw_choose(&f->reactor, "what", 5), 4);
    ck_assert(dw_maybe(&f->reactor, "what"));
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core reactor");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, call_when_running_waits_for_the_start_and_then_calls_at_once);
    tcase_add_test(tc, startup_has_three_phases_and_runs_from_the_second_on);
    tcase_add_test(tc, stop_from_a_call_lets_the_rest_of_the_turn_run);
    tcase_add_test(tc, a_call_armed_after_stop_does_not_run);
    tcase_add_test(tc, running_is_true_in_the_before_phase_and_false_from_the_during_phase_on);
    tcase_add_test(tc, stop_before_run_twice_or_in_a_trigger_is_not_running);
    tcase_add_test(tc, stop_from_call_when_running_leaves_one_turn_of_calls);
    tcase_add_test(tc, a_reactor_may_run_again);
    tcase_add_test(tc, run_and_iterate_inside_run_or_iterate_are_refused);
    tcase_add_test(tc, triggers_added_meanwhile_for_this_or_a_later_phase_run);
    tcase_add_test(tc, triggers_removed_meanwhile_do_not_run);
    tcase_add_test(tc, triggers_of_a_phase_run_in_order_of_adding_once);
    tcase_add_test(tc, a_trigger_may_free_itself);
    tcase_add_test(tc, a_trigger_may_free_itself_inside_call_when_running);
    tcase_add_test(tc, a_trigger_that_is_left_over_is_let_go);
    tcase_add_test(tc, at_stop_all_ends_between_the_before_and_the_during_triggers);
    tcase_add_test(tc, at_stop_an_unfinished_attempt_fails_with_connect_error);
    tcase_add_test(tc, at_stop_a_client_that_reconnects_does_not_hold_up_the_end);
    tcase_add_test(tc, at_stop_pending_writes_are_dropped_even_after_lose_connection);
    tcase_add_test(tc, stop_from_connection_lost_ends_the_loop);
    tcase_add_test(tc, an_owner_may_free_the_protocol_in_client_connection_lost);
    tcase_add_test(tc, an_owner_may_free_the_protocol_of_an_aborted_connection_after_run);
    tcase_add_test(tc, what_a_delayed_call_writes_leaves_before_the_next_one);
    tcase_add_test(tc, what_is_written_outside_callbacks_leaves_with_the_next_turn);
    tcase_add_test(tc, iterate_waits_for_the_next_call_at_most);
    tcase_add_test(tc, after_a_run_iterate_waits_again);
    tcase_add_test(tc, endless_pull_producers_are_asked_once_per_turn);
    tcase_add_loop_test(tc, fini_with_everything_open_calls_nobody_and_leaks_nothing, 0, 2);
    tcase_add_test(tc, destroy_may_use_other_connections_while_the_reactor_ends);
    tcase_add_test(tc, destroy_may_end_a_half_closed_client_while_the_reactor_ends);
    tcase_add_test(tc, free_of_a_reactor_that_is_not_the_programs_breaks_the_contract);
    tcase_add_test(tc, log_lines_go_to_the_programs_function_and_are_cut);
    tcase_add_test(tc, choices_below_two_are_not_asked_for);
    return run_case(tc);
}
