/* SPDX-License-Identifier: MIT */
/*
 * TCP ports of a host beyond those of its listeners: which ones connections keep, live or in
 * TIME_WAIT (RFC 9293, section 3.6.1), and which one a new connection gets. What this file says of
 * Linux was tried on 6.18, in a network namespace: bind(2) meets EADDRINUSE on a port of a
 * connection or of its TIME_WAIT unless both sockets have SO_REUSEADDR, which listeners have here
 * and what they accept inherits; connect(2) shares a port among destinations, never with the same
 * one, and says EADDRNOTAVAIL when there is none left. A SYN that meets a TIME_WAIT at its listener
 * opens a new connection, as on Linux.
 *
 * Invariant: a host's list is in the order of its ends, so those that are over stand in front.
 */
#include "internal.h"

struct sim_timewait {
    struct sim_timewait *next;
    const dw_host *to;
    dw_time until;
    uint16_t port, to_port;
    uint8_t family;
    bool reuse; /* came to a listener */
};

/* ---- TIME_WAIT ---- */

static void first_is_over(dw_host *host) {
    struct sim_timewait *first = host->timewaits;
    host->timewaits = first->next;
    if (host->timewaits == NULL) {
        host->timewaits_last = NULL;
    }
    first->next = host->world->free_timewaits;
    host->world->free_timewaits = first;
}

static void forget_old(dw_host *host) {
    while (host->timewaits != NULL && host->timewaits->until <= host->world->now) {
        first_is_over(host);
    }
}

static struct sim_timewait *timewait_take(dw_world *world) {
    struct sim_timewait *t = world->free_timewaits;
    if (t != NULL) {
        world->free_timewaits = t->next;
        return t;
    }
    return sim_world_alloc(world, sizeof(*t));
}

void sim_timewait_enter(sim_end *end) {
    dw_host *host = end_host(end);
    const sim_end *peer = peer_of(end);
    forget_old(host);
    struct sim_timewait *t = timewait_take(host->world);
    *t = (struct sim_timewait){.to = end_host(peer),
                               .until = time_add(host->world->now, DW_TIME_WAIT),
                               .port = end->port,
                               .to_port = peer->port,
                               .family = conn_of(end)->family,
                               .reuse = end->side == 1};
    if (host->timewaits_last != NULL) {
        host->timewaits_last->next = t;
    } else {
        host->timewaits = t;
    }
    host->timewaits_last = t;
}

void sim_timewait_forget(dw_host *host) {
    while (host->timewaits != NULL) {
        first_is_over(host);
    }
}

/* ---- Binding ---- */

/* Whether the end still has its port: not when it was reset, or has closed in good order without
 * having been first, which leaves it no more to say. */
static bool keeps_port(sim_end *end) {
    uint32_t closed = E_CLOSED | E_FIN_SEEN;
    bool over = (end->flags & E_DEAD) != 0 || (end->flags & closed) == closed;
    bool begun = end->side == 0 || (end->flags & E_ESTABLISHED) != 0;
    return conn_of(end)->name == NULL && begun && !over;
}

/* An IPv6 socket on any address has IPv4's too; a listener on one address is taken for that. */
bool sim_port_is_busy(dw_host *host, uint16_t port, uint8_t family, bool reuse) {
    forget_old(host);
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        if (end->port == port && keeps_port(end) && conn_of(end)->family == family &&
            !(reuse && end->side == 1)) {
            return true;
        }
    }
    for (const struct sim_timewait *t = host->timewaits; t != NULL; t = t->next) {
        if (t->port == port && t->family == family && !(reuse && t->reuse)) {
            return true;
        }
    }
    return false;
}

/* ---- Picking ---- */

typedef struct port_set {
    uint64_t bits[65536 / 64];
} port_set;

static void add(port_set *set, uint16_t port) {
    set->bits[port / 64] |= UINT64_C(1) << port % 64;
}

static bool has(const port_set *set, uint16_t port) {
    return (set->bits[port / 64] >> port % 64 & 1) != 0;
}

/* Ports that lead there already; all that lead anywhere when `to` is NULL. */
static void add_used(port_set *set, dw_host *host, const dw_host *to, uint16_t to_port) {
    forget_old(host);
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        const sim_end *peer = peer_of(end);
        bool leads_there = to == NULL || (end_host(peer) == to && peer->port == to_port);
        if (leads_there && keeps_port(end)) {
            add(set, end->port);
        }
    }
    for (const struct sim_timewait *t = host->timewaits; t != NULL; t = t->next) {
        if (to == NULL || (t->to == to && t->to_port == to_port)) {
            add(set, t->port);
        }
    }
}

static void add_listeners(port_set *set, const dw_host *host) {
    for (const sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->name == NULL) {
            add(set, l->port);
        }
    }
}

static bool listens(const dw_host *host, uint16_t port) {
    const sim_listener *l = host->listeners;
    while (l != NULL && (l->port != port || l->name != NULL)) {
        l = l->next;
    }
    return l != NULL;
}

/* The next one in turn. */
static uint16_t next_port(dw_host *host) {
    uint16_t port = host->next_port;
    bool last = port >= host->port_last;
    host->next_port = last ? host->port_first : (uint16_t)(port + 1);
    host->ports_used = host->ports_used || last;
    return port;
}

static uint16_t pick_unused(dw_host *host, const dw_host *to, uint16_t to_port) {
    port_set set = {{0}};
    add_listeners(&set, host);
    add_used(&set, host, to, to_port);
    for (uint32_t tries = host->port_first; tries <= host->port_last; tries++) {
        uint16_t port = next_port(host);
        if (!has(&set, port)) {
            return port;
        }
    }
    return 0;
}

/* Ports are given out one after the other, so only listeners can have one that comes for the first
 * time. */
uint16_t sim_port_pick(dw_host *host, const dw_host *to, uint16_t to_port) {
    while (!host->ports_used) {
        uint16_t port = next_port(host);
        if (!listens(host, port)) {
            return port;
        }
    }
    return pick_unused(host, to, to_port);
}

void dw_host_set_ports(dw_host *host, uint16_t first, uint16_t last) {
    host->port_first = first > 0 ? first : 1;
    host->port_last = last > host->port_first ? last : host->port_first;
    host->next_port = host->port_first;
    host->ports_used = true;
}
