/* SPDX-License-Identifier: MIT */
/*
 * Orders of simultaneous events in an exhaustive search: what is left out must be equal to what is
 * played. Small worlds, whose behaviours can be counted by hand, are searched with every answer and
 * without those that the world calls equal; both must come to the same set of behaviours, the
 * second to each of them once. A behaviour is what the receivers heard, each in its order.
 */
#include "sim_datagrams.h"
#include "sweep.h"

enum { RECEIVERS_MAX = 3, BEHAVIOUR_MAX = 64, SEEN_MAX = 256 };

static ear receivers[RECEIVERS_MAX], senders[4];
static dw_host *sender_hosts[4];
static size_t receiver_count;
static char seen_by_then[BEHAVIOUR_MAX];

/* ---- Worlds ---- */

static dw_host *receiver(dw_world *w, const char *name) {
    dw_host *host = dw_world_add_host(w, name, NULL, NULL);
    ear_listen(&receivers[receiver_count++], host, 9);
    return host;
}

/* One byte, the n-th letter, arrives at port 9 in a millisecond. */
static void send_letter(dw_world *w, unsigned n, dw_host *to) {
    static const char *const names[] = {"s1", "s2", "s3", "s4"};
    char letter = (char)('a' + n);
    dw_address address = dw_host_address(to);
    address.port = 9;
    sender_hosts[n] = dw_world_add_host(w, names[n], NULL, NULL);
    ear_listen(&senders[n], sender_hosts[n], 0);
    dw_datagram_write(senders[n].protocol.transport, &letter, 1, &address);
}

static void three_to_one(dw_world *w) {
    dw_host *x = receiver(w, "x");
    for (unsigned i = 0; i < 3; i++) {
        send_letter(w, i, x);
    }
    dw_world_run(w, DW_SEC(1));
}

static void three_apart(dw_world *w) {
    static const char *const names[] = {"x", "y", "z"};
    for (unsigned i = 0; i < 3; i++) {
        send_letter(w, i, receiver(w, names[i]));
    }
    dw_world_run(w, DW_SEC(1));
}

/* The one between two of the same host is of another. */
static void two_and_one(dw_world *w) {
    dw_host *x = receiver(w, "x"), *y = receiver(w, "y");
    send_letter(w, 0, x);
    send_letter(w, 1, y);
    send_letter(w, 2, x);
    dw_world_run(w, DW_SEC(1));
}

static void look(void *user) {
    (void)user;
    snprintf(seen_by_then, sizeof(seen_by_then), " then %.8s,%.8s", receivers[0].firsts,
             receivers[1].firsts);
}

/* The scenario's own function has to do with every host. */
static void two_and_a_look(dw_world *w) {
    dw_host *x = receiver(w, "x"), *y = receiver(w, "y");
    send_letter(w, 0, x);
    send_letter(w, 1, y);
    dw_world_after(w, DW_LATENCY_DEFAULT, look, NULL);
    dw_world_run(w, DW_SEC(1));
}

/* A link is cut while both of its packets are under way: they are lost whatever the order. */
static void two_of_four_cut_off(dw_world *w) {
    dw_host *x = receiver(w, "x");
    for (unsigned i = 0; i < 4; i++) {
        send_letter(w, i, x);
    }
    dw_world_partition(w, sender_hosts[0], x);
    dw_world_partition(w, sender_hosts[2], x);
    dw_world_run(w, DW_SEC(1));
}

static ear answered;

static void answer(ear *e) {
    dw_datagram_write(e->protocol.transport, "!", 1, &e->from);
}

/* Each answers at once to one who is told in what order the answers come. */
static void two_who_answer_one(dw_world *w) {
    dw_host *x = receiver(w, "x"), *y = receiver(w, "y");
    ear_listen(&answered, dw_world_add_host(w, "z", NULL, NULL), 0);
    receivers[0].on_heard = receivers[1].on_heard = answer;
    for (int i = 0; i < 2; i++) {
        dw_address address = dw_host_address(i == 0 ? x : y);
        address.port = 9;
        dw_datagram_write(answered.protocol.transport, "?", 1, &address);
    }
    dw_world_run(w, DW_SEC(1));
}

static side at_x, at_y;

/* The ends of a connection know of each other's buffers. */
static void two_who_are_connected(dw_world *w) {
    dw_host *x = receiver(w, "x"), *y = receiver(w, "y");
    side_init(&at_x, dw_host_reactor(x));
    side_init(&at_y, dw_host_reactor(y));
    side_listen(&at_x, 80, 0);
    side_connect(&at_y, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(100));
    send_letter(w, 0, x);
    send_letter(w, 1, y);
    dw_world_run(w, DW_SEC(1));
}

/* ---- Searching ---- */

typedef struct search {
    void (*run)(dw_world *w);
    uint32_t kinds;
    bool all; /* answers that are called equal, too */
    sim_runner *runner;
    sim_list list;
    unsigned runs, repeated;
    char seen[SEEN_MAX][BEHAVIOUR_MAX];
    unsigned seen_count;
} search;

static void note(search *s) {
    char now[BEHAVIOUR_MAX] = "";
    for (size_t i = 0; i < receiver_count; i++) {
        size_t len = strlen(now);
        snprintf(now + len, sizeof(now) - len, "%.8s/", receivers[i].firsts);
    }
    strncat(now, seen_by_then, sizeof(now) - strlen(now) - 1);
    s->runs++;
    for (unsigned i = 0; i < s->seen_count; i++) {
        if (strcmp(s->seen[i], now) == 0) {
            s->repeated++;
            return;
        }
    }
    ck_assert_uint_lt(s->seen_count, SEEN_MAX);
    memcpy(s->seen[s->seen_count++], now, sizeof(now));
}

static void plan(const search *s, const sim_offers *offers, sim_sweep *next) {
    const sim_deviation *last = s->list.count > 0 ? &s->list.items[s->list.count - 1] : NULL;
    size_t from = last != NULL ? sim_offers_behind(offers, last) : 0;
    sim_offers after = {.items = offers->items + from, .count = offers->count - from};
    ck_assert(s->all ? sim_sweep_plan(next, &after) : sim_sweep_plan_behind(next, offers, last));
}

static void climb(search *s) {
    dw_scenario scenario = {.name = "test", .run = s->run};
    sim_source source = {.kind = SIM_LIST, .list = &s->list};
    sim_offers offers = {0};
    sim_outcome outcome;
    sim_sweep next;
    receiver_count = 0;
    seen_by_then[0] = '\0';
    sim_run_options options = {.offers = &offers, .offer_kinds = s->kinds};
    sim_run(s->runner, &scenario, &source, &options, &outcome);
    ck_assert_msg(!outcome.failed, "%s", outcome.message);
    note(s);
    plan(s, &offers, &next);
    sim_offers_free(&offers);
    for (size_t i = 0; i < next.count; i++) {
        sim_deviation d = sim_sweep_point(&next, i);
        ck_assert(sim_list_add(&s->list, &d));
        climb(s);
        s->list.count--;
    }
    sim_sweep_free(&next);
}

static search *search_all(void (*run)(dw_world *w), uint32_t kinds, bool all) {
    search *s = calloc(1, sizeof(*s));
    ck_assert_ptr_nonnull(s);
    s->run = run;
    s->kinds = kinds;
    s->all = all;
    s->runner = sim_runner_new();
    climb(s);
    sim_runner_free(s->runner);
    sim_list_free(&s->list);
    return s;
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Without reduction `all_runs`, with it `runs`; of `behaviours` both. */
static void expect_counts(void (*run)(dw_world *w), uint32_t kinds, unsigned all_runs,
                          unsigned runs, unsigned behaviours) {
    search *all = search_all(run, kinds, true), *reduced = search_all(run, kinds, false);
    ck_assert_uint_eq(all->runs, all_runs);
    ck_assert_uint_eq(all->seen_count, behaviours);
    ck_assert_uint_eq(reduced->seen_count, behaviours);
    qsort(all->seen, behaviours, sizeof(all->seen[0]), by_text);
    qsort(reduced->seen, behaviours, sizeof(reduced->seen[0]), by_text);
    for (unsigned i = 0; i < behaviours; i++) {
        ck_assert_str_eq(all->seen[i], reduced->seen[i]);
    }
    ck_assert_uint_eq(reduced->runs, runs);
    free(all);
    free(reduced);
}

#define ORDER (1u << SIM_ORDER)
#define LOSE  (1u << SIM_LOSE)

/* ---- Counts ---- */

/* 3! orders, all of which one receiver tells apart. */
START_TEST(every_order_at_one_host_is_played) {
    expect_counts(three_to_one, ORDER, 6, 6, 6);
}
END_TEST

/* In any order any of them is lost: 3! * 2^3. Of those that are left, only their order counts: 3! +
 * 3 * 2! + 3 * 1! + 1 = 16. */
START_TEST(the_place_of_a_lost_packet_is_not_played_again) {
    expect_counts(three_to_one, ORDER | LOSE, 48, 16, 16);
}
END_TEST

/* Nobody can tell the order of what happens at different hosts: what is lost is all, 2^3. */
START_TEST(the_order_at_different_hosts_is_not_played) {
    expect_counts(three_apart, ORDER, 6, 1, 1);
    expect_counts(three_apart, ORDER | LOSE, 48, 8, 8);
}
END_TEST

/* At x 2 orders of two, or 1 of each one, or nothing: 5; at y it came or did not: 2. */
START_TEST(one_of_another_host_between_two_counts_once) {
    expect_counts(two_and_one, ORDER, 6, 2, 2);
    expect_counts(two_and_one, ORDER | LOSE, 48, 10, 10);
}
END_TEST

/* The look sees 4 things: nothing, either one, both. Of 3! orders one is spared: when the look is
 * first, the two behind it have no order. */
START_TEST(the_scenarios_own_function_commutes_with_nothing) {
    expect_counts(two_and_a_look, ORDER, 6, 5, 4);
}
END_TEST

/* Four in 4! orders, of which two never arrive: 2! for the others. */
START_TEST(what_a_cut_link_loses_has_no_order) {
    expect_counts(two_of_four_cut_off, ORDER, 24, 2, 2);
}
END_TEST

/* The answers come to z at one instant, in 2 orders; in which the questions came makes no
 * difference beyond that. Unreduced: 2 of the questions times 2 of the answers. */
START_TEST(answers_at_one_host_are_played_in_every_order) {
    search *all = search_all(two_who_answer_one, ORDER, true);
    search *reduced = search_all(two_who_answer_one, ORDER, false);
    ck_assert_uint_eq(all->runs, 4);
    ck_assert_uint_eq(reduced->runs, 2);
    free(all);
    free(reduced);
}
END_TEST

/* Two letters in two orders, of which none is spared: what one end does may touch the other. */
START_TEST(hosts_that_are_connected_are_played_in_every_order) {
    expect_counts(two_who_are_connected, ORDER, 2, 2, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_order");
    TCase *tc = tcase_create("reduction");
    tcase_add_test(tc, every_order_at_one_host_is_played);
    tcase_add_test(tc, the_place_of_a_lost_packet_is_not_played_again);
    tcase_add_test(tc, the_order_at_different_hosts_is_not_played);
    tcase_add_test(tc, one_of_another_host_between_two_counts_once);
    tcase_add_test(tc, the_scenarios_own_function_commutes_with_nothing);
    tcase_add_test(tc, what_a_cut_link_loses_has_no_order);
    tcase_add_test(tc, answers_at_one_host_are_played_in_every_order);
    tcase_add_test(tc, hosts_that_are_connected_are_played_in_every_order);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
