/* SPDX-License-Identifier: MIT */
/*
 * The world: its clock, and the loop that takes one event after the other. Time moves only here.
 */
#include "datagram.h"
#include "drywire/network.h"
#include "hash.h"
#include "oracle.h"
#include "process.h"
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUCK_MAX = 100000, EVENTS_MAX = 10000000 };

/* Of one host; unsent of one connection. Nobody reaches these by doing well. */
#define MEMORY_MAX ((size_t)1 << 30)
#define UNSENT_MAX ((size_t)64 << 20)

typedef struct sim_after {
    sim_event event;
    void (*fn)(void *user);
    void *user;
} sim_after;

void sim_world_schedule(dw_world *world, sim_event *event, dw_time at) {
    event->at = at > world->now ? at : world->now;
    event->sequence = ++world->sequence;
    sim_queue_add(&world->queue, event);
}

void sim_world_pass_time(dw_world *world, dw_time to) {
    uint64_t left = world->events_max - world->events;
    world->now = to;
    world->events_before = world->events;
    world->events_limit = world->events + (world->stuck_max < left ? world->stuck_max : left);
}

void sim_world_reset(dw_world *world) {
    sim_queue_clear(&world->queue);
    sim_memory_reset(world);
    world->now = 0;
    world->sequence = world->hash = world->events = 0;
    world->hosts = world->hosts_tail = NULL;
    world->host_count = world->name_room = 0;
    world->records = NULL;
    world->lent = NULL;
    world->programs = NULL;
    world->lent_datagram = NULL;
    world->flows = NULL;
    world->flow_room = world->flow_count = 0;
    world->latency_default = DW_LATENCY_DEFAULT;
    world->weather = NULL;
    world->weather_run = NULL;
    world->weather_draws = (sim_draws){0};
    world->rules = world->rules_last = NULL;
    world->free_keepalives = NULL;
    world->free_nagles = NULL;
    world->nagle = false;
    world->free_timewaits = NULL;
    dw_world_set_keep_alive(world, DW_SEC(7200), DW_SEC(75), 9);
    world->send_buffer = world->receive_buffer = 65536;
    world->datagram_buffer = DW_DATAGRAM_BUFFER_DEFAULT;
    world->order_draws = (sim_draws){0};
    world->sockets_opened = 0;
    world->stuck_max = STUCK_MAX;
    world->events_max = EVENTS_MAX;
    world->last_call = NULL;
    world->turn_host = NULL;
    world->turn_end = NULL;
    world->memory_max = MEMORY_MAX;
    world->unsent_max = UNSENT_MAX;
    world->watches = world->watches_tail = world->payer = NULL;
    world->watch_count = world->payer_count = 0;
    world->attempts = NULL;
    world->duplicate = world->duplicates = NULL;
    world->failed = world->trying = false;
    sim_world_own_thread(world);
}

void dw_world_set_buffers(dw_world *world, size_t send, size_t receive) {
    world->send_buffer = send > 0 ? send : 1;
    world->receive_buffer = receive > 0 ? receive : 1;
}

void dw_world_set_datagram_buffer(dw_world *world, size_t bytes) {
    world->datagram_buffer = bytes;
}

/* ---- Events ---- */

static void after_event(sim_event *event) {
    sim_after *after = DW_CONTAINER_OF(event, sim_after, event);
    after->fn(after->user);
}

static void perform(sim_event *event) {
    switch ((sim_event_type)event->type) {
    case EV_ARRIVAL:
        sim_stream_arrival(event);
        break;
    case EV_READY:
        sim_stream_ready(event);
        break;
    case EV_CONTROL:
        sim_stream_control_event(event);
        break;
    case EV_LISTENER:
        sim_listener_ready(DW_CONTAINER_OF(event, sim_listener, ready));
        break;
    case EV_TURN:
        sim_host_turn(DW_CONTAINER_OF(event, dw_host, turn));
        break;
    case EV_LOOKUP:
        sim_host_lookup_event(event);
        break;
    case EV_PIPE:
        sim_pipe_dispatch(DW_CONTAINER_OF(event, sim_pipe, ready));
        break;
    case EV_SCRIPT:
        sim_script_run(DW_CONTAINER_OF(event, dw_script, run));
        break;
    case EV_SCRIPT_SLEEP:
        sim_script_sleep_over(DW_CONTAINER_OF(event, dw_script, sleep));
        break;
    case EV_SCRIPT_EXIT:
        sim_script_exit_event(DW_CONTAINER_OF(event, dw_script, exit));
        break;
    case EV_WEATHER:
        sim_weather_event(event);
        break;
    case EV_NAGLE:
        sim_nagle_event(event);
        break;
    case EV_KEEPALIVE:
        sim_keepalive_event(event);
        break;
    case EV_AFTER:
        after_event(event);
        break;
    case EV_DATAGRAM:
        sim_udp_arrival(DW_CONTAINER_OF(event, sim_datagram, event));
        break;
    case EV_SOCKET:
        sim_socket_dispatch(DW_CONTAINER_OF(event, sim_socket, ready));
        break;
    }
}

const char *sim_world_whom(const dw_world *world) {
    if (world->last_call != NULL) {
        return sim_base_name(world->last_call);
    }
    if (world->turn_end != NULL && world->turn_end->io != NULL) {
        return dw_io_name(world->turn_end->io);
    }
    return world->turn_host != NULL ? world->turn_host->name : "nobody";
}

/* One of the limits is passed. */
static void past_limit(dw_world *world) {
    if (world->events - world->events_before > world->stuck_max) {
        const char *who = sim_world_whom(world);
        sim_world_finding(
            world, "livelock", who, "more than %u events and time does not pass; %s %s",
            (unsigned)world->stuck_max,
            world->last_call != NULL ? "the last delayed call was armed at" : "the last to run was",
            who);
    } else {
        sim_world_finding(world, "endless", "world", "more than %llu events in one run",
                          (unsigned long long)world->events_max);
    }
}

static sim_event *take_event(dw_world *world, dw_time until) {
    sim_queue *queue = &world->queue;
    if (choice_active(world, SIM_ORDER) && sim_order_is_open(world, until)) {
        return sim_queue_take(queue, sim_order_pick(world));
    }
    return sim_queue_take_due(queue, until);
}

/* The next event that is still about something; NULL: none is due by `until`. Events of the same
 * instant come first in, first out, unless a choice says otherwise. */
static sim_event *next_event(dw_world *world, dw_time until) {
    for (sim_event *event; (event = take_event(world, until)) != NULL;) {
        if (event->type != EV_TURN || sim_host_turn_due(DW_CONTAINER_OF(event, dw_host, turn))) {
            return event;
        }
    }
    return NULL;
}

/* Of one event, just taken. */
static inline void go_through(dw_world *world, sim_event *event) {
    if (event->at > world->now) {
        sim_world_pass_time(world, event->at);
        world->last_call = NULL;
        world->turn_host = NULL;
        world_mark(world, (uint64_t)world->now);
    }
    world->events++;
    if (event->type == EV_ARRIVAL) {
        sim_stream_arrival(event); /* with its own mark */
    } else {
        world_mark(world, event->type);
        perform(event);
    }
    if (world->events > world->events_limit) {
        past_limit(world);
    }
}

/* Goes through one event, or `all` that are due by then. False: none is left, or the run has
 * failed. */
static bool go_on(dw_world *world, dw_time until, bool all) {
    while (!world->failed) {
        sim_event *event = next_event(world, until);
        if (event == NULL) {
            return false;
        }
        go_through(world, event);
        if (!all) {
            return !world->failed;
        }
    }
    return false;
}

static bool step(dw_world *world, dw_time until) {
    return go_on(world, until, false);
}

/* ---- Driving ---- */

static dw_time deadline(const dw_world *world, dw_time limit) {
    return limit < DW_TIME_MAX - world->now ? world->now + limit : DW_TIME_MAX - 1;
}

static void pass_to(dw_world *world, dw_time at) {
    if (!world->failed && at > world->now) {
        sim_world_pass_time(world, at);
    }
}

dw_time dw_world_now(const dw_world *world) {
    return world->now;
}

bool dw_world_run(dw_world *world, dw_time duration) {
    dw_time until = deadline(world, duration);
    go_on(world, until, true);
    pass_to(world, until);
    return !world->failed;
}

bool dw_world_run_until(dw_world *world, bool (*holds)(void *user), void *user, dw_time limit) {
    dw_time until = deadline(world, limit);
    do {
        if (!world->failed && holds(user)) {
            return true;
        }
    } while (step(world, until));
    pass_to(world, until);
    bool held = !world->failed && holds(user);
    if (!held && !world->failed && world->trace != NULL) {
        sim_waiting_trace(world);
    }
    return held;
}

bool dw_world_run_until_idle(dw_world *world, dw_time limit) {
    dw_time until = deadline(world, limit);
    go_on(world, until, true);
    return !world->failed && sim_queue_next_at(&world->queue) == DW_TIME_MAX;
}

bool dw_world_step(dw_world *world) {
    return step(world, DW_TIME_MAX - 1);
}

bool dw_world_advance_to_next(dw_world *world) {
    if (!step(world, DW_TIME_MAX - 1)) {
        return false;
    }
    while (sim_queue_next_at(&world->queue) <= world->now && step(world, world->now)) {
    }
    return !world->failed;
}

void dw_world_after(dw_world *world, dw_time delay, void (*fn)(void *user), void *user) {
    sim_after *after = sim_world_alloc(world, sizeof(*after));
    *after = (sim_after){{.type = EV_AFTER}, fn, user};
    sim_world_schedule(world, &after->event, time_add(world->now, delay));
}

uint32_t dw_world_choose(dw_world *world, const char *what, uint32_t n) {
    return sim_choice_user(world, (sim_who){WHO_SCENARIO, NULL},
                           sim_hash_text(HASH_START, "scenario"), what, n);
}

void dw_world_note(dw_world *world, const char *format, ...) {
    world_mark(world, 0x4002);
    if (world->trace != NULL) {
        char text[300];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        sim_trace_add(world, ' ', "scenario", "%s", text);
    }
}

/* ---- Findings ---- */

/* A word of the scenario's list. */
bool sim_world_is_off(const dw_world *world, const char *oracle) {
    const char *at = world->scenario->oracles_off;
    size_t len = strlen(oracle);
    while (at != NULL && *at != '\0') {
        size_t word = strcspn(at, ",");
        if (word == len && memcmp(at, oracle, len) == 0) {
            return true;
        }
        at += word + (at[word] == ',');
    }
    return false;
}

void sim_world_finding(dw_world *world, const char *oracle, const char *where, const char *format,
                       ...) {
    if (world->failed || world->trying || sim_world_is_off(world, oracle)) {
        return;
    }
    sim_outcome *outcome = world->outcome;
    va_list args;
    world->failed = outcome->failed = true;
    va_start(args, format);
    vsnprintf(outcome->message, sizeof(outcome->message), format, args);
    va_end(args);
    snprintf(outcome->oracle, sizeof(outcome->oracle), "%s", oracle);
    snprintf(outcome->where, sizeof(outcome->where), "%s", where);
    world_mark(world, sim_hash_text(HASH_START, oracle));
    if (world->trace != NULL) {
        sim_trace_add(world, '!', oracle, "%s", outcome->message);
    }
}

void dw_world_fail(dw_world *world, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sim_world_finding(world, "scenario", world->scenario->name, "%s", text);
}

bool dw_world_failed(const dw_world *world) {
    return world->failed;
}

/* ---- Assertions: the catalogue is what the linker put in one section ---- */

extern dw_assertion __start_dw_assertions[] __attribute__((weak));
extern dw_assertion __stop_dw_assertions[] __attribute__((weak));

size_t sim_assertions(dw_assertion *const **out) {
    static dw_assertion **all;
    size_t count = (size_t)(__stop_dw_assertions - __start_dw_assertions);
    if (all == NULL && count > 0) {
        all = malloc(count * sizeof(dw_assertion *));
        if (all == NULL) {
            abort();
        }
        for (size_t i = 0; i < count; i++) {
            all[i] = &__start_dw_assertions[i];
            all[i]->index = (uint32_t)i;
        }
    }
    *out = all;
    return count;
}

void dw_world_assert(dw_world *world, const dw_assertion *assertion, bool holds) {
    uint64_t(*counts)[2] = world->options->assertion_counts;
    if (world->trying) {
        return;
    }
    if (counts != NULL) {
        size_t i = (size_t)(assertion - __start_dw_assertions); /* its index */
        counts[i][0] += holds;
        counts[i][1]++;
    }
    if (!holds && assertion->kind == DW_ALWAYS) {
        sim_world_finding(world, "always", sim_base_name(assertion->where), "%s",
                          assertion->message);
    } else if (assertion->kind == DW_UNREACHABLE) {
        sim_world_finding(world, "unreachable", sim_base_name(assertion->where), "%s",
                          assertion->message);
    }
}
