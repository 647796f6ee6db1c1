/* SPDX-License-Identifier: MIT */
/*
 * Durations as people write them, exact both ways. A unit is always there: a bare number would be
 * read by some as seconds and by others as nanoseconds.
 */
#include "duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    dw_time ns;
    bool written; /* minutes and hours are read, not written */
} units[] = {
    {"ns", 1, true},        {"us", DW_USEC(1), true}, {"ms", DW_MSEC(1), true},
    {"s", DW_SEC(1), true}, {"m", DW_MIN(1), false},  {"h", DW_HOUR(1), false},
};

enum { UNITS = sizeof(units) / sizeof(units[0]) };

bool sim_duration_parse(const char *text, dw_time *out) {
    dw_time number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        dw_time digit = *at - '0';
        if (number > (DW_TIME_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    if (at == text) {
        return false;
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(units[i].name, at) == 0 && number <= DW_TIME_MAX / units[i].ns) {
            *out = number * units[i].ns;
            return true;
        }
    }
    return false;
}

const char *sim_duration_format(dw_time duration, char text[SIM_DURATION_TEXT]) {
    const struct unit *best = &units[0];
    for (size_t i = 0; i < UNITS; i++) {
        if (units[i].written && duration != 0 && duration % units[i].ns == 0) {
            best = &units[i];
        }
    }
    snprintf(text, SIM_DURATION_TEXT, "%" PRId64 "%s", duration / best->ns, best->name);
    return text;
}
