/* SPDX-License-Identifier: MIT */
/*
 * UDP on the dry wire under faults: what each choice does to a datagram, which choices are offered
 * and when, seeds that replay, and the timeline of it. Sums are by hand.
 */
#include "sim_datagrams.h"

#include <drywire/backend.h>

static two_ears t;

/* ---- Faults ---- */

LIST_TEST(lose_loses_this_one, {"udp client:5000>server:53", "lose", 2, 1}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    two_say(&t, 1, "b");
    two_say(&t, 1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ac");
}

LIST_TEST(duplicate_sends_two_of_it, {"udp client:5000>server:53", "duplicate", 2, 1}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    two_say(&t, 1, "b");
    two_say(&t, 1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "abbc");
}

/* Each of the two is a datagram by itself: its draws are those behind the first one's. */
LIST_TEST(a_duplicate_may_be_late_and_lost, {"udp client:5000>server:53", "duplicate", 1, 1},
          {"udp client:5000>server:53", "reorder", 2, DW_MSEC(10)},
          {"udp client:5000>server:53", "lose", 1, 1}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "a");
    ck_assert_int_eq(t.server.heard_at, DW_MSEC(11));
}

LIST_TEST(reorder_lets_later_ones_overtake,
          {"udp client:5000>server:53", "reorder", 1, DW_USEC(1500)}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    two_say(&t, 1, "b");
    dw_world_run(w, DW_MSEC(1));
    two_say(&t, 1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "bca");
    ck_assert_uint_eq(t.server.heard, 3);
}

/* 'a' is 0x61: bit 1 makes it 0x63; value 2 is bit 1. Value 16 is the highest bit of byte 1. */
LIST_TEST(corrupt_inverts_one_bit, {"udp client:5000>server:53", "corrupt", 1, 2},
          {"udp client:5000>server:53", "corrupt", 2, 16}) {
    two_init(&t, w);
    two_say(&t, 1, "abc");
    dw_world_run(w, DW_MSEC(2));
    ck_assert(ear_has(&t.server, "cbc"));
    two_say(&t, 1, "abc");
    dw_world_run(w, DW_MSEC(2));
    ck_assert_mem_eq(t.server.bytes, "a\xe2\x63", 3);
    two_say(&t, 1, "abc");
    dw_world_run(w, DW_SEC(1));
    ck_assert(ear_has(&t.server, "abc"));
}

LIST_TEST(unreachable_refuses_though_somebody_is_there,
          {"udp client:5000>server:53", "unreachable", 2, 1}) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "a");
    ear_tell(&t.client, "b");
    dw_world_run(w, DW_SEC(1));
    ear_tell(&t.client, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ac");
    ck_assert_uint_eq(t.client.refused, 1);
    ck_assert_int_eq(t.client.refused_at, DW_MSEC(2));
}

LIST_TEST(a_datagram_is_late_by_the_links_choice_too,
          {"link client>server", "latency", 1, DW_MSEC(9)}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    two_say(&t, 1, "b");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "ba");
    ck_assert_int_eq(t.server.heard_at, DW_MSEC(10));
}

LIST_TEST(a_partition_by_choice_loses_for_so_long,
          {"link client>server", "partition", 1, DW_MSEC(40)}) {
    two_init(&t, w);
    two_say(&t, 1, "a");
    dw_world_run(w, DW_MSEC(20));
    two_say(&t, 1, "b");
    dw_world_run(w, DW_MSEC(25));
    two_say(&t, 1, "c");
    dw_world_run(w, DW_SEC(1));
    ck_assert_str_eq(t.server.firsts, "c");
}

/* ---- What is offered, and seeds ---- */

enum { DATAGRAM_KINDS = 5 };
static const sim_kind kinds[DATAGRAM_KINDS] = {SIM_LOSE, SIM_DUPLICATE, SIM_REORDER, SIM_CORRUPT,
                                               SIM_UNREACHABLE};

static uint32_t all_kinds(void) {
    uint32_t bits = 0;
    for (int i = 0; i < DATAGRAM_KINDS; i++) {
        bits |= 1u << kinds[i];
    }
    return bits;
}

static sim_offers offers_of(void (*run)(dw_world *w), uint32_t of_kinds) {
    sim_offers offers = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = of_kinds};
    dw_scenario scenario = {.name = "offers", .run = run};
    sim_runner *runner = sim_runner_new();
    sim_source source = calm();
    sim_outcome outcome;
    sim_run(runner, &scenario, &source, &options, &outcome);
    ck_assert(!outcome.failed);
    sim_runner_free(runner);
    return offers;
}

static void one_connected(dw_world *w) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_datagram_that_arrives_offers_each_draw_once) {
    static const struct {
        const char *what;
        uint64_t options;
    } expected[] = {{"reorder", 0},
                    {"duplicate", 2},
                    {"lose", 2},
                    {"unreachable", 2},
                    {"corrupt", 25}}; /* 3 bytes of 8 bits, and none */
    sim_offers offers = offers_of(one_connected, all_kinds());
    ck_assert_uint_eq(offers.count, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(offers.items[i].at.who, "udp client:5000>server:53");
        ck_assert_str_eq(offers.items[i].at.what, expected[i].what);
        ck_assert_uint_eq(offers.items[i].at.nth, 1);
        ck_assert_uint_eq(offers.items[i].options, expected[i].options);
    }
    sim_offers_free(&offers);
}
END_TEST

/* Nobody would notice whether one is lost that nobody gets. */
static void none_gets_any(dw_world *w) {
    two_init(&t, w);
    ear_say(&t.client, "closed", "10.0.0.1", 54);
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, t.server_host, t.client_host);
    ear_say(&t.client, "cut", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(one_that_nobody_gets_offers_nothing_at_its_end) {
    sim_offers offers = offers_of(none_gets_any, all_kinds() | 1u << SIM_LATENCY);
    ck_assert_uint_eq(offers.count, 6); /* and no ICMP message for who would not hear of it */
    for (size_t i = 0; i < offers.count; i++) {
        sim_kind kind = sim_kind_of(offers.items[i].at.what);
        ck_assert(kind == SIM_REORDER || kind == SIM_DUPLICATE || kind == SIM_LATENCY);
    }
    sim_offers_free(&offers);
}
END_TEST

static void too_large(dw_world *w) {
    two_init(&t, w);
    dw_world_set_mtu(w, t.server_host, t.client_host, 30);
    ear_say(&t.client, "large", "10.0.0.1", 53);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(one_that_is_too_large_offers_nothing) {
    sim_offers offers = offers_of(too_large, all_kinds() | 1u << SIM_LATENCY);
    ck_assert_uint_eq(offers.count, 0);
    sim_offers_free(&offers);
}
END_TEST

static void answer(ear *e) {
    if (e->heard < 200) {
        dw_datagram_write(e->port, e->bytes, e->heard <= EAR_KEEP ? e->lens[e->heard - 1] : 1,
                          &e->from);
    }
}

/* Ears that answer each other, one by a connected port; killed and restarted meanwhile. */
static void chatty(dw_world *w) {
    static ear connected;
    two_init(&t, w);
    ear_listen(&connected, t.client_host, 0);
    ear_connect(&connected, "10.0.0.1", 53);
    t.server.on_heard = t.client.on_heard = answer;
    for (int i = 0; i < 10; i++) {
        if (t.client.port == NULL || connected.port == NULL) {
            break;
        }
        ear_send(&t.client, "hello", "10.0.0.1", 53);
        dw_datagram_write(connected.port, "connected", 9, NULL);
        dw_world_run(w, DW_MSEC(3));
    }
    dw_world_run(w, DW_SEC(1));
}

START_TEST(what_a_seed_took_of_datagrams_replays_as_a_list) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "chatty", .run = chatty};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_source source = seeded(seed);
        source.kinds = all_kinds() | 1u << SIM_LATENCY | 1u << SIM_PARTITION | 1u << SIM_ORDER;
        played first, second;
        play_scenario(runner, &scenario, source, seed % 10 == 0, &first);
        play_scenario(runner, &scenario, listed(&first.taken), seed % 10 == 0, &second);
        expect_good(&first);
        ck_assert_msg(first.outcome.hash == second.outcome.hash, "seed %llu",
                      (unsigned long long)seed);
        ck_assert_uint_eq(first.taken.count, second.taken.count);
        if (first.timeline != NULL) {
            ck_assert_str_eq(first.timeline, second.timeline);
        }
        played_free(&first);
        played_free(&second);
    }
    sim_runner_free(runner);
}
END_TEST

START_TEST(every_offer_of_a_datagram_can_be_taken) {
    sim_offers offers = offers_of(chatty, all_kinds());
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "chatty", .run = chatty};
    unsigned met[DATAGRAM_KINDS] = {0};
    size_t step = offers.count / 200 + 1;
    for (size_t i = 0; i < offers.count; i += step) {
        sim_deviation d = offers.items[i].at;
        sim_list list = {&d, 1, 1};
        played result;
        d.value = sim_kind_is_time(sim_kind_of(d.what)) ? (uint64_t)DW_MSEC(30)
                                                        : offers.items[i].options - 1;
        play_scenario(runner, &scenario, listed(&list), false, &result);
        expect_good(&result);
        ck_assert_uint_eq(result.taken.count, 1);
        ck_assert(same_deviation(&result.taken.items[0], &d));
        for (int k = 0; k < DATAGRAM_KINDS; k++) {
            met[k] += sim_kind_of(d.what) == kinds[k];
        }
        played_free(&result);
    }
    for (int k = 0; k < DATAGRAM_KINDS; k++) {
        ck_assert_msg(met[k] > 0, "%s", sim_kind_name(kinds[k]));
    }
    sim_runner_free(runner);
    sim_offers_free(&offers);
}
END_TEST

/* ---- Seeing it ---- */

static void three_fates(dw_world *w) {
    two_init(&t, w);
    ear_connect(&t.client, "10.0.0.1", 53);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
    dw_world_partition(w, t.server_host, t.client_host);
    ear_tell(&t.client, "abc");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(the_timeline_tells_what_became_of_each) {
    static const char *const lines[] = {
        "udp client:5000>server:53       sent, 3 bytes",
        "udp client:5000>server:53       arrives",
        "udp server:53                   ear: datagram_received 3 \"abc\"",
        "udp client:5000>server:53       datagram lost: the link is cut",
    };
    played p;
    play(three_fates, calm(), true, &p);
    expect_good(&p);
    const char *at = p.timeline;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *found = strstr(at, lines[i]);
        ck_assert_msg(found != NULL, "'%s' is not in\n%s", lines[i], p.timeline);
        at = found;
    }
    played_free(&p);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_datagram_faults");
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, lose_loses_this_one);
    tcase_add_test(tc, duplicate_sends_two_of_it);
    tcase_add_test(tc, a_duplicate_may_be_late_and_lost);
    tcase_add_test(tc, reorder_lets_later_ones_overtake);
    tcase_add_test(tc, corrupt_inverts_one_bit);
    tcase_add_test(tc, unreachable_refuses_though_somebody_is_there);
    tcase_add_test(tc, a_datagram_is_late_by_the_links_choice_too);
    tcase_add_test(tc, a_partition_by_choice_loses_for_so_long);
    tcase_add_test(tc, a_datagram_that_arrives_offers_each_draw_once);
    tcase_add_test(tc, one_that_nobody_gets_offers_nothing_at_its_end);
    tcase_add_test(tc, one_that_is_too_large_offers_nothing);
    tcase_add_test(tc, what_a_seed_took_of_datagrams_replays_as_a_list);
    tcase_add_test(tc, every_offer_of_a_datagram_can_be_taken);
    tcase_add_test(tc, the_timeline_tells_what_became_of_each);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
