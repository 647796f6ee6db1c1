/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the program's: a table by number, as the numbers are small and few. An entry lives
 * as long as one of its directions is watched, or its callbacks run.
 *
 * Invariant: an entry that is in the table has a direction with a function, and exactly those are
 * wanted of the wire. What the wire cannot wait for (a regular file) is ready in every turn, by a
 * delayed call without delay.
 */
#include "internal.h"

#define TABLE_ROOM_FIRST 32

enum { READER, WRITER, DIRECTIONS };

static const uint8_t ready_bit[DIRECTIONS] = {DW_READABLE, DW_WRITABLE};

struct dw_descriptor {
    dw_watched watched;
    dw_reactor *reactor;
    int fd;
    unsigned busy;        /* callbacks of it on the stack */
    bool always;          /* the wire cannot wait for it */
    dw_delayed_call turn; /* then */
    struct {
        dw_descriptor_fn fn; /* NULL: not watched */
        void *user;
    } direction[DIRECTIONS];
};

typedef struct dw_descriptor descriptor;

static descriptor *find(const dw_reactor *reactor, int fd) {
    return fd >= 0 && (uint32_t)fd < reactor->descriptor_room ? reactor->descriptors[fd] : NULL;
}

static unsigned wanted(const descriptor *d) {
    unsigned want = 0;
    for (int i = 0; i < DIRECTIONS; i++) {
        want |= d->direction[i].fn != NULL ? ready_bit[i] : 0u;
    }
    return want;
}

/* ---- Being ready ---- */

static void free_unless_used(descriptor *d) {
    if (d->busy == 0 && find(d->reactor, d->fd) != d) {
        dw_free(d->reactor, d);
    }
}

static void call_direction(descriptor *d, int i, unsigned ready) {
    if ((ready & ready_bit[i]) != 0 && d->direction[i].fn != NULL) {
        d->direction[i].fn(d->direction[i].user);
        dw_reactor_flush(d->reactor);
    }
}

static void call_all(descriptor *d, unsigned ready) {
    d->busy++;
    for (int i = 0; i < DIRECTIONS; i++) {
        call_direction(d, i, ready);
    }
    d->busy--;
    free_unless_used(d);
}

static void on_ready(dw_reactor *reactor, dw_watched *watched, unsigned ready) {
    (void)reactor;
    call_all(DW_CONTAINER_OF(watched, descriptor, watched), ready);
}

static void on_turn(void *user) {
    descriptor *d = user;
    dw_reactor_call_later(d->reactor, &d->turn, 0, on_turn, d);
    call_all(d, wanted(d));
}

/* ---- The table ---- */

static int table_reserve(dw_reactor *reactor, uint32_t fd) {
    uint32_t room = reactor->descriptor_room > 0 ? reactor->descriptor_room : TABLE_ROOM_FIRST;
    if (fd < reactor->descriptor_room) {
        return 0;
    }
    while (room <= fd) {
        room *= 2;
    }
    descriptor **table = dw_resize(reactor, reactor->descriptors, room * sizeof(descriptor *));
    if (table == NULL) {
        return DW_NO_MEMORY;
    }
    for (uint32_t i = reactor->descriptor_room; i < room; i++) {
        table[i] = NULL;
    }
    reactor->descriptors = table;
    reactor->descriptor_room = room;
    return 0;
}

static int adopt_error(dw_reactor *reactor, int error) {
    if (error == -EBADF || error == -EINVAL) {
        return DW_INVALID_ARGUMENT;
    }
    if (error == -ENOMEM) {
        return DW_NO_MEMORY;
    }
    reactor->last_errno = -error;
    return DW_SYSTEM_ERROR;
}

/* Makes it the wire's; or, when the wire cannot wait for it, the turns'. */
static int adopt(descriptor *d) {
    int error = d->reactor->wire->adopt(d->reactor, &d->watched.io, d->fd);
    if (error == -EPERM) { /* epoll_ctl(2): not a kind of file that can be waited for */
        d->always = true;
        dw_reactor_call_later(d->reactor, &d->turn, 0, on_turn, d);
        return 0;
    }
    return error < 0 ? adopt_error(d->reactor, error) : 0;
}

/* Out of the table, off the wire; the memory goes when nobody is in it. */
static void discard(descriptor *d) {
    dw_reactor *reactor = d->reactor;
    reactor->descriptors[d->fd] = NULL;
    if (d->always) {
        (void)dw_delayed_call_cancel(&d->turn);
    } else {
        reactor->wire->close(reactor, &d->watched.io, false);
    }
    free_unless_used(d);
}

/* A new entry, in the table. */
static int enter(dw_reactor *reactor, int fd, descriptor **out) {
    int error = table_reserve(reactor, (uint32_t)fd);
    descriptor *d = error == 0 ? dw_new(reactor, descriptor) : NULL;
    if (d == NULL) {
        return DW_NO_MEMORY;
    }
    d->watched.io = (dw_io){.socket = DW_SOCKET_NONE, .kind = DW_IO_WATCHED};
    d->watched.ready = on_ready;
    d->reactor = reactor;
    d->fd = fd;
    error = adopt(d);
    if (error != 0) {
        dw_free(reactor, d);
        return error;
    }
    reactor->descriptors[fd] = d;
    *out = d;
    return 0;
}

/* Tells the wire what is wanted; nothing wanted: the end. */
static void update(descriptor *d) {
    unsigned want = wanted(d);
    if (want == 0) {
        discard(d);
    } else if (!d->always && want != d->watched.io.want) {
        d->watched.io.want = (uint8_t)want;
        d->reactor->wire->watch(d->reactor, &d->watched.io);
    }
}

/* ---- Verbs ---- */

static int add(dw_reactor *reactor, int fd, int i, dw_descriptor_fn fn, void *user) {
    if (reactor->wire->adopt == NULL) {
        return DW_UNSUPPORTED;
    }
    if (fd < 0 || fn == NULL) {
        return DW_INVALID_ARGUMENT;
    }
    descriptor *d = find(reactor, fd);
    int error = d == NULL ? enter(reactor, fd, &d) : 0;
    if (error != 0) {
        return error;
    }
    d->direction[i].fn = fn;
    d->direction[i].user = user;
    update(d);
    return 0;
}

static bool take_away(descriptor *d, int i) {
    if (d == NULL || d->direction[i].fn == NULL) {
        return false;
    }
    d->direction[i].fn = NULL;
    update(d);
    return true;
}

int dw_reactor_add_reader(dw_reactor *reactor, int fd, dw_descriptor_fn fn, void *user) {
    return add(reactor, fd, READER, fn, user);
}

int dw_reactor_add_writer(dw_reactor *reactor, int fd, dw_descriptor_fn fn, void *user) {
    return add(reactor, fd, WRITER, fn, user);
}

bool dw_reactor_remove_reader(dw_reactor *reactor, int fd) {
    return take_away(find(reactor, fd), READER);
}

bool dw_reactor_remove_writer(dw_reactor *reactor, int fd) {
    return take_away(find(reactor, fd), WRITER);
}

size_t dw_reactor_remove_all(dw_reactor *reactor) {
    size_t count = 0;
    for (uint32_t fd = 0; fd < reactor->descriptor_room; fd++) {
        for (int i = 0; i < DIRECTIONS; i++) {
            count += take_away(reactor->descriptors[fd], i);
        }
    }
    return count;
}

size_t dw_reactor_watched(const dw_reactor *reactor) {
    size_t count = 0;
    for (uint32_t fd = 0; fd < reactor->descriptor_room; fd++) {
        for (int i = 0; i < DIRECTIONS; i++) {
            const descriptor *d = reactor->descriptors[fd];
            count += d != NULL && d->direction[i].fn != NULL;
        }
    }
    return count;
}

void dw_descriptors_fini(dw_reactor *reactor) {
    (void)dw_reactor_remove_all(reactor);
    dw_free(reactor, reactor->descriptors);
    reactor->descriptors = NULL;
    reactor->descriptor_room = 0;
}
