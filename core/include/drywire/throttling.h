/* SPDX-License-Identifier: MIT */
/*
 * Throttling: one limit in bytes per second on all that a factory's connections read together, one
 * on all that they write, and one on their number (Twisted's ThrottlingFactory; vectors/README.md,
 * section 3 "Policies").
 *
 *     static dw_throttling_factory slow;
 *     dw_throttling_factory_init(&slow, reactor, &app.base);
 *     slow.read_limit = 64 * 1024;
 *     slow.write_limit = 256 * 1024;
 *     slow.max_connections = 100;
 *     dw_reactor_listen_tcp(reactor, 8000, &slow.base.base.base, 0, NULL, NULL);
 *
 * Each second, counted from the first connection on, the bytes of that second are compared with the
 * limit. Were there more, all connections are paused in order of connection, for as long as it
 * takes to make up for it: (bytes / limit - 1) seconds. So a second may run over, the average does
 * not. For reading the transports are paused; for writing the registered producers, push and pull:
 * a connection that writes without a producer is counted but not held back, and one that connects
 * during a pause is paused at the next check.
 *
 * Better than Twisted: a transport that the application paused stays paused when the limit lets go,
 * and a producer that the network wants paused stays paused too.
 */
#ifndef DRYWIRE_THROTTLING_H
#define DRYWIRE_THROTTLING_H

#include "drywire/delayed_call.h"
#include "drywire/wrapper.h"

DW_BEGIN_DECLS

/* How many resumes one direction keeps pending: a connection that is not held back may exceed the
 * limit again while the others are paused. One more lengthens the last pause. */
#define DW_THROTTLING_PAUSES_MAX 4

/* One direction; the library's. */
struct dw_throttle_ {
    uint64_t bytes; /* in this second */
    dw_delayed_call check;
    dw_delayed_call resume[DW_THROTTLING_PAUSES_MAX];
};

/* The four settings may change at any time before a first connection, and the limits later too. */
typedef struct dw_throttling_factory {
    dw_wrapping_factory base;
    uint64_t read_limit;    /* bytes per second; 0, the default: none */
    uint64_t write_limit;   /* bytes per second; 0, the default: none */
    size_t max_connections; /* SIZE_MAX, the default: no limit; more are refused */
    bool quiet;             /* no line in the reactor's log for each pause */
    struct dw_throttle_ read_, write_;
} dw_throttling_factory;

/* Prepares a factory in the caller's memory around `wrapped`, borrowed; see drywire/wrapper.h for
 * how long both must last. Never fails. */
void dw_throttling_factory_init(dw_throttling_factory *factory, dw_reactor *reactor,
                                dw_factory *wrapped);

/* The same around a client factory. */
void dw_throttling_factory_init_client(dw_throttling_factory *factory, dw_reactor *reactor,
                                       dw_client_factory *wrapped);

DW_END_DECLS

#endif
