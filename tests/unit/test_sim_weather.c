/* SPDX-License-Identifier: MIT */
/* Weathers by name: what they set, what they do by themselves, and how they end. */
#include "sim_support.h"

static pair p;

static dw_time ping(dw_world *w) {
    size_t before = p.client.received;
    dw_time start = dw_world_now(w);
    side_write(&p.client, "ping");
    for (int i = 0; i < 20000 && p.client.received == before; i++) {
        dw_world_run(w, DW_MSEC(1));
    }
    ck_assert_uint_gt(p.client.received, before);
    return p.client.data_at - start;
}

static void connect_echo(dw_world *w) {
    pair_connect(&p, w);
    p.server.echo = true;
}

CALM_TEST(an_unknown_weather_is_refused) {
    ck_assert(!dw_world_set_weather(w, "sunny"));
}

/* Geostationary: 2 x 239.6 ms at least, there and back (RFC 2488, section 2). */
CALM_TEST(a_satellite_is_far_away) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "satellite"));
    dw_time trip = ping(w);
    ck_assert_int_ge(trip, DW_MSEC(479));
    ck_assert_int_le(trip, DW_MSEC(600));
}

CALM_TEST(links_to_come_have_it_too) {
    ck_assert(dw_world_set_weather(w, "satellite"));
    pair_hosts(&p, w);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(400));
    ck_assert_uint_eq(p.client.made, 0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(p.client.made, 1);
}

CALM_TEST(calm_is_as_before) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "bufferbloat"));
    ck_assert(dw_world_set_weather(w, "calm"));
    ck_assert_int_eq(ping(w), DW_MSEC(2));
}

/* 64 KiB in flight at 125000 bytes/s: what is sent behind them waits for half a second. */
CALM_TEST(bufferbloat_makes_the_next_one_wait) {
    pair_connect(&p, w);
    ck_assert(dw_world_set_weather(w, "bufferbloat"));
    stream_write(&p.client, 0, 65000);
    dw_world_run(w, DW_MSEC(1));
    dw_time start = dw_world_now(w);
    dw_world_run(w, DW_SEC(5));
    ck_assert_uint_eq(p.server.received, 65000);
    ck_assert_int_ge(p.server.data_at - start, DW_MSEC(520));
    ck_assert_int_le(p.server.data_at - start, DW_MSEC(600));
}

CALM_TEST(a_loopback_has_no_weather) {
    pair_hosts(&p, w);
    side local;
    side_init(&local, p.server.reactor);
    ck_assert(dw_world_set_weather(w, "satellite"));
    side_connect(&local, "127.0.0.1", 80);
    dw_world_run(w, DW_MSEC(1));
    ck_assert_uint_eq(local.made, 1);
    dw_transport_abort_connection(local.protocol.transport);
}

CALM_TEST(a_blackhole_swallows_everything) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "blackhole"));
    ck_assert_int_eq(ping(w), DW_MSEC(2));
    dw_world_run(w, DW_SEC(1));
    side_write(&p.client, "ping");
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(p.client.received, 4);
    dw_world_heal(w);
    dw_world_run(w, DW_MIN(3));
    ck_assert_uint_eq(p.client.received, 8);
}

/* Up for 8 s, down for 2, and so on. */
CALM_TEST(flap_goes_down_and_up) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "flap"));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ping(w), DW_MSEC(2));
        dw_world_run(w, DW_MSEC(8500 + 10000 * i) - dw_world_now(w));
        ck_assert_int_gt(ping(w), DW_MSEC(1500)); /* it comes up at 10.003, 20.003, ... */
    }
}

CALM_TEST(a_link_made_while_flap_is_down_is_down) {
    pair_hosts(&p, w);
    ck_assert(dw_world_set_weather(w, "flap"));
    dw_world_run(w, DW_MSEC(8500));
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(500));
    ck_assert_uint_eq(p.client.made, 0);
    dw_world_run(w, DW_SEC(10));
    ck_assert_uint_eq(p.client.made, 1);
}

CALM_TEST(healing_ends_what_a_weather_does_but_not_its_links) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "flap"));
    dw_world_run(w, DW_SEC(9));
    dw_world_heal(w);
    ck_assert_int_eq(ping(w), DW_MSEC(2));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
}

CALM_TEST(another_weather_ends_what_the_last_one_does) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "flap"));
    dw_world_run(w, DW_SEC(9));
    ck_assert(dw_world_set_weather(w, "calm"));
    ck_assert_int_eq(ping(w), DW_MSEC(2));
    ck_assert(dw_world_run_until_idle(w, DW_SEC(1)));
}

/* ---- Swizzle-clog: three hosts, three links ---- */

static pair q;
static side third;

static void three_hosts(dw_world *w) {
    pair_connect(&p, w); /* server and client */
    dw_host *host = dw_world_add_host(w, "third", NULL, NULL);
    static side at_third;
    side_init(&at_third, dw_host_reactor(host));
    side_listen(&at_third, 81, 0);
    q.client_host = host;
    side_init(&third, p.client.reactor);
    side_connect(&third, "10.0.0.3", 81);
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(third.made, 1);
    q.server = at_third;
}

static const char *where_line(const char *timeline, const char *text) {
    const char *at = strstr(timeline, text);
    ck_assert_msg(at != NULL, "no '%s' in\n%s", text, timeline);
    return at;
}

static void clogged(dw_world *w) {
    three_hosts(w);
    ck_assert(dw_world_set_weather(w, "swizzle-clog"));
    dw_world_run(w, DW_SEC(9));
}

/* server-client was held first: calm, the last is released first. */
START_TEST(what_was_held_last_is_released_first) {
    played a;
    play(clogged, calm(), true, &a);
    expect_good(&a);
    ck_assert(where_line(a.timeline, "link to client held") <
              where_line(a.timeline, "link to third held"));
    ck_assert(where_line(a.timeline, "link to third released") <
              where_line(a.timeline, "link to client released"));
    played_free(&a);
}
END_TEST

START_TEST(another_order_is_a_choice) {
    sim_list list = {0};
    played a;
    deviate(&list, "world", "unclog", 1, 1);
    play(clogged, listed(&list), true, &a);
    expect_good(&a);
    ck_assert_uint_eq(a.taken.count, 1);
    ck_assert(where_line(a.timeline, "link to client released") <
              where_line(a.timeline, "link to third released"));
    played_free(&a);
    sim_list_free(&list);
}
END_TEST

/* What is sent in such weather arrives, all of it. */
CALM_TEST(swizzle_clog_loses_nothing) {
    connect_echo(w);
    ck_assert(dw_world_set_weather(w, "swizzle-clog"));
    for (int i = 0; i < 30; i++) {
        side_write(&p.client, "ping");
        dw_world_run(w, DW_SEC(1));
    }
    dw_world_heal(w);
    dw_world_run(w, DW_MSEC(10));
    ck_assert_uint_eq(p.client.received, 120);
}

/* ---- All of them ---- */

static const char *name;

static void any(dw_world *w) {
    ck_assert(dw_world_set_weather(w, name));
    busy(w);
    dw_world_heal(w);
    dw_world_run(w, DW_MIN(5));
}

static size_t weather_count(void) {
    size_t n = 0;
    while (dw_world_weather_names()[n] != NULL) {
        n++;
    }
    return n;
}

START_TEST(every_weather_is_the_same_in_every_run) {
    played a, b;
    name = dw_world_weather_names()[_i];
    for (uint64_t seed = 0; seed < 4; seed++) {
        sim_source source = seed == 0 ? calm() : seeded(seed);
        play(any, source, true, &a);
        play(any, source, true, &b);
        ck_assert_msg(strcmp(a.timeline, b.timeline) == 0, "%s differs", name);
        ck_assert_msg(seed > 0 || !a.outcome.failed, "%s: %s", name, a.outcome.message);
        played_free(&a);
        played_free(&b);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_weather");
    TCase *weather = tcase_create("weather");
    tcase_add_test(weather, an_unknown_weather_is_refused);
    tcase_add_test(weather, a_satellite_is_far_away);
    tcase_add_test(weather, links_to_come_have_it_too);
    tcase_add_test(weather, calm_is_as_before);
    tcase_add_test(weather, bufferbloat_makes_the_next_one_wait);
    tcase_add_test(weather, a_loopback_has_no_weather);
    tcase_add_test(weather, a_blackhole_swallows_everything);
    tcase_add_test(weather, flap_goes_down_and_up);
    tcase_add_test(weather, a_link_made_while_flap_is_down_is_down);
    tcase_add_test(weather, healing_ends_what_a_weather_does_but_not_its_links);
    tcase_add_test(weather, another_weather_ends_what_the_last_one_does);
    suite_add_tcase(suite, weather);
    TCase *swizzle = tcase_create("swizzle-clog");
    tcase_add_test(swizzle, what_was_held_last_is_released_first);
    tcase_add_test(swizzle, another_order_is_a_choice);
    tcase_add_test(swizzle, swizzle_clog_loses_nothing);
    suite_add_tcase(suite, swizzle);
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, every_weather_is_the_same_in_every_run, 0, (int)weather_count());
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
