/* SPDX-License-Identifier: MIT */
/*
 * The ring itself: a kernel that refuses it, questions and answers that do not fit into it, buffers
 * that run out, system calls per message, threads. Expectations: io_uring_setup(2),
 * io_uring_register(2), and what real.h says.
 */
#include "test_uring_support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- Refusal ---- */

static void expect_refusal(int expected) {
    int before = open_descriptors();
    errno = 0;
    ck_assert_ptr_null(new_hooked());
    ck_assert_int_eq(errno, expected);
    ck_assert_int_eq(open_descriptors(), before);
}

START_TEST(a_ring_that_cannot_be_made_is_told_by_errno) {
    static const int errors[][2] = {
        {-EPERM, EPERM}, {-ENOSYS, ENOSYS}, {-EINVAL, ENOSYS}, {-ENOMEM, ENOMEM}};
    setup_error = errors[_i][0];
    expect_refusal(errors[_i][1]);
    setup_error = 0;
    register_error = errors[_i][0];
    expect_refusal(errors[_i][1]);
}
END_TEST

START_TEST(without_memory_for_the_buffers_there_is_no_reactor) {
    maps_left = _i;
    expect_refusal(ENOMEM);
}
END_TEST

/* The kernel answers EPERM to io_uring_setup from now on (seccomp(2)). */
static void forbid_io_uring(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(77); /* a kernel without seccomp */
    }
}

/* In a process of its own, for the filter stays. Its standard error goes to `to`. */
static void refused_process(int to) {
    dup2(to, 2);
    forbid_io_uring();
    dw_reactor *uring = dw_uring_reactor_new(NULL);
    if (uring != NULL || errno != EPERM) {
        _exit(1);
    }
    dw_reactor *other = dw_live_reactor_new("uring", NULL);
    if (other == NULL || strcmp(dw_live_reactor_poller(other), "epoll") != 0) {
        _exit(2);
    }
    dw_reactor_free(other);
    _exit(0);
}

START_TEST(where_the_kernel_refuses_the_default_serves_and_a_line_says_so) {
    int ends[2], status;
    char line[256] = "";
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        refused_process(ends[1]);
    }
    close(ends[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) != 77) {
        ck_assert_int_eq(WEXITSTATUS(status), 0);
        ck_assert_int_gt(read(ends[0], line, sizeof(line) - 1), 0);
        ck_assert_ptr_nonnull(strstr(line, "io_uring"));
        ck_assert_ptr_nonnull(strstr(line, strerror(EPERM)));
        ck_assert_ptr_nonnull(strstr(line, "epoll"));
    }
    close(ends[0]);
}
END_TEST

START_TEST(a_wait_that_fails_ends_run_with_its_errno) {
    dw_reactor *reactor = new_hooked();
    wait_error = -ENOMEM;
    ck_assert_int_eq(dw_reactor_run(reactor), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENOMEM);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Many at once ---- */

static void turn_until_received(struct many *many, int i, size_t bytes) {
    for (int turn = 0; turn < 1000 && many->all[i].received < bytes; turn++) {
        ck_assert_int_eq(dw_reactor_iterate(many->reactor, DW_MSEC(10)), 0);
    }
    ck_assert_uint_eq(many->all[i].received, bytes);
}

/* Each peer says `text` and gets it back. */
static void echo_once(struct many *many, const char *text) {
    for (int i = 0; i < many->count; i++) {
        many->all[i].echo = true;
        many->all[i].received = 0;
        peer_write(many->peers[i], text);
    }
    for (int i = 0; i < many->count; i++) {
        peer_settle(many->peers[i]); /* acknowledgements are delayed, all at a time */
    }
    for (int i = 0; i < many->count; i++) {
        turn_until_received(many, i, strlen(text));
    }
    for (int i = 0; i < many->count; i++) {
        peer_expect(many->peers[i], text);
    }
}

/* poll(2) would need a recv and a send for each. The kernel does some twenty at least before it
 * returns (IO_LOCAL_TW_DEFAULT_MAX), and what iterate's callbacks wrote takes a call of its own. */
START_TEST(fifty_echoes_take_a_few_system_calls) {
    struct many many;
    many_open(&many, new_hooked(), 50);
    echo_once(&many, "warm");
    enters = 0;
    echo_once(&many, "again");
    ck_assert_int_le(enters, 2 * 50 / 20 + 1);
    many_close(&many);
}
END_TEST

START_TEST(more_questions_than_the_ring_has_room_for_are_all_answered) {
    struct many many;
    many_open(&many, new_hooked(), 2 * DW_URING_SQ_ENTRIES + 44);
    echo_once(&many, "one");
    echo_once(&many, "two");
    many_close(&many);
}
END_TEST

/* Two questions and four answers fit; the rest has to be fetched from the kernel. */
START_TEST(a_tiny_ring_only_costs_more_system_calls) {
    struct many many;
    sq_most = 2;
    cq_most = 4;
    many_open(&many, new_hooked(), 60);
    echo_once(&many, "one");
    echo_once(&many, "two");
    for (int i = 0; i < many.count; i++) {
        close(many.peers[i]);
        many.peers[i] = -1;
    }
    for (int i = 0; i < many.count; i++) {
        ck_assert(turn_until(many.reactor, &many.all[i].lost, 1));
        ck_assert_int_eq(many.all[i].reason, DW_CONNECTION_DONE);
    }
    many_close(&many);
}
END_TEST

/* ---- Buffers ---- */

static void pause_it(struct probe *probe) {
    dw_transport_pause_producing(probe->base.transport);
}

/* Leaves only the buffers that the kernel has. */
static void take_all_buffers(dw_reactor *reactor) {
    while (dw_uring_pool_take((struct dw_uring *)reactor) != DW_URING_NO_BUFFER) {
    }
}

/* One and a half buffers each; more of them than there are buffers at first. */
enum { HOARDERS = DW_URING_BUFFERS_FIRST + 6, HOARD = 3 * DW_RECV_MAX / 2 };

/* The first HOARDERS are sent a hoard, and pause when they get the first part of it. */
static void fill_hoarders(struct many *many) {
    static char bytes[HOARD];
    for (int i = 0; i < HOARDERS; i++) {
        many->all[i].on_data = pause_it;
        ck_assert_int_eq(send(many->peers[i], bytes, HOARD, MSG_NOSIGNAL), HOARD);
    }
    for (int i = 0; i < HOARDERS; i++) {
        peer_settle(many->peers[i]); /* acknowledgements are delayed, all at a time */
    }
}

/* Those who paused sit on all buffers; the others are served without. */
START_TEST(who_holds_all_buffers_does_not_stop_the_others) {
    struct many many;
    many_open(&many, new_reactor(), HOARDERS + 1);
    take_all_buffers(many.reactor);
    fill_hoarders(&many);
    turns(many.reactor, 10);
    many.all[HOARDERS].echo = true;
    for (size_t round = 1; round <= 30; round++) {
        peer_write(many.peers[HOARDERS], "hello");
        turn_until_received(&many, HOARDERS, round * 5);
        peer_expect(many.peers[HOARDERS], "hello");
    }
    for (int i = 0; i < HOARDERS; i++) {
        ck_assert_int_eq(many.all[i].received_calls, 1);
        many.all[i].on_data = NULL;
        dw_transport_resume_producing(many.all[i].base.transport);
    }
    for (int i = 0; i < HOARDERS; i++) {
        turn_until_received(&many, i, HOARD);
    }
    many_close(&many);
}
END_TEST

/* Each peer has said `text`, and nobody has read it nor is about to: when they listen again, all of
 * it will be received in one turn. The kernel answers some twenty cancels before it returns. */
static void say_to_the_deaf(struct many *many, const char *text) {
    for (int i = 0; i < many->count; i++) {
        many->all[i].received = 0;
        dw_transport_pause_producing(many->all[i].base.transport);
    }
    turns(many->reactor, many->count / 10);
    for (int i = 0; i < many->count; i++) {
        peer_write(many->peers[i], text);
    }
    for (int i = 0; i < many->count; i++) {
        peer_settle(many->peers[i]);
    }
}

static void listen_again(struct many *many) {
    for (int i = 0; i < many->count; i++) {
        dw_transport_resume_producing(many->all[i].base.transport);
    }
}

static int count_received(const struct many *many, size_t len) {
    int count = 0;
    for (int i = 0; i < many->count; i++) {
        count += many->all[i].received == len;
    }
    return count;
}

enum { NEEDY = 2 * DW_URING_BUFFERS_FIRST };

START_TEST(there_are_as_many_buffers_as_were_needed_at_once) {
    struct many many;
    many_open(&many, new_reactor(), NEEDY);
    struct dw_uring *self = (struct dw_uring *)many.reactor;
    ck_assert_uint_eq(self->pool.provided, DW_URING_BUFFERS_FIRST);
    for (int round = 0; round < 3; round++) {
        say_to_the_deaf(&many, "hello");
        listen_again(&many);
        turns(many.reactor, 3);
        ck_assert_int_eq(count_received(&many, 5), NEEDY);
        ck_assert_uint_eq(self->pool.provided, NEEDY);
    }
    many_close(&many);
}
END_TEST

enum { CROWD = 5 * DW_URING_BUFFERS_FIRST };

/* Who asks again for a buffer that is not there asks in vain, with all the others, while those who
 * come meanwhile get the few that there are: a soak of ten thousand connections let some of them
 * wait for ten seconds. So they are read without one, at once, all of them. */
START_TEST(who_finds_no_buffer_does_not_wait_for_one) {
    struct many many;
    many_open(&many, new_reactor(), CROWD);
    take_all_buffers(many.reactor);
    say_to_the_deaf(&many, "hello");
    listen_again(&many);
    turns(many.reactor, 2);
    ck_assert_int_eq(count_received(&many, 5), CROWD);
    many_close(&many);
}
END_TEST

START_TEST(a_close_gives_back_what_nobody_has_read) {
    struct many many;
    struct dw_uring *self;
    many_open(&many, new_reactor(), 2 * HOARDERS);
    self = (struct dw_uring *)many.reactor;
    fill_hoarders(&many);
    for (int i = 0; i < HOARDERS; i++) {
        turn_until_received(&many, i, DW_RECV_MAX);
    }
    uint32_t provided = self->pool.provided;
    for (int i = 0; i < HOARDERS; i++) {
        dw_transport_abort_connection(many.all[i].base.transport);
    }
    turns(many.reactor, 3);
    for (int i = 0; i < HOARDERS; i++) {
        ck_assert_int_eq(many.all[i].lost, 1);
    }
    struct many others = many; /* as many as there are buffers, or fewer: none is without one */
    others.all += HOARDERS;
    others.peers += HOARDERS;
    others.count = HOARDERS;
    for (int round = 0; round < 2; round++) {
        say_to_the_deaf(&others, "hello");
        listen_again(&others);
        turns(many.reactor, 3);
        ck_assert_int_eq(count_received(&others, 5), HOARDERS);
    }
    ck_assert_uint_ge(provided, HOARDERS);
    ck_assert_uint_eq(self->pool.provided, provided);
    many_close(&many);
}
END_TEST

/* It costs nothing but time to be wrong here, so this looks inside: a large piece is read by the
 * connection's own system call from then on, into memory that is warm, until it has long been
 * small ones again. */
START_TEST(a_flood_begins_with_a_large_piece_and_ends_with_small_ones) {
    static char bytes[DW_URING_FLOOD_LEAST];
    struct many many;
    many_open(&many, new_reactor(), 1);
    const struct dw_uring_fd *fd = only_stream(many.reactor);
    peer_write(many.peers[0], "x");
    turn_until_received(&many, 0, 1);
    ck_assert((fd->flags & DW_URING_FLOOD) == 0);
    ck_assert_int_eq(send(many.peers[0], bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
    peer_settle(many.peers[0]);
    turn_until_received(&many, 0, 1 + sizeof(bytes));
    for (size_t i = 1; i <= DW_URING_TRICKLE; i++) {
        ck_assert((fd->flags & DW_URING_FLOOD) != 0);
        peer_write(many.peers[0], "x");
        turn_until_received(&many, 0, 1 + sizeof(bytes) + i);
    }
    ck_assert((fd->flags & DW_URING_FLOOD) == 0);
    turns(many.reactor, 3);
    ck_assert(fd->read.state == DW_URING_ARMED && fd->read.receives);
    many_close(&many);
}
END_TEST

enum { FANS = 40 };

static struct many fan;

/* Each of the connections gets a buffer of its own. */
static void expect_buffers_apart(void) {
    char text[8];
    for (int i = 0; i < FANS; i++) {
        fan.all[i].echo = true;
        fan.all[i].received = 0;
        snprintf(text, sizeof(text), "%03d", i);
        peer_write(fan.peers[i], text);
        peer_settle(fan.peers[i]);
    }
    for (int i = 0; i < FANS; i++) {
        turn_until_received(&fan, i, 3);
    }
    for (int i = 0; i < FANS; i++) {
        snprintf(text, sizeof(text), "%03d", i);
        peer_expect(fan.peers[i], text);
    }
}

static void tell_all(struct probe *probe) {
    (void)probe;
    for (int i = 0; i < FANS; i++) {
        dw_transport_write(fan.all[i].base.transport, "!", 1);
    }
}

/* The first one's bytes are sent from the buffer that its callback has; the ring is so small that
 * this is over before the callback's flush is. Had the buffer been given back twice, two of the
 * connections would get the same one afterwards. */
START_TEST(a_buffer_is_given_back_once) {
    sq_most = 1;
    many_open(&fan, new_hooked(), FANS);
    fan.all[0].on_data = tell_all;
    fan.all[0].echo = true;
    for (int round = 0; round < 64; round++) {
        peer_write(fan.peers[0], "x");
        turn_until_received(&fan, 0, (size_t)round + 1);
        for (int i = 0; i < FANS; i++) {
            turns(fan.reactor, i == 0 ? 2 : 0);
            peer_expect(fan.peers[i], i == 0 ? "x!" : "!");
        }
    }
    fan.all[0].on_data = NULL;
    expect_buffers_apart();
    many_close(&fan);
}
END_TEST

/* Passes on what has just come, below core, which would copy it for the second one. */
static void pass_on_twice(struct probe *probe) {
    struct dw_uring *self = (struct dw_uring *)fan.reactor;
    const struct iovec piece = {(void *)(uintptr_t)self->lent.data, self->lent.len};
    (void)probe;
    for (uint32_t i = 1, told = 0; i < self->fd_count && told < 2; i++) {
        dw_io *io = self->fds[i]->io;
        if (io != NULL && io->kind == DW_IO_STREAM) {
            ck_assert_int_eq(fan.reactor->wire->send(fan.reactor, io, &piece, 1), 1);
            told++;
        }
    }
}

START_TEST(a_buffer_that_two_send_from_is_given_back_once) {
    many_open(&fan, new_reactor(), FANS);
    fan.all[FANS - 1].on_data = pass_on_twice;
    for (int round = 0; round < 64; round++) {
        peer_write(fan.peers[FANS - 1], "!");
        turn_until_received(&fan, FANS - 1, (size_t)round + 1);
        turns(fan.reactor, 2);
        peer_expect(fan.peers[0], "!");
        peer_expect(fan.peers[1], "!");
    }
    fan.all[FANS - 1].on_data = NULL;
    expect_buffers_apart();
    many_close(&fan);
}
END_TEST

/* ---- Threads ---- */

static void stop_it(void *user) {
    ck_assert_int_eq(dw_reactor_stop(user), 0);
}

static void *run_it(void *user) {
    dw_delayed_call stop = {0};
    dw_reactor_call_later(user, &stop, DW_MSEC(5), stop_it, user);
    return (void *)(intptr_t)dw_reactor_run(user);
}

START_TEST(it_is_made_on_one_thread_run_on_another_and_freed_on_the_first) {
    int before = open_descriptors();
    struct many many;
    pthread_t thread;
    void *result;
    many = (struct many){.reactor = new_reactor(), .count = 1};
    many.all = calloc(1, sizeof(*many.all));
    many.peers = calloc(1, sizeof(*many.peers));
    ck_assert(many.all != NULL && many.peers != NULL);
    probes_init(&many.probes, many.all, 1);
    uint16_t port = listen_on(many.reactor, &many.probes, "127.0.0.1", NULL);
    many.peers[0] = peer_connect(port);
    many.all[0].echo = true;
    peer_write(many.peers[0], "hello");
    ck_assert_int_eq(pthread_create(&thread, NULL, run_it, many.reactor), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_int_eq((int)(intptr_t)result, 0);
    peer_expect(many.peers[0], "hello");
    ck_assert_int_eq(dw_reactor_iterate(many.reactor, 0), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(many.reactor), EEXIST);
    many_close(&many);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("uring_ring");
    TCase *refusal = tcase_create("refusal");
    tcase_add_loop_test(refusal, a_ring_that_cannot_be_made_is_told_by_errno, 0, 4);
    tcase_add_loop_test(refusal, without_memory_for_the_buffers_there_is_no_reactor, 0, 2);
    tcase_add_test(refusal, where_the_kernel_refuses_the_default_serves_and_a_line_says_so);
    tcase_add_test(refusal, a_wait_that_fails_ends_run_with_its_errno);
    suite_add_tcase(suite, refusal);
    TCase *many = tcase_create("many");
    tcase_set_timeout(many, 3 * LIMIT_S);
    tcase_add_test(many, fifty_echoes_take_a_few_system_calls);
    tcase_add_test(many, more_questions_than_the_ring_has_room_for_are_all_answered);
    tcase_add_test(many, a_tiny_ring_only_costs_more_system_calls);
    tcase_add_test(many, who_holds_all_buffers_does_not_stop_the_others);
    tcase_add_test(many, there_are_as_many_buffers_as_were_needed_at_once);
    tcase_add_test(many, who_finds_no_buffer_does_not_wait_for_one);
    tcase_add_test(many, a_close_gives_back_what_nobody_has_read);
    tcase_add_test(many, a_flood_begins_with_a_large_piece_and_ends_with_small_ones);
    tcase_add_test(many, a_buffer_is_given_back_once);
    tcase_add_test(many, a_buffer_that_two_send_from_is_given_back_once);
    suite_add_tcase(suite, many);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, it_is_made_on_one_thread_run_on_another_and_freed_on_the_first);
    suite_add_tcase(suite, threads);
    return run_on_uring(suite);
}
