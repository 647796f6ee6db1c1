/* SPDX-License-Identifier: MIT */
/*
 * The harness behind conformance.h: the wires, scripted sides, recording factories.
 */
#include "conformance.h"

#include <drywire/real.h>
#include <drywire/sim.h>
#include <run.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Wires ---- */

enum { QUIET_TURNS = 6, TURNS_MAX = 20000 };

static void play_live(const char *name, void (*body)(conf *c)) {
    dw_reactor *reactor = dw_live_reactor_new(name, &(dw_poll_options){.no_signals = true});
    conf c = {.wire = name,
              .server = reactor,
              .client = reactor,
              .address = "127.0.0.1",
              .name = "localhost",
              .fds = {-1, -1, -1}};
    if (reactor == NULL && errno == ENOSYS) {
        fprintf(stderr, "conformance: this system has no %s\n", name);
        return;
    }
    ck_assert_ptr_nonnull(reactor);
    if (strcmp(dw_live_reactor_poller(reactor), name) != 0) {
        dw_reactor_free(reactor); /* it has said why */
        return;
    }
    body(&c);
    dw_reactor_free(reactor);
    for (int i = 0; i < 3; i++) {
        if (c.fds[i] >= 0) {
            close(c.fds[i]);
        }
    }
}

static void (*sim_body)(conf *c);

static void sim_scenario(dw_world *world) {
    dw_host *server = dw_world_add_host(world, "server", NULL, NULL);
    dw_host *client = dw_world_add_host(world, "client", NULL, NULL);
    conf c = {.wire = "sim",
              .server = dw_host_reactor(server),
              .client = dw_host_reactor(client),
              .address = "10.0.0.1",
              .name = "server",
              .backend = world};
    sim_body(&c);
}

static void play_sim(const char *name, void (*body)(conf *c)) {
    (void)name;
    dw_scenario scenario = {.name = "conformance", .run = sim_scenario, .leaks_ok = true};
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    sim_outcome outcome;
    sim_runner *runner = sim_runner_new();
    ck_assert_ptr_nonnull(runner);
    sim_body = body;
    sim_run(runner, &scenario, &source, &options, &outcome);
    ck_assert_msg(!outcome.failed, "%s: %s", outcome.oracle, outcome.message);
    sim_runner_free(runner);
}

static const struct {
    const char *name;
    void (*play)(const char *name, void (*body)(conf *c));
} wires[] = {
    {"poll", play_live},
    {"epoll", play_live},
    {"uring", play_live},
    {"sim", play_sim},
};

const int conf_wire_count = sizeof(wires) / sizeof(wires[0]);

void conf_play(int wire, void (*body)(conf *c)) {
    wires[wire].play(wires[wire].name, body);
}

static bool is_true(void *user) {
    return *(const bool *)user;
}

void conf_until(conf *c, const bool *flag) {
    if (c->backend != NULL) {
        ck_assert(dw_world_run_until(c->backend, is_true, (void *)(uintptr_t)flag, DW_HOUR(1)));
        return;
    }
    for (int turn = 0; !*flag; turn++) {
        ck_assert_msg(turn < TURNS_MAX, "it never comes");
        dw_reactor_iterate(c->client, DW_MSEC(5));
    }
}

/* The kernel's part is over within a few looks: loopback delivers inside send(2). */
void conf_settle(conf *c) {
    if (c->backend != NULL) {
        dw_world_run_until_idle(c->backend, DW_SEC(1));
        return;
    }
    unsigned before = c->activity;
    for (int turn = 0, quiet = 0; quiet < QUIET_TURNS; turn++, quiet++) {
        ck_assert_msg(turn < TURNS_MAX, "it never becomes quiet");
        dw_reactor_iterate(c->client, DW_MSEC(quiet < QUIET_TURNS / 2 ? 0 : 2));
        quiet = before != c->activity ? 0 : quiet;
        before = c->activity;
    }
}

void conf_run(conf *c) {
    if (c->backend != NULL) {
        ck_assert(dw_world_run_until_idle(c->backend, DW_HOUR(1)));
    } else {
        ck_assert_int_eq(dw_reactor_run(c->client), 0);
    }
}

/* listen(2) with a backlog of 0 takes one connection; SYNs of further ones are dropped. */
static uint16_t full_listener(conf *c) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    for (int i = 0; i < 3; i++) {
        c->fds[i] = socket(AF_INET, SOCK_STREAM | (i == 2 ? SOCK_NONBLOCK : 0), 0);
        ck_assert_int_ge(c->fds[i], 0);
    }
    ck_assert_int_eq(bind(c->fds[0], (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(c->fds[0], 0), 0);
    ck_assert_int_eq(getsockname(c->fds[0], (struct sockaddr *)&at, &len), 0);
    ck_assert_int_eq(connect(c->fds[1], (struct sockaddr *)&at, len), 0);
    ck_assert_int_lt(connect(c->fds[2], (struct sockaddr *)&at, len), 0);
    return ntohs(at.sin_port);
}

uint16_t conf_black_hole(conf *c, char host[DW_ADDRESS_TEXT_MAX]) {
    if (c->backend == NULL) {
        snprintf(host, DW_ADDRESS_TEXT_MAX, "127.0.0.1");
        return full_listener(c);
    }
    dw_host *dark = dw_world_add_host(c->backend, "dark", NULL, NULL);
    dw_address address = dw_host_address(dark);
    dw_host_crash(dark);
    dw_address_format_host(&address, host, DW_ADDRESS_TEXT_MAX);
    return 9;
}

/* ---- Recording ---- */

void note(char *log, size_t size, const char *word) {
    size_t used = strlen(log);
    snprintf(log + used, size - used, "%s%s", used > 0 ? " " : "", word);
}

const char *kind_word(dw_error kind) {
    return dw_error_name((int)kind) + 3; /* without DW_ */
}

static void record(side *s, const char *word) {
    s->c->activity++;
    note(s->log, sizeof(s->log), word);
}

static side *side_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, side, protocol);
}

static void react(side *s, reaction r) {
    if (r != NULL) {
        r(s);
    }
}

static void side_made(dw_protocol *p) {
    record(side_of(p), "made");
    react(side_of(p), side_of(p)->on_made);
}

static void side_data(dw_protocol *p, const uint8_t *data, size_t len) {
    side *s = side_of(p);
    size_t n = strlen(s->log);
    s->bytes = realloc(s->bytes, s->received + len);
    ck_assert_ptr_nonnull(s->bytes);
    memcpy(s->bytes + s->received, data, len);
    s->received += len;
    s->c->activity++;
    if (n < 4 || strcmp(s->log + n - 4, "data") != 0) {
        record(s, "data");
    }
    react(s, s->on_data);
}

static void side_lost(dw_protocol *p, const dw_reason *reason) {
    side *s = side_of(p);
    char word[60];
    snprintf(word, sizeof(word), "lost:%s", kind_word(reason->kind));
    s->reason = *reason;
    record(s, word);
    react(s, s->on_lost);
}

static void side_read_lost(dw_protocol *p) {
    record(side_of(p), "read-lost");
    react(side_of(p), side_of(p)->on_read_lost);
}

static void side_write_lost(dw_protocol *p) {
    record(side_of(p), "write-lost");
    react(side_of(p), side_of(p)->on_write_lost);
}

static const dw_protocol_class plain_side = {.name = "side",
                                             .connection_made = side_made,
                                             .data_received = side_data,
                                             .connection_lost = side_lost};

static const dw_protocol_class aware_side = {.name = "aware side",
                                             .connection_made = side_made,
                                             .data_received = side_data,
                                             .connection_lost = side_lost,
                                             .read_connection_lost = side_read_lost,
                                             .write_connection_lost = side_write_lost};

static void produce(side *s) {
    static const uint8_t piece[70000];
    if (s->produce_left > 0) {
        s->produce_left--;
        dw_transport_write(s->protocol.transport, piece, s->produce_size);
        if (s->produce_left == 0) {
            react(s, s->on_produced);
        }
    }
}

static void producer_record(dw_producer *p, const char *word) {
    side *s = DW_CONTAINER_OF(p, side, producer);
    s->c->activity++;
    if (!s->producer_quiet) {
        record(s, word);
    }
}

static void producer_pause(dw_producer *p) {
    producer_record(p, "pause");
}

static void producer_resume(dw_producer *p) {
    producer_record(p, "resume");
    produce(DW_CONTAINER_OF(p, side, producer));
}

static void producer_stop(dw_producer *p) {
    producer_record(p, "stop");
}

static const dw_producer_class side_producer = {.name = "producer",
                                                .pause_producing = producer_pause,
                                                .resume_producing = producer_resume,
                                                .stop_producing = producer_stop};

void side_init(side *s, conf *c) {
    memset(s, 0, sizeof(*s));
    s->c = c;
    s->producer.cls = &side_producer;
}

void side_say(side *s, const char *text) {
    dw_transport_write(s->protocol.transport, text, strlen(text));
}

/* ---- Factories ---- */

static serving *serving_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, serving, client.base);
}

static void f_record(serving *f, const char *word) {
    f->c->activity++;
    note(f->log, sizeof(f->log), word);
}

static dw_protocol *f_build(dw_factory *factory, const dw_address *peer) {
    serving *f = serving_of(factory);
    ck_assert_int_ne(peer->kind, DW_ADDRESS_NONE);
    f_record(f, "build");
    if (f->on_build != NULL) {
        f->on_build(f);
    }
    if (f->build == BUILD_NONE) {
        return NULL;
    }
    if (f->build == BUILD_FAILED) {
        return DW_PROTOCOL_FAILED;
    }
    ck_assert_uint_lt(f->used, f->count);
    side *s = f->sides[f->used++];
    dw_protocol_init(&s->protocol, s->aware ? &aware_side : &plain_side);
    return &s->protocol;
}

static void f_start(dw_factory *factory) {
    f_record(serving_of(factory), "start");
}

static void f_stop(dw_factory *factory) {
    serving *f = serving_of(factory);
    f->over = true;
    f_record(f, "stop");
    if (f->on_stop != NULL) {
        f->on_stop(f);
    }
}

static void f_started(dw_client_factory *factory, dw_connector *connector) {
    serving *f = DW_CONTAINER_OF(factory, serving, client);
    f->connector = connector;
    f_record(f, "connecting");
    if (f->on_started != NULL) {
        f->on_started(f, connector);
    }
}

static void f_failed(dw_client_factory *factory, dw_connector *connector, const dw_reason *reason) {
    serving *f = DW_CONTAINER_OF(factory, serving, client);
    char word[60];
    snprintf(word, sizeof(word), "failed:%s", kind_word(reason->kind));
    f->reason = *reason;
    f_record(f, word);
    if (f->on_failed != NULL) {
        f->on_failed(f, connector);
    }
}

static void f_lost(dw_client_factory *factory, dw_connector *connector, const dw_reason *reason) {
    serving *f = DW_CONTAINER_OF(factory, serving, client);
    char word[60];
    snprintf(word, sizeof(word), "lost:%s", kind_word(reason->kind));
    f->reason = *reason;
    f_record(f, word);
    if (f->on_lost != NULL) {
        f->on_lost(f, connector);
    }
}

static const dw_client_factory_class serving_class = {
    .base = {.name = "sides", .build_protocol = f_build, .start = f_start, .stop = f_stop},
    .started_connecting = f_started,
    .client_connection_failed = f_failed,
    .client_connection_lost = f_lost,
};

void serving_init(serving *f, conf *c, side **sides, unsigned count) {
    memset(f, 0, sizeof(*f));
    dw_client_factory_init(&f->client, &serving_class);
    f->c = c;
    f->sides = sides;
    f->count = count;
}

dw_port *conf_listen(conf *c, serving *f) {
    dw_port *port = NULL;
    ck_assert_int_eq(dw_reactor_listen_tcp(c->server, 0, &f->client.base, 0, c->address, &port), 0);
    return port;
}

void conf_connect(conf *c, serving *g, uint16_t port) {
    ck_assert_int_eq(dw_reactor_connect_tcp(c->client, c->address, port, &g->client, 0, NULL, NULL),
                     0);
}

dw_port *conf_pair(conf *c, serving *f, serving *g) {
    dw_port *port = conf_listen(c, f);
    conf_connect(c, g, dw_port_host(port).port);
    conf_settle(c);
    return port;
}

/* ---- Reactions ---- */

void do_lose(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

void do_abort(side *s) {
    dw_transport_abort_connection(s->protocol.transport);
}

void do_lose_write(side *s) {
    dw_transport_lose_write_connection(s->protocol.transport);
}

void do_echo(side *s) {
    dw_transport_write(s->protocol.transport, s->bytes, s->received);
    s->received = 0;
}

void do_hello(side *s) {
    side_say(s, "hello");
}

void do_pause(side *s) {
    dw_transport_pause_producing(s->protocol.transport);
}
