/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop where threads make a difference, on each poller: pieces that are held up,
 * cancelling, the end of the reactor, threads and memory that cannot be had. Expectations:
 * drywire/offload.h. Runs under ThreadSanitizer too.
 */
#include "failing_alloc.h"
#include "test_poll_support.h"

static dw_reactor *reactor;

/* ---- Work that waits at a gate ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int begun, ended;

typedef struct piece {
    dw_offload offload;
    int worked, dropped;
} piece;

static piece held[DW_OFFLOAD_THREADS + 3], one;

static void work_at_gate(void *user) {
    (void)user;
    pthread_mutex_lock(&lock);
    begun++;
    pthread_cond_broadcast(&change);
    while (!gate_open) {
        pthread_cond_wait(&change, &lock);
    }
    ended++;
    pthread_mutex_unlock(&lock);
}

static void open_gate(void) {
    pthread_mutex_lock(&lock);
    gate_open = true;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void wait_begun(int count) {
    pthread_mutex_lock(&lock);
    while (begun < count) {
        pthread_cond_wait(&change, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static int locked_value(const int *value) {
    pthread_mutex_lock(&lock);
    int copy = *value;
    pthread_mutex_unlock(&lock);
    return copy;
}

static void done(void *user, bool worked) {
    piece *p = user;
    p->worked += worked;
    p->dropped += !worked;
}

static int give(piece *p) {
    return dw_reactor_offload(reactor, &p->offload, work_at_gate, done, p);
}

static void reset(void) {
    memset(held, 0, sizeof(held));
    memset(&one, 0, sizeof(one));
    gate_open = false;
    begun = ended = 0;
}

/* All threads are held up, three pieces wait. */
static void hold_up(void) {
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert_int_eq(give(&held[i]), 0);
    }
    wait_begun(DW_OFFLOAD_THREADS);
}

static void begin(void) {
    reset();
    reactor = new_reactor();
}

/* ---- Threads ---- */

START_TEST(the_loop_goes_on_while_work_is_held_up) {
    begin();
    hold_up();
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(held[0].worked, 0);
    ck_assert_int_eq(locked_value(&begun), DW_OFFLOAD_THREADS); /* so many and no more */
    open_gate();
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert(turn_until(reactor, &held[i].worked, 1));
    }
    ck_assert_uint_eq(dw_reactor_count(reactor).offloads, 0);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(what_waits_can_be_taken_back_what_runs_cannot) {
    begin();
    hold_up();
    ck_assert(dw_offload_cancel(&held[DW_OFFLOAD_THREADS + 1].offload)); /* the middle one */
    ck_assert(!dw_offload_active(&held[DW_OFFLOAD_THREADS + 1].offload));
    ck_assert(!dw_offload_cancel(&held[DW_OFFLOAD_THREADS + 1].offload));
    ck_assert(!dw_offload_cancel(&held[0].offload));
    ck_assert(dw_offload_active(&held[0].offload));
    open_gate();
    ck_assert(turn_until(reactor, &held[DW_OFFLOAD_THREADS].worked, 1));
    ck_assert(turn_until(reactor, &held[DW_OFFLOAD_THREADS + 2].worked, 1));
    ck_assert(turn_until(reactor, &held[0].worked, 1));
    ck_assert_int_eq(locked_value(&begun), DW_OFFLOAD_THREADS + 2);
    ck_assert_int_eq(held[DW_OFFLOAD_THREADS + 1].worked, 0);
    dw_reactor_free(reactor);
}
END_TEST

static int found;

static void on_address(dw_lookup *lookup, const dw_address *address) {
    (void)lookup, (void)address;
}

static void on_done(dw_lookup *lookup, const dw_reason *failure) {
    (void)lookup, (void)failure;
    found++;
}

START_TEST(names_do_not_wait_for_work) {
    static dw_lookup lookup;
    reset();
    memset(&lookup, 0, sizeof(lookup));
    found = 0;
    reactor = dw_live_reactor_new(poller, &(dw_poll_options){.names = DW_NAMES_THREADS});
    hold_up();
    dw_reactor_resolve(reactor, &lookup, "localhost", DW_FAMILY_ANY, on_address, on_done, NULL);
    ck_assert(turn_until(reactor, &found, 1));
    open_gate();
    dw_reactor_free(reactor);
}
END_TEST

/* ---- The reactor's end ---- */

static void *open_gate_soon(void *user) {
    (void)user;
    open_gate();
    return NULL;
}

/* `all` of the threads have a piece; the rest is dropped, and the loop waits for the gate. */
START_TEST(stopping_drops_what_waits_and_waits_for_what_runs) {
    pthread_t opener;
    begin();
    ck_assert_int_eq(dw_reactor_start(reactor), 0);
    hold_up();
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    ck_assert_int_eq(pthread_create(&opener, NULL, open_gate_soon, NULL), 0);
    while (dw_reactor_running(reactor)) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
    ck_assert_int_eq(pthread_join(opener, NULL), 0);
    int worked = 0, dropped = 0;
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert_int_eq(held[i].worked + held[i].dropped, 1);
        worked += held[i].worked;
        dropped += held[i].dropped;
    }
    ck_assert_int_eq(worked, ended);
    ck_assert_int_ge(worked, DW_OFFLOAD_THREADS);
    ck_assert_int_eq(worked + dropped, DW_OFFLOAD_THREADS + 3);
    ck_assert_int_eq(give(&one), 0); /* for the next run */
    ck_assert(turn_until(reactor, &one.worked, 1));
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(freeing_waits_for_what_runs_and_tells_nobody) {
    pthread_t opener;
    begin();
    hold_up();
    ck_assert_int_eq(pthread_create(&opener, NULL, open_gate_soon, NULL), 0);
    dw_reactor_free(reactor);
    ck_assert_int_eq(pthread_join(opener, NULL), 0);
    ck_assert_int_eq(begun, ended);
    ck_assert_int_ge(ended, DW_OFFLOAD_THREADS);
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert_int_eq(held[i].worked + held[i].dropped, 0);
        ck_assert(!dw_offload_active(&held[i].offload));
    }
}
END_TEST

START_TEST(what_is_finished_and_not_told_goes_with_the_reactor) {
    begin();
    gate_open = true;
    ck_assert_int_eq(give(&one), 0);
    wait_begun(1);
    dw_reactor_free(reactor);
    ck_assert_int_eq(one.worked + one.dropped, 0);
    ck_assert_int_eq(ended, 1);
}
END_TEST

/* ---- Failures ---- */

static int threads_allowed;

static int few_threads(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                       void *user) {
    return threads_allowed-- > 0 ? pthread_create(thread, attributes, start, user) : EAGAIN;
}

START_TEST(without_a_thread_it_says_so) {
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.pthread_create = few_threads;
    reset();
    threads_allowed = 0;
    gate_open = true;
    reactor = new_reactor_on(&sys);
    ck_assert_int_eq(give(&one), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), EAGAIN);
    ck_assert(!dw_offload_active(&one.offload));
    threads_allowed = 1; /* one will do for all */
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert_int_eq(give(&held[i]), 0);
    }
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        ck_assert(turn_until(reactor, &held[i].worked, 1));
    }
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_memory_it_says_so) {
    reset();
    gate_open = true;
    allocations_left = 1000;
    reactor = dw_live_reactor_new(poller, &(dw_poll_options){.allocator = &failing});
    allocations_left = 0;
    ck_assert_int_eq(give(&one), DW_NO_MEMORY);
    ck_assert(!dw_offload_active(&one.offload));
    allocations_left = 1000;
    ck_assert_int_eq(give(&one), 0);
    ck_assert(turn_until(reactor, &one.worked, 1));
    dw_reactor_free(reactor);
    ck_assert_int_eq(blocks_out, 0);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("threads");
    tcase_add_test(tc, the_loop_goes_on_while_work_is_held_up);
    tcase_add_test(tc, what_waits_can_be_taken_back_what_runs_cannot);
    tcase_add_test(tc, names_do_not_wait_for_work);
    tcase_add_test(tc, stopping_drops_what_waits_and_waits_for_what_runs);
    tcase_add_test(tc, freeing_waits_for_what_runs_and_tells_nobody);
    tcase_add_test(tc, what_is_finished_and_not_told_goes_with_the_reactor);
    tcase_add_test(tc, without_a_thread_it_says_so);
    tcase_add_test(tc, without_memory_it_says_so);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("offload", suite);
}
