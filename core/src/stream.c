/* SPDX-License-Identifier: MIT */
/*
 * The one state machine of a stream connection, used by every wire. It decides which callback comes
 * next; the wire below only moves bytes, the verbs in transport.c only leave marks.
 *
 * Invariant: around each callback `busy` counts, and what it asked for (an end, a failure) is done
 * when it has returned. Its bytes leave by stream_send.c, it ends by stream_end.c, its memory is in
 * stream_parts.c.
 */
#include "internal.h"

void dw_stream_watch(dw_transport *t) {
    stream_watch(t);
}

void dw_stream_mark_dirty(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    if ((t->flags & T_DIRTY) != 0) {
        return;
    }
    t->flags |= T_DIRTY;
    t->next_dirty = NULL;
    if (reactor->borrower == t && reactor->dirty_head != NULL) {
        t->next_dirty = reactor->dirty_head; /* it was the first to write something */
        reactor->dirty_head = t;
        return;
    }
    if (reactor->dirty_tail != NULL) {
        reactor->dirty_tail->next_dirty = t;
    } else {
        reactor->dirty_head = t;
        if (reactor->depth == 0) {
            reactor_wake(reactor, reactor_now(reactor));
        }
    }
    reactor->dirty_tail = t;
}

void dw_stream_mark_ready(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    if ((t->flags & (T_READY | T_LISTED)) != 0) {
        return;
    }
    t->flags |= T_READY;
    t->next_ready = NULL;
    if (reactor->ready_tail != NULL) {
        reactor->ready_tail->next_ready = t;
    } else {
        reactor->ready_head = t;
        reactor_wake(reactor, reactor_now(reactor));
    }
    reactor->ready_tail = t;
}

/* ---- Callbacks ---- */

/* After a callback of the connection: ends it if the program asked for that by dw_transport_fail,
 * frees it if it ended inside. Returns whether it is still there. */
DW_SELDOM static bool leave_ended(dw_io *io) {
    dw_transport *t = DW_CONTAINER_OF(io, dw_transport, io);
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
        return false;
    }
    if (t->busy == 0) {
        dw_stream_lost(t, (dw_error)t->reason_kind, t->reason_errno, *stream_text(t));
        return false;
    }
    return true;
}

static inline bool leave(dw_transport *t) {
    t->busy--;
    return (t->flags & (T_LOST | T_FAILED)) == 0 || leave_ended(&t->io);
}

/* A failure inside a server's connection_made was logged and is forgiven (vectors/README.md,
 * section 4: 9). */
DW_SELDOM static void forgive(dw_transport *t) {
    t->flags = (uint16_t)(t->flags & ~(T_MAKING_SERVER | T_FAILED));
    dw_stream_watch(t);
}

static inline void tell_made(dw_transport *t) {
    stream_see(t, DW_SEEN_MADE, 0, NULL, 0);
    protocol_make_connection(t->protocol, t);
    if ((t->flags & (T_MAKING_SERVER | T_FAILED)) == (T_MAKING_SERVER | T_FAILED)) {
        forgive(t);
    }
    t->flags = (uint16_t)(t->flags & ~T_MAKING_SERVER);
    leave(t);
}

void dw_stream_establish(dw_transport *t, dw_protocol *protocol) {
    t->reactor->connection_count++;
    t->io.kind = DW_IO_STREAM;
    t->flags |= T_CONNECTED;
    t->protocol = protocol;
    if (protocol == NULL) {
        t->flags |= T_DISCONNECTING;
        dw_stream_watch(t);
        dw_stream_mark_ready(t);
        return;
    }
    t->flags |= stream_connector(t) == NULL ? T_MAKING_SERVER : 0;
    t->busy++;
    dw_stream_watch(t);
    tell_made(t);
}

void dw_stream_serve(dw_transport *t, dw_protocol *protocol) {
    dw_reactor *reactor = t->reactor;
    reactor->connection_count++;
    t->protocol = protocol;
    t->flags = T_CONNECTED | T_MAKING_SERVER;
    t->busy = 1;
    t->io.want = DW_READABLE;
    reactor->wire->watch(reactor, &t->io);
    tell_made(t);
}

void dw_stream_establish_pipe(dw_transport *t, dw_protocol *protocol) {
    t->flags |= T_CONNECTED;
    t->protocol = protocol;
    dw_stream_watch(t);
    dw_protocol_make_connection(protocol, t);
}

static inline bool half_close_aware(const dw_protocol *protocol) {
    return protocol != NULL && (protocol->cls->read_connection_lost != NULL ||
                                protocol->cls->write_connection_lost != NULL);
}

DW_APART static bool stream_half_ended(dw_transport *t) {
    t->flags |= T_READ_CLOSED;
    dw_stream_watch(t);
    t->busy++;
    stream_see(t, DW_SEEN_READ_LOST, 0, NULL, 0);
    if (t->protocol->cls->read_connection_lost != NULL) {
        t->protocol->cls->read_connection_lost(t->protocol);
    }
    return leave(t);
}

static inline bool stream_ended(dw_transport *t) {
    if (half_close_aware(t->protocol)) {
        return stream_half_ended(t);
    }
    dw_stream_done(t);
    return false;
}

/* Those that came over a UNIX stream, before the bytes they came with. Returns whether the
 * transport is still there and wants these. */
static bool took_descriptors(dw_transport *t) {
    if (t->reactor->wire->take_descriptor == NULL) {
        return true;
    }
    t->busy++;
    dw_passing_receive(t);
    return leave(t) && (t->flags & T_HEARS_NO_MORE) == 0;
}

/* What ends the borrower, or has it closed or looked after when the bytes are gone, either drops
 * them or makes it dirty; so this one is connected, and when all goes well there is nothing else to
 * see to. */
static inline void flush_borrowed(dw_reactor *reactor) {
    ssize_t n = reactor->wire->send(reactor, &reactor->borrower->io, &reactor->borrowed, 1);
    if (n != (ssize_t)reactor->borrowed.iov_len) {
        dw_stream_sent_less(reactor, n);
    }
    reactor->borrower = NULL;
}

static inline bool tell_data(dw_reactor *reactor, dw_transport *t, const uint8_t *data,
                             size_t len) {
    dw_protocol *protocol = t->protocol;
    if (protocol->cls->data_received == NULL) {
        return true;
    }
    reactor->received = data;
    reactor->received_len = len;
    reactor->depth++;
    t->busy++;
    protocol->cls->data_received(protocol, data, len);
    bool there = leave(t);
    reactor->depth--;
    return there;
}

static bool stream_received(dw_transport *t, const uint8_t *data, size_t len) {
    if (t->io.family == DW_ADDRESS_UNIX && !took_descriptors(t)) {
        return false;
    }
    stream_see(t, DW_SEEN_DATA, 0, data, len);
    return tell_data(t->reactor, t, data, len);
}

DW_SELDOM static bool recv_failed(dw_transport *t, ssize_t n) {
    if (n != -EAGAIN && n != -EWOULDBLOCK && n != -EINTR) {
        dw_stream_lost(t, DW_CONNECTION_LOST, (int)-n, NULL);
        return false;
    }
    return true;
}

/* recv came to no bytes: `n` is 0 or an error. Returns whether the transport is still there. */
static inline bool stream_received_none(dw_transport *t, ssize_t n) {
    return n == 0 ? stream_ended(t) : recv_failed(t, n);
}

static bool stream_readable(dw_transport *t) {
    const uint8_t *data = NULL;
    ssize_t n = t->reactor->wire->recv(t->reactor, &t->io, &data);
    return n > 0 ? stream_received(t, data, (size_t)n) : stream_received_none(t, n);
}

DW_SELDOM static void received_observed(dw_io *io, const uint8_t *data, size_t len) {
    stream_received(DW_CONTAINER_OF(io, dw_transport, io), data, len);
}

/* An echo comes this way, so there is nothing on it that it does not need. */
void dw_io_received(dw_reactor *reactor, dw_io *io, const uint8_t *data, size_t len) {
    if (reactor->observe_bytes == NULL) {
        tell_data(reactor, DW_CONTAINER_OF(io, dw_transport, io), data, len);
    } else {
        received_observed(io, data, len);
    }
    if (reactor->dirty_head == NULL && reactor->borrower != NULL) {
        flush_borrowed(reactor);
        reactor->timers.trust = 0; /* as reactor_flush does */
    } else {
        reactor_flush(reactor);
    }
}

void dw_io_received_none(dw_reactor *reactor, dw_io *io, ssize_t n) {
    stream_received_none(DW_CONTAINER_OF(io, dw_transport, io), n);
    reactor_flush(reactor);
}

void dw_stream_flush_borrowed(dw_reactor *reactor) {
    flush_borrowed(reactor);
}

/* ---- What follows an empty buffer (Twisted's FileDescriptor.doWrite) ---- */

static bool resume_producer(dw_transport *t) {
    struct dw_extra *extra = stream_extra(t);
    if (extra == NULL || extra->producer == NULL || (extra->streaming && !extra->producer_paused)) {
        return false;
    }
    extra->producer_paused = false;
    t->busy++;
    extra->producer->cls->resume_producing(extra->producer);
    leave(t);
    return true;
}

static void close_write(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    int error =
        (t->flags & T_WRITE_CLOSED) != 0 ? -EPIPE : reactor->wire->shutdown(reactor, &t->io);
    if (error < 0) {
        /* A second half close breaks the connection (vectors/README.md, "Half close"). */
        dw_stream_lost(t, DW_CONNECTION_LOST, -error, NULL);
        return;
    }
    t->flags |= T_WRITE_CLOSED;
    t->flags = (uint16_t)(t->flags & ~T_LOSE_WRITE);
    t->busy++;
    if (t->protocol->cls->write_connection_lost != NULL) {
        stream_see(t, DW_SEEN_WRITE_LOST, 0, NULL, 0);
        t->protocol->cls->write_connection_lost(t->protocol);
    }
    leave(t);
}

/* Whether the system has what the wire has taken; else sees to what follows. */
static bool wire_flushed(dw_transport *t) {
    const dw_wire *wire = t->reactor->wire;
    int error = wire->flushed != NULL ? wire->flushed(t->reactor, &t->io) : 0;
    if (error == -EAGAIN) {
        t->flags |= T_BLOCKED;
        dw_stream_watch(t);
    } else if (error < 0) {
        dw_stream_lost(t, DW_CONNECTION_LOST, -error, NULL);
    }
    return error == 0;
}

static void attend_to_empty(dw_transport *t) {
    if (stream_buffered(t) > 0 || (t->flags & (T_DISCONNECTING | T_LOSE_WRITE)) == 0 ||
        !wire_flushed(t)) {
        return;
    }
    if ((t->flags & T_DISCONNECTING) != 0) {
        int error = dw_stream_end_output(t);
        dw_stream_lost(t, error != 0 ? DW_CONNECTION_LOST : DW_CONNECTION_DONE, error, NULL);
    } else {
        close_write(t);
    }
}

/* A write has failed, and Twisted, which reads before it writes, would have seen what is there to
 * be read: bytes, or the end that the peer made. That a reset has come is what the failed write
 * took from the reader. Returns whether the transport is still there and its failure to be told. */
static bool read_before_failure(dw_transport *t) {
    const unsigned silent = T_PAUSED | T_READ_CLOSED | T_DISCONNECTING;
    const uint8_t *data = NULL;
    if ((t->flags & silent) != 0) {
        return true;
    }
    t->flags = (uint16_t)(t->flags & ~T_BROKEN); /* it hears this yet */
    ssize_t n = t->reactor->wire->recv(t->reactor, &t->io, &data);
    bool there = n > 0                                ? stream_received(t, data, (size_t)n)
                 : n == 0 && t->reason_errno == EPIPE ? stream_ended(t)
                                                      : true;
    return there && (t->flags & T_ABORTED) == 0;
}

/* The next bytes of many, in a turn of their own. */
static void write_more(dw_transport *t) {
    const unsigned over = T_LOST | T_ABORTED | T_FAILED | T_BROKEN;
    if ((t->io.want & DW_READABLE) != 0 && !stream_readable(t)) {
        return;
    }
    if ((t->flags & over) == 0 && stream_write_due(t)) {
        dw_stream_push(t);
    }
    if ((t->flags & T_ABORTED) == 0) {
        dw_stream_after_push(t);
    }
}

void dw_stream_attend(dw_transport *t) {
    if ((t->flags & (T_LOST | T_ABORTED)) != 0) {
        return;
    }
    if ((t->flags & T_FAILED) != 0) {
        dw_stream_lost(t, (dw_error)t->reason_kind, t->reason_errno, *stream_text(t));
    } else if ((t->flags & T_BROKEN) != 0) {
        int error = t->reason_errno;
        if (read_before_failure(t)) {
            dw_stream_lost(t, DW_CONNECTION_LOST, error, NULL);
        }
    } else if (stream_write_due(t)) {
        write_more(t);
    } else if (stream_drained(t) && !resume_producer(t)) {
        attend_to_empty(t);
    }
}

static void stream_writable(dw_transport *t) {
    t->flags = (uint16_t)(t->flags & ~T_BLOCKED);
    if (stream_buffered(t) > 0) {
        dw_stream_push(t);
    }
    if ((t->flags & T_ABORTED) != 0) {
        return;
    }
    dw_stream_watch(t);
    if (stream_buffered(t) > 0 && stream_write_due(t)) {
        dw_stream_mark_ready(t);
    } else {
        dw_stream_attend(t);
    }
}

/* Twisted looks at reading first; one that ends the connection makes the other moot. */
void dw_stream_ready(dw_transport *t, unsigned ready) {
    if ((ready & t->io.want & DW_READABLE) != 0 && !stream_readable(t)) {
        return;
    }
    if ((ready & t->io.want & DW_WRITABLE) != 0) {
        stream_writable(t);
    }
}
