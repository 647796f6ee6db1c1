/* SPDX-License-Identifier: MIT */
/*
 * The reactor: the loop that calls protocols back (Twisted's IReactorTCP, IReactorTime,
 * IReactorCore). There is no global one; a program takes a dw_reactor * and cannot tell whether it
 * belongs to real sockets (drywire/real.h) or to a host of a simulated world (drywire/sim.h).
 *
 * All functions here are called on the reactor's thread; from other threads there is
 * dw_reactor_call_from_thread (drywire/thread_call.h) and nothing else.
 */
#ifndef DRYWIRE_REACTOR_H
#define DRYWIRE_REACTOR_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/connector.h"
#include "drywire/factory.h"
#include "drywire/port.h"

DW_BEGIN_DECLS

/* Now: monotonic, the only clock a protocol may read. */
dw_time dw_reactor_now(dw_reactor *reactor);

/* Nanoseconds since 1970 by the host's wall clock, which may jump. For showing to people. */
dw_time dw_reactor_wall_clock(dw_reactor *reactor);

/* Fills `buffer` with random bytes: the system's on the live wire, the run's on the dry one. */
void dw_reactor_random(dw_reactor *reactor, void *buffer, size_t len);

/* A random number out of the same bytes, the same on machines of either byte order: what to use
 * where a number decides something. */
uint64_t dw_reactor_random_number(dw_reactor *reactor);

/* Default of connect_tcp's time-out, Twisted's. */
#define DW_CONNECT_TIMEOUT_DEFAULT DW_SEC(30)

/* Connects to `host` (a literal or a name, copied) and `port`. `timeout`: 0 is the default above,
 * negative is none. `bind` is the local address to use, or NULL. started_connecting is called
 * before this returns; whatever comes of it, comes later. Of a name's addresses (up to 8) one is
 * tried after the other has failed, IPv4's first; drywire/endpoint.h has a host endpoint, which
 * does not wait so long. Borrows `factory` until its `stop`.
 * `out`, unless NULL, gets the connector, see drywire/connector.h for its life. Returns 0,
 * DW_INVALID_ARGUMENT or DW_NO_MEMORY. */
int dw_reactor_connect_tcp(dw_reactor *reactor, const char *host, uint16_t port,
                           dw_client_factory *factory, dw_time timeout, const dw_address *bind,
                           dw_connector **out);

/* Twisted's default backlog. */
#define DW_BACKLOG_DEFAULT 50

/* Listens on `port` (0: any free one) of `interface` (a literal; NULL: all IPv4 addresses; "::":
 * all of both kinds). `backlog` 0 is the default. `out`, unless NULL, gets the port. Returns 0,
 * DW_CANNOT_LISTEN (dw_reactor_errno says why; the factory is not touched), DW_INVALID_ADDRESS,
 * DW_NO_MEMORY. */
int dw_reactor_listen_tcp(dw_reactor *reactor, uint16_t port, dw_factory *factory, int backlog,
                          const char *interface, dw_port **out);

/* Connects to the UNIX socket `path` (see dw_address_unix), as connect_tcp does. A listener whose
 * queue is full is tried again until the time-out: after 10 ms, then twice as long each time, up to
 * a second. Returns 0, DW_INVALID_ARGUMENT (for such a path too), DW_NO_MEMORY, or DW_UNSUPPORTED
 * on a wire without UNIX sockets. */
int dw_reactor_connect_unix(dw_reactor *reactor, const char *path, dw_client_factory *factory,
                            dw_time timeout, dw_connector **out);

/* Listens on the UNIX socket `path`; a file is made, and removed when the port closes, unless
 * somebody has put another one in its place meanwhile (Twisted removes that one too). A relative
 * path is looked up again then. `mode` are its permission bits, 0: 0666, Twisted's. A file that is
 * there already, if only one that a crash has left, is DW_CANNOT_LISTEN with EADDRINUSE. The
 * factory has been started, and is stopped again, when the bind fails (Twisted's order for UNIX
 * sockets). Returns as listen_tcp, or DW_UNSUPPORTED on a wire without UNIX sockets. */
int dw_reactor_listen_unix(dw_reactor *reactor, const char *path, dw_factory *factory, int backlog,
                           unsigned mode, dw_port **out);

/* Take over a listening or a connected stream socket, TCP or UNIX, that the program made or was
 * given; the descriptor is duplicated, the program keeps and closes its own, which no longer blocks
 * either. A UNIX socket's file stays when the port closes. A connection is given to
 * factory->build_protocol with the peer's address and runs like an accepted one; build_protocol and
 * connection_made are called before this returns, as in Twisted, and the factory's `start` is not.
 * Return 0, DW_INVALID_ARGUMENT (no such socket), DW_NO_MEMORY, DW_SYSTEM_ERROR, or DW_UNSUPPORTED
 * on the dry wire. */
int dw_reactor_adopt_stream_port(dw_reactor *reactor, int fd, dw_factory *factory, dw_port **out);
int dw_reactor_adopt_stream_connection(dw_reactor *reactor, int fd, dw_factory *factory);

/* The errno behind the last DW_CANNOT_LISTEN or DW_SYSTEM_ERROR. */
int dw_reactor_errno(const dw_reactor *reactor);

/* Runs until dw_reactor_stop (or a signal, on the live wire) and the shutdown that follows it: all
 * connections are lost with DW_CONNECTION_LOST, ports closed, attempts failed. May be run again.
 * Returns 0, DW_ALREADY_RUNNING (always so on the dry wire, where the world runs it) or
 * DW_SYSTEM_ERROR. */
int dw_reactor_run(dw_reactor *reactor);

/* Asks the loop to end; returns at once. The rest of this turn still runs.
 * Returns 0 or DW_NOT_RUNNING. */
int dw_reactor_stop(dw_reactor *reactor);

/* Leaves the loop after this turn without the shutdown event: no trigger runs, and connections,
 * ports and delayed calls stay as they are, for the next run or for dw_reactor_free. The reactor is
 * not running from now on. For a program that has given up on an orderly end. Returns 0,
 * DW_NOT_RUNNING, or DW_UNSUPPORTED on the dry wire, where dw_host_kill does it. */
int dw_reactor_crash(dw_reactor *reactor);

/* One turn of the loop: due calls, then input and output, waiting for something to happen at most
 * `timeout` (0: not at all; negative: for ever). Returns 0, DW_ALREADY_RUNNING inside run, or
 * DW_SYSTEM_ERROR. */
int dw_reactor_iterate(dw_reactor *reactor, dw_time timeout);

/* True from the start of run until the during-phase of shutdown (or dw_reactor_crash). */
bool dw_reactor_running(const dw_reactor *reactor);

/* The phases of the two system events, in order; triggers of a phase run in order of adding. */
typedef enum dw_phase {
    DW_BEFORE_STARTUP,
    DW_DURING_STARTUP,
    DW_AFTER_STARTUP,
    DW_BEFORE_SHUTDOWN,
    DW_DURING_SHUTDOWN,
    DW_AFTER_SHUTDOWN,
} dw_phase;

/* A function to run at a system event; embedded by its owner, zero-initialised; runs once. */
typedef struct dw_trigger {
    void (*fn_)(void *user);
    void *user_;
    struct dw_list_node node_;
    dw_reactor *reactor_;
    uint8_t phase_, state_;
} dw_trigger;

/* Adds / takes back a trigger. Removing one that is not pending does nothing; removing one that
 * holds up the shutdown lets go. */
void dw_reactor_add_trigger(dw_reactor *reactor, dw_trigger *trigger, dw_phase phase,
                            void (*fn)(void *user), void *user);
void dw_trigger_remove(dw_trigger *trigger);

/* For work at the end that takes a while, such as a farewell to a server: called by the function of
 * a DW_BEFORE_SHUTDOWN trigger about its own trigger, hold makes the shutdown wait until release
 * (Twisted: a before-trigger that returns a Deferred). Until every trigger that holds has let go
 * the reactor goes on running, with its delayed calls and all input and output; then come the
 * during phase and the end. `trigger` must live until it is released. Releasing one that does not
 * hold does nothing. Nothing bounds the wait: arm a delayed call if the other side may be slow.
 * Where a world ends a host at the end of a scenario, and where run fails, the shutdown does not
 * wait. */
void dw_trigger_hold(dw_trigger *trigger);
void dw_trigger_release(dw_trigger *trigger);

/* fn(user) once the reactor runs: at once if it does, else as an after-startup trigger. */
void dw_reactor_call_when_running(dw_reactor *reactor, dw_trigger *trigger, void (*fn)(void *user),
                                  void *user);

/* What the reactor has to say to a person: a line without a newline. NULL: stderr on the live wire,
 * the timeline on the dry one. */
typedef void (*dw_log_fn)(void *user, const char *line);
void dw_reactor_set_log(dw_reactor *reactor, dw_log_fn fn, void *user);
void dw_reactor_log(dw_reactor *reactor, const char *format, ...) DW_PRINTF(2, 3);

/* Connections, ports, pending delayed calls, children (until process_ended) and work under way:
 * what a leak check counts. */
typedef struct dw_reactor_counts {
    size_t connections;
    size_t connecting;
    size_t ports;
    size_t delayed_calls;
    size_t processes;
    size_t offloads; /* on the dry wire each is a delayed call too */
} dw_reactor_counts;
dw_reactor_counts dw_reactor_count(const dw_reactor *reactor);

/* Frees a reactor that is not running, whoever made it. Connections that are still open are closed
 * without a callback. NULL is fine. */
void dw_reactor_free(dw_reactor *reactor);

DW_END_DECLS

#endif
