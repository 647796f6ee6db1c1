/* SPDX-License-Identifier: MIT */
/*
 * Datagrams (Twisted's DatagramProtocol, IUDPTransport, IMulticastTransport, and the UNIX ones).
 * One protocol per port; embed dw_datagram_protocol first, fill in a const class:
 *
 *     static void got(dw_datagram_protocol *p, const uint8_t *data, size_t len,
 *                     const dw_address *from) {
 *         dw_datagram_write(p->transport, data, len, from);
 *     }
 *     static const dw_datagram_protocol_class echo_class = {.name = "echo",
 *                                                           .datagram_received = got};
 *
 * Order of callbacks: start_protocol, any number of datagram_received and connection_refused, then
 * stop_protocol exactly once, then destroy. The facts are in vectors/README.md, "Datagrams".
 */
#ifndef DRYWIRE_DATAGRAM_H
#define DRYWIRE_DATAGRAM_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/promise.h"

#include <sys/uio.h>

DW_BEGIN_DECLS

typedef struct dw_datagram_protocol dw_datagram_protocol;

/* A datagram port. The library makes it and frees it when stop_protocol has returned. */
typedef struct dw_datagram_port dw_datagram_port;

typedef struct dw_datagram_protocol_class {
    /* Shown in logs and traces. Required. */
    const char *name;

    /* The port is open, protocol->transport is set. Called inside listen_udp. */
    void (*start_protocol)(dw_datagram_protocol *protocol);

    /* One datagram of `len` bytes (0 is one, too), cut to the port's max_packet_size. `data` and
     * `from` are the library's and die when the callback returns. `from` is unnamed for a UNIX
     * sender without a name. */
    void (*datagram_received)(dw_datagram_protocol *protocol, const uint8_t *data, size_t len,
                              const dw_address *from);

    /* A datagram sent on a connected port met nobody (ICMP port unreachable), or the UNIX socket
     * at the other end is gone. The port stays open. */
    void (*connection_refused)(dw_datagram_protocol *protocol);

    /* The port is closed: protocol->transport is NULL already, as in Twisted. Without a destroy
     * the protocol may be freed in here. */
    void (*stop_protocol)(dw_datagram_protocol *protocol);

    /* The library is done with the protocol: the place to free it. NULL: the owner frees it. */
    void (*destroy)(dw_datagram_protocol *protocol);

    /* Its manners, tried on the dry wire; NULL: none. */
    const dw_promises *promises;
} dw_datagram_protocol_class;

struct dw_datagram_protocol {
    const dw_datagram_protocol_class *cls;
    dw_datagram_port *transport; /* NULL before start_protocol and from stop_protocol on */
};

/* Prepares a protocol in the caller's memory. Never fails. */
void dw_datagram_protocol_init(dw_datagram_protocol *protocol,
                               const dw_datagram_protocol_class *cls);

/* Twisted's default of max_packet_size; longer datagrams are cut in silence. */
#define DW_MAX_PACKET_SIZE_DEFAULT 8192

/* The most that one UDP datagram carries over IPv4 (RFC 768, RFC 791: 65535 - 20 - 8). */
#define DW_UDP_PAYLOAD_MAX 65507

/* Pieces that one datagram may be written in (Linux: IOV_MAX). */
#define DW_DATAGRAM_PIECES_MAX 1024

/* Opens a UDP port on `number` (0: any free one) of `interface` (a literal; NULL: all IPv4
 * addresses; "::": all of both kinds). `max_packet_size` 0 is the default, 65536 the most. Borrows
 * the protocol until its stop_protocol, and its destroy if it has one, have returned.
 * start_protocol is called before this returns; it may write, and stop the port. `out`, unless
 * NULL, gets the port. Returns 0, DW_CANNOT_LISTEN (dw_reactor_errno says why; the protocol is not
 * touched), DW_INVALID_ADDRESS, DW_INVALID_ARGUMENT, DW_NO_MEMORY, or DW_UNSUPPORTED on a wire
 * without datagrams. */

int dw_reactor_listen_udp(dw_reactor *reactor, uint16_t number, dw_datagram_protocol *protocol,
                          const char *interface, size_t max_packet_size, dw_datagram_port **out);

/* The same, for a port that others may share (SO_REUSEADDR, and SO_REUSEPORT where there is one):
 * what a member of a multicast group wants (Twisted's listenMulticast with listenMultiple). */
int dw_reactor_listen_multicast(dw_reactor *reactor, uint16_t number,
                                dw_datagram_protocol *protocol, const char *interface,
                                size_t max_packet_size, dw_datagram_port **out);

/* A UNIX datagram socket bound to `path` (see dw_address_unix). The file is removed when the port
 * closes, as listen_unix's is. `mode` are the file's permission bits, 0: what the umask leaves
 * (Twisted: 0666). Descriptors that come with a datagram are closed. */
int dw_reactor_listen_unix_datagram(dw_reactor *reactor, const char *path,
                                    dw_datagram_protocol *protocol, size_t max_packet_size,
                                    unsigned mode, dw_datagram_port **out);

/* A UNIX datagram socket connected to `path`; `bind` is its own path, or NULL: none, and then
 * nobody can answer. DW_CONNECT_ERROR (no such file) or DW_CONNECTION_REFUSED when nobody is there;
 * dw_reactor_errno says more. */
int dw_reactor_connect_unix_datagram(dw_reactor *reactor, const char *path,
                                     dw_datagram_protocol *protocol, size_t max_packet_size,
                                     unsigned mode, const char *bind, dw_datagram_port **out);

/* Takes over a datagram socket that the program made, connected or not; the descriptor is
 * duplicated, the program keeps and closes its own, which no longer blocks either. Returns 0,
 * DW_INVALID_ARGUMENT (no such socket), DW_NO_MEMORY, DW_SYSTEM_ERROR, or DW_UNSUPPORTED on the dry
 * wire. */
int dw_reactor_adopt_datagram_port(dw_reactor *reactor, int fd, dw_datagram_protocol *protocol,
                                   size_t max_packet_size, dw_datagram_port **out);

/* Sends one datagram, at once, to `to`; NULL: to where the port is connected. Returns the number of
 * bytes (0 for one that the network had no room for just now: datagrams may be lost), or
 * DW_INVALID_ARGUMENT (no address and not connected, or another address while connected),
 * DW_INVALID_ADDRESS (of a kind that the port cannot send to), DW_MESSAGE_TOO_LONG,
 * DW_NOT_LISTENING (NULL, or a port that is closed: between stop_listening and stop_protocol it
 * still sends), DW_SYSTEM_ERROR. A refusal that an earlier datagram met is reported by
 * connection_refused in a later turn, and this one is sent all the same; to a UNIX socket that is
 * gone it is not, and 0 is returned. Without a connection, ECONNREFUSED and ENOENT of a UNIX socket
 * are DW_SYSTEM_ERROR. */
ssize_t dw_datagram_write(dw_datagram_port *port, const void *data, size_t len,
                          const dw_address *to);

/* The same for `count` pieces, at most DW_DATAGRAM_PIECES_MAX: one datagram. */
ssize_t dw_datagram_writev(dw_datagram_port *port, const struct iovec *pieces, size_t count,
                           const dw_address *to);

/* From now on sends to, and receives from, this address alone; what others have sent before and
 * was not read yet is dropped. `host` is a literal. Returns 0, DW_ALREADY_CONNECTED,
 * DW_INVALID_ADDRESS, DW_NOT_LISTENING, DW_SYSTEM_ERROR. */
int dw_datagram_connect(dw_datagram_port *port, const char *host, uint16_t number);

/* Closes the port in a later turn: stop_protocol, then done(user) (may be NULL). Called inside
 * datagram_received, what the same turn finds in the queue is still delivered, as in Twisted.
 * Returns 0, or DW_NOT_LISTENING: nothing to wait for. */
int dw_datagram_stop_listening(dw_datagram_port *port, void (*done)(void *user), void *user);

/* Stops and starts reading, at once and not counted; meanwhile datagrams wait in the system, as
 * many as fit there. */
void dw_datagram_pause_producing(dw_datagram_port *port);
void dw_datagram_resume_producing(dw_datagram_port *port);

/* The local address; its port is the real one when 0 was asked for. */
dw_address dw_datagram_host(const dw_datagram_port *port);
/* Where it is connected to, or DW_ADDRESS_NONE. */
dw_address dw_datagram_peer(const dw_datagram_port *port);

/* The socket's descriptor, for options that this page does not have; -1 on the dry wire and for
 * NULL. Still the library's: do not close, read or write it. */
int dw_datagram_handle(const dw_datagram_port *port);

dw_reactor *dw_datagram_reactor(const dw_datagram_port *port);

/* Whether datagrams may go to a broadcast address (SO_BROADCAST); off at first. */
bool dw_datagram_get_broadcast_allowed(dw_datagram_port *port);
int dw_datagram_set_broadcast_allowed(dw_datagram_port *port, bool on);

/* Multicast (Twisted's IMulticastTransport, which knows IPv4 alone). `group` and `interface` are
 * literals of the port's own kind; `interface` is an address of the interface to use, or, for IPv6,
 * any address with the interface as its scope ("::%eth0"); NULL: the system chooses. Setters return
 * 0, DW_INVALID_ADDRESS, DW_INVALID_ARGUMENT, DW_NOT_LISTENING, DW_SYSTEM_ERROR (EADDRINUSE: a
 * member already; EADDRNOTAVAIL: not one; ENODEV: no such interface), or DW_UNSUPPORTED on a wire
 * without multicast. */
int dw_datagram_join_group(dw_datagram_port *port, const char *group, const char *interface);
int dw_datagram_leave_group(dw_datagram_port *port, const char *group, const char *interface);
/* Hops that a multicast datagram may take, 0 to 255; 1 at first. The getter may answer an error. */
int dw_datagram_get_ttl(dw_datagram_port *port);
int dw_datagram_set_ttl(dw_datagram_port *port, int ttl);
/* Whether datagrams to a group come back to this host; on at first. */
bool dw_datagram_get_loopback_mode(dw_datagram_port *port);
int dw_datagram_set_loopback_mode(dw_datagram_port *port, bool on);
/* The interface, by its address, that datagrams to a group leave by. The getter answers an IPv6
 * port "::" with the interface as its scope, 0 while the system chooses; DW_ADDRESS_NONE when there
 * is nothing to tell. */
int dw_datagram_set_outgoing_interface(dw_datagram_port *port, const char *interface);
dw_address dw_datagram_get_outgoing_interface(dw_datagram_port *port);

DW_END_DECLS

#endif
