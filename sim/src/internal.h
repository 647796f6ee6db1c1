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
#include "run.h"

#include <errno.h>
#include <string.h>

typedef struct sim_link sim_link;
typedef struct sim_end sim_end;
typedef struct sim_conn sim_conn;
typedef struct sim_listener sim_listener;
typedef struct sim_segment sim_segment;
typedef struct sim_block sim_block;

/* ---- Events: queue.c ---- */

typedef enum sim_event_type {
    EV_ARRIVAL,  /* the first packet in flight to a sim_end */
    EV_READY,    /* a sim_end has something to report to its program */
    EV_CONTROL,  /* a reset or a window update arrives */
    EV_LISTENER, /* a sim_listener has connections to accept */
    EV_TURN,     /* a host's reactor has something due */
    EV_LOOKUP,   /* a name is answered */
    EV_AFTER,    /* the scenario's own timer */
} sim_event_type;

/* Embedded in what it is about; at most once in the queue. */
typedef struct sim_event {
    dw_time at;
    uint64_t sequence;
    uint32_t place; /* in the heap or the batch, from 1; 0: not queued */
    uint8_t type;
    bool in_batch;
} sim_event;

typedef struct sim_queue_key {
    dw_time at;
    uint64_t sequence;
    sim_event *event;
} sim_queue_key;

/* A 4-ary heap, and before it the batch: all events of the present instant, by sequence. */
typedef struct sim_queue {
    sim_queue_key *heap;
    size_t count, room;
    sim_event **batch;
    size_t batch_head, batch_count, batch_room;
    dw_time batch_at;
} sim_queue;

/* Queues an event that is not queued, at event->at with event->sequence. */
void sim_queue_add(sim_queue *queue, sim_event *event);
void sim_queue_remove(sim_queue *queue, sim_event *event);
/* When the next event is due; DW_TIME_MAX without one. */
dw_time sim_queue_next_at(const sim_queue *queue);
/* Moves all events of the next instant into the batch, if it is empty; returns how many are in it.
 */
size_t sim_queue_fill(sim_queue *queue);
/* Takes the n-th of the batch, from 0, by sequence. */
sim_event *sim_queue_take(sim_queue *queue, size_t n);
void sim_queue_clear(sim_queue *queue);
void sim_queue_free(sim_queue *queue);

/* ---- Choices: choice.c ---- */

/* Counters of the user's own choices: per host and name. */
typedef struct sim_counter {
    uint64_t who, what, n; /* hashes, and how many draws there were */
} sim_counter;

typedef struct sim_choices {
    sim_source source;
    uint32_t active;               /* bit per sim_kind that is drawn at all in this run */
    uint32_t offered;              /* bit per sim_kind to record offers of */
    uint32_t rate[SIM_KIND_COUNT]; /* seed: out of 2^32 */
    uint64_t *table;               /* list: open addressing, key then value */
    size_t table_room;             /* a power of two, in pairs */
    sim_list taken;
    sim_counter *counters;
    size_t counter_count, counter_room;
    const sim_run_options *options;
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
typedef enum sim_who_kind { WHO_FLOW, WHO_LINK, WHO_HOST, WHO_WORLD, WHO_SCENARIO } sim_who_kind;
typedef struct sim_who {
    sim_who_kind kind;
    const void *object; /* the sim_end that sends, the sim_link, the dw_host, NULL */
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
    uint64_t latency_draws, partition_draws;
};

typedef enum sim_packet {
    PACKET_SYN,
    PACKET_SYN_ACK,
    PACKET_ACK,
    PACKET_DATA,
    PACKET_FIN
} sim_packet;

struct sim_segment {
    sim_segment *next;
    dw_time at;
    uint64_t sequence;
    uint32_t len, offset; /* offset: bytes of it already read */
    uint8_t packet;
    uint8_t size_class;
    uint8_t data[];
};

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
    E_UPDATE = 1 << 15    /* a window update is on its way to this end */
};

/* One end of a connection. The flow TO it: packets in flight, then what has arrived unread. The
 * sender's bytes that find the window shut wait at the sender. */
struct sim_end {
    sim_event arrival;
    sim_event ready;
    sim_segment *flight_head, *flight_tail;
    sim_segment *queue_head, *queue_tail;
    sim_segment *blocked_head, *blocked_tail; /* from this end, not sent yet */
    dw_time last_arrival;
    uint64_t flow_hash; /* of the flow FROM this end; 0: not computed yet */
    dw_io *io;
    dw_host *host;
    sim_link *link;       /* to the peer */
    uint32_t unread;      /* bytes arrived, not read */
    uint32_t outstanding; /* bytes in flight to this end, or unread */
    uint32_t blocked;
    uint32_t error;                               /* errno of a dead one */
    uint64_t cuts, joins, resets, closes, writes; /* draws about the flow TO / writes FROM here */
    uint32_t flags;
    uint16_t port;
    uint8_t side; /* 0: the client */
    uint8_t tries;
};

struct sim_conn {
    sim_end end[2];
    sim_conn *next, *previous; /* of all */
    sim_conn *next_accept;
    sim_listener *listener; /* while in its queue */
    uint64_t ordinal;       /* the client host's n-th connection */
    uint64_t refuses, syn_drops;
    uint32_t pins; /* control packets under way, callbacks on the stack */
};

struct sim_listener {
    sim_event ready; /* first: its type tells a listener from an end */
    sim_listener *next;
    dw_host *host;
    dw_io *io;
    sim_conn *accept_head, *accept_tail;
    unsigned accept_count, backlog;
    uint16_t port;
    bool listening;
};

static inline sim_conn *conn_of(sim_end *end) {
    return DW_CONTAINER_OF(end - end->side, sim_conn, end[0]);
}

static inline sim_end *peer_of(sim_end *end) {
    return &conn_of(end)->end[1 - end->side];
}

/* stream.c: what TCP does between two ends. */
sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port);
void sim_stream_arrival(sim_end *end);
void sim_stream_ready(sim_end *end);
void sim_stream_control_event(sim_event *event);
ssize_t sim_stream_recv(sim_end *end, const uint8_t **data);
ssize_t sim_stream_send(sim_end *end, const struct iovec *pieces, int count);
void sim_stream_fin(sim_end *end);
void sim_stream_close(sim_end *end, bool reset);
/* The machine is gone without a word. */
void sim_stream_vanish(sim_end *end);
/* Frees the connection if both programs are done with it and nothing is under way. */
void sim_stream_release(sim_conn *conn);
/* Something may be ready for the program: see to it soon. */
void sim_stream_poke(sim_end *end);
void sim_stream_format(char *out, size_t size, const sim_end *from);
uint64_t sim_stream_hash(sim_end *from);
void sim_stream_wake(dw_host *host);

/* socket.c: the slots of the wire that deal with sockets. */
void sim_listener_enqueue(sim_listener *listener, sim_conn *conn);
void sim_listener_ready(sim_listener *listener);
/* Connections may wait: see to them as soon as the host gets CPU. */
void sim_listener_poke(sim_listener *listener);
void sim_listener_close(sim_listener *listener);
sim_listener *sim_listener_find(dw_host *host, uint16_t port);

/* link.c */
sim_link *sim_link_between(dw_host *from, dw_host *to);
/* How long a packet takes that leaves now; draws. */
dw_time sim_link_delay(sim_link *link);
/* Whether a packet that should arrive now is lost; draws. */
bool sim_link_is_down(sim_link *link);

/* ---- Memory: memory.c ---- */

enum { SIZE_CLASSES = 12 };

typedef struct sim_memory {
    sim_block *free_blocks[SIZE_CLASSES];
    sim_segment *free_segments[SIZE_CLASSES];
    sim_conn *free_conns;
    struct sim_slab *slabs, *current;
    char *bump, *bump_end;
    sim_block *dead_transports;
} sim_memory;

sim_segment *sim_segment_new(dw_world *world, size_t len);
void sim_segment_free(dw_world *world, sim_segment *segment);
sim_conn *sim_conn_new(dw_world *world);
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
    dw_time stalled_until, clock_offset;
    sim_listener *listeners;
    sim_link *links;
    sim_block *blocks_head, *blocks_tail;
    size_t block_count, block_bytes;
    uint64_t connections, allocs, randoms, name_hash;
    struct sim_lookup *lookups;
    uint32_t index; /* from 1; its address */
    uint16_t next_port;
    bool busy;      /* inside one of its callbacks */
    uint8_t ending; /* how it ends when that has returned */
};

static inline dw_host *host_of(dw_reactor *reactor) {
    return (dw_host *)reactor;
}

extern const dw_wire sim_wire;

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

void sim_host_turn(dw_host *host);
/* Whether the turn event that was just taken has work; if not, it is queued again for later. */
bool sim_host_turn_due(dw_host *host);
void sim_host_lookup_event(sim_event *event);
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
    sim_conn *conns;
    const dw_scenario *scenario;
    const sim_run_options *options;
    sim_outcome *outcome;
    sim_trace *trace;  /* NULL: not kept */
    uint8_t *scratch;  /* joined segments for recv */
    sim_segment *lent; /* whose bytes the running callback reads */
    dw_time latency_default;
    size_t send_buffer, receive_buffer;
    uint64_t order_draws, stuck;
    uint32_t stuck_max;
    uint64_t events_max;
    const char *last_call; /* where the delayed call that ran last was armed */
    uint64_t scenario_hash;
    bool failed;
};

/* When `delay` from `at` is; DW_TIME_MAX, which never comes, when that is too far. */
static inline dw_time time_add(dw_time at, dw_time delay) {
    return delay < DW_TIME_MAX - at ? at + delay : DW_TIME_MAX;
}

/* Puts an event in the queue at `at`, after all that is there for that time. */
void sim_world_schedule(dw_world *world, sim_event *event, dw_time at);
void sim_world_reset(dw_world *world);
/* A finding; the first one counts. */
void sim_world_finding(dw_world *world, const char *oracle, const char *where, const char *format,
                       ...) DW_PRINTF(4, 5);
/* Something happened: goes into the hash. */
static inline void world_mark(dw_world *world, uint64_t what) {
    uint64_t hash = (world->hash ^ what) * UINT64_C(0x9fb21c651e98df25);
    world->hash = (hash ^ hash >> 32) + 1;
}
void sim_world_mark_bytes(dw_world *world, const uint8_t *data, size_t len);

static inline bool choice_active(const dw_world *world, sim_kind kind) {
    return (world->choices.active & (1u << kind)) != 0;
}

/* The file's name of a "dir/file.c:42": findings are the same wherever they were built. */
static inline const char *sim_base_name(const char *where) {
    const char *slash = strrchr(where, '/');
    return slash != NULL ? slash + 1 : where;
}

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
