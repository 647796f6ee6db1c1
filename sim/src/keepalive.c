/* SPDX-License-Identifier: MIT */
/*
 * TCP keep-alive (RFC 9293, section 3.8.4; tcp(7)): when nothing has come for long, probes ask
 * whether the peer is there; so a peer that has gone without a word is found at last. As on Linux
 * (tcp_keepalive_timer): while something of ours waits to be acknowledged, retransmission does that
 * work; after the last probe another interval passes, then the end dies with ETIMEDOUT. Tried on
 * 6.18 with 1 s, 1 s, 3 probes and the interface down: ETIMEDOUT 4 s after the last word.
 *
 * Invariant: an end has the event of this file as long as the option is on and it is open.
 */
#include "drywire/network.h"
#include "stream.h"

#include <errno.h>

typedef enum stage {
    WAITING,  /* until it is time for a probe */
    PROBING,  /* the probe is on its way there */
    ANSWERED, /* the answer is on its way back */
} stage;

struct sim_keepalive {
    sim_event event;
    sim_end *end; /* NULL: it is over, or among the free ones */
    struct sim_keepalive *next;
    dw_time heard, probed;
    unsigned probes; /* without an answer */
    stage stage;
};

void dw_world_set_keep_alive(dw_world *world, dw_time idle, dw_time interval, unsigned probes) {
    world->keepalive_idle = idle > 0 ? idle : 1;
    world->keepalive_interval = interval > 0 ? interval : 1;
    world->keepalive_probes = probes > 0 ? probes : 1;
}

static bool is_on(const sim_end *end) {
    uint32_t flags = end->flags & (E_KEEP_ALIVE | E_ESTABLISHED | E_CLOSED | E_DEAD);
    return flags == (E_KEEP_ALIVE | E_ESTABLISHED);
}

static void next_at(struct sim_keepalive *k, stage what, dw_time at) {
    k->stage = what;
    sim_world_schedule(end_world(k->end), &k->event, at);
}

void sim_keepalive_start(sim_end *end) {
    dw_world *world = end_world(end);
    sim_aside *aside = sim_end_aside(end);
    struct sim_keepalive *k = world->free_keepalives;
    if (aside->keepalive != NULL || !is_on(end) || conn_of(end)->name != NULL) {
        return;
    }
    if (k != NULL) {
        world->free_keepalives = k->next;
    } else {
        k = sim_world_alloc(world, sizeof(*k));
    }
    *k = (struct sim_keepalive){.event = {.type = EV_KEEPALIVE}, .end = end, .heard = world->now};
    aside->keepalive = k;
    next_at(k, WAITING, time_add(world->now, world->keepalive_idle));
}

void sim_keepalive_end(sim_end *end) {
    dw_world *world = end_world(end);
    struct sim_keepalive *k = end->aside != NULL ? end->aside->keepalive : NULL;
    if (k != NULL) {
        sim_queue_remove(&world->queue, &k->event);
        end->aside->keepalive = NULL;
        k->next = world->free_keepalives;
        world->free_keepalives = k;
    }
}

/* A word from the peer, whatever it is. The event finds out when it is due. */
void sim_keepalive_heard(sim_end *end) {
    struct sim_keepalive *k = end->aside != NULL ? end->aside->keepalive : NULL;
    if (k != NULL) {
        k->heard = end_world(end)->now;
        k->probes = 0;
    }
}

static void give_up(sim_end *end) {
    sim_keepalive_end(end);
    sim_flow_trace(end, ' ', "no answer to keep-alive probes");
    sim_flight_reset(end); /* Linux: tcp_send_active_reset */
    sim_end_died(end, ETIMEDOUT);
}

static void probe(struct sim_keepalive *k) {
    sim_end *end = k->end;
    dw_time at = sim_link_carry(end->link, 0, false);
    k->probed = end_world(end)->now;
    k->probes++;
    sim_flow_trace(end, ' ', "keep-alive probe");
    if (at == DW_TIME_MAX) {
        next_at(k, WAITING, time_add(k->probed, end_world(end)->keepalive_interval));
    } else {
        next_at(k, PROBING, at);
    }
}

/* The time that has passed may have made a probe needless. */
static void time_is_up(struct sim_keepalive *k) {
    sim_end *end = k->end;
    dw_world *world = end_world(end);
    dw_time due = time_add(k->heard, world->keepalive_idle);
    if (peer_of(end)->flight != NULL || end->blocked > 0) {
        next_at(k, WAITING, time_add(world->now, world->keepalive_idle));
    } else if (k->probes == 0 && due > world->now) {
        next_at(k, WAITING, due);
    } else if (k->probes >= world->keepalive_probes) {
        give_up(end);
    } else {
        probe(k);
    }
}

static bool is_lost(const sim_end *from, const sim_end *to) {
    return from->link->holding || sim_link_is_down(from->link) || end_is_dark(to);
}

/* Who does not know of the connection says so (RFC 9293, section 3.10.7.1). */
static void probe_arrives(struct sim_keepalive *k) {
    sim_end *end = k->end, *peer = peer_of(end);
    dw_time at = DW_TIME_MAX;
    if (!is_lost(end, peer)) {
        if ((peer->flags & (E_VANISHED | E_DEAD)) != 0) {
            sim_flight_reset(peer);
        } else {
            at = sim_link_carry(peer->link, 0, false);
        }
    }
    if (at == DW_TIME_MAX) {
        next_at(k, WAITING, time_add(k->probed, end_world(end)->keepalive_interval));
    } else {
        next_at(k, ANSWERED, at);
    }
}

static void answer_arrives(struct sim_keepalive *k) {
    sim_end *end = k->end;
    dw_world *world = end_world(end);
    if (is_lost(peer_of(end), end)) {
        next_at(k, WAITING, time_add(k->probed, world->keepalive_interval));
    } else {
        sim_keepalive_heard(end);
        next_at(k, WAITING, time_add(world->now, world->keepalive_idle));
    }
}

void sim_keepalive_event(sim_event *event) {
    struct sim_keepalive *k = DW_CONTAINER_OF(event, struct sim_keepalive, event);
    sim_end *end = k->end;
    world_mark(end_world(end), 0x1005 + end->side + conn_of(end)->ordinal * UINT64_C(16));
    if (!is_on(end)) {
        sim_keepalive_end(end);
    } else if (k->stage == WAITING) {
        time_is_up(k);
    } else if (k->stage == PROBING) {
        probe_arrives(k);
    } else {
        answer_arrives(k);
    }
}
