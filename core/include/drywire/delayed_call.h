/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls (Twisted's IReactorTime.callLater and IDelayedCall). The owner embeds the
 * dw_delayed_call; arming, moving and cancelling never fail and are synchronous: after cancel
 * returns, the memory may go.
 *
 *     struct session { dw_protocol base; dw_delayed_call idle; };
 *     dw_reactor_call_later(reactor, &s->idle, DW_SEC(30), session_idle, s);
 *
 * Each call runs at its own due time, in order of (due time, order of arming), however far a test
 * advances the clock. One that is armed during a turn of the loop, even with delay 0, runs in a
 * later turn (vectors/README.md, section 4: 14; twisted#9819 and #5962 ask for it on test clocks).
 */
#ifndef DRYWIRE_DELAYED_CALL_H
#define DRYWIRE_DELAYED_CALL_H

#include "drywire/base.h"

DW_BEGIN_DECLS

typedef void (*dw_delayed_fn)(void *user);

/* Zero-initialise it before first use; all fields are the library's. */
typedef struct dw_delayed_call {
    dw_time due_;
    uint64_t sequence_;
    uint32_t place_;
    uint8_t state_;
    dw_delayed_fn fn_;
    void *user_;
    dw_reactor *reactor_;
    const char *where_;
    struct dw_delayed_call *next_, *previous_;
} dw_delayed_call;

/* Runs fn(user) once, `delay` nanoseconds from now. A call that is pending already is moved and
 * gets the new function (as uv_timer_start does). A negative delay is a broken contract.
 *
 * What "now" is, here and for reset: outside the loop, and on the dry wire, the time. In a callback
 * of dw_reactor_run or _iterate on the live wire the clock is read for the first call that the
 * callback arms or moves, and again for every 64th after that; those in between count from when it
 * was last read, by them or by dw_reactor_now. Who blocks inside a callback between arming two
 * calls asks dw_reactor_now in between. */
#define dw_reactor_call_later(reactor, call, delay, fn, user) \
    dw_reactor_call_later_at((reactor), (call), (delay), (fn), (user), DW_HERE)
void dw_reactor_call_later_at(dw_reactor *reactor, dw_delayed_call *call, dw_time delay,
                              dw_delayed_fn fn, void *user, const char *where);

/* Takes the call back. Returns 0, DW_ALREADY_CALLED (also inside its own callback, and for one that
 * was never armed) or DW_ALREADY_CANCELLED; the last two change nothing. */
int dw_delayed_call_cancel(dw_delayed_call *call);

/* Moves a pending call to now + delay. Returns as cancel does. */
int dw_delayed_call_reset(dw_delayed_call *call, dw_time delay);

/* Moves a pending call by `delay` from its due time; may be negative. Returns as cancel does. */
int dw_delayed_call_delay(dw_delayed_call *call, dw_time delay);

/* Whether it is pending; false inside its own callback. */
bool dw_delayed_call_active(const dw_delayed_call *call);

/* When it is (or was) due. On the live wire, for a call without a delay, this may be when the loop
 * last looked at the clock. */
dw_time dw_delayed_call_time(const dw_delayed_call *call);

DW_END_DECLS

#endif
