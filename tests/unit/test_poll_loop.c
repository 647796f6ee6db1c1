/* SPDX-License-Identifier: MIT */
/*
 * The live loop, on each poller: run, stop, iterate, delayed calls in real time, and what signals
 * do to it. Signals are sent to this process by raise and setitimer; Check runs each test in a
 * process of its own.
 */
#include "test_poll_support.h"

#include <pthread.h>

static void call_stop(void *reactor) {
    dw_reactor_stop(reactor);
}

static void call_raise(void *signal) {
    raise(*(int *)signal);
}

/* ---- Run, stop, iterate ---- */

START_TEST(run_returns_after_stop_and_can_run_again) {
    dw_reactor *reactor = new_reactor();
    dw_delayed_call stop = {0};
    for (int i = 0; i < 3; i++) {
        ck_assert(!dw_reactor_running(reactor));
        dw_reactor_call_later(reactor, &stop, 0, call_stop, reactor);
        ck_assert_int_eq(dw_reactor_run(reactor), 0);
        ck_assert_int_eq(dw_poll_reactor_signal(reactor), 0);
    }
    dw_reactor_free(reactor);
}
END_TEST

struct turns {
    dw_reactor *reactor;
    int iterated, ran;
};

static void turn_inside(void *user) {
    struct turns *turns = user;
    turns->iterated = dw_reactor_iterate(turns->reactor, 0);
    turns->ran = dw_reactor_run(turns->reactor);
    dw_reactor_stop(turns->reactor);
}

START_TEST(run_and_iterate_inside_run_are_refused) {
    struct turns turns = {.reactor = new_reactor()};
    dw_delayed_call call = {0};
    dw_reactor_call_later(turns.reactor, &call, 0, turn_inside, &turns);
    ck_assert_int_eq(dw_reactor_run(turns.reactor), 0);
    ck_assert_int_eq(turns.iterated, DW_ALREADY_RUNNING);
    ck_assert_int_eq(turns.ran, DW_ALREADY_RUNNING);
    dw_reactor_free(turns.reactor);
}
END_TEST

START_TEST(iterate_without_work_waits_for_its_time_and_no_longer_than_asked) {
    dw_reactor *reactor = new_reactor();
    dw_time began = dw_reactor_now(reactor);
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(20)), 0);
    dw_time took = dw_reactor_now(reactor) - began;
    ck_assert_int_ge(took, DW_MSEC(20));
    ck_assert_int_lt(took, DW_SEC(LIMIT_S));
    dw_reactor_free(reactor);
}
END_TEST

struct order {
    dw_reactor *reactor;
    dw_delayed_call calls[4];
    char seen[8];
    int count;
    dw_time due, ran;
};

static struct order order;

static void saw(char which) {
    order.seen[order.count++] = which;
    order.ran = dw_reactor_now(order.reactor);
    if (order.count == 4) {
        dw_reactor_stop(order.reactor);
    }
}

static void saw_a(void *user) {
    (void)user;
    saw('a');
}
static void saw_b(void *user) {
    (void)user;
    saw('b');
}
static void saw_c(void *user) {
    (void)user;
    saw('c');
}
static void saw_d(void *user) {
    (void)user;
    saw('d');
}

START_TEST(delayed_calls_run_in_order_of_due_time_and_never_early) {
    memset(&order, 0, sizeof(order));
    order.reactor = new_reactor();
    dw_reactor_call_later(order.reactor, &order.calls[0], DW_MSEC(12), saw_d, NULL);
    dw_reactor_call_later(order.reactor, &order.calls[1], DW_MSEC(3), saw_b, NULL);
    dw_reactor_call_later(order.reactor, &order.calls[2], DW_MSEC(6), saw_c, NULL);
    dw_reactor_call_later(order.reactor, &order.calls[3], 0, saw_a, NULL);
    dw_time due = dw_delayed_call_time(&order.calls[0]);
    ck_assert_int_eq(dw_reactor_run(order.reactor), 0);
    ck_assert_str_eq(order.seen, "abcd");
    ck_assert_int_ge(order.ran, due);
    dw_reactor_free(order.reactor);
}
END_TEST

START_TEST(clocks_move_forward_and_tell_the_date) {
    dw_reactor *reactor = new_reactor();
    dw_time first = dw_reactor_now(reactor);
    ck_assert_int_ge(dw_reactor_now(reactor), first);
    time_t date = time(NULL);
    dw_time wall = dw_reactor_wall_clock(reactor);
    ck_assert_int_ge(wall, DW_SEC(date));
    ck_assert_int_lt(wall, DW_SEC(date + LIMIT_S));
    ck_assert_uint_eq(dw_choose(reactor, "anything", 7), 0);
    ck_assert(!dw_maybe(reactor, "anything"));
    dw_reactor_free(reactor);
}
END_TEST

static int failing_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                         const sigset_t *mask) {
    (void)fds;
    (void)count;
    (void)timeout;
    (void)mask;
    errno = ENOMEM;
    return -1;
}

#ifdef __linux__
static int failing_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
    (void)epoll;
    (void)events;
    (void)max;
    (void)timeout;
    errno = ENOMEM;
    return -1;
}
#endif

START_TEST(a_wait_that_fails_ends_run_with_its_errno) {
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.ppoll = failing_ppoll;
#ifdef __linux__
    sys.epoll_wait = failing_epoll_wait;
#endif
    dw_reactor *reactor = new_reactor_on(&sys);
    ck_assert_int_eq(dw_reactor_run(reactor), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENOMEM);
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), DW_SYSTEM_ERROR);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Signals ---- */

static volatile sig_atomic_t old_calls;

static void old_handler(int signal) {
    (void)signal;
    old_calls = old_calls + 1;
}

static void set_handler(int signal, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    old_calls = 0;
    ck_assert_int_eq(sigaction(signal, &action, NULL), 0);
}

static void (*handler_of(int signal))(int) {
    struct sigaction action;
    ck_assert_int_eq(sigaction(signal, NULL, &action), 0);
    return action.sa_handler;
}

START_TEST(sigint_and_sigterm_stop_run_and_the_old_handlers_return) {
    static const int both[] = {SIGINT, SIGTERM};
    int signal = both[_i];
    struct probe probe = {.made = 0};
    struct probes probes;
    dw_delayed_call call = {0};
    set_handler(SIGINT, old_handler);
    set_handler(SIGTERM, old_handler);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    int peer = peer_connect(listen_on(reactor, &probes, "127.0.0.1", NULL));
    ck_assert(turn_until(reactor, &probe.made, 1));
    dw_reactor_call_later(reactor, &call, DW_MSEC(1), call_raise, &signal);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(dw_poll_reactor_signal(reactor), signal);
    ck_assert_int_eq(probe.lost, 1);
    ck_assert_int_eq(probe.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(old_calls, 0);
    ck_assert(handler_of(SIGINT) == old_handler);
    ck_assert(handler_of(SIGTERM) == old_handler);
    raise(signal);
    ck_assert_int_eq(old_calls, 1);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_signal_of_an_earlier_run_does_not_stop_the_next) {
    int signal = SIGTERM;
    dw_delayed_call call = {0}, stop = {0};
    dw_reactor *reactor = new_reactor();
    dw_reactor_call_later(reactor, &call, 0, call_raise, &signal);
    dw_reactor_call_later(reactor, &stop, 0, call_stop, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(dw_poll_reactor_signal(reactor), SIGTERM);
    dw_time began = dw_reactor_now(reactor);
    dw_reactor_call_later(reactor, &stop, DW_MSEC(10), call_stop, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(dw_poll_reactor_signal(reactor), 0);
    ck_assert_int_ge(dw_reactor_now(reactor) - began, DW_MSEC(10));
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_reactor_told_to_leave_signals_alone_does) {
    int signal = SIGTERM;
    dw_poll_options options = {.no_signals = true};
    dw_delayed_call call = {0}, stop = {0};
    set_handler(SIGTERM, old_handler);
    dw_reactor *reactor = dw_live_reactor_new(poller, &options);
    ck_assert_ptr_nonnull(reactor);
    dw_reactor_call_later(reactor, &call, 0, call_raise, &signal);
    dw_reactor_call_later(reactor, &stop, DW_MSEC(5), call_stop, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(old_calls, 1);
    ck_assert_int_eq(dw_poll_reactor_signal(reactor), 0);
    dw_reactor_free(reactor);
}
END_TEST

static void take_signal_over(void *reactor) {
    set_handler(SIGTERM, SIG_IGN);
    dw_reactor_stop(reactor);
}

START_TEST(a_handler_set_during_run_stays) {
    dw_delayed_call call = {0};
    set_handler(SIGINT, old_handler);
    dw_reactor *reactor = new_reactor();
    dw_reactor_call_later(reactor, &call, 0, take_signal_over, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert(handler_of(SIGTERM) == SIG_IGN);
    ck_assert(handler_of(SIGINT) == old_handler);
    dw_reactor_free(reactor);
}
END_TEST

struct nest {
    dw_delayed_call call;
    dw_reactor *inner;
    int signal;
    bool inner_done;
};

static void run_inner(void *user) {
    struct nest *nest = user;
    dw_delayed_call call = {0};
    dw_reactor_call_later(nest->inner, &call, DW_MSEC(1), call_raise, &nest->signal);
    ck_assert_int_eq(dw_reactor_run(nest->inner), 0);
    nest->inner_done = handler_of(SIGTERM) != old_handler; /* the outer one still wants them */
}

START_TEST(a_signal_stops_nested_reactors_from_the_inside_out) {
    struct nest nest = {.inner = new_reactor(), .signal = SIGTERM};
    dw_reactor *outer = new_reactor();
    set_handler(SIGTERM, old_handler);
    dw_reactor_call_later(outer, &nest.call, 0, run_inner, &nest);
    ck_assert_int_eq(dw_reactor_run(outer), 0);
    ck_assert(nest.inner_done);
    ck_assert_int_eq(dw_poll_reactor_signal(nest.inner), SIGTERM);
    ck_assert_int_eq(dw_poll_reactor_signal(outer), SIGTERM);
    ck_assert(handler_of(SIGTERM) == old_handler);
    dw_reactor_free(nest.inner);
    dw_reactor_free(outer);
}
END_TEST

struct runner {
    pthread_t thread;
    dw_reactor *reactor;
    dw_trigger started;
    pthread_barrier_t *all_run;
    int result;
};

static void at_barrier(void *user) {
    pthread_barrier_wait(user);
}

static void *run_on_thread(void *user) {
    struct runner *runner = user;
    dw_reactor_call_when_running(runner->reactor, &runner->started, at_barrier, runner->all_run);
    runner->result = dw_reactor_run(runner->reactor);
    return NULL;
}

START_TEST(a_signal_stops_the_reactors_of_all_threads) {
    enum { THREADS = 4 };
    struct runner runners[THREADS];
    pthread_barrier_t all_run;
    memset(runners, 0, sizeof(runners));
    set_handler(SIGTERM, old_handler);
    ck_assert_int_eq(pthread_barrier_init(&all_run, NULL, THREADS + 1), 0);
    for (int i = 0; i < THREADS; i++) {
        runners[i].reactor = new_reactor();
        runners[i].all_run = &all_run;
        ck_assert_int_eq(pthread_create(&runners[i].thread, NULL, run_on_thread, &runners[i]), 0);
    }
    pthread_barrier_wait(&all_run);
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(runners[i].thread, NULL);
        ck_assert_int_eq(runners[i].result, 0);
        ck_assert_int_eq(dw_poll_reactor_signal(runners[i].reactor), SIGTERM);
        dw_reactor_free(runners[i].reactor);
    }
    ck_assert(handler_of(SIGTERM) == old_handler);
    pthread_barrier_destroy(&all_run);
}
END_TEST

struct tower {
    dw_reactor *floors[DW_SIGNAL_SEATS_MAX + 1];
    dw_delayed_call calls[DW_SIGNAL_SEATS_MAX + 1];
    int height, top_result, top_errno;
};

static struct tower tower;

static void build_tower(void *user) {
    (void)user;
    int floor = tower.height++;
    dw_reactor *reactor = tower.floors[floor];
    dw_reactor_call_later(reactor, &tower.calls[floor], 0,
                          floor < DW_SIGNAL_SEATS_MAX ? build_tower : call_stop, reactor);
    int result = dw_reactor_run(reactor);
    if (floor == DW_SIGNAL_SEATS_MAX) {
        tower.top_result = result;
        tower.top_errno = dw_reactor_errno(reactor);
    }
    if (floor > 0) {
        dw_reactor_stop(tower.floors[floor - 1]);
    }
}

START_TEST(one_run_more_than_there_are_seats_is_refused) {
    memset(&tower, 0, sizeof(tower));
    for (int i = 0; i <= DW_SIGNAL_SEATS_MAX; i++) {
        tower.floors[i] = new_reactor();
    }
    build_tower(NULL);
    ck_assert_int_eq(tower.height, DW_SIGNAL_SEATS_MAX + 1);
    ck_assert_int_eq(tower.top_result, DW_SYSTEM_ERROR);
    ck_assert_int_eq(tower.top_errno, EUSERS);
    for (int i = 0; i <= DW_SIGNAL_SEATS_MAX; i++) {
        dw_reactor_free(tower.floors[i]);
    }
}
END_TEST

static int sigactions;

static int second_sigaction_fails(int signal, const struct sigaction *action,
                                  struct sigaction *old) {
    if (++sigactions == 2) {
        errno = EINVAL;
        return -1;
    }
    return sigaction(signal, action, old);
}

START_TEST(handlers_that_cannot_be_set_end_run_and_leave_no_trace) {
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.sigaction = second_sigaction_fails;
    sigactions = 0;
    set_handler(SIGINT, old_handler);
    dw_reactor *reactor = new_reactor_on(&sys);
    ck_assert_int_eq(dw_reactor_run(reactor), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), EINVAL);
    ck_assert(handler_of(SIGINT) == old_handler);
    dw_delayed_call stop = {0};
    dw_reactor_call_later(reactor, &stop, 0, call_stop, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- A storm of signals ---- */

static void storm(bool on) {
    struct itimerval every = {.it_interval = {.tv_usec = on ? 200 : 0},
                              .it_value = {.tv_usec = on ? 200 : 0}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

struct sender {
    uint16_t port;
    size_t echoed;
};

enum { STORM_BYTES = 300000 };

static void *send_and_read_back(void *user) {
    struct sender *sender = user;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL); /* the storm is for the reactor's thread */
    int peer = peer_connect(sender->port);
    char piece[3000];
    memset(piece, 'x', sizeof(piece));
    for (size_t sent = 0; sent < STORM_BYTES; sent += sizeof(piece)) {
        if (send(peer, piece, sizeof(piece), MSG_NOSIGNAL) != (ssize_t)sizeof(piece)) {
            break;
        }
        for (size_t back = 0; back < sizeof(piece);) {
            ssize_t got = recv(peer, piece, sizeof(piece) - back, 0);
            if (got <= 0) {
                close(peer);
                return NULL;
            }
            back += (size_t)got;
            sender->echoed += (size_t)got;
        }
    }
    close(peer);
    return NULL;
}

START_TEST(a_storm_of_signals_loses_nothing_and_stops_nothing) {
    struct probe probe = {.echo = true, .stop_when_lost = true};
    struct probes probes;
    struct sender sender = {.echoed = 0};
    pthread_t thread;
    set_handler(SIGALRM, old_handler); /* without SA_RESTART: calls are interrupted */
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    sender.port = listen_on(reactor, &probes, "127.0.0.1", NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_and_read_back, &sender), 0);
    storm(true);
    int result = dw_reactor_run(reactor);
    storm(false);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result, 0);
    ck_assert_uint_eq(sender.echoed, STORM_BYTES);
    ck_assert_int_eq(probe.reason, DW_CONNECTION_DONE);
    ck_assert_int_gt(old_calls, 0);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_storm_of_signals_makes_no_delayed_call_early) {
    dw_delayed_call stop = {0};
    set_handler(SIGALRM, old_handler);
    dw_reactor *reactor = new_reactor();
    dw_reactor_call_later(reactor, &stop, DW_MSEC(30), call_stop, reactor);
    dw_time due = dw_delayed_call_time(&stop);
    storm(true);
    int result = dw_reactor_run(reactor);
    dw_time ended = dw_reactor_now(reactor);
    storm(false);
    ck_assert_int_eq(result, 0);
    ck_assert_int_ge(ended, due);
    ck_assert_int_gt(old_calls, 1);
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *loop = tcase_create("loop");
    tcase_add_test(loop, run_returns_after_stop_and_can_run_again);
    tcase_add_test(loop, run_and_iterate_inside_run_are_refused);
    tcase_add_test(loop, iterate_without_work_waits_for_its_time_and_no_longer_than_asked);
    tcase_add_test(loop, delayed_calls_run_in_order_of_due_time_and_never_early);
    tcase_add_test(loop, clocks_move_forward_and_tell_the_date);
    if (!poller_is("uring")) { /* which waits by another table; test_uring_faults.c */
        tcase_add_test(loop, a_wait_that_fails_ends_run_with_its_errno);
    }
    suite_add_tcase(suite, loop);
    TCase *signals = tcase_create("signals");
    tcase_add_loop_test(signals, sigint_and_sigterm_stop_run_and_the_old_handlers_return, 0, 2);
    tcase_add_test(signals, a_signal_of_an_earlier_run_does_not_stop_the_next);
    tcase_add_test(signals, a_reactor_told_to_leave_signals_alone_does);
    tcase_add_test(signals, a_handler_set_during_run_stays);
    tcase_add_test(signals, a_signal_stops_nested_reactors_from_the_inside_out);
    tcase_add_test(signals, a_signal_stops_the_reactors_of_all_threads);
    tcase_add_test(signals, one_run_more_than_there_are_seats_is_refused);
    tcase_add_test(signals, handlers_that_cannot_be_set_end_run_and_leave_no_trace);
    suite_add_tcase(suite, signals);
    TCase *storms = tcase_create("storms");
    tcase_add_test(storms, a_storm_of_signals_loses_nothing_and_stops_nothing);
    tcase_add_test(storms, a_storm_of_signals_makes_no_delayed_call_early);
    tcase_set_timeout(storms, 3 * LIMIT_S);
    suite_add_tcase(suite, storms);
    return suite;
}

int main(void) {
    return run_on_each_poller("poll_loop", make_suite);
}
