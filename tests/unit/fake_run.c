/* SPDX-License-Identifier: MIT */
/*
 * The fake world behind sim/src/run.h. Its one invariant is the real one's: a run is a pure
 * function of scenario and source. Included by test_runner.c.
 */
#include "fake_run.h"

#include <drywire/network.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS_MAX = 512, TRACE_MAX = 400000, LINE_MAX_BYTES = 200, ODDS = 4 };

struct sim_trace {
    struct line {
        char text[LINE_MAX_BYTES];
        uint64_t hash;
        bool marked;
    } * lines;
    size_t count, room;
};

typedef struct counter {
    char who[SIM_WHO_MAX];
    char what[SIM_WHAT_MAX];
    uint64_t nth;
} counter;

struct dw_world {
    const sim_source *source;
    const sim_run_options *options;
    const char *weather;
    sim_outcome *outcome;
    counter counters[DRAWS_MAX];
    size_t counter_count;
    uint32_t *index; /* of the source's list, by hash */
    size_t index_room;
    sim_list taken;
    sim_trace trace;
};

struct sim_runner {
    dw_world world;
    bool traced;
};

static uint64_t mix(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t mix_draw(uint64_t hash, const sim_deviation *d) {
    hash = mix(hash, d->who, strlen(d->who) + 1);
    hash = mix(hash, d->what, strlen(d->what) + 1);
    return mix(hash, &d->nth, sizeof(d->nth));
}

static uint64_t stir(uint64_t x) {
    x ^= x >> 31;
    x *= UINT64_C(0x9fb21c651e98df25);
    return x ^ (x >> 28);
}

static void trace_add(dw_world *w, bool marked, const char *text) {
    w->outcome->hash = mix(w->outcome->hash, text, strlen(text) + 1);
    w->outcome->events++;
    if (!w->options->trace || w->trace.count >= TRACE_MAX) {
        return;
    }
    if (w->trace.count == w->trace.room) {
        w->trace.room = w->trace.room ? w->trace.room * 2 : 64;
        w->trace.lines = realloc(w->trace.lines, w->trace.room * sizeof(*w->trace.lines));
        if (!w->trace.lines) {
            abort();
        }
    }
    struct line *line = &w->trace.lines[w->trace.count++];
    snprintf(line->text, sizeof(line->text), "%s", text);
    line->hash = w->outcome->hash;
    line->marked = marked;
}

void fake_note(dw_world *world, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trace_add(world, false, text);
}

void fake_pass(dw_world *world, dw_time by) {
    world->outcome->virtual_time += by;
    world->outcome->events++;
}

void fake_fail(dw_world *world, const char *oracle, const char *where, const char *message) {
    sim_outcome *o = world->outcome;
    if (o->failed) {
        return;
    }
    o->failed = true;
    snprintf(o->oracle, sizeof(o->oracle), "%s", oracle);
    snprintf(o->where, sizeof(o->where), "%s", where);
    snprintf(o->message, sizeof(o->message), "%s", message);
    char text[LINE_MAX_BYTES];
    snprintf(text, sizeof(text), "FINDING %s: %.150s", oracle, message);
    trace_add(world, true, text);
}

static uint64_t next_nth(dw_world *w, const char *who, const char *what) {
    for (size_t i = 0; i < w->counter_count; i++) {
        if (strcmp(w->counters[i].who, who) == 0 && strcmp(w->counters[i].what, what) == 0) {
            return ++w->counters[i].nth;
        }
    }
    if (w->counter_count == DRAWS_MAX) {
        abort();
    }
    counter *c = &w->counters[w->counter_count++];
    snprintf(c->who, sizeof(c->who), "%s", who);
    snprintf(c->what, sizeof(c->what), "%s", what);
    return c->nth = 1;
}

static void index_list(dw_world *w) {
    const sim_list *list = w->source->list;
    size_t room = 16;
    while (room < list->count * 2) {
        room *= 2;
    }
    if (room > w->index_room) {
        free(w->index);
        w->index = malloc(room * sizeof(*w->index));
        w->index_room = room;
        if (!w->index) {
            abort();
        }
    }
    memset(w->index, 0, w->index_room * sizeof(*w->index));
    for (size_t i = 0; i < list->count; i++) {
        size_t at = (size_t)mix_draw(7, &list->items[i]) & (w->index_room - 1);
        while (w->index[at]) {
            at = (at + 1) & (w->index_room - 1);
        }
        w->index[at] = (uint32_t)i + 1;
    }
}

static uint64_t from_list(const dw_world *w, const sim_deviation *draw) {
    const sim_list *list = w->source->list;
    size_t at = (size_t)mix_draw(7, draw) & (w->index_room - 1);
    for (; w->index[at]; at = (at + 1) & (w->index_room - 1)) {
        const sim_deviation *d = &list->items[w->index[at] - 1];
        if (d->nth == draw->nth && strcmp(d->who, draw->who) == 0 &&
            strcmp(d->what, draw->what) == 0) {
            return d->value;
        }
    }
    return 0;
}

static uint64_t from_seed(const dw_world *w, const sim_deviation *draw, uint64_t options) {
    uint32_t kinds = w->source->kinds;
    if (kinds && !(kinds & (UINT32_C(1) << sim_kind_of(draw->what)))) {
        return 0;
    }
    uint64_t x = stir(mix_draw(stir(w->source->seed + 1), draw));
    if (x % ODDS) {
        return 0;
    }
    return options ? stir(x) % options : stir(x) % (uint64_t)DW_SEC(2);
}

uint64_t fake_draw(dw_world *world, const char *who, const char *what, uint64_t options) {
    sim_deviation d = {0};
    sim_kind kind = sim_kind_of(what);
    const sim_run_options *o = world->options;
    snprintf(d.who, sizeof(d.who), "%s", who);
    snprintf(d.what, sizeof(d.what), "%s", what);
    d.nth = next_nth(world, who, what);
    if (o->offers && (!o->offer_kinds || (o->offer_kinds & (UINT32_C(1) << kind)))) {
        sim_offer *items = realloc(o->offers->items, (o->offers->count + 1) * sizeof(*items));
        if (!items) {
            abort();
        }
        o->offers->items = items;
        items[o->offers->count++] = (sim_offer){.at = d, .options = options};
    }
    switch (world->source->kind) {
    case SIM_CALM:
        break;
    case SIM_SEED:
        d.value = from_seed(world, &d, options);
        break;
    case SIM_LIST:
        d.value = from_list(world, &d);
        d.value = options && d.value >= options ? options - 1 : d.value;
        break;
    }
    if (d.value) {
        char text[LINE_MAX_BYTES + 200];
        if (o->on_deviation) {
            o->on_deviation(o->on_deviation_user, &d);
        }
        if (o->kind_counts) {
            o->kind_counts[kind]++;
        }
        world->outcome->deviations++;
        if (!sim_list_add(&world->taken, &d)) {
            abort();
        }
        snprintf(text, sizeof(text), "%s %s %llu = %llu", d.who, d.what, (unsigned long long)d.nth,
                 (unsigned long long)d.value);
        trace_add(world, true, text);
    }
    return d.value;
}

/* ---- run.h ---- */

sim_runner *sim_runner_new(void) {
    return calloc(1, sizeof(sim_runner));
}

void sim_runner_free(sim_runner *runner) {
    if (runner) {
        free(runner->world.index);
        free(runner->world.trace.lines);
        sim_list_free(&runner->world.taken);
        free(runner);
    }
}

void sim_run(sim_runner *runner, const dw_scenario *scenario, const sim_source *source,
             const sim_run_options *options, sim_outcome *outcome) {
    dw_world *w = &runner->world;
    *outcome = (sim_outcome){.hash = UINT64_C(0xcbf29ce484222325)};
    w->source = source;
    w->options = options;
    w->outcome = outcome;
    w->counter_count = 0;
    w->taken.count = 0;
    w->trace.count = 0;
    runner->traced = options->trace;
    if (source->kind == SIM_LIST) {
        index_list(w);
    }
    w->weather = scenario->weather;
    if (scenario->weather != NULL) {
        char text[LINE_MAX_BYTES];
        snprintf(text, sizeof(text), "weather %s", scenario->weather);
        trace_add(w, false, text);
    }
    scenario->run(w);
}

const char *fake_weather(const dw_world *world) {
    return world->weather != NULL ? world->weather : "";
}

const char *const *dw_world_weather_names(void) {
    static const char *const names[] = {"calm", "wan", "fog", NULL};
    return names;
}

const sim_list *sim_runner_taken(sim_runner *runner) {
    return &runner->world.taken;
}

const sim_trace *sim_runner_trace(sim_runner *runner) {
    return runner->traced ? &runner->world.trace : NULL;
}

void sim_offers_free(sim_offers *offers) {
    free(offers->items);
    *offers = (sim_offers){0};
}

size_t sim_trace_count(const sim_trace *trace) {
    return trace->count;
}

const char *sim_trace_line(const sim_trace *trace, size_t i, bool colour) {
    (void)colour;
    return trace->lines[i].text;
}

uint64_t sim_trace_hash(const sim_trace *trace, size_t i) {
    return trace->lines[i].hash;
}

bool sim_trace_marked(const sim_trace *trace, size_t i) {
    return trace->lines[i].marked;
}

/* ---- Assertions: the catalogue is the section that the macros fill ---- */

extern dw_assertion __start_dw_assertions[] __attribute__((weak));
extern dw_assertion __stop_dw_assertions[] __attribute__((weak));

size_t sim_assertions(dw_assertion *const **out) {
    static dw_assertion *all[64];
    size_t count = 0;
    for (dw_assertion *a = __start_dw_assertions; a < __stop_dw_assertions && count < 64; a++) {
        a->index = (uint32_t)count;
        all[count++] = a;
    }
    *out = all;
    return count;
}

void dw_world_assert(dw_world *world, const dw_assertion *assertion, bool holds) {
    uint64_t(*counts)[2] = world->options->assertion_counts;
    if (counts) {
        counts[assertion->index][0] += holds;
        counts[assertion->index][1]++;
    }
    if (!holds && assertion->kind != DW_SOMETIMES) {
        fake_fail(world, "always", assertion->where, assertion->message);
    }
}
