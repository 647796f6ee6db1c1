/* SPDX-License-Identifier: MIT */
/*
 * The live wire: real sockets. One reactor, one thread.
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
 * `options` may be NULL. While it runs, SIGINT and SIGTERM act as dw_reactor_stop unless switched
 * off; the handlers that were there before come back when run returns. */
dw_reactor *dw_poll_reactor_new(const dw_poll_options *options);

/* The signal that ended the last run, or 0: a program that wants to die of it as a shell expects
 * can raise it again. */
int dw_poll_reactor_signal(const dw_reactor *reactor);

DW_END_DECLS

#endif
