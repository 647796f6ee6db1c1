/* SPDX-License-Identifier: MIT */
/*
 * Rules: the scenario's own judge over what arrives. For faults that are about the bytes ("after
 * the Host header", "the third reply"), which no setting of a link and no choice can say.
 */
#ifndef DRYWIRE_RULE_H
#define DRYWIRE_RULE_H

#include "drywire/world.h"

DW_BEGIN_DECLS

/* What a rule is asked about, when it is about to arrive. Good until the function returns. */
typedef enum dw_message_kind {
    DW_MESSAGE_SYN,  /* a connection is to be made */
    DW_MESSAGE_DATA, /* bytes of a stream, as they were cut */
    DW_MESSAGE_FIN,  /* the end of a direction */
    DW_MESSAGE_DATAGRAM,
} dw_message_kind;

typedef struct dw_message {
    dw_message_kind kind;
    dw_host *from, *to;
    uint16_t from_port, to_port;
    uint64_t connection; /* streams: the client's n-th, from 1, as in timelines */
    bool reply;          /* streams: from the server to the client */
    const uint8_t *data; /* the bytes of this message */
    size_t len;
    /* Streams: what went this way since there was a rule: so many bytes before this message; and
     * the last of all of them, this message included, at most DW_RULE_STREAM_MAX. */
    uint64_t offset;
    const uint8_t *stream;
    size_t stream_len;
} dw_message;

#define DW_RULE_STREAM_MAX 131072

typedef enum dw_verdict_kind {
    DW_PASS,
    DW_LATER, /* arrives `delay` later, and is not judged again */
    DW_DROP,  /* a datagram is lost; what is of a stream comes again later, and is judged again */
    DW_RESET, /* RST both ways; a SYN is refused; a datagram meets nobody (ICMP) */
    DW_CLOSE, /* someone in between closes: FIN both ways; a SYN is refused; a datagram is lost */
} dw_verdict_kind;

typedef struct dw_verdict {
    dw_verdict_kind kind;
    size_t after; /* DW_MESSAGE_DATA: so many bytes of it still arrive as if nothing was */
    dw_time delay;
} dw_verdict;

typedef struct dw_rule dw_rule;

/* Judges messages. Runs outside every host and may use any verb of the world and of hosts,
 * dw_world_choose too. Must not use reactors. */
typedef dw_verdict (*dw_rule_fn)(dw_world *world, const dw_message *message, void *user);

/* A rule about all that arrives at `to` from `from`, NULL: any host, over TCP and UDP, from now on.
 * Rules are asked in the order in which they were added; the first answer but DW_PASS counts. The
 * rule is the world's and dies with the run; `user` is borrowed. Healing does not remove it.
 *
 *     static dw_verdict no_second_reply(dw_world *w, const dw_message *m, void *user) {
 *         bool second = m->reply && m->kind == DW_MESSAGE_DATA && m->offset > 0;
 *         return (dw_verdict){.kind = second ? DW_RESET : DW_PASS};
 *     }
 */
dw_rule *dw_world_add_rule(dw_world *world, dw_host *from, dw_host *to, dw_rule_fn fn, void *user);
/* It is not asked any more. Once; may be called from inside its function. */
void dw_world_remove_rule(dw_world *world, dw_rule *rule);

DW_END_DECLS

#endif
