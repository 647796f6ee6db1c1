/* SPDX-License-Identifier: MIT */
/*
 * Our ends of the pipes to child processes: recv and send for DW_IO_PIPE, called by sockets.c. A
 * pipe is read with read(2) and written with writev(2), which has no MSG_NOSIGNAL: here SIGPIPE is
 * kept from the program another way.
 */
#include "live.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

static int fd_of(const dw_io *io) {
    return (int)io->socket;
}

/* Whether nobody has the other end any more. poll(2): POLLERR "is also set for a file descriptor
 * referring to the write end of a pipe when the read end has been closed". */
static bool is_deserted(struct dw_live *live, const dw_io *io) {
    struct pollfd fd = {.fd = fd_of(io)};
    const struct timespec now = {.tv_sec = 0};
    return live->sys->ppoll(&fd, 1, &now, NULL) == 1 &&
           (fd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

ssize_t dw_live_pipe_recv(struct dw_live *live, dw_io *io, const uint8_t **data) {
    *data = live->received;
    for (int i = 0; i < DW_EINTR_MAX; i++) {
        ssize_t got = live->sys->read(fd_of(io), live->received, sizeof(live->received));
        if (got >= 0) {
            return got;
        }
        if (errno == EBADF) {
            return is_deserted(live, io) ? 0 : -EAGAIN; /* an end to write to */
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

/* ---- Without SIGPIPE ---- */

struct sigpipe_guard {
    sigset_t set, before;
    bool pending; /* one was already: it is not ours to take */
};

/* write(2) raises SIGPIPE for the thread that writes, so blocking it in this one is enough. */
static void guard_begin(struct dw_live *live, struct sigpipe_guard *guard) {
    sigset_t pending;
    sigemptyset(&guard->set);
    sigaddset(&guard->set, SIGPIPE);
    sigemptyset(&pending);
    (void)sigpending(&pending);
    guard->pending = sigismember(&pending, SIGPIPE) == 1;
    (void)live->sys->pthread_sigmask(SIG_BLOCK, &guard->set, &guard->before);
}

/* `broken`: the write has raised one. If one was pending before, the two became one. */
static void guard_end(struct dw_live *live, struct sigpipe_guard *guard, bool broken) {
    const struct timespec now = {.tv_sec = 0};
    if (broken && !guard->pending) {
        while (sigtimedwait(&guard->set, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    (void)live->sys->pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

ssize_t dw_live_pipe_send(struct dw_live *live, dw_io *io, const struct iovec *pieces, int count) {
    struct sigpipe_guard guard;
    ssize_t sent = -1;
    int error = EINTR;
    guard_begin(live, &guard);
    for (int i = 0; i < DW_EINTR_MAX && sent < 0 && error == EINTR; i++) {
        sent = live->sys->writev(fd_of(io), pieces, count < IOV_MAX ? count : IOV_MAX);
        error = sent < 0 ? errno : 0;
    }
    guard_end(live, &guard, error == EPIPE);
    if (sent >= 0) {
        return sent;
    }
    return error == EINTR ? -EAGAIN : -error;
}
