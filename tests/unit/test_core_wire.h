/* SPDX-License-Identifier: MIT */
/*
 * A wire for core's unit tests that does nothing by itself: a clock and sockets the test moves, a
 * script of what accept and connect answer, an allocator that fails when told. Invariant: whatever
 * core takes is counted, so that fake_fini can ask for all of it back. Included by test_core_*.c.
 */
#ifndef DRYWIRE_TESTS_CORE_WIRE_H
#define DRYWIRE_TESTS_CORE_WIRE_H

#include "../suite.h"
#include "internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAKE_SOCKETS_MAX = 300, FAKE_SCRIPT_MAX = 256, FAKE_OUT_MAX = 1 << 18, REC_LOG_MAX = 2000 };

typedef struct fake_socket {
    dw_io *io; /* as core watches it */
    bool open, reset, fin;
    const void *in; /* what the next recv hands over */
    size_t in_len;
    int in_error; /* or the error it answers */
    bool in_end;  /* or the end of the stream */
    uint8_t *out; /* all that was sent */
    size_t out_len, room;
    int send_error;
    unsigned sends;
    int options[2];
} fake_socket;

typedef struct fake {
    dw_reactor reactor; /* first */
    dw_time now;
    fake_socket sockets[FAKE_SOCKETS_MAX];
    int socket_count;

    int open_error, bind_error, listen_error, resolve_error, shutdown_error;
    int connect_answer; /* -EINPROGRESS at first */
    int connected;      /* what connect_result answers */
    int accepts[FAKE_SCRIPT_MAX];
    unsigned accept_at, accept_count; /* 0: a connection, else -errno; then EAGAIN for ever */
    dw_lookup *lookup;                /* the one under way */
    dw_address bound;                 /* what bind was called with last */

    void (*on_wait)(struct fake *f); /* NULL: waiting for ever fails the test */
    unsigned waits;
    unsigned runs_begun, runs_ended;

    size_t blocks;    /* given out and not back */
    unsigned fail_in; /* which allocation from now fails; 0: none */
    bool fail_after;  /* and all later ones */
    unsigned fails;   /* how many did */

    unsigned violations, logs;
} fake;

static inline fake *fake_of(dw_reactor *reactor) {
    return (fake *)(void *)reactor;
}

/* ---- Memory ---- */

static inline bool fake_alloc_fails(fake *f) {
    if (f->fail_in == 0 || --f->fail_in > 0) {
        return false;
    }
    f->fail_in = f->fail_after ? 1 : 0;
    f->fails++;
    return true;
}

static inline void *fake_alloc(void *user, size_t size, const char *where) {
    fake *f = user;
    ck_assert(size > 0 && where != NULL);
    if (fake_alloc_fails(f)) {
        return NULL;
    }
    f->blocks++;
    return malloc(size);
}

static inline void *fake_resize(void *user, void *block, size_t size, const char *where) {
    ck_assert(block != NULL && size > 0 && where != NULL);
    return fake_alloc_fails(user) ? NULL : realloc(block, size);
}

static inline void fake_release(void *user, void *block) {
    fake *f = user;
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_gt(f->blocks, 0);
    f->blocks--;
    free(block);
}

/* ---- The slots ---- */

static inline dw_time fake_now(dw_reactor *reactor) {
    return fake_of(reactor)->now;
}

static inline void fake_random(dw_reactor *reactor, void *buffer, size_t len) {
    (void)reactor;
    memset(buffer, 4, len);
}

static inline uint32_t fake_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    (void)reactor, (void)what;
    return n - 1;
}

static inline fake_socket *fake_socket_of(dw_reactor *reactor, const dw_io *io) {
    fake *f = fake_of(reactor);
    ck_assert_int_ge((int)io->socket, 0);
    ck_assert_int_lt((int)io->socket, f->socket_count);
    ck_assert(f->sockets[io->socket].open);
    return &f->sockets[io->socket];
}

static inline void fake_socket_new(fake *f, dw_io *io) {
    ck_assert_int_lt(f->socket_count, FAKE_SOCKETS_MAX);
    f->sockets[f->socket_count] = (fake_socket){.open = true, .room = FAKE_OUT_MAX};
    io->socket = f->socket_count++;
}

static inline int fake_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    fake *f = fake_of(reactor);
    ck_assert_int_ne(kind, DW_ADDRESS_NONE);
    if (f->open_error != 0) {
        return -f->open_error;
    }
    fake_socket_new(f, io);
    return 0;
}

static inline int fake_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    ck_assert_uint_ne(address->kind, DW_ADDRESS_NONE);
    fake_of(reactor)->bound = *address;
    return -fake_of(reactor)->bind_error;
}

static inline int fake_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)fake_socket_of(reactor, io);
    ck_assert_int_gt(backlog, 0);
    return -fake_of(reactor)->listen_error;
}

static inline int fake_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    ck_assert_uint_ne(address->kind, DW_ADDRESS_NONE);
    return fake_of(reactor)->connect_answer;
}

static inline int fake_connect_result(dw_reactor *reactor, dw_io *io) {
    (void)fake_socket_of(reactor, io);
    return fake_of(reactor)->connected;
}

static inline int fake_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    fake *f = fake_of(reactor);
    (void)fake_socket_of(reactor, listener);
    int answer = f->accept_at < f->accept_count ? f->accepts[f->accept_at++] : -EAGAIN;
    if (answer == 0) {
        fake_socket_new(f, conn);
        dw_address_parse(peer, "192.0.2.9", 999);
    }
    return answer;
}

static inline ssize_t fake_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    fake_socket *s = fake_socket_of(reactor, io);
    if (s->in_error != 0) {
        return -s->in_error;
    }
    if (s->in_len == 0) {
        return s->in_end ? 0 : -EAGAIN;
    }
    ssize_t len = (ssize_t)s->in_len;
    *data = s->in;
    s->in_len = 0;
    return len;
}

static inline ssize_t fake_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                int count) {
    fake_socket *s = fake_socket_of(reactor, io);
    size_t taken = 0;
    ck_assert_int_gt(count, 0);
    s->sends++;
    if (s->send_error != 0) {
        return -s->send_error;
    }
    if (s->room == 0) {
        return -EAGAIN;
    }
    s->out = s->out != NULL ? s->out : malloc(FAKE_OUT_MAX);
    ck_assert_ptr_nonnull(s->out);
    for (int i = 0; i < count; i++) {
        size_t len = pieces[i].iov_len < s->room ? pieces[i].iov_len : s->room;
        ck_assert_uint_le(s->out_len + len, FAKE_OUT_MAX);
        memcpy(s->out + s->out_len, pieces[i].iov_base, len);
        s->out_len += len;
        s->room -= len;
        taken += len;
    }
    return (ssize_t)taken;
}

static inline int fake_shutdown(dw_reactor *reactor, dw_io *io) {
    fake_socket_of(reactor, io)->fin = true;
    return -fake_of(reactor)->shutdown_error;
}

static inline void fake_close(dw_reactor *reactor, dw_io *io, bool reset) {
    fake_socket *s = fake_socket_of(reactor, io);
    ck_assert_uint_eq(s->io != NULL ? s->io->want : 0, 0); /* nobody watches what is closed */
    s->open = false;
    s->io = NULL;
    s->reset = reset;
    s->fin = s->fin || !reset;
    io->socket = DW_SOCKET_NONE;
}

static inline int fake_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    return dw_address_parse(out, "192.0.2.1", 4321);
}

static inline int fake_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    return fake_socket_of(reactor, io)->options[option];
}

static inline int fake_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option,
                                  int value) {
    fake_socket_of(reactor, io)->options[option] = value;
    return value == 0 ? -EINVAL : 0; /* as good as any */
}

static inline void fake_watch(dw_reactor *reactor, dw_io *io) {
    fake_socket *s = fake_socket_of(reactor, io);
    ck_assert(s->io == NULL || s->io == io); /* core does not move what is watched */
    s->io = io;
}

static inline int fake_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    fake *f = fake_of(reactor);
    if (f->resolve_error != 0) {
        return -f->resolve_error;
    }
    ck_assert_ptr_null(f->lookup);
    f->lookup = lookup;
    return 0;
}

static inline void fake_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    ck_assert_ptr_eq(fake_of(reactor)->lookup, lookup);
    fake_of(reactor)->lookup = NULL;
}

/* Time passes only here and where a test says so. */
static inline int fake_wait(dw_reactor *reactor, dw_time timeout) {
    fake *f = fake_of(reactor);
    ck_assert_uint_lt(f->waits++, 100000);
    ck_assert_msg(timeout >= 0 || f->on_wait != NULL, "the reactor waits for ever");
    f->now += timeout > 0 ? timeout : 0;
    if (f->on_wait != NULL) {
        f->on_wait(f);
    }
    return 0;
}

static inline int fake_run_begin(dw_reactor *reactor) {
    fake_of(reactor)->runs_begun++;
    return 0;
}

static inline void fake_run_end(dw_reactor *reactor) {
    fake_of(reactor)->runs_ended++;
}

static inline void fake_violation(dw_reactor *reactor, const char *oracle, const char *message) {
    ck_assert(oracle != NULL && message != NULL);
    fake_of(reactor)->violations++;
}

static inline void fake_log(dw_reactor *reactor, const char *line) {
    ck_assert_ptr_nonnull(line);
    fake_of(reactor)->logs++;
}

static const dw_wire fake_wire = {
    .name = "fake",
    .now = fake_now,
    .wall_clock = fake_now,
    .random = fake_random,
    .choose = fake_choose,
    .open = fake_open,
    .bind = fake_bind,
    .listen = fake_listen,
    .connect = fake_connect,
    .connect_result = fake_connect_result,
    .accept = fake_accept,
    .recv = fake_recv,
    .send = fake_send,
    .shutdown = fake_shutdown,
    .close = fake_close,
    .local_address = fake_local_address,
    .get_option = fake_get_option,
    .set_option = fake_set_option,
    .watch = fake_watch,
    .resolve = fake_resolve,
    .resolve_cancel = fake_resolve_cancel,
    .wait = fake_wait,
    .run_begin = fake_run_begin,
    .run_end = fake_run_end,
    .violation = fake_violation,
    .log = fake_log,
};

/* ---- Life ---- */

static inline fake *fake_new(void) {
    fake *f = calloc(1, sizeof(*f));
    ck_assert_ptr_nonnull(f);
    f->connect_answer = -EINPROGRESS;
    dw_allocator allocator = {fake_alloc, fake_resize, fake_release, f};
    dw_reactor_init(&f->reactor, &fake_wire, &allocator);
    return f;
}

/* Ends core's part and finds that it gave all back and closed all. */
static inline void fake_fini(fake *f) {
    dw_reactor_fini(&f->reactor);
    ck_assert_uint_eq(f->blocks, 0);
    ck_assert_ptr_null(f->lookup);
    for (int i = 0; i < f->socket_count; i++) {
        ck_assert_msg(!f->sockets[i].open, "socket %d was left open", i);
        free(f->sockets[i].out);
    }
    free(f);
}

/* ---- What the network does ---- */

/* Reports readiness, as a wire does: of what core wants only. */
static inline void fake_ready(fake *f, int socket, unsigned ready) {
    dw_io *io = f->sockets[socket].io;
    if (io != NULL && (io->want & ready) != 0) {
        dw_io_ready(&f->reactor, io, io->want & ready);
    }
}

static inline void fake_receive(fake *f, int socket, const void *data, size_t len) {
    f->sockets[socket].in = data;
    f->sockets[socket].in_len = len;
    fake_ready(f, socket, DW_READABLE);
}

/* Turns until nothing is due now. */
static inline void fake_settle(fake *f) {
    for (int turn = 0; dw_reactor_next_due(&f->reactor) <= f->now; turn++) {
        ck_assert_int_lt(turn, 10000);
        dw_reactor_turn(&f->reactor);
    }
}

/* Each delayed call at its own time. */
static inline void fake_advance(fake *f, dw_time by) {
    dw_time end = f->now + by;
    fake_settle(f);
    for (dw_time due; (due = dw_reactor_next_due(&f->reactor)) <= end && due != DW_TIME_MAX;) {
        f->now = due > f->now ? due : f->now;
        fake_settle(f);
    }
    f->now = end;
}

static inline bool fake_sent(const fake *f, int socket, const char *text) {
    const fake_socket *s = &f->sockets[socket];
    return s->out_len == strlen(text) && (s->out_len == 0 || memcmp(s->out, text, s->out_len) == 0);
}

/* ---- A protocol that notes what it is told, and reacts ---- */

typedef struct rec rec;
typedef void (*rec_reaction)(rec *r);

struct rec {
    dw_protocol protocol;
    dw_producer producer;
    fake *f;
    rec_reaction on_made, on_data, on_lost, on_read_lost, on_write_lost, on_resume, on_pause;
    const uint8_t *data; /* inside data_received */
    size_t len;
    dw_reason reason;
    rec *other;
    char *log; /* log_own unless it is shared */
    char log_own[REC_LOG_MAX];
};

static inline void say(char *log, const char *word) {
    size_t used = strlen(log);
    snprintf(log + used, REC_LOG_MAX - used, "%s%s", used > 0 ? " " : "", word);
}

static inline void say_reason(char *log, const char *word, dw_error kind) {
    char text[80];
    snprintf(text, sizeof(text), "%s:%s", word, dw_error_name((int)kind) + 3); /* without DW_ */
    say(log, text);
}

static inline rec *rec_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, rec, protocol);
}

static inline void rec_react(rec *r, rec_reaction reaction) {
    if (reaction != NULL) {
        reaction(r);
    }
}

static inline void rec_made(dw_protocol *p) {
    say(rec_of(p)->log, "made");
    rec_react(rec_of(p), rec_of(p)->on_made);
}

static inline void rec_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rec *r = rec_of(p);
    r->data = data;
    r->len = len;
    say(r->log, "data");
    rec_react(r, r->on_data);
}

static inline void rec_lost(dw_protocol *p, const dw_reason *reason) {
    rec *r = rec_of(p);
    r->reason = *reason;
    say_reason(r->log, "lost", reason->kind);
    rec_react(r, r->on_lost);
}

static inline void rec_read_lost(dw_protocol *p) {
    say(rec_of(p)->log, "read-lost");
    rec_react(rec_of(p), rec_of(p)->on_read_lost);
}

static inline void rec_write_lost(dw_protocol *p) {
    say(rec_of(p)->log, "write-lost");
    rec_react(rec_of(p), rec_of(p)->on_write_lost);
}

static const dw_protocol_class rec_class = {.name = "rec",
                                            .connection_made = rec_made,
                                            .data_received = rec_data,
                                            .connection_lost = rec_lost};

static const dw_protocol_class rec_aware_class = {.name = "aware rec",
                                                  .connection_made = rec_made,
                                                  .data_received = rec_data,
                                                  .connection_lost = rec_lost,
                                                  .read_connection_lost = rec_read_lost,
                                                  .write_connection_lost = rec_write_lost};

static inline void rec_pause(dw_producer *p) {
    rec *r = DW_CONTAINER_OF(p, rec, producer);
    say(r->log, "pause");
    rec_react(r, r->on_pause);
}

static inline void rec_resume(dw_producer *p) {
    rec *r = DW_CONTAINER_OF(p, rec, producer);
    say(r->log, "resume");
    rec_react(r, r->on_resume);
}

static inline void rec_stop(dw_producer *p) {
    say(DW_CONTAINER_OF(p, rec, producer)->log, "stop");
}

static const dw_producer_class rec_producer = {.name = "rec",
                                               .pause_producing = rec_pause,
                                               .resume_producing = rec_resume,
                                               .stop_producing = rec_stop};

static inline void rec_init(rec *r, fake *f) {
    memset(r, 0, sizeof(*r));
    r->f = f;
    r->log = r->log_own;
    r->producer.cls = &rec_producer;
    dw_protocol_init(&r->protocol, &rec_class);
}

static inline dw_transport *rec_transport(const rec *r) {
    return r->protocol.transport;
}

static inline void rec_write(rec *r, const char *text) {
    dw_transport_write(r->protocol.transport, text, strlen(text));
}

/* ---- Factories that hand out recs and note what they are told ---- */

typedef struct rec_factory {
    dw_client_factory client; /* its base serves ports */
    fake *f;
    dw_protocol *next[8]; /* the answers of build_protocol, in order; then NULL */
    unsigned built;
    dw_connector *connector;
    void (*on_build)(struct rec_factory *g);
    void (*on_started)(struct rec_factory *g);
    void (*on_failed)(struct rec_factory *g);
    void (*on_lost)(struct rec_factory *g);
    void (*on_stop)(struct rec_factory *g);
    dw_reason reason;
    char *log;
    char log_own[REC_LOG_MAX];
} rec_factory;

static inline rec_factory *rec_factory_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, rec_factory, client.base);
}

static inline void rec_factory_react(rec_factory *g, void (*reaction)(rec_factory *g)) {
    if (reaction != NULL) {
        reaction(g);
    }
}

static inline dw_protocol *rec_build(dw_factory *factory, const dw_address *peer) {
    rec_factory *g = rec_factory_of(factory);
    ck_assert_uint_ne(peer->kind, DW_ADDRESS_NONE);
    say(g->log, "build");
    rec_factory_react(g, g->on_build);
    ck_assert_uint_lt(g->built, 8);
    return g->next[g->built++];
}

static inline void rec_start(dw_factory *factory) {
    say(rec_factory_of(factory)->log, "start");
}

static inline void rec_factory_stop(dw_factory *factory) {
    rec_factory *g = rec_factory_of(factory);
    say(g->log, "stop");
    rec_factory_react(g, g->on_stop);
}

static inline void rec_started(dw_client_factory *factory, dw_connector *connector) {
    rec_factory *g = DW_CONTAINER_OF(factory, rec_factory, client);
    g->connector = connector;
    say(g->log, "connecting");
    rec_factory_react(g, g->on_started);
}

static inline void rec_failed(dw_client_factory *factory, dw_connector *connector,
                              const dw_reason *reason) {
    rec_factory *g = DW_CONTAINER_OF(factory, rec_factory, client);
    g->connector = connector;
    g->reason = *reason;
    say_reason(g->log, "failed", reason->kind);
    rec_factory_react(g, g->on_failed);
}

static inline void rec_factory_lost(dw_client_factory *factory, dw_connector *connector,
                                    const dw_reason *reason) {
    rec_factory *g = DW_CONTAINER_OF(factory, rec_factory, client);
    g->connector = connector;
    g->reason = *reason;
    say_reason(g->log, "lost", reason->kind);
    rec_factory_react(g, g->on_lost);
}

static const dw_client_factory_class rec_factory_class = {
    .base = {.name = "recs",
             .build_protocol = rec_build,
             .start = rec_start,
             .stop = rec_factory_stop},
    .started_connecting = rec_started,
    .client_connection_failed = rec_failed,
    .client_connection_lost = rec_factory_lost,
};

static inline void rec_factory_init(rec_factory *g, fake *f, rec *first) {
    memset(g, 0, sizeof(*g));
    dw_client_factory_init(&g->client, &rec_factory_class);
    g->f = f;
    g->log = g->log_own;
    g->next[0] = first != NULL ? &first->protocol : NULL;
}

/* Listens, and returns the port; its socket is the one opened last. */
static inline dw_port *fake_port(fake *f, rec_factory *g) {
    dw_port *port = NULL;
    ck_assert_int_eq(dw_reactor_listen_tcp(&f->reactor, 0, &g->client.base, 0, NULL, &port), 0);
    return port;
}

/* Queues what accept answers next. */
static inline void fake_accepts(fake *f, int answer) {
    ck_assert_uint_lt(f->accept_count, FAKE_SCRIPT_MAX);
    f->accepts[f->accept_count++] = answer;
}

/* One accepted connection for `r` at the listener `port_socket`; returns its socket. */
static inline int fake_serve(fake *f, rec_factory *g, rec *r, int port_socket) {
    g->next[g->built % 8] = &r->protocol;
    fake_accepts(f, 0);
    fake_ready(f, port_socket, DW_READABLE);
    return f->socket_count - 1;
}

/* Runs a suite of one tcase. */
static inline int run_case(TCase *tc) {
    Suite *suite = suite_create("core");
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}

#endif
