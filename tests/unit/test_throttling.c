/* SPDX-License-Identifier: MIT */
/*
 * Throttling: times and orders worked out by hand from the rule (bytes / limit - 1) s and from
 * vectors/README.md, section 3 "Policies".
 */
#include "../suite.h"
#include "policy_rig.h"

#include <drywire/throttling.h>

static dw_factory app;
static dw_throttling_factory slow;
static dw_factory *const factory = &slow.base.base.base;

static void open_rig(uint64_t read_limit, uint64_t write_limit) {
    dw_throttling_factory_init(&slow, rig_open(&app), &app);
    slow.read_limit = read_limit;
    slow.write_limit = write_limit;
    slow.quiet = true;
}

static void connect_two(void) {
    rig_connect(factory);
    rig_connect(factory);
    rig_expect("build0 made0 build1 made1");
}

/* ---- Producers of the application ---- */

struct app_producer {
    dw_producer base;
    int number;
};

static void producer_pause(dw_producer *p) {
    rig_note("p-pause", ((struct app_producer *)(void *)p)->number, -1);
}

static void producer_resume(dw_producer *p) {
    rig_note("p-resume", ((struct app_producer *)(void *)p)->number, -1);
}

static void producer_stop(dw_producer *p) {
    rig_note("p-stop", ((struct app_producer *)(void *)p)->number, -1);
}

static const dw_producer_class producer_class = {"app", producer_pause, producer_resume,
                                                 producer_stop};
static struct app_producer p0 = {{&producer_class}, 0}, p1 = {{&producer_class}, 1};

static void write_bytes(int number, size_t len) {
    static const char bytes[256];
    dw_transport_write(rig_transport(number), bytes, len);
}

/* ---- Reading ---- */

START_TEST(reading_over_the_limit_pauses_all_in_order_for_what_it_takes_to_make_up) {
    open_rig(10, 0);
    connect_two();
    rig_receive(0, 8);
    rig_receive(1, 7);
    rig_expect("data0:8 data1:7");
    rig_advance(DW_SEC(1) - 1);
    rig_expect("");
    rig_advance(1);
    rig_expect("pause0 pause1");
    rig_advance(DW_MSEC(500) - 1); /* 15 / 10 - 1 = 0.5 */
    rig_expect("");
    rig_advance(1);
    rig_expect("resume0 resume1");
    rig_close();
}
END_TEST

START_TEST(just_the_limit_is_not_too_much) {
    open_rig(10, 0);
    rig_connect(factory);
    for (int i = 0; i < 5; i++) {
        rig_receive(0, 10);
        rig_advance(DW_SEC(1));
    }
    rig_expect("build0 made0 data0:10 data0:10 data0:10 data0:10 data0:10");
    rig_close();
}
END_TEST

START_TEST(the_counter_starts_again_at_each_check) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 6);
    rig_advance(DW_SEC(1));
    rig_receive(0, 6);
    rig_advance(DW_SEC(1));
    rig_expect("build0 made0 data0:6 data0:6");
    rig_close();
}
END_TEST

START_TEST(a_resume_due_with_a_check_comes_first_because_it_was_scheduled_first) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 20); /* a pause of one second */
    rig_advance(DW_SEC(1));
    rig_receive(0, 30);
    rig_expect("build0 made0 data0:20 pause0 data0:30");
    rig_advance(DW_SEC(1));
    rig_expect("resume0 pause0");
    rig_close();
}
END_TEST

START_TEST(a_second_pause_keeps_the_first_resume) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 40); /* at 1 s: until 4 s */
    rig_advance(DW_SEC(1));
    rig_receive(0, 35); /* at 2 s: until 4.5 s */
    rig_advance(DW_SEC(1));
    rig_expect("build0 made0 data0:40 pause0 data0:35 pause0");
    rig_advance(DW_SEC(2));
    rig_expect("resume0");
    rig_advance(DW_MSEC(500));
    rig_expect("resume0");
    rig_advance(DW_SEC(100));
    rig_expect("");
    rig_close();
}
END_TEST

START_TEST(more_pauses_than_there_is_room_for_lengthen_the_last) {
    open_rig(1, 0);
    rig_connect(factory);
    for (int i = 0; i < DW_THROTTLING_PAUSES_MAX + 2; i++) {
        rig_receive(0, 200);
        rig_advance(DW_SEC(1));
    }
    rig_notes[0] = '\0';
    rig_advance(DW_SEC(1000));
    rig_expect("resume0 resume0 resume0 resume0");
    ck_assert_int_eq(DW_THROTTLING_PAUSES_MAX, 4);
    rig_close();
}
END_TEST

START_TEST(one_that_connects_during_a_pause_is_not_paused_but_resumed) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 25);
    rig_advance(DW_SEC(1));
    rig_connect(factory);
    rig_expect("build0 made0 data0:25 pause0 build1 made1");
    rig_advance(DW_MSEC(1500));
    rig_expect("resume0 resume1");
    rig_close();
}
END_TEST

START_TEST(what_the_application_paused_stays_paused) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 15);
    dw_transport_pause_producing(rig_transport(0));
    rig_advance(DW_SEC(1));
    rig_advance(DW_MSEC(500));
    rig_expect("build0 made0 data0:15 pause0 pause0");
    dw_transport_resume_producing(rig_transport(0));
    rig_expect("resume0");
    rig_close();
}
END_TEST

START_TEST(a_resume_of_the_application_waits_for_the_limit) {
    open_rig(10, 0);
    rig_connect(factory);
    rig_receive(0, 15);
    rig_advance(DW_SEC(1));
    dw_transport_pause_producing(rig_transport(0));
    dw_transport_resume_producing(rig_transport(0));
    rig_expect("build0 made0 data0:15 pause0 pause0");
    rig_advance(DW_MSEC(500));
    rig_expect("resume0");
    rig_close();
}
END_TEST

START_TEST(pauses_are_computed_without_overflow) {
    open_rig(UINT64_MAX / 2, 1);
    rig_connect(factory);
    slow.read_.bytes = UINT64_MAX; /* two times the limit and one byte: a second and a bit */
    slow.write_.bytes = UINT64_MAX;
    rig_advance(DW_SEC(1));
    rig_expect("build0 made0 pause0");
    rig_advance(DW_SEC(1) - 1);
    rig_expect("");
    rig_advance(1000);
    rig_expect("resume0");
    rig_close();
}
END_TEST

/* ---- Writing ---- */

START_TEST(writing_over_the_limit_pauses_registered_producers_only) {
    open_rig(0, 10);
    connect_two();
    dw_transport_register_producer(rig_transport(0), &p0.base, true);
    write_bytes(0, 15);
    struct iovec pieces[] = {{(void *)"ab", 2}, {(void *)"c", 1}};
    dw_transport_writev(rig_transport(1), pieces, 2);
    rig_expect("push0 write0:15 writev1:3");
    rig_advance(DW_SEC(1));
    rig_expect("p-pause0");
    rig_advance(DW_MSEC(800) - 1); /* 18 / 10 - 1 */
    rig_expect("");
    rig_advance(1);
    rig_expect("p-resume0");
    dw_transport_unregister_producer(rig_transport(0));
    write_bytes(0, 50);
    rig_expect("unregister0 write0:50");
    rig_advance(DW_SEC(10));
    rig_expect("");
    rig_close();
}
END_TEST

START_TEST(a_producer_registered_during_a_pause_is_resumed_with_the_others) {
    open_rig(0, 10);
    connect_two();
    write_bytes(0, 30);
    rig_advance(DW_SEC(1));
    dw_transport_register_producer(rig_transport(1), &p1.base, true);
    rig_expect("write0:30 push1");
    rig_advance(DW_SEC(2));
    rig_expect("p-resume1");
    rig_close();
}
END_TEST

START_TEST(a_producer_that_the_network_paused_stays_so_when_the_limit_lets_go) {
    open_rig(0, 10);
    rig_connect(factory);
    dw_transport_register_producer(rig_transport(0), &p0.base, true);
    dw_producer *own = rig_belows[0].producer;
    write_bytes(0, 30);
    own->cls->pause_producing(own);
    rig_advance(DW_SEC(1));
    rig_expect("build0 made0 push0 write0:30 p-pause0 p-pause0");
    rig_advance(DW_SEC(2));
    rig_expect("");
    own->cls->resume_producing(own);
    rig_expect("p-resume0");
    rig_close();
}
END_TEST

START_TEST(a_producer_that_the_network_resumes_waits_for_the_limit) {
    open_rig(0, 10);
    rig_connect(factory);
    dw_transport_register_producer(rig_transport(0), &p0.base, true);
    dw_producer *own = rig_belows[0].producer;
    write_bytes(0, 30);
    own->cls->pause_producing(own);
    rig_advance(DW_SEC(1));
    own->cls->resume_producing(own);
    rig_expect("build0 made0 push0 write0:30 p-pause0 p-pause0");
    rig_advance(DW_SEC(2));
    rig_expect("p-resume0");
    rig_close();
}
END_TEST

START_TEST(a_pull_producer_gets_the_piece_it_was_asked_for_when_the_limit_lets_go) {
    open_rig(0, 10);
    rig_connect(factory);
    dw_transport_register_producer(rig_transport(0), &p0.base, false);
    rig_expect("build0 made0 pull0 p-resume0");
    dw_producer *own = rig_belows[0].producer;
    write_bytes(0, 30);
    rig_advance(DW_SEC(1));
    own->cls->resume_producing(own);
    rig_expect("write0:30");
    rig_advance(DW_SEC(2));
    rig_expect("p-resume0");
    rig_advance(DW_SEC(20));
    rig_expect("");
    rig_close();
}
END_TEST

START_TEST(a_second_producer_is_refused_and_the_first_stays) {
    open_rig(0, 10);
    rig_connect(factory);
    ck_assert_int_eq(dw_transport_register_producer(rig_transport(0), &p0.base, true), 0);
    ck_assert_int_eq(dw_transport_register_producer(rig_transport(0), &p1.base, true),
                     DW_PRODUCER_REGISTERED);
    dw_producer *own = rig_belows[0].producer;
    own->cls->stop_producing(own);
    rig_expect("build0 made0 push0 p-stop0");
    rig_close();
}
END_TEST

static void pause_and_end_all(dw_producer *p) {
    (void)p;
    rig_end(0);
    rig_end(1);
}

START_TEST(a_producer_may_end_all_connections_when_it_is_paused) {
    static const dw_producer_class ending = {"ending", pause_and_end_all, producer_resume, NULL};
    dw_producer producer = {&ending};
    open_rig(0, 10);
    connect_two();
    dw_transport_register_producer(rig_transport(0), &producer, true);
    write_bytes(0, 30);
    rig_advance(DW_SEC(1));
    rig_expect("push0 write0:30 lost0 lost1");
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
    rig_close();
}
END_TEST

/* ---- The number of connections; timers ---- */

START_TEST(too_many_connections_are_refused_and_the_wrapped_factory_is_not_asked) {
    open_rig(0, 0);
    slow.max_connections = 1;
    rig_connect(factory);
    rig_connect(factory);
    rig_expect("build0 made0 refused1");
    rig_end(0);
    rig_connect(factory);
    rig_expect("lost0 build2 made2");
    ck_assert_uint_eq(dw_wrapping_factory_count(&slow.base), 1);
    rig_close();
}
END_TEST

START_TEST(the_last_connection_takes_all_timers_with_it_and_the_next_starts_new_ones) {
    open_rig(10, 10);
    rig_connect(factory);
    dw_reactor *reactor = dw_test_transport_reactor(rig);
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 2);
    rig_receive(0, 20);
    write_bytes(0, 20);
    rig_advance(DW_SEC(1));
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 4);
    rig_end(0);
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 0);
    rig_notes[0] = '\0';
    rig_advance(DW_MSEC(300));
    rig_connect(factory);
    rig_receive(1, 12);
    rig_advance(DW_SEC(1));
    rig_expect("build1 made1 data1:12 pause1");
    rig_close();
}
END_TEST

START_TEST(without_limits_there_are_no_timers) {
    open_rig(0, 0);
    rig_connect(factory);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
    rig_close();
}
END_TEST

/* ---- On the connection code ---- */

START_TEST(a_paused_connection_reads_on_from_where_it_was) {
    open_rig(10, 0);
    ck_assert_ptr_nonnull(dw_test_transport_build(rig, factory));
    dw_test_transport_receive(rig, "0123456789abcde", 15);
    rig_advance(DW_SEC(1));
    ck_assert(dw_test_transport_paused(rig));
    dw_test_transport_receive(rig, "xy", 2);
    rig_expect("start0 build0 made0 data0:15");
    rig_advance(DW_MSEC(500));
    rig_expect("data0:2");
    dw_test_transport_lose(rig, 0);
    rig_expect("lost0 stop0");
    rig_close();
}
END_TEST

static void keep_line(void *user, const char *line) {
    snprintf(user, 128, "%s", line);
}

START_TEST(the_log_says_what_the_limits_do) {
    char line[128] = "";
    open_rig(10, 0);
    slow.quiet = false;
    dw_reactor_set_log(dw_test_transport_reactor(rig), keep_line, line);
    rig_connect(factory);
    rig_receive(0, 15);
    rig_advance(DW_SEC(1));
    ck_assert_str_eq(line, "app: over the read limit, reading pauses");
    rig_advance(DW_MSEC(500));
    ck_assert_str_eq(line, "app: reading goes on");
    rig_close();
}
END_TEST

START_TEST(a_connection_without_memory_leaves_nothing_behind) {
    for (unsigned n = 1; n <= 2; n++) {
        open_rig(10, 10);
        dw_test_transport_fail_alloc(rig, n, false);
        rig_connect(factory);
        rig_expect("failed0");
        ck_assert_uint_eq(dw_wrapping_factory_count(&slow.base), 0);
        rig_connect(factory);
        rig_expect("build1 made1");
        rig_close();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("throttling");
    TCase *tc = tcase_create("throttling");
    tcase_add_test(tc, reading_over_the_limit_pauses_all_in_order_for_what_it_takes_to_make_up);
    tcase_add_test(tc, just_the_limit_is_not_too_much);
    tcase_add_test(tc, the_counter_starts_again_at_each_check);
    tcase_add_test(tc, a_resume_due_with_a_check_comes_first_because_it_was_scheduled_first);
    tcase_add_test(tc, a_second_pause_keeps_the_first_resume);
    tcase_add_test(tc, more_pauses_than_there_is_room_for_lengthen_the_last);
    tcase_add_test(tc, one_that_connects_during_a_pause_is_not_paused_but_resumed);
    tcase_add_test(tc, what_the_application_paused_stays_paused);
    tcase_add_test(tc, a_resume_of_the_application_waits_for_the_limit);
    tcase_add_test(tc, pauses_are_computed_without_overflow);
    tcase_add_test(tc, writing_over_the_limit_pauses_registered_producers_only);
    tcase_add_test(tc, a_producer_registered_during_a_pause_is_resumed_with_the_others);
    tcase_add_test(tc, a_producer_that_the_network_paused_stays_so_when_the_limit_lets_go);
    tcase_add_test(tc, a_producer_that_the_network_resumes_waits_for_the_limit);
    tcase_add_test(tc, a_pull_producer_gets_the_piece_it_was_asked_for_when_the_limit_lets_go);
    tcase_add_test(tc, a_second_producer_is_refused_and_the_first_stays);
    tcase_add_test(tc, a_producer_may_end_all_connections_when_it_is_paused);
    tcase_add_test(tc, too_many_connections_are_refused_and_the_wrapped_factory_is_not_asked);
    tcase_add_test(tc, the_last_connection_takes_all_timers_with_it_and_the_next_starts_new_ones);
    tcase_add_test(tc, without_limits_there_are_no_timers);
    tcase_add_test(tc, a_paused_connection_reads_on_from_where_it_was);
    tcase_add_test(tc, the_log_says_what_the_limits_do);
    tcase_add_test(tc, a_connection_without_memory_leaves_nothing_behind);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
