/* SPDX-License-Identifier: MIT */
/*
 * The wire that waits for the script: every attempt to connect stays in the name look-up until a
 * step decides it, every send is taken, nothing is ever received. See rig.h.
 */
#include "rig.h"

#include "internal.h"

#include <math.h>

static rig *rig_of(dw_reactor *reactor) {
    return (rig *)(void *)reactor;
}

/* ---- Time ---- */

dw_time instant_of(double seconds) {
    return (dw_time)ceil(seconds * 1e9);
}

dw_time duration_of(double seconds) {
    return (dw_time)floor(seconds * 1e9);
}

static void run_due(rig *r) {
    unsigned turns = 0;
    while (dw_timers_next_due(&r->reactor) <= r->now && r->player->trouble[0] == '\0') {
        if (++turns > TURNS_MAX) {
            player_trouble(r->player, "step %d: delayed calls without end", (int)r->player->at);
            return;
        }
        dw_reactor_turn_calls(&r->reactor);
    }
}

void rig_advance(rig *r, double seconds) {
    r->now_s += seconds;
    r->end_s = r->now_s;
    r->now = instant_of(r->now_s);
    run_due(r);
}

void rig_advance_own_time(rig *r, double seconds) {
    r->end_s = r->now_s + seconds;
    dw_time end = instant_of(r->end_s);
    unsigned turns = 0;
    for (;;) {
        dw_time due = dw_timers_next_due(&r->reactor);
        if (due > end || r->player->trouble[0] != '\0' || ++turns > TURNS_MAX) {
            break;
        }
        r->now = due > r->now ? due : r->now;
        run_due(r);
    }
    r->now_s = r->end_s;
    r->now = end;
}

void player_advance(player *p, const json_t *args) {
    double s = arg_number(p, args, "s");
    if (p->own_time) {
        rig_advance_own_time(p->rig, s);
    } else {
        rig_advance(p->rig, s);
    }
}

void rig_turn(rig *r) {
    dw_reactor_turn_calls(&r->reactor);
}

/* ---- The wire ---- */

static dw_time wire_now(dw_reactor *reactor) {
    return rig_of(reactor)->now;
}

static void wire_random(dw_reactor *reactor, void *buffer, size_t len) {
    (void)reactor;
    memset(buffer, 0, len);
}

static uint32_t wire_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    (void)reactor, (void)what, (void)n;
    return 0;
}

static int wire_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    (void)reactor, (void)kind;
    io->socket = 1;
    return 0;
}

static int wire_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)reactor, (void)io, (void)address;
    return 0;
}

static int wire_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)reactor, (void)io, (void)backlog;
    return 0;
}

static int wire_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)io, (void)address;
    return -rig_of(reactor)->connect_error;
}

static int wire_connect_result(dw_reactor *reactor, dw_io *io) {
    (void)io;
    return -rig_of(reactor)->connect_error;
}

static int wire_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    (void)reactor, (void)listener, (void)conn, (void)peer;
    return -EAGAIN;
}

static ssize_t wire_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    (void)reactor, (void)io, (void)data;
    return -EAGAIN;
}

static ssize_t wire_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    (void)reactor, (void)io;
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        total += (ssize_t)pieces[i].iov_len;
    }
    return total;
}

static int wire_shutdown(dw_reactor *reactor, dw_io *io) {
    (void)reactor, (void)io;
    return 0;
}

static void wire_close(dw_reactor *reactor, dw_io *io, bool reset) {
    (void)reactor, (void)reset;
    io->socket = DW_SOCKET_NONE;
}

static int wire_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)reactor, (void)io;
    return dw_address_parse(out, "127.0.0.1", 1);
}

static int wire_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)reactor, (void)io, (void)option;
    return 0;
}

static int wire_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    (void)reactor, (void)io, (void)option, (void)value;
    return 0;
}

static void wire_watch(dw_reactor *reactor, dw_io *io) {
    (void)reactor, (void)io;
}

static int wire_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    rig_of(reactor)->lookup = lookup;
    return 0;
}

static void wire_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    (void)lookup;
    rig_of(reactor)->lookup = NULL;
}

static void wire_violation(dw_reactor *reactor, const char *oracle, const char *message) {
    player *p = rig_of(reactor)->player;
    player_trouble(p, "step %d: broken contract (%s): %s", (int)p->at, oracle, message);
}

static void wire_log(dw_reactor *reactor, const char *line) {
    (void)reactor, (void)line;
}

static const dw_wire scripted_wire = {
    .name = "vectors",
    .now = wire_now,
    .wall_clock = wire_now,
    .random = wire_random,
    .choose = wire_choose,
    .open = wire_open,
    .bind = wire_bind,
    .listen = wire_listen,
    .connect = wire_connect,
    .connect_result = wire_connect_result,
    .accept = wire_accept,
    .recv = wire_recv,
    .send = wire_send,
    .shutdown = wire_shutdown,
    .close = wire_close,
    .local_address = wire_local_address,
    .get_option = wire_get_option,
    .set_option = wire_set_option,
    .watch = wire_watch,
    .resolve = wire_resolve,
    .resolve_cancel = wire_resolve_cancel,
    .violation = wire_violation,
    .log = wire_log,
};

static void rig_observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                        const void *data, size_t len) {
    (void)io, (void)code, (void)data, (void)len;
    rig_of(reactor)->player->running += seen == DW_SEEN_CALL;
}

void rig_init(rig *r, player *p) {
    memset(r, 0, sizeof(*r));
    dw_reactor_init(&r->reactor, &scripted_wire, NULL);
    r->reactor.observe = rig_observe;
    r->player = p;
    p->rig = r;
    dw_reactor_startup(&r->reactor);
}

void rig_fini(rig *r) {
    dw_reactor_fini(&r->reactor);
    r->player->rig = NULL;
}

/* ---- Attempts and connections of a connector ---- */

static int errno_of(dw_error kind) {
    switch (kind) {
    case DW_CONNECTION_REFUSED:
        return ECONNREFUSED;
    case DW_TCP_TIMED_OUT:
        return ETIMEDOUT;
    case DW_NO_ROUTE:
        return EHOSTUNREACH;
    case DW_NO_MEMORY:
        return ENOMEM;
    case DW_CONNECT_ERROR:
        return EIO;
    default:
        return 0;
    }
}

/* Begins the look-up if that is still due, and takes it. */
static dw_lookup *take_lookup(rig *r) {
    if (r->lookup == NULL) {
        rig_turn(r);
    }
    dw_lookup *lookup = r->lookup;
    r->lookup = NULL;
    if (lookup == NULL) {
        player_trouble(r->player, "step %d: no attempt is under way", (int)r->player->at);
    }
    return lookup;
}

static void answer(rig *r, int connect_error) {
    dw_lookup *lookup = take_lookup(r);
    dw_address address;
    if (lookup != NULL && dw_address_parse(&address, "127.0.0.1", 0) == 0) {
        r->connect_error = connect_error;
        dw_lookup_done(&r->reactor, lookup, 0, &address, 1);
    }
}

void rig_connect_succeeds(rig *r) {
    answer(r, 0);
}

void rig_connect_fails(rig *r, dw_error kind) {
    if (kind == DW_DNS_LOOKUP) {
        dw_lookup *lookup = take_lookup(r);
        if (lookup != NULL) {
            dw_lookup_done(&r->reactor, lookup, -ENOENT, NULL, 0);
        }
    } else if (errno_of(kind) != 0) {
        answer(r, errno_of(kind));
    } else {
        player_trouble(r->player, "step %d: no attempt fails with %s by itself", (int)r->player->at,
                       reason_name(kind));
    }
}

/* Connections that have ended may lie in the list still. */
dw_transport *rig_connection(rig *r) {
    struct dw_list_node *all = &r->reactor.transports;
    for (struct dw_list_node *node = all->next; node != all; node = node->next) {
        dw_transport *t = DW_CONTAINER_OF(node, dw_transport, node);
        if ((t->flags & T_CONNECTED) != 0) {
            return t;
        }
    }
    return NULL;
}

void rig_connection_lost(rig *r, dw_error kind) {
    dw_transport *t = rig_connection(r);
    if (t == NULL) {
        player_trouble(r->player, "step %d: there is no connection to lose", (int)r->player->at);
        return;
    }
    r->reactor.depth++;
    dw_stream_lost(t, kind, 0, NULL);
    r->reactor.depth--;
    dw_reactor_flush(&r->reactor);
}
