/* SPDX-License-Identifier: MIT */
/*
 * Sweeps: every single deviation of some kinds, one run each. The calm run says which draws there
 * are; this plans the points. A point's number, not the machine it runs on, decides what it is.
 */
#ifndef DRYWIRE_SIM_SWEEP_H
#define DRYWIRE_SIM_SWEEP_H

#include "run.h"

/* Values tried for one draw; of more, the smallest and the largest half. */
enum {
    SIM_SWEEP_CUT_MAX = 65536,
    SIM_SWEEP_WRITE_MAX = 64,
    SIM_SWEEP_ORDER_MAX = 64,
    SIM_SWEEP_SYN_DROP_MAX = 6, /* Linux gives up after six retries: tcp_syn_retries, tcp(7) */
    SIM_SWEEP_USER_MAX = 256,
    SIM_SWEEP_NAME_MAX = 5, /* each kind of wrong answer */
    SIM_SWEEP_CORRUPT_MAX = 64,
    SIM_SWEEP_SPAWN_MAX = 3,
    SIM_SWEEP_POINTS_MAX = 10000000, /* of one sweep of one scenario */
};

typedef struct sim_point {
    uint64_t value;
    uint32_t offer;
} sim_point;

/* Zero-initialise; free with sim_sweep_free. */
typedef struct sim_sweep {
    sim_offer *offers;
    size_t offer_count;
    sim_point *points;
    size_t count, room;
    uint64_t per_kind[SIM_KIND_COUNT];
    bool cut_off; /* there are more points than SIM_SWEEP_POINTS_MAX */
} sim_sweep;

/* Plans all points of these offers, in order. False without memory. */
bool sim_sweep_plan(sim_sweep *sweep, const sim_offers *offers);

/* Plans the points of the draws that come behind the one of `last` (NULL: all), less those that a
 * run without them is equal to. False without memory. */
bool sim_sweep_plan_behind(sim_sweep *sweep, const sim_offers *offers, const sim_deviation *last);

/* Where in the order of draws those behind `last`'s begin. */
size_t sim_offers_behind(const sim_offers *offers, const sim_deviation *last);

/* The deviation of point `index`. */
sim_deviation sim_sweep_point(const sim_sweep *sweep, size_t index);

void sim_sweep_free(sim_sweep *sweep);

/* Reads "reset,cut" into a bit per sim_kind; "all" is every kind. False: `bad` is the unknown word.
 */
bool sim_kinds_parse(const char *text, uint32_t *kinds, char bad[SIM_WHAT_MAX]);

/* "latency, cut, ..., all": what sim_kinds_parse knows. */
const char *sim_kinds_known(void);

#endif
