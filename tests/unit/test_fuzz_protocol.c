/* SPDX-License-Identifier: MIT */
/*
 * DW_FUZZ_PROTOCOL's engine: it must catch what it promises to, and be silent about good protocols.
 * Each planted fault is a small protocol; the engine is expected to end the process with SIGABRT.
 */
#include "../suite.h"
#include "conversation.h"

#include <check.h>
#include <drywire/fuzz.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void play(const dw_fuzz_protocol *target, const char *input, size_t len) {
    ck_assert_int_eq(dw_fuzz_protocol_run(target, (const uint8_t *)input, len), 0);
}

/* Plays in a child of our own, since the engine ends the process: by abort(), having written
 * `words` to stderr. */
static void expect_finding(const dw_fuzz_protocol *target, const char *input, size_t len,
                           const char *words) {
    char text[4096];
    size_t used = 0;
    int pipes[2], status = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        dw_fuzz_protocol_run(target, (const uint8_t *)input, len);
        _exit(EXIT_SUCCESS);
    }
    close(pipes[1]);
    for (ssize_t n = 1; n > 0 && used < sizeof(text) - 1; used += (size_t)n) {
        n = read(pipes[0], text + used, sizeof(text) - 1 - used);
        n = n < 0 ? 0 : n;
    }
    text[used] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "nothing was found");
    ck_assert_msg(strstr(text, words) != NULL, "not \"%s\" in: %s", words, text);
}

#define FINDING(target, literal, words) \
    expect_finding((target), (literal), sizeof(literal) - 1, (words))

/* An input as a literal; zero bytes are fine. */
#define PLAY(target, literal) play((target), (literal), sizeof(literal) - 1)

/* ---- Protocols ---- */

struct subject {
    dw_protocol base;
    dw_reactor *reactor;
    dw_delayed_call call;
    void *block;
};

static unsigned built, received, ended;
static dw_time last_time;
static dw_error last_reason;

static void subject_destroy(dw_protocol *p) {
    struct subject *s = (struct subject *)p;
    dw_free(s->reactor, s);
}

static dw_protocol *subject_new(dw_reactor *reactor, const dw_protocol_class *cls) {
    struct subject *s = dw_new(reactor, struct subject);
    ck_assert_ptr_nonnull(s);
    dw_protocol_init(&s->base, cls);
    s->reactor = reactor;
    built++;
    return &s->base;
}

static void count_lost(dw_protocol *p, const dw_reason *reason) {
    (void)p;
    ended++;
    last_reason = reason->kind;
}

/* Good: counts lines, however they are cut. */
static void lines_received(dw_protocol *p, const uint8_t *data, size_t len) {
    struct subject *s = (struct subject *)p;
    received++;
    last_time = dw_reactor_now(s->reactor);
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            dw_transport_write(p->transport, "line\n", 5);
        }
    }
}

static const dw_protocol_class good_class = {
    .name = "good",
    .data_received = lines_received,
    .connection_lost = count_lost,
    .destroy = subject_destroy,
};

static dw_protocol *good_new(dw_reactor *reactor) {
    return subject_new(reactor, &good_class);
}

/* Wrong: takes each piece for a message. */
static void pieces_received(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)data, (void)len;
    dw_transport_write(p->transport, "piece\n", 6);
}

static const dw_protocol_class pieces_class = {
    .name = "pieces", .data_received = pieces_received, .destroy = subject_destroy};

static dw_protocol *pieces_new(dw_reactor *reactor) {
    return subject_new(reactor, &pieces_class);
}

/* Wrong: answers a line whose end came apart from it only after a while. */
static void late_answer(void *user) {
    struct subject *s = user;
    dw_transport_write(s->base.transport, "line\n", 5);
}

static void late_received(dw_protocol *p, const uint8_t *data, size_t len) {
    struct subject *s = (struct subject *)p;
    if (data[len - 1] == '\n' && len == 1) {
        dw_reactor_call_later(s->reactor, &s->call, DW_SEC(1), late_answer, s);
    } else if (data[len - 1] == '\n') {
        dw_transport_write(p->transport, "line\n", 5);
    }
}

static void late_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_delayed_call_cancel(&((struct subject *)p)->call);
}

static const dw_protocol_class late_class = {.name = "late",
                                             .data_received = late_received,
                                             .connection_lost = late_lost,
                                             .destroy = subject_destroy};

static dw_protocol *late_new(dw_reactor *reactor) {
    return subject_new(reactor, &late_class);
}

/* Wrong: closes or resets, depending on the cuts. */
static void moody_received(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)data;
    if (len > 1) {
        dw_transport_abort_connection(p->transport);
    } else {
        dw_transport_lose_connection(p->transport);
    }
}

static const dw_protocol_class moody_class = {
    .name = "moody", .data_received = moody_received, .destroy = subject_destroy};

static dw_protocol *moody_new(dw_reactor *reactor) {
    return subject_new(reactor, &moody_class);
}

/* Wrong: keeps a block when it meets a '!'. */
static void leak_received(dw_protocol *p, const uint8_t *data, size_t len) {
    struct subject *s = (struct subject *)p;
    if (memchr(data, '!', len) != NULL && s->block == NULL) {
        s->block = dw_alloc(s->reactor, 64);
    }
}

static const dw_protocol_class leak_class = {
    .name = "leak", .data_received = leak_received, .destroy = subject_destroy};

static dw_protocol *leak_new(dw_reactor *reactor) {
    return subject_new(reactor, &leak_class);
}

/* Wrong: forgets its delayed call. The subject lives on, so that only the call is left over. */
static struct subject forgetful;

static void nothing(void *user) {
    (void)user;
}

static void forgetful_made(dw_protocol *p) {
    struct subject *s = (struct subject *)p;
    dw_reactor_call_later(s->reactor, &s->call, DW_HOUR(100), nothing, s);
}

static const dw_protocol_class forgetful_class = {.name = "forgetful",
                                                  .connection_made = forgetful_made};

static dw_protocol *forgetful_new(dw_reactor *reactor) {
    memset(&forgetful, 0, sizeof(forgetful));
    dw_protocol_init(&forgetful.base, &forgetful_class);
    forgetful.reactor = reactor;
    return &forgetful.base;
}

/* Good: a factory with memory of its own. */
struct house {
    dw_factory base;
    dw_reactor *reactor;
};

static unsigned starts, stops, releases;

static dw_protocol *house_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    return good_new(((struct house *)factory)->reactor);
}

static void house_start(dw_factory *factory) {
    (void)factory;
    starts++;
}

static void house_stop(dw_factory *factory) {
    (void)factory;
    stops++;
}

static const dw_factory_class house_class = {
    .name = "house", .build_protocol = house_build, .start = house_start, .stop = house_stop};

static dw_factory *house_new(dw_reactor *reactor) {
    struct house *house = dw_new(reactor, struct house);
    ck_assert_ptr_nonnull(house);
    dw_factory_init(&house->base, &house_class);
    house->reactor = reactor;
    return &house->base;
}

static void house_release(dw_factory *factory) {
    releases++;
    dw_free(((struct house *)factory)->reactor, factory);
}

static const dw_fuzz_protocol good = {.protocol = good_new};
static const dw_fuzz_protocol pieces = {.protocol = pieces_new};
static const dw_fuzz_protocol late = {.protocol = late_new};
static const dw_fuzz_protocol moody = {.protocol = moody_new};
static const dw_fuzz_protocol leak = {.protocol = leak_new};
static const dw_fuzz_protocol forgets = {.protocol = forgetful_new};
static const dw_fuzz_protocol house = {.factory = house_new, .release = house_release};

/* The macro takes both kinds of build; its entry point is used by one test. */
DW_FUZZ_PROTOCOL(house_new, .release = house_release)

/* ---- Silence about the good ---- */

START_TEST(a_good_protocol_passes_cut_or_not) {
    PLAY(&good, "");
    PLAY(&good, "one\ntwo\n");
    PLAY(&good, "one\xff|\ntw\xff|o\xff|\n");
    ck_assert_uint_eq(built, 4); /* the cut one twice */
    ck_assert_uint_eq(received, 1 + 4 + 1);
    ck_assert_uint_eq(ended, built);
}
END_TEST

START_TEST(a_protocol_that_takes_pieces_for_messages_passes_uncut) {
    PLAY(&pieces, "one\xff\x34two"); /* FF '4': a second passes in both runs */
}
END_TEST

START_TEST(a_factory_is_started_stopped_and_released_per_run) {
    PLAY(&house, "x\xff|y");
    ck_assert_uint_eq(starts, 2);
    ck_assert_uint_eq(stops, 2);
    ck_assert_uint_eq(releases, 2);
}
END_TEST

START_TEST(the_macro_makes_an_entry_point) {
    ck_assert_int_eq(LLVMFuzzerTestOneInput((const uint8_t *)"x\n", 2), 0);
    ck_assert_uint_eq(releases, 1);
}
END_TEST

START_TEST(time_passes_between_data) {
    PLAY(&good, "a\xff"
                "5b\xff"
                "1c"); /* 5 s, 1 ms */
    ck_assert_int_eq(last_time, DW_SEC(5) + DW_MSEC(1));
}
END_TEST

START_TEST(virtual_time_is_limited) {
    char input[1000];
    for (size_t i = 0; i < sizeof(input); i += 2) {
        memcpy(input + i, "\xff\x39", 2); /* 500 times 10 min */
    }
    input[sizeof(input) - 1] = 'x'; /* the last event becomes a cut */
    play(&good, input, sizeof(input));
    ck_assert_int_eq(FUZZ_TIME_MAX, DW_HOUR(1));
}
END_TEST

START_TEST(the_ways_to_end_are_different) {
    PLAY(&good, "x\xff"
                "c");
    ck_assert_int_eq(last_reason, DW_CONNECTION_DONE);
    PLAY(&good, "x\xff"
                "r");
    ck_assert_int_eq(last_reason, DW_CONNECTION_LOST);
    PLAY(&good, "x\xff"
                "h");
    ck_assert_int_eq(last_reason, DW_CONNECTION_DONE);
    PLAY(&good, "x\xfft");
    ck_assert_int_eq(last_reason, DW_CONNECTION_LOST);
}
END_TEST

START_TEST(failing_memory_is_no_segmentation_finding) {
    PLAY(&good, "\xffm\x01x\n\xff|\n");
    ck_assert_int_eq(last_reason, DW_NO_MEMORY);
}
END_TEST

START_TEST(cuts_may_be_declared_to_matter) {
    dw_fuzz_protocol tolerated = pieces;
    tolerated.cuts_matter = true;
    PLAY(&tolerated, "on\xff|e");
}
END_TEST

START_TEST(time_under_back_pressure_leaves_nothing_to_compare) {
    PLAY(&pieces, "on\xff|e\xffw\x05\xff\x34");
}
END_TEST

START_TEST(a_loss_under_back_pressure_leaves_what_both_sent) {
    PLAY(&pieces, "on\xff|e\xffw\x05x\xffr"); /* 12 bytes and 6, of the same text */
}
END_TEST

/* ---- Findings ---- */

START_TEST(back_pressure_alone_excuses_nothing) {
    FINDING(&pieces, "\xffw\x05on\xff|e", "the outputs differ at byte 6:\n");
}
END_TEST

START_TEST(another_answer_when_cut_is_caught) {
    PLAY(&pieces, "one");
    FINDING(&pieces, "on\xff|e", "the outputs differ at byte 6:\n  cut     12 bytes");
}
END_TEST

START_TEST(a_finding_shows_the_conversation) {
    FINDING(&pieces, "on\xff|e\r\n\xff\x34",
            "  1  receive 2 bytes \"on\"\n     2  receive 3 bytes \"e\\r\\n\"\n"
            "     3  1000 ms pass\n");
}
END_TEST

START_TEST(an_answer_at_another_time_is_caught) {
    PLAY(&late, "x\n\xff\x36");
    FINDING(&late, "x\xff|\n\xff\x36\xff\x36", "at another time\nbefore event 1");
}
END_TEST

START_TEST(another_end_when_cut_is_caught) {
    PLAY(&moody, "xy");
    FINDING(&moody, "x\xff|y",
            "in another way\n  cut     DW_CONNECTION_DONE, sent FIN\n  joined  "
            "DW_CONNECTION_ABORTED, sent RST");
}
END_TEST

START_TEST(leaked_memory_is_caught_with_its_place) {
    PLAY(&leak, "fine");
    FINDING(&leak, "boom!", "64 bytes from " __FILE__ ":");
}
END_TEST

START_TEST(a_forgotten_delayed_call_is_caught) {
    FINDING(&forgets, "x", "1 delayed calls");
}
END_TEST

/* ---- Decoding ---- */

static fuzz_conversation talk;

START_TEST(input_without_ff_is_one_piece) {
    ck_assert(dw_fuzz_decode(&talk, (const uint8_t *)"PING\r\n", 6));
    ck_assert_uint_eq(talk.count, 1);
    ck_assert_mem_eq(talk.bytes, "PING\r\n", 6);
    ck_assert(!talk.has_cuts);
}
END_TEST

START_TEST(doubled_ff_is_a_byte_and_no_cut) {
    ck_assert(dw_fuzz_decode(&talk,
                             (const uint8_t *)"a\xff\xff\xff\xff"
                                              "b",
                             6));
    ck_assert_uint_eq(talk.count, 1);
    ck_assert_uint_eq(talk.len, 4);
    ck_assert_mem_eq(talk.bytes,
                     "a\xff\xff"
                     "b",
                     4);
}
END_TEST

START_TEST(cuts_at_the_ends_and_twice_are_nothing) {
    ck_assert(dw_fuzz_decode(&talk, (const uint8_t *)"\xff|a\xff|\xff?b\xff|\xff", 11));
    ck_assert_uint_eq(talk.count, 2);
    ck_assert(talk.has_cuts);
    ck_assert_uint_eq(talk.steps[1].at, 1);
    ck_assert_uint_eq(talk.steps[1].len, 1);
}
END_TEST

START_TEST(a_cut_is_good_for_one_place_only) {
    ck_assert(dw_fuzz_decode(&talk, (const uint8_t *)"a\xff|b\xff\xff\x63", 7));
    ck_assert_uint_eq(talk.count, 2);
    ck_assert_uint_eq(talk.steps[1].len, 3);
}
END_TEST

START_TEST(events_part_data_without_being_cuts) {
    ck_assert(dw_fuzz_decode(&talk,
                             (const uint8_t *)"a\xffw\x05"
                                              "b\xffW",
                             7));
    ck_assert_uint_eq(talk.count, 4);
    ck_assert_int_eq(talk.steps[1].event, FUZZ_ROOM);
    ck_assert_int_eq(talk.steps[1].amount, 5);
    ck_assert_int_eq(talk.steps[3].amount, -1);
    ck_assert(!talk.has_cuts);
}
END_TEST

START_TEST(steps_are_limited) {
    static uint8_t input[3 * (FUZZ_STEPS_MAX + 500)];
    for (size_t i = 0; i < sizeof(input); i += 3) {
        memcpy(input + i, "x\xff|", 3);
    }
    ck_assert(dw_fuzz_decode(&talk, input, sizeof(input)));
    ck_assert_uint_eq(talk.count, FUZZ_STEPS_MAX);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("fuzz_protocol");
    TCase *c = tcase_create("fuzz_protocol");
    tcase_add_test(c, a_good_protocol_passes_cut_or_not);
    tcase_add_test(c, a_protocol_that_takes_pieces_for_messages_passes_uncut);
    tcase_add_test(c, a_factory_is_started_stopped_and_released_per_run);
    tcase_add_test(c, the_macro_makes_an_entry_point);
    tcase_add_test(c, time_passes_between_data);
    tcase_add_test(c, virtual_time_is_limited);
    tcase_add_test(c, the_ways_to_end_are_different);
    tcase_add_test(c, failing_memory_is_no_segmentation_finding);
    tcase_add_test(c, cuts_may_be_declared_to_matter);
    tcase_add_test(c, time_under_back_pressure_leaves_nothing_to_compare);
    tcase_add_test(c, a_loss_under_back_pressure_leaves_what_both_sent);
    tcase_add_test(c, back_pressure_alone_excuses_nothing);
    tcase_add_test(c, another_answer_when_cut_is_caught);
    tcase_add_test(c, a_finding_shows_the_conversation);
    tcase_add_test(c, an_answer_at_another_time_is_caught);
    tcase_add_test(c, another_end_when_cut_is_caught);
    tcase_add_test(c, leaked_memory_is_caught_with_its_place);
    tcase_add_test(c, a_forgotten_delayed_call_is_caught);
    tcase_add_test(c, input_without_ff_is_one_piece);
    tcase_add_test(c, doubled_ff_is_a_byte_and_no_cut);
    tcase_add_test(c, cuts_at_the_ends_and_twice_are_nothing);
    tcase_add_test(c, a_cut_is_good_for_one_place_only);
    tcase_add_test(c, events_part_data_without_being_cuts);
    tcase_add_test(c, steps_are_limited);
    suite_add_tcase(s, c);
    return s;
}

int main(void) {
    return run_suite(suite());
}
