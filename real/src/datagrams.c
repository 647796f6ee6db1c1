/* SPDX-License-Identifier: MIT */
/*
 * Datagrams: one system call for each way. Nothing is kept between calls; what was received lies in
 * the reactor's one buffer until the next reception.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

ssize_t dw_live_recv_from(dw_reactor *reactor, dw_io *io, size_t max, const uint8_t **data,
                          dw_address *from) {
    struct dw_live *live = dw_live_of(reactor);
    union dw_live_sockaddr sender;
    struct iovec piece = {live->received,
                          max < sizeof(live->received) ? max : sizeof(live->received)};
    *data = live->received;
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        /* No room for descriptors: the kernel closes what comes with a datagram (unix(7)). */
        struct msghdr message = {
            .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &piece, .msg_iovlen = 1};
        memset(&sender, 0, sizeof(sender));
        ssize_t got = live->sys->recvmsg((int)io->socket, &message, 0);
        if (got >= 0) {
            dw_live_address_from(from, &sender.any, message.msg_namelen);
            from->kind = io->family; /* a UNIX sender without a name has no family either */
            return got;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

ssize_t dw_live_send_to(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count,
                        const dw_address *to) {
    struct dw_live *live = dw_live_of(reactor);
    union dw_live_sockaddr receiver;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)count};
    if (to != NULL) {
        message.msg_name = &receiver;
        message.msg_namelen = dw_live_address_to(&receiver, to);
    }
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        ssize_t sent = live->sys->sendmsg((int)io->socket, &message, MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR) {
            return sent >= 0 ? sent : -errno;
        }
    }
    return -EAGAIN;
}
