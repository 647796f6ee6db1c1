/* SPDX-License-Identifier: MIT */
/*
 * Names by getaddrinfo(3) on a few threads of the reactor's own, so that neither the loop waits for
 * a slow name server nor, up to DW_NAME_THREADS_MAX of them, other names do. A thread starts when a
 * name finds all others busy; they are joined when the reactor is freed.
 *
 * A job is allocated and freed on the reactor's thread alone, and sits in one place at a time:
 * waiting, with a thread, answered. Threads never touch the dw_lookup, so that core may cancel one
 * at any moment.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

struct dw_name_job {
    struct dw_name_job *next;
    dw_lookup *lookup; /* NULL: cancelled. Reactor's thread only. */
    int family;
    struct addrinfo *list; /* the answer */
    int error;             /* 0 or -errno */
    bool waiting;          /* in the queue; under the lock */
    char name[];
};

/* ---- Lists; under the lock ---- */

static void list_push(struct dw_name_list *list, struct dw_name_job *job) {
    job->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = job;
    } else {
        list->head = job;
    }
    list->tail = job;
}

static struct dw_name_job *list_pop(struct dw_name_list *list) {
    struct dw_name_job *job = list->head;
    if (job != NULL) {
        list->head = job->next;
        if (list->head == NULL) {
            list->tail = NULL;
        }
    }
    return job;
}

static void list_remove(struct dw_name_list *list, const struct dw_name_job *job) {
    struct dw_name_job *previous = NULL;
    for (struct dw_name_job *at = list->head; at != NULL; previous = at, at = at->next) {
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

/* getaddrinfo's errors as errno values: the seam has one currency. */
static int error_of(int eai) {
    switch (eai) {
    case 0:
        return 0;
    case EAI_SYSTEM:
        return errno != 0 ? -errno : -EIO;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_FAIL:
        return -EIO;
    default:
        return -ENODATA; /* no such name, or a name without addresses */
    }
}

static void look_up(struct dw_live *live, struct dw_name_job *job) {
    const struct addrinfo hints = {.ai_family = job->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    errno = 0;
    job->error = error_of(live->sys->getaddrinfo(job->name, NULL, &hints, &list));
    job->list = job->error == 0 ? list : NULL;
}

static void *helper(void *user) {
    struct dw_live *live = user;
    struct dw_name_threads *threads = &live->names.threads;
    pthread_mutex_lock(&threads->lock);
    while (!threads->stopping) {
        struct dw_name_job *job = list_pop(&threads->waiting);
        if (job == NULL) {
            threads->idle++;
            pthread_cond_wait(&threads->more, &threads->lock);
            threads->idle--;
            continue;
        }
        threads->waiting_count--;
        job->waiting = false;
        pthread_mutex_unlock(&threads->lock);
        look_up(live, job);
        pthread_mutex_lock(&threads->lock);
        /* One byte for the first answer of a row: the reactor takes them all. */
        bool first = threads->answered.head == NULL;
        list_push(&threads->answered, job);
        if (first) {
            dw_live_wake(live);
        }
    }
    pthread_mutex_unlock(&threads->lock);
    return NULL;
}

/* ---- The reactor's thread ---- */

static int prepare(struct dw_name_threads *threads) {
    if (threads->ready) {
        return 0;
    }
    /* Neither fails on Linux; elsewhere they may. */
    int error = pthread_mutex_init(&threads->lock, NULL);
    if (error == 0) {
        error = pthread_cond_init(&threads->more, NULL);
        if (error != 0) {
            pthread_mutex_destroy(&threads->lock);
        }
    }
    threads->ready = error == 0;
    return -error;
}

/* The helpers handle no signal: they are the program's threads' business. */
static int start_helper(struct dw_live *live) {
    struct dw_name_threads *threads = &live->names.threads;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = live->sys->pthread_create(&threads->all[threads->started], NULL, helper, live);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    threads->started += error == 0;
    return -error;
}

/* One more thread, unless one is idle for this job or there are enough. That a further one cannot
 * be had only makes names wait. */
static int provide_helper(struct dw_live *live) {
    struct dw_name_threads *threads = &live->names.threads;
    pthread_mutex_lock(&threads->lock);
    bool enough = threads->idle > threads->waiting_count;
    pthread_mutex_unlock(&threads->lock);
    if (enough || threads->started == DW_NAME_THREADS_MAX) {
        return 0;
    }
    int error = start_helper(live);
    return threads->started > 0 ? 0 : error;
}

static void job_free(struct dw_live *live, struct dw_name_job *job) {
    if (job->list != NULL) {
        live->sys->freeaddrinfo(job->list);
    }
    live->names.count--;
    dw_free(&live->base, job);
}

static void list_free(struct dw_live *live, struct dw_name_list *list) {
    for (struct dw_name_job *job; (job = list_pop(list)) != NULL;) {
        job_free(live, job);
    }
}

static void threads_fini(struct dw_live *live) {
    struct dw_name_threads *threads = &live->names.threads;
    if (!threads->ready) {
        return;
    }
    pthread_mutex_lock(&threads->lock);
    threads->stopping = true;
    pthread_cond_broadcast(&threads->more);
    pthread_mutex_unlock(&threads->lock);
    while (threads->started > 0) {
        pthread_join(threads->all[--threads->started], NULL);
    }
    list_free(live, &threads->waiting);
    list_free(live, &threads->answered);
    pthread_cond_destroy(&threads->more);
    pthread_mutex_destroy(&threads->lock);
    threads->ready = false;
}

static int af_of(dw_family family) {
    return family == DW_FAMILY_IPV4 ? AF_INET : family == DW_FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
}

static int threads_resolve(struct dw_live *live, dw_lookup *lookup) {
    struct dw_name_threads *threads = &live->names.threads;
    int error = prepare(threads);
    if (error == 0) {
        error = provide_helper(live);
    }
    if (error != 0) {
        return error;
    }
    size_t len = strlen(lookup->name) + 1;
    struct dw_name_job *job = dw_alloc(&live->base, sizeof(*job) + len);
    if (job == NULL) {
        return -ENOMEM;
    }
    *job = (struct dw_name_job){.lookup = lookup, .waiting = true};
    job->family = af_of(lookup->family);
    memcpy(job->name, lookup->name, len);
    lookup->resolver_data = job;
    live->names.count++;
    pthread_mutex_lock(&threads->lock);
    list_push(&threads->waiting, job);
    threads->waiting_count++;
    pthread_cond_signal(&threads->more);
    pthread_mutex_unlock(&threads->lock);
    return 0;
}

static void threads_cancel(struct dw_live *live, dw_lookup *lookup) {
    struct dw_name_threads *threads = &live->names.threads;
    struct dw_name_job *job = lookup->resolver_data;
    lookup->resolver_data = NULL;
    job->lookup = NULL;
    pthread_mutex_lock(&threads->lock);
    bool waiting = job->waiting;
    if (waiting) {
        list_remove(&threads->waiting, job);
        threads->waiting_count--;
    }
    pthread_mutex_unlock(&threads->lock);
    if (waiting) {
        job_free(live, job); /* else when its answer comes */
    }
}

static void hand_over(struct dw_live *live, dw_lookup *lookup, const struct dw_name_job *job) {
    dw_address addresses[DW_LOOKUP_ADDRESSES_MAX];
    size_t count = 0;
    for (const struct addrinfo *at = job->list; at != NULL && count < DW_LOOKUP_ADDRESSES_MAX;
         at = at->ai_next) {
        dw_live_address_from(&addresses[count], at->ai_addr, at->ai_addrlen);
        count += addresses[count].kind != DW_ADDRESS_NONE;
    }
    dw_lookup_done(&live->base, lookup, job->error, addresses, count);
}

/* One at a time, for an answer's callbacks may cancel the next lookup, or start others. */
void dw_name_threads_answer(struct dw_live *live) {
    struct dw_name_threads *threads = &live->names.threads;
    for (unsigned i = 0; i < DW_LOOKUPS_MAX && threads->ready; i++) {
        pthread_mutex_lock(&threads->lock);
        struct dw_name_job *job = list_pop(&threads->answered);
        pthread_mutex_unlock(&threads->lock);
        if (job == NULL) {
            return;
        }
        dw_lookup *lookup = job->lookup;
        if (lookup != NULL) {
            lookup->resolver_data = NULL;
            hand_over(live, lookup, job);
        }
        job_free(live, job);
    }
}

const struct dw_name_way dw_name_way_threads = {threads_resolve, threads_cancel, threads_fini};
