/* SPDX-License-Identifier: MIT */
/*
 * What a datagram port can be set to: broadcast, and all about multicast groups. Every function
 * takes NULL and a closed port in good part.
 */
#include "datagram.h"

/* Hops of a multicast datagram: the field has eight bits (RFC 791, RFC 8200). */
enum { TTL_MAX = 255 };

/* ---- Options ---- */

static int get_option(dw_datagram_port *port, dw_socket_option option) {
    return datagram_is_open(port)
               ? port->reactor->wire->get_option(port->reactor, &port->io, option)
               : -EBADF;
}

static int set_option(dw_datagram_port *port, dw_socket_option option, int value) {
    if (!datagram_is_open(port)) {
        return DW_NOT_LISTENING;
    }
    return datagram_result(
        port, port->reactor->wire->set_option(port->reactor, &port->io, option, value));
}

bool dw_datagram_get_broadcast_allowed(dw_datagram_port *port) {
    return get_option(port, DW_OPTION_BROADCAST) > 0;
}

int dw_datagram_set_broadcast_allowed(dw_datagram_port *port, bool on) {
    return set_option(port, DW_OPTION_BROADCAST, on);
}

int dw_datagram_get_ttl(dw_datagram_port *port) {
    int ttl = get_option(port, DW_OPTION_MULTICAST_TTL);
    return !datagram_is_open(port) ? DW_NOT_LISTENING : ttl < 0 ? datagram_result(port, ttl) : ttl;
}

int dw_datagram_set_ttl(dw_datagram_port *port, int ttl) {
    return ttl >= 0 && ttl <= TTL_MAX ? set_option(port, DW_OPTION_MULTICAST_TTL, ttl)
                                      : DW_INVALID_ARGUMENT;
}

bool dw_datagram_get_loopback_mode(dw_datagram_port *port) {
    return get_option(port, DW_OPTION_MULTICAST_LOOPBACK) > 0;
}

int dw_datagram_set_loopback_mode(dw_datagram_port *port, bool on) {
    return set_option(port, DW_OPTION_MULTICAST_LOOPBACK, on);
}

/* ---- Multicast ---- */

/* 224.0.0.0/4 (RFC 5771), ff00::/8 (RFC 4291). */
static bool is_group(const dw_address *address) {
    return address->kind == DW_ADDRESS_IPV4 ? address->ip[0] >> 4 == 0xe : address->ip[0] == 0xff;
}

static int change_group(dw_datagram_port *port, const char *group, const char *interface,
                        bool join) {
    dw_address to, by;
    if (!datagram_is_open(port)) {
        return DW_NOT_LISTENING;
    }
    if (port->reactor->wire->membership == NULL) {
        return DW_UNSUPPORTED;
    }
    if (!datagram_parse(port, group, 0, &to) || !is_group(&to) ||
        (interface != NULL && !datagram_parse(port, interface, 0, &by))) {
        return DW_INVALID_ADDRESS;
    }
    return datagram_result(port,
                           port->reactor->wire->membership(port->reactor, &port->io, &to,
                                                           interface != NULL ? &by : NULL, join));
}

int dw_datagram_join_group(dw_datagram_port *port, const char *group, const char *interface) {
    return change_group(port, group, interface, true);
}

int dw_datagram_leave_group(dw_datagram_port *port, const char *group, const char *interface) {
    return change_group(port, group, interface, false);
}

int dw_datagram_set_outgoing_interface(dw_datagram_port *port, const char *interface) {
    dw_address by;
    if (!datagram_is_open(port)) {
        return DW_NOT_LISTENING;
    }
    if (port->reactor->wire->set_multicast_interface == NULL) {
        return DW_UNSUPPORTED;
    }
    if (interface != NULL && !datagram_parse(port, interface, 0, &by)) {
        return DW_INVALID_ADDRESS;
    }
    return datagram_result(port, port->reactor->wire->set_multicast_interface(
                                     port->reactor, &port->io, interface != NULL ? &by : NULL));
}

dw_address dw_datagram_get_outgoing_interface(dw_datagram_port *port) {
    dw_address address = {0};
    if (datagram_is_open(port) && port->reactor->wire->get_multicast_interface != NULL) {
        (void)port->reactor->wire->get_multicast_interface(port->reactor, &port->io, &address);
    }
    return address;
}
