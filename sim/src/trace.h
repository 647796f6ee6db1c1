/* SPDX-License-Identifier: MIT */
/*
 * Writing the timeline: who does it says so where it happens; run.h has how it is read.
 */
#ifndef DRYWIRE_SIM_TRACE_H
#define DRYWIRE_SIM_TRACE_H

#include "world.h"

sim_trace *sim_trace_new(void);
void sim_trace_free(sim_trace *trace);
void sim_trace_clear(sim_trace *trace);
/* A line at the world's present time: who it is about, and what happened. `mark`: '!' deviation or
 * finding, ' ' otherwise. Only when world->trace is there. */
void sim_trace_add(dw_world *world, char mark, const char *who, const char *format, ...)
    DW_PRINTF(4, 5);
/* Bytes as a C string in quotes, at most a few dozen of them. Returns `out`. */
const char *sim_trace_bytes(char *out, size_t size, const uint8_t *data, size_t len);
/* The observer of every host's reactor. */
void sim_trace_observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                       const void *data, size_t len);

#endif
