/* SPDX-License-Identifier: MIT */
/*
 * sim_sweep [--rounds R]: what a search costs beside the runs alone. The world of sim_tiny, calm
 * and again and again in one process, and by so many seeds through the runner's pool of one worker,
 * with all kinds of fault, trace hash, all free oracles and the count of distinct traces; in turns,
 * so that whatever else the machine does meets both alike. Processor time, the worker's included.
 * The last line is `runs_per_s=<...> seeds_per_s=<...> kept=<median, of 1> least=<...> most=<...>`.
 */
#include "measure.h"
#include "tiny.h"

#include <run.h>
#include <workers.h>

#include <string.h>
#include <sys/resource.h>

enum { ROUNDS_DEFAULT = 7, ROUNDS_MAX = 1001, RUNS = 40000 };

static void tiny(dw_world *world) {
    tiny_echo(world);
}

static const dw_scenario scenario = {.name = "tiny", .run = tiny};

static uint64_t time_runs(sim_runner *runner) {
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    sim_outcome outcome;
    uint64_t before = cpu_ns();
    for (int i = 0; i < RUNS; i++) {
        sim_run(runner, &scenario, &source, &options, &outcome);
    }
    return cpu_ns() - before;
}

static uint64_t children_ns(void) {
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000u;
}

/* 0: it could not be done. */
static uint64_t time_seeds(uint64_t first_seed) {
    sim_plan plan = {.scenario = &scenario, .count = RUNS, .first_seed = first_seed};
    sim_pool pool = {.jobs = 1, .distinct = true};
    static sim_tally tally;
    uint64_t before = cpu_ns() + children_ns();
    bool good = sim_workers_run(&plan, &pool, &tally) && tally.runs == RUNS;
    uint64_t used = cpu_ns() + children_ns() - before;
    if (good && tally.failures > 0) {
        fprintf(stderr, "sim_sweep: %s\n", tally.found[0].outcome.message);
        good = false;
    }
    sim_tally_free(&tally);
    return good ? used : 0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool compare(sim_runner *runner, uint64_t rounds) {
    static double alone[ROUNDS_MAX], swept[ROUNDS_MAX], kept[ROUNDS_MAX];
    time_runs(runner); /* the first finds the memory cold */
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t seeds_ns = time_seeds(i * RUNS);
        if (seeds_ns == 0) {
            return false;
        }
        alone[i] = RUNS * 1e9 / (double)time_runs(runner);
        swept[i] = RUNS * 1e9 / (double)seeds_ns;
        kept[i] = swept[i] / alone[i];
    }
    qsort(alone, rounds, sizeof(*alone), by_size);
    qsort(swept, rounds, sizeof(*swept), by_size);
    qsort(kept, rounds, sizeof(*kept), by_size);
    printf("runs_per_s=%.0f seeds_per_s=%.0f kept=%.2f least=%.2f most=%.2f\n", alone[rounds / 2],
           swept[rounds / 2], kept[rounds / 2], kept[0], kept[rounds - 1]);
    return true;
}

int main(int argc, char **argv) {
    uint64_t rounds = ROUNDS_DEFAULT;
    bool good = argc == 1 || (argc == 3 && strcmp(argv[1], "--rounds") == 0 &&
                              parse_number(argv[2], &rounds) && rounds > 0 && rounds <= ROUNDS_MAX);
    if (!good) {
        fprintf(stderr, "usage: sim_sweep [--rounds ROUNDS]\n");
        return 2;
    }
    sim_runner *runner = sim_runner_new();
    if (runner == NULL || !compare(runner, rounds)) {
        fprintf(stderr, "sim_sweep: out of memory, or of processes\n");
        sim_runner_free(runner);
        return 1;
    }
    sim_runner_free(runner);
    return 0;
}
