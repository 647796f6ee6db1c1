/* SPDX-License-Identifier: MIT */
/*
 * The event queue: a 4-ary heap by (time, sequence) with the keys inline, and in front of it the
 * batch, all events of one instant in order of sequence, so that "which of the simultaneous ones
 * comes first" can be a choice. An event knows its place, so it can be taken out.
 */
#include "internal.h"

#include <stdlib.h>

enum { ARITY = 4, FIRST_ROOM = 256 };

static bool key_before(const sim_queue_key *a, const sim_queue_key *b) {
    return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static void heap_put(sim_queue *queue, size_t i, sim_queue_key key) {
    queue->heap[i] = key;
    key.event->place = (uint32_t)i + 1;
}

static void heap_up(sim_queue *queue, size_t i, sim_queue_key key) {
    while (i > 0) {
        size_t parent = (i - 1) / ARITY;
        if (!key_before(&key, &queue->heap[parent])) {
            break;
        }
        heap_put(queue, i, queue->heap[parent]);
        i = parent;
    }
    heap_put(queue, i, key);
}

static void heap_down(sim_queue *queue, size_t i, sim_queue_key key) {
    for (;;) {
        size_t child = i * ARITY + 1;
        if (child >= queue->count) {
            break;
        }
        size_t end = child + ARITY <= queue->count ? child + ARITY : queue->count;
        size_t least = child;
        for (size_t c = child + 1; c < end; c++) {
            if (key_before(&queue->heap[c], &queue->heap[least])) {
                least = c;
            }
        }
        if (!key_before(&queue->heap[least], &key)) {
            break;
        }
        heap_put(queue, i, queue->heap[least]);
        i = least;
    }
    heap_put(queue, i, key);
}

/* The queue cannot say no: without memory for the simulator itself there is no run. */
static void *grow(void *array, size_t room, size_t size) {
    void *grown = realloc(array, room * size);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

static void batch_put(sim_queue *queue, size_t i, sim_event *event) {
    queue->batch[i] = event;
    event->place = (uint32_t)i + 1;
}

/* Where an event of that sequence belongs: behind all with lower ones. */
static size_t batch_place(const sim_queue *queue, uint64_t sequence) {
    size_t low = queue->batch_head, high = queue->batch_head + queue->batch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (queue->batch[middle]->sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Moves the shorter side out of the way: what comes is nearly always the first or the last. */
static void batch_add(sim_queue *queue, sim_event *event) {
    if (queue->batch_head + queue->batch_count == queue->batch_room) {
        queue->batch_room = queue->batch_room > 0 ? queue->batch_room * 2 : FIRST_ROOM;
        queue->batch = grow(queue->batch, queue->batch_room, sizeof(sim_event *));
    }
    size_t end = queue->batch_head + queue->batch_count;
    size_t at = batch_place(queue, event->sequence);
    queue->batch_count++;
    event->in_batch = true;
    if (queue->batch_head > 0 && at - queue->batch_head < end - at) {
        queue->batch_head--;
        for (size_t i = queue->batch_head; i + 1 < at; i++) {
            batch_put(queue, i, queue->batch[i + 1]);
        }
        batch_put(queue, at - 1, event);
        return;
    }
    for (size_t i = end; i > at; i--) {
        batch_put(queue, i, queue->batch[i - 1]);
    }
    batch_put(queue, at, event);
}

void sim_queue_add(sim_queue *queue, sim_event *event) {
    if (queue->batch_count > 0 && event->at == queue->batch_at) {
        batch_add(queue, event);
        return;
    }
    if (queue->count == queue->room) {
        queue->room = queue->room > 0 ? queue->room * 2 : FIRST_ROOM;
        queue->heap = grow(queue->heap, queue->room, sizeof(sim_queue_key));
    }
    sim_queue_key key = {event->at, event->sequence, event};
    event->in_batch = false;
    queue->count++;
    heap_up(queue, queue->count - 1, key);
}

static void heap_remove(sim_queue *queue, size_t i) {
    queue->heap[i].event->place = 0;
    queue->count--;
    if (i == queue->count) {
        return;
    }
    sim_queue_key key = queue->heap[queue->count];
    if (i > 0 && key_before(&key, &queue->heap[(i - 1) / ARITY])) {
        heap_up(queue, i, key);
    } else {
        heap_down(queue, i, key);
    }
}

static void batch_remove(sim_queue *queue, size_t i) {
    queue->batch[i]->place = 0;
    queue->batch[i]->in_batch = false;
    for (size_t j = i; j > queue->batch_head; j--) {
        queue->batch[j] = queue->batch[j - 1];
        queue->batch[j]->place = (uint32_t)j + 1;
    }
    queue->batch_head++;
    queue->batch_count--;
    if (queue->batch_count == 0) {
        queue->batch_head = 0;
    }
}

void sim_queue_remove(sim_queue *queue, sim_event *event) {
    if (event->place == 0) {
        return;
    }
    if (event->in_batch) {
        batch_remove(queue, event->place - 1);
    } else {
        heap_remove(queue, event->place - 1);
    }
}

dw_time sim_queue_next_at(const sim_queue *queue) {
    if (queue->batch_count > 0) {
        return queue->batch_at;
    }
    return queue->count > 0 ? queue->heap[0].at : DW_TIME_MAX;
}

size_t sim_queue_fill(sim_queue *queue) {
    if (queue->batch_count > 0 || queue->count == 0) {
        return queue->batch_count;
    }
    dw_time at = queue->heap[0].at;
    queue->batch_at = at;
    while (queue->count > 0 && queue->heap[0].at == at) {
        sim_event *event = queue->heap[0].event;
        heap_remove(queue, 0);
        batch_add(queue, event);
    }
    return queue->batch_count;
}

sim_event *sim_queue_take(sim_queue *queue, size_t n) {
    sim_event *event = queue->batch[queue->batch_head + n];
    batch_remove(queue, queue->batch_head + n);
    return event;
}

void sim_queue_clear(sim_queue *queue) {
    queue->count = 0;
    queue->batch_count = queue->batch_head = 0;
}

void sim_queue_free(sim_queue *queue) {
    free(queue->heap);
    free(queue->batch);
    *queue = (sim_queue){0};
}
