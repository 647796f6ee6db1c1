/* SPDX-License-Identifier: MIT */
/*
 * Memory through the reactor's allocator, and the allocator that is libc's malloc.
 */
#include "internal.h"

#include <stdlib.h>

static void *libc_alloc(void *user, size_t size, const char *where) {
    (void)user;
    (void)where;
    return malloc(size);
}

static void *libc_resize(void *user, void *block, size_t size, const char *where) {
    (void)user;
    (void)where;
    return realloc(block, size);
}

static void libc_release(void *user, void *block) {
    (void)user;
    free(block);
}

const dw_allocator dw_allocator_libc = {libc_alloc, libc_resize, libc_release, NULL};

void *dw_alloc_at(dw_reactor *reactor, size_t size, const char *where) {
    return reactor->allocator.alloc(reactor->allocator.user, size > 0 ? size : 1, where);
}

void *dw_alloc_zeroed_at(dw_reactor *reactor, size_t size, const char *where) {
    void *block = dw_alloc_at(reactor, size, where);
    return block != NULL ? memset(block, 0, size) : NULL;
}

void *dw_resize_at(dw_reactor *reactor, void *block, size_t size, const char *where) {
    size = size > 0 ? size : 1;
    if (block == NULL) {
        return reactor->allocator.alloc(reactor->allocator.user, size, where);
    }
    return reactor->allocator.resize(reactor->allocator.user, block, size, where);
}

void dw_free(dw_reactor *reactor, void *block) {
    if (block != NULL) {
        reactor->allocator.release(reactor->allocator.user, block);
    }
}
