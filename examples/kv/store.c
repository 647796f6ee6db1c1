/* SPDX-License-Identifier: MIT */
/*
 * The hash table. Invariant: each key is in exactly one bucket of `table` or `draining`, and in the
 * list of all keys. A table that is full gets a successor of twice its size; each change then moves
 * a few buckets, so that no single request pays for all. See store.h.
 */
#include "store.h"

#include <string.h>

#define BUCKETS_FIRST 64
/* Buckets moved with each change: more than 1, so that draining ends before the next growth. */
#define MOVES_PER_STEP 4
#define VALUE_ROOM_MIN 16

/* A value that is much smaller than its block gives the block back. */
#define VALUE_SLACK_MAX 1024

/* ---- Memory ---- */

void *kv_store_resize(kv_store *store, void *block, size_t old_size, size_t size,
                      const char *where) {
    if (store->memory_max > 0 && size > old_size) {
        size_t extra = size - old_size;
        if (store->memory > store->memory_max || extra > store->memory_max - store->memory) {
            return NULL;
        }
    }
    void *resized = dw_resize_at(store->reactor, block, size, where);
    if (resized != NULL) {
        store->memory = store->memory - old_size + size;
    }
    return resized;
}

void kv_store_release(kv_store *store, void *block, size_t size) {
    if (block != NULL) {
        dw_free(store->reactor, block);
        store->memory -= size;
    }
}

static size_t entry_size(size_t key_len) {
    return sizeof(kv_entry) + key_len;
}

static void free_entry(kv_store *store, kv_entry *entry) {
    kv_store_release(store, entry->value, entry->value_room);
    kv_store_release(store, entry, entry_size(entry->key_len));
}

/* ---- Tables ---- */

static bool make_table(kv_store *store, kv_table *table, size_t buckets) {
    size_t size = buckets * sizeof(kv_entry *);
    if (store->memory_max > 0 &&
        (store->memory > store->memory_max || size > store->memory_max - store->memory)) {
        return false;
    }
    table->buckets = dw_alloc_zeroed(store->reactor, size);
    if (table->buckets == NULL) {
        return false;
    }
    table->mask = buckets - 1;
    store->memory += size;
    return true;
}

static void free_table(kv_store *store, kv_table *table) {
    kv_store_release(store, table->buckets, (table->mask + 1) * sizeof(kv_entry *));
    *table = (kv_table){0};
}

static kv_entry **bucket_of(const kv_table *table, uint64_t hash) {
    return &table->buckets[hash & table->mask];
}

static void move_bucket(kv_store *store, size_t index) {
    kv_entry *entry = store->draining.buckets[index];
    store->draining.buckets[index] = NULL;
    while (entry != NULL) {
        kv_entry *next = entry->chain;
        kv_entry **bucket = bucket_of(&store->table, entry->hash);
        entry->chain = *bucket;
        *bucket = entry;
        entry = next;
    }
}

static void drain_some(kv_store *store) {
    if (store->draining.buckets == NULL) {
        return;
    }
    for (int i = 0; i < MOVES_PER_STEP; i++) {
        move_bucket(store, store->drained);
        if (store->drained++ == store->draining.mask) {
            free_table(store, &store->draining);
            return;
        }
    }
}

/* Without memory for a larger table the chains just get longer. */
static void grow_if_full(kv_store *store) {
    size_t buckets = store->table.mask + 1;
    if (store->count < buckets || store->draining.buckets != NULL) {
        return;
    }
    kv_table larger;
    if (make_table(store, &larger, buckets * 2)) {
        store->draining = store->table;
        store->table = larger;
        store->drained = 0;
    }
}

static bool same_key(const kv_entry *entry, uint64_t hash, kv_slice key) {
    return entry->hash == hash && entry->key_len == key.len &&
           (key.len == 0 || memcmp(entry->key, key.data, key.len) == 0);
}

/* The link that points at the key's entry, or NULL. */
static kv_entry **find_link(kv_store *store, uint64_t hash, kv_slice key) {
    kv_entry **link = bucket_of(&store->table, hash);
    for (; *link != NULL; link = &(*link)->chain) {
        if (same_key(*link, hash, key)) {
            return link;
        }
    }
    if (store->draining.buckets == NULL) {
        return NULL;
    }
    for (link = bucket_of(&store->draining, hash); *link != NULL; link = &(*link)->chain) {
        if (same_key(*link, hash, key)) {
            return link;
        }
    }
    return NULL;
}

/* ---- Life ---- */

int kv_store_init(kv_store *store, dw_reactor *reactor, size_t memory_max) {
    *store = (kv_store){.reactor = reactor, .memory_max = memory_max};
    store->secret.k0 = dw_reactor_random_number(reactor);
    store->secret.k1 = dw_reactor_random_number(reactor);
    return make_table(store, &store->table, BUCKETS_FIRST) ? 0 : DW_NO_MEMORY;
}

static void free_entries(kv_store *store) {
    kv_entry *entry = store->oldest;
    while (entry != NULL) {
        kv_entry *newer = entry->newer;
        free_entry(store, entry);
        entry = newer;
    }
    store->oldest = store->newest = NULL;
    store->count = 0;
}

void kv_store_fini(kv_store *store) {
    free_entries(store);
    kv_expiry_clear(store);
    free_table(store, &store->draining);
    free_table(store, &store->table);
}

/* Keeps the table: it is emptied in place, so this cannot fail. */
void kv_store_clear(kv_store *store) {
    free_entries(store);
    kv_expiry_clear(store);
    free_table(store, &store->draining);
    memset(store->table.buckets, 0, (store->table.mask + 1) * sizeof(kv_entry *));
}

/* ---- Reading ---- */

kv_slice kv_entry_key(const kv_entry *entry) {
    return (kv_slice){entry->key, entry->key_len};
}

kv_slice kv_entry_value(const kv_entry *entry) {
    return (kv_slice){entry->value, entry->value_len};
}

size_t kv_store_count(const kv_store *store) {
    return store->count;
}

kv_entry *kv_store_next(const kv_store *store, const kv_entry *entry) {
    kv_entry *next = entry == NULL ? store->oldest : entry->newer;
    while (next != NULL && kv_entry_expired(store, next)) {
        next = next->newer;
    }
    return next;
}

kv_entry *kv_store_find(kv_store *store, kv_slice key) {
    kv_entry **link = find_link(store, kv_hash(&store->secret, key.data, key.len), key);
    if (link == NULL) {
        return NULL;
    }
    if (kv_entry_expired(store, *link)) {
        kv_store_delete(store, *link);
        return NULL;
    }
    return *link;
}

/* ---- Changing ---- */

static void forget_in_list(kv_store *store, kv_entry *entry) {
    *(entry->older != NULL ? &entry->older->newer : &store->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &store->newest) = entry->older;
}

void kv_store_delete(kv_store *store, kv_entry *entry) {
    kv_entry **link = find_link(store, entry->hash, kv_entry_key(entry));
    *link = entry->chain;
    kv_expiry_set(store, entry, KV_NO_DEADLINE);
    forget_in_list(store, entry);
    free_entry(store, entry);
    store->count--;
    drain_some(store);
}

/* A key with its value that is not in the store yet. */
static kv_entry *make_entry(kv_store *store, kv_slice key, kv_slice value) {
    if (key.len >= UINT32_MAX || value.len > KV_VALUE_MAX) {
        return NULL;
    }
    kv_entry *entry = kv_store_resize(store, NULL, 0, entry_size(key.len), DW_HERE);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (kv_entry){
        .deadline_ms = KV_NO_DEADLINE, .heap_place = KV_NOT_IN_HEAP, .key_len = (uint32_t)key.len};
    size_t room = value.len > VALUE_ROOM_MIN ? value.len : VALUE_ROOM_MIN;
    entry->value = kv_store_resize(store, NULL, 0, room, DW_HERE);
    if (entry->value == NULL) {
        kv_store_release(store, entry, entry_size(key.len));
        return NULL;
    }
    if (key.len > 0) {
        memcpy(entry->key, key.data, key.len);
    }
    if (value.len > 0) {
        memcpy(entry->value, value.data, value.len);
    }
    entry->value_len = value.len;
    entry->value_room = room;
    entry->hash = kv_hash(&store->secret, entry->key, key.len);
    return entry;
}

static void insert(kv_store *store, kv_entry *entry) {
    kv_entry **bucket = bucket_of(&store->table, entry->hash);
    entry->chain = *bucket;
    *bucket = entry;
    entry->serial = store->serial++;
    entry->older = store->newest;
    entry->newer = NULL;
    *(store->newest != NULL ? &store->newest->newer : &store->oldest) = entry;
    store->newest = entry;
    store->count++;
    grow_if_full(store);
    drain_some(store);
}

int kv_store_replace(kv_store *store, kv_entry *entry, kv_slice value) {
    bool fits = value.len <= entry->value_room;
    if (!fits || entry->value_room - value.len > VALUE_SLACK_MAX) {
        size_t room = value.len > VALUE_ROOM_MIN ? value.len : VALUE_ROOM_MIN;
        uint8_t *block =
            value.len > KV_VALUE_MAX ? NULL : kv_store_resize(store, NULL, 0, room, DW_HERE);
        if (block != NULL) {
            kv_store_release(store, entry->value, entry->value_room);
            entry->value = block;
            entry->value_room = room;
        } else if (!fits) {
            return DW_NO_MEMORY;
        }
    }
    if (value.len > 0) {
        memmove(entry->value, value.data, value.len);
    }
    entry->value_len = value.len;
    return 0;
}

int kv_store_set(kv_store *store, kv_slice key, kv_slice value, int64_t deadline_ms) {
    if (deadline_ms != KV_NO_DEADLINE && kv_expiry_reserve(store) != 0) {
        return DW_NO_MEMORY;
    }
    kv_entry *entry = kv_store_find(store, key);
    if (entry != NULL) {
        if (kv_store_replace(store, entry, value) != 0) {
            return DW_NO_MEMORY;
        }
    } else {
        entry = make_entry(store, key, value);
        if (entry == NULL) {
            return DW_NO_MEMORY;
        }
        insert(store, entry);
    }
    kv_expiry_set(store, entry, deadline_ms);
    return 0;
}

/* Gives the entry's value to the key, which may be there already; uses `entry` up. Cannot fail. */
static void commit(kv_store *store, kv_entry *entry) {
    kv_entry *old = kv_store_find(store, kv_entry_key(entry));
    if (old == NULL) {
        insert(store, entry);
        return;
    }
    uint8_t *value = old->value;
    size_t room = old->value_room;
    old->value = entry->value;
    old->value_len = entry->value_len;
    old->value_room = entry->value_room;
    entry->value = value;
    entry->value_room = room;
    free_entry(store, entry);
    kv_expiry_set(store, old, KV_NO_DEADLINE);
}

static kv_entry *reversed(kv_entry *list) {
    kv_entry *out = NULL;
    while (list != NULL) {
        kv_entry *next = list->newer;
        list->newer = out;
        out = list;
        list = next;
    }
    return out;
}

int kv_store_set_many(kv_store *store, const kv_slice *pairs, size_t count) {
    kv_entry *first = NULL; /* what was made, the last pair first */
    size_t made = 0;
    for (; made < count; made++) {
        kv_entry *entry = make_entry(store, pairs[2 * made], pairs[2 * made + 1]);
        if (entry == NULL) {
            break;
        }
        entry->newer = first;
        first = entry;
    }
    bool all = made == count;
    first = reversed(first);
    while (first != NULL) {
        kv_entry *next = first->newer;
        if (all) {
            commit(store, first);
        } else {
            free_entry(store, first);
        }
        first = next;
    }
    return all ? 0 : DW_NO_MEMORY;
}

int kv_store_append(kv_store *store, kv_entry *entry, kv_slice more) {
    if (more.len > KV_VALUE_MAX || entry->value_len > KV_VALUE_MAX - more.len) {
        return DW_NO_MEMORY;
    }
    size_t len = entry->value_len + more.len;
    if (len > entry->value_room) {
        size_t room = len > KV_VALUE_MAX / 2 ? len : len * 2;
        uint8_t *block = kv_store_resize(store, entry->value, entry->value_room, room, DW_HERE);
        if (block == NULL) {
            room = len; /* without room to spare, then */
            block = kv_store_resize(store, entry->value, entry->value_room, room, DW_HERE);
        }
        if (block == NULL) {
            return DW_NO_MEMORY;
        }
        entry->value = block;
        entry->value_room = room;
    }
    if (more.len > 0) {
        memcpy(entry->value + entry->value_len, more.data, more.len);
    }
    entry->value_len = len;
    return 0;
}

int kv_store_set_deadline(kv_store *store, kv_entry *entry, int64_t deadline_ms) {
    if (deadline_ms != KV_NO_DEADLINE && entry->heap_place == KV_NOT_IN_HEAP &&
        kv_expiry_reserve(store) != 0) {
        return DW_NO_MEMORY;
    }
    kv_expiry_set(store, entry, deadline_ms);
    return 0;
}
