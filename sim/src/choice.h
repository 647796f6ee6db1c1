/* SPDX-License-Identifier: MIT */
/*
 * Choices: where a run leaves the calm one. Everything that draws comes by here, is known by who,
 * what and nth, and is answered by the run's source (run.h). Invariant: a draw that is not asked
 * for is not counted, so a deviation means the same whatever else deviates.
 */
#ifndef DRYWIRE_SIM_CHOICE_H
#define DRYWIRE_SIM_CHOICE_H

#include "deviation.h"
#include "drywire/world.h"
#include "run.h"

/* The draws of one (who, what). Most of them come to 0, so a few of the next ones are looked at
 * together: what is drawn does not depend on when that is done. Zero: there were none. */
typedef struct sim_draws {
    uint64_t count; /* how many there were */
    uint64_t pair;  /* the hash of (who, what); 0: not computed yet */
    uint64_t ahead; /* of the next ones, the next first, a bit: set if it does not come to 0; and
                     * behind those known another, set; 0: none is known */
} sim_draws;

/* The next one is known to come to 0. */
static inline bool draws_are_calm(const sim_draws *draws) {
    return draws->ahead != 0 && (draws->ahead & 1) == 0;
}

/* How many of the next ones are. */
static inline uint32_t draws_calm(const sim_draws *draws) {
    return draws->ahead != 0 ? (uint32_t)__builtin_ctzll(draws->ahead) : 0;
}

/* So many of those are drawn. */
static inline void draws_pass(sim_draws *draws, uint32_t n) {
    draws->count += n;
    draws->ahead >>= n;
}

/* Those of the user's own choices: per host and name. */
typedef struct sim_counter {
    uint64_t who, what; /* hashes */
    sim_draws draws;
} sim_counter;

typedef struct sim_choices {
    sim_source source;
    uint32_t active;                  /* bit per sim_kind that is drawn at all in this run */
    uint32_t offered;                 /* bit per sim_kind to record offers of */
    uint32_t rate[SIM_KIND_COUNT];    /* seed: out of 2^32 */
    const char *what[SIM_KIND_COUNT]; /* a constant that was hashed, and its hash */
    uint64_t what_hash[SIM_KIND_COUNT];
    uint64_t seed_mixed;
    uint64_t *table;   /* list: open addressing, key then value */
    size_t table_room; /* a power of two, in pairs */
    sim_list taken;
    sim_counter *counters;
    size_t counter_count, counter_room;
    const sim_run_options *options;
    uint64_t equal; /* of the draw to come: sim_offer.same */
    /* order.c: the sequence of the last event that overtook others, of the last that was first in
     * line and was overtaken. */
    uint64_t ahead, passed_over;
} sim_choices;

void sim_choices_begin(dw_world *world, const sim_source *source, const sim_run_options *options);
void sim_choices_free(sim_choices *choices);

/* Who draws: something that can hash its name, and write it when a deviation is taken. */
typedef enum sim_who_kind {
    WHO_FLOW,
    WHO_LINK,
    WHO_HOST,
    WHO_WORLD,
    WHO_SCENARIO,
    WHO_UDP
} sim_who_kind;
typedef struct sim_who {
    sim_who_kind kind;
    const void *object; /* the sim_end that sends, the sim_link, the dw_host, NULL, the sim_flow */
} sim_who;

/* Draws: an answer below `options` (or a duration when options is 0), 0 when calm. *draws is the
 * pair's own. Call it only if choice_active says so. */
uint64_t sim_choice_draw_next(dw_world *world, sim_kind kind, sim_who who, const char *what,
                              sim_draws *draws, uint64_t options);
static inline uint64_t sim_choice_draw(dw_world *world, sim_kind kind, sim_who who,
                                       const char *what, sim_draws *draws, uint64_t options) {
    if (draws_are_calm(draws)) {
        draws_pass(draws, 1);
        return 0;
    }
    return sim_choice_draw_next(world, kind, who, what, draws, options);
}

/* Whether the next one is known, one way or the other. */
static inline bool draws_are_known(const sim_draws *draws) {
    return draws->ahead > 1;
}

/* Whether the next draw comes to 0, and nobody writes it down: then draws_pass is all there is to
 * it. */
bool sim_choice_look_ahead(dw_world *world, sim_kind kind, sim_who who, const char *what,
                           sim_draws *draws);
static inline bool sim_choice_is_calm(dw_world *world, sim_kind kind, sim_who who, const char *what,
                                      sim_draws *draws) {
    return draws_are_known(draws) ? draws_are_calm(draws)
                                  : sim_choice_look_ahead(world, kind, who, what, draws);
}

/* The user's own choice `what` of a host or of the scenario. */
uint32_t sim_choice_user(dw_world *world, sim_who who, uint64_t who_hash, const char *what,
                         uint32_t n);

#endif
