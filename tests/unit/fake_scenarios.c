/* SPDX-License-Identifier: MIT */
/*
 * Scenarios on the fake world: one of each way in which a run can end. test_runner.c plays them
 * through dw_main and reads what the runner prints and how it exits.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "fake_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void steady(dw_world *w) {
    for (int i = 0; i < 20; i++) {
        fake_draw(w, "client-1:1>server:6379", "cut", 8);
        fake_draw(w, "link client-1>server", "latency", 0);
        fake_pass(w, DW_MSEC(100));
        fake_note(w, "step %d", i);
    }
    dw_always(w, true, "steady holds");
}

/* Fails when the third delivery is reset and the link is late by a quarter of a second before. */
static void pair(dw_world *w) {
    bool late = false;
    bool broken = false;
    for (int i = 0; i < 20; i++) {
        uint64_t latency = fake_draw(w, "link client-1>server", "latency", 0);
        uint64_t reset = fake_draw(w, "client-1:1>server:6379", "reset", 2);
        fake_draw(w, "client-1:1>server:6379", "cut", 30);
        late = late || (i < 3 && latency >= (uint64_t)DW_MSEC(250));
        broken = broken || (late && i >= 3 && reset);
        fake_pass(w, DW_MSEC(10));
        fake_note(w, "step %d", i);
    }
    dw_always(w, !broken, "a late link and a reset do no harm");
    dw_sometimes(w, late, "the link is late");
}

/* Fails for one byte position of one segment. */
static void one_cut(dw_world *w) {
    for (int i = 0; i < 5; i++) {
        if (fake_draw(w, "a:1>b:2", "cut", 12) == 7 && i == 2) {
            fake_fail(w, "contract", "parser", "a CR LF in two segments is one line end");
        }
        fake_pass(w, DW_MSEC(1));
    }
}

/* How a process dies: the kind is the value drawn. */
static void crash(dw_world *w) {
    fake_note(w, "before the end");
    for (int i = 0; i < 10; i++) {
        uint64_t value = fake_draw(w, "server", "mine", 40);
        fake_pass(w, DW_MSEC(1));
        if (value == 30) {
            fprintf(stderr, "about to die\n");
            abort();
        }
        if (value == 31) {
            exit(3);
        }
    }
}

static void hang(dw_world *w) {
    for (int i = 0; i < 3; i++) {
        if (fake_draw(w, "server", "reset", 2) && i == 1) {
            fake_note(w, "spinning");
            for (volatile uint64_t turns = 0; turns < UINT64_MAX; turns++) {
            }
        }
    }
}

/* A static variable outlives the run. */
static void forgetful(dw_world *w) {
    static int runs;
    fake_note(w, "the first line");
    fake_note(w, "run number %d", runs++);
}

static void slow_step(dw_world *w) {
    struct timespec nap = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&nap, NULL);
    fake_pass(w, DW_SEC(1));
}

/* Fails once per process, whatever the run. */
static void moody(dw_world *w) {
    static int runs;
    if (++runs == 7) {
        fake_fail(w, "always", "moody.c:1", "the seventh run of a process");
    }
}

/* Somebody presses Ctrl-C. */
static void interrupting(dw_world *w) {
    static bool done;
    if (!done) {
        done = true;
        kill(getppid(), SIGINT);
    }
    slow_step(w);
}

static void slow(dw_world *w) {
    slow_step(w);
}

static void never(dw_world *w) {
    dw_sometimes(w, fake_draw(w, "x", "refuse", 1) == 5, "what cannot be");
    fake_pass(w, DW_SEC(1));
}

static void calm_fails(dw_world *w) {
    fake_draw(w, "x", "close", 2);
    fake_fail(w, "leak", "host x", "1 connection is left");
}

static void chatty(dw_world *w) {
    printf("hello from the program\n");
    if (fake_draw(w, "x", "close", 2)) {
        fprintf(stderr, "closing\n");
        fake_fail(w, "always", "f.c:1", "nobody closes");
    }
}

/* One cut is wrong, in fog. */
static void foggy(dw_world *w) {
    for (int i = 0; i < 5; i++) {
        if (fake_draw(w, "a:1>b:2", "cut", 12) == 7 && i == 2 &&
            strcmp(fake_weather(w), "fog") == 0) {
            fake_fail(w, "contract", "lamp", "who is cut in fog is seen");
        }
        fake_pass(w, DW_MSEC(1));
    }
}

/* While the runner runs there is Bazel's file. */
static void looks_for_exit_file(dw_world *w) {
    const char *path = getenv("DRYWIRE_TEST_EXIT_FILE");
    if (path != NULL && access(path, F_OK) == 0) {
        fake_fail(w, "always", "file", "the file is there");
    }
}

const dw_scenario fake_scenarios[] = {
    {.name = "steady", .run = steady, .seeds = 200},
    {.name = "pair", .run = pair, .seeds = 300},
    {.name = "one_cut", .run = one_cut, .kinds = "cut"},
    {.name = "crash", .run = crash},
    {.name = "hang", .run = hang, .seeds = 20, .hang_s = 1},
    {.name = "forgetful", .run = forgetful},
    {.name = "slow", .run = slow},
    {.name = "moody", .run = moody},
    {.name = "interrupting", .run = interrupting},
    {.name = "never", .run = never},
    {.name = "calm_fails", .run = calm_fails},
    {.name = "chatty", .run = chatty},
    {.name = "foggy", .run = foggy, .seeds = 300, .kinds = "cut"},
    {.name = "looks_for_exit_file", .run = looks_for_exit_file},
    {.name = "own_fog", .run = foggy, .seeds = 300, .kinds = "cut", .weather = "fog"},
};
const size_t fake_scenario_count = sizeof(fake_scenarios) / sizeof(fake_scenarios[0]);
