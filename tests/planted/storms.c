/* SPDX-License-Identifier: MIT */
/*
 * Failures that need a few deviations of very many, for storms.sh: what shrinking must find, and
 * what it must not take for it. All of it is static: hosts outlive the scenario function.
 */
#include <drywire/sim.h>

#include <string.h>

enum { MANY = 10000, PINGS = 330, PING_LEN = 40, NEEDED = 20 };

/* ---- Datagrams by the thousand, one each millisecond ---- */

static dw_datagram_protocol source, sink;
static dw_delayed_call next_one;
static dw_address there;
static bool heard[MANY + 1]; /* by number, from 1 */
static uint16_t sent;

static void hear(dw_datagram_protocol *p, const uint8_t *data, size_t len, const dw_address *from) {
    (void)p, (void)from;
    if (len == 2) {
        heard[data[0] << 8 | data[1]] = true;
    }
}

static void send_next(void *user) {
    sent++;
    uint8_t number[2] = {(uint8_t)(sent >> 8), (uint8_t)sent};
    dw_datagram_write(source.transport, number, sizeof(number), &there);
    if (sent < MANY) {
        dw_reactor_call_later(user, &next_one, DW_MSEC(1), send_next, user);
    }
}

static void storm(dw_world *w) {
    static const dw_datagram_protocol_class source_class = {.name = "source"};
    static const dw_datagram_protocol_class sink_class = {.name = "sink",
                                                          .datagram_received = hear};
    dw_host *a = dw_world_add_host(w, "a", NULL, NULL);
    dw_host *b = dw_world_add_host(w, "b", NULL, NULL);
    memset(heard, 0, sizeof(heard));
    sent = 0;
    there = dw_host_address(b);
    there.port = 9;
    dw_datagram_protocol_init(&source, &source_class);
    dw_datagram_protocol_init(&sink, &sink_class);
    dw_reactor_listen_udp(dw_host_reactor(a), 9, &source, NULL, 0, NULL);
    dw_reactor_listen_udp(dw_host_reactor(b), 9, &sink, NULL, 0, NULL);
    send_next(dw_host_reactor(a));
    dw_world_run(w, DW_SEC(20));
}

/* Two of the ten thousand. */
static void two(dw_world *w) {
    storm(w);
    dw_always(w, heard[3001] || heard[7002], "one of the two arrives");
}

/* Twenty of them, all over. */
static void twenty(dw_world *w) {
    bool any = false;
    storm(w);
    for (unsigned i = 1; i <= NEEDED; i++) {
        any = any || heard[i * 487];
    }
    dw_always(w, any, "one of the twenty arrives");
}

/* A bug behind another: with the first alone, what fails is something else; so it does with neither
 * and a third. Taking away the wrong one leads to a failure, but not to this one. */
static void masked(dw_world *w) {
    storm(w);
    dw_always(w, heard[3001] || !heard[7002], "the first alone is another bug");
    dw_always(w, heard[5000] || !heard[7002], "so is the third");
    dw_always(w, heard[3001] || heard[7002], "the two together are this one");
}

/* ---- A conversation of about a thousand events ---- */

static struct talk {
    dw_protocol server, client;
    dw_factory servers;
    dw_client_factory clients;
    dw_reactor *reactor; /* the client's */
    size_t answered;
    unsigned faults; /* in a row, as below */
    dw_time last;
} talk;

static void ask(void) {
    static const char ping[PING_LEN] = "a ping of forty bytes, as all of them\r\n";
    dw_transport_write(talk.client.transport, ping, sizeof(ping));
}

static void server_hears(dw_protocol *p, const uint8_t *data, size_t len) {
    if (len == 17 && talk.faults == 0) {
        talk.faults = 1; /* a piece of seventeen bytes, ... */
    } else if (len == 5 && talk.faults == 1) {
        talk.faults = 2; /* ... later one of five, ... */
    }
    dw_transport_write(p->transport, data, len);
}

static void client_made(dw_protocol *p) {
    (void)p;
    ask();
}

static void client_hears(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)p, (void)data;
    dw_time now = dw_reactor_now(talk.reactor);
    if (talk.faults == 2 && now - talk.last > DW_MSEC(70)) {
        talk.faults = 3; /* ... and then an answer that is late */
    }
    talk.last = now;
    talk.answered += len;
    if (talk.answered % PING_LEN == 0 && talk.answered < (size_t)PINGS * PING_LEN) {
        ask();
    }
}

static const dw_protocol_class server_class = {.name = "server", .data_received = server_hears};
static const dw_protocol_class client_class = {
    .name = "client", .connection_made = client_made, .data_received = client_hears};

static dw_protocol *build_server(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol_init(&talk.server, &server_class);
    return &talk.server;
}

static dw_protocol *build_client(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol_init(&talk.client, &client_class);
    return &talk.client;
}

static void thousand(dw_world *w) {
    static const dw_factory_class servers = {.name = "servers", .build_protocol = build_server};
    static const dw_client_factory_class clients = {
        .base = {.name = "clients", .build_protocol = build_client}};
    dw_host *server = dw_world_add_host(w, "server", NULL, NULL);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    memset(&talk, 0, sizeof(talk));
    talk.reactor = dw_host_reactor(client);
    dw_factory_init(&talk.servers, &servers);
    dw_client_factory_init(&talk.clients, &clients);
    dw_reactor_listen_tcp(dw_host_reactor(server), 7, &talk.servers, 0, NULL, NULL);
    dw_reactor_connect_tcp(talk.reactor, "server", 7, &talk.clients, 0, NULL, NULL);
    dw_world_run(w, DW_MIN(5));
    dw_always(w, talk.faults < 3, "three faults in a row do no harm");
}

DW_MAIN(DW_SCENARIO(two, .leaks_ok = true), DW_SCENARIO(twenty, .leaks_ok = true),
        DW_SCENARIO(masked, .leaks_ok = true), DW_SCENARIO(thousand, .leaks_ok = true))
