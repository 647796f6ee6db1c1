/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets on the dry wire: names that outlive programs, streams without a handshake or a
 * reset, datagrams that are never lost. What sockets do was tried on Linux 6.18 (unix(7),
 * connect(2)); the ids are those of Twisted's recorded vectors, vectors/lifecycle_unix.jsonl.
 */
#include "sim_datagrams.h"

#include <drywire/backend.h>

#define PATH "/run/s"

static dw_host *host, *other;
static side server, client;

static void listen_on(side *s, const char *path) {
    ck_assert_int_eq(dw_reactor_listen_unix(s->reactor, path, &s->factory.base, 0, 0, &s->port), 0);
}

static void connect_to(side *s, const char *path) {
    ck_assert_int_eq(dw_reactor_connect_unix(s->reactor, path, &s->factory, -1, NULL), 0);
}

static void one_host(dw_world *w) {
    host = dw_world_add_host(w, "a", NULL, NULL);
    other = dw_world_add_host(w, "b", NULL, NULL);
    side_init(&server, dw_host_reactor(host));
    side_init(&client, dw_host_reactor(host));
    server.aware = client.aware = false;
}

static ear hears, says;

static void listen_datagrams(ear *e, dw_host *of, const char *path) {
    ear_init(e, of);
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(e->reactor, path, &e->protocol, 0, 0, &e->port), 0);
}

static int connect_datagrams(ear *e, dw_host *of, const char *path, const char *own) {
    ear_init(e, of);
    return dw_reactor_connect_unix_datagram(e->reactor, path, &e->protocol, 0, 0, own, &e->port);
}

static ssize_t send_unix(ear *e, const char *text, const char *path) {
    dw_address to;
    ck_assert_int_eq(dw_address_unix(&to, path), 0);
    return dw_datagram_write(e->port, text, strlen(text), &to);
}

/* Both are connected, no time has passed. */
static void connected(dw_world *w) {
    one_host(w);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.made, 1);
    ck_assert_uint_eq(server.made, 1);
}

static void lose(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

static void expect_end(const side *s, dw_error reason, int error) {
    ck_assert_uint_eq(s->lost, 1);
    ck_assert_int_eq(s->reason, reason);
    ck_assert_int_eq(s->reason_errno, error);
}

/* ---- Names ---- */

static void expect_failure(side *s, dw_world *w, const char *path, dw_error reason, int error) {
    unsigned failed = s->failed;
    connect_to(s, path);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(s->failed, failed + 1);
    ck_assert_int_eq(s->reason, reason);
    ck_assert_int_eq(s->reason_errno, error);
}

CALM_TEST(a_name_that_is_not_there) {
    one_host(w);
    expect_failure(&client, w, "/run/none", DW_CONNECT_ERROR, ENOENT);
    expect_failure(&client, w, "@none", DW_CONNECTION_REFUSED, ECONNREFUSED);
}

CALM_TEST(a_host_has_names_of_its_own) {
    one_host(w);
    listen_on(&server, PATH);
    side_init(&client, dw_host_reactor(other));
    expect_failure(&client, w, PATH, DW_CONNECT_ERROR, ENOENT);
    listen_on(&client, PATH);
}

CALM_TEST(a_name_is_taken_once) {
    one_host(w);
    listen_on(&server, PATH);
    ck_assert_int_eq(dw_reactor_listen_unix(client.reactor, PATH, &client.factory.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(client.reactor), EADDRINUSE);
    listen_on(&client, "/run/s2");
}

CALM_TEST(a_port_takes_its_file_along) {
    one_host(w);
    listen_on(&server, PATH);
    dw_port_stop_listening(server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    expect_failure(&client, w, PATH, DW_CONNECT_ERROR, ENOENT);
    listen_on(&server, PATH);
}

static void unlink_path(dw_host *of, const char *path) {
    dw_address address;
    dw_reactor *reactor = dw_host_reactor(of);
    ck_assert_int_eq(dw_address_unix(&address, path), 0);
    reactor->wire->unlink(reactor, &address);
}

static void restart(void) {
    dw_host_restart(host);
    side_init(&server, dw_host_reactor(host));
    side_init(&client, dw_host_reactor(host));
}

/* What every program with a UNIX socket meets once. */
static void stays_behind(dw_world *w, void (*end)(dw_host *host)) {
    one_host(w);
    listen_on(&server, PATH);
    end(host);
    restart();
    expect_failure(&client, w, PATH, DW_CONNECTION_REFUSED, ECONNREFUSED);
    ck_assert_int_eq(dw_reactor_listen_unix(server.reactor, PATH, &server.factory.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(server.reactor), EADDRINUSE);
    unlink_path(host, PATH);
    listen_on(&server, PATH);
    connect_to(&client, PATH);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
}

CALM_TEST(the_file_of_a_killed_program_stays_behind) {
    stays_behind(w, dw_host_kill);
}

CALM_TEST(the_file_of_a_machine_without_power_stays_behind) {
    stays_behind(w, dw_host_crash);
}

CALM_TEST(an_abstract_name_goes_with_its_program) {
    one_host(w);
    listen_on(&server, "@name");
    dw_host_kill(host);
    restart();
    expect_failure(&client, w, "@name", DW_CONNECTION_REFUSED, ECONNREFUSED);
    listen_on(&server, "@name");
    connect_to(&client, "@name");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
}

/* A file of the same name that somebody else has put there is left alone. */
CALM_TEST(a_port_removes_its_own_file_only) {
    static side second;
    one_host(w);
    side_init(&second, dw_host_reactor(host));
    listen_on(&server, PATH);
    unlink_path(host, PATH);
    listen_on(&second, PATH);
    dw_port_stop_listening(server.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    connect_to(&client, PATH);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(second.made, 1);
}

CALM_TEST(names_are_not_ports) {
    one_host(w);
    listen_on(&server, PATH);
    side_connect(&client, "10.0.0.1", 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(client.failed, 1);
    ck_assert_int_eq(client.reason, DW_CONNECTION_REFUSED);
}

/* ---- Connecting ---- */

/* unix-turn-refused-vs-timer: connecting completes inside connect's own call. */
CALM_TEST(connecting_takes_no_time) {
    one_host(w);
    listen_on(&server, PATH);
    dw_world_run(w, DW_SEC(5));
    connect_to(&client, PATH);
    ck_assert_uint_eq(client.made, 0);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.made + server.made, 2);
    side_write(&client, "there");
    dw_world_run(w, 0);
    ck_assert(side_has(&server, "there"));
    side_write(&server, "back");
    dw_world_run(w, 0);
    ck_assert(side_has(&client, "back"));
}

/* unix-basic-addresses */
CALM_TEST(the_connecting_end_has_no_name) {
    connected(w);
    dw_address ends[4] = {
        dw_transport_host(client.protocol.transport), dw_transport_peer(client.protocol.transport),
        dw_transport_host(server.protocol.transport), dw_transport_peer(server.protocol.transport)};
    ck_assert(is_address(&ends[0], "unix:"));
    ck_assert(is_address(&ends[1], "unix:" PATH));
    ck_assert(is_address(&ends[2], "unix:" PATH));
    ck_assert(is_address(&ends[3], "unix:"));
}

static void refuse_all(side *s) {
    dw_transport_abort_connection(s->protocol.transport);
}

/* connect(2): EAGAIN; a queue of n holds n + 1. Core tries again later. */
CALM_TEST(a_full_queue_makes_the_client_wait) {
    enum { N = 5 };
    static side clients[N];
    one_host(w);
    ck_assert_int_eq(
        dw_reactor_listen_unix(server.reactor, PATH, &server.factory.base, 3, 0, &server.port), 0);
    server.on_made = refuse_all;
    dw_host_stall(host, DW_SEC(1)); /* nobody accepts */
    const dw_wire *wire = server.reactor->wire;
    dw_address address;
    dw_io ios[N] = {{0}};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    for (int i = 0; i < N; i++) {
        ios[i].kind = DW_IO_CONNECTING;
        ck_assert_int_eq(wire->open(server.reactor, &ios[i], DW_ADDRESS_UNIX), 0);
        ck_assert_int_eq(wire->connect(server.reactor, &ios[i], &address), i < 4 ? 0 : -EAGAIN);
    }
    for (int i = 0; i < N; i++) {
        wire->close(server.reactor, &ios[i], false);
    }
    dw_world_run(w, DW_SEC(2));
    for (int i = 0; i < N; i++) {
        side_init(&clients[i], server.reactor);
        connect_to(&clients[i], PATH);
    }
    dw_world_run(w, DW_SEC(10));
    for (int i = 0; i < N; i++) {
        ck_assert_uint_eq(clients[i].made, 1);
    }
}

static void write_and_lose(side *s) {
    side_write(s, "early");
    lose(s);
}

CALM_TEST(what_was_written_before_accept_is_there_after_it) {
    one_host(w);
    listen_on(&server, PATH);
    client.on_made = write_and_lose;
    connect_to(&client, PATH);
    dw_world_run(w, 0);
    ck_assert_uint_eq(client.lost, 1);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(server.made, 1);
    ck_assert(side_has(&server, "early"));
    expect_end(&server, DW_CONNECTION_DONE, 0);
}

CALM_TEST(who_was_never_accepted_is_reset_when_the_port_closes) {
    one_host(w);
    listen_on(&server, PATH);
    const dw_wire *wire = client.reactor->wire;
    dw_io io = {.kind = DW_IO_CONNECTING};
    dw_address address;
    const uint8_t *data;
    char byte[] = "x";
    struct iovec piece = {byte, 1};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    ck_assert_int_eq(wire->open(client.reactor, &io, DW_ADDRESS_UNIX), 0);
    ck_assert_int_eq(wire->connect(client.reactor, &io, &address), 0);
    ck_assert_int_eq(wire->recv(client.reactor, &io, &data), -EAGAIN);
    dw_reactor_fini(server.reactor); /* closes without accepting */
    ck_assert_int_eq(wire->recv(client.reactor, &io, &data), -ECONNRESET);
    ck_assert_int_eq(wire->send(client.reactor, &io, &piece, 1), -EPIPE);
    wire->close(client.reactor, &io, false);
}

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

/* ---- Datagrams ---- */

static void expect_send_error(ear *e, const char *path, int error) {
    ck_assert_int_eq(send_unix(e, "x", path), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(e->reactor), error);
}

CALM_TEST(a_unix_datagram_takes_no_time_and_names_its_sender) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    listen_datagrams(&says, host, "@says");
    ck_assert_int_eq(send_unix(&says, "one", PATH), 3);
    ck_assert_int_eq(send_unix(&says, "", PATH), 0);
    ck_assert_uint_eq(hears.heard, 0); /* in a later event */
    dw_world_run(w, 0);
    ck_assert_str_eq(hears.firsts, "o-");
    ck_assert(is_address(&hears.from, "unix:@says"));
    ck_assert_int_eq(dw_datagram_write(hears.port, "back", 4, &hears.from), 4);
    dw_world_run(w, 0);
    ck_assert(ear_has(&says, "back"));
}

CALM_TEST(who_is_connected_needs_no_name) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    ear_tell(&says, "x");
    dw_world_run(w, 0);
    ck_assert(ear_has(&hears, "x"));
    ck_assert(is_address(&hears.from, "unix:"));
}

CALM_TEST(names_that_no_datagram_reaches) {
    one_host(w);
    listen_datagrams(&says, host, "@says");
    expect_send_error(&says, "/run/none", ENOENT);
    expect_send_error(&says, "@none", ECONNREFUSED);
    listen_on(&server, PATH);
    expect_send_error(&says, PATH, EPROTOTYPE);
    ck_assert_int_eq(connect_datagrams(&hears, host, PATH, NULL), DW_CONNECT_ERROR);
    ck_assert_int_eq(connect_datagrams(&hears, host, "@none", NULL), DW_CONNECTION_REFUSED);
    listen_datagrams(&hears, host, "/run/d");
    expect_failure(&client, w, "/run/d", DW_CONNECT_ERROR, EPROTOTYPE);
}

/* Linux: net.unix.max_dgram_qlen is 10, and one more fits. Core takes no room for a loss. */
CALM_TEST(a_queue_holds_eleven_and_no_more) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    listen_datagrams(&says, host, "@says");
    dw_datagram_pause_producing(hears.port);
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(send_unix(&says, "abc", PATH), i < 11 ? 3 : 0);
    }
    dw_datagram_resume_producing(hears.port);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 11);
    ck_assert_int_eq(send_unix(&says, "abc", PATH), 3);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 12);
}

/* Linux: net.core.wmem_default, 212992, less 32. */
CALM_TEST(the_longest_unix_datagram) {
    static uint8_t zeros[212961];
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    ck_assert_int_eq(dw_datagram_write(says.port, zeros, 212961, NULL), DW_MESSAGE_TOO_LONG);
    ck_assert_int_eq(dw_datagram_write(says.port, zeros, 212960, NULL), 212960);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.lens[0], DW_MAX_PACKET_SIZE_DEFAULT); /* cut */
}

/* Linux: ECONNREFUSED once, from then on it is not connected any more. */
CALM_TEST(a_peer_that_has_gone_refuses) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, NULL), 0);
    dw_io io = {.kind = DW_IO_DATAGRAM};
    const dw_wire *wire = says.reactor->wire;
    dw_address address;
    char byte[] = "x";
    struct iovec piece = {byte, 1};
    ck_assert_int_eq(dw_address_unix(&address, PATH), 0);
    ck_assert_int_eq(wire->open(says.reactor, &io, DW_ADDRESS_UNIX), 0);
    ck_assert_int_eq(wire->connect(says.reactor, &io, &address), 0);
    dw_datagram_stop_listening(hears.port, NULL, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(wire->send_to(says.reactor, &io, &piece, 1, NULL), -ECONNREFUSED);
    ck_assert_int_eq(wire->send_to(says.reactor, &io, &piece, 1, NULL), -ENOTCONN);
    listen_datagrams(&hears, host, PATH); /* another one of that name */
    wire->close(says.reactor, &io, false);
    dw_datagram_write(says.port, "x", 1, NULL);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(says.refused, 1);
    ck_assert_uint_eq(hears.heard, 0);
}

/* Linux: EPERM. */
CALM_TEST(who_is_connected_hears_its_peer_alone) {
    static ear third;
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(connect_datagrams(&says, host, PATH, "/run/says"), 0);
    ck_assert_int_eq(send_unix(&hears, "from the peer", "/run/says"), 13);
    listen_datagrams(&third, host, "@third");
    expect_send_error(&third, "/run/says", EPERM);
    dw_world_run(w, 0);
    ck_assert_uint_eq(says.heard, 1);
}

CALM_TEST(the_file_of_a_datagram_socket_stays_behind_too) {
    one_host(w);
    listen_datagrams(&hears, host, PATH);
    dw_host_kill(host);
    dw_host_restart(host);
    listen_datagrams(&says, host, "@says");
    expect_send_error(&says, PATH, ECONNREFUSED);
    ear_init(&hears, host);
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(hears.reactor, PATH, &hears.protocol, 0, 0, NULL),
        DW_CANNOT_LISTEN);
    unlink_path(host, PATH);
    listen_datagrams(&hears, host, PATH);
    ck_assert_int_eq(send_unix(&says, "x", PATH), 1);
    dw_world_run(w, 0);
    ck_assert_uint_eq(hears.heard, 1);
}

static TCase *streams_case(void) {
    TCase *tc = tcase_create("streams");
    tcase_add_test(tc, a_name_that_is_not_there);
    tcase_add_test(tc, a_host_has_names_of_its_own);
    tcase_add_test(tc, a_name_is_taken_once);
    tcase_add_test(tc, a_port_takes_its_file_along);
    tcase_add_test(tc, the_file_of_a_killed_program_stays_behind);
    tcase_add_test(tc, the_file_of_a_machine_without_power_stays_behind);
    tcase_add_test(tc, an_abstract_name_goes_with_its_program);
    tcase_add_test(tc, a_port_removes_its_own_file_only);
    tcase_add_test(tc, names_are_not_ports);
    tcase_add_test(tc, connecting_takes_no_time);
    tcase_add_test(tc, the_connecting_end_has_no_name);
    tcase_add_test(tc, a_full_queue_makes_the_client_wait);
    tcase_add_test(tc, what_was_written_before_accept_is_there_after_it);
    tcase_add_test(tc, who_was_never_accepted_is_reset_when_the_port_closes);
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
    return tc;
}

static TCase *datagrams_case(void) {
    TCase *tc = tcase_create("datagrams");
    tcase_add_test(tc, a_unix_datagram_takes_no_time_and_names_its_sender);
    tcase_add_test(tc, who_is_connected_needs_no_name);
    tcase_add_test(tc, names_that_no_datagram_reaches);
    tcase_add_test(tc, a_queue_holds_eleven_and_no_more);
    tcase_add_test(tc, the_longest_unix_datagram);
    tcase_add_test(tc, a_peer_that_has_gone_refuses);
    tcase_add_test(tc, who_is_connected_hears_its_peer_alone);
    tcase_add_test(tc, the_file_of_a_datagram_socket_stays_behind_too);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_unix");
    suite_add_tcase(suite, streams_case());
    suite_add_tcase(suite, datagrams_case());
    return run_suite(suite);
}
