/* SPDX-License-Identifier: MIT */
/*
 * A fuzz input as a conversation: the bytes the peer sends, and a list of steps over them. Decoding
 * never fails: every input means something, so that no mutation is wasted. Used by protocol.c.
 */
#ifndef DRYWIRE_FUZZ_CONVERSATION_H
#define DRYWIRE_FUZZ_CONVERSATION_H

#include "drywire/base.h"

#include <stdio.h>

/* What is behind this many steps, or this much virtual time, is left out. */
#define FUZZ_STEPS_MAX 2000
#define FUZZ_TIME_MAX  DW_HOUR(1)

typedef enum fuzz_event {
    FUZZ_DATA, /* at, len: the peer sends these bytes */
    FUZZ_TIME, /* amount: nanoseconds pass */
    FUZZ_ROOM, /* amount: the network takes so many more bytes; -1: all */
    FUZZ_HALF_CLOSE,
    FUZZ_LOSE,   /* amount: 0 or an errno */
    FUZZ_MEMORY, /* amount: which allocation from now fails */
} fuzz_event;

typedef struct fuzz_step {
    fuzz_event event;
    uint32_t at, len;
    int64_t amount;
} fuzz_step;

typedef struct fuzz_conversation {
    uint8_t *bytes; /* what the peer sends in all; room for `room` */
    size_t len, room;
    size_t count;
    dw_time duration;
    bool has_cuts;   /* two pieces of data follow each other */
    bool has_memory; /* a FUZZ_MEMORY step */
    bool has_room;   /* a FUZZ_ROOM step ... */
    bool room_time;  /* ... and FUZZ_TIME somewhere behind it */
    bool room_lose;  /* ... and FUZZ_LOSE somewhere behind it */
    fuzz_step steps[FUZZ_STEPS_MAX];
} fuzz_conversation;

/* Decodes an input into a conversation whose `bytes` are kept from the last one. False: no memory.
 */
bool dw_fuzz_decode(fuzz_conversation *conversation, const uint8_t *data, size_t size);

/* For people: one line for each step; `len` bytes as a C string. */
void dw_fuzz_print_conversation(FILE *out, const fuzz_conversation *conversation);
void dw_fuzz_print_bytes(FILE *out, const uint8_t *bytes, size_t len);

#endif
