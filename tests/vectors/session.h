/* SPDX-License-Identifier: MIT */
/*
 * What all plays of a single connection share (vectors/README.md, 1.1 to 1.3): the recording
 * transport, the time-out, the steps that every protocol understands. A play embeds the session
 * first and adds the receiver; its callbacks end up here.
 */
#ifndef DRYWIRE_TESTS_VECTORS_SESSION_H
#define DRYWIRE_TESTS_VECTORS_SESSION_H

#include "recording.h"

#include "drywire/timeout.h"

typedef struct session {
    rig rig;
    recording recording;
    dw_timeout timeout;
    player *player;
    dw_protocol owner; /* of the time-out */
} session;

/* Connects `protocol`, then plays all steps by `perform`, and ends the reactor. */
void session_play(session *s, player *p, dw_protocol *protocol, perform_fn perform);

/* For the protocol's callbacks: record, react, and what the configuration says of time-outs. */
void session_made(session *s);
void session_bytes(session *s, const char *event, const uint8_t *data, size_t len);
void session_lost(session *s, const dw_reason *reason);
/* Inside the length callback, when it was recorded. */
void session_exceeded(session *s);

/* The operations that need no receiver. Returns false for one it does not know. */
bool session_perform(session *s, const char *op, const json_t *args);

/* Twisted's three verbs of a receiver that it forwards to the transport. */
typedef struct flow_verbs {
    void (*pause)(session *s);
    void (*resume)(session *s);
    void (*stop)(session *s);
} flow_verbs;
bool session_flow(session *s, const flow_verbs *verbs, const char *op);

#endif
