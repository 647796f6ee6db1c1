/* SPDX-License-Identifier: MIT */
/*
 * What the environment says about a run: the shard, and Bazel's places for what a test writes
 * (bazel.build/reference/test-encyclopedia). The command line wins over all of it. Called by
 * dw_main after the command line was read.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "number.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

/* Bazel counts the repetitions of --runs_per_test from 1, and each shall try other seeds. */
static void read_repetition(sim_options *options) {
    const char *text = variable("TEST_RANDOM_SEED");
    uint64_t n = 0;
    text = text != NULL ? text : variable("TEST_RUN_NUMBER");
    if (text != NULL && sim_number_parse(text, &n) && n > 0) {
        options->repetition = n - 1;
    }
}

/* Bazel kills a test that takes longer; what was found by then would be lost. A tenth is kept for
 * shrinking and telling. */
static void read_timeout(sim_options *options) {
    const char *text = variable("TEST_TIMEOUT");
    uint64_t seconds = 0;
    if (text != NULL && sim_number_parse(text, &seconds) && seconds > 0 &&
        seconds < (uint64_t)(DW_TIME_MAX / DW_SEC(1))) {
        options->at_most = DW_SEC((dw_time)seconds) / 10 * 9;
    }
}

bool sim_options_from_environment(sim_options *options, char error[SIM_OPTIONS_ERROR]) {
    char line[SIM_SHARD_ERROR];
    bool search = options->mode == SIM_MODE_SEEDS || options->mode == SIM_MODE_SWEEP ||
                  options->mode == SIM_MODE_EXHAUSTIVE;
    if (!search) {
        return true;
    }
    if (!sim_shard_from_environment(&options->shard, line) ||
        (options->shard.total > 0 && !sim_shard_announce(line))) {
        snprintf(error, SIM_OPTIONS_ERROR, "%s", line);
        return false;
    }
    if (options->junit == NULL) {
        options->junit = variable("XML_OUTPUT_FILE");
    }
    if (strcmp(options->out_dir, ".") == 0 && variable("TEST_UNDECLARED_OUTPUTS_DIR") != NULL) {
        options->out_dir = variable("TEST_UNDECLARED_OUTPUTS_DIR");
    }
    if (options->filter_count == 0 && variable("TESTBRIDGE_TEST_ONLY") != NULL) {
        options->filters[options->filter_count++] = variable("TESTBRIDGE_TEST_ONLY");
    }
    read_repetition(options);
    read_timeout(options);
    return true;
}

/* What cannot be written is no reason to fail: Bazel looks for the file, not for its contents. */
void sim_premature_exit_file(bool begins) {
    const char *path = variable("TEST_PREMATURE_EXIT_FILE");
    if (path == NULL) {
        return;
    }
    if (!begins) {
        unlink(path);
        return;
    }
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        fclose(file);
    }
}
