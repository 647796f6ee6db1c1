/* SPDX-License-Identifier: MIT */
/*
 * Protocols made of states, and the table of functions for string protocols. Expectations:
 * vectors/README.md, section 3 "Stateful protocols", the frames are written out by hand.
 */
#include "framing_rig.h"

#include <drywire/stateful.h>

struct probe {
    dw_stateful_protocol base; /* first */
    dw_reactor *reactor;
};

static bool is(const uint8_t *data, size_t len, const char *word) {
    return len == strlen(word) && memcmp(data, word, len) == 0;
}

/* A length of one byte, then a payload, which is a command. "=" repeats the payload's state. */
static dw_state payload(dw_stateful_protocol *p, const uint8_t *data, size_t len);

static dw_state length(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    (void)p;
    ck_assert_uint_eq(len, 1);
    return (dw_state){payload, data[0]};
}

static dw_state spin(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    (void)p;
    (void)data;
    ck_assert_uint_eq(len, 0);
    return DW_STATE_SAME;
}

static dw_state payload(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    dw_transport *t = p->base.transport;
    rig_bytes("payload", data, len);
    if (is(data, len, "lose")) {
        dw_transport_lose_connection(t);
    } else if (is(data, len, "abort")) {
        dw_transport_abort_connection(t);
    } else if (is(data, len, "fail")) {
        dw_transport_fail(t, &(dw_reason){DW_APP_ERROR, 0, "told to"});
    } else if (is(data, len, "pause")) {
        dw_stateful_protocol_pause_producing(p);
    } else if (is(data, len, "nap")) {
        dw_stateful_protocol_pause_producing(p);
        dw_stateful_protocol_resume_producing(p);
    } else if (is(data, len, "stop")) {
        dw_stateful_protocol_stop_producing(p);
    } else if (is(data, len, "spin")) {
        return (dw_state){spin, 0};
    } else if (len > 0 && data[0] == '=') {
        return DW_STATE_SAME;
    }
    return (dw_state){length, 1};
}

static dw_state initial(dw_stateful_protocol *p) {
    (void)p;
    rig_word("initial");
    return (dw_state){length, 1};
}

static bool keeps;

static void exceeded(dw_stateful_protocol *p, size_t size) {
    char text[32];
    snprintf(text, sizeof(text), "long(%zu)", size);
    rig_word(text);
    if (!keeps) {
        dw_transport_lose_connection(p->base.transport);
    }
}

static void probe_destroy(dw_protocol *protocol) {
    struct probe *p = (struct probe *)(void *)protocol;
    dw_stateful_protocol_fini(&p->base);
    dw_free(p->reactor, p);
}

static const dw_stateful_protocol_class probe_class = {
    .base = {.name = "probe", DW_STATEFUL_PROTOCOL_SLOTS, .destroy = probe_destroy},
    .initial_state = initial,
    .length_limit_exceeded = exceeded,
};

static dw_protocol *probe_make(dw_reactor *reactor) {
    struct probe *p = dw_new(reactor, struct probe);
    dw_stateful_protocol_init(&p->base, &probe_class);
    p->reactor = reactor;
    p->base.max_length = 12;
    return &p->base.base;
}

static void resume(dw_protocol *protocol) {
    dw_stateful_protocol_resume_producing((dw_stateful_protocol *)(void *)protocol);
}

#define EXPECT(bytes, expected)                                                                \
    rig_expect(                                                                                \
        (rig_play){                                                                            \
            .make = probe_make, .stream = (bytes), .len = sizeof(bytes) - 1, .after = resume}, \
        (expected))

START_TEST(handlers_get_exactly_what_they_want) {
    EXPECT("\x03"
           "abc"
           "\x01"
           "d"
           "\x05"
           "unfi",
           "initial payload(abc) payload(d) open");
}
END_TEST

START_TEST(first_state_is_asked_for_with_the_first_bytes) {
    rig_play play = {.make = probe_make, .stream = "", .len = 0, .after = resume};
    ck_assert_str_eq(rig_run(&play), "open");
}
END_TEST

START_TEST(state_that_wants_nothing_runs_at_once) {
    EXPECT("\x00"
           "\x00"
           "\x01"
           "a"
           "\x00",
           "initial payload() payload() payload(a) payload() open");
}
END_TEST

START_TEST(state_stays_with_its_size) {
    EXPECT("\x02"
           "=a"
           "=b"
           "cd"
           "\x01"
           "e",
           "initial payload(=a) payload(=b) payload(cd) payload(e) open");
}
END_TEST

START_TEST(states_that_want_nothing_for_ever_fail_the_connection) {
    EXPECT("\x04"
           "spin"
           "x",
           "initial payload(spin) DW_APP_ERROR");
}
END_TEST

START_TEST(state_over_the_limit_closes) {
    EXPECT("\x0c"
           "123456789012"
           "\x0d",
           "initial payload(123456789012) long(13) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(state_over_the_limit_that_does_not_close_gets_nothing_more) {
    keeps = true;
    EXPECT("\x0d"
           "1234567890123"
           "\x01"
           "a",
           "initial long(13) open");
}
END_TEST

START_TEST(no_handler_runs_after_the_end) {
    EXPECT("\x04"
           "lose"
           "\x01"
           "a",
           "initial payload(lose) DW_CONNECTION_DONE");
    EXPECT("\x05"
           "abort"
           "\x01"
           "a",
           "initial payload(abort) DW_CONNECTION_ABORTED");
    EXPECT("\x04"
           "fail"
           "\x01"
           "a",
           "initial payload(fail) DW_APP_ERROR");
    EXPECT("\x04"
           "stop"
           "\x01"
           "a",
           "initial payload(stop) DW_CONNECTION_DONE");
}
END_TEST

START_TEST(paused_states_go_on_with_resume) {
    EXPECT("\x05"
           "pause"
           "\x00"
           "\x01"
           "a",
           "initial payload(pause) payload() payload(a) open");
}
END_TEST

START_TEST(pause_and_resume_in_one_handler_changes_nothing) {
    EXPECT("\x03"
           "nap"
           "\x01"
           "a",
           "initial payload(nap) payload(a) open");
}
END_TEST

START_TEST(each_allocation_may_fail) {
    static const char stream[] = "\x05"
                                 "hello"
                                 "\x05"
                                 "pause"
                                 "\x0c"
                                 "123456789012"
                                 "\x03"
                                 "no";
    const char *log = "initial payload(hello) payload(pause) payload(123456789012) open";
    rig_play play = {
        .make = probe_make, .stream = stream, .len = sizeof(stream) - 1, .after = resume};
    for (play.first = 0; play.first < play.len; play.first++) {
        rig_expect_alloc_failures(play, log);
    }
    play.first = 0;
    play.piece = 1;
    ck_assert_uint_ge(rig_expect_alloc_failures(play, log), 1);
}
END_TEST

START_TEST(whole_states_take_no_memory) {
    rig_play play = {.make = probe_make,
                     .stream = "\x01"
                               "a"
                               "\x01"
                               "b",
                     .len = 4};
    ck_assert_uint_eq(rig_expect_alloc_failures(play, "initial payload(a) payload(b) open"), 0);
}
END_TEST

static dw_state all(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    (void)p;
    (void)data;
    ck_assert_uint_eq(len, DW_STATEFUL_MAX_LENGTH_DEFAULT);
    rig_word("99999");
    return (dw_state){all, len + 1};
}

static dw_state want_all(dw_stateful_protocol *p) {
    (void)p;
    return (dw_state){all, DW_STATEFUL_MAX_LENGTH_DEFAULT};
}

static const dw_stateful_protocol_class all_class = {
    .base = {.name = "all", DW_STATEFUL_PROTOCOL_SLOTS},
    .initial_state = want_all,
};

START_TEST(longest_state_keeps_no_more_than_it_wants) {
    dw_stateful_protocol p;
    dw_stateful_protocol_init(&p, &all_class);
    size_t most = rig_endless(&p.base, &p.framing_, "x", 1, 'x', 1 << 20, 1000);
    ck_assert_uint_le(most, DW_STATEFUL_MAX_LENGTH_DEFAULT);
    ck_assert_str_eq(rig_log, "99999 DW_CONNECTION_DONE");
}
END_TEST

START_TEST(verbs_without_a_connection_are_harmless) {
    dw_stateful_protocol p;
    rig_log[0] = '\0';
    dw_stateful_protocol_init(&p, &all_class);
    dw_stateful_protocol_pause_producing(&p);
    dw_stateful_protocol_resume_producing(&p);
    dw_stateful_protocol_stop_producing(&p);
    dw_stateful_protocol_fini(&p);
    ck_assert_str_eq(rig_log, "");
}
END_TEST

/* ---- The table ---- */

static const char *on_init(void *owner, const uint8_t *string, size_t len) {
    rig_bytes(owner, string, len);
    return is(string, len, "HELO") ? "auth" : NULL;
}

static const char *on_auth(void *owner, const uint8_t *string, size_t len) {
    rig_bytes(owner, string, len);
    return is(string, len, "QUIT") ? "done" : "nowhere";
}

static const dw_string_state states[] = {{"init", on_init}, {"auth", on_auth}, {NULL, NULL}};

static void say(dw_string_dispatch *d, dw_transport *t, const char *string) {
    dw_string_dispatch_received(d, t, (const uint8_t *)string, strlen(string));
}

START_TEST(strings_go_to_the_current_state) {
    dw_string_dispatch d;
    rig_log[0] = '\0';
    dw_string_dispatch_init(&d, states, "got");
    ck_assert_str_eq(d.state, "init");
    say(&d, NULL, "x");
    ck_assert_str_eq(d.state, "init");
    say(&d, NULL, "HELO");
    ck_assert_str_eq(d.state, "auth");
    say(&d, NULL, "y");
    ck_assert_str_eq(d.state, "nowhere");
    say(&d, NULL, "ignored");
    ck_assert_str_eq(d.state, "nowhere");
    ck_assert_str_eq(rig_log, "got(x) got(HELO) got(y)");
}
END_TEST

START_TEST(done_closes_the_connection) {
    dw_string_dispatch d;
    dw_protocol p;
    static const dw_protocol_class cls = {.name = "p"};
    dw_string_dispatch_init(&d, states, "got");
    dw_protocol_init(&p, &cls);
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, &p);
    say(&d, p.transport, "HELO");
    say(&d, p.transport, "QUIT");
    say(&d, p.transport, "ignored");
    ck_assert_str_eq(d.state, "done");
    dw_test_transport_advance(rig_test, 0);
    ck_assert_int_eq(dw_test_transport_reason(rig_test), DW_CONNECTION_DONE);
    dw_test_transport_free(rig_test);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stateful");
    TCase *c = tcase_create("stateful protocol");
    tcase_add_test(c, handlers_get_exactly_what_they_want);
    tcase_add_test(c, first_state_is_asked_for_with_the_first_bytes);
    tcase_add_test(c, state_that_wants_nothing_runs_at_once);
    tcase_add_test(c, state_stays_with_its_size);
    tcase_add_test(c, states_that_want_nothing_for_ever_fail_the_connection);
    tcase_add_test(c, state_over_the_limit_closes);
    tcase_add_test(c, state_over_the_limit_that_does_not_close_gets_nothing_more);
    tcase_add_test(c, no_handler_runs_after_the_end);
    tcase_add_test(c, paused_states_go_on_with_resume);
    tcase_add_test(c, pause_and_resume_in_one_handler_changes_nothing);
    tcase_add_test(c, each_allocation_may_fail);
    tcase_add_test(c, whole_states_take_no_memory);
    tcase_add_test(c, longest_state_keeps_no_more_than_it_wants);
    tcase_add_test(c, verbs_without_a_connection_are_harmless);
    tcase_add_test(c, strings_go_to_the_current_state);
    tcase_add_test(c, done_closes_the_connection);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
