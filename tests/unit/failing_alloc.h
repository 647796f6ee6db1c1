/* SPDX-License-Identifier: MIT */
/*
 * An allocator that gives out as many blocks as it is told and then none, for tests on the live
 * wire. Invariant: `blocks_out` are given out and not back, so 0 when a reactor is gone.
 */
#ifndef DRYWIRE_TESTS_FAILING_ALLOC_H
#define DRYWIRE_TESTS_FAILING_ALLOC_H

#include <drywire/alloc.h>

#include <stdlib.h>

static int allocations_left, blocks_out;

static inline void *failing_alloc(void *user, size_t size, const char *where) {
    (void)user, (void)where;
    if (allocations_left-- <= 0) {
        return NULL;
    }
    blocks_out++;
    return malloc(size);
}

static inline void *failing_resize(void *user, void *block, size_t size, const char *where) {
    (void)user, (void)where;
    if (allocations_left-- <= 0) {
        return NULL;
    }
    blocks_out += block == NULL;
    return realloc(block, size);
}

static inline void failing_release(void *user, void *block) {
    (void)user;
    blocks_out -= block != NULL;
    free(block);
}

static const dw_allocator failing = {failing_alloc, failing_resize, failing_release, NULL};

#endif
