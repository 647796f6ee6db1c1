/* SPDX-License-Identifier: MIT */
/*
 * The set of hashes: open addressing, a slot is taken by compare-and-swap. Called by workers.c.
 */
#include "distinct.h"

size_t sim_distinct_room(uint64_t hashes) {
    size_t room = SIM_DISTINCT_ROOM_MIN;
    while (room < SIM_DISTINCT_ROOM && room / 2 < hashes) {
        room *= 2;
    }
    return room;
}

size_t sim_distinct_size(size_t room) {
    return sizeof(sim_distinct) + room * sizeof(uint64_t);
}

void sim_distinct_add(sim_distinct *set, size_t room, uint64_t hash) {
    hash = hash != 0 ? hash : 1; /* 0 is an empty slot */
    for (size_t i = (size_t)hash & (room - 1);; i = (i + 1) & (room - 1)) {
        uint64_t there = atomic_load_explicit(&set->slots[i], memory_order_relaxed);
        if (there == hash) {
            return;
        }
        if (there != 0) {
            continue;
        }
        if (atomic_load_explicit(&set->count, memory_order_relaxed) >= room / 4 * 3) {
            atomic_store(&set->full, true);
            return;
        }
        if (atomic_compare_exchange_strong(&set->slots[i], &there, hash)) {
            atomic_fetch_add(&set->count, 1);
            return;
        }
        if (there == hash) {
            return;
        }
    }
}
