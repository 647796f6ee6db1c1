/* SPDX-License-Identifier: MIT */
/*
 * A pool of worker processes that play the runs of a plan. What a run is depends on its number
 * alone, never on the worker; a worker that dies or hangs is a finding, and a fresh one takes its
 * place.
 */
#ifndef DRYWIRE_SIM_WORKERS_H
#define DRYWIRE_SIM_WORKERS_H

#include "pairs.h"
#include "run.h"
#include "shard.h"
#include "sweep.h"

enum {
    SIM_JOBS_MAX = 256,
    SIM_FOUND_MAX = 32,     /* distinct findings kept per worker, and in all */
    SIM_RECHECK_EVERY = 32, /* a passing run in so many is played twice: determinism */
    SIM_DEATHS_MAX = 100,   /* so many workers may die in one search before it is given up */
    SIM_HANGS_MAX = 3,      /* each costs its whole time limit */
    SIM_MORE_MAX = 47,      /* deviations that a run of pairs or of a tree adds to its point's */
};

/* The runs to play, by number. */
typedef struct sim_plan {
    const dw_scenario *scenario;
    uint64_t count;        /* of all shards together */
    sim_shard shard;       /* the part of them to play */
    const uint64_t *known; /* run i has seed known[i] ... */
    size_t known_count;
    uint64_t first_seed;    /* ... and behind those first_seed, first_seed + 1, ... */
    uint32_t kinds;         /* ... of these kinds, 0 = all; ... */
    const sim_sweep *sweep; /* ... or is point i of this sweep, when not NULL; ... */
    const sim_calm *calm;   /* ... or, when not NULL, all pairs that begin with that point: */
    uint64_t pairs_max;     /* at most so many of them; ... */
    bool tree;              /* ... or all lists whatever that begin with that point ... */
    uint32_t bound;         /* ... and have at most so many deviations */
    uint32_t more_kinds;    /* of pairs and trees: further deviations are of these kinds */
} sim_plan;

/* The seed of run `index`, where runs are seeds. */
uint64_t sim_plan_seed(const sim_plan *plan, uint64_t index);

/* Run `index`'s source; `list` and `room` carry a sweep's single deviation. */
void sim_plan_source(const sim_plan *plan, uint64_t index, sim_deviation *room, sim_list *list,
                     sim_source *source);

typedef struct sim_found {
    sim_outcome outcome;
    uint64_t index; /* the lowest number that showed it */
    uint64_t times;
    uint64_t path; /* the how-manieth of those below it, from 1, with `more`; 0: itself */
    uint32_t more_count;
    sim_deviation more[SIM_MORE_MAX];
} sim_found;

/* The source of the run that was found; `room` is for SIM_MORE_MAX + 1 deviations. */
void sim_found_source(const sim_plan *plan, const sim_found *found, sim_deviation *room,
                      sim_list *list, sim_source *source);

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
    uint64_t differs_before;     /* runs that process had played before */
    uint64_t pairs, pairs_fresh; /* there are, and are there only because of their first */
    uint64_t pairs_played, fresh_played;
    uint64_t cut_off;   /* of a tree: runs that had further deviations beyond the bound */
    uint64_t distinct;  /* traces; 0 unless the pool was to count them */
    bool distinct_more; /* there are more */
    sim_workers_end end;
} sim_tally;

typedef struct sim_pool {
    unsigned jobs;
    dw_time deadline; /* on sim_wall_now's clock; 0: none */
    bool distinct;    /* count distinct traces */
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
