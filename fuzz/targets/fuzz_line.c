/* SPDX-License-Identifier: MIT */
/*
 * The line receiver against any bytes, cut in any way. It obeys its lines, so that an input reaches
 * every verb from inside a callback, and answers each line, so that whatever is delivered shows in
 * what it writes. What sees the cuts by its nature is left to the unit tests: clear_line_buffer and
 * extra bytes from a line's callback; abort and fail, which drop answers that were not sent yet; a
 * pause during which the connection may break.
 */
#include <drywire/fuzz.h>
#include <drywire/line.h>

struct obeyer {
    dw_line_receiver base; /* first */
    dw_reactor *reactor;
    dw_delayed_call resume;
    size_t raw_left;
    char delimiter;
    char when_long; /* what to do about a long line */
};

static struct obeyer *obeyer_of(dw_line_receiver *r) {
    return (struct obeyer *)(void *)r;
}

static void answer(struct obeyer *o, const char *kind, const void *data, size_t len) {
    dw_transport_write(o->base.base.transport, kind, 1);
    dw_transport_write(o->base.base.transport, data, len);
    dw_transport_write(o->base.base.transport, "\n", 1);
}

static void resume(void *user) {
    dw_line_receiver_resume_producing(user);
}

/* What needs an argument: the byte behind the command. */
static void obey_with(struct obeyer *o, uint8_t command, uint8_t argument) {
    switch (command) {
    case 'R':
        o->raw_left = argument & 15;
        dw_line_receiver_set_raw_mode(&o->base);
        break;
    case 'M':
        o->base.max_length = argument & 31;
        break;
    case 'D':
        o->delimiter = (char)argument;
        o->base.delimiter = &o->delimiter;
        o->base.delimiter_len = 1;
        break;
    case 'W':
        o->when_long = (char)argument;
        break;
    default:
        break;
    }
}

static void obey(struct obeyer *o, uint8_t command) {
    switch (command) {
    case 'd':
        o->base.delimiter = "aab";
        o->base.delimiter_len = 3;
        break;
    case 'p':
        dw_line_receiver_pause_producing(&o->base);
        dw_reactor_call_later(o->reactor, &o->resume, 0, resume, &o->base);
        break;
    case 'n':
        dw_line_receiver_pause_producing(&o->base);
        dw_line_receiver_resume_producing(&o->base);
        break;
    case 'l':
        dw_transport_lose_connection(o->base.base.transport);
        break;
    case 's':
        dw_line_receiver_stop_producing(&o->base);
        break;
    default:
        break;
    }
}

static void line_received(dw_line_receiver *r, const uint8_t *line, size_t len) {
    struct obeyer *o = obeyer_of(r);
    answer(o, "l", line, len);
    if (len == 2) {
        obey_with(o, line[0], line[1]);
    } else if (len == 1) {
        obey(o, line[0]);
    }
}

static void raw_data_received(dw_line_receiver *r, const uint8_t *data, size_t len) {
    struct obeyer *o = obeyer_of(r);
    size_t n = len < o->raw_left ? len : o->raw_left;
    dw_transport_write(r->base.transport, data, n);
    o->raw_left -= n;
    if (o->raw_left == 0) {
        dw_line_receiver_set_line_mode(r, data + n, len - n);
    }
}

static void line_length_exceeded(dw_line_receiver *r, const uint8_t *start, size_t len) {
    struct obeyer *o = obeyer_of(r);
    answer(o, "x", start, len);
    switch (o->when_long) {
    case 's':
        dw_line_receiver_skip_line(r);
        break;
    case 'r':
        o->raw_left = 3;
        dw_line_receiver_set_raw_mode(r);
        break;
    case 'm':
        dw_line_receiver_set_line_mode(r, NULL, 0);
        break;
    case 'k':
        break;
    default:
        dw_transport_lose_connection(r->base.transport);
    }
}

static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_line_receiver_connection_lost(protocol, reason);
}

static void destroy(dw_protocol *protocol) {
    struct obeyer *o = (struct obeyer *)(void *)protocol;
    dw_delayed_call_cancel(&o->resume);
    dw_line_receiver_fini(&o->base);
    dw_free(o->reactor, o);
}

static const dw_line_receiver_class obeyer_class = {
    .base = {.name = "obeyer",
             .data_received = dw_line_receiver_data_received,
             .connection_lost = connection_lost,
             .destroy = destroy},
    .line_received = line_received,
    .raw_data_received = raw_data_received,
    .line_length_exceeded = line_length_exceeded,
};

static dw_protocol *obeyer_new(dw_reactor *reactor) {
    struct obeyer *o = dw_new(reactor, struct obeyer);
    if (o == NULL) {
        return NULL;
    }
    dw_line_receiver_init(&o->base, &obeyer_class);
    o->reactor = reactor;
    o->base.max_length = 30;
    return &o->base.base;
}

DW_FUZZ_PROTOCOL(obeyer_new)
