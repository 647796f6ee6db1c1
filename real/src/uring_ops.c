/* SPDX-License-Identifier: MIT */
/*
 * Questions to the kernel and its answers. A question names its struct dw_uring_fd, and what about
 * it in the two lowest bits. Reading answers runs no callbacks and asks nothing: it only leaves
 * marks, so it may happen inside any slot.
 *
 * Invariant: a send neither waits nor is answered when it goes out whole (MSG_DONTWAIT,
 * MSG_WAITALL, IOSQE_CQE_SKIP_SUCCESS). The kernel carries it out while it takes it, so when it has
 * taken all and said nothing, all is sent, and a wait for one answer waits for something else. No
 * bytes of ours are referred to across a wait.
 */
#include "uring.h"

#include <errno.h>
#include <string.h>

/* A read of nobody's. */
#define DW_URING_ABOUT_WAKE 0u

/* How often answers that the kernel had no room for are fetched, and a cancel is waited for. */
#define FETCHES_MAX 64
#define CANCELS_MAX 4

/* ---- Asking ---- */

DW_SELDOM struct io_uring_sqe *dw_uring_make_room(struct dw_uring *self) {
    (void)dw_uring_submit(self);
    return dw_uring_has_room(self) ? dw_uring_next_question(self) : NULL;
}

/* What could not be asked is asked in the next turn. */
static void ask_recv(struct dw_uring *self, struct dw_uring_fd *fd) {
    struct io_uring_sqe *sqe = dw_uring_question(self);
    if (sqe == NULL) {
        dw_uring_list_changed(self, fd);
        return;
    }
    io_uring_prep_recv_multishot(sqe, fd->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, dw_uring_named(fd, DW_URING_ABOUT_READ));
    fd->read.state = DW_URING_ARMED;
    fd->read.receives = true;
}

static void ask_poll(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op) {
    struct io_uring_sqe *sqe = dw_uring_question(self);
    if (sqe == NULL) {
        dw_uring_list_changed(self, fd);
        return;
    }
    bool reads = op == &fd->read;
    if (op->edge || (reads && dw_uring_is_stream(fd->io))) {
        io_uring_prep_poll_multishot(sqe, fd->fd, reads ? POLLIN : POLLOUT);
    } else {
        io_uring_prep_poll_add(sqe, fd->fd, reads ? POLLIN : POLLOUT);
    }
    io_uring_sqe_set_data64(sqe,
                            dw_uring_named(fd, reads ? DW_URING_ABOUT_READ : DW_URING_ABOUT_WRITE));
    op->state = DW_URING_ARMED;
    op->receives = false;
}

/* The question is answered by -ECANCELED soon, unless it was about to be answered anyway. */
static bool cancel(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op) {
    struct io_uring_sqe *sqe = dw_uring_question(self);
    if (sqe == NULL) {
        dw_uring_list_changed(self, fd);
        return false;
    }
    io_uring_prep_cancel64(
        sqe, dw_uring_named(fd, op == &fd->read ? DW_URING_ABOUT_READ : DW_URING_ABOUT_WRITE), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, DW_URING_ABOUT_NOTHING);
    op->state = DW_URING_ENDING;
    return true;
}

/* Who does not read must not be received for: that is how the peer feels the pressure. */
static void ask_read(struct dw_uring *self, struct dw_uring_fd *fd) {
    bool wants = (fd->io->want & DW_READABLE) != 0;
    bool stream = dw_uring_is_stream(fd->io);
    bool receives = stream && (fd->flags & DW_URING_FLOOD) == 0;
    bool in_vain = stream && (!wants || receives != fd->read.receives);
    if (fd->read.state == DW_URING_ARMED && (fd->read.spent || in_vain)) {
        cancel(self, fd, &fd->read);
    }
    if (!wants) {
        return;
    }
    if (dw_uring_has_news(fd)) {
        dw_uring_list_ready(self, fd);
    } else if (fd->read.state == DW_URING_IDLE && receives) {
        ask_recv(self, fd);
    } else if (fd->read.state == DW_URING_IDLE) {
        ask_poll(self, fd, &fd->read);
    }
}

/* Returns whether the answer needs no waiting: a send is prepared, and will be over then. */
static bool ask_write(struct dw_uring *self, struct dw_uring_fd *fd) {
    bool wants = (fd->io->want & DW_WRITABLE) != 0;
    bool queued = (fd->flags & DW_URING_QUEUED) != 0;
    if (fd->write.state == DW_URING_ARMED && fd->write.spent) {
        cancel(self, fd, &fd->write);
    }
    if (queued || (!wants && fd->sending_len == 0)) {
        return queued && wants;
    }
    if (fd->error != 0) {
        dw_uring_list_ready(self, fd);
    } else if (fd->write.state == DW_URING_IDLE) {
        ask_poll(self, fd, &fd->write);
    }
    return false;
}

bool dw_uring_ask(struct dw_uring *self, struct dw_uring_fd *fd) {
    ask_read(self, fd);
    return ask_write(self, fd);
}

void dw_uring_ask_wake(struct dw_uring *self) {
    struct io_uring_sqe *sqe = self->wake_armed ? NULL : dw_uring_question(self);
    if (sqe != NULL) {
        io_uring_prep_poll_add(sqe, self->live.wake_read, POLLIN);
        io_uring_sqe_set_data64(sqe, DW_URING_ABOUT_WAKE);
        self->wake_armed = true;
    }
}

/* ---- Answers ---- */

/* From now on it is read when it is readable. */
DW_SELDOM static void begin_flood(struct dw_uring *self, struct dw_uring_fd *fd) {
    fd->flags |= DW_URING_FLOOD;
    fd->small_reads = 0;
    dw_uring_list_changed(self, fd);
}

/* Bytes have come into a buffer. */
static inline void received(struct dw_uring *self, struct dw_uring_fd *fd,
                            const struct io_uring_cqe *cqe) {
    struct dw_uring_note *notes = self->pool.notes;
    uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (cqe->res <= 0 || (fd->flags & DW_URING_OPEN) == 0) {
        dw_uring_pool_put(self, id);
        return;
    }
    notes[id].len = (uint32_t)cqe->res;
    notes[id].next = DW_URING_NO_BUFFER;
    if (fd->first == DW_URING_NO_BUFFER) {
        fd->first = id;
    } else {
        notes[fd->last].next = id;
    }
    fd->last = id;
    if (cqe->res >= DW_URING_FLOOD_LEAST) {
        begin_flood(self, fd);
    }
    dw_uring_list_ready(self, fd);
}

/* The kernel has stopped receiving: an end, an error, or a reason of its own to be asked anew. */
static void recv_stopped(struct dw_uring *self, struct dw_uring_fd *fd, int result) {
    fd->read.state = DW_URING_IDLE;
    dw_uring_list_changed(self, fd);
    if ((fd->flags & DW_URING_OPEN) == 0 || result > 0) {
        return;
    }
    if (result == -ECANCELED || result == -EAGAIN || result == -EINTR) {
        return;
    }
    if (result == -ENOBUFS) {
        dw_uring_pool_grow(self);
        begin_flood(self, fd);
        fd->flags |= DW_URING_READABLE;
        return;
    }
    fd->flags |= DW_URING_ENDED;
    fd->read_end = result;
}

static void recv_done(struct dw_uring *self, struct dw_uring_fd *fd,
                      const struct io_uring_cqe *cqe) {
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        received(self, fd, cqe);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        recv_stopped(self, fd, cqe->res);
    }
    if (dw_uring_has_news(fd)) {
        dw_uring_tell(self, fd, DW_READABLE, 0);
    }
}

/* A stream that is read when it is readable: one poll tells of all changes. */
static void flood_comes(struct dw_uring *self, struct dw_uring_fd *fd, int events) {
    if ((fd->flags & DW_URING_FLOOD) == 0) {
        return; /* over meanwhile */
    }
    fd->flags |= DW_URING_READABLE;
    if (events < 0 || (events & (POLLRDHUP | POLLERR | POLLHUP)) != 0) {
        fd->flags |= DW_URING_HUNG_UP;
    }
    dw_uring_tell(self, fd, DW_READABLE, 0);
}

static void poll_tells(struct dw_uring *self, struct dw_uring_fd *fd, bool reads) {
    if (reads) {
        dw_uring_tell(self, fd, DW_READABLE, DW_URING_READABLE);
    } else if (fd->sending_len == 0) {
        dw_uring_tell(self, fd, DW_WRITABLE, DW_URING_WRITABLE);
    } else if ((fd->flags & DW_URING_QUEUED) == 0) { /* else it is over in a moment */
        dw_uring_send_rest(self, fd);
    }
}

/* The kernel also ends a poll when the peer has ended its direction (POLLRDHUP), whatever was asked
 * for: a poll for writing would answer at once, for ever. From then on it is asked for changes, the
 * first of which is what is so at the time. */
static void poll_done(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op,
                      const struct io_uring_cqe *cqe) {
    bool reads = op == &fd->read;
    int useful = (reads ? POLLIN : POLLOUT) | POLLERR | POLLHUP | POLLNVAL;
    bool over = (cqe->flags & IORING_CQE_F_MORE) == 0;
    if (over) {
        op->state = DW_URING_IDLE;
        op->spent = false;
        dw_uring_list_changed(self, fd);
    }
    if (cqe->res == -ECANCELED || (fd->flags & DW_URING_OPEN) == 0) {
        return;
    }
    if (reads && fd->io != NULL && dw_uring_is_stream(fd->io)) {
        flood_comes(self, fd, cqe->res);
    } else if (cqe->res >= 0 && (cqe->res & useful) == 0) {
        op->edge = true;
    } else {
        if (!over) {
            op->spent = true;
            dw_uring_list_changed(self, fd);
        }
        poll_tells(self, fd, reads);
    }
}

static void answered(struct dw_uring *self, const struct io_uring_cqe *cqe) {
    struct dw_uring_fd *fd =
        (struct dw_uring_fd *)(uintptr_t)(cqe->user_data & ~(uint64_t)DW_URING_ABOUT_MASK);
    unsigned about = (unsigned)(cqe->user_data & DW_URING_ABOUT_MASK);
    if (about == DW_URING_ABOUT_READ && fd != NULL && fd->read.receives) {
        recv_done(self, fd, cqe);
    } else if (about == DW_URING_ABOUT_NOTHING) {
        return;
    } else if (fd == NULL) {
        self->wake_armed = false;
        self->woken = true;
    } else if (about == DW_URING_ABOUT_SEND) {
        dw_uring_send_told(fd, cqe->res);
    } else if (about == DW_URING_ABOUT_WRITE) {
        poll_done(self, fd, &fd->write, cqe);
    } else {
        poll_done(self, fd, &fd->read, cqe);
    }
}

/* All that was prepared has been taken, and what there was to say about it was read. */
static void sends_over(struct dw_uring *self) {
    struct dw_uring_fd *fd = self->queued;
    self->queued = NULL;
    while (fd != NULL) {
        struct dw_uring_fd *next = fd->next_queued;
        unsigned told = fd->flags & DW_URING_TOLD;
        fd->flags &= (uint16_t) ~(DW_URING_QUEUED | DW_URING_TOLD);
        if (told == 0 && (fd->flags & DW_URING_OPEN) != 0 && (fd->io->want & DW_WRITABLE) == 0) {
            dw_uring_put_send_buffer(self, fd); /* which is all there is to send_over */
        } else if (told != 0 && fd->sending_len > 0 && (fd->flags & DW_URING_OPEN) != 0) {
            dw_uring_list_changed(self, fd);
        } else {
            dw_uring_send_over(self, fd);
        }
        fd = next;
    }
}

/* Most answers by far are bytes for a question that stands. */
static void read_answers(struct dw_uring *self) {
    const unsigned usual = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
    const struct io_uring_cqe *answers = self->ring.cq.cqes;
    unsigned first = *self->ring.cq.khead, mask = self->ring.cq.ring_mask;
    unsigned count = io_uring_cq_ready(&self->ring);
    for (unsigned i = 0; i < count; i++) {
        const struct io_uring_cqe *cqe = &answers[(first + i) & mask];
        if ((cqe->flags & usual) == usual) {
            received(self, (struct dw_uring_fd *)(uintptr_t)(cqe->user_data ^ DW_URING_ABOUT_READ),
                     cqe);
        } else {
            answered(self, cqe);
        }
    }
    io_uring_cq_advance(&self->ring, count);
}

/* Answers that found no room in the ring wait in the kernel (io_uring_setup(2),
 * IORING_FEAT_NODROP). */
static void read_all_answers(struct dw_uring *self) {
    read_answers(self);
    for (int i = 0; i < FETCHES_MAX && io_uring_cq_has_overflow(&self->ring); i++) {
        if (self->calls->submit_and_get_events(&self->ring) < 0) {
            break;
        }
        read_answers(self);
    }
    if (self->queued != NULL && io_uring_sq_ready(&self->ring) == 0 &&
        !io_uring_cq_has_overflow(&self->ring)) {
        sends_over(self);
    }
}

/* ---- Handing over ---- */

/* The first call makes the calling thread the ring's. 0 or -errno. */
static int enable(struct dw_uring *self) {
    if (self->ring_enabled) {
        return 0;
    }
    int error = self->calls->enable(&self->ring);
    self->ring_enabled = error >= 0;
    return error < 0 ? error : 0;
}

int dw_uring_submit(struct dw_uring *self) {
    int error = enable(self);
    if (error == 0) {
        error = self->calls->submit(&self->ring);
        read_all_answers(self);
    }
    return error < 0 ? error : 0;
}

int dw_uring_enter(struct dw_uring *self, dw_time timeout) {
    int error = enable(self);
    if (error != 0) {
        return error;
    }
    self->pool_grew = false;
    if (timeout == 0 || io_uring_cq_ready(&self->ring) > 0) {
        error = self->calls->submit_and_get_events(&self->ring);
    } else {
        struct __kernel_timespec limit;
        limit.tv_sec = (long long)(timeout / DW_SEC(1));
        limit.tv_nsec = (long long)(timeout % DW_SEC(1));
        error = self->calls->submit_and_wait(&self->ring, timeout < 0 ? NULL : &limit);
    }
    read_all_answers(self);
    return error < 0 ? error : 0;
}

/* ---- Forgetting ---- */

static void end_op(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op) {
    if (op->state == DW_URING_ARMED && !cancel(self, fd, op)) {
        /* What the kernel still waits for comes true now. */
        (void)self->live.sys->shutdown(fd->fd, SHUT_RDWR);
    }
}

static bool is_known(const struct dw_uring_fd *fd) {
    return (fd->flags & DW_URING_QUEUED) != 0 || fd->read.state != DW_URING_IDLE ||
           fd->write.state != DW_URING_IDLE;
}

void dw_uring_forget(struct dw_uring *self, struct dw_uring_fd *fd) {
    if (!is_known(fd) || enable(self) != 0) {
        return;
    }
    end_op(self, fd, &fd->read);
    end_op(self, fd, &fd->write);
    for (int i = 0; i < CANCELS_MAX && is_known(fd); i++) {
        int error = self->calls->submit_and_get_events(&self->ring);
        read_all_answers(self);
        if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY) {
            break; /* another thread's ring: it ends the questions when it ends */
        }
    }
}
