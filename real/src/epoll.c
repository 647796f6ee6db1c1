/* SPDX-License-Identifier: MIT */
/*
 * The epoll(7) reactor. A descriptor is registered when it is opened and never touched again but
 * for two things: a stream asks for writability the first time it has to wait for it, and what is
 * no TCP stream is level-triggered and asks for what it wants.
 *
 * A TCP stream is edge-triggered: what the kernel reported stays known in io->state until a short
 * transfer or EAGAIN uses it up (sockets.c), so wanting is a flag and pausing costs no system call.
 * Readiness that is known, wanted and not used up in its turn waits in `queue` for the next one.
 *
 * Invariant: an event names a descriptor and the generation of its registration, which the io holds
 * in `slot`; table[descriptor] is the io that has it now, or NULL. So an event of a descriptor that
 * was closed meanwhile, or that lives on in a forked child (epoll(7), "Questions and answers", 6),
 * finds nobody. Called through the table at the end; the functions of the poller by sockets.c.
 */
#include "live.h"

#include <errno.h>

#ifdef __linux__

#include <string.h>
#include <sys/epoll.h>

/* Events of one wait, and descriptors that wait for their next turn. */
#define EVENTS_MAX 1024
#define QUEUE_MAX  1024

/* The table is made of pages, so that growing never copies it. */
#define PAGE_BITS  9
#define PAGE_IOS   (1u << PAGE_BITS)
#define PAGES_MAX  (1u << (31 - PAGE_BITS))
#define PAGES_ROOM 8

typedef uint64_t handle; /* generation << 32 | descriptor */

struct epoll_page {
    dw_io *ios[PAGE_IOS];
};

struct epoll_reactor {
    struct dw_live live;
    int epoll;
    uint32_t generation; /* the last one given out */
    struct epoll_page **pages;
    uint32_t page_room;
    uint32_t queued;
    dw_watched wake; /* the pipe's end */
    dw_io *current;  /* whose callbacks run; NULL when it was closed in them */
    handle queue[QUEUE_MAX];
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_reactor *epoll_of(dw_reactor *reactor) {
    return (struct epoll_reactor *)reactor;
}

/* ---- The table ---- */

static handle handle_of(const dw_io *io) {
    return (handle)io->slot << 32 | (uint32_t)io->socket;
}

static dw_io **place_of(struct epoll_reactor *self, uint32_t fd) {
    return &self->pages[fd >> PAGE_BITS]->ios[fd & (PAGE_IOS - 1)];
}

static bool is_named(const dw_io *io, handle named) {
    return io != NULL && io->slot == (uint32_t)(named >> 32);
}

static int pages_reserve(struct epoll_reactor *self, uint32_t page) {
    uint32_t room = self->page_room > 0 ? self->page_room : PAGES_ROOM;
    if (page < self->page_room) {
        return 0;
    }
    while (room <= page) {
        room *= 2;
    }
    struct epoll_page **pages =
        page < PAGES_MAX ? dw_resize(&self->live.base, self->pages, room * sizeof(*pages)) : NULL;
    if (pages == NULL) {
        return -ENOMEM;
    }
    memset(pages + self->page_room, 0, (room - self->page_room) * sizeof(struct epoll_page *));
    self->pages = pages;
    self->page_room = room;
    return 0;
}

DW_SELDOM static int page_reserve(struct epoll_reactor *self, uint32_t page) {
    int error = pages_reserve(self, page);
    if (error == 0) {
        self->pages[page] = dw_new(&self->live.base, struct epoll_page);
        error = self->pages[page] != NULL ? 0 : -ENOMEM;
    }
    return error;
}

static inline int table_reserve(struct epoll_reactor *self, uint32_t fd) {
    uint32_t page = fd >> PAGE_BITS;
    return page < self->page_room && self->pages[page] != NULL ? 0 : page_reserve(self, page);
}

/* ---- Registration ---- */

/* TCP connections are edge-triggered. A short read of a UNIX stream does not mean that it is empty
 * (descriptors end a read, unix(7)), and of the others it is not known who reads how much. */
static uint8_t edge_of(const dw_io *io) {
    bool stream = io->kind == DW_IO_STREAM || io->kind == DW_IO_CONNECTING;
    return stream && io->family != DW_ADDRESS_UNIX ? DW_LIVE_EDGE : 0;
}

static bool is_edge(const dw_io *io) {
    return (io->state & DW_LIVE_EDGE) != 0;
}

#define EDGE_EVENTS ((uint32_t)(EPOLLRDHUP | EPOLLPRI | EPOLLET))

static uint32_t events_of(const dw_io *io) {
    uint32_t events = (io->state & DW_LIVE_ASKED_READ) != 0 ? EPOLLIN : 0;
    events |= (io->state & DW_LIVE_ASKED_WRITE) != 0 ? EPOLLOUT : 0;
    if (is_edge(io)) {
        return events | EDGE_EVENTS;
    }
    /* Errors and hang-ups are always reported, and where nobody asks must not be for ever. */
    return events != 0 ? events : EPOLLET;
}

static inline int control_as(struct epoll_reactor *self, int operation, const dw_io *io,
                             uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = handle_of(io)};
    return self->live.sys->epoll_ctl(self->epoll, operation, (int)io->socket, &event) != 0 ? -errno
                                                                                           : 0;
}

static int control(struct epoll_reactor *self, int operation, const dw_io *io) {
    return control_as(self, operation, io, events_of(io));
}

/* A connection that was accepted is registered for good; one that has yet to connect only gets its
 * place, for it would be reported as hung up (tcp(7), states). */
static inline int register_io(struct epoll_reactor *self, dw_io *io, uint8_t state) {
    int error = table_reserve(self, (uint32_t)io->socket);
    if (error != 0) {
        return error;
    }
    self->generation += self->generation + 1 != 0 ? 1 : 2;
    io->slot = self->generation;
    io->state = state;
    if (state == (DW_LIVE_EDGE | DW_LIVE_ASKED_READ)) {
        return control_as(self, EPOLL_CTL_ADD, io, EPOLLIN | EDGE_EVENTS);
    }
    return control(self, EPOLL_CTL_ADD, io);
}

static int epoll_opened(struct dw_live *live, dw_io *io) {
    uint8_t asked = io->kind == DW_IO_STREAM ? DW_LIVE_ASKED_READ : 0;
    int error = register_io((struct epoll_reactor *)live, io, edge_of(io) | asked);
    if (error == -EPERM && io->kind == DW_IO_PIPE) {
        /* Standard input or output is a file (epoll_ctl(2)): as an edge that is never used up. */
        io->state =
            DW_LIVE_EDGE | DW_LIVE_ASKED_READ | DW_LIVE_ASKED_WRITE | DW_READABLE | DW_WRITABLE;
        return 0;
    }
    return error;
}

/* dw_live_accept, in one piece. */
static int epoll_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    struct epoll_reactor *self = epoll_of(reactor);
    struct dw_live *live = &self->live;
    if (live->reserve < 0) {
        dw_live_reserve_take(live); /* it was lost in an earlier shortage */
    }
    conn->socket = dw_live_accept_once(live, (int)listener->socket, peer);
    if (conn->socket < 0) {
        return dw_live_accept_failed(live, listener, conn, peer);
    }
    conn->family = listener->family;
    uint8_t edge = conn->family != DW_ADDRESS_UNIX ? DW_LIVE_EDGE : 0;
    int error = register_io(self, conn, edge | DW_LIVE_ASKED_READ);
    return error == 0 ? 0 : dw_live_refused(live, conn, error);
}

/* One that has been registered. */
static inline void forget_edge(struct epoll_reactor *self, dw_io *io) {
    if (self->current == io) {
        self->current = NULL;
    }
    *place_of(self, (uint32_t)io->socket) = NULL;
    io->slot = 0;
    io->state = 0;
}

/* Closing a descriptor takes it out of the set, unless a child process has it too: that does no
 * harm to an edge, but a level would be reported for ever. */
static void epoll_forget(struct dw_live *live, dw_io *io) {
    struct epoll_reactor *self = (struct epoll_reactor *)live;
    if (io->socket == DW_SOCKET_NONE || io->slot == 0) {
        return;
    }
    if (!is_edge(io)) {
        (void)control(self, EPOLL_CTL_DEL, io);
    }
    forget_edge(self, io);
}

/* Most connections by far end in good order. */
static void epoll_close(dw_reactor *reactor, dw_io *io, bool reset) {
    struct epoll_reactor *self = epoll_of(reactor);
    int fd = (int)io->socket;
    if (reset || !is_edge(io)) {
        dw_live_close(reactor, io, reset);
        return;
    }
    forget_edge(self, io);
    io->socket = DW_SOCKET_NONE;
    (void)self->live.sys->close(fd); /* never repeated; see dw_live_close */
}

/* ---- The queue ---- */

/* What is known and wanted is looked at again in the next turn. When the queue is full the kernel
 * keeps it: a modification reports what is ready once more. */
DW_SELDOM static void queue_add(struct epoll_reactor *self, dw_io *io) {
    if ((io->state & DW_LIVE_QUEUED) != 0) {
        return;
    }
    if (self->queued < QUEUE_MAX) {
        io->state |= DW_LIVE_QUEUED;
        self->queue[self->queued++] = handle_of(io);
    } else {
        (void)control(self, EPOLL_CTL_MOD, io);
    }
}

DW_SELDOM static void ask_edge(struct epoll_reactor *self, dw_io *io, uint8_t ask) {
    io->state |= ask;
    (void)control(self, EPOLL_CTL_MOD, io); /* cannot fail: it is in the set (epoll_ctl(2)) */
}

static void watch_edge(struct epoll_reactor *self, dw_io *io) {
    uint8_t ask = (uint8_t)(DW_LIVE_ASKED_READ | io->want << DW_LIVE_ASKED_SHIFT);
    if ((ask & ~io->state) != 0) {
        ask_edge(self, io, ask);
    }
    if ((io->state & io->want) != 0) {
        queue_add(self, io);
    }
}

DW_SELDOM static void watch_level(struct epoll_reactor *self, dw_io *io) {
    uint8_t ask = (uint8_t)(io->want << DW_LIVE_ASKED_SHIFT);
    if (ask != io->state) {
        io->state = ask;
        (void)control(self, EPOLL_CTL_MOD, io);
    }
}

static void watch_otherwise(struct epoll_reactor *self, dw_io *io) {
    if (!is_edge(io)) {
        watch_level(self, io);
    } else if (io->want != 0) {
        watch_edge(self, io);
    }
}

static void epoll_watch(dw_reactor *reactor, dw_io *io) {
    struct epoll_reactor *self = epoll_of(reactor);
    *place_of(self, (uint32_t)io->socket) = io;
    if (io->state == (DW_LIVE_EDGE | DW_LIVE_ASKED_READ) && io->want == DW_READABLE) {
        return; /* as it was registered */
    }
    watch_otherwise(self, io);
}

/* ---- The wait ---- */

/* An error or a hang-up is found out by doing what one wanted to do. So is what stands behind a
 * byte of urgent data, where a recv stops short (tcp(7), "Sockets API"). */
DW_SELDOM static unsigned ready_of(uint32_t events) {
    unsigned ready = 0;
    if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
        ready |= DW_READABLE;
    }
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        ready |= DW_WRITABLE;
    }
    if ((events & (EPOLLPRI | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
        ready |= DW_LIVE_HUNG_UP;
    }
    return ready;
}

static void deliver(struct epoll_reactor *self, dw_io *io) {
    unsigned ready = io->state & io->want;
    if (ready == 0) {
        return;
    }
    self->current = io;
    dw_io_ready(&self->live.base, io, ready);
    if (self->current != NULL && (io->state & io->want) != 0) {
        queue_add(self, io);
    }
}

static void deliver_level(struct epoll_reactor *self, dw_io *io, unsigned ready) {
    ready &= io->want;
    if (ready != 0) {
        dw_io_ready(&self->live.base, io, ready);
    }
}

/* All but what dispatch does itself. One that is in the queue gets its turn from there, so that
 * nobody has two. */
DW_SELDOM static void dispatch_otherwise(struct epoll_reactor *self,
                                         const struct epoll_event *event, dw_io *io) {
    unsigned ready = ready_of(event->events);
    if (!is_named(io, event->data.u64)) {
        return;
    }
    if (!is_edge(io)) {
        deliver_level(self, io, ready);
        return;
    }
    io->state |= (uint8_t)ready;
    if ((io->state & DW_LIVE_QUEUED) == 0) {
        deliver(self, io);
    }
}

/* As deliver, for what recv came to in a dispatch, when it was not simply all there was. */
DW_SELDOM static void deliver_received(struct epoll_reactor *self, dw_io *io, ssize_t got) {
    io->state |= DW_READABLE;
    if (got < 0) {
        got = dw_live_recv_failed(&self->live, io);
    }
    if (got >= 0 && got < DW_RECV_MAX && (io->state & DW_LIVE_HUNG_UP) == 0) {
        io->state &= (uint8_t)~DW_READABLE;
    }
    self->current = io;
    if (got > 0) {
        dw_io_received(&self->live.base, io, self->live.received, (size_t)got);
    } else {
        dw_io_received_none(&self->live.base, io, got);
    }
    if (self->current != NULL && (io->state & io->want) != 0) {
        queue_add(self, io);
    }
}

/* A connection of which nothing is known but that it wants to be read. */
static inline bool is_plain(const dw_io *io) {
    unsigned known = DW_LIVE_EDGE | DW_LIVE_QUEUED | DW_LIVE_HUNG_UP | DW_READABLE;
    unsigned both = (unsigned)io->state << 8 | io->want; /* compared at once */
    return (both & (known << 8 | UINT8_MAX)) == (DW_LIVE_EDGE << 8 | DW_READABLE);
}

static inline ssize_t receive(struct epoll_reactor *self, dw_io *io) {
    struct dw_live *live = &self->live;
    return live->sys->recv((int)io->socket, live->received, DW_RECV_MAX, 0);
}

/* Most events by far. (If the event was meant for another connection, which had this descriptor
 * before, then there may be nothing to read.) */
static inline void dispatch_data(struct epoll_reactor *self, dw_io *io) {
    ssize_t got = receive(self, io);
    if (got > 0 && got < DW_RECV_MAX) {
        dw_io_received(&self->live.base, io, self->live.received, (size_t)got);
    } else {
        deliver_received(self, io, got);
    }
}

/* The usual end: the peer has closed its side, and mostly there is nothing before that to be
 * read. */
DW_APART static void dispatch_end(struct epoll_reactor *self, dw_io *io) {
    ssize_t got = receive(self, io);
    if (got == 0) {
        dw_io_received_none(&self->live.base, io, 0);
    } else {
        io->state |= DW_LIVE_HUNG_UP;
        deliver_received(self, io, got);
    }
}

static inline void dispatch(struct epoll_reactor *self, const struct epoll_event *event) {
    dw_io *io = *place_of(self, (uint32_t)event->data.u64);
    bool plain = io != NULL && is_plain(io);
    if (plain && event->events == EPOLLIN) {
        dispatch_data(self, io);
    } else if (plain && event->events == (EPOLLIN | EPOLLRDHUP)) {
        dispatch_end(self, io);
    } else {
        dispatch_otherwise(self, event, io);
    }
}

/* The first `count` of the queue; what comes behind them has its turn later. */
DW_SELDOM static void dispatch_queue(struct epoll_reactor *self, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        dw_io *io = *place_of(self, (uint32_t)self->queue[i]);
        if (is_named(io, self->queue[i])) {
            io->state &= (uint8_t)~DW_LIVE_QUEUED;
            deliver(self, io);
        }
    }
    self->queued -= count;
    memmove(self->queue, self->queue + count, self->queued * sizeof(self->queue[0]));
}

static int epoll_wait_turn(dw_reactor *reactor, dw_time timeout) {
    struct epoll_reactor *self = epoll_of(reactor);
    uint32_t from_queue = self->queued;
    if (from_queue > 0) {
        timeout = 0;
    }
    int found = self->live.sys->epoll_wait(self->epoll, self->events, EVENTS_MAX, timeout);
    if (found < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        /* A signal, perhaps one of ours. The loop looks at its calls and comes back. */
        dw_live_woken(&self->live);
    }
    for (int i = 0; i < found; i++) {
        dispatch(self, &self->events[i]);
    }
    if (from_queue > 0) {
        dispatch_queue(self, from_queue);
    }
    self->current = NULL;
    return 0;
}

/* The set is itself a descriptor that is readable while it has something (epoll(7)). */
static int epoll_descriptor(dw_reactor *reactor, bool *more) {
    struct epoll_reactor *self = epoll_of(reactor);
    *more = self->queued > 0;
    return self->epoll;
}

/* ---- Life ---- */

static void epoll_fini(struct dw_live *live) {
    struct epoll_reactor *self = (struct epoll_reactor *)live;
    for (uint32_t i = 0; i < self->page_room; i++) {
        dw_free(&live->base, self->pages[i]);
    }
    dw_free(&live->base, self->pages);
    if (self->epoll > 0) {
        (void)live->sys->close(self->epoll);
    }
}

static const struct dw_poller poller = {
    .opened = epoll_opened,
    .forget = epoll_forget,
    .fini = epoll_fini,
};

static const dw_wire epoll_wire = {
    .name = "epoll",
    DW_LIVE_CLOCK_SLOTS,
    DW_LIVE_NAME_SLOTS,
    DW_LIVE_SOCKET_SLOTS,
    DW_LIVE_TRANSFER_SLOTS,
    DW_LIVE_PROCESS_SLOTS,
    .accept = epoll_accept,
    .close = epoll_close,
    .watch = epoll_watch,
    .descriptor = epoll_descriptor,
    .wait = epoll_wait_turn,
};

static void woken(dw_reactor *reactor, dw_watched *wake, unsigned ready) {
    (void)wake;
    (void)ready;
    dw_live_woken(dw_live_of(reactor));
}

static int set_init(struct epoll_reactor *self) {
    const struct dw_syscalls *sys = self->live.sys;
    self->epoll = sys->epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0) {
        return -errno;
    }
    dw_io *io = &self->wake.io;
    *io = (dw_io){.socket = self->live.wake_read, .kind = DW_IO_WATCHED, .want = DW_READABLE};
    self->wake.ready = woken;
    int error = epoll_opened(&self->live, io);
    if (error == 0) {
        epoll_watch(&self->live.base, io);
    }
    return error;
}

dw_reactor *dw_epoll_new(const dw_poll_options *options, const struct dw_syscalls *sys) {
    struct dw_live *live =
        dw_live_new(sizeof(struct epoll_reactor), options, sys, &epoll_wire, &poller);
    if (live == NULL) {
        return NULL;
    }
    int error = set_init((struct epoll_reactor *)live);
    if (error != 0) {
        dw_reactor_free(&live->base);
        errno = -error;
        return NULL;
    }
    return &live->base;
}

#else

dw_reactor *dw_epoll_new(const dw_poll_options *options, const struct dw_syscalls *sys) {
    (void)options;
    (void)sys;
    errno = ENOSYS;
    return NULL;
}

#endif

dw_reactor *dw_epoll_reactor_new(const dw_poll_options *options) {
    return dw_epoll_new(options, &dw_syscalls_libc);
}
