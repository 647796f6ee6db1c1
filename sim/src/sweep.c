/* SPDX-License-Identifier: MIT */
/*
 * Plans the points of a sweep from the draws that the calm run offered. Points are kept small (a
 * draw's number and a value), since there may be millions. Called by the runner before the workers
 * start.
 */
#include "sweep.h"

#include <stdlib.h>
#include <string.h>

enum { POINTS_ROOM_FIRST = 256 };

/* Delays that tell apart: a reordering; a retransmission; a time-out of seconds; one of a minute.
 */
static const dw_time latencies[] = {DW_MSEC(5), DW_MSEC(300), DW_SEC(5), DW_SEC(70)};
static const dw_time partitions[] = {DW_SEC(1), DW_SEC(15), DW_SEC(90), DW_MIN(20)};

static uint64_t values_max(sim_kind kind) {
    switch (kind) {
    case SIM_CUT:
        return SIM_SWEEP_CUT_MAX;
    case SIM_WRITE:
        return SIM_SWEEP_WRITE_MAX;
    case SIM_ORDER:
        return SIM_SWEEP_ORDER_MAX;
    case SIM_SYN_DROP:
        return SIM_SWEEP_SYN_DROP_MAX;
    case SIM_USER:
        return SIM_SWEEP_USER_MAX;
    case SIM_NAME:
        return SIM_SWEEP_NAME_MAX;
    case SIM_SPAWN:
        return SIM_SWEEP_SPAWN_MAX;
    case SIM_CORRUPT:
        return SIM_SWEEP_CORRUPT_MAX;
    case SIM_UNCLOG:
        return SIM_SWEEP_ORDER_MAX;
    case SIM_LATENCY:
    case SIM_PARTITION:
    case SIM_JOIN:
    case SIM_RESET:
    case SIM_CLOSE:
    case SIM_REFUSE:
    case SIM_ALLOC:
    case SIM_LOSE:
    case SIM_DUPLICATE:
    case SIM_REORDER:
    case SIM_UNREACHABLE:
    case SIM_EXIT:
    case SIM_STDIN:
    case SIM_KILLED:
    case SIM_NAME_LATE:
    case SIM_KIND_COUNT:
        break;
    }
    return 1;
}

static bool add_point(sim_sweep *sweep, uint32_t offer, uint64_t value) {
    if (sweep->count >= SIM_SWEEP_POINTS_MAX) {
        sweep->cut_off = true;
        return true;
    }
    if (sweep->count == sweep->room) {
        size_t room = sweep->room ? sweep->room * 2 : POINTS_ROOM_FIRST;
        sim_point *points = realloc(sweep->points, room * sizeof(*points));
        if (!points) {
            return false;
        }
        sweep->points = points;
        sweep->room = room;
    }
    sweep->points[sweep->count++] = (sim_point){.value = value, .offer = offer};
    sweep->per_kind[sim_kind_of(sweep->offers[offer].at.what)]++;
    return true;
}

static bool add_times(sim_sweep *sweep, uint32_t offer, sim_kind kind) {
    const dw_time *times = kind == SIM_PARTITION ? partitions : latencies;
    size_t count = kind == SIM_PARTITION ? sizeof(partitions) / sizeof(partitions[0])
                                         : sizeof(latencies) / sizeof(latencies[0]);
    for (size_t i = 0; i < count; i++) {
        if (!add_point(sweep, offer, (uint64_t)times[i])) {
            return false;
        }
    }
    return true;
}

static bool add_numbers(sim_sweep *sweep, uint32_t offer, uint64_t options, uint64_t max) {
    uint64_t last = options - 1;
    uint64_t low = last > max ? (max + 1) / 2 : last;
    for (uint64_t value = 1; value <= low; value++) {
        if (!add_point(sweep, offer, value)) {
            return false;
        }
    }
    for (uint64_t value = last > max ? last - (max - low) + 1 : last + 1; value <= last; value++) {
        if (!add_point(sweep, offer, value)) {
            return false;
        }
    }
    return true;
}

static bool add_offer(sim_sweep *sweep, uint32_t index) {
    const sim_offer *offer = &sweep->offers[index];
    sim_kind kind = sim_kind_of(offer->at.what);
    if (sim_kind_is_time(kind)) {
        return add_times(sweep, index, kind);
    }
    if (offer->options < 2) {
        return true;
    }
    return add_numbers(sweep, index, offer->options, values_max(kind));
}

bool sim_sweep_plan(sim_sweep *sweep, const sim_offers *offers) {
    size_t count = offers->count < UINT32_MAX ? offers->count : UINT32_MAX;
    *sweep = (sim_sweep){0};
    sweep->offers = malloc((count ? count : 1) * sizeof(*sweep->offers));
    if (!sweep->offers) {
        return false;
    }
    sweep->offer_count = count;
    if (count) {
        memcpy(sweep->offers, offers->items, count * sizeof(*sweep->offers));
    }
    for (size_t i = 0; i < count; i++) {
        if (!add_offer(sweep, (uint32_t)i)) {
            sim_sweep_free(sweep);
            return false;
        }
    }
    return true;
}

static bool is_draw(const sim_deviation *a, const sim_deviation *b) {
    return a->nth == b->nth && strcmp(a->what, b->what) == 0 && strcmp(a->who, b->who) == 0;
}

size_t sim_offers_behind(const sim_offers *offers, const sim_deviation *last) {
    for (size_t i = 0; i < offers->count; i++) {
        if (is_draw(&offers->items[i].at, last)) {
            return i + 1;
        }
    }
    return offers->count; /* it was never drawn: nothing follows from it */
}

/* Takes out the answers that lead to a run equal to another's. */
static void leave_out_equal(sim_sweep *sweep) {
    size_t kept = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const sim_point *point = &sweep->points[i];
        uint64_t same = sweep->offers[point->offer].same;
        if (point->value >= 64 || (same >> point->value & 1) == 0) {
            sweep->points[kept++] = *point;
        }
    }
    sweep->count = kept;
}

bool sim_sweep_plan_behind(sim_sweep *sweep, const sim_offers *offers, const sim_deviation *last) {
    size_t from = last != NULL ? sim_offers_behind(offers, last) : 0;
    sim_offers after = {.items = offers->items + from, .count = offers->count - from};
    if (!sim_sweep_plan(sweep, &after)) {
        return false;
    }
    leave_out_equal(sweep);
    return true;
}

sim_deviation sim_sweep_point(const sim_sweep *sweep, size_t index) {
    const sim_point *point = &sweep->points[index];
    sim_deviation deviation = sweep->offers[point->offer].at;
    deviation.value = point->value;
    return deviation;
}

void sim_sweep_free(sim_sweep *sweep) {
    free(sweep->offers);
    free(sweep->points);
    *sweep = (sim_sweep){0};
}

static bool kind_bit(const char *word, size_t len, uint32_t *bits) {
    if (len == 3 && memcmp(word, "all", 3) == 0) {
        *bits |= (UINT32_C(1) << SIM_KIND_COUNT) - 1;
        return true;
    }
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        const char *name = sim_kind_name((sim_kind)kind);
        if (strlen(name) == len && memcmp(name, word, len) == 0) {
            *bits |= UINT32_C(1) << kind;
            return true;
        }
    }
    return false;
}

bool sim_kinds_parse(const char *text, uint32_t *kinds, char bad[SIM_WHAT_MAX]) {
    uint32_t bits = 0;
    for (const char *at = text;;) {
        size_t len = strcspn(at, ",");
        if (!kind_bit(at, len, &bits)) {
            size_t shown = len < SIM_WHAT_MAX - 1 ? len : SIM_WHAT_MAX - 1;
            memcpy(bad, at, shown);
            bad[shown] = '\0';
            return false;
        }
        if (!at[len]) {
            break;
        }
        at += len + 1;
    }
    *kinds = bits;
    return true;
}

const char *sim_kinds_known(void) {
#define KIND_WORD_(ident, name, times) name ", "
    static const char known[] = SIM_KIND_TABLE(KIND_WORD_) "all";
#undef KIND_WORD_
    return known;
}
