/* SPDX-License-Identifier: MIT */
/*
 * A planted bug for each promise of drywire/promise.h: a small server with a usual mistake. No
 * scenario here asserts anything; what finds the bug is the promise alone.
 */
#include "rig.h"

static const char *const two_requests[] = {"ann\n", "bob\n", NULL};

static void greet(dw_protocol *p, const char *name) {
    rig_say(p, "hello ");
    rig_say(p, name);
    rig_say(p, "\n");
}

static size_t line_len(const uint8_t *input, size_t len) {
    const uint8_t *end = memchr(input, '\n', len);
    return end != NULL ? (size_t)(end - input) + 1 : 0;
}

static void good_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    for (size_t i = 0; i < len; i++) {
        if (rig_byte(c, (char)data[i])) {
            greet(p, c->line);
        }
    }
}

/* ---- segment_invariant: what is left of a line when the segment ends is forgotten ---- */

static void forgetful_data(dw_protocol *p, const uint8_t *data, size_t len) {
    good_data(p, data, len);
    if (BUGGY) {
        rig_conn_of(p)->len = 0;
    }
}

static void segment_invariant(dw_world *w) {
    static const dw_promises promises = {.segment_invariant = true};
    static const dw_protocol_class cls = {
        .name = "forgetful", .data_received = forgetful_data, .destroy = rig_destroy};
    rig_serve(w, &cls, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- window_invariant: what comes while the last answer is unsent is not looked at ---- */

static void impatient_data(dw_protocol *p, const uint8_t *data, size_t len) {
    if (!BUGGY || dw_transport_buffered(p->transport) == 0) {
        good_data(p, data, len);
    }
}

static void window_invariant(dw_world *w) {
    static const dw_promises promises = {.window_invariant = true};
    static const dw_protocol_class cls = {
        .name = "impatient", .data_received = impatient_data, .destroy = rig_destroy};
    rig_serve(w, &cls, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- An answer takes 10 ms ---- */

static void slow_done(void *user);

static void slow_begin(rig_conn *c) {
    c->busy = true;
    dw_reactor_call_later(dw_transport_reactor(c->base.transport), &c->call, DW_MSEC(10), slow_done,
                          c);
}

/* Answers the first line of `more`; begins with the next. */
static void slow_done(void *user) {
    rig_conn *c = user;
    size_t len = line_len((const uint8_t *)c->more, c->more_len);
    c->more[len - 1] = '\0';
    greet(&c->base, c->more);
    c->more_len -= len;
    memmove(c->more, c->more + len, c->more_len);
    c->busy = false;
    if (line_len((const uint8_t *)c->more, c->more_len) > 0) {
        slow_begin(c);
    } else if (c->ended) {
        dw_transport_lose_connection(c->base.transport);
    }
}

static void slow_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    char *more = dw_resize(c->reactor, c->more, c->more_len + len);
    if (more == NULL) {
        dw_transport_abort_connection(p->transport);
        return;
    }
    memcpy(more + c->more_len, data, len);
    c->more = more;
    c->more_len += len;
    if (!c->busy && line_len((const uint8_t *)c->more, c->more_len) > 0) {
        slow_begin(c);
    }
}

static void slow_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_delayed_call_cancel(&rig_conn_of(p)->call);
}

static void slow_eof(dw_protocol *p) {
    rig_conn_of(p)->ended = true;
    if (!rig_conn_of(p)->busy) {
        dw_transport_lose_connection(p->transport);
    }
}

/* ---- pipeline_invariant: what comes while an answer is being made is dropped ---- */

static void dropping_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    size_t first = line_len(data, len);
    if (BUGGY && c->busy) {
        return;
    }
    slow_data(p, data, BUGGY && first > 0 ? first : len);
}

static void pipeline_invariant(dw_world *w) {
    static const dw_promises promises = {.pipeline_invariant = true};
    static const dw_protocol_class cls = {.name = "dropping",
                                          .data_received = dropping_data,
                                          .connection_lost = slow_lost,
                                          .destroy = rig_destroy};
    rig_serve(w, &cls, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- replies_after_eof: the end of the stream ends the connection under an answer ---- */

static void replies_after_eof(dw_world *w) {
    static const dw_promises promises = {.replies_after_eof = true};
    static const dw_protocol_class good = {.name = "patient",
                                           .data_received = slow_data,
                                           .connection_lost = slow_lost,
                                           .read_connection_lost = slow_eof,
                                           .destroy = rig_destroy};
    static const dw_protocol_class bad = {.name = "hasty",
                                          .data_received = slow_data,
                                          .connection_lost = slow_lost,
                                          .destroy = rig_destroy};
    rig_serve(w, BUGGY ? &bad : &good, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- framed: half a line is taken for a whole one when the stream ends ---- */

static void generous_eof(dw_protocol *p) {
    rig_conn *c = rig_conn_of(p);
    if (BUGGY && c->len > 0 && rig_byte(c, '\n')) {
        greet(p, c->line);
    }
    dw_transport_lose_connection(p->transport);
}

static void framed(dw_world *w) {
    static const dw_promises promises = {.framed = true, .message_len = line_len};
    static const dw_protocol_class cls = {.name = "generous",
                                          .data_received = good_data,
                                          .read_connection_lost = generous_eof,
                                          .destroy = rig_destroy};
    rig_serve(w, &cls, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- fresh_reconnect: one buffer for all connections ---- */

static rig_conn shared;

static void sharing_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = BUGGY ? &shared : rig_conn_of(p);
    for (size_t i = 0; i < len; i++) {
        if (rig_byte(c, (char)data[i])) {
            greet(p, c->line);
        }
    }
}

static void fresh_reconnect(dw_world *w) {
    static const dw_promises promises = {.fresh_reconnect = true};
    static const dw_protocol_class cls = {
        .name = "sharing", .data_received = sharing_data, .destroy = rig_destroy};
    memset(&shared, 0, sizeof(shared));
    rig_serve(w, &cls, &promises);
    rig_connect(two_requests, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

/* ---- duplicate_invariant: a counter over datagrams ---- */

static struct counter {
    dw_datagram_protocol base, client;
    unsigned count;
    char last[16];
} counter;

static void counter_received(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                             const dw_address *from) {
    bool again = len < sizeof(counter.last) && memcmp(counter.last, data, len) == 0;
    if (BUGGY || !again) {
        counter.count++;
    }
    memcpy(counter.last, data, len < sizeof(counter.last) ? len : 0);
    uint8_t answer = (uint8_t)('0' + counter.count % 10);
    dw_datagram_write(p->transport, &answer, 1, from);
}

static void *counter_boot(dw_reactor *reactor, void *user) {
    static const dw_promises promises = {.duplicate_invariant = true};
    static const dw_datagram_protocol_class cls = {
        .name = "counter", .datagram_received = counter_received, .promises = &promises};
    dw_datagram_protocol_init(&counter.base, &cls);
    return dw_reactor_listen_udp(reactor, RIG_PORT, &counter.base, NULL, 0, NULL) == 0 ? user
                                                                                       : NULL;
}

static void duplicate_invariant(dw_world *w) {
    static const dw_datagram_protocol_class cls = {.name = "client"};
    memset(&counter, 0, sizeof(counter));
    dw_host *server = dw_world_add_host(w, "server", counter_boot, &counter);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    dw_datagram_protocol_init(&counter.client, &cls);
    dw_address to = dw_host_address(server);
    to.port = RIG_PORT;
    if (dw_reactor_listen_udp(dw_host_reactor(client), 0, &counter.client, NULL, 0, NULL) != 0) {
        return;
    }
    for (int i = 0; i < 20 && dw_world_run(w, DW_SEC(1)); i++) {
        char request[] = {'r', (char)('a' + i)};
        dw_datagram_write(counter.client.transport, request, sizeof(request), &to);
    }
}

/* ---- memory_max: a line of any length is kept ---- */

static void hoarding_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    if (!BUGGY && c->more_len + len > RIG_LINE_MAX) {
        dw_transport_abort_connection(p->transport);
        return;
    }
    char *more = dw_resize(c->reactor, c->more, c->more_len + len);
    if (more == NULL) {
        dw_transport_abort_connection(p->transport);
        return;
    }
    memcpy(more + c->more_len, data, len);
    c->more = more;
    c->more_len += len;
}

static void memory_limit(dw_world *w) {
    static const dw_promises promises = {.memory_max = 2 * RIG_LINE_MAX};
    static const dw_protocol_class cls = {
        .name = "hoarding", .data_received = hoarding_data, .destroy = rig_destroy};
    static char many[100];
    static const char *const pieces[] = {many, many, many, many, many, many, many, NULL};
    memset(many, 'x', sizeof(many) - 1);
    rig_serve(w, &cls, &promises);
    rig_connect(pieces, DW_MSEC(100));
    dw_world_run(w, DW_SEC(2));
}

/* ---- message_deadline: who sends a byte now and then is never thrown out ---- */

static void deadline_over(void *user) {
    rig_conn *c = user;
    dw_transport_abort_connection(c->base.transport);
}

static void deadline_arm(dw_protocol *p) {
    rig_conn *c = rig_conn_of(p);
    dw_reactor_call_later(c->reactor, &c->call, DW_SEC(5), deadline_over, c);
}

static void deadline_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    for (size_t i = 0; i < len; i++) {
        if (rig_byte(c, (char)data[i])) {
            greet(p, c->line);
            deadline_arm(p);
        }
    }
    if (BUGGY) {
        deadline_arm(p); /* for any byte */
    }
}

static void deadline(dw_world *w) {
    static const dw_promises promises = {.message_deadline = DW_SEC(5), .message_len = line_len};
    static const dw_protocol_class cls = {.name = "lenient",
                                          .connection_made = deadline_arm,
                                          .data_received = deadline_data,
                                          .connection_lost = slow_lost,
                                          .destroy = rig_destroy};
    static const char *const drip[] = {"a\n", "b", "c", "d", "e", "f", "g", "h", "i", "j", NULL};
    rig_serve(w, &cls, &promises);
    rig_connect(drip, DW_SEC(1));
    dw_world_run(w, DW_SEC(15));
}

/* ---- attempts_per_second: connects again and again, without a pause ---- */

static struct eager {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_delayed_call again;
    dw_connector *connector;
    unsigned attempts;
} eager;

static dw_protocol *eager_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol_init(&eager.protocol, &rig_client_class);
    return &eager.protocol;
}

static void eager_again(void *user) {
    (void)user;
    dw_connector_connect(eager.connector);
}

static void eager_failed(dw_client_factory *factory, dw_connector *connector,
                         const dw_reason *reason) {
    (void)factory, (void)reason;
    dw_reactor *reactor = dw_connector_reactor(connector);
    if (++eager.attempts < 10 && dw_reactor_running(reactor)) {
        eager.connector = connector;
        dw_reactor_call_later(reactor, &eager.again, BUGGY ? DW_MSEC(1) : DW_MSEC(500), eager_again,
                              NULL);
    } else {
        dw_connector_release(eager.connector);
        eager.connector = NULL;
    }
}

static void eager_started(dw_client_factory *factory, dw_connector *connector) {
    (void)factory;
    if (eager.connector == NULL) {
        eager.connector = dw_connector_hold(connector);
    }
}

static void attempts(dw_world *w) {
    static const dw_promises promises = {.attempts_per_second = 3};
    static const dw_client_factory_class cls = {
        .base = {.name = "eager", .build_protocol = eager_build, .promises = &promises},
        .started_connecting = eager_started,
        .client_connection_failed = eager_failed};
    memset(&eager, 0, sizeof(eager));
    dw_world_add_host(w, "server", NULL, NULL);
    dw_host *client = dw_world_add_host(w, "client", NULL, NULL);
    dw_client_factory_init(&eager.factory, &cls);
    dw_reactor_connect_tcp(dw_host_reactor(client), "server", RIG_PORT, &eager.factory, 0, NULL,
                           NULL);
    dw_world_run(w, DW_MIN(10)); /* through all attempts, however slow */
}

/* ---- well_formed: an answer to an empty name has a line too many ---- */

static bool are_greetings(const uint8_t *output, size_t len) {
    static const char hello[] = "hello ";
    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof(hello) - 1 ? len - at : sizeof(hello) - 1;
        if (memcmp(output + at, hello, n) != 0) {
            return false;
        }
        size_t line = line_len(output + at, len - at);
        if (line == 0) {
            return true;
        }
        at += line;
    }
    return true;
}

static void careless_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_conn *c = rig_conn_of(p);
    for (size_t i = 0; i < len; i++) {
        if (rig_byte(c, (char)data[i])) {
            greet(p, BUGGY && c->line[0] == '\0' ? "nobody\n" : c->line);
        }
    }
}

static void well_formed(dw_world *w) {
    static const dw_promises promises = {.well_formed = are_greetings};
    static const dw_protocol_class cls = {
        .name = "careless", .data_received = careless_data, .destroy = rig_destroy};
    static const char *const pieces[] = {"ann\n", "\n", "bob\n", NULL};
    rig_serve(w, &cls, &promises);
    rig_connect(pieces, DW_MSEC(100));
    dw_world_run(w, DW_SEC(1));
}

DW_MAIN(CASE(segment_invariant, "segment-invariant"), CASE(window_invariant, "window-invariant"),
        CASE(pipeline_invariant, "pipeline-invariant"),
        CASE(replies_after_eof, "replies-after-eof"), CASE(framed, "framed"),
        CASE(fresh_reconnect, "fresh-reconnect"), CASE(duplicate_invariant, "duplicate-invariant"),
        CASE(memory_limit, "memory-limit"), CASE(deadline, "deadline"), CASE(attempts, "attempts"),
        CASE(well_formed, "well-formed"))
