/* SPDX-License-Identifier: MIT */
/*
 * Worlds so small that all their runs can be counted by hand, for exhaustive.sh.
 */
#include <drywire/sim.h>

#include <string.h>

enum { SENDERS = 3 };

typedef struct sink {
    dw_datagram_protocol protocol;
    char got[SENDERS + 1];
} sink;

static sink sinks[SENDERS];
static dw_datagram_protocol sources[SENDERS];

static void received(dw_datagram_protocol *protocol, const uint8_t *data, size_t len,
                     const dw_address *from) {
    sink *s = (sink *)protocol;
    (void)from;
    if (len == 1) {
        size_t used = strlen(s->got);
        if (used < SENDERS) {
            s->got[used] = (char)*data;
        }
    }
}

static const dw_datagram_protocol_class sink_class = {.name = "sink",
                                                      .datagram_received = received};
static const dw_datagram_protocol_class source_class = {.name = "source"};

static dw_host *listen_on(dw_world *world, const char *name, sink *s) {
    dw_host *host = dw_world_add_host(world, name, NULL, NULL);
    memset(s, 0, sizeof(*s));
    dw_datagram_protocol_init(&s->protocol, &sink_class);
    dw_reactor_listen_udp(dw_host_reactor(host), 9, &s->protocol, NULL, 0, NULL);
    return host;
}

/* One byte, the sender's letter, to port 9 of a host. */
static void send_one(dw_world *world, size_t i, const char *name, dw_host *to) {
    dw_host *host = dw_world_add_host(world, name, NULL, NULL);
    dw_address address = dw_host_address(to);
    char letter = (char)('a' + i);
    address.port = 9;
    dw_datagram_protocol_init(&sources[i], &source_class);
    dw_reactor_listen_udp(dw_host_reactor(host), 0, &sources[i], NULL, 0, NULL);
    dw_datagram_write(sources[i].transport, &letter, 1, &address);
}

static void three_to_one(dw_world *world) {
    static const char *const names[SENDERS] = {"a", "b", "c"};
    dw_host *to = listen_on(world, "sink", &sinks[0]);
    for (size_t i = 0; i < SENDERS; i++) {
        send_one(world, i, names[i], to);
    }
    dw_world_run(world, DW_SEC(1));
}

/* Three datagrams arrive at one instant at one host: 3! orders. */
static void orders(dw_world *world) {
    three_to_one(world);
    dw_always(world, strlen(sinks[0].got) <= SENDERS, "three at most");
    dw_sometimes(world, strcmp(sinks[0].got, "cba") == 0, "the last comes first");
}

/* The same with a bug: the program breaks when the last comes first and the first last. */
static void broken(dw_world *world) {
    three_to_one(world);
    dw_always(world, strcmp(sinks[0].got, "cba") != 0, "the order does not matter");
}

/* Three datagrams arrive at one instant at three hosts: whichever is first, nobody can tell. */
static void apart(dw_world *world) {
    static const char *const to[SENDERS] = {"x", "y", "z"};
    static const char *const from[SENDERS] = {"a", "b", "c"};
    for (size_t i = 0; i < SENDERS; i++) {
        dw_host *host = listen_on(world, to[i], &sinks[i]);
        send_one(world, i, from[i], host);
    }
    dw_world_run(world, DW_SEC(1));
    dw_always(world, strlen(sinks[0].got) <= 1, "one at most");
}

DW_MAIN(DW_SCENARIO(orders, .leaks_ok = true), DW_SCENARIO(broken, .leaks_ok = true),
        DW_SCENARIO(apart, .leaks_ok = true))
