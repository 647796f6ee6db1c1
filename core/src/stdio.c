/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as one transport: two pipes, each a stream with a protocol of core's
 * own, as those to children are, and before them a table of verbs that sends each verb to the one
 * it is for. Called through that table from verbs.c, and by the streams.
 *
 * Invariant: a half that has ended has no transport; the program's connection_lost runs once, from
 * `end`, inside the connection_lost of a half; the console goes when both halves are destroyed.
 */
#include "drywire/stdio.h"

#include "internal.h"

enum { IN, OUT, HALVES };

typedef struct half {
    dw_protocol protocol;
    dw_transport *transport; /* NULL: it has ended */
    bool there;              /* it has not been destroyed */
} half;

typedef struct console {
    struct dw_transport_head head; /* first: as every transport begins */
    dw_reactor *reactor;
    dw_protocol *protocol;
    half halves[HALVES];
    dw_stdio_files files;
    bool ends_output; /* the program has asked for the end of the output */
    bool disconnecting, aborted, lost;
} console;

static console *console_of(const dw_transport *t) {
    return (console *)(uintptr_t)t;
}

/* ---- The end ---- */

static void end_half(console *c, int i) {
    c->halves[i].transport = NULL;
    c->reactor->wire->stdio_end(c->reactor, &c->files, i == IN ? DW_READABLE : DW_WRITABLE);
}

/* Called when at least one half has just ended. The other one ends inside. */
static void end(console *c, const dw_reason *reason) {
    dw_protocol *protocol = c->protocol;
    c->lost = true;
    for (int i = 0; i < HALVES; i++) {
        if (c->halves[i].transport != NULL) {
            dw_stream_lost(c->halves[i].transport, reason->kind, reason->sys_errno, reason->text);
        }
    }
    protocol->connected = false;
    if (protocol->cls->connection_lost != NULL) {
        protocol->cls->connection_lost(protocol, reason);
    }
    protocol->transport = NULL;
    if (protocol->cls->destroy == NULL) {
        c->protocol = NULL; /* its owner may free it from now on */
    }
}

static void end_well(console *c) {
    static const dw_reason done = {DW_CONNECTION_DONE, 0, NULL};
    end(c, &done);
}

static void half_destroyed(console *c, int i) {
    dw_protocol *protocol = c->protocol;
    c->halves[i].there = false;
    if (c->halves[i].transport != NULL) {
        end_half(c, i); /* the reactor's end, which tells nobody */
    }
    if (c->halves[IN].there || c->halves[OUT].there) {
        return;
    }
    if (protocol != NULL) {
        protocol->connected = false;
        protocol->transport = NULL;
    }
    dw_free(c->reactor, c);
    if (protocol != NULL && protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
}

/* ---- The input ---- */

static console *console_of_in(dw_protocol *p) {
    return DW_CONTAINER_OF(p, console, halves[IN].protocol);
}

static void in_data(dw_protocol *p, const uint8_t *data, size_t len) {
    console *c = console_of_in(p);
    if (!c->disconnecting && !c->aborted && c->protocol->cls->data_received != NULL) {
        c->protocol->cls->data_received(c->protocol, data, len);
    }
}

static bool is_aware(const dw_protocol *protocol) {
    return protocol->cls->read_connection_lost != NULL ||
           protocol->cls->write_connection_lost != NULL;
}

/* After a half close was told: nothing is left to go on with. */
static void end_if_both(console *c) {
    if (!c->lost && c->halves[IN].transport == NULL && c->halves[OUT].transport == NULL) {
        end_well(c);
    }
}

static void in_lost(dw_protocol *p, const dw_reason *reason) {
    console *c = console_of_in(p);
    end_half(c, IN);
    if (c->lost) {
        return;
    }
    if (reason->kind != DW_CONNECTION_DONE || c->disconnecting || !is_aware(c->protocol)) {
        end(c, reason);
        return;
    }
    if (c->protocol->cls->read_connection_lost != NULL) {
        c->protocol->cls->read_connection_lost(c->protocol);
    }
    end_if_both(c);
}

static void in_destroyed(dw_protocol *p) {
    half_destroyed(console_of_in(p), IN);
}

static const dw_protocol_class in_class = {.name = "standard input",
                                           .data_received = in_data,
                                           .connection_lost = in_lost,
                                           .destroy = in_destroyed};

/* ---- The output ---- */

static console *console_of_out(dw_protocol *p) {
    return DW_CONTAINER_OF(p, console, halves[OUT].protocol);
}

/* A pipe whose last reader is gone is at its end, see dw_wire's spawn. */
static void out_lost(dw_protocol *p, const dw_reason *reason) {
    static const dw_reason deserted = {DW_CONNECTION_LOST, EPIPE, NULL};
    console *c = console_of_out(p);
    end_half(c, OUT);
    if (c->lost) {
        return;
    }
    if (reason->kind != DW_CONNECTION_DONE) {
        end(c, reason);
    } else if (!c->ends_output) {
        end(c, &deserted);
    } else if (c->disconnecting) {
        end(c, reason);
    } else {
        if (c->protocol->cls->write_connection_lost != NULL) {
            c->protocol->cls->write_connection_lost(c->protocol);
        }
        end_if_both(c);
    }
}

static void out_destroyed(dw_protocol *p) {
    half_destroyed(console_of_out(p), OUT);
}

static const dw_protocol_class out_class = {
    .name = "standard output", .connection_lost = out_lost, .destroy = out_destroyed};

/* ---- Verbs ---- */

/* NULL, with which the stream's verbs do what is right for one that is gone. */
static dw_transport *in_of(const dw_transport *t) {
    return console_of(t)->halves[IN].transport;
}

static dw_transport *out_of(const dw_transport *t) {
    return console_of(t)->halves[OUT].transport;
}

static void console_write(dw_transport *t, const void *data, size_t len) {
    if (!console_of(t)->aborted && out_of(t) != NULL) {
        dw_stream_verbs.write(out_of(t), data, len);
    }
}

static void console_writev(dw_transport *t, const struct iovec *pieces, size_t count) {
    if (!console_of(t)->aborted) {
        dw_stream_verbs.writev(out_of(t), pieces, count);
    }
}

static void end_output(console *c) {
    c->ends_output = true;
    dw_stream_verbs.lose_connection(c->halves[OUT].transport);
}

static void console_lose_connection(dw_transport *t) {
    console *c = console_of(t);
    if (c->lost || c->disconnecting || c->aborted) {
        return;
    }
    c->disconnecting = true;
    dw_stream_verbs.pause_producing(in_of(t));
    if (out_of(t) != NULL) {
        end_output(c);
    } else if (in_of(t) != NULL) {
        dw_stream_abort_later(in_of(t), DW_CONNECTION_DONE);
    }
}

static void console_lose_write_connection(dw_transport *t) {
    if (!console_of(t)->aborted) {
        end_output(console_of(t));
    }
}

/* By one of the halves; the other's output does not leave any more either. */
static dw_transport *drop_output(console *c) {
    dw_transport *in = c->halves[IN].transport, *out = c->halves[OUT].transport;
    if (in != NULL && out != NULL) {
        dw_stream_drop_output(out);
    }
    return in != NULL ? in : out;
}

static void console_abort_connection(dw_transport *t) {
    console *c = console_of(t);
    if (!c->lost && !c->aborted) {
        c->aborted = true;
        dw_transport *one = drop_output(c);
        if (one != NULL) {
            dw_stream_abort_later(one, DW_CONNECTION_ABORTED);
        }
    }
}

static void console_fail(dw_transport *t, const dw_reason *reason) {
    console *c = console_of(t);
    if (!c->lost && !c->aborted) {
        c->aborted = true;
        dw_stream_verbs.fail(drop_output(c), reason);
    }
}

static void console_pause_producing(dw_transport *t) {
    dw_stream_verbs.pause_producing(in_of(t));
}

static void console_resume_producing(dw_transport *t) {
    if (!console_of(t)->disconnecting) {
        dw_stream_verbs.resume_producing(in_of(t));
    }
}

static int console_register_producer(dw_transport *t, dw_producer *producer, bool streaming) {
    return dw_stream_verbs.register_producer(out_of(t), producer, streaming);
}

static void console_unregister_producer(dw_transport *t) {
    dw_stream_verbs.unregister_producer(out_of(t));
}

static int console_set_write_limits(dw_transport *t, size_t low, size_t high) {
    return dw_stream_verbs.set_write_limits(out_of(t), low, high);
}

static size_t console_buffered(const dw_transport *t) {
    return stream_buffered(out_of(t));
}

static dw_address console_peer(const dw_transport *t) {
    (void)t;
    return (dw_address){0};
}

static dw_address console_host(dw_transport *t) {
    return console_peer(t);
}

static bool console_connected(const dw_transport *t) {
    return !console_of(t)->lost;
}

static bool console_disconnecting(const dw_transport *t) {
    return console_of(t)->disconnecting;
}

static bool console_disconnected(const dw_transport *t) {
    return console_of(t)->lost;
}

static dw_reactor *console_reactor(const dw_transport *t) {
    return console_of(t)->reactor;
}

static bool console_get_option(dw_transport *t, dw_socket_option option) {
    (void)t;
    (void)option;
    return false;
}

static int console_set_option(dw_transport *t, dw_socket_option option, bool on) {
    (void)option;
    (void)on;
    return console_of(t)->lost ? DW_NOT_CONNECTED : DW_UNSUPPORTED;
}

static int console_send_file_descriptor(dw_transport *t, int fd) {
    (void)fd;
    return console_of(t)->lost ? DW_NOT_CONNECTED : DW_UNSUPPORTED;
}

static int console_handle(const dw_transport *t) {
    (void)t;
    return -1; /* there are two */
}

static const struct dw_transport_verbs console_verbs = {
    .write = console_write,
    .writev = console_writev,
    .lose_connection = console_lose_connection,
    .abort_connection = console_abort_connection,
    .lose_write_connection = console_lose_write_connection,
    .fail = console_fail,
    .pause_producing = console_pause_producing,
    .resume_producing = console_resume_producing,
    .register_producer = console_register_producer,
    .unregister_producer = console_unregister_producer,
    .set_write_limits = console_set_write_limits,
    .buffered = console_buffered,
    .peer = console_peer,
    .host = console_host,
    .connected = console_connected,
    .disconnecting = console_disconnecting,
    .disconnected = console_disconnected,
    .reactor = console_reactor,
    .get_option = console_get_option,
    .set_option = console_set_option,
    .send_file_descriptor = console_send_file_descriptor,
    .handle = console_handle,
};

/* ---- Opening ---- */

static void console_drop(console *c) {
    for (int i = 0; i < HALVES; i++) {
        if (c->halves[i].transport != NULL) {
            dw_stream_free_if_done(c->halves[i].transport);
        }
    }
    dw_free(c->reactor, c);
}

static console *console_new(dw_reactor *reactor, dw_protocol *protocol) {
    static const dw_protocol_class *const classes[HALVES] = {&in_class, &out_class};
    console *c = dw_new(reactor, console);
    if (c == NULL) {
        return NULL;
    }
    c->head.verbs = &console_verbs;
    c->reactor = reactor;
    c->protocol = protocol;
    for (int i = 0; i < HALVES; i++) {
        dw_protocol_init(&c->halves[i].protocol, classes[i]);
        c->halves[i].transport = dw_stream_new(reactor);
        if (c->halves[i].transport == NULL) {
            console_drop(c);
            return NULL;
        }
        c->halves[i].transport->io.kind = DW_IO_PIPE;
    }
    return c;
}

static int open_files(console *c, const dw_stdio_options *options) {
    dw_reactor *reactor = c->reactor;
    c->files.fd[IN] = options->in;
    c->files.fd[OUT] = options->out != 0 ? options->out : 1;
    c->files.close = options->close;
    int error = reactor->wire->stdio_open(reactor, &c->files, &c->halves[IN].transport->io,
                                          &c->halves[OUT].transport->io);
    if (error == -EBADF) {
        return DW_INVALID_ARGUMENT;
    }
    if (error < 0) {
        reactor->last_errno = -error;
        return error == -ENOMEM ? DW_NO_MEMORY : DW_SYSTEM_ERROR;
    }
    return 0;
}

/* Who writes is told by a read that its reader is gone, if it is a pipe; what else it is must not
 * be read: it may be a terminal's or a socket's input. */
static void establish(console *c) {
    for (int i = 0; i < HALVES; i++) {
        c->halves[i].there = true;
        dw_stream_establish_pipe(c->halves[i].transport, &c->halves[i].protocol);
    }
    if (!c->files.out_is_pipe) {
        dw_stream_verbs.pause_producing(c->halves[OUT].transport);
    }
    dw_protocol_make_connection(c->protocol, (dw_transport *)(void *)&c->head);
}

int dw_reactor_open_stdio(dw_reactor *reactor, dw_protocol *protocol,
                          const dw_stdio_options *options) {
    static const dw_stdio_options defaults = {0};
    if (reactor->wire->stdio_open == NULL) {
        return DW_UNSUPPORTED;
    }
    console *c = console_new(reactor, protocol);
    if (c == NULL) {
        return DW_NO_MEMORY;
    }
    int error = open_files(c, options != NULL ? options : &defaults);
    if (error < 0) {
        console_drop(c);
        return error;
    }
    establish(c);
    return 0;
}
