/* SPDX-License-Identifier: MIT */
/*
 * A 4-ary heap by (time, sequence) with the keys inline. Each event knows its index, so one can be
 * taken out of the middle. Called by queue.c for what lies far away.
 */
#include "queue.h"

#include <stdlib.h>

enum { ARITY = 4, HEAP_FIRST = 256 };

static void heap_put(sim_heap *heap, size_t i, sim_queue_key key) {
    heap->keys[i] = key;
    key.event->place = (uint32_t)i + 1;
}

static void heap_up(sim_heap *heap, size_t i, sim_queue_key key) {
    while (i > 0) {
        size_t parent = (i - 1) / ARITY;
        if (!key_before(&key, &heap->keys[parent])) {
            break;
        }
        heap_put(heap, i, heap->keys[parent]);
        i = parent;
    }
    heap_put(heap, i, key);
}

static void heap_down(sim_heap *heap, size_t i, sim_queue_key key) {
    for (;;) {
        size_t child = i * ARITY + 1;
        if (child >= heap->count) {
            break;
        }
        size_t end = child + ARITY <= heap->count ? child + ARITY : heap->count;
        size_t least = child;
        for (size_t c = child + 1; c < end; c++) {
            if (key_before(&heap->keys[c], &heap->keys[least])) {
                least = c;
            }
        }
        if (!key_before(&heap->keys[least], &key)) {
            break;
        }
        heap_put(heap, i, heap->keys[least]);
        i = least;
    }
    heap_put(heap, i, key);
}

void sim_heap_add(sim_heap *heap, sim_queue_key key) {
    if (heap->count == heap->room) {
        heap->room = heap->room > 0 ? heap->room * 2 : HEAP_FIRST;
        heap->keys = sim_queue_grow(heap->keys, heap->room, sizeof(sim_queue_key));
    }
    heap->count++;
    heap_up(heap, heap->count - 1, key);
}

void sim_heap_remove(sim_heap *heap, size_t i) {
    heap->count--;
    if (i == heap->count) {
        return;
    }
    sim_queue_key key = heap->keys[heap->count];
    if (i > 0 && key_before(&key, &heap->keys[(i - 1) / ARITY])) {
        heap_up(heap, i, key);
    } else {
        heap_down(heap, i, key);
    }
}

void sim_heap_free(sim_heap *heap) {
    free(heap->keys);
}
