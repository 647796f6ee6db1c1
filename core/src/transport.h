/* SPDX-License-Identifier: MIT */
/*
 * A transport's insides: how a connection lies in memory, which of core's files does what to it,
 * and the table of verbs that connections and wrappers answer. Included by internal.h.
 *
 * Invariant: `form` says which member of each of its unions is in use.
 */
#ifndef DRYWIRE_CORE_TRANSPORT_H
#define DRYWIRE_CORE_TRANSPORT_H

#include "buffer.h"
#include "drywire/backend.h"
#include "drywire/wrapper.h"
#include "list.h"

/* ---- In memory ---- */

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

/* What lies beside a transport that has more than its one pointer has room for. A connector begins
 * with it, and a server's extra part. */
struct dw_aside {
    union { /* here instead of in the transport */
        dw_buffer *out;
        const char *reason_text;
    };
    struct dw_extra *extra; /* NULL: none */
};

/* What few connections need: producers, water marks, descriptors on their way. */
struct dw_extra {
    struct dw_aside aside; /* of a transport without a connector; `extra` is this */
    dw_producer *producer;
    struct dw_outgoing *outgoing; /* passing.c; NULL: no descriptor is on its way */
    bool streaming, producer_paused;
    size_t low, high;
};

/* Which member of the transport's unions is the one in use; see the functions below them. */
enum {
    T_FORM_ASIDE = 1 << 0,  /* `aside`, not `out` */
    T_FORM_BLOCK = 1 << 1,  /* `peer.block`, not `peer.small` */
    T_FORM_PLACED = 1 << 2, /* `aborted`, not `node` */
    T_FORM_SENT = 1 << 3,   /* no member: bytes were sent after lose_connection */
    T_FORM_CLIENT = 1 << 4, /* `aside` is a connector's, which it leaves before either goes */
};

/* An idle connection is this and no more: each byte counts a million times. */
struct dw_transport {
    struct dw_transport_head head; /* what stands in for a transport begins alike */
    dw_io io;
    dw_reactor *reactor;
    dw_protocol *protocol;
    union {
        dw_buffer *out;
        struct dw_aside *aside;
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
    return (t->form & T_FORM_ASIDE) != 0 ? t->aside->extra : NULL;
}

/* NULL at a server, and when the connector wants to hear of it no more. */
static inline dw_connector *stream_connector(const dw_transport *t) {
    return (t->form & T_FORM_CLIENT) != 0 ? (dw_connector *)t->aside : NULL;
}

/* It failed, and what led to that has returned: reason_text is set where `out` was. */
static inline bool stream_has_text(const dw_transport *t) {
    return (t->flags & (T_FAILED | T_MAKING_SERVER)) == T_FAILED;
}

static inline const char **stream_text(dw_transport *t) {
    return (t->form & T_FORM_ASIDE) != 0 ? &t->aside->reason_text : &t->reason_text;
}

/* It writes bytes that lie in the read buffer, or the reactor's `answer`, still. */
static inline bool stream_borrows(const dw_transport *t) {
    return t->reactor->borrower == t;
}

/* No list and no callback on the stack refers to it; to be asked when it is lost. */
static inline bool stream_is_done(const dw_transport *t) {
    return t->busy == 0 && (t->flags & (T_DIRTY | T_READY | T_LISTED)) == 0;
}

/* What was written and not sent; not to be asked with stream_has_text. */
static inline dw_buffer **stream_out(dw_transport *t) {
    return (t->form & T_FORM_ASIDE) != 0 ? &t->aside->out : &t->out;
}

/* ---- Who does what ---- */

/* stream_parts.c: its memory. */
dw_transport *dw_stream_new(dw_reactor *reactor);
/* Of a socket that the wire has accepted. NULL: no memory, it was closed. */
dw_transport *dw_stream_accepted(dw_reactor *reactor, dw_io *io, const dw_address *peer);
/* Who is at the other end. False without memory. */
bool dw_stream_set_peer(dw_transport *t, const dw_address *peer);
dw_address dw_stream_peer(const dw_transport *t);
/* Its extra part, made when it has none yet; NULL without memory. */
struct dw_extra *dw_stream_make_extra(dw_transport *t);
/* Has an attempt keep what lies beside it in its connector's part, and no more. */
void dw_stream_join_connector(dw_transport *t, struct dw_aside *aside);
void dw_stream_leave_connector(dw_transport *t);
/* Drops what was written and not sent. */
void dw_stream_drop_output(dw_transport *t);
/* Frees it as soon as nothing refers to it any more. */
void dw_stream_free_if_done(dw_transport *t);
/* Frees it: stream_is_done. */
void dw_stream_free(dw_transport *t);
/* Frees it at once and without callbacks, its protocol's destroy included (reactor's end). */
void dw_stream_discard(dw_transport *t);

/* stream_end.c: how it ends. */
/* Ends it: connection_lost and all that follows. */
void dw_stream_lost(dw_transport *t, dw_error kind, int sys_errno, const char *text);
/* The same in good order: DW_CONNECTION_DONE. */
void dw_stream_done(dw_transport *t);
/* Sends the end of our stream, before a close in good order. An errno when the peer has broken the
 * connection in a way that is not to be forgiven, or 0. */
int dw_stream_end_output(dw_transport *t);
/* Ends it in a later turn, without a flush. */
void dw_stream_abort_later(dw_transport *t, dw_error kind);
void dw_stream_list_aborted(dw_transport *t);
/* The aborted transport at the head of its list: its time has come. */
void dw_stream_abort_now(dw_transport *t);
/* Takes those that are aborted back among reactor->transports: for who ends them all. */
void dw_stream_rejoin_aborted(dw_reactor *reactor);

/* stream_send.c: how bytes leave it. */
/* Sends what the last callbacks wrote. */
void dw_stream_flush(dw_transport *t);
/* Sends what there is, or as much of it as goes in one turn. */
void dw_stream_push(dw_transport *t);
/* What has to be seen to after that. */
void dw_stream_after_push(dw_transport *t);
/* Of the borrower's bytes the wire has taken `n`, not all, or it has failed. */
void dw_stream_sent_less(dw_reactor *reactor, ssize_t n);

/* stream.c: the connection's state machine. */
/* Hands a connected socket (io is set) to a protocol; NULL: closes it. */
void dw_stream_establish(dw_transport *t, dw_protocol *protocol);
/* The same for one that is new from dw_stream_accepted. */
void dw_stream_serve(dw_transport *t, dw_protocol *protocol);
/* The same for a pipe to a child process, which is not counted as a connection. */
void dw_stream_establish_pipe(dw_transport *t, dw_protocol *protocol);
void dw_stream_ready(dw_transport *t, unsigned ready);
/* The same for the borrower, which is not dirty. */
void dw_stream_flush_borrowed(dw_reactor *reactor);
/* After the flush: resume a producer, close, half-close, report a broken connection. */
void dw_stream_attend(dw_transport *t);
/* Brings io.want up to date; stream_watch does it in place. */
void dw_stream_watch(dw_transport *t);
void dw_stream_mark_dirty(dw_transport *t);
void dw_stream_mark_ready(dw_transport *t);

static inline void stream_watch(dw_transport *t) {
    unsigned stop = T_PAUSED | T_READ_CLOSED | T_DISCONNECTING | T_ABORTED | T_BROKEN | T_FAILED;
    unsigned want = (t->flags & stop) == 0 ? DW_READABLE : 0;
    if ((t->flags & T_BLOCKED) != 0 && (t->flags & T_ABORTED) == 0) {
        want |= DW_WRITABLE;
    }
    if (t->io.want != want && (t->flags & T_LOST) == 0) {
        t->io.want = (uint8_t)want;
        t->reactor->wire->watch(t->reactor, &t->io);
    }
}

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
    return buffer_len((t->form & T_FORM_ASIDE) != 0 ? t->aside->out : t->out) +
           (t->reactor->borrower == t ? t->reactor->borrowed.iov_len : 0);
}

/* Its producer, if there is one, has room again. */
static inline bool stream_drained(const dw_transport *t) {
    const struct dw_extra *extra = stream_extra(t);
    return stream_buffered(t) <= (extra != NULL ? extra->low : 0);
}

/* Whether there is something that a write would bring on: more bytes to go, or a failure. */
static inline bool stream_write_due(const dw_transport *t) {
    return (t->flags & T_BROKEN) != 0 || (stream_buffered(t) > 0 && (t->flags & T_BLOCKED) == 0);
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

#endif
