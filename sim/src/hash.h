/* SPDX-License-Identifier: MIT */
/*
 * Hashes that are the same on every machine: names of who and what draws, contents of what is read,
 * places in tables. Nothing here is a defence against who chooses the input.
 */
#ifndef DRYWIRE_SIM_HASH_H
#define DRYWIRE_SIM_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t mix64(uint64_t x) { /* splitmix64's finaliser, public domain, Vigna */
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* FNV-1a over text, continued from `hash`; names of who and what are hashed with it. The second is
 * the same over bytes. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t sim_hash_text(uint64_t hash, const char *text);
uint64_t sim_hash_more(uint64_t hash, const void *bytes, size_t len);

/* Contents, of any length, at several bytes a step. */
uint64_t sim_hash_bytes(const void *bytes, size_t len);

#endif
