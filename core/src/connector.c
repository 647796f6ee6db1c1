/* SPDX-License-Identifier: MIT */
/*
 * What a connector does: look the name up, try each address in turn until one answers or the time
 * is up, and call the factory back in Twisted's order (vectors/README.md, "Connectors"). Its search
 * is in connector_search.c, its making and freeing in connector_life.c.
 *
 * Invariant: while connecting, exactly one of these is under way: the `start` call, a lookup, or an
 * attempt (`transport`; the call may then be its next try); or it is starved, and waits to be told
 * so. A connector that is disconnected, not inside a callback and not held is freed.
 */
#include "connector.h"

/* How long to wait before a UNIX listener with a full queue is tried again, at first and at most.
 */
#define RETRY_FIRST DW_MSEC(10)
#define RETRY_MOST  DW_SEC(1)

/* What is needed until the connection is there: large, and most connectors outlive it by far. */
struct attempt {
    dw_delayed_call start;
    dw_time retry_in;
    dw_search *search;       /* NULL: the host is an address */
    dw_delayed_call timer[]; /* one, if there is a timeout */
};

static const dw_client_factory_class *class_of(const dw_connector *connector) {
    return DW_CONTAINER_OF(connector->factory->base.cls, const dw_client_factory_class, base);
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
        dw_search_free(connector->reactor, attempt->search);
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
    dw_connector_free_if_done(connector);
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
    dw_connector_free_if_done(connector);
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
    const struct dw_stand_in *stand_in = dw_connector_stand_in_of(connector);
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
    dw_connector_free_if_done(connector);
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
    const dw_search *search = connector->attempt->search;
    drop_transport(connector);
    if (search != NULL && dw_search_has_next(search)) {
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
    try_address(connector, dw_search_next(connector->attempt->search));
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
    dw_search *search = dw_search_new(reactor);
    if (search == NULL) {
        connector_failed(connector, DW_NO_MEMORY, ENOMEM);
        return;
    }
    connector->attempt->search = search;
    dw_search_begin(search, reactor, connector->host, lookup_done, connector);
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
    dw_connector_free_if_done(connector);
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
    dw_connector_free(connector);
}
