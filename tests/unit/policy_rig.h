/* SPDX-License-Identifier: MIT */
/*
 * A rig for policies: several connections of one wrapping factory over transports that only note
 * what is called, with the clock of a dw_test_transport. Each event is a word with the connection's
 * number: "build0 made0 data0:5 write0:3 pause0 lost0". Every test starts with rig_open and ends
 * with rig_close, which also finds leaks.
 */
#ifndef POLICY_RIG_H
#define POLICY_RIG_H

#include <check.h>
#include <drywire/sim.h>
#include <drywire/wrapper.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RIG_CONNECTIONS = 32, RIG_NOTES = 4096 };

/* The application: notes its callbacks, does nothing else. */
struct rig_app {
    dw_protocol base;
    int number;
};

/* The transport below the policy; "wrapped" is the policy's outer protocol. */
struct rig_below {
    dw_protocol_wrapper base;
    int number;
    dw_producer *producer;
    bool closing;
};

static dw_test_transport *rig;
static char rig_notes[RIG_NOTES];
static int rig_next; /* number of the connection that is being built */
static struct rig_below rig_belows[RIG_CONNECTIONS];
static dw_protocol *rig_apps[RIG_CONNECTIONS];

static void rig_note(const char *word, int number, long n) {
    size_t len = strlen(rig_notes);
    char more[24] = "";
    if (n >= 0) {
        snprintf(more, sizeof(more), ":%ld", n);
    }
    snprintf(rig_notes + len, RIG_NOTES - len, "%s%s%d%s", len > 0 ? " " : "", word, number, more);
}

/* What was noted since the last time must be just this. */
#define rig_expect(words)                     \
    do {                                      \
        ck_assert_str_eq(rig_notes, (words)); \
        rig_notes[0] = '\0';                  \
    } while (0)

/* ---- The application ---- */

static int rig_number(dw_protocol *p) {
    return ((struct rig_app *)(void *)p)->number;
}

static void rig_made(dw_protocol *p) {
    rig_note("made", rig_number(p), -1);
}

static void rig_data(dw_protocol *p, const uint8_t *data, size_t len) {
    (void)data;
    rig_note("data", rig_number(p), (long)len);
}

static void rig_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    rig_note("lost", rig_number(p), -1);
}

static void rig_destroy(dw_protocol *p) {
    rig_apps[rig_number(p)] = NULL;
    dw_free(dw_test_transport_reactor(rig), p);
}

static const dw_protocol_class rig_app_class = {
    .name = "app",
    .connection_made = rig_made,
    .data_received = rig_data,
    .connection_lost = rig_lost,
    .destroy = rig_destroy,
};

static dw_protocol *rig_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    struct rig_app *app = dw_new(dw_test_transport_reactor(rig), struct rig_app);
    if (app == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    rig_note("build", rig_next, -1);
    dw_protocol_init(&app->base, &rig_app_class);
    app->number = rig_next;
    rig_apps[rig_next] = &app->base;
    return &app->base;
}

static void rig_start(dw_factory *factory) {
    (void)factory;
    rig_note("start", 0, -1);
}

static void rig_stop(dw_factory *factory) {
    (void)factory;
    rig_note("stop", 0, -1);
}

static const dw_factory_class rig_factory_class = {
    .name = "app",
    .build_protocol = rig_build,
    .start = rig_start,
    .stop = rig_stop,
};

/* ---- The transport below ---- */

static struct rig_below *rig_below_of(dw_protocol_wrapper *w) {
    return (struct rig_below *)(void *)w;
}

static void rig_write(dw_protocol_wrapper *w, const void *data, size_t len) {
    (void)data;
    rig_note("write", rig_below_of(w)->number, (long)len);
}

static void rig_writev(dw_protocol_wrapper *w, const struct iovec *pieces, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    rig_note("writev", rig_below_of(w)->number, (long)total);
}

static void rig_lose(dw_protocol_wrapper *w) {
    rig_below_of(w)->closing = true;
    rig_note("lose", rig_below_of(w)->number, -1);
}

static void rig_abort(dw_protocol_wrapper *w) {
    rig_note("abort", rig_below_of(w)->number, -1);
}

static void rig_pause(dw_protocol_wrapper *w) {
    rig_note("pause", rig_below_of(w)->number, -1);
}

static void rig_resume(dw_protocol_wrapper *w) {
    rig_note("resume", rig_below_of(w)->number, -1);
}

static int rig_register(dw_protocol_wrapper *w, dw_producer *producer, bool streaming) {
    rig_note(streaming ? "push" : "pull", rig_below_of(w)->number, -1);
    rig_below_of(w)->producer = producer;
    if (!streaming) {
        producer->cls->resume_producing(producer);
    }
    return 0;
}

static void rig_unregister(dw_protocol_wrapper *w) {
    rig_note("unregister", rig_below_of(w)->number, -1);
    rig_below_of(w)->producer = NULL;
}

static bool rig_disconnecting(const dw_protocol_wrapper *w) {
    return ((const struct rig_below *)(const void *)w)->closing;
}

static const dw_protocol_wrapper_class rig_below_class = {
    .write = rig_write,
    .writev = rig_writev,
    .lose_connection = rig_lose,
    .abort_connection = rig_abort,
    .pause_producing = rig_pause,
    .resume_producing = rig_resume,
    .register_producer = rig_register,
    .unregister_producer = rig_unregister,
    .disconnecting = rig_disconnecting,
};

/* ---- Steps ---- */

static inline dw_reactor *rig_open(dw_factory *app) {
    rig = dw_test_transport_new();
    ck_assert_ptr_nonnull(rig);
    rig_notes[0] = '\0';
    rig_next = 0;
    memset(rig_belows, 0, sizeof(rig_belows));
    memset(rig_apps, 0, sizeof(rig_apps));
    dw_factory_init(app, &rig_factory_class);
    return dw_test_transport_reactor(rig);
}

/* A connection from `peer` arrives: "refused" is noted when nobody takes it, "failed" without
 * memory. Its number is the next one. */
static inline void rig_connect_from(dw_factory *factory, const dw_address *peer) {
    int number = rig_next;
    struct rig_below *below = &rig_belows[number];
    dw_protocol *protocol = factory->cls->build_protocol(factory, peer);
    rig_next++;
    if (protocol == NULL || protocol == DW_PROTOCOL_FAILED) {
        rig_note(protocol == NULL ? "refused" : "failed", number, -1);
        return;
    }
    protocol->factory = factory;
    dw_protocol_wrapper_init(&below->base, &rig_below_class, protocol);
    below->number = number;
    dw_protocol_make_connection(protocol, dw_protocol_wrapper_transport(&below->base));
}

static inline void rig_connect(dw_factory *factory) {
    dw_address peer = {.kind = DW_ADDRESS_IPV4, .port = 1000, .ip = {10, 0, 0, 1}};
    rig_connect_from(factory, &peer);
}

static inline void rig_receive(int number, size_t len) {
    static const uint8_t bytes[256];
    ck_assert_uint_le(len, sizeof(bytes));
    dw_protocol_wrapper_data_received(&rig_belows[number].base, bytes, len);
}

static inline void rig_end(int number) {
    dw_reason reason = {DW_CONNECTION_DONE, 0, NULL};
    dw_protocol *protocol = rig_belows[number].base.wrapped;
    dw_protocol_wrapper_connection_lost(&rig_belows[number].base, &reason);
    protocol->cls->destroy(protocol);
    rig_belows[number].base.wrapped = NULL;
}

/* The transport that the application sees. */
static inline dw_transport *rig_transport(int number) {
    return rig_apps[number]->transport;
}

static inline void rig_advance(dw_time by) {
    dw_test_transport_advance(rig, by);
}

static inline void rig_close(void) {
    for (int i = 0; i < RIG_CONNECTIONS; i++) {
        if (rig_belows[i].base.wrapped != NULL) {
            rig_end(i);
        }
    }
    dw_test_transport_lose(rig, ECONNRESET);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
    ck_assert_uint_eq(dw_test_transport_allocations(rig), 0);
    dw_test_transport_free(rig);
}

#endif
