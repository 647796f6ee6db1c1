/* SPDX-License-Identifier: MIT */
/*
 * A client factory that connects again, ever later (Twisted's ReconnectingClientFactory;
 * vectors/README.md, section 3; section 4: 15).
 *
 *     static const dw_client_factory_class client_class = {
 *         .base = {.name = "client", .build_protocol = client_build}};
 *     static dw_reconnecting_client_factory again;
 *     dw_reconnecting_client_factory_init(&again, &client_class);
 *     again.max_delay = DW_MIN(5);
 *     dw_reactor_connect_tcp(reactor, "server", 6379, &again.base, 0, NULL, NULL);
 *
 * and in client_build, or wherever the connection has proved its worth:
 *
 *     dw_reconnecting_reset_delay(&again);
 *
 * The first wait is initial_delay times factor, each next one factor times longer, none over
 * max_delay, jitter apart. A connection that was made does not set this back; only reset_delay
 * does. Everything counts as a reason to try again, also dw_connector_disconnect by the
 * application, until stop_trying or max_retries. One factory serves one connector.
 *
 * While it waits it holds the connector, and lets go of it when the reactor shuts down, so nothing
 * is left over. The factory's `stop` comes and goes with each attempt: it is not the place to free
 * the memory. Before that goes, call dw_reconnecting_client_factory_fini.
 */
#ifndef DRYWIRE_RECONNECTING_H
#define DRYWIRE_RECONNECTING_H

#include "drywire/connector.h"
#include "drywire/delayed_call.h"
#include "drywire/factory.h"
#include "drywire/reactor.h"

DW_BEGIN_DECLS

/* A positive fraction; num and den at least 1. No floating point decides anything. */
typedef struct dw_ratio {
    uint64_t num, den;
} dw_ratio;

#define DW_RECONNECTING_INITIAL_DELAY DW_SEC(1)
#define DW_RECONNECTING_MAX_DELAY     DW_HOUR(1)
#define DW_RECONNECTING_JITTER_PPB    119626566 /* Twisted's 0.119626565582 */
#define DW_RECONNECTING_NO_MAX        UINT32_MAX

/* No delay is longer than this, whatever is set: about 39 hours. */
#define DW_RECONNECTING_DELAY_LIMIT ((dw_time)1 << 47)

/* Embed it first, or use it as it is. init sets the fields to Twisted's values; change them before
 * connecting, or later. Must not be moved after init. */
typedef struct dw_reconnecting_client_factory {
    dw_client_factory base;
    dw_time initial_delay; /* DW_RECONNECTING_INITIAL_DELAY */
    dw_time max_delay;     /* DW_RECONNECTING_MAX_DELAY */
    dw_ratio factor;       /* e, as 28245729/10391023, exact to 15 digits */
    uint32_t jitter_ppb;   /* standard deviation of a delay, in billionths of it, at most 10^9;
                              drawn by dw_reactor_random; 0: none */
    uint32_t max_retries;  /* DW_RECONNECTING_NO_MAX */

    /* The library's. */
    dw_client_factory_class outer_;
    dw_connector *connector_;
    dw_delayed_call call_;
    dw_trigger trigger_;
    uint64_t delay_; /* in units of 2^-16 ns; 0: not begun */
    uint32_t retries_;
    bool stopped_;
} dw_reconnecting_client_factory;

/* Prepares a factory in the caller's memory. `cls` is copied; where client_connection_failed or
 * client_connection_lost is NULL it becomes the stock function below, which a user's own should
 * call, as Twisted's call the base class. Never fails. */
void dw_reconnecting_client_factory_init(dw_reconnecting_client_factory *factory,
                                         const dw_client_factory_class *cls);

/* Stops trying and forgets the connector. After this the memory may go as soon as `stop` was
 * called, that is at once when the connector is disconnected. Before the reactor is freed; may be
 * repeated.
 */
void dw_reconnecting_client_factory_fini(dw_reconnecting_client_factory *factory);

/* The stock callbacks: remember the connector and retry, unless stopped. */
void dw_reconnecting_client_connection_failed(dw_client_factory *factory, dw_connector *connector,
                                              const dw_reason *reason);
void dw_reconnecting_client_connection_lost(dw_client_factory *factory, dw_connector *connector,
                                            const dw_reason *reason);

/* Waits and connects again, counted as a retry; one that waits already begins its wait anew. Does
 * nothing after stop_trying or max_retries. Returns 0, or DW_NOT_CONNECTED when no attempt has
 * failed and no connection has ended yet, so that the connector is unknown, or the reactor has shut
 * down since. */
int dw_reconnecting_retry(dw_reconnecting_client_factory *factory);

/* No more retries: takes back a pending one; gives up an attempt under way, if the connector is
 * known (client_connection_failed comes before this returns); leaves a connection alone. */
void dw_reconnecting_stop_trying(dw_reconnecting_client_factory *factory);

/* Delay and count as at the start, and trying is on again. A wait that has begun goes on. */
void dw_reconnecting_reset_delay(dw_reconnecting_client_factory *factory);

/* Whether it waits for the next attempt, and when that is due (DW_TIME_MAX: it does not wait). */
dw_time dw_reconnecting_due(const dw_reconnecting_client_factory *factory);

DW_END_DECLS

#endif
