/* SPDX-License-Identifier: MIT */
/*
 * Datagrams, UDP and UNIX, connected and not (vectors/README.md, "Datagrams"). Reading takes what a
 * turn may take. No error ends a port: a refusal is told, the rest concerns one datagram, or
 * passes.
 */
#include "datagram.h"

#include <limits.h>

/* What one turn reads, so that others get their turn too: Twisted's maxThroughput, and a number for
 * datagrams that are small or empty. */
enum { BYTES_PER_TURN = 256 * 1024, DATAGRAMS_PER_TURN = 1024 };

/* How long a port rests when the system cannot give it what has come. */
#define READ_REST DW_MSEC(100)

static dw_datagram_port *port_of_io(const dw_io *io) {
    return DW_CONTAINER_OF((uintptr_t)io, dw_datagram_port, io);
}

static bool is_connected(const dw_datagram_port *port) {
    return port->peer.kind != DW_ADDRESS_NONE;
}

/* ---- Reading ---- */

static void tell_refused(void *user) {
    dw_datagram_port *port = user;
    datagram_see(port, DW_SEEN_REFUSED, 0, NULL, 0);
    if (port->protocol->cls->connection_refused != NULL) {
        port->protocol->cls->connection_refused(port->protocol);
    }
}

static void rest_over(void *user) {
    dw_datagram_port *port = user;
    port->resting = false;
    datagram_watch(port);
}

/* A UNIX peer that is gone is a refusal, too: ECONNRESET takes back what it had not read, and later
 * the kernel has forgotten whom we were connected to (net/unix/af_unix.c). */
static bool is_refusal(const dw_datagram_port *port, int error) {
    if (!is_connected(port)) {
        return false;
    }
    return error == ECONNREFUSED ||
           (port->peer.kind == DW_ADDRESS_UNIX && (error == ECONNRESET || error == ENOTCONN));
}

static void read_failed(dw_datagram_port *port, int error) {
    switch (error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINTR:
    case ECONNREFUSED: /* not connected: nobody's business */
    case ECONNRESET:   /* what else Linux makes of an ICMP message about one that was sent: */
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EMSGSIZE:
    case EPROTO:
    case EACCES:
    case ENETDOWN:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
#ifdef ENONET
    case ENONET:
#endif
        return;
    default:
        dw_reactor_log(port->reactor, "%s: reading a datagram: %s", port->protocol->cls->name,
                       strerror(error));
        if (!port->stopping) {
            port->resting = true;
            datagram_watch(port);
            dw_reactor_call_later(port->reactor, &port->later, READ_REST, rest_over, port);
        }
    }
}

/* What was in the queue already when the port was connected may be from anybody. */
static bool is_for_us(const dw_datagram_port *port, const dw_address *from) {
    return !is_connected(port) || port->peer.kind == DW_ADDRESS_UNIX ||
           dw_address_equal(&port->peer, from);
}

static void deliver(dw_datagram_port *port, const uint8_t *data, size_t len,
                    const dw_address *from) {
    dw_datagram_protocol *protocol = port->protocol;
    if (!is_for_us(port, from)) {
        return;
    }
    datagram_see(port, DW_SEEN_DATAGRAM, 0, data, len);
    if (protocol->cls->datagram_received != NULL) {
        protocol->cls->datagram_received(protocol, data, len, from);
    }
    dw_reactor_flush(port->reactor);
}

/* A port that is stopped inside goes on with what is there, as Twisted's does; one that is paused
 * does not. */
void dw_datagram_ready(dw_io *io) {
    dw_datagram_port *port = port_of_io(io);
    dw_reactor *reactor = port->reactor;
    size_t bytes = 0;
    for (unsigned i = 0; i < DATAGRAMS_PER_TURN && bytes < BYTES_PER_TURN && !port->paused; i++) {
        const uint8_t *data = NULL;
        dw_address from = {0};
        ssize_t got = reactor->wire->recv_from(reactor, io, port->max_packet_size, &data, &from);
        if (got < 0 && is_refusal(port, (int)-got)) {
            tell_refused(port);
            return;
        }
        if (got < 0) {
            read_failed(port, (int)-got);
            return;
        }
        bytes += (size_t)got;
        deliver(port, data, (size_t)got, &from);
    }
}

void dw_datagram_pause_producing(dw_datagram_port *port) {
    if (datagram_is_open(port)) {
        port->paused = true;
        datagram_watch(port);
    }
}

void dw_datagram_resume_producing(dw_datagram_port *port) {
    if (datagram_is_open(port)) {
        port->paused = false;
        datagram_watch(port);
    }
}

/* ---- Writing ---- */

static void refuse_later(dw_datagram_port *port) {
    if (!dw_delayed_call_active(&port->refusal)) {
        dw_reactor_call_later(port->reactor, &port->refusal, 0, tell_refused, port);
    }
}

/* The refusal that a send reports is about an earlier datagram (udp(7)), and reporting it cost this
 * one its turn; a UNIX peer that is gone refuses this one, and any other. */
static ssize_t send_past_refusals(dw_datagram_port *port, const struct iovec *pieces, int count,
                                  const dw_address *to) {
    dw_reactor *reactor = port->reactor;
    ssize_t n = reactor->wire->send_to(reactor, &port->io, pieces, count, to);
    if (n < 0 && is_refusal(port, (int)-n)) {
        refuse_later(port);
        n = reactor->wire->send_to(reactor, &port->io, pieces, count, to);
        n = n < 0 && is_refusal(port, (int)-n) ? 0 : n;
    }
    return n;
}

static ssize_t answer(dw_reactor *reactor, ssize_t n) {
    switch (n < 0 ? -n : 0) {
    case 0:
        return n;
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINTR:
    case ENOBUFS:
        return 0;
    case EMSGSIZE:
        return DW_MESSAGE_TOO_LONG;
    default:
        reactor->last_errno = (int)-n;
        return DW_SYSTEM_ERROR;
    }
}

/* Where it goes: *to becomes NULL for where the port is connected to. 0 or an error. */
static int check_receiver(const dw_datagram_port *port, const dw_address **to) {
    const dw_address *address = *to;
    if (is_connected(port)) {
        *to = NULL;
        return address == NULL || dw_address_equal(address, &port->peer) ? 0 : DW_INVALID_ARGUMENT;
    }
    if (address == NULL) {
        return DW_INVALID_ARGUMENT;
    }
    bool nameless = address->kind == DW_ADDRESS_UNIX && address->path_len == 0;
    return address->kind == port->address.kind && !nameless ? 0 : DW_INVALID_ADDRESS;
}

ssize_t dw_datagram_writev(dw_datagram_port *port, const struct iovec *pieces, size_t count,
                           const dw_address *to) {
    if (!datagram_is_open(port)) {
        return DW_NOT_LISTENING;
    }
    int error = count <= DW_DATAGRAM_PIECES_MAX ? check_receiver(port, &to) : DW_INVALID_ARGUMENT;
    if (error < 0) {
        return error;
    }
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    size_t first = count > 0 ? pieces[0].iov_len : 0;
    datagram_see(port, DW_SEEN_SEND, (int)(first < INT_MAX ? first : INT_MAX),
                 count > 0 ? pieces[0].iov_base : NULL, total);
    return answer(port->reactor, send_past_refusals(port, pieces, (int)count, to));
}

ssize_t dw_datagram_write(dw_datagram_port *port, const void *data, size_t len,
                          const dw_address *to) {
    struct iovec piece = {(void *)(uintptr_t)data, len};
    return dw_datagram_writev(port, &piece, 1, to);
}

int dw_datagram_connect(dw_datagram_port *port, const char *host, uint16_t number) {
    dw_address address;
    if (!datagram_is_open(port)) {
        return DW_NOT_LISTENING;
    }
    if (is_connected(port)) {
        return DW_ALREADY_CONNECTED;
    }
    if (!datagram_parse(port, host, number, &address)) {
        return DW_INVALID_ADDRESS;
    }
    int error = port->reactor->wire->connect(port->reactor, &port->io, &address);
    if (error == 0) {
        port->peer = address;
        datagram_learn_addresses(port);
    }
    return datagram_result(port, error);
}
