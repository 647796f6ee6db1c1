/* SPDX-License-Identifier: MIT */
/*
 * sim_tiny SECONDS: worlds of one server and three clients with 20 messages each, built, run and
 * torn down again and again for so long. The last line is `runs=<n> wall=<seconds>`.
 */
#include "measure.h"
#include "tiny.h"

#include <run.h>

enum { RUNS_PER_LOOK = 256 };

static void tiny(dw_world *world) {
    uint64_t echoed = tiny_echo(world);
    dw_always(world, echoed == TINY_CLIENTS * TINY_MESSAGES, "every message comes back");
}

int main(int argc, char **argv) {
    uint64_t seconds, runs = 0;
    if (argc != 2 || !parse_number(argv[1], &seconds) || seconds == 0 || seconds > 86400) {
        fprintf(stderr, "usage: sim_tiny SECONDS\n");
        return 2;
    }
    dw_scenario scenario = {.name = "tiny", .run = tiny};
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    sim_outcome outcome = {0};
    sim_runner *runner = sim_runner_new();
    if (runner == NULL) {
        fprintf(stderr, "sim_tiny: out of memory\n");
        return 1;
    }
    uint64_t before = wall_ns(), wall = 0;
    while (wall < seconds * 1000000000u && !outcome.failed) {
        for (int i = 0; i < RUNS_PER_LOOK && !outcome.failed; i++, runs++) {
            sim_run(runner, &scenario, &source, &options, &outcome);
        }
        wall = wall_ns() - before;
    }
    if (outcome.failed) {
        fprintf(stderr, "sim_tiny: %s\n", outcome.message);
    }
    printf("runs=%llu ", (unsigned long long)runs);
    print_seconds("wall", wall);
    printf("\n");
    sim_runner_free(runner);
    return outcome.failed ? 1 : 0;
}
