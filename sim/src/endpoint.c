/* SPDX-License-Identifier: MIT */
/*
 * The dry wire's own endpoint descriptions: sim:HOST:PORT to connect, sim:PORT to listen. They are
 * what tcp: is, under a name that no live wire has: a description that must not leave the world.
 */
#include "host.h"

#include <string.h>

static int parse_client(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    const char *host = dw_endpoint_arg(args, "host", 0);
    long port = 0;
    if (host == NULL || host[0] == '\0' || strlen(host) > DW_NAME_MAX) {
        return dw_endpoint_args_fail(args, "the host is missing, or longer than %d characters",
                                     DW_NAME_MAX);
    }
    int given = dw_endpoint_arg_number(args, "port", 1, 1, UINT16_MAX, &port);
    if (given <= 0) {
        return given < 0 ? given : dw_endpoint_args_fail(args, "the port is missing");
    }
    *out = dw_host_endpoint_new(reactor, &(dw_host_options){.host = host, .port = (uint16_t)port});
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

static int parse_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    long port = 0;
    int given = dw_endpoint_arg_number(args, "port", 0, 0, UINT16_MAX, &port);
    if (given <= 0) {
        return given < 0 ? given : dw_endpoint_args_fail(args, "the port is missing");
    }
    *out = dw_tcp_server_endpoint_new(reactor, (uint16_t)port, NULL, 0);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

const dw_endpoint_type sim_endpoint_type = {"sim", parse_client, parse_server, NULL};
