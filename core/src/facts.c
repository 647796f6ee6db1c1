/* SPDX-License-Identifier: MIT */
/*
 * What an oracle may ask core about the things below a wire's handles. Nothing here changes
 * anything; live wires never call it.
 */
#include "internal.h"

static void look_at_port(const dw_io *io, dw_io_facts *out) {
    out->factory = dw_port_factory(io);
}

static void look_at_stream(const dw_transport *t, dw_io_facts *out) {
    const struct dw_extra *extra = stream_extra(t);
    out->unsent = stream_buffered(t);
    out->paused = (t->flags & T_PAUSED) != 0;
    out->half_closed = (t->flags & T_READ_CLOSED) != 0;
    out->closing = (t->flags & (T_DISCONNECTING | T_LOSE_WRITE | T_ABORTED | T_FAILED)) != 0;
    out->producer_paused = extra != NULL && extra->producer != NULL && extra->producer_paused;
    if (t->protocol != NULL) {
        out->protocol = dw_protocol_unwrapped(t->protocol);
        out->factory = out->protocol->factory;
    }
}

void dw_io_look(const dw_io *io, dw_io_facts *out) {
    *out = (dw_io_facts){0};
    if (io->kind == DW_IO_PORT) {
        look_at_port(io, out);
    } else if (io->kind == DW_IO_STREAM || io->kind == DW_IO_CONNECTING) {
        look_at_stream(DW_CONTAINER_OF((uintptr_t)io, const dw_transport, io), out);
    }
}

const dw_io *dw_reactor_next_stream(const dw_reactor *reactor, const dw_io *previous) {
    const struct dw_list_node *node = &reactor->transports;
    if (previous != NULL) {
        node = &DW_CONTAINER_OF((uintptr_t)previous, const dw_transport, io)->node;
    }
    if (node->next == &reactor->transports) {
        return NULL;
    }
    return &DW_CONTAINER_OF((uintptr_t)node->next, const dw_transport, node)->io;
}

static bool serves(dw_factory *outer, const dw_factory *factory) {
    while (outer != NULL && outer != factory) {
        outer = dw_factory_wrapped(outer);
    }
    return outer != NULL;
}

bool dw_reactor_uses_factory(const dw_reactor *reactor, const dw_factory *factory) {
    const struct dw_list_node *node;
    for (node = reactor->ports.next; node != &reactor->ports; node = node->next) {
        if (serves(dw_port_factory(dw_port_io(dw_port_of_node((void *)(uintptr_t)node))),
                   factory)) {
            return true;
        }
    }
    for (node = reactor->connectors.next; node != &reactor->connectors; node = node->next) {
        dw_factory *stood_in_for = NULL;
        dw_connector *connector = dw_connector_of_node((void *)(uintptr_t)node);
        dw_factory *own = dw_connector_factory(connector, &stood_in_for);
        if (serves(own, factory) || serves(stood_in_for, factory)) {
            return true;
        }
    }
    return false;
}
