/* SPDX-License-Identifier: MIT */
/*
 * What the stock receivers promise without a word: however a stream is cut, the same lines and
 * strings are delivered. The program's callbacks may depend on its state, so they are not called
 * again; what a connection received is played to two receivers of the same kind, set as the
 * program's was when its first bytes came, whose callbacks only write down what they are given: one
 * gets the pieces as they came, the other all at once, and a third other pieces.
 *
 * Invariant: nothing of the program runs here. Called at the end of a run.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

/* What is delivered: for each callback a byte that says which, the length, then the bytes. */
typedef struct notes {
    uint8_t *bytes;
    size_t len, room;
} notes;

typedef struct listener {
    union {
        dw_protocol base;
        dw_line_only_receiver line_only;
        dw_line_receiver line;
        dw_netstring_receiver netstring;
        dw_int_string_receiver int_string;
    } as;
    notes notes;
} listener;

/* ---- Writing down ---- */

static void put(notes *n, const void *data, size_t len) {
    if (len == 0) {
        return;
    }
    if (len > n->room - n->len) {
        n->room = (n->len + len) * 2;
        n->bytes = realloc(n->bytes, n->room);
        if (n->bytes == NULL) {
            abort();
        }
    }
    memcpy(n->bytes + n->len, data, len);
    n->len += len;
}

static void note(void *receiver, char which, const uint8_t *data, uint64_t len) {
    notes *n = &((listener *)receiver)->notes;
    put(n, &which, 1);
    put(n, &len, sizeof(len));
    put(n, data, data != NULL ? (size_t)len : 0);
}

static void line_only_received(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    note(r, 'l', line, len);
}

static void line_only_exceeded(dw_line_only_receiver *r, const uint8_t *start, size_t len) {
    note(r, 'x', start, len);
    dw_line_only_receiver_skip_line(r);
}

static void line_received(dw_line_receiver *r, const uint8_t *line, size_t len) {
    note(r, 'l', line, len);
}

static void line_exceeded(dw_line_receiver *r, const uint8_t *start, size_t len) {
    note(r, 'x', start, len);
    dw_line_receiver_skip_line(r);
}

static void netstring_received(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    note(r, 's', string, len);
}

static void int_string_received(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
    note(r, 's', string, len);
}

static void int_string_exceeded(dw_int_string_receiver *r, uint32_t len) {
    note(r, 'x', NULL, len);
    dw_int_string_receiver_skip_string(r);
}

static const dw_line_only_receiver_class line_only_class = {
    .base = {.name = "lines", DW_LINE_ONLY_RECEIVER_SLOTS},
    .line_received = line_only_received,
    .line_length_exceeded = line_only_exceeded};

static const dw_line_receiver_class line_class = {.base = {.name = "lines", DW_LINE_RECEIVER_SLOTS},
                                                  .line_received = line_received,
                                                  .line_length_exceeded = line_exceeded};

static const dw_netstring_receiver_class netstring_class = {
    .base = {.name = "netstrings", DW_NETSTRING_RECEIVER_SLOTS},
    .string_received = netstring_received};

static const dw_int_string_receiver_class int_string_class = {
    .base = {.name = "int strings", DW_INT_STRING_RECEIVER_SLOTS},
    .string_received = int_string_received,
    .length_limit_exceeded = int_string_exceeded};

/* ---- Which, and how it is set ---- */

sim_receiver_kind sim_receiver_kind_of(const dw_protocol_class *cls) {
    if (cls->data_received == dw_line_only_receiver_data_received) {
        return RECEIVER_LINE_ONLY;
    }
    if (cls->data_received == dw_line_receiver_data_received) {
        return RECEIVER_LINE;
    }
    if (cls->data_received == dw_netstring_receiver_data_received) {
        return RECEIVER_NETSTRING;
    }
    if (cls->data_received == dw_int_string_receiver_data_received) {
        return RECEIVER_INT_STRING;
    }
    return RECEIVER_NONE;
}

static bool look_delimiter(sim_receiver *r, const char *delimiter, size_t len) {
    if (len == 0 || len > RECEIVER_DELIMITER_MAX || delimiter == NULL) {
        return false;
    }
    memcpy(r->delimiter, delimiter, len);
    r->delimiter_len = len;
    return true;
}

bool sim_receiver_look(sim_receiver *r, const dw_protocol *protocol) {
    const listener *l = (const listener *)(const void *)protocol; /* one of its union's */
    switch (r->kind) {
    case RECEIVER_LINE_ONLY:
        r->max_length = l->as.line_only.max_length;
        return look_delimiter(r, l->as.line_only.delimiter, l->as.line_only.delimiter_len);
    case RECEIVER_LINE:
        r->max_length = l->as.line.max_length;
        return l->as.line.line_mode &&
               look_delimiter(r, l->as.line.delimiter, l->as.line.delimiter_len);
    case RECEIVER_NETSTRING:
        r->max_length = l->as.netstring.max_length;
        return true;
    case RECEIVER_INT_STRING:
        r->max_length = l->as.int_string.max_length;
        r->format = (int)l->as.int_string.format;
        return true;
    case RECEIVER_NONE:
        break;
    }
    return false;
}

static void set_up(listener *l, const sim_receiver *r) {
    switch (r->kind) {
    case RECEIVER_LINE_ONLY:
        dw_line_only_receiver_init(&l->as.line_only, &line_only_class);
        l->as.line_only.delimiter = r->delimiter;
        l->as.line_only.delimiter_len = r->delimiter_len;
        l->as.line_only.max_length = r->max_length;
        break;
    case RECEIVER_LINE:
        dw_line_receiver_init(&l->as.line, &line_class);
        l->as.line.delimiter = r->delimiter;
        l->as.line.delimiter_len = r->delimiter_len;
        l->as.line.max_length = r->max_length;
        break;
    case RECEIVER_NETSTRING:
        dw_netstring_receiver_init(&l->as.netstring, &netstring_class);
        l->as.netstring.max_length = r->max_length;
        break;
    default:
        dw_int_string_receiver_init(&l->as.int_string, &int_string_class, (dw_int_format)r->format);
        l->as.int_string.max_length = r->max_length;
        break;
    }
}

/* ---- Playing ---- */

typedef enum cutting { AT_ONCE, AS_IT_CAME, OTHERWISE } cutting;

static size_t next_cut(const sim_input *in, cutting how, uint64_t salt, size_t i) {
    if (how == AS_IT_CAME && i < in->count) {
        return in->ends[i];
    }
    return how == OTHERWISE ? sim_replay_cut(in->len, salt, i) : in->len;
}

static bool listen_to(listener *l, const sim_receiver *r, const sim_input *in, cutting how,
                      uint64_t salt) {
    dw_test_transport *test = dw_test_transport_new();
    if (test == NULL) {
        return false;
    }
    set_up(l, r);
    dw_test_transport_connect(test, &l->as.base);
    for (size_t i = 0, at = 0; at < in->len && dw_test_transport_connected(test); i++) {
        size_t next = next_cut(in, how, salt, i);
        next = next < in->len ? next : in->len;
        if (next > at) {
            dw_test_transport_receive(test, in->bytes + at, next - at);
        }
        at = next;
    }
    note(l, dw_test_transport_connected(test) ? 'c' : 'e', NULL, 0); /* how it stands then */
    dw_test_transport_free(test);
    return true;
}

static bool same_notes(const notes *a, const notes *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

bool sim_receiver_holds(const sim_receiver *r, const sim_input *in, uint64_t salt,
                        sim_breach *breach) {
    listener heard[3] = {{.notes = {0}}};
    bool good = true;
    for (int how = AT_ONCE; good && how <= OTHERWISE; how++) {
        good = listen_to(&heard[how], r, in, (cutting)how, salt);
    }
    bool same = !good || (same_notes(&heard[AT_ONCE].notes, &heard[AS_IT_CAME].notes) &&
                          same_notes(&heard[AT_ONCE].notes, &heard[OTHERWISE].notes));
    for (int how = AT_ONCE; how <= OTHERWISE; how++) {
        free(heard[how].notes.bytes);
    }
    if (!same) {
        *breach =
            (sim_breach){.promise = "segmentation",
                         .sentence = "the same bytes, cut otherwise, were delivered otherwise "
                                     "by the receiver"};
    }
    return same;
}
