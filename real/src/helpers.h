/* SPDX-License-Identifier: MIT */
/*
 * Helper threads: a few threads of a reactor's own that do what would hold its loop up. The live
 * wire has two sets of them, for names (name_threads.c) and for the program's work (offload.c), so
 * that neither waits for the other. All functions run on the reactor's thread.
 */
#ifndef DRYWIRE_REAL_HELPERS_H
#define DRYWIRE_REAL_HELPERS_H

#include <pthread.h>
#include <stdbool.h>

struct dw_live;

/* Threads of one set. */
#define DW_HELPERS_MAX 4

/* A piece of work, embedded first in what it is about. */
struct dw_helper_job {
    struct dw_helper_job *next;
    void (*work)(struct dw_live *live, struct dw_helper_job *job); /* on a helper's thread */
    bool waiting;                                                  /* under the lock */
};

struct dw_helper_list {
    struct dw_helper_job *head, *tail;
};

struct dw_helpers {
    struct dw_live *live;

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t more; /* something is in `waiting`, or `stopping` is set */
    pthread_cond_t rest; /* `busy` has become 0 */
    struct dw_helper_list waiting, finished;
    unsigned waiting_count, idle, busy; /* jobs; threads without one, and with one */
    bool stopping;

    /* The reactor's thread only. */
    pthread_t all[DW_HELPERS_MAX];
    unsigned started;
    bool ready; /* lock, more and rest are */
};

/* Has job->work done by a helper; until it is finished or taken back, it is theirs. The loop is
 * woken when it is finished. 0, or -errno: not one thread can be had. */
int dw_helpers_give(struct dw_live *live, struct dw_helpers *helpers, struct dw_helper_job *job);
/* Whether no helper had begun it; then it is the caller's again. */
bool dw_helpers_take_back(struct dw_helpers *helpers, struct dw_helper_job *job);
/* The next one that is finished, or NULL. */
struct dw_helper_job *dw_helpers_finished(struct dw_helpers *helpers);
/* Waits until none works. */
void dw_helpers_rest(struct dw_helpers *helpers);
/* Ends the threads, when what they do is done, and gives `release` the jobs that are left. */
void dw_helpers_fini(struct dw_helpers *helpers,
                     void (*release)(struct dw_live *live, struct dw_helper_job *job));

#endif
