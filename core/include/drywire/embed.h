/* SPDX-License-Identifier: MIT */
/*
 * A reactor as a guest in another event loop (GLib's, libuv's, a game's): the other loop waits, and
 * lets the reactor have a turn when it has something to do. Live wires only.
 *
 *     dw_reactor_start(reactor);
 *     host loop: watch dw_reactor_descriptor(reactor) for reading
 *     before each wait: arm a timer for dw_reactor_timeout(reactor), unless negative
 *     when either is due: dw_reactor_iterate(reactor, 0);
 *                         if (!dw_reactor_running(reactor)) leave
 *
 * Other threads and signal handlers still reach it (drywire/thread_call.h). SIGINT and SIGTERM are
 * the host loop's: it calls dw_reactor_stop.
 */
#ifndef DRYWIRE_EMBED_H
#define DRYWIRE_EMBED_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* What dw_reactor_run does first: the startup triggers; the reactor is running afterwards, and
 * turns when dw_reactor_iterate is called. It ends by dw_reactor_stop: one of the following calls
 * of iterate then does the shutdown, as run would, and dw_reactor_running is false after it.
 * Returns 0, or DW_ALREADY_RUNNING (always so on the dry wire). */
int dw_reactor_start(dw_reactor *reactor);

/* A descriptor that is readable when there is input or output to see to (level-triggered), good
 * until dw_reactor_free. Only to be waited for: never read, never closed. DW_UNSUPPORTED: this way
 * to wait has none (poll(2), see dw_poll_reactor_descriptors of drywire/real.h), or the wire is
 * dry. */
int dw_reactor_descriptor(dw_reactor *reactor);

/* How long the host loop may wait for that descriptor: 0 when there is work now, negative when
 * nothing is due. To be asked before each wait, as the last thing that is done with the reactor
 * before it: it also hands over to the kernel what is to be waited for. */
dw_time dw_reactor_timeout(dw_reactor *reactor);

DW_END_DECLS

#endif
