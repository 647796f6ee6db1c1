/* SPDX-License-Identifier: MIT */
/*
 * dw_timeout: a period and a delayed call, with the manners of Twisted's TimeoutMixin
 * (vectors/README.md, section 3): resetting means something only while the call is pending.
 */
#include "drywire/timeout.h"

#include "drywire/transport.h"

void dw_timeout_init(dw_timeout *timeout, dw_reactor *reactor, dw_protocol *protocol,
                     dw_timeout_fn fn) {
    *timeout = (dw_timeout){.reactor_ = reactor, .protocol_ = protocol, .fn_ = fn};
}

/* The period stays set after it has run out. */
static void run_out(void *user) {
    dw_timeout *timeout = user;
    if (timeout->fn_ != NULL) {
        timeout->fn_(timeout->protocol_);
    } else {
        dw_transport_lose_connection(timeout->protocol_->transport);
    }
}

dw_time dw_timeout_set(dw_timeout *timeout, dw_time period) {
    dw_time before = dw_timeout_period(timeout);
    timeout->set_ = period >= 0;
    timeout->period_ = period >= 0 ? period : 0;
    if (period >= 0) {
        dw_reactor_call_later(timeout->reactor_, &timeout->call_, period, run_out, timeout);
    } else {
        dw_delayed_call_cancel(&timeout->call_);
    }
    return before;
}

dw_time dw_timeout_off(dw_timeout *timeout) {
    return dw_timeout_set(timeout, DW_TIMEOUT_OFF);
}

/* Moves a pending call only. */
void dw_timeout_reset(dw_timeout *timeout) {
    dw_delayed_call_reset(&timeout->call_, timeout->period_);
}

dw_time dw_timeout_period(const dw_timeout *timeout) {
    return timeout->set_ ? timeout->period_ : DW_TIMEOUT_OFF;
}

bool dw_timeout_pending(const dw_timeout *timeout) {
    return dw_delayed_call_active(&timeout->call_);
}
