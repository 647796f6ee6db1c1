/* SPDX-License-Identifier: MIT */
/*
 * The oracles that are more than a line where something happens: promises (oracle_watch.c while
 * the run goes on, oracle_promises.c and oracle_receiver.c when the scenario is over), what is left
 * over (oracle_leaks.c), libc calls (oracle_libc.c), who waits for what (oracle_waiting.c).
 *
 * None of them decides anything in a run: with and without them it has the same hash.
 */
#ifndef DRYWIRE_SIM_ORACLE_H
#define DRYWIRE_SIM_ORACLE_H

#include "connection.h"
#include "oracle_replay.h"

/* A stock receiver, known by its data_received. */
typedef enum sim_receiver_kind {
    RECEIVER_NONE,
    RECEIVER_LINE_ONLY,
    RECEIVER_LINE,
    RECEIVER_NETSTRING,
    RECEIVER_INT_STRING
} sim_receiver_kind;

enum { RECEIVER_DELIMITER_MAX = 16 };

/* How it was set when its first bytes came. */
typedef struct sim_receiver {
    sim_receiver_kind kind;
    size_t max_length;
    int format;
    size_t delimiter_len;
    char delimiter[RECEIVER_DELIMITER_MAX];
} sim_receiver;

/* Bytes that are kept for the end of the run, as far as there is room. */
typedef struct sim_kept {
    uint8_t *bytes;
    size_t len, room;
    bool cut; /* there were more */
} sim_kept;

/* One connection of a protocol that has promised something, or is a stock receiver. */
struct sim_watched {
    sim_watched *next;
    const dw_promises *promises; /* NULL: only a receiver's */
    dw_host *host;
    const char *name;    /* the protocol's */
    dw_factory *factory; /* compared, not looked at, until it is known to be there */
    uint64_t life;       /* of the host's program */
    sim_receiver receiver;
    bool keeps_input, keeps_output;
    bool over;   /* LOST was seen, or the host's program has ended */
    bool ending; /* the program has asked for its end */
    bool paused;
    uint32_t payer; /* its number among those with a memory limit, from 1; 0: none */
    size_t held;    /* bytes that its callbacks took and nobody gave back */
    sim_kept input, output;
    uint32_t *ends; /* of the pieces of input */
    size_t end_count, end_room;
    size_t message_at;     /* of input: behind the last whole message */
    bool no_messages;      /* that cannot be told any more */
    dw_time message_since; /* the deadline is reckoned from here */
};

/* oracle_watch.c. Core's observer for streams: something is or may be watched. */
void sim_watch_see(dw_host *host, dw_seen seen, const dw_io *io, const void *data, size_t len);
void sim_watch_connect(dw_host *host, const void *data);
/* A write buffer of more than unsent_max bytes is to grow further: whose peer does not read? */
void sim_watch_unsent(dw_host *host);
void sim_watch_sent(sim_watched *watch, const struct iovec *pieces, int count, size_t len);
/* Deadlines that are over now, output that is not well formed. */
void sim_watch_finish(dw_world *world);

/* oracle_duplicate.c: datagrams of who promises something. */
void sim_duplicate_see(dw_host *host, dw_seen seen, const dw_io *io, const void *data, size_t len,
                       size_t first);
/* The callback that sent the last answers has returned. */
void sim_duplicate_close(dw_world *world);

/* oracle_receiver.c */
sim_receiver_kind sim_receiver_kind_of(const dw_protocol_class *cls);
/* False: it cannot be tried (raw mode, a long delimiter). */
bool sim_receiver_look(sim_receiver *receiver, const dw_protocol *protocol);
bool sim_receiver_holds(const sim_receiver *receiver, const sim_input *input, uint64_t salt,
                        sim_breach *breach);

/* oracle_promises.c: tries what the connections of this run have promised. The scenario is over,
 * the hosts are still up. */
void sim_promises_try(dw_world *world);

/* oracle_leaks.c: what is open when the reactor's shutdown is over; which children run on though
 * all hosts have ended and they have had time. */
void sim_leaks_open(dw_host *host);
void sim_leaks_mark_children(dw_host *host);
void sim_leaks_children(dw_world *world);

/* oracle_waiting.c: in the timeline, when there is one. */
void sim_waiting_trace(dw_world *world);

/* What the program was about at this instant: where a delayed call was armed, a protocol's name, or
 * a host's. */
const char *sim_world_whom(const dw_world *world);

extern void (*sim_judge_call)(dw_host *host, const char *name, const char *instead);
void sim_call_judged(dw_host *host, const char *name, const char *instead);
/* A block that a payer answers for, by its number, was taken, or given back. */
void sim_watch_pays(dw_world *world, uint32_t payer, size_t size);
void sim_watch_paid_back(dw_world *world, uint32_t payer, size_t size);

#endif
