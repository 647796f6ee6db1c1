/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol's factory against any bytes, cut in any way: behind the header stands a
 * protocol that writes both ends and echoes, and that begins paused when its client's port is odd.
 */
#include <drywire/fuzz.h>
#include <drywire/haproxy.h>

#include <string.h>

struct application {
    dw_haproxy_factory behind;
    dw_factory factory;
    dw_reactor *reactor;
};

struct echo {
    dw_protocol base; /* first */
    dw_reactor *reactor;
    dw_delayed_call resume;
};

static void resume(void *user) {
    struct echo *echo = user;
    dw_transport_resume_producing(echo->base.transport);
}

/* Without a header's ends there is nothing to write that is the same in each conversation. */
static void connection_made(dw_protocol *p) {
    struct echo *echo = (struct echo *)(void *)p;
    const dw_haproxy_header *h = dw_haproxy_header_of(p->transport);
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address ends[2] = {dw_transport_peer(p->transport), dw_transport_host(p->transport)};
    for (int i = 0; i < 2 && h->proxied; i++) {
        dw_address_format(&ends[i], text, sizeof(text));
        dw_transport_write(p->transport, text, strlen(text));
    }
    dw_transport_write(p->transport, h->source_path, strlen(h->source_path));
    dw_transport_write(p->transport, h->destination_path, strlen(h->destination_path));
    if (h->proxied && ends[0].port % 2 == 1) {
        dw_transport_pause_producing(p->transport);
        dw_reactor_call_later(echo->reactor, &echo->resume, 0, resume, echo);
    }
}

static void data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void connection_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_delayed_call_cancel(&((struct echo *)(void *)p)->resume);
}

static void destroy(dw_protocol *p) {
    struct echo *echo = (struct echo *)(void *)p;
    dw_delayed_call_cancel(&echo->resume);
    dw_free(echo->reactor, echo);
}

static const dw_protocol_class echo_class = {
    .name = "echo",
    .connection_made = connection_made,
    .data_received = data_received,
    .connection_lost = connection_lost,
    .destroy = destroy,
};

static dw_protocol *build_protocol(dw_factory *factory, const dw_address *peer) {
    dw_reactor *reactor = DW_CONTAINER_OF(factory, struct application, factory)->reactor;
    struct echo *echo = dw_new(reactor, struct echo);
    (void)peer;
    if (echo == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&echo->base, &echo_class);
    echo->reactor = reactor;
    return &echo->base;
}

static const dw_factory_class factory_class = {
    .name = "echo",
    .build_protocol = build_protocol,
};

static dw_factory *application_new(dw_reactor *reactor) {
    struct application *a = dw_new(reactor, struct application);
    if (a == NULL) {
        return NULL;
    }
    a->reactor = reactor;
    dw_factory_init(&a->factory, &factory_class);
    dw_haproxy_factory_init(&a->behind, reactor, &a->factory);
    return &a->behind.base.base.base;
}

static void application_free(dw_factory *factory) {
    struct application *a = (struct application *)(void *)factory;
    dw_free(a->reactor, a);
}

DW_FUZZ_PROTOCOL(application_new, .release = application_free)
