/* SPDX-License-Identifier: MIT */
/*
 * sim_floor N M [--seed S] [--wheel] [--rounds R]: what sim_echo does, on the dry wire and on the
 * floor (floor.h), in turns in one process, so that whatever else the machine does meets both
 * alike. `sim_floor tiny [--rounds R]` does the same for sim_tiny's world. Processor time, not wall
 * time. The last line is `ours_ns=<per delivery> floor_ns=<...> ratio=<median> least=<...>
 * most=<...>`; for tiny, per run.
 */
#include "floor.h"
#include "measure.h"
#include "sim_load.h"
#include "tiny.h"

#include <run.h>

#include <string.h>

enum { ROUNDS_DEFAULT = 7, ROUNDS_MAX = 1001, TINY_RUNS = 2000 };

typedef struct contest {
    unsigned clients, messages, repeats; /* repeats: runs to be timed together */
    uint64_t seed, rounds;
    bool seeded, tiny;
    floor_queue queue;
} contest;

static contest what;
static echo_totals totals;

static void echo(dw_world *world) {
    if (!what.tiny) {
        sim_load_run(world, what.clients, what.messages, &totals);
        return;
    }
    tiny_echo(world);
}

/* ---- One turn of each ---- */

static uint64_t time_ours(sim_runner *runner, sim_outcome *outcome) {
    static const dw_scenario scenario = {
        .name = "echo", .run = echo, .events_max = UINT64_MAX, .stuck_max = UINT32_MAX};
    sim_source source = {
        .kind = what.seeded ? SIM_SEED : SIM_CALM, .seed = what.seed, .kinds = 1u << SIM_LATENCY};
    sim_run_options options = {0};
    uint64_t before = cpu_ns();
    for (unsigned i = 0; i < what.repeats; i++) {
        sim_run(runner, &scenario, &source, &options, outcome);
    }
    return cpu_ns() - before;
}

static uint64_t time_floor(floor_loop *loop, uint32_t rate) {
    floor_load load = {what.clients, what.messages, rate, what.seed};
    int64_t virtual_ns;
    uint64_t before = cpu_ns();
    for (unsigned i = 0; i < what.repeats; i++) {
        floor_run(loop, &load, &virtual_ns);
    }
    return cpu_ns() - before;
}

/* ---- All turns ---- */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare(sim_runner *runner, floor_loop *loop) {
    static double ratio[ROUNDS_MAX], ours[ROUNDS_MAX], floors[ROUNDS_MAX];
    sim_outcome outcome;
    double pieces = what.tiny ? what.repeats : 2.0 * what.clients * what.messages * what.repeats;
    time_ours(runner, &outcome); /* the first run of each finds the memory cold */
    uint64_t draws = 2 * (uint64_t)what.clients * (what.messages + 2) + 1;
    uint32_t rate = (uint32_t)(UINT64_C(0xffffffff) * outcome.deviations / draws);
    time_floor(loop, rate);
    for (uint64_t i = 0; i < what.rounds; i++) {
        ours[i] = (double)time_ours(runner, &outcome) / pieces;
        floors[i] = (double)time_floor(loop, rate) / pieces;
        ratio[i] = ours[i] / floors[i];
    }
    if (outcome.failed) {
        fprintf(stderr, "sim_floor: %s\n", outcome.message);
        return 1;
    }
    qsort(ours, what.rounds, sizeof(*ours), by_size);
    qsort(floors, what.rounds, sizeof(*floors), by_size);
    qsort(ratio, what.rounds, sizeof(*ratio), by_size);
    printf("ours_ns=%.1f floor_ns=%.1f ratio=%.2f least=%.2f most=%.2f\n", ours[what.rounds / 2],
           floors[what.rounds / 2], ratio[what.rounds / 2], ratio[0], ratio[what.rounds - 1]);
    return 0;
}

/* ---- Arguments ---- */

static bool parse_option(int argc, char **argv, int *i) {
    if (strcmp(argv[*i], "--wheel") == 0) {
        what.queue = FLOOR_WHEEL;
        return true;
    }
    if (*i + 1 < argc && strcmp(argv[*i], "--seed") == 0) {
        what.seeded = true;
        return parse_number(argv[++*i], &what.seed);
    }
    return *i + 1 < argc && strcmp(argv[*i], "--rounds") == 0 &&
           parse_number(argv[++*i], &what.rounds) && what.rounds > 0 && what.rounds <= ROUNDS_MAX;
}

static bool parse(int argc, char **argv) {
    uint64_t n = 0, m = 0;
    int i = 1;
    what = (contest){.clients = TINY_CLIENTS,
                     .messages = TINY_MESSAGES,
                     .repeats = TINY_RUNS,
                     .rounds = ROUNDS_DEFAULT,
                     .tiny = argc > 1 && strcmp(argv[1], "tiny") == 0};
    if (what.tiny) {
        i = 2;
    } else if (argc > 2 && parse_number(argv[1], &n) && parse_number(argv[2], &m) && n > 0 &&
               n <= 10000000 && m > 0 && m <= 1000000000) {
        what.clients = (unsigned)n;
        what.messages = (unsigned)m;
        what.repeats = 1;
        i = 3;
    } else {
        return false;
    }
    for (; i < argc; i++) {
        if (!parse_option(argc, argv, &i)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: sim_floor CLIENTS MESSAGES | tiny [--seed SEED] [--wheel] "
                        "[--rounds ROUNDS]\n");
        return 2;
    }
    sim_runner *runner = sim_runner_new();
    floor_loop *loop = floor_new(what.queue, what.clients);
    int status = 1;
    if (runner == NULL || loop == NULL) {
        fprintf(stderr, "sim_floor: out of memory\n");
    } else {
        status = compare(runner, loop);
    }
    floor_free(loop);
    sim_runner_free(runner);
    return status;
}
