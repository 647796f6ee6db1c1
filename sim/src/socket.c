/* SPDX-License-Identifier: MIT */
/*
 * Sockets as a host's reactor sees them: the slots of the wire, in front of listeners, of the ends
 * of streams and of datagram sockets. A stream's socket that is open and nothing more yet has no
 * object; one that is bound has a listener's. Errors are those of Linux's calls (bind(2),
 * connect(2), listen(2)).
 */
#include "datagram.h"
#include "oracle.h"
#include "process.h"
#include "stream.h"
#include "trace.h"

#include <errno.h>
#include <string.h>

/* open's answer until bind, listen or connect say what it becomes. */
#define SOCKET_FRESH ((dw_socket)0)

static sim_end *end_of(const dw_io *io) {
    return (sim_end *)io->socket;
}

/* What an io has, in io->state: nothing yet, or one of these. An end has no tag of its own: each
 * byte of it counts. */
enum { SOCKET_IS_END = 1, SOCKET_IS_LISTENER, SOCKET_IS_DATAGRAM };

static void become(dw_io *io, void *object, uint8_t what) {
    io->socket = (dw_socket)object;
    io->state = what;
}

static bool is_listener(const dw_io *io) {
    return io->socket != SOCKET_FRESH && io->state == SOCKET_IS_LISTENER;
}

static bool is_datagram(const dw_io *io) {
    return io->socket != SOCKET_FRESH && io->state == SOCKET_IS_DATAGRAM;
}

static sim_listener *listener_of(const dw_io *io) {
    return (sim_listener *)io->socket;
}

static sim_socket *socket_of(const dw_io *io) {
    return (sim_socket *)io->socket;
}

/* ---- Listeners ---- */

static bool takes(const sim_listener *l, uint8_t family) {
    return l->family == family || (l->any && l->family == DW_ADDRESS_IPV6);
}

sim_listener *sim_listener_find(dw_host *host, uint16_t port, uint8_t family) {
    for (sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->port == port && l->name == NULL && l->listening && takes(l, family)) {
            return host->power == POWER_UP ? l : NULL;
        }
    }
    return NULL;
}

/* For `like`, whose family and address are known; NULL: for anything. */
static bool port_taken(dw_host *host, uint16_t port, const sim_listener *like) {
    for (sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->port == port && (like == NULL || takes(l, like->family) || takes(like, l->family))) {
            return true;
        }
    }
    return false;
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
    if (!sim_host_turn_waits(host)) {
        sim_host_next_turn(host); /* what was accepted need not wait for a turn */
    }
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
    sim_name_release(host, listener->name);
    for (sim_listener **l = &host->listeners; *l != NULL; l = &(*l)->next) {
        if (*l == listener) {
            *l = listener->next;
            break;
        }
    }
}

/* ---- Descriptors ---- */

void dw_host_set_descriptor_limit(dw_host *host, size_t sockets) {
    host->descriptors_max = sockets;
}

static bool out_of_descriptors(dw_host *host) {
    bool out = host->descriptors_max > 0 && host->descriptors >= host->descriptors_max;
    if (out && host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "EMFILE: %zu sockets are open",
                      host->descriptors);
    }
    return out;
}

/* As on the live wire, which gives up a reserve for it: accepted and closed. Like Linux, which
 * looks for a descriptor first, but the live wire then finds the queue empty, too. */
static int accept_and_drop(sim_conn *conn) {
    conn->end[1].flags |= E_OPEN;
    sim_stream_close(&conn->end[1], false);
    return -EMFILE;
}

/* ---- The slots ---- */

static int sim_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    io->socket = SOCKET_FRESH;
    if (kind != DW_ADDRESS_IPV4 && kind != DW_ADDRESS_IPV6 && kind != DW_ADDRESS_UNIX) {
        return -EAFNOSUPPORT;
    }
    if (out_of_descriptors(host_of(reactor))) {
        io->socket = DW_SOCKET_NONE;
        return -EMFILE;
    }
    host_of(reactor)->descriptors++;
    io->family = (uint8_t)kind;
    if (io->kind == DW_IO_DATAGRAM) {
        become(io, sim_socket_open(host_of(reactor), kind), SOCKET_IS_DATAGRAM);
    }
    return 0;
}

static bool is_any(const dw_address *address) {
    static const uint8_t any[16] = {0};
    return memcmp(address->ip, any, address->kind == DW_ADDRESS_IPV4 ? 4 : 16) == 0;
}

static bool is_own_address(dw_host *host, const dw_address *address) {
    return is_any(address) || sim_host_by_address(host->world, host, address) == host;
}

/* Gives the listener its port. `reuse`: as with SO_REUSEADDR, which listeners have. */
static int bind_port(sim_listener *listener, const dw_address *address, bool reuse) {
    dw_host *host = listener->host;
    if (!is_own_address(host, address)) {
        return -EADDRNOTAVAIL;
    }
    listener->family = address->kind;
    listener->any = is_any(address);
    if (address->port != 0 && (port_taken(host, address->port, listener) ||
                               sim_port_is_busy(host, address->port, address->kind, reuse))) {
        return -EADDRINUSE;
    }
    listener->port = address->port != 0 ? address->port : sim_port_pick(host, NULL, 0);
    return listener->port != 0 ? 0 : -EADDRINUSE;
}

static int sim_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    dw_host *host = host_of(reactor);
    if (is_datagram(io)) {
        return sim_socket_bind(socket_of(io), address);
    }
    sim_listener *listener = sim_world_alloc(host->world, sizeof(*listener));
    *listener = (sim_listener){.ready = {.type = EV_LISTENER}, .host = host};
    int error = io->family == DW_ADDRESS_UNIX
                    ? sim_name_bind(host, address, &listener->ready, &listener->name)
                    : bind_port(listener, address, io->kind == DW_IO_PORT);
    if (error < 0) {
        return error;
    }
    listener->next = host->listeners;
    host->listeners = listener;
    become(io, listener, SOCKET_IS_LISTENER);
    return 0;
}

static int sim_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode) {
    (void)mode;
    return sim_unix_set_mode(host_of(reactor), address);
}

static int sim_file_id(dw_reactor *reactor, const dw_address *address, uint64_t id[2]) {
    return sim_unix_file_id(host_of(reactor), address, id);
}

static void sim_unlink(dw_reactor *reactor, const dw_address *address) {
    sim_unix_unlink(host_of(reactor), address);
}

static int sim_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)reactor;
    sim_listener *listener = listener_of(io);
    listener->listening = true;
    listener->backlog = (unsigned)backlog;
    return 0;
}

/* An address that nobody has is no route; a machine that is dark is one, and never answers. */
static int connect_tcp(dw_host *host, dw_io *io, const dw_address *address) {
    dw_host *to = sim_host_by_address(host->world, host, address);
    uint16_t port = 0;
    if (is_listener(io)) {
        port = listener_of(io)->port;
        sim_listener_close(listener_of(io));
    }
    if (to == NULL) {
        return -ENETUNREACH;
    }
    host->ports_used = host->ports_used || port != 0;
    if (port == 0 && (port = sim_port_pick(host, to, address->port)) == 0) {
        return -EADDRNOTAVAIL;
    }
    sim_end *end = &sim_stream_connect(host, to, address->port)->end[0];
    conn_of(end)->family = address->kind;
    end->port = port;
    end->io = io;
    sim_port_take(end);
    become(io, end, SOCKET_IS_END);
    return -EINPROGRESS;
}

/* A stream that is bound cannot connect here: nobody would see its name. */
static int connect_unix(dw_host *host, dw_io *io, const dw_address *address) {
    sim_end *end;
    int error = io->socket == SOCKET_FRESH ? sim_unix_connect(host, address, &end) : -EINVAL;
    if (error == 0) {
        become(io, end, SOCKET_IS_END);
    }
    return error;
}

static int sim_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    dw_host *host = host_of(reactor);
    if (is_datagram(io)) {
        return sim_socket_connect(socket_of(io), address);
    }
    return io->family == DW_ADDRESS_UNIX ? connect_unix(host, io, address)
                                         : connect_tcp(host, io, address);
}

static int sim_connect_result(dw_reactor *reactor, dw_io *io) {
    (void)reactor;
    sim_end *end = end_of(io);
    if ((end->flags & E_DEAD) != 0) {
        return -(int)end->error;
    }
    return (end->flags & E_ESTABLISHED) != 0 ? 0 : -EINPROGRESS;
}

static void end_address(const sim_end *end, dw_address *out) {
    const sim_conn *conn = conn_of((sim_end *)(uintptr_t)end);
    if (conn->name != NULL) {
        sim_name_address(end->side == 0 ? NULL : conn->name, out);
    } else {
        *out = conn->family == DW_ADDRESS_IPV6 ? dw_host_address6(end_host(end))
                                               : dw_host_address(end_host(end));
        out->port = end->port;
    }
}

static int sim_accept(dw_reactor *reactor, dw_io *io, dw_io *accepted, dw_address *peer) {
    sim_conn *conn = take_waiting(listener_of(io));
    if (conn == NULL) {
        return -EAGAIN;
    }
    if (out_of_descriptors(host_of(reactor))) {
        return accept_and_drop(conn);
    }
    host_of(reactor)->descriptors++;
    conn->end[1].flags |= E_OPEN;
    conn->end[1].told = host_of(reactor)->turns;
    become(accepted, &conn->end[1], SOCKET_IS_END);
    accepted->family = conn->name != NULL ? DW_ADDRESS_UNIX : conn->family;
    end_address(&conn->end[0], peer);
    return 0;
}

static ssize_t sim_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    (void)reactor;
    if (io->kind == DW_IO_PIPE) {
        return sim_pipe_recv(io, data);
    }
    return sim_stream_recv(end_of(io), data);
}

ssize_t sim_send_any(dw_io *io, const struct iovec *pieces, int count) {
    if (io->kind == DW_IO_PIPE) {
        return sim_pipe_send(io, pieces, count);
    }
    sim_end *end = end_of(io);
    ssize_t n = sim_stream_send(end, pieces, count);
    if (n > 0 && end_watch(end) != NULL) {
        sim_watch_sent(end_watch(end), pieces, count, (size_t)n);
    }
    return n;
}

static ssize_t sim_recv_from(dw_reactor *reactor, dw_io *io, size_t max, const uint8_t **data,
                             dw_address *from) {
    (void)reactor;
    return sim_socket_recv(socket_of(io), max, data, from);
}

static ssize_t sim_send_to(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count,
                           const dw_address *to) {
    (void)reactor;
    return sim_socket_send(socket_of(io), pieces, count, to);
}

static int sim_change_membership(dw_reactor *reactor, dw_io *io, const dw_address *group,
                                 const dw_address *interface, bool join) {
    (void)reactor;
    return sim_group_membership(socket_of(io), group, interface, join);
}

static int sim_set_multicast_interface(dw_reactor *reactor, dw_io *io,
                                       const dw_address *interface) {
    (void)reactor;
    return sim_group_set_interface(socket_of(io), interface);
}

static int sim_get_multicast_interface(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)reactor;
    sim_group_get_interface(socket_of(io), out);
    return 0;
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
    if (io->kind == DW_IO_PIPE) {
        sim_pipe_close((sim_pipe *)io->socket);
        io->socket = DW_SOCKET_NONE;
        return;
    }
    host_of(reactor)->descriptors--;
    if (io->socket == SOCKET_FRESH) {
        io->socket = DW_SOCKET_NONE;
        return;
    }
    if (is_listener(io)) {
        sim_listener_close(listener_of(io));
    } else if (is_datagram(io)) {
        sim_socket_close(socket_of(io));
    } else {
        sim_stream_close(end_of(io), reset);
    }
    io->socket = DW_SOCKET_NONE;
}

static int sim_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    *out = dw_host_address(host_of(reactor));
    if (io->socket == SOCKET_FRESH) {
        return 0;
    }
    if (is_datagram(io)) {
        sim_socket_local(socket_of(io), out);
    } else if (!is_listener(io)) {
        end_address(end_of(io), out);
    } else if (listener_of(io)->name != NULL) {
        sim_name_address(listener_of(io)->name, out);
    } else {
        *out = io->family == DW_ADDRESS_IPV6 ? dw_host_address6(host_of(reactor)) : *out;
        out->port = listener_of(io)->port;
    }
    return 0;
}

static int sim_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)reactor;
    if (io->socket == SOCKET_FRESH || is_listener(io)) {
        return -ENOTCONN;
    }
    if (is_datagram(io)) {
        return sim_socket_remote(socket_of(io), out);
    }
    end_address(peer_of(end_of(io)), out);
    return 0;
}

/* 0: the stream has no such option. */
static uint32_t option_flag(const dw_io *io, dw_socket_option option) {
    if (option == DW_OPTION_NO_DELAY && conn_of(end_of(io))->name == NULL) {
        return E_NO_DELAY;
    }
    return option == DW_OPTION_KEEP_ALIVE ? E_KEEP_ALIVE : 0;
}

static int sim_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)reactor;
    if (is_datagram(io)) {
        return sim_socket_get_option(socket_of(io), option);
    }
    uint32_t flag = option_flag(io, option);
    return flag == 0 ? -EOPNOTSUPP : (end_of(io)->flags & flag) != 0;
}

static int sim_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    (void)reactor;
    if (is_datagram(io)) {
        return sim_socket_set_option(socket_of(io), option, value);
    }
    sim_end *end = end_of(io);
    uint32_t flag = option_flag(io, option);
    end->flags = value != 0 ? end->flags | flag : end->flags & ~flag;
    if (flag == E_KEEP_ALIVE) {
        sim_keepalive_start(end);
    } else if (value != 0) {
        sim_nagle_push(end); /* tcp(7): TCP_NODELAY is also a flush */
    }
    return flag == 0 ? -EOPNOTSUPP : 0;
}

static void sim_watch(dw_reactor *reactor, dw_io *io) {
    (void)reactor;
    if (io->socket == SOCKET_FRESH || io->socket == DW_SOCKET_NONE) {
        return;
    }
    if (io->kind == DW_IO_PIPE) {
        sim_pipe_watch(io);
        return;
    }
    if (is_listener(io)) {
        listener_of(io)->io = io;
        sim_listener_poke(listener_of(io));
        return;
    }
    if (is_datagram(io)) {
        sim_socket_watch(socket_of(io), io);
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
    .set_mode = sim_set_mode,
    .unlink = sim_unlink,
    .file_id = sim_file_id,
    .listen = sim_listen,
    .connect = sim_connect,
    .connect_result = sim_connect_result,
    .accept = sim_accept,
    .recv = sim_recv,
    .send = sim_send,
    .recv_from = sim_recv_from,
    .send_to = sim_send_to,
    .membership = sim_change_membership,
    .set_multicast_interface = sim_set_multicast_interface,
    .get_multicast_interface = sim_get_multicast_interface,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .local_address = sim_local_address,
    .remote_address = sim_remote_address,
    .get_option = sim_get_option,
    .set_option = sim_set_option,
    .watch = sim_watch,
    .resolve = sim_resolve,
    .resolve_cancel = sim_resolve_cancel,
    .endpoint_types = &sim_endpoint_type,
    .spawn = sim_spawn,
    .kill = sim_kill,
    .forget = sim_forget,
    .wake = sim_wake,
    .wake_from_thread = sim_wake_from_thread,
    .violation = sim_violation,
    .log = sim_log,
};
