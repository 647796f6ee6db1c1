/* SPDX-License-Identifier: MIT */
/*
 * Helper threads. A thread starts when a job finds all others busy; they are joined when the
 * reactor is freed.
 *
 * Invariant: a job is in one place at a time: waiting, with a thread, finished; its memory is the
 * reactor's thread's business. Threads touch it only while they have it.
 */
#include "helpers.h"

#include "live.h"

/* ---- Lists; under the lock ---- */

static void list_push(struct dw_helper_list *list, struct dw_helper_job *job) {
    job->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = job;
    } else {
        list->head = job;
    }
    list->tail = job;
}

static struct dw_helper_job *list_pop(struct dw_helper_list *list) {
    struct dw_helper_job *job = list->head;
    if (job != NULL) {
        list->head = job->next;
        if (list->head == NULL) {
            list->tail = NULL;
        }
    }
    return job;
}

static void list_remove(struct dw_helper_list *list, const struct dw_helper_job *job) {
    struct dw_helper_job *previous = NULL;
    for (struct dw_helper_job *at = list->head; at != NULL; previous = at, at = at->next) {
        if (at != job) {
            continue;
        }
        if (previous != NULL) {
            previous->next = at->next;
        } else {
            list->head = at->next;
        }
        if (list->tail == at) {
            list->tail = previous;
        }
        return;
    }
}

/* ---- On the threads ---- */

static void wait_for_more(struct dw_helpers *helpers) {
    helpers->idle++;
    pthread_cond_wait(&helpers->more, &helpers->lock);
    helpers->idle--;
}

/* One byte for the first finished job of a row: the reactor takes them all. */
static void finish(struct dw_helpers *helpers, struct dw_helper_job *job) {
    bool first = helpers->finished.head == NULL;
    list_push(&helpers->finished, job);
    if (first) {
        dw_live_wake(helpers->live);
    }
    if (--helpers->busy == 0) {
        pthread_cond_signal(&helpers->rest);
    }
}

static void *helper(void *user) {
    struct dw_helpers *helpers = user;
    pthread_mutex_lock(&helpers->lock);
    while (!helpers->stopping) {
        struct dw_helper_job *job = list_pop(&helpers->waiting);
        if (job == NULL) {
            wait_for_more(helpers);
            continue;
        }
        helpers->waiting_count--;
        helpers->busy++;
        job->waiting = false;
        pthread_mutex_unlock(&helpers->lock);
        job->work(helpers->live, job);
        pthread_mutex_lock(&helpers->lock);
        finish(helpers, job);
    }
    pthread_mutex_unlock(&helpers->lock);
    return NULL;
}

/* ---- The reactor's thread ---- */

/* None of these fails on Linux; elsewhere they may. */
static int prepare(struct dw_live *live, struct dw_helpers *helpers) {
    if (helpers->ready) {
        return 0;
    }
    helpers->live = live;
    int error = pthread_mutex_init(&helpers->lock, NULL);
    if (error != 0) {
        return -error;
    }
    error = pthread_cond_init(&helpers->more, NULL);
    if (error == 0) {
        error = pthread_cond_init(&helpers->rest, NULL);
        if (error != 0) {
            pthread_cond_destroy(&helpers->more);
        }
    }
    if (error != 0) {
        pthread_mutex_destroy(&helpers->lock);
    }
    helpers->ready = error == 0;
    return -error;
}

/* The helpers handle no signal: they are the program's threads' business. */
static int start_helper(struct dw_helpers *helpers) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error =
        helpers->live->sys->pthread_create(&helpers->all[helpers->started], NULL, helper, helpers);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    helpers->started += error == 0;
    return -error;
}

/* One more thread, unless one is idle for this job or there are enough. That a further one cannot
 * be had only makes jobs wait. */
static int provide_helper(struct dw_helpers *helpers) {
    pthread_mutex_lock(&helpers->lock);
    bool enough = helpers->idle > helpers->waiting_count;
    pthread_mutex_unlock(&helpers->lock);
    if (enough || helpers->started == DW_HELPERS_MAX) {
        return 0;
    }
    int error = start_helper(helpers);
    return helpers->started > 0 ? 0 : error;
}

int dw_helpers_give(struct dw_live *live, struct dw_helpers *helpers, struct dw_helper_job *job) {
    int error = prepare(live, helpers);
    if (error == 0) {
        error = provide_helper(helpers);
    }
    if (error != 0) {
        return error;
    }
    job->waiting = true;
    pthread_mutex_lock(&helpers->lock);
    list_push(&helpers->waiting, job);
    helpers->waiting_count++;
    pthread_cond_signal(&helpers->more);
    pthread_mutex_unlock(&helpers->lock);
    return 0;
}

bool dw_helpers_take_back(struct dw_helpers *helpers, struct dw_helper_job *job) {
    pthread_mutex_lock(&helpers->lock);
    bool waiting = job->waiting;
    if (waiting) {
        list_remove(&helpers->waiting, job);
        helpers->waiting_count--;
    }
    pthread_mutex_unlock(&helpers->lock);
    return waiting;
}

struct dw_helper_job *dw_helpers_finished(struct dw_helpers *helpers) {
    if (!helpers->ready) {
        return NULL;
    }
    pthread_mutex_lock(&helpers->lock);
    struct dw_helper_job *job = list_pop(&helpers->finished);
    pthread_mutex_unlock(&helpers->lock);
    return job;
}

void dw_helpers_rest(struct dw_helpers *helpers) {
    if (!helpers->ready) {
        return;
    }
    pthread_mutex_lock(&helpers->lock);
    while (helpers->busy > 0) {
        pthread_cond_wait(&helpers->rest, &helpers->lock);
    }
    pthread_mutex_unlock(&helpers->lock);
}

static void release_all(struct dw_live *live, struct dw_helper_list *list,
                        void (*release)(struct dw_live *live, struct dw_helper_job *job)) {
    for (struct dw_helper_job *job; (job = list_pop(list)) != NULL;) {
        release(live, job);
    }
}

void dw_helpers_fini(struct dw_helpers *helpers,
                     void (*release)(struct dw_live *live, struct dw_helper_job *job)) {
    if (!helpers->ready) {
        return;
    }
    pthread_mutex_lock(&helpers->lock);
    helpers->stopping = true;
    pthread_cond_broadcast(&helpers->more);
    pthread_mutex_unlock(&helpers->lock);
    while (helpers->started > 0) {
        pthread_join(helpers->all[--helpers->started], NULL);
    }
    release_all(helpers->live, &helpers->waiting, release);
    release_all(helpers->live, &helpers->finished, release);
    pthread_cond_destroy(&helpers->rest);
    pthread_cond_destroy(&helpers->more);
    pthread_mutex_destroy(&helpers->lock);
    helpers->ready = false;
}
