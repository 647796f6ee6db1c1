/* SPDX-License-Identifier: MIT */
/*
 * The program's work on helper threads: the slots of dw_wire for drywire/offload.h.
 *
 * Invariant: a job is allocated and freed on the reactor's thread alone; threads never touch the
 * dw_offload, which is gone when the program has freed it in its `done`.
 */
#include "drywire/offload.h"

#include "live.h"

#include <errno.h>

/* Finished pieces that are told at once: what they bring about has its turn too. */
#define ANSWERS_MAX 4096

struct offload_job {
    struct dw_helper_job job; /* first */
    dw_offload *offload;      /* NULL: forgotten. Reactor's thread only. */
    dw_offload_work_fn work;
    void *user;
};

static struct offload_job *offload_job_of(struct dw_helper_job *job) {
    return DW_CONTAINER_OF(job, struct offload_job, job);
}

static void do_work(struct dw_live *live, struct dw_helper_job *job) {
    const struct offload_job *own = offload_job_of(job);
    (void)live;
    own->work(own->user);
}

static void job_free(struct dw_live *live, struct dw_helper_job *job) {
    dw_free(&live->base, offload_job_of(job));
}

int dw_live_offload(dw_reactor *reactor, dw_offload *offload) {
    struct dw_live *live = dw_live_of(reactor);
    struct offload_job *own = dw_new(reactor, struct offload_job);
    if (own == NULL) {
        return -ENOMEM;
    }
    *own = (struct offload_job){.job = {.work = do_work}, .offload = offload};
    own->work = offload->work_;
    own->user = offload->user_;
    int error = dw_helpers_give(live, &live->workers, &own->job);
    if (error != 0) {
        dw_free(reactor, own);
        return error;
    }
    offload->wire_data_ = own;
    return 0;
}

bool dw_live_offload_cancel(dw_reactor *reactor, dw_offload *offload) {
    struct dw_live *live = dw_live_of(reactor);
    struct offload_job *own = offload->wire_data_;
    if (!dw_helpers_take_back(&live->workers, &own->job)) {
        return false;
    }
    job_free(live, &own->job);
    return true;
}

void dw_live_offload_forget(dw_reactor *reactor, dw_offload *offload) {
    struct offload_job *own = offload->wire_data_;
    (void)reactor;
    own->offload = NULL;
}

/* One at a time, for a `done` may offload the next piece, or free what it likes. */
void dw_live_offload_answer(struct dw_live *live) {
    for (unsigned i = 0; i < ANSWERS_MAX; i++) {
        struct dw_helper_job *job = dw_helpers_finished(&live->workers);
        if (job == NULL) {
            return;
        }
        dw_offload *offload = offload_job_of(job)->offload;
        job_free(live, job);
        if (offload != NULL) {
            dw_offload_worked(&live->base, offload);
        }
    }
    dw_live_wake(live); /* for the rest */
}

void dw_live_offload_finish(dw_reactor *reactor) {
    struct dw_live *live = dw_live_of(reactor);
    dw_helpers_rest(&live->workers);
    dw_live_offload_answer(live);
}

void dw_live_offload_fini(struct dw_live *live) {
    dw_helpers_fini(&live->workers, job_free);
}
