/* SPDX-License-Identifier: MIT */
/*
 * Strings behind a binary length against any bytes, cut in any way. The receiver begins with 8 bits
 * and obeys its strings, which change the format among other things; each is sent back, so that
 * whatever is delivered shows in what it writes.
 */
#include <drywire/fuzz.h>
#include <drywire/int_string.h>

struct obeyer {
    dw_int_string_receiver base; /* first */
    dw_reactor *reactor;
    dw_delayed_call resume;
    bool skips, keeps;
};

static void resume(void *user) {
    dw_int_string_receiver_resume_producing(user);
}

static void obey(struct obeyer *o, uint8_t command) {
    switch (command) {
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
        o->base.format = (dw_int_format)(command - '0');
        break;
    case 'p':
        dw_int_string_receiver_pause_producing(&o->base);
        dw_reactor_call_later(o->reactor, &o->resume, 0, resume, &o->base);
        break;
    case 'n':
        dw_int_string_receiver_pause_producing(&o->base);
        dw_int_string_receiver_resume_producing(&o->base);
        break;
    case 'l':
        dw_transport_lose_connection(o->base.base.transport);
        break;
    case 's':
        o->skips = true;
        break;
    case 'k':
        o->keeps = true;
        break;
    default:
        break;
    }
}

static void string_received(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
    dw_int_string_receiver_send_string(r, string, len);
    if (len == 1) {
        obey((struct obeyer *)(void *)r, string[0]);
    }
}

static void length_limit_exceeded(dw_int_string_receiver *r, uint32_t length) {
    struct obeyer *o = (struct obeyer *)(void *)r;
    char text[4] = {(char)(length >> 24), (char)(length >> 16), (char)(length >> 8), (char)length};
    dw_transport_write(r->base.transport, text, sizeof(text));
    if (o->skips) {
        dw_int_string_receiver_skip_string(r);
    } else if (!o->keeps) {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_int_string_receiver_connection_lost(protocol, reason);
}

static void destroy(dw_protocol *protocol) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_int_string_receiver_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_int_string_receiver_class obeyer_class = {
    .base = {.name = "obeyer",
             .data_received = dw_int_string_receiver_data_received,
             .connection_lost = connection_lost,
             .destroy = destroy},
    .string_received = string_received,
    .length_limit_exceeded = length_limit_exceeded,
};

static dw_protocol *obeyer_new(dw_reactor *reactor) {
    struct obeyer *o = dw_new(reactor, struct obeyer);
    if (o == NULL) {
        return NULL;
    }
    dw_int_string_receiver_init(&o->base, &obeyer_class, DW_INT8);
    o->reactor = reactor;
    o->base.max_length = 40;
    return &o->base.base;
}

DW_FUZZ_PROTOCOL(obeyer_new)
