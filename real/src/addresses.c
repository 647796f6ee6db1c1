/* SPDX-License-Identifier: MIT */
/*
 * Between dw_address and the system's sockaddr, of all three kinds, and the two slots that ask a
 * socket for its ends. A UNIX address is as long as the kernel says, never as long as its bytes
 * look: an abstract name may hold any byte, a socket without a name has none (unix(7)).
 */
#include "live.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define UNIX_PATH_AT offsetof(struct sockaddr_un, sun_path)

/* A file's name may fill sun_path without a final NUL, and then some (unix(7), "BUGS"). One that is
 * too long for dw_address is left out, for a part of it would be somebody else's name. */
static void unix_from(dw_address *out, const struct sockaddr *from, size_t len) {
    const char *path = (const char *)from + UNIX_PATH_AT;
    size_t room = len > UNIX_PATH_AT ? len - UNIX_PATH_AT : 0;
    out->kind = DW_ADDRESS_UNIX;
    memset(out->path, 0, sizeof(out->path));
    if (room > 0 && path[0] != '\0') {
        room = strnlen(path, room);
        room = room <= DW_UNIX_PATH_MAX ? room : 0;
    }
    if (room > 0 && room <= sizeof(out->path)) {
        out->path_len = (uint8_t)room;
        memcpy(out->path, path, room);
    }
}

void dw_live_address_from(dw_address *out, const struct sockaddr *from, size_t len) {
    /* As much of it as an IP address has, for one is read with each connection. */
    memset(out, 0, offsetof(dw_address, ip) + sizeof(out->ip));
    if (len < sizeof(from->sa_family)) {
        return; /* a connection's end that the kernel does not name */
    }
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        dw_live_address_from_ipv4(out, &v4);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        out->kind = DW_ADDRESS_IPV6;
        out->port = ntohs(v6.sin6_port);
        out->scope_id = v6.sin6_scope_id;
        memcpy(out->ip, &v6.sin6_addr, 16);
    } else if (from->sa_family == AF_UNIX) {
        unix_from(out, from, len);
    }
}

static socklen_t unix_to(struct sockaddr_un *out, const dw_address *address) {
    size_t len = address->path_len;
    bool file = len > 0 && address->path[0] != '\0';
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, address->path, len);
    return (socklen_t)(UNIX_PATH_AT + len + file); /* the NUL counts, of a file's name alone */
}

socklen_t dw_live_address_to(union dw_live_sockaddr *out, const dw_address *address) {
    memset(out, 0, sizeof(*out));
    if (address->kind == DW_ADDRESS_IPV4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(address->port);
        memcpy(&out->v4.sin_addr, address->ip, 4);
        return sizeof(out->v4);
    }
    if (address->kind == DW_ADDRESS_IPV6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(address->port);
        out->v6.sin6_scope_id = address->scope_id;
        memcpy(&out->v6.sin6_addr, address->ip, 16);
        return sizeof(out->v6);
    }
    return address->kind == DW_ADDRESS_UNIX ? unix_to(&out->un, address) : 0;
}

/* Which end: getsockname or getpeername. */
static int name_of(dw_io *io, int (*name)(int fd, struct sockaddr *address, socklen_t *len),
                   dw_address *out) {
    union dw_live_sockaddr address;
    memset(&address, 0, sizeof(address));
    socklen_t len = sizeof(address);
    if (name((int)io->socket, &address.any, &len) != 0) {
        return -errno;
    }
    dw_live_address_from(out, &address.any, len);
    return 0;
}

int dw_live_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    return name_of(io, dw_live_of(reactor)->sys->getsockname, out);
}

int dw_live_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    return name_of(io, dw_live_of(reactor)->sys->getpeername, out);
}
