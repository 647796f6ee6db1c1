/* SPDX-License-Identifier: MIT */
/*
 * What a failure is called: the identity by which two of them count as the same bug, and how the
 * death of a process or a sanitizer's report becomes a failure like any other.
 */
#ifndef DRYWIRE_SIM_FINDING_H
#define DRYWIRE_SIM_FINDING_H

#include "run.h"

/* Same oracle, message and place. Two that did not fail are not the same. */
bool sim_finding_same(const sim_outcome *a, const sim_outcome *b);

/* Whether it needs a process of its own to show: it ends the process, or the sanitizer reports it
 * once per process only. */
bool sim_finding_is_deadly(const sim_outcome *outcome);

/* Looks for a sanitizer's report in what a run printed. True: `outcome` is that failure. */
bool sim_finding_from_text(sim_outcome *outcome, const char *text);

/* The process died in the run with wait status `status`, having printed `text`. */
void sim_finding_from_death(sim_outcome *outcome, int status, const char *text);

/* The run took more than `hang_s` of wall time. */
void sim_finding_from_hang(sim_outcome *outcome, unsigned hang_s);

#endif
