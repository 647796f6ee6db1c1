/* SPDX-License-Identifier: MIT */
/*
 * Netstrings, "5:hello," (cr.yp.to/proto/netstrings.txt; twisted.protocols.basic NetstringReceiver,
 * facts in vectors/README.md, section 3). Embed the receiver first, fill in its class:
 *
 *     struct store { dw_netstring_receiver base; };
 *     static void store_string(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
 *         dw_netstring_receiver_send_string(r, string, len);
 *     }
 *     static const dw_netstring_receiver_class store_class = {
 *         .base = {.name = "store", DW_NETSTRING_RECEIVER_SLOTS},
 *         .string_received = store_string,
 *     };
 *     dw_netstring_receiver_init(&store->base, &store_class);
 *
 * A class with a data_received or connection_lost of its own names them in place of the _SLOTS
 * macro, and calls the receiver's function of that name from them.
 *
 * A bad length (a leading zero, anything but digits), one above max_length, which shows as soon as
 * its digits do, and a missing comma all close the connection by dw_transport_lose_connection; the
 * strings before it were delivered. How the stream was cut never changes what is delivered. Once
 * the program has asked for the connection's end, nothing more is (Twisted goes on with the rest of
 * the chunk). Memory: at most max_length and a prefix, as it arrives (and what came in one
 * reception, when paused); without memory the connection fails with DW_NO_MEMORY.
 */
#ifndef DRYWIRE_NETSTRING_H
#define DRYWIRE_NETSTRING_H

#include "drywire/base.h"
#include "drywire/framing.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* Twisted's MAX_LENGTH of string protocols. */
#define DW_NETSTRING_MAX_LENGTH_DEFAULT 99999

typedef struct dw_netstring_receiver dw_netstring_receiver;

typedef struct dw_netstring_receiver_class {
    dw_protocol_class base;

    /* A whole string; `len` may be 0; it lives until the callback returns. Required. */
    void (*string_received)(dw_netstring_receiver *receiver, const uint8_t *string, size_t len);
} dw_netstring_receiver_class;

struct dw_netstring_receiver {
    dw_protocol base;
    size_t max_length; /* may be changed at any time */
    bool broken_peer;  /* the peer sent something that is no netstring; read only */
    dw_framing framing_;
};

#define DW_NETSTRING_RECEIVER_SLOTS                       \
    .data_received = dw_netstring_receiver_data_received, \
    .connection_lost = dw_netstring_receiver_connection_lost

/* Prepares a receiver in the caller's memory, with the defaults above. Never fails. */
void dw_netstring_receiver_init(dw_netstring_receiver *receiver,
                                const dw_netstring_receiver_class *cls);

/* Gives back what the receiver keeps; connection_lost does it too. For a protocol's destroy, which
 * may come without connection_lost when the reactor is freed. May be called twice. */
void dw_netstring_receiver_fini(dw_netstring_receiver *receiver);

/* Sends "<len>:<string>," in one write. max_length is not checked. */
void dw_netstring_receiver_send_string(dw_netstring_receiver *receiver, const void *string,
                                       size_t len);

/* Delivery stops behind the current string, and the transport stops reading / the transport reads
 * again, then what was kept is delivered, before this returns unless inside a callback / delivery
 * stops and the connection closes. */
void dw_netstring_receiver_pause_producing(dw_netstring_receiver *receiver);
void dw_netstring_receiver_resume_producing(dw_netstring_receiver *receiver);
void dw_netstring_receiver_stop_producing(dw_netstring_receiver *receiver);

/* The class's slots. */
void dw_netstring_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len);
void dw_netstring_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason);

DW_END_DECLS

#endif
