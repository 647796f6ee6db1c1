/* SPDX-License-Identifier: MIT */
/*
 * TCP ports of a host that connections keep, live or in TIME_WAIT (RFC 9293, section 3.6.1);
 * ports.c says which one a new connection gets. What this file says of Linux was tried on 6.18, in
 * a network namespace: bind(2) meets EADDRINUSE on a port of a connection or of its TIME_WAIT
 * unless both sockets have SO_REUSEADDR, which listeners have here and what they accept inherits;
 * connect(2) shares a port among destinations, never with the same one, and says EADDRNOTAVAIL when
 * there is none left. A SYN that meets a TIME_WAIT at its listener opens a new connection, as on
 * Linux.
 *
 * Invariant: a host's list is in the order of its ends, so those that are over stand in front.
 */
#include "connection.h"

struct sim_timewait {
    struct sim_timewait *next;
    sim_link *link; /* to its peer */
    dw_time until;
    uint16_t port, to_port;
    uint8_t family;
    bool reuse; /* came to a listener */
};

/* ---- TIME_WAIT ---- */

static void first_is_over(dw_host *host) {
    struct sim_timewait *first = host->timewaits;
    sim_port_count(first->link, first->port, first->to_port, false);
    host->timewaits = first->next;
    if (host->timewaits == NULL) {
        host->timewaits_last = NULL;
    }
    first->next = host->world->free_timewaits;
    host->world->free_timewaits = first;
}

void sim_timewait_tidy(dw_host *host) {
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
    sim_timewait_tidy(host);
    struct sim_timewait *t = timewait_take(host->world);
    *t = (struct sim_timewait){.link = end->link,
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
    sim_port_count(t->link, t->port, t->to_port, true);
}

void sim_timewait_each(const dw_host *host, struct sim_port_map *map, const sim_link *link,
                       uint16_t to_port) {
    for (const struct sim_timewait *t = host->timewaits; t != NULL; t = t->next) {
        if (link == NULL || (t->link == link && t->to_port == to_port)) {
            sim_port_map_add(map, host, t->port);
        }
    }
}

void sim_timewait_forget(dw_host *host) {
    while (host->timewaits != NULL) {
        first_is_over(host);
    }
}

/* ---- Binding ---- */

/* An IPv6 socket on any address has IPv4's too; a listener on one address is taken for that. */
bool sim_port_is_busy(dw_host *host, uint16_t port, uint8_t family, bool reuse) {
    sim_timewait_tidy(host);
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        if (end->port == port && (end->flags & E_PORT) != 0 && conn_of(end)->family == family &&
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
