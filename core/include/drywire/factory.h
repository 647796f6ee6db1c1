/* SPDX-License-Identifier: MIT */
/*
 * Factories make protocols (twisted.internet.protocol.Factory, ClientFactory). Embed dw_factory
 * (for ports) or dw_client_factory (for connectors) first. The caller owns the memory and keeps it
 * until `stop` was called for the last port or connector that uses it.
 */
#ifndef DRYWIRE_FACTORY_H
#define DRYWIRE_FACTORY_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* build_protocol's answer when it could not make one (out of memory, say): a client's attempt then
 * fails with DW_CONNECT_ERROR; a server's connection is closed. As MAP_FAILED is for mmap. */
#define DW_PROTOCOL_FAILED ((dw_protocol *)-1)

typedef struct dw_factory_class {
    const char *name; /* required */

    /* Returns a protocol for a connection with `peer`, in memory that its class's destroy or the
     * factory's owner frees; NULL refuses the connection, which is then closed; or
     * DW_PROTOCOL_FAILED. Required. */
    dw_protocol *(*build_protocol)(dw_factory *factory, const dw_address *peer);

    /* The first port or connector begins to use the factory / the last one has ended. */
    void (*start)(dw_factory *factory);
    void (*stop)(dw_factory *factory);

    /* The manners of all its protocols that do not state their own, tried on the dry wire; NULL:
     * none. */
    const dw_promises *promises;
} dw_factory_class;

struct dw_factory {
    const dw_factory_class *cls;
    unsigned num_ports; /* ports and connectors that use it now */
};

/* Prepares a factory in the caller's memory. Never fails. */
void dw_factory_init(dw_factory *factory, const dw_factory_class *cls);

/* Counted start and stop; ports and connectors call them, wrappers forward them. */
void dw_factory_do_start(dw_factory *factory);
void dw_factory_do_stop(dw_factory *factory);

typedef struct dw_client_factory_class {
    dw_factory_class base;

    /* connect was called; may call dw_connector_stop_connecting. */
    void (*started_connecting)(dw_client_factory *factory, dw_connector *connector);

    /* The attempt failed / the connection is over (the protocol's connection_lost came before).
     * Calling dw_connector_connect in here tries again with no stop and start of the factory. */
    void (*client_connection_failed)(dw_client_factory *factory, dw_connector *connector,
                                     const dw_reason *reason);
    void (*client_connection_lost)(dw_client_factory *factory, dw_connector *connector,
                                   const dw_reason *reason);
} dw_client_factory_class;

struct dw_client_factory {
    dw_factory base; /* base.cls points at the `base` of a dw_client_factory_class */
};

/* Prepares a client factory in the caller's memory. Never fails. */
void dw_client_factory_init(dw_client_factory *factory, const dw_client_factory_class *cls);

DW_END_DECLS

#endif
