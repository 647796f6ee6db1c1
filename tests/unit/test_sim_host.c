/* SPDX-License-Identifier: MIT */
/*
 * Hosts: boot, kill, crash, restart, stop and stall, from outside and from their own callbacks;
 * names; clocks; randomness; memory that goes with the machine.
 */
#include "sim_support.h"

static pair p;

/* ---- A program that counts ---- */

static unsigned boots, ticks, losts, freed;
static dw_reactor *last_reactor;
static void (*on_tick)(dw_host *host);
static dw_host *the_host;

typedef struct counter {
    dw_delayed_call tick;
    dw_reactor *reactor;
    dw_trigger end;
    unsigned mine;
} counter;

static void count_tick(void *user) {
    counter *c = user;
    ticks++;
    c->mine++;
    dw_reactor_call_later(c->reactor, &c->tick, DW_MSEC(10), count_tick, c);
    if (on_tick != NULL) {
        on_tick(the_host);
    }
}

static void count_end(void *user) {
    counter *c = user;
    freed++;
    dw_delayed_call_cancel(&c->tick);
    dw_free(c->reactor, c);
}

static void *count_boot(dw_reactor *reactor, void *user) {
    counter *c = dw_new(reactor, counter);
    (void)user;
    boots++;
    last_reactor = reactor;
    c->reactor = reactor;
    dw_reactor_call_later(reactor, &c->tick, DW_MSEC(10), count_tick, c);
    dw_reactor_add_trigger(reactor, &c->end, DW_DURING_SHUTDOWN, count_end, c);
    return c;
}

static dw_host *add_counter(dw_world *w) {
    boots = ticks = losts = freed = 0;
    on_tick = NULL;
    the_host = dw_world_add_host(w, "counter", count_boot, NULL);
    return the_host;
}

/* ---- Boot ---- */

static bool seen_running;

static void *running_boot(dw_reactor *reactor, void *user) {
    seen_running = dw_reactor_running(reactor);
    return user;
}

CALM_TEST(boot_runs_at_once_with_its_user_data) {
    int program;
    dw_host *host = dw_world_add_host(w, "host", running_boot, &program);
    ck_assert(!seen_running); /* the program has yet to be started: it is about to call run */
    ck_assert_ptr_eq(dw_host_program(host), &program);
    ck_assert(dw_host_is_up(host));
    ck_assert(dw_reactor_running(dw_host_reactor(host)));
    ck_assert_str_eq(dw_host_name(host), "host");
}

CALM_TEST(a_host_without_boot_is_driven_from_outside) {
    pair_connect(&p, w);
    ck_assert_ptr_null(dw_host_program(p.client_host));
    ck_assert(dw_host_is_up(p.client_host));
}

static bool boot_fails;

static void *failing_boot(dw_reactor *reactor, void *user) {
    boots++;
    static side s;
    side_init(&s, reactor);
    side_listen(&s, 80, 0);
    dw_alloc(reactor, 100); /* a program that gives up frees nothing */
    return boot_fails ? NULL : user;
}

CALM_TEST(a_program_that_does_not_start_leaves_its_host_down) {
    boots = 0;
    boot_fails = true;
    dw_host *host = dw_world_add_host(w, "server", failing_boot, &boots);
    ck_assert(!dw_host_is_up(host));
    ck_assert_ptr_null(dw_host_program(host));
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    side_init(&p.client, dw_host_reactor(client));
    side_connect(&p.client, "server", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
    dw_host_restart(host);
    ck_assert_uint_eq(boots, 2);
    ck_assert(!dw_host_is_up(host));
}

/* ---- Addresses and names ---- */

CALM_TEST(addresses_are_given_out_in_order) {
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address first = dw_host_address(dw_world_add_host(w, "a", NULL, NULL));
    dw_address second = dw_host_address(dw_world_add_host(w, "b", NULL, NULL));
    ck_assert_str_eq(dw_address_format_host(&first, text, sizeof(text)), "10.0.0.1");
    ck_assert_str_eq(dw_address_format_host(&second, text, sizeof(text)), "10.0.0.2");
}

CALM_TEST(names_resolve_in_the_whole_world) {
    pair_hosts(&p, w);
    side_connect(&p.client, "server", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_int_eq(p.client.made_at, DW_MSEC(3)); /* a look-up, then a handshake */
    dw_address peer = dw_transport_peer(p.client.protocol.transport);
    dw_address server = dw_host_address(p.server_host);
    ck_assert(memcmp(peer.ip, server.ip, 4) == 0);
}

CALM_TEST(a_name_that_nobody_has_fails_to_resolve) {
    pair_hosts(&p, w);
    side_connect(&p.client, "serve", 80);
    ck_assert_uint_eq(p.client.failed, 0); /* not inside the call */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.failed, 1);
    ck_assert_int_eq(p.client.reason, DW_DNS_LOOKUP);
}

CALM_TEST(localhost_is_the_host_itself) {
    pair_hosts(&p, w);
    side_connect(&p.client, "localhost", 80); /* nobody listens on the client */
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
    side_init(&p.client, p.server.reactor);
    side_connect(&p.client, "localhost", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 1);
}

CALM_TEST(a_look_up_dies_with_its_host) {
    pair_hosts(&p, w);
    side_connect(&p.client, "server", 80);
    dw_world_run(w, DW_USEC(500));
    dw_host_kill(p.client_host);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(p.client.failed + p.client.made, 0);
}

static void bad_name(dw_world *w) {
    dw_world_add_host(w, "two words", NULL, NULL);
}

static void same_name(dw_world *w) {
    dw_world_add_host(w, "twin", NULL, NULL);
    dw_world_add_host(w, "twin", NULL, NULL);
}

START_TEST(a_bad_or_taken_name_is_a_broken_contract) {
    void (*const bad[])(dw_world *) = {bad_name, same_name};
    for (size_t i = 0; i < 2; i++) {
        played result;
        play(bad[i], calm(), false, &result);
        ck_assert_str_eq(result.outcome.oracle, "contract");
        played_free(&result);
    }
}
END_TEST

/* ---- Kill: the kernel closes the sockets ---- */

CALM_TEST(a_killed_process_is_an_orderly_end_for_its_peer) {
    pair_connect(&p, w);
    dw_time start = dw_world_now(w);
    dw_host_kill(p.server_host);
    ck_assert(!dw_host_is_up(p.server_host));
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.lost, 0); /* no callback runs in it */
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.lost_at, start + DW_MSEC(1));
}

CALM_TEST(a_killed_process_with_unread_data_resets_its_peer) {
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    side_write(&p.client, "unread");
    dw_world_run(w, DW_MSEC(5));
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

CALM_TEST(a_killed_process_refuses_new_connections) {
    pair_hosts(&p, w);
    dw_host_kill(p.server_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
}

/* The handshake's last packet finds no listener any more: RST (RFC 9293, section 3.10.7.1). */
CALM_TEST(a_process_killed_in_the_handshake_resets_its_peer) {
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_USEC(1500)); /* the SYN-ACK is under way */
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

CALM_TEST(connections_that_wait_to_be_accepted_are_reset_by_a_kill) {
    pair_hosts(&p, w);
    dw_host_stall(p.server_host, DW_SEC(1));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(p.client.made, 1);
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

CALM_TEST(written_bytes_outlive_the_process) {
    pair_connect(&p, w);
    dw_world_set_latency(w, p.server_host, p.client_host, DW_MSEC(20));
    side_write(&p.server, "last words");
    dw_world_run(w, DW_MSEC(1)); /* the turn that flushes */
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "last words"));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

/* ---- Crash ---- */

CALM_TEST(a_crash_takes_timers_and_memory_and_calls_nothing_back) {
    dw_host *host = add_counter(w);
    dw_world_run(w, DW_MSEC(35));
    ck_assert_uint_eq(ticks, 3);
    dw_host_crash(host);
    ck_assert(!dw_host_is_up(host));
    ck_assert_ptr_null(dw_host_program(host));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(ticks, 3);
    ck_assert_uint_eq(freed, 0);
}

CALM_TEST(packets_to_a_dark_machine_vanish) {
    pair_hosts(&p, w);
    dw_host_crash(p.server_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(20));
    ck_assert_uint_eq(p.client.failed, 0); /* not refused: nobody says a word */
    dw_host_restart(p.server_host);
    side_init(&p.server, dw_host_reactor(p.server_host));
    side_listen(&p.server, 80, 0);
    dw_world_run(w, DW_SEC(20)); /* the SYN is sent again after 31 s */
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_int_eq(p.client.made_at, DW_SEC(31) + DW_MSEC(2));
}

CALM_TEST(what_left_before_the_crash_still_arrives) {
    pair_connect(&p, w);
    side_write(&p.client, "sent");
    dw_world_run(w, DW_USEC(500));
    dw_host_crash(p.client_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "sent"));
    ck_assert_uint_eq(p.server.lost, 0);
}

CALM_TEST(a_client_that_crashes_in_the_accept_queue_is_found_out_by_writing) {
    pair_hosts(&p, w);
    dw_host_stall(p.server_host, DW_MSEC(100));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(10));
    dw_host_crash(p.client_host);
    dw_host_restart(p.client_host);
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(p.server.made, 1);
    side_write(&p.server, "hello?");
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
}

CALM_TEST(client_and_server_may_go_while_a_connection_waits_to_be_accepted) {
    pair_hosts(&p, w);
    dw_host_stall(p.server_host, DW_SEC(1));
    for (int i = 0; i < 3; i++) {
        static side s[3];
        side_init(&s[i], p.client.reactor);
        side_connect(&s[i], "10.0.0.1", 80);
    }
    dw_world_run(w, DW_MSEC(10));
    dw_host_crash(p.client_host);
    dw_host_kill(p.server_host);
    dw_host_restart(p.client_host);
    ck_assert(dw_world_run_until_idle(w, DW_SEC(10)));
}

/* ---- Restart ---- */

CALM_TEST(a_restart_boots_afresh) {
    dw_host *host = add_counter(w);
    dw_world_run(w, DW_MSEC(55));
    void *before = dw_host_program(host);
    ck_assert_ptr_nonnull(before);
    dw_host_restart(host); /* it is up */
    ck_assert_uint_eq(boots, 1);
    dw_host_kill(host);
    dw_host_restart(host);
    ck_assert_uint_eq(boots, 2);
    ck_assert(dw_host_is_up(host));
    ck_assert_ptr_eq(last_reactor, dw_host_reactor(host));
    dw_world_run(w, DW_MSEC(25));
    ck_assert_uint_eq(ticks, 7);
    ck_assert_uint_eq(((counter *)dw_host_program(host))->mine, 2);
}

CALM_TEST(a_host_restarts_again_and_again) {
    dw_host *host = add_counter(w);
    for (int i = 0; i < 200; i++) {
        dw_world_run(w, DW_MSEC(15));
        if (i % 2 == 0) {
            dw_host_crash(host);
        } else {
            dw_host_kill(host);
        }
        dw_host_restart(host);
    }
    ck_assert_uint_eq(boots, 201);
    ck_assert_uint_eq(ticks, 200);
}

CALM_TEST(a_restarted_server_serves_again) {
    dw_host *server = dw_world_add_host(w, "server", echo_boot, NULL);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    for (int i = 0; i < 5; i++) {
        side_init(&p.client, dw_host_reactor(client));
        side_connect(&p.client, "server", 7);
        dw_world_run(w, DW_MSEC(10));
        side_write(&p.client, "hello");
        dw_world_run(w, DW_MSEC(10));
        ck_assert(side_has(&p.client, "hello"));
        dw_host_kill(server);
        dw_world_run(w, DW_MSEC(10));
        ck_assert_uint_eq(p.client.lost, 1);
        dw_host_restart(server);
    }
}

/* ---- From inside the host's own callback ---- */

CALM_TEST(a_host_killed_in_its_own_callback_ends_when_that_returns) {
    dw_host *host = add_counter(w);
    on_tick = dw_host_kill;
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(ticks, 1);
    ck_assert(!dw_host_is_up(host));
    ck_assert_uint_eq(freed, 0);
}

CALM_TEST(a_host_crashed_in_its_own_callback_ends_when_that_returns) {
    dw_host *host = add_counter(w);
    on_tick = dw_host_crash;
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(ticks, 1);
    ck_assert(!dw_host_is_up(host));
    on_tick = NULL;
    dw_host_restart(host);
    dw_world_run(w, DW_MSEC(35));
    ck_assert_uint_eq(ticks, 4);
}

static void kill_server(side *s) {
    (void)s;
    dw_host_kill(p.server_host);
}

CALM_TEST(a_server_killed_while_it_reads_loses_its_connection) {
    pair_connect(&p, w);
    p.server.echo = true;
    p.server.on_made = NULL;
    side_write(&p.client, "poison");
    p.server.on_lost = kill_server;
    dw_world_run(w, DW_MSEC(10));
    ck_assert(side_has(&p.client, "poison"));
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(10));
    ck_assert(!dw_host_is_up(p.server_host));
}

static void kill_on_data(side *s, const uint8_t *data, size_t len) {
    dw_transport_write(s->protocol.transport, data, len); /* never flushed: the process is gone */
    dw_host_kill(p.server_host);
}

CALM_TEST(a_process_killed_in_data_received_sends_nothing_more) {
    pair_connect(&p, w);
    p.server.on_data = kill_on_data;
    side_write(&p.client, "poison");
    dw_world_run(w, DW_SEC(1));
    ck_assert(!dw_host_is_up(p.server_host));
    ck_assert_uint_eq(p.client.lost, 1);
}

CALM_TEST(another_hosts_callback_may_kill_it) {
    pair_connect(&p, w);
    p.client.on_data = kill_on_data;
    side_write(&p.server, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert(!dw_host_is_up(p.server_host));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

/* ---- Stop: the program ends orderly ---- */

CALM_TEST(stop_loses_the_connections_and_runs_the_shutdown) {
    pair_connect(&p, w);
    dw_host_stop(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert(!dw_host_is_up(p.server_host));
    ck_assert_uint_eq(p.server.lost, 1);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_LOST); /* vectors/README.md, section 4: 19 */
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

CALM_TEST(stop_does_not_wait_for_delayed_calls) {
    dw_host *host = add_counter(w);
    dw_world_run(w, DW_MSEC(15));
    dw_host_stop(host);
    dw_world_run(w, DW_MSEC(1));
    ck_assert(!dw_host_is_up(host));
    ck_assert_uint_eq(freed, 1);
    ck_assert_uint_eq(ticks, 1);
}

static void stop_reactor(side *s, const uint8_t *data, size_t len) {
    (void)data;
    (void)len;
    ck_assert_int_eq(dw_reactor_stop(s->reactor), 0);
}

CALM_TEST(a_program_may_stop_its_own_reactor) {
    pair_connect(&p, w);
    p.server.on_data = stop_reactor;
    side_write(&p.client, "shutdown");
    dw_world_run(w, DW_SEC(1));
    ck_assert(!dw_host_is_up(p.server_host));
    ck_assert_uint_eq(p.server.lost, 1);
    dw_host_restart(p.server_host);
    ck_assert(dw_host_is_up(p.server_host));
}

static void stop_in_tick(dw_host *host) {
    dw_reactor_stop(dw_host_reactor(host));
}

CALM_TEST(a_program_may_stop_in_a_delayed_call_with_others_pending) {
    dw_host *host = add_counter(w);
    on_tick = stop_in_tick;
    dw_world_run(w, DW_MSEC(11));
    ck_assert(!dw_host_is_up(host));
    ck_assert_uint_eq(ticks, 1);
    ck_assert_uint_eq(freed, 1);
}

CALM_TEST(a_host_killed_while_it_stops_is_dead_once) {
    pair_connect(&p, w);
    p.server.on_lost = kill_server;
    dw_host_stop(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.lost, 1);
    ck_assert(!dw_host_is_up(p.server_host));
    dw_host_restart(p.server_host);
    ck_assert(dw_host_is_up(p.server_host));
}

CALM_TEST(ends_of_a_host_that_is_down_do_nothing) {
    dw_host *host = add_counter(w);
    dw_host_kill(host);
    dw_host_kill(host);
    dw_host_crash(host);
    dw_host_stop(host);
    dw_host_stall(host, DW_SEC(1));
    dw_world_run(w, DW_SEC(2));
    ck_assert_uint_eq(ticks, 0);
    dw_host_restart(host);
    dw_world_run(w, DW_MSEC(15));
    ck_assert_uint_eq(ticks, 1);
}

/* ---- Stall ---- */

CALM_TEST(a_stalled_program_is_late_and_misses_nothing) {
    pair_connect(&p, w);
    p.server.echo = true;
    dw_host_stall(p.server_host, DW_MSEC(500));
    dw_time start = dw_world_now(w);
    side_write(&p.client, "wake up");
    dw_world_run(w, DW_MSEC(400));
    ck_assert_uint_eq(p.server.received, 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "wake up"));
    ck_assert_int_eq(p.server.data_at - start, DW_MSEC(500));
    ck_assert_int_eq(p.client.data_at - start, DW_MSEC(501));
}

CALM_TEST(delayed_calls_of_a_stalled_program_run_when_it_wakes) {
    dw_host *host = add_counter(w);
    dw_world_run(w, DW_MSEC(5));
    dw_host_stall(host, DW_MSEC(95));
    dw_world_run(w, DW_MSEC(94));
    ck_assert_uint_eq(ticks, 0);
    dw_world_run(w, DW_MSEC(2));
    ck_assert_uint_eq(ticks, 1);
}

/* "its kernel works on" */
CALM_TEST(the_kernel_of_a_stalled_program_shakes_hands) {
    pair_hosts(&p, w);
    dw_host_stall(p.server_host, DW_SEC(1));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_uint_eq(p.server.made, 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.server.made_at, DW_SEC(1));
}

CALM_TEST(a_look_up_of_a_stalled_program_is_late) {
    pair_hosts(&p, w);
    side_connect(&p.client, "server", 80);
    dw_world_run(w, DW_USEC(100));
    dw_host_stall(p.client_host, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.made_at, DW_USEC(100) + DW_MSEC(102));
}

CALM_TEST(a_stall_for_ever_is_one) {
    dw_host *host = add_counter(w);
    dw_world_run(w, DW_MSEC(5));
    dw_host_stall(host, DW_TIME_MAX);
    dw_world_run(w, DW_HOUR(1));
    ck_assert_uint_eq(ticks, 0);
}

CALM_TEST(heal_wakes_a_stalled_program) {
    pair_connect(&p, w);
    dw_host *host = add_counter(w);
    dw_host_stall(host, DW_HOUR(1));
    dw_host_stall(p.server_host, DW_HOUR(1));
    side_write(&p.client, "are you there?");
    dw_world_run(w, DW_SEC(1));
    dw_world_heal(w);
    dw_world_run(w, DW_MSEC(15));
    ck_assert_uint_ge(ticks, 1);
    ck_assert(side_has(&p.server, "are you there?"));
}

/* ---- Clocks and randomness ---- */

CALM_TEST(the_wall_clock_may_be_off_the_monotonic_one_is_not) {
    pair_hosts(&p, w);
    dw_time a = dw_reactor_wall_clock(p.client.reactor);
    ck_assert_int_eq(a, dw_reactor_wall_clock(p.server.reactor));
    ck_assert_int_gt(a, DW_SEC(1577836800)); /* after 2020 */
    dw_host_set_clock_offset(p.client_host, -DW_HOUR(2));
    dw_world_run(w, DW_SEC(3));
    ck_assert_int_eq(dw_reactor_wall_clock(p.client.reactor), a - DW_HOUR(2) + DW_SEC(3));
    ck_assert_int_eq(dw_reactor_wall_clock(p.server.reactor), a + DW_SEC(3));
    ck_assert_int_eq(dw_reactor_now(p.client.reactor), dw_reactor_now(p.server.reactor));
}

static uint8_t random_bytes[2][2][100];
static int random_run;

static void draw_random(dw_world *w) {
    pair_hosts(&p, w);
    dw_reactor_random(p.client.reactor, random_bytes[random_run][0], 100);
    dw_reactor_random(p.server.reactor, random_bytes[random_run][1], 100);
}

START_TEST(random_bytes_are_the_same_in_each_run_and_differ_between_hosts) {
    for (random_run = 0; random_run < 2; random_run++) {
        played result;
        sim_source source = seeded((uint64_t)random_run + 1);
        source.kinds = 1u << SIM_LATENCY;
        play(draw_random, source, false, &result);
        played_free(&result);
    }
    ck_assert(memcmp(random_bytes[0], random_bytes[1], sizeof(random_bytes[0])) == 0);
    ck_assert(memcmp(random_bytes[0][0], random_bytes[0][1], 100) != 0);
    ck_assert(memcmp(random_bytes[0][0], random_bytes[0][0] + 50, 50) != 0);
}
END_TEST

/* ---- Reactors of hosts ---- */

CALM_TEST(the_world_runs_the_reactors_nobody_else_does) {
    pair_hosts(&p, w);
    ck_assert_int_eq(dw_reactor_run(p.client.reactor), DW_ALREADY_RUNNING);
    ck_assert_int_eq(dw_reactor_iterate(p.client.reactor, 0), DW_ALREADY_RUNNING);
}

static TCase *boot_case(void) {
    TCase *tc = tcase_create("boot and names");
    tcase_add_test(tc, boot_runs_at_once_with_its_user_data);
    tcase_add_test(tc, a_host_without_boot_is_driven_from_outside);
    tcase_add_test(tc, a_program_that_does_not_start_leaves_its_host_down);
    tcase_add_test(tc, addresses_are_given_out_in_order);
    tcase_add_test(tc, names_resolve_in_the_whole_world);
    tcase_add_test(tc, a_name_that_nobody_has_fails_to_resolve);
    tcase_add_test(tc, localhost_is_the_host_itself);
    tcase_add_test(tc, a_look_up_dies_with_its_host);
    tcase_add_test(tc, a_bad_or_taken_name_is_a_broken_contract);
    return tc;
}

static TCase *ends_case(void) {
    TCase *tc = tcase_create("ends");
    tcase_add_test(tc, a_killed_process_is_an_orderly_end_for_its_peer);
    tcase_add_test(tc, a_killed_process_with_unread_data_resets_its_peer);
    tcase_add_test(tc, a_killed_process_refuses_new_connections);
    tcase_add_test(tc, a_process_killed_in_the_handshake_resets_its_peer);
    tcase_add_test(tc, connections_that_wait_to_be_accepted_are_reset_by_a_kill);
    tcase_add_test(tc, written_bytes_outlive_the_process);
    tcase_add_test(tc, a_crash_takes_timers_and_memory_and_calls_nothing_back);
    tcase_add_test(tc, packets_to_a_dark_machine_vanish);
    tcase_add_test(tc, what_left_before_the_crash_still_arrives);
    tcase_add_test(tc, a_client_that_crashes_in_the_accept_queue_is_found_out_by_writing);
    tcase_add_test(tc, client_and_server_may_go_while_a_connection_waits_to_be_accepted);
    tcase_add_test(tc, a_restart_boots_afresh);
    tcase_add_test(tc, a_host_restarts_again_and_again);
    tcase_add_test(tc, a_restarted_server_serves_again);
    tcase_add_test(tc, a_host_killed_in_its_own_callback_ends_when_that_returns);
    tcase_add_test(tc, a_host_crashed_in_its_own_callback_ends_when_that_returns);
    tcase_add_test(tc, a_server_killed_while_it_reads_loses_its_connection);
    tcase_add_test(tc, a_process_killed_in_data_received_sends_nothing_more);
    tcase_add_test(tc, another_hosts_callback_may_kill_it);
    return tc;
}

static TCase *stop_case(void) {
    TCase *tc = tcase_create("stop, stall, clocks");
    tcase_add_test(tc, stop_loses_the_connections_and_runs_the_shutdown);
    tcase_add_test(tc, stop_does_not_wait_for_delayed_calls);
    tcase_add_test(tc, a_program_may_stop_its_own_reactor);
    tcase_add_test(tc, a_program_may_stop_in_a_delayed_call_with_others_pending);
    tcase_add_test(tc, a_host_killed_while_it_stops_is_dead_once);
    tcase_add_test(tc, ends_of_a_host_that_is_down_do_nothing);
    tcase_add_test(tc, a_stalled_program_is_late_and_misses_nothing);
    tcase_add_test(tc, delayed_calls_of_a_stalled_program_run_when_it_wakes);
    tcase_add_test(tc, the_kernel_of_a_stalled_program_shakes_hands);
    tcase_add_test(tc, a_look_up_of_a_stalled_program_is_late);
    tcase_add_test(tc, a_stall_for_ever_is_one);
    tcase_add_test(tc, heal_wakes_a_stalled_program);
    tcase_add_test(tc, the_wall_clock_may_be_off_the_monotonic_one_is_not);
    tcase_add_test(tc, random_bytes_are_the_same_in_each_run_and_differ_between_hosts);
    tcase_add_test(tc, the_world_runs_the_reactors_nobody_else_does);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_host");
    suite_add_tcase(suite, boot_case());
    suite_add_tcase(suite, ends_case());
    suite_add_tcase(suite, stop_case());
    return run_suite(suite);
}
