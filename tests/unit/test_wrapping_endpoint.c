/* SPDX-License-Identifier: MIT */
/*
 * Wrapping endpoints in a world, where each allocation can be made to fail and nothing may be left
 * over, and prefixes of one's own that wrap. What they do on all wires:
 * tests/conformance/test_wrapping_endpoints.c.
 */
#include "endpoint_user.h"

#include <drywire/backend.h>

static user u;
static silent server;
static dw_host *client_host, *server_host;
static unsigned wraps;

static void two_hosts(dw_world *w) {
    client_host = dw_world_add_host(w, "client", NULL, NULL);
    server_host = dw_world_add_host(w, "server", NULL, NULL);
    user_init(&u, dw_host_reactor(client_host));
    silent_init(&server, dw_host_reactor(server_host));
    wraps = 0;
}

static dw_wrapping_factory *plain(dw_reactor *reactor, dw_factory *wrapped, void *user_data) {
    dw_wrapping_factory *factory = dw_new(reactor, dw_wrapping_factory);
    ck_assert_ptr_eq(user_data, &wraps);
    if (factory == NULL) {
        return NULL;
    }
    wraps++;
    dw_wrapping_factory_init(factory, &dw_wrapping_factory_plain, reactor, wrapped);
    return factory;
}

static dw_client_endpoint *to_server(void) {
    dw_host_options options = {.host = "10.0.0.2", .port = 80};
    return dw_wrapping_client_endpoint_new(dw_host_endpoint_new(u.reactor, &options), plain,
                                           &wraps);
}

/* ---- Memory ---- */

/* The end of the reactor would free what is forgotten: it has to be gone before. */
static void expect_nothing_kept(const dw_reactor *reactor) {
    ck_assert_ptr_eq(reactor->owned.next, &reactor->owned);
}

static void client_life(dw_world *w) {
    two_hosts(w);
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, &server.factory, 0, NULL, NULL), 0);
    dw_client_endpoint *endpoint = to_server();
    int error = endpoint != NULL ? user_try(&u, endpoint) : DW_NO_MEMORY;
    dw_world_run(w, DW_MIN(1));
    ck_assert(error == 0 || error == DW_NO_MEMORY);
    ck_assert_int_eq(u.connected + u.failed, error == 0 ? 1 : 0);
    if (u.connected > 0) {
        dw_transport_lose_connection(u.protocol.transport);
        dw_world_run(w, DW_SEC(1));
    }
    ck_assert_uint_eq(u.starts, u.stops);
    ck_assert_uint_eq(u.made, u.lost);
    ck_assert_uint_eq(u.destroyed, u.lost);
    expect_nothing_kept(u.reactor);
}

/* As the program would, with the server and its factory gone at the end. */
static void server_life(dw_world *w) {
    char error[DW_ENDPOINT_ERROR_MAX];
    dw_server_endpoint *endpoint = NULL;
    dw_port *port = NULL;
    two_hosts(w);
    int result =
        dw_server_endpoint_parse(server.reactor, "haproxy:tcp:80", &endpoint, error, sizeof(error));
    if (result == 0) {
        result = dw_endpoint_listen(endpoint, &server.factory, &port);
    }
    dw_server_endpoint_free(endpoint);
    ck_assert_msg(result == 0 || result == DW_NO_MEMORY, "%s", error);
    ck_assert_int_eq(
        user_try(&u, dw_host_endpoint_new(u.reactor,
                                          &(dw_host_options){.host = "10.0.0.2", .port = 80})),
        0);
    dw_world_run(w, DW_SEC(1));
    if (u.connected > 0 && u.lost == 0) {
        dw_transport_write(u.protocol.transport, "PROXY UNKNOWN\r\n", 15);
        dw_world_run(w, DW_SEC(1));
        dw_transport_lose_connection(u.protocol.transport);
    }
    if (port != NULL) {
        dw_port_stop_listening(port, NULL, NULL);
    }
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.factory.num_ports, 0);
    expect_nothing_kept(server.reactor);
}

START_TEST(each_allocation_may_fail) {
    /* Two endpoints, the record, the factory, the race, the attempt, its connector, the wrapper. */
    ck_assert_uint_ge(fail_each_allocation(client_life, "client"), 8);
    /* The text, two endpoints, the record, the factory, the port, the wrapper, the protocol. */
    ck_assert_uint_ge(fail_each_allocation(server_life, "server"), 8);
}
END_TEST

CALM_TEST(an_endpoint_that_could_not_be_made_takes_the_inner_one_with_it) {
    two_hosts(w);
    ck_assert_ptr_null(dw_wrapping_client_endpoint_new(NULL, plain, &wraps));
    ck_assert_ptr_null(dw_wrapping_server_endpoint_new(NULL, plain, &wraps));
    ck_assert_ptr_null(dw_haproxy_server_endpoint_new(NULL));
}

CALM_TEST(a_port_that_cannot_listen_leaves_nothing) {
    two_hosts(w);
    dw_server_endpoint *endpoint = dw_wrapping_server_endpoint_new(
        dw_tcp_server_endpoint_new(server.reactor, 80, NULL, 0), plain, &wraps);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.factory, NULL), 0);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.factory, NULL), DW_CANNOT_LISTEN);
    ck_assert_uint_eq(server.factory.num_ports, 1);
    ck_assert_uint_eq(wraps, 2);
    dw_server_endpoint_free(endpoint);
    /* Its order is another one: the factory is started, and stopped again. */
    endpoint = dw_wrapping_server_endpoint_new(
        dw_unix_server_endpoint_new(server.reactor, "/run/a", 0, 0), plain, &wraps);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.factory, NULL), 0);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.factory, NULL), DW_CANNOT_LISTEN);
    dw_server_endpoint_free(endpoint);
    ck_assert_uint_eq(server.factory.num_ports, 2);
}

/* ---- The reactor's end ---- */

CALM_TEST(an_attempt_fails_when_the_reactor_stops) {
    two_hosts(w);
    dw_host_crash(server_host);
    ck_assert_int_eq(user_try(&u, to_server()), 0);
    dw_world_run(w, DW_MSEC(100));
    dw_host_stop(client_host);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.kind, DW_CONNECT_ERROR);
    ck_assert_uint_eq(u.starts, u.stops);
}

CALM_TEST(a_connection_ends_when_the_reactor_stops) {
    two_hosts(w);
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, &server.factory, 0, NULL, NULL), 0);
    ck_assert_int_eq(user_try(&u, to_server()), 0);
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.2", DW_MSEC(2));
    dw_host_stop(client_host);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_uint_eq(u.destroyed, 1);
    ck_assert_uint_eq(u.starts, u.stops);
}

/* ---- Prefixes of one's own ---- */

static dw_wrapping_factory *idle(dw_reactor *reactor, dw_factory *wrapped, void *period) {
    dw_idle_timeout_factory *factory = dw_new(reactor, dw_idle_timeout_factory);
    ck_assert_ptr_nonnull(factory);
    dw_idle_timeout_factory_init(factory, reactor, wrapped, *(const dw_time *)period);
    return &factory->base;
}

static dw_time period;

/* idle:SECONDS:ENDPOINT */
static int idle_client(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    long seconds;
    dw_client_endpoint *inner = NULL;
    int given = dw_endpoint_arg_number(args, "seconds", 0, 1, 100, &seconds);
    if (given <= 0) {
        return given < 0 ? given : dw_endpoint_args_fail(args, "the seconds are missing");
    }
    int error = dw_endpoint_args_client(reactor, args, 1, &inner);
    if (error < 0) {
        return error;
    }
    period = DW_SEC(seconds);
    *out = dw_wrapping_client_endpoint_new(inner, idle, &period);
    return *out != NULL ? 0 : DW_NO_MEMORY;
}

static dw_endpoint_type idle_type;

static int parse_idle(const char *description, dw_client_endpoint **out, char *error) {
    if (u.reactor->endpoint_types == NULL) {
        idle_type = (dw_endpoint_type){.prefix = "idle", .parse_client = idle_client};
        dw_endpoint_register(u.reactor, &idle_type);
    }
    return dw_client_endpoint_parse(u.reactor, description, out, error, DW_ENDPOINT_ERROR_MAX);
}

CALM_TEST(a_prefix_of_ones_own_may_wrap) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_client_endpoint *endpoint = NULL;
    two_hosts(w);
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, &server.factory, 0, NULL, NULL), 0);
    int result = parse_idle("idle:7:tcp:server:port=80:timeout=5", &endpoint, error);
    ck_assert_msg(result == 0, "%s", error);
    ck_assert_int_eq(user_try(&u, endpoint), 0);
    dw_world_run(w, DW_MIN(1));
    ck_assert_uint_eq(u.connected, 1);
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_int_eq(u.lost_kind, DW_CONNECTION_DONE);
}

static const struct {
    const char *description, *error;
} wrong[] = {
    {"idle", "the seconds are missing"},
    {"idle:7", "the endpoint behind 'idle:' is missing"},
    {"idle:7:", "it does not begin with the type of the endpoint"},
    {"idle:7:host=a", "it does not begin with the type of the endpoint"},
    {"idle:7:tcp:a", "the port is missing"},
    {"idle:7:tcp:a:80:90", "one argument too many: '90'"},
    {"idle:7:tcp:a:80:x=1", "there is no argument 'x'; there are host, port, timeout, bindAddress"},
    {"idle:7:haproxy:tcp:80",
     "'haproxy:' is for servers; on the wire 'sim' clients have idle, sim, tcp, tcp6, unix"},
};

CALM_TEST(what_is_wrong_behind_a_prefix_is_said) {
    two_hosts(w);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char error[DW_ENDPOINT_ERROR_MAX] = "";
        dw_client_endpoint *endpoint = NULL;
        ck_assert_int_eq(parse_idle(wrong[i].description, &endpoint, error), DW_INVALID_ARGUMENT);
        ck_assert_str_eq(error, wrong[i].error);
        ck_assert_ptr_null(endpoint);
    }
}

static const struct {
    const char *description;
    bool right;
    const char *error;
} haproxies[] = {
    {"haproxy:tcp:8080", true, ""},
    {"HAProxy:TCP:8080:interface=127.0.0.1", true, ""},
    {"haproxy:haproxy:tcp:1", true, ""},
    {"haproxy:unix:/run/a\\:b:mode=600", true, ""}, /* cut once, not twice */
    {"haproxy", false, "the endpoint behind 'haproxy:' is missing"},
    {"haproxy:", false, "it does not begin with the type of the endpoint"},
    {"haproxy:haproxy", false, "the endpoint behind 'haproxy:' is missing"},
    {"haproxy:tcp:8080:foo=1", false,
     "there is no argument 'foo'; there are port, interface, backlog"},
    {"haproxy:unix\\:x", false,
     "there is no server endpoint 'unix:x:' on the wire 'sim'; it has sim, tcp, tcp6, unix, fd, "
     "systemd, haproxy, stdio"},
};

/* Right and wrong as Twisted 22.4.0 has it, which has other words for it. */
CALM_TEST(haproxy_takes_any_server_endpoint) {
    two_hosts(w);
    for (size_t i = 0; i < sizeof(haproxies) / sizeof(haproxies[0]); i++) {
        char error[DW_ENDPOINT_ERROR_MAX] = "";
        dw_server_endpoint *endpoint = NULL;
        int result = dw_server_endpoint_parse(server.reactor, haproxies[i].description, &endpoint,
                                              error, sizeof(error));
        ck_assert_str_eq(error, haproxies[i].error);
        ck_assert_int_eq(result, haproxies[i].right ? 0 : DW_INVALID_ARGUMENT);
        dw_server_endpoint_free(endpoint);
    }
}

int main(void) {
    Suite *suite = suite_create("wrapping_endpoint");
    TCase *tc = tcase_create("wrapping endpoints");
    tcase_add_test(tc, each_allocation_may_fail);
    tcase_add_test(tc, an_endpoint_that_could_not_be_made_takes_the_inner_one_with_it);
    tcase_add_test(tc, a_port_that_cannot_listen_leaves_nothing);
    tcase_add_test(tc, an_attempt_fails_when_the_reactor_stops);
    tcase_add_test(tc, a_connection_ends_when_the_reactor_stops);
    tcase_add_test(tc, a_prefix_of_ones_own_may_wrap);
    tcase_add_test(tc, what_is_wrong_behind_a_prefix_is_said);
    tcase_add_test(tc, haproxy_takes_any_server_endpoint);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
