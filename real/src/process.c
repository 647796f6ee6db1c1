/* SPDX-License-Identifier: MIT */
/*
 * Child processes: the slots spawn, kill and forget, and the reaping. A child is started by vfork,
 * carries out its plan (exec.c), and is watched by a pidfd; where there is none, SIGCHLD tells
 * (child_signal.c). Only children that were started here are ever waited for.
 *
 * Why vfork: fork copies the page tables, which takes a large program many milliseconds, and
 * posix_spawn can neither change the user nor, portably, the directory or close what it does not
 * know. The child runs on our memory until execve, so all signals are blocked meanwhile, and it
 * only does what exec.c may do.
 *
 * Invariant: a live_child exists from spawn until its end was told or it was forgotten.
 */
#include "exec.h"
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What nobody knows any more is reported as this, as asyncio in Python does: somebody else has
 * waited for the child, or the program ignores SIGCHLD. */
#define STATUS_UNKNOWN (255 << 8)

/* P_PIDFD of <sys/wait.h>, since glibc 2.36. */
#define ID_PIDFD ((idtype_t)3)

struct dw_live_child {
    dw_watched watched; /* the pidfd; its socket is DW_SOCKET_NONE without one */
    struct dw_live *live;
    dw_child *child;
    struct dw_live_child *next; /* of live->children, those without a pidfd */
    pid_t pid;
};

static int pidfd_of(const struct dw_live_child *own) {
    return (int)own->watched.io.socket;
}

/* ---- Reaping ---- */

static int status_of(const siginfo_t *info) {
    switch (info->si_code) {
    case CLD_EXITED:
        return (info->si_status & 0xff) << 8;
    case CLD_DUMPED:
        return info->si_status | 0x80;
    default:
        return info->si_status;
    }
}

/* Returns whether the child has ended, with its status. It is not waited for by its number while
 * there is a pidfd: if somebody else has waited for it, the number may be another child's. */
static bool has_ended(struct dw_live_child *own, int *status, bool *known) {
    const struct dw_syscalls *sys = own->live->sys;
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    int fd = pidfd_of(own);
    int result = fd >= 0 ? sys->waitid(ID_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) : -1;
    if (fd < 0 || (result != 0 && errno == EINVAL)) { /* P_PIDFD came one release later, 5.4 */
        result = sys->waitid(P_PID, (id_t)own->pid, &info, WEXITED | WNOHANG);
    }
    if (result != 0 && errno != ECHILD) {
        return false;
    }
    *known = result == 0;
    *status = *known ? status_of(&info) : STATUS_UNKNOWN;
    return result != 0 || info.si_pid != 0;
}

static void unlink_child(struct dw_live_child *own) {
    for (struct dw_live_child **at = &own->live->children; *at != NULL; at = &(*at)->next) {
        if (*at == own) {
            *at = own->next;
            break;
        }
    }
    if (own->live->children == NULL) {
        dw_child_signal_leave(own->live);
    }
}

static void release(struct dw_live_child *own) {
    struct dw_live *live = own->live;
    int fd = pidfd_of(own);
    if (fd >= 0) {
        dw_live_close(&live->base, &own->watched.io, false);
        (void)live->sys->close(fd);
    } else {
        unlink_child(own);
    }
    own->child->wire_data = NULL;
    dw_free(&live->base, own);
}

/* Returns whether it had ended. */
static bool look(struct dw_live_child *own) {
    struct dw_live *live = own->live;
    dw_child *child = own->child;
    int status;
    bool known;
    if (!has_ended(own, &status, &known)) {
        return false;
    }
    if (!known) {
        dw_reactor_log(&live->base, "how process %d ended is not known: reported as status 255",
                       (int)own->pid);
    }
    release(own);
    dw_child_exited(&live->base, child, status);
    return true;
}

static void pidfd_ready(dw_reactor *reactor, dw_watched *watched, unsigned ready) {
    (void)reactor;
    (void)ready;
    (void)look(DW_CONTAINER_OF(watched, struct dw_live_child, watched));
}

/* A callback may forget others, so after each the search begins anew. */
void dw_live_children_look(struct dw_live *live) {
    for (struct dw_live_child *own = live->children; own != NULL;) {
        own = look(own) ? live->children : own->next;
    }
}

/* ---- Watching ---- */

static int watch_by_pidfd(struct dw_live_child *own) {
    struct dw_live *live = own->live;
    dw_io *io = &own->watched.io;
    int fd = live->sys->pidfd_open(own->pid, 0);
    if (fd < 0) {
        return -errno;
    }
    int error = dw_live_adopt(&live->base, io, fd);
    if (error != 0) {
        (void)live->sys->close(fd);
        io->socket = DW_SOCKET_NONE;
        return error;
    }
    io->want = DW_READABLE;
    live->base.wire->watch(&live->base, io);
    return 0;
}

/* The child may have ended before the handler was there, so it is looked at once in any case. */
static int watch_by_signal(struct dw_live_child *own) {
    struct dw_live *live = own->live;
    int error = dw_child_signal_join(live);
    if (error == 0) {
        own->next = live->children;
        live->children = own;
        dw_live_wake(live);
    }
    return error;
}

/* Without any way to hear of its end it must not run. */
static int watch(struct dw_live_child *own) {
    const struct dw_syscalls *sys = own->live->sys;
    int error = watch_by_pidfd(own);
    if (error != 0) {
        error = watch_by_signal(own);
    }
    if (error != 0) {
        siginfo_t info;
        (void)sys->kill(own->pid, SIGKILL);
        while (sys->waitid(P_PID, (id_t)own->pid, &info, WEXITED) != 0 && errno == EINTR) {
        }
    }
    return error;
}

/* ---- Starting ---- */

/* The end of `fds` that the child has, and ours. */
static int their_end(const dw_child_fd *fd, const int fds[2]) {
    return fd->kind == DW_CHILD_READS ? fds[0] : fds[1];
}

static int our_end(const dw_child_fd *fd, const int fds[2]) {
    return fd->kind == DW_CHILD_READS ? fds[1] : fds[0];
}

/* Only our end does not block: each end of a pipe has flags of its own (pipe(7)). */
static int open_pipe(struct dw_live *live, struct dw_exec *plan, const dw_child_fd *fd, dw_io *io) {
    int fds[2];
    if (live->sys->pipe2(fds, O_CLOEXEC) != 0) {
        return -errno;
    }
    int ours = our_end(fd, fds), theirs = their_end(fd, fds);
    int error = live->sys->fcntl(ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (error == 0) {
        error = dw_live_take(live, io, ours);
    } else {
        (void)live->sys->close(ours);
    }
    if (error != 0) {
        (void)live->sys->close(theirs);
        return error;
    }
    dw_exec_add(plan, fd->fd, theirs);
    return 0;
}

static int open_pipes(struct dw_live *live, struct dw_exec *plan, const dw_spawn *spawn) {
    for (size_t i = 0; i < spawn->options->fd_count; i++) {
        const dw_child_fd *fd = &spawn->options->fds[i];
        int error = 0;
        if (fd->kind == DW_CHILD_INHERITS) {
            dw_exec_add(plan, fd->fd, fd->parent_fd);
        } else {
            error = open_pipe(live, plan, fd, spawn->pipes[i]);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static bool is_pipe(const dw_spawn *spawn, int child_fd) {
    for (size_t i = 0; i < spawn->options->fd_count; i++) {
        if (spawn->options->fds[i].fd == child_fd) {
            return spawn->pipes[i] != NULL;
        }
    }
    return false;
}

/* The child's ends, in our process. `sources` as they were before the child used up its plan. */
static void close_their_ends(struct dw_live *live, const struct dw_exec *plan,
                             const dw_spawn *spawn, const int *sources) {
    for (size_t i = 0; i < plan->move_count; i++) {
        if (is_pipe(spawn, plan->moves[i].child)) {
            (void)live->sys->close(sources[i]);
        }
    }
}

static void close_our_ends(struct dw_live *live, const dw_spawn *spawn) {
    for (size_t i = 0; i < spawn->options->fd_count; i++) {
        if (spawn->pipes[i] != NULL) {
            dw_live_close(&live->base, spawn->pipes[i], false);
        }
    }
}

/* Our handlers must not run in the child, on our memory: the mask is lifted there when they are
 * gone. Returns the pid or -errno. */
static pid_t start(struct dw_live *live, struct dw_exec *plan) {
    sigset_t all, before;
    sigfillset(&all);
    (void)live->sys->pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = live->sys->vfork_run(dw_exec_run, plan);
    pid = pid < 0 ? -errno : pid;
    (void)live->sys->pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static int start_and_watch(struct dw_live_child *own, struct dw_exec *plan, const dw_spawn *spawn,
                           int *sources) {
    struct dw_live *live = own->live;
    int error = open_pipes(live, plan, spawn);
    for (size_t i = 0; i < plan->move_count; i++) {
        sources[i] = plan->moves[i].source;
    }
    pid_t pid = error != 0 ? error : start(live, plan);
    close_their_ends(live, plan, spawn, sources);
    own->pid = pid;
    error = pid < 0 ? (int)pid : watch(own);
    if (error != 0) {
        close_our_ends(live, spawn);
    }
    return error;
}

static int spawn_planned(struct dw_live_child *own, const dw_spawn *spawn) {
    dw_reactor *reactor = &own->live->base;
    struct dw_exec *plan = dw_exec_new(reactor, own->live->sys, spawn->options);
    int *sources = dw_alloc(reactor, (spawn->options->fd_count + 1) * sizeof(int));
    int error =
        plan != NULL && sources != NULL ? start_and_watch(own, plan, spawn, sources) : -ENOMEM;
    dw_free(reactor, sources);
    dw_free(reactor, plan);
    return error;
}

int dw_live_spawn(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn) {
    struct dw_live_child *own = dw_new(reactor, struct dw_live_child);
    if (own == NULL) {
        return -ENOMEM;
    }
    own->watched =
        (dw_watched){.io = {.socket = DW_SOCKET_NONE, .kind = DW_IO_WATCHED}, .ready = pidfd_ready};
    own->live = dw_live_of(reactor);
    own->child = child;
    int error = spawn_planned(own, spawn);
    if (error != 0) {
        dw_free(reactor, own);
        return error;
    }
    child->wire_data = own;
    child->pid = own->pid;
    return 0;
}

/* ---- The other slots ---- */

/* One that has ended and was not waited for still takes signals, and nothing happens (kill(2)). */
int dw_live_kill(dw_reactor *reactor, dw_child *child, int signal_number) {
    const struct dw_syscalls *sys = dw_live_of(reactor)->sys;
    const struct dw_live_child *own = child->wire_data;
    int fd = pidfd_of(own);
    if (fd >= 0 && sys->pidfd_send_signal(fd, signal_number) == 0) {
        return 0;
    }
    if (fd >= 0 && errno != ENOSYS && errno != EPERM) {
        return -errno;
    }
    return sys->kill(own->pid, signal_number) != 0 ? -errno : 0;
}

void dw_live_forget(dw_reactor *reactor, dw_child *child) {
    (void)reactor;
    release(child->wire_data);
}
