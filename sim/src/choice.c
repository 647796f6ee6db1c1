/* SPDX-License-Identifier: MIT */
/*
 * Choices: every answer that the real world would leave open, drawn by (who, what, nth). From a
 * seed the answer is a hash of that key; from a list it is looked up by it; so one deviation more
 * or less leaves all the others meaning what they meant. Only kinds that are active in a run are
 * drawn at all.
 */
#include "datagram.h"
#include "hash.h"
#include "text.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kinds that a calm or list run does not use cost one test of a bit each. */
#define ALL_KINDS ((1u << SIM_KIND_COUNT) - 1)

/* Of all draws of a pair; `what`: mixed once already. */
static uint64_t pair_of(uint64_t who, uint64_t what) {
    return mix64(who ^ what);
}

static uint64_t key_of(uint64_t pair, uint64_t nth) {
    uint64_t key = mix64(pair + nth);
    return key != 0 ? key : 1;
}

/* ---- The list, as a table ---- */

static void table_put(sim_choices *choices, uint64_t key, uint64_t value) {
    size_t i = key & (choices->table_room - 1);
    while (choices->table[2 * i] != 0 && choices->table[2 * i] != key) {
        i = (i + 1) & (choices->table_room - 1);
    }
    choices->table[2 * i] = key;
    choices->table[2 * i + 1] = value;
}

static uint64_t table_get(const sim_choices *choices, uint64_t key) {
    size_t i = key & (choices->table_room - 1);
    while (choices->table[2 * i] != 0) {
        if (choices->table[2 * i] == key) {
            return choices->table[2 * i + 1];
        }
        i = (i + 1) & (choices->table_room - 1);
    }
    return 0;
}

static void begin_list(sim_choices *choices, const sim_list *list) {
    size_t room = 16;
    while (room < list->count * 2) {
        room *= 2;
    }
    if (room > choices->table_room) {
        free(choices->table);
        choices->table = malloc(room * 2 * sizeof(uint64_t));
        if (choices->table == NULL) {
            abort();
        }
        choices->table_room = room;
    }
    memset(choices->table, 0, choices->table_room * 2 * sizeof(uint64_t));
    for (size_t i = 0; i < list->count; i++) {
        const sim_deviation *d = &list->items[i];
        uint64_t who = sim_hash_text(HASH_START, d->who);
        uint64_t what = mix64(sim_hash_text(HASH_START, d->what));
        table_put(choices, key_of(pair_of(who, what), d->nth), d->value);
        choices->active |= 1u << sim_kind_of(d->what);
    }
}

/* ---- The seed ---- */

/* Swarm testing: which kinds are on, and how often they strike, differs from seed to seed: half of
 * them are off, the others strike once in 4 to 512 draws. A kind that is the only one allowed is
 * never off. Allocations are many, so they fail less.
 */
static void begin_seed(sim_choices *choices, uint64_t seed, uint32_t kinds) {
    bool only_one = (kinds & (kinds - 1)) == 0;
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        uint64_t r = mix64(mix64(seed) + UINT64_C(0x5eed) * (uint64_t)(kind + 1));
        unsigned shift = 2 + (unsigned)((r >> 8) % 8) + (kind == SIM_ALLOC ? 3 : 0);
        bool on = ((r & 1) != 0 || only_one) && (kinds & (1u << kind)) != 0;
        choices->rate[kind] = on ? (uint32_t)1 << (32 - shift) : 0;
        choices->active |= on ? 1u << kind : 0;
    }
}

/* A duration from about `1 << low` to `2 << high` nanoseconds, each order of magnitude alike. */
static uint64_t duration(uint64_t r, unsigned low, unsigned high) {
    unsigned shift = low + (unsigned)(r % (high - low + 1));
    return (UINT64_C(1) << shift) + ((r >> 8) & ((UINT64_C(1) << shift) - 1));
}

static uint64_t seed_value(sim_kind kind, uint64_t r, uint64_t options) {
    switch (kind) {
    case SIM_LATENCY:
    case SIM_NAME_LATE:
        return duration(r, 20, 32); /* 1 ms to 8 s */
    case SIM_PARTITION:
        return duration(r, 24, 35); /* 17 ms to 68 s */
    case SIM_EXIT:
        return duration(r, 20, 32); /* 1 ms to 8 s */
    case SIM_REORDER:
        return duration(r, 20, 28); /* 1 ms to half a second */
    default:
        return options > 1 ? 1 + r % (options - 1) : 0;
    }
}

static bool seed_strikes(const sim_choices *choices, sim_kind kind, uint64_t r) {
    return (uint32_t)r < choices->rate[kind];
}

static uint64_t draw_seed(const sim_choices *choices, sim_kind kind, uint64_t key,
                          uint64_t options) {
    uint64_t r = mix64(key ^ choices->seed_mixed);
    return seed_strikes(choices, kind, r) ? seed_value(kind, mix64(r), options) : 0;
}

/* ---- Names ---- */

static void link_format(char *out, size_t size, const sim_link *link) {
    sim_text text = sim_text_begin(out, size);
    sim_text_add(&text, "link ");
    sim_text_add(&text, link->from->name);
    sim_text_add(&text, ">");
    sim_text_add(&text, link->to->name);
}

static void format_who(char *out, size_t size, sim_who who) {
    switch (who.kind) {
    case WHO_FLOW:
        sim_stream_format(out, size, who.object);
        break;
    case WHO_LINK:
        link_format(out, size, who.object);
        break;
    case WHO_HOST:
        snprintf(out, size, "%s", ((const dw_host *)who.object)->name);
        break;
    case WHO_WORLD:
        snprintf(out, size, "world");
        break;
    case WHO_SCENARIO:
        snprintf(out, size, "scenario");
        break;
    case WHO_UDP:
        sim_flow_format(out, size, who.object);
        break;
    }
}

static uint64_t link_hash(sim_link *link) {
    if (link->name_hash == 0) {
        char name[SIM_WHO_MAX];
        link_format(name, sizeof(name), link);
        link->name_hash = sim_hash_text(HASH_START, name);
    }
    return link->name_hash;
}

static uint64_t who_hash(sim_who who) {
    switch (who.kind) {
    case WHO_FLOW:
        return sim_stream_hash((sim_end *)(uintptr_t)who.object);
    case WHO_LINK:
        return link_hash((sim_link *)(uintptr_t)who.object);
    case WHO_HOST:
        return ((const dw_host *)who.object)->name_hash;
    case WHO_WORLD:
        return sim_hash_text(HASH_START, "world");
    case WHO_UDP:
        return sim_flow_hash(who.object);
    default:
        return sim_hash_text(HASH_START, "scenario");
    }
}

/* ---- Drawing ---- */

static void offer(dw_world *world, sim_who who, const char *what, uint64_t nth, uint64_t options) {
    sim_offers *offers = world->choices.options->offers;
    if (offers->count == offers->room) {
        size_t room = offers->room > 0 ? offers->room * 2 : 256;
        sim_offer *items = realloc(offers->items, room * sizeof(*items));
        if (items == NULL) {
            return;
        }
        offers->items = items;
        offers->room = room;
    }
    sim_offer *o = &offers->items[offers->count++];
    memset(o, 0, sizeof(*o));
    format_who(o->at.who, sizeof(o->at.who), who);
    snprintf(o->at.what, sizeof(o->at.what), "%s", what);
    o->at.nth = nth;
    o->options = options;
    o->same = world->choices.equal;
    world->choices.equal = 0;
}

static void trace_taken(dw_world *world, sim_kind kind, const sim_deviation *d) {
    bool time = sim_kind_is_time(kind);
    sim_trace_add(world, '!', d->who, "%s %llu = %llu%s", d->what, (unsigned long long)d->nth,
                  (unsigned long long)(time ? d->value / 1000 : d->value), time ? "us" : "");
}

static void count_taken(dw_world *world, sim_kind kind, uint64_t value, uint64_t key) {
    uint64_t *counts = world->choices.options->kind_counts;
    if (counts != NULL) {
        counts[kind]++;
    }
    world->outcome->deviations++;
    world_mark(world, key ^ mix64(value));
}

/* To put a name to it costs more than all the rest. */
static void take(dw_world *world, sim_kind kind, sim_who who, const char *what, uint64_t nth,
                 uint64_t value, uint64_t key) {
    const sim_run_options *options = world->choices.options;
    if (options->nameless && options->on_deviation == NULL && world->trace == NULL) {
        count_taken(world, kind, value, key);
        return;
    }
    sim_deviation d = {.nth = nth, .value = value};
    format_who(d.who, sizeof(d.who), who);
    sim_text text = sim_text_begin(d.what, sizeof(d.what));
    sim_text_add(&text, what);
    if (options->on_deviation != NULL) {
        options->on_deviation(options->on_deviation_user, &d);
    }
    if (!options->nameless) {
        sim_list_add(&world->choices.taken, &d);
    }
    count_taken(world, kind, value, key);
    if (world->trace != NULL) {
        trace_taken(world, kind, &d);
    }
}

/* Of the kind's name, in nearly all draws: remembered. */
static uint64_t what_hash(sim_choices *choices, sim_kind kind, const char *what) {
    if (choices->what[kind] != what) {
        choices->what[kind] = what;
        choices->what_hash[kind] = mix64(sim_hash_text(HASH_START, what));
    }
    return choices->what_hash[kind];
}

static uint64_t pair_hash(sim_choices *choices, sim_kind kind, sim_who who, const char *what,
                          sim_draws *draws) {
    if (draws->pair == 0) {
        uint64_t what_is = kind == SIM_USER ? mix64(sim_hash_text(HASH_START, what))
                                            : what_hash(choices, kind, what);
        draws->pair = pair_of(who_hash(who), what_is);
    }
    return draws->pair;
}

/* A guess at how many draws are still to come: looking at one that does not is wasted. */
enum { LOOK_AHEAD = 8 };

/* Of the draws behind the `count` there were, a bit for each that does not come to 0. */
static uint64_t strikes(const sim_choices *choices, sim_kind kind, uint64_t pair, uint64_t count) {
    uint64_t bits = 0;
    if (choices->source.kind == SIM_SEED) {
        for (unsigned i = 0; i < LOOK_AHEAD; i++) {
            uint64_t r = mix64(key_of(pair, count + i + 1) ^ choices->seed_mixed);
            bits |= (uint64_t)seed_strikes(choices, kind, r) << i;
        }
    } else {
        for (unsigned i = 0; i < LOOK_AHEAD; i++) {
            bits |= (uint64_t)(table_get(choices, key_of(pair, count + i + 1)) != 0) << i;
        }
    }
    return bits;
}

bool sim_choice_look_ahead(dw_world *world, sim_kind kind, sim_who who, const char *what,
                           sim_draws *draws) {
    sim_choices *choices = &world->choices;
    if (!draws_are_known(draws) && (choices->offered & (1u << kind)) == 0 &&
        choices->source.kind != SIM_CALM) {
        uint64_t pair = pair_hash(choices, kind, who, what, draws);
        draws->ahead = strikes(choices, kind, pair, draws->count) | UINT64_C(1) << LOOK_AHEAD;
    }
    return draws_are_calm(draws);
}

uint64_t sim_choice_draw_next(dw_world *world, sim_kind kind, sim_who who, const char *what,
                              sim_draws *draws, uint64_t options) {
    sim_choices *choices = &world->choices;
    bool calm = sim_choice_look_ahead(world, kind, who, what, draws);
    draws_pass(draws, 1);
    uint64_t nth = draws->count;
    if (calm || options == 1) {
        return 0;
    }
    if ((choices->offered & (1u << kind)) != 0) {
        offer(world, who, what, nth, options);
    }
    if (choices->source.kind == SIM_CALM) {
        return 0;
    }
    uint64_t key = key_of(pair_hash(choices, kind, who, what, draws), nth);
    uint64_t value = choices->source.kind == SIM_SEED ? draw_seed(choices, kind, key, options)
                                                      : table_get(choices, key);
    uint64_t largest = options > 0 ? options - 1 : (uint64_t)DW_TIME_MAX;
    if (value > largest) {
        value = largest; /* a list made for another run, or edited by hand */
    }
    if (value != 0) {
        take(world, kind, who, what, nth, value, key);
    }
    return value;
}

static sim_draws *user_draws(sim_choices *choices, uint64_t who, uint64_t what) {
    for (size_t i = 0; i < choices->counter_count; i++) {
        if (choices->counters[i].who == who && choices->counters[i].what == what) {
            return &choices->counters[i].draws;
        }
    }
    if (choices->counter_count == choices->counter_room) {
        choices->counter_room = choices->counter_room > 0 ? choices->counter_room * 2 : 16;
        choices->counters = realloc(choices->counters, choices->counter_room * sizeof(sim_counter));
        if (choices->counters == NULL) {
            abort();
        }
    }
    choices->counters[choices->counter_count] = (sim_counter){.who = who, .what = what};
    return &choices->counters[choices->counter_count++].draws;
}

/* A run file can name it, and means nothing else by that name. */
static bool valid_what(const char *what) {
    size_t len = strcspn(what, " \t\r\n\v\f");
    return len > 0 && len < SIM_WHAT_MAX && what[len] == '\0' && sim_kind_of(what) == SIM_USER;
}

uint32_t sim_choice_user(dw_world *world, sim_who who, uint64_t hash, const char *what,
                         uint32_t n) {
    if (!valid_what(what)) {
        sim_world_finding(world, "contract", what,
                          "the choice '%s' needs a name of one word, shorter than %d characters, "
                          "that is not one of the library's kinds",
                          what, (int)SIM_WHAT_MAX);
        return 0;
    }
    if (!choice_active(world, SIM_USER) || n < 2) {
        return 0;
    }
    sim_draws *draws = user_draws(&world->choices, hash, sim_hash_text(HASH_START, what));
    return (uint32_t)sim_choice_draw(world, SIM_USER, who, what, draws, n);
}

void sim_choices_begin(dw_world *world, const sim_source *source, const sim_run_options *options) {
    sim_choices *choices = &world->choices;
    choices->source = *source;
    choices->seed_mixed = mix64(source->seed);
    choices->options = options;
    choices->active = choices->offered = 0;
    choices->taken.count = 0;
    choices->counter_count = 0;
    choices->ahead = choices->passed_over = 0;
    if (options->offers != NULL) {
        choices->offered = options->offer_kinds;
        choices->active |= choices->offered;
    }
    if (source->kind == SIM_SEED) {
        begin_seed(choices, source->seed, source->kinds != 0 ? source->kinds : ALL_KINDS);
    } else if (source->kind == SIM_LIST) {
        begin_list(choices, source->list);
    }
}

void sim_choices_free(sim_choices *choices) {
    sim_list_free(&choices->taken);
    free(choices->table);
    free(choices->counters);
    *choices = (sim_choices){0};
}

void sim_offers_free(sim_offers *offers) {
    free(offers->items);
    *offers = (sim_offers){0};
}
