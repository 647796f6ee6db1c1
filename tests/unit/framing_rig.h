/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the stock receivers share: a log of callbacks in words, and ways to send one
 * stream to a fresh receiver: cut everywhere, with each allocation failing, without end. Invariant:
 * after each play nothing of the reactor's memory is left. Included by test_line.c and its kin.
 */
#ifndef DRYWIRE_TESTS_FRAMING_RIG_H
#define DRYWIRE_TESTS_FRAMING_RIG_H

#include "../suite.h"

#include <check.h>
#include <drywire/framing.h>
#include <drywire/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RIG_LOG_MAX = 4096, RIG_ALLOCS_MAX = 200 };

static char rig_log[RIG_LOG_MAX];
static dw_test_transport *rig_test;

static inline void rig_word(const char *word) {
    size_t len = strlen(rig_log);
    snprintf(rig_log + len, sizeof(rig_log) - len, "%s%s", len > 0 ? " " : "", word);
}

/* "line(abc)"; control bytes as dots. */
static inline void rig_bytes(const char *word, const uint8_t *data, size_t len) {
    char text[256];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s(", word);
    for (size_t i = 0; i < len && n < sizeof(text) - 2; i++) {
        text[n++] = data[i] >= 32 && data[i] < 127 ? (char)data[i] : '.';
    }
    text[n++] = ')';
    text[n] = '\0';
    rig_word(text);
}

/* How a stream is sent. */
typedef struct rig_play {
    dw_protocol *(*make)(dw_reactor *reactor); /* freed by its destroy */
    const void *stream;
    size_t len;
    size_t first, piece;              /* a first segment, then pieces; 0: the rest in one */
    void (*after)(dw_protocol *made); /* called when all was sent, if still connected */
    unsigned fail;                    /* the n-th allocation from connection_made on; 0: none */
} rig_play;

static inline void rig_send(const rig_play *play) {
    const char *at = play->stream;
    size_t left = play->len;
    size_t n = play->first < left ? play->first : left;
    while (left > 0) {
        n = n == 0 ? (play->piece > 0 && play->piece < left ? play->piece : left) : n;
        dw_test_transport_receive(rig_test, at, n);
        at += n;
        left -= n;
        n = 0;
    }
}

/* Plays and answers the log, which ends with how the connection stood. */
static inline const char *rig_run(const rig_play *play) {
    rig_log[0] = '\0';
    rig_test = dw_test_transport_new();
    dw_protocol *made = play->make(dw_test_transport_reactor(rig_test));
    dw_test_transport_connect(rig_test, made);
    dw_test_transport_fail_alloc(rig_test, play->fail, false);
    rig_send(play);
    if (play->after != NULL && dw_test_transport_connected(rig_test)) {
        play->after(made);
        dw_test_transport_advance(rig_test, 0);
    }
    dw_test_transport_fail_alloc(rig_test, 0, false);
    if (dw_test_transport_connected(rig_test)) {
        dw_test_transport_lose(rig_test, 0);
        dw_test_transport_advance(rig_test, 0);
        rig_word("open");
    } else {
        rig_word(dw_error_name(dw_test_transport_reason(rig_test)));
    }
    ck_assert_uint_eq(dw_test_transport_allocations(rig_test), 0);
    dw_test_transport_free(rig_test);
    return rig_log;
}

/* Whole, cut in two at each place, in pieces of each size, and both: always the same log. */
static inline void rig_expect(rig_play play, const char *expected) {
    for (play.piece = 0; play.piece <= play.len; play.piece++) {
        for (play.first = 0; play.first<play.len; play.first += play.piece> 3 ? play.len : 1) {
            ck_assert_msg(strcmp(rig_run(&play), expected) == 0,
                          "first %zu, pieces of %zu:\n%s\nexpected:\n%s", play.first, play.piece,
                          rig_log, expected);
        }
    }
}

/* Each allocation failing: the log is the full one, or breaks off with DW_NO_MEMORY. Returns how
 * many allocations there were. */
static inline unsigned rig_expect_alloc_failures(rig_play play, const char *expected) {
    for (unsigned n = 1; n <= RIG_ALLOCS_MAX; n++) {
        play.fail = n;
        const char *log = rig_run(&play);
        if (strcmp(log, expected) == 0) {
            return n - 1;
        }
        const char *end = strstr(log, "DW_NO_MEMORY");
        ck_assert_msg(end != NULL && strlen(end) == strlen("DW_NO_MEMORY"), "%s", log);
        ck_assert_msg(strncmp(log, expected, (size_t)(end - log)) == 0, "%s\n%s", log, expected);
    }
    ck_abort_msg("it never got through");
    return 0;
}

/* Sends `total` bytes of `fill` in pieces of `piece` for as long as the connection stands, and
 * answers the largest block that the receiver kept. `made` must outlive the connection. */
static inline size_t rig_endless(dw_protocol *made, const dw_framing *framing, const void *head,
                                 size_t head_len, int fill, size_t total, size_t piece) {
    char bytes[4096];
    size_t most = 0;
    rig_log[0] = '\0';
    memset(bytes, fill, sizeof(bytes));
    ck_assert_uint_le(piece, sizeof(bytes));
    rig_test = dw_test_transport_new();
    dw_test_transport_connect(rig_test, made);
    dw_test_transport_receive(rig_test, head, head_len);
    for (size_t sent = 0; sent < total && dw_test_transport_connected(rig_test); sent += piece) {
        dw_test_transport_receive(rig_test, bytes, piece);
        most = framing->room_ > most ? framing->room_ : most;
    }
    rig_word(dw_test_transport_connected(rig_test)
                 ? "open"
                 : dw_error_name(dw_test_transport_reason(rig_test)));
    dw_test_transport_free(rig_test);
    return most;
}

#endif
