/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as a connection, on each poller: between pipes. What the protocol is
 * told is what Twisted 22.4.0 tells one (stdio.StandardIO, run as the same scripts), but for the
 * three differences that drywire/stdio.h names.
 */
#include "stdio_rig.h"

/* ('made', 'data', 'lost ConnectionDone') */
START_TEST(a_filter_reads_writes_and_ends_with_its_input) {
    begin(&plain);
    two_pipes();
    app.on_data = do_answer;
    put(feed, "hi\n");
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert_str_eq(app.log, "made"); /* before it returned */
    ck_assert(!blocks(in) && !blocks(out));
    ck_assert_int_eq(dw_transport_peer(app.protocol.transport).kind, DW_ADDRESS_NONE);
    ck_assert_int_eq(dw_transport_host(app.protocol.transport).kind, DW_ADDRESS_NONE);
    ck_assert_int_eq(dw_transport_handle(app.protocol.transport), -1);
    ck_assert_ptr_eq(dw_transport_reactor(app.protocol.transport), reactor);
    ck_assert_int_eq(dw_transport_set_no_delay(app.protocol.transport, true), DW_UNSUPPORTED);
    some_turns();
    expect_bytes(drain, "hello");
    close(feed);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data lost:CONNECTION_DONE");
    ck_assert_ptr_null(app.protocol.transport);
    ck_assert_int_eq(app.destroyed, 1);
    end_pipes();
    close(drain);
}
END_TEST

static void do_look_at_descriptors(console *c) {
    c->quiet = blocks(in) && blocks(out);
}

/* 1000000 bytes written, 65536 arrived. */
START_TEST(the_end_of_the_input_drops_what_was_not_written) {
    int left;
    begin(&plain);
    two_pipes();
    app.on_made = do_write_much;
    app.on_lost = do_look_at_descriptors;
    ck_assert_int_eq(open_stdio(), 0);
    some_turns();
    ck_assert_uint_eq(dw_transport_buffered(app.protocol.transport), sizeof(ys) - 65536);
    close(feed);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_int_eq(app.reason.kind, DW_CONNECTION_DONE);
    ck_assert_int_eq(app.quiet, 1); /* as they were, in connection_lost already */
    ck_assert_int_eq(ioctl(drain, FIONREAD, &left), 0);
    ck_assert_int_eq(left, 65536);
    end_pipes();
    close(drain);
}
END_TEST

/* Its input is there and has ended; the output gets `tail`. */
static void play_filter(reaction on_read_lost, const char *log) {
    begin(&aware);
    two_pipes();
    app.on_read_lost = on_read_lost;
    put(feed, "hi\n");
    close(feed);
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, log);
    expect_bytes(drain, "tail");
    end_pipes();
    close(drain);
}

/* ('made', 'data', 'read-lost', 'lost ConnectionDone'), and the tail arrives. */
START_TEST(an_aware_filter_finishes_after_the_end_of_its_input) {
    play_filter(do_tail_and_lose, "made data read-lost lost:CONNECTION_DONE");
}
END_TEST

/* Twisted: ('made', 'data', 'read-lost', 'write-lost'), and then nothing for ever. */
START_TEST(when_both_directions_have_ended_the_connection_has) {
    play_filter(do_tail_and_lose_write, "made data read-lost write-lost lost:CONNECTION_DONE");
}
END_TEST

/* ('made', 'write-lost'), and the descriptor is open. */
START_TEST(the_output_may_end_alone) {
    begin(&aware);
    two_pipes();
    app.on_made = do_tail_and_lose_write;
    ck_assert_int_eq(open_stdio(), 0);
    some_turns();
    ck_assert_str_eq(app.log, "made write-lost");
    ck_assert(blocks(out) && !blocks(in));
    say(&app, "nobody gets this");
    put(feed, "hi\n");
    some_turns();
    ck_assert_str_eq(app.log, "made write-lost data");
    expect_bytes(drain, "tail");
    close(feed);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made write-lost data read-lost lost:CONNECTION_DONE");
    end_pipes();
    close(drain);
}
END_TEST

/* Twisted never ends it. */
START_TEST(losing_the_connection_after_write_lost_ends_it_later) {
    begin(&aware);
    two_pipes();
    app.on_made = do_tail_and_lose_write;
    app.on_write_lost = do_lose;
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made write-lost lost:CONNECTION_DONE");
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

/* 300000 of 300000 bytes; ('made', 'data', 'lost ConnectionDone') */
START_TEST(losing_the_connection_writes_all_and_reads_no_more) {
    static char buffer[1 << 16];
    size_t got = 0;
    begin(&plain);
    two_pipes();
    app.on_made = do_write_much;
    ck_assert_int_eq(open_stdio(), 0);
    do_lose(&app);
    ck_assert(dw_transport_disconnecting(app.protocol.transport));
    dw_transport_resume_producing(app.protocol.transport);
    put(feed, "not read");
    for (int i = 0; i < 1000 && app.over == 0; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(5)), 0);
        ssize_t n = app.over == 0 ? read(drain, buffer, sizeof(buffer)) : 0;
        got += n > 0 ? (size_t)n : 0;
    }
    for (int left = 1; ioctl(drain, FIONREAD, &left) == 0 && left > 0;) {
        got += (size_t)read(drain, buffer, sizeof(buffer));
    }
    ck_assert_str_eq(app.log, "made lost:CONNECTION_DONE");
    ck_assert_uint_eq(got, sizeof(ys));
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

static void end_broken(void) {
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(app.reason.sys_errno, EPIPE);
    end_pipes();
    close(feed);
}

/* Without a byte being written. Twisted: 'write-lost' for an aware protocol, nothing for others;
 * if it is writing at that moment, 'lost ConnectionLost' for both. */
START_TEST(nobody_reads_the_output_any_more) {
    begin(_i == 0 ? &plain : &aware);
    two_pipes();
    ck_assert_int_eq(open_stdio(), 0);
    some_turns();
    close(drain);
    end_broken();
}
END_TEST

/* No SIGPIPE either, which would end this test. */
START_TEST(writing_where_nobody_reads_ends_it_the_same_way) {
    begin(_i == 0 ? &plain : &aware);
    two_pipes();
    close(drain);
    app.on_made = do_answer;
    ck_assert_int_eq(open_stdio(), 0);
    end_broken();
}
END_TEST

static void do_fail(console *c) {
    say(c, "dropped");
    dw_transport_fail(c->protocol.transport, &(dw_reason){DW_APP_ERROR, 0, NULL});
}

/* ('made', 'data', 'lost KeyError') */
START_TEST(a_failure_in_a_callback_ends_it) {
    char byte;
    begin(&plain);
    two_pipes();
    app.on_data = do_fail;
    put(feed, "hi");
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data lost:APP_ERROR");
    end_pipes();
    ck_assert_int_eq(read(drain, &byte, 1), 0);
    close_all(feed, drain, -1);
}
END_TEST

static void do_abort(console *c) {
    dw_transport_abort_connection(c->protocol.transport);
    say(c, "dropped");
    dw_transport_abort_connection(c->protocol.transport);
    do_lose(c);
    note("end");
}

START_TEST(aborting_drops_what_is_buffered_and_ends_later) {
    static char buffer[1 << 17];
    begin(&plain);
    two_pipes();
    app.on_data = do_abort;
    ck_assert_int_eq(open_stdio(), 0);
    do_write_much(&app);
    put(feed, "hi");
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data end lost:CONNECTION_ABORTED");
    end_pipes();
    ck_assert_int_eq(read(drain, buffer, sizeof(buffer)), 65536);
    close_all(feed, drain, -1);
}
END_TEST

START_TEST(reading_can_be_paused) {
    begin(&plain);
    two_pipes();
    put(feed, "hi");
    ck_assert_int_eq(open_stdio(), 0);
    dw_transport_pause_producing(app.protocol.transport);
    some_turns();
    ck_assert_str_eq(app.log, "made");
    dw_transport_resume_producing(app.protocol.transport);
    some_turns();
    ck_assert_str_eq(app.log, "made data");
    do_lose(&app);
    ck_assert(turn_until(reactor, &app.over, 1));
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

/* ---- Back-pressure ---- */

static void producer_pause(dw_producer *p) {
    (void)p;
    note("pause");
}

static void producer_resume(dw_producer *p) {
    (void)p;
    note("resume");
}

static void producer_stop(dw_producer *p) {
    (void)p;
    note("stop");
}

static const dw_producer_class producer_class = {.name = "producer",
                                                 .pause_producing = producer_pause,
                                                 .resume_producing = producer_resume,
                                                 .stop_producing = producer_stop};

START_TEST(a_slow_reader_of_the_output_pauses_the_producer) {
    static char buffer[1 << 16];
    begin(&aware);
    two_pipes();
    app.producer.cls = &producer_class;
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert_int_eq(dw_transport_register_producer(app.protocol.transport, &app.producer, true),
                     0);
    do_write_much(&app);
    ck_assert_str_eq(app.log, "made pause");
    for (size_t got = 0; got < sizeof(ys);) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(5)), 0);
        ssize_t n = read(drain, buffer, sizeof(buffer));
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    some_turns();
    ck_assert_str_eq(app.log, "made pause resume");
    dw_transport_unregister_producer(app.protocol.transport);
    dw_transport_lose_write_connection(app.protocol.transport);
    some_turns();
    ck_assert_int_eq(dw_transport_register_producer(app.protocol.transport, &app.producer, true),
                     0);
    ck_assert_str_eq(app.log, "made pause resume write-lost stop");
    close(feed);
    ck_assert(turn_until(reactor, &app.over, 1));
    end_pipes();
    close(drain);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("pipes");
    tcase_add_test(tc, a_filter_reads_writes_and_ends_with_its_input);
    tcase_add_test(tc, the_end_of_the_input_drops_what_was_not_written);
    tcase_add_test(tc, an_aware_filter_finishes_after_the_end_of_its_input);
    tcase_add_test(tc, when_both_directions_have_ended_the_connection_has);
    tcase_add_test(tc, the_output_may_end_alone);
    tcase_add_test(tc, losing_the_connection_after_write_lost_ends_it_later);
    tcase_add_test(tc, losing_the_connection_writes_all_and_reads_no_more);
    tcase_add_loop_test(tc, nobody_reads_the_output_any_more, 0, 2);
    tcase_add_loop_test(tc, writing_where_nobody_reads_ends_it_the_same_way, 0, 2);
    tcase_add_test(tc, a_failure_in_a_callback_ends_it);
    tcase_add_test(tc, aborting_drops_what_is_buffered_and_ends_later);
    tcase_add_test(tc, reading_can_be_paused);
    tcase_add_test(tc, a_slow_reader_of_the_output_pauses_the_producer);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("stdio", suite);
}
