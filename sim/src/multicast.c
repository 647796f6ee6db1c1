/* SPDX-License-Identifier: MIT */
/*
 * Multicast groups (RFC 1112), as ip(7) has them: a socket is in a group on an interface, a host
 * while any of its sockets is. A host has two interfaces: the one with its address, and lo. Which
 * hosts a datagram reaches is decided in udp.c. The world has IPv4 groups only.
 */
#include "datagram.h"

#include <errno.h>

enum { MEMBERSHIPS_MAX = 20 /* Linux: igmp_max_memberships */ };

typedef struct sim_group {
    struct sim_group *next;
    uint32_t group, members;
    uint8_t iface;
} sim_group;

static sim_group *find(const dw_host *host, uint32_t group, sim_interface iface) {
    for (sim_group *g = host->groups; g != NULL; g = g->next) {
        if (g->group == group && g->iface == iface) {
            return g;
        }
    }
    return NULL;
}

bool sim_group_has(const dw_host *host, uint32_t group, sim_interface iface) {
    const sim_group *g = find(host, group, iface);
    return g != NULL && g->members > 0;
}

static sim_group *find_or_make(dw_host *host, uint32_t group, sim_interface iface) {
    sim_group *g = find(host, group, iface);
    if (g == NULL) {
        g = sim_world_alloc(host->world, sizeof(*g));
        *g = (sim_group){.next = host->groups, .group = group, .iface = (uint8_t)iface};
        host->groups = g;
    }
    return g;
}

/* The interface that has the address; IFACE_DEFAULT for "any". False: none of this host's. */
static bool interface_of(dw_host *host, const dw_address *address, sim_interface *out) {
    sim_ip ip;
    *out = IFACE_DEFAULT;
    if (address == NULL) {
        return true;
    }
    if (!sim_ip_from(&ip, address) || ip.version != 4) {
        return false;
    }
    if (ip.host != 0) {
        *out = ip.host >> 24 == 127 ? IFACE_LOOPBACK : IFACE_NET;
    }
    return ip.host == 0 || sim_host_by_address(host->world, host, address) == host;
}

static sim_membership **find_membership(sim_socket *s, uint32_t group, sim_interface iface) {
    sim_membership **at = &s->memberships;
    while (*at != NULL && !((*at)->group == group && (*at)->iface == iface)) {
        at = &(*at)->next;
    }
    return at;
}

static int join_group(sim_socket *s, sim_membership **at, uint32_t group, sim_interface iface) {
    if (*at != NULL) {
        return -EADDRINUSE;
    }
    if (s->membership_count == MEMBERSHIPS_MAX) {
        return -ENOBUFS;
    }
    sim_membership *m = sim_world_alloc(s->host->world, sizeof(*m));
    *m = (sim_membership){.group = group, .iface = (uint8_t)iface};
    *at = m;
    s->membership_count++;
    find_or_make(s->host, group, iface)->members++;
    return 0;
}

static void leave_group(sim_socket *s, sim_membership **at) {
    sim_membership *m = *at;
    *at = m->next;
    s->membership_count--;
    find_or_make(s->host, m->group, (sim_interface)m->iface)->members--;
}

int sim_group_membership(sim_socket *s, const dw_address *group, const dw_address *interface,
                         bool join) {
    sim_ip ip;
    sim_interface iface;
    if (s->family == DW_ADDRESS_UNIX) {
        return -EOPNOTSUPP;
    }
    if (!sim_ip_from(&ip, group) || !sim_ip_is_group(ip)) {
        return -EINVAL;
    }
    if (!interface_of(s->host, interface, &iface)) {
        return -ENODEV;
    }
    iface = iface == IFACE_DEFAULT ? IFACE_NET : iface;
    sim_membership **at = find_membership(s, ip.host, iface);
    if (join) {
        return join_group(s, at, ip.host, iface);
    }
    if (*at == NULL) {
        return -EADDRNOTAVAIL;
    }
    leave_group(s, at);
    return 0;
}

void sim_group_leave_all(sim_socket *s) {
    while (s->memberships != NULL) {
        leave_group(s, &s->memberships);
    }
}

int sim_group_set_interface(sim_socket *s, const dw_address *interface) {
    sim_interface iface;
    if (s->family == DW_ADDRESS_UNIX) {
        return -EOPNOTSUPP;
    }
    if (!interface_of(s->host, interface, &iface)) {
        return -EADDRNOTAVAIL;
    }
    s->iface = (uint8_t)iface;
    return 0;
}

/* 0.0.0.0 while the system chooses, as on Linux. */
void sim_group_get_interface(const sim_socket *s, dw_address *out) {
    *out = (dw_address){.kind = DW_ADDRESS_IPV4};
    if (s->iface == IFACE_NET) {
        *out = dw_host_address(s->host);
    } else if (s->iface == IFACE_LOOPBACK) {
        *out = (dw_address){.kind = DW_ADDRESS_IPV4, .ip = {127, 0, 0, 1}};
    }
}
