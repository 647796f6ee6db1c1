/* SPDX-License-Identifier: MIT */
/*
 * Strings behind a length of 8, 16 or 32 bits (twisted.protocols.basic Int8StringReceiver and its
 * kin; facts in vectors/README.md, section 3). Embed the receiver first, fill in its class:
 *
 *     struct rpc { dw_int_string_receiver base; };
 *     static void rpc_string(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
 *         dw_int_string_receiver_send_string(r, string, len);
 *     }
 *     static const dw_int_string_receiver_class rpc_class = {
 *         .base = {.name = "rpc", DW_INT_STRING_RECEIVER_SLOTS},
 *         .string_received = rpc_string,
 *     };
 *     dw_int_string_receiver_init(&rpc->base, &rpc_class, DW_INT32_BIG);
 *
 * A class with a data_received or connection_lost of its own names them in place of the _SLOTS
 * macro, and calls the receiver's function of that name from them.
 *
 * A length above max_length is seen as soon as the prefix is complete. How the stream was cut never
 * changes what is delivered. Once the program has asked for the connection's end, nothing more is
 * (Twisted goes on with the rest of the chunk). Memory: at most max_length and a prefix, as it
 * arrives (and what came in one reception, when paused); without memory the connection fails with
 * DW_NO_MEMORY.
 */
#ifndef DRYWIRE_INT_STRING_H
#define DRYWIRE_INT_STRING_H

#include "drywire/base.h"
#include "drywire/framing.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* Twisted's MAX_LENGTH of string protocols. */
#define DW_INT_STRING_MAX_LENGTH_DEFAULT 99999

/* How the length is written. Twisted's receivers are INT8 and the two BIG ones. */
typedef enum dw_int_format {
    DW_INT8,
    DW_INT16_BIG,
    DW_INT16_LITTLE,
    DW_INT32_BIG,
    DW_INT32_LITTLE,
} dw_int_format;

typedef struct dw_int_string_receiver dw_int_string_receiver;

typedef struct dw_int_string_receiver_class {
    dw_protocol_class base;

    /* A whole string; `len` may be 0; it lives until the callback returns. Required. */
    void (*string_received)(dw_int_string_receiver *receiver, const uint8_t *string, size_t len);

    /* The peer announced a string longer than max_length. NULL: closes by
     * dw_transport_lose_connection. One that does not close gets nothing more of the stream,
     * unless it calls dw_int_string_receiver_skip_string. */
    void (*length_limit_exceeded)(dw_int_string_receiver *receiver, uint32_t length);
} dw_int_string_receiver_class;

struct dw_int_string_receiver {
    dw_protocol base;
    dw_int_format format; /* may be changed in a callback: counts for the next prefix */
    size_t max_length;    /* may be changed at any time: counts at once */
    dw_framing framing_;
    size_t skip_; /* bytes of a long string still to drop */
};

#define DW_INT_STRING_RECEIVER_SLOTS                       \
    .data_received = dw_int_string_receiver_data_received, \
    .connection_lost = dw_int_string_receiver_connection_lost

/* Prepares a receiver in the caller's memory, with the defaults above. Never fails. */
void dw_int_string_receiver_init(dw_int_string_receiver *receiver,
                                 const dw_int_string_receiver_class *cls, dw_int_format format);

/* Gives back what the receiver keeps; connection_lost does it too. For a protocol's destroy, which
 * may come without connection_lost when the reactor is freed. May be called twice. */
void dw_int_string_receiver_fini(dw_int_string_receiver *receiver);

/* Sends the length and the string in one write. max_length is not checked. Returns 0, or
 * DW_INVALID_ARGUMENT and sends nothing when the length does not fit into the prefix (Twisted's
 * StringTooLongError). */
int dw_int_string_receiver_send_string(dw_int_string_receiver *receiver, const void *string,
                                       size_t len);

/* Inside length_limit_exceeded, or later: drops the long string and goes on behind it. */
void dw_int_string_receiver_skip_string(dw_int_string_receiver *receiver);

/* Delivery stops behind the current string, and the transport stops reading / the transport reads
 * again, then what was kept is delivered, before this returns unless inside a callback / delivery
 * stops and the connection closes. */
void dw_int_string_receiver_pause_producing(dw_int_string_receiver *receiver);
void dw_int_string_receiver_resume_producing(dw_int_string_receiver *receiver);
void dw_int_string_receiver_stop_producing(dw_int_string_receiver *receiver);

/* The class's slots. */
void dw_int_string_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len);
void dw_int_string_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason);

DW_END_DECLS

#endif
