/* SPDX-License-Identifier: MIT */
/*
 * The live wire: real sockets. One reactor, one thread; several reactors on several threads are
 * fine.
 *
 *     dw_reactor *reactor = dw_live_reactor_new(NULL, NULL);
 *     dw_reactor_listen_tcp(reactor, 6379, &factory, 0, NULL, NULL);
 *     dw_reactor_run(reactor);
 *     dw_reactor_free(reactor);
 */
#ifndef DRYWIRE_REAL_H
#define DRYWIRE_REAL_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

/* How host names are looked up. c-ares asks the name servers itself, in the loop: nothing waits for
 * a dead one, A and AAAA are asked for at once, a look-up can be given up. It knows the hosts file
 * and the servers of resolv.conf, and no other source that the system may be configured to use
 * (nsswitch.conf). getaddrinfo does, on up to four threads of the reactor's own; dw_reactor_free
 * waits for those that are under way. */
typedef enum dw_name_lookup {
    DW_NAMES_BEST = 0, /* c-ares if the library was built with it, else getaddrinfo */
    DW_NAMES_THREADS,  /* getaddrinfo */
    DW_NAMES_ARES,     /* c-ares; the constructor fails with ENOTSUP without it */
} dw_name_lookup;

/* Zero is the default everywhere. */
typedef struct dw_poll_options {
    const dw_allocator *allocator; /* default: malloc, and slabs for what is small */
    bool no_signals;               /* leave SIGINT and SIGTERM alone; default: they stop run */
    dw_name_lookup names;
    /* For c-ares: the name servers, "192.0.2.53,[2001:db8::53]:5353", copied; the time-out of the
     * first try at a server; tries at each. Defaults: the system's, or 5 s, or 4. What is no such
     * list of servers fails every look-up with EINVAL. */
    const char *dns_servers;
    dw_time dns_timeout;
    int dns_tries;
} dw_poll_options;

/* Returns a new reactor that waits by `poller`: "poll", "epoll" (Linux), "uring" (Linux), or NULL
 * for this system's default, which is epoll where there is one, else poll. To be freed with
 * dw_reactor_free. NULL with errno set: EINVAL for a name that is none of these, ENOSYS for one
 * that this system does not have. `options` as below.
 *
 * Where the system does not have "uring" or refuses it (ENOSYS, EPERM), a line on standard error
 * says so, and the reactor is the default one; dw_live_reactor_poller tells. */
dw_reactor *dw_live_reactor_new(const char *poller, const dw_poll_options *options);

/* The name of the poller that `reactor`, one of this page's, waits by; lives as long as the
 * program. */
const char *dw_live_reactor_poller(const dw_reactor *reactor);

/* Returns a new reactor on epoll(7), as dw_poll_reactor_new does; fails with ENOSYS where there is
 * none. Its cost does not grow with the number of idle connections. */
dw_reactor *dw_epoll_reactor_new(const dw_poll_options *options);

/* Returns a new reactor on io_uring(7), the counterpart of Twisted's IOCP reactor, as
 * dw_poll_reactor_new does. What all its TCP connections send and receive in a turn takes one
 * system call together. Fails with ENOSYS when the kernel is older than Linux 6.1 or has no
 * io_uring, or the library was built without liburing; with EPERM when the kernel refuses it here
 * (sysctl io_uring_disabled, seccomp); ENOMEM, EMFILE.
 *
 * It belongs to the thread that first runs or iterates it: on another one these fail with EEXIST.
 * It may be made on one thread, run on a second, and be freed on a third when the second has ended.
 */
dw_reactor *dw_uring_reactor_new(const dw_poll_options *options);

/* Returns a new reactor on poll(2), to be freed with dw_reactor_free, or NULL with errno set.
 * `options` may be NULL.
 *
 * Signals: while it runs, SIGINT and SIGTERM act as dw_reactor_stop unless switched off; the
 * handlers that were there before come back when run returns. Where several reactors run in one
 * process, a signal stops all of them that have it switched on, and the old handlers come back when
 * the last of these returns. A handler that the program sets during run stays. At most 64 such runs
 * at once. SIGPIPE is never raised by a connection or a pipe to a child.
 *
 * Child processes: only those started here are waited for. Their ends are told by pidfds. Where
 * there are none (before Linux 5.3, in some sandboxes, or when descriptors have run out) our
 * SIGCHLD handler is in while such a child lives, and calls the one that it replaces; a program
 * that sets another meanwhile, or blocks SIGCHLD in all its threads, must then not expect to hear
 * of them. A program that ignores SIGCHLD, or waits for any child by itself, takes the exit status
 * from us: it is reported as 255, and logged. Spawning holds the thread up until the program is
 * loaded (vfork).
 *
 * Names: see dw_name_lookup, and drywire/resolver.h for a resolver of one's own. */
dw_reactor *dw_poll_reactor_new(const dw_poll_options *options);

/* For a foreign loop (drywire/embed.h): what a reactor on poll(2) waits for. Writes up to `max`
 * entries to `out` and returns how many there are, 0 for a reactor that waits in another way; to be
 * asked anew before each wait. */
struct pollfd;
size_t dw_poll_reactor_descriptors(const dw_reactor *reactor, struct pollfd *out, size_t max);

/* The signal that ended the last run, or 0: a program that wants to die of it as a shell expects
 * can raise it again. */
int dw_poll_reactor_signal(const dw_reactor *reactor);

DW_END_DECLS

#endif
