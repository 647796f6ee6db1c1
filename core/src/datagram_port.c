/* SPDX-License-Identifier: MIT */
/*
 * The life of a datagram port: opened or adopted, started, stopped, closed in a later turn.
 *
 * Invariant: from start_protocol on a port is in the reactor's list until stop_protocol begins, and
 * it is open exactly as long.
 */
#include "datagram.h"

dw_datagram_port *dw_datagram_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_datagram_port, node);
}

const char *dw_datagram_name(const dw_io *io) {
    return DW_CONTAINER_OF((uintptr_t)io, dw_datagram_port, io)->protocol->cls->name;
}

const dw_promises *dw_datagram_promises(const dw_io *io) {
    return DW_CONTAINER_OF((uintptr_t)io, dw_datagram_port, io)->protocol->cls->promises;
}

void dw_datagram_protocol_init(dw_datagram_protocol *protocol,
                               const dw_datagram_protocol_class *cls) {
    *protocol = (dw_datagram_protocol){.cls = cls};
}

/* ---- Opening ---- */

static bool fits(const dw_datagram_protocol *protocol, size_t max_packet_size) {
    return protocol != NULL && max_packet_size <= DW_RECV_MAX;
}

static dw_datagram_port *port_new(dw_reactor *reactor, dw_datagram_protocol *protocol,
                                  size_t max_packet_size) {
    dw_datagram_port *port = dw_new(reactor, dw_datagram_port);
    if (port != NULL) {
        port->io.socket = DW_SOCKET_NONE;
        port->io.kind = DW_IO_DATAGRAM;
        port->reactor = reactor;
        port->protocol = protocol;
        port->max_packet_size = max_packet_size > 0 ? max_packet_size : DW_MAX_PACKET_SIZE_DEFAULT;
        list_add(&reactor->datagram_ports, &port->node);
    }
    return port;
}

static void release_socket(dw_datagram_port *port) {
    dw_socket_file_remove(port->reactor, &port->address, &port->file);
    if (port->io.socket != DW_SOCKET_NONE) {
        port->reactor->wire->close(port->reactor, &port->io, false);
    }
    list_remove(&port->node);
}

static void free_port(dw_datagram_port *port) {
    release_socket(port);
    dw_free(port->reactor, port);
}

/* Opens a socket of port->address's kind and, unless that is a UNIX socket without a name, binds it
 * there. */
static int open_port(dw_datagram_port *port, bool shared, unsigned mode) {
    dw_reactor *reactor = port->reactor;
    const dw_wire *wire = reactor->wire;
    int error = wire->open(reactor, &port->io, (dw_address_kind)port->address.kind);
    if (error == 0 && shared) {
        error = wire->set_option(reactor, &port->io, DW_OPTION_REUSE_PORT, 1);
    }
    if (error == 0 && (port->address.kind != DW_ADDRESS_UNIX || port->address.path_len > 0)) {
        error = dw_socket_file_bind(reactor, &port->io, &port->address, mode, &port->file);
    }
    if (error == 0) {
        error = wire->local_address(reactor, &port->io, &port->address);
    }
    return error;
}

static int port_starts(dw_datagram_port *port, dw_datagram_port **out) {
    dw_datagram_protocol *protocol = port->protocol;
    port->reactor->port_count++;
    datagram_see(port, DW_SEEN_LISTEN, 0, NULL, port->address.port);
    if (out != NULL) {
        *out = port;
    }
    protocol->transport = port;
    if (protocol->cls->start_protocol != NULL) {
        protocol->cls->start_protocol(protocol);
    }
    datagram_watch(port);
    return 0;
}

static int listen_on(dw_reactor *reactor, const dw_address *address, dw_datagram_protocol *protocol,
                     size_t max_packet_size, bool shared, unsigned mode, dw_datagram_port **out) {
    if (reactor->wire->recv_from == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_datagram_port *port = port_new(reactor, protocol, max_packet_size);
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    port->address = *address;
    int error = open_port(port, shared, mode);
    if (error < 0) {
        free_port(port);
        return dw_cannot_listen(reactor, error);
    }
    return port_starts(port, out);
}

static int listen_ip(dw_reactor *reactor, uint16_t number, dw_datagram_protocol *protocol,
                     const char *interface, size_t max_packet_size, bool shared,
                     dw_datagram_port **out) {
    dw_address address;
    if (!fits(protocol, max_packet_size)) {
        return DW_INVALID_ARGUMENT;
    }
    if (dw_address_parse(&address, interface != NULL ? interface : "0.0.0.0", number) < 0) {
        return DW_INVALID_ADDRESS;
    }
    return listen_on(reactor, &address, protocol, max_packet_size, shared, 0, out);
}

int dw_reactor_listen_udp(dw_reactor *reactor, uint16_t number, dw_datagram_protocol *protocol,
                          const char *interface, size_t max_packet_size, dw_datagram_port **out) {
    return listen_ip(reactor, number, protocol, interface, max_packet_size, false, out);
}

int dw_reactor_listen_multicast(dw_reactor *reactor, uint16_t number,
                                dw_datagram_protocol *protocol, const char *interface,
                                size_t max_packet_size, dw_datagram_port **out) {
    return listen_ip(reactor, number, protocol, interface, max_packet_size, true, out);
}

int dw_reactor_listen_unix_datagram(dw_reactor *reactor, const char *path,
                                    dw_datagram_protocol *protocol, size_t max_packet_size,
                                    unsigned mode, dw_datagram_port **out) {
    dw_address address;
    if (!fits(protocol, max_packet_size)) {
        return DW_INVALID_ARGUMENT;
    }
    if (path == NULL || dw_address_unix(&address, path) < 0) {
        return DW_INVALID_ADDRESS;
    }
    if (reactor->wire->unlink == NULL) {
        return DW_UNSUPPORTED;
    }
    return listen_on(reactor, &address, protocol, max_packet_size, false, mode, out);
}

static int connect_port(dw_datagram_port *port, const dw_address *to, unsigned mode) {
    dw_reactor *reactor = port->reactor;
    int error = open_port(port, false, mode);
    if (error < 0) {
        return dw_cannot_listen(reactor, error);
    }
    error = reactor->wire->connect(reactor, &port->io, to);
    if (error < 0) {
        reactor->last_errno = -error;
        return error == -ECONNREFUSED ? DW_CONNECTION_REFUSED : DW_CONNECT_ERROR;
    }
    port->peer = *to;
    return 0;
}

int dw_reactor_connect_unix_datagram(dw_reactor *reactor, const char *path,
                                     dw_datagram_protocol *protocol, size_t max_packet_size,
                                     unsigned mode, const char *bind, dw_datagram_port **out) {
    dw_address to, own = {.kind = DW_ADDRESS_UNIX};
    if (!fits(protocol, max_packet_size)) {
        return DW_INVALID_ARGUMENT;
    }
    if (path == NULL || dw_address_unix(&to, path) < 0 ||
        (bind != NULL && dw_address_unix(&own, bind) < 0)) {
        return DW_INVALID_ADDRESS;
    }
    if (reactor->wire->recv_from == NULL || reactor->wire->unlink == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_datagram_port *port = port_new(reactor, protocol, max_packet_size);
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    port->address = own;
    int error = connect_port(port, &to, mode);
    if (error < 0) {
        free_port(port);
        return error;
    }
    return port_starts(port, out);
}

int dw_reactor_adopt_datagram_port(dw_reactor *reactor, int fd, dw_datagram_protocol *protocol,
                                   size_t max_packet_size, dw_datagram_port **out) {
    const dw_wire *wire = reactor->wire;
    if (!fits(protocol, max_packet_size)) {
        return DW_INVALID_ARGUMENT;
    }
    if (wire->adopt == NULL || wire->recv_from == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_datagram_port *port = port_new(reactor, protocol, max_packet_size);
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    int error = wire->adopt(reactor, &port->io, fd);
    if (error < 0) {
        free_port(port);
        return dw_cannot_adopt(reactor, error);
    }
    datagram_learn_addresses(port);
    return port_starts(port, out);
}

/* ---- Closing ---- */

/* Twisted's order: the protocol has lost its transport before it hears of it. Its owner may free it
 * in stop_protocol, unless it has a destroy. */
static void close_port(dw_datagram_port *port) {
    dw_datagram_protocol *protocol = port->protocol;
    const dw_datagram_protocol_class *cls = protocol->cls;
    datagram_see(port, DW_SEEN_STOP_LISTEN, 0, NULL, port->address.port);
    port->stopping = true;
    dw_delayed_call_cancel(&port->later);
    dw_delayed_call_cancel(&port->refusal);
    datagram_watch(port);
    port->reactor->port_count--;
    release_socket(port);
    protocol->transport = NULL;
    if (cls->stop_protocol != NULL) {
        cls->stop_protocol(protocol);
    }
    if (port->done != NULL) {
        port->done(port->done_user);
    }
    dw_free(port->reactor, port);
    if (cls->destroy != NULL) {
        cls->destroy(protocol);
    }
}

static void stop_now(void *user) {
    close_port(user);
}

int dw_datagram_stop_listening(dw_datagram_port *port, void (*done)(void *user), void *user) {
    if (port == NULL || port->stopping) {
        return DW_NOT_LISTENING;
    }
    port->stopping = true;
    port->done = done;
    port->done_user = user;
    datagram_watch(port);
    dw_reactor_call_later(port->reactor, &port->later, 0, stop_now, port);
    return 0;
}

void dw_datagram_shutdown(dw_datagram_port *port) {
    close_port(port);
}

void dw_datagram_discard(dw_datagram_port *port) {
    dw_datagram_protocol *protocol = port->protocol;
    port->stopping = true;
    dw_delayed_call_cancel(&port->later);
    dw_delayed_call_cancel(&port->refusal);
    datagram_watch(port);
    protocol->transport = NULL;
    free_port(port);
    if (protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
}

/* ---- Facts ---- */

dw_address dw_datagram_host(const dw_datagram_port *port) {
    return port != NULL ? port->address : (dw_address){0};
}

dw_address dw_datagram_peer(const dw_datagram_port *port) {
    return port != NULL ? port->peer : (dw_address){0};
}

int dw_datagram_handle(const dw_datagram_port *port) {
    return port != NULL ? io_handle(port->reactor, &port->io) : -1;
}

dw_reactor *dw_datagram_reactor(const dw_datagram_port *port) {
    return port != NULL ? port->reactor : NULL;
}
