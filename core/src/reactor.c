/* SPDX-License-Identifier: MIT */
/*
 * The reactor: turns, the loop, start and stop. One turn is Twisted's: due delayed calls first,
 * then input and output (vectors/README.md, "Turns of the loop"); what core has to do by itself
 * (closing, resuming producers) counts as input and output.
 *
 * Invariant: whatever the program writes is flushed before control goes back to the wire.
 */
#include "attempt.h"
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_LINE_MAX = 512 };

/* ---- Life ---- */

void dw_reactor_init(dw_reactor *reactor, const dw_wire *wire, const dw_allocator *allocator) {
    memset(reactor, 0, sizeof(*reactor));
    reactor->wire = wire;
    reactor->allocator = allocator != NULL ? *allocator : dw_allocator_libc;
    list_init(&reactor->transports);
    list_init(&reactor->ports);
    list_init(&reactor->connectors);
    list_init(&reactor->datagram_ports);
    list_init(&reactor->processes);
    dw_lookups_init(reactor);
    list_init(&reactor->owned);
    list_init(&reactor->connectings);
    list_init(&reactor->offloads);
    for (size_t i = 0; i < sizeof(reactor->triggers) / sizeof(reactor->triggers[0]); i++) {
        list_init(&reactor->triggers[i]);
    }
    list_init(&reactor->held);
}

static void drop_lists(dw_reactor *reactor) {
    dw_stream_rejoin_aborted(reactor);
    for (dw_transport *t = reactor->dirty_head; t != NULL; t = t->next_dirty) {
        t->flags = (uint16_t)(t->flags & ~T_DIRTY);
    }
    for (dw_transport *t = reactor->ready_head; t != NULL; t = t->next_ready) {
        t->flags = (uint16_t)(t->flags & ~T_READY);
    }
    reactor->dirty_head = reactor->dirty_tail = NULL;
    reactor->ready_head = reactor->ready_tail = NULL;
}

void dw_reactor_fini(dw_reactor *reactor) {
    dw_thread_calls_run_last(reactor);
    dw_offloads_discard(reactor);
    dw_descriptors_fini(reactor);
    drop_lists(reactor);
    while (!list_empty(&reactor->connectors)) {
        dw_connector_discard(dw_connector_of_node(reactor->connectors.next));
    }
    dw_lookups_discard(reactor);
    while (!list_empty(&reactor->processes)) {
        dw_process_discard(dw_process_of_node(reactor->processes.next));
        drop_lists(reactor);
    }
    while (!list_empty(&reactor->transports)) {
        dw_stream_discard(DW_CONTAINER_OF(reactor->transports.next, dw_transport, node));
        drop_lists(reactor); /* its protocol's destroy may have used another one */
    }
    while (!list_empty(&reactor->ports)) {
        dw_port_discard(dw_port_of_node(reactor->ports.next));
    }
    while (!list_empty(&reactor->datagram_ports)) {
        dw_datagram_discard(dw_datagram_of_node(reactor->datagram_ports.next));
    }
    dw_connectings_discard(reactor); /* some of them are owned */
    dw_owned_discard(reactor);
    dw_triggers_drop(reactor);
    dw_timers_fini(reactor);
    dw_buffer_pool_clear(reactor);
    reactor->connecting_count = reactor->connection_count = reactor->port_count = 0;
}

void dw_reactor_forget(dw_reactor *reactor) {
    dw_thread_calls_drop(reactor);
    dw_offloads_discard(reactor);
    dw_triggers_drop(reactor);
    dw_timers_fini(reactor);
}

void dw_reactor_free(dw_reactor *reactor) {
    if (reactor == NULL ||
        !dw_contract(reactor, reactor->wire->destroy != NULL && !reactor->looping, "contract",
                     "this reactor cannot be freed now")) {
        return;
    }
    dw_reactor_fini(reactor);
    reactor->wire->destroy(reactor);
}

/* ---- Turns ---- */

void dw_reactor_flush_dirty(dw_reactor *reactor) {
    dw_transport *borrower = reactor->borrower;
    if (borrower != NULL && (borrower->flags & T_DIRTY) == 0) {
        dw_stream_flush_borrowed(reactor);
    }
    while (reactor->dirty_head != NULL) {
        dw_transport *t = reactor->dirty_head;
        reactor->dirty_head = t->next_dirty;
        if (reactor->dirty_head == NULL) {
            reactor->dirty_tail = NULL;
        }
        t->flags = (uint16_t)(t->flags & ~T_DIRTY);
        if ((t->flags & T_LOST) != 0) {
            dw_stream_free_if_done(t);
        } else {
            dw_stream_flush(t);
        }
    }
}

void dw_reactor_flush(dw_reactor *reactor) {
    reactor_flush(reactor);
}

static void stream_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    (void)reactor;
    dw_stream_ready(DW_CONTAINER_OF(io, dw_transport, io), ready);
}

static void connecting_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    (void)reactor;
    (void)ready;
    dw_connector_ready(DW_CONTAINER_OF(io, dw_transport, io));
}

static void port_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    (void)reactor;
    (void)ready;
    dw_port_ready(dw_port_of_io(io));
}

static void datagram_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    (void)reactor;
    (void)ready;
    dw_datagram_ready(io);
}

static void watched_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    dw_watched *watched = DW_CONTAINER_OF(io, dw_watched, io);
    watched->ready(reactor, watched, ready);
}

static void (*const ready_functions[DW_IO_KIND_COUNT])(dw_reactor *reactor, dw_io *io,
                                                       unsigned ready) = {
    [DW_IO_STREAM] = stream_ready, [DW_IO_CONNECTING] = connecting_ready,
    [DW_IO_PORT] = port_ready,     [DW_IO_DATAGRAM] = datagram_ready,
    [DW_IO_PIPE] = stream_ready,   [DW_IO_WATCHED] = watched_ready,
};

void dw_io_ready(dw_reactor *reactor, dw_io *io, unsigned ready) {
    reactor->depth++;
    ready_functions[io->kind](reactor, io, ready);
    reactor->depth--;
    reactor_flush(reactor);
}

void dw_reactor_turn_calls(dw_reactor *reactor) {
    reactor->depth++;
    dw_reactor_flush(reactor);
    if (dw_thread_calls_waiting(reactor)) {
        dw_thread_calls_run(reactor);
    }
    if (dw_timers_waiting(reactor)) {
        dw_timers_run(reactor, reactor_now(reactor));
    }
    reactor->depth--;
}

static void attend(dw_reactor *reactor, dw_transport *t) {
    t->flags = (uint16_t)(t->flags & ~T_READY);
    if ((t->flags & T_LOST) != 0) {
        dw_stream_free_if_done(t);
    } else if ((t->flags & T_ABORTED) != 0) {
        dw_stream_list_aborted(t);
    } else {
        dw_stream_attend(t);
    }
    dw_reactor_flush(reactor);
}

/* Those that were there when it began; what they bring about waits for the next turn. */
void dw_reactor_turn_ready(dw_reactor *reactor) {
    dw_transport *last = reactor->ready_tail;
    if (last == NULL) {
        return;
    }
    reactor->depth++;
    for (bool more = true; more;) {
        dw_transport *t = reactor->ready_head;
        reactor->ready_head = t->next_ready;
        if (reactor->ready_head == NULL) {
            reactor->ready_tail = NULL;
        }
        more = t != last;
        attend(reactor, t);
    }
    reactor->depth--;
}

void dw_reactor_turn(dw_reactor *reactor) {
    dw_reactor_turn_calls(reactor);
    dw_reactor_turn_ready(reactor);
}

dw_time dw_reactor_next_due(const dw_reactor *reactor) {
    if (reactor->ready_head != NULL || reactor->dirty_head != NULL ||
        dw_thread_calls_waiting(reactor)) {
        return 0;
    }
    return dw_timers_waiting(reactor) ? dw_timers_next_due(reactor) : DW_TIME_MAX;
}

/* ---- The loop ---- */

static int wait_turn(dw_reactor *reactor, dw_time timeout) {
    dw_time due = dw_reactor_next_due(reactor);
    if (reactor->crashed || dw_reactor_stopping(reactor)) {
        timeout = 0; /* asked for by a callback since the calls ran: the loop is about to end */
    } else if (due != DW_TIME_MAX) {
        dw_time now = reactor_now(reactor);
        dw_time until = due > now ? due - now : 0;
        timeout = timeout < 0 || until < timeout ? until : timeout;
    }
    reactor->timers.trust = 0;
    return reactor->wire->wait(reactor, timeout);
}

/* What delayed calls brought about is attended to in this turn, what input brings about in the
 * next, after its delayed calls (vectors/README.md, "Turns of the loop"). */
static int one_turn(dw_reactor *reactor, dw_time timeout) {
    dw_reactor_turn_ready(reactor);
    return wait_turn(reactor, timeout);
}

/* After a turn's calls: does the shutdown when it is asked for and nothing holds it up. */
static bool end_came(dw_reactor *reactor) {
    if (!dw_reactor_stopping(reactor) || !dw_reactor_prepare_shutdown(reactor)) {
        return false;
    }
    dw_reactor_shutdown(reactor);
    return true;
}

static int loop(dw_reactor *reactor) {
    for (int error = 0;;) {
        dw_reactor_turn_calls(reactor);
        if (end_came(reactor)) {
            return 0;
        }
        error = one_turn(reactor, -1);
        if (error < 0 || reactor->crashed) {
            return error;
        }
    }
}

int dw_reactor_run(dw_reactor *reactor) {
    const dw_wire *wire = reactor->wire;
    if (wire->wait == NULL || reactor->looping || reactor->state != R_STOPPED) {
        return DW_ALREADY_RUNNING;
    }
    int error = wire->run_begin != NULL ? wire->run_begin(reactor) : 0;
    if (error == 0) {
        reactor->looping = true;
        dw_reactor_startup(reactor);
        error = loop(reactor);
        dw_reactor_shutdown(reactor); /* when the loop failed: it has not been done */
        reactor->looping = reactor->crashed = false;
        if (wire->run_end != NULL) {
            wire->run_end(reactor);
        }
    }
    if (error < 0) {
        reactor->last_errno = -error;
        return DW_SYSTEM_ERROR;
    }
    return 0;
}

int dw_reactor_iterate(dw_reactor *reactor, dw_time timeout) {
    if (reactor->wire->wait == NULL || reactor->looping) {
        return DW_ALREADY_RUNNING;
    }
    reactor->looping = true;
    dw_reactor_turn_calls(reactor);
    int error = end_came(reactor) ? 0 : one_turn(reactor, timeout);
    reactor->looping = reactor->crashed = false;
    if (error < 0) {
        reactor->last_errno = -error;
        return DW_SYSTEM_ERROR;
    }
    return 0;
}

int dw_reactor_stop(dw_reactor *reactor) {
    if (reactor->state != R_RUNNING || reactor->stop_asked) {
        return DW_NOT_RUNNING;
    }
    reactor->stop_asked = true;
    reactor_wake(reactor, reactor_now(reactor));
    return 0;
}

int dw_reactor_crash(dw_reactor *reactor) {
    if (reactor->wire->wait == NULL) {
        return DW_UNSUPPORTED;
    }
    if (reactor->state != R_RUNNING) {
        return DW_NOT_RUNNING;
    }
    dw_triggers_let_go(reactor);
    reactor->state = R_STOPPED;
    reactor->stop_asked = false;
    reactor->crashed = true;
    return 0;
}

bool dw_reactor_stopping(const dw_reactor *reactor) {
    return reactor->stop_asked && list_empty(&reactor->held);
}

bool dw_reactor_running(const dw_reactor *reactor) {
    return reactor->state == R_RUNNING;
}

/* ---- Start and stop ---- */

void dw_reactor_startup(dw_reactor *reactor) {
    reactor->depth++;
    reactor->stop_asked = reactor->crashed = false;
    dw_triggers_fire(reactor, DW_BEFORE_STARTUP);
    reactor->state = R_RUNNING;
    dw_triggers_fire(reactor, DW_DURING_STARTUP);
    dw_triggers_fire(reactor, DW_AFTER_STARTUP);
    reactor->depth--;
    dw_reactor_flush(reactor);
}

/* Ends those connections that have one of these flags. */
static void lose_all(dw_reactor *reactor, unsigned flags) {
    struct dw_list_node old;
    dw_stream_rejoin_aborted(reactor);
    list_move(&old, &reactor->transports);
    while (!list_empty(&old)) {
        dw_transport *t = DW_CONTAINER_OF(old.next, dw_transport, node);
        list_remove(&t->node);
        list_add(&reactor->transports, &t->node);
        if ((t->flags & T_CONNECTED) != 0 && (t->flags & flags) != 0) {
            dw_stream_lost(t, DW_CONNECTION_LOST, 0, "the reactor stopped");
        }
    }
}

/* Ports, connections and attempts that are there now; one that a callback opens anew is left for
 * dw_reactor_fini, as Twisted leaves it behind. */
static void disconnect_all(dw_reactor *reactor) {
    struct dw_list_node old;
    list_move(&old, &reactor->ports);
    while (!list_empty(&old)) {
        dw_port_shutdown(dw_port_of_node(old.next));
    }
    list_move(&old, &reactor->datagram_ports);
    while (!list_empty(&old)) {
        dw_datagram_shutdown(dw_datagram_of_node(old.next));
    }
    lose_all(reactor, T_CONNECTED);
    lose_all(reactor, T_ABORTED); /* that a callback has aborted, and so taken out of the list */
    dw_connectings_shutdown(reactor); /* before its connectors: they might begin others */
    list_move(&old, &reactor->connectors);
    while (!list_empty(&old)) {
        struct dw_list_node *node = old.next;
        list_remove(node);
        list_add(&reactor->connectors, node);
        dw_connector_shutdown(dw_connector_of_node(node));
    }
    dw_lookups_shutdown(reactor);
    dw_offloads_shutdown(reactor);
}

bool dw_reactor_prepare_shutdown(dw_reactor *reactor) {
    reactor->depth++;
    reactor->stop_asked = true;
    dw_triggers_fire(reactor, DW_BEFORE_SHUTDOWN);
    reactor->depth--;
    return list_empty(&reactor->held) && reactor->state == R_RUNNING;
}

void dw_reactor_shutdown(dw_reactor *reactor) {
    if (reactor->state != R_RUNNING) {
        return;
    }
    reactor->depth++;
    (void)dw_reactor_prepare_shutdown(reactor);
    dw_triggers_let_go(reactor);
    reactor->state = R_SHUTTING_DOWN;
    disconnect_all(reactor);
    dw_triggers_fire(reactor, DW_DURING_SHUTDOWN);
    dw_triggers_fire(reactor, DW_AFTER_SHUTDOWN);
    reactor->state = R_STOPPED;
    reactor->stop_asked = false;
    reactor->depth--;
    dw_reactor_flush(reactor);
}

/* ---- Small things ---- */

/* What is armed next in this callback counts from no earlier. */
dw_time dw_reactor_now(dw_reactor *reactor) {
    reactor->timers.seen = reactor_now(reactor);
    return reactor->timers.seen;
}

dw_time dw_reactor_wall_clock(dw_reactor *reactor) {
    return reactor->wire->wall_clock(reactor);
}

void dw_reactor_random(dw_reactor *reactor, void *buffer, size_t len) {
    reactor->wire->random(reactor, buffer, len);
}

uint64_t dw_reactor_random_number(dw_reactor *reactor) {
    uint8_t bytes[8];
    uint64_t number = 0;
    dw_reactor_random(reactor, bytes, sizeof(bytes));
    for (size_t i = sizeof(bytes); i-- > 0;) {
        number = number << 8 | bytes[i];
    }
    return number;
}

uint32_t dw_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    return n > 1 ? reactor->wire->choose(reactor, what, n) : 0;
}

bool dw_maybe(dw_reactor *reactor, const char *what) {
    return dw_choose(reactor, what, 2) != 0;
}

int dw_reactor_errno(const dw_reactor *reactor) {
    return reactor->last_errno;
}

dw_reactor_counts dw_reactor_count(const dw_reactor *reactor) {
    return (dw_reactor_counts){
        .connections = reactor->connection_count,
        .connecting = reactor->connecting_count,
        .ports = reactor->port_count,
        .delayed_calls = dw_timers_count(reactor),
        .processes = dw_processes_count(reactor),
        .offloads = dw_offloads_count(reactor),
    };
}

const char *dw_io_name(const dw_io *io) {
    if (io->kind == DW_IO_PORT) {
        return dw_port_factory_name(io);
    }
    if (io->kind == DW_IO_DATAGRAM) {
        return dw_datagram_name(io);
    }
    const dw_transport *t = DW_CONTAINER_OF(io, const dw_transport, io);
    if (io->kind == DW_IO_PIPE) {
        return dw_child_pipe_name(t);
    }
    return t->protocol != NULL ? t->protocol->cls->name : "";
}

void dw_reactor_set_log(dw_reactor *reactor, dw_log_fn fn, void *user) {
    reactor->log_fn = fn;
    reactor->log_user = user;
}

void dw_reactor_log(dw_reactor *reactor, const char *format, ...) {
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (reactor->log_fn != NULL) {
        reactor->log_fn(reactor->log_user, line);
    } else if (reactor->wire->log != NULL) {
        reactor->wire->log(reactor, line);
    } else {
        fprintf(stderr, "drywire: %s\n", line);
    }
}

bool dw_contract(dw_reactor *reactor, bool holds, const char *oracle, const char *message) {
    if (holds) {
        return true;
    }
    if (reactor->wire->violation == NULL) {
        fprintf(stderr, "drywire: broken contract: %s\n", message);
        abort();
    }
    reactor->wire->violation(reactor, oracle, message);
    return false;
}
