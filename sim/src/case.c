/* SPDX-License-Identifier: MIT */
/*
 * Makes a case of a failure: run again, shrink, run once more for the timeline, write the run file.
 * Its one invariant: what is written has failed in just that way in a process of its own. Called by
 * the runner and by the Check glue for each distinct failure.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "case.h"
#include "finding.h"
#include "runner_child.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct build {
    const sim_case_plan *plan;
    sim_case *c;
    sim_trial *trial;
    bool deadly, hang;
    dw_time begun;
} build;

static sim_case_end failed(build *b, const char *doing) {
    snprintf(b->c->error, sizeof(b->c->error), "%s: %s", doing, strerror(errno));
    return SIM_CASE_ERROR;
}

static sim_case_end differs(build *b, const char *how, const sim_outcome *instead) {
    if (instead->failed) {
        snprintf(b->c->error, sizeof(b->c->error), "%s it fails in another way: %s: %s", how,
                 instead->oracle, instead->message);
    } else {
        snprintf(b->c->error, sizeof(b->c->error), "%s it holds", how);
    }
    return SIM_CASE_DIFFERS;
}

/* A hang that is being shrunk has another time limit in its message. */
static bool is_same(const build *b, const sim_outcome *outcome) {
    if (b->hang) {
        return outcome->failed && strcmp(outcome->oracle, "hang") == 0;
    }
    return sim_finding_same(outcome, b->plan->expected);
}

static bool attempt_fails(void *user, const sim_list *list, const sim_list **taken) {
    build *b = user;
    sim_outcome outcome;
    sim_request request = {
        .source = {.kind = SIM_LIST, .list = list},
        .hang_s = b->hang ? SIM_CASE_HANG_S : 0,
    };
    if (!sim_trial_run(b->trial, &request, &outcome) || !is_same(b, &outcome)) {
        return false;
    }
    *taken = sim_trial_taken(b->trial);
    return true;
}

/* Dead children keep no account of their CPU time, so there wall time must do. */
static dw_time spent(void *user) {
    const build *b = user;
    return b->deadly ? sim_wall_now() - b->begun : sim_trial_cpu(b->trial);
}

static sim_case_end confirm(build *b) {
    sim_outcome first;
    sim_outcome second;
    sim_request request = {.source = b->plan->source};
    if (!sim_trial_run(b->trial, &request, &first)) {
        return failed(b, "cannot run it again");
    }
    if (!sim_finding_same(&first, b->plan->expected)) {
        return differs(b, "run again alone, in a fresh process,", &first);
    }
    b->c->list_cut = !sim_trial_taken_all(b->trial);
    if (!sim_list_copy(&b->c->list, sim_trial_taken(b->trial))) {
        return failed(b, "cannot keep its deviations");
    }
    b->c->outcome = first;
    request.source = (sim_source){.kind = SIM_LIST, .list = &b->c->list};
    if (!sim_trial_run(b->trial, &request, &second)) {
        return failed(b, "cannot run it again");
    }
    if (!sim_finding_same(&first, &second) || (!b->deadly && first.hash != second.hash)) {
        return differs(b, "run again from the list of its deviations", &second);
    }
    return SIM_CASE_READY;
}

static void shrink(build *b) {
    sim_shrink_test test = {.fails = attempt_fails, .spent = spent, .user = b};
    sim_shrink_budget budget = {.attempts = b->hang ? SIM_CASE_HANG_ATTEMPTS : 0};
    b->c->shrunk = true;
    b->begun = sim_wall_now();
    b->c->shrink_end = sim_shrink(&b->c->list, &test, &budget, &b->c->shrink_stats);
}

/* The final list once more, with everything that is worth showing. */
static sim_case_end keep(build *b) {
    sim_case *c = b->c;
    sim_request request = {
        .source = {.kind = SIM_LIST, .list = &c->list},
        .timeline = true,
        .colour = b->plan->colour,
    };
    sim_trial_renew(b->trial);
    if (!sim_trial_run(b->trial, &request, &c->outcome)) {
        return failed(b, "cannot run it again");
    }
    if (!sim_finding_same(&c->outcome, b->plan->expected)) {
        return differs(b, "run again in a fresh process from the shrunk list", &c->outcome);
    }
    c->timeline = sim_trial_take_timeline(b->trial);
    c->output = strdup(sim_trial_output(b->trial));
    return c->output ? SIM_CASE_READY : failed(b, "cannot keep its output");
}

static sim_case_end write_file(build *b) {
    sim_case *c = b->c;
    sim_runfile file = {.list = c->list, .has_expect = true, .hash = c->outcome.hash};
    file.has_hash = !b->deadly;
    const dw_scenario *scenario = b->plan->scenario;
    snprintf(file.scenario, sizeof(file.scenario), "%s", scenario->name);
    snprintf(file.weather, sizeof(file.weather), "%s", scenario->weather ? scenario->weather : "");
    snprintf(file.oracle, sizeof(file.oracle), "%s", c->outcome.oracle);
    snprintf(file.message, sizeof(file.message), "%s", c->outcome.message);
    c->written = sim_runfile_write(b->plan->path, &file, c->error);
    return c->written ? SIM_CASE_READY : SIM_CASE_ERROR;
}

sim_case_end sim_case_build(sim_case *c, const sim_case_plan *plan) {
    build b = {.plan = plan, .c = c, .deadly = sim_finding_is_deadly(plan->expected)};
    b.hang = strcmp(plan->expected->oracle, "hang") == 0;
    b.trial = sim_trial_new(plan->scenario, b.deadly ? SIM_TRIAL_FRESH : SIM_TRIAL_STAYS);
    if (!b.trial) {
        return failed(&b, "cannot run it again");
    }
    sim_case_end end = confirm(&b);
    c->list_before = c->list.count;
    if (end == SIM_CASE_READY && !plan->no_shrink && !c->list_cut) {
        shrink(&b);
    }
    end = end == SIM_CASE_READY ? keep(&b) : end;
    if (end == SIM_CASE_READY && plan->path) {
        end = write_file(&b);
    }
    sim_trial_free(b.trial);
    return end;
}

void sim_case_free(sim_case *c) {
    sim_list_free(&c->list);
    sim_timeline_free(&c->timeline);
    free(c->output);
    c->output = NULL;
}

void sim_case_path(char path[SIM_CASE_PATH], const char *directory, const dw_scenario *scenario,
                   const char *suffix) {
    char plain[SIM_RUNFILE_NAME_MAX + SIM_RUNFILE_WEATHER_MAX];
    snprintf(plain, sizeof(plain), "%s%s%s", scenario->name, scenario->weather ? "-" : "",
             scenario->weather ? scenario->weather : "");
    for (char *c = plain; *c; c++) {
        bool fine = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_' || *c == '.' || *c == '-';
        *c = fine ? *c : '-';
    }
    snprintf(path, SIM_CASE_PATH, "%.700s/%s-%.100s.run", directory, plain, suffix);
}
