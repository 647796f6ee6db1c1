/* SPDX-License-Identifier: MIT */
/*
 * A child process in memory, for process.c (its life) and child_pipe.c (its descriptors). A pipe is
 * a stream's transport with a protocol of core's own, which turns the stream's callbacks into the
 * process protocol's: one state machine writes, waits, resumes producers and closes for all.
 */
#ifndef DRYWIRE_CORE_CHILD_H
#define DRYWIRE_CORE_CHILD_H

#include "drywire/process.h"
#include "internal.h"

typedef struct dw_child_pipe {
    dw_protocol protocol;
    dw_transport *transport; /* NULL when it is closed */
    dw_process *process;
    int fd; /* the child's number for it */
    bool ours_to_write;
} dw_child_pipe;

struct dw_process {
    dw_child child; /* pid 0: exited */
    dw_reactor *reactor;
    dw_process_protocol *protocol;
    struct dw_list_node node; /* of reactor->processes */
    dw_child_pipe *receiving; /* whose child_data_received is running */
    dw_reason reason;         /* once it has exited */
    bool exited;              /* and process_exited has returned */
    bool discarded;           /* nothing is told any more */
    size_t open;              /* pipes that are not closed */
    size_t pipe_count;
    dw_child_pipe pipes[];
};

/* Prepares a pipe that is not open yet. False without memory. */
bool dw_child_pipe_init(dw_child_pipe *pipe, dw_process *process, const dw_child_fd *fd);
/* The wire has opened it. */
void dw_child_pipe_open(dw_child_pipe *pipe);
/* Calls process_ended, and frees the process, if it is time. */
void dw_process_look_at_end(dw_process *process);

#endif
