/* SPDX-License-Identifier: MIT */
/*
 * Connectors as the program and the reactor have them: made by connect_tcp and connect_unix, asked,
 * held and freed. What one does meanwhile is in connector.c.
 *
 * Invariant: a connector is in reactor->connectors from connector_new to dw_connector_free.
 */
#include "connector.h"

enum { HOST_MAX = 1025 /* NI_MAXHOST, netdb.h */ };

dw_connector *dw_connector_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_connector, node);
}

dw_factory *dw_connector_factory(const dw_connector *connector, dw_factory **stood_in_for) {
    const struct dw_stand_in *stand_in = dw_connector_stand_in_of(connector);
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

void dw_connector_free(dw_connector *connector) {
    list_remove(&connector->node);
    dw_free(connector->reactor, connector);
}

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
    dw_connector_free_if_done(connector);
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
        dw_connector_free_if_done(connector);
    }
}

void dw_connector_stand_in(dw_connector *connector) {
    connector->stands_in = true;
}
