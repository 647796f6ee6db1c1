/* SPDX-License-Identifier: MIT */
/*
 * What the tests of delayed calls share: calls that note their name when they run, then do
 * something. Included by test_core_timers*.c.
 */
#ifndef DRYWIRE_TESTS_TIMER_CALLS_H
#define DRYWIRE_TESTS_TIMER_CALLS_H

#include "test_core_wire.h"

/* A call that notes its name, then does something. */
typedef struct call {
    dw_delayed_call call;
    fake *f;
    const char *name;
    void (*then)(struct call *c);
    struct call *other;
    int result;
} call;

static char fired[REC_LOG_MAX];
static call a, b, c, d;

static inline void fire(void *user) {
    call *self = user;
    say(fired, self->name);
    if (self->then != NULL) {
        self->then(self);
    }
}

static inline void arm(call *self, dw_time delay) {
    dw_reactor_call_later(&self->f->reactor, &self->call, delay, fire, self);
}

static inline fake *calls_new(void) {
    fake *f = fake_new();
    fired[0] = '\0';
    a = (call){.f = f, .name = "a"};
    b = (call){.f = f, .name = "b"};
    c = (call){.f = f, .name = "c"};
    d = (call){.f = f, .name = "d"};
    return f;
}

#endif
