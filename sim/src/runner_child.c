/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of the runner's child processes. A child never outlives its parent,
 * never prints on the terminal by itself, and never runs the parent's exit handlers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "runner_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#ifdef __GLIBC__
#include <dlfcn.h>
#include <execinfo.h>
#endif

enum { SIGNAL_STACK = 64 * 1024, FRAMES_MAX = 32 };

/* In programs built for coverage: the data is written at exit, which children skip. (gcc's needs
 * -Wl,-u,__gcov_dump when linking, or the function is not there.) */
extern void __gcov_dump(void) __attribute__((weak));
extern int __llvm_profile_write_file(void) __attribute__((weak));

static dw_time clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return DW_SEC(now.tv_sec) + now.tv_nsec;
}

dw_time sim_wall_now(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

dw_time sim_cpu_now(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int sim_child_file(void) {
    const char *directory = getenv("TMPDIR");
    char path[512];
    int len = snprintf(path, sizeof(path), "%s/drywire-XXXXXX",
                       directory && *directory ? directory : "/tmp");
    if (len < 0 || (size_t)len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_APPEND | O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

void *sim_child_shared(size_t size) {
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void sim_child_unshare(void *memory, size_t size) {
    if (memory) {
        munmap(memory, size);
    }
}

/* ---- Fatal signals ---- */

static void (*on_dying)(int number);

#ifdef __GLIBC__
static bool is_libc(void *frame, Dl_info *at) {
    Dl_info libc;
    return dladdr(frame, at) && dladdr((void *)(uintptr_t)&abort, &libc) &&
           at->dli_fbase == libc.dli_fbase;
}

/* The innermost frame that is not libc's: behind this handler comes libc's trampoline, then perhaps
 * abort() and its helpers, then the program. */
static void tell_place(void) {
    void *frames[FRAMES_MAX];
    Dl_info at = {0};
    int count = backtrace(frames, FRAMES_MAX);
    int i = 0;
    while (i < count && !is_libc(frames[i], &at)) {
        i++;
    }
    while (i < count && is_libc(frames[i], &at)) {
        i++;
    }
    if (i < count && at.dli_fname) {
        char line[256];
        const char *slash = strrchr(at.dli_fname, '/');
        int len = snprintf(line, sizeof(line), SIM_CHILD_FAULT_MARK "%.150s+0x%lx\n",
                           slash ? slash + 1 : at.dli_fname,
                           (unsigned long)((uintptr_t)frames[i] - (uintptr_t)at.dli_fbase));
        ssize_t written = write(STDERR_FILENO, line, len > 0 ? (size_t)len : 0);
        (void)written; /* there is nobody left to tell */
    }
}
#else
static void tell_place(void) {
}
#endif

static void on_fatal_signal(int number) {
    tell_place();
    if (on_dying) {
        on_dying(number);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void on_sanitizer_end(void) {
    if (on_dying) {
        on_dying(0);
    }
}

/* Sanitizers report memory faults themselves and offer a hook for their end. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void catch_fatal_signals(void) {
    static char stack[SIGNAL_STACK]; /* a fault may be the overflow of the other one */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_fatal_signal};
    action.sa_flags = (int)((unsigned)SA_NODEFER | (unsigned)SA_RESETHAND | (unsigned)SA_ONSTACK);
    sigemptyset(&action.sa_mask);
    sigaction(SIGABRT, &action, NULL);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(on_sanitizer_end);
        return;
    }
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigaction(faults[i], &action, NULL);
    }
#ifdef __GLIBC__
    void *frame = NULL;
    backtrace(&frame, 1); /* the first call loads a library: now, not in a broken process */
#endif
}

void sim_child_begin(pid_t parent, int capture, void (*dying)(int number)) {
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent) {
        _exit(0); /* it was gone before we could ask */
    }
    signal(SIGINT, SIG_IGN);
    if (capture >= 0) {
        dup2(capture, STDOUT_FILENO);
        dup2(capture, STDERR_FILENO);
    }
    on_dying = dying;
    catch_fatal_signals();
}

void sim_child_end(int status) {
    fflush(stdout);
    if (__gcov_dump) {
        __gcov_dump();
    }
    if (__llvm_profile_write_file) {
        __llvm_profile_write_file();
    }
    _exit(status);
}

int sim_child_reap(pid_t child, bool kill_first) {
    int status = 0;
    if (kill_first) {
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

size_t sim_child_written(int capture) {
    struct stat about;
    return capture >= 0 && fstat(capture, &about) == 0 ? (size_t)about.st_size : 0;
}

char *sim_child_text(int capture, size_t from) {
    size_t end = sim_child_written(capture);
    from = from < end ? from : end;
    if (end - from > SIM_CHILD_TEXT_MAX) {
        from = end - SIM_CHILD_TEXT_MAX;
    }
    char *text = malloc(end - from + 1);
    if (!text) {
        return NULL;
    }
    ssize_t got = end > from ? pread(capture, text, end - from, (off_t)from) : 0;
    size_t len = got > 0 ? (size_t)got : 0;
    for (size_t i = 0; i < len; i++) {
        text[i] = text[i] ? text[i] : ' ';
    }
    text[len] = '\0';
    return text;
}
