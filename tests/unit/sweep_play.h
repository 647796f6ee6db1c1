/* SPDX-License-Identifier: MIT */
/*
 * What the system call sweep plays: short conversations of a reactor with itself, each with what
 * must be true of it however it went, and what must be true when nothing went wrong. Invariant of
 * all: who was told of a connection is told of its end, once; every attempt has one outcome.
 */
#ifndef DRYWIRE_TESTS_SWEEP_PLAY_H
#define DRYWIRE_TESTS_SWEEP_PLAY_H

#include "test_poll_support.h"

enum { MUCH = 1 << 20, PINGS_MAX = 200 };

typedef struct play play;

/* One end of a connection. */
typedef struct actor {
    dw_protocol protocol;
    play *play;
    int made, lost, read_lost;
    size_t received, sent;
    dw_error reason;
    void (*on_made)(struct actor *actor);
    void (*on_data)(struct actor *actor, const uint8_t *data, size_t len);
    void (*on_read_lost)(struct actor *actor);
} actor;

/* A factory for one actor. */
typedef struct stage {
    dw_client_factory factory;
    actor *actor;
    int started, stopped, connecting, failed, lost;
} stage;

typedef struct pinger {
    dw_datagram_protocol protocol;
    play *play;
    dw_datagram_port *port;
    int started, stopped, received;
} pinger;

typedef struct child {
    dw_process_protocol protocol;
    int made, exited, ended, lost[3];
    size_t received;
    dw_error reason;
} child;

struct play {
    dw_reactor *reactor;
    actor server, client;
    stage at_server, at_client;
    dw_port *port;
    bool port_stopped;
    int attempts; /* connects that were taken on */
    pinger ping, pong;
    dw_delayed_call again;
    int pings;
    child child;
    bool spawned;
    int watched_reads, watched_fds[2];
    bool watching;
    char path[64];
};

/* ---- Actors ---- */

static inline actor *actor_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, actor, protocol);
}

static inline void actor_made(dw_protocol *p) {
    actor *a = actor_of(p);
    ck_assert_int_eq(a->made++, 0);
    if (a->on_made != NULL) {
        a->on_made(a);
    }
}

static inline void actor_data(dw_protocol *p, const uint8_t *data, size_t len) {
    actor *a = actor_of(p);
    ck_assert(a->made == 1 && a->lost == 0);
    a->received += len;
    if (a->on_data != NULL) {
        a->on_data(a, data, len);
    }
}

static inline void actor_lost(dw_protocol *p, const dw_reason *reason) {
    actor *a = actor_of(p);
    ck_assert_int_eq(a->made, 1);
    ck_assert_int_eq(a->lost++, 0);
    a->reason = reason->kind;
}

static inline void actor_read_lost(dw_protocol *p) {
    actor *a = actor_of(p);
    ck_assert_int_eq(a->read_lost++, 0);
    a->on_read_lost(a);
}

static const dw_protocol_class actor_class = {.name = "actor",
                                              .connection_made = actor_made,
                                              .data_received = actor_data,
                                              .connection_lost = actor_lost};
static const dw_protocol_class aware_class = {.name = "aware actor",
                                              .connection_made = actor_made,
                                              .data_received = actor_data,
                                              .connection_lost = actor_lost,
                                              .read_connection_lost = actor_read_lost};

static inline stage *stage_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, stage, factory.base);
}

static inline dw_protocol *stage_build(dw_factory *factory, const dw_address *peer) {
    actor *a = stage_of(factory)->actor;
    (void)peer;
    if (a->protocol.cls != NULL) {
        return NULL; /* one only */
    }
    dw_protocol_init(&a->protocol, a->on_read_lost != NULL ? &aware_class : &actor_class);
    return &a->protocol;
}

static inline void stage_start(dw_factory *factory) {
    stage_of(factory)->started++;
}

static inline void stage_stop(dw_factory *factory) {
    stage_of(factory)->stopped++;
}

static inline void stage_connecting(dw_client_factory *factory, dw_connector *connector) {
    (void)connector;
    stage_of(&factory->base)->connecting++;
}

static inline void stage_failed(dw_client_factory *factory, dw_connector *connector,
                                const dw_reason *reason) {
    (void)connector;
    ck_assert_int_ne(reason->kind, 0);
    ck_assert_int_ne(reason->kind, DW_TIMEOUT); /* nothing here may have to be waited for */
    ck_assert_int_eq(stage_of(&factory->base)->failed++, 0);
}

static inline void stage_lost(dw_client_factory *factory, dw_connector *connector,
                              const dw_reason *reason) {
    (void)connector, (void)reason;
    ck_assert_int_eq(stage_of(&factory->base)->lost++, 0);
}

static const dw_client_factory_class stage_class = {
    .base = {.name = "stage",
             .build_protocol = stage_build,
             .start = stage_start,
             .stop = stage_stop},
    .started_connecting = stage_connecting,
    .client_connection_failed = stage_failed,
    .client_connection_lost = stage_lost,
};

/* ---- Reactions ---- */

static inline void say_hello(actor *a) {
    dw_transport_write(a->protocol.transport, "hello", 5);
}

static inline void say_much(actor *a) {
    static const uint8_t much[MUCH];
    dw_transport_write(a->protocol.transport, much, MUCH);
}

static inline void echo(actor *a, const uint8_t *data, size_t len) {
    dw_transport_write(a->protocol.transport, data, len);
}

static inline void lose_at_much(actor *a, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    if (a->received >= MUCH) {
        dw_transport_lose_connection(a->protocol.transport);
    }
}

static inline void lose(actor *a, const uint8_t *data, size_t len) {
    (void)data;
    if (a->received >= 5 && a->received - len < 5) {
        dw_transport_lose_connection(a->protocol.transport);
    }
}

static inline void abort_it(actor *a, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    if (a->received >= 5) {
        dw_transport_abort_connection(a->protocol.transport);
    }
}

static inline void hello_and_half(actor *a) {
    say_hello(a);
    dw_transport_lose_write_connection(a->protocol.transport);
}

static inline void answer_and_lose(actor *a) {
    say_hello(a);
    dw_transport_lose_connection(a->protocol.transport);
}

static inline void note_port_stopped(void *user) {
    ((play *)user)->port_stopped = true;
}

static inline void stop_port(play *p) {
    if (p->port != NULL) {
        ck_assert_int_eq(dw_port_stop_listening(p->port, note_port_stopped, p), 0);
        p->port = NULL;
    }
}

static inline void stop_port_and_hello(actor *a) {
    stop_port(a->play);
    say_hello(a);
}

/* ---- Streams ---- */

static inline void listen_tcp(play *p) {
    if (dw_reactor_listen_tcp(p->reactor, 0, &p->at_server.factory.base, 0, "127.0.0.1",
                              &p->port) != 0) {
        p->port = NULL;
    }
}

static inline void connect_to(play *p, const char *host, uint16_t port) {
    p->attempts += dw_reactor_connect_tcp(p->reactor, host, port, &p->at_client.factory, DW_SEC(5),
                                          NULL, NULL) == 0;
}

/* A port whose address could not be asked for (getsockname failed) says 0. */
static inline void pair_tcp(play *p, const char *host) {
    listen_tcp(p);
    uint16_t port = p->port != NULL ? dw_port_host(p->port).port : 0;
    if (port != 0) {
        connect_to(p, host, port);
    }
}

static inline void play_echo(play *p) {
    p->server.on_data = echo;
    p->client.on_made = say_much;
    p->client.on_data = lose_at_much;
    pair_tcp(p, "127.0.0.1");
}

static inline void play_name(play *p) {
    p->server.on_data = echo;
    p->client.on_made = say_hello;
    p->client.on_data = lose;
    pair_tcp(p, "localhost");
}

static inline void play_refused(play *p) {
    uint16_t port;
    int fd = peer_listen(1, &port);
    close(fd);
    connect_to(p, "127.0.0.1", port);
}

static inline void play_half_close(play *p) {
    p->client.on_made = hello_and_half;
    p->server.on_read_lost = answer_and_lose;
    pair_tcp(p, "127.0.0.1");
}

static inline void play_abort(play *p) {
    p->server.on_made = say_hello;
    p->client.on_data = abort_it;
    pair_tcp(p, "127.0.0.1");
}

static inline void play_listen_stop(play *p) {
    p->server.on_made = stop_port_and_hello;
    p->client.on_data = lose;
    pair_tcp(p, "127.0.0.1");
}

static inline void play_unix(play *p) {
    p->server.on_data = echo;
    p->client.on_made = say_much;
    p->client.on_data = lose_at_much;
    if (dw_reactor_listen_unix(p->reactor, p->path, &p->at_server.factory.base, 0, 0, &p->port) !=
        0) {
        p->port = NULL;
        return;
    }
    p->attempts +=
        dw_reactor_connect_unix(p->reactor, p->path, &p->at_client.factory, DW_SEC(5), NULL) == 0;
}

/* ---- Datagrams: asked again and again, for they may be lost ---- */

static inline pinger *pinger_of(dw_datagram_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, pinger, protocol);
}

static inline void pinger_start(dw_datagram_protocol *protocol) {
    ck_assert_int_eq(pinger_of(protocol)->started++, 0);
}

static inline void pinger_stop(dw_datagram_protocol *protocol) {
    ck_assert_int_eq(pinger_of(protocol)->stopped++, 0);
}

static inline void close_pinger(pinger *at) {
    if (at->port != NULL) {
        ck_assert_int_eq(dw_datagram_stop_listening(at->port, NULL, NULL), 0);
        at->port = NULL;
    }
}

static inline void pinger_received(dw_datagram_protocol *protocol, const uint8_t *data, size_t len,
                                   const dw_address *from) {
    pinger *at = pinger_of(protocol);
    at->received++;
    if (at == &at->play->pong) {
        (void)dw_datagram_write(at->protocol.transport, data, len, from);
        return;
    }
    (void)dw_delayed_call_cancel(&at->play->again);
    close_pinger(&at->play->ping);
    close_pinger(&at->play->pong);
}

static const dw_datagram_protocol_class pinger_class = {.name = "pinger",
                                                        .start_protocol = pinger_start,
                                                        .stop_protocol = pinger_stop,
                                                        .datagram_received = pinger_received};

static inline void ping(void *user) {
    play *p = user;
    if (++p->pings > PINGS_MAX || p->ping.port == NULL || p->pong.port == NULL) {
        close_pinger(&p->ping);
        close_pinger(&p->pong);
        return;
    }
    dw_address to = dw_datagram_host(p->pong.port);
    (void)dw_datagram_write(p->ping.port, "ping", 4, &to);
    dw_reactor_call_later(p->reactor, &p->again, DW_MSEC(1), ping, p);
}

static inline void open_pinger(play *p, pinger *at) {
    at->play = p;
    dw_datagram_protocol_init(&at->protocol, &pinger_class);
    if (dw_reactor_listen_udp(p->reactor, 0, &at->protocol, "127.0.0.1", 0, &at->port) != 0) {
        at->port = NULL;
    }
}

static inline void play_udp(play *p) {
    open_pinger(p, &p->ping);
    open_pinger(p, &p->pong);
    ping(p);
}

/* ---- A child ---- */

static inline child *child_of(dw_process_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, child, protocol);
}

static inline void child_made(dw_process_protocol *protocol) {
    ck_assert_int_eq(child_of(protocol)->made++, 0);
    dw_process_write(protocol->transport, "hello", 5);
}

static inline void child_out(dw_process_protocol *protocol, const uint8_t *data, size_t len) {
    (void)data;
    if ((child_of(protocol)->received += len) >= 5) {
        dw_process_close_stdin(protocol->transport);
    }
}

/* Whatever breaks, the child is not left alone. */
static inline void child_lost(dw_process_protocol *protocol, int child_fd) {
    ck_assert_int_eq(child_of(protocol)->lost[child_fd]++, 0);
    dw_process_lose_connection(protocol->transport);
}

static inline void child_exited(dw_process_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    ck_assert_int_eq(child_of(protocol)->exited++, 0);
}

static inline void child_ended(dw_process_protocol *protocol, const dw_reason *reason) {
    child *c = child_of(protocol);
    ck_assert_int_eq(c->ended++, 0);
    ck_assert(c->exited == 1 && c->lost[0] == 1 && c->lost[1] == 1 && c->lost[2] == 1);
    c->reason = reason->kind;
}

static const dw_process_protocol_class child_class = {.name = "cat",
                                                      .connection_made = child_made,
                                                      .out_received = child_out,
                                                      .child_connection_lost = child_lost,
                                                      .process_exited = child_exited,
                                                      .process_ended = child_ended};

static inline void play_child(play *p) {
    static const char *const argv[] = {"cat", NULL};
    dw_process_protocol_init(&p->child.protocol, &child_class);
    p->spawned = dw_reactor_spawn_process(p->reactor, &p->child.protocol,
                                          &(dw_spawn_options){.argv = argv}, NULL) == 0;
}

/* ---- A descriptor of the program's ---- */

static inline void watched_ready(void *user) {
    play *p = user;
    char byte;
    p->watched_reads += read(p->watched_fds[0], &byte, 1) == 1;
    p->watching = !dw_reactor_remove_reader(p->reactor, p->watched_fds[0]);
}

static inline void play_descriptor(play *p) {
    ck_assert_int_eq(pipe(p->watched_fds), 0);
    ck_assert_int_eq(write(p->watched_fds[1], "x", 1), 1);
    p->watching = dw_reactor_add_reader(p->reactor, p->watched_fds[0], watched_ready, p) == 0;
}

/* ---- Judgement ---- */

/* Whether nothing is to be expected any more. */
static inline bool play_over(const play *p) {
    return p->at_client.failed + p->client.lost >= p->attempts &&
           p->client.lost == p->client.made && p->server.lost == p->server.made &&
           p->ping.stopped == p->ping.started && p->pong.stopped == p->pong.started &&
           !dw_delayed_call_active(&p->again) && (!p->spawned || p->child.ended) && !p->watching;
}

static inline bool echoed_well(const play *p) {
    return p->client.received == MUCH && p->server.received == MUCH &&
           p->client.reason == DW_CONNECTION_DONE && p->server.reason == DW_CONNECTION_DONE;
}

static inline bool hello_well(const play *p) {
    return p->client.received == 5 && p->client.reason == DW_CONNECTION_DONE &&
           p->server.reason == DW_CONNECTION_DONE;
}

static inline bool refused_well(const play *p) {
    return p->at_client.failed == 1 && p->client.made == 0;
}

static inline bool half_well(const play *p) {
    return hello_well(p) && p->server.received == 5 && p->server.read_lost == 1;
}

static inline bool aborted_well(const play *p) {
    return p->client.received == 5 && p->client.reason == DW_CONNECTION_ABORTED &&
           p->server.reason == DW_CONNECTION_LOST;
}

static inline bool pinged_well(const play *p) {
    return p->ping.received == 1 && p->pong.received >= 1;
}

static inline bool child_well(const play *p) {
    return p->child.received == 5 && p->child.reason == DW_PROCESS_DONE;
}

static inline bool watched_well(const play *p) {
    return p->watched_reads == 1;
}

typedef struct situation {
    const char *name;
    void (*begin)(play *p);
    bool (*well)(const play *p); /* nothing went wrong */
} situation;

static const situation situations[] = {
    {"echo of a megabyte", play_echo, echoed_well},
    {"connect by name", play_name, hello_well},
    {"refused", play_refused, refused_well},
    {"half close", play_half_close, half_well},
    {"abort", play_abort, aborted_well},
    {"listen and stop", play_listen_stop, hello_well},
    {"UNIX stream", play_unix, echoed_well},
    {"UDP ping", play_udp, pinged_well},
    {"child", play_child, child_well},
    {"descriptor", play_descriptor, watched_well},
};
enum { SITUATION_COUNT = sizeof(situations) / sizeof(situations[0]) };

#endif
