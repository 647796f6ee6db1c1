/* SPDX-License-Identifier: MIT */
/*
 * Searches: the seeds and the sweeps of the chosen scenarios, one after the other, each on all
 * workers. What they find is told as soon as a scenario is through. Called by dw_main.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "differ.h"
#include "progress.h"
#include "runner_child.h"
#include "session.h"

#include <inttypes.h>
#include <string.h>

/* Distinct failures of one scenario that are shrunk and told at length. */
enum { CASES_MAX = 5 };

/* What a pair of deviations is called: its number says which it is, for its file's name. */
static void name_pair(const sim_plan *plan, const sim_found *found, char *origin, size_t size,
                      char *suffix, size_t suffix_size) {
    sim_deviation first = sim_sweep_point(plan->sweep, (size_t)found->index);
    char one[32], two[32];
    snprintf(origin, size, "pair %" PRIu64 "+%" PRIu64 ", %.20s %s and %.20s %s", found->index,
             found->path, first.what, sim_runfile_value(&first, one), found->more[0].what,
             sim_runfile_value(&found->more[0], two));
    snprintf(suffix, suffix_size, "pair-%" PRIu64 "-%" PRIu64, found->index, found->path);
}

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
        uint64_t seed = sim_plan_seed(plan, index);
        snprintf(origin, size, "seed 0x%" PRIx64, seed);
        snprintf(suffix, suffix_size, "%" PRIx64, seed);
    }
}

/* A list out of the tree below a point: its number says which it is. */
static void name_list(const sim_found *found, char *origin, size_t size, char *suffix,
                      size_t suffix_size) {
    snprintf(origin, size, "list %" PRIu64 " below point %" PRIu64 ", %u deviations", found->path,
             found->index, (unsigned)found->more_count + 1);
    snprintf(suffix, suffix_size, "list-%" PRIu64 "-%" PRIu64, found->index, found->path);
}

static void name_found(const sim_plan *plan, const sim_found *found, char *origin, size_t size,
                       char *suffix, size_t suffix_size) {
    if (found->path && plan->tree) {
        name_list(found, origin, size, suffix, suffix_size);
    } else if (found->path) {
        name_pair(plan, found, origin, size, suffix, suffix_size);
    } else {
        name_run(plan, found->index, origin, size, suffix, suffix_size);
    }
}

static void tell_found(sim_session *s, const sim_plan *plan, const sim_found *found,
                       sim_record_found *kept) {
    char origin[128];
    char suffix[64];
    char path[SIM_CASE_PATH];
    sim_deviation room[SIM_MORE_MAX + 1];
    sim_list list;
    sim_case_plan job = {
        .scenario = plan->scenario,
        .expected = &found->outcome,
        .path = path,
        .no_shrink = s->o.no_shrink,
        .colour = s->report.colour,
    };
    sim_found_source(plan, found, room, &list, &job.source);
    name_found(plan, found, origin, sizeof(origin), suffix, sizeof(suffix));
    sim_case_path(path, s->o.out_dir, plan->scenario, suffix);
    if (sim_session_tell_case(s, &job, origin, found->times) == SIM_CASE_DIFFERS) {
        sim_differ_print(s->report.out, plan, found->index, 0);
    } else if (kept) {
        sim_record_text(kept->path, sizeof(kept->path), path);
    }
}

/* The failure as the files of results will have it. */
static sim_record_found *keep_found(const sim_plan *plan, const sim_found *found,
                                    sim_record *record) {
    char origin[128];
    char suffix[64];
    name_found(plan, found, origin, sizeof(origin), suffix, sizeof(suffix));
    return record ? sim_record_find(record, &found->outcome, origin, found->times) : NULL;
}

static void tell_briefly(sim_session *s, const sim_plan *plan, const sim_found *found) {
    char origin[128];
    char suffix[64];
    name_found(plan, found, origin, sizeof(origin), suffix, sizeof(suffix));
    s->failed = true;
    fprintf(s->report.out, "also FAILED %s: %s: %s (%s; %" PRIu64 " runs), not shrunk\n",
            plan->scenario->name, found->outcome.oracle, found->outcome.message, origin,
            found->times);
}

static void tell_all_found(sim_session *s, const sim_plan *plan, const sim_tally *tally,
                           sim_record *record) {
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
        sim_record_found *kept = keep_found(plan, &tally->found[i], record);
        if (i < CASES_MAX) {
            tell_found(s, plan, &tally->found[i], kept);
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

static void fill_record(sim_record *record, const sim_plan *plan, const sim_tally *tally) {
    snprintf(record->search, sizeof(record->search), "%s",
             plan->tree    ? "exhaustive"
             : plan->calm  ? "pairs"
             : plan->sweep ? "sweep"
                           : "seeds");
    if (plan->scenario->weather) {
        sim_record_text(record->weather, sizeof(record->weather), plan->scenario->weather);
    }
    record->planned = plan->count;
    record->first_seed = plan->first_seed;
    record->bound = plan->tree ? plan->bound : 0;
    record->cut_off = tally->cut_off;
    record->pairs = tally->pairs;
    record->pairs_fresh = tally->pairs_fresh;
    record->pairs_played = tally->pairs_played;
    record->fresh_played = tally->fresh_played;
    record->runs = tally->runs;
    record->failures = tally->failures;
    record->distinct = tally->distinct;
    record->distinct_more = tally->distinct_more;
    record->wall = tally->wall;
    record->virtual_us = tally->virtual_us;
    memcpy(record->kinds, tally->kinds, sizeof(record->kinds));
    record->through = tally->end == SIM_ALL_PLAYED;
    record->differs = tally->differs;
}

/* Adds up and tells what the pool has brought. */
static void take_in(sim_session *s, const sim_plan *plan, const sim_tally *tally) {
    const char *name = plan->scenario->name;
    sim_record *record = sim_records_add(&s->records, name);
    if (plan->tree) {
        sim_report_tree(&s->report, name, tally, plan->bound);
    } else if (plan->calm) {
        sim_report_pairs(&s->report, name, tally);
    } else {
        sim_report_summary(&s->report, name, tally, sim_shard_count(&plan->shard, plan->count));
    }
    s->failed = s->failed || tally->failures;
    s->out_of_time = s->out_of_time || tally->end == SIM_OUT_OF_TIME;
    s->cut_short = s->cut_short || tally->end != SIM_ALL_PLAYED;
    if (!record || !sim_tally_add(&s->sum, tally)) {
        sim_session_error(s, "cannot add up");
        return;
    }
    fill_record(record, plan, tally);
    record->asked = plan->sweep ? s->o.sweep_kinds : plan->kinds;
    if (s->o.report) {
        sim_report_details(&s->report, record);
    }
    tell_all_found(s, plan, tally, record);
    sim_session_tap(s, record);
}

/* What is not plain from the command line: the part that is played, and the weather. */
static void tell_circumstances(const sim_session *s, const sim_plan *plan) {
    if (plan->scenario->weather) {
        fprintf(s->report.out, "%s: in weather %s\n", plan->scenario->name,
                plan->scenario->weather);
    }
    if (plan->shard.total > 1) {
        fprintf(s->report.out, "%s: shard %" PRIu64 " of %" PRIu64 " (%s)", plan->scenario->name,
                plan->shard.index + 1, plan->shard.total, plan->shard.from);
        if (plan->count != UINT64_MAX) {
            fprintf(s->report.out, ": %" PRIu64 " of %" PRIu64 " %s",
                    sim_shard_count(&plan->shard, plan->count), plan->count,
                    plan->tree || plan->calm ? "deviations to begin with" : "runs");
        }
        fputc('\n', s->report.out);
    }
}

static void search(sim_session *s, const sim_plan *plan) {
    sim_tally tally;
    sim_pool pool = {.jobs = s->o.jobs, .deadline = scenario_deadline(s), .distinct = s->o.report};
    tell_circumstances(s, plan);
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
        /* The calm run, which was played to plan the others, is the first shard's. */
        tally.runs += plan->tree && (plan->shard.total <= 1 || plan->shard.index == 0);
        take_in(s, plan, &tally);
    }
    sim_tally_free(&tally);
}

/* Who wins is said in config.h. */
static sim_plan plan_seeds(const sim_session *s, size_t which) {
    const dw_scenario *scenario = &s->scenarios[which];
    sim_settings settings = sim_config_of(&s->config, which);
    uint64_t own = settings.has_seeds ? settings.seeds
                   : scenario->seeds  ? scenario->seeds
                                      : SIM_SEEDS_DEFAULT;
    uint64_t seeds = s->o.seeds_given ? s->o.seeds : s->o.run_for ? UINT64_MAX : own;
    uint64_t first = s->o.first_seed_given ? s->o.first_seed : settings.first_seed;
    return (sim_plan){
        .scenario = scenario,
        .shard = s->o.shard,
        .known = settings.known,
        .known_count = settings.known_count,
        .count =
            seeds < UINT64_MAX - settings.known_count ? seeds + settings.known_count : UINT64_MAX,
        .first_seed = first + s->o.repetition * (seeds < UINT64_MAX ? seeds : own),
        .kinds = sim_session_kinds(s, which),
    };
}

static void search_seeds(sim_session *s, size_t which) {
    sim_plan plan = plan_seeds(s, which);
    search(s, &plan);
}

static void tell_calm_failure(sim_session *s, const dw_scenario *scenario,
                              const sim_outcome *outcome) {
    char path[SIM_CASE_PATH];
    sim_case_path(path, s->o.out_dir, scenario, "calm");
    sim_case_plan job = {
        .scenario = scenario,
        .source = {.kind = SIM_CALM},
        .expected = outcome,
        .path = path,
        .colour = s->report.colour,
    };
    fprintf(s->report.out, "%s: the calm run fails; nothing else is played\n", scenario->name);
    sim_session_tell_case(s, &job, "the calm run", 1);
    sim_record *record = sim_records_add(&s->records, scenario->name);
    if (record) {
        snprintf(record->search, sizeof(record->search), "sweep");
        record->runs = record->failures = 1;
        sim_record_find(record, outcome, "the calm run", 1);
        sim_session_tap(s, record);
    }
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

/* Pairs are shared out evenly among their first deviations. What one deviation breaks, pairs would
 * only show again. */
static void sweep_pairs(sim_session *s, sim_plan *plan) {
    sim_calm calm = {0};
    if (s->failed) {
        fprintf(s->report.out, "%s: pairs are not played: mend first what one deviation breaks\n",
                plan->scenario->name);
        s->cut_short = true;
    } else if (!sim_calm_note(&calm, plan->sweep->offers, plan->sweep->offer_count)) {
        sim_session_error(s, "cannot plan pairs");
    } else {
        plan->calm = &calm;
        plan->more_kinds = s->o.sweep_kinds;
        plan->pairs_max = s->o.pairs_max / plan->count;
        plan->pairs_max = plan->pairs_max > 0 ? plan->pairs_max : 1;
        search(s, plan);
    }
    sim_calm_free(&calm);
}

/* Every list of deviations of these kinds, but for those that are equal to another: the workers
 * share out the calm run's points, and each climbs the tree below its own. */
static void search_tree(sim_session *s, const dw_scenario *scenario, const sim_sweep *sweep) {
    sim_plan plan = {
        .scenario = scenario,
        .count = sweep->count,
        .shard = s->o.shard,
        .sweep = sweep,
        .tree = true,
        .bound = s->o.bound ? (uint32_t)s->o.bound : SIM_MORE_MAX + 1,
        .more_kinds = s->o.sweep_kinds,
    };
    if (sweep->count) {
        search(s, &plan);
    } else {
        fprintf(s->report.out, "%s: exhaustive: the calm run is all there is, and it held\n",
                scenario->name);
    }
}

static void sweep_depths(sim_session *s, const dw_scenario *scenario, const sim_sweep *sweep) {
    sim_plan plan = {
        .scenario = scenario, .count = sweep->count, .shard = s->o.shard, .sweep = sweep};
    if (sweep->count) {
        search(s, &plan);
    }
    if (sweep->count && s->o.depth == 2 && !s->error && !sim_workers_interrupted()) {
        sweep_pairs(s, &plan);
    }
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
    } else if (s->o.mode == SIM_MODE_EXHAUSTIVE
                   ? !sim_sweep_plan_behind(&sweep, sim_trial_offers(trial), NULL)
                   : !sim_sweep_plan(&sweep, sim_trial_offers(trial))) {
        sim_session_error(s, "cannot plan the sweep");
    } else {
        sim_trial_free(trial);
        trial = NULL;
        if (s->o.mode == SIM_MODE_EXHAUSTIVE) {
            search_tree(s, scenario, &sweep);
        } else {
            print_points(s, scenario, &sweep);
            sweep_depths(s, scenario, &sweep);
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
        } else if (s->sum.kinds[kind] == 0 && s->o.shard.total <= 1) {
            s->failed = true;
            fprintf(s->report.out,
                    "FAILED sweep: %" PRIu64 " points of kind '%s' were played, "
                    "none took effect\n",
                    s->points[kind], sim_kind_name((sim_kind)kind));
        }
    }
}

static void check_unreached(sim_session *s) {
    bool all_ran = !s->left_out && !s->cut_short;
    if (s->o.report) {
        sim_report_assertions(&s->report, &s->sum);
    }
    /* What one shard does not reach another may: their merge says. */
    if (s->o.shard.total <= 1) {
        size_t unreached = sim_report_unreached(&s->report, &s->sum, all_ran);
        s->failed = s->failed || (unreached && s->o.strict);
    }
}

/* `skip` in drywire.conf leaves a scenario out unless it was asked for by name. */
static bool is_chosen(const sim_session *s, size_t which) {
    bool skip = s->o.filter_count == 0 && sim_config_of(&s->config, which).skip;
    return !skip && sim_options_choose(&s->o, s->scenarios, s->count, which);
}

int sim_session_search(sim_session *s) {
    char error[SIM_RUNFILE_ERROR];
    if (!sim_runfile_can_write_in(s->o.out_dir, error)) {
        return sim_session_complain(s, error);
    }
    sim_workers_catch_interrupt();
    dw_time longest = s->o.run_for ? s->o.run_for : s->o.at_most;
    longest = s->o.at_most && s->o.at_most < longest ? s->o.at_most : longest;
    s->deadline = longest ? sim_wall_now() + longest : 0;
    for (size_t i = 0; i < s->count; i++) {
        s->scenarios_left += is_chosen(s, i);
    }
    s->left_out = s->scenarios_left < s->count;
    if (s->terminal) {
        sim_tap_begin(s->terminal);
    }
    for (size_t i = 0; i < s->count && !s->error && !sim_workers_interrupted(); i++) {
        if (!is_chosen(s, i)) {
            continue;
        }
        if (s->o.mode == SIM_MODE_SWEEP || s->o.mode == SIM_MODE_EXHAUSTIVE) {
            sweep_scenario(s, &s->scenarios[i]);
        } else {
            search_seeds(s, i);
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
    sim_session_tap_end(s);
    sim_session_write_files(s);
    sim_tally_free(&s->sum);
    return sim_session_status(s);
}
