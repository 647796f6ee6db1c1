/* SPDX-License-Identifier: MIT */
/*
 * Wall clocks of hosts, which may be off, run fast or slow, and be set. The time that has passed is
 * the same for all: dw_reactor_now never notices. Called by scenarios, and as a slot of the wire.
 *
 * Invariant: at clock_since the clock was off by clock_offset, and it has drifted since.
 */
#include "hash.h"
#include "host.h"
#include "trace.h"

/* What they show when a run begins: 2026-01-01T00:00:00Z. */
#define EPOCH DW_SEC(1767225600)

#define PPB INT64_C(1000000000)

/* What was gained since clock_since: whole seconds first, so that nothing overflows. Rounds to
 * zero; the product of two remainders is below 1e18. */
static dw_time drifted(const dw_host *host) {
    dw_time passed = host->world->now - host->clock_since;
    return passed / PPB * host->clock_drift + passed % PPB * host->clock_drift / PPB;
}

static void set_offset(dw_host *host, dw_time offset) {
    host->clock_offset = offset;
    host->clock_since = host->world->now;
}

dw_time sim_wall_clock(dw_reactor *reactor) {
    const dw_host *host = host_of(reactor);
    return EPOCH + host->world->now + host->clock_offset + drifted(host);
}

void dw_host_set_clock_offset(dw_host *host, dw_time by) {
    set_offset(host, by);
}

void dw_host_set_clock_drift(dw_host *host, int64_t ppb) {
    set_offset(host, host->clock_offset + drifted(host));
    host->clock_drift = ppb > PPB ? PPB : ppb < -PPB ? -PPB : ppb;
}

void dw_host_step_clock(dw_host *host, dw_time by) {
    dw_world *world = host->world;
    set_offset(host, host->clock_offset + drifted(host) + by);
    world_mark(world, mix64((uint64_t)by) + host->index);
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', host->name, "wall clock steps by %lldus", (long long)(by / 1000));
    }
}
