/* SPDX-License-Identifier: MIT */
/*
 * The one state machine of a stream connection, used by every wire. It decides which callback comes
 * next; the wire below only moves bytes, the verbs in transport.c only leave marks.
 *
 * Invariant: connection_lost runs exactly once per connection that was made, from dw_stream_lost;
 * memory goes when no list and no callback on the stack refers to the transport any more.
 */
#include "internal.h"

const char dw_where_transport[] = "a transport";

dw_transport *dw_stream_new(dw_reactor *reactor) {
    dw_transport *t = dw_alloc_zeroed_at(reactor, sizeof(*t), dw_where_transport);
    if (t == NULL) {
        return NULL;
    }
    t->head.verbs = &dw_stream_verbs;
    t->io.socket = DW_SOCKET_NONE;
    t->reactor = reactor;
    list_add(&reactor->transports, &t->node);
    return t;
}

/* ---- Its parts ---- */

bool dw_stream_set_peer(dw_transport *t, const dw_address *peer) {
    size_t size = 0;
    if (peer->kind == DW_ADDRESS_IPV6) {
        size = offsetof(dw_address, ip) + sizeof(peer->ip);
    } else if (peer->kind == DW_ADDRESS_UNIX && peer->path_len > 0) {
        size = offsetof(dw_address, path) + peer->path_len;
    }
    if (size == 0) {
        t->peer.small.kind = peer->kind;
        t->peer.small.port = peer->port;
        memcpy(t->peer.small.ip, peer->ip, sizeof(t->peer.small.ip));
        return true;
    }
    dw_address *block = dw_alloc(t->reactor, size);
    if (block == NULL) {
        return false;
    }
    memcpy(block, peer, size);
    t->peer.block = block;
    t->form |= T_FORM_BLOCK;
    return true;
}

dw_address dw_stream_peer(const dw_transport *t) {
    dw_address peer = {0};
    if ((t->form & T_FORM_BLOCK) == 0) {
        peer.kind = t->peer.small.kind;
        peer.port = t->peer.small.port;
        memcpy(peer.ip, t->peer.small.ip, sizeof(t->peer.small.ip));
    } else if (t->peer.block->kind == DW_ADDRESS_IPV6) {
        memcpy(&peer, t->peer.block, offsetof(dw_address, ip) + sizeof(peer.ip));
    } else {
        memcpy(&peer, t->peer.block, offsetof(dw_address, path) + t->peer.block->path_len);
    }
    return peer;
}

struct dw_extra *dw_stream_make_extra(dw_transport *t) {
    if ((t->form & T_FORM_EXTRA) != 0) {
        return t->extra;
    }
    struct dw_extra *extra = dw_new(t->reactor, struct dw_extra);
    if (extra != NULL) {
        if (t->reactor->borrower == t) {
            dw_stream_mark_dirty(t); /* there will be more to see to than the bytes */
        }
        extra->high = DW_HIGH_WATER_DEFAULT;
        extra->low = DW_LOW_WATER_DEFAULT;
        extra->out = t->out;
        t->extra = extra;
        t->form |= T_FORM_EXTRA;
    }
    return extra;
}

static void free_parts(dw_transport *t) {
    if ((t->form & T_FORM_PLACED) == 0) {
        list_remove(&t->node);
    }
    if ((t->form & T_FORM_EXTRA) != 0) {
        dw_free(t->reactor, t->extra);
    }
    if ((t->form & T_FORM_BLOCK) != 0) {
        dw_free(t->reactor, t->peer.block);
    }
    t->out = NULL;
    t->peer.small.kind = DW_ADDRESS_NONE;
    t->form = 0;
}

void dw_stream_free_if_done(dw_transport *t) {
    if (t->busy > 0 || (t->flags & (T_DIRTY | T_READY | T_LISTED)) != 0) {
        return;
    }
    dw_protocol *protocol = t->protocol;
    free_parts(t);
    t->flags = T_LOST | T_DEAD;
    dw_free(t->reactor, t);
    if (protocol != NULL && protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
}

void dw_stream_watch(dw_transport *t) {
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

/* The bytes that lie in the read buffer still, if this transport borrowed them. */
static bool borrows(const dw_transport *t) {
    return t->reactor->borrower == t;
}

void dw_stream_drop_output(dw_transport *t) {
    if (borrows(t)) {
        t->reactor->borrower = NULL;
    }
    dw_passing_drop(t);
    if (!stream_has_text(t)) {
        dw_buffer **out = stream_out(t);
        dw_buffer_release(t->reactor, *out);
        *out = NULL;
    }
}

/* ---- The end ---- */

static void stop_producer(dw_transport *t) {
    struct dw_extra *extra = stream_extra(t);
    if (extra != NULL && extra->producer != NULL) {
        dw_producer *producer = extra->producer;
        extra->producer = NULL;
        if (producer->cls->stop_producing != NULL) {
            producer->cls->stop_producing(producer);
        }
    }
}

static void tell_protocol(dw_transport *t, const dw_reason *reason) {
    dw_protocol *protocol = t->protocol;
    if (protocol == NULL) {
        return;
    }
    stream_see(t, DW_SEEN_LOST, (int)reason->kind, NULL, (size_t)reason->sys_errno);
    protocol->connected = false;
    if (protocol->cls->connection_lost != NULL) {
        protocol->cls->connection_lost(protocol, reason);
    }
    protocol->transport = NULL;
}

/* A UNIX socket whose peer is gone knows that it cannot send any more, and Twisted sees the hang-up
 * before it closes (vectors/README.md, "Half close"): EPIPE, else 0. */
static int hung_up(dw_transport *t) {
    const struct iovec nothing = {(void *)(uintptr_t) "", 0};
    if ((t->flags & T_READ_CLOSED) == 0 || t->io.family != DW_ADDRESS_UNIX) {
        return 0;
    }
    return t->reactor->wire->send(t->reactor, &t->io, &nothing, 1) == -EPIPE ? EPIPE : 0;
}

/* The end of our stream goes out before the socket is closed: a close over unread input is a reset,
 * which would overtake it and end the peer's connection in bad order (RFC 2525, section 2.17;
 * vectors: tcp-close-peer-closes-large-unread). A connection that the peer has reset before, while
 * nobody looked, cannot be ended that way any more (tcp-halfclose-abort-in-write-lost); one that
 * ends behind the last bytes was a good one. Returns an errno, or 0. */
static int end_stream(dw_transport *t) {
    int error = hung_up(t);
    if (error == 0 && (t->flags & T_WRITE_CLOSED) == 0 && t->io.kind == DW_IO_STREAM) {
        error = -t->reactor->wire->shutdown(t->reactor, &t->io);
    }
    return (t->form & T_FORM_SENT) == 0 ? error : 0;
}

/* The socket is closed after connection_lost, so that addresses can be asked for in it, and before
 * the connector hears of it, so that a new attempt finds the descriptor free. */
void dw_stream_lost(dw_transport *t, dw_error kind, int sys_errno, const char *text) {
    dw_reactor *reactor = t->reactor;
    dw_reason reason = {kind, sys_errno, text};
    if ((t->flags & T_LOST) != 0) {
        return;
    }
    t->busy++;
    t->flags = (uint16_t)((t->flags | T_LOST) & ~T_CONNECTED);
    dw_stream_drop_output(t);
    t->io.want = 0; /* nobody need be told: it is closed before the wire has its turn */
    reactor->connection_count -= t->io.kind == DW_IO_STREAM;
    stop_producer(t);
    tell_protocol(t, &reason);
    bool reset = (t->flags & T_ABORTED) != 0 && kind != DW_APP_ERROR;
    if (!reset && kind != DW_CONNECTION_DONE && sys_errno == 0) {
        end_stream(
            t); /* a failure of the program's, or the reactor's stop; for the peer in order */
    }
    reactor->wire->close(reactor, &t->io, reset);
    if (t->protocol != NULL && t->protocol->cls->destroy == NULL) {
        t->protocol = NULL; /* its owner may free it from now on */
    }
    dw_connector *connector = stream_connector(t);
    if (connector != NULL) {
        t->extra->connector = NULL;
        dw_connector_lost(connector, &reason);
    }
    t->busy--;
    dw_stream_free_if_done(t);
}

void dw_stream_discard(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    dw_stream_drop_output(t);
    if (t->io.socket != DW_SOCKET_NONE) {
        t->io.want = 0;
        reactor->wire->watch(reactor, &t->io);
        reactor->wire->close(reactor, &t->io, true);
    }
    if (t->protocol != NULL) {
        t->protocol->connected = false;
        t->protocol->transport = NULL;
    }
    t->flags = T_LOST;
    t->busy = 0;
    dw_stream_free_if_done(t);
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
    t->busy++;
    dw_stream_watch(t);
    stream_see(t, DW_SEEN_MADE, 0, NULL, 0);
    t->flags |= stream_connector(t) == NULL ? T_MAKING_SERVER : 0;
    dw_protocol_make_connection(protocol, t);
    if ((t->flags & (T_MAKING_SERVER | T_FAILED)) == (T_MAKING_SERVER | T_FAILED)) {
        /* It was logged and is forgiven (vectors/README.md, section 4: 9). */
        t->flags = (uint16_t)(t->flags & ~(T_MAKING_SERVER | T_FAILED));
        dw_stream_watch(t);
    }
    t->flags = (uint16_t)(t->flags & ~T_MAKING_SERVER);
    leave(t);
}

void dw_stream_establish_pipe(dw_transport *t, dw_protocol *protocol) {
    t->flags |= T_CONNECTED;
    t->protocol = protocol;
    dw_stream_watch(t);
    dw_protocol_make_connection(protocol, t);
}

static bool half_close_aware(const dw_protocol *protocol) {
    return protocol != NULL && (protocol->cls->read_connection_lost != NULL ||
                                protocol->cls->write_connection_lost != NULL);
}

static bool stream_ended(dw_transport *t) {
    if (!half_close_aware(t->protocol)) {
        dw_stream_lost(t, DW_CONNECTION_DONE, 0, NULL);
        return false;
    }
    t->flags |= T_READ_CLOSED;
    dw_stream_watch(t);
    t->busy++;
    stream_see(t, DW_SEEN_READ_LOST, 0, NULL, 0);
    if (t->protocol->cls->read_connection_lost != NULL) {
        t->protocol->cls->read_connection_lost(t->protocol);
    }
    return leave(t);
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

static void sent_less(dw_reactor *reactor, ssize_t n);

/* What ends the borrower, or has it closed or looked after when the bytes are gone, either drops
 * them or makes it dirty; so this one is connected, and when all goes well there is nothing else to
 * see to. */
static inline void flush_borrowed(dw_reactor *reactor) {
    ssize_t n = reactor->wire->send(reactor, &reactor->borrower->io, &reactor->borrowed, 1);
    if (n != (ssize_t)reactor->borrowed.iov_len) {
        sent_less(reactor, n);
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
    t->busy++;
    protocol->cls->data_received(protocol, data, len);
    return leave(t);
}

static bool stream_received(dw_transport *t, const uint8_t *data, size_t len) {
    if (t->io.family == DW_ADDRESS_UNIX && !took_descriptors(t)) {
        return false;
    }
    stream_see(t, DW_SEEN_DATA, 0, data, len);
    return tell_data(t->reactor, t, data, len);
}

/* recv came to no bytes: `n` is 0 or an error. Returns whether the transport is still there. */
static bool stream_received_none(dw_transport *t, ssize_t n) {
    if (n == 0) {
        return stream_ended(t);
    }
    if (n != -EAGAIN && n != -EWOULDBLOCK && n != -EINTR) {
        dw_stream_lost(t, DW_CONNECTION_LOST, (int)-n, NULL);
        return false;
    }
    return true;
}

static bool stream_readable(dw_transport *t) {
    const uint8_t *data = NULL;
    ssize_t n = t->reactor->wire->recv(t->reactor, &t->io, &data);
    return n > 0 ? stream_received(t, data, (size_t)n) : stream_received_none(t, n);
}

DW_APART static void received_observed(dw_io *io, const uint8_t *data, size_t len) {
    stream_received(DW_CONTAINER_OF(io, dw_transport, io), data, len);
}

/* An echo comes this way, so there is nothing on it that it does not need. */
void dw_io_received(dw_reactor *reactor, dw_io *io, const uint8_t *data, size_t len) {
    if (reactor->observe_bytes != NULL) {
        received_observed(io, data, len);
    } else {
        tell_data(reactor, DW_CONTAINER_OF(io, dw_transport, io), data, len);
    }
    if (reactor->dirty_head == NULL && reactor->borrower != NULL) {
        flush_borrowed(reactor);
    } else {
        reactor_flush(reactor);
    }
}

void dw_io_received_none(dw_reactor *reactor, dw_io *io, ssize_t n) {
    stream_received_none(DW_CONTAINER_OF(io, dw_transport, io), n);
    reactor_flush(reactor);
}

/* ---- Sending ---- */

/* The unsent rest of borrowed bytes moves into a buffer of our own. */
static bool keep_rest(dw_transport *t, const uint8_t *rest, size_t len) {
    dw_reactor *reactor = t->reactor;
    reactor->borrower = NULL;
    if (len > 0 && !dw_buffer_append(reactor, stream_out(t), rest, len)) {
        dw_stream_abort_later(t, DW_NO_MEMORY);
        return false;
    }
    return true;
}

static void advance_output(dw_transport *t, size_t sent) {
    if (borrows(t)) {
        const struct iovec *borrowed = &t->reactor->borrowed;
        keep_rest(t, (const uint8_t *)borrowed->iov_base + sent, borrowed->iov_len - sent);
        return;
    }
    dw_buffer **out = stream_out(t);
    (*out)->head += sent;
    if ((*out)->head == (*out)->tail) {
        dw_buffer_release(t->reactor, *out);
        *out = NULL;
    }
}

/* Of `len` bytes the wire has taken `n`, or it has failed. */
static void sent(dw_transport *t, size_t len, ssize_t n) {
    bool blocked = n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR;
    if (n < 0 && !blocked) {
        dw_stream_drop_output(t);
        t->flags |= T_BROKEN;
        t->reason_errno = (int16_t)-n;
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    advance_output(t, taken);
    t->flags = (uint16_t)(taken < len ? t->flags | T_BLOCKED : t->flags & ~T_BLOCKED);
}

/* Sends what there is. */
static void push(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    struct iovec piece;
    if (borrows(t)) {
        piece = reactor->borrowed;
    } else {
        dw_buffer *out = *stream_out(t);
        piece = (struct iovec){out->bytes + out->head, buffer_len(out)};
    }
    ssize_t n = dw_passing_waits(t) ? dw_passing_send(t, &piece)
                                    : reactor->wire->send(reactor, &t->io, &piece, 1);
    sent(t, piece.iov_len, n);
}

/* Whether an empty buffer means work: a producer to resume, a close to perform. */
static bool attention_due(const dw_transport *t) {
    if ((t->flags & (T_BROKEN | T_DISCONNECTING | T_LOSE_WRITE | T_FAILED)) != 0) {
        return true;
    }
    const struct dw_extra *extra = stream_extra(t);
    return extra != NULL && extra->producer != NULL &&
           (!extra->streaming || extra->producer_paused);
}

static bool drained(const dw_transport *t) {
    const struct dw_extra *extra = stream_extra(t);
    return stream_buffered(t) <= (extra != NULL ? extra->low : 0);
}

static void after_push(dw_transport *t) {
    dw_stream_watch(t);
    if (drained(t) && attention_due(t)) {
        dw_stream_mark_ready(t);
    }
}

/* They left in good order: what becomes of the connection now is no concern of ours. */
static void note_last_bytes(dw_transport *t) {
    if ((t->flags & T_DISCONNECTING) != 0) {
        t->form |= T_FORM_SENT;
    }
}

/* An answer comes this way: a buffer that leaves whole, and nobody waits for that. False: there is
 * more to it; nothing has been done. */
static bool flush_plain(dw_transport *t) {
    const unsigned special =
        T_LOST | T_ABORTED | T_FAILED | T_BROKEN | T_BLOCKED | T_DISCONNECTING | T_LOSE_WRITE;
    const struct dw_extra *extra = stream_extra(t);
    if ((t->flags & special) != 0 || borrows(t) ||
        (extra != NULL && (extra->producer != NULL || extra->outgoing != NULL))) {
        return false;
    }
    dw_buffer **out = stream_out(t), *buffer = *out;
    if (buffer == NULL) {
        return false;
    }
    struct iovec piece = {buffer->bytes + buffer->head, buffer_len(buffer)};
    ssize_t n = t->reactor->wire->send(t->reactor, &t->io, &piece, 1);
    if (n == (ssize_t)piece.iov_len) {
        dw_buffer_release(t->reactor, buffer);
        *out = NULL;
    } else {
        sent(t, piece.iov_len, n);
        after_push(t);
    }
    return true;
}

void dw_stream_flush(dw_transport *t) {
    if (flush_plain(t)) {
        return;
    }
    if ((t->flags & (T_LOST | T_ABORTED | T_FAILED)) != 0) {
        return;
    }
    if (stream_buffered(t) > 0 && (t->flags & (T_BROKEN | T_BLOCKED)) == 0) {
        push(t);
        note_last_bytes(t);
    }
    after_push(t);
}

DW_SELDOM static void sent_less(dw_reactor *reactor, ssize_t n) {
    dw_transport *t = reactor->borrower;
    sent(t, reactor->borrowed.iov_len, n);
    after_push(t);
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

void dw_stream_attend(dw_transport *t) {
    if ((t->flags & (T_LOST | T_ABORTED)) != 0) {
        return;
    }
    if ((t->flags & T_FAILED) != 0) {
        dw_stream_lost(t, (dw_error)t->reason_kind, t->reason_errno, *stream_text(t));
    } else if ((t->flags & T_BROKEN) != 0) {
        dw_stream_lost(t, DW_CONNECTION_LOST, t->reason_errno, NULL);
    } else if (!drained(t) || resume_producer(t)) {
        return;
    } else if (stream_buffered(t) > 0 || (t->flags & (T_DISCONNECTING | T_LOSE_WRITE)) == 0 ||
               !wire_flushed(t)) {
        return;
    } else if ((t->flags & T_DISCONNECTING) != 0) {
        int error = end_stream(t);
        dw_stream_lost(t, error != 0 ? DW_CONNECTION_LOST : DW_CONNECTION_DONE, error, NULL);
    } else if ((t->flags & T_LOSE_WRITE) != 0) {
        close_write(t);
    }
}

static void stream_writable(dw_transport *t) {
    t->flags = (uint16_t)(t->flags & ~T_BLOCKED);
    if (stream_buffered(t) > 0) {
        push(t);
        note_last_bytes(t);
    }
    if ((t->flags & T_ABORTED) != 0) {
        return;
    }
    dw_stream_watch(t);
    dw_stream_attend(t);
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

/* ---- Aborting ---- */

void dw_stream_abort_later(dw_transport *t, dw_error kind) {
    dw_reactor *reactor = t->reactor;
    if ((t->flags & (T_LOST | T_ABORTED)) != 0 ||
        (t->flags & (T_FAILED | T_MAKING_SERVER)) == T_FAILED) {
        return; /* over already, and for another reason */
    }
    dw_stream_drop_output(t);
    t->flags |= T_ABORTED;
    t->reason_kind = (int8_t)kind;
    list_remove(&t->node);
    t->form |= T_FORM_PLACED;
    t->aborted.at = reactor_now(reactor);
    t->aborted.sequence = ++reactor->timers.sequence;
    dw_stream_watch(t);
    if ((t->flags & T_READY) == 0) {
        dw_stream_list_aborted(t); /* else reactor.c does when it comes to it in that list */
    }
}

void dw_stream_list_aborted(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    t->flags |= T_LISTED;
    t->next_ready = NULL;
    if (reactor->aborted_tail != NULL) {
        reactor->aborted_tail->next_ready = t;
    } else {
        reactor->aborted_head = t;
    }
    reactor->aborted_tail = t;
    reactor_wake(reactor, t->aborted.at);
}

static void rejoin(dw_transport *t) {
    if ((t->form & T_FORM_PLACED) != 0) {
        t->form = (uint8_t)(t->form & ~T_FORM_PLACED);
        list_add(&t->reactor->transports, &t->node);
    }
}

/* They have no place among the delayed calls any more. */
void dw_stream_rejoin_aborted(dw_reactor *reactor) {
    for (dw_transport *t = reactor->ready_head; t != NULL; t = t->next_ready) {
        rejoin(t);
    }
    for (dw_transport *t = reactor->aborted_head; t != NULL; t = t->next_ready) {
        t->flags = (uint16_t)(t->flags & ~T_LISTED);
        rejoin(t);
    }
    reactor->aborted_head = reactor->aborted_tail = NULL;
}

void dw_stream_abort_now(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    reactor->aborted_head = t->next_ready;
    if (reactor->aborted_head == NULL) {
        reactor->aborted_tail = NULL;
    }
    t->flags = (uint16_t)(t->flags & ~T_LISTED);
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
    } else {
        dw_stream_lost(t, (dw_error)t->reason_kind, 0, NULL);
    }
}
