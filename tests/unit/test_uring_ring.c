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

enum { HOARDERS = 30, HOARD = 12 * 8192 };

static void fill_peer(int fd) {
    static char bytes[HOARD];
    ck_assert_int_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
    peer_settle(fd);
}

/* Those who paused sit on all buffers; the others are served without. */
START_TEST(who_holds_all_buffers_does_not_stop_the_others) {
    struct many many;
    many_open(&many, new_reactor(), HOARDERS + 1);
    take_all_buffers(many.reactor);
    for (int i = 0; i < HOARDERS; i++) {
        many.all[i].on_data = pause_it;
        fill_peer(many.peers[i]);
    }
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

enum { BURSTS = 10, BURST = 12 * 8192 };

/* Ten bursts of twelve buffers do not fit into the first 64. */
START_TEST(there_are_as_many_buffers_as_were_needed_at_once) {
    static char bytes[BURST];
    struct many many;
    many_open(&many, new_reactor(), BURSTS);
    struct dw_uring *self = (struct dw_uring *)many.reactor;
    ck_assert_uint_eq(self->pool.provided, DW_URING_BUFFERS_FIRST);
    for (int i = 0; i < BURSTS; i++) {
        ck_assert_int_eq(send(many.peers[i], bytes, BURST, MSG_NOSIGNAL), BURST);
    }
    for (int i = 0; i < BURSTS; i++) {
        turn_until_received(&many, i, BURST);
    }
    ck_assert_uint_eq(self->pool.provided, 2 * DW_URING_BUFFERS_FIRST);
    many_close(&many);
}
END_TEST

enum { FANS = 40 };

static struct many fan;

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
    char text[8];
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
    tcase_add_test(many, a_buffer_is_given_back_once);
    suite_add_tcase(suite, many);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, it_is_made_on_one_thread_run_on_another_and_freed_on_the_first);
    suite_add_tcase(suite, threads);
    return run_on_uring(suite);
}
