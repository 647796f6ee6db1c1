/* SPDX-License-Identifier: MIT */
/*
 * How the stock receivers read a stream (line.c, netstring.c, int_string.c, stateful.c). A receiver
 * looks at a view of unparsed bytes, hands a message over from it, or pulls more bytes into it.
 *
 * Invariant: unparsed is first what is kept, then what is left of the input; a view is all kept
 * bytes, or all input when nothing is kept. While a callback runs, the block that its message may
 * lie in stays where it is, whatever the callback does to the receiver.
 */
#ifndef DRYWIRE_CORE_FRAMING_H
#define DRYWIRE_CORE_FRAMING_H

#include "drywire/framing.h"
#include "internal.h"

/* One running delivery; lives on the stack, for the receiver may go in one of its callbacks. */
struct dw_framing_turn {
    bool gone;     /* the receiver is finished with; touch it no more */
    bool stirred;  /* a verb has changed more than limits and delimiters; set before `gone` is */
    uint8_t *lent; /* the block that a running callback may read */
    dw_reactor *reactor;
};

/* Whether anything may still be delivered: not once the program asked for the end, nor after it. */
bool dw_framing_open_wrapped(const dw_transport *t);

/* The same for a connection of our own, not a wrapped one. */
static inline bool framing_open_plain(const dw_transport *t) {
    const unsigned over = T_DISCONNECTING | T_ABORTED | T_FAILED | T_BROKEN | T_CONNECTED;
    return (t->flags & over) == T_CONNECTED;
}

static inline bool framing_is_plain(const dw_transport *t) {
    return t != NULL && verbs_of(t) == &dw_stream_verbs;
}

static inline bool framing_open(const dw_transport *t) {
    return framing_is_plain(t) ? framing_open_plain(t) : dw_framing_open_wrapped(t);
}

static inline bool framing_goes_on(const dw_framing *f, const dw_transport *t) {
    return !f->paused_ && framing_open(t);
}

static inline size_t framing_kept(const dw_framing *f) {
    return f->tail_ - f->head_;
}

static inline const uint8_t *framing_view(const dw_framing *f, size_t *len) {
    size_t kept = framing_kept(f);
    *len = kept > 0 ? kept : f->input_len_;
    return kept > 0 ? f->block_ + f->head_ : f->input_;
}

/* Takes `n` bytes off the front of the view. */
static inline void framing_consume(dw_framing *f, size_t n) {
    if (f->tail_ > f->head_) {
        f->head_ += n;
    } else {
        f->input_ += n;
        f->input_len_ -= n;
    }
}

/* Every verb on a receiver, before it changes anything. */
static inline void framing_stir(dw_framing *f) {
    if (f->turn_ != NULL) {
        f->turn_->stirred = true;
    }
}

/* Around each callback: `if (!framing_returned(f, turn)) return false;` behind it. */
static inline struct dw_framing_turn *framing_lend(dw_framing *f) {
    f->turn_->lent = f->block_;
    f->turn_->stirred = false;
    return f->turn_;
}

void dw_framing_drop_lent(dw_framing *f, struct dw_framing_turn *turn);

/* Whether the receiver is still there. */
static inline bool framing_returned(dw_framing *f, struct dw_framing_turn *turn) {
    if (turn->gone) {
        return false;
    }
    if (turn->lent != f->block_) {
        dw_framing_drop_lent(f, turn);
    }
    turn->lent = NULL;
    return true;
}

/* Adds behind all that is unparsed, from inside a callback or before a turn. A failure to get
 * memory fails the connection. `most`: no more than this is ever wanted at once; a larger block is
 * made only when it cannot be helped. */
void dw_framing_append(dw_framing *f, dw_transport *t, const void *data, size_t len, size_t most);

/* Moves up to `want` bytes from the input into the kept ones. False when there are none, or when
 * nothing is kept, so that the view is the input already. */
bool dw_framing_pull(dw_framing *f, dw_transport *t, size_t want, size_t most);

/* Makes one view of all that is unparsed. False without memory. */
bool dw_framing_join(dw_framing *f, dw_transport *t, size_t most);

/* Throws away all that is unparsed. */
void dw_framing_clear(dw_framing *f);

static inline void framing_begin(dw_framing *f, struct dw_framing_turn *turn, const uint8_t *data,
                                 size_t len) {
    f->turn_ = turn;
    f->input_ = data;
    f->input_len_ = len;
}

/* Ends a turn: keeps what is left of the input, or drops all when the stream is over. */
void dw_framing_end(dw_framing *f, dw_transport *t, struct dw_framing_turn *turn, size_t most);

/* One reception: the loop of every receiver. `step` takes one message off the view, or makes the
 * view longer, and says whether to go on; `most` is asked when bytes have to be kept, for callbacks
 * may change the limits. Inlined, so that both are plain calls. */
static inline void framing_run(dw_framing *f, dw_protocol *protocol, const uint8_t *data,
                               size_t len, bool (*step)(dw_protocol *protocol),
                               size_t (*most)(const dw_protocol *protocol)) {
    if (f->turn_ != NULL) {
        dw_framing_append(f, protocol->transport, data, len, most(protocol));
        return;
    }
    struct dw_framing_turn turn = {0};
    framing_begin(f, &turn, data, len);
    while (framing_goes_on(f, protocol->transport) && step(protocol)) {
    }
    if (turn.gone) {
        dw_framing_end(f, NULL, &turn, 0);
    } else {
        dw_framing_end(f, protocol->transport, &turn, most(protocol));
    }
}

/* Gives everything back; inside a turn, tells it. */
void dw_framing_fini(dw_framing *f);

/* a + b, or SIZE_MAX. */
static inline size_t framing_sum(size_t a, size_t b) {
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

#endif
