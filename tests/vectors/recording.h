/* SPDX-License-Identifier: MIT */
/*
 * The transport that only records (vectors/README.md, 1.1): a wrapper whose verbs become events and
 * go no further. Below it lies a transport that belongs to no wire and is open until the script
 * says otherwise; it is there because the library looks at its flags.
 */
#ifndef DRYWIRE_TESTS_VECTORS_RECORDING_H
#define DRYWIRE_TESTS_VECTORS_RECORDING_H

#include "rig.h"

#include "internal.h"

typedef struct recording {
    dw_protocol_wrapper base; /* base.wrapped is what is driven */
    player *player;
    json_int_t conn;     /* -1: events have no `conn` */
    dw_transport *below; /* the reactor's, which frees it */
    size_t call_begin;   /* events from here on belong to the running call: its writes are joined */
    bool joining;
    bool stopping; /* inside stop_producing, which comes here as lose_connection (wrapper.h) */
    bool lost;
} recording;

/* Connects `protocol`: connection_made is called before this returns. */
void recording_connect(recording *r, player *p, dw_protocol *protocol, json_int_t conn);
dw_transport *recording_transport(recording *r);

/* The steps `data` (nothing happens once the transport was asked to close) and `lost`. */
void recording_data(recording *r, const json_t *args);
void recording_lost(recording *r, const json_t *args);

/* Around one call that may write in pieces. */
void recording_call_begin(recording *r);
void recording_call_end(recording *r);

/* write, writeSequence, loseConnection, abortConnection on `t`, which leads to `r`. Returns whether
 * `op` was one of them. */
bool recording_perform(recording *r, dw_transport *t, const char *op, const json_t *args);

#endif
