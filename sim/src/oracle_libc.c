/* SPDX-License-Identifier: MIT */
/*
 * Calls of libc that would make a run depend on more than its deviations: time, random bytes,
 * sockets and sleep of the program's own. This file defines them, weakly: a program that links the
 * simulator gets these instead of libc's, however core is linked, with no flag of the linker; a
 * test that fakes one of them still can, and so do the sanitizers that bring their own. Each passes
 * on to the next definition behind it, libc's or a sanitizer's (dlsym, RTLD_NEXT), or in a static
 * program to the system call. What libc itself or the simulator calls never comes here, or finds
 * that no program runs.
 *
 * Why not --wrap: it sees only objects that are linked with the flag, so not the protocol in a
 * shared library, and every user would need the flag.
 *
 * Invariant: only while a host's program runs on this thread (sim_inside) is a call judged; outside
 * it does what it always did (but for rand and its kin in a static program: those come from
 * getrandom there). Linux with ELF; elsewhere nothing is judged.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#undef _FORTIFY_SOURCE /* its inline definitions would stand in the way of ours */
#include "oracle.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Thread_local dw_host *sim_inside;
void (*sim_judge_call)(dw_host *host, const char *name, const char *instead);

#if defined(__linux__) && defined(__ELF__)

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WEAK __attribute__((weak, visibility("default")))

/* Declared here, under names of our own, since headers disagree about attributes and qualifiers;
 * the label is what the linker sees. Only what is called through is passed on: numbers and
 * pointers. */
#define CALL(result, name, params)                     \
    WEAK result sim_libc_##name params __asm__(#name); \
    result sim_libc_##name params

/* Reports the call `name` if a host's program makes it. True: one does. Through a pointer, so that
 * a program without worlds that calls poll() does not get the simulator linked for it. */
static bool judged(const char *name, const char *instead) {
    dw_host *host = sim_inside;
    if (host == NULL) {
        return false;
    }
    sim_inside = NULL; /* what the report itself calls is nobody's */
    sim_judge_call(host, name, instead);
    sim_inside = host;
    return true;
}

/* Several threads may ask at once, outside of runs; they find the same. */
static void *next_of(_Atomic(void *) *kept, const char *name) {
    void *found = atomic_load_explicit(kept, memory_order_relaxed);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(kept, found, memory_order_relaxed);
    }
    return found;
}

/* `next`: a function pointer out of dlsym's object pointer (POSIX: they are alike). */
#define NEXT(result, name, params)         \
    static _Atomic(void *) kept_;          \
    result(*next) params = NULL;           \
    void *found_ = next_of(&kept_, #name); \
    memcpy(&next, &found_, sizeof(next))

static const char use_now[] = "use dw_reactor_now or dw_reactor_wall_clock";
static const char use_random[] = "use dw_reactor_random";
static const char use_wire[] = "use the reactor's listen, connect and resolve functions";
static const char use_later[] = "use dw_reactor_call_later; no time has passed";

/* ---- Time ---- */

static int system_clock(clockid_t clock, struct timespec *out) {
    return (int)syscall(SYS_clock_gettime, clock, out);
}

CALL(int, clock_gettime, (clockid_t clock, struct timespec *out)) {
    NEXT(int, clock_gettime, (clockid_t, struct timespec *));
    judged("clock_gettime", use_now);
    return next != NULL ? next(clock, out) : system_clock(clock, out);
}

CALL(time_t, time, (time_t * out)) {
    NEXT(time_t, time, (time_t *));
    judged("time", use_now);
    if (next != NULL) {
        return next(out);
    }
    struct timespec now = {0};
    system_clock(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

CALL(int, gettimeofday, (void *out, void *zone)) {
    NEXT(int, gettimeofday, (void *, void *));
    judged("gettimeofday", use_now);
    return next != NULL ? next(out, zone) : (int)syscall(SYS_gettimeofday, out, zone);
}

CALL(int, timespec_get, (struct timespec * out, int base)) {
    NEXT(int, timespec_get, (struct timespec *, int));
    judged("timespec_get", use_now);
    if (next != NULL) {
        return next(out, base);
    }
    return system_clock(CLOCK_REALTIME, out) == 0 ? base : 0;
}

/* ---- Random numbers. Without libc's (a static program) there is only getrandom. ---- */

static long system_random(void) {
    long number = 0;
    if (syscall(SYS_getrandom, &number, sizeof(number), 0) < 0) {
        return 0;
    }
    return number & RAND_MAX;
}

CALL(int, rand, (void)) {
    NEXT(int, rand, (void));
    judged("rand", use_random);
    return next != NULL ? next() : (int)system_random();
}

CALL(long, random, (void)) {
    NEXT(long, random, (void));
    judged("random", use_random);
    return next != NULL ? next() : system_random();
}

CALL(long, lrand48, (void)) {
    NEXT(long, lrand48, (void));
    judged("lrand48", use_random);
    return next != NULL ? next() : system_random();
}

CALL(uint32_t, arc4random, (void)) {
    NEXT(uint32_t, arc4random, (void));
    judged("arc4random", use_random);
    return next != NULL ? next() : (uint32_t)system_random() << 1 ^ (uint32_t)system_random();
}

CALL(ssize_t, getrandom, (void *out, size_t len, unsigned flags)) {
    NEXT(ssize_t, getrandom, (void *, size_t, unsigned));
    judged("getrandom", use_random);
    return next != NULL ? next(out, len, flags) : syscall(SYS_getrandom, out, len, flags);
}

CALL(int, getentropy, (void *out, size_t len)) {
    NEXT(int, getentropy, (void *, size_t));
    judged("getentropy", use_random);
    if (next != NULL) {
        return next(out, len);
    }
    return syscall(SYS_getrandom, out, len, 0) == (long)len ? 0 : -1;
}

/* ---- The network ---- */

CALL(int, socket, (int domain, int type, int protocol)) {
    NEXT(int, socket, (int, int, int));
    judged("socket", use_wire);
    return next != NULL ? next(domain, type, protocol)
                        : (int)syscall(SYS_socket, domain, type, protocol);
}

CALL(int, connect, (int fd, const void *address, unsigned len)) {
    NEXT(int, connect, (int, const void *, unsigned));
    judged("connect", use_wire);
    return next != NULL ? next(fd, address, len) : (int)syscall(SYS_connect, fd, address, len);
}

/* ---- Waiting: a program that a run drives never waits ---- */

CALL(unsigned, sleep, (unsigned seconds)) {
    NEXT(unsigned, sleep, (unsigned));
    struct timespec time = {.tv_sec = (time_t)seconds};
    if (judged("sleep", use_later)) {
        return 0;
    }
    return next != NULL ? next(seconds) : (unsigned)-(int)syscall(SYS_nanosleep, &time, NULL);
}

CALL(int, usleep, (unsigned microseconds)) {
    NEXT(int, usleep, (unsigned));
    struct timespec time = {.tv_sec = (time_t)(microseconds / 1000000),
                            .tv_nsec = (long)(microseconds % 1000000 * 1000)};
    if (judged("usleep", use_later)) {
        return 0;
    }
    return next != NULL ? next(microseconds) : (int)syscall(SYS_nanosleep, &time, NULL);
}

CALL(int, nanosleep, (const struct timespec *time, struct timespec *left)) {
    NEXT(int, nanosleep, (const struct timespec *, struct timespec *));
    if (judged("nanosleep", use_later)) {
        return 0;
    }
    return next != NULL ? next(time, left) : (int)syscall(SYS_nanosleep, time, left);
}

CALL(int, clock_nanosleep,
     (clockid_t clock, int flags, const struct timespec *time, struct timespec *left)) {
    NEXT(int, clock_nanosleep, (clockid_t, int, const struct timespec *, struct timespec *));
    if (judged("clock_nanosleep", use_later)) {
        return 0;
    }
    return next != NULL ? next(clock, flags, time, left)
                        : (int)syscall(SYS_clock_nanosleep, clock, flags, time, left);
}

/* Nothing is ready, and the time is over. */
CALL(int, poll, (void *fds, unsigned long count, int timeout)) {
    NEXT(int, poll, (void *, unsigned long, int));
    struct timespec time = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    if (judged("poll", use_later)) {
        return 0;
    }
    return next != NULL ? next(fds, count, timeout)
                        : (int)syscall(SYS_ppoll, fds, count, timeout < 0 ? NULL : &time, NULL, 0);
}

CALL(int, select, (int count, void *read, void *write, void *except, void *timeout)) {
    NEXT(int, select, (int, void *, void *, void *, void *));
    if (judged("select", use_later)) {
        return 0;
    }
#ifdef SYS_select
    return next != NULL ? next(count, read, write, except, timeout)
                        : (int)syscall(SYS_select, count, read, write, except, timeout);
#else
    return next != NULL ? next(count, read, write, except, timeout) : -1;
#endif
}

CALL(int, epoll_wait, (int epoll, void *events, int most, int timeout)) {
    NEXT(int, epoll_wait, (int, void *, int, int));
    if (judged("epoll_wait", use_later)) {
        return 0;
    }
    return next != NULL
               ? next(epoll, events, most, timeout)
               : (int)syscall(SYS_epoll_pwait, epoll, events, most, timeout, NULL, (size_t)0);
}

#endif
