/* SPDX-License-Identifier: MIT */
/*
 * A description of an endpoint while it is parsed: its words, which of them were asked for, and
 * what is wrong with it. Between endpoint_string.c and endpoint_types.c.
 */
#ifndef DRYWIRE_CORE_ENDPOINT_ARGS_H
#define DRYWIRE_CORE_ENDPOINT_ARGS_H

#include "attempt.h"

#include <stdarg.h>

enum { DW_ENDPOINT_ARGS_MAX = 17 /* the prefix is one of them */ };

struct dw_endpoint_arg {
    const char *name; /* NULL: known by its place */
    const char *value;
    bool asked;
};

struct dw_endpoint_args {
    struct dw_endpoint_arg all[DW_ENDPOINT_ARGS_MAX];
    unsigned count;
    bool complained;
    char known[DW_ENDPOINT_ERROR_MAX / 2]; /* what was asked for: "host, port" */
    char error[DW_ENDPOINT_ERROR_MAX];
};

/* The parse functions of haproxy:, wrapping_endpoint.c, and stdio:, stdio_endpoint.c. */
int dw_haproxy_parse_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out);
int dw_stdio_parse_server(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out);

/* The digits `text` of the argument `name` as a number; returns as dw_endpoint_arg_number. */
int dw_endpoint_args_number(dw_endpoint_args *args, const char *name, const char *text, int base,
                            long least, long most, long *out);

#endif
