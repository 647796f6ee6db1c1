/* SPDX-License-Identifier: MIT */
/*
 * A name that is looked up, and its addresses in the order in which a connector tries them.
 *
 * Invariant: `addresses` holds `count` of them, sorted by family; the first `next` were given.
 */
#include "connector.h"

enum { ADDRESSES_MAX = 8 };

struct dw_search {
    dw_lookup lookup;
    unsigned count, next;
    dw_address *addresses; /* `only`, or ADDRESSES_MAX of them when the name has several */
    dw_address only;
};

dw_search *dw_search_new(dw_reactor *reactor) {
    dw_search *search = dw_alloc(reactor, sizeof(*search));
    if (search != NULL) {
        search->count = search->next = 0;
        search->addresses = &search->only;
    }
    return search;
}

void dw_search_free(dw_reactor *reactor, dw_search *search) {
    dw_lookup_cancel(&search->lookup);
    if (search->addresses != &search->only) {
        dw_free(reactor, search->addresses);
    }
    dw_free(reactor, search);
}

bool dw_search_has_next(const dw_search *search) {
    return search->next < search->count;
}

dw_address dw_search_next(dw_search *search) {
    return search->addresses[search->next++];
}

/* Most names have one address. Without memory the others are left out. */
static bool room_for_another(dw_reactor *reactor, dw_search *search) {
    if (search->count == 0 || search->addresses != &search->only) {
        return true;
    }
    dw_address *list = dw_alloc(reactor, ADDRESSES_MAX * sizeof(*list));
    if (list == NULL) {
        return false;
    }
    list[0] = search->only;
    search->addresses = list;
    return true;
}

/* IPv4 before IPv6, each in the resolver's order: whichever answer comes first, a run is the same,
 * and a broken IPv6 costs nothing that Twisted's connectTCP, which asks for IPv4 alone, would not
 * lose. dw_host_endpoint races the families. */
static void address_found(dw_lookup *lookup, const dw_address *address) {
    dw_search *search = DW_CONTAINER_OF(lookup, dw_search, lookup);
    unsigned at = search->count;
    if (!room_for_another(dw_lookup_reactor(lookup), search)) {
        return;
    }
    if (at == ADDRESSES_MAX &&
        (address->kind != DW_ADDRESS_IPV4 || search->addresses[at - 1].kind == DW_ADDRESS_IPV4)) {
        return;
    }
    at -= at == ADDRESSES_MAX;
    for (; at > 0 && address->kind < search->addresses[at - 1].kind; at--) {
        search->addresses[at] = search->addresses[at - 1];
    }
    search->addresses[at] = *address;
    search->count += search->count < ADDRESSES_MAX;
}

void dw_search_begin(dw_search *search, dw_reactor *reactor, const char *name,
                     dw_lookup_done_fn on_done, void *user) {
    dw_lookup_begin_now(reactor, &search->lookup, name, DW_FAMILY_ANY, address_found, on_done,
                        user);
}
