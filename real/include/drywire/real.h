/* SPDX-License-Identifier: MIT */
/*
 * The live wire: real sockets. One reactor, one thread; several reactors on several threads are
 * fine.
 *
 *     dw_reactor *reactor = dw_poll_reactor_new(NULL);
 *     dw_reactor_listen_tcp(reactor, 6379, &factory, 0, NULL, NULL);
 *     dw_reactor_run(reactor);
 *     dw_reactor_free(reactor);
 */
#ifndef DRYWIRE_REAL_H
#define DRYWIRE_REAL_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

/* Zero is the default everywhere. */
typedef struct dw_poll_options {
    const dw_allocator *allocator; /* default libc's */
    bool no_signals;               /* leave SIGINT and SIGTERM alone; default: they stop run */
} dw_poll_options;

/* Returns a new reactor on poll(2), to be freed with dw_reactor_free, or NULL with errno set.
 * `options` may be NULL.
 *
 * Signals: while it runs, SIGINT and SIGTERM act as dw_reactor_stop unless switched off; the
 * handlers that were there before come back when run returns. Where several reactors run in one
 * process, a signal stops all of them that have it switched on, and the old handlers come back when
 * the last of these returns. A handler that the program sets during run stays. At most 64 such runs
 * at once. SIGPIPE is never raised by a connection.
 *
 * Names: host names are looked up with getaddrinfo on a thread of the reactor's own, which the
 * first name starts, one after another. dw_reactor_free waits for one that is under way. */
dw_reactor *dw_poll_reactor_new(const dw_poll_options *options);

/* The signal that ended the last run, or 0: a program that wants to die of it as a shell expects
 * can raise it again. */
int dw_poll_reactor_signal(const dw_reactor *reactor);

DW_END_DECLS

#endif
