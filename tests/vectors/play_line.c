/* SPDX-License-Identifier: MIT */
/*
 * LineOnlyReceiver, LineReceiver, and LineReceiver with a time-out that each line sets back
 * (vectors/README.md, 1.5).
 */
#include "session.h"

#include "drywire/line.h"

enum { DELIMITERS_MAX = 64 };

typedef struct lines {
    session session; /* first */
    dw_line_receiver receiver;
    dw_line_only_receiver only;
    bool is_only, resets_timeout;
    json_int_t raw_left;              /* bytes before rawDone; -1: not counted */
    bytes delimiters[DELIMITERS_MAX]; /* all that were in use; the receiver borrows them */
    size_t delimiter_count;
} lines;

static lines *lines_of(dw_line_receiver *r) {
    return DW_CONTAINER_OF(r, lines, receiver);
}

static lines *lines_of_only(dw_line_only_receiver *r) {
    return DW_CONTAINER_OF(r, lines, only);
}

static lines *lines_of_protocol(dw_protocol *protocol, bool only) {
    return only ? DW_CONTAINER_OF(protocol, lines, only.base)
                : DW_CONTAINER_OF(protocol, lines, receiver.base);
}

/* ---- LineReceiver ---- */

static void made(dw_protocol *protocol) {
    session_made(&lines_of_protocol(protocol, false)->session);
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(&lines_of_protocol(protocol, false)->session, reason);
    dw_line_receiver_connection_lost(protocol, reason);
}

static void data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    lines *l = lines_of_protocol(protocol, false);
    if (config_flag(l->session.player, "reset_on_data")) {
        dw_timeout_reset(&l->session.timeout);
    }
    dw_line_receiver_data_received(protocol, data, len);
}

static void line(dw_line_receiver *r, const uint8_t *data, size_t len) {
    lines *l = lines_of(r);
    session_bytes(&l->session, "line", data, len);
    if (l->resets_timeout) {
        dw_timeout_reset(&l->session.timeout);
    }
}

static void raw(dw_line_receiver *r, const uint8_t *data, size_t len) {
    lines *l = lines_of(r);
    session_bytes(&l->session, "raw", data, len);
    if (l->raw_left < 0) {
        return;
    }
    size_t take = (json_int_t)len < l->raw_left ? len : (size_t)l->raw_left;
    l->raw_left -= (json_int_t)take;
    if (l->raw_left == 0) {
        l->raw_left = -1;
        player_callback(l->session.player, json_pack("{s:s}", "ev", "rawDone"), NULL, 0);
        dw_line_receiver_set_line_mode(r, data + take, len - take);
    }
}

static void exceeded(dw_line_receiver *r, const uint8_t *data, size_t len) {
    session *s = &lines_of(r)->session;
    session_bytes(s, "lengthExceeded", data, len);
    session_exceeded(s);
}

static const dw_line_receiver_class line_class = {
    .base = {.name = "lines",
             .connection_made = made,
             .data_received = data_received,
             .connection_lost = lost},
    .line_received = line,
    .raw_data_received = raw,
    .line_length_exceeded = exceeded,
};

/* ---- LineOnlyReceiver ---- */

static void only_made(dw_protocol *protocol) {
    session_made(&lines_of_protocol(protocol, true)->session);
}

static void only_lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(&lines_of_protocol(protocol, true)->session, reason);
    dw_line_only_receiver_connection_lost(protocol, reason);
}

static void only_line(dw_line_only_receiver *r, const uint8_t *data, size_t len) {
    session_bytes(&lines_of_only(r)->session, "line", data, len);
}

static void only_exceeded(dw_line_only_receiver *r, const uint8_t *data, size_t len) {
    session *s = &lines_of_only(r)->session;
    session_bytes(s, "lengthExceeded", data, len);
    session_exceeded(s);
}

static const dw_line_only_receiver_class only_class = {
    .base = {.name = "lines only",
             .connection_made = only_made,
             .data_received = dw_line_only_receiver_data_received,
             .connection_lost = only_lost},
    .line_received = only_line,
    .line_length_exceeded = only_exceeded,
};

/* ---- Operations ---- */

static void send_line(lines *l, const uint8_t *data, size_t len) {
    recording_call_begin(&l->session.recording);
    if (l->is_only) {
        dw_line_only_receiver_send_line(&l->only, data, len);
    } else {
        dw_line_receiver_send_line(&l->receiver, data, len);
    }
    recording_call_end(&l->session.recording);
}

static void send_given_line(lines *l, const json_t *args) {
    bytes b = arg_bytes(l->session.player, args);
    send_line(l, b.data, b.len);
    bytes_free(&b);
}

static void set_delimiter(lines *l, const char *hex) {
    bytes b = {NULL, 0};
    if (l->delimiter_count == DELIMITERS_MAX || !hex_decode(hex, &b) || b.len == 0) {
        player_trouble(l->session.player, "bad delimiter \"%s\"", hex);
        bytes_free(&b);
        return;
    }
    l->delimiters[l->delimiter_count++] = b;
    l->receiver.delimiter = l->only.delimiter = (const char *)b.data;
    l->receiver.delimiter_len = l->only.delimiter_len = b.len;
}

static void set_max_length(lines *l, size_t max_length) {
    l->receiver.max_length = l->only.max_length = max_length;
}

static void set_raw_mode(lines *l, const json_t *args) {
    const json_t *n = json_object_get(args, "n");
    l->raw_left = json_is_integer(n) ? json_integer_value(n) : -1;
    dw_line_receiver_set_raw_mode(&l->receiver);
}

static void set_line_mode(lines *l, const json_t *args) {
    bytes b = arg_bytes(l->session.player, args);
    dw_line_receiver_set_line_mode(&l->receiver, b.data, b.len);
    bytes_free(&b);
}

static void clear_line_buffer(lines *l) {
    size_t len;
    const uint8_t *data = dw_line_receiver_clear_line_buffer(&l->receiver, &len);
    player_note(l->session.player, event_bytes("cleared", data, len));
}

static dw_line_receiver *receiver_of(session *s) {
    return &((lines *)(void *)s)->receiver;
}

static void flow_pause(session *s) {
    dw_line_receiver_pause_producing(receiver_of(s));
}

static void flow_resume(session *s) {
    dw_line_receiver_resume_producing(receiver_of(s));
}

static void flow_stop(session *s) {
    dw_line_receiver_stop_producing(receiver_of(s));
}

static bool mode_perform(lines *l, const char *op, const json_t *args) {
    static const flow_verbs verbs = {flow_pause, flow_resume, flow_stop};
    if (l->is_only) {
        return false;
    }
    if (strcmp(op, "setRawMode") == 0) {
        set_raw_mode(l, args);
    } else if (strcmp(op, "setLineMode") == 0) {
        set_line_mode(l, args);
    } else if (strcmp(op, "clearLineBuffer") == 0) {
        clear_line_buffer(l);
    } else {
        return session_flow(&l->session, &verbs, op);
    }
    return true;
}

static void line_perform(player *p, const char *op, const json_t *args) {
    lines *l = p->object;
    if (strcmp(op, "sendLine") == 0) {
        send_given_line(l, args);
    } else if (strcmp(op, "echo") == 0) {
        send_line(l, p->payload, p->payload_len);
    } else if (strcmp(op, "setMaxLength") == 0) {
        set_max_length(l, (size_t)arg_number(p, args, "n"));
    } else if (strcmp(op, "setDelimiter") == 0) {
        set_delimiter(l, arg_text(p, args, "hex"));
    } else if (!mode_perform(l, op, args) && !session_perform(&l->session, op, args)) {
        player_unknown(p, op);
    }
}

void play_line(player *p, const char *protocol) {
    lines *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        player_trouble(p, "out of memory");
        return;
    }
    l->is_only = strcmp(protocol, "LineOnlyReceiver") == 0;
    l->resets_timeout = strncmp(protocol, "TimeoutMixin/", 13) == 0;
    l->raw_left = -1;
    l->session.player = p;
    dw_line_receiver_init(&l->receiver, &line_class);
    dw_line_only_receiver_init(&l->only, &only_class);
    set_delimiter(l, config_text(p, "delimiter", "0d0a"));
    set_max_length(l, config_size(p, "max_length", DW_LINE_MAX_LENGTH_DEFAULT));
    if (p->trouble[0] == '\0') {
        session_play(&l->session, p, l->is_only ? &l->only.base : &l->receiver.base, line_perform);
    }
    for (size_t i = 0; i < l->delimiter_count; i++) {
        bytes_free(&l->delimiters[i]);
    }
    free(l);
}
