/* SPDX-License-Identifier: MIT */
/*
 * libc's system calls with one fault: the n-th call of one kind fails with an errno, or transfers a
 * single byte. Invariant: the fault is what a kernel could have done. So an interrupted connect has
 * begun and a failed close has closed (their manual pages), and whoever must not lose track (a
 * poller told of edges) is not told "no more" while there is more.
 */
#ifndef DRYWIRE_TESTS_FAULTY_CALLS_H
#define DRYWIRE_TESTS_FAULTY_CALLS_H

#include "../../real/src/syscalls.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* The kinds: one per function of the table that can fail and is called on a reactor's behalf. */
#define FAULTY_CALLS(X) \
    X(socket)           \
    X(bind)             \
    X(listen)           \
    X(accept4)          \
    X(connect)          \
    X(recv)             \
    X(send)             \
    X(sendmsg)          \
    X(recvmsg)          \
    X(shutdown)         \
    X(close)            \
    X(getsockname)      \
    X(getpeername)      \
    X(getsockopt)       \
    X(setsockopt)       \
    X(chmod)            \
    X(lstat)            \
    X(ppoll)            \
    X(epoll_create1)    \
    X(epoll_ctl)        \
    X(epoll_wait)       \
    X(pipe2)            \
    X(open)             \
    X(read)             \
    X(write)            \
    X(writev)           \
    X(vfork_run)        \
    X(pidfd_open)       \
    X(getrandom)        \
    X(pthread_create)   \
    X(getaddrinfo)

typedef enum faulty_call {
#define FAULTY_ENUM(name) CALL_##name,
    FAULTY_CALLS(FAULTY_ENUM)
#undef FAULTY_ENUM
        CALL_COUNT,
} faulty_call;

/* In place of an errno: the call transfers one byte. */
#define ONE_BYTE (-1)

static struct faulty {
    faulty_call call;
    int nth; /* from 1; 0: no fault */
    int error;
    int wake_fd; /* writes to it always succeed: a byte fits, or bytes enough are in it */
    atomic_int seen[CALL_COUNT];
    atomic_bool fired;
} faulty;

/* Whether this call is the one. */
static inline bool faulty_now(faulty_call call) {
    if (atomic_fetch_add(&faulty.seen[call], 1) + 1 != faulty.nth || call != faulty.call) {
        return false;
    }
    atomic_store(&faulty.fired, true);
    errno = faulty.error;
    return true;
}

/* One that fails before it has done anything. */
#define FAULTY_PLAIN(result, name, params, args) \
    static inline result faulty_##name params {  \
        if (faulty_now(CALL_##name)) {           \
            return (result)-1;                   \
        }                                        \
        return dw_syscalls_libc.name args;       \
    }

FAULTY_PLAIN(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAULTY_PLAIN(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
FAULTY_PLAIN(int, listen, (int fd, int backlog), (fd, backlog))
FAULTY_PLAIN(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags),
             (fd, address, len, flags))
FAULTY_PLAIN(int, shutdown, (int fd, int how), (fd, how))
FAULTY_PLAIN(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len),
             (fd, address, len))
FAULTY_PLAIN(int, getpeername, (int fd, struct sockaddr *address, socklen_t *len),
             (fd, address, len))
FAULTY_PLAIN(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
             (fd, level, name, value, len))
FAULTY_PLAIN(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
             (fd, level, name, value, len))
FAULTY_PLAIN(int, chmod, (const char *path, mode_t mode), (path, mode))
FAULTY_PLAIN(int, lstat, (const char *path, struct stat *out), (path, out))
FAULTY_PLAIN(int, ppoll,
             (struct pollfd * fds, nfds_t count, const struct timespec *timeout,
              const sigset_t *mask),
             (fds, count, timeout, mask))
FAULTY_PLAIN(int, epoll_create1, (int flags), (flags))
FAULTY_PLAIN(int, epoll_wait, (int epoll, struct epoll_event *events, int max, int64_t timeout),
             (epoll, events, max, timeout))
FAULTY_PLAIN(int, pipe2, (int fds[2], int flags), (fds, flags))
FAULTY_PLAIN(int, open, (const char *path, int flags), (path, flags))
FAULTY_PLAIN(pid_t, vfork_run, (void (*run)(void *user), void *user), (run, user))
FAULTY_PLAIN(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
FAULTY_PLAIN(ssize_t, getrandom, (void *buffer, size_t len, unsigned flags), (buffer, len, flags))

/* Only what adds to the set needs memory (epoll_ctl(2)). */
static inline int faulty_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD && faulty_now(CALL_epoll_ctl)) {
        return -1;
    }
    return dw_syscalls_libc.epoll_ctl(epoll, operation, fd, event);
}

/* Those that transfer. */

static inline ssize_t faulty_recv(int fd, void *buffer, size_t len, int flags) {
    if (!faulty_now(CALL_recv)) {
        return dw_syscalls_libc.recv(fd, buffer, len, flags);
    }
    return faulty.error == ONE_BYTE ? dw_syscalls_libc.recv(fd, buffer, 1, flags) : -1;
}

static inline ssize_t faulty_send(int fd, const void *data, size_t len, int flags) {
    if (!faulty_now(CALL_send)) {
        return dw_syscalls_libc.send(fd, data, len, flags);
    }
    return faulty.error == ONE_BYTE ? dw_syscalls_libc.send(fd, data, 1, flags) : -1;
}

static inline ssize_t faulty_sendmsg(int fd, const struct msghdr *message, int flags) {
    struct iovec piece;
    struct msghdr cut = *message;
    if (!faulty_now(CALL_sendmsg)) {
        return dw_syscalls_libc.sendmsg(fd, message, flags);
    }
    if (faulty.error != ONE_BYTE) {
        return -1;
    }
    piece = message->msg_iov[0];
    piece.iov_len = piece.iov_len < 1 ? piece.iov_len : 1;
    cut.msg_iov = &piece;
    cut.msg_iovlen = 1;
    return dw_syscalls_libc.sendmsg(fd, &cut, flags);
}

static inline ssize_t faulty_recvmsg(int fd, struct msghdr *message, int flags) {
    if (!faulty_now(CALL_recvmsg)) {
        return dw_syscalls_libc.recvmsg(fd, message, flags);
    }
    if (faulty.error != ONE_BYTE) {
        return -1;
    }
    size_t len = message->msg_iov[0].iov_len;
    message->msg_iov[0].iov_len = 1;
    ssize_t got = dw_syscalls_libc.recvmsg(fd, message, flags);
    message->msg_iov[0].iov_len = len;
    return got;
}

static inline ssize_t faulty_read(int fd, void *buffer, size_t len) {
    if (!faulty_now(CALL_read)) {
        return dw_syscalls_libc.read(fd, buffer, len);
    }
    return faulty.error == ONE_BYTE ? dw_syscalls_libc.read(fd, buffer, 1) : -1;
}

static inline ssize_t faulty_write(int fd, const void *buffer, size_t len) {
    if (fd == faulty.wake_fd || !faulty_now(CALL_write)) {
        return dw_syscalls_libc.write(fd, buffer, len);
    }
    return faulty.error == ONE_BYTE ? dw_syscalls_libc.write(fd, buffer, 1) : -1;
}

static inline ssize_t faulty_writev(int fd, const struct iovec *pieces, int count) {
    if (!faulty_now(CALL_writev)) {
        return dw_syscalls_libc.writev(fd, pieces, count);
    }
    return faulty.error == ONE_BYTE ? dw_syscalls_libc.write(fd, pieces[0].iov_base, 1) : -1;
}

/* Those that fail after the deed. */

static inline int faulty_close(int fd) {
    int result = dw_syscalls_libc.close(fd);
    return faulty_now(CALL_close) ? -1 : result;
}

static inline int faulty_connect(int fd, const struct sockaddr *address, socklen_t len) {
    bool now = faulty_now(CALL_connect);
    if (now && faulty.error != EINTR) {
        return -1;
    }
    int result = dw_syscalls_libc.connect(fd, address, len);
    if (now) {
        errno = EINTR; /* it goes on by itself */
        return -1;
    }
    return result;
}

/* Those that return their error. */

static inline int faulty_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                        void *(*start)(void *), void *user) {
    return faulty_now(CALL_pthread_create)
               ? faulty.error
               : dw_syscalls_libc.pthread_create(thread, attributes, start, user);
}

static inline int faulty_getaddrinfo(const char *name, const char *service,
                                     const struct addrinfo *hints, struct addrinfo **out) {
    return faulty_now(CALL_getaddrinfo) ? faulty.error
                                        : dw_syscalls_libc.getaddrinfo(name, service, hints, out);
}

static inline struct dw_syscalls faulty_table(void) {
    struct dw_syscalls table = dw_syscalls_libc;
#define FAULTY_SLOT(name) table.name = faulty_##name;
    FAULTY_CALLS(FAULTY_SLOT)
#undef FAULTY_SLOT
    return table;
}

/* A fault, by what may come of it. */
typedef struct fault {
    faulty_call call;
    const char *call_name;
    int error;
    const char *error_name;
    enum {
        FAULT_SEEN = 0,        /* something fails, in the right way */
        FAULT_UNSEEN = 1 << 0, /* nobody notices: it is tried again */
        FAULT_LEVEL = 1 << 1,  /* only fair to who is told of levels: see the top */
    } kind;
} fault;

#define SEEN(call, error) \
    { CALL_##call, #call, error, #error, FAULT_SEEN }
#define UNSEEN(call, error) \
    { CALL_##call, #call, error, #error, FAULT_UNSEEN }
#define LEVEL(call, error) \
    { CALL_##call, #call, error, #error, FAULT_UNSEEN | FAULT_LEVEL }

/* From the ERRORS sections of the manual pages, without those that mean an error of the caller's.
 */
static const fault faults[] = {
    SEEN(socket, EMFILE),
    SEEN(socket, ENFILE),
    SEEN(socket, ENOBUFS),
    SEEN(socket, ENOMEM),
    SEEN(socket, EACCES),
    SEEN(socket, EAFNOSUPPORT),
    SEEN(bind, EADDRINUSE),
    SEEN(bind, EADDRNOTAVAIL),
    SEEN(bind, EACCES),
    SEEN(bind, ENOMEM),
    SEEN(listen, EADDRINUSE),
    UNSEEN(accept4, EINTR),
    UNSEEN(accept4, EAGAIN),
    UNSEEN(accept4, ECONNABORTED),
    UNSEEN(accept4, EPROTO),
    UNSEEN(accept4, ENETDOWN),
    UNSEEN(accept4, ENOBUFS),
    UNSEEN(accept4, ENOMEM),
    SEEN(accept4, EMFILE),
    SEEN(accept4, ENFILE),
    SEEN(accept4, EPERM),
    UNSEEN(connect, EINTR),
    SEEN(connect, ECONNREFUSED),
    SEEN(connect, ENETUNREACH),
    SEEN(connect, ETIMEDOUT),
    SEEN(connect, EADDRNOTAVAIL),
    SEEN(connect, EACCES),
    SEEN(connect, EAGAIN),
    UNSEEN(recv, EINTR),
    LEVEL(recv, EAGAIN),
    LEVEL(recv, ONE_BYTE),
    SEEN(recv, ECONNRESET),
    SEEN(recv, ETIMEDOUT),
    SEEN(recv, ENOMEM),
    UNSEEN(recvmsg, EINTR),
    LEVEL(recvmsg, EAGAIN),
    SEEN(recvmsg, ECONNRESET),
    SEEN(recvmsg, ENOMEM),
    UNSEEN(send, EINTR),
    LEVEL(send, EAGAIN),
    LEVEL(send, ONE_BYTE),
    SEEN(send, EPIPE),
    SEEN(send, ECONNRESET),
    SEEN(send, ENOBUFS),
    SEEN(send, ENOMEM),
    UNSEEN(sendmsg, EINTR),
    LEVEL(sendmsg, EAGAIN),
    SEEN(sendmsg, EPIPE),
    SEEN(sendmsg, ECONNRESET),
    SEEN(sendmsg, ENOBUFS),
    SEEN(sendmsg, ENOMEM),
    SEEN(shutdown, ENOTCONN),
    UNSEEN(close, EINTR),
    UNSEEN(close, EIO),
    SEEN(getsockname, ENOBUFS),
    SEEN(getpeername, ENOTCONN),
    SEEN(getpeername, ENOBUFS),
    SEEN(getsockopt, ENOBUFS),
    SEEN(setsockopt, ENOMEM),
    SEEN(setsockopt, ENOPROTOOPT),
    SEEN(chmod, EPERM),
    SEEN(lstat, EACCES),
    UNSEEN(ppoll, EINTR),
    SEEN(ppoll, ENOMEM),
    SEEN(epoll_create1, EMFILE),
    SEEN(epoll_create1, ENOMEM),
    SEEN(epoll_ctl, ENOMEM),
    SEEN(epoll_ctl, ENOSPC),
    UNSEEN(epoll_wait, EINTR),
    SEEN(pipe2, EMFILE),
    SEEN(pipe2, ENFILE),
    SEEN(open, EMFILE),
    SEEN(open, ENOMEM),
    UNSEEN(read, EINTR),
    SEEN(read, EIO),
    LEVEL(read, ONE_BYTE),
    UNSEEN(write, EINTR),
    SEEN(write, EPIPE),
    LEVEL(write, ONE_BYTE),
    UNSEEN(writev, EINTR),
    SEEN(writev, EPIPE),
    SEEN(vfork_run, EAGAIN),
    SEEN(vfork_run, ENOMEM),
    SEEN(pidfd_open, EMFILE),
    UNSEEN(pidfd_open, ENOSYS),
    UNSEEN(getrandom, EINTR),
    UNSEEN(getrandom, ENOSYS),
    SEEN(pthread_create, EAGAIN),
    SEEN(getaddrinfo, EAI_AGAIN),
    SEEN(getaddrinfo, EAI_MEMORY),
    SEEN(getaddrinfo, EAI_NONAME),
    SEEN(getaddrinfo, EAI_SYSTEM),
};
enum { FAULT_COUNT = sizeof(faults) / sizeof(faults[0]) };

#endif
