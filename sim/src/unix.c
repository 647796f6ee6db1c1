/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets (unix(7)): names of a host, streams and datagrams between its programs. What is sent
 * is in the receiver's queue at once and is never lost; only being told of it takes an event. What
 * this file says of errors was tried on Linux 6.18.
 *
 * Invariant: a name that is a file stays when its socket closes or the program dies, until somebody
 * removes it; an abstract one goes with its socket. All programs of a host are one user's, so
 * permission bits stop nobody.
 */
#include "datagram.h"
#include "stream.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TABLE = 64, QUEUE_MAX = 10 /* Linux: max_dgram_qlen, and one more fits */ };
/* Linux: net.core.wmem_default less an overhead. */
enum { UNIX_DATAGRAM_MAX = 212960 };

/* ---- Names ---- */

static bool is_abstract(const char *path) {
    return path[0] == '\0';
}

static sim_name **bucket(dw_host *host, const char *path, size_t len) {
    if (host->names == NULL) {
        host->names = sim_world_alloc(host->world, TABLE * sizeof(sim_name *));
        memset(host->names, 0, TABLE * sizeof(sim_name *));
    }
    return &host->names[mix64(sim_hash_more(HASH_START, path, len)) % TABLE];
}

static sim_name *find(dw_host *host, const dw_address *address) {
    sim_name *name = *bucket(host, address->path, address->path_len);
    while (name != NULL &&
           !(name->len == address->path_len && memcmp(name->path, address->path, name->len) == 0)) {
        name = name->next;
    }
    return name;
}

int sim_name_bind(dw_host *host, const dw_address *address, sim_event *owner, sim_name **out) {
    if (address->kind != DW_ADDRESS_UNIX || address->path_len == 0) {
        return -EINVAL;
    }
    if (find(host, address) != NULL) {
        return -EADDRINUSE;
    }
    sim_name **first = bucket(host, address->path, address->path_len);
    sim_name *name = sim_world_alloc(host->world, sizeof(*name) + address->path_len + 1u);
    *name = (sim_name){.next = *first,
                       .owner = owner,
                       .id = ++host->world->sockets_opened,
                       .len = address->path_len};
    memcpy(name->path, address->path, address->path_len);
    name->path[address->path_len] = '\0';
    *first = name;
    *out = name;
    return 0;
}

static void take_out(dw_host *host, const sim_name *name) {
    for (sim_name **at = bucket(host, name->path, name->len); *at != NULL; at = &(*at)->next) {
        if (*at == name) {
            *at = name->next;
            return;
        }
    }
}

void sim_name_release(dw_host *host, sim_name *name) {
    if (name != NULL) {
        name->owner = NULL;
        if (is_abstract(name->path)) {
            take_out(host, name);
        }
    }
}

void sim_name_address(const sim_name *name, dw_address *out) {
    *out = (dw_address){.kind = DW_ADDRESS_UNIX};
    if (name != NULL) {
        out->path_len = name->len;
        memcpy(out->path, name->path, name->len);
    }
}

/* The last part of long ones; what could break a line of a run file becomes '?'. */
const char *sim_name_text(char *out, size_t size, const sim_name *name) {
    size_t room = size - 1;
    size_t skip = name->len > room ? name->len - room : 0;
    for (size_t i = skip; i < name->len; i++) {
        char c = name->path[i];
        bool plain = c > ' ' && c < 127 && strchr("#>:", c) == NULL;
        out[i - skip] = (char)(plain ? c : i == 0 && c == '\0' ? '@' : '?');
    }
    out[name->len - skip] = '\0';
    return out;
}

int sim_unix_file_id(dw_host *host, const dw_address *address, uint64_t id[2]) {
    const sim_name *name = find(host, address);
    if (name == NULL) {
        return -ENOENT;
    }
    id[0] = host->index;
    id[1] = name->id;
    return 0;
}

int sim_unix_set_mode(dw_host *host, const dw_address *address) {
    return find(host, address) != NULL ? 0 : -ENOENT;
}

/* Who is bound to it does not notice; nobody finds him any more. */
void sim_unix_unlink(dw_host *host, const dw_address *address) {
    sim_name *name = find(host, address);
    if (name != NULL && !is_abstract(name->path)) {
        take_out(host, name);
    }
}

/* Who is behind a name, if it is of that type. */
static int find_owner(dw_host *host, const dw_address *address, sim_event_type type,
                      sim_event **out) {
    if (address->kind != DW_ADDRESS_UNIX || address->path_len == 0) {
        return -EINVAL;
    }
    const sim_name *name = find(host, address);
    if (name == NULL) {
        return is_abstract(address->path) ? -ECONNREFUSED : -ENOENT;
    }
    if (name->owner == NULL) {
        return -ECONNREFUSED;
    }
    *out = name->owner;
    return name->owner->type == type ? 0 : -EPROTOTYPE;
}

/* ---- Streams ---- */

int sim_unix_connect(dw_host *host, const dw_address *address, sim_end **out) {
    sim_event *owner;
    int error = find_owner(host, address, EV_LISTENER, &owner);
    if (error < 0) {
        return error;
    }
    sim_listener *listener = DW_CONTAINER_OF(owner, sim_listener, ready);
    if (!listener->listening) {
        return -ECONNREFUSED;
    }
    if (listener->accept_count > listener->backlog) {
        return -EAGAIN; /* connect(2) */
    }
    sim_conn *conn = sim_conn_take(host, host);
    conn->name = listener->name;
    conn->end[0].port = (uint16_t)conn->ordinal; /* for the hash */
    conn->end[0].flags = E_OPEN | E_ESTABLISHED | E_RESOLVED;
    conn->end[1].flags = E_ESTABLISHED;
    world_mark(host->world, 0x5101 + conn->ordinal * UINT64_C(4));
    sim_flow_trace(&conn->end[0], ' ', "connects");
    sim_listener_enqueue(listener, conn);
    sim_listener_poke(listener);
    *out = &conn->end[0];
    return 0;
}

void sim_unix_deliver(sim_end *to, sim_segment *segment) {
    dw_world *world = end_world(to);
    bool tell = true;
    sim_stream_mark_packet(to, segment);
    if ((to->flags & E_CLOSED) != 0) {
        sim_segment_free(world, segment);
        return;
    }
    if (segment->packet == PACKET_DATA) {
        to->outstanding += segment->len;
        tell = sim_arrival_data(to, segment);
    } else {
        sim_flow_trace(peer_of(to), ' ', segment->packet == PACKET_FIN ? "end" : "end, unread");
        sim_end_unhold(to);
        if (segment->packet == PACKET_FIN) {
            to->flags |= E_FIN_SEEN;
        } else {
            sim_end_kill(to, ECONNRESET);
        }
        sim_segment_free(world, segment);
    }
    if (tell) {
        sim_stream_poke(to);
    }
}

/* There is no RST: what was sent is still delivered, then comes the end, or ECONNRESET if this side
 * had bytes unread or was never accepted. What the peer sends from now on is EPIPE. */
void sim_unix_closes(sim_end *end, bool unread) {
    sim_end *peer = peer_of(end);
    if ((peer->flags & E_CLOSED) != 0) {
        return;
    }
    peer->flags |= E_BROKEN;
    if (unread) {
        sim_stream_send_last(end, PACKET_RESET);
    } else {
        sim_stream_fin(end);
    }
    sim_stream_poke(peer);
}

/* ---- Datagrams ---- */

static sim_socket *socket_of(sim_event *owner) {
    return DW_CONTAINER_OF(owner, sim_socket, ready);
}

/* Linux (unix_may_send): who is connected hears his peer only. */
static bool may_send(const sim_socket *s, const sim_socket *to) {
    return to->unix_peer == NULL || (to->unix_peer == s && to->unix_serial == s->serial);
}

int sim_unix_connect_datagram(sim_socket *s, const dw_address *address) {
    sim_event *owner;
    int error = find_owner(s->host, address, EV_SOCKET, &owner);
    if (error < 0) {
        return error;
    }
    if (!may_send(s, socket_of(owner))) {
        return -EPERM;
    }
    s->unix_peer = socket_of(owner);
    s->unix_serial = s->unix_peer->serial;
    return 0;
}

/* The socket that a datagram goes to: named, or connected to. */
static int find_receiver(sim_socket *s, const dw_address *to, sim_socket **out) {
    sim_event *owner;
    if (to != NULL) {
        int error = find_owner(s->host, to, EV_SOCKET, &owner);
        if (error < 0) {
            return error;
        }
        *out = socket_of(owner);
    } else if (s->unix_peer == NULL) {
        return -ENOTCONN;
    } else if (s->unix_peer->serial != s->unix_serial) {
        s->unix_peer = NULL;
        return -ECONNREFUSED;
    } else {
        *out = s->unix_peer;
    }
    return may_send(s, *out) ? 0 : -EPERM;
}

static void trace_sent(const sim_socket *from, const sim_socket *to, size_t len) {
    char a[SIM_WHO_MAX], b[SIM_WHO_MAX], who[2 * SIM_WHO_MAX];
    sim_socket_format(a, sizeof(a), from);
    sim_socket_format(b, sizeof(b), to);
    snprintf(who, sizeof(who), "%s>%s", a, b);
    sim_trace_add(from->host->world, ' ', who, "sent, %zu bytes", len);
}

ssize_t sim_unix_send(sim_socket *s, const struct iovec *pieces, int count, size_t len,
                      const dw_address *to) {
    dw_world *world = s->host->world;
    sim_socket *receiver;
    if (len > UNIX_DATAGRAM_MAX) {
        return -EMSGSIZE;
    }
    int error = find_receiver(s, to, &receiver);
    if (error < 0) {
        return error;
    }
    if (receiver->count > QUEUE_MAX) {
        return -EAGAIN;
    }
    sim_datagram *d = sim_datagram_new(world, len);
    d->name = s->name;
    sim_gather(d->data, pieces, count, 0, len);
    world_mark(world, 0x5102 + ((uint64_t)len << 32));
    if (world->trace != NULL) {
        trace_sent(s, receiver, len);
    }
    sim_socket_enqueue(receiver, d);
    sim_socket_poke(receiver);
    return (ssize_t)len;
}
