/* SPDX-License-Identifier: MIT */
/*
 * The program's side of a stream: connect, receive, send, end it. Two buffers and a window between
 * them, as TCP has; what the window does not take waits at the sender.
 *
 * Invariant: `outstanding` of an end is the number of bytes in flight to it or unread at it, never
 * more than the receive buffer. No byte is ever missing from a live stream.
 */
#include "stream.h"

/* ---- Connecting, and the window ---- */

sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port) {
    dw_world *world = host->world;
    sim_conn *conn = sim_conn_take(world);
    conn->ordinal = ++host->connections;
    sim_end_init(&conn->end[0], host, to, 0);
    sim_end_init(&conn->end[1], to, host, 1);
    conn->end[1].port = port;
    conn->end[0].flags = E_OPEN | E_CONNECTING;
    sim_flight_send_empty(&conn->end[0], PACKET_SYN);
    return conn;
}

/* The part of the first blocked segment that fits into `room`: all of it, or the front, cut off. */
static sim_segment *take_blocked(sim_end *from, size_t room) {
    sim_segment *segment = from->blocked_head;
    if (segment->len <= room) {
        from->blocked_head = segment->next;
        if (from->blocked_head == NULL) {
            from->blocked_tail = NULL;
        }
    } else {
        dw_world *world = from->host->world;
        sim_segment *rest = sim_segment_new(world, segment->len - room);
        rest->packet = PACKET_DATA;
        rest->next = segment->next;
        memcpy(rest->data, segment->data + room, segment->len - room);
        if (from->blocked_tail == segment) {
            from->blocked_tail = rest;
        }
        from->blocked_head = rest;
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
    size_t window = from->host->world->receive_buffer;
    while (from->blocked_head != NULL) {
        size_t room = window > to->outstanding ? window - to->outstanding : 0;
        if (from->blocked_head->len > room && (room == 0 || room < (window + 1) / 2)) {
            break;
        }
        sim_flight_send(from, take_blocked(from, room));
    }
}

static void window_update(sim_end *end) {
    sim_end *from = peer_of(end);
    if (from->blocked_head != NULL && (from->flags & (E_DEAD | E_UPDATE)) == 0) {
        from->flags |= E_UPDATE;
        sim_flight_control(end, true);
    }
}

/* The sender hears that there is room one packet's time later. */
static void took(sim_end *end, uint32_t n) {
    end->unread -= n;
    end->outstanding -= n;
    window_update(end);
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
    dw_world *world = end->host->world;
    uint32_t n = 0;
    while (end->queue_head != NULL && n < DW_RECV_MAX) {
        sim_segment *s = end->queue_head;
        uint32_t part = s->len - s->offset;
        part = part < DW_RECV_MAX - n ? part : DW_RECV_MAX - n;
        memcpy(world->scratch + n, s->data + s->offset, part);
        n += part;
        s->offset += part;
        if (s->offset < s->len) {
            break;
        }
        end->queue_head = s->next;
        if (end->queue_head == NULL) {
            end->queue_tail = NULL;
        }
        sim_segment_free(world, s);
    }
    *data = world->scratch;
    return n;
}

/* The part of the first segment up to `n` bytes. The segment goes back when it is used up; its
 * bytes stay in place until the next segment is made, which is after the flush. */
static void recv_first(sim_end *end, const uint8_t **data, uint32_t n) {
    dw_world *world = end->host->world;
    sim_segment *s = end->queue_head;
    *data = s->data + s->offset;
    s->offset += n;
    if (s->offset == s->len) {
        end->queue_head = s->next;
        if (end->queue_head == NULL) {
            end->queue_tail = NULL;
        }
        if (world->lent != NULL) {
            sim_segment_free(world, world->lent);
        }
        world->lent = s;
    }
}

ssize_t sim_stream_recv(sim_end *end, const uint8_t **data) {
    if ((end->flags & E_DEAD) != 0 && end->unread == 0) {
        return -(ssize_t)end->error;
    }
    if (end->unread == 0) {
        return (end->flags & E_FIN_SEEN) != 0 ? 0 : -EAGAIN;
    }
    uint32_t whole = end->unread < DW_RECV_MAX ? end->unread : DW_RECV_MAX;
    uint32_t n = (uint32_t)sim_flow_draw(peer_of(end), SIM_CUT, &end->cuts, whole);
    n = n > 0 ? n : whole;
    if (n <= end->queue_head->len - end->queue_head->offset) {
        recv_first(end, data, n);
    } else {
        uint32_t all = recv_joined(end, data);
        if (n < all) { /* cut behind the first segment: give the rest back */
            sim_segment *rest = sim_segment_new(end->host->world, all - n);
            rest->packet = PACKET_DATA;
            memcpy(rest->data, *data + n, all - n);
            rest->next = end->queue_head;
            end->queue_head = rest;
            if (end->queue_tail == NULL) {
                end->queue_tail = rest;
            }
        }
    }
    took(end, n);
    return (ssize_t)n;
}

/* ---- Sending ---- */

static void gather(uint8_t *out, const struct iovec *pieces, int count, size_t skip, size_t n) {
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
    sim_segment *segment = sim_segment_new(from->host->world, n);
    segment->packet = PACKET_DATA;
    gather(segment->data, pieces, count, skip, n);
    return segment;
}

static void block(sim_end *from, sim_segment *segment) {
    segment->next = NULL;
    if (from->blocked_tail != NULL) {
        from->blocked_tail->next = segment;
    } else {
        from->blocked_head = segment;
    }
    from->blocked_tail = segment;
    from->blocked += segment->len;
}

/* What the window takes leaves now, what the send buffer takes waits here, the rest is refused. */
static size_t send_some(sim_end *from, const struct iovec *pieces, int count, size_t total) {
    dw_world *world = from->host->world;
    sim_end *to = peer_of(from);
    size_t window = world->receive_buffer > to->outstanding && from->blocked_head == NULL
                        ? world->receive_buffer - to->outstanding
                        : 0;
    size_t now = total < window ? total : window;
    for (size_t at = 0; at < now; at += DW_RECV_MAX) {
        size_t part = now - at < DW_RECV_MAX ? now - at : DW_RECV_MAX;
        sim_flight_send(from, make_data(from, pieces, count, at, part));
    }
    size_t room = world->send_buffer > from->blocked ? world->send_buffer - from->blocked : 0;
    size_t later = total - now < room ? total - now : room;
    for (size_t at = 0; at < later; at += DW_RECV_MAX) {
        size_t part = later - at < DW_RECV_MAX ? later - at : DW_RECV_MAX;
        block(from, make_data(from, pieces, count, now + at, part));
    }
    return now + later;
}

ssize_t sim_stream_send(sim_end *from, const struct iovec *pieces, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    if ((from->flags & E_DEAD) != 0) {
        return -(ssize_t)from->error;
    }
    if ((from->flags & E_FIN_QUEUED) != 0) {
        return -EPIPE;
    }
    if (from->blocked >= from->host->world->send_buffer) {
        return -EAGAIN;
    }
    size_t limit = (size_t)sim_flow_draw(from, SIM_WRITE, &from->writes, total);
    struct iovec first = pieces[0];
    if (limit > 0 && limit < first.iov_len) {
        first.iov_len = limit;
        return (ssize_t)send_some(from, &first, 1, limit);
    }
    return (ssize_t)send_some(from, pieces, count, limit > 0 ? first.iov_len : total);
}

/* ---- Ending ---- */

void sim_stream_fin(sim_end *end) {
    if ((end->flags & (E_FIN_QUEUED | E_DEAD)) != 0) {
        return;
    }
    end->flags |= E_FIN_QUEUED;
    sim_segment *fin = sim_segment_new(end->host->world, 0);
    fin->packet = PACKET_FIN;
    if (end->blocked_head != NULL) {
        block(end, fin);
    } else {
        sim_flight_send(end, fin);
    }
}

void sim_stream_close(sim_end *end, bool reset) {
    dw_world *world = end->host->world;
    bool established = (end->flags & E_ESTABLISHED) != 0;
    if ((end->flags & E_CLOSED) != 0) {
        return;
    }
    end->io = NULL;
    sim_queue_remove(&world->queue, &end->ready);
    end->flags = (end->flags | E_CLOSED) & ~(uint32_t)E_OPEN;
    if ((end->flags & E_DEAD) == 0 && established) {
        /* RFC 2525, section 2.17, and RFC 1122, 4.2.2.13: unread data makes it a reset. */
        if (reset || end->unread > 0) {
            sim_chain_drop(world, &end->blocked_head, &end->blocked_tail);
            end->flags |= E_DEAD;
            sim_flight_reset(end);
        } else {
            sim_stream_fin(end);
        }
    }
    sim_chain_drop(world, &end->queue_head, &end->queue_tail);
    end->outstanding -= end->unread;
    end->unread = 0;
    window_update(end); /* a stalled writer's next probe, should the reset be lost */
    sim_stream_release(conn_of(end));
}

void sim_stream_vanish(sim_end *end) {
    dw_world *world = end->host->world;
    end->io = NULL;
    sim_queue_remove(&world->queue, &end->ready);
    sim_chain_drop(world, &end->queue_head, &end->queue_tail);
    sim_chain_drop(world, &end->blocked_head, &end->blocked_tail);
    end->outstanding -= end->unread;
    end->unread = end->blocked = 0;
    end->flags = (end->flags | E_CLOSED | E_VANISHED | E_DEAD) & ~(uint32_t)E_OPEN;
    window_update(end); /* a stalled writer's next probe: it will find nobody */
    sim_stream_release(conn_of(end));
}
