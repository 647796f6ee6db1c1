/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as a connection, on each poller: the reactor's end, and what fails on
 * the way. Whatever fails, the descriptors are as they were before (drywire/stdio.h).
 */
#include "stdio_rig.h"

#include "failing_alloc.h"

/* ---- The reactor's end ---- */

/* 'lost ConnectionLost' */
START_TEST(stopping_the_reactor_loses_it) {
    begin(&plain);
    two_pipes();
    ck_assert_int_eq(dw_reactor_start(reactor), 0);
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
    some_turns();
    ck_assert_str_eq(app.log, "made lost:CONNECTION_LOST");
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

START_TEST(a_reactor_that_is_freed_tells_nobody_and_gives_all_back) {
    begin(&plain);
    two_pipes();
    ck_assert_int_eq(open_stdio(), 0);
    do_write_much(&app);
    some_turns();
    end_pipes();
    ck_assert_str_eq(app.log, "made");
    ck_assert_ptr_null(app.protocol.transport);
    close_all(feed, drain, -1);
}
END_TEST

/* ---- Failures ---- */

START_TEST(descriptors_that_will_not_do_are_refused) {
    begin(&plain);
    two_pipes();
    int before = open_descriptors();
    const struct {
        int in, out;
    } bad[] = {{feed, out}, {in, drain}, {9999, out}, {in, 9999}, {-1, out}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        dw_stdio_options options = {.in = bad[i].in, .out = bad[i].out, .close = true};
        ck_assert_int_eq(dw_reactor_open_stdio(reactor, &app.protocol, &options),
                         DW_INVALID_ARGUMENT);
    }
    ck_assert(blocks(in) && blocks(out));
    ck_assert_int_eq(open_descriptors(), before);
    ck_assert_str_eq(app.log, "");
    dw_reactor_free(reactor);
    close_all(in, out, feed, drain, -1);
}
END_TEST

static int duplicates_left;

static int failing_duplicate(int fd) {
    if (duplicates_left-- <= 0) {
        errno = EMFILE;
        return -1;
    }
    return dw_syscalls_libc.duplicate(fd);
}

START_TEST(without_descriptors_all_is_as_it_was) {
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.duplicate = failing_duplicate;
    begin(&plain);
    dw_reactor_free(reactor);
    reactor = new_reactor_on(&sys);
    two_pipes();
    int before = open_descriptors();
    for (int left = 0; left < 2; left++) {
        duplicates_left = left;
        ck_assert_int_eq(open_and_close(), DW_SYSTEM_ERROR);
        ck_assert_int_eq(dw_reactor_errno(reactor), EMFILE);
        ck_assert_int_eq(open_descriptors(), before);
        ck_assert(blocks(in) && blocks(out));
    }
    duplicates_left = 2;
    ck_assert_int_eq(open_stdio(), 0);
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

START_TEST(each_allocation_may_fail) {
    int result = DW_NO_MEMORY;
    begin(&plain);
    dw_reactor_free(reactor);
    two_pipes();
    int before = open_descriptors(), fails = 0;
    for (int n = 0; result != 0; n++, fails++) {
        ck_assert_int_lt(n, 20);
        allocations_left = 1000;
        reactor = dw_live_reactor_new(poller, &(dw_poll_options){.allocator = &failing});
        ck_assert_ptr_nonnull(reactor);
        allocations_left = n;
        result = open_stdio();
        ck_assert(result == 0 || result == DW_NO_MEMORY);
        allocations_left = 1000;
        dw_reactor_free(reactor);
        ck_assert_int_eq(blocks_out, 0);
        ck_assert_int_eq(open_descriptors(), before);
        ck_assert(blocks(in) && blocks(out));
        ck_assert_int_eq(app.destroyed, result == 0);
    }
    ck_assert_int_ge(fails, 3); /* the console and its two streams */
    close_all(in, out, feed, drain, -1);
}
END_TEST

START_TEST(a_write_without_memory_ends_it) {
    begin(&plain);
    dw_reactor_free(reactor);
    two_pipes();
    allocations_left = 1000;
    reactor = dw_live_reactor_new(poller, &(dw_poll_options){.allocator = &failing});
    ck_assert_int_eq(open_stdio(), 0);
    allocations_left = 0;
    do_write_much(&app);
    allocations_left = 1000;
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made lost:NO_MEMORY");
    end_pipes();
    ck_assert_int_eq(blocks_out, 0);
    close_all(feed, drain, -1);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("ends and failures");
    tcase_add_test(tc, stopping_the_reactor_loses_it);
    tcase_add_test(tc, a_reactor_that_is_freed_tells_nobody_and_gives_all_back);
    tcase_add_test(tc, descriptors_that_will_not_do_are_refused);
    tcase_add_test(tc, without_descriptors_all_is_as_it_was);
    tcase_add_test(tc, each_allocation_may_fail);
    tcase_add_test(tc, a_write_without_memory_ends_it);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("stdio ends", suite);
}
