/* SPDX-License-Identifier: MIT */
/*
 * Addresses and UDP ports of a host: who has which, where a datagram leaves from, and which socket
 * one that arrives is for. The world is one network, 10.0.0.0/8 and fd00::/96; each host has one
 * address of either kind, and lo. Used by datagram.c and udp.c; what this file says of Linux was
 * tried on 6.18.
 *
 * Invariant: a socket is in its host's table of ports exactly as long as local.port is not 0.
 */
#include "datagram.h"

#include <errno.h>
#include <string.h>

enum { PAGE = 256 };

/* fd00::/96, where the hosts are by IPv6; the rest of the address is the one by IPv4. */
static const uint8_t net6[12] = {0xfd};

#define LOOPBACK      UINT32_C(0x7f000001)
#define BROADCAST_ALL UINT32_C(0xffffffff)
#define BROADCAST_NET UINT32_C(0x0affffff) /* of 10.0.0.0/8, where the hosts are */

/* A host's sockets by port, in pages that are made when needed. */
struct sim_ports {
    sim_socket **pages[PAGE];
    uint16_t next;
};

/* ---- Addresses ---- */

bool sim_ip_from(sim_ip *out, const dw_address *address) {
    static const uint8_t zeros[12] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip = address->ip + (address->kind == DW_ADDRESS_IPV6 ? 12 : 0);
    uint32_t last = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
    *out = (sim_ip){.host = last, .port = address->port, .version = 4};
    if (address->kind != DW_ADDRESS_IPV6) {
        return address->kind == DW_ADDRESS_IPV4;
    }
    if (memcmp(address->ip, mapped, sizeof(mapped)) == 0) {
        return true;
    }
    out->version = 6;
    return memcmp(address->ip, last > 1 ? net6 : zeros, sizeof(zeros)) == 0;
}

/* As a socket of that family sees it: an IPv6 one has IPv4 addresses mapped (RFC 4291, 2.5.5.2). */
void sim_ip_address(sim_ip ip, uint8_t family, dw_address *out) {
    *out = (dw_address){.kind = family, .port = ip.port};
    uint8_t *at = out->ip;
    if (family == DW_ADDRESS_IPV6) {
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        if (ip.version == 4 || ip.host > 1) {
            memcpy(at, ip.version == 4 ? mapped : net6, sizeof(mapped));
        }
        at += sizeof(mapped);
    }
    at[0] = (uint8_t)(ip.host >> 24);
    at[1] = (uint8_t)(ip.host >> 16);
    at[2] = (uint8_t)(ip.host >> 8);
    at[3] = (uint8_t)ip.host;
}

bool sim_ip_is_group(sim_ip ip) {
    return ip.version == 4 && ip.host >> 28 == 14; /* 224.0.0.0/4 (RFC 1112) */
}

bool sim_ip_is_broadcast(sim_ip ip) {
    return ip.version == 4 && (ip.host == BROADCAST_ALL || ip.host == BROADCAST_NET);
}

static bool is_loopback(sim_ip ip) {
    return ip.version == 6 ? ip.host == 1 : ip.host >> 24 == 127;
}

static bool same_ip(sim_ip a, sim_ip b) {
    return a.host == b.host && a.version == b.version;
}

/* As sim_host_by_address, without the detour. */
dw_host *sim_ip_host(dw_host *from, sim_ip ip) {
    const dw_world *world = from->world;
    uint32_t index = ip.host & 0xffffff;
    if (is_loopback(ip)) {
        return from;
    }
    return ip.host >> 24 == 10 && index >= 1 && index <= world->host_count
               ? world->host_table[index - 1]
               : NULL;
}

static sim_ip net_ip(const dw_host *host) {
    return (sim_ip){.host = UINT32_C(10) << 24 | host->index, .version = 4};
}

/* ---- Ports ---- */

static sim_socket **slot(dw_host *host, uint16_t port) {
    struct sim_ports *ports = host->ports;
    if (ports == NULL) {
        ports = host->ports = sim_world_alloc(host->world, sizeof(*ports));
        memset(ports, 0, sizeof(*ports));
        ports->next = host->port_first;
    }
    sim_socket ***page = &ports->pages[port / PAGE];
    if (*page == NULL) {
        *page = sim_world_alloc(host->world, PAGE * sizeof(sim_socket *));
        memset(*page, 0, PAGE * sizeof(sim_socket *));
    }
    return &(*page)[port % PAGE];
}

/* The newest socket of a port; the others follow. */
static sim_socket *first_at(const dw_host *host, uint16_t port) {
    sim_socket **page = host->ports != NULL ? host->ports->pages[port / PAGE] : NULL;
    return page != NULL ? page[port % PAGE] : NULL;
}

static uint16_t free_port(dw_host *host) {
    uint16_t first = host->port_first, last = host->port_last;
    slot(host, first);
    for (uint32_t tries = first; tries <= last; tries++) {
        uint16_t port = host->ports->next;
        port = port < first || port > last ? first : port; /* the range may have changed */
        host->ports->next = (uint16_t)(port < last ? port + 1 : first);
        if (first_at(host, port) == NULL) {
            return port;
        }
    }
    return 0;
}

static bool is_any(sim_ip ip) {
    return ip.host == 0;
}

/* Two local addresses that some datagram could be for both of. */
static bool overlap(sim_ip a, sim_ip b) {
    if (a.version != b.version) {
        return is_any(a.version == 6 ? a : b);
    }
    return is_any(a) || is_any(b) || a.host == b.host;
}

static int take_port(sim_socket *s, uint16_t port) {
    sim_socket **first = slot(s->host, port);
    for (const sim_socket *other = *first; other != NULL; other = other->next_here) {
        if (!(s->reuse && other->reuse) && overlap(s->local, other->local)) {
            return -EADDRINUSE;
        }
    }
    s->next_here = *first;
    *first = s;
    s->local.port = port;
    return 0;
}

/* bind(2), and the port that Linux gives a socket that sends or connects without one. */
static int take_any_port(sim_socket *s, int error) {
    uint16_t port = free_port(s->host);
    return port != 0 ? take_port(s, port) : error;
}

int sim_udp_bind(sim_socket *s, const dw_address *address) {
    sim_ip ip;
    bool known = sim_ip_from(&ip, address);
    bool special = sim_ip_is_group(ip) || sim_ip_is_broadcast(ip);
    if (!known || !(is_any(ip) || special || sim_ip_host(s->host, ip) == s->host)) {
        return -EADDRNOTAVAIL;
    }
    sim_ip before = s->local;
    s->local = (sim_ip){.host = ip.host, .version = ip.version};
    int error = ip.port != 0 ? take_port(s, ip.port) : take_any_port(s, -EADDRINUSE);
    if (error < 0) {
        s->local = before;
    }
    return error;
}

void sim_udp_release(sim_socket *s) {
    if (s->local.port == 0) {
        return;
    }
    for (sim_socket **at = slot(s->host, s->local.port); *at != NULL; at = &(*at)->next_here) {
        if (*at == s) {
            *at = s->next_here;
            return;
        }
    }
}

/* ---- Who gets it ---- */

static bool is_from_peer(const sim_socket *s, sim_ip from) {
    return s->peer.port == 0 || (same_ip(s->peer, from) && s->peer.port == from.port);
}

/* Whether the socket takes what is sent to that address. */
static bool takes(const sim_socket *s, sim_ip to) {
    return is_any(s->local) ? s->local.version == 6 || to.version == 4 : same_ip(s->local, to);
}

/* Linux (compute_score): the closest match, of equal ones the newest. */
sim_socket *sim_port_receiver(const dw_host *host, sim_ip to, sim_ip from) {
    sim_socket *best = NULL;
    int best_score = -1;
    for (sim_socket *s = first_at(host, to.port); s != NULL; s = s->next_here) {
        int score = (s->peer.port != 0 ? 2 : 0) + (is_any(s->local) ? 0 : 1);
        if (takes(s, to) && is_from_peer(s, from) && score > best_score) {
            best = s;
            best_score = score;
        }
    }
    return best;
}

/* Linux gives it to every socket of the port once one of the host is in the group (ip(7):
 * IP_MULTICAST_ALL). */
sim_socket *sim_port_next_of_many(const dw_host *host, const sim_socket *after, sim_ip to,
                                  sim_ip from) {
    sim_socket *s = after != NULL ? after->next_here : first_at(host, to.port);
    while (s != NULL && !(takes(s, to) && is_from_peer(s, from))) {
        s = s->next_here;
    }
    return s;
}

/* ---- Where it goes, and from where ---- */

sim_interface sim_udp_interface(const sim_socket *s, sim_ip to) {
    if (sim_ip_is_group(to)) {
        return s->iface == IFACE_LOOPBACK ? IFACE_LOOPBACK : IFACE_NET;
    }
    return is_loopback(to) ? IFACE_LOOPBACK : IFACE_NET;
}

/* Where it says it comes from: the bound address, or the one of the interface that it leaves by.
 * Linux takes neither group nor broadcast addresses for that. */
sim_ip sim_udp_source(const sim_socket *s, sim_ip to) {
    sim_ip local = s->local;
    if (!is_any(local) && !sim_ip_is_group(local) && !sim_ip_is_broadcast(local)) {
        return local;
    }
    sim_ip from = net_ip(s->host);
    from.port = local.port;
    from.version = to.version;
    if (sim_udp_interface(s, to) == IFACE_LOOPBACK) {
        from.host = to.version == 6 ? 1 : LOOPBACK;
    }
    return from;
}

/* Checks a destination and makes it whole. */
static int check_destination(const sim_socket *s, const dw_address *address, sim_ip *to) {
    if (s->family == DW_ADDRESS_IPV4 && address->kind != DW_ADDRESS_IPV4) {
        return -EAFNOSUPPORT;
    }
    if (!sim_ip_from(to, address)) {
        return -ENETUNREACH;
    }
    if (is_any(*to)) {
        to->host = to->version == 6 ? 1 : LOOPBACK; /* Linux: this host */
    }
    if (sim_ip_is_broadcast(*to)) {
        return s->broadcast ? 0 : -EACCES;
    }
    return sim_ip_is_group(*to) || sim_ip_host(s->host, *to) != NULL ? 0 : -ENETUNREACH;
}

/* An address of the loopback or of IPv6's does not lead out of the host. */
static int check_source(const sim_socket *s, sim_ip from, sim_ip to) {
    bool out =
        sim_ip_is_broadcast(to) || (sim_ip_is_group(to) ? sim_udp_interface(s, to) == IFACE_NET
                                                        : sim_ip_host(s->host, to) != s->host);
    if (from.version != to.version) {
        return -ENETUNREACH;
    }
    return out && is_loopback(from) ? -EINVAL : 0;
}

int sim_udp_route(sim_socket *s, const dw_address *address, sim_ip *to) {
    int error = check_destination(s, address, to);
    if (error == 0) {
        error = check_source(s, sim_udp_source(s, *to), *to);
    }
    if (error == 0 && s->local.port == 0) {
        error = take_any_port(s, -EAGAIN);
    }
    return error;
}

int sim_udp_connect(sim_socket *s, const dw_address *address) {
    sim_ip to;
    int error = sim_udp_route(s, address, &to);
    if (error < 0) {
        return error;
    }
    if (is_any(s->local)) {
        s->local = sim_udp_source(s, to);
    }
    s->peer = to;
    return 0;
}
