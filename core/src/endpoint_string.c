/* SPDX-License-Identifier: MIT */
/*
 * Endpoints from text: cutting a description into arguments, finding the type of its prefix, and
 * saying precisely what is wrong with it. The cutting is Twisted's (endpoints.py, _tokenize and
 * _parse), checked against it.
 *
 * Invariant: an argument is complained about unless a parse function asked for it.
 */
#include "drywire/wrapping_endpoint.h"
#include "endpoint_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- Complaints ---- */

int dw_endpoint_args_fail(dw_endpoint_args *args, const char *format, ...) {
    if (!args->complained) {
        args->complained = true;
        va_list list;
        va_start(list, format);
        vsnprintf(args->error, sizeof(args->error), format, list);
        va_end(list);
    }
    return DW_INVALID_ARGUMENT;
}

/* ---- Cutting ---- */

static int add_argument(dw_endpoint_args *args, char *name, char *value) {
    for (unsigned i = 0; name != NULL && i < args->count; i++) {
        if (args->all[i].name != NULL && strcmp(args->all[i].name, name) == 0) {
            return dw_endpoint_args_fail(args, "'%s' is given twice", name);
        }
    }
    if (args->count == DW_ENDPOINT_ARGS_MAX) {
        return dw_endpoint_args_fail(args, "more than %d arguments", DW_ENDPOINT_ARGS_MAX - 1);
    }
    args->all[args->count++] = (struct dw_endpoint_arg){name, value, false};
    return 0;
}

/* Writes the unescaped words over the text they come from, each with a NUL where its end was. In a
 * value '=' is an ordinary character. */
static int cut(dw_endpoint_args *args, char *text) {
    char *name = NULL, *word = text, *out = text;
    for (char *in = text;; in++) {
        char c = *in;
        if (c == '\\') {
            if (*++in == '\0') {
                return dw_endpoint_args_fail(args, "it ends in a backslash with nothing behind it");
            }
            *out++ = *in;
        } else if (c == '=' && name == NULL) {
            *out++ = '\0';
            name = word;
            word = out;
        } else if (c == ':' || c == '\0') {
            *out++ = '\0'; /* out never overtakes in */
            int error = add_argument(args, name, word);
            if (error < 0 || c == '\0') {
                return error;
            }
            name = NULL;
            word = out;
        } else {
            *out++ = c;
        }
    }
}

/* ---- Asking for arguments ---- */

static struct dw_endpoint_arg *find_named(dw_endpoint_args *args, const char *name) {
    for (unsigned i = 1; i < args->count; i++) {
        if (args->all[i].name != NULL && strcmp(args->all[i].name, name) == 0) {
            return &args->all[i];
        }
    }
    return NULL;
}

static struct dw_endpoint_arg *find_at(dw_endpoint_args *args, int position) {
    for (unsigned i = 1; i < args->count && position >= 0; i++) {
        if (args->all[i].name == NULL && position-- == 0) {
            return &args->all[i];
        }
    }
    return NULL;
}

/* Who asks twice asks for the same in two ways, one behind the other. */
static void note_known(dw_endpoint_args *args, const char *name) {
    const char *last = strrchr(args->known, ' ');
    size_t used = strlen(args->known);
    if (strcmp(last != NULL ? last + 1 : args->known, name) != 0) {
        snprintf(args->known + used, sizeof(args->known) - used, "%s%s", used > 0 ? ", " : "",
                 name);
    }
}

const char *dw_endpoint_arg(dw_endpoint_args *args, const char *name, int position) {
    note_known(args, name);
    struct dw_endpoint_arg *named = find_named(args, name), *at = find_at(args, position);
    if (named != NULL && at != NULL) {
        dw_endpoint_args_fail(args, "'%s' is given twice, by its name and by its place", name);
        at->asked = true;
    }
    struct dw_endpoint_arg *found = named != NULL ? named : at;
    if (found == NULL) {
        return NULL;
    }
    found->asked = true;
    return found->value;
}

int dw_endpoint_args_number(dw_endpoint_args *args, const char *name, const char *text, int base,
                            long least, long most, long *out) {
    static const char digits[] = "0123456789";
    char *end;
    size_t len = strspn(text, digits); /* strtol would take white space and a sign */
    errno = 0;
    long value = strtol(text, &end, base);
    if (len == 0 || text[len] != '\0' || *end != '\0') {
        return dw_endpoint_args_fail(args, "'%s' is not %s: '%s'", name,
                                     base == 8 ? "an octal number" : "a number", text);
    }
    if (errno == ERANGE || value < least || value > most) {
        return dw_endpoint_args_fail(args,
                                     base == 8 ? "'%s' is not within %lo and %lo: %s"
                                               : "'%s' is not within %ld and %ld: %s",
                                     name, least, most, text);
    }
    *out = value;
    return 1;
}

int dw_endpoint_arg_number(dw_endpoint_args *args, const char *name, int position, long least,
                           long most, long *out) {
    const char *text = dw_endpoint_arg(args, name, position);
    return text != NULL ? dw_endpoint_args_number(args, name, text, 10, least, most, out) : 0;
}

/* ---- Types ---- */

void dw_endpoint_register(dw_reactor *reactor, dw_endpoint_type *type) {
    type->next = reactor->endpoint_types;
    reactor->endpoint_types = type;
}

enum { TYPE_LISTS = 3 };

/* The program's, the wire's, everybody's. */
static const dw_endpoint_type *type_list(const dw_reactor *reactor, int n) {
    return n == 0   ? reactor->endpoint_types
           : n == 1 ? reactor->wire->endpoint_types
                    : dw_endpoint_types;
}

static bool serves(const dw_endpoint_type *type, bool client) {
    return client ? type->parse_client != NULL : type->parse_server != NULL;
}

static const dw_endpoint_type *find_type(const dw_reactor *reactor, const char *prefix,
                                         bool client) {
    for (int n = 0; n < TYPE_LISTS; n++) {
        for (const dw_endpoint_type *t = type_list(reactor, n); t != NULL; t = t->next) {
            if (strcasecmp(t->prefix, prefix) == 0 && serves(t, client)) {
                return t;
            }
        }
    }
    return NULL;
}

static int unknown_type(const dw_reactor *reactor, dw_endpoint_args *args, const char *prefix,
                        bool client) {
    char known[DW_ENDPOINT_ERROR_MAX] = "";
    size_t used = 0;
    for (int n = 0; n < TYPE_LISTS; n++) {
        for (const dw_endpoint_type *t = type_list(reactor, n); t != NULL; t = t->next) {
            if (serves(t, client) && used < sizeof(known)) {
                used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                         used > 0 ? ", " : "", t->prefix);
            }
        }
    }
    if (find_type(reactor, prefix, !client) != NULL) {
        return dw_endpoint_args_fail(args, "'%s:' is for %s; on the wire '%s' %s have %s", prefix,
                                     client ? "servers" : "clients", reactor->wire->name,
                                     client ? "clients" : "servers", known);
    }
    return dw_endpoint_args_fail(args, "there is no %s endpoint '%s:' on the wire '%s'; it has %s",
                                 client ? "client" : "server", prefix, reactor->wire->name, known);
}

/* ---- A whole description ---- */

static int check_asked(dw_endpoint_args *args) {
    for (unsigned i = 1; i < args->count; i++) {
        const struct dw_endpoint_arg *arg = &args->all[i];
        if (!arg->asked && arg->name != NULL) {
            return dw_endpoint_args_fail(args, "there is no argument '%s'; there are %s", arg->name,
                                         args->known);
        }
        if (!arg->asked) {
            return dw_endpoint_args_fail(args, "one argument too many: '%s'", arg->value);
        }
    }
    return args->complained ? DW_INVALID_ARGUMENT : 0;
}

/* One of the two outputs is set. On an error the endpoint that was made is freed. */
static int parse_with(dw_reactor *reactor, const dw_endpoint_type *type, dw_endpoint_args *args,
                      dw_client_endpoint **client, dw_server_endpoint **server) {
    dw_client_endpoint *made_client = NULL;
    dw_server_endpoint *made_server = NULL;
    int error = client != NULL ? type->parse_client(reactor, args, &made_client)
                               : type->parse_server(reactor, args, &made_server);
    if (error == 0) {
        error = check_asked(args);
    }
    if (error < 0) {
        dw_client_endpoint_free(made_client);
        dw_server_endpoint_free(made_server);
    } else if (client != NULL) {
        *client = made_client;
    } else {
        *server = made_server;
    }
    return error;
}

static int parse_words(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **client,
                       dw_server_endpoint **server) {
    if (args->all[0].name != NULL || args->all[0].value[0] == '\0') {
        return dw_endpoint_args_fail(args, "it does not begin with the type of the endpoint");
    }
    const char *prefix = args->all[0].value;
    const dw_endpoint_type *type = find_type(reactor, prefix, client != NULL);
    if (type == NULL) {
        return unknown_type(reactor, args, prefix, client != NULL);
    }
    return parse_with(reactor, type, args, client, server);
}

/* Words of one description are a description of their own. */
static int parse_rest(dw_reactor *reactor, dw_endpoint_args *args, unsigned first,
                      dw_client_endpoint **client, dw_server_endpoint **server) {
    dw_endpoint_args rest = {.count = 0};
    for (unsigned i = first + 1; i < args->count; i++) {
        args->all[i].asked = true;
        rest.all[rest.count] = args->all[i];
        rest.all[rest.count++].asked = false;
    }
    if (rest.count == 0) {
        return dw_endpoint_args_fail(args, "the endpoint behind '%s:' is missing",
                                     args->all[0].value);
    }
    int error = parse_words(reactor, &rest, client, server);
    return rest.complained ? dw_endpoint_args_fail(args, "%s", rest.error) : error;
}

int dw_endpoint_args_client(dw_reactor *reactor, dw_endpoint_args *args, unsigned first,
                            dw_client_endpoint **out) {
    return parse_rest(reactor, args, first, out, NULL);
}

int dw_endpoint_args_server(dw_reactor *reactor, dw_endpoint_args *args, unsigned first,
                            dw_server_endpoint **out) {
    return parse_rest(reactor, args, first, NULL, out);
}

static int parse(dw_reactor *reactor, const char *description, dw_client_endpoint **client,
                 dw_server_endpoint **server, char *error_text, size_t error_size) {
    dw_endpoint_args args = {.count = 0};
    size_t size = strlen(description) + 1;
    char *text = dw_alloc(reactor, size);
    int error = DW_NO_MEMORY;
    if (text != NULL) {
        memcpy(text, description, size);
        error = cut(&args, text);
        error = error == 0 ? parse_words(reactor, &args, client, server) : error;
    }
    if (error < 0 && error_text != NULL && error_size > 0) {
        snprintf(error_text, error_size, "%s", args.complained ? args.error : dw_strerror(error));
    }
    dw_free(reactor, text);
    return error;
}

int dw_client_endpoint_parse(dw_reactor *reactor, const char *description, dw_client_endpoint **out,
                             char *error, size_t error_size) {
    return parse(reactor, description, out, NULL, error, error_size);
}

int dw_server_endpoint_parse(dw_reactor *reactor, const char *description, dw_server_endpoint **out,
                             char *error, size_t error_size) {
    return parse(reactor, description, NULL, out, error, error_size);
}

size_t dw_endpoint_quote(const char *argument, char *buffer, size_t size) {
    size_t len = 0;
    for (const char *c = argument; *c != '\0'; c++) {
        bool special = *c == '\\' || *c == ':' || *c == '=';
        if (special && len + 1 < size) {
            buffer[len] = '\\';
        }
        len += special;
        if (len + 1 < size) {
            buffer[len] = *c;
        }
        len++;
    }
    if (size > 0) {
        buffer[len < size ? len : size - 1] = '\0';
    }
    return len;
}
