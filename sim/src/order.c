/* SPDX-License-Identifier: MIT */
/*
 * The order of simultaneous events: first in, first out, unless a choice says otherwise. When the
 * draws are recorded for a search, this also says which answers only lead to runs that others are
 * equal to, for what happens at one host commutes with what happens at another, and the loss of a
 * packet with everything.
 *
 * Invariant: of the runs that differ in nothing but the order of such events exactly one is kept.
 * It takes the first in line, or another of that one's host (a persistent set; Godefroid,
 * "Partial-Order Methods for the Verification of Concurrent Systems", 1996, chapter 4), and loses a
 * packet only when it is first in line and nothing was taken before it in that place. Programs of
 * different hosts must share no memory for that to hold. Called by the world's loop.
 */
#include "datagram.h"

enum { ORDER_MAX = 16 };

/* What waits at this instant, first in line first. */
typedef struct line {
    const sim_event *events[ORDER_MAX];
    dw_host *hosts[ORDER_MAX]; /* where each happens; NULL: not known, or everywhere */
    size_t count;
} line;

static dw_host *host_of_event(const sim_event *event) {
    const sim_link *link;
    switch ((sim_event_type)event->type) {
    case EV_ARRIVAL:
        return end_host(DW_CONTAINER_OF(event, const sim_segment, event)->to);
    case EV_READY:
        return end_host(DW_CONTAINER_OF(event, const sim_aside, ready)->end);
    case EV_LISTENER:
        return DW_CONTAINER_OF(event, const sim_listener, ready)->host;
    case EV_TURN:
        return (dw_host *)(uintptr_t)DW_CONTAINER_OF(event, const dw_host, turn);
    case EV_DATAGRAM:
        link = DW_CONTAINER_OF(event, const sim_datagram, event)->link;
        return link != NULL ? link->to : NULL;
    case EV_SOCKET:
        return DW_CONTAINER_OF(event, const sim_socket, ready)->host;
    default:
        return NULL;
    }
}

/* A link that is cut loses it whenever its turn comes. */
static bool is_lost_anyway(const sim_event *event) {
    const sim_link *link =
        event->type == EV_DATAGRAM ? DW_CONTAINER_OF(event, const sim_datagram, event)->link : NULL;
    return link != NULL && sim_link_is_cut(link) && !link->special;
}

/* ---- What hosts have to do with each other at one instant ---- */

/* The ends of a connection know of each other's buffers. */
static bool are_connected(dw_host *a, const dw_host *b) {
    for (sim_end *end = a->ends; end != NULL;) {
        sim_conn *conn = conn_of(end);
        if (end_host(peer_of(end)) == b) {
            return true;
        }
        end = conn->of_host[end->side].next;
    }
    return false;
}

static bool has_instant_links(const dw_world *world) {
    for (const dw_host *host = world->hosts; host != NULL; host = host->next) {
        for (const sim_link *link = host->links; link != NULL; link = link->next) {
            if (link->from != link->to && link->latency == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Whether what happens at one host may touch another before time passes: then every order counts.
 * A partition cuts both ways; a rule may do anything. */
static bool is_entangled(const dw_world *world, const line *l) {
    for (size_t i = 0; i < l->count; i++) {
        if (l->hosts[i] == NULL) {
            return true;
        }
    }
    return world->rules != NULL || choice_active(world, SIM_PARTITION) || has_instant_links(world);
}

/* ---- Answers that can be spared ---- */

/* The first in line and all that it has to do with, directly or by way of others: a bit each. */
static uint64_t company(const line *l) {
    uint64_t in = 1, before = 0;
    while (in != before && !is_lost_anyway(l->events[0])) {
        before = in;
        for (size_t i = 1; i < l->count; i++) {
            for (size_t j = 0; j < l->count && (in >> i & 1) == 0; j++) {
                bool meets =
                    (in >> j & 1) != 0 && !is_lost_anyway(l->events[i]) &&
                    (l->hosts[i] == l->hosts[j] || are_connected(l->hosts[i], l->hosts[j]));
                in |= meets ? UINT64_C(1) << i : 0;
            }
        }
    }
    return in;
}

static uint64_t equal_answers(const dw_world *world, const line *l) {
    return is_entangled(world, l) ? 0 : ~company(l) & ((UINT64_C(1) << l->count) - 1);
}

/* ---- Taking one ---- */

static void note_overtaking(sim_choices *choices, const line *l, size_t taken) {
    if (taken > 0) {
        choices->ahead = l->events[taken]->sequence;
        choices->passed_over = l->events[0]->sequence;
    }
}

bool sim_order_is_open(dw_world *world, dw_time until) {
    if (sim_queue_company(&world->queue, until) != SIM_IN_COMPANY) {
        return false;
    }
    bool calm = sim_choice_is_calm(world, SIM_ORDER, (sim_who){WHO_WORLD, NULL}, "order",
                                   &world->order_draws);
    if (calm) {
        draws_pass(&world->order_draws, 1);
    }
    return !calm;
}

size_t sim_order_pick(dw_world *world) {
    line l = {.count = sim_queue_simultaneous(&world->queue, ORDER_MAX)};
    bool recorded = world->choices.options->offers != NULL;
    if (recorded) {
        sim_queue_peek(&world->queue, l.events, l.count);
        for (size_t i = 0; i < l.count; i++) {
            l.hosts[i] = host_of_event(l.events[i]);
        }
        world->choices.equal = equal_answers(world, &l);
    }
    size_t taken = (size_t)sim_choice_draw(world, SIM_ORDER, (sim_who){WHO_WORLD, NULL}, "order",
                                           &world->order_draws, l.count);
    if (recorded) {
        note_overtaking(&world->choices, &l, taken);
    }
    return taken;
}

void sim_order_loss(dw_world *world, const sim_event *event) {
    sim_choices *choices = &world->choices;
    bool overtook = event->sequence == choices->ahead || event->sequence == choices->passed_over;
    if (choices->options->offers != NULL && (choices->offered & 1u << SIM_LOSE) != 0 && overtook) {
        choices->equal = UINT64_C(1) << 1;
    }
}
