/* SPDX-License-Identifier: MIT */
/*
 * The public face of transports: each call goes to the table of the transport that it is made on, a
 * connection's (transport.c) or a wrapper's (wrapper.c). NULL goes to the connection's, which takes
 * it in good part.
 */
#include "internal.h"

void dw_transport_write(dw_transport *t, const void *data, size_t len) {
    if (t != NULL) {
        ((const struct dw_transport_head *)t)->verbs->write(t, data, len);
    }
}

void dw_transport_writev(dw_transport *t, const struct iovec *pieces, size_t count) {
    verbs_of(t)->writev(t, pieces, count);
}

void dw_transport_lose_connection(dw_transport *t) {
    verbs_of(t)->lose_connection(t);
}

void dw_transport_abort_connection(dw_transport *t) {
    verbs_of(t)->abort_connection(t);
}

void dw_transport_lose_write_connection(dw_transport *t) {
    verbs_of(t)->lose_write_connection(t);
}

void dw_transport_fail(dw_transport *t, const dw_reason *reason) {
    verbs_of(t)->fail(t, reason);
}

void dw_transport_pause_producing(dw_transport *t) {
    verbs_of(t)->pause_producing(t);
}

void dw_transport_resume_producing(dw_transport *t) {
    verbs_of(t)->resume_producing(t);
}

int dw_transport_register_producer(dw_transport *t, dw_producer *producer, bool streaming) {
    return verbs_of(t)->register_producer(t, producer, streaming);
}

void dw_transport_unregister_producer(dw_transport *t) {
    verbs_of(t)->unregister_producer(t);
}

int dw_transport_set_write_limits(dw_transport *t, size_t low, size_t high) {
    return verbs_of(t)->set_write_limits(t, low, high);
}

size_t dw_transport_buffered(const dw_transport *t) {
    return verbs_of(t)->buffered(t);
}

dw_address dw_transport_peer(const dw_transport *t) {
    return verbs_of(t)->peer(t);
}

dw_address dw_transport_host(dw_transport *t) {
    return verbs_of(t)->host(t);
}

bool dw_transport_connected(const dw_transport *t) {
    return verbs_of(t)->connected(t);
}

bool dw_transport_disconnecting(const dw_transport *t) {
    return verbs_of(t)->disconnecting(t);
}

bool dw_transport_disconnected(const dw_transport *t) {
    return verbs_of(t)->disconnected(t);
}

int dw_transport_send_file_descriptor(dw_transport *t, int fd) {
    return verbs_of(t)->send_file_descriptor(t, fd);
}

int dw_transport_handle(const dw_transport *t) {
    return verbs_of(t)->handle(t);
}

dw_reactor *dw_transport_reactor(const dw_transport *t) {
    return verbs_of(t)->reactor(t);
}

void dw_transport_stop_producing(dw_transport *t) {
    dw_transport_lose_connection(t);
}

bool dw_transport_get_no_delay(dw_transport *t) {
    return verbs_of(t)->get_option(t, DW_OPTION_NO_DELAY);
}

int dw_transport_set_no_delay(dw_transport *t, bool on) {
    return verbs_of(t)->set_option(t, DW_OPTION_NO_DELAY, on);
}

bool dw_transport_get_keep_alive(dw_transport *t) {
    return verbs_of(t)->get_option(t, DW_OPTION_KEEP_ALIVE);
}

int dw_transport_set_keep_alive(dw_transport *t, bool on) {
    return verbs_of(t)->set_option(t, DW_OPTION_KEEP_ALIVE, on);
}
