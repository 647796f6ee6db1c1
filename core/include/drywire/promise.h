/* SPDX-License-Identifier: MIT */
/*
 * Promises: what a protocol's or a factory's class states about its manners, as data. A live wire
 * never looks at them. On the dry wire each one sets an oracle on watch, in every run, sweep and
 * fuzz input, with no further code:
 *
 *     static const dw_promises manners = {.segment_invariant = true, .framed = true,
 *                                         .memory_max = 64 * 1024};
 *     static const dw_protocol_class echo_class = {.name = "echo", ..., .promises = &manners};
 *
 * Two kinds. Those on watch during the run (limits, deadline, well_formed, duplicate_invariant) see
 * what really happens and ask nothing of the program. The invariants are tried when the scenario is
 * over: what a connection received is played to fresh protocols of the same factory on a private
 * reactor, once as it came and once otherwise, and the two must answer alike. Who states an
 * invariant also states that
 * - build_protocol makes a new protocol for each call, and a protocol's answers depend on nothing
 *   but what its own connection received: not on other connections, earlier requests of others, the
 *   wall clock or random bytes. (What the program's state decides, as in a key-value store, cannot
 *   be promised; promise it of the parser in front of it, or of a protocol over an empty store.)
 * - it does no harm when what it received is received again after the scenario function has
 *   returned. Time is tried only on the reactor of the protocol's transport
 *   (dw_transport_reactor): arm delayed calls there.
 * Only a factory that a port or connector still uses at the end of the scenario can be tried; the
 * protocols inside wrappers are tried by themselves.
 */
#ifndef DRYWIRE_PROMISE_H
#define DRYWIRE_PROMISE_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* Zero promises nothing. A protocol's own promises stand in for its factory's. Static, or alive as
 * long as what states them. */
typedef struct dw_promises {
    /* ---- Invariants: tried by playing again ---- */

    /* How the stream is cut changes neither what is sent nor how the connection ends. The stock
     * receivers (lines, netstrings, int strings) promise it of what they deliver without a word;
     * see cuts_matter. */
    bool segment_invariant;

    /* A peer that takes little at once gets, in the end, the same bytes. One that is cut off while
     * it takes nothing is not compared: limits on what is unsent are no breach. */
    bool window_invariant;

    /* Whether the peer waits between its requests or sends all at once does not change what is
     * sent. */
    bool pipeline_invariant;

    /* Complete requests are answered although the peer has ended its stream behind them (FIN), at
     * once or while the answers are being made. */
    bool replies_after_eof;

    /* The end of the stream completes no message: one that was cut short evokes nothing. (A
     * farewell that a connection which received nothing gets, too, is allowed.) */
    bool framed;

    /* A connection knows nothing of the bytes that an earlier one, lost in the middle, received. */
    bool fresh_reconnect;

    /* ---- On watch during the run ---- */

    /* Of a datagram protocol: one that comes a second time from the same address, with no other in
     * between, gets the same answers as the first time, or none. (Answers sent inside
     * datagram_received count.) */
    bool duplicate_invariant;

    /* Takes back what the stock receivers promise without a word. */
    bool cuts_matter;

    /* The most bytes that one connection holds; 0: no promise. Counted: what its callbacks took
     * from the host's reactor and nobody gave back, and what it wrote that has not left. */
    size_t memory_max;

    /* A connection on which no whole message has come for so long is closed (lose_connection or
     * abort_connection was called), reckoned from connection_made, from each whole message, and
     * from resume_producing, until the peer ends its stream. 0: no promise. Needs message_len. */
    dw_time message_deadline;

    /* The length of the message at the beginning of `input`, its delimiter included; 0: it is not
     * whole yet; SIZE_MAX: this is no message, and nothing behind it will be. `len` > 0. */
    size_t (*message_len)(const uint8_t *input, size_t len);

    /* Of a client factory: the most calls of connect within any second; 0: no promise. */
    unsigned attempts_per_second;

    /* Whether `output`, all that a connection has sent so far, is the beginning of something well
     * formed. For a datagram protocol: one whole datagram. NULL: no promise. */
    bool (*well_formed)(const uint8_t *output, size_t len);
} dw_promises;

DW_END_DECLS

#endif
