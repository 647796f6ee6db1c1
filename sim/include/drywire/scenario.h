/* SPDX-License-Identifier: MIT */
/*
 * Scenarios and the runner. A scenario builds a world and says what must hold; a program is a list
 * of them:
 *
 *     DW_MAIN(DW_SCENARIO(reconnect, .seeds = 10000), DW_SCENARIO(expiry))
 *
 * `PROGRAM --help` shows what the runner can do.
 */
#ifndef DRYWIRE_SCENARIO_H
#define DRYWIRE_SCENARIO_H

#include "drywire/world.h"

DW_BEGIN_DECLS

/* What becomes of a call of libc that a host's program makes though it would make the run depend on
 * more than its deviations (docs/guide.md, "What makes a run repeatable"). Sleeping takes no time
 * in either case. */
typedef enum dw_libc_calls {
    DW_LIBC_FAIL, /* a finding, "libc" */
    DW_LIBC_WARN, /* a line in the timeline, and the call has its way */
} dw_libc_calls;

/* Zero is the default everywhere. */
typedef struct dw_scenario {
    const char *name;
    void (*run)(dw_world *world);
    uint64_t seeds;      /* how many seeds a plain run of the program tries; default 1000 */
    uint64_t events_max; /* more events than this in one run is a finding; default 10 million */
    uint32_t stuck_max;  /* more events at one instant than this is a livelock; default 100,000 */
    unsigned hang_s;     /* more wall time than this for one run is a hang; default 10 s */
    const char *kinds;   /* the kinds of fault that seeds may use: "reset,cut"; default all. Each
                          * seed has half of them switched off (swarm testing), unless it is one */
    const char *weather; /* that it begins in (dw_world_set_weather): "wan"; default none. What the
                          * scenario sets itself comes after it and wins; --weather sets another */
    bool leaks_ok;       /* do not report what is left over at the end */
    size_t memory_max;   /* a host that holds more is a finding, "memory"; default 1 GiB */
    size_t unsent_max;   /* so is a connection that is written to though more than so many bytes
                          * wait for a peer that does not read; default 64 MiB */
    dw_libc_calls libc_calls; /* time(), rand(), socket(), sleep() from a host's program */
    const char *oracles_off;  /* findings that are none here: "memory,framed"; those that end a
                               * process (crash, hang, sanitizer) cannot be switched off */
} dw_scenario;

/* A scenario named after its function; further fields may follow. */
#define DW_SCENARIO(...) DW_SCENARIO_(__VA_ARGS__, )
#define DW_SCENARIO_(fn, ...) \
    { .name = #fn, .run = (fn), __VA_ARGS__ }

#define DW_MAIN(...)                                                      \
    int main(int argc, char **argv) {                                     \
        static const dw_scenario dw_scenarios_[] = {__VA_ARGS__};         \
        return dw_main(argc, argv, dw_scenarios_,                         \
                       sizeof(dw_scenarios_) / sizeof(dw_scenarios_[0])); \
    }

/* The runner's main function. Returns the exit status: 0 all held, 1 a failure was found, 2 wrong
 * usage, 124 out of wall time, 125 not deterministic. */
int dw_main(int argc, char **argv, const dw_scenario *scenarios, size_t count);

/* For test harnesses (drywire/check.h): tries the scenario's seeds in worker processes. Returns
 * true when all held. Else fills `report` with what broke, the shortest list of deviations that
 * breaks it, the timeline's end and the path of the run file that was written. When the environment
 * names a run file in DRYWIRE_REPLAY, plays just that one. `command` is what a person types to run
 * this test again. */
bool dw_scenario_holds(const dw_scenario *scenario, const char *command, char *report, size_t size);

DW_END_DECLS

#endif
