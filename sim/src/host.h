/* SPDX-License-Identifier: MIT */
/*
 * A host: its reactor, its power, and the heads of all that its kernel has. host.c keeps it; other
 * files reach their own lists by it.
 */
#ifndef DRYWIRE_SIM_HOST_H
#define DRYWIRE_SIM_HOST_H

#include "drywire/script.h"
#include "events.h"
#include "world.h"

typedef struct sim_link sim_link;
typedef struct sim_listener sim_listener;
typedef struct sim_name sim_name;

typedef enum sim_power {
    POWER_UP,
    POWER_OFF /* kernel works */,
    POWER_DEAD /* machine is dark */
} sim_power;

/* Linux: ip_local_port_range. */
enum { SIM_PORT_FIRST = 32768, SIM_PORT_LAST = 60999 };

struct dw_host {
    dw_reactor reactor; /* first: a reactor of a host is the host */
    dw_world *world;
    dw_host *next;
    char *name;
    dw_boot_fn boot;
    void *boot_user;
    void *program;
    sim_event turn;
    sim_power power;
    dw_time stalled_until;
    dw_time clock_offset, clock_since; /* the wall clock was off by that then; clock.c */
    int64_t clock_drift;
    struct sim_timewait *timewaits, *timewaits_last;
    size_t descriptors, descriptors_max; /* of sockets; 0: no limit */
    uint16_t port_first, port_last;      /* ephemeral ones */
    bool ports_used;                     /* a port may be in use that is about to be given out */
    struct sim_port_map *all_ports;      /* NULL: nobody has asked */
    sim_listener *listeners;
    sim_socket *sockets;      /* of datagrams, all */
    struct sim_ports *ports;  /* UDP; NULL: none was ever open */
    struct sim_group *groups; /* multicast groups it is in */
    sim_name **names;         /* of UNIX sockets: a table; NULL: there were none */
    sim_link *links;
    sim_end *ends; /* of connections, all */
    sim_block *blocks_head, *blocks_tail;
    size_t block_count, block_bytes;
    uint64_t connections, randoms, name_hash;
    sim_draws allocs;
    struct sim_lookup *lookups;
    sim_draws name_delays, name_faults;
    struct sim_pipe *pipes; /* process.h */
    dw_script *scripts, *zombies;
    sim_draws spawns, exits, stdins, kills, pipe_cuts, pipe_writes;
    pid_t pids;
    uint64_t lives; /* how often it has booted */
    uint32_t index; /* from 1; its address */
    uint16_t next_port;
    uint16_t turns; /* counted; never 0 */
    bool busy;      /* inside one of its callbacks */
    bool woken;     /* and its reactor has said that there will be something to do */
    uint8_t ending; /* how it ends when that has returned */
};

static inline dw_host *host_of(dw_reactor *reactor) {
    return (dw_host *)reactor;
}

extern const dw_wire sim_wire;
extern const dw_endpoint_type sim_endpoint_type; /* endpoint.c */

/* host.c's slots of it. */
dw_time sim_now(dw_reactor *reactor);
dw_time sim_wall_clock(dw_reactor *reactor);
void sim_random(dw_reactor *reactor, void *buffer, size_t len);
uint32_t sim_choose(dw_reactor *reactor, const char *what, uint32_t n);
int sim_resolve(dw_reactor *reactor, dw_lookup *lookup);
void sim_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup);
void sim_wake(dw_reactor *reactor, dw_time due);
void sim_violation(dw_reactor *reactor, const char *oracle, const char *message);
void sim_log(dw_reactor *reactor, const char *line);

/* thread.c: the world's thread, and calls that must come from it. */
void sim_world_own_thread(dw_world *world);
void sim_wake_from_thread(dw_reactor *reactor);

/* From now on the observer is told of the bytes of streams, too: there is a timeline, or a
 * promise about them. */
void sim_host_observe_bytes(dw_host *host);
void sim_host_turn(dw_host *host);
/* Whether there is a turn to come at this instant; it comes before all else. */
static inline bool sim_host_turn_waits(const dw_host *host) {
    return host->turn.place != 0 && host->turn.at <= host->world->now;
}
void sim_host_turn_first(dw_host *host);
/* What was told before was told in another turn. */
void sim_host_next_turn(dw_host *host);
/* Whether the turn event that was just taken has work; if not, it is queued again for later. */
bool sim_host_turn_due(dw_host *host);

/* lookup.c: a name is answered; the host is gone; it gets CPU before `until`. */
void sim_host_lookup_event(sim_event *event);
void sim_lookups_end(dw_host *host);
/* The i-th name that waits for an answer; NULL: there are no more. */
const char *sim_lookup_waiting(const dw_host *host, size_t i);
void sim_lookups_wake(dw_host *host, dw_time until);

/* Ends a stall before its time. */
void sim_host_wake(dw_host *host);
/* Whose program runs on this thread: what libc calls are judged by (oracle_libc.c). */
extern _Thread_local dw_host *sim_inside;
/* Before and after the host's program runs; `end`: for what, as world->turn_end. */
static inline void sim_host_enter_for(dw_host *host, sim_end *end) {
    dw_world *world = host->world;
    host->busy = true;
    sim_inside = host;
    world->turn_host = host;
    world->turn_end = end;
}
static inline void sim_host_enter(dw_host *host) {
    sim_host_enter_for(host, NULL);
}
static inline void sim_host_left(dw_host *host) {
    host->busy = false;
    host->world->payer = NULL;
    sim_inside = NULL;
}
/* A reactor that has not asked for its turn (the wire's `wake`) needs none that is not queued. */
DW_APART void sim_host_leave_with_more_to_do(dw_host *host);
static inline void sim_host_leave(dw_host *host) {
    sim_host_left(host);
    if (host->woken || host->ending != 0 || host->world->duplicate != NULL) {
        sim_host_leave_with_more_to_do(host);
    }
}
/* Ends the program at the end of the run; reports what it leaves behind. */
void sim_host_end(dw_host *host, bool check_leaks);
dw_host *sim_host_by_address(dw_world *world, dw_host *from, const dw_address *address);
dw_host *sim_host_by_name(dw_world *world, const char *name);

#endif
