/* SPDX-License-Identifier: MIT */
/*
 * The memory of a connection: the transport itself, its peer's address, what few connections need
 * beside it, and the bytes that wait to be sent. Most connections are one block and no more.
 *
 * Invariant: `form` says which members of the transport's unions are in use, and memory goes when
 * no list and no callback on the stack refers to the transport any more. Called by whoever makes
 * connections (port.c, connector.c, child_pipe.c) and by stream.c and stream_end.c.
 */
#include "internal.h"

const char dw_where_transport[] = "a transport";

/* All but `io`, member by member: that is half of what clearing it first would be. */
static inline void init(dw_transport *t, dw_reactor *reactor) {
    t->head.verbs = &dw_stream_verbs;
    t->reactor = reactor;
    t->protocol = NULL;
    t->out = NULL;
    list_add(&reactor->transports, &t->node);
    t->next_dirty = t->next_ready = NULL;
    t->peer.block = NULL; /* the whole of the union */
    t->flags = t->busy = 0;
    t->reason_errno = 0;
    t->reason_kind = 0;
    t->form = 0;
}

dw_transport *dw_stream_new(dw_reactor *reactor) {
    dw_transport *t = dw_alloc_at(reactor, sizeof(*t), dw_where_transport);
    if (t == NULL) {
        return NULL;
    }
    init(t, reactor);
    t->io = (dw_io){.socket = DW_SOCKET_NONE};
    return t;
}

/* How much of an address has to be kept in a block of its own. */
static inline size_t size_apart(const dw_address *peer) {
    if (peer->kind == DW_ADDRESS_IPV6) {
        return offsetof(dw_address, ip) + sizeof(peer->ip);
    }
    return peer->kind == DW_ADDRESS_UNIX && peer->path_len > 0
               ? offsetof(dw_address, path) + peer->path_len
               : 0;
}

DW_APART static bool keep_peer_apart(dw_transport *t, const dw_address *peer, size_t size) {
    dw_address *block = dw_alloc(t->reactor, size);
    if (block == NULL) {
        return false;
    }
    memcpy(block, peer, size);
    t->peer.block = block;
    t->form |= T_FORM_BLOCK;
    return true;
}

static inline bool set_peer(dw_transport *t, const dw_address *peer) {
    size_t size = size_apart(peer);
    if (size > 0) {
        return keep_peer_apart(t, peer, size);
    }
    t->peer.small.kind = peer->kind;
    t->peer.small.port = peer->port;
    memcpy(t->peer.small.ip, peer->ip, sizeof(t->peer.small.ip));
    return true;
}

bool dw_stream_set_peer(dw_transport *t, const dw_address *peer) {
    return set_peer(t, peer);
}

dw_transport *dw_stream_accepted(dw_reactor *reactor, dw_io *io, const dw_address *peer) {
    const dw_allocator *allocator = &reactor->allocator;
    dw_transport *t = allocator->alloc(allocator->user, sizeof(*t), dw_where_transport);
    if (t == NULL) {
        reactor->wire->close(reactor, io, true);
        return NULL;
    }
    init(t, reactor);
    t->io = *io;
    t->io.kind = DW_IO_STREAM;
    if (!set_peer(t, peer)) {
        dw_stream_discard(t);
        return NULL;
    }
    return t;
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
    struct dw_extra *extra = stream_extra(t);
    if (extra != NULL) {
        return extra;
    }
    extra = dw_new(t->reactor, struct dw_extra);
    if (extra == NULL) {
        return NULL;
    }
    if (t->reactor->borrower == t) {
        dw_stream_mark_dirty(t); /* there will be more to see to than the bytes */
    }
    extra->high = DW_HIGH_WATER_DEFAULT;
    extra->low = DW_LOW_WATER_DEFAULT;
    if ((t->form & T_FORM_ASIDE) != 0) {
        t->aside->extra = extra;
    } else {
        extra->aside = (struct dw_aside){{t->out}, extra};
        t->aside = &extra->aside;
        t->form |= T_FORM_ASIDE;
    }
    return extra;
}

void dw_stream_join_connector(dw_transport *t, struct dw_aside *aside) {
    *aside = (struct dw_aside){{NULL}, NULL};
    t->aside = aside;
    t->form |= T_FORM_ASIDE | T_FORM_CLIENT;
}

/* Its extra part goes with it. */
void dw_stream_leave_connector(dw_transport *t) {
    const struct dw_aside *aside = t->aside;
    if ((t->form & T_FORM_CLIENT) == 0) {
        return;
    }
    t->form = (uint8_t)(t->form & ~T_FORM_CLIENT);
    if (aside->extra != NULL) {
        aside->extra->aside = *aside;
        t->aside = &aside->extra->aside;
        return;
    }
    t->form = (uint8_t)(t->form & ~T_FORM_ASIDE);
    if (stream_has_text(t)) {
        t->reason_text = aside->reason_text;
    } else {
        t->out = aside->out;
    }
}

/* One that is a single block has nothing to free. */
DW_APART static void free_parts(dw_transport *t) {
    dw_free(t->reactor, stream_extra(t));
    if ((t->form & T_FORM_BLOCK) != 0) {
        dw_free(t->reactor, t->peer.block);
    }
}

void dw_stream_free_if_done(dw_transport *t) {
    if (stream_is_done(t)) {
        dw_stream_free(t);
    }
}

void dw_stream_free(dw_transport *t) {
    const dw_allocator *allocator = &t->reactor->allocator;
    dw_protocol *protocol = t->protocol;
    if ((t->form & T_FORM_PLACED) == 0) {
        list_remove(&t->node);
    }
    if ((t->form & (T_FORM_ASIDE | T_FORM_BLOCK)) != 0) {
        free_parts(t);
    }
    t->out = NULL;
    t->peer.small.kind = DW_ADDRESS_NONE;
    t->form = 0;
    t->flags = T_LOST | T_DEAD;
    allocator->release(allocator->user, t);
    if (protocol != NULL && protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
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

void dw_stream_drop_output(dw_transport *t) {
    if (stream_borrows(t)) {
        t->reactor->borrower = NULL;
    }
    dw_passing_drop(t);
    if (!stream_has_text(t)) {
        dw_buffer **out = stream_out(t);
        dw_buffer_release(t->reactor, *out);
        *out = NULL;
    }
}
