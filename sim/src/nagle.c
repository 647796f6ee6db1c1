/* SPDX-License-Identifier: MIT */
/*
 * Nagle's algorithm (RFC 896; RFC 9293, section 3.7.4), when the world has it: a small write waits
 * at the sender while an earlier small one is not acknowledged, as on Linux (Minshall's variant,
 * tcp_nagle_check). Acknowledgements are no events: what is known is when one would be there, which
 * is 40 ms after the data when the peer writes nothing itself (Linux: TCP_DELACK_MIN), and with its
 * data when it does. Tried on Linux 6.18: write, write, read takes 44 ms on lo, with TCP_NODELAY
 * 0.1.
 *
 * Invariant: while E_NAGLE is set, what is blocked waits for nothing else, and the event is queued.
 */
#include "drywire/network.h"
#include "stream.h"

#define DELAYED_ACK DW_MSEC(40)

struct sim_nagle {
    sim_event event;
    sim_end *from;
    struct sim_nagle *next; /* of the free ones */
    dw_time arrives;        /* the last small segment; -1: there is none */
};

void dw_world_set_nagle(dw_world *world, bool on) {
    world->nagle = on;
}

static struct sim_nagle *nagle_of(sim_end *from) {
    sim_aside *aside = sim_end_aside(from);
    dw_world *world = end_world(from);
    if (aside->nagle == NULL) {
        struct sim_nagle *n = world->free_nagles;
        if (n != NULL) {
            world->free_nagles = n->next;
        } else {
            n = sim_world_alloc(world, sizeof(*n));
        }
        *n = (struct sim_nagle){.event = {.type = EV_NAGLE}, .from = from, .arrives = -1};
        aside->nagle = n;
    }
    return aside->nagle;
}

void sim_nagle_end(sim_end *from) {
    dw_world *world = end_world(from);
    struct sim_nagle *n = from->aside->nagle;
    if (n != NULL) {
        sim_queue_remove(&world->queue, &n->event);
        n->next = world->free_nagles;
        world->free_nagles = n;
        from->aside->nagle = NULL;
    }
}

/* When the sender knows that the last small segment is there, if the peer writes nothing. */
static dw_time acknowledged_at(const struct sim_nagle *n) {
    const sim_end *to = peer_of(n->from);
    dw_time there = to->flight != NULL ? to->flight->event.at : n->arrives;
    return time_add(time_add(there, DELAYED_ACK), to->link->latency);
}

bool sim_nagle_holds(sim_end *from, size_t len) {
    if (conn_of(from)->name != NULL) {
        return false;
    }
    struct sim_nagle *n = nagle_of(from);
    bool unacknowledged = n->arrives >= 0 && acknowledged_at(n) > end_world(from)->now;
    if (len >= DW_SEGMENT_MAX || !unacknowledged || (from->flags & (E_NO_DELAY | E_NAGLE)) != 0) {
        return false;
    }
    from->flags |= E_NAGLE;
    sim_flow_trace(from, ' ', "small write waits (Nagle)");
    sim_world_schedule(end_world(from), &n->event, acknowledged_at(n));
    return true;
}

void sim_nagle_sent(sim_end *from, size_t len) {
    if (len % DW_SEGMENT_MAX != 0 && peer_of(from)->flight != NULL) {
        nagle_of(from)->arrives = peer_of(from)->flight->event.at;
    }
}

void sim_nagle_push(sim_end *from) {
    if ((from->flags & E_NAGLE) != 0) {
        size_t len = from->blocked;
        from->flags &= ~(uint32_t)E_NAGLE;
        sim_queue_remove(&end_world(from)->queue, &from->aside->nagle->event);
        sim_stream_push(from);
        sim_nagle_sent(from, len);
    }
}

/* What the peer has sent after the small segment was there acknowledges it. */
void sim_nagle_heard(sim_end *from) {
    struct sim_nagle *n = from->aside != NULL ? from->aside->nagle : NULL;
    if (n == NULL || peer_of(from)->flight != NULL ||
        end_world(from)->now - peer_of(from)->link->latency < n->arrives) {
        return;
    }
    n->arrives = -1;
    sim_nagle_push(from);
}

/* Not acknowledged yet, when something was lost on its way. */
void sim_nagle_event(sim_event *event) {
    struct sim_nagle *n = DW_CONTAINER_OF(event, struct sim_nagle, event);
    sim_end *from = n->from;
    world_mark(end_world(from), 0x1006 + from->side + conn_of(from)->ordinal * UINT64_C(16));
    if (from->blocked == 0 || (from->flags & E_DEAD) != 0) {
        from->flags &= ~(uint32_t)E_NAGLE;
    } else if (peer_of(from)->flight != NULL) {
        sim_world_schedule(end_world(from), &n->event, acknowledged_at(n));
    } else {
        n->arrives = -1;
        sim_nagle_push(from);
    }
}
