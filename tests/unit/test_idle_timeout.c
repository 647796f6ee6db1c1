/* SPDX-License-Identifier: MIT */
/*
 * The idle time-out, by the table "Policies" in vectors/README.md, section 3 (TimeoutFactory).
 */
#include "../suite.h"
#include "policy_rig.h"

#include <drywire/idle_timeout.h>

static dw_factory app;
static dw_idle_timeout_factory idle;
static dw_factory *const factory = &idle.base.base.base;

static void open_rig(dw_time period) {
    dw_idle_timeout_factory_init(&idle, rig_open(&app), &app, period);
}

START_TEST(an_idle_connection_is_lost_once) {
    open_rig(DW_SEC(2));
    rig_connect(factory);
    rig_advance(DW_SEC(2) - 1);
    rig_expect("build0 made0");
    rig_advance(1);
    rig_expect("lose0");
    rig_advance(DW_SEC(20));
    rig_receive(0, 1); /* too late: it has run out */
    rig_advance(DW_SEC(20));
    rig_expect("data0:1");
    rig_close();
}
END_TEST

START_TEST(data_write_and_writev_begin_anew) {
    struct iovec piece = {(void *)"bc", 2};
    open_rig(DW_SEC(2));
    rig_connect(factory);
    rig_advance(DW_SEC(1));
    rig_receive(0, 3);
    rig_advance(DW_SEC(1));
    dw_transport_write(rig_transport(0), "a", 1);
    rig_advance(DW_SEC(1));
    dw_transport_writev(rig_transport(0), &piece, 1);
    rig_advance(DW_SEC(2) - 1);
    rig_expect("build0 made0 data0:3 write0:1 writev0:2");
    rig_advance(1);
    rig_expect("lose0");
    rig_close();
}
END_TEST

START_TEST(other_verbs_do_not_count_as_traffic) {
    open_rig(DW_SEC(2));
    rig_connect(factory);
    rig_advance(DW_SEC(1));
    dw_transport_pause_producing(rig_transport(0));
    dw_transport_resume_producing(rig_transport(0));
    rig_advance(DW_SEC(1));
    rig_expect("build0 made0 pause0 resume0 lose0");
    rig_close();
}
END_TEST

START_TEST(the_application_may_set_its_own) {
    open_rig(DW_SEC(2));
    rig_connect(factory);
    ck_assert_int_eq(dw_idle_timeout_period(rig_transport(0)), DW_SEC(2));
    dw_idle_timeout_set(rig_transport(0), DW_SEC(4));
    rig_advance(DW_SEC(3));
    rig_receive(0, 1);
    rig_advance(DW_SEC(4) - 1);
    rig_expect("build0 made0 data0:1");
    rig_advance(1);
    rig_expect("lose0");
    dw_idle_timeout_set(rig_transport(0), DW_MSEC(500)); /* after it has run out: again */
    rig_advance(DW_MSEC(500));
    rig_expect("lose0");
    rig_close();
}
END_TEST

START_TEST(once_switched_off_no_data_brings_it_back) {
    open_rig(DW_SEC(2));
    rig_connect(factory);
    dw_idle_timeout_cancel(rig_transport(0));
    ck_assert_int_eq(dw_idle_timeout_period(rig_transport(0)), DW_TIMEOUT_OFF);
    rig_receive(0, 1);
    rig_advance(DW_SEC(100));
    rig_expect("build0 made0 data0:1");
    rig_close();
}
END_TEST

START_TEST(a_period_of_off_arms_nothing_until_one_is_set) {
    open_rig(DW_TIMEOUT_OFF);
    rig_connect(factory);
    rig_advance(DW_SEC(100));
    rig_expect("build0 made0");
    dw_idle_timeout_set(rig_transport(0), DW_SEC(1));
    rig_advance(DW_SEC(1));
    rig_expect("lose0");
    rig_close();
}
END_TEST

START_TEST(the_end_of_the_connection_cancels_it) {
    open_rig(DW_SEC(2));
    rig_connect(factory);
    rig_connect(factory);
    rig_end(0);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 1);
    rig_advance(DW_SEC(2));
    rig_expect("build0 made0 build1 made1 lost0 lose1");
    rig_close();
}
END_TEST

START_TEST(a_protocol_that_is_never_connected_leaves_no_timer) {
    open_rig(DW_SEC(2));
    dw_address peer = {.kind = DW_ADDRESS_IPV4};
    dw_protocol *p = factory->cls->build_protocol(factory, &peer);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 1);
    rig_advance(DW_SEC(3)); /* nothing to lose yet */
    p->cls->destroy(p);
    rig_close();
}
END_TEST

START_TEST(abort_resets_a_peer_that_does_not_read) {
    open_rig(DW_SEC(2));
    idle.abort = true;
    ck_assert_ptr_nonnull(dw_test_transport_build(rig, factory));
    dw_test_transport_set_room(rig, 0);
    dw_transport_write(rig_transport(0), "never read", 10);
    rig_advance(DW_SEC(2));
    ck_assert(!dw_test_transport_connected(rig));
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_CONNECTION_ABORTED);
    ck_assert(dw_test_transport_sent_reset(rig));
    rig_close();
}
END_TEST

START_TEST(what_is_buffered_still_goes_out_before_the_close) {
    open_rig(DW_SEC(2));
    ck_assert_ptr_nonnull(dw_test_transport_build(rig, factory));
    dw_test_transport_set_room(rig, 4);
    dw_transport_write(rig_transport(0), "12345678", 8);
    rig_advance(DW_SEC(2));
    ck_assert(dw_test_transport_connected(rig));
    dw_test_transport_set_room(rig, 100);
    ck_assert(!dw_test_transport_connected(rig));
    ck_assert_str_eq(dw_test_transport_written(rig, NULL), "12345678");
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_CONNECTION_DONE);
    rig_close();
}
END_TEST

START_TEST(a_transport_without_the_policy_is_left_alone) {
    dw_protocol plain;
    static const dw_protocol_class plain_class = {.name = "plain"};
    open_rig(DW_SEC(2));
    dw_protocol_init(&plain, &plain_class);
    dw_test_transport_connect(rig, &plain);
    dw_idle_timeout_set(plain.transport, DW_SEC(1));
    dw_idle_timeout_cancel(NULL);
    ck_assert_int_eq(dw_idle_timeout_period(plain.transport), DW_TIMEOUT_OFF);
    rig_advance(DW_SEC(5));
    ck_assert(dw_test_transport_connected(rig));
    dw_test_transport_lose(rig, 0);
    rig_close();
}
END_TEST

static void set_in_lost(dw_protocol *p, const dw_reason *reason) {
    dw_idle_timeout_set(p->transport, DW_SEC(1));
    rig_lost(p, reason);
}

START_TEST(setting_it_inside_connection_lost_arms_nothing) {
    static dw_protocol_class setting;
    setting = rig_app_class;
    setting.connection_lost = set_in_lost;
    open_rig(DW_SEC(2));
    rig_connect(factory);
    rig_apps[0]->cls = &setting;
    rig_end(0);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
    rig_close();
}
END_TEST

START_TEST(a_connection_without_memory_leaves_nothing_behind) {
    for (unsigned n = 1; n <= 2; n++) {
        open_rig(DW_SEC(2));
        dw_test_transport_fail_alloc(rig, n, false);
        rig_connect(factory);
        rig_expect("failed0");
        rig_close();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("idle_timeout");
    TCase *tc = tcase_create("idle_timeout");
    tcase_add_test(tc, an_idle_connection_is_lost_once);
    tcase_add_test(tc, data_write_and_writev_begin_anew);
    tcase_add_test(tc, other_verbs_do_not_count_as_traffic);
    tcase_add_test(tc, the_application_may_set_its_own);
    tcase_add_test(tc, once_switched_off_no_data_brings_it_back);
    tcase_add_test(tc, a_period_of_off_arms_nothing_until_one_is_set);
    tcase_add_test(tc, the_end_of_the_connection_cancels_it);
    tcase_add_test(tc, a_protocol_that_is_never_connected_leaves_no_timer);
    tcase_add_test(tc, abort_resets_a_peer_that_does_not_read);
    tcase_add_test(tc, what_is_buffered_still_goes_out_before_the_close);
    tcase_add_test(tc, a_transport_without_the_policy_is_left_alone);
    tcase_add_test(tc, setting_it_inside_connection_lost_arms_nothing);
    tcase_add_test(tc, a_connection_without_memory_leaves_nothing_behind);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
