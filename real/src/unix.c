/* SPDX-License-Identifier: MIT */
/*
 * What UNIX sockets have that no others do: a file, and descriptors that travel with the bytes.
 *
 * Invariant: the descriptors that a reception brought are all in `incoming` and close-on-exec; core
 * takes each of them before it receives again.
 */
#include "live.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Room for all descriptors that the kernel lets travel at once, and for what a program may have
 * asked for by its handle (SO_PASSCRED, SO_TIMESTAMP, SO_PASSSEC). */
union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int) * DW_DESCRIPTORS_MAX) + 512];
};

/* ---- The file ---- */

int dw_live_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode) {
    return dw_live_of(reactor)->sys->chmod(address->path, (mode_t)mode) != 0 ? -errno : 0;
}

void dw_live_unlink(dw_reactor *reactor, const dw_address *address) {
    (void)dw_live_of(reactor)->sys->unlink(address->path); /* somebody may have been faster */
}

int dw_live_file_id(dw_reactor *reactor, const dw_address *address, uint64_t id[2]) {
    struct stat status;
    if (dw_live_of(reactor)->sys->lstat(address->path, &status) != 0) {
        return -errno;
    }
    id[0] = (uint64_t)status.st_dev;
    id[1] = (uint64_t)status.st_ino;
    return 0;
}

/* ---- Descriptors ---- */

int dw_live_keep_descriptor(dw_reactor *reactor, int fd) {
    int own = dw_live_of(reactor)->sys->duplicate(fd);
    return own >= 0 ? own : -errno;
}

void dw_live_drop_descriptor(dw_reactor *reactor, int fd) {
    (void)dw_live_of(reactor)->sys->close(fd);
}

int dw_live_take_descriptor(dw_reactor *reactor, dw_io *io) {
    struct dw_live *live = dw_live_of(reactor);
    (void)io;
    return live->incoming_next < live->incoming_count ? live->incoming[live->incoming_next++] : -1;
}

static void note_incoming(struct dw_live *live, struct msghdr *message) {
    live->incoming_next = live->incoming_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t size = c->cmsg_len - CMSG_LEN(0);
        size_t room = sizeof(live->incoming) - live->incoming_count * sizeof(int);
        size = size < room ? size : room; /* the kernel sends no more (SCM_MAX_FD) */
        memcpy(live->incoming + live->incoming_count, CMSG_DATA(c), size);
        live->incoming_count += size / sizeof(int);
    }
}

/* The process had no room for all descriptors that came; the kernel has dropped some, and nobody
 * can say which. A stream with a hole in it is broken. */
static ssize_t descriptors_missing(struct dw_live *live) {
    int fd;
    while ((fd = dw_live_take_descriptor(&live->base, NULL)) >= 0) {
        (void)live->sys->close(fd);
    }
    dw_reactor_log(&live->base, "descriptors that a peer sent were lost (MSG_CTRUNC)");
    return -EMFILE;
}

/* A reception ends behind bytes that descriptors came with, so a short one does not mean that there
 * is no more; EAGAIN does. */
ssize_t dw_live_recv_unix(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    struct dw_live *live = dw_live_of(reactor);
    struct iovec piece = {live->received, sizeof(live->received)};
    union control control;
    *data = live->received;
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        struct msghdr message = {.msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t got = live->sys->recvmsg((int)io->socket, &message, MSG_CMSG_CLOEXEC);
        if (got >= 0) {
            note_incoming(live, &message);
            return (message.msg_flags & MSG_CTRUNC) != 0 ? descriptors_missing(live) : got;
        }
        if (errno != EINTR) {
            io->state &= (uint8_t)~DW_READABLE;
            return -errno;
        }
    }
    return -EAGAIN;
}

ssize_t dw_live_send_descriptors(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                 int count, const int *fds, size_t fd_count) {
    struct dw_live *live = dw_live_of(reactor);
    size_t size = fd_count * sizeof(int);
    union control control;
    memset(&control, 0, sizeof(control));
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)count,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        ssize_t sent = live->sys->sendmsg((int)io->socket, &message, MSG_NOSIGNAL);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            io->state &= (uint8_t)~DW_WRITABLE;
            return -errno;
        }
    }
    return -EAGAIN;
}
