/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of keys: a binary heap by (deadline, serial number of the key), and one delayed call
 * for the earliest. Invariant: heap[entry->heap_place] == entry for each key with a deadline.
 */
#include "store.h"

#define HEAP_ROOM_FIRST 16

/* Keys removed in one go; the next turn goes on, so that a sweep never keeps clients waiting. */
#define SWEEP_MAX 256

/* The delayed call looks again after this long at the latest, so no deadline overflows dw_time. */
#define SWEEP_DELAY_MAX DW_HOUR(24)

int64_t kv_store_now(const kv_store *store) {
    return dw_reactor_now(store->reactor) / DW_MSEC(1);
}

/* As Redis: gone when the clock is past the deadline. So a key lives for its full time even though
 * milliseconds are cut off. */
bool kv_entry_expired(const kv_store *store, const kv_entry *entry) {
    return entry->deadline_ms != KV_NO_DEADLINE && kv_store_now(store) > entry->deadline_ms;
}

static bool before(const kv_entry *a, const kv_entry *b) {
    if (a->deadline_ms != b->deadline_ms) {
        return a->deadline_ms < b->deadline_ms;
    }
    return a->serial < b->serial;
}

static void put(kv_store *store, uint32_t place, kv_entry *entry) {
    store->heap[place] = entry;
    entry->heap_place = place;
}

static void sift_up(kv_store *store, uint32_t place) {
    kv_entry *entry = store->heap[place];
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (!before(entry, store->heap[parent])) {
            break;
        }
        put(store, place, store->heap[parent]);
        place = parent;
    }
    put(store, place, entry);
}

static void sift_down(kv_store *store, uint32_t place) {
    kv_entry *entry = store->heap[place];
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child >= store->heap_count) {
            break;
        }
        if (child + 1 < store->heap_count && before(store->heap[child + 1], store->heap[child])) {
            child++;
        }
        if (!before(store->heap[child], entry)) {
            break;
        }
        put(store, place, store->heap[child]);
        place = child;
    }
    put(store, place, entry);
}

static void sweep(void *user);

/* Arms the delayed call for the earliest deadline, unless it comes early enough already. */
static void arm(kv_store *store) {
    if (store->heap_count == 0) {
        dw_delayed_call_cancel(&store->sweep);
        return;
    }
    int64_t deadline = store->heap[0]->deadline_ms;
    dw_time now = dw_reactor_now(store->reactor);
    dw_time delay = SWEEP_DELAY_MAX;
    if (deadline < now / DW_MSEC(1) + SWEEP_DELAY_MAX / DW_MSEC(1)) {
        delay = DW_MSEC(deadline + 1) - now;
    }
    delay = delay > 0 ? delay : 0;
    if (!dw_delayed_call_active(&store->sweep) ||
        dw_delayed_call_time(&store->sweep) > now + delay) {
        dw_reactor_call_later(store->reactor, &store->sweep, delay, sweep, store);
    }
}

static void sweep(void *user) {
    kv_store *store = user;
    for (int i = 0; i < SWEEP_MAX; i++) {
        if (store->heap_count == 0 || !kv_entry_expired(store, store->heap[0])) {
            break;
        }
        kv_store_delete(store, store->heap[0]);
    }
    arm(store);
}

int kv_expiry_reserve(kv_store *store) {
    if (store->heap_count < store->heap_room) {
        return 0;
    }
    uint32_t room = store->heap_room > 0 ? store->heap_room * 2 : HEAP_ROOM_FIRST;
    kv_entry **heap = kv_store_resize(store, store->heap, store->heap_room * sizeof(kv_entry *),
                                      room * sizeof(kv_entry *), DW_HERE);
    if (heap == NULL) {
        return DW_NO_MEMORY;
    }
    store->heap = heap;
    store->heap_room = room;
    return 0;
}

static void leave(kv_store *store, kv_entry *entry) {
    uint32_t place = entry->heap_place;
    kv_entry *last = store->heap[--store->heap_count];
    entry->heap_place = KV_NOT_IN_HEAP;
    if (last != entry) {
        put(store, place, last);
        sift_up(store, place);
        sift_down(store, last->heap_place);
    }
}

void kv_expiry_set(kv_store *store, kv_entry *entry, int64_t deadline_ms) {
    if (entry->deadline_ms == deadline_ms) {
        return;
    }
    entry->deadline_ms = deadline_ms;
    if (deadline_ms == KV_NO_DEADLINE) {
        leave(store, entry);
        if (store->heap_count == 0) {
            dw_delayed_call_cancel(&store->sweep);
        }
        return;
    }
    if (entry->heap_place == KV_NOT_IN_HEAP) {
        put(store, store->heap_count++, entry);
    }
    sift_up(store, entry->heap_place);
    sift_down(store, entry->heap_place);
    arm(store);
}

void kv_expiry_clear(kv_store *store) {
    dw_delayed_call_cancel(&store->sweep);
    kv_store_release(store, store->heap, store->heap_room * sizeof(kv_entry *));
    store->heap = NULL;
    store->heap_count = store->heap_room = 0;
}
