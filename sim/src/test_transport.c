/* SPDX-License-Identifier: MIT */
/*
 * dw_test_transport: what a unit test does to one protocol. Each outside step first changes the
 * wire, then settles: readiness is reported and due work done until nothing is left to do at this
 * instant. So when a step returns, all its consequences have happened. Steps never nest.
 */
#include "test_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* More rounds than this at one instant is a livelock: something re-arms itself without delay. */
#define TEST_ROUNDS_MAX 100000

/* More instants than this in one advance, likewise: 30 s in steps of 3 us. */
#define TEST_INSTANTS_MAX 10000000

/* ---- Settling ---- */

static void factory_release(void *user) {
    dw_test_transport *test = user;
    dw_factory *factory = test->user_factory;
    test->user_factory = NULL;
    if (factory != NULL) {
        dw_factory_do_stop(factory);
    }
}

static bool settle_round(dw_test_transport *test) {
    bool worked = false;
    unsigned ready = sim_test_wire_ready(test);
    if (ready != 0) {
        dw_io_ready(&test->reactor, test->conn, ready);
        sim_test_buffer_guard(&test->in);
        worked = true;
    }
    if (dw_reactor_next_due(&test->reactor) <= test->now) {
        dw_reactor_turn(&test->reactor);
        worked = true;
    }
    return worked;
}

static void settle(dw_test_transport *test) {
    for (unsigned round = 0; settle_round(test); round++) {
        if (round == TEST_ROUNDS_MAX) {
            dw_contract(&test->reactor, false, "livelock",
                        "dw_test_transport: 100000 turns without time passing; a delayed call or a "
                        "producer comes again and again");
            abort();
        }
    }
    if (test->conn == NULL && !test->connected) {
        factory_release(test);
    }
}

static void step_begin(dw_test_transport *test) {
    dw_contract(&test->reactor, !test->busy, "contract",
                "a dw_test_transport function was called inside a callback");
    test->busy = true;
}

static void step_end(dw_test_transport *test) {
    settle(test);
    test->busy = false;
}

/* ---- Life ---- */

static dw_protocol *test_build_protocol(dw_factory *factory, const dw_address *peer) {
    dw_test_transport *test = DW_CONTAINER_OF(factory, dw_test_transport, factory);
    dw_protocol *protocol = test->next;
    test->next = NULL;
    if (test->user_factory != NULL) {
        protocol = test->user_factory->cls->build_protocol(test->user_factory, peer);
    }
    bool refused = protocol == NULL || protocol == DW_PROTOCOL_FAILED;
    test->built = refused ? NULL : protocol;
    test->own_factory = test->user_factory;
    if (test->own_factory == NULL && !refused) {
        test->own_factory = protocol->factory;
    }
    return protocol;
}

static const dw_factory_class test_factory_class = {
    .name = "dw_test_transport",
    .build_protocol = test_build_protocol,
};

/* Told by core just before it calls the protocol. The test's factory stands between the port and
 * the user's; here, before the protocol can look, it steps out of sight. */
static void test_observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code,
                         const void *data, size_t len) {
    (void)io, (void)data, (void)len;
    dw_test_transport *test = (dw_test_transport *)(void *)reactor;
    switch (seen) {
    case DW_SEEN_MADE:
        test->connected = true;
        test->built->factory = test->own_factory;
        break;
    case DW_SEEN_LOST:
        test->connected = false;
        test->reason = (dw_error)code;
        break;
    case DW_SEEN_PAUSE:
    case DW_SEEN_RESUME:
        test->paused = seen == DW_SEEN_PAUSE;
        break;
    default:
        break;
    }
}

/* All but the buffers' memory begins anew. */
static void state_clear(dw_test_transport *test) {
    test_buffer in = test->in, out = test->out;
    in.at = in.len = out.at = out.len = 0;
    memset((char *)test + sizeof(dw_reactor), 0, sizeof(*test) - sizeof(dw_reactor));
    test->in = in;
    test->out = out;
    test->room = SIZE_MAX;
    test->blocks.next = test->blocks.previous = &test->blocks;
}

void sim_test_transport_init(dw_test_transport *test) {
    state_clear(test);
    dw_factory_init(&test->factory, &test_factory_class);
    dw_allocator allocator = sim_test_allocator(test);
    dw_reactor_init(&test->reactor, &sim_test_wire, &allocator);
    test->reactor.observe = test_observe;
    dw_reactor_startup(&test->reactor);
    /* The first of its phase: a factory may free itself after shutdown, as soon as it is unused. */
    dw_reactor_add_trigger(&test->reactor, &test->at_shutdown, DW_DURING_SHUTDOWN, factory_release,
                           test);
}

void sim_test_transport_shut(dw_test_transport *test) {
    step_begin(test);
    dw_reactor_shutdown(&test->reactor);
    test->busy = false;
}

void sim_test_transport_fini(dw_test_transport *test) {
    dw_reactor_fini(&test->reactor);
}

dw_test_transport *dw_test_transport_new(void) {
    dw_test_transport *test = calloc(1, sizeof(*test));
    if (test != NULL) {
        sim_test_transport_init(test);
    }
    return test;
}

dw_reactor *dw_test_transport_reactor(dw_test_transport *test) {
    return &test->reactor;
}

void dw_test_transport_free(dw_test_transport *test) {
    if (test == NULL) {
        return;
    }
    sim_test_transport_shut(test);
    sim_test_transport_fini(test);
    sim_test_buffer_free(&test->in);
    sim_test_buffer_free(&test->out);
    free(test);
}

/* ---- Connecting ---- */

static void connection_clear(dw_test_transport *test) {
    test->in.at = test->in.len = 0;
    test->out.at = test->out.len = 0;
    test->reason = DW_OK;
    test->paused = test->sent_fin = test->sent_reset = false;
    test->error = 0;
    test->end = test->peer_gone = false;
    test->options[0] = test->options[1] = 0;
    test->built = NULL;
}

/* The port is the test's doing: fail_alloc does not count what it takes. */
static dw_port *listen_begin(dw_test_transport *test) {
    dw_port *port = NULL;
    test->may_open = test->no_fail = true;
    int result = dw_reactor_listen_tcp(&test->reactor, 0, &test->factory, 1, NULL, &port);
    test->may_open = test->no_fail = false;
    if (result != 0 || test->listener == NULL) {
        dw_contract(&test->reactor, false, "no-memory", "dw_test_transport: cannot listen");
        abort();
    }
    return port;
}

static void connection_open(dw_test_transport *test) {
    dw_contract(&test->reactor, !test->connected && test->conn == NULL, "contract",
                "dw_test_transport: one protocol at a time; the last one is still connected");
    connection_clear(test);
    dw_port *port = listen_begin(test);
    test->knocking = true;
    dw_io_ready(&test->reactor, test->listener, DW_READABLE);
    test->knocking = false;
    test->no_fail = true;
    dw_port_stop_listening(port, NULL, NULL);
    test->no_fail = false;
}

void dw_test_transport_connect(dw_test_transport *test, dw_protocol *protocol) {
    step_begin(test);
    test->next = protocol;
    connection_open(test);
    step_end(test);
    if (test->next != NULL) { /* no memory for the connection: it was never built */
        test->next = NULL;
        if (protocol->cls->destroy != NULL) {
            protocol->cls->destroy(protocol);
        }
    }
}

dw_protocol *dw_test_transport_build(dw_test_transport *test, dw_factory *factory) {
    step_begin(test);
    dw_factory_do_start(factory);
    test->user_factory = factory;
    connection_open(test);
    dw_protocol *protocol = test->built;
    step_end(test);
    return test->connected ? protocol : NULL;
}

/* ---- What the peer and the network do ---- */

/* Bytes for a connection that is gone, or after the peer's own end, go nowhere. */
static void receive(dw_test_transport *test, const void *data, size_t len) {
    if (test->conn == NULL || test->end || test->error != 0) {
        return;
    }
    sim_test_buffer_append(&test->in, data, len);
}

void dw_test_transport_receive(dw_test_transport *test, const void *data, size_t len) {
    step_begin(test);
    receive(test, data, len);
    step_end(test);
}

void dw_test_transport_receive_cut(dw_test_transport *test, const void *data, size_t len,
                                   size_t piece) {
    dw_contract(&test->reactor, piece > 0, "contract",
                "dw_test_transport_receive_cut: a piece has at least one byte");
    const uint8_t *bytes = data;
    for (size_t at = 0; at < len; at += piece) {
        size_t rest = len - at;
        dw_test_transport_receive(test, bytes + at, rest < piece ? rest : piece);
    }
}

void dw_test_transport_advance(dw_test_transport *test, dw_time by) {
    dw_contract(&test->reactor, by >= 0, "contract",
                "dw_test_transport_advance: time does not go back");
    step_begin(test);
    dw_time end = by > DW_TIME_MAX - test->now ? DW_TIME_MAX : test->now + by;
    for (unsigned instants = 0;; instants++) {
        dw_time due = dw_reactor_next_due(&test->reactor);
        if (due > end || due == DW_TIME_MAX) {
            break;
        }
        if (instants == TEST_INSTANTS_MAX) {
            dw_contract(&test->reactor, false, "livelock",
                        "dw_test_transport_advance: 10000000 different due times in one advance");
            abort();
        }
        test->now = due > test->now ? due : test->now;
        settle(test);
    }
    test->now = end;
    step_end(test);
}

void dw_test_transport_set_room(dw_test_transport *test, size_t room) {
    step_begin(test);
    test->room = room;
    step_end(test);
}

void dw_test_transport_half_close(dw_test_transport *test) {
    step_begin(test);
    test->end = test->end || test->conn != NULL;
    step_end(test);
}

/* A reset overtakes what has not been read (RFC 9293, section 3.10.7.4: queues are flushed). */
void dw_test_transport_lose(dw_test_transport *test, int sys_errno) {
    step_begin(test);
    if (test->conn != NULL && sys_errno == 0) {
        test->end = test->peer_gone = true;
    } else if (test->conn != NULL && test->error == 0) {
        test->error = sys_errno;
        test->in.at = test->in.len = 0;
    }
    step_end(test);
}

/* ---- What the protocol did ---- */

const char *dw_test_transport_written(dw_test_transport *test, size_t *len) {
    sim_test_buffer_append(&test->out, "", 1);
    test->out.len--;
    if (len != NULL) {
        *len = test->out.len;
    }
    return (const char *)test->out.bytes;
}

void dw_test_transport_clear(dw_test_transport *test) {
    test->out.len = 0;
}

bool dw_test_transport_connected(const dw_test_transport *test) {
    return test->connected;
}

dw_error dw_test_transport_reason(const dw_test_transport *test) {
    return test->reason;
}

bool dw_test_transport_sent_fin(const dw_test_transport *test) {
    return test->sent_fin;
}

bool dw_test_transport_sent_reset(const dw_test_transport *test) {
    return test->sent_reset;
}

bool dw_test_transport_paused(const dw_test_transport *test) {
    return test->connected && test->paused;
}

void dw_test_transport_fail_alloc(dw_test_transport *test, unsigned n, bool and_after) {
    test->fail_in = n;
    test->fail_after = and_after;
}

/* What core keeps at hand for later use, empty buffers and the timers' heap, is not the program's.
 */
size_t dw_test_transport_allocations(const dw_test_transport *test) {
    size_t kept = test->reactor.pool_count + (test->reactor.timers.heap != NULL);
    return test->block_count - kept;
}
