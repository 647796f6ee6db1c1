/* SPDX-License-Identifier: MIT */
/*
 * Scripted datagram protocols and the operations on their ports (README, 2.1: udp.*).
 */
#include "lifecycle.h"

#include <stdio.h>

static datagrams *of(dw_datagram_protocol *base) {
    return DW_CONTAINER_OF(base, datagrams, base);
}

static json_t *port_event(const datagrams *u, const char *name) {
    json_t *event = json_pack("{s:s}", "ev", name);
    if (strcmp(u->name, "u0") != 0) {
        json_object_set_new(event, "u", json_string(u->name));
    }
    return event;
}

/* ---- Callbacks ---- */

static void note_transport(datagrams *u, const char *name) {
    json_t *event = port_event(u, name);
    json_object_set_new(event, "transport", json_boolean(u->base.transport != NULL));
    side_note(&(context){.s = u->s, .u = u}, event);
}

static void started(dw_datagram_protocol *base) {
    datagrams *u = of(base);
    u->port = base->transport;
    note_transport(u, "startProtocol");
}

/* Senders are numbered in order of appearance, per side. */
static size_t sender_number(side *s, const dw_address *from) {
    size_t at = 0;
    while (at < s->sender_count && !dw_address_equal(&s->senders[at], from)) {
        at++;
    }
    if (at == s->sender_count && at < NAMES_MAX) {
        s->senders[s->sender_count++] = *from;
    }
    return at;
}

/* An exception in the following three is only logged. */
static void received(dw_datagram_protocol *base, const uint8_t *data, size_t len,
                     const dw_address *from) {
    datagrams *u = of(base);
    context ctx = {.s = u->s, .u = u, .payload = data, .len = len, .sender = from};
    char peer[24];
    snprintf(peer, sizeof(peer), "peer%zu", sender_number(u->s, from));
    json_t *event = port_event(u, "datagramReceived");
    json_object_set_new(event, "peer", json_string(peer));
    payload_set(event, data, len);
    side_note(&ctx, event);
    side_swallow(u->s);
}

static void refused(dw_datagram_protocol *base) {
    datagrams *u = of(base);
    side_note(&(context){.s = u->s, .u = u}, port_event(u, "connectionRefused"));
    side_swallow(u->s);
}

static void stopped(dw_datagram_protocol *base) {
    datagrams *u = of(base);
    u->port = NULL;
    if (!u->hidden) {
        note_transport(u, "stopProtocol");
        side_swallow(u->s);
    }
}

static const dw_datagram_protocol_class scripted = {.name = "scripted datagram protocol",
                                                    .start_protocol = started,
                                                    .datagram_received = received,
                                                    .connection_refused = refused,
                                                    .stop_protocol = stopped};

/* ---- Ports ---- */

static datagrams *find(side *s, const char *name) {
    for (size_t i = s->datagrams_count; i-- > 0;) {
        if (strcmp(s->datagrams[i]->name, name) == 0) {
            return s->datagrams[i];
        }
    }
    return NULL;
}

static datagrams *add(side *s, const char *name) {
    datagrams *u = s->datagrams_count < NAMES_MAX ? calloc(1, sizeof(*u)) : NULL;
    if (u == NULL) {
        side_trouble(s, "too many datagram ports");
        return NULL;
    }
    dw_datagram_protocol_init(&u->base, &scripted);
    u->s = s;
    u->name = name;
    s->datagrams[s->datagrams_count++] = u;
    return u;
}

static void listen_op(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    const char *like = op_text(ctx, args, "same_port_as", "");
    const named_port *other = like[0] != '\0' ? play_port(s->p, like) : NULL;
    datagrams *u = add(s, op_text(ctx, args, "u", "u0"));
    double size = op_number(ctx, args, "maxPacketSize", 0);
    if (u == NULL || (like[0] != '\0' && other == NULL)) {
        side_trouble(s, "udp.listen on the port of \"%s\", which is none", like);
        return;
    }
    dw_datagram_port *opened = NULL;
    int result = dw_reactor_listen_udp(s->reactor, other != NULL ? other->address.port : 0,
                                       &u->base, s->host, (size_t)size, &opened);
    if (result == 0 && u->port != NULL) {
        named_port *added = play_port_add(s->p, s, u->name);
        if (added != NULL) {
            added->address = dw_datagram_host(u->port);
        }
        if (s->raised) { /* Twisted: reaches the caller, and nobody listens */
            u->hidden = true;
            s->allowed |= ALLOW_SKIPPED;
            dw_datagram_stop_listening(u->port, NULL, NULL);
        }
    } else if (result < 0) {
        s->datagrams_count--;
    }
    side_result(ctx, args, result);
}

bool datagram_stop(const context *ctx, const char *name, void (*done)(void *user), void *user,
                   int *result) {
    datagrams *u = find(ctx->s, name);
    if (u == NULL && ctx->s->p->datagram && ctx->s->datagrams_count > 0 &&
        play_port(ctx->s->p, name) == NULL) {
        u = ctx->s->datagrams[0]; /* the port's default name is a stream's */
    }
    if (u == NULL) {
        return false;
    }
    *result = dw_datagram_stop_listening(u->port, done, user);
    return true;
}

static datagrams *needed(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "u", "");
    side *s = ctx->s;
    datagrams *u = name[0] != '\0' ? find(s, name) : ctx->u != NULL ? ctx->u : find(s, "u0");
    if (u == NULL && name[0] == '\0' && s->datagrams_count > 0) {
        u = s->datagrams[0];
    }
    if (u == NULL) {
        side_trouble(s, "the operation \"%s\" without a datagram port",
                     op_text(ctx, args, "op", ""));
    }
    return u;
}

/* ---- Sending ---- */

typedef enum where { NOWHERE, SOMEWHERE, NOT_AN_ADDRESS } where;

static where destination_address(const context *ctx, const json_t *args, dw_address *to,
                                 char host[DW_UNIX_PATH_MAX + 1]) {
    const char *name = op_text(ctx, args, "to", "");
    if (name[0] == '\0') {
        return NOWHERE;
    }
    if (strcmp(name, "hostname") == 0) {
        strcpy(host, "localhost");
        return NOT_AN_ADDRESS;
    }
    return target_find(ctx, name, to, host, DW_UNIX_PATH_MAX + 1) ? SOMEWHERE : NOWHERE;
}

static void sent(const context *ctx, const json_t *args, ssize_t result) {
    const char *op = op_text(ctx, args, "op", NULL);
    if (result < 0) {
        side_result(ctx, args, (int)result);
    } else if (op_flag(args, "result")) { /* Twisted's writeSequence returns nothing */
        json_t *value =
            strcmp(op, "udp.writeSequence") == 0 ? json_null() : json_integer((json_int_t)result);
        side_note(ctx, json_pack("{s:s, s:s, s:o}", "ev", "value", "of", op, "value", value));
    }
}

/* A name is no dw_address: what a program finds out when it reads one. */
static bool send_address(const context *ctx, const json_t *args, dw_address *to, bool *given) {
    char host[DW_UNIX_PATH_MAX + 1];
    where place = destination_address(ctx, args, to, host);
    *given = place == SOMEWHERE;
    if (place == NOT_AN_ADDRESS) {
        side_result(ctx, args, dw_address_parse(to, host, 9));
        return false;
    }
    return true;
}

static void write_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    bytes b = op_bytes(ctx, args);
    dw_address to = {0};
    bool given = false;
    if (u != NULL && send_address(ctx, args, &to, &given)) {
        sent(ctx, args, dw_datagram_write(u->port, b.data, b.len, given ? &to : NULL));
    }
    bytes_free(&b);
}

static void writev_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    size_t count;
    bytes *pieces = op_pieces(ctx, args, &count);
    struct iovec *vectors = calloc(count + 1, sizeof(*vectors));
    dw_address to = {0};
    bool given = false;
    for (size_t i = 0; vectors != NULL && i < count; i++) {
        vectors[i] = (struct iovec){pieces[i].data, pieces[i].len};
    }
    if (u != NULL && vectors != NULL && send_address(ctx, args, &to, &given)) {
        sent(ctx, args, dw_datagram_writev(u->port, vectors, count, given ? &to : NULL));
    }
    free(vectors);
    op_pieces_free(pieces, count);
}

static void reply_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    if (u == NULL || ctx->sender == NULL) {
        side_trouble(ctx->s, "\"udp.reply\" outside datagramReceived");
        return;
    }
    if (op_flag(args, "echo") || json_object_size(args) == 1) {
        sent(ctx, args, dw_datagram_write(u->port, ctx->payload, ctx->len, ctx->sender));
        return;
    }
    bytes b = op_bytes(ctx, args);
    sent(ctx, args, dw_datagram_write(u->port, b.data, b.len, ctx->sender));
    bytes_free(&b);
}

static void connect_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    dw_address to = {.port = 9};
    char host[DW_UNIX_PATH_MAX + 1] = "";
    if (u != NULL && destination_address(ctx, args, &to, host) != NOWHERE) {
        side_result(ctx, args, dw_datagram_connect(u->port, host, to.port));
    }
}

static void pause_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    if (u != NULL) {
        dw_datagram_pause_producing(u->port);
    }
}

static void resume_op(const context *ctx, const json_t *args) {
    datagrams *u = needed(ctx, args);
    if (u != NULL) {
        dw_datagram_resume_producing(u->port);
    }
}

const operation datagram_operations[] = {
    {"udp.listen", listen_op}, {"udp.connect", connect_op},
    {"udp.write", write_op},   {"udp.writeSequence", writev_op},
    {"udp.reply", reply_op},   {"udp.pause", pause_op},
    {"udp.resume", resume_op}, {NULL, NULL},
};
