/* SPDX-License-Identifier: MIT */
/*
 * Names of UNIX sockets on the dry wire, which outlive programs, and connecting by them, without a
 * handshake.
 */
#include "sim_unix.h"

/* ---- Names ---- */

CALM_TEST(a_name_that_is_not_there) {
    one_host(w);
    expect_failure(&client, w, "/run/none", DW_CONNECT_ERROR, ENOENT);
    expect_failure(&client, w, "@none", DW_CONNECTION_REFUSED, ECONNREFUSED);
}

CALM_TEST(a_host_has_names_of_its_own) {
    one_host(w);
    listen_on(&server, PATH);
    side_init(&client, dw_host_reactor(other));
    expect_failure(&client, w, PATH, DW_CONNECT_ERROR, ENOENT);
    listen_on(&client, PATH);
}

CALM_TEST(a_name_is_taken_once) {
    one_host(w);
    listen_on(&server, PATH);
    ck_assert_int_eq(dw_reactor_listen_unix(client.reactor, PATH, &client.factory.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(client.reactor), EADDRINUSE);
    listen_on(&client, "/run/s2");
}

CALM_TEST(a_port_takes_its_file_along) {
    one_host(w);
    listen_on(&server, PATH);
    dw_port_stop_listening(server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    expect_failure(&client, w, PATH, DW_CONNECT_ERROR, ENOENT);
    listen_on(&server, PATH);
}

/* What every program with a UNIX socket meets once. */
static void stays_behind(dw_world *w, void (*end)(dw_host *host)) {
    one_host(w);
    listen_on(&server, PATH);
    end(host);
    restart();
    expect_failure(&client, w, PATH, DW_CONNECTION_REFUSED, ECONNREFUSED);
    ck_assert_int_eq(dw_reactor_listen_unix(server.reactor, PATH, &server.factory.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(server.reactor), EADDRINUSE);
    unlink_path(host, PATH);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
}

CALM_TEST(the_file_of_a_killed_program_stays_behind) {
    stays_behind(w, dw_host_kill);
}

CALM_TEST(the_file_of_a_machine_without_power_stays_behind) {
    stays_behind(w, dw_host_crash);
}

CALM_TEST(an_abstract_name_goes_with_its_program) {
    one_host(w);
    listen_on(&server, "@name");
    dw_host_kill(host);
    restart();
    expect_failure(&client, w, "@name", DW_CONNECTION_REFUSED, ECONNREFUSED);
    listen_on(&server, "@name");
    connect_to(&client, "@name");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
}

/* A file of the same name that somebody else has put there is left alone. */
CALM_TEST(a_port_removes_its_own_file_only) {
    static side second;
    one_host(w);
    side_init(&second, dw_host_reactor(host));
    listen_on(&server, PATH);
    unlink_path(host, PATH);
    listen_on(&second, PATH);
    dw_port_stop_listening(server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    connect_to(&client, PATH);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(second.made, 1);
}

CALM_TEST(names_are_not_ports) {
    one_host(w);
    listen_on(&server, PATH);
    side_connect(&client, "10.0.0.1", 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(client.failed, 1);
    ck_assert_int_eq(client.reason, DW_CONNECTION_REFUSED);
}

/* ---- Connecting ---- */

/* unix-turn-refused-vs-timer: connecting completes inside connect's own call. */
CALM_TEST(connecting_takes_no_time) {
    one_host(w);
    listen_on(&server, PATH);
    dw_world_run(w, DW_SEC(5));
    connect_to(&client, PATH);
    ck_assert_uint_eq(client.made, 0);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.made + server.made, 2);
    side_write(&client, "there");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "there"));
    side_write(&server, "back");
    dw_world_run(w, 0);
    ck_assert(side_has(&client, "back"));
}

/* unix-basic-addresses */
CALM_TEST(the_connecting_end_has_no_name) {
    connected(w);
    dw_address ends[4] = {
        dw_transport_host(client.protocol.transport), dw_transport_peer(client.protocol.transport),
        dw_transport_host(server.protocol.transport), dw_transport_peer(server.protocol.transport)};
    ck_assert(is_address(&ends[0], "unix:"));
    ck_assert(is_address(&ends[1], "unix:" PATH));
    ck_assert(is_address(&ends[2], "unix:" PATH));
    ck_assert(is_address(&ends[3], "unix:"));
}

static void refuse_all(side *s) {
    dw_transport_abort_connection(s->protocol.transport);
}

/* connect(2): EAGAIN; a queue of n holds n + 1. Core tries again later. */
CALM_TEST(a_full_queue_makes_the_client_wait) {
    enum { N = 5 };
    static side clients[N];
    one_host(w);
    ck_assert_int_eq(
        dw_reactor_listen_unix(server.reactor, PATH, &server.factory.base, 3, 0, &server.port), 0);
    server.on_made = refuse_all;
    dw_host_stall(host, DW_SEC(1)); /* nobody accepts */
    const dw_wire *wire = server.reactor->wire;
    dw_address address;
    dw_io ios[N] = {{0}};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    for (int i = 0; i < N; i++) {
        ios[i].kind = DW_IO_CONNECTING;
        ck_assert_int_eq(wire->open(server.reactor, &ios[i], DW_ADDRESS_UNIX), 0);
        ck_assert_int_eq(wire->connect(server.reactor, &ios[i], &address), i < 4 ? 0 : -EAGAIN);
    }
    for (int i = 0; i < N; i++) {
        wire->close(server.reactor, &ios[i], false);
    }
    dw_world_run(w, DW_SEC(2));
    for (int i = 0; i < N; i++) {
        side_init(&clients[i], server.reactor);
        connect_to(&clients[i], PATH);
    }
    dw_world_run(w, DW_SEC(10));
    for (int i = 0; i < N; i++) {
        ck_assert_uint_eq(clients[i].made, 1);
    }
}

static void write_and_lose(side *s) {
    side_write(s, "early");
    lose(s);
}

CALM_TEST(what_was_written_before_accept_is_there_after_it) {
    one_host(w);
    listen_on(&server, PATH);
    client.on_made = write_and_lose;
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.lost, 1);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
    ck_assert(side_has(&server, "early"));
    expect_end(&server, DW_CONNECTION_DONE, 0);
}

CALM_TEST(who_was_never_accepted_is_reset_when_the_port_closes) {
    one_host(w);
    listen_on(&server, PATH);
    const dw_wire *wire = client.reactor->wire;
    dw_io io = {.kind = DW_IO_CONNECTING};
    dw_address address;
    const uint8_t *data;
    char byte[] = "x";
    struct iovec piece = {byte, 1};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    ck_assert_int_eq(wire->open(client.reactor, &io, DW_ADDRESS_UNIX), 0);
    ck_assert_int_eq(wire->connect(client.reactor, &io, &address), 0);
    ck_assert_int_eq(wire->recv(client.reactor, &io, &data), -EAGAIN);
    dw_reactor_fini(server.reactor); /* closes without accepting */
    ck_assert_int_eq(wire->recv(client.reactor, &io, &data), -ECONNRESET);
    ck_assert_int_eq(wire->send(client.reactor, &io, &piece, 1), -EPIPE);
    wire->close(client.reactor, &io, false);
}

int main(void) {
    Suite *suite = suite_create("sim_unix");
    TCase *tc = tcase_create("names");
    tcase_add_test(tc, a_name_that_is_not_there);
    tcase_add_test(tc, a_host_has_names_of_its_own);
    tcase_add_test(tc, a_name_is_taken_once);
    tcase_add_test(tc, a_port_takes_its_file_along);
    tcase_add_test(tc, the_file_of_a_killed_program_stays_behind);
    tcase_add_test(tc, the_file_of_a_machine_without_power_stays_behind);
    tcase_add_test(tc, an_abstract_name_goes_with_its_program);
    tcase_add_test(tc, a_port_removes_its_own_file_only);
    tcase_add_test(tc, names_are_not_ports);
    tcase_add_test(tc, connecting_takes_no_time);
    tcase_add_test(tc, the_connecting_end_has_no_name);
    tcase_add_test(tc, a_full_queue_makes_the_client_wait);
    tcase_add_test(tc, what_was_written_before_accept_is_there_after_it);
    tcase_add_test(tc, who_was_never_accepted_is_reset_when_the_port_closes);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
