/* SPDX-License-Identifier: MIT */
/*
 * The dry wire: a world of hosts on a simulated network with a virtual clock. A run of a scenario
 * in it is a pure function of its deviations (docs/guide.md, "Choices").
 *
 * The world, its hosts and all they allocate belong to the library and die with the run. After a
 * finding (a broken promise, a failed dw_always, ...) time stands still: every dw_world_run*
 * returns false at once, so that a scenario ends soon.
 */
#ifndef DRYWIRE_WORLD_H
#define DRYWIRE_WORLD_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

typedef struct dw_world dw_world;
typedef struct dw_host dw_host;

/* ---- Hosts ---- */

/* What a host runs when it starts: the program's main function. Returns the program (anything but
 * NULL), or NULL when it could not start. Takes its memory from the reactor: a crash takes it all
 * back at once, with no callback. */
typedef void *(*dw_boot_fn)(dw_reactor *reactor, void *user);

/* Hosts end after the scenario function has returned: their programs are then shut down in good
 * order and checked for what they leave behind. So what they use (factories, above all) must not
 * lie on the scenario function's stack. */

/* Adds a host and boots it at once. `name` is copied: letters, digits, '-', '.', '_', unique.
 * `boot` may be NULL: the scenario then drives the host's reactor itself. Names resolve in the
 * whole world; addresses are given out in order: 10.0.0.1, 10.0.0.2, ... */
dw_host *dw_world_add_host(dw_world *world, const char *name, dw_boot_fn boot, void *user);

dw_reactor *dw_host_reactor(dw_host *host);
const char *dw_host_name(const dw_host *host);
dw_address dw_host_address(const dw_host *host);

/* What boot returned; NULL while the host is down. */
void *dw_host_program(const dw_host *host);
bool dw_host_is_up(const dw_host *host);

/* The process is killed: no callback runs in it, its kernel closes its sockets (FIN, or RST over
 * unread data). */
void dw_host_kill(dw_host *host);

/* The machine loses power: nothing is sent, packets to it vanish, peers are left half-open. */
void dw_host_crash(dw_host *host);

/* Starts a host that is down: boots it afresh. A crashed host's kernel answers the packets of old
 * connections with RST from now on. Does nothing on a host that is up. */
void dw_host_restart(dw_host *host);

/* The program ends orderly, as by dw_reactor_stop on its reactor. */
void dw_host_stop(dw_host *host);

/* The process gets no CPU for `duration`: its calls and input are late; its kernel works on. */
void dw_host_stall(dw_host *host, dw_time duration);

/* Moves the host's wall clock (dw_reactor_wall_clock) by `by` from the true time. */
void dw_host_set_clock_offset(dw_host *host, dw_time by);

/* ---- Network ---- */

#define DW_LATENCY_DEFAULT DW_MSEC(1)

/* One-way latency between two hosts, both ways, for all that is sent from now on. Default: 1 ms; 20
 * us within one host. */
void dw_world_set_latency(dw_world *world, dw_host *a, dw_host *b, dw_time latency);

/* Cuts a link: what is in flight or sent is lost, streams retransmit and so see delay, or a
 * time-out in the end. Two-way, one-way, and the way back. */
void dw_world_partition(dw_world *world, dw_host *a, dw_host *b);
void dw_world_partition_one_way(dw_world *world, dw_host *from, dw_host *to);
void dw_world_repair(dw_world *world, dw_host *a, dw_host *b);

/* Faults stop: every partition is repaired and every choice is calm from now on. For liveness:
 * heal, then require progress with dw_world_run_until. */
void dw_world_heal(dw_world *world);

/* Send and receive buffer of each end of a connection made from now on, in bytes; default 65536. */
void dw_world_set_buffers(dw_world *world, size_t send, size_t receive);

/* ---- Time ---- */

/* Virtual time since the run began. */
dw_time dw_world_now(const dw_world *world);

/* Runs all that happens in the next `duration`. False: there was a finding. */
bool dw_world_run(dw_world *world, dw_time duration);

/* Runs until holds(user) is true, asked before each event, at most for `limit`. Returns whether it
 * became true. */
bool dw_world_run_until(dw_world *world, bool (*holds)(void *user), void *user, dw_time limit);

/* Runs until nothing is scheduled, at most for `limit`. Returns whether it is idle. */
bool dw_world_run_until_idle(dw_world *world, dw_time limit);

/* Runs one event. False: there is none, or there was a finding. */
bool dw_world_step(dw_world *world);

/* Runs all events of the next moment at which there are any. False as above. */
bool dw_world_advance_to_next(dw_world *world);

/* Runs fn(user) at now + delay, outside every host: the scenario's own timer. */
void dw_world_after(dw_world *world, dw_time delay, void (*fn)(void *user), void *user);

/* The scenario's own choice: a number below n, 0 when calm. Written as `scenario WHAT nth value`.
 */
uint32_t dw_world_choose(dw_world *world, const char *what, uint32_t n);

/* Puts a line in the timeline. */
void dw_world_note(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* ---- Findings ---- */

/* One statement about the program, found when the process starts. Made by the macros below. */
typedef enum dw_assertion_kind {
    DW_ALWAYS = 1,
    DW_SOMETIMES,
    DW_REACHABLE,
    DW_UNREACHABLE,
} dw_assertion_kind;

typedef struct dw_assertion {
    dw_assertion_kind kind;
    const char *message;
    const char *where;
    uint32_t index; /* its place in the program's catalogue, given out at the start */
} dw_assertion;

void dw_world_assert(dw_world *world, const dw_assertion *assertion, bool holds);

#define DW_ASSERTION_(world, kind_, holds, message_)                                           \
    do {                                                                                       \
        static dw_assertion dw_assertion_                                                      \
            __attribute__((section("dw_assertions"), used, aligned(8))) = {kind_, "" message_, \
                                                                           DW_HERE, 0};        \
        dw_world_assert((world), &dw_assertion_, (holds));                                     \
    } while (0)

/* Must hold each time it is asked; the first time it does not, the run has failed. `message` is a
 * literal, unique in the program. */
#define dw_always(world, holds, message) DW_ASSERTION_(world, DW_ALWAYS, holds, message)

/* Must hold at least once in all runs of a sweep together; "never reached" is reported. */
#define dw_sometimes(world, holds, message) DW_ASSERTION_(world, DW_SOMETIMES, holds, message)

/* This line must be / must never be reached. */
#define dw_reachable(world, message)   DW_ASSERTION_(world, DW_REACHABLE, true, message)
#define dw_unreachable(world, message) DW_ASSERTION_(world, DW_UNREACHABLE, false, message)

/* The run has failed for a reason only known at run time; the first one counts. */
void dw_world_fail(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* Whether there has been a finding. */
bool dw_world_failed(const dw_world *world);

DW_END_DECLS

#endif
