/* SPDX-License-Identifier: MIT */
/*
 * The trace of a run: one line for each thing that happened, kept only when somebody wants to see
 * it, with the run's hash up to there. The hash is made in every run, here and where packets move.
 */
#include "trace.h"
#include "datagram.h"
#include "hash.h"
#include "oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LINE_MAX_CHARS = 600, WHO_COLUMN = 30, BYTES_SHOWN = 48 };

typedef struct trace_entry {
    uint64_t hash;
    char *text; /* in a chunk of its own */
    dw_time at;
    char mark;
} trace_entry;

struct sim_trace {
    trace_entry *entries;
    size_t count, room;
    char line[LINE_MAX_CHARS + 100];
};

sim_trace *sim_trace_new(void) {
    return calloc(1, sizeof(sim_trace));
}

void sim_trace_clear(sim_trace *trace) {
    for (size_t i = 0; i < trace->count; i++) {
        free(trace->entries[i].text);
    }
    trace->count = 0;
}

void sim_trace_free(sim_trace *trace) {
    if (trace != NULL) {
        sim_trace_clear(trace);
        free(trace->entries);
        free(trace);
    }
}

void sim_trace_add(dw_world *world, char mark, const char *who, const char *format, ...) {
    sim_trace *trace = world->trace;
    char text[LINE_MAX_CHARS];
    int n = snprintf(text, sizeof(text), "%-*s  ", WHO_COLUMN, who);
    va_list args;
    va_start(args, format);
    if (n > 0 && (size_t)n < sizeof(text)) {
        vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
    }
    va_end(args);
    if (trace->count == trace->room) {
        size_t room = trace->room > 0 ? trace->room * 2 : 1024;
        trace_entry *entries = realloc(trace->entries, room * sizeof(*entries));
        if (entries == NULL) {
            return;
        }
        trace->entries = entries;
        trace->room = room;
    }
    size_t len = strlen(text) + 1;
    char *copy = malloc(len);
    if (copy != NULL) {
        memcpy(copy, text, len);
        trace->entries[trace->count++] = (trace_entry){world->hash, copy, world->now, mark};
    }
}

/* ---- Reading it ---- */

size_t sim_trace_count(const sim_trace *trace) {
    return trace->count;
}

const char *sim_trace_line(const sim_trace *trace, size_t i, bool colour) {
    const trace_entry *entry = &trace->entries[i];
    sim_trace *writable = (sim_trace *)(uintptr_t)trace;
    bool red = colour && entry->mark == '!';
    snprintf(writable->line, sizeof(writable->line), "%s%c %6lld.%06lld  %s%s",
             red ? "\033[31m" : "", entry->mark, (long long)(entry->at / 1000000000),
             (long long)(entry->at % 1000000000 / 1000), entry->text, red ? "\033[0m" : "");
    return writable->line;
}

uint64_t sim_trace_hash(const sim_trace *trace, size_t i) {
    return trace->entries[i].hash;
}

bool sim_trace_marked(const sim_trace *trace, size_t i) {
    return trace->entries[i].mark == '!';
}

/* ---- Bytes ---- */

static size_t put_byte(char *out, uint8_t byte) {
    switch (byte) {
    case '\r':
        memcpy(out, "\\r", 2);
        return 2;
    case '\n':
        memcpy(out, "\\n", 2);
        return 2;
    case '"':
    case '\\':
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    default:
        if (byte >= 0x20 && byte < 0x7f) {
            out[0] = (char)byte;
            return 1;
        }
        snprintf(out, 5, "\\x%02x", byte);
        return 4;
    }
}

const char *sim_trace_bytes(char *out, size_t size, const uint8_t *data, size_t len) {
    size_t n = 0, i = 0;
    out[n++] = '"';
    for (; i < len && i < BYTES_SHOWN && n + 10 < size; i++) {
        n += put_byte(out + n, data[i]);
    }
    out[n++] = '"';
    snprintf(out + n, size - n, "%s", i < len ? "..." : "");
    return out;
}

/* ---- What core reports ---- */

static const char *who_text(char *out, size_t size, dw_reactor *reactor, dw_seen seen,
                            const dw_io *io) {
    dw_host *host = host_of(reactor);
    if (io != NULL && io->kind == DW_IO_DATAGRAM && io->socket != DW_SOCKET_NONE) {
        return sim_socket_format(out, size, (sim_socket *)io->socket);
    }
    if (io == NULL || io->kind != DW_IO_STREAM || io->socket == DW_SOCKET_NONE) {
        snprintf(out, size, "%s", host->name);
        return out;
    }
    sim_end *end = (sim_end *)io->socket;
    bool outwards = seen == DW_SEEN_WRITE || seen == DW_SEEN_LOSE || seen == DW_SEEN_LOSE_WRITE ||
                    seen == DW_SEEN_ABORT;
    sim_stream_format(out, size, outwards ? end : peer_of(end));
    return out;
}

/* Where a port is: its number, or its name. */
static const char *place(char *out, size_t size, const dw_io *io, size_t number) {
    const sim_name *name = NULL;
    if (io != NULL && io->family == DW_ADDRESS_UNIX && io->socket != DW_SOCKET_NONE) {
        name = io->kind == DW_IO_DATAGRAM ? ((sim_socket *)io->socket)->name
                                          : ((sim_listener *)io->socket)->name;
    }
    if (name != NULL) {
        return sim_name_text(out, size, name);
    }
    snprintf(out, size, "%zu", number);
    return out;
}

/* Of what has no more to say than who and what. */
static const char *const verbs[] = {
    [DW_SEEN_MADE] = "connection_made",
    [DW_SEEN_DATA] = "data_received",
    [DW_SEEN_READ_LOST] = "read_connection_lost",
    [DW_SEEN_WRITE_LOST] = "write_connection_lost",
    [DW_SEEN_WRITE] = "write",
    [DW_SEEN_LOSE] = "lose_connection",
    [DW_SEEN_LOSE_WRITE] = "lose_write_connection",
    [DW_SEEN_ABORT] = "abort_connection",
    [DW_SEEN_PAUSE] = "pause_producing",
    [DW_SEEN_RESUME] = "resume_producing",
    [DW_SEEN_DATAGRAM] = "datagram_received",
    [DW_SEEN_REFUSED] = "connection_refused",
    [DW_SEEN_SEND] = "sends",
};

static const char *reason_text(char *out, size_t size, int code, size_t sys_errno) {
    dw_reason reason = {(dw_error)code, (int)sys_errno, NULL};
    return dw_reason_format(&reason, out, size);
}

/* Those of child processes. Without an io `data` says who it is about. */
static void describe_child(char *out, size_t size, const char *name, dw_seen seen, int code,
                           const void *data, size_t len) {
    char bytes[300];
    const char *text = data;
    if (seen == DW_SEEN_SPAWN) {
        snprintf(out, size, "spawns %s", text);
    } else if (seen == DW_SEEN_ENDED) {
        snprintf(out, size, "%s: process_ended", text);
    } else if (seen == DW_SEEN_EXITED) {
        bool killed = WIFSIGNALED(code);
        snprintf(out, size, "%s: process_exited: %s %d", text, killed ? "signal" : "status",
                 killed ? WTERMSIG(code) : WEXITSTATUS(code));
    } else if (seen == DW_SEEN_CHILD_LOST) {
        snprintf(out, size, "%s: child_connection_lost of %d", name, code);
    } else {
        const char *verb = seen == DW_SEEN_CHILD_DATA ? "child_data_received of" : "write_to_child";
        snprintf(out, size, "%s: %s %d: %zu %s", name, verb, code, len,
                 sim_trace_bytes(bytes, sizeof(bytes), data, len));
    }
}

static void describe(char *out, size_t size, dw_seen seen, const dw_io *io, int code,
                     const void *data, size_t len) {
    char text[300];
    const char *name = io != NULL ? dw_io_name(io) : "";
    switch (seen) {
    case DW_SEEN_MADE:
    case DW_SEEN_READ_LOST:
    case DW_SEEN_WRITE_LOST:
    case DW_SEEN_LOSE:
    case DW_SEEN_LOSE_WRITE:
    case DW_SEEN_ABORT:
    case DW_SEEN_PAUSE:
    case DW_SEEN_RESUME:
    case DW_SEEN_REFUSED:
        snprintf(out, size, "%s: %s", name, verbs[seen]);
        break;
    case DW_SEEN_DATA:
    case DW_SEEN_DATAGRAM:
        snprintf(out, size, "%s: %s %zu %s", name, verbs[seen], len,
                 sim_trace_bytes(text, sizeof(text), data, len));
        break;
    case DW_SEEN_WRITE:
    case DW_SEEN_SEND:
        snprintf(out, size, "%s: %s %zu %s", name, verbs[seen], len,
                 sim_trace_bytes(text, sizeof(text), data, (size_t)code));
        break;
    case DW_SEEN_LOST:
        snprintf(out, size, "%s: connection_lost: %s", name,
                 reason_text(text, sizeof(text), code, len));
        break;
    case DW_SEEN_FAILED:
        snprintf(out, size, "client_connection_failed: %s",
                 reason_text(text, sizeof(text), code, len));
        break;
    case DW_SEEN_CALL:
        snprintf(out, size, "delayed call of %s", sim_base_name(data));
        break;
    case DW_SEEN_FAIL:
        snprintf(out, size, "%s: fails: %s", name, dw_strerror(code));
        break;
    case DW_SEEN_CONNECT:
        snprintf(out, size, "connect %s:%zu", (const char *)data, len);
        break;
    case DW_SEEN_LISTEN:
        snprintf(out, size, "%s: listens on %s", name, place(text, sizeof(text), io, len));
        break;
    case DW_SEEN_STOP_LISTEN:
        snprintf(out, size, "%s: listens on %s no more", name, place(text, sizeof(text), io, len));
        break;
    case DW_SEEN_SPAWN:
    case DW_SEEN_CHILD_DATA:
    case DW_SEEN_CHILD_WRITE:
    case DW_SEEN_CHILD_LOST:
    case DW_SEEN_EXITED:
    case DW_SEEN_ENDED:
        describe_child(out, size, name, seen, code, data, len);
        break;
    }
}

static void oracles_see(dw_host *host, dw_seen seen, const dw_io *io, int code, const void *data,
                        size_t len) {
    dw_world *world = host->world;
    if (io != NULL && io->kind == DW_IO_STREAM) {
        sim_end *end = (sim_end *)io->socket;
        if (seen == DW_SEEN_MADE || end_watch(end) != NULL || world->payer != NULL) {
            sim_watch_see(host, seen, io, data, len);
        }
    } else if (io != NULL && io->kind == DW_IO_DATAGRAM) {
        sim_duplicate_see(host, seen, io, data, len, (size_t)code);
    } else if (seen == DW_SEEN_CONNECT) {
        sim_watch_connect(host, data);
    } else if (seen == DW_SEEN_CALL) {
        world->payer = NULL;
    }
}

/* The bytes of streams are hashed where the wire takes and gives them (stream.c): nobody observes
 * them in most runs, and the hash is the same in all. */
static void mark_seen(dw_host *host, dw_seen seen, int code, const void *data, size_t len) {
    dw_world *world = host->world;
    world_mark(world,
               (uint64_t)seen + ((uint64_t)host->index << 8) + ((uint64_t)(unsigned)code << 32));
    if (seen == DW_SEEN_DATAGRAM || seen == DW_SEEN_CHILD_DATA) {
        world_mark(world, sim_hash_bytes(data, len));
    } else if (seen == DW_SEEN_CALL) {
        world->last_call = data;
    } else if (seen == DW_SEEN_SEND || seen == DW_SEEN_CHILD_WRITE) {
        world_mark(world, len);
    }
}

void sim_trace_observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                       const void *data, size_t len) {
    dw_host *host = host_of(reactor);
    dw_world *world = host->world;
    oracles_see(host, seen, io, code, data, len);
    if (seen != DW_SEEN_DATA && seen != DW_SEEN_WRITE) {
        mark_seen(host, seen, code, data, len);
    }
    if (world->trace != NULL) {
        char who[SIM_WHO_MAX], text[LINE_MAX_CHARS];
        describe(text, sizeof(text), seen, io, code, data, len);
        sim_trace_add(world, ' ', who_text(who, sizeof(who), reactor, seen, io), "%s", text);
    }
}
