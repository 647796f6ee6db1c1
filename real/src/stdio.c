/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output for the live wire: what happens to the program's two descriptors. The
 * connection works on duplicates, for one may be both, and each pipe is closed by itself
 * (sockets.c reads, writes and closes them, by pipes.c); the originals are only made non-blocking
 * and, at the end, what they were. The slots of dw_wire of the same names.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IN, OUT };

static int flags_of(struct dw_live *live, int fd) {
    int flags = live->sys->fcntl(fd, F_GETFL, 0);
    return flags < 0 ? -errno : flags;
}

static int check(struct dw_live *live, dw_stdio_files *files) {
    for (int i = IN; i <= OUT; i++) {
        int flags = flags_of(live, files->fd[i]);
        if (flags < 0) {
            return flags;
        }
        if ((flags & O_ACCMODE) == (i == IN ? O_WRONLY : O_RDONLY)) {
            return -EBADF;
        }
        files->blocked[i] = (flags & O_NONBLOCK) == 0;
    }
    return 0;
}

/* The end of a pipe that is for writing alone. (One that was opened for both keeps itself open.) */
static bool is_pipe(struct dw_live *live, int fd) {
    struct stat status;
    return live->sys->fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
           (flags_of(live, fd) & O_ACCMODE) == O_WRONLY;
}

/* Both may be one open file, a terminal most often: then it is that as long as either is used. */
static int stop_blocking(struct dw_live *live, dw_stdio_files *files) {
    if (live->sys->set_nonblocking(files->fd[IN]) != 0) {
        return -errno;
    }
    int flags = flags_of(live, files->fd[OUT]);
    files->one_file =
        files->blocked[IN] && files->blocked[OUT] && flags >= 0 && (flags & O_NONBLOCK) != 0;
    return live->sys->set_nonblocking(files->fd[OUT]) != 0 ? -errno : 0;
}

static void block_again(struct dw_live *live, int fd) {
    int flags = flags_of(live, fd);
    if (flags >= 0) {
        (void)live->sys->fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
}

/* Its number goes to /dev/null when it is a standard one: what is printed must not end up in
 * whatever is opened next. */
static void close_original(struct dw_live *live, int fd) {
    if (fd > STDERR_FILENO) {
        (void)live->sys->close(fd);
        return;
    }
    int null = live->sys->open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)live->sys->dup2(null, fd);
        (void)live->sys->close(null);
    }
}

void dw_live_stdio_end(dw_reactor *reactor, dw_stdio_files *files, unsigned direction) {
    struct dw_live *live = dw_live_of(reactor);
    int i = direction == DW_READABLE ? IN : OUT;
    files->ended |= (uint8_t)direction;
    bool last = files->ended == (DW_READABLE | DW_WRITABLE);
    if (files->blocked[i] && (last || !files->one_file)) {
        block_again(live, files->fd[i]);
    }
    if (files->close && (last || files->fd[IN] != files->fd[OUT])) {
        close_original(live, files->fd[i]);
    }
}

static int duplicate(struct dw_live *live, int fd, dw_io *io) {
    int own = live->sys->duplicate(fd);
    return own < 0 ? -errno : dw_live_take(live, io, own);
}

static int take_both(struct dw_live *live, const dw_stdio_files *files, dw_io *in, dw_io *out) {
    int error = duplicate(live, files->fd[IN], in);
    if (error == 0) {
        error = duplicate(live, files->fd[OUT], out);
        if (error != 0) {
            live->base.wire->close(&live->base, in, false);
        }
    }
    return error;
}

int dw_live_stdio_open(dw_reactor *reactor, dw_stdio_files *files, dw_io *in, dw_io *out) {
    struct dw_live *live = dw_live_of(reactor);
    int error = check(live, files);
    if (error != 0) {
        return error;
    }
    files->out_is_pipe = is_pipe(live, files->fd[OUT]);
    error = stop_blocking(live, files);
    if (error == 0) {
        error = take_both(live, files, in, out);
    }
    if (error != 0) {
        files->close = false;
        dw_live_stdio_end(reactor, files, DW_READABLE);
        dw_live_stdio_end(reactor, files, DW_WRITABLE);
    }
    return error;
}
