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

void dw_stream_free_if_done(dw_transport *t) {
    if (t->busy > 0 || (t->flags & (T_DIRTY | T_READY | T_LISTED)) != 0) {
        return;
    }
    dw_protocol *protocol = t->protocol;
    list_remove(&t->node);
    dw_free(t->reactor, t->extra);
    t->extra = NULL;
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

static void drop_output(dw_transport *t) {
    if (borrows(t)) {
        t->reactor->borrower = NULL;
    }
    dw_buffer_release(t->reactor, t->out);
    t->out = NULL;
}

/* ---- The end ---- */

static void stop_producer(dw_transport *t) {
    if (t->extra != NULL && t->extra->producer != NULL) {
        dw_producer *producer = t->extra->producer;
        t->extra->producer = NULL;
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
    drop_output(t);
    t->io.want = 0;
    reactor->wire->watch(reactor, &t->io);
    reactor->connection_count--;
    stop_producer(t);
    tell_protocol(t, &reason);
    bool reset = (t->flags & T_ABORTED) != 0 && kind != DW_APP_ERROR;
    reactor->wire->close(reactor, &t->io, reset);
    if (t->protocol != NULL && t->protocol->cls->destroy == NULL) {
        t->protocol = NULL; /* its owner may free it from now on */
    }
    if (t->connector != NULL) {
        dw_connector *connector = t->connector;
        t->connector = NULL;
        dw_connector_lost(connector, &reason);
    }
    t->busy--;
    dw_stream_free_if_done(t);
}

void dw_stream_discard(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    drop_output(t);
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
static bool leave(dw_transport *t) {
    t->busy--;
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
        return false;
    }
    if ((t->flags & T_FAILED) != 0 && t->busy == 0) {
        dw_stream_lost(t, (dw_error)t->reason_kind, t->reason_errno, t->reason_text);
        return false;
    }
    return true;
}

/* A server's connection_made that fails is only logged (vectors/README.md, section 4: 9). */
static void forgive_server(dw_transport *t) {
    char text[160];
    dw_reason reason = {(dw_error)t->reason_kind, t->reason_errno, t->reason_text};
    t->flags = (uint16_t)(t->flags & ~T_FAILED);
    dw_reactor_log(t->reactor, "%s: connection_made failed: %s",
                   dw_protocol_log_prefix(t->protocol),
                   dw_reason_format(&reason, text, sizeof(text)));
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
    t->flags |= t->connector == NULL ? T_MAKING_SERVER : 0;
    dw_protocol_make_connection(protocol, t);
    t->flags = (uint16_t)(t->flags & ~T_MAKING_SERVER);
    if (t->connector == NULL && (t->flags & (T_FAILED | T_LOST)) == T_FAILED) {
        forgive_server(t);
        dw_stream_watch(t);
    }
    leave(t);
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

static bool stream_received(dw_transport *t, const uint8_t *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    reactor->received = data;
    reactor->received_len = len;
    t->busy++;
    stream_see(t, DW_SEEN_DATA, 0, data, len);
    if (t->protocol->cls->data_received != NULL) {
        t->protocol->cls->data_received(t->protocol, data, len);
    }
    return leave(t);
}

/* Returns whether the transport is still there. */
static bool stream_readable(dw_transport *t) {
    const uint8_t *data = NULL;
    ssize_t n = t->reactor->wire->recv(t->reactor, &t->io, &data);
    if (n > 0) {
        return stream_received(t, data, (size_t)n);
    }
    if (n == 0) {
        return stream_ended(t);
    }
    if (n != -EAGAIN && n != -EWOULDBLOCK && n != -EINTR) {
        dw_stream_lost(t, DW_CONNECTION_LOST, (int)-n, NULL);
        return false;
    }
    return true;
}

/* ---- Sending ---- */

/* The unsent rest of borrowed bytes moves into a buffer of our own. */
static bool keep_rest(dw_transport *t, const uint8_t *rest, size_t len) {
    dw_reactor *reactor = t->reactor;
    reactor->borrower = NULL;
    if (len > 0 && !dw_buffer_append(reactor, &t->out, rest, len)) {
        dw_stream_abort_later(t, DW_NO_MEMORY);
        return false;
    }
    return true;
}

static void advance_output(dw_transport *t, size_t sent) {
    if (borrows(t)) {
        keep_rest(t, t->reactor->borrowed + sent, t->reactor->borrowed_len - sent);
        return;
    }
    t->out->head += sent;
    if (t->out->head == t->out->tail) {
        dw_buffer_release(t->reactor, t->out);
        t->out = NULL;
    }
}

/* Sends what there is. */
static void push(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    struct iovec piece;
    if (borrows(t)) {
        piece = (struct iovec){(void *)(uintptr_t)reactor->borrowed, reactor->borrowed_len};
    } else {
        piece = (struct iovec){t->out->bytes + t->out->head, buffer_len(t->out)};
    }
    ssize_t n = reactor->wire->send(reactor, &t->io, &piece, 1);
    bool blocked = n == -EAGAIN || n == -EWOULDBLOCK || n == -EINTR;
    if (n < 0 && !blocked) {
        drop_output(t);
        t->flags |= T_BROKEN;
        t->reason_errno = (int16_t)-n;
        return;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    advance_output(t, sent);
    t->flags = (uint16_t)(sent < piece.iov_len ? t->flags | T_BLOCKED : t->flags & ~T_BLOCKED);
}

/* Whether an empty buffer means work: a producer to resume, a close to perform. */
static bool attention_due(const dw_transport *t) {
    if ((t->flags & (T_BROKEN | T_DISCONNECTING | T_LOSE_WRITE | T_FAILED)) != 0) {
        return true;
    }
    const struct dw_extra *extra = t->extra;
    return extra != NULL && extra->producer != NULL &&
           (!extra->streaming || extra->producer_paused);
}

static bool drained(const dw_transport *t) {
    size_t low = t->extra != NULL ? t->extra->low : 0;
    return stream_buffered(t) <= low;
}

void dw_stream_flush(dw_transport *t) {
    if ((t->flags & (T_LOST | T_ABORTED | T_FAILED)) != 0) {
        return;
    }
    if (stream_buffered(t) > 0 && (t->flags & (T_BROKEN | T_BLOCKED)) == 0) {
        push(t);
    }
    dw_stream_watch(t);
    if (drained(t) && attention_due(t)) {
        dw_stream_mark_ready(t);
    }
}

/* ---- What follows an empty buffer (Twisted's FileDescriptor.doWrite) ---- */

static bool resume_producer(dw_transport *t) {
    struct dw_extra *extra = t->extra;
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

void dw_stream_attend(dw_transport *t) {
    if ((t->flags & (T_LOST | T_ABORTED)) != 0) {
        return;
    }
    if ((t->flags & T_FAILED) != 0) {
        dw_stream_lost(t, (dw_error)t->reason_kind, t->reason_errno, t->reason_text);
    } else if ((t->flags & T_BROKEN) != 0) {
        dw_stream_lost(t, DW_CONNECTION_LOST, t->reason_errno, NULL);
    } else if (!drained(t) || resume_producer(t)) {
        return;
    } else if (stream_buffered(t) > 0) {
        return;
    } else if ((t->flags & T_DISCONNECTING) != 0) {
        dw_stream_lost(t, DW_CONNECTION_DONE, 0, NULL);
    } else if ((t->flags & T_LOSE_WRITE) != 0) {
        close_write(t);
    }
}

static void stream_writable(dw_transport *t) {
    t->flags = (uint16_t)(t->flags & ~T_BLOCKED);
    if (stream_buffered(t) > 0) {
        push(t);
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
    drop_output(t);
    t->flags |= T_ABORTED;
    t->reason_kind = (int16_t)kind;
    t->aborted_at = reactor_now(reactor);
    t->aborted_sequence = ++reactor->timers.sequence;
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
    reactor_wake(reactor, t->aborted_at);
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
