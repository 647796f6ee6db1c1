/* SPDX-License-Identifier: MIT */
/*
 * Run files: a scenario's name and a list of deviations, as text that a person reads and edits. One
 * run is stored per file; reading what was written gives the same list. Lines:
 *
 *     drywire run 1                                the first line that is no comment
 *     scenario  NAME
 *     weather   NAME                               optional: the one it begins in (--weather)
 *     deviate   WHO  WHAT  NTH  VALUE              WHO may hold single spaces; times carry a unit
 *     expect    ORACLE: MESSAGE                    optional: the failure it shows
 *     hash      16 hex digits                      optional: the run's hash when it was written
 *     # a comment; blank lines are fine too
 */
#ifndef DRYWIRE_SIM_RUNFILE_H
#define DRYWIRE_SIM_RUNFILE_H

#include "deviation.h"
#include "run.h"

enum {
    SIM_RUNFILE_LIST_MAX = 100000, /* deviations in one file, and in one run that is recorded */
    SIM_RUNFILE_BYTES_MAX = 32 * 1024 * 1024,
    SIM_RUNFILE_LINE_MAX = 1024,
    SIM_RUNFILE_NAME_MAX = 128,
    SIM_RUNFILE_WEATHER_MAX = 40,
    SIM_RUNFILE_ERROR = 512, /* room for any message below, path included up to its limit */
};

/* Zero-initialise; free with sim_runfile_free. */
typedef struct sim_runfile {
    char scenario[SIM_RUNFILE_NAME_MAX];
    char weather[SIM_RUNFILE_WEATHER_MAX]; /* "": the scenario's own, if it has one */
    sim_list list;
    bool has_expect;
    char oracle[sizeof(((sim_outcome *)0)->oracle)];
    char message[sizeof(((sim_outcome *)0)->message)];
    bool has_hash;
    uint64_t hash;
} sim_runfile;

/* Reads the text of a run file; `name` is what errors call it. False: `file` is empty again and
 * `error` says "NAME:LINE: what is wrong". */
bool sim_runfile_parse(const char *name, const char *text, size_t len, sim_runfile *file,
                       char error[SIM_RUNFILE_ERROR]);

/* The same from a path. */
bool sim_runfile_read(const char *path, sim_runfile *file, char error[SIM_RUNFILE_ERROR]);

/* Writes it to a temporary file beside `path`, then renames: either the old or the new file is
 * there, whole. */
bool sim_runfile_write(const char *path, const sim_runfile *file, char error[SIM_RUNFILE_ERROR]);

/* Whether a file can be made in the directory: asked before hours of work, not after. */
bool sim_runfile_can_write_in(const char *directory, char error[SIM_RUNFILE_ERROR]);

/* The list as `deviate` lines in columns, each behind `indent`. */
void sim_runfile_print_list(FILE *out, const sim_list *list, const char *indent);

/* One deviation's value as text: "17", "250ms". */
const char *sim_runfile_value(const sim_deviation *deviation, char text[32]);

void sim_runfile_free(sim_runfile *file);

#endif
