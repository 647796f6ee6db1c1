/* SPDX-License-Identifier: MIT */
/*
 * Wrappers: policies between a connection and its protocol, written once and put around any factory
 * (Twisted's WrappingFactory and ProtocolWrapper; vectors/README.md, section 3 "Policies").
 *
 * A wrapper is a protocol to the outside and a transport to the inside: the wrapped protocol gets a
 * dw_transport on which every verb works, and cannot tell. Wrappers stack. A policy fills in only
 * the slots it cares about; all others pass through, half closes and producers included. This one
 * counts bytes:
 *
 *     struct counter { dw_protocol_wrapper base; size_t seen; };
 *     static void count(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
 *         ((struct counter *)w)->seen += len;
 *         dw_protocol_wrapper_data_received(w, data, len);
 *     }
 *     static const dw_protocol_wrapper_class counter = {.data_received = count};
 *     static const dw_wrapping_factory_class counting = {
 *         .name = "counting", .wrapper = &counter, .wrapper_size = sizeof(struct counter)};
 *     dw_wrapping_factory_init(&f, &counting, reactor, &app.base);
 *     dw_reactor_listen_tcp(reactor, 8000, &f.base.base, 0, NULL, NULL);
 */
#ifndef DRYWIRE_WRAPPER_H
#define DRYWIRE_WRAPPER_H

#include "drywire/factory.h"
#include "drywire/protocol.h"
#include "drywire/transport.h"

DW_BEGIN_DECLS

typedef struct dw_protocol_wrapper dw_protocol_wrapper;
typedef struct dw_wrapping_factory dw_wrapping_factory;

/* What a policy does differently. A slot that is NULL passes on. */
typedef struct dw_protocol_wrapper_class {
    /* From the network, at wrapper->base. To pass on, they call the function of the same name
     * below. read_ and write_connection_lost come only if the wrapped protocol is aware of half
     * closes. connection_lost must pass on exactly once. */
    void (*connection_made)(dw_protocol_wrapper *wrapper);
    void (*data_received)(dw_protocol_wrapper *wrapper, const uint8_t *data, size_t len);
    void (*connection_lost)(dw_protocol_wrapper *wrapper, const dw_reason *reason);
    void (*read_connection_lost)(dw_protocol_wrapper *wrapper);
    void (*write_connection_lost)(dw_protocol_wrapper *wrapper);

    /* From the wrapped protocol, which calls dw_transport_* on its transport. To pass on, they call
     * dw_transport_* on wrapper->base.transport. They keep the manners of drywire/transport.h: no
     * callback of the wrapped protocol from inside. stop_producing comes as lose_connection. */
    void (*write)(dw_protocol_wrapper *wrapper, const void *data, size_t len);
    void (*writev)(dw_protocol_wrapper *wrapper, const struct iovec *pieces, size_t count);
    void (*lose_connection)(dw_protocol_wrapper *wrapper);
    void (*lose_write_connection)(dw_protocol_wrapper *wrapper);
    void (*abort_connection)(dw_protocol_wrapper *wrapper);
    void (*fail)(dw_protocol_wrapper *wrapper, const dw_reason *reason);
    void (*pause_producing)(dw_protocol_wrapper *wrapper);
    void (*resume_producing)(dw_protocol_wrapper *wrapper);
    int (*register_producer)(dw_protocol_wrapper *wrapper, dw_producer *producer, bool streaming);
    void (*unregister_producer)(dw_protocol_wrapper *wrapper);

    /* Facts that a policy may know better than the network. */
    dw_address (*peer)(const dw_protocol_wrapper *wrapper);
    dw_address (*host)(dw_protocol_wrapper *wrapper);
    bool (*disconnecting)(const dw_protocol_wrapper *wrapper);

    /* The wrapper's memory goes next; connection_lost came before if there was a connection. */
    void (*destroy)(dw_protocol_wrapper *wrapper);
} dw_protocol_wrapper_class;

/* The first member of all that stands in for a transport; the library's. */
struct dw_transport_head {
    const struct dw_transport_verbs *verbs;
};

/* Embed it first. base.transport is the transport below, base.factory the wrapping factory. */
struct dw_protocol_wrapper {
    dw_protocol base;
    const dw_protocol_wrapper_class *cls;
    dw_protocol *wrapped;
    struct dw_transport_head transport_;
    dw_reactor *reactor_;
    struct dw_list_node node_; /* of its factory's connections */
    dw_protocol_class outer_;
    bool counted_, owned_, watched_;
};

/* Prepares a wrapper in the caller's memory around `wrapped`, borrowed until the wrapper's destroy,
 * which then calls wrapped's. Factories do this for you. Never fails. */
void dw_protocol_wrapper_init(dw_protocol_wrapper *wrapper, const dw_protocol_wrapper_class *cls,
                              dw_protocol *wrapped);

/* Pass on to the wrapped protocol. */
void dw_protocol_wrapper_connection_made(dw_protocol_wrapper *wrapper);
void dw_protocol_wrapper_data_received(dw_protocol_wrapper *wrapper, const uint8_t *data,
                                       size_t len);
void dw_protocol_wrapper_connection_lost(dw_protocol_wrapper *wrapper, const dw_reason *reason);
void dw_protocol_wrapper_read_connection_lost(dw_protocol_wrapper *wrapper);
void dw_protocol_wrapper_write_connection_lost(dw_protocol_wrapper *wrapper);

/* The transport that the wrapped protocol has or will get. */
dw_transport *dw_protocol_wrapper_transport(dw_protocol_wrapper *wrapper);

/* The nearest wrapper of that class from `transport` outwards, or NULL: how an application finds
 * the policy it runs behind. */
dw_protocol_wrapper *dw_protocol_wrapper_find(dw_transport *transport,
                                              const dw_protocol_wrapper_class *cls);

/* ---- Factories ---- */

typedef struct dw_wrapping_factory_class {
    const char *name;                         /* required */
    const dw_protocol_wrapper_class *wrapper; /* required */
    size_t wrapper_size;                      /* of the struct that embeds dw_protocol_wrapper */

    /* Asked first: who is to build the protocol: factory->wrapped, another factory (borrowed), or
     * NULL to refuse the connection. NULL slot: factory->wrapped. */
    dw_factory *(*admit)(dw_wrapping_factory *factory, const dw_address *peer);

    /* The wrapper (cleared memory, initialised) has its protocol and counts as a connection from
     * now on. Returns 0, or a negative error: `ended` comes and the connection fails. */
    int (*built)(dw_wrapping_factory *factory, dw_protocol_wrapper *wrapper,
                 const dw_address *peer);

    /* It counts no more, just before the wrapped protocol's connection_lost; or it was built but
     * never connected. */
    void (*ended)(dw_wrapping_factory *factory, dw_protocol_wrapper *wrapper);
} dw_wrapping_factory_class;

/* Embed it first. Its memory must last until `stop` was called for its last port or connector and
 * dw_wrapping_factory_count is 0: connections outlive their port. Must not be moved after init. */
struct dw_wrapping_factory {
    dw_client_factory base; /* listen with &f.base.base, connect with &f.base */
    const dw_wrapping_factory_class *cls;
    dw_reactor *reactor;
    dw_factory *wrapped;
    struct dw_list_node connections_; /* in order of connection */
    size_t count_;
    dw_client_factory_class outer_;
    void (*unused_)(void *user); /* of an endpoint's; NULL: its owner's business */
    void *unused_user_;
    size_t alive_; /* wrappers whose memory is there; counted if unused_ is set */
};

/* Prepares a factory in the caller's memory around `wrapped`, borrowed for as long. Wrappers are
 * taken from the reactor's memory. Never fails. */
void dw_wrapping_factory_init(dw_wrapping_factory *factory, const dw_wrapping_factory_class *cls,
                              dw_reactor *reactor, dw_factory *wrapped);

/* The same around a client factory, whose three client callbacks are passed on too. */
void dw_wrapping_factory_init_client(dw_wrapping_factory *factory,
                                     const dw_wrapping_factory_class *cls, dw_reactor *reactor,
                                     dw_client_factory *wrapped);

/* Connections that were built and have not ended. */
size_t dw_wrapping_factory_count(const dw_wrapping_factory *factory);

/* A wrapping factory that changes nothing: Twisted's bare WrappingFactory. */
extern const dw_wrapping_factory_class dw_wrapping_factory_plain;

DW_END_DECLS

#endif
