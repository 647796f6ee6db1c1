/* SPDX-License-Identifier: MIT */
/*
 * Endpoints around endpoints: each attempt and each port gets a wrapping factory of its own, which
 * stands between the inner endpoint and the program's factory.
 *
 * Invariant: a `wrapping` has one use as long as its factory is in use by anybody, and one for the
 * call or the attempt that made it; it goes with the last. Its memory is in the reactor's `owned`.
 */
#include "drywire/wrapping_endpoint.h"

#include "drywire/haproxy.h"
#include "endpoint_args.h"

typedef struct wrapping {
    struct dw_owned owned; /* first */
    dw_reactor *reactor;
    dw_wrapping_factory *factory; /* NULL: nobody uses it any more */
    dw_factory *inside;           /* the program's */
    unsigned uses;
    dw_connecting inner, *outer; /* of an attempt; outer NULL: it was cancelled */
} wrapping;

/* ---- One use of an endpoint ---- */

static void discard(dw_reactor *reactor, struct dw_owned *owned) {
    wrapping *w = DW_CONTAINER_OF(owned, wrapping, owned);
    dw_free(reactor, w->factory);
    dw_free(reactor, w);
}

static void leave(wrapping *w) {
    if (--w->uses == 0) {
        list_remove(&w->owned.node);
        dw_free(w->reactor, w);
    }
}

static void unused(void *user) {
    wrapping *w = user;
    dw_free(w->reactor, w->factory);
    w->factory = NULL;
    leave(w);
}

/* A factory that was never started has nobody to tell when it is unused. */
static void give_up(wrapping *w) {
    if (w->factory != NULL) {
        unused(w);
    }
    leave(w);
}

static wrapping *wrapping_new(dw_reactor *reactor, dw_wrap_fn wrap, void *user,
                              dw_factory *inside) {
    wrapping *w = dw_new(reactor, wrapping);
    if (w == NULL) {
        return NULL;
    }
    w->factory = wrap(reactor, inside, user);
    if (w->factory == NULL) {
        dw_free(reactor, w);
        return NULL;
    }
    w->owned.discard = discard;
    w->reactor = reactor;
    w->inside = inside;
    w->uses = 2;
    list_add(&reactor->owned, &w->owned.node);
    dw_wrapping_factory_watch(w->factory, unused, w);
    return w;
}

/* ---- Connecting ---- */

typedef struct client {
    dw_client_endpoint base; /* first */
    dw_client_endpoint *inner;
    dw_wrap_fn wrap;
    void *user;
} client;

/* What the program's factory has built; the function that wraps may have put several wrappers
 * around it, and the program's factory wrappers of its own. One that had another factory build is
 * found innermost. */
static dw_protocol *inside_of(const wrapping *w, dw_protocol *protocol) {
    dw_protocol *wrapped = protocol;
    while (wrapped != NULL && protocol->factory != w->inside) {
        protocol = wrapped;
        wrapped = dw_protocol_wrapped(protocol);
    }
    return protocol;
}

static void connected(dw_connecting *inner, dw_protocol *protocol) {
    wrapping *w = inner->user;
    dw_connecting *outer = w->outer;
    protocol = inside_of(w, protocol);
    leave(w);
    dw_connecting_connected(outer, protocol);
}

static void failed(dw_connecting *inner, const dw_reason *reason) {
    wrapping *w = inner->user;
    dw_connecting *outer = w->outer;
    leave(w);
    if (outer != NULL) {
        dw_connecting_failed(outer, reason);
    }
}

static int client_connect(dw_client_endpoint *base, dw_connecting *outer) {
    const client *endpoint = (const client *)base;
    wrapping *w = wrapping_new(base->reactor, endpoint->wrap, endpoint->user, outer->factory);
    if (w == NULL) {
        return DW_NO_MEMORY;
    }
    outer->endpoint_data = w;
    w->outer = outer;
    int error = dw_endpoint_connect(endpoint->inner, &w->inner, &w->factory->base.base, connected,
                                    failed, w);
    if (error < 0) {
        give_up(w);
    }
    return error;
}

static void client_cancel(dw_client_endpoint *base, dw_connecting *outer) {
    wrapping *w = outer->endpoint_data;
    (void)base;
    w->outer = NULL;
    dw_connecting_cancel(&w->inner);
}

static void client_destroy(dw_client_endpoint *base) {
    dw_client_endpoint_free(((const client *)base)->inner);
    dw_free(base->reactor, base);
}

static const dw_client_endpoint_class client_class = {.name = "wrapping",
                                                      .connect = client_connect,
                                                      .cancel = client_cancel,
                                                      .destroy = client_destroy};

dw_client_endpoint *dw_wrapping_client_endpoint_new(dw_client_endpoint *inner, dw_wrap_fn wrap,
                                                    void *user) {
    client *endpoint = inner != NULL ? dw_new(inner->reactor, client) : NULL;
    if (endpoint == NULL) {
        dw_client_endpoint_free(inner);
        return NULL;
    }
    dw_client_endpoint_init(&endpoint->base, &client_class, inner->reactor);
    endpoint->inner = inner;
    endpoint->wrap = wrap;
    endpoint->user = user;
    return &endpoint->base;
}

/* ---- Listening ---- */

typedef struct server {
    dw_server_endpoint base; /* first */
    dw_server_endpoint *inner;
    dw_wrap_fn wrap;
    void *user;
} server;

static int server_listen(dw_server_endpoint *base, dw_factory *factory, dw_port **out) {
    const server *endpoint = (const server *)base;
    wrapping *w = wrapping_new(base->reactor, endpoint->wrap, endpoint->user, factory);
    if (w == NULL) {
        return DW_NO_MEMORY;
    }
    int error = dw_endpoint_listen(endpoint->inner, &w->factory->base.base, out);
    if (error < 0) {
        give_up(w);
    } else {
        leave(w);
    }
    return error;
}

static void server_destroy(dw_server_endpoint *base) {
    dw_server_endpoint_free(((const server *)base)->inner);
    dw_free(base->reactor, base);
}

static const dw_server_endpoint_class server_class = {
    .name = "wrapping", .listen = server_listen, .destroy = server_destroy};

dw_server_endpoint *dw_wrapping_server_endpoint_new(dw_server_endpoint *inner, dw_wrap_fn wrap,
                                                    void *user) {
    server *endpoint = inner != NULL ? dw_new(inner->reactor, server) : NULL;
    if (endpoint == NULL) {
        dw_server_endpoint_free(inner);
        return NULL;
    }
    *endpoint = (server){{&server_class, inner->reactor}, inner, wrap, user};
    return &endpoint->base;
}

/* ---- haproxy: ---- */

static dw_wrapping_factory *wrap_haproxy(dw_reactor *reactor, dw_factory *wrapped, void *user) {
    dw_haproxy_factory *factory = dw_new(reactor, dw_haproxy_factory);
    (void)user;
    if (factory == NULL) {
        return NULL;
    }
    dw_haproxy_factory_init(factory, reactor, wrapped);
    return &factory->base;
}

dw_server_endpoint *dw_haproxy_server_endpoint_new(dw_server_endpoint *inner) {
    return dw_wrapping_server_endpoint_new(inner, wrap_haproxy, NULL);
}

/* Twisted's HAProxyServerParser. */
int dw_haproxy_parse_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    dw_server_endpoint *inner = NULL;
    int error = dw_endpoint_args_server(reactor, args, 0, &inner);
    if (error < 0) {
        return error;
    }
    *out = dw_haproxy_server_endpoint_new(inner);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}
