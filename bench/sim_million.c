/* SPDX-License-Identifier: MIT */
/*
 * sim_million CONNECTIONS: so many connections to one server, opened in waves, each with one echo;
 * then all of them stay open, and an hour passes. The last line is `connections=<open at once>
 * bytes=<of resident memory for each> open_wall=<seconds> idle_hour=<seconds> rss=<bytes>`. The
 * programs' own memory counts in it: two protocols of a few words each.
 */
#include "measure.h"

#include <drywire/sim.h>
#include <run.h>

#include <string.h>

enum { PER_HOST = 25000, WAVE = 500 };
#define BETWEEN_WAVES DW_MSEC(10)

typedef struct crowd {
    dw_client_factory factory;
    dw_reactor *reactor;
    dw_delayed_call wave;
    dw_trigger end;
    unsigned left;
} crowd;

static uint64_t wanted, echoed, open_wall, idle_wall, open_rss;

/* ---- Protocols: nothing but what a protocol is ---- */

static void give_back(dw_protocol *p) {
    dw_free(DW_CONTAINER_OF(p->factory, crowd, factory.base)->reactor, p);
}

static void echo_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void client_made(dw_protocol *p) {
    dw_transport_write(p->transport, "hello", 5);
}

static void client_received(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)p, (void)data, (void)len;
    echoed++;
}

static const dw_protocol_class echo_class = {
    .name = "echo", .data_received = echo_received, .destroy = give_back};
static const dw_protocol_class client_class = {.name = "client",
                                               .connection_made = client_made,
                                               .data_received = client_received,
                                               .destroy = give_back};

static dw_protocol *build(dw_factory *factory, const dw_protocol_class *cls) {
    crowd *c = DW_CONTAINER_OF(factory, crowd, factory.base);
    dw_protocol *p = dw_new(c->reactor, dw_protocol);
    if (p == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(p, cls);
    return p;
}

static dw_protocol *build_echo(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    return build(factory, &echo_class);
}

static dw_protocol *build_client(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    return build(factory, &client_class);
}

static const dw_client_factory_class echo_factory = {
    .base = {.name = "echo", .build_protocol = build_echo}};
static const dw_client_factory_class client_factory = {
    .base = {.name = "client", .build_protocol = build_client}};

static void crowd_end(void *user) {
    crowd *c = user;
    dw_free(c->reactor, c);
}

static crowd *crowd_new(dw_reactor *reactor, const dw_client_factory_class *cls) {
    crowd *c = dw_new(reactor, crowd);
    if (c != NULL) {
        dw_client_factory_init(&c->factory, cls);
        c->reactor = reactor;
        dw_reactor_add_trigger(reactor, &c->end, DW_AFTER_SHUTDOWN, crowd_end, c);
    }
    return c;
}

/* ---- The world ---- */

static void *server_boot(dw_reactor *reactor, void *user) {
    crowd *c = crowd_new(reactor, &echo_factory);
    (void)user;
    bool listens =
        c != NULL && dw_reactor_listen_tcp(reactor, 7, &c->factory.base, 65535, NULL, NULL) == 0;
    return listens ? c : NULL;
}

static void next_wave(void *user) {
    crowd *c = user;
    for (unsigned i = 0; i < WAVE && c->left > 0; i++, c->left--) {
        dw_reactor_connect_tcp(c->reactor, "10.0.0.1", 7, &c->factory, -1, NULL, NULL);
    }
    if (c->left > 0) {
        dw_reactor_call_later(c->reactor, &c->wave, BETWEEN_WAVES, next_wave, c);
    }
}

static void add_clients(dw_world *world, unsigned number, unsigned clients) {
    char name[32];
    snprintf(name, sizeof(name), "clients-%u", number);
    dw_reactor *reactor = dw_host_reactor(dw_world_add_host(world, name, NULL, NULL));
    crowd *c = crowd_new(reactor, &client_factory);
    if (c != NULL) {
        c->left = clients;
        dw_reactor_call_later(reactor, &c->wave, DW_MSEC(number), next_wave, c);
    }
}

static void million(dw_world *world) {
    uint64_t before = wall_ns();
    dw_world_add_host(world, "server", server_boot, NULL);
    for (uint64_t done = 0; done < wanted; done += PER_HOST) {
        uint64_t left = wanted - done;
        add_clients(world, (unsigned)(done / PER_HOST) + 1,
                    (unsigned)(left < PER_HOST ? left : PER_HOST));
    }
    dw_world_run_until_idle(world, DW_HOUR(1));
    open_wall = wall_ns() - before;
    open_rss = peak_rss();
    before = wall_ns();
    dw_world_run(world, DW_HOUR(1));
    idle_wall = wall_ns() - before;
}

int main(int argc, char **argv) {
    if (argc != 2 || !parse_number(argv[1], &wanted) || wanted == 0 || wanted > 100000000) {
        fprintf(stderr, "usage: sim_million CONNECTIONS\n");
        return 2;
    }
    dw_scenario scenario = {
        .name = "million", .run = million, .events_max = UINT64_MAX, .stuck_max = UINT32_MAX};
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    sim_outcome outcome;
    sim_runner *runner = sim_runner_new();
    if (runner == NULL) {
        fprintf(stderr, "sim_million: out of memory\n");
        return 1;
    }
    uint64_t base = peak_rss();
    sim_run(runner, &scenario, &source, &options, &outcome);
    if (outcome.failed) {
        fprintf(stderr, "sim_million: %s\n", outcome.message);
    }
    printf("connections=%llu bytes=%llu ", (unsigned long long)echoed,
           (unsigned long long)((open_rss - base) / wanted));
    print_seconds("open_wall", open_wall);
    print_seconds(" idle_hour", idle_wall);
    printf(" rss=%llu\n", (unsigned long long)open_rss);
    sim_runner_free(runner);
    return outcome.failed || echoed != wanted ? 1 : 0;
}
