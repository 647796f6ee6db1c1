/* SPDX-License-Identifier: MIT */
/*
 * TCP sockets for the live wire: the slots of dw_wire that are little more than one system call.
 * All descriptors are non-blocking and close-on-exec from birth. A call that a signal interrupts is
 * repeated, DW_EINTR_MAX times at most; errors go back to core as negative errno values.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Room for either kind of address, in the types that the calls want. */
union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int fd_of(const dw_io *io) {
    return (int)io->socket;
}

/* ---- Addresses ---- */

void dw_live_address_from(dw_address *out, const struct sockaddr *from) {
    memset(out, 0, sizeof(*out));
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        out->kind = DW_ADDRESS_IPV4;
        out->port = ntohs(v4.sin_port);
        memcpy(out->ip, &v4.sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        out->kind = DW_ADDRESS_IPV6;
        out->port = ntohs(v6.sin6_port);
        out->scope_id = v6.sin6_scope_id;
        memcpy(out->ip, &v6.sin6_addr, 16);
    }
}

/* Returns the length used, 0 for DW_ADDRESS_NONE. */
static socklen_t address_to(union socket_address *out, const dw_address *address) {
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
    return 0;
}

int dw_live_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    union socket_address address;
    memset(&address, 0, sizeof(address));
    socklen_t len = sizeof(address);
    if (dw_live_of(reactor)->sys->getsockname(fd_of(io), &address.any, &len) != 0) {
        return -errno;
    }
    dw_live_address_from(out, &address.any);
    return 0;
}

/* ---- Options ---- */

static int set_int(struct dw_live *live, int fd, int level, int name, int value) {
    return live->sys->setsockopt(fd, level, name, &value, sizeof(value)) != 0 ? -errno : 0;
}

static void option_names(dw_socket_option option, int *level, int *name) {
    bool no_delay = option == DW_OPTION_NO_DELAY;
    *level = no_delay ? IPPROTO_TCP : SOL_SOCKET;
    *name = no_delay ? TCP_NODELAY : SO_KEEPALIVE;
}

int dw_live_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    int level, name, value = 0;
    socklen_t len = sizeof(value);
    option_names(option, &level, &name);
    if (dw_live_of(reactor)->sys->getsockopt(fd_of(io), level, name, &value, &len) != 0) {
        return -errno;
    }
    return value != 0;
}

int dw_live_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    int level, name;
    option_names(option, &level, &name);
    return set_int(dw_live_of(reactor), fd_of(io), level, name, value);
}

/* ---- Opening ---- */

/* A place in the poller for one more descriptor; undone by `keep`, when there is none after all. */
static int reserve(struct dw_live *live) {
    return live->poller->reserve != NULL ? live->poller->reserve(live) : 0;
}

/* `fd` is a new descriptor or -errno: it becomes io's, or its place is given up. */
static int keep(struct dw_live *live, dw_io *io, int fd, uint8_t family) {
    if (fd < 0) {
        io->socket = DW_SOCKET_NONE;
        live->poller->forget(live, io);
        return fd;
    }
    io->socket = fd;
    io->family = family;
    return 0;
}

int dw_live_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    struct dw_live *live = dw_live_of(reactor);
    int error = reserve(live);
    if (error != 0) {
        return error;
    }
    int family = kind == DW_ADDRESS_IPV6 ? AF_INET6 : AF_INET;
    int fd = live->sys->socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    return keep(live, io, fd < 0 ? -errno : fd, (uint8_t)kind);
}

int dw_live_adopt(dw_reactor *reactor, dw_io *io, int fd) {
    struct dw_live *live = dw_live_of(reactor);
    if (io->kind != DW_IO_WATCHED) {
        return -EINVAL;
    }
    int error = reserve(live);
    return error != 0 ? error : keep(live, io, fd, DW_ADDRESS_NONE);
}

int dw_live_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    struct dw_live *live = dw_live_of(reactor);
    if (io->kind == DW_IO_PORT) {
        /* A server restarts while connections of its past self linger in TIME_WAIT; and "::" means
         * all addresses of both kinds, whatever the system's default (ipv6(7)). */
        int error = set_int(live, fd_of(io), SOL_SOCKET, SO_REUSEADDR, 1);
        if (error == 0 && address->kind == DW_ADDRESS_IPV6) {
            error = set_int(live, fd_of(io), IPPROTO_IPV6, IPV6_V6ONLY, 0);
        }
        if (error != 0) {
            return error;
        }
    }
    union socket_address to;
    socklen_t len = address_to(&to, address);
    return live->sys->bind(fd_of(io), &to.any, len) != 0 ? -errno : 0;
}

int dw_live_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    return dw_live_of(reactor)->sys->listen(fd_of(io), backlog) != 0 ? -errno : 0;
}

int dw_live_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    union socket_address to;
    socklen_t len = address_to(&to, address);
    if (dw_live_of(reactor)->sys->connect(fd_of(io), &to.any, len) == 0) {
        return 0;
    }
    /* Interrupted, the attempt goes on by itself (connect(3p)). */
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int dw_live_connect_result(dw_reactor *reactor, dw_io *io) {
    int error = 0;
    socklen_t len = sizeof(error);
    if (dw_live_of(reactor)->sys->getsockopt(fd_of(io), SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return -errno;
    }
    return -error;
}

/* ---- Accepting ---- */

void dw_live_reserve_take(struct dw_live *live) {
    if (live->reserve < 0) {
        live->reserve = live->sys->open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

void dw_live_reserve_drop(struct dw_live *live) {
    if (live->reserve >= 0) {
        (void)live->sys->close(live->reserve);
        live->reserve = -1;
    }
}

/* Returns a descriptor or -errno. */
static int accept_one(struct dw_live *live, int listener, union socket_address *peer) {
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        memset(peer, 0, sizeof(*peer));
        socklen_t len = sizeof(*peer);
        int fd = live->sys->accept4(listener, &peer->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

/* No descriptor is left, and the connection at the head of the queue would make the listener
 * readable for ever. So the reserve is given up for it, it is closed, and the reserve taken back.
 * Linux looks for a descriptor before it looks at the queue, which may turn out to be empty. */
static int accept_and_drop(struct dw_live *live, int listener) {
    union socket_address peer;
    dw_live_reserve_drop(live);
    int fd = accept_one(live, listener, &peer);
    if (fd >= 0) {
        (void)live->sys->close(fd);
    }
    dw_live_reserve_take(live);
    return fd == -EAGAIN || fd == -EWOULDBLOCK ? -EAGAIN : -EMFILE;
}

int dw_live_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    struct dw_live *live = dw_live_of(reactor);
    dw_live_reserve_take(live); /* does nothing, unless it was lost in an earlier shortage */
    int error = reserve(live);
    if (error != 0) {
        return error;
    }
    union socket_address from;
    int fd = accept_one(live, fd_of(listener), &from);
    error = keep(live, conn, fd, listener->family);
    if (error == -EMFILE || error == -ENFILE) {
        return accept_and_drop(live, fd_of(listener));
    }
    if (error == 0) {
        dw_live_address_from(peer, &from.any);
    }
    return error;
}

/* ---- Streams ---- */

ssize_t dw_live_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    struct dw_live *live = dw_live_of(reactor);
    *data = live->received;
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        ssize_t got = live->sys->recv(fd_of(io), live->received, sizeof(live->received), 0);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

ssize_t dw_live_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    struct dw_live *live = dw_live_of(reactor);
    /* More pieces than IOV_MAX are an error to the kernel; to core it is a short write. */
    size_t pieces_now = (size_t)(count < IOV_MAX ? count : IOV_MAX);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = pieces_now};
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        ssize_t sent = live->sys->sendmsg(fd_of(io), &message, MSG_NOSIGNAL);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

int dw_live_shutdown(dw_reactor *reactor, dw_io *io) {
    return dw_live_of(reactor)->sys->shutdown(fd_of(io), SHUT_WR) != 0 ? -errno : 0;
}

void dw_live_close(dw_reactor *reactor, dw_io *io, bool reset) {
    struct dw_live *live = dw_live_of(reactor);
    if (io->socket == DW_SOCKET_NONE) {
        return;
    }
    live->poller->forget(live, io);
    if (io->kind == DW_IO_WATCHED) {
        io->socket = DW_SOCKET_NONE; /* the program's own */
        return;
    }
    if (reset) {
        /* Lingering for no time is how one asks for a RST (socket(7), RFC 9293 section 3.10.5). */
        const struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)live->sys->setsockopt(fd_of(io), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    /* Never repeated: after EINTR the descriptor is gone all the same (close(2)). */
    (void)live->sys->close(fd_of(io));
    io->socket = DW_SOCKET_NONE;
}
