/* SPDX-License-Identifier: MIT */
/*
 * UNIX streams on the dry wire once they are connected: bytes, ends without a reset, choices, the
 * timeline.
 */
#include "sim_unix.h"

static ear hears, says;

/* ---- Bytes ---- */

/* Nothing runs inside a write. */
CALM_TEST(bytes_come_in_order_and_in_a_later_event) {
    connected(w);
    side_write(&client, "one");
    side_write(&client, "two");
    ck_assert_uint_eq(server.received, 0);
    dw_world_run(w, 0);
    side_write(&client, "three");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "onetwothree"));
}

CALM_TEST(a_reader_that_pauses_stalls_the_writer) {
    connected(w);
    dw_world_set_buffers(w, 1000, 5000);
    dw_transport_pause_producing(server.protocol.transport);
    stream_write(&client, 0, 100000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.received, 0);
    ck_assert_uint_eq(dw_transport_buffered(client.protocol.transport), 100000 - 6000);
    dw_transport_resume_producing(server.protocol.transport);
    dw_world_run(w, 0);
    ck_assert_uint_eq(server.received, 100000);
    ck_assert(stream_intact(&server));
}

CALM_TEST(what_was_sent_before_the_end_is_read_after_it) {
    connected(w);
    dw_world_set_buffers(w, 100000, 5000);
    dw_transport_pause_producing(server.protocol.transport);
    stream_write(&client, 0, 60000);
    lose(&client);
    dw_world_run(w, DW_SEC(1));
    expect_end(&client, DW_CONNECTION_DONE, 0);
    ck_assert_uint_eq(server.lost, 0);
    dw_transport_resume_producing(server.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.received, 60000);
    ck_assert(stream_intact(&server));
    expect_end(&server, DW_CONNECTION_DONE, 0);
}

/* ---- Ends ---- */

/* unix-abort-client: there is no reset. */
CALM_TEST(an_abort_is_an_orderly_end_to_the_peer) {
    connected(w);
    dw_transport_abort_connection(client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    expect_end(&server, DW_CONNECTION_DONE, 0);
    ck_assert_int_eq(client.reason, DW_CONNECTION_ABORTED);
}

/* unix-pause-local-lose; Linux: what was sent comes first, then ECONNRESET. */
CALM_TEST(closing_over_unread_bytes_resets_the_peer) {
    connected(w);
    dw_transport_pause_producing(server.protocol.transport);
    dw_transport_pause_producing(client.protocol.transport);
    side_write(&client, "unread");
    side_write(&server, "left");
    dw_world_run(w, 0);
    dw_transport_lose_connection(server.protocol.transport);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.lost, 0);
    dw_transport_resume_producing(client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&client, "left"));
    expect_end(&client, DW_CONNECTION_LOST, ECONNRESET);
    expect_end(&server, DW_CONNECTION_DONE, 0);
}

CALM_TEST(bytes_that_wait_for_room_are_unread_too) {
    connected(w);
    dw_world_set_buffers(w, 100000, 10);
    dw_transport_pause_producing(server.protocol.transport);
    stream_write(&client, 0, 60000);
    dw_world_run(w, 0);
    dw_transport_lose_connection(server.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    expect_end(&client, DW_CONNECTION_LOST, ECONNRESET);
}

/* Linux: EPIPE at once, though the end has not been read yet. */
CALM_TEST(writing_after_the_peer_closed_is_epipe) {
    connected(w);
    dw_transport_pause_producing(client.protocol.transport);
    lose(&server);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.lost, 0);
    side_write(&client, "x");
    dw_world_run(w, DW_SEC(1));
    expect_end(&client, DW_CONNECTION_LOST, EPIPE);
}

/* unix-halfclose-data-after */
CALM_TEST(a_half_close_leaves_the_other_half_open) {
    one_host(w);
    server.aware = client.aware = true;
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    side_write(&client, "request");
    dw_transport_lose_write_connection(client.protocol.transport);
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "request"));
    ck_assert_uint_eq(server.read_lost, 1);
    ck_assert_uint_eq(client.write_lost, 1);
    side_write(&server, "answer");
    dw_world_run(w, 0);
    ck_assert(side_has(&client, "answer"));
    lose(&server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(client.read_lost, 1);
    lose(&client);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.lost + client.lost, 2);
}

CALM_TEST(a_partition_does_not_cut_a_host_in_two) {
    connected(w);
    dw_world_partition(w, host, host);
    side_write(&client, "x");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "x"));
}

CALM_TEST(both_ends_go_with_their_program) {
    connected(w);
    side_write(&client, "x");
    dw_host_crash(host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.lost + client.lost, 0);
    restart();
    unlink_path(host, PATH);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    ck_assert_uint_eq(server.made, 1);
    dw_host_kill(host);
    dw_world_run(w, DW_SEC(1));
}

/* ---- Choices ---- */

LIST_TEST(a_cut_delivers_so_many_bytes_first, {"a:1>a:/run/s", "cut", 1, 2}) {
    connected(w);
    side_write(&client, "hello");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "hello"));
    ck_assert_uint_eq(server.data_calls, 2);
    ck_assert_uint_eq(server.largest, 3);
}

LIST_TEST(a_join_waits_for_the_next_write, {"a:/run/s>a:1", "join", 1, 1}) {
    connected(w);
    side_write(&server, "one");
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(client.received, 0);
    side_write(&server, "two");
    dw_world_run(w, 0);
    ck_assert(side_has(&client, "onetwo"));
    ck_assert_uint_eq(client.data_calls, 1);
}

LIST_TEST(a_join_does_not_hold_back_the_end, {"a:1>a:/run/s", "join", 1, 1}) {
    connected(w);
    side_write(&client, "bye");
    lose(&client);
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "bye"));
    expect_end(&server, DW_CONNECTION_DONE, 0);
}

LIST_TEST(a_write_accepts_so_many_bytes, {"a:1>a:/run/s", "write", 1, 2}) {
    connected(w);
    side_write(&client, "hello");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "hello"));
    ck_assert_uint_eq(server.data_calls, 2);
}

/* Names may hold what would break a line of a run file. */
LIST_TEST(a_name_is_fit_for_a_run_file, {"a:1>a:/run/my?s?cket?", "cut", 1, 1}) {
    one_host(w);
    listen_on(&server, "/run/my s#cket\n");
    connect_to(&client, "/run/my s#cket\n");
    dw_world_run(w, 0);
    side_write(&client, "ab");
    dw_world_run(w, 0);
    ck_assert_uint_eq(server.data_calls, 2);
}

LIST_TEST(an_abstract_name_is_shown_with_its_at, {"a:1>a:@x", "cut", 1, 1}) {
    one_host(w);
    listen_on(&server, "@x");
    connect_to(&client, "@x");
    dw_world_run(w, 0);
    side_write(&client, "ab");
    dw_world_run(w, 0);
    ck_assert_uint_eq(server.data_calls, 2);
}

/* However long the names are, the count that tells connections apart is not cut off. */
static char long_host[61], long_path[DW_UNIX_PATH_MAX + 1];

static void long_names(dw_world *w) {
    memset(long_host, 'h', 60);
    memset(long_path, 'p', DW_UNIX_PATH_MAX);
    host = dw_world_add_host(w, long_host, NULL, NULL);
    side_init(&server, dw_host_reactor(host));
    side_init(&client, dw_host_reactor(host));
    listen_on(&server, long_path);
    for (int i = 0; i < 2; i++) {
        connect_to(&client, long_path);
        dw_world_run(w, DW_SEC(1));
        side_write(&server, "ab");
        dw_world_run(w, DW_SEC(1));
        lose(&client);
        dw_world_run(w, DW_SEC(1));
    }
    ck_assert_uint_eq(client.data_calls, 3);
}

START_TEST(long_names_leave_room_for_the_count) {
    static const char tail[] = "ppppppppppppppp"; /* 159 less 2 * 60, ":>:", 20 digits, and one */
    sim_deviation d = {.what = "cut", .nth = 1, .value = 1};
    memset(long_host, 'h', 60);
    snprintf(d.who, sizeof(d.who), "%s:%s>%s:2", long_host, tail, long_host);
    expect_list(long_names, &d, 1);
}
END_TEST

static void hello_by_all(dw_world *w) {
    one_host(w);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    listen_datagrams(&hears, host, "/run/d");
    listen_datagrams(&says, host, "@says");
    send_unix(&says, "abc", "/run/d");
    dw_world_run(w, DW_SEC(1));
    lose(&client);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(the_timeline_shows_names) {
    static const char *const lines[] = {
        "a                               sides: listens on /run/s",
        "a:/run/d                        ear: listens on /run/d",
        "a:@says                         ear: sends 3 \"abc\"",
        "a:@says>a:/run/d                sent, 3 bytes",
        "a:1>a:/run/s                    connects",
        "a:1>a:/run/s                    end",
    };
    played p;
    play(hello_by_all, calm(), true, &p);
    expect_good(&p);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ck_assert_msg(strstr(p.timeline, lines[i]) != NULL, "'%s' is not in\n%s", lines[i],
                      p.timeline);
    }
    played_free(&p);
}
END_TEST

static void say_hello(side *s) {
    if (s->protocol.transport != NULL) {
        side_write(s, "hello, hello, hello");
    }
}

static void talk(dw_world *w) {
    one_host(w);
    server.echo = true;
    client.on_made = say_hello;
    if (dw_reactor_listen_unix(server.reactor, PATH, &server.factory.base, 0, 0, &server.port) ==
            0 &&
        dw_reactor_connect_unix(client.reactor, PATH, &client.factory, -1, NULL) == 0) {
        dw_world_run(w, DW_SEC(1));
        if (client.made > client.lost) {
            lose(&client);
        }
        dw_world_run(w, DW_SEC(1));
    }
}

START_TEST(what_a_seed_took_of_a_unix_stream_replays_as_a_list) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "talk", .run = talk};
    uint64_t counts[SIM_KIND_COUNT] = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        played first, second;
        play_scenario(runner, &scenario, seeded(seed), seed % 10 == 0, &first);
        play_scenario(runner, &scenario, listed(&first.taken), seed % 10 == 0, &second);
        expect_good(&first);
        ck_assert_msg(first.outcome.hash == second.outcome.hash, "seed %llu",
                      (unsigned long long)seed);
        for (size_t i = 0; i < first.taken.count; i++) {
            counts[sim_kind_of(first.taken.items[i].what)]++;
        }
        if (first.timeline != NULL) {
            ck_assert_str_eq(first.timeline, second.timeline);
        }
        played_free(&first);
        played_free(&second);
    }
    ck_assert(counts[SIM_CUT] > 0 && counts[SIM_JOIN] > 0 && counts[SIM_WRITE] > 0);
    ck_assert(counts[SIM_LATENCY] + counts[SIM_PARTITION] + counts[SIM_RESET] == 0);
    sim_runner_free(runner);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_unix_stream");
    TCase *tc = tcase_create("streams");
    tcase_add_test(tc, bytes_come_in_order_and_in_a_later_event);
    tcase_add_test(tc, a_reader_that_pauses_stalls_the_writer);
    tcase_add_test(tc, what_was_sent_before_the_end_is_read_after_it);
    tcase_add_test(tc, an_abort_is_an_orderly_end_to_the_peer);
    tcase_add_test(tc, closing_over_unread_bytes_resets_the_peer);
    tcase_add_test(tc, bytes_that_wait_for_room_are_unread_too);
    tcase_add_test(tc, writing_after_the_peer_closed_is_epipe);
    tcase_add_test(tc, a_half_close_leaves_the_other_half_open);
    tcase_add_test(tc, a_partition_does_not_cut_a_host_in_two);
    tcase_add_test(tc, both_ends_go_with_their_program);
    tcase_add_test(tc, a_cut_delivers_so_many_bytes_first);
    tcase_add_test(tc, a_join_waits_for_the_next_write);
    tcase_add_test(tc, a_join_does_not_hold_back_the_end);
    tcase_add_test(tc, a_write_accepts_so_many_bytes);
    tcase_add_test(tc, a_name_is_fit_for_a_run_file);
    tcase_add_test(tc, an_abstract_name_is_shown_with_its_at);
    tcase_add_test(tc, long_names_leave_room_for_the_count);
    tcase_add_test(tc, the_timeline_shows_names);
    tcase_add_test(tc, what_a_seed_took_of_a_unix_stream_replays_as_a_list);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
