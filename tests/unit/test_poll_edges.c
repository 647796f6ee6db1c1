/* SPDX-License-Identifier: MIT */
/*
 * What a poller that is told of changes only could get wrong, on each poller: readiness that was
 * seen and not used up, more of it than any list has room for, and descriptors that are closed here
 * and live on elsewhere.
 */
#include "test_poll_support.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* More than epoll.c has room for in its queue, and takes in one wait. */
#define CROWD 1100

static struct probe all[CROWD];
static int peers[CROWD];

static dw_reactor *crowd_reactor(struct probes *probes, uint16_t *port) {
    struct rlimit limit;
    dw_port *listener;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_gt(limit.rlim_cur, 2 * CROWD + 50);
    dw_reactor *reactor = new_reactor();
    memset(all, 0, sizeof(all));
    probes_init(probes, all, CROWD);
    ck_assert_int_eq(
        dw_reactor_listen_tcp(reactor, 0, &probes->base.base, CROWD, "127.0.0.1", &listener), 0);
    *port = dw_port_host(listener).port;
    return reactor;
}

static int sum_of(size_t member, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) {
        sum += *(int *)(void *)((char *)&all[i] + member);
    }
    return sum;
}

#define SUM_OF(member, count) sum_of(offsetof(struct probe, member), count)

/* Turns the loop until all of them together have that many. */
#define TURN_UNTIL(reactor, member, count, value)                                     \
    do {                                                                              \
        dw_time limit_ = dw_reactor_now(reactor) + DW_SEC(LIMIT_S);                   \
        while (SUM_OF(member, count) < (value) && dw_reactor_now(reactor) < limit_) { \
            ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);            \
        }                                                                             \
        ck_assert_int_eq(SUM_OF(member, count), value);                               \
    } while (0)

static void crowd_close(dw_reactor *reactor, int count) {
    for (int i = 0; i < count; i++) {
        close(peers[i]);
    }
    dw_reactor_free(reactor);
}

/* Core accepts a hundred in a turn; nobody tells of the rest again. */
START_TEST(a_queue_of_connections_is_accepted_in_several_turns) {
    enum { MANY = 250 };
    struct probes probes;
    uint16_t port;
    dw_reactor *reactor = crowd_reactor(&probes, &port);
    for (int i = 0; i < MANY; i++) {
        peers[i] = peer_connect(port);
    }
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
    ck_assert_int_ge(SUM_OF(made, MANY), 1);
    ck_assert_int_lt(SUM_OF(made, MANY), MANY);
    TURN_UNTIL(reactor, made, MANY, MANY);
    crowd_close(reactor, MANY);
}
END_TEST

/* Data and the end of the stream are both there: data in one turn, the end in a later one
 * (vectors/README.md, "Turns of the loop"), for more connections than the queue has places. */
START_TEST(data_and_end_come_in_two_turns_however_many_have_both) {
    struct probes probes;
    uint16_t port;
    dw_reactor *reactor = crowd_reactor(&probes, &port);
    for (int i = 0; i < CROWD; i++) {
        peers[i] = peer_connect(port);
        if (i % 100 == 99) {
            TURN_UNTIL(reactor, made, i + 1, i + 1);
        }
    }
    TURN_UNTIL(reactor, made, CROWD, CROWD);
    for (int i = 0; i < CROWD; i++) {
        peer_write(peers[i], "x");
        ck_assert_int_eq(shutdown(peers[i], SHUT_WR), 0);
    }
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
    ck_assert_int_ge(SUM_OF(received_calls, CROWD), 1);
    ck_assert_int_eq(SUM_OF(lost, CROWD), 0);
    TURN_UNTIL(reactor, lost, CROWD, CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(all[i].received_calls, 1);
        ck_assert_int_eq(all[i].lost, 1);
        ck_assert_int_eq(all[i].reason, DW_CONNECTION_DONE);
    }
    crowd_close(reactor, CROWD);
}
END_TEST

/* A flood is read piece by piece, a piece a turn, and nothing is forgotten when it stops. */
START_TEST(what_one_reception_leaves_is_received_without_new_data) {
    static char flood[5 * DW_RECV_MAX + 1];
    struct probes probes;
    uint16_t port;
    dw_reactor *reactor = crowd_reactor(&probes, &port);
    peers[0] = peer_connect(port);
    TURN_UNTIL(reactor, made, 1, 1);
    size_t sent = 0;
    while (sent < sizeof(flood)) {
        ssize_t n = send(peers[0], flood + sent, sizeof(flood) - sent, MSG_DONTWAIT);
        int before = all[0].received_calls;
        ck_assert(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
        ck_assert_int_le(all[0].received_calls, before + 1);
    }
    dw_time limit = dw_reactor_now(reactor) + DW_SEC(LIMIT_S);
    while (all[0].received < sizeof(flood) && dw_reactor_now(reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);
    }
    ck_assert_uint_eq(all[0].received, sizeof(flood));
    crowd_close(reactor, 1);
}
END_TEST

/* ---- Descriptors that a child has too ---- */

/* A process with copies of all our descriptors that keeps them until the pipe is closed. */
static pid_t keeper(int *hold) {
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char byte;
        close(pipe_fds[1]);
        (void)!read(pipe_fds[0], &byte, 1);
        _exit(0);
    }
    close(pipe_fds[0]);
    *hold = pipe_fds[1];
    return pid;
}

/* The kernel reports for as long as anyone has the socket, and says the number that it had here
 * (epoll(7), "Questions and answers", 6), which may be somebody else's by now. */
START_TEST(a_connection_that_lives_on_in_a_child_is_not_heard_of_again) {
    struct probes probes;
    uint16_t port;
    int hold;
    dw_reactor *reactor = crowd_reactor(&probes, &port);
    peers[0] = peer_connect(port);
    TURN_UNTIL(reactor, made, 1, 1);
    pid_t child = keeper(&hold);
    dw_transport_lose_connection(all[0].base.transport);
    ck_assert(turn_until(reactor, &all[0].lost, 1));
    for (int round = 0; round < 2; round++) { /* its number free, and taken by the next one */
        (void)send(peers[0], "late", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
        }
        if (round == 0) {
            peers[1] = peer_connect(port);
            ck_assert(turn_until(reactor, &all[1].made, 1));
        }
    }
    ck_assert_uint_eq(all[0].received, 0);
    ck_assert_uint_eq(all[1].received, 0);
    all[1].echo = true;
    peer_write(peers[1], "mine");
    ck_assert(turn_until(reactor, &all[1].received_calls, 1));
    peer_expect(peers[1], "mine");
    close(hold);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    crowd_close(reactor, 2);
}
END_TEST

/* ---- By name ---- */

START_TEST(each_poller_has_a_function_of_its_own) {
    dw_reactor *reactor = dw_poll_reactor_new(NULL);
    ck_assert_ptr_nonnull(reactor);
    ck_assert_str_eq(dw_live_reactor_poller(reactor), "poll");
    dw_reactor_free(reactor);
#ifdef __linux__
    reactor = dw_epoll_reactor_new(&(dw_poll_options){.no_signals = true});
    ck_assert_ptr_nonnull(reactor);
    ck_assert_str_eq(dw_live_reactor_poller(reactor), "epoll");
    dw_reactor_free(reactor);
#endif
}
END_TEST

START_TEST(a_poller_is_chosen_by_name) {
    ck_assert_ptr_null(dw_live_reactor_new("kqueue", NULL));
    ck_assert_int_eq(errno, EINVAL);
    dw_reactor *reactor = dw_live_reactor_new(NULL, NULL);
    ck_assert_ptr_nonnull(reactor);
#ifdef __linux__
    ck_assert_str_eq(dw_live_reactor_poller(reactor), "epoll");
#else
    ck_assert_str_eq(dw_live_reactor_poller(reactor), "poll");
#endif
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *edges = tcase_create("edges");
    tcase_add_test(edges, a_queue_of_connections_is_accepted_in_several_turns);
    tcase_add_test(edges, data_and_end_come_in_two_turns_however_many_have_both);
    tcase_add_test(edges, what_one_reception_leaves_is_received_without_new_data);
    tcase_add_test(edges, a_connection_that_lives_on_in_a_child_is_not_heard_of_again);
    tcase_add_test(edges, each_poller_has_a_function_of_its_own);
    tcase_add_test(edges, a_poller_is_chosen_by_name);
    tcase_set_timeout(edges, 3 * LIMIT_S);
    suite_add_tcase(suite, edges);
    return suite;
}

int main(void) {
    return run_on_each_poller("poll_edges", make_suite);
}
