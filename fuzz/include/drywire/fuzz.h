/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing one protocol. A target is one file:
 *
 *     #include <drywire/fuzz.h>
 *     static dw_protocol *build(dw_reactor *reactor) { return echo_new(reactor); }
 *     DW_FUZZ_PROTOCOL(build)
 *
 * An input is a whole conversation with a fresh protocol, and nothing outlives it. The bytes of an
 * input are what the peer sends, as they are, but for 0xFF, which with the byte behind it is an
 * event:
 *
 *     FF '|'      a cut: what follows arrives as a piece of its own
 *     FF '0'-'9'  time passes: 0, 1 ms, 10 ms, 100 ms, 1 s, 5 s, 10 s, 30 s, 1 min, 10 min
 *     FF 'w' n    back-pressure: the network takes n more bytes (n is one raw byte)
 *     FF 'W'      the network takes everything again
 *     FF 'h'      the peer ends its stream, and reads on
 *     FF 'c'      the peer closes
 *     FF 'r'      the peer resets the connection; FF 't': it times out in the network
 *     FF 'm' n    the n-th allocation from now fails (FF 'm' 00: none)
 *     FF FF       the byte FF itself
 *     FF other    a cut
 *
 * So a recorded session of a text protocol is an input already, a dictionary works as it is, and an
 * event stays with the bytes around it when the mutator moves them.
 *
 * Checked on every input, each a finding that is printed and ends the process by abort():
 * - segmentation invariance: with all cuts taken out, the same bytes go out, as much of them before
 *   each event, and the connection ends at the same event in the same way. After FF 'w' only the
 *   bytes that are out once there is room again count, and the end; a loss behind it leaves only
 *   what both sent; time behind it, or FF 'm', leaves nothing to compare.
 * - leaks: at the end no block, delayed call, connection or port of the reactor is left
 * - the callback contract, livelock, crashes, and whatever the sanitizers see
 *
 * The entry is LLVMFuzzerTestOneInput: link it with libFuzzer (-fsanitize=fuzzer), with what
 * $LIB_FUZZING_ENGINE names, or with this library's plain driver. See fuzz/README.md.
 */
#ifndef DRYWIRE_FUZZ_H
#define DRYWIRE_FUZZ_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

/* A target. Zero is the default. */
typedef struct dw_fuzz_protocol {
    /* One of the two, called once for each conversation. Both take their memory from the reactor
     * and may arm delayed calls on it; NULL, or a factory that refuses, makes the input pointless.
     */
    dw_protocol *(*protocol)(dw_reactor *reactor); /* freed by its class's destroy */
    dw_factory *(*factory)(dw_reactor *reactor);   /* freed by `release` */

    /* Takes down what `factory` made, after the last callback. */
    void (*release)(dw_factory *factory);

    /* The protocol's answers may depend on how the stream is cut: that is not a finding. */
    bool cuts_matter;

    int reserved_;
} dw_fuzz_protocol;

/* Defines the entry point. `build` is a function of the dw_reactor * that returns a new dw_protocol
 * * or a new dw_factory *; further fields of dw_fuzz_protocol may follow: DW_FUZZ_PROTOCOL(build,
 * .release = drop) */
#define DW_FUZZ_PROTOCOL(...) DW_FUZZ_TARGET_(__VA_ARGS__, .reserved_ = 0)

/* Any other type of build does not compile. */
#define DW_FUZZ_TARGET_(build, ...)                                       \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {        \
        static const dw_fuzz_protocol dw_fuzz_target_ = {                 \
            .protocol = _Generic(&build, dw_protocol * (*)(dw_reactor *)  \
                                 : &build, dw_factory * (*)(dw_reactor *) \
                                 : (dw_protocol * (*)(dw_reactor *))0),   \
            .factory = _Generic(&build, dw_factory * (*)(dw_reactor *)    \
                                : &build, dw_protocol * (*)(dw_reactor *) \
                                : (dw_factory * (*)(dw_reactor *))0),     \
            __VA_ARGS__};                                                 \
        return dw_fuzz_protocol_run(&dw_fuzz_target_, data, size);        \
    }

/* Runs one input; returns 0. What DW_FUZZ_PROTOCOL's entry point calls. */
int dw_fuzz_protocol_run(const dw_fuzz_protocol *target, const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DW_END_DECLS

#endif
