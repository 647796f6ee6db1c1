/* SPDX-License-Identifier: MIT */
/*
 * Connections: their names, their life, and how each end tells its program what is ready.
 *
 * Invariant: a connection is freed when both programs are done with it, nothing of it is under way
 * and no callback of it is on the stack; not before, and not twice.
 */
#include "stream.h"

#include <stdio.h>

/* ---- Names ---- */

static void format_end(char *out, size_t size, const sim_end *end) {
    const sim_conn *conn = conn_of((sim_end *)(uintptr_t)end);
    if (end->side == 0) {
        snprintf(out, size, "%s:%llu", end->host->name, (unsigned long long)conn->ordinal);
    } else {
        snprintf(out, size, "%s:%u", end->host->name, (unsigned)end->port);
    }
}

void sim_stream_format(char *out, size_t size, const sim_end *from) {
    char a[80], b[80];
    format_end(a, sizeof(a), from);
    format_end(b, sizeof(b), peer_of((sim_end *)(uintptr_t)from));
    snprintf(out, size, "%s>%s", a, b);
}

uint64_t sim_stream_hash(sim_end *from) {
    if (from->flow_hash == 0) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        from->flow_hash = sim_hash_text(HASH_START, name);
    }
    return from->flow_hash;
}

uint64_t sim_flow_draw(sim_end *from, sim_kind kind, uint64_t *counter, uint64_t options) {
    dw_world *world = from->host->world;
    if (!choice_active(world, kind)) {
        return 0;
    }
    return sim_choice_draw(world, kind, (sim_who){WHO_FLOW, from}, sim_kind_name(kind), counter,
                           options);
}

void sim_flow_trace(sim_end *from, char mark, const char *text) {
    dw_world *world = from->host->world;
    if (world->trace != NULL) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        sim_trace_add(world, mark, name, "%s", text);
    }
}

/* ---- Life ---- */

void sim_chain_drop(dw_world *world, sim_segment **head, sim_segment **tail) {
    while (*head != NULL) {
        sim_segment *next = (*head)->next;
        sim_segment_free(world, *head);
        *head = next;
    }
    *tail = NULL;
}

static void free_conn(dw_world *world, sim_conn *conn) {
    for (int i = 0; i < 2; i++) {
        sim_end *end = &conn->end[i];
        sim_queue_remove(&world->queue, &end->arrival);
        sim_queue_remove(&world->queue, &end->ready);
        sim_chain_drop(world, &end->flight_head, &end->flight_tail);
        sim_chain_drop(world, &end->queue_head, &end->queue_tail);
        sim_chain_drop(world, &end->blocked_head, &end->blocked_tail);
    }
    if (conn->previous != NULL) {
        conn->previous->next = conn->next;
    } else {
        world->conns = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->previous = conn->previous;
    }
    conn->next = world->memory.free_conns;
    world->memory.free_conns = conn;
}

/* Both programs are done with it and nothing is under way. */
void sim_stream_release(sim_conn *conn) {
    sim_end *a = &conn->end[0], *b = &conn->end[1];
    if ((a->flags & b->flags & E_CLOSED) != 0 && conn->pins == 0 && a->flight_head == NULL &&
        b->flight_head == NULL && a->blocked_head == NULL && b->blocked_head == NULL &&
        conn->listener == NULL) {
        free_conn(a->host->world, conn);
    }
}

/* A host that was stalled gets CPU again: what waited for that comes now. */
void sim_stream_wake(dw_host *host) {
    for (sim_conn *conn = host->world->conns; conn != NULL; conn = conn->next) {
        for (int i = 0; i < 2; i++) {
            sim_end *end = &conn->end[i];
            if (end->host == host && (end->flags & E_HELD) == 0) {
                sim_queue_remove(&host->world->queue, &end->ready);
                sim_stream_poke(end);
            }
        }
    }
}

void sim_end_init(sim_end *end, dw_host *host, dw_host *other, uint8_t side) {
    end->arrival.type = EV_ARRIVAL;
    end->ready.type = EV_READY;
    end->host = host;
    end->link = sim_link_between(host, other);
    end->side = side;
}

sim_conn *sim_conn_take(dw_world *world) {
    sim_conn *conn = world->memory.free_conns;
    if (conn != NULL) {
        world->memory.free_conns = conn->next;
        memset(conn, 0, sizeof(*conn));
    } else {
        conn = sim_conn_new(world);
    }
    conn->next = world->conns;
    if (conn->next != NULL) {
        conn->next->previous = conn;
    }
    world->conns = conn;
    return conn;
}

/* ---- Telling the program ---- */

static unsigned readiness(const sim_end *end) {
    unsigned ready = 0;
    if ((end->flags & E_DEAD) != 0) {
        return DW_READABLE | DW_WRITABLE;
    }
    if ((end->flags & E_HELD) == 0 && (end->unread > 0 || (end->flags & E_FIN_SEEN) != 0)) {
        ready |= DW_READABLE;
    }
    if ((end->flags & E_ESTABLISHED) != 0 &&
        (end->blocked < end->host->world->send_buffer || (end->flags & E_FIN_QUEUED) != 0)) {
        ready |= DW_WRITABLE;
    }
    return ready;
}

static unsigned due(const sim_end *end) {
    return end->io != NULL ? readiness(end) & end->io->want : 0;
}

void sim_stream_poke(sim_end *end) {
    if (due(end) != 0 && end->ready.place == 0) {
        sim_world_schedule(end->host->world, &end->ready, end->host->world->now);
    }
}

/* Runs the program's side, if it is ready for anything it wants and gets CPU. */
void sim_end_dispatch(sim_end *end) {
    dw_host *host = end->host;
    unsigned ready = due(end);
    if (ready == 0 || host->power != POWER_UP) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        if (end->ready.place == 0) {
            sim_world_schedule(host->world, &end->ready, host->stalled_until);
        }
        return;
    }
    conn_of(end)->pins++;
    sim_host_enter(host);
    dw_io_ready(&host->reactor, end->io, ready);
    sim_host_leave(host);
    conn_of(end)->pins--;
    sim_stream_poke(end);
    sim_stream_release(conn_of(end));
}

void sim_end_unhold(sim_end *end) {
    if ((end->flags & E_HELD) != 0) {
        end->flags &= ~(uint32_t)E_HELD;
        sim_queue_remove(&end->host->world->queue, &end->ready);
    }
}

void sim_stream_ready(sim_end *end) {
    sim_end_unhold(end);
    sim_end_dispatch(end);
}

/* ---- An end that dies ---- */

/* What has arrived can still be read before the error, as on Linux (vectors:
 * tcp-abort-peer-paused-unread); what is in flight is overtaken. */
static void kill_end(sim_end *end, int error) {
    dw_world *world = end->host->world;
    if ((end->flags & E_DEAD) != 0) {
        return;
    }
    sim_end_unhold(end);
    end->flags |= E_DEAD | E_RESOLVED;
    end->error = (uint32_t)error;
    sim_chain_drop(world, &end->blocked_head, &end->blocked_tail);
    end->blocked = 0;
}

void sim_end_died(sim_end *end, int error) {
    if ((end->flags & E_CLOSED) == 0) {
        kill_end(end, error);
        sim_end_dispatch(end);
    } else {
        sim_chain_drop(end->host->world, &end->blocked_head, &end->blocked_tail);
        end->blocked = 0;
        end->flags |= E_DEAD;
        sim_stream_release(conn_of(end));
    }
}
