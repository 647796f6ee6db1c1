/* SPDX-License-Identifier: MIT */
/*
 * dw_main: what a program of scenarios does. Reads the command line, hands over to the mode that it
 * asks for, and turns what was found into words and an exit status.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "progress.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef DRYWIRE_VERSION
#define DRYWIRE_VERSION "0.1.0"
#endif

/* ---- Words and status that all modes share ---- */

int sim_session_complain(const sim_session *s, const char *what) {
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", s->o.program, what);
    return SIM_EXIT_USAGE;
}

void sim_session_error(sim_session *s, const char *doing) {
    char line[256];
    snprintf(line, sizeof(line), "%s: %s", doing, strerror(errno));
    s->error = true;
    sim_session_complain(s, line);
}

int sim_session_status(const sim_session *s) {
    if (s->error) {
        return SIM_EXIT_USAGE;
    }
    if (s->differs) {
        return SIM_EXIT_NOT_DETERMINISTIC;
    }
    if (s->failed) {
        return SIM_EXIT_FAILED;
    }
    if (sim_workers_interrupted()) {
        return SIM_EXIT_INTERRUPTED;
    }
    bool asked = !s->o.run_for || s->o.seeds_given || s->o.mode == SIM_MODE_SWEEP ||
                 s->o.mode == SIM_MODE_EXHAUSTIVE;
    return s->out_of_time && asked ? SIM_EXIT_OUT_OF_TIME : SIM_EXIT_HELD;
}

uint32_t sim_session_kinds(const sim_session *s, size_t which) {
    char bad[SIM_WHAT_MAX];
    uint32_t kinds = 0;
    const dw_scenario *scenario = &s->scenarios[which];
    sim_settings settings = sim_config_of(&s->config, which);
    if (settings.has_kinds) {
        return settings.kinds;
    }
    if (scenario->kinds && !sim_kinds_parse(scenario->kinds, &kinds, bad)) {
        return 0; /* dw_main has checked it */
    }
    return kinds;
}

static const char *replay_command(const sim_session *s, const char *path, char *text, size_t size) {
    char program[SIM_CASE_PATH];
    char file[SIM_CASE_PATH + 16];
    sim_report_quote(program, sizeof(program), s->o.program);
    sim_report_quote(file, sizeof(file), path);
    snprintf(text, size, "%s --replay %s", program, file);
    return text;
}

void sim_session_tell_differs(sim_session *s, const char *name, const char *origin,
                              const char *why) {
    s->differs = true;
    fprintf(s->report.out, "NOT DETERMINISTIC %s: %s\n", name, origin);
    if (why) {
        fprintf(s->report.out, "  %s\n", why);
    }
}

/* Makes a case and tells it. */
sim_case_end sim_session_tell_case(sim_session *s, const sim_case_plan *plan, const char *origin,
                                   uint64_t times) {
    char command[2 * SIM_CASE_PATH + 64];
    sim_case c = {0};
    const char *name = plan->scenario->name;
    sim_case_end end = sim_case_build(&c, plan);
    if (end == SIM_CASE_DIFFERS) {
        sim_session_tell_differs(s, name, origin, c.error);
        fprintf(s->report.out, "  it had failed with: %s: %s\n", plan->expected->oracle,
                plan->expected->message);
    } else if (end == SIM_CASE_ERROR && c.timeline.count == 0 && !c.outcome.failed) {
        s->error = true;
        sim_session_complain(s, c.error);
    } else {
        s->failed = true;
        fputc('\n', s->report.out);
        sim_report_case(&s->report, name, &c, origin, times,
                        c.written ? replay_command(s, plan->path, command, sizeof(command)) : NULL);
        fputc('\n', s->report.out);
        if (end == SIM_CASE_ERROR) {
            s->error = true;
            sim_session_complain(s, c.error);
        }
    }
    sim_case_free(&c);
    return end;
}

/* ---- TAP ---- */

/* What was told so far, as comments. */
static void print_comments(sim_session *s) {
    int c, last = '\n';
    fflush(s->report.out);
    rewind(s->report.out);
    while ((c = fgetc(s->report.out)) != EOF) {
        if (last == '\n') {
            fputs(c == '\n' ? "#" : "# ", s->terminal);
        }
        fputc(c, s->terminal);
        last = c;
    }
    rewind(s->report.out);
    if (ftruncate(fileno(s->report.out), 0) != 0) {
        sim_session_error(s, "cannot use a temporary file");
    }
}

void sim_session_tap(sim_session *s, const sim_record *record) {
    if (!s->terminal) {
        return;
    }
    print_comments(s);
    sim_tap_record(s->terminal, ++s->tap_number, record);
}

void sim_session_tap_end(sim_session *s) {
    if (s->terminal) {
        print_comments(s);
        sim_tap_end(s->terminal, s->tap_number);
    }
}

/* ---- The program ---- */

static int run_list(sim_session *s) {
    for (size_t i = 0; i < s->count; i++) {
        const dw_scenario *scenario = &s->scenarios[i];
        if (sim_options_choose(&s->o, s->scenarios, s->count, i)) {
            fprintf(s->report.out, "%-24s %" PRIu64 " seeds%s%s%s%s\n", scenario->name,
                    scenario->seeds ? scenario->seeds : (uint64_t)SIM_SEEDS_DEFAULT,
                    scenario->kinds ? ", kinds " : "", scenario->kinds ? scenario->kinds : "",
                    scenario->weather ? ", weather " : "",
                    scenario->weather ? scenario->weather : "");
        }
    }
    return SIM_EXIT_HELD;
}

static bool check_scenarios(const sim_session *s) {
    char bad[SIM_WHAT_MAX];
    char line[SIM_OPTIONS_ERROR];
    char error[SIM_OPTIONS_ERROR];
    uint32_t kinds = 0;
    for (size_t i = 0; i < s->count; i++) {
        const dw_scenario *scenario = &s->scenarios[i];
        if (scenario->kinds && !sim_kinds_parse(scenario->kinds, &kinds, bad)) {
            snprintf(line, sizeof(line), "scenario %.100s: there is no kind '%s'; there are: %s",
                     scenario->name, bad, sim_kinds_known());
            sim_session_complain(s, line);
            return false;
        }
        if (scenario->weather && !sim_weather_check(scenario->weather, error)) {
            snprintf(line, sizeof(line), "scenario %.60s: %.400s", scenario->name, error);
            sim_session_complain(s, line);
            return false;
        }
    }
    if (s->count == 0) {
        sim_session_complain(s, "this program has no scenarios");
    }
    return s->count != 0;
}

static int dispatch(sim_session *s) {
    switch (s->o.mode) {
    case SIM_MODE_SEEDS:
    case SIM_MODE_SWEEP:
    case SIM_MODE_EXHAUSTIVE:
        return sim_session_search(s);
    case SIM_MODE_ONE_SEED:
        return sim_session_seed(s);
    case SIM_MODE_MERGE:
        return sim_session_merge(s);
    case SIM_MODE_REPLAY:
        return sim_session_replay(s);
    case SIM_MODE_SHRINK:
        return sim_session_shrink_file(s);
    case SIM_MODE_LIST:
        return run_list(s);
    case SIM_MODE_HELP:
        sim_options_help(s->report.out, s->o.program);
        return SIM_EXIT_HELD;
    case SIM_MODE_VERSION:
        fprintf(s->report.out, "drywire %s\n", DRYWIRE_VERSION);
        return SIM_EXIT_HELD;
    }
    return SIM_EXIT_USAGE;
}

/* Each scenario in the weather that it shall be played in: who wins is said in config.h. */
static bool set_weathers(sim_session *s, char error[SIM_OPTIONS_ERROR]) {
    s->in_weather = malloc(s->count * sizeof(*s->in_weather));
    if (!s->in_weather) {
        snprintf(error, SIM_OPTIONS_ERROR, "out of memory");
        return false;
    }
    memcpy(s->in_weather, s->scenarios, s->count * sizeof(*s->in_weather));
    for (size_t i = 0; i < s->count; i++) {
        const char *weather = s->o.weather ? s->o.weather : sim_config_weather(&s->config, i);
        s->in_weather[i].weather = weather ? weather : s->scenarios[i].weather;
    }
    s->scenarios = s->in_weather;
    return true;
}

/* What else there is to say before any work: the environment, drywire.conf. */
static bool prepare(sim_session *s, char error[SIM_OPTIONS_ERROR]) {
    bool plays = s->o.mode == SIM_MODE_SEEDS || s->o.mode == SIM_MODE_SWEEP ||
                 s->o.mode == SIM_MODE_EXHAUSTIVE || s->o.mode == SIM_MODE_ONE_SEED;
    const char *config = s->o.config ? s->o.config : SIM_CONFIG_DEFAULT;
    if (!sim_options_from_environment(&s->o, error)) {
        return false;
    }
    if (s->o.mode != SIM_MODE_MERGE &&
        !sim_options_check_filters(&s->o, s->scenarios, s->count, error)) {
        return false;
    }
    if (plays && strcmp(config, "none") != 0 && (s->o.config || access(config, F_OK) == 0) &&
        !sim_config_read(&s->config, config, s->scenarios, s->count, error)) {
        return false;
    }
    if (plays && !set_weathers(s, error)) {
        return false;
    }
    if (s->o.tap) {
        FILE *kept = tmpfile();
        if (!kept) {
            snprintf(error, SIM_OPTIONS_ERROR, "--tap: no temporary file: %s", strerror(errno));
            return false;
        }
        s->terminal = stdout;
        s->report.colour = false;
        s->report.out = kept;
    }
    return true;
}

static void finish(sim_session *s) {
    if (s->terminal) {
        fclose(s->report.out);
    }
    sim_records_free(&s->records);
    sim_config_free(&s->config);
    free(s->in_weather);
}

int dw_main(int argc, char **argv, const dw_scenario *scenarios, size_t count) {
    char error[SIM_OPTIONS_ERROR];
    sim_session s = {.scenarios = scenarios, .count = count};
    s.report = (sim_report){.out = stdout, .colour = sim_terminal_colour(stdout)};
    if (!sim_options_parse(argc, argv, &s.o, error)) {
        return sim_session_complain(&s, error);
    }
    s.report.full_timeline = s.o.full_timeline;
    bool about = s.o.mode == SIM_MODE_HELP || s.o.mode == SIM_MODE_VERSION;
    if (!about && !check_scenarios(&s)) {
        return SIM_EXIT_USAGE;
    }
    if (!about && !prepare(&s, error)) {
        finish(&s);
        return sim_session_complain(&s, error);
    }
    sim_premature_exit_file(true);
    int status = dispatch(&s);
    sim_premature_exit_file(false);
    finish(&s);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "%s: cannot write the report: %s\n", s.o.program, strerror(errno));
        return status ? status : SIM_EXIT_USAGE;
    }
    return status;
}
