/* SPDX-License-Identifier: MIT */
/*
 * Child processes on the dry wire: pipes in a host's kernel (pipe.c), scripts that run as processes
 * on it (script.c), and the slots of the wire that start, signal and forget them (process.c).
 *
 * A process is the machine's, not the program's: it outlives a kill of the program, not a loss of
 * power. Nothing here runs inside a slot of the wire but moving bytes; the rest is events.
 */
#ifndef DRYWIRE_SIM_PROCESS_H
#define DRYWIRE_SIM_PROCESS_H

#include "drywire/script.h"
#include "host.h"
#include "segment.h"

/* What passes between two processes takes a change of context. */
#define PROCESS_TIME DW_USEC(20)
/* From spawn to the program's first instruction: fork and exec. */
#define PROCESS_START_TIME DW_MSEC(1)
enum { FIRST_PID = 1000 };
/* pipe(7): "Since Linux 2.6.11, the pipe capacity is 16 pages". */
enum { PIPE_CAPACITY = 65536 };

/* Bytes on their way, in order. */
typedef struct sim_bytes {
    sim_segment *head, *tail;
    size_t len;
} sim_bytes;

void sim_bytes_add(dw_world *world, sim_bytes *bytes, const void *data, size_t len);
/* Takes up to `max` bytes out; returns how many. */
size_t sim_bytes_take(dw_world *world, sim_bytes *bytes, void *out, size_t max);
void sim_bytes_drop(dw_world *world, sim_bytes *bytes);

typedef struct sim_pipe sim_pipe;
struct sim_pipe {
    sim_event ready; /* EV_PIPE: the program's end has something to report */
    dw_host *host;
    sim_pipe *next; /* of the host's */
    dw_io *io;      /* the program's, while it wants something */
    sim_bytes bytes;
    uint32_t holders; /* processes that have the other end */
    bool to_child;
    bool open; /* the program's end */
};

sim_pipe *sim_pipe_new(dw_host *host, bool to_child);
/* Something may be ready for the program: see to it soon. */
void sim_pipe_poke(sim_pipe *pipe);
void sim_pipe_dispatch(sim_pipe *pipe);
static inline size_t pipe_room(const sim_pipe *pipe) {
    return PIPE_CAPACITY - pipe->bytes.len;
}
/* A process lets go of its end. */
void sim_pipe_release(sim_pipe *pipe);
/* The program lets go of its end. */
void sim_pipe_close(sim_pipe *pipe);

/* The slots for DW_IO_PIPE. */
ssize_t sim_pipe_recv(dw_io *io, const uint8_t **data);
ssize_t sim_pipe_send(dw_io *io, const struct iovec *pieces, int count);
void sim_pipe_watch(dw_io *io);

/* A process's descriptor. */
typedef struct sim_fd {
    int fd;
    sim_pipe *pipe; /* NULL: inherited from the program, or closed */
    bool open, reading;
    bool closing;  /* as soon as `out` is written */
    bool ended;    /* the end of its input was told */
    sim_bytes out; /* written, and no room for it yet */
} sim_fd;

typedef enum sim_life { LIFE_STARTING, LIFE_RUNNING, LIFE_EXITING, LIFE_OVER } sim_life;

struct dw_script {
    sim_event run;   /* EV_SCRIPT: has something to do */
    sim_event sleep; /* EV_SCRIPT_SLEEP */
    sim_event exit;  /* EV_SCRIPT_EXIT: its parent is to hear of its end */
    dw_host *host;
    dw_script *next; /* of the host's: scripts, or zombies, which have ended and wait to be told */
    const dw_script_class *cls; /* NULL: a program that could not be run */
    void *user, *state;
    dw_child *child; /* NULL: nobody waits for it */
    const char **argv, **env;
    sim_fd *fds;
    size_t fd_count;
    uint64_t signals; /* pending; bit per number */
    pid_t pid;
    sim_life life;
    int status; /* as wait(2) has it, from LIFE_EXITING on */
    bool stopped, woken;
    bool left; /* its parent has ended in good order, and left it behind */
};

/* Makes a process that starts soon, with no descriptors yet but room for `fd_count`. */
dw_script *sim_script_new(dw_host *host, const dw_script_class *cls, void *user, size_t fd_count);
/* It may have something to do: see to it soon. */
void sim_script_poke(dw_script *script, dw_time delay);
void sim_script_run(dw_script *script);
void sim_script_sleep_over(dw_script *script);
void sim_script_exit_event(dw_script *script);
/* Nobody waits for it any more. */
void sim_script_forget(dw_script *script);

/* Something has changed at the program's end of a pipe. */
void sim_processes_poke(const sim_pipe *pipe);
/* The host's program has ended, and its machine with it if `dark`. */
void sim_processes_end(dw_host *host, bool dark);
/* The host's stall, which was to last until then, is over. */
void sim_processes_wake(dw_host *host, dw_time until);

/* The slots. */
int sim_spawn(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn);
int sim_kill(dw_reactor *reactor, dw_child *child, int signal_number);
void sim_forget(dw_reactor *reactor, dw_child *child);

#endif
