/* SPDX-License-Identifier: MIT */
/*
 * kv_server: a key-value server that speaks RESP2, on any reactor. What a client can make it
 * remember is bounded: one unfinished request, and unread replies up to a limit; a client that does
 * not read is not read from either. Used by kv_server_main.c on the live wire and by kv_scenarios.c
 * on the dry one.
 */
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "commands.h"
#include "resp.h"

/* Zero is the default everywhere. */
typedef struct kv_server_options {
    kv_limits limits;     /* of one request, see resp.h */
    size_t memory_max;    /* bytes of keys and values; default no limit */
    size_t unsent_mark;   /* unsent bytes of replies to one client above which it is not read from;
                           * default 256 KiB */
    size_t unsent_max;    /* at more than these it is cut off; default 32 MiB */
    dw_time idle;         /* a client that sends nothing for so long is let go; default 5 minutes,
                           * negative: never */
    dw_time linger;       /* one that does not read its last replies is cut off; default 10 s */
    unsigned clients_max; /* default 10,000 */
} kv_server_options;

typedef struct kv_server kv_server;

typedef struct kv_server_stats {
    size_t clients;
    uint64_t accepted;  /* clients so far */
    uint64_t requests;  /* requests run so far */
    uint64_t throttled; /* times that a client was not read from for a while */
    uint64_t cut_off;   /* clients that went over unsent_max, or lingered */
    size_t store;       /* bytes of keys and values */
    size_t buffers;     /* bytes of unfinished requests and unsent replies, of all clients */
    size_t unsent_top;  /* the most unsent bytes that any one client ever had */
} kv_server_stats;

/* Returns a new server that does not listen yet, or NULL without memory. `options` may be NULL. It
 * frees itself when the reactor has shut down. */
kv_server *kv_server_new(dw_reactor *reactor, const kv_server_options *options);

/* Frees a server that has no client and does not listen. NULL is fine. */
void kv_server_free(kv_server *server);

/* Listens on `port` (0: any free one) of `interface`, see dw_reactor_listen_tcp. Returns 0 or its
 * error. */
int kv_server_listen(kv_server *server, const char *interface, uint16_t port);

/* Where it listens; DW_ADDRESS_NONE when it does not. */
dw_address kv_server_address(const kv_server *server);

/* For who brings clients by other ways than listening. */
dw_factory *kv_server_factory(kv_server *server);

/* For checks: what it holds now. */
kv_store *kv_server_store(kv_server *server);
kv_server_stats kv_server_get_stats(const kv_server *server);

#endif
