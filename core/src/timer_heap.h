/* SPDX-License-Identifier: MIT */
/*
 * The delayed calls that have a delay: an 8-ary heap of nodes, 16 bytes each, by (due, sequence).
 * Called by timers.c alone.
 *
 * Invariant: a node's key is its call's, and the call's `place_` says where it is. A call that is
 * taken back leaves a dead node behind, with its key; that is dropped when it comes up, or with all
 * others when they are more than the living. Then, and then only, what is left is no heap until
 * somebody asks for the first: nodes from `ordered` on.
 */
#ifndef DRYWIRE_CORE_TIMER_HEAP_H
#define DRYWIRE_CORE_TIMER_HEAP_H

#include "internal.h"

/* So many dead nodes are no reason yet to clear up. */
enum { DW_TIMERS_DEAD_MIN = 64 };

struct dw_timer_node {
    dw_time due;
    uint64_t owner; /* the call's address; sequence << 1 | 1: dead */
};

static inline bool timer_before(dw_time due, uint64_t sequence, dw_time other_due,
                                uint64_t other_sequence) {
    return due < other_due || (due == other_due && sequence < other_sequence);
}

/* NULL: dead. */
static inline dw_delayed_call *timer_node_call(const struct dw_timer_node *node) {
    return (node->owner & 1) == 0 ? (dw_delayed_call *)(uintptr_t)node->owner : NULL;
}

/* How many calls are in it. */
static inline uint32_t timer_heap_count(const struct dw_timers *timers) {
    return timers->count - timers->dead;
}

/* Puts in a call, its due time and sequence set. False without memory. */
bool dw_timer_heap_add(dw_reactor *reactor, dw_delayed_call *call);

/* Drops all dead nodes. */
void dw_timer_heap_clear_up(struct dw_timers *timers);

static inline void timer_heap_remove(struct dw_timers *timers, const dw_delayed_call *call) {
    timers->heap[call->place_].owner = call->sequence_ << 1 | 1;
    timers->dead++;
    if (timers->dead > timers->count / 2 + DW_TIMERS_DEAD_MIN) {
        dw_timer_heap_clear_up(timers);
    }
}

/* A call that is in it has got a due time, later than before (or the same) or earlier, and a new
 * sequence. */
void dw_timer_heap_move(struct dw_timers *timers, dw_delayed_call *call, bool later);

/* Frees its memory. */
void dw_timer_heap_free(dw_reactor *reactor);

/* The call in it that is due first, or NULL. */
dw_delayed_call *dw_timer_heap_first(struct dw_timers *timers);

static inline dw_delayed_call *timer_heap_first(struct dw_timers *timers) {
    return timers->count > 0 ? dw_timer_heap_first(timers) : NULL;
}

#endif
