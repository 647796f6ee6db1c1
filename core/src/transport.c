/* SPDX-License-Identifier: MIT */
/*
 * The verbs of a connection's own transport. They check, copy bytes and leave marks; what the marks
 * lead to happens in stream.c after the running callback has returned. All of them do nothing on a
 * transport that is NULL or gone. Called through the table at the end, from verbs.c.
 */
#include "internal.h"

#include <limits.h>

/* A transport that verbs may act on. One that was given back is noticed where its memory is kept.
 */
static bool usable(const dw_transport *t) {
    if (t == NULL || (t->flags & T_CONNECTED) != 0) {
        return t != NULL;
    }
    dw_contract(t->reactor, (t->flags & T_DEAD) == 0, "dead-transport",
                "a transport was used after connection_lost had returned");
    return false;
}

/* ---- Writing ---- */

static inline bool writes_are_taken(const dw_transport *t) {
    unsigned no = T_ABORTED | T_WRITE_CLOSED | T_BROKEN | T_FAILED;
    return (t->flags & (T_CONNECTED | no)) == T_CONNECTED;
}

static bool takes_writes(const dw_transport *t) {
    return usable(t) && writes_are_taken(t);
}

static inline void borrow(dw_transport *t, const void *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    reactor->borrower = t;
    reactor->borrowed = (struct iovec){(void *)(uintptr_t)data, len};
    reactor->received_len = 0; /* one borrower at a time */
}

/* Bytes that lie in the read buffer stay there until the flush, if they are all there is: what is
 * passed on as it came is not copied. */
static bool try_borrow(dw_transport *t, const uint8_t *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    size_t at = (size_t)((uintptr_t)data - (uintptr_t)reactor->received);
    if (at >= reactor->received_len || len > reactor->received_len - at || *stream_out(t) != NULL) {
        return false;
    }
    dw_stream_mark_dirty(t);
    borrow(t, data, len);
    return true;
}

static bool settle_borrow(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    if (reactor->borrower != t) {
        return true;
    }
    dw_stream_mark_dirty(t);
    reactor->borrower = NULL;
    return dw_buffer_append(reactor, stream_out(t), reactor->borrowed.iov_base,
                            reactor->borrowed.iov_len);
}

static bool append(dw_transport *t, const void *data, size_t len) {
    if (settle_borrow(t) && dw_buffer_append(t->reactor, stream_out(t), data, len)) {
        dw_stream_mark_dirty(t);
        return true;
    }
    dw_stream_abort_later(t, DW_NO_MEMORY);
    return false;
}

/* A producer's callback inside a verb. The connection may end in it (vectors/README.md, section 4:
 * 3); it goes, and its protocol is destroyed, when the callback has returned. */
static void call_producer(dw_transport *t, void (*fn)(dw_producer *producer)) {
    t->busy++;
    fn(stream_extra(t)->producer);
    t->busy--;
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
    } else if ((t->flags & T_FAILED) != 0 && t->busy == 0) {
        dw_stream_mark_ready(t);
    }
}

/* Repeated at every write over the mark, as in Twisted (vectors/README.md, "Producers"). */
static void pause_producer(dw_transport *t) {
    struct dw_extra *extra = stream_extra(t);
    if (extra != NULL && extra->producer != NULL && extra->streaming &&
        stream_buffered(t) > extra->high) {
        extra->producer_paused = true;
        if (extra->producer->cls->pause_producing != NULL) {
            call_producer(t, extra->producer->cls->pause_producing);
        }
    }
}

DW_APART static void write_seen(dw_transport *t, const void *data, size_t len) {
    if (len == 0 || !takes_writes(t)) {
        return;
    }
    stream_see(t, DW_SEEN_WRITE, (int)(len < INT_MAX ? len : INT_MAX), data, len);
    if (try_borrow(t, data, len) || append(t, data, len)) {
        pause_producer(t);
    }
}

/* The first bytes since the last flush, of nobody who borrows any, or has a producer; nobody looks,
 * and a buffer lies ready. False: there is more to it; nothing has been done. */
static bool write_first(dw_transport *t, const void *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    const struct dw_extra *extra = stream_extra(t);
    if (len == 0 || reactor->observe_bytes != NULL || reactor->borrower == t ||
        !writes_are_taken(t) || *stream_out(t) != NULL ||
        (uintptr_t)data - (uintptr_t)reactor->received < reactor->received_len ||
        (extra != NULL && extra->producer != NULL)) {
        return false;
    }
    dw_buffer *buffer = buffer_fill_pooled(reactor, data, len);
    if (buffer == NULL) {
        return false;
    }
    *stream_out(t) = buffer;
    dw_stream_mark_dirty(t);
    return true;
}

DW_APART static void write_otherwise(dw_transport *t, const void *data, size_t len) {
    if (!write_first(t, data, len)) {
        write_seen(t, data, len);
    }
}

/* Whether what is written may be the borrower's, which the list of those to flush does without
 * (reactor_flush): a data_received runs, nobody has borrowed, nobody is to be flushed before it,
 * and nothing else of it waits or is to be seen to. */
static inline bool may_borrow(const dw_reactor *reactor, const dw_transport *t) {
    if (reactor->received_len == 0 || !writes_are_taken(t) || reactor->dirty_head != NULL ||
        reactor->observe_bytes != NULL) {
        return false;
    }
    return (t->form & T_FORM_ASIDE) != 0 ? t->aside->out == NULL && t->aside->extra == NULL
                                         : t->out == NULL;
}

DW_APART static void answer(dw_transport *t, const void *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    borrow(t, memcpy(reactor->answer, data, len), len);
}

/* The short ways are an echo's, which borrows all there is, and a short answer's, which lies with
 * the reactor meanwhile (`len` 0 becomes the largest number). It takes none of the pool's buffers,
 * but one must lie ready should more be written: whether an answer needs memory, which there may be
 * none of, does not depend on its way. */
static void stream_write(dw_transport *t, const void *data, size_t len) {
    const dw_reactor *reactor = t->reactor;
    if (!may_borrow(reactor, t)) {
        write_otherwise(t, data, len);
    } else if (data == reactor->received && len - 1 < reactor->received_len) {
        borrow(t, data, len);
    } else if (len - 1 < sizeof(reactor->answer) && reactor->pool != NULL) {
        answer(t, data, len);
    } else {
        write_otherwise(t, data, len);
    }
}

static void stream_writev(dw_transport *t, const struct iovec *pieces, size_t count) {
    if (!takes_writes(t)) {
        return;
    }
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    if (total == 0) {
        return;
    }
    size_t first = pieces[0].iov_len < INT_MAX ? pieces[0].iov_len : INT_MAX;
    stream_see(t, DW_SEEN_WRITE, (int)first, pieces[0].iov_base, total);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0 && !try_borrow(t, pieces[i].iov_base, pieces[i].iov_len) &&
            !append(t, pieces[i].iov_base, pieces[i].iov_len)) {
            return;
        }
    }
    pause_producer(t);
}

/* ---- Closing ---- */

static void stream_lose_connection(dw_transport *t) {
    if (!usable(t) || (t->flags & (T_DISCONNECTING | T_ABORTED)) != 0 ||
        (t->flags & (T_FAILED | T_MAKING_SERVER)) == T_FAILED) {
        return;
    }
    stream_see(t, DW_SEEN_LOSE, 0, NULL, 0);
    if ((t->flags & T_WRITE_CLOSED) != 0) {
        /* Nothing is left to flush, so this is the end, and `disconnecting` was never true
         * (vectors/README.md, section 4: 3). */
        dw_stream_lost(t, DW_CONNECTION_DONE, 0, NULL);
    } else {
        t->flags |= T_DISCONNECTING;
        dw_stream_watch(t);
        dw_stream_mark_dirty(t);
    }
}

static void stream_abort_connection(dw_transport *t) {
    if (!usable(t) || (t->flags & T_ABORTED) != 0) {
        return;
    }
    stream_see(t, DW_SEEN_ABORT, 0, NULL, 0);
    dw_stream_abort_later(t, DW_CONNECTION_ABORTED);
}

static void stream_lose_write_connection(dw_transport *t) {
    if (!usable(t) || (t->flags & T_ABORTED) != 0) {
        return;
    }
    stream_see(t, DW_SEEN_LOSE_WRITE, 0, NULL, 0);
    t->flags |= T_LOSE_WRITE;
    dw_stream_mark_dirty(t);
}

static void stream_fail(dw_transport *t, const dw_reason *reason) {
    if (!usable(t) || (t->flags & T_FAILED) != 0) {
        return;
    }
    stream_see(t, DW_SEEN_FAIL, (int)reason->kind, NULL, 0);
    if ((t->flags & T_MAKING_SERVER) != 0) {
        /* Only logged (vectors/README.md, section 4: 9), and what was written stays. */
        char text[160];
        t->flags |= T_FAILED;
        dw_reactor_log(t->reactor, "%s: connection_made failed: %s",
                       dw_protocol_log_prefix(t->protocol),
                       dw_reason_format(reason, text, sizeof(text)));
        return;
    }
    dw_stream_drop_output(t);
    t->reason_kind = (int8_t)reason->kind;
    t->reason_errno = (int16_t)reason->sys_errno;
    *stream_text(t) = reason->text;
    t->flags |= T_FAILED;
    dw_stream_watch(t);
    if (t->busy == 0) {
        dw_stream_mark_ready(t);
    }
}

/* ---- Reading ---- */

static void stream_pause_producing(dw_transport *t) {
    if (!usable(t) || (t->flags & T_PAUSED) != 0) {
        return;
    }
    stream_see(t, DW_SEEN_PAUSE, 0, NULL, 0);
    t->flags |= T_PAUSED;
    dw_stream_watch(t);
}

static void stream_resume_producing(dw_transport *t) {
    if (!usable(t) || (t->flags & T_PAUSED) == 0) {
        return;
    }
    stream_see(t, DW_SEEN_RESUME, 0, NULL, 0);
    t->flags = (uint16_t)(t->flags & ~T_PAUSED);
    dw_stream_watch(t);
}

/* ---- Producers ---- */

static void refuse_producer(dw_producer *producer) {
    if (producer->cls->stop_producing != NULL) {
        producer->cls->stop_producing(producer);
    }
}

static int stream_register_producer(dw_transport *t, dw_producer *producer, bool streaming) {
    if (!usable(t)) {
        refuse_producer(producer);
        return 0;
    }
    struct dw_extra *extra = stream_extra(t);
    if (extra != NULL && extra->producer != NULL) {
        return DW_PRODUCER_REGISTERED;
    }
    extra = dw_stream_make_extra(t);
    if (extra == NULL) {
        dw_stream_abort_later(t, DW_NO_MEMORY);
        refuse_producer(producer);
        return 0;
    }
    extra->producer = producer;
    extra->streaming = streaming;
    extra->producer_paused = false;
    if (!streaming) {
        call_producer(t, producer->cls->resume_producing);
    }
    return 0;
}

static void stream_unregister_producer(dw_transport *t) {
    struct dw_extra *extra = usable(t) ? stream_extra(t) : NULL;
    if (extra == NULL || extra->producer == NULL) {
        return;
    }
    extra->producer = NULL;
    if ((t->flags & (T_DISCONNECTING | T_LOSE_WRITE)) != 0) {
        dw_stream_mark_dirty(t);
    }
}

static int stream_set_write_limits(dw_transport *t, size_t low, size_t high) {
    if (low > high) {
        return DW_INVALID_ARGUMENT;
    }
    if (!usable(t)) {
        return 0;
    }
    struct dw_extra *extra = dw_stream_make_extra(t);
    if (extra == NULL) {
        return DW_NO_MEMORY;
    }
    extra->low = low;
    extra->high = high;
    return 0;
}

/* ---- Facts ---- */

static dw_address stream_peer(const dw_transport *t) {
    return t != NULL ? dw_stream_peer(t) : (dw_address){0};
}

static dw_address stream_host(dw_transport *t) {
    dw_address address = {0};
    if (t != NULL && t->io.socket != DW_SOCKET_NONE) {
        t->reactor->wire->local_address(t->reactor, &t->io, &address);
    }
    return address;
}

static bool stream_get_option(dw_transport *t, dw_socket_option option) {
    return usable(t) && t->reactor->wire->get_option(t->reactor, &t->io, option) > 0;
}

static int stream_set_option(dw_transport *t, dw_socket_option option, bool on) {
    if (!usable(t)) {
        return DW_NOT_CONNECTED;
    }
    int error = t->reactor->wire->set_option(t->reactor, &t->io, option, on);
    if (error < 0) {
        t->reactor->last_errno = -error;
        return DW_SYSTEM_ERROR;
    }
    return 0;
}

static bool stream_connected(const dw_transport *t) {
    return usable(t);
}

static bool stream_disconnecting(const dw_transport *t) {
    return t != NULL && (t->flags & T_DISCONNECTING) != 0;
}

static bool stream_disconnected(const dw_transport *t) {
    return t == NULL || (t->flags & T_LOST) != 0;
}

static int stream_send_file_descriptor(dw_transport *t, int fd) {
    return takes_writes(t) ? dw_passing_queue(t, fd) : DW_NOT_CONNECTED;
}

static int stream_handle(const dw_transport *t) {
    if (t == NULL || t->io.socket == DW_SOCKET_NONE || t->reactor->wire->handle == NULL) {
        return -1;
    }
    return t->reactor->wire->handle(t->reactor, &t->io);
}

static dw_reactor *stream_reactor(const dw_transport *t) {
    return t != NULL ? t->reactor : NULL;
}

const struct dw_transport_verbs dw_stream_verbs = {
    .write = stream_write,
    .writev = stream_writev,
    .lose_connection = stream_lose_connection,
    .abort_connection = stream_abort_connection,
    .lose_write_connection = stream_lose_write_connection,
    .fail = stream_fail,
    .pause_producing = stream_pause_producing,
    .resume_producing = stream_resume_producing,
    .register_producer = stream_register_producer,
    .unregister_producer = stream_unregister_producer,
    .set_write_limits = stream_set_write_limits,
    .buffered = stream_buffered,
    .peer = stream_peer,
    .host = stream_host,
    .connected = stream_connected,
    .disconnecting = stream_disconnecting,
    .disconnected = stream_disconnected,
    .reactor = stream_reactor,
    .get_option = stream_get_option,
    .set_option = stream_set_option,
    .send_file_descriptor = stream_send_file_descriptor,
    .handle = stream_handle,
};
