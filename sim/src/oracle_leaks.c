/* SPDX-License-Identifier: MIT */
/*
 * What a program that has ended in good order leaves behind, beside memory and delayed calls
 * (host.c): what its callbacks have opened anew while the reactor shut down, and child processes
 * that go on without it.
 *
 * Invariant: a child gets time to end by itself, as one does whose input has ended; so only those
 * that would have stayed are reported. A script with a user's pointer is not run and not reported:
 * what it points at may have gone with the scenario function.
 */
#include "oracle.h"
#include "process.h"

#include <stdio.h>

/* How long children have, by the world's clock, once all hosts have ended. */
#define CHILDREN_TIME DW_SEC(10)

/* A script that never sleeps could go on for ever within that time. */
enum { CHILD_EVENTS_MAX = 100000 };

static void open_stream(dw_host *host, const dw_io *io) {
    dw_io_facts facts;
    char flow[SIM_WHO_MAX];
    dw_io_look(io, &facts);
    const char *name = facts.protocol != NULL ? facts.protocol->cls->name : "";
    sim_stream_format(flow, sizeof(flow), (sim_end *)io->socket);
    sim_world_finding(host->world, "leak", name, "%s: a connection of %s is open after the end: %s",
                      host->name, name, flow);
}

/* Attempts have no protocol yet, perhaps not even a socket. */
void sim_leaks_open(dw_host *host) {
    dw_reactor_counts counts = dw_reactor_count(&host->reactor);
    const dw_io *io = NULL;
    while (counts.connections > 0 && (io = dw_reactor_next_stream(&host->reactor, io)) != NULL) {
        if (io->kind == DW_IO_STREAM && io->socket != DW_SOCKET_NONE) {
            open_stream(host, io);
            return;
        }
    }
    if (counts.connecting > 0) {
        sim_world_finding(host->world, "leak", host->name,
                          "%s: %zu attempts to connect are under way after the end", host->name,
                          counts.connecting);
    }
    if (counts.ports > 0) {
        const dw_io *port = host->listeners != NULL ? host->listeners->io : NULL;
        sim_world_finding(host->world, "leak", port != NULL ? dw_io_name(port) : host->name,
                          "%s: %zu ports are open after the end", host->name, counts.ports);
    }
}

/* ---- Children ---- */

void sim_leaks_mark_children(dw_host *host) {
    for (dw_script *script = host->scripts; script != NULL; script = script->next) {
        script->left = script->child != NULL;
    }
}

static const dw_script *one_left(const dw_world *world) {
    for (const dw_host *host = world->hosts; host != NULL; host = host->next) {
        for (const dw_script *script = host->scripts; script != NULL; script = script->next) {
            if (script->left && script->life < LIFE_EXITING && script->user == NULL) {
                return script;
            }
        }
    }
    return NULL;
}

static void perform(sim_event *event) {
    dw_script *script;
    if (event->type == EV_SCRIPT) {
        script = DW_CONTAINER_OF(event, dw_script, run);
        if (script->user == NULL) {
            sim_script_run(script);
        }
    } else if (event->type == EV_SCRIPT_SLEEP) {
        script = DW_CONTAINER_OF(event, dw_script, sleep);
        if (script->user == NULL) {
            sim_script_sleep_over(script);
        }
    }
}

/* Nothing else happens any more: the hosts are off. */
void sim_leaks_children(dw_world *world) {
    dw_time now = world->now, until = time_add(now, CHILDREN_TIME);
    const dw_script *left = one_left(world);
    for (unsigned i = 0;
         left != NULL && i < CHILD_EVENTS_MAX && sim_queue_next_at(&world->queue) <= until; i++) {
        sim_event *event = sim_queue_take(&world->queue, 0);
        world->now = event->at > world->now ? event->at : world->now;
        perform(event);
        left = one_left(world);
    }
    world->now = now;
    if (left != NULL) {
        const char *name = left->cls != NULL ? left->cls->name : left->argv[0];
        sim_world_finding(world, "leak", name, "%s: the child process %s still runs after the end",
                          left->host->name, name);
    }
}
