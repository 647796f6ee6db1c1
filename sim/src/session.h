/* SPDX-License-Identifier: MIT */
/*
 * One call of dw_main: what was asked, what has come of it so far, and the words and exit status
 * that follow. Its verbs are spread over search.c (seeds and sweeps), single.c (one run), merge.c
 * (results of shards) and runner.c.
 */
#ifndef DRYWIRE_SIM_SESSION_H
#define DRYWIRE_SIM_SESSION_H

#include "case.h"
#include "config.h"
#include "options.h"
#include "record.h"
#include "report.h"
#include "workers.h"

enum {
    SIM_EXIT_HELD = 0,
    SIM_EXIT_FAILED = 1,
    SIM_EXIT_USAGE = 2,
    SIM_EXIT_OUT_OF_TIME = 124,
    SIM_EXIT_NOT_DETERMINISTIC = 125,
    SIM_EXIT_INTERRUPTED = 130,
};

typedef struct sim_session {
    sim_options o;
    const dw_scenario *scenarios;
    dw_scenario *in_weather; /* a copy of the program's, each in its weather; NULL: as they are */
    size_t count;
    sim_report report;
    sim_config config;
    sim_records records; /* of the scenarios searched */
    FILE *terminal;      /* with --tap: where TAP goes; report.out is then kept back for comments */
    size_t tap_number;   /* of the last line */
    sim_tally sum;
    uint64_t points[SIM_KIND_COUNT]; /* of a sweep, over all scenarios */
    dw_time deadline;
    size_t scenarios_left;
    bool left_out;  /* some scenario was not asked for */
    bool cut_short; /* some scenario was not played to its end */
    bool failed, differs, out_of_time, error;
} sim_session;

/* One line on standard error; returns SIM_EXIT_USAGE. */
int sim_session_complain(const sim_session *s, const char *what);

/* The system gave no process, memory or file: errno says why. */
void sim_session_error(sim_session *s, const char *doing);

/* The exit status of what has come so far. */
int sim_session_status(const sim_session *s);

/* Makes a case of a failure and tells it. */
sim_case_end sim_session_tell_case(sim_session *s, const sim_case_plan *plan, const char *origin,
                                   uint64_t times);

/* The head of a report of a run that is not deterministic; `why` may be NULL. */
void sim_session_tell_differs(sim_session *s, const char *name, const char *origin,
                              const char *why);

/* The kinds that the scenario's seeds may use, 0 = all: drywire.conf's, or its own. */
uint32_t sim_session_kinds(const sim_session *s, size_t which);

/* With --tap: what was told since the last time goes out as comments, then the record's line. */
void sim_session_tap(sim_session *s, const sim_record *record);
/* The last of it. */
void sim_session_tap_end(sim_session *s);

/* Writes the files that were asked for: JUnit, results. */
void sim_session_write_files(sim_session *s);

/* What the modes do; each returns the exit status. */
int sim_session_search(sim_session *s);
int sim_session_merge(sim_session *s);
int sim_session_seed(sim_session *s);
int sim_session_replay(sim_session *s);
int sim_session_shrink_file(sim_session *s);

#endif
