/* SPDX-License-Identifier: MIT */
/*
 * Connectors: name look-up, attempts at each address in turn, time-out, and the factory's callbacks
 * in Twisted's order (vectors/README.md, "Connectors").
 *
 * Invariant: while connecting, exactly one of these is under way: the `start` call, a lookup, or an
 * attempt (`transport`; the call may then be its next try). A connector that is disconnected, not
 * inside a callback and not held is freed.
 */
#include "internal.h"

enum { ADDRESSES_MAX = 8, HOST_MAX = 1025 /* NI_MAXHOST, netdb.h */ };

/* How long to wait before a UNIX listener with a full queue is tried again, at first and at most.
 */
#define RETRY_FIRST DW_MSEC(10)
#define RETRY_MOST  DW_SEC(1)

/* What may be needed until the connection is there: large, and most connectors outlive it by far,
 * or do without, who have an address and no timeout. */
struct attempt {
    dw_delayed_call timer;
    dw_lookup *lookup; /* while there is one */
    dw_time retry_in;
    dw_address *addresses; /* of `only`, or of ADDRESSES_MAX when a name has several */
    dw_address only;
    unsigned address_count, address_next;
};

struct dw_connector {
    dw_reactor *reactor;
    dw_client_factory *factory;
    struct dw_list_node node; /* of reactor->connectors */
    dw_transport *transport;  /* the attempt, then the connection */
    struct attempt *attempt;  /* NULL: not needed */
    dw_delayed_call start;
    dw_address *bind; /* NULL: none */
    dw_time timeout;
    unsigned holds, busy;
    uint16_t port;
    uint8_t state;
    bool factory_started;
    bool is_path;             /* `host` is the path of a UNIX socket */
    dw_factory *stood_in_for; /* NULL: `factory` is the program's own */
    void (*made)(dw_client_factory *own, dw_protocol *protocol);
    char host[];
};

static const dw_client_factory_class *class_of(const dw_connector *connector) {
    return DW_CONTAINER_OF(connector->factory->base.cls, const dw_client_factory_class, base);
}

dw_connector *dw_connector_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_connector, node);
}

dw_factory *dw_connector_factory(const dw_connector *connector, dw_factory **stood_in_for) {
    *stood_in_for = connector->stood_in_for;
    return &connector->factory->base;
}

dw_factory *dw_connect_seen_factory(const void *data) {
    dw_factory *factory =
        &DW_CONTAINER_OF((uintptr_t)data, const dw_connector, host)->factory->base;
    for (dw_factory *inner = factory; inner != NULL; inner = dw_factory_wrapped(inner)) {
        factory = inner;
    }
    return factory;
}

static void connector_free(dw_connector *connector) {
    list_remove(&connector->node);
    dw_free(connector->reactor, connector->bind);
    dw_free(connector->reactor, connector);
}

static void free_if_done(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_DISCONNECTED && connector->busy == 0 &&
        connector->holds == 0) {
        connector_free(connector);
    }
}

static void drop_addresses(dw_reactor *reactor, struct attempt *attempt) {
    if (attempt->addresses != &attempt->only) {
        dw_free(reactor, attempt->addresses);
    }
    attempt->addresses = &attempt->only;
    attempt->address_next = attempt->address_count = 0;
}

static void drop_lookup(dw_reactor *reactor, struct attempt *attempt) {
    if (attempt->lookup != NULL) {
        dw_lookup_cancel(attempt->lookup);
        dw_free(reactor, attempt->lookup);
        attempt->lookup = NULL;
    }
}

/* It is decided: nothing of it is left to call back. */
static void end_attempt(dw_connector *connector) {
    struct attempt *attempt = connector->attempt;
    dw_delayed_call_cancel(&connector->start);
    if (attempt != NULL) {
        dw_delayed_call_cancel(&attempt->timer);
        drop_lookup(connector->reactor, attempt);
        drop_addresses(connector->reactor, attempt);
        dw_free(connector->reactor, attempt);
        connector->attempt = NULL;
    }
}

static void cancel_attempt(dw_connector *connector) {
    end_attempt(connector);
    if (connector->transport != NULL) {
        stream_leave_connector(connector->transport);
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
    end_attempt(connector);
    connector->busy++;
    t->busy++;
    dw_address peer = dw_stream_peer(t);
    dw_protocol *protocol = factory->cls->build_protocol(factory, &peer);
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
        protocol->factory = connector->stood_in_for != NULL ? connector->stood_in_for : factory;
    }
    connector->busy++;
    dw_stream_establish(t, protocol);
    if (connector->made != NULL) {
        connector->made(connector->factory, protocol);
    }
    connector->busy--;
    free_if_done(connector);
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
    if (connector->bind != NULL) {
        error = wire->bind(reactor, io, connector->bind);
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
        stream_leave_connector(connector->transport);
        dw_stream_discard(connector->transport);
        connector->transport = NULL;
    }
    const struct attempt *attempt = connector->attempt;
    if (attempt != NULL && attempt->address_next < attempt->address_count) {
        try_next(connector);
    } else {
        connector_failed(connector, kind, sys_errno);
    }
}

static void try_again(void *user);

/* What open_attempt or a later connect came to. A UNIX socket finds a full queue at once and has no
 * handshake to wait in (connect(2), EAGAIN); so it knocks again, as TCP repeats its SYN. */
static void attempt_answered(dw_connector *connector, dw_error kind, int error) {
    dw_transport *t = connector->transport;
    if (error == 0) {
        connector_connected(connector);
    } else if (error == -EINPROGRESS) {
        t->io.want = DW_WRITABLE;
        t->reactor->wire->watch(t->reactor, &t->io);
    } else if (error == -EAGAIN && dw_stream_peer(t).kind == DW_ADDRESS_UNIX) {
        struct attempt *attempt = connector->attempt;
        dw_reactor_call_later(t->reactor, &connector->start, attempt->retry_in, try_again,
                              connector);
        attempt->retry_in = attempt->retry_in * 2 < RETRY_MOST ? attempt->retry_in * 2 : RETRY_MOST;
    } else {
        attempt_failed(connector, kind != DW_OK ? kind : kind_of_errno(-error), -error);
    }
}

static void try_again(void *user) {
    dw_connector *connector = user;
    dw_transport *t = connector->transport;
    dw_address peer = dw_stream_peer(t);
    attempt_answered(connector, DW_OK, t->reactor->wire->connect(t->reactor, &t->io, &peer));
}

static void try_address(dw_connector *connector, dw_address address) {
    dw_transport *t = dw_stream_new(connector->reactor);
    if (t == NULL) {
        attempt_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    address.port = connector->port;
    connector->transport = t;
    struct dw_extra *extra = dw_stream_make_extra(t);
    if (extra == NULL || !dw_stream_set_peer(t, &address)) {
        attempt_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    extra->connector = connector;
    t->io.kind = DW_IO_CONNECTING;
    dw_error kind = DW_OK;
    int error = open_attempt(connector, &address, &kind);
    attempt_answered(connector, kind, error);
}

static void try_next(dw_connector *connector) {
    struct attempt *attempt = connector->attempt;
    try_address(connector, attempt->addresses[attempt->address_next++]);
}

void dw_connector_ready(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    dw_connector *connector = stream_connector(t);
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

/* Most names have one address. Without memory the others are left out. */
static bool room_for_another(dw_reactor *reactor, struct attempt *attempt) {
    if (attempt->address_count == 0 || attempt->addresses != &attempt->only) {
        return true;
    }
    dw_address *list = dw_alloc(reactor, ADDRESSES_MAX * sizeof(*list));
    if (list == NULL) {
        return false;
    }
    list[0] = attempt->only;
    attempt->addresses = list;
    return true;
}

/* IPv4 before IPv6, each in the resolver's order: whichever answer comes first, a run is the same,
 * and a broken IPv6 costs nothing that Twisted's connectTCP, which asks for IPv4 alone, would not
 * lose. dw_host_endpoint races the families. */
static void address_found(dw_lookup *lookup, const dw_address *address) {
    dw_connector *connector = lookup->user;
    struct attempt *attempt = connector->attempt;
    unsigned at = attempt->address_count;
    if (!room_for_another(connector->reactor, attempt)) {
        return;
    }
    if (at == ADDRESSES_MAX &&
        (address->kind != DW_ADDRESS_IPV4 || attempt->addresses[at - 1].kind == DW_ADDRESS_IPV4)) {
        return;
    }
    at -= at == ADDRESSES_MAX;
    for (; at > 0 && address->kind < attempt->addresses[at - 1].kind; at--) {
        attempt->addresses[at] = attempt->addresses[at - 1];
    }
    attempt->addresses[at] = *address;
    attempt->address_count += attempt->address_count < ADDRESSES_MAX;
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    dw_connector *connector = lookup->user;
    drop_lookup(connector->reactor, connector->attempt);
    if (failure != NULL) {
        connector_failed(connector, failure->kind, failure->sys_errno);
    } else {
        try_next(connector);
    }
}

/* Whether `host` needs no looking up. */
static bool parse_host(const dw_connector *connector, dw_address *out) {
    return (connector->is_path ? dw_address_unix(out, connector->host)
                               : dw_address_parse(out, connector->host, 0)) == 0;
}

/* What is made already, or made now; NULL without memory. */
static struct attempt *make_attempt(dw_connector *connector) {
    struct attempt *attempt = connector->attempt;
    if (attempt == NULL) {
        attempt = connector->attempt = dw_new(connector->reactor, struct attempt);
    }
    if (attempt != NULL) {
        attempt->addresses = &attempt->only;
        attempt->retry_in = RETRY_FIRST;
    }
    return attempt;
}

static void start(void *user) {
    dw_connector *connector = user;
    dw_address address;
    bool known = parse_host(connector, &address);
    bool limited = connector->timeout > 0, needed = !known || connector->is_path || limited;
    bool starved = limited && connector->attempt == NULL;
    struct attempt *attempt = needed && !starved ? make_attempt(connector) : NULL;
    if (needed && attempt == NULL) {
        connector_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    if (known) {
        try_address(connector, address);
        return;
    }
    attempt->lookup = dw_new(connector->reactor, dw_lookup);
    if (attempt->lookup == NULL) {
        connector_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    dw_lookup_begin_now(connector->reactor, attempt->lookup, connector->host, DW_FAMILY_ANY,
                        address_found, lookup_done, connector);
}

static void timed_out(void *user) {
    connector_failed(user, DW_TIMEOUT, ETIMEDOUT);
}

/* Without memory for the timeout, `start` finds that out, and fails. */
static void begin_attempt(dw_connector *connector) {
    struct attempt *attempt = connector->timeout > 0 ? make_attempt(connector) : NULL;
    dw_reactor_call_later(connector->reactor, &connector->start, 0, start, connector);
    if (attempt != NULL) {
        dw_reactor_call_later(connector->reactor, &attempt->timer, connector->timeout, timed_out,
                              connector);
    }
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
    begin_attempt(connector);
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

static dw_connector *connector_new(dw_reactor *reactor, const char *host,
                                   dw_client_factory *factory, dw_time timeout) {
    size_t len = strlen(host);
    dw_connector *connector = dw_alloc_zeroed(reactor, sizeof(*connector) + len + 1);
    if (connector != NULL) {
        memcpy(connector->host, host, len + 1);
        connector->reactor = reactor;
        connector->factory = factory;
        connector->timeout = timeout == 0 ? DW_CONNECT_TIMEOUT_DEFAULT : timeout;
        list_add(&reactor->connectors, &connector->node);
    }
    return connector;
}

static int connector_begin(dw_connector *connector, dw_connector **out) {
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

int dw_reactor_connect_tcp(dw_reactor *reactor, const char *host, uint16_t port,
                           dw_client_factory *factory, dw_time timeout, const dw_address *bind,
                           dw_connector **out) {
    size_t len = host != NULL ? strlen(host) : 0;
    if (len == 0 || len >= HOST_MAX || factory == NULL) {
        return DW_INVALID_ARGUMENT;
    }
    dw_connector *connector = connector_new(reactor, host, factory, timeout);
    if (connector == NULL) {
        return DW_NO_MEMORY;
    }
    connector->port = port;
    if (bind != NULL && bind->kind != DW_ADDRESS_NONE) {
        connector->bind = dw_alloc(reactor, sizeof(*bind));
        if (connector->bind == NULL) {
            connector_free(connector);
            return DW_NO_MEMORY;
        }
        *connector->bind = *bind;
    }
    return connector_begin(connector, out);
}

int dw_reactor_connect_unix(dw_reactor *reactor, const char *path, dw_client_factory *factory,
                            dw_time timeout, dw_connector **out) {
    dw_address address;
    if (factory == NULL || path == NULL || dw_address_unix(&address, path) < 0) {
        return DW_INVALID_ARGUMENT;
    }
    if (reactor->wire->unlink == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_connector *connector = connector_new(reactor, path, factory, timeout);
    if (connector == NULL) {
        return DW_NO_MEMORY;
    }
    connector->is_path = true;
    return connector_begin(connector, out);
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

void dw_connector_stand_in(dw_connector *connector, dw_factory *factory,
                           void (*made)(dw_client_factory *own, dw_protocol *protocol)) {
    connector->stood_in_for = factory;
    connector->made = made;
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
        stream_leave_connector(connector->transport);
    }
    connector_free(connector);
}
