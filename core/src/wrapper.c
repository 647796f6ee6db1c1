/* SPDX-License-Identifier: MIT */
/*
 * Wrappers and wrapping factories. Towards the network a wrapper is an ordinary protocol; towards
 * the wrapped protocol it begins as every transport does, so that the verbs in transport.c find it
 * and come here.
 *
 * Invariant: a wrapper that was built counts in its factory until just before its wrapped
 * protocol's connection_lost, or, if it never was connected, until its destroy.
 */
#include "drywire/wrapper.h"

#include "drywire/alloc.h"
#include "internal.h"

static dw_protocol_wrapper *wrapper_of_protocol(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, dw_protocol_wrapper, base);
}

static dw_wrapping_factory *factory_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_wrapping_factory, base.base);
}

/* ---- From the network: pass on ---- */

void dw_protocol_wrapper_connection_made(dw_protocol_wrapper *w) {
    dw_protocol_make_connection(w->wrapped, dw_protocol_wrapper_transport(w));
}

void dw_protocol_wrapper_data_received(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
    if (w->wrapped->cls->data_received != NULL) {
        w->wrapped->cls->data_received(w->wrapped, data, len);
    }
}

/* As the connection itself does it (stream.c, tell_protocol). */
void dw_protocol_wrapper_connection_lost(dw_protocol_wrapper *w, const dw_reason *reason) {
    dw_protocol *wrapped = w->wrapped;
    if (!dw_contract(dw_transport_reactor(w->base.transport), wrapped->transport != NULL,
                     "contract",
                     "a wrapper passed connection_lost on twice, or without connection_made")) {
        return;
    }
    wrapped->connected = false;
    if (wrapped->cls->connection_lost != NULL) {
        wrapped->cls->connection_lost(wrapped, reason);
    }
    wrapped->transport = NULL;
}

void dw_protocol_wrapper_read_connection_lost(dw_protocol_wrapper *w) {
    if (w->wrapped->cls->read_connection_lost != NULL) {
        w->wrapped->cls->read_connection_lost(w->wrapped);
    }
}

void dw_protocol_wrapper_write_connection_lost(dw_protocol_wrapper *w) {
    if (w->wrapped->cls->write_connection_lost != NULL) {
        w->wrapped->cls->write_connection_lost(w->wrapped);
    }
}

/* ---- From the network: the outer protocol's callbacks ---- */

static void uncount(dw_protocol_wrapper *w) {
    if (!w->counted_) {
        return;
    }
    dw_wrapping_factory *factory = factory_of(w->base.factory);
    w->counted_ = false;
    list_remove(&w->node_);
    factory->count_--;
    if (factory->cls->ended != NULL) {
        factory->cls->ended(factory, w);
    }
}

static void outer_made(dw_protocol *protocol) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    if (w->counted_) {
        list_add(&factory_of(w->base.factory)->connections_, &w->node_);
    }
    if (w->cls->connection_made != NULL) {
        w->cls->connection_made(w);
    } else {
        dw_protocol_wrapper_connection_made(w);
    }
}

static void outer_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    if (w->cls->data_received != NULL) {
        w->cls->data_received(w, data, len);
    } else {
        dw_protocol_wrapper_data_received(w, data, len);
    }
}

static void outer_lost(dw_protocol *protocol, const dw_reason *reason) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    bool ours = w->wrapped->cls->destroy != NULL;
    uncount(w);
    if (w->cls->connection_lost != NULL) {
        w->cls->connection_lost(w, reason);
    } else {
        dw_protocol_wrapper_connection_lost(w, reason);
    }
    /* Without a destroy its owner may have freed it by now. */
    dw_contract(dw_transport_reactor(protocol->transport), !ours || w->wrapped->transport == NULL,
                "contract", "a wrapper did not pass connection_lost on");
}

static void outer_read_lost(dw_protocol *protocol) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    if (w->cls->read_connection_lost != NULL) {
        w->cls->read_connection_lost(w);
    } else {
        dw_protocol_wrapper_read_connection_lost(w);
    }
}

static void outer_write_lost(dw_protocol *protocol) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    if (w->cls->write_connection_lost != NULL) {
        w->cls->write_connection_lost(w);
    } else {
        dw_protocol_wrapper_write_connection_lost(w);
    }
}

static void outer_descriptor(dw_protocol *protocol, int fd) {
    dw_protocol *wrapped = wrapper_of_protocol(protocol)->wrapped;
    wrapped->cls->file_descriptor_received(wrapped, fd);
}

/* The factory may be gone afterwards. */
static void tell_unused(dw_wrapping_factory *factory) {
    if (factory->unused_ != NULL && factory->base.base.num_ports == 0 && factory->alive_ == 0) {
        factory->unused_(factory->unused_user_);
    }
}

/* A reactor that is freed with open connections comes here without connection_lost. */
static void outer_destroy(dw_protocol *protocol) {
    dw_protocol_wrapper *w = wrapper_of_protocol(protocol);
    dw_protocol *wrapped = w->wrapped;
    uncount(w);
    wrapped->connected = false;
    wrapped->transport = NULL;
    if (w->cls->destroy != NULL) {
        w->cls->destroy(w);
    }
    if (wrapped->cls->destroy != NULL) {
        wrapped->cls->destroy(wrapped);
    }
    dw_wrapping_factory *factory = w->watched_ ? factory_of(w->base.factory) : NULL;
    if (w->owned_) {
        dw_free(w->reactor_, w);
    }
    if (factory != NULL) {
        factory->alive_--;
        tell_unused(factory);
    }
}

static const char *outer_log_prefix(dw_protocol *protocol) {
    return dw_protocol_log_prefix(wrapper_of_protocol(protocol)->wrapped);
}

/* ---- Life ---- */

/* The outer class is each wrapper's own: its name is the wrapped protocol's, and it is aware of
 * half closes exactly if the wrapped protocol is. */
void dw_protocol_wrapper_init(dw_protocol_wrapper *w, const dw_protocol_wrapper_class *cls,
                              dw_protocol *wrapped) {
    const dw_protocol_class *inner = wrapped->cls;
    w->cls = cls;
    w->wrapped = wrapped;
    w->transport_.verbs = &dw_wrapper_verbs;
    w->reactor_ = NULL;
    w->counted_ = w->owned_ = w->watched_ = false;
    list_init(&w->node_);
    w->outer_ = (dw_protocol_class){
        .name = inner->name,
        .connection_made = outer_made,
        .data_received = outer_data,
        .connection_lost = outer_lost,
        .read_connection_lost = inner->read_connection_lost != NULL ? outer_read_lost : NULL,
        .write_connection_lost = inner->write_connection_lost != NULL ? outer_write_lost : NULL,
        .file_descriptor_received =
            inner->file_descriptor_received != NULL ? outer_descriptor : NULL,
        .destroy = outer_destroy,
        .log_prefix = inner->log_prefix != NULL ? outer_log_prefix : NULL,
    };
    dw_protocol_init(&w->base, &w->outer_);
}

dw_protocol *dw_protocol_wrapped(dw_protocol *protocol) {
    return protocol->cls->destroy == outer_destroy ? wrapper_of_protocol(protocol)->wrapped : NULL;
}

dw_protocol *dw_protocol_unwrapped(dw_protocol *protocol) {
    for (dw_protocol *inner; (inner = dw_protocol_wrapped(protocol)) != NULL;) {
        protocol = inner;
    }
    return protocol;
}

dw_transport *dw_protocol_wrapper_transport(dw_protocol_wrapper *w) {
    return (dw_transport *)(void *)&w->transport_;
}

dw_protocol_wrapper *dw_protocol_wrapper_find(dw_transport *transport,
                                              const dw_protocol_wrapper_class *cls) {
    dw_protocol_wrapper *w = wrapper_of(transport);
    while (w != NULL && w->cls != cls) {
        w = wrapper_of(w->base.transport);
    }
    return w;
}

/* ---- From the wrapped protocol: the verbs of its transport ---- */

static void wrapped_write(dw_transport *t, const void *data, size_t len) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->write != NULL) {
        w->cls->write(w, data, len);
    } else {
        dw_transport_write(w->base.transport, data, len);
    }
}

static void wrapped_writev(dw_transport *t, const struct iovec *pieces, size_t count) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->writev != NULL) {
        w->cls->writev(w, pieces, count);
    } else {
        dw_transport_writev(w->base.transport, pieces, count);
    }
}

static void wrapped_lose_connection(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->lose_connection != NULL) {
        w->cls->lose_connection(w);
    } else {
        dw_transport_lose_connection(w->base.transport);
    }
}

static void wrapped_abort_connection(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->abort_connection != NULL) {
        w->cls->abort_connection(w);
    } else {
        dw_transport_abort_connection(w->base.transport);
    }
}

static void wrapped_lose_write_connection(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->lose_write_connection != NULL) {
        w->cls->lose_write_connection(w);
    } else {
        dw_transport_lose_write_connection(w->base.transport);
    }
}

static void wrapped_fail(dw_transport *t, const dw_reason *reason) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->fail != NULL) {
        w->cls->fail(w, reason);
    } else {
        dw_transport_fail(w->base.transport, reason);
    }
}

static void wrapped_pause_producing(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->pause_producing != NULL) {
        w->cls->pause_producing(w);
    } else {
        dw_transport_pause_producing(w->base.transport);
    }
}

static void wrapped_resume_producing(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->resume_producing != NULL) {
        w->cls->resume_producing(w);
    } else {
        dw_transport_resume_producing(w->base.transport);
    }
}

static int wrapped_register_producer(dw_transport *t, dw_producer *producer, bool streaming) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return w->cls->register_producer != NULL
               ? w->cls->register_producer(w, producer, streaming)
               : dw_transport_register_producer(w->base.transport, producer, streaming);
}

static void wrapped_unregister_producer(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    if (w->cls->unregister_producer != NULL) {
        w->cls->unregister_producer(w);
    } else {
        dw_transport_unregister_producer(w->base.transport);
    }
}

static int wrapped_set_write_limits(dw_transport *t, size_t low, size_t high) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return dw_transport_set_write_limits(w->base.transport, low, high);
}

static size_t wrapped_buffered(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return dw_transport_buffered(w->base.transport);
}

static dw_address wrapped_peer(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return w->cls->peer != NULL ? w->cls->peer(w) : dw_transport_peer(w->base.transport);
}

static dw_address wrapped_host(dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return w->cls->host != NULL ? w->cls->host(w) : dw_transport_host(w->base.transport);
}

static bool wrapped_connected(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return dw_transport_connected(w->base.transport);
}

static bool wrapped_disconnecting(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return w->cls->disconnecting != NULL ? w->cls->disconnecting(w)
                                         : dw_transport_disconnecting(w->base.transport);
}

static bool wrapped_disconnected(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return dw_transport_disconnected(w->base.transport);
}

static dw_reactor *wrapped_reactor(const dw_transport *t) {
    dw_protocol_wrapper *w = wrapper_of(t);
    return dw_transport_reactor(w->base.transport);
}

static bool wrapped_get_option(dw_transport *t, dw_socket_option option) {
    dw_transport *below = wrapper_of(t)->base.transport;
    return verbs_of(below)->get_option(below, option);
}

static int wrapped_set_option(dw_transport *t, dw_socket_option option, bool on) {
    dw_transport *below = wrapper_of(t)->base.transport;
    return verbs_of(below)->set_option(below, option, on);
}

static int wrapped_send_file_descriptor(dw_transport *t, int fd) {
    return dw_transport_send_file_descriptor(wrapper_of(t)->base.transport, fd);
}

/* A policy may hold back or change what passes: nobody reaches around it. */
static int wrapped_handle(const dw_transport *t) {
    (void)t;
    return -1;
}

const struct dw_transport_verbs dw_wrapper_verbs = {
    .write = wrapped_write,
    .writev = wrapped_writev,
    .lose_connection = wrapped_lose_connection,
    .abort_connection = wrapped_abort_connection,
    .lose_write_connection = wrapped_lose_write_connection,
    .fail = wrapped_fail,
    .pause_producing = wrapped_pause_producing,
    .resume_producing = wrapped_resume_producing,
    .register_producer = wrapped_register_producer,
    .unregister_producer = wrapped_unregister_producer,
    .set_write_limits = wrapped_set_write_limits,
    .buffered = wrapped_buffered,
    .peer = wrapped_peer,
    .host = wrapped_host,
    .connected = wrapped_connected,
    .disconnecting = wrapped_disconnecting,
    .disconnected = wrapped_disconnected,
    .reactor = wrapped_reactor,
    .get_option = wrapped_get_option,
    .set_option = wrapped_set_option,
    .send_file_descriptor = wrapped_send_file_descriptor,
    .handle = wrapped_handle,
};

/* ---- Factories ---- */

/* The wrapper's memory comes first, so that a protocol is never built in vain. */
static dw_protocol *factory_build(dw_factory *base, const dw_address *peer) {
    dw_wrapping_factory *factory = factory_of(base);
    const dw_wrapping_factory_class *cls = factory->cls;
    dw_factory *builder = cls->admit != NULL ? cls->admit(factory, peer) : factory->wrapped;
    if (builder == NULL) {
        return NULL;
    }
    dw_protocol_wrapper *w = dw_alloc_zeroed(factory->reactor, cls->wrapper_size);
    if (w == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol *wrapped = builder->cls->build_protocol(builder, peer);
    if (wrapped == NULL || wrapped == DW_PROTOCOL_FAILED) {
        dw_free(factory->reactor, w);
        return wrapped;
    }
    wrapped->factory = builder;
    dw_protocol_wrapper_init(w, cls->wrapper, wrapped);
    w->base.factory = base;
    w->reactor_ = factory->reactor;
    w->owned_ = w->counted_ = true;
    w->watched_ = factory->unused_ != NULL;
    factory->count_++;
    factory->alive_ += w->watched_;
    if (cls->built != NULL && cls->built(factory, w, peer) < 0) {
        outer_destroy(&w->base);
        return DW_PROTOCOL_FAILED;
    }
    return &w->base;
}

dw_factory *dw_factory_wrapped(dw_factory *factory) {
    return factory->cls->build_protocol == factory_build ? factory_of(factory)->wrapped : NULL;
}

static void factory_start(dw_factory *base) {
    dw_factory_do_start(factory_of(base)->wrapped);
}

/* Whom a factory that was stopped builds with. */
static dw_protocol *refuse(dw_factory *factory, const dw_address *peer) {
    (void)factory;
    (void)peer;
    return NULL;
}

static const dw_factory_class refusing_class = {.name = "refusing", .build_protocol = refuse};
static dw_factory refusing = {.cls = &refusing_class};

static void factory_stop(dw_factory *base) {
    dw_wrapping_factory *factory = factory_of(base);
    dw_factory *wrapped = factory->wrapped;
    bool watched = factory->unused_ != NULL; /* else it may be gone when its stop has returned, */
    if (watched) {
        factory->wrapped = &refusing; /* as the wrapped one may */
    }
    dw_factory_do_stop(wrapped);
    if (watched) {
        tell_unused(factory);
    }
}

void dw_wrapping_factory_watch(dw_wrapping_factory *factory, void (*unused)(void *user),
                               void *user) {
    factory->unused_ = unused;
    factory->unused_user_ = user;
}

static const dw_client_factory_class *client_class(const dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory->wrapped->cls, const dw_client_factory_class, base);
}

static dw_client_factory *client_of(const dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory->wrapped, dw_client_factory, base);
}

static void client_started(dw_client_factory *base, dw_connector *connector) {
    dw_wrapping_factory *factory = factory_of(&base->base);
    client_class(factory)->started_connecting(client_of(factory), connector);
}

static void client_failed(dw_client_factory *base, dw_connector *connector,
                          const dw_reason *reason) {
    dw_wrapping_factory *factory = factory_of(&base->base);
    client_class(factory)->client_connection_failed(client_of(factory), connector, reason);
}

static void client_lost(dw_client_factory *base, dw_connector *connector, const dw_reason *reason) {
    dw_wrapping_factory *factory = factory_of(&base->base);
    client_class(factory)->client_connection_lost(client_of(factory), connector, reason);
}

void dw_wrapping_factory_init(dw_wrapping_factory *factory, const dw_wrapping_factory_class *cls,
                              dw_reactor *reactor, dw_factory *wrapped) {
    factory->cls = cls;
    factory->reactor = reactor;
    factory->wrapped = wrapped;
    factory->count_ = factory->alive_ = 0;
    factory->unused_ = NULL;
    list_init(&factory->connections_);
    factory->outer_ = (dw_client_factory_class){
        .base = {.name = cls->name,
                 .build_protocol = factory_build,
                 .start = factory_start,
                 .stop = factory_stop},
    };
    dw_client_factory_init(&factory->base, &factory->outer_);
}

void dw_wrapping_factory_init_client(dw_wrapping_factory *factory,
                                     const dw_wrapping_factory_class *cls, dw_reactor *reactor,
                                     dw_client_factory *wrapped) {
    dw_wrapping_factory_init(factory, cls, reactor, &wrapped->base);
    const dw_client_factory_class *inner = client_class(factory);
    dw_client_factory_class *outer = &factory->outer_;
    outer->started_connecting = inner->started_connecting != NULL ? client_started : NULL;
    outer->client_connection_failed =
        inner->client_connection_failed != NULL ? client_failed : NULL;
    outer->client_connection_lost = inner->client_connection_lost != NULL ? client_lost : NULL;
}

size_t dw_wrapping_factory_count(const dw_wrapping_factory *factory) {
    return factory->count_;
}

static const dw_protocol_wrapper_class plain_wrapper;

const dw_wrapping_factory_class dw_wrapping_factory_plain = {
    .name = "wrapping factory",
    .wrapper = &plain_wrapper,
    .wrapper_size = sizeof(dw_protocol_wrapper),
};
