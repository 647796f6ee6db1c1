/* SPDX-License-Identifier: MIT */
/*
 * kv_server PORT: the key-value server on the live wire. The only file here that knows of real
 * sockets. Exit status 0: ended by SIGINT or SIGTERM; 1: it could not run; 2: wrong usage.
 */
#include "server.h"

#include "drywire/real.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct arguments {
    const char *bind;
    uint16_t port;
    kv_server_options options;
} arguments;

static const char usage[] =
    "usage: kv_server [OPTION]... PORT\n"
    "A key-value server that speaks the Redis protocol. PORT 0 takes any free port.\n"
    "  --bind ADDRESS       listen there (default 127.0.0.1; :: is every address)\n"
    "  --idle SECONDS       let clients go that send nothing for so long (default 300; 0: never)\n"
    "  --max-clients N      at most so many clients (default 10000)\n"
    "  --max-memory BYTES   for keys and values (default 0: no limit)\n"
    "  --max-request BYTES  of one request (default 8388608)\n"
    "  --max-unsent BYTES   of replies that one client has not read (default 33554432)\n"
    "  --help               show this\n";

static int wrong(const char *what, const char *word) {
    fprintf(stderr, "kv_server: %s%s%s (kv_server --help tells more)\n", what,
            word != NULL ? ": " : "", word != NULL ? word : "");
    return 2;
}

/* A decimal from 0 to max, and nothing else. */
static bool read_number(const char *text, int64_t max, int64_t *out) {
    int64_t value;
    if (!kv_parse_integer(kv_text(text), &value) || value < 0 || value > max) {
        return false;
    }
    *out = value;
    return true;
}

/* Sets one option. Returns 0, or 2 after a message. */
static int set_option(arguments *args, const char *name, const char *value) {
    int64_t number = 0;
    if (strcmp(name, "--bind") == 0) {
        args->bind = value;
        return 0;
    }
    if (!read_number(value, INT64_C(1) << 40, &number)) {
        fprintf(stderr, "kv_server: %s: not a number: %s\n", name, value);
        return 2;
    }
    if (strcmp(name, "--idle") == 0) {
        number = number > INT32_MAX ? INT32_MAX : number;
        args->options.idle = number == 0 ? -1 : DW_SEC(number);
    } else if (strcmp(name, "--max-clients") == 0) {
        args->options.clients_max = (unsigned)(number > INT32_MAX ? INT32_MAX : number);
    } else if (strcmp(name, "--max-memory") == 0) {
        args->options.memory_max = (size_t)number;
    } else if (strcmp(name, "--max-request") == 0) {
        args->options.limits.request_max = (size_t)number;
    } else {
        args->options.unsent_max = (size_t)number;
    }
    return 0;
}

static bool is_option(const char *name) {
    static const char *const names[] = {"--bind",       "--idle",        "--max-clients",
                                        "--max-memory", "--max-request", "--max-unsent"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_arguments(int argc, char **argv, arguments *args) {
    const char *port = NULL;
    for (int i = 1; i < argc; i++) {
        if (is_option(argv[i])) {
            if (i + 1 == argc) {
                return wrong("a value is missing", argv[i]);
            }
            int error = set_option(args, argv[i], argv[i + 1]);
            if (error != 0) {
                return error;
            }
            i++;
        } else if (argv[i][0] == '-') {
            return wrong("unknown option", argv[i]);
        } else if (port != NULL) {
            return wrong("one port only", argv[i]);
        } else {
            port = argv[i];
        }
    }
    int64_t number = 0;
    if (port == NULL) {
        return wrong("which port?", NULL);
    }
    if (!read_number(port, UINT16_MAX, &number)) {
        return wrong("not a port number from 0 to 65535", port);
    }
    args->port = (uint16_t)number;
    return 0;
}

static int cannot_listen(dw_reactor *reactor, const arguments *args, int error) {
    fprintf(stderr, "kv_server: cannot listen on %s port %" PRIu16 ": %s\n", args->bind, args->port,
            error == DW_CANNOT_LISTEN ? strerror(dw_reactor_errno(reactor)) : dw_strerror(error));
    return 1;
}

static int serve(dw_reactor *reactor, const arguments *args) {
    kv_server *server = kv_server_new(reactor, &args->options);
    if (server == NULL) {
        fprintf(stderr, "kv_server: out of memory\n");
        return 1;
    }
    int error = kv_server_listen(server, args->bind, args->port);
    if (error != 0) {
        kv_server_free(server);
        return cannot_listen(reactor, args, error);
    }
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address address = kv_server_address(server);
    printf("listening on %s\n", dw_address_format(&address, text, sizeof(text)));
    if (fflush(stdout) != 0) {
        perror("kv_server: standard output");
    }
    error = dw_reactor_run(reactor); /* the server frees itself when this ends */
    if (error != 0) {
        fprintf(stderr, "kv_server: %s\n", dw_strerror(error));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    arguments args = {.bind = "127.0.0.1"};
    int status = read_arguments(argc, argv, &args);
    if (status != 0) {
        return status;
    }
    dw_reactor *reactor = dw_live_reactor_new(NULL, NULL);
    if (reactor == NULL) {
        perror("kv_server: cannot make a reactor");
        return 1;
    }
    status = serve(reactor, &args);
    dw_reactor_free(reactor);
    return status;
}
