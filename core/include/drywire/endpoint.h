/* SPDX-License-Identifier: MIT */
/*
 * Endpoints: where to connect or to listen, apart from what is done there (Twisted's
 * IStreamClientEndpoint, IStreamServerEndpoint). A program takes one, or its description as text,
 * from its configuration, and does not care whether it is TCP, a UNIX socket or an inherited
 * descriptor.
 *
 *     dw_client_endpoint *endpoint;
 *     char error[DW_ENDPOINT_ERROR_MAX];
 *     if (dw_client_endpoint_parse(reactor, "tcp:example.org:80:timeout=5", &endpoint, error,
 *                                  sizeof(error)) < 0) { ... }
 *     dw_endpoint_connect(endpoint, &client->connecting, &client->factory, connected, failed,
 * client);
 */
#ifndef DRYWIRE_ENDPOINT_H
#define DRYWIRE_ENDPOINT_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/factory.h"
#include "drywire/resolver.h"

DW_BEGIN_DECLS

typedef struct dw_connecting dw_connecting;
typedef struct dw_client_endpoint dw_client_endpoint;
typedef struct dw_server_endpoint dw_server_endpoint;

/* ---- Connecting ---- */

/* The protocol is connected; its connection_made has returned. */
typedef void (*dw_connected_fn)(dw_connecting *connecting, dw_protocol *protocol);

/* Nothing came of it: a reason as client_connection_failed gets it, or DW_CONNECTING_CANCELLED, or
 * DW_NO_PROTOCOL, or why the connection was lost again inside connection_made. */
typedef void (*dw_connect_failed_fn)(dw_connecting *connecting, const dw_reason *reason);

/* One attempt; embedded by who asks for it. Zero-initialise it before first use. */
struct dw_connecting {
    dw_factory *factory; /* to read for endpoints, as long as they have the attempt */
    void *endpoint_data; /* the endpoint's own, likewise */
    void *user;

    /* The library's. */
    dw_connected_fn on_connected_;
    dw_connect_failed_fn on_failed_;
    dw_client_endpoint *endpoint_; /* NULL: not under way */
    struct dw_list_node node_;
};

/* Connects, with a protocol that factory->build_protocol makes. Then one of the two functions is
 * called, once; never from inside this call; `connecting` is then the caller's again. The
 * connection lives on by itself: of its end only the protocol hears. One endpoint may have many
 * attempts at once. Borrows `factory` until its `stop`, which comes before on_failed. Returns 0,
 * DW_INVALID_ARGUMENT (`connecting` is under way) or DW_NO_MEMORY, or what the endpoint says; then
 * neither function is called. */
int dw_endpoint_connect(dw_client_endpoint *endpoint, dw_connecting *connecting,
                        dw_factory *factory, dw_connected_fn on_connected,
                        dw_connect_failed_fn on_failed, void *user);

/* The same with a protocol that is there already, in memory of the caller's or such as its destroy
 * frees (Twisted's connectProtocol). It is not destroyed when connecting fails. */
int dw_connect_protocol(dw_client_endpoint *endpoint, dw_connecting *connecting,
                        dw_protocol *protocol, dw_connected_fn on_connected,
                        dw_connect_failed_fn on_failed, void *user);

/* Gives the attempt up: on_failed(DW_CONNECTING_CANCELLED) is called before this returns (as a
 * Deferred that is cancelled fails at once). Does nothing when it is over. */
void dw_connecting_cancel(dw_connecting *connecting);

bool dw_connecting_active(const dw_connecting *connecting);

/* Frees an endpoint, whoever made it, once its attempts are over. Before its reactor is freed.
 * NULL is fine. */
void dw_client_endpoint_free(dw_client_endpoint *endpoint);

/* ---- Listening ---- */

/* Listens; the port is told and stopped as any other (drywire/port.h). `out` may be NULL. Returns
 * what dw_reactor_listen_tcp does. */
int dw_endpoint_listen(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out);

/* Ports live on. Before its reactor is freed. NULL is fine. */
void dw_server_endpoint_free(dw_server_endpoint *endpoint);

/* ---- The library's endpoints ---- */

/* RFC 8305, section 8. */
#define DW_RESOLUTION_DELAY             DW_MSEC(50)  /* how long IPv4 waits for IPv6's addresses */
#define DW_CONNECTION_ATTEMPT_DELAY     DW_MSEC(250) /* between the starts of two attempts */
#define DW_CONNECTION_ATTEMPT_DELAY_MIN DW_MSEC(10)

/* Addresses of each family that are tried; the rest are left out. */
#define DW_HOST_ADDRESSES_MAX 8

typedef struct dw_host_options {
    const char *host;         /* copied: a name, or a literal */
    uint16_t port;            /* required, as the host is */
    dw_family family;         /* default: both */
    const dw_address *bind;   /* copied: the local address, which also decides the family */
    dw_time timeout;          /* of the whole; 0: DW_CONNECT_TIMEOUT_DEFAULT, negative: none */
    dw_time attempt_delay;    /* 0: DW_CONNECTION_ATTEMPT_DELAY */
    dw_time resolution_delay; /* 0: DW_RESOLUTION_DELAY; negative: none */
} dw_host_options;

/* Returns a new endpoint that connects to a host by Happy Eyeballs (RFC 8305; Twisted's
 * HostnameEndpoint): both families are looked up at once, their addresses tried in turns, IPv6
 * first, a new one each attempt_delay or as soon as one has failed; the first connection wins, the
 * others are cancelled. When all fail, the most telling reason is reported: the answer of a peer
 * before silence, silence before having no route. NULL without memory, or when host or port are
 * missing, the host is longer than DW_NAME_MAX, the delay below its minimum, or bind of another
 * family. */
dw_client_endpoint *dw_host_endpoint_new(dw_reactor *reactor, const dw_host_options *options);

/* Return a new endpoint for the UNIX socket `path` (copied; dw_address_unix); NULL without memory
 * or when it is no such path. `timeout` and the others as for the functions of drywire/reactor.h.
 */
dw_client_endpoint *dw_unix_endpoint_new(dw_reactor *reactor, const char *path, dw_time timeout);
dw_server_endpoint *dw_unix_server_endpoint_new(dw_reactor *reactor, const char *path,
                                                unsigned mode, int backlog);

/* Return a new endpoint, or NULL without memory. `interface` is copied, may be NULL. `fd` stays the
 * program's, which keeps it open as long as the endpoint is used. */
dw_server_endpoint *dw_tcp_server_endpoint_new(dw_reactor *reactor, uint16_t port,
                                               const char *interface, int backlog);
dw_server_endpoint *dw_fd_server_endpoint_new(dw_reactor *reactor, int fd);

/* ---- Descriptions ----
 *
 * A prefix, then arguments, all with ':' in between. An argument is a value at its position, or
 * name=value; a backslash takes the next character as it is. As Twisted's clientFromString and
 * serverFromString, but for stricter numbers, and a complaint about what is given twice.
 *
 *     client  tcp:HOST:PORT[:timeout=SECONDS][:bindAddress=LITERAL]      also host=, port=
 *             tcp6:HOST:PORT...             IPv6 alone
 *             unix:PATH[:timeout=SECONDS]   also path=
 *     server  tcp:PORT[:interface=LITERAL][:backlog=NUMBER]
 *             tcp6:PORT[:backlog=NUMBER][:interface=LITERAL]
 *             unix:PATH[:mode=OCTAL][:backlog=NUMBER]                    also address=
 *             fd:NUMBER                     a listening socket that the process was given; also
 *                                           fd=. No client has it, for a connected one is no place
 *                                           to connect to again: dw_reactor_adopt_stream_connection
 *             systemd:index=NUMBER, systemd:name=NAME    one of those that the service manager gave
 *                                           (sd_listen_fds(3)), from 0; Twisted's domain= is read
 *                                           and has no effect
 *             haproxy:ENDPOINT              PROXY headers in front of what another one accepts, as
 *                                           haproxy:tcp:80 (drywire/haproxy.h)
 *             stdio:                        standard input and output (drywire/stdio.h)
 *
 * A wire may have more, such as the dry wire's sim:HOST:PORT and sim:PORT. */

/* Long enough for any message of the parser. */
#define DW_ENDPOINT_ERROR_MAX 200

/* Read a description; `*out` gets a new endpoint. Return 0, DW_NO_MEMORY or DW_INVALID_ARGUMENT;
 * then `error` (may be NULL) gets a sentence for people about what is wrong with it. */
int dw_client_endpoint_parse(dw_reactor *reactor, const char *description, dw_client_endpoint **out,
                             char *error, size_t error_size);
int dw_server_endpoint_parse(dw_reactor *reactor, const char *description, dw_server_endpoint **out,
                             char *error, size_t error_size);

/* Writes `argument` into `buffer`, cut to `size`, so that it stands for itself in a description:
 * with a backslash before each backslash, ':' and '='. Returns the length of the whole without the
 * final NUL, as snprintf does. */
size_t dw_endpoint_quote(const char *argument, char *buffer, size_t size);

/* ---- Endpoints of one's own ---- */

typedef struct dw_client_endpoint_class {
    const char *name; /* required */

    /* Starts an attempt for connecting->factory, to be ended by dw_connecting_connected or
     * dw_connecting_failed, not from inside this. The connection that comes of it counts as a use
     * of the factory (dw_factory_do_start, _do_stop); a connector does that by itself. 0 or a
     * negative dw_error: it did not start. */
    int (*connect)(dw_client_endpoint *endpoint, dw_connecting *connecting);

    /* Forget the attempt; on_failed is called by the caller of this. Required. */
    void (*cancel)(dw_client_endpoint *endpoint, dw_connecting *connecting);

    /* Nobody uses it any more: the place to free it. May be NULL. */
    void (*destroy)(dw_client_endpoint *endpoint);
} dw_client_endpoint_class;

/* To be embedded first. */
struct dw_client_endpoint {
    const dw_client_endpoint_class *cls;
    dw_reactor *reactor;
    unsigned uses_; /* attempts under way, and the owner */
};

void dw_client_endpoint_init(dw_client_endpoint *endpoint, const dw_client_endpoint_class *cls,
                             dw_reactor *reactor);

/* The end of an attempt: connection_made of `protocol` has returned / nothing came of it. */
void dw_connecting_connected(dw_connecting *connecting, dw_protocol *protocol);
void dw_connecting_failed(dw_connecting *connecting, const dw_reason *reason);

typedef struct dw_server_endpoint_class {
    const char *name; /* required */
    int (*listen)(dw_server_endpoint *endpoint, dw_factory *factory, dw_port **out);
    void (*destroy)(dw_server_endpoint *endpoint); /* the place to free it; may be NULL */
} dw_server_endpoint_class;

/* To be embedded first. */
struct dw_server_endpoint {
    const dw_server_endpoint_class *cls;
    dw_reactor *reactor;
};

/* The arguments of a description, while it is parsed. */
typedef struct dw_endpoint_args dw_endpoint_args;

/* The argument called `name`, or else the one at `position` (from 0; -1: has none); NULL: it was
 * not given. Lives until the parse function returns. */
const char *dw_endpoint_arg(dw_endpoint_args *args, const char *name, int position);

/* The same as a decimal number within [least, most]. Returns 1 and sets *out; 0: it was not given;
 * or dw_endpoint_args_fail's result. */
int dw_endpoint_arg_number(dw_endpoint_args *args, const char *name, int position, long least,
                           long most, long *out);

/* Says what is wrong, the first time it is called; returns DW_INVALID_ARGUMENT. */
int dw_endpoint_args_fail(dw_endpoint_args *args, const char *format, ...) DW_PRINTF(2, 3);

/* A prefix. A parse function sets *out to a new endpoint and returns 0, or a negative dw_error;
 * arguments that it did not ask for are complained about by the library. NULL: no such endpoint. */
typedef struct dw_endpoint_type {
    const char *prefix; /* compared without regard to case */
    int (*parse_client)(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out);
    int (*parse_server)(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out);
    const struct dw_endpoint_type *next; /* the library's */
} dw_endpoint_type;

/* Adds a prefix, which comes before the library's of the same name. Borrows `type` as long as the
 * reactor; each reactor needs one of its own. */
void dw_endpoint_register(dw_reactor *reactor, dw_endpoint_type *type);

DW_END_DECLS

#endif
