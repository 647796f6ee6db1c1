/* SPDX-License-Identifier: MIT */
/*
 * The invariants, one function each. All begin alike: play the input as it came, play it in the
 * other way, compare what was sent.
 *
 * Invariant: a play that could have ended differently for another reason than the promise (refused,
 * ended by itself while it waited, too much output) is not compared: false alarms are worse than
 * misses. Called at the end of a run (oracle_promises.c) and for each fuzz input.
 */
#include "oracle_replay.h"
#include "hash.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CUT_EVERYWHERE_MAX = 48, /* inputs up to so long are cut at each byte */
    CUTS_MAX = 48,           /* longer ones at so many places */
    ROOMS_MAX = 64,          /* how often a peer that takes little takes a little more */
    PREFIXES_MAX = 4,        /* how many beginnings of a message are tried */
    SHOWN = 40               /* bytes on either side of a difference */
};

/* A protocol that has sent more than this is not asked further. */
#define OUTPUT_MAX ((size_t)4 << 20)

/* Answers that are made later: the play goes on until nothing has been sent for QUIET, at most for
 * LONGEST; between two requests of a peer that waits, for GAP in QUIET's place. */
#define QUIET   DW_SEC(10)
#define LONGEST DW_MIN(10)
#define STEP    DW_MSEC(100)
#define GAP     DW_MSEC(100)

typedef struct play {
    dw_test_transport *test; /* kept from play to play */
    const sim_subject *subject;
    bool refused;
    size_t sent; /* this and what follows: before anybody hung up */
    bool ended, fin, reset;
    dw_error reason;
} play;

/* What the plays left: the input at once; as it came; otherwise. */
static play plain, came, other;

/* ---- Playing ---- */

static void quiet(void *user, const char *line) {
    (void)user, (void)line;
}

static bool play_connect(play *p) {
    p->refused = !p->subject->connect(p->subject->user, p->test);
    return !p->refused;
}

static bool play_begin(play *p, const sim_subject *subject) {
    dw_test_transport *test = p->test != NULL ? p->test : calloc(1, sizeof(*test));
    *p = (play){.test = test, .subject = subject, .refused = true};
    if (test == NULL) {
        return false;
    }
    sim_test_transport_init(test);
    dw_reactor_set_log(&test->reactor, quiet, NULL);
    return play_connect(p);
}

/* How it stands before anybody hangs up. */
static void play_note(play *p) {
    const dw_test_transport *test = p->test;
    p->sent = test->out.len;
    p->ended = !test->connected;
    p->reason = test->reason;
    p->fin = test->sent_fin;
    p->reset = test->sent_reset;
}

/* Only the output stays readable. */
static void play_end(play *p) {
    if (p->test == NULL) {
        return;
    }
    if (p->test->connected) {
        dw_test_transport_set_room(p->test, SIZE_MAX);
        dw_test_transport_lose(p->test, 0);
    }
    sim_test_transport_shut(p->test);
    if (p->subject->release != NULL) {
        p->subject->release(p->subject->user, p->test);
    }
    sim_test_transport_fini(p->test);
}

/* Time passes until nothing has been sent for `calm`. */
static void play_wait(play *p, dw_time calm) {
    dw_test_transport *test = p->test;
    dw_time last = test->now, limit = test->now + LONGEST;
    while (test->connected && test->now < limit && test->now - last < calm) {
        size_t before = test->out.len;
        dw_test_transport_advance(test, STEP < calm ? STEP : calm);
        last = test->out.len != before ? test->now : last;
        if (dw_reactor_next_due(&test->reactor) == DW_TIME_MAX) {
            return; /* nothing will ever come */
        }
    }
}

static void play_bytes(play *p, const uint8_t *bytes, size_t from, size_t to) {
    if (to > from && p->test->connected) {
        dw_test_transport_receive(p->test, bytes + from, to - from);
    }
}

size_t sim_replay_cut(size_t len, uint64_t salt, size_t i) {
    if (len <= CUT_EVERYWHERE_MAX) {
        return i + 1;
    }
    if (i >= CUTS_MAX) {
        return len;
    }
    size_t share = len / CUTS_MAX; /* one cut in each of so many parts, >= 1 */
    return i * share + 1 + (size_t)(mix64(salt + i) % share);
}

static void play_cut(play *p, const sim_input *in, uint64_t salt) {
    size_t at = 0;
    for (size_t i = 0; at < in->len; i++) {
        size_t next = sim_replay_cut(in->len, salt, i);
        next = next < in->len ? next : in->len;
        play_bytes(p, in->bytes, at, next);
        at = next;
    }
}

/* The input at once, and all that comes of it. */
static bool play_plain(play *p, const sim_subject *subject, const sim_input *in) {
    if (!play_begin(p, subject)) {
        return false;
    }
    play_bytes(p, in->bytes, 0, in->len);
    play_wait(p, QUIET);
    play_note(p);
    return p->sent <= OUTPUT_MAX;
}

/* ---- Comparing ---- */

static const uint8_t *output(const play *p) {
    return p->test->out.bytes;
}

/* Where two outputs differ, as far as both go. */
static size_t difference(const play *a, const play *b) {
    size_t len = a->sent < b->sent ? a->sent : b->sent, at = 0;
    while (at < len && output(a)[at] == output(b)[at]) {
        at++;
    }
    return at;
}

static bool is_beginning(const play *a, const play *b) {
    return a->sent <= b->sent && difference(a, b) == a->sent;
}

static bool same_output(const play *a, const play *b) {
    return a->sent == b->sent && is_beginning(a, b);
}

static void detail(sim_breach *breach, const char *what, const uint8_t *bytes, size_t len,
                   size_t at) {
    char text[SIM_BREACH_TEXT - 80];
    size_t from = at > SHOWN ? at - SHOWN : 0;
    size_t to = len - from > 2 * SHOWN ? from + 2 * SHOWN : len;
    if (breach->detail_count < SIM_BREACH_DETAILS) {
        snprintf(breach->detail[breach->detail_count++], SIM_BREACH_TEXT, "%s, %zu bytes%s: %s",
                 what, len, from > 0 ? ", near the difference" : "",
                 len > 0 ? sim_trace_bytes(text, sizeof(text), bytes + from, to - from)
                         : "nothing");
    }
}

static bool broken(sim_breach *breach, const char *promise, const char *sentence,
                   const sim_input *in, const play *a, const char *name_a, const char *name_b) {
    size_t at = difference(a, &other);
    *breach = (sim_breach){.promise = promise, .sentence = sentence};
    detail(breach, "received", in->bytes, in->len, 0);
    detail(breach, name_a, output(a), a->sent, at);
    detail(breach, name_b, output(&other), other.sent, at);
    return false;
}

static bool comparable(const play *a) {
    return !a->refused && !other.refused && other.sent <= OUTPUT_MAX;
}

static bool same_end(void) {
    return plain.ended == other.ended && plain.reason == other.reason && plain.fin == other.fin &&
           plain.reset == other.reset;
}

/* ---- The invariants. `plain` has been played. ---- */

static bool segment(const sim_subject *subject, const sim_input *in, uint64_t salt,
                    sim_breach *breach) {
    if (play_begin(&other, subject)) {
        play_cut(&other, in, salt);
        play_wait(&other, QUIET);
        play_note(&other);
    }
    play_end(&other);
    if (comparable(&plain) && !same_output(&plain, &other)) {
        return broken(breach, "segment-invariant",
                      "the same bytes, cut otherwise, got another answer", in, &plain,
                      "answer at once", "answer to pieces");
    }
    if (comparable(&plain) && !same_end()) {
        return broken(breach, "segment-invariant",
                      "the same bytes, cut otherwise, ended the connection in another way", in,
                      &plain, "answer at once", "answer to pieces");
    }
    return true;
}

/* The pieces as they came. */
static void play_pieces(play *p, const sim_input *in) {
    size_t at = 0;
    for (size_t i = 0; i < in->count; i++) {
        play_bytes(p, in->bytes, at, in->ends[i]);
        at = in->ends[i];
    }
    play_bytes(p, in->bytes, at, in->len);
}

/* Compared with a peer whose pieces come alike. One that the protocol gives up while it takes
 * little is not compared. */
static bool window(const sim_subject *subject, const sim_input *in, uint64_t salt,
                   sim_breach *breach) {
    bool gave_up = true;
    if (play_begin(&came, subject)) {
        play_pieces(&came, in);
        play_wait(&came, QUIET);
        play_note(&came);
    }
    play_end(&came);
    if (play_begin(&other, subject)) {
        dw_test_transport_set_room(other.test, 0);
        play_pieces(&other, in);
        for (size_t i = 0; i < ROOMS_MAX; i++) {
            dw_test_transport_set_room(other.test, 1 + (size_t)(mix64(salt ^ i) % (1 + i)));
        }
        gave_up = !other.test->connected && !came.ended;
        dw_test_transport_set_room(other.test, SIZE_MAX);
        play_wait(&other, QUIET);
        play_note(&other);
    }
    play_end(&other);
    if (!comparable(&came) || gave_up || same_output(&came, &other)) {
        return true;
    }
    return broken(breach, "window-invariant",
                  "a peer that takes little at once got other bytes in the end", in, &came,
                  "sent to one that takes all", "sent to one that takes little");
}

/* Waits where the peer's pieces ended when they came, and where a message ends, if that is known.
 */
static size_t next_pause(const dw_promises *promises, const sim_input *in, size_t at,
                         size_t *piece) {
    while (*piece < in->count && in->ends[*piece] <= at) {
        ++*piece;
    }
    size_t end = *piece < in->count ? in->ends[*piece] : in->len;
    size_t len =
        promises->message_len != NULL ? promises->message_len(in->bytes + at, in->len - at) : 0;
    return len > 0 && len <= end - at ? at + len : end;
}

static bool pipeline(const dw_promises *promises, const sim_subject *subject, const sim_input *in,
                     sim_breach *breach) {
    if (play_begin(&other, subject)) {
        for (size_t at = 0, piece = 0, next; at < in->len; at = next) {
            next = next_pause(promises, in, at, &piece);
            play_bytes(&other, in->bytes, at, next);
            play_wait(&other, GAP);
        }
        play_wait(&other, QUIET);
        play_note(&other);
    }
    play_end(&other);
    /* One that ended by itself may have done so for the time that passed. */
    bool timed = plain.ended != other.ended &&
                 (is_beginning(&plain, &other) || is_beginning(&other, &plain));
    if (!comparable(&plain) || timed || same_output(&plain, &other)) {
        return true;
    }
    return broken(breach, "pipeline-invariant",
                  "requests sent at once got another answer than the same ones sent one by one", in,
                  &plain, "answer at once", "answer one by one");
}

/* `plain` waited for its answers; the other one's peer ends its stream behind the last byte. */
static bool after_eof(const sim_subject *subject, const sim_input *in, sim_breach *breach) {
    if (play_begin(&other, subject)) {
        play_bytes(&other, in->bytes, 0, in->len);
        if (other.test->connected) {
            dw_test_transport_half_close(other.test);
        }
        play_wait(&other, QUIET);
        play_note(&other);
    }
    play_end(&other);
    if (!comparable(&plain) || plain.ended || is_beginning(&plain, &other)) {
        return true;
    }
    return broken(breach, "replies-after-eof",
                  "complete requests were not answered when the peer ended its stream behind them",
                  in, &plain, "answer while it went on", "answer when it had ended");
}

/* Receives `len` bytes, then the end of the stream. Returns how many bytes were sent before that;
 * sets *gone when there was nobody to tell it to. */
static size_t play_eof(play *p, const sim_subject *subject, const uint8_t *bytes, size_t len,
                       bool *gone) {
    size_t before = 0;
    *gone = true;
    if (play_begin(p, subject)) {
        play_bytes(p, bytes, 0, len);
        play_wait(p, QUIET);
        before = p->test->out.len;
        *gone = !p->test->connected;
        if (!*gone) {
            dw_test_transport_half_close(p->test);
            play_wait(p, QUIET);
        }
        play_note(p);
    }
    play_end(p);
    return before;
}

/* Whether the beginning of that length ends inside a message, as far as that is known. */
static bool ends_inside(const dw_promises *promises, const sim_input *in, size_t len) {
    for (size_t at = 0; promises->message_len != NULL && at < len;) {
        size_t message = promises->message_len(in->bytes + at, len - at);
        if (message == SIZE_MAX) {
            return false;
        }
        if (message == 0) {
            return true;
        }
        at += message;
        if (at >= len) {
            return false;
        }
    }
    return true;
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    return len == 0 || memcmp(a, b, len) == 0;
}

static bool framed(const dw_promises *promises, const sim_subject *subject, const sim_input *in,
                   uint64_t salt, sim_breach *breach) {
    bool gone, lost;
    size_t at = play_eof(&plain, subject, in->bytes, 0, &gone); /* where the farewell begins */
    for (size_t i = 0; i < PREFIXES_MAX && !gone; i++) {
        size_t len = i == 0 ? in->len - 1 : (size_t)(mix64(salt + i) % in->len);
        if (len == 0 || !ends_inside(promises, in, len)) {
            continue;
        }
        size_t before = play_eof(&other, subject, in->bytes, len, &lost);
        size_t more = other.sent - before;
        if (!lost && more > 0 &&
            !(more == plain.sent - at &&
              same_bytes(output(&other) + before, output(&plain) + at, more))) {
            sim_input shown = {.bytes = in->bytes, .len = len};
            return broken(breach, "framed", "the end of the stream completed a message", &shown,
                          &plain, "answer to the end of an empty stream", "answer in all");
        }
    }
    return true;
}

/* The earlier connection is lost behind `cut` bytes. */
static void play_after_loss(const sim_subject *subject, const sim_input *in, size_t cut) {
    if (play_begin(&other, subject)) {
        play_bytes(&other, in->bytes, 0, cut);
        dw_test_transport_lose(other.test, ECONNRESET);
        other.refused = other.test->connected || !play_connect(&other);
        if (!other.refused) { /* the output begins anew */
            play_bytes(&other, in->bytes, 0, in->len);
            play_wait(&other, QUIET);
            play_note(&other);
        }
    }
    play_end(&other);
}

static bool fresh(const sim_subject *subject, const sim_input *in, uint64_t salt,
                  sim_breach *breach) {
    size_t cuts[] = {in->len - 1, 1 + (size_t)(salt % in->len)};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        play_after_loss(subject, in, cuts[i]);
        if (comparable(&plain) && !same_output(&plain, &other)) {
            return broken(breach, "fresh-reconnect",
                          "a new connection remembered what an earlier one had received", in,
                          &plain, "answer on a first connection", "answer on a later one");
        }
    }
    return true;
}

/* ---- All of them ---- */

bool sim_replay_wanted(const dw_promises *p) {
    return p->segment_invariant || p->window_invariant || p->pipeline_invariant ||
           p->replies_after_eof || p->framed || p->fresh_reconnect;
}

bool sim_replay_holds(const dw_promises *p, const sim_subject *subject, const sim_input *in,
                      uint64_t salt, sim_breach *breach) {
    if (in->len == 0) {
        return true;
    }
    bool good = play_plain(&plain, subject, in);
    play_end(&plain);
    if (!good) {
        return true;
    }
    return (!p->segment_invariant || segment(subject, in, salt, breach)) &&
           (!p->window_invariant || window(subject, in, salt, breach)) &&
           (!p->pipeline_invariant || pipeline(p, subject, in, breach)) &&
           (!p->replies_after_eof || after_eof(subject, in, breach)) &&
           (!p->fresh_reconnect || fresh(subject, in, salt, breach)) &&
           (!p->framed || framed(p, subject, in, salt, breach));
}

static void drop(play *p) {
    if (p->test != NULL) {
        sim_test_buffer_free(&p->test->in);
        sim_test_buffer_free(&p->test->out);
        free(p->test);
    }
    *p = (play){0};
}

void sim_replay_free(void) {
    drop(&plain);
    drop(&came);
    drop(&other);
}
