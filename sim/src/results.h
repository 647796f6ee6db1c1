/* SPDX-License-Identifier: MIT */
/*
 * Results files: what one shard found out, and their merging. Text, a word and its values per line,
 * so that a person can read one.
 */
#ifndef DRYWIRE_SIM_RESULTS_H
#define DRYWIRE_SIM_RESULTS_H

#include "record.h"

enum { SIM_RESULTS_ERROR = 512 };

/* What a results file holds; also what a merge adds up to. Zero-initialise. */
typedef struct sim_results {
    char program[SIM_RECORD_NAME]; /* its file's name, without directories */
    sim_shard shard;
    sim_records records;
    uint64_t (*assertions)[2]; /* by place in the catalogue, as in sim_tally; NULL: none counted */
    size_t assertion_count;
} sim_results;

/* False: errno says why. */
bool sim_results_write(const char *path, const sim_results *results);

/* Adds the files to `sum`: every shard there is, each once, all of the same search. False: `error`
 * says which file or which shard is wrong or missing. */
bool sim_results_merge(sim_results *sum, const char *const *paths, size_t count,
                       char error[SIM_RESULTS_ERROR]);

/* Frees what sim_results_merge has made. */
void sim_results_free(sim_results *results);

#endif
