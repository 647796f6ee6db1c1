/* SPDX-License-Identifier: MIT */
/*
 * Protocols made of states (twisted.protocols.stateful StatefulProtocol: exactly n bytes, then a
 * function that names the next state; twisted.protocols.basic StatefulStringProtocol: one function
 * per named state of a string protocol; facts in vectors/README.md, section 3).
 *
 *     static dw_state payload(dw_stateful_protocol *p, const uint8_t *data, size_t len);
 *     static dw_state length(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
 *         return (dw_state){payload, data[0]};
 *     }
 *     static dw_state initial(dw_stateful_protocol *p) { return (dw_state){length, 1}; }
 *     static const dw_stateful_protocol_class tlv_class = {
 *         .base = {.name = "tlv", DW_STATEFUL_PROTOCOL_SLOTS},
 *         .initial_state = initial,
 *     };
 *
 * A class with a data_received or connection_lost of its own names them in place of the _SLOTS
 * macro, and calls the protocol's function of that name from them.
 *
 * How the stream was cut never changes what the handlers get. Once the program has asked for the
 * connection's end, no handler runs any more. Memory: at most what the current state wants, as it
 * arrives (and what came in one reception, when paused); without memory the connection fails with
 * DW_NO_MEMORY.
 */
#ifndef DRYWIRE_STATEFUL_H
#define DRYWIRE_STATEFUL_H

#include "drywire/base.h"
#include "drywire/framing.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* The most bytes that a state may want, unless the program sets another limit. */
#define DW_STATEFUL_MAX_LENGTH_DEFAULT 99999

/* How many handlers of states that want no bytes may run in a row before the protocol is held to be
 * in a loop: the connection then fails with DW_APP_ERROR. */
#define DW_STATEFUL_EMPTY_MAX 10000

typedef struct dw_stateful_protocol dw_stateful_protocol;

/* A handler, and how many bytes it wants. */
typedef struct dw_state dw_state;
struct dw_state {
    /* Gets exactly the bytes it wanted; they live until it returns. A state that wants 0 bytes runs
     * at once. Returns the next state. */
    dw_state (*handler)(dw_stateful_protocol *protocol, const uint8_t *data, size_t len);
    size_t size;
};

/* A handler's answer: the same state again, with the same size. */
#define DW_STATE_SAME ((dw_state){NULL, 0})

typedef struct dw_stateful_protocol_class {
    dw_protocol_class base;

    /* The first state; asked for when the first bytes arrive. Required. */
    dw_state (*initial_state)(dw_stateful_protocol *protocol);

    /* A state wants `size` bytes, more than max_length. NULL: closes by
     * dw_transport_lose_connection. One that does not close gets nothing more of the stream. */
    void (*length_limit_exceeded)(dw_stateful_protocol *protocol, size_t size);
} dw_stateful_protocol_class;

struct dw_stateful_protocol {
    dw_protocol base;
    size_t max_length; /* may be changed at any time: counts at once */
    dw_state state_;
    unsigned empty_; /* handlers of states that want nothing, run in a row */
    dw_framing framing_;
};

#define DW_STATEFUL_PROTOCOL_SLOTS                       \
    .data_received = dw_stateful_protocol_data_received, \
    .connection_lost = dw_stateful_protocol_connection_lost

/* Prepares a protocol in the caller's memory. Never fails. */
void dw_stateful_protocol_init(dw_stateful_protocol *protocol,
                               const dw_stateful_protocol_class *cls);

/* Gives back what the protocol keeps; connection_lost does it too. For a protocol's destroy, which
 * may come without connection_lost when the reactor is freed. May be called twice. */
void dw_stateful_protocol_fini(dw_stateful_protocol *protocol);

/* No further handler runs, and the transport stops reading / the transport reads again, then what
 * was kept is handled, before this returns unless inside a handler / handling stops and the
 * connection closes. */
void dw_stateful_protocol_pause_producing(dw_stateful_protocol *protocol);
void dw_stateful_protocol_resume_producing(dw_stateful_protocol *protocol);
void dw_stateful_protocol_stop_producing(dw_stateful_protocol *protocol);

/* The class's slots. */
void dw_stateful_protocol_data_received(dw_protocol *protocol, const uint8_t *data, size_t len);
void dw_stateful_protocol_connection_lost(dw_protocol *protocol, const dw_reason *reason);

/* ---- One function per state of a string protocol ----
 *
 *     static const dw_string_state states[] = {{"init", on_init}, {"auth", on_auth}, {NULL, NULL}};
 *     dw_string_dispatch_init(&s->dispatch, states, s);
 *     // in string_received:
 *     dw_string_dispatch_received(&s->dispatch, r->base.transport, string, len);
 */

typedef struct dw_string_state {
    const char *name; /* NULL ends the table */
    /* Handles one string in this state; returns the name of the next one, a literal; NULL: stays.
     * "done" closes the connection. */
    const char *(*handler)(void *owner, const uint8_t *string, size_t len);
} dw_string_state;

typedef struct dw_string_dispatch {
    const dw_string_state *states; /* borrowed */
    const char *state;             /* "init" at first */
    void *owner;                   /* handed to the handlers */
} dw_string_dispatch;

void dw_string_dispatch_init(dw_string_dispatch *dispatch, const dw_string_state *states,
                             void *owner);

/* Runs the handler of the current state. A state that the table does not have ignores the string.
 * `transport` may be NULL; it is closed by dw_transport_lose_connection when the state becomes
 * "done". */
void dw_string_dispatch_received(dw_string_dispatch *dispatch, dw_transport *transport,
                                 const uint8_t *string, size_t len);

DW_END_DECLS

#endif
