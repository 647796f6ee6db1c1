/* SPDX-License-Identifier: MIT */
/*
 * A pool of worker processes that play the runs of a plan. What a run is depends on its number
 * alone, never on the worker; a worker that dies or hangs is a finding, and a fresh one takes its
 * place.
 */
#ifndef DRYWIRE_SIM_WORKERS_H
#define DRYWIRE_SIM_WORKERS_H

#include "run.h"
#include "sweep.h"

enum {
    SIM_JOBS_MAX = 256,
    SIM_FOUND_MAX = 32,     /* distinct findings kept per worker, and in all */
    SIM_RECHECK_EVERY = 32, /* a passing run in so many is played twice: determinism */
    SIM_DEATHS_MAX = 100,   /* so many workers may die in one search before it is given up */
    SIM_HANGS_MAX = 3,      /* each costs its whole time limit */
};

/* The runs to play, by number. */
typedef struct sim_plan {
    const dw_scenario *scenario;
    uint64_t count;
    uint64_t first_seed;    /* run i has seed first_seed + i ... */
    uint32_t kinds;         /* ... of these kinds, 0 = all; ... */
    const sim_sweep *sweep; /* ... or is point i of this sweep, when not NULL */
} sim_plan;

/* Run `index`'s source; `list` and `room` carry a sweep's single deviation. */
void sim_plan_source(const sim_plan *plan, uint64_t index, sim_deviation *room, sim_list *list,
                     sim_source *source);

typedef struct sim_found {
    sim_outcome outcome;
    uint64_t index; /* the lowest number that showed it */
    uint64_t times;
} sim_found;

typedef enum sim_workers_end {
    SIM_ALL_PLAYED,
    SIM_OUT_OF_TIME,
    SIM_INTERRUPTED,
    SIM_TOO_MANY_DEATHS,
    SIM_TOO_MANY_HANGS,
} sim_workers_end;

/* What came of it. Zero-initialise; free with sim_tally_free. */
typedef struct sim_tally {
    uint64_t runs, failures;
    uint64_t virtual_us;
    dw_time wall;
    uint64_t kinds[SIM_KIND_COUNT];
    uint64_t (*assertions)[2]; /* by dw_assertion.index; as sim_run_options.assertion_counts */
    size_t assertion_count;
    sim_found found[SIM_FOUND_MAX]; /* by index */
    size_t found_count;
    bool found_more; /* there are more distinct ones */
    bool differs;    /* a run played twice went two ways: */
    uint64_t differs_index;
    uint64_t differs_before; /* runs that process had played before */
    sim_workers_end end;
} sim_tally;

typedef struct sim_pool {
    unsigned jobs;
    dw_time deadline; /* on sim_wall_now's clock; 0: none */
    /* Called about five times per second; may be NULL. */
    void (*progress)(void *user, const sim_tally *so_far, uint64_t total);
    void *user;
} sim_pool;

/* Plays the plan. False: the system gives no process or memory (errno). */
bool sim_workers_run(const sim_plan *plan, const sim_pool *pool, sim_tally *tally);

void sim_tally_free(sim_tally *tally);

/* Adds counts of assertions and kinds, runs and failures, to a sum over scenarios. False without
 * memory. */
bool sim_tally_add(sim_tally *sum, const sim_tally *tally);

/* Ctrl-C asks every search to stop after its current runs; a second one ends the program. */
void sim_workers_catch_interrupt(void);
bool sim_workers_interrupted(void);

unsigned sim_workers_default_jobs(void);

#endif
