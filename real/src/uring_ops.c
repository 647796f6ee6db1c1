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

enum { ABOUT_READ, ABOUT_WRITE, ABOUT_SEND, ABOUT_NOTHING, ABOUT_MASK = 3 };

/* A read of nobody's. */
#define ABOUT_WAKE 0u

/* How often answers that the kernel had no room for are fetched, and a cancel is waited for. */
#define FETCHES_MAX 64
#define CANCELS_MAX 4

static uint64_t named(const struct dw_uring_fd *fd, unsigned about) {
    return (uint64_t)(uintptr_t)fd | about;
}

/* ---- Asking ---- */

/* NULL: the kernel takes no more now. */
static struct io_uring_sqe *question(struct dw_uring *self) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    if (sqe == NULL) {
        (void)dw_uring_submit(self);
        sqe = io_uring_get_sqe(&self->ring);
    }
    return sqe;
}

/* What could not be asked is asked in the next turn. */
static void ask_recv(struct dw_uring *self, struct dw_uring_fd *fd) {
    struct io_uring_sqe *sqe = question(self);
    if (sqe == NULL) {
        dw_uring_list_changed(self, fd);
        return;
    }
    io_uring_prep_recv_multishot(sqe, fd->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, named(fd, ABOUT_READ));
    fd->read.state = DW_URING_ARMED;
    fd->read.receives = true;
}

static void ask_poll(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op) {
    struct io_uring_sqe *sqe = question(self);
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
    io_uring_sqe_set_data64(sqe, named(fd, reads ? ABOUT_READ : ABOUT_WRITE));
    op->state = DW_URING_ARMED;
    op->receives = false;
}

/* The question is answered by -ECANCELED soon, unless it was about to be answered anyway. */
static bool cancel(struct dw_uring *self, struct dw_uring_fd *fd, struct dw_uring_op *op) {
    struct io_uring_sqe *sqe = question(self);
    if (sqe == NULL) {
        dw_uring_list_changed(self, fd);
        return false;
    }
    io_uring_prep_cancel64(sqe, named(fd, op == &fd->read ? ABOUT_READ : ABOUT_WRITE), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ABOUT_NOTHING);
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
    struct io_uring_sqe *sqe = self->wake_armed ? NULL : question(self);
    if (sqe != NULL) {
        io_uring_prep_poll_add(sqe, self->live.wake_read, POLLIN);
        io_uring_sqe_set_data64(sqe, ABOUT_WAKE);
        self->wake_armed = true;
    }
}

bool dw_uring_queue_send(struct dw_uring *self, struct dw_uring_fd *fd) {
    struct io_uring_sqe *sqe = question(self);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_send(sqe, fd->fd, fd->sending, fd->sending_len,
                       MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, named(fd, ABOUT_SEND));
    fd->flags |= DW_URING_QUEUED;
    fd->next_queued = self->queued;
    self->queued = fd;
    return true;
}

/* ---- Answers ---- */

static void keep_received(struct dw_uring *self, struct dw_uring_fd *fd, uint16_t id, int len) {
    struct dw_uring_note *notes = self->pool.notes;
    if (len <= 0 || (fd->flags & DW_URING_OPEN) == 0) {
        dw_uring_pool_put(self, id);
        return;
    }
    notes[id].len = (uint32_t)len;
    notes[id].next = DW_URING_NO_BUFFER;
    if (fd->first == DW_URING_NO_BUFFER) {
        fd->first = id;
    } else {
        notes[fd->last].next = id;
    }
    fd->last = id;
    if ((size_t)len == DW_URING_BUFFER_SIZE) {
        fd->flags |= DW_URING_FLOOD;
        fd->small_reads = 0;
        dw_uring_list_changed(self, fd);
    }
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
        if (!dw_uring_pool_grow(self)) {
            fd->flags |= DW_URING_FLOOD;
            fd->small_reads = 0;
        }
        return;
    }
    fd->flags |= DW_URING_ENDED;
    fd->read_end = result;
}

static void recv_done(struct dw_uring *self, struct dw_uring_fd *fd,
                      const struct io_uring_cqe *cqe) {
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        keep_received(self, fd, (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), cqe->res);
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
        (struct dw_uring_fd *)(uintptr_t)(cqe->user_data & ~(uint64_t)ABOUT_MASK);
    unsigned about = (unsigned)(cqe->user_data & ABOUT_MASK);
    if (about == ABOUT_READ && fd != NULL && fd->read.receives) {
        recv_done(self, fd, cqe);
    } else if (about == ABOUT_NOTHING) {
        return;
    } else if (fd == NULL) {
        self->wake_armed = false;
        self->woken = true;
    } else if (about == ABOUT_SEND) {
        dw_uring_send_told(fd, cqe->res);
    } else if (about == ABOUT_WRITE) {
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
        fd->flags &= (uint16_t)~DW_URING_QUEUED;
        if (fd->send_told && fd->sending_len > 0 && (fd->flags & DW_URING_OPEN) != 0) {
            dw_uring_list_changed(self, fd);
        } else {
            dw_uring_send_over(self, fd);
        }
        fd->send_told = false;
        fd = next;
    }
}

static void read_answers(struct dw_uring *self) {
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&self->ring, head, cqe) {
        count++;
        answered(self, cqe);
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

int dw_uring_enable(struct dw_uring *self) {
    if (self->ring_enabled) {
        return 0;
    }
    int error = self->calls->enable(&self->ring);
    self->ring_enabled = error >= 0;
    return error < 0 ? error : 0;
}

int dw_uring_submit(struct dw_uring *self) {
    int error = dw_uring_enable(self);
    if (error == 0) {
        error = self->calls->submit(&self->ring);
        read_all_answers(self);
    }
    return error < 0 ? error : 0;
}

int dw_uring_enter(struct dw_uring *self, dw_time timeout) {
    int error = dw_uring_enable(self);
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
    if (!is_known(fd) || dw_uring_enable(self) != 0) {
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
