/* SPDX-License-Identifier: MIT */
/*
 * Sockets as a host's reactor sees them: the slots of the wire, in front of listeners and of the
 * ends of streams. A socket that is open and nothing more yet has no object; one that is bound has
 * a listener's. Errors are those of Linux's calls (bind(2), connect(2), listen(2)).
 */
#include "internal.h"

/* open's answer until bind, listen or connect say what it becomes. */
#define SOCKET_FRESH ((dw_socket)0)

enum { EPHEMERAL_FIRST = 32768, EPHEMERAL_LAST = 60999 /* Linux: ip_local_port_range */ };

static sim_end *end_of(const dw_io *io) {
    return (sim_end *)io->socket;
}

static bool is_listener(const dw_io *io) {
    return io->socket != SOCKET_FRESH && ((sim_event *)io->socket)->type == EV_LISTENER;
}

static sim_listener *listener_of(const dw_io *io) {
    return (sim_listener *)io->socket;
}

/* ---- Listeners ---- */

sim_listener *sim_listener_find(dw_host *host, uint16_t port) {
    for (sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->port == port && l->listening) {
            return host->power == POWER_UP ? l : NULL;
        }
    }
    return NULL;
}

static bool port_taken(dw_host *host, uint16_t port) {
    for (sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->port == port) {
            return true;
        }
    }
    return false;
}

static uint16_t free_port(dw_host *host) {
    for (int tries = EPHEMERAL_FIRST; tries <= EPHEMERAL_LAST; tries++) {
        uint16_t port = host->next_port;
        host->next_port = (uint16_t)(port < EPHEMERAL_LAST ? port + 1 : EPHEMERAL_FIRST);
        if (!port_taken(host, port)) {
            return port;
        }
    }
    return 0;
}

void sim_listener_poke(sim_listener *listener) {
    dw_host *host = listener->host;
    if (listener->accept_head != NULL && listener->io != NULL &&
        (listener->io->want & DW_READABLE) != 0 && listener->ready.place == 0) {
        dw_time at =
            host->stalled_until > host->world->now ? host->stalled_until : host->world->now;
        sim_world_schedule(host->world, &listener->ready, at);
    }
}

void sim_listener_enqueue(sim_listener *listener, sim_conn *conn) {
    conn->listener = listener;
    conn->next_accept = NULL;
    if (listener->accept_tail != NULL) {
        listener->accept_tail->next_accept = conn;
    } else {
        listener->accept_head = conn;
    }
    listener->accept_tail = conn;
    listener->accept_count++;
    sim_listener_ready(listener);
}

void sim_listener_ready(sim_listener *listener) {
    dw_host *host = listener->host;
    if (host->power != POWER_UP || listener->io == NULL || listener->accept_head == NULL ||
        (listener->io->want & DW_READABLE) == 0) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        sim_listener_poke(listener);
        return;
    }
    sim_host_enter(host);
    dw_io_ready(&host->reactor, listener->io, DW_READABLE);
    sim_host_leave(host);
    sim_listener_poke(listener); /* core takes so many at once and no more */
}

static sim_conn *take_waiting(sim_listener *listener) {
    sim_conn *conn = listener->accept_head;
    if (conn != NULL) {
        listener->accept_head = conn->next_accept;
        if (listener->accept_head == NULL) {
            listener->accept_tail = NULL;
        }
        listener->accept_count--;
        conn->listener = NULL;
    }
    return conn;
}

/* What waits to be accepted is reset, as Linux does. */
void sim_listener_close(sim_listener *listener) {
    dw_host *host = listener->host;
    for (sim_conn *conn = take_waiting(listener); conn != NULL; conn = take_waiting(listener)) {
        sim_stream_close(&conn->end[1], true);
    }
    sim_queue_remove(&host->world->queue, &listener->ready);
    for (sim_listener **l = &host->listeners; *l != NULL; l = &(*l)->next) {
        if (*l == listener) {
            *l = listener->next;
            break;
        }
    }
}

/* ---- The slots ---- */

static int sim_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    (void)reactor;
    io->socket = SOCKET_FRESH;
    return kind == DW_ADDRESS_IPV4 || kind == DW_ADDRESS_IPV6 ? 0 : -EAFNOSUPPORT;
}

static bool is_own_address(dw_host *host, const dw_address *address) {
    static const uint8_t any[16] = {0};
    size_t len = address->kind == DW_ADDRESS_IPV4 ? 4 : 16;
    return memcmp(address->ip, any, len) == 0 ||
           sim_host_by_address(host->world, host, address) == host;
}

static int sim_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    dw_host *host = host_of(reactor);
    if (!is_own_address(host, address)) {
        return -EADDRNOTAVAIL;
    }
    if (address->port != 0 && port_taken(host, address->port)) {
        return -EADDRINUSE;
    }
    sim_listener *listener = sim_world_alloc(host->world, sizeof(*listener));
    *listener = (sim_listener){.ready = {.type = EV_LISTENER}, .host = host};
    listener->port = address->port != 0 ? address->port : free_port(host);
    if (listener->port == 0) {
        return -EADDRINUSE;
    }
    listener->next = host->listeners;
    host->listeners = listener;
    io->socket = (dw_socket)listener;
    return 0;
}

static int sim_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)reactor;
    sim_listener *listener = listener_of(io);
    listener->listening = true;
    listener->backlog = (unsigned)backlog;
    return 0;
}

/* An address that nobody has is no route; a machine that is dark is one, and never answers. */
static int sim_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    dw_host *host = host_of(reactor);
    dw_host *to = sim_host_by_address(host->world, host, address);
    uint16_t port = 0;
    if (is_listener(io)) {
        port = listener_of(io)->port;
        sim_listener_close(listener_of(io));
    }
    if (to == NULL) {
        return -ENETUNREACH;
    }
    if (port == 0 && (port = free_port(host)) == 0) {
        return -EADDRNOTAVAIL;
    }
    sim_end *end = &sim_stream_connect(host, to, address->port)->end[0];
    end->port = port;
    end->io = io;
    io->socket = (dw_socket)end;
    return -EINPROGRESS;
}

static int sim_connect_result(dw_reactor *reactor, dw_io *io) {
    (void)reactor;
    sim_end *end = end_of(io);
    if ((end->flags & E_DEAD) != 0) {
        return -(int)end->error;
    }
    return (end->flags & E_ESTABLISHED) != 0 ? 0 : -EINPROGRESS;
}

static int sim_accept(dw_reactor *reactor, dw_io *io, dw_io *accepted, dw_address *peer) {
    (void)reactor;
    sim_conn *conn = take_waiting(listener_of(io));
    if (conn == NULL) {
        return -EAGAIN;
    }
    conn->end[1].flags |= E_OPEN;
    accepted->socket = (dw_socket)&conn->end[1];
    *peer = dw_host_address(conn->end[0].host);
    peer->port = conn->end[0].port;
    return 0;
}

static ssize_t sim_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    (void)reactor;
    return sim_stream_recv(end_of(io), data);
}

static ssize_t sim_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    (void)reactor;
    return sim_stream_send(end_of(io), pieces, count);
}

static int sim_shutdown(dw_reactor *reactor, dw_io *io) {
    (void)reactor;
    sim_end *end = end_of(io);
    if ((end->flags & E_DEAD) != 0) {
        return -ENOTCONN;
    }
    sim_stream_fin(end);
    return 0;
}

static void sim_close(dw_reactor *reactor, dw_io *io, bool reset) {
    (void)reactor;
    if (io->socket == SOCKET_FRESH) {
        io->socket = DW_SOCKET_NONE;
        return;
    }
    if (is_listener(io)) {
        sim_listener_close(listener_of(io));
    } else {
        sim_stream_close(end_of(io), reset);
    }
    io->socket = DW_SOCKET_NONE;
}

static int sim_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    *out = dw_host_address(host_of(reactor));
    if (is_listener(io)) {
        out->port = listener_of(io)->port;
    } else if (io->socket != SOCKET_FRESH) {
        out->port = end_of(io)->port;
    }
    return 0;
}

static uint32_t option_flag(dw_socket_option option) {
    return option == DW_OPTION_NO_DELAY ? E_NO_DELAY : E_KEEP_ALIVE;
}

static int sim_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)reactor;
    return (end_of(io)->flags & option_flag(option)) != 0;
}

static int sim_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    (void)reactor;
    sim_end *end = end_of(io);
    end->flags = value != 0 ? end->flags | option_flag(option) : end->flags & ~option_flag(option);
    return 0;
}

static void sim_watch(dw_reactor *reactor, dw_io *io) {
    (void)reactor;
    if (io->socket == SOCKET_FRESH || io->socket == DW_SOCKET_NONE) {
        return;
    }
    if (is_listener(io)) {
        listener_of(io)->io = io;
        sim_listener_poke(listener_of(io));
        return;
    }
    sim_end *end = end_of(io);
    end->io = io->want != 0 ? io : NULL;
    sim_stream_poke(end);
}

const dw_wire sim_wire = {
    .name = "sim",
    .now = sim_now,
    .wall_clock = sim_wall_clock,
    .random = sim_random,
    .choose = sim_choose,
    .open = sim_open,
    .bind = sim_bind,
    .listen = sim_listen,
    .connect = sim_connect,
    .connect_result = sim_connect_result,
    .accept = sim_accept,
    .recv = sim_recv,
    .send = sim_send,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .local_address = sim_local_address,
    .get_option = sim_get_option,
    .set_option = sim_set_option,
    .watch = sim_watch,
    .resolve = sim_resolve,
    .resolve_cancel = sim_resolve_cancel,
    .wake = sim_wake,
    .violation = sim_violation,
    .log = sim_log,
};
