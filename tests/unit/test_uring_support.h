/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the io_uring reactor share: a table of liburing's calls that counts them, fails
 * them, or makes the ring tiny. Where the kernel has no io_uring these tests say so and pass.
 */
#ifndef DRYWIRE_TEST_URING_SUPPORT_H
#define DRYWIRE_TEST_URING_SUPPORT_H

#include "test_poll_support.h"

#include "../../real/src/uring.h"

#include <sys/resource.h>

static int enters;       /* calls into the kernel that hand over, fetch or wait */
static unsigned sq_most; /* entries of the ring, when not 0 */
static unsigned cq_most; /* likewise */
static int wait_error;   /* what the wait answers, when not 0 */
static int setup_error, register_error;
static int maps_left = INT32_MAX; /* mappings that succeed */

static inline int hooked_setup(unsigned entries, struct io_uring *ring,
                               struct io_uring_params *params) {
    if (setup_error != 0) {
        return setup_error;
    }
    if (cq_most != 0) {
        params->cq_entries = cq_most;
    }
    return dw_uring_calls_liburing.setup(sq_most != 0 ? sq_most : entries, ring, params);
}

static inline int hooked_register(struct io_uring *ring, struct io_uring_buf_reg *reg) {
    return register_error != 0 ? register_error
                               : dw_uring_calls_liburing.register_buffers(ring, reg);
}

static inline int hooked_submit(struct io_uring *ring) {
    enters++;
    return dw_uring_calls_liburing.submit(ring);
}

static inline int hooked_get_events(struct io_uring *ring) {
    enters++;
    return dw_uring_calls_liburing.submit_and_get_events(ring);
}

static inline int hooked_wait(struct io_uring *ring, struct __kernel_timespec *timeout) {
    enters++;
    return wait_error != 0 ? wait_error : dw_uring_calls_liburing.submit_and_wait(ring, timeout);
}

static inline void *hooked_map(size_t size) {
    return maps_left-- > 0 ? dw_uring_calls_liburing.map(size) : NULL;
}

static inline dw_reactor *new_hooked(void) {
    static struct dw_uring_calls calls;
    calls = dw_uring_calls_liburing;
    calls.setup = hooked_setup;
    calls.register_buffers = hooked_register;
    calls.submit = hooked_submit;
    calls.submit_and_get_events = hooked_get_events;
    calls.submit_and_wait = hooked_wait;
    calls.map = hooked_map;
    return dw_uring_new_on(NULL, &dw_syscalls_libc, &calls);
}

/* Room for `count` descriptors, if the system lets us; returns how many there may be. */
static inline int descriptors_room(int count) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < (rlim_t)count) {
        limit.rlim_cur = limit.rlim_max < (rlim_t)count ? limit.rlim_max : (rlim_t)count;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    return limit.rlim_cur < (rlim_t)count ? (int)limit.rlim_cur : count;
}

/* Connections of the server and the peers' ends of them. */
struct many {
    dw_reactor *reactor;
    struct probe *all;
    struct probes probes;
    int *peers;
    int count;
    uint16_t port;
};

static inline void many_open(struct many *many, dw_reactor *reactor, int count) {
    many->reactor = reactor;
    many->count = count;
    many->all = calloc((size_t)count, sizeof(*many->all));
    many->peers = calloc((size_t)count, sizeof(*many->peers));
    ck_assert(many->all != NULL && many->peers != NULL);
    probes_init(&many->probes, many->all, (size_t)count);
    many->port = listen_on(reactor, &many->probes, "127.0.0.1", NULL);
    for (int i = 0; i < count; i++) {
        many->peers[i] = peer_connect(many->port);
        if (i % 16 == 15 || i == count - 1) {
            ck_assert(turn_until(reactor, &many->all[i].made, 1));
        }
    }
}

static inline void many_close(struct many *many) {
    for (int i = 0; i < many->count; i++) {
        if (many->peers[i] >= 0) {
            close(many->peers[i]);
        }
    }
    dw_reactor_free(many->reactor);
    free(many->all);
    free(many->peers);
}

static inline void turns(dw_reactor *reactor, int count) {
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
}

/* The first, or NULL. */
static inline struct dw_uring_fd *only_stream(dw_reactor *reactor) {
    struct dw_uring *self = (struct dw_uring *)reactor;
    for (uint32_t i = 1; i < self->fd_count; i++) {
        if (self->fds[i]->io != NULL && self->fds[i]->io->kind == DW_IO_STREAM) {
            return self->fds[i];
        }
    }
    return NULL;
}

/* Runs the suite, unless this system has no io_uring. */
static inline int run_on_uring(Suite *suite) {
    dw_reactor *reactor = dw_uring_reactor_new(NULL);
    if (reactor == NULL) {
        printf("no io_uring here: %s\n", strerror(errno));
        return EXIT_SUCCESS;
    }
    dw_reactor_free(reactor);
    poller = "uring";
    return run_suite(suite);
}

#endif
