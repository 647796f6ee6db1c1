/* SPDX-License-Identifier: MIT */
/*
 * Names by c-ares: questions to the name servers over the reactor's own loop, without a thread. Its
 * sockets are watched as any descriptor is, its time-outs are a delayed call, and both families are
 * asked for at once, each answer handed over as it comes.
 *
 * Invariant: no callback of the program runs inside c-ares. What it answers is put into a list,
 * which is handed over when it has returned. A query lives until c-ares has answered each of its
 * questions, for it can take back none; a cancelled one has no lookup, and when only such are left
 * c-ares is told to drop them all.
 */
#include "live.h"

#include <ares.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* Sockets of c-ares that can be watched at once: one for UDP and one for TCP at each server. What
 * is more is not heard, so that its server counts as dead. */
enum { WATCHES_MAX = 16, FAMILIES = 2 };

typedef struct question {
    struct question *next; /* in the list of answered ones */
    struct name_query *query;
    struct ares_addrinfo *result;
    dw_address special; /* an answer that needs no server, or none */
    int error;          /* 0 or -errno */
    int family;
} question;

typedef struct name_query {
    struct dw_ares *ares;
    dw_lookup *lookup; /* NULL: cancelled */
    question questions[FAMILIES];
    unsigned open; /* questions that were not answered, or are not handed over */
    int error;     /* the most telling so far */
} name_query;

typedef struct watch {
    dw_watched watched; /* first */
    struct dw_ares *ares;
    int fd; /* -1: not in use */
} watch;

struct dw_ares {
    struct dw_live *live;
    ares_channel channel;
    dw_delayed_call timer;
    question *answered, **answered_end;
    unsigned wanted; /* queries that have a lookup */
    watch watches[WATCHES_MAX];
};

/* ---- Errors and special names ---- */

static int error_of(int status) {
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_ENONAME:
        return -ENODATA;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ECONNREFUSED: /* also where all servers say SERVFAIL */
        return -EAGAIN;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return -ECANCELED;
    default:
        return -EIO; /* an answer that makes no sense, above all */
    }
}

/* Whether `name` is, or ends in a label that is, `domain`; a final dot means nothing. */
static bool within(const char *name, const char *domain) {
    size_t len = strlen(name), domain_len = strlen(domain);
    len -= len > 0 && name[len - 1] == '.';
    return len >= domain_len && strncasecmp(name + len - domain_len, domain, domain_len) == 0 &&
           (len == domain_len || name[len - domain_len - 1] == '.');
}

/* RFC 6761, sections 6.3 and 6.4: names that no server is to be asked about. */
static bool answer_special(question *q, const char *name) {
    if (within(name, "localhost")) {
        dw_address_parse(&q->special, q->family == AF_INET6 ? "::1" : "127.0.0.1", 0);
        return true;
    }
    if (within(name, "invalid")) {
        q->error = -ENODATA;
        return true;
    }
    return false;
}

/* ---- Handing over ---- */

static void put(question *q) {
    struct dw_ares *ares = q->query->ares;
    q->next = NULL;
    *ares->answered_end = q;
    ares->answered_end = &q->next;
}

static question *take_all(struct dw_ares *ares) {
    question *all = ares->answered;
    ares->answered = NULL;
    ares->answered_end = &ares->answered;
    return all;
}

/* Inside c-ares, and perhaps inside the call that asked. */
static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *result) {
    question *q = user;
    (void)timeouts;
    q->error = error_of(status);
    q->result = result;
    put(q);
}

/* False: the lookup was cancelled on the way. */
static bool hand_over_addresses(const question *q) {
    const struct ares_addrinfo_node *at = q->result != NULL ? q->result->nodes : NULL;
    if (q->special.kind != DW_ADDRESS_NONE) {
        return dw_lookup_found(q->query->lookup, &q->special);
    }
    for (int i = 0; at != NULL && i < DW_LOOKUP_ADDRESSES_MAX; at = at->ai_next, i++) {
        dw_address address;
        dw_live_address_from(&address, at->ai_addr, at->ai_addrlen);
        if (!dw_lookup_found(q->query->lookup, &address)) {
            return false;
        }
    }
    return true;
}

/* A name server that fails tells more than one that knows of no address. */
static void note_error(name_query *query, int error) {
    if (query->error == 0 || query->error == -ENODATA) {
        query->error = error;
    }
}

static void query_free(struct dw_ares *ares, name_query *query) {
    ares->live->names.count--;
    dw_free(&ares->live->base, query);
}

static void hand_over(struct dw_ares *ares, question *q) {
    name_query *query = q->query;
    if (query->lookup != NULL && hand_over_addresses(q)) {
        note_error(query, q->error);
        if (query->open == 1) {
            dw_lookup *lookup = query->lookup;
            query->lookup = NULL;
            lookup->resolver_data = NULL;
            ares->wanted--;
            dw_lookup_finish(lookup, query->error);
        }
    }
    if (q->result != NULL) {
        ares_freeaddrinfo(q->result);
    }
    if (--query->open == 0) { /* not before: a cancel inside the callbacks looks at it */
        query_free(ares, query);
    }
}

static void hand_over_all(struct dw_ares *ares) {
    question *next;
    for (question *q = take_all(ares); q != NULL; q = next) {
        next = q->next;
        hand_over(ares, q);
    }
}

/* ---- Sockets and time ---- */

static void run(struct dw_ares *ares, ares_socket_t readable, ares_socket_t writable);

static void timer_due(void *user) {
    run(user, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* When c-ares has something to do by itself; at once, when there are answers to hand over. */
static void set_timer(struct dw_ares *ares) {
    struct timeval left;
    dw_time delay = 0;
    if (ares->answered == NULL) {
        if (ares_timeout(ares->channel, NULL, &left) == NULL) {
            dw_delayed_call_cancel(&ares->timer);
            return;
        }
        delay = DW_SEC(left.tv_sec) + DW_USEC(left.tv_usec);
    }
    dw_reactor_call_later(&ares->live->base, &ares->timer, delay, timer_due, ares);
}

static void run(struct dw_ares *ares, ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(ares->channel, readable, writable);
    hand_over_all(ares);
    set_timer(ares);
}

static void socket_ready(dw_reactor *reactor, dw_watched *watched, unsigned ready) {
    const watch *w = (const watch *)watched;
    (void)reactor;
    run(w->ares, (ready & DW_READABLE) != 0 ? w->fd : ARES_SOCKET_BAD,
        (ready & DW_WRITABLE) != 0 ? w->fd : ARES_SOCKET_BAD);
}

static watch *find_watch(struct dw_ares *ares, int fd) {
    for (int i = 0; i < WATCHES_MAX; i++) {
        if (ares->watches[i].fd == fd) {
            return &ares->watches[i];
        }
    }
    return NULL;
}

static watch *watch_new(struct dw_ares *ares, int fd) {
    dw_reactor *reactor = &ares->live->base;
    watch *w = find_watch(ares, -1);
    if (w == NULL) {
        return NULL;
    }
    w->watched = (dw_watched){.io = {.socket = DW_SOCKET_NONE, .kind = DW_IO_WATCHED},
                              .ready = socket_ready};
    if (reactor->wire->adopt(reactor, &w->watched.io, fd) < 0) {
        return NULL;
    }
    w->fd = fd;
    return w;
}

static void watch_end(struct dw_ares *ares, watch *w) {
    dw_reactor *reactor = &ares->live->base;
    w->watched.io.want = 0;
    reactor->wire->watch(reactor, &w->watched.io);
    reactor->wire->close(reactor, &w->watched.io, false);
    w->fd = -1;
}

/* What c-ares wants of a socket has changed; nothing: it is about to be closed. */
static void on_socket(void *user, ares_socket_t fd, int readable, int writable) {
    struct dw_ares *ares = user;
    dw_reactor *reactor = &ares->live->base;
    watch *w = find_watch(ares, fd);
    if (readable == 0 && writable == 0) {
        if (w != NULL) {
            watch_end(ares, w);
        }
        return;
    }
    w = w != NULL ? w : watch_new(ares, fd);
    if (w != NULL) {
        w->watched.io.want =
            (uint8_t)((readable != 0 ? DW_READABLE : 0) | (writable != 0 ? DW_WRITABLE : 0));
        reactor->wire->watch(reactor, &w->watched.io);
    }
}

/* ---- The channel ---- */

static void init_library(void) {
    ares_library_init(ARES_LIB_INIT_ALL); /* not safe on two threads at once, in this version */
}

static int open_channel(struct dw_ares *ares) {
    static char lookups[] = "fb"; /* the hosts file, then name servers */
    const struct dw_names *names = &ares->live->names;
    struct ares_options options = {.lookups = lookups, .sock_state_cb = on_socket};
    int mask = ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    options.sock_state_cb_data = ares;
    if (names->server_timeout > 0) {
        options.timeout = (int)((names->server_timeout + DW_MSEC(1) - 1) / DW_MSEC(1));
        mask |= ARES_OPT_TIMEOUTMS;
    }
    if (names->server_tries > 0) {
        options.tries = names->server_tries;
        mask |= ARES_OPT_TRIES;
    }
    int status = ares_init_options(&ares->channel, &options, mask);
    if (status == ARES_SUCCESS && names->servers != NULL) {
        status = ares_set_servers_ports_csv(ares->channel, names->servers);
        if (status != ARES_SUCCESS) {
            ares_destroy(ares->channel);
        }
    }
    return status == ARES_EBADSTR ? -EINVAL : error_of(status);
}

/* With the first lookup; one that fails is tried again with the next. */
static int start(struct dw_live *live) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (live->names.ares != NULL) {
        return 0;
    }
    pthread_once(&once, init_library);
    struct dw_ares *ares = dw_new(&live->base, struct dw_ares);
    if (ares == NULL) {
        return -ENOMEM;
    }
    ares->live = live;
    take_all(ares);
    for (int i = 0; i < WATCHES_MAX; i++) {
        ares->watches[i] = (watch){.ares = ares, .fd = -1};
    }
    int error = open_channel(ares);
    if (error != 0) {
        dw_free(&live->base, ares);
        return error;
    }
    live->names.ares = ares;
    return 0;
}

static void ares_way_fini(struct dw_live *live) {
    struct dw_ares *ares = live->names.ares;
    if (ares == NULL) {
        return;
    }
    ares_destroy(ares->channel); /* answers what is open, closes its sockets */
    hand_over_all(ares);
    dw_delayed_call_cancel(&ares->timer);
    dw_free(&live->base, ares);
    live->names.ares = NULL;
}

/* ---- Lookups ---- */

static void ask(name_query *query, int family) {
    const struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    question *q = &query->questions[query->open++];
    const char *name = query->lookup->name;
    q->query = query;
    q->family = family;
    if (answer_special(q, name)) {
        put(q);
    } else {
        ares_getaddrinfo(query->ares->channel, name, NULL, &hints, on_answer, q);
    }
}

static int ares_way_resolve(struct dw_live *live, dw_lookup *lookup) {
    int error = start(live);
    if (error != 0) {
        return error;
    }
    struct dw_ares *ares = live->names.ares;
    name_query *query = dw_alloc_zeroed(&live->base, sizeof(*query));
    if (query == NULL) {
        return -ENOMEM;
    }
    query->ares = ares;
    query->lookup = lookup;
    lookup->resolver_data = query;
    live->names.count++;
    ares->wanted++;
    if (lookup->family != DW_FAMILY_IPV4) {
        ask(query, AF_INET6);
    }
    if (lookup->family != DW_FAMILY_IPV6) {
        ask(query, AF_INET);
    }
    set_timer(ares);
    return 0;
}

static void ares_way_cancel(struct dw_live *live, dw_lookup *lookup) {
    struct dw_ares *ares = live->names.ares;
    name_query *query = lookup->resolver_data;
    lookup->resolver_data = NULL;
    query->lookup = NULL;
    if (--ares->wanted == 0) {
        ares_cancel(ares->channel); /* closes its sockets, too */
        hand_over_all(ares);        /* nobody wants them: only frees */
    }
    set_timer(ares);
}

const struct dw_name_way dw_name_way_ares = {ares_way_resolve, ares_way_cancel, ares_way_fini};
