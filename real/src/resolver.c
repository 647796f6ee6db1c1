/* SPDX-License-Identifier: MIT */
/*
 * Host names on the live wire: which way they are looked up, and the wire's two slots for it.
 *
 * Invariant: a reactor's way is settled when it is made and never changes.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

static int choose_way(struct dw_names *names, dw_name_lookup wanted) {
#ifdef DRYWIRE_HAVE_CARES
    names->way = wanted == DW_NAMES_THREADS ? &dw_name_way_threads : &dw_name_way_ares;
    return 0;
#else
    names->way = &dw_name_way_threads;
    return wanted == DW_NAMES_ARES ? -ENOTSUP : 0;
#endif
}

static int keep_servers(struct dw_live *live, const char *servers) {
    if (servers == NULL) {
        return 0;
    }
    size_t size = strlen(servers) + 1;
    live->names.servers = dw_alloc(&live->base, size);
    if (live->names.servers == NULL) {
        return -ENOMEM;
    }
    memcpy(live->names.servers, servers, size);
    return 0;
}

int dw_names_init(struct dw_live *live, const dw_poll_options *options) {
    live->names.server_timeout = options->dns_timeout;
    live->names.server_tries = options->dns_tries;
    int error = choose_way(&live->names, options->names);
    return error != 0 ? error : keep_servers(live, options->dns_servers);
}

void dw_names_fini(struct dw_live *live) {
    if (live->names.way != NULL) {
        live->names.way->fini(live);
    }
    dw_free(&live->base, live->names.servers);
    live->names.servers = NULL;
}

int dw_live_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    struct dw_live *live = dw_live_of(reactor);
    lookup->resolver_data = NULL;
    return live->names.count < DW_LOOKUPS_MAX ? live->names.way->resolve(live, lookup) : -EAGAIN;
}

void dw_live_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    struct dw_live *live = dw_live_of(reactor);
    if (lookup->resolver_data != NULL) {
        live->names.way->cancel(live, lookup);
    }
}
