/* SPDX-License-Identifier: MIT */
/*
 * The dry wire: a world of hosts on a simulated network with a virtual clock. A run of a scenario
 * in it is a pure function of its deviations (docs/guide.md, "Choices").
 *
 * The world, its hosts and all they allocate belong to the library and die with the run. After a
 * finding (a broken promise, a failed dw_always, ...) time stands still: every dw_world_run*
 * returns false at once, so that a scenario ends soon.
 */
#ifndef DRYWIRE_WORLD_H
#define DRYWIRE_WORLD_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

typedef struct dw_world dw_world;
typedef struct dw_host dw_host;

/* Virtual time since the run began. */
dw_time dw_world_now(const dw_world *world);

/* Runs all that happens in the next `duration`. False: there was a finding. */
bool dw_world_run(dw_world *world, dw_time duration);

/* Runs until holds(user) is true, asked before each event, at most for `limit`. Returns whether it
 * became true. When it did not, lines "waits: ..." in the timeline tell who waits for what:
 * connections, names, delayed calls with where they were armed, links that are cut. */
bool dw_world_run_until(dw_world *world, bool (*holds)(void *user), void *user, dw_time limit);

/* Runs until nothing is scheduled, at most for `limit`. Returns whether it is idle. */
bool dw_world_run_until_idle(dw_world *world, dw_time limit);

/* Runs one event. False: there is none, or there was a finding. */
bool dw_world_step(dw_world *world);

/* Runs all events of the next moment at which there are any. False as above. */
bool dw_world_advance_to_next(dw_world *world);

/* Runs fn(user) at now + delay, outside every host: the scenario's own timer. */
void dw_world_after(dw_world *world, dw_time delay, void (*fn)(void *user), void *user);

/* The scenario's own choice: a number below n, 0 when calm. Written as `scenario WHAT nth value`.
 */
uint32_t dw_world_choose(dw_world *world, const char *what, uint32_t n);

/* Puts a line in the timeline. */
void dw_world_note(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* The run has failed for a reason only known at run time; the first one counts. */
void dw_world_fail(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* Whether there has been a finding. */
bool dw_world_failed(const dw_world *world);

DW_END_DECLS

#endif
