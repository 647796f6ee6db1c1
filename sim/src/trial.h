/* SPDX-License-Identifier: MIT */
/*
 * A trial: single runs of one scenario in a child process that plays them on request. Whatever
 * happens in there (a crash, a hang, exit()), the caller gets an outcome, the deviations that were
 * taken, and the timeline up to that point. For replay, shrink, and the confirmation of what
 * workers found.
 */
#ifndef DRYWIRE_SIM_TRIAL_H
#define DRYWIRE_SIM_TRIAL_H

#include "run.h"

typedef enum sim_trial_mode {
    SIM_TRIAL_STAYS,     /* one child plays run after run; a new one when it died */
    SIM_TRIAL_FRESH,     /* a new child for each run */
    SIM_TRIAL_IN_PROCESS /* no child: for debuggers */
} sim_trial_mode;

/* Asked of one run. */
typedef struct sim_request {
    sim_source source;
    bool timeline, colour;
    uint32_t offer_kinds; /* not 0: record the draws offered, of these kinds; not with timeline */
    unsigned hang_s;      /* 0: the scenario's own limit */
} sim_request;

/* The timeline of a run that may be over and gone. */
typedef struct sim_timeline {
    struct sim_line {
        const char *text;
        uint64_t hash;
        bool marked;
    } * lines;
    size_t count;
    char *store;
} sim_timeline;

typedef struct sim_trial sim_trial;

/* Returns a new one, or NULL without memory or files (errno). Borrows the scenario. */
sim_trial *sim_trial_new(const dw_scenario *scenario, sim_trial_mode mode);
void sim_trial_free(sim_trial *trial);

/* Plays one run. False only when the system gives no process or memory (errno), or the list is
 * longer than SIM_RUNFILE_LIST_MAX (E2BIG). */
bool sim_trial_run(sim_trial *trial, const sim_request *request, sim_outcome *outcome);

/* The next run gets a fresh process. */
void sim_trial_renew(sim_trial *trial);

/* Of the last run; good until the next one. Deviations in the order taken; `taken_all` is false
 * when there were more than are kept. Output is what the program printed. */
const sim_list *sim_trial_taken(const sim_trial *trial);
bool sim_trial_taken_all(const sim_trial *trial);
const char *sim_trial_output(const sim_trial *trial);
const sim_timeline *sim_trial_timeline(const sim_trial *trial);
const sim_offers *sim_trial_offers(const sim_trial *trial);

/* Gives the last run's timeline away; the caller frees it. */
sim_timeline sim_trial_take_timeline(sim_trial *trial);
void sim_timeline_free(sim_timeline *timeline);

/* CPU time of all runs so far, ns. */
dw_time sim_trial_cpu(const sim_trial *trial);

/* The scenario's limits with their defaults filled in. */
unsigned sim_scenario_hang_s(const dw_scenario *scenario);

#endif
