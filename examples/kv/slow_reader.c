/* SPDX-License-Identifier: MIT */
/*
 * The slow reader. Its one timer first ends the pause in reading, then bounds the wait for more.
 * See slow_reader.h.
 */
#include "slow_reader.h"

#include "commands.h"

#include <stdio.h>
#include <string.h>

static kv_slow_reader *reader_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, kv_slow_reader, protocol);
}

static void out_of_patience(void *user) {
    kv_slow_reader *reader = user;
    dw_transport_abort_connection(reader->protocol.transport);
}

static void wait_for_more(kv_slow_reader *reader) {
    dw_reactor_call_later(dw_transport_reactor(reader->protocol.transport), &reader->timer,
                          KV_SLOW_PATIENCE, out_of_patience, reader);
}

static void read_again(void *user) {
    kv_slow_reader *reader = user;
    dw_transport_resume_producing(reader->protocol.transport);
    wait_for_more(reader);
}

/* All in one write: SET, and then every GET. */
static size_t format_requests(char *out, size_t room) {
    static const char get[] = "GET big\r\n";
    size_t len =
        (size_t)snprintf(out, room, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", KV_SLOW_VALUE);
    memset(out + len, 'x', KV_SLOW_VALUE);
    memcpy(out + len + KV_SLOW_VALUE, "\r\n", 2);
    len += KV_SLOW_VALUE + 2;
    for (int i = 0; i < KV_SLOW_GETS; i++) {
        memcpy(out + len, get, sizeof(get) - 1);
        len += sizeof(get) - 1;
    }
    return len;
}

static void connection_made(dw_protocol *protocol) {
    char requests[KV_SLOW_VALUE + 64 + KV_SLOW_GETS * sizeof("GET big\r\n")];
    size_t len = format_requests(requests, sizeof(requests));
    dw_transport_write(protocol->transport, requests, len);
    dw_transport_pause_producing(protocol->transport);
    dw_reactor_call_later(dw_transport_reactor(protocol->transport), &reader_of(protocol)->timer,
                          KV_SLOW_PAUSE, read_again, reader_of(protocol));
}

/* +OK, then the value each time; or OOM, then nil each time. */
bool kv_slow_reader_has_all(const kv_slow_reader *reader) {
    uint64_t first = reader->refused ? sizeof("-" KV_OOM "\r\n") - 1 : sizeof("+OK\r\n") - 1;
    uint64_t each = reader->refused ? sizeof("$-1\r\n") - 1 : kv_bulk_size(KV_SLOW_VALUE);
    return reader->received == first + KV_SLOW_GETS * each;
}

static void data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    kv_slow_reader *reader = reader_of(protocol);
    reader->refused = reader->refused || (reader->received == 0 && data[0] == '-');
    reader->received += len;
    if (kv_slow_reader_has_all(reader)) {
        dw_transport_lose_connection(protocol->transport);
    } else {
        wait_for_more(reader);
    }
}

static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    reader_of(protocol)->over = true;
    dw_delayed_call_cancel(&reader_of(protocol)->timer);
}

static const dw_protocol_class protocol_class = {
    .name = "slow-reader",
    .connection_made = connection_made,
    .data_received = data_received,
    .connection_lost = connection_lost,
};

static kv_slow_reader *reader_of_factory(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, kv_slow_reader, factory.base);
}

static dw_protocol *build_protocol(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    kv_slow_reader *reader = reader_of_factory(factory);
    dw_protocol_init(&reader->protocol, &protocol_class);
    return &reader->protocol;
}

static void attempt_failed(dw_client_factory *factory, dw_connector *connector,
                           const dw_reason *reason) {
    (void)connector;
    (void)reason;
    reader_of_factory(&factory->base)->over = true;
}

static const dw_client_factory_class factory_class = {
    .base = {.name = "slow-reader", .build_protocol = build_protocol},
    .client_connection_failed = attempt_failed,
};

int kv_slow_reader_start(kv_slow_reader *reader, dw_reactor *reactor, const char *host,
                         uint16_t port) {
    *reader = (kv_slow_reader){0};
    dw_client_factory_init(&reader->factory, &factory_class);
    int error = dw_reactor_connect_tcp(reactor, host, port, &reader->factory, 0, NULL, NULL);
    reader->over = error != 0;
    return error;
}
