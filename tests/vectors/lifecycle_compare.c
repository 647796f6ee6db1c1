/* SPDX-License-Identifier: MIT */
/*
 * Judging one play: each side's list against the recorded one, event by event. Where the lists may
 * differ is said here, in one place per rule; lifecycle_partial.c has the sides that differed
 * between Twisted's own runs.
 */
#include "lifecycle.h"

#include <stdio.h>
#include <zlib.h>

/* ---- Showing ---- */

static bool is_payload(const char *key) {
    return strcmp(key, "hex") == 0 || strcmp(key, "len") == 0 || strcmp(key, "crc32") == 0;
}

/* "name key=value ...", strings bare, other values as JSON; malloc'd. */
static char *text_of(const json_t *event, bool payload) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *key;
    json_t *value;
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "%s", json_string_value(json_object_get(event, "ev")));
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        if (strcmp(key, "ev") == 0 || (!payload && is_payload(key))) {
            continue;
        }
        char *json = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        const char *shown = json_is_string(value) ? json_string_value(value) : json;
        fprintf(out, " %s=%.60s%s", key, shown, strlen(shown) > 60 ? "..." : "");
        free(json);
    }
    fclose(out);
    return text;
}

char *event_text(const json_t *event) {
    return event != NULL ? text_of(event, true) : strdup("nothing more");
}

char *list_text(const json_t *list) {
    char *text = NULL;
    size_t size = 0, at;
    json_t *event;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    json_array_foreach((json_t *)(uintptr_t)list, at, event) {
        char *one = event_text(event);
        fprintf(out, "%s%s", at > 0 ? ", " : "", one);
        free(one);
    }
    fclose(out);
    return text;
}

/* ---- What the lists are compared without ---- */

static bool is(const json_t *event, const char *name) {
    const char *ev = json_string_value(json_object_get(event, "ev"));
    return ev != NULL && strcmp(ev, name) == 0;
}

static bool same_field(const json_t *a, const json_t *b, const char *key) {
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return (x == NULL && y == NULL) || json_equal(x, y);
}

static bool adjacent_data(const json_t *a, const json_t *b) {
    return is(a, "data") && is(b, "data") && same_field(a, b, "c");
}

/* `logged` is optional for a port; more doStop than doStart is an accident (README, section 5). */
static json_t *expected_list(const json_t *recorded, unsigned *allowed) {
    json_t *kept = json_array(), *users = json_object();
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)recorded, at, event) {
        const char *f = json_string_value(json_object_get(event, "f"));
        f = f != NULL ? f : "f0";
        json_int_t count = json_integer_value(json_object_get(users, f));
        if (is(event, "logged")) {
            continue;
        }
        if (is(event, "doStop") && count == 0) {
            *allowed |= ALLOW_STOPS;
            continue;
        }
        json_object_set_new(users, f,
                            json_integer(count + is(event, "doStart") - is(event, "doStop")));
        json_array_append(kept, event);
    }
    json_decref(users);
    return kept;
}

/* ---- The rules about bytes ---- */

typedef struct comparison {
    side *s;
    const json_t *expected, *got;
    size_t i, j;
    unsigned allowed;
    size_t expected_at[CONNECTIONS_MAX], got_at[CONNECTIONS_MAX]; /* in each connection's stream */
} comparison;

static side *other(const side *s) {
    return &s->p->sides[s == &s->p->sides[SIDE_SERVER] ? SIDE_CLIENT : SIDE_SERVER];
}

static bool same_channel(const json_t *a, const json_t *b) {
    return same_field(a, b, "c");
}

static bool payload_is(const json_t *event, const uint8_t *data, size_t len) {
    json_t *copy = json_object();
    payload_set(copy, data, len);
    bool same = same_field(event, copy, "hex") && same_field(event, copy, "len") &&
                same_field(event, copy, "crc32");
    json_decref(copy);
    return same;
}

static size_t payload_len(const json_t *event) {
    const char *hex = json_string_value(json_object_get(event, "hex"));
    return hex != NULL ? strlen(hex) / 2
                       : (size_t)json_integer_value(json_object_get(event, "len"));
}

/* Whether the event's bytes are those of `sent` from `from` on. */
static bool bytes_of(const json_t *event, const conn *c, size_t from) {
    size_t len = payload_len(event);
    return from + len <= c->sent_len && payload_is(event, c->sent + from, len);
}

static size_t channel_number(const json_t *data) {
    json_int_t c = json_integer_value(json_object_get(data, "c"));
    return c >= 0 && c < CONNECTIONS_MAX ? (size_t)c : 0;
}

/* Goes on to the next events; what is `data` moves on in its stream. */
static void step(comparison *it, bool expected, bool got) {
    const json_t *a = json_array_get(it->expected, it->i), *b = json_array_get(it->got, it->j);
    if (expected) {
        it->expected_at[channel_number(a)] += is(a, "data") ? payload_len(a) : 0;
        it->i++;
    }
    if (got) {
        it->got_at[channel_number(b)] += is(b, "data") ? payload_len(b) : 0;
        it->j++;
    }
}

/* The connection at the other side whose bytes these are the beginning of, and not all. */
static const conn *cut_stream(const comparison *it, const json_t *data) {
    const side *peer = other(it->s);
    for (size_t i = 0; i < peer->conn_count; i++) {
        const conn *c = peer->conns[i];
        if (payload_len(data) < c->sent_len && bytes_of(data, c, 0)) {
            return c;
        }
    }
    return NULL;
}

static bool ends_in_reset(const json_t *list, size_t from, const json_t *data) {
    for (size_t at = from; at < json_array_size(list); at++) {
        const json_t *event = json_array_get(list, at);
        if (is(event, "connectionLost") && same_channel(event, data)) {
            const char *reason = json_string_value(json_object_get(event, "reason"));
            return reason != NULL && strcmp(reason, "ConnectionLost") == 0;
        }
    }
    return false;
}

/* How much of a stream a reset leaves to be read is the kernels' business (README, section 5). Only
 * for streams that the recording, too, lost the end of. */
static bool cut_by_reset(comparison *it) {
    const json_t *expected = json_array_get(it->expected, it->i);
    const json_t *got = json_array_get(it->got, it->j);
    const conn *c = is(expected, "data") ? cut_stream(it, expected) : NULL;
    if (c == NULL || !ends_in_reset(it->expected, it->i, expected) ||
        !ends_in_reset(it->got, it->j, expected)) {
        return false;
    }
    bool both = is(got, "data") && same_channel(expected, got);
    if (both && !bytes_of(got, c, 0)) {
        return false;
    }
    step(it, true, both);
    it->allowed |= ALLOW_CUT;
    return true;
}

/* A reader that pauses or closes in dataReceived has seen one reception: at most 65536 bytes
 * (README, "one reception"), but how many is up to the system. Both lists must go on in the same
 * stream. */
static bool cut_by_reader(comparison *it) {
    const json_t *expected = json_array_get(it->expected, it->i);
    const json_t *got = json_array_get(it->got, it->j);
    size_t number = channel_number(got);
    const side *peer = other(it->s);
    if (!adjacent_data(expected, got) || number >= it->s->conn_count ||
        !it->s->conns[number]->stopped) {
        return false;
    }
    for (size_t i = 0; i < peer->conn_count; i++) {
        const conn *c = peer->conns[i];
        if (bytes_of(expected, c, it->expected_at[number]) &&
            bytes_of(got, c, it->got_at[number])) {
            step(it, true, true);
            it->allowed |= ALLOW_CHUNK;
            return true;
        }
    }
    return false;
}

/* Whoever goes on reading receives all. */
static bool totals_agree(const comparison *it) {
    for (size_t i = 0; i < it->s->conn_count; i++) {
        const conn *c = it->s->conns[i];
        if (!c->closed && !c->paused && it->expected_at[i] != it->got_at[i] &&
            (it->allowed & (ALLOW_CUT | ALLOW_FLUSH)) == 0) {
            return false;
        }
    }
    return true;
}

/* All that the side received on the channel of `data`, if it is the beginning of what `c` sent. */
static bool received_from(const side *s, const json_t *data, const conn *c, size_t *total) {
    *total = 0;
    for (size_t i = 0; i < s->count; i++) {
        const noted *e = &s->events[i];
        if (!e->stream || !same_channel(e->json, data)) {
            continue;
        }
        if (*total + e->len > c->sent_len || memcmp(c->sent + *total, e->data, e->len) != 0) {
            return false;
        }
        *total += e->len;
    }
    return true;
}

static size_t length_in(const json_t *list, const json_t *channel) {
    size_t total = 0, at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)list, at, event) {
        total += is(event, "data") && same_channel(event, channel) ? payload_len(event) : 0;
    }
    return total;
}

/* What a callback writes leaves here when it returns. Twisted sends it in a later turn, and drops
 * it when the connection has ended by then: by a stop (docs/rationale.md, "what was written before
 * a stop is sent"), by a close of the peer's that was there already. What an abort or an exception
 * of the same callback drops is dropped here too. */
static bool flushed_before_end(comparison *it) {
    const json_t *expected = json_array_get(it->expected, it->i);
    const json_t *got = json_array_get(it->got, it->j);
    const side *peer = other(it->s);
    size_t total;
    if (!is(got, "data") || length_in(it->expected, got) >= length_in(it->got, got)) {
        return false;
    }
    for (size_t i = 0; i < peer->conn_count; i++) {
        const conn *c = peer->conns[i];
        if (c->over && received_from(it->s, got, c, &total) && total <= c->dropped) {
            step(it, adjacent_data(expected, got), true);
            it->allowed |= ALLOW_FLUSH;
            return true;
        }
    }
    return false;
}

/* ---- Comparing ---- */

static bool walk(comparison *it) {
    size_t limit = it->s->accident;
    size_t count = json_array_size(it->expected), got_count = json_array_size(it->got);
    while (it->i < count || it->j < got_count) {
        if (it->j >= limit) {
            it->allowed |= ALLOW_ACCIDENT;
            return true;
        }
        const json_t *expected = json_array_get(it->expected, it->i);
        const json_t *got = json_array_get(it->got, it->j);
        if (expected != NULL && got != NULL && json_equal(expected, got)) {
            step(it, true, true);
        } else if (!cut_by_reset(it) && !cut_by_reader(it) && !flushed_before_end(it)) {
            return false;
        }
    }
    return totals_agree(it);
}

static bool judge_exactly(side *s, const json_t *got, unsigned *allowed, char **why) {
    unsigned rules = 0;
    json_t *expected = expected_list(json_object_get(s->p->record, s->name), &rules);
    comparison it = {.s = s, .expected = expected, .got = got, .allowed = rules};
    bool good = walk(&it);
    *allowed |= it.allowed;
    if (!good) {
        size_t size;
        char *theirs = list_text(expected), *ours = list_text(got);
        char *a = event_text(json_array_get(expected, it.i));
        char *b = event_text(json_array_get(got, it.j));
        FILE *out = open_memstream(why, &size);
        fprintf(out, "  %s, event %zu: expected %s, got %s\n    expected: %s\n    got:      %s\n",
                s->name, it.j, a, b, theirs, ours);
        fclose(out);
        free(theirs);
        free(ours);
        free(a);
        free(b);
    }
    json_decref(expected);
    return good;
}

static bool judge_partially(side *s, const json_t *partial, const json_t *got, unsigned *allowed,
                            char **why) {
    char text[1000] = "";
    if (partial_holds(partial, s, got, allowed, text, sizeof(text))) {
        return true;
    }
    size_t size;
    char *ours = list_text(got);
    char *theirs = list_text(json_object_get(s->p->record, s->name));
    FILE *out = open_memstream(why, &size);
    fprintf(out, "  %s: %s\n    most frequent: %s\n    got:           %s\n", s->name, text, theirs,
            ours);
    fclose(out);
    free(ours);
    free(theirs);
    return false;
}

static bool judge_side(side *s, unsigned *allowed, char **why) {
    const json_t *sides = json_object_get(s->p->record, "sides");
    const json_t *partial = json_object_get(json_object_get(s->p->record, "partial"), s->name);
    json_t *got = side_list(s);
    bool good = json_is_false(json_object_get(sides, s->name)) && partial != NULL
                    ? judge_partially(s, partial, got, allowed, why)
                    : judge_exactly(s, got, allowed, why);
    json_decref(got);
    return good;
}

judgement play_judge(play *p) {
    judgement result = {.passed = true};
    size_t size;
    FILE *out = open_memstream(&result.text, &size);
    for (int i = SIDE_COUNT; out != NULL && i-- > 0;) {
        char *why = NULL;
        side *s = &p->sides[i];
        if (!judge_side(s, &result.allowed, &why)) {
            result.passed = false;
            fprintf(out, "%s", why != NULL ? why : "  out of memory\n");
        }
        result.allowed |= s->allowed;
        free(why);
    }
    if (out != NULL) {
        fclose(out);
    }
    return result;
}
