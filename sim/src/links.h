/* SPDX-License-Identifier: MIT */
/*
 * One direction between two hosts, and what decides about a packet on it: the link's own settings
 * (link.c), the weather that changes them (weather.c), the scenario's rules (rule.c).
 */
#ifndef DRYWIRE_SIM_LINKS_H
#define DRYWIRE_SIM_LINKS_H

#include "drywire/rule.h"
#include "host.h"

struct sim_link {
    dw_host *from, *to;
    sim_link *next; /* of those that leave `from` */
    dw_time latency;
    dw_time down_until; /* partitioned until then; DW_TIME_MAX: until repaired */
    size_t mtu;         /* 0: none */
    sim_draws latency_draws, partition_draws;
    uint64_t name_hash; /* of what draws know it by; 0: not computed yet */
    bool shaped;        /* has some of what follows */
    bool holding;       /* what arrives waits */
    bool special;       /* what arrives is to be looked at: shaped, holding, or a rule */
    uint32_t loss;      /* out of DW_LOSS_ALL */
    dw_time jitter;
    uint64_t bandwidth; /* bytes per second; 0: no limit */
    uint64_t queue_max; /* bytes; 0: no limit */
    dw_time free_at;    /* all that was sent has left then */
    uint64_t carried, hash;
    struct sim_parked *parked;
    struct sim_port_map *ports; /* ports.c: of those that lead there; NULL: nobody has asked */
};

sim_link *sim_link_between(dw_host *from, dw_host *to);
/* One packet of `len` bytes leaves: when it arrives, or DW_TIME_MAX: never. The one place that
 * decides this; what a link does to its packets belongs here. `whole`: a datagram, which is not cut
 * to fit; its IP header counts in `len`. Draws. */
DW_APART dw_time sim_link_carry(sim_link *link, size_t len, bool whole);
/* Whether a packet that should arrive now is lost; draws. */
bool sim_link_is_down(sim_link *link);
/* Whether it is cut now; draws nothing. */
static inline bool sim_link_is_cut(const sim_link *link) {
    return link->down_until > link->from->world->now;
}
/* Some property of it has changed. */
void sim_link_refresh(sim_link *link);
/* Whether the event of a packet, not queued, waits for the link's release. */
bool sim_link_park(sim_link *link, sim_event *event);

/* weather.c: a link is new; faults stop; a moment of the weather's. */
void sim_weather_link(sim_link *link);
void sim_weather_calm_down(dw_world *world);
void sim_weather_event(sim_event *event);

/* rule.c: whether there is a rule about what the link carries. */
bool sim_rules_concern(const sim_link *link);
/* The first packet in flight to `to` is about to arrive over a special link. False: not now. */
bool sim_rules_admit_packet(sim_end *to);
/* What the rules say of a datagram. */
dw_verdict sim_rules_judge_datagram(sim_datagram *d);

#endif
