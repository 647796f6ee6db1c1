/* SPDX-License-Identifier: MIT */
/* The runner's command line. Reading it starts nothing: whatever is wrong is said before any work.
 */
#ifndef DRYWIRE_SIM_OPTIONS_H
#define DRYWIRE_SIM_OPTIONS_H

#include "drywire/scenario.h"
#include "shard.h"

#include <stdio.h>

enum {
    SIM_FILTERS_MAX = 1024,
    SIM_OPTIONS_ERROR = 512,
    SIM_SEEDS_DEFAULT = 1000,
    SIM_PAIRS_DEFAULT = 200000
};

typedef enum sim_mode {
    SIM_MODE_SEEDS,
    SIM_MODE_ONE_SEED,
    SIM_MODE_SWEEP,
    SIM_MODE_EXHAUSTIVE,
    SIM_MODE_REPLAY,
    SIM_MODE_SHRINK,
    SIM_MODE_MERGE,
    SIM_MODE_LIST,
    SIM_MODE_HELP,
    SIM_MODE_VERSION,
} sim_mode;

/* Strings are borrowed from argv. */
typedef struct sim_options {
    sim_mode mode;
    const char *mode_option; /* the option that chose it, NULL for the default */
    const char *program;
    const char *filters[SIM_FILTERS_MAX];
    size_t filter_count;
    uint64_t seed, seeds, first_seed;
    bool seeds_given, first_seed_given;
    unsigned jobs;
    dw_time run_for; /* 0: no limit */
    dw_time at_most; /* Bazel's limit for the test: to be through, or have told why not; 0: none */
    uint32_t sweep_kinds;
    unsigned depth;     /* of a sweep: 1, or 2 */
    uint64_t pairs_max; /* at depth 2 */
    bool pairs_given;
    uint64_t bound;   /* deviations per run of an exhaustive search; 0: as many as can be */
    bool sweep_all;   /* every kind was asked for by one word */
    const char *file; /* of --replay, --shrink */
    const char *out_dir;
    sim_shard shard;
    const char *junit, *results; /* files to write; NULL: none */
    const char *config;          /* NULL: the default, if it is there; "none": none */
    const char *weather;         /* NULL: as drywire.conf and the scenarios say */
    uint64_t repetition;         /* Bazel's --runs_per_test: the n-th of them, from 0 */
    bool no_shrink, quiet, full_timeline, strict, no_fork, report, tap;
} sim_options;

/* False: `error` says in one line what is wrong. */
bool sim_options_parse(int argc, char **argv, sim_options *options, char error[SIM_OPTIONS_ERROR]);

/* Fills in what the command line left open from the variables of CI systems and of Bazel. False:
 * they make no sense; `error` says how. */
bool sim_options_from_environment(sim_options *options, char error[SIM_OPTIONS_ERROR]);

/* Makes Bazel's file that stands for a test which has not come to its end, or removes it. */
void sim_premature_exit_file(bool begins);

/* Whether the filters choose this scenario. A filter that is one's whole name chooses only that. */
bool sim_options_choose(const sim_options *options, const dw_scenario *scenarios, size_t count,
                        size_t which);

/* False: a filter chooses none; `error` lists what there is. */
bool sim_options_check_filters(const sim_options *options, const dw_scenario *scenarios,
                               size_t count, char error[SIM_OPTIONS_ERROR]);

void sim_options_help(FILE *out, const char *program);

/* Whether there is a weather of that name; if not, `error` says so and which there are. */
bool sim_weather_check(const char *name, char error[SIM_OPTIONS_ERROR]);

/* Writes "name, name, ..." of the scenarios, cut to size with "...". */
void sim_scenario_names(const dw_scenario *scenarios, size_t count, char *text, size_t size);

#endif
