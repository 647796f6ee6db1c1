/* SPDX-License-Identifier: MIT */
/*
 * What descriptions of endpoints do, in a world: addresses, time-outs in virtual time, the dry
 * wire's own prefix, UNIX sockets, endpoints of one's own.
 */
#include "endpoint_user.h"

static user u;
static silent server;
static dw_host *client_host, *server_host;

static void two_hosts(dw_world *w) {
    client_host = dw_world_add_host(w, "client", NULL, NULL);
    server_host = dw_world_add_host(w, "server", NULL, NULL);
    user_init(&u, dw_host_reactor(client_host));
    silent_init(&server, dw_host_reactor(server_host));
}

static int listen_at(dw_reactor *reactor, const char *description, dw_port **out) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_server_endpoint *endpoint = NULL;
    int result = dw_server_endpoint_parse(reactor, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s: %s", description, error);
    result = dw_endpoint_listen(endpoint, &server.factory, out);
    dw_server_endpoint_free(endpoint); /* the port lives on */
    return result;
}

static void serve(const char *description) {
    ck_assert_int_eq(listen_at(server.reactor, description, NULL), 0);
}

static void connect_to(const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_client_endpoint *endpoint = NULL;
    int result = dw_client_endpoint_parse(u.reactor, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s: %s", description, error);
    ck_assert_int_eq(user_try(&u, endpoint), 0);
}

CALM_TEST(tcp_meets_tcp) {
    two_hosts(w);
    serve("tcp:80");
    connect_to("tcp:server:80");
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.2", DW_MSEC(1 + 2));
    ck_assert_uint_eq(server.built, 1);
}

CALM_TEST(tcp6_meets_tcp6) {
    two_hosts(w);
    dw_name_answer both = {
        .addresses = {dw_host_address(server_host), dw_host_address6(server_host)}};
    dw_world_set_name(w, "www", DW_FAMILY_ANY, &both, 1);
    serve("tcp6:80");
    connect_to("tcp6:www:80");
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "fd00::a00:2", DW_MSEC(1 + 2));
}

CALM_TEST(the_dry_wire_has_a_prefix_of_its_own) {
    two_hosts(w);
    serve("sim:80");
    connect_to("sim:server:80");
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.2", DW_MSEC(1 + 2));
}

static const struct {
    bool client;
    const char *description, *error;
} wrong[] = {
    {true, "sim", "the host is missing, or longer than 255 characters"},
    {true, "sim:server", "the port is missing"},
    {true, "sim:server:x", "'port' is not a number: 'x'"},
    {false, "sim", "the port is missing"},
    {false, "sim:80:90", "one argument too many: '90'"},
    {true, "nosuch:1",
     "there is no client endpoint 'nosuch:' on the wire 'sim'; it has sim, tcp, "
     "tcp6, unix"},
};

CALM_TEST(what_is_wrong_with_it_is_said) {
    two_hosts(w);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char error[DW_ENDPOINT_ERROR_MAX] = "";
        dw_client_endpoint *client = NULL;
        dw_server_endpoint *port = NULL;
        int result = wrong[i].client ? dw_client_endpoint_parse(u.reactor, wrong[i].description,
                                                                &client, error, sizeof(error))
                                     : dw_server_endpoint_parse(u.reactor, wrong[i].description,
                                                                &port, error, sizeof(error));
        ck_assert_int_eq(result, DW_INVALID_ARGUMENT);
        ck_assert_str_eq(error, wrong[i].error);
    }
}

CALM_TEST(the_time_out_is_in_seconds) {
    two_hosts(w);
    dw_host_crash(server_host);
    connect_to("tcp:10.0.0.2:80:timeout=5");
    dw_world_run(w, DW_MIN(1));
    expect_failed(&u, DW_TIMEOUT, ETIMEDOUT, DW_SEC(5));
}

CALM_TEST(without_one_it_is_twisteds_30) {
    two_hosts(w);
    dw_host_crash(server_host);
    connect_to("tcp:10.0.0.2:80");
    dw_world_run(w, DW_MIN(1));
    expect_failed(&u, DW_TIMEOUT, ETIMEDOUT, DW_SEC(30));
}

CALM_TEST(the_bind_address_is_used) {
    two_hosts(w);
    serve("tcp:80");
    connect_to("tcp:server:80:bindAddress=10.0.0.1");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 1);
}

CALM_TEST(a_foreign_bind_address_is_a_bind_error) {
    two_hosts(w);
    serve("tcp:80");
    connect_to("tcp:server:80:bindAddress=10.0.0.2");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.kind, DW_CONNECT_BIND_ERROR);
    ck_assert_int_eq(u.sys_errno, EADDRNOTAVAIL);
}

CALM_TEST(a_port_that_is_taken_is_told_at_once) {
    dw_port *port = NULL;
    two_hosts(w);
    serve("tcp:80");
    ck_assert_int_eq(listen_at(server.reactor, "tcp:80", &port), DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(server.reactor), EADDRINUSE);
    ck_assert_ptr_null(port);
}

CALM_TEST(a_descriptor_is_nothing_here) {
    two_hosts(w);
    ck_assert_int_eq(listen_at(server.reactor, "fd:0", NULL), DW_UNSUPPORTED);
}

/* ---- UNIX sockets: both ends on one host ---- */

CALM_TEST(unix_meets_unix) {
    two_hosts(w);
    server.reactor = u.reactor;
    serve("unix:/run/a\\:b:mode=600");
    connect_to("unix:/run/a\\:b");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 1);
    ck_assert_str_eq(u.peer, "/run/a:b");
    ck_assert_uint_eq(server.built, 1);
}

CALM_TEST(a_unix_socket_that_is_not_there_fails) {
    two_hosts(w);
    connect_to("unix:/run/a");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.sys_errno, ENOENT);
    ck_assert_uint_eq(u.starts, u.stops);
}

CALM_TEST(a_unix_attempt_can_be_cancelled) {
    two_hosts(w);
    server.reactor = u.reactor;
    serve("unix:/run/a");
    connect_to("unix:/run/a");
    dw_connecting_cancel(&u.connecting);
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.kind, DW_CONNECTING_CANCELLED);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_uint_eq(server.built, 0);
    ck_assert_uint_eq(u.starts, u.stops);
}

static void unix_life(dw_world *w) {
    two_hosts(w);
    server.reactor = u.reactor;
    int result = dw_reactor_listen_unix(u.reactor, "/run/a", &server.factory, 0, 0, NULL);
    dw_client_endpoint *endpoint = dw_unix_endpoint_new(u.reactor, "/run/a", 0);
    int error = user_try(&u, endpoint);
    dw_world_run(w, DW_MIN(1));
    ck_assert_int_eq(u.connected + u.failed, error == 0 ? 1 : 0);
    if (u.connected > 0) {
        dw_transport_lose_connection(u.protocol.transport);
        dw_world_run(w, DW_SEC(1));
    }
    ck_assert(result == 0 || result == DW_NO_MEMORY);
    ck_assert_uint_eq(u.starts, u.stops);
}

START_TEST(each_allocation_of_a_unix_endpoint_may_fail) {
    /* port, endpoint, attempt, connector */
    ck_assert_uint_ge(fail_each_allocation(unix_life, "client"), 4);
}
END_TEST

/* ---- An endpoint of one's own ---- */

/* Fails each attempt a second later, unless it is cancelled. */
typedef struct hopeless {
    dw_client_endpoint base;
    dw_delayed_call call;
    dw_connecting *connecting;
    unsigned cancelled, destroyed;
} hopeless;

static void hopeless_due(void *self) {
    hopeless *hope = self;
    dw_connecting_failed(hope->connecting, &(dw_reason){DW_NO_ROUTE, EHOSTUNREACH, NULL});
}

static int hopeless_connect(dw_client_endpoint *base, dw_connecting *connecting) {
    hopeless *h = (hopeless *)base;
    if (h->connecting != NULL) {
        return DW_UNSUPPORTED;
    }
    h->connecting = connecting;
    dw_reactor_call_later(base->reactor, &h->call, DW_SEC(1), hopeless_due, h);
    return 0;
}

static void hopeless_cancel(dw_client_endpoint *base, dw_connecting *connecting) {
    hopeless *h = (hopeless *)base;
    ck_assert_ptr_eq(connecting, h->connecting);
    dw_delayed_call_cancel(&h->call);
    h->cancelled++;
}

static void hopeless_destroy(dw_client_endpoint *base) {
    ((hopeless *)base)->destroyed++;
}

static const dw_client_endpoint_class hopeless_class = {"hopeless", hopeless_connect,
                                                        hopeless_cancel, hopeless_destroy};

static hopeless own;

CALM_TEST(an_endpoint_of_ones_own_is_like_the_others) {
    two_hosts(w);
    own = (hopeless){.cancelled = 0};
    dw_client_endpoint_init(&own.base, &hopeless_class, u.reactor);
    ck_assert_int_eq(user_try(&u, &own.base), 0); /* its owner lets go of it */
    ck_assert_uint_eq(own.destroyed, 0);
    dw_world_run(w, DW_SEC(5));
    expect_failed(&u, DW_NO_ROUTE, EHOSTUNREACH, DW_SEC(1));
    ck_assert_uint_eq(own.destroyed, 1);
}

CALM_TEST(an_endpoint_that_does_not_start_leaves_nothing) {
    two_hosts(w);
    own = (hopeless){.cancelled = 0};
    dw_client_endpoint_init(&own.base, &hopeless_class, u.reactor);
    own.connecting = &u.connecting; /* busy */
    ck_assert_int_eq(user_try(&u, &own.base), DW_UNSUPPORTED);
    ck_assert_uint_eq(own.destroyed, 1);
    ck_assert_uint_eq(u.starts, u.stops);
    ck_assert_uint_eq(u.failed, 0);
}

CALM_TEST(a_reactor_that_stops_takes_it_back) {
    two_hosts(w);
    own = (hopeless){.cancelled = 0};
    dw_client_endpoint_init(&own.base, &hopeless_class, u.reactor);
    ck_assert_int_eq(user_try(&u, &own.base), 0);
    dw_world_run(w, DW_MSEC(500));
    dw_host_stop(client_host);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(own.cancelled, 1);
    ck_assert_uint_eq(own.destroyed, 1);
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.kind, DW_CONNECT_ERROR);
}

/* Connects by another endpoint, a second late. */
typedef struct detour {
    dw_client_endpoint base;
    dw_client_endpoint *inner;
    dw_delayed_call call;
    dw_connecting attempt, *outer;
} detour;

static void detour_connected(dw_connecting *attempt, dw_protocol *protocol) {
    dw_connecting_connected(((detour *)attempt->user)->outer, protocol);
}

static void detour_failed(dw_connecting *attempt, const dw_reason *reason) {
    dw_connecting_failed(((detour *)attempt->user)->outer, reason);
}

static void detour_due(void *self) {
    detour *d = self;
    ck_assert_int_eq(dw_endpoint_connect(d->inner, &d->attempt, d->outer->factory, detour_connected,
                                         detour_failed, d),
                     0);
}

static int detour_connect(dw_client_endpoint *base, dw_connecting *connecting) {
    detour *d = (detour *)base;
    d->outer = connecting;
    dw_reactor_call_later(base->reactor, &d->call, DW_SEC(1), detour_due, d);
    return 0;
}

static void detour_cancel(dw_client_endpoint *base, dw_connecting *connecting) {
    (void)connecting;
    dw_delayed_call_cancel(&((detour *)base)->call);
}

static void detour_destroy(dw_client_endpoint *base) {
    dw_client_endpoint_free(((detour *)base)->inner);
}

static const dw_client_endpoint_class detour_class = {"detour", detour_connect, detour_cancel,
                                                      detour_destroy};

static detour way;

static void take_a_detour(const char *description) {
    way = (detour){.outer = NULL};
    dw_client_endpoint_init(&way.base, &detour_class, u.reactor);
    ck_assert_int_eq(dw_client_endpoint_parse(u.reactor, description, &way.inner, NULL, 0), 0);
    ck_assert_int_eq(user_try(&u, &way.base), 0);
}

CALM_TEST(an_endpoint_of_ones_own_connects_by_another) {
    two_hosts(w);
    serve("tcp:80");
    take_a_detour("tcp:server:80");
    dw_world_run(w, DW_SEC(5));
    expect_connected(&u, "10.0.0.2", DW_MSEC(1000 + 1 + 2));
}

CALM_TEST(an_endpoint_of_ones_own_fails_as_the_other_does) {
    two_hosts(w);
    take_a_detour("tcp:server:80");
    dw_world_run(w, DW_SEC(5));
    expect_failed(&u, DW_CONNECTION_REFUSED, ECONNREFUSED, DW_MSEC(1000 + 1 + 2));
}

int main(void) {
    Suite *suite = suite_create("endpoint_sim");
    TCase *tc = tcase_create("endpoints");
    tcase_add_test(tc, tcp_meets_tcp);
    tcase_add_test(tc, tcp6_meets_tcp6);
    tcase_add_test(tc, the_dry_wire_has_a_prefix_of_its_own);
    tcase_add_test(tc, what_is_wrong_with_it_is_said);
    tcase_add_test(tc, the_time_out_is_in_seconds);
    tcase_add_test(tc, without_one_it_is_twisteds_30);
    tcase_add_test(tc, the_bind_address_is_used);
    tcase_add_test(tc, a_foreign_bind_address_is_a_bind_error);
    tcase_add_test(tc, a_port_that_is_taken_is_told_at_once);
    tcase_add_test(tc, a_descriptor_is_nothing_here);
    tcase_add_test(tc, unix_meets_unix);
    tcase_add_test(tc, a_unix_socket_that_is_not_there_fails);
    tcase_add_test(tc, a_unix_attempt_can_be_cancelled);
    tcase_add_test(tc, each_allocation_of_a_unix_endpoint_may_fail);
    tcase_add_test(tc, an_endpoint_of_ones_own_is_like_the_others);
    tcase_add_test(tc, an_endpoint_of_ones_own_connects_by_another);
    tcase_add_test(tc, an_endpoint_of_ones_own_fails_as_the_other_does);
    tcase_add_test(tc, an_endpoint_that_does_not_start_leaves_nothing);
    tcase_add_test(tc, a_reactor_that_stops_takes_it_back);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
