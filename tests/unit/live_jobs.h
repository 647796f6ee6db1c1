/* SPDX-License-Identifier: MIT */
/*
 * For the tests of child processes on the live wire: a `job`, a process protocol that keeps what
 * its child wrote and how it ended, and sh to be one.
 */
#ifndef DRYWIRE_TESTS_LIVE_JOBS_H
#define DRYWIRE_TESTS_LIVE_JOBS_H

#include "test_poll_support.h"

typedef struct job {
    dw_process_protocol protocol;
    char out[4000], err[400];
    int ended, lost;
    dw_reason reason;
    bool destroyed;
} job;

static inline void keep(char *to, size_t size, const uint8_t *data, size_t len) {
    size_t n = strlen(to);
    snprintf(to + n, size - n, "%.*s", (int)len, (const char *)data);
}

static inline void job_data(dw_process_protocol *p, int fd, const uint8_t *data, size_t len) {
    job *j = (job *)p;
    if (fd == 2) {
        keep(j->err, sizeof(j->err), data, len);
    } else {
        keep(j->out, sizeof(j->out), data, len);
    }
}

static inline void job_lost(dw_process_protocol *p, int fd) {
    (void)fd;
    ((job *)p)->lost++;
}

static inline void job_ended(dw_process_protocol *p, const dw_reason *reason) {
    ((job *)p)->reason = *reason;
    ((job *)p)->ended++;
}

static inline void job_destroy(dw_process_protocol *p) {
    ((job *)p)->destroyed = true;
}

static const dw_process_protocol_class job_class = {.name = "job",
                                                    .child_data_received = job_data,
                                                    .child_connection_lost = job_lost,
                                                    .process_ended = job_ended,
                                                    .destroy = job_destroy};

static inline job *job_init(job *j) {
    memset(j, 0, sizeof(*j));
    dw_process_protocol_init(&j->protocol, &job_class);
    return j;
}

static inline int try_spawn(dw_reactor *reactor, job *j, const dw_spawn_options *options) {
    return dw_reactor_spawn_process(reactor, &job_init(j)->protocol, options, NULL);
}

/* Runs sh -c `script` to its end. */
static inline void run_sh(dw_reactor *reactor, job *j, const char *script,
                          dw_spawn_options options) {
    const char *argv[] = {"sh", "-c", script, NULL};
    options.argv = argv;
    ck_assert_int_eq(try_spawn(reactor, j, &options), 0);
    ck_assert(turn_until(reactor, &j->ended, 1));
}

static inline void spawn_sh(dw_reactor *reactor, job *j, const char *script) {
    const char *argv[] = {"sh", "-c", script, NULL};
    ck_assert_int_eq(try_spawn(reactor, j, &(dw_spawn_options){.argv = argv}), 0);
}

#endif
