/* SPDX-License-Identifier: MIT */
/*
 * What the files of this test share: a scenario as read from its page, and the actors that play it,
 * one for each host. An actor has a reactor and knows nothing of the wire below; what only the
 * world outside a program can do (cutting its link, its power) is behind `stage`, of which there
 * are two: a dry world and network namespaces.
 */
#ifndef DRYWIRE_TESTS_TIMELINES_PLAY_H
#define DRYWIRE_TESTS_TIMELINES_PLAY_H

#include <drywire/sim.h>

#include <stdio.h>

enum {
    ACTORS_MAX = 4,
    TALKS_MAX = 64, /* connections of one actor, over the whole play */
    FAILURES_MAX = 64,
    STEPS_MAX = 64,
    ARGUMENTS_MAX = 4,
    TEXT_MAX = 128, /* of a quoted string, a name */
    PAGE_MAX = 256 * 1024,
    SUMMARY_MAX = 16 * 1024,
    EXIT_SKIPPED = 77
};

typedef struct play play;
typedef struct actor actor;
typedef struct talk talk;

/* ---- Steps: language.c ---- */

/* When a step is taken. All but AT are things that happen to the actor that takes it. */
typedef enum moment {
    MOMENT_AT,
    MOMENT_START,
    MOMENT_CONNECT,
    MOMENT_DATA,
    MOMENT_END,
    MOMENT_LOST,
    MOMENT_FAILED,
    MOMENT_DATAGRAM,
    MOMENT_OUTPUT,
    MOMENT_EXIT,
} moment;

typedef struct argument {
    char text[TEXT_MAX]; /* %s, with its length; %a: the host as written */
    size_t len;
    uint64_t number; /* %n */
    dw_time time;    /* %t */
    unsigned host;   /* %h, %a: its place among the actors */
    uint16_t port;   /* %a */
} argument;

/* What somebody can do, in words: `pattern` has literal words, %n a number, %t a duration, %s a
 * "quoted text", %h a host, %a host:port. */
typedef struct verb {
    const char *pattern;
    bool talks; /* done on a connection: the event's, or all that the actor has */
    void (*perform)(play *p, actor *who, talk *t, const argument *args);
} verb;

extern const verb actor_verbs[], world_verbs[]; /* ended by a NULL pattern */

typedef struct step {
    moment when;
    dw_time at;
    actor *who; /* NULL: the world */
    const verb *verb;
    argument args[ARGUMENTS_MAX];
    play *play;
    bool before; /* no `at`: how things are when the play begins */
    bool done;   /* live */
    /* Connections that each actor had open when the dry wire took it: what the kernel waits for. */
    unsigned open_then[ACTORS_MAX];
} step;

/* ---- Actors: actor.c, verbs.c; the world: verbs_world.c ---- */

/* One connection. */
struct talk {
    dw_protocol protocol;
    actor *who;
    size_t received;
    bool open, lost;
    dw_reason reason;
    unsigned life;
};

struct actor {
    play *play;
    char name[TEXT_MAX];
    char address[DW_ADDRESS_TEXT_MAX];  /* 10.0.0.1 for the first, as hosts of a world have */
    char address6[DW_ADDRESS_TEXT_MAX]; /* fd00::a00:1 */
    dw_reactor *reactor;                /* NULL: it is down */
    unsigned index, life;               /* both from 1 */
    dw_client_factory factory;
    talk talks[TALKS_MAX];
    unsigned talk_count;
    dw_reason failures[FAILURES_MAX];
    unsigned failure_count;
    dw_port *port;
    dw_datagram_protocol ear;
    unsigned heard, refused;
    size_t heard_bytes;
    bool uses_datagrams;
    dw_process_protocol parent;
    size_t child_output;
    bool uses_child, child_ended;
    int child_status, child_signal;
    dw_delayed_call alarm;
    bool aware;  /* of half closes: a step waits for the end of a stream */
    bool ending; /* killed or without power, perhaps inside one of its callbacks */
    /* Live. */
    int ns;
    bool crashed;
    dw_time stalled_until;
    void *host; /* dry: its dw_host */
};

/* What a rule of the scenario does; the functions behind them are in dry.c. */
typedef struct rule {
    dw_verdict verdict;
    actor *to;
    uint64_t number;     /* of datagrams: the how-manieth */
    char text[TEXT_MAX]; /* of streams: what the message is; "" for any */
} rule;

typedef enum clock_change { CLOCK_OFFSET, CLOCK_DRIFT, CLOCK_STEP } clock_change;

typedef struct stage {
    void (*kill)(actor *who);
    void (*crash)(actor *who);
    void (*start)(actor *who);
    void (*stall)(actor *who, dw_time duration);
    void (*cut)(play *p, actor *from, actor *to); /* one way */
    void (*hold)(play *p, actor *from, actor *to);
    void (*release)(play *p, actor *a, actor *b);
    void (*bandwidth)(play *p, actor *a, actor *b, uint64_t bytes_per_second, size_t queue);
    void (*jitter)(play *p, actor *a, actor *b, dw_time jitter);
    void (*loss)(play *p, actor *a, actor *b, uint32_t per_million);
    void (*rule)(play *p, const rule *r);
    void (*name)(play *p, const char *name, actor *first, actor *then);
    void (*clock)(actor *who, clock_change change, int64_t amount);
    void (*repair)(play *p, actor *a, actor *b);
    void (*latency)(play *p, actor *a, actor *b, dw_time latency);
    void (*mtu)(play *p, actor *a, actor *b, size_t mtu);
    void (*buffers)(play *p, size_t send, size_t receive);
    void (*datagram_buffer)(play *p, size_t bytes);
    void (*keep_alive)(play *p, dw_time idle, dw_time interval, unsigned probes);
    void (*ports)(actor *who, uint16_t first, uint16_t last);
    void (*descriptors)(actor *who, size_t sockets);
    void (*weather)(play *p, const char *name);
    void (*nagle)(play *p);
} stage;

struct play {
    const stage *stage;
    void *world; /* dry: the dw_world */
    actor actors[ACTORS_MAX];
    unsigned actor_count;
    step steps[STEPS_MAX];
    unsigned step_count;
    dw_time until;
};

/* Reads a scenario. False: `error` says "line N: what is wrong". */
bool play_read(play *p, const char *text, size_t len, char *error, size_t size);

/* Forgets what was played; steps and hosts stay. */
void play_begin(play *p, const stage *stage);

/* The actor's program begins on `reactor`: its steps for MOMENT_START follow in `actor_started`. */
void actor_enter(actor *who, dw_reactor *reactor);
/* Its reactor is gone, without a callback. */
void actor_gone(actor *who);
/* Takes all steps of that moment; `t` may be NULL. */
void actor_take(actor *who, moment when, talk *t);
void step_take(const step *s, talk *t);
unsigned actor_open_talks(const actor *who);

/* What was called back on each side in all, as text: what both wires must agree on. */
void play_summary(const play *p, char *out, size_t size);

dw_protocol *actor_build(dw_factory *factory, const dw_address *peer);
void actor_failed(dw_client_factory *factory, dw_connector *connector, const dw_reason *reason);
extern const dw_datagram_protocol_class actor_ear;
extern const dw_process_protocol_class actor_parent;

/* ---- Pages: document.c ---- */

typedef struct block {
    size_t start, len; /* in the page, without the fences */
} block;

typedef struct document {
    char text[PAGE_MAX];
    size_t len;
    block scenario, deviations, timeline;
    char compared[TEXT_MAX * 2]; /* what follows "compared: " */
} document;

bool document_read(document *d, const char *path, char *error, size_t size);
/* Puts `timeline` in the place of the page's. */
bool document_rewrite(const document *d, const char *path, const char *timeline);

/* ---- Players ---- */

/* dry.c: plays the page in a world; returns its timeline, to be freed, or NULL with `error`. */
char *dry_play(play *p, const document *d, char *error, size_t size);
/* The summary of that play, as it was when the scenario's time was up; until the next one. */
const char *dry_summary(void);
/* Bit per sim_kind that the page's deviations have; 0: it cannot be read, or has none. */
uint64_t dry_kinds(const document *d);

/* live.c: plays it between network namespaces until its summary is `expected`, or for as long as
 * the scenario says; writes the summary to `out`. Returns 0, EXIT_SKIPPED with the reason in `out`,
 * or 1. */
int live_play(play *p, const char *compared, const char *expected, char *out, size_t size);

/* diff.c: what has to change in `old` to become `new`, as diff -u shows it. */
void diff_print(FILE *out, const char *old_name, const char *old, const char *new_name,
                const char *new);

#endif
