/* SPDX-License-Identifier: MIT */
/*
 * The promises of a fuzzed protocol. The invariants are tried by the very code that tries them at
 * the end of a run (sim/src/oracle_replay.c).
 *
 * Invariant: a protocol that promises nothing costs one comparison per step.
 */
#include "promises.h"

#include "oracle_replay.h"

#include <string.h>

/* ---- Connecting ---- */

dw_protocol *dw_fuzz_connect(const dw_fuzz_protocol *target, dw_test_transport *test,
                             dw_factory **factory) {
    dw_reactor *reactor = dw_test_transport_reactor(test);
    if (target->factory != NULL && *factory == NULL) {
        *factory = target->factory(reactor);
    }
    if (*factory != NULL) {
        return dw_test_transport_build(test, *factory);
    }
    dw_protocol *protocol = target->protocol != NULL ? target->protocol(reactor) : NULL;
    if (protocol != NULL) {
        dw_test_transport_connect(test, protocol);
    }
    return test->connected ? protocol : NULL;
}

/* ---- On watch ---- */

static const dw_promises *promises_of(dw_protocol *protocol, const dw_factory *factory) {
    if (protocol != NULL && dw_protocol_unwrapped(protocol)->cls->promises != NULL) {
        return dw_protocol_unwrapped(protocol)->cls->promises;
    }
    return factory != NULL ? factory->cls->promises : NULL;
}

/* All but what is the reactor's for any connection. */
static size_t memory_of(const dw_test_transport *test) {
    size_t sum = 0;
    for (const test_block *b = test->blocks.next; b != &test->blocks; b = b->next) {
        sum += b->where == dw_where_buffer || b->where == dw_where_timers ? 0 : b->size;
    }
    return sum;
}

fuzz_watch dw_fuzz_watch_begin(const dw_test_transport *test, dw_protocol *protocol,
                               const dw_factory *factory) {
    fuzz_watch watch = {.promises = promises_of(protocol, factory), .message_since = test->now};
    if (watch.promises != NULL) {
        watch.baseline = memory_of(test);
    }
    return watch;
}

static void check_memory(const fuzz_watch *watch, const dw_test_transport *test) {
    size_t most = watch->promises->memory_max;
    if (most > 0 && test->connected && memory_of(test) > watch->baseline + most) {
        dw_fuzz_finding_begin("memory-limit", "one connection holds more than it promised");
        fprintf(stderr, "  %zu bytes, promised: at most %zu\n", memory_of(test) - watch->baseline,
                most);
        dw_fuzz_finding_end();
    }
}

static bool has_deadline(const fuzz_watch *watch) {
    return watch->promises->message_deadline > 0 && watch->promises->message_len != NULL;
}

void dw_fuzz_watch_data(fuzz_watch *watch, const dw_test_transport *test, const uint8_t *bytes,
                        size_t len) {
    if (watch->promises == NULL) {
        return;
    }
    check_memory(watch, test);
    while (has_deadline(watch) && !watch->no_messages && watch->message_at < len) {
        size_t rest = len - watch->message_at;
        size_t message = watch->promises->message_len(bytes + watch->message_at, rest);
        if (message == 0) {
            break;
        }
        watch->no_messages = message > rest;
        watch->message_at += message <= rest ? message : 0;
        watch->message_since = test->now;
    }
}

/* While it is paused, or a peer that takes nothing may hold up its close, there is no telling. */
void dw_fuzz_watch_time(fuzz_watch *watch, const dw_test_transport *test, bool had_room) {
    if (watch->promises == NULL) {
        return;
    }
    check_memory(watch, test);
    if (!has_deadline(watch) || watch->no_messages || had_room || !test->connected) {
        return;
    }
    if (test->paused) {
        watch->message_since = test->now;
    } else if (test->now - watch->message_since > watch->promises->message_deadline) {
        dw_fuzz_finding_begin("deadline", "no whole message has come for longer than the promised "
                                          "deadline, and the connection is still there");
        dw_fuzz_finding_end();
    }
}

/* ---- When it is over ---- */

typedef struct subject {
    const dw_fuzz_protocol *target;
    dw_factory *factory;
} subject;

static bool connect_again(void *user, dw_test_transport *test) {
    subject *s = user;
    return dw_fuzz_connect(s->target, test, &s->factory) != NULL;
}

static void release(void *user, dw_test_transport *test) {
    subject *s = user;
    (void)test;
    if (s->factory != NULL && s->target->release != NULL) {
        s->target->release(s->factory);
    }
    s->factory = NULL;
}

static void check_output(const dw_promises *promises, const dw_test_transport *done) {
    const test_buffer *out = &done->out;
    if (promises->well_formed == NULL || out->len == 0 ||
        promises->well_formed(out->bytes, out->len)) {
        return;
    }
    dw_fuzz_finding_begin("well-formed", "what was sent is not well formed");
    fprintf(stderr, "  %zu bytes: ", out->len);
    dw_fuzz_print_bytes(stderr, out->bytes, out->len);
    fputc('\n', stderr);
    dw_fuzz_finding_end();
}

/* The offsets at which the pieces of data end. */
static size_t find_ends(const fuzz_conversation *talk, uint32_t *ends) {
    size_t count = 0;
    for (size_t i = 0; i < talk->count; i++) {
        if (talk->steps[i].event == FUZZ_DATA) {
            ends[count++] = talk->steps[i].at + talk->steps[i].len;
        }
    }
    return count;
}

/* FNV-1a: the same input is cut in the same places. */
static uint64_t salt_of(const fuzz_conversation *talk) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < talk->len; i++) {
        hash = (hash ^ talk->bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

void dw_fuzz_try_promises(const dw_fuzz_protocol *target, const dw_promises *promises,
                          const fuzz_conversation *talk, const dw_test_transport *done) {
    static uint32_t ends[FUZZ_STEPS_MAX];
    sim_breach breach;
    if (promises == NULL) {
        return;
    }
    check_output(promises, done);
    sim_input in = {talk->bytes, talk->len, ends, find_ends(talk, ends)};
    subject s = {.target = target};
    sim_subject who = {connect_again, release, &s};
    if (sim_replay_wanted(promises) &&
        !sim_replay_holds(promises, &who, &in, salt_of(talk), &breach)) {
        dw_fuzz_finding_begin(breach.promise, breach.sentence);
        for (unsigned i = 0; i < breach.detail_count; i++) {
            fprintf(stderr, "  %s\n", breach.detail[i]);
        }
        dw_fuzz_finding_end();
    }
}
