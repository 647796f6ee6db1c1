/* SPDX-License-Identifier: MIT */
/*
 * Socket options, and the membership in multicast groups, which is one too. What an option is
 * called depends on the socket's family; io->family says which. The slots of the same names.
 */
#include "live.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static int fd_of(const dw_io *io) {
    return (int)io->socket;
}

static int set_raw(dw_reactor *reactor, const dw_io *io, int level, int name, const void *value,
                   size_t size) {
    const struct dw_syscalls *sys = dw_live_of(reactor)->sys;
    return sys->setsockopt(fd_of(io), level, name, value, (socklen_t)size) != 0 ? -errno : 0;
}

int dw_live_set_int(dw_reactor *reactor, const dw_io *io, int level, int name, int value) {
    return set_raw(reactor, io, level, name, &value, sizeof(value));
}

static int get_raw(dw_reactor *reactor, const dw_io *io, int level, int name, void *value,
                   size_t size) {
    socklen_t len = (socklen_t)size;
    const struct dw_syscalls *sys = dw_live_of(reactor)->sys;
    return sys->getsockopt(fd_of(io), level, name, value, &len) != 0 ? -errno : 0;
}

/* ---- Options ---- */

struct option_name {
    int level, name;
};

static struct option_name option_name(const dw_io *io, dw_socket_option option) {
    bool six = io->family == DW_ADDRESS_IPV6;
    switch (option) {
    case DW_OPTION_NO_DELAY:
        return (struct option_name){IPPROTO_TCP, TCP_NODELAY};
    case DW_OPTION_BROADCAST:
        return (struct option_name){SOL_SOCKET, SO_BROADCAST};
    case DW_OPTION_REUSE_PORT:
        return (struct option_name){SOL_SOCKET, SO_REUSEPORT};
    case DW_OPTION_MULTICAST_TTL:
        return six ? (struct option_name){IPPROTO_IPV6, IPV6_MULTICAST_HOPS}
                   : (struct option_name){IPPROTO_IP, IP_MULTICAST_TTL};
    case DW_OPTION_MULTICAST_LOOPBACK:
        return six ? (struct option_name){IPPROTO_IPV6, IPV6_MULTICAST_LOOP}
                   : (struct option_name){IPPROTO_IP, IP_MULTICAST_LOOP};
    case DW_OPTION_KEEP_ALIVE:
    default:
        return (struct option_name){SOL_SOCKET, SO_KEEPALIVE};
    }
}

int dw_live_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    struct option_name o = option_name(io, option);
    int value = 0;
    int error = get_raw(reactor, io, o.level, o.name, &value, sizeof(value));
    if (error != 0) {
        return error;
    }
    return option == DW_OPTION_MULTICAST_TTL ? value : value != 0;
}

/* Members of a group on one host share its port: every BSD and Linux wants SO_REUSEPORT for that,
 * and older members among them may have set SO_REUSEADDR alone, so Twisted sets both. */
int dw_live_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    struct option_name o = option_name(io, option);
    int error = 0;
    if (option == DW_OPTION_REUSE_PORT) {
        error = dw_live_set_int(reactor, io, SOL_SOCKET, SO_REUSEADDR, value);
    }
    return error != 0 ? error : dw_live_set_int(reactor, io, o.level, o.name, value);
}

/* ---- Multicast ---- */

static bool has_address(const struct ifaddrs *at, const dw_address *address) {
    dw_address its;
    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET6) {
        return false;
    }
    dw_live_address_from(&its, at->ifa_addr, sizeof(struct sockaddr_in6));
    return memcmp(its.ip, address->ip, sizeof(its.ip)) == 0;
}

/* IPv6 knows interfaces by number (RFC 3493, section 5.2). Returns it, 0 for any, or -errno. */
static int interface_index(struct dw_live *live, const dw_address *interface) {
    static const uint8_t any[16] = {0};
    struct ifaddrs *all = NULL;
    if (interface == NULL || interface->scope_id != 0 || memcmp(interface->ip, any, 16) == 0) {
        return interface != NULL ? (int)interface->scope_id : 0;
    }
    if (live->sys->getifaddrs(&all) != 0) {
        return -errno;
    }
    int index = -ENODEV;
    for (const struct ifaddrs *at = all; at != NULL && index < 0; at = at->ifa_next) {
        if (has_address(at, interface)) {
            index = (int)live->sys->if_nametoindex(at->ifa_name);
        }
    }
    live->sys->freeifaddrs(all);
    return index;
}

static int membership6(dw_reactor *reactor, dw_io *io, const dw_address *group,
                       const dw_address *interface, bool join) {
    struct ipv6_mreq request = {.ipv6mr_interface = 0};
    int index = interface_index(dw_live_of(reactor), interface);
    if (index < 0) {
        return index;
    }
    memcpy(&request.ipv6mr_multiaddr, group->ip, 16);
    request.ipv6mr_interface = index != 0 ? (unsigned)index : group->scope_id;
    return set_raw(reactor, io, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request,
                   sizeof(request));
}

int dw_live_membership(dw_reactor *reactor, dw_io *io, const dw_address *group,
                       const dw_address *interface, bool join) {
    if (io->family == DW_ADDRESS_IPV6) {
        return membership6(reactor, io, group, interface, join);
    }
    struct ip_mreq request = {.imr_interface.s_addr = htonl(INADDR_ANY)};
    memcpy(&request.imr_multiaddr, group->ip, 4);
    if (interface != NULL) {
        memcpy(&request.imr_interface, interface->ip, 4);
    }
    return set_raw(reactor, io, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                   sizeof(request));
}

int dw_live_set_multicast_interface(dw_reactor *reactor, dw_io *io, const dw_address *interface) {
    if (io->family == DW_ADDRESS_IPV6) {
        int index = interface_index(dw_live_of(reactor), interface);
        return index < 0 ? index
                         : dw_live_set_int(reactor, io, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
    }
    struct in_addr address = {.s_addr = htonl(INADDR_ANY)};
    if (interface != NULL) {
        memcpy(&address, interface->ip, 4);
    }
    return set_raw(reactor, io, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof(address));
}

/* IPv6: "::" with the interface as its scope, which set_multicast_interface takes, too. */
int dw_live_get_multicast_interface(dw_reactor *reactor, dw_io *io, dw_address *out) {
    dw_address found = {.kind = io->family};
    int error;
    if (io->family == DW_ADDRESS_IPV6) {
        int index = 0;
        error = get_raw(reactor, io, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
        found.scope_id = (uint32_t)index;
    } else {
        error = get_raw(reactor, io, IPPROTO_IP, IP_MULTICAST_IF, found.ip, 4);
    }
    if (error == 0) {
        *out = found;
    }
    return error;
}
