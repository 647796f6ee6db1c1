/* SPDX-License-Identifier: MIT */
/* The greeting server and its client; see hello.h. */
#include "hello.h"

#include <string.h>

static void greet(dw_protocol *protocol) {
    dw_transport_write(protocol->transport, HELLO_GREETING, strlen(HELLO_GREETING));
    dw_transport_lose_connection(protocol->transport);
}

static void greeter_destroy(dw_protocol *protocol) {
    dw_free(((struct hello_server *)protocol->factory)->reactor, protocol);
}

static const dw_protocol_class greeter_class = {
    .name = "greeter", .connection_made = greet, .destroy = greeter_destroy};

static dw_protocol *greeter_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    dw_protocol *protocol = dw_new(((struct hello_server *)factory)->reactor, dw_protocol);
    if (protocol == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(protocol, &greeter_class);
    return protocol;
}

static const dw_factory_class server_class = {.name = "greeters", .build_protocol = greeter_build};

void hello_server_init(struct hello_server *server, dw_reactor *reactor) {
    dw_factory_init(&server->base, &server_class);
    server->reactor = reactor;
}

static void client_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    struct hello_client *client = DW_CONTAINER_OF(protocol, struct hello_client, protocol);
    size_t room = sizeof(client->got) - 1 - client->got_len;
    size_t taken = len < room ? len : room;
    memcpy(client->got + client->got_len, data, taken);
    client->got_len += taken;
}

static const dw_protocol_class client_protocol_class = {.name = "greeted",
                                                        .data_received = client_data};

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    struct hello_client *client = (struct hello_client *)factory;
    (void)peer;
    dw_protocol_init(&client->protocol, &client_protocol_class);
    return &client->protocol;
}

static void client_done(dw_client_factory *factory, dw_connector *connector,
                        const dw_reason *reason) {
    struct hello_client *client = (struct hello_client *)factory;
    (void)connector;
    (void)reason;
    if (client->done != NULL) {
        client->done(client->user);
    }
}

static const dw_client_factory_class client_class = {
    .base = {.name = "greeted", .build_protocol = client_build},
    .client_connection_failed = client_done,
    .client_connection_lost = client_done};

void hello_client_init(struct hello_client *client, void (*done)(void *user), void *user) {
    memset(client, 0, sizeof(*client));
    dw_client_factory_init(&client->base, &client_class);
    client->done = done;
    client->user = user;
}
