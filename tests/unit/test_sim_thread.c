/* SPDX-License-Identifier: MIT */
/*
 * Calls "from threads" on the dry wire: an ordered queue of the host's own, part of the run like
 * any event; another thread is a broken contract. What both wires share is in
 * tests/conformance/test_thread_calls.c.
 */
#include "sim_support.h"

#include <pthread.h>
#include <signal.h>

static dw_thread_call calls[4];
static dw_delayed_call later;
static char said[100];

static void begin(void) {
    memset(calls, 0, sizeof(calls));
    memset(&later, 0, sizeof(later));
    said[0] = '\0';
}

static void say(void *word) {
    strncat(said, word, sizeof(said) - strlen(said) - 1);
}

static void *text(const char *literal) {
    return (void *)(uintptr_t)literal;
}

static bool call(dw_host *host, int i, const char *word) {
    return dw_reactor_call_from_thread(dw_host_reactor(host), &calls[i], say, text(word));
}

/* Virtual time does not pass for it, and a stalled host has to wait with it. */
CALM_TEST(a_call_runs_in_the_same_instant_unless_its_host_stalls) {
    begin();
    dw_host *host = dw_world_add_host(w, "host", NULL, NULL);
    ck_assert(call(host, 0, "a"));
    ck_assert_str_eq(said, "");
    dw_world_run(w, 0);
    ck_assert_str_eq(said, "a");
    dw_host_stall(host, DW_SEC(1));
    ck_assert(call(host, 1, "b"));
    dw_world_run(w, DW_MSEC(999));
    ck_assert_str_eq(said, "a");
    dw_world_run(w, DW_MSEC(1));
    ck_assert_str_eq(said, "ab");
}

/* Forgotten with all else, and free to be made again. */
CALM_TEST(a_killed_host_forgets_its_calls) {
    begin();
    dw_host *host = dw_world_add_host(w, "host", NULL, NULL);
    ck_assert(call(host, 0, "a"));
    dw_host_kill(host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(said, "");
    dw_host_restart(host);
    ck_assert(call(host, 0, "b"));
    dw_world_run(w, 0);
    ck_assert_str_eq(said, "b");
}

/* The host's reactor is freed with its world: none is lost. */
CALM_TEST(a_call_that_is_left_at_the_end_of_the_world_runs_then) {
    begin();
    ck_assert(call(dw_world_add_host(w, "host", NULL, NULL), 0, "left"));
}

static void with_a_call(dw_world *w) {
    begin();
    (void)call(dw_world_add_host(w, "host", NULL, NULL), 0, "x");
    dw_world_run(w, DW_SEC(1));
}

static void without_a_call(dw_world *w) {
    begin();
    (void)dw_world_add_host(w, "host", NULL, NULL);
    dw_world_run(w, DW_SEC(1));
}

static uint64_t hash_of(void (*scenario)(dw_world *w)) {
    played p;
    play(scenario, calm(), false, &p);
    uint64_t hash = p.outcome.hash;
    expect_good(&p);
    played_free(&p);
    return hash;
}

START_TEST(a_call_is_an_event_of_the_run) {
    ck_assert_uint_eq(hash_of(with_a_call), hash_of(with_a_call));
    ck_assert_uint_ne(hash_of(with_a_call), hash_of(without_a_call));
}
END_TEST

static void *from_another_thread(void *reactor) {
    (void)dw_reactor_call_from_thread(reactor, &calls[0], say, text("never"));
    return NULL;
}

static void with_a_thread(dw_world *w) {
    pthread_t thread;
    begin();
    dw_host *host = dw_world_add_host(w, "host", NULL, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, from_another_thread, dw_host_reactor(host)), 0);
    pthread_join(thread, NULL);
}

START_TEST(a_call_from_another_thread_ends_the_program) {
    played p;
    play(with_a_thread, calm(), false, &p);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("threads on the dry wire");
    TCase *tc = tcase_create("calls");
    tcase_add_test(tc, a_call_runs_in_the_same_instant_unless_its_host_stalls);
    tcase_add_test(tc, a_killed_host_forgets_its_calls);
    tcase_add_test(tc, a_call_that_is_left_at_the_end_of_the_world_runs_then);
    tcase_add_test(tc, a_call_is_an_event_of_the_run);
    tcase_add_test_raise_signal(tc, a_call_from_another_thread_ends_the_program, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
