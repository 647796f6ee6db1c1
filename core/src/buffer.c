/* SPDX-License-Identifier: MIT */
/*
 * Write buffers. A connection holds one only while it has something unsent; empty ones wait in a
 * small pool of the reactor, so that an echo allocates nothing and an idle connection holds
 * nothing.
 */
#include "internal.h"

enum { BUFFER_FIRST = 4096, BUFFER_KEEP = 65536, POOL_MAX = 8 };

const char dw_where_buffer[] = "a write buffer";

static dw_buffer *buffer_take(dw_reactor *reactor, size_t len) {
    dw_buffer *buffer = reactor->pool;
    if (buffer != NULL && buffer->room >= len) {
        reactor->pool = buffer->next;
        reactor->pool_count--;
        return buffer;
    }
    size_t room = len > BUFFER_FIRST ? len : BUFFER_FIRST;
    buffer = dw_alloc_at(reactor, sizeof(*buffer) + room, dw_where_buffer);
    if (buffer != NULL) {
        *buffer = (dw_buffer){.room = room};
    }
    return buffer;
}

/* Makes room for `len` more bytes behind tail: moves to the front when that is cheap, else grows.
 */
static bool buffer_reserve(dw_reactor *reactor, dw_buffer **where, size_t len) {
    dw_buffer *buffer = *where;
    size_t used = buffer->tail - buffer->head;
    if (buffer->room - buffer->tail >= len) {
        return true;
    }
    if (buffer->room - used >= len && buffer->head >= used) {
        memmove(buffer->bytes, buffer->bytes + buffer->head, used);
        buffer->head = 0;
        buffer->tail = used;
        return true;
    }
    size_t need = buffer->tail + len;
    size_t room = buffer->room;
    while (room < need) {
        if (room > SIZE_MAX / 4) {
            return false;
        }
        room *= 2;
    }
    buffer = dw_resize_at(reactor, buffer, sizeof(*buffer) + room, dw_where_buffer);
    if (buffer == NULL) {
        return false;
    }
    buffer->room = room;
    *where = buffer;
    return true;
}

bool dw_buffer_append(dw_reactor *reactor, dw_buffer **where, const void *data, size_t len) {
    if (*where == NULL) {
        *where = buffer_take(reactor, len);
        if (*where == NULL) {
            return false;
        }
    } else if (!buffer_reserve(reactor, where, len)) {
        return false;
    }
    memcpy((*where)->bytes + (*where)->tail, data, len);
    (*where)->tail += len;
    return true;
}

void dw_buffer_release(dw_reactor *reactor, dw_buffer *buffer) {
    if (buffer == NULL) {
        return;
    }
    if (reactor->pool_count >= POOL_MAX || buffer->room > BUFFER_KEEP) {
        dw_free(reactor, buffer);
        return;
    }
    buffer->head = buffer->tail = 0;
    buffer->next = reactor->pool;
    reactor->pool = buffer;
    reactor->pool_count++;
}

void dw_buffer_pool_clear(dw_reactor *reactor) {
    while (reactor->pool != NULL) {
        dw_buffer *next = reactor->pool->next;
        dw_free(reactor, reactor->pool);
        reactor->pool = next;
    }
    reactor->pool_count = 0;
}
