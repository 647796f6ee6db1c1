/* SPDX-License-Identifier: MIT */
/*
 * Explains a run that is not deterministic. The first try is in a fresh process; the next ones in
 * the same process, at once and then after other runs, since what differs is most often something
 * that outlives a run. Called when a worker's or a replay's hashes disagree.
 */
#include "differ.h"
#include "trial.h"

#include <inttypes.h>
#include <string.h>

enum { TRIES = 4, OTHER_RUNS_MAX = 500 };

typedef struct differ {
    FILE *out;
    const sim_plan *plan;
    uint64_t index;
    sim_trial *trial;
} differ;

static bool play(differ *d, uint64_t index, sim_timeline *timeline) {
    sim_deviation room;
    sim_list list;
    sim_outcome outcome;
    sim_request request = {.timeline = timeline != NULL};
    sim_plan_source(d->plan, index, &room, &list, &request.source);
    if (!sim_trial_run(d->trial, &request, &outcome)) {
        return false;
    }
    if (timeline) {
        *timeline = sim_trial_take_timeline(d->trial);
    }
    return true;
}

static size_t first_difference(const sim_timeline *a, const sim_timeline *b) {
    size_t count = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < count; i++) {
        if (a->lines[i].hash != b->lines[i].hash || strcmp(a->lines[i].text, b->lines[i].text)) {
            return i;
        }
    }
    return count;
}

static bool show(differ *d, const sim_timeline *a, const sim_timeline *b) {
    size_t at = first_difference(a, b);
    if (at == a->count && at == b->count) {
        return false;
    }
    fprintf(d->out, "  the first event that differs is line %zu of the timeline:\n", at + 1);
    if (at) {
        fprintf(d->out, "    before  %s\n", a->lines[at - 1].text);
    }
    fprintf(d->out, "    once    %s\n", at < a->count ? a->lines[at].text : "(the run has ended)");
    fprintf(d->out, "    then    %s\n", at < b->count ? b->lines[at].text : "(the run has ended)");
    return true;
}

static void play_others(differ *d, uint64_t before) {
    uint64_t count = before < OTHER_RUNS_MAX ? before : OTHER_RUNS_MAX;
    count = count < d->plan->count ? count : d->plan->count;
    for (uint64_t i = 0; i < count && play(d, i, NULL); i++) {
    }
}

static bool search(differ *d, uint64_t before) {
    sim_timeline first = {0};
    bool shown = false;
    if (play(d, d->index, &first)) {
        for (int i = 0; i < TRIES && !shown; i++) {
            sim_timeline again = {0};
            if (i == TRIES - 1) {
                play_others(d, before);
            }
            shown = play(d, d->index, &again) && show(d, &first, &again);
            sim_timeline_free(&again);
        }
    }
    sim_timeline_free(&first);
    return shown;
}

void sim_differ_print(FILE *out, const sim_plan *plan, uint64_t index, uint64_t before) {
    differ d = {.out = out, .plan = plan, .index = index};
    d.trial = sim_trial_new(plan->scenario, SIM_TRIAL_STAYS);
    if (!d.trial || !search(&d, before)) {
        fprintf(out,
                "  it did not happen again in a fresh process; the one in which it did had played "
                "%" PRIu64 " runs before\n",
                before);
    }
    sim_trial_free(d.trial);
    fprintf(out, "  likely causes: a static or global variable that outlives a run, time() or "
                 "rand(),\n  memory that was never set, an order that depends on addresses\n");
}
