/* SPDX-License-Identifier: MIT */
/*
 * Connectors: name look-up, attempts at each address in turn, time-out, and the factory's callbacks
 * in Twisted's order (vectors/README.md, "Connectors").
 *
 * Invariant: while connecting, exactly one of these is under way: the `start` call, a lookup, or an
 * attempt (`transport`; the call may then be its next try); or it is starved, and waits to be told
 * so. A connector that is disconnected, not inside a callback and not held is freed.
 */
#include "internal.h"

enum { ADDRESSES_MAX = 8, HOST_MAX = 1025 /* NI_MAXHOST, netdb.h */ };

/* How long to wait before a UNIX listener with a full queue is tried again, at first and at most.
 */
#define RETRY_FIRST DW_MSEC(10)
#define RETRY_MOST  DW_SEC(1)

/* A name that is looked up, and its addresses in the order in which they are tried. */
struct search {
    dw_lookup lookup;
    unsigned count, next;
    dw_address *addresses; /* `only`, or ADDRESSES_MAX of them when the name has several */
    dw_address only;
};

/* What is needed until the connection is there: large, and most connectors outlive it by far. */
struct attempt {
    dw_delayed_call start;
    dw_time retry_in;
    struct search *search;   /* NULL: the host is an address */
    dw_delayed_call timer[]; /* one, if there is a timeout */
};

/* An idle client has one of these beside its transport: each byte counts a million times. */
struct dw_connector {
    struct dw_aside aside; /* the transport's; first, for stream_connector */
    dw_reactor *reactor;
    dw_client_factory *factory;
    struct dw_list_node node; /* of reactor->connectors */
    dw_transport *transport;  /* the attempt, then the connection */
    struct attempt *attempt;  /* while connecting, unless it is starved */
    dw_time timeout;
    uint32_t holds;
    uint16_t busy;
    uint16_t port;
    uint8_t state;
    bool factory_started : 1;
    bool starved : 1;   /* there was no memory for an attempt */
    bool is_path : 1;   /* `host` is the path of a UNIX socket */
    bool is_bound : 1;  /* to a dw_address that lies behind the host's text, at any byte */
    bool stands_in : 1; /* `factory` is one of struct dw_stand_in */
    char host[];
};

_Static_assert(sizeof(void *) > 8 || offsetof(struct dw_connector, host) <= 82,
               "an idle client grew");

static const dw_client_factory_class *class_of(const dw_connector *connector) {
    return DW_CONTAINER_OF(connector->factory->base.cls, const dw_client_factory_class, base);
}

dw_connector *dw_connector_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_connector, node);
}

/* NULL: the factory is the program's own. */
static const struct dw_stand_in *stand_in_of(const dw_connector *connector) {
    return connector->stands_in
               ? DW_CONTAINER_OF(connector->factory, const struct dw_stand_in, factory)
               : NULL;
}

dw_factory *dw_connector_factory(const dw_connector *connector, dw_factory **stood_in_for) {
    const struct dw_stand_in *stand_in = stand_in_of(connector);
    *stood_in_for = stand_in != NULL ? stand_in->stood_in_for : NULL;
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
    dw_free(connector->reactor, connector);
}

static void free_if_done(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_DISCONNECTED && connector->busy == 0 &&
        connector->holds == 0) {
        connector_free(connector);
    }
}

static void drop_search(dw_reactor *reactor, struct search *search) {
    dw_lookup_cancel(&search->lookup);
    if (search->addresses != &search->only) {
        dw_free(reactor, search->addresses);
    }
    dw_free(reactor, search);
}

static void starve_no_more(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    connector->starved = false;
    if (--reactor->starved_count == 0) {
        dw_delayed_call_cancel(&reactor->starved);
    }
}

/* It is decided: nothing of it is left to call back. */
static void end_attempt(dw_connector *connector) {
    struct attempt *attempt = connector->attempt;
    if (connector->starved) {
        starve_no_more(connector);
    }
    if (attempt == NULL) {
        return;
    }
    dw_delayed_call_cancel(&attempt->start);
    if (connector->timeout > 0) {
        dw_delayed_call_cancel(attempt->timer);
    }
    if (attempt->search != NULL) {
        drop_search(connector->reactor, attempt->search);
    }
    dw_free(connector->reactor, attempt);
    connector->attempt = NULL;
}

static void drop_transport(dw_connector *connector) {
    dw_transport *t = connector->transport;
    connector->transport = NULL;
    if (t != NULL) {
        dw_stream_leave_connector(t);
        dw_stream_discard(t);
    }
}

static void cancel_attempt(dw_connector *connector) {
    end_attempt(connector);
    drop_transport(connector);
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
    const struct dw_stand_in *stand_in = stand_in_of(connector);
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
        protocol->factory = stand_in != NULL ? stand_in->stood_in_for : factory;
    }
    connector->busy++;
    dw_stream_establish(t, protocol);
    if (stand_in != NULL) {
        stand_in->made(connector->factory, protocol);
    }
    connector->busy--;
    free_if_done(connector);
}

static int bind_to_own(dw_connector *connector, dw_io *io) {
    dw_address own;
    memcpy(&own, connector->host + strlen(connector->host) + 1, sizeof(own));
    return connector->reactor->wire->bind(connector->reactor, io, &own);
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
    if (connector->is_bound) {
        error = bind_to_own(connector, io);
        if (error < 0) {
            *kind = DW_CONNECT_BIND_ERROR;
            return error;
        }
    }
    return wire->connect(reactor, io, address);
}

static void try_next(dw_connector *connector);

static void attempt_failed(dw_connector *connector, dw_error kind, int sys_errno) {
    const struct search *search = connector->attempt->search;
    drop_transport(connector);
    if (search != NULL && search->next < search->count) {
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
        dw_reactor_call_later(t->reactor, &attempt->start, attempt->retry_in, try_again, connector);
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
    dw_stream_join_connector(t, &connector->aside);
    if (!dw_stream_set_peer(t, &address)) {
        attempt_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    t->io.kind = DW_IO_CONNECTING;
    dw_error kind = DW_OK;
    int error = open_attempt(connector, &address, &kind);
    attempt_answered(connector, kind, error);
}

static void try_next(dw_connector *connector) {
    struct search *search = connector->attempt->search;
    try_address(connector, search->addresses[search->next++]);
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
static bool room_for_another(dw_reactor *reactor, struct search *search) {
    if (search->count == 0 || search->addresses != &search->only) {
        return true;
    }
    dw_address *list = dw_alloc(reactor, ADDRESSES_MAX * sizeof(*list));
    if (list == NULL) {
        return false;
    }
    list[0] = search->only;
    search->addresses = list;
    return true;
}

/* IPv4 before IPv6, each in the resolver's order: whichever answer comes first, a run is the same,
 * and a broken IPv6 costs nothing that Twisted's connectTCP, which asks for IPv4 alone, would not
 * lose. dw_host_endpoint races the families. */
static void address_found(dw_lookup *lookup, const dw_address *address) {
    struct search *search = DW_CONTAINER_OF(lookup, struct search, lookup);
    unsigned at = search->count;
    if (!room_for_another(dw_lookup_reactor(lookup), search)) {
        return;
    }
    if (at == ADDRESSES_MAX &&
        (address->kind != DW_ADDRESS_IPV4 || search->addresses[at - 1].kind == DW_ADDRESS_IPV4)) {
        return;
    }
    at -= at == ADDRESSES_MAX;
    for (; at > 0 && address->kind < search->addresses[at - 1].kind; at--) {
        search->addresses[at] = search->addresses[at - 1];
    }
    search->addresses[at] = *address;
    search->count += search->count < ADDRESSES_MAX;
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    dw_connector *connector = lookup->user;
    if (failure != NULL) {
        connector_failed(connector, failure->kind, failure->sys_errno);
    } else {
        try_next(connector);
    }
}

static void look_up(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    struct search *search = dw_alloc(reactor, sizeof(*search));
    if (search == NULL) {
        connector_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    search->count = search->next = 0;
    search->addresses = &search->only;
    connector->attempt->search = search;
    dw_lookup_begin_now(reactor, &search->lookup, connector->host, DW_FAMILY_ANY, address_found,
                        lookup_done, connector);
}

/* Whether `host` needs no looking up. */
static bool parse_host(const dw_connector *connector, dw_address *out) {
    return (connector->is_path ? dw_address_unix(out, connector->host)
                               : dw_address_parse(out, connector->host, 0)) == 0;
}

static void start(void *user) {
    dw_connector *connector = user;
    dw_address address;
    if (parse_host(connector, &address)) {
        try_address(connector, address);
    } else {
        look_up(connector);
    }
}

static void timed_out(void *user) {
    connector_failed(user, DW_TIMEOUT, ETIMEDOUT);
}

/* One in each turn: it may try again at once, and starve again. */
static void fail_starved(void *user) {
    dw_reactor *reactor = user;
    struct dw_list_node *node = reactor->connectors.next;
    while (!dw_connector_of_node(node)->starved) {
        node = node->next;
    }
    if (reactor->starved_count > 1) {
        dw_reactor_call_later(reactor, &reactor->starved, 0, fail_starved, reactor);
    }
    connector_failed(dw_connector_of_node(node), DW_NO_MEMORY, ENOMEM);
}

/* It fails as if its `start` had found no memory, behind those that wait for the same. The call for
 * that is the reactor's: in a connector it would lie idle as long as the connection is there. */
static void starve(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    connector->starved = true;
    list_remove(&connector->node);
    list_add(&reactor->connectors, &connector->node);
    if (reactor->starved_count++ == 0) {
        dw_reactor_call_later(reactor, &reactor->starved, 0, fail_starved, reactor);
    }
}

static void begin_attempt(dw_connector *connector) {
    dw_reactor *reactor = connector->reactor;
    bool limited = connector->timeout > 0;
    struct attempt *attempt =
        dw_alloc_zeroed(reactor, sizeof(*attempt) + (limited ? sizeof(attempt->timer[0]) : 0));
    if (attempt == NULL) {
        starve(connector);
        return;
    }
    attempt->retry_in = RETRY_FIRST;
    connector->attempt = attempt;
    dw_reactor_call_later(reactor, &attempt->start, 0, start, connector);
    if (limited) {
        dw_reactor_call_later(reactor, attempt->timer, connector->timeout, timed_out, connector);
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

/* `bind` may be NULL. */
static dw_connector *connector_new(dw_reactor *reactor, const char *host,
                                   dw_client_factory *factory, dw_time timeout,
                                   const dw_address *bind) {
    size_t len = strlen(host) + 1;
    size_t size = offsetof(dw_connector, host) + len + (bind != NULL ? sizeof(*bind) : 0);
    dw_connector *connector =
        dw_alloc(reactor, size > sizeof(*connector) ? size : sizeof(*connector));
    if (connector == NULL) {
        return NULL;
    }
    *connector = (dw_connector){
        .reactor = reactor,
        .factory = factory,
        .timeout = timeout == 0 ? DW_CONNECT_TIMEOUT_DEFAULT : timeout,
        .is_bound = bind != NULL,
    };
    memcpy(connector->host, host, len);
    if (bind != NULL) {
        memcpy(connector->host + len, bind, sizeof(*bind));
    }
    list_add(&reactor->connectors, &connector->node);
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
    if (bind != NULL && bind->kind == DW_ADDRESS_NONE) {
        bind = NULL;
    }
    dw_connector *connector = connector_new(reactor, host, factory, timeout, bind);
    if (connector == NULL) {
        return DW_NO_MEMORY;
    }
    connector->port = port;
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
    dw_connector *connector = connector_new(reactor, path, factory, timeout, NULL);
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

void dw_connector_stand_in(dw_connector *connector) {
    connector->stands_in = true;
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
        dw_stream_leave_connector(connector->transport);
    }
    connector_free(connector);
}
