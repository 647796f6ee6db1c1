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
    bool small = got > 0 && got < DW_URING_FLOOD_LEAST;
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
    dw_uring_lend(self, fd);
    *data = self->lent.data;
    return (ssize_t)self->lent.len;
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
        return self->lent.len == 0 ? lend(self, fd, data) : -EAGAIN;
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
    size_t at = (size_t)((uintptr_t)piece->iov_base - (uintptr_t)self->lent.data);
    return at < self->lent.len && piece->iov_len <= self->lent.len - at && !self->lent.is_sent;
}

/* Whether a send may be prepared: a failure can be told, and nothing is on its way. */
static bool takes_sends(const struct dw_uring_fd *fd, const dw_io *io) {
    unsigned known = DW_URING_TCP | DW_URING_FAILED;
    return (io->want & DW_READABLE) != 0 && fd->sending_len == 0 &&
           (fd->flags & known) == DW_URING_TCP;
}

/* Prepares the send of `piece`, which lies in send_buffer. */
static inline void queue_send(struct dw_uring *self, struct dw_uring_fd *fd,
                              struct io_uring_sqe *sqe, const struct iovec *piece) {
    fd->sending = piece->iov_base;
    fd->sending_len = (uint32_t)piece->iov_len;
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_SEND,
                                 .flags = IOSQE_CQE_SKIP_SUCCESS,
                                 .fd = fd->fd,
                                 .addr = (uintptr_t)fd->sending,
                                 .len = fd->sending_len,
                                 .msg_flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL,
                                 .user_data = dw_uring_named(fd, DW_URING_ABOUT_SEND)};
    fd->flags |= DW_URING_QUEUED;
    fd->next_queued = self->queued;
    self->queued = fd;
}

/* The same, or at once when the kernel takes no more questions. */
static ssize_t prepare(struct dw_uring *self, struct dw_uring_fd *fd, const struct iovec *piece) {
    struct io_uring_sqe *sqe = dw_uring_question(self);
    if (sqe != NULL) {
        queue_send(self, fd, sqe, piece);
        return (ssize_t)piece->iov_len;
    }
    ssize_t sent = dw_live_send(&self->live.base, fd->io, piece, 1);
    dw_uring_put_send_buffer(self, fd);
    return sent;
}

static inline void use_lent(struct dw_uring *self, struct dw_uring_fd *fd) {
    fd->send_buffer = self->lent.id;
    self->lent.is_sent = true;
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
    uint8_t *to = self->pool.notes[id].data;
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

DW_APART static ssize_t send_otherwise(struct dw_uring *self, dw_io *io, const struct iovec *pieces,
                                       int count) {
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if (!takes_sends(fd, io)) {
        return send_at_once(self, fd, io, pieces, count);
    }
    if (count != 1 || !is_lent(self, pieces)) {
        return send_copy(self, fd, pieces, count);
    }
    use_lent(self, fd);
    return prepare(self, fd, pieces);
}

/* What is passed on as it came goes out of the buffer it came into. An echo comes this way, so
 * there is nothing on it that it does not need. */
ssize_t dw_uring_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    struct dw_uring *self = dw_uring_of(reactor);
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if (count != 1 || !is_lent(self, pieces) || !takes_sends(fd, io) || !dw_uring_has_room(self)) {
        return send_otherwise(self, io, pieces, count);
    }
    use_lent(self, fd);
    queue_send(self, fd, dw_uring_next_question(self), pieces);
    return (ssize_t)pieces->iov_len;
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
    fd->flags |= DW_URING_TOLD;
    if (result > 0) {
        uint32_t sent = (uint32_t)result < fd->sending_len ? (uint32_t)result : fd->sending_len;
        fd->sending += sent;
        fd->sending_len -= sent;
    } else if (result < 0 && result != -EAGAIN && result != -EINTR) {
        fd->error = result;
        fd->flags |= DW_URING_FAILED;
        fd->sending_len = 0;
    }
}

void dw_uring_send_over(struct dw_uring *self, struct dw_uring_fd *fd) {
    dw_uring_put_send_buffer(self, fd);
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
    fd->flags &= (uint16_t)~DW_URING_TOLD;
    if (fd->sending_len > 0) {
        dw_uring_list_changed(self, fd);
    } else {
        dw_uring_send_over(self, fd);
    }
}
