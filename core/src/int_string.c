/* SPDX-License-Identifier: MIT */
/*
 * Strings behind a binary length. The prefix is read anew with each reception, so that the receiver
 * has no state beside the unparsed bytes.
 *
 * Invariant: a prefix is judged when its last byte is there, however the stream was cut.
 */
#include "drywire/int_string.h"

#include "framing.h"

static dw_int_string_receiver *receiver_of(dw_protocol *protocol) {
    return (dw_int_string_receiver *)(void *)protocol;
}

static const dw_int_string_receiver_class *class_of(const dw_int_string_receiver *r) {
    return (const dw_int_string_receiver_class *)(const void *)r->base.cls;
}

static size_t prefix_len(dw_int_format format) {
    return format == DW_INT8 ? 1 : format == DW_INT16_BIG || format == DW_INT16_LITTLE ? 2 : 4;
}

static uint32_t read_length(const uint8_t *p, dw_int_format format) {
    switch (format) {
    case DW_INT8:
        return p[0];
    case DW_INT16_BIG:
        return (uint32_t)p[0] << 8 | p[1];
    case DW_INT16_LITTLE:
        return (uint32_t)p[1] << 8 | p[0];
    case DW_INT32_BIG:
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    case DW_INT32_LITTLE:
    default:
        return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
    }
}

static void write_length(uint8_t *p, dw_int_format format, uint32_t length) {
    size_t bytes = prefix_len(format);
    bool little = format == DW_INT16_LITTLE || format == DW_INT32_LITTLE;
    for (size_t i = 0; i < bytes; i++) {
        p[little ? i : bytes - 1 - i] = (uint8_t)(length >> (8 * i));
    }
}

static size_t most(const dw_protocol *protocol) {
    const dw_int_string_receiver *r = (const dw_int_string_receiver *)(const void *)protocol;
    return framing_sum(r->max_length, sizeof(uint32_t));
}

void dw_int_string_receiver_init(dw_int_string_receiver *r, const dw_int_string_receiver_class *cls,
                                 dw_int_format format) {
    *r = (dw_int_string_receiver){.format = format, .max_length = DW_INT_STRING_MAX_LENGTH_DEFAULT};
    dw_protocol_init(&r->base, &cls->base);
}

void dw_int_string_receiver_fini(dw_int_string_receiver *r) {
    dw_framing_fini(&r->framing_);
}

void dw_int_string_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    dw_int_string_receiver_fini(receiver_of(protocol));
}

int dw_int_string_receiver_send_string(dw_int_string_receiver *r, const void *string, size_t len) {
    uint8_t prefix[sizeof(uint32_t)];
    size_t bytes = prefix_len(r->format);
    if ((uint64_t)len >> (8 * bytes) != 0) {
        return DW_INVALID_ARGUMENT;
    }
    write_length(prefix, r->format, (uint32_t)len);
    struct iovec pieces[] = {{prefix, bytes}, {(void *)(uintptr_t)string, len}};
    dw_transport_writev(r->base.transport, pieces, 2);
    return 0;
}

void dw_int_string_receiver_skip_string(dw_int_string_receiver *r) {
    r->framing_.dropping_ = false;
}

/* The prefix is gone; what it announced is dropped, if the callback wants to go on. */
static bool exceeded(dw_int_string_receiver *r, uint32_t length, size_t prefix) {
    dw_framing *f = &r->framing_;
    f->dropping_ = true;
    r->skip_ = length;
    framing_consume(f, prefix);
    struct dw_framing_turn *turn = framing_lend(f);
    if (class_of(r)->length_limit_exceeded != NULL) {
        class_of(r)->length_limit_exceeded(r, length);
    } else {
        dw_transport_lose_connection(r->base.transport);
    }
    return framing_returned(f, turn);
}

static bool deliver(dw_int_string_receiver *r, const uint8_t *string, size_t len, size_t whole) {
    dw_framing *f = &r->framing_;
    framing_consume(f, whole);
    struct dw_framing_turn *turn = framing_lend(f);
    class_of(r)->string_received(r, string, len);
    return framing_returned(f, turn);
}

static bool skip(dw_int_string_receiver *r, size_t len) {
    size_t n = r->skip_ < len ? r->skip_ : len;
    r->skip_ -= n;
    framing_consume(&r->framing_, n);
    return true;
}

/* Takes one string off the view, or makes the view longer. False: there is nothing more to do. */
static bool step(dw_protocol *protocol) {
    dw_int_string_receiver *r = receiver_of(protocol);
    dw_framing *f = &r->framing_;
    size_t len;
    const uint8_t *view = framing_view(f, &len);
    if (f->dropping_ || len == 0) {
        dw_framing_clear(f);
        return false;
    }
    if (r->skip_ > 0) {
        return skip(r, len);
    }
    size_t prefix = prefix_len(r->format);
    if (len < prefix) {
        return dw_framing_pull(f, r->base.transport, prefix - len, most(&r->base));
    }
    uint32_t length = read_length(view, r->format);
    if (length > r->max_length) {
        return exceeded(r, length, prefix);
    }
    if (len - prefix < length) {
        return dw_framing_pull(f, r->base.transport, length - (len - prefix), most(&r->base));
    }
    return deliver(r, view + prefix, length, prefix + length);
}

void dw_int_string_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    framing_run(&receiver_of(protocol)->framing_, protocol, data, len, step, most);
}

void dw_int_string_receiver_pause_producing(dw_int_string_receiver *r) {
    r->framing_.paused_ = true;
    dw_transport_pause_producing(r->base.transport);
}

void dw_int_string_receiver_resume_producing(dw_int_string_receiver *r) {
    r->framing_.paused_ = false;
    dw_transport_resume_producing(r->base.transport);
    if (r->framing_.turn_ == NULL) {
        dw_int_string_receiver_data_received(&r->base, NULL, 0);
    }
}

void dw_int_string_receiver_stop_producing(dw_int_string_receiver *r) {
    r->framing_.paused_ = true;
    dw_transport_stop_producing(r->base.transport);
}
