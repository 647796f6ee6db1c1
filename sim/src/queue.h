/* SPDX-License-Identifier: MIT */
/*
 * The event queue: every event in exact order of (time, sequence), at a price that hardly grows
 * with their number. First come the lanes: rings that are in order because each event was added
 * behind all that were there, as nearly all are. What fits in none of them has three places, by how
 * far away it is:
 *
 *   near   one sorted array: what comes next
 *   days   a ring of unsorted buckets, each for one stretch of time; opened into `near` in turn
 *   heap   what lies beyond the ring
 *
 * If that is little, it is all in `near`. The width of a day follows the events; it decides about
 * speed alone, never about order.
 */
#ifndef DRYWIRE_SIM_QUEUE_H
#define DRYWIRE_SIM_QUEUE_H

#include "drywire/backend.h"

/* Embedded in what it is about; at most once in the queue. `at` and `sequence` stay as they are
 * while it is queued. */
typedef struct sim_event {
    dw_time at;
    uint64_t sequence;
    uint32_t place; /* 0: not queued; else the queue's own */
    uint8_t type;
    uint8_t lane; /* 0: in none; else its number + 1; the queue's own */
} sim_event;

typedef struct sim_queue_key {
    dw_time at;
    uint64_t sequence;
    sim_event *event; /* in `near`: NULL for one that was taken out */
} sim_queue_key;

static inline bool key_before(const sim_queue_key *a, const sim_queue_key *b) {
    return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

/* Keys [head, tail) of a ring, with gaps where one was taken out. */
typedef struct sim_lane {
    sim_queue_key *keys;
    uint32_t head, tail; /* they count on, round and round */
    uint32_t room, gaps;
    dw_time last_at; /* of the last key, if there is one */
    uint64_t last_sequence;
} sim_lane;

enum { SIM_LANES = 4 };
typedef struct sim_lanes {
    sim_lane lane[SIM_LANES];
    unsigned filled; /* a bit for each that is not empty */
    unsigned hint;   /* where the last one was added */
} sim_lanes;

/* A key that is later than the last one of a lane by more than this would keep others out. */
#define SIM_LANE_STEP ((dw_time)1 << 22)

static inline sim_queue_key *lane_key(const sim_lane *lane, uint32_t i) {
    return &lane->keys[i & (lane->room - 1)];
}

/* False: it would not be the last in any of them. */
bool sim_lanes_add(sim_lanes *lanes, const sim_queue_key *key);
void sim_lanes_remove(sim_lanes *lanes, const sim_event *event);
/* The first key from from[i] on in each lane i, or NULL; where it is. */
const sim_queue_key *sim_lanes_next(const sim_lanes *lanes, const uint32_t *from, size_t *which,
                                    uint32_t *at);
/* Takes out the key there. */
void sim_lanes_take(sim_lanes *lanes, size_t which, uint32_t at);
void sim_lanes_clear(sim_lanes *lanes);
void sim_lanes_free(sim_lanes *lanes);

/* A 4-ary heap; an event's place is its index + 1. */
typedef struct sim_heap {
    sim_queue_key *keys;
    size_t count, room;
} sim_heap;

void sim_heap_add(sim_heap *heap, sim_queue_key key);
void sim_heap_remove(sim_heap *heap, size_t i);
void sim_heap_free(sim_heap *heap);

/* The ring: a chain of chunks for each day, filled from the head chunk; an event's place names its
 * chunk and its slot there. */
enum { CHUNK_KEYS = 10 };
typedef struct sim_chunk {
    uint32_t next, count; /* next: its number + 1; 0: the last */
    sim_queue_key keys[CHUNK_KEYS];
} sim_chunk;

typedef struct sim_days {
    sim_chunk *chunks;
    uint32_t chunks_used, chunks_room, chunks_free;
    uint32_t *heads;  /* per day of the ring: chunk number + 1 */
    uint64_t *filled; /* a bit per day */
    size_t room;      /* days of the ring: a power of two, at least 64 */
    size_t count;     /* keys in it */
    uint64_t base;    /* the first day that is not opened yet */
    unsigned shift;   /* a day is 2^shift nanoseconds */
} sim_days;

static inline uint64_t day_of(const sim_days *days, dw_time at) {
    return (uint64_t)at >> days->shift;
}

/* Gives an empty ring that many days, and no keys. */
void sim_days_init(sim_days *days, size_t room);
/* `key` lies within the ring. */
void sim_days_add(sim_days *days, const sim_queue_key *key);
void sim_days_remove(sim_days *days, const sim_event *event);
/* Keys of the first day that has some, and which day that is. */
size_t sim_days_first(const sim_days *days, uint64_t *day);
/* Moves that day's keys to `out`, oldest first as far as nothing was removed meanwhile. */
void sim_days_open(sim_days *days, uint64_t day, sim_queue_key *out, size_t count);
void sim_days_clear(sim_days *days);
void sim_days_free(sim_days *days);

typedef struct sim_queue {
    sim_lanes lanes;
    unsigned current;    /* a lane whose first key is the first of all if it is below `limit` */
    dw_time limit;       /* no key anywhere else is due before */
    sim_queue_key *near; /* [head, end) in order, with gaps */
    size_t head, end, room, live;
    bool spread; /* days and heap are in use */
    sim_days days;
    sim_heap heap;
    /* Since the days were last laid out: days opened, instants found in them, events added in all
     * and to the heap. */
    uint64_t opened, instants, added, added_heap;
} sim_queue;

DW_APART void sim_queue_add_anywhere(sim_queue *queue, sim_event *event);
DW_APART sim_event *sim_queue_take_first(sim_queue *queue, dw_time until);

/* Behind the last one, for which there is room. */
static inline void lane_add(sim_lanes *lanes, unsigned which, const sim_queue_key *key) {
    sim_lane *lane = &lanes->lane[which];
    *lane_key(lane, lane->tail++) = *key;
    lane->last_at = key->at;
    lane->last_sequence = key->sequence;
    key->event->lane = (uint8_t)(which + 1);
    key->event->place = 1;
}

/* Whether an event at `at` would go where the last one went. */
static inline bool sim_queue_is_next(const sim_queue *queue, dw_time at, uint64_t sequence) {
    const sim_lane *lane = &queue->lanes.lane[queue->lanes.hint];
    uint32_t used = lane->tail - lane->head;
    return used - 1 < lane->room - 1 && /* neither 0, so it is not before the limit, nor full */
           (uint64_t)(at - lane->last_at) <= (uint64_t)SIM_LANE_STEP &&
           sequence > lane->last_sequence;
}

/* The same as sim_queue_add when sim_queue_is_next. */
static inline void sim_queue_add_next(sim_queue *queue, sim_event *event) {
    sim_queue_key key = {event->at, event->sequence, event};
    lane_add(&queue->lanes, queue->lanes.hint, &key);
}

/* Queues an event that is not queued, at event->at with event->sequence. */
static inline void sim_queue_add(sim_queue *queue, sim_event *event) {
    if (sim_queue_is_next(queue, event->at, event->sequence)) {
        sim_queue_add_next(queue, event);
    } else {
        sim_queue_add_anywhere(queue, event);
    }
}

/* The first event, if it is due by then; else NULL. */
static inline sim_event *sim_queue_take_due(sim_queue *queue, dw_time until) {
    sim_lane *lane = &queue->lanes.lane[queue->current];
    if (lane->head != lane->tail && lane->gaps == 0) {
        const sim_queue_key *first = lane_key(lane, lane->head);
        if (first->at < queue->limit && first->at <= until) {
            sim_event *event = first->event;
            if (++lane->head == lane->tail) {
                queue->lanes.filled &= ~(1u << queue->current);
            }
            event->place = event->lane = 0;
            return event;
        }
    }
    return sim_queue_take_first(queue, until);
}

/* How many events are due at the instant of the first one, if that is by `until`: none, one, or
 * more. */
typedef enum sim_company { SIM_NOBODY, SIM_ALONE, SIM_IN_COMPANY } sim_company;
sim_company sim_queue_company_anywhere(sim_queue *queue, dw_time until);
static inline sim_company sim_queue_company(sim_queue *queue, dw_time until) {
    const sim_lane *lane = &queue->lanes.lane[queue->current];
    if (lane->head != lane->tail && lane->gaps == 0) {
        const sim_queue_key *first = lane_key(lane, lane->head);
        if (first->at < queue->limit && first->at <= until) {
            bool more =
                lane->tail - lane->head > 1 && lane_key(lane, lane->head + 1)->at == first->at;
            return more ? SIM_IN_COMPANY : SIM_ALONE;
        }
    }
    return sim_queue_company_anywhere(queue, until);
}

/* Takes it out; harmless when it is not queued. */
void sim_queue_remove(sim_queue *queue, sim_event *event);
/* When the next event is due; DW_TIME_MAX without one. */
dw_time sim_queue_next_at(sim_queue *queue);
/* How many events there are at that instant, counted up to `max`. */
size_t sim_queue_simultaneous(sim_queue *queue, size_t max);
/* The first `n` of them, which there must be. */
void sim_queue_peek(const sim_queue *queue, const sim_event **out, size_t n);
/* Takes the n-th of them, from 0, by sequence. */
sim_event *sim_queue_take(sim_queue *queue, size_t n);
void sim_queue_clear(sim_queue *queue);
void sim_queue_free(sim_queue *queue);

/* An array of the queue's: it cannot say no; without memory for the simulator there is no run. */
void *sim_queue_grow(void *array, size_t room, size_t size);

#endif
