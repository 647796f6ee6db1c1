/* SPDX-License-Identifier: MIT */
/*
 * For the tests of datagrams on the dry wire: an `ear`, a datagram protocol with its port that
 * keeps what it was told. Ears are static, so nothing of theirs counts as left over.
 */
#ifndef DRYWIRE_TESTS_SIM_DATAGRAMS_H
#define DRYWIRE_TESTS_SIM_DATAGRAMS_H

#include "sim_support.h"

enum { EAR_KEEP = 64, EAR_BYTES = 65536, EAR_MAX = 65507 };

typedef struct ear ear;
struct ear {
    dw_datagram_protocol protocol;
    dw_datagram_port *port;
    dw_reactor *reactor;
    void (*on_heard)(ear *e);
    unsigned heard, refused, stopped;
    dw_time heard_at, refused_at;
    dw_address from;              /* of the last one */
    size_t lens[EAR_KEEP], total; /* of the first ones; bytes of all */
    char firsts[EAR_KEEP + 1];    /* their first bytes, '-' for none */
    uint8_t bytes[EAR_BYTES];     /* of the last one */
};

static inline ear *ear_of(dw_datagram_protocol *p) {
    return DW_CONTAINER_OF(p, ear, protocol);
}

static inline void ear_heard(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                             const dw_address *from) {
    ear *e = ear_of(p);
    if (e->heard < EAR_KEEP) {
        e->lens[e->heard] = len;
        e->firsts[e->heard] = len > 0 ? (char)data[0] : '-';
    }
    ck_assert_uint_le(len, EAR_BYTES);
    memcpy(e->bytes, data, len);
    e->heard++;
    e->total += len;
    e->heard_at = dw_reactor_now(e->reactor);
    e->from = *from;
    if (e->on_heard != NULL) {
        e->on_heard(e);
    }
}

static inline void ear_refused(dw_datagram_protocol *p) {
    ear *e = ear_of(p);
    e->refused++;
    e->refused_at = dw_reactor_now(e->reactor);
}

static inline void ear_stopped(dw_datagram_protocol *p) {
    ear *e = ear_of(p);
    e->stopped++;
    e->port = NULL;
}

static inline void ear_init(ear *e, dw_host *host) {
    static const dw_datagram_protocol_class cls = {.name = "ear",
                                                   .datagram_received = ear_heard,
                                                   .connection_refused = ear_refused,
                                                   .stop_protocol = ear_stopped};
    memset(e, 0, sizeof(*e));
    e->reactor = dw_host_reactor(host);
    dw_datagram_protocol_init(&e->protocol, &cls);
}

/* On a port (0: any) of an interface (NULL: any). */
static inline int ear_try_listen(ear *e, dw_host *host, uint16_t number, const char *interface) {
    ear_init(e, host);
    return dw_reactor_listen_udp(e->reactor, number, &e->protocol, interface, EAR_MAX, &e->port);
}

static inline void ear_listen(ear *e, dw_host *host, uint16_t number) {
    ck_assert_int_eq(ear_try_listen(e, host, number, NULL), 0);
}

static inline uint16_t ear_number(const ear *e) {
    return dw_datagram_host(e->port).port;
}

static inline ssize_t ear_send(ear *e, const char *text, const char *host, uint16_t number) {
    dw_address to;
    ck_assert_int_eq(dw_address_parse(&to, host, number), 0);
    return dw_datagram_write(e->port, text, strlen(text), &to);
}

/* One that must leave whole. */
static inline void ear_say(ear *e, const char *text, const char *host, uint16_t number) {
    ck_assert_int_eq(ear_send(e, text, host, number), (ssize_t)strlen(text));
}

/* To where it is connected. */
static inline void ear_tell(ear *e, const char *text) {
    ck_assert_int_eq(dw_datagram_write(e->port, text, strlen(text), NULL), (ssize_t)strlen(text));
}

static inline void ear_connect(ear *e, const char *host, uint16_t number) {
    ck_assert_int_eq(dw_datagram_connect(e->port, host, number), 0);
}

/* The last one heard is this. */
static inline bool ear_has(const ear *e, const char *text) {
    size_t len = strlen(text);
    return e->heard > 0 && memcmp(e->bytes, text, len) == 0 &&
           (e->heard > EAR_KEEP || e->lens[e->heard - 1] == len);
}

static inline bool is_address(const dw_address *address, const char *expected) {
    char text[DW_ADDRESS_TEXT_MAX];
    return strcmp(dw_address_format(address, text, sizeof(text)), expected) == 0;
}

/* ---- Two: hosts "server" (10.0.0.1), its ear on port 53, and "client" (10.0.0.2), on 5000 ---- */

typedef struct two_ears {
    dw_host *server_host, *client_host;
    ear server, client;
} two_ears;

static inline void two_init(two_ears *t, dw_world *w) {
    t->server_host = dw_world_add_host(w, "server", NULL, NULL);
    t->client_host = dw_world_add_host(w, "client", NULL, NULL);
    ear_listen(&t->server, t->server_host, 53);
    ear_listen(&t->client, t->client_host, 5000);
}

/* The client says it to the server so many times. */
static inline void two_say(two_ears *t, unsigned times, const char *text) {
    for (unsigned i = 0; i < times; i++) {
        ear_say(&t->client, text, "10.0.0.1", 53);
    }
}

#endif
