/* SPDX-License-Identifier: MIT */
/* Wall time, memory and numbers for benchmarks. */
#ifndef DRYWIRE_BENCH_MEASURE_H
#define DRYWIRE_BENCH_MEASURE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What this process has had of the processor. */
static inline uint64_t cpu_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* The largest resident set of this process, in bytes. */
static inline uint64_t peak_rss(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* A whole number, decimal or 0x...; false for anything else. */
static inline bool parse_number(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || *text == ' ') {
        return false;
    }
    *out = number;
    return true;
}

/* NAME=seconds.micros */
static inline void print_seconds(const char *name, uint64_t ns) {
    printf("%s=%llu.%06llu", name, (unsigned long long)(ns / 1000000000u),
           (unsigned long long)(ns % 1000000000u / 1000u));
}

#endif
