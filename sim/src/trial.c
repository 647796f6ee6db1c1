/* SPDX-License-Identifier: MIT */
/*
 * Single runs in a child process. Parent and child share one board: the request and its list go in,
 * the outcome and the deviations come out, each written as it is taken, so that they are there when
 * the child is not. One byte over a socket pair says go, one says done; its closing says dead. The
 * timeline and the offers, which have no fixed size, go through an unlinked file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "trial.h"
#include "finding.h"
#include "runfile.h"
#include "runner_child.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HANG_S_DEFAULT = 10,
    DYING_MS_MAX = 3000, /* a process told to abort gets this long to write its timeline */
    DYING_S_MAX = 2,     /* and this long by its own clock */
    LINE_HEAD = 18,      /* "*0123456789abcdef " */
};

typedef struct board {
    sim_request request;
    uint64_t list_count;
    sim_outcome outcome;
    uint64_t taken_count; /* may be more than are kept */
    dw_time cpu;
    int32_t fatal_signal;
    sim_deviation list[SIM_RUNFILE_LIST_MAX];
    sim_deviation taken[SIM_RUNFILE_LIST_MAX];
} board;

struct sim_trial {
    const dw_scenario *scenario;
    sim_trial_mode mode;
    board *board;
    pid_t child; /* 0: none */
    int wire;    /* to the child */
    int capture; /* what the child prints */
    int paper;   /* its timeline or offers */
    FILE *pen;   /* the same file, for the child */
    sim_runner *runner;
    sim_list taken; /* a view of the board */
    char *output;
    sim_timeline timeline;
    sim_offers offers;
    dw_time cpu;
};

unsigned sim_scenario_hang_s(const dw_scenario *scenario) {
    return scenario->hang_s ? scenario->hang_s : HANG_S_DEFAULT;
}

/* ---- In the child ---- */

static void record(void *user, const sim_deviation *deviation) {
    board *b = user;
    if (b->taken_count < SIM_RUNFILE_LIST_MAX) {
        b->taken[b->taken_count] = *deviation;
    }
    b->taken_count++;
}

static void write_timeline(sim_trial *trial) {
    const sim_trace *trace = sim_runner_trace(trial->runner);
    size_t count = trace ? sim_trace_count(trace) : 0;
    for (size_t i = 0; i < count; i++) {
        fprintf(trial->pen, "%c%016" PRIx64 " %s\n", sim_trace_marked(trace, i) ? '*' : ' ',
                sim_trace_hash(trace, i), sim_trace_line(trace, i, trial->board->request.colour));
    }
    fflush(trial->pen);
}

/* The black box: a process that dies in a run writes down how far it came. Best effort: its heap
 * may be broken, so an alarm ends it at the latest. */
static sim_trial *black_box;

static void black_box_write(void) {
    sim_trial *trial = black_box;
    black_box = NULL;
    if (trial) {
        alarm(DYING_S_MAX);
        write_timeline(trial);
    }
}

static void on_dying(int number) {
    if (black_box) {
        black_box->board->fatal_signal = number;
    }
    black_box_write();
}

static void look_for_report(sim_trial *trial, size_t before) {
    fflush(stdout);
    if (trial->capture < 0 || sim_child_written(trial->capture) == before) {
        return;
    }
    char *text = sim_child_text(trial->capture, before);
    if (text) {
        sim_finding_from_text(&trial->board->outcome, text);
    }
    free(text);
}

static void play(sim_trial *trial) {
    board *b = trial->board;
    sim_list list = {.items = b->list, .count = (size_t)b->list_count};
    sim_offers offers = {0};
    sim_source source = b->request.source;
    source.list = source.kind == SIM_LIST ? &list : NULL;
    sim_run_options options = {
        .trace = b->request.timeline,
        .offers = b->request.offer_kinds ? &offers : NULL,
        .offer_kinds = b->request.offer_kinds,
        .on_deviation = record,
        .on_deviation_user = b,
    };
    size_t before = sim_child_written(trial->capture);
    dw_time cpu = sim_cpu_now();
    black_box = b->request.timeline ? trial : NULL;
    sim_run(trial->runner, trial->scenario, &source, &options, &b->outcome);
    black_box = NULL;
    look_for_report(trial, before);
    if (b->request.timeline) {
        write_timeline(trial);
    }
    if (offers.count) {
        fwrite(offers.items, sizeof(*offers.items), offers.count, trial->pen);
        fflush(trial->pen);
    }
    sim_offers_free(&offers);
    b->cpu += sim_cpu_now() - cpu;
}

static void serve(sim_trial *trial, int wire, pid_t parent) {
    char go = 0;
    sim_child_begin(parent, trial->capture, on_dying);
    atexit(black_box_write); /* the run may call exit() */
    trial->runner = sim_runner_new();
    while (trial->runner && read(wire, &go, 1) == 1) {
        play(trial);
        if (write(wire, &go, 1) != 1) {
            break;
        }
    }
    sim_child_end(trial->runner ? 0 : 1);
}

/* ---- In the parent ---- */

static bool start(sim_trial *trial) {
    int wires[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, wires) != 0) {
        return false;
    }
    fflush(NULL); /* or both processes would print what is in the buffers */
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        close(wires[0]);
        serve(trial, wires[1], parent);
    }
    close(wires[1]);
    if (child < 0) {
        close(wires[0]);
        return false;
    }
    trial->child = child;
    trial->wire = wires[0];
    return true;
}

void sim_trial_renew(sim_trial *trial) {
    if (trial->child) {
        close(trial->wire);
        sim_child_reap(trial->child, false);
        trial->child = 0;
    }
}

static void forget(sim_trial *trial) {
    free(trial->output);
    trial->output = NULL;
    sim_timeline_free(&trial->timeline);
    sim_offers_free(&trial->offers);
    trial->offers = (sim_offers){0};
}

sim_trial *sim_trial_new(const dw_scenario *scenario, sim_trial_mode mode) {
    sim_trial *trial = calloc(1, sizeof(*trial));
    if (!trial) {
        return NULL;
    }
    trial->scenario = scenario;
    trial->mode = mode;
    trial->capture = -1;
    trial->paper = sim_child_file();
    trial->pen = trial->paper >= 0 ? fdopen(dup(trial->paper), "ab") : NULL;
    trial->board = sim_child_shared(sizeof(board));
    if (mode == SIM_TRIAL_IN_PROCESS) {
        trial->runner = sim_runner_new();
    } else {
        trial->capture = sim_child_file();
    }
    if (!trial->pen || !trial->board || (trial->capture < 0 && !trial->runner)) {
        sim_trial_free(trial);
        return NULL;
    }
    return trial;
}

void sim_trial_free(sim_trial *trial) {
    if (!trial) {
        return;
    }
    sim_trial_renew(trial);
    forget(trial);
    sim_runner_free(trial->runner);
    if (trial->pen) {
        fclose(trial->pen);
    }
    if (trial->paper >= 0) {
        close(trial->paper);
    }
    if (trial->capture >= 0) {
        close(trial->capture);
    }
    sim_child_unshare(trial->board, sizeof(board));
    free(trial);
}

static bool put_request(sim_trial *trial, const sim_request *request) {
    board *b = trial->board;
    const sim_list *list = request->source.kind == SIM_LIST ? request->source.list : NULL;
    assert(!(request->timeline && request->offer_kinds));
    if (list && list->count > SIM_RUNFILE_LIST_MAX) {
        errno = E2BIG;
        return false;
    }
    b->request = *request;
    b->list_count = list ? list->count : 0;
    if (b->list_count) {
        memcpy(b->list, list->items, list->count * sizeof(*b->list));
    }
    b->outcome = (sim_outcome){0};
    b->taken_count = 0;
    b->fatal_signal = 0;
    b->cpu = 0;
    return ftruncate(trial->paper, 0) == 0 &&
           (trial->capture < 0 || ftruncate(trial->capture, 0) == 0);
}

/* Waits for a byte until `deadline`. 1: it came; 0: too late; -1: the child is gone. */
static int await(int wire, dw_time deadline) {
    for (;;) {
        dw_time left = deadline - sim_wall_now();
        struct pollfd ear = {.fd = wire, .events = POLLIN};
        int ready = poll(&ear, 1, left > 0 ? (int)(left / DW_MSEC(1) + 1) : 0);
        if (ready == 0) {
            return 0;
        }
        char byte = 0;
        ssize_t got = ready > 0 ? recv(wire, &byte, 1, MSG_DONTWAIT) : -1;
        if (got == 1) {
            return 1;
        }
        if (got == 0 || (got < 0 && ready > 0 && errno != EINTR && errno != EAGAIN)) {
            return -1;
        }
    }
}

static int bury(sim_trial *trial, bool kill_first) {
    close(trial->wire);
    int status = sim_child_reap(trial->child, kill_first);
    trial->child = 0;
    return status;
}

/* A hanging run is asked to abort first, so that it writes how far it came. */
static void end_hang(sim_trial *trial, unsigned hang_s) {
    kill(trial->child, SIGABRT);
    await(trial->wire, sim_wall_now() + DW_MSEC(DYING_MS_MAX));
    bury(trial, true);
    trial->board->outcome = (sim_outcome){0};
    sim_finding_from_hang(&trial->board->outcome, hang_s);
}

static void end_death(sim_trial *trial) {
    int status = bury(trial, false);
    char *text = sim_child_text(trial->capture, 0);
    int number = trial->board->fatal_signal;
    if (number && WIFSIGNALED(status)) {
        status = number; /* the alarm of the black box may have come in between */
    }
    trial->board->outcome = (sim_outcome){0};
    sim_finding_from_death(&trial->board->outcome, status, text ? text : "");
    free(text);
}

static bool play_in_child(sim_trial *trial, const sim_request *request) {
    if (trial->mode == SIM_TRIAL_FRESH) {
        sim_trial_renew(trial);
    }
    if (!trial->child && !start(trial)) {
        return false;
    }
    unsigned hang_s = request->hang_s ? request->hang_s : sim_scenario_hang_s(trial->scenario);
    if (send(trial->wire, "g", 1, MSG_NOSIGNAL) != 1) {
        bury(trial, true);
        return false;
    }
    switch (await(trial->wire, sim_wall_now() + DW_SEC(hang_s))) {
    case 1:
        break;
    case 0:
        end_hang(trial, hang_s);
        break;
    default:
        end_death(trial);
        break;
    }
    return true;
}

static char *read_paper(const sim_trial *trial, size_t *len) {
    size_t size = sim_child_written(trial->paper);
    char *store = malloc(size + 1);
    ssize_t got = store && size ? pread(trial->paper, store, size, 0) : 0;
    if (store) {
        *len = got > 0 ? (size_t)got : 0;
        store[*len] = '\0';
    }
    return store;
}

static bool load_timeline(sim_trial *trial) {
    size_t len = 0;
    sim_timeline *t = &trial->timeline;
    t->store = read_paper(trial, &len);
    if (!t->store) {
        return false;
    }
    size_t room = 1;
    for (size_t i = 0; i < len; i++) {
        room += t->store[i] == '\n';
    }
    t->lines = calloc(room, sizeof(*t->lines));
    if (!t->lines) {
        return false;
    }
    for (char *at = t->store, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (end - at >= LINE_HEAD) {
            t->lines[t->count++] = (struct sim_line){
                .text = at + LINE_HEAD,
                .hash = strtoull(at + 1, NULL, 16),
                .marked = *at == '*',
            };
        }
    }
    return true;
}

static bool load_offers(sim_trial *trial) {
    size_t len = 0;
    char *store = read_paper(trial, &len);
    trial->offers.items = (sim_offer *)(void *)store;
    trial->offers.count = trial->offers.room = len / sizeof(sim_offer);
    return store != NULL;
}

bool sim_trial_run(sim_trial *trial, const sim_request *request, sim_outcome *outcome) {
    board *b = trial->board;
    forget(trial);
    if (!put_request(trial, request)) {
        return false;
    }
    if (trial->mode == SIM_TRIAL_IN_PROCESS) {
        play(trial);
    } else if (!play_in_child(trial, request)) {
        return false;
    }
    trial->cpu += b->cpu;
    trial->taken.items = b->taken;
    trial->taken.count =
        (size_t)(b->taken_count < SIM_RUNFILE_LIST_MAX ? b->taken_count : SIM_RUNFILE_LIST_MAX);
    trial->output = trial->capture >= 0 ? sim_child_text(trial->capture, 0) : NULL;
    if (sim_finding_is_deadly(&b->outcome)) {
        b->outcome.deviations = b->taken_count; /* the run could not say */
    }
    *outcome = b->outcome;
    return (!request->timeline || load_timeline(trial)) &&
           (!request->offer_kinds || load_offers(trial));
}

const sim_list *sim_trial_taken(const sim_trial *trial) {
    return &trial->taken;
}

bool sim_trial_taken_all(const sim_trial *trial) {
    return trial->board->taken_count <= SIM_RUNFILE_LIST_MAX;
}

const char *sim_trial_output(const sim_trial *trial) {
    return trial->output ? trial->output : "";
}

const sim_timeline *sim_trial_timeline(const sim_trial *trial) {
    return &trial->timeline;
}

sim_timeline sim_trial_take_timeline(sim_trial *trial) {
    sim_timeline taken = trial->timeline;
    trial->timeline = (sim_timeline){0};
    return taken;
}

void sim_timeline_free(sim_timeline *timeline) {
    free(timeline->lines);
    free(timeline->store);
    *timeline = (sim_timeline){0};
}

const sim_offers *sim_trial_offers(const sim_trial *trial) {
    return &trial->offers;
}

dw_time sim_trial_cpu(const sim_trial *trial) {
    return trial->cpu;
}
