/* SPDX-License-Identifier: MIT */
/*
 * An echo server on the live wire, for benchmarks:
 *
 *     echo_server PORT [--poller=poll|epoll|uring]
 *
 * Waits by epoll, or by poll where there is none, unless told otherwise. Listens on 127.0.0.1, says
 * `listening on PORT` when clients may come, and runs until SIGTERM or SIGINT. Exit status: 0 ended
 * by a signal, 1 could not serve, 2 wrong usage. Its interface stays as it is, for other programs
 * call it.
 */
#include "drywire/backend.h"
#include "drywire/real.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { EXIT_SERVED = 0, EXIT_CANNOT = 1, EXIT_USAGE = 2 };

/* A load test opens its connections all at once. */
#define BACKLOG 1024

struct echo_factory {
    dw_factory base;
    dw_reactor *reactor;
};

/* What fits in one segment is never held back (RFC 9293, section 3.7.4); the last part of what does
 * not might be, once. */
#define SEGMENT_LEAST 536

struct echo {
    dw_protocol base;
    bool no_delay;
};

DW_SELDOM static void echo_large(struct echo *echo, const uint8_t *data, size_t len) {
    if (!echo->no_delay) {
        echo->no_delay = true;
        (void)dw_transport_set_no_delay(echo->base.transport, true);
    }
    dw_transport_write(echo->base.transport, data, len);
}

static void echo_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    if (len > SEGMENT_LEAST) {
        echo_large((struct echo *)protocol, data, len);
    } else {
        dw_transport_write(protocol->transport, data, len);
    }
}

static void echo_destroy(dw_protocol *protocol) {
    dw_free(((struct echo_factory *)protocol->factory)->reactor, protocol);
}

static const dw_protocol_class echo_class = {
    .name = "echo",
    .data_received = echo_received,
    .destroy = echo_destroy,
};

static dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    struct echo *echo = dw_alloc(((struct echo_factory *)factory)->reactor, sizeof(*echo));
    if (echo == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&echo->base, &echo_class);
    echo->no_delay = false;
    return &echo->base;
}

static const dw_factory_class echo_factory_class = {
    .name = "echo",
    .build_protocol = echo_build,
};

#define USAGE "usage: echo_server PORT [--poller=poll|epoll|uring]"

static int usage(const char *why, const char *what) {
    fprintf(stderr, "echo_server: %s '%s'; " USAGE "\n", why, what);
    return EXIT_USAGE;
}

/* Reads 0 to 65535, digits only. */
static bool read_port(const char *text, uint16_t *out) {
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len) {
        return false;
    }
    long port = strtol(text, NULL, 10);
    if (port > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

/* Returns EXIT_SERVED, or the status to end with. */
static int read_arguments(int argc, char **argv, uint16_t *port, const char **poller) {
    static const char option[] = "--poller=";
    const char *port_text = NULL;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], option, sizeof(option) - 1) == 0) {
            *poller = argv[i] + sizeof(option) - 1;
        } else if (argv[i][0] == '-') {
            return usage("unknown option", argv[i]);
        } else if (port_text != NULL) {
            return usage("one argument too many:", argv[i]);
        } else {
            port_text = argv[i];
        }
    }
    if (port_text == NULL) {
        fprintf(stderr, "echo_server: no port; " USAGE "\n");
        return EXIT_USAGE;
    }
    return read_port(port_text, port) ? EXIT_SERVED : usage("not a port number:", port_text);
}

/* As many connections as the system lets one have. */
static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int serve(dw_reactor *reactor, uint16_t number) {
    struct echo_factory factory = {.reactor = reactor};
    dw_factory_init(&factory.base, &echo_factory_class);
    dw_port *port;
    int error = dw_reactor_listen_tcp(reactor, number, &factory.base, BACKLOG, "127.0.0.1", &port);
    if (error != 0) {
        fprintf(stderr, "echo_server: cannot listen on 127.0.0.1 port %u: %s\n", (unsigned)number,
                error == DW_CANNOT_LISTEN ? strerror(dw_reactor_errno(reactor))
                                          : dw_strerror(error));
        return EXIT_CANNOT;
    }
    printf("listening on %u\n", (unsigned)dw_port_host(port).port);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "echo_server: cannot write to standard output: %s\n", strerror(errno));
        return EXIT_CANNOT;
    }
    error = dw_reactor_run(reactor);
    if (error != 0) {
        fprintf(stderr, "echo_server: %s: %s\n", dw_strerror(error),
                strerror(dw_reactor_errno(reactor)));
        return EXIT_CANNOT;
    }
    return EXIT_SERVED;
}

int main(int argc, char **argv) {
    uint16_t number = 0;
    const char *poller = NULL;
    int status = read_arguments(argc, argv, &number, &poller);
    if (status != EXIT_SERVED) {
        return status;
    }
    dw_reactor *reactor = dw_live_reactor_new(poller, NULL);
    if (reactor == NULL && errno == EINVAL && poller != NULL) {
        return usage("no such poller:", poller);
    }
    if (reactor == NULL) {
        fprintf(stderr, "echo_server: cannot make a reactor: %s\n", strerror(errno));
        return EXIT_CANNOT;
    }
    raise_limit();
    status = serve(reactor, number);
    dw_reactor_free(reactor);
    return status;
}
