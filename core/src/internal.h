/* SPDX-License-Identifier: MIT */
/*
 * What core's files share and nobody else sees: the transport's insides, lists, write buffers. The
 * public headers say what things mean; this page only says how they lie in memory.
 */
#ifndef DRYWIRE_CORE_INTERNAL_H
#define DRYWIRE_CORE_INTERNAL_H

#include "drywire/backend.h"
#include "drywire/wrapper.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* ---- Lists: circular, doubly linked, through an embedded node ---- */

static inline void list_init(struct dw_list_node *head) {
    head->next = head->previous = head;
}

static inline bool list_empty(const struct dw_list_node *head) {
    return head->next == head;
}

static inline void list_add(struct dw_list_node *head, struct dw_list_node *node) {
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

static inline void list_remove(struct dw_list_node *node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* Moves all nodes to the empty list `to`. */
static inline void list_move(struct dw_list_node *to, struct dw_list_node *from) {
    list_init(to);
    if (list_empty(from)) {
        return;
    }
    *to = *from;
    to->next->previous = to->previous->next = to;
    list_init(from);
}

/* ---- Write buffers: bytes [head, tail) of one block ---- */

typedef struct dw_buffer {
    struct dw_buffer *next; /* in the pool */
    size_t room, head, tail;
    uint8_t bytes[];
} dw_buffer;

/* Appends; *buffer may be NULL at first. False without memory, then nothing has changed. */
bool dw_buffer_append(dw_reactor *reactor, dw_buffer **buffer, const void *data, size_t len);
/* Gives it back to the reactor's pool, or to the allocator; NULL is fine. */
void dw_buffer_release(dw_reactor *reactor, dw_buffer *buffer);
/* Frees the pool. */
void dw_buffer_pool_clear(dw_reactor *reactor);

static inline size_t buffer_len(const dw_buffer *buffer) {
    return buffer == NULL ? 0 : buffer->tail - buffer->head;
}

/* ---- Transports ---- */

enum {
    T_CONNECTED = 1 << 0,
    T_DISCONNECTING = 1 << 1,  /* lose_connection was called */
    T_ABORTED = 1 << 2,        /* in the reactor's list of aborted ones, or past it */
    T_LOSE_WRITE = 1 << 3,     /* lose_write_connection was called */
    T_WRITE_CLOSED = 1 << 4,   /* and has happened */
    T_READ_CLOSED = 1 << 5,    /* the peer's end of stream was seen, the protocol is aware */
    T_PAUSED = 1 << 6,         /* reading paused by the program */
    T_BLOCKED = 1 << 7,        /* the wire takes no more; waiting for writable */
    T_BROKEN = 1 << 8,         /* a send failed with reason_errno; connection_lost is due */
    T_FAILED = 1 << 9,         /* dw_transport_fail; connection_lost is due */
    T_LOST = 1 << 10,          /* connection_lost was called */
    T_DIRTY = 1 << 11,         /* in the reactor's list to flush */
    T_READY = 1 << 12,         /* in the reactor's list to attend to */
    T_LISTED = 1 << 13,        /* in the list of aborted ones */
    T_MAKING_SERVER = 1 << 14, /* inside a server's connection_made */
    T_DEAD = 1 << 15,          /* given back; seen only where the wire keeps such memory */
    /* What was received is not for the protocol any more. */
    T_HEARS_NO_MORE = T_LOST | T_ABORTED | T_BROKEN | T_FAILED | T_DISCONNECTING
};

/* What few connections need: attempts and clients, producers. */
struct dw_extra {
    union { /* here instead of in the transport */
        dw_buffer *out;
        const char *reason_text;
    };
    dw_connector *connector; /* NULL at a server */
    dw_producer *producer;
    struct dw_outgoing *outgoing; /* passing.c; NULL: no descriptor is on its way */
    bool streaming, producer_paused;
    size_t low, high;
};

/* Which member of the transport's unions is the one in use; see the functions below them. */
enum {
    T_FORM_EXTRA = 1 << 0,  /* `extra`, not `out` */
    T_FORM_BLOCK = 1 << 1,  /* `peer.block`, not `peer.small` */
    T_FORM_PLACED = 1 << 2, /* `aborted`, not `node` */
    T_FORM_SENT = 1 << 3,   /* no member: bytes were sent after lose_connection */
};

/* An idle connection is this and no more: each byte counts a million times. */
struct dw_transport {
    struct dw_transport_head head; /* what stands in for a transport begins alike */
    dw_io io;
    dw_reactor *reactor;
    dw_protocol *protocol;
    union {
        dw_buffer *out;
        struct dw_extra *extra;
        const char *reason_text; /* with T_FAILED, when there is nothing to send any more */
    };
    union {
        struct dw_list_node node; /* of reactor->transports */
        struct {                  /* with T_ABORTED: its place among the delayed calls */
            dw_time at;
            uint64_t sequence;
        } aborted;
    };
    dw_transport *next_dirty, *next_ready; /* next_ready also links the aborted ones */
    union {
        struct {
            uint8_t kind, path_len; /* DW_ADDRESS_NONE, _IPV4, or _UNIX without a name */
            uint16_t port;
            uint8_t ip[4];
        } small;
        dw_address *block; /* as much of one as its kind needs */
    } peer;
    uint16_t flags;
    uint16_t busy; /* callbacks of this connection on the stack */
    int16_t reason_errno;
    int8_t reason_kind;
    uint8_t form;
};

_Static_assert(sizeof(void *) > 8 || sizeof(struct dw_transport) <= 96, "an idle connection grew");

static inline struct dw_extra *stream_extra(const dw_transport *t) {
    return (t->form & T_FORM_EXTRA) != 0 ? t->extra : NULL;
}

/* NULL at a server. */
static inline dw_connector *stream_connector(const dw_transport *t) {
    return (t->form & T_FORM_EXTRA) != 0 ? t->extra->connector : NULL;
}

/* It failed, and what led to that has returned: reason_text is set where `out` was. */
static inline bool stream_has_text(const dw_transport *t) {
    return (t->flags & (T_FAILED | T_MAKING_SERVER)) == T_FAILED;
}

/* The connector wants to hear of it no more. */
static inline void stream_leave_connector(dw_transport *t) {
    if ((t->form & T_FORM_EXTRA) != 0) {
        t->extra->connector = NULL;
    }
}

static inline const char **stream_text(dw_transport *t) {
    return (t->form & T_FORM_EXTRA) != 0 ? &t->extra->reason_text : &t->reason_text;
}

/* What was written and not sent; not to be asked with stream_has_text. */
static inline dw_buffer **stream_out(dw_transport *t) {
    return (t->form & T_FORM_EXTRA) != 0 ? &t->extra->out : &t->out;
}

/* stream.c: the connection's state machine. */
dw_transport *dw_stream_new(dw_reactor *reactor);
/* Who is at the other end. False without memory. */
bool dw_stream_set_peer(dw_transport *t, const dw_address *peer);
dw_address dw_stream_peer(const dw_transport *t);
/* Its extra part, made when it has none yet; NULL without memory. */
struct dw_extra *dw_stream_make_extra(dw_transport *t);
/* Takes those that are aborted back among reactor->transports: for who ends them all. */
void dw_stream_rejoin_aborted(dw_reactor *reactor);
/* Drops what was written and not sent. */
void dw_stream_drop_output(dw_transport *t);
/* Hands a connected socket (io is set) to a protocol; NULL: closes it. */
void dw_stream_establish(dw_transport *t, dw_protocol *protocol);
/* The same for a pipe to a child process, which is not counted as a connection. */
void dw_stream_establish_pipe(dw_transport *t, dw_protocol *protocol);
void dw_stream_ready(dw_transport *t, unsigned ready);
/* Sends what the last callbacks wrote. */
void dw_stream_flush(dw_transport *t);
/* The same for the borrower, which is not dirty. */
void dw_stream_flush_borrowed(dw_reactor *reactor);
/* After the flush: resume a producer, close, half-close, report a broken connection. */
void dw_stream_attend(dw_transport *t);
/* The aborted transport at the head of its list: its time has come. */
void dw_stream_abort_now(dw_transport *t);
void dw_stream_list_aborted(dw_transport *t);
/* Ends it: connection_lost and all that follows. */
void dw_stream_lost(dw_transport *t, dw_error kind, int sys_errno, const char *text);
/* Frees it as soon as nothing refers to it any more. */
void dw_stream_free_if_done(dw_transport *t);
/* Frees it at once and without callbacks, its protocol's destroy included (reactor's end). */
void dw_stream_discard(dw_transport *t);
/* Brings io.want up to date. */
void dw_stream_watch(dw_transport *t);
void dw_stream_mark_dirty(dw_transport *t);
void dw_stream_mark_ready(dw_transport *t);
/* Ends it in a later turn, without a flush. */
void dw_stream_abort_later(dw_transport *t, dw_error kind);

/* Of a pipe to a child, child_pipe.c tells. */
static inline void stream_see(const dw_transport *t, dw_seen seen, int code, const void *data,
                              size_t len) {
    bool of_bytes = seen == DW_SEEN_DATA || seen == DW_SEEN_WRITE;
    dw_observe_fn observe = of_bytes ? t->reactor->observe_bytes : t->reactor->observe;
    if (observe != NULL && t->io.kind != DW_IO_PIPE) {
        observe(t->reactor, seen, &t->io, code, data, len);
    }
}

/* Bytes written and not sent; 0 for NULL. */
static inline size_t stream_buffered(const dw_transport *t) {
    if (t == NULL) {
        return 0;
    }
    if (stream_has_text(t)) {
        return 0;
    }
    const struct dw_extra *extra = stream_extra(t);
    return buffer_len(extra != NULL ? extra->out : t->out) +
           (t->reactor->borrower == t ? t->reactor->borrowed.iov_len : 0);
}

/* passing.c: descriptors over UNIX streams. */
int dw_passing_queue(dw_transport *t, int fd);
/* Whether some wait; then dw_passing_send stands in for the wire's send of one piece. */
bool dw_passing_waits(const dw_transport *t);
ssize_t dw_passing_send(dw_transport *t, const struct iovec *all);
/* Closes those that wait. */
void dw_passing_drop(dw_transport *t);
/* Hands over those that the last recv brought, inside an entry of `busy`. */
void dw_passing_receive(dw_transport *t);

/* ---- Verbs: what a transport can do. Connections have one table, wrappers another. ---- */

struct dw_transport_verbs {
    void (*write)(dw_transport *transport, const void *data, size_t len);
    void (*writev)(dw_transport *transport, const struct iovec *pieces, size_t count);
    void (*lose_connection)(dw_transport *transport);
    void (*abort_connection)(dw_transport *transport);
    void (*lose_write_connection)(dw_transport *transport);
    void (*fail)(dw_transport *transport, const dw_reason *reason);
    void (*pause_producing)(dw_transport *transport);
    void (*resume_producing)(dw_transport *transport);
    int (*register_producer)(dw_transport *transport, dw_producer *producer, bool streaming);
    void (*unregister_producer)(dw_transport *transport);
    int (*set_write_limits)(dw_transport *transport, size_t low, size_t high);
    size_t (*buffered)(const dw_transport *transport);
    dw_address (*peer)(const dw_transport *transport);
    dw_address (*host)(dw_transport *transport);
    bool (*connected)(const dw_transport *transport);
    bool (*disconnecting)(const dw_transport *transport);
    bool (*disconnected)(const dw_transport *transport);
    dw_reactor *(*reactor)(const dw_transport *transport);
    bool (*get_option)(dw_transport *transport, dw_socket_option option);
    int (*set_option)(dw_transport *transport, dw_socket_option option, bool on);
    int (*send_file_descriptor)(dw_transport *transport, int fd);
    int (*handle)(const dw_transport *transport);
};

extern const struct dw_transport_verbs dw_stream_verbs;  /* transport.c; takes NULL too */
extern const struct dw_transport_verbs dw_wrapper_verbs; /* wrapper.c */

static inline const struct dw_transport_verbs *verbs_of(const dw_transport *t) {
    return t != NULL ? ((const struct dw_transport_head *)t)->verbs : &dw_stream_verbs;
}

/* The wrapper that stands in for `t`, or NULL for a connection (and for NULL). */
static inline dw_protocol_wrapper *wrapper_of(const dw_transport *t) {
    if (verbs_of(t) != &dw_wrapper_verbs) {
        return NULL;
    }
    return DW_CONTAINER_OF((uintptr_t)t, dw_protocol_wrapper, transport_);
}

/* ---- Connectors and ports ---- */

void dw_connector_ready(dw_transport *t);
void dw_connector_lost(dw_connector *connector, const dw_reason *reason);
void dw_connector_shutdown(dw_connector *connector);
void dw_connector_discard(dw_connector *connector);
dw_connector *dw_connector_of_node(struct dw_list_node *node);
/* Its factory; *stood_in_for is the program's one behind it, or NULL. */
dw_factory *dw_connector_factory(const dw_connector *connector, dw_factory **stood_in_for);
/* The factory inside a wrapping factory; NULL: it is none. */
dw_factory *dw_factory_wrapped(dw_factory *factory);
/* For a factory that stands in for the program's: `made` is told after connection_made (`protocol`
 * NULL: the factory made none), and `factory` becomes the protocol's. Before the attempt begins. */
void dw_connector_stand_in(dw_connector *connector, dw_factory *factory,
                           void (*made)(dw_client_factory *own, dw_protocol *protocol));

/* socket_file.c: the file of a UNIX socket, by which it is known again. */
struct dw_socket_file {
    uint64_t id[2];
    bool ours;  /* to be removed by us */
    bool known; /* id is */
};
/* Binds `io`, of whatever kind; a UNIX socket's file gets `mode` (0: what the umask leaves). */
int dw_socket_file_bind(dw_reactor *reactor, dw_io *io, const dw_address *address, unsigned mode,
                        struct dw_socket_file *file);
/* Removes the file, if bind made one and it is still that one. */
void dw_socket_file_remove(dw_reactor *reactor, const dw_address *address,
                           struct dw_socket_file *file);

void dw_port_ready(dw_port *port);
dw_port *dw_port_of_io(dw_io *io);
dw_port *dw_port_of_node(struct dw_list_node *node);
void dw_port_shutdown(dw_port *port);
void dw_port_discard(dw_port *port);
const char *dw_port_factory_name(const dw_io *io);
dw_factory *dw_port_factory(const dw_io *io);
const dw_io *dw_port_io(const dw_port *port);
/* An errno of opening or binding, as listen functions answer it; also for dw_reactor_errno. */
int dw_cannot_listen(dw_reactor *reactor, int error);
/* The same for adopting. */
int dw_cannot_adopt(dw_reactor *reactor, int error);

void dw_datagram_ready(dw_io *io);
const char *dw_datagram_name(const dw_io *io);
dw_datagram_port *dw_datagram_of_node(struct dw_list_node *node);
void dw_datagram_shutdown(dw_datagram_port *port);
void dw_datagram_discard(dw_datagram_port *port);

/* ---- Names ---- */

void dw_lookups_init(dw_reactor *reactor);
/* Fails / forgets all lookups; the second without callbacks. */
void dw_lookups_shutdown(dw_reactor *reactor);
void dw_lookups_discard(dw_reactor *reactor);
/* dw_reactor_resolve for a caller that is not inside a call of the program's: the answer may come
 * before this returns, and `lookup` be gone. */
void dw_lookup_begin_now(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                         dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user);

/* ---- Child processes ---- */

/* The name of the protocol of the process whose pipe this is. */
const char *dw_child_pipe_name(const dw_transport *t);
dw_process *dw_process_of_node(struct dw_list_node *node);
size_t dw_processes_count(const dw_reactor *reactor);
/* Forgets the child and closes its pipes, without callbacks but destroy (reactor's end). */
void dw_process_discard(dw_process *process);

/* ---- Endpoints: attempt.c ---- */

/* What an attempt or a connection of an endpoint needs, in the reactor's list `owned`: freed when
 * it is over, or without callbacks by dw_reactor_fini. Embedded first. */
struct dw_owned {
    struct dw_list_node node;
    void (*discard)(dw_reactor *reactor, struct dw_owned *owned);
};
void dw_owned_discard(dw_reactor *reactor);
/* endpoint.c: attempts under way fail / are over, nobody is told. */
void dw_connectings_shutdown(dw_reactor *reactor);
void dw_connectings_discard(dw_reactor *reactor);

/* One connector on behalf of an endpoint. Exactly one of the two functions is called, unless it is
 * cancelled; `attempt` is then nothing to hold on to any more. */
typedef struct dw_attempt dw_attempt;
typedef struct dw_attempt_events {
    void (*made)(void *user, dw_attempt *attempt, dw_protocol *protocol);
    void (*failed)(void *user, dw_attempt *attempt, const dw_reason *reason);
} dw_attempt_events;

/* To an IP address or a UNIX socket; returns 0 or a negative dw_error. `timeout` as connect_tcp's;
 * `bind` may be NULL. */
int dw_attempt_new(dw_reactor *reactor, const dw_address *address, dw_factory *factory,
                   dw_time timeout, const dw_address *bind, const dw_attempt_events *events,
                   void *user, dw_attempt **out);
/* Neither function is called; a connection that is being made is closed. */
void dw_attempt_cancel(dw_attempt *attempt);

/* endpoint_types.c: the prefixes that every wire has, linked by `next`. */
extern const dw_endpoint_type dw_endpoint_types[];

/* ---- Delayed calls ---- */

/* Runs those due at `now` that were armed before this was called, and the aborted connections that
 * stand among them. */
void dw_timers_run(dw_reactor *reactor, dw_time now);
/* Whether either would find anything: without, nobody looks at the clock. */
static inline bool dw_timers_waiting(const dw_reactor *reactor) {
    const struct dw_timers *timers = &reactor->timers;
    return timers->count > 0 || timers->soon_head != NULL || timers->spare != NULL ||
           reactor->aborted_head != NULL;
}
dw_time dw_timers_next_due(const dw_reactor *reactor);
size_t dw_timers_count(const dw_reactor *reactor);
void dw_timers_fini(dw_reactor *reactor);

/* ---- Reactor ---- */

enum { R_STOPPED, R_RUNNING, R_SHUTTING_DOWN };

static inline dw_time reactor_now(dw_reactor *reactor) {
    return reactor->wire->now(reactor);
}

static inline void reactor_wake(dw_reactor *reactor, dw_time due) {
    if (reactor->wire->wake != NULL) {
        reactor->wire->wake(reactor, due);
    }
}

void dw_reactor_flush(dw_reactor *reactor);
void dw_reactor_flush_dirty(dw_reactor *reactor);

/* Sends what was written, in the order of the first writes. A borrower that is not in the list of
 * the dirty was the first. */
static inline void reactor_flush(dw_reactor *reactor) {
    if (reactor->dirty_head != NULL) {
        dw_reactor_flush_dirty(reactor);
    } else if (reactor->borrower != NULL) {
        dw_stream_flush_borrowed(reactor);
    }
    reactor->received_len = 0;
}
void dw_triggers_fire(dw_reactor *reactor, dw_phase phase);
void dw_triggers_drop(dw_reactor *reactor);
/* Whatever holds up the shutdown does so no more. */
void dw_triggers_let_go(dw_reactor *reactor);

/* ---- Calls from threads ---- */

static inline bool dw_thread_calls_waiting(const dw_reactor *reactor) {
    return atomic_load_explicit(&reactor->thread_calls, memory_order_acquire) != NULL;
}
/* Runs those there are; what they make waits for the next time. */
void dw_thread_calls_run(dw_reactor *reactor);
/* The same at the reactor's end: until there are no more. */
void dw_thread_calls_run_last(dw_reactor *reactor);
/* Forgets them without running them. */
void dw_thread_calls_drop(dw_reactor *reactor);

/* ---- Descriptors of the program's ---- */

/* Stops watching all of them and frees the table. */
void dw_descriptors_fini(dw_reactor *reactor);

#endif
