/* SPDX-License-Identifier: MIT */
/*
 * Network namespaces, by descriptor, for one thread that plays all hosts in turn. Linux only; needs
 * iproute2 and the right to make them.
 */
#ifndef DRYWIRE_TESTS_TIMELINES_NAMESPACES_H
#define DRYWIRE_TESTS_TIMELINES_NAMESPACES_H

#include "play.h"

/* Root of a user namespace of our own, for who is not root already; false: not allowed. */
bool ns_become_root(void);
/* A new one, entered; -1: not allowed. The caller's to close. */
int ns_new(void);
/* Returns the one that it left. Ends the program if it cannot be entered. */
int ns_enter(int ns);
/* A shell command in a namespace, and back again; whether it succeeded. */
bool ns_run(int ns, const char *format, ...) DW_PRINTF(2, 3);
/* "net.ipv4.ip_forward=1" in a namespace, and back again. */
bool ns_set_sysctl(int ns, const char *setting);
/* Links a host's namespace with the router's: 10.0.0.N, N being the actor's index. */
bool ns_wire_up(int router, const actor *who);
/* The same link's IPv6 addresses, behind ns_wire_up. */
bool ns_wire_up_ipv6(int router, const actor *who);

#endif
