/* SPDX-License-Identifier: MIT */
/*
 * Stream sockets for the live wire, TCP and UNIX, and the opening, adopting and closing of all
 * kinds: the slots of dw_wire that are little more than one system call. All descriptors are
 * non-blocking and close-on-exec from birth. A call that a signal interrupts is repeated,
 * DW_EINTR_MAX times at most; errors go back to core as negative errno values.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static int fd_of(const dw_io *io) {
    return (int)io->socket;
}

/* ---- Opening ---- */

/* A place in the poller for one more descriptor; undone by `keep`, when there is none after all. */
static int reserve(struct dw_live *live) {
    return live->poller->reserve != NULL ? live->poller->reserve(live) : 0;
}

/* There is no descriptor after all: gives the place up, and passes the error on. */
DW_SELDOM static int keep_none(struct dw_live *live, dw_io *io, int error) {
    io->socket = DW_SOCKET_NONE;
    live->poller->forget(live, io);
    return error;
}

DW_SELDOM int dw_live_refused(struct dw_live *live, dw_io *io, int error) {
    live->poller->forget(live, io);
    if (io->kind != DW_IO_WATCHED) {
        (void)live->sys->close(fd_of(io));
    }
    io->socket = DW_SOCKET_NONE;
    return error;
}

/* `fd` is a new descriptor or -errno: it becomes io's, or its place is given up. */
static inline int keep(struct dw_live *live, dw_io *io, int fd, uint8_t family) {
    if (fd < 0) {
        return keep_none(live, io, fd);
    }
    io->socket = fd;
    io->family = family;
    int error = live->poller->opened != NULL ? live->poller->opened(live, io) : 0;
    return error == 0 ? 0 : dw_live_refused(live, io, error);
}

/* The kernel had nothing, or no more than this: `what` has to be reported anew. */
static void used_up(dw_io *io, unsigned what) {
    io->state &= (uint8_t)~what;
}

int dw_live_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    struct dw_live *live = dw_live_of(reactor);
    int error = reserve(live);
    if (error != 0) {
        return error;
    }
    int family = kind == DW_ADDRESS_UNIX ? AF_UNIX : kind == DW_ADDRESS_IPV6 ? AF_INET6 : AF_INET;
    int type = io->kind == DW_IO_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
    int fd = live->sys->socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return keep(live, io, fd < 0 ? -errno : fd, (uint8_t)kind);
}

/* ---- Adopting ---- */

static int int_option(struct dw_live *live, int fd, int name, int *value) {
    socklen_t len = sizeof(*value);
    return live->sys->getsockopt(fd, SOL_SOCKET, name, value, &len) != 0 ? -errno : 0;
}

/* Whether `fd` is a socket of io's kind: listening for a port, connected for a connection. Sets its
 * family. */
static int check_adopted(struct dw_live *live, dw_io *io, int fd, uint8_t *family) {
    int type = 0, listens = 0;
    dw_address address;
    dw_io looked_at = {.socket = fd};
    int error = int_option(live, fd, SO_TYPE, &type);
    if (error == 0) {
        error = int_option(live, fd, SO_ACCEPTCONN, &listens);
    }
    if (error == 0) {
        error = dw_live_local_address(&live->base, &looked_at, &address);
    }
    if (error == 0 && io->kind == DW_IO_STREAM) {
        error = dw_live_remote_address(&live->base, &looked_at, &address);
    }
    if (error != 0) {
        return error;
    }
    *family = address.kind;
    bool fits = type == (io->kind == DW_IO_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) &&
                (listens != 0) == (io->kind == DW_IO_PORT) && address.kind != DW_ADDRESS_NONE;
    return fits ? 0 : -EINVAL;
}

/* A duplicate shares its file description, so the program's own descriptor does not block any more
 * either (dup(2)). */
static int adopt_socket(struct dw_live *live, dw_io *io, int fd) {
    uint8_t family = DW_ADDRESS_NONE;
    int error = check_adopted(live, io, fd, &family);
    if (error == 0) {
        error = reserve(live);
    }
    if (error != 0) {
        return error;
    }
    int own = live->sys->duplicate(fd);
    if (own >= 0 && live->sys->set_nonblocking(own) != 0) {
        int failed = -errno;
        (void)live->sys->close(own);
        return keep(live, io, failed, family);
    }
    return keep(live, io, own < 0 ? -errno : own, family);
}

/* POLLNVAL is how poll(2) says that there is no such descriptor. */
static bool is_open(struct dw_live *live, int fd) {
    const struct timespec no_time = {.tv_sec = 0};
    struct pollfd probe = {.fd = fd};
    return live->sys->ppoll(&probe, 1, &no_time, NULL) <= 0 || (probe.revents & POLLNVAL) == 0;
}

int dw_live_adopt(dw_reactor *reactor, dw_io *io, int fd) {
    struct dw_live *live = dw_live_of(reactor);
    if (io->kind != DW_IO_WATCHED) {
        return adopt_socket(live, io, fd);
    }
    int error = is_open(live, fd) ? reserve(live) : -EBADF;
    return error != 0 ? error : keep(live, io, fd, DW_ADDRESS_NONE);
}

/* ---- Binding, listening, connecting ---- */

/* A server restarts while connections of its past self linger in TIME_WAIT; and "::" means all
 * addresses of both kinds, whatever the system's default (ipv6(7)). Not SO_REUSEADDR for datagrams:
 * there it lets a second port take the first one's traffic (socket(7)). */
static int prepare_bind(dw_reactor *reactor, const dw_io *io, const dw_address *address) {
    int error = 0;
    bool ip = address->kind != DW_ADDRESS_UNIX;
    if (ip && io->kind == DW_IO_PORT) {
        error = dw_live_set_int(reactor, io, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (error == 0 && address->kind == DW_ADDRESS_IPV6 &&
        (io->kind == DW_IO_PORT || io->kind == DW_IO_DATAGRAM)) {
        error = dw_live_set_int(reactor, io, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    return error;
}

int dw_live_take(struct dw_live *live, dw_io *io, int fd) {
    int error = reserve(live);
    if (error != 0) {
        (void)live->sys->close(fd);
        return error;
    }
    return keep(live, io, fd, DW_ADDRESS_NONE);
}

int dw_live_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    int error = prepare_bind(reactor, io, address);
    if (error != 0) {
        return error;
    }
    union dw_live_sockaddr to;
    socklen_t len = dw_live_address_to(&to, address);
    return dw_live_of(reactor)->sys->bind(fd_of(io), &to.any, len) != 0 ? -errno : 0;
}

int dw_live_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    return dw_live_of(reactor)->sys->listen(fd_of(io), backlog) != 0 ? -errno : 0;
}

int dw_live_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    union dw_live_sockaddr to;
    socklen_t len = dw_live_address_to(&to, address);
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
DW_SELDOM static int accept_patiently(struct dw_live *live, int listener, dw_address *peer) {
    for (int i = 1; i < DW_EINTR_MAX; i++) {
        int fd = dw_live_accept_once(live, listener, peer);
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
DW_SELDOM static int accept_and_drop(struct dw_live *live, int listener) {
    dw_address peer;
    dw_live_reserve_drop(live);
    int fd = accept_patiently(live, listener, &peer);
    if (fd >= 0) {
        (void)live->sys->close(fd);
    }
    dw_live_reserve_take(live);
    return fd == -EAGAIN || fd == -EWOULDBLOCK ? -EAGAIN : -EMFILE;
}

DW_SELDOM int dw_live_accept_failed(struct dw_live *live, dw_io *listener, dw_io *conn,
                                    dw_address *peer) {
    int fd = errno == EINTR ? accept_patiently(live, fd_of(listener), peer) : -errno;
    int error = keep(live, conn, fd, listener->family);
    if (fd == -EMFILE || fd == -ENFILE) {
        return accept_and_drop(live, fd_of(listener));
    }
    return error;
}

int dw_live_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    struct dw_live *live = dw_live_of(reactor);
    if (live->reserve < 0) {
        dw_live_reserve_take(live); /* it was lost in an earlier shortage */
    }
    int error = reserve(live);
    if (error != 0) {
        return error;
    }
    int fd = dw_live_accept_once(live, fd_of(listener), peer);
    return fd >= 0 ? keep(live, conn, fd, listener->family)
                   : dw_live_accept_failed(live, listener, conn, peer);
}

/* ---- Streams ---- */

DW_SELDOM ssize_t dw_live_recv_failed(struct dw_live *live, dw_io *io) {
    ssize_t got = -1;
    for (int i = 1; i < DW_EINTR_MAX && got < 0 && errno == EINTR; i++) {
        got = live->sys->recv(fd_of(io), live->received, sizeof(live->received), 0);
    }
    if (got >= 0) {
        return got;
    }
    if (errno == EINTR) {
        return -EAGAIN; /* and may be readable still */
    }
    used_up(io, DW_READABLE);
    return -errno;
}

ssize_t dw_live_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    struct dw_live *live = dw_live_of(reactor);
    if (io->family == DW_ADDRESS_UNIX) {
        return dw_live_recv_unix(reactor, io, data);
    }
    if (io->kind == DW_IO_PIPE) {
        return dw_live_pipe_recv(live, io, data);
    }
    *data = live->received;
    ssize_t got = live->sys->recv(fd_of(io), live->received, sizeof(live->received), 0);
    if (got < 0) {
        return dw_live_recv_failed(live, io);
    }
    if ((size_t)got < sizeof(live->received) && (io->state & DW_LIVE_HUNG_UP) == 0) {
        used_up(io, DW_READABLE);
    }
    return got;
}

static ssize_t send_once(struct dw_live *live, int fd, const struct iovec *pieces, int count) {
    if (count == 1) {
        return live->sys->send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
    }
    /* More pieces than IOV_MAX are an error to the kernel; to core it is a short write. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)(count < IOV_MAX ? count : IOV_MAX)};
    return live->sys->sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* The first attempt has failed, with errno. */
DW_SELDOM static ssize_t send_failed(struct dw_live *live, dw_io *io, const struct iovec *pieces,
                                     int count) {
    ssize_t sent = -1;
    for (int i = 1; i < DW_EINTR_MAX && sent < 0 && errno == EINTR; i++) {
        sent = send_once(live, fd_of(io), pieces, count);
    }
    if (sent >= 0) {
        return sent;
    }
    if (errno == EINTR) {
        return -EAGAIN; /* and may be writable still */
    }
    used_up(io, DW_WRITABLE);
    return -errno;
}

DW_SELDOM static ssize_t send_otherwise(struct dw_live *live, dw_io *io, const struct iovec *pieces,
                                        int count) {
    if (io->kind == DW_IO_PIPE) {
        return dw_live_pipe_send(live, io, pieces, count);
    }
    ssize_t sent = send_once(live, fd_of(io), pieces, count);
    return sent >= 0 ? sent : send_failed(live, io, pieces, count);
}

ssize_t dw_live_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    struct dw_live *live = dw_live_of(reactor);
    if (count != 1 || io->kind == DW_IO_PIPE) {
        return send_otherwise(live, io, pieces, count);
    }
    ssize_t sent = live->sys->send(fd_of(io), pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
    return sent >= 0 ? sent : send_failed(live, io, pieces, 1);
}

int dw_live_handle(dw_reactor *reactor, const dw_io *io) {
    (void)reactor;
    return fd_of(io);
}

int dw_live_shutdown(dw_reactor *reactor, dw_io *io) {
    return dw_live_of(reactor)->sys->shutdown(fd_of(io), SHUT_WR) != 0 ? -errno : 0;
}

/* Lingering for no time is how one asks for a RST (socket(7), RFC 9293 section 3.10.5). */
DW_APART static void ask_for_reset(struct dw_live *live, const dw_io *io) {
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    if (io->family != DW_ADDRESS_UNIX && io->kind != DW_IO_PIPE && io->kind != DW_IO_WATCHED) {
        (void)live->sys->setsockopt(fd_of(io), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
}

void dw_live_close(dw_reactor *reactor, dw_io *io, bool reset) {
    struct dw_live *live = dw_live_of(reactor);
    int fd = fd_of(io);
    if (io->socket == DW_SOCKET_NONE) {
        return;
    }
    live->poller->forget(live, io);
    if (reset) {
        ask_for_reset(live, io);
    }
    io->socket = DW_SOCKET_NONE;
    if (io->kind != DW_IO_WATCHED) { /* that is the program's own */
        /* Never repeated: after EINTR the descriptor is gone all the same (close(2)). */
        (void)live->sys->close(fd);
    }
}
