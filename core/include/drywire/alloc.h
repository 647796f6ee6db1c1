/* SPDX-License-Identifier: MIT */
/*
 * Memory. All that the library takes, and all that a protocol should take, comes from its reactor:
 * on the dry wire each allocation is counted, can be made to fail, is shown with its place in the
 * source when it is left over, and vanishes with a host that crashes.
 */
#ifndef DRYWIRE_ALLOC_H
#define DRYWIRE_ALLOC_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* Where a reactor gets its memory. The slots are called on the reactor's thread only. */
typedef struct dw_allocator {
    /* Returns `size` bytes (size > 0) aligned as malloc aligns them, or NULL. `where` is a literal
     * naming the place of the call. */
    void *(*alloc)(void *user, size_t size, const char *where);
    /* Like realloc for a block of this allocator: NULL leaves the old block as it was. */
    void *(*resize)(void *user, void *block, size_t size, const char *where);
    /* Takes back a block of this allocator; NULL is fine. */
    void (*release)(void *user, void *block);
    void *user;
} dw_allocator;

/* malloc, realloc and free. */
extern const dw_allocator dw_allocator_libc;

/* Returns a new block, not cleared, or NULL. Give it back with dw_free of the same reactor. */
#define dw_alloc(reactor, size) dw_alloc_at((reactor), (size), DW_HERE)

/* The same, cleared. */
#define dw_alloc_zeroed(reactor, size) dw_alloc_zeroed_at((reactor), (size), DW_HERE)

/* A cleared object of `type`, or NULL. */
#define dw_new(reactor, type) ((type *)dw_alloc_zeroed((reactor), sizeof(type)))

/* Like realloc: `block` may be NULL; on NULL the old block stays. */
#define dw_resize(reactor, block, size) dw_resize_at((reactor), (block), (size), DW_HERE)

void *dw_alloc_at(dw_reactor *reactor, size_t size, const char *where);
void *dw_alloc_zeroed_at(dw_reactor *reactor, size_t size, const char *where);
void *dw_resize_at(dw_reactor *reactor, void *block, size_t size, const char *where);

/* Gives a block back; NULL is fine. */
void dw_free(dw_reactor *reactor, void *block);

DW_END_DECLS

#endif
