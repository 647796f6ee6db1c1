/* SPDX-License-Identifier: MIT */
/*
 * Pipes between a program and its child processes, in a host's kernel: bytes in order, a capacity,
 * and who still has which end (pipe(7)). What a program reads may be cut and what it writes taken
 * in part, by choice, as on a connection.
 */
#include "process.h"

#include <errno.h>
#include <string.h>

/* ---- Bytes ---- */

void sim_bytes_add(dw_world *world, sim_bytes *bytes, const void *data, size_t len) {
    if (len == 0) {
        return;
    }
    sim_segment *segment = sim_segment_new(world, len);
    memcpy(segment->data, data, len);
    segment->next = NULL;
    if (bytes->tail != NULL) {
        bytes->tail->next = segment;
    } else {
        bytes->head = segment;
    }
    bytes->tail = segment;
    bytes->len += len;
}

size_t sim_bytes_take(dw_world *world, sim_bytes *bytes, void *out, size_t max) {
    size_t n = 0;
    while (n < max && bytes->head != NULL) {
        sim_segment *segment = bytes->head;
        size_t left = segment->len - segment->offset, part = left < max - n ? left : max - n;
        memcpy((uint8_t *)out + n, segment->data + segment->offset, part);
        segment->offset += (uint32_t)part;
        n += part;
        if (part == left) {
            bytes->head = segment->next;
            bytes->tail = bytes->head != NULL ? bytes->tail : NULL;
            sim_segment_free(world, segment);
        }
    }
    bytes->len -= n;
    return n;
}

void sim_bytes_drop(dw_world *world, sim_bytes *bytes) {
    while (bytes->head != NULL) {
        sim_segment *segment = bytes->head;
        bytes->head = segment->next;
        sim_segment_free(world, segment);
    }
    *bytes = (sim_bytes){0};
}

/* ---- Readiness ---- */

sim_pipe *sim_pipe_new(dw_host *host, bool to_child) {
    sim_pipe *pipe = sim_world_alloc(host->world, sizeof(*pipe));
    *pipe = (sim_pipe){.ready = {.type = EV_PIPE}, .host = host, .to_child = to_child};
    pipe->open = true;
    pipe->next = host->pipes;
    host->pipes = pipe;
    return pipe;
}

/* Nobody left at the other end: the reader's end of file, the writer's POLLERR. */
static unsigned due(const sim_pipe *pipe) {
    if (pipe->io == NULL) {
        return 0;
    }
    unsigned ready = pipe->holders == 0 ? DW_READABLE : 0;
    if (!pipe->to_child) {
        ready |= pipe->bytes.len > 0 ? DW_READABLE : 0;
    } else if (pipe->holders == 0 || pipe_room(pipe) > 0) {
        ready |= DW_WRITABLE;
    }
    return ready & pipe->io->want;
}

static void poke(sim_pipe *pipe, dw_time delay) {
    dw_host *host = pipe->host;
    dw_time at = host->world->now + delay;
    if (due(pipe) != 0 && pipe->ready.place == 0) {
        sim_world_schedule(host->world, &pipe->ready,
                           at > host->stalled_until ? at : host->stalled_until);
    }
}

void sim_pipe_poke(sim_pipe *pipe) {
    poke(pipe, PROCESS_TIME);
}

void sim_pipe_dispatch(sim_pipe *pipe) {
    dw_host *host = pipe->host;
    unsigned ready = due(pipe);
    if (host->power != POWER_UP || ready == 0) {
        return;
    }
    if (host->stalled_until > host->world->now) {
        sim_pipe_poke(pipe);
        return;
    }
    sim_host_enter(host);
    dw_io_ready(&host->reactor, pipe->io, ready);
    sim_host_leave(host);
    poke(pipe, 0); /* what is left is there already */
}

void sim_pipe_watch(dw_io *io) {
    sim_pipe *pipe = (sim_pipe *)io->socket;
    pipe->io = io->want != 0 ? io : NULL;
    sim_pipe_poke(pipe);
}

/* ---- Moving bytes ---- */

static size_t draw(dw_host *host, sim_kind kind, sim_draws *draws, size_t options) {
    if (!choice_active(host->world, kind)) {
        return 0;
    }
    return (size_t)sim_choice_draw(host->world, kind, (sim_who){WHO_HOST, host},
                                   sim_kind_name(kind), draws, options);
}

ssize_t sim_pipe_recv(dw_io *io, const uint8_t **data) {
    sim_pipe *pipe = (sim_pipe *)io->socket;
    dw_host *host = pipe->host;
    if (pipe->to_child || pipe->bytes.len == 0) {
        return pipe->holders == 0 ? 0 : -EAGAIN;
    }
    size_t whole = pipe->bytes.len < DW_RECV_MAX ? pipe->bytes.len : DW_RECV_MAX;
    size_t n = draw(host, SIM_CUT, &host->pipe_cuts, whole);
    n = sim_bytes_take(host->world, &pipe->bytes, host->world->scratch, n > 0 ? n : whole);
    *data = host->world->scratch;
    sim_processes_poke(pipe);
    return (ssize_t)n;
}

ssize_t sim_pipe_send(dw_io *io, const struct iovec *pieces, int count) {
    sim_pipe *pipe = (sim_pipe *)io->socket;
    dw_host *host = pipe->host;
    size_t total = 0, room = pipe_room(pipe);
    if (pipe->holders == 0) {
        return -EPIPE;
    }
    for (int i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    if (room == 0) {
        return total > 0 ? -EAGAIN : 0;
    }
    size_t limit = draw(host, SIM_WRITE, &host->pipe_writes, total);
    limit = limit > 0 && limit < total ? limit : total;
    size_t left = limit < room ? limit : room, sent = left;
    for (int i = 0; left > 0; i++) {
        size_t part = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        sim_bytes_add(host->world, &pipe->bytes, pieces[i].iov_base, part);
        left -= part;
    }
    sim_processes_poke(pipe);
    return (ssize_t)sent;
}

/* ---- Ends ---- */

static void unlink_if_unused(sim_pipe *pipe) {
    dw_host *host = pipe->host;
    if (pipe->open || pipe->holders > 0) {
        return;
    }
    sim_bytes_drop(host->world, &pipe->bytes);
    for (sim_pipe **at = &host->pipes; *at != NULL; at = &(*at)->next) {
        if (*at == pipe) {
            *at = pipe->next;
            return;
        }
    }
}

void sim_pipe_release(sim_pipe *pipe) {
    pipe->holders--;
    sim_pipe_poke(pipe);
    unlink_if_unused(pipe);
}

void sim_pipe_close(sim_pipe *pipe) {
    pipe->io = NULL;
    pipe->open = false;
    sim_queue_remove(&pipe->host->world->queue, &pipe->ready);
    sim_processes_poke(pipe);
    unlink_if_unused(pipe);
}
