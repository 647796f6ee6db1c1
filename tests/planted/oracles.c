/* SPDX-License-Identifier: MIT */
/*
 * A planted bug for each oracle that needs no promise: usual mistakes, in programs that assert
 * nothing. (Bugs for dw_always and for sweeps are kv's, in planted.sh.)
 */
#include "rig.h"

#include <drywire/wrapper.h>
static const char *const two_requests[] = {"ann\n", "bob\n", NULL};

static void echo_data(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static const dw_protocol_class echo = {
    .name = "echo", .data_received = echo_data, .destroy = rig_destroy};

static void serve_two(dw_world *w, const dw_protocol_class *cls) {
    rig_serve(w, cls, NULL);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- crash ---- */

static void crashing_data(dw_protocol *p, const uint8_t *data, size_t len) {
    echo_data(p, data, len);
    if (BUGGY) {
        abort();
    }
}

static void crash(dw_world *w) {
    static const dw_protocol_class cls = {
        .name = "crashing", .data_received = crashing_data, .destroy = rig_destroy};
    serve_two(w, &cls);
}

/* ---- hang: a loop that never ends ---- */

static void hanging_data(dw_protocol *p, const uint8_t *data, size_t len) {
    volatile bool again = BUGGY;
    while (again) {
    }
    echo_data(p, data, len);
}

static void hang(dw_world *w) {
    static const dw_protocol_class cls = {
        .name = "hanging", .data_received = hanging_data, .destroy = rig_destroy};
    serve_two(w, &cls);
}

/* ---- livelock: waits for something by asking again at once ---- */

static void ask_again(void *user) {
    rig_conn *c = user;
    if (c->len == 0) {
        dw_reactor_call_later(c->reactor, &c->call, BUGGY ? 0 : DW_MSEC(10), ask_again, c);
    }
}

static void asking_made(dw_protocol *p) {
    ask_again(rig_conn_of(p));
}

static void asking_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_delayed_call_cancel(&rig_conn_of(p)->call);
}

static void livelock(dw_world *w) {
    static const dw_protocol_class cls = {.name = "asking",
                                          .connection_made = asking_made,
                                          .connection_lost = asking_lost,
                                          .destroy = rig_destroy};
    serve_two(w, &cls);
}

/* ---- contract: a policy that passes the end on twice ---- */

static void twice_lost(dw_protocol_wrapper *wrapper, const dw_reason *reason) {
    dw_protocol_wrapper_connection_lost(wrapper, reason);
    if (BUGGY) {
        dw_protocol_wrapper_connection_lost(wrapper, reason);
    }
}

static const dw_protocol_wrapper_class twice_wrapper = {.connection_lost = twice_lost};
static const dw_wrapping_factory_class twice = {
    .name = "twice", .wrapper = &twice_wrapper, .wrapper_size = sizeof(dw_protocol_wrapper)};
static dw_wrapping_factory twice_factory;

static void *twice_boot(dw_reactor *reactor, void *user) {
    rig.reactor = reactor;
    rig_factory_class.promises = NULL;
    dw_factory_init(&rig.factory, &rig_factory_class);
    dw_wrapping_factory_init(&twice_factory, &twice, reactor, &rig.factory);
    return dw_reactor_listen_tcp(reactor, RIG_PORT, &twice_factory.base.base, 0, NULL, NULL) == 0
               ? user
               : NULL;
}

static void contract(dw_world *w) {
    rig = (struct rig){.world = w, .cls = &echo};
    rig.server = dw_world_add_host(w, "server", twice_boot, &rig);
    rig_connect(two_requests, DW_MSEC(100));
    rig_client.closes = true;
    dw_world_run(w, DW_SEC(1));
}

/* ---- dead-transport: an answer that comes when the connection has gone ---- */

static struct late {
    dw_transport *transport;
    dw_delayed_call call;
} late;

static void late_answer(void *user) {
    (void)user;
    dw_transport_write(late.transport, "late\n", 5);
}

static void late_data(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    late.transport = p->transport;
    dw_reactor_call_later(rig.reactor, &late.call, DW_MSEC(300), late_answer, NULL);
}

static void late_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    if (!BUGGY || !dw_reactor_running(rig.reactor)) {
        dw_delayed_call_cancel(&late.call);
    }
}

static void dead_transport(dw_world *w) {
    static const dw_protocol_class cls = {.name = "late",
                                          .data_received = late_data,
                                          .connection_lost = late_lost,
                                          .destroy = rig_destroy};
    memset(&late, 0, sizeof(late));
    rig_serve(w, &cls, NULL);
    rig_connect(two_requests, DW_MSEC(100));
    rig_client.closes = true;
    dw_world_run(w, DW_SEC(10));
}

/* ---- leaks ---- */

static void leaking_made(dw_protocol *p) {
    rig_conn *c = rig_conn_of(p);
    c->more = dw_alloc(c->reactor, 77);
}

static void leaking_destroy(dw_protocol *p) {
    rig_conn *c = rig_conn_of(p);
    if (!BUGGY) {
        dw_free(c->reactor, c->more);
    }
    dw_free(c->reactor, c);
}

static void leak_memory(dw_world *w) {
    static const dw_protocol_class cls = {.name = "leaking",
                                          .connection_made = leaking_made,
                                          .data_received = echo_data,
                                          .destroy = leaking_destroy};
    serve_two(w, &cls);
}

/* The idle timer is not taken back when the connection ends. */
static void nothing(void *user) {
    (void)user;
}

static void idle_made(dw_protocol *p) {
    (void)p;
    dw_reactor_call_later(rig.reactor, &late.call, DW_HOUR(1), nothing, NULL);
}

static void idle_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    if (!BUGGY) {
        dw_delayed_call_cancel(&late.call);
    }
}

static void leak_call(dw_world *w) {
    static const dw_protocol_class cls = {.name = "idle",
                                          .connection_made = idle_made,
                                          .data_received = echo_data,
                                          .connection_lost = idle_lost,
                                          .destroy = rig_destroy};
    memset(&late, 0, sizeof(late));
    serve_two(w, &cls);
}

/* A client that connects anew whenever its connection ends, even when its reactor stops. */
static void stubborn_lost(dw_client_factory *factory, dw_connector *connector,
                          const dw_reason *reason) {
    (void)factory, (void)reason;
    if (BUGGY || dw_reactor_running(dw_connector_reactor(connector))) {
        dw_connector_connect(connector);
    }
}

static void leak_attempt(dw_world *w) {
    static const dw_client_factory_class cls = {
        .base = {.name = "stubborn", .build_protocol = rig_client_build},
        .client_connection_failed = stubborn_lost,
        .client_connection_lost = stubborn_lost};
    static const char *const none[] = {NULL};
    rig_serve(w, &echo, NULL);
    rig_connect(none, DW_MSEC(100));
    dw_client_factory_init(&rig_client.factory, &cls);
    dw_world_run(w, DW_SEC(1));
}

/* ---- A child that is not ended ---- */

static struct parent {
    dw_process_protocol protocol;
    dw_process *process;
    dw_trigger at_shutdown;
} parent;

static void parent_ends(void *user) {
    (void)user;
    if (!BUGGY && parent.process != NULL) {
        dw_process_signal_process(parent.process, "KILL");
    }
}

static void parent_ended(dw_process_protocol *p, const dw_reason *reason) {
    (void)p, (void)reason;
    parent.process = NULL;
}

static void *parent_boot(dw_reactor *reactor, void *user) {
    static const dw_process_protocol_class cls = {.name = "parent", .process_ended = parent_ended};
    static const char *const argv[] = {"sleep", NULL};
    memset(&parent, 0, sizeof(parent));
    dw_process_protocol_init(&parent.protocol, &cls);
    dw_spawn_options options = {.argv = argv};
    dw_reactor_add_trigger(reactor, &parent.at_shutdown, DW_BEFORE_SHUTDOWN, parent_ends, NULL);
    dw_reactor_spawn_process(reactor, &parent.protocol, &options, &parent.process);
    return user;
}

static void leak_child(dw_world *w) {
    dw_world_add_program(w, "sleep", &dw_sleep_script, NULL);
    dw_world_add_host(w, "host", parent_boot, &parent);
    dw_world_run(w, DW_SEC(1));
}

/* ---- memory: a peer that does not read ---- */

static void flood(void *user) {
    rig_conn *c = user;
    static const char block[64 * 1024];
    if (!BUGGY && dw_transport_buffered(c->base.transport) > sizeof(block)) {
        dw_transport_abort_connection(c->base.transport);
        return;
    }
    dw_transport_write(c->base.transport, block, sizeof(block));
    dw_reactor_call_later(c->reactor, &c->call, DW_MSEC(10), flood, c);
}

static void flood_made(dw_protocol *p) {
    flood(rig_conn_of(p));
}

static void memory_unsent(dw_world *w) {
    static const dw_protocol_class cls = {.name = "flood",
                                          .connection_made = flood_made,
                                          .connection_lost = asking_lost,
                                          .destroy = rig_destroy};
    rig_serve(w, &cls, NULL);
    rig_connect(two_requests, DW_MSEC(100));
    rig_client.deaf = true;
    dw_world_run(w, DW_SEC(10));
}

/* It keeps what it has to send in a list of its own. */
struct kept {
    struct kept *next;
    char bytes[4096];
};

static struct kept *kept;

static void drop_kept(void) {
    while (kept != NULL) {
        struct kept *next = kept->next;
        dw_free(rig.reactor, kept);
        kept = next;
    }
}

static void keep(void *user) {
    rig_conn *c = user;
    if (dw_transport_buffered(c->base.transport) > 0) {
        if (!BUGGY) {
            drop_kept();
        }
        struct kept *more = dw_new(c->reactor, struct kept);
        if (more != NULL) {
            more->next = kept;
            kept = more;
        }
    } else {
        static const char block[256 * 1024];
        dw_transport_write(c->base.transport, block, sizeof(block));
    }
    dw_reactor_call_later(c->reactor, &c->call, DW_MSEC(1), keep, c);
}

static void keep_made(dw_protocol *p) {
    keep(rig_conn_of(p));
}

static void keep_lost(dw_protocol *p, const dw_reason *reason) {
    asking_lost(p, reason);
    drop_kept();
}

static void memory_host(dw_world *w) {
    static const dw_protocol_class cls = {.name = "keeping",
                                          .connection_made = keep_made,
                                          .connection_lost = keep_lost,
                                          .destroy = rig_destroy};
    kept = NULL;
    rig_serve(w, &cls, NULL);
    rig_connect(two_requests, DW_MSEC(100));
    rig_client.deaf = true;
    dw_world_run(w, DW_SEC(5));
}

/* ---- segmentation: the receiver in line.c itself is broken, see scripts.cmake ---- */

static void line_received(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    dw_line_only_receiver_send_line(r, line, len);
}

static struct lines {
    dw_line_only_receiver receiver;
    dw_factory factory;
    bool taken;
} lines;

static dw_protocol *lines_build(dw_factory *factory, const dw_address *peer) {
    static const dw_line_only_receiver_class cls = {
        .base = {.name = "lines", DW_LINE_ONLY_RECEIVER_SLOTS}, .line_received = line_received};
    (void)factory, (void)peer;
    if (lines.taken) {
        return NULL;
    }
    lines.taken = true;
    dw_line_only_receiver_init(&lines.receiver, &cls);
    return &lines.receiver.base;
}

static void *lines_boot(dw_reactor *reactor, void *user) {
    static const dw_factory_class cls = {.name = "lines", .build_protocol = lines_build};
    dw_factory_init(&lines.factory, &cls);
    return dw_reactor_listen_tcp(reactor, RIG_PORT, &lines.factory, 0, NULL, NULL) == 0 ? user
                                                                                        : NULL;
}

static void segmentation(dw_world *w) {
    static const char *const pieces[] = {"ann\r\nbob\r\n", "cid\r\n", NULL};
    memset(&lines, 0, sizeof(lines));
    rig = (struct rig){.world = w};
    rig.server = dw_world_add_host(w, "server", lines_boot, &lines);
    rig_connect(pieces, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- libc: random numbers that are not the run's ---- */

static void dicing_data(dw_protocol *p, const uint8_t *data, size_t len) {
    int dice = BUGGY ? rand() : 1;
    if (dice >= 0) {
        echo_data(p, data, len);
    }
}

static void libc(dw_world *w) {
    static const dw_protocol_class cls = {
        .name = "dicing", .data_received = dicing_data, .destroy = rig_destroy};
    serve_two(w, &cls);
}

/* ---- Determinism: what one run counts, the next one remembers ---- */

static void counting_data(dw_protocol *p, const uint8_t *data, size_t len) {
    static unsigned count;
    (void)data, (void)len;
    if (BUGGY) {
        count++;
    }
    rig_say(p, count % 2 == 0 ? "even\n" : "odd one out\n");
}

static void determinism(dw_world *w) {
    static const dw_protocol_class cls = {
        .name = "counting", .data_received = counting_data, .destroy = rig_destroy};
    static const char *const pieces[] = {"ann\n", NULL};
    rig_serve(w, &cls, NULL);
    rig_connect(pieces, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- Liveness: an answer that never comes, and who waits for it ---- */

static void silent_data(dw_protocol *p, const uint8_t *data, size_t len) {
    if (!BUGGY) {
        echo_data(p, data, len);
    }
}

static bool answered(void *user) {
    (void)user;
    return rig_client.received > 0 || rig_client.over;
}

static void liveness(dw_world *w) {
    static const dw_protocol_class cls = {
        .name = "silent", .data_received = silent_data, .destroy = rig_destroy};
    rig_serve(w, &cls, NULL);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_MSEC(150));
    dw_world_heal(w);
    bool came = dw_world_run_until(w, answered, NULL, DW_MIN(30));
    dw_always(w, came || dw_world_failed(w), "once the faults have stopped the client is answered");
}

DW_MAIN(
    DW_SCENARIO(crash, .seeds = 20), DW_SCENARIO(hang, .seeds = 1, .hang_s = 1),
    DW_SCENARIO(livelock, .seeds = 5, .stuck_max = 1000), CASE(contract, "contract"),
    CASE(dead_transport, "dead-transport"), CASE(leak_memory, "leak"), CASE(leak_call, "leak"),
    CASE(leak_attempt, "leak"), CASE(leak_child, "leak"),
    DW_SCENARIO(memory_unsent, .seeds = 5, .unsent_max = 1 << 20, .oracles_off = WITHOUT("memory")),
    DW_SCENARIO(memory_host, .seeds = 5, .memory_max = 1 << 20, .oracles_off = WITHOUT("memory")),
    CASE(segmentation, "segmentation"), CASE(libc, "libc"), DW_SCENARIO(determinism, .seeds = 3000),
    DW_SCENARIO(liveness, .seeds = 50, .kinds = "latency,cut,write",
                .oracles_off = WITHOUT("always")))
