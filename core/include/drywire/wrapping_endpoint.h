/* SPDX-License-Identifier: MIT */
/*
 * A wrapping factory put around whatever is used with an endpoint (Twisted's _WrapperEndpoint and
 * _WrapperServerEndpoint): so that a policy, a PROXY header or a layer of encryption can be a
 * matter of where to connect or listen, and the protocols of the program cannot tell. Endpoints
 * stack.
 *
 *     static dw_wrapping_factory *idle(dw_reactor *reactor, dw_factory *wrapped, void *user) {
 *         dw_idle_timeout_factory *factory = dw_new(reactor, dw_idle_timeout_factory);
 *         if (factory == NULL) {
 *             return NULL;
 *         }
 *         dw_idle_timeout_factory_init(factory, reactor, wrapped, DW_SEC(60));
 *         return &factory->base;
 *     }
 *     endpoint = dw_wrapping_server_endpoint_new(
 *         dw_tcp_server_endpoint_new(reactor, 8000, NULL, 0), idle, NULL);
 */
#ifndef DRYWIRE_WRAPPING_ENDPOINT_H
#define DRYWIRE_WRAPPING_ENDPOINT_H

#include "drywire/endpoint.h"
#include "drywire/wrapper.h"

DW_BEGIN_DECLS

/* Makes the wrapping factory for one attempt, or for one port, around `wrapped`, the factory that
 * the endpoint is used with. It begins a block of the reactor's memory (dw_new), which the library
 * frees as soon as neither the attempt, nor the port, nor any wrapper that it has made is left; or
 * NULL: out of memory. It never builds with `wrapped` after the last `stop` of that: connections
 * that have no protocol by then get none. `user` is what was given with the function. */
typedef dw_wrapping_factory *(*dw_wrap_fn)(dw_reactor *reactor, dw_factory *wrapped, void *user);

/* Return a new endpoint, which takes `inner`: freed with it, or at once when this returns NULL
 * (without memory, or because `inner` is NULL: so calls can be nested). `user` must live as long as
 * the endpoint.
 *
 * To who connects, the protocol of its own factory is connected, not the wrapper; its transport is
 * the wrapper's. The factory is started and stopped as it would be without. */
dw_client_endpoint *dw_wrapping_client_endpoint_new(dw_client_endpoint *inner, dw_wrap_fn wrap,
                                                    void *user);
dw_server_endpoint *dw_wrapping_server_endpoint_new(dw_server_endpoint *inner, dw_wrap_fn wrap,
                                                    void *user);

/* The same with a dw_haproxy_factory (drywire/haproxy.h; Twisted's proxyEndpoint); as text it is
 * `haproxy:` in front of the description of `inner`. */
dw_server_endpoint *dw_haproxy_server_endpoint_new(dw_server_endpoint *inner);

/* For the parse function of a prefix of one's own that wraps: reads the arguments from number
 * `first` on (the first behind the prefix is 0; those with names count) as the description of an
 * endpoint, complete with its prefix. They count as asked for. Sets *out and returns 0, or a
 * negative dw_error, which the parse function then returns. */
int dw_endpoint_args_client(dw_reactor *reactor, dw_endpoint_args *args, unsigned first,
                            dw_client_endpoint **out);
int dw_endpoint_args_server(dw_reactor *reactor, dw_endpoint_args *args, unsigned first,
                            dw_server_endpoint **out);

DW_END_DECLS

#endif
