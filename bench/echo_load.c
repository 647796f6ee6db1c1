/* SPDX-License-Identifier: MIT */
/*
 * The echo server and its load, against drywire.h alone: see echo_load.h.
 */
#include "echo_load.h"

#include <string.h>

/* ---- Server ---- */

typedef struct server {
    dw_factory factory;
    dw_reactor *reactor;
    dw_trigger end;
} server;

typedef struct server_conn {
    dw_protocol base;
    dw_reactor *reactor;
} server_conn;

static void server_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void server_destroy(dw_protocol *p) {
    dw_free(((server_conn *)p)->reactor, p);
}

static const dw_protocol_class server_class = {
    .name = "echo", .data_received = server_data_received, .destroy = server_destroy};

static dw_protocol *server_build(dw_factory *factory, const dw_address *peer) {
    server *s = DW_CONTAINER_OF(factory, server, factory);
    server_conn *conn = dw_new(s->reactor, server_conn);
    (void)peer;
    if (conn == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&conn->base, &server_class);
    conn->reactor = s->reactor;
    return &conn->base;
}

static const dw_factory_class server_factory = {.name = "echo", .build_protocol = server_build};

static void server_end(void *user) {
    server *s = user;
    dw_free(s->reactor, s);
}

void *echo_server_boot(dw_reactor *reactor, void *user) {
    server *s = dw_new(reactor, server);
    (void)user;
    if (s == NULL) {
        return NULL;
    }
    s->reactor = reactor;
    dw_factory_init(&s->factory, &server_factory);
    dw_reactor_add_trigger(reactor, &s->end, DW_AFTER_SHUTDOWN, server_end, s);
    return dw_reactor_listen_tcp(reactor, ECHO_PORT, &s->factory, 65535, NULL, NULL) == 0 ? s
                                                                                          : NULL;
}

/* ---- Clients ---- */

typedef struct client {
    dw_protocol base;
    echo_load *load;
    unsigned left;
    unsigned pending; /* bytes of the present message that have not come back */
} client;

struct echo_load {
    dw_client_factory factory;
    dw_reactor *reactor;
    echo_totals *totals;
    unsigned messages;
    dw_trigger end;
};

static void send_next(client *c) {
    static const uint8_t message[MESSAGE_LEN] = {'d', 'r', 'y', 'w', 'i', 'r', 'e'};
    if (c->left == 0) {
        c->load->totals->finished++;
        dw_transport_lose_connection(c->base.transport);
        return;
    }
    c->left--;
    c->pending = MESSAGE_LEN;
    dw_transport_write(c->base.transport, message, MESSAGE_LEN);
}

static void client_made(dw_protocol *p) {
    client *c = (client *)p;
    c->left = c->load->messages;
    send_next(c);
}

static void client_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    client *c = (client *)p;
    (void)data;
    c->pending -= (unsigned)len;
    if (c->pending == 0) {
        c->load->totals->echoed++;
        send_next(c);
    }
}

static void client_destroy(dw_protocol *p) {
    client *c = (client *)p;
    dw_free(c->load->reactor, c);
}

static const dw_protocol_class client_class = {.name = "client",
                                               .connection_made = client_made,
                                               .data_received = client_data_received,
                                               .destroy = client_destroy};

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    echo_load *load = DW_CONTAINER_OF(factory, echo_load, factory.base);
    client *c = dw_new(load->reactor, client);
    (void)peer;
    if (c == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&c->base, &client_class);
    c->load = load;
    return &c->base;
}

static const dw_client_factory_class client_factory = {
    .base = {.name = "client", .build_protocol = client_build}};

static void load_end(void *user) {
    echo_load *load = user;
    dw_free(load->reactor, load);
}

echo_load *echo_load_start(dw_reactor *reactor, const char *server_name, unsigned clients,
                           unsigned messages, echo_totals *totals) {
    echo_load *load = dw_new(reactor, echo_load);
    if (load == NULL) {
        return NULL;
    }
    dw_client_factory_init(&load->factory, &client_factory);
    load->reactor = reactor;
    load->totals = totals;
    load->messages = messages;
    dw_reactor_add_trigger(reactor, &load->end, DW_AFTER_SHUTDOWN, load_end, load);
    for (unsigned i = 0; i < clients; i++) {
        dw_reactor_connect_tcp(reactor, server_name, ECHO_PORT, &load->factory, -1, NULL, NULL);
    }
    return load;
}
