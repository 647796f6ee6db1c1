/* SPDX-License-Identifier: MIT */
/*
 * The smallest fuzz target: an echo. One function makes the protocol, one line makes the target.
 */
#include <drywire/fuzz.h>

static void echo_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    dw_transport_write(protocol->transport, data, len);
}

struct echo {
    dw_protocol base;
    dw_reactor *reactor;
};

static void echo_destroy(dw_protocol *protocol) {
    struct echo *echo = (struct echo *)protocol;
    dw_free(echo->reactor, echo);
}

static const dw_protocol_class echo_class = {
    .name = "echo",
    .data_received = echo_data_received,
    .destroy = echo_destroy,
};

static dw_protocol *echo_new(dw_reactor *reactor) {
    struct echo *echo = dw_new(reactor, struct echo);
    if (echo == NULL) {
        return NULL;
    }
    dw_protocol_init(&echo->base, &echo_class);
    echo->reactor = reactor;
    return &echo->base;
}

DW_FUZZ_PROTOCOL(echo_new)
