/* SPDX-License-Identifier: MIT */
/*
 * What both RESP parsers stand on: a window on the incoming bytes that begins with the message
 * being parsed. While a message lies whole in the incoming chunk it is parsed there, without a
 * copy; when the chunk ends first, its part of the message is held, and later chunks add just the
 * bytes that the current step waits for. So the held bytes never go past the end of the message.
 */
#ifndef KV_INPUT_H
#define KV_INPUT_H

#include "buffer.h"

/* A line: a count, a length, a status, an inline request (Redis's PROTO_INLINE_MAX_SIZE). */
#define KV_LINE_MAX 65536

typedef struct kv_input {
    const uint8_t *chunk; /* not yet used up; borrowed */
    size_t chunk_len;
    kv_buffer held; /* the message's bytes so far, when it spans chunks */
    size_t at;      /* where the current step begins, counted from the message's first byte */
    size_t seen;    /* bytes looked at, >= at */
    bool whole;     /* the message is complete: `at` is its length, its bytes are still in use */
} kv_input;

void kv_input_init(kv_input *input, dw_reactor *reactor, size_t held_max);
void kv_input_fini(kv_input *input);

/* Forgets everything: a new connection. */
void kv_input_reset(kv_input *input);

/* The next bytes of the stream, borrowed until they are used up. The chunk before them must be. */
void kv_input_feed(kv_input *input, const uint8_t *data, size_t len);

/* The message's bytes so far; *len gets how many there are. */
const uint8_t *kv_input_window(const kv_input *input, size_t *len);

/* Drops the complete message, if there is one, and begins the next. */
void kv_input_next(kv_input *input);

/* What the current step waits for. */
typedef enum kv_wait {
    KV_WAIT_BYTES, /* the message's first `target` bytes */
    KV_WAIT_CRLF,  /* a '\r' and one byte more */
    KV_WAIT_LF,    /* a '\n' */
} kv_wait;

typedef enum kv_more {
    KV_MORE_TAKEN, /* the window has grown: look again */
    KV_MORE_NONE,  /* the chunk is used up */
    KV_MORE_NO_MEMORY,
} kv_more;

/* The step lacks bytes: adds what it waits for, as far as the chunk has it. */
kv_more kv_input_more(kv_input *input, kv_wait wait, size_t target);

/* Looks for `end` from `seen` on, within `max` bytes from `at`. Leaves `seen` at it, or behind the
 * last byte looked at. */
typedef enum kv_found { KV_FOUND, KV_NOT_YET, KV_TOO_LONG } kv_found;
kv_found kv_input_find(kv_input *input, uint8_t end, size_t max);

#endif
