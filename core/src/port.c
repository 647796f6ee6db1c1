/* SPDX-License-Identifier: MIT */
/*
 * Listening stream ports, TCP and UNIX: accept until the queue is empty, survive every error that
 * accept(2) lists, close in a later turn than stop_listening was called in. The file of a UNIX
 * socket goes with the port that made it, unless somebody has put another one in its place.
 */
#include "internal.h"

/* Twisted accepts about a hundred in a turn, so that others get their turn too. */
enum { ACCEPTS_PER_TURN = 100 };

/* Permission bits of a UNIX socket's file: Twisted's. */
enum { MODE_DEFAULT = 0666 };

/* How long a port rests when the system has no buffers, memory or descriptors for a connection. */
#define ACCEPT_REST DW_MSEC(100)

struct dw_port {
    dw_io io;
    dw_reactor *reactor;
    dw_factory *factory;
    struct dw_list_node node; /* of reactor->ports */
    dw_address address;
    dw_delayed_call later; /* the rest after an error, or the close */
    void (*done)(void *user);
    void *done_user;
    struct dw_socket_file file;
    bool stopping;
};

dw_port *dw_port_of_io(dw_io *io) {
    return DW_CONTAINER_OF(io, dw_port, io);
}

dw_port *dw_port_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_port, node);
}

const char *dw_port_factory_name(const dw_io *io) {
    return DW_CONTAINER_OF(io, const dw_port, io)->factory->cls->name;
}

dw_factory *dw_port_factory(const dw_io *io) {
    return DW_CONTAINER_OF(io, const dw_port, io)->factory;
}

const dw_io *dw_port_io(const dw_port *port) {
    return &port->io;
}

static void watch(dw_port *port, bool on) {
    port->io.want = on ? DW_READABLE : 0;
    port->reactor->wire->watch(port->reactor, &port->io);
}

/* ---- Accepting ---- */

/* The factory has made no protocol. */
DW_SELDOM static int turn_away(dw_reactor *reactor, const dw_factory *factory, dw_transport *t,
                               const dw_protocol *protocol) {
    if (protocol == DW_PROTOCOL_FAILED) {
        dw_reactor_log(reactor, "%s: no protocol for a connection", factory->cls->name);
    }
    reactor->wire->close(reactor, &t->io, false);
    dw_stream_discard(t);
    return 0;
}

static inline int serve(dw_reactor *reactor, dw_factory *factory, dw_io *accepted,
                        const dw_address *peer) {
    dw_transport *t = dw_stream_accepted(reactor, accepted, peer);
    if (t == NULL) {
        return DW_NO_MEMORY;
    }
    dw_protocol *protocol = factory->cls->build_protocol(factory, peer);
    if (protocol == NULL || protocol == DW_PROTOCOL_FAILED) {
        return turn_away(reactor, factory, t, protocol);
    }
    protocol->factory = factory;
    dw_stream_serve(t, protocol);
    return 0;
}

static void rest_over(void *user) {
    watch(user, true);
}

/* Errors of accept(2): some concern one connection that is gone already, the others the system, and
 * trying again at once would only spin. Returns whether to go on accepting. */
static bool accept_failed(dw_port *port, int error) {
    switch (error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return false;
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM: /* and what Linux passes on from the new socket: */
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default:
        dw_reactor_log(port->reactor, "%s: accept: %s", port->factory->cls->name, strerror(error));
        watch(port, false);
        dw_reactor_call_later(port->reactor, &port->later, ACCEPT_REST, rest_over, port);
        return false;
    }
}

void dw_port_ready(dw_port *port) {
    dw_reactor *reactor = port->reactor;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !port->stopping; i++) {
        dw_io accepted = {.socket = DW_SOCKET_NONE};
        dw_address peer;
        int error = reactor->wire->accept(reactor, &port->io, &accepted, &peer);
        if (error == 0) {
            serve(reactor, port->factory, &accepted, &peer);
            reactor_flush(reactor);
        } else if (!accept_failed(port, -error)) {
            return;
        }
    }
}

/* ---- Life ---- */

int dw_cannot_listen(dw_reactor *reactor, int error) {
    reactor->last_errno = -error;
    return error == -ENOMEM ? DW_NO_MEMORY : DW_CANNOT_LISTEN;
}

int dw_cannot_adopt(dw_reactor *reactor, int error) {
    reactor->last_errno = -error;
    switch (-error) {
    case ENOMEM:
        return DW_NO_MEMORY;
    case EBADF:
    case EINVAL:
    case ENOTCONN:
    case ENOTSOCK:
        return DW_INVALID_ARGUMENT;
    default:
        return DW_SYSTEM_ERROR;
    }
}

static dw_port *port_new(dw_reactor *reactor, dw_factory *factory, const dw_address *address) {
    dw_port *port = dw_new(reactor, dw_port);
    if (port != NULL) {
        port->io.socket = DW_SOCKET_NONE;
        port->io.kind = DW_IO_PORT;
        port->reactor = reactor;
        port->factory = factory;
        port->address = *address;
        list_add(&reactor->ports, &port->node);
    }
    return port;
}

static int open_port(dw_port *port, int backlog, unsigned mode) {
    dw_reactor *reactor = port->reactor;
    const dw_wire *wire = reactor->wire;
    int error = wire->open(reactor, &port->io, (dw_address_kind)port->address.kind);
    if (error == 0) {
        error = dw_socket_file_bind(reactor, &port->io, &port->address, mode, &port->file);
    }
    if (error == 0) {
        error = wire->listen(reactor, &port->io, backlog > 0 ? backlog : DW_BACKLOG_DEFAULT);
    }
    if (error == 0) {
        error = wire->local_address(reactor, &port->io, &port->address);
    }
    return error;
}

static void release_socket(dw_port *port) {
    dw_socket_file_remove(port->reactor, &port->address, &port->file);
    if (port->io.socket != DW_SOCKET_NONE) {
        port->reactor->wire->close(port->reactor, &port->io, false);
    }
    list_remove(&port->node);
}

static void free_port(dw_port *port) {
    release_socket(port);
    dw_free(port->reactor, port);
}

/* The socket listens and the factory has been started: connections may come. */
static int port_listens(dw_port *port, dw_port **out) {
    dw_reactor *reactor = port->reactor;
    reactor->port_count++;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_LISTEN, &port->io, 0, NULL, port->address.port);
    }
    watch(port, true);
    if (out != NULL) {
        *out = port;
    }
    return 0;
}

int dw_reactor_listen_tcp(dw_reactor *reactor, uint16_t number, dw_factory *factory, int backlog,
                          const char *interface, dw_port **out) {
    dw_address address;
    if (dw_address_parse(&address, interface != NULL ? interface : "0.0.0.0", number) < 0) {
        return DW_INVALID_ADDRESS;
    }
    dw_port *port = port_new(reactor, factory, &address);
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    int error = open_port(port, backlog, 0);
    if (error < 0) {
        free_port(port);
        return dw_cannot_listen(reactor, error);
    }
    dw_factory_do_start(factory);
    return port_listens(port, out);
}

/* The factory first: vectors/README.md, "Ports and factory hooks". */
int dw_reactor_listen_unix(dw_reactor *reactor, const char *path, dw_factory *factory, int backlog,
                           unsigned mode, dw_port **out) {
    dw_address address;
    if (path == NULL || dw_address_unix(&address, path) < 0) {
        return DW_INVALID_ADDRESS;
    }
    if (reactor->wire->unlink == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_port *port = port_new(reactor, factory, &address);
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    dw_factory_do_start(factory);
    int error = open_port(port, backlog, mode != 0 ? mode : MODE_DEFAULT);
    if (error < 0) {
        free_port(port);
        dw_factory_do_stop(factory);
        return dw_cannot_listen(reactor, error);
    }
    return port_listens(port, out);
}

/* ---- Adopting ---- */

int dw_reactor_adopt_stream_port(dw_reactor *reactor, int fd, dw_factory *factory, dw_port **out) {
    if (reactor->wire->adopt == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_port *port = port_new(reactor, factory, &(dw_address){0});
    if (port == NULL) {
        return DW_NO_MEMORY;
    }
    int error = reactor->wire->adopt(reactor, &port->io, fd);
    if (error == 0) {
        error = reactor->wire->local_address(reactor, &port->io, &port->address);
    }
    if (error < 0) {
        free_port(port);
        return dw_cannot_adopt(reactor, error);
    }
    dw_factory_do_start(factory);
    return port_listens(port, out);
}

int dw_reactor_adopt_stream_connection(dw_reactor *reactor, int fd, dw_factory *factory) {
    const dw_wire *wire = reactor->wire;
    dw_io io = {.socket = DW_SOCKET_NONE, .kind = DW_IO_STREAM};
    dw_address peer = {0};
    if (wire->adopt == NULL || wire->remote_address == NULL) {
        return DW_UNSUPPORTED;
    }
    int error = wire->adopt(reactor, &io, fd);
    if (error < 0) {
        return dw_cannot_adopt(reactor, error);
    }
    error = wire->remote_address(reactor, &io, &peer);
    if (error < 0) {
        wire->close(reactor, &io, false); /* it ended just now */
        return dw_cannot_adopt(reactor, error);
    }
    return serve(reactor, factory, &io, &peer);
}

/* ---- Closing ---- */

/* Inside `stop` and `done` the port may still be asked (tcp-hooks-stop-listening-twice). */
static void close_port(dw_port *port) {
    dw_reactor *reactor = port->reactor;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_STOP_LISTEN, &port->io, 0, NULL, port->address.port);
    }
    dw_delayed_call_cancel(&port->later);
    watch(port, false);
    reactor->port_count--;
    release_socket(port);
    dw_factory_do_stop(port->factory);
    if (port->done != NULL) {
        port->done(port->done_user);
    }
    dw_free(reactor, port);
}

static void stop_now(void *user) {
    close_port(user);
}

int dw_port_stop_listening(dw_port *port, void (*done)(void *user), void *user) {
    if (port == NULL || port->stopping) {
        return DW_NOT_LISTENING;
    }
    port->stopping = true;
    port->done = done;
    port->done_user = user;
    watch(port, false);
    dw_reactor_call_later(port->reactor, &port->later, 0, stop_now, port);
    return 0;
}

dw_address dw_port_host(const dw_port *port) {
    return port != NULL ? port->address : (dw_address){0};
}

int dw_port_handle(const dw_port *port) {
    return port != NULL ? io_handle(port->reactor, &port->io) : -1;
}

void dw_port_shutdown(dw_port *port) {
    port->stopping = true;
    close_port(port);
}

void dw_port_discard(dw_port *port) {
    dw_delayed_call_cancel(&port->later);
    port->io.want = 0;
    port->reactor->wire->watch(port->reactor, &port->io);
    free_port(port);
}
