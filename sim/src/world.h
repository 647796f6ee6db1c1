/* SPDX-License-Identifier: MIT */
/*
 * The world: one is used for run after run; sim_world_reset empties it and keeps its memory.
 *
 * Invariant of all of sim/: what decides depends on nothing but the scenario and the choices: times
 * are integers, orders end in sequence numbers, addresses of memory are never compared or hashed.
 */
#ifndef DRYWIRE_SIM_WORLD_H
#define DRYWIRE_SIM_WORLD_H

#include "choice.h"
#include "drywire/backend.h"
#include "drywire/rule.h"
#include "queue.h"
#include "world_memory.h"

#include <string.h>

typedef struct sim_datagram sim_datagram;
typedef struct sim_end sim_end;
typedef struct sim_record sim_record;
typedef struct sim_segment sim_segment;
typedef struct sim_watched sim_watched;

struct dw_world {
    dw_time now;
    uint64_t sequence;
    uint64_t hash;
    uint64_t events;
    sim_queue queue;
    sim_choices choices;
    sim_memory memory;
    dw_host *hosts, *hosts_tail;
    dw_host **host_table; /* by index */
    size_t host_count, host_room;
    dw_host **names; /* a table of name_room places, a power of two */
    size_t name_room;
    sim_record *records;          /* names that the scenario has set */
    struct sim_program *programs; /* those that were added last come first */
    const dw_scenario *scenario;
    const sim_run_options *options;
    sim_outcome *outcome;
    sim_trace *trace;  /* NULL: not kept */
    uint8_t *scratch;  /* joined segments for recv */
    sim_segment *lent; /* whose bytes the running callback reads */
    sim_datagram *lent_datagram;
    struct sim_flow **flows; /* of datagrams: a table */
    size_t flow_room, flow_count;
    dw_time latency_default;
    const struct sim_weather *weather; /* NULL: calm */
    struct sim_weather_run *weather_run;
    sim_draws weather_draws;
    dw_rule *rules, *rules_last;
    dw_time keepalive_idle, keepalive_interval;
    unsigned keepalive_probes;
    struct sim_keepalive *free_keepalives;
    struct sim_nagle *free_nagles;
    bool nagle;
    struct sim_timewait *free_timewaits;
    size_t send_buffer, receive_buffer, datagram_buffer;
    sim_draws order_draws;
    uint64_t sockets_opened; /* and names bound */
    uint32_t stuck_max;
    uint64_t events_max;
    uint64_t events_before, events_limit; /* this instant; what is left of the maxima ends there */
    const char *last_call;                /* where the delayed call that ran last was armed */
    dw_host *turn_host;                   /* whose program ran last, at this instant */
    sim_end *turn_end;                    /* for what; NULL: for something else than a stream */
    size_t memory_max, unsent_max;
    sim_watched *watches, *watches_tail; /* oracle.h */
    size_t watch_count;
    sim_watched *payer, **payers; /* whose callback runs; those with a limit, by number */
    size_t payer_count, payer_room;
    struct sim_attempts *attempts;
    struct sim_duplicate *duplicates, *duplicate; /* all; whose answers are being heard */
    uint64_t scenario_hash;
    const void *thread; /* whose run it is; see thread.c */
    bool failed;
    bool trying; /* the scenario is over, promises are tried: nothing that happens is its */
};

/* When `delay` from `at` is; DW_TIME_MAX, which never comes, when that is too far. */
static inline dw_time time_add(dw_time at, dw_time delay) {
    return delay < DW_TIME_MAX - at ? at + delay : DW_TIME_MAX;
}

static inline void sim_piece_give(dw_world *world, void *piece, uint8_t size_class) {
    sim_piece *given = piece;
    if (size_class != CLASS_NONE) {
        given->next = world->memory.free_pieces[size_class];
        world->memory.free_pieces[size_class] = given;
    }
}

/* It is another instant, or the beginning. */
void sim_world_pass_time(dw_world *world, dw_time to);
/* Puts an event in the queue at `at`, after all that is there for that time. */
void sim_world_schedule(dw_world *world, sim_event *event, dw_time at);
void sim_world_reset(dw_world *world);
/* A finding; the first one counts. */
void sim_world_finding(dw_world *world, const char *oracle, const char *where, const char *format,
                       ...) DW_PRINTF(4, 5);
/* Whether the scenario does not want to hear of it. */
bool sim_world_is_off(const dw_world *world, const char *oracle);
/* Something happened: goes into the hash. */
static inline void world_mark(dw_world *world, uint64_t what) {
    uint64_t hash = (world->hash ^ what) * UINT64_C(0x9fb21c651e98df25);
    world->hash = (hash ^ hash >> 32) + 1;
}

static inline bool choice_active(const dw_world *world, sim_kind kind) {
    return (world->choices.active & (1u << kind)) != 0;
}

/* The file's name of a "dir/file.c:42": findings are the same wherever they were built. */
static inline const char *sim_base_name(const char *where) {
    const char *slash = strrchr(where, '/');
    return slash != NULL ? slash + 1 : where;
}

/* Whether another than the first of the simultaneous events may come next, by `until`; if there is
 * only a 0 to draw, it is drawn. Then which of them does. With that kind on; order.c. */
bool sim_order_is_open(dw_world *world, dw_time until);
size_t sim_order_pick(dw_world *world);
/* About to draw whether the packet of this event, just taken, is lost unheard. */
void sim_order_loss(dw_world *world, const sim_event *event);

#endif
