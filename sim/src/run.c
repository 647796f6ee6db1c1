/* SPDX-License-Identifier: MIT */
/*
 * One run: an empty world, the scenario, the orderly end of every host, the check of what is left
 * over. See run.h.
 */
#include "run.h"
#include "drywire/network.h"
#include "oracle.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

struct sim_runner {
    dw_world world;
    sim_trace *trace;
    bool traced;
};

sim_runner *sim_runner_new(void) {
    sim_runner *runner = calloc(1, sizeof(*runner));
    if (runner == NULL) {
        return NULL;
    }
    sim_judge_call = sim_call_judged;
    runner->world.scratch = malloc(DW_RECV_MAX);
    runner->trace = sim_trace_new();
    if (runner->world.scratch == NULL || runner->trace == NULL) {
        sim_runner_free(runner);
        return NULL;
    }
    return runner;
}

void sim_runner_free(sim_runner *runner) {
    if (runner == NULL) {
        return;
    }
    dw_world *world = &runner->world;
    sim_memory_free(world);
    sim_queue_free(&world->queue);
    sim_choices_free(&world->choices);
    free(world->host_table);
    free(world->payers);
    sim_replay_free();
    free(world->scratch);
    sim_trace_free(runner->trace);
    free(runner);
}

/* No packet arrives any more, so nothing is drawn about packets. */
static void end_hosts(dw_world *world, bool check_leaks) {
    world->choices.active &= 1u << SIM_ALLOC | 1u << SIM_USER;
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        sim_host_end(host, check_leaks && !world->failed);
    }
}

void sim_run(sim_runner *runner, const dw_scenario *scenario, const sim_source *source,
             const sim_run_options *options, sim_outcome *outcome) {
    dw_world *world = &runner->world;
    sim_world_reset(world);
    memset(outcome, 0, sizeof(*outcome));
    world->scenario = scenario;
    world->options = options;
    world->outcome = outcome;
    world->stuck_max = scenario->stuck_max > 0 ? scenario->stuck_max : world->stuck_max;
    world->events_max = scenario->events_max > 0 ? scenario->events_max : world->events_max;
    sim_trace_clear(runner->trace);
    world->trace = options->trace ? runner->trace : NULL;
    runner->traced = options->trace;
    sim_choices_begin(world, source, options);
    world->memory_max = scenario->memory_max > 0 ? scenario->memory_max : world->memory_max;
    world->unsent_max = scenario->unsent_max > 0 ? scenario->unsent_max : world->unsent_max;
    if (sim_world_is_off(world, "memory")) {
        world->memory_max = world->unsent_max = SIZE_MAX;
    }
    sim_world_pass_time(world, 0);
    if (scenario->weather != NULL && !dw_world_set_weather(world, scenario->weather)) {
        sim_world_finding(world, "contract", scenario->name, "there is no weather '%s'",
                          scenario->weather);
    }
    scenario->run(world);
    sim_watch_finish(world);
    sim_promises_try(world);
    end_hosts(world, !scenario->leaks_ok);
    sim_leaks_children(world);
    outcome->hash = world->hash;
    outcome->events = world->events;
    outcome->virtual_time = world->now;
}

const sim_list *sim_runner_taken(sim_runner *runner) {
    return &runner->world.choices.taken;
}

const sim_trace *sim_runner_trace(sim_runner *runner) {
    return runner->traced ? runner->trace : NULL;
}
