/* SPDX-License-Identifier: MIT */
/*
 * The program's side of a stream: connect, receive, send, end it. Two buffers and a window between
 * them, as TCP has; what the window does not take waits at the sender.
 *
 * Invariant: `outstanding` of an end is the number of bytes in flight to it or unread at it, never
 * more than the receive buffer. No byte is ever missing from a live stream.
 */
#include "stream.h"
#include "drywire/network.h"

#include <errno.h>
#include <string.h>

/* ---- Connecting, and the window ---- */

sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port) {
    sim_conn *conn = sim_conn_take(host, to);
    conn->end[1].port = port;
    conn->end[0].flags = E_OPEN | E_CONNECTING;
    sim_flight_send_empty(&conn->end[0], PACKET_SYN);
    return conn;
}

static sim_segment *first_blocked(const sim_end *from) {
    return from->aside != NULL ? chain_first(from->aside->blocked) : NULL;
}

/* The part of the first blocked segment that fits into `room`: all of it, or the front, cut off. */
static sim_segment *take_blocked(sim_end *from, size_t room) {
    sim_segment **blocked = &from->aside->blocked;
    sim_segment *segment = chain_take(blocked);
    if (segment->len > room) {
        sim_segment *rest = sim_segment_new(end_world(from), segment->len - room);
        rest->packet = PACKET_DATA;
        memcpy(rest->data, segment->data + room, segment->len - room);
        chain_add_first(blocked, rest);
        segment->len = (uint32_t)room;
    }
    from->blocked -= segment->len;
    return segment;
}

/* Moves what the window now allows from the sender's blocked bytes into flight. A segment is cut
 * only for half a window or more, so that a reader of few bytes does not get as many segments (RFC
 * 9293, section 3.8.6.2.1). */
static void release_blocked(sim_end *from) {
    sim_end *to = peer_of(from);
    size_t window = end_world(from)->receive_buffer;
    for (sim_segment *first; (first = first_blocked(from)) != NULL;) {
        size_t room = window > to->outstanding ? window - to->outstanding : 0;
        if (first->len > room && (room == 0 || room < (window + 1) / 2)) {
            break;
        }
        sim_flight_send(from, take_blocked(from, room));
    }
}

void sim_stream_push(sim_end *from) {
    sim_segment **blocked = &from->aside->blocked;
    if (*blocked != chain_first(*blocked) && from->blocked <= DW_RECV_MAX) {
        sim_segment *whole = sim_segment_new(end_world(from), from->blocked);
        size_t len = 0;
        whole->packet = PACKET_DATA;
        while (*blocked != NULL) {
            sim_segment *part = chain_take(blocked);
            memcpy(whole->data + len, part->data, part->len);
            len += part->len;
            sim_segment_free(end_world(from), part);
        }
        chain_add(blocked, whole);
    }
    release_blocked(from);
}

void sim_stream_has_room(sim_end *end) {
    sim_end *from = peer_of(end);
    if (first_blocked(from) == NULL || (from->flags & (E_DEAD | E_UPDATE | E_NAGLE)) != 0) {
        return;
    }
    if (conn_of(end)->name != NULL) {
        release_blocked(from);
        sim_stream_poke(from);
    } else {
        from->flags |= E_UPDATE;
        sim_flight_control(end, CONTROL_WINDOW);
    }
}

/* The sender hears that there is room one packet's time later. */
static void took(sim_end *end, uint32_t n) {
    end->unread -= n;
    end->outstanding -= n;
    sim_stream_has_room(end);
}

void sim_stream_window_opens(sim_end *from) {
    from->flags &= ~(uint32_t)E_UPDATE;
    if ((from->flags & E_DEAD) == 0) {
        release_blocked(from);
        sim_end_dispatch(from);
    }
    sim_stream_release(conn_of(from));
}

/* ---- Receiving ---- */

/* Everything that waits, joined in the world's scratch buffer; at most DW_RECV_MAX. */
static uint32_t recv_joined(sim_end *end, const uint8_t **data) {
    dw_world *world = end_world(end);
    uint32_t n = 0;
    while (end->queue != NULL && n < DW_RECV_MAX) {
        sim_segment *s = chain_first(end->queue);
        uint32_t part = s->len - s->offset;
        part = part < DW_RECV_MAX - n ? part : DW_RECV_MAX - n;
        memcpy(world->scratch + n, s->data + s->offset, part);
        n += part;
        s->offset += part;
        if (s->offset < s->len) {
            break;
        }
        sim_segment_free(world, chain_take(&end->queue));
    }
    *data = world->scratch;
    return n;
}

/* The part of the first segment up to `n` bytes. The segment goes back when it is used up; its
 * bytes stay in place until the next segment is made, which is after the flush. */
static void recv_first(sim_end *end, const uint8_t **data, uint32_t n) {
    dw_world *world = end_world(end);
    sim_segment *s = chain_first(end->queue);
    *data = s->data + s->offset;
    s->offset += n;
    if (s->offset == s->len) {
        chain_take(&end->queue);
        if (world->lent != NULL) {
            sim_segment_free(world, world->lent);
        }
        world->lent = s;
    }
}

/* An end of stream that has come is not taken back by a reset: Linux's TCP looks for that first
 * (SOCK_DONE before sk_err), its UNIX sockets for the error. */
static ssize_t recv_nothing(sim_end *end) {
    bool dead = (end->flags & E_DEAD) != 0, ended = (end->flags & E_FIN_SEEN) != 0;
    if (dead && (!ended || conn_of(end)->name != NULL)) {
        return -(ssize_t)end->error;
    }
    return ended ? 0 : -EAGAIN;
}

ssize_t sim_stream_recv(sim_end *end, const uint8_t **data) {
    if (end->unread == 0) {
        return recv_nothing(end);
    }
    uint32_t whole = end->unread < DW_RECV_MAX ? end->unread : DW_RECV_MAX;
    uint32_t n = (uint32_t)sim_flow_draw(peer_of(end), SIM_CUT, end, cuts, whole);
    n = n > 0 ? n : whole;
    const sim_segment *first = chain_first(end->queue);
    if (n <= first->len - first->offset) {
        recv_first(end, data, n);
    } else {
        uint32_t all = recv_joined(end, data);
        if (n < all) { /* cut behind the first segment: give the rest back */
            sim_segment *rest = sim_segment_new(end_world(end), all - n);
            rest->packet = PACKET_DATA;
            memcpy(rest->data, *data + n, all - n);
            chain_add_first(&end->queue, rest);
        }
    }
    took(end, n);
    sim_stream_mark(end_world(end), end, *data, n);
    return (ssize_t)n;
}

/* ---- Sending ---- */

void sim_gather(uint8_t *out, const struct iovec *pieces, int count, size_t skip, size_t n) {
    for (int i = 0; i < count && n > 0; i++) {
        size_t len = pieces[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        size_t part = len - skip < n ? len - skip : n;
        memcpy(out, (const uint8_t *)pieces[i].iov_base + skip, part);
        out += part;
        n -= part;
        skip = 0;
    }
}

/* At most DW_RECV_MAX bytes: longer segments would not be used again. */
static sim_segment *make_data(sim_end *from, const struct iovec *pieces, int count, size_t skip,
                              size_t n) {
    sim_segment *segment = sim_segment_new(end_world(from), n);
    segment->packet = PACKET_DATA;
    sim_gather(segment->data, pieces, count, skip, n);
    return segment;
}

static void block(sim_end *from, sim_segment *segment) {
    chain_add(&sim_end_aside(from)->blocked, segment);
    from->blocked += segment->len;
}

/* What the window takes leaves now, what the send buffer takes waits here, the rest is refused. */
static size_t send_some(sim_end *from, const struct iovec *pieces, int count, size_t total) {
    dw_world *world = end_world(from);
    sim_end *to = peer_of(from);
    size_t window = world->receive_buffer > to->outstanding && first_blocked(from) == NULL
                        ? world->receive_buffer - to->outstanding
                        : 0;
    if (world->nagle && window >= total && sim_nagle_holds(from, total)) {
        window = 0;
    }
    size_t now = total < window ? total : window;
    size_t most = from->link->bandwidth > 0 ? DW_SEGMENT_MAX : DW_RECV_MAX;
    for (size_t at = 0; at < now; at += most) {
        size_t part = now - at < most ? now - at : most;
        sim_flight_send(from, make_data(from, pieces, count, at, part));
    }
    if (world->nagle && now > 0 && conn_of(from)->name == NULL) {
        sim_nagle_sent(from, now);
    }
    size_t room = world->send_buffer > from->blocked ? world->send_buffer - from->blocked : 0;
    size_t later = total - now < room ? total - now : room;
    for (size_t at = 0; at < later; at += most) {
        size_t part = later - at < most ? later - at : most;
        block(from, make_data(from, pieces, count, now + at, part));
    }
    if ((from->flags & E_NAGLE) != 0 && from->blocked >= DW_SEGMENT_MAX) {
        sim_nagle_push(from);
    }
    return now + later;
}

ssize_t sim_stream_send(sim_end *from, const struct iovec *pieces, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    if ((from->flags & (E_DEAD | E_BROKEN)) == E_DEAD) {
        bool ended = (from->flags & E_FIN_SEEN) != 0 && from->error == ECONNRESET;
        return ended ? -EPIPE : -(ssize_t)from->error; /* as Linux in CLOSE-WAIT */
    }
    if ((from->flags & (E_FIN_QUEUED | E_BROKEN)) != 0) {
        return -EPIPE;
    }
    if (total == 0) {
        return 0;
    }
    if (from->blocked >= end_world(from)->send_buffer) {
        return -EAGAIN;
    }
    size_t limit = (size_t)sim_flow_draw(from, SIM_WRITE, from, writes, total);
    struct iovec first = pieces[0];
    if (limit > 0 && limit < first.iov_len) {
        first.iov_len = limit;
        return (ssize_t)send_some(from, &first, 1, limit);
    }
    return (ssize_t)send_some(from, pieces, count, limit > 0 ? first.iov_len : total);
}

/* ---- Ending ---- */

void sim_stream_send_last(sim_end *end, sim_packet packet) {
    sim_segment *last = sim_segment_new(end_world(end), 0);
    last->packet = (uint8_t)packet;
    end->flags |= E_FIN_QUEUED;
    if (first_blocked(end) != NULL) {
        block(end, last);
    } else {
        sim_flight_send(end, last);
    }
}

void sim_stream_fin(sim_end *end) {
    if ((end->flags & (E_FIN_QUEUED | E_DEAD)) == 0) {
        sim_nagle_push(end); /* Linux: tcp_send_fin */
        sim_stream_send_last(end, PACKET_FIN);
    }
}

void sim_stream_close(sim_end *end, bool reset) {
    dw_world *world = end_world(end);
    bool established = (end->flags & E_ESTABLISHED) != 0;
    bool accepted = (end->flags & E_OPEN) != 0;
    if ((end->flags & E_CLOSED) != 0) {
        return;
    }
    end->io = NULL;
    sim_end_unready(end);
    end->flags = (end->flags | E_CLOSED) & ~(uint32_t)E_OPEN;
    if (conn_of(end)->name != NULL) {
        sim_unix_closes(end, end->unread > 0 || !accepted);
    } else if ((end->flags & E_DEAD) == 0 && established) {
        /* RFC 2525, section 2.17, and RFC 1122, 4.2.2.13: unread data makes it a reset. */
        if (reset || end->unread > 0) {
            sim_end_drop_blocked(end);
            end->flags |= E_DEAD;
            sim_flight_reset(end);
        } else {
            sim_stream_fin(end);
        }
    }
    sim_chain_drop(world, &end->queue);
    end->outstanding -= end->unread;
    end->unread = 0;
    sim_port_settle(end);
    sim_stream_has_room(end); /* a stalled writer's next probe, should the reset be lost */
    sim_stream_release(conn_of(end));
}

void sim_stream_vanish(sim_end *end) {
    dw_world *world = end_world(end);
    end->io = NULL;
    sim_end_unready(end);
    sim_chain_drop(world, &end->queue);
    sim_end_drop_blocked(end);
    end->outstanding -= end->unread;
    end->unread = 0;
    end->flags = (end->flags | E_CLOSED | E_VANISHED | E_DEAD) & ~(uint32_t)E_OPEN;
    sim_port_settle(end);
    sim_stream_has_room(end); /* a stalled writer's next probe: it will find nobody */
    sim_stream_release(conn_of(end));
}
