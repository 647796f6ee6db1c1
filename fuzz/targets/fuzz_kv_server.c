/* SPDX-License-Identifier: MIT */
/*
 * The key-value server of examples/kv against any bytes, cut in any way: it must neither crash nor
 * leak, and answer the same however the stream was cut. Limits are low enough for short inputs to
 * reach them. The server is its factory's owner and frees itself when the reactor shuts down.
 */
#include <drywire/fuzz.h>

#include "server.h"

/* Replies above the mark are held back, so that throttling is exercised; memory_max is what a few
 * appends can reach. unsent_max stays far above, for how much is unsent depends on the network. */
static const kv_server_options options = {
    .unsent_mark = 512,
    .memory_max = 65536,
    .idle = DW_SEC(30),
};

static dw_factory *kv_new(dw_reactor *reactor) {
    kv_server *server = kv_server_new(reactor, &options);
    return server != NULL ? kv_server_factory(server) : NULL;
}

DW_FUZZ_PROTOCOL(kv_new)
