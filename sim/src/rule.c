/* SPDX-License-Identifier: MIT */
/*
 * Rules: the user's functions over traffic, asked when a packet is about to arrive, and what
 * becomes of it. Also the other things that can befall a packet only on a special link: it is held,
 * or it has been dropped and is sent again now. Called by arrival.c and udp.c.
 *
 * Invariant: a message is judged once each time it arrives; what was to pass first, or is late, is
 * not judged again.
 */
#include "datagram.h"
#include "stream.h"

#include <string.h>

struct dw_rule {
    dw_rule *next;
    const dw_host *from, *to; /* NULL: any */
    dw_rule_fn fn;            /* NULL: it was removed */
    void *user;
};

/* The bytes that came to an end since there was a rule. */
struct sim_history {
    uint8_t *bytes;
    size_t len, room;
    uint64_t all;
};

/* ---- Adding and removing ---- */

static bool concerns(const dw_rule *rule, const sim_link *link) {
    return rule->fn != NULL && (rule->from == NULL || rule->from == link->from) &&
           (rule->to == NULL || rule->to == link->to);
}

bool sim_rules_concern(const sim_link *link) {
    const dw_rule *rule = link->from->world->rules;
    while (rule != NULL && !concerns(rule, link)) {
        rule = rule->next;
    }
    return rule != NULL;
}

static void refresh_links(dw_world *world) {
    for (dw_host *host = world->hosts; host != NULL; host = host->next) {
        for (sim_link *link = host->links; link != NULL; link = link->next) {
            sim_link_refresh(link);
        }
    }
}

dw_rule *dw_world_add_rule(dw_world *world, dw_host *from, dw_host *to, dw_rule_fn fn, void *user) {
    dw_rule *rule = sim_world_alloc(world, sizeof(*rule));
    *rule = (dw_rule){.from = from, .to = to, .fn = fn, .user = user};
    if (world->rules_last != NULL) {
        world->rules_last->next = rule;
    } else {
        world->rules = rule;
    }
    world->rules_last = rule;
    refresh_links(world);
    return rule;
}

/* It stays in the list: somebody may be walking along it. */
void dw_world_remove_rule(dw_world *world, dw_rule *rule) {
    rule->fn = NULL;
    refresh_links(world);
}

/* The answer of the first rule that has one. */
static dw_verdict ask(const sim_link *link, const dw_message *message) {
    dw_world *world = link->from->world;
    dw_verdict verdict = {.kind = DW_PASS};
    for (dw_rule *rule = world->rules; rule != NULL && verdict.kind == DW_PASS; rule = rule->next) {
        if (concerns(rule, link)) {
            verdict = rule->fn(world, message, rule->user);
        }
    }
    return verdict;
}

static const char *text_of(dw_verdict_kind kind) {
    static const char *const texts[] = {"", "delayed by a rule", "dropped by a rule",
                                        "reset by a rule", "closed by a rule"};
    return texts[kind];
}

/* ---- Streams: what the message is ---- */

static struct sim_history *history_of(sim_end *to) {
    sim_aside *aside = sim_end_aside(to);
    if (aside->history == NULL) {
        aside->history = sim_world_alloc(end_world(to), sizeof(*aside->history));
        *aside->history = (struct sim_history){0};
    }
    return aside->history;
}

/* Room for `len` more: twice as much as before, or without the oldest half. */
static void make_room(dw_world *world, struct sim_history *h, size_t len) {
    while (h->len + len > h->room && h->room < DW_RULE_STREAM_MAX) {
        size_t room = h->room > 0 ? h->room * 2 : 1024;
        uint8_t *bytes = sim_world_alloc(world, room);
        if (h->len > 0) {
            memcpy(bytes, h->bytes, h->len);
        }
        h->bytes = bytes;
        h->room = room;
    }
    if (h->len + len > h->room) {
        size_t kept = h->room - len < h->len ? h->room - len : h->len;
        memmove(h->bytes, h->bytes + h->len - kept, kept);
        h->len = kept;
    }
}

_Static_assert(DW_RULE_STREAM_MAX >= DW_RECV_MAX, "a segment fits");

static void remember(sim_end *to, sim_segment *segment) {
    struct sim_history *h = history_of(to);
    if ((segment->fate & F_SEEN) == 0) {
        make_room(end_world(to), h, segment->len);
        memcpy(h->bytes + h->len, segment->data, segment->len);
        h->len += segment->len;
        h->all += segment->len;
        segment->fate |= F_SEEN;
    }
}

/* Only the first in flight is ever judged, so it is the end of the history. */
static dw_message message_of(sim_end *to, sim_segment *segment) {
    const sim_end *from = peer_of(to);
    dw_message m = {.from = end_host(from),
                    .to = end_host(to),
                    .from_port = from->port,
                    .to_port = to->port,
                    .connection = conn_of(to)->ordinal,
                    .reply = to->side == 0};
    const struct sim_history *h = history_of(to);
    m.kind = segment->packet == PACKET_SYN   ? DW_MESSAGE_SYN
             : segment->packet == PACKET_FIN ? DW_MESSAGE_FIN
                                             : DW_MESSAGE_DATA;
    if (m.kind == DW_MESSAGE_DATA) {
        remember(to, segment);
        m.data = segment->data;
        m.len = segment->len;
    }
    m.stream = h->bytes;
    m.stream_len = h->len;
    m.offset = h->all - m.len;
    return m;
}

/* ---- Streams: what becomes of it ---- */

/* The part behind `after` bytes becomes a segment of its own, with a verdict of its own. */
static void split(sim_end *to, sim_segment *first, dw_verdict verdict) {
    dw_world *world = end_world(to);
    size_t len = first->len - verdict.after;
    sim_segment *rest = sim_segment_new(world, len);
    memcpy(rest->data, first->data + verdict.after, len);
    rest->packet = first->packet;
    rest->to = to;
    rest->event.at = verdict.kind == DW_LATER ? time_add(world->now, verdict.delay) : world->now;
    rest->event.sequence = ++world->sequence;
    rest->fate = (uint8_t)(F_SEEN | F_JUDGED |
                           (verdict.kind == DW_LATER ? DW_PASS : verdict.kind) << F_VERDICT);
    rest->next = first->next;
    first->next = rest;
    to->flight = to->flight == first ? rest : to->flight;
    first->len = (uint32_t)verdict.after;
    for (sim_segment *s = rest; s != to->flight; s = s->next) {
        s->next->event.at = s->next->event.at > rest->event.at ? s->next->event.at : rest->event.at;
    }
}

/* False: it does not arrive now. */
static bool carry_out(sim_end *to, sim_segment *first, dw_verdict verdict) {
    if (verdict.kind == DW_PASS) {
        return true;
    }
    sim_flow_trace(peer_of(to), ' ', text_of(verdict.kind));
    world_mark(end_world(to), 0x6001 + verdict.kind);
    switch (verdict.kind) {
    case DW_LATER:
        first->fate |= F_JUDGED;
        sim_flight_delay(to, time_add(end_world(to)->now, verdict.delay));
        break;
    case DW_DROP:
        sim_flight_lose_first(to);
        break;
    case DW_RESET:
    case DW_CLOSE:
        sim_arrival_broken(to, verdict.kind == DW_RESET);
        break;
    case DW_PASS:
        break;
    }
    return false;
}

static bool is_judged(const sim_segment *segment) {
    return segment->packet == PACKET_SYN || segment->packet == PACKET_DATA ||
           segment->packet == PACKET_FIN;
}

/* Its function may end hosts, and so the connection, which is pinned, or what is in flight. */
static bool judge(sim_end *to, sim_segment *first) {
    sim_conn *conn = conn_of(to);
    dw_message message = message_of(to, first);
    conn->pins++;
    dw_verdict verdict = ask(peer_of(to)->link, &message);
    conn->pins--;
    if (chain_first(to->flight) != first) {
        sim_stream_release(conn);
        return false;
    }
    if (peer_of(to)->link->holding) {
        return false; /* it has just been held: it waits, and is judged again */
    }
    if (first->packet != PACKET_DATA || verdict.after == 0 || verdict.kind == DW_PASS) {
        return carry_out(to, first, verdict);
    }
    if (verdict.after < first->len) {
        split(to, first, verdict);
    }
    return true;
}

bool sim_rules_admit_packet(sim_end *to) {
    sim_link *link = peer_of(to)->link;
    sim_segment *first = chain_first(to->flight);
    bool closed = (to->flags & (E_CLOSED | E_DEAD | E_BETWEEN)) != 0;
    if (link->holding) {
        return false; /* not queued any more, until the link is released */
    }
    if ((first->fate & F_AGAIN) != 0) {
        sim_flight_send_again(to);
        return false;
    }
    if (sim_link_is_cut(link)) {
        return true; /* it will be lost */
    }
    if ((first->fate & F_JUDGED) != 0) {
        dw_verdict verdict = {.kind = (dw_verdict_kind)(first->fate >> F_VERDICT)};
        first->fate = F_SEEN;
        return carry_out(to, first, verdict);
    }
    bool asked =
        is_judged(first) && sim_rules_concern(link) && (first->packet == PACKET_SYN || !closed);
    return !asked || judge(to, first);
}

/* ---- Datagrams ---- */

static dw_message message_of_datagram(const sim_datagram *d) {
    return (dw_message){.kind = DW_MESSAGE_DATAGRAM,
                        .from = d->link->from,
                        .to = d->link->to,
                        .from_port = d->from.port,
                        .to_port = d->to.port,
                        .data = d->data,
                        .len = d->len};
}

dw_verdict sim_rules_judge_datagram(sim_datagram *d) {
    dw_verdict verdict = {.kind = DW_PASS};
    if (!d->judged && !d->refusal && sim_rules_concern(d->link)) {
        dw_message message = message_of_datagram(d);
        verdict = ask(d->link, &message);
        d->judged = true;
        world_mark(d->link->from->world, 0x6001 + verdict.kind);
    }
    return verdict;
}
