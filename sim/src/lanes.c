/* SPDX-License-Identifier: MIT */
/*
 * Lanes: rings of keys that are in order because each key was added behind all that were there.
 * Most events are the last of their kind to come, for most delays are the same again and again; so
 * most of them are added and taken here, at the price of a FIFO. A few lanes serve as many delays.
 *
 * Invariant: a lane's keys are in order; the first and the last one are not gaps. Called by queue.c
 * alone.
 */
#include "queue.h"

#include <stdlib.h>

enum { LANE_FIRST = 32 };

/* The lane whose last key is the latest one before `key`; an empty one if that is far away; NULL:
 * neither is there. */
static sim_lane *lane_for(sim_lanes *lanes, const sim_queue_key *key) {
    sim_lane *best = NULL;
    sim_queue_key best_last = {0};
    for (unsigned left = lanes->filled; left != 0; left &= left - 1) {
        sim_lane *lane = &lanes->lane[__builtin_ctz(left)];
        sim_queue_key last = {lane->last_at, lane->last_sequence, NULL};
        if (key_before(&last, key) && (best == NULL || key_before(&best_last, &last))) {
            best = lane;
            best_last = last;
        }
    }
    unsigned empty = ~lanes->filled & ((1u << SIM_LANES) - 1);
    bool far = best == NULL || key->at - best_last.at > SIM_LANE_STEP;
    return far && empty != 0 ? &lanes->lane[__builtin_ctz(empty)] : best;
}

/* Leaves out the gaps; in a ring of twice the size if there are few. */
static void make_room(sim_lane *lane) {
    uint32_t room = lane->room > 0 ? lane->room : LANE_FIRST, n = 0;
    if (lane->room > 0 && lane->gaps * 2 < lane->room) {
        room *= 2;
    }
    sim_queue_key *keys = sim_queue_grow(NULL, room, sizeof(*keys));
    for (uint32_t i = lane->head; i != lane->tail; i++) {
        if (lane_key(lane, i)->event != NULL) {
            keys[n++] = *lane_key(lane, i);
        }
    }
    free(lane->keys);
    lane->keys = keys;
    lane->head = lane->gaps = 0;
    lane->tail = n;
    lane->room = room;
}

bool sim_lanes_add(sim_lanes *lanes, const sim_queue_key *key) {
    sim_lane *lane = lane_for(lanes, key);
    if (lane == NULL) {
        return false;
    }
    if (lane->tail - lane->head == lane->room) {
        make_room(lane);
    }
    lanes->hint = (unsigned)(lane - lanes->lane);
    lanes->filled |= 1u << lanes->hint;
    lane_add(lanes, lanes->hint, key);
    return true;
}

/* The gaps at both ends go. */
static void trim(sim_lanes *lanes, sim_lane *lane) {
    while (lane->head != lane->tail && lane_key(lane, lane->head)->event == NULL) {
        lane->head++;
        lane->gaps--;
    }
    if (lane->head == lane->tail) {
        lanes->filled &= ~(1u << (lane - lanes->lane));
        return;
    }
    const sim_queue_key *last;
    while ((last = lane_key(lane, lane->tail - 1))->event == NULL) {
        lane->tail--;
        lane->gaps--;
    }
    lane->last_at = last->at;
    lane->last_sequence = last->sequence;
}

void sim_lanes_take(sim_lanes *lanes, size_t which, uint32_t i) {
    sim_lane *lane = &lanes->lane[which];
    sim_queue_key *key = lane_key(lane, i);
    key->event->place = key->event->lane = 0;
    key->event = NULL;
    lane->gaps++;
    trim(lanes, lane);
}

void sim_lanes_remove(sim_lanes *lanes, const sim_event *event) {
    sim_queue_key key = {event->at, event->sequence, NULL};
    sim_lane *lane = &lanes->lane[event->lane - 1];
    uint32_t low = lane->head, count = lane->tail - lane->head;
    while (count > 0) {
        uint32_t half = count / 2;
        if (key_before(lane_key(lane, low + half), &key)) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    sim_lanes_take(lanes, event->lane - 1u, low);
}

const sim_queue_key *sim_lanes_next(const sim_lanes *lanes, const uint32_t *from, size_t *which,
                                    uint32_t *at) {
    const sim_queue_key *best = NULL;
    for (unsigned left = lanes->filled; left != 0; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        const sim_lane *lane = &lanes->lane[i];
        uint32_t at_i = from[i];
        while (at_i != lane->tail && lane_key(lane, at_i)->event == NULL) {
            at_i++;
        }
        if (at_i != lane->tail && (best == NULL || key_before(lane_key(lane, at_i), best))) {
            best = lane_key(lane, at_i);
            *which = i;
            *at = at_i;
        }
    }
    return best;
}

void sim_lanes_clear(sim_lanes *lanes) {
    for (size_t i = 0; i < SIM_LANES; i++) {
        lanes->lane[i].head = lanes->lane[i].tail = lanes->lane[i].gaps = 0;
    }
    lanes->filled = lanes->hint = 0;
}

void sim_lanes_free(sim_lanes *lanes) {
    for (size_t i = 0; i < SIM_LANES; i++) {
        free(lanes->lane[i].keys);
    }
}
