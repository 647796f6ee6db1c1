/* SPDX-License-Identifier: MIT */
/*
 * What every child process of the runner does first and last, and where its output goes: into an
 * unlinked file, so that a report can be quoted after the process is gone.
 */
#ifndef DRYWIRE_SIM_RUNNER_CHILD_H
#define DRYWIRE_SIM_RUNNER_CHILD_H

#include "drywire/base.h"

#include <sys/types.h>

enum {
    SIM_CHILD_TEXT_MAX = 64 * 1024,     /* so much of the output's end is looked at */
    SIM_CHILD_OUTPUT_MAX = 1024 * 1024, /* more than this is thrown away between runs */
};

/* Wall time, monotonic, ns: for limits, never for anything inside a run. */
dw_time sim_wall_now(void);

/* CPU time of this process, ns. */
dw_time sim_cpu_now(void);

/* A new unlinked temporary file, opened for appending; -1 on an error (errno). */
int sim_child_file(void);

/* Zeroed memory that is shared with children made later; NULL on an error. */
void *sim_child_shared(size_t size);
void sim_child_unshare(void *memory, size_t size);

/* In the child, first: dies with its parent, leaves Ctrl-C to it, writes standard output and error
 * to `capture`. On a fatal signal it says there where that was (SIM_CHILD_FAULT_MARK), then calls
 * `dying`, if there is one, with the signal, or 0 when a sanitizer ends the process. */
void sim_child_begin(pid_t parent, int capture, void (*dying)(int number));

/* "drywire: fault in PROGRAM+0x12ab": an address that is the same in each process of the program,
 * for addr2line(1). */
#define SIM_CHILD_FAULT_MARK "drywire: fault in "

/* In the child, last: saves coverage data, runs no exit handlers. */
void sim_child_end(int status) __attribute__((noreturn));

/* In the parent: waits for it to be gone; returns its wait status. Kills it first if asked. */
int sim_child_reap(pid_t child, bool kill_first);

/* How much was written so far. */
size_t sim_child_written(int capture);

/* The text from `from` on, at most the last SIM_CHILD_TEXT_MAX bytes of it; the caller frees. NULL
 * without memory. */
char *sim_child_text(int capture, size_t from);

#endif
