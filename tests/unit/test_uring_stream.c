/* SPDX-License-Identifier: MIT */
/*
 * What is special about streams on io_uring: sends that the kernel takes later, floods that are
 * received in another way, closes while questions are under way. What is expected is what poll(2)
 * would have brought about, and bytes in their order.
 */
#include "test_uring_support.h"

#include <sys/wait.h>

/* ---- Floods and trickles ---- */

enum { TALK = 6 * 1000 * 1000 };

static uint8_t pattern_at(size_t i) {
    return (uint8_t)(i * 31 + i / 251);
}

/* Sizes around those of the buffers, small ones in rows: a flood begins and is over often. */
static size_t piece_at(unsigned i) {
    static const size_t sizes[] = {1,    70000, 8192, 3,  8191, 5,  8193, 4096, 4097, 100,
                                   9000, 1,     2,    3,  4,    5,  6,    7,    8,    9,
                                   10,   11,    12,   13, 14,   15, 16,   20000};
    return sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void *talk(void *user) {
    static uint8_t piece[70000];
    int fd = *(int *)user;
    size_t at = 0;
    for (unsigned i = 0; at < TALK; i++) {
        size_t len = piece_at(i) < TALK - at ? piece_at(i) : TALK - at;
        for (size_t k = 0; k < len; k++) {
            piece[k] = pattern_at(at + k);
        }
        for (size_t sent = 0; sent < len;) {
            ssize_t now = send(fd, piece + sent, len - sent, MSG_NOSIGNAL);
            ck_assert_int_gt(now, 0);
            sent += (size_t)now;
        }
        at += len;
        if (i % 7 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Returns how many of what comes back are wrong. */
static void *hear(void *user) {
    static uint8_t bytes[50000];
    int fd = *(int *)user;
    size_t wrong = 0;
    for (size_t at = 0; at < TALK;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        ck_assert_int_gt(got, 0);
        for (ssize_t k = 0; k < got; k++) {
            wrong += bytes[k] != pattern_at(at + (size_t)k);
        }
        at += (size_t)got;
    }
    return (void *)wrong;
}

START_TEST(bytes_of_all_sizes_are_echoed_in_their_order) {
    struct many many;
    pthread_t talker, hearer;
    void *wrong;
    many_open(&many, new_reactor(), 1);
    many.all[0].echo = true;
    ck_assert_int_eq(pthread_create(&talker, NULL, talk, &many.peers[0]), 0);
    ck_assert_int_eq(pthread_create(&hearer, NULL, hear, &many.peers[0]), 0);
    dw_time limit = dw_reactor_now(many.reactor) + DW_SEC(LIMIT_S);
    while (many.all[0].received < TALK && dw_reactor_now(many.reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(many.reactor, DW_MSEC(10)), 0);
    }
    dw_transport_lose_connection(many.all[0].base.transport);
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    pthread_join(talker, NULL);
    pthread_join(hearer, &wrong);
    ck_assert_ptr_null(wrong);
    many_close(&many);
}
END_TEST

/* As with poll(2): what waits in the kernel comes at once. An echo of two pieces would go out in
 * two, and the second would wait until the first was acknowledged (RFC 9293, section 3.7.4). */
START_TEST(a_message_comes_in_one_piece_however_the_connection_is_read) {
    static const size_t sizes[] = {100, 9000, 16384, 60000, 5, 16384};
    static char bytes[60000];
    struct many many;
    many_open(&many, new_reactor(), 1);
    size_t total = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        dw_transport_pause_producing(many.all[0].base.transport);
        turns(many.reactor, 3);
        ck_assert_int_eq(send(many.peers[0], bytes, sizes[i], 0), (ssize_t)sizes[i]);
        peer_settle(many.peers[0]);
        dw_transport_resume_producing(many.all[0].base.transport);
        turns(many.reactor, 3);
        total += sizes[i];
        ck_assert_uint_eq(many.all[0].received, total);
        ck_assert_int_eq(many.all[0].received_calls, (int)i + 1);
    }
    many_close(&many);
}
END_TEST

/* ---- Sends that do not go out whole ---- */

enum { PIECE = 4000, PIECES_MAX = 100000 };

/* Writes pieces that go through the ring, a turn each, until the wire takes no more. Returns how
 * many bytes were written. */
static size_t write_until_blocked(struct many *many, int i) {
    static uint8_t piece[PIECE];
    dw_transport *t = many->all[i].base.transport;
    size_t at = 0;
    for (int n = 0; n < PIECES_MAX && dw_transport_buffered(t) == 0; n++) {
        for (size_t k = 0; k < PIECE; k++) {
            piece[k] = pattern_at(at + k);
        }
        dw_transport_write(t, piece, PIECE);
        at += PIECE;
        turns(many->reactor, 1);
    }
    ck_assert_uint_gt(dw_transport_buffered(t), 0);
    return at;
}

/* Reads `total` bytes while the loop turns, and compares. */
static void hear_all(struct many *many, size_t total) {
    static uint8_t bytes[65536];
    size_t at = 0, wrong = 0;
    dw_time limit = dw_reactor_now(many->reactor) + DW_SEC(LIMIT_S);
    while (at < total && dw_reactor_now(many->reactor) < limit) {
        ssize_t got = recv(many->peers[0], bytes, sizeof(bytes), MSG_DONTWAIT);
        for (ssize_t k = 0; k < got; k++) {
            wrong += bytes[k] != pattern_at(at + (size_t)k);
        }
        at += got > 0 ? (size_t)got : 0;
        turns(many->reactor, 1);
    }
    ck_assert_uint_eq(at, total);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(a_slow_reader_gets_every_byte_before_the_end) {
    struct many many;
    many_open(&many, new_reactor(), 1);
    size_t total = write_until_blocked(&many, 0);
    dw_transport_lose_connection(many.all[0].base.transport);
    turns(many.reactor, 20);
    ck_assert_int_eq(many.all[0].lost, 0);
    hear_all(&many, total);
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    ck_assert_int_eq(many.all[0].reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(peer_end(many.peers[0]), 0);
    many_close(&many);
}
END_TEST

/* Up to where the wire has bytes that the kernel did not take, and core has none. */
static size_t write_until_rest(struct many *many) {
    static uint8_t piece[PIECE];
    struct dw_uring_fd *fd = only_stream(many->reactor);
    size_t at = 0;
    for (int n = 0; n < PIECES_MAX && fd->sending_len == 0; n++) {
        for (size_t k = 0; k < PIECE; k++) {
            piece[k] = pattern_at(at + k);
        }
        dw_transport_write(many->all[0].base.transport, piece, PIECE);
        at += PIECE;
        turns(many->reactor, 1);
    }
    ck_assert_uint_gt(fd->sending_len, 0);
    ck_assert_uint_eq(dw_transport_buffered(many->all[0].base.transport), 0);
    return at;
}

/* To core all is sent, to the kernel it is not. */
START_TEST(the_end_waits_for_what_the_wire_has_left) {
    struct many many;
    many_open(&many, new_reactor(), 1);
    size_t total = write_until_rest(&many);
    if (_i == 0) {
        dw_transport_lose_connection(many.all[0].base.transport);
    } else {
        dw_transport_lose_write_connection(many.all[0].base.transport);
    }
    turns(many.reactor, 20);
    ck_assert_int_eq(many.all[0].lost, 0);
    hear_all(&many, total);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(dw_reactor_iterate(many.reactor, DW_MSEC(1)), 0);
    }
    ck_assert_int_eq(peer_end(many.peers[0]), 0);
    ck_assert_int_eq(many.all[0].lost, _i == 0);
    many_close(&many);
}
END_TEST

/* And core will not ask for it. */
START_TEST(what_the_wire_has_left_goes_out_by_itself) {
    struct many many;
    many_open(&many, new_reactor(), 1);
    hear_all(&many, write_until_rest(&many));
    ck_assert_uint_eq(only_stream(many.reactor)->sending_len, 0);
    many_close(&many);
}
END_TEST

START_TEST(a_reset_while_the_wire_has_something_left_is_a_loss) {
    struct many many;
    many_open(&many, new_reactor(), 1);
    (void)write_until_rest(&many);
    dw_transport_lose_connection(many.all[0].base.transport);
    turns(many.reactor, 5);
    peer_reset(many.peers[0]);
    many.peers[0] = -1;
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    ck_assert_int_eq(many.all[0].reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(many.all[0].sys_errno, ECONNRESET);
    many_close(&many);
}
END_TEST

/* The peer's end and the failure of a send, told in one turn. Whoever writes to a peer that has
 * closed in good order learns of a broken pipe by it, and of the end first (vectors/README.md,
 * "loseConnection"); a reset is a loss all the same. How the kernel tells both at once depends on
 * what else it has to tell, so they are put down here as it would. */
START_TEST(an_end_comes_before_the_broken_pipe_that_it_led_to) {
    static const int errors[] = {EPIPE, ECONNRESET};
    struct many many;
    many_open(&many, new_reactor(), 1);
    struct dw_uring_fd *fd = only_stream(many.reactor);
    fd->flags |= DW_URING_ENDED;
    fd->read_end = 0;
    fd->error = -errors[_i];
    fd->flags |= DW_URING_FAILED;
    dw_uring_list_ready((struct dw_uring *)many.reactor, fd);
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    ck_assert_int_eq(many.all[0].reason, _i == 0 ? DW_CONNECTION_DONE : DW_CONNECTION_LOST);
    ck_assert_int_eq(many.all[0].sys_errno, _i == 0 ? 0 : ECONNRESET);
    many_close(&many);
}
END_TEST

static void lose_it(struct probe *probe) {
    dw_transport_lose_connection(probe->base.transport);
}

static struct probe *greeted;

static void greet_another(struct probe *probe) {
    (void)probe;
    dw_transport_write(greeted->base.transport, "hello", 5);
}

static void lose_another(struct probe *probe) {
    (void)probe;
    dw_transport_lose_connection(greeted->base.transport);
}

static void abort_another(struct probe *probe) {
    (void)probe;
    dw_transport_abort_connection(greeted->base.transport);
}

static void fail_another(struct probe *probe) {
    static const dw_reason reason = {DW_APP_ERROR, 0, "enough"};
    (void)probe;
    dw_transport_fail(greeted->base.transport, &reason);
}

/* Both in one turn, before the kernel has taken anything. */
START_TEST(a_close_in_the_turn_of_a_write_comes_behind_it) {
    static void (*const ends[])(struct probe * probe) = {lose_another, fail_another, abort_another};
    static const dw_error reasons[] = {DW_CONNECTION_DONE, DW_APP_ERROR, DW_CONNECTION_ABORTED};
    struct many many;
    many_open(&many, new_reactor(), 3);
    greeted = &many.all[0];
    many.all[1].on_data = greet_another;
    many.all[2].on_data = ends[_i];
    ((struct dw_uring *)many.reactor)->running = true; /* nothing is handed over before a wait */
    peer_write(many.peers[1], "x");
    peer_write(many.peers[2], "x");
    peer_settle(many.peers[1]);
    peer_settle(many.peers[2]);
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    if (_i < 2) {
        peer_expect(many.peers[0], "hello");
        ck_assert_int_eq(peer_end(many.peers[0]), 0);
    }
    ck_assert_int_eq(many.all[0].reason, reasons[_i]);
    many_close(&many);
}
END_TEST

/* ---- Pauses ---- */

static struct many three;
static int second; /* 0 or 1: whose bytes have been received and not handed over */

/* The first one's bytes are handed over. More come for the second, of which the wire hears when it
 * closes the third; then the second is paused. */
static void say_more_and_pause(struct probe *probe) {
    three.all[0].on_data = three.all[1].on_data = NULL;
    second = probe == &three.all[0];
    peer_write(three.peers[second], "two");
    peer_settle(three.peers[second]);
    dw_transport_lose_connection(three.all[2].base.transport);
    dw_transport_pause_producing(three.all[second].base.transport);
}

START_TEST(what_came_before_a_pause_is_read_after_it_and_what_comes_then_too) {
    many_open(&three, new_reactor(), 3);
    for (int i = 0; i < 2; i++) {
        three.all[i].on_data = say_more_and_pause;
        peer_write(three.peers[i], "one");
        peer_settle(three.peers[i]);
    }
    turns(three.reactor, 5);
    struct probe *paused = &three.all[second];
    ck_assert_int_eq(three.all[2].lost, 1);
    ck_assert_int_eq(paused->received_calls, 0);
    dw_transport_resume_producing(paused->base.transport);
    turns(three.reactor, 5);
    ck_assert_int_eq(paused->received_calls, 2);
    ck_assert_uint_eq(paused->received, 6);
    peer_write(three.peers[second], "three");
    peer_settle(three.peers[second]);
    turns(three.reactor, 5);
    ck_assert_uint_eq(paused->received, 11);
    many_close(&three);
}
END_TEST

/* ---- Waiting for the peer ---- */

static void aware_read_lost(dw_protocol *protocol) {
    ((struct probe *)protocol)->received_calls++;
}

static const dw_protocol_class aware_class = {
    .name = "aware",
    .connection_made = probe_made,
    .data_received = probe_data,
    .connection_lost = probe_lost,
    .read_connection_lost = aware_read_lost,
};

static dw_protocol *aware_build(dw_factory *factory, const dw_address *peer) {
    struct probes *probes = (struct probes *)factory;
    (void)peer;
    struct probe *probe = &probes->all[probes->used++];
    dw_protocol_init(&probe->base, &aware_class);
    return &probe->base;
}

static const dw_client_factory_class aware_factory = {
    .base = {.name = "aware", .build_protocol = aware_build}};

/* The kernel ends polls for POLLRDHUP too, which stays; see uring_ops.c. */
START_TEST(a_peer_that_ended_its_direction_and_reads_nothing_keeps_nobody_busy) {
    struct many many = {.reactor = new_hooked(), .count = 1};
    many.all = calloc(1, sizeof(*many.all));
    many.peers = calloc(1, sizeof(*many.peers));
    ck_assert(many.all != NULL && many.peers != NULL);
    probes_init(&many.probes, many.all, 1);
    dw_client_factory_init(&many.probes.base, &aware_factory);
    many.peers[0] = peer_connect(listen_on(many.reactor, &many.probes, "127.0.0.1", NULL));
    ck_assert(turn_until(many.reactor, &many.all[0].made, 1));
    ck_assert_int_eq(shutdown(many.peers[0], SHUT_WR), 0);
    ck_assert(turn_until(many.reactor, &many.all[0].received_calls, 1));
    size_t total = write_until_blocked(&many, 0);
    turns(many.reactor, 5);
    enters = 0;
    dw_time limit = dw_reactor_now(many.reactor) + DW_MSEC(30);
    while (dw_reactor_now(many.reactor) < limit) {
        ck_assert_int_eq(dw_reactor_iterate(many.reactor, DW_MSEC(30)), 0);
    }
    ck_assert_int_le(enters, 6);
    hear_all(&many, total);
    many_close(&many);
}
END_TEST

/* ---- Closing ---- */

/* As with poll(2), where the kernel has them still: whoever resets takes no bytes any more. */
START_TEST(received_bytes_that_nobody_read_make_a_close_a_reset) {
    static const char *const pollers[] = {"poll", "uring"};
    struct many many;
    poller = pollers[_i];
    many_open(&many, new_reactor(), 2);
    many.all[0].on_data = lose_it; /* while the second piece waits for its turn */
    static char bytes[10 * 8192];
    ck_assert_int_eq(send(many.peers[0], bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
    peer_settle(many.peers[0]);
    ck_assert(turn_until(many.reactor, &many.all[0].lost, 1));
    ck_assert_int_eq(many.all[0].reason, DW_CONNECTION_DONE);
    (void)peer_end(many.peers[0]); /* a FIN may have come first */
    ck_assert_int_lt(send(many.peers[0], "x", 1, MSG_NOSIGNAL), 0);
    many_close(&many);
}
END_TEST

enum { CROWD = 2000 };

static struct many crowd;

/* Ends itself in one of four ways, by its place, and its neighbour too. */
static void end_somehow(struct probe *probe) {
    long i = probe - crowd.all;
    struct probe *other = &crowd.all[(i + 1) % crowd.count];
    dw_transport *t = probe->base.transport;
    dw_transport_write(t, "bye", 3);
    switch (i % 4) {
    case 0:
        dw_transport_lose_connection(t);
        break;
    case 1:
        dw_transport_abort_connection(t);
        break;
    case 2:
        dw_transport_pause_producing(t);
        dw_transport_abort_connection(other->base.transport);
        break;
    default:
        dw_transport_write(other->base.transport, "you too", 7);
        dw_transport_lose_connection(other->base.transport);
    }
}

START_TEST(two_thousand_connections_end_in_all_ways_at_once) {
    int before = open_descriptors();
    int room = descriptors_room(2 * CROWD + 100);
    int count = (room - 100) / 2;
    many_open(&crowd, new_reactor(), count);
    for (int i = 0; i < count; i++) {
        crowd.all[i].on_data = end_somehow;
        peer_write(crowd.peers[i], "go");
        if (i % 5 == 0) {
            peer_reset(crowd.peers[i]);
            crowd.peers[i] = -1;
        }
    }
    turns(crowd.reactor, 50);
    for (int i = 0; i < count; i++) {
        ck_assert_int_le(crowd.all[i].lost, 1);
        if (crowd.peers[i] >= 0) {
            close(crowd.peers[i]);
            crowd.peers[i] = -1;
        }
        if (crowd.all[i].lost == 0) {
            dw_transport_resume_producing(crowd.all[i].base.transport);
        }
    }
    for (int i = 0; i < count; i++) {
        ck_assert(turn_until(crowd.reactor, &crowd.all[i].lost, 1));
    }
    ck_assert_uint_eq(dw_reactor_count(crowd.reactor).connections, 0);
    many_close(&crowd);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* Bytes received and not read, sends prepared, sends unfinished, polls, an attempt, a lookup of
 * buffers: all of it at the moment of the end. */
START_TEST(a_reactor_may_be_freed_with_everything_under_way) {
    int before = open_descriptors();
    struct many many;
    uint16_t port;
    struct probe client = {.made = 0};
    struct probes clients;
    int listener = peer_listen(0, &port);
    int filler = peer_connect(port); /* the queue is full: the next attempt hangs */
    many_open(&many, new_reactor(), 40);
    probes_init(&clients, &client, 1);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(many.reactor, "127.0.0.1", port, &clients.base, 0, NULL, NULL), 0);
    for (int i = 0; i < many.count; i++) {
        static char bytes[5 * 8192];
        many.all[i].echo = i % 2 == 0;
        if (i % 3 == 0) {
            many.all[i].on_data = lose_it;
        }
        ck_assert_int_gt(send(many.peers[i], bytes, sizeof(bytes), 0), 0);
    }
    turns(many.reactor, _i);
    for (int i = 0; i < many.count; i++) {
        if (many.all[i].lost == 0) {
            dw_transport_write(many.all[i].base.transport, "pending", 7);
        }
    }
    many_close(&many);
    close(listener);
    close(filler);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* A descriptor of the program's is forgotten when it is told so: the program may then close it. */
static int told;

static void tell(dw_reactor *reactor, dw_watched *watched, unsigned ready) {
    (void)reactor, (void)watched, (void)ready;
    told++;
}

START_TEST(a_watched_descriptor_is_told_of_as_long_as_it_is_readable_and_watched) {
    dw_reactor *reactor = new_reactor();
    const dw_wire *wire = reactor->wire;
    dw_watched watched = {.io = {.kind = DW_IO_WATCHED}, .ready = tell};
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(wire->adopt(reactor, &watched.io, ends[0]), 0);
    watched.io.want = DW_READABLE;
    wire->watch(reactor, &watched.io);
    turns(reactor, 3);
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    turns(reactor, 3);
    ck_assert_int_eq(told, 3);
    watched.io.want = 0;
    wire->watch(reactor, &watched.io);
    turns(reactor, 3);
    ck_assert_int_eq(told, 3);
    wire->close(reactor, &watched.io, false);
    close(ends[0]);
    close(ends[1]);
    turns(reactor, 3);
    dw_reactor_free(reactor);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("uring_stream");
    TCase *bytes = tcase_create("bytes");
    tcase_set_timeout(bytes, 3 * LIMIT_S);
    tcase_add_test(bytes, bytes_of_all_sizes_are_echoed_in_their_order);
    tcase_add_test(bytes, a_message_comes_in_one_piece_however_the_connection_is_read);
    tcase_add_test(bytes, a_slow_reader_gets_every_byte_before_the_end);
    tcase_add_loop_test(bytes, the_end_waits_for_what_the_wire_has_left, 0, 2);
    tcase_add_test(bytes, what_the_wire_has_left_goes_out_by_itself);
    tcase_add_test(bytes, a_reset_while_the_wire_has_something_left_is_a_loss);
    tcase_add_loop_test(bytes, a_close_in_the_turn_of_a_write_comes_behind_it, 0, 3);
    tcase_add_test(bytes, what_came_before_a_pause_is_read_after_it_and_what_comes_then_too);
    tcase_add_test(bytes, a_peer_that_ended_its_direction_and_reads_nothing_keeps_nobody_busy);
    suite_add_tcase(suite, bytes);
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 3 * LIMIT_S);
    tcase_add_loop_test(ends, an_end_comes_before_the_broken_pipe_that_it_led_to, 0, 2);
    tcase_add_loop_test(ends, received_bytes_that_nobody_read_make_a_close_a_reset, 0, 2);
    tcase_add_test(ends, two_thousand_connections_end_in_all_ways_at_once);
    tcase_add_loop_test(ends, a_reactor_may_be_freed_with_everything_under_way, 0, 5);
    tcase_add_test(ends, a_watched_descriptor_is_told_of_as_long_as_it_is_readable_and_watched);
    suite_add_tcase(suite, ends);
    return run_on_uring(suite);
}
