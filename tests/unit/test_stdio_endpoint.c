/* SPDX-License-Identifier: MIT */
/*
 * The endpoint "stdio:", on each poller: it connects at once, has no port, and never starts or
 * stops its factory (drywire/endpoint.h; Twisted's StandardIOEndpoint).
 */
#include "stdio_rig.h"

#include <drywire/sim.h>

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    ck_assert_int_eq(peer->kind, DW_ADDRESS_NONE);
    return factory->num_ports == 0 ? &app.protocol : NULL;
}

static void never(dw_factory *factory) {
    (void)factory;
    ck_abort_msg("the factory was started or stopped");
}

static const dw_factory_class factory_class = {
    .name = "consoles", .build_protocol = build, .start = never, .stop = never};

static dw_server_endpoint *parse(dw_reactor *on, const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_server_endpoint *endpoint = NULL;
    int result = dw_server_endpoint_parse(on, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s", error);
    return endpoint;
}

START_TEST(an_endpoint_is_connected_at_once_and_has_no_port) {
    int kept[2] = {dup(0), dup(1)};
    dw_factory factory;
    dw_port *port = (dw_port *)&app;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    two_pipes();
    ck_assert_int_eq(dup2(in, 0), 0);
    ck_assert_int_eq(dup2(out, 1), 1);
    dw_server_endpoint *endpoint = parse(reactor, _i == 0 ? "stdio:" : "stdio");
    int result = dw_endpoint_listen(endpoint, &factory, &port);
    dw_server_endpoint_free(endpoint);
    say(&app, "hello");
    do_lose(&app);
    bool over = turn_until(reactor, &app.over, 1);
    dw_reactor_free(reactor);
    ck_assert(dup2(kept[0], 0) == 0 && dup2(kept[1], 1) == 1);
    ck_assert_int_eq(result, 0);
    ck_assert(over);
    ck_assert_ptr_null(port);
    ck_assert_ptr_eq(app.protocol.factory, &factory);
    expect_bytes(drain, "hello");
    close_all(in, out, feed, drain, kept[0], kept[1], -1);
}
END_TEST

static dw_wrapping_factory *wrap(dw_reactor *on, dw_factory *wrapped, void *user) {
    dw_wrapping_factory *factory = dw_new(on, dw_wrapping_factory);
    (void)user;
    ck_assert_ptr_nonnull(factory);
    dw_wrapping_factory_init(factory, &dw_wrapping_factory_plain, on, wrapped);
    return factory;
}

/* Its factory is never started, and so never stopped: it goes with the connection. */
START_TEST(a_wrapper_may_be_put_around_it) {
    int kept[2] = {dup(0), dup(1)};
    dw_factory factory;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    two_pipes();
    ck_assert_int_eq(dup2(in, 0), 0);
    ck_assert_int_eq(dup2(out, 1), 1);
    dw_server_endpoint *endpoint =
        dw_wrapping_server_endpoint_new(dw_stdio_endpoint_new(reactor), wrap, NULL);
    int result = dw_endpoint_listen(endpoint, &factory, NULL);
    dw_server_endpoint_free(endpoint);
    say(&app, "hello");
    do_lose(&app);
    bool over = turn_until(reactor, &app.over, 1);
    ck_assert(dup2(kept[0], 0) == 0 && dup2(kept[1], 1) == 1);
    ck_assert_int_eq(result, 0);
    ck_assert(over);
    ck_assert_str_eq(app.log, "made lost:CONNECTION_DONE");
    ck_assert_int_eq(app.destroyed, 1);
    ck_assert_ptr_eq(reactor->owned.next, &reactor->owned);
    expect_bytes(drain, "hello");
    dw_reactor_free(reactor);
    close_all(in, out, feed, drain, kept[0], kept[1], -1);
}
END_TEST

START_TEST(a_factory_that_makes_none_is_told) {
    dw_factory factory;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    factory.num_ports = 1;
    dw_server_endpoint *endpoint = dw_stdio_endpoint_new(reactor);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &factory, NULL), DW_NO_PROTOCOL);
    dw_server_endpoint_free(endpoint);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_dry_wire_has_none) {
    dw_test_transport *test = dw_test_transport_new();
    dw_reactor *dry = dw_test_transport_reactor(test);
    dw_factory factory;
    dw_factory_init(&factory, &factory_class);
    memset(&app, 0, sizeof(app));
    dw_protocol_init(&app.protocol, &plain);
    ck_assert_int_eq(dw_reactor_open_stdio(dry, &app.protocol, NULL), DW_UNSUPPORTED);
    dw_server_endpoint *endpoint = parse(dry, "stdio:");
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &factory, NULL), DW_UNSUPPORTED);
    dw_server_endpoint_free(endpoint);
    dw_test_transport_free(test);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("endpoints");
    tcase_add_loop_test(tc, an_endpoint_is_connected_at_once_and_has_no_port, 0, 2);
    tcase_add_test(tc, a_wrapper_may_be_put_around_it);
    tcase_add_test(tc, a_factory_that_makes_none_is_told);
    tcase_add_test(tc, the_dry_wire_has_none);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("stdio endpoint", suite);
}
