/* SPDX-License-Identifier: MIT */
/*
 * A worker's shift: it takes the next number from the board, plays what that number stands for (a
 * run, all pairs that begin with a point, the whole tree below it), and writes what it finds on its
 * desk, run by run, so that nothing is lost with it. Called by workers.c in the child process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "crew.h"
#include "finding.h"
#include "runner_child.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct shift {
    crew *crew;
    desk *slot;
    sim_runner *runner;
    int capture;
    size_t captured; /* bytes of it that earlier runs have written */
    sim_run_options options;
} shift;

static void note_failure(shift *s, const sim_outcome *outcome) {
    static sim_found one; /* too large for a stack; a worker has one thread */
    size_t count = s->slot->found_count;
    sim_crew_present(s->slot, outcome, &one);
    if (!sim_crew_note(s->slot->found, &count, &one)) {
        s->slot->found_more = true;
    }
    atomic_store(&s->slot->found_count, (uint32_t)count);
    atomic_fetch_add(&s->slot->failures, 1);
}

/* A sanitizer may report and let the program go on. */
static void look_for_report(shift *s, sim_outcome *outcome) {
    size_t before = s->captured;
    s->captured = sim_child_written(s->capture);
    if (s->captured == before) {
        return;
    }
    char *text = sim_child_text(s->capture, before);
    if (text) {
        sim_finding_from_text(outcome, text);
    }
    free(text);
    if (s->captured > SIM_CHILD_OUTPUT_MAX && ftruncate(s->capture, 0) == 0) {
        s->captured = 0; /* else it only grows */
    }
}

static void play_again(shift *s, uint64_t index, const sim_source *source,
                       const sim_outcome *first) {
    sim_outcome second = {0};
    sim_run_options none = {.nameless = true};
    atomic_store(&s->slot->started, sim_wall_now());
    sim_run(s->runner, s->crew->plan->scenario, source, &none, &second);
    bool same = second.hash == first->hash && second.failed == first->failed &&
                (!first->failed || sim_finding_same(first, &second));
    if (!same && !s->slot->differs) {
        s->slot->differs_index = index;
        s->slot->differs_before = s->slot->played;
        s->slot->differs = true;
    }
}

/* One run and what comes of it, but for playing it twice. */
static void play_source(shift *s, uint64_t index, const sim_source *source, bool twice,
                        sim_outcome *outcome) {
    desk *slot = s->slot;
    *outcome = (sim_outcome){0};
    atomic_store(&slot->index, index);
    atomic_store(&slot->started, sim_wall_now());
    sim_run(s->runner, s->crew->plan->scenario, source, &s->options, outcome);
    if (twice && (outcome->failed || index % SIM_RECHECK_EVERY == 0)) {
        play_again(s, index, source, outcome);
    }
    atomic_store(&slot->started, 0);
    fflush(stdout);
    look_for_report(s, outcome);
    slot->played++;
    if (s->crew->distinct) {
        sim_distinct_add(s->crew->distinct, s->crew->distinct_room, outcome->hash);
    }
    atomic_fetch_add(&slot->runs, 1);
    atomic_fetch_add(&slot->virtual_us, (uint64_t)(outcome->virtual_time / DW_USEC(1)));
    if (outcome->failed) {
        note_failure(s, outcome);
    }
}

static void play(shift *s, uint64_t index) {
    sim_deviation room;
    sim_list list;
    sim_source source;
    sim_outcome outcome;
    sim_plan_source(s->crew->plan, index, &room, &list, &source);
    play_source(s, index, &source, true, &outcome);
}

/* ---- Pairs ---- */

/* What a run with the first deviation alone offers behind it. Runs that fail have been told of by
 * the sweep of depth 1. */
static bool plan_pairs(shift *s, const sim_source *first, sim_pairs *pairs) {
    sim_offers offers = {0};
    sim_outcome outcome = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = s->crew->plan->more_kinds};
    atomic_store(&s->slot->path, 0);
    atomic_store(&s->slot->started, sim_wall_now());
    sim_run(s->runner, s->crew->plan->scenario, first, &options, &outcome);
    atomic_store(&s->slot->started, 0);
    s->captured = sim_child_written(s->capture); /* the sweep has looked at that */
    bool good = !outcome.failed &&
                sim_pairs_plan(pairs, &offers, &first->list->items[0], s->crew->plan->calm);
    sim_offers_free(&offers);
    return good;
}

/* All pairs that begin with point `index`, from the one behind `done` on: a worker that takes over
 * from one that died goes on behind what killed it. */
static void play_pairs(shift *s, uint64_t index, uint64_t done) {
    sim_deviation room[2];
    sim_list list;
    sim_source source;
    sim_outcome outcome;
    sim_pairs pairs = {0};
    desk *slot = s->slot;
    const sim_plan *plan = s->crew->plan;
    sim_plan_source(plan, index, room, &list, &source);
    atomic_store(&slot->index, index);
    if (!plan_pairs(s, &source, &pairs)) {
        return;
    }
    if (done == 0) {
        atomic_fetch_add(&slot->pairs, pairs.count);
        atomic_fetch_add(&slot->pairs_fresh, pairs.fresh);
    }
    uint64_t end = pairs.count < plan->pairs_max ? pairs.count : plan->pairs_max;
    list.count = 2;
    slot->more_count = 1;
    for (uint64_t k = done; k < end && !atomic_load(&s->crew->board->stop); k++) {
        room[1] = slot->more[0] = sim_pairs_second(&pairs, (size_t)k);
        atomic_store(&slot->path, k + 1);
        atomic_fetch_add(&slot->pairs_played, 1);
        atomic_fetch_add(&slot->fresh_played, k < pairs.fresh);
        play_source(s, index, &source, false, &outcome);
    }
    atomic_store(&slot->path, 0);
    sim_pairs_free(&pairs);
}

/* ---- Trees ---- */

typedef struct climb {
    shift *shift;
    uint64_t index, path;
    sim_deviation room[SIM_MORE_MAX + 1];
    sim_list list;
} climb;

/* Plays the list as it stands, then each of the lists that add one deviation behind its last. Every
 * list is so reached once, by way of its beginnings. */
static void climb_on(climb *c) {
    shift *s = c->shift;
    const sim_plan *plan = s->crew->plan;
    sim_offers offers = {0};
    sim_sweep next = {0};
    sim_outcome outcome;
    sim_source source = {.kind = SIM_LIST, .list = &c->list};
    const sim_deviation *last = &c->list.items[c->list.count - 1];
    s->slot->more_count = (uint32_t)(c->list.count - 1);
    memcpy(s->slot->more, c->room + 1, (c->list.count - 1) * sizeof(c->room[0]));
    atomic_store(&s->slot->path, c->path++);
    s->options.offers = &offers;
    s->options.offer_kinds = plan->more_kinds;
    play_source(s, c->index, &source, false, &outcome);
    s->options.offers = NULL;
    if (outcome.failed) {
        atomic_store(&s->crew->board->stop, true); /* a counter-example is all that is wanted */
    } else if (!sim_sweep_plan_behind(&next, &offers, last)) {
        atomic_store(&s->crew->board->stop, true);
        atomic_fetch_add(&s->slot->cut_off, 1);
    } else if (next.count > 0 && c->list.count >= plan->bound) {
        atomic_fetch_add(&s->slot->cut_off, 1);
        sim_sweep_free(&next);
    }
    sim_offers_free(&offers);
    for (size_t i = 0; i < next.count && !atomic_load(&s->crew->board->stop); i++) {
        c->room[c->list.count++] = sim_sweep_point(&next, i);
        climb_on(c);
        c->list.count--;
    }
    sim_sweep_free(&next);
}

static void play_tree(shift *s, uint64_t index) {
    climb *c = calloc(1, sizeof(*c));
    sim_source source;
    if (c == NULL) {
        return;
    }
    c->shift = s;
    c->index = index;
    sim_plan_source(s->crew->plan, index, c->room, &c->list, &source);
    climb_on(c);
    atomic_store(&s->slot->path, 0);
    free(c);
}

/* ---- The shift ---- */

static void play_number(shift *s, uint64_t index) {
    if (s->crew->plan->tree) {
        play_tree(s, index);
    } else if (s->crew->plan->calm) {
        play_pairs(s, index, 0);
    } else {
        play(s, index);
    }
}

void sim_crew_work(crew *c, size_t which, pid_t parent) {
    shift s = {.crew = c, .slot = &c->slots[which], .capture = c->workers[which].capture};
    sim_child_begin(parent, s.capture, NULL);
    s.slot->played = 0;
    s.captured = sim_child_written(s.capture);
    s.options.kind_counts = s.slot->kinds;
    s.options.nameless = true; /* what fails is played again, and named, in a trial */
    s.options.assertion_counts =
        c->assertion_count ? &c->assertions[which * c->assertion_count] : NULL;
    s.runner = sim_runner_new();
    uint64_t unfinished = atomic_load(&s.slot->path);
    if (s.runner && unfinished && c->plan->calm) {
        play_pairs(&s, atomic_load(&s.slot->index), unfinished);
    }
    while (s.runner && !atomic_load(&c->board->stop)) {
        uint64_t next = atomic_fetch_add(&c->board->next, 1);
        if (next >= c->count) {
            break;
        }
        play_number(&s, sim_shard_index(&c->plan->shard, next));
    }
    sim_child_end(s.runner ? 0 : 1);
}
