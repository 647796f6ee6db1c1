/* SPDX-License-Identifier: MIT */
/*
 * The idle time-out as a wrapper: a dw_timeout that every byte either way sets back. Invariant: it
 * is off from the moment the connection no longer counts.
 */
#include "drywire/idle_timeout.h"

struct idle_wrapper {
    dw_protocol_wrapper base;
    dw_timeout timeout;
};

static struct idle_wrapper *idle_of(dw_protocol_wrapper *w) {
    return DW_CONTAINER_OF(w, struct idle_wrapper, base);
}

static dw_idle_timeout_factory *factory_of(dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_idle_timeout_factory, base);
}

static void idle_data(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
    dw_timeout_reset(&idle_of(w)->timeout);
    dw_protocol_wrapper_data_received(w, data, len);
}

static void idle_write(dw_protocol_wrapper *w, const void *data, size_t len) {
    dw_timeout_reset(&idle_of(w)->timeout);
    dw_transport_write(w->base.transport, data, len);
}

static void idle_writev(dw_protocol_wrapper *w, const struct iovec *pieces, size_t count) {
    dw_timeout_reset(&idle_of(w)->timeout);
    dw_transport_writev(w->base.transport, pieces, count);
}

static const dw_protocol_wrapper_class idle_wrapper_class = {
    .data_received = idle_data,
    .write = idle_write,
    .writev = idle_writev,
};

/* The connection may end inside, and with it the wrapper's memory. */
static void too_long(dw_protocol *protocol) {
    dw_wrapping_factory *base = DW_CONTAINER_OF(protocol->factory, dw_wrapping_factory, base.base);
    if (factory_of(base)->abort) {
        dw_transport_abort_connection(protocol->transport);
    } else {
        dw_transport_lose_connection(protocol->transport);
    }
}

static int idle_built(dw_wrapping_factory *base, dw_protocol_wrapper *w, const dw_address *peer) {
    dw_timeout *timeout = &idle_of(w)->timeout;
    (void)peer;
    dw_timeout_init(timeout, base->reactor, &w->base, too_long);
    dw_timeout_set(timeout, factory_of(base)->period);
    return 0;
}

static void idle_ended(dw_wrapping_factory *base, dw_protocol_wrapper *w) {
    (void)base;
    dw_timeout_off(&idle_of(w)->timeout);
}

static const dw_wrapping_factory_class idle_factory_class = {
    .name = "idle time-out",
    .wrapper = &idle_wrapper_class,
    .wrapper_size = sizeof(struct idle_wrapper),
    .built = idle_built,
    .ended = idle_ended,
};

void dw_idle_timeout_factory_init(dw_idle_timeout_factory *factory, dw_reactor *reactor,
                                  dw_factory *wrapped, dw_time period) {
    dw_wrapping_factory_init(&factory->base, &idle_factory_class, reactor, wrapped);
    factory->period = period;
    factory->abort = false;
}

void dw_idle_timeout_factory_init_client(dw_idle_timeout_factory *factory, dw_reactor *reactor,
                                         dw_client_factory *wrapped, dw_time period) {
    dw_wrapping_factory_init_client(&factory->base, &idle_factory_class, reactor, wrapped);
    factory->period = period;
    factory->abort = false;
}

/* One that no longer counts is on its way out: arming it again would outlive it. */
static dw_timeout *find(dw_transport *transport) {
    dw_protocol_wrapper *w = dw_protocol_wrapper_find(transport, &idle_wrapper_class);
    return w != NULL && w->counted_ ? &idle_of(w)->timeout : NULL;
}

void dw_idle_timeout_set(dw_transport *transport, dw_time period) {
    dw_timeout *timeout = find(transport);
    if (timeout != NULL) {
        dw_timeout_set(timeout, period);
    }
}

void dw_idle_timeout_cancel(dw_transport *transport) {
    dw_idle_timeout_set(transport, DW_TIMEOUT_OFF);
}

dw_time dw_idle_timeout_period(dw_transport *transport) {
    dw_timeout *timeout = find(transport);
    return timeout != NULL ? dw_timeout_period(timeout) : DW_TIMEOUT_OFF;
}
