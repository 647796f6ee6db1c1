/* SPDX-License-Identifier: MIT */
/*
 * Threads on the dry wire: there is one. A call "from a thread" made on it is an event of its host
 * like any other; one made on another thread would come whenever that thread happened to run, and
 * the run would be no function of its inputs any more. That is a broken contract, and as nothing of
 * the world may be touched from there, not even to report it, the process ends with a message.
 *
 * Called by core through the wire's table (sim_wake_from_thread) and when a world begins.
 */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

/* Its address is this thread's name. */
static _Thread_local char me;

void sim_world_own_thread(dw_world *world) {
    world->thread = &me;
}

void sim_wake_from_thread(dw_reactor *reactor) {
    dw_world *world = host_of(reactor)->world;
    if (world->thread != &me) {
        fprintf(stderr,
                "drywire: broken contract: dw_reactor_call_from_thread on a simulated host, from a "
                "thread that is not the world's; work that threads do belongs on the live wire\n");
        abort();
    }
    sim_wake(reactor, world->now);
}
