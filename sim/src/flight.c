/* SPDX-License-Identifier: MIT */
/*
 * Packets under way: segments in their order, resets and window updates beside it, what is lost and
 * sent again (RFC 9293, RFC 6298; figures of Linux).
 *
 * Invariant: of each flow at most one event is queued, that of its first packet.
 */
#include "stream.h"

#include <errno.h>

/* Linux: TCP_RTO_MIN 200 ms, TCP_RTO_MAX 120 s; tcp_retries2 is 15 (tcp(7)). */
enum { DATA_RETRIES = 15 };
#define RTO_MIN DW_MSEC(200)
#define RTO_MAX DW_SEC(120)

/* A packet outside the order of the stream. */
typedef struct sim_control {
    sim_event event;
    sim_end *to;
    sim_control_kind kind;
    bool dropped; /* by the link */
    bool again;   /* it is not under way: it is sent again now */
    uint8_t size_class;
    unsigned tries; /* of one that was lost and asked for again */
} sim_control;

/* ---- Sending ---- */

void sim_flight_schedule(sim_end *to) {
    sim_segment *first = chain_first(to->flight);
    if (first != NULL && first->event.place == 0) {
        sim_queue_add(&end_world(to)->queue, &first->event);
    }
}

/* The link has dropped it: when it is sent again; an ACK is not, its time comes when it would have
 * been there. */
static dw_time dropped(sim_end *from, sim_segment *segment) {
    dw_time now = end_world(from)->now;
    segment->fate |= F_AGAIN;
    if (segment->packet == PACKET_ACK) {
        return time_add(now, from->link->latency);
    }
    bool handshake = segment->packet == PACKET_SYN || segment->packet == PACKET_SYN_ACK;
    sim_flow_trace(from, ' ', "dropped by the link, will be sent again");
    return time_add(now, handshake ? SYN_RETRY_FIRST : RTO_MIN);
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
    segment->side = to->side;
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

void sim_flight_control(sim_end *from, sim_control_kind kind) {
    dw_world *world = end_world(from);
    uint8_t size_class;
    sim_control *control = sim_piece_take(world, sizeof(*control), &size_class);
    dw_time at = sim_link_carry(from->link, 0, false);
    *control = (sim_control){.event = {.type = EV_CONTROL},
                             .to = peer_of(from),
                             .kind = kind,
                             .dropped = at == DW_TIME_MAX,
                             .size_class = size_class};
    conn_of(from)->pins++;
    sim_world_schedule(world, &control->event, control->dropped ? world->now : at);
}

/* It is not repeated when it is lost. */
void sim_flight_reset(sim_end *from) {
    sim_flight_control(from, CONTROL_RESET);
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

static sim_packet first_packet(const sim_end *to) {
    return (sim_packet)chain_first(to->flight)->packet;
}

static bool in_handshake(const sim_end *to) {
    return first_packet(to) == PACKET_SYN || first_packet(to) == PACKET_SYN_ACK;
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

/* What is sent again over a link that is more than a latency takes its place in the queue there,
 * like anything else. `ago`: when it was sent last. */
static void repeat_after(sim_end *to, dw_time wait, dw_time ago) {
    if (peer_of(to)->link->shaped) {
        chain_first(to->flight)->fate |= F_AGAIN;
        wait = wait > ago ? wait - ago : 0;
    }
    sim_flight_delay(to, time_add(end_world(to)->now, wait));
}

void sim_flight_repeat(sim_end *to, dw_time wait) {
    repeat_after(to, wait, peer_of(to)->link->latency);
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

/* Whether the first packet asks for an answer that its sender does not wait for: the ACK of a
 * SYN-ACK, or a SYN-ACK that came again. */
static bool ends_handshake(const sim_end *to) {
    return first_packet(to) == PACKET_ACK ||
           (first_packet(to) == PACKET_SYN_ACK && (to->flags & E_ESTABLISHED) != 0);
}

static void lose_end_of_handshake(sim_end *to) {
    sim_end *server = &conn_of(to)->end[1];
    bool last = first_packet(to) == PACKET_SYN_ACK && to->tries > SYN_ACK_RETRIES;
    sim_flow_trace(peer_of(to), ' ',
                   last                             ? "handshake given up"
                   : first_packet(to) == PACKET_ACK ? "ACK lost"
                                                    : "SYN-ACK lost");
    sim_flight_drop_first(to);
    if ((server->flags & (E_HALF_MADE | E_CLOSED | E_DEAD)) != E_HALF_MADE) {
        sim_stream_release(conn_of(server));
    } else if (last) {
        sim_flight_forget_client(server);
    } else {
        sim_flight_answer_again(server);
    }
}

/* The first packet was lost: sent again later, twice as late each time, until the wait after the
 * last retry is over too (tcp(7): 127 s for a SYN). A closed socket's SYN is not sent again. `ago`:
 * when it was sent. */
static void lose_first(sim_end *to, dw_time ago) {
    sim_end *from = peer_of(to);
    dw_world *world = end_world(to);
    if (ends_handshake(to)) {
        world_mark(world, 0x1004);
        lose_end_of_handshake(to);
        return;
    }
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
    repeat_after(to, handshake ? SYN_RETRY_FIRST << tries : retry_wait(tries), ago);
}

void sim_flight_lose_first(sim_end *to) {
    lose_first(to, peer_of(to)->link->latency);
}

/* Lost once more when the link has no room even now. */
void sim_flight_send_again(sim_end *to) {
    sim_segment *first = chain_first(to->flight);
    if (first->packet == PACKET_ACK) {
        sim_flight_lose_first(to);
        return;
    }
    dw_time at = sim_link_carry(peer_of(to)->link, first->len, false);
    to->tries = to->tries > 0 ? to->tries : 1; /* sending it first was a try */
    if (at == DW_TIME_MAX || (peer_of(to)->flags & (E_VANISHED | E_DEAD)) != 0) {
        lose_first(to, 0);
    } else {
        first->fate &= (uint8_t)~F_AGAIN;
        sim_flight_delay(to, at);
    }
}

/* ---- The end of a handshake (Linux: reqsk_timer_handler, tcp_check_req; tried on 6.18) ---- */

/* When the n-th SYN-ACK leaves, from 0; the one behind the last is when the server forgets. */
static dw_time answer_leaves(sim_end *server, unsigned n) {
    return conn_of(server)->answered_at + SYN_RETRY_FIRST * (((dw_time)1 << n) - 1);
}

/* Nothing else is in flight to a client before it is accepted. */
void sim_flight_answer_again(sim_end *server) {
    sim_end *client = peer_of(server);
    dw_time now = end_world(server)->now;
    unsigned n = 1;
    if (client->flight != NULL) {
        return; /* it is to come already */
    }
    while (answer_leaves(server, n) <= now && n <= SYN_ACK_RETRIES) {
        n++;
    }
    bool last = n > SYN_ACK_RETRIES, shaped = server->link->shaped;
    sim_segment *segment = sim_segment_new(end_world(server), 0);
    segment->packet = PACKET_SYN_ACK;
    segment->fate = shaped && !last ? F_AGAIN : 0;
    dw_time leaves = answer_leaves(server, n) > now ? answer_leaves(server, n) : now;
    sim_flight_launch(server, segment,
                      shaped || last ? leaves : time_add(leaves, server->link->latency));
    client->tries = (uint8_t)n;
}

/* What it says later meets nobody. */
void sim_flight_forget_client(sim_end *server) {
    sim_flight_drop(peer_of(server));
    server->flags = (server->flags | E_CLOSED | E_DEAD) & ~(uint32_t)E_HALF_MADE;
    sim_port_settle(server);
    sim_stream_release(conn_of(server));
}

/* ---- Resets and window updates ---- */

/* Whether the peer asks again, when it is lost: by what it sends again, or by its probes of the
 * window (RFC 9293, section 3.8.6.1). */
static bool is_asked_for(sim_control_kind kind) {
    return kind == CONTROL_ANSWER || kind == CONTROL_WINDOW;
}

/* Asked for again, as often as data is sent again. */
static void answer_lost(sim_control *control) {
    sim_end *end = control->to;
    if (control->kind == CONTROL_ANSWER) {
        sim_flow_trace(peer_of(end), ' ', "RST lost");
    }
    if ((end->flags & E_DEAD) == 0 && control->tries <= DATA_RETRIES) {
        const sim_link *link = peer_of(end)->link;
        dw_time wait = retry_wait(control->tries++);
        control->again = link->shaped;
        if (control->again) {
            wait = wait > link->latency ? wait - link->latency : 0;
        }
        sim_world_schedule(end_world(end), &control->event, end_world(end)->now + wait);
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

/* False: the link has no room for it even now. */
static bool send_control_again(sim_control *control) {
    dw_time at = sim_link_carry(peer_of(control->to)->link, 0, false);
    control->again = false;
    if (at != DW_TIME_MAX) {
        sim_world_schedule(end_world(control->to), &control->event, at);
    }
    return at != DW_TIME_MAX;
}

/* Lost for good. */
static void control_lost(sim_end *end, sim_control_kind kind) {
    sim_flow_trace(peer_of(end), ' ', kind == CONTROL_ACK ? "ACK lost" : "RST lost");
    if (kind == CONTROL_RESET &&
        (end->flags & (E_CONNECTING | E_CLOSED | E_DEAD)) == E_CONNECTING) {
        sim_arrival_refusal_lost(end);
    } else {
        sim_stream_release(conn_of(end));
    }
}

static void control_arrives(sim_end *end, sim_control_kind kind) {
    switch (kind) {
    case CONTROL_WINDOW:
        sim_stream_window_opens(end);
        break;
    case CONTROL_ACK:
        sim_arrival_acknowledged(end);
        break;
    case CONTROL_RESET:
    case CONTROL_ANSWER:
        sim_flow_trace(peer_of(end), ' ', "RST");
        if ((end->flags & E_HALF_MADE) != 0) {
            sim_flight_forget_client(end);
        } else {
            sim_end_died(end, reset_error(end));
        }
        break;
    }
}

void sim_stream_control_event(sim_event *event) {
    sim_control *control = DW_CONTAINER_OF(event, sim_control, event);
    sim_control_kind kind = control->kind;
    sim_end *end = control->to;
    sim_end *from = peer_of(end);
    dw_world *world = end_world(end);
    if (sim_link_park(from->link, event)) {
        return;
    }
    if (control->again) {
        control->dropped = !send_control_again(control);
        if (!control->dropped) {
            return;
        }
    }
    bool lost = control->dropped || sim_link_is_down(from->link) || end_is_dark(end);
    control->dropped = false;
    world_mark(world, 0x1003 + end->side + conn_of(end)->ordinal * UINT64_C(16));
    if (lost && is_asked_for(kind)) {
        answer_lost(control);
        return;
    }
    sim_piece_give(world, control, control->size_class);
    conn_of(end)->pins--;
    if (lost) {
        control_lost(end, kind);
    } else {
        control_arrives(end, kind);
    }
}
