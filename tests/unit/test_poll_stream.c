/* SPDX-License-Identifier: MIT */
/*
 * Streams over each poller and real loopback sockets, against plain POSIX peers: bytes, ends,
 * resets, pauses. What is expected is what TCP (RFC 9293) and vectors/README.md, sections 3 and 4,
 * say.
 */
#include "test_poll_support.h"

#include <pthread.h>

#define LARGE ((size_t)6 * 1024 * 1024 + 17)

/* A server with one connection, and the peer's end of it. */
struct pair {
    dw_reactor *reactor;
    struct probe probe;
    struct probes probes;
    dw_port *port;
    int peer;
};

static int polls; /* waits through the table below */

static int counting_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                          const sigset_t *mask) {
    polls++;
    return dw_syscalls_libc.ppoll(fds, count, timeout, mask);
}

#ifdef __linux__
static int counting_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
    polls++;
    return dw_syscalls_libc.epoll_wait(epoll, events, max, timeout);
}
#endif

/* A kernel that takes no more than this at once, when not 0. */
static size_t send_most;
static int sends;

static ssize_t short_sendmsg(int fd, const struct msghdr *message, int flags) {
    struct msghdr less = *message;
    struct iovec piece = message->msg_iov[0];
    sends++;
    if (send_most != 0) {
        if (piece.iov_len > send_most) {
            piece.iov_len = send_most;
        }
        less.msg_iov = &piece;
        less.msg_iovlen = 1;
    }
    return dw_syscalls_libc.sendmsg(fd, &less, flags);
}

static ssize_t short_send(int fd, const void *data, size_t len, int flags) {
    sends++;
    return dw_syscalls_libc.send(fd, data, send_most != 0 && len > send_most ? send_most : len,
                                 flags);
}

static void pair_open(struct pair *pair, bool v6) {
    static struct dw_syscalls sys;
    sys = dw_syscalls_libc;
    sys.ppoll = counting_ppoll;
#ifdef __linux__
    sys.epoll_wait = counting_epoll_wait;
#endif
    sys.send = short_send;
    sys.sendmsg = short_sendmsg;
    memset(pair, 0, sizeof(*pair));
    pair->reactor = new_reactor_on(&sys);
    probes_init(&pair->probes, &pair->probe, 1);
    uint16_t port = listen_on(pair->reactor, &pair->probes, v6 ? "::1" : "127.0.0.1", &pair->port);
    pair->peer = v6 ? peer_connect6(port) : peer_connect(port);
    ck_assert(turn_until(pair->reactor, &pair->probe.made, 1));
}

static void pair_close(struct pair *pair) {
    if (pair->peer >= 0) {
        close(pair->peer);
    }
    dw_reactor_free(pair->reactor);
}

static void turn_until_received(struct pair *pair, size_t bytes) {
    dw_time limit = dw_reactor_now(pair->reactor) + DW_SEC(LIMIT_S);
    while (pair->probe.received < bytes && dw_reactor_now(pair->reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(pair->reactor, DW_MSEC(50)), 0);
    }
    ck_assert_uint_eq(pair->probe.received, bytes);
}

static void echo_round_trip(bool v6) {
    struct pair pair;
    pair_open(&pair, v6);
    pair.probe.echo = true;
    peer_write(pair.peer, "first");
    turn_until_received(&pair, 5);
    peer_expect(pair.peer, "first");
    peer_write(pair.peer, " second");
    turn_until_received(&pair, 12);
    peer_expect(pair.peer, " second");
    ck_assert_str_eq(pair.probe.first, "first second");
    pair_close(&pair);
}

START_TEST(bytes_are_echoed_over_ipv4) {
    echo_round_trip(false);
}
END_TEST

START_TEST(bytes_are_echoed_over_ipv6) {
    echo_round_trip(true);
}
END_TEST

START_TEST(addresses_are_those_of_the_socket) {
    struct pair pair;
    pair_open(&pair, false);
    struct sockaddr_in local;
    socklen_t len = sizeof(local);
    ck_assert_int_eq(getsockname(pair.peer, (struct sockaddr *)&local, &len), 0);
    dw_address peer = dw_transport_peer(pair.probe.base.transport);
    dw_address host = dw_transport_host(pair.probe.base.transport);
    dw_address port = dw_port_host(pair.port);
    ck_assert_int_eq(peer.kind, DW_ADDRESS_IPV4);
    ck_assert_uint_eq(peer.port, ntohs(local.sin_port));
    ck_assert_mem_eq(peer.ip, "\x7f\0\0\1", 4);
    ck_assert(dw_address_equal(&host, &port));
    pair_close(&pair);
}
END_TEST

START_TEST(a_listener_on_all_addresses_serves_both_kinds) {
    struct probe all[2] = {{.made = 0}};
    struct probes probes;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, all, 2);
    uint16_t port = listen_on(reactor, &probes, "::", NULL);
    int v4 = peer_connect(port);
    ck_assert(turn_until(reactor, &all[0].made, 1));
    int v6 = peer_connect6(port);
    ck_assert(turn_until(reactor, &all[1].made, 1));
    close(v4);
    close(v6);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(options_reach_the_socket) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport *t = pair.probe.base.transport;
    ck_assert(!dw_transport_get_no_delay(t));
    ck_assert(!dw_transport_get_keep_alive(t));
    ck_assert_int_eq(dw_transport_set_no_delay(t, true), 0);
    ck_assert_int_eq(dw_transport_set_keep_alive(t, true), 0);
    ck_assert(dw_transport_get_no_delay(t));
    ck_assert(dw_transport_get_keep_alive(t));
    pair_close(&pair);
}
END_TEST

/* ---- Large writes ---- */

static uint8_t pattern_at(size_t i) {
    return (uint8_t)(i * 31 + i / 251);
}

struct reader {
    int fd;
    size_t total, wrong;
    int end;
};

static void *read_all(void *user) {
    struct reader *reader = user;
    static uint8_t buffer[65536];
    ssize_t got;
    while ((got = recv(reader->fd, buffer, sizeof(buffer), 0)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            reader->wrong += buffer[i] != pattern_at(reader->total + (size_t)i);
        }
        reader->total += (size_t)got;
    }
    reader->end = got == 0 ? 0 : errno;
    return NULL;
}

/* Writes LARGE bytes and loses the connection in the same breath, to a peer that reads. */
static void write_large_and_lose(void) {
    struct pair pair;
    pair_open(&pair, false);
    uint8_t *bytes = malloc(LARGE);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < LARGE; i++) {
        bytes[i] = pattern_at(i);
    }
    dw_transport_write(pair.probe.base.transport, bytes, LARGE);
    dw_transport_lose_connection(pair.probe.base.transport);
    free(bytes);
    ck_assert_int_eq(pair.probe.lost, 0);
    struct reader reader = {.fd = pair.peer};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &reader), 0);
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    pthread_join(thread, NULL);
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_DONE);
    ck_assert_uint_eq(reader.total, LARGE);
    ck_assert_uint_eq(reader.wrong, 0);
    ck_assert_int_eq(reader.end, 0);
    pair_close(&pair);
}

START_TEST(a_large_write_is_flushed_whole_before_the_close) {
    send_most = 0;
    sends = 0;
    write_large_and_lose();
    ck_assert_int_gt(sends, 1); /* no socket buffer takes so much at once */
}
END_TEST

START_TEST(short_writes_lose_nothing) {
    send_most = 4099;
    sends = 0;
    write_large_and_lose();
    ck_assert_int_ge(sends, (int)(LARGE / 4099));
}
END_TEST

/* ---- Ends ---- */

START_TEST(lose_connection_flushes_first) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport_write(pair.probe.base.transport, "bye", 3);
    dw_transport_lose_connection(pair.probe.base.transport);
    ck_assert_int_eq(pair.probe.lost, 0);
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_DONE);
    peer_expect(pair.peer, "bye");
    ck_assert_int_eq(peer_end(pair.peer), 0);
    pair_close(&pair);
}
END_TEST

START_TEST(abort_resets_the_peer) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport_abort_connection(pair.probe.base.transport);
    ck_assert_int_eq(pair.probe.lost, 0);
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_ABORTED);
    ck_assert_int_eq(peer_end(pair.peer), ECONNRESET);
    pair_close(&pair);
}
END_TEST

START_TEST(a_half_close_reaches_the_peer_and_reading_goes_on) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport_write(pair.probe.base.transport, "last", 4);
    dw_transport_lose_write_connection(pair.probe.base.transport);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(dw_reactor_iterate(pair.reactor, 0), 0);
    }
    peer_expect(pair.peer, "last");
    ck_assert_int_eq(peer_end(pair.peer), 0);
    peer_write(pair.peer, "still here");
    turn_until_received(&pair, 10);
    ck_assert_int_eq(pair.probe.lost, 0);
    pair_close(&pair);
}
END_TEST

START_TEST(the_peers_end_of_stream_is_connection_done) {
    struct pair pair;
    pair_open(&pair, false);
    peer_write(pair.peer, "x");
    close(pair.peer);
    pair.peer = -1;
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    ck_assert_uint_eq(pair.probe.received, 1);
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_DONE);
    pair_close(&pair);
}
END_TEST

START_TEST(the_peers_reset_is_connection_lost) {
    struct pair pair;
    pair_open(&pair, false);
    peer_reset(pair.peer);
    pair.peer = -1;
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(pair.probe.sys_errno, ECONNRESET);
    pair_close(&pair);
}
END_TEST

/* EPIPE comes back as an error, SIGPIPE would have killed this process. */
START_TEST(writing_to_a_peer_that_is_gone_raises_no_signal) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport_pause_producing(pair.probe.base.transport);
    close(pair.peer);
    pair.peer = -1;
    dw_time limit = dw_reactor_now(pair.reactor) + DW_SEC(LIMIT_S);
    while (pair.probe.lost == 0 && dw_reactor_now(pair.reactor) < limit) {
        dw_transport_write(pair.probe.base.transport, "anybody?", 8);
        ck_assert_int_eq(dw_reactor_iterate(pair.reactor, DW_MSEC(1)), 0);
    }
    ck_assert_int_eq(pair.probe.lost, 1);
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_LOST);
    pair_close(&pair);
}
END_TEST

/* ---- Pausing ---- */

static void call_stop(void *reactor) {
    dw_reactor_stop(reactor);
}

/* The peer is gone by reset, so that the kernel reports POLLERR and POLLHUP from then on, which
 * nobody can mask. The loop waits 30 ms for its delayed call; it must sleep through them. */
START_TEST(a_paused_connection_whose_peer_is_gone_does_not_spin) {
    struct pair pair;
    dw_delayed_call stop = {0};
    pair_open(&pair, false);
    dw_transport_pause_producing(pair.probe.base.transport);
    peer_reset(pair.peer);
    pair.peer = -1;
    dw_reactor_call_later(pair.reactor, &stop, DW_MSEC(30), call_stop, pair.reactor);
    polls = 0;
    ck_assert_int_eq(dw_reactor_run(pair.reactor), 0);
    ck_assert_int_le(polls, 6);
    ck_assert_int_eq(pair.probe.lost, 1);
    pair_close(&pair);
}
END_TEST

START_TEST(a_paused_connection_learns_of_the_end_when_it_resumes) {
    struct pair pair;
    pair_open(&pair, false);
    dw_transport_pause_producing(pair.probe.base.transport);
    peer_write(pair.peer, "unread");
    close(pair.peer);
    pair.peer = -1;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(dw_reactor_iterate(pair.reactor, DW_MSEC(2)), 0);
    }
    ck_assert_int_eq(pair.probe.lost, 0);
    ck_assert_uint_eq(pair.probe.received, 0);
    dw_transport_resume_producing(pair.probe.base.transport);
    ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
    ck_assert_str_eq(pair.probe.first, "unread");
    ck_assert_int_eq(pair.probe.reason, DW_CONNECTION_DONE);
    pair_close(&pair);
}
END_TEST

/* ---- Many at once ---- */

enum { CROWD = 40 };

struct crowd {
    struct probe all[CROWD];
    struct probes probes;
    int peers[CROWD];
};

static struct crowd crowd;

static void abort_all(struct probe *probe) {
    (void)probe;
    for (size_t i = 0; i < crowd.probes.used; i++) {
        dw_transport_abort_connection(crowd.all[i].base.transport);
    }
}

static void lose_others(struct probe *probe) {
    for (size_t i = 0; i < crowd.probes.used; i++) {
        if (&crowd.all[i] != probe) {
            dw_transport_lose_connection(crowd.all[i].base.transport);
        }
    }
}

static void crowd_open(dw_reactor *reactor) {
    memset(&crowd, 0, sizeof(crowd));
    probes_init(&crowd.probes, crowd.all, CROWD);
    uint16_t port = listen_on(reactor, &crowd.probes, "127.0.0.1", NULL);
    for (int i = 0; i < CROWD; i++) {
        crowd.peers[i] = peer_connect(port);
        ck_assert(turn_until(reactor, &crowd.all[i].made, 1));
    }
}

static int crowd_lost(void) {
    int lost = 0;
    for (int i = 0; i < CROWD; i++) {
        lost += crowd.all[i].lost;
    }
    return lost;
}

static void crowd_turn_until_lost(dw_reactor *reactor, int lost) {
    dw_time limit = dw_reactor_now(reactor) + DW_SEC(LIMIT_S);
    while (crowd_lost() < lost && dw_reactor_now(reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);
    }
    ck_assert_int_eq(crowd_lost(), lost);
}

static void crowd_close(dw_reactor *reactor) {
    for (int i = 0; i < CROWD; i++) {
        close(crowd.peers[i]);
    }
    dw_reactor_free(reactor);
}

/* All are ready in one wait; the first one called ends them all under the loop's hands. */
START_TEST(a_callback_may_end_every_other_ready_connection) {
    dw_reactor *reactor = new_reactor();
    crowd_open(reactor);
    for (int i = 0; i < CROWD; i++) {
        crowd.all[i].on_data = _i == 0 ? abort_all : lose_others;
        peer_write(crowd.peers[i], "x");
    }
    crowd_turn_until_lost(reactor, _i == 0 ? CROWD : CROWD - 1);
    crowd_close(reactor);
}
END_TEST

static int recvs; /* none by io_uring, which receives beforehand */

static ssize_t counting_recv(int fd, void *buffer, size_t len, int flags) {
    recvs++;
    return dw_syscalls_libc.recv(fd, buffer, len, flags);
}

static dw_reactor *new_counting_reactor(void) {
    static struct dw_syscalls sys;
    sys = dw_syscalls_libc;
    sys.recv = counting_recv;
    dw_reactor *reactor = new_reactor_on(&sys);
    return reactor;
}

/* Half of the sockets are freed while their neighbours' results are still to be handed out. All is
 * there before the one wait, so each connection must be read from exactly once. */
START_TEST(each_ready_connection_is_told_once_while_others_end) {
    dw_reactor *reactor = new_counting_reactor();
    crowd_open(reactor);
    for (int i = 0; i < CROWD; i++) {
        if (i % 2 == _i) {
            ck_assert_int_eq(shutdown(crowd.peers[i], SHUT_WR), 0);
        } else {
            peer_write(crowd.peers[i], "stay");
        }
        peer_settle(crowd.peers[i]);
    }
    recvs = 0;
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
    ck_assert_int_eq(recvs, poller_is("uring") ? 0 : CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(crowd.all[i].lost, i % 2 == _i);
        ck_assert_uint_eq(crowd.all[i].received, i % 2 == _i ? 0 : 4);
    }
    crowd_close(reactor);
}
END_TEST

static void pause_all_others(struct probe *probe) {
    for (int i = 0; i < CROWD; i++) {
        if (&crowd.all[i] != probe) {
            dw_transport_pause_producing(crowd.all[i].base.transport);
        }
    }
}

static void pause_a_neighbour(struct probe *probe) {
    long i = probe - crowd.all;
    dw_transport_pause_producing(crowd.all[(i + CROWD - 2) % CROWD].base.transport);
}

/* Pausing takes others out of the set at once, while their results wait to be handed out: none of
 * them may be told, and nobody twice. */
START_TEST(a_callback_may_pause_other_ready_connections) {
    dw_reactor *reactor = new_counting_reactor();
    crowd_open(reactor);
    for (int i = 0; i < CROWD; i++) {
        crowd.all[i].on_data = _i == 0 ? pause_all_others : pause_a_neighbour;
        peer_write(crowd.peers[i], "abc");
        peer_settle(crowd.peers[i]);
    }
    recvs = 0;
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
    int told = 0;
    for (int i = 0; i < CROWD; i++) {
        told += crowd.all[i].received_calls;
        ck_assert_int_le(crowd.all[i].received_calls, 1);
    }
    ck_assert_int_eq(recvs, poller_is("uring") ? 0 : told);
    ck_assert_int_ge(told, 1);
    ck_assert_int_lt(told, _i == 0 ? 2 : CROWD);
    for (int i = 0; i < CROWD; i++) {
        crowd.all[i].on_data = NULL;
        dw_transport_resume_producing(crowd.all[i].base.transport);
    }
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_uint_eq(crowd.all[i].received, 3);
    }
    crowd_close(reactor);
}
END_TEST

/* Gaps in the set were filled by those that stayed; each must still be found in its new place. */
START_TEST(those_that_stay_can_be_paused_and_resumed) {
    dw_reactor *reactor = new_counting_reactor();
    crowd_open(reactor);
    for (int i = 0; i < CROWD; i += 3) {
        dw_transport_abort_connection(crowd.all[i].base.transport);
    }
    crowd_turn_until_lost(reactor, (CROWD + 2) / 3);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i < CROWD; i += 3) {
            dw_transport_pause_producing(crowd.all[i].base.transport);
        }
        for (int i = 0; i < CROWD; i++) {
            if (i % 3 != 0) {
                peer_write(crowd.peers[i], "more");
                peer_settle(crowd.peers[i]);
            }
        }
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
        for (int i = 1; i < CROWD; i += 3) {
            ck_assert_uint_eq(crowd.all[i].received, (size_t)round * 4);
            dw_transport_resume_producing(crowd.all[i].base.transport);
        }
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_SEC(1)), 0);
        for (int i = 0; i < CROWD; i++) {
            ck_assert_uint_eq(crowd.all[i].received, i % 3 == 0 ? 0 : (size_t)(round + 1) * 4);
        }
    }
    ck_assert_int_eq(crowd_lost(), (CROWD + 2) / 3);
    crowd_close(reactor);
}
END_TEST

START_TEST(no_descriptor_is_left_over) {
    int before = open_descriptors();
    for (int round = 0; round < 20; round++) {
        struct pair pair;
        pair_open(&pair, round % 2 == 1);
        if (round % 4 == 0) {
            dw_transport_abort_connection(pair.probe.base.transport);
        } else if (round % 4 == 1) {
            dw_transport_lose_connection(pair.probe.base.transport);
        } else if (round % 4 == 2) {
            close(pair.peer);
            pair.peer = -1;
        }
        if (round % 4 != 3) {
            ck_assert(turn_until(pair.reactor, &pair.probe.lost, 1));
        }
        pair_close(&pair);
    }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *bytes = tcase_create("bytes");
    tcase_add_test(bytes, bytes_are_echoed_over_ipv4);
    tcase_add_test(bytes, bytes_are_echoed_over_ipv6);
    tcase_add_test(bytes, addresses_are_those_of_the_socket);
    tcase_add_test(bytes, a_listener_on_all_addresses_serves_both_kinds);
    tcase_add_test(bytes, options_reach_the_socket);
    tcase_add_test(bytes, a_large_write_is_flushed_whole_before_the_close);
    tcase_add_test(bytes, short_writes_lose_nothing);
    tcase_set_timeout(bytes, 3 * LIMIT_S);
    suite_add_tcase(suite, bytes);
    TCase *ends = tcase_create("ends");
    tcase_add_test(ends, lose_connection_flushes_first);
    tcase_add_test(ends, abort_resets_the_peer);
    tcase_add_test(ends, a_half_close_reaches_the_peer_and_reading_goes_on);
    tcase_add_test(ends, the_peers_end_of_stream_is_connection_done);
    tcase_add_test(ends, the_peers_reset_is_connection_lost);
    tcase_add_test(ends, writing_to_a_peer_that_is_gone_raises_no_signal);
    tcase_set_timeout(ends, 3 * LIMIT_S);
    suite_add_tcase(suite, ends);
    TCase *pauses = tcase_create("pauses");
    tcase_add_test(pauses, a_paused_connection_whose_peer_is_gone_does_not_spin);
    tcase_add_test(pauses, a_paused_connection_learns_of_the_end_when_it_resumes);
    suite_add_tcase(suite, pauses);
    TCase *many = tcase_create("many");
    tcase_add_loop_test(many, a_callback_may_end_every_other_ready_connection, 0, 2);
    tcase_add_loop_test(many, each_ready_connection_is_told_once_while_others_end, 0, 2);
    tcase_add_loop_test(many, a_callback_may_pause_other_ready_connections, 0, 2);
    tcase_add_test(many, those_that_stay_can_be_paused_and_resumed);
    tcase_add_test(many, no_descriptor_is_left_over);
    tcase_set_timeout(many, 3 * LIMIT_S);
    suite_add_tcase(suite, many);
    return suite;
}

int main(void) {
    return run_on_each_poller("poll_stream", make_suite);
}
