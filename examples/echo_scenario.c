/* SPDX-License-Identifier: MIT */
/*
 * The echo protocol on the dry wire: a client sends, and whatever the network does, what comes back
 * is what it sent so far, in order. `echo_scenario` tries that over a thousand seeds; the protocol
 * is echo.c's, but that it takes its memory from the reactor, so that this too can fail.
 */
#include <drywire/sim.h>

#include <string.h>

#define PORT     7007
#define ROUNDS   20
#define GREETING "hello"

/* ---- The server: as in echo.c ---- */

struct echo {
    dw_protocol base;
    dw_reactor *reactor;
};

static void echo_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void echo_destroy(dw_protocol *p) {
    struct echo *echo = DW_CONTAINER_OF(p, struct echo, base);
    dw_free(echo->reactor, echo);
}

/* Its manners, tried after each run with what its connections received. */
static const dw_promises echo_promises = {.segment_invariant = true,
                                          .window_invariant = true,
                                          .pipeline_invariant = true,
                                          .replies_after_eof = true,
                                          .framed = true,
                                          .fresh_reconnect = true};

static const dw_protocol_class echo_class = {.name = "echo",
                                             .data_received = echo_data_received,
                                             .destroy = echo_destroy,
                                             .promises = &echo_promises};

static struct echo_server {
    dw_factory factory;
    dw_reactor *reactor;
} server;

static dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    struct echo *echo = dw_new(server.reactor, struct echo);
    if (echo == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    echo->reactor = server.reactor;
    dw_protocol_init(&echo->base, &echo_class);
    return &echo->base;
}

static const dw_factory_class echo_factory_class = {.name = "echo", .build_protocol = echo_build};

static void *boot_server(dw_reactor *reactor, void *user) {
    server.reactor = reactor;
    dw_factory_init(&server.factory, &echo_factory_class);
    int error = dw_reactor_listen_tcp(reactor, PORT, &server.factory, 0, NULL, NULL);
    return error == 0 ? user : NULL;
}

/* ---- The client: sends, compares, sends again ---- */

static struct client {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_world *world;
    size_t sent, received;
    bool over;
} client;

static void client_send(dw_protocol *p) {
    client.sent += sizeof(GREETING) - 1;
    dw_transport_write(p->transport, GREETING, sizeof(GREETING) - 1);
}

static void client_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    bool same = true;
    for (size_t i = 0; i < len; i++) {
        same = same && data[i] == GREETING[(client.received + i) % (sizeof(GREETING) - 1)];
    }
    client.received += len;
    dw_always(client.world, same && client.received <= client.sent,
              "what comes back is what was sent");
    if (client.received == ROUNDS * (sizeof(GREETING) - 1)) {
        dw_transport_lose_connection(p->transport);
    } else if (client.received == client.sent) {
        client_send(p);
    }
}

static void client_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    client.over = true;
}

static const dw_protocol_class client_class = {.name = "client",
                                               .connection_made = client_send,
                                               .data_received = client_data_received,
                                               .connection_lost = client_lost};

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol_init(&client.protocol, &client_class);
    return &client.protocol;
}

static void client_failed(dw_client_factory *factory, dw_connector *connector,
                          const dw_reason *reason) {
    (void)factory, (void)connector, (void)reason;
    client.over = true;
}

static const dw_client_factory_class client_factory_class = {
    .base = {.name = "client", .build_protocol = client_build},
    .client_connection_failed = client_failed};

static void echo(dw_world *world) {
    memset(&client, 0, sizeof(client));
    client.world = world;
    dw_world_add_host(world, "server", boot_server, &server);
    dw_host *host = dw_world_add_host(world, "client", NULL, NULL);
    dw_client_factory_init(&client.factory, &client_factory_class);
    dw_reactor_connect_tcp(dw_host_reactor(host), "server", PORT, &client.factory, 0, NULL, NULL);
    dw_world_run(world, DW_MIN(1));
    dw_sometimes(world, client.received == ROUNDS * (sizeof(GREETING) - 1),
                 "all rounds are played");
}

DW_MAIN(DW_SCENARIO(echo, .seeds = 1000))
