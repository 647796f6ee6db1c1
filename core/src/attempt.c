/* SPDX-License-Identifier: MIT */
/*
 * One connector on behalf of an endpoint: a client factory that stands in for the program's, which
 * is an ordinary one, and hears how the attempt ends.
 *
 * Invariant: an attempt lives as long as its connector uses it as a factory, that is until the
 * connection is over; `events` is set until one of its functions is called or the attempt is
 * cancelled. Called by the endpoints of core.
 */
#include "attempt.h"

struct dw_attempt {
    struct dw_owned owned; /* first */
    struct dw_stand_in stand_in;
    dw_reactor *reactor;
    dw_factory *factory;     /* the program's; NULL: let go */
    dw_connector *connector; /* NULL: over, or not begun */
    const dw_attempt_events *events;
    void *user;
    bool making;    /* between build_protocol and the end of connection_made */
    bool cancelled; /* in there */
    bool stopped;   /* in there: free it afterwards */
};

static dw_attempt *attempt_of(dw_factory *stand_in) {
    return DW_CONTAINER_OF(stand_in, dw_attempt, stand_in.factory.base);
}

void dw_owned_discard(dw_reactor *reactor) {
    while (!list_empty(&reactor->owned)) {
        struct dw_owned *owned = DW_CONTAINER_OF(reactor->owned.next, struct dw_owned, node);
        list_remove(&owned->node);
        owned->discard(reactor, owned);
    }
}

/* ---- Its end ---- */

static void discard(dw_reactor *reactor, struct dw_owned *owned) {
    dw_free(reactor, owned);
}

static void attempt_free(dw_attempt *attempt) {
    list_remove(&attempt->owned.node);
    dw_free(attempt->reactor, attempt);
}

/* The program's factory is no longer used: told before anything that may free it. */
static void let_factory_go(dw_attempt *attempt) {
    dw_factory *factory = attempt->factory;
    attempt->factory = NULL;
    if (factory != NULL) {
        dw_factory_do_stop(factory);
    }
}

static void report_failed(dw_attempt *attempt, const dw_reason *reason) {
    const dw_attempt_events *events = attempt->events;
    attempt->events = NULL;
    let_factory_go(attempt);
    if (events != NULL) {
        events->failed(attempt->user, attempt, reason);
    }
}

/* ---- As a factory ---- */

static dw_protocol *build(dw_factory *stand_in, const dw_address *peer) {
    dw_attempt *attempt = attempt_of(stand_in);
    attempt->making = true;
    return attempt->factory->cls->build_protocol(attempt->factory, peer);
}

static void start(dw_factory *stand_in) {
    dw_factory_do_start(attempt_of(stand_in)->factory);
}

static void stop(dw_factory *stand_in) {
    dw_attempt *attempt = attempt_of(stand_in);
    let_factory_go(attempt);
    if (attempt->making) {
        attempt->stopped = true;
    } else {
        attempt_free(attempt);
    }
}

static void connecting_failed(dw_client_factory *stand_in, dw_connector *connector,
                              const dw_reason *reason) {
    dw_attempt *attempt = attempt_of(&stand_in->base);
    (void)connector;
    attempt->connector = NULL;
    attempt->making = false;
    report_failed(attempt, reason);
}

/* Still nobody has heard of it when the program gave the connection up inside connection_made. */
static void connection_lost(dw_client_factory *stand_in, dw_connector *connector,
                            const dw_reason *reason) {
    dw_attempt *attempt = attempt_of(&stand_in->base);
    (void)connector;
    attempt->connector = NULL;
    report_failed(attempt, reason);
}

static const dw_client_factory_class stand_in_class = {
    .base = {.name = "endpoint", .build_protocol = build, .start = start, .stop = stop},
    .client_connection_failed = connecting_failed,
    .client_connection_lost = connection_lost,
};

/* Tells how connection_made went; a connection that was cancelled in there is closed. */
static void made(dw_client_factory *stand_in, dw_protocol *protocol) {
    static const dw_reason none = {DW_NO_PROTOCOL, 0, NULL};
    dw_attempt *attempt = attempt_of(&stand_in->base);
    const dw_attempt_events *events = attempt->events;
    if (attempt->cancelled && attempt->connector != NULL) {
        dw_connector_disconnect(attempt->connector);
    }
    if (protocol == NULL) {
        report_failed(attempt, &none);
    } else if (events != NULL) {
        attempt->events = NULL;
        events->made(attempt->user, attempt, protocol);
    }
    attempt->making = false;
    if (attempt->stopped) {
        attempt_free(attempt);
    }
}

/* ---- Life ---- */

static int connect_to(dw_attempt *attempt, const dw_address *address, dw_time timeout,
                      const dw_address *bind) {
    char host[DW_ADDRESS_TEXT_MAX];
    dw_client_factory *factory = &attempt->stand_in.factory;
    dw_address_format_host(address, host, sizeof(host));
    if (address->kind == DW_ADDRESS_UNIX) {
        return dw_reactor_connect_unix(attempt->reactor, host, factory, timeout,
                                       &attempt->connector);
    }
    return dw_reactor_connect_tcp(attempt->reactor, host, address->port, factory, timeout, bind,
                                  &attempt->connector);
}

int dw_attempt_new(dw_reactor *reactor, const dw_address *address, dw_factory *factory,
                   dw_time timeout, const dw_address *bind, const dw_attempt_events *events,
                   void *user, dw_attempt **out) {
    dw_attempt *attempt = dw_new(reactor, dw_attempt);
    if (attempt == NULL) {
        return DW_NO_MEMORY;
    }
    dw_client_factory_init(&attempt->stand_in.factory, &stand_in_class);
    attempt->stand_in.stood_in_for = factory;
    attempt->stand_in.made = made;
    attempt->owned.discard = discard;
    attempt->reactor = reactor;
    attempt->factory = factory;
    attempt->events = events;
    attempt->user = user;
    list_add(&reactor->owned, &attempt->owned.node);
    int error = connect_to(attempt, address, timeout, bind);
    if (error < 0) {
        attempt_free(attempt);
        return error;
    }
    dw_connector_stand_in(attempt->connector);
    *out = attempt;
    return 0;
}

void dw_attempt_cancel(dw_attempt *attempt) {
    attempt->events = NULL;
    if (attempt->making) {
        attempt->cancelled = true; /* its connection is there: closed when the callback returns */
    } else {
        dw_connector_stop_connecting(attempt->connector);
    }
}
