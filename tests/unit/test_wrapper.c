/* SPDX-License-Identifier: MIT */
/*
 * Wrappers and wrapping factories on the library's own connections: what the wrapped protocol sees
 * must be what it would see without them (vectors/README.md, sections 3 and 4), however many there
 * are. Most tests run behind a stack of four policies.
 */
#include "../suite.h"
#include "policy_rig.h"

#include <drywire/idle_timeout.h>
#include <drywire/limits.h>
#include <drywire/throttling.h>
#include <drywire/traffic_log.h>

/* ---- A stack: traffic log, throttling, idle time-out, total limit, around the application ---- */

static dw_factory app;
static dw_limit_total_factory total;
static dw_idle_timeout_factory idle;
static dw_throttling_factory slow;
static dw_traffic_log_factory logged;
static dw_protocol_class app_class;

static void drop_line(void *user, const char *line) {
    (void)user, (void)line;
}

static dw_protocol *build_app(dw_factory *factory, const dw_address *peer) {
    dw_protocol *p = rig_build(factory, peer);
    if (p != NULL && p != DW_PROTOCOL_FAILED) {
        p->cls = &app_class;
    }
    return p;
}

static const dw_factory_class app_factory_class = {
    .name = "app", .build_protocol = build_app, .start = rig_start, .stop = rig_stop};

static dw_factory *open_stack(void) {
    dw_reactor *reactor = rig_open(&app);
    app_class = rig_app_class;
    dw_factory_init(&app, &app_factory_class);
    dw_limit_total_factory_init(&total, reactor, &app);
    dw_idle_timeout_factory_init(&idle, reactor, &total.base.base.base, DW_SEC(60));
    dw_throttling_factory_init(&slow, reactor, &idle.base.base.base);
    slow.read_limit = slow.write_limit = 1000000;
    dw_traffic_log_factory_init(&logged, reactor, &slow.base.base.base);
    logged.fn = drop_line;
    return &logged.base.base.base;
}

/* `rig` is set by whoever opens the factory, so it is read in here and not beside the argument. */
static dw_protocol *build_on(dw_factory *factory) {
    return dw_test_transport_build(rig, factory);
}

static dw_transport *connect_stack(void) {
    ck_assert_ptr_nonnull(build_on(open_stack()));
    rig_notes[0] = '\0';
    return rig_transport(0);
}

/* Does it in connection_made. */
static void (*do_in_made)(dw_transport *transport);

static void made_and_do(dw_protocol *p) {
    rig_made(p);
    do_in_made(p->transport);
}

/* ---- Callbacks and factories ---- */

START_TEST(a_whole_life_behind_four_policies) {
    ck_assert_ptr_nonnull(build_on(open_stack()));
    dw_test_transport_receive(rig, "hello", 5);
    dw_transport_write(rig_transport(0), "world", 5);
    struct iovec pieces[] = {{(void *)"!", 1}, {(void *)"\n", 1}};
    dw_transport_writev(rig_transport(0), pieces, 2);
    rig_advance(0);
    ck_assert_str_eq(dw_test_transport_written(rig, NULL), "world!\n");
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 1);
    dw_transport_lose_connection(rig_transport(0));
    ck_assert(dw_transport_disconnecting(rig_transport(0)));
    rig_expect("start0 build0 made0 data0:5");
    rig_advance(0);
    rig_expect("lost0 stop0");
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_CONNECTION_DONE);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 0);
    ck_assert_uint_eq(dw_wrapping_factory_count(&logged.base), 0);
    rig_close();
}
END_TEST

START_TEST(starts_and_stops_are_forwarded_and_the_wrapped_factory_counts_itself) {
    dw_wrapping_factory plain;
    dw_wrapping_factory_init(&plain, &dw_wrapping_factory_plain, rig_open(&app), &app);
    dw_factory_do_start(&plain.base.base);
    dw_factory_do_start(&app); /* a port of its own beside */
    dw_factory_do_start(&plain.base.base);
    rig_expect("start0");
    dw_factory_do_stop(&plain.base.base);
    dw_factory_do_stop(&plain.base.base);
    rig_expect("");
    dw_factory_do_stop(&app);
    rig_expect("stop0");
    dw_factory_do_stop(&plain.base.base); /* one too many is forgiven */
    rig_expect("");
    rig_close();
}
END_TEST

START_TEST(protocols_know_the_factory_that_built_them) {
    connect_stack();
    ck_assert_ptr_eq(rig_apps[0]->factory, &app);
    dw_protocol_wrapper *w = dw_protocol_wrapper_find(rig_transport(0), total.base.cls->wrapper);
    ck_assert_ptr_nonnull(w);
    ck_assert_ptr_eq(w->base.factory, &total.base.base.base);
    ck_assert_ptr_eq(w->wrapped, rig_apps[0]);
    ck_assert_ptr_null(dw_protocol_wrapper_find(rig_transport(0), &rig_below_class));
    ck_assert_ptr_null(dw_protocol_wrapper_find(NULL, &rig_below_class));
    ck_assert_str_eq(dw_protocol_log_prefix(&w->base), "app");
    rig_close();
}
END_TEST

static const char *prefix(dw_protocol *p) {
    (void)p;
    return "me";
}

START_TEST(the_log_prefix_comes_through) {
    dw_factory *factory = open_stack();
    app_class.log_prefix = prefix;
    dw_address peer = {.kind = DW_ADDRESS_IPV4};
    dw_protocol *outer = factory->cls->build_protocol(factory, &peer);
    ck_assert_str_eq(dw_protocol_log_prefix(outer), "me");
    ck_assert_str_eq(outer->cls->name, "app");
    outer->cls->destroy(outer); /* never connected: all goes, all counts go back */
    ck_assert_uint_eq(dw_wrapping_factory_count(&slow.base), 0);
    rig_close();
}
END_TEST

/* ---- Facts ---- */

START_TEST(addresses_and_options_come_through) {
    dw_transport *transport = connect_stack();
    dw_protocol_wrapper *w = dw_protocol_wrapper_find(transport, logged.base.cls->wrapper);
    dw_transport *real = w->base.transport;
    dw_address a = dw_transport_peer(transport), b = dw_transport_peer(real);
    ck_assert(dw_address_equal(&a, &b) && a.kind != DW_ADDRESS_NONE);
    a = dw_transport_host(transport);
    b = dw_transport_host(real);
    ck_assert(dw_address_equal(&a, &b) && a.kind != DW_ADDRESS_NONE);
    ck_assert_int_eq(dw_transport_set_no_delay(transport, true), 0);
    ck_assert(dw_transport_get_no_delay(transport) && dw_transport_get_no_delay(real));
    ck_assert_int_eq(dw_transport_set_keep_alive(transport, true), 0);
    ck_assert(dw_transport_get_keep_alive(transport) && dw_transport_get_keep_alive(real));
    ck_assert_ptr_eq(dw_transport_reactor(transport), dw_test_transport_reactor(rig));
    rig_close();
}
END_TEST

START_TEST(flags_and_the_buffer_come_through) {
    dw_transport *transport = connect_stack();
    dw_test_transport_set_room(rig, 2);
    ck_assert(dw_transport_connected(transport) && !dw_transport_disconnected(transport));
    ck_assert(!dw_transport_disconnecting(transport));
    dw_transport_write(transport, "12345", 5);
    ck_assert_uint_eq(dw_transport_buffered(transport), 5);
    rig_advance(0);
    ck_assert_uint_eq(dw_transport_buffered(transport), 3);
    ck_assert_int_eq(dw_transport_set_write_limits(transport, 5, 4), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_transport_set_write_limits(transport, 1, 4), 0);
    dw_transport_lose_connection(transport);
    ck_assert(dw_transport_disconnecting(transport));
    rig_close();
}
END_TEST

static dw_transport *kept;

static void look_in_lost(dw_protocol *p, const dw_reason *reason) {
    ck_assert_uint_ne(dw_transport_peer(p->transport).kind, DW_ADDRESS_NONE);
    ck_assert_uint_ne(dw_transport_host(p->transport).kind, DW_ADDRESS_NONE);
    ck_assert(dw_transport_disconnected(p->transport));
    ck_assert(!dw_transport_connected(p->transport));
    ck_assert(!p->connected);
    dw_transport_write(p->transport, "late", 4);
    dw_transport_abort_connection(p->transport);
    dw_transport_lose_write_connection(p->transport);
    dw_transport_fail(p->transport, reason);
    kept = p->transport;
    rig_lost(p, reason);
}

START_TEST(inside_connection_lost_addresses_are_there_and_verbs_are_harmless) {
    connect_stack();
    app_class.connection_lost = look_in_lost;
    dw_test_transport_lose(rig, ECONNRESET);
    rig_expect("lost0 stop0");
    ck_assert_ptr_nonnull(kept);
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_CONNECTION_LOST);
    rig_close();
}
END_TEST

/* ---- Closing ---- */

START_TEST(abort_resets_and_drops_what_is_buffered) {
    dw_transport *transport = connect_stack();
    dw_transport_write(transport, "dropped", 7);
    dw_transport_abort_connection(transport);
    rig_expect("");
    rig_advance(0);
    rig_expect("lost0 stop0");
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_CONNECTION_ABORTED);
    ck_assert(dw_test_transport_sent_reset(rig));
    ck_assert_str_eq(dw_test_transport_written(rig, NULL), "");
    rig_close();
}
END_TEST

static void fail_it(dw_transport *transport) {
    static const dw_reason reason = {DW_APP_ERROR, 0, "bad"};
    dw_transport_fail(transport, &reason);
}

static void fail_on_data(dw_protocol *p, const uint8_t *data, size_t len) {
    rig_data(p, data, len);
    fail_it(p->transport);
}

START_TEST(fail_ends_the_connection_with_the_reason) {
    connect_stack();
    app_class.data_received = fail_on_data;
    dw_test_transport_receive(rig, "x", 1);
    rig_expect("data0:1 lost0 stop0");
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_APP_ERROR);
    rig_close();
}
END_TEST

/* vectors/README.md, section 4: 9. */
START_TEST(fail_inside_a_servers_connection_made_is_only_logged) {
    dw_factory *factory = open_stack();
    do_in_made = fail_it;
    app_class.connection_made = made_and_do;
    dw_reactor_set_log(dw_test_transport_reactor(rig), drop_line, NULL);
    ck_assert_ptr_nonnull(dw_test_transport_build(rig, factory));
    dw_test_transport_receive(rig, "x", 1);
    rig_expect("start0 build0 made0 data0:1");
    rig_close();
}
END_TEST

START_TEST(a_connection_lost_inside_connection_made_is_reported_later_and_once) {
    dw_factory *factory = open_stack();
    do_in_made = dw_transport_lose_connection;
    app_class.connection_made = made_and_do;
    dw_test_transport_build(rig, factory);
    rig_expect("start0 build0 made0 lost0 stop0");
    rig_close();
}
END_TEST

START_TEST(stop_producing_is_lose_connection) {
    dw_transport *transport = connect_stack();
    dw_transport_stop_producing(transport);
    rig_advance(0);
    rig_expect("lost0 stop0");
    rig_close();
}
END_TEST

/* ---- Half close ---- */

static void read_lost(dw_protocol *p) {
    rig_note("read-lost", rig_number(p), -1);
}

static void write_lost(dw_protocol *p) {
    rig_note("write-lost", rig_number(p), -1);
}

static dw_factory *open_aware(void) {
    dw_factory *factory = open_stack();
    app_class.read_connection_lost = read_lost;
    app_class.write_connection_lost = write_lost;
    return factory;
}

START_TEST(an_unaware_protocol_is_lost_at_the_peers_end_of_stream) {
    connect_stack();
    dw_test_transport_half_close(rig);
    rig_expect("lost0 stop0");
    rig_close();
}
END_TEST

START_TEST(an_aware_protocol_is_told_of_both_half_closes) {
    ck_assert_ptr_nonnull(build_on(open_aware()));
    dw_test_transport_half_close(rig);
    dw_transport_write(rig_transport(0), "still", 5);
    dw_transport_lose_write_connection(rig_transport(0));
    rig_advance(0);
    rig_expect("start0 build0 made0 read-lost0 write-lost0");
    ck_assert(dw_test_transport_sent_fin(rig));
    ck_assert_str_eq(dw_test_transport_written(rig, NULL), "still");
    /* After a finished half close it comes inside the call (section 4: 3); so the wrappers go while
     * their verb is still on the stack. */
    dw_transport_lose_connection(rig_transport(0));
    rig_expect("lost0");
    rig_advance(0);
    rig_expect("stop0");
    rig_close();
}
END_TEST

START_TEST(an_idle_time_out_may_end_a_half_closed_connection_inside_its_call) {
    ck_assert_ptr_nonnull(build_on(open_aware()));
    dw_transport_lose_write_connection(rig_transport(0));
    rig_advance(DW_SEC(61));
    rig_expect("start0 build0 made0 write-lost0 lost0 stop0");
    rig_close();
}
END_TEST

/* ---- Producers ---- */

static void note_pause(dw_producer *p) {
    (void)p;
    rig_note("pause", 0, -1);
}

static void note_resume(dw_producer *p) {
    (void)p;
    rig_note("resume", 0, -1);
}

static void note_stop(dw_producer *p) {
    (void)p;
    rig_note("p-stop", 0, -1);
}

static const dw_producer_class push_class = {"push", note_pause, note_resume, note_stop};

static void write_piece(dw_producer *p) {
    note_resume(p);
    dw_transport_write(rig_transport(0), "piece", 5);
}

static const dw_producer_class pull_class = {"pull", NULL, write_piece, note_stop};

START_TEST(a_push_producer_is_paused_over_the_mark_and_resumed_at_empty) {
    dw_producer push = {&push_class};
    dw_transport *transport = connect_stack();
    dw_test_transport_set_room(rig, 0);
    ck_assert_int_eq(dw_transport_set_write_limits(transport, 0, 4), 0);
    ck_assert_int_eq(dw_transport_register_producer(transport, &push, true), 0);
    ck_assert_int_eq(dw_transport_register_producer(transport, &push, true),
                     DW_PRODUCER_REGISTERED);
    dw_transport_write(transport, "1234", 4);
    rig_expect("");
    dw_transport_write(transport, "5", 1);
    rig_expect("pause0");
    dw_test_transport_set_room(rig, 100);
    rig_expect("resume0");
    dw_transport_unregister_producer(transport);
    dw_transport_unregister_producer(transport);
    rig_close();
    rig_notes[0] = '\0';
}
END_TEST

START_TEST(a_pull_producer_is_asked_inside_register_and_at_each_empty_buffer) {
    dw_producer pull = {&pull_class};
    dw_transport *transport = connect_stack();
    dw_test_transport_set_room(rig, 12);
    ck_assert_int_eq(dw_transport_register_producer(transport, &pull, false), 0);
    rig_expect("resume0");
    rig_advance(0);
    rig_expect("resume0 resume0"); /* 5, 10, and the third does not fit */
    dw_test_transport_lose(rig, ECONNRESET);
    rig_expect("p-stop0 lost0 stop0");
    rig_close();
}
END_TEST

START_TEST(a_producer_on_a_lost_connection_is_stopped_at_once) {
    dw_producer push = {&push_class};
    dw_address peer = {.kind = DW_ADDRESS_IPV4};
    dw_factory *factory = open_stack();
    dw_protocol *outer = factory->cls->build_protocol(factory, &peer);
    dw_protocol_wrapper *w = (dw_protocol_wrapper *)(void *)outer;
    ck_assert_int_eq(dw_transport_register_producer(dw_protocol_wrapper_transport(w), &push, true),
                     0);
    rig_expect("build0 p-stop0");
    outer->cls->destroy(outer);
    rig_close();
}
END_TEST

/* ---- Answers of build_protocol; memory ---- */

static dw_protocol *answer;

static dw_protocol *build_answer(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    return answer;
}

START_TEST(what_the_wrapped_factory_refuses_is_refused) {
    static const dw_factory_class refusing = {.name = "no", .build_protocol = build_answer};
    dw_address peer = {.kind = DW_ADDRESS_IPV4};
    dw_factory *factory = open_stack();
    dw_factory_init(&app, &refusing);
    answer = NULL;
    ck_assert_ptr_null(factory->cls->build_protocol(factory, &peer));
    answer = DW_PROTOCOL_FAILED;
    ck_assert_ptr_eq(factory->cls->build_protocol(factory, &peer), DW_PROTOCOL_FAILED);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 0);
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
    rig_close();
}
END_TEST

/* Four wrappers and the protocol. */
START_TEST(each_allocation_may_fail_and_nothing_stays_behind) {
    for (unsigned n = 1; n <= 5; n++) {
        dw_factory *factory = open_stack();
        dw_test_transport_fail_alloc(rig, n, false);
        rig_connect(factory);
        rig_expect("failed0");
        ck_assert_uint_eq(dw_wrapping_factory_count(&logged.base), 0);
        ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(rig)).delayed_calls, 0);
        rig_connect(factory);
        rig_expect("build1 made1");
        rig_close();
    }
}
END_TEST

START_TEST(a_write_without_memory_ends_the_connection_with_no_memory) {
    connect_stack();
    dw_test_transport_set_room(rig, 0);
    dw_test_transport_fail_alloc(rig, 1, true);
    dw_transport_write(rig_transport(0), "x", 1);
    rig_advance(0);
    rig_expect("lost0 stop0");
    ck_assert_int_eq(dw_test_transport_reason(rig), DW_NO_MEMORY);
    dw_test_transport_fail_alloc(rig, 0, false);
    rig_close();
}
END_TEST

START_TEST(a_reactor_that_stops_ends_all_of_it) {
    connect_stack();
    dw_reactor_stop(dw_test_transport_reactor(rig));
    dw_test_transport_free(
        rig); /* shuts down: connection_lost, stop; then all memory must be back */
    ck_assert_ptr_nonnull(strstr(rig_notes, "lost0"));
    ck_assert_ptr_null(rig_apps[0]);
    ck_assert_uint_eq(dw_wrapping_factory_count(&total.base), 0);
}
END_TEST

/* ---- Wrappers of the user's own ---- */

static int build_error;

static int built(dw_wrapping_factory *factory, dw_protocol_wrapper *w, const dw_address *peer) {
    (void)factory, (void)w, (void)peer;
    rig_note("built", rig_next, -1);
    return build_error;
}

static void ended(dw_wrapping_factory *factory, dw_protocol_wrapper *w) {
    rig_note("ended", (int)dw_wrapping_factory_count(factory), -1);
    (void)w;
}

static void destroyed(dw_protocol_wrapper *w) {
    (void)w;
    rig_note("destroyed", 0, -1);
}

static dw_address fixed(const dw_protocol_wrapper *w) {
    (void)w;
    return (dw_address){.kind = DW_ADDRESS_IPV4, .port = 7, .ip = {1, 2, 3, 4}};
}

static dw_address fixed_host(dw_protocol_wrapper *w) {
    dw_address address = fixed(w);
    address.port = 8;
    return address;
}

static const dw_protocol_wrapper_class own_wrapper = {
    .peer = fixed, .host = fixed_host, .destroy = destroyed};
static const dw_wrapping_factory_class own_class = {.name = "own",
                                                    .wrapper = &own_wrapper,
                                                    .wrapper_size = sizeof(dw_protocol_wrapper),
                                                    .built = built,
                                                    .ended = ended};

START_TEST(a_policy_may_know_the_addresses_better) {
    dw_wrapping_factory own;
    dw_wrapping_factory_init(&own, &own_class, rig_open(&app), &app);
    build_error = 0;
    rig_connect(&own.base.base);
    ck_assert_uint_eq(dw_transport_peer(rig_transport(0)).port, 7);
    ck_assert_uint_eq(dw_transport_host(rig_transport(0)).port, 8);
    rig_end(0);
    rig_expect("build0 built0 made0 ended0 lost0 destroyed0");
    rig_close();
}
END_TEST

START_TEST(a_policy_whose_built_fails_fails_the_connection) {
    dw_wrapping_factory own;
    dw_wrapping_factory_init(&own, &own_class, rig_open(&app), &app);
    build_error = DW_NO_MEMORY;
    rig_connect(&own.base.base);
    rig_expect("build0 built0 ended0 destroyed0 failed0");
    rig_close();
}
END_TEST

START_TEST(a_wrapper_without_a_factory_in_the_users_memory) {
    dw_protocol_wrapper w;
    static dw_protocol_class in_place;
    struct rig_app inner = {.number = 0};
    rig_open(&app);
    in_place = rig_app_class;
    in_place.destroy = NULL;
    dw_protocol_init(&inner.base, &in_place);
    dw_protocol_wrapper_init(&w, &own_wrapper, &inner.base);
    dw_test_transport_connect(rig, &w.base);
    ck_assert_ptr_eq(dw_transport_reactor(inner.base.transport), dw_test_transport_reactor(rig));
    dw_test_transport_receive(rig, "ab", 2);
    dw_test_transport_lose(rig, 0);
    rig_expect("made0 data0:2 lost0 destroyed0");
    ck_assert_ptr_null(inner.base.transport);
    rig_close();
}
END_TEST

/* ---- Around client factories ---- */

static void client_started(dw_client_factory *factory, dw_connector *connector) {
    (void)factory, (void)connector;
    rig_note("connecting", 0, -1);
}

static void client_failed(dw_client_factory *factory, dw_connector *connector,
                          const dw_reason *reason) {
    (void)factory, (void)connector;
    rig_note("failed", -(int)reason->kind, -1);
}

static void client_lost(dw_client_factory *factory, dw_connector *connector,
                        const dw_reason *reason) {
    (void)factory, (void)connector;
    rig_note("ended", -(int)reason->kind, -1);
}

static const dw_client_factory_class *class_of(const dw_wrapping_factory *factory) {
    return DW_CONTAINER_OF(factory->base.base.cls, const dw_client_factory_class, base);
}

START_TEST(client_callbacks_are_forwarded_through_a_stack) {
    static const dw_client_factory_class client_class = {
        .base = {.name = "client", .build_protocol = rig_build},
        .started_connecting = client_started,
        .client_connection_failed = client_failed,
        .client_connection_lost = client_lost,
    };
    dw_client_factory client;
    dw_reason reason = {DW_TIMEOUT, 0, NULL};
    dw_reactor *reactor = rig_open(&app);
    dw_client_factory_init(&client, &client_class);
    dw_limit_total_factory_init_client(&total, reactor, &client);
    dw_idle_timeout_factory_init_client(&idle, reactor, &total.base.base, DW_SEC(1));
    dw_throttling_factory_init_client(&slow, reactor, &idle.base.base);
    dw_traffic_log_factory_init_client(&logged, reactor, &slow.base.base);
    const dw_client_factory_class *cls = class_of(&logged.base);
    cls->started_connecting(&logged.base.base, NULL);
    cls->client_connection_failed(&logged.base.base, NULL, &reason);
    cls->client_connection_lost(&logged.base.base, NULL, &reason);
    rig_expect("connecting0 failed12 ended12");
    rig_close();
}
END_TEST

START_TEST(callbacks_that_a_client_factory_lacks_stay_empty) {
    static const dw_client_factory_class bare = {
        .base = {.name = "client", .build_protocol = rig_build}};
    dw_client_factory client;
    dw_wrapping_factory plain;
    dw_client_factory_init(&client, &bare);
    dw_wrapping_factory_init_client(&plain, &dw_wrapping_factory_plain, rig_open(&app), &client);
    ck_assert(class_of(&plain)->started_connecting == NULL);
    ck_assert(class_of(&plain)->client_connection_failed == NULL);
    ck_assert(class_of(&plain)->client_connection_lost == NULL);
    rig_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("wrapper");
    TCase *tc = tcase_create("wrapper");
    tcase_add_test(tc, a_whole_life_behind_four_policies);
    tcase_add_test(tc, starts_and_stops_are_forwarded_and_the_wrapped_factory_counts_itself);
    tcase_add_test(tc, protocols_know_the_factory_that_built_them);
    tcase_add_test(tc, the_log_prefix_comes_through);
    tcase_add_test(tc, addresses_and_options_come_through);
    tcase_add_test(tc, flags_and_the_buffer_come_through);
    tcase_add_test(tc, inside_connection_lost_addresses_are_there_and_verbs_are_harmless);
    tcase_add_test(tc, abort_resets_and_drops_what_is_buffered);
    tcase_add_test(tc, fail_ends_the_connection_with_the_reason);
    tcase_add_test(tc, fail_inside_a_servers_connection_made_is_only_logged);
    tcase_add_test(tc, a_connection_lost_inside_connection_made_is_reported_later_and_once);
    tcase_add_test(tc, stop_producing_is_lose_connection);
    tcase_add_test(tc, an_unaware_protocol_is_lost_at_the_peers_end_of_stream);
    tcase_add_test(tc, an_aware_protocol_is_told_of_both_half_closes);
    tcase_add_test(tc, an_idle_time_out_may_end_a_half_closed_connection_inside_its_call);
    tcase_add_test(tc, a_push_producer_is_paused_over_the_mark_and_resumed_at_empty);
    tcase_add_test(tc, a_pull_producer_is_asked_inside_register_and_at_each_empty_buffer);
    tcase_add_test(tc, a_producer_on_a_lost_connection_is_stopped_at_once);
    tcase_add_test(tc, what_the_wrapped_factory_refuses_is_refused);
    tcase_add_test(tc, each_allocation_may_fail_and_nothing_stays_behind);
    tcase_add_test(tc, a_write_without_memory_ends_the_connection_with_no_memory);
    tcase_add_test(tc, a_reactor_that_stops_ends_all_of_it);
    tcase_add_test(tc, a_policy_may_know_the_addresses_better);
    tcase_add_test(tc, a_policy_whose_built_fails_fails_the_connection);
    tcase_add_test(tc, a_wrapper_without_a_factory_in_the_users_memory);
    tcase_add_test(tc, client_callbacks_are_forwarded_through_a_stack);
    tcase_add_test(tc, callbacks_that_a_client_factory_lacks_stay_empty);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
