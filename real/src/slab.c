/* SPDX-License-Identifier: MIT */
/*
 * Slabs of blocks of one size; see slab.h.
 *
 * A slab is aligned to its size, so the address of a block says which slab it would be in; the
 * table says whether there is such a slab. Invariant: a slab is in the list of its size while it
 * has room, and in the table always; one that becomes empty is freed unless it is the only one of
 * its size that has room.
 */
#include "slab.h"

#include "drywire/backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define HEAP_IS_WATCHED 1
#endif
#endif
#ifndef HEAP_IS_WATCHED
#define HEAP_IS_WATCHED 0
#endif

#define SLAB_SIZE   ((size_t)65536)
#define TABLE_FIRST 8

struct free_block {
    struct free_block *next;
};

struct dw_slab {
    struct dw_slab *next, *previous; /* of those with room */
    struct free_block *free;
    char *fresh; /* from here on no block was given out yet: those pages may not exist */
    uint32_t block_size, used;
    char padding[64 - 3 * sizeof(void *) - sizeof(char *) - 8];
    char blocks[];
};

/* ---- The table ---- */

static struct dw_slab *slab_at(const void *block) {
    return (struct dw_slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_SIZE - 1));
}

/* Where the slab would like to be. The kernel maps them side by side, so there is no better hash.
 */
static uint32_t home_of(const struct dw_slabs *slabs, const struct dw_slab *slab) {
    return (uint32_t)((uintptr_t)slab / SLAB_SIZE) & (slabs->room - 1);
}

/* Where it is in the table, or the empty place where it would be. */
DW_SELDOM static uint32_t place_of(const struct dw_slabs *slabs, const struct dw_slab *slab) {
    uint32_t place = home_of(slabs, slab);
    while (slabs->table[place] != NULL && slabs->table[place] != slab) {
        place = (place + 1) & (slabs->room - 1);
    }
    return place;
}

/* The slab that the block is of, or NULL for one of malloc's. */
static struct dw_slab *slab_of(const struct dw_slabs *slabs, const void *block) {
    struct dw_slab *slab = slab_at(block);
    if (slabs->count == 0) {
        return NULL;
    }
    if (slabs->table[home_of(slabs, slab)] == slab) {
        return slab;
    }
    return slabs->table[place_of(slabs, slab)];
}

/* Half full at most. */
static bool table_reserve(struct dw_slabs *slabs) {
    if (slabs->count * 2 < slabs->room) {
        return true;
    }
    uint32_t room = slabs->room > 0 ? slabs->room * 2 : TABLE_FIRST;
    struct dw_slab **table = calloc(room, sizeof(*table));
    if (table == NULL) {
        return false;
    }
    struct dw_slabs larger = {.table = table, .room = room};
    for (uint32_t i = 0; i < slabs->room; i++) {
        if (slabs->table[i] != NULL) {
            table[place_of(&larger, slabs->table[i])] = slabs->table[i];
        }
    }
    free(slabs->table);
    slabs->table = table;
    slabs->room = room;
    return true;
}

/* Those that lie behind it in the same run of places may have wanted its own: they are put anew. */
static void table_remove(struct dw_slabs *slabs, const struct dw_slab *slab) {
    uint32_t place = place_of(slabs, slab);
    slabs->table[place] = NULL;
    slabs->count--;
    for (;;) {
        place = (place + 1) & (slabs->room - 1);
        struct dw_slab *moved = slabs->table[place];
        if (moved == NULL) {
            return;
        }
        slabs->table[place] = NULL;
        slabs->table[place_of(slabs, moved)] = moved;
    }
}

/* ---- Slabs ---- */

static struct dw_slab **list_of(struct dw_slabs *slabs, size_t block_size) {
    return &slabs->with_room[block_size / DW_SLAB_STEP - 1];
}

static void list_add(struct dw_slabs *slabs, struct dw_slab *slab) {
    struct dw_slab **head = list_of(slabs, slab->block_size);
    slab->previous = NULL;
    slab->next = *head;
    if (*head != NULL) {
        (*head)->previous = slab;
    }
    *head = slab;
}

static void list_remove(struct dw_slabs *slabs, struct dw_slab *slab) {
    if (slab->previous != NULL) {
        slab->previous->next = slab->next;
    } else {
        *list_of(slabs, slab->block_size) = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->previous = slab->previous;
    }
}

static bool is_fresh_left(const struct dw_slab *slab) {
    return slab->fresh + slab->block_size <= (const char *)slab + SLAB_SIZE;
}

static void *map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

/* Pages beside one another, as malloc's aligned blocks are not. The kernel puts a mapping next to
 * the one before, so that after the first they are aligned by themselves. */
static void *map_slab(void) {
    char *memory = map(SLAB_SIZE);
    if (memory == NULL || (uintptr_t)memory % SLAB_SIZE == 0) {
        return memory;
    }
    (void)munmap(memory, SLAB_SIZE);
    memory = map(SLAB_SIZE * 2);
    if (memory == NULL) {
        return NULL;
    }
    size_t before = (SLAB_SIZE - (uintptr_t)memory % SLAB_SIZE) % SLAB_SIZE;
    if (before > 0) {
        (void)munmap(memory, before);
    }
    (void)munmap(memory + before + SLAB_SIZE, SLAB_SIZE - before);
    return memory + before;
}

DW_SELDOM static struct dw_slab *slab_new(struct dw_slabs *slabs, size_t block_size) {
    struct dw_slab *slab = table_reserve(slabs) ? map_slab() : NULL;
    if (slab == NULL) {
        return NULL;
    }
    *slab = (struct dw_slab){.block_size = (uint32_t)block_size, .fresh = slab->blocks};
    slabs->table[place_of(slabs, slab)] = slab;
    slabs->count++;
    list_add(slabs, slab);
    return slab;
}

/* The last of those that were given back, or one that never was given out. */
DW_SELDOM static void *take_last(struct dw_slabs *slabs, struct dw_slab *slab) {
    struct free_block *block = slab->free;
    slab->free = NULL;
    if (block == NULL) {
        block = (struct free_block *)(void *)slab->fresh;
        slab->fresh += slab->block_size;
    }
    slab->used++;
    if (!is_fresh_left(slab)) {
        list_remove(slabs, slab);
    }
    return block;
}

static inline void *take_block(struct dw_slabs *slabs, struct dw_slab *slab) {
    struct free_block *block = slab->free;
    if (block == NULL || block->next == NULL) {
        return take_last(slabs, slab);
    }
    slab->free = block->next;
    slab->used++;
    return block;
}

DW_SELDOM static void slab_free(struct dw_slabs *slabs, struct dw_slab *slab) {
    list_remove(slabs, slab);
    table_remove(slabs, slab);
    (void)munmap(slab, SLAB_SIZE);
}

/* The first that is given back to a slab that may have been full, or the last that it had given
 * out. */
DW_SELDOM static void give_edge(struct dw_slabs *slabs, struct dw_slab *slab,
                                struct free_block *block) {
    if (slab->free == NULL && !is_fresh_left(slab)) {
        list_add(slabs, slab);
    }
    block->next = slab->free;
    slab->free = block;
    slab->used--;
    if (slab->used == 0 && (slab->next != NULL || slab->previous != NULL)) {
        slab_free(slabs, slab);
    }
}

static inline void give_block(struct dw_slabs *slabs, struct dw_slab *slab, void *memory) {
    struct free_block *block = memory;
    if (slab->free == NULL || slab->used == 1) {
        give_edge(slabs, slab, block);
        return;
    }
    block->next = slab->free;
    slab->free = block;
    slab->used--;
}

/* ---- The allocator ---- */

DW_SELDOM static void *take_new(struct dw_slabs *slabs, size_t size) {
    struct dw_slab *slab = slab_new(slabs, size);
    return slab != NULL ? take_block(slabs, slab) : NULL;
}

static void *slabs_alloc(void *user, size_t size, const char *where) {
    struct dw_slabs *slabs = user;
    (void)where;
    if (size > DW_SLAB_BLOCK_MAX || HEAP_IS_WATCHED) {
        return malloc(size);
    }
    size = (size + DW_SLAB_STEP - 1) / DW_SLAB_STEP * DW_SLAB_STEP;
    struct dw_slab *slab = *list_of(slabs, size);
    return slab != NULL ? take_block(slabs, slab) : take_new(slabs, size);
}

/* Of malloc's, or of a slab that is not where it would like to be in the table. */
DW_APART static void release_otherwise(struct dw_slabs *slabs, void *block) {
    struct dw_slab *slab = slab_of(slabs, block);
    if (slab != NULL) {
        give_block(slabs, slab, block);
    } else {
        free(block);
    }
}

static void slabs_release(void *user, void *block) {
    struct dw_slabs *slabs = user;
    struct dw_slab *slab = slab_at(block);
    if (slab != NULL && slabs->count > 0 && slabs->table[home_of(slabs, slab)] == slab) {
        give_block(slabs, slab, block);
    } else {
        release_otherwise(slabs, block);
    }
}

static void *slabs_resize(void *user, void *block, size_t size, const char *where) {
    struct dw_slabs *slabs = user;
    struct dw_slab *slab = slab_of(slabs, block);
    if (slab == NULL) {
        return realloc(block, size);
    }
    if (size <= slab->block_size) {
        return block;
    }
    void *larger = slabs_alloc(slabs, size, where);
    if (larger != NULL) {
        memcpy(larger, block, slab->block_size);
        give_block(slabs, slab, block);
    }
    return larger;
}

dw_allocator dw_slabs_allocator(struct dw_slabs *slabs) {
    return (dw_allocator){slabs_alloc, slabs_resize, slabs_release, slabs};
}

void dw_slabs_fini(struct dw_slabs *slabs) {
    for (uint32_t i = 0; i < slabs->room; i++) {
        if (slabs->table[i] != NULL) {
            (void)munmap(slabs->table[i], SLAB_SIZE);
        }
    }
    free(slabs->table);
    *slabs = (struct dw_slabs){.count = 0};
}
