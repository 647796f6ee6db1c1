/* SPDX-License-Identifier: MIT */
/*
 * What the planted bugs of the oracles share: a server of one protocol class on port 7 and a client
 * that sends it pieces of text. Compiled with PLANTED the bugs are in; with OFF each scenario
 * switches its own oracle off, to show that no other one sees the bug.
 *
 * All of it is static: hosts outlive the scenario function.
 */
#ifndef DRYWIRE_TESTS_PLANTED_RIG_H
#define DRYWIRE_TESTS_PLANTED_RIG_H

#include <drywire/sim.h>

#include <stdlib.h>
#include <string.h>

#ifdef PLANTED
enum { BUGGY = 1 };
#else
enum { BUGGY = 0 };
#endif

#ifdef OFF
#define WITHOUT(oracle) oracle
#else
#define WITHOUT(oracle) NULL
#endif

/* A scenario whose bug this oracle finds. */
#define CASE(fn, oracle) DW_SCENARIO(fn, .seeds = 50, .oracles_off = WITHOUT(oracle))

enum { RIG_PORT = 7, RIG_LINE_MAX = 200, RIG_PIECES_MAX = 16 };

/* ---- The server: one of these for each connection ---- */

typedef struct rig_conn {
    dw_protocol base;
    dw_delayed_call call;
    dw_reactor *reactor;
    char line[RIG_LINE_MAX + 1]; /* unfinished */
    size_t len;
    bool busy, ended;
    char pending[RIG_LINE_MAX + 1]; /* being answered */
    char *more;                     /* a line without a limit */
    size_t more_len;
} rig_conn;

static struct rig {
    dw_world *world;
    dw_host *server, *client;
    dw_factory factory;
    dw_reactor *reactor; /* the server's */
    const dw_protocol_class *cls;
    const dw_promises *promises; /* of the factory */
} rig;

static rig_conn *rig_conn_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, rig_conn, base);
}

static void rig_destroy(dw_protocol *p) {
    rig_conn *c = rig_conn_of(p);
    dw_free(c->reactor, c->more);
    dw_free(c->reactor, c);
}

/* On the reactor of its transport, so that promises can be tried; the memory is the server's. */
static dw_protocol *rig_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    rig_conn *c = dw_new(rig.reactor, rig_conn);
    if (c == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    c->reactor = rig.reactor;
    dw_protocol_init(&c->base, rig.cls);
    return &c->base;
}

static dw_factory_class rig_factory_class = {.name = "factory", .build_protocol = rig_build};

static void *rig_boot(dw_reactor *reactor, void *user) {
    rig.reactor = reactor;
    rig_factory_class.promises = rig.promises;
    dw_factory_init(&rig.factory, &rig_factory_class);
    return dw_reactor_listen_tcp(reactor, RIG_PORT, &rig.factory, 0, NULL, NULL) == 0 ? user : NULL;
}

static inline void rig_serve(dw_world *world, const dw_protocol_class *cls,
                             const dw_promises *promises) {
    rig = (struct rig){.world = world, .cls = cls, .promises = promises};
    rig.server = dw_world_add_host(world, "server", rig_boot, &rig);
}

static inline void rig_say(dw_protocol *p, const char *text) {
    dw_transport_write(p->transport, text, strlen(text));
}

/* Keeps the bytes of a line; true when it is whole: in c->line, without its end. */
static inline bool rig_byte(rig_conn *c, char byte) {
    if (byte == '\n') {
        c->line[c->len] = '\0';
        c->len = 0;
        return true;
    }
    if (c->len < RIG_LINE_MAX) {
        c->line[c->len++] = byte;
    }
    return false;
}

/* ---- The client: sends its pieces, `pause` apart, and reads ---- */

static struct rig_client {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_delayed_call next;
    const char *const *pieces; /* NULL-terminated */
    size_t sent, received;
    dw_time pause;
    bool deaf, closes, over;
} rig_client;

static void rig_client_next(void *user) {
    struct rig_client *c = user;
    const char *piece = c->pieces[c->sent];
    if (piece == NULL) {
        if (c->closes) {
            dw_transport_lose_connection(c->protocol.transport);
        }
        return;
    }
    c->sent++;
    rig_say(&c->protocol, piece);
    dw_reactor_call_later(dw_host_reactor(rig.client), &c->next, c->pause, rig_client_next, c);
}

static void rig_client_made(dw_protocol *p) {
    if (rig_client.deaf) {
        dw_transport_pause_producing(p->transport);
    }
    rig_client_next(&rig_client);
}

static void rig_client_data(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)p, (void)data;
    rig_client.received += len;
}

static void rig_client_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    dw_delayed_call_cancel(&rig_client.next);
    rig_client.over = true;
}

static const dw_protocol_class rig_client_class = {.name = "client",
                                                   .connection_made = rig_client_made,
                                                   .data_received = rig_client_data,
                                                   .connection_lost = rig_client_lost};

static dw_protocol *rig_client_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol_init(&rig_client.protocol, &rig_client_class);
    return &rig_client.protocol;
}

static void rig_client_failed(dw_client_factory *factory, dw_connector *connector,
                              const dw_reason *reason) {
    (void)factory, (void)connector, (void)reason;
    rig_client.over = true;
}

static const dw_client_factory_class rig_client_factory = {
    .base = {.name = "client", .build_protocol = rig_client_build},
    .client_connection_failed = rig_client_failed};

/* Connects; what it does may be changed in rig_client until the world runs. */
static inline void rig_connect(const char *const *pieces, dw_time pause) {
    memset(&rig_client, 0, sizeof(rig_client));
    rig_client.pieces = pieces;
    rig_client.pause = pause;
    rig.client = dw_world_add_host(rig.world, "client", NULL, NULL);
    dw_client_factory_init(&rig_client.factory, &rig_client_factory);
    int error = dw_reactor_connect_tcp(dw_host_reactor(rig.client), "server", RIG_PORT,
                                       &rig_client.factory, 0, NULL, NULL);
    rig_client.over = error != 0;
}

#endif
