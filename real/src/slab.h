/* SPDX-License-Identifier: MIT */
/*
 * The default allocator of a live reactor. Blocks of up to DW_SLAB_BLOCK_MAX bytes, a transport or
 * a protocol, are carved from slabs without a header of their own, so that they cost what they are
 * and lie together; larger ones are malloc's. One reactor's, and so without locks. Where a
 * sanitizer watches the heap all blocks are malloc's; who wants the same for another tool gives the
 * reactor dw_allocator_libc.
 */
#ifndef DRYWIRE_REAL_SLAB_H
#define DRYWIRE_REAL_SLAB_H

#include "drywire/drywire.h"

#define DW_SLAB_BLOCK_MAX 256
/* Blocks are given out in steps of this, which is what malloc aligns to. */
#define DW_SLAB_STEP 16

struct dw_slab;

/* Zero-initialised it is empty. */
struct dw_slabs {
    struct dw_slab *with_room[DW_SLAB_BLOCK_MAX / DW_SLAB_STEP]; /* by size */
    struct dw_slab **table; /* all slabs by address, open addressing, a power of two */
    uint32_t count, room;
};

/* The allocator whose memory `slabs` is; borrows it. */
dw_allocator dw_slabs_allocator(struct dw_slabs *slabs);

/* Gives everything back, also blocks that nobody has released. */
void dw_slabs_fini(struct dw_slabs *slabs);

#endif
