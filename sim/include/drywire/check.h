/* SPDX-License-Identifier: MIT */
/*
 * Scenarios as tests of libcheck (0.13 or later), in one line:
 *
 *     #include <drywire/check.h>
 *     ...
 *     TCase *tc = tcase_create("kv");
 *     dw_tcase_add_scenario(tc, reconnect, .seeds = 1000);
 *
 * When the scenario fails, Check's message holds the broken sentence, the shortest list of
 * deviations that breaks it, the end of the timeline, and the command that plays it again. Works
 * with CK_FORK=yes and CK_FORK=no: the seeds are tried in worker processes either way.
 *
 * Environment: DRYWIRE_REPLAY=FILE plays just that run; DRYWIRE_SEEDS=N tries so many seeds;
 * DRYWIRE_JOBS=N uses so many processes; DRYWIRE_WEATHER=NAME lets each run begin in that weather
 * (but a replay in its file's); DRYWIRE_OUT=DIR is where run files are written.
 */
#ifndef DRYWIRE_CHECK_H
#define DRYWIRE_CHECK_H

#include "drywire/sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#if CHECK_MAJOR_VERSION == 0 && CHECK_MINOR_VERSION < 13
#error "drywire/check.h needs libcheck 0.13 or later"
#endif

/* How many scenarios one source file may add. */
#ifndef DW_CHECK_SCENARIOS_MAX
#define DW_CHECK_SCENARIOS_MAX 256
#endif

/* Check's own limit is four seconds; a scenario's runs have limits of their own. Seconds for the
 * whole test; tcase_set_timeout afterwards sets another. */
#ifndef DW_CHECK_TIMEOUT_S
#define DW_CHECK_TIMEOUT_S 600
#endif

/* Check gives up on messages of more than 4096 bytes. */
#define DW_CHECK_MESSAGE_MAX 3500

static const dw_scenario *dw_check_scenarios_[DW_CHECK_SCENARIOS_MAX];
static int dw_check_count_;

/* The program's name as it was called, "./tests" where the system does not tell. */
static inline void dw_check_program_(char *name, size_t size) {
    size_t len = 0;
    FILE *in = fopen("/proc/self/cmdline", "rb");
    if (in) {
        len = fread(name, 1, size - 1, in);
        fclose(in);
    }
    name[len] = '\0';
    if (!name[0]) {
        snprintf(name, size, "./tests");
    }
}

/* Check does not tell a test which case it is in; when the environment chose one, it is named.
 * (With DRYWIRE_REPLAY, the tests of all other scenarios pass at once.) */
static inline void dw_check_run_(int index) {
    char program[512];
    char command[800];
    char report[DW_CHECK_MESSAGE_MAX];
    const char *chosen = getenv("CK_RUN_CASE");
    dw_check_program_(program, sizeof(program));
    snprintf(command, sizeof(command), "%s%.200s%s%s", chosen ? "CK_RUN_CASE='" : "",
             chosen ? chosen : "", chosen ? "' " : "", program);
    if (!dw_scenario_holds(dw_check_scenarios_[index], command, report, sizeof(report))) {
        ck_abort_msg("%s", report);
    }
}

static inline void dw_check_add_(TCase *tcase, const TTest *test, const dw_scenario *scenario) {
    int index = dw_check_count_;
    if (index >= DW_CHECK_SCENARIOS_MAX) {
        fprintf(stderr, "drywire/check.h: more than %d scenarios: define DW_CHECK_SCENARIOS_MAX\n",
                DW_CHECK_SCENARIOS_MAX);
        exit(2);
    }
    dw_check_scenarios_[index] = scenario;
    dw_check_count_++;
    tcase_set_timeout(tcase, DW_CHECK_TIMEOUT_S);
    tcase_add_loop_test(tcase, test, index, index + 1);
}

/* dw_tcase_add_scenario(tcase, function, .member = value, ...): the members are those of
 * dw_scenario. (The empty last argument makes the members optional.) */
#define dw_tcase_add_scenario(...) DW_CHECK_ADD_(__VA_ARGS__, )

#define DW_CHECK_ADD_(tcase, fn, ...)                                                    \
    do {                                                                                 \
        static const dw_scenario dw_scenario_ = {.name = #fn, .run = (fn), __VA_ARGS__}; \
        static const TTest dw_test_ = {#fn, dw_check_run_, __FILE__, __LINE__};          \
        dw_check_add_((tcase), &dw_test_, &dw_scenario_);                                \
    } while (0)

#endif
