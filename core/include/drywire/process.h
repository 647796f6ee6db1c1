/* SPDX-License-Identifier: MIT */
/*
 * Child processes (Twisted's IReactorProcess, ProcessProtocol, IProcessTransport). On the live wire
 * a real program is run; on the dry one a script stands in for it (drywire/script.h).
 *
 *     struct job { dw_process_protocol base; };
 *     static void out(dw_process_protocol *p, const uint8_t *data, size_t len) { ... }
 *     static const dw_process_protocol_class job_class = {.name = "job", .out_received = out};
 *
 *     const char *argv[] = {"sort", "-u", NULL};
 *     dw_reactor_spawn_process(reactor, &job->base, &(dw_spawn_options){.argv = argv}, NULL);
 *
 * Order of callbacks (vectors/README.md, "Child processes"): connection_made inside spawn_process;
 * then child_data_received and child_connection_lost per descriptor, and process_exited before,
 * between or after them; process_ended last, when the process has exited and all descriptors are
 * closed; then destroy.
 */
#ifndef DRYWIRE_PROCESS_H
#define DRYWIRE_PROCESS_H

#include "drywire/base.h"
#include "drywire/error.h"
#include "drywire/producer.h"

#include <sys/types.h>

DW_BEGIN_DECLS

typedef struct dw_process_protocol dw_process_protocol;

/* The child, as its protocol sees it. The library makes it and frees it when process_ended has
 * returned. Every verb takes NULL, and a child that is gone, in good part. */
typedef struct dw_process dw_process;

typedef struct dw_process_protocol_class {
    /* Shown in logs and traces. Required. */
    const char *name;

    /* The child has been started; protocol->transport is set. */
    void (*connection_made)(dw_process_protocol *protocol);

    /* The child wrote `len` > 0 bytes to its descriptor `child_fd`. Without it, 1 and 2 go to
     * out_received and err_received. `data` dies when the callback returns. */
    void (*child_data_received)(dw_process_protocol *protocol, int child_fd, const uint8_t *data,
                                size_t len);
    void (*out_received)(dw_process_protocol *protocol, const uint8_t *data, size_t len);
    void (*err_received)(dw_process_protocol *protocol, const uint8_t *data, size_t len);

    /* The pipe to the child's descriptor `child_fd` is closed, from whichever side. Without it, 0,
     * 1 and 2 go to in_, out_ and err_connection_lost. */
    void (*child_connection_lost)(dw_process_protocol *protocol, int child_fd);
    void (*in_connection_lost)(dw_process_protocol *protocol);
    void (*out_connection_lost)(dw_process_protocol *protocol);
    void (*err_connection_lost)(dw_process_protocol *protocol);

    /* The child has exited, its pid is gone; output may still come. `reason` is DW_PROCESS_DONE or
     * DW_PROCESS_TERMINATED, see dw_reason_exit_status and dw_reason_exit_signal. */
    void (*process_exited)(dw_process_protocol *protocol, const dw_reason *reason);

    /* The end: exited, and all descriptors closed. The same reason. */
    void (*process_ended)(dw_process_protocol *protocol, const dw_reason *reason);

    /* The library is done with the protocol: the place to free it. NULL: the owner frees it. */
    void (*destroy)(dw_process_protocol *protocol);
} dw_process_protocol_class;

struct dw_process_protocol {
    const dw_process_protocol_class *cls;
    dw_process *transport; /* NULL before connection_made and after process_ended */
};

/* Prepares a protocol in the caller's memory. Never fails. */
void dw_process_protocol_init(dw_process_protocol *protocol, const dw_process_protocol_class *cls);

/* Gives the protocol its child and calls connection_made; the library does this. */
void dw_process_protocol_make_connection(dw_process_protocol *protocol, dw_process *process);

/* What a descriptor of the child is. */
typedef enum dw_child_fd_kind {
    DW_CHILD_READS,    /* a pipe from us to it (Twisted's "w": we write) */
    DW_CHILD_WRITES,   /* a pipe from it to us (Twisted's "r": we read) */
    DW_CHILD_INHERITS, /* a descriptor of ours, `parent_fd`, as it is */
} dw_child_fd_kind;

typedef struct dw_child_fd {
    int fd; /* the child's number for it */
    dw_child_fd_kind kind;
    int parent_fd; /* with DW_CHILD_INHERITS */
} dw_child_fd;

/* Zero is the default everywhere; argv is required. All is borrowed until spawn_process returns. */
typedef struct dw_spawn_options {
    const char *const *argv; /* NULL-terminated, its own name included */
    /* What to run; NULL: argv[0]. Without a '/', searched in the PATH of the environment that the
     * child gets, or in /bin:/usr/bin if that has none. */
    const char *executable;
    const char *const *env; /* "NAME=value", NULL-terminated; NULL: ours */
    const char *directory;  /* NULL: ours */
    /* The child has these and no others, in any order; NULL: 0 reads, 1 and 2 write. For none at
     * all, any pointer and a count of 0. */
    const dw_child_fd *fds;
    size_t fd_count;
    bool set_ids; /* run as uid and gid, with no further groups */
    uid_t uid;
    gid_t gid;
} dw_spawn_options;

/* Starts a child; connection_made is called before this returns. A program that cannot be run, or a
 * directory that is not there, is no error of this call: the child says so on its descriptor 2 and
 * ends with exit status 1, as in Twisted. It starts with default signal handling and an empty
 * signal mask, and with no descriptors but those asked for. Borrows the protocol until
 * process_ended has returned; not at all after an error. `out`, unless NULL, gets the child.
 * Returns 0, DW_INVALID_ARGUMENT, DW_NO_MEMORY, DW_SYSTEM_ERROR (no process, no pipe;
 * dw_reactor_errno), DW_UNSUPPORTED.
 *
 * When the reactor stops, all pipes are closed, with child_connection_lost, and what was written
 * and not taken is dropped; the child lives on, and its end is told if the reactor runs again. When
 * the reactor is freed, what is left is closed and forgotten without callbacks but destroy. A child
 * that exits after that stays a zombie until the program waits for it or ends (wait(2)). */
int dw_reactor_spawn_process(dw_reactor *reactor, dw_process_protocol *protocol,
                             const dw_spawn_options *options, dw_process **out);

/* Queues bytes for the child's descriptor `child_fd` (dw_process_write: 0), copied. Silently
 * nothing when that is closed or none of ours to write. */
void dw_process_write(dw_process *process, const void *data, size_t len);
void dw_process_write_to_child(dw_process *process, int child_fd, const void *data, size_t len);

/* Bytes written to `child_fd` and not yet taken by the system. */
size_t dw_process_buffered(const dw_process *process, int child_fd);

/* Back-pressure on what is written to 0, as dw_transport_register_producer. Returns 0,
 * DW_PRODUCER_REGISTERED or DW_NO_MEMORY. */
int dw_process_register_producer(dw_process *process, dw_producer *producer, bool streaming);
void dw_process_unregister_producer(dw_process *process);

/* Closes our end of a pipe; of one that we write to, when all that was written is out. Reported by
 * child_connection_lost in a later turn. Twice is harmless. */
void dw_process_close_child(dw_process *process, int child_fd);
void dw_process_close_stdin(dw_process *process);
void dw_process_close_stdout(dw_process *process);
void dw_process_close_stderr(dw_process *process);
/* All three. The child lives on. */
void dw_process_lose_connection(dw_process *process);

/* A callback met a fatal error: what an exception does in Twisted. Inside child_data_received (and
 * out_, err_received) that descriptor is closed, as soon as the callback has returned; the others
 * go on. In any other callback it is only logged. */
void dw_process_fail(dw_process *process, const dw_reason *reason);

/* Stops and starts reading all that the child writes. */
void dw_process_pause_producing(dw_process *process);
void dw_process_resume_producing(dw_process *process);

/* Sends a signal. Returns 0, DW_PROCESS_EXITED_ALREADY, DW_INVALID_ARGUMENT or DW_SYSTEM_ERROR. */
int dw_process_signal(dw_process *process, int signal_number);
/* Twisted's name for it, by name: "KILL", "TERM", "INT", "HUP", ... or "SIGKILL"; all of POSIX. */
int dw_process_signal_process(dw_process *process, const char *signal_name);

/* Its process id, 0 from process_exited on (and for NULL). */
pid_t dw_process_pid(const dw_process *process);
dw_reactor *dw_process_reactor(const dw_process *process);

DW_END_DECLS

#endif
