/* SPDX-License-Identifier: MIT */
/*
 * What the files of endpoints share: attempts to connect (attempt.c), and what they and connections
 * of endpoints own until the reactor ends.
 */
#ifndef DRYWIRE_CORE_ATTEMPT_H
#define DRYWIRE_CORE_ATTEMPT_H

#include "internal.h"

/* What an attempt or a connection of an endpoint needs, in the reactor's list `owned`: freed when
 * it is over, or without callbacks by dw_reactor_fini. Embedded first. */
struct dw_owned {
    struct dw_list_node node;
    void (*discard)(dw_reactor *reactor, struct dw_owned *owned);
};
void dw_owned_discard(dw_reactor *reactor);
/* endpoint.c: attempts under way fail / are over, nobody is told. */
void dw_connectings_shutdown(dw_reactor *reactor);
void dw_connectings_discard(dw_reactor *reactor);

/* One connector on behalf of an endpoint. Exactly one of the two functions is called, unless it is
 * cancelled; `attempt` is then nothing to hold on to any more. */
typedef struct dw_attempt dw_attempt;
typedef struct dw_attempt_events {
    void (*made)(void *user, dw_attempt *attempt, dw_protocol *protocol);
    void (*failed)(void *user, dw_attempt *attempt, const dw_reason *reason);
} dw_attempt_events;

/* To an IP address or a UNIX socket; returns 0 or a negative dw_error. `timeout` as connect_tcp's;
 * `bind` may be NULL. */
int dw_attempt_new(dw_reactor *reactor, const dw_address *address, dw_factory *factory,
                   dw_time timeout, const dw_address *bind, const dw_attempt_events *events,
                   void *user, dw_attempt **out);
/* Neither function is called; a connection that is being made is closed. */
void dw_attempt_cancel(dw_attempt *attempt);

/* endpoint_types.c: the prefixes that every wire has, linked by `next`. */
extern const dw_endpoint_type dw_endpoint_types[];

#endif
