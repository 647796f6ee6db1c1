/* SPDX-License-Identifier: MIT */
/*
 * Choices: each kind does what deviation.h says of it, at the draw that is named and at no other;
 * what a seed took replays as a list to the same run; one deviation less leaves the others alone.
 */
#include "sim_support.h"

static pair p;

static void write_hello(side *s) {
    side_write(s, "hello");
}

static void hello_pair(dw_world *w) {
    pair_hosts(&p, w);
    p.client.on_made = write_hello;
    side_connect(&p.client, "10.0.0.1", 80);
}

/* ---- Kind by kind ---- */

/* Packets from the client: SYN, ACK, data. */
LIST_TEST(latency_delays_one_packet, {"link client>server", "latency", 1, 250000000}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.made_at, DW_MSEC(252));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(253));
}

LIST_TEST(latency_of_one_segment_holds_up_those_behind_it,
          {"link client>server", "latency", 3, 100000000}) {
    hello_pair(w);
    dw_world_run(w, DW_MSEC(10));
    side_write(&p.client, " again");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello again"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(103));
}

LIST_TEST(cut_delivers_so_many_bytes_first, {"client:1>server:80", "cut", 1, 2}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_uint_eq(p.server.data_calls, 2);
    ck_assert_uint_eq(p.server.largest, 3);
}

/* The rest is one delivery of its own, and can be cut again. */
LIST_TEST(cuts_of_one_segment_follow_each_other, {"client:1>server:80", "cut", 1, 1},
          {"client:1>server:80", "cut", 2, 1}, {"client:1>server:80", "cut", 3, 1}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_uint_eq(p.server.data_calls, 4);
    ck_assert_uint_eq(p.server.largest, 2);
}

static void join_two(dw_world *w, dw_time between) {
    hello_pair(w);
    dw_world_run(w, DW_MSEC(2) + between);
    side_write(&p.client, " there");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello there"));
}

LIST_TEST(join_waits_for_the_next_segment, {"client:1>server:80", "join", 1, 1}) {
    join_two(w, DW_MSEC(20));
    ck_assert_uint_eq(p.server.data_calls, 1);
    ck_assert_int_eq(p.server.data_at, DW_MSEC(23));
}

LIST_TEST(join_waits_forty_milliseconds_at_most, {"client:1>server:80", "join", 1, 1}) {
    join_two(w, DW_MSEC(60));
    ck_assert_uint_eq(p.server.data_calls, 2);
    ck_assert_int_eq(p.server.data_at, DW_MSEC(63));
}

LIST_TEST(join_does_not_hold_back_the_end, {"client:1>server:80", "join", 1, 1}) {
    hello_pair(w);
    dw_world_run(w, DW_MSEC(2));
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(2));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_uint_eq(p.server.lost, 1);
}

LIST_TEST(a_cut_falls_anywhere_in_joined_segments, {"client:1>server:80", "join", 1, 1},
          {"client:1>server:80", "cut", 1, 7}) {
    join_two(w, DW_MSEC(20));
    ck_assert_uint_eq(p.server.data_calls, 2);
    ck_assert_uint_eq(p.server.largest, 7);
}

LIST_TEST(reset_comes_instead_of_this_delivery, {"client:1>server:80", "reset", 2, 1}) {
    hello_pair(w);
    dw_world_run(w, DW_MSEC(10));
    side_write(&p.client, " lost");
    side_write(&p.server, "answer");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_LOST);
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert(side_has(&p.client, "answer")); /* it was on its way before */
}

/* Further segments are in flight behind the one that is not delivered. */
LIST_TEST(reset_takes_what_is_in_flight_along, {"client:1>server:80", "reset", 1, 1}) {
    pair_connect(&p, w);
    dw_world_set_latency(w, p.client_host, p.server_host, DW_MSEC(50));
    for (int i = 0; i < 5; i++) {
        side_write(&p.client, "segment");
        dw_world_run(w, DW_MSEC(3));
    }
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(p.server.received, 0);
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
}

LIST_TEST(close_is_an_orderly_end_for_both_instead_of_this_delivery,
          {"client:1>server:80", "close", 2, 1}) {
    hello_pair(w);
    dw_world_run(w, DW_MSEC(10));
    side_write(&p.client, " lost");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
}

LIST_TEST(close_takes_what_is_in_flight_along, {"client:1>server:80", "close", 1, 1}) {
    pair_connect(&p, w);
    dw_world_set_latency(w, p.client_host, p.server_host, DW_MSEC(50));
    for (int i = 0; i < 5; i++) {
        side_write(&p.client, "segment");
        dw_world_run(w, DW_MSEC(3));
    }
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert_uint_eq(p.server.received, 0);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
    /* Its last segments may have met the closed one: then it hears of that first. */
    ck_assert_uint_eq(p.client.lost, 1);
}

LIST_TEST(refuse_answers_this_syn_only, {"client:1>server:80", "refuse", 1, 1}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_REFUSED);
    ck_assert_int_eq(p.client.failed_at, DW_MSEC(2));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
}

/* tcp(7): retries after 1, 3 and 7 seconds. */
LIST_TEST(syn_drop_loses_so_many_in_a_row, {"client:1>server:80", "syn-drop", 1, 3}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(60));
    ck_assert_int_eq(p.client.made_at, DW_SEC(7) + DW_MSEC(2));
}

LIST_TEST(six_lost_syns_leave_the_last_one, {"client:1>server:80", "syn-drop", 1, 6}) {
    hello_pair(w);
    dw_world_run(w, DW_MIN(5));
    ck_assert_int_eq(p.client.made_at, DW_SEC(63) + DW_MSEC(2));
}

LIST_TEST(partition_cuts_both_ways_for_so_long,
          {"link client>server", "partition", 3, 5000000000}) {
    hello_pair(w); /* the third packet is the data, due at 3 ms */
    dw_world_run(w, DW_MSEC(10));
    side_write(&p.server, "back");
    dw_world_run(w, DW_SEC(4));
    ck_assert_uint_eq(p.server.received + p.client.received, 0);
    dw_world_run(w, DW_SEC(20));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert(side_has(&p.client, "back"));
    ck_assert_int_ge(p.server.data_at, DW_SEC(5));
    ck_assert_int_ge(p.client.data_at, DW_SEC(5));
}

static char order_log[8];

static void log_a(void *user) {
    (void)user;
    strcat(order_log, "a");
}

static void log_b(void *user) {
    (void)user;
    strcat(order_log, "b");
}

static void log_c(void *user) {
    (void)user;
    strcat(order_log, "c");
}

static void three_at_once(dw_world *w) {
    order_log[0] = '\0';
    dw_world_after(w, DW_MSEC(1), log_a, NULL);
    dw_world_after(w, DW_MSEC(1), log_b, NULL);
    dw_world_after(w, DW_MSEC(1), log_c, NULL);
    dw_world_run(w, DW_SEC(1));
}

CALM_TEST(simultaneous_events_come_first_in_first_out_when_calm) {
    three_at_once(w);
    ck_assert_str_eq(order_log, "abc");
}

LIST_TEST(order_picks_which_comes_first, {"world", "order", 1, 2}) {
    three_at_once(w);
    ck_assert_str_eq(order_log, "cab");
}

LIST_TEST(order_is_drawn_anew_for_the_rest, {"world", "order", 1, 1}, {"world", "order", 2, 1}) {
    three_at_once(w);
    ck_assert_str_eq(order_log, "bca");
}

LIST_TEST(write_accepts_so_many_bytes, {"client:1>server:80", "write", 1, 2}) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "hello"));
    ck_assert_uint_eq(p.server.data_calls, 2);
    ck_assert_uint_eq(p.server.largest, 3);
}

LIST_TEST(alloc_fails_this_allocation_only, {"client", "alloc", 2, 1}) {
    dw_reactor *r = dw_host_reactor(dw_world_add_host(w, "client", NULL, NULL));
    void *a = dw_alloc(r, 10), *b = dw_alloc(r, 10), *c = dw_alloc(r, 10);
    ck_assert(a != NULL && b == NULL && c != NULL);
    dw_free(r, a);
    dw_free(r, c);
}

LIST_TEST(a_resize_that_fails_leaves_the_block_as_it_was, {"client", "alloc", 2, 1}) {
    dw_reactor *r = dw_host_reactor(dw_world_add_host(w, "client", NULL, NULL));
    char *a = dw_alloc(r, 4);
    memcpy(a, "abc", 4);
    ck_assert_ptr_null(dw_resize(r, a, 1000));
    ck_assert_str_eq(a, "abc");
    a = dw_resize(r, a, 1000);
    ck_assert_str_eq(a, "abc");
    dw_free(r, a);
}

LIST_TEST(a_users_choice_is_counted_per_host_and_name, {"client", "colour", 2, 3},
          {"client", "size", 1, 1}, {"server", "colour", 1, 4}) {
    pair_hosts(&p, w);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 0);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 3);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 0);
    ck_assert_uint_eq(dw_choose(p.server.reactor, "colour", 5), 4);
    ck_assert(dw_maybe(p.client.reactor, "size"));
    ck_assert(!dw_maybe(p.client.reactor, "size"));
}

LIST_TEST(the_scenario_chooses_too, {"scenario", "weather", 2, 6}) {
    ck_assert_uint_eq(dw_world_choose(w, "weather", 7), 0);
    ck_assert_uint_eq(dw_world_choose(w, "weather", 7), 6);
    ck_assert_uint_eq(dw_world_choose(w, "weather", 7), 0);
}

CALM_TEST(calm_answers_are_zero) {
    pair_hosts(&p, w);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 0);
    ck_assert(!dw_maybe(p.client.reactor, "size"));
    ck_assert_uint_eq(dw_world_choose(w, "weather", 7), 0);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "only one", 1), 0);
}

/* ---- Lists that do not quite fit ---- */

static void choose_thrice(dw_world *w) {
    uint32_t a = dw_world_choose(w, "x", 4);
    uint32_t b = dw_world_choose(w, "x", 4);
    uint32_t c = dw_world_choose(w, "x", 4);
    dw_world_note(w, "chose %u%u%u", a, b, c);
}

static void expect_note(const sim_list *list, const char *note, size_t taken) {
    played result;
    play(choose_thrice, listed(list), true, &result);
    expect_good(&result);
    ck_assert_msg(strstr(result.timeline, note) != NULL, "%s", result.timeline);
    ck_assert_uint_eq(result.taken.count, taken);
    played_free(&result);
}

START_TEST(a_value_too_large_becomes_the_largest) {
    sim_list list = {0};
    deviate(&list, "scenario", "x", 2, 99);
    expect_note(&list, "chose 030", 1);
    sim_list_free(&list);
}
END_TEST

START_TEST(deviations_that_meet_no_draw_do_nothing) {
    sim_list list = {0};
    deviate(&list, "scenario", "x", 4, 1); /* there are three draws */
    deviate(&list, "scenario", "y", 1, 1);
    deviate(&list, "nobody", "x", 1, 1);
    deviate(&list, "scenario", "x", 0, 1); /* the first draw is 1 */
    expect_note(&list, "chose 000", 0);
    sim_list_free(&list);
}
END_TEST

static void one_late_packet(dw_world *w) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.made, 0);
}

/* Whatever a file says: the packet just never comes. */
START_TEST(a_latency_without_bounds_is_never) {
    sim_list list = {0};
    played result;
    deviate(&list, "link client>server", "latency", 1, UINT64_MAX);
    play(one_late_packet, listed(&list), true, &result);
    expect_good(&result);
    played_free(&result);
    list.items[0].value = INT64_MAX;
    play(one_late_packet, listed(&list), true, &result);
    expect_good(&result);
    played_free(&result);
    sim_list_free(&list);
}
END_TEST

/* ---- heal ---- */

static void heal_in_between(dw_world *w) {
    pair_hosts(&p, w);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 3);
    dw_world_heal(w);
    ck_assert_uint_eq(dw_choose(p.client.reactor, "colour", 5), 0);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.server.made, 1);
}

START_TEST(heal_makes_every_later_choice_calm) {
    sim_list list = {0};
    played result;
    deviate(&list, "client", "colour", 1, 3);
    deviate(&list, "client", "colour", 2, 3);
    deviate(&list, "client:1>server:80", "refuse", 1, 1);
    play(heal_in_between, listed(&list), true, &result);
    expect_good(&result);
    ck_assert_uint_eq(result.taken.count, 1);
    played_free(&result);
    sim_list_free(&list);
}
END_TEST

/* ---- Names ---- */

static const char *choice_name;

static void choose_by_name(dw_world *w) {
    dw_host *host = dw_world_add_host(w, "client", NULL, NULL);
    dw_choose(dw_host_reactor(host), choice_name, 2);
}

/* A run file could not say which of two it means, or could not be read back. */
START_TEST(a_choice_by_a_bad_name_is_a_broken_contract) {
    static const char *const names[] = {"alloc",     "latency",
                                        "two words", "",
                                        "tab\tbed",  "a-name-of-more-than-forty-characters-is-cut"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        played result;
        choice_name = names[i];
        play(choose_by_name, calm(), false, &result);
        ck_assert_msg(result.outcome.failed, "'%s'", names[i]);
        ck_assert_str_eq(result.outcome.oracle, "contract");
        played_free(&result);
    }
    choice_name = "skip-ack";
    expect_calm(choose_by_name);
}
END_TEST

/* ---- Offers ---- */

static void hello_once(dw_world *w) {
    hello_pair(w);
    dw_world_run(w, DW_SEC(1));
}

static sim_offers offers_of(void (*run)(dw_world *world), uint32_t kinds) {
    sim_offers offers = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = kinds};
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "offers", .run = run};
    sim_source source = calm();
    sim_outcome outcome;
    sim_run(runner, &scenario, &source, &options, &outcome);
    ck_assert(!outcome.failed);
    ck_assert_uint_eq(outcome.deviations, 0);
    sim_runner_free(runner);
    return offers;
}

START_TEST(a_calm_run_offers_each_draw_once) {
    sim_offers offers = offers_of(hello_once, 1u << SIM_CUT | 1u << SIM_RESET | 1u << SIM_SYN_DROP);
    static const sim_offer expected[] = {
        {.at = {"client:1>server:80", "syn-drop", 1, 0}, .options = 7}, /* 0 to 6 lost */
        {.at = {"client:1>server:80", "reset", 1, 0}, .options = 2},
        {.at = {"client:1>server:80", "cut", 1, 0}, .options = 5},
    };
    ck_assert_uint_eq(offers.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(same_deviation(&offers.items[i].at, &expected[i].at));
        ck_assert_uint_eq(offers.items[i].options, expected[i].options);
    }
    sim_offers_free(&offers);
}
END_TEST

START_TEST(times_are_offered_without_a_number_of_answers) {
    sim_offers offers = offers_of(hello_once, 1u << SIM_LATENCY);
    ck_assert_uint_eq(offers.count, 4); /* SYN, SYN-ACK, ACK, data */
    ck_assert_str_eq(offers.items[0].at.who, "link client>server");
    ck_assert_str_eq(offers.items[1].at.who, "link server>client");
    ck_assert_uint_eq(offers.items[3].at.nth, 3);
    ck_assert_uint_eq(offers.items[3].options, 0);
    sim_offers_free(&offers);
}
END_TEST

/* What the busy scenario draws; the other kinds are tried where there is something for them:
 * datagrams, child processes. */
enum { BUSY_KINDS = 12 };
static const sim_kind busy_kinds[BUSY_KINDS] = {SIM_CUT,       SIM_JOIN,     SIM_RESET, SIM_CLOSE,
                                                SIM_REFUSE,    SIM_SYN_DROP, SIM_WRITE, SIM_USER,
                                                SIM_PARTITION, SIM_LATENCY,  SIM_ORDER, SIM_ALLOC};

/* What was offered can be taken: a sweep of one deviation each. */
START_TEST(every_offer_of_a_busy_run_can_be_taken) {
    sim_kind kind = busy_kinds[_i];
    sim_offers offers = offers_of(busy, 1u << kind);
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "busy", .run = busy};
    size_t step = offers.count / 100 + 1;
    ck_assert_uint_gt(offers.count, 0);
    for (size_t i = 0; i < offers.count; i += step) {
        sim_deviation d = offers.items[i].at;
        played result;
        sim_list list = {&d, 1, 1};
        d.value = sim_kind_is_time(kind) ? (uint64_t)DW_MSEC(30) : offers.items[i].options - 1;
        play_scenario(runner, &scenario, listed(&list), false, &result);
        ck_assert_msg(!result.outcome.failed, "%s %s %llu: %s", d.who, d.what,
                      (unsigned long long)d.nth, result.outcome.message);
        ck_assert_uint_eq(result.taken.count, 1);
        ck_assert(same_deviation(&result.taken.items[0], &d));
        played_free(&result);
    }
    sim_runner_free(runner);
    sim_offers_free(&offers);
}
END_TEST

/* ---- Seeds ---- */

static void hello_or_nothing(dw_world *w) {
    bool listens = pair_try_hosts(&p, w);
    p.client.on_made = write_hello;
    if (listens && side_try_connect(&p.client, "server", 80)) {
        dw_world_run(w, DW_MIN(1));
    }
}

static void (*const scenarios[])(dw_world *) = {busy, hello_or_nothing, three_at_once};

START_TEST(what_a_seed_took_replays_as_a_list_to_the_same_run) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "replayed", .run = scenarios[_i]};
    uint64_t deviations = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        bool traced = seed % 10 == 0;
        played first, second;
        play_scenario(runner, &scenario, seeded(seed), traced, &first);
        play_scenario(runner, &scenario, listed(&first.taken), traced, &second);
        ck_assert_msg(first.outcome.hash == second.outcome.hash, "seed %llu",
                      (unsigned long long)seed);
        ck_assert_uint_eq(first.outcome.events, second.outcome.events);
        ck_assert_int_eq(first.outcome.virtual_time, second.outcome.virtual_time);
        ck_assert_uint_eq(first.taken.count, second.taken.count);
        for (size_t i = 0; i < first.taken.count; i++) {
            ck_assert(same_deviation(&first.taken.items[i], &second.taken.items[i]));
        }
        if (traced) {
            ck_assert_str_eq(first.timeline, second.timeline);
        }
        deviations += first.outcome.deviations;
        expect_good(&first);
        played_free(&first);
        played_free(&second);
    }
    ck_assert_uint_gt(deviations, 50);
    sim_runner_free(runner);
}
END_TEST

START_TEST(seeds_use_every_kind_and_only_those_allowed) {
    uint64_t counts[SIM_KIND_COUNT] = {0}, cuts[SIM_KIND_COUNT] = {0};
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "busy", .run = busy};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_run_options options = {.kind_counts = counts};
        sim_source source = seeded(seed);
        sim_outcome outcome;
        sim_run(runner, &scenario, &source, &options, &outcome);
        source.kinds = 1u << SIM_CUT | 1u << SIM_USER;
        options.kind_counts = cuts;
        sim_run(runner, &scenario, &source, &options, &outcome);
    }
    sim_runner_free(runner);
    for (int i = 0; i < BUSY_KINDS; i++) {
        ck_assert_msg(counts[busy_kinds[i]] > 0, "%s", sim_kind_name(busy_kinds[i]));
    }
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        ck_assert_msg((cuts[kind] > 0) == (kind == SIM_CUT || kind == SIM_USER), "%s",
                      sim_kind_name((sim_kind)kind));
    }
}
END_TEST

static void check_told(void *user, const sim_deviation *deviation) {
    ck_assert(sim_list_add(user, deviation));
}

START_TEST(a_deviation_is_told_as_it_is_taken) {
    sim_list told = {0};
    sim_run_options options = {.on_deviation = check_told, .on_deviation_user = &told};
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "busy", .run = busy};
    sim_source source = seeded(12);
    sim_outcome outcome;
    sim_run(runner, &scenario, &source, &options, &outcome);
    const sim_list *taken = sim_runner_taken(runner);
    ck_assert_uint_gt(told.count, 0);
    ck_assert_uint_eq(told.count, taken->count);
    ck_assert_uint_eq(told.count, outcome.deviations);
    for (size_t i = 0; i < told.count; i++) {
        ck_assert(same_deviation(&told.items[i], &taken->items[i]));
    }
    sim_list_free(&told);
    sim_runner_free(runner);
}
END_TEST

/* Names have no effect on the run; who listens still hears them. */
START_TEST(a_nameless_run_is_the_same_run) {
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "busy", .run = busy};
    for (uint64_t seed = 1; seed <= 50; seed++) {
        sim_list told = {0};
        sim_run_options named = {0}, nameless = {.nameless = true};
        sim_source source = seeded(seed);
        sim_outcome first, second;
        sim_run(runner, &scenario, &source, &named, &first);
        ck_assert_uint_eq(sim_runner_taken(runner)->count, first.deviations);
        sim_run(runner, &scenario, &source, &nameless, &second);
        ck_assert_uint_eq(sim_runner_taken(runner)->count, 0);
        ck_assert_uint_eq(second.hash, first.hash);
        ck_assert_uint_eq(second.deviations, first.deviations);
        nameless.on_deviation = check_told;
        nameless.on_deviation_user = &told;
        sim_run(runner, &scenario, &source, &nameless, &second);
        ck_assert_uint_eq(told.count, first.deviations);
        ck_assert_uint_eq(second.hash, first.hash);
        sim_list_free(&told);
    }
    sim_runner_free(runner);
}
END_TEST

/* ---- One less ---- */

START_TEST(one_deviation_less_leaves_the_others_where_they_were) {
    sim_list all = {0};
    deviate(&all, "client-0:1>server:7", "cut", 1, 3);
    deviate(&all, "client-1:1>server:7", "write", 2, 1);
    deviate(&all, "link server>client-2", "latency", 2, 3000000);
    deviate(&all, "client-2", "shout", 1, 1);
    deviate(&all, "scenario", "dark", 1, 2);
    deviate(&all, "server:7>client-0:1", "join", 2, 1);
    for (size_t without = 0; without < all.count; without++) {
        sim_list list = {0};
        for (size_t i = 0; i < all.count; i++) {
            if (i != without) {
                ck_assert(sim_list_add(&list, &all.items[i]));
            }
        }
        expect_list(busy, list.items, list.count);
        sim_list_free(&list);
    }
    expect_list(busy, all.items, all.count);
    sim_list_free(&all);
}
END_TEST

static TCase *kinds_case(void) {
    TCase *tc = tcase_create("kinds");
    tcase_add_test(tc, latency_delays_one_packet);
    tcase_add_test(tc, latency_of_one_segment_holds_up_those_behind_it);
    tcase_add_test(tc, cut_delivers_so_many_bytes_first);
    tcase_add_test(tc, cuts_of_one_segment_follow_each_other);
    tcase_add_test(tc, join_waits_for_the_next_segment);
    tcase_add_test(tc, join_waits_forty_milliseconds_at_most);
    tcase_add_test(tc, join_does_not_hold_back_the_end);
    tcase_add_test(tc, a_cut_falls_anywhere_in_joined_segments);
    tcase_add_test(tc, reset_comes_instead_of_this_delivery);
    tcase_add_test(tc, reset_takes_what_is_in_flight_along);
    tcase_add_test(tc, close_is_an_orderly_end_for_both_instead_of_this_delivery);
    tcase_add_test(tc, close_takes_what_is_in_flight_along);
    tcase_add_test(tc, refuse_answers_this_syn_only);
    tcase_add_test(tc, syn_drop_loses_so_many_in_a_row);
    tcase_add_test(tc, six_lost_syns_leave_the_last_one);
    tcase_add_test(tc, partition_cuts_both_ways_for_so_long);
    tcase_add_test(tc, simultaneous_events_come_first_in_first_out_when_calm);
    tcase_add_test(tc, order_picks_which_comes_first);
    tcase_add_test(tc, order_is_drawn_anew_for_the_rest);
    tcase_add_test(tc, write_accepts_so_many_bytes);
    tcase_add_test(tc, alloc_fails_this_allocation_only);
    tcase_add_test(tc, a_resize_that_fails_leaves_the_block_as_it_was);
    tcase_add_test(tc, a_users_choice_is_counted_per_host_and_name);
    tcase_add_test(tc, the_scenario_chooses_too);
    tcase_add_test(tc, calm_answers_are_zero);
    return tc;
}

static TCase *lists_case(void) {
    TCase *tc = tcase_create("lists, offers and seeds");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_value_too_large_becomes_the_largest);
    tcase_add_test(tc, deviations_that_meet_no_draw_do_nothing);
    tcase_add_test(tc, a_latency_without_bounds_is_never);
    tcase_add_test(tc, heal_makes_every_later_choice_calm);
    tcase_add_test(tc, a_choice_by_a_bad_name_is_a_broken_contract);
    tcase_add_test(tc, a_calm_run_offers_each_draw_once);
    tcase_add_test(tc, times_are_offered_without_a_number_of_answers);
    tcase_add_loop_test(tc, every_offer_of_a_busy_run_can_be_taken, 0, BUSY_KINDS);
    tcase_add_loop_test(tc, what_a_seed_took_replays_as_a_list_to_the_same_run, 0,
                        sizeof(scenarios) / sizeof(scenarios[0]));
    tcase_add_test(tc, seeds_use_every_kind_and_only_those_allowed);
    tcase_add_test(tc, a_deviation_is_told_as_it_is_taken);
    tcase_add_test(tc, a_nameless_run_is_the_same_run);
    tcase_add_test(tc, one_deviation_less_leaves_the_others_where_they_were);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("sim_choice");
    suite_add_tcase(suite, kinds_case());
    suite_add_tcase(suite, lists_case());
    return run_suite(suite);
}
