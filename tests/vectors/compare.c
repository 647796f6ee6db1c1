/* SPDX-License-Identifier: MIT */
/*
 * Comparing events. The payload may be written as hex on one side and as length and CRC-32 on the
 * other; times agree to the nanosecond that the clock rounds to (rig.h), the delays of the
 * reconnecting factory to 1e-9 of their value (vectors/README.md, 1.7); all else is equal or not.
 */
#include "judge.h"

#include <math.h>
#include <zlib.h>

const char *const rule_texts[RULE_COUNT] = {
    [RULE_NONE] = "exactly as recorded",
    [RULE_CLOSE] = "nothing is delivered after a close inside a callback",
    [RULE_START] =
        "the length callback gets the first max_length + 1 bytes, Twisted's what is there",
    [RULE_HALF] = "a line within the limit is not too long for half a delimiter behind it",
    [RULE_CUT] = "the outcome in Twisted depends on the cuts; ours does not, and is one of them",
    [RULE_TIES] = "ties: a call moved to another's due time may run after it",
    [RULE_STOPS] = "nested connector calls: no doStop that no doStart came before",
    [RULE_LIST] = "pending: in due order; Twisted sorts its list only when it is next used",
    [RULE_QUIRK] = "quirk: an accident of Twisted's, and ours differs",
    [RULE_BROKEN] =
        "as recorded up to an undocumented accident inside Twisted's connector or factory",
    [RULE_MOVED] = "ties: a call moved to another's due time, and the calls depend on the order",
};

/* ---- Values ---- */

static bool numbers_equal(const char *key, double a, double b) {
    double slack = 0;
    if (strcmp(key, "t") == 0 || strcmp(key, "calls") == 0 || strcmp(key, "previous") == 0) {
        slack = 1e-9;
    } else if (strcmp(key, "s") == 0) {
        slack = 1e-9 * fabs(a);
    }
    return fabs(a - b) <= slack;
}

static bool values_equal(const char *key, const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) {
        return numbers_equal(key, json_number_value(a), json_number_value(b));
    }
    if (!json_is_array(a) || !json_is_array(b)) {
        return json_equal(a, b);
    }
    size_t at;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)a, at, value) {
        if (!values_equal(key, value, json_array_get(b, at))) {
            return false;
        }
    }
    return json_array_size(a) == json_array_size(b);
}

static bool is_payload_key(const char *key) {
    return strcmp(key, "hex") == 0 || strcmp(key, "len") == 0 || strcmp(key, "crc32") == 0;
}

static bool payload_matches_sum(const json_t *sum, const json_t *hex) {
    bytes b;
    char crc[9];
    if (!json_is_string(hex) || !hex_decode(json_string_value(hex), &b)) {
        return false;
    }
    snprintf(crc, sizeof(crc), "%08lx", crc32(0, b.data, (uInt)b.len));
    bool same = json_integer_value(json_object_get(sum, "len")) == (json_int_t)b.len &&
                strcmp(json_string_value(json_object_get(sum, "crc32")), crc) == 0;
    bytes_free(&b);
    return same;
}

static bool payloads_equal(const json_t *expect, const json_t *got) {
    const json_t *ours = json_object_get(got, "hex");
    if (json_is_string(json_object_get(expect, "crc32"))) {
        return payload_matches_sum(expect, ours);
    }
    const json_t *hex = json_object_get(expect, "hex");
    return hex == NULL ? ours == NULL : json_equal(hex, ours);
}

static size_t plain_keys(const json_t *event) {
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        count += !is_payload_key(key);
    }
    return count;
}

bool events_equal(const json_t *expect, const json_t *got) {
    const char *key;
    json_t *value;
    if (plain_keys(expect) != plain_keys(got) || !payloads_equal(expect, got)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)expect, key, value) {
        if (!is_payload_key(key) && !values_equal(key, value, json_object_get(got, key))) {
            return false;
        }
    }
    return true;
}

bool event_is(const json_t *event, const char *name) {
    const char *ev = json_string_value(json_object_get(event, "ev"));
    return ev != NULL && strcmp(ev, name) == 0;
}

/* ---- Lists ---- */

const char *event_show(const json_t *event, char out[SHOWN_MAX]) {
    char *text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;
    const char *what = text != NULL ? text : event != NULL ? "?" : "nothing";
    size_t len = strlen(what);
    snprintf(out, SHOWN_MAX, "%.*s%s", SHOWN_MAX - 8, what, len > SHOWN_MAX - 8 ? "..." : "");
    free(text);
    return out;
}

bool record_matches(record *r, const json_t *expect) {
    char theirs[SHOWN_MAX], ours[SHOWN_MAX];
    size_t count = json_array_size(expect), got_count = json_array_size(r->events);
    for (size_t at = 0; at < count || at < got_count; at++) {
        const json_t *event = json_array_get(expect, at);
        const json_t *got = json_array_get(r->events, at);
        if (event != NULL && got != NULL && events_equal(event, got)) {
            continue;
        }
        const json_t *step = json_object_get(got != NULL ? got : event, "at");
        snprintf(r->problem, sizeof(r->problem),
                 "event %zu, step %d:\n  expected %s\n  got      %s", at,
                 (int)json_integer_value(step), event_show(event, theirs), event_show(got, ours));
        return false;
    }
    return true;
}

bool event_is_close(const json_t *event) {
    return event_is(event, "transport.loseConnection") ||
           event_is(event, "transport.abortConnection") ||
           event_is(event, "transport.stopProducing");
}

/* ---- The limit of a line's length ---- */

static json_int_t step_of(const json_t *event) {
    return json_integer_value(json_object_get(event, "at"));
}

static bool begins_as(const json_t *expect, const json_t *got) {
    const char *theirs = json_string_value(json_object_get(expect, "hex"));
    const char *ours = json_string_value(json_object_get(got, "hex"));
    if (ours == NULL) {
        return false;
    }
    if (theirs == NULL) {
        json_int_t len = json_integer_value(json_object_get(expect, "len"));
        return len >= (json_int_t)(strlen(ours) / 2);
    }
    return strncmp(theirs, ours, strlen(ours)) == 0;
}

static bool equal_apart_from_step(const json_t *expect, const json_t *got) {
    json_t *moved = json_copy((json_t *)(uintptr_t)got);
    json_object_set(moved, "at", json_object_get(expect, "at"));
    bool same = events_equal(expect, moved);
    json_decref(moved);
    return same;
}

bool lists_alike_at_limit(const json_t *expect, const json_t *got) {
    json_int_t their_step = -2, our_step = -2; /* of the length callback */
    size_t count = json_array_size(expect);
    for (size_t at = 0; at < count; at++) {
        const json_t *a = json_array_get(expect, at), *b = json_array_get(got, at);
        if (event_is(a, "lengthExceeded") && event_is(b, "lengthExceeded") && begins_as(a, b)) {
            their_step = step_of(a);
            our_step = step_of(b);
        } else if (b == NULL ||
                   !(events_equal(a, b) || (step_of(a) == their_step && step_of(b) == our_step &&
                                            equal_apart_from_step(a, b)))) {
            return false;
        }
    }
    return count == json_array_size(got);
}

/* ---- Closing ---- */

/* What a receiver hands to its user: all but calls, their results, and what needs no bytes. */
bool event_is_delivery(const json_t *event) {
    static const char *const others[] = {
        "connectionMade", "connectionLost", "rawDone", "timeoutConnection",
        "write",          "cleared",        "raised",  "setTimeout",
    };
    const char *name = json_string_value(json_object_get(event, "ev"));
    if (name == NULL || strncmp(name, "transport.", 10) == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(name, others[i]) == 0) {
            return false;
        }
    }
    return true;
}

bool record_is_receiver(const record *r) {
    return strstr(r->protocol, "Receiver") != NULL || strncmp(r->protocol, "Stateful", 8) == 0;
}

bool record_keeps_promise(record *r) {
    size_t at;
    json_t *event;
    bool closed = false;
    json_array_foreach(r->events, at, event) {
        if (closed && event_is_delivery(event)) {
            char ours[SHOWN_MAX];
            snprintf(r->problem, sizeof(r->problem), "event %zu: delivered after a close: %s", at,
                     event_show(event, ours));
            return false;
        }
        closed = closed || event_is_close(event);
    }
    return true;
}

/* A delivery after the close goes, and with it all that its reactions did: the rest of its step. */
json_t *without_late_delivery(const json_t *events, bool after_limit) {
    json_t *kept = json_array();
    size_t at;
    json_t *event;
    bool closed = false;
    json_int_t dropped_step = -2;
    json_array_foreach((json_t *)(uintptr_t)events, at, event) {
        json_int_t step = json_integer_value(json_object_get(event, "at"));
        if (closed && step != dropped_step && event_is_delivery(event)) {
            dropped_step = step;
        }
        if (step != dropped_step) {
            json_array_append(kept, event);
        }
        closed =
            closed || event_is_close(event) || (after_limit && event_is(event, "lengthExceeded"));
    }
    return kept;
}

json_t *without_late_close(const json_t *events) {
    json_t *kept = without_late_delivery(events, false);
    json_int_t step = -2;
    size_t last = 0, closes = 0, at;
    json_t *event;
    json_array_foreach(kept, at, event) {
        if (event_is_close(event) && (closes == 0 || step_of(event) == step)) {
            step = step_of(event);
            last = at;
            closes++;
        }
    }
    if (closes > 1 && event_is(json_array_get(kept, last), "transport.loseConnection")) {
        json_array_remove(kept, last);
    }
    return kept;
}

/* ---- Ties ---- */

/* `pending` lists the calls in order; among equals that is open too. */
static bool lists_alike(const json_t *a, const json_t *b) {
    if (event_is(a, "pending") && event_is(b, "pending")) {
        const json_t *x = json_object_get(a, "calls"), *y = json_object_get(b, "calls");
        size_t found = 0, size = json_array_size(x);
        for (size_t i = 0; i < size; i++) {
            for (size_t k = 0; k < json_array_size(y); k++) {
                found += values_equal("calls", json_array_get(x, i), json_array_get(y, k));
            }
        }
        return found == size && size == json_array_size(y);
    }
    return events_equal(a, b);
}

/* Whether the k-th of what is left may come first: it is the beginning of a delayed call that is
 * due at the same instant as the first one. */
static bool may_come_first(const json_t *rest, size_t k) {
    const json_t *first = json_array_get(rest, 0), *event = json_array_get(rest, k);
    const json_t *call = json_object_get(event, "call");
    for (size_t i = 0; i < k; i++) {
        if (json_equal(json_object_get(json_array_get(rest, i), "call"), call)) {
            return false;
        }
    }
    return k == 0 || (call != NULL && json_object_get(first, "call") != NULL &&
                      json_equal(json_object_get(event, "due"), json_object_get(first, "due")));
}

json_t *event_plain(const json_t *event) {
    json_t *copy = json_copy((json_t *)(uintptr_t)event);
    json_object_del(copy, "due");
    json_object_del(copy, "call");
    json_object_del(copy, "with");
    return copy;
}

/* Another call fires, but the expected one was due with it; if it does not come at all, the first
 * one took it away. */
static bool is_partner(const json_t *expected, const json_t *event) {
    const json_t *with = json_object_get(event, "with");
    for (size_t i = 0; event_is(expected, "fire") && i < json_array_size(with); i++) {
        if (json_equal(json_array_get(with, i), json_object_get(expected, "name"))) {
            return true;
        }
    }
    return false;
}

/* Takes what equals `expected` out of `rest`; *tie: it was not the first, or not as listed. */
static bool take_next(const json_t *expected, json_t *rest, bool *tie) {
    for (size_t k = 0; k < json_array_size(rest); k++) {
        json_t *event = event_plain(json_array_get(rest, k));
        bool same = may_come_first(rest, k) && lists_alike(expected, event);
        *tie = *tie || (same && (k > 0 || !events_equal(expected, event)));
        json_decref(event);
        if (same) {
            json_array_remove(rest, k);
            return true;
        }
    }
    *tie = *tie || is_partner(expected, json_array_get(rest, 0));
    return false;
}

tie_result compare_but_for_ties(const json_t *expect, const json_t *own) {
    json_t *rest = json_copy((json_t *)(uintptr_t)own);
    bool same = true, tie = false;
    for (size_t i = 0; same && i < json_array_size(expect); i++) {
        same = take_next(json_array_get(expect, i), rest, &tie);
    }
    same = same && json_array_size(rest) == 0;
    json_decref(rest);
    return same ? TIES_SAME : tie ? TIES_THEN_DIFFERENT : TIES_DIFFERENT;
}

static double due_of(const json_t *call) {
    return json_number_value(json_array_get(call, 1));
}

/* By insertion: equal ones stay in their order. */
static json_t *sorted_calls(const json_t *calls) {
    json_t *sorted = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_array_get(calls, i);
        size_t at = json_array_size(sorted);
        while (at > 0 && due_of(json_array_get(sorted, at - 1)) > due_of(call)) {
            at--;
        }
        json_array_insert(sorted, at, call);
    }
    return sorted;
}

json_t *with_sorted_lists(const json_t *events) {
    json_t *copy = json_deep_copy(events);
    size_t at;
    json_t *event;
    json_array_foreach(copy, at, event) {
        if (event_is(event, "pending")) {
            json_object_set_new(event, "calls", sorted_calls(json_object_get(event, "calls")));
        }
    }
    return copy;
}

/* ---- Starts and stops ---- */

json_t *without_surplus_stops(const json_t *events) {
    json_t *kept = json_array();
    size_t at, users = 0;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)events, at, event) {
        bool stops = event_is(event, "doStop");
        if (!stops || users > 0) {
            json_array_append(kept, event);
        }
        users += event_is(event, "doStart");
        users -= stops && users > 0;
    }
    return kept;
}
