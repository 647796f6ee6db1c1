/* SPDX-License-Identifier: MIT */
/*
 * Links: one for each ordered pair of hosts that ever talked, made at first use. A link knows how
 * long a packet takes, what it loses, and whether it is cut or held; the packets themselves lie in
 * their connections.
 *
 * Invariant: `special` is set while the link does anything but to take its time or be cut, so that
 * what arrives over a plain link is not looked at twice.
 */
#include "datagram.h"
#include "drywire/network.h"
#include "stream.h"
#include "trace.h"

#define LOOPBACK_LATENCY DW_USEC(20)
#define NSEC_PER_SEC     UINT64_C(1000000000)

/* RFC 791, RFC 9293: without options. Of IPv6 there would be 20 more. */
enum { TCP_HEADERS = 40 };

static sim_link *link_new(dw_host *from, dw_host *to) {
    sim_link *link = sim_world_alloc(from->world, sizeof(*link));
    *link = (sim_link){.from = from, .to = to, .next = from->links};
    link->hash = mix64(from->name_hash) + to->name_hash;
    link->latency = from == to ? LOOPBACK_LATENCY : from->world->latency_default;
    from->links = link;
    sim_weather_link(link);
    sim_link_refresh(link);
    return link;
}

void sim_link_refresh(sim_link *link) {
    link->shaped = link->bandwidth > 0 || link->jitter > 0 || link->loss > 0;
    link->special = link->shaped || link->holding || sim_rules_concern(link);
}

sim_link *sim_link_between(dw_host *from, dw_host *to) {
    for (sim_link *link = from->links; link != NULL; link = link->next) {
        if (link->to == to) {
            return link;
        }
    }
    return link_new(from, to);
}

/* ---- What a link does to a packet ---- */

/* How long the link takes to send `len` bytes, rounded up. */
static dw_time sending_time(const sim_link *link, size_t len) {
    uint64_t rate = link->bandwidth;
    uint64_t rest = (uint64_t)len % rate * NSEC_PER_SEC;
    return (dw_time)((uint64_t)len / rate * NSEC_PER_SEC + (rest + rate - 1) / rate);
}

/* Bytes that have not left yet. */
static uint64_t waiting(const sim_link *link, dw_time now) {
    uint64_t wait = (uint64_t)(link->free_at - now);
    return wait / NSEC_PER_SEC * link->bandwidth +
           wait % NSEC_PER_SEC * link->bandwidth / NSEC_PER_SEC;
}

/* When the packet has left a link of limited bandwidth: behind those before it. DW_TIME_MAX: the
 * queue is full, and its tail is dropped. One packet always fits. */
static dw_time queued(sim_link *link, size_t len) {
    dw_time now = link->from->world->now;
    bool busy = link->free_at > now;
    if (busy && link->queue_max > 0 && waiting(link, now) + len > link->queue_max) {
        return DW_TIME_MAX;
    }
    link->free_at = time_add(busy ? link->free_at : now, sending_time(link, len));
    return link->free_at;
}

/* When the packet has left, some of the jitter included; DW_TIME_MAX: never. What is random here is
 * the same in every run: a hash of the link and of how many packets it has carried. */
static dw_time shape(sim_link *link, size_t len) {
    uint64_t r = mix64(link->hash + UINT64_C(0x9e3779b97f4a7c15) * ++link->carried);
    if (link->loss > 0 && r % DW_LOSS_ALL < link->loss) {
        return DW_TIME_MAX;
    }
    dw_time at = link->bandwidth > 0 ? queued(link, len) : link->from->world->now;
    dw_time late = (dw_time)(mix64(r) % ((uint64_t)link->jitter + 1));
    return time_add(at, late);
}

dw_time sim_link_carry(sim_link *link, size_t len, bool whole) {
    dw_world *world = link->from->world;
    dw_time latency = link->latency, leaves = world->now;
    if (whole && link->mtu > 0 && len > link->mtu) {
        return DW_TIME_MAX;
    }
    if (choice_active(world, SIM_LATENCY)) {
        uint64_t extra = sim_choice_draw(world, SIM_LATENCY, (sim_who){WHO_LINK, link}, "latency",
                                         &link->latency_draws, 0);
        latency = time_add(latency, (dw_time)extra);
    }
    if (link->shaped) {
        leaves = shape(link, whole ? len : len + TCP_HEADERS);
    }
    return time_add(leaves, latency);
}

/* ---- Cut and held ---- */

static void cut_for(sim_link *link, dw_time duration) {
    dw_world *world = link->from->world;
    dw_time until = time_add(world->now, duration);
    if (until > link->down_until) {
        link->down_until = until;
    }
}

bool sim_link_is_down(sim_link *link) {
    dw_world *world = link->from->world;
    if (sim_link_is_cut(link)) {
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

void dw_world_set_mtu(dw_world *world, dw_host *a, dw_host *b, size_t mtu) {
    (void)world;
    sim_link_between(a, b)->mtu = mtu;
    sim_link_between(b, a)->mtu = mtu;
}

/* Bandwidths beyond this would overflow: 80 Gbit/s. */
#define BANDWIDTH_MAX UINT64_C(10000000000)

static void both_ways(dw_host *a, dw_host *b, void (*set)(sim_link *link, uint64_t value),
                      uint64_t value) {
    sim_link *there = sim_link_between(a, b), *back = sim_link_between(b, a);
    set(there, value);
    set(back, value);
    sim_link_refresh(there);
    sim_link_refresh(back);
}

static void set_bandwidth(sim_link *link, uint64_t rate) {
    link->bandwidth = rate < BANDWIDTH_MAX ? rate : BANDWIDTH_MAX;
    link->free_at = 0;
}

static void set_queue(sim_link *link, uint64_t bytes) {
    link->queue_max = bytes;
}

static void set_jitter(sim_link *link, uint64_t jitter) {
    link->jitter = (dw_time)jitter;
}

static void set_loss(sim_link *link, uint64_t loss) {
    link->loss = loss < DW_LOSS_ALL ? (uint32_t)loss : DW_LOSS_ALL;
}

void dw_world_set_bandwidth(dw_world *world, dw_host *a, dw_host *b, uint64_t bytes_per_second) {
    (void)world;
    both_ways(a, b, set_bandwidth, bytes_per_second);
}

void dw_world_set_queue(dw_world *world, dw_host *a, dw_host *b, size_t bytes) {
    (void)world;
    both_ways(a, b, set_queue, bytes);
}

void dw_world_set_jitter(dw_world *world, dw_host *a, dw_host *b, dw_time jitter) {
    (void)world;
    both_ways(a, b, set_jitter, jitter > 0 ? (uint64_t)jitter : 0);
}

void dw_world_set_loss(dw_world *world, dw_host *a, dw_host *b, uint32_t per_million) {
    (void)world;
    both_ways(a, b, set_loss, per_million);
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

/* ---- Holding: what arrives over a held link waits, in order ---- */

/* A packet outside the order of a stream, or a datagram. */
struct sim_parked {
    struct sim_parked *next;
    sim_event *event;
};

bool sim_link_park(sim_link *link, sim_event *event) {
    if (!link->holding) {
        return false;
    }
    struct sim_parked *parked = sim_world_alloc(link->from->world, sizeof(*parked)), **last;
    *parked = (struct sim_parked){NULL, event};
    for (last = &link->parked; *last != NULL; last = &(*last)->next) {
    }
    *last = parked;
    return true;
}

static void hold_link(sim_link *link) {
    link->holding = true;
    sim_link_refresh(link);
}

static void release_link(sim_link *link) {
    dw_world *world = link->from->world;
    struct sim_parked *parked = link->parked;
    if (!link->holding) {
        return;
    }
    link->holding = false;
    link->parked = NULL;
    sim_link_refresh(link);
    for (; parked != NULL; parked = parked->next) {
        sim_world_schedule(world, parked->event, world->now);
    }
    for (sim_end *end = link->to->ends; end != NULL; end = *end_next(end)) {
        if (peer_of(end)->link == link && end->flight != NULL) {
            sim_flight_delay(end, world->now);
        }
    }
}

static void tell(const sim_link *link, const char *what) {
    dw_world *world = link->from->world;
    world_mark(world, sim_hash_text(link->hash, what));
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', link->from->name, "link to %s %s", link->to->name, what);
    }
}

void dw_world_hold_one_way(dw_world *world, dw_host *from, dw_host *to) {
    sim_link *link = sim_link_between(from, to);
    (void)world;
    hold_link(link);
    tell(link, "held");
}

void dw_world_hold(dw_world *world, dw_host *a, dw_host *b) {
    dw_world_hold_one_way(world, a, b);
    dw_world_hold_one_way(world, b, a);
}

void dw_world_release(dw_world *world, dw_host *a, dw_host *b) {
    sim_link *there = sim_link_between(a, b), *back = sim_link_between(b, a);
    (void)world;
    release_link(there);
    tell(there, "released");
    release_link(back);
    tell(back, "released");
}

/* ---- The end of faults ---- */

void dw_world_heal(dw_world *world) {
    world->choices.active = 0;
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        sim_host_wake(host);
        for (sim_link *link = host->links; link != NULL; link = link->next) {
            link->down_until = 0;
            release_link(link);
        }
    }
    sim_weather_calm_down(world);
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', "world", "healed: no more faults");
    }
}
