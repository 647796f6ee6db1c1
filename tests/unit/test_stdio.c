/* SPDX-License-Identifier: MIT */
/*
 * Standard input and output as a connection, on each poller: pipes, files, sockets and terminals.
 * What the protocol is told is what Twisted 22.4.0 tells one (stdio.StandardIO, run as the same
 * scripts), but for the three differences that drywire/stdio.h names.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, posix_openpt */
#endif
#include "test_poll_support.h"

#include <drywire/sim.h>

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <termios.h>

typedef struct console console;
typedef void (*reaction)(console *c);

struct console {
    dw_protocol protocol;
    reaction on_made, on_data, on_read_lost, on_write_lost, on_lost;
    char log[200];
    size_t received;
    int over, destroyed, quiet;
    dw_reason reason;
    dw_producer producer;
};

static dw_reactor *reactor;
static console app;
static int in, out;     /* the program's */
static int feed, drain; /* the other ends */

/* ---- The protocol ---- */

static console *console_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, console, protocol);
}

static void note(const char *word) {
    size_t used = strlen(app.log);
    snprintf(app.log + used, sizeof(app.log) - used, "%s%s", used > 0 ? " " : "", word);
}

static void told(const char *word, reaction react) {
    note(word);
    if (react != NULL) {
        react(&app);
    }
}

static void made(dw_protocol *p) {
    told("made", console_of(p)->on_made);
}

static void data(dw_protocol *p, const uint8_t *bytes, size_t len) {
    (void)bytes;
    console *c = console_of(p);
    size_t used = strlen(c->log);
    c->received += len;
    if (used < 4 || strcmp(c->log + used - 4, "data") != 0) {
        note("data");
    }
    if (c->on_data != NULL) {
        c->on_data(c);
    }
}

static void lost(dw_protocol *p, const dw_reason *reason) {
    console *c = console_of(p);
    char word[50];
    snprintf(word, sizeof(word), "lost:%s", dw_error_name((int)reason->kind) + 3);
    c->reason = *reason;
    c->over++;
    told(word, c->on_lost);
}

static void read_lost(dw_protocol *p) {
    told("read-lost", console_of(p)->on_read_lost);
}

static void write_lost(dw_protocol *p) {
    told("write-lost", console_of(p)->on_write_lost);
}

static void destroyed(dw_protocol *p) {
    console_of(p)->destroyed++;
}

static const dw_protocol_class plain = {.name = "console",
                                        .connection_made = made,
                                        .data_received = data,
                                        .connection_lost = lost,
                                        .destroy = destroyed};
static const dw_protocol_class aware = {.name = "aware console",
                                        .connection_made = made,
                                        .data_received = data,
                                        .connection_lost = lost,
                                        .read_connection_lost = read_lost,
                                        .write_connection_lost = write_lost,
                                        .destroy = destroyed};

static void say(console *c, const char *text) {
    dw_transport_write(c->protocol.transport, text, strlen(text));
}

static void do_lose(console *c) {
    dw_transport_lose_connection(c->protocol.transport);
}

static void do_tail_and_lose(console *c) {
    say(c, "tail");
    do_lose(c);
}

static void do_tail_and_lose_write(console *c) {
    say(c, "tail");
    dw_transport_lose_write_connection(c->protocol.transport);
}

static const uint8_t ys[1 << 20];

static void do_write_much(console *c) {
    dw_transport_write(c->protocol.transport, ys, sizeof(ys));
}

/* ---- Descriptors ---- */

static bool blocks(int fd) {
    int flags = fcntl(fd, F_GETFL);
    ck_assert_int_ge(flags, 0);
    return (flags & O_NONBLOCK) == 0;
}

static void begin(const dw_protocol_class *cls) {
    memset(&app, 0, sizeof(app));
    dw_protocol_init(&app.protocol, cls);
    reactor = new_reactor();
}

static void two_pipes(void) {
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    in = fds[0];
    feed = fds[1];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    out = fds[1];
    drain = fds[0];
}

static void close_all(int first, ...) {
    va_list list;
    va_start(list, first);
    for (int fd = first; fd >= 0; fd = va_arg(list, int)) {
        ck_assert_int_eq(close(fd), 0);
    }
    va_end(list);
}

static void end_pipes(void) {
    dw_reactor_free(reactor);
    ck_assert_int_eq(app.destroyed, 1);
    ck_assert(blocks(in) && blocks(out));
    close_all(in, out, -1);
}

static int open_stdio(void) {
    return dw_reactor_open_stdio(reactor, &app.protocol, &(dw_stdio_options){.in = in, .out = out});
}

static void put(int fd, const char *text) {
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads what there is, at once, and compares. */
static void expect_bytes(int fd, const char *expected) {
    char buffer[100] = "";
    ssize_t n = read(fd, buffer, sizeof(buffer) - 1);
    ck_assert_int_eq(n, (ssize_t)strlen(expected));
    ck_assert_str_eq(buffer, expected);
}

static void some_turns(void) {
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(1)), 0);
    }
}

/* ---- Pipes ---- */

static void do_answer(console *c) {
    say(c, "hello");
}

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

/* ('made', 'data', 'read-lost', 'lost ConnectionDone'), and the tail arrives. */
START_TEST(an_aware_filter_finishes_after_the_end_of_its_input) {
    begin(&aware);
    two_pipes();
    app.on_read_lost = do_tail_and_lose;
    put(feed, "hi\n");
    close(feed);
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data read-lost lost:CONNECTION_DONE");
    expect_bytes(drain, "tail");
    end_pipes();
    close(drain);
}
END_TEST

/* Twisted: ('made', 'data', 'read-lost', 'write-lost'), and then nothing for ever. */
START_TEST(when_both_directions_have_ended_the_connection_has) {
    begin(&aware);
    two_pipes();
    app.on_read_lost = do_tail_and_lose_write;
    put(feed, "hi\n");
    close(feed);
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made data read-lost write-lost lost:CONNECTION_DONE");
    expect_bytes(drain, "tail");
    end_pipes();
    close(drain);
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

/* Without a byte being written. Twisted: 'write-lost' for an aware protocol, nothing for others;
 * if it is writing at that moment, 'lost ConnectionLost' for both. */
START_TEST(nobody_reads_the_output_any_more) {
    begin(_i == 0 ? &plain : &aware);
    two_pipes();
    ck_assert_int_eq(open_stdio(), 0);
    some_turns();
    close(drain);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(app.reason.sys_errno, EPIPE);
    end_pipes();
    close(feed);
}
END_TEST

/* No SIGPIPE either, which would end this test. */
START_TEST(writing_where_nobody_reads_ends_it_the_same_way) {
    begin(_i == 0 ? &plain : &aware);
    two_pipes();
    close(drain);
    app.on_made = do_answer;
    ck_assert_int_eq(open_stdio(), 0);
    ck_assert(turn_until(reactor, &app.over, 1));
    ck_assert_str_eq(app.log, "made lost:CONNECTION_LOST");
    ck_assert_int_eq(app.reason.sys_errno, EPIPE);
    end_pipes();
    close(feed);
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

static int open_and_close(void) {
    return dw_reactor_open_stdio(reactor, &app.protocol,
                                 &(dw_stdio_options){.in = in, .out = out, .close = true});
}

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

static int allocations_left, blocks_out;

static void *failing_alloc(void *user, size_t size, const char *where) {
    (void)user, (void)where;
    if (allocations_left-- <= 0) {
        return NULL;
    }
    blocks_out++;
    return malloc(size);
}

static void *failing_resize(void *user, void *block, size_t size, const char *where) {
    (void)user, (void)where;
    if (allocations_left-- <= 0) {
        return NULL;
    }
    blocks_out += block == NULL;
    return realloc(block, size);
}

static void failing_release(void *user, void *block) {
    (void)user;
    blocks_out -= block != NULL;
    free(block);
}

static const dw_allocator failing = {failing_alloc, failing_resize, failing_release, NULL};

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

/* ---- As an endpoint ---- */

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    ck_assert_int_eq(peer->kind, DW_ADDRESS_NONE);
    return factory->num_ports == 0 ? &app.protocol : NULL;
}

static void never(dw_factory *factory) {
    (void)factory;
    ck_abort_msg("the factory was started or stopped");
}

static const dw_factory_class factory_class = {
    .name = "consoles", .build_protocol = build, .start = never, .stop = never};

static dw_server_endpoint *parse(dw_reactor *on, const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_server_endpoint *endpoint = NULL;
    int result = dw_server_endpoint_parse(on, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s", error);
    return endpoint;
}

START_TEST(an_endpoint_is_connected_at_once_and_has_no_port) {
    int kept[2] = {dup(0), dup(1)};
    dw_factory factory;
    dw_port *port = (dw_port *)&app;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    two_pipes();
    ck_assert_int_eq(dup2(in, 0), 0);
    ck_assert_int_eq(dup2(out, 1), 1);
    dw_server_endpoint *endpoint = parse(reactor, _i == 0 ? "stdio:" : "stdio");
    int result = dw_endpoint_listen(endpoint, &factory, &port);
    dw_server_endpoint_free(endpoint);
    say(&app, "hello");
    do_lose(&app);
    bool over = turn_until(reactor, &app.over, 1);
    dw_reactor_free(reactor);
    ck_assert(dup2(kept[0], 0) == 0 && dup2(kept[1], 1) == 1);
    ck_assert_int_eq(result, 0);
    ck_assert(over);
    ck_assert_ptr_null(port);
    ck_assert_ptr_eq(app.protocol.factory, &factory);
    expect_bytes(drain, "hello");
    close_all(in, out, feed, drain, kept[0], kept[1], -1);
}
END_TEST

static dw_wrapping_factory *wrap(dw_reactor *on, dw_factory *wrapped, void *user) {
    dw_wrapping_factory *factory = dw_new(on, dw_wrapping_factory);
    (void)user;
    ck_assert_ptr_nonnull(factory);
    dw_wrapping_factory_init(factory, &dw_wrapping_factory_plain, on, wrapped);
    return factory;
}

/* Its factory is never started, and so never stopped: it goes with the connection. */
START_TEST(a_wrapper_may_be_put_around_it) {
    int kept[2] = {dup(0), dup(1)};
    dw_factory factory;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    two_pipes();
    ck_assert_int_eq(dup2(in, 0), 0);
    ck_assert_int_eq(dup2(out, 1), 1);
    dw_server_endpoint *endpoint =
        dw_wrapping_server_endpoint_new(dw_stdio_endpoint_new(reactor), wrap, NULL);
    int result = dw_endpoint_listen(endpoint, &factory, NULL);
    dw_server_endpoint_free(endpoint);
    say(&app, "hello");
    do_lose(&app);
    bool over = turn_until(reactor, &app.over, 1);
    ck_assert(dup2(kept[0], 0) == 0 && dup2(kept[1], 1) == 1);
    ck_assert_int_eq(result, 0);
    ck_assert(over);
    ck_assert_str_eq(app.log, "made lost:CONNECTION_DONE");
    ck_assert_int_eq(app.destroyed, 1);
    ck_assert_ptr_eq(reactor->owned.next, &reactor->owned);
    expect_bytes(drain, "hello");
    dw_reactor_free(reactor);
    close_all(in, out, feed, drain, kept[0], kept[1], -1);
}
END_TEST

START_TEST(a_factory_that_makes_none_is_told) {
    dw_factory factory;
    begin(&plain);
    dw_factory_init(&factory, &factory_class);
    factory.num_ports = 1;
    dw_server_endpoint *endpoint = dw_stdio_endpoint_new(reactor);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &factory, NULL), DW_NO_PROTOCOL);
    dw_server_endpoint_free(endpoint);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_dry_wire_has_none) {
    dw_test_transport *test = dw_test_transport_new();
    dw_reactor *dry = dw_test_transport_reactor(test);
    dw_factory factory;
    dw_factory_init(&factory, &factory_class);
    memset(&app, 0, sizeof(app));
    dw_protocol_init(&app.protocol, &plain);
    ck_assert_int_eq(dw_reactor_open_stdio(dry, &app.protocol, NULL), DW_UNSUPPORTED);
    dw_server_endpoint *endpoint = parse(dry, "stdio:");
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &factory, NULL), DW_UNSUPPORTED);
    dw_server_endpoint_free(endpoint);
    dw_test_transport_free(test);
}
END_TEST

static void add_pipes(Suite *suite) {
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
}

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    add_pipes(suite);
    TCase *files = tcase_create("files");
    tcase_add_test(files, files_will_do);
    tcase_add_test(files, a_paused_file_does_not_keep_the_loop_awake);
    tcase_add_test(files, a_socket_may_be_both);
    tcase_add_test(files, a_terminal_is_as_it_was_only_when_both_have_ended);
    tcase_add_test(files, a_terminal_that_hangs_up_is_lost);
    tcase_add_test(files, what_did_not_block_before_does_not_afterwards);
    tcase_add_test(files, closed_output_is_an_end_to_who_reads_it);
    tcase_add_test(files, closed_standard_descriptors_are_dev_null);
    tcase_add_test(files, a_socket_that_is_both_is_closed_once);
    suite_add_tcase(suite, files);
    TCase *ends = tcase_create("ends and failures");
    tcase_add_test(ends, stopping_the_reactor_loses_it);
    tcase_add_test(ends, a_reactor_that_is_freed_tells_nobody_and_gives_all_back);
    tcase_add_test(ends, descriptors_that_will_not_do_are_refused);
    tcase_add_test(ends, without_descriptors_all_is_as_it_was);
    tcase_add_test(ends, each_allocation_may_fail);
    tcase_add_test(ends, a_write_without_memory_ends_it);
    suite_add_tcase(suite, ends);
    TCase *endpoints = tcase_create("endpoints");
    tcase_add_loop_test(endpoints, an_endpoint_is_connected_at_once_and_has_no_port, 0, 2);
    tcase_add_test(endpoints, a_wrapper_may_be_put_around_it);
    tcase_add_test(endpoints, a_factory_that_makes_none_is_told);
    tcase_add_test(endpoints, the_dry_wire_has_none);
    suite_add_tcase(suite, endpoints);
    return suite;
}

int main(void) {
    return run_on_each_poller("stdio", suite);
}
