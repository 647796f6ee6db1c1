/* SPDX-License-Identifier: MIT */
/*
 * The insides of a datagram port, for the files that have its functions: datagram.c (reading,
 * writing), datagram_port.c (opening, closing) and datagram_options.c.
 */
#ifndef DRYWIRE_CORE_DATAGRAM_H
#define DRYWIRE_CORE_DATAGRAM_H

#include "internal.h"

struct dw_datagram_port {
    dw_io io;
    dw_reactor *reactor;
    dw_datagram_protocol *protocol;
    struct dw_list_node node; /* of reactor->datagram_ports */
    dw_address address, peer; /* peer: DW_ADDRESS_NONE unless connected */
    dw_delayed_call later;    /* the rest after an error, or the close */
    dw_delayed_call refusal;  /* one that a write met is still to be told */
    size_t max_packet_size;
    void (*done)(void *user);
    void *done_user;
    struct dw_socket_file file;
    bool stopping, paused, resting;
};

/* A port that verbs may act on. */
static inline bool datagram_is_open(const dw_datagram_port *port) {
    return port != NULL && port->io.socket != DW_SOCKET_NONE;
}

static inline void datagram_watch(dw_datagram_port *port) {
    uint8_t want = port->stopping || port->paused || port->resting ? 0 : DW_READABLE;
    if (port->io.want != want) {
        port->io.want = want;
        port->reactor->wire->watch(port->reactor, &port->io);
    }
}

static inline void datagram_see(const dw_datagram_port *port, dw_seen seen, int code,
                                const void *data, size_t len) {
    if (port->reactor->observe != NULL) {
        port->reactor->observe(port->reactor, seen, &port->io, code, data, len);
    }
}

/* 0, or DW_SYSTEM_ERROR for an error of the wire's. */
static inline int datagram_result(const dw_datagram_port *port, int error) {
    if (error < 0) {
        port->reactor->last_errno = -error;
        return DW_SYSTEM_ERROR;
    }
    return 0;
}

/* An address literal of the port's own kind. */
static inline bool datagram_parse(const dw_datagram_port *port, const char *literal,
                                  uint16_t number, dw_address *out) {
    return literal != NULL && dw_address_parse(out, literal, number) == 0 &&
           out->kind == port->address.kind;
}

/* The wire may know the two ends better: a port on all addresses gets one by being connected. */
static inline void datagram_learn_addresses(dw_datagram_port *port) {
    dw_reactor *reactor = port->reactor;
    (void)reactor->wire->local_address(reactor, &port->io, &port->address);
    if (reactor->wire->remote_address != NULL) {
        (void)reactor->wire->remote_address(reactor, &port->io, &port->peer);
    }
}

#endif
