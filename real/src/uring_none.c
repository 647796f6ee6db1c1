/* SPDX-License-Identifier: MIT */
/*
 * In the place of the io_uring reactor where the library was built without liburing.
 */
#include "live.h"

#include <errno.h>

dw_reactor *dw_uring_new(const dw_poll_options *options, const struct dw_syscalls *sys) {
    (void)options;
    (void)sys;
    errno = ENOSYS;
    return NULL;
}

dw_reactor *dw_uring_reactor_new(const dw_poll_options *options) {
    return dw_uring_new(options, &dw_syscalls_libc);
}
