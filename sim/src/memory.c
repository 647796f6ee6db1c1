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
    CLASS_FIRST = 64,  /* class i holds CLASS_FIRST << i bytes */
    CLASS_NONE = 255,  /* a block of its own, from malloc */
    FREED_FILL = 0xdb, /* what a protocol reads from memory it gave back */
    FRESH_FILL = 0xa5, /* and from memory it has not written yet: the same in every run */
    PLACES_MAX = 32    /* that a finding about memory tells apart */
};

struct sim_block {
    sim_block *next, *previous; /* of the host's; next also links free ones */
    dw_host *host;
    const char *where;
    uint64_t size;
    uint32_t size_class;
    uint32_t payer; /* the connection that answers for it, by its promise; 0: none */
};

typedef struct sim_piece {
    struct sim_piece *next;
} sim_piece;

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
    if (current != NULL && current->next != NULL &&
        current->next->size >= size + SIM_LINE) {
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
    return piece;
}

void sim_piece_give(dw_world *world, void *piece, uint8_t size_class) {
    sim_piece *given = piece;
    if (size_class != CLASS_NONE) {
        given->next = world->memory.free_pieces[size_class];
        world->memory.free_pieces[size_class] = given;
    }
}

sim_segment *sim_segment_new(dw_world *world, size_t len) {
    uint8_t size_class;
    sim_segment *segment = sim_piece_take(world, sizeof(*segment) + len, &size_class);
    *segment = (sim_segment){.len = (uint32_t)len, .size_class = size_class};
    return segment;
}

void sim_segment_free(dw_world *world, sim_segment *segment) {
    sim_piece_give(world, segment, segment->size_class);
}

/* ---- Blocks of hosts ---- */

static sim_block *block_of(void *memory) {
    return (sim_block *)memory - 1;
}

/* A transport begins another connection: what follows is not the running callback's any more. */
static uint32_t charge(dw_world *world, const sim_block *block) {
    if (block->where == dw_where_transport) {
        world->payer = NULL;
        return 0;
    }
    bool shared = block->where == dw_where_buffer || block->where == dw_where_timers;
    return shared ? 0 : sim_watch_pays(world, block->size);
}

static void block_link(dw_host *host, sim_block *block) {
    block->payer = host->world->payer != NULL ? charge(host->world, block) : 0;
    block->host = host;
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

static void block_unlink(sim_block *block) {
    dw_host *host = block->host;
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
    if (block->payer != 0) {
        sim_watch_paid_back(host->world, block->payer, block->size);
    }
}

/* Under AddressSanitizer each block comes from malloc, so that it sees every misuse. */
static sim_block *block_take(dw_world *world, size_t size) {
    sim_memory *memory = &world->memory;
    size_t whole = sizeof(sim_block) + size;
    unsigned class = SIM_ASAN ? CLASS_NONE : class_for(whole);
    sim_block *block;
    if (class == CLASS_NONE) {
        block = must(malloc(whole));
    } else if (memory->free_blocks[class] != NULL) {
        block = memory->free_blocks[class];
        memory->free_blocks[class] = block->next;
    } else {
        block = sim_world_alloc(world, (size_t)CLASS_FIRST << class);
    }
    block->size = size;
    block->size_class = class;
    return block;
}

static void block_give(dw_world *world, sim_block *block) {
    sim_memory *memory = &world->memory;
    if (block->size_class == CLASS_NONE) {
        free(block);
        return;
    }
    block->next = memory->free_blocks[block->size_class];
    memory->free_blocks[block->size_class] = block;
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

static void *host_alloc(void *user, size_t size, const char *where) {
    dw_host *host = user;
    if (refused(host)) {
        return NULL;
    }
    sim_block *block = block_take(host->world, size);
    block->where = where;
    block_link(host, block);
    check_memory(host);
    memset(block + 1, FRESH_FILL, size);
    return block + 1;
}

/* Transports that are gone stay as they are until the run ends, so that a verb on one is noticed
 * and named (core marks them); everything else is overwritten. */
static void host_release(void *user, void *memory) {
    dw_host *host = user;
    sim_block *block = block_of(memory);
    if (!dw_contract(&host->reactor, block->host == host, "contract",
                     "memory given back to another host, or twice")) {
        return;
    }
    block_unlink(block);
    block->host = NULL;
    if (block->where == dw_where_transport) {
        block->next = host->world->memory.dead_transports;
        host->world->memory.dead_transports = block;
        return;
    }
    memset(memory, FREED_FILL, block->size);
    block_give(host->world, block);
}

static void *host_resize(void *user, void *memory, size_t size, const char *where) {
    sim_block *block = block_of(memory);
    dw_host *host = user;
    if (where == dw_where_buffer && block->size > host->world->unsent_max) {
        sim_watch_unsent(host);
    }
    void *bigger = host_alloc(user, size, where);
    if (bigger != NULL) {
        memcpy(bigger, memory, size < block->size ? size : block->size);
        host_release(user, memory);
    }
    return bigger;
}

void sim_memory_init_host(dw_host *host) {
    host->reactor.allocator = (dw_allocator){host_alloc, host_resize, host_release, host};
}

void sim_memory_drop(dw_host *host) {
    while (host->blocks_head != NULL) {
        sim_block *block = host->blocks_head;
        block_unlink(block);
        block->host = NULL;
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
    while (memory->dead_transports != NULL) {
        sim_block *block = memory->dead_transports;
        memory->dead_transports = block->next;
        block_give(world, block);
    }
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
