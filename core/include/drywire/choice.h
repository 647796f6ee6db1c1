/* SPDX-License-Identifier: MIT */
/*
 * Fault points in the user's own code. On the live wire they answer 0 and false. On the dry wire
 * they are choices like any other: drawn from a seed, swept, fuzzed, shrunk, and written in run
 * files as
 *
 *     deviate   server   skip-ack   3   1
 *
 * `what` is a literal without white space; its draws are counted per host. 0 is the calm answer.
 */
#ifndef DRYWIRE_CHOICE_H
#define DRYWIRE_CHOICE_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* A number below n (n >= 1). */
uint32_t dw_choose(dw_reactor *reactor, const char *what, uint32_t n);

/* Whether to take the unusual path here. */
bool dw_maybe(dw_reactor *reactor, const char *what);

DW_END_DECLS

#endif
