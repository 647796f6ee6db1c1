/* SPDX-License-Identifier: MIT */
/*
 * One recorded vector being played (vectors/README.md, section 1): what its steps ask for, what was
 * observed, and the scripted reactions in between. Every play_*.c drives one kind of object through
 * this page; compare.c and groups.c judge the events afterwards.
 *
 * Invariant: a player never stops the program. What it cannot play it says in `trouble`, and the
 * vector fails with that sentence.
 */
#ifndef DRYWIRE_TESTS_VECTORS_PLAYER_H
#define DRYWIRE_TESTS_VECTORS_PLAYER_H

#include "drywire/drywire.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    TROUBLE_MAX = 256,
    REACTIONS_MAX = 200, /* callbacks inside callbacks */
    EVENTS_MAX = 200000, /* per vector */
    TURNS_MAX = 100000,  /* of one advance */
    PIECES_MAX = 256,    /* of one writeSequence */
    NO_ACCIDENT = 1 << 30,
};

typedef struct player player;

/* Executes one operation of a step or a reaction; for one it does not know it calls
 * player_unknown. */
typedef void (*perform_fn)(player *p, const char *op, const json_t *args);

struct player {
    const json_t *config, *steps;
    json_t *events; /* observed so far */
    json_t *counts; /* occurrences of each callback */
    json_int_t at;  /* the step that runs; -1 before the first */
    struct rig *rig;
    perform_fn perform;
    void *object;           /* the play's own */
    const uint8_t *payload; /* of the callback that runs, for `echo` */
    size_t payload_len;
    unsigned depth;
    bool own_time;      /* each call at its due time, see play_clock.c; events then say when and */
    json_int_t running; /* in which delayed call of the step they happened; 0: in none */
    json_int_t accident_at; /* the step from which on Twisted's own state is broken; NO_ACCIDENT */
    char trouble[TROUBLE_MAX];
};

/* Bytes of an operation; released by bytes_free. */
typedef struct bytes {
    uint8_t *data;
    size_t len;
} bytes;

void player_init(player *p, const json_t *vector);
void player_fini(player *p);

/* Says why the vector cannot be played; the first reason stays. */
void player_trouble(player *p, const char *format, ...) DW_PRINTF(2, 3);
void player_unknown(player *p, const char *op);
/* From this step on Twisted no longer does what it documents. */
void player_accident(player *p);

/* Records an event, which it takes; NULL is out of memory. */
void player_note(player *p, json_t *event);
/* The same for a callback, and then runs the reactions to it. `data` is the payload, or NULL. */
void player_callback(player *p, json_t *event, const uint8_t *data, size_t len);
/* {"ev": name, "hex": data} */
json_t *event_bytes(const char *name, const uint8_t *data, size_t len);
json_t *event_reason(const char *name, const dw_reason *reason);
void player_raised(player *p, const char *op, const char *cls);

/* Runs all steps through `perform`. */
void player_run(player *p);
void player_perform(player *p, const json_t *operation);

/* Fields of operations and configurations. A missing one without a default is trouble. */
const char *arg_text(player *p, const json_t *args, const char *key);
double arg_number(player *p, const json_t *args, const char *key);
bool arg_null(const json_t *args, const char *key);
/* `hex`, or `fill` and `n`; empty when there is neither. */
bytes arg_bytes(player *p, const json_t *args);
void bytes_free(bytes *b);
/* The pieces of a writeSequence (a list of hex); returns their number. */
size_t arg_pieces(player *p, const json_t *args, bytes pieces[PIECES_MAX]);
bool hex_decode(const char *hex, bytes *out);

size_t config_size(const player *p, const char *key, size_t otherwise);
const char *config_text(const player *p, const char *key, const char *otherwise);
bool config_flag(const player *p, const char *key);

/* dw_reason <-> Twisted's class names; trouble and DW_CONNECTION_LOST for one it does not know. */
const char *reason_name(dw_error kind);
dw_error reason_kind(player *p, const char *name);

/* How to play a protocol of that name; NULL: unknown. */
typedef void (*play_fn)(player *p, const char *protocol);
play_fn play_of(const char *protocol);

void play_clock(player *p, const char *protocol);
void play_looping_call(player *p, const char *protocol);
void play_connector(player *p, const char *protocol);
void play_reconnecting(player *p, const char *protocol);
void play_line(player *p, const char *protocol);
void play_string(player *p, const char *protocol);
void play_stateful(player *p, const char *protocol);
void play_timeout(player *p, const char *protocol);
void play_policy(player *p, const char *protocol);

#endif
