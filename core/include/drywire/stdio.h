/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as a connection (Twisted's stdio.StandardIO): one protocol, whose
 * transport reads the one and writes the other. For filters, for the terminal, for programs that a
 * super-server starts with a socket as both. Pipes, terminals, sockets and files will do. Live
 * wires only.
 *
 *     dw_protocol_init(&app.protocol, &app_class);
 *     dw_reactor_open_stdio(reactor, &app.protocol, NULL);
 *
 * An ordinary transport, with these facts of its own, which are Twisted's unless it is said:
 *
 * - Its addresses are DW_ADDRESS_NONE. It has no socket options, no handle, passes no descriptors,
 *   and dw_reactor_count does not count it.
 * - The end of the input is the end of the connection (DW_CONNECTION_DONE), and what was not
 *   written yet is dropped; unless the protocol is aware of half closes, as a filter should be: it
 *   gets read_connection_lost, finishes, and calls dw_transport_lose_connection.
 * - lose_write_connection ends the output alone. With `close` below whoever reads it sees the end.
 * - When the other end of the output is gone the connection is lost (DW_CONNECTION_LOST, EPIPE), at
 *   once if it is a pipe, else when something is written. (In Twisted it depends on which is
 *   noticed first, the hang-up or the failing write, whether that is a half close or the end.)
 * - When both directions have ended the connection has, and lose_connection after
 *   write_connection_lost ends it in a later turn. (In Twisted neither ends ever.)
 */
#ifndef DRYWIRE_STDIO_H
#define DRYWIRE_STDIO_H

#include "drywire/base.h"
#include "drywire/endpoint.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* Zero is the default everywhere. */
typedef struct dw_stdio_options {
    int in;  /* the descriptor to read: 0 */
    int out; /* the descriptor to write; 0 means 1 */
    /* Closes each as soon as its direction has ended; one of 0, 1, 2 then is /dev/null, so that no
     * socket gets its number. Default: they stay open, and the program's. */
    bool close;
} dw_stdio_options;

/* Connects `protocol` to the two descriptors, which have to stay open, and are not to be read or
 * written by others, until it is over. `options` may be NULL. The protocol's connection_made is
 * called before this returns. It is in memory of the caller's, or such as its destroy frees.
 *
 * Neither descriptor blocks meanwhile. That is a property of the open file, which a shell and the
 * other processes of a terminal may share (O_NONBLOCK, open(2)): they do not block either. At the
 * end, just before connection_lost, both are as they were; so also when the reactor is freed, but
 * not when the program dies of a signal.
 *
 * Returns 0, DW_INVALID_ARGUMENT (not open, or not for reading or writing), DW_NO_MEMORY,
 * DW_SYSTEM_ERROR (dw_reactor_errno says why), or DW_UNSUPPORTED on the dry wire; then nothing has
 * happened to the descriptors, and the protocol is the caller's. */
int dw_reactor_open_stdio(dw_reactor *reactor, dw_protocol *protocol,
                          const dw_stdio_options *options);

/* Returns a new endpoint that "listens" at standard input and output (Twisted's
 * StandardIOEndpoint); `stdio:` in a description. NULL without memory. Listening builds one
 * protocol, for DW_ADDRESS_NONE, and connects it before it returns; there is no port (*out is
 * NULL), and the factory is neither started nor stopped, as in Twisted, so it must outlive the
 * connection. It returns what dw_reactor_open_stdio does, or DW_NO_PROTOCOL when the factory makes
 * none. */
dw_server_endpoint *dw_stdio_endpoint_new(dw_reactor *reactor);

DW_END_DECLS

#endif
