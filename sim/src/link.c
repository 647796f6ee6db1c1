/* SPDX-License-Identifier: MIT */
/*
 * Links: one for each ordered pair of hosts that ever talked, made at first use. A link knows how
 * long a packet takes and whether it is cut; the packets themselves lie in their connections.
 */
#include "internal.h"

#define LOOPBACK_LATENCY DW_USEC(20)

static sim_link *link_new(dw_host *from, dw_host *to) {
    sim_link *link = sim_world_alloc(from->world, sizeof(*link));
    *link = (sim_link){.from = from, .to = to, .next = from->links};
    link->latency = from == to ? LOOPBACK_LATENCY : from->world->latency_default;
    from->links = link;
    return link;
}

sim_link *sim_link_between(dw_host *from, dw_host *to) {
    for (sim_link *link = from->links; link != NULL; link = link->next) {
        if (link->to == to) {
            return link;
        }
    }
    return link_new(from, to);
}

dw_time sim_link_delay(sim_link *link) {
    dw_world *world = link->from->world;
    if (!choice_active(world, SIM_LATENCY)) {
        return link->latency;
    }
    uint64_t extra = sim_choice_draw(world, SIM_LATENCY, (sim_who){WHO_LINK, link}, "latency",
                                     &link->latency_draws, 0);
    return time_add(link->latency, (dw_time)extra);
}

static void cut_for(sim_link *link, dw_time duration) {
    dw_world *world = link->from->world;
    dw_time until = time_add(world->now, duration);
    if (until > link->down_until) {
        link->down_until = until;
    }
}

bool sim_link_is_down(sim_link *link) {
    dw_world *world = link->from->world;
    if (link->down_until > world->now) {
        return true;
    }
    if (choice_active(world, SIM_PARTITION)) {
        uint64_t duration = sim_choice_draw(world, SIM_PARTITION, (sim_who){WHO_LINK, link},
                                            "partition", &link->partition_draws, 0);
        if (duration > 0) {
            cut_for(link, (dw_time)duration);
            cut_for(sim_link_between(link->to, link->from), (dw_time)duration);
            return true;
        }
    }
    return false;
}

/* ---- What scenarios say ---- */

void dw_world_set_latency(dw_world *world, dw_host *a, dw_host *b, dw_time latency) {
    (void)world;
    sim_link_between(a, b)->latency = latency;
    sim_link_between(b, a)->latency = latency;
}

void dw_world_partition_one_way(dw_world *world, dw_host *from, dw_host *to) {
    world_mark(world, 0x9a01 + from->name_hash + to->name_hash * 3);
    sim_link_between(from, to)->down_until = DW_TIME_MAX;
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', from->name, "link to %s cut", to->name);
    }
}

void dw_world_partition(dw_world *world, dw_host *a, dw_host *b) {
    dw_world_partition_one_way(world, a, b);
    dw_world_partition_one_way(world, b, a);
}

void dw_world_repair(dw_world *world, dw_host *a, dw_host *b) {
    world_mark(world, 0x9a02 + a->name_hash + b->name_hash * 3);
    sim_link_between(a, b)->down_until = 0;
    sim_link_between(b, a)->down_until = 0;
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', a->name, "link with %s repaired", b->name);
    }
}

void dw_world_heal(dw_world *world) {
    world->choices.active = 0;
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        sim_host_wake(host);
        for (sim_link *link = host->links; link != NULL; link = link->next) {
            link->down_until = 0;
        }
    }
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', "world", "healed: no more faults");
    }
}
