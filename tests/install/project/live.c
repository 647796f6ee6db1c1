/* SPDX-License-Identifier: MIT */
/* The greeting over real sockets: a server on a free port, a client to it, in one reactor. */
#include "hello.h"

#include <drywire/real.h>
#include <stdio.h>
#include <string.h>

static void stop(void *reactor) {
    dw_reactor_stop(reactor);
}

int main(void) {
    struct hello_server server;
    struct hello_client client;
    dw_port *port = NULL;
    dw_reactor *reactor = dw_poll_reactor_new(NULL);
    if (reactor == NULL) {
        return 2;
    }
    hello_server_init(&server, reactor);
    hello_client_init(&client, stop, reactor);
    if (dw_reactor_listen_tcp(reactor, 0, &server.base, 0, "127.0.0.1", &port) != 0) {
        return 2;
    }
    if (dw_reactor_connect_tcp(reactor, "127.0.0.1", dw_port_host(port).port, &client.base, 0, NULL,
                               NULL) != 0) {
        return 2;
    }
    dw_reactor_run(reactor);
    dw_reactor_free(reactor);
    printf("live: %s", client.got);
    return strcmp(client.got, HELLO_GREETING) == 0 ? 0 : 1;
}
