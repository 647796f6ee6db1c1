/* SPDX-License-Identifier: MIT */
/*
 * The poll(2) reactor: the set of watched descriptors, the wait, and the table that core calls.
 *
 * Two dense arrays side by side: what the kernel is asked (fds) and whose it is (ios). Invariant:
 * io->slot is the io's index in both, and 0, which is the wake pipe's index, when it is in neither.
 * An io that wants nothing is not in the set, for poll reports POLLHUP and POLLERR to whoever is. A
 * place for each open socket is kept from its opening on, so that watching never fails.
 */
#include "live.h"

#include <errno.h>
#include <string.h>

#define SET_ROOM_FIRST 16
#define SET_ROOM_MAX   (UINT32_MAX / 4)

struct poll_reactor {
    struct dw_live live;
    struct pollfd *fds;
    dw_io **ios;
    uint32_t count;   /* in the set, with the wake pipe */
    uint32_t room;    /* of both arrays; always more than `sockets` */
    uint32_t sockets; /* open, watched or not */
};

static struct poll_reactor *poll_of(dw_reactor *reactor) {
    return (struct poll_reactor *)reactor;
}

/* ---- The set ---- */

static short events_of(unsigned want) {
    return (short)(((want & DW_READABLE) != 0 ? POLLIN : 0) |
                   ((want & DW_WRITABLE) != 0 ? POLLOUT : 0));
}

/* An error or a hang-up is found out by doing what one wanted to do. */
static unsigned ready_of(short revents) {
    unsigned ready = 0;
    if ((revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL)) != 0) {
        ready |= DW_READABLE;
    }
    if ((revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) != 0) {
        ready |= DW_WRITABLE;
    }
    return ready;
}

static int set_grow(struct poll_reactor *self, uint32_t room) {
    dw_reactor *reactor = &self->live.base;
    struct pollfd *fds = dw_resize(reactor, self->fds, room * sizeof(*fds));
    if (fds == NULL) {
        return -ENOMEM;
    }
    self->fds = fds;
    dw_io **ios = dw_resize(reactor, self->ios, room * sizeof(*ios));
    if (ios == NULL) {
        return -ENOMEM; /* fds is larger than it needs to be, which harms nobody */
    }
    self->ios = ios;
    self->room = room;
    return 0;
}

/* Makes sure that one more socket will have its place. */
static int set_reserve(struct poll_reactor *self) {
    if (self->sockets + 1 < self->room) {
        return 0;
    }
    return self->room > SET_ROOM_MAX ? -ENOMEM : set_grow(self, self->room * 2);
}

static void set_add(struct poll_reactor *self, dw_io *io) {
    uint32_t at = self->count++;
    self->fds[at] = (struct pollfd){.fd = (int)io->socket};
    io->slot = at;
}

/* The last one moves into the gap, with its revents; see dispatch for why that is safe there. */
static void set_remove(struct poll_reactor *self, dw_io *io) {
    uint32_t at = io->slot;
    uint32_t last = --self->count;
    if (at != last) {
        self->fds[at] = self->fds[last];
        self->ios[at] = self->ios[last];
        self->ios[at]->slot = at;
    }
    io->slot = 0;
}

static void poll_watch(dw_reactor *reactor, dw_io *io) {
    struct poll_reactor *self = poll_of(reactor);
    if (io->want == 0) {
        if (io->slot != 0) {
            set_remove(self, io);
        }
        return;
    }
    if (io->slot == 0) {
        set_add(self, io);
    }
    self->fds[io->slot].events = events_of(io->want);
    self->ios[io->slot] = io;
}

/* ---- The wait ---- */

/* From the last entry to the first. A callback may add entries (at the end, with no revents) and
 * remove any; what then moves is the last entry, which has been seen already and so has no revents
 * left, or is not yet seen and moves to a lower index, still to be seen. So each result is reported
 * once at most, none is missed, and no pointer is kept over a callback. The wake pipe comes last.
 */
static void dispatch(struct poll_reactor *self, int found) {
    for (uint32_t i = self->count; i-- > 0 && found > 0;) {
        if (i >= self->count || self->fds[i].revents == 0) {
            continue;
        }
        found--;
        unsigned ready = ready_of(self->fds[i].revents);
        self->fds[i].revents = 0;
        if (i == 0) {
            dw_live_woken(&self->live);
            continue;
        }
        dw_io *io = self->ios[i];
        ready &= io->want;
        if (ready != 0) {
            dw_io_ready(&self->live.base, io, ready);
        }
    }
}

static int poll_wait(dw_reactor *reactor, dw_time timeout) {
    struct poll_reactor *self = poll_of(reactor);
    struct timespec limit = {.tv_sec = 0};
    if (timeout > 0) {
        limit.tv_sec = (time_t)(timeout / DW_SEC(1));
        limit.tv_nsec = (long)(timeout % DW_SEC(1));
    }
    int found = self->live.sys->ppoll(self->fds, self->count, timeout < 0 ? NULL : &limit, NULL);
    if (found >= 0) {
        dispatch(self, found);
        return 0;
    }
    if (errno != EINTR) {
        return -errno;
    }
    /* A signal, perhaps one of ours. The loop looks at its calls and comes back. */
    dw_live_woken(&self->live);
    return 0;
}

/* ---- Life ---- */

static int poll_reserve(struct dw_live *live) {
    struct poll_reactor *self = (struct poll_reactor *)live;
    int error = set_reserve(self);
    self->sockets += error == 0;
    return error;
}

static void poll_forget(struct dw_live *live, dw_io *io) {
    struct poll_reactor *self = (struct poll_reactor *)live;
    if (io->slot != 0) {
        set_remove(self, io);
    }
    self->sockets--;
}

static void poll_fini(struct dw_live *live) {
    struct poll_reactor *self = (struct poll_reactor *)live;
    dw_free(&live->base, self->fds);
    dw_free(&live->base, self->ios);
}

static const struct dw_poller poller = {
    .reserve = poll_reserve,
    .forget = poll_forget,
    .fini = poll_fini,
};

static const dw_wire poll_wire = {
    .name = "poll",
    DW_LIVE_CLOCK_SLOTS,
    DW_LIVE_NAME_SLOTS,
    DW_LIVE_SOCKET_SLOTS,
    DW_LIVE_STREAM_SLOTS,
    DW_LIVE_PROCESS_SLOTS,
    .watch = poll_watch,
    .wait = poll_wait,
};

/* The wake pipe takes index 0 for good. */
static int set_init(struct poll_reactor *self) {
    int error = set_grow(self, SET_ROOM_FIRST);
    if (error == 0) {
        self->fds[0] = (struct pollfd){.fd = self->live.wake_read, .events = POLLIN};
        self->ios[0] = NULL;
        self->count = 1;
    }
    return error;
}

dw_reactor *dw_poll_new(const dw_poll_options *options, const struct dw_syscalls *sys) {
    struct dw_live *live =
        dw_live_new(sizeof(struct poll_reactor), options, sys, &poll_wire, &poller);
    if (live == NULL) {
        return NULL;
    }
    int error = set_init((struct poll_reactor *)live);
    if (error != 0) {
        dw_reactor_free(&live->base);
        errno = -error;
        return NULL;
    }
    return &live->base;
}

dw_reactor *dw_poll_reactor_new(const dw_poll_options *options) {
    return dw_poll_new(options, &dw_syscalls_libc);
}

size_t dw_poll_reactor_descriptors(const dw_reactor *reactor, struct pollfd *out, size_t max) {
    if (reactor->wire != &poll_wire) {
        return 0;
    }
    const struct poll_reactor *self = (const struct poll_reactor *)reactor;
    memcpy(out, self->fds, (max < self->count ? max : self->count) * sizeof(*out));
    return self->count;
}

int dw_poll_reactor_signal(const dw_reactor *reactor) {
    return ((const struct dw_live *)reactor)->signal;
}
