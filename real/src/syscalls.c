/* SPDX-License-Identifier: MIT */
/*
 * The table of libc's functions. It is const and shared by all reactors. The thin functions below
 * exist where libc's own type is not a plain function type: a variable argument list (open), or
 * glibc's union of address types (bind, connect, accept4, getsockname).
 */
#include "syscalls.h"

#include "drywire/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sys/random.h>
#include <sys/syscall.h>
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

static int libc_getpeername(int fd, struct sockaddr *address, socklen_t *len) {
    return getpeername(fd, address, len);
}

static int libc_duplicate(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int libc_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int libc_open(const char *path, int flags) {
    return open(path, flags);
}

#ifdef __linux__
/* Milliseconds, rounded up: a call never runs early. */
static int wait_ms(int epoll, struct epoll_event *events, int max, int64_t timeout) {
    int64_t ms = timeout / 1000000 + (timeout % 1000000 > 0);
    return epoll_wait(epoll, events, max, ms < INT_MAX ? (int)ms : INT_MAX);
}

/* To the nanosecond where the system can (Linux 5.11, glibc 2.35). */
DW_SELDOM static int wait_some(int epoll, struct epoll_event *events, int max, int64_t timeout) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
    struct timespec limit = {(time_t)(timeout / 1000000000), (long)(timeout % 1000000000)};
    int found = epoll_pwait2(epoll, events, max, &limit, NULL);
    if (found >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return found;
    }
#endif
    return wait_ms(epoll, events, max, timeout);
}

static int libc_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
    if (timeout > 0) {
        return wait_some(epoll, events, max, timeout);
    }
    return epoll_wait(epoll, events, max, timeout < 0 ? -1 : 0);
}
#endif

static int libc_fcntl(int fd, int command, int value) {
    return fcntl(fd, command, value);
}

static int libc_waitid(idtype_t type, id_t id, siginfo_t *info, int options) {
    return waitid(type, id, info, options);
}

/* In a function of its own, whose frame the child finds as it was. POSIX has withdrawn vfork, and
 * every system has it. */
__attribute__((noinline)) static pid_t libc_vfork_run(void (*run)(void *user), void *user) {
    pid_t pid = vfork();
    if (pid == 0) {
        run(user);
        _exit(1);
    }
    return pid;
}

/* libc has names for these only since glibc 2.34 and 2.36. */
static int unnamed_call(long number, long a, long b, long c, long d) {
    if (number < 0) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(number, a, b, c, d);
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open (-1)
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal (-1)
#endif
#ifndef SYS_close_range
#define SYS_close_range (-1)
#endif

static int libc_pidfd_open(pid_t pid, unsigned flags) {
    return unnamed_call(SYS_pidfd_open, pid, (long)flags, 0, 0);
}

static int libc_pidfd_send_signal(int pidfd, int signal) {
    return unnamed_call(SYS_pidfd_send_signal, pidfd, signal, 0, 0);
}

static int libc_close_range(unsigned first, unsigned last, unsigned flags) {
    return unnamed_call(SYS_close_range, (long)first, (long)last, (long)flags, 0);
}

const struct dw_syscalls dw_syscalls_libc = {
    .socket = socket,
    .bind = libc_bind,
    .listen = listen,
    .accept4 = libc_accept4,
    .connect = libc_connect,
    .recv = recv,
    .send = send,
    .sendmsg = sendmsg,
    .recvmsg = recvmsg,
    .shutdown = shutdown,
    .close = close,
    .duplicate = libc_duplicate,
    .dup2 = dup2,
    .set_nonblocking = libc_set_nonblocking,
    .getsockname = libc_getsockname,
    .getpeername = libc_getpeername,
    .getsockopt = getsockopt,
    .setsockopt = setsockopt,
    .chmod = chmod,
    .unlink = unlink,
    .lstat = lstat,
    .fstat = fstat,
    .getifaddrs = getifaddrs,
    .freeifaddrs = freeifaddrs,
    .if_nametoindex = if_nametoindex,
    .ppoll = ppoll,
#ifdef __linux__
    .epoll_create1 = epoll_create1,
    .epoll_ctl = epoll_ctl,
    .epoll_wait = libc_epoll_wait,
#endif
    .pipe2 = pipe2,
    .open = libc_open,
    .read = read,
    .write = write,
    .writev = writev,
    .fcntl = libc_fcntl,
    .vfork_run = libc_vfork_run,
    .pidfd_open = libc_pidfd_open,
    .pidfd_send_signal = libc_pidfd_send_signal,
    .waitid = libc_waitid,
    .kill = kill,
    .close_range = libc_close_range,
    .pthread_sigmask = pthread_sigmask,
    .clock_gettime = clock_gettime,
    .getrandom = getrandom,
    .sigaction = sigaction,
    .pthread_create = pthread_create,
    .getaddrinfo = getaddrinfo,
    .freeaddrinfo = freeaddrinfo,
};
