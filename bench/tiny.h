/* SPDX-License-Identifier: MIT */
/*
 * The world of sim_tiny, for the programs that time it: one server, and three clients with 20
 * messages each. A world that is built, run and torn down in microseconds.
 */
#ifndef DRYWIRE_BENCH_TINY_H
#define DRYWIRE_BENCH_TINY_H

#include "echo_load.h"

#include <drywire/sim.h>

enum { TINY_CLIENTS = 3, TINY_MESSAGES = 20 };

/* The scenario; returns how many messages came back. */
static inline uint64_t tiny_echo(dw_world *world) {
    static const char *const names[TINY_CLIENTS] = {"client-1", "client-2", "client-3"};
    echo_totals totals = {0};
    dw_world_add_host(world, "server", echo_server_boot, NULL);
    for (int i = 0; i < TINY_CLIENTS; i++) {
        dw_host *host = dw_world_add_host(world, names[i], NULL, NULL);
        echo_load_start(dw_host_reactor(host), "10.0.0.1", 1, TINY_MESSAGES, &totals);
    }
    dw_world_run_until_idle(world, DW_HOUR(1));
    return totals.echoed;
}

#endif
