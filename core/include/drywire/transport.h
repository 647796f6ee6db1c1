/* SPDX-License-Identifier: MIT */
/*
 * One end of a stream connection (Twisted's ITCPTransport, IConsumer, IPushProducer). The library
 * makes it and frees it: it lives from connection_made until connection_lost has returned.
 *
 * Every verb takes NULL, a closing and a closed transport in good part and then does nothing, as in
 * Twisted. None of them runs a callback before it returns, but for the two cases named below. What
 * one callback writes leaves in one system call when the callback has returned.
 */
#ifndef DRYWIRE_TRANSPORT_H
#define DRYWIRE_TRANSPORT_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/producer.h"

#include <sys/uio.h>

DW_BEGIN_DECLS

/* Queues `len` bytes, copied before it returns. Never blocks, never fails: when there is no memory
 * the connection is aborted with DW_NO_MEMORY. Still works after lose_connection, until the
 * connection is really closed (vectors/README.md, section 4: 2). May call the registered push
 * producer's pause_producing. */
void dw_transport_write(dw_transport *transport, const void *data, size_t len);

/* The same for `count` pieces, in order (Twisted's writeSequence). */
void dw_transport_writev(dw_transport *transport, const struct iovec *pieces, size_t count);

/* Closes when all that was written has been sent and no producer stands in the way; stops reading
 * at once. connection_lost(DW_CONNECTION_DONE) comes later, never inside this call, with one
 * exception: after write_connection_lost (a finished half close) it comes before the call returns
 * (vectors/README.md, section 4: 3). When the flush fails the reason is DW_CONNECTION_LOST. */
void dw_transport_lose_connection(dw_transport *transport);

/* Drops what is buffered and resets the connection (RST on TCP). connection_lost with
 * DW_CONNECTION_ABORTED comes in a later turn. */
void dw_transport_abort_connection(dw_transport *transport);

/* Ends the stream towards the peer when all that was written has been sent; reading goes on. An
 * aware protocol is told by write_connection_lost. */
void dw_transport_lose_write_connection(dw_transport *transport);

/* A fatal error met inside a callback of this connection: ends it as an exception ends it in
 * Twisted: buffered writes are dropped, connection_lost(reason) follows when the callback has
 * returned. reason->text must be a literal. Inside a server's connection_made it is only logged,
 * as Twisted does (vectors/README.md, section 4: 9). */
void dw_transport_fail(dw_transport *transport, const dw_reason *reason);

/* Stops and starts reading. Not counted. A paused connection does not notice that its peer is gone
 * (vectors/README.md, section 4: 7). stop_producing is lose_connection. */
void dw_transport_pause_producing(dw_transport *transport);
void dw_transport_resume_producing(dw_transport *transport);
void dw_transport_stop_producing(dw_transport *transport);

/* Registers a producer, borrowed: `streaming` true for push, false for pull. Returns 0 or
 * DW_PRODUCER_REGISTERED (the first one stays). On a transport that is gone it calls stop_producing
 * at once and returns 0; so it does when there is no memory, after aborting the connection. */
int dw_transport_register_producer(dw_transport *transport, dw_producer *producer, bool streaming);

/* Forgets the producer; harmless without one. A pending lose_connection then goes on. */
void dw_transport_unregister_producer(dw_transport *transport);

/* Bytes buffered above which a push producer is paused, and down to which it must drain to be
 * resumed; low <= high. Returns 0, DW_INVALID_ARGUMENT or DW_NO_MEMORY. */
int dw_transport_set_write_limits(dw_transport *transport, size_t low, size_t high);

/* Bytes written but not yet taken by the network. */
size_t dw_transport_buffered(const dw_transport *transport);

/* The two ends. Also valid inside connection_lost; DW_ADDRESS_NONE for NULL. */
dw_address dw_transport_peer(const dw_transport *transport);
dw_address dw_transport_host(dw_transport *transport);

/* TCP options, off at first. Setters return 0, DW_NOT_CONNECTED or DW_SYSTEM_ERROR. */
bool dw_transport_get_no_delay(dw_transport *transport);
int dw_transport_set_no_delay(dw_transport *transport, bool on);
bool dw_transport_get_keep_alive(dw_transport *transport);
int dw_transport_set_keep_alive(dw_transport *transport, bool on);

/* Sends a descriptor of this process to the peer (UNIX streams only; SCM_RIGHTS, unix(7)), with the
 * next byte that is written after this call; the descriptor is duplicated, so the program may close
 * its own at once. Without such a byte it does not leave, and is closed when the connection ends.
 * Descriptors arrive in order by file_descriptor_received, before the data they came with: a
 * reception may begin with bytes that were written earlier, never with later ones. Returns 0,
 * DW_NOT_CONNECTED, DW_UNSUPPORTED (not a UNIX stream; the dry wire), DW_NO_MEMORY, or
 * DW_SYSTEM_ERROR: dw_reactor_errno is ETOOMANYREFS when 253 wait already (SCM_MAX_FD). */
int dw_transport_send_file_descriptor(dw_transport *transport, int fd);

/* The socket's descriptor, for options that this page does not have; -1 on the dry wire, for a
 * wrapper, and for NULL. Still the library's: do not close, read or write it. */
int dw_transport_handle(const dw_transport *transport);

/* Twisted's three flags. After abort_connection `disconnecting` stays as it was. */
bool dw_transport_connected(const dw_transport *transport);
bool dw_transport_disconnecting(const dw_transport *transport);
bool dw_transport_disconnected(const dw_transport *transport);

/* The reactor it belongs to; NULL for NULL. */
dw_reactor *dw_transport_reactor(const dw_transport *transport);

DW_END_DECLS

#endif
