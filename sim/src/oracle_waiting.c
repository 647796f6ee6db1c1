/* SPDX-License-Identifier: MIT */
/*
 * Who waits for what: written into the timeline when progress that was required does not come, by
 * dw_world_run_until. One line for each thing that is not over: hosts that get no CPU, links that
 * are cut, connections by what they wait for, delayed calls with where they were armed, names,
 * children.
 *
 * Invariant: looks, and changes nothing. At most LINES_MAX lines, those that hold others up first.
 */
#include "datagram.h"
#include "oracle.h"
#include "process.h"
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { LINES_MAX = 20, CALLS_MAX = 4, NAMES_MAX = 4 };

typedef struct waiting {
    dw_world *world;
    size_t lines;
} waiting;

static void DW_PRINTF(3, 4) say(waiting *w, const char *who, const char *format, ...) {
    char text[300];
    va_list args;
    if (w->lines++ >= LINES_MAX) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sim_trace_add(w->world, ' ', who, "waits: %s", text);
}

/* "in 1.500000s", "for ever". */
static const char *when(char *out, size_t size, const dw_world *world, dw_time at) {
    dw_time left = at > world->now ? at - world->now : 0;
    if (at == DW_TIME_MAX) {
        snprintf(out, size, "for ever");
    } else {
        snprintf(out, size, "%" PRId64 ".%06" PRId64 "s", left / 1000000000,
                 left % 1000000000 / 1000);
    }
    return out;
}

/* ---- What holds others up ---- */

static void say_power(waiting *w, const dw_host *host) {
    char text[40];
    if (host->power == POWER_OFF) {
        say(w, host->name, "it is down, its program has ended");
    } else if (host->power == POWER_DEAD) {
        say(w, host->name, "it is down, its machine has no power");
    } else if (host->stalled_until > w->world->now) {
        say(w, host->name, "for CPU, still stalled: %s",
            when(text, sizeof(text), w->world, host->stalled_until));
    }
}

static void say_links(waiting *w, const dw_host *host) {
    char text[40];
    for (const sim_link *link = host->links; link != NULL; link = link->next) {
        if (link->down_until > w->world->now) {
            say(w, host->name, "for its link to %s, still cut: %s", link->to->name,
                when(text, sizeof(text), w->world, link->down_until));
        }
    }
}

/* ---- Connections ---- */

static void say_connecting(waiting *w, const char *flow, const sim_end *end) {
    const dw_host *to = end_host(peer_of((sim_end *)(uintptr_t)end));
    if ((end->flags & E_ESTABLISHED) != 0) {
        say(w, flow, "for its program to take the connection");
    } else {
        say(w, flow, "for SYN-ACK from %s", to->name);
    }
}

static void say_unsent(waiting *w, const char *flow, const sim_end *end, size_t unsent) {
    const sim_end *peer = peer_of((sim_end *)(uintptr_t)end);
    say(w, flow, "for the window: %zu bytes unsent and %u in its system; %s has %u unread", unsent,
        (unsigned)end->blocked, end_host(peer)->name, (unsigned)peer->unread);
}

/* The flow TO this end, as in the lines of its callbacks. */
static void say_reading(waiting *w, const sim_end *end, const dw_io_facts *facts) {
    const char *name = facts->protocol != NULL ? facts->protocol->cls->name : "nobody";
    char flow[SIM_WHO_MAX];
    sim_stream_format(flow, sizeof(flow), peer_of((sim_end *)(uintptr_t)end));
    if (facts->paused) {
        say(w, flow, "%s has paused reading; %u bytes are unread", name, (unsigned)end->unread);
    } else if ((end->flags & E_HELD) != 0) {
        say(w, flow, "%s for a segment that is held back", name);
    } else if (facts->half_closed) {
        say(w, flow, "%s for nothing: the peer has ended its stream, the connection is open", name);
    } else {
        say(w, flow, "%s for data", name);
    }
}

static void say_stream(waiting *w, const dw_io *io) {
    const sim_end *end = (const sim_end *)io->socket;
    char flow[SIM_WHO_MAX];
    dw_io_facts facts;
    dw_io_look(io, &facts);
    sim_stream_format(flow, sizeof(flow), end);
    const char *name = facts.protocol != NULL ? facts.protocol->cls->name : "nobody";
    if (io->kind == DW_IO_CONNECTING) {
        say_connecting(w, flow, end);
        return;
    }
    if (facts.unsent > 0 || end->blocked > 0) {
        say_unsent(w, flow, end, facts.unsent);
    }
    if (facts.producer_paused) {
        say(w, flow, "the producer of %s is paused", name);
    }
    if (facts.closing) {
        say(w, flow, "%s is closing", name);
    } else {
        say_reading(w, end, &facts);
    }
}

static void say_streams(waiting *w, const dw_host *host) {
    const dw_io *io = NULL;
    while ((io = dw_reactor_next_stream(&host->reactor, io)) != NULL) {
        if ((io->kind == DW_IO_STREAM || io->kind == DW_IO_CONNECTING) &&
            io->socket != DW_SOCKET_NONE && io->socket != 0) {
            say_stream(w, io);
        }
    }
}

static void say_listeners(waiting *w, const dw_host *host) {
    for (const sim_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->accept_count > 0) {
            say(w, host->name, "%u connections to be accepted on port %u", l->accept_count,
                (unsigned)l->port);
        }
    }
}

static void say_datagrams(waiting *w, const dw_host *host) {
    char text[SIM_WHO_MAX];
    for (const sim_socket *s = host->sockets; s != NULL; s = s->next) {
        if (s->count > 0) {
            say(w, sim_socket_format(text, sizeof(text), s), "%zu datagrams are unread", s->count);
        }
    }
}

/* ---- The rest ---- */

static void say_calls(waiting *w, const dw_host *host) {
    dw_pending_call calls[CALLS_MAX];
    size_t count = dw_reactor_pending_calls(&host->reactor, calls, CALLS_MAX);
    size_t all = dw_reactor_count(&host->reactor).delayed_calls;
    char text[40];
    for (size_t i = 0; i < count; i++) {
        say(w, host->name, "for a delayed call, due in %s, armed at %s%s",
            when(text, sizeof(text), w->world, calls[i].due), sim_base_name(calls[i].where),
            i + 1 == count && all > count ? ", and more" : "");
    }
}

static void say_names(waiting *w, const dw_host *host) {
    for (size_t i = 0; i < NAMES_MAX && sim_lookup_waiting(host, i) != NULL; i++) {
        say(w, host->name, "for the address of %s", sim_lookup_waiting(host, i));
    }
}

static void say_children(waiting *w, const dw_host *host) {
    for (const dw_script *s = host->scripts; s != NULL; s = s->next) {
        say(w, host->name, "process %d, %s, %s", (int)s->pid,
            s->cls != NULL ? s->cls->name : s->argv[0], s->stopped ? "is stopped" : "runs");
    }
}

void sim_waiting_trace(dw_world *world) {
    waiting w = {.world = world};
    const dw_host *host;
    for (host = world->hosts; host != NULL; host = host->next) {
        say_power(&w, host);
        say_links(&w, host);
    }
    for (host = world->hosts; host != NULL; host = host->next) {
        if (host->power == POWER_UP) {
            say_streams(&w, host);
            say_listeners(&w, host);
            say_datagrams(&w, host);
            say_names(&w, host);
            say_children(&w, host);
            say_calls(&w, host);
        }
    }
    if (w.lines > LINES_MAX) {
        sim_trace_add(world, ' ', "world", "waits: and %zu more", w.lines - LINES_MAX);
    } else if (w.lines == 0) {
        sim_trace_add(world, ' ', "world", "waits: for nothing; nothing is under way");
    }
}
