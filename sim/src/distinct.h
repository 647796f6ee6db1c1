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

enum { SIM_DISTINCT_ROOM = 1 << 22 }; /* slots; three quarters of them are used at most */

typedef struct sim_distinct {
    _Atomic uint64_t count;
    _Atomic bool full;
    _Atomic uint64_t slots[];
} sim_distinct;

/* Bytes for a set of `room` hashes, a power of two; the memory must be zero. */
size_t sim_distinct_size(size_t room);
void sim_distinct_add(sim_distinct *set, size_t room, uint64_t hash);

#endif
