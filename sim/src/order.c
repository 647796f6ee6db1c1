/* SPDX-License-Identifier: MIT */
/*
 * The order of simultaneous events: first in, first out, unless a choice says otherwise. When the
 * draws are recorded for a search, this also says which answers change nothing: an event that is
 * taken before others of the same instant, all of them at other hosts, commutes with them, for
 * hosts meet only through packets, and those take time (the persistent sets of partial-order
 * reduction; Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996,
 * chapter 4).
 *
 * Programs of different hosts must share no memory for that to hold. Called by the world's loop.
 */
#include "datagram.h"

enum { ORDER_MAX = 16 };

/* Where it happens; NULL: not known, or everywhere. */
static const dw_host *host_of_event(const sim_event *event) {
    const sim_link *link;
    switch ((sim_event_type)event->type) {
    case EV_ARRIVAL:
        return end_host(DW_CONTAINER_OF(event, const sim_segment, event)->to);
    case EV_READY:
        return end_host(DW_CONTAINER_OF(event, const sim_aside, ready)->end);
    case EV_LISTENER:
        return DW_CONTAINER_OF(event, const sim_listener, ready)->host;
    case EV_TURN:
        return DW_CONTAINER_OF(event, const dw_host, turn);
    case EV_DATAGRAM:
        link = DW_CONTAINER_OF(event, const sim_datagram, event)->link;
        return link != NULL ? link->to : NULL;
    case EV_SOCKET:
        return DW_CONTAINER_OF(event, const sim_socket, ready)->host;
    default:
        return NULL;
    }
}

static bool commutes(const sim_event *const *events, size_t n) {
    const dw_host *host = host_of_event(events[n]);
    for (size_t i = 0; i < n; i++) {
        const dw_host *other = host_of_event(events[i]);
        if (host == NULL || other == NULL || host == other) {
            return false;
        }
    }
    return true;
}

/* A bit per answer that is as good as the calm one. */
static uint64_t equal_answers(dw_world *world, size_t n) {
    const sim_event *events[ORDER_MAX];
    uint64_t equal = 0;
    sim_queue_peek(&world->queue, events, n);
    for (size_t i = 1; i < n; i++) {
        equal |= commutes(events, i) ? UINT64_C(1) << i : 0;
    }
    return equal;
}

size_t sim_order_pick(dw_world *world) {
    size_t n = sim_queue_simultaneous(&world->queue, ORDER_MAX);
    if (n < 2) {
        return 0;
    }
    if (world->choices.options->offers != NULL) {
        world->choices.equal = equal_answers(world, n);
    }
    return (size_t)sim_choice_draw(world, SIM_ORDER, (sim_who){WHO_WORLD, NULL}, "order",
                                   &world->order_draws, n);
}
