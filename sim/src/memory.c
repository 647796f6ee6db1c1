/* SPDX-License-Identifier: MIT */
/*
 * Memory of a world. Slabs that are kept from run to run give out segments, connections and the
 * blocks of hosts' allocators; each block knows its host and the place that asked for it, so a
 * crash takes all of a host's blocks and the end of a run lists what was left over.
 *
 * Invariant: after sim_memory_reset nothing of the last run is reachable, and the slabs are all
 * free.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifndef SIM_ASAN
#define SIM_ASAN 0
#endif

enum {
    SLAB_SIZE = 256 * 1024,
    STEP = 16, /* blocks of up to STEPS steps have a class for each size, others one for each power
                  of 2 */
    STEPS = BLOCK_CLASSES - SIZE_CLASSES,
    FREED_FILL = 0xdb, /* what a protocol reads from memory it gave back */
    FRESH_FILL = 0xa5, /* and from memory it has not written yet: the same in every run */
    PLACES_MAX = 32    /* that a finding about memory tells apart */
};

struct sim_block {
    sim_block *next, *previous; /* of the host's; next also links free ones */
    const char *where;
    uint32_t size;
    uint32_t owner; /* the host's index; or OWNED_BY_PAYER and the number of the connection that
                     * answers for it, by its promise; 0: given back */
};

_Static_assert(sizeof(void *) > 8 || sizeof(sim_block) <= 32, "what every block costs grew");

typedef struct sim_slab {
    struct sim_slab *next;
    size_t size;
} sim_slab;

static void *must(void *memory) {
    if (memory == NULL) {
        abort(); /* the simulator itself is out of memory: there is no run to report it in */
    }
    return memory;
}

/* ---- Slabs ---- */

static sim_slab *slab_of(dw_world *world) {
    return world->memory.slabs;
}

static void use_slab(sim_memory *memory, sim_slab *slab) {
    memory->current = slab;
    memory->bump = (char *)slab + SIM_LINE;
    memory->bump_end = (char *)slab + slab->size;
}

static void next_slab(sim_memory *memory, size_t size) {
    sim_slab *current = memory->current;
    if (current != NULL && current->next != NULL && current->next->size >= size + SIM_LINE) {
        use_slab(memory, current->next);
        return;
    }
    size_t room = size + SIM_LINE > SLAB_SIZE ? size + SIM_LINE : SLAB_SIZE;
    room = (room + SIM_LINE - 1) & ~(size_t)(SIM_LINE - 1);
    sim_slab *slab = must(aligned_alloc(SIM_LINE, room));
    slab->size = room;
    slab->next = current != NULL ? current->next : NULL;
    if (current != NULL) {
        current->next = slab;
    } else {
        memory->slabs = slab;
    }
    use_slab(memory, slab);
}

void *sim_world_alloc(dw_world *world, size_t size) {
    sim_memory *memory = &world->memory;
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(memory->bump_end - memory->bump) < size) {
        next_slab(memory, size);
    }
    void *block = memory->bump;
    memory->bump += size;
    return block;
}

static unsigned class_for(size_t size) {
    unsigned class = 0;
    while (class < SIZE_CLASSES && (size_t)CLASS_FIRST << class < size) {
        class ++;
    }
    return class < SIZE_CLASSES ? class : CLASS_NONE;
}

void *sim_world_alloc_aligned(dw_world *world, size_t size, size_t align) {
    sim_memory *memory = &world->memory;
    size_t skip = -(uintptr_t)memory->bump & (align - 1);
    if ((size_t)(memory->bump_end - memory->bump) >= size + skip) {
        memory->bump += skip;
    }
    return sim_world_alloc(world, size);
}

void *sim_piece_take(dw_world *world, size_t size, uint8_t *size_class) {
    sim_memory *memory = &world->memory;
    unsigned class = class_for(size);
    *size_class = (uint8_t) class;
    if (class == CLASS_NONE) {
        return sim_world_alloc(world, size);
    }
    sim_piece *piece = memory->free_pieces[class];
    if (piece == NULL) {
        return sim_world_alloc(world, (size_t)CLASS_FIRST << class);
    }
    memory->free_pieces[class] = piece->next;
    __builtin_prefetch(piece->next); /* it is taken next, and was given long ago perhaps */
    return piece;
}

sim_segment *sim_segment_new_any(dw_world *world, size_t len) {
    uint8_t size_class;
    sim_segment *segment = sim_piece_take(world, sizeof(*segment) + len, &size_class);
    *segment = (sim_segment){.len = (uint32_t)len, .size_class = size_class};
    return segment;
}

/* ---- Blocks of hosts ---- */

#define OWNED_BY_PAYER (UINT32_C(1) << 31)

static sim_block *block_of(void *memory) {
    return (sim_block *)memory - 1;
}

static uint32_t block_payer(const sim_block *block) {
    return (block->owner & OWNED_BY_PAYER) != 0 ? block->owner & ~OWNED_BY_PAYER : 0;
}

/* NULL: it was given back. */
static dw_host *block_host(const dw_world *world, const sim_block *block) {
    uint32_t payer = block_payer(block);
    if (payer != 0) {
        return world->payers[payer - 1]->host;
    }
    return block->owner != 0 ? world->host_table[block->owner - 1] : NULL;
}

/* Which connection answers for a new block: by its number, or 0. A transport begins another
 * connection: what follows is not the running callback's any more. */
static uint32_t payer_of(dw_world *world, const sim_block *block) {
    if (world->payer == NULL || block->where == dw_where_buffer ||
        block->where == dw_where_timers) {
        return 0;
    }
    if (block->where == dw_where_transport) {
        world->payer = NULL;
        return 0;
    }
    return world->payer->payer;
}

static void block_charge(dw_world *world, sim_block *block, uint32_t payer) {
    if (payer != 0) {
        block->owner = payer | OWNED_BY_PAYER;
        sim_watch_pays(world, payer, block->size);
    }
}

static void block_link(dw_host *host, sim_block *block) {
    block->owner = host->index;
    block->next = NULL;
    block->previous = host->blocks_tail;
    if (host->blocks_tail != NULL) {
        host->blocks_tail->next = block;
    } else {
        host->blocks_head = block;
    }
    host->blocks_tail = block;
    host->block_count++;
    host->block_bytes += block->size;
}

/* It is nobody's any more. */
static void block_unlink(dw_host *host, sim_block *block) {
    uint32_t payer = block_payer(block);
    if (block->previous != NULL) {
        block->previous->next = block->next;
    } else {
        host->blocks_head = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    } else {
        host->blocks_tail = block->previous;
    }
    host->block_count--;
    host->block_bytes -= block->size;
    if (payer != 0) {
        sim_watch_paid_back(host->world, payer, block->size);
    }
    block->owner = 0;
}

static unsigned block_class(const sim_block *block) {
    size_t whole = sizeof(*block) + block->size;
    if (SIM_ASAN) {
        return CLASS_NONE;
    }
    if (whole <= (size_t)STEPS * STEP) {
        return (unsigned)((whole - 1) / STEP);
    }
    unsigned class = class_for(whole);
    return class == CLASS_NONE ? class : STEPS + class;
}

/* Under AddressSanitizer each block comes from malloc, so that it sees every misuse. */
static sim_block *block_take(dw_world *world, size_t size) {
    sim_memory *memory = &world->memory;
    sim_block as = {.size = (uint32_t)size}, *block;
    unsigned class = block_class(&as);
    if (class == CLASS_NONE) {
        block = must(malloc(sizeof(*block) + size));
    } else if (memory->free_blocks[class] != NULL) {
        block = memory->free_blocks[class];
        memory->free_blocks[class] = block->next;
    } else {
        block = sim_world_alloc(world, class < STEPS ? (class + (size_t)1) * STEP
                                                     : (size_t)CLASS_FIRST << (class - STEPS));
    }
    block->size = (uint32_t)size;
    return block;
}

static void block_give(dw_world *world, sim_block *block) {
    sim_memory *memory = &world->memory;
    unsigned class = block_class(block);
    if (class == CLASS_NONE) {
        free(block);
        return;
    }
    block->next = memory->free_blocks[class];
    memory->free_blocks[class] = block;
}

static bool refused(dw_host *host) {
    dw_world *world = host->world;
    return choice_active(world, SIM_ALLOC) &&
           sim_choice_draw(world, SIM_ALLOC, (sim_who){WHO_HOST, host}, "alloc", &host->allocs,
                           2) != 0;
}

/* Counted by place, as far as there are PLACES_MAX. */
static const char *largest_place(const dw_host *host) {
    struct {
        const char *where;
        size_t bytes;
    } places[PLACES_MAX];
    size_t count = 0, best = 0;
    for (const sim_block *block = host->blocks_head; block != NULL; block = block->next) {
        size_t i = 0;
        while (i < count && strcmp(places[i].where, block->where) != 0) {
            i++;
        }
        if (i == PLACES_MAX) {
            continue;
        }
        if (i == count) {
            places[count].where = block->where;
            places[count++].bytes = 0;
        }
        places[i].bytes += block->size;
        best = places[i].bytes > places[best].bytes ? i : best;
    }
    return count > 0 ? places[best].where : "";
}

/* What grows and grows, most often because somebody does not read. */
static void check_memory(dw_host *host) {
    dw_world *world = host->world;
    if (host->block_bytes > world->memory_max && !world->failed) {
        const char *where = sim_base_name(largest_place(host));
        sim_world_finding(world, "memory", where,
                          "%s: the program holds more than %zu bytes, most of them from %s",
                          host->name, world->memory_max, where);
    }
}

/* Bytes on their way to a socket are core's alone, and read only where they were written. */
static bool is_seen_by_programs(const sim_block *block) {
    return block->where != dw_where_buffer;
}

static sim_block *host_take(dw_host *host, size_t size, const char *where) {
    if (refused(host) || size > UINT32_MAX) {
        return NULL;
    }
    sim_block *block = block_take(host->world, size);
    block->where = where;
    block_link(host, block);
    check_memory(host);
    if (is_seen_by_programs(block)) {
        memset(block + 1, FRESH_FILL, size);
    }
    return block;
}

static void *host_alloc(void *user, size_t size, const char *where) {
    dw_host *host = user;
    sim_block *block = host_take(host, size, where);
    if (block == NULL) {
        return NULL;
    }
    block_charge(host->world, block, payer_of(host->world, block));
    return block + 1;
}

/* Transports that are gone stay as they are until the run ends, so that a verb on one is noticed
 * and named (core marks them); everything else is overwritten. */
static void host_release(void *user, void *memory) {
    dw_host *host = user;
    sim_block *block = block_of(memory);
    if (!dw_contract(&host->reactor, block_host(host->world, block) == host, "contract",
                     "memory given back to another host, or twice")) {
        return;
    }
    block_unlink(host, block);
    if (block->where == dw_where_transport) {
        block->next = host->world->memory.dead_transports;
        host->world->memory.dead_transports = block;
        return;
    }
    if (is_seen_by_programs(block)) {
        memset(memory, FREED_FILL, block->size);
    }
    block_give(host->world, block);
}

/* Its payer never pays for the old block and the new one at once: realloc might not need to. */
static void *host_resize(void *user, void *memory, size_t size, const char *where) {
    dw_host *host = user;
    sim_block *block = block_of(memory);
    uint32_t payer = block_payer(block);
    if (where == dw_where_buffer && block->size > host->world->unsent_max) {
        sim_watch_unsent(host);
    }
    sim_block *bigger = host_take(host, size, where);
    if (bigger == NULL) {
        return NULL;
    }
    memcpy(bigger + 1, memory, size < block->size ? size : block->size);
    host_release(user, memory);
    block_charge(host->world, bigger, payer != 0 ? payer : payer_of(host->world, bigger));
    return bigger + 1;
}

void sim_memory_init_host(dw_host *host) {
    host->reactor.allocator = (dw_allocator){host_alloc, host_resize, host_release, host};
}

void sim_memory_drop(dw_host *host) {
    while (host->blocks_head != NULL) {
        sim_block *block = host->blocks_head;
        block_unlink(host, block);
        block_give(host->world, block);
    }
}

size_t sim_memory_leaks(const dw_host *host, size_t *bytes, const char **where, size_t *size) {
    const sim_block *first = host->blocks_head;
    *bytes = host->block_bytes;
    *where = first != NULL ? first->where : "";
    *size = first != NULL ? first->size : 0;
    return host->block_count;
}

/* ---- All of it ---- */

void sim_memory_reset(dw_world *world) {
    sim_memory *memory = &world->memory;
    while (SIM_ASAN && memory->dead_transports != NULL) { /* else they go with their slabs */
        sim_block *block = memory->dead_transports;
        memory->dead_transports = block->next;
        block_give(world, block);
    }
    memory->dead_transports = NULL;
    memset(memory->free_blocks, 0, sizeof(memory->free_blocks));
    memset(memory->free_pieces, 0, sizeof(memory->free_pieces));
    memory->free_conns = NULL;
    memory->free_asides = NULL;
    memory->free_sockets = NULL;
    memory->bump = memory->bump_end = NULL;
    memory->current = NULL;
    if (slab_of(world) != NULL) {
        use_slab(memory, slab_of(world));
    }
}

void sim_memory_free(dw_world *world) {
    sim_memory_reset(world);
    for (sim_slab *slab = slab_of(world); slab != NULL;) {
        sim_slab *next = slab->next;
        free(slab);
        slab = next;
    }
    world->memory = (sim_memory){0};
}
