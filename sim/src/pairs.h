/* SPDX-License-Identifier: MIT */
/*
 * Sweeps of depth 2: what else can go wrong once one thing has. For a first deviation, a run says
 * which draws come after it; each answer to each of them makes a pair. A pair is planned from the
 * deviation that is drawn first, so each stands in one plan only.
 */
#ifndef DRYWIRE_SIM_PAIRS_H
#define DRYWIRE_SIM_PAIRS_H

#include "sweep.h"

/* The draws of the calm run, to tell what is new. Zero-initialise; free with sim_calm_free. */
typedef struct sim_calm {
    uint64_t *keys; /* sorted */
    size_t count;
} sim_calm;

bool sim_calm_note(sim_calm *calm, const sim_offer *offers, size_t count);
void sim_calm_free(sim_calm *calm);

/* The second deviations of one first. Zero-initialise; free with sim_pairs_free. */
typedef struct sim_pairs {
    sim_sweep seconds;
    struct sim_pair_rank *order; /* most promising first */
    size_t count, fresh;         /* fresh: those whose draw the calm run never makes */
} sim_pairs;

/* Plans from what the run with `first` alone has offered, in the order of its draws. Most promising
 * are draws that are there only because of `first`: recovery is where bugs are; then those soon
 * after it. Each draw's first answer comes before any draw's second. False without memory. */
bool sim_pairs_plan(sim_pairs *pairs, const sim_offers *offers, const sim_deviation *first,
                    const sim_calm *calm);

/* The k-th, from 0. */
sim_deviation sim_pairs_second(const sim_pairs *pairs, size_t k);
void sim_pairs_free(sim_pairs *pairs);

#endif
