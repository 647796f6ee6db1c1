/* SPDX-License-Identifier: MIT */
/*
 * echo [PORT]: sends back what it is sent. The smallest complete server: a protocol, a factory that
 * makes one for each connection, and a reactor that runs them on real sockets. The same protocol is
 * tried on a simulated network in echo_scenario.c.
 */
#include <drywire/drywire.h>
#include <drywire/real.h>

#include <stdio.h>
#include <stdlib.h>

static void echo_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void echo_destroy(dw_protocol *p) {
    free(p);
}

static const dw_protocol_class echo_class = {
    .name = "echo",
    .data_received = echo_data_received,
    .destroy = echo_destroy,
};

static dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol *p = malloc(sizeof(*p));
    if (p == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(p, &echo_class);
    return p;
}

static const dw_factory_class echo_factory_class = {.name = "echo", .build_protocol = echo_build};

int main(int argc, char **argv) {
    dw_factory factory;
    dw_reactor *reactor = dw_live_reactor_new(NULL, NULL);
    uint16_t port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 7007);
    dw_factory_init(&factory, &echo_factory_class);
    if (reactor == NULL ||
        dw_reactor_listen_tcp(reactor, port, &factory, 0, "127.0.0.1", NULL) != 0) {
        fprintf(stderr, "echo: cannot listen on 127.0.0.1:%u\n", port);
        return 1;
    }
    dw_reactor_run(reactor); /* until SIGINT or SIGTERM */
    dw_reactor_free(reactor);
    return 0;
}
