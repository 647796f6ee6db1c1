/* SPDX-License-Identifier: MIT */
/*
 * Packets under way: segments in their order, resets and window updates beside it, what is lost and
 * sent again (RFC 9293, RFC 6298; figures of Linux).
 *
 * Invariant: each flow has at most one event queued, for its first packet.
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
    unsigned tries; /* of an update that was lost */
} sim_control;

/* ---- Sending ---- */

void sim_flight_schedule(sim_end *to) {
    sim_segment *first = to->flight_head;
    if (first != NULL && to->arrival.place == 0) {
        to->arrival.at = first->at;
        to->arrival.sequence = first->sequence;
        sim_queue_add(&to->host->world->queue, &to->arrival);
    }
}

/* Sends a segment that is made already, in order behind what is in flight. */
void sim_flight_send(sim_end *from, sim_segment *segment) {
    dw_world *world = from->host->world;
    sim_end *to = peer_of(from);
    dw_time at = time_add(world->now, sim_link_delay(from->link));
    segment->at = at > to->last_arrival ? at : to->last_arrival;
    segment->sequence = ++world->sequence;
    to->last_arrival = segment->at;
    segment->next = NULL;
    if (to->flight_tail != NULL) {
        to->flight_tail->next = segment;
    } else {
        to->flight_head = segment;
    }
    to->flight_tail = segment;
    to->outstanding += segment->len;
    sim_flight_schedule(to);
}

void sim_flight_send_empty(sim_end *from, sim_packet packet) {
    sim_segment *segment = sim_segment_new(from->host->world, 0);
    segment->packet = (uint8_t)packet;
    sim_flight_send(from, segment);
}

void sim_flight_control(sim_end *from, bool window) {
    dw_world *world = from->host->world;
    sim_control *control = sim_world_alloc(world, sizeof(*control));
    *control = (sim_control){{.type = EV_CONTROL}, peer_of(from), window, 0};
    conn_of(from)->pins++;
    sim_world_schedule(world, &control->event, time_add(world->now, sim_link_delay(from->link)));
}

/* RST travels by itself and is not repeated when it is lost. */
void sim_flight_reset(sim_end *from) {
    sim_flight_control(from, false);
}

/* ---- The first packet in flight ---- */

sim_segment *sim_flight_take(sim_end *to) {
    sim_segment *first = to->flight_head;
    to->flight_head = first->next;
    if (to->flight_head == NULL) {
        to->flight_tail = NULL;
    }
    to->tries = 0;
    return first;
}

void sim_flight_drop_first(sim_end *to) {
    sim_segment *first = sim_flight_take(to);
    to->outstanding -= first->len;
    sim_segment_free(to->host->world, first);
    sim_flight_schedule(to);
}

void sim_flight_drop(sim_end *to) {
    while (to->flight_head != NULL) {
        sim_segment *first = sim_flight_take(to);
        to->outstanding -= first->len;
        sim_segment_free(to->host->world, first);
    }
    sim_queue_remove(&to->host->world->queue, &to->arrival);
}

/* ---- Loss ---- */

/* How long a sender waits for an answer before it tries for the n-th time again, from 0. */
static dw_time retry_wait(unsigned tries) {
    dw_time wait = RTO_MIN << (tries < 10 ? tries : 10);
    return wait < RTO_MAX ? wait : RTO_MAX;
}

static bool in_handshake(const sim_end *to) {
    return to->flight_head->packet == PACKET_SYN || to->flight_head->packet == PACKET_SYN_ACK;
}

/* What follows cannot arrive before a packet that is sent again. */
void sim_flight_delay(sim_end *to, dw_time at) {
    for (sim_segment *s = to->flight_head; s != NULL && s->at < at; s = s->next) {
        s->at = at;
    }
    if (to->last_arrival < at) {
        to->last_arrival = at;
    }
    to->arrival.at = at;
    to->arrival.sequence = to->flight_head->sequence;
    sim_queue_add(&to->host->world->queue, &to->arrival);
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
    dw_world *world = to->host->world;
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
                   to->flight_head->packet == PACKET_SYN ? "SYN lost"
                   : tries < tries_max                   ? "lost, will be sent again"
                                                         : "lost for the last time");
    sim_flight_delay(to, world->now + (handshake ? SYN_RETRY_FIRST << tries : retry_wait(tries)));
}

/* ---- Resets and window updates ---- */

/* A window update did not come through: probes ask again (RFC 9293, section 3.8.6.1), as often as
 * data would be sent again. */
static void update_lost(sim_control *control) {
    sim_end *end = control->to;
    if ((end->flags & E_DEAD) == 0 && control->tries <= DATA_RETRIES) {
        sim_world_schedule(end->host->world, &control->event,
                           end->host->world->now + retry_wait(control->tries++));
        return;
    }
    conn_of(end)->pins--;
    sim_end_died(end, ETIMEDOUT);
}

void sim_stream_control_event(sim_event *event) {
    sim_control *control = DW_CONTAINER_OF(event, sim_control, event);
    sim_end *end = control->to;
    sim_end *from = peer_of(end);
    dw_world *world = end->host->world;
    bool lost = sim_link_is_down(from->link) || end_is_dark(end);
    world_mark(world, 0x1003 + end->side + conn_of(end)->ordinal * 16);
    if (lost && control->window) {
        update_lost(control);
        return;
    }
    conn_of(end)->pins--;
    if (lost) {
        sim_flow_trace(from, ' ', "RST lost");
        if ((end->flags & (E_CONNECTING | E_CLOSED | E_DEAD)) == E_CONNECTING) {
            sim_arrival_refusal_lost(end);
        } else {
            sim_stream_release(conn_of(end));
        }
    } else if (control->window) {
        sim_stream_window_opens(end);
    } else {
        sim_flow_trace(from, ' ', "RST");
        sim_end_died(end, (end->flags & E_CONNECTING) != 0 ? ECONNREFUSED : ECONNRESET);
    }
}
