/* SPDX-License-Identifier: MIT */
/*
 * Protocols made of states: exactly n bytes, then a function that names the next state; and the
 * table of functions for string protocols.
 *
 * Invariant: a handler runs when the bytes it wants are there and everything before them was
 * handled, however the stream was cut.
 */
#include "drywire/stateful.h"

#include "framing.h"

static dw_stateful_protocol *stateful_of(dw_protocol *protocol) {
    return (dw_stateful_protocol *)(void *)protocol;
}

static const dw_stateful_protocol_class *class_of(const dw_stateful_protocol *p) {
    return (const dw_stateful_protocol_class *)(const void *)p->base.cls;
}

void dw_stateful_protocol_init(dw_stateful_protocol *p, const dw_stateful_protocol_class *cls) {
    *p = (dw_stateful_protocol){.max_length = DW_STATEFUL_MAX_LENGTH_DEFAULT};
    dw_protocol_init(&p->base, &cls->base);
}

void dw_stateful_protocol_fini(dw_stateful_protocol *p) {
    dw_framing_fini(&p->framing_);
}

void dw_stateful_protocol_connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    dw_stateful_protocol_fini(stateful_of(protocol));
}

static bool exceeded(dw_stateful_protocol *p) {
    dw_framing *f = &p->framing_;
    f->dropping_ = true;
    struct dw_framing_turn *turn = framing_lend(f);
    if (class_of(p)->length_limit_exceeded != NULL) {
        class_of(p)->length_limit_exceeded(p, p->state_.size);
    } else {
        dw_transport_lose_connection(p->base.transport);
    }
    return framing_returned(f, turn);
}

/* States that want nothing and never come to one that does would run for ever. */
static bool looping(dw_stateful_protocol *p, size_t size) {
    static const dw_reason reason = {DW_APP_ERROR, 0, "states that want no bytes follow for ever"};
    p->empty_ = size == 0 ? p->empty_ + 1 : 0;
    if (p->empty_ <= DW_STATEFUL_EMPTY_MAX) {
        return false;
    }
    dw_transport_fail(p->base.transport, &reason);
    return true;
}

static bool handle(dw_stateful_protocol *p, const uint8_t *view, size_t len) {
    dw_framing *f = &p->framing_;
    if (looping(p, len)) {
        return false;
    }
    if (len > 0) {
        framing_consume(f, len);
    }
    struct dw_framing_turn *turn = framing_lend(f);
    dw_state next = p->state_.handler(p, view, len);
    if (!framing_returned(f, turn)) {
        return false;
    }
    if (next.handler != NULL) {
        p->state_ = next;
    }
    return true;
}

static size_t most(const dw_protocol *protocol) {
    return ((const dw_stateful_protocol *)(const void *)protocol)->max_length;
}

/* Runs one handler, or makes the view longer. False: there is nothing more to do. */
static bool step(dw_protocol *protocol) {
    dw_stateful_protocol *p = stateful_of(protocol);
    dw_framing *f = &p->framing_;
    size_t len;
    const uint8_t *view = framing_view(f, &len);
    if (f->dropping_) {
        dw_framing_clear(f);
        return false;
    }
    if (p->state_.handler == NULL) {
        if (len == 0) {
            return false;
        }
        p->state_ = class_of(p)->initial_state(p);
    }
    size_t size = p->state_.size;
    if (size > p->max_length) {
        return exceeded(p);
    }
    if (size == 0) {
        return handle(p, (const uint8_t *)"", 0);
    }
    if (len < size) {
        return dw_framing_pull(f, p->base.transport, size - len, p->max_length);
    }
    return handle(p, view, size);
}

void dw_stateful_protocol_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    framing_run(&stateful_of(protocol)->framing_, protocol, data, len, step, most);
}

void dw_stateful_protocol_pause_producing(dw_stateful_protocol *p) {
    p->framing_.paused_ = true;
    dw_transport_pause_producing(p->base.transport);
}

void dw_stateful_protocol_resume_producing(dw_stateful_protocol *p) {
    p->framing_.paused_ = false;
    dw_transport_resume_producing(p->base.transport);
    if (p->framing_.turn_ == NULL) {
        dw_stateful_protocol_data_received(&p->base, NULL, 0);
    }
}

void dw_stateful_protocol_stop_producing(dw_stateful_protocol *p) {
    p->framing_.paused_ = true;
    dw_transport_stop_producing(p->base.transport);
}

/* ---- One function per state of a string protocol ---- */

void dw_string_dispatch_init(dw_string_dispatch *d, const dw_string_state *states, void *owner) {
    *d = (dw_string_dispatch){.states = states, .state = "init", .owner = owner};
}

static const dw_string_state *lookup(const dw_string_dispatch *d) {
    const dw_string_state *s = d->states;
    while (s->name != NULL && strcmp(s->name, d->state) != 0) {
        s++;
    }
    return s->name != NULL ? s : NULL;
}

void dw_string_dispatch_received(dw_string_dispatch *d, dw_transport *transport,
                                 const uint8_t *string, size_t len) {
    const dw_string_state *state = lookup(d);
    const char *next = state != NULL ? state->handler(d->owner, string, len) : NULL;
    if (next == NULL) {
        return;
    }
    d->state = next;
    if (strcmp(next, "done") == 0) {
        dw_transport_lose_connection(transport);
    }
}
