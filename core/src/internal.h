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
    T_DEAD = 1 << 15           /* given back; seen only where the wire keeps such memory */
};

/* What few connections need. */
struct dw_extra {
    dw_producer *producer;
    bool streaming, producer_paused;
    size_t low, high;
};

struct dw_transport {
    struct dw_transport_head head; /* what stands in for a transport begins alike */
    dw_io io;
    dw_reactor *reactor;
    dw_protocol *protocol;
    dw_connector *connector; /* NULL at a server */
    struct dw_extra *extra;
    dw_buffer *out;
    struct dw_list_node node;              /* of reactor->transports */
    dw_transport *next_dirty, *next_ready; /* next_ready also links the aborted ones */
    dw_address peer;
    uint16_t flags;
    uint16_t busy; /* callbacks of this connection on the stack */
    int16_t reason_kind, reason_errno;
    const char *reason_text;
    dw_time aborted_at; /* with T_ABORTED: its place among the delayed calls */
    uint64_t aborted_sequence;
};

/* stream.c: the connection's state machine. */
dw_transport *dw_stream_new(dw_reactor *reactor);
/* Hands a connected socket (io is set) to a protocol; NULL: closes it. */
void dw_stream_establish(dw_transport *t, dw_protocol *protocol);
void dw_stream_ready(dw_transport *t, unsigned ready);
/* Sends what the last callbacks wrote. */
void dw_stream_flush(dw_transport *t);
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

static inline void stream_see(const dw_transport *t, dw_seen seen, int code, const void *data,
                              size_t len) {
    if (t->reactor->observe != NULL) {
        t->reactor->observe(t->reactor, seen, &t->io, code, data, len);
    }
}

/* Bytes written and not sent; 0 for NULL. */
static inline size_t stream_buffered(const dw_transport *t) {
    if (t == NULL) {
        return 0;
    }
    return buffer_len(t->out) + (t->reactor->borrower == t ? t->reactor->borrowed_len : 0);
}

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

void dw_port_ready(dw_port *port);
dw_port *dw_port_of_io(dw_io *io);
dw_port *dw_port_of_node(struct dw_list_node *node);
void dw_port_shutdown(dw_port *port);
void dw_port_discard(dw_port *port);
const char *dw_port_factory_name(const dw_io *io);

/* ---- Delayed calls ---- */

/* Runs those due at `now` that were armed before this was called, and the aborted connections that
 * stand among them. */
void dw_timers_run(dw_reactor *reactor, dw_time now);
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
void dw_triggers_fire(dw_reactor *reactor, dw_phase phase);
void dw_triggers_drop(dw_reactor *reactor);

#endif
