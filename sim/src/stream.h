/* SPDX-License-Identifier: MIT */
/*
 * What the four files of the simulated TCP share: conn.c (names, life, telling the program),
 * flight.c (packets under way), arrival.c (what packets do when they arrive), stream.c (the
 * program's side). Invariants stand in each of them.
 */
#ifndef DRYWIRE_SIM_STREAM_H
#define DRYWIRE_SIM_STREAM_H

#include "connection.h"
#include "hash.h"

/* Linux: tcp_syn_retries is 6, tcp_synack_retries 5; the first comes after 1 s, each wait is twice
 * the last (tcp(7)). */
enum { SYN_RETRIES = 6, SYN_ACK_RETRIES = 5 };
#define SYN_RETRY_FIRST DW_SEC(1)

/* ---- conn.c ---- */

/* Draws a choice of the flow that `from` sends, if its kind is active. `draws` is a member of the
 * aside of `holder`. */
sim_aside *sim_flow_draws(sim_end *holder);
uint64_t sim_flow_draw_active(sim_end *from, sim_kind kind, sim_draws *draws, uint64_t options);
#define sim_flow_draw(from, kind, holder, draws, options)                                  \
    (choice_active(end_world(from), (kind))                                                \
         ? sim_flow_draw_active((from), (kind), &sim_flow_draws(holder)->draws, (options)) \
         : 0)
/* A line about that flow in the timeline, if there is one. */
void sim_flow_trace(sim_end *from, char mark, const char *text);
/* Frees a chain of segments. */
void sim_chain_drop(dw_world *world, sim_segment **last);
/* What waits to be sent is not sent. */
void sim_end_drop_blocked(sim_end *end);
/* A new connection, the client's next one, listed at both hosts. */
sim_conn *sim_conn_take(dw_host *client, dw_host *server);
/* The end is looked at again at `at`; or not, until something else happens. */
void sim_end_ready_at(sim_end *end, dw_time at);
void sim_end_unready(sim_end *end);
/* Runs the program's side, if it is ready for anything it wants and gets CPU. */
void sim_end_dispatch(sim_end *end);
/* What was held back (join) may be told. */
void sim_end_unhold(sim_end *end);
/* Reset or timed out: nothing more comes or goes, but for what has arrived. */
void sim_end_kill(sim_end *end, int error);
/* The same, and the program is told, unless it has closed already. */
void sim_end_died(sim_end *end, int error);

static inline bool end_is_dark(const sim_end *end) {
    return end_host(end)->power == POWER_DEAD;
}

/* A packet arrives. */
static inline void sim_stream_mark_packet(sim_end *to, const sim_segment *segment) {
    world_mark(end_world(to), 0x1000 + segment->packet * 2u + to->side +
                                  (to->port + peer_of(to)->port) * UINT64_C(64) +
                                  ((uint64_t)segment->len << 32));
}

/* What the end's program reads goes into the hash. */
static inline void sim_stream_mark(dw_world *world, const sim_end *end, const uint8_t *data,
                                   size_t len) {
    world_mark(world, sim_hash_bytes(data, len) + end->side);
}

/* ---- flight.c ---- */

/* Queues the event of the first packet in flight to `to`, unless it is queued. */
void sim_flight_schedule(sim_end *to);
/* Sends a segment, taken, or a packet without data, in order behind what is in flight. */
void sim_flight_send(sim_end *from, sim_segment *segment);
/* A segment that the link carries until `at`; DW_TIME_MAX: it is dropped. */
DW_APART void sim_flight_launch(sim_end *from, sim_segment *segment, dw_time at);
void sim_flight_send_empty(sim_end *from, sim_packet packet);
/* Sends a packet beside the order of the stream. */
typedef enum sim_control_kind {
    CONTROL_RESET,  /* of its own accord: nothing is done when it is lost */
    CONTROL_ANSWER, /* a reset that answers data or FIN: those come again until it is heard */
    CONTROL_WINDOW, /* a window update */
    CONTROL_ACK     /* says again that the handshake is done */
} sim_control_kind;
void sim_flight_control(sim_end *from, sim_control_kind kind);
void sim_flight_reset(sim_end *from);
/* The first packet in flight to `to`: hands it over; drops it; drops all; moves it to a later time;
 * or it is lost, and sent again or given up. */
sim_segment *sim_flight_take(sim_end *to);
void sim_flight_drop_first(sim_end *to);
void sim_flight_drop(sim_end *to);
void sim_flight_delay(sim_end *to, dw_time at);
void sim_flight_lose_first(sim_end *to);
/* It is not under way; its sender tries again now. */
void sim_flight_send_again(sim_end *to);
/* It should have arrived now; it is sent again `wait` after it was sent. */
void sim_flight_repeat(sim_end *to, dw_time wait);
/* The server's SYN-ACK comes again when it is time for that, or the server forgets the client. */
void sim_flight_answer_again(sim_end *server);
void sim_flight_forget_client(sim_end *server);

/* ---- arrival.c, stream.c ---- */

/* The first packet in flight arrives, whatever it is. */
DW_APART void sim_arrival_any(sim_end *to, const sim_segment *first);
/* The client says once more that it has the SYN-ACK. */
void sim_arrival_acknowledged(sim_end *server);
/* The RST that would have refused a SYN was lost: the SYN is sent again. */
void sim_arrival_refusal_lost(sim_end *client);
/* Somebody in between answers the first packet in flight, a SYN, data or FIN: resets, or closes. */
void sim_arrival_broken(sim_end *to, bool reset);
/* Bytes are there for the program. False: they wait for company (join). */
bool sim_arrival_data(sim_end *to, sim_segment *segment);
/* The packet that ends a direction, behind all that waits to be sent. */
void sim_stream_send_last(sim_end *end, sim_packet packet);
/* What waits to be sent leaves, as one segment, as far as the window allows. */
void sim_stream_push(sim_end *from);
/* There is room at the end: its peer is to be told, if something waits there for it. */
void sim_stream_has_room(sim_end *end);
/* The peer has room again. */
void sim_stream_window_opens(sim_end *from);

/* ---- straight.c ---- */

/* The wire's send; by any way, and to any kind (socket.c). */
ssize_t sim_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count);
DW_APART ssize_t sim_send_any(dw_io *io, const struct iovec *pieces, int count);
/* Counts the draws of deliveries that came straight, before another of these is drawn. */
void sim_straight_settle(sim_aside *aside);

/* ---- unix.c: connections within a host ---- */

/* What is sent is there at once: data, FIN, or PACKET_RESET. Takes the segment. */
void sim_unix_deliver(sim_end *to, sim_segment *segment);
/* The end's program has closed it; `unread`: over bytes it had not read. */
void sim_unix_closes(sim_end *end, bool unread);

#endif
