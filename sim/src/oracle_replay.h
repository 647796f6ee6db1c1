/* SPDX-License-Identifier: MIT */
/*
 * Trying the invariants of drywire/promise.h: the same bytes are played to fresh protocols on
 * private reactors, as they came and otherwise, and the answers compared. For runs and for fuzz
 * inputs alike.
 */
#ifndef DRYWIRE_SIM_ORACLE_REPLAY_H
#define DRYWIRE_SIM_ORACLE_REPLAY_H

#include "drywire/promise.h"
#include "test_wire.h"

/* Who is tried. */
typedef struct sim_subject {
    /* Connects a new protocol. Each time on a test transport that has no connection; twice on the
     * same one for fresh_reconnect, and then by the same factory. False: it was refused. */
    bool (*connect)(void *user, dw_test_transport *test);
    /* The test transport's reactor has been shut down; it is about to end. May be NULL. */
    void (*release)(void *user, dw_test_transport *test);
    void *user;
} sim_subject;

/* What the connection received. `ends` are the offsets at which its pieces ended, as they came. */
typedef struct sim_input {
    const uint8_t *bytes;
    size_t len;
    const uint32_t *ends;
    size_t count;
} sim_input;

enum { SIM_BREACH_DETAILS = 4, SIM_BREACH_TEXT = 220 };

/* A promise that was not kept. */
typedef struct sim_breach {
    const char *promise;  /* "segment-invariant": the oracle's name */
    const char *sentence; /* the same for the same bug */
    unsigned detail_count;
    char detail[SIM_BREACH_DETAILS][SIM_BREACH_TEXT];
} sim_breach;

/* Whether there is an invariant to try. */
bool sim_replay_wanted(const dw_promises *promises);

/* Tries each invariant that is promised. True: all held, or there was nothing to compare. `salt`
 * decides where the stream is cut: the same salt, the same cuts. Not reentrant. */
bool sim_replay_holds(const dw_promises *promises, const sim_subject *subject,
                      const sim_input *input, uint64_t salt, sim_breach *breach);

/* Where cut number `i` of `count` of `len` bytes comes, for who tries cuts by itself: offsets that
 * grow with i; `len` and more: no more cuts. Short inputs are cut everywhere. */
size_t sim_replay_cut(size_t len, uint64_t salt, size_t i);

/* Frees what is kept from one call to the next. */
void sim_replay_free(void);

#endif
