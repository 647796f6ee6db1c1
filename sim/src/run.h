/* SPDX-License-Identifier: MIT */
/*
 * One run of one scenario: the only way in from everything that searches (seeds, sweeps, shrink,
 * replay) to the world. A run is a pure function of scenario and source.
 */
#ifndef DRYWIRE_SIM_RUN_H
#define DRYWIRE_SIM_RUN_H

#include "deviation.h"
#include "drywire/assertion.h"
#include "drywire/scenario.h"

#include <stdio.h>

/* Where the choices come from. */
typedef enum sim_source_kind { SIM_CALM, SIM_SEED, SIM_LIST } sim_source_kind;

typedef struct sim_source {
    sim_source_kind kind;
    uint64_t seed;        /* SIM_SEED */
    const sim_list *list; /* SIM_LIST; borrowed for the run */
    uint32_t kinds;       /* SIM_SEED: bit per sim_kind that may deviate; 0 = all */
} sim_source;

/* One draw that was offered: recorded when asked for, to plan sweeps. `options` is the number of
 * answers, 0 included; for kinds that are times, 0. */
typedef struct sim_offer {
    sim_deviation at; /* value unused */
    uint64_t options;
    uint64_t same; /* bit per answer below 64: the run is equal to one without this deviation */
} sim_offer;

typedef struct sim_offers {
    sim_offer *items;
    size_t count, room;
} sim_offers;

void sim_offers_free(sim_offers *offers);

/* What a run is asked to keep. Zero: nothing but the outcome. */
typedef struct sim_run_options {
    bool trace;         /* keep the trace, for timeline and comparison */
    sim_offers *offers; /* not NULL: append each draw offered, of the kinds in offer_kinds */
    uint32_t offer_kinds;
    /* Not NULL: called with each deviation as it is taken, before it takes effect: what a parent
     * process still knows when this one dies. */
    void (*on_deviation)(void *user, const sim_deviation *deviation);
    void *on_deviation_user;
    /* Counters to add to, by place in the catalogue: [0] asked and true, [1] asked. May be NULL. */
    uint64_t (*assertion_counts)[2];
    uint64_t *kind_counts; /* SIM_KIND_COUNT deviations taken, to add to. May be NULL. */
    bool nameless; /* sim_runner_taken() stays empty: nobody asks, and names cost in every run */
} sim_run_options;

typedef struct sim_outcome {
    bool failed;
    char oracle[32]; /* "always", "leak", "livelock", "contract", "dead-transport", "crash", ... */
    char message[400]; /* one line, the same for the same bug */
    char where[160];   /* file:line, host or protocol; part of the bug's identity */
    uint64_t hash;     /* over every event and every deviation */
    uint64_t events;
    dw_time virtual_time;
    uint64_t deviations; /* how many were taken */
} sim_outcome;

/* The trace of a traced run. */
typedef struct sim_trace sim_trace;

/* A workshop that is used again for run after run: arenas stay. NULL without memory. */
typedef struct sim_runner sim_runner;
sim_runner *sim_runner_new(void);
void sim_runner_free(sim_runner *runner);

/* Runs. Fills `outcome`, and with options->trace keeps the trace until the next run. */
void sim_run(sim_runner *runner, const dw_scenario *scenario, const sim_source *source,
             const sim_run_options *options, sim_outcome *outcome);

/* The deviations that the last run took, in the order taken, unless it was nameless: good until the
 * next run. */
const sim_list *sim_runner_taken(sim_runner *runner);

/* The trace of the last run, or NULL. */
const sim_trace *sim_runner_trace(sim_runner *runner);

/* Number of lines, and one line of the timeline, without a newline; `colour` as on a terminal. Good
 * until the next call. `event_hash` is the rolling hash up to and with that line. */
size_t sim_trace_count(const sim_trace *trace);
const char *sim_trace_line(const sim_trace *trace, size_t i, bool colour);
uint64_t sim_trace_hash(const sim_trace *trace, size_t i);
/* Whether the line is a deviation or the finding: what a shortened timeline must show. */
bool sim_trace_marked(const sim_trace *trace, size_t i);

/* All assertions of the program, in the order of the catalogue; sets their `index`. */
size_t sim_assertions(dw_assertion *const **out);

#endif
