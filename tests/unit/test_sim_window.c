/* SPDX-License-Identifier: MIT */
/*
 * Windows and whole streams: a reader that pauses stalls its writer, memory stays bounded, and no
 * byte is ever lost, doubled or moved, whatever deviates (RFC 9293, sections 3.4 and 3.8.6).
 */
#include "hash.h"
#include "sim_support.h"
#include "world.h"

static pair p;

static void pause_reading(side *s) {
    dw_transport_pause_producing(s->protocol.transport);
}

static void resume_reading(side *s) {
    dw_transport_resume_producing(s->protocol.transport);
}

static size_t buffered(const side *s) {
    return dw_transport_buffered(s->protocol.transport);
}

/* ---- Back-pressure ---- */

/* The receive buffer takes 65536, the send buffer as many, the rest stays with the writer. */
CALM_TEST(a_reader_that_pauses_stalls_the_writer) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    stream_write(&p.client, 0, 190000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(buffered(&p.client), 190000 - 2 * 65536);
    resume_reading(&p.server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(buffered(&p.client), 0);
    ck_assert_uint_eq(p.server.received, 190000);
    ck_assert(stream_intact(&p.server));
}

CALM_TEST(set_buffers_says_how_much_fits) {
    dw_world_set_buffers(w, 1000, 500);
    pair_connect(&p, w);
    pause_reading(&p.server);
    stream_write(&p.client, 0, 5000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(buffered(&p.client), 3500);
    resume_reading(&p.server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 5000);
    ck_assert(stream_intact(&p.server));
}

/* RFC 9293, section 3.8.6: what was not offered may not be sent. */
CALM_TEST(a_receive_buffer_never_holds_more_than_its_size) {
    dw_world_set_buffers(w, 65536, 500);
    pair_connect(&p, w);
    stream_write(&p.client, 0, 20000);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 20000);
    ck_assert_uint_le(p.server.largest, 500);
    ck_assert(stream_intact(&p.server));
}

CALM_TEST(buffers_of_one_byte_work) {
    dw_world_set_buffers(w, 1, 1);
    pair_connect(&p, w);
    stream_write(&p.client, 0, 300);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.server.received, 300);
    ck_assert_uint_eq(p.server.largest, 1);
    ck_assert(stream_intact(&p.server));
}

/* One window per round trip: the update takes as long as the data did. */
CALM_TEST(a_full_window_waits_a_round_trip_for_its_update) {
    dw_world_set_buffers(w, 65536, 1000);
    pair_connect(&p, w);
    dw_time start = dw_world_now(w);
    stream_write(&p.client, 0, 4000);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 4000);
    ck_assert_int_eq(p.server.data_at - start, DW_MSEC(7)); /* 1 + 3 round trips of 2 */
}

CALM_TEST(fin_waits_behind_bytes_that_wait_for_the_window) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    stream_write(&p.client, 0, 180000);
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.lost, 0); /* not all of it has been taken yet */
    resume_reading(&p.server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 180000);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
}

/* The writer is gone, its kernel still has bytes and the FIN: they come when there is room. */
CALM_TEST(bytes_outlive_the_writer_that_closed) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    stream_write(&p.client, 0, 120000);
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    dw_host_kill(p.client_host);
    resume_reading(&p.server);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.received, 120000);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
}

CALM_TEST(a_reader_that_goes_away_resets_a_stalled_writer) {
    pair_connect(&p, w);
    pause_reading(&p.server);
    stream_write(&p.client, 0, 300000);
    dw_world_run(w, DW_SEC(1));
    dw_host_kill(p.server_host);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

/* ---- Memory ---- */

static size_t sent, slabs;
static void *slab;
static dw_world *the_world;

static void feed(side *s, const uint8_t *data, size_t len) {
    (void)data;
    (void)len;
    if (the_world->memory.current != slab) {
        slab = the_world->memory.current;
        slabs++;
    }
    if (sent < (size_t)64 << 20) {
        stream_write(s == &p.client ? s : &p.client, sent, len);
        sent += len;
    }
}

/* 64 MB pass; the world needs no more for them than for the first few. */
static void much_data(dw_world *w, size_t buffers) {
    dw_world_set_buffers(w, buffers, buffers);
    pair_connect(&p, w);
    the_world = w;
    slab = NULL;
    sent = 4 * buffers;
    slabs = 0;
    p.server.on_data = feed;
    stream_write(&p.client, 0, sent);
    dw_world_run(w, DW_HOUR(1));
    ck_assert_uint_ge(p.server.received, (size_t)64 << 20);
    ck_assert_uint_le(slabs, 6);
}

CALM_TEST(a_long_stream_needs_no_more_memory_than_its_window) {
    much_data(w, 65536);
}

CALM_TEST(a_long_stream_with_large_buffers_needs_bounded_memory) {
    much_data(w, 400000);
}

/* ---- Whole streams under every kind of deviation ---- */

enum { STREAM = 60000, PIECES = 40 };

static size_t piece_at;
static dw_delayed_call next_piece;

static void write_piece(void *user) {
    side *s = user;
    if (s->protocol.transport == NULL || piece_at >= STREAM) {
        return;
    }
    size_t len = 1 + mix64(piece_at) % (2 * STREAM / PIECES);
    len = len < STREAM - piece_at ? len : STREAM - piece_at;
    stream_write(s, piece_at, len);
    piece_at += len;
    if (piece_at < STREAM) {
        dw_reactor_call_later(s->reactor, &next_piece, DW_USEC(300), write_piece, s);
    }
}

static void begin(side *s) {
    write_piece(s);
}

static void end_writing(side *s) {
    (void)s;
    dw_delayed_call_cancel(&next_piece);
}

/* The client streams, the server echoes through small windows: both see a prefix, always. */
static void streaming(dw_world *w) {
    memset(&next_piece, 0, sizeof(next_piece));
    piece_at = 0;
    dw_world_set_buffers(w, 3000, 2000);
    bool listens = pair_try_hosts(&p, w);
    p.server.echo = true;
    p.client.on_made = begin;
    p.client.on_lost = end_writing;
    if (!listens || !side_try_connect(&p.client, "server", 80)) {
        return; /* no memory */
    }
    dw_world_run(w, DW_MIN(2));
    dw_world_heal(w);
    dw_world_run(w, DW_HOUR(2));
    dw_always(w, stream_intact(&p.server), "the server sees a prefix of the stream");
    dw_always(w, stream_intact(&p.client), "the client sees a prefix of the stream");
    bool ended = p.client.lost > 0 || p.client.failed > 0 || p.server.lost > 0;
    dw_always(w, ended || p.server.received == STREAM, "the server sees all of a live stream");
    dw_always(w, ended || p.client.received == STREAM, "the client sees all of a live stream");
    end_writing(&p.client);
}

static void sweep_seeds(uint32_t kinds, uint64_t count, bool must_live) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "streaming", .run = streaming};
    uint64_t complete = 0, deviations = 0;
    for (uint64_t seed = 1; seed <= count; seed++) {
        sim_source source = seeded(seed);
        source.kinds = kinds;
        played result;
        play_scenario(runner, &scenario, source, false, &result);
        ck_assert_msg(!result.outcome.failed, "seed %llu: %s", (unsigned long long)seed,
                      result.outcome.message);
        complete += p.client.received == STREAM;
        deviations += result.outcome.deviations;
        played_free(&result);
    }
    sim_runner_free(runner);
    ck_assert_uint_gt(deviations, count);
    ck_assert_uint_ge(complete, must_live ? count * 99 / 100 : count / 20);
}

#define BIT(kind) (1u << (kind))

/* None of these ends a connection by itself; partition upon partition may, in a time-out. */
START_TEST(no_byte_is_lost_or_moved_by_what_only_delays) {
    sweep_seeds(BIT(SIM_LATENCY) | BIT(SIM_CUT) | BIT(SIM_JOIN) | BIT(SIM_WRITE) | BIT(SIM_ORDER) |
                    BIT(SIM_SYN_DROP) | BIT(SIM_PARTITION),
                2000, true);
}
END_TEST

START_TEST(what_arrives_is_a_prefix_whatever_deviates) {
    sweep_seeds(0, 3000, false);
}
END_TEST

static const sim_kind delays[] = {SIM_LATENCY, SIM_CUT,      SIM_JOIN,     SIM_WRITE,
                                  SIM_ORDER,   SIM_SYN_DROP, SIM_PARTITION};

START_TEST(no_byte_is_lost_or_moved_by_one_kind_alone) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "streaming", .run = streaming};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_source source = seeded(seed);
        source.kinds = BIT(delays[_i]);
        played result;
        play_scenario(runner, &scenario, source, false, &result);
        expect_good(&result);
        ck_assert(p.client.received == STREAM || delays[_i] == SIM_PARTITION);
        played_free(&result);
    }
    sim_runner_free(runner);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_window");
    TCase *tc = tcase_create("back-pressure");
    tcase_add_test(tc, a_reader_that_pauses_stalls_the_writer);
    tcase_add_test(tc, set_buffers_says_how_much_fits);
    tcase_add_test(tc, a_receive_buffer_never_holds_more_than_its_size);
    tcase_add_test(tc, buffers_of_one_byte_work);
    tcase_add_test(tc, a_full_window_waits_a_round_trip_for_its_update);
    tcase_add_test(tc, fin_waits_behind_bytes_that_wait_for_the_window);
    tcase_add_test(tc, bytes_outlive_the_writer_that_closed);
    tcase_add_test(tc, a_reader_that_goes_away_resets_a_stalled_writer);
    suite_add_tcase(suite, tc);
    tc = tcase_create("long streams");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_long_stream_needs_no_more_memory_than_its_window);
    tcase_add_test(tc, a_long_stream_with_large_buffers_needs_bounded_memory);
    tcase_add_test(tc, no_byte_is_lost_or_moved_by_what_only_delays);
    tcase_add_test(tc, what_arrives_is_a_prefix_whatever_deviates);
    tcase_add_loop_test(tc, no_byte_is_lost_or_moved_by_one_kind_alone, 0,
                        sizeof(delays) / sizeof(delays[0]));
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
