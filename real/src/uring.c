/* SPDX-License-Identifier: MIT */
/*
 * The io_uring reactor: Twisted's IOCP reactor for Linux. TCP connections are received for by one
 * standing question each, into buffers that the kernel picks, and what they send goes to the kernel
 * with the wait: one system call a turn for all of them. Everything else waits for readiness, asked
 * for anew each time, as with poll(2).
 *
 * Invariant: each descriptor that is open has a struct dw_uring_fd, fds[io->slot]. It is in at most
 * one place of each list, and given back when it is closed, in no list and unknown to the kernel.
 *
 * The kernel must be Linux 6.1 or later: that has IORING_SETUP_DEFER_TASKRUN, which lets nothing
 * happen but inside our wait.
 */
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define FDS_ROOM_FIRST 64
#define FDS_ROOM_MAX   (UINT32_MAX / 4)

/* ---- Lists ---- */

void dw_uring_list_changed(struct dw_uring *self, struct dw_uring_fd *fd) {
    if ((fd->flags & DW_URING_CHANGED) != 0) {
        return;
    }
    fd->flags |= DW_URING_CHANGED;
    fd->next_changed = NULL;
    if (self->changed.tail != NULL) {
        self->changed.tail->next_changed = fd;
    } else {
        self->changed.head = fd;
    }
    self->changed.tail = fd;
}

/* ---- Descriptors ---- */

void dw_uring_recycle(struct dw_uring *self, struct dw_uring_fd *fd) {
    if (fd->flags == 0 && fd->read.state == DW_URING_IDLE && fd->write.state == DW_URING_IDLE) {
        fd->next_queued = self->unused;
        self->unused = fd;
    }
}

static int fds_grow(struct dw_uring *self) {
    if (self->fd_count < self->fd_room) {
        return 0;
    }
    uint32_t room = self->fd_room == 0 ? FDS_ROOM_FIRST : self->fd_room * 2;
    struct dw_uring_fd **fds = self->fd_room > FDS_ROOM_MAX
                                   ? NULL
                                   : dw_resize(&self->live.base, self->fds, room * sizeof(*fds));
    if (fds == NULL) {
        return -ENOMEM;
    }
    self->fds = fds;
    self->fd_room = room;
    return 0;
}

static struct dw_uring_fd *fd_new(struct dw_uring *self) {
    struct dw_uring_fd *fd = self->unused;
    if (fd != NULL) {
        self->unused = fd->next_queued;
        uint32_t index = fd->index;
        memset(fd, 0, sizeof(*fd));
        fd->index = index;
        return fd;
    }
    fd = fds_grow(self) == 0 ? dw_new(&self->live.base, struct dw_uring_fd) : NULL;
    if (fd != NULL) {
        fd->index = self->fd_count;
        self->fds[self->fd_count++] = fd;
    }
    return fd;
}

static bool is_tcp(const dw_io *io) {
    bool connection = io->kind == DW_IO_STREAM || io->kind == DW_IO_CONNECTING;
    return connection && io->family != DW_ADDRESS_UNIX;
}

static int uring_opened(struct dw_live *live, dw_io *io) {
    struct dw_uring *self = (struct dw_uring *)live;
    struct dw_uring_fd *fd = fd_new(self);
    if (fd == NULL) {
        return -ENOMEM;
    }
    fd->fd = (int)io->socket;
    fd->flags = DW_URING_OPEN | (is_tcp(io) ? DW_URING_TCP : 0);
    fd->first = fd->last = fd->send_buffer = DW_URING_NO_BUFFER;
    io->slot = fd->index;
    return 0;
}

/* Returns whether bytes were received that nobody has read. */
static bool release(struct dw_uring *self, dw_io *io) {
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    dw_uring_forget(self, fd);
    bool unread = fd->first != DW_URING_NO_BUFFER;
    while (fd->first != DW_URING_NO_BUFFER) {
        uint16_t id = fd->first;
        fd->first = self->pool.notes[id].next;
        dw_uring_pool_put(self, id);
    }
    fd->io = NULL;
    fd->flags &= DW_URING_LISTED | DW_URING_CHANGED | DW_URING_QUEUED;
    io->slot = 0;
    if ((fd->flags & DW_URING_QUEUED) == 0) {
        dw_uring_send_over(self, fd); /* which recycles */
    }
    return unread;
}

static void uring_forget(struct dw_live *live, dw_io *io) {
    if (io->slot != 0) {
        (void)release((struct dw_uring *)live, io);
    }
}

/* The kernel answers a close with unread input by a reset (RFC 9293, section 3.10.4; RFC 2525,
 * section 2.17); what we have taken in and not handed over is unread too. */
static void uring_close(dw_reactor *reactor, dw_io *io, bool reset) {
    bool unread = io->slot != 0 && release(dw_uring_of(reactor), io);
    dw_live_close(reactor, io, reset || unread);
}

static void uring_watch(dw_reactor *reactor, dw_io *io) {
    struct dw_uring *self = dw_uring_of(reactor);
    struct dw_uring_fd *fd = dw_uring_fd_of(self, io);
    if (fd != NULL) {
        fd->io = io;
        dw_uring_list_changed(self, fd);
    }
}

/* ---- The wait ---- */

/* Asks for what is wanted now. Returns whether the answer needs no waiting. */
static bool ask_changed(struct dw_uring *self) {
    bool soon = false;
    struct dw_uring_fd *fd = self->changed.head;
    self->changed = (struct dw_uring_list){NULL, NULL};
    while (fd != NULL) {
        struct dw_uring_fd *next = fd->next_changed;
        fd->flags &= (uint16_t)~DW_URING_CHANGED;
        if ((fd->flags & DW_URING_OPEN) == 0) {
            dw_uring_recycle(self, fd);
        } else if (fd->io != NULL) {
            soon |= dw_uring_ask(self, fd);
        }
        fd = next;
    }
    dw_uring_ask_wake(self);
    return soon || self->ready.head != NULL;
}

/* Whether nothing is known of it but what it may have received, which is all that is wanted. */
static bool is_plain(const struct dw_uring_fd *fd) {
    unsigned news = DW_URING_ENDED | DW_URING_FLOOD | DW_URING_READABLE | DW_URING_WRITABLE;
    return (fd->flags & news) == 0 && fd->error == 0 && fd->io != NULL &&
           fd->io->want == DW_READABLE;
}

/* Whether there is nothing to do until the kernel tells something. */
static bool goes_on(const struct dw_uring_fd *fd) {
    if (fd->read.state != DW_URING_ARMED) {
        return false;
    }
    if (fd->read.receives) {
        return is_plain(fd) && fd->first == DW_URING_NO_BUFFER;
    }
    return (fd->flags & DW_URING_FLOOD) != 0 && fd->io != NULL && fd->io->want == DW_READABLE &&
           !dw_uring_has_news(fd);
}

static inline void put_lent(struct dw_uring *self) {
    if (!self->lent.is_sent) {
        dw_uring_pool_put(self, self->lent.id);
    }
    self->lent.len = 0;
    self->lent.id = DW_URING_NO_BUFFER;
}

static unsigned ready_of(const struct dw_uring_fd *fd) {
    unsigned ready = fd->error != 0 ? DW_READABLE | DW_WRITABLE : 0;
    if ((fd->flags & DW_URING_READABLE) != 0 || dw_uring_has_news(fd)) {
        ready |= DW_READABLE;
    }
    if ((fd->flags & DW_URING_WRITABLE) != 0) {
        ready |= DW_WRITABLE;
    }
    return ready & fd->io->want;
}

/* The most usual by far: bytes were received for one that wants to read, and nothing else is known.
 */
static inline bool is_plainly_received(const struct dw_uring_fd *fd) {
    unsigned known = DW_URING_OPEN | DW_URING_ENDED | DW_URING_FAILED | DW_URING_FLOOD |
                     DW_URING_READABLE | DW_URING_WRITABLE;
    return (fd->flags & known) == DW_URING_OPEN && fd->first != DW_URING_NO_BUFFER &&
           fd->io->want == DW_READABLE;
}

/* As deliver. */
static inline void deliver_received(struct dw_uring *self, struct dw_uring_fd *fd) {
    dw_uring_lend(self, fd);
    dw_io_received(&self->live.base, fd->io, self->lent.data, self->lent.len);
    put_lent(self);
    bool more = fd->first != DW_URING_NO_BUFFER || fd->read.state != DW_URING_ARMED;
    if (more && (fd->flags & DW_URING_OPEN) != 0) {
        dw_uring_list_changed(self, fd);
    }
}

/* In its callbacks fd may be closed, and even become another connection's: both are fine to what
 * follows. */
DW_SELDOM static void deliver(struct dw_uring *self, struct dw_uring_fd *fd) {
    unsigned ready = is_plain(fd) && fd->first != DW_URING_NO_BUFFER ? DW_READABLE : ready_of(fd);
    unsigned used = (fd->flags & DW_URING_FLOOD) != 0 ? 0 : DW_URING_READABLE;
    fd->flags &= (uint16_t) ~(used | DW_URING_WRITABLE);
    if (ready != 0) {
        dw_io_ready(&self->live.base, fd->io, ready);
        if (self->lent.len > 0) {
            put_lent(self);
        }
    }
    if ((fd->flags & DW_URING_OPEN) != 0 && !goes_on(fd)) {
        dw_uring_list_changed(self, fd);
    }
}

/* Those that are ready now; who becomes so meanwhile has its turn later. */
static void dispatch(struct dw_uring *self) {
    struct dw_uring_fd *fd = self->ready.head;
    self->ready = (struct dw_uring_list){NULL, NULL};
    while (fd != NULL) {
        struct dw_uring_fd *next = fd->next_ready;
        fd->flags &= (uint16_t)~DW_URING_LISTED;
        if (is_plainly_received(fd)) {
            deliver_received(self, fd);
        } else if ((fd->flags & DW_URING_OPEN) == 0) {
            dw_uring_recycle(self, fd);
        } else if (fd->io != NULL) {
            deliver(self, fd);
        }
        fd = next;
    }
    if (self->woken) {
        self->woken = false;
        dw_live_woken(&self->live);
    }
}

/* What was written goes out with the next wait, if there is one. */
static int hand_over(struct dw_uring *self) {
    return self->queued != NULL && !self->running ? dw_uring_submit(self) : 0;
}

static int uring_wait(dw_reactor *reactor, dw_time timeout) {
    struct dw_uring *self = dw_uring_of(reactor);
    if (ask_changed(self)) {
        timeout = 0;
    }
    int error = dw_uring_enter(self, timeout);
    switch (error) {
    case -EINTR:
        self->woken = true; /* a signal, perhaps one of ours */
        break;
    case -ETIME:
    case -EAGAIN: /* no memory for all of it just now */
    case -EBUSY:  /* answers were in the way; they have been read */
        break;
    default:
        if (error < 0) {
            return error;
        }
    }
    dispatch(self);
    return hand_over(self);
}

static int uring_run_begin(dw_reactor *reactor) {
    int error = dw_live_run_begin(reactor);
    dw_uring_of(reactor)->running = error == 0;
    return error;
}

static void uring_run_end(dw_reactor *reactor) {
    struct dw_uring *self = dw_uring_of(reactor);
    self->running = false;
    (void)hand_over(self);
    dw_live_run_end(reactor);
}

/* The ring is readable when there are answers (io_uring(7)). */
static int uring_descriptor(dw_reactor *reactor, bool *more) {
    struct dw_uring *self = dw_uring_of(reactor);
    bool soon = ask_changed(self);
    int error = dw_uring_submit(self);
    *more = soon || self->ready.head != NULL || self->changed.head != NULL || self->woken;
    return error < 0 ? error : self->ring.ring_fd;
}

/* ---- Life ---- */

static void uring_fini(struct dw_live *live) {
    struct dw_uring *self = (struct dw_uring *)live;
    if (self->ring_made) {
        io_uring_queue_exit(&self->ring);
    }
    dw_uring_pool_fini(self);
    for (uint32_t i = 1; i < self->fd_count; i++) {
        dw_free(&live->base, self->fds[i]);
    }
    dw_free(&live->base, self->fds);
}

static const struct dw_poller poller = {
    .opened = uring_opened,
    .forget = uring_forget,
    .fini = uring_fini,
};

static const dw_wire uring_wire = {
    .name = "uring",
    .now = dw_live_now,
    .wall_clock = dw_live_wall_clock,
    .random = dw_live_random,
    .choose = dw_live_choose,
    .run_begin = uring_run_begin,
    .run_end = uring_run_end,
    .wake_from_thread = dw_live_wake_from_thread,
    .destroy = dw_live_destroy,
    DW_LIVE_NAME_SLOTS,
    DW_LIVE_SOCKET_SLOTS,
    DW_LIVE_PROCESS_SLOTS,
    .accept = dw_live_accept,
    .recv = dw_uring_recv,
    .send = dw_uring_send,
    .shutdown = dw_uring_shutdown,
    .close = uring_close,
    .flushed = dw_uring_flushed,
    .watch = uring_watch,
    .descriptor = uring_descriptor,
    .wait = uring_wait,
};

/* The ring starts out disabled, so that the thread that first waits, and not the one that made the
 * reactor, becomes its own. A kernel that is too old says EINVAL. */
static int ring_init(struct dw_uring *self) {
    struct io_uring_params params;
    memset(&params, 0, sizeof(params));
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED |
                   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    params.cq_entries = DW_URING_CQ_ENTRIES;
    int error = self->calls->setup(DW_URING_SQ_ENTRIES, &self->ring, &params);
    if (error == 0) {
        self->ring_made = true;
        error = dw_uring_pool_init(self);
    }
    return error == -EINVAL ? -ENOSYS : error;
}

static int uring_init(struct dw_uring *self) {
    self->lent.id = DW_URING_NO_BUFFER;
    self->fd_count = 1; /* slot 0 is nobody's */
    self->fds = dw_alloc_zeroed(&self->live.base, FDS_ROOM_FIRST * sizeof(struct dw_uring_fd *));
    self->fd_room = FDS_ROOM_FIRST;
    return self->fds != NULL ? ring_init(self) : -ENOMEM;
}

dw_reactor *dw_uring_new_on(const dw_poll_options *options, const struct dw_syscalls *sys,
                            const struct dw_uring_calls *calls) {
    struct dw_live *live = dw_live_new(sizeof(struct dw_uring), options, sys, &uring_wire, &poller);
    if (live == NULL) {
        return NULL;
    }
    struct dw_uring *self = (struct dw_uring *)live;
    self->calls = calls;
    int error = uring_init(self);
    if (error != 0) {
        dw_reactor_free(&live->base);
        errno = -error;
        return NULL;
    }
    return &live->base;
}

/* ---- liburing ---- */

/* By number, for liburing 2.3 forgot to export io_uring_enable_rings. */
static int enable(struct io_uring *ring) {
    return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int register_buffers(struct io_uring *ring, struct io_uring_buf_reg *reg) {
    return io_uring_register_buf_ring(ring, reg, 0);
}

static int submit_and_wait(struct io_uring *ring, struct __kernel_timespec *timeout) {
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(ring, &first, 1, timeout, NULL);
}

static void *map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

const struct dw_uring_calls dw_uring_calls_liburing = {
    .setup = io_uring_queue_init_params,
    .enable = enable,
    .register_buffers = register_buffers,
    .submit = io_uring_submit,
    .submit_and_get_events = io_uring_submit_and_get_events,
    .submit_and_wait = submit_and_wait,
    .map = map,
};

dw_reactor *dw_uring_new(const dw_poll_options *options, const struct dw_syscalls *sys) {
    return dw_uring_new_on(options, sys, &dw_uring_calls_liburing);
}

dw_reactor *dw_uring_reactor_new(const dw_poll_options *options) {
    return dw_uring_new(options, &dw_syscalls_libc);
}
