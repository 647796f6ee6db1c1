/* SPDX-License-Identifier: MIT */
/*
 * Names in a world: hosts' own, what a scenario says, and what choices make of the answers; and the
 * hosts' IPv6 addresses. Times by hand: a lookup takes 1 ms (DW_LOOKUP_TIME), whoever asks gives up
 * after 20 s.
 */
#include "endpoint_user.h"

typedef struct asker {
    dw_lookup lookup;
    dw_reactor *reactor;
    char log[500];
    unsigned found, done, cancel_after;
    int sys_errno;
    dw_time first_at, done_at;
} asker;

static asker a, b;

static void address_found(dw_lookup *lookup, const dw_address *address) {
    asker *self = lookup->user;
    char text[DW_ADDRESS_TEXT_MAX];
    size_t used = strlen(self->log);
    self->first_at = self->found == 0 ? dw_reactor_now(self->reactor) : self->first_at;
    snprintf(self->log + used, sizeof(self->log) - used, "%s%s", used > 0 ? " " : "",
             dw_address_format_host(address, text, sizeof(text)));
    if (++self->found == self->cancel_after) {
        dw_lookup_cancel(lookup);
    }
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    asker *self = lookup->user;
    self->done++;
    self->sys_errno = failure != NULL ? failure->sys_errno : 0;
    self->done_at = dw_reactor_now(self->reactor);
}

static void ask(asker *self, dw_host *host, const char *name, dw_family family) {
    memset(self, 0, sizeof(*self));
    self->reactor = dw_host_reactor(host);
    ck_assert_int_eq(dw_reactor_resolve(self->reactor, &self->lookup, name, family, address_found,
                                        lookup_done, self),
                     0);
}

static void expect(const asker *self, const char *log, int sys_errno, dw_time at) {
    ck_assert_str_eq(self->log, log);
    ck_assert_uint_eq(self->done, 1);
    ck_assert_int_eq(self->sys_errno, sys_errno);
    ck_assert_int_eq(self->done_at, at);
}

static dw_host *one, *two;

static void two_hosts(dw_world *w) {
    one = dw_world_add_host(w, "one", NULL, NULL);
    two = dw_world_add_host(w, "two", NULL, NULL);
}

static dw_name_answer answer_of(dw_address first, dw_address second, int delay_ms) {
    return (dw_name_answer){.addresses = {first, second}, .delay = DW_MSEC(delay_ms)};
}

/* ---- Without a word from the scenario ---- */

CALM_TEST(a_hosts_name_is_its_ipv4_address) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "10.0.0.2", 0, DW_MSEC(1));
    ask(&a, one, "two", DW_FAMILY_IPV6);
    ask(&b, one, "three", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "", ENODATA, DW_SEC(1) + DW_MSEC(1));
    expect(&b, "", ENODATA, DW_SEC(1) + DW_MSEC(1));
}

CALM_TEST(localhost_is_whoever_asks) {
    two_hosts(w);
    ask(&a, two, "localhost", DW_FAMILY_ANY);
    ask(&b, two, "localhost", DW_FAMILY_IPV6);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "10.0.0.2", 0, DW_MSEC(1));
    expect(&b, "fd00::a00:2", 0, DW_MSEC(1));
}

/* ---- What the scenario says ---- */

CALM_TEST(families_answer_each_at_its_own_time) {
    two_hosts(w);
    dw_name_answer six = answer_of(dw_host_address6(one), dw_host_address6(two), 30);
    dw_name_answer four = answer_of(dw_host_address(two), dw_host_address(one), 10);
    dw_world_set_name(w, "www", DW_FAMILY_IPV6, &six, 1);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &four, 1);
    ask(&a, one, "www", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(a.first_at, DW_MSEC(10));
    expect(&a, "10.0.0.2 10.0.0.1 fd00::a00:1 fd00::a00:2", 0, DW_MSEC(30));
}

CALM_TEST(one_answer_for_both_families_is_sorted_out) {
    two_hosts(w);
    dw_name_answer both = answer_of(dw_host_address(two), dw_host_address6(two), 0);
    dw_world_set_name(w, "www", DW_FAMILY_ANY, &both, 1);
    ask(&a, one, "www", DW_FAMILY_IPV6);
    ask(&b, one, "www", DW_FAMILY_IPV4);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "fd00::a00:2", 0, DW_MSEC(1));
    expect(&b, "10.0.0.2", 0, DW_MSEC(1));
}

CALM_TEST(each_question_gets_the_next_answer_the_last_for_ever) {
    two_hosts(w);
    dw_name_answer script[] = {answer_of(dw_host_address(two), (dw_address){0}, 0),
                               {.error = EAGAIN},
                               answer_of(dw_host_address(one), (dw_address){0}, 0)};
    const char *logs[] = {"10.0.0.2", "", "10.0.0.1", "10.0.0.1"};
    dw_world_set_name(w, "two", DW_FAMILY_IPV4, script, 3); /* more than the host's own name */
    for (int i = 0; i < 4; i++) {
        ask(&a, i % 2 == 0 ? one : two, "two", DW_FAMILY_IPV4);
        dw_world_run(w, DW_SEC(1));
        expect(&a, logs[i], i == 1 ? EAGAIN : 0, DW_SEC(i) + DW_MSEC(1));
    }
    dw_world_set_name(w, "two", DW_FAMILY_ANY, NULL, 0); /* the name is gone */
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "", ENODATA, DW_SEC(4) + DW_MSEC(1));
}

CALM_TEST(a_failing_server_tells_more_than_no_such_name) {
    two_hosts(w);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &(dw_name_answer){.error = EAGAIN}, 1);
    dw_world_set_name(w, "www", DW_FAMILY_IPV6, &(dw_name_answer){.delay = DW_MSEC(9)}, 1);
    ask(&a, one, "www", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "", EAGAIN, DW_MSEC(9));
}

CALM_TEST(what_takes_too_long_times_out) {
    two_hosts(w);
    dw_name_answer late = answer_of(dw_host_address(two), (dw_address){0}, 20001);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &late, 1);
    ask(&a, one, "www", DW_FAMILY_IPV4);
    dw_world_run(w, DW_MIN(1));
    expect(&a, "", ETIMEDOUT, DW_SEC(20));
}

CALM_TEST(a_connector_takes_the_scenarios_answer) {
    static silent server;
    static side client;
    two_hosts(w);
    dw_name_answer both = answer_of(dw_host_address(one), dw_host_address(two), 5);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &both, 1);
    silent_init(&server, dw_host_reactor(two));
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, &server.factory, 0, NULL, NULL), 0);
    side_init(&client, dw_host_reactor(one));
    side_connect(&client, "www", 80); /* refused by itself, then taken by the other */
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(client.made, 1);
    ck_assert_int_eq(client.made_at, DW_MSEC(5) + DW_USEC(2 * 20) + DW_MSEC(2));
}

/* ---- Cancelling, and the host's life ---- */

CALM_TEST(after_a_cancel_nothing_comes) {
    two_hosts(w);
    dw_name_answer both = answer_of(dw_host_address(one), dw_host_address(two), 5);
    dw_world_set_name(w, "www", DW_FAMILY_ANY, &both, 1);
    ask(&a, one, "www", DW_FAMILY_ANY);
    ask(&b, one, "www", DW_FAMILY_ANY);
    b.cancel_after = 1;
    dw_world_run(w, DW_MSEC(3));
    dw_lookup_cancel(&a.lookup);
    dw_world_run(w, DW_MIN(1));
    ck_assert_uint_eq(a.found + a.done, 0);
    ck_assert_str_eq(b.log, "10.0.0.1");
    ck_assert_uint_eq(b.done, 0);
}

CALM_TEST(a_killed_host_hears_no_answer) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_USEC(500));
    dw_host_kill(one);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(a.found + a.done, 0);
}

CALM_TEST(a_stalled_host_hears_it_when_it_wakes) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_USEC(500));
    dw_host_stall(one, DW_SEC(2));
    dw_world_run(w, DW_SEC(5));
    expect(&a, "10.0.0.2", 0, DW_SEC(2) + DW_USEC(500));
}

/* dw_world_heal ends the stall; what waited for CPU comes now. */
CALM_TEST(a_host_that_is_healed_hears_it_at_once) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_USEC(500));
    dw_host_stall(one, DW_SEC(20));
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(a.done, 0);
    dw_world_heal(w);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "10.0.0.2", 0, DW_SEC(1) + DW_USEC(500));
}

/* ---- Choices ---- */

static void ask_two(dw_world *w) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    ask(&b, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_MIN(1));
    expect(&b, "10.0.0.2", 0, DW_MSEC(1)); /* the other one is as it was */
}

static void missing(dw_world *w) {
    ask_two(w);
    expect(&a, "", ENODATA, DW_MSEC(1));
}

static void failing(dw_world *w) {
    ask_two(w);
    expect(&a, "", EAGAIN, DW_MSEC(1));
}

static void unanswered(dw_world *w) {
    ask_two(w);
    expect(&a, "", ETIMEDOUT, DW_MSEC(1) + DW_SEC(20));
}

static void nobodys(dw_world *w) {
    ask_two(w);
    expect(&a, "10.255.255.254", 0, DW_MSEC(1));
}

static void somebody_elses(dw_world *w) {
    ask_two(w);
    expect(&a, "10.0.0.1", 0, DW_MSEC(1));
}

START_TEST(a_choice_makes_an_answer_wrong) {
    static void (*const scenarios[])(dw_world *) = {missing, failing, unanswered, nobodys,
                                                    somebody_elses};
    sim_deviation d = {"one", "name", 1, (uint64_t)_i + 1};
    expect_list(scenarios[_i], &d, 1);
}
END_TEST

static void late(dw_world *w) {
    ask_two(w);
    expect(&a, "10.0.0.2", 0, DW_MSEC(1 + 700));
}

START_TEST(a_choice_makes_an_answer_late) {
    sim_deviation d = {"one", "name-late", 1, (uint64_t)DW_MSEC(700)};
    expect_list(late, &d, 1);
}
END_TEST

/* The same question, asked again: each draw is a choice of its own. */
static void differently_again(dw_world *w) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "10.0.0.2", 0, DW_MSEC(1));
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "10.0.0.1", 0, DW_SEC(1) + DW_MSEC(1));
}

START_TEST(the_second_answer_may_differ) {
    sim_deviation d = {"one", "name", 2, 5};
    expect_list(differently_again, &d, 1);
}
END_TEST

static void cancelled_early(dw_world *w) {
    two_hosts(w);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_USEC(500));
    dw_lookup_cancel(&a.lookup);
    ask(&a, one, "two", DW_FAMILY_ANY);
    dw_world_run(w, DW_SEC(1));
    expect(&a, "", ENODATA, DW_MSEC(1) + DW_USEC(500));
}

/* A question that was taken back never had an answer that could be wrong. */
START_TEST(no_choice_is_drawn_for_an_answer_that_nobody_hears) {
    sim_deviation d = {"one", "name", 1, 1};
    expect_list(cancelled_early, &d, 1);
}
END_TEST

static void alone(dw_world *w) {
    dw_host *host = dw_world_add_host(w, "one", NULL, NULL);
    ask(&a, host, "one", DW_FAMILY_ANY);
    dw_world_run(w, DW_MIN(1));
    ck_assert_uint_eq(a.done, 1);
}

static uint64_t options_of_name(void (*run)(dw_world *)) {
    sim_offers offers = {0};
    sim_run_options options = {.offers = &offers, .offer_kinds = 1u << SIM_NAME};
    sim_source source = calm();
    sim_outcome outcome;
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "offers", .run = run};
    sim_run(runner, &scenario, &source, &options, &outcome);
    ck_assert(!outcome.failed);
    ck_assert_uint_ge(offers.count, 1);
    ck_assert_str_eq(offers.items[0].at.who, "one");
    uint64_t count = offers.items[0].options;
    sim_offers_free(&offers);
    sim_runner_free(runner);
    return count;
}

START_TEST(another_hosts_address_needs_another_host) {
    ck_assert_uint_eq(options_of_name(alone), 5);
    ck_assert_uint_eq(options_of_name(ask_two), 6);
}
END_TEST

static void asks_often(dw_world *w) {
    two_hosts(w);
    for (int i = 0; i < 20; i++) {
        ask(&a, one, "two", DW_FAMILY_ANY);
        dw_world_run(w, DW_MIN(1));
        ck_assert_uint_eq(a.done, 1);
    }
}

static const char *www_is; /* what the scenario says; the program does not look at it */

static void asks_for_www(dw_world *w) {
    dw_name_answer answer = {0};
    two_hosts(w);
    ck_assert_int_eq(dw_address_parse(&answer.addresses[0], www_is, 0), 0);
    dw_world_set_name(w, "www", DW_FAMILY_IPV4, &answer, 1);
    ask(&a, one, "www", DW_FAMILY_IPV4);
    ask(&b, one, "nowhere", DW_FAMILY_IPV6);
    dw_world_run(w, DW_MIN(1));
    ask(&b, one, "two", DW_FAMILY_IPV4);
    dw_world_run(w, DW_USEC(1));
    dw_lookup_cancel(&b.lookup);
}

/* Each is an event of its own in the hash, which does not know whether there is a timeline. */
START_TEST(questions_and_answers_are_told) {
    static const char *const lines[] = {"one                             looks up www, IPv4\n",
                                        "one                             www, IPv4: 10.0.0.7\n",
                                        "looks up nowhere, IPv6\n", "nowhere, IPv6: no address\n",
                                        "looks up two no more\n"};
    played told, untold, other;
    www_is = "10.0.0.7";
    play(asks_for_www, calm(), true, &told);
    play(asks_for_www, calm(), false, &untold);
    expect_good(&told);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ck_assert_msg(strstr(told.timeline, lines[i]) != NULL, "%s\n%s", lines[i], told.timeline);
    }
    ck_assert_uint_eq(told.outcome.hash, untold.outcome.hash);
    www_is = "10.0.0.8";
    play(asks_for_www, calm(), false, &other);
    ck_assert_uint_ne(untold.outcome.hash, other.outcome.hash);
    played_free(&told);
    played_free(&untold);
    played_free(&other);
}
END_TEST

START_TEST(seeds_draw_both_kinds_and_replay_as_lists) {
    uint64_t counts[SIM_KIND_COUNT] = {0};
    sim_runner *runner = sim_runner_new();
    dw_scenario scenario = {.name = "names", .run = asks_often};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        sim_run_options options = {.kind_counts = counts};
        sim_source source = seeded(seed);
        played first, second;
        sim_outcome outcome;
        sim_run(runner, &scenario, &source, &options, &outcome);
        play_scenario(runner, &scenario, seeded(seed), true, &first);
        play_scenario(runner, &scenario, listed(&first.taken), true, &second);
        expect_good(&first);
        ck_assert_str_eq(first.timeline, second.timeline);
        played_free(&first);
        played_free(&second);
    }
    sim_runner_free(runner);
    ck_assert_uint_gt(counts[SIM_NAME], 0);
    ck_assert_uint_gt(counts[SIM_NAME_LATE], 0);
}
END_TEST

/* ---- IPv6 addresses ---- */

static user users[3]; /* one for each connection */
static user *u;
static silent server;

/* One factory for all ports. */
static void serve(dw_host *host, uint16_t port, const char *interface) {
    if (server.factory.num_ports == 0) {
        silent_init(&server, dw_host_reactor(host));
    }
    ck_assert_int_eq(
        dw_reactor_listen_tcp(server.reactor, port, &server.factory, 0, interface, NULL), 0);
}

static void connect_to(dw_world *w, int n, const char *literal, uint16_t port) {
    u = &users[n];
    user_init(u, dw_host_reactor(one));
    dw_host_options options = {.host = literal, .port = port};
    ck_assert_int_eq(user_try(u, dw_host_endpoint_new(u->reactor, &options)), 0);
    dw_world_run(w, DW_SEC(1));
}

CALM_TEST(streams_run_over_ipv6) {
    char text[DW_ADDRESS_TEXT_MAX];
    two_hosts(w);
    serve(two, 80, "fd00::a00:2");
    connect_to(w, 0, "fd00::a00:2", 80);
    expect_connected(u, "fd00::a00:2", DW_MSEC(2));
    dw_address own = dw_transport_host(u->protocol.transport);
    ck_assert_str_eq(dw_address_format_host(&own, text, sizeof(text)), "fd00::a00:1");
    ck_assert_uint_eq(server.built, 1);
}

/* ipv6(7): "::" with IPV6_V6ONLY off takes both; an IPv4 listener knows nothing of IPv6. */
CALM_TEST(listeners_take_their_family) {
    two_hosts(w);
    serve(two, 80, NULL);
    serve(two, 81, "::");
    connect_to(w, 0, "fd00::a00:2", 80);
    ck_assert_int_eq(u->kind, DW_CONNECTION_REFUSED);
    connect_to(w, 1, "fd00::a00:2", 81);
    ck_assert_uint_eq(u->connected, 1);
    connect_to(w, 2, "10.0.0.2", 81);
    ck_assert_uint_eq(u->connected, 1);
}

CALM_TEST(both_families_may_listen_on_one_port) {
    two_hosts(w);
    serve(two, 80, "10.0.0.2");
    serve(two, 80, "fd00::a00:2");
    ck_assert_int_eq(dw_reactor_listen_tcp(server.reactor, 80, &server.factory, 0, "::", NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(server.reactor), EADDRINUSE);
    connect_to(w, 0, "fd00::a00:2", 80);
    ck_assert_uint_eq(u->connected, 1);
}

CALM_TEST(an_address_that_nobody_has_is_no_route) {
    two_hosts(w);
    connect_to(w, 0, "fd00::a00:3", 80);
    ck_assert_int_eq(u->kind, DW_NO_ROUTE);
    connect_to(w, 1, "fd01::a00:2", 80);
    ck_assert_int_eq(u->kind, DW_NO_ROUTE);
}

int main(void) {
    Suite *suite = suite_create("sim_names");
    TCase *tc = tcase_create("names");
    tcase_add_test(tc, a_hosts_name_is_its_ipv4_address);
    tcase_add_test(tc, localhost_is_whoever_asks);
    tcase_add_test(tc, families_answer_each_at_its_own_time);
    tcase_add_test(tc, one_answer_for_both_families_is_sorted_out);
    tcase_add_test(tc, each_question_gets_the_next_answer_the_last_for_ever);
    tcase_add_test(tc, a_failing_server_tells_more_than_no_such_name);
    tcase_add_test(tc, what_takes_too_long_times_out);
    tcase_add_test(tc, a_connector_takes_the_scenarios_answer);
    tcase_add_test(tc, after_a_cancel_nothing_comes);
    tcase_add_test(tc, questions_and_answers_are_told);
    tcase_add_test(tc, a_killed_host_hears_no_answer);
    tcase_add_test(tc, a_stalled_host_hears_it_when_it_wakes);
    tcase_add_test(tc, a_host_that_is_healed_hears_it_at_once);
    suite_add_tcase(suite, tc);
    tc = tcase_create("choices");
    tcase_add_loop_test(tc, a_choice_makes_an_answer_wrong, 0, 5);
    tcase_add_test(tc, a_choice_makes_an_answer_late);
    tcase_add_test(tc, the_second_answer_may_differ);
    tcase_add_test(tc, no_choice_is_drawn_for_an_answer_that_nobody_hears);
    tcase_add_test(tc, another_hosts_address_needs_another_host);
    tcase_add_test(tc, seeds_draw_both_kinds_and_replay_as_lists);
    suite_add_tcase(suite, tc);
    tc = tcase_create("ipv6");
    tcase_add_test(tc, streams_run_over_ipv6);
    tcase_add_test(tc, listeners_take_their_family);
    tcase_add_test(tc, both_families_may_listen_on_one_port);
    tcase_add_test(tc, an_address_that_nobody_has_is_no_route);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
