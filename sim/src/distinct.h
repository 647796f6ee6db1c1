/* SPDX-License-Identifier: MIT */
/*
 * How many distinct traces there were: a set of hashes in memory that all workers share. Nothing is
 * locked; a full set says so instead of lying.
 */
#ifndef DRYWIRE_SIM_DISTINCT_H
#define DRYWIRE_SIM_DISTINCT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slots; three quarters of them are used at most. */
enum { SIM_DISTINCT_ROOM_MIN = 1 << 10, SIM_DISTINCT_ROOM = 1 << 22 };

typedef struct sim_distinct {
    _Atomic uint64_t count;
    _Atomic bool full;
    _Atomic uint64_t slots[];
} sim_distinct;

/* Slots for so many hashes or for as many as are ever kept: no more, for each page of the set that
 * is touched for the first time costs as much as a tenth of a short run. */
size_t sim_distinct_room(uint64_t hashes);
/* Bytes for a set of `room` hashes, a power of two; the memory must be zero. */
size_t sim_distinct_size(size_t room);
void sim_distinct_add(sim_distinct *set, size_t room, uint64_t hash);

#endif
