/* SPDX-License-Identifier: MIT */
/*
 * Single runs: --seed, --replay and --shrink. The whole timeline is shown, and the run is played
 * once more to see that it is deterministic. Called by dw_main.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "differ.h"
#include "finding.h"
#include "session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One run played for a person: the timeline, what the program printed, and the run once more to see
 * that it is deterministic. False: the system gives no process or memory. */
static bool play_shown(sim_session *s, const dw_scenario *scenario, const sim_source *source,
                       sim_trial *trial, sim_outcome *outcome) {
    sim_request request = {.source = *source, .timeline = true, .colour = s->report.colour};
    if (!sim_trial_run(trial, &request, outcome)) {
        sim_session_error(s, "cannot play the run");
        return false;
    }
    const sim_timeline *timeline = sim_trial_timeline(trial);
    sim_report full = s->report;
    full.full_timeline = true;
    if (!s->o.quiet || outcome->failed) {
        fprintf(s->report.out, "%s:\n", scenario->name);
        sim_report_timeline(&full, timeline);
        sim_report_output(&s->report, sim_trial_output(trial));
    }
    return true;
}

static bool plays_the_same(sim_session *s, const dw_scenario *scenario, const sim_source *source,
                           sim_trial *trial, const sim_outcome *first) {
    sim_outcome second;
    sim_request request = {.source = *source};
    if (sim_finding_is_deadly(first)) {
        return true; /* its hash died with it */
    }
    if (!sim_trial_run(trial, &request, &second)) {
        sim_session_error(s, "cannot play the run again");
        return true;
    }
    if (second.hash == first->hash) {
        return true;
    }
    sim_session_tell_differs(s, scenario->name, "the run went two ways when played twice", NULL);
    return false;
}

static void print_result(sim_session *s, const char *name, const sim_outcome *outcome) {
    if (outcome->failed) {
        s->failed = true;
        sim_report_sentence(&s->report, name, outcome);
    }
    fprintf(s->report.out, "%s: %s; %" PRIu64 " deviation%s", name,
            outcome->failed ? "failed" : "held", outcome->deviations,
            outcome->deviations == 1 ? "" : "s");
    if (!sim_finding_is_deadly(outcome)) { /* else these died with the process */
        fprintf(s->report.out,
                ", %" PRIu64 " events, %" PRId64 ".%03" PRId64
                " s of virtual time, hash %016" PRIx64,
                outcome->events, outcome->virtual_time / DW_SEC(1),
                outcome->virtual_time % DW_SEC(1) / DW_MSEC(1), outcome->hash);
    }
    fputc('\n', s->report.out);
}

static void play_seed(sim_session *s, size_t which) {
    const dw_scenario *scenario = &s->scenarios[which];
    sim_outcome outcome;
    sim_plan plan = {
        .scenario = scenario,
        .count = 1,
        .first_seed = s->o.seed,
        .kinds = sim_session_kinds(s, which),
    };
    sim_source source = {.kind = SIM_SEED, .seed = s->o.seed, .kinds = plan.kinds};
    sim_trial *trial =
        sim_trial_new(scenario, s->o.no_fork ? SIM_TRIAL_IN_PROCESS : SIM_TRIAL_STAYS);
    if (!trial) {
        sim_session_error(s, "cannot play the run");
    } else if (play_shown(s, scenario, &source, trial, &outcome)) {
        print_result(s, scenario->name, &outcome);
        if (!plays_the_same(s, scenario, &source, trial, &outcome)) {
            sim_differ_print(s->report.out, &plan, 0, 0);
        }
    }
    sim_trial_free(trial);
}

int sim_session_seed(sim_session *s) {
    for (size_t i = 0; i < s->count && !s->error; i++) {
        if (sim_options_choose(&s->o, s->scenarios, s->count, i)) {
            play_seed(s, i);
        }
    }
    return sim_session_status(s);
}

/* The scenario in the weather that the file names, or else in its own; NULL: the error was told. */
static const dw_scenario *in_weather(sim_session *s, const dw_scenario *scenario,
                                     const sim_runfile *file) {
    char why[SIM_OPTIONS_ERROR];
    char error[SIM_RUNFILE_ERROR + SIM_OPTIONS_ERROR];
    if (!file->weather[0]) {
        return scenario;
    }
    if (!sim_weather_check(file->weather, why)) {
        snprintf(error, sizeof(error), "%.300s: %s", s->o.file, why);
        sim_session_complain(s, error);
        return NULL;
    }
    s->in_weather = malloc(sizeof(*s->in_weather));
    if (!s->in_weather) {
        sim_session_error(s, "cannot play the run");
        return NULL;
    }
    *s->in_weather = *scenario;
    s->in_weather->weather = file->weather;
    return s->in_weather;
}

/* Reads --replay's or --shrink's file and finds its scenario; NULL: the error was told. */
static const dw_scenario *open_file(sim_session *s, sim_runfile *file) {
    char error[SIM_RUNFILE_ERROR + SIM_OPTIONS_ERROR];
    if (!sim_runfile_read(s->o.file, file, error)) {
        sim_session_complain(s, error);
        return NULL;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->scenarios[i].name, file->scenario) == 0) {
            return in_weather(s, &s->scenarios[i], file);
        }
    }
    char names[SIM_OPTIONS_ERROR];
    sim_scenario_names(s->scenarios, s->count, names, sizeof(names));
    snprintf(error, sizeof(error), "%.300s: there is no scenario '%s'; there are: %s", s->o.file,
             file->scenario, names);
    sim_session_complain(s, error);
    return NULL;
}

static int by_draw(const void *a, const void *b) {
    const sim_deviation *x = a, *y = b;
    int order = strcmp(x->who, y->who);
    order = order ? order : strcmp(x->what, y->what);
    return order ? order : (x->nth > y->nth) - (x->nth < y->nth);
}

static void print_one(sim_session *s, const sim_deviation *d, const char *taken_as) {
    sim_list one = {.items = (sim_deviation *)(uintptr_t)d, .count = 1};
    if (taken_as) {
        fprintf(s->report.out, "taken as %s: ", taken_as);
    } else {
        fprintf(s->report.out, "not reached: ");
    }
    sim_runfile_print_list(s->report.out, &one, "");
}

/* Lines of the file that the run never came to, or could not take as they stand; of very many the
 * first. `taken` is sorted by draw. */
static void print_not_taken_of(sim_session *s, const sim_runfile *file, const sim_list *taken) {
    size_t left_out = 0, shown = 0;
    for (size_t i = 0; i < file->list.count; i++) {
        const sim_deviation *d = &file->list.items[i];
        const sim_deviation *t =
            taken->count ? bsearch(d, taken->items, taken->count, sizeof(*d), by_draw) : NULL;
        char value[32];
        if (t && t->value == d->value) {
            continue;
        }
        if (shown == SIM_REPORT_LIST) {
            left_out++;
        } else {
            print_one(s, d, t ? sim_runfile_value(t, value) : NULL);
            shown++;
        }
    }
    if (left_out) {
        fprintf(s->report.out, "... and %zu more that were not reached or taken as they stand\n",
                left_out);
    }
}

static void print_not_taken(sim_session *s, const sim_runfile *file, const sim_list *taken) {
    sim_list sorted = {0};
    if (file->list.count == 0) {
        return;
    }
    if (!sim_list_copy(&sorted, taken)) {
        sim_session_error(s, "cannot compare the deviations");
        return;
    }
    if (sorted.count) {
        qsort(sorted.items, sorted.count, sizeof(*sorted.items), by_draw);
    }
    print_not_taken_of(s, file, &sorted);
    sim_list_free(&sorted);
}

static void print_expectation(sim_session *s, const sim_runfile *file, const sim_outcome *outcome) {
    FILE *out = s->report.out;
    if (file->has_expect && outcome->failed) {
        bool same = strcmp(file->oracle, outcome->oracle) == 0 &&
                    strcmp(file->message, outcome->message) == 0;
        fprintf(out, same ? "this is the failure that %s expects\n" : "%s expects another failure",
                s->o.file);
        if (!same) {
            fprintf(out, ": %s: %s\n", file->oracle, file->message);
        }
    } else if (file->has_expect) {
        fprintf(out, "it held; %s expects: %s: %s\n", s->o.file, file->oracle, file->message);
    }
    if (file->has_hash && file->hash != outcome->hash && !sim_finding_is_deadly(outcome)) {
        fprintf(out,
                "the hash is not the one that was recorded (%016" PRIx64
                "): the program has changed since\n",
                file->hash);
    }
}

static int replay(sim_session *s, const dw_scenario *scenario, const sim_runfile *file) {
    sim_outcome outcome;
    sim_source source = {.kind = SIM_LIST, .list = &file->list};
    sim_trial *trial =
        sim_trial_new(scenario, s->o.no_fork ? SIM_TRIAL_IN_PROCESS : SIM_TRIAL_STAYS);
    if (!trial) {
        sim_session_error(s, "cannot play the run");
    } else if (play_shown(s, scenario, &source, trial, &outcome)) {
        print_not_taken(s, file, sim_trial_taken(trial));
        print_result(s, scenario->name, &outcome);
        print_expectation(s, file, &outcome);
        plays_the_same(s, scenario, &source, trial, &outcome);
    }
    sim_trial_free(trial);
    return sim_session_status(s);
}

int sim_session_replay(sim_session *s) {
    sim_runfile file = {0};
    const dw_scenario *scenario = open_file(s, &file);
    int status = scenario ? replay(s, scenario, &file) : SIM_EXIT_USAGE;
    sim_runfile_free(&file);
    return status;
}

/* "dir/name.run" becomes "dir/name.min.run". */
static void minimal_path(char path[SIM_CASE_PATH], const char *from) {
    size_t len = strlen(from);
    size_t stem = len > 4 && strcmp(from + len - 4, ".run") == 0 ? len - 4 : len;
    snprintf(path, SIM_CASE_PATH, "%.*s.min.run", (int)(stem < 900 ? stem : 900), from);
}

static bool can_write_beside(sim_session *s, const char *path) {
    char directory[SIM_CASE_PATH];
    char error[SIM_RUNFILE_ERROR];
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) : 0;
    snprintf(directory, sizeof(directory), "%.*s%s", len, path, slash ? (len ? "" : "/") : ".");
    if (!sim_runfile_can_write_in(directory, error)) {
        sim_session_complain(s, error);
        return false;
    }
    return true;
}

static int shrink_file(sim_session *s, const dw_scenario *scenario, const sim_runfile *file) {
    char path[SIM_CASE_PATH];
    sim_outcome outcome;
    sim_case_plan job = {
        .scenario = scenario,
        .source = {.kind = SIM_LIST, .list = &file->list},
        .expected = &outcome,
        .path = path,
        .colour = s->report.colour,
    };
    sim_request request = {.source = job.source};
    minimal_path(path, s->o.file);
    if (!can_write_beside(s, path)) {
        return SIM_EXIT_USAGE;
    }
    sim_trial *trial = sim_trial_new(scenario, SIM_TRIAL_FRESH);
    bool played = trial && sim_trial_run(trial, &request, &outcome);
    sim_trial_free(trial);
    if (!played) {
        sim_session_error(s, "cannot play the run");
    } else if (!outcome.failed) {
        fprintf(s->report.out, "%s: it does not fail: there is nothing to shrink\n", s->o.file);
    } else {
        print_expectation(s, file, &outcome);
        sim_session_tell_case(s, &job, s->o.file, 1);
    }
    return sim_session_status(s);
}

int sim_session_shrink_file(sim_session *s) {
    sim_runfile file = {0};
    const dw_scenario *scenario = open_file(s, &file);
    int status = scenario ? shrink_file(s, scenario, &file) : SIM_EXIT_USAGE;
    sim_runfile_free(&file);
    return status;
}
