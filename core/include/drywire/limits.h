/* SPDX-License-Identifier: MIT */
/*
 * Limits on the number of connections: of a factory in all (Twisted's LimitTotalConnectionsFactory)
 * and per peer (its LimitConnectionsByPeer). See vectors/README.md, section 3 "Policies". They
 * stack, with each other and with every other wrapping factory:
 *
 *     static dw_limit_total_factory total;
 *     static dw_limit_per_peer_factory per_peer;
 *     dw_limit_per_peer_factory_init(&per_peer, reactor, &app.base);
 *     per_peer.limit = 10;
 *     dw_limit_total_factory_init(&total, reactor, &per_peer.base.base.base);
 *     total.limit = 1000;
 *     total.overflow = &busy.base;   (optional: builds protocols that say "busy" and close)
 *     dw_reactor_listen_tcp(reactor, 8000, &total.base.base.base, 0, NULL, NULL);
 *
 * A connection counts from when its protocol was built until its connection_lost. Lowering a limit
 * ends no connection that is there.
 */
#ifndef DRYWIRE_LIMITS_H
#define DRYWIRE_LIMITS_H

#include "drywire/wrapper.h"

DW_BEGIN_DECLS

/* ---- In all ---- */

typedef struct dw_limit_total_factory {
    dw_wrapping_factory base;
    size_t limit; /* SIZE_MAX, the default: none */

    /* Builds the protocol of a connection over the limit; borrowed; NULL, the default: it is
     * refused. What it builds counts as a connection too, so it should close soon. It is started
     * and stopped by its owner, if at all. */
    dw_factory *overflow;
} dw_limit_total_factory;

/* Prepare a factory in the caller's memory around `wrapped`, borrowed; see drywire/wrapper.h for
 * how long both must last. Never fail. The number of connections now is
 * dw_wrapping_factory_count(&factory->base). */
void dw_limit_total_factory_init(dw_limit_total_factory *factory, dw_reactor *reactor,
                                 dw_factory *wrapped);
void dw_limit_total_factory_init_client(dw_limit_total_factory *factory, dw_reactor *reactor,
                                        dw_client_factory *wrapped);

/* ---- Per peer ---- */

#define DW_LIMIT_PER_PEER_DEFAULT 5 /* Twisted's maxConnectionsPerPeer */

struct dw_peer_count_;

typedef struct dw_limit_per_peer_factory {
    dw_wrapping_factory base;
    size_t limit; /* DW_LIMIT_PER_PEER_DEFAULT at first; more are refused */

    /* How many leading bits of an IPv6 address make a peer; 128, the default: all of them. Most
     * networks hand out 64 to each customer. IPv4 addresses written as IPv6 ones count as IPv4. */
    unsigned ipv6_prefix;

    struct dw_peer_count_ **buckets_; /* peers with connections; taken and given back as needed */
    size_t bucket_count_, peer_count_;
} dw_limit_per_peer_factory;

/* Prepares a factory in the caller's memory around `wrapped`, borrowed; see drywire/wrapper.h for
 * how long both must last. Never fails. */
void dw_limit_per_peer_factory_init(dw_limit_per_peer_factory *factory, dw_reactor *reactor,
                                    dw_factory *wrapped);

/* How many connections there are now with the peer of that address (its port is not looked at). */
size_t dw_limit_per_peer_factory_count(const dw_limit_per_peer_factory *factory,
                                       const dw_address *peer);

DW_END_DECLS

#endif
