/* SPDX-License-Identifier: MIT */
/*
 * The factory that reads a PROXY header and then hands the connection over. Until then the wrapper
 * wraps nobody; afterwards it passes everything on and only answers for the two addresses.
 *
 * Invariant: the wrapped protocol sees no byte of the header, and all bytes behind it, none of them
 * while it has paused.
 */
#include "drywire/haproxy.h"

#include "framing.h"

struct connection {
    dw_protocol_wrapper base;
    dw_haproxy_parser parser;
    dw_delayed_call timeout;
    bool handed_over;
    bool paused;
    uint8_t *rest; /* came with the header, but the protocol paused at once */
    size_t rest_len;
    dw_delayed_call deliver_rest;
    bool *gone; /* set when this goes */
};

static struct connection *connection_of(dw_protocol_wrapper *w) {
    return (struct connection *)(void *)w;
}

static dw_haproxy_factory *factory_of(const dw_protocol_wrapper *w) {
    return (dw_haproxy_factory *)(void *)w->base.factory;
}

/* ---- The header ---- */

static void header_late(void *user) {
    struct connection *c = user;
    dw_transport_abort_connection(c->base.base.transport);
}

static void connection_made(dw_protocol_wrapper *w) {
    struct connection *c = connection_of(w);
    dw_time limit = factory_of(w)->header_timeout;
    if (limit > 0) {
        dw_reactor_call_later(factory_of(w)->base.reactor, &c->timeout, limit, header_late, c);
    }
}

static void read_lost(dw_protocol *protocol) {
    dw_protocol_wrapper_read_connection_lost((dw_protocol_wrapper *)(void *)protocol);
}

static void write_lost(dw_protocol *protocol) {
    dw_protocol_wrapper_write_connection_lost((dw_protocol_wrapper *)(void *)protocol);
}

static const char *log_prefix(dw_protocol *protocol) {
    return dw_protocol_log_prefix(((dw_protocol_wrapper *)(void *)protocol)->wrapped);
}

/* From now on the wrapper is to the network what the protocol is. */
static void take_over(dw_protocol_wrapper *w, dw_protocol *wrapped) {
    const dw_protocol_class *inner = wrapped->cls;
    w->wrapped = wrapped;
    w->outer_.name = inner->name;
    w->outer_.read_connection_lost = inner->read_connection_lost != NULL ? read_lost : NULL;
    w->outer_.write_connection_lost = inner->write_connection_lost != NULL ? write_lost : NULL;
    w->outer_.log_prefix = inner->log_prefix != NULL ? log_prefix : NULL;
}

/* Whether there is a protocol now. */
static bool build(struct connection *c) {
    dw_factory *inner = factory_of(&c->base)->base.wrapped;
    const dw_haproxy_header *h = &c->parser.header;
    dw_address peer = h->proxied ? h->source : dw_transport_peer(c->base.base.transport);
    dw_protocol *wrapped = inner->cls->build_protocol(inner, &peer);
    if (wrapped == NULL || wrapped == DW_PROTOCOL_FAILED) {
        dw_transport_lose_connection(c->base.base.transport);
        return false;
    }
    wrapped->factory = inner;
    take_over(&c->base, wrapped);
    c->handed_over = true;
    dw_protocol_wrapper_connection_made(&c->base);
    return true;
}

static void keep_rest(struct connection *c, const uint8_t *data, size_t len) {
    static const dw_reason reason = {DW_NO_MEMORY, 0, NULL};
    c->rest = dw_alloc(factory_of(&c->base)->base.reactor, len);
    if (c->rest == NULL) {
        dw_transport_fail(c->base.base.transport, &reason);
        return;
    }
    memcpy(c->rest, data, len);
    c->rest_len = len;
}

static void hand_over(struct connection *c, const uint8_t *data, size_t len) {
    dw_delayed_call_cancel(&c->timeout);
    if (!build(c) || len == 0 || !framing_open(c->base.base.transport)) {
        return;
    }
    if (c->paused) {
        keep_rest(c, data, len);
    } else {
        dw_protocol_wrapper_data_received(&c->base, data, len);
    }
}

static void data_received(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
    struct connection *c = connection_of(w);
    size_t used;
    if (c->handed_over) {
        dw_protocol_wrapper_data_received(w, data, len);
        return;
    }
    switch (dw_haproxy_parser_feed(&c->parser, data, len, &used)) {
    case DW_HAPROXY_DONE:
        hand_over(c, data + used, len - used);
        break;
    case DW_HAPROXY_INVALID:
        dw_delayed_call_cancel(&c->timeout);
        dw_transport_abort_connection(w->base.transport);
        break;
    case DW_HAPROXY_MORE:
        break;
    }
}

/* ---- Pausing with bytes behind the header in hand ---- */

static void deliver_rest(void *user) {
    struct connection *c = user;
    dw_reactor *reactor = factory_of(&c->base)->base.reactor;
    uint8_t *rest = c->rest;
    bool gone = false;
    if (c->paused || !framing_open(c->base.base.transport)) {
        return;
    }
    c->rest = NULL;
    c->gone = &gone;
    dw_protocol_wrapper_data_received(&c->base, rest, c->rest_len);
    dw_free(reactor, rest);
    if (gone) {
        return;
    }
    c->gone = NULL;
    if (!c->paused) {
        dw_transport_resume_producing(c->base.base.transport);
    }
}

static void pause_producing(dw_protocol_wrapper *w) {
    connection_of(w)->paused = true;
    dw_transport_pause_producing(w->base.transport);
}

/* What is in hand comes first, and not inside this call. */
static void resume_producing(dw_protocol_wrapper *w) {
    struct connection *c = connection_of(w);
    c->paused = false;
    if (c->rest != NULL) {
        dw_reactor_call_later(factory_of(w)->base.reactor, &c->deliver_rest, 0, deliver_rest, c);
    } else if (c->gone == NULL) {
        dw_transport_resume_producing(w->base.transport);
    }
}

/* ---- The rest of a wrapper ---- */

/* After connection_lost, and so in destroy, the factory may be gone. */
static void let_go(struct connection *c) {
    dw_delayed_call_cancel(&c->timeout);
    dw_delayed_call_cancel(&c->deliver_rest);
    dw_free(c->base.reactor_, c->rest);
    c->rest = NULL;
}

static void connection_lost(dw_protocol_wrapper *w, const dw_reason *reason) {
    let_go(connection_of(w));
    if (connection_of(w)->handed_over) {
        dw_protocol_wrapper_connection_lost(w, reason);
    }
}

static void destroy(dw_protocol_wrapper *w) {
    let_go(connection_of(w));
    if (connection_of(w)->gone != NULL) {
        *connection_of(w)->gone = true;
    }
}

static dw_address peer(const dw_protocol_wrapper *w) {
    const dw_haproxy_header *h = &((const struct connection *)(const void *)w)->parser.header;
    return h->proxied ? h->source : dw_transport_peer(w->base.transport);
}

static dw_address host(dw_protocol_wrapper *w) {
    const dw_haproxy_header *h = &connection_of(w)->parser.header;
    return h->proxied ? h->destination : dw_transport_host(w->base.transport);
}

static const dw_protocol_wrapper_class wrapper_class = {
    .connection_made = connection_made,
    .data_received = data_received,
    .connection_lost = connection_lost,
    .pause_producing = pause_producing,
    .resume_producing = resume_producing,
    .peer = peer,
    .host = host,
    .destroy = destroy,
};

const dw_haproxy_header *dw_haproxy_header_of(dw_transport *transport) {
    dw_protocol_wrapper *w = dw_protocol_wrapper_find(transport, &wrapper_class);
    return w != NULL ? &connection_of(w)->parser.header : NULL;
}

/* ---- The factory ---- */

static const dw_protocol_class nobody_class = {.name = "haproxy"};

static dw_protocol *waiting_build(dw_factory *factory, const dw_address *from) {
    (void)from;
    return &DW_CONTAINER_OF(factory, dw_haproxy_factory, waiting_)->nobody_;
}

static const dw_factory_class waiting_class = {
    .name = "haproxy",
    .build_protocol = waiting_build,
};

static dw_factory *admit(dw_wrapping_factory *factory, const dw_address *from) {
    (void)from;
    return &((dw_haproxy_factory *)(void *)factory)->waiting_;
}

static int built(dw_wrapping_factory *factory, dw_protocol_wrapper *w, const dw_address *from) {
    (void)factory;
    (void)from;
    dw_haproxy_parser_init(&connection_of(w)->parser);
    return 0;
}

static const dw_wrapping_factory_class factory_class = {
    .name = "haproxy",
    .wrapper = &wrapper_class,
    .wrapper_size = sizeof(struct connection),
    .admit = admit,
    .built = built,
};

void dw_haproxy_factory_init(dw_haproxy_factory *f, dw_reactor *reactor, dw_factory *wrapped) {
    dw_wrapping_factory_init(&f->base, &factory_class, reactor, wrapped);
    f->header_timeout = DW_HAPROXY_TIMEOUT_DEFAULT;
    dw_factory_init(&f->waiting_, &waiting_class);
    dw_protocol_init(&f->nobody_, &nobody_class);
}
