/* SPDX-License-Identifier: MIT */
/*
 * Host names, by getaddrinfo(3) on one helper thread per reactor, so that a slow name server never
 * holds up the loop. The thread starts with the first lookup and is joined when the reactor is
 * freed; lookups run one after another.
 *
 * A job is allocated and freed on the reactor's thread alone, and sits in one place at a time:
 * waiting, with the helper, answered. The helper never touches the dw_lookup, so that core may
 * cancel one at any moment.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

struct dw_resolver_job {
    struct dw_resolver_job *next;
    dw_lookup *lookup;     /* NULL: cancelled. Reactor's thread only. */
    struct addrinfo *list; /* the answer */
    int error;             /* 0 or -errno */
    bool waiting;          /* in the queue; under the lock */
    char name[];
};

/* ---- Lists; under the lock ---- */

static void list_push(struct dw_resolver_list *list, struct dw_resolver_job *job) {
    job->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = job;
    } else {
        list->head = job;
    }
    list->tail = job;
}

static struct dw_resolver_job *list_pop(struct dw_resolver_list *list) {
    struct dw_resolver_job *job = list->head;
    if (job != NULL) {
        list->head = job->next;
        if (list->head == NULL) {
            list->tail = NULL;
        }
    }
    return job;
}

static void list_remove(struct dw_resolver_list *list, const struct dw_resolver_job *job) {
    struct dw_resolver_job *previous = NULL;
    for (struct dw_resolver_job *at = list->head; at != NULL; previous = at, at = at->next) {
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

/* ---- The helper's thread ---- */

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

static void look_up(struct dw_live *live, struct dw_resolver_job *job) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    errno = 0;
    job->error = error_of(live->sys->getaddrinfo(job->name, NULL, &hints, &list));
    job->list = job->error == 0 ? list : NULL;
}

static void *helper(void *user) {
    struct dw_live *live = user;
    struct dw_resolver *resolver = &live->resolver;
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->stopping) {
        struct dw_resolver_job *job = list_pop(&resolver->waiting);
        if (job == NULL) {
            pthread_cond_wait(&resolver->more, &resolver->lock);
            continue;
        }
        job->waiting = false;
        pthread_mutex_unlock(&resolver->lock);
        look_up(live, job);
        pthread_mutex_lock(&resolver->lock);
        /* One byte for the first answer of a row: the reactor takes them all. */
        bool first = resolver->answered.head == NULL;
        list_push(&resolver->answered, job);
        if (first) {
            dw_live_wake(live);
        }
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

/* The helper handles no signal: they are the program's threads' business. */
static int start_helper(struct dw_live *live) {
    if (live->resolver.started) {
        return 0;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = live->sys->pthread_create(&live->resolver.thread, NULL, helper, live);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    live->resolver.started = error == 0;
    return -error;
}

/* ---- The reactor's thread ---- */

static void job_free(struct dw_live *live, struct dw_resolver_job *job) {
    if (job->list != NULL) {
        live->sys->freeaddrinfo(job->list);
    }
    live->resolver.count--;
    dw_free(&live->base, job);
}

static void list_free(struct dw_live *live, struct dw_resolver_list *list) {
    for (struct dw_resolver_job *job; (job = list_pop(list)) != NULL;) {
        job_free(live, job);
    }
}

int dw_resolver_init(struct dw_resolver *resolver) {
    /* Neither fails on Linux; elsewhere they may. */
    int error = pthread_mutex_init(&resolver->lock, NULL);
    if (error == 0) {
        error = pthread_cond_init(&resolver->more, NULL);
        if (error != 0) {
            pthread_mutex_destroy(&resolver->lock);
        }
    }
    resolver->ready = error == 0;
    return -error;
}

void dw_resolver_fini(struct dw_live *live) {
    struct dw_resolver *resolver = &live->resolver;
    if (!resolver->ready) {
        return;
    }
    if (resolver->started) {
        pthread_mutex_lock(&resolver->lock);
        resolver->stopping = true;
        pthread_cond_signal(&resolver->more);
        pthread_mutex_unlock(&resolver->lock);
        pthread_join(resolver->thread, NULL);
    }
    list_free(live, &resolver->waiting);
    list_free(live, &resolver->answered);
    pthread_cond_destroy(&resolver->more);
    pthread_mutex_destroy(&resolver->lock);
    resolver->ready = false;
}

int dw_live_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    struct dw_live *live = dw_live_of(reactor);
    struct dw_resolver *resolver = &live->resolver;
    if (resolver->count >= DW_LOOKUPS_MAX) {
        return -EAGAIN;
    }
    int error = start_helper(live);
    if (error != 0) {
        return error;
    }
    size_t len = strlen(lookup->name) + 1;
    struct dw_resolver_job *job = dw_alloc(reactor, sizeof(*job) + len);
    if (job == NULL) {
        return -ENOMEM;
    }
    *job = (struct dw_resolver_job){.lookup = lookup, .waiting = true};
    memcpy(job->name, lookup->name, len);
    lookup->wire_data = job;
    resolver->count++;
    pthread_mutex_lock(&resolver->lock);
    list_push(&resolver->waiting, job);
    pthread_cond_signal(&resolver->more);
    pthread_mutex_unlock(&resolver->lock);
    return 0;
}

void dw_live_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    struct dw_live *live = dw_live_of(reactor);
    struct dw_resolver *resolver = &live->resolver;
    struct dw_resolver_job *job = lookup->wire_data;
    if (job == NULL) {
        return;
    }
    lookup->wire_data = NULL;
    job->lookup = NULL;
    pthread_mutex_lock(&resolver->lock);
    bool waiting = job->waiting;
    if (waiting) {
        list_remove(&resolver->waiting, job);
    }
    pthread_mutex_unlock(&resolver->lock);
    if (waiting) {
        job_free(live, job); /* else when its answer comes */
    }
}

static void hand_over(struct dw_live *live, dw_lookup *lookup, const struct dw_resolver_job *job) {
    dw_address addresses[DW_LOOKUP_ADDRESSES_MAX];
    size_t count = 0;
    for (const struct addrinfo *at = job->list; at != NULL && count < DW_LOOKUP_ADDRESSES_MAX;
         at = at->ai_next) {
        dw_live_address_from(&addresses[count], at->ai_addr);
        count += addresses[count].kind != DW_ADDRESS_NONE;
    }
    int error = job->error == 0 && count == 0 ? -ENODATA : job->error;
    dw_lookup_done(&live->base, lookup, error, addresses, count);
}

/* One at a time, for an answer's callbacks may cancel the next lookup, or start others. */
void dw_resolver_answer(struct dw_live *live) {
    struct dw_resolver *resolver = &live->resolver;
    for (unsigned i = 0; i < DW_LOOKUPS_MAX && resolver->started; i++) {
        pthread_mutex_lock(&resolver->lock);
        struct dw_resolver_job *job = list_pop(&resolver->answered);
        pthread_mutex_unlock(&resolver->lock);
        if (job == NULL) {
            return;
        }
        dw_lookup *lookup = job->lookup;
        if (lookup != NULL) {
            lookup->wire_data = NULL;
            hand_over(live, lookup, job);
        }
        job_free(live, job);
    }
}
