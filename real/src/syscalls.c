/* SPDX-License-Identifier: MIT */
/*
 * The table of libc's functions. It is const and shared by all reactors. The thin functions below
 * exist where libc's own type is not a plain function type: a variable argument list (open), or
 * glibc's union of address types (bind, connect, accept4, getsockname).
 */
#include "syscalls.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

static int libc_bind(int fd, const struct sockaddr *address, socklen_t len) {
    return bind(fd, address, len);
}

static int libc_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
    return accept4(fd, address, len, flags);
}

static int libc_connect(int fd, const struct sockaddr *address, socklen_t len) {
    return connect(fd, address, len);
}

static int libc_getsockname(int fd, struct sockaddr *address, socklen_t *len) {
    return getsockname(fd, address, len);
}

static int libc_open(const char *path, int flags) {
    return open(path, flags);
}

const struct dw_syscalls dw_syscalls_libc = {
    .socket = socket,
    .bind = libc_bind,
    .listen = listen,
    .accept4 = libc_accept4,
    .connect = libc_connect,
    .recv = recv,
    .sendmsg = sendmsg,
    .shutdown = shutdown,
    .close = close,
    .getsockname = libc_getsockname,
    .getsockopt = getsockopt,
    .setsockopt = setsockopt,
    .ppoll = ppoll,
    .pipe2 = pipe2,
    .open = libc_open,
    .read = read,
    .write = write,
    .clock_gettime = clock_gettime,
    .getrandom = getrandom,
    .sigaction = sigaction,
    .pthread_create = pthread_create,
    .getaddrinfo = getaddrinfo,
    .freeaddrinfo = freeaddrinfo,
};
