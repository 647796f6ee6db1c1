/* SPDX-License-Identifier: MIT */
/*
 * kv_client: one connection to a kv_server that is made again when it is lost. Requests are
 * pipelined; each gets exactly one outcome. After a loss those that may safely run twice are sent
 * again; for the others the client says that it does not know, since the server may have run them.
 * Used by kv_scenarios.c.
 */
#ifndef KV_CLIENT_H
#define KV_CLIENT_H

#include "resp.h"

/* Zero is the default everywhere. */
typedef struct kv_client_options {
    dw_time timeout;     /* from asking to the outcome; default 5 s */
    dw_time connect;     /* for one attempt to connect; default 2 s */
    dw_time delay_first; /* before the second attempt; doubles with each; default 50 ms */
    dw_time delay_max;   /* default 5 s */
    size_t waiting_max;  /* requests without an outcome; default 1,024 */
    unsigned sends_max;  /* how often one request is sent; default 8 */
} kv_client_options;

typedef enum kv_outcome {
    KV_ANSWERED, /* `reply` is the server's, which may be an error */
    KV_FAILED,   /* never sent: it did not happen */
    KV_UNKNOWN,  /* sent, but no reply came: it may have happened, for the others see KV_FAILED */
} kv_outcome;

/* The outcome of a request. `reply` is NULL unless answered, and good until this returns; an
 * array's items follow it. May ask for more, and may close the client. */
typedef void (*kv_answer_fn)(void *user, kv_outcome outcome, const kv_reply *reply);

typedef struct kv_client kv_client;

typedef struct kv_client_stats {
    uint64_t connections; /* made so far */
    uint64_t resent;      /* requests sent once more */
    uint64_t unknown;
    uint64_t failed;
    size_t waiting; /* requests without an outcome now */
} kv_client_stats;

/* Returns a new client that does not connect yet, or NULL without memory. `options` may be NULL. It
 * frees itself when it has been closed, or the reactor has shut down; before that each request that
 * is left has its outcome. */
kv_client *kv_client_new(dw_reactor *reactor, const kv_client_options *options);

/* Connects, and again whenever that fails or ends. Returns 0 or the error of
 * dw_reactor_connect_tcp. Once. */
int kv_client_connect(kv_client *client, const char *host, uint16_t port);

/* Results of kv_client_ask beside dw_error's. */
enum { KV_CLIENT_FULL = -100, KV_CLIENT_CLOSED = -101 };

/* Asks for a request of `argc` words, copied. Also while there is no connection: then it waits.
 * answer(user, ...) comes later, never inside. Returns 0, DW_NO_MEMORY, KV_CLIENT_FULL or
 * KV_CLIENT_CLOSED; then it does not come. */
int kv_client_ask(kv_client *client, const kv_slice *args, size_t argc, kv_answer_fn answer,
                  void *user);

/* The same for words that are texts, up to a NULL; at most KV_CLIENT_WORDS_MAX. */
#define KV_CLIENT_WORDS_MAX 16
int kv_client_ask_words(kv_client *client, const char *const *words, kv_answer_fn answer,
                        void *user);

/* Ends: the connection is reset, what is left gets its outcome, then memory goes. The client must
 * not be used any more. */
void kv_client_close(kv_client *client);

/* For who brings the connection by other means than kv_client_connect. */
dw_client_factory *kv_client_factory(kv_client *client);

kv_client_stats kv_client_get_stats(const kv_client *client);
bool kv_client_is_connected(const kv_client *client);

#endif
