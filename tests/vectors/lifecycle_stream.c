/* SPDX-License-Identifier: MIT */
/*
 * Scripted stream protocols, and the operations on their transports. What a program may still ask
 * after connectionLost (addresses, flags) it answers from what it saw last, for the transport is
 * gone by then.
 */
#include "lifecycle.h"

static const dw_reason app_error = {DW_APP_ERROR, 0, "the script raised"};

static conn *conn_of(dw_protocol *base) {
    return DW_CONTAINER_OF(base, conn, base);
}

context conn_context(conn *c) {
    return (context){.s = c->s, .c = c};
}

static json_t *conn_event(const conn *c, const char *name) {
    json_t *event = json_pack("{s:s}", "ev", name);
    if (c->number > 0) {
        json_object_set_new(event, "c", json_integer(c->number));
    }
    return event;
}

/* ---- Callbacks ---- */

static void see_flags(conn *c) {
    dw_transport *t = c->base.transport;
    c->connected = dw_transport_connected(t);
    c->disconnecting = dw_transport_disconnecting(t);
    c->disconnected = dw_transport_disconnected(t);
    c->peer = dw_transport_peer(t);
    c->host = dw_transport_host(t);
}

static void fail_if_raised(conn *c) {
    if (side_caught(c->s)) {
        conn_drops(c);
        dw_transport_fail(c->base.transport, &app_error);
    }
}

static void made(dw_protocol *base) {
    conn *c = conn_of(base);
    context ctx = conn_context(c);
    c->number = (json_int_t)c->s->conn_count;
    if (c->number >= CONNECTIONS_MAX) {
        side_trouble(c->s, "too many connections");
        return;
    }
    c->s->conns[c->s->conn_count++] = c;
    bool raised = !side_note(&ctx, conn_event(c, "connectionMade"));
    if (raised && c->k != NULL && c->s->p->stream_unix) {
        side_accident(&c->s->p->sides[SIDE_CLIENT]); /* "only logged and nobody is told" */
        side_accident(&c->s->p->sides[SIDE_SERVER]);
    }
    fail_if_raised(c);
}

static void received(dw_protocol *base, const uint8_t *data, size_t len) {
    conn *c = conn_of(base);
    context ctx = {.s = c->s, .c = c, .payload = data, .len = len};
    c->received += len;
    side_note_data(&ctx, conn_event(c, "data"), data, len);
    fail_if_raised(c);
}

static void read_lost(dw_protocol *base) {
    context ctx = conn_context(conn_of(base));
    side_note(&ctx, conn_event(ctx.c, "readConnectionLost"));
    fail_if_raised(ctx.c);
}

static void write_lost(dw_protocol *base) {
    context ctx = conn_context(conn_of(base));
    side_note(&ctx, conn_event(ctx.c, "writeConnectionLost"));
    fail_if_raised(ctx.c);
}

static void lost(dw_protocol *base, const dw_reason *reason) {
    conn *c = conn_of(base);
    context ctx = conn_context(c);
    see_flags(c);
    json_t *event = conn_event(c, "connectionLost");
    json_object_set_new(event, "reason", json_string(reason_class(reason)));
    if (!side_note(&ctx, event) && c->k != NULL) {
        c->k->hide_lost = true; /* README, section 4: 9 */
    }
    side_caught(c->s);
    see_flags(c);
    c->over = true;
}

static const dw_protocol_class plain = {.name = "scripted protocol",
                                        .connection_made = made,
                                        .data_received = received,
                                        .connection_lost = lost};

static const dw_protocol_class aware = {.name = "scripted protocol, aware of half closes",
                                        .connection_made = made,
                                        .data_received = received,
                                        .connection_lost = lost,
                                        .read_connection_lost = read_lost,
                                        .write_connection_lost = write_lost};

conn *conn_new(factory *f, destination *k) {
    conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        side_trouble(f->s, "out of memory");
        return NULL;
    }
    dw_protocol_init(&c->base, f->s->half_close ? &aware : &plain);
    c->s = f->s;
    c->k = k;
    c->dropped = SIZE_MAX;
    return c;
}

/* ---- Writing ---- */

conn *context_conn(const context *ctx, const json_t *args) {
    double number = op_number(ctx, args, "c", -1);
    if (number < 0 && ctx->c != NULL) {
        return ctx->c;
    }
    size_t at = number < 0 ? 0 : (size_t)number;
    return at < ctx->s->conn_count ? ctx->s->conns[at] : NULL;
}

/* The connection of an operation that makes no sense without one. */
static conn *needed(const context *ctx, const json_t *args) {
    conn *c = context_conn(ctx, args);
    if (c == NULL) {
        side_trouble(ctx->s, "the operation \"%s\" without a connection",
                     op_text(ctx, args, "op", ""));
    }
    return c;
}

void conn_wrote(conn *c, const void *data, size_t len) {
    if (c->over || len == 0) {
        return;
    }
    if (c->sent_len + len > c->sent_room) {
        size_t room = 2 * (c->sent_len + len);
        uint8_t *grown = realloc(c->sent, room);
        if (grown == NULL) {
            side_trouble(c->s, "out of memory");
            return;
        }
        c->sent = grown;
        c->sent_room = room;
    }
    memcpy(c->sent + c->sent_len, data, len);
    c->sent_len += len;
}

void conn_drops(conn *c) {
    c->dropped = c->settled < c->dropped ? c->settled : c->dropped;
}

static void write_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    bytes b = op_bytes(ctx, args);
    if (c != NULL) {
        conn_wrote(c, b.data, b.len);
        dw_transport_write(c->base.transport, b.data, b.len);
    }
    bytes_free(&b);
}

static void writev_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    size_t count;
    bytes *pieces = op_pieces(ctx, args, &count);
    struct iovec *vectors = calloc(count + 1, sizeof(*vectors));
    for (size_t i = 0; c != NULL && vectors != NULL && i < count; i++) {
        vectors[i] = (struct iovec){pieces[i].data, pieces[i].len};
        conn_wrote(c, pieces[i].data, pieces[i].len);
    }
    if (c != NULL && vectors != NULL) {
        dw_transport_writev(c->base.transport, vectors, count);
    }
    free(vectors);
    op_pieces_free(pieces, count);
}

static void echo_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    if (c != NULL && ctx->payload != NULL) {
        conn_wrote(c, ctx->payload, ctx->len);
        dw_transport_write(c->base.transport, ctx->payload, ctx->len);
    }
}

/* ---- Verbs ---- */

static const struct {
    const char *name;
    void (*verb)(dw_transport *transport);
} verbs[] = {
    {"loseConnection", dw_transport_lose_connection},
    {"abortConnection", dw_transport_abort_connection},
    {"loseWriteConnection", dw_transport_lose_write_connection},
    {"pauseProducing", dw_transport_pause_producing},
    {"resumeProducing", dw_transport_resume_producing},
    {"stopProducing", dw_transport_stop_producing},
};

/* What the judge has to know of it. */
static void see_verb(conn *c, const char *name) {
    bool pauses = strcmp(name, "pauseProducing") == 0;
    bool closes = strcmp(name, "loseConnection") == 0 || strcmp(name, "stopProducing") == 0 ||
                  strcmp(name, "stopConsuming") == 0 || strcmp(name, "abortConnection") == 0;
    c->stopped = c->stopped || pauses || closes;
    c->closed = c->closed || closes;
    c->paused = pauses || (c->paused && strcmp(name, "resumeProducing") != 0);
    if (strcmp(name, "abortConnection") == 0) {
        conn_drops(c);
    }
}

static void verb_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    const char *name = op_text(ctx, args, "op", NULL);
    for (size_t i = 0; c != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            see_verb(c, name);
            verbs[i].verb(c->base.transport);
            return;
        }
    }
}

/* Twisted: unregisterProducer, then loseConnection (IConsumer has no such verb any more). */
static void stop_consuming_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    if (c != NULL) {
        see_verb(c, "stopConsuming");
        dw_transport_unregister_producer(c->base.transport);
        dw_transport_lose_connection(c->base.transport);
    }
}

/* ---- Facts ---- */

static void flags_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    if (c == NULL) {
        return;
    }
    if (!c->over) {
        see_flags(c);
    }
    side_note(ctx, json_pack("{s:s, s:b, s:b, s:b}", "ev", "flags", "connected", c->connected,
                             "disconnecting", c->disconnecting, "disconnected", c->disconnected));
}

/* The option that a getter's or setter's name speaks of: "getTcpNoDelay", "TcpNoDelay", "nodelay".
 */
static bool speaks_of(const char *name, const char *word) {
    char low[64];
    size_t n = 0;
    for (; *name != '\0' && n + 1 < sizeof(low); name++) {
        if (*name != '_') {
            low[n++] = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
        }
    }
    low[n] = '\0';
    return strstr(low, word) != NULL;
}

static const char *option_name(const context *ctx, const json_t *args) {
    static const char *const keys[] = {"of", "name", "option", "what", "opt"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (json_object_get(args, keys[i]) != NULL) {
            return op_text(ctx, args, keys[i], NULL);
        }
    }
    side_trouble(ctx->s, "\"%s\" without the name of an option", op_text(ctx, args, "op", ""));
    return "";
}

static void get_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    const char *name = option_name(ctx, args);
    if (c == NULL || !(speaks_of(name, "nodelay") || speaks_of(name, "keepalive"))) {
        side_trouble(ctx->s, "unknown option \"%s\"", name);
        return;
    }
    bool on = speaks_of(name, "nodelay") ? dw_transport_get_no_delay(c->base.transport)
                                         : dw_transport_get_keep_alive(c->base.transport);
    side_note(ctx, json_pack("{s:s, s:s, s:b}", "ev", "value", "of", name, "value", on));
}

static bool option_value(const json_t *args) {
    static const char *const keys[] = {"value", "v", "to", "enabled"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (json_object_get(args, keys[i]) != NULL) {
            return op_flag(args, keys[i]);
        }
    }
    return op_flag(args, "on");
}

static void set_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    const char *name = option_name(ctx, args);
    bool on = option_value(args);
    if (c == NULL) {
        return;
    }
    if (speaks_of(name, "nodelay")) {
        side_result(ctx, args, dw_transport_set_no_delay(c->base.transport, on));
    } else if (speaks_of(name, "keepalive")) {
        side_result(ctx, args, dw_transport_set_keep_alive(c->base.transport, on));
    } else {
        side_trouble(ctx->s, "unknown option \"%s\"", name);
    }
}

static json_t *unix_address(const context *ctx, const dw_address *address) {
    const char *name = address->path_len > 0 ? play_port_named(ctx->s->p, address) : NULL;
    return json_pack("{s:s, s:s, s:s?}", "ev", "addr", "type", "UNIXAddress", "name", name);
}

/* The host's own address stands for 127.0.0.1, where the recordings were made. */
static json_t *ip_address(const context *ctx, const dw_address *address) {
    char host[DW_ADDRESS_TEXT_MAX];
    const char *port = play_port_named(ctx->s->p, address);
    dw_address_format_host(address, host, sizeof(host));
    bool local = false;
    for (int i = 0; i < SIDE_COUNT; i++) {
        local = local || strcmp(host, ctx->s->p->sides[i].host) == 0;
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "ev", "addr", "type",
                     address->kind == DW_ADDRESS_IPV6 ? "IPv6Address" : "IPv4Address", "proto",
                     ctx->s->p->datagram ? "UDP" : "TCP", "host", local ? "127.0.0.1" : host,
                     "port", port != NULL ? port : "ephemeral");
}

static bool address_of(const context *ctx, const json_t *args, const char *of, dw_address *out) {
    if (strcmp(of, "port") == 0) {
        named_port *p =
            play_port(ctx->s->p, op_text(ctx, args, "port", op_text(ctx, args, "name", "p0")));
        *out = p != NULL ? p->address : (dw_address){0};
        return p != NULL;
    }
    if (strcmp(of, "destination") == 0) {
        const char *name = op_text(ctx, args, "k", op_text(ctx, args, "name", "k0"));
        const destination *k = side_destination(ctx->s, name);
        char host[DW_UNIX_PATH_MAX + 1];
        if (k == NULL || k->connector == NULL) {
            return false;
        }
        return ctx->s->p->stream_unix ? dw_address_unix(out, dw_connector_host(k->connector)) == 0
                                      : target_find(ctx, k->to, out, host, sizeof(host)) &&
                                            dw_address_parse(out, dw_connector_host(k->connector),
                                                             dw_connector_port(k->connector)) == 0;
    }
    conn *c = context_conn(ctx, args);
    if (c == NULL || (strcmp(of, "peer") != 0 && strcmp(of, "host") != 0)) {
        return false;
    }
    if (!c->over) {
        see_flags(c);
    }
    *out = strcmp(of, "peer") == 0 ? c->peer : c->host;
    return true;
}

static void addr_op(const context *ctx, const json_t *args) {
    const char *of = op_text(ctx, args, "of", NULL);
    dw_address address = {0};
    if (!address_of(ctx, args, of, &address)) {
        side_trouble(ctx->s, "unknown address \"%s\"", of);
        return;
    }
    json_t *event =
        ctx->s->p->stream_unix ? unix_address(ctx, &address) : ip_address(ctx, &address);
    json_object_set_new(event, "of", json_string(of));
    side_note(ctx, event);
}

const operation stream_operations[] = {
    {"write", write_op},
    {"writeSequence", writev_op},
    {"echo", echo_op},
    {"loseConnection", verb_op},
    {"abortConnection", verb_op},
    {"loseWriteConnection", verb_op},
    {"pauseProducing", verb_op},
    {"resumeProducing", verb_op},
    {"stopProducing", verb_op},
    {"stopConsuming", stop_consuming_op},
    {"flags", flags_op},
    {"addr", addr_op},
    {"get", get_op},
    {"set", set_op},
    {NULL, NULL},
};
