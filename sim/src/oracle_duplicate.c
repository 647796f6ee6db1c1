/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of a protocol that promises something: one that comes a second time, with no other in
 * between, must get the same answers as the first time, or none; and each datagram sent must be
 * well formed. Answers are what is sent while datagram_received runs.
 *
 * Invariant: `world->duplicate` is the socket whose callback runs, if it has promised. Called by
 * trace.c, and by host.c when the program's turn is over.
 */
#include "datagram.h"
#include "hash.h"
#include "oracle.h"

struct sim_duplicate {
    struct sim_duplicate *next; /* of the world's */
    uint64_t serial;            /* of the socket */
    const dw_promises *promises;
    dw_host *host;
    const char *name;
    uint64_t key;                        /* of the datagram that came last: from whom, and what */
    uint64_t answers, count;             /* to it: a hash, and how many */
    uint64_t first_answers, first_count; /* to its first copy that got any */
    bool again;                          /* it is a copy */
};

static struct sim_duplicate *record_of(dw_host *host, const dw_io *io) {
    dw_world *world = host->world;
    const sim_socket *s = (const sim_socket *)io->socket;
    struct sim_duplicate *d = world->duplicates;
    while (d != NULL && d->serial != s->serial) {
        d = d->next;
    }
    if (d == NULL) {
        d = sim_world_alloc(world, sizeof(*d));
        *d = (struct sim_duplicate){.next = world->duplicates,
                                    .serial = s->serial,
                                    .promises = dw_datagram_promises(io),
                                    .host = host,
                                    .name = dw_io_name(io)};
        world->duplicates = d;
    }
    return d;
}

static uint64_t key_of(const dw_world *world, const void *data, size_t len) {
    const sim_datagram *d = world->lent_datagram;
    uint64_t from = mix64(d->from.host) ^ d->from.port ^ (uint64_t)d->from.version << 32;
    from ^= d->name != NULL ? sim_hash_text(HASH_START, d->name->path) : 0;
    return sim_hash_more(HASH_START ^ mix64(from), data, len);
}

static void received(struct sim_duplicate *d, const void *data, size_t len) {
    dw_world *world = d->host->world;
    uint64_t key = key_of(world, data, len);
    d->again = key == d->key;
    if (!d->again) {
        d->key = key;
        d->first_count = 0;
    }
    d->answers = HASH_START;
    d->count = 0;
    world->duplicate = d;
}

void sim_duplicate_close(dw_world *world) {
    struct sim_duplicate *d = world->duplicate;
    world->duplicate = NULL;
    if (d->count == 0) {
        return;
    }
    if (!d->again || d->first_count == 0) { /* no answer yet may mean: a later one */
        d->first_answers = d->answers;
        d->first_count = d->count;
    } else if (d->answers != d->first_answers || d->count != d->first_count) {
        sim_world_finding(world, "duplicate-invariant", d->name,
                          "%s: %s: a datagram that came twice got another answer the second time",
                          d->host->name, d->name);
    }
}

/* Of a datagram in several pieces only the first is looked at. */
static void sent(struct sim_duplicate *d, const void *data, size_t len, size_t first) {
    dw_world *world = d->host->world;
    if (world->duplicate == d) {
        d->answers = sim_hash_more(d->answers ^ mix64(len), data, first);
        d->count++;
    }
    if (first == len && d->promises->well_formed != NULL && !d->promises->well_formed(data, len)) {
        sim_world_finding(world, "well-formed", d->name,
                          "%s: %s: a datagram that was sent is not well formed", d->host->name,
                          d->name);
    }
}

void sim_duplicate_see(dw_host *host, dw_seen seen, const dw_io *io, const void *data, size_t len,
                       size_t first) {
    dw_world *world = host->world;
    const dw_promises *promises =
        seen == DW_SEEN_DATAGRAM || seen == DW_SEEN_SEND ? dw_datagram_promises(io) : NULL;
    if (seen == DW_SEEN_DATAGRAM && world->duplicate != NULL) {
        sim_duplicate_close(world); /* several come in one turn */
    }
    if (promises == NULL || !(promises->duplicate_invariant || promises->well_formed != NULL)) {
        return;
    }
    struct sim_duplicate *d = record_of(host, io);
    if (seen == DW_SEEN_SEND) {
        sent(d, data, len, first);
    } else if (promises->duplicate_invariant) {
        received(d, data, len);
    }
}
