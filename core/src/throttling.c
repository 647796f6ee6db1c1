/* SPDX-License-Identifier: MIT */
/*
 * Throttling. Each limited direction has a check every second and the resumes that its checks
 * scheduled; all are cancelled when the last connection has gone (vectors/README.md, section 3
 * "Policies").
 *
 * A producer of the application is registered below as the wrapper's own, so that pauses of two
 * origins, the network's and the limit's, do not undo one another.
 */
#include "drywire/throttling.h"

#include "internal.h"

struct throttled {
    dw_protocol_wrapper base;
    dw_producer own;       /* registered below, for `producer` */
    dw_producer *producer; /* the application's, or NULL */
    bool streaming;
    bool held;       /* by the write limit */
    bool below_full; /* push: the transport below wants it paused */
    bool owed;       /* pull: a resume came while it was held */
    bool app_paused; /* the application paused reading */
    bool read_held;  /* by the read limit */
};

static struct throttled *throttled_of(dw_protocol_wrapper *w) {
    return DW_CONTAINER_OF(w, struct throttled, base);
}

static struct throttled *throttled_of_producer(dw_producer *own) {
    return DW_CONTAINER_OF(own, struct throttled, own);
}

static dw_throttling_factory *factory_of(dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_throttling_factory, base);
}

static dw_throttling_factory *factory_of_wrapper(dw_protocol_wrapper *w) {
    return factory_of(DW_CONTAINER_OF(w->base.factory, dw_wrapping_factory, base.base));
}

/* ---- One connection: counting and reading ---- */

static void throttled_data(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
    factory_of_wrapper(w)->read_.bytes += len;
    dw_protocol_wrapper_data_received(w, data, len);
}

/* After connection_lost the factory may be gone, and nothing is written any more. */
static void count_written(dw_protocol_wrapper *w, size_t len) {
    if (w->counted_) {
        factory_of_wrapper(w)->write_.bytes += len;
    }
}

static void throttled_write(dw_protocol_wrapper *w, const void *data, size_t len) {
    count_written(w, len);
    dw_transport_write(w->base.transport, data, len);
}

static void throttled_writev(dw_protocol_wrapper *w, const struct iovec *pieces, size_t count) {
    for (size_t i = 0; i < count; i++) {
        count_written(w, pieces[i].iov_len);
    }
    dw_transport_writev(w->base.transport, pieces, count);
}

static void throttled_pause(dw_protocol_wrapper *w) {
    throttled_of(w)->app_paused = true;
    dw_transport_pause_producing(w->base.transport);
}

static void throttled_resume(dw_protocol_wrapper *w) {
    throttled_of(w)->app_paused = false;
    if (!throttled_of(w)->read_held) {
        dw_transport_resume_producing(w->base.transport);
    }
}

static void hold_reading(struct throttled *c) {
    c->read_held = true;
    dw_transport_pause_producing(c->base.base.transport);
}

static void release_reading(struct throttled *c) {
    c->read_held = false;
    if (!c->app_paused) {
        dw_transport_resume_producing(c->base.base.transport);
    }
}

/* ---- One connection: its producer ---- */

static void producer_pause(dw_producer *own) {
    struct throttled *c = throttled_of_producer(own);
    c->below_full = true;
    if (c->producer->cls->pause_producing != NULL) {
        c->producer->cls->pause_producing(c->producer);
    }
}

static void producer_resume(dw_producer *own) {
    struct throttled *c = throttled_of_producer(own);
    c->below_full = false;
    if (c->held) {
        c->owed = true;
    } else {
        c->producer->cls->resume_producing(c->producer);
    }
}

static void producer_stop(dw_producer *own) {
    struct throttled *c = throttled_of_producer(own);
    dw_producer *producer = c->producer;
    c->producer = NULL;
    if (producer->cls->stop_producing != NULL) {
        producer->cls->stop_producing(producer);
    }
}

static const dw_producer_class own_class = {
    .name = "throttled",
    .pause_producing = producer_pause,
    .resume_producing = producer_resume,
    .stop_producing = producer_stop,
};

/* A pull producer registered during a pause of this connection waits for its end like the others;
 * `held` is false at a new one's first registration, so its first piece goes out at once. */
static int throttled_register(dw_protocol_wrapper *w, dw_producer *producer, bool streaming) {
    struct throttled *c = throttled_of(w);
    if (c->producer != NULL) {
        return DW_PRODUCER_REGISTERED;
    }
    c->producer = producer;
    c->streaming = streaming;
    c->below_full = c->owed = false;
    c->own.cls = &own_class;
    int error = dw_transport_register_producer(w->base.transport, &c->own, streaming);
    if (error < 0) {
        c->producer = NULL;
    }
    return error;
}

static void throttled_unregister(dw_protocol_wrapper *w) {
    throttled_of(w)->producer = NULL;
    dw_transport_unregister_producer(w->base.transport);
}

static void hold_producer(struct throttled *c) {
    c->held = true;
    if (c->producer != NULL && c->streaming && c->producer->cls->pause_producing != NULL) {
        c->producer->cls->pause_producing(c->producer);
    }
}

/* A push producer is resumed whether or not it was there when the pause began, as in Twisted; a
 * pull producer only if the transport asked for a piece meanwhile. */
static void release_producer(struct throttled *c) {
    bool owed = c->owed;
    c->held = c->owed = false;
    if (c->producer != NULL && (c->streaming ? !c->below_full : owed)) {
        c->producer->cls->resume_producing(c->producer);
    }
}

static const dw_protocol_wrapper_class throttled_class = {
    .data_received = throttled_data,
    .write = throttled_write,
    .writev = throttled_writev,
    .pause_producing = throttled_pause,
    .resume_producing = throttled_resume,
    .register_producer = throttled_register,
    .unregister_producer = throttled_unregister,
};

/* ---- All connections ---- */

/* Producers are the application's code and may end connections, the next one's too: so each node
 * moves from one list to the other before its turn. */
static void for_each(dw_throttling_factory *factory, void (*act)(struct throttled *)) {
    struct dw_list_node old;
    list_move(&old, &factory->base.connections_);
    while (!list_empty(&old)) {
        struct dw_list_node *node = old.next;
        list_remove(node);
        list_add(&factory->base.connections_, node);
        act(throttled_of(DW_CONTAINER_OF(node, dw_protocol_wrapper, node_)));
    }
}

/* How long it takes to make up for `bytes` read or written in one second: (bytes / limit - 1) s. A
 * pause of more than a century is one for ever. */
static dw_time pause_of(uint64_t bytes, uint64_t limit) {
    const uint64_t longest = UINT64_C(100) * 366 * 86400;
    uint64_t over = bytes - limit;
    uint64_t whole = over / limit, rest = over % limit;
    uint64_t ns_per_s = 1000000000;
    if (whole >= longest) {
        return (dw_time)(longest * ns_per_s);
    }
    while (rest > UINT64_MAX / ns_per_s) { /* keeps 30 bits of the fraction at least */
        rest >>= 1;
        limit >>= 1;
    }
    return (dw_time)(whole * ns_per_s + rest * ns_per_s / limit);
}

/* An earlier resume stays, as in Twisted, while there is room for both. */
static dw_delayed_call *free_resume(struct dw_throttle_ *throttle) {
    dw_delayed_call *last = &throttle->resume[0];
    for (size_t i = 0; i < DW_THROTTLING_PAUSES_MAX; i++) {
        dw_delayed_call *call = &throttle->resume[i];
        if (!dw_delayed_call_active(call)) {
            return call;
        }
        if (dw_delayed_call_time(call) > dw_delayed_call_time(last)) {
            last = call;
        }
    }
    return last;
}

static void say(dw_throttling_factory *factory, const char *what) {
    if (!factory->quiet) {
        dw_reactor_log(factory->base.reactor, "%s: %s", factory->base.wrapped->cls->name, what);
    }
}

/* The next check is armed last: of a check and a resume due at one instant, the one that was
 * scheduled first runs first. */
static void check(dw_throttling_factory *factory, struct dw_throttle_ *throttle, uint64_t limit,
                  void (*hold)(struct throttled *), dw_delayed_fn resume, dw_delayed_fn again) {
    dw_reactor *reactor = factory->base.reactor;
    if (limit > 0 && throttle->bytes > limit) {
        dw_time pause = pause_of(throttle->bytes, limit);
        for_each(factory, hold);
        if (factory->base.count_ == 0) {
            return; /* the producers ended all connections */
        }
        dw_reactor_call_later(reactor, free_resume(throttle), pause, resume, factory);
    }
    throttle->bytes = 0;
    dw_reactor_call_later(reactor, &throttle->check, DW_SEC(1), again, factory);
}

static void resume_reading(void *user) {
    say(user, "reading goes on");
    for_each(user, release_reading);
}

static void check_reading(void *user) {
    dw_throttling_factory *factory = user;
    if (factory->read_limit > 0 && factory->read_.bytes > factory->read_limit) {
        say(factory, "over the read limit, reading pauses");
    }
    check(factory, &factory->read_, factory->read_limit, hold_reading, resume_reading,
          check_reading);
}

static void resume_writing(void *user) {
    say(user, "writing goes on");
    for_each(user, release_producer);
}

static void check_writing(void *user) {
    dw_throttling_factory *factory = user;
    if (factory->write_limit > 0 && factory->write_.bytes > factory->write_limit) {
        say(factory, "over the write limit, producers pause");
    }
    check(factory, &factory->write_, factory->write_limit, hold_producer, resume_writing,
          check_writing);
}

static void cancel(struct dw_throttle_ *throttle) {
    dw_delayed_call_cancel(&throttle->check);
    for (size_t i = 0; i < DW_THROTTLING_PAUSES_MAX; i++) {
        dw_delayed_call_cancel(&throttle->resume[i]);
    }
}

/* ---- The factory ---- */

static dw_factory *admit(dw_wrapping_factory *base, const dw_address *peer) {
    (void)peer;
    if (base->count_ >= factory_of(base)->max_connections) {
        say(factory_of(base), "too many connections, one was refused");
        return NULL;
    }
    return base->wrapped;
}

/* With the first connection the checks begin, each with one at once: it sees what connections that
 * are gone read in their last second. */
static int built(dw_wrapping_factory *base, dw_protocol_wrapper *w, const dw_address *peer) {
    dw_throttling_factory *factory = factory_of(base);
    (void)w;
    (void)peer;
    if (base->count_ == 1) {
        if (factory->read_limit > 0) {
            check_reading(factory);
        }
        if (factory->write_limit > 0) {
            check_writing(factory);
        }
    }
    return 0;
}

static void ended(dw_wrapping_factory *base, dw_protocol_wrapper *w) {
    (void)w;
    if (base->count_ == 0) {
        cancel(&factory_of(base)->read_);
        cancel(&factory_of(base)->write_);
    }
}

static const dw_wrapping_factory_class throttling_class = {
    .name = "throttling",
    .wrapper = &throttled_class,
    .wrapper_size = sizeof(struct throttled),
    .admit = admit,
    .built = built,
    .ended = ended,
};

static void set_defaults(dw_throttling_factory *factory) {
    factory->read_limit = factory->write_limit = 0;
    factory->max_connections = SIZE_MAX;
    factory->quiet = false;
    factory->read_ = factory->write_ = (struct dw_throttle_){0};
}

void dw_throttling_factory_init(dw_throttling_factory *factory, dw_reactor *reactor,
                                dw_factory *wrapped) {
    dw_wrapping_factory_init(&factory->base, &throttling_class, reactor, wrapped);
    set_defaults(factory);
}

void dw_throttling_factory_init_client(dw_throttling_factory *factory, dw_reactor *reactor,
                                       dw_client_factory *wrapped) {
    dw_wrapping_factory_init_client(&factory->base, &throttling_class, reactor, wrapped);
    set_defaults(factory);
}
