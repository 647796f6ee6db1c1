/* SPDX-License-Identifier: MIT */
/*
 * The live wire's two ways to look names up, behind one small table: c-ares, which speaks to name
 * servers itself (cares.c, where the build found it), and getaddrinfo on threads (name_threads.c).
 * resolver.c chooses. All functions run on the reactor's thread.
 */
#ifndef DRYWIRE_REAL_NAMES_H
#define DRYWIRE_REAL_NAMES_H

#include "drywire/backend.h"
#include "drywire/real.h"
#include "helpers.h"

struct dw_live;
struct dw_ares;

/* Lookups that one reactor has waiting, running, or answered but not yet handed over. One more is
 * refused with -EAGAIN. */
#define DW_LOOKUPS_MAX 4096

/* Addresses of one name, or of one family of it, that are handed over; the rest are left out. */
#define DW_LOOKUP_ADDRESSES_MAX 16

/* Threads on which getaddrinfo runs: so many dead name servers hold nobody else up. */
#define DW_NAME_THREADS_MAX DW_HELPERS_MAX

/* A way to look names up; the first two are the wire's slots. */
struct dw_name_way {
    int (*resolve)(struct dw_live *live, dw_lookup *lookup);
    void (*cancel)(struct dw_live *live, dw_lookup *lookup);
    /* Frees all of it; before the poller goes. Twice is fine. */
    void (*fini)(struct dw_live *live);
};

extern const struct dw_name_way dw_name_way_threads;
#ifdef DRYWIRE_HAVE_CARES
extern const struct dw_name_way dw_name_way_ares;
#endif

/* What a live reactor has for names. */
struct dw_names {
    const struct dw_name_way *way;
    unsigned count; /* lookups there are, cancelled ones that are still under way among them */
    struct dw_helpers threads;
    struct dw_ares *ares; /* NULL until the first lookup */
    char *servers;        /* of the options; NULL: the system's */
    dw_time server_timeout;
    int server_tries;
};

/* ---- resolver.c ---- */

/* Chooses the way. Returns 0 or -errno: -ENOTSUP without c-ares in this build. */
int dw_names_init(struct dw_live *live, const dw_poll_options *options);
/* Threads are joined: waits for each getaddrinfo that is under way. */
void dw_names_fini(struct dw_live *live);
/* The slots of dw_wire. */
int dw_live_resolve(dw_reactor *reactor, dw_lookup *lookup);
void dw_live_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup);

/* ---- name_threads.c ---- */

/* Hands over the answers there are; the loop was woken. */
void dw_name_threads_answer(struct dw_live *live);

#endif
