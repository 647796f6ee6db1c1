/* SPDX-License-Identifier: MIT */
/*
 * A host as an endpoint: Happy Eyeballs Version 2 (RFC 8305). One race per attempt: two lookups,
 * the addresses they bring, and attempts at these, a new one every so often.
 *
 * Invariant: while a race is on, a lookup, an attempt or the start of the next one is under way.
 * When none is left it has failed; when an attempt has made its connection, it is over and nothing
 * of it is left but that connection.
 */
#include "attempt.h"

enum { SIX, FOUR, SIDES };

typedef struct host_endpoint {
    dw_client_endpoint base; /* first */
    dw_host_options options; /* its defaults filled in; host and bind point into this block */
    dw_address bind;
    char host[];
} host_endpoint;

/* One family. */
typedef struct side {
    dw_lookup lookup;
    dw_address addresses[DW_HOST_ADDRESSES_MAX];
    unsigned count, next; /* known; the first that was not tried */
    int lookup_errno;     /* 0: there were addresses, or there still may be */
} side;

typedef struct race {
    struct dw_owned owned; /* first */
    const host_endpoint *endpoint;
    dw_connecting *connecting;
    side sides[SIDES];
    dw_delayed_call resolution; /* IPv4 waits for IPv6 */
    dw_delayed_call stagger;    /* the next attempt */
    dw_delayed_call timer;      /* the whole */
    dw_attempt *running[SIDES * DW_HOST_ADDRESSES_MAX];
    unsigned running_count;
    unsigned last;   /* the side of the last attempt */
    bool started;    /* with connecting: then addresses are tried as they come */
    bool failed;     /* an attempt was; then `worst` says how */
    dw_reason worst; /* the most telling reason so far */
} race;

/* ---- Its end ---- */

static void race_discard(dw_reactor *reactor, struct dw_owned *owned) {
    race *r = (race *)owned;
    dw_delayed_call_cancel(&r->resolution);
    dw_delayed_call_cancel(&r->stagger);
    dw_delayed_call_cancel(&r->timer);
    dw_free(reactor, r);
}

/* Nothing of it is under way any more. */
static dw_connecting *race_end(race *r) {
    dw_connecting *connecting = r->connecting;
    dw_reactor *reactor = r->endpoint->base.reactor;
    for (int i = 0; i < SIDES; i++) {
        dw_lookup_cancel(&r->sides[i].lookup);
    }
    while (r->running_count > 0) {
        dw_attempt_cancel(r->running[--r->running_count]);
    }
    list_remove(&r->owned.node);
    race_discard(reactor, &r->owned);
    return connecting;
}

static void race_fail(race *r, dw_error kind, int sys_errno) {
    dw_reason reason = {kind, sys_errno, NULL};
    dw_connecting_failed(race_end(r), &reason);
}

/* ---- How it fails ---- */

/* The further an attempt got, the more its end tells. */
static int telling(dw_error kind) {
    switch (kind) {
    case DW_NO_ROUTE:
        return 0; /* a family that this machine does not have, most often */
    case DW_CONNECT_BIND_ERROR:
        return 1;
    case DW_TIMEOUT:
    case DW_TCP_TIMED_OUT:
        return 3;
    case DW_CONNECTION_REFUSED:
        return 4;
    case DW_CONNECT_ERROR:
    case DW_NO_MEMORY:
        return 2;
    default:
        return 5; /* there was a connection */
    }
}

static void note_failure(race *r, const dw_reason *reason) {
    if (!r->failed || telling(reason->kind) > telling(r->worst.kind)) {
        r->failed = true;
        r->worst = *reason;
    }
}

/* A name server that fails tells more than one that knows of no address. */
static int lookup_errno(const race *r) {
    int six = r->sides[SIX].lookup_errno, four = r->sides[FOUR].lookup_errno;
    return four == 0 || (four == ENODATA && six != 0) ? six : four;
}

static void fail_if_over(race *r) {
    if (r->running_count > 0 || dw_lookup_active(&r->sides[SIX].lookup) ||
        dw_lookup_active(&r->sides[FOUR].lookup)) {
        return;
    }
    if (r->failed) {
        race_fail(r, r->worst.kind, r->worst.sys_errno);
    } else {
        race_fail(r, DW_DNS_LOOKUP, lookup_errno(r));
    }
}

/* ---- Attempts ---- */

static bool has_more(const side *s) {
    return s->next < s->count;
}

/* Families in turns (section 4, with a First Address Family Count of 1), IPv6 first. */
static const dw_address *next_address(race *r) {
    unsigned at = r->last == SIX ? FOUR : SIX;
    if (!has_more(&r->sides[at])) {
        at = 1 - at;
    }
    if (!has_more(&r->sides[at])) {
        return NULL;
    }
    r->last = at;
    return &r->sides[at].addresses[r->sides[at].next++];
}

static void forget_attempt(race *r, const dw_attempt *attempt) {
    for (unsigned i = 0; i < r->running_count; i++) {
        if (r->running[i] == attempt) {
            r->running[i] = r->running[--r->running_count];
            return;
        }
    }
}

static void attempt_made(void *user, dw_attempt *attempt, dw_protocol *protocol) {
    race *r = user;
    forget_attempt(r, attempt);
    dw_connecting_connected(race_end(r), protocol);
}

static void try_next(void *user);

/* The delay is for attempts that say nothing; with one that has failed there is nothing to wait
 * for. */
static void attempt_failed(void *user, dw_attempt *attempt, const dw_reason *reason) {
    race *r = user;
    forget_attempt(r, attempt);
    note_failure(r, reason);
    try_next(r);
}

static const dw_attempt_events attempt_events = {attempt_made, attempt_failed};

static int start_attempt(race *r, const dw_address *found) {
    const host_endpoint *endpoint = r->endpoint;
    dw_address address = *found;
    address.port = endpoint->options.port;
    /* The kernel's own time-out still holds, and the race's. */
    return dw_attempt_new(endpoint->base.reactor, &address, r->connecting->factory, -1,
                          endpoint->options.bind, &attempt_events, r,
                          &r->running[r->running_count]);
}

/* Begins the next attempt, if there is an address for it; the one after it comes later. */
static void try_next(void *user) {
    race *r = user;
    dw_delayed_call_cancel(&r->stagger);
    for (const dw_address *address; (address = next_address(r)) != NULL;) {
        int error = start_attempt(r, address);
        if (error == 0) {
            r->running_count++;
            dw_reactor_call_later(r->endpoint->base.reactor, &r->stagger,
                                  r->endpoint->options.attempt_delay, try_next, r);
            return;
        }
        note_failure(r, &(dw_reason){(dw_error)error, ENOMEM, NULL});
    }
    fail_if_over(r);
}

static void begin(void *user) {
    race *r = user;
    dw_delayed_call_cancel(&r->resolution);
    r->started = true;
    try_next(r);
}

/* ---- Lookups (section 3) ---- */

static side *side_of(dw_lookup *lookup) {
    return DW_CONTAINER_OF(lookup, side, lookup);
}

/* IPv6's first address starts the race; IPv4's lets IPv6 have a little longer. Once it has started,
 * a new address is tried when its turn comes, or now, if all others had theirs. */
static void address_found(dw_lookup *lookup, const dw_address *address) {
    race *r = lookup->user;
    side *s = side_of(lookup);
    const dw_host_options *options = &r->endpoint->options;
    if (s->count == DW_HOST_ADDRESSES_MAX) {
        return;
    }
    s->addresses[s->count++] = *address;
    if (r->started) {
        if (!dw_delayed_call_active(&r->stagger)) {
            try_next(r);
        }
    } else if (address->kind == DW_ADDRESS_IPV6 || options->resolution_delay <= 0 ||
               !dw_lookup_active(&r->sides[SIX].lookup)) {
        begin(r);
    } else if (!dw_delayed_call_active(&r->resolution)) {
        dw_reactor_call_later(r->endpoint->base.reactor, &r->resolution, options->resolution_delay,
                              begin, r);
    }
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    race *r = lookup->user;
    side_of(lookup)->lookup_errno = failure != NULL ? failure->sys_errno : 0;
    if (!r->started && has_more(&r->sides[FOUR]) && lookup == &r->sides[SIX].lookup) {
        begin(r); /* there is nothing to wait for any more */
    } else {
        fail_if_over(r);
    }
}

/* ---- As an endpoint ---- */

static void timed_out(void *user) {
    race_fail(user, DW_TIMEOUT, ETIMEDOUT);
}

static void look_up(race *r, int at, dw_family family) {
    const dw_host_options *options = &r->endpoint->options;
    if (options->family == DW_FAMILY_ANY || options->family == family) {
        dw_reactor_resolve(r->endpoint->base.reactor, &r->sides[at].lookup, options->host, family,
                           address_found, lookup_done, r);
    }
}

static int host_connect(dw_client_endpoint *base, dw_connecting *connecting) {
    const host_endpoint *endpoint = (const host_endpoint *)base;
    race *r = dw_new(base->reactor, race);
    if (r == NULL) {
        return DW_NO_MEMORY;
    }
    r->owned.discard = race_discard;
    r->endpoint = endpoint;
    r->connecting = connecting;
    r->last = FOUR;
    connecting->endpoint_data = r;
    list_add(&base->reactor->owned, &r->owned.node);
    look_up(r, SIX, DW_FAMILY_IPV6); /* AAAA first, then A without waiting */
    look_up(r, FOUR, DW_FAMILY_IPV4);
    if (endpoint->options.timeout > 0) {
        dw_reactor_call_later(base->reactor, &r->timer, endpoint->options.timeout, timed_out, r);
    }
    return 0;
}

static void host_cancel(dw_client_endpoint *base, dw_connecting *connecting) {
    (void)base;
    (void)race_end(connecting->endpoint_data);
}

static void host_destroy(dw_client_endpoint *base) {
    dw_free(base->reactor, base);
}

static const dw_client_endpoint_class host_class = {
    .name = "host", .connect = host_connect, .cancel = host_cancel, .destroy = host_destroy};

/* ---- Making one ---- */

/* bind's family is the only one that can work. False: it is not the one that is wanted. */
static bool settle_family(dw_host_options *options) {
    if (options->bind == NULL) {
        return true;
    }
    dw_family family = options->bind->kind == DW_ADDRESS_IPV6   ? DW_FAMILY_IPV6
                       : options->bind->kind == DW_ADDRESS_IPV4 ? DW_FAMILY_IPV4
                                                                : DW_FAMILY_ANY;
    bool fits =
        family != DW_FAMILY_ANY && (options->family == DW_FAMILY_ANY || options->family == family);
    options->family = family;
    return fits;
}

static dw_time or_default(dw_time value, dw_time fallback) {
    return value != 0 ? value : fallback;
}

dw_client_endpoint *dw_host_endpoint_new(dw_reactor *reactor, const dw_host_options *options) {
    dw_host_options settled = *options;
    size_t len = options->host != NULL ? strlen(options->host) : 0;
    settled.timeout = or_default(options->timeout, DW_CONNECT_TIMEOUT_DEFAULT);
    settled.attempt_delay = or_default(options->attempt_delay, DW_CONNECTION_ATTEMPT_DELAY);
    settled.resolution_delay = or_default(options->resolution_delay, DW_RESOLUTION_DELAY);
    if (len == 0 || len > DW_NAME_MAX || options->port == 0 || !settle_family(&settled) ||
        settled.attempt_delay < DW_CONNECTION_ATTEMPT_DELAY_MIN) {
        return NULL;
    }
    host_endpoint *endpoint = dw_alloc_zeroed(reactor, sizeof(*endpoint) + len + 1);
    if (endpoint == NULL) {
        return NULL;
    }
    dw_client_endpoint_init(&endpoint->base, &host_class, reactor);
    endpoint->options = settled;
    memcpy(endpoint->host, options->host, len + 1);
    endpoint->options.host = endpoint->host;
    if (options->bind != NULL) {
        endpoint->bind = *options->bind;
        endpoint->options.bind = &endpoint->bind;
    }
    return &endpoint->base;
}
