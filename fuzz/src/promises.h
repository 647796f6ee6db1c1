/* SPDX-License-Identifier: MIT */
/*
 * Promises (drywire/promise.h) of the protocol under fuzz: limits watched while a conversation
 * goes on, invariants tried with its bytes when it is over. Used by protocol.c.
 */
#ifndef DRYWIRE_FUZZ_PROMISES_H
#define DRYWIRE_FUZZ_PROMISES_H

#include "conversation.h"
#include "drywire/fuzz.h"
#include "test_wire.h"

/* protocol.c: prints the head of a finding / prints the conversation and ends the process. */
void dw_fuzz_finding_begin(const char *oracle, const char *sentence);
void dw_fuzz_finding_end(void);

/* Connects a new protocol of the target. *factory NULL: a target's factory is made first; else it
 * is used again. Returns the protocol, or NULL when there is none or its connection has ended. */
dw_protocol *dw_fuzz_connect(const dw_fuzz_protocol *target, dw_test_transport *test,
                             dw_factory **factory);

typedef struct fuzz_watch {
    const dw_promises *promises; /* NULL: none */
    size_t baseline;             /* bytes of memory that were there when it was connected */
    size_t message_at;
    bool no_messages;
    dw_time message_since;
} fuzz_watch;

/* `protocol` may be NULL. */
fuzz_watch dw_fuzz_watch_begin(const dw_test_transport *test, dw_protocol *protocol,
                               const dw_factory *factory);
/* The first `len` of `bytes` have been received. */
void dw_fuzz_watch_data(fuzz_watch *watch, const dw_test_transport *test, const uint8_t *bytes,
                        size_t len);
/* Time has passed. A peer that did not take everything may hold up a close. */
void dw_fuzz_watch_time(fuzz_watch *watch, const dw_test_transport *test, bool had_room);

/* `done` has the output of the conversation. */
void dw_fuzz_try_promises(const dw_fuzz_protocol *target, const dw_promises *promises,
                          const fuzz_conversation *talk, const dw_test_transport *done);

#endif
