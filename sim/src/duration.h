/* SPDX-License-Identifier: MIT */
/*
 * Durations as people write them: "250ms", "17us", "10m". Whole numbers only, nothing is rounded:
 * what is written reads back as the same number of nanoseconds. For run files, options and reports.
 */
#ifndef DRYWIRE_SIM_DURATION_H
#define DRYWIRE_SIM_DURATION_H

#include "drywire/base.h"

enum { SIM_DURATION_TEXT = 32 };

/* Reads "<digits><unit>", units ns us ms s m h. False when it is anything else or does not fit. */
bool sim_duration_parse(const char *text, dw_time *out);

/* Writes it in the largest of ns, us, ms, s that takes a whole number; returns `text`. */
const char *sim_duration_format(dw_time duration, char text[SIM_DURATION_TEXT]);

#endif
