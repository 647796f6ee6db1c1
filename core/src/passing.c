/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that travel over UNIX streams, each beside one byte. Those on their way out wait in a
 * queue of the transport until their byte is sent; those that came in go to the protocol before the
 * bytes they came with. Called by the stream files and transport.c.
 *
 * Invariant: whatever is in the queue is a duplicate of our own, in order of `ahead`, which counts
 * the bytes of the write buffer that leave before the one it goes with.
 */
#include "internal.h"

struct dw_outgoing {
    size_t count;
    size_t ahead[DW_DESCRIPTORS_MAX];
    int fds[DW_DESCRIPTORS_MAX];
};

static struct dw_outgoing *outgoing_of(const dw_transport *t) {
    struct dw_extra *extra = stream_extra(t);
    return extra != NULL ? extra->outgoing : NULL;
}

/* ---- Out ---- */

/* Room for one more; NULL without memory. */
static struct dw_outgoing *outgoing_make(dw_transport *t) {
    struct dw_extra *extra = dw_stream_make_extra(t);
    if (extra != NULL && extra->outgoing == NULL) {
        extra->outgoing = dw_new(t->reactor, struct dw_outgoing);
    }
    return extra != NULL ? extra->outgoing : NULL;
}

/* The first `count` are on their way, or given up. */
static void outgoing_remove(dw_transport *t, size_t count) {
    struct dw_outgoing *q = outgoing_of(t);
    for (size_t i = 0; i < count; i++) {
        t->reactor->wire->drop_descriptor(t->reactor, q->fds[i]);
    }
    q->count -= count;
    memmove(q->fds, q->fds + count, q->count * sizeof(q->fds[0]));
    memmove(q->ahead, q->ahead + count, q->count * sizeof(q->ahead[0]));
    if (q->count == 0) {
        stream_extra(t)->outgoing = NULL;
        dw_free(t->reactor, q);
    }
}

void dw_passing_drop(dw_transport *t) {
    struct dw_outgoing *q = outgoing_of(t);
    if (q != NULL) {
        outgoing_remove(t, q->count);
    }
}

static int outgoing_add(dw_transport *t, struct dw_outgoing *q, int fd) {
    dw_reactor *reactor = t->reactor;
    /* As many as one byte carries, and so as many as may wait. */
    int own =
        q->count < DW_DESCRIPTORS_MAX ? reactor->wire->keep_descriptor(reactor, fd) : -ETOOMANYREFS;
    if (own < 0) {
        reactor->last_errno = -own;
        return DW_SYSTEM_ERROR;
    }
    q->ahead[q->count] = stream_buffered(t);
    q->fds[q->count++] = own;
    return 0;
}

int dw_passing_queue(dw_transport *t, int fd) {
    if (t->io.family != DW_ADDRESS_UNIX || t->reactor->wire->send_descriptors == NULL) {
        return DW_UNSUPPORTED;
    }
    struct dw_outgoing *q = outgoing_make(t);
    if (q == NULL) {
        return DW_NO_MEMORY;
    }
    int error = outgoing_add(t, q, fd);
    if (q->count == 0) {
        outgoing_remove(t, 0);
    }
    return error;
}

/* How many go with the next byte, and how many bytes (at most `len`) may leave in one call with
 * them: the kernel hands descriptors over with the first byte of a call. */
static size_t due_now(const struct dw_outgoing *q, size_t *len) {
    size_t due = 0;
    while (due < q->count && q->ahead[due] == 0) {
        due++;
    }
    if (due < q->count && q->ahead[due] < *len) {
        *len = q->ahead[due];
    }
    return due;
}

/* One call of the wire, which may take less than *piece, as cut by due_now. */
static ssize_t send_once(dw_transport *t, struct iovec *piece) {
    dw_reactor *reactor = t->reactor;
    const dw_wire *wire = reactor->wire;
    struct dw_outgoing *q = outgoing_of(t);
    size_t due = q != NULL ? due_now(q, &piece->iov_len) : 0;
    ssize_t n = due > 0 ? wire->send_descriptors(reactor, &t->io, piece, 1, q->fds, due)
                        : wire->send(reactor, &t->io, piece, 1);
    if (n > 0 && q != NULL) {
        for (size_t i = due; i < q->count; i++) {
            q->ahead[i] -= (size_t)n;
        }
        outgoing_remove(t, due);
    }
    return n;
}

bool dw_passing_waits(const dw_transport *t) {
    return outgoing_of(t) != NULL;
}

ssize_t dw_passing_send(dw_transport *t, const struct iovec *all) {
    size_t sent = 0;
    while (sent < all->iov_len) {
        struct iovec piece = {(char *)all->iov_base + sent, all->iov_len - sent};
        ssize_t n = send_once(t, &piece);
        if (n < 0 && sent == 0) {
            return n;
        }
        if (n <= 0 || (size_t)n < piece.iov_len) {
            return (ssize_t)sent + (n > 0 ? n : 0);
        }
        sent += (size_t)n;
    }
    return (ssize_t)sent;
}

/* ---- In ---- */

/* Taken before the first is handed over: a callback may end the connection. */
static size_t take_all(dw_transport *t, int fds[DW_DESCRIPTORS_MAX]) {
    dw_reactor *reactor = t->reactor;
    size_t count = 0;
    for (int fd; (fd = reactor->wire->take_descriptor(reactor, &t->io)) >= 0;) {
        if (count < DW_DESCRIPTORS_MAX) {
            fds[count++] = fd;
        } else {
            reactor->wire->drop_descriptor(reactor, fd);
        }
    }
    return count;
}

void dw_passing_receive(dw_transport *t) {
    dw_reactor *reactor = t->reactor;
    int fds[DW_DESCRIPTORS_MAX];
    size_t count = take_all(t, fds);
    for (size_t i = 0; i < count; i++) {
        dw_protocol *protocol = t->protocol;
        if ((t->flags & T_HEARS_NO_MORE) != 0 || protocol->cls->file_descriptor_received == NULL) {
            reactor->wire->drop_descriptor(reactor, fds[i]);
        } else {
            protocol->cls->file_descriptor_received(protocol, fds[i]);
        }
    }
}
