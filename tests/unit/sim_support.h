/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the dry wire share: a scenario played from a calm, seeded or listed source,
 * with its outcome, timeline and deviations kept; and a `side`, a protocol with its factory that
 * notes when it was told what. Sides are static, so nothing of theirs counts as left over.
 *
 * A test is written as CALM_TEST(name) { the scenario } or LIST_TEST(name, deviations) { ... }; its
 * expectations stand inside the scenario, where the clock can be read.
 */
#ifndef DRYWIRE_TESTS_SIM_SUPPORT_H
#define DRYWIRE_TESTS_SIM_SUPPORT_H

#include "../suite.h"

#include <check.h>
#include <drywire/sim.h>
#include <run.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Playing ---- */

typedef struct played {
    sim_outcome outcome;
    char *timeline; /* all lines, each with its hash; NULL when not traced */
    sim_list taken;
} played;

static inline sim_source calm(void) {
    return (sim_source){.kind = SIM_CALM};
}

static inline sim_source seeded(uint64_t seed) {
    return (sim_source){.kind = SIM_SEED, .seed = seed};
}

static inline sim_source listed(const sim_list *list) {
    return (sim_source){.kind = SIM_LIST, .list = list};
}

static inline char *timeline_text(const sim_trace *trace) {
    size_t count = sim_trace_count(trace), size = 1, len = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(sim_trace_line(trace, i, false)) + 20;
    }
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *line = sim_trace_line(trace, i, false);
        len += (size_t)snprintf(text + len, size - len, "%016llx %s\n",
                                (unsigned long long)sim_trace_hash(trace, i), line);
    }
    return text;
}

static inline void play_scenario(sim_runner *runner, const dw_scenario *scenario, sim_source source,
                                 bool traced, played *out) {
    sim_run_options options = {.trace = traced};
    *out = (played){0};
    sim_run(runner, scenario, &source, &options, &out->outcome);
    ck_assert(sim_list_copy(&out->taken, sim_runner_taken(runner)));
    if (traced) {
        out->timeline = timeline_text(sim_runner_trace(runner));
    }
}

/* In a workshop of its own. */
static inline void play(void (*run)(dw_world *world), sim_source source, bool traced, played *out) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "test", .run = run};
    ck_assert_ptr_nonnull(runner);
    play_scenario(runner, &scenario, source, traced, out);
    sim_runner_free(runner);
}

static inline void played_free(played *p) {
    free(p->timeline);
    sim_list_free(&p->taken);
    *p = (played){0};
}

static inline void expect_good(const played *p) {
    if (p->outcome.failed) {
        fprintf(stderr, "%s", p->timeline != NULL ? p->timeline : "");
        ck_abort_msg("%s at %s: %s", p->outcome.oracle, p->outcome.where, p->outcome.message);
    }
}

static inline void deviate(sim_list *list, const char *who, const char *what, uint64_t nth,
                           uint64_t value) {
    sim_deviation d = {.nth = nth, .value = value};
    snprintf(d.who, sizeof(d.who), "%s", who);
    snprintf(d.what, sizeof(d.what), "%s", what);
    ck_assert(sim_list_add(list, &d));
}

/* Plays it once for each allocation of a host, which fails, until there are no more. Returns how
 * many there are; each must leave nothing, which the oracle of leaks looks after. */
static inline unsigned fail_each_allocation(void (*life)(dw_world *w), const char *who) {
    unsigned nth = 0;
    for (bool taken = true; taken;) {
        sim_list list = {0};
        played p;
        deviate(&list, who, "alloc", ++nth, 1);
        play(life, listed(&list), true, &p);
        expect_good(&p);
        taken = p.taken.count == 1;
        played_free(&p);
        sim_list_free(&list);
        ck_assert_uint_lt(nth, 100);
    }
    return nth - 1;
}

static inline bool same_deviation(const sim_deviation *a, const sim_deviation *b) {
    return strcmp(a->who, b->who) == 0 && strcmp(a->what, b->what) == 0 && a->nth == b->nth &&
           a->value == b->value;
}

/* Plays a list; every deviation in it must have been taken, in whatever order, and no other. */
static inline void expect_list(void (*run)(dw_world *world), const sim_deviation *items,
                               size_t count) {
    sim_list list = {0};
    played p;
    for (size_t i = 0; i < count; i++) {
        ck_assert(sim_list_add(&list, &items[i]));
    }
    play(run, listed(&list), true, &p);
    expect_good(&p);
    ck_assert_uint_eq(p.taken.count, count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < count; j++) {
            found = found || same_deviation(&items[i], &p.taken.items[j]);
        }
        ck_assert_msg(found, "%s %s was not taken\n%s", items[i].who, items[i].what, p.timeline);
    }
    played_free(&p);
    sim_list_free(&list);
}

static inline void expect_calm(void (*run)(dw_world *world)) {
    played p;
    play(run, calm(), true, &p);
    expect_good(&p);
    ck_assert_uint_eq(p.taken.count, 0);
    played_free(&p);
}

#define CALM_TEST(test)                       \
    static void test##_scenario(dw_world *w); \
    START_TEST(test) {                        \
        expect_calm(test##_scenario);         \
    }                                         \
    END_TEST                                  \
    static void test##_scenario(dw_world *w)

/* LIST_TEST(name, {"who", "what", nth, value}, ...) */
#define LIST_TEST(test, ...)                                                \
    static void test##_scenario(dw_world *w);                               \
    START_TEST(test) {                                                      \
        static const sim_deviation list[] = {__VA_ARGS__};                  \
        expect_list(test##_scenario, list, sizeof(list) / sizeof(list[0])); \
    }                                                                       \
    END_TEST                                                                \
    static void test##_scenario(dw_world *w)

/* ---- A side: one connection at a time, client or server ---- */

enum { SIDE_KEEP = 200000 };

typedef struct side side;
struct side {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_reactor *reactor;
    dw_port *port;
    bool aware; /* of half closes; set before the connection is built */
    bool echo;
    void (*on_made)(side *s);
    void (*on_data)(side *s, const uint8_t *data, size_t len);
    void (*on_lost)(side *s);
    void (*on_failed)(side *s);
    /* What happened, how often, and when the last one did. */
    unsigned built, made, data_calls, lost, failed, read_lost, write_lost;
    dw_time made_at, data_at, lost_at, failed_at, read_lost_at;
    dw_error reason;
    int reason_errno;
    size_t received, largest; /* bytes in all, and in one call */
    uint8_t bytes[SIDE_KEEP];
};

static inline side *side_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, side, protocol);
}

static inline void side_made(dw_protocol *p) {
    side *s = side_of(p);
    s->made++;
    s->made_at = dw_reactor_now(s->reactor);
    if (s->on_made != NULL) {
        s->on_made(s);
    }
}

static inline void side_data(dw_protocol *p, const uint8_t *data, size_t len) {
    side *s = side_of(p);
    s->data_calls++;
    s->data_at = dw_reactor_now(s->reactor);
    s->largest = len > s->largest ? len : s->largest;
    for (size_t i = 0; i < len && s->received + i < SIDE_KEEP; i++) {
        s->bytes[s->received + i] = data[i];
    }
    s->received += len;
    if (s->echo) {
        dw_transport_write(p->transport, data, len);
    }
    if (s->on_data != NULL) {
        s->on_data(s, data, len);
    }
}

static inline void side_lost(dw_protocol *p, const dw_reason *reason) {
    side *s = side_of(p);
    s->lost++;
    s->lost_at = dw_reactor_now(s->reactor);
    s->reason = reason->kind;
    s->reason_errno = reason->sys_errno;
    if (s->on_lost != NULL) {
        s->on_lost(s);
    }
}

static inline void side_read_lost(dw_protocol *p) {
    side *s = side_of(p);
    s->read_lost++;
    s->read_lost_at = dw_reactor_now(s->reactor);
}

static inline void side_write_lost(dw_protocol *p) {
    side_of(p)->write_lost++;
}

static inline side *side_of_factory(dw_factory *f) {
    return DW_CONTAINER_OF(f, side, factory.base);
}

/* Refuses a second connection while it has one. */
static inline dw_protocol *side_build(dw_factory *f, const dw_address *peer) {
    static const dw_protocol_class plain = {.name = "side",
                                            .connection_made = side_made,
                                            .data_received = side_data,
                                            .connection_lost = side_lost};
    static const dw_protocol_class aware = {.name = "aware",
                                            .connection_made = side_made,
                                            .data_received = side_data,
                                            .connection_lost = side_lost,
                                            .read_connection_lost = side_read_lost,
                                            .write_connection_lost = side_write_lost};
    side *s = side_of_factory(f);
    (void)peer;
    if (s->built > s->lost) {
        return NULL;
    }
    s->built++;
    dw_protocol_init(&s->protocol, s->aware ? &aware : &plain);
    return &s->protocol;
}

static inline void side_failed(dw_client_factory *f, dw_connector *connector,
                               const dw_reason *reason) {
    side *s = side_of_factory(&f->base);
    (void)connector;
    s->failed++;
    s->failed_at = dw_reactor_now(s->reactor);
    s->reason = reason->kind;
    s->reason_errno = reason->sys_errno;
    if (s->on_failed != NULL) {
        s->on_failed(s);
    }
}

static inline void side_init(side *s, dw_reactor *reactor) {
    static const dw_client_factory_class cls = {
        .base = {.name = "sides", .build_protocol = side_build},
        .client_connection_failed = side_failed};
    memset(s, 0, sizeof(*s));
    s->reactor = reactor;
    dw_client_factory_init(&s->factory, &cls);
}

static inline void side_listen(side *s, uint16_t port, int backlog) {
    ck_assert_int_eq(
        dw_reactor_listen_tcp(s->reactor, port, &s->factory.base, backlog, NULL, &s->port), 0);
}

/* Without a time-out of its own. False without memory. */
static inline bool side_try_connect(side *s, const char *host, uint16_t port) {
    return dw_reactor_connect_tcp(s->reactor, host, port, &s->factory, -1, NULL, NULL) == 0;
}

static inline void side_connect(side *s, const char *host, uint16_t port) {
    ck_assert(side_try_connect(s, host, port));
}

static inline void side_write(side *s, const char *text) {
    dw_transport_write(s->protocol.transport, text, strlen(text));
}

static inline bool side_has(const side *s, const char *text) {
    return s->received == strlen(text) && memcmp(s->bytes, text, s->received) == 0;
}

/* ---- A pair: a server and a client, one connection ---- */

typedef struct pair {
    dw_host *server_host, *client_host;
    side server, client;
} pair;

/* Hosts "server" (10.0.0.1) and "client" (10.0.0.2); the server listens on port 80. Returns whether
 * it does: without memory it cannot. */
static inline bool pair_try_hosts(pair *p, dw_world *w) {
    p->server_host = dw_world_add_host(w, "server", NULL, NULL);
    p->client_host = dw_world_add_host(w, "client", NULL, NULL);
    side_init(&p->server, dw_host_reactor(p->server_host));
    side_init(&p->client, dw_host_reactor(p->client_host));
    return dw_reactor_listen_tcp(p->server.reactor, 80, &p->server.factory.base, 0, NULL,
                                 &p->server.port) == 0;
}

static inline void pair_hosts(pair *p, dw_world *w) {
    ck_assert(pair_try_hosts(p, w));
}

/* And both are connected; time passes until both know, 3 ms when calm. */
static inline void pair_connect(pair *p, dw_world *w) {
    pair_hosts(p, w);
    side_connect(&p->client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(p->client.made, 1);
    ck_assert_uint_eq(p->server.made, 1);
}

/* ---- Long streams: byte i of the stream is known ---- */

static inline uint8_t stream_byte(size_t i) {
    return (uint8_t)((i * 2654435761u) >> 13);
}

static inline void stream_write(side *s, size_t from, size_t len) {
    uint8_t *data = malloc(len);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = stream_byte(from + i);
    }
    dw_transport_write(s->protocol.transport, data, len);
    free(data);
}

static inline bool stream_intact(const side *s) {
    for (size_t i = 0; i < s->received && i < SIDE_KEEP; i++) {
        if (s->bytes[i] != stream_byte(i)) {
            return false;
        }
    }
    return true;
}

/* ---- A program that boots: an echo server on port 7, all of it in its reactor's memory ---- */

typedef struct echo_program {
    dw_factory factory;
    dw_reactor *reactor;
    dw_trigger end;
    unsigned connections;
} echo_program;

typedef struct echo_conn {
    dw_protocol protocol;
} echo_conn;

static inline void echo_data(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static inline void echo_destroy(dw_protocol *p) {
    echo_program *program = DW_CONTAINER_OF(p->factory, echo_program, factory);
    dw_free(program->reactor, DW_CONTAINER_OF(p, echo_conn, protocol));
}

static inline dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    static const dw_protocol_class cls = {
        .name = "echo", .data_received = echo_data, .destroy = echo_destroy};
    echo_program *program = DW_CONTAINER_OF(factory, echo_program, factory);
    echo_conn *conn = dw_new(program->reactor, echo_conn);
    (void)peer;
    if (conn == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    program->connections++;
    dw_protocol_init(&conn->protocol, &cls);
    return &conn->protocol;
}

static inline void echo_end(void *user) {
    echo_program *program = user;
    dw_free(program->reactor, program);
}

static inline void *echo_boot(dw_reactor *reactor, void *user) {
    static const dw_factory_class cls = {.name = "echoes", .build_protocol = echo_build};
    echo_program *program = dw_new(reactor, echo_program);
    (void)user;
    if (program == NULL) {
        return NULL;
    }
    program->reactor = reactor;
    dw_factory_init(&program->factory, &cls);
    if (dw_reactor_listen_tcp(reactor, 7, &program->factory, 0, NULL, NULL) < 0) {
        return NULL;
    }
    dw_reactor_add_trigger(reactor, &program->end, DW_AFTER_SHUTDOWN, echo_end, program);
    return program;
}

/* ---- A scenario with something of everything: the server is killed, crashes and comes back, three
 * clients talk to it and connect again when they lose it ---- */

enum { BUSY_CLIENTS = 3 };

static struct busy_client {
    side s;
    dw_delayed_call again;
    unsigned echoed;
} busy_clients[BUSY_CLIENTS];

static inline void busy_connect(void *user) {
    struct busy_client *c = user;
    side_try_connect(&c->s, "server", 7);
}

static inline void busy_again(side *s) {
    struct busy_client *c = DW_CONTAINER_OF(s, struct busy_client, s);
    dw_time wait = DW_MSEC(10) + DW_MSEC(7) * dw_choose(s->reactor, "wait", 4);
    dw_reactor_call_later(s->reactor, &c->again, wait, busy_connect, c);
}

static inline void busy_say(side *s) {
    side_write(s, dw_maybe(s->reactor, "shout") ? "HELLO, HELLO\n" : "hello\n");
}

static inline void busy_heard(side *s, const uint8_t *data, size_t len) {
    struct busy_client *c = DW_CONTAINER_OF(s, struct busy_client, s);
    if (data[len - 1] != '\n') {
        return;
    }
    if (++c->echoed % 10 == 0) {
        dw_transport_lose_connection(s->protocol.transport);
    } else {
        busy_say(s);
    }
}

static inline void busy_kill(void *user) {
    dw_host_kill(user);
}

static inline void busy_crash(void *user) {
    dw_host_crash(user);
}

static inline void busy_restart(void *user) {
    dw_host_restart(user);
}

static inline void busy(dw_world *w) {
    dw_host *server = dw_world_add_host(w, "server", echo_boot, NULL);
    for (unsigned i = 0; i < BUSY_CLIENTS; i++) {
        struct busy_client *c = &busy_clients[i];
        char name[16];
        snprintf(name, sizeof(name), "client-%u", i);
        memset(c, 0, sizeof(*c));
        side_init(&c->s, dw_host_reactor(dw_world_add_host(w, name, NULL, NULL)));
        c->s.on_made = busy_say;
        c->s.on_data = busy_heard;
        c->s.on_lost = c->s.on_failed = busy_again;
        busy_connect(c);
    }
    dw_world_after(w, DW_MSEC(50), busy_kill, server);
    dw_world_after(w, DW_MSEC(80), busy_restart, server);
    dw_world_after(w, DW_MSEC(200), busy_crash, server);
    dw_world_after(w, DW_MSEC(300) + DW_MSEC(10) * dw_world_choose(w, "dark", 5), busy_restart,
                   server);
    dw_world_run(w, DW_MSEC(600));
    for (unsigned i = 0; i < BUSY_CLIENTS; i++) {
        busy_clients[i].s.on_lost = busy_clients[i].s.on_failed = NULL;
        dw_delayed_call_cancel(&busy_clients[i].again);
    }
}

#endif
