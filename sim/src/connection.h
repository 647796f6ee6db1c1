/* SPDX-License-Identifier: MIT */
/*
 * A connection as the files see it that are not the simulated TCP itself (those have stream.h): its
 * two ends, where they stand in their hosts, what few of them have aside, and the listener before
 * it. The wire's slots, oracles, options and the trace call here.
 */
#ifndef DRYWIRE_SIM_CONNECTION_H
#define DRYWIRE_SIM_CONNECTION_H

#include "links.h"
#include "segment.h"

enum {
    E_OPEN = 1 << 0, /* the program has it */
    E_CONNECTING = 1 << 1,
    E_ESTABLISHED = 1 << 2,
    E_FIN_QUEUED = 1 << 3, /* this end sends no more */
    E_FIN_SEEN = 1 << 4,   /* the peer sends no more, all of it has arrived */
    E_DEAD = 1 << 5,       /* reset or timed out; error says which */
    E_CLOSED = 1 << 6,     /* the program has closed it, or never had it and never will */
    E_HELD = 1 << 7,       /* what arrived waits for more (join) */
    E_HALF_MADE = 1 << 8,  /* the server's, while nothing says that the client has its SYN-ACK */
    E_RESOLVED = 1 << 9,   /* connect has an answer */
    E_VANISHED = 1 << 10,  /* its machine lost power */
    E_NO_DELAY = 1 << 11,
    E_KEEP_ALIVE = 1 << 12,
    E_SYN_SEEN = 1 << 13, /* the choices about the SYN have been made */
    E_BETWEEN = 1 << 14,  /* someone between the two has closed */
    E_UPDATE = 1 << 15,   /* a window update is on its way to this end */
    E_BROKEN = 1 << 16,   /* UNIX: the peer has closed, what is sent is EPIPE */
    E_NAGLE = 1 << 17,    /* what is blocked waits for an acknowledgement */
    E_INSIDE = 1 << 18,   /* a callback of it is on the stack */
    E_PORT = 1 << 19      /* it keeps its port */
};

/* What few ends need, made at first use. Draws are about the flow TO the end, `writes` and
 * `flow_hash` about the flow FROM it. */
typedef struct sim_aside {
    sim_event ready;
    sim_end *end;
    sim_segment *blocked;   /* from this end, not sent yet */
    sim_watched *watch;     /* NULL: its program has promised nothing */
    uint64_t flow_hash;     /* 0: not computed yet */
    uint32_t quiet, passed; /* straight.c: so many deliveries more are calm; so many have been,
                             * which have not gone into the next four yet */
    sim_draws resets, closes, joins, cuts;
    sim_draws writes;
    sim_draws refuses, syn_drops; /* of the connection; the client's */
    struct sim_keepalive *keepalive;
    struct sim_nagle *nagle;
    struct sim_history *history; /* rule.c: what has come TO the end */
} sim_aside;

/* One end of a connection. The flow TO it: packets in flight, then what has arrived unread. The
 * sender's bytes that find the window shut wait at the sender. A delivery is about this line. */
struct sim_end {
    sim_segment *flight, *queue; /* chains */
    dw_io *io;
    sim_link *link; /* to the peer, from its own host */
    sim_aside *aside;
    uint32_t flags;
    uint32_t unread;      /* bytes arrived, not read */
    uint32_t outstanding; /* bytes in flight to this end, or unread */
    uint32_t blocked;     /* bytes in aside->blocked */
    uint16_t port;
    uint8_t error; /* errno of a dead one */
    uint8_t tries;
    uint8_t side; /* 0: the client */
    uint16_t
        told; /* the turn of its host in which it was told, if another is due at that instant */
};

struct sim_conn {
    sim_end end[2];
    struct {
        sim_end *next, **place;
    } of_host[2];           /* in each end's host->ends */
    sim_listener *listener; /* while in its queue */
    union {
        sim_conn *next_accept; /* in that, or among free ones */
        dw_time answered_at;   /* E_HALF_MADE: the SYN-ACK was sent for the first time */
    };
    const sim_name *name; /* UNIX: where it was made; NULL: TCP */
    uint32_t ordinal;     /* the client host's n-th connection */
    uint16_t pins;        /* control packets under way */
    uint8_t family;       /* a dw_address_kind */
};

_Static_assert(sizeof(void *) > 8 || (sizeof(sim_end) <= 64 && sizeof(sim_conn) <= 192),
               "a connection grew");

static inline sim_conn *conn_of(sim_end *end) {
    return DW_CONTAINER_OF(end - end->side, sim_conn, end[0]);
}

static inline sim_end *peer_of(sim_end *end) {
    return end->side == 0 ? end + 1 : end - 1;
}

static inline dw_host *end_host(const sim_end *end) {
    return end->link->from;
}

static inline dw_world *end_world(const sim_end *end) {
    return end->link->from->world;
}

/* Its place among its host's; see of_host. */
static inline sim_end **end_next(sim_end *end) {
    return &conn_of(end)->of_host[end->side].next;
}

/* What it has aside. */
sim_aside *sim_end_aside(sim_end *end);

static inline sim_watched *end_watch(const sim_end *end) {
    return end->aside != NULL ? end->aside->watch : NULL;
}

/* stream.c: what TCP does between two ends. */
sim_conn *sim_stream_connect(dw_host *host, dw_host *to, uint16_t port);
void sim_stream_arrival(sim_event *event);
void sim_stream_ready(sim_event *event);
void sim_stream_control_event(sim_event *event);
ssize_t sim_stream_recv(sim_end *end, const uint8_t **data);
ssize_t sim_stream_send(sim_end *end, const struct iovec *pieces, int count);
void sim_stream_fin(sim_end *end);
void sim_stream_close(sim_end *end, bool reset);
/* The machine is gone without a word. */
void sim_stream_vanish(sim_end *end);
/* Frees the connection if both programs are done with it and nothing is under way. */
void sim_stream_release_closed(sim_conn *conn);
static inline void sim_stream_release(sim_conn *conn) {
    if ((conn->end[0].flags & conn->end[1].flags & E_CLOSED) != 0) {
        sim_stream_release_closed(conn);
    }
}
/* Something may be ready for the program: see to it soon. */
void sim_stream_poke(sim_end *end);
/* Its program has been told of something in this turn, and the next turn is due: that comes before
 * what else there is to tell (vectors/README.md, "Turns of the loop"). */
static inline bool sim_end_is_served(const sim_end *end) {
    const dw_host *host = end->link->from;
    return sim_host_turn_waits(host) && end->told == host->turns;
}
/* It has been told of something just now, on its host. */
static inline void sim_end_serve(sim_end *end, const dw_host *host) {
    if (sim_host_turn_waits(host)) {
        end->told = host->turns;
    }
}
void sim_stream_format(char *out, size_t size, const sim_end *from);
uint64_t sim_stream_hash(sim_end *from);
void sim_stream_wake(dw_host *host);

struct sim_listener {
    sim_event ready;
    sim_listener *next;
    dw_host *host;
    dw_io *io;
    sim_name *name; /* UNIX, else NULL */
    sim_conn *accept_head, *accept_tail;
    unsigned accept_count, backlog;
    uint16_t port;
    uint8_t family; /* TCP: a dw_address_kind */
    bool any;       /* bound to all addresses; those of IPv6 include IPv4's */
    bool listening;
};

/* A connection waits to be accepted; sim_listener_ready or _poke tells. */
void sim_listener_enqueue(sim_listener *listener, sim_conn *conn);
void sim_listener_ready(sim_listener *listener);
/* Connections may wait: see to them as soon as the host gets CPU. */
void sim_listener_poke(sim_listener *listener);
void sim_listener_close(sim_listener *listener);
/* Who takes connections of that family, a dw_address_kind: IPv4's may come to "::", too. */
sim_listener *sim_listener_find(dw_host *host, uint16_t port, uint8_t family);

/* keepalive.c: the option was set, or the connection made; something came; a moment of it; the
 * end's memory goes. */
void sim_keepalive_start(sim_end *end);
void sim_keepalive_heard(sim_end *end);
void sim_keepalive_event(sim_event *event);
void sim_keepalive_end(sim_end *end);

/* nagle.c, when the world has it: whether a write of `len` waits, to be blocked; it has been sent;
 * what waits waits no more; something came from the peer; a moment of it; the end's memory goes. */
bool sim_nagle_holds(sim_end *from, size_t len);
void sim_nagle_sent(sim_end *from, size_t len);
void sim_nagle_push(sim_end *from);
void sim_nagle_heard(sim_end *from);
void sim_nagle_event(sim_event *event);
void sim_nagle_end(sim_end *from);

/* timewait.c: the end has sent its FIN first and seen the other. A machine forgets all. */
void sim_timewait_enter(sim_end *end);
void sim_timewait_forget(dw_host *host);
/* Those that are over go. */
void sim_timewait_tidy(dw_host *host);
/* Counts in the map what the host has in TIME_WAIT to there; NULL `link`: to anywhere. */
void sim_timewait_each(const dw_host *host, struct sim_port_map *map, const sim_link *link,
                       uint16_t to_port);
/* Whether a connection, live or in TIME_WAIT, keeps the port from being bound. `reuse`: who binds
 * has SO_REUSEADDR. */
bool sim_port_is_busy(dw_host *host, uint16_t port, uint8_t family, bool reuse);

/* ports.c: a port for a connection to there, or any port; 0: there is none. NULL `to`: to bind. */
uint16_t sim_port_pick(dw_host *host, dw_host *to, uint16_t to_port);
/* The end, which has a port, begins to keep it; it keeps it no more. */
void sim_port_take(sim_end *end);
void sim_port_give(sim_end *end);
/* Not when it was reset, or has closed in good order without having been first, which leaves it no
 * more to say. To be called when one of these may have come to be. */
static inline void sim_port_settle(sim_end *end) {
    const uint32_t closed = E_CLOSED | E_FIN_SEEN;
    bool over = (end->flags & E_DEAD) != 0 || (end->flags & closed) == closed;
    if ((end->flags & E_PORT) != 0 && over) {
        sim_port_give(end);
    }
}
/* One use more, or less, of the port towards there. */
void sim_port_count(sim_link *link, uint16_t port, uint16_t to_port, bool more);
void sim_port_map_add(struct sim_port_map *map, const dw_host *host, uint16_t port);

#endif
