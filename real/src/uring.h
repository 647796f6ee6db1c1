/* SPDX-License-Identifier: MIT */
/*
 * What the files of the io_uring reactor share: uring.c waits and says who is ready, uring_ops.c
 * asks the kernel and reads its answers, uring_pool.c has the buffers, uring_stream.c the bytes.
 *
 * What is under way for a descriptor hangs on a struct dw_uring_fd, which outlives the dw_io: the
 * kernel knows only it, so an answer that comes after the close finds memory, and nobody to tell.
 */
#ifndef DRYWIRE_REAL_URING_H
#define DRYWIRE_REAL_URING_H

#include "live.h"

#include <liburing.h>

/* Questions prepared at once, and answers held; more are submitted early, or kept by the kernel. */
#define DW_URING_SQ_ENTRIES 256
#define DW_URING_CQ_ENTRIES 4096

/* Buffers for received bytes: at first, and at most (a power of two, ring entries). One takes what
 * a recv may hand over, so that a message comes in as few pieces as on the other pollers. Only the
 * pages of it that were ever filled are there; and each begins one cache line further into its page
 * than the one before, or they would all want the same place in the cache. */
#define DW_URING_BUFFERS_FIRST 64
#define DW_URING_BUFFERS_MAX   1024
#define DW_URING_BUFFER_SIZE   ((size_t)DW_RECV_MAX)
#define DW_URING_BUFFER_STRIDE (DW_URING_BUFFER_SIZE + 64)
#define DW_URING_NO_BUFFER     UINT16_MAX

/* Whoever sends this much at once is no trickle of messages but a flood, and is read another way,
 * until so many receptions in a row were smaller. */
#define DW_URING_FLOOD_LEAST 8192
#define DW_URING_TRICKLE     8

/* Calls that liburing makes into the kernel. A reactor borrows a table, see syscalls.h. */
struct dw_uring_calls {
    int (*setup)(unsigned entries, struct io_uring *ring, struct io_uring_params *params);
    int (*enable)(struct io_uring *ring);
    int (*register_buffers)(struct io_uring *ring, struct io_uring_buf_reg *reg);
    int (*submit)(struct io_uring *ring);
    int (*submit_and_get_events)(struct io_uring *ring);
    int (*submit_and_wait)(struct io_uring *ring, struct __kernel_timespec *timeout);
    /* Anonymous memory, page-aligned, or NULL. */
    void *(*map)(size_t size);
};

extern const struct dw_uring_calls dw_uring_calls_liburing;

/* ---- Buffers ---- */

struct dw_uring_note {
    uint8_t *data;
    uint32_t len; /* of the bytes in it */
    uint16_t next;
    bool provided;
};

/* Buffer `id` lies at memory + id * size. It is with the kernel, holds bytes somebody has yet to
 * get or send, or is spare; from `fresh` on none was ever used. */
struct dw_uring_pool {
    struct io_uring_buf_ring *ring;
    uint8_t *memory;
    struct dw_uring_note *notes; /* of each buffer */
    uint16_t spare;              /* the first of a list */
    uint32_t fresh;
    uint32_t provided; /* given to the kernel, once and for all: it gets each of them back */
};

/* ---- Descriptors ---- */

/* One question in the kernel, whether it was told to forget it, and what is asked. */
enum { DW_URING_IDLE, DW_URING_ARMED, DW_URING_ENDING };
struct dw_uring_op {
    uint8_t state;
    bool receives; /* a multishot recv; else a poll */
    bool edge;     /* polls are for changes, see poll_done */
    bool spent;    /* such a poll has answered, and is to be asked anew */
};

enum {
    DW_URING_OPEN = 1 << 0,
    DW_URING_LISTED = 1 << 1,   /* in `ready` */
    DW_URING_CHANGED = 1 << 2,  /* in `changed` */
    DW_URING_QUEUED = 1 << 3,   /* in `queued`: its send is prepared */
    DW_URING_READABLE = 1 << 4, /* a poll said so; with FLOOD: and it was not used up */
    DW_URING_WRITABLE = 1 << 5, /* a poll said so, or a send is over */
    DW_URING_ENDED = 1 << 6,    /* read_end is behind what was received */
    DW_URING_FLOOD = 1 << 7,    /* a stream that is read when it is readable, not into the pool */
    DW_URING_HUNG_UP = 1 << 8,  /* with FLOOD: the end, or an error, is behind the data */
    DW_URING_TOLD = 1 << 9,     /* with QUEUED: the prepared send did not go out whole */
    DW_URING_FAILED = 1 << 10,  /* error is set */
    DW_URING_TCP = 1 << 11,     /* a connection, or an attempt at one */
};

/* What each message needs comes first. */
struct dw_uring_fd {
    dw_io *io; /* NULL: before the first watch, and when it was closed */
    struct dw_uring_fd *next_ready;
    struct dw_uring_fd *next_queued; /* also of the unused ones */
    const uint8_t *sending;          /* what is left to send: it lies in send_buffer */
    uint32_t sending_len;
    int fd;
    uint16_t flags;
    uint16_t first, last; /* received and not handed over: buffers */
    uint16_t send_buffer;
    int error; /* -errno of a send that failed, for who asks next */
    struct dw_uring_op read, write;
    struct dw_uring_fd *next_changed;
    uint32_t index; /* in reactor.fds, and io->slot */
    int read_end;   /* 0 or -errno */
    uint8_t small_reads;
};

struct dw_uring_list {
    struct dw_uring_fd *head, *tail;
};

/* The buffer whose bytes core has while a callback runs and what it wrote is flushed. */
struct dw_uring_lent {
    const uint8_t *data;
    uint32_t len; /* 0: none is */
    uint16_t id;  /* or DW_URING_NO_BUFFER */
    bool is_sent; /* it has become somebody's send_buffer */
};

struct dw_uring {
    struct dw_live live;
    const struct dw_uring_calls *calls;
    struct io_uring ring;
    bool ring_made, ring_enabled;
    bool wake_armed, woken;
    bool running;   /* by run, which comes back to the wait; iterate's caller may not */
    bool pool_grew; /* since the last wait */
    struct dw_uring_pool pool;
    struct dw_uring_fd **fds; /* by index; 0 is nobody's */
    uint32_t fd_count, fd_room;
    struct dw_uring_fd *unused;
    struct dw_uring_fd *queued;          /* sends prepared since the last submission */
    struct dw_uring_list ready, changed; /* to be told; to be looked at before the wait */
    struct dw_uring_lent lent;
};

static inline struct dw_uring *dw_uring_of(dw_reactor *reactor) {
    return (struct dw_uring *)reactor;
}

/* NULL for an io that is not open; what recv and send are called for is. */
static inline struct dw_uring_fd *dw_uring_fd_of(const struct dw_uring *self, const dw_io *io) {
    return self->fds[io->slot];
}

/* Whether its bytes go through the ring. UNIX sockets bring descriptors, pipes are no sockets. */
static inline bool dw_uring_is_stream(const dw_io *io) {
    return io->kind == DW_IO_STREAM && io->family != DW_ADDRESS_UNIX;
}

/* Whether a stream has something to read that the kernel need not be asked for. */
static inline bool dw_uring_has_news(const struct dw_uring_fd *fd) {
    unsigned known = DW_URING_FLOOD | DW_URING_READABLE;
    return fd->first != DW_URING_NO_BUFFER || (fd->flags & DW_URING_ENDED) != 0 || fd->error != 0 ||
           (fd->flags & known) == known;
}

/* As dw_uring_reactor_new, on other tables, which are borrowed. For tests. */
dw_reactor *dw_uring_new_on(const dw_poll_options *options, const struct dw_syscalls *sys,
                            const struct dw_uring_calls *calls);

/* ---- uring_pool.c ---- */

int dw_uring_pool_init(struct dw_uring *self);
void dw_uring_pool_fini(struct dw_uring *self);
/* They have run out: provides twice as many, if there are and if this was not done since the last
 * wait. */
void dw_uring_pool_grow(struct dw_uring *self);
/* A buffer of our own, or DW_URING_NO_BUFFER; put back by dw_uring_pool_put, as a received one. */
uint16_t dw_uring_pool_take(struct dw_uring *self);
void dw_uring_pool_keep(struct dw_uring_pool *pool, uint16_t id);

/* Gives the buffer to the kernel. */
static inline void dw_uring_pool_provide(struct dw_uring_pool *pool, uint16_t id) {
    io_uring_buf_ring_add(pool->ring, pool->notes[id].data, (unsigned)DW_URING_BUFFER_SIZE, id,
                          DW_URING_BUFFERS_MAX - 1, 0);
    io_uring_buf_ring_advance(pool->ring, 1);
}

static inline void dw_uring_pool_put(struct dw_uring *self, uint16_t id) {
    if (self->pool.notes[id].provided) {
        dw_uring_pool_provide(&self->pool, id);
    } else {
        dw_uring_pool_keep(&self->pool, id);
    }
}

/* The first one that fd has received; there is one. */
static inline void dw_uring_lend(struct dw_uring *self, struct dw_uring_fd *fd) {
    uint16_t id = fd->first;
    const struct dw_uring_note *note = &self->pool.notes[id];
    fd->first = note->next;
    self->lent = (struct dw_uring_lent){note->data, note->len, id, false};
}

/* ---- uring_ops.c: questions and answers ---- */

/* Hands over what was prepared, without waiting, and reads the answers there are. */
int dw_uring_submit(struct dw_uring *self);
/* The same, and waits: 0 does not, negative for ever. */
int dw_uring_enter(struct dw_uring *self, dw_time timeout);
/* Asks whatever io->want calls for. Returns whether the answer is on its way already. */
bool dw_uring_ask(struct dw_uring *self, struct dw_uring_fd *fd);
void dw_uring_ask_wake(struct dw_uring *self);
/* A question is about one of these: fd's address with this in its lowest bits is its name. */
enum {
    DW_URING_ABOUT_READ,
    DW_URING_ABOUT_WRITE,
    DW_URING_ABOUT_SEND,
    DW_URING_ABOUT_NOTHING,
    DW_URING_ABOUT_MASK = 3
};

static inline uint64_t dw_uring_named(const struct dw_uring_fd *fd, unsigned about) {
    return (uint64_t)(uintptr_t)fd | about;
}

/* Submits what there is. NULL: and there is no room all the same. */
struct io_uring_sqe *dw_uring_make_room(struct dw_uring *self);

/* These two are io_uring_get_sqe, which asks each time for what this ring is not (SQPOLL, 128 bytes
 * a question). */
static inline bool dw_uring_has_room(const struct dw_uring *self) {
    const struct io_uring_sq *sq = &self->ring.sq;
    return sq->sqe_tail - *sq->khead < sq->ring_entries;
}

static inline struct io_uring_sqe *dw_uring_next_question(struct dw_uring *self) {
    struct io_uring_sq *sq = &self->ring.sq;
    return &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
}

/* NULL: the kernel takes no more now. */
static inline struct io_uring_sqe *dw_uring_question(struct dw_uring *self) {
    return dw_uring_has_room(self) ? dw_uring_next_question(self) : dw_uring_make_room(self);
}
/* Makes the kernel forget all about fd: nothing refers to the descriptor afterwards. */
void dw_uring_forget(struct dw_uring *self, struct dw_uring_fd *fd);

/* ---- uring.c ---- */

static inline void dw_uring_list_ready(struct dw_uring *self, struct dw_uring_fd *fd) {
    if ((fd->flags & DW_URING_LISTED) != 0) {
        return;
    }
    fd->flags |= DW_URING_LISTED;
    fd->next_ready = NULL;
    if (self->ready.tail != NULL) {
        self->ready.tail->next_ready = fd;
    } else {
        self->ready.head = fd;
    }
    self->ready.tail = fd;
}

/* Who wants `what` gets a look in the next round, with these flags set; else nothing happens. */
static inline void dw_uring_tell(struct dw_uring *self, struct dw_uring_fd *fd, unsigned what,
                                 unsigned flags) {
    if (fd->io != NULL && (fd->io->want & what) != 0) {
        fd->flags |= (uint16_t)flags;
        dw_uring_list_ready(self, fd);
    }
}

void dw_uring_list_changed(struct dw_uring *self, struct dw_uring_fd *fd);
/* Gives it back if nothing refers to it any more. */
void dw_uring_recycle(struct dw_uring *self, struct dw_uring_fd *fd);

/* ---- uring_stream.c: the slots of the same names ---- */

ssize_t dw_uring_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data);
ssize_t dw_uring_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count);
int dw_uring_flushed(dw_reactor *reactor, dw_io *io);
int dw_uring_shutdown(dw_reactor *reactor, dw_io *io);
/* The kernel's answer to a send that did not go out whole: as send(2)'s, errors negative. */
void dw_uring_send_told(struct dw_uring_fd *fd, int result);
/* Sends the rest of it; the socket is writable. */
void dw_uring_send_rest(struct dw_uring *self, struct dw_uring_fd *fd);
/* Nothing is left to send; the buffer is free. */
void dw_uring_send_over(struct dw_uring *self, struct dw_uring_fd *fd);

/* The part of it that is the same for all. */
static inline void dw_uring_put_send_buffer(struct dw_uring *self, struct dw_uring_fd *fd) {
    uint16_t id = fd->send_buffer;
    fd->sending_len = 0;
    fd->send_buffer = DW_URING_NO_BUFFER;
    if (id == self->lent.id) {
        self->lent.is_sent = false; /* who lent it will put it back */
    } else if (id != DW_URING_NO_BUFFER) {
        dw_uring_pool_put(self, id);
    }
}

#endif
