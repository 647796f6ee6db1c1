/* SPDX-License-Identifier: MIT */
/*
 * What the runner prints. A failure is told in the order in which it is read: the broken sentence,
 * how it was found, the deviations, the last of the timeline, the command that plays it again.
 */
#ifndef DRYWIRE_SIM_REPORT_H
#define DRYWIRE_SIM_REPORT_H

#include "case.h"
#include "record.h"
#include "workers.h"

enum {
    SIM_REPORT_LINES = 20,  /* of the timeline's end */
    SIM_REPORT_MARKED = 40, /* marked lines further up */
    SIM_REPORT_LIST = 40,   /* deviations */
    SIM_REPORT_OUTPUT = 40, /* lines of the program's own output */
};

typedef struct sim_report {
    FILE *out;
    bool colour;
    bool full_timeline;
    size_t lines_max; /* of the timeline's end; 0: SIM_REPORT_LINES */
} sim_report;

/* "reconnect: 10000 runs, 0 failures, 8123 runs/s, virtual/wall 412000" */
void sim_report_summary(const sim_report *r, const char *name, const sim_tally *tally,
                        uint64_t planned);

/* "reconnect: depth 2: 5000 of 812345 pairs, ...": what part of them was played. */
void sim_report_pairs(const sim_report *r, const char *name, const sim_tally *tally);

/* "reconnect: exhaustive: all 812 runs held", or what stood in its way. */
void sim_report_tree(const sim_report *r, const char *name, const sim_tally *tally, uint32_t bound);

/* One failure. `origin`: "seed 0x5eed"; `command`: what to type; either may be NULL. */
void sim_report_case(const sim_report *r, const char *name, const sim_case *c, const char *origin,
                     uint64_t times, const char *command);

/* The parts of it. */
void sim_report_sentence(const sim_report *r, const char *name, const sim_outcome *outcome);
void sim_report_list(const sim_report *r, const sim_case *c);
void sim_report_timeline(const sim_report *r, const sim_timeline *timeline);
void sim_report_output(const sim_report *r, const char *output);

/* What was never reached or never true in all runs; returns how many. `all_ran`: every scenario of
 * the program was played, so that what was not asked at all can be told, too. */
size_t sim_report_unreached(const sim_report *r, const sim_tally *sum, bool all_ran);

/* What --report adds: traces, and kinds of deviations with how often each was taken. */
void sim_report_details(const sim_report *r, const sim_record *record);

/* Every assertion of the program, and how often it held. */
void sim_report_assertions(const sim_report *r, const sim_tally *sum);

/* Writes `text` as one word of a shell command. */
void sim_report_quote(char *to, size_t size, const char *text);

#endif
