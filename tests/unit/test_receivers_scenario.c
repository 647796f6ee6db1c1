/* SPDX-License-Identifier: MIT */
/*
 * The stock receivers on the dry wire, each an echo of what it was given, with every invariant
 * promised: whatever seeds do to the stream, no promise is broken, by their deliveries or by their
 * answers. Clients send messages that the choices make: short, empty, at the limit, too long.
 */
#include "../suite.h"

#include <drywire/check.h>

#include <string.h>

enum { KINDS = 5, FIRST_PORT = 100, LIMIT = 20, MESSAGES = 6 };

static const dw_promises manners = {.segment_invariant = true,
                                    .window_invariant = true,
                                    .pipeline_invariant = true,
                                    .replies_after_eof = true,
                                    .framed = true,
                                    .fresh_reconnect = true,
                                    .memory_max = 4096};

/* ---- Servers ---- */

typedef struct session {
    union {
        dw_protocol base;
        dw_line_only_receiver line_only;
        dw_line_receiver line;
        dw_netstring_receiver netstring;
        dw_int_string_receiver int_string;
    } as;
    dw_reactor *reactor;
} session;

static struct server {
    dw_factory factory[KINDS];
    dw_reactor *reactor;
} server;

static void line_only_received(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    dw_line_only_receiver_send_line(r, line, len);
}

static void line_only_exceeded(dw_line_only_receiver *r, const uint8_t *start, size_t len) {
    dw_line_only_receiver_send_line(r, start, len);
    dw_line_only_receiver_skip_line(r);
}

static void line_received(dw_line_receiver *r, const uint8_t *line, size_t len) {
    dw_line_receiver_send_line(r, line, len);
}

static void netstring_received(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    dw_netstring_receiver_send_string(r, string, len);
}

static void int_string_received(dw_int_string_receiver *r, const uint8_t *string, size_t len) {
    dw_int_string_receiver_send_string(r, string, len);
}

static void session_destroy(dw_protocol *p) {
    session *s = (session *)(void *)p;
    const dw_protocol_class *cls = p->cls;
    dw_reactor *reactor = s->reactor;
    if (cls->data_received == dw_line_only_receiver_data_received) {
        dw_line_only_receiver_fini(&s->as.line_only);
    } else if (cls->data_received == dw_line_receiver_data_received) {
        dw_line_receiver_fini(&s->as.line);
    } else if (cls->data_received == dw_netstring_receiver_data_received) {
        dw_netstring_receiver_fini(&s->as.netstring);
    } else {
        dw_int_string_receiver_fini(&s->as.int_string);
    }
    dw_free(reactor, s);
}

static const dw_line_only_receiver_class line_only_class = {
    .base = {.name = "line-only", DW_LINE_ONLY_RECEIVER_SLOTS, .destroy = session_destroy},
    .line_received = line_only_received,
    .line_length_exceeded = line_only_exceeded};
static const dw_line_receiver_class line_class = {
    .base = {.name = "line", DW_LINE_RECEIVER_SLOTS, .destroy = session_destroy},
    .line_received = line_received};
static const dw_netstring_receiver_class netstring_class = {
    .base = {.name = "netstring", DW_NETSTRING_RECEIVER_SLOTS, .destroy = session_destroy},
    .string_received = netstring_received};
static const dw_int_string_receiver_class int_string_class = {
    .base = {.name = "int-string", DW_INT_STRING_RECEIVER_SLOTS, .destroy = session_destroy},
    .string_received = int_string_received};

static void session_init(session *s, size_t kind) {
    switch (kind) {
    case 0:
        dw_line_only_receiver_init(&s->as.line_only, &line_only_class);
        s->as.line_only.max_length = LIMIT;
        break;
    case 1:
        dw_line_receiver_init(&s->as.line, &line_class);
        s->as.line.max_length = LIMIT;
        break;
    case 2:
        dw_netstring_receiver_init(&s->as.netstring, &netstring_class);
        s->as.netstring.max_length = LIMIT;
        break;
    default:
        dw_int_string_receiver_init(&s->as.int_string, &int_string_class,
                                    kind == 3 ? DW_INT16_BIG : DW_INT32_LITTLE);
        s->as.int_string.max_length = LIMIT;
        break;
    }
}

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    session *s = dw_new(server.reactor, session);
    (void)peer;
    if (s == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    session_init(s, (size_t)(factory - server.factory));
    s->reactor = server.reactor;
    return &s->as.base;
}

static void *boot(dw_reactor *reactor, void *user) {
    static const dw_factory_class cls = {
        .name = "receivers", .build_protocol = build, .promises = &manners};
    server.reactor = reactor;
    for (uint16_t i = 0; i < KINDS; i++) {
        dw_factory_init(&server.factory[i], &cls);
        if (dw_reactor_listen_tcp(reactor, (uint16_t)(FIRST_PORT + i), &server.factory[i], 0, NULL,
                                  NULL) != 0) {
            return NULL;
        }
    }
    return user;
}

/* ---- The client: one connection, messages of one kind ---- */

static struct client {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_delayed_call next;
    dw_world *world;
    dw_reactor *reactor;
    size_t kind, sent, received;
} client;

static size_t put_length(uint8_t *out, size_t kind, size_t len) {
    switch (kind) {
    case 2:
        return (size_t)sprintf((char *)out, "%zu:", len);
    case 3:
        out[0] = 0;
        out[1] = (uint8_t)len;
        return 2;
    case 4:
        memset(out, 0, 4);
        out[0] = (uint8_t)len;
        return 4;
    default:
        return 0;
    }
}

static void send_message(void *user) {
    struct client *c = user;
    uint8_t bytes[64];
    static const size_t lengths[] = {5, 0, 1, LIMIT - 1, LIMIT, LIMIT + 1};
    size_t len = lengths[dw_world_choose(c->world, "length", 6)];
    size_t n = put_length(bytes, c->kind, len);
    for (size_t i = 0; i < len; i++) {
        bytes[n++] = (uint8_t)('a' + (c->sent + i) % 26);
    }
    if (c->kind < 2) {
        bytes[n++] = '\r';
        bytes[n++] = '\n';
    } else if (c->kind == 2) {
        bytes[n++] = ',';
    }
    dw_transport_write(c->protocol.transport, bytes, n);
    if (++c->sent < MESSAGES) {
        dw_time pause = dw_world_choose(c->world, "pause", 2) == 0 ? DW_MSEC(5) : 0;
        dw_reactor_call_later(c->reactor, &c->next, pause, send_message, c);
    }
}

static void client_made(dw_protocol *p) {
    (void)p;
    send_message(&client);
}

static void client_data(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)p, (void)data;
    client.received += len;
}

static void client_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    dw_delayed_call_cancel(&client.next);
}

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    static const dw_protocol_class cls = {.name = "client",
                                          .connection_made = client_made,
                                          .data_received = client_data,
                                          .connection_lost = client_lost};
    (void)factory, (void)peer;
    dw_protocol_init(&client.protocol, &cls);
    return &client.protocol;
}

static void receivers(dw_world *w) {
    static const dw_client_factory_class cls = {
        .base = {.name = "client", .build_protocol = client_build}};
    memset(&server, 0, sizeof(server));
    memset(&client, 0, sizeof(client));
    dw_world_add_host(w, "server", boot, &server);
    dw_host *host = dw_world_add_host(w, "client", NULL, NULL);
    client.world = w;
    client.reactor = dw_host_reactor(host);
    client.kind = dw_world_choose(w, "kind", KINDS);
    dw_client_factory_init(&client.factory, &cls);
    dw_reactor_connect_tcp(client.reactor, "server", (uint16_t)(FIRST_PORT + client.kind),
                           &client.factory, 0, NULL, NULL);
    dw_world_run(w, DW_SEC(30));
    dw_sometimes(w, client.sent == MESSAGES && client.received > 0, "messages are answered");
}

int main(void) {
    Suite *suite = suite_create("receivers_scenario");
    TCase *tc = tcase_create("receivers");
    dw_tcase_add_scenario(tc, receivers, .seeds = 5000);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
