/* SPDX-License-Identifier: MIT */
/*
 * The netstring receiver against any bytes, cut in any way. It obeys its strings and sends each
 * back, so that whatever is delivered shows in what it writes.
 */
#include <drywire/fuzz.h>
#include <drywire/netstring.h>

struct obeyer {
    dw_netstring_receiver base; /* first */
    dw_reactor *reactor;
    dw_delayed_call resume;
};

static void resume(void *user) {
    dw_netstring_receiver_resume_producing(user);
}

static void obey(struct obeyer *o, uint8_t command) {
    switch (command) {
    case 'p':
        dw_netstring_receiver_pause_producing(&o->base);
        dw_reactor_call_later(o->reactor, &o->resume, 0, resume, &o->base);
        break;
    case 'n':
        dw_netstring_receiver_pause_producing(&o->base);
        dw_netstring_receiver_resume_producing(&o->base);
        break;
    case 'm':
        o->base.max_length = 9;
        break;
    case 'l':
        dw_transport_lose_connection(o->base.base.transport);
        break;
    case 's':
        dw_netstring_receiver_stop_producing(&o->base);
        break;
    default:
        break;
    }
}

static void string_received(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    dw_netstring_receiver_send_string(r, string, len);
    if (len == 1) {
        obey((struct obeyer *)(void *)r, string[0]);
    }
}

static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_netstring_receiver_connection_lost(protocol, reason);
}

static void destroy(dw_protocol *protocol) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_netstring_receiver_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_netstring_receiver_class obeyer_class = {
    .base = {.name = "obeyer",
             .data_received = dw_netstring_receiver_data_received,
             .connection_lost = connection_lost,
             .destroy = destroy},
    .string_received = string_received,
};

static dw_protocol *obeyer_new(dw_reactor *reactor) {
    struct obeyer *o = dw_new(reactor, struct obeyer);
    if (o == NULL) {
        return NULL;
    }
    dw_netstring_receiver_init(&o->base, &obeyer_class);
    o->reactor = reactor;
    o->base.max_length = 300;
    return &o->base.base;
}

DW_FUZZ_PROTOCOL(obeyer_new)
