/* SPDX-License-Identifier: MIT */
/*
 * The part of playing that all kinds of vectors share: recording events, running the scripted
 * reactions, reading the fields of operations. See player.h.
 */
#include "rig.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- Life ---- */

void player_init(player *p, const json_t *vector) {
    memset(p, 0, sizeof(*p));
    p->config = json_object_get(vector, "config");
    p->steps = json_object_get(vector, "steps");
    p->events = json_array();
    p->counts = json_object();
    p->at = -1;
    p->accident_at = NO_ACCIDENT;
}

void player_fini(player *p) {
    json_decref(p->events);
    json_decref(p->counts);
}

void player_trouble(player *p, const char *format, ...) {
    va_list args;
    if (p->trouble[0] != '\0') {
        return;
    }
    va_start(args, format);
    vsnprintf(p->trouble, sizeof(p->trouble), format, args);
    va_end(args);
}

void player_unknown(player *p, const char *op) {
    player_trouble(p, "step %d: unknown operation \"%s\"", (int)p->at, op);
}

void player_accident(player *p) {
    p->accident_at = p->at < p->accident_at ? p->at : p->accident_at;
}

/* ---- Events ---- */

void player_note(player *p, json_t *event) {
    if (event == NULL || json_object_set_new(event, "at", json_integer(p->at)) != 0) {
        player_trouble(p, "out of memory, or text that is not UTF-8");
        json_decref(event);
        return;
    }
    if (json_array_size(p->events) >= EVENTS_MAX) {
        player_trouble(p, "more than %d events", (int)EVENTS_MAX);
        json_decref(event);
        return;
    }
    if (p->own_time) {
        json_object_set_new(event, "due", json_integer(p->rig->now));
    }
    if (p->own_time && p->running > 0) {
        json_object_set_new(event, "call", json_integer(p->running));
    }
    json_array_append_new(p->events, event);
}

json_t *event_bytes(const char *name, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * len + 1);
    if (hex == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 15];
    }
    json_t *event = json_pack("{s:s, s:s%}", "ev", name, "hex", hex, 2 * len);
    free(hex);
    return event;
}

json_t *event_reason(const char *name, const dw_reason *reason) {
    return json_pack("{s:s, s:s}", "ev", name, "reason", reason_name(reason->kind));
}

void player_raised(player *p, const char *op, const char *cls) {
    player_note(p, json_pack("{s:s, s:s, s:s}", "ev", "raised", "op", op, "cls", cls));
}

/* ---- Reactions (vectors/README.md, 1.2) ---- */

static json_int_t count_occurrence(player *p, const char *name) {
    json_int_t nth = json_integer_value(json_object_get(p->counts, name));
    json_object_set_new(p->counts, name, json_integer(nth + 1));
    return nth;
}

static bool rule_matches(const json_t *rule, const json_t *event, json_int_t nth) {
    const json_t *on = json_object_get(rule, "on");
    const json_t *only = json_object_get(rule, "nth");
    const json_t *hex = json_object_get(rule, "hex");
    return json_equal(on, json_object_get(event, "ev")) &&
           (only == NULL || json_integer_value(only) == nth) &&
           (hex == NULL || json_equal(hex, json_object_get(event, "hex")));
}

static void react(player *p, const json_t *event, json_int_t nth) {
    size_t at, op_at;
    json_t *rule, *operation;
    json_array_foreach(json_object_get(p->config, "on"), at, rule) {
        if (rule_matches(rule, event, nth)) {
            json_array_foreach(json_object_get(rule, "do"), op_at, operation) {
                player_perform(p, operation);
            }
        }
    }
}

void player_callback(player *p, json_t *event, const uint8_t *data, size_t len) {
    if (event == NULL || p->depth >= REACTIONS_MAX) {
        player_trouble(p, "%s", event == NULL ? "out of memory" : "callbacks without end");
        json_decref(event);
        return;
    }
    const uint8_t *payload = p->payload;
    size_t payload_len = p->payload_len;
    json_incref(event);
    player_note(p, event);
    json_int_t nth = count_occurrence(p, json_string_value(json_object_get(event, "ev")));
    p->payload = data;
    p->payload_len = len;
    p->depth++;
    react(p, event, nth);
    p->depth--;
    p->payload = payload;
    p->payload_len = payload_len;
    json_decref(event);
}

void player_perform(player *p, const json_t *operation) {
    const char *op = arg_text(p, operation, "op");
    if (p->trouble[0] == '\0') {
        p->perform(p, op, operation);
    }
}

void player_run(player *p) {
    size_t at;
    json_t *step;
    json_array_foreach(p->steps, at, step) {
        p->at = (json_int_t)at;
        p->running = 0;
        player_perform(p, step);
    }
}

/* ---- Fields ---- */

const char *arg_text(player *p, const json_t *args, const char *key) {
    const char *text = json_string_value(json_object_get(args, key));
    if (text == NULL) {
        player_trouble(p, "step %d: an operation lacks the text \"%s\"", (int)p->at, key);
        return "";
    }
    return text;
}

double arg_number(player *p, const json_t *args, const char *key) {
    const json_t *value = json_object_get(args, key);
    if (!json_is_number(value)) {
        player_trouble(p, "step %d: an operation lacks the number \"%s\"", (int)p->at, key);
        return 0;
    }
    return json_number_value(value);
}

bool arg_null(const json_t *args, const char *key) {
    const json_t *value = json_object_get(args, key);
    return value == NULL || json_is_null(value);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *hex, bytes *out) {
    size_t len = strlen(hex) / 2;
    *out = (bytes){malloc(len + 1), len};
    bool good = out->data != NULL && strlen(hex) % 2 == 0;
    for (size_t i = 0; good && i < len; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        good = high >= 0 && low >= 0;
        out->data[i] = good ? (uint8_t)(high * 16 + low) : 0;
    }
    if (!good) {
        bytes_free(out);
    }
    return good;
}

static bytes filled(player *p, const json_t *args) {
    bytes one = {NULL, 0};
    double n = arg_number(p, args, "n");
    if (!hex_decode(arg_text(p, args, "fill"), &one) || one.len != 1 || n < 0 || n > 1e8) {
        player_trouble(p, "step %d: bad \"fill\" or \"n\"", (int)p->at);
        bytes_free(&one);
        return one;
    }
    bytes b = {malloc((size_t)n + 1), (size_t)n};
    if (b.data != NULL) {
        memset(b.data, one.data[0], b.len);
    } else {
        player_trouble(p, "out of memory");
        b.len = 0;
    }
    bytes_free(&one);
    return b;
}

bytes arg_bytes(player *p, const json_t *args) {
    bytes b = {NULL, 0};
    const json_t *hex = json_object_get(args, "hex");
    if (hex == NULL && json_object_get(args, "fill") != NULL) {
        return filled(p, args);
    }
    if (hex != NULL && (!json_is_string(hex) || !hex_decode(json_string_value(hex), &b))) {
        player_trouble(p, "step %d: bad \"hex\"", (int)p->at);
    }
    return b;
}

void bytes_free(bytes *b) {
    free(b->data);
    *b = (bytes){NULL, 0};
}

size_t arg_pieces(player *p, const json_t *args, bytes pieces[PIECES_MAX]) {
    size_t at;
    json_t *hex;
    const json_t *list = json_object_get(args, "hex");
    if (!json_is_array(list) || json_array_size(list) > PIECES_MAX) {
        player_trouble(p, "step %d: \"hex\" of writeSequence is a short list", (int)p->at);
        return 0;
    }
    json_array_foreach(list, at, hex) {
        if (!json_is_string(hex) || !hex_decode(json_string_value(hex), &pieces[at])) {
            player_trouble(p, "step %d: bad \"hex\"", (int)p->at);
            pieces[at] = (bytes){NULL, 0};
        }
    }
    return json_array_size(list);
}

size_t config_size(const player *p, const char *key, size_t otherwise) {
    const json_t *value = json_object_get(p->config, key);
    return json_is_integer(value) ? (size_t)json_integer_value(value) : otherwise;
}

const char *config_text(const player *p, const char *key, const char *otherwise) {
    const char *text = json_string_value(json_object_get(p->config, key));
    return text != NULL ? text : otherwise;
}

bool config_flag(const player *p, const char *key) {
    const json_t *value = json_object_get(p->config, key);
    return value != NULL && !json_is_false(value) && !json_is_null(value);
}

/* ---- Names ---- */

static const struct {
    const char *name;
    dw_error kind;
} reasons[] = {
    {"ConnectionDone", DW_CONNECTION_DONE},
    {"ConnectionLost", DW_CONNECTION_LOST},
    {"ConnectionAborted", DW_CONNECTION_ABORTED},
    {"ConnectError", DW_CONNECT_ERROR},
    {"ConnectionRefusedError", DW_CONNECTION_REFUSED},
    {"TimeoutError", DW_TIMEOUT},
    {"UserError", DW_USER_ERROR},
    {"DNSLookupError", DW_DNS_LOOKUP},
    {"ConnectBindError", DW_CONNECT_BIND_ERROR},
    {"NoRouteError", DW_NO_ROUTE},
    {"TCPTimedOutError", DW_TCP_TIMED_OUT},
};

const char *reason_name(dw_error kind) {
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].kind == kind) {
            return reasons[i].name;
        }
    }
    return dw_error_name(kind);
}

dw_error reason_kind(player *p, const char *name) {
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reasons[i].name, name) == 0) {
            return reasons[i].kind;
        }
    }
    player_trouble(p, "step %d: unknown reason \"%s\"", (int)p->at, name);
    return DW_CONNECTION_LOST;
}

static const struct {
    const char *protocol;
    play_fn play;
} plays[] = {
    {"task.Clock", play_clock},
    {"task.LoopingCall", play_looping_call},
    {"Connector", play_connector},
    {"ReconnectingClientFactory", play_reconnecting},
    {"LineOnlyReceiver", play_line},
    {"LineReceiver", play_line},
    {"NetstringReceiver", play_string},
    {"Int8StringReceiver", play_string},
    {"Int16StringReceiver", play_string},
    {"Int32StringReceiver", play_string},
    {"StatefulProtocol/A", play_stateful},
    {"StatefulProtocol/B", play_stateful},
    {"StatefulProtocol/C", play_stateful},
    {"StatefulStringProtocol", play_string},
    {"TimeoutMixin", play_timeout},
    {"TimeoutMixin/LineReceiver", play_line},
    {"ThrottlingFactory", play_policy},
    {"LimitTotalConnectionsFactory", play_policy},
    {"TimeoutFactory", play_policy},
    {"WrappingFactory", play_policy},
};

play_fn play_of(const char *protocol) {
    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        if (strcmp(plays[i].protocol, protocol) == 0) {
            return plays[i].play;
        }
    }
    return NULL;
}
