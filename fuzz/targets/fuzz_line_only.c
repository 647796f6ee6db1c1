/* SPDX-License-Identifier: MIT */
/*
 * The line-only receiver against any bytes, cut in any way. It obeys its lines and answers each, so
 * that whatever is delivered shows in what it writes.
 */
#include <drywire/fuzz.h>
#include <drywire/line.h>

struct obeyer {
    dw_line_only_receiver base; /* first */
    dw_reactor *reactor;
    char when_long; /* what to do about a long line */
};

static void line_received(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    struct obeyer *o = (struct obeyer *)(void *)r;
    dw_line_only_receiver_send_line(r, line, len);
    if (len == 2 && line[0] == 'M') {
        r->max_length = line[1] & 31;
    } else if (len == 2 && line[0] == 'W') {
        o->when_long = (char)line[1];
    } else if (len == 1 && line[0] == 'd') {
        r->delimiter = "aab";
        r->delimiter_len = 3;
    } else if (len == 1 && line[0] == 'n') {
        r->delimiter = "\n";
        r->delimiter_len = 1;
    } else if (len == 1 && line[0] == 'l') {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void line_length_exceeded(dw_line_only_receiver *r, const uint8_t *start, size_t len) {
    struct obeyer *o = (struct obeyer *)(void *)r;
    dw_transport_write(r->base.transport, "long ", 5);
    dw_line_only_receiver_send_line(r, start, len);
    if (o->when_long == 's') {
        dw_line_only_receiver_skip_line(r);
    } else if (o->when_long != 'k') {
        dw_transport_lose_connection(r->base.transport);
    }
}

static void destroy(dw_protocol *protocol) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_line_only_receiver_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_line_only_receiver_class obeyer_class = {
    .base = {.name = "obeyer", DW_LINE_ONLY_RECEIVER_SLOTS, .destroy = destroy},
    .line_received = line_received,
    .line_length_exceeded = line_length_exceeded,
};

static dw_protocol *obeyer_new(dw_reactor *reactor) {
    struct obeyer *o = dw_new(reactor, struct obeyer);
    if (o == NULL) {
        return NULL;
    }
    dw_line_only_receiver_init(&o->base, &obeyer_class);
    o->reactor = reactor;
    o->base.max_length = 20;
    return &o->base.base;
}

DW_FUZZ_PROTOCOL(obeyer_new)
