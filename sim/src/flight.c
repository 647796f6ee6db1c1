/* SPDX-License-Identifier: MIT */
/*
 * Packets under way: segments in their order, resets and window updates beside it, what is lost and
 * sent again (RFC 9293, RFC 6298; figures of Linux).
 *
 * Invariant: of each flow at most one event is queued, that of its first packet.
 */
#include "stream.h"

/* Linux: TCP_RTO_MIN 200 ms, TCP_RTO_MAX 120 s; tcp_retries2 is 15 (tcp(7)). */
enum { DATA_RETRIES = 15 };
#define RTO_MIN DW_MSEC(200)
#define RTO_MAX DW_SEC(120)

/* A packet outside the order of the stream: a reset, or a window update. */
typedef struct sim_control {
    sim_event event;
    sim_end *to;
    bool window;
    bool dropped; /* by the link */
    uint8_t size_class;
    unsigned tries; /* of an update that was lost */
} sim_control;

/* ---- Sending ---- */

void sim_flight_schedule(sim_end *to) {
    sim_segment *first = chain_first(to->flight);
    if (first != NULL && first->event.place == 0) {
        sim_queue_add(&end_world(to)->queue, &first->event);
    }
}

/* The link has dropped it: when it is sent again. */
static dw_time dropped(sim_end *from, sim_segment *segment) {
    bool handshake = segment->packet == PACKET_SYN || segment->packet == PACKET_SYN_ACK;
    segment->fate |= F_DROPPED;
    sim_flow_trace(from, ' ', "dropped by the link, will be sent again");
    return time_add(end_world(from)->now, handshake ? SYN_RETRY_FIRST : RTO_MIN);
}

/* Sends a segment that is made already, in order behind what is in flight. */
void sim_flight_send(sim_end *from, sim_segment *segment) {
    if (conn_of(from)->name != NULL) {
        sim_unix_deliver(peer_of(from), segment);
    } else {
        sim_flight_launch(from, segment, sim_link_carry(from->link, segment->len, false));
    }
}

void sim_flight_launch(sim_end *from, sim_segment *segment, dw_time at) {
    dw_world *world = end_world(from);
    sim_end *to = peer_of(from);
    const sim_segment *last = to->flight;
    if (at == DW_TIME_MAX) {
        at = dropped(from, segment);
    }
    segment->to = to;
    segment->event.at = last != NULL && last->event.at > at ? last->event.at : at;
    segment->event.sequence = ++world->sequence;
    chain_add(&to->flight, segment);
    to->outstanding += segment->len;
    if (last == NULL) {
        sim_queue_add(&world->queue, &segment->event);
    }
}

void sim_flight_send_empty(sim_end *from, sim_packet packet) {
    sim_segment *segment = sim_segment_new(end_world(from), 0);
    segment->packet = (uint8_t)packet;
    sim_flight_send(from, segment);
}

void sim_flight_control(sim_end *from, bool window) {
    dw_world *world = end_world(from);
    uint8_t size_class;
    sim_control *control = sim_piece_take(world, sizeof(*control), &size_class);
    dw_time at = sim_link_carry(from->link, 0, false);
    *control = (sim_control){.event = {.type = EV_CONTROL},
                             .to = peer_of(from),
                             .window = window,
                             .dropped = at == DW_TIME_MAX,
                             .size_class = size_class};
    conn_of(from)->pins++;
    sim_world_schedule(world, &control->event, control->dropped ? world->now : at);
}

/* RST travels by itself and is not repeated when it is lost. */
void sim_flight_reset(sim_end *from) {
    sim_flight_control(from, false);
}

/* ---- The first packet in flight ---- */

sim_segment *sim_flight_take(sim_end *to) {
    to->tries = 0;
    return chain_take(&to->flight);
}

void sim_flight_drop_first(sim_end *to) {
    sim_segment *first = sim_flight_take(to);
    to->outstanding -= first->len;
    sim_segment_free(end_world(to), first);
    sim_flight_schedule(to);
}

void sim_flight_drop(sim_end *to) {
    dw_world *world = end_world(to);
    while (to->flight != NULL) {
        sim_segment *first = sim_flight_take(to);
        sim_queue_remove(&world->queue, &first->event);
        to->outstanding -= first->len;
        sim_segment_free(world, first);
    }
}

/* ---- Loss ---- */

/* How long a sender waits for an answer before it tries for the n-th time again, from 0. */
static dw_time retry_wait(unsigned tries) {
    dw_time wait = RTO_MIN << (tries < 10 ? tries : 10);
    return wait < RTO_MAX ? wait : RTO_MAX;
}

static bool in_handshake(const sim_end *to) {
    uint8_t packet = chain_first(to->flight)->packet;
    return packet == PACKET_SYN || packet == PACKET_SYN_ACK;
}

/* What follows cannot arrive before a packet that is sent again. */
void sim_flight_delay(sim_end *to, dw_time at) {
    sim_segment *s = to->flight;
    do {
        s = s->next;
        s->event.at = s->event.at > at ? s->event.at : at;
    } while (s != to->flight);
    sim_flight_schedule(to);
}

/* The sender of the first packet gives up. When it is the answer to a SYN, so does the client,
 * whose SYN is answered by nobody. */
static void give_up(sim_end *to) {
    sim_end *from = peer_of(to);
    bool handshake = in_handshake(to);
    sim_conn *conn = conn_of(to);
    sim_flight_drop(to);
    if (handshake) {
        from = &conn->end[0];
        conn->end[1].flags |= E_CLOSED;
    }
    sim_end_died(from, ETIMEDOUT);
}

/* The first packet was lost: sent again later, twice as late each time, until the wait after the
 * last retry is over too (tcp(7): 127 s for a SYN). A closed socket's SYN is not sent again. */
void sim_flight_lose_first(sim_end *to) {
    sim_end *from = peer_of(to);
    dw_world *world = end_world(to);
    bool handshake = in_handshake(to);
    unsigned tries = to->tries++;
    unsigned tries_max = handshake ? (unsigned)SYN_RETRIES : (unsigned)DATA_RETRIES;
    uint32_t gone = E_VANISHED | E_DEAD | (handshake ? E_CLOSED : 0);
    world_mark(world, 0x1004 + tries);
    if (tries > tries_max || (from->flags & gone) != 0) {
        give_up(to);
        return;
    }
    sim_flow_trace(from, ' ',
                   chain_first(to->flight)->packet == PACKET_SYN ? "SYN lost"
                   : tries < tries_max                           ? "lost, will be sent again"
                                                                 : "lost for the last time");
    sim_flight_delay(to, world->now + (handshake ? SYN_RETRY_FIRST << tries : retry_wait(tries)));
}

/* Lost once more when the link has no room even now. */
void sim_flight_send_again(sim_end *to) {
    sim_segment *first = chain_first(to->flight);
    dw_time at = sim_link_carry(peer_of(to)->link, first->len, false);
    to->tries = to->tries > 0 ? to->tries : 1; /* sending it first was a try */
    if (at == DW_TIME_MAX || (peer_of(to)->flags & (E_VANISHED | E_DEAD)) != 0) {
        sim_flight_lose_first(to);
    } else {
        first->fate &= (uint8_t)~F_DROPPED;
        sim_flight_delay(to, at);
    }
}

/* ---- Resets and window updates ---- */

/* A window update did not come through: probes ask again (RFC 9293, section 3.8.6.1), as often as
 * data would be sent again. */
static void update_lost(sim_control *control) {
    sim_end *end = control->to;
    if ((end->flags & E_DEAD) == 0 && control->tries <= DATA_RETRIES) {
        sim_world_schedule(end_world(end), &control->event,
                           end_world(end)->now + retry_wait(control->tries++));
        return;
    }
    conn_of(end)->pins--;
    sim_piece_give(end_world(end), control, control->size_class);
    sim_end_died(end, ETIMEDOUT);
}

/* Linux, tcp_reset: behind the peer's FIN a reset is a broken pipe. */
static int reset_error(const sim_end *end) {
    if ((end->flags & E_CONNECTING) != 0) {
        return ECONNREFUSED;
    }
    return (end->flags & (E_FIN_SEEN | E_FIN_QUEUED)) == E_FIN_SEEN ? EPIPE : ECONNRESET;
}

void sim_stream_control_event(sim_event *event) {
    sim_control *control = DW_CONTAINER_OF(event, sim_control, event);
    sim_end *end = control->to;
    sim_end *from = peer_of(end);
    dw_world *world = end_world(end);
    if (sim_link_park(from->link, event)) {
        return;
    }
    bool lost = control->dropped || sim_link_is_down(from->link) || end_is_dark(end);
    control->dropped = false;
    world_mark(world, 0x1003 + end->side + conn_of(end)->ordinal * UINT64_C(16));
    bool window = control->window;
    if (lost && window) {
        update_lost(control);
        return;
    }
    sim_piece_give(world, control, control->size_class);
    conn_of(end)->pins--;
    if (lost) {
        sim_flow_trace(from, ' ', "RST lost");
        if ((end->flags & (E_CONNECTING | E_CLOSED | E_DEAD)) == E_CONNECTING) {
            sim_arrival_refusal_lost(end);
        } else {
            sim_stream_release(conn_of(end));
        }
    } else if (window) {
        sim_stream_window_opens(end);
    } else {
        sim_flow_trace(from, ' ', "RST");
        sim_end_died(end, reset_error(end));
    }
}
