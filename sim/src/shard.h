/* SPDX-License-Identifier: MIT */
/*
 * Shards: which part of all runs this process plays. Told by --shard, else by the variables of the
 * common CI systems; the same index and total always give the same part, the parts of all indices
 * are everything, each run once.
 */
#ifndef DRYWIRE_SIM_SHARD_H
#define DRYWIRE_SIM_SHARD_H

#include "drywire/base.h"

enum { SIM_SHARD_ERROR = 256, SIM_SHARDS_MAX = 1000000 };

typedef struct sim_shard {
    uint64_t index;   /* from 0 */
    uint64_t total;   /* 0 or 1: everything */
    const char *from; /* "--shard" or the variable that said so */
} sim_shard;

/* "3/10": the third of ten. "auto/10": the index comes from the environment, the total from here
 * (Kubernetes names no total). False: `error` says in one line what is wrong. */
bool sim_shard_parse(const char *text, sim_shard *shard, char error[SIM_SHARD_ERROR]);

/* Fills in what --shard left open out of the environment. False: the variables make no sense. */
bool sim_shard_from_environment(sim_shard *shard, char error[SIM_SHARD_ERROR]);

/* Tells Bazel and GoogleTest's runners that sharding is understood: touches the file they name.
 * False: it cannot be written. */
bool sim_shard_announce(char error[SIM_SHARD_ERROR]);

/* How many of `count` runs are this shard's, and which is its k-th. */
uint64_t sim_shard_count(const sim_shard *shard, uint64_t count);
uint64_t sim_shard_index(const sim_shard *shard, uint64_t k);

#endif
