/* SPDX-License-Identifier: MIT */
/*
 * Limits on connections. The total is the wrapping factory's own count; per peer there is one small
 * block for each peer that has connections, found by its address.
 *
 * Invariant: a peer's block exists exactly while it has connections, the table while there are
 * blocks. Nothing ever walks the table in its order.
 */
#include "drywire/limits.h"

#include "drywire/alloc.h"

#include <string.h>

/* ---- In all ---- */

static dw_limit_total_factory *total_of(dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_limit_total_factory, base);
}

static dw_factory *total_admit(dw_wrapping_factory *base, const dw_address *peer) {
    dw_limit_total_factory *factory = total_of(base);
    (void)peer;
    return base->count_ < factory->limit ? base->wrapped : factory->overflow;
}

static const dw_protocol_wrapper_class passing_class;

static const dw_wrapping_factory_class total_class = {
    .name = "limit of connections",
    .wrapper = &passing_class,
    .wrapper_size = sizeof(dw_protocol_wrapper),
    .admit = total_admit,
};

void dw_limit_total_factory_init(dw_limit_total_factory *factory, dw_reactor *reactor,
                                 dw_factory *wrapped) {
    dw_wrapping_factory_init(&factory->base, &total_class, reactor, wrapped);
    factory->limit = SIZE_MAX;
    factory->overflow = NULL;
}

void dw_limit_total_factory_init_client(dw_limit_total_factory *factory, dw_reactor *reactor,
                                        dw_client_factory *wrapped) {
    dw_wrapping_factory_init_client(&factory->base, &total_class, reactor, wrapped);
    factory->limit = SIZE_MAX;
    factory->overflow = NULL;
}

/* ---- Per peer: the table ---- */

#define BUCKETS_MIN 16

struct dw_peer_count_ {
    struct dw_peer_count_ *next; /* of its bucket */
    dw_address peer;             /* without a port, cut to the prefix */
    size_t count;
};

static dw_limit_per_peer_factory *per_peer_of(dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_limit_per_peer_factory, base);
}

static void cut_to_prefix(uint8_t ip[16], unsigned bits) {
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8) {
            ip[i] = (uint8_t)(ip[i] & ~(0xffU >> kept));
        }
    }
}

/* What counts as one peer; false for one without an IP address, which has no limit. ::ffff:a.b.c.d
 * is how a socket for both kinds shows IPv4 peers (RFC 4291, section 2.5.5.2). */
static bool key_of(const dw_limit_per_peer_factory *factory, const dw_address *peer,
                   dw_address *key) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    *key = (dw_address){.kind = peer->kind};
    if (peer->kind == DW_ADDRESS_IPV4) {
        memcpy(key->ip, peer->ip, 4);
    } else if (peer->kind == DW_ADDRESS_IPV6 && memcmp(peer->ip, mapped, sizeof(mapped)) == 0) {
        key->kind = DW_ADDRESS_IPV4;
        memcpy(key->ip, peer->ip + 12, 4);
    } else if (peer->kind == DW_ADDRESS_IPV6) {
        key->scope_id = peer->scope_id;
        memcpy(key->ip, peer->ip, 16);
        cut_to_prefix(key->ip, factory->ipv6_prefix);
    } else {
        return false;
    }
    return true;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const dw_address *key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(key->ip); i++) {
        hash = (hash ^ key->ip[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ (hash >> 32);
}

/* The place that points at the peer's block, or at the end of its chain. */
static struct dw_peer_count_ **place_of(const dw_limit_per_peer_factory *factory,
                                        const dw_address *key) {
    struct dw_peer_count_ **place =
        &factory->buckets_[hash_of(key) & (uint64_t)(factory->bucket_count_ - 1)];
    while (*place != NULL && !dw_address_equal(&(*place)->peer, key)) {
        place = &(*place)->next;
    }
    return place;
}

size_t dw_limit_per_peer_factory_count(const dw_limit_per_peer_factory *factory,
                                       const dw_address *peer) {
    dw_address key;
    if (factory->bucket_count_ == 0 || !key_of(factory, peer, &key)) {
        return 0;
    }
    const struct dw_peer_count_ *found = *place_of(factory, &key);
    return found != NULL ? found->count : 0;
}

/* Makes room for one more peer. Without memory for a larger table the old one does, with longer
 * chains; false only if there is none at all. */
static bool reserve(dw_limit_per_peer_factory *factory) {
    dw_reactor *reactor = factory->base.reactor;
    size_t old_count = factory->bucket_count_;
    if (factory->peer_count_ < old_count) {
        return true;
    }
    size_t count = old_count > 0 ? 2 * old_count : BUCKETS_MIN;
    struct dw_peer_count_ **old = factory->buckets_;
    struct dw_peer_count_ **buckets =
        dw_alloc_zeroed(reactor, count * sizeof(struct dw_peer_count_ *));
    if (buckets == NULL) {
        return old_count > 0;
    }
    factory->buckets_ = buckets;
    factory->bucket_count_ = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct dw_peer_count_ *moved = old[i];
            old[i] = moved->next;
            moved->next = NULL;
            *place_of(factory, &moved->peer) = moved;
        }
    }
    dw_free(reactor, old);
    return true;
}

/* The peer's block, made when it has none; NULL without memory. */
static struct dw_peer_count_ *block_of(dw_limit_per_peer_factory *factory, const dw_address *key) {
    if (!reserve(factory)) {
        return NULL;
    }
    struct dw_peer_count_ **place = place_of(factory, key);
    if (*place == NULL) {
        *place = dw_new(factory->base.reactor, struct dw_peer_count_);
        if (*place != NULL) {
            (*place)->peer = *key;
            factory->peer_count_++;
        }
    }
    return *place;
}

static void drop_if_empty(dw_limit_per_peer_factory *factory) {
    if (factory->peer_count_ == 0) {
        dw_free(factory->base.reactor, factory->buckets_);
        factory->buckets_ = NULL;
        factory->bucket_count_ = 0;
    }
}

/* ---- Per peer: the factory ---- */

struct peer_wrapper {
    dw_protocol_wrapper base;
    struct dw_peer_count_ *block; /* where it is counted, or NULL */
};

static dw_factory *per_peer_admit(dw_wrapping_factory *base, const dw_address *peer) {
    dw_limit_per_peer_factory *factory = per_peer_of(base);
    dw_address key;
    if (!key_of(factory, peer, &key) ||
        dw_limit_per_peer_factory_count(factory, peer) < factory->limit) {
        return base->wrapped;
    }
    return NULL;
}

static int per_peer_built(dw_wrapping_factory *base, dw_protocol_wrapper *w,
                          const dw_address *peer) {
    dw_limit_per_peer_factory *factory = per_peer_of(base);
    struct peer_wrapper *connection = DW_CONTAINER_OF(w, struct peer_wrapper, base);
    dw_address key;
    if (!key_of(factory, peer, &key)) {
        return 0;
    }
    connection->block = block_of(factory, &key);
    if (connection->block == NULL) {
        drop_if_empty(factory);
        return DW_NO_MEMORY;
    }
    connection->block->count++;
    return 0;
}

static void per_peer_ended(dw_wrapping_factory *base, dw_protocol_wrapper *w) {
    dw_limit_per_peer_factory *factory = per_peer_of(base);
    struct dw_peer_count_ *block = DW_CONTAINER_OF(w, struct peer_wrapper, base)->block;
    if (block == NULL || --block->count > 0) {
        return;
    }
    *place_of(factory, &block->peer) = block->next;
    dw_free(base->reactor, block);
    factory->peer_count_--;
    drop_if_empty(factory);
}

static const dw_wrapping_factory_class per_peer_class = {
    .name = "limit of connections per peer",
    .wrapper = &passing_class,
    .wrapper_size = sizeof(struct peer_wrapper),
    .admit = per_peer_admit,
    .built = per_peer_built,
    .ended = per_peer_ended,
};

void dw_limit_per_peer_factory_init(dw_limit_per_peer_factory *factory, dw_reactor *reactor,
                                    dw_factory *wrapped) {
    dw_wrapping_factory_init(&factory->base, &per_peer_class, reactor, wrapped);
    factory->limit = DW_LIMIT_PER_PEER_DEFAULT;
    factory->ipv6_prefix = 128;
    factory->buckets_ = NULL;
    factory->bucket_count_ = factory->peer_count_ = 0;
}
