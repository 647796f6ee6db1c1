/* SPDX-License-Identifier: MIT */
/*
 * What sim_echo and sim_tiny share: an echo server, and clients that send messages of 64 bytes,
 * wait for each echo, and close. Everything is allocated from reactors, as a user's program would
 * be.
 */
#ifndef DRYWIRE_BENCH_ECHO_LOAD_H
#define DRYWIRE_BENCH_ECHO_LOAD_H

#include <drywire/drywire.h>

enum { ECHO_PORT = 7, MESSAGE_LEN = 64 };

/* Counts over all clients of a run. */
typedef struct echo_totals {
    uint64_t echoed; /* messages that came back whole */
    uint64_t finished;
} echo_totals;

/* Boot function of an echo server; `user` is unused. */
void *echo_server_boot(dw_reactor *reactor, void *user);

typedef struct echo_load echo_load;

/* `clients` clients of `messages` messages each, all started now. Freed at the reactor's shutdown.
 */
echo_load *echo_load_start(dw_reactor *reactor, const char *server, unsigned clients,
                           unsigned messages, echo_totals *totals);

#endif
