/* SPDX-License-Identifier: MIT */
/*
 * The hashes of hash.h: FNV-1a for names, which are short, and a faster one for contents. What they
 * answer decides which choices a seed makes and is part of what a run's hash promises: none of it
 * may ever depend on the machine.
 */
#include "hash.h"

#include <string.h>

#define FNV_PRIME UINT64_C(0x100000001b3)

uint64_t sim_hash_text(uint64_t hash, const char *text) {
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * FNV_PRIME;
    }
    return hash;
}

uint64_t sim_hash_more(uint64_t hash, const void *bytes, size_t len) {
    const uint8_t *data = bytes;
    for (; len > 0; data++, len--) {
        hash = (hash ^ *data) * FNV_PRIME;
    }
    return hash;
}

/* Eight bytes as a little-endian number, on every machine. */
static uint64_t load(const uint8_t *data) {
    uint64_t word;
    memcpy(&word, data, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The two halves of a product of 128 bits, folded; the same on machines without such a product. */
static uint64_t fold(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX), high = (a >> 32) * (b >> 32);
    uint64_t x = (a >> 32) * (b & UINT32_MAX), y = (a & UINT32_MAX) * (b >> 32);
    uint64_t middle = (low >> 32) + (x & UINT32_MAX) + (y & UINT32_MAX);
    low = middle << 32 | (low & UINT32_MAX);
    return low ^ (high + (x >> 32) + (y >> 32) + (middle >> 32));
#endif
}

/* Sixteen bytes by one multiplication, as wyhash does (public domain, Wang Yi). */
static uint64_t stir(uint64_t lane, const uint8_t *data) {
    return fold(load(data) ^ UINT64_C(0xa0761d6478bd642f), load(data + 8) ^ lane);
}

static uint64_t join(uint64_t a, uint64_t b) {
    return a ^ (b << 32 | b >> 32);
}

/* What comes behind the last whole 32 bytes. */
static uint64_t finish(uint64_t a, uint64_t b, const uint8_t *data, size_t len) {
    for (; len >= 8; data += 8, len -= 8) {
        a = fold(a ^ load(data), UINT64_C(0x9fb21c651e98df25));
    }
    for (; len > 0; data++, len--) {
        b = (b ^ *data) * FNV_PRIME;
    }
    return join(a, b);
}

/* Two lanes, so that the multiplications do not wait for each other. */
uint64_t sim_hash_bytes(const void *bytes, size_t len) {
    const uint8_t *data = bytes, *whole = data + len / 32 * 32;
    uint64_t a = UINT64_C(0xe7037ed1a0b428db) ^ len, b = UINT64_C(0x8ebc6af09c88c6e3);
    for (; data != whole; data += 32) {
        a = stir(a, data);
        b = stir(b, data + 16);
    }
    return len % 32 == 0 ? join(a, b) : finish(a, b, data, len % 32);
}
