/* SPDX-License-Identifier: MIT */
/*
 * A case: one failure made ready for a person. Confirmed in a fresh process, its list of deviations
 * shrunk, its timeline kept, its run file written.
 */
#ifndef DRYWIRE_SIM_CASE_H
#define DRYWIRE_SIM_CASE_H

#include "runfile.h"
#include "shrink.h"
#include "trial.h"

enum {
    SIM_CASE_PATH = 1024,
    SIM_CASE_HANG_S = 1,         /* time limit of an attempt while a hang is being shrunk */
    SIM_CASE_HANG_ATTEMPTS = 60, /* each that still hangs costs that long */
};

typedef struct sim_case_plan {
    const dw_scenario *scenario;
    sim_source source;           /* that showed it */
    const sim_outcome *expected; /* what it showed */
    const char *path;            /* the run file to write; NULL: none */
    bool no_shrink, colour;
} sim_case_plan;

typedef enum sim_case_end {
    SIM_CASE_READY,
    SIM_CASE_DIFFERS, /* it does not show again, or not from its list: `error` says what happened */
    SIM_CASE_ERROR,   /* the system gave no process, memory or file: `error` says why */
} sim_case_end;

/* Zero-initialise; free with sim_case_free whatever the end. */
typedef struct sim_case {
    sim_outcome outcome;
    sim_list list;
    size_t list_before; /* shrinking */
    bool shrunk, list_cut;
    sim_shrink_end shrink_end;
    sim_shrink_stats shrink_stats;
    sim_timeline timeline;
    char *output; /* what the program printed in that run; never NULL when ready */
    bool written;
    char error[SIM_RUNFILE_ERROR + 512];
} sim_case;

sim_case_end sim_case_build(sim_case *c, const sim_case_plan *plan);
void sim_case_free(sim_case *c);

/* Writes DIR/NAME-SUFFIX.run, in a weather DIR/NAME-WEATHER-SUFFIX.run, with whatever would make a
 * bad file name in NAME turned into '-'. */
void sim_case_path(char path[SIM_CASE_PATH], const char *directory, const dw_scenario *scenario,
                   const char *suffix);

#endif
