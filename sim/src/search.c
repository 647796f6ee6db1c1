/* SPDX-License-Identifier: MIT */
/*
 * Searches: the seeds and the sweeps of the chosen scenarios, one after the other, each on all
 * workers. What they find is told as soon as a scenario is through. Called by dw_main.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "child.h"
#include "differ.h"
#include "progress.h"
#include "session.h"

#include <inttypes.h>

/* Distinct failures of one scenario that are shrunk and told at length. */
enum { CASES_MAX = 5 };

/* What run `index` of the plan is called, in words and in file names. */
static void name_run(const sim_plan *plan, uint64_t index, char *origin, size_t size, char *suffix,
                     size_t suffix_size) {
    if (plan->sweep) {
        sim_deviation point = sim_sweep_point(plan->sweep, (size_t)index);
        char value[32];
        snprintf(origin, size, "sweep point %" PRIu64 ", %s %s", index, point.what,
                 sim_runfile_value(&point, value));
        snprintf(suffix, suffix_size, "sweep-%" PRIu64, index);
    } else {
        snprintf(origin, size, "seed 0x%" PRIx64, plan->first_seed + index);
        snprintf(suffix, suffix_size, "%" PRIx64, plan->first_seed + index);
    }
}

static void tell_found(sim_session *s, const sim_plan *plan, const sim_found *found) {
    char origin[128];
    char suffix[64];
    char path[SIM_CASE_PATH];
    sim_deviation room;
    sim_list list;
    sim_case_plan job = {
        .scenario = plan->scenario,
        .expected = &found->outcome,
        .path = path,
        .no_shrink = s->o.no_shrink,
        .colour = s->report.colour,
    };
    sim_plan_source(plan, found->index, &room, &list, &job.source);
    name_run(plan, found->index, origin, sizeof(origin), suffix, sizeof(suffix));
    sim_case_path(path, s->o.out_dir, plan->scenario->name, suffix);
    if (sim_session_tell_case(s, &job, origin, found->times) == SIM_CASE_DIFFERS) {
        sim_differ_print(s->report.out, plan, found->index, 0);
    }
}

static void tell_briefly(sim_session *s, const sim_plan *plan, const sim_found *found) {
    char origin[128];
    char suffix[64];
    name_run(plan, found->index, origin, sizeof(origin), suffix, sizeof(suffix));
    s->failed = true;
    fprintf(s->report.out, "also FAILED %s: %s: %s (%s; %" PRIu64 " runs), not shrunk\n",
            plan->scenario->name, found->outcome.oracle, found->outcome.message, origin,
            found->times);
}

static void tell_all_found(sim_session *s, const sim_plan *plan, const sim_tally *tally) {
    if (tally->differs) {
        char origin[128];
        char suffix[64];
        char line[160];
        name_run(plan, tally->differs_index, origin, sizeof(origin), suffix, sizeof(suffix));
        snprintf(line, sizeof(line), "%s went two ways when played twice", origin);
        sim_session_tell_differs(s, plan->scenario->name, line, NULL);
        sim_differ_print(s->report.out, plan, tally->differs_index, tally->differs_before);
    }
    for (size_t i = 0; i < tally->found_count && !s->error; i++) {
        if (i < CASES_MAX) {
            tell_found(s, plan, &tally->found[i]);
        } else {
            tell_briefly(s, plan, &tally->found[i]);
        }
        fflush(s->report.out);
    }
    if (tally->found_more) {
        fprintf(s->report.out, "%s: there are more than %d distinct failures\n",
                plan->scenario->name, SIM_FOUND_MAX);
    }
}

/* The time left is shared out evenly among the scenarios still to come. */
static dw_time scenario_deadline(const sim_session *s) {
    if (!s->deadline) {
        return 0;
    }
    dw_time now = sim_wall_now();
    dw_time left = s->deadline > now ? s->deadline - now : 0;
    return now + left / (dw_time)(s->scenarios_left ? s->scenarios_left : 1);
}

static void search(sim_session *s, const sim_plan *plan) {
    sim_tally tally;
    sim_pool pool = {.jobs = s->o.jobs, .deadline = scenario_deadline(s)};
    sim_progress progress = {.name = plan->scenario->name, .colour = sim_terminal_colour(stderr)};
    progress.ends_in = pool.deadline ? pool.deadline - sim_wall_now() : 0;
    if (!s->o.quiet && sim_terminal(stderr)) {
        pool.progress = sim_progress_show;
        pool.user = &progress;
    }
    bool good = sim_workers_run(plan, &pool, &tally);
    sim_progress_clear(&progress);
    if (!good) {
        sim_session_error(s, "cannot start worker processes");
    } else {
        sim_report_summary(&s->report, plan->scenario->name, &tally, plan->count);
        s->failed = s->failed || tally.failures;
        s->out_of_time = s->out_of_time || tally.end == SIM_OUT_OF_TIME;
        s->cut_short = s->cut_short || tally.end != SIM_ALL_PLAYED;
        if (!sim_tally_add(&s->sum, &tally)) {
            sim_session_error(s, "cannot add up");
        }
        tell_all_found(s, plan, &tally);
    }
    sim_tally_free(&tally);
}

static void search_seeds(sim_session *s, const dw_scenario *scenario) {
    uint64_t own = scenario->seeds ? scenario->seeds : SIM_SEEDS_DEFAULT;
    sim_plan plan = {
        .scenario = scenario,
        .count = s->o.seeds_given ? s->o.seeds
                 : s->o.run_for   ? UINT64_MAX
                                  : own,
        .first_seed = s->o.first_seed,
        .kinds = sim_session_kinds(scenario),
    };
    search(s, &plan);
}

static void tell_calm_failure(sim_session *s, const dw_scenario *scenario,
                              const sim_outcome *outcome) {
    char path[SIM_CASE_PATH];
    sim_case_path(path, s->o.out_dir, scenario->name, "calm");
    sim_case_plan job = {
        .scenario = scenario,
        .source = {.kind = SIM_CALM},
        .expected = outcome,
        .path = path,
        .colour = s->report.colour,
    };
    fprintf(s->report.out, "%s: the calm run fails; nothing is swept\n", scenario->name);
    sim_session_tell_case(s, &job, "the calm run", 1);
}

static void print_points(sim_session *s, const dw_scenario *scenario, const sim_sweep *sweep) {
    fprintf(s->report.out, "%s: sweep of %zu points:", scenario->name, sweep->count);
    const char *comma = "";
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if (s->o.sweep_kinds & (UINT32_C(1) << kind)) {
            fprintf(s->report.out, "%s %s %" PRIu64, comma, sim_kind_name((sim_kind)kind),
                    sweep->per_kind[kind]);
            s->points[kind] += sweep->per_kind[kind];
            comma = ",";
        }
    }
    fputc('\n', s->report.out);
    if (sweep->cut_off) {
        fprintf(s->report.out, "%s: there are more points: only the first %d are played\n",
                scenario->name, SIM_SWEEP_POINTS_MAX);
    }
    fflush(s->report.out);
}

static void sweep_scenario(sim_session *s, const dw_scenario *scenario) {
    sim_outcome outcome;
    sim_sweep sweep = {0};
    sim_request request = {.source = {.kind = SIM_CALM}, .offer_kinds = s->o.sweep_kinds};
    sim_trial *trial = sim_trial_new(scenario, SIM_TRIAL_FRESH);
    if (!trial || !sim_trial_run(trial, &request, &outcome)) {
        sim_session_error(s, "cannot play the calm run");
    } else if (outcome.failed) {
        s->cut_short = true;
        tell_calm_failure(s, scenario, &outcome);
    } else if (!sim_sweep_plan(&sweep, sim_trial_offers(trial))) {
        sim_session_error(s, "cannot plan the sweep");
    } else {
        sim_plan plan = {.scenario = scenario, .count = sweep.count, .sweep = &sweep};
        print_points(s, scenario, &sweep);
        sim_trial_free(trial);
        trial = NULL;
        if (sweep.count) {
            search(s, &plan);
        }
    }
    sim_trial_free(trial);
    sim_sweep_free(&sweep);
}

/* A kind that never fired proves nothing, and must not look as if it did. */
static void check_sweep(sim_session *s) {
    uint64_t all = 0;
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        all += s->points[kind];
    }
    for (int kind = 0; kind < SIM_KIND_COUNT && !s->cut_short; kind++) {
        if (!(s->o.sweep_kinds & (UINT32_C(1) << kind)) || (s->o.sweep_all && all)) {
            continue;
        }
        if (s->points[kind] == 0) {
            s->failed = true;
            fprintf(s->report.out,
                    "FAILED sweep: no run offers a point of kind '%s': nothing of "
                    "it was tested\n",
                    sim_kind_name((sim_kind)kind));
        } else if (s->sum.kinds[kind] == 0) {
            s->failed = true;
            fprintf(s->report.out,
                    "FAILED sweep: %" PRIu64 " points of kind '%s' were played, "
                    "none took effect\n",
                    s->points[kind], sim_kind_name((sim_kind)kind));
        }
    }
}

static void check_unreached(sim_session *s) {
    bool all_ran = s->o.filter_count == 0 && !s->cut_short;
    size_t unreached = sim_report_unreached(&s->report, &s->sum, all_ran);
    s->failed = s->failed || (unreached && s->o.strict);
}

int sim_session_search(sim_session *s) {
    char error[SIM_RUNFILE_ERROR];
    if (!sim_runfile_can_write_in(s->o.out_dir, error)) {
        return sim_session_complain(s, error);
    }
    sim_workers_catch_interrupt();
    s->deadline = s->o.run_for ? sim_wall_now() + s->o.run_for : 0;
    for (size_t i = 0; i < s->count; i++) {
        s->scenarios_left += sim_options_choose(&s->o, s->scenarios, s->count, i);
    }
    for (size_t i = 0; i < s->count && !s->error && !sim_workers_interrupted(); i++) {
        if (!sim_options_choose(&s->o, s->scenarios, s->count, i)) {
            continue;
        }
        if (s->o.mode == SIM_MODE_SWEEP) {
            sweep_scenario(s, &s->scenarios[i]);
        } else {
            search_seeds(s, &s->scenarios[i]);
        }
        s->scenarios_left--;
        fflush(s->report.out);
    }
    if (s->o.mode == SIM_MODE_SWEEP && !s->error) {
        check_sweep(s);
    }
    if (s->sum.assertions && !s->error) {
        check_unreached(s);
    }
    sim_tally_free(&s->sum);
    return sim_session_status(s);
}
