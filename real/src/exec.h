/* SPDX-License-Identifier: MIT */
/*
 * What a child process does between its birth and its program's first instruction. The plan is made
 * before, in one block of memory; the child only carries it out, with calls that are
 * async-signal-safe (signal-safety(7)), for other threads may hold any lock.
 */
#ifndef DRYWIRE_REAL_EXEC_H
#define DRYWIRE_REAL_EXEC_H

#include "drywire/backend.h"
#include "syscalls.h"

/* The child's descriptor `child` is our descriptor `source`. */
struct dw_exec_move {
    int child, source;
};

struct dw_exec {
    const struct dw_syscalls *sys;
    const dw_spawn_options *options;
    const char *const *env;
    const char **paths; /* what to try, in order */
    size_t path_count;
    struct dw_exec_move *moves; /* by `child`, each once */
    size_t move_count;
};

/* Returns a new plan without moves but with room for one per descriptor of the options, which it
 * borrows; to be freed with dw_free. NULL without memory. */
struct dw_exec *dw_exec_new(dw_reactor *reactor, const struct dw_syscalls *sys,
                            const dw_spawn_options *options);

/* The caller adds each descriptor of the child, in any order. */
void dw_exec_add(struct dw_exec *plan, int child, int source);

/* In the child, with all signals blocked; `plan` is a struct dw_exec, and is used up. Never
 * returns: becomes the program, or exits with status 1 when it cannot. */
void dw_exec_run(void *plan);

#endif
