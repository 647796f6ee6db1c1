/* SPDX-License-Identifier: MIT */
/*
 * Groups: one byte stream, cut in several ways. Drywire promises that the cuts have no effect,
 * Twisted does not ("Cuts"). In a group in which Twisted disagrees with itself ours must be the
 * same for every cut, and equal to what Twisted did for one of them; and it must leave Twisted's
 * list at a length callback, for nothing else is left to differ.
 *
 * For that an outcome is written in a form that does not show the cuts: without step numbers, with
 * adjoining raw bytes joined, without the bytes behind the counted ones, which the player gives
 * back as `extra` (vectors/README.md, 1.5), without the payload of the length callback.
 *
 * Some conversations show the cuts by what they ask for, whoever answers: `clearLineBuffer` returns
 * what has arrived, a rule on the n-th `raw` counts receptions, and operations from outside come at
 * different places in the stream. There each record is compared with its own list.
 */
#include "judge.h"

/* ---- An outcome without the cuts ---- */

typedef struct outcome {
    const record *record;
    json_t *list;
    json_t *counts;      /* of each event, for `nth` */
    json_int_t raw_left; /* bytes to come before rawDone; -1: not counted */
    size_t next_step;    /* whose operations were not looked at yet */
    bool closed;
} outcome;

static void note_operation(outcome *o, const json_t *operation) {
    const char *op = json_string_value(json_object_get(operation, "op"));
    if (op == NULL || strcmp(op, "setRawMode") != 0) {
        return;
    }
    const json_t *n = json_object_get(operation, "n");
    o->raw_left = json_is_integer(n) ? json_integer_value(n) : -1;
}

static void note_steps(outcome *o, json_int_t until) {
    const json_t *steps = json_object_get(o->record->vector, "steps");
    while ((json_int_t)o->next_step <= until && o->next_step < json_array_size(steps)) {
        note_operation(o, json_array_get(steps, o->next_step++));
    }
}

static void note_reactions(outcome *o, const json_t *event) {
    const char *name = json_string_value(json_object_get(event, "ev"));
    json_int_t seen = json_integer_value(json_object_get(o->counts, name));
    const json_t *config = json_object_get(o->record->vector, "config");
    size_t at, op_at;
    json_t *entry, *operation;
    json_object_set_new(o->counts, name, json_integer(seen + 1));
    json_array_foreach(json_object_get(config, "on"), at, entry) {
        const json_t *nth = json_object_get(entry, "nth"), *hex = json_object_get(entry, "hex");
        if (!json_equal(json_object_get(entry, "on"), json_object_get(event, "ev")) ||
            (nth != NULL && json_integer_value(nth) != seen) ||
            (hex != NULL && !json_equal(hex, json_object_get(event, "hex")))) {
            continue;
        }
        json_array_foreach(json_object_get(entry, "do"), op_at, operation) {
            note_operation(o, operation);
        }
    }
}

/* Only the bytes that count. */
static void cut_raw(outcome *o, json_t *event) {
    const char *hex = json_string_value(json_object_get(event, "hex"));
    if (o->raw_left < 0 || hex == NULL) {
        return;
    }
    size_t take = strlen(hex) / 2;
    if ((json_int_t)take > o->raw_left) {
        take = (size_t)o->raw_left;
    }
    o->raw_left -= (json_int_t)take;
    json_object_set_new(event, "hex", json_stringn(hex, 2 * take));
}

static bool join(json_t *list, const json_t *event, const char *name) {
    json_t *last = json_array_get(list, json_array_size(list) - 1);
    const json_t *a = json_object_get(last, "hex"), *b = json_object_get(event, "hex");
    if (!event_is(event, name) || last == NULL || !event_is(last, name) || a == NULL || b == NULL) {
        return false;
    }
    json_object_set_new(last, "hex",
                        json_sprintf("%s%s", json_string_value(a), json_string_value(b)));
    return true;
}

/* How much of a raw reception was there when its callback closed is the cut itself. */
static void note_close(outcome *o) {
    size_t at = json_array_size(o->list);
    while (at-- > 0) {
        json_t *event = json_array_get(o->list, at);
        if (event_is_delivery(event)) {
            if (event_is(event, "raw")) {
                json_object_del(event, "hex");
            }
            break;
        }
    }
    o->closed = true;
}

static void add(outcome *o, const json_t *observed) {
    json_t *event = json_copy((json_t *)(uintptr_t)observed);
    note_steps(o, json_integer_value(json_object_get(observed, "at")));
    json_object_del(event, "at");
    if (event_is(event, "raw")) {
        cut_raw(o, event);
    } else if (event_is(event, "rawDone")) {
        o->raw_left = -1;
    } else if (event_is(event, "lengthExceeded")) {
        json_object_del(event, "hex");
        json_object_del(event, "len");
        json_object_del(event, "crc32");
    } else if (event_is_close(event) && !o->closed) {
        note_close(o);
    }
    bool drop = o->closed && event_is(event, "rawDone");
    if (!drop && !join(o->list, event, "raw") && !join(o->list, event, "data")) {
        json_array_append(o->list, event);
    }
    json_decref(event);
    note_reactions(o, observed);
}

static json_t *outcome_of(const record *r, const json_t *events) {
    outcome o = {.record = r, .list = json_array(), .counts = json_object(), .raw_left = -1};
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)events, at, event) {
        add(&o, event);
    }
    json_decref(o.counts);
    return o.list;
}

static bool outcomes_equal(const json_t *a, const json_t *b) {
    size_t count = json_array_size(a);
    for (size_t at = 0; at < count; at++) {
        if (!events_equal(json_array_get(a, at), json_array_get(b, at)) &&
            !events_equal(json_array_get(b, at), json_array_get(a, at))) {
            return false;
        }
    }
    return count == json_array_size(b);
}

/* ---- Conversations that show the cuts ---- */

static bool uses(const json_t *operations, const char *op) {
    size_t at;
    json_t *operation;
    json_array_foreach((json_t *)(uintptr_t)operations, at, operation) {
        const char *name = json_string_value(json_object_get(operation, "op"));
        if (name != NULL && strcmp(name, op) == 0) {
            return true;
        }
    }
    return false;
}

/* The operations from outside, each with its place in the stream. */
static json_t *outside_operations(const record *r) {
    json_t *list = json_array();
    json_int_t offset = 0;
    size_t at;
    json_t *step;
    json_array_foreach(json_object_get(r->vector, "steps"), at, step) {
        const char *op = json_string_value(json_object_get(step, "op"));
        const char *hex = json_string_value(json_object_get(step, "hex"));
        if (op == NULL || strcmp(op, "data") != 0) {
            json_array_append_new(list, json_pack("[I, O]", offset, step));
        } else if (hex != NULL) {
            offset += (json_int_t)(strlen(hex) / 2);
        } else {
            offset += json_integer_value(json_object_get(step, "n"));
        }
    }
    return list;
}

static bool shows_cuts(const record *r) {
    size_t at;
    json_t *entry;
    if (uses(json_object_get(r->vector, "steps"), "clearLineBuffer")) {
        return true;
    }
    json_array_foreach(json_object_get(json_object_get(r->vector, "config"), "on"), at, entry) {
        const char *on = json_string_value(json_object_get(entry, "on"));
        if ((on != NULL && strcmp(on, "raw") == 0 && json_object_get(entry, "nth") != NULL &&
             json_integer_value(json_object_get(entry, "nth")) > 0) ||
            uses(json_object_get(entry, "do"), "clearLineBuffer")) {
            return true;
        }
    }
    return false;
}

static bool group_shows_cuts(const record *group) {
    json_t *first = outside_operations(group);
    bool shows = shows_cuts(group);
    for (const record *r = group->next_in_group; r != NULL && !shows; r = r->next_in_group) {
        json_t *other = outside_operations(r);
        shows = !json_equal(first, other);
        json_decref(other);
    }
    json_decref(first);
    return shows;
}

/* ---- Judging ---- */

/* Whether `ours` is what Twisted did with record `r`, late deliveries apart. */
static bool is_outcome_of(const json_t *ours, const record *r) {
    json_t *kept = without_late_delivery(r->expect, false);
    json_t *theirs = outcome_of(r, r->expect), *promised = outcome_of(r, kept);
    bool same = outcomes_equal(theirs, ours) || outcomes_equal(promised, ours);
    json_decref(kept);
    json_decref(theirs);
    json_decref(promised);
    return same;
}

static bool has_length_callback(const json_t *events) {
    for (size_t at = 0; at < json_array_size(events); at++) {
        if (event_is(json_array_get(events, at), "lengthExceeded")) {
            return true;
        }
    }
    return false;
}

/* Whether the rule about cuts concerns the group. What Twisted delivers after a close was dealt
 * with record by record; what is left to depend on the cuts is the limit of a line's length. */
static bool concerns(const record *group) {
    for (const record *r = group; r != NULL; r = r->next_in_group) {
        if (has_length_callback(r->expect)) {
            return true;
        }
    }
    return false;
}

/* A length callback that closes puts nothing out of step. */
static bool limit_closes(const record *r) {
    const json_t *config = json_object_get(r->vector, "config");
    const char *then = json_string_value(json_object_get(config, "exceeded"));
    return then == NULL || strcmp(then, "ignore") != 0;
}

/* Where our outcome leaves the one that Twisted had with the same cuts, it must be about the limit:
 * the line that one of them finds too long the other accepts; or a length callback that did not
 * close came before, and the stream is out of step. */
static bool parts_at_limit(const record *r, const json_t *ours) {
    json_t *theirs = outcome_of(r, r->expect);
    bool limit = false, same = true;
    for (size_t at = 0; same; at++) {
        const json_t *a = json_array_get(theirs, at), *b = json_array_get(ours, at);
        if (a == NULL && b == NULL) {
            limit = false;
            break;
        }
        same = a != NULL && b != NULL && events_equal(a, b);
        if (same) {
            limit = limit || (event_is(a, "lengthExceeded") && !limit_closes(r));
        } else {
            limit = limit || (event_is(a, "lengthExceeded") && event_is(b, "line")) ||
                    (event_is(a, "line") && event_is(b, "lengthExceeded"));
        }
    }
    json_decref(theirs);
    return limit;
}

/* Bytes of the unfinished line that Twisted refused, without the half delimiter at its end; -1: it
 * has none, or is too long without it. Parameters that change in flight: not looked at. */
static json_int_t refused_line_len(const record *r, const json_t *event) {
    const json_t *config = json_object_get(r->vector, "config");
    const json_t *max_length = json_object_get(config, "max_length");
    const char *delimiter = json_string_value(json_object_get(config, "delimiter"));
    const char *payload = json_string_value(json_object_get(event, "hex"));
    if (delimiter == NULL || payload == NULL || !json_is_integer(max_length)) {
        return -1;
    }
    size_t len = strlen(payload), half = strlen(delimiter);
    while (half >= 2) {
        half -= 2;
        json_int_t line = (json_int_t)(len - half) / 2;
        if (half > 0 && half <= len && strncmp(payload + len - half, delimiter, half) == 0 &&
            line <= json_integer_value(max_length)) {
            return line;
        }
    }
    return -1;
}

/* A line is too long exactly when it is longer than the limit. LineOnlyReceiver also counts the
 * beginning of a delimiter (vectors/README.md, section 3), which no other cut may contradict when
 * the stream ends there. Up to that line the lists must agree, and ours must not refuse it. */
static bool refused_half_delimiter(const record *r) {
    size_t count = json_array_size(r->expect);
    for (size_t at = 0; at < count; at++) {
        const json_t *theirs = json_array_get(r->expect, at), *ours = json_array_get(r->events, at);
        if (ours == NULL) {
            return false;
        }
        if (!event_is(theirs, "lengthExceeded")) {
            if (!events_equal(theirs, ours)) {
                return false;
            }
            continue;
        }
        json_int_t line = refused_line_len(r, theirs);
        const char *payload = json_string_value(json_object_get(theirs, "hex"));
        const char *hex = json_string_value(json_object_get(ours, "hex"));
        bool same_line = event_is(ours, "line") && hex != NULL && line >= 0 &&
                         strlen(hex) == 2 * (size_t)line && strncmp(hex, payload, strlen(hex)) == 0;
        return line >= 0 && (same_line || event_is(ours, "connectionLost"));
    }
    return false;
}

static void fail_cut(record *r, const char *why) {
    char *text = json_dumps(r->events, JSON_COMPACT);
    char before[PROBLEM_MAX / 2];
    snprintf(before, sizeof(before), "%.*s", (int)sizeof(before) - 1, r->problem);
    r->verdict = FAILED;
    snprintf(r->problem, sizeof(r->problem), "%s; group \"%s\"\n  ours: %.500s\n  %s", why,
             r->group != NULL ? r->group : "", text != NULL ? text : "?", before);
    free(text);
}

static bool one_of_them(const json_t *ours, const record *group) {
    for (const record *r = group; r != NULL; r = r->next_in_group) {
        if (is_outcome_of(ours, r)) {
            return true;
        }
    }
    return false;
}

static void pass(record *r, rule by) {
    r->verdict = PASSED;
    r->rule = by;
}

/* Where the cuts show and the length callback does not close, Twisted's stream is out of step from
 * there on; ours is over (drywire/line.h), whatever the cuts. */
static void judge_out_of_step(record *group) {
    for (record *r = group; r != NULL; r = r->next_in_group) {
        json_t *kept = without_late_delivery(r->expect, true);
        if (r->verdict == UNDECIDED && !limit_closes(r) && lists_alike_at_limit(kept, r->events)) {
            pass(r, RULE_CUT);
        }
        json_decref(kept);
    }
}

static void judge_group(record *group) {
    if (!concerns(group)) {
        return; /* what is undecided fails */
    }
    if (group_shows_cuts(group)) {
        judge_out_of_step(group);
        return;
    }
    json_t *first = NULL;
    for (record *r = group; r != NULL; r = r->next_in_group) {
        if (r->events == NULL) {
            continue;
        }
        json_t *ours = outcome_of(r, r->events);
        first = first != NULL ? first : json_incref(ours);
        if (!outcomes_equal(first, ours)) {
            fail_cut(r, "ours depends on the cuts");
        } else if (r->verdict == UNDECIDED && parts_at_limit(r, ours) && one_of_them(ours, group)) {
            pass(r, RULE_CUT);
        } else if (r->verdict == UNDECIDED && refused_half_delimiter(r)) {
            pass(r, RULE_HALF);
        } else if (r->verdict == UNDECIDED) {
            fail_cut(r, "for no cut Twisted did what we do");
        }
        json_decref(ours);
    }
    json_decref(first);
}

static void chain(json_t *heads, record *records, size_t at) {
    record *r = &records[at];
    const json_t *head = json_object_get(heads, r->group);
    if (head == NULL) {
        json_object_set_new(heads, r->group, json_integer((json_int_t)at));
        return;
    }
    record *first = &records[json_integer_value(head)];
    r->next_in_group = first->next_in_group;
    first->next_in_group = r;
}

static bool is_head(const json_t *heads, const record *r, size_t at) {
    const json_t *head = r->group != NULL ? json_object_get(heads, r->group) : NULL;
    return head == NULL || (size_t)json_integer_value(head) == at;
}

void groups_judge(record *records, size_t count) {
    json_t *heads = json_object();
    for (size_t at = 0; at < count; at++) {
        if (records[at].group != NULL && record_is_receiver(&records[at])) {
            chain(heads, records, at);
        }
    }
    for (size_t at = 0; at < count; at++) {
        if (record_is_receiver(&records[at]) && is_head(heads, &records[at], at)) {
            judge_group(&records[at]);
        }
    }
    for (size_t at = 0; at < count; at++) {
        if (records[at].verdict == UNDECIDED) {
            records[at].verdict = FAILED;
        }
    }
    json_decref(heads);
}
