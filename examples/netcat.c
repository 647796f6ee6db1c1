/* SPDX-License-Identifier: MIT */
/*
 * netcat [-l] ENDPOINT: standard input goes to a connection, and what comes from it to standard
 * output; -l takes one connection instead of making it. Who is slow slows the other side down, and
 * the end of the input ends one direction, so that an answer can still come:
 *
 *     netcat -l unix:/tmp/s >copy &        printf 'PING\r\n' | netcat tcp:localhost:6379
 *     netcat unix:/tmp/s <original
 */
#include <drywire/drywire.h>
#include <drywire/real.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the two sides. What it receives is written to the other one, which may say when to stop:
 * as a producer this side is registered there. */
struct side {
    dw_protocol base;
    dw_producer producer;
    struct side *other;
};

static struct side network, console;
static dw_reactor *reactor;
static dw_port *port;
static int status;

static struct side *side_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, struct side, base);
}

/* ---- Both sides ---- */

static void pause_side(dw_producer *p) {
    dw_transport_pause_producing(DW_CONTAINER_OF(p, struct side, producer)->base.transport);
}

static void resume_side(dw_producer *p) {
    dw_transport_resume_producing(DW_CONTAINER_OF(p, struct side, producer)->base.transport);
}

static const dw_producer_class producer_class = {
    .name = "side", .pause_producing = pause_side, .resume_producing = resume_side};

static void pass_on(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(side_of(p)->other->base.transport, data, len);
}

/* One direction is over. When the other one is too, the console is lost, and then the network. */
static void input_ended(dw_protocol *p) {
    dw_transport_lose_write_connection(side_of(p)->other->base.transport);
}

/* The loop ends with the second of them. */
static void side_lost(dw_protocol *p, const dw_reason *reason) {
    char text[160];
    if (reason->kind != DW_CONNECTION_DONE && status == 0) {
        fprintf(stderr, "netcat: %s: %s\n", p->cls->name,
                dw_reason_format(reason, text, sizeof(text)));
        status = 1;
    }
    if (side_of(p)->other->base.connected) {
        dw_transport_unregister_producer(side_of(p)->other->base.transport);
        dw_transport_lose_connection(side_of(p)->other->base.transport);
    } else {
        dw_reactor_stop(reactor);
    }
}

static const dw_protocol_class console_class = {.name = "console",
                                                .data_received = pass_on,
                                                .connection_lost = side_lost,
                                                .read_connection_lost = input_ended};

static void network_made(dw_protocol *p) {
    int error = dw_reactor_open_stdio(reactor, &console.base, NULL);
    if (error < 0) {
        dw_transport_fail(p->transport, &(dw_reason){(dw_error)error, 0, NULL});
        return;
    }
    dw_transport_register_producer(p->transport, &console.producer, true);
    dw_transport_register_producer(console.base.transport, &network.producer, true);
}

static const dw_protocol_class network_class = {.name = "network",
                                                .connection_made = network_made,
                                                .data_received = pass_on,
                                                .connection_lost = side_lost,
                                                .read_connection_lost = input_ended};

/* ---- Connecting, or listening for one ---- */

static void connected(dw_connecting *connecting, dw_protocol *protocol) {
    (void)connecting, (void)protocol;
}

static void failed(dw_connecting *connecting, const dw_reason *reason) {
    char text[160];
    (void)connecting;
    fprintf(stderr, "netcat: %s\n", dw_reason_format(reason, text, sizeof(text)));
    status = 1;
    dw_reactor_stop(reactor);
}

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    bool first = dw_port_stop_listening(port, NULL, NULL) == 0;
    return first ? &network.base : NULL;
}

static const dw_factory_class one_class = {.name = "one connection", .build_protocol = build};
static dw_factory one;
static dw_connecting connecting;

static int begin(bool listens, const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX], where[DW_ADDRESS_TEXT_MAX];
    dw_client_endpoint *client = NULL;
    dw_server_endpoint *server = NULL;
    int result =
        listens ? dw_server_endpoint_parse(reactor, description, &server, error, sizeof(error))
                : dw_client_endpoint_parse(reactor, description, &client, error, sizeof(error));
    if (result < 0) {
        fprintf(stderr, "netcat: %s: %s\n", description, error);
        return result;
    }
    result = listens
                 ? dw_endpoint_listen(server, &one, &port)
                 : dw_connect_protocol(client, &connecting, &network.base, connected, failed, NULL);
    dw_server_endpoint_free(server);
    dw_client_endpoint_free(client);
    if (result < 0) {
        fprintf(stderr, "netcat: %s: %s\n", description, dw_strerror(result));
    } else if (port != NULL) {
        dw_address address = dw_port_host(port);
        fprintf(stderr, "netcat: listening on %s\n",
                dw_address_format(&address, where, sizeof(where)));
    }
    return result;
}

static void side_init(struct side *s, const dw_protocol_class *cls, struct side *other) {
    dw_protocol_init(&s->base, cls);
    s->producer.cls = &producer_class;
    s->other = other;
}

int main(int argc, char **argv) {
    bool listens = argc == 3 && strcmp(argv[1], "-l") == 0;
    if (argc != 2 && !listens) {
        fprintf(stderr, "usage: netcat [-l] ENDPOINT, such as tcp:localhost:6379\n");
        return 2;
    }
    side_init(&network, &network_class, &console);
    side_init(&console, &console_class, &network);
    dw_factory_init(&one, &one_class);
    reactor = dw_live_reactor_new(NULL, NULL);
    if (reactor == NULL || begin(listens, argv[argc - 1]) < 0) {
        dw_reactor_free(reactor);
        return 2;
    }
    dw_reactor_run(reactor); /* or until SIGINT or SIGTERM */
    dw_reactor_free(reactor);
    return status;
}
