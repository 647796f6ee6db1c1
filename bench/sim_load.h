/* SPDX-License-Identifier: MIT */
/*
 * The world of sim_echo, for the programs that time it: a server, and clients on as many hosts as
 * their ports make necessary.
 */
#ifndef DRYWIRE_BENCH_SIM_LOAD_H
#define DRYWIRE_BENCH_SIM_LOAD_H

#include "echo_load.h"

#include <drywire/sim.h>

#include <stdio.h>

/* Below the number of ephemeral ports that Linux gives out (ip_local_port_range). */
enum { CLIENTS_PER_HOST = 25000 };

static inline void sim_load_run(dw_world *world, unsigned clients, unsigned messages,
                                echo_totals *totals) {
    dw_world_add_host(world, "server", echo_server_boot, NULL);
    for (unsigned done = 0, part; done < clients; done += part) {
        char name[32];
        part = clients - done < CLIENTS_PER_HOST ? clients - done : CLIENTS_PER_HOST;
        snprintf(name, sizeof(name), "clients-%u", done / CLIENTS_PER_HOST + 1);
        dw_host *host = dw_world_add_host(world, name, NULL, NULL);
        echo_load_start(dw_host_reactor(host), "10.0.0.1", part, messages, totals);
    }
    dw_world_run_until_idle(world, DW_HOUR(24));
}

#endif
