/* SPDX-License-Identifier: MIT */
/*
 * RESP2 replies. Each function reserves once and then writes, so the common replies cost one check.
 * See put.h.
 */
#include "put.h"

#include "resp.h"

#include <string.h>

static size_t put_header(uint8_t *place, char type, int64_t value) {
    place[0] = (uint8_t)type;
    size_t len = 1 + kv_format_integer((char *)place + 1, value);
    place[len] = '\r';
    place[len + 1] = '\n';
    return len + 2;
}

static void put_number(kv_buffer *out, char type, int64_t value) {
    uint8_t *place = kv_buffer_reserve(out, KV_INTEGER_MAX + 3);
    if (place != NULL) {
        out->len += put_header(place, type, value);
    }
}

static void put_line(kv_buffer *out, char type, const char *text) {
    size_t len = strlen(text);
    uint8_t *place = kv_buffer_reserve(out, len + 3);
    if (place != NULL) {
        place[0] = (uint8_t)type;
        memcpy(place + 1, text, len);
        memcpy(place + 1 + len, "\r\n", 2);
        out->len += len + 3;
    }
}

void kv_put_status(kv_buffer *out, const char *text) {
    put_line(out, '+', text);
}

void kv_put_error(kv_buffer *out, const char *text) {
    put_line(out, '-', text);
}

void kv_put_integer(kv_buffer *out, int64_t value) {
    put_number(out, ':', value);
}

void kv_put_array(kv_buffer *out, size_t count) {
    put_number(out, '*', (int64_t)count);
}

void kv_put_null(kv_buffer *out) {
    kv_buffer_append(out, "$-1\r\n", 5);
}

void kv_put_bulk(kv_buffer *out, kv_slice text) {
    uint8_t *place = kv_buffer_reserve(out, text.len + KV_INTEGER_MAX + 5);
    if (place == NULL) {
        return;
    }
    size_t header = put_header(place, '$', (int64_t)text.len);
    if (text.len > 0) {
        memcpy(place + header, text.data, text.len);
    }
    memcpy(place + header + text.len, "\r\n", 2);
    out->len += header + text.len + 2;
}

size_t kv_bulk_size(size_t len) {
    char digits[KV_INTEGER_MAX];
    return 1 + kv_format_integer(digits, (int64_t)len) + 2 + len + 2;
}

void kv_put_error_begin(kv_buffer *out, const char *text) {
    kv_buffer_append(out, "-", 1);
    kv_buffer_append(out, text, strlen(text));
}

size_t kv_put_error_some(kv_buffer *out, kv_slice bytes, size_t max) {
    size_t len = 0;
    while (len < bytes.len && len < max && bytes.data[len] != '\0') {
        len++;
    }
    uint8_t *place = kv_buffer_reserve(out, len);
    if (place == NULL) {
        return len;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = bytes.data[i];
        place[i] = c == '\r' || c == '\n' ? ' ' : c;
    }
    out->len += len;
    return len;
}

void kv_put_error_end(kv_buffer *out, const char *text) {
    kv_buffer_append(out, text, strlen(text));
    kv_buffer_append(out, "\r\n", 2);
}
