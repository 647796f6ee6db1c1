/* SPDX-License-Identifier: MIT */
/*
 * SipHash-1-2 with a secret key, so that no client can choose keys that fall into one bucket. The
 * same key and bytes give the same hash on every machine. Used by the store.
 */
#ifndef KV_HASH_H
#define KV_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct kv_hash_key {
    uint64_t k0, k1;
} kv_hash_key;

uint64_t kv_hash(const kv_hash_key *key, const uint8_t *data, size_t len);

#endif
