/* SPDX-License-Identifier: MIT */
/* The greeting once more, by a user who writes C++: classes, a scenario and its statements. */
#include <drywire/drywire.h>
#include <drywire/sim.h>

#include <cstring>
#include <string>

namespace {

const char greeting[] = "hello\n";

struct greeter {
    dw_protocol protocol;
};

struct client : dw_client_factory {
    dw_protocol protocol;
    std::string got;
};

dw_factory server;
client *the_client;
greeter greeters[1];

void greet(dw_protocol *protocol) {
    dw_transport_write(protocol->transport, greeting, std::strlen(greeting));
    dw_transport_lose_connection(protocol->transport);
}

const dw_protocol_class greeter_class = {.name = "greeter", .connection_made = greet};

dw_protocol *build_greeter(dw_factory *, const dw_address *) {
    dw_protocol_init(&greeters[0].protocol, &greeter_class);
    return &greeters[0].protocol;
}

const dw_factory_class server_class = {.name = "greeters", .build_protocol = build_greeter};

void take(dw_protocol *, const uint8_t *data, size_t len) {
    the_client->got.append(reinterpret_cast<const char *>(data), len);
}

const dw_protocol_class client_protocol_class = {.name = "greeted", .data_received = take};

dw_protocol *build_client(dw_factory *, const dw_address *) {
    dw_protocol_init(&the_client->protocol, &client_protocol_class);
    return &the_client->protocol;
}

const dw_client_factory_class client_class = {
    .base = {.name = "greeted", .build_protocol = build_client}};

void *boot(dw_reactor *reactor, void *) {
    dw_factory_init(&server, &server_class);
    return dw_reactor_listen_tcp(reactor, 7, &server, 0, nullptr, nullptr) == 0 ? &server : nullptr;
}

void greets(dw_world *world) {
    static client c;
    c.got.clear();
    the_client = &c;
    dw_client_factory_init(&c, &client_class);
    dw_world_add_host(world, "server", boot, nullptr);
    dw_host *host = dw_world_add_host(world, "client", nullptr, nullptr);
    dw_reactor_connect_tcp(dw_host_reactor(host), "server", 7, &c, 0, nullptr, nullptr);
    dw_world_run(world, DW_SEC(120));
    dw_always(world, std::string(greeting).compare(0, c.got.size(), c.got) == 0,
              "a client gets a beginning of the greeting");
    dw_sometimes(world, c.got == greeting, "a client gets all of it");
}

} // namespace

DW_MAIN(DW_SCENARIO(greets, .seeds = 20))
