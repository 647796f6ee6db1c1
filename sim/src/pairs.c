/* SPDX-License-Identifier: MIT */
/*
 * Plans pairs. The order is a matter of promise alone; which pairs there are is not. Called by the
 * workers, each for the first deviations that fall to it.
 */
#include "pairs.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

struct sim_pair_rank {
    uint32_t point; /* in `seconds` */
    uint32_t step;  /* 0: its draw's first answer, ... */
    bool known;     /* the calm run makes this draw, too */
};

/* ---- The calm run's draws ---- */

/* Only promise depends on it, so that a collision costs nothing but its place. */
static uint64_t key_of(const sim_deviation *at) {
    uint64_t who = mix64(sim_hash_text(HASH_START, at->who));
    return mix64(sim_hash_text(who, at->what)) + at->nth;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool sim_calm_note(sim_calm *calm, const sim_offer *offers, size_t count) {
    calm->keys = malloc((count > 0 ? count : 1) * sizeof(*calm->keys));
    if (calm->keys == NULL) {
        return false;
    }
    calm->count = count;
    for (size_t i = 0; i < count; i++) {
        calm->keys[i] = key_of(&offers[i].at);
    }
    qsort(calm->keys, count, sizeof(*calm->keys), by_number);
    return true;
}

void sim_calm_free(sim_calm *calm) {
    free(calm->keys);
    *calm = (sim_calm){0};
}

static bool is_known(const sim_calm *calm, const sim_deviation *at) {
    uint64_t key = key_of(at);
    return bsearch(&key, calm->keys, calm->count, sizeof(key), by_number) != NULL;
}

/* ---- Pairs ---- */

static int by_promise(const void *a, const void *b) {
    const struct sim_pair_rank *x = a, *y = b;
    if (x->known != y->known) {
        return x->known ? 1 : -1;
    }
    if (x->step != y->step) {
        return x->step < y->step ? -1 : 1;
    }
    return x->point < y->point ? -1 : 1;
}

static bool rank(sim_pairs *pairs, const sim_calm *calm) {
    const sim_sweep *seconds = &pairs->seconds;
    pairs->order = malloc((seconds->count > 0 ? seconds->count : 1) * sizeof(*pairs->order));
    if (pairs->order == NULL) {
        return false;
    }
    bool known = false;
    for (size_t i = 0; i < seconds->count; i++) {
        bool same = i > 0 && seconds->points[i].offer == seconds->points[i - 1].offer;
        known = same ? known : is_known(calm, &seconds->offers[seconds->points[i].offer].at);
        pairs->order[i] = (struct sim_pair_rank){
            .point = (uint32_t)i, .step = same ? pairs->order[i - 1].step + 1 : 0, .known = known};
        pairs->fresh += !known;
    }
    pairs->count = seconds->count;
    qsort(pairs->order, pairs->count, sizeof(*pairs->order), by_promise);
    return true;
}

bool sim_pairs_plan(sim_pairs *pairs, const sim_offers *offers, const sim_deviation *first,
                    const sim_calm *calm) {
    size_t from = sim_offers_behind(offers, first);
    sim_offers after = {.items = offers->items + from, .count = offers->count - from};
    *pairs = (sim_pairs){0};
    if (!sim_sweep_plan(&pairs->seconds, &after) || !rank(pairs, calm)) {
        sim_pairs_free(pairs);
        return false;
    }
    return true;
}

sim_deviation sim_pairs_second(const sim_pairs *pairs, size_t k) {
    return sim_sweep_point(&pairs->seconds, pairs->order[k].point);
}

void sim_pairs_free(sim_pairs *pairs) {
    sim_sweep_free(&pairs->seconds);
    free(pairs->order);
    *pairs = (sim_pairs){0};
}
