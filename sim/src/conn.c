/* SPDX-License-Identifier: MIT */
/*
 * Connections: their names, their life, and how each end tells its program what is ready.
 *
 * Invariant: a connection is freed when both programs are done with it, nothing of it is under way
 * and no callback of it is on the stack; not before, and not twice.
 */
#include "datagram.h"
#include "stream.h"
#include "text.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

/* ---- Names ---- */

static void add_end(sim_text *text, const sim_end *end) {
    const sim_conn *conn = conn_of((sim_end *)(uintptr_t)end);
    const char *host = end_host(end)->name;
    sim_text_add(text, host);
    sim_text_add(text, ":");
    if (end->side == 0) {
        sim_text_add_number(text, conn->ordinal);
    } else if (conn->name != NULL) {
        char path[DW_UNIX_PATH_MAX + 1];
        size_t others = 2 * strlen(host) + sizeof(":>:18446744073709551615");
        size_t room = SIM_WHO_MAX - others < sizeof(path) ? SIM_WHO_MAX - others : sizeof(path);
        sim_text_add(text, sim_name_text(path, room, conn->name));
    } else {
        sim_text_add_number(text, end->port);
    }
}

void sim_stream_format(char *out, size_t size, const sim_end *from) {
    sim_text text = sim_text_begin(out, size);
    add_end(&text, from);
    sim_text_add(&text, ">");
    add_end(&text, peer_of((sim_end *)(uintptr_t)from));
}

uint64_t sim_stream_hash(sim_end *from) {
    sim_aside *aside = sim_end_aside(from);
    if (aside->flow_hash == 0) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        aside->flow_hash = sim_hash_text(HASH_START, name);
    }
    return aside->flow_hash;
}

sim_aside *sim_flow_draws(sim_end *holder) {
    sim_aside *aside = sim_end_aside(holder);
    if (aside->passed > 0) {
        sim_straight_settle(aside);
    }
    aside->quiet = 0; /* the one that follows is not among them */
    return aside;
}

uint64_t sim_flow_draw_active(sim_end *from, sim_kind kind, sim_draws *draws, uint64_t options) {
    return sim_choice_draw(end_world(from), kind, (sim_who){WHO_FLOW, from}, sim_kind_name(kind),
                           draws, options);
}

void sim_flow_trace(sim_end *from, char mark, const char *text) {
    dw_world *world = end_world(from);
    if (world->trace != NULL) {
        char name[SIM_WHO_MAX];
        sim_stream_format(name, sizeof(name), from);
        sim_trace_add(world, mark, name, "%s", text);
    }
}

/* ---- Life ---- */

void sim_chain_drop(dw_world *world, sim_segment **last) {
    while (*last != NULL) {
        sim_segment_free(world, chain_take(last));
    }
}

void sim_end_drop_blocked(sim_end *end) {
    if (end->aside != NULL) {
        sim_chain_drop(end_world(end), &end->aside->blocked);
        end->blocked = 0;
    }
}

sim_aside *sim_end_aside(sim_end *end) {
    sim_memory *memory = &end_world(end)->memory;
    sim_aside *aside = end->aside;
    if (aside != NULL) {
        return aside;
    }
    aside = memory->free_asides;
    if (aside != NULL) {
        memory->free_asides = (sim_aside *)(void *)aside->end;
    } else {
        aside = sim_world_alloc(end_world(end), sizeof(*aside));
    }
    *aside = (sim_aside){.ready = {.type = EV_READY}, .end = end};
    end->aside = aside;
    return aside;
}

static void free_end(dw_world *world, sim_end *end) {
    sim_conn *conn = conn_of(end);
    sim_end *next = *end_next(end), **place = conn->of_host[end->side].place;
    if ((end->flags & E_PORT) != 0) {
        sim_port_give(end);
    }
    if (end->flight != NULL) {
        sim_flight_drop(end);
    }
    sim_chain_drop(world, &end->queue);
    if (end->aside != NULL) {
        sim_queue_remove(&world->queue, &end->aside->ready);
        sim_keepalive_end(end);
        sim_nagle_end(end);
        sim_end_drop_blocked(end);
        end->aside->end = (sim_end *)(void *)world->memory.free_asides;
        world->memory.free_asides = end->aside;
    }
    *place = next;
    if (next != NULL) {
        conn_of(next)->of_host[next->side].place = place;
    }
}

static void free_conn(sim_conn *conn) {
    dw_world *world = end_world(&conn->end[0]);
    free_end(world, &conn->end[0]);
    free_end(world, &conn->end[1]);
    conn->next_accept = world->memory.free_conns;
    world->memory.free_conns = conn;
}

static bool nothing_waits(const sim_end *end) {
    return (end->flags & E_INSIDE) == 0 && end->flight == NULL &&
           (end->aside == NULL || end->aside->blocked == NULL);
}

/* Both programs are done with it and nothing is under way. */
void sim_stream_release_closed(sim_conn *conn) {
    if (conn->pins == 0 && nothing_waits(&conn->end[0]) && nothing_waits(&conn->end[1]) &&
        conn->listener == NULL) {
        free_conn(conn);
    }
}

/* A host that was stalled gets CPU again: what waited for that comes now, in the order in which the
 * connections were made last. */
void sim_stream_wake(dw_host *host) {
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        if ((end->flags & E_HELD) == 0) {
            sim_end_unready(end);
            sim_stream_poke(end);
        }
    }
}

static void end_init(sim_end *end, sim_link *link, uint8_t side) {
    dw_host *host = link->from;
    end->link = link;
    end->side = side;
    *end_next(end) = host->ends;
    if (host->ends != NULL) {
        conn_of(host->ends)->of_host[host->ends->side].place = end_next(end);
    }
    conn_of(end)->of_host[side].place = &host->ends;
    host->ends = end;
}

sim_conn *sim_conn_take(dw_host *client, dw_host *server) {
    dw_world *world = client->world;
    sim_conn *conn = world->memory.free_conns;
    if (conn != NULL) {
        world->memory.free_conns = conn->next_accept;
    } else {
        conn = sim_world_alloc_aligned(world, sizeof(*conn), SIM_LINE);
    }
    memset(conn, 0, sizeof(*conn));
    conn->ordinal = (uint32_t)++client->connections;
    end_init(&conn->end[1], sim_link_between(server, client), 1);
    end_init(&conn->end[0], sim_link_between(client, server), 0);
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
        (end->blocked < end_world(end)->send_buffer || (end->flags & E_FIN_QUEUED) != 0)) {
        ready |= DW_WRITABLE;
    }
    return ready;
}

static unsigned due(const sim_end *end) {
    return end->io != NULL ? readiness(end) & end->io->want : 0;
}

static bool ready_is_queued(const sim_end *end) {
    return end->aside != NULL && end->aside->ready.place != 0;
}

void sim_end_ready_at(sim_end *end, dw_time at) {
    sim_world_schedule(end_world(end), &sim_end_aside(end)->ready, at);
}

void sim_end_unready(sim_end *end) {
    if (end->aside != NULL) {
        sim_queue_remove(&end_world(end)->queue, &end->aside->ready);
    }
}

void sim_stream_poke(sim_end *end) {
    if (due(end) != 0 && !ready_is_queued(end)) {
        sim_end_ready_at(end, end_world(end)->now);
    }
}

/* One reception of a connection in a turn. */
static void dispatch_next_turn(sim_end *end) {
    sim_conn *conn = conn_of(end);
    conn->pins++;
    sim_host_turn_first(end_host(end));
    sim_end_dispatch(end);
    conn->pins--;
    sim_stream_release(conn);
}

void sim_end_dispatch(sim_end *end) {
    dw_host *host = end_host(end);
    unsigned ready = due(end);
    if (ready == 0 || host->power != POWER_UP) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        if (!ready_is_queued(end)) {
            sim_end_ready_at(end, host->stalled_until);
        }
        return;
    }
    if (sim_end_is_served(end)) {
        dispatch_next_turn(end);
        return;
    }
    end->flags |= E_INSIDE;
    sim_host_enter_for(host, end);
    dw_io_ready(&host->reactor, end->io, ready);
    sim_host_leave(host);
    sim_end_serve(end, host);
    end->flags &= ~(uint32_t)E_INSIDE;
    sim_stream_poke(end);
    sim_stream_release(conn_of(end));
}

void sim_end_unhold(sim_end *end) {
    if ((end->flags & E_HELD) != 0) {
        end->flags &= ~(uint32_t)E_HELD;
        sim_end_unready(end);
    }
}

void sim_stream_ready(sim_event *event) {
    sim_end *end = DW_CONTAINER_OF(event, sim_aside, ready)->end;
    sim_end_unhold(end);
    sim_end_dispatch(end);
}

/* ---- An end that dies ---- */

/* What has arrived can still be read before the error, as on Linux (vectors:
 * tcp-abort-peer-paused-unread); what is in flight is overtaken. */
void sim_end_kill(sim_end *end, int error) {
    if ((end->flags & E_DEAD) != 0) {
        return;
    }
    sim_end_unhold(end);
    end->flags |= E_DEAD | E_RESOLVED;
    end->error = (uint8_t)error;
    sim_port_settle(end);
    sim_end_drop_blocked(end);
}

void sim_end_died(sim_end *end, int error) {
    if ((end->flags & E_CLOSED) == 0) {
        sim_end_kill(end, error);
        sim_end_dispatch(end);
    } else {
        sim_end_drop_blocked(end);
        end->flags |= E_DEAD;
        sim_port_settle(end);
        sim_stream_release(conn_of(end));
    }
}
