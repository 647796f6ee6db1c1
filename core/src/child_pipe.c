/* SPDX-License-Identifier: MIT */
/*
 * The pipes between a program and its child: what they tell the process protocol, and the verbs
 * that act on them. Each is a transport of stream.c.
 *
 * A pipe that we write to is "readable" when nobody reads it any more, and then has ended; so a
 * child that closes its stdin is noticed though nobody writes (vectors/README.md, "Child
 * processes").
 */
#include "child.h"

static dw_child_pipe *pipe_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, dw_child_pipe, protocol);
}

static void see(const dw_child_pipe *pipe, dw_seen seen, const void *data, size_t len) {
    dw_reactor *reactor = pipe->process->reactor;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, seen, &pipe->transport->io, pipe->fd, data, len);
    }
}

/* ---- Callbacks ---- */

static void tell_data(dw_process_protocol *protocol, int fd, const uint8_t *data, size_t len) {
    const dw_process_protocol_class *cls = protocol->cls;
    if (cls->child_data_received != NULL) {
        cls->child_data_received(protocol, fd, data, len);
    } else if (fd == 1 && cls->out_received != NULL) {
        cls->out_received(protocol, data, len);
    } else if (fd == 2 && cls->err_received != NULL) {
        cls->err_received(protocol, data, len);
    }
}

static void pipe_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_child_pipe *pipe = pipe_of(p);
    dw_process *process = pipe->process;
    see(pipe, DW_SEEN_CHILD_DATA, data, len);
    process->receiving = pipe;
    tell_data(process->protocol, pipe->fd, data, len);
    process->receiving = NULL;
}

static void tell_lost(dw_process_protocol *protocol, int fd) {
    const dw_process_protocol_class *cls = protocol->cls;
    void (*const named[])(dw_process_protocol *) = {
        cls->in_connection_lost, cls->out_connection_lost, cls->err_connection_lost};
    if (cls->child_connection_lost != NULL) {
        cls->child_connection_lost(protocol, fd);
    } else if (fd < 3 && named[fd] != NULL) {
        named[fd](protocol);
    }
}

static void pipe_connection_lost(dw_protocol *p, const dw_reason *reason) {
    dw_child_pipe *pipe = pipe_of(p);
    (void)reason;
    see(pipe, DW_SEEN_CHILD_LOST, NULL, 0);
    pipe->transport = NULL;
    tell_lost(pipe->process->protocol, pipe->fd);
}

/* The last that is heard of a pipe: it is closed, and its transport is freed. */
static void pipe_destroy(dw_protocol *p) {
    dw_child_pipe *pipe = pipe_of(p);
    pipe->transport = NULL;
    pipe->process->open--;
    dw_process_look_at_end(pipe->process);
}

static const dw_protocol_class pipe_class = {.name = "child pipe",
                                             .data_received = pipe_data_received,
                                             .connection_lost = pipe_connection_lost,
                                             .destroy = pipe_destroy};

const char *dw_child_pipe_name(const dw_transport *t) {
    if (t->protocol->cls != &pipe_class) {
        return t->protocol->cls->name; /* standard input or output */
    }
    const dw_child_pipe *pipe = DW_CONTAINER_OF((uintptr_t)t->protocol, dw_child_pipe, protocol);
    return pipe->process->protocol->cls->name;
}

/* ---- Life ---- */

bool dw_child_pipe_init(dw_child_pipe *pipe, dw_process *process, const dw_child_fd *fd) {
    pipe->process = process;
    pipe->fd = fd->fd;
    pipe->ours_to_write = fd->kind == DW_CHILD_READS;
    pipe->transport = dw_stream_new(process->reactor);
    if (pipe->transport == NULL) {
        return false;
    }
    pipe->transport->io.kind = DW_IO_PIPE;
    return true;
}

void dw_child_pipe_open(dw_child_pipe *pipe) {
    dw_protocol_init(&pipe->protocol, &pipe_class);
    pipe->process->open++;
    dw_stream_establish_pipe(pipe->transport, &pipe->protocol);
}

/* The open pipe to the child's descriptor `fd`, or NULL. */
static dw_child_pipe *find(const dw_process *process, int fd) {
    for (size_t i = 0; process != NULL && i < process->pipe_count; i++) {
        const dw_child_pipe *pipe = &process->pipes[i];
        if (pipe->fd == fd && pipe->transport != NULL) {
            return (dw_child_pipe *)(uintptr_t)pipe;
        }
    }
    return NULL;
}

static dw_child_pipe *find_ours(const dw_process *process, int fd) {
    dw_child_pipe *pipe = find(process, fd);
    return pipe != NULL && pipe->ours_to_write ? pipe : NULL;
}

/* ---- Writing ---- */

void dw_process_write_to_child(dw_process *process, int child_fd, const void *data, size_t len) {
    dw_child_pipe *pipe = find_ours(process, child_fd);
    if (pipe != NULL && len > 0) {
        see(pipe, DW_SEEN_CHILD_WRITE, data, len);
        dw_stream_verbs.write(pipe->transport, data, len);
    }
}

void dw_process_write(dw_process *process, const void *data, size_t len) {
    dw_process_write_to_child(process, 0, data, len);
}

size_t dw_process_buffered(const dw_process *process, int child_fd) {
    const dw_child_pipe *pipe = find_ours(process, child_fd);
    return pipe != NULL ? stream_buffered(pipe->transport) : 0;
}

/* Without a stdin the producer is told to stop at once, as by a connection that is gone: that is
 * what the verb does with NULL. */
int dw_process_register_producer(dw_process *process, dw_producer *producer, bool streaming) {
    const dw_child_pipe *pipe = find_ours(process, 0);
    return dw_stream_verbs.register_producer(pipe != NULL ? pipe->transport : NULL, producer,
                                             streaming);
}

void dw_process_unregister_producer(dw_process *process) {
    const dw_child_pipe *pipe = find_ours(process, 0);
    if (pipe != NULL) {
        dw_stream_verbs.unregister_producer(pipe->transport);
    }
}

/* ---- Closing ---- */

/* One that we read goes among the delayed calls, one that we write to when it is flushed, as
 * Twisted's ProcessReader and ProcessWriter. */
void dw_process_close_child(dw_process *process, int child_fd) {
    dw_child_pipe *pipe = find(process, child_fd);
    if (pipe == NULL) {
        return;
    }
    if (pipe->ours_to_write) {
        dw_stream_verbs.lose_connection(pipe->transport);
    } else {
        dw_stream_abort_later(pipe->transport, DW_CONNECTION_DONE);
    }
}

void dw_process_close_stdin(dw_process *process) {
    dw_process_close_child(process, 0);
}

void dw_process_close_stdout(dw_process *process) {
    dw_process_close_child(process, 1);
}

void dw_process_close_stderr(dw_process *process) {
    dw_process_close_child(process, 2);
}

/* Reported as 2, 1, 0. */
void dw_process_lose_connection(dw_process *process) {
    dw_process_close_stdin(process);
    dw_process_close_stderr(process);
    dw_process_close_stdout(process);
}

static void log_failure(dw_process *process, const char *what, const dw_reason *reason) {
    char text[160];
    dw_reactor_log(process->reactor, "%s: %s failed: %s", process->protocol->cls->name, what,
                   dw_reason_format(reason, text, sizeof(text)));
}

void dw_process_fail(dw_process *process, const dw_reason *reason) {
    if (process == NULL) {
        return;
    }
    const dw_child_pipe *pipe = process->receiving;
    log_failure(process, pipe != NULL ? "child_data_received" : "a callback", reason);
    if (pipe != NULL) {
        dw_stream_verbs.fail(pipe->transport, reason);
    }
}

/* ---- Reading ---- */

static void for_all_read(dw_process *process, void (*verb)(dw_transport *transport)) {
    for (size_t i = 0; process != NULL && i < process->pipe_count; i++) {
        const dw_child_pipe *pipe = &process->pipes[i];
        if (pipe->transport != NULL && !pipe->ours_to_write) {
            verb(pipe->transport);
        }
    }
}

void dw_process_pause_producing(dw_process *process) {
    for_all_read(process, dw_stream_verbs.pause_producing);
}

void dw_process_resume_producing(dw_process *process) {
    for_all_read(process, dw_stream_verbs.resume_producing);
}
