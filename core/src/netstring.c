/* SPDX-License-Identifier: MIT */
/*
 * Netstrings. The prefix of the string under way is read anew with each reception: it has few
 * digits, and the receiver then has no state beside the unparsed bytes.
 *
 * Invariant: a length is refused at its first byte that shows it to be wrong, however the stream
 * was cut.
 */
#include "drywire/netstring.h"

#include "framing.h"

/* Digits of the longest length, and the colon. */
enum { PREFIX_MAX = 21 };

static dw_netstring_receiver *receiver_of(dw_protocol *protocol) {
    return (dw_netstring_receiver *)(void *)protocol;
}

static const dw_netstring_receiver_class *class_of(const dw_netstring_receiver *r) {
    return (const dw_netstring_receiver_class *)(const void *)r->base.cls;
}

static size_t most(const dw_protocol *protocol) {
    const dw_netstring_receiver *r = (const dw_netstring_receiver *)(const void *)protocol;
    return framing_sum(r->max_length, PREFIX_MAX + 1);
}

void dw_netstring_receiver_init(dw_netstring_receiver *r, const dw_netstring_receiver_class *cls) {
    *r = (dw_netstring_receiver){.max_length = DW_NETSTRING_MAX_LENGTH_DEFAULT};
    dw_protocol_init(&r->base, &cls->base);
}

void dw_netstring_receiver_fini(dw_netstring_receiver *r) {
    dw_framing_fini(&r->framing_);
}

void dw_netstring_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    dw_netstring_receiver_fini(receiver_of(protocol));
}

void dw_netstring_receiver_send_string(dw_netstring_receiver *r, const void *string, size_t len) {
    char prefix[PREFIX_MAX];
    size_t at = sizeof(prefix);
    prefix[--at] = ':';
    size_t rest = len;
    do {
        prefix[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    struct iovec pieces[] = {{prefix + at, sizeof(prefix) - at},
                             {(void *)(uintptr_t)string, len},
                             {(void *)(uintptr_t) ",", 1}};
    dw_transport_writev(r->base.transport, pieces, 3);
}

typedef enum prefix_state { PREFIX_BAD, PREFIX_SHORT, PREFIX_WHOLE } prefix_state;

/* Reads "<digits>:"; on PREFIX_WHOLE sets *at behind the colon and *length. */
static inline prefix_state read_prefix(const uint8_t *view, size_t len, size_t max, size_t *at,
                                       size_t *length) {
    size_t value = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)view[i] - '0';
        if (digit > 9) {
            *at = i + 1;
            *length = value;
            return view[i] == ':' && i > 0 ? PREFIX_WHOLE : PREFIX_BAD;
        }
        if ((i > 0 && value == 0) || value > (SIZE_MAX - digit) / 10) {
            return PREFIX_BAD; /* a leading zero; a length beyond all limits */
        }
        value = value * 10 + digit;
        if (value > max) {
            return PREFIX_BAD;
        }
    }
    return PREFIX_SHORT;
}

static bool refuse(dw_netstring_receiver *r) {
    dw_framing *f = &r->framing_;
    r->broken_peer = true;
    f->dropping_ = true;
    struct dw_framing_turn *turn = framing_lend(f);
    dw_transport_lose_connection(r->base.transport);
    return framing_returned(f, turn);
}

static bool deliver(dw_netstring_receiver *r, const uint8_t *string, size_t len, size_t whole) {
    dw_framing *f = &r->framing_;
    framing_consume(f, whole);
    struct dw_framing_turn *turn = framing_lend(f);
    class_of(r)->string_received(r, string, len);
    return framing_returned(f, turn);
}

/* Strings that lie whole in the input, one after the other: the way that bytes usually take. The
 * first begins at `at` with `length` bytes. Ends before anything out of the common; false: the
 * receiver is gone. */
static bool run(dw_netstring_receiver *r, const dw_transport *t, size_t at, size_t length) {
    dw_framing *f = &r->framing_;
    const uint8_t *view = f->input_;
    size_t len = f->input_len_;
    struct dw_framing_turn *turn = framing_lend(f);
    do {
        const uint8_t *string = view + at;
        view = string + length + 1;
        len -= at + length + 1;
        f->input_ = view;
        f->input_len_ = len;
        class_of(r)->string_received(r, string, length);
        if (turn->stirred || !framing_open_plain(t) ||
            read_prefix(view, len, r->max_length, &at, &length) != PREFIX_WHOLE) {
            break;
        }
    } while (len - at > length && view[at + length] == ',');
    return framing_returned(f, turn);
}

/* Takes one string off the view, or makes the view longer. False: there is nothing more to do. */
static bool step(dw_protocol *protocol) {
    dw_netstring_receiver *r = receiver_of(protocol);
    dw_framing *f = &r->framing_;
    size_t len, at = 0, length = 0;
    const uint8_t *view = framing_view(f, &len);
    if (f->dropping_ || len == 0) {
        dw_framing_clear(f);
        return false;
    }
    prefix_state state = read_prefix(view, len, r->max_length, &at, &length);
    if (state == PREFIX_SHORT) {
        return dw_framing_pull(f, r->base.transport, 1, most(&r->base));
    }
    if (state == PREFIX_BAD) {
        return refuse(r);
    }
    if (len - at <= length) {
        return dw_framing_pull(f, r->base.transport, length - (len - at) + 1, most(&r->base));
    }
    if (view[at + length] != ',') {
        return refuse(r);
    }
    if (framing_kept(f) == 0 && framing_is_plain(r->base.transport)) {
        return run(r, r->base.transport, at, length);
    }
    return deliver(r, view + at, length, at + length + 1);
}

void dw_netstring_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    framing_run(&receiver_of(protocol)->framing_, protocol, data, len, step, most);
}

void dw_netstring_receiver_pause_producing(dw_netstring_receiver *r) {
    framing_stir(&r->framing_);
    r->framing_.paused_ = true;
    dw_transport_pause_producing(r->base.transport);
}

void dw_netstring_receiver_resume_producing(dw_netstring_receiver *r) {
    r->framing_.paused_ = false;
    dw_transport_resume_producing(r->base.transport);
    if (r->framing_.turn_ == NULL) {
        dw_netstring_receiver_data_received(&r->base, NULL, 0);
    }
}

void dw_netstring_receiver_stop_producing(dw_netstring_receiver *r) {
    framing_stir(&r->framing_);
    r->framing_.paused_ = true;
    dw_transport_stop_producing(r->base.transport);
}
