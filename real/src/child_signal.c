/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD, for children that have no pidfd: an old kernel, a sandbox that forbids the call, no
 * descriptor left. The handler wakes every reactor that has such a child, and then calls the
 * handler that the program had; when the last such child is gone, that one comes back.
 *
 * A reactor that has such a child has a seat. The handler only touches lock-free atomics and calls
 * write(2) (signal-safety(7)). Called by process.c.
 */
#include "live.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* How often the last to leave looks whether a handler on another thread is still at work. */
#define SETTLE_MAX 1000000

static atomic_int wakes[DW_SIGNAL_SEATS_MAX]; /* descriptor + 1; 0: nobody sits here */
static atomic_int handlers_at_work;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the first; never in a handler */
static unsigned taken;
static struct sigaction before; /* changes only while our handler is not in */

static void call_theirs(int number, siginfo_t *info, void *context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    }
}

static void on_child(int number, siginfo_t *info, void *context) {
    int saved = errno;
    atomic_fetch_add(&handlers_at_work, 1);
    for (int i = 0; i < DW_SIGNAL_SEATS_MAX; i++) {
        int wake = atomic_load(&wakes[i]);
        if (wake != 0) {
            (void)!write(wake - 1, "", 1);
        }
    }
    call_theirs(number, info, context);
    atomic_fetch_sub(&handlers_at_work, 1);
    errno = saved;
}

/* What the program asked for stays: to hear of stopped children or not, to have zombies or not. */
static int handler_on(const struct dw_syscalls *sys) {
    struct sigaction action;
    if (sys->sigaction(SIGCHLD, NULL, &before) != 0) {
        return -errno;
    }
    bool ignored = (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_IGN;
    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_child;
    action.sa_flags = SA_SIGINFO | SA_RESTART | (before.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) |
                      (ignored ? SA_NOCLDWAIT : 0);
    return sys->sigaction(SIGCHLD, &action, NULL) != 0 ? -errno : 0;
}

/* Not over a handler that the program has set meanwhile. */
static void handler_off(const struct dw_syscalls *sys) {
    struct sigaction now;
    if (sys->sigaction(SIGCHLD, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == on_child) {
        (void)sys->sigaction(SIGCHLD, &before, NULL);
    }
}

static int free_seat(void) {
    for (int i = 0; i < DW_SIGNAL_SEATS_MAX; i++) {
        if (atomic_load(&wakes[i]) == 0) {
            return i;
        }
    }
    return -EUSERS;
}

static int sit_down(struct dw_live *live) {
    int seat = free_seat();
    if (seat < 0) {
        return seat;
    }
    atomic_store(&wakes[seat], live->wake_write + 1);
    int error = taken == 0 ? handler_on(live->sys) : 0;
    if (error != 0) {
        atomic_store(&wakes[seat], 0);
        return error;
    }
    taken++;
    live->child_seat = seat + 1;
    return 0;
}

int dw_child_signal_join(struct dw_live *live) {
    if (live->child_seat != 0) {
        return 0;
    }
    pthread_mutex_lock(&lock);
    int error = sit_down(live);
    pthread_mutex_unlock(&lock);
    return error;
}

void dw_child_signal_leave(struct dw_live *live) {
    if (live->child_seat == 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    atomic_store(&wakes[live->child_seat - 1], 0);
    live->child_seat = 0;
    if (--taken == 0) {
        handler_off(live->sys);
    }
    for (int i = 0; i < SETTLE_MAX && atomic_load(&handlers_at_work) != 0; i++) {
        sched_yield();
    }
    pthread_mutex_unlock(&lock);
}
