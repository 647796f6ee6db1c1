/* SPDX-License-Identifier: MIT */
/* Rules: what the user's function sees of the traffic, and what its verdicts do. */
#include "sim_support.h"

static pair p;

/* A rule that notes what it saw and answers from a plan. */
static struct seen {
    unsigned calls, syns, fins, datagrams;
    dw_message last;
    char stream[200];
    size_t stream_len;
    dw_verdict data, syn, fin, datagram;
    unsigned answers; /* so many times; then it passes */
} seen;

static dw_verdict watcher(dw_world *w, const dw_message *m, void *user) {
    struct seen *s = user;
    (void)w;
    s->calls++;
    s->last = *m;
    s->syns += m->kind == DW_MESSAGE_SYN;
    s->fins += m->kind == DW_MESSAGE_FIN;
    s->datagrams += m->kind == DW_MESSAGE_DATAGRAM;
    s->stream_len = m->stream_len < sizeof(s->stream) ? m->stream_len : sizeof(s->stream);
    if (s->stream_len > 0) {
        memcpy(s->stream, m->stream, s->stream_len);
    }
    dw_verdict verdict = m->kind == DW_MESSAGE_SYN    ? s->syn
                         : m->kind == DW_MESSAGE_FIN  ? s->fin
                         : m->kind == DW_MESSAGE_DATA ? s->data
                                                      : s->datagram;
    if (verdict.kind != DW_PASS && s->answers-- == 0) {
        s->answers = 0;
        verdict.kind = DW_PASS;
    }
    return verdict;
}

static void see(dw_world *w, dw_host *from, dw_host *to) {
    memset(&seen, 0, sizeof(seen));
    seen.answers = 1;
    dw_world_add_rule(w, from, to, watcher, &seen);
}

/* ---- What it sees ---- */

CALM_TEST(it_sees_the_stream) {
    pair_hosts(&p, w);
    see(w, NULL, p.server_host);
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(seen.syns, 1);
    side_write(&p.client, "GET / ");
    dw_world_run(w, DW_MSEC(3));
    side_write(&p.client, "HTTP/1.1");
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(seen.calls, 3);
    ck_assert_ptr_eq(seen.last.from, p.client_host);
    ck_assert_ptr_eq(seen.last.to, p.server_host);
    ck_assert_uint_eq(seen.last.to_port, 80);
    ck_assert_uint_eq(seen.last.connection, 1);
    ck_assert(!seen.last.reply);
    ck_assert_uint_eq(seen.last.len, 8);
    ck_assert_uint_eq(seen.last.offset, 6);
    ck_assert_uint_eq(seen.stream_len, 14);
    ck_assert_mem_eq(seen.stream, "GET / HTTP/1.1", 14);
    ck_assert(side_has(&p.server, "GET / HTTP/1.1"));
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(seen.fins, 1);
}

CALM_TEST(it_sees_its_direction_only) {
    pair_connect(&p, w);
    see(w, p.server_host, p.client_host);
    side_write(&p.client, "question");
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(seen.calls, 0);
    side_write(&p.server, "answer");
    dw_world_run(w, DW_MSEC(3));
    ck_assert_uint_eq(seen.calls, 1);
    ck_assert(seen.last.reply);
}

/* The newest DW_RULE_STREAM_MAX bytes of it, whatever was sent. */
static size_t most_kept;

static dw_verdict keeper(dw_world *w, const dw_message *m, void *user) {
    (void)w;
    (void)user;
    bool intact = true;
    for (size_t i = 0; i < m->stream_len && m->kind == DW_MESSAGE_DATA; i++) {
        intact = intact && m->stream[m->stream_len - 1 - i] ==
                               stream_byte((size_t)m->offset + m->len - 1 - i);
    }
    ck_assert(intact);
    most_kept = m->stream_len > most_kept ? m->stream_len : most_kept;
    return (dw_verdict){.kind = DW_PASS};
}

CALM_TEST(long_streams_are_forgotten_from_the_front) {
    pair_connect(&p, w);
    most_kept = 0;
    dw_world_add_rule(w, NULL, NULL, keeper, NULL);
    for (size_t sent = 0; sent < 300000; sent += 7000) {
        stream_write(&p.client, sent, 7000);
        dw_world_run(w, DW_MSEC(10));
    }
    ck_assert_uint_le(most_kept, DW_RULE_STREAM_MAX);
    ck_assert_uint_gt(most_kept, DW_RULE_STREAM_MAX - 7000);
}

/* ---- Verdicts ---- */

CALM_TEST(a_delay_keeps_the_order) {
    pair_connect(&p, w);
    see(w, NULL, p.server_host);
    seen.data = (dw_verdict){.kind = DW_LATER, .delay = DW_MSEC(500)};
    side_write(&p.client, "late ");
    dw_world_run(w, DW_MSEC(2));
    side_write(&p.client, "later");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "late later"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(504));
    ck_assert_uint_eq(seen.calls, 2); /* what was delayed is not judged again */
}

/* Linux: TCP_RTO_MIN, 200 ms. */
CALM_TEST(what_is_dropped_comes_again_and_is_judged_again) {
    pair_connect(&p, w);
    see(w, NULL, p.server_host);
    seen.data.kind = DW_DROP;
    side_write(&p.client, "twice");
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "twice"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(204));
    ck_assert_uint_eq(seen.calls, 2);
    ck_assert_uint_eq(seen.last.offset, 0);
    ck_assert_uint_eq(seen.stream_len, 5); /* but stands once in the stream */
}

CALM_TEST(a_reset_is_for_both) {
    pair_connect(&p, w);
    see(w, NULL, p.server_host);
    seen.data.kind = DW_RESET;
    side_write(&p.client, "forbidden");
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNRESET);
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
    ck_assert_uint_eq(p.server.received, 0);
}

CALM_TEST(a_close_ends_both_in_good_order) {
    pair_connect(&p, w);
    see(w, NULL, p.server_host);
    seen.data.kind = DW_CLOSE;
    side_write(&p.client, "enough");
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason, DW_CONNECTION_DONE);
    ck_assert_int_eq(p.server.reason, DW_CONNECTION_DONE);
}

CALM_TEST(a_syn_is_refused) {
    pair_hosts(&p, w);
    see(w, NULL, p.server_host);
    seen.syn.kind = DW_RESET;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(1));
    ck_assert_int_eq(p.client.reason_errno, ECONNREFUSED);
}

/* tcp(7): the first retry after 1 s. */
CALM_TEST(a_syn_is_dropped) {
    pair_hosts(&p, w);
    see(w, NULL, p.server_host);
    seen.syn.kind = DW_DROP;
    side_connect(&p.client, "10.0.0.1", 80);
    dw_world_run(w, DW_SEC(2));
    ck_assert_int_eq(p.client.made_at, DW_SEC(1) + DW_MSEC(2));
}

CALM_TEST(a_fin_is_delayed) {
    pair_connect(&p, w);
    see(w, NULL, p.server_host);
    seen.fin = (dw_verdict){.kind = DW_LATER, .delay = DW_SEC(1)};
    dw_transport_lose_connection(p.client.protocol.transport);
    dw_world_run(w, DW_SEC(2));
    ck_assert_int_eq(p.server.lost_at, DW_MSEC(1004));
}

/* "After the Host header", however it is cut. */
static dw_verdict after_host(dw_world *w, const dw_message *m, void *user) {
    const char *header = "Host: a\r\n";
    const uint8_t *at = m->stream_len >= 9 ? m->stream : NULL;
    (void)w;
    for (size_t i = 0; at != NULL && i + 9 <= m->stream_len; i++) {
        if (memcmp(at + i, header, 9) == 0) {
            size_t end = i + 9, before = m->stream_len - m->len;
            return (dw_verdict){.kind = *(dw_verdict_kind *)user,
                                .after = end > before ? end - before : 0,
                                .delay = DW_SEC(1)};
        }
    }
    return (dw_verdict){.kind = DW_PASS};
}

static dw_verdict_kind plan;

CALM_TEST(what_is_before_the_place_arrives) {
    pair_connect(&p, w);
    plan = DW_RESET;
    dw_world_add_rule(w, p.client_host, NULL, after_host, &plan);
    side_write(&p.client, "GET / HTTP/1.1\r\nHo");
    dw_world_run(w, DW_MSEC(5));
    side_write(&p.client, "st: a\r\nCookie: b\r\n");
    dw_world_run(w, DW_MSEC(5));
    ck_assert(side_has(&p.server, "GET / HTTP/1.1\r\nHost: a\r\n"));
    ck_assert_int_eq(p.server.reason_errno, ECONNRESET);
}

CALM_TEST(the_rest_is_late) {
    pair_connect(&p, w);
    plan = DW_LATER;
    dw_rule *rule = dw_world_add_rule(w, p.client_host, NULL, after_host, &plan);
    side_write(&p.client, "Host: a\r\nrest");
    dw_world_run(w, DW_MSEC(1));
    dw_world_remove_rule(w, rule); /* the verdict stands */
    side_write(&p.client, ", and more");
    dw_world_run(w, DW_MSEC(500));
    ck_assert(side_has(&p.server, "Host: a\r\n"));
    dw_world_run(w, DW_SEC(1));
    ck_assert(side_has(&p.server, "Host: a\r\nrest, and more"));
    ck_assert_int_eq(p.server.data_at, DW_MSEC(1004));
}

/* ---- Order and removal ---- */

CALM_TEST(the_first_answer_counts) {
    struct seen second;
    pair_connect(&p, w);
    see(w, NULL, NULL);
    seen.data.kind = DW_RESET;
    memset(&second, 0, sizeof(second));
    dw_world_add_rule(w, NULL, NULL, watcher, &second);
    side_write(&p.client, "x");
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(seen.calls, 1);
    ck_assert_uint_eq(second.calls, 0);
}

static dw_rule *own;

static dw_verdict once(dw_world *w, const dw_message *m, void *user) {
    (void)m;
    ++*(unsigned *)user;
    dw_world_remove_rule(w, own);
    return (dw_verdict){.kind = DW_PASS};
}

CALM_TEST(a_rule_may_remove_itself) {
    static unsigned calls;
    calls = 0;
    pair_connect(&p, w);
    own = dw_world_add_rule(w, NULL, NULL, once, &calls);
    side_write(&p.client, "a");
    dw_world_run(w, DW_MSEC(5));
    side_write(&p.client, "b");
    dw_world_run(w, DW_MSEC(5));
    ck_assert_uint_eq(calls, 1);
    ck_assert(side_has(&p.server, "ab"));
}

/* ---- From inside: hosts end, links are cut and held ---- */

static dw_verdict cruel(dw_world *w, const dw_message *m, void *user) {
    if (m->kind == DW_MESSAGE_DATA) {
        ((void (*)(dw_world *))(uintptr_t)user)(w);
    }
    return (dw_verdict){.kind = DW_PASS};
}

static void kill_both(dw_world *w) {
    (void)w;
    dw_host_kill(p.server_host);
    dw_host_kill(p.client_host);
}

static void crash_both(dw_world *w) {
    (void)w;
    dw_host_crash(p.server_host);
    dw_host_crash(p.client_host);
}

static void hold_it(dw_world *w) {
    dw_world_hold(w, p.server_host, p.client_host);
}

static void cut_it(dw_world *w) {
    dw_world_partition(w, p.server_host, p.client_host);
}

static void (*const cruelties[])(dw_world *) = {kill_both, crash_both, hold_it, cut_it};
static unsigned cruelty;

static void cruel_scenario(dw_world *w) {
    pair_connect(&p, w);
    dw_world_add_rule(w, NULL, NULL, cruel, (void *)(uintptr_t)cruelties[cruelty]);
    side_write(&p.client, "mercy");
    dw_world_run(w, DW_MSEC(100));
    ck_assert_uint_eq(p.server.received, 0);
}

START_TEST(a_rule_may_end_hosts_and_change_links) {
    cruelty = (unsigned)_i;
    expect_calm(cruel_scenario);
}
END_TEST

/* ---- Everything at once ---- */

static dw_verdict moody(dw_world *w, const dw_message *m, void *user) {
    static const dw_verdict_kind moods[] = {DW_PASS, DW_LATER, DW_DROP, DW_RESET, DW_CLOSE};
    (void)user;
    return (dw_verdict){.kind = moods[dw_world_choose(w, "mood", 5)],
                        .after = m->len / 2,
                        .delay = DW_MSEC(dw_world_choose(w, "late", 50))};
}

static void busy_with_rules(dw_world *w) {
    dw_world_add_rule(w, NULL, NULL, moody, NULL);
    dw_world_set_weather(w, "swizzle-clog");
    dw_world_set_keep_alive(w, DW_MSEC(20), DW_MSEC(5), 3);
    dw_world_set_nagle(w, true);
    busy(w);
    dw_world_run(w, DW_SEC(20));
}

START_TEST(rules_are_the_same_in_every_run) {
    played a, b;
    for (uint64_t seed = 1; seed < 60; seed++) {
        play(busy_with_rules, seeded(seed), true, &a);
        play(busy_with_rules, seeded(seed), true, &b);
        ck_assert_str_eq(a.timeline, b.timeline);
        played_free(&a);
        played_free(&b);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_rule");
    TCase *sight = tcase_create("sight");
    tcase_add_test(sight, it_sees_the_stream);
    tcase_add_test(sight, it_sees_its_direction_only);
    tcase_add_test(sight, long_streams_are_forgotten_from_the_front);
    suite_add_tcase(suite, sight);
    TCase *verdicts = tcase_create("verdicts");
    tcase_add_test(verdicts, a_delay_keeps_the_order);
    tcase_add_test(verdicts, what_is_dropped_comes_again_and_is_judged_again);
    tcase_add_test(verdicts, a_reset_is_for_both);
    tcase_add_test(verdicts, a_close_ends_both_in_good_order);
    tcase_add_test(verdicts, a_syn_is_refused);
    tcase_add_test(verdicts, a_syn_is_dropped);
    tcase_add_test(verdicts, a_fin_is_delayed);
    tcase_add_test(verdicts, what_is_before_the_place_arrives);
    tcase_add_test(verdicts, the_rest_is_late);
    suite_add_tcase(suite, verdicts);
    TCase *order = tcase_create("order");
    tcase_add_test(order, the_first_answer_counts);
    tcase_add_test(order, a_rule_may_remove_itself);
    tcase_add_loop_test(order, a_rule_may_end_hosts_and_change_links, 0, 4);
    tcase_add_test(order, rules_are_the_same_in_every_run);
    suite_add_tcase(suite, order);
    return run_suite(suite);
}
