/* SPDX-License-Identifier: MIT */
/*
 * Every system call that the live wire makes, as one table of functions. A reactor borrows a table
 * and calls nothing else, so a test can count a call, delay it, or let the n-th one fail. The
 * functions keep their manual page's contract: -1 and errno, or what their page says.
 */
#ifndef DRYWIRE_REAL_SYSCALLS_H
#define DRYWIRE_REAL_SYSCALLS_H

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

struct dw_syscalls {
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *address, socklen_t len);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, struct sockaddr *address, socklen_t *len, int flags);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t len);
    ssize_t (*recv)(int fd, void *buffer, size_t len, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*getsockname)(int fd, struct sockaddr *address, socklen_t *len);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);

    int (*ppoll)(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
    int (*pipe2)(int fds[2], int flags);
    int (*open)(const char *path, int flags);
    ssize_t (*read)(int fd, void *buffer, size_t len);
    ssize_t (*write)(int fd, const void *buffer, size_t len);

    int (*clock_gettime)(clockid_t clock, struct timespec *out);
    ssize_t (*getrandom)(void *buffer, size_t len, unsigned flags);
    int (*sigaction)(int signal, const struct sigaction *action, struct sigaction *old);
    int (*pthread_create)(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user);
    /* The only ones that run on the resolver's thread too, besides write. */
    int (*getaddrinfo)(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
    void (*freeaddrinfo)(struct addrinfo *list);
};

/* The functions of libc. */
extern const struct dw_syscalls dw_syscalls_libc;

/* How often one call is repeated when a signal interrupts it (EINTR). After that the wire answers
 * -EAGAIN, which makes core wait for readiness and try again: a storm of signals slows a connection
 * down, and nothing else. */
#define DW_EINTR_MAX 32

#endif
