/* SPDX-License-Identifier: MIT */
/* A run that was played twice and went two ways: shows the first event in which they differ. */
#ifndef DRYWIRE_SIM_DIFFER_H
#define DRYWIRE_SIM_DIFFER_H

#include "workers.h"

/* Plays run `index` of the plan again and again, with traces, and prints the first line that
 * differs, from both. `before`: how many runs the process had behind it in which it was seen. */
void sim_differ_print(FILE *out, const sim_plan *plan, uint64_t index, uint64_t before);

#endif
