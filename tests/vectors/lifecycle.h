/* SPDX-License-Identifier: MIT */
/*
 * One situation recorded from Twisted being played again (vectors/README.md, section 2): two sides
 * whose scripts run inside the library's callbacks, and what each side was told. Each theme's file
 * brings its operations as a table; script.c runs rules, backends run reactors, compare.c judges.
 *
 * A situation is played in a process of its own, which ends afterwards: what a play allocates is
 * given back by that.
 *
 * Invariant: a play never stops the program. What it cannot play it says in `trouble`, and the
 * situation fails with that sentence; what the backend cannot have it says in `missing`, and the
 * situation is skipped.
 */
#ifndef DRYWIRE_TESTS_VECTORS_LIFECYCLE_H
#define DRYWIRE_TESTS_VECTORS_LIFECYCLE_H

#include "player.h" /* bytes, hex_decode */

#include <drywire/backend.h>
#include <drywire/drywire.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    SIDE_SERVER,
    SIDE_CLIENT,
    SIDE_COUNT,
    CALLBACKS_MAX = 100, /* inside one another */
    NAMES_MAX = 64,      /* ports, connectors, timers, ... of one kind and side */
    CONNECTIONS_MAX = 256,
    PRODUCERS_MAX = 8,
    PORTS_MAX = 64,
    PAYLOAD_SHOWN = 320, /* longer ones are given as length and CRC-32 */
};

/* Why the lists may differ though nothing is wrong: bits, counted and printed at the end. */
typedef enum allowance {
    ALLOW_SKIPPED = 1 << 0,  /* the program ignores what Twisted leaves out after an exception */
    ALLOW_ACCIDENT = 1 << 1, /* compared up to an accident of README section 5 */
    ALLOW_STOPS = 1 << 2,    /* more doStop than doStart in the recording */
    ALLOW_CUT = 1 << 3,      /* how much of a stream a reset leaves is not defined */
    ALLOW_CHUNK = 1 << 6,    /* nor how much one reception brings, before a reader stops */
    ALLOW_FLUSH = 1 << 4,    /* what a callback wrote has left when it returns */
    ALLOW_ORDER = 1 << 5,    /* an order that held by accident of timing */
    ALLOW_COUNT = 7,
} allowance;

typedef struct play play;
typedef struct side side;

/* An event as it is kept while adjacent receptions may still join it. */
typedef struct noted {
    json_t *json;
    uint8_t *data; /* of `data` and `childData` */
    size_t len, room;
    bool stream;
} noted;

typedef struct producer producer;
typedef struct conn conn;
typedef struct datagrams datagrams;
typedef struct child child;
typedef struct destination destination;

/* Whose callback runs, for the operations inside it. */
typedef struct context {
    side *s;
    conn *c;      /* NULL: the first one */
    datagrams *u; /* likewise */
    child *x;     /* likewise */
    const uint8_t *payload;
    size_t len;
    const dw_address *sender;
} context;

/* A scripted factory, for ports and connectors alike. `seen` follows base.num_ports, which is how
 * doStart and doStop are noticed; `counted` is what Twisted's factory would count. */
typedef struct factory {
    dw_client_factory client; /* first; its base serves ports */
    side *s;
    const char *name;
    unsigned seen, counted;
    unsigned hide_starts, hide_stops; /* of the next ones, so many are not what Twisted does */
    bool last_hidden, start_raised, stopping;
    json_int_t built; /* calls of build_protocol */
} factory;

struct producer {
    dw_producer base;
    conn *c;
    const char *name;
    const json_t *chunks, *then;
    size_t next;
    bool streaming, paused, ignore_pause;
};

/* One connection, from build_protocol on. */
struct conn {
    dw_protocol base;
    side *s;
    destination *k; /* NULL at a server */
    json_int_t number;
    bool over; /* connection_lost has returned: what follows is what the program remembers */
    bool connected, disconnecting, disconnected;
    dw_address peer, host;
    producer producers[PRODUCERS_MAX];
    size_t producer_count;
    size_t received;
    uint8_t *sent; /* all that was written */
    size_t sent_len, sent_room;
    bool stopped;   /* the script has stopped the reading, for a while or for good */
    bool paused;    /* it is stopped now */
    bool closed;    /* for good */
    size_t settled; /* of that, before the callback that runs */
    size_t dropped; /* from here on an abort or a failure dropped it; SIZE_MAX: nothing */
    json_t *fired;  /* rules with `total` that have run */
};

/* A connector, by its name. */
struct destination {
    const char *name;
    factory *f;
    dw_connector *connector; /* held */
    const char *to;          /* a port's name, or a special target's */
    bool hide_lost, hide_all;
    bool stop_skipped; /* Twisted did not stop the factory for it, and will not start it again */
};

struct datagrams {
    dw_datagram_protocol base;
    side *s;
    const char *name;
    dw_datagram_port *port;
    dw_address address;
    bool hidden;
};

struct child {
    dw_process_protocol base;
    side *s;
    const char *name;
    dw_process *process;
    size_t received[64];
    json_t *fired;
    bool ended;
};

/* A delayed call, a call from a thread, or a trigger with a name. */
typedef struct timer {
    dw_delayed_call call;
    dw_thread_call from_thread;
    dw_trigger trigger;
    context ctx;
    const char *name;
    const json_t *args, *operations;
    void (*run)(struct timer *t);
    bool is_trigger;
    struct thread *thread; /* that makes the call */
    struct timer *next;
} timer;

/* A listening port, or an address that stands for one. */
typedef struct named_port {
    const char *name;
    side *s;
    factory *f;
    dw_port *port; /* NULL: closed */
    dw_address address;
} named_port;

struct side {
    play *p;
    const char *name;
    const json_t *script;
    dw_reactor *reactor;
    noted *events;
    size_t count, room;
    json_t *counts; /* of events, by name */
    factory *factories[NAMES_MAX];
    size_t factory_count;
    conn *conns[CONNECTIONS_MAX];
    size_t conn_count;
    destination *destinations[NAMES_MAX];
    size_t destination_count;
    datagrams *datagrams[NAMES_MAX];
    size_t datagrams_count;
    child *children[NAMES_MAX];
    size_t child_count;
    timer *timers; /* newest first */
    dw_address senders[NAMES_MAX];
    size_t sender_count;
    unsigned operations_deep; /* operations on the stack */
    unsigned callbacks_deep;
    bool raised; /* an exception is on its way */
    bool half_close, dispatch;
    bool begun;        /* the script's start runs, or has run */
    atomic_bool ready; /* it has run: its ports can be found by the other side */
    bool stop_asked;   /* by the script */
    bool returned;     /* reactor.run did */
    bool muted;        /* the play is over */
    size_t accident;   /* events compared; SIZE_MAX: all */
    unsigned allowed;
    atomic_uint activity;           /* grows with all that happens */
    atomic_uint threads;            /* calls from threads that have not come yet */
    char host[DW_ADDRESS_TEXT_MAX]; /* the literal that stands for 127.0.0.1 here */
    dw_trigger start;

    /* The backend's. */
    dw_delayed_call watch;
    pthread_t thread;
    void *machine;
    dw_time busy_until;
    unsigned seen;                   /* activity */
    _Atomic(int64_t) last, patience; /* when it was active, how long it must be quiet */
    atomic_bool done;
};

/* How a backend does what both do. */
typedef struct backend {
    const char *name;
    bool dry;
    /* Plays; all sides with a script get a reactor. */
    void (*run)(play *p);
    void (*busy)(side *s, double seconds);
    /* Makes what a special target stands for ready before the sides begin. Returns false when the
     * backend cannot have it. */
    bool (*prepare)(play *p, const char *target);
} backend;

struct play {
    const backend *b;
    const char *poller; /* of the live wire */
    const json_t *record;
    bool datagram, stream_unix; /* of "backend" */
    double idle, least;         /* settle */
    side sides[SIDE_COUNT];
    pthread_mutex_t lock; /* of ports and what follows */
    named_port ports[PORTS_MAX];
    size_t port_count;
    dw_address refused, blackhole, used, closed;
    char stale[DW_UNIX_PATH_MAX + 1], missing_path[DW_UNIX_PATH_MAX + 1];
    char directory[DW_UNIX_PATH_MAX - 20];
    unsigned paths;

    /* The backend's. */
    void *world;
    unsigned hosts, seen, threads;
    bool leaves_file;
    dw_time started;
    atomic_bool over;

    char trouble[TROUBLE_MAX], missing[TROUBLE_MAX];
};

extern const backend backend_live, backend_dry;

/* lifecycle_shell.c: from now on a shell stands by in the play's world. */
void shell_install(play *p);

/* ---- lifecycle_jobs.c: situations, many at once, each in a process of its own ---- */

typedef enum verdict_kind { OUTCOME_PASSED, OUTCOME_FAILED, OUTCOME_SKIPPED } verdict_kind;

typedef struct situation {
    json_t *record; /* owned */
    const char *id, *file;
    verdict_kind outcome;
    unsigned allowed;
    char *text; /* the difference, or the rule by which it was skipped; malloc'd */
} situation;

/* Plays all and fills in the outcomes. `at_once`: how many at one time. */
void situations_play(situation *all, size_t count, const backend *b, const char *poller,
                     unsigned at_once);

/* ---- lifecycle_script.c: events, rules, operations ---- */

typedef struct operation {
    const char *name;
    void (*perform)(const context *ctx, const json_t *args);
} operation;

/* Ended by an entry without a name. */
extern const operation stream_operations[], producer_operations[], port_operations[],
    connector_operations[], datagram_operations[], process_operations[], clock_operations[],
    reactor_operations[];

void side_trouble(side *s, const char *format, ...) DW_PRINTF(2, 3);
void side_missing(side *s, const char *format, ...) DW_PRINTF(2, 3);
bool play_over(const play *p); /* in trouble, or not for this backend */

/* Records an event, which it takes, and runs the rules on it. Returns false when one of them
 * raised: the exception is then still on its way (side_raised). */
bool side_note(const context *ctx, json_t *event);
/* The same for bytes of a stream: they join the last event if it is of the same channel. */
bool side_note_data(const context *ctx, json_t *event, const uint8_t *data, size_t len);
/* Whether a callback that the library made ends with an exception. `nested` ones go on to the
 * operation that led here and answer false; others are caught. */
bool side_caught(side *s);
/* The same for callbacks from which nothing goes on: timers, spawn's connection_made. */
bool side_swallow(side *s);
void side_raise_from(const context *ctx, const json_t *args, const char *cls);
void side_result(const context *ctx, const json_t *args, int result);
void side_perform(const context *ctx, const json_t *operations);
/* Tells of starts and stops of factories that have happened. */
void side_sync(side *s);
/* From here on the recording shows an accident. */
void side_accident(side *s);
/* The play is over: what comes now is not recorded. */
void side_mute(side *s);
/* The list, of JSON, in the form of the recordings. */
json_t *side_list(side *s);
void payload_set(json_t *event, const uint8_t *data, size_t len);

/* NULL: unknown. */
const operation *script_operation(const char *name);

/* ---- lifecycle_check.c ---- */

void script_check(play *p);
/* Whether an operation of that name, or a target, is somewhere in the value. */
bool script_uses(const json_t *value, const char *key, const char *text);

/* ---- lifecycle_fields.c: NULL and NAN as `otherwise` mean that there must be one ---- */

const char *op_text(const context *ctx, const json_t *args, const char *key, const char *otherwise);
double op_number(const context *ctx, const json_t *args, const char *key, double otherwise);
bool op_flag(const json_t *args, const char *key);
dw_time op_time(const context *ctx, const json_t *args);
bytes op_bytes(const context *ctx, const json_t *args);
/* Pieces of a writeSequence, their number through *count; freed by op_pieces_free. */
bytes *op_pieces(const context *ctx, const json_t *args, size_t *count);
void op_pieces_free(bytes *pieces, size_t count);

/* ---- lifecycle_stream.c, _factory.c, _producer.c, _target.c ---- */

conn *context_conn(const context *ctx, const json_t *args);
conn *conn_new(factory *f, destination *k);
void conn_wrote(conn *c, const void *data, size_t len);
/* What the callback that runs has written is dropped. */
void conn_drops(conn *c);
context conn_context(conn *c);
factory *side_factory(side *s, const char *name);
/* A start and a stop between two looks, of a factory that others use too: the start is noted. */
void factory_missed_start(factory *f);
destination *side_destination(side *s, const char *name);
/* The connector that runs: library's object -> ours. */
destination *destination_of(side *s, const dw_connector *connector);
void producer_produce(producer *q);

named_port *play_port(play *p, const char *name);
named_port *play_port_add(play *p, side *s, const char *name);
/* The name of the port that has this address, or NULL. */
const char *play_port_named(play *p, const dw_address *address);
void play_fresh_path(play *p, char path[DW_UNIX_PATH_MAX + 1]);
/* Where `to` is: false with trouble or missing. */
bool target_find(const context *ctx, const char *to, dw_address *out, char *host, size_t size);
bool targets_prepare(play *p);

/* ---- lifecycle_datagram.c ---- */

bool datagram_stop(const context *ctx, const char *name, void (*done)(void *user), void *user,
                   int *result);

/* ---- lifecycle_clock.c, _reactor.c ---- */

/* Between the two a broken contract is not trouble; the second tells whether there was one. */
void contract_expect(void);
bool contract_broken(void);

timer *timer_new(const context *ctx, const json_t *args, const char *name);
/* Whether a timer of the script is pending. */
bool side_waits(const side *s);
/* What the script asks for when the reactor runs, and before. */
void side_prepare(side *s);
void side_returned(side *s);
/* Puts a table with our own `violation` in place of the reactor's: a broken contract is recorded
 * as the AssertionError that it is in Twisted. */
void side_watch_contracts(side *s);
const char *error_class(const char *op, int error);
const char *reason_class(const dw_reason *reason);

/* ---- lifecycle_compare.c, _partial.c ---- */

typedef struct judgement {
    bool passed;
    unsigned allowed;
    char *text; /* of the difference; malloc'd, or NULL */
} judgement;

judgement play_judge(play *p);
/* One side that differed between Twisted's own runs. False, with the difference in `why`. */
bool partial_holds(const json_t *partial, const side *s, const json_t *got, unsigned *allowed,
                   char *why, size_t size);
char *event_text(const json_t *event);
/* One line of the list, malloc'd. */
char *list_text(const json_t *list);

#endif
