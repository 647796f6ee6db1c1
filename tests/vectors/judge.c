/* SPDX-License-Identifier: MIT */
/*
 * Plays one record and judges it by itself: exactly as recorded, or different for one of the
 * reasons that the record itself shows. What is left is decided by its group (groups.c).
 */
#include "judge.h"

/* The events; NULL, with the problem, when the vector could not be played to its end. `kept`,
 * unless NULL, gets what there is all the same. */
static json_t *play(record *r, bool own_time, json_t **kept) {
    player p;
    play_fn play_it = play_of(r->protocol);
    if (play_it == NULL) {
        snprintf(r->problem, sizeof(r->problem), "unknown protocol \"%s\"", r->protocol);
        return NULL;
    }
    player_init(&p, r->vector);
    p.own_time = own_time;
    play_it(&p, r->protocol);
    json_t *events = p.trouble[0] == '\0' ? json_incref(p.events) : NULL;
    if (kept != NULL) {
        *kept = json_incref(p.events);
        r->accident_at = p.accident_at;
    }
    snprintf(r->problem, sizeof(r->problem), "%s", p.trouble);
    player_fini(&p);
    return events;
}

static void pass(record *r, rule by) {
    r->verdict = PASSED;
    r->rule = by;
}

static void skip(record *r, rule by) {
    r->verdict = SKIPPED;
    r->rule = by;
}

/* The events of playing in own time, without what differs by nature ("Time"): order is compared,
 * `t` of what fires is not. */
static json_t *without(const json_t *events, bool t, bool own) {
    json_t *list = json_array();
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)events, at, event) {
        json_t *copy = own ? event_plain(event) : json_copy(event);
        if (t && event_is(event, "fire")) {
            json_object_del(copy, "t");
        }
        json_array_append_new(list, copy);
    }
    return list;
}

static bool matches_in_own_time(record *r, const json_t *recorded) {
    json_t *late = r->events;
    json_t *own = play(r, true, NULL);
    if (own == NULL) {
        return false;
    }
    json_t *expect = without(recorded, true, false);
    r->events = without(own, true, true);
    bool good = record_matches(r, expect);
    json_decref(r->events);
    json_decref(own);
    json_decref(expect);
    r->events = late;
    return good;
}

static bool ties_by_reset(const record *r) {
    const char *ties = json_string_value(json_object_get(r->vector, "ties"));
    return ties != NULL && strcmp(ties, "reset") == 0;
}

static tie_result compare_in_own_time(record *r, const json_t *recorded) {
    json_t *own = play(r, true, NULL);
    if (own == NULL) {
        return TIES_DIFFERENT;
    }
    json_t *ours = without(own, true, false), *expect = without(recorded, true, false);
    tie_result result = compare_but_for_ties(expect, ours);
    json_decref(own);
    json_decref(ours);
    json_decref(expect);
    return result;
}

static void judge_ties(record *r, const json_t *recorded) {
    char problem[PROBLEM_MAX];
    memcpy(problem, r->problem, sizeof(problem));
    tie_result result = ties_by_reset(r) ? compare_in_own_time(r, recorded) : TIES_DIFFERENT;
    if (result == TIES_SAME) {
        pass(r, RULE_TIES);
    } else if (result == TIES_THEN_DIFFERENT) {
        skip(r, RULE_MOVED);
    } else {
        r->verdict = FAILED;
        memcpy(r->problem, problem, sizeof(problem));
    }
}

static void judge_clock(record *r) {
    json_t *listed = with_sorted_lists(r->expect);
    bool moved = !json_equal(listed, r->expect);
    if (record_matches(r, listed) && matches_in_own_time(r, listed)) {
        pass(r, moved ? RULE_LIST : RULE_NONE);
    } else {
        judge_ties(r, listed);
    }
    json_decref(listed);
}

/* Data moves the time-out of a connection, perhaps to the due time of another one's. Both manners
 * of playing must agree on everything else; only what happens at one instant may change places. */
static void judge_timed(record *r) {
    if (record_matches(r, r->expect)) {
        pass(r, RULE_NONE);
        return;
    }
    r->verdict = FAILED;
    char problem[PROBLEM_MAX];
    memcpy(problem, r->problem, sizeof(problem));
    json_t *own = play(r, true, NULL);
    json_t *plain = own != NULL ? without(own, false, true) : NULL;
    if (plain != NULL && json_equal(plain, r->events) &&
        compare_but_for_ties(r->expect, own) == TIES_SAME) {
        pass(r, RULE_TIES);
    }
    json_t *started = without_surplus_stops(r->expect);
    if (r->verdict == FAILED && !json_equal(started, r->expect) && record_matches(r, started)) {
        pass(r, RULE_STOPS);
    }
    memcpy(r->problem, problem, sizeof(problem));
    json_decref(started);
    json_decref(plain);
    json_decref(own);
}

/* Whether a netstring's callback may close, so that a second close is the receiver's. */
static bool closes_in_string(const record *r) {
    char *on = json_dumps(json_object_get(json_object_get(r->vector, "config"), "on"), 0);
    bool asks = on != NULL && (strstr(on, "\"loseConnection\"") != NULL ||
                               strstr(on, "\"abortConnection\"") != NULL);
    free(on);
    return (strcmp(r->protocol, "NetstringReceiver") == 0 && asks) ||
           strcmp(r->protocol, "StatefulStringProtocol") == 0;
}

static void judge_receiver(record *r) {
    if (!record_keeps_promise(r)) {
        r->verdict = FAILED;
        return;
    }
    json_t *kept = without_late_delivery(r->expect, false);
    if (record_matches(r, r->expect)) {
        pass(r, RULE_NONE);
    } else if (lists_alike_at_limit(r->expect, r->events)) {
        pass(r, RULE_START);
    } else if (lists_alike_at_limit(kept, r->events)) {
        pass(r, RULE_CLOSE);
    } else if (closes_in_string(r)) {
        json_decref(kept);
        kept = without_late_close(r->expect);
        if (lists_alike_at_limit(kept, r->events)) {
            pass(r, RULE_CLOSE);
        }
    }
    json_decref(kept);
}

/* An AttributeError that a connector raises is a gap in its own state, made by nested calls: after
 * them it has lost the transport of the attempt (vectors/README.md, section 5). */
static json_int_t accident_step(const record *r) {
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)r->expect, at, event) {
        const char *cls = json_string_value(json_object_get(event, "cls"));
        if (event_is(event, "raised") && cls != NULL && strcmp(cls, "AttributeError") == 0) {
            json_int_t step = json_integer_value(json_object_get(event, "at"));
            return step < r->accident_at ? step : r->accident_at;
        }
    }
    return r->accident_at;
}

static json_t *before_step(const json_t *events, json_int_t step) {
    json_t *kept = json_array();
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)events, at, event) {
        if (json_integer_value(json_object_get(event, "at")) < step) {
            json_array_append(kept, event);
        }
    }
    return kept;
}

static bool same_before_accident(record *r, json_t *observed) {
    json_int_t step = accident_step(r);
    if (step == NO_ACCIDENT || observed == NULL) {
        return false;
    }
    char problem[PROBLEM_MAX];
    memcpy(problem, r->problem, sizeof(problem));
    json_t *all = r->events, *expect = before_step(r->expect, step);
    r->events = before_step(observed, step);
    json_t *started = without_surplus_stops(expect);
    bool same = record_matches(r, expect) || record_matches(r, started);
    json_decref(started);
    json_decref(expect);
    json_decref(r->events);
    r->events = all;
    memcpy(r->problem, problem, sizeof(problem));
    return same;
}

static void judge_played(record *r) {
    if (r->events == NULL) {
        r->verdict = FAILED;
    } else if (strcmp(r->protocol, "task.Clock") == 0) {
        judge_clock(r);
    } else if (record_is_receiver(r)) {
        judge_receiver(r);
    } else {
        judge_timed(r);
    }
}

void record_judge(record *r) {
    json_t *observed = NULL;
    r->events = play(r, false, &observed);
    judge_played(r);
    if (r->verdict != PASSED && r->events != NULL && json_object_get(r->vector, "quirk") != NULL) {
        skip(r, RULE_QUIRK);
    } else if (r->verdict == FAILED && same_before_accident(r, observed)) {
        skip(r, RULE_BROKEN);
    }
    json_decref(observed);
}
