/* SPDX-License-Identifier: MIT */
/*
 * The prefixes that every wire has: what their arguments are called and mean. What a wire cannot do
 * (descriptors on the dry one, say) it answers when the endpoint is used.
 *
 * Names and positions are Twisted's: _parseClientTCP, _parseTCP, _TCP6ServerParser, _parseUNIX,
 * _SystemdParser in its endpoints.py.
 */
#include "endpoint_args.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORT_MAX = 65535, BACKLOG_MAX = INT_MAX, SECONDS_MAX = 1000000000 };

/* sd_listen_fds(3): SD_LISTEN_FDS_START. */
enum { SYSTEMD_FIRST = 3 };

/* ---- Arguments that several have ---- */

static int literal_of(dw_endpoint_args *args, const char *name, dw_family family, const char *text,
                      dw_address *out) {
    bool parsed = dw_address_parse(out, text, 0) == 0;
    if (!parsed || (family == DW_FAMILY_IPV6 && out->kind != DW_ADDRESS_IPV6)) {
        return dw_endpoint_args_fail(args, "'%s' is not an %s address: '%s'", name,
                                     family == DW_FAMILY_IPV6 ? "IPv6" : "IP", text);
    }
    return 0;
}

/* Twisted's time-outs are whole seconds. */
static int timeout_of(dw_endpoint_args *args, dw_time *out) {
    long seconds = 0;
    int given = dw_endpoint_arg_number(args, "timeout", -1, 1, SECONDS_MAX, &seconds);
    *out = DW_SEC(seconds);
    return given < 0 ? given : 0;
}

static int backlog_of(dw_endpoint_args *args, int position, int *out) {
    long backlog = 0;
    int given = dw_endpoint_arg_number(args, "backlog", position, 1, BACKLOG_MAX, &backlog);
    *out = (int)backlog;
    return given < 0 ? given : 0;
}

/* ---- tcp, tcp6 ---- */

/* A single argument without a name is the host, unless that has been named. */
static int host_and_port(dw_endpoint_args *args, dw_host_options *options) {
    const char *host = dw_endpoint_arg(args, "host", -1);
    long port;
    bool named = host != NULL;
    host = named ? host : dw_endpoint_arg(args, "host", 0);
    if (host == NULL || host[0] == '\0') {
        return dw_endpoint_args_fail(args, "the host is missing");
    }
    if (strlen(host) > DW_NAME_MAX) {
        return dw_endpoint_args_fail(args, "the host is longer than %d characters", DW_NAME_MAX);
    }
    int given = dw_endpoint_arg_number(args, "port", named ? 0 : 1, 1, PORT_MAX, &port);
    if (given == 0) {
        return dw_endpoint_args_fail(args, "the port is missing");
    }
    options->host = host;
    options->port = (uint16_t)port;
    return given < 0 ? given : 0;
}

static int parse_host(dw_reactor *reactor, dw_endpoint_args *args, dw_family family,
                      dw_client_endpoint **out) {
    dw_host_options options = {.family = family};
    dw_address bind, literal;
    int error = host_and_port(args, &options);
    if (error == 0) {
        error = timeout_of(args, &options.timeout);
    }
    const char *bind_text = dw_endpoint_arg(args, "bindAddress", -1);
    if (error == 0 && bind_text != NULL) {
        error = literal_of(args, "bindAddress", family, bind_text, &bind);
        options.bind = &bind;
    }
    if (error == 0 && family == DW_FAMILY_IPV6 &&
        dw_address_parse(&literal, options.host, 0) == 0) {
        error = literal_of(args, "host", family, options.host, &literal);
    }
    if (error < 0) {
        return error;
    }
    *out = dw_host_endpoint_new(reactor, &options);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

static int tcp_client(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    return parse_host(reactor, args, DW_FAMILY_ANY, out);
}

static int tcp6_client(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    return parse_host(reactor, args, DW_FAMILY_IPV6, out);
}

static int parse_port(dw_reactor *reactor, dw_endpoint_args *args, dw_family family,
                      dw_server_endpoint **out) {
    bool six = family == DW_FAMILY_IPV6;
    long port = 0;
    int backlog = 0;
    dw_address literal;
    int error = dw_endpoint_arg_number(args, "port", 0, 0, PORT_MAX, &port);
    if (error == 0) {
        error = dw_endpoint_args_fail(args, "the port is missing");
    }
    const char *interface = dw_endpoint_arg(args, "interface", six ? 2 : 1);
    if (interface != NULL && interface[0] == '\0') {
        interface = NULL; /* Twisted's default, written out */
    }
    if (error > 0) {
        error = backlog_of(args, six ? 1 : 2, &backlog);
    }
    if (error == 0 && interface != NULL) {
        error = literal_of(args, "interface", family, interface, &literal);
    }
    if (error < 0) {
        return error;
    }
    interface = interface == NULL && six ? "::" : interface;
    *out = dw_tcp_server_endpoint_new(reactor, (uint16_t)port, interface, backlog);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

static int tcp_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    return parse_port(reactor, args, DW_FAMILY_ANY, out);
}

static int tcp6_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    return parse_port(reactor, args, DW_FAMILY_IPV6, out);
}

/* ---- unix ---- */

static int path_of(dw_endpoint_args *args, const char *name, const char **out) {
    dw_address address;
    *out = dw_endpoint_arg(args, name, 0);
    if (*out == NULL || (*out)[0] == '\0') {
        return dw_endpoint_args_fail(args, "the path is missing");
    }
    if (dw_address_unix(&address, *out) < 0) {
        return dw_endpoint_args_fail(args, "the path is longer than %d characters, or no name: %s",
                                     DW_UNIX_PATH_MAX, *out);
    }
    return 0;
}

static int unix_client(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    const char *path;
    dw_time timeout = 0;
    int error = path_of(args, "path", &path);
    if (error == 0) {
        error = timeout_of(args, &timeout);
    }
    if (error < 0) {
        return error;
    }
    *out = dw_unix_endpoint_new(reactor, path, timeout);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

static int unix_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    const char *path, *mode_text;
    long mode = 0;
    int backlog = 0;
    int error = path_of(args, "address", &path);
    mode_text = dw_endpoint_arg(args, "mode", 1);
    if (error == 0 && mode_text != NULL) {
        int read = dw_endpoint_args_number(args, "mode", mode_text, 8, 1, 0777, &mode);
        error = read < 0 ? read : 0;
    }
    if (error == 0) {
        error = backlog_of(args, 2, &backlog);
    }
    if (error < 0) {
        return error;
    }
    *out = dw_unix_server_endpoint_new(reactor, path, (unsigned)mode, backlog);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

/* ---- fd ---- */

static int fd_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    long fd;
    int given = dw_endpoint_arg_number(args, "fd", 0, 0, INT_MAX, &fd);
    if (given <= 0) {
        return given < 0 ? given
                         : dw_endpoint_args_fail(args, "the descriptor's number is missing");
    }
    *out = dw_fd_server_endpoint_new(reactor, (int)fd);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

/* ---- systemd ---- */

static long environment_number(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (text == NULL || *text < '0' || *text > '9') {
        return -1;
    }
    errno = 0;
    long value = strtol(text, &end, 10);
    return *end == '\0' && errno == 0 ? value : -1;
}

/* How many sockets there are for this very process, and not for one that left it its environment.
 */
static long systemd_count(void) {
    long count = environment_number("LISTEN_FDS");
    bool ours = environment_number("LISTEN_PID") == (long)getpid();
    return ours && count > 0 && count <= INT_MAX - SYSTEMD_FIRST ? count : 0;
}

/* The place of `name` in LISTEN_FDNAMES, or -1. Sockets may share a name: the first of them. */
static long systemd_find(const char *name, long count) {
    const char *names = getenv("LISTEN_FDNAMES");
    size_t len = strlen(name);
    for (long i = 0; names != NULL && i < count; i++) {
        size_t part = strcspn(names, ":");
        if (part == len && memcmp(names, name, len) == 0) {
            return i;
        }
        names = names[part] == ':' ? names + part + 1 : NULL;
    }
    return -1;
}

static int systemd_index(dw_endpoint_args *args, long count, long *out) {
    const char *name = dw_endpoint_arg(args, "name", -1);
    int given = dw_endpoint_arg_number(args, "index", 1, 0, INT_MAX, out);
    if (given < 0) {
        return given;
    }
    if ((given > 0) == (name != NULL)) {
        return dw_endpoint_args_fail(args, "it takes either 'index' or 'name'");
    }
    if (count == 0) {
        return dw_endpoint_args_fail(args, "no sockets were handed to this process (LISTEN_PID, "
                                           "LISTEN_FDS)");
    }
    if (name != NULL && (*out = systemd_find(name, count)) < 0) {
        return dw_endpoint_args_fail(args, "no socket called '%s' was handed to this process",
                                     name);
    }
    if (*out >= count) {
        return dw_endpoint_args_fail(args, "no socket %ld: %ld were handed to this process", *out,
                                     count);
    }
    return 0;
}

/* As sd_listen_fds does: children do not inherit them. An error is found when it is listened on. */
static void systemd_keep(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) {
        (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}

static int systemd_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    long index = 0;
    (void)dw_endpoint_arg(args, "domain", 0); /* the socket knows */
    if (reactor->wire->adopt == NULL) {
        return dw_endpoint_args_fail(args, "the wire '%s' takes no descriptors",
                                     reactor->wire->name);
    }
    int error = systemd_index(args, systemd_count(), &index);
    if (error < 0) {
        return error;
    }
    int fd = SYSTEMD_FIRST + (int)index;
    systemd_keep(fd);
    *out = dw_fd_server_endpoint_new(reactor, fd);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

/* ---- The table ---- */

const dw_endpoint_type dw_endpoint_types[] = {
    {"tcp", tcp_client, tcp_server, &dw_endpoint_types[1]},
    {"tcp6", tcp6_client, tcp6_server, &dw_endpoint_types[2]},
    {"unix", unix_client, unix_server, &dw_endpoint_types[3]},
    {"fd", NULL, fd_server, &dw_endpoint_types[4]},
    {"systemd", NULL, systemd_server, &dw_endpoint_types[5]},
    {"haproxy", NULL, dw_haproxy_parse_server, &dw_endpoint_types[6]},
    {"stdio", NULL, dw_stdio_parse_server, NULL},
};
