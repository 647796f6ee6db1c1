/* SPDX-License-Identifier: MIT */
/*
 * What the reactors of the live wire share: sockets, names, signals, clocks. A reactor embeds
 * struct dw_live first, adds its way to wait (poll.c), and puts the dw_live_ functions in its table
 * where they fit. All run on the reactor's thread unless they say otherwise.
 */
#ifndef DRYWIRE_REAL_LIVE_H
#define DRYWIRE_REAL_LIVE_H

#include "drywire/backend.h"
#include "drywire/real.h"
#include "syscalls.h"

/* Lookups that one reactor has waiting, running or answered but not yet handed over. One more is
 * refused with -EAGAIN. */
#define DW_LOOKUPS_MAX 4096

/* Addresses of one name that are handed over; the rest are left out. */
#define DW_LOOKUP_ADDRESSES_MAX 16

/* Reactors that can take part in SIGINT and SIGTERM at once, in one process. One more cannot run
 * unless it leaves signals alone. */
#define DW_SIGNAL_SEATS_MAX 64

struct dw_live;
struct dw_resolver_job;

struct dw_resolver_list {
    struct dw_resolver_job *head, *tail;
};

struct dw_resolver {
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t more; /* something is in `waiting`, or `stopping` is set */
    struct dw_resolver_list waiting, answered;
    bool stopping;

    /* The reactor's thread only. */
    pthread_t thread;
    bool ready;     /* lock and more are */
    bool started;   /* thread is */
    unsigned count; /* jobs there are, wherever they sit */
};

/* What a way to wait adds to struct dw_live, besides the slots `watch` and `wait` of its wire. */
struct dw_poller {
    /* One more descriptor is about to be open: keeps a place for it, so that watching never fails.
     * Returns 0 or -errno. NULL: nothing to keep. */
    int (*reserve)(struct dw_live *live);
    /* The descriptor of io is about to be closed, or given back to the program: forgets it. */
    void (*forget)(struct dw_live *live, dw_io *io);
    /* Frees the poller's own things. */
    void (*fini)(struct dw_live *live);
};

struct dw_live {
    struct dw_reactor base;
    const struct dw_syscalls *sys;
    const struct dw_poller *poller;
    int wake_read, wake_write; /* a pipe: a byte in it makes the wait return */
    int reserve;               /* a descriptor to give up when there are no others; -1: lost */
    int signal;                /* what ended the last run */
    int signal_seat;           /* in signals.c; -1: none */
    bool no_signals;
    bool weak_random_told;
    struct dw_resolver resolver;
    uint8_t received[DW_RECV_MAX];
};

static inline struct dw_live *dw_live_of(dw_reactor *reactor) {
    return (struct dw_live *)reactor;
}

/* The slots that every poller has alike, for its table. */
#define DW_LIVE_CLOCK_SLOTS                                                               \
    .now = dw_live_now, .wall_clock = dw_live_wall_clock, .random = dw_live_random,       \
    .choose = dw_live_choose, .run_begin = dw_live_run_begin, .run_end = dw_live_run_end, \
    .destroy = dw_live_destroy
#define DW_LIVE_NAME_SLOTS .resolve = dw_live_resolve, .resolve_cancel = dw_live_resolve_cancel
/* All about sockets but for accept, recv, send, shutdown and close. */
#define DW_LIVE_SOCKET_SLOTS                                                                      \
    .open = dw_live_open, .bind = dw_live_bind, .adopt = dw_live_adopt, .listen = dw_live_listen, \
    .connect = dw_live_connect, .connect_result = dw_live_connect_result,                         \
    .local_address = dw_live_local_address, .get_option = dw_live_get_option,                     \
    .set_option = dw_live_set_option
#define DW_LIVE_STREAM_SLOTS                                              \
    .accept = dw_live_accept, .recv = dw_live_recv, .send = dw_live_send, \
    .shutdown = dw_live_shutdown, .close = dw_live_close

/* Takes memory of `size` bytes, a struct dw_live first, and prepares it; `poller` and `wire` are
 * borrowed. NULL with errno set. The poller then adds its own part. */
struct dw_live *dw_live_new(size_t size, const dw_poll_options *options,
                            const struct dw_syscalls *sys, const dw_wire *wire,
                            const struct dw_poller *poller);
/* The slot of that name. */
void dw_live_destroy(dw_reactor *reactor);

/* As dw_poll_reactor_new, on another table of system calls, which is borrowed. For tests. */
dw_reactor *dw_poll_new(const dw_poll_options *options, const struct dw_syscalls *sys);

/* ---- live.c: set-up, clocks, random bytes ---- */

/* Makes the wait return. Any thread. */
void dw_live_wake(struct dw_live *live);
/* The wake pipe is readable, or a signal interrupted the wait: sees to names and signals. */
void dw_live_woken(struct dw_live *live);

dw_time dw_live_now(dw_reactor *reactor);
dw_time dw_live_wall_clock(dw_reactor *reactor);
void dw_live_random(dw_reactor *reactor, void *buffer, size_t len);
uint32_t dw_live_choose(dw_reactor *reactor, const char *what, uint32_t n);

/* ---- sockets.c: the slots of dw_wire of the same names ---- */

int dw_live_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind);
int dw_live_bind(dw_reactor *reactor, dw_io *io, const dw_address *address);
int dw_live_adopt(dw_reactor *reactor, dw_io *io, int fd);
int dw_live_listen(dw_reactor *reactor, dw_io *io, int backlog);
int dw_live_connect(dw_reactor *reactor, dw_io *io, const dw_address *address);
int dw_live_connect_result(dw_reactor *reactor, dw_io *io);
int dw_live_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer);
ssize_t dw_live_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data);
ssize_t dw_live_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count);
int dw_live_shutdown(dw_reactor *reactor, dw_io *io);
void dw_live_close(dw_reactor *reactor, dw_io *io, bool reset);
int dw_live_local_address(dw_reactor *reactor, dw_io *io, dw_address *out);
int dw_live_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option);
int dw_live_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value);

/* Takes / gives up the reserve descriptor. */
void dw_live_reserve_take(struct dw_live *live);
void dw_live_reserve_drop(struct dw_live *live);

/* Reads a sockaddr of either kind; anything else becomes DW_ADDRESS_NONE. */
void dw_live_address_from(dw_address *out, const struct sockaddr *from);

/* ---- resolver.c ---- */

int dw_resolver_init(struct dw_resolver *resolver);
/* Stops the thread and joins it: waits for a getaddrinfo that is under way. */
void dw_resolver_fini(struct dw_live *live);
int dw_live_resolve(dw_reactor *reactor, dw_lookup *lookup);
void dw_live_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup);
/* Hands over the answers there are. */
void dw_resolver_answer(struct dw_live *live);

/* ---- signals.c ---- */

int dw_live_run_begin(dw_reactor *reactor);
void dw_live_run_end(dw_reactor *reactor);
/* Stops the reactor when a signal has come. */
void dw_signals_look(struct dw_live *live);

#endif
