/* SPDX-License-Identifier: MIT */
/*
 * The bytes that a receiver keeps between receptions: one block, made when something has to be
 * kept, given back when nothing is.
 *
 * Invariant: a block that a callback was lent is neither moved nor freed before the callback has
 * returned; growing then makes a new one beside it.
 */
#include "framing.h"

/* The first block; one that is not larger stays when it is empty, so that a stream of small
 * segments does not come to the allocator for each. */
enum { BLOCK_FIRST = 128 };

bool dw_framing_open_wrapped(const dw_transport *t) {
    for (dw_protocol_wrapper *w = wrapper_of(t); w != NULL; w = wrapper_of(t)) {
        if (dw_transport_disconnecting(t)) {
            return false;
        }
        t = w->base.transport;
    }
    return framing_is_plain(t) ? framing_open_plain(t)
                               : dw_transport_connected(t) && !dw_transport_disconnecting(t);
}

static bool is_lent(const dw_framing *f) {
    return f->turn_ != NULL && f->turn_->lent == f->block_ && f->block_ != NULL;
}

static void out_of_memory(dw_transport *t) {
    static const dw_reason reason = {DW_NO_MEMORY, 0, NULL};
    dw_transport_fail(t, &reason);
}

/* A block with room for `need` bytes at least: twice the last one, but for no more than `most`. */
static size_t room_for(const dw_framing *f, size_t need, size_t most) {
    size_t room = f->room_ > 0 ? framing_sum(f->room_, f->room_) : BLOCK_FIRST;
    room = room < most ? room : most;
    return room > need ? room : need;
}

/* Moves what is kept, and `len` bytes more, into a new block. */
static bool grow(dw_framing *f, dw_transport *t, const void *data, size_t len, size_t most) {
    size_t kept = framing_kept(f);
    if (len > SIZE_MAX - kept) {
        return false;
    }
    dw_reactor *reactor = dw_transport_reactor(t);
    size_t room = room_for(f, kept + len, most);
    uint8_t *block = dw_alloc(reactor, room);
    if (block == NULL) {
        return false;
    }
    if (kept > 0) {
        memcpy(block, f->block_ + f->head_, kept);
    }
    memcpy(block + kept, data, len);
    if (!is_lent(f)) {
        dw_free(reactor, f->block_);
    }
    f->block_ = block;
    f->room_ = room;
    f->head_ = 0;
    f->tail_ = kept + len;
    f->reactor_ = reactor;
    return true;
}

/* Adds behind what is kept. `data` may lie in the block itself, given out by an earlier clear. */
static bool keep(dw_framing *f, dw_transport *t, const uint8_t *data, size_t len, size_t most) {
    size_t kept = framing_kept(f);
    if (len == 0) {
        return true;
    }
    if (!is_lent(f) && (kept == 0 || (f->room_ - f->tail_ < len && f->head_ >= kept))) {
        if (kept > 0) {
            memmove(f->block_, f->block_ + f->head_, kept);
        }
        f->head_ = 0;
        f->tail_ = kept;
    }
    if (f->block_ == NULL || f->room_ - f->tail_ < len) {
        return grow(f, t, data, len, most);
    }
    memmove(f->block_ + f->tail_, data, len);
    f->tail_ += len;
    return true;
}

static bool keep_or_fail(dw_framing *f, dw_transport *t, const uint8_t *data, size_t len,
                         size_t most) {
    if (keep(f, t, data, len, most)) {
        return true;
    }
    dw_framing_clear(f);
    out_of_memory(t);
    return false;
}

bool dw_framing_join(dw_framing *f, dw_transport *t, size_t most) {
    if (framing_kept(f) == 0 || f->input_len_ == 0) {
        return true;
    }
    const uint8_t *rest = f->input_;
    size_t len = f->input_len_;
    f->input_len_ = 0;
    return keep_or_fail(f, t, rest, len, most);
}

void dw_framing_append(dw_framing *f, dw_transport *t, const void *data, size_t len, size_t most) {
    const uint8_t *rest = f->input_;
    size_t rest_len = f->input_len_;
    framing_stir(f);
    if (len == 0 || !framing_open(t)) {
        return;
    }
    f->input_len_ = 0;
    if (keep_or_fail(f, t, rest, rest_len, most)) {
        keep_or_fail(f, t, data, len, most);
    }
}

bool dw_framing_pull(dw_framing *f, dw_transport *t, size_t want, size_t most) {
    if (framing_kept(f) == 0 || f->input_len_ == 0 || want == 0) {
        return false;
    }
    size_t len = want < f->input_len_ ? want : f->input_len_;
    const uint8_t *data = f->input_;
    f->input_ += len;
    f->input_len_ -= len;
    return keep_or_fail(f, t, data, len, most);
}

void dw_framing_clear(dw_framing *f) {
    f->head_ = f->tail_;
    f->input_len_ = 0;
}

void dw_framing_drop_lent(dw_framing *f, struct dw_framing_turn *turn) {
    dw_free(f->reactor_, turn->lent);
}

static void free_block(dw_framing *f) {
    dw_free(f->reactor_, f->block_);
    f->block_ = NULL;
    f->room_ = f->head_ = f->tail_ = 0;
}

void dw_framing_end(dw_framing *f, dw_transport *t, struct dw_framing_turn *turn, size_t most) {
    if (turn->gone) {
        if (turn->lent != NULL) {
            dw_free(turn->reactor, turn->lent);
        }
        return;
    }
    f->turn_ = NULL;
    if (!framing_open(t)) {
        dw_framing_clear(f);
        if (f->block_ != NULL) {
            free_block(f);
        }
    } else {
        const uint8_t *rest = f->input_;
        size_t len = f->input_len_;
        f->input_len_ = 0;
        keep_or_fail(f, t, rest, len, most);
    }
    f->input_ = NULL;
    if (f->block_ != NULL && framing_kept(f) == 0 && f->room_ > BLOCK_FIRST) {
        free_block(f);
    }
}

void dw_framing_fini(dw_framing *f) {
    struct dw_framing_turn *turn = f->turn_;
    if (turn != NULL) {
        turn->stirred = turn->gone = true;
        turn->reactor = f->reactor_;
        if (turn->lent == f->block_) {
            f->block_ = NULL; /* the turn frees it when the callback has returned */
        }
        f->turn_ = NULL;
    }
    f->input_ = NULL;
    f->input_len_ = 0;
    if (f->block_ != NULL) {
        free_block(f);
    }
    f->room_ = f->head_ = f->tail_ = 0;
}
