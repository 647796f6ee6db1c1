/* SPDX-License-Identifier: MIT */
/*
 * dw_main in a child process on the fake world, with its output caught, and a directory for what it
 * writes. The fake world's sources are part of the test's program, so that each test of the tree
 * stays one executable of one name. Included once, by who tests the runner as a whole.
 */
#ifndef DRYWIRE_TESTS_RUNNER_RIG_H
#define DRYWIRE_TESTS_RUNNER_RIG_H

#include "../suite.h"
#include "fake_run.c"
#include "fake_scenarios.c"

#include "drywire/check.h"
#include "finding.h"
#include "runfile.h"
#include "runner_child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ARGS_MAX = 20, OUTPUT_MAX = 256 * 1024 };

static char directory[] = "/tmp/drywire-test-XXXXXX";
static char output[OUTPUT_MAX];

/* ---- Arrangements ---- */

/* Where the tests themselves run on a CI system, its variables are not meant for them. */
static void clear_environment(void) {
    static const char *const names[] = {
        "TEST_SHARD_INDEX",
        "TEST_TOTAL_SHARDS",
        "TEST_SHARD_STATUS_FILE",
        "GTEST_SHARD_INDEX",
        "GTEST_TOTAL_SHARDS",
        "GTEST_SHARD_STATUS_FILE",
        "CI_NODE_INDEX",
        "CI_NODE_TOTAL",
        "CIRCLE_NODE_INDEX",
        "CIRCLE_NODE_TOTAL",
        "BUILDKITE_PARALLEL_JOB",
        "BUILDKITE_PARALLEL_JOB_COUNT",
        "BITBUCKET_PARALLEL_STEP",
        "BITBUCKET_PARALLEL_STEP_COUNT",
        "SEMAPHORE_JOB_INDEX",
        "SEMAPHORE_JOB_COUNT",
        "SEMAPHORE_CURRENT_JOB",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_STEP",
        "AWS_BATCH_JOB_ARRAY_INDEX",
        "AWS_BATCH_JOB_ARRAY_SIZE",
        "JOB_COMPLETION_INDEX",
        "XML_OUTPUT_FILE",
        "TEST_UNDECLARED_OUTPUTS_DIR",
        "TESTBRIDGE_TEST_ONLY",
        "TEST_RANDOM_SEED",
        "TEST_RUN_NUMBER",
        "TEST_TIMEOUT",
        "TEST_PREMATURE_EXIT_FILE",
        "DRYWIRE_REPLAY",
        "DRYWIRE_OUT",
        "DRYWIRE_WEATHER",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsetenv(names[i]);
    }
}

static void make_directory(void) {
    clear_environment();
    strcpy(directory, "/tmp/drywire-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

/* Runs `body` in a child whose output goes to `output`; returns its exit status. */
static int in_child(void (*body)(void *user), void *user) {
    int capture = sim_child_file();
    ck_assert_int_ge(capture, 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(capture, STDOUT_FILENO);
        dup2(capture, STDERR_FILENO);
        body(user);
        sim_child_end(99);
    }
    int status = sim_child_reap(child, false);
    ssize_t len = pread(capture, output, OUTPUT_MAX - 1, 0);
    output[len > 0 ? len : 0] = '\0';
    close(capture);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void main_body(void *user) {
    char *words = user;
    char *argv[ARGS_MAX + 1] = {(char *)"./fake"};
    int argc = 1;
    for (char *word = strtok(words, " "); word && argc < ARGS_MAX; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    int status = dw_main(argc, argv, fake_scenarios, fake_scenario_count);
    fflush(stdout);
    sim_child_end(status);
}

/* Plays the program with these words; "DIR" in them is the test's directory. */
static int run(const char *line) {
    char words[1024];
    char *to = words;
    for (const char *from = line; *from;) {
        if (strncmp(from, "DIR", 3) == 0) {
            to += sprintf(to, "%s", directory);
            from += 3;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return in_child(main_body, words);
}

static void expect_output(const char *text) {
    ck_assert_msg(strstr(output, text) != NULL, "expected '%s' in:\n%s", text, output);
}

static void expect_no_output(const char *text) {
    ck_assert_msg(strstr(output, text) == NULL, "did not expect '%s' in:\n%s", text, output);
}

static void write_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

#endif
