/* SPDX-License-Identifier: MIT */
/*
 * Child processes: what a program is told of them, and in which order. The pipes are streams like
 * any other (child_pipe.c), the wire starts and reaps; here is what ties them together.
 *
 * Invariant: process_ended runs once per child that was started, when it has exited and its last
 * pipe is closed, and nothing is said after it.
 */
#include "child.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- Protocols ---- */

void dw_process_protocol_init(dw_process_protocol *protocol, const dw_process_protocol_class *cls) {
    *protocol = (dw_process_protocol){.cls = cls};
}

void dw_process_protocol_make_connection(dw_process_protocol *protocol, dw_process *process) {
    protocol->transport = process;
    if (protocol->cls->connection_made != NULL) {
        protocol->cls->connection_made(protocol);
    }
}

static void see(dw_process *process, dw_seen seen, int code, const char *text) {
    dw_reactor *reactor = process->reactor;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, seen, NULL, code, text, 0);
    }
}

/* ---- The end ---- */

/* As os.WIFEXITED and os.WTERMSIG in Twisted's _getReason. */
static dw_reason reason_of(int status) {
    if (WIFSIGNALED(status)) {
        return (dw_reason){DW_PROCESS_TERMINATED, -WTERMSIG(status), NULL};
    }
    int code = WEXITSTATUS(status);
    return (dw_reason){code == 0 ? DW_PROCESS_DONE : DW_PROCESS_TERMINATED, code, NULL};
}

static void release(dw_process *process) {
    dw_process_protocol *protocol = process->protocol;
    list_remove(&process->node);
    protocol->transport = NULL;
    dw_free(process->reactor, process);
    if (protocol->cls->destroy != NULL) {
        protocol->cls->destroy(protocol);
    }
}

static void tell_end(dw_process *process) {
    dw_process_protocol *protocol = process->protocol;
    dw_reason reason = process->reason;
    see(process, DW_SEEN_ENDED, 0, protocol->cls->name);
    if (protocol->cls->process_ended != NULL) {
        protocol->cls->process_ended(protocol, &reason);
    }
}

void dw_process_look_at_end(dw_process *process) {
    if (process->open > 0) {
        return;
    }
    if (process->discarded) {
        release(process);
    } else if (process->exited) {
        tell_end(process);
        release(process);
    }
}

void dw_child_exited(dw_reactor *reactor, dw_child *child, int status) {
    dw_process *process = DW_CONTAINER_OF(child, dw_process, child);
    dw_process_protocol *protocol = process->protocol;
    reactor->depth++;
    process->child.pid = 0;
    process->reason = reason_of(status);
    see(process, DW_SEEN_EXITED, status, protocol->cls->name);
    if (protocol->cls->process_exited != NULL) {
        dw_reason reason = process->reason;
        protocol->cls->process_exited(protocol, &reason);
    }
    process->exited = true;
    dw_process_look_at_end(process);
    reactor->depth--;
    dw_reactor_flush(reactor);
}

dw_process *dw_process_of_node(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_process, node);
}

size_t dw_processes_count(const dw_reactor *reactor) {
    size_t count = 0;
    const struct dw_list_node *head = &reactor->processes;
    for (const struct dw_list_node *node = head->next; node != head; node = node->next) {
        count++;
    }
    return count;
}

/* The child is left alone; when it exits it is its parent's, the program's, to wait for. */
void dw_process_discard(dw_process *process) {
    dw_reactor *reactor = process->reactor;
    list_remove(&process->node);
    process->discarded = true;
    if (process->child.pid != 0) {
        reactor->wire->forget(reactor, &process->child);
        process->child.pid = 0;
    }
    process->open++; /* it stays until the loop is over */
    for (size_t i = 0; i < process->pipe_count; i++) {
        if (process->pipes[i].transport != NULL) {
            dw_stream_discard(process->pipes[i].transport);
        }
    }
    process->open--;
    dw_process_look_at_end(process);
}

/* ---- Starting ---- */

static const dw_child_fd standard_fds[] = {
    {.fd = 0, .kind = DW_CHILD_READS},
    {.fd = 1, .kind = DW_CHILD_WRITES},
    {.fd = 2, .kind = DW_CHILD_WRITES},
};

/* Each number once, and each of a kind that there is. */
static bool fds_are_sound(const dw_spawn_options *options) {
    for (size_t i = 0; i < options->fd_count; i++) {
        const dw_child_fd *fd = &options->fds[i];
        if (fd->fd < 0 || fd->kind > DW_CHILD_INHERITS ||
            (fd->kind == DW_CHILD_INHERITS && fd->parent_fd < 0)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (options->fds[j].fd == fd->fd) {
                return false;
            }
        }
    }
    return true;
}

/* Fills in the defaults. False: nothing that could be run. */
static bool complete(dw_spawn_options *options) {
    if (options->argv == NULL || options->argv[0] == NULL) {
        return false;
    }
    if (options->executable == NULL) {
        options->executable = options->argv[0];
    }
    if (options->fds == NULL) {
        if (options->fd_count != 0) {
            return false;
        }
        options->fds = standard_fds;
        options->fd_count = sizeof(standard_fds) / sizeof(standard_fds[0]);
    }
    return fds_are_sound(options);
}

static void drop_pipes(dw_process *process) {
    for (size_t i = 0; i < process->pipe_count; i++) {
        if (process->pipes[i].transport != NULL) {
            dw_stream_free_if_done(process->pipes[i].transport);
        }
    }
}

/* A transport for each pipe, not open yet. False without memory. */
static bool make_pipes(dw_process *process, const dw_spawn_options *options) {
    for (size_t i = 0; i < options->fd_count; i++) {
        const dw_child_fd *fd = &options->fds[i];
        if (fd->kind != DW_CHILD_INHERITS &&
            !dw_child_pipe_init(&process->pipes[process->pipe_count++], process, fd)) {
            return false;
        }
    }
    return true;
}

static int wire_spawn(dw_process *process, const dw_spawn_options *options) {
    dw_reactor *reactor = process->reactor;
    dw_io **ios = dw_alloc(reactor, (options->fd_count + 1) * sizeof(dw_io *));
    if (ios == NULL) {
        return DW_NO_MEMORY;
    }
    for (size_t i = 0, n = 0; i < options->fd_count; i++) {
        bool is_pipe = options->fds[i].kind != DW_CHILD_INHERITS;
        ios[i] = is_pipe ? &process->pipes[n++].transport->io : NULL;
    }
    see(process, DW_SEEN_SPAWN, 0, options->executable);
    int error = reactor->wire->spawn(reactor, &process->child, &(dw_spawn){options, ios});
    dw_free(reactor, ios);
    if (error < 0) {
        reactor->last_errno = -error;
        return DW_SYSTEM_ERROR;
    }
    return 0;
}

static dw_process *new_process(dw_reactor *reactor, dw_process_protocol *protocol,
                               size_t fd_count) {
    size_t size = sizeof(dw_process) + fd_count * sizeof(dw_child_pipe);
    dw_process *process = dw_alloc_zeroed_at(reactor, size, DW_HERE);
    if (process != NULL) {
        process->reactor = reactor;
        process->protocol = protocol;
        list_init(&process->node);
    }
    return process;
}

static void begin(dw_process *process) {
    list_add(&process->reactor->processes, &process->node);
    for (size_t i = 0; i < process->pipe_count; i++) {
        dw_child_pipe_open(&process->pipes[i]);
    }
    dw_process_protocol_make_connection(process->protocol, process);
}

int dw_reactor_spawn_process(dw_reactor *reactor, dw_process_protocol *protocol,
                             const dw_spawn_options *given, dw_process **out) {
    dw_spawn_options options = *given;
    if (!complete(&options)) {
        return DW_INVALID_ARGUMENT;
    }
    if (reactor->wire->spawn == NULL) {
        return DW_UNSUPPORTED;
    }
    dw_process *process = new_process(reactor, protocol, options.fd_count);
    if (process == NULL) {
        return DW_NO_MEMORY;
    }
    int error = make_pipes(process, &options) ? wire_spawn(process, &options) : DW_NO_MEMORY;
    if (error < 0) {
        drop_pipes(process);
        dw_free(reactor, process);
        return error;
    }
    if (out != NULL) {
        *out = process;
    }
    begin(process);
    return 0;
}

/* ---- Signals ---- */

int dw_process_signal(dw_process *process, int signal_number) {
    if (process == NULL || process->child.pid == 0) {
        return DW_PROCESS_EXITED_ALREADY;
    }
    dw_reactor *reactor = process->reactor;
    int error = reactor->wire->kill(reactor, &process->child, signal_number);
    if (error == 0) {
        return 0;
    }
    if (error == -ESRCH) {
        return DW_PROCESS_EXITED_ALREADY;
    }
    if (error == -EINVAL) {
        return DW_INVALID_ARGUMENT;
    }
    reactor->last_errno = -error;
    return DW_SYSTEM_ERROR;
}

/* <signal.h> in POSIX, without the SIG. */
static const struct {
    const char *name;
    int number;
} signal_names[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
    {"TERM", SIGTERM}, {"STOP", SIGSTOP}, {"CONT", SIGCONT}, {"TSTP", SIGTSTP},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
    {"CHLD", SIGCHLD}, {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"ILL", SIGILL},   {"SEGV", SIGSEGV}, {"SYS", SIGSYS},   {"TRAP", SIGTRAP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"VTALRM", SIGVTALRM},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"PROF", SIGPROF},
};

int dw_process_signal_process(dw_process *process, const char *signal_name) {
    const char *name = strncmp(signal_name, "SIG", 3) == 0 ? signal_name + 3 : signal_name;
    for (size_t i = 0; i < sizeof(signal_names) / sizeof(signal_names[0]); i++) {
        if (strcmp(signal_names[i].name, name) == 0) {
            return dw_process_signal(process, signal_names[i].number);
        }
    }
    return DW_INVALID_ARGUMENT;
}

/* ---- Facts ---- */

pid_t dw_process_pid(const dw_process *process) {
    return process != NULL ? process->child.pid : 0;
}

dw_reactor *dw_process_reactor(const dw_process *process) {
    return process != NULL ? process->reactor : NULL;
}
