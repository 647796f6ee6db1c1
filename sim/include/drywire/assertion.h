/* SPDX-License-Identifier: MIT */
/*
 * Statements about the program, made where they can be judged, known to the runner before any of
 * them is reached.
 */
#ifndef DRYWIRE_ASSERTION_H
#define DRYWIRE_ASSERTION_H

#include "drywire/world.h"

DW_BEGIN_DECLS

/* One statement about the program, found when the process starts. Made by the macros below. */
typedef enum dw_assertion_kind {
    DW_ALWAYS = 1,
    DW_SOMETIMES,
    DW_REACHABLE,
    DW_UNREACHABLE,
} dw_assertion_kind;

typedef struct dw_assertion {
    dw_assertion_kind kind;
    const char *message;
    const char *where;
    uint32_t index; /* its place in the program's catalogue, given out at the start */
} dw_assertion;

void dw_world_assert(dw_world *world, const dw_assertion *assertion, bool holds);

#define DW_ASSERTION_(world, kind_, holds, message_)                                           \
    do {                                                                                       \
        static dw_assertion dw_assertion_                                                      \
            __attribute__((section("dw_assertions"), used, aligned(8))) = {kind_, "" message_, \
                                                                           DW_HERE, 0};        \
        dw_world_assert((world), &dw_assertion_, (holds));                                     \
    } while (0)

/* Must hold each time it is asked; the first time it does not, the run has failed. `message` is a
 * literal, unique in the program. */
#define dw_always(world, holds, message) DW_ASSERTION_(world, DW_ALWAYS, holds, message)

/* Must hold at least once in all runs of a sweep together; "never reached" is reported. */
#define dw_sometimes(world, holds, message) DW_ASSERTION_(world, DW_SOMETIMES, holds, message)

/* This line must be / must never be reached. */
#define dw_reachable(world, message)   DW_ASSERTION_(world, DW_REACHABLE, true, message)
#define dw_unreachable(world, message) DW_ASSERTION_(world, DW_UNREACHABLE, false, message)

DW_END_DECLS

#endif
