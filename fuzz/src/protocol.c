/* SPDX-License-Identifier: MIT */
/*
 * The engine behind DW_FUZZ_PROTOCOL: plays a conversation to a fresh protocol on a test transport,
 * once with its cuts and once without, and compares. Its invariant is that each run begins from
 * nothing: a new reactor, time 0; only empty buffers are kept from one input to the next.
 */
#include "conversation.h"
#include "drywire/fuzz.h"
#include "promises.h"
#include "test_wire.h"

#include <stdlib.h>
#include <string.h>

/* Longer inputs are not looked at; a protocol that has sent more than this is not asked further. */
#define FUZZ_INPUT_MAX  ((size_t)1 << 20)
#define FUZZ_OUTPUT_MAX ((size_t)8 << 20)

/* Bytes shown on either side of a difference. */
#define FUZZ_AROUND 40

/* How things stood just before an event of the conversation. */
typedef struct fuzz_mark {
    size_t written;
    bool connected;
} fuzz_mark;

typedef struct fuzz_run {
    const char *name; /* for reports */
    dw_test_transport *test;
    size_t mark_count;
    fuzz_mark marks[FUZZ_STEPS_MAX + 1];
    bool pointless; /* refused, or too much output: nothing to compare */
    fuzz_watch watch;
} fuzz_run;

static fuzz_conversation talk;
static fuzz_run joined = {.name = "joined"}, cut = {.name = "cut"};

/* ---- Findings ---- */

void dw_fuzz_finding_begin(const char *oracle, const char *sentence) {
    fflush(stdout);
    fprintf(stderr, "\ndrywire fuzz: %s: %s\n", oracle, sentence);
}

void dw_fuzz_finding_end(void) {
    fputs("the conversation:\n", stderr);
    dw_fuzz_print_conversation(stderr, &talk);
    fflush(stderr);
    abort();
}

static void print_around(const fuzz_run *run, size_t at) {
    size_t len = run->test->out.len;
    size_t from = at > FUZZ_AROUND ? at - FUZZ_AROUND : 0;
    size_t to = len - at < FUZZ_AROUND ? len : at + FUZZ_AROUND;
    fprintf(stderr, "  %-7s %zu bytes, from byte %zu: ", run->name, len, from);
    dw_fuzz_print_bytes(stderr, run->test->out.bytes + from, to - from);
    fputc('\n', stderr);
}

static void print_end(const fuzz_run *run) {
    const dw_test_transport *test = run->test;
    fprintf(stderr, "  %-7s %s%s%s\n", run->name,
            test->connected ? "still connected" : dw_error_name((int)test->reason),
            test->sent_fin ? ", sent FIN" : "", test->sent_reset ? ", sent RST" : "");
}

/* ---- Comparing ---- */

static void compare_output(void) {
    const test_buffer *a = &cut.test->out, *b = &joined.test->out;
    size_t len = a->len < b->len ? a->len : b->len, at = 0;
    bool same_len = a->len == b->len || talk.room_lose;
    if (same_len && (len == 0 || memcmp(a->bytes, b->bytes, len) == 0)) {
        return;
    }
    while (at < len && a->bytes[at] == b->bytes[at]) {
        at++;
    }
    dw_fuzz_finding_begin("segmentation", "the same bytes, cut otherwise, got another answer");
    fprintf(stderr, "the outputs differ at byte %zu:\n", at);
    print_around(&cut, at);
    print_around(&joined, at);
    dw_fuzz_finding_end();
}

static void compare_marks(void) {
    for (size_t i = 0; i < cut.mark_count; i++) {
        const fuzz_mark *a = &cut.marks[i], *b = &joined.marks[i];
        if (a->written == b->written && a->connected == b->connected) {
            continue;
        }
        dw_fuzz_finding_begin("segmentation", "the same bytes, cut otherwise, had their effect at "
                                              "another time");
        fprintf(stderr,
                "before event %zu (data not counted):\n  cut     %zu bytes written, %s\n"
                "  joined  %zu bytes written, %s\n",
                i + 1, a->written, a->connected ? "connected" : "ended", b->written,
                b->connected ? "connected" : "ended");
        dw_fuzz_finding_end();
    }
}

static void compare_ends(void) {
    const dw_test_transport *a = cut.test, *b = joined.test;
    if (a->connected != b->connected || a->reason != b->reason || a->sent_fin != b->sent_fin ||
        a->sent_reset != b->sent_reset) {
        dw_fuzz_finding_begin("segmentation", "the same bytes, cut otherwise, ended the connection "
                                              "in another way");
        print_end(&cut);
        print_end(&joined);
        dw_fuzz_finding_end();
    }
}

/* ---- Leaks ---- */

static void check_counts(dw_reactor *reactor) {
    dw_reactor_counts counts = dw_reactor_count(reactor);
    if (counts.connections + counts.connecting + counts.ports + counts.delayed_calls == 0) {
        return;
    }
    dw_fuzz_finding_begin("leak", "something is still going on after the end");
    fprintf(stderr, "  %zu connections, %zu attempts to connect, %zu ports, %zu delayed calls\n",
            counts.connections, counts.connecting, counts.ports, counts.delayed_calls);
    dw_fuzz_finding_end();
}

static void check_blocks(const dw_test_transport *test) {
    if (test->block_count == 0) {
        return;
    }
    dw_fuzz_finding_begin("leak", "memory was not given back");
    for (const test_block *b = test->blocks.next; b != &test->blocks; b = b->next) {
        fprintf(stderr, "  %zu bytes from %s\n", b->size, b->where);
    }
    dw_fuzz_finding_end();
}

/* ---- One run ---- */

static void quiet(void *user, const char *line) {
    (void)user, (void)line;
}

static bool run_begin(fuzz_run *run) {
    if (run->test == NULL) {
        run->test = calloc(1, sizeof(*run->test));
    }
    if (run->test == NULL) {
        return false;
    }
    sim_test_transport_init(run->test);
    dw_reactor_set_log(&run->test->reactor, quiet, NULL);
    run->mark_count = 0;
    run->pointless = false;
    return true;
}

static void mark(fuzz_run *run) {
    run->marks[run->mark_count++] =
        (fuzz_mark){.written = run->test->out.len, .connected = run->test->connected};
}

static void perform(fuzz_run *run, const fuzz_step *step, size_t len) {
    dw_test_transport *test = run->test;
    if (step->event == FUZZ_DATA) {
        dw_test_transport_receive(test, talk.bytes + step->at, len);
        dw_fuzz_watch_data(&run->watch, test, talk.bytes, step->at + len);
        return;
    }
    mark(run);
    switch (step->event) {
    case FUZZ_TIME:
        dw_test_transport_advance(test, step->amount);
        dw_fuzz_watch_time(&run->watch, test, talk.has_room);
        break;
    case FUZZ_ROOM:
        dw_test_transport_set_room(test, step->amount < 0 ? SIZE_MAX : (size_t)step->amount);
        break;
    case FUZZ_HALF_CLOSE:
        dw_test_transport_half_close(test);
        break;
    case FUZZ_LOSE:
        dw_test_transport_lose(test, (int)step->amount);
        break;
    default:
        dw_test_transport_fail_alloc(test, (unsigned)step->amount, false);
        break;
    }
}

/* Plays the steps; without cuts, pieces of data that follow each other arrive as one. */
static void converse(fuzz_run *run, bool with_cuts) {
    for (size_t i = 0; i < talk.count && !run->pointless; i++) {
        const fuzz_step *step = &talk.steps[i];
        size_t len = step->len;
        while (!with_cuts && step->event == FUZZ_DATA && i + 1 < talk.count &&
               talk.steps[i + 1].event == FUZZ_DATA) {
            len += talk.steps[++i].len;
        }
        perform(run, step, len);
        run->pointless = run->test->out.len > FUZZ_OUTPUT_MAX;
    }
}

/* In the end the network is well again and the peer closes. */
static void hang_up(fuzz_run *run) {
    dw_test_transport_set_room(run->test, SIZE_MAX);
    mark(run);
    dw_test_transport_lose(run->test, 0);
}

static dw_factory *connect_target(fuzz_run *run, const dw_fuzz_protocol *target) {
    dw_factory *factory = NULL;
    dw_protocol *protocol = dw_fuzz_connect(target, run->test, &factory);
    run->watch = dw_fuzz_watch_begin(run->test, protocol, factory);
    run->pointless = run->test->reactor.connection_count == 0 && !run->test->connected;
    return factory;
}

/* What a run leaves for the comparison is in the test transport's own fields, which stay readable
 * after its reactor has ended. */
static void play(fuzz_run *run, const dw_fuzz_protocol *target, bool with_cuts) {
    if (!run_begin(run)) {
        run->pointless = true;
        return;
    }
    dw_factory *factory = connect_target(run, target);
    converse(run, with_cuts);
    hang_up(run);
    bool connected = run->test->connected;
    dw_error reason = run->test->reason;
    bool fin = run->test->sent_fin, reset = run->test->sent_reset;
    sim_test_transport_shut(run->test);
    if (factory != NULL && target->release != NULL) {
        target->release(factory);
    }
    check_counts(&run->test->reactor);
    sim_test_transport_fini(run->test);
    check_blocks(run->test);
    run->test->connected = connected;
    run->test->reason = reason;
    run->test->sent_fin = fin;
    run->test->sent_reset = reset;
}

/* Which allocation fails may well depend on the cuts. So may, while the network takes nothing, how
 * much of the input a careful protocol has worked on: it is no fault if time then finds it
 * elsewhere. */
static bool comparable(const dw_fuzz_protocol *target) {
    return talk.has_cuts && !talk.has_memory && !talk.room_time && !target->cuts_matter &&
           !cut.pointless;
}

/* Under back-pressure only what goes out in the end counts; and when the connection was lost before
 * it could, only as far as both got. */
static void compare(void) {
    compare_output();
    if (!talk.has_room) {
        compare_marks();
    }
    if (!talk.room_lose) {
        compare_ends();
    }
}

int dw_fuzz_protocol_run(const dw_fuzz_protocol *target, const uint8_t *data, size_t size) {
    if (size > FUZZ_INPUT_MAX || !dw_fuzz_decode(&talk, data, size)) {
        return 0;
    }
    play(&cut, target, true);
    if (comparable(target)) {
        play(&joined, target, false);
        if (!joined.pointless) {
            compare();
        }
    }
    dw_fuzz_try_promises(target, cut.watch.promises, &talk, cut.test);
    return 0;
}
