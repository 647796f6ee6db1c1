/* SPDX-License-Identifier: MIT */
/*
 * Reconnecting clients behind every policy at once, on the dry wire: an echo server that throttles
 * both ways, limits connections in all and per peer, sends overflow away and closes the idle; three
 * clients that must get each of their rounds through, whatever the network, the memory and the
 * server's power do. What must hold is said with dw_always; that it gets anywhere at all, after the
 * faults have stopped. Leaks, contracts and livelocks are the world's own oracles.
 */
#include "../suite.h"

#include <drywire/check.h>

#include <drywire/idle_timeout.h>
#include <drywire/limits.h>
#include <drywire/reconnecting.h>
#include <drywire/throttling.h>
#include <drywire/timeout.h>

enum { PORT = 7, CLIENTS = 3, ROUNDS = 12, RECORD = 400, TOTAL_MAX = 2, SOCKETS_MAX = 4 };

#define IDLE        DW_SEC(20)
#define PATIENCE    DW_SEC(45) /* of a client that waits for its reply */
#define MAX_DELAY   DW_SEC(30)
#define BYTES_PER_S 4000

static dw_world *world;

/* ---- The server ---- */

/* In the reactor's memory, so that a kill takes it as it takes the rest. */
struct server {
    dw_reactor *reactor;
    dw_factory app, busy;
    dw_idle_timeout_factory idle;
    dw_limit_per_peer_factory per_peer;
    dw_limit_total_factory total;
    dw_throttling_factory slow;
    unsigned echoes; /* connections of the application */
    bool shutting_down;
};

/* An echo that is its own producer: while it must not write it does not read. */
struct echo {
    dw_protocol base;
    dw_producer producer;
    struct server *server;
    bool paused;
};

static struct echo *echo_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, struct echo, base);
}

static void echo_pause(dw_producer *producer) {
    struct echo *e = DW_CONTAINER_OF(producer, struct echo, producer);
    e->paused = true;
    dw_sometimes(world, true, "a producer is paused");
    dw_transport_pause_producing(e->base.transport);
}

static void echo_resume(dw_producer *producer) {
    struct echo *e = DW_CONTAINER_OF(producer, struct echo, producer);
    e->paused = false;
    dw_transport_resume_producing(e->base.transport);
}

static const dw_producer_class echo_producer = {
    .name = "echo", .pause_producing = echo_pause, .resume_producing = echo_resume};

static void echo_made(dw_protocol *p) {
    struct echo *e = echo_of(p);
    e->server->echoes++;
    dw_always(world, e->server->echoes <= TOTAL_MAX, "no more connections than the limit");
    e->producer.cls = &echo_producer;
    dw_transport_register_producer(p->transport, &e->producer, true);
}

static void echo_data(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_always(world, !echo_of(p)->paused, "a paused connection gets no data");
    dw_transport_write(p->transport, data, len);
}

static void echo_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    echo_of(p)->server->echoes--;
}

static void echo_destroy(dw_protocol *p) {
    dw_free(echo_of(p)->server->reactor, p);
}

static const dw_protocol_class echo_class = {
    .name = "echo",
    .connection_made = echo_made,
    .data_received = echo_data,
    .connection_lost = echo_lost,
    .destroy = echo_destroy,
};

static void busy_made(dw_protocol *p) {
    dw_transport_write(p->transport, "busy", 4);
    dw_transport_lose_connection(p->transport);
}

static const dw_protocol_class busy_class = {
    .name = "busy", .connection_made = busy_made, .destroy = echo_destroy};

static dw_protocol *new_protocol(struct server *server, const dw_protocol_class *cls) {
    struct echo *e = dw_new(server->reactor, struct echo);
    if (e == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&e->base, cls);
    e->server = server;
    return &e->base;
}

static dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    return new_protocol(DW_CONTAINER_OF(factory, struct server, app), &echo_class);
}

static dw_protocol *busy_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    return new_protocol(DW_CONTAINER_OF(factory, struct server, busy), &busy_class);
}

static const dw_factory_class echo_factory = {.name = "echo", .build_protocol = echo_build};
static const dw_factory_class busy_factory = {.name = "busy", .build_protocol = busy_build};

/* Ends as a program that is about to exit: the last trigger gives its memory back. */
static dw_trigger server_exit;

static void free_server(void *user) {
    struct server *server = user;
    dw_always(world, dw_wrapping_factory_count(&server->slow.base) == 0,
              "after shutdown nothing is counted");
    dw_free(server->reactor, server);
}

static void *boot(dw_reactor *reactor, void *user) {
    (void)user;
    struct server *s = dw_new(reactor, struct server);
    if (s == NULL) {
        return NULL;
    }
    s->reactor = reactor;
    dw_factory_init(&s->app, &echo_factory);
    dw_factory_init(&s->busy, &busy_factory);
    dw_idle_timeout_factory_init(&s->idle, reactor, &s->app, IDLE);
    dw_limit_per_peer_factory_init(&s->per_peer, reactor, &s->idle.base.base.base);
    s->per_peer.limit = 1;
    dw_limit_total_factory_init(&s->total, reactor, &s->per_peer.base.base.base);
    s->total.limit = TOTAL_MAX;
    s->total.overflow = &s->busy;
    dw_throttling_factory_init(&s->slow, reactor, &s->total.base.base.base);
    s->slow.read_limit = s->slow.write_limit = BYTES_PER_S;
    s->slow.max_connections = SOCKETS_MAX;
    if (dw_reactor_listen_tcp(reactor, PORT, &s->slow.base.base.base, 0, NULL, NULL) != 0) {
        dw_free(reactor, s);
        return NULL;
    }
    memset(&server_exit, 0, sizeof(server_exit));
    dw_reactor_add_trigger(reactor, &server_exit, DW_AFTER_SHUTDOWN, free_server, s);
    return s;
}

/* ---- The clients ---- */

static struct client {
    dw_reconnecting_client_factory again;
    dw_protocol protocol;
    dw_timeout patience;
    dw_delayed_call think;
    dw_reactor *reactor;
    unsigned number, round, connections, replies_here;
    size_t got; /* bytes of this round's reply */
    bool refused;
} clients[CLIENTS];

static struct client *client_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, struct client, protocol);
}

static uint8_t byte_of(const struct client *c, size_t at) {
    return (uint8_t)(0x80 | (c->number * 37 + c->round * 11 + at)); /* never the b of "busy" */
}

static void send_round(void *user) {
    struct client *c = user;
    uint8_t record[RECORD];
    for (size_t i = 0; i < RECORD; i++) {
        record[i] = byte_of(c, i);
    }
    c->got = 0;
    dw_timeout_set(&c->patience, PATIENCE);
    dw_transport_write(c->protocol.transport, record, RECORD);
}

static void client_impatient(dw_protocol *p) {
    dw_sometimes(world, true, "a client loses patience");
    dw_transport_abort_connection(p->transport);
}

static void client_made(dw_protocol *p) {
    struct client *c = client_of(p);
    c->connections++;
    c->replies_here = 0;
    c->refused = false;
    dw_timeout_init(&c->patience, c->reactor, p, client_impatient);
    send_round(c);
}

/* A connection has proved its worth with its first reply, so the back-off begins anew. Some clients
 * then think longer than the server waits. */
static void round_done(struct client *c) {
    dw_timeout_off(&c->patience);
    dw_reconnecting_reset_delay(&c->again);
    c->replies_here++;
    if (++c->round == ROUNDS) {
        dw_reconnecting_stop_trying(&c->again);
        dw_transport_lose_connection(c->protocol.transport);
    } else if (dw_choose(c->reactor, "think", 20) == 19) {
        dw_sometimes(world, true, "a client thinks too long");
        dw_reactor_call_later(c->reactor, &c->think, 2 * IDLE, send_round, c);
    } else {
        send_round(c);
    }
}

static void client_data(dw_protocol *p, const uint8_t *data, size_t len) {
    struct client *c = client_of(p);
    if (c->refused || (c->replies_here == 0 && c->got == 0 && data[0] == 'b')) {
        c->refused = true;
        dw_sometimes(world, true, "a client is told that the server is busy");
        return;
    }
    for (size_t i = 0; i < len; i++) {
        dw_always(world, c->round < ROUNDS && c->got < RECORD && data[i] == byte_of(c, c->got),
                  "each reply is the echo of its round");
        if (++c->got == RECORD) {
            dw_always(world, i + 1 == len, "nothing follows a reply");
            round_done(c);
            return;
        }
    }
}

static void client_lost(dw_protocol *p, const dw_reason *reason) {
    struct client *c = client_of(p);
    (void)reason;
    dw_timeout_off(&c->patience);
    dw_delayed_call_cancel(&c->think);
}

static const dw_protocol_class client_class = {
    .name = "client",
    .connection_made = client_made,
    .data_received = client_data,
    .connection_lost = client_lost,
};

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    struct client *c = DW_CONTAINER_OF(factory, struct client, again.base.base);
    (void)peer;
    dw_always(world, !c->protocol.connected, "one connection at a time");
    dw_protocol_init(&c->protocol, &client_class);
    return &c->protocol;
}

static const dw_client_factory_class client_factory = {
    .base = {.name = "client", .build_protocol = client_build}};

static void client_start(unsigned number, dw_host *host) {
    struct client *c = &clients[number];
    memset(c, 0, sizeof(*c));
    c->number = number;
    c->reactor = dw_host_reactor(host);
    dw_reconnecting_client_factory_init(&c->again, &client_factory);
    c->again.max_delay = MAX_DELAY;
    int error =
        dw_reactor_connect_tcp(c->reactor, "server", PORT, &c->again.base, DW_SEC(5), NULL, NULL);
    if (error != 0) { /* no memory for the connector: this one stays at home */
        c->round = ROUNDS;
    }
}

/* ---- The scenario ---- */

static bool all_done(void *user) {
    (void)user;
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].round < ROUNDS) {
            return false;
        }
    }
    return true;
}

static void toggle_server(void *user) {
    dw_host *server = user;
    if (dw_host_is_up(server)) {
        dw_host_kill(server);
    } else {
        dw_host_restart(server);
    }
}

static void reconnecting_clients(dw_world *w) {
    static const char *const names[CLIENTS] = {"client-1", "client-2", "client-3"};
    world = w;
    dw_host *server = dw_world_add_host(w, "server", boot, NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_start(i, dw_world_add_host(w, names[i], NULL, NULL));
    }
    for (dw_time at = 0; at < DW_SEC(60); at += DW_SEC(5)) {
        if (dw_world_choose(w, "power", 4) != 0) {
            dw_world_after(w, at, toggle_server, server);
        }
    }
    dw_world_run(w, DW_MIN(2));
    dw_world_heal(w);
    if (!dw_world_failed(w) && !dw_host_is_up(server)) {
        dw_host_restart(server);
    }
    bool done = dw_world_run_until(w, all_done, NULL, DW_MIN(30));
    dw_always(w, done, "once the faults stop every client gets through");
    unsigned connections = 0;
    for (int i = 0; i < CLIENTS; i++) {
        connections += clients[i].connections;
    }
    dw_sometimes(w, connections > 2 * CLIENTS, "clients reconnect");
}

int main(void) {
    Suite *suite = suite_create("policies_scenario");
    TCase *tc = tcase_create("policies");
    dw_tcase_add_scenario(tc, reconnecting_clients, .seeds = 5000);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
