/* SPDX-License-Identifier: MIT */
/*
 * What the pool's parent (workers.c) and its workers (shift.c) share: the board with the next run's
 * number, and a desk for each worker. The owner of a desk writes, the parent reads.
 */
#ifndef DRYWIRE_SIM_CREW_H
#define DRYWIRE_SIM_CREW_H

#include "distinct.h"
#include "workers.h"

#include <sys/types.h>

/* A worker's slot, in shared memory. The owner writes, the parent reads. */
typedef struct desk {
    _Atomic uint64_t runs, failures, virtual_us;
    _Atomic uint64_t index; /* the run being played ... */
    _Atomic uint64_t path;  /* ... the how-manieth of those below it, from 1; 0: itself ... */
    sim_deviation more[SIM_MORE_MAX]; /* ... with these deviations besides ... */
    uint32_t more_count;
    _Atomic uint64_t pairs, pairs_fresh, pairs_played, fresh_played, cut_off;
    _Atomic int64_t started; /* ... since when; 0: between runs */
    uint64_t played;         /* runs this process has played */
    uint64_t kinds[SIM_KIND_COUNT];
    sim_found found[SIM_FOUND_MAX];
    _Atomic uint32_t found_count;
    bool found_more;
    bool differs;
    uint64_t differs_index, differs_before;
} desk;

typedef struct board {
    _Atomic uint64_t next;
    _Atomic bool stop;
} board;

/* Known to the parent alone. */
typedef struct worker {
    pid_t pid; /* 0: none */
    int pipe;  /* closes when it ends */
    int capture;
} worker;

typedef struct crew {
    const sim_plan *plan;
    const sim_pool *pool;
    sim_tally *tally;
    size_t size;
    board *board;
    desk *slots;
    sim_distinct *distinct; /* NULL: not counted */
    size_t distinct_room;
    uint64_t count;            /* runs of this shard */
    uint64_t (*assertions)[2]; /* jobs x assertion_count */
    size_t assertion_count;
    worker workers[SIM_JOBS_MAX];
    unsigned jobs, alive, deaths, hangs;
    dw_time begun;
} crew;

/* Adds to a table of distinct findings; the lowest run stays. False: the table is full. */
bool sim_crew_note(sim_found *found, size_t *count, const sim_found *one);

/* The run that the worker at this desk is in, as a finding. */
void sim_crew_present(const desk *slot, const sim_outcome *outcome, sim_found *one);

/* A worker's whole life; does not return. */
void sim_crew_work(crew *c, size_t which, pid_t parent) __attribute__((noreturn));

#endif
