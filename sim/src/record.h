/* SPDX-License-Identifier: MIT */
/*
 * What a search has found out about each scenario, kept until the end of the program: what the
 * JUnit, TAP and results files are written from, and what the results of shards are merged into.
 */
#ifndef DRYWIRE_SIM_RECORD_H
#define DRYWIRE_SIM_RECORD_H

#include "shard.h"
#include "workers.h"

enum { SIM_RECORD_NAME = 128, SIM_RECORD_ORIGIN = 128, SIM_RECORD_PATH = 1024 };

typedef struct sim_record_found {
    char oracle[sizeof(((sim_outcome *)0)->oracle)];
    char message[sizeof(((sim_outcome *)0)->message)];
    char where[sizeof(((sim_outcome *)0)->where)];
    char origin[SIM_RECORD_ORIGIN]; /* "seed 0x5eed" */
    char path[SIM_RECORD_PATH];     /* its run file, or "" */
    uint64_t times;
} sim_record_found;

typedef struct sim_record {
    char name[SIM_RECORD_NAME];
    char search[32];  /* "seeds", "sweep", "pairs", "exhaustive" */
    char weather[40]; /* that all of its runs began in, or "" */
    uint64_t asked;   /* bit per sim_kind that the search was about; 0: all */
    uint64_t planned; /* runs of all shards; UINT64_MAX: no end */
    uint64_t first_seed;
    uint64_t runs, failures;
    uint64_t distinct;  /* traces; 0: not counted */
    bool distinct_more; /* there are more than could be counted */
    bool distinct_sum;  /* of shards, which may have some in common */
    dw_time wall;
    uint64_t virtual_us;
    uint64_t kinds[SIM_KIND_COUNT];
    /* Pairs: how many there are, those the second of which only the first brings, and how many of
     * each were played. Exhaustive: runs that could have gone on, but for the bound. */
    uint64_t pairs, pairs_fresh, pairs_played, fresh_played, cut_off, bound;
    bool through, differs; /* played to the end; not deterministic */
    sim_record_found found[SIM_FOUND_MAX];
    size_t found_count;
} sim_record;

typedef struct sim_records {
    sim_record *items;
    size_t count, room;
} sim_records;

/* A cleared one, for this scenario; NULL without memory. Good until the next is added. */
sim_record *sim_records_add(sim_records *records, const char *name);
void sim_records_free(sim_records *records);

/* Copies a text, cut to the room there is, with line ends made spaces. */
void sim_record_text(char *to, size_t size, const char *from);

/* A failure of the scenario, with no path yet; NULL when there is no room for more. */
sim_record_found *sim_record_find(sim_record *record, const sim_outcome *outcome,
                                  const char *origin, uint64_t times);

enum { SIM_RECORD_TITLE = SIM_RECORD_NAME + 96 };

/* "name", "name (sweep)", "name (wan)", "name (sweep, wan)": what makes it another search. */
void sim_record_title(const sim_record *record, char title[SIM_RECORD_TITLE]);

/* One <testsuite> with a <testcase> for each scenario, as Jenkins, GitLab and Bazel read it. */
bool sim_junit_write(const char *path, const char *program, const sim_records *records,
                     const sim_shard *shard);

/* "ok 1 - name", with the first failure as a YAML block (https://testanything.org, version 13). */
void sim_tap_begin(FILE *out);
void sim_tap_record(FILE *out, size_t number, const sim_record *record);
/* The plan: how many there were. */
void sim_tap_end(FILE *out, size_t count);

#endif
