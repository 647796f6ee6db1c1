/* SPDX-License-Identifier: MIT */
/*
 * The heap of delayed calls; timer_heap.h says how it works. With many calls it is the wait for
 * memory that costs, and a node that moves tells its call where it is: so nodes are small and the
 * heap is flat.
 */
#include "timer_heap.h"

enum { ARITY = 8, ROOM_FIRST = 16 };

typedef struct dw_timer_node node;

const char dw_where_timers[] = "the heap of delayed calls";

static inline uint64_t sequence_of(const node *n) {
    const dw_delayed_call *call = timer_node_call(n);
    return call != NULL ? call->sequence_ : n->owner >> 1;
}

static inline bool node_before(const node *a, const node *b) {
    return a->due < b->due || (a->due == b->due && sequence_of(a) < sequence_of(b));
}

static inline void put(struct dw_timers *timers, uint32_t place, node moved) {
    dw_delayed_call *call = timer_node_call(&moved);
    timers->heap[place] = moved;
    if (call != NULL) {
        call->place_ = place;
    }
}

static void heap_up(struct dw_timers *timers, uint32_t place, node moved) {
    while (place > 0) {
        uint32_t parent = (place - 1) / ARITY;
        if (!node_before(&moved, &timers->heap[parent])) {
            break;
        }
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, moved);
}

static uint32_t least_of(const node *heap, uint32_t first, uint32_t last) {
    uint32_t least = first;
    for (uint32_t i = first + 1; i < last; i++) {
        if (node_before(&heap[i], &heap[least])) {
            least = i;
        }
    }
    return least;
}

/* Which one is as good as random, so it is found without a branch, unless two are due at once. */
static inline uint32_t least_of_all(const node *heap, uint32_t first) {
    const node *n = heap + first;
    uint32_t least = 0;
    dw_time due = n[0].due;
    for (uint32_t i = 1; i < ARITY; i++) {
        least = n[i].due < due ? i : least;
        due = n[i].due < due ? n[i].due : due;
    }
    int equal = 0;
    for (uint32_t i = 0; i < ARITY; i++) {
        equal += n[i].due == due;
    }
    return equal == 1 ? first + least : least_of(heap, first, first + ARITY);
}

static void heap_down(struct dw_timers *timers, uint32_t place, node moved) {
    const node *heap = timers->heap;
    uint32_t count = timers->ordered;
    for (;;) {
        uint32_t child = place * ARITY + 1;
        if (child >= count) {
            break;
        }
        uint32_t least =
            child + ARITY <= count ? least_of_all(heap, child) : least_of(heap, child, count);
        if (!node_before(&heap[least], &moved)) {
            break;
        }
        put(timers, place, heap[least]);
        place = least;
    }
    put(timers, place, moved);
}

/* All become a heap at once: Floyd, "Algorithm 245: Treesort 3" (1964). */
static void heap_make(struct dw_timers *timers) {
    uint32_t place = timers->count > 1 ? (timers->count - 2) / ARITY + 1 : 0;
    timers->ordered = timers->count;
    while (place-- > 0) {
        heap_down(timers, place, timers->heap[place]);
    }
}

static void heap_drop_first(struct dw_timers *timers) {
    timers->dead--;
    timers->ordered = --timers->count;
    if (timers->count > 0) {
        heap_down(timers, 0, timers->heap[timers->count]);
    }
}

dw_delayed_call *dw_timer_heap_first(struct dw_timers *timers) {
    if (timers->ordered < timers->count) {
        heap_make(timers);
    }
    while (timers->count > 0) {
        dw_delayed_call *call = timer_node_call(&timers->heap[0]);
        if (call != NULL) {
            return call;
        }
        heap_drop_first(timers);
    }
    return NULL;
}

static inline node node_of(const dw_delayed_call *call) {
    return (node){call->due_, (uint64_t)(uintptr_t)call};
}

void dw_timer_heap_move(struct dw_timers *timers, dw_delayed_call *call, bool later) {
    uint32_t place = call->place_;
    if (place >= timers->ordered) {
        timers->heap[place] = node_of(call);
    } else if (later) {
        heap_down(timers, place, node_of(call));
    } else {
        heap_up(timers, place, node_of(call));
    }
}

/* ---- Its memory ---- */

void dw_timer_heap_free(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    dw_free(reactor, timers->heap);
    timers->heap = NULL;
    timers->count = timers->ordered = timers->dead = timers->room = 0;
}

/* Live nodes from behind take the places of dead ones. */
void dw_timer_heap_clear_up(struct dw_timers *timers) {
    uint32_t place = 0;
    while (place < timers->count) {
        node *its = &timers->heap[place];
        if (timer_node_call(its) != NULL) {
            place++;
        } else if (--timers->count > place) {
            put(timers, place, timers->heap[timers->count]);
        }
    }
    timers->dead = 0;
    timers->ordered = 0;
}

/* Makes room for one more. Clears up first where that pays: where it is soon done, or makes room
 * for many. */
DW_SELDOM static bool grow(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    if (timers->dead > 0 &&
        (timers->room <= DW_TIMERS_DEAD_MIN || timers->dead >= timers->room / 8)) {
        dw_timer_heap_clear_up(timers);
        return true;
    }
    uint32_t room = timers->room > 0 ? timers->room * 2 : ROOM_FIRST;
    node *heap = room > timers->room
                     ? dw_resize_at(reactor, timers->heap, room * sizeof(*heap), dw_where_timers)
                     : NULL;
    if (heap == NULL) {
        dw_timer_heap_clear_up(timers);
        return timers->count < timers->room;
    }
    timers->heap = heap;
    timers->room = room;
    return true;
}

bool dw_timer_heap_add(dw_reactor *reactor, dw_delayed_call *call) {
    struct dw_timers *timers = &reactor->timers;
    if (timers->count == timers->room && !grow(reactor)) {
        return false;
    }
    uint32_t place = timers->count++;
    if (timers->ordered == place) {
        timers->ordered++;
        heap_up(timers, place, node_of(call));
    } else {
        put(timers, place, node_of(call));
    }
    return true;
}
