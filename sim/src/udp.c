/* SPDX-License-Identifier: MIT */
/*
 * UDP (RFC 768): datagrams under way between hosts. Each has an event of its own, so later ones may
 * overtake it; a partition catches those in flight. The choices about datagrams are drawn here:
 * when one leaves, how late it is and whether it is sent twice; when it arrives and somebody is
 * there for it, whether it is lost, refused or corrupt.
 *
 * Invariant: a datagram is in flight, in one queue, or lent to the callback that reads it.
 */
#include "datagram.h"
#include "hash.h"
#include "trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADERS_IPV4 = 28, /* RFC 791, RFC 768 */
    HEADERS_IPV6 = 48, /* RFC 8200 */
    PAYLOAD_IPV4 = 65507,
    PAYLOAD_IPV6 = 65527,
    DATAGRAM_KINDS = SIM_UNREACHABLE - SIM_LOSE + 1,
    FLOWS_FIRST = 64
};

struct sim_flow {
    sim_flow *next;
    dw_host *from, *to;
    uint64_t hash;
    sim_draws draws[DATAGRAM_KINDS];
    uint16_t from_port, to_port;
};

/* ---- Flows ---- */

static void flow_name(char *out, size_t size, const dw_host *from, uint16_t from_port,
                      const dw_host *to, uint16_t to_port) {
    snprintf(out, size, "udp %s:%u>%s:%u", from->name, (unsigned)from_port, to->name,
             (unsigned)to_port);
}

void sim_flow_format(char *out, size_t size, const sim_flow *flow) {
    flow_name(out, size, flow->from, flow->from_port, flow->to, flow->to_port);
}

uint64_t sim_flow_hash(const sim_flow *flow) {
    return flow->hash;
}

static size_t bucket_of(const dw_world *world, const dw_host *from, uint16_t from_port,
                        const dw_host *to, uint16_t to_port) {
    uint64_t hosts = (uint64_t)from->index << 32 | to->index;
    return mix64(hosts ^ mix64((uint64_t)from_port << 16 | to_port)) & (world->flow_room - 1);
}

static void flows_grow(dw_world *world) {
    sim_flow **old = world->flows;
    size_t room = world->flow_room;
    world->flow_room = room > 0 ? room * 2 : FLOWS_FIRST;
    world->flows = sim_world_alloc(world, world->flow_room * sizeof(*world->flows));
    memset(world->flows, 0, world->flow_room * sizeof(*world->flows));
    for (size_t i = 0; i < room; i++) {
        for (sim_flow *flow = old[i]; flow != NULL;) {
            sim_flow *next = flow->next;
            size_t at = bucket_of(world, flow->from, flow->from_port, flow->to, flow->to_port);
            flow->next = world->flows[at];
            world->flows[at] = flow;
            flow = next;
        }
    }
}

/* The flow that a datagram belongs to, made at its first draw. */
static sim_flow *flow_of(const sim_datagram *d) {
    dw_host *from = d->link->from, *to = d->link->to;
    dw_world *world = from->world;
    if (world->flow_count == world->flow_room) {
        flows_grow(world);
    }
    sim_flow **bucket = &world->flows[bucket_of(world, from, d->from.port, to, d->to.port)];
    for (sim_flow *flow = *bucket; flow != NULL; flow = flow->next) {
        if (flow->from == from && flow->to == to && flow->from_port == d->from.port &&
            flow->to_port == d->to.port) {
            return flow;
        }
    }
    char name[SIM_WHO_MAX];
    sim_flow *flow = sim_world_alloc(world, sizeof(*flow));
    *flow = (sim_flow){
        .next = *bucket, .from = from, .to = to, .from_port = d->from.port, .to_port = d->to.port};
    sim_flow_format(name, sizeof(name), flow);
    flow->hash = sim_hash_text(HASH_START, name);
    *bucket = flow;
    world->flow_count++;
    return flow;
}

static uint64_t draw(const sim_datagram *d, sim_kind kind, uint64_t options) {
    dw_world *world = d->link->from->world;
    if (!choice_active(world, kind)) {
        return 0;
    }
    sim_flow *flow = flow_of(d);
    return sim_choice_draw(world, kind, (sim_who){WHO_UDP, flow}, sim_kind_name(kind),
                           &flow->draws[kind - SIM_LOSE], options);
}

static void DW_PRINTF(2, 3) tell(const sim_datagram *d, const char *format, ...) {
    dw_world *world = d->link->from->world;
    if (world->trace != NULL) {
        char name[SIM_WHO_MAX], text[120];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        flow_name(name, sizeof(name), d->link->from, d->from.port, d->link->to, d->to.port);
        sim_trace_add(world, ' ', name, "%s", text);
    }
}

/* ---- Under way ---- */

/* Who sent it, if it would hear of a refusal: connected sockets do (udp(7)). */
static sim_socket *hears_refusal(const sim_datagram *d) {
    const dw_host *host = d->link->from;
    sim_socket *s = d->cast == CAST_UNICAST ? sim_port_receiver(host, d->from, d->to) : NULL;
    return s != NULL && s->peer.port != 0 ? s : NULL;
}

/* Where nobody would hear that it met nobody, and no rule sees it, to be lost is the same whenever
 * it happens. */
static bool loses(const sim_datagram *d) {
    dw_world *world = d->link->from->world;
    if (choice_active(world, SIM_LOSE) && !d->link->special && hears_refusal(d) == NULL) {
        sim_order_loss(world, &d->event);
    }
    return draw(d, SIM_LOSE, 2) != 0;
}

static size_t headers(const sim_datagram *d) {
    return d->from.version == 6 ? HEADERS_IPV6 : HEADERS_IPV4;
}

static void lost(sim_datagram *d, const char *why) {
    tell(d, "%s lost: %s", d->refusal ? "ICMP" : "datagram", why);
    sim_datagram_free(d->link->from->world, d);
}

/* Takes the datagram. False: it is lost already. */
static bool fly(sim_datagram *d) {
    size_t len = d->len + headers(d);
    dw_time at = sim_link_carry(d->link, len, true);
    if (at == DW_TIME_MAX) {
        bool large = d->link->mtu > 0 && len > d->link->mtu;
        lost(d, large             ? "larger than the link's mtu"
                : d->link->shaped ? "the link drops it"
                                  : "it takes for ever");
        return false;
    }
    dw_time extra = d->refusal ? 0 : (dw_time)draw(d, SIM_REORDER, 0);
    sim_world_schedule(d->link->from->world, &d->event, time_add(at, extra));
    return true;
}

static sim_datagram *copy_of(const sim_datagram *d) {
    sim_datagram *copy = sim_datagram_new(d->link->from->world, d->len);
    uint8_t size_class = copy->size_class;
    memcpy(copy, d, sizeof(*d) + d->len);
    copy->event = (sim_event){.type = EV_DATAGRAM};
    copy->size_class = size_class;
    return copy;
}

/* Takes the datagram. */
static void leave(sim_datagram *d) {
    tell(d, "sent, %u bytes", (unsigned)d->len);
    if (fly(d) && draw(d, SIM_DUPLICATE, 2) != 0) {
        fly(copy_of(d));
    }
}

/* RFC 792: goes back to the sender of a datagram that met nobody. */
static void refuse(const sim_datagram *d) {
    dw_host *from = d->link->from, *to = d->link->to;
    sim_datagram *icmp = sim_datagram_new(to->world, 0);
    icmp->from = d->to;
    icmp->to = d->from;
    icmp->link = sim_link_between(to, from);
    icmp->refusal = true;
    fly(icmp);
}

static void refusal_arrives(sim_datagram *icmp) {
    dw_host *host = icmp->link->to;
    sim_socket *s = sim_port_receiver(host, icmp->to, icmp->from);
    tell(icmp, "ICMP port unreachable");
    sim_datagram_free(host->world, icmp);
    if (s != NULL && s->peer.port != 0) {
        s->error = ECONNREFUSED;
        sim_socket_dispatch(s);
    }
}

/* ---- Arrival ---- */

/* Linux 6.18, tried: while the sum fits the buffer, or the queue is empty. False: no room. */
static bool queue(sim_socket *s, sim_datagram *d) {
    dw_world *world = s->host->world;
    if (s->head != NULL && s->held + sim_datagram_cost(d) > world->datagram_buffer) {
        lost(d, "the receive buffer is full");
        return false;
    }
    sim_socket_enqueue(s, d);
    return true;
}

/* A broken middlebox has made the checksum right again: else UDP would drop it. */
static void corrupt(sim_datagram *d) {
    uint64_t bit = d->len > 0 ? draw(d, SIM_CORRUPT, (uint64_t)d->len * 8 + 1) : 0;
    if (bit > 0) {
        d->data[(bit - 1) / 8] ^= (uint8_t)(1u << (bit - 1) % 8);
    }
}

static void give_to_one(sim_datagram *d, sim_socket *s) {
    corrupt(d);
    tell(d, "arrives");
    if (queue(s, d)) {
        sim_socket_dispatch(s);
    }
}

/* Each is told in an event of its own: what one does may close another. */
static void give_to_many(sim_datagram *d, sim_socket *s) {
    corrupt(d);
    tell(d, "arrives");
    while (s != NULL) {
        sim_socket *next = sim_port_next_of_many(s->host, s, d->to, d->from);
        if (queue(s, next != NULL ? copy_of(d) : d)) {
            sim_socket_poke(s);
        }
        s = next;
    }
}

static sim_socket *first_receiver(const sim_datagram *d) {
    const dw_host *host = d->link->to;
    if (d->cast == CAST_UNICAST) {
        return sim_port_receiver(host, d->to, d->from);
    }
    if (d->cast == CAST_MULTICAST && !sim_group_has(host, d->to.host, (sim_interface)d->iface)) {
        return NULL;
    }
    return sim_port_next_of_many(host, NULL, d->to, d->from);
}

static void met_nobody(sim_datagram *d) {
    tell(d, "nobody has port %u", (unsigned)d->to.port);
    if (hears_refusal(d) != NULL) {
        refuse(d);
    }
    sim_datagram_free(d->link->from->world, d);
}

/* What a link that is held or that rules concern does to it. False: it does not arrive now. */
static bool admitted(sim_datagram *d) {
    if (sim_link_park(d->link, &d->event)) {
        return false;
    }
    dw_verdict verdict = sim_rules_judge_datagram(d);
    switch (verdict.kind) {
    case DW_PASS:
        return true;
    case DW_LATER:
        tell(d, "delayed by a rule");
        sim_world_schedule(d->link->from->world, &d->event,
                           time_add(d->link->from->world->now, verdict.delay));
        return false;
    case DW_RESET:
        tell(d, "refused by a rule");
        if (hears_refusal(d) != NULL) {
            refuse(d);
        }
        sim_datagram_free(d->link->from->world, d);
        return false;
    case DW_DROP:
    case DW_CLOSE:
        break;
    }
    lost(d, "dropped by a rule");
    return false;
}

void sim_udp_arrival(sim_datagram *d) {
    dw_host *host = d->link->to;
    world_mark(host->world, 0x5001 + d->refusal + ((uint64_t)d->from.port << 16) +
                                ((uint64_t)d->to.port << 32) + ((uint64_t)d->len << 48));
    if (d->link->special && !admitted(d)) {
        return;
    }
    if (sim_link_is_down(d->link) || host->power == POWER_DEAD) {
        lost(d, host->power == POWER_DEAD ? "the machine is dark" : "the link is cut");
        return;
    }
    if (d->refusal) {
        refusal_arrives(d);
        return;
    }
    sim_socket *s = first_receiver(d);
    if (s == NULL) {
        met_nobody(d);
    } else if (loses(d)) {
        lost(d, "chosen so");
    } else if (hears_refusal(d) != NULL && draw(d, SIM_UNREACHABLE, 2) != 0) {
        refuse(d);
        sim_datagram_free(host->world, d);
    } else if (d->cast == CAST_UNICAST) {
        give_to_one(d, s);
    } else {
        give_to_many(d, s);
    }
}

/* ---- Sending ---- */

static sim_datagram *compose(sim_socket *s, dw_host *host, sim_ip to, const struct iovec *pieces,
                             int count, size_t len) {
    sim_datagram *d = sim_datagram_new(host->world, len);
    d->from = sim_udp_source(s, to);
    d->to = to;
    d->link = sim_link_between(s->host, host);
    sim_gather(d->data, pieces, count, 0, len);
    return d;
}

/* Whether somebody of that host may get it. Asked when it leaves: who comes later is too late. */
static bool reaches(const sim_socket *s, const dw_host *host, sim_ip to) {
    sim_interface iface = sim_udp_interface(s, to);
    if (sim_port_next_of_many(host, NULL, to, sim_udp_source(s, to)) == NULL) {
        return false;
    }
    if (!sim_ip_is_group(to)) {
        return true;
    }
    bool leads_there =
        host == s->host ? s->loopback || iface == IFACE_LOOPBACK : s->ttl > 0 && iface == IFACE_NET;
    return leads_there && sim_group_has(host, to.host, iface);
}

static void send_to_many(sim_socket *s, sim_ip to, const struct iovec *pieces, int count,
                         size_t len) {
    for (dw_host *host = s->host->world->hosts; host != NULL; host = host->next) {
        if (reaches(s, host, to)) {
            sim_datagram *d = compose(s, host, to, pieces, count, len);
            d->cast = sim_ip_is_group(to) ? CAST_MULTICAST : CAST_BROADCAST;
            d->iface = (uint8_t)sim_udp_interface(s, to);
            leave(d);
        }
    }
}

ssize_t sim_udp_send(sim_socket *s, const struct iovec *pieces, int count, size_t len,
                     const dw_address *address) {
    sim_ip to = s->peer;
    if (address == NULL && to.port == 0) {
        return -EDESTADDRREQ;
    }
    if (address != NULL && address->port == 0) {
        return -EINVAL;
    }
    int error = address != NULL ? sim_udp_route(s, address, &to) : 0;
    if (error < 0) {
        return error;
    }
    if (len > (to.version == 6 ? PAYLOAD_IPV6 : PAYLOAD_IPV4)) {
        return -EMSGSIZE;
    }
    if (sim_ip_is_group(to) || sim_ip_is_broadcast(to)) {
        send_to_many(s, to, pieces, count, len);
    } else {
        leave(compose(s, sim_ip_host(s->host, to), to, pieces, count, len));
    }
    return (ssize_t)len;
}
