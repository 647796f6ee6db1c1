/* SPDX-License-Identifier: MIT */
/*
 * A reactor for playing vectors: core's own, on a wire that does nothing but what the step says.
 * Its clock is the one of Twisted's tests: `advance` first jumps to the end, then what became due
 * runs (vectors/README.md, section 3 "Clock"), as on a live wire that wakes up late.
 *
 * Times in vectors are seconds in binary fractions down to 1/1024, which is no whole number of
 * nanoseconds. The clock keeps the exact sum and rounds it up, durations are rounded down: then
 * now + duration is never later than the clock when it stands at the exact sum.
 */
#ifndef DRYWIRE_TESTS_VECTORS_RIG_H
#define DRYWIRE_TESTS_VECTORS_RIG_H

#include "player.h"

#include "drywire/backend.h"

typedef struct rig {
    dw_reactor reactor; /* first */
    player *player;
    double now_s;      /* exact */
    dw_time now;       /* now_s, rounded up */
    double end_s;      /* of the advance that runs */
    dw_lookup *lookup; /* the attempt to connect that waits for its step */
    int connect_error; /* what the wire answers to connect: 0 or an errno */
} rig;

void rig_init(rig *r, player *p);
void rig_fini(rig *r);

/* Seconds as nanoseconds: an instant is rounded up, a duration down. */
dw_time instant_of(double seconds);
dw_time duration_of(double seconds);

/* Moves the clock and runs what is due by then. */
void rig_advance(rig *r, double seconds);
/* The same, but each call runs at its own due time, as dw_test_transport_advance does it. */
void rig_advance_own_time(rig *r, double seconds);
/* The step `advance`, in the one or the other manner. */
void player_advance(player *p, const json_t *args);
/* Only what is due now, in one turn. */
void rig_turn(rig *r);

/* The attempt that a connector has begun succeeds or fails for that reason. */
void rig_connect_succeeds(rig *r);
void rig_connect_fails(rig *r, dw_error kind);
/* The connection that a connector has made, or NULL. */
dw_transport *rig_connection(rig *r);
/* It ends. */
void rig_connection_lost(rig *r, dw_error kind);

#endif
