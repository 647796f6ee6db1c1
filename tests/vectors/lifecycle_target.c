/* SPDX-License-Identifier: MIT */
/*
 * Listening ports by name, and where a connector or a datagram goes: to a port, or to one of the
 * special targets (README, 2.1), which the backend makes before the sides begin.
 */
#include "lifecycle.h"

#include <stdio.h>

/* ---- The ports of a play, under its lock ---- */

static named_port *find(play *p, const char *name) {
    for (size_t i = p->port_count; i-- > 0;) {
        if (strcmp(p->ports[i].name, name) == 0) {
            return &p->ports[i];
        }
    }
    return NULL;
}

named_port *play_port(play *p, const char *name) {
    pthread_mutex_lock(&p->lock);
    named_port *found = find(p, name);
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* A name that is used again means the new port from now on. */
named_port *play_port_add(play *p, side *s, const char *name) {
    named_port *added = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->port_count < PORTS_MAX) {
        added = &p->ports[p->port_count];
        *added = (named_port){.name = name, .s = s};
        p->port_count++;
    }
    pthread_mutex_unlock(&p->lock);
    if (added == NULL) {
        side_trouble(s, "too many ports");
    }
    return added;
}

const char *play_port_named(play *p, const dw_address *address) {
    const char *name = NULL;
    pthread_mutex_lock(&p->lock);
    for (size_t i = p->port_count; i-- > 0 && name == NULL;) {
        name = dw_address_equal(&p->ports[i].address, address) ? p->ports[i].name : NULL;
    }
    pthread_mutex_unlock(&p->lock);
    return name;
}

void play_fresh_path(play *p, char path[DW_UNIX_PATH_MAX + 1]) {
    pthread_mutex_lock(&p->lock);
    unsigned number = p->paths++;
    pthread_mutex_unlock(&p->lock);
    snprintf(path, DW_UNIX_PATH_MAX + 1, "%s/s%u", p->directory, number);
}

/* ---- Targets ---- */

static const char *const special_targets[] = {"refused", "blackhole", "unresolvable",
                                              "stale",   "missing",   "closed"};

bool targets_prepare(play *p) {
    const json_t *script = json_object_get(p->record, "script");
    for (size_t i = 0; i < sizeof(special_targets) / sizeof(special_targets[0]); i++) {
        if (script_uses(script, "to", special_targets[i]) &&
            !p->b->prepare(p, special_targets[i])) {
            side_missing(&p->sides[0], "this backend has no target \"%s\"", special_targets[i]);
            return false;
        }
    }
    if (script_uses(script, "bind", "used") && !p->b->prepare(p, "used")) {
        side_missing(&p->sides[0], "this backend has no address in use");
        return false;
    }
    return true;
}

static bool as_host(const dw_address *address, dw_address *out, char *host, size_t size) {
    *out = *address;
    dw_address_format_host(address, host, size);
    return true;
}

static bool as_path(const char *path, dw_address *out, char *host, size_t size) {
    snprintf(host, size, "%s", path);
    return dw_address_unix(out, path) == 0;
}

bool target_find(const context *ctx, const char *to, dw_address *out, char *host, size_t size) {
    play *p = ctx->s->p;
    const named_port *found = play_port(p, to);
    if (found != NULL) {
        return as_host(&found->address, out, host, size);
    }
    if (strcmp(to, "refused") == 0) {
        return p->stream_unix ? as_path(p->stale, out, host, size)
                              : as_host(&p->refused, out, host, size);
    }
    if (strcmp(to, "blackhole") == 0) {
        return as_host(&p->blackhole, out, host, size);
    }
    if (strcmp(to, "closed") == 0) {
        return as_host(&p->closed, out, host, size);
    }
    if (strcmp(to, "stale") == 0) {
        return as_path(p->stale, out, host, size);
    }
    if (strcmp(to, "missing") == 0) {
        return as_path(p->missing_path, out, host, size);
    }
    if (strcmp(to, "unresolvable") == 0) {
        /* An empty label (RFC 1035, 2.3.1): fails without asking a name server. */
        snprintf(host, size, "no..such.invalid");
        *out = (dw_address){.kind = DW_ADDRESS_IPV4, .port = 9};
        return true;
    }
    side_trouble(ctx->s, "unknown target \"%s\"", to);
    return false;
}

/* ---- Ports' operations ---- */

static int listen_unix(side *s, const char *path, named_port *at) {
    at->address = (dw_address){0};
    dw_address_unix(&at->address, path);
    return dw_reactor_listen_unix(s->reactor, path, &at->f->client.base, 0, 0, &at->port);
}

static int listen_tcp(side *s, uint16_t number, named_port *at) {
    int result =
        dw_reactor_listen_tcp(s->reactor, number, &at->f->client.base, 0, s->host, &at->port);
    if (result == 0) {
        at->address = dw_port_host(at->port);
    }
    return result;
}

/* The factory's start raised: in Twisted nobody listens then. */
static void give_up_start(named_port *at) {
    at->f->start_raised = false;
    at->s->allowed |= ALLOW_SKIPPED;
    if (at->port != NULL) {
        dw_port_stop_listening(at->port, NULL, NULL);
        at->port = NULL;
    }
}

static void listen_op(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    const char *like = op_text(ctx, args, "same_port_as", "");
    const named_port *other = like[0] != '\0' ? play_port(s->p, like) : NULL;
    factory *f = side_factory(s, op_text(ctx, args, "factory", op_text(ctx, args, "f", "f0")));
    named_port fresh = {.s = s, .f = f};
    char path[DW_UNIX_PATH_MAX + 1];
    if (f == NULL || (like[0] != '\0' && other == NULL)) {
        side_trouble(s, "listen on the port of \"%s\", which is none", like);
        return;
    }
    unsigned stops = f->hide_stops, users = f->client.base.num_ports;
    if (s->p->stream_unix) {
        if (other != NULL) {
            dw_address_format_host(&other->address, path, sizeof(path));
            f->hide_stops++; /* Twisted does not stop the factory when the bind fails */
        } else {
            play_fresh_path(s->p, path);
        }
    }
    int result = s->p->stream_unix ? listen_unix(s, path, &fresh)
                                   : listen_tcp(s, other != NULL ? other->address.port : 0, &fresh);
    side_sync(s);
    f->hide_stops = stops;
    if (result < 0 && s->p->stream_unix && users > 0) {
        factory_missed_start(f);
    }
    if (result == 0) {
        named_port *added = play_port_add(s->p, s, op_text(ctx, args, "port", "p0"));
        if (added != NULL) {
            fresh.name = added->name;
            *added = fresh;
            if (f->start_raised) {
                give_up_start(added);
            }
        }
    }
    side_result(ctx, args, result);
}

/* ---- stopListening, of ports of all kinds ---- */

typedef struct stopping {
    context ctx;
    const char *name;
    const json_t *then;
    named_port *at;
} stopping;

static void note_stop(const context *ctx, const char *event, const char *name) {
    side_note(ctx, json_pack("{s:s, s:s}", "ev", event, "port", name));
}

static void stopped(void *user) {
    stopping *it = user;
    note_stop(&it->ctx, "stopListening.fired", it->name);
    if (!it->ctx.s->raised) {
        side_perform(&it->ctx, it->then);
    }
    side_swallow(it->ctx.s);
    if (it->at != NULL) {
        it->at->port = NULL;
    }
    free(it);
}

static void stop_op(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    const char *name = op_text(ctx, args, "port", "p0");
    stopping *it = calloc(1, sizeof(*it));
    int result = DW_NOT_LISTENING;
    if (it == NULL) {
        side_trouble(s, "out of memory");
        return;
    }
    *it = (stopping){.ctx = *ctx, .name = name, .then = json_object_get(args, "then")};
    it->ctx.payload = NULL;
    /* The shutdown has closed and freed them. */
    bool closed = s->begun && !dw_reactor_running(s->reactor);
    if (!datagram_stop(ctx, name, stopped, it, &result)) {
        it->at = play_port(s->p, name);
        if (it->at == NULL) {
            side_trouble(s, "stopListening of \"%s\", which is no port", name);
        } else {
            result = dw_port_stop_listening(closed ? NULL : it->at->port, stopped, it);
        }
    }
    if (result < 0) {
        free(it);
        note_stop(ctx, "stopListening.none", name);
    }
}

const operation port_operations[] = {
    {"listen", listen_op},
    {"stopListening", stop_op},
    {NULL, NULL},
};
