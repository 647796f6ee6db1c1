/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as an endpoint to listen at: the one connection is there at once, and
 * there is no port. Called by endpoint.c, and by the parser of descriptions.
 */
#include "drywire/stdio.h"

#include "endpoint_args.h"

static int stdio_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out) {
    dw_reactor *reactor = endpoint->reactor;
    const dw_address nobody = {0};
    if (reactor->wire->stdio_open == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_protocol *protocol = factory->cls->build_protocol(factory, &nobody);
    if (protocol == NULL || protocol == DW_PROTOCOL_FAILED) {
        return protocol == NULL ? DW_NO_PROTOCOL : DW_NO_MEMORY;
    }
    protocol->factory = factory;
    int error = dw_reactor_open_stdio(reactor, protocol, NULL);
    if (error < 0 && protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
    if (error == 0 && out != NULL) {
        *out = NULL;
    }
    return error;
}

static void stdio_destroy(dw_server_endpoint *endpoint) {
    dw_free(endpoint->reactor, endpoint);
}

static const dw_server_endpoint_class stdio_class = {"stdio", stdio_listen, stdio_destroy};

dw_server_endpoint *dw_stdio_endpoint_new(dw_reactor *reactor) {
    dw_server_endpoint *endpoint = dw_new(reactor, dw_server_endpoint);
    if (endpoint != NULL) {
        *endpoint = (dw_server_endpoint){&stdio_class, reactor};
    }
    return endpoint;
}

/* Twisted's _StandardIOParser; people write "stdio:", which has an empty argument. */
int dw_stdio_parse_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    const char *nothing = dw_endpoint_arg(args, "nothing", 0);
    if (nothing != NULL && nothing[0] != '\0') {
        return dw_endpoint_args_fail(args, "'%s' means nothing behind 'stdio:'", nothing);
    }
    *out = dw_stdio_endpoint_new(reactor);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}
