/* SPDX-License-Identifier: MIT */
/*
 * What the four files of the simulated TCP share: conn.c (names, life, telling the program),
 * flight.c (packets under way), arrival.c (what packets do when they arrive), stream.c (the
 * program's side). Invariants stand in each of them.
 */
#ifndef DRYWIRE_SIM_STREAM_H
#define DRYWIRE_SIM_STREAM_H

#include "internal.h"

/* Linux: tcp_syn_retries is 6, the first after 1 s, each wait twice the last (tcp(7)). */
enum { SYN_RETRIES = 6 };
#define SYN_RETRY_FIRST DW_SEC(1)

/* ---- conn.c ---- */

/* Draws a choice of the flow that `from` sends, if its kind is active. */
uint64_t sim_flow_draw(sim_end *from, sim_kind kind, uint64_t *counter, uint64_t options);
/* A line about that flow in the timeline, if there is one. */
void sim_flow_trace(sim_end *from, char mark, const char *text);
/* Frees a chain of segments. */
void sim_chain_drop(dw_world *world, sim_segment **head, sim_segment **tail);
/* A cleared connection, listed in the world. */
sim_conn *sim_conn_take(dw_world *world);
void sim_end_init(sim_end *end, dw_host *host, dw_host *other, uint8_t side);
/* Runs the program's side, if it is ready for anything it wants and gets CPU. */
void sim_end_dispatch(sim_end *end);
/* What was held back (join) may be told. */
void sim_end_unhold(sim_end *end);
/* Reset or timed out: the program is told, unless it has closed already. */
void sim_end_died(sim_end *end, int error);

static inline bool end_is_dark(const sim_end *end) {
    return end->host->power == POWER_DEAD;
}

/* ---- flight.c ---- */

/* Queues the event of the first packet in flight to `to`, unless it is queued. */
void sim_flight_schedule(sim_end *to);
/* Sends a segment, taken, or a packet without data, in order behind what is in flight. */
void sim_flight_send(sim_end *from, sim_segment *segment);
void sim_flight_send_empty(sim_end *from, sim_packet packet);
/* Sends a reset, or a window update, beside the order of the stream. */
void sim_flight_control(sim_end *from, bool window);
void sim_flight_reset(sim_end *from);
/* The first packet in flight to `to`: hands it over; drops it; drops all; moves it to a later time;
 * or it is lost, and sent again or given up. */
sim_segment *sim_flight_take(sim_end *to);
void sim_flight_drop_first(sim_end *to);
void sim_flight_drop(sim_end *to);
void sim_flight_delay(sim_end *to, dw_time at);
void sim_flight_lose_first(sim_end *to);

/* ---- arrival.c, stream.c ---- */

/* The RST that would have refused a SYN was lost: the SYN is sent again. */
void sim_arrival_refusal_lost(sim_end *client);
/* The peer has room again. */
void sim_stream_window_opens(sim_end *from);

#endif
