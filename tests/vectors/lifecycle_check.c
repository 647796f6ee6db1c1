/* SPDX-License-Identifier: MIT */
/*
 * A script is looked through before it is played: an operation, an event or a field of a side that
 * is not known makes the situation fail, even where the play would never come to it.
 */
#include "lifecycle.h"

static const char *const event_names[] = {"doStart",
                                          "startFactory",
                                          "startedConnecting",
                                          "buildProtocol",
                                          "clientConnectionFailed",
                                          "clientConnectionLost",
                                          "doStop",
                                          "stopFactory",
                                          "connectionMade",
                                          "data",
                                          "readConnectionLost",
                                          "writeConnectionLost",
                                          "connectionLost",
                                          "startProtocol",
                                          "datagramReceived",
                                          "connectionRefused",
                                          "stopProtocol",
                                          "childData",
                                          "childConnectionLost",
                                          "inConnectionLost",
                                          "outConnectionLost",
                                          "errConnectionLost",
                                          "outReceived",
                                          "errReceived",
                                          "processExited",
                                          "processEnded",
                                          "producer.resumeProducing",
                                          "producer.pauseProducing",
                                          "producer.stopProducing",
                                          "mark",
                                          "value",
                                          "flags",
                                          "addr",
                                          "connector.state",
                                          "stopListening.fired",
                                          "stopListening.none",
                                          "fire",
                                          "trigger",
                                          "released",
                                          "fromThread",
                                          "raised",
                                          "logged",
                                          "reactor.run returned"};

static bool one_of(const char *text, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static void check_operation(side *s, const json_t *args) {
    const char *op = json_string_value(json_object_get(args, "op"));
    if (op == NULL || script_operation(op) == NULL) {
        side_trouble(s, "unknown operation \"%s\"", op != NULL ? op : "?");
    }
}

/* Operations stand in lists, and inside one another as `do` and `then`. */
static void check_operations(side *s, const json_t *list) {
    size_t at;
    json_t *args;
    if (list != NULL && !json_is_array(list)) {
        side_trouble(s, "operations that are not a list");
    }
    json_array_foreach((json_t *)(uintptr_t)list, at, args) {
        check_operation(s, args);
        check_operations(s, json_object_get(args, "do"));
        check_operations(s, json_object_get(args, "then"));
    }
}

static void check_rules(side *s) {
    size_t at;
    json_t *rule;
    json_array_foreach(json_object_get(s->script, "on"), at, rule) {
        const char *on = json_string_value(json_object_get(rule, "on"));
        if (on == NULL || !one_of(on, event_names, sizeof(event_names) / sizeof(event_names[0]))) {
            side_trouble(s, "a rule on the unknown event \"%s\"", on != NULL ? on : "?");
        }
        check_operations(s, json_object_get(rule, "do"));
    }
}

void script_check(play *p) {
    static const char *const keys[] = {"start",     "before_run", "on",
                                       "halfclose", "factories",  "dispatch"};
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *s = &p->sides[i];
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)s->script, key, value) {
            if (!one_of(key, keys, sizeof(keys) / sizeof(keys[0]))) {
                side_trouble(s, "a side with the unknown field \"%s\"", key);
            }
        }
        check_operations(s, json_object_get(s->script, "before_run"));
        check_operations(s, json_object_get(s->script, "start"));
        check_rules(s);
    }
}

bool script_uses(const json_t *value, const char *key, const char *text) {
    size_t at;
    const char *name;
    json_t *inner;
    bool found = false;
    json_array_foreach((json_t *)(uintptr_t)value, at, inner) {
        found = found || script_uses(inner, key, text);
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, inner) {
        const char *own = json_string_value(inner);
        found = found || script_uses(inner, key, text) ||
                (own != NULL && strcmp(name, key) == 0 && strcmp(own, text) == 0);
    }
    return found;
}
