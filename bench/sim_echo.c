/* SPDX-License-Identifier: MIT */
/*
 * sim_echo N M [--seed S]: N clients on one server over links of 1 ms; each sends M messages of 64
 * bytes, waits for each echo, and closes. With a seed, latencies differ as the seed says. The last
 * line is `messages=<echoed> wall=<seconds> virtual=<seconds> rss=<bytes>`.
 */
#include "measure.h"
#include "sim_load.h"

#include <run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned clients, messages;
static echo_totals totals;

static void echo(dw_world *world) {
    sim_load_run(world, clients, messages, &totals);
}

static int usage(void) {
    fprintf(stderr, "usage: sim_echo CLIENTS MESSAGES [--seed SEED]\n");
    return 2;
}

int main(int argc, char **argv) {
    uint64_t n, m, seed = 0;
    bool seeded = argc == 5 && strcmp(argv[3], "--seed") == 0 && parse_number(argv[4], &seed);
    if ((argc != 3 && !seeded) || !parse_number(argv[1], &n) || !parse_number(argv[2], &m) ||
        n == 0 || n > 10000000 || m > 1000000000) {
        return usage();
    }
    clients = (unsigned)n;
    messages = (unsigned)m;
    dw_scenario scenario = {
        .name = "echo", .run = echo, .events_max = UINT64_MAX, .stuck_max = UINT32_MAX};
    sim_source source = {
        .kind = seeded ? SIM_SEED : SIM_CALM, .seed = seed, .kinds = 1u << SIM_LATENCY};
    sim_run_options options = {0};
    sim_outcome outcome;
    sim_runner *runner = sim_runner_new();
    if (runner == NULL) {
        fprintf(stderr, "sim_echo: out of memory\n");
        return 1;
    }
    uint64_t before = wall_ns();
    sim_run(runner, &scenario, &source, &options, &outcome);
    uint64_t wall = wall_ns() - before;
    if (outcome.failed) {
        fprintf(stderr, "sim_echo: %s\n", outcome.message);
    }
    printf("messages=%llu ", (unsigned long long)totals.echoed);
    print_seconds("wall", wall);
    print_seconds(" virtual", (uint64_t)outcome.virtual_time);
    printf(" rss=%llu\n", (unsigned long long)peak_rss());
    sim_runner_free(runner);
    return outcome.failed ? 1 : 0;
}
