/* SPDX-License-Identifier: MIT */
/*
 * Promises that are watched while a run goes on: a limit of memory for each connection, a deadline
 * for its messages, a limit on attempts to connect, well-formed output. What the invariants are
 * tried with is kept here, too.
 *
 * Invariant: a connection whose class and factory promise nothing, and which is no stock receiver,
 * has no watch and costs one comparison. Called by trace.c, memory.c and socket.c.
 */
#include "oracle.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More of a stream is not kept. */
enum { INPUT_MAX = 16 * 1024, OUTPUT_MAX = 64 * 1024, KEPT_FIRST = 512, ENDS_FIRST = 32 };

/* ---- Keeping ---- */

static void *grown(dw_world *world, const void *old, size_t used, size_t room) {
    void *block = sim_world_alloc(world, room);
    if (used > 0) {
        memcpy(block, old, used);
    }
    return block;
}

/* Room for `len` bytes more, or for as many of them as may be kept. Returns that number. */
static size_t kept_room(dw_world *world, sim_kept *kept, size_t len, size_t most) {
    size_t n = len < most - kept->len ? len : most - kept->len;
    kept->cut = kept->cut || n < len;
    if (kept->len + n > kept->room) {
        size_t room = kept->room > 0 ? kept->room : KEPT_FIRST;
        while (room < kept->len + n) {
            room *= 2;
        }
        kept->bytes = grown(world, kept->bytes, kept->len, room);
        kept->room = room;
    }
    return n;
}

static void keep_input(sim_watched *w, const void *data, size_t len) {
    dw_world *world = w->host->world;
    size_t n = kept_room(world, &w->input, len, INPUT_MAX);
    if (n == 0) {
        return;
    }
    memcpy(w->input.bytes + w->input.len, data, n);
    w->input.len += n;
    if (w->end_count == w->end_room) {
        size_t room = w->end_room > 0 ? w->end_room * 2 : ENDS_FIRST;
        w->ends = grown(world, w->ends, w->end_count * sizeof(*w->ends), room * sizeof(*w->ends));
        w->end_room = room;
    }
    w->ends[w->end_count++] = (uint32_t)w->input.len;
}

void sim_watch_sent(sim_watched *w, const struct iovec *pieces, int count, size_t len) {
    if (w->keeps_output) {
        size_t n = kept_room(w->host->world, &w->output, len, OUTPUT_MAX);
        sim_gather(w->output.bytes + w->output.len, pieces, count, 0, n);
        w->output.len += n;
    }
}

/* ---- Findings ---- */

static void breach(const sim_watched *w, const char *promise, const char *text) {
    sim_world_finding(w->host->world, promise, w->name, "%s: %s: %s", w->host->name, w->name, text);
}

/* ---- The deadline ---- */

static bool has_deadline(const sim_watched *w) {
    return w->promises != NULL && w->promises->message_deadline > 0 &&
           w->promises->message_len != NULL;
}

/* Judged whenever something happens to the connection, before that counts. A host that had no CPU
 * is given the time anew. */
static void check_deadline(sim_watched *w) {
    dw_time since = w->message_since;
    dw_time now = w->host->world->now;
    if (!has_deadline(w) || w->no_messages || w->paused || w->ending || w->over) {
        return;
    }
    since = w->host->stalled_until > since ? w->host->stalled_until : since;
    if (now > time_add(since, w->promises->message_deadline)) {
        breach(w, "deadline",
               "no whole message has come for longer than the promised deadline, and the "
               "connection is not being closed");
    }
}

static void find_messages(sim_watched *w) {
    const sim_kept *in = &w->input;
    while (!w->no_messages && w->message_at < in->len) {
        size_t len = w->promises->message_len(in->bytes + w->message_at, in->len - w->message_at);
        if (len == 0) {
            break;
        }
        if (len > in->len - w->message_at) {
            w->no_messages = true; /* no message, and none will follow */
            return;
        }
        w->message_at += len;
        w->message_since = w->host->world->now;
    }
    w->no_messages = w->no_messages || in->cut;
}

/* ---- Memory ---- */

static void check_memory(sim_watched *w, size_t unsent) {
    size_t most = w->promises->memory_max;
    if (w->held + unsent > most) {
        char text[100];
        snprintf(text, sizeof(text), "one connection holds more than the promised %zu bytes", most);
        breach(w, "memory-limit", text);
    }
}

static void become_payer(dw_world *world, sim_watched *w) {
    if (world->payer_count == world->payer_room) {
        world->payer_room = world->payer_room > 0 ? world->payer_room * 2 : 16;
        world->payers = realloc(world->payers, world->payer_room * sizeof(sim_watched *));
        if (world->payers == NULL) {
            abort();
        }
    }
    world->payers[world->payer_count++] = w;
    w->payer = (uint32_t)world->payer_count;
}

void sim_watch_pays(dw_world *world, uint32_t payer, size_t size) {
    sim_watched *w = world->payers[payer - 1];
    w->held += size;
    check_memory(w, 0);
}

void sim_watch_paid_back(dw_world *world, uint32_t payer, size_t size) {
    world->payers[payer - 1]->held -= size;
}

/* ---- Streams ---- */

static const dw_promises *promises_of(const dw_io_facts *facts) {
    const dw_promises *own = facts->protocol->cls->promises;
    return own != NULL || facts->factory == NULL ? own : facts->factory->cls->promises;
}

static bool wants_input(const sim_watched *w) {
    return w->receiver.kind != RECEIVER_NONE || has_deadline(w) ||
           (w->promises != NULL && sim_replay_wanted(w->promises));
}

static void link_watch(dw_world *world, sim_watched *w) {
    if (world->watches_tail != NULL) {
        world->watches_tail->next = w;
    } else {
        world->watches = w;
    }
    world->watches_tail = w;
    world->watch_count++;
}

static void begin(dw_host *host, sim_end *end, const dw_io *io) {
    dw_io_facts facts;
    dw_io_look(io, &facts);
    if (facts.protocol == NULL) {
        return;
    }
    const dw_promises *promises = promises_of(&facts);
    sim_receiver_kind kind = sim_receiver_kind_of(facts.protocol->cls);
    kind = promises != NULL && promises->cuts_matter ? RECEIVER_NONE : kind;
    if (promises == NULL && kind == RECEIVER_NONE) {
        return;
    }
    sim_watched *w = sim_world_alloc(host->world, sizeof(*w));
    *w = (sim_watched){.promises = promises,
                       .host = host,
                       .name = facts.protocol->cls->name,
                       .factory = facts.factory,
                       .life = host->lives,
                       .receiver = {.kind = kind},
                       .message_since = host->world->now};
    w->keeps_input = wants_input(w);
    w->keeps_output = promises != NULL && promises->well_formed != NULL;
    if (promises != NULL && promises->memory_max > 0) {
        become_payer(host->world, w);
    }
    link_watch(host->world, w);
    host->reactor.observe_bytes = sim_trace_observe;
    sim_end_aside(end)->watch = w;
    sim_host_observe_bytes(host);
}

static void received(sim_watched *w, const dw_io *io, const void *data, size_t len) {
    check_deadline(w);
    if (w->receiver.kind != RECEIVER_NONE && w->input.len == 0) {
        dw_io_facts facts;
        dw_io_look(io, &facts);
        if (!sim_receiver_look(&w->receiver, facts.protocol)) {
            w->receiver.kind = RECEIVER_NONE;
        }
    }
    if (w->keeps_input) {
        keep_input(w, data, len);
    }
    if (has_deadline(w)) {
        find_messages(w);
    }
}

static void wrote(sim_watched *w, const dw_io *io, size_t len) {
    if (w->payer != 0) {
        dw_io_facts facts;
        dw_io_look(io, &facts);
        check_memory(w, facts.unsent + len);
    }
}

static void happened(sim_watched *w, dw_seen seen, const dw_io *io, const void *data, size_t len) {
    switch (seen) {
    case DW_SEEN_DATA:
        received(w, io, data, len);
        break;
    case DW_SEEN_WRITE:
        wrote(w, io, len);
        break;
    case DW_SEEN_LOSE:
    case DW_SEEN_ABORT:
    case DW_SEEN_FAIL:
        check_deadline(w);
        w->ending = true;
        break;
    case DW_SEEN_READ_LOST:
        check_deadline(w);
        w->no_messages = true; /* there will be none */
        break;
    case DW_SEEN_LOST:
        check_deadline(w);
        w->over = true;
        break;
    case DW_SEEN_PAUSE:
        check_deadline(w);
        w->paused = true;
        break;
    case DW_SEEN_RESUME:
        w->paused = false;
        w->message_since = w->host->world->now;
        break;
    default:
        break;
    }
}

static bool is_callback(dw_seen seen) {
    return seen == DW_SEEN_MADE || seen == DW_SEEN_DATA || seen == DW_SEEN_READ_LOST ||
           seen == DW_SEEN_WRITE_LOST || seen == DW_SEEN_LOST;
}

void sim_watch_see(dw_host *host, dw_seen seen, const dw_io *io, const void *data, size_t len) {
    sim_end *end = (sim_end *)io->socket;
    if (seen == DW_SEEN_MADE) {
        begin(host, end, io);
    } else if (end_watch(end) != NULL) {
        happened(end_watch(end), seen, io, data, len);
    }
    if (is_callback(seen)) {
        sim_watched *w = end_watch(end);
        host->world->payer = w != NULL && w->payer != 0 && seen != DW_SEEN_LOST ? w : NULL;
    }
}

void sim_watch_unsent(dw_host *host) {
    dw_world *world = host->world;
    const dw_io *io = NULL;
    while ((io = dw_reactor_next_stream(&host->reactor, io)) != NULL) {
        dw_io_facts facts;
        dw_io_look(io, &facts);
        if (io->kind == DW_IO_STREAM && facts.unsent > world->unsent_max &&
            ((const sim_end *)io->socket)->blocked >= world->send_buffer) {
            const char *name = dw_io_name(io);
            sim_world_finding(world, "memory", name,
                              "%s: %s goes on writing though more than %zu bytes wait for a peer "
                              "that does not read",
                              host->name, name, world->unsent_max);
            return;
        }
    }
}

/* ---- Attempts to connect ---- */

struct sim_attempts {
    struct sim_attempts *next;
    const dw_factory *factory;
    dw_host *host;
    uint64_t life, count;
    dw_time at[]; /* of the last ones, as many as one second may have */
};

static struct sim_attempts *attempts_of(dw_host *host, const dw_factory *factory, unsigned most) {
    dw_world *world = host->world;
    struct sim_attempts *a = world->attempts;
    while (a != NULL && (a->factory != factory || a->host != host || a->life != host->lives)) {
        a = a->next;
    }
    if (a == NULL) {
        a = sim_world_alloc(world, sizeof(*a) + most * sizeof(a->at[0]));
        *a = (struct sim_attempts){world->attempts, factory, host, host->lives, 0};
        world->attempts = a;
    }
    return a;
}

void sim_watch_connect(dw_host *host, const void *data) {
    const dw_factory *factory = dw_connect_seen_factory(data);
    const dw_promises *promises = factory->cls->promises;
    dw_time now = host->world->now;
    if (promises == NULL || promises->attempts_per_second == 0) {
        return;
    }
    unsigned most = promises->attempts_per_second;
    struct sim_attempts *a = attempts_of(host, factory, most);
    if (a->count >= most && now - a->at[a->count % most] < DW_SEC(1)) {
        sim_world_finding(host->world, "attempts", factory->cls->name,
                          "%s: %s: more than the promised %u attempts to connect within a second",
                          host->name, factory->cls->name, most);
    }
    a->at[a->count++ % most] = now;
}

/* ---- The end of the scenario ---- */

static void finish(sim_watched *w) {
    bool up = w->host->power == POWER_UP && w->life == w->host->lives;
    w->over = w->over || !up;
    check_deadline(w);
    if (w->keeps_output && w->output.len > 0 &&
        !w->promises->well_formed(w->output.bytes, w->output.len)) {
        char bytes[300];
        if (w->host->world->trace != NULL) {
            sim_trace_add(w->host->world, ' ', w->name, "sent %zu bytes: %s", w->output.len,
                          sim_trace_bytes(bytes, sizeof(bytes), w->output.bytes, w->output.len));
        }
        breach(w, "well-formed", "what was sent on a connection is not well formed");
    }
}

void sim_watch_finish(dw_world *world) {
    for (sim_watched *w = world->watches; w != NULL && !world->failed; w = w->next) {
        finish(w);
    }
}
