/* SPDX-License-Identifier: MIT */
/*
 * sim_hosts [MESSAGES]: a ring of hosts, each a server to the one before it and a client of the
 * next; what a delivery costs, building and tearing down included, from 10 hosts to 2,000. A world
 * should cost by its events: something done for each pair of hosts would make the last row 200
 * times as dear as the first. A row is `hosts=<n> ns=<per delivery> growth=<to 10 hosts>
 * idle_hour_us=<wall time of an hour in which nothing happens>`.
 */
#include "echo_load.h"
#include "measure.h"

#include <drywire/sim.h>
#include <run.h>

#include <stdio.h>

enum { ROUNDS = 7, EVENTS = 400000, MESSAGES_DEFAULT = 100 };

static unsigned hosts, messages = MESSAGES_DEFAULT;
static uint64_t idle_ns;
static echo_totals totals;

static void ring(dw_world *world) {
    dw_host *all[2000];
    char name[32];
    for (unsigned i = 0; i < hosts; i++) {
        snprintf(name, sizeof(name), "host-%u", i);
        all[i] = dw_world_add_host(world, name, echo_server_boot, NULL);
    }
    for (unsigned i = 0; i < hosts; i++) {
        snprintf(name, sizeof(name), "host-%u", (i + 1) % hosts);
        echo_load_start(dw_host_reactor(all[i]), name, 1, messages, &totals);
    }
    dw_world_run_until_idle(world, DW_MIN(50));
    uint64_t before = wall_ns();
    dw_world_run(world, DW_HOUR(1));
    idle_ns = wall_ns() - before;
}

static uint64_t time_ring(sim_runner *runner, sim_outcome *outcome, unsigned repeats) {
    static const dw_scenario scenario = {
        .name = "ring", .run = ring, .events_max = UINT64_MAX, .stuck_max = UINT32_MAX};
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    uint64_t before = cpu_ns();
    for (unsigned i = 0; i < repeats && !outcome->failed; i++) {
        sim_run(runner, &scenario, &source, &options, outcome);
    }
    return cpu_ns() - before;
}

/* Nanoseconds for each delivery, the least of some rounds. */
static double measure(sim_runner *runner, sim_outcome *outcome) {
    unsigned deliveries = 2 * hosts * messages, repeats = EVENTS / deliveries + 1;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t took = time_ring(runner, outcome, repeats);
        least = took < least ? took : least;
    }
    return (double)least / repeats / deliveries;
}

int main(int argc, char **argv) {
    static const unsigned sizes[] = {10, 100, 500, 2000};
    uint64_t given = MESSAGES_DEFAULT;
    double first = 0, ns = 0;
    sim_outcome outcome = {0};
    if (argc > 2 ||
        (argc == 2 && (!parse_number(argv[1], &given) || given == 0 || given > 10000))) {
        fprintf(stderr, "usage: sim_hosts [MESSAGES]\n");
        return 2;
    }
    messages = (unsigned)given;
    sim_runner *runner = sim_runner_new();
    if (runner == NULL) {
        fprintf(stderr, "sim_hosts: out of memory\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        hosts = sizes[i];
        ns = measure(runner, &outcome);
        first = i == 0 ? ns : first;
        printf("hosts=%u ns=%.1f growth=%.2f idle_hour_us=%.1f\n", hosts, ns, ns / first,
               (double)idle_ns / 1000);
    }
    if (outcome.failed) {
        fprintf(stderr, "sim_hosts: %s\n", outcome.message);
    }
    sim_runner_free(runner);
    return outcome.failed ? 1 : 0;
}
