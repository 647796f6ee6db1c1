/* SPDX-License-Identifier: MIT */
/*
 * The live wire's ways to wait, by name. Each row is one poller with a file of its own; which of
 * them this system has is theirs to say, by failing with ENOSYS.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    dw_reactor *(*create)(const dw_poll_options *options, const struct dw_syscalls *sys);
} pollers[] = {
    {"poll", dw_poll_new},
    {"epoll", dw_epoll_new},
    {"uring", dw_uring_new},
};

#ifdef __linux__
#define DEFAULT_POLLER "epoll"
#else
#define DEFAULT_POLLER "poll"
#endif

/* A kernel may know io_uring and refuse it (sysctl io_uring_disabled, a sandbox); what a program
 * does is the same on every poller, so it is served by another. */
static dw_reactor *fall_back(const dw_poll_options *options, const struct dw_syscalls *sys) {
    int why = errno;
    dw_reactor *reactor = dw_live_reactor_on(DEFAULT_POLLER, options, sys);
    if (reactor != NULL) {
        dw_reactor_log(reactor, "no io_uring here (%s); using %s instead", strerror(why),
                       DEFAULT_POLLER);
    }
    return reactor;
}

dw_reactor *dw_live_reactor_on(const char *poller, const dw_poll_options *options,
                               const struct dw_syscalls *sys) {
    const char *name = poller != NULL ? poller : DEFAULT_POLLER;
    for (size_t i = 0; i < sizeof(pollers) / sizeof(pollers[0]); i++) {
        if (strcmp(pollers[i].name, name) == 0) {
            dw_reactor *reactor = pollers[i].create(options, sys);
            bool refused = reactor == NULL && pollers[i].create == dw_uring_new &&
                           (errno == ENOSYS || errno == EPERM);
            return refused ? fall_back(options, sys) : reactor;
        }
    }
    errno = EINVAL;
    return NULL;
}

dw_reactor *dw_live_reactor_new(const char *poller, const dw_poll_options *options) {
    return dw_live_reactor_on(poller, options, &dw_syscalls_libc);
}

const char *dw_live_reactor_poller(const dw_reactor *reactor) {
    return reactor->wire->name;
}
