/* SPDX-License-Identifier: MIT */
/*
 * Calls from other threads, on each poller: order, none lost, none twice, the wait that ends, the
 * one write for many calls, what happens to those that are left at the end. The hammer is what the
 * tsan preset is for. What the reactor's own thread sees is in
 * tests/conformance/test_thread_calls.c.
 */
#include "test_poll_support.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, CALLS_EACH = 4000, RINGS_EACH = 4000 };

static dw_reactor *reactor;
static pthread_t home;

static void start_thread(pthread_t *thread, void *(*fn)(void *user), void *user) {
    ck_assert_int_eq(pthread_create(thread, NULL, fn, user), 0);
}

static void begin(void) {
    reactor = new_reactor();
    home = pthread_self();
}

/* ---- Order ---- */

struct caller {
    pthread_t thread;
    dw_thread_call calls[CALLS_EACH];
    int next; /* the call that must come now */
};

static struct caller callers[THREADS];
static int finished_callers;

static void counted(void *user) {
    struct caller *caller = &callers[(size_t)((char *)user - (char *)callers) / sizeof(*caller)];
    ck_assert(pthread_equal(pthread_self(), home));
    ck_assert_ptr_eq(user, &caller->calls[caller->next]);
    if (++caller->next == CALLS_EACH && ++finished_callers == THREADS) {
        ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    }
}

static void *make_calls(void *user) {
    struct caller *caller = user;
    for (int i = 0; i < CALLS_EACH; i++) {
        dw_thread_call *call = &caller->calls[i];
        if (!dw_reactor_call_from_thread(reactor, call, counted, call)) {
            return caller; /* said to be pending, and never was */
        }
    }
    return NULL;
}

/* clock-reactor-from-thread, eight times over: each thread's calls in its order, each exactly once,
 * all on the reactor's thread, while the loop waits without limit. */
START_TEST(calls_of_eight_threads_each_keep_their_order) {
    begin();
    memset(callers, 0, sizeof(callers));
    finished_callers = 0;
    for (int i = 0; i < THREADS; i++) {
        start_thread(&callers[i].thread, make_calls, &callers[i]);
    }
    ck_assert_int_eq(dw_reactor_run(reactor), 0); /* a lost wake-up hangs here */
    for (int i = 0; i < THREADS; i++) {
        void *refused;
        ck_assert_int_eq(pthread_join(callers[i].thread, &refused), 0);
        ck_assert_ptr_null(refused);
        ck_assert_int_eq(callers[i].next, CALLS_EACH);
    }
    dw_reactor_free(reactor);
}
END_TEST

/* ---- A bell ---- */

static dw_thread_call bell;
static atomic_int orders;
static int plain_orders[THREADS], seen_orders, ringings;
static atomic_int rung_in_vain;

static void on_bell(void *user) {
    (void)user;
    ringings++;
    seen_orders = atomic_load_explicit(&orders, memory_order_relaxed);
    if (seen_orders == THREADS * RINGS_EACH && dw_reactor_running(reactor)) {
        (void)dw_reactor_stop(reactor); /* DW_NOT_RUNNING: a ring later than the last order */
    }
}

static void *ring(void *user) {
    (void)user;
    for (int i = 0; i < RINGS_EACH; i++) {
        atomic_fetch_add_explicit(&orders, 1, memory_order_relaxed);
        if (!dw_reactor_call_from_thread(reactor, &bell, on_bell, NULL)) {
            atomic_fetch_add(&rung_in_vain, 1);
        }
    }
    return NULL;
}

/* Whoever finds the bell ringing may rely on what he wrote before being seen. */
START_TEST(one_call_serves_many_threads_as_a_bell) {
    pthread_t threads[THREADS];
    begin();
    atomic_store(&orders, 0);
    atomic_store(&rung_in_vain, 0);
    seen_orders = ringings = 0;
    for (int i = 0; i < THREADS; i++) {
        start_thread(&threads[i], ring, NULL);
    }
    ck_assert_int_eq(dw_reactor_run(reactor), 0); /* a lost ring hangs here */
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(ringings + atomic_load(&rung_in_vain), THREADS * RINGS_EACH);
    dw_reactor_free(reactor);
}
END_TEST

/* Plain memory, written before the ring and read in the function: what ThreadSanitizer judges. */
static void read_plain(void *user) {
    seen_orders = *(int *)user;
}

static void *write_and_ring(void *user) {
    for (int i = 1; i <= THREADS; i++) {
        plain_orders[i - 1] = i;
    }
    (void)dw_reactor_call_from_thread(reactor, &bell, read_plain, user);
    return NULL;
}

START_TEST(what_a_thread_wrote_before_the_call_is_seen) {
    pthread_t thread;
    begin();
    seen_orders = 0;
    start_thread(&thread, write_and_ring, &plain_orders[THREADS - 1]);
    ck_assert(turn_until(reactor, &seen_orders, THREADS));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Waking ---- */

static void stop_reactor(void *user) {
    ck_assert_int_eq(dw_reactor_stop(user), 0);
}

static void *stop_it(void *user) {
    static dw_thread_call call;
    memset(&call, 0, sizeof(call));
    (void)dw_reactor_call_from_thread(user, &call, stop_reactor, user);
    return NULL;
}

static pthread_t stopper;

static void start_stopper(void *user) {
    start_thread(&stopper, stop_it, user);
}

/* Nothing else would ever end this run; and a second one finds no trace of the first. */
START_TEST(a_thread_stops_a_reactor_that_has_nothing_to_do) {
    begin();
    for (int i = 0; i < 2; i++) {
        dw_trigger trigger = {.fn_ = NULL};
        dw_reactor_call_when_running(reactor, &trigger, start_stopper, reactor);
        ck_assert_int_eq(dw_reactor_run(reactor), 0);
        ck_assert_int_eq(pthread_join(stopper, NULL), 0);
    }
    dw_reactor_free(reactor);
}
END_TEST

static int writes;

static ssize_t counted_write(int fd, const void *buffer, size_t len) {
    writes++;
    return dw_syscalls_libc.write(fd, buffer, len);
}

static void count_one(void *user) {
    ++*(int *)user;
}

START_TEST(many_calls_write_to_the_wake_pipe_once) {
    enum { MANY = 100 };
    static dw_thread_call calls[MANY];
    struct dw_syscalls sys = dw_syscalls_libc;
    int ran = 0;
    sys.write = counted_write;
    reactor = new_reactor_on(&sys);
    memset(calls, 0, sizeof(calls));
    for (int round = 1; round <= 3; round++) {
        writes = 0;
        for (int i = 0; i < MANY; i++) {
            ck_assert(dw_reactor_call_from_thread(reactor, &calls[i], count_one, &ran));
        }
        ck_assert_int_eq(writes, 1);
        ck_assert(turn_until(reactor, &ran, round * MANY));
    }
    dw_reactor_free(reactor);
}
END_TEST

static dw_thread_call signal_call;

static void make_call_in_handler(int signal_number) {
    (void)signal_number;
    (void)dw_reactor_call_from_thread(reactor, &signal_call, count_one, &ringings);
}

/* The pipe is full here, so that write(2) sets errno. */
START_TEST(a_signal_handler_may_make_a_call_and_errno_is_kept) {
    struct sigaction action, old;
    begin();
    memset(&action, 0, sizeof(action));
    memset(&signal_call, 0, sizeof(signal_call));
    action.sa_handler = make_call_in_handler;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, &old), 0);
    while (write(dw_live_of(reactor)->wake_write, "", 1) == 1) {
    }
    ringings = 0;
    errno = 77;
    raise(SIGUSR1);
    ck_assert_int_eq(errno, 77);
    ck_assert(turn_until(reactor, &ringings, 1));
    ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- The end ---- */

struct own {
    dw_thread_call call;
    int *ran;
};

static void free_own(void *user) {
    struct own *own = user;
    ++*own->ran;
    free(own);
}

static void make_own(int *ran) {
    struct own *own = calloc(1, sizeof(*own));
    ck_assert_ptr_nonnull(own);
    own->ran = ran;
    ck_assert(dw_reactor_call_from_thread(reactor, &own->call, free_own, own));
}

START_TEST(a_call_may_free_itself) {
    int ran = 0;
    begin();
    for (int i = 0; i < 10; i++) {
        make_own(&ran);
    }
    ck_assert(turn_until(reactor, &ran, 10));
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(calls_made_while_the_reactor_does_not_run_wait_for_its_next_run) {
    static dw_thread_call call, end;
    int ran = 0;
    begin();
    memset(&call, 0, sizeof(call));
    memset(&end, 0, sizeof(end));
    (void)dw_reactor_call_from_thread(reactor, &call, count_one, &ran);
    (void)dw_reactor_call_from_thread(reactor, &end, stop_reactor, reactor);
    ck_assert_int_eq(ran, 0);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(ran, 1);
    dw_reactor_free(reactor);
}
END_TEST

static int nested_left, nested_ran;

static void nest(void *user) {
    nested_ran++;
    if (--nested_left > 0) {
        ck_assert(dw_reactor_call_from_thread(reactor, user, nest, user));
    }
}

START_TEST(calls_that_are_left_run_when_the_reactor_is_freed) {
    static dw_thread_call call;
    int ran = 0;
    begin();
    memset(&call, 0, sizeof(call));
    for (int i = 0; i < 10; i++) {
        make_own(&ran);
    }
    nested_left = 5;
    nested_ran = 0;
    ck_assert(dw_reactor_call_from_thread(reactor, &call, nest, &call));
    dw_reactor_free(reactor);
    ck_assert_int_eq(ran, 10);
    ck_assert_int_eq(nested_ran, 5);
}
END_TEST

static void count_line(void *user, const char *line) {
    ck_assert_ptr_nonnull(strstr(line, "thread call"));
    ++*(int *)user;
}

START_TEST(a_call_that_makes_itself_for_ever_does_not_keep_a_reactor_from_its_end) {
    static dw_thread_call call;
    int lines = 0;
    begin();
    memset(&call, 0, sizeof(call));
    dw_reactor_set_log(reactor, count_line, &lines);
    nested_left = INT32_MAX;
    ck_assert(dw_reactor_call_from_thread(reactor, &call, nest, &call));
    dw_reactor_free(reactor);
    ck_assert_int_eq(lines, 1);
}
END_TEST

/* ---- Crash ---- */

static char said[200];

static void say(void *word) {
    size_t used = strlen(said);
    snprintf(said + used, sizeof(said) - used, "%s%s", used > 0 ? " " : "", (const char *)word);
}

static void *text(const char *literal) {
    return (void *)(uintptr_t)literal;
}

static void crash(void *word) {
    say(word);
    ck_assert_int_eq(dw_reactor_crash(reactor), 0);
    say(text(dw_reactor_running(reactor) ? "running" : "stopped"));
    ck_assert_int_eq(dw_reactor_crash(reactor), DW_NOT_RUNNING);
    ck_assert_int_eq(dw_reactor_stop(reactor), DW_NOT_RUNNING);
}

static void stop_and_say(void *word) {
    say(word);
    stop_reactor(reactor);
}

/* Twisted: crash rest | the next run: later BEFORE. What was armed for later stays armed. */
START_TEST(crash_leaves_the_loop_without_the_shutdown_and_all_goes_on_in_the_next_run) {
    dw_delayed_call calls[4];
    dw_trigger before = {.fn_ = NULL};
    begin();
    memset(calls, 0, sizeof(calls));
    said[0] = '\0';
    ck_assert_int_eq(dw_reactor_crash(reactor), DW_NOT_RUNNING);
    dw_reactor_add_trigger(reactor, &before, DW_BEFORE_SHUTDOWN, say, text("BEFORE"));
    dw_reactor_call_later(reactor, &calls[0], 0, crash, text("crash"));
    dw_reactor_call_later(reactor, &calls[1], 0, say, text("rest"));
    dw_reactor_call_later(reactor, &calls[2], DW_MSEC(5), say, text("later"));
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_str_eq(said, "crash stopped rest");
    dw_reactor_call_later(reactor, &calls[3], DW_MSEC(10), stop_and_say, text("stop"));
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_str_eq(said, "crash stopped rest later stop BEFORE");
    dw_reactor_free(reactor);
}
END_TEST

static dw_trigger holder;

static void hold_and_crash(void *word) {
    dw_trigger_hold(&holder);
    say(word);
    ck_assert_int_eq(dw_reactor_crash(reactor), 0);
}

START_TEST(crash_does_not_wait_for_a_trigger_that_holds) {
    dw_delayed_call call = {.fn_ = NULL};
    dw_trigger during = {.fn_ = NULL};
    begin();
    said[0] = '\0';
    memset(&holder, 0, sizeof(holder));
    dw_reactor_add_trigger(reactor, &holder, DW_BEFORE_SHUTDOWN, hold_and_crash, text("hold"));
    dw_reactor_add_trigger(reactor, &during, DW_DURING_SHUTDOWN, say, text("during"));
    dw_reactor_call_later(reactor, &call, 0, stop_and_say, text("stop"));
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_str_eq(said, "stop hold");
    dw_reactor_free(reactor);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *calls = tcase_create("calls");
    tcase_set_timeout(calls, 60);
    tcase_add_test(calls, calls_of_eight_threads_each_keep_their_order);
    tcase_add_test(calls, one_call_serves_many_threads_as_a_bell);
    tcase_add_test(calls, what_a_thread_wrote_before_the_call_is_seen);
    tcase_add_test(calls, a_thread_stops_a_reactor_that_has_nothing_to_do);
    tcase_add_test(calls, many_calls_write_to_the_wake_pipe_once);
    tcase_add_test(calls, a_signal_handler_may_make_a_call_and_errno_is_kept);
    tcase_add_test(calls, a_call_may_free_itself);
    tcase_add_test(calls, calls_made_while_the_reactor_does_not_run_wait_for_its_next_run);
    tcase_add_test(calls, calls_that_are_left_run_when_the_reactor_is_freed);
    tcase_add_test(calls, a_call_that_makes_itself_for_ever_does_not_keep_a_reactor_from_its_end);
    suite_add_tcase(suite, calls);
    TCase *crashes = tcase_create("crash");
    tcase_add_test(crashes,
                   crash_leaves_the_loop_without_the_shutdown_and_all_goes_on_in_the_next_run);
    tcase_add_test(crashes, crash_does_not_wait_for_a_trigger_that_holds);
    suite_add_tcase(suite, crashes);
    return suite;
}

int main(void) {
    return run_on_each_poller("thread calls", suite);
}
