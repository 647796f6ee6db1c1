/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a libc call that a host's program has made (oracle_libc.c finds it): a finding,
 * or a line in the timeline, by the scenario's setting.
 */
#include "oracle.h"
#include "trace.h"

void sim_call_judged(dw_host *host, const char *name, const char *instead) {
    dw_world *world = host->world;
    const char *who = sim_world_whom(world);
    if (world->scenario->libc_calls == DW_LIBC_FAIL) {
        sim_world_finding(world, "libc", who,
                          "%s: the program called %s(), which depends on more than the run; %s",
                          host->name, name, instead);
    } else if (world->trace != NULL) {
        sim_trace_add(world, ' ', host->name, "warning: %s called %s(); %s", who, name, instead);
    }
}
