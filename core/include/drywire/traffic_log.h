/* SPDX-License-Identifier: MIT */
/*
 * Logs what passes through any factory's connections (Twisted's TrafficLoggingFactory, with lines
 * of our own). Put it outermost to see what goes over the network, innermost to see what the
 * application sees.
 *
 *     static dw_traffic_log_factory logged;
 *     dw_traffic_log_factory_init(&logged, reactor, &app.base);
 *     logged.file = stderr;
 *     dw_reactor_listen_tcp(reactor, 8000, &logged.base.base.base, 0, NULL, NULL);
 *
 * One line for each event: the connection's number, counted from 1, a mark, and what happened; a
 * length in brackets counts all bytes, also those that are not shown.
 *
 *     1 * made 10.0.0.2:40000
 *     1 < [6] "PING\r\n"
 *     1 > [7] "+PONG\r\n"
 *     1 > lose_connection
 *     1 * lost: connection was closed cleanly
 *
 * "<" is from the network, ">" is from the application. With DW_TRAFFIC_HEX bytes look like
 * `[6] 50 49 4e 47 0d 0a`. "..." follows when not all bytes are shown.
 */
#ifndef DRYWIRE_TRAFFIC_LOG_H
#define DRYWIRE_TRAFFIC_LOG_H

#include "drywire/reactor.h"
#include "drywire/wrapper.h"

#include <stdio.h>

DW_BEGIN_DECLS

typedef enum dw_traffic_format {
    DW_TRAFFIC_TEXT, /* printable ASCII as it is, \r \n \t \\ \" and \xNN for the rest */
    DW_TRAFFIC_HEX,
    DW_TRAFFIC_SIZES, /* no bytes, only how many */
} dw_traffic_format;

#define DW_TRAFFIC_SHOWN_DEFAULT 256
#define DW_TRAFFIC_SHOWN_MAX     1024

/* The settings may change at any time. */
typedef struct dw_traffic_log_factory {
    dw_wrapping_factory base;
    dw_traffic_format format;
    size_t shown_max; /* bytes shown of one event; DW_TRAFFIC_SHOWN_DEFAULT at first, at most
                         DW_TRAFFIC_SHOWN_MAX */

    /* Where lines go, the first of these that is set: a function, which must not call verbs of the
     * connection; a file, flushed after each line; else dw_reactor_log. */
    dw_log_fn fn;
    void *fn_user;
    FILE *file;

    uint64_t connections_; /* numbers given out */
} dw_traffic_log_factory;

/* Prepares a factory in the caller's memory around `wrapped`, borrowed; see drywire/wrapper.h for
 * how long both must last. Never fails. */
void dw_traffic_log_factory_init(dw_traffic_log_factory *factory, dw_reactor *reactor,
                                 dw_factory *wrapped);

/* The same around a client factory. */
void dw_traffic_log_factory_init_client(dw_traffic_log_factory *factory, dw_reactor *reactor,
                                        dw_client_factory *wrapped);

DW_END_DECLS

#endif
