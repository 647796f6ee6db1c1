/* SPDX-License-Identifier: MIT */
/* The progress bar of a search: one line on a terminal's standard error, drawn over and over. */
#ifndef DRYWIRE_SIM_PROGRESS_H
#define DRYWIRE_SIM_PROGRESS_H

#include "workers.h"

enum { SIM_PROGRESS_LINE = 256 };

typedef struct sim_progress {
    const char *name; /* of the scenario */
    dw_time ends_in;  /* wall time that the search may take in all, 0: no limit */
    bool colour;
    bool shown;
} sim_progress;

/* The pool's callback; `user` is a sim_progress. */
void sim_progress_show(void *user, const sim_tally *so_far, uint64_t total);

/* The line's text without colour, at most `width` columns. */
void sim_progress_line(const sim_progress *progress, const sim_tally *so_far, uint64_t total,
                       size_t width, char line[SIM_PROGRESS_LINE]);

/* Takes the line off the screen. */
void sim_progress_clear(sim_progress *progress);

/* Whether a stream is a terminal, and one that wants colour (https://no-color.org: any NO_COLOR
 * that is not empty says no). */
bool sim_terminal(FILE *stream);
bool sim_terminal_colour(FILE *stream);

/* Runs per second of wall time, and virtual time per wall time, as whole numbers. */
uint64_t sim_tally_speed(const sim_tally *tally);
uint64_t sim_tally_ratio(const sim_tally *tally);

#endif
