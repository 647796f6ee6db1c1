/* SPDX-License-Identifier: MIT */
/*
 * Closes idle connections of any factory (Twisted's TimeoutFactory and TimeoutProtocol;
 * vectors/README.md, section 3 "Policies").
 *
 *     static dw_idle_timeout_factory idle;
 *     dw_idle_timeout_factory_init(&idle, reactor, &app.base, DW_SEC(60));
 *     dw_reactor_listen_tcp(reactor, 8000, &idle.base.base.base, 0, NULL, NULL);
 *
 * and a protocol that runs behind it may change its own:
 *
 *     dw_idle_timeout_set(p->transport, DW_MIN(10));
 *
 * The time runs from when the protocol is built; bytes received or written set it back. When it is
 * over the connection is closed by lose_connection, so that what is buffered still goes out; once.
 * A peer that never reads can hold that up: set `abort` to reset the connection instead.
 *
 * For a time-out that only the protocol knows about, see drywire/timeout.h.
 */
#ifndef DRYWIRE_IDLE_TIMEOUT_H
#define DRYWIRE_IDLE_TIMEOUT_H

#include "drywire/delayed_call.h"
#include "drywire/timeout.h"
#include "drywire/wrapper.h"

DW_BEGIN_DECLS

typedef struct dw_idle_timeout_factory {
    dw_wrapping_factory base;
    dw_time period; /* of connections to come; DW_TIMEOUT_OFF: none until one is set */
    bool abort;     /* abort_connection instead of lose_connection */
} dw_idle_timeout_factory;

/* Prepares a factory in the caller's memory around `wrapped`, borrowed; see drywire/wrapper.h for
 * how long both must last. Never fails. */
void dw_idle_timeout_factory_init(dw_idle_timeout_factory *factory, dw_reactor *reactor,
                                  dw_factory *wrapped, dw_time period);

/* The same around a client factory. */
void dw_idle_timeout_factory_init_client(dw_idle_timeout_factory *factory, dw_reactor *reactor,
                                         dw_client_factory *wrapped, dw_time period);

/* For the connection of `transport`, which runs behind the factory, other wrappers between them or
 * not: begins anew with `period`, or, with DW_TIMEOUT_OFF, stops; then no data brings it back. Does
 * nothing where there is no such factory. Also works on a protocol that was built and is not
 * connected yet, by dw_protocol_wrapper_transport. */
void dw_idle_timeout_set(dw_transport *transport, dw_time period);

/* The same as setting DW_TIMEOUT_OFF (Twisted's cancelTimeout). */
void dw_idle_timeout_cancel(dw_transport *transport);

/* The period in force, DW_TIMEOUT_OFF without one. */
dw_time dw_idle_timeout_period(dw_transport *transport);

DW_END_DECLS

#endif
