/* SPDX-License-Identifier: MIT */
/*
 * A growing byte buffer with a limit, in the reactor's memory. A failed append changes nothing but
 * `failed`, so that a run of appends needs one check at its end. Used by parsers and replies.
 */
#ifndef KV_BUFFER_H
#define KV_BUFFER_H

#include "drywire/drywire.h"

/* Borrowed bytes. */
typedef struct kv_slice {
    const uint8_t *data;
    size_t len;
} kv_slice;

typedef struct kv_buffer {
    dw_reactor *reactor;
    uint8_t *data;
    size_t len, room;
    size_t max;  /* it never holds more */
    bool failed; /* an append found no memory, or would have gone over max */
} kv_buffer;

void kv_buffer_init(kv_buffer *buffer, dw_reactor *reactor, size_t max);
void kv_buffer_fini(kv_buffer *buffer);

/* Returns the place behind the content, with room for `extra` bytes, or NULL and sets failed. */
uint8_t *kv_buffer_reserve(kv_buffer *buffer, size_t extra);

/* Copies `len` bytes behind the content; false when that failed. */
bool kv_buffer_append(kv_buffer *buffer, const void *data, size_t len);

/* Forgets the content, and gives the memory back when there is more than `keep` of it. */
void kv_buffer_clear(kv_buffer *buffer, size_t keep);

/* A slice of a text. */
kv_slice kv_text(const char *text);

/* Whether the bytes are `word`, in any case; `word` is lower-case. */
bool kv_slice_is(kv_slice slice, const char *word);

#endif
