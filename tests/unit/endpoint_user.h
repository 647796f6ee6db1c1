/* SPDX-License-Identifier: MIT */
/*
 * A program that connects by an endpoint, for the tests of endpoints in a world: it notes when it
 * was told what, and by which address. Also a factory for servers that say nothing.
 */
#ifndef DRYWIRE_TESTS_ENDPOINT_USER_H
#define DRYWIRE_TESTS_ENDPOINT_USER_H

#include "sim_support.h"

typedef enum user_builds { BUILDS_PROTOCOL, BUILDS_NONE, BUILDS_FAILED } user_builds;

typedef struct user {
    dw_connecting connecting;
    dw_factory factory;
    dw_protocol protocol;
    dw_reactor *reactor;
    user_builds builds;
    bool cancel_in_build, cancel_in_made, fail_in_made, checks_factory;
    unsigned built, made, connected, failed, lost, starts, stops, destroyed;
    dw_time told_at; /* connected or failed */
    dw_error kind;
    int sys_errno;
    dw_error lost_kind;
    char peer[DW_ADDRESS_TEXT_MAX];
} user;

static inline user *user_of_factory(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, user, factory);
}

static inline user *user_of_protocol(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, user, protocol);
}

static inline void user_made(dw_protocol *protocol) {
    user *u = user_of_protocol(protocol);
    dw_address peer = dw_transport_peer(protocol->transport);
    u->made++;
    ck_assert_uint_eq(u->connected, 0); /* connection_made comes first */
    dw_address_format_host(&peer, u->peer, sizeof(u->peer));
    if (u->cancel_in_made) {
        dw_connecting_cancel(&u->connecting);
    }
    if (u->fail_in_made) {
        dw_transport_fail(protocol->transport, &(dw_reason){DW_APP_ERROR, 0, NULL});
    }
}

static inline void user_lost(dw_protocol *protocol, const dw_reason *reason) {
    user *u = user_of_protocol(protocol);
    u->lost++;
    u->lost_kind = reason->kind;
}

static inline void user_destroyed(dw_protocol *protocol) {
    user_of_protocol(protocol)->destroyed++;
}

static const dw_protocol_class user_class = {.name = "user",
                                             .connection_made = user_made,
                                             .connection_lost = user_lost,
                                             .destroy = user_destroyed};

static inline dw_protocol *user_build(dw_factory *factory, const dw_address *peer) {
    user *u = user_of_factory(factory);
    (void)peer;
    u->built++;
    ck_assert_uint_eq(u->starts, u->stops + 1);
    if (u->cancel_in_build) {
        dw_connecting_cancel(&u->connecting);
    }
    if (u->builds != BUILDS_PROTOCOL) {
        return u->builds == BUILDS_NONE ? NULL : DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&u->protocol, &user_class);
    return &u->protocol;
}

static inline void user_started(dw_factory *factory) {
    user_of_factory(factory)->starts++;
}

static inline void user_stopped(dw_factory *factory) {
    user_of_factory(factory)->stops++;
}

static const dw_factory_class user_factory = {
    .name = "user", .build_protocol = user_build, .start = user_started, .stop = user_stopped};

static inline void user_connected(dw_connecting *connecting, dw_protocol *protocol) {
    user *u = connecting->user;
    ck_assert_ptr_eq(protocol, &u->protocol);
    ck_assert_uint_eq(u->made, 1);
    ck_assert(!dw_connecting_active(connecting));
    u->connected++;
    u->told_at = dw_reactor_now(u->reactor);
}

static inline void user_failed(dw_connecting *connecting, const dw_reason *reason) {
    user *u = connecting->user;
    ck_assert(!dw_connecting_active(connecting));
    /* All may be freed in here. (A connection that is cancelled while it is made lasts longer.) */
    ck_assert(u->starts == u->stops || u->cancel_in_build || u->cancel_in_made);
    u->failed++;
    u->kind = reason->kind;
    u->sys_errno = reason->sys_errno;
    u->told_at = dw_reactor_now(u->reactor);
}

static inline void user_init(user *u, dw_reactor *reactor) {
    memset(u, 0, sizeof(*u));
    u->reactor = reactor;
    dw_factory_init(&u->factory, &user_factory);
}

/* Gives the endpoint away: it lasts as long as the attempt. Returns connect's result. */
static inline int user_try(user *u, dw_client_endpoint *endpoint) {
    if (endpoint == NULL) {
        return DW_NO_MEMORY;
    }
    int error =
        dw_endpoint_connect(endpoint, &u->connecting, &u->factory, user_connected, user_failed, u);
    ck_assert_uint_eq(u->connected + u->failed, 0); /* nothing from inside the call */
    ck_assert_int_eq(dw_connecting_active(&u->connecting), error == 0);
    dw_client_endpoint_free(endpoint);
    return error;
}

static inline void expect_connected(const user *u, const char *peer, dw_time at) {
    ck_assert_msg(u->failed == 0, "failed: %s", dw_error_name(u->kind));
    ck_assert_uint_eq(u->connected, 1);
    ck_assert_str_eq(u->peer, peer);
    ck_assert_int_eq(u->told_at, at);
}

static inline void expect_failed(const user *u, dw_error kind, int sys_errno, dw_time at) {
    ck_assert_uint_eq(u->connected, 0);
    ck_assert_uint_eq(u->failed, 1);
    ck_assert_str_eq(dw_error_name(u->kind), dw_error_name(kind));
    ck_assert_int_eq(u->sys_errno, sys_errno);
    ck_assert_int_eq(u->told_at, at);
    ck_assert_uint_eq(u->starts, u->stops); /* the factory is free again */
}

/* A server's factory: takes every connection, and says nothing. Its protocols lie in the reactor's
 * memory. */
typedef struct silent {
    dw_factory factory;
    dw_reactor *reactor;
    unsigned built;
} silent;

static inline void silent_destroy(dw_protocol *protocol) {
    dw_free(DW_CONTAINER_OF(protocol->factory, silent, factory)->reactor, protocol);
}

static const dw_protocol_class silent_class = {.name = "silent", .destroy = silent_destroy};

static inline dw_protocol *silent_build(dw_factory *factory, const dw_address *peer) {
    silent *s = DW_CONTAINER_OF(factory, silent, factory);
    dw_protocol *protocol = dw_new(s->reactor, dw_protocol);
    (void)peer;
    s->built++;
    if (protocol == NULL) {
        return NULL;
    }
    dw_protocol_init(protocol, &silent_class);
    return protocol;
}

static const dw_factory_class silent_factory = {.name = "silent", .build_protocol = silent_build};

static inline void silent_init(silent *s, dw_reactor *reactor) {
    memset(s, 0, sizeof(*s));
    dw_factory_init(&s->factory, &silent_factory);
    s->reactor = reactor;
}

#endif
