/* SPDX-License-Identifier: MIT */
/*
 * A time-out for any protocol (Twisted's TimeoutMixin; vectors/README.md, section 3
 * "TimeoutMixin"). The protocol embeds a dw_timeout:
 *
 *     struct session { dw_protocol base; dw_timeout timeout; };
 *     static void session_made(dw_protocol *p) {
 *         struct session *s = (struct session *)p;
 *         dw_timeout_init(&s->timeout, dw_transport_reactor(p->transport), p, NULL);
 *         dw_timeout_set(&s->timeout, DW_SEC(30));
 *     }
 *     static void session_data(dw_protocol *p, const uint8_t *data, size_t len) {
 *         dw_timeout_reset(&((struct session *)p)->timeout); ...
 *     }
 *     static void session_lost(dw_protocol *p, const dw_reason *reason) {
 *         dw_timeout_off(&((struct session *)p)->timeout);   needed: it does not stop by itself
 *     }
 *
 * The end of the connection does not stop it (section 4: 16), and its memory must not go while it
 * is pending. Nothing here allocates or fails.
 */
#ifndef DRYWIRE_TIMEOUT_H
#define DRYWIRE_TIMEOUT_H

#include "drywire/delayed_call.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* "No time-out", as a period. */
#define DW_TIMEOUT_OFF ((dw_time)-1)

typedef struct dw_timeout dw_timeout;

/* The time is over: what Twisted calls timeoutConnection. May set it again. */
typedef void (*dw_timeout_fn)(dw_protocol *protocol);

/* Zeroed memory is a time-out that is off and harmless to switch off. The fields are the
 * library's. */
struct dw_timeout {
    dw_delayed_call call_;
    dw_reactor *reactor_;
    dw_protocol *protocol_;
    dw_timeout_fn fn_;
    dw_time period_; /* 0 with set_ false: off */
    bool set_;
};

/* Prepares it, switched off. `fn` NULL: lose_connection of protocol->transport. */
void dw_timeout_init(dw_timeout *timeout, dw_reactor *reactor, dw_protocol *protocol,
                     dw_timeout_fn fn);

/* Begins anew: fn comes in `period` from now (0: in a later turn). DW_TIMEOUT_OFF, or any negative
 * period, switches it off. Returns the period before, DW_TIMEOUT_OFF if it was off. */
dw_time dw_timeout_set(dw_timeout *timeout, dw_time period);

/* The same as setting DW_TIMEOUT_OFF. */
dw_time dw_timeout_off(dw_timeout *timeout);

/* Begins anew with the same period. Does nothing when it is off or has run out; then only
 * dw_timeout_set arms it again. */
void dw_timeout_reset(dw_timeout *timeout);

/* The period that was set last, also after it has run out; DW_TIMEOUT_OFF when off. */
dw_time dw_timeout_period(const dw_timeout *timeout);

/* Whether it is running. */
bool dw_timeout_pending(const dw_timeout *timeout);

DW_END_DECLS

#endif
