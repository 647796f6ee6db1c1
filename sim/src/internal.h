/* SPDX-License-Identifier: MIT */
/*
 * What the dry wire's files share: the world and what lies in it. One world is used for run after
 * run; sim_world_reset empties it and keeps its memory.
 *
 * Invariant of all of sim/: what decides depends on nothing but the scenario and the choices: times
 * are integers, orders end in sequence numbers, addresses of memory are never compared or hashed.
 */
#ifndef DRYWIRE_SIM_INTERNAL_H
#define DRYWIRE_SIM_INTERNAL_H

#include "deviation.h"
#include "drywire/backend.h"
#include "drywire/world.h"
#include "queue.h"
#include "run.h"

#include <errno.h>
#include <string.h>

typedef struct sim_link sim_link;
typedef struct sim_end sim_end;
typedef struct sim_conn sim_conn;
typedef struct sim_listener sim_listener;
typedef struct sim_segment sim_segment;
typedef struct sim_block sim_block;
typedef struct sim_socket sim_socket;
typedef struct sim_datagram sim_datagram;
typedef struct sim_name sim_name;
typedef struct sim_record sim_record;
typedef struct sim_watched sim_watched;

/* ---- Events: queue.c ---- */

typedef enum sim_event_type {
    EV_ARRIVAL,      /* the first packet in flight to a sim_end */
    EV_READY,        /* a sim_end has something to report to its program */
    EV_CONTROL,      /* a reset or a window update arrives */
    EV_LISTENER,     /* a sim_listener has connections to accept */
    EV_TURN,         /* a host's reactor has something due */
    EV_LOOKUP,       /* a name is answered */
    EV_AFTER,        /* the scenario's own timer */
    EV_DATAGRAM,     /* a sim_datagram arrives */
    EV_SOCKET,       /* a sim_socket has something to report to its program */
    EV_PIPE,         /* a sim_pipe has something to report to its program */
    EV_SCRIPT,       /* a child process has something to do */
    EV_SCRIPT_SLEEP, /* its sleep is over */
    EV_SCRIPT_EXIT,  /* its end is to be told */
    EV_WEATHER,      /* links change with the weather */
    EV_KEEPALIVE,    /* a connection is probed */
    EV_NAGLE,        /* what waits for an acknowledgement has it */
} sim_event_type;

/* Which of the simultaneous events comes next, when that kind is on; order.c. */
size_t sim_order_pick(dw_world *world);

/* ---- Choices: choice.c ---- */

/* Counters of the user's own choices: per host and name. */
typedef struct sim_counter {
    uint64_t who, what, n; /* hashes, and how many draws there were */
} sim_counter;

typedef struct sim_choices {
    sim_source source;
    uint32_t active;                  /* bit per sim_kind that is drawn at all in this run */
    uint32_t offered;                 /* bit per sim_kind to record offers of */
    uint32_t rate[SIM_KIND_COUNT];    /* seed: out of 2^32 */
    const char *what[SIM_KIND_COUNT]; /* a constant that was hashed, and its hash */
    uint64_t what_hash[SIM_KIND_COUNT];
    uint64_t seed_mixed;
    uint64_t *table;   /* list: open addressing, key then value */
    size_t table_room; /* a power of two, in pairs */
    sim_list taken;
    sim_counter *counters;
    size_t counter_count, counter_room;
    const sim_run_options *options;
    uint64_t equal; /* of the draw to come: sim_offer.same */
} sim_choices;

void sim_choices_begin(dw_world *world, const sim_source *source, const sim_run_options *options);
void sim_choices_free(sim_choices *choices);

/* The user's own choice `what` of a host or of the scenario. */
struct sim_who;
uint32_t sim_choice_user(dw_world *world, struct sim_who who, uint64_t who_hash, const char *what,
                         uint32_t n);

static inline uint64_t mix64(uint64_t x) { /* splitmix64's finaliser, public domain, Vigna */
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* FNV-1a over text, continued from `hash`; names of who and what are hashed with it. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t sim_hash_text(uint64_t hash, const char *text);

/* Who draws: something that can hash its name, and write it when a deviation is taken. */
typedef enum sim_who_kind {
    WHO_FLOW,
    WHO_LINK,
    WHO_HOST,
    WHO_WORLD,
    WHO_SCENARIO,
    WHO_UDP
} sim_who_kind;
typedef struct sim_who {
    sim_who_kind kind;
    const void *object; /* the sim_end that sends, the sim_link, the dw_host, NULL, the sim_flow */
} sim_who;
void sim_who_format(char *out, size_t size, sim_who who);

/* Draws: an answer below `options` (or a duration when options is 0), 0 when calm. *counter is the
 * pair's own. Call it only if choice_active says so. */
uint64_t sim_choice_draw(dw_world *world, sim_kind kind, sim_who who, const char *what,
                         uint64_t *counter, uint64_t options);

/* ---- Network ---- */

struct sim_link {
    dw_host *from, *to;
    sim_link *next; /* of those that leave `from` */
    dw_time latency;
    dw_time down_until; /* partitioned until then; DW_TIME_MAX: until repaired */
    size_t mtu;         /* 0: none */
    uint64_t latency_draws, partition_draws;
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
};

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
    uint8_t data[];
};

enum {
    F_DROPPED = 1 << 0, /* the link has dropped it: now it is sent again */
    F_SEEN = 1 << 1,    /* the rules' copy of the stream has it */
    F_JUDGED = 1 << 2,  /* the rules have spoken: */
    F_VERDICT = 4       /* this shift has it */
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

enum {
    E_OPEN = 1 << 0, /* the program has it */
    E_CONNECTING = 1 << 1,
    E_ESTABLISHED = 1 << 2,
    E_FIN_QUEUED = 1 << 3, /* this end sends no more */
    E_FIN_SEEN = 1 << 4,   /* the peer sends no more, all of it has arrived */
    E_DEAD = 1 << 5,       /* reset or timed out; error says which */
    E_CLOSED = 1 << 6,     /* the program has closed it, or never had it and never will */
    E_HELD = 1 << 7,       /* what arrived waits for more (join) */
    E_RESOLVED = 1 << 9,   /* connect has an answer */
    E_VANISHED = 1 << 10,  /* its machine lost power */
    E_NO_DELAY = 1 << 11,
    E_KEEP_ALIVE = 1 << 12,
    E_SYN_SEEN = 1 << 13, /* the choices about the SYN have been made */
    E_BETWEEN = 1 << 14,  /* someone between the two has closed */
    E_UPDATE = 1 << 15,   /* a window update is on its way to this end */
    E_BROKEN = 1 << 16,   /* UNIX: the peer has closed, what is sent is EPIPE */
    E_NAGLE = 1 << 17,    /* what is blocked waits for an acknowledgement */
    E_INSIDE = 1 << 18    /* a callback of it is on the stack */
};

/* What few ends need, made at first use. Draws are about the flow TO the end, `writes` and
 * `flow_hash` about the flow FROM it. */
typedef struct sim_aside {
    sim_event ready;
    sim_end *end;
    sim_segment *blocked; /* from this end, not sent yet */
    sim_watched *watch;   /* NULL: its program has promised nothing */
    uint64_t flow_hash;   /* 0: not computed yet */
    uint64_t cuts, joins, resets, closes, writes;
    uint64_t refuses, syn_drops; /* of the connection; the client's */
    struct sim_keepalive *keepalive;
    struct sim_nagle *nagle;
    struct sim_history *history; /* rule.c: what has come TO the end */
} sim_aside;

/* One end of a connection. The flow TO it: packets in flight, then what has arrived unread. The
 * sender's bytes that find the window shut wait at the sender. A delivery is about this line. */
struct sim_end {
    sim_segment *flight, *queue; /* chains */
    dw_io *io;
    sim_link *link; /* to the peer, from its own host */
    sim_aside *aside;
    uint32_t flags;
    uint32_t unread;      /* bytes arrived, not read */
    uint32_t outstanding; /* bytes in flight to this end, or unread */
    uint32_t blocked;     /* bytes in aside->blocked */
    uint16_t port;
    uint8_t error; /* errno of a dead one */
    uint8_t tries;
    uint8_t side; /* 0: the client */
};

struct sim_conn {
    sim_end end[2];
    struct {
        sim_end *next, **place;
    } of_host[2];           /* in each end's host->ends */
    sim_listener *listener; /* while in its queue */
    sim_conn *next_accept;  /* in that, or among free ones */
    const sim_name *name;   /* UNIX: where it was made; NULL: TCP */
    uint32_t ordinal;       /* the client host's n-th connection */
    uint16_t pins;          /* control packets under way */
    uint8_t family;         /* a dw_address_kind */
};

_Static_assert(sizeof(void *) > 8 || (sizeof(sim_end) <= 64 && sizeof(sim_conn) <= 192),
               "a connection grew");

struct sim_listener {
    sim_event ready;
    sim_listener *next;
    dw_host *host;
    dw_io *io;
    sim_name *name; /* UNIX, else NULL */
    sim_conn *accept_head, *accept_tail;
    unsigned accept_count, backlog;
    uint16_t port;
    uint8_t family; /* TCP: a dw_address_kind */
    bool any;       /* bound to all addresses; those of IPv6 include IPv4's */
    bool listening;
};

static inline sim_conn *conn_of(sim_end *end) {
    return DW_CONTAINER_OF(end - end->side, sim_conn, end[0]);
}

static inline sim_end *peer_of(sim_end *end) {
    return end->side == 0 ? end + 1 : end - 1;
}

static inline dw_host *end_host(const sim_end *end) {
    return end->link->from;
}

static inline dw_world *end_world(const sim_end *end);

/* Its place among its host's; see of_host. */
static inline sim_end **end_next(sim_end *end) {
    return &conn_of(end)->of_host[end->side].next;
}

/* What it has aside. */
sim_aside *sim_end_aside(sim_end *end);

static inline sim_watched *end_watch(const sim_end *end) {
    return end->aside != NULL ? end->aside->watch : NULL;
}

/* stream.c: what TCP does between two ends. */
sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port);
void sim_stream_arrival(sim_event *event);
void sim_stream_ready(sim_event *event);
void sim_stream_control_event(sim_event *event);
ssize_t sim_stream_recv(sim_end *end, const uint8_t **data);
ssize_t sim_stream_send(sim_end *end, const struct iovec *pieces, int count);
/* Copies `n` bytes of the pieces, from byte `skip` on. */
void sim_gather(uint8_t *out, const struct iovec *pieces, int count, size_t skip, size_t n);
void sim_stream_fin(sim_end *end);
void sim_stream_close(sim_end *end, bool reset);
/* The machine is gone without a word. */
void sim_stream_vanish(sim_end *end);
/* Frees the connection if both programs are done with it and nothing is under way. */
void sim_stream_release_closed(sim_conn *conn);
static inline void sim_stream_release(sim_conn *conn) {
    if ((conn->end[0].flags & conn->end[1].flags & E_CLOSED) != 0) {
        sim_stream_release_closed(conn);
    }
}
/* Something may be ready for the program: see to it soon. */
void sim_stream_poke(sim_end *end);
void sim_stream_format(char *out, size_t size, const sim_end *from);
uint64_t sim_stream_hash(sim_end *from);
void sim_stream_wake(dw_host *host);

/* socket.c: the slots of the wire that deal with sockets. */
/* A connection waits to be accepted; sim_listener_ready or _poke tells. */
void sim_listener_enqueue(sim_listener *listener, sim_conn *conn);
void sim_listener_ready(sim_listener *listener);
/* Connections may wait: see to them as soon as the host gets CPU. */
void sim_listener_poke(sim_listener *listener);
void sim_listener_close(sim_listener *listener);
/* Who takes connections of that family, a dw_address_kind: IPv4's may come to "::", too. */
sim_listener *sim_listener_find(dw_host *host, uint16_t port, uint8_t family);

/* link.c */
sim_link *sim_link_between(dw_host *from, dw_host *to);
/* One packet of `len` bytes leaves: when it arrives, or DW_TIME_MAX: never. The one place that
 * decides this; what a link does to its packets belongs here. `whole`: a datagram, which is not cut
 * to fit; its IP header counts in `len`. Draws. */
dw_time sim_link_carry(sim_link *link, size_t len, bool whole);
/* Whether a packet that should arrive now is lost; draws. */
bool sim_link_is_down(sim_link *link);
/* Whether it is cut now; draws nothing. */
static inline bool sim_link_is_cut(const sim_link *link);
/* Some property of it has changed. */
void sim_link_refresh(sim_link *link);
/* Whether the event of a packet, not queued, waits for the link's release. */
bool sim_link_park(sim_link *link, sim_event *event);
void sim_link_hold(sim_link *link);
void sim_link_release(sim_link *link);

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

/* keepalive.c: the option was set, or the connection made; something came; a moment of it; the
 * end's memory goes. */
void sim_keepalive_start(sim_end *end);
void sim_keepalive_heard(sim_end *end);
void sim_keepalive_event(sim_event *event);
void sim_keepalive_end(sim_end *end);

/* nagle.c, when the world has it: whether a write of `len` waits, to be blocked; it has been sent;
 * what waits waits no more; something came from the peer; a moment of it; the end's memory goes. */
bool sim_nagle_holds(sim_end *from, size_t len);
void sim_nagle_sent(sim_end *from, size_t len);
void sim_nagle_push(sim_end *from);
void sim_nagle_heard(sim_end *from);
void sim_nagle_event(sim_event *event);
void sim_nagle_end(sim_end *from);

/* timewait.c: the end has sent its FIN first and seen the other. A machine forgets all. */
void sim_timewait_enter(sim_end *end);
void sim_timewait_forget(dw_host *host);
/* A port for a connection to there, or any port; 0: there is none. NULL `to`: to bind. */
uint16_t sim_port_pick(dw_host *host, const dw_host *to, uint16_t to_port);
/* Whether a connection, live or in TIME_WAIT, keeps the port from being bound. `reuse`: who binds
 * has SO_REUSEADDR. */
bool sim_port_is_busy(dw_host *host, uint16_t port, uint8_t family, bool reuse);

/* ---- Memory: memory.c ---- */

enum {
    SIZE_CLASSES = 12,
    BLOCK_CLASSES = 64 + SIZE_CLASSES,
    CLASS_FIRST = 64, /* class i holds CLASS_FIRST << i bytes */
    CLASS_NONE = 255, /* none of them does */
    SIM_LINE = 64     /* of a cache */
};

typedef struct sim_piece {
    struct sim_piece *next;
} sim_piece;

typedef struct sim_memory {
    sim_block *free_blocks[BLOCK_CLASSES];
    sim_piece *free_pieces[SIZE_CLASSES];
    sim_conn *free_conns;
    sim_aside *free_asides;
    sim_socket *free_sockets;
    struct sim_slab *slabs, *current;
    char *bump, *bump_end;
    sim_block *dead_transports;
} sim_memory;

/* Memory of one size class, used again for others of it: what segments and datagrams lie in. */
void *sim_piece_take(dw_world *world, size_t size, uint8_t *size_class);
static inline void sim_piece_give(dw_world *world, void *piece, uint8_t size_class);
sim_segment *sim_segment_new_any(dw_world *world, size_t len);
static inline sim_segment *sim_segment_new(dw_world *world, size_t len);
static inline void sim_segment_free(dw_world *world, sim_segment *segment);
/* At a multiple of `align`, a power of two. */
void *sim_world_alloc_aligned(dw_world *world, size_t size, size_t align);
void *sim_world_alloc(dw_world *world, size_t size);
void sim_memory_init_host(dw_host *host);
/* Takes back all that the host has. */
void sim_memory_drop(dw_host *host);
/* The oldest block that the host has, and how many there are. */
size_t sim_memory_leaks(const dw_host *host, size_t *bytes, const char **where, size_t *size);
void sim_memory_free(dw_world *world);
/* After this nothing taken from the world's memory is there any more. */
void sim_memory_reset(dw_world *world);

/* ---- Hosts: host.c ---- */

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
    sim_listener *listeners;
    sim_socket *sockets;      /* of datagrams, all */
    struct sim_ports *ports;  /* UDP; NULL: none was ever open */
    struct sim_group *groups; /* multicast groups it is in */
    sim_name **names;         /* of UNIX sockets: a table; NULL: there were none */
    sim_link *links;
    sim_end *ends; /* of connections, all */
    sim_block *blocks_head, *blocks_tail;
    size_t block_count, block_bytes;
    uint64_t connections, allocs, randoms, name_hash;
    struct sim_lookup *lookups;
    uint64_t name_delays, name_faults; /* draws */
    struct sim_pipe *pipes;            /* process.h */
    dw_script *scripts, *zombies;
    uint64_t spawns, exits, stdins, kills, pipe_cuts, pipe_writes;
    pid_t pids;
    uint64_t lives; /* how often it has booted */
    uint32_t index; /* from 1; its address */
    uint16_t next_port;
    bool busy;      /* inside one of its callbacks */
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
/* thread.c: the world's thread, and calls that must come from it. */
void sim_world_own_thread(dw_world *world);
void sim_wake_from_thread(dw_reactor *reactor);
void sim_violation(dw_reactor *reactor, const char *oracle, const char *message);
void sim_log(dw_reactor *reactor, const char *line);

/* From now on the observer is told of the bytes of streams, too: there is a timeline, or a
 * promise about them. */
void sim_host_observe_bytes(dw_host *host);
void sim_host_turn(dw_host *host);
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
/* Before and after the host's program runs. */
void sim_host_enter(dw_host *host);
void sim_host_leave(dw_host *host);
/* Ends the program at the end of the run; reports what it leaves behind. */
void sim_host_end(dw_host *host, bool check_leaks);
dw_host *sim_host_by_address(dw_world *world, dw_host *from, const dw_address *address);
dw_host *sim_host_by_name(dw_world *world, const char *name);

/* ---- The world: world.c ---- */

struct dw_world {
    dw_time now;
    uint64_t sequence;
    uint64_t hash;
    uint64_t events;
    sim_queue queue;
    sim_choices choices;
    sim_memory memory;
    dw_host *hosts, *hosts_tail;
    dw_host **host_table; /* by index */
    size_t host_count, host_room;
    dw_host **names; /* a table of name_room places, a power of two */
    size_t name_room;
    sim_record *records;          /* names that the scenario has set */
    struct sim_program *programs; /* those that were added last come first */
    const dw_scenario *scenario;
    const sim_run_options *options;
    sim_outcome *outcome;
    sim_trace *trace;  /* NULL: not kept */
    uint8_t *scratch;  /* joined segments for recv */
    sim_segment *lent; /* whose bytes the running callback reads */
    sim_datagram *lent_datagram;
    struct sim_flow **flows; /* of datagrams: a table */
    size_t flow_room, flow_count;
    dw_time latency_default;
    const struct sim_weather *weather; /* NULL: calm */
    struct sim_weather_run *weather_run;
    uint64_t weather_draws;
    dw_rule *rules, *rules_last;
    dw_time keepalive_idle, keepalive_interval;
    unsigned keepalive_probes;
    struct sim_keepalive *free_keepalives;
    struct sim_nagle *free_nagles;
    bool nagle;
    struct sim_timewait *free_timewaits;
    size_t send_buffer, receive_buffer, datagram_buffer;
    uint64_t order_draws, stuck, sockets_opened /* and names bound */;
    uint32_t stuck_max;
    uint64_t events_max;
    const char *last_call; /* where the delayed call that ran last was armed */
    dw_host *turn_host;    /* whose program ran last, at this instant */
    sim_end *turn_end;     /* for what; NULL: for something else than a stream */
    size_t memory_max, unsent_max;
    sim_watched *watches, *watches_tail; /* oracle.h */
    size_t watch_count;
    sim_watched *payer, **payers; /* whose callback runs; those with a limit, by number */
    size_t payer_count, payer_room;
    struct sim_attempts *attempts;
    struct sim_duplicate *duplicates, *duplicate; /* all; whose answers are being heard */
    uint64_t scenario_hash;
    const void *thread; /* whose run it is; see thread.c */
    bool failed;
    bool trying; /* the scenario is over, promises are tried: nothing that happens is its */
};

/* When `delay` from `at` is; DW_TIME_MAX, which never comes, when that is too far. */
static inline dw_time time_add(dw_time at, dw_time delay) {
    return delay < DW_TIME_MAX - at ? at + delay : DW_TIME_MAX;
}

static inline void sim_piece_give(dw_world *world, void *piece, uint8_t size_class) {
    sim_piece *given = piece;
    if (size_class != CLASS_NONE) {
        given->next = world->memory.free_pieces[size_class];
        world->memory.free_pieces[size_class] = given;
    }
}

/* Most segments are small, and one of the second class is free. */
static inline sim_segment *sim_segment_new(dw_world *world, size_t len) {
    sim_piece *piece = world->memory.free_pieces[1];
    if (len > 2 * CLASS_FIRST - sizeof(sim_segment) || len == 0 || piece == NULL) {
        return sim_segment_new_any(world, len);
    }
    world->memory.free_pieces[1] = piece->next;
    sim_segment *segment = (sim_segment *)(void *)piece;
    *segment = (sim_segment){.len = (uint32_t)len, .size_class = 1};
    return segment;
}

static inline void sim_segment_free(dw_world *world, sim_segment *segment) {
    sim_piece_give(world, segment, segment->size_class);
}

/* Puts an event in the queue at `at`, after all that is there for that time. */
void sim_world_schedule(dw_world *world, sim_event *event, dw_time at);
void sim_world_reset(dw_world *world);
/* A finding; the first one counts. */
void sim_world_finding(dw_world *world, const char *oracle, const char *where, const char *format,
                       ...) DW_PRINTF(4, 5);
/* Whether the scenario does not want to hear of it. */
bool sim_world_is_off(const dw_world *world, const char *oracle);
/* Something happened: goes into the hash. */
static inline void world_mark(dw_world *world, uint64_t what) {
    uint64_t hash = (world->hash ^ what) * UINT64_C(0x9fb21c651e98df25);
    world->hash = (hash ^ hash >> 32) + 1;
}
/* A hash of bytes, the same on every machine. */
uint64_t sim_hash_bytes(const void *bytes, size_t len);

static inline dw_world *end_world(const sim_end *end) {
    return end->link->from->world;
}

static inline bool sim_link_is_cut(const sim_link *link) {
    return link->down_until > link->from->world->now;
}

static inline bool choice_active(const dw_world *world, sim_kind kind) {
    return (world->choices.active & (1u << kind)) != 0;
}

/* The file's name of a "dir/file.c:42": findings are the same wherever they were built. */
static inline const char *sim_base_name(const char *where) {
    const char *slash = strrchr(where, '/');
    return slash != NULL ? slash + 1 : where;
}

/* ---- Oracles, where they touch others: oracle.h has the rest ---- */

/* Whose program runs on this thread: what libc calls are judged by. */
extern _Thread_local dw_host *sim_inside;
extern void (*sim_judge_call)(dw_host *host, const char *name, const char *instead);
void sim_call_judged(dw_host *host, const char *name, const char *instead);
/* A block that a payer answers for, by its number, was taken, or given back. */
void sim_watch_pays(dw_world *world, uint32_t payer, size_t size);
void sim_watch_paid_back(dw_world *world, uint32_t payer, size_t size);

/* ---- Trace: trace.c ---- */

sim_trace *sim_trace_new(void);
void sim_trace_free(sim_trace *trace);
void sim_trace_clear(sim_trace *trace);
/* A line at the world's present time: who it is about, and what happened. `mark`: '!' deviation or
 * finding, ' ' otherwise. Only when world->trace is there. */
void sim_trace_add(dw_world *world, char mark, const char *who, const char *format, ...)
    DW_PRINTF(4, 5);
/* Bytes as a C string in quotes, at most a few dozen of them. Returns `out`. */
const char *sim_trace_bytes(char *out, size_t size, const uint8_t *data, size_t len);
/* The observer of every host's reactor. */
void sim_trace_observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                       const void *data, size_t len);

#endif
