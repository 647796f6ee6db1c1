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
#include "names.h"
#include "slab.h"
#include "syscalls.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

/* Reactors that can take part in SIGINT and SIGTERM at once, in one process. One more cannot run
 * unless it leaves signals alone. */
#define DW_SIGNAL_SEATS_MAX 64

struct dw_live;
struct dw_live_child;

/* What a way to wait adds to struct dw_live, besides the slots `watch` and `wait` of its wire. */
struct dw_poller {
    /* One more descriptor is about to be open: keeps a place for it, so that watching never fails.
     * Returns 0 or -errno. NULL: nothing to keep. */
    int (*reserve)(struct dw_live *live);
    /* It is open: io->socket and io->family are set, io->kind as core wants it at first. Returns 0
     * or -errno; then it is closed again, and forgotten. io may yet move in memory, until the first
     * `watch`. NULL: nothing to do. */
    int (*opened)(struct dw_live *live, dw_io *io);
    /* The descriptor of io is about to be closed, or given back to the program: forgets it. */
    void (*forget)(struct dw_live *live, dw_io *io);
    /* Frees the poller's own things. */
    void (*fini)(struct dw_live *live);
};

/* What a poller that is told of changes only keeps in io->state; the others let it be. The lowest
 * two are DW_READABLE and DW_WRITABLE: as far as is known, the stream is. send clears the one
 * on EAGAIN, recv the other also when it got less than it asked for, which is all there was
 * (epoll(7), "Questions and answers", 9). */
enum {
    DW_LIVE_ASKED_SHIFT = 2,
    DW_LIVE_ASKED_READ = DW_READABLE << DW_LIVE_ASKED_SHIFT,
    DW_LIVE_ASKED_WRITE = DW_WRITABLE << DW_LIVE_ASKED_SHIFT,
    DW_LIVE_HUNG_UP = 1 << 4, /* the end, an error or more data is behind what one recv gets */
    DW_LIVE_QUEUED = 1 << 5,  /* its readiness is to be reported in the next turn */
    DW_LIVE_EDGE = 1 << 6,    /* changes are reported, not states */
};

struct dw_live {
    struct dw_reactor base;
    const struct dw_syscalls *sys;
    const struct dw_poller *poller;
    dw_allocator own;          /* whose memory the reactor itself is */
    struct dw_slabs slabs;     /* the reactor's allocator, unless the program gave one */
    int wake_read, wake_write; /* a pipe: a byte in it makes the wait return */
    int reserve;               /* a descriptor to give up when there are no others; -1: lost */
    int signal;                /* what ended the last run */
    int signal_seat;           /* in signals.c; -1: none */
    bool no_signals;
    bool weak_random_told;
    size_t incoming_count, incoming_next; /* unix.c */
    int incoming[DW_DESCRIPTORS_MAX];     /* descriptors that the last reception brought */
    struct dw_names names;
    struct dw_helpers workers;      /* offload.c */
    struct dw_live_child *children; /* those that SIGCHLD tells of */
    int child_seat;                 /* in child_signal.c, from 1; 0: none */
    uint8_t received[DW_RECV_MAX];
};

static inline struct dw_live *dw_live_of(dw_reactor *reactor) {
    return (struct dw_live *)reactor;
}

/* The slots that every poller has alike, for its table. */
#define DW_LIVE_CLOCK_SLOTS                                                               \
    .now = dw_live_now, .wall_clock = dw_live_wall_clock, .random = dw_live_random,       \
    .choose = dw_live_choose, .run_begin = dw_live_run_begin, .run_end = dw_live_run_end, \
    .wake_from_thread = dw_live_wake_from_thread, .destroy = dw_live_destroy
#define DW_LIVE_NAME_SLOTS .resolve = dw_live_resolve, .resolve_cancel = dw_live_resolve_cancel
/* All about sockets but for accept, recv, send, shutdown and close. */
#define DW_LIVE_SOCKET_SLOTS                                                                      \
    .open = dw_live_open, .bind = dw_live_bind, .adopt = dw_live_adopt, .listen = dw_live_listen, \
    .connect = dw_live_connect, .connect_result = dw_live_connect_result,                         \
    .local_address = dw_live_local_address, .remote_address = dw_live_remote_address,             \
    .get_option = dw_live_get_option, .set_option = dw_live_set_option, .handle = dw_live_handle, \
    DW_LIVE_UNIX_SLOTS, DW_LIVE_DATAGRAM_SLOTS
#define DW_LIVE_UNIX_SLOTS                                                                    \
    .set_mode = dw_live_set_mode, .unlink = dw_live_unlink, .file_id = dw_live_file_id,       \
    .send_descriptors = dw_live_send_descriptors, .take_descriptor = dw_live_take_descriptor, \
    .keep_descriptor = dw_live_keep_descriptor, .drop_descriptor = dw_live_drop_descriptor
#define DW_LIVE_DATAGRAM_SLOTS                                                                    \
    .recv_from = dw_live_recv_from, .send_to = dw_live_send_to, .membership = dw_live_membership, \
    .set_multicast_interface = dw_live_set_multicast_interface,                                   \
    .get_multicast_interface = dw_live_get_multicast_interface
#define DW_LIVE_TRANSFER_SLOTS \
    .recv = dw_live_recv, .send = dw_live_send, .shutdown = dw_live_shutdown
#define DW_LIVE_STREAM_SLOTS \
    DW_LIVE_TRANSFER_SLOTS, .accept = dw_live_accept, .close = dw_live_close

#define DW_LIVE_PROCESS_SLOTS                                               \
    .spawn = dw_live_spawn, .kill = dw_live_kill, .forget = dw_live_forget, \
    .stdio_open = dw_live_stdio_open, .stdio_end = dw_live_stdio_end, DW_LIVE_OFFLOAD_SLOTS
#define DW_LIVE_OFFLOAD_SLOTS                                             \
    .offload = dw_live_offload, .offload_cancel = dw_live_offload_cancel, \
    .offload_forget = dw_live_offload_forget, .offload_finish = dw_live_offload_finish

/* Takes memory of `size` bytes, a struct dw_live first, and prepares it; `poller` and `wire` are
 * borrowed. NULL with errno set. The poller then adds its own part. */
struct dw_live *dw_live_new(size_t size, const dw_poll_options *options,
                            const struct dw_syscalls *sys, const dw_wire *wire,
                            const struct dw_poller *poller);
/* The slot of that name. */
void dw_live_destroy(dw_reactor *reactor);

/* As dw_poll_reactor_new, on another table of system calls, which is borrowed. For tests. */
dw_reactor *dw_poll_new(const dw_poll_options *options, const struct dw_syscalls *sys);
dw_reactor *dw_epoll_new(const dw_poll_options *options, const struct dw_syscalls *sys);
dw_reactor *dw_uring_new(const dw_poll_options *options, const struct dw_syscalls *sys);
/* As dw_live_reactor_new, in the same way. */
dw_reactor *dw_live_reactor_on(const char *poller, const dw_poll_options *options,
                               const struct dw_syscalls *sys);

/* ---- live.c: set-up, clocks, random bytes ---- */

/* Makes the wait return. Any thread; a signal handler. */
void dw_live_wake(struct dw_live *live);
/* The slot of that name. */
void dw_live_wake_from_thread(dw_reactor *reactor);
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
/* Its first attempt has failed with errno: what it comes to in the end. */
int dw_live_accept_failed(struct dw_live *live, dw_io *listener, dw_io *conn, dw_address *peer);
/* The poller cannot have it, for this reason, which is passed on: closes it. */
int dw_live_refused(struct dw_live *live, dw_io *io, int error);
ssize_t dw_live_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data);
/* Its first attempt has failed with errno: what it comes to in the end. */
ssize_t dw_live_recv_failed(struct dw_live *live, dw_io *io);

ssize_t dw_live_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count);
int dw_live_shutdown(dw_reactor *reactor, dw_io *io);
void dw_live_close(dw_reactor *reactor, dw_io *io, bool reset);
int dw_live_handle(dw_reactor *reactor, const dw_io *io);

/* Makes io, a pipe, of a new non-blocking descriptor of ours, which is closed if that fails.
 * Returns 0 or -errno. */
int dw_live_take(struct dw_live *live, dw_io *io, int fd);

/* Takes / gives up the reserve descriptor. */
void dw_live_reserve_take(struct dw_live *live);
void dw_live_reserve_drop(struct dw_live *live);

/* ---- addresses.c ---- */

/* Room for an address of any kind, in the types that the calls want. */
union dw_live_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    struct sockaddr_storage room; /* a UNIX address may be one byte longer than its type */
};

/* The usual one: with each connection that is accepted. */
static inline void dw_live_address_from_ipv4(dw_address *out, const struct sockaddr_in *from) {
    out->kind = DW_ADDRESS_IPV4;
    out->path_len = 0;
    out->port = ntohs(from->sin_port);
    out->scope_id = 0;
    memset(out->ip, 0, sizeof(out->ip));
    memcpy(out->ip, &from->sin_addr, 4);
}

/* Reads a sockaddr of `len` bytes; what is of no kind we know becomes DW_ADDRESS_NONE. */
void dw_live_address_from(dw_address *out, const struct sockaddr *from, size_t len);

/* One accept4. Returns a descriptor, or -1 with errno. */
static inline int dw_live_accept_once(struct dw_live *live, int listener, dw_address *peer) {
    union dw_live_sockaddr from; /* `len` bytes of it will be set */
    socklen_t len = sizeof(from);
    int fd = live->sys->accept4(listener, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (len == sizeof(from.v4) && from.any.sa_family == AF_INET) {
        dw_live_address_from_ipv4(peer, &from.v4);
    } else {
        dw_live_address_from(peer, &from.any, len);
    }
    return fd;
}

/* Returns the length used, 0 for DW_ADDRESS_NONE. */
socklen_t dw_live_address_to(union dw_live_sockaddr *out, const dw_address *address);
int dw_live_local_address(dw_reactor *reactor, dw_io *io, dw_address *out);
int dw_live_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out);

/* ---- options.c ---- */

int dw_live_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option);
int dw_live_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value);
int dw_live_set_int(dw_reactor *reactor, const dw_io *io, int level, int name, int value);
int dw_live_membership(dw_reactor *reactor, dw_io *io, const dw_address *group,
                       const dw_address *interface, bool join);
int dw_live_set_multicast_interface(dw_reactor *reactor, dw_io *io, const dw_address *interface);
int dw_live_get_multicast_interface(dw_reactor *reactor, dw_io *io, dw_address *out);

/* ---- datagrams.c ---- */

ssize_t dw_live_recv_from(dw_reactor *reactor, dw_io *io, size_t max, const uint8_t **data,
                          dw_address *from);
ssize_t dw_live_send_to(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count,
                        const dw_address *to);

/* ---- unix.c ---- */

int dw_live_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode);
void dw_live_unlink(dw_reactor *reactor, const dw_address *address);
int dw_live_file_id(dw_reactor *reactor, const dw_address *address, uint64_t id[2]);
/* recv for UNIX streams: takes in what send_descriptors sent. */
ssize_t dw_live_recv_unix(dw_reactor *reactor, dw_io *io, const uint8_t **data);
ssize_t dw_live_send_descriptors(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                 int count, const int *fds, size_t fd_count);
int dw_live_take_descriptor(dw_reactor *reactor, dw_io *io);
int dw_live_keep_descriptor(dw_reactor *reactor, int fd);
void dw_live_drop_descriptor(dw_reactor *reactor, int fd);

/* ---- pipes.c: recv and send for DW_IO_PIPE ---- */

ssize_t dw_live_pipe_recv(struct dw_live *live, dw_io *io, const uint8_t **data);
ssize_t dw_live_pipe_send(struct dw_live *live, dw_io *io, const struct iovec *pieces, int count);

/* ---- stdio.c: the slots of dw_wire of the same names ---- */

int dw_live_stdio_open(dw_reactor *reactor, dw_stdio_files *files, dw_io *in, dw_io *out);
void dw_live_stdio_end(dw_reactor *reactor, dw_stdio_files *files, unsigned direction);

/* ---- process.c: the slots of dw_wire of the same names ---- */

int dw_live_spawn(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn);
int dw_live_kill(dw_reactor *reactor, dw_child *child, int signal_number);
void dw_live_forget(dw_reactor *reactor, dw_child *child);
/* A SIGCHLD has come: looks at the children that have no pidfd. */
void dw_live_children_look(struct dw_live *live);

/* ---- offload.c ---- */

/* The slots of dw_wire of the same names. */
int dw_live_offload(dw_reactor *reactor, dw_offload *offload);
bool dw_live_offload_cancel(dw_reactor *reactor, dw_offload *offload);
void dw_live_offload_forget(dw_reactor *reactor, dw_offload *offload);
void dw_live_offload_finish(dw_reactor *reactor);
/* Tells of the work that is finished; the loop was woken. */
void dw_live_offload_answer(struct dw_live *live);
/* Threads are joined: waits for the work that is under way. */
void dw_live_offload_fini(struct dw_live *live);

/* ---- child_signal.c ---- */

/* From now on a SIGCHLD wakes this reactor. Returns 0 or -errno. Twice is fine. */
int dw_child_signal_join(struct dw_live *live);
/* No longer. */
void dw_child_signal_leave(struct dw_live *live);

/* ---- signals.c ---- */

int dw_live_run_begin(dw_reactor *reactor);
void dw_live_run_end(dw_reactor *reactor);
/* Stops the reactor when a signal has come. */
void dw_signals_look(struct dw_live *live);

#endif
