/* SPDX-License-Identifier: MIT */
/*
 * The descriptors behind ports, for options that the library does not have (Twisted's
 * ISystemHandle), on every wire: a socket's on the live ones, none on the dry one.
 */
#include "conformance.h"

#include <sys/socket.h>

static void expect_socket(const conf *c, int fd, int type, int listens) {
    if (c->backend != NULL) {
        ck_assert_int_eq(fd, -1);
        return;
    }
    int value = -1;
    socklen_t len = sizeof(value);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len), 0);
    ck_assert_int_eq(value, type);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len), 0);
    ck_assert_int_eq(value, listens);
}

CONF_CASE(a_port_has_its_listening_socket) {
    static serving f;
    serving_init(&f, c, NULL, 0);
    dw_port *port = conf_listen(c, &f);
    expect_socket(c, dw_port_handle(port), SOCK_STREAM, 1);
    ck_assert_int_eq(dw_port_handle(NULL), -1);
    ck_assert_int_eq(dw_port_host(NULL).kind, DW_ADDRESS_NONE);
}

static const dw_datagram_protocol_class silent_class = {.name = "silent"};

CONF_CASE(a_datagram_port_has_its_socket) {
    static dw_datagram_protocol silent;
    dw_datagram_port *port = NULL;
    dw_datagram_protocol_init(&silent, &silent_class);
    ck_assert_int_eq(dw_reactor_listen_udp(c->server, 0, &silent, c->address, 0, &port), 0);
    expect_socket(c, dw_datagram_handle(port), SOCK_DGRAM, 0);
    ck_assert_int_eq(dw_datagram_handle(NULL), -1);
    ck_assert_int_eq(dw_datagram_stop_listening(port, NULL, NULL), 0);
    conf_settle(c);
}

int main(void) {
    Suite *suite = suite_create("handles");
    TCase *tc = tcase_create("handles");
    CONF_ADD(tc, a_port_has_its_listening_socket);
    CONF_ADD(tc, a_datagram_port_has_its_socket);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
