/* SPDX-License-Identifier: MIT */
/*
 * Factories stacked on endpoints, on every wire: who connects gets the protocol of its own factory,
 * and the wrapper is between. Expectations: Twisted 22.4.0, _WrapperEndpoint and
 * _WrapperServerEndpoint of its endpoints.py, and haproxy: of serverFromString, run as scripts;
 * headers from HAProxy's proxy-protocol.txt, section 2.1.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n"

typedef struct caller {
    dw_connecting connecting;
    conf *c;
    dw_protocol *connected;
    dw_error failed;
    bool told;
} caller;

static void caller_connected(dw_connecting *connecting, dw_protocol *protocol) {
    caller *a = connecting->user;
    ck_assert(protocol->connected);
    a->connected = protocol;
    a->told = true;
    a->c->activity++;
}

static void caller_failed(dw_connecting *connecting, const dw_reason *reason) {
    caller *a = connecting->user;
    a->failed = reason->kind;
    a->told = true;
    a->c->activity++;
}

static caller one;
static side server_side, client_side;
static side *server_sides[] = {&server_side}, *client_sides[] = {&client_side};
static serving f, g;

static void begin(conf *c) {
    memset(&one, 0, sizeof(one));
    one.c = c;
    side_init(&server_side, c);
    side_init(&client_side, c);
    serving_init(&f, c, server_sides, 1);
    serving_init(&g, c, client_sides, 1);
}

static void end(void) {
    free(server_side.bytes);
    free(client_side.bytes);
}

static dw_port *serve(conf *c, const char *format) {
    char description[100], error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_server_endpoint *endpoint = NULL;
    dw_port *port = NULL;
    snprintf(description, sizeof(description), "%s:interface=%s", format, c->address);
    int result = dw_server_endpoint_parse(c->server, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s: %s", description, error);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &f.client.base, &port), 0);
    dw_server_endpoint_free(endpoint); /* the port lives on */
    return port;
}

static dw_client_endpoint *to_port(conf *c, uint16_t port) {
    return dw_host_endpoint_new(c->client, &(dw_host_options){.host = c->address, .port = port});
}

static void call(dw_client_endpoint *endpoint) {
    ck_assert_int_eq(dw_endpoint_connect(endpoint, &one.connecting, &g.client.base,
                                         caller_connected, caller_failed, &one),
                     0);
    dw_client_endpoint_free(endpoint); /* the attempt has it as long as it needs it */
}

/* `user` is how long a connection may be silent. */
static dw_wrapping_factory *idle(dw_reactor *reactor, dw_factory *wrapped, void *user) {
    dw_idle_timeout_factory *factory = dw_new(reactor, dw_idle_timeout_factory);
    ck_assert_ptr_nonnull(factory);
    dw_idle_timeout_factory_init(factory, reactor, wrapped, *(const dw_time *)user);
    return &factory->base;
}

static dw_time soon = DW_MSEC(30), never = DW_HOUR(1);

static void stop_waiting(side *s) {
    one.told = true;
    (void)s;
}

CONF_CASE(the_caller_gets_its_own_protocol_and_the_policy_is_between) {
    begin(c);
    dw_port *port = serve(c, "tcp:0");
    call(dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &soon));
    conf_until(c, &one.told);
    ck_assert_ptr_eq(one.connected, &client_side.protocol);
    ck_assert_ptr_eq(client_side.protocol.factory, &g.client.base);
    ck_assert_int_eq(dw_idle_timeout_period(client_side.protocol.transport), soon);
    one.told = false;
    client_side.on_lost = stop_waiting;
    conf_until(c, &one.told);
    conf_settle(c);
    ck_assert_str_eq(client_side.log, "made lost:CONNECTION_DONE");
    ck_assert_str_eq(server_side.log, "made lost:CONNECTION_DONE");
    ck_assert_str_eq(g.log, "start build stop");
    end();
}

CONF_CASE(endpoints_stack) {
    begin(c);
    dw_port *port = serve(c, "haproxy:haproxy:tcp:0");
    dw_client_endpoint *endpoint = to_port(c, dw_port_host(port).port);
    endpoint = dw_wrapping_client_endpoint_new(endpoint, idle, &soon);
    endpoint = dw_wrapping_client_endpoint_new(endpoint, idle, &never);
    call(endpoint);
    conf_until(c, &one.told);
    ck_assert_ptr_eq(one.connected, &client_side.protocol);
    side_say(&client_side, HEADER "PROXY TCP4 192.0.2.9 192.0.2.2 1000 2000\r\nhello");
    server_side.on_data = do_lose;
    conf_settle(c);
    ck_assert_uint_eq(server_side.received, 5); /* of the second header it sees nothing either */
    ck_assert_str_eq(server_side.log, "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(client_side.log, "made lost:CONNECTION_DONE");
    end();
}

static char seen_peer[DW_ADDRESS_TEXT_MAX];

static void note_peer(side *s) {
    dw_address peer = dw_transport_peer(s->protocol.transport);
    dw_address_format(&peer, seen_peer, sizeof(seen_peer));
}

CONF_CASE(haproxy_in_a_description_shows_the_real_client) {
    begin(c);
    server_side.on_made = note_peer;
    server_side.on_data = do_echo;
    dw_port *port = serve(c, "haproxy:tcp:0");
    call(to_port(c, dw_port_host(port).port));
    conf_until(c, &one.told);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start"); /* no protocol before the header */
    side_say(&client_side, HEADER "hello");
    conf_settle(c);
    ck_assert_str_eq(seen_peer, "192.0.2.1:1000");
    ck_assert_str_eq(server_side.log, "made data");
    ck_assert_uint_eq(client_side.received, 5);
    do_lose(&client_side);
    conf_settle(c);
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start build stop");
    end();
}

/* The factory may be freed when its stop has returned: nobody asks it any more. */
CONF_CASE(a_connection_without_a_protocol_gets_none_after_the_factorys_stop) {
    begin(c);
    dw_port *port = serve(c, "haproxy:tcp:0");
    call(to_port(c, dw_port_host(port).port));
    conf_until(c, &one.told);
    conf_settle(c);
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start stop");
    memset(&f, 0x5a, sizeof(f));
    side_say(&client_side, HEADER "hello");
    conf_settle(c);
    ck_assert_str_eq(client_side.log, "made lost:CONNECTION_DONE");
    end();
}

CONF_CASE(connections_outlive_their_wrapped_port) {
    begin(c);
    server_side.on_data = do_echo;
    dw_port *port = serve(c, "haproxy:tcp:0");
    call(to_port(c, dw_port_host(port).port));
    conf_until(c, &one.told);
    side_say(&client_side, HEADER);
    conf_settle(c);
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    ck_assert_str_eq(f.log, "start build stop");
    memset(&f, 0x5a, sizeof(f));
    side_say(&client_side, "still there?");
    conf_settle(c);
    ck_assert_uint_eq(client_side.received, 12);
    do_lose(&client_side);
    conf_settle(c);
    ck_assert_str_eq(server_side.log, "made data lost:CONNECTION_DONE");
    end();
}

CONF_CASE(a_refusal_is_passed_on) {
    begin(c);
    dw_port *port = serve(c, "tcp:0");
    uint16_t number = dw_port_host(port).port;
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    call(dw_wrapping_client_endpoint_new(to_port(c, number), idle, &soon));
    conf_until(c, &one.told);
    ck_assert_int_eq(one.failed, DW_CONNECTION_REFUSED);
    ck_assert_str_eq(g.log, "start stop");
    end();
}

CONF_CASE(a_factory_that_makes_none_is_passed_on) {
    begin(c);
    g.build = BUILD_NONE;
    dw_port *port = serve(c, "tcp:0");
    call(dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &soon));
    conf_until(c, &one.told);
    conf_settle(c);
    ck_assert_int_eq(one.failed, DW_NO_PROTOCOL);
    ck_assert_str_eq(g.log, "start build stop");
    end();
}

CONF_CASE(cancelling_is_passed_down) {
    begin(c);
    dw_port *port = serve(c, "tcp:0");
    call(dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &soon));
    dw_connecting_cancel(&one.connecting);
    ck_assert_int_eq(one.failed, DW_CONNECTING_CANCELLED);
    ck_assert(!dw_connecting_active(&one.connecting));
    ck_assert_str_eq(g.log, "start stop");
    memset(&g, 0x5a, sizeof(g));
    conf_settle(c);
    ck_assert_str_eq(client_side.log, "");
    end();
}

CONF_CASE(a_protocol_that_is_there_already_may_be_wrapped_too) {
    begin(c);
    server_side.on_data = do_echo;
    dw_port *port = serve(c, "tcp:0");
    dw_client_endpoint *endpoint =
        dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &never);
    static dw_protocol plain;
    static const dw_protocol_class plain_class = {.name = "plain"};
    dw_protocol_init(&plain, &plain_class);
    ck_assert_int_eq(dw_connect_protocol(endpoint, &one.connecting, &plain, caller_connected,
                                         caller_failed, &one),
                     0);
    dw_client_endpoint_free(endpoint);
    conf_until(c, &one.told);
    ck_assert_ptr_eq(one.connected, &plain);
    ck_assert_int_eq(dw_idle_timeout_period(plain.transport), never);
    dw_transport_lose_connection(plain.transport);
    conf_settle(c);
    ck_assert(!plain.connected);
    ck_assert_ptr_null(plain.factory);
    end();
}

/* Nothing is left behind when the reactor goes with all of it open: the sanitizers look. */
CONF_CASE(a_reactor_may_go_at_any_moment) {
    begin(c);
    dw_port *port = serve(c, "haproxy:tcp:0");
    call(dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &never));
    conf_until(c, &one.told);
    side_say(&client_side, HEADER);
    conf_settle(c);
    static caller two;
    memset(&two, 0, sizeof(two));
    two.c = c;
    dw_client_endpoint *endpoint =
        dw_wrapping_client_endpoint_new(to_port(c, dw_port_host(port).port), idle, &never);
    ck_assert_int_eq(dw_endpoint_connect(endpoint, &two.connecting, &g.client.base,
                                         caller_connected, caller_failed, &two),
                     0);
    dw_client_endpoint_free(endpoint);
    end();
}

int main(void) {
    Suite *suite = suite_create("wrapping_endpoints");
    TCase *tc = tcase_create("wrapping endpoints");
    CONF_ADD(tc, the_caller_gets_its_own_protocol_and_the_policy_is_between);
    CONF_ADD(tc, endpoints_stack);
    CONF_ADD(tc, haproxy_in_a_description_shows_the_real_client);
    CONF_ADD(tc, a_connection_without_a_protocol_gets_none_after_the_factorys_stop);
    CONF_ADD(tc, connections_outlive_their_wrapped_port);
    CONF_ADD(tc, a_refusal_is_passed_on);
    CONF_ADD(tc, a_factory_that_makes_none_is_passed_on);
    CONF_ADD(tc, cancelling_is_passed_down);
    CONF_ADD(tc, a_protocol_that_is_there_already_may_be_wrapped_too);
    CONF_ADD(tc, a_reactor_may_go_at_any_moment);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
