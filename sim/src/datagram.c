/* SPDX-License-Identifier: MIT */
/*
 * Datagram sockets as a host's program sees them: life, the queue of what has arrived, options, and
 * how the program is told. What differs between UDP and UNIX is in udp.c and unix.c. Called by the
 * slots in socket.c and by those who deliver.
 *
 * Invariant: a socket's memory is used again only when it is closed and no callback of it is on the
 * stack; nothing in flight refers to a socket, only to its address.
 */
#include "datagram.h"

#include <errno.h>
#include <stdio.h>

/* ---- Datagrams ---- */

sim_datagram *sim_datagram_new(dw_world *world, size_t len) {
    uint8_t size_class;
    sim_datagram *d = sim_piece_take(world, sizeof(*d) + len, &size_class);
    *d = (sim_datagram){
        .event = {.type = EV_DATAGRAM}, .len = (uint32_t)len, .size_class = size_class};
    return d;
}

void sim_datagram_free(dw_world *world, sim_datagram *d) {
    sim_piece_give(world, d, d->size_class);
}

static sim_datagram *take_first(sim_socket *s) {
    sim_datagram *d = s->head;
    s->head = d->next;
    if (s->head == NULL) {
        s->tail = NULL;
    }
    s->held -= sim_datagram_cost(d);
    s->count--;
    return d;
}

/* ---- Telling the program ---- */

static unsigned due(const sim_socket *s) {
    unsigned ready = DW_WRITABLE; /* the network takes whatever is sent */
    if (s->head != NULL || s->error != 0) {
        ready |= DW_READABLE;
    }
    return s->io != NULL ? ready & s->io->want : 0;
}

static void tell_at(sim_socket *s, dw_time at) {
    if (due(s) != 0 && s->ready.place == 0) {
        sim_world_schedule(s->host->world, &s->ready, at);
    }
}

void sim_socket_poke(sim_socket *s) {
    tell_at(s, s->host->world->now);
}

static void recycle(sim_socket *s) {
    if (s->closed && s->pins == 0) {
        s->next = s->host->world->memory.free_sockets;
        s->host->world->memory.free_sockets = s;
    }
}

void sim_socket_dispatch(sim_socket *s) {
    dw_host *host = s->host;
    unsigned ready = due(s);
    if (ready == 0 || host->power != POWER_UP) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        tell_at(s, host->stalled_until);
        return;
    }
    s->pins++;
    sim_host_enter(host);
    dw_io_ready(&host->reactor, s->io, ready);
    sim_host_leave(host);
    s->pins--;
    sim_socket_poke(s);
    recycle(s);
}

void sim_socket_watch(sim_socket *s, dw_io *io) {
    s->io = io->want != 0 ? io : NULL;
    sim_socket_poke(s);
}

void sim_socket_enqueue(sim_socket *s, sim_datagram *d) {
    d->next = NULL;
    if (s->tail != NULL) {
        s->tail->next = d;
    } else {
        s->head = d;
    }
    s->tail = d;
    s->held += sim_datagram_cost(d);
    s->count++;
}

const char *sim_socket_format(char *out, size_t size, const sim_socket *s) {
    char path[DW_UNIX_PATH_MAX + 1] = "";
    if (s->family != DW_ADDRESS_UNIX) {
        snprintf(out, size, "udp %s:%u", s->host->name, (unsigned)s->local.port);
    } else {
        const char *shown = s->name != NULL ? sim_name_text(path, sizeof(path), s->name) : path;
        snprintf(out, size, "%s:%s", s->host->name, shown);
    }
    return out;
}

/* ---- Life ---- */

static sim_socket *socket_take(dw_world *world) {
    sim_socket *s = world->memory.free_sockets;
    if (s != NULL) {
        world->memory.free_sockets = s->next;
    } else {
        s = sim_world_alloc(world, sizeof(*s));
    }
    return s;
}

sim_socket *sim_socket_open(dw_host *host, dw_address_kind kind) {
    dw_world *world = host->world;
    sim_socket *s = socket_take(world);
    *s = (sim_socket){.ready = {.type = EV_SOCKET},
                      .host = host,
                      .next = host->sockets,
                      .serial = ++world->sockets_opened,
                      .local = {.version = kind == DW_ADDRESS_IPV6 ? 6 : 4},
                      .family = (uint8_t)kind,
                      .ttl = 1, /* ip(7): IP_MULTICAST_TTL, IP_MULTICAST_LOOP */
                      .loopback = true};
    if (s->next != NULL) {
        s->next->previous = s;
    }
    host->sockets = s;
    return s;
}

void sim_socket_close(sim_socket *s) {
    dw_host *host = s->host;
    while (s->head != NULL) {
        sim_datagram_free(host->world, take_first(s));
    }
    sim_group_leave_all(s);
    sim_udp_release(s);
    sim_name_release(host, s->name);
    sim_queue_remove(&host->world->queue, &s->ready);
    if (s->previous != NULL) {
        s->previous->next = s->next;
    } else {
        host->sockets = s->next;
    }
    if (s->next != NULL) {
        s->next->previous = s->previous;
    }
    s->io = NULL;
    s->serial = 0;
    s->closed = true;
    recycle(s);
}

void sim_sockets_end(dw_host *host) {
    while (host->sockets != NULL) {
        sim_socket_close(host->sockets);
    }
}

/* The host gets CPU again: what waited for that comes now. */
void sim_sockets_wake(dw_host *host) {
    for (sim_socket *s = host->sockets; s != NULL; s = s->next) {
        sim_queue_remove(&host->world->queue, &s->ready);
        sim_socket_poke(s);
    }
}

/* ---- The calls ---- */

static bool is_unix(const sim_socket *s) {
    return s->family == DW_ADDRESS_UNIX;
}

int sim_socket_bind(sim_socket *s, const dw_address *address) {
    if (s->name != NULL || s->local.port != 0) {
        return -EINVAL;
    }
    return is_unix(s) ? sim_name_bind(s->host, address, &s->ready, &s->name)
                      : sim_udp_bind(s, address);
}

int sim_socket_connect(sim_socket *s, const dw_address *address) {
    return is_unix(s) ? sim_unix_connect_datagram(s, address) : sim_udp_connect(s, address);
}

/* The error of an earlier datagram comes before what has arrived (tried on Linux 6.18). */
static int take_error(sim_socket *s) {
    int error = s->error;
    s->error = 0;
    return error;
}

static void lend(dw_world *world, sim_datagram *d) {
    if (world->lent_datagram != NULL) {
        sim_datagram_free(world, world->lent_datagram);
    }
    world->lent_datagram = d;
}

ssize_t sim_socket_recv(sim_socket *s, size_t max, const uint8_t **data, dw_address *from) {
    if (s->error != 0) {
        return -take_error(s);
    }
    if (s->head == NULL) {
        return -EAGAIN;
    }
    sim_datagram *d = take_first(s);
    lend(s->host->world, d);
    *data = d->data;
    if (is_unix(s)) {
        sim_name_address(d->name, from);
    } else {
        sim_ip_address(d->from, s->family, from);
    }
    return (ssize_t)(d->len < max ? d->len : max);
}

ssize_t sim_socket_send(sim_socket *s, const struct iovec *pieces, int count,
                        const dw_address *to) {
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += pieces[i].iov_len;
    }
    if (is_unix(s)) {
        return sim_unix_send(s, pieces, count, len, to);
    }
    return s->error != 0 ? -take_error(s) : sim_udp_send(s, pieces, count, len, to);
}

void sim_socket_local(const sim_socket *s, dw_address *out) {
    if (is_unix(s)) {
        sim_name_address(s->name, out);
    } else {
        sim_ip_address(s->local, s->family, out);
    }
}

int sim_socket_remote(const sim_socket *s, dw_address *out) {
    if (is_unix(s) && s->unix_peer != NULL && s->unix_peer->serial == s->unix_serial) {
        sim_name_address(s->unix_peer->name, out);
        return 0;
    }
    if (s->peer.port == 0) {
        return -ENOTCONN;
    }
    sim_ip_address(s->peer, s->family, out);
    return 0;
}

/* ---- Options ---- */

static bool fits(const sim_socket *s, dw_socket_option option) {
    bool multicast = option == DW_OPTION_MULTICAST_TTL || option == DW_OPTION_MULTICAST_LOOPBACK;
    return option == DW_OPTION_BROADCAST || option == DW_OPTION_REUSE_PORT ||
           (multicast && !is_unix(s));
}

int sim_socket_get_option(const sim_socket *s, dw_socket_option option) {
    if (!fits(s, option)) {
        return -EOPNOTSUPP;
    }
    switch (option) {
    case DW_OPTION_BROADCAST:
        return s->broadcast;
    case DW_OPTION_REUSE_PORT:
        return s->reuse;
    case DW_OPTION_MULTICAST_TTL:
        return s->ttl;
    default:
        return s->loopback;
    }
}

int sim_socket_set_option(sim_socket *s, dw_socket_option option, int value) {
    if (!fits(s, option)) {
        return -EOPNOTSUPP;
    }
    switch (option) {
    case DW_OPTION_BROADCAST:
        s->broadcast = value != 0;
        return 0;
    case DW_OPTION_REUSE_PORT:
        s->reuse = value != 0;
        return 0;
    case DW_OPTION_MULTICAST_TTL:
        if (value < 0 || value > 255) {
            return -EINVAL;
        }
        s->ttl = (uint8_t)value;
        return 0;
    default:
        s->loopback = value != 0;
        return 0;
    }
}
