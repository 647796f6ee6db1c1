/* SPDX-License-Identifier: MIT */
/*
 * The reactor as a guest in another loop. Core's part is small: whatever happens between two turns
 * is in dw_reactor_next_due already, so the host loop only has to ask.
 */
#include "internal.h"

int dw_reactor_start(dw_reactor *reactor) {
    if (reactor->wire->wait == NULL || reactor->looping || reactor->state != R_STOPPED) {
        return DW_ALREADY_RUNNING;
    }
    dw_reactor_startup(reactor);
    return 0;
}

/* The wire's descriptor or a negative number; `more`: the wire has something to report already. */
static int wire_descriptor(dw_reactor *reactor, bool *more) {
    const dw_wire *wire = reactor->wire;
    *more = false;
    return wire->descriptor != NULL ? wire->descriptor(reactor, more) : -EOPNOTSUPP;
}

int dw_reactor_descriptor(dw_reactor *reactor) {
    bool more;
    int fd = wire_descriptor(reactor, &more);
    return fd >= 0 ? fd : DW_UNSUPPORTED;
}

dw_time dw_reactor_timeout(dw_reactor *reactor) {
    bool more;
    (void)wire_descriptor(reactor, &more);
    dw_time due = more || dw_reactor_stopping(reactor) ? 0 : dw_reactor_next_due(reactor);
    if (due == DW_TIME_MAX) {
        return -1;
    }
    dw_time now = reactor_now(reactor);
    return due > now ? due - now : 0;
}
