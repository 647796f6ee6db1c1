/* SPDX-License-Identifier: MIT */
/*
 * Reads shards. Runs are dealt out like cards, run i to shard i mod total, so that a scenario whose
 * late runs are slow burdens all shards alike. Called while the command line is read.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "shard.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Variables of CI systems, in the order in which they are looked for: test runners before the
 * systems that run them. `base` is the number of the first shard; `first` names a variable that
 * holds it instead. */
static const struct system {
    const char *index, *total, *first;
    unsigned base;
} systems[] = {
    {"TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", NULL, 0},   /* Bazel */
    {"GTEST_SHARD_INDEX", "GTEST_TOTAL_SHARDS", NULL, 0}, /* GoogleTest's runners */
    {"CI_NODE_INDEX", "CI_NODE_TOTAL", NULL, 1},          /* GitLab */
    {"CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", NULL, 0},  /* CircleCI */
    {"BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", NULL, 0},
    {"BITBUCKET_PARALLEL_STEP", "BITBUCKET_PARALLEL_STEP_COUNT", NULL, 0},
    {"SEMAPHORE_JOB_INDEX", "SEMAPHORE_JOB_COUNT", NULL, 1},
    {"SEMAPHORE_CURRENT_JOB", "SEMAPHORE_JOB_COUNT", NULL, 1}, /* its older name */
    {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", 0},
    {"AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", NULL, 0},
    {"JOB_COMPLETION_INDEX", NULL, NULL, 0}, /* Kubernetes */
};

static bool DW_PRINTF(2, 3) wrong(char *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error, SIM_SHARD_ERROR, format, args);
    va_end(args);
    return false;
}

static bool number(const char *text, size_t len, uint64_t *out) {
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || n > SIM_SHARDS_MAX) {
            return false;
        }
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *out = n;
    return len > 0;
}

static bool set(sim_shard *shard, uint64_t index, uint64_t total, const char *from, char *error) {
    if (total == 0 || total > SIM_SHARDS_MAX || index >= total) {
        return wrong(error, "%s: shard %llu of %llu is out of range", from,
                     (unsigned long long)index + 1, (unsigned long long)total);
    }
    *shard = (sim_shard){.index = index, .total = total, .from = from};
    return true;
}

bool sim_shard_parse(const char *text, sim_shard *shard, char error[SIM_SHARD_ERROR]) {
    const char *slash = strchr(text, '/');
    uint64_t index = 0, total = 0;
    bool open = slash != NULL && strncmp(text, "auto/", strlen("auto/")) == 0;
    if (slash == NULL || !number(slash + 1, strlen(slash + 1), &total) ||
        (!open && (!number(text, (size_t)(slash - text), &index) || index == 0))) {
        return wrong(error,
                     "--shard: '%.60s' is no shard, such as 3/10 (the third of ten) or auto/10",
                     text);
    }
    if (open) {
        *shard = (sim_shard){.total = total};
        return total > 0 || wrong(error, "--shard: there are no 0 shards");
    }
    return set(shard, index - 1, total, "--shard", error);
}

static bool variable(const char *name, uint64_t *out, bool *there, char *error) {
    const char *text = name != NULL ? getenv(name) : NULL;
    *there = text != NULL && *text != '\0';
    if (*there && !number(text, strlen(text), out)) {
        return wrong(error, "%s: '%.60s' is no number", name, text);
    }
    return true;
}

/* An array of Slurm's may have gaps ("--array=2-20:3"): the step says how wide they are. */
static bool slurm_step(const struct system *system, uint64_t *index, char *error) {
    uint64_t step = 1;
    bool there;
    if (system->first == NULL) {
        return true;
    }
    if (!variable("SLURM_ARRAY_TASK_STEP", &step, &there, error)) {
        return false;
    }
    *index /= step > 0 ? step : 1;
    return true;
}

static bool read_system(const struct system *system, sim_shard *shard, bool *found, char *error) {
    uint64_t index = 0, total = shard->total, first = system->base;
    bool has_index, has_total, has_first;
    if (!variable(system->index, &index, &has_index, error) ||
        !variable(system->total, &total, &has_total, error) ||
        !variable(system->first, &first, &has_first, error)) {
        return false;
    }
    *found = has_index && (has_total || shard->total > 0);
    if (!*found) {
        return true;
    }
    total = shard->total > 0 ? shard->total : total;
    if (index < first) {
        return wrong(error, "%s: %llu is below %llu, where its numbers begin", system->index,
                     (unsigned long long)index, (unsigned long long)first);
    }
    index -= first;
    return slurm_step(system, &index, error) && set(shard, index, total, system->index, error);
}

bool sim_shard_from_environment(sim_shard *shard, char error[SIM_SHARD_ERROR]) {
    bool found = shard->from != NULL, open = !found && shard->total > 0;
    for (size_t i = 0; !found && i < sizeof(systems) / sizeof(systems[0]); i++) {
        if (!read_system(&systems[i], shard, &found, error)) {
            return false;
        }
    }
    if (!found && open) {
        return wrong(error, "--shard auto/%llu: no variable says which shard this is",
                     (unsigned long long)shard->total);
    }
    return true;
}

static bool touch(const char *variable_name, char *error) {
    const char *path = getenv(variable_name);
    if (path == NULL || *path == '\0') {
        return true;
    }
    FILE *file = fopen(path, "a");
    if (file == NULL || fclose(file) != 0) {
        return wrong(error, "%s: %.150s: %s", variable_name, path, strerror(errno));
    }
    return true;
}

bool sim_shard_announce(char error[SIM_SHARD_ERROR]) {
    return touch("TEST_SHARD_STATUS_FILE", error) && touch("GTEST_SHARD_STATUS_FILE", error);
}

static bool is_part(const sim_shard *shard) {
    return shard->total > 1;
}

uint64_t sim_shard_count(const sim_shard *shard, uint64_t count) {
    if (!is_part(shard)) {
        return count;
    }
    return count / shard->total + (count % shard->total > shard->index);
}

uint64_t sim_shard_index(const sim_shard *shard, uint64_t k) {
    return is_part(shard) ? k * shard->total + shard->index : k;
}
