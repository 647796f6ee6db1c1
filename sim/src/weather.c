/* SPDX-License-Identifier: MIT */
/*
 * Weathers by name: the lasting properties that all links between hosts have, and what some
 * weathers do by themselves in virtual time. Called by scenarios, by the world for the events, and
 * by link.c for links that are new.
 *
 * Invariant: an event is queued only for the world's own weather_run; one that was has none.
 */
#include "drywire/network.h"
#include "hash.h"
#include "links.h"
#include "trace.h"

#include <string.h>

/* Swizzle-clog is FoundationDB's word: links of some machines are clogged one by one, then
 * unclogged in another order (Wilson, "Testing Distributed Systems w/ Deterministic Simulation",
 * 2014). */
enum { CLOGS_MAX = 64 };
#define CLOG_STEP  DW_MSEC(500)
#define CLOG_PAUSE DW_SEC(5)

#define FLAP_UP   DW_SEC(8)
#define FLAP_DOWN DW_SEC(2)

typedef struct sim_weather_run sim_weather_run;
typedef struct sim_weather sim_weather;

struct sim_weather_run {
    sim_event event;
    sim_link *clogged[CLOGS_MAX];
    unsigned count; /* of them */
    unsigned at;    /* swizzle-clog: the next pair to hold */
    bool down;      /* links are down; swizzle-clog: they are being released */
    dw_world *world;
};

struct sim_weather {
    const char *name;
    dw_time latency, jitter;
    uint64_t bandwidth, queue;
    uint32_t loss;
    dw_time begin;                                      /* when it first does something */
    void (*act)(dw_world *world, sim_weather_run *run); /* NULL: it never does */
};

static void again_in(dw_world *world, sim_weather_run *run, dw_time delay) {
    sim_world_schedule(world, &run->event, time_add(world->now, delay));
}

static void trace(dw_world *world, const char *text) {
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', "weather", "%s", text);
    }
}

/* ---- Cutting all links, those to come too ---- */

static void cut_all(dw_world *world, bool cut) {
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        for (sim_link *link = host->links; link != NULL; link = link->next) {
            if (link->from != link->to) {
                link->down_until = cut ? DW_TIME_MAX : 0;
            }
        }
    }
}

static void blackhole(dw_world *world, sim_weather_run *run) {
    run->down = true;
    cut_all(world, true);
    trace(world, "everything is lost from now on");
}

static void flap(dw_world *world, sim_weather_run *run) {
    run->down = !run->down;
    cut_all(world, run->down);
    trace(world, run->down ? "links go down" : "links come up");
    again_in(world, run, run->down ? FLAP_DOWN : FLAP_UP);
}

/* ---- Swizzle-clog ---- */

/* The n-th link between hosts that is the first of its pair, in order of hosts. */
static sim_link *nth_pair(dw_world *world, unsigned n) {
    for (dw_host *a = world->hosts; a != NULL; a = a->next) {
        for (dw_host *b = a->next; b != NULL; b = b->next) {
            for (sim_link *link = a->links; link != NULL; link = link->next) {
                if (link->to == b && n-- == 0) {
                    return link;
                }
            }
        }
    }
    return NULL;
}

static void hold_next(dw_world *world, sim_weather_run *run) {
    sim_link *link = run->count < CLOGS_MAX ? nth_pair(world, run->at++) : NULL;
    if (link == NULL) {
        run->down = true;
    } else if (!link->holding) {
        run->clogged[run->count++] = link;
        dw_world_hold(world, link->from, link->to);
    }
    again_in(world, run, CLOG_STEP);
}

/* Choice 0 is the link that was held last. */
static void release_one(dw_world *world, sim_weather_run *run) {
    unsigned n = 0;
    if (choice_active(world, SIM_UNCLOG) && run->count > 0) {
        n = (unsigned)sim_choice_draw(world, SIM_UNCLOG, (sim_who){WHO_WORLD, NULL}, "unclog",
                                      &world->weather_draws, run->count);
    }
    if (run->count > 0) {
        unsigned i = --run->count - n;
        sim_link *link = run->clogged[i];
        memmove(&run->clogged[i], &run->clogged[i + 1], n * sizeof(run->clogged[0]));
        dw_world_release(world, link->from, link->to);
    }
    if (run->count == 0) {
        run->down = false;
        run->at = 0;
    }
    again_in(world, run, run->count == 0 ? CLOG_PAUSE : CLOG_STEP);
}

static void swizzle_clog(dw_world *world, sim_weather_run *run) {
    if (run->down) {
        release_one(world, run);
    } else {
        hold_next(world, run);
    }
}

/* ---- The table ---- */

/* Satellite: RFC 2488, section 2: 239.6 to 279 ms up and down once. Bufferbloat: Gettys and
 * Nichols, "Bufferbloat", ACM Queue 9 (11), 2011. Queues: about a tenth of a second, unless said
 * otherwise. */
static const sim_weather weathers[] = {
    {.name = "calm", .latency = DW_LATENCY_DEFAULT},
    {.name = "lan",
     .latency = DW_USEC(100),
     .jitter = DW_USEC(20),
     .bandwidth = 125000000,
     .queue = 1000000},
    {.name = "wan",
     .latency = DW_MSEC(40),
     .jitter = DW_MSEC(2),
     .bandwidth = 12500000,
     .queue = 1250000},
    {.name = "satellite",
     .latency = DW_MSEC(270),
     .jitter = DW_MSEC(5),
     .bandwidth = 1250000,
     .queue = 625000},
    {.name = "flaky-wifi",
     .latency = DW_MSEC(3),
     .jitter = DW_MSEC(30),
     .bandwidth = 2500000,
     .queue = 250000,
     .loss = 30000},
    {.name = "bufferbloat", .latency = DW_MSEC(20), .bandwidth = 125000, .queue = 250000},
    {.name = "blackhole", .latency = DW_LATENCY_DEFAULT, .begin = DW_SEC(1), .act = blackhole},
    {.name = "flap", .latency = DW_LATENCY_DEFAULT, .begin = FLAP_UP, .act = flap},
    {.name = "swizzle-clog",
     .latency = DW_LATENCY_DEFAULT,
     .begin = CLOG_PAUSE,
     .act = swizzle_clog},
};

enum { WEATHERS = sizeof(weathers) / sizeof(weathers[0]) };

const char *const *dw_world_weather_names(void) {
    static const char *names[WEATHERS + 1];
    for (size_t i = 0; i < WEATHERS; i++) {
        names[i] = weathers[i].name;
    }
    return names;
}

/* ---- Setting it ---- */

static void apply(sim_link *link, const sim_weather *weather) {
    if (link->from == link->to) {
        return;
    }
    link->latency = weather->latency;
    link->jitter = weather->jitter;
    link->bandwidth = weather->bandwidth;
    link->queue_max = weather->queue;
    link->loss = weather->loss;
    link->free_at = 0;
    sim_link_refresh(link);
}

void sim_weather_link(sim_link *link) {
    const dw_world *world = link->from->world;
    const sim_weather_run *run = world->weather_run;
    if (world->weather != NULL) {
        apply(link, world->weather);
    }
    if (run != NULL && run->down && world->weather->act != swizzle_clog && link->from != link->to) {
        link->down_until = DW_TIME_MAX;
    }
}

/* What it holds or cuts is free again. */
void sim_weather_calm_down(dw_world *world) {
    sim_weather_run *run = world->weather_run;
    if (run == NULL) {
        return;
    }
    sim_queue_remove(&world->queue, &run->event);
    world->weather_run = NULL;
    if (run->down && world->weather->act != swizzle_clog) {
        cut_all(world, false);
    }
    while (run->count > 0) {
        const sim_link *link = run->clogged[--run->count];
        dw_world_release(world, link->from, link->to);
    }
}

void sim_weather_event(sim_event *event) {
    sim_weather_run *run = DW_CONTAINER_OF(event, sim_weather_run, event);
    dw_world *world = run->world;
    world_mark(world, 0x7001);
    world->weather->act(world, run);
}

static void begin(dw_world *world) {
    sim_weather_run *run = sim_world_alloc(world, sizeof(*run));
    *run = (sim_weather_run){.event = {.type = EV_WEATHER}, .world = world};
    world->weather_run = run;
    again_in(world, run, world->weather->begin);
}

bool dw_world_set_weather(dw_world *world, const char *name) {
    const sim_weather *weather = weathers;
    while (weather < weathers + WEATHERS && strcmp(weather->name, name) != 0) {
        weather++;
    }
    if (weather == weathers + WEATHERS) {
        return false;
    }
    sim_weather_calm_down(world);
    world->weather = weather;
    world->latency_default = weather->latency;
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        for (sim_link *link = host->links; link != NULL; link = link->next) {
            apply(link, weather);
        }
    }
    world_mark(world, sim_hash_text(HASH_START, name));
    trace(world, name);
    if (weather->act != NULL) {
        begin(world);
    }
    return true;
}
