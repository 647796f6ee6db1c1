/* SPDX-License-Identifier: MIT */
/*
 * Which port a new connection, or a socket bound to any port, gets. Ports are given out one after
 * the other. Once they have gone round, a map of those in use says which is the next free one: a
 * map for each destination, for connections share a port as long as they lead to different ones,
 * made when it is first asked. Then picking costs a 64th of the range at most, however many
 * connections there are.
 *
 * Invariant: a map that is there counts the ends with E_PORT, and the TIME_WAITs, that lead there.
 * Called by socket.c, timewait.c and whoever ends an end's use of its port.
 */
#include "connection.h"
#include "drywire/host.h"

#include <string.h>

struct sim_port_map {
    struct sim_port_map *next; /* of those to the same host */
    uint64_t *bits;            /* for each port of the host's range: in use */
    uint32_t *uses;            /* how often */
    uint16_t to_port;
};

/* ---- Counting ---- */

static void count(struct sim_port_map *map, const dw_host *host, uint16_t port, bool more) {
    if (port < host->port_first || port > host->port_last) {
        return;
    }
    uint32_t at = (uint32_t)port - host->port_first;
    map->uses[at] += more ? 1u : UINT32_MAX;
    if (map->uses[at] > 0) {
        map->bits[at / 64] |= UINT64_C(1) << at % 64;
    } else {
        map->bits[at / 64] &= ~(UINT64_C(1) << at % 64);
    }
}

void sim_port_count(sim_link *link, uint16_t port, uint16_t to_port, bool more) {
    for (struct sim_port_map *map = link->ports; map != NULL; map = map->next) {
        if (map->to_port == to_port) {
            count(map, link->from, port, more);
        }
    }
    if (link->from->all_ports != NULL) {
        count(link->from->all_ports, link->from, port, more);
    }
}

void sim_port_take(sim_end *end) {
    end->flags |= E_PORT;
    sim_port_count(end->link, end->port, peer_of(end)->port, true);
}

void sim_port_give(sim_end *end) {
    end->flags &= ~(uint32_t)E_PORT;
    sim_port_count(end->link, end->port, peer_of(end)->port, false);
}

/* ---- Maps ---- */

static struct sim_port_map *map_new(const dw_host *host, uint16_t to_port) {
    size_t range = (size_t)host->port_last - host->port_first + 1, words = (range + 63) / 64;
    struct sim_port_map *map = sim_world_alloc(host->world, sizeof(*map));
    *map = (struct sim_port_map){.to_port = to_port};
    map->bits = sim_world_alloc(host->world, words * sizeof(*map->bits));
    map->uses = sim_world_alloc(host->world, range * sizeof(*map->uses));
    memset(map->bits, 0, words * sizeof(*map->bits));
    memset(map->uses, 0, range * sizeof(*map->uses));
    return map;
}

/* What has a port of the host now. */
static void fill(struct sim_port_map *map, dw_host *host, const sim_link *link) {
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        bool leads_there =
            link == NULL || (end->link == link && peer_of(end)->port == map->to_port);
        if ((end->flags & E_PORT) != 0 && leads_there) {
            count(map, host, end->port, true);
        }
    }
    sim_timewait_each(host, map, link, map->to_port);
}

void sim_port_map_add(struct sim_port_map *map, const dw_host *host, uint16_t port) {
    count(map, host, port, true);
}

/* `link` NULL: of all ports, wherever they lead. */
static struct sim_port_map *map_of(dw_host *host, sim_link *link, uint16_t to_port) {
    struct sim_port_map *map = link != NULL ? link->ports : host->all_ports;
    while (map != NULL && map->to_port != to_port) {
        map = map->next;
    }
    if (map != NULL) {
        return map;
    }
    map = map_new(host, to_port);
    fill(map, host, link);
    struct sim_port_map **list = link != NULL ? &link->ports : &host->all_ports;
    map->next = *list;
    *list = map;
    return map;
}

/* ---- Picking ---- */

static bool listens(const dw_host *host, uint16_t port) {
    const sim_listener *l = host->listeners;
    while (l != NULL && (l->port != port || l->name != NULL)) {
        l = l->next;
    }
    return l != NULL;
}

/* The one behind `port` is next. */
static void go_on_behind(dw_host *host, uint16_t port) {
    bool last = port >= host->port_last;
    host->next_port = last ? host->port_first : (uint16_t)(port + 1);
    host->ports_used = host->ports_used || last;
}

/* How many ports in a row are in use from `at` on; not beyond its word of the map. */
static uint32_t in_use(const struct sim_port_map *map, uint32_t at) {
    uint64_t free = ~(map->bits[at / 64] >> at % 64);
    uint32_t left = 64 - at % 64, row = free != 0 ? (uint32_t)__builtin_ctzll(free) : 64;
    return row < left ? row : left;
}

static uint16_t pick_unused(dw_host *host, const struct sim_port_map *map) {
    uint32_t range = (uint32_t)host->port_last - host->port_first + 1;
    uint32_t at = (uint32_t)host->next_port - host->port_first;
    for (uint32_t tried = 0; tried < range;) {
        uint32_t skip = in_use(map, at);
        uint16_t port = (uint16_t)(host->port_first + at);
        if (skip == 0 && !listens(host, port)) {
            go_on_behind(host, port);
            return port;
        }
        skip = skip > 0 ? skip : 1;
        tried += skip;
        at = at + skip < range ? at + skip : 0;
    }
    return 0;
}

/* Ports are given out one after the other, so only listeners can have one that comes for the first
 * time. */
uint16_t sim_port_pick(dw_host *host, dw_host *to, uint16_t to_port) {
    while (!host->ports_used) {
        uint16_t port = host->next_port;
        go_on_behind(host, port);
        if (!listens(host, port)) {
            return port;
        }
    }
    sim_timewait_tidy(host);
    return pick_unused(host, map_of(host, to != NULL ? sim_link_between(host, to) : NULL, to_port));
}

void dw_host_set_ports(dw_host *host, uint16_t first, uint16_t last) {
    host->port_first = first > 0 ? first : 1;
    host->port_last = last > host->port_first ? last : host->port_first;
    host->next_port = host->port_first;
    host->ports_used = true;
    host->all_ports = NULL; /* maps are of a range */
    for (sim_link *link = host->links; link != NULL; link = link->next) {
        link->ports = NULL;
    }
}
