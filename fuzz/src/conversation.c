/* SPDX-License-Identifier: MIT */
/*
 * Decoding a fuzz input, as drywire/fuzz.h describes it, and showing it to a person. Events lie
 * inside the stream, behind a byte that text protocols do not use, and not in a block of their own
 * at the end of the input: so an event moves together with the bytes around it, one more or one
 * less leaves the others what they were, and dictionaries and recorded sessions need no wrapping.
 */
#include "conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 0xFF };

/* What "FF '0'" to "FF '9'" stand for: round figures that time-outs are made of. */
static const dw_time durations[10] = {
    0,         DW_MSEC(1), DW_MSEC(10), DW_MSEC(100), DW_SEC(1),
    DW_SEC(5), DW_SEC(10), DW_SEC(30),  DW_MIN(1),    DW_MIN(10),
};

static bool reserve(fuzz_conversation *c, size_t size) {
    if (size <= c->room) {
        return true;
    }
    uint8_t *bytes = realloc(c->bytes, size);
    if (bytes == NULL) {
        return false;
    }
    c->bytes = bytes;
    c->room = size;
    return true;
}

/* Bytes that go on from the last step's without a cut belong to it. */
static void add_data(fuzz_conversation *c, const uint8_t *data, size_t len, bool cut) {
    fuzz_step *last = c->count > 0 ? &c->steps[c->count - 1] : NULL;
    if (len == 0) {
        return;
    }
    bool follows = last != NULL && last->event == FUZZ_DATA;
    if (!follows || cut) {
        c->has_cuts = c->has_cuts || follows;
        c->steps[c->count++] = (fuzz_step){.event = FUZZ_DATA, .at = (uint32_t)c->len};
        last = &c->steps[c->count - 1];
    }
    memcpy(c->bytes + c->len, data, len);
    c->len += len;
    last->len += (uint32_t)len;
}

static void add_event(fuzz_conversation *c, fuzz_event event, int64_t amount) {
    c->steps[c->count++] = (fuzz_step){.event = event, .amount = amount};
    c->has_memory = c->has_memory || event == FUZZ_MEMORY;
    c->has_room = c->has_room || event == FUZZ_ROOM;
    c->room_time = c->room_time || (c->has_room && event == FUZZ_TIME);
    c->room_lose = c->room_lose || (c->has_room && event == FUZZ_LOSE);
}

static void add_time(fuzz_conversation *c, dw_time duration) {
    if (duration <= FUZZ_TIME_MAX - c->duration) {
        c->duration += duration;
        add_event(c, FUZZ_TIME, duration);
    }
}

/* One event; `data` begins behind the escape byte. Returns how many bytes it took; sets *cut when
 * it was one. A missing last byte counts as 0. */
static size_t decode_event(fuzz_conversation *c, const uint8_t *data, size_t size, bool *cut) {
    uint8_t code = size > 0 ? data[0] : '|';
    uint8_t operand = size > 1 ? data[1] : 0;
    if (code >= '0' && code <= '9') {
        add_time(c, durations[code - '0']);
        return 1;
    }
    switch (code) {
    case 'w':
        add_event(c, FUZZ_ROOM, operand);
        return 2;
    case 'W':
        add_event(c, FUZZ_ROOM, -1);
        return 1;
    case 'm':
        add_event(c, FUZZ_MEMORY, operand);
        return 2;
    case 'h':
        add_event(c, FUZZ_HALF_CLOSE, 0);
        return 1;
    case 'c':
        add_event(c, FUZZ_LOSE, 0);
        return 1;
    case 'r':
        add_event(c, FUZZ_LOSE, ECONNRESET);
        return 1;
    case 't':
        add_event(c, FUZZ_LOSE, ETIMEDOUT);
        return 1;
    default:
        *cut = true;
        return 1;
    }
}

bool dw_fuzz_decode(fuzz_conversation *c, const uint8_t *data, size_t size) {
    if (!reserve(c, size)) {
        return false;
    }
    c->len = c->count = 0;
    c->duration = 0;
    c->has_cuts = c->has_memory = c->has_room = c->room_time = c->room_lose = false;
    bool cut = false;
    size_t at = 0;
    while (at < size && c->count < FUZZ_STEPS_MAX) {
        const uint8_t *escape = memchr(data + at, ESCAPE, size - at);
        size_t len = escape != NULL ? (size_t)(escape - (data + at)) : size - at;
        bool literal = escape != NULL && at + len + 1 < size && escape[1] == ESCAPE;
        add_data(c, data + at, len + literal, cut);
        cut = cut && len + literal == 0;
        at += len + (literal ? 2 : 1);
        if (escape != NULL && !literal && c->count < FUZZ_STEPS_MAX) {
            at += decode_event(c, data + at, size - at, &cut);
        }
    }
    return true;
}

/* ---- Showing ---- */

/* Of a long piece only the first so many bytes are shown. */
#define SHOWN_MAX 200

void dw_fuzz_print_bytes(FILE *out, const uint8_t *bytes, size_t len) {
    fputc('"', out);
    for (size_t i = 0; i < len && i < SHOWN_MAX; i++) {
        uint8_t byte = bytes[i];
        if (byte == '\r' || byte == '\n') {
            fputs(byte == '\r' ? "\\r" : "\\n", out);
        } else if (byte == '"' || byte == '\\') {
            fprintf(out, "\\%c", byte);
        } else if (byte >= 0x20 && byte < 0x7F) {
            fputc(byte, out);
        } else {
            fprintf(out, "\\x%02x", byte);
        }
    }
    fputs(len > SHOWN_MAX ? "\"..." : "\"", out);
}

static void print_amounts(FILE *out, const fuzz_step *step) {
    switch (step->event) {
    case FUZZ_TIME:
        fprintf(out, "%lld ms pass", (long long)(step->amount / DW_MSEC(1)));
        break;
    case FUZZ_ROOM:
        if (step->amount < 0) {
            fputs("the network takes everything", out);
        } else {
            fprintf(out, "the network takes %lld more bytes", (long long)step->amount);
        }
        break;
    case FUZZ_HALF_CLOSE:
        fputs("the peer ends its stream", out);
        break;
    case FUZZ_LOSE:
        fprintf(out, "the connection ends: %s",
                step->amount == 0 ? "closed by the peer" : strerror((int)step->amount));
        break;
    default:
        fprintf(out, "allocation %lld from now fails", (long long)step->amount);
        break;
    }
}

void dw_fuzz_print_conversation(FILE *out, const fuzz_conversation *c) {
    for (size_t i = 0; i < c->count; i++) {
        const fuzz_step *step = &c->steps[i];
        fprintf(out, "  %4zu  ", i + 1);
        if (step->event == FUZZ_DATA) {
            fprintf(out, "receive %u bytes ", step->len);
            dw_fuzz_print_bytes(out, c->bytes + step->at, step->len);
        } else {
            print_amounts(out, step);
        }
        fputc('\n', out);
    }
}
