/* SPDX-License-Identifier: MIT */
/*
 * Attempts to connect over each poller: outcomes on real loopback sockets, and names, which
 * are looked up on a helper thread. Where a lookup must be slow or fail in a known way the system
 * call table has a getaddrinfo of ours; nothing here asks a name server.
 */
#include "test_poll_support.h"

#include <pthread.h>

/* ---- A getaddrinfo that waits at a gate ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int lookups_begun;
static int lookup_answer; /* 0: 127.0.0.1, else an EAI_ code */

static int gated_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                             struct addrinfo **out) {
    (void)name;
    pthread_mutex_lock(&gate_lock);
    lookups_begun++;
    pthread_cond_broadcast(&gate_moved);
    while (!gate_open) {
        pthread_cond_wait(&gate_moved, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
    return lookup_answer != 0 ? lookup_answer : getaddrinfo("127.0.0.1", service, hints, out);
}

static void set_gate(bool open) {
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void wait_for_lookup(int count) {
    pthread_mutex_lock(&gate_lock);
    while (lookups_begun < count) {
        pthread_cond_wait(&gate_moved, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
}

/* One that asks getaddrinfo, whatever else this build has. */
static dw_reactor *new_threads_reactor(const struct dw_syscalls *sys) {
    dw_poll_options options = {.names = DW_NAMES_THREADS};
    dw_reactor *reactor = dw_live_reactor_on(poller, &options, sys);
    ck_assert_ptr_nonnull(reactor);
    return reactor;
}

static dw_reactor *new_gated_reactor(bool open, int answer) {
    static struct dw_syscalls sys;
    sys = dw_syscalls_libc;
    sys.getaddrinfo = gated_getaddrinfo;
    gate_open = open;
    lookups_begun = 0;
    lookup_answer = answer;
    dw_reactor *reactor = new_threads_reactor(&sys);
    return reactor;
}

/* Core starts an attempt in the turn after the call that asked for it. */
static void let_lookups_start(dw_reactor *reactor, int count) {
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    wait_for_lookup(count);
}

static void connect_to(dw_reactor *reactor, struct probes *probes, const char *host, uint16_t port,
                       dw_time timeout, dw_connector **out) {
    ck_assert_int_eq(dw_reactor_connect_tcp(reactor, host, port, &probes->base, timeout, NULL, out),
                     0);
}

/* A port on which nobody listens. */
static uint16_t unused_port(void) {
    uint16_t port;
    close(peer_listen(1, &port));
    return port;
}

/* ---- Outcomes ---- */

START_TEST(a_client_talks_to_a_plain_server) {
    struct probe probe = {.echo = true};
    struct probes probes;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    connect_to(reactor, &probes, "127.0.0.1", port, 0, NULL);
    ck_assert(turn_until(reactor, &probe.made, 1));
    int peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    peer_limit(peer);
    peer_write(peer, "hello");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    peer_expect(peer, "hello");
    close(peer);
    ck_assert(turn_until(reactor, &probes.lost, 1));
    ck_assert_int_eq(probe.reason, DW_CONNECTION_DONE);
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(nobody_listening_is_connection_refused) {
    struct probes probes;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    connect_to(reactor, &probes, "127.0.0.1", unused_port(), 0, NULL);
    ck_assert_int_eq(probes.failed, 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_CONNECTION_REFUSED);
    ck_assert_int_eq(probes.failed_errno, ECONNREFUSED);
    dw_reactor_free(reactor);
}
END_TEST

/* A backlog of 0 has room for one connection; Linux then ignores further SYNs (listen(2)), and the
 * next one is sent after a second (RFC 6298). */
START_TEST(a_listener_whose_backlog_is_full_times_out) {
    struct probes probes;
    uint16_t port;
    int listener = peer_listen(0, &port);
    int first = peer_connect(port);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    dw_time began = dw_reactor_now(reactor);
    connect_to(reactor, &probes, "127.0.0.1", port, DW_MSEC(50), NULL);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_ge(dw_reactor_now(reactor) - began, DW_MSEC(50));
    ck_assert_int_eq(probes.failed_kind, DW_TIMEOUT);
    close(first);
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

/* 192.0.2.1 is kept for documentation (RFC 5737), so it is no address of this machine. */
START_TEST(a_foreign_local_address_is_a_bind_error) {
    struct probes probes;
    dw_address bind;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_address_parse(&bind, "192.0.2.1", 0), 0);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(reactor, "127.0.0.1", port, &probes.base, 0, &bind, NULL), 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_CONNECT_BIND_ERROR);
    ck_assert_int_eq(probes.failed_errno, EADDRNOTAVAIL);
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_port_in_use_cannot_be_listened_on) {
    struct probes probes;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, port, &probes.base.base, 0, "127.0.0.1", NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), EADDRINUSE);
    ck_assert_uint_eq(probes.base.base.num_ports, 0);
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Many at once ---- */

enum { ATTEMPTS = 40 };

static dw_connector *attempts[ATTEMPTS]; /* NULL: over */

static void stop_all_others(dw_client_factory *factory, dw_connector *connector,
                            const dw_reason *reason) {
    probes_failed(factory, connector, reason);
    for (int i = 0; i < ATTEMPTS; i++) {
        if (attempts[i] == connector) {
            attempts[i] = NULL;
        }
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        if (attempts[i] != NULL) {
            dw_connector_stop_connecting(attempts[i]);
        }
    }
}

/* stop_connecting closes and frees at once (vectors/README.md, section 4: 4), here all the sockets
 * that the same wait has found decided. */
START_TEST(a_failed_attempt_may_stop_all_others) {
    static const dw_client_factory_class stopping = {
        .base = {.name = "stopping", .build_protocol = probes_build},
        .client_connection_failed = stop_all_others,
    };
    struct probes probes;
    uint16_t port = unused_port();
    dw_reactor *reactor = new_reactor();
    int before = open_descriptors();
    probes_init(&probes, NULL, 0);
    dw_client_factory_init(&probes.base, &stopping);
    for (int i = 0; i < ATTEMPTS; i++) {
        connect_to(reactor, &probes, "127.0.0.1", port, 0, &attempts[i]);
    }
    ck_assert(turn_until(reactor, &probes.failed, ATTEMPTS));
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(probes.failed, ATTEMPTS);
    ck_assert_int_eq(open_descriptors(), before);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Names ---- */

START_TEST(localhost_resolves) {
    struct probe server_probe = {.made = 0}, client_probe = {.made = 0};
    struct probes server, client;
    dw_reactor *reactor = new_reactor();
    probes_init(&server, &server_probe, 1);
    probes_init(&client, &client_probe, 1);
    uint16_t port = listen_on(reactor, &server, "::", NULL);
    connect_to(reactor, &client, "localhost", port, 0, NULL);
    ck_assert_int_eq(client_probe.made, 0);
    ck_assert(turn_until(reactor, &client_probe.made, 1));
    ck_assert(turn_until(reactor, &server_probe.made, 1));
    dw_reactor_free(reactor);
}
END_TEST

/* A label has at most 63 octets (RFC 1035 section 2.3.4), so libc refuses this one by itself. */
START_TEST(an_impossible_name_is_a_lookup_error) {
    struct probes probes;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    connect_to(reactor, &probes,
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid.",
               1, 0, NULL);
    ck_assert_int_eq(probes.failed, 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_DNS_LOOKUP);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(every_failure_of_the_name_server_is_a_lookup_error) {
    static const int codes[] = {EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_SYSTEM};
    struct probes probes;
    dw_reactor *reactor = new_gated_reactor(true, codes[_i]);
    probes_init(&probes, NULL, 0);
    connect_to(reactor, &probes, "name", 1, 0, NULL);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_DNS_LOOKUP);
    dw_reactor_free(reactor);
}
END_TEST

static void count_call(void *user) {
    (*(int *)user)++;
}

START_TEST(a_slow_lookup_does_not_hold_up_the_loop) {
    struct probe probe = {.made = 0};
    struct probes probes;
    dw_delayed_call call = {0};
    int called = 0;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_gated_reactor(false, 0);
    probes_init(&probes, &probe, 1);
    connect_to(reactor, &probes, "slow", port, 0, NULL);
    let_lookups_start(reactor, 1);
    dw_reactor_call_later(reactor, &call, DW_MSEC(1), count_call, &called);
    ck_assert(turn_until(reactor, &called, 1));
    ck_assert_int_eq(probe.made, 0);
    set_gate(true);
    ck_assert(turn_until(reactor, &probe.made, 1));
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(an_answer_wakes_a_loop_that_sleeps_for_ever) {
    struct probes probes;
    dw_reactor *reactor = new_gated_reactor(true, EAI_NONAME);
    probes_init(&probes, NULL, 0);
    probes.stop_when_failed = true;
    connect_to(reactor, &probes, "name", 1, -1, NULL); /* no time-out, so no timer */
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(probes.failed, 1);
    dw_reactor_free(reactor);
}
END_TEST

/* Lookups are with all the helpers, one still waits behind them; all are given up. */
START_TEST(a_cancelled_lookup_gives_no_answer) {
    struct probes probes;
    dw_connector *running[DW_NAME_THREADS_MAX], *waiting;
    dw_reactor *reactor = new_gated_reactor(false, 0);
    probes_init(&probes, NULL, 0);
    for (int i = 0; i < DW_NAME_THREADS_MAX; i++) {
        connect_to(reactor, &probes, "running", 1, 0, &running[i]);
    }
    let_lookups_start(reactor, DW_NAME_THREADS_MAX);
    connect_to(reactor, &probes, "waiting", 1, 0, &waiting);
    let_lookups_start(reactor, DW_NAME_THREADS_MAX);
    ck_assert_int_eq(dw_connector_stop_connecting(waiting), 0);
    for (int i = 0; i < DW_NAME_THREADS_MAX; i++) {
        ck_assert_int_eq(dw_connector_stop_connecting(running[i]), 0);
    }
    ck_assert_int_eq(probes.failed, DW_NAME_THREADS_MAX + 1);
    ck_assert_int_eq(probes.failed_kind, DW_USER_ERROR);
    set_gate(true);
    connect_to(reactor, &probes, "later", unused_port(), 0, NULL);
    ck_assert(turn_until(reactor, &probes.failed, DW_NAME_THREADS_MAX + 2));
    ck_assert_int_eq(lookups_begun, DW_NAME_THREADS_MAX + 1);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_lookup_may_time_out) {
    struct probes probes;
    dw_reactor *reactor = new_gated_reactor(false, 0);
    probes_init(&probes, NULL, 0);
    connect_to(reactor, &probes, "slow", 1, DW_MSEC(10), NULL);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_TIMEOUT);
    set_gate(true);
    dw_reactor_free(reactor);
}
END_TEST

static void *open_gate(void *user) {
    (void)user;
    set_gate(true);
    return NULL;
}

START_TEST(freeing_the_reactor_waits_for_the_lookup_under_way) {
    struct probes probes;
    pthread_t thread;
    dw_reactor *reactor = new_gated_reactor(false, 0);
    probes_init(&probes, NULL, 0);
    for (int i = 0; i < 3; i++) {
        connect_to(reactor, &probes, "slow", 1, 0, NULL);
    }
    let_lookups_start(reactor, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, open_gate, NULL), 0);
    dw_reactor_free(reactor);
    pthread_join(thread, NULL);
    ck_assert_int_eq(probes.failed, 0);
}
END_TEST

START_TEST(many_lookups_are_all_answered) {
    enum { MANY = 200 };
    struct probes probes;
    dw_reactor *reactor = new_gated_reactor(true, EAI_NONAME);
    probes_init(&probes, NULL, 0);
    for (int i = 0; i < MANY; i++) {
        connect_to(reactor, &probes, "name", 1, 0, NULL);
    }
    ck_assert(turn_until(reactor, &probes.failed, MANY));
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(one_lookup_over_the_limit_fails_at_once_and_harms_nobody) {
    struct probes probes;
    dw_reactor *reactor = new_gated_reactor(false, EAI_NONAME);
    probes_init(&probes, NULL, 0);
    for (int i = 0; i < DW_LOOKUPS_MAX; i++) {
        connect_to(reactor, &probes, "name", 1, -1, NULL);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
    ck_assert_int_eq(probes.failed, 0);
    connect_to(reactor, &probes, "one too many", 1, -1, NULL);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_DNS_LOOKUP);
    set_gate(true);
    ck_assert(turn_until(reactor, &probes.failed, DW_LOOKUPS_MAX + 1));
    dw_reactor_free(reactor);
}
END_TEST

static int no_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                     void *user) {
    (void)thread;
    (void)attributes;
    (void)start;
    (void)user;
    return EAGAIN;
}

START_TEST(without_a_thread_names_fail_and_literals_work) {
    struct probe probe = {.made = 0};
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.pthread_create = no_thread;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_threads_reactor(&sys);
    probes_init(&probes, &probe, 1);
    connect_to(reactor, &probes, "localhost", port, 0, NULL);
    connect_to(reactor, &probes, "127.0.0.1", port, 0, NULL);
    ck_assert(turn_until(reactor, &probe.made, 1));
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_DNS_LOOKUP);
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(attempts_leave_no_descriptor_over) {
    int before = open_descriptors();
    for (int round = 0; round < 10; round++) {
        struct probes probes;
        dw_reactor *reactor = new_gated_reactor(true, round % 2 == 0 ? 0 : EAI_NONAME);
        probes_init(&probes, NULL, 0);
        connect_to(reactor, &probes, "name", unused_port(), 0, NULL);
        connect_to(reactor, &probes, "127.0.0.1", unused_port(), 0, NULL);
        ck_assert(turn_until(reactor, &probes.failed, 2));
        dw_reactor_free(reactor);
    }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *outcomes = tcase_create("outcomes");
    tcase_add_test(outcomes, a_client_talks_to_a_plain_server);
    tcase_add_test(outcomes, nobody_listening_is_connection_refused);
    tcase_add_test(outcomes, a_listener_whose_backlog_is_full_times_out);
    tcase_add_test(outcomes, a_foreign_local_address_is_a_bind_error);
    tcase_add_test(outcomes, a_port_in_use_cannot_be_listened_on);
    tcase_add_test(outcomes, a_failed_attempt_may_stop_all_others);
    tcase_add_test(outcomes, attempts_leave_no_descriptor_over);
    tcase_set_timeout(outcomes, 3 * LIMIT_S);
    suite_add_tcase(suite, outcomes);
    TCase *names = tcase_create("names");
    tcase_add_test(names, localhost_resolves);
    tcase_add_test(names, an_impossible_name_is_a_lookup_error);
    tcase_add_loop_test(names, every_failure_of_the_name_server_is_a_lookup_error, 0, 5);
    tcase_add_test(names, a_slow_lookup_does_not_hold_up_the_loop);
    tcase_add_test(names, an_answer_wakes_a_loop_that_sleeps_for_ever);
    tcase_add_test(names, a_cancelled_lookup_gives_no_answer);
    tcase_add_test(names, a_lookup_may_time_out);
    tcase_add_test(names, freeing_the_reactor_waits_for_the_lookup_under_way);
    tcase_add_test(names, many_lookups_are_all_answered);
    tcase_add_test(names, one_lookup_over_the_limit_fails_at_once_and_harms_nobody);
    tcase_add_test(names, without_a_thread_names_fail_and_literals_work);
    tcase_set_timeout(names, 3 * LIMIT_S);
    suite_add_tcase(suite, names);
    return suite;
}

int main(void) {
    return run_on_each_poller("poll_connect", make_suite);
}
