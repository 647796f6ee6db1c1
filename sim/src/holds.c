/* SPDX-License-Identifier: MIT */
/*
 * A scenario as one test of somebody else's harness: tries its seeds and tells the first failure in
 * a buffer of fixed size. The sentence, the deviations and the command always fit; the timeline
 * gets what is left. Called by drywire/check.h.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "case.h"
#include "differ.h"
#include "options.h"
#include "report.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 12 };

typedef struct test {
    const dw_scenario *scenario;
    const char *command;
    char *report;
    size_t size;
    char path[SIM_CASE_PATH];
} test;

static bool DW_PRINTF(2, 3) tell(test *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(t->report, t->size, format, args);
    va_end(args);
    return false;
}

/* What `print` writes, as a string the caller frees. NULL without memory. */
static char *printed(void (*print)(const sim_report *r, const void *what), const void *what) {
    char *text = NULL;
    size_t len = 0;
    sim_report r = {.out = open_memstream(&text, &len)};
    if (!r.out) {
        return NULL;
    }
    print(&r, what);
    fclose(r.out);
    return text;
}

static void print_head(const sim_report *r, const void *what) {
    const sim_case *c = what;
    sim_case shown = *c;
    shown.list.count = c->list.count < LISTED_MAX ? c->list.count : LISTED_MAX;
    fprintf(r->out, "%s\n", c->outcome.message);
    fprintf(r->out, "  oracle: %s%s%s\n", c->outcome.oracle, c->outcome.where[0] ? ", at " : "",
            c->outcome.where);
    sim_report_list(r, &shown);
    if (shown.list.count < c->list.count) {
        fprintf(r->out, "    ... and %zu more, in the run file\n",
                c->list.count - shown.list.count);
    }
}

/* As many whole lines of the timeline's end as fit in `room`. */
static const char *timeline_end(const sim_timeline *timeline, size_t room, char *text) {
    size_t used = 0;
    size_t from = timeline->count;
    while (from > 0 && used + strlen(timeline->lines[from - 1].text) + 5 < room) {
        from--;
        used += strlen(timeline->lines[from].text) + 5;
    }
    char *at = text;
    *at = '\0';
    for (size_t i = from; i < timeline->count; i++) {
        at += sprintf(at, "  %c %s\n", timeline->lines[i].marked ? '>' : ' ',
                      timeline->lines[i].text);
    }
    return text;
}

static bool tell_case(test *t, const sim_case *c) {
    static const char title[] = "  the end of the timeline:\n";
    char *head = printed(print_head, c);
    char *lines = malloc(t->size);
    char command[2 * SIM_CASE_PATH + 64] = "";
    char path[SIM_CASE_PATH + 16];
    sim_report_quote(path, sizeof(path), t->path);
    snprintf(command, sizeof(command), "  play it again:\n    DRYWIRE_REPLAY=%s %s\n", path,
             t->command ? t->command : "");
    if (!head || !lines) {
        free(head);
        free(lines);
        return tell(t, "%s: %s\n%s", c->outcome.oracle, c->outcome.message, command);
    }
    size_t fixed = strlen(head) + strlen(command) + sizeof(title) + 1;
    bool room = c->timeline.count && fixed < t->size;
    if (room) {
        timeline_end(&c->timeline, t->size - fixed, lines);
    }
    size_t head_max = t->size > strlen(command) + 1 ? t->size - strlen(command) - 1 : 0;
    tell(t, "%.*s%s%s%s", (int)head_max, head, room ? title : "", room ? lines : "", command);
    free(head);
    free(lines);
    return false;
}

/* ---- Replay ---- */

static bool replay(test *t, const char *path) {
    char error[SIM_RUNFILE_ERROR];
    char why[SIM_OPTIONS_ERROR];
    sim_runfile file = {0};
    sim_outcome outcome;
    if (!sim_runfile_read(path, &file, error)) {
        return tell(t, "%s", error);
    }
    if (strcmp(file.scenario, t->scenario->name) != 0) {
        sim_runfile_free(&file);
        return true; /* the file is about another test */
    }
    if (file.weather[0] && !sim_weather_check(file.weather, why)) {
        sim_runfile_free(&file);
        return tell(t, "%s: %s", path, why);
    }
    dw_scenario scenario = *t->scenario;
    scenario.weather = file.weather[0] ? file.weather : scenario.weather;
    sim_request request = {.source = {.kind = SIM_LIST, .list = &file.list}, .timeline = true};
    sim_trial *trial = sim_trial_new(&scenario, SIM_TRIAL_FRESH);
    bool held = trial && sim_trial_run(trial, &request, &outcome);
    if (!held) {
        tell(t, "cannot play %s: %s", path, strerror(errno));
    } else {
        sim_report r = {.out = stdout, .full_timeline = true};
        fprintf(stdout, "%s:\n", t->scenario->name);
        sim_report_timeline(&r, sim_trial_timeline(trial));
        fflush(stdout);
        held = !outcome.failed;
    }
    if (!held && trial && outcome.failed) {
        sim_case c = {.outcome = outcome, .list = file.list};
        c.timeline = sim_trial_take_timeline(trial);
        snprintf(t->path, sizeof(t->path), "%s", path);
        tell_case(t, &c);
        sim_timeline_free(&c.timeline);
    }
    sim_trial_free(trial);
    sim_runfile_free(&file);
    return held;
}

/* ---- Search ---- */

typedef struct difference {
    const sim_plan *plan;
    const sim_tally *tally;
} difference;

static void print_difference(const sim_report *r, const void *what) {
    const difference *d = what;
    fprintf(r->out, "not deterministic: seed 0x%" PRIx64 " went two ways when played twice\n",
            d->plan->first_seed + d->tally->differs_index);
    sim_differ_print(r->out, d->plan, d->tally->differs_index, d->tally->differs_before);
}

static bool tell_difference(test *t, const sim_plan *plan, const sim_tally *tally) {
    difference d = {plan, tally};
    char *text = printed(print_difference, &d);
    tell(t, "%s", text ? text : "not deterministic");
    free(text);
    return false;
}

static bool tell_found(test *t, const sim_plan *plan, const sim_found *found) {
    char suffix[64];
    const char *directory = getenv("DRYWIRE_OUT");
    snprintf(suffix, sizeof(suffix), "%" PRIx64, plan->first_seed + found->index);
    sim_case_path(t->path, directory && *directory ? directory : ".", t->scenario, suffix);
    sim_case_plan job = {.scenario = t->scenario, .expected = &found->outcome, .path = t->path};
    sim_case c = {0};
    sim_deviation room[SIM_MORE_MAX + 1];
    sim_list list;
    sim_found_source(plan, found, room, &list, &job.source);
    sim_case_end end = sim_case_build(&c, &job);
    if (end == SIM_CASE_READY) {
        tell_case(t, &c);
    } else {
        tell(t, "%s: %s\n  seed 0x%" PRIx64 "; %s\n", found->outcome.oracle, found->outcome.message,
             plan->first_seed + found->index, c.error);
    }
    sim_case_free(&c);
    return false;
}

static uint64_t number_from(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    char *end = NULL;
    unsigned long long number = text ? strtoull(text, &end, 0) : 0;
    return text && *text && !*end && number ? number : otherwise;
}

static bool search(test *t) {
    char bad[SIM_WHAT_MAX];
    sim_tally tally;
    uint64_t jobs = number_from("DRYWIRE_JOBS", sim_workers_default_jobs());
    sim_pool pool = {.jobs = (unsigned)(jobs < SIM_JOBS_MAX ? jobs : SIM_JOBS_MAX)};
    uint64_t seeds = t->scenario->seeds ? t->scenario->seeds : SIM_SEEDS_DEFAULT;
    sim_plan plan = {.scenario = t->scenario, .count = number_from("DRYWIRE_SEEDS", seeds)};
    if (t->scenario->kinds && !sim_kinds_parse(t->scenario->kinds, &plan.kinds, bad)) {
        return tell(t, "there is no kind '%s'; there are: %s", bad, sim_kinds_known());
    }
    if (!sim_workers_run(&plan, &pool, &tally)) {
        return tell(t, "cannot start worker processes: %s", strerror(errno));
    }
    bool held = true;
    if (tally.found_count) {
        held = tell_found(t, &plan, &tally.found[0]);
    } else if (tally.differs) {
        held = tell_difference(t, &plan, &tally);
    }
    sim_tally_free(&tally);
    return held;
}

bool dw_scenario_holds(const dw_scenario *scenario, const char *command, char *report,
                       size_t size) {
    assert(size > 0);
    test t = {.scenario = scenario, .command = command, .report = report, .size = size};
    const char *file = getenv("DRYWIRE_REPLAY");
    const char *weather = getenv("DRYWIRE_WEATHER");
    dw_scenario in_weather = *scenario;
    char why[SIM_OPTIONS_ERROR];
    report[0] = '\0';
    if (file && *file) {
        return replay(&t, file);
    }
    if (weather && *weather) {
        in_weather.weather = weather;
        t.scenario = &in_weather;
        if (!sim_weather_check(weather, why)) {
            return tell(&t, "DRYWIRE_WEATHER: %s", why);
        }
    }
    return search(&t);
}
