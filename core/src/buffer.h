/* SPDX-License-Identifier: MIT */
/*
 * Write buffers: bytes [head, tail) of one block (buffer.c).
 */
#ifndef DRYWIRE_CORE_BUFFER_H
#define DRYWIRE_CORE_BUFFER_H

#include "drywire/backend.h"

#include <string.h>

typedef struct dw_buffer {
    struct dw_buffer *next; /* in the pool */
    size_t room, head, tail;
    uint8_t bytes[];
} dw_buffer;

/* Appends; *buffer may be NULL at first. False without memory, then nothing has changed. */
bool dw_buffer_append(dw_reactor *reactor, dw_buffer **buffer, const void *data, size_t len);
/* Gives it back to the reactor's pool, or to the allocator; NULL is fine. */
void dw_buffer_release(dw_reactor *reactor, dw_buffer *buffer);
/* Frees the pool. */
void dw_buffer_pool_clear(dw_reactor *reactor);

/* An empty one of the pool's, filled with `len` bytes; NULL: none lies ready that holds them. */
static inline dw_buffer *buffer_fill_pooled(dw_reactor *reactor, const void *data, size_t len) {
    dw_buffer *buffer = reactor->pool;
    if (buffer == NULL || buffer->room < len) {
        return NULL;
    }
    reactor->pool = buffer->next;
    reactor->pool_count--;
    memcpy(buffer->bytes, data, len);
    buffer->tail = len;
    return buffer;
}

static inline size_t buffer_len(const dw_buffer *buffer) {
    return buffer == NULL ? 0 : buffer->tail - buffer->head;
}

#endif
