/* SPDX-License-Identifier: MIT */
/*
 * Trying what the connections of a run have promised, when the scenario is over and its hosts are
 * still up: with the bytes they received, on private reactors, by the factories that made them.
 *
 * Invariant: nothing of this is seen in the run: no choice is drawn, no assertion counts, the hash
 * and the hosts' random bytes are as before. Called by run.c.
 */
#include "oracle.h"
#include "trace.h"

#include <stdio.h>

/* So many connections of one run are tried, beginning with a different one in each run. */
enum { TRIED_MAX = 4 };

/* What stock receivers promise without a word is tried in one of so many runs of seeds, by the
 * run's hash, since it would cost more than a small run; in the others always, for shrinking and
 * replay ask the same question again. */
enum { RECEIVERS_TRIED_EVERY = 8 };

/* ---- One connection's factory, on a private reactor ---- */

static bool connect_again(void *user, dw_test_transport *test) {
    sim_watched *w = user;
    return dw_test_transport_build(test, w->factory) != NULL;
}

/* Another host may have the same factory on its own reactor, which then still uses it. */
static bool can_be_built(const sim_watched *w) {
    const dw_host *host = w->host;
    return w->factory != NULL && w->promises != NULL && sim_replay_wanted(w->promises) &&
           host->power == POWER_UP && host->lives == w->life &&
           dw_reactor_uses_factory(&host->reactor, w->factory);
}

static void tell(sim_watched *w, const sim_breach *breach) {
    dw_world *world = w->host->world;
    for (unsigned i = 0; i < breach->detail_count && world->trace != NULL; i++) {
        sim_trace_add(world, ' ', w->name, "%s", breach->detail[i]);
    }
    sim_world_finding(world, breach->promise, w->name, "%s: %s: %s", w->host->name, w->name,
                      breach->sentence);
}

/* ---- Out of the run ---- */

typedef struct aside {
    sim_trace *trace;
    uint64_t hash, randoms;
    uint32_t active;
} aside;

static aside step_aside(dw_world *world, dw_host *host) {
    aside a = {world->trace, world->hash, host->randoms, world->choices.active};
    world->trace = NULL;
    world->choices.active = 0;
    world->trying = true;
    sim_host_enter(host);
    return a;
}

static void step_back(dw_world *world, dw_host *host, const aside *a) {
    sim_host_leave(host);
    world->trying = false;
    world->trace = a->trace;
    world->hash = a->hash;
    world->choices.active = a->active;
    host->randoms = a->randoms;
}

static bool receivers_are_due(const dw_world *world) {
    return world->choices.source.kind != SIM_SEED || world->hash % RECEIVERS_TRIED_EVERY == 0;
}

static void try_one(sim_watched *w, uint64_t salt) {
    dw_world *world = w->host->world;
    sim_input in = {w->input.bytes, w->input.len, w->ends, w->end_count};
    sim_subject subject = {connect_again, NULL, w};
    sim_breach breach;
    if (in.len == 0) {
        return;
    }
    if (receivers_are_due(world) && w->receiver.kind != RECEIVER_NONE &&
        !sim_receiver_holds(&w->receiver, &in, salt, &breach)) {
        tell(w, &breach);
        return;
    }
    if (!can_be_built(w)) {
        return;
    }
    aside a = step_aside(world, w->host);
    bool holds = sim_replay_holds(w->promises, &subject, &in, salt, &breach);
    step_back(world, w->host, &a);
    if (!holds) {
        tell(w, &breach);
    }
}

void sim_promises_try(dw_world *world) {
    size_t count = world->watch_count, first = count > 0 ? (size_t)(world->hash % count) : 0;
    size_t number = 0;
    for (sim_watched *w = world->watches; w != NULL && !world->failed; w = w->next, number++) {
        if ((number + count - first) % count < TRIED_MAX) {
            try_one(w, world->hash);
        }
    }
}
