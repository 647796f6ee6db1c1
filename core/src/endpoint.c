/* SPDX-License-Identifier: MIT */
/*
 * Endpoints: what all of them have in common, connecting an instance of a protocol, and the small
 * ones: a UNIX socket to connect to, and those that listen.
 *
 * Invariant: a client endpoint lives as long as its owner or an attempt uses it. One dw_connecting
 * ends once, by one of three functions: connected, failed, cancel.
 */
#include "attempt.h"

/* ---- Client endpoints ---- */

void dw_client_endpoint_init(dw_client_endpoint *endpoint, const dw_client_endpoint_class *cls,
                             dw_reactor *reactor) {
    *endpoint = (dw_client_endpoint){.cls = cls, .reactor = reactor, .uses_ = 1};
}

void dw_client_endpoint_free(dw_client_endpoint *endpoint) {
    if (endpoint != NULL && --endpoint->uses_ == 0 && endpoint->cls->destroy != NULL) {
        endpoint->cls->destroy(endpoint);
    }
}

int dw_endpoint_connect(dw_client_endpoint *endpoint, dw_connecting *connecting,
                        dw_factory *factory, dw_connected_fn on_connected,
                        dw_connect_failed_fn on_failed, void *user) {
    if (connecting->endpoint_ != NULL) {
        return DW_INVALID_ARGUMENT;
    }
    *connecting = (dw_connecting){.factory = factory, .user = user};
    connecting->on_connected_ = on_connected;
    connecting->on_failed_ = on_failed;
    connecting->endpoint_ = endpoint;
    dw_factory_do_start(factory);
    int error = endpoint->cls->connect(endpoint, connecting);
    if (error < 0) {
        connecting->endpoint_ = NULL;
        dw_factory_do_stop(factory);
        return error;
    }
    endpoint->uses_++;
    list_add(&endpoint->reactor->connectings, &connecting->node_);
    return 0;
}

/* The factory's `stop`, if this was its last use, comes before the callback, in which the program
 * may free all there is: the factory, the memory of `connecting`, the endpoint. */
static dw_client_endpoint *end(dw_connecting *connecting) {
    dw_client_endpoint *endpoint = connecting->endpoint_;
    connecting->endpoint_ = NULL;
    list_remove(&connecting->node_);
    dw_factory_do_stop(connecting->factory);
    return endpoint;
}

void dw_connecting_connected(dw_connecting *connecting, dw_protocol *protocol) {
    dw_client_endpoint *endpoint = end(connecting);
    connecting->on_connected_(connecting, protocol);
    dw_client_endpoint_free(endpoint);
}

void dw_connecting_failed(dw_connecting *connecting, const dw_reason *reason) {
    dw_client_endpoint *endpoint = end(connecting);
    connecting->on_failed_(connecting, reason);
    dw_client_endpoint_free(endpoint);
}

void dw_connecting_cancel(dw_connecting *connecting) {
    static const dw_reason cancelled = {DW_CONNECTING_CANCELLED, 0, NULL};
    dw_client_endpoint *endpoint = connecting->endpoint_;
    if (endpoint != NULL) {
        endpoint->cls->cancel(endpoint, connecting);
        dw_connecting_failed(connecting, &cancelled);
    }
}

bool dw_connecting_active(const dw_connecting *connecting) {
    return connecting->endpoint_ != NULL;
}

/* As connectors do; those that are there now. */
void dw_connectings_shutdown(dw_reactor *reactor) {
    static const dw_reason stopped = {DW_CONNECT_ERROR, 0, "the reactor stopped"};
    struct dw_list_node old;
    list_move(&old, &reactor->connectings);
    while (!list_empty(&old)) {
        dw_connecting *connecting = DW_CONTAINER_OF(old.next, dw_connecting, node_);
        connecting->endpoint_->cls->cancel(connecting->endpoint_, connecting);
        dw_connecting_failed(connecting, &stopped);
    }
}

void dw_connectings_discard(dw_reactor *reactor) {
    while (!list_empty(&reactor->connectings)) {
        dw_connecting *connecting =
            DW_CONTAINER_OF(reactor->connectings.next, dw_connecting, node_);
        dw_client_endpoint *endpoint = connecting->endpoint_;
        connecting->endpoint_ = NULL;
        list_remove(&connecting->node_);
        dw_client_endpoint_free(endpoint);
    }
}

/* ---- An instance of a protocol ---- */

/* A factory for one connection; goes with the last use of it. */
typedef struct one_shot {
    struct dw_owned owned; /* first */
    dw_factory factory;
    dw_reactor *reactor;
    dw_protocol *protocol, *built; /* before and after build_protocol */
} one_shot;

static one_shot *one_shot_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, one_shot, factory);
}

static void one_shot_discard(dw_reactor *reactor, struct dw_owned *owned) {
    dw_free(reactor, owned);
}

static dw_protocol *one_shot_build(dw_factory *factory, const dw_address *peer) {
    one_shot *shot = one_shot_of(factory);
    (void)peer;
    shot->built = shot->protocol;
    shot->protocol = NULL;
    return shot->built;
}

/* The connection is over, and the protocol still there: `destroy` comes after this. */
static void one_shot_stop(dw_factory *factory) {
    one_shot *shot = one_shot_of(factory);
    if (shot->built != NULL) {
        shot->built->factory = NULL;
    }
    list_remove(&shot->owned.node);
    dw_free(shot->reactor, shot);
}

static const dw_factory_class one_shot_class = {
    .name = "one shot", .build_protocol = one_shot_build, .stop = one_shot_stop};

int dw_connect_protocol(dw_client_endpoint *endpoint, dw_connecting *connecting,
                        dw_protocol *protocol, dw_connected_fn on_connected,
                        dw_connect_failed_fn on_failed, void *user) {
    if (connecting->endpoint_ != NULL) {
        return DW_INVALID_ARGUMENT;
    }
    one_shot *shot = dw_new(endpoint->reactor, one_shot);
    if (shot == NULL) {
        return DW_NO_MEMORY;
    }
    dw_factory_init(&shot->factory, &one_shot_class);
    shot->owned.discard = one_shot_discard;
    shot->reactor = endpoint->reactor;
    shot->protocol = protocol;
    list_add(&shot->reactor->owned, &shot->owned.node);
    /* From here on the factory's last use frees it. */
    return dw_endpoint_connect(endpoint, connecting, &shot->factory, on_connected, on_failed, user);
}

/* ---- A UNIX socket ---- */

typedef struct unix_endpoint {
    dw_client_endpoint base; /* first */
    dw_time timeout;
    dw_address address;
} unix_endpoint;

static void unix_made(void *user, dw_attempt *attempt, dw_protocol *protocol) {
    (void)attempt;
    dw_connecting_connected(user, protocol);
}

static void unix_failed(void *user, dw_attempt *attempt, const dw_reason *reason) {
    (void)attempt;
    dw_connecting_failed(user, reason);
}

static const dw_attempt_events unix_events = {unix_made, unix_failed};

static int unix_connect(dw_client_endpoint *base, dw_connecting *connecting) {
    const unix_endpoint *endpoint = (const unix_endpoint *)base;
    dw_attempt *attempt = NULL;
    int error = dw_attempt_new(base->reactor, &endpoint->address, connecting->factory,
                               endpoint->timeout, NULL, &unix_events, connecting, &attempt);
    connecting->endpoint_data = attempt;
    return error;
}

static void unix_cancel(dw_client_endpoint *base, dw_connecting *connecting) {
    (void)base;
    dw_attempt_cancel(connecting->endpoint_data);
}

static void unix_destroy(dw_client_endpoint *base) {
    dw_free(base->reactor, base);
}

static const dw_client_endpoint_class unix_class = {
    .name = "unix", .connect = unix_connect, .cancel = unix_cancel, .destroy = unix_destroy};

dw_client_endpoint *dw_unix_endpoint_new(dw_reactor *reactor, const char *path, dw_time timeout) {
    dw_address address;
    if (dw_address_unix(&address, path) < 0) {
        return NULL;
    }
    unix_endpoint *endpoint = dw_new(reactor, unix_endpoint);
    if (endpoint == NULL) {
        return NULL;
    }
    dw_client_endpoint_init(&endpoint->base, &unix_class, reactor);
    endpoint->address = address;
    endpoint->timeout = timeout;
    return &endpoint->base;
}

/* ---- Listening ---- */

typedef struct listener {
    dw_server_endpoint base; /* first */
    uint16_t port;
    int backlog, fd;
    unsigned mode;
    bool has_text;
    char text[]; /* the interface, or the path */
} listener;

int dw_endpoint_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out) {
    return endpoint->cls->listen(endpoint, factory, out);
}

void dw_server_endpoint_free(dw_server_endpoint *endpoint) {
    if (endpoint != NULL && endpoint->cls->destroy != NULL) {
        endpoint->cls->destroy(endpoint);
    }
}

static listener *listener_new(dw_reactor *reactor, const dw_server_endpoint_class *cls,
                              const char *text) {
    size_t len = text != NULL ? strlen(text) : 0;
    listener *l = dw_alloc_zeroed(reactor, sizeof(*l) + len + 1);
    if (l != NULL) {
        l->base = (dw_server_endpoint){cls, reactor};
        l->has_text = text != NULL;
        memcpy(l->text, text != NULL ? text : "", len);
    }
    return l;
}

static void listener_destroy(dw_server_endpoint *endpoint) {
    dw_free(endpoint->reactor, endpoint);
}

static int tcp_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out) {
    const listener *l = (const listener *)endpoint;
    return dw_reactor_listen_tcp(endpoint->reactor, l->port, factory, l->backlog,
                                 l->has_text ? l->text : NULL, out);
}

static int unix_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out) {
    const listener *l = (const listener *)endpoint;
    return dw_reactor_listen_unix(endpoint->reactor, l->text, factory, l->backlog, l->mode, out);
}

static int fd_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out) {
    const listener *l = (const listener *)endpoint;
    return dw_reactor_adopt_stream_port(endpoint->reactor, l->fd, factory, out);
}

static const dw_server_endpoint_class tcp_class = {"tcp", tcp_listen, listener_destroy};
static const dw_server_endpoint_class unix_server_class = {"unix", unix_listen, listener_destroy};
static const dw_server_endpoint_class fd_class = {"fd", fd_listen, listener_destroy};

dw_server_endpoint *dw_tcp_server_endpoint_new(dw_reactor *reactor, uint16_t port,
                                               const char *interface, int backlog) {
    listener *l = listener_new(reactor, &tcp_class, interface);
    if (l == NULL) {
        return NULL;
    }
    l->port = port;
    l->backlog = backlog;
    return &l->base;
}

dw_server_endpoint *dw_unix_server_endpoint_new(dw_reactor *reactor, const char *path,
                                                unsigned mode, int backlog) {
    dw_address address;
    listener *l = dw_address_unix(&address, path) == 0
                      ? listener_new(reactor, &unix_server_class, path)
                      : NULL;
    if (l == NULL) {
        return NULL;
    }
    l->mode = mode;
    l->backlog = backlog;
    return &l->base;
}

dw_server_endpoint *dw_fd_server_endpoint_new(dw_reactor *reactor, int fd) {
    listener *l = listener_new(reactor, &fd_class, NULL);
    if (l == NULL) {
        return NULL;
    }
    l->fd = fd;
    return &l->base;
}
