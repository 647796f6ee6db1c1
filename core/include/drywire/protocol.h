/* SPDX-License-Identifier: MIT */
/*
 * A protocol: what the user writes for one stream connection (twisted.internet.protocol.Protocol).
 * Embed dw_protocol first, fill in a const class, leave unused slots NULL:
 *
 *     struct echo { dw_protocol base; size_t seen; };
 *     static void echo_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
 *         dw_transport_write(p->transport, data, len);
 *     }
 *     static const dw_protocol_class echo_class = {.name = "echo",
 *                                                  .data_received = echo_data_received};
 *
 * Order of callbacks: connection_made, then any number of data_received, then connection_lost
 * exactly once, then destroy. All on the reactor's thread, never one inside another of the same
 * connection but for the exception named at dw_transport_lose_connection. Inside any of them every
 * verb of every header is allowed.
 */
#ifndef DRYWIRE_PROTOCOL_H
#define DRYWIRE_PROTOCOL_H

#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/promise.h"

DW_BEGIN_DECLS

typedef struct dw_protocol_class {
    /* Shown in logs and traces. Required. */
    const char *name;

    /* The connection is there: protocol->transport is set, verbs work. */
    void (*connection_made)(dw_protocol *protocol);

    /* `len` > 0 bytes arrived, at most 65536 at once. How a stream is cut into calls means nothing.
     * `data` is the library's and dies when the callback returns. */
    void (*data_received)(dw_protocol *protocol, const uint8_t *data, size_t len);

    /* The connection is gone. The transport's addresses can still be read; when this returns the
     * transport is freed and protocol->transport is NULL. Every verb on it is harmless. */
    void (*connection_lost)(dw_protocol *protocol, const dw_reason *reason);

    /* Setting either of these two makes the protocol aware of half closes (IHalfCloseableProtocol).
     * Without them the peer's end of stream ends the whole connection. */

    /* The peer sends no more; writing still works. The protocol is now responsible for the end:
     * without dw_transport_lose_connection there is no connection_lost (vectors/README.md, 4: 6).*/
    void (*read_connection_lost)(dw_protocol *protocol);

    /* What dw_transport_lose_write_connection asked for has happened. */
    void (*write_connection_lost)(dw_protocol *protocol);

    /* A descriptor came over a UNIX stream (IFileDescriptorReceiver): now the program's, who closes
     * it; it is close-on-exec. Without this slot the library closes what comes. When this ends the
     * connection, the data that came with it is not delivered. A process that has no room for one
     * loses the connection with EMFILE: nobody could say which descriptor is missing. */
    void (*file_descriptor_received)(dw_protocol *protocol, int fd);

    /* The library is done with the protocol and never touches it again: the place to free it. Also
     * called for a protocol that build_protocol made but that was never connected. NULL: the owner
     * frees it, not before connection_lost has returned. */
    void (*destroy)(dw_protocol *protocol);

    /* A name for this connection in logs, instead of `name`; the text lives until the next call. */
    const char *(*log_prefix)(dw_protocol *protocol);

    /* Its manners, tried on the dry wire; NULL: its factory's. */
    const dw_promises *promises;
} dw_protocol_class;

struct dw_protocol {
    const dw_protocol_class *cls;
    dw_transport *transport; /* NULL before connection_made and after connection_lost */
    dw_factory *factory;     /* who built it, or NULL */
    bool connected;          /* from connection_made until connection_lost begins */
};

/* Prepares a protocol in the caller's memory. Never fails. */
void dw_protocol_init(dw_protocol *protocol, const dw_protocol_class *cls);

/* Gives the protocol its transport and calls connection_made. The library does this for each
 * connection; wrappers call it for the protocol they wrap. A protocol is connected at most once. */
void dw_protocol_make_connection(dw_protocol *protocol, dw_transport *transport);

/* log_prefix if the class has one, else its name. */
const char *dw_protocol_log_prefix(dw_protocol *protocol);

DW_END_DECLS

#endif
