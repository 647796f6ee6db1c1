/* SPDX-License-Identifier: MIT */
/*
 * TCP urgent data on each poller: a recv stops short at its mark although more is there (tcp(7)),
 * which a poller that is told of changes only must not take for the end of the data. The urgent
 * byte itself is not part of the stream (RFC 6093, section 3.4: sockets deliver it apart), as in
 * Twisted.
 */
#include "test_poll_support.h"

START_TEST(data_behind_urgent_data_needs_no_further_data_to_come) {
    struct probe probe = {.made = 0};
    struct probes probes;
    int received = 0;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    int peer = peer_connect(listen_on(reactor, &probes, "127.0.0.1", NULL));
    ck_assert(turn_until(reactor, &probe.made, 1));
    for (int round = 1; round <= 3; round++) {
        dw_transport_pause_producing(probe.base.transport);
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
        peer_write(peer, "ab");
        ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
        peer_write(peer, "cd");
        peer_settle(peer);
        dw_transport_resume_producing(probe.base.transport);
        for (int turn = 0; received < 4 * round; turn++) {
            ck_assert_msg(turn < 20, "round %d: only \"%s\" came", round, probe.first);
            ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(10)), 0);
            received = (int)probe.received;
        }
    }
    ck_assert_str_eq(probe.first, "abcdabcdabcd");
    close(peer);
    ck_assert(turn_until(reactor, &probe.lost, 1));
    ck_assert_int_eq(probe.reason, DW_CONNECTION_DONE);
    dw_reactor_free(reactor);
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("urgent data");
    tcase_add_test(tc, data_behind_urgent_data_needs_no_further_data_to_come);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("urgent data", suite);
}
