/* SPDX-License-Identifier: MIT */
/*
 * A function called again and again (twisted.internet.task.LoopingCall; vectors/README.md, 1.8 and
 * section 3 "Clock"). The owner embeds the loop and sets `tick`; nothing is allocated.
 *
 *     struct session { dw_protocol base; dw_looping_call beat; };
 *     static void session_beat(void *user) {
 *         struct session *s = user;
 *         dw_transport_write(s->base.transport, "PING\r\n", 6);
 *     }
 *     ...
 *     s->beat = (dw_looping_call){.tick = session_beat, .user = s};
 *     dw_looping_call_start(&s->beat, reactor, DW_SEC(10), false);
 *     ...
 *     dw_looping_call_stop(&s->beat);
 *
 * Ticks stand on a grid: start + k * interval. What comes late stays on it: a tick that was missed,
 * because the program or a tick itself took too long, is dropped, and the next one falls on the
 * grid again. So the loop never drifts, and never runs twice to catch up.
 */
#ifndef DRYWIRE_LOOPING_CALL_H
#define DRYWIRE_LOOPING_CALL_H

#include "drywire/base.h"
#include "drywire/delayed_call.h"

DW_BEGIN_DECLS

/* Zero-initialise it, then set the first three; the rest is the library's. */
typedef struct dw_looping_call {
    /* Called at each tick; may stop, reset and start the loop. Required. */
    void (*tick)(void *user);
    /* The loop has ended: inside stop, or, when a tick stopped it, after that tick has returned.
     * The place to free its memory, which must outlive a tick that runs. May be NULL. */
    void (*stopped)(void *user);
    void *user;

    dw_reactor *reactor_;
    const char *where_;
    dw_delayed_call call_;
    dw_time interval_, grid_, last_;
    uint64_t count_;
    bool running_, ticking_, ended_;
} dw_looping_call;

/* Starts ticking every `interval` (0: in each turn of the loop): `now` true calls the first tick
 * before this returns (from inside a tick of its own: in the next turn), false waits one interval
 * for it. Returns 0, DW_ALREADY_RUNNING or, for a negative interval, DW_INVALID_ARGUMENT. */
#define dw_looping_call_start(loop, reactor, interval, now) \
    dw_looping_call_start_at((loop), (reactor), (interval), (now), DW_HERE)
int dw_looping_call_start_at(dw_looping_call *loop, dw_reactor *reactor, dw_time interval, bool now,
                             const char *where);

/* Ends it; there is no further tick. Returns 0 or DW_NOT_RUNNING. */
int dw_looping_call_stop(dw_looping_call *loop);

/* Moves the grid: the next tick comes one interval from now. Returns 0 or DW_NOT_RUNNING. */
int dw_looping_call_reset(dw_looping_call *loop);

/* From start until stop. */
bool dw_looping_call_running(const dw_looping_call *loop);

/* Inside a tick: how many points of the grid have come since the tick before it, or since the
 * start. 1, or more when some were missed (Twisted's LoopingCall.withCount). */
uint64_t dw_looping_call_count(const dw_looping_call *loop);

DW_END_DECLS

#endif
