/* SPDX-License-Identifier: MIT */
/*
 * The straight way of data: it leaves at once over a plain link, and arrives where nothing waits
 * before it. Most packets go this way.
 *
 * Invariant: whatever goes this way has the same effect, hash and order as by stream.c, flight.c
 * and arrival.c, which do all the rest. Every choice that they would draw is drawn here too, but
 * only when all of them are known to come to 0; else the longer way draws them. Called through the
 * wire's table (socket.c) and by world.c.
 */
#include "drywire/network.h"
#include "stream.h"

#include <string.h>

/* Kinds that are drawn about data when it arrives and is read. */
#define ARRIVING_KINDS \
    (1u << SIM_PARTITION | 1u << SIM_RESET | 1u << SIM_CLOSE | 1u << SIM_JOIN | 1u << SIM_CUT)

/* And when it is sent. */
#define LEAVING_KINDS (1u << SIM_WRITE | 1u << SIM_LATENCY)

/* As much as one segment holds on a link of any kind. */
enum { LEN_MAX = DW_SEGMENT_MAX };

/* ---- Choices: none of them is to strike, which is known before any of them is drawn ---- */

static sim_draws *arriving_draws(sim_aside *aside, size_t i, sim_kind *kind) {
    static const sim_kind kinds[] = {SIM_RESET, SIM_CLOSE, SIM_JOIN, SIM_CUT};
    sim_draws *const draws[] = {&aside->resets, &aside->closes, &aside->joins, &aside->cuts};
    *kind = kinds[i];
    return draws[i];
}

enum { ARRIVING_DRAWS = 4 };

void sim_straight_settle(sim_aside *aside) {
    const dw_world *world = end_world(aside->end);
    for (size_t i = 0; i < ARRIVING_DRAWS; i++) {
        sim_kind kind;
        sim_draws *draws = arriving_draws(aside, i, &kind);
        if (choice_active(world, kind)) {
            draws_pass(draws, aside->passed);
        }
    }
    aside->quiet = aside->passed = 0;
}

/* How many deliveries to `to` are calm now. */
static uint32_t look_ahead(dw_world *world, sim_end *to) {
    sim_aside *aside = to->aside;
    uint32_t quiet = UINT32_MAX;
    for (size_t i = 0; i < ARRIVING_DRAWS && quiet > 0; i++) {
        sim_kind kind;
        sim_draws *draws = arriving_draws(aside, i, &kind);
        if (choice_active(world, kind)) {
            sim_who who = {WHO_FLOW, peer_of(to)};
            sim_choice_is_calm(world, kind, who, sim_kind_name(kind), draws);
            quiet = draws_calm(draws) < quiet ? draws_calm(draws) : quiet;
        }
    }
    return quiet;
}

static bool link_is_calm(dw_world *world, sim_link *link) {
    return !choice_active(world, SIM_PARTITION) ||
           sim_choice_is_calm(world, SIM_PARTITION, (sim_who){WHO_LINK, link}, "partition",
                              &link->partition_draws);
}

DW_APART static bool arrives_calmly(dw_world *world, sim_end *to) {
    sim_link *link = peer_of(to)->link;
    sim_aside *aside = sim_end_aside(to);
    if (aside->quiet == 0) {
        sim_straight_settle(aside);
        aside->quiet = look_ahead(world, to);
    }
    if (aside->quiet == 0 || !link_is_calm(world, link)) {
        return false;
    }
    if (choice_active(world, SIM_PARTITION)) {
        draws_pass(&link->partition_draws, 1);
    }
    aside->quiet--;
    aside->passed++;
    return true;
}

DW_APART static bool sends_calmly(dw_world *world, sim_end *from) {
    sim_draws *writes = &sim_end_aside(from)->writes;
    bool calm = sim_choice_is_calm(world, SIM_WRITE, (sim_who){WHO_FLOW, from}, "write", writes);
    if (calm) {
        draws_pass(writes, 1);
    }
    return calm;
}

/* ---- Sending ---- */

/* Something is drawn about it, or it is not the only one in flight, or there is no room prepared
 * for it. */
DW_APART static ssize_t send_nearly_straight(dw_io *io, sim_end *from, const struct iovec *piece) {
    dw_world *world = end_world(from);
    size_t len = piece->iov_len;
    if (choice_active(world, SIM_WRITE) && !sends_calmly(world, from)) {
        return sim_send_any(io, piece, 1);
    }
    dw_time at = choice_active(world, SIM_LATENCY) ? sim_link_carry(from->link, len, false)
                                                   : time_add(world->now, from->link->latency);
    sim_segment *segment = sim_segment_new(world, len);
    segment->packet = PACKET_DATA;
    memcpy(segment->data, piece->iov_base, len);
    sim_flight_launch(from, segment, at);
    return (ssize_t)len;
}

/* What a TCP sends in one piece, and sends at once. */
static inline bool goes_at_once(const dw_world *world, const dw_io *io, const sim_end *from,
                                const sim_end *to, size_t len) {
    const unsigned special = E_DEAD | E_BROKEN | E_FIN_QUEUED | E_NAGLE;
    return io->family != DW_ADDRESS_UNIX && (from->flags & special) == 0 && from->blocked == 0 &&
           end_watch(from) == NULL && !world->nagle && !from->link->special && len - 1 < LEN_MAX &&
           len + to->outstanding <= world->receive_buffer;
}

/* All of a segment of the second class but when it arrives, what the queue sets, and its bytes. */
static inline sim_segment *fill(sim_segment *segment, sim_end *to, uint32_t len) {
    segment->event.type = EV_ARRIVAL;
    segment->next = segment;
    segment->to = to;
    segment->len = len;
    segment->offset = 0;
    segment->packet = PACKET_DATA;
    segment->size_class = 1;
    segment->fate = 0;
    segment->side = to->side;
    return segment;
}

/* It is the only one in flight, nothing is drawn about it, it is small, and the last in the queue;
 * no call is made but to copy it. */
ssize_t sim_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    if (count != 1 || io->kind == DW_IO_PIPE) {
        return sim_send_any(io, pieces, count);
    }
    sim_end *from = (sim_end *)io->socket, *to = peer_of(from);
    dw_world *world = host_of(reactor)->world;
    size_t len = pieces->iov_len;
    if (!goes_at_once(world, io, from, to, len)) {
        return sim_send_any(io, pieces, 1);
    }
    dw_time latency = from->link->latency;
    dw_time at = (dw_time)((uint64_t)world->now + (uint64_t)latency);
    sim_piece *piece = world->memory.free_pieces[1];
    if ((world->choices.active & LEAVING_KINDS) != 0 || to->flight != NULL || len > SEGMENT_SMALL ||
        piece == NULL || latency >= DW_TIME_MAX - world->now ||
        !sim_queue_is_next(&world->queue, at, world->sequence + 1)) {
        return send_nearly_straight(io, from, pieces);
    }
    world->memory.free_pieces[1] = piece->next;
    __builtin_prefetch(piece->next);
    sim_segment *segment = fill((sim_segment *)(void *)piece, to, (uint32_t)len);
    segment->event.at = at;
    segment->event.sequence = ++world->sequence;
    to->flight = segment;
    to->outstanding += (uint32_t)len;
    sim_queue_add_next(&world->queue, &segment->event);
    memcpy(segment->data, pieces->iov_base, len);
    return (ssize_t)len;
}

/* ---- Arriving ---- */

/* Nobody but the reader cares, and the reader gets CPU. */
static bool reader_is_there(const sim_end *to, const dw_host *host, dw_time now) {
    return to->io != NULL && to->io->want == DW_READABLE && to->io->kind == DW_IO_STREAM &&
           host->power == POWER_UP && host->stalled_until <= now;
}

static void hand_over(sim_end *to, dw_host *host, sim_segment *segment) {
    dw_world *world = host->world;
    to->tries = 0;
    to->outstanding -= segment->len;
    to->flags |= E_INSIDE;
    sim_stream_mark(world, to, segment->data, segment->len);
    sim_host_enter_for(host, to);
    dw_io_received(&host->reactor, to->io, segment->data, segment->len);
    sim_host_leave(host);
    sim_end_serve(to, host);
    sim_segment_free(world, segment);
    to->flags &= ~(uint32_t)E_INSIDE;
    if (to->io != NULL && (to->io->want != DW_READABLE || (to->flags & E_DEAD) != 0)) {
        sim_stream_poke(to);
    }
    if ((to->flags & E_CLOSED) != 0) {
        sim_stream_release(conn_of(to));
    }
}

static bool passes(sim_end *to, const sim_segment *segment, const dw_host *host) {
    const unsigned special =
        E_CLOSED | E_DEAD | E_HELD | E_BETWEEN | E_KEEP_ALIVE | E_FIN_SEEN | E_VANISHED;
    const sim_end *from = peer_of(to);
    const sim_link *link = from->link;
    dw_world *world = host->world;
    return segment->packet == PACKET_DATA && (to->flags & special) == 0 && !link->special &&
           link->down_until <= world->now && !world->nagle && to->queue == NULL &&
           from->blocked == 0 && reader_is_there(to, host, world->now) && !sim_end_is_served(to) &&
           ((world->choices.active & ARRIVING_KINDS) == 0 || arrives_calmly(world, to));
}

void sim_stream_arrival(sim_event *event) {
    sim_segment *segment = DW_CONTAINER_OF(event, sim_segment, event);
    sim_end *to = segment->to;
    dw_host *host = end_host(to);
    sim_stream_mark_packet(to, segment);
    if (!passes(to, segment, host)) {
        sim_arrival_any(to, segment);
        return;
    }
    if (to->flight == segment) {
        to->flight = NULL;
    } else {
        chain_take(&to->flight);
        sim_flight_schedule(to);
    }
    hand_over(to, host, segment);
}
