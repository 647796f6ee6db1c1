/* SPDX-License-Identifier: MIT */
/*
 * A protocol that greets each client and hangs up, and a client that takes the greeting. Knows no
 * wire: the programs beside it run it on three.
 */
#ifndef HELLO_H
#define HELLO_H

#include <drywire/drywire.h>

#define HELLO_GREETING "hello\n"

/* The server's factory; in the caller's memory. */
struct hello_server {
    dw_factory base;
    dw_reactor *reactor;
};
void hello_server_init(struct hello_server *server, dw_reactor *reactor);

/* The client's factory; one connection. `done` is called at its end, however it came. */
struct hello_client {
    dw_client_factory base;
    dw_protocol protocol;
    char got[32];
    size_t got_len;
    void (*done)(void *user);
    void *user;
};
void hello_client_init(struct hello_client *client, void (*done)(void *user), void *user);

#endif
