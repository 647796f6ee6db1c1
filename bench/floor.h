/* SPDX-License-Identifier: MIT */
/*
 * The floor that the dry wire is measured against: the smallest discrete-event loop there is. One
 * queue, one callback, one copy of 64 bytes for each delivery; no connections, no hosts, no
 * choices, no hash. What sim_echo and sim_tiny take above this is what the semantics cost.
 */
#ifndef DRYWIRE_BENCH_FLOOR_H
#define DRYWIRE_BENCH_FLOOR_H

#include <stdbool.h>
#include <stdint.h>

typedef enum floor_queue { FLOOR_CALENDAR, FLOOR_WHEEL } floor_queue;

/* `clients` clients that send `messages` messages each over links of 1 ms and wait for each echo.
 * `rate`: out of 2^32, how often a message is late; as late as SIM_LATENCY's are (1 ms to 8 s). */
typedef struct floor_load {
    unsigned clients, messages;
    uint32_t rate;
    uint64_t seed;
} floor_load;

/* A loop that is used again for run after run: its memory stays. NULL without memory. */
typedef struct floor_loop floor_loop;
floor_loop *floor_new(floor_queue queue, unsigned clients_max);
void floor_free(floor_loop *loop);

/* One run. Returns the messages that came back, and when the last one did. */
uint64_t floor_run(floor_loop *loop, const floor_load *load, int64_t *virtual_ns);

#endif
