/* SPDX-License-Identifier: MIT */
/*
 * Who waits for what: the lines that dw_world_run_until leaves in the timeline when what it waits
 * for does not come. And the calls of libc that a host's program must not make.
 */
#include "sim_support.h"

#include <time.h>
#include <unistd.h>

static pair p;

static bool never(void *user) {
    (void)user;
    return false;
}

static char *timeline_of(void (*run)(dw_world *w), const dw_scenario *like, sim_outcome *outcome) {
    played result;
    dw_scenario scenario = *like;
    scenario.name = "waiting";
    scenario.run = run;
    sim_runner *runner = sim_runner_new();
    play_scenario(runner, &scenario, calm(), true, &result);
    sim_runner_free(runner);
    sim_list_free(&result.taken);
    *outcome = result.outcome;
    return result.timeline;
}

static void expect_line(void (*run)(dw_world *w), const char *who, const char *words) {
    sim_outcome outcome;
    char *timeline = timeline_of(run, &(dw_scenario){.leaks_ok = true}, &outcome);
    ck_assert_msg(!outcome.failed, "%s", outcome.message);
    char line[400];
    snprintf(line, sizeof(line), "%-30s  waits: %s", who, words);
    ck_assert_msg(strstr(timeline, line) != NULL, "no line '%s' in\n%s", line, timeline);
    free(timeline);
}

static void wait_in_vain(dw_world *w, dw_time limit) {
    ck_assert(!dw_world_run_until(w, never, NULL, limit));
}

/* ---- Who waits ---- */

static void for_data(dw_world *w) {
    pair_connect(&p, w);
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(a_connection_waits_for_data) {
    expect_line(for_data, "server:80>client:1", "side for data\n");
    expect_line(for_data, "client:1>server:80", "side for data\n");
}
END_TEST

static void for_syn_ack(dw_world *w) {
    pair_hosts(&p, w);
    dw_world_partition(w, p.client_host, p.server_host);
    side_connect(&p.client, "10.0.0.1", 80);
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(an_attempt_waits_for_its_syn_ack) {
    expect_line(for_syn_ack, "client:1>server:80", "for SYN-ACK from server\n");
    expect_line(for_syn_ack, "client", "for its link to server, still cut: for ever\n");
}
END_TEST

static void for_the_window(dw_world *w) {
    dw_world_set_buffers(w, 100, 100);
    pair_connect(&p, w);
    dw_transport_pause_producing(p.server.protocol.transport);
    stream_write(&p.client, 0, 1000);
    wait_in_vain(w, DW_SEC(1));
}

/* 100 bytes unread there, 100 in the sender's system, 800 with its program. */
START_TEST(a_writer_waits_for_the_window) {
    expect_line(for_the_window, "client:1>server:80",
                "for the window: 800 bytes unsent and 100 in its system; server has 100 unread\n");
    expect_line(for_the_window, "client:1>server:80",
                "side has paused reading; 100 bytes are unread\n");
}
END_TEST

static dw_delayed_call late;

static void nothing(void *user) {
    (void)user;
}

static void for_a_call(dw_world *w) {
    pair_hosts(&p, w);
    memset(&late, 0, sizeof(late));
    dw_reactor_call_later(p.client.reactor, &late, DW_MSEC(2500), nothing, NULL);
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(a_delayed_call_is_told_with_its_place) {
    expect_line(for_a_call, "client",
                "for a delayed call, due in 1.500000s, armed at "
                "test_sim_waiting.c:");
}
END_TEST

static void for_a_name(dw_world *w) {
    pair_hosts(&p, w);
    dw_world_set_name(
        w, "slow", DW_FAMILY_ANY,
        (dw_name_answer[]){{.addresses = {dw_host_address(p.server_host)}, .delay = DW_SEC(5)}}, 1);
    side_connect(&p.client, "slow", 80);
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(a_name_that_is_not_answered_is_told) {
    expect_line(for_a_name, "client", "for the address of slow\n");
}
END_TEST

static void for_cpu(dw_world *w) {
    pair_hosts(&p, w);
    dw_host_stall(p.server_host, DW_SEC(4));
    dw_host_kill(p.client_host);
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(a_host_waits_for_cpu_or_is_down) {
    expect_line(for_cpu, "server", "for CPU, still stalled: 3.000000s\n");
    expect_line(for_cpu, "client", "it is down, its program has ended\n");
}
END_TEST

static void many(dw_world *w) {
    static side sides[30];
    pair_hosts(&p, w);
    p.server.built = 0;
    for (int i = 0; i < 30; i++) {
        side_init(&sides[i], p.client.reactor);
        side_connect(&sides[i], "10.0.0.9", 80);
    }
    for (int i = 0; i < 30; i++) {
        memset(&sides[i].port, 0, sizeof(sides[i].port));
    }
    dw_world_partition(w, p.client_host, p.server_host);
    for (int i = 0; i < 30; i++) {
        side_connect(&sides[i], "10.0.0.1", 80);
    }
    wait_in_vain(w, DW_SEC(1));
}

START_TEST(the_lines_are_limited) {
    sim_outcome outcome;
    char *timeline = timeline_of(many, &(dw_scenario){.leaks_ok = true}, &outcome);
    size_t lines = 0;
    for (const char *at = timeline; (at = strstr(at, "waits: ")) != NULL; at++) {
        lines++;
    }
    ck_assert_uint_eq(lines, 21);
    ck_assert_ptr_nonnull(strstr(timeline, "waits: and "));
    free(timeline);
}
END_TEST

static bool at_once(void *user) {
    (void)user;
    return true;
}

static void in_time(dw_world *w) {
    pair_connect(&p, w);
    ck_assert(dw_world_run_until(w, at_once, NULL, DW_SEC(1)));
}

START_TEST(nobody_is_told_of_when_it_comes_true) {
    sim_outcome outcome;
    char *timeline = timeline_of(in_time, &(dw_scenario){.leaks_ok = true}, &outcome);
    ck_assert_ptr_null(strstr(timeline, "waits:"));
    free(timeline);
}
END_TEST

/* ---- libc ---- */

static void (*forbidden)(void);

static void call_it(void *user) {
    (void)user;
    forbidden();
}

static void calling(dw_world *w) {
    pair_hosts(&p, w);
    forbidden(); /* the scenario itself may */
    memset(&late, 0, sizeof(late));
    dw_reactor_call_later(p.client.reactor, &late, DW_MSEC(10), call_it, NULL);
    dw_world_run(w, DW_SEC(1));
    forbidden();
}

static void ask_time(void) {
    ck_assert_int_gt(time(NULL), 1500000000);
}

static void ask_clock(void) {
    struct timespec now = {0};
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    ck_assert_int_gt(now.tv_sec, 1500000000);
}

static void ask_rand(void) {
    int a = rand(), b = rand(), c = rand();
    ck_assert(a != b || b != c);
}

static bool slept;

/* A day: it must not be slept through inside a run. */
static void ask_sleep(void) {
    struct timespec day = {.tv_sec = slept ? 86400 : 0};
    slept = !slept;
    ck_assert_int_eq(nanosleep(&day, NULL), 0);
}

static void expect_call(void (*fn)(void), const char *name) {
    sim_outcome outcome;
    char sentence[100];
    forbidden = fn;
    slept = false;
    free(timeline_of(calling, &(dw_scenario){.leaks_ok = true}, &outcome));
    snprintf(sentence, sizeof(sentence), "client: the program called %s(), ", name);
    ck_assert(outcome.failed);
    ck_assert_str_eq(outcome.oracle, "libc");
    ck_assert_msg(strstr(outcome.message, sentence) == outcome.message, "%s", outcome.message);
    ck_assert_msg(strstr(outcome.where, "test_sim_waiting.c:") != NULL, "%s", outcome.where);
}

/* clang's sanitizers bring some of these calls themselves, and theirs come first. */
#if !(defined(__clang__) && defined(__has_feature))
#define OWN_CALLS 1
#elif __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_CALLS 0
#else
#define OWN_CALLS 1
#endif

START_TEST(calls_that_break_determinism_are_found) {
    if (OWN_CALLS) {
        expect_call(ask_time, "time");
        expect_call(ask_clock, "clock_gettime");
    }
    expect_call(ask_rand, "rand");
    expect_call(ask_sleep, "nanosleep");
}
END_TEST

START_TEST(they_may_be_warned_of_instead) {
    sim_outcome outcome;
    forbidden = ask_rand;
    char *timeline = timeline_of(
        calling, &(dw_scenario){.leaks_ok = true, .libc_calls = DW_LIBC_WARN}, &outcome);
    ck_assert_msg(!outcome.failed, "%s", outcome.message);
    ck_assert_ptr_nonnull(strstr(timeline, "called rand(); use dw_reactor_random"));
    free(timeline);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_waiting");
    TCase *tc = tcase_create("waiting");
    tcase_add_test(tc, a_connection_waits_for_data);
    tcase_add_test(tc, an_attempt_waits_for_its_syn_ack);
    tcase_add_test(tc, a_writer_waits_for_the_window);
    tcase_add_test(tc, a_delayed_call_is_told_with_its_place);
    tcase_add_test(tc, a_name_that_is_not_answered_is_told);
    tcase_add_test(tc, a_host_waits_for_cpu_or_is_down);
    tcase_add_test(tc, the_lines_are_limited);
    tcase_add_test(tc, nobody_is_told_of_when_it_comes_true);
    suite_add_tcase(suite, tc);
    tc = tcase_create("libc");
    tcase_add_test(tc, calls_that_break_determinism_are_found);
    tcase_add_test(tc, they_may_be_warned_of_instead);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
