/* SPDX-License-Identifier: MIT */
/*
 * Hosts of a world: machines, each with a program, a reactor of its own and a wall clock. They are
 * killed, crash, start again, stall, and are short of sockets or ports. A host belongs to its world
 * and lives as long as the run, whether its program is up or not.
 */
#ifndef DRYWIRE_HOST_H
#define DRYWIRE_HOST_H

#include "drywire/world.h"

DW_BEGIN_DECLS

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
/* fd00::a00:1, fd00::a00:2, ...: the host's other address, in which its IPv4 address stands. Names
 * know of it only by dw_world_set_name; there is no multicast by IPv6. */
dw_address dw_host_address6(const dw_host *host);

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

/* Wall clocks (dw_reactor_wall_clock) may be wrong; the monotonic clock (dw_reactor_now), by which
 * delayed calls run, never is. The first moves the host's to `by` from the true time, whatever it
 * showed. From then on it gains `ppb` nanoseconds in each true second (negative: it loses; within a
 * second, 1e9; an ordinary quartz is good for 20000). A step moves it from what it shows, as
 * settimeofday(2) does. */
void dw_host_set_clock_offset(dw_host *host, dw_time by);
void dw_host_set_clock_drift(dw_host *host, int64_t ppb);
void dw_host_step_clock(dw_host *host, dw_time by);

/* How many sockets the host's program may have open at once; 0: any number, the default. Beyond it
 * opening one fails with EMFILE, and a connection that is to be accepted is closed, as on the live
 * wire, which keeps a descriptor in reserve for that. Pipes and files do not count. */
void dw_host_set_descriptor_limit(dw_host *host, size_t sockets);

/* The ports that are given to who connects, sends or binds without one, the first to the last
 * (Linux: ip_local_port_range); default 32768 to 60999. Those of TCP: a port may lead to several
 * destinations at once, but not twice to the same; without one left connecting fails with
 * EADDRNOTAVAIL, binding with EADDRINUSE. Who closes a connection first keeps its port from being
 * used for the same destination, or bound, for DW_TIME_WAIT; only listeners may bind over that of
 * connections that came to them. */
#define DW_TIME_WAIT DW_SEC(60) /* Linux: TCP_TIMEWAIT_LEN */
void dw_host_set_ports(dw_host *host, uint16_t first, uint16_t last);

DW_END_DECLS

#endif
