/* SPDX-License-Identifier: MIT */
/*
 * The seam between core and a wire, for who writes a wire; protocols never need it.
 *
 * A wire supplies a clock, non-blocking sockets with POSIX manners, readiness and name resolution,
 * as one const table of functions. Errors are negative errno values. Core does all the rest: it
 * calls down through the table, and the wire calls up through the functions at the end of this
 * page.
 *
 * A wire embeds struct dw_reactor first in its own reactor.
 */
#ifndef DRYWIRE_BACKEND_H
#define DRYWIRE_BACKEND_H

#include "drywire/drywire.h"

#include <sys/types.h>
#include <sys/uio.h>

DW_BEGIN_DECLS

/* The most that one recv hands over, and so the most that one data_received gets. */
#define DW_RECV_MAX 65536

/* The most descriptors that one byte of a UNIX stream carries (Linux: SCM_MAX_FD, unix(7)). */
#define DW_DESCRIPTORS_MAX 253

/* For what seldom happens beside what happens for each message: kept out of its way. */
#if defined(__GNUC__)
#define DW_SELDOM __attribute__((noinline, cold))
/* And for what is seldom on one wire and usual on another. */
#define DW_APART __attribute__((noinline))
#else
#define DW_SELDOM
#define DW_APART
#endif

/* A wire's handle on a socket: a descriptor, or a pointer. */
typedef intptr_t dw_socket;
#define DW_SOCKET_NONE ((dw_socket)-1)

enum { DW_READABLE = 1, DW_WRITABLE = 2 };

typedef enum dw_io_kind {
    DW_IO_STREAM,     /* a connection: readable, writable */
    DW_IO_CONNECTING, /* an attempt: writable when it is decided */
    DW_IO_PORT,       /* a listener: readable when there is something to accept */
    DW_IO_DATAGRAM,   /* a datagram socket */
    DW_IO_PIPE,       /* our end of a pipe to a child process, see spawn; stdio_open */
    DW_IO_WATCHED,    /* a descriptor of the program's that it only wants to be told about */
    DW_IO_KIND_COUNT,
} dw_io_kind;

/* A socket as core holds it, embedded in core's objects. `socket` and `slot` are the wire's (slot
 * is 0 at first and survives everything but close), `kind` and `want` are core's. Core may move it
 * in memory until the first call of `watch`, not after. */
typedef struct dw_io {
    dw_socket socket;
    uint32_t slot;
    uint8_t kind;
    uint8_t family; /* a dw_address_kind, set by open, accept and adopt */
    uint8_t want;   /* DW_READABLE | DW_WRITABLE */
    uint8_t state;  /* the wire's, as slot is */
} dw_io;

/* A descriptor that is not core's: the program's, or one that a wire has for itself (a pidfd, a
 * name server's socket). `io` is of DW_IO_WATCHED and filled in by the wire's adopt. `ready` may do
 * anything but free `watched`'s memory without having called close. */
typedef struct dw_watched {
    dw_io io;
    void (*ready)(dw_reactor *reactor, struct dw_watched *watched, unsigned ready);
} dw_watched;

typedef enum dw_socket_option {
    DW_OPTION_NO_DELAY,
    DW_OPTION_KEEP_ALIVE,
    DW_OPTION_BROADCAST,
    DW_OPTION_REUSE_PORT,    /* before bind: others may bind the same (multicast) */
    DW_OPTION_MULTICAST_TTL, /* a number */
    DW_OPTION_MULTICAST_LOOPBACK,
} dw_socket_option;

/* A child process as the wire knows it; embedded by core, one spawn each. */
typedef struct dw_child {
    void *wire_data; /* the wire's own */
    pid_t pid;       /* set by spawn */
} dw_child;

/* What spawn is asked for: dw_spawn_options with the defaults filled in, and an io of core's for
 * each descriptor that is a pipe (NULL for one that is inherited). */
typedef struct dw_spawn {
    const dw_spawn_options *options;
    dw_io **pipes; /* one per options->fds */
} dw_spawn;

/* Two descriptors of the program's that are one connection, drywire/stdio.h; `fd` (read, write) and
 * `close` are core's, the rest the wire's. */
typedef struct dw_stdio_files {
    int fd[2];
    bool close;
    bool out_is_pipe; /* told core by stdio_open: its writer can be told that no reader is left */
    bool blocked[2];  /* before */
    bool one_file;    /* both are, and share what is changed */
    uint8_t ended;    /* directions */
} dw_stdio_files;

typedef struct dw_wire {
    const char *name; /* "poll", "epoll", "uring", "sim" */

    dw_time (*now)(dw_reactor *reactor);
    dw_time (*wall_clock)(dw_reactor *reactor);
    void (*random)(dw_reactor *reactor, void *buffer, size_t len);
    /* A number below n; 0 on a live wire. */
    uint32_t (*choose)(dw_reactor *reactor, const char *what, uint32_t n);

    /* A socket of the address kind, non-blocking, close-on-exec: a datagram socket for
     * DW_IO_DATAGRAM, else a stream's. Sets io->socket and io->family. For an IP listener the wire
     * sets SO_REUSEADDR; for one and for a datagram socket, IPV6_V6ONLY off. */
    int (*open)(dw_reactor *reactor, dw_io *io, dw_address_kind kind);
    int (*bind)(dw_reactor *reactor, dw_io *io, const dw_address *address);
    /* For a UNIX socket that was bound to a file (never an abstract name): the file's permission
     * bits; the file is removed, also by dw_reactor_fini (a wire whose program has crashed leaves
     * it). unlink NULL: no UNIX sockets on this wire. */
    int (*set_mode)(dw_reactor *reactor, const dw_address *address, unsigned mode);
    void (*unlink)(dw_reactor *reactor, const dw_address *address);
    /* Two numbers that tell the file which has this name now from any other (device, inode), so
     * that only our own is removed. NULL, or an error when it is asked after bind: whatever file
     * has the name is removed. */
    int (*file_id)(dw_reactor *reactor, const dw_address *address, uint64_t id[2]);
    /* Makes io the wire's from a descriptor of the program's: a socket is duplicated and made
     * non-blocking; a DW_IO_WATCHED one is used as it is, and close leaves it open. -ENOTSOCK,
     * -EINVAL: not of io->kind. NULL: not on this wire. */
    int (*adopt)(dw_reactor *reactor, dw_io *io, int fd);
    int (*listen)(dw_reactor *reactor, dw_io *io, int backlog);
    /* 0: connected; -EINPROGRESS: writable will be reported, then connect_result tells. On a UNIX
     * stream -EAGAIN: the listener's queue is full; core calls again later, on the same io. A
     * datagram socket is connected at once. */
    int (*connect)(dw_reactor *reactor, dw_io *io, const dw_address *address);
    int (*connect_result)(dw_reactor *reactor, dw_io *io);
    /* Sets conn->socket and *peer. -EMFILE: out of descriptors, the wire has disposed of the
     * connection at the head of the queue if it could. */
    int (*accept)(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer);
    /* Points *data at up to DW_RECV_MAX received bytes, good until the callback that gets them has
     * returned and the following flush is over. Returns their number, 0 at the end of the stream,
     * or -errno. On a UNIX stream (io->family) it also receives what take_descriptor hands out, so
     * it has to be a recvmsg there: a plain recv lets the kernel drop descriptors without a word. A
     * wire that receives in another way (io_uring) may use readiness and dw_live_recv_unix for UNIX
     * streams alone. */
    ssize_t (*recv)(dw_reactor *reactor, dw_io *io, const uint8_t **data);
    /* Takes some of the bytes of `count` pieces; returns how many, or -errno. Never raises SIGPIPE.
     * No bytes at all ask whether sending is still possible: 0 or -EPIPE (core does so on UNIX
     * streams). */
    ssize_t (*send)(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count);
    /* For a wire whose send takes bytes before the system does: 0 when it has all of them; -EAGAIN
     * when it has not, and writable will be reported when it has; or -errno, why it never will.
     * Asked before shutdown, and before the close that ends an orderly flush. NULL: 0. */
    int (*flushed)(dw_reactor *reactor, dw_io *io);
    /* UNIX streams. As send, with descriptors beside the first byte. NULL: not on this wire. */
    ssize_t (*send_descriptors)(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                int count, const int *fds, size_t fd_count);
    /* The next descriptor that the last recv brought, close-on-exec, now core's; -1: no more. Core
     * asks until -1 after each recv on a UNIX stream that returned bytes, before anything else. */
    int (*take_descriptor)(dw_reactor *reactor, dw_io *io);
    /* Makes a descriptor of core's own from one of the program's (dup, close-on-exec), or -errno;
     * closes one. Set if send_descriptors or take_descriptor is. */
    int (*keep_descriptor)(dw_reactor *reactor, int fd);
    void (*drop_descriptor)(dw_reactor *reactor, int fd);
    /* The number behind io for the program to see, or -1. NULL: -1. */
    int (*handle)(dw_reactor *reactor, const dw_io *io);

    /* Datagrams. One datagram, cut to `max` bytes (at most DW_RECV_MAX), which lie as recv's do;
     * sets *from. Returns its length, -EAGAIN, or -ECONNREFUSED when one that was sent met nobody
     * (connected sockets). recv_from NULL: no datagrams on this wire. */
    ssize_t (*recv_from)(dw_reactor *reactor, dw_io *io, size_t max, const uint8_t **data,
                         dw_address *from);
    /* Sends one datagram whole, to NULL: to where connect said. `count` is at most
     * DW_DATAGRAM_PIECES_MAX. Returns its length or -errno: -EAGAIN and -ENOBUFS when there is no
     * room, -EMSGSIZE, -ECONNREFUSED when an earlier one met nobody: then this one was not sent,
     * and the next call does. */
    ssize_t (*send_to)(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count,
                       const dw_address *to);
    /* Joins or leaves a multicast group on the interface that has this address (NULL: any; IPv6: an
     * address with a scope says the interface by that). These three may be NULL. */

    int (*membership)(dw_reactor *reactor, dw_io *io, const dw_address *group,
                      const dw_address *interface, bool join);
    int (*set_multicast_interface)(dw_reactor *reactor, dw_io *io, const dw_address *interface);
    int (*get_multicast_interface)(dw_reactor *reactor, dw_io *io, dw_address *out);

    /* Ends the sending direction (FIN). */
    int (*shutdown)(dw_reactor *reactor, dw_io *io);
    /* Closes; with `reset` so that the peer gets a RST. io->socket becomes DW_SOCKET_NONE. */
    void (*close)(dw_reactor *reactor, dw_io *io, bool reset);
    int (*local_address)(dw_reactor *reactor, dw_io *io, dw_address *out);
    int (*remote_address)(dw_reactor *reactor, dw_io *io, dw_address *out);
    int (*get_option)(dw_reactor *reactor, dw_io *io, dw_socket_option option);
    int (*set_option)(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value);

    /* Core changed io->want. Readiness is reported by dw_io_ready, for what is wanted only, from
     * the wire's wait and never from inside this or any other slot. */
    void (*watch)(dw_reactor *reactor, dw_io *io);

    /* The wire's own resolver (drywire/resolver.h has the contract): looks lookup->name up, in the
     * families that lookup->family says, and answers by dw_lookup_found and dw_lookup_finish, or by
     * dw_lookup_done. Negative: could not start. cancel: no answer comes any more. */
    int (*resolve)(dw_reactor *reactor, dw_lookup *lookup);
    void (*resolve_cancel)(dw_reactor *reactor, dw_lookup *lookup);

    /* Prefixes of endpoint descriptions that only this wire has, linked by `next`; NULL: none. */
    const dw_endpoint_type *endpoint_types;

    /* Child processes. spawn starts one: sets child->pid, and the pipes' sockets (kind DW_IO_PIPE,
     * as core has set it); on failure it leaves nothing open. recv, send, watch and close work on a
     * pipe. One that we write to counts as readable when nobody is left to read it, and recv then
     * returns 0 (before that -EAGAIN): poll(2) tells the writer of a pipe by POLLERR. A child's end
     * is told by dw_child_exited, never from inside a slot. A program that cannot be run is a child
     * that ends with status 1. kill: -ESRCH when it has exited. forget: nobody wants to
     * know of its end any more. NULL: no children on this wire. */
    int (*spawn)(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn);
    int (*kill)(dw_reactor *reactor, dw_child *child, int signal_number);
    void (*forget)(dw_reactor *reactor, dw_child *child);

    /* Standard input and output, or two others, as pipes (kind DW_IO_PIPE, as core has set it) that
     * core reads, writes and closes as those of children, in `in` and `out`: makes the program's
     * descriptors non-blocking and uses duplicates. 0 or -errno (-EBADF: not open for that), then
     * all is as it was. stdio_end: DW_READABLE or DW_WRITABLE is over, before the pipe is closed;
     * gives that descriptor back, as it was, or closes it. NULL: not on this wire. */
    int (*stdio_open)(dw_reactor *reactor, dw_stdio_files *files, dw_io *in, dw_io *out);
    void (*stdio_end)(dw_reactor *reactor, dw_stdio_files *files, unsigned direction);

    /* Work beside the loop (drywire/offload.h): has offload->work_(offload->user_) done on another
     * thread, then dw_offload_worked called, never from inside a slot but offload_finish; 0 or
     * -errno. offload_cancel: whether it had not begun, and will not. offload_forget: it has, and
     * nobody wants to know. offload_finish: waits for all work that has begun, and tells of it.
     * `wire_data_` is the wire's. NULL: core does it in the loop, when a choice says. */
    int (*offload)(dw_reactor *reactor, struct dw_offload *offload);
    bool (*offload_cancel)(dw_reactor *reactor, struct dw_offload *offload);
    void (*offload_forget)(dw_reactor *reactor, struct dw_offload *offload);
    void (*offload_finish)(dw_reactor *reactor);

    /* From any thread, and from signal handlers: makes the wait return soon. Called when the first
     * call from a thread is waiting. NULL: the wire looks at dw_reactor_next_due by itself. */
    void (*wake_from_thread)(dw_reactor *reactor);

    /* For a foreign loop that waits in wait's stead: a descriptor that is readable when wait would
     * have something to report, or -EOPNOTSUPP. Called before each such wait: hands over to the
     * kernel what wait would. *more becomes true when wait has something to report already that the
     * descriptor will not show. NULL: not on this wire. */
    int (*descriptor)(dw_reactor *reactor, bool *more);

    /* There is work for dw_reactor_turn at `due`, earlier than the wire was told before. A wire
     * that asks dw_reactor_next_due before it waits may leave this NULL. */
    void (*wake)(dw_reactor *reactor, dw_time due);

    /* Waits until something is ready, `timeout` has passed (0: does not wait; negative: for ever),
     * or the loop should look up for another reason; reports readiness. NULL on a wire that drives
     * its reactors itself; run and iterate then answer DW_ALREADY_RUNNING. */
    int (*wait)(dw_reactor *reactor, dw_time timeout);
    /* Around run: signal handlers on and off. 0 or -errno. May be NULL. */
    int (*run_begin)(dw_reactor *reactor);
    void (*run_end)(dw_reactor *reactor);

    /* A broken contract: by the program, or inside the library. NULL: a line on stderr, and abort.
     */
    void (*violation)(dw_reactor *reactor, const char *oracle, const char *message);
    /* A log line for which the user set no function. NULL: stderr. */
    void (*log)(dw_reactor *reactor, const char *line);
    /* Frees the wire's reactor after core's part is finished. NULL: dw_reactor_free is not for it.
     */
    void (*destroy)(dw_reactor *reactor);
} dw_wire;

/* What an observer is told: calls that core makes to the program, and the program's verbs. */
typedef enum dw_seen {
    DW_SEEN_MADE,        /* connection_made */
    DW_SEEN_DATA,        /* data_received: data, len */
    DW_SEEN_LOST,        /* connection_lost: code = reason kind, len = errno */
    DW_SEEN_READ_LOST,   /* read_connection_lost */
    DW_SEEN_WRITE_LOST,  /* write_connection_lost */
    DW_SEEN_FAILED,      /* client_connection_failed: code, len = errno; io NULL */
    DW_SEEN_CALL,        /* a delayed call runs: data = where_, as text; io NULL */
    DW_SEEN_WRITE,       /* write, writev: data (first piece, code bytes of it), len (all) */
    DW_SEEN_LOSE,        /* lose_connection */
    DW_SEEN_LOSE_WRITE,  /* lose_write_connection */
    DW_SEEN_ABORT,       /* abort_connection */
    DW_SEEN_FAIL,        /* dw_transport_fail: code */
    DW_SEEN_PAUSE,       /* pause_producing of the transport */
    DW_SEEN_RESUME,      /* resume_producing of the transport */
    DW_SEEN_CONNECT,     /* dw_connector_connect: data = host, as text; len = port; io NULL */
    DW_SEEN_LISTEN,      /* a port listens: io */
    DW_SEEN_STOP_LISTEN, /* it no longer does: io */
    DW_SEEN_DATAGRAM,    /* datagram_received: data, len */
    DW_SEEN_REFUSED,     /* connection_refused */
    DW_SEEN_SEND,        /* dw_datagram_write: data (first piece, code bytes of it), len (all) */
    DW_SEEN_SPAWN,       /* a child starts: data = its name, as text; io NULL */
    DW_SEEN_CHILD_DATA,  /* child_data_received: code = its descriptor, data, len */
    DW_SEEN_CHILD_LOST,  /* child_connection_lost: code = its descriptor */
    DW_SEEN_EXITED,      /* process_exited: code = its wait status, data = its protocol's name */
    DW_SEEN_ENDED,       /* process_ended: data = its protocol's name, as text; io NULL, as above */
    DW_SEEN_CHILD_WRITE, /* dw_process_write_to_child: code = its descriptor, data, len */
} dw_seen;

/* Told just before the call is made or the verb acts. Must not call back into core. */
typedef void (*dw_observe_fn)(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                              const void *data, size_t len);

/* Pending delayed calls; see core/src/timers.c and timer_heap.h. */
struct dw_timers {
    struct dw_timer_node *heap; /* 8-ary, by (due, sequence), up to `ordered` */
    uint32_t count, ordered, room;
    uint32_t dead; /* nodes whose calls were taken back */
    uint64_t sequence;
    dw_time seen;                           /* the clock, when it was last read here */
    uint32_t trust;                         /* so often may `seen` be taken for now */
    dw_delayed_call *soon_head, *soon_tail; /* delay 0: already in order */
    dw_delayed_call *spare;                 /* unsorted; used only when the heap could not grow */
    size_t soon_count, spare_count;
};

enum { DW_ANSWER_MAX = 256 }; /* bytes that a borrower writes that are not from the read buffer */

struct dw_reactor {
    const dw_wire *wire;
    dw_allocator allocator;
    dw_observe_fn observe; /* NULL: nobody looks */
    /* The same for the bytes of streams, DW_SEEN_DATA and DW_SEEN_WRITE: whoever does not need them
     * has the shorter way. */
    dw_observe_fn observe_bytes;

    /* Core's own. */
    struct dw_timers timers;
    struct dw_list_node transports, ports, connectors, datagram_ports, processes; /* all */
    struct dw_list_node lookups;            /* with a resolver */
    dw_resolver own_resolver, *resolver;    /* the wire's slots; the one in use */
    const dw_endpoint_type *endpoint_types; /* the program's own prefixes */
    struct dw_list_node owned;              /* memory that goes with the reactor at the latest */
    struct dw_list_node connectings;        /* attempts of endpoints */
    struct dw_list_node offloads;           /* work under way */
    dw_transport *dirty_head, *dirty_tail;  /* written to; flushed when the callback has returned */
    dw_transport *ready_head, *ready_tail;  /* to be looked after in the next turn */
    dw_transport *aborted_head, *aborted_tail; /* to be ended, in order among delayed calls */
    struct dw_buffer *pool;                    /* empty write buffers */
    unsigned pool_count;
    dw_transport *borrower;                    /* writes bytes that lie in the read buffer or in */
    struct iovec borrowed;                     /* `answer`: these; see core/src/transport.c */
    const uint8_t *received;                   /* what the running data_received was given, */
    size_t received_len;                       /* as long as it can be borrowed */
    struct dw_list_node triggers[6], held;     /* held: shutdown waits for these */
    dw_trigger *firing;                        /* its function runs */
    DW_SHARED_(dw_thread_call *) thread_calls; /* the newest first; see core/src/thread_call.c */
    struct dw_descriptor **descriptors;        /* by number; see core/src/descriptor.c */
    uint32_t descriptor_room;
    dw_log_fn log_fn;
    void *log_user;
    int last_errno;
    unsigned depth; /* inside how many entries from the wire */
    uint8_t state;
    bool stop_asked;
    bool crashed; /* dw_reactor_crash was called: the loop is about to be left */
    bool looping; /* inside run or iterate */
    size_t connecting_count, connection_count, port_count;
    size_t starved_count;    /* connectors that had no memory to begin an attempt: */
    dw_delayed_call starved; /* fails them, one after the other */
    uint8_t answer[DW_ANSWER_MAX];
};

/* The `where` of every transport's memory. A wire's allocator that keeps such blocks as they are
 * after they were given back lets core name a verb on a dead transport. */
extern const char dw_where_transport[];

/* For a wire whose program is gone without a word: nothing is pending any more; delayed calls and
 * triggers, whose memory must still be there, are as if cancelled. */
void dw_reactor_forget(dw_reactor *reactor);

/* Where the delayed call that is due next was armed, or NULL without one: for leak reports. */
const char *dw_reactor_pending_call(const dw_reactor *reactor);

/* ---- What oracles ask: facts.c ---- */

/* What is behind a DW_IO_STREAM, DW_IO_CONNECTING or DW_IO_PORT. */
typedef struct dw_io_facts {
    dw_protocol *protocol; /* the program's own, inside all wrappers; NULL: there is none */
    dw_factory *factory;   /* that built it, or NULL; a port's own */
    size_t unsent;         /* bytes written that the wire has not taken */
    bool paused;           /* the program does not read */
    bool half_closed;      /* the peer's end of stream was seen, the connection goes on */
    bool closing;          /* the program has asked for its end */
    bool producer_paused;
} dw_io_facts;

void dw_io_look(const dw_io *io, dw_io_facts *out);

/* The stream or attempt behind `previous` (NULL: the first) that the reactor has; NULL: no more.
 * Those that are being aborted are left out. */
const dw_io *dw_reactor_next_stream(const dw_reactor *reactor, const dw_io *previous);

/* Whether a port or connector is there that uses the factory, be it behind wrapping factories; so
 * it is still there. `factory` is compared, not looked at. */
bool dw_reactor_uses_factory(const dw_reactor *reactor, const dw_factory *factory);

/* The factory of the connector that a DW_SEEN_CONNECT is about, by its `data`; the one inside all
 * wrapping factories. */
dw_factory *dw_connect_seen_factory(const void *data);

/* What the protocol of a DW_IO_DATAGRAM promises, or NULL. */
const dw_promises *dw_datagram_promises(const dw_io *io);

/* The protocol inside all wrappers; `protocol` itself when it is none. */
dw_protocol *dw_protocol_unwrapped(dw_protocol *protocol);

/* Delayed calls that are pending, the next ones first, at most `max`. Returns how many. */
typedef struct dw_pending_call {
    const char *where; /* it was armed */
    dw_time due;
} dw_pending_call;

size_t dw_reactor_pending_calls(const dw_reactor *reactor, dw_pending_call *out, size_t max);

/* The `where` of memory that is the reactor's and no connection's in particular: bytes that wait to
 * be sent, the heap of delayed calls. */
extern const char dw_where_buffer[];
extern const char dw_where_timers[];

/* ---- Calls up, for the wire ---- */

/* Prepares / ends core's part. fini closes what is open, without callbacks. */
void dw_reactor_init(dw_reactor *reactor, const dw_wire *wire, const dw_allocator *allocator);
void dw_reactor_fini(dw_reactor *reactor);

/* `io` is ready for some of what it wants. Runs callbacks and flushes what they wrote; `io` may be
 * gone afterwards. */
void dw_io_ready(dw_reactor *reactor, dw_io *io, unsigned ready);

/* The same for a TCP connection that is readable, and not also writable and wanting that, by a wire
 * without a `wake` that has done what its recv does already: `len` > 0 bytes, or `n`, its result
 * without any. */
void dw_io_received(dw_reactor *reactor, dw_io *io, const uint8_t *data, size_t len);
void dw_io_received_none(dw_reactor *reactor, dw_io *io, ssize_t n);

/* One turn without input and output: due delayed calls, then connections to look after. */
void dw_reactor_turn(dw_reactor *reactor);

/* The two halves of it, for a loop that waits in between as Twisted's does. */
void dw_reactor_turn_calls(dw_reactor *reactor);
void dw_reactor_turn_ready(dw_reactor *reactor);

/* When dw_reactor_turn has something to do: now or before, a time to come, or DW_TIME_MAX. */
dw_time dw_reactor_next_due(const dw_reactor *reactor);

/* A whole answer at once: dw_lookup_found for each of `count` addresses, then dw_lookup_finish. */
void dw_lookup_done(dw_reactor *reactor, dw_lookup *lookup, int error, const dw_address *addresses,
                    size_t count);

/* The child has exited and is no more; `status` as wait(2) has it. */
void dw_child_exited(dw_reactor *reactor, dw_child *child, int status);

/* The work is done; `done` is called. */
void dw_offload_worked(dw_reactor *reactor, struct dw_offload *offload);

/* For a wire that drives its reactors itself: the startup event; the shutdown event, which waits
 * for no held trigger any more. */
void dw_reactor_startup(dw_reactor *reactor);
void dw_reactor_shutdown(dw_reactor *reactor);
/* Whether dw_reactor_stop was called, shutdown has not been done, and no trigger holds it up: there
 * is something to do about it now. */
bool dw_reactor_stopping(const dw_reactor *reactor);
/* The first part of the shutdown event, after a turn's calls and when dw_reactor_stopping: the
 * before-triggers. True: now dw_reactor_shutdown may do the rest. False: one of them holds it up;
 * the reactor goes on running. */
bool dw_reactor_prepare_shutdown(dw_reactor *reactor);

/* The protocol's name for a connection's io, for traces; the factory's for a port's. */
const char *dw_io_name(const dw_io *io);

/* Reports a broken contract when `holds` is false; returns `holds`. */
bool dw_contract(dw_reactor *reactor, bool holds, const char *oracle, const char *message);

DW_END_DECLS

#endif
