/* SPDX-License-Identifier: MIT */
/* The greeting on the dry wire: whatever happens, a client gets a beginning of it. */
#include "hello.h"

#include <drywire/sim.h>
#include <string.h>

static void *server_boot(dw_reactor *reactor, void *user) {
    struct hello_server *server = user;
    hello_server_init(server, reactor);
    return dw_reactor_listen_tcp(reactor, 7, &server->base, 0, NULL, NULL) == 0 ? server : NULL;
}

/* Static, for the hosts are shut down after the scenario has returned. */
static struct hello_server server;
static struct hello_client client;

static void greets(dw_world *world) {
    dw_world_add_host(world, "server", server_boot, &server);
    dw_host *host = dw_world_add_host(world, "client", NULL, NULL);
    hello_client_init(&client, NULL, NULL);
    dw_reactor_connect_tcp(dw_host_reactor(host), "server", 7, &client.base, 0, NULL, NULL);
    dw_world_run(world, DW_SEC(120));
    dw_always(world, memcmp(client.got, HELLO_GREETING, client.got_len) == 0,
              "a client gets a beginning of the greeting");
    dw_sometimes(world, client.got_len == strlen(HELLO_GREETING), "a client gets all of it");
}

DW_MAIN(DW_SCENARIO(greets))
