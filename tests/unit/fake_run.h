/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for the world, so that the runner is tested by itself: scenarios are plain functions
 * that draw choices and fail when they like. Draws are keyed and recorded as in a real run. A test
 * includes fake_run.c; its definitions then stand in front of the library's.
 */
#ifndef DRYWIRE_TESTS_FAKE_RUN_H
#define DRYWIRE_TESTS_FAKE_RUN_H

#include "run.h"

/* Draws: 0, or the source's deviation. `options` as in sim_offer: 0 for kinds that are times. */
uint64_t fake_draw(dw_world *world, const char *who, const char *what, uint64_t options);

/* Lets virtual time pass; one event. */
void fake_pass(dw_world *world, dw_time by);

/* A line in the timeline, and part of the hash. */
void fake_note(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* The run has failed; the first one counts. */
void fake_fail(dw_world *world, const char *oracle, const char *where, const char *message);

/* The weather that the run is played in; "" for none. There are calm, wan and fog. */
const char *fake_weather(const dw_world *world);

/* One of each way in which a run can end: fake_scenarios.c. */
extern const dw_scenario fake_scenarios[];
extern const size_t fake_scenario_count;

#endif
