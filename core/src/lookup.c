/* SPDX-License-Identifier: MIT */
/*
 * Lookups: the caller's side of a name being resolved, and the answer's way to it.
 *
 * Invariant: a lookup is active from its start until on_done is called or it is cancelled, and then
 * in the reactor's list. It is with a resolver (resolver_) or still waits for its start, never
 * both. After either end nothing here touches it. Called by programs, connectors and endpoints from
 * above, by resolvers from below.
 */
#include "internal.h"

static bool wanted(const dw_lookup *lookup, const dw_address *address) {
    switch (lookup->family) {
    case DW_FAMILY_IPV4:
        return address->kind == DW_ADDRESS_IPV4;
    case DW_FAMILY_IPV6:
        return address->kind == DW_ADDRESS_IPV6;
    default:
        return address->kind == DW_ADDRESS_IPV4 || address->kind == DW_ADDRESS_IPV6;
    }
}

/* No longer under way: the memory is the caller's. */
static void detach(dw_lookup *lookup) {
    dw_delayed_call_cancel(&lookup->start_);
    list_remove(&lookup->node_);
    lookup->resolver_ = NULL;
    lookup->active_ = false;
    if (lookup->gone_ != NULL) {
        *lookup->gone_ = true;
        lookup->gone_ = NULL;
    }
}

/* ---- Start ---- */

static void start(void *user) {
    dw_lookup *lookup = user;
    dw_address literal;
    if (dw_address_parse(&literal, lookup->name, 0) == 0) {
        if (dw_lookup_found(lookup, &literal)) {
            dw_lookup_finish(lookup, 0);
        }
        return;
    }
    dw_resolver *resolver = lookup->reactor_->resolver;
    lookup->resolver_ = resolver;
    int error = resolver->cls->resolve(resolver, lookup);
    if (error < 0) {
        lookup->resolver_ = NULL; /* it has not taken it */
        dw_lookup_finish(lookup, error);
    }
}

static void prepare(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                    dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user) {
    *lookup = (dw_lookup){.name = name, .family = family, .user = user};
    lookup->on_address_ = on_address;
    lookup->on_done_ = on_done;
    lookup->reactor_ = reactor;
    lookup->active_ = true;
    list_add(&reactor->lookups, &lookup->node_);
}

int dw_reactor_resolve(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                       dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user) {
    size_t len = name != NULL ? strlen(name) : 0;
    if (len == 0 || len > DW_NAME_MAX || lookup->active_) {
        return DW_INVALID_ARGUMENT;
    }
    prepare(reactor, lookup, name, family, on_address, on_done, user);
    dw_reactor_call_later(reactor, &lookup->start_, 0, start, lookup);
    return 0;
}

void dw_lookup_begin_now(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                         dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user) {
    prepare(reactor, lookup, name, family, on_address, on_done, user);
    start(lookup);
}

/* ---- End ---- */

static void take_back(dw_lookup *lookup) {
    dw_resolver *resolver = lookup->resolver_;
    if (resolver != NULL && resolver->cls->cancel != NULL) {
        resolver->cls->cancel(resolver, lookup);
    }
}

void dw_lookup_cancel(dw_lookup *lookup) {
    if (lookup->active_) {
        take_back(lookup);
        detach(lookup);
    }
}

bool dw_lookup_active(const dw_lookup *lookup) {
    return lookup->active_;
}

dw_reactor *dw_lookup_reactor(const dw_lookup *lookup) {
    return lookup->reactor_;
}

/* ---- The answer ---- */

/* A resolver may answer from anywhere; what the program writes then is flushed as after any
 * callback, but not in the middle of another one. */
static void leave(dw_reactor *reactor) {
    reactor->depth--;
    if (reactor->depth == 0) {
        dw_reactor_flush(reactor);
    }
}

bool dw_lookup_found(dw_lookup *lookup, const dw_address *address) {
    dw_reactor *reactor = lookup->reactor_;
    bool gone = false;
    if (!wanted(lookup, address)) {
        return true;
    }
    dw_address found = *address;
    found.port = 0;
    lookup->answered_ = true;
    lookup->gone_ = &gone;
    reactor->depth++;
    lookup->on_address_(lookup, &found);
    if (!gone) {
        lookup->gone_ = NULL;
    }
    leave(reactor);
    return !gone;
}

void dw_lookup_finish(dw_lookup *lookup, int error) {
    dw_reactor *reactor = lookup->reactor_;
    dw_reason reason = {DW_DNS_LOOKUP, error < 0 ? -error : ENODATA, NULL};
    const dw_reason *failure = lookup->answered_ ? NULL : &reason;
    detach(lookup);
    reactor->depth++;
    lookup->on_done_(lookup, failure);
    leave(reactor);
}

void dw_lookup_done(dw_reactor *reactor, dw_lookup *lookup, int error, const dw_address *addresses,
                    size_t count) {
    bool there = true;
    reactor->depth++;
    for (size_t i = 0; there && i < count; i++) {
        there = dw_lookup_found(lookup, &addresses[i]);
    }
    if (there) {
        dw_lookup_finish(lookup, error);
    }
    leave(reactor);
}

/* ---- The reactor's end ---- */

/* Those that are there now; one that a callback starts anew is left for dw_reactor_fini. */
void dw_lookups_shutdown(dw_reactor *reactor) {
    struct dw_list_node old;
    list_move(&old, &reactor->lookups);
    while (!list_empty(&old)) {
        dw_lookup *lookup = DW_CONTAINER_OF(old.next, dw_lookup, node_);
        take_back(lookup);
        lookup->resolver_ = NULL;
        dw_lookup_finish(lookup, -ECANCELED);
    }
}

void dw_lookups_discard(dw_reactor *reactor) {
    while (!list_empty(&reactor->lookups)) {
        dw_lookup_cancel(DW_CONTAINER_OF(reactor->lookups.next, dw_lookup, node_));
    }
}
