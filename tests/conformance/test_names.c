/* SPDX-License-Identifier: MIT */
/*
 * Names and endpoints on every wire: the same lookups, the same resolvers, the same ends of an
 * attempt. Expectations: drywire/resolver.h and drywire/endpoint.h, after Twisted's
 * IHostnameResolver and IStreamClientEndpoint; RFC 6761 for names that never resolve.
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static side s, k; /* the server's and the client's */
static side *ss[1] = {&s}, *ks[1] = {&k};
static serving f, g;

static void begin(conf *c) {
    side_init(&s, c);
    side_init(&k, c);
    serving_init(&f, c, ss, 1);
    serving_init(&g, c, ks, 1);
}

static void end(void) {
    free(s.bytes);
    free(k.bytes);
}

/* ---- Lookups ---- */

typedef struct asker {
    dw_lookup lookup;
    char log[2000];
    bool over;
    int sys_errno;
} asker;

static void address_found(dw_lookup *lookup, const dw_address *address) {
    asker *a = lookup->user;
    char text[DW_ADDRESS_TEXT_MAX];
    ck_assert_uint_eq(address->port, 0);
    note(a->log, sizeof(a->log), dw_address_format_host(address, text, sizeof(text)));
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    asker *a = lookup->user;
    ck_assert(!a->over);
    ck_assert(failure == NULL || failure->kind == DW_DNS_LOOKUP);
    a->over = true;
    a->sys_errno = failure != NULL ? failure->sys_errno : 0;
}

static void ask(conf *c, asker *a, const char *name, dw_family family) {
    memset(a, 0, sizeof(*a));
    ck_assert_int_eq(
        dw_reactor_resolve(c->client, &a->lookup, name, family, address_found, lookup_done, a), 0);
    ck_assert(!a->over && a->log[0] == '\0');
}

static asker a, b;

CONF_CASE(a_name_has_its_address) {
    ask(c, &a, c->name, DW_FAMILY_IPV4);
    conf_until(c, &a.over);
    ck_assert_int_eq(a.sys_errno, 0);
    ck_assert_str_eq(a.log, c->address);
}

CONF_CASE(a_literal_is_its_own_address) {
    ask(c, &a, c->address, DW_FAMILY_ANY);
    ask(c, &b, c->address, DW_FAMILY_IPV6);
    conf_until(c, &a.over);
    conf_until(c, &b.over);
    ck_assert_str_eq(a.log, c->address);
    ck_assert_int_eq(b.sys_errno, ENODATA);
}

/* .invalid never resolves (RFC 6761, section 6.4). */
CONF_CASE(a_name_that_nobody_has_is_no_data) {
    ask(c, &a, "nobody.invalid", DW_FAMILY_ANY);
    conf_until(c, &a.over);
    ck_assert_int_eq(a.sys_errno, ENODATA);
    ck_assert_str_eq(a.log, "");
}

CONF_CASE(after_a_cancel_nothing_comes) {
    ask(c, &a, c->name, DW_FAMILY_ANY);
    ask(c, &b, c->name, DW_FAMILY_IPV4);
    dw_lookup_cancel(&a.lookup);
    conf_until(c, &b.over);
    conf_settle(c);
    ck_assert(!a.over);
    ck_assert_str_eq(a.log, "");
}

/* ---- A resolver of the program's ---- */

typedef struct hosts {
    dw_resolver base;
    const char *address;
    unsigned asked;
} hosts;

/* "alias" is the server; what else there is, the wire knows. */
static int hosts_resolve(dw_resolver *resolver, dw_lookup *lookup) {
    hosts *self = (hosts *)resolver;
    dw_address address;
    self->asked++;
    if (strcmp(lookup->name, "alias") != 0) {
        return dw_lookup_forward(lookup);
    }
    ck_assert_int_eq(dw_address_parse(&address, self->address, 0), 0);
    if (dw_lookup_found(lookup, &address)) {
        dw_lookup_finish(lookup, 0);
    }
    return 0;
}

static const dw_resolver_class hosts_class = {.name = "hosts", .resolve = hosts_resolve};

static hosts table;

static void use_hosts(conf *c) {
    table = (hosts){.base = {&hosts_class}, .address = c->address};
    dw_reactor_set_resolver(c->client, &table.base);
}

CONF_CASE(connect_tcp_asks_the_programs_resolver) {
    begin(c);
    use_hosts(c);
    dw_port *port = conf_listen(c, &f);
    ck_assert_int_eq(dw_reactor_connect_tcp(c->client, "alias", dw_port_host(port).port, &g.client,
                                            0, NULL, NULL),
                     0);
    k.on_made = do_lose;
    conf_until(c, &g.over);
    ck_assert_str_eq(g.log, "start connecting build lost:CONNECTION_DONE stop");
    ck_assert_uint_eq(table.asked, 1);
    end();
}

CONF_CASE(what_it_does_not_know_the_wire_is_asked) {
    use_hosts(c);
    ask(c, &a, c->name, DW_FAMILY_IPV4);
    conf_until(c, &a.over);
    ck_assert_str_eq(a.log, c->address);
    ck_assert_uint_eq(table.asked, 1);
}

/* ---- Endpoints ---- */

typedef struct caller {
    dw_connecting connecting;
    bool over;
    dw_protocol *protocol;
    dw_reason reason;
} caller;

static void connected(dw_connecting *connecting, dw_protocol *protocol) {
    caller *self = connecting->user;
    ck_assert(!self->over);
    ck_assert_str_eq(k.log, "made"); /* connection_made has returned */
    self->over = true;
    self->protocol = protocol;
}

static void failed(dw_connecting *connecting, const dw_reason *reason) {
    caller *self = connecting->user;
    ck_assert(!self->over);
    self->over = true;
    self->reason = *reason;
}

static caller caller1;

static dw_client_endpoint *endpoint_to(conf *c, const char *host, uint16_t port) {
    dw_host_options options = {.host = host, .port = port};
    dw_client_endpoint *endpoint = dw_host_endpoint_new(c->client, &options);
    ck_assert_ptr_nonnull(endpoint);
    return endpoint;
}

static void call(dw_client_endpoint *endpoint) {
    memset(&caller1, 0, sizeof(caller1));
    ck_assert_int_eq(dw_endpoint_connect(endpoint, &caller1.connecting, &g.client.base, connected,
                                         failed, &caller1),
                     0);
    ck_assert(!caller1.over);
    dw_client_endpoint_free(endpoint);
}

CONF_CASE(an_endpoint_connects_to_a_name) {
    begin(c);
    dw_port *port = conf_listen(c, &f);
    call(endpoint_to(c, c->name, dw_port_host(port).port));
    conf_until(c, &caller1.over);
    ck_assert_ptr_eq(caller1.protocol, &k.protocol);
    ck_assert_ptr_eq(k.protocol.factory, &g.client.base);
    ck_assert_str_eq(g.log, "start build");
    dw_transport_lose_connection(k.protocol.transport);
    conf_until(c, &g.over);
    ck_assert_str_eq(k.log, "made lost:CONNECTION_DONE");
    ck_assert_str_eq(g.log, "start build stop");
    end();
}

/* A port that was just closed: nobody listens there. */
CONF_CASE(a_refusal_is_told) {
    begin(c);
    dw_port *port = conf_listen(c, &f);
    uint16_t number = dw_port_host(port).port;
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
    call(endpoint_to(c, c->address, number));
    conf_until(c, &caller1.over);
    ck_assert_int_eq(caller1.reason.kind, DW_CONNECTION_REFUSED);
    ck_assert_int_eq(caller1.reason.sys_errno, ECONNREFUSED);
    ck_assert_str_eq(g.log, "start stop");
    end();
}

CONF_CASE(a_name_that_nobody_has_is_a_look_up_failure) {
    begin(c);
    call(endpoint_to(c, "nobody.invalid", 80));
    conf_until(c, &caller1.over);
    ck_assert_int_eq(caller1.reason.kind, DW_DNS_LOOKUP);
    ck_assert_int_eq(caller1.reason.sys_errno, ENODATA);
    end();
}

CONF_CASE(silence_ends_by_the_time_out) {
    char host[DW_ADDRESS_TEXT_MAX];
    begin(c);
    uint16_t port = conf_black_hole(c, host);
    dw_host_options options = {.host = host, .port = port, .timeout = DW_MSEC(30)};
    call(dw_host_endpoint_new(c->client, &options));
    conf_until(c, &caller1.over);
    ck_assert_int_eq(caller1.reason.kind, DW_TIMEOUT);
    ck_assert_str_eq(g.log, "start stop");
    end();
}

CONF_CASE(a_cancel_is_told_at_once) {
    begin(c);
    dw_port *port = conf_listen(c, &f);
    call(endpoint_to(c, c->name, dw_port_host(port).port));
    dw_connecting_cancel(&caller1.connecting);
    ck_assert(caller1.over);
    ck_assert_int_eq(caller1.reason.kind, DW_CONNECTING_CANCELLED);
    ck_assert_str_eq(g.log, "start stop");
    conf_settle(c);
    ck_assert_str_eq(f.log, "start");
    end();
}

CONF_CASE(a_factory_that_makes_none_is_no_protocol) {
    begin(c);
    dw_port *port = conf_listen(c, &f);
    g.build = BUILD_NONE;
    call(endpoint_to(c, c->address, dw_port_host(port).port));
    conf_until(c, &caller1.over);
    ck_assert_int_eq(caller1.reason.kind, DW_NO_PROTOCOL);
    ck_assert_str_eq(g.log, "start build stop");
    conf_settle(c);
    ck_assert_str_eq(s.log, "made lost:CONNECTION_DONE"); /* an orderly end for the server */
    end();
}

static bool lost;

static void note_lost(side *self) {
    (void)self;
    lost = true;
}

static dw_protocol *take_side(dw_factory *factory) {
    dw_address peer = {.kind = DW_ADDRESS_IPV4};
    return factory->cls->build_protocol(factory, &peer);
}

/* Twisted's connectProtocol. */
CONF_CASE(an_instance_is_connected) {
    begin(c);
    dw_port *port = conf_listen(c, &f);
    dw_client_endpoint *endpoint = endpoint_to(c, c->name, dw_port_host(port).port);
    dw_protocol *protocol = take_side(&g.client.base);
    memset(&caller1, 0, sizeof(caller1));
    lost = false;
    k.on_made = do_hello;
    k.on_lost = note_lost;
    s.on_data = do_lose;
    ck_assert_int_eq(
        dw_connect_protocol(endpoint, &caller1.connecting, protocol, connected, failed, &caller1),
        0);
    dw_client_endpoint_free(endpoint);
    conf_until(c, &caller1.over);
    ck_assert_ptr_eq(caller1.protocol, protocol);
    conf_until(c, &lost);
    ck_assert_str_eq(s.log, "made data lost:CONNECTION_DONE");
    ck_assert_str_eq(k.log, "made lost:CONNECTION_DONE");
    end();
}

CONF_CASE(descriptions_meet) {
    char description[100];
    dw_server_endpoint *server = NULL;
    dw_client_endpoint *client = NULL;
    dw_port *port = NULL;
    begin(c);
    snprintf(description, sizeof(description), "tcp:0:interface=%s", c->address);
    ck_assert_int_eq(dw_server_endpoint_parse(c->server, description, &server, NULL, 0), 0);
    ck_assert_int_eq(dw_endpoint_listen(server, &f.client.base, &port), 0);
    dw_server_endpoint_free(server);
    snprintf(description, sizeof(description), "tcp:%s:%u:timeout=20", c->name,
             (unsigned)dw_port_host(port).port);
    ck_assert_int_eq(dw_client_endpoint_parse(c->client, description, &client, NULL, 0), 0);
    call(client);
    conf_until(c, &caller1.over);
    ck_assert_ptr_eq(caller1.protocol, &k.protocol);
    end();
}

static Suite *suite(void) {
    Suite *made = suite_create("names");
    TCase *tc = tcase_create("lookups");
    CONF_ADD(tc, a_name_has_its_address);
    CONF_ADD(tc, a_literal_is_its_own_address);
    CONF_ADD(tc, a_name_that_nobody_has_is_no_data);
    CONF_ADD(tc, after_a_cancel_nothing_comes);
    CONF_ADD(tc, connect_tcp_asks_the_programs_resolver);
    CONF_ADD(tc, what_it_does_not_know_the_wire_is_asked);
    suite_add_tcase(made, tc);
    tc = tcase_create("endpoints");
    CONF_ADD(tc, an_endpoint_connects_to_a_name);
    CONF_ADD(tc, a_refusal_is_told);
    CONF_ADD(tc, a_name_that_nobody_has_is_a_look_up_failure);
    CONF_ADD(tc, silence_ends_by_the_time_out);
    CONF_ADD(tc, a_cancel_is_told_at_once);
    CONF_ADD(tc, a_factory_that_makes_none_is_no_protocol);
    CONF_ADD(tc, an_instance_is_connected);
    CONF_ADD(tc, descriptions_meet);
    suite_add_tcase(made, tc);
    return made;
}

int main(void) {
    return run_suite(suite());
}
