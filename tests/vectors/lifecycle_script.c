/* SPDX-License-Identifier: MIT */
/*
 * What all themes share: recording events, running the rules on them, performing operations, and
 * exceptions, which C does not have. `raise` sets side.raised; operations and rules then stop, up
 * to the callback of the library that they run in, which reports it as C can (side_caught).
 */
#include "lifecycle.h"

#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>

/* ---- Trouble ---- */

static void say(play *p, char text[TROUBLE_MAX], const char *format, va_list args) {
    pthread_mutex_lock(&p->lock);
    if (text[0] == '\0') {
        vsnprintf(text, TROUBLE_MAX, format, args);
    }
    pthread_mutex_unlock(&p->lock);
}

void side_trouble(side *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(s->p, s->p->trouble, format, args);
    va_end(args);
}

void side_missing(side *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(s->p, s->p->missing, format, args);
    va_end(args);
}

bool play_over(const play *p) {
    return p->trouble[0] != '\0' || p->missing[0] != '\0';
}

/* ---- Payloads ---- */

static char *hex_of(const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * len + 1);
    for (size_t i = 0; hex != NULL && i < len; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 15];
    }
    if (hex != NULL) {
        hex[2 * len] = '\0';
    }
    return hex;
}

void payload_set(json_t *event, const uint8_t *data, size_t len) {
    if (len <= PAYLOAD_SHOWN) {
        char *hex = hex_of(data, len);
        json_object_set_new(event, "hex", json_string(hex != NULL ? hex : "?"));
        free(hex);
        return;
    }
    char crc[9];
    snprintf(crc, sizeof(crc), "%08lx", crc32(0, data, (uInt)len));
    json_object_set_new(event, "len", json_integer((json_int_t)len));
    json_object_set_new(event, "crc32", json_string(crc));
}

/* ---- Events ---- */

static noted *add_event(side *s, json_t *json) {
    if (s->count == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 64;
        noted *grown = room <= EVENTS_MAX ? realloc(s->events, room * sizeof(*grown)) : NULL;
        if (grown == NULL) {
            side_trouble(s, "%s: more than %d events, or out of memory", s->name, (int)EVENTS_MAX);
            json_decref(json);
            return NULL;
        }
        s->events = grown;
        s->room = room;
    }
    s->events[s->count] = (noted){.json = json};
    return &s->events[s->count++];
}

static bool append_data(noted *e, const uint8_t *data, size_t len) {
    if (e->len + len > e->room) {
        size_t room = 2 * (e->len + len);
        uint8_t *grown = realloc(e->data, room);
        if (grown == NULL) {
            return false;
        }
        e->data = grown;
        e->room = room;
    }
    memcpy(e->data + e->len, data, len);
    e->len += len;
    return true;
}

json_t *side_list(side *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < s->count; i++) {
        noted *e = &s->events[i];
        if (e->stream) {
            payload_set(e->json, e->data, e->len);
        }
        json_array_append(list, e->json);
    }
    return list;
}

/* ---- Rules ---- */

static const struct {
    const char *field, *value;
} defaults[] = {{"f", "f0"}, {"k", "k0"}, {"q", "q0"}, {"u", "u0"}, {"x", "x0"}};

/* A field that is left out has its default value (README, 2.3). */
static bool field_is(const json_t *event, const char *field, const json_t *wanted) {
    const json_t *value = json_object_get(event, field);
    if (value != NULL) {
        return json_equal(value, wanted);
    }
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (strcmp(defaults[i].field, field) == 0) {
            const char *text = json_string_value(wanted);
            return text != NULL && strcmp(text, defaults[i].value) == 0;
        }
    }
    return strcmp(field, "c") == 0 && json_is_integer(wanted) && json_integer_value(wanted) == 0;
}

static bool is_condition(const char *key) {
    return strcmp(key, "on") != 0 && strcmp(key, "nth") != 0 && strcmp(key, "total") != 0 &&
           strcmp(key, "do") != 0;
}

static bool rule_matches(const json_t *rule, const json_t *event, json_int_t nth) {
    const json_t *only = json_object_get(rule, "nth");
    const char *key;
    json_t *value;
    if (!json_equal(json_object_get(rule, "on"), json_object_get(event, "ev")) ||
        (only != NULL && json_integer_value(only) != nth)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)rule, key, value) {
        if (is_condition(key) && !field_is(event, key, value)) {
            return false;
        }
    }
    return true;
}

/* Once per connection or descriptor, when it has received so much. */
static bool total_reached(const context *ctx, const json_t *event, const json_t *rule, size_t at) {
    const json_t *total = json_object_get(rule, "total");
    json_int_t fd = json_integer_value(json_object_get(event, "fd"));
    if (total == NULL) {
        return true;
    }
    size_t received = 0;
    json_t **fired = NULL;
    if (json_object_get(event, "fd") != NULL && ctx->x != NULL && fd >= 0 && fd < 64) {
        received = ctx->x->received[fd];
        fired = &ctx->x->fired;
    } else if (ctx->c != NULL) {
        received = ctx->c->received;
        fired = &ctx->c->fired;
    }
    if (fired == NULL || received < (size_t)json_integer_value(total)) {
        return false;
    }
    char key[48];
    snprintf(key, sizeof(key), "%zu/%d", at, (int)fd);
    if (*fired == NULL) {
        *fired = json_object();
    }
    bool first = json_object_get(*fired, key) == NULL;
    json_object_set_new(*fired, key, json_true());
    return first;
}

static json_int_t count_occurrence(side *s, const json_t *event) {
    const char *name = json_string_value(json_object_get(event, "ev"));
    json_int_t nth = json_integer_value(json_object_get(s->counts, name));
    json_object_set_new(s->counts, name, json_integer(nth + 1));
    return nth;
}

static void run_rules(const context *ctx, const json_t *event) {
    side *s = ctx->s;
    json_int_t nth = count_occurrence(s, event);
    size_t at;
    json_t *rule;
    if (s->callbacks_deep >= CALLBACKS_MAX) {
        side_trouble(s, "%s: callbacks inside callbacks without end", s->name);
        return;
    }
    s->callbacks_deep++;
    json_array_foreach(json_object_get(s->script, "on"), at, rule) {
        if (!s->raised && rule_matches(rule, event, nth) && total_reached(ctx, event, rule, at)) {
            side_perform(ctx, json_object_get(rule, "do"));
        }
    }
    s->callbacks_deep--;
}

/* A callback, or a timer, begins: what others wrote has left. */
static void settle(side *s) {
    if (s->operations_deep > 0 || s->callbacks_deep > 0) {
        return;
    }
    for (size_t i = 0; i < s->conn_count; i++) {
        s->conns[i]->settled = s->conns[i]->sent_len;
    }
}

static bool deaf(const side *s) {
    return s->muted || play_over(s->p);
}

void side_mute(side *s) {
    side_sync(s);
    s->muted = true;
}

bool side_note(const context *ctx, json_t *event) {
    side *s = ctx->s;
    atomic_fetch_add(&s->activity, 1);
    settle(s);
    side_sync(s);
    if (event == NULL || deaf(s)) {
        json_decref(event);
        return true;
    }
    if (add_event(s, event) != NULL) {
        run_rules(ctx, event);
    }
    return !s->raised;
}

bool side_note_data(const context *ctx, json_t *json, const uint8_t *data, size_t len) {
    side *s = ctx->s;
    atomic_fetch_add(&s->activity, 1);
    settle(s);
    side_sync(s);
    if (json == NULL || deaf(s)) {
        json_decref(json);
        return true;
    }
    noted *last = s->count > 0 ? &s->events[s->count - 1] : NULL;
    if (last != NULL && last->stream && json_equal(last->json, json)) {
        json_decref(json);
    } else {
        last = add_event(s, json);
    }
    if (last != NULL) {
        last->stream = true;
        if (!append_data(last, data, len)) {
            side_trouble(s, "out of memory");
        }
        json = json_incref(last->json);
        run_rules(ctx, json);
        json_decref(json);
    }
    return !s->raised;
}

/* ---- Exceptions ---- */

bool side_caught(side *s) {
    bool here = s->raised && s->operations_deep == 0;
    if (here) {
        s->raised = false;
    }
    return here;
}

bool side_swallow(side *s) {
    bool raised = s->raised;
    s->raised = false;
    return raised;
}

void side_accident(side *s) {
    s->accident = s->count < s->accident ? s->count : s->accident;
}

void side_raise_from(const context *ctx, const json_t *args, const char *cls) {
    side_note(ctx, json_pack("{s:s, s:s, s:s}", "ev", "raised", "op",
                             op_text(ctx, args, "op", NULL), "cls", cls));
}

void side_result(const context *ctx, const json_t *args, int result) {
    if (result == DW_UNSUPPORTED) {
        side_missing(ctx->s, "needs an operation that this backend answers DW_UNSUPPORTED to: %s",
                     op_text(ctx, args, "op", NULL));
    } else if (result < 0) {
        side_raise_from(ctx, args, error_class(op_text(ctx, args, "op", NULL), result));
    }
}

/* ---- Operations ---- */

static const operation *const tables[] = {
    stream_operations,   producer_operations, port_operations,  connector_operations,
    datagram_operations, process_operations,  clock_operations, reactor_operations,
};

const operation *script_operation(const char *name) {
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const operation *o = tables[i]; o->name != NULL; o++) {
            if (strcmp(o->name, name) == 0) {
                return o;
            }
        }
    }
    return NULL;
}

static void perform(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    const operation *o = script_operation(op_text(ctx, args, "op", ""));
    if (o == NULL) {
        side_trouble(s, "unknown operation \"%s\"", op_text(ctx, args, "op", ""));
        return;
    }
    s->operations_deep++;
    o->perform(ctx, args);
    s->operations_deep--;
    if (s->raised && op_flag(args, "catch")) {
        s->raised = false;
        side_raise_from(ctx, args, "AppError");
    }
    side_sync(s);
}

void side_perform(const context *ctx, const json_t *operations) {
    size_t at;
    json_t *args;
    settle(ctx->s);
    json_array_foreach((json_t *)(uintptr_t)operations, at, args) {
        if (ctx->s->raised || deaf(ctx->s)) {
            return;
        }
        perform(ctx, args);
    }
}
