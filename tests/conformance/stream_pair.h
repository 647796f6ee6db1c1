/* SPDX-License-Identifier: MIT */
/*
 * What the cases of streams share: one scripted side at each end of a connection. Included by
 * test_streams.c and test_stream_*.c.
 */
#ifndef DRYWIRE_TESTS_STREAM_PAIR_H
#define DRYWIRE_TESTS_STREAM_PAIR_H

#include "conformance.h"

#include <stdlib.h>

/* One side at each end. */
typedef struct pair {
    side s, c;
    side *server_sides[1], *client_sides[1];
    serving f, g;
} pair;

static inline void pair_init(pair *p, conf *c) {
    side_init(&p->s, c);
    side_init(&p->c, c);
    p->server_sides[0] = &p->s;
    p->client_sides[0] = &p->c;
    serving_init(&p->f, c, p->server_sides, 1);
    serving_init(&p->g, c, p->client_sides, 1);
}

static inline void pair_fini(pair *p) {
    free(p->s.bytes);
    free(p->c.bytes);
}

static inline void expect(const pair *p, const char *client, const char *server) {
    ck_assert_str_eq(p->c.log, client);
    ck_assert_str_eq(p->s.log, server);
}

#define WITH_PAIR(p) \
    pair p;          \
    pair_init(&p, c)

static inline void hello_and_lose(side *s) {
    do_hello(s);
    do_lose(s);
}

#endif
