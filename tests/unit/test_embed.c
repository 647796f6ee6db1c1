/* SPDX-License-Identifier: MIT */
/*
 * A reactor as a guest in another loop, on each poller: here the other loop is a plain poll(2) of
 * the test's, which does nothing but what drywire/embed.h says, and must never be needed more than
 * that. The examples, which live in libuv's and GLib's loops, are run as programs.
 */
#include "test_poll_support.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

enum { FDS_MAX = 16, WAITS_MAX = 2000, HOST_LIMIT_MS = 3000 };

static dw_reactor *reactor;
static int waits;

/* ---- The host loop ---- */

/* What the host waits for: the reactor's descriptor, or those of the poll(2) reactor. */
static size_t host_fds(struct pollfd *fds) {
    int descriptor = dw_reactor_descriptor(reactor);
    if (descriptor >= 0) {
        fds[0] = (struct pollfd){.fd = descriptor, .events = POLLIN};
        return 1;
    }
    ck_assert_int_eq(descriptor, DW_UNSUPPORTED);
    size_t count = dw_poll_reactor_descriptors(reactor, fds, FDS_MAX);
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, FDS_MAX);
    return count;
}

/* Waits as the header says, and gives the reactor a turn. A wait without limit that nothing ends is
 * a lost wake-up: it fails after HOST_LIMIT_MS. */
static void host_turn(void) {
    struct pollfd fds[FDS_MAX];
    nfds_t count = (nfds_t)host_fds(fds);
    dw_time timeout = dw_reactor_timeout(reactor);
    int ms = timeout < 0 ? HOST_LIMIT_MS : (int)((timeout + DW_MSEC(1) - 1) / DW_MSEC(1));
    int found = poll(fds, count, ms);
    ck_assert_msg(found > 0 || timeout >= 0, "the host loop waited and nobody woke it");
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    waits++;
}

static void host_until(const int *flag, int value) {
    for (waits = 0; *flag != value;) {
        ck_assert_msg(waits < WAITS_MAX, "the host loop spins");
        host_turn();
    }
}

static void begin(void) {
    reactor = new_reactor();
    ck_assert_int_eq(dw_reactor_start(reactor), 0);
    ck_assert_int_eq(dw_reactor_start(reactor), DW_ALREADY_RUNNING);
    ck_assert_int_eq(dw_reactor_run(reactor), DW_ALREADY_RUNNING);
    ck_assert(dw_reactor_running(reactor));
}

static void stop_and_free(void) {
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    ck_assert_int_eq(dw_reactor_timeout(reactor), 0);
    for (int i = 0; dw_reactor_running(reactor); i++) {
        ck_assert_int_lt(i, 10);
        host_turn();
    }
    dw_reactor_free(reactor);
}

/* ---- Cases ---- */

START_TEST(a_guest_echoes) {
    enum { LEN = 1 << 20 };
    struct probe all[2] = {{.echo = true}, {.made = 0}};
    struct probes server, client;
    static uint8_t data[LEN];
    begin();
    probes_init(&server, &all[0], 1);
    probes_init(&client, &all[1], 1);
    uint16_t port = listen_on(reactor, &server, "127.0.0.1", NULL);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(reactor, "127.0.0.1", port, &client.base, 0, NULL, NULL), 0);
    host_until(&all[1].made, 1);
    dw_transport_write(all[1].base.transport, data, LEN); /* from outside of any callback */
    for (waits = 0; all[1].received < LEN;) {
        ck_assert_int_lt(waits, WAITS_MAX);
        host_turn();
    }
    dw_transport_lose_connection(all[1].base.transport);
    host_until(&all[0].lost, 1);
    ck_assert_int_eq(all[0].reason, DW_CONNECTION_DONE);
    host_until(&all[1].lost, 1);
    stop_and_free();
}
END_TEST

static void count_one(void *user) {
    ++*(int *)user;
}

START_TEST(delayed_calls_of_a_guest_run_in_time_and_the_host_does_not_spin) {
    dw_delayed_call calls[3];
    int ran = 0;
    begin();
    memset(calls, 0, sizeof(calls));
    ck_assert_int_lt(dw_reactor_timeout(reactor), 0);
    dw_time before = dw_reactor_now(reactor);
    dw_reactor_call_later(reactor, &calls[0], DW_MSEC(30), count_one, &ran);
    dw_time timeout = dw_reactor_timeout(reactor);
    ck_assert_int_gt(timeout, 0);
    ck_assert_int_le(timeout, DW_MSEC(30));
    dw_reactor_call_later(reactor, &calls[1], DW_MSEC(5), count_one, &ran);
    dw_reactor_call_later(reactor, &calls[2], 0, count_one, &ran);
    ck_assert_int_eq(dw_reactor_timeout(reactor), 0);
    host_until(&ran, 3);
    ck_assert_int_ge(dw_reactor_now(reactor) - before, DW_MSEC(30));
    ck_assert_int_le(waits, 6);
    ck_assert_int_lt(dw_reactor_timeout(reactor), 0);
    stop_and_free();
}
END_TEST

static dw_thread_call thread_call;

static void *call_it(void *user) {
    (void)dw_reactor_call_from_thread(reactor, &thread_call, count_one, user);
    return NULL;
}

START_TEST(a_thread_wakes_the_host_of_a_guest) {
    pthread_t thread;
    int ran = 0;
    begin();
    memset(&thread_call, 0, sizeof(thread_call));
    ck_assert_int_eq(pthread_create(&thread, NULL, call_it, &ran), 0);
    host_until(&ran, 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    stop_and_free();
}
END_TEST

static void resume_twice(struct probe *probe) {
    dw_transport_pause_producing(probe->base.transport);
}

/* Input that the poller knows of and nobody wants now must come when it is wanted again, though the
 * kernel has told an edge already. */
START_TEST(input_of_a_guest_waits_while_paused_and_comes_when_resumed) {
    struct probe probe = {.on_data = resume_twice};
    struct probes probes;
    begin();
    probes_init(&probes, &probe, 1);
    int peer = peer_connect(listen_on(reactor, &probes, "127.0.0.1", NULL));
    host_until(&probe.made, 1);
    for (int i = 1; i <= 3; i++) {
        peer_write(peer, "some");
        peer_settle(peer);
        host_until(&probe.received_calls, i);
        peer_write(peer, "more");
        peer_settle(peer);
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
        ck_assert_int_eq(probe.received_calls, i);
        dw_transport_resume_producing(probe.base.transport);
        host_until(&probe.received_calls, ++i);
        dw_transport_resume_producing(probe.base.transport);
    }
    close(peer);
    host_until(&probe.lost, 1);
    stop_and_free();
}
END_TEST

static void say_farewell(void *user) {
    dw_trigger_hold(user);
}

START_TEST(a_stopped_guest_waits_for_a_trigger_that_holds) {
    dw_trigger trigger = {.fn_ = NULL};
    begin();
    dw_reactor_add_trigger(reactor, &trigger, DW_BEFORE_SHUTDOWN, say_farewell, &trigger);
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    host_turn();
    ck_assert(dw_reactor_running(reactor));
    ck_assert_int_lt(dw_reactor_timeout(reactor), 0);
    dw_trigger_release(&trigger);
    ck_assert_int_eq(dw_reactor_timeout(reactor), 0);
    host_turn();
    ck_assert(!dw_reactor_running(reactor));
    ck_assert_int_eq(dw_reactor_start(reactor), 0); /* and again */
    stop_and_free();
}
END_TEST

/* ---- The examples ---- */

static const char *const examples[] = {
#ifdef DRYWIRE_EMBED_LIBUV
    DRYWIRE_EMBED_LIBUV,
#endif
#ifdef DRYWIRE_EMBED_GLIB
    DRYWIRE_EMBED_GLIB,
#endif
    NULL,
};

static pid_t start_program(const char *path, FILE **output) {
    int fds[2];
    pid_t pid;
    const char *const argv[] = {path, "0", NULL};
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, fds[1], 1), 0);
    ck_assert_int_eq(posix_spawn_file_actions_addclose(&actions, fds[0]), 0);
    ck_assert_int_eq(
        posix_spawn(&pid, path, &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    ck_assert_int_eq(posix_spawn_file_actions_destroy(&actions), 0);
    close(fds[1]);
    *output = fdopen(fds[0], "r");
    ck_assert_ptr_nonnull(*output);
    return pid;
}

START_TEST(the_example_echoes_and_keeps_time_inside_its_host_loop) {
    FILE *output;
    char line[200];
    unsigned port;
    int status;
    pid_t pid = start_program(examples[_i], &output);
    ck_assert_int_eq(fscanf(output, "listening on 127.0.0.1:%u\n", &port), 1);
    int peer = peer_connect((uint16_t)port);
    peer_write(peer, "hello");
    peer_expect(peer, "hello");
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), output));
    ck_assert_ptr_nonnull(strstr(line, "a delayed call ran inside"));
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    ck_assert_int_eq(peer_end(peer), 0); /* the shutdown was an orderly one */
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    fclose(output);
    close(peer);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *guests = tcase_create("guests");
    tcase_add_test(guests, a_guest_echoes);
    tcase_add_test(guests, delayed_calls_of_a_guest_run_in_time_and_the_host_does_not_spin);
    tcase_add_test(guests, a_thread_wakes_the_host_of_a_guest);
    tcase_add_test(guests, input_of_a_guest_waits_while_paused_and_comes_when_resumed);
    tcase_add_test(guests, a_stopped_guest_waits_for_a_trigger_that_holds);
    suite_add_tcase(suite, guests);
    return suite;
}

static Suite *example_suite(void) {
    int count = (int)(sizeof(examples) / sizeof(examples[0])) - 1;
    Suite *suite = suite_create("guests as programs");
    TCase *programs = tcase_create("programs");
    tcase_add_loop_test(programs, the_example_echoes_and_keeps_time_inside_its_host_loop, 0, count);
    suite_add_tcase(suite, programs);
    return suite;
}

int main(void) {
    int status = run_on_each_poller("guests", suite);
    return status | run_suite(example_suite());
}
