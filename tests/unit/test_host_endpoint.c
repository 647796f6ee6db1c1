/* SPDX-License-Identifier: MIT */
/*
 * dw_host_endpoint against RFC 8305 (Happy Eyeballs Version 2), in virtual time to the millisecond.
 * A packet takes 1 ms each way, so a connection that nothing stands in the way of is there 2 ms
 * after its attempt began; all other times are the RFC's: 50 ms of Resolution Delay (section 3),
 * 250 ms of Connection Attempt Delay (section 5), families in turns from IPv6 on (section 4).
 */
#include "endpoint_user.h"

enum { HANDSHAKE_MS = 2 };

static user u;
static silent servers[4];

/* Four machines, so that each address may be alive or dark: two have the IPv6 addresses of "www",
 * two the IPv4 ones. */
typedef struct net {
    dw_world *world;
    dw_host *client, *hosts[4]; /* six, four, six, four: in the order of section 4 */
} net;

static const char *const names[4] = {"six1", "four1", "six2", "four2"};

static dw_address address_of(const net *n, int i) {
    return i % 2 == 0 ? dw_host_address6(n->hosts[i]) : dw_host_address(n->hosts[i]);
}

static void listen_at(const net *n, int i) {
    dw_reactor *reactor = dw_host_reactor(n->hosts[i]);
    silent_init(&servers[i], reactor);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(reactor, 80, &servers[i].factory, 0, i % 2 == 0 ? "::" : NULL, NULL),
        0);
}

/* The client is 10.0.0.1, the others 10.0.0.2 to 10.0.0.5 and fd00::a00:2 to fd00::a00:5. */
static net make(dw_world *w) {
    net n = {.world = w, .client = dw_world_add_host(w, "client", NULL, NULL)};
    for (int i = 0; i < 4; i++) {
        n.hosts[i] = dw_world_add_host(w, names[i], NULL, NULL);
    }
    user_init(&u, dw_host_reactor(n.client));
    return n;
}

/* `count` addresses of "www" in each family, answered after so many milliseconds. */
static void answer(const net *n, int count, int six_ms, int four_ms) {
    dw_name_answer six = {.delay = DW_MSEC(six_ms)}, four = {.delay = DW_MSEC(four_ms)};
    for (int i = 0; i < count; i++) {
        six.addresses[i] = address_of(n, 2 * i);
        four.addresses[i] = address_of(n, 2 * i + 1);
    }
    dw_world_set_name(n->world, "www", DW_FAMILY_IPV6, &six, 1);
    dw_world_set_name(n->world, "www", DW_FAMILY_IPV4, &four, 1);
}

enum { NOBODY = 0, SIX = 1, FOUR = 2 };

/* "www" is one address of each family; who of them listens. */
static net make_www(dw_world *w, unsigned listening, int six_ms, int four_ms) {
    net n = make(w);
    for (int i = 0; i < 2; i++) {
        if ((listening & 1u << i) != 0) {
            listen_at(&n, i);
        }
    }
    answer(&n, 1, six_ms, four_ms);
    return n;
}

static void connect_with(const net *n, dw_host_options options) {
    options.host = options.host != NULL ? options.host : "www";
    options.port = 80;
    ck_assert_int_eq(user_try(&u, dw_host_endpoint_new(dw_host_reactor(n->client), &options)), 0);
}

static void connect_www(const net *n) {
    connect_with(n, (dw_host_options){.host = NULL});
}

static void run_www(const net *n, dw_time duration) {
    connect_www(n);
    dw_world_run(n->world, duration);
}

/* Nothing of it is left but a connection. */
static void expect_quiet(const net *n, size_t connections) {
    dw_reactor_counts counts = dw_reactor_count(dw_host_reactor(n->client));
    ck_assert_uint_eq(counts.connecting, 0);
    ck_assert_uint_eq(counts.connections, connections);
    ck_assert_uint_eq(counts.delayed_calls, 0);
}

/* ---- Section 3: asynchronous answers ---- */

/* "If a positive AAAA response is received first, ... the first IPv6 connection attempt is
 * immediately started." */
CALM_TEST(ipv6_that_answers_first_starts_at_once) {
    net n = make_www(w, SIX | FOUR, 10, 20);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "fd00::a00:2", DW_MSEC(10 + HANDSHAKE_MS));
    ck_assert_uint_eq(servers[1].built, 0);
    expect_quiet(&n, 1);
}

/* "If a positive A response is received first ..., the client SHOULD wait a short time for the AAAA
 * response" : 50 ms; here it comes within them. */
CALM_TEST(ipv4_waits_for_ipv6_which_is_then_preferred) {
    net n = make_www(w, SIX | FOUR, 59, 10);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "fd00::a00:2", DW_MSEC(59 + HANDSHAKE_MS));
}

CALM_TEST(ipv4_waits_for_50_ms_and_no_longer) {
    net n = make_www(w, SIX | FOUR, 100, 10);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(10 + 50 + HANDSHAKE_MS));
    expect_quiet(&n, 1);
}

/* "If a negative AAAA response (no error, no data) is received" there is nothing to wait for. */
CALM_TEST(a_negative_ipv6_answer_ends_the_wait) {
    net n = make_www(w, FOUR, 10, 10);
    dw_world_set_name(w, "www", DW_FAMILY_IPV6, &(dw_name_answer){.delay = DW_MSEC(30)}, 1);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(30 + HANDSHAKE_MS));
}

CALM_TEST(without_ipv6_addresses_ipv4_starts_at_once) {
    net n = make_www(w, FOUR, 10, 20);
    dw_world_set_name(w, "www", DW_FAMILY_IPV6, &(dw_name_answer){.error = EAGAIN}, 1);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(20 + HANDSHAKE_MS));
}

/* "If ... new positive responses are received after attempts have begun, the addresses are added":
 * the other family's answer comes while the first attempt is silent. */
CALM_TEST(a_late_answer_takes_part_when_its_turn_comes) {
    net n = make_www(w, FOUR, 1, 100);
    dw_host_crash(n.hosts[0]);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(1 + 250 + HANDSHAKE_MS));
}

CALM_TEST(an_answer_later_than_the_attempt_delay_is_tried_at_once) {
    net n = make_www(w, FOUR, 1, 400);
    dw_host_crash(n.hosts[0]);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(400 + HANDSHAKE_MS));
}

/* ---- Sections 4 and 5: the order of attempts, and the delay between them ---- */

static int alive;

/* One of four addresses is alive; each of those before it costs one Connection Attempt Delay. */
static void one_of_four(dw_world *w) {
    static const char *const peers[] = {"fd00::a00:2", "10.0.0.3", "fd00::a00:4", "10.0.0.5"};
    net n = make(w);
    answer(&n, 2, 1, 1);
    for (int i = 0; i < 4; i++) {
        if (i == alive) {
            listen_at(&n, i);
        } else {
            dw_host_crash(n.hosts[i]);
        }
    }
    run_www(&n, DW_SEC(5));
    expect_connected(&u, peers[alive], DW_MSEC(1 + 250 * alive + HANDSHAKE_MS));
    expect_quiet(&n, 1);
}

START_TEST(families_take_turns_from_ipv6_on) {
    alive = _i;
    expect_calm(one_of_four);
}
END_TEST

CALM_TEST(the_attempt_delay_can_be_set) {
    net n = make_www(w, FOUR, 1, 1);
    dw_host_crash(n.hosts[0]);
    connect_with(&n, (dw_host_options){.attempt_delay = DW_MSEC(100)});
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(1 + 100 + HANDSHAKE_MS));
}

CALM_TEST(the_resolution_delay_can_be_set) {
    net n = make_www(w, FOUR, 500, 10);
    connect_with(&n, (dw_host_options){.resolution_delay = -1});
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(10 + HANDSHAKE_MS));
}

CALM_TEST(what_has_failed_is_not_waited_for) {
    net n = make(w); /* nobody listens at the IPv6 address: RST after a round trip */
    listen_at(&n, 1);
    answer(&n, 1, 1, 1);
    run_www(&n, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(1 + 2 + HANDSHAKE_MS));
}

/* "Once one of the connection attempts succeeds ..., all other connections attempts that have not
 * yet succeeded SHOULD be canceled": the slow one hears of it before its server accepts. */
CALM_TEST(the_first_connection_wins_and_the_others_are_cancelled) {
    net n = make_www(w, SIX | FOUR, 1, 1);
    dw_world_set_latency(w, n.client, n.hosts[0], DW_MSEC(200));
    run_www(&n, DW_SEC(5));
    expect_connected(&u, "10.0.0.3", DW_MSEC(1 + 250 + HANDSHAKE_MS));
    ck_assert_uint_eq(u.built, 1);
    ck_assert_uint_eq(servers[0].built, 0);
    expect_quiet(&n, 1);
}

/* ---- How it fails ---- */

CALM_TEST(all_refused_is_refused) {
    net n = make(w);
    answer(&n, 2, 1, 1);
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_CONNECTION_REFUSED, ECONNREFUSED, DW_MSEC(1 + 4 * 2));
    expect_quiet(&n, 0);
}

/* The peer's word tells more than a family that there is no way for, whichever comes last. */
static int unreachable;

static void one_without_route(dw_world *w) {
    net n = make(w);
    dw_name_answer nowhere = {.addresses = {{.kind = DW_ADDRESS_NONE}}};
    answer(&n, 1, 1, 1);
    dw_address_parse(&nowhere.addresses[0], unreachable == 0 ? "2001:db8::1" : "192.0.2.1", 0);
    dw_world_set_name(w, "www", unreachable == 0 ? DW_FAMILY_IPV6 : DW_FAMILY_IPV4, &nowhere, 1);
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_CONNECTION_REFUSED, ECONNREFUSED, DW_MSEC(1 + 2));
}

START_TEST(a_refusal_tells_more_than_no_route) {
    unreachable = _i;
    expect_calm(one_without_route);
}
END_TEST

CALM_TEST(no_route_at_all_is_no_route) {
    net n = make(w);
    dw_name_answer nowhere = {.addresses = {{.kind = DW_ADDRESS_NONE}}};
    dw_address_parse(&nowhere.addresses[0], "2001:db8::1", 0);
    dw_address_parse(&nowhere.addresses[1], "192.0.2.1", 0);
    dw_world_set_name(w, "www", DW_FAMILY_ANY, &nowhere, 1);
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_NO_ROUTE, ENETUNREACH, DW_MSEC(1));
}

CALM_TEST(the_time_out_is_of_the_whole) {
    net n = make(w);
    answer(&n, 2, 1, 1);
    for (int i = 0; i < 4; i++) {
        dw_host_crash(n.hosts[i]);
    }
    connect_www(&n);
    dw_world_run(w, DW_MIN(2));
    expect_failed(&u, DW_TIMEOUT, ETIMEDOUT, DW_CONNECT_TIMEOUT_DEFAULT);
    expect_quiet(&n, 0);
}

CALM_TEST(the_time_out_covers_the_look_up) {
    net n = make_www(w, NOBODY, 800, 900);
    connect_with(&n, (dw_host_options){.timeout = DW_MSEC(700)});
    dw_world_run(w, DW_SEC(5));
    expect_failed(&u, DW_TIMEOUT, ETIMEDOUT, DW_MSEC(700));
    expect_quiet(&n, 0);
}

/* No time-out of ours: the kernel gives up after its SYN's retries (tcp(7), tcp_syn_retries). */
CALM_TEST(without_a_time_out_the_kernels_holds) {
    net n = make_www(w, NOBODY, 1, 1);
    dw_host_crash(n.hosts[0]);
    dw_host_crash(n.hosts[1]);
    connect_with(&n, (dw_host_options){.timeout = -1});
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.kind, DW_TCP_TIMED_OUT);
    ck_assert_int_gt(u.told_at, DW_MIN(2));
}

CALM_TEST(a_name_without_addresses_is_a_look_up_failure) {
    net n = make(w);
    dw_world_set_name(w, "www", DW_FAMILY_IPV6, &(dw_name_answer){.delay = DW_MSEC(5)}, 1);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &(dw_name_answer){.delay = DW_MSEC(9)}, 1);
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_DNS_LOOKUP, ENODATA, DW_MSEC(9));
}

static int broken;

static void one_server_fails(dw_world *w) {
    net n = make(w);
    dw_family fails = broken == 0 ? DW_FAMILY_IPV6 : DW_FAMILY_IPV4;
    dw_world_set_name(w, "www", DW_FAMILY_ANY, NULL, 0);
    dw_world_set_name(w, "www", fails, &(dw_name_answer){.error = EAGAIN}, 1);
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_DNS_LOOKUP, EAGAIN, DW_LOOKUP_TIME);
}

START_TEST(a_failing_name_server_tells_more_than_no_such_name) {
    broken = _i;
    expect_calm(one_server_fails);
}
END_TEST

/* ---- The factory, and the protocol ---- */

CALM_TEST(a_factory_without_a_protocol_fails_by_its_name) {
    net n = make_www(w, SIX | FOUR, 1, 1);
    u.builds = BUILDS_NONE;
    run_www(&n, DW_SEC(1));
    ck_assert_uint_eq(u.built, 2); /* asked for each address, as Twisted's HostnameEndpoint does */
    expect_failed(&u, DW_NO_PROTOCOL, 0, DW_MSEC(1 + 2 * HANDSHAKE_MS));
    expect_quiet(&n, 0);
}

CALM_TEST(a_factory_that_fails_is_a_connect_error) {
    net n = make_www(w, SIX, 1, 1);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, NULL, 0);
    u.builds = BUILDS_FAILED;
    run_www(&n, DW_SEC(1));
    expect_failed(&u, DW_CONNECT_ERROR, 0, DW_MSEC(1 + HANDSHAKE_MS));
}

CALM_TEST(a_connection_lost_in_connection_made_is_a_failure) {
    net n = make_www(w, SIX, 1, 1);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, NULL, 0);
    u.fail_in_made = true;
    run_www(&n, DW_SEC(1));
    ck_assert_uint_eq(u.made, 1);
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_uint_eq(u.destroyed, 1);
    expect_failed(&u, DW_APP_ERROR, 0, DW_MSEC(1 + HANDSHAKE_MS));
    expect_quiet(&n, 0);
}

CALM_TEST(the_factory_starts_and_stops_once) {
    net n = make(w);
    listen_at(&n, 1);
    answer(&n, 2, 1, 1);
    connect_www(&n);
    ck_assert_uint_eq(u.starts, 1);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 1);
    ck_assert_uint_eq(u.starts, 1);
    ck_assert_uint_eq(u.stops, 0);
    ck_assert_ptr_eq(u.protocol.factory, &u.factory);
    dw_transport_lose_connection(u.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_int_eq(u.lost_kind, DW_CONNECTION_DONE);
    ck_assert_uint_eq(u.stops, 1);
    ck_assert_uint_eq(u.destroyed, 1);
    expect_quiet(&n, 0);
}

/* ---- Cancelling ---- */

static const dw_time stages[] = {
    0,                 /* inside the very turn */
    DW_MSEC(5),        /* looking up */
    DW_MSEC(30),       /* IPv4 waits for IPv6 */
    DW_MSEC(100),      /* the first attempt */
    DW_MSEC(400),      /* two of them */
    DW_MSEC(1000 * 29) /* all there are */
};
static dw_time stage;

static void cancel_it(void *unused) {
    (void)unused;
    dw_connecting_cancel(&u.connecting);
    ck_assert_uint_eq(u.failed, 1); /* before the call returns, as a Deferred's */
}

static void cancelled_at_a_stage(dw_world *w) {
    net n = make(w);
    answer(&n, 2, 70, 10);
    for (int i = 0; i < 4; i++) {
        dw_host_crash(n.hosts[i]);
    }
    connect_www(&n);
    if (stage == 0) {
        cancel_it(NULL);
    } else {
        dw_world_after(w, stage, cancel_it, NULL);
    }
    dw_world_run(w, DW_MIN(5));
    expect_failed(&u, DW_CONNECTING_CANCELLED, 0, stage);
    expect_quiet(&n, 0);
    dw_connecting_cancel(&u.connecting); /* is over: changes nothing */
    ck_assert_uint_eq(u.failed, 1);
}

START_TEST(after_a_cancel_nothing_is_left_at_any_stage) {
    stage = stages[_i];
    expect_calm(cancelled_at_a_stage);
}
END_TEST

CALM_TEST(a_cancel_inside_build_protocol_closes_the_connection) {
    net n = make_www(w, SIX, 1, 1);
    u.cancel_in_build = true;
    run_www(&n, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 0);
    ck_assert_int_eq(u.kind, DW_CONNECTING_CANCELLED);
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_uint_eq(u.starts, u.stops);
    expect_quiet(&n, 0);
}

CALM_TEST(a_cancel_inside_connection_made_closes_the_connection) {
    net n = make_www(w, SIX, 1, 1);
    u.cancel_in_made = true;
    run_www(&n, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 0);
    ck_assert_uint_eq(u.failed, 1);
    ck_assert_int_eq(u.lost_kind, DW_CONNECTION_DONE);
    ck_assert_uint_eq(u.starts, u.stops);
    expect_quiet(&n, 0);
}

/* ---- What it is given ---- */

CALM_TEST(a_literal_is_not_looked_up) {
    net n = make(w);
    listen_at(&n, 0);
    connect_with(&n, (dw_host_options){.host = "fd00::a00:2"});
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "fd00::a00:2", DW_MSEC(HANDSHAKE_MS));
}

CALM_TEST(one_family_alone_may_be_asked_for) {
    net n = make_www(w, SIX | FOUR, 1, 30);
    connect_with(&n, (dw_host_options){.family = DW_FAMILY_IPV4});
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(30 + HANDSHAKE_MS));
}

CALM_TEST(the_local_address_decides_the_family) {
    net n = make(w);
    dw_address bind = dw_host_address(n.client);
    listen_at(&n, 0);
    listen_at(&n, 1);
    answer(&n, 1, 1, 1);
    bind.port = 4321;
    connect_with(&n, (dw_host_options){.bind = &bind});
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "10.0.0.3", DW_MSEC(1 + HANDSHAKE_MS));
    ck_assert_uint_eq(dw_transport_host(u.protocol.transport).port, 4321);
}

CALM_TEST(wrong_options_make_no_endpoint) {
    net n = make(w);
    dw_reactor *reactor = dw_host_reactor(n.client);
    dw_address four = dw_host_address(n.client);
    dw_address path;
    char name[DW_NAME_MAX + 2];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    ck_assert_int_eq(dw_address_unix(&path, "/run/x"), 0);
    const dw_host_options wrong[] = {
        {.host = NULL, .port = 80},
        {.host = "", .port = 80},
        {.host = "www"},
        {.host = name, .port = 80},
        {.host = "www", .port = 80, .attempt_delay = DW_MSEC(9)}, /* "MUST NOT be less than 10" */
        {.host = "www", .port = 80, .attempt_delay = -1},
        {.host = "www", .port = 80, .bind = &four, .family = DW_FAMILY_IPV6},
        {.host = "www", .port = 80, .bind = &path},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_ptr_null(dw_host_endpoint_new(reactor, &wrong[i]));
    }
}

static user second;

CALM_TEST(one_endpoint_serves_several_attempts_and_outlives_its_owner) {
    net n = make(w);
    dw_host_options options = {.host = "www", .port = 80};
    dw_client_endpoint *endpoint = dw_host_endpoint_new(dw_host_reactor(n.client), &options);
    listen_at(&n, 0);
    answer(&n, 1, 1, 1);
    user_init(&second, dw_host_reactor(n.client));
    ck_assert_int_eq(
        dw_endpoint_connect(endpoint, &u.connecting, &u.factory, user_connected, user_failed, &u),
        0);
    ck_assert_int_eq(
        dw_endpoint_connect(endpoint, &u.connecting, &u.factory, user_connected, user_failed, &u),
        DW_INVALID_ARGUMENT); /* it is under way */
    ck_assert_int_eq(user_try(&second, endpoint), 0);
    dw_world_run(w, DW_SEC(1));
    expect_connected(&u, "fd00::a00:2", DW_MSEC(1 + HANDSHAKE_MS));
    expect_connected(&second, "fd00::a00:2", DW_MSEC(1 + HANDSHAKE_MS));
    expect_quiet(&n, 2);
}

/* ---- An instance of a protocol ---- */

CALM_TEST(an_instance_is_connected_without_a_factory) {
    net n = make(w);
    dw_host_options options = {.host = "www", .port = 80};
    dw_client_endpoint *endpoint = dw_host_endpoint_new(dw_host_reactor(n.client), &options);
    listen_at(&n, 1);
    answer(&n, 2, 1, 1);
    dw_protocol_init(&u.protocol, &user_class);
    ck_assert_int_eq(
        dw_connect_protocol(endpoint, &u.connecting, &u.protocol, user_connected, user_failed, &u),
        0);
    dw_client_endpoint_free(endpoint);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.connected, 1);
    dw_transport_abort_connection(u.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(u.lost, 1);
    ck_assert_uint_eq(u.destroyed, 1);
    ck_assert_ptr_null(u.protocol.factory);
    expect_quiet(&n, 0); /* and nothing leaks, says the world */
}

CALM_TEST(an_instance_that_is_not_connected_is_left_alone) {
    net n = make(w);
    dw_host_options options = {.host = "www", .port = 80};
    dw_client_endpoint *endpoint = dw_host_endpoint_new(dw_host_reactor(n.client), &options);
    answer(&n, 2, 1, 1);
    dw_protocol_init(&u.protocol, &user_class);
    ck_assert_int_eq(
        dw_connect_protocol(endpoint, &u.connecting, &u.protocol, user_connected, user_failed, &u),
        0);
    dw_client_endpoint_free(endpoint);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(u.kind, DW_CONNECTION_REFUSED);
    ck_assert_uint_eq(u.destroyed, 0);
}

/* ---- The end of the reactor ---- */

static void stopped_at_a_stage(dw_world *w) {
    net n = make(w);
    answer(&n, 2, 70, 10);
    for (int i = 0; i < 4; i++) {
        dw_host_crash(n.hosts[i]);
    }
    connect_www(&n);
    dw_world_run(w, stage);
    dw_host_stop(n.client); /* and then its memory is checked, too */
    dw_world_run(w, DW_MIN(1));
    ck_assert_uint_eq(u.failed, 1);
    ck_assert(!dw_host_is_up(n.client));
}

START_TEST(a_reactor_that_stops_fails_the_attempt_at_any_stage) {
    stage = stages[_i];
    expect_calm(stopped_at_a_stage);
}
END_TEST

/* ---- Memory ---- */

static void a_whole_life(dw_world *w) {
    net n = make(w);
    listen_at(&n, 3);
    answer(&n, 2, 1, 20);
    dw_host_crash(n.hosts[0]);
    dw_host_options options = {.host = "www", .port = 80};
    int error = user_try(&u, dw_host_endpoint_new(dw_host_reactor(n.client), &options));
    dw_world_run(w, DW_MIN(1)); /* past the time-out */
    ck_assert_uint_eq(u.connected + u.failed, error == 0 ? 1 : 0);
    ck_assert(error == 0 || error == DW_NO_MEMORY);
    if (u.connected > 0) {
        dw_transport_lose_connection(u.protocol.transport);
        dw_world_run(w, DW_SEC(5));
    }
    ck_assert_uint_eq(u.starts, u.stops);
    expect_quiet(&n, 0);
}

/* Each of them in turn; the world finds what is left over. */
START_TEST(every_allocation_may_fail) {
    /* endpoint, race, an attempt with its connector and transport */
    ck_assert_uint_ge(fail_each_allocation(a_whole_life, "client"), 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("host_endpoint");
    TCase *tc = tcase_create("happy eyeballs");
    tcase_add_test(tc, ipv6_that_answers_first_starts_at_once);
    tcase_add_test(tc, ipv4_waits_for_ipv6_which_is_then_preferred);
    tcase_add_test(tc, ipv4_waits_for_50_ms_and_no_longer);
    tcase_add_test(tc, a_negative_ipv6_answer_ends_the_wait);
    tcase_add_test(tc, without_ipv6_addresses_ipv4_starts_at_once);
    tcase_add_test(tc, a_late_answer_takes_part_when_its_turn_comes);
    tcase_add_test(tc, an_answer_later_than_the_attempt_delay_is_tried_at_once);
    tcase_add_loop_test(tc, families_take_turns_from_ipv6_on, 0, 4);
    tcase_add_test(tc, the_attempt_delay_can_be_set);
    tcase_add_test(tc, the_resolution_delay_can_be_set);
    tcase_add_test(tc, what_has_failed_is_not_waited_for);
    tcase_add_test(tc, the_first_connection_wins_and_the_others_are_cancelled);
    suite_add_tcase(suite, tc);
    tc = tcase_create("failures");
    tcase_add_test(tc, all_refused_is_refused);
    tcase_add_loop_test(tc, a_refusal_tells_more_than_no_route, 0, 2);
    tcase_add_test(tc, no_route_at_all_is_no_route);
    tcase_add_test(tc, the_time_out_is_of_the_whole);
    tcase_add_test(tc, the_time_out_covers_the_look_up);
    tcase_add_test(tc, without_a_time_out_the_kernels_holds);
    tcase_add_test(tc, a_name_without_addresses_is_a_look_up_failure);
    tcase_add_loop_test(tc, a_failing_name_server_tells_more_than_no_such_name, 0, 2);
    suite_add_tcase(suite, tc);
    tc = tcase_create("life");
    tcase_add_test(tc, a_factory_without_a_protocol_fails_by_its_name);
    tcase_add_test(tc, a_factory_that_fails_is_a_connect_error);
    tcase_add_test(tc, a_connection_lost_in_connection_made_is_a_failure);
    tcase_add_test(tc, the_factory_starts_and_stops_once);
    tcase_add_loop_test(tc, after_a_cancel_nothing_is_left_at_any_stage, 0,
                        sizeof(stages) / sizeof(stages[0]));
    tcase_add_test(tc, a_cancel_inside_build_protocol_closes_the_connection);
    tcase_add_test(tc, a_cancel_inside_connection_made_closes_the_connection);
    tcase_add_test(tc, a_literal_is_not_looked_up);
    tcase_add_test(tc, one_family_alone_may_be_asked_for);
    tcase_add_test(tc, the_local_address_decides_the_family);
    tcase_add_test(tc, wrong_options_make_no_endpoint);
    tcase_add_test(tc, one_endpoint_serves_several_attempts_and_outlives_its_owner);
    tcase_add_test(tc, an_instance_is_connected_without_a_factory);
    tcase_add_test(tc, an_instance_that_is_not_connected_is_left_alone);
    tcase_add_loop_test(tc, a_reactor_that_stops_fails_the_attempt_at_any_stage, 1,
                        sizeof(stages) / sizeof(stages[0]));
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
