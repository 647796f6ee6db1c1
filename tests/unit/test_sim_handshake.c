/* SPDX-License-Identifier: MIT */
/*
 * The end of a handshake: its third packet is lost, or meets a full accept queue. It is not sent
 * again by itself: the server's SYN-ACK is, after 1 s, 3 s, 7 s, 15 s and 31 s (tcp(7),
 * tcp_synack_retries), and whatever the client sends says the same (RFC 9293, section 3.10.7.4).
 * Each case was tried on Linux 6.18, between two network namespaces with a program in between that
 * loses what it is told to.
 */
#include "sim_support.h"

static pair p;

/* The SYN is there after 1 ms, the SYN-ACK after 2, the ACK would be after 3. */
static void lose_acks_until(dw_world *w, dw_time until) {
    pair_hosts(&p, w);
    p.client.on_made = NULL;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_USEC(2500));
    ck_assert_uint_eq(p.client.made, 1);
    dw_world_partition_one_way(w, p.client_host, p.server_host);
    dw_world_run(w, until - dw_world_now(w));
    ck_assert_uint_eq(p.server.made, 0);
    dw_world_repair(w, p.client_host, p.server_host);
}

CALM_TEST(the_server_asks_again_after_a_second) {
    lose_acks_until(w, DW_MSEC(5));
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(1003));
    ck_assert_uint_eq(p.client.made, 1);
    side_write(&p.server, "welcome");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.client, "welcome"));
}

CALM_TEST(the_server_asks_again_after_three_seconds) {
    lose_acks_until(w, DW_MSEC(1500));
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(3003));
}

CALM_TEST(the_server_asks_for_the_last_time_after_31_seconds) {
    lose_acks_until(w, DW_SEC(20));
    dw_world_run(w, DW_SEC(60));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(31003));
}

/* A lost question is as good as a lost answer. */
CALM_TEST(a_syn_ack_that_comes_again_may_be_lost_too) {
    lose_acks_until(w, DW_MSEC(5));
    dw_world_partition_one_way(w, p.server_host, p.client_host);
    dw_world_run(w, DW_MSEC(2000));
    dw_world_repair(w, p.server_host, p.client_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(3003));
}

CALM_TEST(data_completes_the_handshake) {
    lose_acks_until(w, DW_MSEC(10));
    side_write(&p.client, "hello");
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(11));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(11));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert(dw_world_run_until_idle(w, 0)); /* nothing is asked any more */
}

/* What the server says then does not wait behind the SYN-ACK that was to come again. */
CALM_TEST(a_handshake_that_data_completed_is_over) {
    lose_acks_until(w, DW_MSEC(10));
    p.server.echo = true;
    side_write(&p.client, "hello");
    dw_world_run(w, DW_MSEC(100));
    ck_assert(side_has(&p.client, "hello"));
    ck_assert_int_eq(p.client.data_at, DW_MSEC(12));
}

CALM_TEST(a_fin_completes_the_handshake) {
    lose_acks_until(w, DW_MSEC(10));
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(11));
    ck_assert_int_eq(p.server.lost_at, DW_MSEC(11));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
}

static void say_hello(side *s) {
    side_write(s, "hello");
}

/* The data behind the ACK is lost with it: it comes again after 200 ms (RTO), and is enough. */
CALM_TEST(data_that_comes_again_completes_the_handshake) {
    pair_hosts(&p, w);
    p.client.on_made = say_hello;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_USEC(2500));
    dw_world_partition_one_way(w, p.client_host, p.server_host);
    dw_world_run(w, DW_MSEC(10));
    dw_world_repair(w, p.client_host, p.server_host);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(203));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(203));
    ck_assert(side_has(&p.server, "hello"));
}

/* The server's program never hears of it. */
CALM_TEST(a_client_that_aborts_was_never_there) {
    lose_acks_until(w, DW_MSEC(10));
    dw_transport_abort_connection(p.client.protocol.transport);
    ck_assert(dw_world_run_until_idle(w, DW_MSEC(2)));
    ck_assert_uint_eq(p.server.built, 0);
}

/* After 63 s there is nobody any more who knows of the client; it hears of that when it speaks. */
CALM_TEST(the_server_forgets_who_never_answers) {
    lose_acks_until(w, DW_SEC(64));
    dw_world_run(w, DW_SEC(100));
    ck_assert_uint_eq(p.client.lost, 0);
    side_write(&p.client, "hello?");
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.built, 0);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert(dw_world_run_until_idle(w, 0));
}

CALM_TEST(a_port_that_is_closed_meanwhile_asks_nobody) {
    lose_acks_until(w, DW_MSEC(10));
    dw_port_stop_listening(p.server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.client.lost, 0);
    side_write(&p.client, "hello?");
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.built, 0);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

CALM_TEST(a_client_without_power_is_forgotten) {
    lose_acks_until(w, DW_MSEC(10));
    dw_host_crash(p.client_host);
    dw_world_run(w, DW_SEC(60));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(5)));
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(63001));
    ck_assert_uint_eq(p.server.built, 0);
}

/* A machine that has come back knows of nothing and says so. */
CALM_TEST(a_client_that_has_come_back_answers_by_a_reset) {
    lose_acks_until(w, DW_MSEC(10));
    dw_host_crash(p.client_host);
    dw_host_restart(p.client_host);
    ck_assert(dw_world_run_until_idle(w, DW_MSEC(1003) - DW_MSEC(10)));
    ck_assert_uint_eq(p.server.built, 0);
}

/* As lost by a link of a lasting kind. */
CALM_TEST(a_lossy_link_may_drop_the_ack) {
    pair_hosts(&p, w);
    dw_world_set_loss(w, p.client_host, p.server_host, 0);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_USEC(1500));
    dw_world_set_loss(w, p.client_host, p.server_host, DW_LOSS_ALL);
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(p.client.made, 1);
    ck_assert_uint_eq(p.server.made, 0);
    dw_world_set_loss(w, p.client_host, p.server_host, 1);
    dw_world_run(w, DW_SEC(10));
    ck_assert_int_eq(p.server.made_at, DW_MSEC(1003));
}

/* ---- The accept queue: listen(2), tcp(7) ---- */

enum { CLIENTS = 4 };
static side clients[CLIENTS], servers[CLIENTS];
static dw_factory crowd;
static unsigned crowd_size;

static dw_protocol *crowd_build(dw_factory *f, const dw_address *peer) {
    (void)f;
    return side_build(&servers[crowd_size++].factory.base, peer);
}

/* All SYNs find room, for there are no connections yet; a backlog of 1 takes two (Linux:
 * sk_acceptq_is_full). The server's program sleeps until 500 ms. */
static void crowd_connects(dw_world *w) {
    static const dw_factory_class cls = {.name = "crowd", .build_protocol = crowd_build};
    dw_host *server = dw_world_add_host(w, "server", NULL, NULL);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    crowd_size = 0;
    dw_factory_init(&crowd, &cls);
    ck_assert_int_eq(dw_reactor_listen_tcp(dw_host_reactor(server), 80, &crowd, 1, NULL, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        side_init(&servers[i], dw_host_reactor(server));
        side_init(&clients[i], dw_host_reactor(client));
        side_connect(&clients[i], "10.0.0.1", 80);
    }
    dw_host_stall(server, DW_MSEC(500));
    dw_world_run(w, DW_MSEC(10));
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert_uint_eq(clients[i].made, 1); /* as far as they know */
    }
}

CALM_TEST(who_finds_the_queue_full_is_asked_again) {
    crowd_connects(w);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(crowd_size, CLIENTS);
    ck_assert_int_eq(servers[0].made_at, DW_MSEC(500));
    ck_assert_int_eq(servers[1].made_at, DW_MSEC(500));
    ck_assert_int_eq(servers[2].made_at, DW_MSEC(1003));
    ck_assert_int_eq(servers[3].made_at, DW_MSEC(1003));
}

/* Its data is dropped, too, and comes again: 11 ms, 211, 611 (RFC 6298, section 5.5: the wait
 * doubles). */
CALM_TEST(who_speaks_to_a_full_queue_gets_in_by_that) {
    crowd_connects(w);
    side_write(&clients[3], "hello");
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(crowd_size, CLIENTS);
    ck_assert_int_eq(servers[2].made_at, DW_MSEC(611));
    ck_assert_int_eq(servers[2].data_at, DW_MSEC(611));
    ck_assert(side_has(&servers[2], "hello"));
    ck_assert_int_eq(servers[3].made_at, DW_MSEC(1003));
}

int main(void) {
    Suite *suite = suite_create("sim_handshake");
    TCase *lost = tcase_create("the third packet is lost");
    tcase_add_test(lost, the_server_asks_again_after_a_second);
    tcase_add_test(lost, the_server_asks_again_after_three_seconds);
    tcase_add_test(lost, the_server_asks_for_the_last_time_after_31_seconds);
    tcase_add_test(lost, a_syn_ack_that_comes_again_may_be_lost_too);
    tcase_add_test(lost, data_completes_the_handshake);
    tcase_add_test(lost, a_handshake_that_data_completed_is_over);
    tcase_add_test(lost, a_fin_completes_the_handshake);
    tcase_add_test(lost, data_that_comes_again_completes_the_handshake);
    tcase_add_test(lost, a_client_that_aborts_was_never_there);
    tcase_add_test(lost, the_server_forgets_who_never_answers);
    tcase_add_test(lost, a_port_that_is_closed_meanwhile_asks_nobody);
    tcase_add_test(lost, a_client_without_power_is_forgotten);
    tcase_add_test(lost, a_client_that_has_come_back_answers_by_a_reset);
    tcase_add_test(lost, a_lossy_link_may_drop_the_ack);
    suite_add_tcase(suite, lost);
    TCase *full = tcase_create("the accept queue is full");
    tcase_add_test(full, who_finds_the_queue_full_is_asked_again);
    tcase_add_test(full, who_speaks_to_a_full_queue_gets_in_by_that);
    suite_add_tcase(suite, full);
    return run_suite(suite);
}
