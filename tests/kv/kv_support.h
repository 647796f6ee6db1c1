/* SPDX-License-Identifier: MIT */
/*
 * What the Check suites of the key-value example share: a server with one client on a test
 * transport. Each test makes its own, and frees it with a check that nothing is left over.
 */
#ifndef KV_SUPPORT_H
#define KV_SUPPORT_H

#include "../suite.h"
#include "server.h"

#include "drywire/test_transport.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench {
    dw_test_transport *wire;
    kv_server *server;
    dw_protocol *session;
} bench;

static inline bench bench_new(const kv_server_options *options) {
    bench b = {.wire = dw_test_transport_new()};
    ck_assert_ptr_nonnull(b.wire);
    b.server = kv_server_new(dw_test_transport_reactor(b.wire), options);
    ck_assert_ptr_nonnull(b.server);
    b.session = dw_test_transport_build(b.wire, kv_server_factory(b.server));
    return b;
}

/* The reactor stops, the server frees itself; nothing may be left. */
static inline void bench_free(bench *b) {
    if (dw_test_transport_connected(b->wire)) {
        dw_test_transport_lose(b->wire, 0);
    }
    dw_test_transport_advance(b->wire, DW_MIN(1));
    kv_server_free(b->server);
    ck_assert_uint_eq(dw_test_transport_allocations(b->wire), 0);
    dw_test_transport_free(b->wire);
}

/* What the server answers to `request`. */
static inline const char *bench_ask(bench *b, const char *request) {
    dw_test_transport_clear(b->wire);
    dw_test_transport_receive(b->wire, request, strlen(request));
    return dw_test_transport_written(b->wire, NULL);
}

#define expect_reply(bench_, request, reply) \
    ck_assert_str_eq(bench_ask((bench_), (request)), (reply))

/* Runs the suite as CTest wants it. */
#endif
