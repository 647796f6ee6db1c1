/* SPDX-License-Identifier: MIT */
/*
 * What arrives at an end: the handshake, data, the end of the stream, and packets that find nobody
 * there (RFC 9293, section 3.10.7). The choices about deliveries are drawn here.
 */
#include "stream.h"

#include <errno.h>

/* How long a held segment waits for company: Linux's delayed-ACK ceiling, for want of a better
 * one. */
#define JOIN_WAIT DW_MSEC(40)

/* ---- Handshake ---- */

static void syn_refused(sim_end *server) {
    sim_end *client = peer_of(server);
    uint8_t tries = server->tries;
    server->flags |= E_CLOSED;
    sim_flow_trace(client, ' ', "SYN refused");
    sim_flight_drop_first(server);
    server->tries = tries;
    sim_flight_reset(server);
}

/* The client has heard nothing: its SYN comes again. */
void sim_arrival_refusal_lost(sim_end *client) {
    sim_end *server = peer_of(client);
    server->flags &= ~(uint32_t)E_CLOSED;
    sim_flight_send_empty(client, PACKET_SYN);
    sim_queue_remove(&end_world(client)->queue, &chain_first(server->flight)->event);
    sim_flight_lose_first(server);
}

static sim_listener *listener_of(sim_end *server) {
    return sim_listener_find(end_host(server), server->port, conn_of(server)->family);
}

/* Linux: sk_acceptq_is_full compares with >. */
static bool is_full(const sim_listener *listener) {
    return listener->accept_count > listener->backlog;
}

/* The listener's answer to a SYN. */
static void syn_arrives(sim_end *server) {
    sim_end *client = peer_of(server);
    sim_conn *conn = conn_of(server);
    sim_listener *listener = listener_of(server);
    if ((client->flags & (E_CLOSED | E_DEAD)) != 0) {
        server->flags |= E_CLOSED;
        sim_flight_drop_first(server);
        sim_stream_release(conn);
        return;
    }
    if ((server->flags & E_SYN_SEEN) == 0) {
        server->flags |= E_SYN_SEEN;
        uint64_t drops = sim_flow_draw(client, SIM_SYN_DROP, client, syn_drops, SYN_RETRIES + 1);
        if (drops > 0) {
            /* Retries come 1, 3, 7, ... times the first wait after the first SYN. */
            sim_flow_trace(client, ' ', "SYN lost");
            server->tries = (uint8_t)drops;
            sim_flight_repeat(server, SYN_RETRY_FIRST * (((dw_time)1 << drops) - 1));
            return;
        }
    }
    if (listener == NULL || sim_flow_draw(client, SIM_REFUSE, client, refuses, 2) != 0) {
        syn_refused(server);
    } else if (is_full(listener)) {
        sim_flight_lose_first(server); /* Linux drops it (listen(2)) */
    } else {
        sim_flow_trace(client, ' ', "SYN");
        sim_flight_drop_first(server);
        server->flags |= E_ESTABLISHED | E_HALF_MADE;
        sim_port_take(server);
        conn->answered_at = end_world(server)->now;
        sim_flight_send_empty(server, PACKET_SYN_ACK);
    }
}

/* The client answers again; the server asks again when that is lost, too. */
static void syn_ack_arrives_again(sim_end *client) {
    sim_end *server = peer_of(client);
    bool last = client->tries > SYN_ACK_RETRIES;
    sim_flight_drop_first(client);
    if ((server->flags & (E_HALF_MADE | E_CLOSED | E_DEAD)) != E_HALF_MADE) {
        sim_stream_release(conn_of(server));
    } else if (last || listener_of(server) == NULL) {
        sim_flow_trace(server, ' ', "handshake given up");
        sim_flight_forget_client(server);
    } else {
        sim_flow_trace(server, ' ', "SYN-ACK again");
        bool gone = (client->flags & E_DEAD) != 0;
        sim_flight_control(client, gone ? CONTROL_RESET : CONTROL_ACK);
        sim_flight_answer_again(server);
    }
}

static void syn_ack_arrives(sim_end *client) {
    sim_end *server = peer_of(client);
    if ((client->flags & E_ESTABLISHED) != 0) {
        syn_ack_arrives_again(client);
        return;
    }
    sim_flight_drop_first(client);
    if ((client->flags & (E_CLOSED | E_DEAD)) != 0) {
        server->flags |= E_CLOSED | E_DEAD;
        sim_port_settle(server);
        sim_stream_release(conn_of(client));
        return;
    }
    sim_flow_trace(server, ' ', "SYN-ACK");
    client->flags = (client->flags | E_ESTABLISHED | E_RESOLVED) & ~(uint32_t)E_CONNECTING;
    sim_flight_send_empty(client, PACKET_ACK);
    sim_end_dispatch(client);
}

/* The server knows that its client knows. */
static void is_made(sim_end *server, sim_listener *listener) {
    server->flags &= ~(uint32_t)E_HALF_MADE;
    sim_flight_drop(peer_of(server)); /* a SYN-ACK that was to come again */
    if (listener == NULL) {
        sim_flight_drop(server);
        sim_stream_close(server, true);
    } else {
        sim_listener_enqueue(listener, conn_of(server));
        sim_listener_ready(listener);
    }
}

/* The first packet to a connection that is half made, whatever it is, acknowledges the SYN-ACK.
 * Linux drops it while the accept queue is full (tcp_check_req). True: it is still to be dealt
 * with. */
static bool completes(sim_end *server, const sim_segment *first) {
    sim_conn *conn = conn_of(server);
    sim_listener *listener = listener_of(server);
    if (listener != NULL && is_full(listener)) {
        sim_flight_lose_first(server);
        return false;
    }
    if (first->packet == PACKET_ACK) {
        sim_flight_drop_first(server);
        is_made(server, listener);
        return false;
    }
    conn->pins++; /* its program may close it at once */
    is_made(server, listener);
    conn->pins--;
    if (chain_first(server->flight) != first) {
        sim_stream_release(conn);
        return false;
    }
    return true;
}

void sim_arrival_acknowledged(sim_end *server) {
    sim_listener *listener = listener_of(server);
    if ((server->flags & (E_HALF_MADE | E_CLOSED | E_DEAD)) != E_HALF_MADE) {
        sim_stream_release(conn_of(server));
    } else if (listener == NULL || !is_full(listener)) {
        is_made(server, listener);
    }
}

/* ---- Data and FIN ---- */

/* Someone between the two closes, next to `to`: it sees a FIN now, and the other end behind what is
 * under way there. What comes behind a FIN is answered by RST, and so is what waits for room in the
 * window. */
static void close_between(sim_end *to) {
    sim_end *from = peer_of(to);
    sim_flight_drop(to);
    to->flags |= E_BETWEEN | E_FIN_SEEN;
    from->flags |= E_BETWEEN;
    sim_port_settle(to);
    sim_end_unhold(to);
    sim_flight_send_empty(to, PACKET_FIN);
    sim_stream_has_room(to);
    sim_flow_trace(from, ' ', "FIN from in between");
    sim_end_dispatch(to);
}

bool sim_arrival_data(sim_end *to, sim_segment *segment) {
    bool held = (to->flags & E_HELD) != 0;
    chain_add(&to->queue, segment);
    to->unread += segment->len;
    sim_end_unhold(to);
    if (!held && sim_flow_draw(peer_of(to), SIM_JOIN, to, joins, 2) != 0) {
        to->flags |= E_HELD;
        sim_end_unready(to);
        sim_end_ready_at(to, end_world(to)->now + JOIN_WAIT);
        return false;
    }
    return true;
}

/* Somebody in between resets both; when he has closed before, only the sender is left to be told.
 */
static void reset_between(sim_end *to) {
    sim_flight_drop(to);
    sim_flight_control(to, CONTROL_ANSWER);
    if ((to->flags & E_BETWEEN) == 0) {
        sim_end_died(to, ECONNRESET);
    }
}

void sim_arrival_broken(sim_end *to, bool reset) {
    if (chain_first(to->flight)->packet == PACKET_SYN) {
        syn_refused(to);
    } else if (reset) {
        reset_between(to);
    } else {
        close_between(to);
    }
}

static void data_arrives(sim_end *to) {
    sim_end *from = peer_of(to);
    const uint32_t over = E_BETWEEN | E_FIN_SEEN;
    if ((to->flags & over) == over || sim_flow_draw(from, SIM_RESET, to, resets, 2) != 0) {
        reset_between(to);
        return;
    }
    if (sim_flow_draw(from, SIM_CLOSE, to, closes, 2) != 0) {
        close_between(to);
        return;
    }
    sim_segment *segment = sim_flight_take(to);
    sim_flight_schedule(to);
    if (sim_arrival_data(to, segment)) {
        sim_end_dispatch(to);
    }
}

/* One that ends where the other one was told already, in between, is no end of anything. */
static void fin_arrives(sim_end *to) {
    bool seen = (to->flags & E_FIN_SEEN) != 0;
    sim_flow_trace(peer_of(to), ' ', seen ? "FIN, taken in between" : "FIN");
    sim_flight_drop_first(to);
    sim_end_unhold(to);
    to->flags |= E_FIN_SEEN;
    sim_port_settle(to);
    if ((to->flags & E_FIN_QUEUED) != 0 && !seen) {
        sim_timewait_enter(to);
    }
    if ((to->flags & E_CLOSED) != 0) {
        sim_stream_release(conn_of(to));
    } else {
        sim_end_dispatch(to);
    }
}

/* Nobody is there for it any more: RST (RFC 9293, section 3.10.7.1). A reader that has closed while
 * it still had something to send loses that too, as Linux does. */
static void arrives_nowhere(sim_end *to) {
    sim_packet packet = (sim_packet)chain_first(to->flight)->packet;
    bool vanished = (to->flags & E_VANISHED) != 0;
    if (packet == PACKET_FIN && (to->flags & (E_VANISHED | E_DEAD)) == 0) {
        fin_arrives(to);
    } else if (packet == PACKET_ACK && !vanished) {
        sim_flight_drop_first(to);
        sim_stream_release(conn_of(to));
    } else {
        sim_flight_drop(to);
        to->flags |= E_DEAD;
        sim_port_settle(to);
        sim_end_drop_blocked(to);
        if ((peer_of(to)->flags & E_DEAD) == 0) {
            sim_flight_control(to, CONTROL_ANSWER);
        }
        sim_stream_release(conn_of(to));
    }
}

void sim_arrival_any(sim_end *to, const sim_segment *first) {
    sim_end *from = peer_of(to);
    if (from->link->special) {
        if (!sim_rules_admit_packet(to)) {
            return;
        }
        first = chain_first(to->flight); /* a rule may have cut it */
    }
    if (sim_link_is_down(from->link) || end_is_dark(to)) {
        sim_flight_lose_first(to);
        return;
    }
    if ((to->flags & E_KEEP_ALIVE) != 0) {
        sim_keepalive_heard(to);
    }
    if (end_world(to)->nagle) {
        sim_nagle_heard(to);
    }
    if ((to->flags & (E_HALF_MADE | E_CLOSED | E_DEAD)) == E_HALF_MADE && !completes(to, first)) {
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
    case PACKET_ACK: /* it completed the handshake */
        break;
    case PACKET_DATA:
        data_arrives(to);
        break;
    case PACKET_FIN:
        fin_arrives(to);
        break;
    case PACKET_RESET:
        break; /* never in flight */
    }
}
