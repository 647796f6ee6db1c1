/* SPDX-License-Identifier: MIT */
/*
 * NetstringReceiver, Int8/16/32StringReceiver, and StatefulStringProtocol, which is mixed into a
 * NetstringReceiver (vectors/README.md, 1.5).
 */
#include "session.h"

#include "drywire/int_string.h"
#include "drywire/netstring.h"
#include "drywire/stateful.h"

typedef struct strings {
    session session; /* first */
    dw_netstring_receiver netstring;
    dw_int_string_receiver prefixed;
    bool is_prefixed, has_states;
    dw_string_dispatch dispatch;
} strings;

static strings *of_netstring(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, strings, netstring.base);
}

static strings *of_prefixed(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, strings, prefixed.base);
}

/* ---- StatefulStringProtocol: init, auth, cmd ---- */

static bool is_word(const uint8_t *data, size_t len, const char *word) {
    return len == strlen(word) && memcmp(data, word, len) == 0;
}

static const char *state_init(void *owner, const uint8_t *data, size_t len) {
    strings *s = owner;
    session_bytes(&s->session, "state.init", data, len);
    return is_word(data, len, "HELO") ? "auth" : "init";
}

static const char *state_auth(void *owner, const uint8_t *data, size_t len) {
    strings *s = owner;
    session_bytes(&s->session, "state.auth", data, len);
    return is_word(data, len, "PASS") ? "cmd" : "init";
}

static const char *state_cmd(void *owner, const uint8_t *data, size_t len) {
    strings *s = owner;
    session_bytes(&s->session, "state.cmd", data, len);
    if (is_word(data, len, "QUIT")) {
        return "done";
    }
    return is_word(data, len, "LOST") ? "nowhere" : "cmd";
}

static const dw_string_state states[] = {
    {"init", state_init}, {"auth", state_auth}, {"cmd", state_cmd}, {NULL, NULL}};

/* ---- Netstrings ---- */

static void made(dw_protocol *protocol) {
    session_made(&of_netstring(protocol)->session);
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(&of_netstring(protocol)->session, reason);
    dw_netstring_receiver_connection_lost(protocol, reason);
}

static void string(dw_netstring_receiver *r, const uint8_t *data, size_t len) {
    strings *s = of_netstring(&r->base);
    if (s->has_states) {
        dw_string_dispatch_received(&s->dispatch, r->base.transport, data, len);
    } else {
        session_bytes(&s->session, "string", data, len);
    }
}

static const dw_netstring_receiver_class netstring_class = {
    .base = {.name = "netstrings",
             .connection_made = made,
             .data_received = dw_netstring_receiver_data_received,
             .connection_lost = lost},
    .string_received = string,
};

/* ---- Strings behind a length ---- */

static void prefixed_made(dw_protocol *protocol) {
    session_made(&of_prefixed(protocol)->session);
}

static void prefixed_lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(&of_prefixed(protocol)->session, reason);
    dw_int_string_receiver_connection_lost(protocol, reason);
}

static void prefixed_string(dw_int_string_receiver *r, const uint8_t *data, size_t len) {
    session_bytes(&of_prefixed(&r->base)->session, "string", data, len);
}

static void prefixed_exceeded(dw_int_string_receiver *r, uint32_t length) {
    session *s = &of_prefixed(&r->base)->session;
    player_callback(
        s->player,
        json_pack("{s:s, s:I}", "ev", "lengthLimitExceeded", "length", (json_int_t)length), NULL,
        0);
    session_exceeded(s);
}

static const dw_int_string_receiver_class prefixed_class = {
    .base = {.name = "prefixed strings",
             .connection_made = prefixed_made,
             .data_received = dw_int_string_receiver_data_received,
             .connection_lost = prefixed_lost},
    .string_received = prefixed_string,
    .length_limit_exceeded = prefixed_exceeded,
};

/* ---- Operations ---- */

static void send_string(strings *s, const uint8_t *data, size_t len) {
    int error = 0;
    recording_call_begin(&s->session.recording);
    if (s->is_prefixed) {
        error = dw_int_string_receiver_send_string(&s->prefixed, data, len);
    } else {
        dw_netstring_receiver_send_string(&s->netstring, data, len);
    }
    recording_call_end(&s->session.recording);
    if (error != 0) {
        player_raised(s->session.player, "sendString",
                      error == DW_INVALID_ARGUMENT ? "StringTooLongError" : dw_error_name(error));
    }
}

static void flow_pause(session *base) {
    strings *s = (strings *)(void *)base;
    if (s->is_prefixed) {
        dw_int_string_receiver_pause_producing(&s->prefixed);
    } else {
        dw_netstring_receiver_pause_producing(&s->netstring);
    }
}

static void flow_resume(session *base) {
    strings *s = (strings *)(void *)base;
    if (s->is_prefixed) {
        dw_int_string_receiver_resume_producing(&s->prefixed);
    } else {
        dw_netstring_receiver_resume_producing(&s->netstring);
    }
}

static void flow_stop(session *base) {
    strings *s = (strings *)(void *)base;
    if (s->is_prefixed) {
        dw_int_string_receiver_stop_producing(&s->prefixed);
    } else {
        dw_netstring_receiver_stop_producing(&s->netstring);
    }
}

static void string_perform(player *p, const char *op, const json_t *args) {
    static const flow_verbs verbs = {flow_pause, flow_resume, flow_stop};
    strings *s = p->object;
    if (strcmp(op, "sendString") == 0) {
        bytes b = arg_bytes(p, args);
        send_string(s, b.data, b.len);
        bytes_free(&b);
    } else if (strcmp(op, "echo") == 0) {
        send_string(s, p->payload, p->payload_len);
    } else if (strcmp(op, "setMaxLength") == 0) {
        s->prefixed.max_length = s->netstring.max_length = (size_t)arg_number(p, args, "n");
    } else if (!session_flow(&s->session, &verbs, op) && !session_perform(&s->session, op, args)) {
        player_unknown(p, op);
    }
}

static dw_int_format format_of(const char *protocol) {
    if (strcmp(protocol, "Int8StringReceiver") == 0) {
        return DW_INT8;
    }
    return strcmp(protocol, "Int16StringReceiver") == 0 ? DW_INT16_BIG : DW_INT32_BIG;
}

void play_string(player *p, const char *protocol) {
    strings *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        player_trouble(p, "out of memory");
        return;
    }
    s->has_states = strcmp(protocol, "StatefulStringProtocol") == 0;
    s->is_prefixed = strncmp(protocol, "Int", 3) == 0;
    dw_string_dispatch_init(&s->dispatch, states, s);
    dw_netstring_receiver_init(&s->netstring, &netstring_class);
    dw_int_string_receiver_init(&s->prefixed, &prefixed_class, format_of(protocol));
    s->netstring.max_length = config_size(p, "max_length", DW_NETSTRING_MAX_LENGTH_DEFAULT);
    s->prefixed.max_length = config_size(p, "max_length", DW_INT_STRING_MAX_LENGTH_DEFAULT);
    session_play(&s->session, p, s->is_prefixed ? &s->prefixed.base : &s->netstring.base,
                 string_perform);
    free(s);
}
