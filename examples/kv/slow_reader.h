/* SPDX-License-Identifier: MIT */
/*
 * A client that asks for much more than it reads: it sets a value, asks for it many times in one
 * write, and does not read for a while. Used by kv_scenarios.c to see that a server does not keep
 * what it cannot send.
 */
#ifndef KV_SLOW_READER_H
#define KV_SLOW_READER_H

#include "drywire/drywire.h"

#define KV_SLOW_VALUE 512 /* bytes of the value */
#define KV_SLOW_GETS  60  /* how often it is asked for */
#define KV_SLOW_PAUSE DW_SEC(10)

/* Nothing came for so long: the server may be gone without a word. */
#define KV_SLOW_PATIENCE DW_SEC(30)

typedef struct kv_slow_reader {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_delayed_call timer;
    uint64_t received; /* bytes of replies */
    bool refused;      /* the server had no memory for the value */
    bool over;         /* there is no connection, and there will be none */
} kv_slow_reader;

/* Connects, once, and begins. `reader` is the caller's. Returns as dw_reactor_connect_tcp does. */
int kv_slow_reader_start(kv_slow_reader *reader, dw_reactor *reactor, const char *host,
                         uint16_t port);

/* Whether every reply has come. */
bool kv_slow_reader_has_all(const kv_slow_reader *reader);

#endif
