/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as a connection, on each poller: what the descriptors may be besides
 * pipes, how they are found afterwards, and what happens to those that are to be closed. The
 * expectations are the manual pages' and drywire/stdio.h's.
 */
#include "stdio_rig.h"

#include <sys/stat.h>
#include <termios.h>

/* ---- Files, sockets, terminals ---- */

static void do_echo_rest(console *c) {
    dw_transport_write(c->protocol.transport, ys, c->received);
    c->received = 0;
}

static int temporary(void) {
    char name[] = "/tmp/drywire-stdio-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(name), 0);
    return fd;
}

/* epoll_ctl(2): EPERM for these. */
START_TEST(files_will_do) {
    struct stat status;
    begin(&aware);
    in = temporary();
    out = temporary();
    ck_assert_int_eq(write(in, ys, 300000), 300000);
    ck_assert_int_eq(lseek(in, 0, SEEK_SET), 0);
    put(out, "before");
    app.on_data = do_echo_rest;
    app.on_read_lost = do_lose;
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data read-lost lost:CONNECTION_DONE");
    ck_assert_int_eq(fstat(out, &status), 0);
    ck_assert_int_eq(status.st_size, 300006); /* behind what was there: one file, one place in it */
    end_pipes();
}
END_TEST

START_TEST(a_paused_file_does_not_keep_the_loop_awake) {
    begin(&plain);
    two_pipes();
    close(in);
    in = temporary();
    put(in, "hi");
    ck_assert_int_eq(lseek(in, 0, SEEK_SET), 0);
    ck_assert_int_eq(open_stdio(), 0);
    dw_transport_pause_producing(app.protocol.transport);
    some_turns();
    dw_time from = dw_reactor_now(reactor);
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(20)), 0);
    ck_assert_int_ge(dw_reactor_now(reactor) - from, DW_MSEC(20));
    dw_transport_resume_producing(app.protocol.transport);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data lost:CONNECTION_DONE");
    end_pipes();
    close_all(feed, drain, -1);
}
END_TEST

/* As a super-server starts a program: one socket is both. */
START_TEST(a_socket_may_be_both) {
    int fds[2];
    begin(&plain);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    in = out = fds[0];
    app.on_data = do_answer;
    ck_assert_int_eq(open_stdio(), 0);
    put(fds[1], "hi");
    some_turns();
    ck_assert(!blocks(in));
    expect_bytes(fds[1], "hello"); /* what it reads is not its own output's business */
    ck_assert_str_eq(app.log, "made data");
    close(fds[1]);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data lost:CONNECTION_DONE");
    dw_reactor_free(reactor);
    ck_assert(blocks(in));
    close(in);
}
END_TEST

/* A terminal is most often one open file with several numbers. */
static int terminal(void) {
    struct termios mode;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    in = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(in, 0);
    ck_assert_int_eq(tcgetattr(in, &mode), 0);
    mode.c_lflag &= ~(tcflag_t)ECHO;
    ck_assert_int_eq(tcsetattr(in, TCSANOW, &mode), 0);
    out = dup(in);
    return master;
}

START_TEST(a_terminal_is_as_it_was_only_when_both_have_ended) {
    begin(&aware);
    int master = terminal();
    app.on_data = do_answer;
    ck_assert_int_eq(open_stdio(), 0);
    put(master, "hi\n");
    some_turns();
    expect_bytes(master, "hello");
    put(master, "\x04"); /* the end of the input, stty(1) "eof" */
    some_turns();
    ck_assert_str_eq(app.log, "made data read-lost");
    ck_assert(!blocks(in) && !blocks(out));
    do_tail_and_lose(&app);
    ck_assert(turn_until(reactor, &app.over, 1));
    expect_bytes(master, "tail");
    end_pipes();
    close(master);
}
END_TEST

/* termios(3p), "Modem Disconnect": reads find the end of the file, writes EIO. */
START_TEST(a_terminal_that_hangs_up_is_lost) {
    begin(&aware);
    int master = terminal();
    ck_assert_int_eq(open_stdio(), 0);
    some_turns();
    close(master);
    some_turns();
    ck_assert_str_eq(app.log, "made read-lost");
    say(&app, "hello?");
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made read-lost lost:CONNECTION_LOST");
    ck_assert_int_eq(app.reason.sys_errno, EIO);
    end_pipes();
}
END_TEST

START_TEST(what_did_not_block_before_does_not_afterwards) {
    begin(&plain);
    two_pipes();
    ck_assert_int_eq(fcntl(in, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(open_stdio(), 0);
    do_lose(&app);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert(!blocks(in) && blocks(out));
    dw_reactor_free(reactor);
    close_all(in, out, feed, drain, -1);
}
END_TEST

/* ---- Closing ---- */

START_TEST(closed_output_is_an_end_to_who_reads_it) {
    char byte;
    begin(&aware);
    two_pipes();
    int before = open_descriptors();
    app.on_made = do_tail_and_lose_write;
    ck_assert_int_eq(open_and_close(), 0);
    some_turns();
    ck_assert_str_eq(app.log, "made write-lost");
    expect_bytes(drain, "tail");
    ck_assert_int_eq(read(drain, &byte, 1), 0);
    ck_assert_int_eq(fcntl(out, F_GETFL), -1);
    ck_assert_int_ge(fcntl(in, F_GETFL), 0);
    do_lose(&app);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_int_eq(open_descriptors(), before - 2);
    dw_reactor_free(reactor);
    close_all(feed, drain, -1);
}
END_TEST

static dev_t device_of(int fd) {
    struct stat status;
    ck_assert_int_eq(fstat(fd, &status), 0);
    return S_ISCHR(status.st_mode) ? status.st_rdev : 0;
}

/* 0 and 1 themselves, by default; put back, so that the test can be run unforked. */
START_TEST(closed_standard_descriptors_are_dev_null) {
    char byte;
    int kept[2] = {dup(0), dup(1)}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    begin(&plain);
    two_pipes();
    ck_assert_int_eq(dup2(in, 0), 0);
    ck_assert_int_eq(dup2(out, 1), 1);
    close_all(in, out, -1);
    int result = dw_reactor_open_stdio(reactor, &app.protocol, &(dw_stdio_options){.close = true});
    say(&app, "x");
    do_lose(&app);
    bool over = turn_until(reactor, &app.over, 1);
    dev_t now[2] = {device_of(0), device_of(1)};
    ck_assert(dup2(kept[0], 0) == 0 && dup2(kept[1], 1) == 1);
    ck_assert_int_eq(result, 0);
    ck_assert(over);
    ck_assert_uint_eq(now[0], device_of(null));
    ck_assert_uint_eq(now[1], device_of(null));
    expect_bytes(drain, "x");
    ck_assert_int_eq(read(drain, &byte, 1), 0);
    dw_reactor_free(reactor);
    close_all(kept[0], kept[1], null, feed, drain, -1);
}
END_TEST

START_TEST(a_socket_that_is_both_is_closed_once) {
    int fds[2];
    begin(&plain);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    in = out = fds[0];
    int before = open_descriptors();
    ck_assert_int_eq(open_and_close(), 0);
    close(fds[1]);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_int_eq(open_descriptors(), before - 2);
    dw_reactor_free(reactor);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("files");
    tcase_add_test(tc, files_will_do);
    tcase_add_test(tc, a_paused_file_does_not_keep_the_loop_awake);
    tcase_add_test(tc, a_socket_may_be_both);
    tcase_add_test(tc, a_terminal_is_as_it_was_only_when_both_have_ended);
    tcase_add_test(tc, a_terminal_that_hangs_up_is_lost);
    tcase_add_test(tc, what_did_not_block_before_does_not_afterwards);
    tcase_add_test(tc, closed_output_is_an_end_to_who_reads_it);
    tcase_add_test(tc, closed_standard_descriptors_are_dev_null);
    tcase_add_test(tc, a_socket_that_is_both_is_closed_once);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("stdio files", suite);
}
