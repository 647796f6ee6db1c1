/* SPDX-License-Identifier: MIT */
/*
 * A protocol made of states against any bytes, cut in any way: a length of one byte, then a payload
 * which is sent back and, when it has one byte, obeyed.
 */
#include <drywire/fuzz.h>
#include <drywire/stateful.h>

struct obeyer {
    dw_stateful_protocol base; /* first */
    dw_reactor *reactor;
    dw_delayed_call resume;
};

static dw_state payload(dw_stateful_protocol *p, const uint8_t *data, size_t len);

static dw_state length(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    (void)len;
    dw_transport_write(p->base.transport, "#", 1);
    return (dw_state){payload, data[0]};
}

static dw_state again(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    (void)data;
    (void)len;
    dw_transport_write(p->base.transport, "=", 1);
    return (dw_state){length, 1};
}

static void resume(void *user) {
    dw_stateful_protocol_resume_producing(user);
}

static dw_state obey(struct obeyer *o, uint8_t command) {
    switch (command) {
    case 'p':
        dw_stateful_protocol_pause_producing(&o->base);
        dw_reactor_call_later(o->reactor, &o->resume, 0, resume, &o->base);
        break;
    case 'n':
        dw_stateful_protocol_pause_producing(&o->base);
        dw_stateful_protocol_resume_producing(&o->base);
        break;
    case 'l':
        dw_transport_lose_connection(o->base.base.transport);
        break;
    case 'z':
        return (dw_state){again, 0};
    case '=':
        return DW_STATE_SAME;
    default:
        break;
    }
    return (dw_state){length, 1};
}

static dw_state payload(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->base.transport, data, len);
    return len == 1 ? obey((struct obeyer *)(void *)p, data[0]) : (dw_state){length, 1};
}

static dw_state initial(dw_stateful_protocol *p) {
    (void)p;
    return (dw_state){length, 1};
}

static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_stateful_protocol_connection_lost(protocol, reason);
}

static void destroy(dw_protocol *protocol) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_stateful_protocol_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_stateful_protocol_class obeyer_class = {
    .base = {.name = "obeyer",
             .data_received = dw_stateful_protocol_data_received,
             .connection_lost = connection_lost,
             .destroy = destroy},
    .initial_state = initial,
};

static dw_protocol *obeyer_new(dw_reactor *reactor) {
    struct obeyer *o = dw_new(reactor, struct obeyer);
    if (o == NULL) {
        return NULL;
    }
    dw_stateful_protocol_init(&o->base, &obeyer_class);
    o->reactor = reactor;
    o->base.max_length = 40;
    return &o->base.base;
}

DW_FUZZ_PROTOCOL(obeyer_new)
