/* SPDX-License-Identifier: MIT */
/*
 * Growing byte buffers: len <= room, and len <= max at all times. See buffer.h.
 */
#include "buffer.h"

#include <string.h>

#define ROOM_FIRST 256

void kv_buffer_init(kv_buffer *buffer, dw_reactor *reactor, size_t max) {
    *buffer = (kv_buffer){.reactor = reactor, .max = max};
}

void kv_buffer_fini(kv_buffer *buffer) {
    dw_free(buffer->reactor, buffer->data);
    *buffer = (kv_buffer){.reactor = buffer->reactor, .max = buffer->max};
}

/* Doubles, so that appending is linear over all; never far past what the limit allows. */
static bool grow(kv_buffer *buffer, size_t need) {
    size_t room = buffer->room > 0 ? buffer->room : ROOM_FIRST;
    while (room < need) {
        room = room > SIZE_MAX / 2 ? need : room * 2;
    }
    if (room > buffer->max) {
        room = buffer->max;
    }
    uint8_t *data = dw_resize(buffer->reactor, buffer->data, room);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->room = room;
    return true;
}

uint8_t *kv_buffer_reserve(kv_buffer *buffer, size_t extra) {
    if (extra <= buffer->room - buffer->len && buffer->data != NULL) {
        return buffer->data + buffer->len;
    }
    if (buffer->len > buffer->max || extra > buffer->max - buffer->len ||
        !grow(buffer, buffer->len + extra)) {
        buffer->failed = true;
        return NULL;
    }
    return buffer->data + buffer->len;
}

bool kv_buffer_append(kv_buffer *buffer, const void *data, size_t len) {
    if (len == 0) {
        return true;
    }
    uint8_t *place = kv_buffer_reserve(buffer, len);
    if (place == NULL) {
        return false;
    }
    memcpy(place, data, len);
    buffer->len += len;
    return true;
}

void kv_buffer_clear(kv_buffer *buffer, size_t keep) {
    buffer->len = 0;
    buffer->failed = false;
    if (buffer->room > keep) {
        dw_free(buffer->reactor, buffer->data);
        buffer->data = NULL;
        buffer->room = 0;
    }
}

kv_slice kv_text(const char *text) {
    return (kv_slice){(const uint8_t *)text, strlen(text)};
}

bool kv_slice_is(kv_slice slice, const char *word) {
    for (size_t i = 0; i < slice.len; i++) {
        uint8_t c = slice.data[i];
        if (c >= 'A' && c <= 'Z') {
            c = (uint8_t)(c + ('a' - 'A'));
        }
        if (word[i] == '\0' || c != (uint8_t)word[i]) {
            return false;
        }
    }
    return word[slice.len] == '\0';
}
