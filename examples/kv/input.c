/* SPDX-License-Identifier: MIT */
/*
 * The window under the RESP parsers. Invariant: either the message lies in the chunk, or what there
 * is of it lies in `held` and nothing else does. See input.h.
 */
#include "input.h"

#include <string.h>

/* Memory kept between messages; a larger buffer goes back when its message is done. */
#define HELD_KEEP 16384

void kv_input_init(kv_input *input, dw_reactor *reactor, size_t held_max) {
    *input = (kv_input){0};
    kv_buffer_init(&input->held, reactor, held_max);
}

void kv_input_fini(kv_input *input) {
    kv_buffer_fini(&input->held);
}

void kv_input_reset(kv_input *input) {
    input->chunk = NULL;
    input->chunk_len = 0;
    input->at = input->seen = 0;
    input->whole = false;
    kv_buffer_clear(&input->held, HELD_KEEP);
}

void kv_input_feed(kv_input *input, const uint8_t *data, size_t len) {
    input->chunk = data;
    input->chunk_len = len;
}

const uint8_t *kv_input_window(const kv_input *input, size_t *len) {
    if (input->held.len > 0) {
        *len = input->held.len;
        return input->held.data;
    }
    *len = input->chunk_len;
    return input->chunk;
}

void kv_input_next(kv_input *input) {
    if (!input->whole) {
        return;
    }
    if (input->held.len > 0) {
        kv_buffer_clear(&input->held, HELD_KEEP);
    } else {
        input->chunk += input->at;
        input->chunk_len -= input->at;
    }
    input->at = input->seen = 0;
    input->whole = false;
}

/* How many bytes of the chunk the step waits for, at most; the rest may belong to later messages.
 */
static size_t wanted(const kv_input *input, kv_wait wait, size_t target) {
    const kv_buffer *held = &input->held;
    if (wait == KV_WAIT_BYTES) {
        return target > held->len ? target - held->len : 0;
    }
    if (wait == KV_WAIT_CRLF && input->seen < held->len) {
        return 1; /* the '\r' is there: only its successor is missing */
    }
    /* A line can only be too long by then; more of it would be of no use. */
    size_t most = input->at + KV_LINE_MAX + 2 - held->len;
    most = most < input->chunk_len ? most : input->chunk_len;
    const uint8_t *end = memchr(input->chunk, wait == KV_WAIT_LF ? '\n' : '\r', most);
    if (end == NULL) {
        return most;
    }
    return (size_t)(end - input->chunk) + (wait == KV_WAIT_LF ? 1 : 2);
}

kv_more kv_input_more(kv_input *input, kv_wait wait, size_t target) {
    if (input->chunk_len == 0) {
        return KV_MORE_NONE;
    }
    /* A message that does not end in its first chunk owns all that is left of it. */
    bool first = input->held.len == 0;
    size_t take = first ? input->chunk_len : wanted(input, wait, target);
    if (take > input->chunk_len) {
        take = input->chunk_len;
    }
    if (!kv_buffer_append(&input->held, input->chunk, take)) {
        return KV_MORE_NO_MEMORY;
    }
    input->chunk += take;
    input->chunk_len -= take;
    return first ? KV_MORE_NONE : KV_MORE_TAKEN;
}

kv_found kv_input_find(kv_input *input, uint8_t end, size_t max) {
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    size_t limit = input->at + max + 1;
    size_t stop = len < limit ? len : limit;
    while (input->seen < stop && window[input->seen] != end) {
        input->seen++;
    }
    if (input->seen < stop) {
        return KV_FOUND;
    }
    return input->seen == limit ? KV_TOO_LONG : KV_NOT_YET;
}
