/* SPDX-License-Identifier: MIT */
/*
 * SIGINT and SIGTERM while reactors run. Signal handlers belong to the process, reactors to
 * threads, so there is one rule for all of them: the first run that wants signals puts our handlers
 * in, the last one to return puts back what was there, and in between a signal stops every reactor
 * that runs and wants signals, on whichever thread the kernel delivers it.
 *
 * A running reactor has a seat: its wake pipe and the signal it got. The handler only touches
 * lock-free atomics and calls write(2) (signal-safety(7)).
 */
#include "live.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* How often run_end looks whether a handler on another thread is still at work; it takes
 * microseconds. */
#define SETTLE_MAX 1000000

struct seat {
    atomic_int wake;   /* descriptor + 1; 0: nobody sits here */
    atomic_int caught; /* the first signal since the seat was taken */
};

static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNAL_COUNT = sizeof(signals) / sizeof(signals[0]) };

static struct seat seats[DW_SIGNAL_SEATS_MAX];
static atomic_int handlers_at_work;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards these two; never in a handler */
static unsigned taken;
static struct sigaction before[SIGNAL_COUNT];

static void on_signal(int signal) {
    int saved = errno;
    atomic_fetch_add(&handlers_at_work, 1);
    for (int i = 0; i < DW_SIGNAL_SEATS_MAX; i++) {
        int wake = atomic_load(&seats[i].wake);
        int none = 0;
        if (wake != 0 && atomic_compare_exchange_strong(&seats[i].caught, &none, signal)) {
            (void)!write(wake - 1, "", 1);
        }
    }
    atomic_fetch_sub(&handlers_at_work, 1);
    errno = saved;
}

/* Puts back what was there, but not over a handler that the program set during the run. */
static void handlers_off(const struct dw_syscalls *sys, int count) {
    for (int i = 0; i < count; i++) {
        struct sigaction now;
        if (sys->sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == on_signal) {
            (void)sys->sigaction(signals[i], &before[i], NULL);
        }
    }
}

static int handlers_on(const struct dw_syscalls *sys) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* for what the program does in its callbacks */
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        if (sys->sigaction(signals[i], &action, &before[i]) != 0) {
            int error = -errno;
            handlers_off(sys, i);
            return error;
        }
    }
    return 0;
}

static int free_seat(void) {
    for (int i = 0; i < DW_SIGNAL_SEATS_MAX; i++) {
        if (atomic_load(&seats[i].wake) == 0) {
            return i;
        }
    }
    return -EUSERS;
}

/* Under the lock. */
static int sit_down(struct dw_live *live) {
    int seat = free_seat();
    if (seat < 0) {
        return seat;
    }
    atomic_store(&seats[seat].caught, 0);
    atomic_store(&seats[seat].wake, live->wake_write + 1);
    int error = taken == 0 ? handlers_on(live->sys) : 0;
    if (error != 0) {
        atomic_store(&seats[seat].wake, 0);
        return error;
    }
    taken++;
    live->signal_seat = seat;
    return 0;
}

int dw_live_run_begin(dw_reactor *reactor) {
    struct dw_live *live = dw_live_of(reactor);
    live->signal = 0;
    if (live->no_signals) {
        return 0;
    }
    pthread_mutex_lock(&lock);
    int error = sit_down(live);
    pthread_mutex_unlock(&lock);
    return error;
}

static void note_signal(struct dw_live *live) {
    if (live->signal_seat >= 0 && live->signal == 0) {
        live->signal = atomic_load(&seats[live->signal_seat].caught);
    }
}

void dw_signals_look(struct dw_live *live) {
    bool known = live->signal != 0;
    note_signal(live);
    if (!known && live->signal != 0) {
        (void)dw_reactor_stop(&live->base); /* DW_NOT_RUNNING: it is stopping anyway */
    }
}

/* When it returns, no handler knows this reactor's pipe any more. Handlers at work are on other
 * threads: one on this thread would have finished before we go on. */
static void stand_up(struct dw_live *live) {
    atomic_store(&seats[live->signal_seat].wake, 0);
    if (--taken == 0) {
        handlers_off(live->sys, SIGNAL_COUNT);
    }
    for (int i = 0; i < SETTLE_MAX && atomic_load(&handlers_at_work) != 0; i++) {
        sched_yield();
    }
}

void dw_live_run_end(dw_reactor *reactor) {
    struct dw_live *live = dw_live_of(reactor);
    if (live->signal_seat < 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    stand_up(live);
    note_signal(live); /* one that came during shutdown */
    live->signal_seat = -1;
    pthread_mutex_unlock(&lock);
}
