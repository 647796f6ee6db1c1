/* SPDX-License-Identifier: MIT */
/*
 * Text put together piece by piece, for names that are made in the middle of a run: snprintf costs
 * as much there as all the rest. What does not fit is cut off; the text always ends in a NUL.
 */
#ifndef DRYWIRE_SIM_TEXT_H
#define DRYWIRE_SIM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Where the next piece goes, and the last byte, which stays for the NUL. */
typedef struct sim_text {
    char *at, *last;
} sim_text;

/* `size` is at least 1. */
static inline sim_text sim_text_begin(char *out, size_t size) {
    *out = '\0';
    return (sim_text){out, out + size - 1};
}

static inline void sim_text_add(sim_text *text, const char *piece) {
    while (*piece != '\0' && text->at < text->last) {
        *text->at++ = *piece++;
    }
    *text->at = '\0';
}

static inline void sim_text_add_number(sim_text *text, uint64_t number) {
    char digits[21];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    sim_text_add(text, digits + at);
}

#endif
