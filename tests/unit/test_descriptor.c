/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the program's own, on each poller: level-triggered whatever the poller is, adding
 * and removing inside callbacks, ends of pipes, files that cannot be waited for. Expectations:
 * poll(2), pipe(7), unix(7), and asyncio's add_reader for what a second add does.
 */
#include "failing_alloc.h"
#include "test_poll_support.h"

#include <drywire/test_transport.h>
#include <fcntl.h>

static dw_reactor *reactor;
static int near, far; /* a pair of connected sockets, both non-blocking */

static void begin(void) {
    int pair[2];
    reactor = new_reactor();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    near = pair[0];
    far = pair[1];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(fcntl(pair[i], F_SETFL, O_NONBLOCK), 0);
    }
}

static void end(void) {
    close(near);
    close(far);
    dw_reactor_free(reactor);
}

static void turn(int times) {
    for (int i = 0; i < times; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
}

static void open_pipe(int fds[2]) {
    ck_assert_int_eq(pipe(fds), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
    }
}

static void count_one(void *user) {
    ++*(int *)user;
}

static int add_reader(int fd, dw_descriptor_fn fn, void *user) {
    return dw_reactor_add_reader(reactor, fd, fn, user);
}

static int add_writer(int fd, dw_descriptor_fn fn, void *user) {
    return dw_reactor_add_writer(reactor, fd, fn, user);
}

/* ---- Levels ---- */

static char bytes[64];
static int byte_count;

/* One byte at a time; the end of the stream, or an error, as a dot, and removed. */
static void read_byte(void *user) {
    int fd = *(int *)user;
    if (read(fd, &bytes[byte_count], 1) != 1) {
        bytes[byte_count] = '.';
        ck_assert(dw_reactor_remove_reader(reactor, fd));
    }
    byte_count++;
}

static void bytes_clear(void) {
    memset(bytes, 0, sizeof(bytes));
    byte_count = 0;
}

/* The kernel has told an edge-triggered poller all there is to tell after the first byte. */
START_TEST(a_reader_that_takes_one_byte_is_called_for_each) {
    begin();
    bytes_clear();
    ck_assert_int_eq(add_reader(near, read_byte, &near), 0);
    peer_write(far, "hello");
    ck_assert(turn_until(reactor, &byte_count, 1));
    for (int i = 1; i <= 4; i++) { /* one call per turn, no wait between them */
        turn(1);
        ck_assert_int_eq(byte_count, 1 + i);
    }
    turn(3);
    ck_assert_str_eq(bytes, "hello");
    close(far);
    ck_assert(turn_until(reactor, &byte_count, 6));
    ck_assert_str_eq(bytes, "hello.");
    turn(3);
    ck_assert_str_eq(bytes, "hello.");
    ck_assert_uint_eq(dw_reactor_watched(reactor), 0);
    far = dup(near);
    end();
}
END_TEST

START_TEST(a_writer_is_called_in_every_turn_while_there_is_room) {
    int called = 0;
    begin();
    ck_assert_int_eq(add_writer(near, count_one, &called), 0);
    turn(5);
    ck_assert_int_eq(called, 5);
    ck_assert(dw_reactor_remove_writer(reactor, near));
    ck_assert(!dw_reactor_remove_writer(reactor, near));
    turn(3);
    ck_assert_int_eq(called, 5);
    end();
}
END_TEST

static void fill(void *user) {
    static const char block[4096];
    while (write(near, block, sizeof(block)) > 0) {
    }
    ++*(int *)user;
}

START_TEST(a_writer_waits_for_room_and_is_called_when_there_is) {
    static char block[65536];
    int called = 0;
    begin();
    ck_assert_int_eq(add_writer(near, fill, &called), 0);
    turn(4);
    ck_assert_int_eq(called, 1);
    while (read(far, block, sizeof(block)) > 0) {
    }
    ck_assert(turn_until(reactor, &called, 2));
    turn(3);
    ck_assert_int_eq(called, 2);
    end();
}
END_TEST

/* ---- Inside callbacks ---- */

static int reads, write_calls;

static void count_write(void *user) {
    (void)user;
    write_calls++;
}

static void add_writer_once(void *user) {
    (void)user;
    if (reads++ == 0) {
        ck_assert_int_eq(add_writer(near, count_write, NULL), 0);
    }
}

/* The other direction, which is ready too, has its first turn with the next wait. */
START_TEST(a_direction_added_inside_a_callback_is_called_from_the_next_turn_on) {
    begin();
    reads = write_calls = 0;
    ck_assert_int_eq(add_reader(near, add_writer_once, NULL), 0);
    peer_write(far, "x");
    ck_assert(turn_until(reactor, &reads, 1));
    ck_assert_int_eq(write_calls, 0);
    turn(1);
    ck_assert_int_eq(write_calls, 1);
    ck_assert_int_eq(reads, 2);
    end();
}
END_TEST

static void remove_both(void *user) {
    (void)user;
    reads++;
    ck_assert(dw_reactor_remove_writer(reactor, near));
    ck_assert(dw_reactor_remove_reader(reactor, near));
}

START_TEST(a_reader_that_removes_both_directions_is_the_last_call) {
    begin();
    reads = write_calls = 0;
    peer_write(far, "x");
    ck_assert_int_eq(add_reader(near, remove_both, NULL), 0);
    ck_assert_int_eq(add_writer(near, count_write, NULL), 0);
    ck_assert(turn_until(reactor, &reads, 1));
    turn(3);
    ck_assert_int_eq(reads, 1);
    ck_assert_int_eq(write_calls, 0);
    end();
}
END_TEST

static void remove_the_other(void *user) {
    int *own = user;
    reads++;
    ck_assert(dw_reactor_remove_reader(reactor, own == &near ? far : near));
}

/* Both are ready in the same turn; whoever comes first keeps the other from coming. */
START_TEST(one_removed_by_another_in_the_same_turn_is_not_called) {
    begin();
    reads = 0;
    peer_write(far, "x");
    peer_write(near, "x");
    ck_assert_int_eq(add_reader(near, remove_the_other, &near), 0);
    ck_assert_int_eq(add_reader(far, remove_the_other, &far), 0);
    turn(1);
    ck_assert_int_eq(reads, 1);
    ck_assert_uint_eq(dw_reactor_watched(reactor), 1);
    end();
}
END_TEST

static int pipe_ends[2];

/* The same number is another file when this returns. */
static void reopen(void *user) {
    (void)user;
    reads++;
    ck_assert(dw_reactor_remove_reader(reactor, near));
    ck_assert_int_eq(dup2(pipe_ends[0], near), near);
    ck_assert_int_eq(add_reader(near, read_byte, &near), 0);
}

START_TEST(a_number_that_becomes_another_file_inside_a_callback_is_watched_anew) {
    begin();
    bytes_clear();
    reads = 0;
    open_pipe(pipe_ends);
    ck_assert_int_eq(add_reader(near, reopen, NULL), 0);
    peer_write(far, "x");
    ck_assert(turn_until(reactor, &reads, 1));
    turn(3);
    ck_assert_int_eq(byte_count, 0);
    ck_assert_int_eq(write(pipe_ends[1], "ab", 2), 2);
    ck_assert(turn_until(reactor, &byte_count, 2));
    ck_assert_str_eq(bytes, "ab");
    ck_assert_int_eq(reads, 1);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    end();
}
END_TEST

static void remove_all(void *user) {
    (void)user;
    reads++;
    ck_assert_uint_eq(dw_reactor_remove_all(reactor), 3);
}

START_TEST(remove_all_inside_a_callback_leaves_nothing) {
    begin();
    reads = 0;
    peer_write(far, "x");
    peer_write(near, "x");
    ck_assert_int_eq(add_reader(near, remove_all, NULL), 0);
    ck_assert_int_eq(add_reader(far, remove_all, NULL), 0);
    ck_assert_int_eq(add_writer(near, remove_all, NULL), 0);
    ck_assert_uint_eq(dw_reactor_watched(reactor), 3);
    turn(4);
    ck_assert_int_eq(reads, 1);
    ck_assert_uint_eq(dw_reactor_watched(reactor), 0);
    ck_assert_uint_eq(dw_reactor_remove_all(reactor), 0);
    end();
}
END_TEST

START_TEST(a_second_reader_takes_the_first_ones_place) {
    int first = 0, second = 0;
    begin();
    peer_write(far, "x");
    ck_assert_int_eq(add_reader(near, count_one, &first), 0);
    ck_assert_int_eq(add_reader(near, count_one, &second), 0);
    ck_assert_uint_eq(dw_reactor_watched(reactor), 1);
    ck_assert(turn_until(reactor, &second, 1));
    ck_assert_int_eq(first, 0);
    ck_assert(dw_reactor_remove_reader(reactor, near));
    end();
}
END_TEST

/* ---- Ends ---- */

START_TEST(a_hang_up_is_told_to_the_writer_too) {
    int called = 0;
    begin();
    fill(&called);
    called = 0;
    ck_assert_int_eq(add_writer(near, count_one, &called), 0);
    turn(2);
    ck_assert_int_eq(called, 0);
    close(far);
    ck_assert(turn_until(reactor, &called, 1));
    ck_assert_int_eq(send(near, "x", 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    far = dup(near);
    end();
}
END_TEST

START_TEST(what_is_no_descriptor_is_refused) {
    int called = 0;
    begin();
    int closed = dup(near);
    close(closed);
    ck_assert_int_eq(add_reader(closed, count_one, &called), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(add_writer(-1, count_one, &called), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(add_reader(near, NULL, &called), DW_INVALID_ARGUMENT);
    ck_assert(!dw_reactor_remove_reader(reactor, closed));
    ck_assert(!dw_reactor_remove_reader(reactor, -1));
    ck_assert(!dw_reactor_remove_writer(reactor, INT32_MAX));
    ck_assert_uint_eq(dw_reactor_watched(reactor), 0);
    end();
}
END_TEST

/* Removed too late, and the number is another file already: the next add starts anew. */
START_TEST(one_closed_before_it_was_removed_does_no_harm_once_it_is) {
    int called = 0;
    begin();
    int fd = dup(near);
    ck_assert_int_eq(add_reader(fd, count_one, &called), 0);
    close(fd);
    turn(2);
    ck_assert(dw_reactor_remove_reader(reactor, fd));
    called = byte_count = 0;
    open_pipe(pipe_ends);
    ck_assert_int_eq(pipe_ends[0], fd);
    ck_assert_int_eq(add_reader(fd, read_byte, &fd), 0);
    ck_assert_int_eq(write(pipe_ends[1], "a", 1), 1);
    ck_assert(turn_until(reactor, &byte_count, 1));
    ck_assert_int_eq(called, 0);
    ck_assert(dw_reactor_remove_reader(reactor, fd));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    end();
}
END_TEST

/* "Regular files shall always poll TRUE for reading and writing" (poll(3p)). */
START_TEST(a_regular_file_is_ready_in_every_turn) {
    char path[] = "drywire-descriptor-XXXXXX";
    begin();
    bytes_clear();
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(write(file, "abc", 3), 3);
    ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
    ck_assert_int_eq(add_reader(file, read_byte, &file), 0);
    write_calls = 0;
    ck_assert_int_eq(add_writer(file, count_write, NULL), 0);
    ck_assert(turn_until(reactor, &byte_count, 4));
    ck_assert_str_eq(bytes, "abc.");
    ck_assert_int_ge(write_calls, 3);
    ck_assert(dw_reactor_remove_writer(reactor, file));
    int before = write_calls;
    turn(3);
    ck_assert_int_eq(write_calls, before);
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 0);
    close(file);
    end();
}
END_TEST

/* A device without a poll of its own: epoll refuses it (epoll_ctl(2), EPERM), poll calls it ready.
 */
START_TEST(a_device_that_cannot_be_waited_for_is_ready_in_every_turn) {
    begin();
    bytes_clear();
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(zero, 0);
    ck_assert_int_eq(add_reader(zero, read_byte, &zero), 0);
    ck_assert(turn_until(reactor, &byte_count, 7));
    ck_assert(dw_reactor_remove_reader(reactor, zero));
    turn(3);
    ck_assert_int_eq(byte_count, 7);
    close(zero);
    end();
}
END_TEST

START_TEST(freeing_the_reactor_leaves_the_programs_descriptors_open) {
    int called = 0, before = open_descriptors();
    begin();
    ck_assert_int_eq(add_reader(near, count_one, &called), 0);
    ck_assert_int_eq(add_writer(far, count_one, &called), 0);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before + 2);
    peer_write(far, "still here");
    ck_assert_int_eq(read(near, bytes, sizeof(bytes)), 10);
    close(near);
    close(far);
}
END_TEST

static void stop_it(void *user) {
    ++*(int *)user;
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
}

START_TEST(what_is_watched_stays_so_over_a_stop) {
    int called = 0;
    begin();
    peer_write(far, "x");
    ck_assert_int_eq(add_reader(near, stop_it, &called), 0);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(called, 1);
    ck_assert_uint_eq(dw_reactor_watched(reactor), 1);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(called, 2);
    end();
}
END_TEST

/* ---- Failures ---- */

/* Far descriptors, so that every table has to grow; each allocation fails once. */
START_TEST(without_memory_nothing_is_watched_and_nothing_lost) {
    int called = 0, result = DW_NO_MEMORY;
    blocks_out = 0;
    for (int n = 0; result != 0; n++) {
        int fds[2];
        ck_assert_int_lt(n, 20);
        open_pipe(fds);
        int fd = fcntl(fds[0], F_DUPFD, 900);
        ck_assert_int_ge(fd, 900);
        allocations_left = INT32_MAX;
        reactor = dw_live_reactor_on(poller, &(dw_poll_options){.allocator = &failing},
                                     &dw_syscalls_libc);
        ck_assert_ptr_nonnull(reactor);
        allocations_left = n;
        result = add_reader(fd, count_one, &called);
        ck_assert(result == 0 || result == DW_NO_MEMORY);
        ck_assert(n > 0 || result == DW_NO_MEMORY);
        ck_assert_uint_eq(dw_reactor_watched(reactor), result == 0);
        allocations_left = INT32_MAX;
        ck_assert_int_eq(add_reader(fd, count_one, &called), 0);
        ck_assert_int_eq(write(fds[1], "x", 1), 1);
        called = 0;
        ck_assert(turn_until(reactor, &called, 1));
        dw_reactor_free(reactor);
        ck_assert_int_eq(blocks_out, 0);
        close(fds[0]);
        close(fds[1]);
        close(fd);
    }
}
END_TEST

START_TEST(the_dry_wire_has_no_descriptors) {
    int called = 0;
    dw_test_transport *test = dw_test_transport_new();
    ck_assert_ptr_nonnull(test);
    dw_reactor *dry = dw_test_transport_reactor(test);
    ck_assert_int_eq(dw_reactor_add_reader(dry, 0, count_one, &called), DW_UNSUPPORTED);
    ck_assert(!dw_reactor_remove_reader(dry, 0));
    ck_assert_int_eq(dw_reactor_descriptor(dry), DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_start(dry), DW_ALREADY_RUNNING);
    ck_assert_int_eq(dw_reactor_crash(dry), DW_UNSUPPORTED);
    dw_test_transport_free(test);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *levels = tcase_create("levels");
    tcase_add_test(levels, a_reader_that_takes_one_byte_is_called_for_each);
    tcase_add_test(levels, a_writer_is_called_in_every_turn_while_there_is_room);
    tcase_add_test(levels, a_writer_waits_for_room_and_is_called_when_there_is);
    suite_add_tcase(suite, levels);
    TCase *inside = tcase_create("inside callbacks");
    tcase_add_test(inside, a_direction_added_inside_a_callback_is_called_from_the_next_turn_on);
    tcase_add_test(inside, a_reader_that_removes_both_directions_is_the_last_call);
    tcase_add_test(inside, one_removed_by_another_in_the_same_turn_is_not_called);
    tcase_add_test(inside, a_number_that_becomes_another_file_inside_a_callback_is_watched_anew);
    tcase_add_test(inside, remove_all_inside_a_callback_leaves_nothing);
    tcase_add_test(inside, a_second_reader_takes_the_first_ones_place);
    suite_add_tcase(suite, inside);
    TCase *ends = tcase_create("ends");
    tcase_add_test(ends, a_hang_up_is_told_to_the_writer_too);
    tcase_add_test(ends, what_is_no_descriptor_is_refused);
    tcase_add_test(ends, one_closed_before_it_was_removed_does_no_harm_once_it_is);
    tcase_add_test(ends, a_regular_file_is_ready_in_every_turn);
    tcase_add_test(ends, a_device_that_cannot_be_waited_for_is_ready_in_every_turn);
    tcase_add_test(ends, freeing_the_reactor_leaves_the_programs_descriptors_open);
    tcase_add_test(ends, what_is_watched_stays_so_over_a_stop);
    suite_add_tcase(suite, ends);
    TCase *failures = tcase_create("failures");
    tcase_add_test(failures, without_memory_nothing_is_watched_and_nothing_lost);
    tcase_add_test(failures, the_dry_wire_has_no_descriptors);
    suite_add_tcase(suite, failures);
    return suite;
}

int main(void) {
    return run_on_each_poller("descriptors", suite);
}
