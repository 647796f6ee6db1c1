/* SPDX-License-Identifier: MIT */
/*
 * Limits on connections, by the table "Policies" in vectors/README.md, section 3; addresses by RFC
 * 4291.
 */
#include "../suite.h"
#include "policy_rig.h"

#include <drywire/limits.h>

static dw_factory app;

/* ---- In all ---- */

static dw_limit_total_factory total;
static dw_factory *const total_factory = &total.base.base.base;

static void open_total(size_t limit) {
    dw_limit_total_factory_init(&total, rig_open(&app), &app);
    total.limit = limit;
}

START_TEST(without_a_limit_all_are_taken) {
    dw_limit_total_factory_init(&total, rig_open(&app), &app);
    for (int i = 0; i < 20; i++) {
        rig_connect(total_factory);
    }
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 20);
    rig_close();
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 0);
}
END_TEST

START_TEST(over_the_limit_a_connection_is_refused_until_one_ends) {
    open_total(2);
    rig_connect(total_factory);
    rig_connect(total_factory);
    rig_connect(total_factory);
    rig_expect("build0 made0 build1 made1 refused2");
    rig_end(0);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 1);
    rig_connect(total_factory);
    rig_connect(total_factory);
    rig_expect("lost0 build3 made3 refused4");
    rig_close();
}
END_TEST

static void busy_made(dw_protocol *p) {
    rig_note("busy-made", rig_number(p), -1);
    dw_transport_write(p->transport, "busy", 4);
    dw_transport_lose_connection(p->transport);
}

static const dw_protocol_class busy_class = {
    .name = "busy",
    .connection_made = busy_made,
    .connection_lost = rig_lost,
    .destroy = rig_destroy,
};

static dw_protocol *busy_build(dw_factory *factory, const dw_address *peer) {
    dw_protocol *p = rig_build(factory, peer);
    if (p != NULL && p != DW_PROTOCOL_FAILED) {
        p->cls = &busy_class;
    }
    return p;
}

static const dw_factory_class busy_factory_class = {.name = "busy", .build_protocol = busy_build};

START_TEST(the_overflow_protocol_takes_over_and_counts_too) {
    dw_factory busy;
    open_total(1);
    dw_factory_init(&busy, &busy_factory_class);
    total.overflow = &busy;
    rig_connect(total_factory);
    rig_connect(total_factory);
    rig_expect("build0 made0 build1 busy-made1 write1:4 lose1");
    ck_assert_ptr_eq(rig_apps[1]->factory, &busy);
    ck_assert_ptr_eq(rig_apps[0]->factory, &app);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 2);
    rig_end(0); /* the other one still counts: no room yet */
    rig_connect(total_factory);
    rig_expect("lost0 build2 busy-made2 write2:4 lose2");
    rig_end(1);
    rig_end(2);
    rig_connect(total_factory);
    rig_expect("lost1 lost2 build3 made3");
    rig_close();
}
END_TEST

static dw_protocol *refuse(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    return NULL;
}

START_TEST(a_connection_that_the_wrapped_factory_refuses_does_not_count) {
    static const dw_factory_class refusing = {.name = "no", .build_protocol = refuse};
    open_total(1);
    dw_factory_init(&app, &refusing);
    rig_connect(total_factory);
    rig_expect("refused0");
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 0);
    rig_close();
}
END_TEST

static void count_in_lost(dw_protocol *p, const dw_reason *reason) {
    rig_note("count", (int)dw_wrapping_factory_count(&total.base), -1);
    rig_lost(p, reason);
}

START_TEST(inside_connection_lost_it_no_longer_counts) {
    static dw_protocol_class counting;
    counting = rig_app_class;
    counting.connection_lost = count_in_lost;
    open_total(5);
    rig_connect(total_factory);
    rig_connect(total_factory);
    rig_apps[0]->cls = &counting;
    rig_notes[0] = '\0';
    rig_end(0);
    rig_expect("count1 lost0");
    rig_close();
}
END_TEST

/* ---- Per peer ---- */

static dw_limit_per_peer_factory per_peer;
static dw_factory *const peer_factory = &per_peer.base.base.base;

static void open_per_peer(size_t limit) {
    dw_limit_per_peer_factory_init(&per_peer, rig_open(&app), &app);
    per_peer.limit = limit;
}

static dw_address at(const char *literal, uint16_t port) {
    dw_address address = {0};
    ck_assert_int_eq(dw_address_parse(&address, literal, port), 0);
    return address;
}

static void connect_at(const char *literal, uint16_t port) {
    dw_address address = at(literal, port);
    rig_connect_from(peer_factory, &address);
}

START_TEST(each_peer_has_a_limit_of_its_own_whatever_its_port) {
    open_per_peer(2);
    connect_at("10.0.0.1", 1);
    connect_at("10.0.0.1", 2);
    connect_at("10.0.0.1", 3);
    connect_at("10.0.0.2", 1);
    rig_expect("build0 made0 build1 made1 refused2 build3 made3");
    dw_address peer = at("10.0.0.1", 99);
    ck_assert_uint_eq(dw_limit_per_peer_factory_count(&per_peer, &peer), 2);
    rig_end(1);
    ck_assert_uint_eq(dw_limit_per_peer_factory_count(&per_peer, &peer), 1);
    connect_at("10.0.0.1", 4);
    rig_expect("lost1 build4 made4");
    rig_close();
}
END_TEST

START_TEST(the_default_is_twisteds_five) {
    dw_limit_per_peer_factory_init(&per_peer, rig_open(&app), &app);
    for (uint16_t i = 0; i < 6; i++) {
        connect_at("10.0.0.1", i);
    }
    rig_expect("build0 made0 build1 made1 build2 made2 build3 made3 build4 made4 refused5");
    rig_close();
}
END_TEST

START_TEST(an_ipv4_peer_on_a_socket_for_both_kinds_is_the_same_peer) {
    open_per_peer(1);
    connect_at("10.0.0.1", 1);
    connect_at("::ffff:10.0.0.1", 2);
    connect_at("::ffff:10.0.0.2", 2);
    rig_expect("build0 made0 refused1 build2 made2");
    rig_close();
}
END_TEST

START_TEST(an_ipv6_peer_is_its_prefix) {
    open_per_peer(1);
    per_peer.ipv6_prefix = 64;
    connect_at("2001:db8:0:1::1", 1);
    connect_at("2001:db8:0:1:ffff::2", 1);
    connect_at("2001:db8:0:2::1", 1);
    rig_expect("build0 made0 refused1 build2 made2");
    rig_close();
    open_per_peer(1);
    connect_at("2001:db8::1", 1);
    connect_at("2001:db8::2", 1);
    rig_expect("build0 made0 build1 made1");
    rig_close();
    open_per_peer(1);
    per_peer.ipv6_prefix = 0;
    connect_at("2001:db8::1", 1);
    connect_at("fe80::2", 1);
    rig_expect("build0 made0 refused1");
    rig_close();
    open_per_peer(1);
    per_peer.ipv6_prefix = 47; /* the 48th bit no longer counts */
    connect_at("2001:db8:0:1::1", 1);
    connect_at("2001:db8:1::1", 1);
    connect_at("2001:db8:2::1", 1);
    rig_expect("build0 made0 refused1 build2 made2");
    rig_close();
}
END_TEST

START_TEST(a_peer_without_an_ip_address_has_no_limit) {
    open_per_peer(1);
    dw_address none = {0};
    rig_connect_from(peer_factory, &none);
    rig_connect_from(peer_factory, &none);
    rig_expect("build0 made0 build1 made1");
    ck_assert_uint_eq(dw_limit_per_peer_factory_count(&per_peer, &none), 0);
    rig_close();
}
END_TEST

/* More peers than the first table has room for, coming and going in another order. */
START_TEST(many_peers_are_told_apart) {
    open_per_peer(1);
    char literal[32];
    for (int i = 0; i < 30; i++) {
        snprintf(literal, sizeof(literal), "10.0.%d.1", i);
        connect_at(literal, 1);
    }
    for (int i = 0; i < 30; i++) {
        dw_address peer = at("10.0.0.1", 1);
        peer.ip[2] = (uint8_t)i;
        ck_assert_uint_eq(dw_limit_per_peer_factory_count(&per_peer, &peer), 1);
    }
    for (int i = 0; i < 30; i++) {
        int number = i * 7 % 30;
        dw_address peer = at("10.0.0.1", 1);
        peer.ip[2] = (uint8_t)number;
        rig_end(number);
        ck_assert_uint_eq(dw_limit_per_peer_factory_count(&per_peer, &peer), 0);
    }
    ck_assert_uint_eq(dw_wrapping_factory_count(&per_peer.base), 0);
    rig_close();
}
END_TEST

/* Allocations of a first connection: the wrapper, the protocol, the table, the peer's block. */
START_TEST(a_connection_without_memory_leaves_nothing_behind) {
    for (unsigned n = 1; n <= 4; n++) {
        open_per_peer(1);
        dw_test_transport_fail_alloc(rig, n, false);
        connect_at("10.0.0.1", 1);
        rig_expect(n <= 2 ? "failed0" : "build0 failed0");
        ck_assert_uint_eq(dw_wrapping_factory_count(&per_peer.base), 0);
        ck_assert_uint_eq(dw_test_transport_allocations(rig), 0);
        connect_at("10.0.0.1", 1);
        rig_expect("build1 made1");
        rig_close();
    }
}
END_TEST

START_TEST(a_table_that_cannot_grow_serves_on) {
    open_per_peer(1);
    char literal[32];
    for (int i = 0; i < 20; i++) {
        snprintf(literal, sizeof(literal), "10.0.%d.1", i);
        if (i == 16) { /* wrapper, protocol, then the larger table */
            dw_test_transport_fail_alloc(rig, 3, false);
        }
        connect_at(literal, 1);
    }
    ck_assert_uint_eq(dw_wrapping_factory_count(&per_peer.base), 20);
    connect_at("10.0.3.1", 1);
    ck_assert_ptr_nonnull(strstr(rig_notes, "refused20"));
    rig_close();
}
END_TEST

START_TEST(both_limits_stack) {
    dw_reactor *reactor = rig_open(&app);
    dw_limit_per_peer_factory_init(&per_peer, reactor, &app);
    per_peer.limit = 1;
    dw_limit_total_factory_init(&total, reactor, peer_factory);
    total.limit = 2;
    for (uint8_t i = 0; i < 4; i++) {
        dw_address peer = at("10.0.0.1", 1);
        peer.ip[3] = i / 2;
        rig_connect_from(total_factory, &peer);
    }
    rig_expect("build0 made0 refused1 build2 made2 refused3");
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 2);
    rig_end(0);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 1);
    ck_assert_uint_eq(dw_wrapping_factory_count(&per_peer.base), 1);
    rig_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limits");
    TCase *tc = tcase_create("limits");
    tcase_add_test(tc, without_a_limit_all_are_taken);
    tcase_add_test(tc, over_the_limit_a_connection_is_refused_until_one_ends);
    tcase_add_test(tc, the_overflow_protocol_takes_over_and_counts_too);
    tcase_add_test(tc, a_connection_that_the_wrapped_factory_refuses_does_not_count);
    tcase_add_test(tc, inside_connection_lost_it_no_longer_counts);
    tcase_add_test(tc, each_peer_has_a_limit_of_its_own_whatever_its_port);
    tcase_add_test(tc, the_default_is_twisteds_five);
    tcase_add_test(tc, an_ipv4_peer_on_a_socket_for_both_kinds_is_the_same_peer);
    tcase_add_test(tc, an_ipv6_peer_is_its_prefix);
    tcase_add_test(tc, a_peer_without_an_ip_address_has_no_limit);
    tcase_add_test(tc, many_peers_are_told_apart);
    tcase_add_test(tc, a_connection_without_memory_leaves_nothing_behind);
    tcase_add_test(tc, a_table_that_cannot_grow_serves_on);
    tcase_add_test(tc, both_limits_stack);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
