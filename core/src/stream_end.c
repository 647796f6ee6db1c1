/* SPDX-License-Identifier: MIT */
/*
 * How a connection ends: connection_lost and all that goes with it, and the list of those that are
 * aborted, which end in a later turn, each at its place among the delayed calls.
 *
 * Invariant: connection_lost runs exactly once per connection that was made, from dw_stream_lost;
 * one in the list of the aborted has T_LISTED, and T_FORM_PLACED while it is in no other.
 */
#include "internal.h"

DW_APART static void stop_producer(struct dw_extra *extra) {
    dw_producer *producer = extra->producer;
    extra->producer = NULL;
    if (producer != NULL && producer->cls->stop_producing != NULL) {
        producer->cls->stop_producing(producer);
    }
}

DW_APART static void tell_connector(dw_transport *t, const dw_reason *reason) {
    dw_connector *connector = stream_connector(t);
    dw_stream_leave_connector(t);
    dw_connector_lost(connector, reason);
}

static inline void tell_protocol(dw_transport *t, const dw_reason *reason) {
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
 * ends behind the last bytes was a good one. */
int dw_stream_end_output(dw_transport *t) {
    int error = hung_up(t);
    if (error == 0 && (t->flags & T_WRITE_CLOSED) == 0 && t->io.kind == DW_IO_STREAM) {
        error = -t->reactor->wire->shutdown(t->reactor, &t->io);
    }
    return (t->form & T_FORM_SENT) == 0 ? error : 0;
}

/* The socket is closed after connection_lost, so that addresses can be asked for in it, and before
 * the connector hears of it, so that a new attempt finds the descriptor free. */
static inline void lose(dw_transport *t, const dw_reason *reason) {
    dw_reactor *reactor = t->reactor;
    if ((t->flags & T_LOST) != 0) {
        return;
    }
    t->busy++;
    t->flags = (uint16_t)((t->flags | T_LOST) & ~T_CONNECTED);
    if (t->out != NULL || reactor->borrower == t) { /* or `aside`, which is there too */
        dw_stream_drop_output(t);
    }
    t->io.want = 0; /* nobody need be told: it is closed before the wire has its turn */
    reactor->connection_count -= t->io.kind == DW_IO_STREAM;
    if (stream_extra(t) != NULL) {
        stop_producer(stream_extra(t));
    }
    tell_protocol(t, reason);
    bool reset = (t->flags & T_ABORTED) != 0 && reason->kind != DW_APP_ERROR;
    if (!reset && reason->kind != DW_CONNECTION_DONE && reason->sys_errno == 0) {
        /* A failure of the program's, or the reactor's stop; for the peer in order. */
        dw_stream_end_output(t);
    }
    reactor->wire->close(reactor, &t->io, reset);
    if (t->protocol != NULL && t->protocol->cls->destroy == NULL) {
        t->protocol = NULL; /* its owner may free it from now on */
    }
    if ((t->form & T_FORM_CLIENT) != 0) {
        tell_connector(t, reason);
    }
    t->busy--;
    if (stream_is_done(t)) {
        dw_stream_free(t);
    }
}

void dw_stream_lost(dw_transport *t, dw_error kind, int sys_errno, const char *text) {
    const dw_reason reason = {kind, sys_errno, text};
    lose(t, &reason);
}

void dw_stream_done(dw_transport *t) {
    static const dw_reason done = {DW_CONNECTION_DONE, 0, NULL};
    lose(t, &done);
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
    t->aborted.at = dw_timers_clock(reactor);
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
