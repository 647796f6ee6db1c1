/* SPDX-License-Identifier: MIT */
/*
 * Every system call that the live wire makes, as one table of functions. A reactor borrows a table
 * and calls nothing else, so a test can count a call, delay it, or let the n-th one fail. The
 * functions keep their manual page's contract: -1 and errno, or what their page says.
 */
#ifndef DRYWIRE_REAL_SYSCALLS_H
#define DRYWIRE_REAL_SYSCALLS_H

#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

struct dw_syscalls {
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *address, socklen_t len);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, struct sockaddr *address, socklen_t *len, int flags);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t len);
    ssize_t (*recv)(int fd, void *buffer, size_t len, int flags);
    ssize_t (*send)(int fd, const void *data, size_t len, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*duplicate)(int fd); /* fcntl(2), F_DUPFD_CLOEXEC */
    int (*dup2)(int from, int to);
    int (*set_nonblocking)(int fd);
    int (*getsockname)(int fd, struct sockaddr *address, socklen_t *len);
    int (*getpeername)(int fd, struct sockaddr *address, socklen_t *len);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
    int (*chmod)(const char *path, mode_t mode);
    int (*unlink)(const char *path);
    int (*lstat)(const char *path, struct stat *out);
    int (*fstat)(int fd, struct stat *out);
    int (*getifaddrs)(struct ifaddrs **out);
    void (*freeifaddrs)(struct ifaddrs *list);
    unsigned (*if_nametoindex)(const char *name);

    int (*ppoll)(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
#ifdef __linux__
    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epoll, int operation, int fd, struct epoll_event *event);
    /* Waits `timeout` nanoseconds, not at all (0), or for ever (negative). */
    int (*epoll_wait)(int epoll, struct epoll_event *events, int max, int64_t timeout);
#endif
    int (*pipe2)(int fds[2], int flags);
    int (*open)(const char *path, int flags);
    ssize_t (*read)(int fd, void *buffer, size_t len);
    ssize_t (*write)(int fd, const void *buffer, size_t len);
    ssize_t (*writev)(int fd, const struct iovec *pieces, int count);
    int (*fcntl)(int fd, int command, int value);

    /* Child processes. Calls run(user), which does not return, in a new process that has our memory
     * and goes before us (vfork(2)); returns its pid. */
    pid_t (*vfork_run)(void (*run)(void *user), void *user);
    int (*pidfd_open)(pid_t pid, unsigned flags);
    int (*pidfd_send_signal)(int pidfd, int signal);
    int (*waitid)(idtype_t type, id_t id, siginfo_t *info, int options);
    int (*kill)(pid_t pid, int signal);
    int (*close_range)(unsigned first, unsigned last, unsigned flags); /* in the child */
    int (*pthread_sigmask)(int how, const sigset_t *set, sigset_t *old);

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
