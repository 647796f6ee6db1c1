/* SPDX-License-Identifier: MIT */
/*
 * What the tests of standard input and output share: a protocol that notes what it is told and
 * reacts, pipes to put below it, and looks at descriptors. Included by test_stdio*.c, each of which
 * runs on every poller, and first, for what it asks of the system's headers.
 */
#ifndef DRYWIRE_TESTS_STDIO_RIG_H
#define DRYWIRE_TESTS_STDIO_RIG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, posix_openpt */
#endif
#include "test_poll_support.h"

#include <fcntl.h>
#include <stdarg.h>

typedef struct console console;
typedef void (*reaction)(console *c);

struct console {
    dw_protocol protocol;
    reaction on_made, on_data, on_read_lost, on_write_lost, on_lost;
    char log[200];
    size_t received;
    int over, destroyed, quiet;
    dw_reason reason;
    dw_producer producer;
};

static dw_reactor *reactor;
static console app;
static int in, out;     /* the program's */
static int feed, drain; /* the other ends */

/* ---- The protocol ---- */

static inline console *console_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, console, protocol);
}

static inline void note(const char *word) {
    size_t used = strlen(app.log);
    snprintf(app.log + used, sizeof(app.log) - used, "%s%s", used > 0 ? " " : "", word);
}

static inline void told(const char *word, reaction react) {
    note(word);
    if (react != NULL) {
        react(&app);
    }
}

static inline void made(dw_protocol *p) {
    told("made", console_of(p)->on_made);
}

static inline void data(dw_protocol *p, const uint8_t *bytes, size_t len) {
    (void)bytes;
    console *c = console_of(p);
    size_t used = strlen(c->log);
    c->received += len;
    if (used < 4 || strcmp(c->log + used - 4, "data") != 0) {
        note("data");
    }
    if (c->on_data != NULL) {
        c->on_data(c);
    }
}

static inline void lost(dw_protocol *p, const dw_reason *reason) {
    console *c = console_of(p);
    char word[50];
    snprintf(word, sizeof(word), "lost:%s", dw_error_name((int)reason->kind) + 3);
    c->reason = *reason;
    c->over++;
    told(word, c->on_lost);
}

static inline void read_lost(dw_protocol *p) {
    told("read-lost", console_of(p)->on_read_lost);
}

static inline void write_lost(dw_protocol *p) {
    told("write-lost", console_of(p)->on_write_lost);
}

static inline void destroyed(dw_protocol *p) {
    console_of(p)->destroyed++;
}

static const dw_protocol_class plain = {.name = "console",
                                        .connection_made = made,
                                        .data_received = data,
                                        .connection_lost = lost,
                                        .destroy = destroyed};
static const dw_protocol_class aware = {.name = "aware console",
                                        .connection_made = made,
                                        .data_received = data,
                                        .connection_lost = lost,
                                        .read_connection_lost = read_lost,
                                        .write_connection_lost = write_lost,
                                        .destroy = destroyed};

static inline void say(console *c, const char *text) {
    dw_transport_write(c->protocol.transport, text, strlen(text));
}

static inline void do_lose(console *c) {
    dw_transport_lose_connection(c->protocol.transport);
}

static inline void do_tail_and_lose(console *c) {
    say(c, "tail");
    do_lose(c);
}

static inline void do_tail_and_lose_write(console *c) {
    say(c, "tail");
    dw_transport_lose_write_connection(c->protocol.transport);
}

static inline void do_answer(console *c) {
    say(c, "hello");
}

static const uint8_t ys[1 << 20];

static inline void do_write_much(console *c) {
    dw_transport_write(c->protocol.transport, ys, sizeof(ys));
}

/* ---- Descriptors ---- */

static inline bool blocks(int fd) {
    int flags = fcntl(fd, F_GETFL);
    ck_assert_int_ge(flags, 0);
    return (flags & O_NONBLOCK) == 0;
}

static inline void begin(const dw_protocol_class *cls) {
    memset(&app, 0, sizeof(app));
    dw_protocol_init(&app.protocol, cls);
    reactor = new_reactor();
}

static inline void two_pipes(void) {
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    in = fds[0];
    feed = fds[1];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    out = fds[1];
    drain = fds[0];
}

static inline void close_all(int first, ...) {
    va_list list;
    va_start(list, first);
    for (int fd = first; fd >= 0; fd = va_arg(list, int)) {
        ck_assert_int_eq(close(fd), 0);
    }
    va_end(list);
}

static inline void end_pipes(void) {
    dw_reactor_free(reactor);
    ck_assert_int_eq(app.destroyed, 1);
    ck_assert(blocks(in) && blocks(out));
    close_all(in, out, -1);
}

static inline int open_stdio(void) {
    return dw_reactor_open_stdio(reactor, &app.protocol, &(dw_stdio_options){.in = in, .out = out});
}

static inline int open_and_close(void) {
    return dw_reactor_open_stdio(reactor, &app.protocol,
                                 &(dw_stdio_options){.in = in, .out = out, .close = true});
}

static inline void put(int fd, const char *text) {
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads what there is, at once, and compares. */
static inline void expect_bytes(int fd, const char *expected) {
    char buffer[100] = "";
    ssize_t n = read(fd, buffer, sizeof(buffer) - 1);
    ck_assert_int_eq(n, (ssize_t)strlen(expected));
    ck_assert_str_eq(buffer, expected);
}

static inline void some_turns(void) {
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(1)), 0);
    }
}

#endif
