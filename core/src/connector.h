/* SPDX-License-Identifier: MIT */
/*
 * What the files of connectors share: what one is, and the search for its addresses. The rest of
 * core sees a connector through internal.h.
 */
#ifndef DRYWIRE_CORE_CONNECTOR_H
#define DRYWIRE_CORE_CONNECTOR_H

#include "internal.h"

/* ---- Addresses of a name: connector_search.c ---- */

typedef struct dw_search dw_search;

/* NULL without memory. */
dw_search *dw_search_new(dw_reactor *reactor);
/* Looks `name` up, which stays the caller's and in place until `on_done` is told or the search is
 * freed. That may come before this returns, and `search` be gone. `user` is on_done's lookup->user.
 */
void dw_search_begin(dw_search *search, dw_reactor *reactor, const char *name,
                     dw_lookup_done_fn on_done, void *user);
/* Whether there are addresses that dw_search_next has not given; one at least when the lookup is
 * done without a failure. */
bool dw_search_has_next(const dw_search *search);
dw_address dw_search_next(dw_search *search);
/* Also in the middle of the lookup; nobody is told. */
void dw_search_free(dw_reactor *reactor, dw_search *search);

/* ---- Connectors ---- */

/* An idle client has one of these beside its transport: each byte counts a million times. */
struct dw_connector {
    struct dw_aside aside; /* the transport's; first, for stream_connector */
    dw_reactor *reactor;
    dw_client_factory *factory;
    struct dw_list_node node; /* of reactor->connectors */
    dw_transport *transport;  /* the attempt, then the connection */
    struct attempt *attempt;  /* while connecting, unless it is starved */
    dw_time timeout;
    uint32_t holds;
    uint16_t busy;
    uint16_t port;
    uint8_t state;
    bool factory_started : 1;
    bool starved : 1;   /* there was no memory for an attempt */
    bool is_path : 1;   /* `host` is the path of a UNIX socket */
    bool is_bound : 1;  /* to a dw_address that lies behind the host's text, at any byte */
    bool stands_in : 1; /* `factory` is one of struct dw_stand_in */
    char host[];
};

_Static_assert(sizeof(void *) > 8 || offsetof(struct dw_connector, host) <= 82,
               "an idle client grew");

/* NULL: the factory is the program's own. */
static inline const struct dw_stand_in *dw_connector_stand_in_of(const dw_connector *connector) {
    return connector->stands_in
               ? DW_CONTAINER_OF(connector->factory, const struct dw_stand_in, factory)
               : NULL;
}

/* connector_life.c */
void dw_connector_free(dw_connector *connector);

static inline void dw_connector_free_if_done(dw_connector *connector) {
    if (connector->state == DW_CONNECTOR_DISCONNECTED && connector->busy == 0 &&
        connector->holds == 0) {
        dw_connector_free(connector);
    }
}

#endif
