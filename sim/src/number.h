/* SPDX-License-Identifier: MIT */
/* Reads a number: decimal, or hexadecimal behind 0x. */
#ifndef DRYWIRE_SIM_NUMBER_H
#define DRYWIRE_SIM_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The whole text must be one number that fits; false leaves `out` alone. */
bool sim_number_parse(const char *text, uint64_t *out);

#endif
