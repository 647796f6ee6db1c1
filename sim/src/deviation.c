/* SPDX-License-Identifier: MIT */
/*
 * The names of the kinds, and growing lists of deviations. A list holds no value 0 and no draw
 * twice; those who fill it see to that. Used by everything that plans, records, stores or shrinks
 * runs.
 */
#include "deviation.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_ROOM_FIRST = 16 };

static const struct {
    const char *name;
    bool times;
} kinds[SIM_KIND_COUNT] = {
#define KIND_ROW_(ident, name, times) {name, times},
    SIM_KIND_TABLE(KIND_ROW_)
#undef KIND_ROW_
};

const char *sim_kind_name(sim_kind kind) {
    return kinds[kind].name;
}

sim_kind sim_kind_of(const char *what) {
    for (int i = 0; i < SIM_KIND_COUNT; i++) {
        if (strcmp(kinds[i].name, what) == 0) {
            return (sim_kind)i;
        }
    }
    return SIM_USER;
}

bool sim_kind_is_time(sim_kind kind) {
    return kinds[kind].times;
}

static bool list_reserve(sim_list *list, size_t count) {
    if (count <= list->room) {
        return true;
    }
    size_t room = list->room ? list->room : LIST_ROOM_FIRST;
    while (room < count) {
        room *= 2;
    }
    sim_deviation *items = realloc(list->items, room * sizeof(*items));
    if (!items) {
        return false;
    }
    list->items = items;
    list->room = room;
    return true;
}

bool sim_list_add(sim_list *list, const sim_deviation *deviation) {
    sim_deviation copy = *deviation; /* it may point into the list */
    if (!list_reserve(list, list->count + 1)) {
        return false;
    }
    list->items[list->count++] = copy;
    return true;
}

bool sim_list_copy(sim_list *to, const sim_list *from) {
    if (to == from) {
        return true;
    }
    if (!list_reserve(to, from->count)) {
        return false;
    }
    if (from->count) {
        memcpy(to->items, from->items, from->count * sizeof(*to->items));
    }
    to->count = from->count;
    return true;
}

void sim_list_free(sim_list *list) {
    free(list->items);
    *list = (sim_list){0};
}
