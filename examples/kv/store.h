/* SPDX-License-Identifier: MIT */
/*
 * The keys and values of a server, in its reactor's memory. A change that finds no memory, or would
 * go over the limit, changes nothing. Keys are also kept in the order they were made, so that no
 * answer ever depends on the order of hashes. Keys with a deadline are gone when it has passed:
 * when they are looked for, and by one delayed call that sweeps them. Used by the commands.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "buffer.h"
#include "hash.h"

/* Deadlines are the reactor's milliseconds, see kv_store_now. */
#define KV_NO_DEADLINE INT64_MAX

/* The longest value, as in Redis (proto-max-bulk-len). */
#define KV_VALUE_MAX ((size_t)512 * 1024 * 1024)

typedef struct kv_entry {
    struct kv_entry *chain;         /* next in its bucket */
    struct kv_entry *older, *newer; /* in order of making */
    uint64_t hash;
    uint64_t serial;
    int64_t deadline_ms;
    uint8_t *value;
    size_t value_len, value_room;
    uint32_t heap_place;
    uint32_t key_len;
    uint8_t key[];
} kv_entry;

typedef struct kv_table {
    kv_entry **buckets; /* NULL: no table */
    size_t mask;
} kv_table;

typedef struct kv_store {
    dw_reactor *reactor;
    size_t memory_max; /* 0: no limit */
    size_t memory;     /* what keys, values and tables take */
    size_t count;
    kv_hash_key secret;
    kv_table table, draining; /* draining: the smaller one before, being emptied */
    size_t drained;           /* buckets of it that are empty already */
    kv_entry *oldest, *newest;
    uint64_t serial;
    kv_entry **heap; /* keys with a deadline, the earliest first */
    uint32_t heap_count, heap_room;
    dw_delayed_call sweep;
} kv_store;

/* Returns 0 or DW_NO_MEMORY; fini is fine after either. */
int kv_store_init(kv_store *store, dw_reactor *reactor, size_t memory_max);
void kv_store_fini(kv_store *store);

/* Now, in the milliseconds of deadlines. */
int64_t kv_store_now(const kv_store *store);

/* The entry of `key`, or NULL. Good until the store is changed. */
kv_entry *kv_store_find(kv_store *store, kv_slice key);

kv_slice kv_entry_key(const kv_entry *entry);
kv_slice kv_entry_value(const kv_entry *entry);

/* Makes or replaces the value, and its deadline. Returns 0 or DW_NO_MEMORY: nothing has changed. */
int kv_store_set(kv_store *store, kv_slice key, kv_slice value, int64_t deadline_ms);

/* The same for `count` pairs key, value, key, value, ...; all or none. */
int kv_store_set_many(kv_store *store, const kv_slice *pairs, size_t count);

/* Replaces the value and leaves the deadline alone. */
int kv_store_replace(kv_store *store, kv_entry *entry, kv_slice value);

/* Puts bytes behind the value. */
int kv_store_append(kv_store *store, kv_entry *entry, kv_slice more);

/* Sets a deadline, or takes it away. Taking it away cannot fail. */
int kv_store_set_deadline(kv_store *store, kv_entry *entry, int64_t deadline_ms);

void kv_store_delete(kv_store *store, kv_entry *entry);
void kv_store_clear(kv_store *store);

/* How many keys there are; one whose deadline has just passed may still be counted. */
size_t kv_store_count(const kv_store *store);

/* All keys whose deadline has not passed, in order of making: start with NULL. */
kv_entry *kv_store_next(const kv_store *store, const kv_entry *entry);

/* ---- Between store.c and expiry.c ---- */

#define KV_NOT_IN_HEAP UINT32_MAX

bool kv_entry_expired(const kv_store *store, const kv_entry *entry);
/* Makes room for one more key with a deadline. */
int kv_expiry_reserve(kv_store *store);
/* Sets the deadline; a first one needs a reserved place. Cannot fail. */
void kv_expiry_set(kv_store *store, kv_entry *entry, int64_t deadline_ms);
void kv_expiry_clear(kv_store *store);
/* dw_resize, counted and limited. */
void *kv_store_resize(kv_store *store, void *block, size_t old_size, size_t size,
                      const char *where);
void kv_store_release(kv_store *store, void *block, size_t size);

#endif
