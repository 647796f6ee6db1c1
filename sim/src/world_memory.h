/* SPDX-License-Identifier: MIT */
/*
 * The world's memory: all that a run takes lies in it, and is taken back at once when the run is
 * over. Hosts' programs have theirs from it too, block by block, so that a crash frees them
 * (memory.c).
 */
#ifndef DRYWIRE_SIM_WORLD_MEMORY_H
#define DRYWIRE_SIM_WORLD_MEMORY_H

#include "drywire/host.h"

typedef struct sim_aside sim_aside;
typedef struct sim_block sim_block;
typedef struct sim_conn sim_conn;
typedef struct sim_socket sim_socket;

enum {
    SIZE_CLASSES = 12,
    BLOCK_CLASSES = 64 + SIZE_CLASSES,
    CLASS_FIRST = 64, /* class i holds CLASS_FIRST << i bytes */
    CLASS_NONE = 255, /* none of them does */
    SIM_LINE = 64     /* of a cache */
};

typedef struct sim_piece {
    struct sim_piece *next;
} sim_piece;

typedef struct sim_memory {
    sim_block *free_blocks[BLOCK_CLASSES];
    sim_piece *free_pieces[SIZE_CLASSES];
    sim_conn *free_conns;
    sim_aside *free_asides;
    sim_socket *free_sockets;
    struct sim_slab *slabs, *current;
    char *bump, *bump_end;
    sim_block *dead_transports;
} sim_memory;

/* Memory of one size class, used again for others of it: what segments and datagrams lie in. */
void *sim_piece_take(dw_world *world, size_t size, uint8_t *size_class);
/* At a multiple of `align`, a power of two. */
void *sim_world_alloc_aligned(dw_world *world, size_t size, size_t align);
void *sim_world_alloc(dw_world *world, size_t size);
void sim_memory_init_host(dw_host *host);
/* Takes back all that the host has. */
void sim_memory_drop(dw_host *host);
/* The oldest block that the host has, and how many there are. */
size_t sim_memory_leaks(const dw_host *host, size_t *bytes, const char **where, size_t *size);
void sim_memory_free(dw_world *world);
/* After this nothing taken from the world's memory is there any more. */
void sim_memory_reset(dw_world *world);

#endif
