/* SPDX-License-Identifier: MIT */
/*
 * Bytes of TCP connections on the io_uring reactor: recv hands over what the kernel has put into
 * the pool, send prepares one that goes out, with everybody else's, when the turn is over. What
 * comes or goes in large pieces is read and sent by ordinary system calls, for it is the copying
 * that costs then, and so is what is sent by a connection that is not reading: only a reader can be
 * told afterwards that a send has failed.
 *
 * Invariant: while sending_len is not 0, the wire has bytes that the kernel has not taken, and send
 * takes no others. They lie in send_buffer.
 */
#include "uring.h"

#include <errno.h>
#include <string.h>

/* Copying this much is dearer than a system call. */
#define COPY_MAX 4096

/* ---- Receiving ---- */

/* The kernel has told of changes only: what it told holds until less came than was asked for. An
 * end behind the data is no change any more (epoll(7), "Questions and answers", 9). A flood is over
 * when the receptions have been small for a while. */
static ssize_t recv_flood(dw_reactor *reactor, dw_io *io, struct dw_uring_fd *fd,
                          const uint8_t **data) {
    ssize_t got = dw_live_recv(reactor, io, data);
    bool all = got < 0 || ((size_t)got < DW_RECV_MAX && (fd->flags & DW_URING_HUNG_UP) == 0);
    bool small = got > 0 && (size_t)got < DW_URING_BUFFER_SIZE;
    fd->small_reads = small ? (uint8_t)(fd->small_reads + 1) : 0;
    if (fd->small_reads >= DW_URING_TRICKLE) {
        fd->flags &= (uint16_t)~DW_URING_FLOOD;
        all = true; /* to the next question */
    }
    if (all) {
        fd->flags &= (uint16_t)~DW_URING_READABLE;
    }
    return got;
}

static ssize_t lend(struct dw_uring *self, struct dw_uring_fd *fd, const uint8_t **data) {
    uint16_t id = fd->first;
    fd->first = self->pool.notes[id].next;
    self->lent = id;
    *data = dw_uring_pool_at(self, id);
    return (ssize_t)self->pool.notes[id].len;
}

/* What was received comes before the end, and an end that the peer made before the failure of a
 * send that found this out (EPIPE): then the kernel had its FIN (vectors/README.md,
 * "loseConnection": the end of stream is read before the write fails). */
ssize_t dw_uring_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    struct dw_uring *self = dw_uring_of(reactor);
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if (!dw_uring_is_stream(io)) {
        return dw_live_recv(reactor, io, data);
    }
    if (fd->first != DW_URING_NO_BUFFER) {
        return self->lent == DW_URING_NO_BUFFER ? lend(self, fd, data) : -EAGAIN;
    }
    if ((fd->flags & DW_URING_ENDED) != 0 &&
        (fd->read_end < 0 || fd->error == 0 || fd->error == -EPIPE)) {
        return fd->read_end;
    }
    if (fd->error != 0) {
        return fd->error;
    }
    bool receives = fd->read.receives && fd->read.state != DW_URING_IDLE;
    if (receives || (fd->flags & DW_URING_FLOOD) == 0) {
        return -EAGAIN;
    }
    return recv_flood(reactor, io, fd, data);
}

/* ---- Sending ---- */

static bool is_lent(const struct dw_uring *self, const struct iovec *piece) {
    if (self->lent == DW_URING_NO_BUFFER || self->lent_is_sent) {
        return false;
    }
    uintptr_t at = (uintptr_t)piece->iov_base;
    uintptr_t begin = (uintptr_t)dw_uring_pool_at(self, self->lent);
    return at >= begin && at + piece->iov_len <= begin + self->pool.notes[self->lent].len;
}

static void put_send_buffer(struct dw_uring *self, struct dw_uring_fd *fd) {
    fd->sending_len = 0;
    if (fd->send_buffer == self->lent) {
        self->lent_is_sent = false; /* who lent it will put it back */
    } else if (fd->send_buffer != DW_URING_NO_BUFFER) {
        dw_uring_pool_put(self, fd->send_buffer);
    }
    fd->send_buffer = DW_URING_NO_BUFFER;
}

/* Whether a send may be prepared: a failure can be told, and nothing is on its way. */
static bool takes_sends(const struct dw_uring_fd *fd, const dw_io *io) {
    return (io->want & DW_READABLE) != 0 && fd->sending_len == 0 && fd->error == 0 &&
           dw_uring_is_stream(io);
}

/* The bytes of `piece` lie in send_buffer. */
static ssize_t prepare(struct dw_uring *self, struct dw_uring_fd *fd, const struct iovec *piece) {
    fd->sending = piece->iov_base;
    fd->sending_len = (uint32_t)piece->iov_len;
    if (!dw_uring_queue_send(self, fd)) {
        put_send_buffer(self, fd);
        return dw_live_send(&self->live.base, fd->io, piece, 1);
    }
    return (ssize_t)piece->iov_len;
}

static ssize_t send_copy(struct dw_uring *self, struct dw_uring_fd *fd, const struct iovec *pieces,
                         int count) {
    size_t total = 0;
    for (int i = 0; i < count && total <= COPY_MAX; i++) {
        total += pieces[i].iov_len;
    }
    uint16_t id = total > 0 && total <= COPY_MAX ? dw_uring_pool_take(self) : DW_URING_NO_BUFFER;
    if (id == DW_URING_NO_BUFFER) {
        return dw_live_send(&self->live.base, fd->io, pieces, count);
    }
    uint8_t *to = dw_uring_pool_at(self, id);
    struct iovec whole = {to, total};
    for (int i = 0; i < count; i++) {
        memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
    fd->send_buffer = id;
    return prepare(self, fd, &whole);
}

static ssize_t send_at_once(struct dw_uring *self, struct dw_uring_fd *fd, dw_io *io,
                            const struct iovec *pieces, int count) {
    if ((fd->flags & DW_URING_QUEUED) != 0 && (io->want & DW_READABLE) == 0) {
        (void)dw_uring_submit(self);
    }
    if (fd->error != 0) {
        return fd->error;
    }
    return fd->sending_len > 0 ? -EAGAIN : dw_live_send(&self->live.base, io, pieces, count);
}

ssize_t dw_uring_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    struct dw_uring *self = dw_uring_of(reactor);
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if (!takes_sends(fd, io)) {
        return send_at_once(self, fd, io, pieces, count);
    }
    if (count == 1 && is_lent(self, pieces)) {
        fd->send_buffer = self->lent;
        self->lent_is_sent = true;
        return prepare(self, fd, pieces);
    }
    return send_copy(self, fd, pieces, count);
}

int dw_uring_flushed(dw_reactor *reactor, dw_io *io) {
    struct dw_uring *self = dw_uring_of(reactor);
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if ((fd->flags & DW_URING_QUEUED) != 0) {
        (void)dw_uring_submit(self);
    }
    return fd->error != 0 || fd->sending_len == 0 ? fd->error : -EAGAIN;
}

/* Behind what was prepared. */
int dw_uring_shutdown(dw_reactor *reactor, dw_io *io) {
    (void)dw_uring_flushed(reactor, io);
    return dw_live_shutdown(reactor, io);
}

void dw_uring_send_told(struct dw_uring_fd *fd, int result) {
    fd->send_told = true;
    if (result > 0) {
        uint32_t sent = (uint32_t)result < fd->sending_len ? (uint32_t)result : fd->sending_len;
        fd->sending += sent;
        fd->sending_len -= sent;
    } else if (result < 0 && result != -EAGAIN && result != -EINTR) {
        fd->error = result;
        fd->sending_len = 0;
    }
}

void dw_uring_send_over(struct dw_uring *self, struct dw_uring_fd *fd) {
    put_send_buffer(self, fd);
    if ((fd->flags & DW_URING_OPEN) == 0) {
        dw_uring_recycle(self, fd);
        return;
    }
    dw_uring_tell(self, fd, DW_WRITABLE, DW_URING_WRITABLE);
    if (fd->error != 0) {
        dw_uring_tell(self, fd, DW_READABLE, 0);
    }
}

void dw_uring_send_rest(struct dw_uring *self, struct dw_uring_fd *fd) {
    struct iovec piece = {(void *)(uintptr_t)fd->sending, fd->sending_len};
    if (fd->io == NULL) {
        return;
    }
    ssize_t sent = dw_live_send(&self->live.base, fd->io, &piece, 1);
    dw_uring_send_told(fd, (int)sent);
    fd->send_told = false;
    if (fd->sending_len > 0) {
        dw_uring_list_changed(self, fd);
    } else {
        dw_uring_send_over(self, fd);
    }
}
