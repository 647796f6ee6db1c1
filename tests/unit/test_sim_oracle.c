/* SPDX-License-Identifier: MIT */
/*
 * The oracles: each is reported once, with a stable name, sentence and place, and none on a program
 * that does nothing wrong.
 */
#include "sim_support.h"

static pair p;

static played found(const dw_scenario *scenario) {
    sim_runner *runner = sim_runner_new();
    played result;
    play_scenario(runner, scenario, calm(), true, &result);
    sim_runner_free(runner);
    return result;
}

/* The same finding in two workshops, and one marked line of it in the timeline. */
static void expect_finding_of(const dw_scenario *scenario, const char *oracle, const char *where,
                              const char *message) {
    played first = found(scenario), second = found(scenario);
    ck_assert(first.outcome.failed);
    ck_assert_str_eq(first.outcome.oracle, oracle);
    ck_assert_msg(strncmp(first.outcome.where, where, strlen(where)) == 0, "%s",
                  first.outcome.where);
    ck_assert_msg(strstr(first.outcome.message, message) != NULL, "%s", first.outcome.message);
    ck_assert_ptr_null(strchr(first.outcome.message, '\n'));
    ck_assert_ptr_null(strchr(first.outcome.where, '/')); /* of no machine in particular */
    ck_assert_str_eq(first.outcome.message, second.outcome.message);
    ck_assert_str_eq(first.outcome.where, second.outcome.where);
    ck_assert_str_eq(first.timeline, second.timeline);
    size_t marks = 0;
    for (const char *line = first.timeline; *line != '\0'; line = strchr(line, '\n') + 1) {
        marks += line[17] == '!';
    }
    ck_assert_uint_eq(marks, 1);
    played_free(&first);
    played_free(&second);
}

static void expect_finding(void (*run)(dw_world *world), const char *oracle, const char *where,
                           const char *message) {
    dw_scenario scenario = {.name = "oracles", .run = run};
    expect_finding_of(&scenario, oracle, where, message);
}

/* ---- Livelock, endless ---- */

static dw_delayed_call spinner;
static dw_reactor *spin_reactor;
static dw_time spin_delay;
static unsigned spins, spins_max;

static void spin(void *user) {
    if (++spins < spins_max) {
        dw_reactor_call_later(spin_reactor, &spinner, spin_delay, spin, user);
    }
}

static void spinning(dw_world *w) {
    memset(&spinner, 0, sizeof(spinner));
    spin_reactor = dw_host_reactor(dw_world_add_host(w, "spinner", NULL, NULL));
    spins = 0;
    dw_reactor_call_later(spin_reactor, &spinner, spin_delay, spin, NULL);
    ck_assert(dw_world_run(w, DW_HOUR(1)) == !dw_world_failed(w));
}

START_TEST(a_call_that_arms_itself_for_now_again_and_again_is_a_livelock) {
    spin_delay = 0;
    spins_max = UINT32_MAX;
    expect_finding(spinning, "livelock", "test_sim_oracle.c:", "test_sim_oracle.c:");
    ck_assert_uint_ge(spins, 90000); /* the default limit is 100,000 events */
    ck_assert_uint_le(spins, 110000);
}
END_TEST

START_TEST(a_call_that_stops_in_time_is_none) {
    spin_delay = 0;
    spins_max = 50000;
    expect_calm(spinning);
}
END_TEST

START_TEST(the_limit_of_a_livelock_can_be_set) {
    dw_scenario scenario = {.name = "oracles", .run = spinning, .stuck_max = 100};
    spin_delay = 0;
    spins_max = 50000;
    expect_finding_of(&scenario, "livelock", "test_sim_oracle.c:", "more than 100 events");
}
END_TEST

START_TEST(a_run_that_never_ends_is_endless) {
    dw_scenario scenario = {.name = "oracles", .run = spinning, .events_max = 1000};
    spin_delay = 1;
    spins_max = UINT32_MAX;
    expect_finding_of(&scenario, "endless", "world", "more than 1000 events");
}
END_TEST

/* ---- Leaks ---- */

static void leaking_block(dw_world *w) {
    pair_connect(&p, w);
    dw_alloc(p.client.reactor, 77);
}

START_TEST(a_block_that_is_left_over_is_a_leak_with_its_place) {
    expect_finding(leaking_block, "leak", "test_sim_oracle.c:", "77 bytes");
}
END_TEST

static void leaking_call(dw_world *w) {
    pair_connect(&p, w);
    memset(&spinner, 0, sizeof(spinner));
    dw_reactor_call_later(p.client.reactor, &spinner, DW_HOUR(1), spin, NULL);
}

START_TEST(a_delayed_call_that_is_left_over_is_a_leak_with_its_place) {
    expect_finding(leaking_call, "leak", "test_sim_oracle.c:", "delayed call");
}
END_TEST

START_TEST(leaks_can_be_allowed) {
    dw_scenario block = {.name = "oracles", .run = leaking_block, .leaks_ok = true};
    dw_scenario call = {.name = "oracles", .run = leaking_call, .leaks_ok = true};
    played a = found(&block), b = found(&call);
    expect_good(&a);
    expect_good(&b);
    played_free(&a);
    played_free(&b);
}
END_TEST

CALM_TEST(what_a_killed_program_had_is_no_leak) {
    pair_connect(&p, w);
    dw_alloc(p.client.reactor, 77);
    dw_host_kill(p.client_host);
    dw_alloc(p.server.reactor, 77);
    dw_host_crash(p.server_host);
}

CALM_TEST(open_connections_ports_and_attempts_are_closed_at_the_end_and_no_leak) {
    static side attempt;
    pair_connect(&p, w);
    side_init(&attempt, p.client.reactor);
    side_connect(&attempt, "server", 80);
    side_write(&p.client, "unflushed");
}

/* ---- Contracts ---- */

static dw_transport *stale;

static void remember_transport(side *s) {
    stale = s->protocol.transport;
}

static void using_the_dead(dw_world *w) {
    pair_connect(&p, w);
    remember_transport(&p.client);
    dw_transport_abort_connection(stale);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.client.lost, 1);
    dw_transport_write(stale, "x", 1);
}

START_TEST(a_verb_on_a_dead_transport_is_found) {
    expect_finding(using_the_dead, "dead-transport", "client", "connection_lost");
}
END_TEST

static void use_in_lost(side *s) {
    dw_transport *t = s->protocol.transport;
    dw_transport_write(t, "x", 1);
    dw_transport_lose_connection(t);
    dw_transport_abort_connection(t);
    dw_transport_pause_producing(t);
    dw_transport_resume_producing(t);
    ck_assert_uint_eq(dw_transport_peer(t).port, 80);
}

CALM_TEST(verbs_inside_connection_lost_are_harmless) {
    pair_connect(&p, w);
    p.client.on_lost = use_in_lost;
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(p.client.lost, 1);
}

static void connecting_twice(dw_world *w) {
    pair_connect(&p, w);
    dw_protocol_make_connection(&p.client.protocol, p.client.protocol.transport);
}

START_TEST(a_protocol_connected_twice_breaks_its_contract) {
    expect_finding(connecting_twice, "contract", "client", "connected twice");
}
END_TEST

static void negative_delay(dw_world *w) {
    spin_reactor = dw_host_reactor(dw_world_add_host(w, "spinner", NULL, NULL));
    memset(&spinner, 0, sizeof(spinner));
    spins = 0;
    spins_max = 1;
    dw_reactor_call_later(spin_reactor, &spinner, -1, spin, NULL);
    dw_world_run(w, DW_SEC(1));
    dw_delayed_call_cancel(&spinner);
}

START_TEST(a_negative_delay_breaks_the_contract) {
    expect_finding(negative_delay, "contract", "spinner", "negative delay");
}
END_TEST

static void wrong_owner(dw_world *w) {
    pair_hosts(&p, w);
    void *block = dw_alloc(p.client.reactor, 10);
    dw_free(p.server.reactor, block);
    dw_free(p.client.reactor, block);
}

START_TEST(memory_given_to_another_host_breaks_the_contract) {
    expect_finding(wrong_owner, "contract", "server", "another host");
}
END_TEST

/* ---- The scenario's own ---- */

static void always_false(dw_world *w) {
    dw_world_add_host(w, "host", NULL, NULL);
    dw_always(w, true, "one is one");
    dw_always(w, false, "one is two");
    dw_always(w, false, "the first finding counts");
    dw_world_fail(w, "so does this");
    dw_unreachable(w, "and this");
}

START_TEST(always_fails_the_first_time_it_does_not_hold) {
    expect_finding(always_false, "always", "test_sim_oracle.c:", "one is two");
}
END_TEST

static void reach(dw_world *w) {
    dw_unreachable(w, "nobody comes here");
}

START_TEST(unreachable_fails_when_it_is_reached) {
    expect_finding(reach, "unreachable", "test_sim_oracle.c:", "nobody comes here");
}
END_TEST

static void give_up(dw_world *w) {
    dw_world_fail(w, "%d is not %d", 1, 2);
}

START_TEST(fail_says_what_only_the_run_knows) {
    expect_finding(give_up, "scenario", "oracles", "1 is not 2");
}
END_TEST

CALM_TEST(sometimes_that_never_holds_is_not_for_one_run_to_judge) {
    dw_sometimes(w, false, "pigs fly");
    dw_reachable(w, "here we are");
    dw_always(w, true, "water is wet");
}

START_TEST(assertions_are_counted_by_their_place_in_the_catalogue) {
    dw_assertion *const *all;
    size_t count = sim_assertions(&all), seen = 0;
    uint64_t(*counts)[2] = calloc(count, sizeof(*counts));
    sim_run_options options = {.assertion_counts = counts};
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "oracles",
                            .run = sometimes_that_never_holds_is_not_for_one_run_to_judge_scenario};
    sim_source source = calm();
    sim_outcome outcome;
    sim_run(runner, &scenario, &source, &options, &outcome);
    sim_run(runner, &scenario, &source, &options, &outcome);
    sim_runner_free(runner);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(all[i]->index, i);
        bool pigs = strcmp(all[i]->message, "pigs fly") == 0;
        bool here = strcmp(all[i]->message, "here we are") == 0;
        bool wet = strcmp(all[i]->message, "water is wet") == 0;
        ck_assert_uint_eq(counts[i][0], here || wet ? 2 : 0);
        ck_assert_uint_eq(counts[i][1], pigs || here || wet ? 2 : 0);
        seen += pigs || here || wet;
    }
    ck_assert_uint_eq(seen, 3);
    free(counts);
}
END_TEST

/* ---- After a finding ---- */

static unsigned later;

static void count_later(void *user) {
    (void)user;
    later++;
}

static bool yes(void *user) {
    (void)user;
    return true;
}

static void go_on(dw_world *w) {
    later = 0;
    dw_world_after(w, DW_MSEC(5), count_later, NULL);
    dw_world_run(w, DW_MSEC(1));
    dw_world_fail(w, "enough");
    ck_assert(dw_world_failed(w));
    ck_assert(!dw_world_run(w, DW_SEC(1)));
    ck_assert(!dw_world_run_until(w, yes, NULL, DW_SEC(1)));
    ck_assert(!dw_world_run_until_idle(w, DW_SEC(1)));
    ck_assert(!dw_world_step(w));
    ck_assert(!dw_world_advance_to_next(w));
    ck_assert_int_eq(dw_world_now(w), DW_MSEC(1));
    ck_assert_uint_eq(later, 0);
}

START_TEST(time_stands_still_after_a_finding) {
    expect_finding(go_on, "scenario", "oracles", "enough");
}
END_TEST

CALM_TEST(a_busy_good_program_breaks_nothing) {
    busy(w);
    ck_assert_uint_ge(busy_clients[0].echoed, 10);
}

int main(void) {
    Suite *suite = suite_create("sim_oracle");
    TCase *tc = tcase_create("oracles");
    tcase_add_test(tc, a_call_that_arms_itself_for_now_again_and_again_is_a_livelock);
    tcase_add_test(tc, a_call_that_stops_in_time_is_none);
    tcase_add_test(tc, the_limit_of_a_livelock_can_be_set);
    tcase_add_test(tc, a_run_that_never_ends_is_endless);
    tcase_add_test(tc, a_block_that_is_left_over_is_a_leak_with_its_place);
    tcase_add_test(tc, a_delayed_call_that_is_left_over_is_a_leak_with_its_place);
    tcase_add_test(tc, leaks_can_be_allowed);
    tcase_add_test(tc, what_a_killed_program_had_is_no_leak);
    tcase_add_test(tc, open_connections_ports_and_attempts_are_closed_at_the_end_and_no_leak);
    tcase_add_test(tc, a_verb_on_a_dead_transport_is_found);
    tcase_add_test(tc, verbs_inside_connection_lost_are_harmless);
    tcase_add_test(tc, a_protocol_connected_twice_breaks_its_contract);
    tcase_add_test(tc, a_negative_delay_breaks_the_contract);
    tcase_add_test(tc, memory_given_to_another_host_breaks_the_contract);
    tcase_add_test(tc, always_fails_the_first_time_it_does_not_hold);
    tcase_add_test(tc, unreachable_fails_when_it_is_reached);
    tcase_add_test(tc, fail_says_what_only_the_run_knows);
    tcase_add_test(tc, sometimes_that_never_holds_is_not_for_one_run_to_judge);
    tcase_add_test(tc, assertions_are_counted_by_their_place_in_the_catalogue);
    tcase_add_test(tc, time_stands_still_after_a_finding);
    tcase_add_test(tc, a_busy_good_program_breaks_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
