/* SPDX-License-Identifier: MIT */
/*
 * Reads the runner's command line from one table. Every error is one line that names the option,
 * what it was given and what it takes. Called once by dw_main.
 */
#include "options.h"
#include "drywire/network.h"
#include "duration.h"
#include "number.h"
#include "sweep.h"
#include "workers.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_COLUMN = 22 };

typedef struct parse {
    sim_options *o;
    char *error;
    const char *name; /* of the option at hand */
} parse;

static bool DW_PRINTF(2, 3) wrong(parse *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(p->error, SIM_OPTIONS_ERROR, format, args);
    va_end(args);
    return false;
}

static bool number(parse *p, const char *value, uint64_t min, uint64_t max, uint64_t *out) {
    if (!sim_number_parse(value, out)) {
        return wrong(p, "%s: '%.60s' is no number (decimal, or hexadecimal behind 0x)", p->name,
                     value);
    }
    if (*out < min || *out > max) {
        return wrong(p, "%s: %.60s is out of range: %llu to %llu", p->name, value,
                     (unsigned long long)min, (unsigned long long)max);
    }
    return true;
}

static bool mode(parse *p, sim_mode wanted) {
    if (p->o->mode_option && p->o->mode != wanted) {
        return wrong(p, "%s and %s do not go together", p->o->mode_option, p->name);
    }
    p->o->mode = wanted;
    p->o->mode_option = p->name;
    return true;
}

static bool on_seed(parse *p, const char *value) {
    return mode(p, SIM_MODE_ONE_SEED) && number(p, value, 0, UINT64_MAX, &p->o->seed);
}

static bool on_seeds(parse *p, const char *value) {
    p->o->seeds_given = true;
    return number(p, value, 1, UINT64_MAX - 1, &p->o->seeds);
}

static bool on_first_seed(parse *p, const char *value) {
    p->o->first_seed_given = true;
    return number(p, value, 0, UINT64_MAX, &p->o->first_seed);
}

static bool on_jobs(parse *p, const char *value) {
    uint64_t jobs = 0;
    if (!number(p, value, 1, SIM_JOBS_MAX, &jobs)) {
        return false;
    }
    p->o->jobs = (unsigned)jobs;
    return true;
}

static bool on_for(parse *p, const char *value) {
    if (!sim_duration_parse(value, &p->o->run_for) || p->o->run_for == 0) {
        return wrong(p, "%s: '%.60s' is no duration, such as 500ms, 30s, 10m, 2h", p->name, value);
    }
    return true;
}

static bool on_sweep(parse *p, const char *value) {
    char bad[SIM_WHAT_MAX];
    if (!mode(p, SIM_MODE_SWEEP)) {
        return false;
    }
    if (!sim_kinds_parse(value, &p->o->sweep_kinds, bad)) {
        return wrong(p, "%s: there is no kind '%s'; there are: %s", p->name, bad,
                     sim_kinds_known());
    }
    p->o->sweep_all = strcmp(value, "all") == 0;
    return true;
}

static bool on_exhaustive(parse *p, const char *value) {
    char bad[SIM_WHAT_MAX];
    if (!mode(p, SIM_MODE_EXHAUSTIVE)) {
        return false;
    }
    return sim_kinds_parse(value, &p->o->sweep_kinds, bad) ||
           wrong(p, "%s: there is no kind '%s'; there are: %s", p->name, bad, sim_kinds_known());
}

static bool on_bound(parse *p, const char *value) {
    return number(p, value, 1, SIM_MORE_MAX + 1, &p->o->bound);
}

static bool on_depth(parse *p, const char *value) {
    uint64_t depth = 0;
    if (!number(p, value, 1, 2, &depth)) {
        return false;
    }
    p->o->depth = (unsigned)depth;
    return true;
}

static bool on_pairs(parse *p, const char *value) {
    p->o->pairs_given = true;
    return number(p, value, 1, UINT64_MAX - 1, &p->o->pairs_max);
}

static bool on_replay(parse *p, const char *value) {
    p->o->file = value;
    return mode(p, SIM_MODE_REPLAY);
}

static bool on_shrink(parse *p, const char *value) {
    p->o->file = value;
    return mode(p, SIM_MODE_SHRINK);
}

static bool on_out(parse *p, const char *value) {
    p->o->out_dir = value;
    return *value || wrong(p, "%s: the directory's name is empty", p->name);
}

static bool on_shard(parse *p, const char *value) {
    return sim_shard_parse(value, &p->o->shard, p->error);
}

static bool on_merge(parse *p, const char *value) {
    (void)value;
    return mode(p, SIM_MODE_MERGE);
}

static bool file_name(parse *p, const char *value, const char **to) {
    *to = value;
    return *value || wrong(p, "%s: the file's name is empty", p->name);
}

static bool on_junit(parse *p, const char *value) {
    return file_name(p, value, &p->o->junit);
}

static bool on_results(parse *p, const char *value) {
    return file_name(p, value, &p->o->results);
}

static bool on_weather(parse *p, const char *value) {
    char why[SIM_OPTIONS_ERROR];
    p->o->weather = value;
    return sim_weather_check(value, why) || wrong(p, "%s: %.460s", p->name, why);
}

static bool on_config(parse *p, const char *value) {
    return file_name(p, value, &p->o->config);
}

static bool on_report(parse *p, const char *value) {
    (void)value;
    return p->o->report = true;
}

static bool on_tap(parse *p, const char *value) {
    (void)value;
    return p->o->tap = true;
}

static bool on_list(parse *p, const char *value) {
    (void)value;
    return mode(p, SIM_MODE_LIST);
}

static bool on_help(parse *p, const char *value) {
    (void)value;
    p->o->mode = SIM_MODE_HELP;
    return true;
}

static bool on_version(parse *p, const char *value) {
    (void)value;
    p->o->mode = SIM_MODE_VERSION;
    return true;
}

static bool on_no_shrink(parse *p, const char *value) {
    (void)value;
    return p->o->no_shrink = true;
}

static bool on_quiet(parse *p, const char *value) {
    (void)value;
    return p->o->quiet = true;
}

static bool on_full_timeline(parse *p, const char *value) {
    (void)value;
    return p->o->full_timeline = true;
}

static bool on_strict(parse *p, const char *value) {
    (void)value;
    return p->o->strict = true;
}

static bool on_no_fork(parse *p, const char *value) {
    (void)value;
    return p->o->no_fork = true;
}

static const struct option {
    const char *name;
    const char *takes; /* what, or NULL */
    bool (*on)(parse *p, const char *value);
    const char *help;
} table[] = {
    {"--seeds", "N", on_seeds, "how many seeds to try (default: each scenario's own number)"},
    {"--first-seed", "N", on_first_seed, "where they begin (default 0)"},
    {"--seed", "N", on_seed, "play one seed and print its timeline"},
    {"--sweep", "KIND[,KIND]", on_sweep,
     "play every single deviation of these kinds, one run each"},
    {"--depth", "1|2", on_depth,
     "with --sweep: single deviations, or after them pairs, most promising first"},
    {"--pairs", "N", on_pairs,
     "at depth 2: play at most so many of each scenario (default 200000)"},
    {"--exhaustive", "KIND[,KIND]", on_exhaustive,
     "play every combination of these kinds, and every order, for small scenarios"},
    {"--bound", "N", on_bound, "with --exhaustive: at most so many deviations in a run"},
    {"--weather", "NAME", on_weather, "the weather that each run begins in"},
    {"--replay", "FILE", on_replay, "play a run file and print its timeline"},
    {"--shrink", "FILE", on_shrink, "make a run file minimal: writes FILE's name with .min.run"},
    {"--list", NULL, on_list, "list the scenarios"},
    {"--report", NULL, on_report,
     "say which kinds fired how often, what was never reached, how many traces differ"},
    {"--shard", "I/N", on_shard,
     "play the I-th of N parts of all runs; or auto/N; default: as CI says"},
    {"--results", "FILE", on_results, "write what was found out, for --merge"},
    {"--merge", NULL, on_merge,
     "add up the results files named on the command line, one per shard"},
    {"--junit", "FILE", on_junit, "write a JUnit report"},
    {"--tap", NULL, on_tap, "print TAP; what else there is to say becomes comments"},
    {"--config", "FILE", on_config,
     "seeds and options per scenario (default: drywire.conf, if it is there; none: no file)"},
    {"--jobs", "N", on_jobs, "worker processes (default: the cores online)"},
    {"--for", "TIME", on_for,
     "stop after this much wall time: 30s, 10m, 2h; alone: no end of seeds"},
    {"--out", "DIR", on_out, "where run files are written (default: the current directory)"},
    {"--no-shrink", NULL, on_no_shrink, "report failures with all their deviations"},
    {"--full-timeline", NULL, on_full_timeline, "print the whole timeline of each failure"},
    {"--strict", NULL, on_strict, "what was never reached counts as a failure"},
    {"--quiet", NULL, on_quiet, "no progress bar, no timeline of runs that held"},
    {"--no-fork", NULL, on_no_fork, "with --seed, --replay: play in this process, for a debugger"},
    {"--help", NULL, on_help, "print this"},
    {"--version", NULL, on_version, "print the version"},
};

enum { OPTIONS = sizeof(table) / sizeof(table[0]) };

static const struct option *find(const char *text, size_t len) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, text, len) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* One option, "--name", "--name=value" or "--name value". Moves *at over what it took. */
static bool read_option(parse *p, int argc, char **argv, int *at) {
    const char *text = argv[*at];
    size_t len = strcspn(text, "=");
    const struct option *option = find(text, len);
    if (strcmp(text, "-h") == 0) {
        option = find("--help", strlen("--help"));
    }
    if (!option) {
        return wrong(p, "there is no option '%.*s' (--help lists them)", len > 60 ? 60 : (int)len,
                     text);
    }
    p->name = option->name;
    const char *value = text[len] == '=' ? text + len + 1 : NULL;
    if (!option->takes) {
        return value ? wrong(p, "%s takes no value", p->name) : option->on(p, NULL);
    }
    if (!value && *at + 1 < argc) {
        value = argv[++*at];
    }
    return value ? option->on(p, value) : wrong(p, "%s needs a value: %s", p->name, option->takes);
}

static bool check(parse *p) {
    sim_options *o = p->o;
    bool search =
        o->mode == SIM_MODE_SEEDS || o->mode == SIM_MODE_SWEEP || o->mode == SIM_MODE_EXHAUSTIVE;
    if (o->bound && o->mode != SIM_MODE_EXHAUSTIVE) {
        return wrong(p, "--bound goes with --exhaustive");
    }
    if (!search && o->mode != SIM_MODE_MERGE && o->mode_option &&
        (o->junit || o->tap || o->results)) {
        return wrong(p, "%s does not go together with --junit, --tap and --results",
                     o->mode_option);
    }
    if ((o->depth == 2 || o->pairs_given) && o->mode != SIM_MODE_SWEEP) {
        return wrong(p, "--depth and --pairs go with --sweep");
    }
    if (o->mode == SIM_MODE_MERGE && o->filter_count == 0) {
        return wrong(p, "--merge needs the results files of all shards");
    }
    if (o->seeds_given && o->mode != SIM_MODE_SEEDS && o->mode_option) {
        return wrong(p, "--seeds and %s do not go together", o->mode_option);
    }
    if (o->run_for && !search && o->mode_option) {
        return wrong(p, "--for and %s do not go together", o->mode_option);
    }
    if (o->no_fork && o->mode != SIM_MODE_ONE_SEED && o->mode != SIM_MODE_REPLAY) {
        return wrong(p, "--no-fork goes with --seed or --replay");
    }
    if (o->weather && (o->file || o->mode == SIM_MODE_MERGE)) {
        return wrong(p, "%s takes the weather from the file: leave --weather out", o->mode_option);
    }
    if (o->filter_count && o->file) {
        return wrong(p, "%s takes the scenario from the file: leave '%.60s' out", o->mode_option,
                     o->filters[0]);
    }
    return true;
}

bool sim_options_parse(int argc, char **argv, sim_options *options, char error[SIM_OPTIONS_ERROR]) {
    *options = (sim_options){
        .program = argc > 0 && argv[0] ? argv[0] : "scenarios",
        .jobs = sim_workers_default_jobs(),
        .out_dir = ".",
        .depth = 1,
        .pairs_max = SIM_PAIRS_DEFAULT,
    };
    parse p = {.o = options, .error = error, .name = ""};
    bool only_names = false;
    for (int at = 1; at < argc; at++) {
        if (!only_names && strcmp(argv[at], "--") == 0) {
            only_names = true;
        } else if (!only_names && argv[at][0] == '-') {
            if (!read_option(&p, argc, argv, &at)) {
                return false;
            }
        } else if (options->filter_count == SIM_FILTERS_MAX) {
            return wrong(&p, "more than %d scenario names", SIM_FILTERS_MAX);
        } else {
            options->filters[options->filter_count++] = argv[at];
        }
    }
    return check(&p);
}

static bool is_whole_name(const char *filter, const dw_scenario *scenarios, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(scenarios[i].name, filter) == 0) {
            return true;
        }
    }
    return false;
}

static bool matches(const char *filter, const dw_scenario *scenarios, size_t count, size_t which) {
    if (is_whole_name(filter, scenarios, count)) {
        return strcmp(scenarios[which].name, filter) == 0;
    }
    return strstr(scenarios[which].name, filter) != NULL;
}

bool sim_options_choose(const sim_options *options, const dw_scenario *scenarios, size_t count,
                        size_t which) {
    for (size_t i = 0; i < options->filter_count; i++) {
        if (matches(options->filters[i], scenarios, count, which)) {
            return true;
        }
    }
    return options->filter_count == 0;
}

void sim_scenario_names(const dw_scenario *scenarios, size_t count, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t need = strlen(scenarios[i].name) + 2;
        if (used + need + sizeof("...") > size) {
            snprintf(text + used, size - used, "...");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", scenarios[i].name,
                                 i + 1 < count ? ", " : "");
    }
}

bool sim_options_check_filters(const sim_options *options, const dw_scenario *scenarios,
                               size_t count, char error[SIM_OPTIONS_ERROR]) {
    for (size_t i = 0; i < options->filter_count; i++) {
        bool any = false;
        for (size_t which = 0; which < count && !any; which++) {
            any = matches(options->filters[i], scenarios, count, which);
        }
        if (!any) {
            char names[SIM_OPTIONS_ERROR - 120];
            sim_scenario_names(scenarios, count, names, sizeof(names));
            snprintf(error, SIM_OPTIONS_ERROR, "there is no scenario '%.60s'; there are: %s",
                     options->filters[i], names);
            return false;
        }
    }
    return true;
}

/* "calm, lan, ...", cut to size. */
static void weather_names(char *text, size_t size) {
    const char *const *names = dw_world_weather_names();
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; names[i] != NULL && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
}

bool sim_weather_check(const char *name, char error[SIM_OPTIONS_ERROR]) {
    char known[SIM_OPTIONS_ERROR - 120];
    for (const char *const *names = dw_world_weather_names(); *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    weather_names(known, sizeof(known));
    snprintf(error, SIM_OPTIONS_ERROR, "there is no weather '%.60s'; there are: %s", name, known);
    return false;
}

void sim_options_help(FILE *out, const char *program) {
    char weathers[SIM_OPTIONS_ERROR];
    fprintf(out, "Usage: %s [SCENARIO...] [OPTION...]\n\n", program);
    fprintf(out, "Plays scenarios on the dry wire: each over its seeds, on all cores, unless an\n"
                 "option says otherwise. SCENARIO is a name or a part of names.\n\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        char head[40];
        snprintf(head, sizeof(head), "%s %s", table[i].name, table[i].takes ? table[i].takes : "");
        fprintf(out, "  %-*s %s\n", NAME_COLUMN, head, table[i].help);
    }
    weather_names(weathers, sizeof(weathers));
    fprintf(out, "\nKinds: %s\n", sim_kinds_known());
    fprintf(out, "\nWeathers: %s\n", weathers);
    fprintf(out, "\nThe command line wins over drywire.conf, that over a scenario's own fields.\n");
    fprintf(out,
            "\nExit status: 0 all held; 1 a failure was found; 2 wrong usage; 124 out of wall\n"
            "time before the seeds were through; 125 not deterministic.\n");
}
