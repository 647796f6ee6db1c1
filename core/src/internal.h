/* SPDX-License-Identifier: MIT */
/*
 * What core's files share and nobody else sees: who calls whom. The public headers say what things
 * mean. How a transport lies in memory, and its functions, are in transport.h.
 */
#ifndef DRYWIRE_CORE_INTERNAL_H
#define DRYWIRE_CORE_INTERNAL_H

#include "drywire/backend.h"
#include "drywire/wrapper.h"
#include "list.h"
#include "transport.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* ---- Protocols ---- */

/* protocol.c: a program's mistake. */
void dw_protocol_made_twice(dw_transport *transport);

/* dw_protocol_make_connection, in place. */
static inline void protocol_make_connection(dw_protocol *protocol, dw_transport *transport) {
    if (protocol->connected || protocol->transport != NULL) {
        dw_protocol_made_twice(transport);
        return;
    }
    protocol->transport = transport;
    protocol->connected = true;
    if (protocol->cls->connection_made != NULL) {
        protocol->cls->connection_made(protocol);
    }
}

/* ---- Connectors and ports ---- */

void dw_connector_ready(dw_transport *t);
void dw_connector_lost(dw_connector *connector, const dw_reason *reason);
void dw_connector_shutdown(dw_connector *connector);
void dw_connector_discard(dw_connector *connector);
dw_connector *dw_connector_of_node(struct dw_list_node *node);
/* Its factory; *stood_in_for is the program's one behind it, or NULL. */
dw_factory *dw_connector_factory(const dw_connector *connector, dw_factory **stood_in_for);
/* The factory inside a wrapping factory; NULL: it is none. */
dw_factory *dw_factory_wrapped(dw_factory *factory);
/* The protocol inside a wrapper; NULL: it is none. */
dw_protocol *dw_protocol_wrapped(dw_protocol *protocol);
/* Calls unused(user) once, when the factory has been stopped and the memory of its last wrapper is
 * gone: it may free the factory. From its stop on it builds nothing any more. Before it is used. */
void dw_wrapping_factory_watch(dw_wrapping_factory *factory, void (*unused)(void *user),
                               void *user);
/* A factory that stands in for the program's: `made` is told after connection_made (`protocol`
 * NULL: the factory made none), and `stood_in_for` becomes the protocol's factory. */
struct dw_stand_in {
    dw_client_factory factory; /* the connector's */
    dw_factory *stood_in_for;
    void (*made)(dw_client_factory *own, dw_protocol *protocol);
};
/* The connector's factory is one of these. Before the attempt begins. */
void dw_connector_stand_in(dw_connector *connector);

/* socket_file.c: the file of a UNIX socket, by which it is known again. */
struct dw_socket_file {
    uint64_t id[2];
    bool ours;  /* to be removed by us */
    bool known; /* id is */
};
/* Binds `io`, of whatever kind; a UNIX socket's file gets `mode` (0: what the umask leaves). */
int dw_socket_file_bind(dw_reactor *reactor, dw_io *io, const dw_address *address, unsigned mode,
                        struct dw_socket_file *file);
/* Removes the file, if bind made one and it is still that one. */
void dw_socket_file_remove(dw_reactor *reactor, const dw_address *address,
                           struct dw_socket_file *file);

/* The number behind an io, for who wants an option that the library does not have; -1: none. */
static inline int io_handle(dw_reactor *reactor, const dw_io *io) {
    bool none = io->socket == DW_SOCKET_NONE || reactor->wire->handle == NULL;
    return none ? -1 : reactor->wire->handle(reactor, io);
}

void dw_port_ready(dw_port *port);
dw_port *dw_port_of_io(dw_io *io);
dw_port *dw_port_of_node(struct dw_list_node *node);
void dw_port_shutdown(dw_port *port);
void dw_port_discard(dw_port *port);
const char *dw_port_factory_name(const dw_io *io);
dw_factory *dw_port_factory(const dw_io *io);
const dw_io *dw_port_io(const dw_port *port);
/* An errno of opening or binding, as listen functions answer it; also for dw_reactor_errno. */
int dw_cannot_listen(dw_reactor *reactor, int error);
/* The same for adopting. */
int dw_cannot_adopt(dw_reactor *reactor, int error);

void dw_datagram_ready(dw_io *io);
const char *dw_datagram_name(const dw_io *io);
dw_datagram_port *dw_datagram_of_node(struct dw_list_node *node);
void dw_datagram_shutdown(dw_datagram_port *port);
void dw_datagram_discard(dw_datagram_port *port);

/* ---- Names ---- */

void dw_lookups_init(dw_reactor *reactor);
/* Fails / forgets all lookups; the second without callbacks. */
void dw_lookups_shutdown(dw_reactor *reactor);
void dw_lookups_discard(dw_reactor *reactor);
/* dw_reactor_resolve for a caller that is not inside a call of the program's: the answer may come
 * before this returns, and `lookup` be gone. */
void dw_lookup_begin_now(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                         dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user);

/* ---- Child processes ---- */

/* The name of the protocol of the process whose pipe this is. */
const char *dw_child_pipe_name(const dw_transport *t);
dw_process *dw_process_of_node(struct dw_list_node *node);
size_t dw_processes_count(const dw_reactor *reactor);
/* Forgets the child and closes its pipes, without callbacks but destroy (reactor's end). */
void dw_process_discard(dw_process *process);

/* ---- Delayed calls ---- */

/* Runs those due at `now` that were armed before this was called, and the aborted connections that
 * stand among them. */
void dw_timers_run(dw_reactor *reactor, dw_time now);
/* Whether either would find anything: without, nobody looks at the clock. */
static inline bool dw_timers_waiting(const dw_reactor *reactor) {
    const struct dw_timers *timers = &reactor->timers;
    return timers->count > timers->dead || timers->soon_head != NULL || timers->spare != NULL ||
           reactor->aborted_head != NULL;
}
dw_time dw_timers_next_due(const dw_reactor *reactor);
/* The time from which what is armed now counts. */
dw_time dw_timers_clock(dw_reactor *reactor);
size_t dw_timers_count(const dw_reactor *reactor);
void dw_timers_fini(dw_reactor *reactor);

/* ---- Reactor ---- */

enum { R_STOPPED, R_RUNNING, R_SHUTTING_DOWN };

static inline dw_time reactor_now(dw_reactor *reactor) {
    return reactor->wire->now(reactor);
}

static inline void reactor_wake(dw_reactor *reactor, dw_time due) {
    if (reactor->wire->wake != NULL) {
        reactor->wire->wake(reactor, due);
    }
}

void dw_reactor_flush(dw_reactor *reactor);
void dw_reactor_flush_dirty(dw_reactor *reactor);

/* Sends what was written, in the order of the first writes. A borrower that is not in the list of
 * the dirty was the first. */
static inline void reactor_flush(dw_reactor *reactor) {
    if (reactor->dirty_head != NULL) {
        dw_reactor_flush_dirty(reactor);
    } else if (reactor->borrower != NULL) {
        dw_stream_flush_borrowed(reactor);
    }
    reactor->received_len = 0;
    reactor->timers.trust = 0;
}
void dw_triggers_fire(dw_reactor *reactor, dw_phase phase);
void dw_triggers_drop(dw_reactor *reactor);
/* Whatever holds up the shutdown does so no more. */
void dw_triggers_let_go(dw_reactor *reactor);

/* ---- Calls from threads ---- */

static inline bool dw_thread_calls_waiting(const dw_reactor *reactor) {
    return atomic_load_explicit(&reactor->thread_calls, memory_order_acquire) != NULL;
}
/* Runs those there are; what they make waits for the next time. */
void dw_thread_calls_run(dw_reactor *reactor);
/* The same at the reactor's end: until there are no more. */
void dw_thread_calls_run_last(dw_reactor *reactor);
/* Forgets them without running them. */
void dw_thread_calls_drop(dw_reactor *reactor);

/* ---- Work beside the loop ---- */

/* Drops what has not begun, waits for the rest; all is told. */
void dw_offloads_shutdown(dw_reactor *reactor);
/* The same without a word, and without waiting. */
void dw_offloads_discard(dw_reactor *reactor);
size_t dw_offloads_count(const dw_reactor *reactor);

/* ---- Descriptors of the program's ---- */

/* Stops watching all of them and frees the table. */
void dw_descriptors_fini(dw_reactor *reactor);

#endif
