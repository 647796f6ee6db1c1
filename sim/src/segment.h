/* SPDX-License-Identifier: MIT */
/*
 * Packets of streams, and chains of them.
 */
#ifndef DRYWIRE_SIM_SEGMENT_H
#define DRYWIRE_SIM_SEGMENT_H

#include "events.h"
#include "world.h"

typedef enum sim_packet {
    PACKET_SYN,
    PACKET_SYN_ACK,
    PACKET_ACK,
    PACKET_DATA,
    PACKET_FIN,
    PACKET_RESET /* UNIX: the peer has closed over unread bytes; a TCP's RST is a control */
} sim_packet;

/* A packet of a stream, or bytes that lie somewhere. With its 64 bytes it has room in 128. */
struct sim_segment {
    sim_event event; /* its arrival; queued for the first of those in flight to `to` */
    sim_segment *next;
    sim_end *to;
    uint32_t len, offset; /* offset: bytes of it already read */
    uint8_t packet;
    uint8_t size_class;
    uint8_t fate; /* F_...; 0 on a plain link */
    uint8_t side; /* to->side, for who looks ahead */
    uint8_t data[];
};

enum {
    F_AGAIN = 1 << 0,  /* it is not under way: it is sent again now, or was an ACK and is lost */
    F_SEEN = 1 << 1,   /* the rules' copy of the stream has it */
    F_JUDGED = 1 << 2, /* the rules have spoken: */
    F_VERDICT = 4      /* this shift has it */
};

/* Chains of segments go round: the last one is known, its `next` is the first. */
static inline sim_segment *chain_first(const sim_segment *last) {
    return last != NULL ? last->next : NULL;
}

static inline void chain_add(sim_segment **last, sim_segment *segment) {
    segment->next = segment;
    if (*last != NULL) {
        segment->next = (*last)->next;
        (*last)->next = segment;
    }
    *last = segment;
}

static inline void chain_add_first(sim_segment **last, sim_segment *segment) {
    sim_segment *before = *last;
    chain_add(last, segment);
    *last = before != NULL ? before : segment;
}

/* The first one, which there is. */
static inline sim_segment *chain_take(sim_segment **last) {
    sim_segment *first = (*last)->next;
    if (first == *last) {
        *last = NULL;
    } else {
        (*last)->next = first->next;
    }
    return first;
}

/* One of the second class holds so many bytes. */
#define SEGMENT_SMALL (2 * CLASS_FIRST - sizeof(sim_segment))

DW_APART sim_segment *sim_segment_new_any(dw_world *world, size_t len);
/* Most segments are small, and one of the second class is free. */
static inline sim_segment *sim_segment_new(dw_world *world, size_t len) {
    sim_piece *piece = world->memory.free_pieces[1];
    if (len > SEGMENT_SMALL || len == 0 || piece == NULL) {
        return sim_segment_new_any(world, len);
    }
    world->memory.free_pieces[1] = piece->next;
    __builtin_prefetch(piece->next);
    sim_segment *segment = (sim_segment *)(void *)piece;
    *segment = (sim_segment){.len = (uint32_t)len, .size_class = 1};
    return segment;
}

static inline void sim_segment_free(dw_world *world, sim_segment *segment) {
    sim_piece_give(world, segment, segment->size_class);
}

/* stream.c: copies `n` bytes of the pieces, from byte `skip` on. */
void sim_gather(uint8_t *out, const struct iovec *pieces, int count, size_t skip, size_t n);

#endif
