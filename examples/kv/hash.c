/* SPDX-License-Identifier: MIT */
/*
 * SipHash as in Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round
 * per word and two to finish, as Redis has it. Reads little-endian words byte by byte, so the
 * result does not depend on the machine; compilers make one load of it.
 */
#include "hash.h"

#define FINAL_ROUNDS 2

typedef struct state {
    uint64_t v0, v1, v2, v3;
} state;

static uint64_t rotate(uint64_t x, unsigned by) {
    return (x << by) | (x >> (64 - by));
}

static void sip_round(state *s) {
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void absorb(state *s, uint64_t word) {
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t load_word(const uint8_t *p) {
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

uint64_t kv_hash(const kv_hash_key *key, const uint8_t *data, size_t len) {
    state s = {key->k0 ^ UINT64_C(0x736f6d6570736575), key->k1 ^ UINT64_C(0x646f72616e646f6d),
               key->k0 ^ UINT64_C(0x6c7967656e657261), key->k1 ^ UINT64_C(0x7465646279746573)};
    const uint8_t *p = data;
    for (size_t left = len / 8; left > 0; left--, p += 8) {
        absorb(&s, load_word(p));
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < len % 8; i++) {
        last |= (uint64_t)p[i] << (8 * i);
    }
    absorb(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < FINAL_ROUNDS; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
