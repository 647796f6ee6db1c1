/* SPDX-License-Identifier: MIT */
/*
 * Multicast groups on the dry wire: who is in one, whom a datagram reaches. What Linux does was
 * tried on 6.18, with a veth as 10.0.0.1/8 and on lo; the rest is ip(7) and RFC 1112.
 */
#include "sim_datagrams.h"

#define GROUP       "224.1.1.1"
#define OTHER_GROUP "224.1.1.2"

enum { PORT = 9999, HOSTS = 3 };

static dw_host *hosts[HOSTS];
static ear ears[HOSTS], extra;

static void open_ear(ear *e, dw_host *host, const char *interface) {
    ear_init(e, host);
    ck_assert_int_eq(
        dw_reactor_listen_multicast(e->reactor, PORT, &e->protocol, interface, 0, &e->port), 0);
}

/* Hosts 10.0.0.1 to 10.0.0.3, an ear on each. */
static void three(dw_world *w) {
    static const char *const names[HOSTS] = {"a", "b", "c"};
    for (int i = 0; i < HOSTS; i++) {
        hosts[i] = dw_world_add_host(w, names[i], NULL, NULL);
        open_ear(&ears[i], hosts[i], NULL);
    }
}

static int join(ear *e, const char *group, const char *interface) {
    return dw_datagram_join_group(e->port, group, interface);
}

static void expect_errno(ear *e, int result, int error) {
    ck_assert_int_eq(result, DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(e->reactor), error);
}

static void expect_heard(unsigned a, unsigned b, unsigned c) {
    ck_assert_uint_eq(ears[0].heard, a);
    ck_assert_uint_eq(ears[1].heard, b);
    ck_assert_uint_eq(ears[2].heard, c);
}

/* ---- Delivery ---- */

CALM_TEST(a_group_reaches_the_hosts_that_are_in_it) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    dw_world_set_latency(w, hosts[0], hosts[1], DW_MSEC(7));
    ear_say(&ears[0], "hello", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
    ck_assert(ear_has(&ears[1], "hello"));
    ck_assert(is_address(&ears[1].from, "10.0.0.1:9999"));
    ck_assert_int_eq(ears[1].heard_at, DW_MSEC(7));
}

CALM_TEST(a_sender_that_is_in_the_group_hears_itself) {
    three(w);
    ck_assert_int_eq(join(&ears[0], GROUP, NULL), 0);
    ck_assert_int_eq(join(&ears[2], GROUP, NULL), 0);
    ck_assert(dw_datagram_get_loopback_mode(ears[0].port));
    ear_say(&ears[0], "on", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(1, 0, 1);
    ck_assert(is_address(&ears[0].from, "10.0.0.1:9999"));
    ck_assert_int_eq(dw_datagram_set_loopback_mode(ears[0].port, false), 0);
    ck_assert(!dw_datagram_get_loopback_mode(ears[0].port));
    ear_say(&ears[0], "off", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(1, 0, 2);
}

CALM_TEST(a_ttl_of_0_stays_within_the_host) {
    three(w);
    ck_assert_int_eq(join(&ears[0], GROUP, NULL), 0);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(ears[0].port), 1);
    ck_assert_int_eq(dw_datagram_set_ttl(ears[0].port, 0), 0);
    ear_say(&ears[0], "near", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(1, 0, 0);
    ck_assert_int_eq(dw_datagram_set_ttl(ears[0].port, 255), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(ears[0].port), 255);
    ear_say(&ears[0], "far", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(2, 1, 0);
}

/* Linux: IP_MULTICAST_ALL is on. */
CALM_TEST(every_socket_of_the_port_on_a_member_host_hears_it) {
    static ear on_group, on_address, on_other;
    three(w);
    open_ear(&extra, hosts[1], NULL);
    open_ear(&on_group, hosts[1], GROUP);
    open_ear(&on_address, hosts[1], "10.0.0.2");
    open_ear(&on_other, hosts[1], OTHER_GROUP);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ear_say(&ears[0], "all", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(ears[1].heard, 1);
    ck_assert_uint_eq(extra.heard, 1);
    ck_assert_uint_eq(on_group.heard, 1);
    ck_assert(ear_has(&on_group, "all"));
    ck_assert_uint_eq(on_address.heard + on_other.heard, 0);
}

CALM_TEST(a_host_leaves_with_its_last_member) {
    three(w);
    open_ear(&extra, hosts[1], NULL);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ck_assert_int_eq(join(&extra, GROUP, NULL), 0);
    ck_assert_int_eq(dw_datagram_leave_group(ears[1].port, GROUP, NULL), 0);
    ear_say(&ears[0], "1", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
    ck_assert_int_eq(dw_datagram_stop_listening(extra.port, NULL, NULL), 0);
    dw_world_run(w, DW_SEC(1));
    ear_say(&ears[0], "2", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
}

CALM_TEST(who_leaves_while_it_is_under_way_does_not_hear_it) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ear_say(&ears[0], "late", GROUP, PORT);
    dw_world_run(w, DW_USEC(500));
    ck_assert_int_eq(dw_datagram_leave_group(ears[1].port, GROUP, NULL), 0);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 0, 0);
}

CALM_TEST(a_program_that_was_killed_is_in_no_group) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    dw_host_kill(hosts[1]);
    dw_host_restart(hosts[1]);
    open_ear(&ears[1], hosts[1], NULL);
    ear_say(&ears[0], "x", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 0, 0);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ear_say(&ears[0], "x", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
}

CALM_TEST(a_partition_cuts_one_member_off) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ck_assert_int_eq(join(&ears[2], GROUP, NULL), 0);
    dw_world_partition(w, hosts[0], hosts[1]);
    ear_say(&ears[0], "x", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 0, 1);
}

/* Linux: its peer is the group, and the answers come from somebody else. */
CALM_TEST(who_is_connected_to_a_group_sends_to_it_and_hears_no_answer) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ear_connect(&ears[0], GROUP, PORT);
    ear_tell(&ears[0], "ping");
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
    ear_say(&ears[1], "pong", "10.0.0.1", PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
}

CALM_TEST(nobody_in_the_group_is_silence) {
    three(w);
    ear_connect(&ears[0], GROUP, PORT);
    ear_tell(&ears[0], "anybody?");
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 0, 0);
    ck_assert_uint_eq(ears[0].refused, 0);
}

/* ---- Interfaces ---- */

CALM_TEST(the_loopback_is_an_interface_of_its_own) {
    three(w);
    open_ear(&extra, hosts[0], NULL);
    dw_address out = dw_datagram_get_outgoing_interface(extra.port);
    ck_assert(is_address(&out, "0.0.0.0:0"));
    ck_assert_int_eq(join(&ears[0], GROUP, "127.0.0.1"), 0);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ear_say(&extra, "by the net", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 1, 0);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(extra.port, "127.0.0.1"), 0);
    out = dw_datagram_get_outgoing_interface(extra.port);
    ck_assert(is_address(&out, "127.0.0.1:0"));
    ear_say(&extra, "by lo", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(1, 1, 0);
    ck_assert(is_address(&ears[0].from, "127.0.0.1:9999"));
    /* lo itself loops, whatever the socket says */
    ck_assert_int_eq(dw_datagram_set_loopback_mode(extra.port, false), 0);
    ck_assert_int_eq(dw_datagram_set_ttl(extra.port, 0), 0);
    ear_say(&extra, "by lo", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(2, 1, 0);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(extra.port, "10.0.0.1"), 0);
    out = dw_datagram_get_outgoing_interface(extra.port);
    ck_assert(is_address(&out, "10.0.0.1:0"));
    expect_errno(&extra, dw_datagram_set_outgoing_interface(extra.port, "10.0.0.2"), EADDRNOTAVAIL);
}

/* Linux, tried: EINVAL. */
CALM_TEST(a_loopback_address_does_not_leave_by_the_net) {
    three(w);
    open_ear(&extra, hosts[0], "127.0.0.1");
    expect_errno(&extra, (int)ear_send(&extra, "x", GROUP, PORT), EINVAL);
}

/* ---- Errors ---- */

CALM_TEST(joining_and_leaving_answer_as_linux_does) {
    three(w);
    ck_assert_int_eq(join(&ears[0], GROUP, "10.0.0.1"), 0);
    expect_errno(&ears[0], join(&ears[0], GROUP, NULL), EADDRINUSE); /* the same interface */
    ck_assert_int_eq(join(&ears[0], GROUP, "127.0.0.1"), 0);
    expect_errno(&ears[0], join(&ears[0], OTHER_GROUP, "10.0.0.2"), ENODEV);
    expect_errno(&ears[0], dw_datagram_leave_group(ears[0].port, OTHER_GROUP, NULL), EADDRNOTAVAIL);
    ck_assert_int_eq(dw_datagram_leave_group(ears[0].port, GROUP, NULL), 0);
    expect_errno(&ears[0], dw_datagram_leave_group(ears[0].port, GROUP, NULL), EADDRNOTAVAIL);
    ck_assert_int_eq(dw_datagram_leave_group(ears[0].port, GROUP, "127.0.0.1"), 0);
}

/* Linux: net.ipv4.igmp_max_memberships. */
CALM_TEST(a_socket_may_be_in_twenty_groups) {
    three(w);
    char group[20];
    for (int i = 0; i < 20; i++) {
        snprintf(group, sizeof(group), "239.0.0.%d", i);
        ck_assert_int_eq(join(&ears[0], group, NULL), 0);
    }
    expect_errno(&ears[0], join(&ears[0], GROUP, NULL), ENOBUFS);
    ck_assert_int_eq(dw_datagram_leave_group(ears[0].port, "239.0.0.7", NULL), 0);
    ck_assert_int_eq(join(&ears[0], GROUP, NULL), 0);
}

/* ---- Faults ---- */

LIST_TEST(each_member_has_a_fate_of_its_own, {"udp a:9999>b:9999", "lose", 1, 1},
          {"udp a:9999>c:9999", "duplicate", 1, 1}) {
    three(w);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ck_assert_int_eq(join(&ears[2], GROUP, NULL), 0);
    ear_say(&ears[0], "x", GROUP, PORT);
    dw_world_run(w, DW_SEC(1));
    expect_heard(0, 0, 2);
}

LIST_TEST(what_is_corrupt_is_so_for_all_sockets_of_the_host,
          {"udp a:9999>b:9999", "corrupt", 1, 1}) {
    three(w);
    open_ear(&extra, hosts[1], NULL);
    ck_assert_int_eq(join(&ears[1], GROUP, NULL), 0);
    ck_assert_int_eq(join(&ears[2], GROUP, NULL), 0);
    ear_say(&ears[0], "a", GROUP, PORT); /* 0x61, 0x60 is '`' */
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&ears[1], "`"));
    ck_assert(ear_has(&extra, "`"));
    ck_assert(ear_has(&ears[2], "a"));
}

int main(void) {
    Suite *suite = suite_create("sim_multicast");
    TCase *tc = tcase_create("groups");
    tcase_add_test(tc, a_group_reaches_the_hosts_that_are_in_it);
    tcase_add_test(tc, a_sender_that_is_in_the_group_hears_itself);
    tcase_add_test(tc, a_ttl_of_0_stays_within_the_host);
    tcase_add_test(tc, every_socket_of_the_port_on_a_member_host_hears_it);
    tcase_add_test(tc, a_host_leaves_with_its_last_member);
    tcase_add_test(tc, who_leaves_while_it_is_under_way_does_not_hear_it);
    tcase_add_test(tc, a_program_that_was_killed_is_in_no_group);
    tcase_add_test(tc, a_partition_cuts_one_member_off);
    tcase_add_test(tc, who_is_connected_to_a_group_sends_to_it_and_hears_no_answer);
    tcase_add_test(tc, nobody_in_the_group_is_silence);
    tcase_add_test(tc, the_loopback_is_an_interface_of_its_own);
    tcase_add_test(tc, a_loopback_address_does_not_leave_by_the_net);
    tcase_add_test(tc, joining_and_leaving_answer_as_linux_does);
    tcase_add_test(tc, a_socket_may_be_in_twenty_groups);
    tcase_add_test(tc, each_member_has_a_fate_of_its_own);
    tcase_add_test(tc, what_is_corrupt_is_so_for_all_sockets_of_the_host);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
