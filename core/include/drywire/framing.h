/* SPDX-License-Identifier: MIT */
/*
 * What every stock receiver embeds: the bytes of a message that has not wholly arrived, and whether
 * delivery is paused. All fields are the library's; see core/src/framing.h for how it is used.
 *
 * Its invariant: what is unparsed is first the kept bytes, then the rest of the running
 * data_received. A message that lies whole in the read buffer is handed over there, without a copy;
 * any other is copied once. Nothing is allocated before something has to be kept.
 */
#ifndef DRYWIRE_FRAMING_H
#define DRYWIRE_FRAMING_H

#include "drywire/base.h"

DW_BEGIN_DECLS

struct dw_framing_turn;

typedef struct dw_framing {
    uint8_t *block_; /* of room_ bytes; kept are [head_, tail_) */
    size_t room_, head_, tail_;
    const uint8_t *input_; /* the rest of the running data_received */
    size_t input_len_;
    dw_reactor *reactor_;          /* whose block_ it is */
    struct dw_framing_turn *turn_; /* the running delivery, if any */
    bool paused_;
    bool dropping_; /* a message over the limit: the stream is out of step */
} dw_framing;

DW_END_DECLS

#endif
