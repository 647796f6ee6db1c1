/* SPDX-License-Identifier: MIT */
/*
 * Makes a failing list of deviations minimal: take any one away and the failure is gone; lower any
 * value to the next one and it is gone too. For durations "lower" means rounder first, then shorter
 * (300ms before 251.3ms), because a person will read it. What happens on a client's third
 * connection is tried on the second and the first, too: that often spares the deviations that ended
 * those. A segment that is cut several times is cut once.
 *
 * Knows nothing of processes: whether a list still shows the same failure is asked of a function.
 */
#ifndef DRYWIRE_SIM_SHRINK_H
#define DRYWIRE_SIM_SHRINK_H

#include "deviation.h"

/* What limits the search. Zero: the default. */
typedef struct sim_shrink_budget {
    uint64_t attempts; /* runs; default SIM_SHRINK_ATTEMPTS */
    dw_time cpu;       /* of all runs; default SIM_SHRINK_CPU_S seconds */
} sim_shrink_budget;

enum { SIM_SHRINK_ATTEMPTS = 20000, SIM_SHRINK_CPU_S = 60 };

typedef struct sim_shrink_test {
    /* Runs the list, borrowed. True: it shows the same failure; then *taken may be set to the
     * deviations that really came to pass (a part of the list, in the order taken; borrowed until
     * the next call). */
    bool (*fails)(void *user, const sim_list *list, const sim_list **taken);
    /* CPU time spent so far, ns; may be NULL. */
    dw_time (*spent)(void *user);
    void *user;
} sim_shrink_test;

typedef enum sim_shrink_end {
    SIM_SHRUNK,              /* the list is minimal */
    SIM_SHRINK_PASSES,       /* the list does not fail: nothing to do, nothing changed */
    SIM_SHRINK_ATTEMPTS_OUT, /* smaller, but perhaps not minimal: the budget is used up */
    SIM_SHRINK_CPU_OUT,
    SIM_SHRINK_NO_MEMORY,
} sim_shrink_end;

typedef struct sim_shrink_stats {
    uint64_t attempts; /* runs made */
    uint64_t cached;   /* lists that had been tried before */
} sim_shrink_stats;

/* Shrinks `list` in place; whatever the end, it still fails unless the end says it never did. */
sim_shrink_end sim_shrink(sim_list *list, const sim_shrink_test *test,
                          const sim_shrink_budget *budget, sim_shrink_stats *stats);

#endif
