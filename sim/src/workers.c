/* SPDX-License-Identifier: MIT */
/*
 * The pool. Workers take the next number from a shared counter, play it, and write what they find
 * into a slot of their own, so that nothing is locked and a dead worker loses nothing but its
 * current run. The parent sleeps on one pipe per worker, and looks at the clock for hangs and the
 * end of time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "crew.h"
#include "finding.h"
#include "runner_child.h"
#include "trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 100, PROGRESS_EVERY = 2 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = 1;
    signal(number, SIG_DFL);
}

void sim_workers_catch_interrupt(void) {
    signal(SIGINT, on_interrupt);
}

bool sim_workers_interrupted(void) {
    return interrupted != 0;
}

unsigned sim_workers_default_jobs(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > SIM_JOBS_MAX ? SIM_JOBS_MAX : (unsigned)cores;
}

uint64_t sim_plan_seed(const sim_plan *plan, uint64_t index) {
    return index < plan->known_count ? plan->known[index]
                                     : plan->first_seed + (index - plan->known_count);
}

void sim_plan_source(const sim_plan *plan, uint64_t index, sim_deviation *room, sim_list *list,
                     sim_source *source) {
    if (plan->sweep) {
        *room = sim_sweep_point(plan->sweep, (size_t)index);
        *list = (sim_list){.items = room, .count = 1};
        *source = (sim_source){.kind = SIM_LIST, .list = list};
    } else {
        *source = (sim_source){
            .kind = SIM_SEED, .seed = sim_plan_seed(plan, index), .kinds = plan->kinds};
    }
}

void sim_found_source(const sim_plan *plan, const sim_found *found, sim_deviation *room,
                      sim_list *list, sim_source *source) {
    sim_plan_source(plan, found->index, room, list, source);
    if (found->path) {
        memcpy(room + 1, found->more, found->more_count * sizeof(*room));
        list->count = found->more_count + 1;
    }
}

void sim_crew_present(const desk *slot, const sim_outcome *outcome, sim_found *one) {
    one->outcome = *outcome;
    one->index = atomic_load(&slot->index);
    one->times = 1;
    one->path = atomic_load(&slot->path);
    one->more_count = one->path ? slot->more_count : 0;
    memcpy(one->more, slot->more, one->more_count * sizeof(one->more[0]));
}

bool sim_crew_note(sim_found *found, size_t *count, const sim_found *one) {
    for (size_t i = 0; i < *count; i++) {
        if (sim_finding_same(&found[i].outcome, &one->outcome)) {
            found[i].times += one->times;
            if (one->index < found[i].index ||
                (one->index == found[i].index && one->path < found[i].path)) {
                uint64_t times = found[i].times;
                found[i] = *one;
                found[i].times = times;
            }
            return true;
        }
    }
    if (*count == SIM_FOUND_MAX) {
        return false;
    }
    found[(*count)++] = *one;
    return true;
}

/* ---- In the parent ---- */

static bool hire(crew *c, size_t which) {
    worker *w = &c->workers[which];
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    atomic_store(&c->slots[which].started, 0);
    if (w->capture < 0 || ftruncate(w->capture, 0) != 0) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < c->jobs; i++) {
            if (c->workers[i].pid) {
                close(c->workers[i].pipe);
            }
        }
        close(ends[0]);
        sim_crew_work(c, which, parent);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return false;
    }
    w->pid = pid;
    w->pipe = ends[0];
    c->alive++;
    return true;
}

static int dismiss(crew *c, size_t which, bool kill_first) {
    worker *w = &c->workers[which];
    int status = sim_child_reap(w->pid, kill_first);
    close(w->pipe);
    w->pid = 0;
    c->alive--;
    return status;
}

static void give_up(crew *c, sim_workers_end why) {
    if (c->tally->end == SIM_ALL_PLAYED) {
        c->tally->end = why;
    }
    atomic_store(&c->board->stop, true);
}

static void note_loss(crew *c, size_t which, const sim_outcome *outcome) {
    desk *slot = &c->slots[which];
    static sim_found one; /* too large for a stack; the parent has one thread */
    sim_crew_present(slot, outcome, &one);
    if (!sim_crew_note(c->tally->found, &c->tally->found_count, &one)) {
        c->tally->found_more = true;
    }
    atomic_fetch_add(&slot->runs, 1);
    atomic_fetch_add(&slot->failures, 1);
}

static bool replace(crew *c, size_t which) {
    return atomic_load(&c->board->stop) || hire(c, which);
}

/* A worker has ended: at the end of its shift, or in a run. */
static bool on_end(crew *c, size_t which) {
    int status = dismiss(c, which, false);
    if (!atomic_load(&c->slots[which].started)) {
        if (status != 0 && ++c->deaths >= SIM_DEATHS_MAX) {
            give_up(c, SIM_TOO_MANY_DEATHS);
        }
        return status == 0 || replace(c, which);
    }
    sim_outcome outcome = {0};
    char *text = sim_child_text(c->workers[which].capture, 0);
    sim_finding_from_death(&outcome, status, text ? text : "");
    free(text);
    note_loss(c, which, &outcome);
    if (++c->deaths >= SIM_DEATHS_MAX) {
        give_up(c, SIM_TOO_MANY_DEATHS);
    }
    return replace(c, which);
}

static bool end_hang(crew *c, size_t which) {
    sim_outcome outcome = {0};
    dismiss(c, which, true);
    sim_finding_from_hang(&outcome, sim_scenario_hang_s(c->plan->scenario));
    note_loss(c, which, &outcome);
    if (++c->hangs >= SIM_HANGS_MAX) {
        give_up(c, SIM_TOO_MANY_HANGS);
    }
    return replace(c, which);
}

static bool look_for_hangs(crew *c) {
    dw_time now = sim_wall_now();
    dw_time limit = DW_SEC(sim_scenario_hang_s(c->plan->scenario));
    for (size_t i = 0; i < c->jobs; i++) {
        dw_time started = atomic_load(&c->slots[i].started);
        if (c->workers[i].pid && started && now - started > limit && !end_hang(c, i)) {
            return false;
        }
    }
    return true;
}

static void count_up(crew *c) {
    c->tally->runs = c->tally->failures = c->tally->virtual_us = 0;
    c->tally->pairs = c->tally->pairs_fresh = 0;
    c->tally->pairs_played = c->tally->fresh_played = c->tally->cut_off = 0;
    for (size_t i = 0; i < c->jobs; i++) {
        c->tally->runs += atomic_load(&c->slots[i].runs);
        c->tally->failures += atomic_load(&c->slots[i].failures);
        c->tally->virtual_us += atomic_load(&c->slots[i].virtual_us);
        c->tally->pairs += atomic_load(&c->slots[i].pairs);
        c->tally->pairs_fresh += atomic_load(&c->slots[i].pairs_fresh);
        c->tally->pairs_played += atomic_load(&c->slots[i].pairs_played);
        c->tally->fresh_played += atomic_load(&c->slots[i].fresh_played);
        c->tally->cut_off += atomic_load(&c->slots[i].cut_off);
    }
    c->tally->wall = sim_wall_now() - c->begun;
}

/* Sleeps until a worker ends or the next tick. */
static bool wait_for_ends(crew *c) {
    struct pollfd ears[SIM_JOBS_MAX];
    for (size_t i = 0; i < c->jobs; i++) {
        ears[i] = (struct pollfd){.fd = c->workers[i].pid ? c->workers[i].pipe : -1};
    }
    int ready = poll(ears, c->jobs, TICK_MS);
    for (size_t i = 0; ready > 0 && i < c->jobs; i++) {
        if (ears[i].revents && !on_end(c, i)) {
            return false;
        }
    }
    return true;
}

static void look_at_clock(crew *c) {
    if (sim_workers_interrupted()) {
        give_up(c, SIM_INTERRUPTED);
    } else if (c->pool->deadline && sim_wall_now() >= c->pool->deadline) {
        give_up(c, SIM_OUT_OF_TIME);
    }
}

static bool supervise(crew *c) {
    for (unsigned tick = 0; c->alive; tick++) {
        if (!wait_for_ends(c) || !look_for_hangs(c)) {
            return false;
        }
        look_at_clock(c);
        if (c->pool->progress && tick % PROGRESS_EVERY == 0) {
            count_up(c);
            c->pool->progress(c->pool->user, c->tally, c->count);
        }
    }
    return true;
}

/* ---- Before and after ---- */

static bool open_crew(crew *c) {
    dw_assertion *const *all = NULL;
    c->assertion_count = sim_assertions(&all);
    c->jobs = c->pool->jobs ? c->pool->jobs : 1;
    c->count = sim_shard_count(&c->plan->shard, c->plan->count);
    c->jobs = c->count < c->jobs ? (unsigned)c->count : c->jobs;
    size_t slots = sizeof(desk) * c->jobs;
    size_t assertions = sizeof(*c->assertions) * c->assertion_count * c->jobs;
    c->size = sizeof(uint64_t[8]) + slots + assertions;
    for (size_t i = 0; i < SIM_JOBS_MAX; i++) {
        c->workers[i] = (worker){.capture = i < c->jobs ? sim_child_file() : -1};
    }
    char *memory = sim_child_shared(c->size);
    if (!memory) {
        return false;
    }
    if (c->pool->distinct) {
        bool known = !c->plan->tree && !c->plan->calm; /* how many runs there are */
        c->distinct_room = sim_distinct_room(known ? c->count : UINT64_MAX);
        c->distinct = sim_child_shared(sim_distinct_size(c->distinct_room));
    }
    c->board = (board *)(void *)memory;
    c->slots = (desk *)(void *)(memory + sizeof(uint64_t[8]));
    c->assertions = (uint64_t(*)[2])(void *)(memory + sizeof(uint64_t[8]) + slots);
    return true;
}

static void close_crew(crew *c) {
    for (size_t i = 0; i < c->jobs; i++) {
        if (c->workers[i].pid) {
            dismiss(c, i, true);
        }
        if (c->workers[i].capture >= 0) {
            close(c->workers[i].capture);
        }
    }
    sim_child_unshare(c->distinct, sim_distinct_size(c->distinct_room));
    sim_child_unshare(c->board, c->size);
}

static int by_index(const void *a, const void *b) {
    const sim_found *x = a;
    const sim_found *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static void sum_up_slot(crew *c, size_t which) {
    sim_tally *t = c->tally;
    const desk *slot = &c->slots[which];
    for (size_t i = 0; i < slot->found_count; i++) {
        if (!sim_crew_note(t->found, &t->found_count, &slot->found[i])) {
            t->found_more = true;
        }
    }
    t->found_more = t->found_more || slot->found_more;
    if (slot->differs && (!t->differs || slot->differs_index < t->differs_index)) {
        t->differs = true;
        t->differs_index = slot->differs_index;
        t->differs_before = slot->differs_before;
    }
    for (size_t i = 0; i < SIM_KIND_COUNT; i++) {
        t->kinds[i] += slot->kinds[i];
    }
    for (size_t i = 0; i < c->assertion_count; i++) {
        const uint64_t *counts = c->assertions[which * c->assertion_count + i];
        t->assertions[i][0] += counts[0];
        t->assertions[i][1] += counts[1];
    }
}

static bool sum_up(crew *c) {
    sim_tally *t = c->tally;
    count_up(c);
    if (c->distinct) {
        t->distinct = atomic_load(&c->distinct->count);
        t->distinct_more = atomic_load(&c->distinct->full);
    }
    t->assertion_count = c->assertion_count;
    t->assertions = calloc(c->assertion_count + 1, sizeof(*t->assertions));
    if (!t->assertions) {
        return false;
    }
    for (size_t i = 0; i < c->jobs; i++) {
        sum_up_slot(c, i);
    }
    qsort(t->found, t->found_count, sizeof(t->found[0]), by_index);
    return true;
}

bool sim_workers_run(const sim_plan *plan, const sim_pool *pool, sim_tally *tally) {
    *tally = (sim_tally){0};
    crew *c = calloc(1, sizeof(*c));
    if (!c) {
        return false;
    }
    c->plan = plan;
    c->pool = pool;
    c->tally = tally;
    c->begun = sim_wall_now();
    bool good = open_crew(c);
    for (size_t i = 0; good && i < c->jobs; i++) {
        good = hire(c, i);
    }
    good = good && supervise(c) && sum_up(c);
    int why = errno;
    close_crew(c);
    free(c);
    errno = why;
    return good;
}

void sim_tally_free(sim_tally *tally) {
    free(tally->assertions);
    tally->assertions = NULL;
    tally->assertion_count = 0;
}

bool sim_tally_add(sim_tally *sum, const sim_tally *tally) {
    if (!sum->assertions) {
        sum->assertions = calloc(tally->assertion_count + 1, sizeof(*sum->assertions));
        sum->assertion_count = tally->assertion_count;
    }
    if (!sum->assertions) {
        return false;
    }
    for (size_t i = 0; i < tally->assertion_count; i++) {
        sum->assertions[i][0] += tally->assertions[i][0];
        sum->assertions[i][1] += tally->assertions[i][1];
    }
    for (size_t i = 0; i < SIM_KIND_COUNT; i++) {
        sum->kinds[i] += tally->kinds[i];
    }
    sum->runs += tally->runs;
    sum->failures += tally->failures;
    return true;
}
