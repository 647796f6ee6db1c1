/* SPDX-License-Identifier: MIT */
/*
 * Streams: what TCP does between two ends, as seen from programs (RFC 9293). Handshake in one round
 * trip, SYN retries, segments in order, windows, FIN in that order and RST outside it, close with
 * unread data is RST. Loss shows as delay, and in the end as a time-out: no byte is ever missing.
 *
 * Invariant: `outstanding` of an end is the number of bytes in flight to it or unread at it, never
 * more than the receive buffer; each flow has at most one event queued, for its first packet.
 */
#include "internal.h"

#include <stdio.h>

/* Linux: tcp_syn_retries is 6, the first after 1 s, each wait twice the last (tcp(7)). */
enum { SYN_RETRIES = 6 };
#define SYN_RETRY_FIRST DW_SEC(1)
/* Linux: TCP_RTO_MIN 200 ms, TCP_RTO_MAX 120 s; tcp_retries2 is 15 (tcp(7)). */
enum { DATA_RETRIES = 15 };
#define RTO_MIN DW_MSEC(200)
#define RTO_MAX DW_SEC(120)
/* How long a held segment waits for company: Linux's delayed-ACK ceiling, for want of a better one.
 */
#define JOIN_WAIT DW_MSEC(40)

/* A packet outside the order of the stream: a reset, or a window update. */
typedef struct sim_control {
    sim_event event;
    sim_end *to;
    bool window;
    unsigned tries; /* of an update that was lost */
} sim_control;

/* ---- Names ---- */

static void format_end(char *out, size_t size, const sim_end *end) {
    const sim_conn *conn = conn_of((sim_end *)(uintptr_t)end);
    if (end->side == 0) {
        snprintf(out, size, "%s:%llu", end->host->name, (unsigned long long)conn->ordinal);
    } else {
        snprintf(out, size, "%s:%u", end->host->name, (unsigned)end->port);
    }
}

void sim_stream_format(char *out, size_t size, const sim_end *from) {
    char a[80], b[80];
    format_end(a, sizeof(a), from);
    format_end(b, sizeof(b), peer_of((sim_end *)(uintptr_t)from));
    snprintf(out, size, "%s>%s", a, b);
}

uint64_t sim_stream_hash(sim_end *from) {
    if (from->flow_hash == 0) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        from->flow_hash = sim_hash_text(HASH_START, name);
    }
    return from->flow_hash;
}

static uint64_t draw(sim_end *from, sim_kind kind, uint64_t *counter, uint64_t options) {
    dw_world *world = from->host->world;
    if (!choice_active(world, kind)) {
        return 0;
    }
    return sim_choice_draw(world, kind, (sim_who){WHO_FLOW, from}, sim_kind_name(kind), counter,
                           options);
}

static void trace_flow(sim_end *from, char mark, const char *text) {
    dw_world *world = from->host->world;
    if (world->trace != NULL) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        sim_trace_add(world, mark, name, "%s", text);
    }
}

/* ---- Life ---- */

static void drop_chain(dw_world *world, sim_segment **head, sim_segment **tail) {
    while (*head != NULL) {
        sim_segment *next = (*head)->next;
        sim_segment_free(world, *head);
        *head = next;
    }
    *tail = NULL;
}

static void free_conn(dw_world *world, sim_conn *conn) {
    for (int i = 0; i < 2; i++) {
        sim_end *end = &conn->end[i];
        sim_queue_remove(&world->queue, &end->arrival);
        sim_queue_remove(&world->queue, &end->ready);
        drop_chain(world, &end->flight_head, &end->flight_tail);
        drop_chain(world, &end->queue_head, &end->queue_tail);
        drop_chain(world, &end->blocked_head, &end->blocked_tail);
    }
    if (conn->previous != NULL) {
        conn->previous->next = conn->next;
    } else {
        world->conns = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->previous = conn->previous;
    }
    conn->next = world->memory.free_conns;
    world->memory.free_conns = conn;
}

/* Both programs are done with it and nothing is under way. */
void sim_stream_release(sim_conn *conn) {
    sim_end *a = &conn->end[0], *b = &conn->end[1];
    if ((a->flags & b->flags & E_CLOSED) != 0 && conn->pins == 0 && a->flight_head == NULL &&
        b->flight_head == NULL && a->blocked_head == NULL && b->blocked_head == NULL &&
        conn->listener == NULL) {
        free_conn(a->host->world, conn);
    }
}

/* A host that was stalled gets CPU again: what waited for that comes now. */
void sim_stream_wake(dw_host *host) {
    for (sim_conn *conn = host->world->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            sim_end *end = &conn->end[i];
            if (end->host == host && (end->flags & E_HELD) == 0) {
                sim_queue_remove(&host->world->queue, &end->ready);
                sim_stream_poke(end);
            }
        }
    }
}

static void init_end(sim_end *end, dw_host *host, dw_host *other, uint8_t side) {
    end->arrival.type = EV_ARRIVAL;
    end->ready.type = EV_READY;
    end->host = host;
    end->link = sim_link_between(host, other);
    end->side = side;
}

static sim_conn *take_conn(dw_world *world) {
    sim_conn *conn = world->memory.free_conns;
    if (conn != NULL) {
        world->memory.free_conns = conn->next;
        memset(conn, 0, sizeof(*conn));
    } else {
        conn = sim_conn_new(world);
    }
    conn->next = world->conns;
    if (conn->next != NULL) {
        conn->next->previous = conn;
    }
    world->conns = conn;
    return conn;
}

/* ---- Packets ---- */

static void schedule_first(sim_end *to) {
    sim_segment *first = to->flight_head;
    if (first != NULL && to->arrival.place == 0) {
        to->arrival.at = first->at;
        to->arrival.sequence = first->sequence;
        sim_queue_add(&to->host->world->queue, &to->arrival);
    }
}

/* Sends a segment that is made already, in order behind what is in flight. */
static void transmit(sim_end *from, sim_segment *segment) {
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
    schedule_first(to);
}

static void transmit_packet(sim_end *from, sim_packet packet) {
    sim_segment *segment = sim_segment_new(from->host->world, 0);
    segment->packet = (uint8_t)packet;
    transmit(from, segment);
}

static void send_control(sim_end *from, bool window) {
    dw_world *world = from->host->world;
    sim_control *control = sim_world_alloc(world, sizeof(*control));
    *control = (sim_control){{.type = EV_CONTROL}, peer_of(from), window, 0};
    conn_of(from)->pins++;
    sim_world_schedule(world, &control->event, time_add(world->now, sim_link_delay(from->link)));
}

/* RST travels by itself and is not repeated when it is lost. */
static void send_reset(sim_end *from) {
    send_control(from, false);
}

static bool machine_dark(const sim_end *end) {
    return end->host->power == POWER_DEAD;
}

/* ---- Telling the program ---- */

static unsigned readiness(const sim_end *end) {
    unsigned ready = 0;
    if ((end->flags & E_DEAD) != 0) {
        return DW_READABLE | DW_WRITABLE;
    }
    if ((end->flags & E_HELD) == 0 && (end->unread > 0 || (end->flags & E_FIN_SEEN) != 0)) {
        ready |= DW_READABLE;
    }
    if ((end->flags & E_ESTABLISHED) != 0 &&
        (end->blocked < end->host->world->send_buffer || (end->flags & E_FIN_QUEUED) != 0)) {
        ready |= DW_WRITABLE;
    }
    return ready;
}

static unsigned due(const sim_end *end) {
    return end->io != NULL ? readiness(end) & end->io->want : 0;
}

void sim_stream_poke(sim_end *end) {
    if (due(end) != 0 && end->ready.place == 0) {
        sim_world_schedule(end->host->world, &end->ready, end->host->world->now);
    }
}

/* Runs the program's side, if it is ready for anything it wants and gets CPU. */
static void dispatch(sim_end *end) {
    dw_host *host = end->host;
    unsigned ready = due(end);
    if (ready == 0 || host->power != POWER_UP) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        if (end->ready.place == 0) {
            sim_world_schedule(host->world, &end->ready, host->stalled_until);
        }
        return;
    }
    conn_of(end)->pins++;
    sim_host_enter(host);
    dw_io_ready(&host->reactor, end->io, ready);
    sim_host_leave(host);
    conn_of(end)->pins--;
    sim_stream_poke(end);
    sim_stream_release(conn_of(end));
}

static void unhold(sim_end *end) {
    if ((end->flags & E_HELD) != 0) {
        end->flags &= ~(uint32_t)E_HELD;
        sim_queue_remove(&end->host->world->queue, &end->ready);
    }
}

void sim_stream_ready(sim_end *end) {
    unhold(end);
    dispatch(end);
}

/* ---- Reset ---- */

static void kill_end(sim_end *end, int error) {
    dw_world *world = end->host->world;
    if ((end->flags & E_DEAD) != 0) {
        return;
    }
    unhold(end);
    end->flags |= E_DEAD | E_RESOLVED;
    end->error = (uint32_t)error;
    drop_chain(world, &end->queue_head, &end->queue_tail);
    drop_chain(world, &end->blocked_head, &end->blocked_tail);
    end->unread = end->blocked = 0;
}

static void end_died(sim_end *end, int error) {
    if ((end->flags & E_CLOSED) == 0) {
        kill_end(end, error);
        dispatch(end);
    } else {
        drop_chain(end->host->world, &end->blocked_head, &end->blocked_tail);
        end->blocked = 0;
        end->flags |= E_DEAD;
        sim_stream_release(conn_of(end));
    }
}

static void window_opens(sim_end *from);
static void refusal_lost(sim_end *client);

/* How long a sender waits for an answer before it tries for the n-th time again, from 0. */
static dw_time retry_wait(unsigned tries) {
    dw_time wait = RTO_MIN << (tries < 10 ? tries : 10);
    return wait < RTO_MAX ? wait : RTO_MAX;
}

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
    end_died(end, ETIMEDOUT);
}

void sim_stream_control_event(sim_event *event) {
    sim_control *control = DW_CONTAINER_OF(event, sim_control, event);
    sim_end *end = control->to;
    sim_end *from = peer_of(end);
    dw_world *world = end->host->world;
    bool lost = sim_link_is_down(from->link) || machine_dark(end);
    world_mark(world, 0x1003 + end->side + conn_of(end)->ordinal * 16);
    if (lost && control->window) {
        update_lost(control);
        return;
    }
    conn_of(end)->pins--;
    if (lost) {
        trace_flow(from, ' ', "RST lost");
        if ((end->flags & (E_CONNECTING | E_CLOSED | E_DEAD)) == E_CONNECTING) {
            refusal_lost(end);
        } else {
            sim_stream_release(conn_of(end));
        }
    } else if (control->window) {
        window_opens(end);
    } else {
        trace_flow(from, ' ', "RST");
        end_died(end, (end->flags & E_CONNECTING) != 0 ? ECONNREFUSED : ECONNRESET);
    }
}

/* ---- Arrival ---- */

static sim_segment *take_first(sim_end *to) {
    sim_segment *first = to->flight_head;
    to->flight_head = first->next;
    if (to->flight_head == NULL) {
        to->flight_tail = NULL;
    }
    to->tries = 0;
    return first;
}

static void drop_first(sim_end *to) {
    sim_segment *first = take_first(to);
    to->outstanding -= first->len;
    sim_segment_free(to->host->world, first);
    schedule_first(to);
}

static void drop_flight(sim_end *to) {
    while (to->flight_head != NULL) {
        sim_segment *first = take_first(to);
        to->outstanding -= first->len;
        sim_segment_free(to->host->world, first);
    }
    sim_queue_remove(&to->host->world->queue, &to->arrival);
}

static bool in_handshake(const sim_end *to) {
    return to->flight_head->packet == PACKET_SYN || to->flight_head->packet == PACKET_SYN_ACK;
}

/* What follows cannot arrive before a packet that is sent again. */
static void delay_flight(sim_end *to, dw_time at) {
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
    drop_flight(to);
    if (handshake) {
        from = &conn->end[0];
        conn->end[1].flags |= E_CLOSED;
    }
    end_died(from, ETIMEDOUT);
}

/* The first packet was lost: sent again later, twice as late each time, until the wait after the
 * last retry is over too (tcp(7): 127 s for a SYN). A closed socket's SYN is not sent again. */
static void lose_first(sim_end *to) {
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
    trace_flow(from, ' ',
               to->flight_head->packet == PACKET_SYN ? "SYN lost"
               : tries < tries_max                   ? "lost, will be sent again"
                                                     : "lost for the last time");
    delay_flight(to, world->now + (handshake ? SYN_RETRY_FIRST << tries : retry_wait(tries)));
}

static void syn_refused(sim_end *server) {
    sim_end *client = peer_of(server);
    uint8_t tries = server->tries;
    server->flags |= E_CLOSED;
    trace_flow(client, ' ', "SYN refused");
    drop_first(server);
    server->tries = tries;
    send_reset(server);
}

/* The client has heard nothing: its SYN comes again. */
static void refusal_lost(sim_end *client) {
    sim_end *server = peer_of(client);
    server->flags &= ~(uint32_t)E_CLOSED;
    transmit_packet(client, PACKET_SYN);
    sim_queue_remove(&client->host->world->queue, &server->arrival);
    lose_first(server);
}

/* The listener's answer to a SYN. False: the packet was lost after all and is rescheduled. */
static void syn_arrives(sim_end *server) {
    sim_end *client = peer_of(server);
    sim_conn *conn = conn_of(server);
    sim_listener *listener = sim_listener_find(server->host, server->port);
    if ((client->flags & (E_CLOSED | E_DEAD)) != 0) {
        server->flags |= E_CLOSED;
        drop_first(server);
        sim_stream_release(conn);
        return;
    }
    if ((server->flags & E_SYN_SEEN) == 0) {
        server->flags |= E_SYN_SEEN;
        uint64_t drops = draw(client, SIM_SYN_DROP, &conn->syn_drops, SYN_RETRIES + 1);
        if (drops > 0) {
            /* Retries come 1, 3, 7, ... times the first wait after the first SYN. */
            trace_flow(client, ' ', "SYN lost");
            server->tries = (uint8_t)drops;
            delay_flight(server,
                         server->host->world->now + SYN_RETRY_FIRST * (((dw_time)1 << drops) - 1));
            return;
        }
    }
    if (listener == NULL || draw(client, SIM_REFUSE, &conn->refuses, 2) != 0) {
        syn_refused(server);
    } else if (listener->accept_count >= listener->backlog) {
        lose_first(server); /* Linux drops a SYN that finds the accept queue full (listen(2)) */
    } else {
        trace_flow(client, ' ', "SYN");
        drop_first(server);
        server->flags |= E_ESTABLISHED;
        transmit_packet(server, PACKET_SYN_ACK);
    }
}

static void syn_ack_arrives(sim_end *client) {
    sim_end *server = peer_of(client);
    drop_first(client);
    if ((client->flags & (E_CLOSED | E_DEAD)) != 0) {
        server->flags |= E_CLOSED | E_DEAD;
        sim_stream_release(conn_of(client));
        return;
    }
    trace_flow(server, ' ', "SYN-ACK");
    client->flags = (client->flags | E_ESTABLISHED | E_RESOLVED) & ~(uint32_t)E_CONNECTING;
    transmit_packet(client, PACKET_ACK);
    dispatch(client);
}

static void ack_arrives(sim_end *server) {
    sim_listener *listener = sim_listener_find(server->host, server->port);
    if (listener != NULL && listener->accept_count >= listener->backlog) {
        lose_first(server); /* Linux drops this too while the accept queue is full */
        return;
    }
    drop_first(server);
    if (listener == NULL) {
        sim_stream_close(server, true);
    } else {
        sim_listener_enqueue(listener, conn_of(server));
    }
}

/* Someone between the two closes: each end sees the other's FIN, and what is sent from now on is
 * answered by RST. */
static void close_between(sim_end *to) {
    sim_end *from = peer_of(to);
    drop_flight(to);
    to->flags |= E_BETWEEN | E_FIN_SEEN;
    from->flags |= E_BETWEEN;
    unhold(to);
    transmit_packet(to, PACKET_FIN);
    trace_flow(from, ' ', "FIN from in between");
    dispatch(to);
}

static void queue_segment(sim_end *to, sim_segment *segment) {
    segment->next = NULL;
    if (to->queue_tail != NULL) {
        to->queue_tail->next = segment;
    } else {
        to->queue_head = segment;
    }
    to->queue_tail = segment;
    to->unread += segment->len;
}

static void data_arrives(sim_end *to) {
    sim_end *from = peer_of(to);
    dw_world *world = to->host->world;
    bool between = (to->flags & E_BETWEEN) != 0;
    if (between || draw(from, SIM_RESET, &to->resets, 2) != 0) {
        drop_flight(to);
        send_reset(to);
        if (!between) {
            end_died(to, ECONNRESET);
        }
        return;
    }
    if (draw(from, SIM_CLOSE, &to->closes, 2) != 0) {
        close_between(to);
        return;
    }
    bool held = (to->flags & E_HELD) != 0;
    queue_segment(to, take_first(to));
    schedule_first(to);
    unhold(to);
    if (!held && draw(from, SIM_JOIN, &to->joins, 2) != 0) {
        to->flags |= E_HELD;
        sim_queue_remove(&world->queue, &to->ready);
        sim_world_schedule(world, &to->ready, world->now + JOIN_WAIT);
        return;
    }
    dispatch(to);
}

static void fin_arrives(sim_end *to) {
    trace_flow(peer_of(to), ' ', "FIN");
    drop_first(to);
    unhold(to);
    to->flags |= E_FIN_SEEN;
    if ((to->flags & E_CLOSED) != 0) {
        sim_stream_release(conn_of(to));
    } else {
        dispatch(to);
    }
}

/* Nobody is there for it any more: RST (RFC 9293, section 3.10.7.1). A reader that has closed while
 * it still had something to send loses that too, as Linux does. */
static void arrives_nowhere(sim_end *to) {
    sim_packet packet = (sim_packet)to->flight_head->packet;
    bool vanished = (to->flags & E_VANISHED) != 0;
    if (packet == PACKET_FIN && (to->flags & (E_VANISHED | E_DEAD)) == 0) {
        fin_arrives(to);
    } else if (packet == PACKET_ACK && !vanished) {
        drop_first(to);
        sim_stream_release(conn_of(to));
    } else {
        drop_flight(to);
        to->flags |= E_DEAD;
        drop_chain(to->host->world, &to->blocked_head, &to->blocked_tail);
        to->blocked = 0;
        if ((peer_of(to)->flags & E_DEAD) == 0) {
            send_reset(to);
        }
        sim_stream_release(conn_of(to));
    }
}

void sim_stream_arrival(sim_end *to) {
    sim_end *from = peer_of(to);
    sim_segment *first = to->flight_head;
    dw_world *world = to->host->world;
    world_mark(world, 0x1000 + first->packet * 2u + to->side + conn_of(to)->ordinal * 64 +
                          ((uint64_t)first->len << 32));
    if (sim_link_is_down(from->link) || machine_dark(to)) {
        lose_first(to);
        return;
    }
    if ((to->flags & (E_CLOSED | E_DEAD)) != 0 && first->packet != PACKET_SYN &&
        first->packet != PACKET_SYN_ACK) {
        arrives_nowhere(to);
        return;
    }
    switch ((sim_packet)first->packet) {
    case PACKET_SYN:
        syn_arrives(to);
        break;
    case PACKET_SYN_ACK:
        syn_ack_arrives(to);
        break;
    case PACKET_ACK:
        ack_arrives(to);
        break;
    case PACKET_DATA:
        data_arrives(to);
        break;
    case PACKET_FIN:
        fin_arrives(to);
        break;
    }
}

/* ---- The program's side ---- */

sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port) {
    dw_world *world = host->world;
    sim_conn *conn = take_conn(world);
    conn->ordinal = ++host->connections;
    init_end(&conn->end[0], host, to, 0);
    init_end(&conn->end[1], to, host, 1);
    conn->end[1].port = port;
    conn->end[0].flags = E_OPEN | E_CONNECTING;
    transmit_packet(&conn->end[0], PACKET_SYN);
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
        transmit(from, take_blocked(from, room));
    }
}

static void window_update(sim_end *end) {
    sim_end *from = peer_of(end);
    if (from->blocked_head != NULL && (from->flags & (E_DEAD | E_UPDATE)) == 0) {
        from->flags |= E_UPDATE;
        send_control(end, true);
    }
}

/* The sender hears that there is room one packet's time later. */
static void took(sim_end *end, uint32_t n) {
    end->unread -= n;
    end->outstanding -= n;
    window_update(end);
}

static void window_opens(sim_end *from) {
    from->flags &= ~(uint32_t)E_UPDATE;
    if ((from->flags & E_DEAD) == 0) {
        release_blocked(from);
        dispatch(from);
    }
    sim_stream_release(conn_of(from));
}

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
    if ((end->flags & E_DEAD) != 0) {
        return -(ssize_t)end->error;
    }
    if (end->unread == 0) {
        return (end->flags & E_FIN_SEEN) != 0 ? 0 : -EAGAIN;
    }
    uint32_t whole = end->unread < DW_RECV_MAX ? end->unread : DW_RECV_MAX;
    uint32_t n = (uint32_t)draw(peer_of(end), SIM_CUT, &end->cuts, whole);
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
        transmit(from, make_data(from, pieces, count, at, part));
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
    size_t limit = (size_t)draw(from, SIM_WRITE, &from->writes, total);
    struct iovec first = pieces[0];
    if (limit > 0 && limit < first.iov_len) {
        first.iov_len = limit;
        return (ssize_t)send_some(from, &first, 1, limit);
    }
    return (ssize_t)send_some(from, pieces, count, limit > 0 ? first.iov_len : total);
}

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
        transmit(end, fin);
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
            drop_chain(world, &end->blocked_head, &end->blocked_tail);
            end->flags |= E_DEAD;
            send_reset(end);
        } else {
            sim_stream_fin(end);
        }
    }
    drop_chain(world, &end->queue_head, &end->queue_tail);
    end->outstanding -= end->unread;
    end->unread = 0;
    window_update(end); /* a stalled writer's next probe, should the reset be lost */
    sim_stream_release(conn_of(end));
}

void sim_stream_vanish(sim_end *end) {
    dw_world *world = end->host->world;
    end->io = NULL;
    sim_queue_remove(&world->queue, &end->ready);
    drop_chain(world, &end->queue_head, &end->queue_tail);
    drop_chain(world, &end->blocked_head, &end->blocked_tail);
    end->outstanding -= end->unread;
    end->unread = end->blocked = 0;
    end->flags = (end->flags | E_CLOSED | E_VANISHED | E_DEAD) & ~(uint32_t)E_OPEN;
    window_update(end); /* a stalled writer's next probe: it will find nobody */
    sim_stream_release(conn_of(end));
}
