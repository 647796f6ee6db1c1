/* SPDX-License-Identifier: MIT */
/*
 * A line receiver that obeys commands in the lines it gets, so that a stream says what happens in
 * which callback; what it is told goes into the rig's log. Included by test_line.c and its kin.
 */
#ifndef DRYWIRE_TESTS_LINE_PROBE_H
#define DRYWIRE_TESTS_LINE_PROBE_H

#include "framing_rig.h"

#include <drywire/line.h>

struct probe {
    dw_line_receiver base; /* first */
    dw_reactor *reactor;
    size_t raw_left;
    size_t max_length;
    unsigned skip_long : 1, raw_after_long : 1, lines_after_long : 1, keep_long : 1;
    char raw[64];
};

static struct probe *probe_of(dw_line_receiver *r) {
    return (struct probe *)(void *)r;
}

static inline bool is(const uint8_t *line, size_t len, const char *word) {
    return len == strlen(word) && memcmp(line, word, len) == 0;
}

static inline void close_as_told(dw_transport *t, const uint8_t *line, size_t len) {
    if (is(line, len, "lose")) {
        dw_transport_lose_connection(t);
    } else if (is(line, len, "abort")) {
        dw_transport_abort_connection(t);
    } else if (is(line, len, "fail")) {
        dw_transport_fail(t, &(dw_reason){DW_APP_ERROR, 0, "told to"});
    }
}

static inline void probe_line(dw_line_receiver *r, const uint8_t *line, size_t len) {
    rig_bytes("line", line, len);
    close_as_told(r->base.transport, line, len);
    if (len == 5 && memcmp(line, "raw ", 4) == 0) {
        probe_of(r)->raw_left = (size_t)(line[4] - '0');
        dw_line_receiver_set_raw_mode(r);
    } else if (is(line, len, "pause")) {
        dw_line_receiver_pause_producing(r);
    } else if (is(line, len, "nap")) {
        dw_line_receiver_pause_producing(r);
        dw_line_receiver_resume_producing(r);
    } else if (is(line, len, "stop")) {
        dw_line_receiver_stop_producing(r);
    } else if (is(line, len, "twice")) {
        dw_line_receiver_set_line_mode(r, "one\r\ntwo\r\n", 10);
        ck_assert(is(line, len, "twice"));
    } else if (is(line, len, "max 3")) {
        r->max_length = 3;
    } else if (is(line, len, "slash")) {
        r->delimiter = "/";
        r->delimiter_len = 1;
    } else if (is(line, len, "empty delimiter")) {
        r->delimiter_len = 0;
    } else if (is(line, len, "echo")) {
        dw_line_receiver_send_line(r, line, len);
    }
}

/* Notes the bytes that were asked for, however they were cut, and gives back the others. */
static inline void probe_raw(dw_line_receiver *r, const uint8_t *data, size_t len) {
    struct probe *p = probe_of(r);
    size_t n = len < p->raw_left ? len : p->raw_left;
    ck_assert_uint_gt(len, 0);
    strncat(p->raw, (const char *)data, n);
    p->raw_left -= n;
    if (p->raw_left == 0) {
        rig_bytes("raw", (const uint8_t *)p->raw, strlen(p->raw));
        p->raw[0] = '\0';
        dw_line_receiver_set_line_mode(r, data + n, len - n);
    }
}

static inline void probe_exceeded(dw_line_receiver *r, const uint8_t *start, size_t len) {
    struct probe *p = probe_of(r);
    rig_bytes("long", start, len);
    if (p->skip_long) {
        dw_line_receiver_skip_line(r);
    } else if (p->raw_after_long) {
        p->raw_left = 4;
        dw_line_receiver_set_raw_mode(r);
    } else if (p->lines_after_long) {
        dw_line_receiver_set_line_mode(r, NULL, 0);
    } else if (!p->keep_long) {
        dw_transport_lose_connection(r->base.transport);
    }
}

static inline void probe_destroy(dw_protocol *protocol) {
    struct probe *p = (struct probe *)(void *)protocol;
    dw_line_receiver_fini(&p->base);
    dw_free(p->reactor, p);
}

static const dw_line_receiver_class probe_class = {
    .base = {.name = "probe", DW_LINE_RECEIVER_SLOTS, .destroy = probe_destroy},
    .line_received = probe_line,
    .raw_data_received = probe_raw,
    .line_length_exceeded = probe_exceeded,
};

static struct probe options; /* what the next ones get */

static inline dw_protocol *probe_make(dw_reactor *reactor) {
    struct probe *p = dw_new(reactor, struct probe);
    *p = options;
    dw_line_receiver_init(&p->base, &probe_class);
    p->reactor = reactor;
    p->base.max_length = options.max_length > 0 ? options.max_length : 20;
    return &p->base.base;
}

static inline void resume(dw_protocol *protocol) {
    dw_line_receiver_resume_producing((dw_line_receiver *)(void *)protocol);
}

static inline void expect(const char *stream, const char *expected) {
    rig_play play = {.make = probe_make, .stream = stream, .len = strlen(stream), .after = resume};
    rig_expect(play, expected);
}

static struct probe *live;

static inline void connect_live(void) {
    rig_log[0] = '\0';
    rig_test = dw_test_transport_new();
    live = (struct probe *)(void *)probe_make(dw_test_transport_reactor(rig_test));
    dw_test_transport_connect(rig_test, &live->base.base);
}

static inline void receive(const char *text) {
    dw_test_transport_receive(rig_test, text, strlen(text));
}

#endif
