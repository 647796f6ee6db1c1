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

static bool takes_writes(const dw_transport *t) {
    unsigned no = T_ABORTED | T_WRITE_CLOSED | T_BROKEN | T_FAILED;
    return usable(t) && (t->flags & no) == 0;
}

/* Bytes that lie in the read buffer stay there until the flush, if they are all there is: an echo
 * copies nothing. */
static bool try_borrow(dw_transport *t, const uint8_t *data, size_t len) {
    dw_reactor *reactor = t->reactor;
    if (reactor->borrower != NULL || t->out != NULL || reactor->received == NULL ||
        data < reactor->received || data + len > reactor->received + reactor->received_len) {
        return false;
    }
    reactor->borrower = t;
    reactor->borrowed = data;
    reactor->borrowed_len = len;
    return true;
}

static bool settle_borrow(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    if (reactor->borrower != t) {
        return true;
    }
    reactor->borrower = NULL;
    return dw_buffer_append(reactor, &t->out, reactor->borrowed, reactor->borrowed_len);
}

static bool append(dw_transport *t, const void *data, size_t len) {
    if (try_borrow(t, data, len)) {
        return true;
    }
    if (settle_borrow(t) && dw_buffer_append(t->reactor, &t->out, data, len)) {
        return true;
    }
    dw_stream_abort_later(t, DW_NO_MEMORY);
    return false;
}

/* A producer's callback inside a verb. The connection may end in it (vectors/README.md, section 4:
 * 3); it goes, and its protocol is destroyed, when the callback has returned. */
static void call_producer(dw_transport *t, void (*fn)(dw_producer *producer)) {
    t->busy++;
    fn(t->extra->producer);
    t->busy--;
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
    } else if ((t->flags & T_FAILED) != 0 && t->busy == 0) {
        dw_stream_mark_ready(t);
    }
}

/* Repeated at every write over the mark, as in Twisted (vectors/README.md, "Producers"). */
static void pause_producer(dw_transport *t) {
    struct dw_extra *extra = t->extra;
    if (extra != NULL && extra->producer != NULL && extra->streaming &&
        stream_buffered(t) > extra->high) {
        extra->producer_paused = true;
        if (extra->producer->cls->pause_producing != NULL) {
            call_producer(t, extra->producer->cls->pause_producing);
        }
    }
}

static void stream_write(dw_transport *t, const void *data, size_t len) {
    if (len == 0 || !takes_writes(t)) {
        return;
    }
    stream_see(t, DW_SEEN_WRITE, (int)(len < INT_MAX ? len : INT_MAX), data, len);
    if (append(t, data, len)) {
        dw_stream_mark_dirty(t);
        pause_producer(t);
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
        if (pieces[i].iov_len > 0 && !append(t, pieces[i].iov_base, pieces[i].iov_len)) {
            return;
        }
    }
    dw_stream_mark_dirty(t);
    pause_producer(t);
}

/* ---- Closing ---- */

static void stream_lose_connection(dw_transport *t) {
    if (!usable(t) || (t->flags & (T_DISCONNECTING | T_ABORTED)) != 0 ||
        (t->flags & (T_FAILED | T_MAKING_SERVER)) == T_FAILED) {
        return;
    }
    stream_see(t, DW_SEEN_LOSE, 0, NULL, 0);
    t->flags |= T_DISCONNECTING;
    dw_stream_watch(t);
    if ((t->flags & T_WRITE_CLOSED) != 0) {
        /* Nothing is left to flush, so this is the end (vectors/README.md, section 4: 3). */
        dw_stream_lost(t, DW_CONNECTION_DONE, 0, NULL);
    } else {
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
    t->reason_kind = (int16_t)reason->kind;
    t->reason_errno = (int16_t)reason->sys_errno;
    t->reason_text = reason->text;
    t->flags |= T_FAILED;
    if ((t->flags & T_MAKING_SERVER) != 0) {
        return; /* only logged, and what was written stays */
    }
    if (t->reactor->borrower == t) {
        t->reactor->borrower = NULL;
    }
    dw_buffer_release(t->reactor, t->out);
    t->out = NULL;
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

static struct dw_extra *extra_of(dw_transport *t) {
    if (t->extra == NULL) {
        t->extra = dw_new(t->reactor, struct dw_extra);
        if (t->extra != NULL) {
            t->extra->high = DW_HIGH_WATER_DEFAULT;
            t->extra->low = DW_LOW_WATER_DEFAULT;
        }
    }
    return t->extra;
}

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
    if (t->extra != NULL && t->extra->producer != NULL) {
        return DW_PRODUCER_REGISTERED;
    }
    struct dw_extra *extra = extra_of(t);
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
    if (!usable(t) || t->extra == NULL || t->extra->producer == NULL) {
        return;
    }
    t->extra->producer = NULL;
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
    struct dw_extra *extra = extra_of(t);
    if (extra == NULL) {
        return DW_NO_MEMORY;
    }
    extra->low = low;
    extra->high = high;
    return 0;
}

/* ---- Facts ---- */

static dw_address stream_peer(const dw_transport *t) {
    return t != NULL ? t->peer : (dw_address){0};
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
};
