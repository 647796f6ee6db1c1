/* SPDX-License-Identifier: MIT */
/*
 * Judging: what was observed against what Twisted did, record by record and, for streams that were
 * cut in several ways, group by group. The rules are those of vectors/README.md, sections 1 and 5,
 * and the two differences that Drywire makes on purpose (docs: "Cuts", "Time").
 */
#ifndef DRYWIRE_TESTS_VECTORS_JUDGE_H
#define DRYWIRE_TESTS_VECTORS_JUDGE_H

#include "player.h"

#include <stdio.h>

typedef enum verdict {
    UNDECIDED,
    PASSED,
    FAILED,
    SKIPPED,
} verdict;

/* Why a record passed though the lists differ, or was skipped: counted and printed at the end. */
typedef enum rule {
    RULE_NONE,
    RULE_CLOSE,  /* passed: nothing is delivered after a close inside a callback */
    RULE_START,  /* passed: the length callback gets the start of the line, no more */
    RULE_HALF,   /* passed: a line within the limit, and half a delimiter behind it */
    RULE_CUT,    /* passed: Twisted disagrees with itself about this stream, see groups.c */
    RULE_TIES,   /* passed: a call moved to another's due time runs after it */
    RULE_STOPS,  /* passed: doStop is not called more often than doStart */
    RULE_LIST,   /* passed: calls that were moved are listed in due order at once */
    RULE_QUIRK,  /* skipped: an accident of Twisted's, and ours differs */
    RULE_BROKEN, /* skipped: the same up to where Twisted's own state breaks */
    RULE_MOVED,  /* skipped: like RULE_TIES, and what the calls do changes with their order */
    RULE_COUNT
} rule;

extern const char *const rule_texts[RULE_COUNT];

enum { PROBLEM_MAX = 1400 };

typedef struct record {
    json_t *vector; /* owned */
    const char *id, *protocol, *group;
    const json_t *expect;
    json_t *events;         /* observed; owned */
    json_int_t accident_at; /* as of the player */
    verdict verdict;
    rule rule;
    char problem[PROBLEM_MAX];
    struct record *next_in_group;
} record;

/* ---- compare.c: one record ---- */

bool events_equal(const json_t *expect, const json_t *got);
/* Whether the lists differ only in when the first length callback comes, which here is as soon as
 * the line is known to be too long, and in its payload, which in Twisted is what happens to be
 * buffered: it need only begin as ours. */
bool lists_alike_at_limit(const json_t *expect, const json_t *got);
/* Compares and writes the first difference as the record's problem. */
bool record_matches(record *r, const json_t *expect);
/* One event as text, cut to PROBLEM_MAX / 3; returns `out`. */
enum { SHOWN_MAX = 600 };
const char *event_show(const json_t *event, char out[SHOWN_MAX]);
/* Whether the protocol is one that parses a stream. */
bool record_is_receiver(const record *r);
/* Breaking the promise of no delivery after a close is a problem of its own. */
bool record_keeps_promise(record *r);
/* Twisted's list without what it delivered after a close, or also after a length callback. New
 * reference. */
json_t *without_late_delivery(const json_t *events, bool after_limit);
/* The same, where what went on after the close was the receiver's own second one, for bytes that
 * are no netstring: without the last close of the step in which the first one was, if there are
 * two. */
json_t *without_late_close(const json_t *events);
/* Equal but for the order of delayed calls that are due at one instant, which the events of playing
 * in own time tell; or different, but only after such calls have changed places; or just different.
 */
typedef enum tie_result { TIES_SAME, TIES_THEN_DIFFERENT, TIES_DIFFERENT } tie_result;
tie_result compare_but_for_ties(const json_t *expect, const json_t *own);
/* An event without what only playing in own time adds. New reference. */
json_t *event_plain(const json_t *event);
/* Twisted's list without a doStop that no doStart came before. New reference. */
json_t *without_surplus_stops(const json_t *events);
/* Twisted's list with every `pending` in due order. New reference. */
json_t *with_sorted_lists(const json_t *events);
bool event_is(const json_t *event, const char *name);
bool event_is_close(const json_t *event);
bool event_is_delivery(const json_t *event);

/* Plays and judges a record as far as that can be done without its group. */
void record_judge(record *r);

/* ---- groups.c ---- */

/* Judges what depends on the other cuts of the same stream. */
void groups_judge(record *records, size_t count);

#endif
