/* SPDX-License-Identifier: MIT */
/*
 * How bytes leave a connection: what the callbacks wrote goes out in one piece after they have
 * returned, what the wire does not take waits in a buffer of our own.
 *
 * Invariant: T_BLOCKED is set while the wire has refused some; a failed send leaves T_BROKEN, and
 * nothing to send. Called by stream.c and, through reactor_flush, by reactor.c.
 */
#include "internal.h"

/* Bytes that one connection sends in a turn (Twisted's FileDescriptor.SEND_LIMIT): what came from
 * the peer meanwhile is looked at before the rest goes out, and others have their turn. */
enum { SEND_MAX = 128 * 1024 };

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
    if (stream_borrows(t)) {
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

/* They left in good order: what becomes of the connection now is no concern of ours. */
static void note_last_bytes(dw_transport *t) {
    if ((t->flags & T_DISCONNECTING) != 0) {
        t->form |= T_FORM_SENT;
    }
}

/* Sends what there is, or as much of it as goes in one turn. */
void dw_stream_push(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    struct iovec piece;
    if (stream_borrows(t)) {
        piece = reactor->borrowed;
    } else {
        dw_buffer *out = *stream_out(t);
        size_t len = buffer_len(out);
        piece = (struct iovec){out->bytes + out->head, len < SEND_MAX ? len : SEND_MAX};
    }
    ssize_t n = dw_passing_waits(t) ? dw_passing_send(t, &piece)
                                    : reactor->wire->send(reactor, &t->io, &piece, 1);
    sent(t, piece.iov_len, n);
    note_last_bytes(t);
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

void dw_stream_after_push(dw_transport *t) {
    dw_stream_watch(t);
    if (stream_write_due(t) || (stream_drained(t) && attention_due(t))) {
        dw_stream_mark_ready(t);
    }
}

/* An answer comes this way: a buffer that leaves whole, and nobody waits for that. False: there is
 * more to it; nothing has been done. */
static bool flush_plain(dw_transport *t) {
    const unsigned special =
        T_LOST | T_ABORTED | T_FAILED | T_BROKEN | T_BLOCKED | T_DISCONNECTING | T_LOSE_WRITE;
    const struct dw_extra *extra = stream_extra(t);
    if ((t->flags & special) != 0 || stream_borrows(t) ||
        (extra != NULL && (extra->producer != NULL || extra->outgoing != NULL))) {
        return false;
    }
    dw_buffer **out = stream_out(t), *buffer = *out;
    if (buffer == NULL || buffer_len(buffer) > SEND_MAX) {
        return false;
    }
    struct iovec piece = {buffer->bytes + buffer->head, buffer_len(buffer)};
    ssize_t n = t->reactor->wire->send(t->reactor, &t->io, &piece, 1);
    if (n == (ssize_t)piece.iov_len) {
        dw_buffer_release(t->reactor, buffer);
        *out = NULL;
    } else {
        sent(t, piece.iov_len, n);
        dw_stream_after_push(t);
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
        dw_stream_push(t);
    }
    dw_stream_after_push(t);
}

DW_SELDOM void dw_stream_sent_less(dw_reactor *reactor, ssize_t n) {
    dw_transport *t = reactor->borrower;
    sent(t, reactor->borrowed.iov_len, n);
    dw_stream_after_push(t);
}
