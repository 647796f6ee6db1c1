/* SPDX-License-Identifier: MIT */
/*
 * Replies in RESP2, written behind what a buffer holds. A failure is kept in the buffer's `failed`.
 * Used by the commands and the server.
 */
#ifndef KV_PUT_H
#define KV_PUT_H

#include "buffer.h"

void kv_put_status(kv_buffer *out, const char *text);
void kv_put_integer(kv_buffer *out, int64_t value);
void kv_put_bulk(kv_buffer *out, kv_slice text);
void kv_put_null(kv_buffer *out);
void kv_put_array(kv_buffer *out, size_t count);

/* `text` with its code: "ERR syntax error". */
void kv_put_error(kv_buffer *out, const char *text);

/* An error line in pieces: begin, any number of pieces of a client's bytes, end. The bytes are cut
 * at a NUL and at `max`, and cannot break the line. put_some returns how many it wrote. */
void kv_put_error_begin(kv_buffer *out, const char *text);
size_t kv_put_error_some(kv_buffer *out, kv_slice bytes, size_t max);
void kv_put_error_end(kv_buffer *out, const char *text);

/* The number of bytes that kv_put_bulk writes. */
size_t kv_bulk_size(size_t len);

#endif
