/* SPDX-License-Identifier: MIT */
/*
 * The ring of days: buckets that are filled in any order and opened one after the other. Adding and
 * removing touch one chunk; nothing is sorted here.
 *
 * Invariant: every key in the ring has base <= day < base + room, so a bucket holds one day only.
 * Called by queue.c alone.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

enum { WORD = 64, CHUNKS_FIRST = 64 };

void sim_days_init(sim_days *days, size_t room) {
    if (days->room != room) {
        days->heads = sim_queue_grow(days->heads, room, sizeof(*days->heads));
        days->filled = sim_queue_grow(days->filled, room / WORD, sizeof(*days->filled));
        days->room = room;
    }
    memset(days->heads, 0, room * sizeof(*days->heads));
    memset(days->filled, 0, room / WORD * sizeof(*days->filled));
    days->chunks_used = days->chunks_free = 0;
    days->count = 0;
}

static size_t bucket_of(const sim_days *days, uint64_t day) {
    return (size_t)day & (days->room - 1);
}

static uint32_t take_chunk(sim_days *days) {
    uint32_t number = days->chunks_free;
    if (number != 0) {
        days->chunks_free = days->chunks[number - 1].next;
        return number;
    }
    if (days->chunks_used == days->chunks_room) {
        days->chunks_room = days->chunks_room > 0 ? days->chunks_room * 2 : CHUNKS_FIRST;
        days->chunks = sim_queue_grow(days->chunks, days->chunks_room, sizeof(sim_chunk));
    }
    return ++days->chunks_used;
}

static void give_chunk(sim_days *days, uint32_t number) {
    days->chunks[number - 1].next = days->chunks_free;
    days->chunks_free = number;
}

static void put(sim_days *days, uint32_t number, uint32_t slot, const sim_queue_key *key) {
    days->chunks[number - 1].keys[slot] = *key;
    key->event->place = (number - 1) * CHUNK_KEYS + slot + 1;
}

void sim_days_add(sim_days *days, const sim_queue_key *key) {
    size_t bucket = bucket_of(days, day_of(days, key->at));
    uint32_t number = days->heads[bucket];
    if (number == 0 || days->chunks[number - 1].count == CHUNK_KEYS) {
        uint32_t fresh = take_chunk(days);
        days->chunks[fresh - 1].next = number;
        days->chunks[fresh - 1].count = 0;
        days->heads[bucket] = number = fresh;
        days->filled[bucket / WORD] |= UINT64_C(1) << bucket % WORD;
    }
    put(days, number, days->chunks[number - 1].count++, key);
    days->count++;
}

/* The day's newest key moves into the gap. */
void sim_days_remove(sim_days *days, const sim_event *event) {
    size_t bucket = bucket_of(days, day_of(days, event->at));
    uint32_t head = days->heads[bucket], place = event->place - 1;
    sim_chunk *chunk = &days->chunks[head - 1];
    sim_queue_key last = chunk->keys[--chunk->count];
    if (last.event != event) {
        put(days, place / CHUNK_KEYS + 1, place % CHUNK_KEYS, &last);
    }
    days->count--;
    if (chunk->count > 0) {
        return;
    }
    days->heads[bucket] = chunk->next;
    if (chunk->next == 0) {
        days->filled[bucket / WORD] &= ~(UINT64_C(1) << bucket % WORD);
    }
    give_chunk(days, head);
}

/* The first bucket with keys, from `from` on and around the ring; there is one. */
static size_t next_filled(const sim_days *days, size_t from) {
    size_t words = days->room / WORD, word = from / WORD;
    uint64_t bits = days->filled[word] & ~UINT64_C(0) << from % WORD;
    for (size_t looked = 0; bits == 0 && looked <= words; looked++) {
        word = word + 1 < words ? word + 1 : 0;
        bits = days->filled[word];
    }
    return word * WORD + (size_t)__builtin_ctzll(bits);
}

size_t sim_days_first(const sim_days *days, uint64_t *day) {
    size_t from = bucket_of(days, days->base);
    size_t bucket = next_filled(days, from), count = 0;
    *day = days->base + ((bucket - from) & (days->room - 1));
    for (uint32_t n = days->heads[bucket]; n != 0; n = days->chunks[n - 1].next) {
        count += days->chunks[n - 1].count;
    }
    return count;
}

void sim_days_open(sim_days *days, uint64_t day, sim_queue_key *out, size_t count) {
    size_t bucket = bucket_of(days, day), end = count;
    for (uint32_t n = days->heads[bucket], next; n != 0; n = next) {
        sim_chunk *chunk = &days->chunks[n - 1];
        next = chunk->next;
        end -= chunk->count;
        memcpy(out + end, chunk->keys, chunk->count * sizeof(*out));
        give_chunk(days, n);
    }
    days->heads[bucket] = 0;
    days->filled[bucket / WORD] &= ~(UINT64_C(1) << bucket % WORD);
    days->count -= count;
}

void sim_days_clear(sim_days *days) {
    for (size_t word = 0; days->count > 0 && word < days->room / WORD; word++) {
        for (uint64_t bits = days->filled[word]; bits != 0; bits &= bits - 1) {
            days->heads[word * WORD + (size_t)__builtin_ctzll(bits)] = 0;
        }
        days->filled[word] = 0;
    }
    days->chunks_used = days->chunks_free = 0;
    days->count = 0;
}

void sim_days_free(sim_days *days) {
    free(days->chunks);
    free(days->heads);
    free(days->filled);
}
