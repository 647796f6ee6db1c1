/* SPDX-License-Identifier: MIT */
/*
 * UNIX datagrams on the dry wire, which are never lost: names, queues, peers that go.
 */
#include "sim_unix.h"

static ear hears, says;

/* ---- Datagrams ---- */

static void expect_send_error(ear *e, const char *path, int error) {
    ck_assert_int_eq(send_unix(e, "x", path), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(e->reactor), error);
}

CALM_TEST(a_unix_datagram_takes_no_time_and_names_its_sender) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    listen_datagrams(&says, host, "@says");
    ck_assert_int_eq(send_unix(&says, "one", PATH), 3);
    ck_assert_int_eq(send_unix(&says, "", PATH), 0);
    ck_assert_uint_eq(hears.heard, 0); /* in a later event */
    dw_world_run(w, 0);
    ck_assert_str_eq(hears.firsts, "o-");
    ck_assert(is_address(&hears.from, "unix:@says"));
    ck_assert_int_eq(dw_datagram_write(hears.port, "back", 4, &hears.from), 4);
    dw_world_run(w, 0);
    ck_assert(ear_has(&says, "back"));
}

CALM_TEST(who_is_connected_needs_no_name) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    ear_tell(&says, "x");
    dw_world_run(w, 0);
    ck_assert(ear_has(&hears, "x"));
    ck_assert(is_address(&hears.from, "unix:"));
}

CALM_TEST(names_that_no_datagram_reaches) {
    one_host(w);
    listen_datagrams(&says, host, "@says");
    expect_send_error(&says, "/run/none", ENOENT);
    expect_send_error(&says, "@none", ECONNREFUSED);
    listen_on(&server, PATH);
    expect_send_error(&says, PATH, EPROTOTYPE);
    ck_assert_int_eq(connect_datagrams(&hears, host, PATH, NULL), DW_CONNECT_ERROR);
    ck_assert_int_eq(connect_datagrams(&hears, host, "@none", NULL), DW_CONNECTION_REFUSED);
    listen_datagrams(&hears, host, "/run/d");
    expect_failure(&client, w, "/run/d", DW_CONNECT_ERROR, EPROTOTYPE);
}

/* Linux: net.unix.max_dgram_qlen is 10, and one more fits. Core takes no room for a loss. */
CALM_TEST(a_queue_holds_eleven_and_no_more) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    listen_datagrams(&says, host, "@says");
    dw_datagram_pause_producing(hears.port);
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(send_unix(&says, "abc", PATH), i < 11 ? 3 : 0);
    }
    dw_datagram_resume_producing(hears.port);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 11);
    ck_assert_int_eq(send_unix(&says, "abc", PATH), 3);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 12);
}

/* Linux: net.core.wmem_default, 212992, less 32. */
CALM_TEST(the_longest_unix_datagram) {
    static uint8_t zeros[212961];
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    ck_assert_int_eq(dw_datagram_write(says.port, zeros, 212961, NULL), DW_MESSAGE_TOO_LONG);
    ck_assert_int_eq(dw_datagram_write(says.port, zeros, 212960, NULL), 212960);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.lens[0], DW_MAX_PACKET_SIZE_DEFAULT); /* cut */
}

/* Linux: ECONNREFUSED once, from then on it is not connected any more. */
CALM_TEST(a_peer_that_has_gone_refuses) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    dw_io io = {.kind = DW_IO_DATAGRAM};
    const dw_wire *wire = says.reactor->wire;
    dw_address address;
    char byte[] = "x";
    struct iovec piece = {byte, 1};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    ck_assert_int_eq(wire->open(says.reactor, &io, DW_ADDRESS_UNIX), 0);
    ck_assert_int_eq(wire->connect(says.reactor, &io, &address), 0);
    dw_datagram_stop_listening(hears.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(wire->send_to(says.reactor, &io, &piece, 1, NULL), -ECONNREFUSED);
    ck_assert_int_eq(wire->send_to(says.reactor, &io, &piece, 1, NULL), -ENOTCONN);
    listen_datagrams(&hears, host, PATH); /* another one of that name */
    wire->close(says.reactor, &io, false);
    dw_datagram_write(says.port, "x", 1, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(says.refused, 1);
    ck_assert_uint_eq(hears.heard, 0);
}

/* Linux: EPERM. */
CALM_TEST(who_is_connected_hears_its_peer_alone) {
    static ear third;
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, "/run/says"), 0);
    ck_assert_int_eq(send_unix(&hears, "from the peer", "/run/says"), 13);
    listen_datagrams(&third, host, "@third");
    expect_send_error(&third, "/run/says", EPERM);
    dw_world_run(w, 0);
    ck_assert_uint_eq(says.heard, 1);
}

CALM_TEST(the_file_of_a_datagram_socket_stays_behind_too) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    dw_host_kill(host);
    dw_host_restart(host);
    listen_datagrams(&says, host, "@says");
    expect_send_error(&says, PATH, ECONNREFUSED);
    ear_init(&hears, host);
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(hears.reactor, PATH, &hears.protocol, 0, 0, NULL),
        DW_CANNOT_LISTEN);
    unlink_path(host, PATH);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(send_unix(&says, "x", PATH), 1);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 1);
}

int main(void) {
    Suite *suite = suite_create("sim_unix_datagram");
    TCase *tc = tcase_create("datagrams");
    tcase_add_test(tc, a_unix_datagram_takes_no_time_and_names_its_sender);
    tcase_add_test(tc, who_is_connected_needs_no_name);
    tcase_add_test(tc, names_that_no_datagram_reaches);
    tcase_add_test(tc, a_queue_holds_eleven_and_no_more);
    tcase_add_test(tc, the_longest_unix_datagram);
    tcase_add_test(tc, a_peer_that_has_gone_refuses);
    tcase_add_test(tc, who_is_connected_hears_its_peer_alone);
    tcase_add_test(tc, the_file_of_a_datagram_socket_stays_behind_too);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
