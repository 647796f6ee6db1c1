/* SPDX-License-Identifier: MIT */
/*
 * Resolvers: which one a reactor asks, and the wire's two slots as one of them.
 *
 * Invariant: a reactor always has a resolver; without the program's it is the wire's own.
 */
#include "internal.h"

static dw_reactor *reactor_of(dw_resolver *own) {
    return DW_CONTAINER_OF(own, dw_reactor, own_resolver);
}

static int own_resolve(dw_resolver *own, dw_lookup *lookup) {
    return reactor_of(own)->wire->resolve(reactor_of(own), lookup);
}

static void own_cancel(dw_resolver *own, dw_lookup *lookup) {
    reactor_of(own)->wire->resolve_cancel(reactor_of(own), lookup);
}

static const dw_resolver_class own_class = {
    .name = "wire", .resolve = own_resolve, .cancel = own_cancel};

void dw_lookups_init(dw_reactor *reactor) {
    list_init(&reactor->lookups);
    reactor->own_resolver.cls = &own_class;
    reactor->resolver = &reactor->own_resolver;
}

void dw_reactor_set_resolver(dw_reactor *reactor, dw_resolver *resolver) {
    reactor->resolver = resolver != NULL ? resolver : &reactor->own_resolver;
}

int dw_lookup_forward(dw_lookup *lookup) {
    dw_resolver *own = &lookup->reactor_->own_resolver;
    lookup->resolver_ = own;
    return own->cls->resolve(own, lookup);
}
