/* SPDX-License-Identifier: MIT */
/*
 * Any verb in any callback, any answer of the wire, memory that fails now and then: thousands of
 * steps drawn from a seed. What must hold: the order of callbacks of each connection (made, then
 * anything, then lost once, then destroy), bytes sent are a beginning of the bytes written, failed
 * attempts and started factories add up, and nothing is left over. Run with a sanitizer it also
 * shows that nobody touches what is gone.
 */
#include "test_core_wire.h"

enum { SOAK_STEPS = 3000, SOAK_RUNS = 60, DEPTH_MAX = 3, LIVE_MAX = 40, GRAVES_MAX = 400 };

typedef struct unit {
    dw_protocol protocol;
    dw_producer producer;
    dw_delayed_call timer;
    bool made, lost, failed; /* failed: dw_transport_fail was called in here */
    int socket;
    uint8_t *written; /* all that was accepted */
    size_t written_len;
    const uint8_t *data;
    size_t len;
} unit;

static struct soak {
    fake *f;
    dw_client_factory serving, connecting;
    uint64_t random;
    unit *live[LIVE_MAX];
    int live_count, depth, sockets_max;
    unit *graves[GRAVES_MAX];
    int grave_count;
    int started[2];
    bool ending;
} soak;

static unsigned below(unsigned n) {
    soak.random ^= soak.random << 13;
    soak.random ^= soak.random >> 7;
    soak.random ^= soak.random << 17;
    return (unsigned)(soak.random % n);
}

static unit *unit_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, unit, protocol);
}

/* ---- Verbs ---- */

static bool takes(const unit *u) {
    return u->protocol.transport != NULL && u->protocol.connected;
}

static void accept_bytes(unit *u, const uint8_t *data, size_t len) {
    u->written = realloc(u->written, u->written_len + len);
    ck_assert_ptr_nonnull(u->written);
    memcpy(u->written + u->written_len, data, len);
    u->written_len += len;
}

/* What the transport keeps or sends of a write is what was accepted: seen by how much more lies in
 * its buffer. An end may drop all of it, never a part in the middle. */
static void write_some(unit *u, const uint8_t *data, size_t len) {
    dw_transport *t = u->protocol.transport;
    size_t before = dw_transport_buffered(t);
    if (!takes(u) || len == 0) {
        dw_transport_write(t, data, len);
        return;
    }
    accept_bytes(u, data, len);
    dw_transport_write(t, data, len);
    if (dw_transport_buffered(t) <= before) {
        u->written_len -= len; /* refused: it is ending */
    }
}

static void write_noise(unit *u) {
    static uint8_t noise[5000];
    size_t len = below(10) == 0 ? below(5000) : below(20);
    for (size_t i = 0; i < len; i++) {
        noise[i] = (uint8_t)below(256);
    }
    write_some(u, noise, len);
}

static void write_received(unit *u, const unit *from) {
    if (from->data != NULL && from->len > 0) {
        size_t at = below((unsigned)from->len);
        write_some(u, from->data + at, 1 + below((unsigned)(from->len - at)));
    }
}

static void go_wrong(unit *u) {
    dw_reason reason = {DW_APP_ERROR, 0, "soak"};
    if (takes(u)) {
        u->failed = true;
    }
    dw_transport_fail(u->protocol.transport, &reason);
}

static void on_timer(void *user);

static void verb(unit *u, const unit *here) {
    dw_transport *t = u->protocol.transport;
    switch (below(18)) {
    case 0:
        dw_transport_lose_connection(t);
        break;
    case 1:
        dw_transport_abort_connection(t);
        break;
    case 2:
        dw_transport_lose_write_connection(t);
        break;
    case 3:
        go_wrong(u);
        break;
    case 4:
        dw_transport_pause_producing(t);
        break;
    case 5:
    case 6:
        dw_transport_resume_producing(t);
        break;
    case 7:
        dw_transport_register_producer(t, &u->producer, below(2) == 0);
        break;
    case 8:
        dw_transport_unregister_producer(t);
        break;
    case 9:
        dw_transport_set_write_limits(t, below(10), 10 + below(1000));
        break;
    case 10:
        dw_reactor_call_later(&soak.f->reactor, &u->timer, (dw_time)below(30), on_timer, u);
        break;
    case 11:
    case 12:
        write_received(u, here);
        break;
    default:
        write_noise(u);
    }
}

static bool is_live(const unit *u) {
    for (int i = 0; i < soak.live_count; i++) {
        if (soak.live[i] == u) {
            return true;
        }
    }
    return false;
}

/* A few verbs, mostly on the connection itself. Not too deep: a verb may call back. */
static void act(unit *u) {
    if (soak.depth >= DEPTH_MAX || soak.ending) {
        return;
    }
    soak.depth++;
    for (unsigned i = below(4); i > 0 && is_live(u); i--) {
        unit *at =
            below(4) > 0 || soak.live_count == 0 ? u : soak.live[below((unsigned)soak.live_count)];
        verb(at, u);
    }
    soak.depth--;
}

static void on_timer(void *user) {
    act(user);
}

/* ---- Callbacks ---- */

static void soak_made(dw_protocol *p) {
    unit *u = unit_of(p);
    ck_assert(!u->made && p->connected);
    u->made = true;
    u->socket = (int)p->transport->io.socket;
    act(u);
}

static void soak_data(dw_protocol *p, const uint8_t *data, size_t len) {
    unit *u = unit_of(p);
    ck_assert(u->made && !u->lost && len > 0);
    u->data = data;
    u->len = len;
    act(u);
    u->data = NULL;
}

static void soak_half(dw_protocol *p) {
    ck_assert(unit_of(p)->made && !unit_of(p)->lost);
    act(unit_of(p));
}

static void soak_lost(dw_protocol *p, const dw_reason *reason) {
    unit *u = unit_of(p);
    ck_assert(u->made && !u->lost && !p->connected && p->transport != NULL);
    ck_assert_int_lt((int)reason->kind, 0);
    u->lost = true;
    act(u);
}

static void check_sent(const unit *u) {
    if (!u->made) {
        return;
    }
    const fake_socket *s = &soak.f->sockets[u->socket];
    ck_assert_uint_le(s->out_len, u->written_len);
    if (s->out_len > 0) {
        ck_assert_mem_eq(s->out, u->written, s->out_len);
    }
}

static void soak_destroy(dw_protocol *p) {
    unit *u = unit_of(p);
    ck_assert(u->lost == u->made || soak.ending);
    ck_assert_ptr_null(p->transport);
    dw_delayed_call_cancel(&u->timer);
    for (int i = 0; i < soak.live_count; i++) {
        if (soak.live[i] == u) {
            soak.live[i] = soak.live[--soak.live_count];
        }
    }
    check_sent(u);
    free(u->written);
    ck_assert_int_lt(soak.grave_count, GRAVES_MAX);
    soak.graves[soak.grave_count++] = u;
    memset(u, 0xdd, sizeof(*u)); /* nobody may look at it now */
}

/* A verb from outside may end a connection at once, with the caller's hand still on it: so what was
 * destroyed is freed when no callback is left on the stack. */
static void bury(void) {
    while (soak.grave_count > 0) {
        free(soak.graves[--soak.grave_count]);
    }
}

static const dw_protocol_class soak_class = {.name = "soak",
                                             .connection_made = soak_made,
                                             .data_received = soak_data,
                                             .connection_lost = soak_lost,
                                             .destroy = soak_destroy};

static const dw_protocol_class soak_aware_class = {.name = "aware soak",
                                                   .connection_made = soak_made,
                                                   .data_received = soak_data,
                                                   .connection_lost = soak_lost,
                                                   .read_connection_lost = soak_half,
                                                   .write_connection_lost = soak_half,
                                                   .destroy = soak_destroy};

static void soak_produce(dw_producer *p) {
    act(DW_CONTAINER_OF(p, unit, producer));
}

static const dw_producer_class soak_producer = {.name = "soak",
                                                .pause_producing = soak_produce,
                                                .resume_producing = soak_produce,
                                                .stop_producing = soak_produce};

/* ---- Factories ---- */

static dw_protocol *soak_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    unsigned luck = below(12);
    if (luck < 2) {
        return luck == 0 ? NULL : DW_PROTOCOL_FAILED;
    }
    unit *u = calloc(1, sizeof(*u));
    ck_assert_ptr_nonnull(u);
    dw_protocol_init(&u->protocol, below(2) == 0 ? &soak_class : &soak_aware_class);
    u->producer.cls = &soak_producer;
    ck_assert_int_lt(soak.live_count, LIVE_MAX);
    soak.live[soak.live_count++] = u;
    return &u->protocol;
}

static int which(const dw_factory *factory) {
    return factory == &soak.serving.base ? 0 : 1;
}

static void soak_start(dw_factory *factory) {
    soak.started[which(factory)]++;
}

static void soak_stop(dw_factory *factory) {
    soak.started[which(factory)]--;
    ck_assert_int_ge(soak.started[which(factory)], 0);
}

static void soak_connector(dw_client_factory *factory, dw_connector *connector) {
    (void)factory;
    if (below(20) == 0) {
        dw_connector_stop_connecting(connector);
    }
}

static void soak_over(dw_client_factory *factory, dw_connector *connector,
                      const dw_reason *reason) {
    (void)factory, (void)reason;
    ck_assert_int_eq(dw_connector_get_state(connector), DW_CONNECTOR_DISCONNECTED);
    if (below(3) == 0 && !soak.ending && soak.f->socket_count < soak.sockets_max) {
        dw_connector_connect(connector);
    }
}

static const dw_client_factory_class soak_factory = {
    .base = {.name = "soak", .build_protocol = soak_build, .start = soak_start, .stop = soak_stop},
    .started_connecting = soak_connector,
    .client_connection_failed = soak_over,
    .client_connection_lost = soak_over,
};

/* ---- The world ---- */

static const uint8_t *noise_to_receive(size_t *len) {
    static uint8_t bytes[4000]; /* one buffer for all, as a wire has */
    *len = 1 + below(below(10) == 0 ? 4000 : 30);
    for (size_t i = 0; i < *len; i++) {
        bytes[i] = (uint8_t)below(256);
    }
    return bytes;
}

static void readable(fake_socket *s, int socket) {
    unsigned luck = below(12);
    if (luck == 0) {
        s->in_end = true;
    } else if (luck == 1) {
        s->in_error = below(2) == 0 ? ECONNRESET : EAGAIN;
    } else {
        s->in = noise_to_receive(&s->in_len);
    }
    fake_ready(soak.f, socket, DW_READABLE | (below(3) == 0 ? DW_WRITABLE : 0));
    s->in_len = 0;
    s->in_error = s->in_error == EAGAIN ? 0 : s->in_error;
}

static void writable(fake_socket *s, int socket) {
    const int errors[] = {EPIPE, EAGAIN, ECONNRESET};
    s->send_error = below(10) == 0 ? errors[below(3)] : 0;
    s->room = below(4) == 0 ? 0 : below(3000);
    soak.f->connected = below(3) == 0 ? -ECONNREFUSED : 0;
    fake_ready(soak.f, socket, DW_WRITABLE);
}

static void network(void) {
    int socket = (int)below((unsigned)soak.f->socket_count);
    fake_socket *s = &soak.f->sockets[socket];
    if (!s->open || s->io == NULL) {
        return;
    }
    if (s->io->kind == DW_IO_PORT) {
        if (soak.f->accept_count < FAKE_SCRIPT_MAX && soak.live_count < LIVE_MAX / 2 &&
            soak.f->socket_count < soak.sockets_max) {
            fake_accepts(soak.f, below(8) == 0 ? -EMFILE : 0);
        }
        fake_ready(soak.f, socket, DW_READABLE);
    } else if (below(2) == 0) {
        readable(s, socket);
    } else {
        writable(s, socket);
    }
}

static void step(void) {
    fake *f = soak.f;
    if (below(40) == 0) {
        f->fail_in = 1 + below(3);
        f->fail_after = false;
    }
    switch (below(8)) {
    case 0:
        if (f->socket_count < soak.sockets_max && soak.live_count < LIVE_MAX / 2) {
            dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 1, &soak.connecting,
                                   below(2) == 0 ? (dw_time)below(50) + 1 : -1, NULL, NULL);
        }
        break;
    case 1:
        if (soak.live_count > 0) {
            unit *u = soak.live[below((unsigned)soak.live_count)];
            verb(u, u);
        }
        break;
    case 2:
    case 3:
        f->now += below(10);
        dw_reactor_turn(&f->reactor);
        break;
    default:
        network();
    }
}

static void soak_end(void) {
    fake *f = soak.f;
    f->fail_in = 0;
    if (below(2) == 0) {
        dw_reactor_shutdown(&f->reactor);
        ck_assert_uint_eq(dw_reactor_count(&f->reactor).connections, 0);
        ck_assert_int_eq(soak.started[0], 0);
    }
    soak.ending = true;
    dw_reactor_fini(&f->reactor);
    ck_assert_int_eq(soak.live_count, 0);
    bury();
}

START_TEST(any_verb_in_any_callback) {
    memset(&soak, 0, sizeof(soak));
    soak.random = 88172645463325252u + (uint64_t)_i * 7919;
    soak.f = fake_new();
    soak.sockets_max = FAKE_SOCKETS_MAX - 10;
    dw_client_factory_init(&soak.serving, &soak_factory);
    dw_client_factory_init(&soak.connecting, &soak_factory);
    dw_reactor_startup(&soak.f->reactor);
    ck_assert_int_eq(dw_reactor_listen_tcp(&soak.f->reactor, 1, &soak.serving.base, 0, NULL, NULL),
                     0);
    for (int i = 0; i < SOAK_STEPS; i++) {
        step();
        bury();
        for (int j = 0; j < soak.live_count; j++) {
            check_sent(soak.live[j]);
        }
    }
    soak_end();
    ck_assert_uint_eq(soak.f->violations, 0);
    fake_fini(soak.f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core soak");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, any_verb_in_any_callback, 0, SOAK_RUNS);
    return run_case(tc);
}
