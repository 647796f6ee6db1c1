/* SPDX-License-Identifier: MIT */
/*
 * What the files of the simulated datagrams share: datagram.c (sockets as the program sees them),
 * ip.c (addresses and ports), udp.c
 * (datagrams under way), multicast.c (groups), unix.c (names within a host, and what
 * is sent to them). Invariants stand in each of them.
 */
#ifndef DRYWIRE_SIM_DATAGRAM_H
#define DRYWIRE_SIM_DATAGRAM_H

#include "connection.h"
#include "drywire/network.h"

/* An address of the world. */
typedef struct sim_ip {
    uint32_t host; /* IPv4: as a number, 0 is any; IPv6: the end of fd00::/96, or 0 is any (of both
                      versions), 1 is ::1 */
    uint16_t port;
    uint8_t version; /* 4, 6 */
} sim_ip;

/* The interfaces of a host: what its links are at, and lo. */
typedef enum sim_interface { IFACE_DEFAULT, IFACE_NET, IFACE_LOOPBACK } sim_interface;

typedef enum sim_cast { CAST_UNICAST, CAST_BROADCAST, CAST_MULTICAST } sim_cast;

/* One datagram, in flight or in a socket's queue. */
struct sim_datagram {
    sim_event event;
    sim_datagram *next; /* in a queue */
    sim_link *link;
    const sim_name *name; /* UNIX: the sender's, or NULL */
    sim_ip from, to;
    uint32_t len;
    uint8_t size_class, cast, iface;
    bool judged;  /* the rules have spoken */
    bool refusal; /* ICMP port unreachable: a datagram from `to` to `from` met nobody */
    uint8_t data[];
};

typedef struct sim_membership {
    struct sim_membership *next;
    uint32_t group;
    uint8_t iface;
} sim_membership;

/* A datagram socket, UDP or UNIX. */
struct sim_socket {
    sim_event ready;
    dw_host *host;
    dw_io *io;                   /* once it is watched */
    sim_socket *next, *previous; /* of the host's */
    sim_socket *next_here;       /* UDP: older ones of the same port */
    sim_datagram *head, *tail;   /* arrived, not read */
    size_t held, count;          /* what they cost; how many */
    sim_membership *memberships;
    unsigned membership_count;
    sim_ip local, peer; /* UDP; port 0: none */
    sim_name *name;     /* UNIX: where it is bound */
    sim_socket
        *unix_peer; /* UNIX: where it is connected to, if `unix_serial` is still its serial */
    uint64_t unix_serial, serial;
    int error;     /* of an earlier datagram: told once */
    uint32_t pins; /* callbacks on the stack */
    uint8_t family;
    uint8_t iface, ttl;
    bool loopback, broadcast, reuse, closed;
};

/* A name of a UNIX socket; the file stays when its socket has gone. */
struct sim_name {
    sim_name *next;   /* in the host's table */
    sim_event *owner; /* a sim_listener's or sim_socket's first member; NULL: nobody is there */
    uint64_t id;      /* tells files of the same name apart */
    uint8_t len;
    char path[];
};

/* All that one UDP port of a host sends to one of another: who draws. */
typedef struct sim_flow sim_flow;

/* ---- datagram.c: for socket.c's slots, errors as there ---- */

sim_socket *sim_socket_open(dw_host *host, dw_address_kind kind);
int sim_socket_bind(sim_socket *s, const dw_address *address);
int sim_socket_connect(sim_socket *s, const dw_address *address);
ssize_t sim_socket_recv(sim_socket *s, size_t max, const uint8_t **data, dw_address *from);
ssize_t sim_socket_send(sim_socket *s, const struct iovec *pieces, int count, const dw_address *to);
void sim_socket_close(sim_socket *s);
void sim_socket_watch(sim_socket *s, dw_io *io);
void sim_socket_local(const sim_socket *s, dw_address *out);
int sim_socket_remote(const sim_socket *s, dw_address *out);
int sim_socket_get_option(const sim_socket *s, dw_socket_option option);
int sim_socket_set_option(sim_socket *s, dw_socket_option option, int value);

/* "udp server:53", "server:/run/log": who it is in timelines. */
const char *sim_socket_format(char *out, size_t size, const sim_socket *s);

/* For the world and its hosts. */
void sim_socket_dispatch(sim_socket *s);
void sim_socket_poke(sim_socket *s);
void sim_sockets_end(dw_host *host);
void sim_sockets_wake(dw_host *host);

/* For those who deliver: a cleared datagram with room for `len` bytes; what it takes of a socket's
 * buffer; the socket takes it, and its program is yet to be told. */
sim_datagram *sim_datagram_new(dw_world *world, size_t len);
void sim_datagram_free(dw_world *world, sim_datagram *d);
static inline size_t sim_datagram_cost(const sim_datagram *d) {
    return d->len + DW_DATAGRAM_COST;
}
void sim_socket_enqueue(sim_socket *s, sim_datagram *d);

/* ---- ip.c ---- */

/* False: the world has no such addresses. */
bool sim_ip_from(sim_ip *out, const dw_address *address);
/* As a socket of that family sees it. */
void sim_ip_address(sim_ip ip, uint8_t family, dw_address *out);
bool sim_ip_is_group(sim_ip ip);
bool sim_ip_is_broadcast(sim_ip ip);
/* Who has it, seen from a host; NULL: nobody. */
dw_host *sim_ip_host(dw_host *from, sim_ip ip);
int sim_udp_bind(sim_socket *s, const dw_address *address);
int sim_udp_connect(sim_socket *s, const dw_address *address);
/* The socket closes: its port is free. */
void sim_udp_release(sim_socket *s);
/* Checks a destination, makes *to whole and sees to it that the socket has a port. */
int sim_udp_route(sim_socket *s, const dw_address *address, sim_ip *to);
/* Which way it leaves, and where it then says it comes from. */
sim_interface sim_udp_interface(const sim_socket *s, sim_ip to);
sim_ip sim_udp_source(const sim_socket *s, sim_ip to);
/* The socket of a host that gets it, or NULL. */
sim_socket *sim_port_receiver(const dw_host *host, sim_ip to, sim_ip from);
/* The next of all that get what was sent to many, behind `after`, or the first. */
sim_socket *sim_port_next_of_many(const dw_host *host, const sim_socket *after, sim_ip to,
                                  sim_ip from);

/* ---- udp.c ---- */

ssize_t sim_udp_send(sim_socket *s, const struct iovec *pieces, int count, size_t len,
                     const dw_address *to);
void sim_udp_arrival(sim_datagram *d);
void sim_flow_format(char *out, size_t size, const sim_flow *flow);
uint64_t sim_flow_hash(const sim_flow *flow);

/* ---- multicast.c: groups, as socket.c's slots want them ---- */

int sim_group_membership(sim_socket *s, const dw_address *group, const dw_address *interface,
                         bool join);
int sim_group_set_interface(sim_socket *s, const dw_address *interface);
void sim_group_get_interface(const sim_socket *s, dw_address *out);
void sim_group_leave_all(sim_socket *s);
bool sim_group_has(const dw_host *host, uint32_t group, sim_interface iface);

/* ---- unix.c ---- */

int sim_name_bind(dw_host *host, const dw_address *address, sim_event *owner, sim_name **out);
/* The owner has closed. NULL is fine. */
void sim_name_release(dw_host *host, sim_name *name);
/* As timelines and run files show it. */
const char *sim_name_text(char *out, size_t size, const sim_name *name);
void sim_name_address(const sim_name *name, dw_address *out);
int sim_unix_file_id(dw_host *host, const dw_address *address, uint64_t id[2]);
int sim_unix_set_mode(dw_host *host, const dw_address *address);
void sim_unix_unlink(dw_host *host, const dw_address *address);
/* 0: connected, *out is the client's end. */
int sim_unix_connect(dw_host *host, const dw_address *address, sim_end **out);
int sim_unix_connect_datagram(sim_socket *s, const dw_address *address);
ssize_t sim_unix_send(sim_socket *s, const struct iovec *pieces, int count, size_t len,
                      const dw_address *to);

#endif
