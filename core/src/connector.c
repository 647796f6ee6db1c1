/* SPDX-License-Identifier: MIT */
/*
 * Connectors: name look-up, attempts at each address in turn, time-out, and the factory's callbacks
 * in Twisted's order (vectors/README.md, "Connectors").
 *
 * Invariant: while connecting, exactly one of these is under way: the `start` call, a lookup, or an
 * attempt (`transport`). A connector that is disconnected, not inside a callback and not held is
 * freed.
 */
#include "internal.h"

enum { ADDRESSES_MAX = 8, HOST_MAX = 1025 /* NI_MAXHOST, netdb.h */ };

struct dw_connector {
    dw_reactor *reactor;
    dw_client_factory *factory;
    struct dw_list_node node; /* of reactor->connectors */
    dw_transport *transport;  /* the attempt, then the connection */
    dw_delayed_call start, timer;
    dw_lookup lookup;
    dw_address bind;
    dw_time timeout;
    dw_address addresses[ADDRESSES_MAX];
    unsigned address_count, address_next;
    unsigned holds, busy;
    int last_error; /* of the last attempt: errno */
    uint16_t port;
    uint8_t state;
    bool factory_started, looking_up;
    char host[];
};

static const dw_client_factory_class *class_of(const dw_connector *connector) {
    return DW_CONTAINER_OF(connector->factory->base.cls, const dw_client_factory_class, base);
}

dw_connector *dw_connector_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_connector, node);
}

static void free_if_done(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_DISCONNECTED && connector->busy == 0 &&
        connector->holds == 0) {
        list_remove(&connector->node);
        dw_free(connector->reactor, connector);
    }
}

/* Ends the attempt: nothing of it is left to call back. */
static void cancel_attempt(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    dw_delayed_call_cancel(&connector->start);
    dw_delayed_call_cancel(&connector->timer);
    if (connector->looking_up) {
        connector->looking_up = false;
        reactor->wire->resolve_cancel(reactor, &connector->lookup);
    }
    if (connector->transport != NULL) {
        connector->transport->connector = NULL;
        dw_stream_discard(connector->transport);
        connector->transport = NULL;
    }
}

static void became_disconnected(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_DISCONNECTED && connector->factory_started) {
        connector->factory_started = false;
        dw_factory_do_stop(&connector->factory->base);
    }
}

static void connector_failed(dw_connector *connector, dw_error kind, int sys_errno) {
    dw_reason reason = {kind, sys_errno, NULL};
    dw_reactor *reactor = connector->reactor;
    cancel_attempt(connector);
    if (connector->state == DW_CONNECTOR_CONNECTING) {
        reactor->connecting_count--;
    }
    connector->state = DW_CONNECTOR_DISCONNECTED;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_FAILED, NULL, kind, NULL, (size_t)sys_errno);
    }
    connector->busy++;
    if (class_of(connector)->client_connection_failed != NULL) {
        class_of(connector)->client_connection_failed(connector->factory, connector, &reason);
    }
    became_disconnected(connector);
    connector->busy--;
    free_if_done(connector);
}

void dw_connector_lost(dw_connector *connector, const dw_reason *reason) {
    connector->transport = NULL;
    connector->state = DW_CONNECTOR_DISCONNECTED;
    connector->busy++;
    if (class_of(connector)->client_connection_lost != NULL) {
        class_of(connector)->client_connection_lost(connector->factory, connector, reason);
    }
    became_disconnected(connector);
    connector->busy--;
    free_if_done(connector);
}

/* ---- Attempts ---- */

/* Twisted's getConnectError. */
static dw_error kind_of_errno(int error) {
    switch (error) {
    case ECONNREFUSED:
        return DW_CONNECTION_REFUSED;
    case ETIMEDOUT:
        return DW_TCP_TIMED_OUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
        return DW_NO_ROUTE;
    case ENOMEM:
        return DW_NO_MEMORY;
    default:
        return DW_CONNECT_ERROR;
    }
}

static void connector_connected(dw_connector *connector) {
    dw_transport *t = connector->transport;
    dw_factory *factory = &connector->factory->base;
    connector->state = DW_CONNECTOR_CONNECTED;
    connector->reactor->connecting_count--;
    dw_delayed_call_cancel(&connector->timer);
    connector->busy++;
    t->busy++;
    dw_protocol *protocol = factory->cls->build_protocol(factory, &t->peer);
    t->busy--;
    connector->busy--;
    if (protocol == DW_PROTOCOL_FAILED) {
        /* The peer sees an orderly end (vectors: tcp-build-raise-client). */
        t->io.want = 0;
        connector->reactor->wire->watch(connector->reactor, &t->io);
        connector->reactor->wire->close(connector->reactor, &t->io, false);
        connector_failed(connector, DW_CONNECT_ERROR, 0);
        return;
    }
    if (protocol != NULL) {
        protocol->factory = factory;
    }
    dw_stream_establish(t, protocol);
}

/* 0: connected or under way; else errno, negative; DW_CONNECT_BIND_ERROR through *kind. */
static int open_attempt(dw_connector *connector, const dw_address *address, dw_error *kind) {
    dw_reactor *reactor = connector->reactor;
    const dw_wire *wire = reactor->wire;
    dw_io *io = &connector->transport->io;
    int error = wire->open(reactor, io, (dw_address_kind)address->kind);
    if (error < 0) {
        return error;
    }
    if (connector->bind.kind != DW_ADDRESS_NONE) {
        error = wire->bind(reactor, io, &connector->bind);
        if (error < 0) {
            *kind = DW_CONNECT_BIND_ERROR;
            return error;
        }
    }
    return wire->connect(reactor, io, address);
}

static void try_next(dw_connector *connector);

static void attempt_failed(dw_connector *connector, dw_error kind, int sys_errno) {
    if (connector->transport != NULL) {
        connector->transport->connector = NULL;
        dw_stream_discard(connector->transport);
        connector->transport = NULL;
    }
    if (connector->address_next < connector->address_count) {
        try_next(connector);
    } else {
        connector_failed(connector, kind, sys_errno);
    }
}

static void try_next(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    dw_address address = connector->addresses[connector->address_next++];
    dw_transport *t = dw_stream_new(reactor);
    if (t == NULL) {
        attempt_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    address.port = connector->port;
    connector->transport = t;
    t->connector = connector;
    t->peer = address;
    t->io.kind = DW_IO_CONNECTING;
    dw_error kind = DW_OK;
    int error = open_attempt(connector, &address, &kind);
    if (error == 0) {
        connector_connected(connector);
    } else if (error == -EINPROGRESS) {
        t->io.want = DW_WRITABLE;
        reactor->wire->watch(reactor, &t->io);
    } else {
        attempt_failed(connector, kind != DW_OK ? kind : kind_of_errno(-error), -error);
    }
}

void dw_connector_ready(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    dw_connector *connector = t->connector;
    int error = reactor->wire->connect_result(reactor, &t->io);
    if (error == -EINPROGRESS || error == -EAGAIN) {
        return;
    }
    if (error < 0) {
        attempt_failed(connector, kind_of_errno(-error), -error);
    } else {
        connector_connected(connector);
    }
}

/* ---- Start: look up, then try ---- */

void dw_lookup_done(dw_reactor *reactor, dw_lookup *lookup, int error, const dw_address *addresses,
                    size_t count) {
    dw_connector *connector = DW_CONTAINER_OF(lookup, dw_connector, lookup);
    reactor->depth++;
    connector->looking_up = false;
    if (error < 0 || count == 0) {
        connector_failed(connector, DW_DNS_LOOKUP, -error);
    } else {
        connector->address_count = (unsigned)(count < ADDRESSES_MAX ? count : ADDRESSES_MAX);
        memcpy(connector->addresses, addresses, connector->address_count * sizeof(*addresses));
        try_next(connector);
    }
    reactor->depth--;
    dw_reactor_flush(reactor);
}

static void start(void *user) {
    dw_connector *connector = user;
    dw_reactor *reactor = connector->reactor;
    connector->address_next = 0;
    if (dw_address_parse(&connector->addresses[0], connector->host, connector->port) == 0) {
        connector->address_count = 1;
        try_next(connector);
        return;
    }
    connector->lookup = (dw_lookup){.name = connector->host};
    connector->looking_up = true;
    int error = reactor->wire->resolve(reactor, &connector->lookup);
    if (error < 0) {
        connector->looking_up = false;
        connector_failed(connector, DW_DNS_LOOKUP, -error);
    }
}

static void timed_out(void *user) {
    connector_failed(user, DW_TIMEOUT, ETIMEDOUT);
}

/* Attempts begin through a call without delay, so nothing comes back inside connect itself. */
int dw_connector_connect(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    if (connector->state != DW_CONNECTOR_DISCONNECTED) {
        return DW_NOT_DISCONNECTED;
    }
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_CONNECT, NULL, 0, connector->host, connector->port);
    }
    connector->state = DW_CONNECTOR_CONNECTING;
    reactor->connecting_count++;
    connector->busy++;
    if (!connector->factory_started) {
        connector->factory_started = true;
        dw_factory_do_start(&connector->factory->base);
    }
    dw_reactor_call_later(reactor, &connector->start, 0, start, connector);
    if (connector->timeout > 0) {
        dw_reactor_call_later(reactor, &connector->timer, connector->timeout, timed_out, connector);
    }
    if (class_of(connector)->started_connecting != NULL) {
        class_of(connector)->started_connecting(connector->factory, connector);
    }
    connector->busy--;
    free_if_done(connector);
    return 0;
}

int dw_connector_stop_connecting(dw_connector *connector) {
    if (connector->state != DW_CONNECTOR_CONNECTING) {
        return DW_NOT_CONNECTING;
    }
    connector_failed(connector, DW_USER_ERROR, 0);
    return 0;
}

void dw_connector_disconnect(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_CONNECTING) {
        dw_connector_stop_connecting(connector);
    } else if (connector->state == DW_CONNECTOR_CONNECTED) {
        dw_transport_lose_connection(connector->transport);
    }
}

/* ---- Life ---- */

int dw_reactor_connect_tcp(dw_reactor *reactor, const char *host, uint16_t port,
                           dw_client_factory *factory, dw_time timeout, const dw_address *bind,
                           dw_connector **out) {
    size_t len = host != NULL ? strlen(host) : 0;
    if (len == 0 || len >= HOST_MAX || factory == NULL) {
        return DW_INVALID_ARGUMENT;
    }
    dw_connector *connector = dw_alloc_zeroed(reactor, sizeof(*connector) + len + 1);
    if (connector == NULL) {
        return DW_NO_MEMORY;
    }
    memcpy(connector->host, host, len + 1);
    connector->reactor = reactor;
    connector->factory = factory;
    connector->port = port;
    connector->timeout = timeout == 0 ? DW_CONNECT_TIMEOUT_DEFAULT : timeout;
    if (bind != NULL) {
        connector->bind = *bind;
    }
    list_add(&reactor->connectors, &connector->node);
    connector->busy++; /* it may end inside started_connecting */
    dw_connector_connect(connector);
    connector->busy--;
    bool ended = connector->state == DW_CONNECTOR_DISCONNECTED && connector->holds == 0;
    if (out != NULL) {
        *out = ended ? NULL : connector;
    }
    free_if_done(connector);
    return 0;
}

dw_connector_state dw_connector_get_state(const dw_connector *connector) {
    return (dw_connector_state)connector->state;
}

const char *dw_connector_host(const dw_connector *connector) {
    return connector->host;
}

uint16_t dw_connector_port(const dw_connector *connector) {
    return connector->port;
}

dw_reactor *dw_connector_reactor(const dw_connector *connector) {
    return connector->reactor;
}

dw_connector *dw_connector_hold(dw_connector *connector) {
    connector->holds++;
    return connector;
}

void dw_connector_release(dw_connector *connector) {
    if (connector != NULL) {
        connector->holds--;
        free_if_done(connector);
    }
}

/* The reactor stops: an unfinished attempt fails (vectors/README.md, "Start and stop"). */
void dw_connector_shutdown(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_CONNECTING) {
        connector_failed(connector, DW_CONNECT_ERROR, 0);
    }
}

/* The reactor goes: no callbacks. */
void dw_connector_discard(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_CONNECTING) {
        cancel_attempt(connector);
    } else if (connector->transport != NULL) {
        connector->transport->connector = NULL;
    }
    list_remove(&connector->node);
    dw_free(connector->reactor, connector);
}
