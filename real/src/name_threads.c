/* SPDX-License-Identifier: MIT */
/*
 * Names by getaddrinfo(3) on helper threads, so that neither the loop waits for a slow name server
 * nor, up to DW_NAME_THREADS_MAX of them, other names do.
 *
 * Invariant: a job is allocated and freed on the reactor's thread alone. Threads never touch the
 * dw_lookup, so that core may cancel one at any moment.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

struct dw_name_job {
    struct dw_helper_job job; /* first */
    dw_lookup *lookup;        /* NULL: cancelled. Reactor's thread only. */
    int family;
    struct addrinfo *list; /* the answer */
    int error;             /* 0 or -errno */
    char name[];
};

static struct dw_name_job *name_job_of(struct dw_helper_job *job) {
    return DW_CONTAINER_OF(job, struct dw_name_job, job);
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

static void look_up(struct dw_live *live, struct dw_helper_job *job) {
    struct dw_name_job *name = name_job_of(job);
    const struct addrinfo hints = {.ai_family = name->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    errno = 0;
    name->error = error_of(live->sys->getaddrinfo(name->name, NULL, &hints, &list));
    name->list = name->error == 0 ? list : NULL;
}

/* ---- The reactor's thread ---- */

static void job_free(struct dw_live *live, struct dw_helper_job *job) {
    struct dw_name_job *name = name_job_of(job);
    if (name->list != NULL) {
        live->sys->freeaddrinfo(name->list);
    }
    live->names.count--;
    dw_free(&live->base, name);
}

static void threads_fini(struct dw_live *live) {
    dw_helpers_fini(&live->names.threads, job_free);
}

static int af_of(dw_family family) {
    return family == DW_FAMILY_IPV4 ? AF_INET : family == DW_FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
}

static int threads_resolve(struct dw_live *live, dw_lookup *lookup) {
    size_t len = strlen(lookup->name) + 1;
    struct dw_name_job *name = dw_alloc(&live->base, sizeof(*name) + len);
    if (name == NULL) {
        return -ENOMEM;
    }
    *name = (struct dw_name_job){.job = {.work = look_up}, .lookup = lookup};
    name->family = af_of(lookup->family);
    memcpy(name->name, lookup->name, len);
    int error = dw_helpers_give(live, &live->names.threads, &name->job);
    if (error != 0) {
        dw_free(&live->base, name);
        return error;
    }
    lookup->resolver_data = name;
    live->names.count++;
    return 0;
}

static void threads_cancel(struct dw_live *live, dw_lookup *lookup) {
    struct dw_name_job *name = lookup->resolver_data;
    lookup->resolver_data = NULL;
    name->lookup = NULL;
    if (dw_helpers_take_back(&live->names.threads, &name->job)) {
        job_free(live, &name->job); /* else when its answer comes */
    }
}

static void hand_over(struct dw_live *live, dw_lookup *lookup, const struct dw_name_job *name) {
    dw_address addresses[DW_LOOKUP_ADDRESSES_MAX];
    size_t count = 0;
    for (const struct addrinfo *at = name->list; at != NULL && count < DW_LOOKUP_ADDRESSES_MAX;
         at = at->ai_next) {
        dw_live_address_from(&addresses[count], at->ai_addr, at->ai_addrlen);
        count += addresses[count].kind != DW_ADDRESS_NONE;
    }
    dw_lookup_done(&live->base, lookup, name->error, addresses, count);
}

/* One at a time, for an answer's callbacks may cancel the next lookup, or start others. */
void dw_name_threads_answer(struct dw_live *live) {
    for (unsigned i = 0; i < DW_LOOKUPS_MAX; i++) {
        struct dw_helper_job *job = dw_helpers_finished(&live->names.threads);
        if (job == NULL) {
            return;
        }
        const struct dw_name_job *name = name_job_of(job);
        dw_lookup *lookup = name->lookup;
        if (lookup != NULL) {
            lookup->resolver_data = NULL;
            hand_over(live, lookup, name);
        }
        job_free(live, job);
    }
}

const struct dw_name_way dw_name_way_threads = {threads_resolve, threads_cancel, threads_fini};
