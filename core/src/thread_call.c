/* SPDX-License-Identifier: MIT */
/*
 * Calls from other threads: a stack that any thread pushes to and only the reactor's thread
 * empties, all at once, turning it round to have the calls in order. Emptying never looks at a node
 * that is still on the stack, so there is no ABA, and a push is one compare-and-swap.
 *
 * Invariant: a call is pending from the moment it is pushed until just before its function runs,
 * and whoever finds the stack empty wakes the reactor, so no wait begins over a call that waits.
 */
#include "internal.h"

#include <stdatomic.h>

/* How often dw_reactor_free looks for calls that calls have made, before it gives up on one that
 * makes itself again and again. */
#define LAST_ROUNDS_MAX 1000

static void push(dw_reactor *reactor, dw_thread_call *call) {
    dw_thread_call *head = atomic_load_explicit(&reactor->thread_calls, memory_order_relaxed);
    do {
        call->next_ = head;
    } while (!atomic_compare_exchange_weak_explicit(&reactor->thread_calls, &head, call,
                                                    memory_order_release, memory_order_relaxed));
    /* `call` may be gone by now. */
    if (head == NULL && reactor->wire->wake_from_thread != NULL) {
        reactor->wire->wake_from_thread(reactor);
    }
}

bool dw_reactor_call_from_thread_at(dw_reactor *reactor, dw_thread_call *call, dw_thread_fn fn,
                                    void *user, const char *where) {
    /* Either the run still to come acquires what we release here, or we find it not pending. */
    if (atomic_exchange_explicit(&call->pending_, 1, memory_order_acq_rel) != 0) {
        return false;
    }
    call->fn_ = fn;
    call->user_ = user;
    call->where_ = where;
    push(reactor, call);
    return true;
}

/* All that wait, the first one first. */
static dw_thread_call *take_all(dw_reactor *reactor) {
    dw_thread_call *newest =
        atomic_exchange_explicit(&reactor->thread_calls, NULL, memory_order_acquire);
    dw_thread_call *ordered = NULL;
    while (newest != NULL) {
        dw_thread_call *older = newest->next_;
        newest->next_ = ordered;
        ordered = newest;
        newest = older;
    }
    return ordered;
}

static void not_pending(dw_thread_call *call) {
    (void)atomic_exchange_explicit(&call->pending_, 0, memory_order_acq_rel);
}

static void run_call(dw_reactor *reactor, dw_thread_call *call) {
    dw_thread_fn fn = call->fn_;
    void *user = call->user_;
    const char *where = call->where_;
    not_pending(call); /* from here on it is its owner's */
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_CALL, NULL, 0, where, strlen(where));
    }
    fn(user);
    dw_reactor_flush(reactor);
}

void dw_thread_calls_run(dw_reactor *reactor) {
    if (!dw_thread_calls_waiting(reactor)) {
        return; /* an exchange costs much more than a look */
    }
    dw_thread_call *call = take_all(reactor);
    while (call != NULL) {
        dw_thread_call *next = call->next_; /* the function may free or make it again */
        run_call(reactor, call);
        call = next;
    }
}

void dw_thread_calls_run_last(dw_reactor *reactor) {
    reactor->depth++;
    for (int round = 0; round < LAST_ROUNDS_MAX && dw_thread_calls_waiting(reactor); round++) {
        dw_thread_calls_run(reactor);
    }
    reactor->depth--;
    if (dw_thread_calls_waiting(reactor)) {
        dw_reactor_log(reactor,
                       "a thread call makes itself without end; given up at the reactor's");
        dw_thread_calls_drop(reactor);
    }
}

void dw_thread_calls_drop(dw_reactor *reactor) {
    for (dw_thread_call *call = take_all(reactor); call != NULL;) {
        dw_thread_call *next = call->next_;
        not_pending(call);
        call = next;
    }
}
