/* SPDX-License-Identifier: MIT */
/*
 * What a live reactor has besides its sockets: the pipe that wakes it from other threads and from
 * signal handlers, its clocks and its random bytes. Called by poll.c.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Bytes read from the wake pipe at once, and how often: its bytes mean nothing but "look". */
#define WAKE_READ      64
#define WAKE_READS_MAX 1024

/* Opens what a reactor needs besides its sockets. Returns 0 or -errno; fini is fine after either.
 */
static int live_init(struct dw_live *live) {
    const struct dw_syscalls *sys = live->sys;
    live->wake_read = live->wake_write = -1;
    live->reserve = -1;
    live->signal_seat = -1;
    int fds[2];
    if (sys->pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        return -errno;
    }
    live->wake_read = fds[0];
    live->wake_write = fds[1];
    dw_live_reserve_take(live);
    return live->reserve < 0 ? -errno : 0;
}

static void close_unless_none(struct dw_live *live, int fd) {
    if (fd >= 0) {
        (void)live->sys->close(fd);
    }
}

static void live_fini(struct dw_live *live) {
    dw_live_reserve_drop(live);
    close_unless_none(live, live->wake_read);
    close_unless_none(live, live->wake_write);
}

struct dw_live *dw_live_new(size_t size, const dw_poll_options *options,
                            const struct dw_syscalls *sys, const dw_wire *wire,
                            const struct dw_poller *poller) {
    static const dw_poll_options defaults = {0};
    if (options == NULL) {
        options = &defaults;
    }
    const dw_allocator *allocator =
        options->allocator != NULL ? options->allocator : &dw_allocator_libc;
    struct dw_live *live = allocator->alloc(allocator->user, size, DW_HERE);
    if (live == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    memset(live, 0, size);
    live->own = *allocator;
    dw_allocator inner = options->allocator != NULL ? *allocator : dw_slabs_allocator(&live->slabs);
    dw_reactor_init(&live->base, wire, &inner);
    live->sys = sys;
    live->poller = poller;
    live->no_signals = options->no_signals;
    int error = live_init(live);
    if (error == 0) {
        error = dw_names_init(live, options);
    }
    if (error != 0) {
        dw_reactor_free(&live->base);
        errno = -error;
        return NULL;
    }
    return live;
}

void dw_live_destroy(dw_reactor *reactor) {
    struct dw_live *live = dw_live_of(reactor);
    dw_live_offload_fini(live);
    dw_names_fini(live); /* it may have descriptors watched */
    live->poller->fini(live);
    live_fini(live);
    dw_slabs_fini(&live->slabs);
    const dw_allocator own = live->own;
    own.release(own.user, live);
}

/* The caller may be a signal handler, and what it interrupted look at errno next. */
void dw_live_wake(struct dw_live *live) {
    int saved = errno;
    /* EAGAIN: the pipe is full of reasons to wake up already. */
    (void)!live->sys->write(live->wake_write, "", 1);
    errno = saved;
}

void dw_live_wake_from_thread(dw_reactor *reactor) {
    dw_live_wake(dw_live_of(reactor));
}

void dw_live_woken(struct dw_live *live) {
    char bytes[WAKE_READ];
    for (int i = 0; i < WAKE_READS_MAX; i++) {
        ssize_t got = live->sys->read(live->wake_read, bytes, sizeof(bytes));
        if (got < (ssize_t)sizeof(bytes) && !(got < 0 && errno == EINTR)) {
            break;
        }
    }
    dw_signals_look(live);
    dw_live_children_look(live);
    dw_name_threads_answer(live);
    dw_live_offload_answer(live);
}

static dw_time clock_now(struct dw_live *live, clockid_t clock) {
    struct timespec now = {.tv_sec = 0};
    (void)live->sys->clock_gettime(clock, &now); /* cannot fail for these two clocks */
    return DW_SEC(now.tv_sec) + (dw_time)now.tv_nsec;
}

dw_time dw_live_now(dw_reactor *reactor) {
    return clock_now(dw_live_of(reactor), CLOCK_MONOTONIC);
}

dw_time dw_live_wall_clock(dw_reactor *reactor) {
    return clock_now(dw_live_of(reactor), CLOCK_REALTIME);
}

/* Bytes nobody should build a secret on, told once: for kernels without getrandom. splitmix64, as
 * in Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014). */
static void weak_random(struct dw_live *live, uint8_t *buffer, size_t len) {
    if (!live->weak_random_told) {
        live->weak_random_told = true;
        dw_reactor_log(&live->base, "no random bytes from the system; using the clock instead");
    }
    uint64_t state = (uint64_t)clock_now(live, CLOCK_MONOTONIC) ^
                     (uint64_t)clock_now(live, CLOCK_REALTIME) << 20 ^ (uint64_t)getpid() << 48;
    for (size_t i = 0; i < len; i++) {
        uint64_t mixed = state += 0x9e3779b97f4a7c15u;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        buffer[i] = (uint8_t)(mixed >> 56);
    }
}

void dw_live_random(dw_reactor *reactor, void *buffer, size_t len) {
    struct dw_live *live = dw_live_of(reactor);
    uint8_t *next = buffer;
    for (int interrupted = 0; len > 0 && interrupted < DW_EINTR_MAX;) {
        ssize_t got = live->sys->getrandom(next, len, 0);
        if (got > 0) {
            next += got;
            len -= (size_t)got;
        } else if (got < 0 && errno == EINTR) {
            interrupted++;
        } else {
            break;
        }
    }
    if (len > 0) {
        weak_random(live, next, len);
    }
}

uint32_t dw_live_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    (void)reactor;
    (void)what;
    (void)n;
    return 0;
}
