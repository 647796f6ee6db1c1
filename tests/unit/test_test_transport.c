/* SPDX-License-Identifier: MIT */
/*
 * dw_test_transport: every function of its header, each by a protocol that notes what it is told.
 * What is expected of the connection itself is in vectors/README.md, sections 3 and 4.
 */
#include "../suite.h"

#include <check.h>
#include <drywire/sim.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Notes each callback as one word, and obeys one-letter commands in the data. */
struct noter {
    dw_protocol base;
    dw_reactor *reactor;
    char notes[512];
    dw_delayed_call call;
    dw_time ran_at[4];
    unsigned ran;
    size_t received, pieces;
    dw_factory *seen_factory;
    bool destroyed;
};

static dw_test_transport *t;
static struct noter noter;

static void note(struct noter *n, const char *word) {
    size_t len = strlen(n->notes);
    snprintf(n->notes + len, sizeof(n->notes) - len, "%s%s", len > 0 ? " " : "", word);
}

static void ran(void *user) {
    struct noter *n = user;
    if (n->ran < 4) {
        n->ran_at[n->ran] = dw_reactor_now(n->reactor);
    }
    n->ran++;
    note(n, "ran");
}

static void again(void *user) {
    struct noter *n = user;
    n->ran_at[n->ran++ % 4] = dw_reactor_now(n->reactor);
    dw_reactor_call_later(n->reactor, &n->call, DW_SEC(10), again, n);
}

static void spin(void *user) {
    struct noter *n = user;
    dw_reactor_call_later(n->reactor, &n->call, 0, spin, n);
}

static void noter_made(dw_protocol *p) {
    struct noter *n = (struct noter *)p;
    n->seen_factory = p->factory;
    note(n, "made");
}

static void obey(struct noter *n, char command) {
    dw_transport *transport = n->base.transport;
    switch (command) {
    case 'l':
        dw_transport_lose_connection(transport);
        break;
    case 'a':
        dw_transport_abort_connection(transport);
        break;
    case 'f':
        dw_transport_fail(transport, &(dw_reason){.kind = DW_APP_ERROR, .text = "asked for"});
        break;
    case 'p':
        dw_transport_pause_producing(transport);
        break;
    case 't':
        dw_reactor_call_later(n->reactor, &n->call, DW_SEC(10), ran, n);
        break;
    case 'e':
        dw_reactor_call_later(n->reactor, &n->call, DW_SEC(10), again, n);
        break;
    case 's':
        dw_reactor_call_later(n->reactor, &n->call, 0, spin, n);
        break;
    default:
        break;
    }
}

static void noter_received(dw_protocol *p, const uint8_t *data, size_t len) {
    struct noter *n = (struct noter *)p;
    n->received += len;
    n->pieces++;
    dw_transport_write(p->transport, data, len);
    obey(n, (char)data[0]);
}

static void noter_lost(dw_protocol *p, const dw_reason *reason) {
    struct noter *n = (struct noter *)p;
    note(n, "lost");
    note(n, dw_error_name((int)reason->kind));
}

static void noter_destroy(dw_protocol *p) {
    ((struct noter *)p)->destroyed = true;
}

static void noter_read_lost(dw_protocol *p) {
    note((struct noter *)p, "read-lost");
}

static const dw_protocol_class noter_class = {
    .name = "noter",
    .connection_made = noter_made,
    .data_received = noter_received,
    .connection_lost = noter_lost,
    .destroy = noter_destroy,
};

static const dw_protocol_class aware_class = {
    .name = "aware",
    .connection_made = noter_made,
    .data_received = noter_received,
    .connection_lost = noter_lost,
    .read_connection_lost = noter_read_lost,
    .destroy = noter_destroy,
};

struct counted_factory {
    dw_factory base;
    unsigned starts, stops;
    dw_protocol *answer;
    dw_address peer;
};

static dw_protocol *counted_build(dw_factory *factory, const dw_address *peer) {
    struct counted_factory *f = (struct counted_factory *)factory;
    f->peer = *peer;
    return f->answer;
}

static void counted_start(dw_factory *factory) {
    ((struct counted_factory *)factory)->starts++;
}

static void counted_stop(dw_factory *factory) {
    ((struct counted_factory *)factory)->stops++;
}

static const dw_factory_class counted_class = {
    .name = "counted",
    .build_protocol = counted_build,
    .start = counted_start,
    .stop = counted_stop,
};

static void noter_init(const dw_protocol_class *cls) {
    memset(&noter, 0, sizeof(noter));
    dw_protocol_init(&noter.base, cls);
    noter.reactor = dw_test_transport_reactor(t);
}

static void set_up(void) {
    t = dw_test_transport_new();
    ck_assert_ptr_nonnull(t);
    noter_init(&noter_class);
}

static void tear_down(void) {
    dw_test_transport_free(t);
    t = NULL;
}

static void connect_noter(void) {
    dw_test_transport_connect(t, &noter.base);
}

static void receive(const char *text) {
    dw_test_transport_receive(t, text, strlen(text));
}

/* ---- Connecting ---- */

START_TEST(reactor_runs_from_the_start_at_time_0) {
    dw_reactor *reactor = dw_test_transport_reactor(t);
    ck_assert(dw_reactor_running(reactor));
    ck_assert_int_eq(dw_reactor_now(reactor), 0);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 0);
}
END_TEST

START_TEST(connect_calls_connection_made_before_it_returns) {
    ck_assert(!dw_test_transport_connected(t));
    connect_noter();
    ck_assert_str_eq(noter.notes, "made");
    ck_assert(dw_test_transport_connected(t));
    ck_assert_int_eq(dw_test_transport_reason(t), DW_OK);
}
END_TEST

START_TEST(connect_leaves_no_port_and_keeps_the_protocols_factory) {
    struct counted_factory factory;
    memset(&factory, 0, sizeof(factory));
    noter.base.factory = &factory.base;
    connect_noter();
    ck_assert_ptr_eq(noter.seen_factory, &factory.base);
    ck_assert_uint_eq(dw_reactor_count(noter.reactor).ports, 0);
    ck_assert_uint_eq(dw_reactor_count(noter.reactor).connections, 1);
}
END_TEST

START_TEST(build_asks_the_factory_and_shows_it_to_the_protocol) {
    struct counted_factory factory = {.answer = &noter.base};
    dw_factory_init(&factory.base, &counted_class);
    ck_assert_ptr_eq(dw_test_transport_build(t, &factory.base), &noter.base);
    ck_assert_ptr_eq(noter.seen_factory, &factory.base);
    ck_assert_int_eq(factory.peer.kind, DW_ADDRESS_IPV4);
    ck_assert_uint_eq(factory.starts, 1);
    ck_assert_uint_eq(factory.stops, 0);
    dw_test_transport_lose(t, 0);
    ck_assert_uint_eq(factory.stops, 1);
}
END_TEST

/* As a server does that frees itself. */
static unsigned stops_after_shutdown;

static void after_shutdown(void *user) {
    stops_after_shutdown = ((struct counted_factory *)user)->stops;
    memset(user, 0, sizeof(struct counted_factory));
}

START_TEST(free_is_done_with_the_factory_before_after_shutdown) {
    struct counted_factory factory = {.answer = &noter.base};
    dw_trigger trigger = {0};
    dw_factory_init(&factory.base, &counted_class);
    dw_reactor_add_trigger(noter.reactor, &trigger, DW_AFTER_SHUTDOWN, after_shutdown, &factory);
    dw_test_transport_build(t, &factory.base);
    dw_test_transport_free(t);
    t = NULL;
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_LOST");
    ck_assert_uint_eq(stops_after_shutdown, 1);
}
END_TEST

START_TEST(build_answers_null_when_refused) {
    struct counted_factory factory = {.answer = NULL};
    dw_factory_init(&factory.base, &counted_class);
    ck_assert_ptr_null(dw_test_transport_build(t, &factory.base));
    ck_assert(!dw_test_transport_connected(t));
    ck_assert_uint_eq(factory.starts, 1);
    ck_assert_uint_eq(factory.stops, 1);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 0);
}
END_TEST

START_TEST(build_answers_null_when_building_failed) {
    struct counted_factory factory = {.answer = DW_PROTOCOL_FAILED};
    dw_factory_init(&factory.base, &counted_class);
    ck_assert_ptr_null(dw_test_transport_build(t, &factory.base));
    ck_assert_uint_eq(factory.stops, 1);
}
END_TEST

START_TEST(a_second_protocol_may_follow_the_first) {
    connect_noter();
    receive("x");
    dw_test_transport_lose(t, ECONNRESET);
    noter_init(&noter_class);
    connect_noter();
    ck_assert_str_eq(noter.notes, "made");
    ck_assert_int_eq(dw_test_transport_reason(t), DW_OK);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "");
}
END_TEST

START_TEST(two_protocols_at_once_break_the_contract) {
    connect_noter();
    connect_noter();
}
END_TEST

START_TEST(addresses_are_of_the_documentation_net) {
    connect_noter();
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address peer = dw_transport_peer(noter.base.transport);
    dw_address host = dw_transport_host(noter.base.transport);
    ck_assert_str_eq(dw_address_format_host(&peer, text, sizeof(text)), "192.0.2.2");
    ck_assert_str_eq(dw_address_format_host(&host, text, sizeof(text)), "192.0.2.1");
}
END_TEST

/* ---- Data ---- */

START_TEST(receive_is_one_piece_and_the_answer_is_there) {
    connect_noter();
    receive("hello");
    size_t len = 0;
    ck_assert_str_eq(dw_test_transport_written(t, &len), "hello");
    ck_assert_uint_eq(len, 5);
    ck_assert_uint_eq(noter.pieces, 1);
}
END_TEST

START_TEST(receive_cut_gives_pieces) {
    connect_noter();
    dw_test_transport_receive_cut(t, "heyyo", 5, 2);
    ck_assert_uint_eq(noter.pieces, 3);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "heyyo");
}
END_TEST

START_TEST(a_long_receive_comes_in_pieces_of_65536) {
    static char block[150000];
    memset(block, 'x', sizeof(block));
    connect_noter();
    dw_test_transport_receive(t, block, sizeof(block));
    size_t len = 0;
    dw_test_transport_written(t, &len);
    ck_assert_uint_eq(noter.pieces, 3); /* 65536 + 65536 + 18928 */
    ck_assert_uint_eq(len, sizeof(block));
}
END_TEST

START_TEST(written_keeps_zero_bytes_and_clear_forgets) {
    connect_noter();
    dw_test_transport_receive(t, "x\0y", 3);
    size_t len = 0;
    ck_assert_mem_eq(dw_test_transport_written(t, &len), "x\0y", 4);
    ck_assert_uint_eq(len, 3);
    dw_test_transport_clear(t);
    ck_assert_str_eq(dw_test_transport_written(t, &len), "");
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(bytes_wait_while_paused_and_arrive_joined) {
    connect_noter();
    receive("p");
    ck_assert(dw_test_transport_paused(t));
    receive("x");
    receive("y");
    ck_assert_uint_eq(noter.pieces, 1);
    dw_transport_resume_producing(noter.base.transport);
    ck_assert(!dw_test_transport_paused(t));
    dw_test_transport_advance(t, 0);
    ck_assert_uint_eq(noter.pieces, 2);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "pxy");
}
END_TEST

START_TEST(bytes_after_the_end_go_nowhere) {
    receive("before");
    connect_noter();
    dw_test_transport_lose(t, 0);
    receive("after");
    ck_assert_uint_eq(noter.received, 0);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "");
}
END_TEST

/* ---- Back-pressure ---- */

START_TEST(without_room_bytes_stay_in_the_buffer) {
    connect_noter();
    dw_test_transport_set_room(t, 3);
    receive("hello");
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "hel");
    ck_assert_uint_eq(dw_transport_buffered(noter.base.transport), 2);
    dw_test_transport_set_room(t, 1);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "hell");
    dw_test_transport_set_room(t, SIZE_MAX);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "hello");
    ck_assert_uint_eq(dw_transport_buffered(noter.base.transport), 0);
}
END_TEST

START_TEST(lose_connection_waits_for_room) {
    connect_noter();
    dw_test_transport_set_room(t, 0);
    receive("lx");
    ck_assert(dw_test_transport_connected(t));
    ck_assert(!dw_test_transport_sent_fin(t));
    dw_test_transport_set_room(t, 100);
    ck_assert(!dw_test_transport_connected(t));
    ck_assert(dw_test_transport_sent_fin(t));
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "lx");
}
END_TEST

/* ---- Time ---- */

START_TEST(advance_runs_a_call_at_its_own_time) {
    connect_noter();
    receive("t");
    dw_test_transport_advance(t, DW_SEC(10) - 1);
    ck_assert_uint_eq(noter.ran, 0);
    dw_test_transport_advance(t, DW_SEC(5));
    ck_assert_uint_eq(noter.ran, 1);
    ck_assert_int_eq(noter.ran_at[0], DW_SEC(10));
    ck_assert_int_eq(dw_reactor_now(noter.reactor), DW_SEC(15) - 1);
}
END_TEST

START_TEST(advance_runs_calls_armed_on_the_way) {
    connect_noter();
    receive("e");
    dw_test_transport_advance(t, DW_SEC(35));
    ck_assert_uint_eq(noter.ran, 3);
    ck_assert_int_eq(noter.ran_at[0], DW_SEC(10));
    ck_assert_int_eq(noter.ran_at[1], DW_SEC(20));
    ck_assert_int_eq(noter.ran_at[2], DW_SEC(30));
    ck_assert_int_eq(dw_reactor_now(noter.reactor), DW_SEC(35));
    dw_delayed_call_cancel(&noter.call);
}
END_TEST

START_TEST(a_call_that_re_arms_without_delay_is_a_livelock) {
    connect_noter();
    receive("s");
}
END_TEST

START_TEST(time_does_not_go_back) {
    dw_test_transport_advance(t, -1);
}
END_TEST

/* ---- Ends ---- */

START_TEST(lose_is_connection_done) {
    connect_noter();
    dw_test_transport_lose(t, 0);
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_DONE");
    ck_assert_int_eq(dw_test_transport_reason(t), DW_CONNECTION_DONE);
    ck_assert(noter.destroyed);
    ck_assert(!dw_test_transport_connected(t));
    ck_assert_uint_eq(dw_test_transport_allocations(t), 0);
}
END_TEST

START_TEST(lose_with_an_errno_is_connection_lost) {
    connect_noter();
    dw_test_transport_lose(t, ECONNRESET);
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_LOST");
    ck_assert(!dw_test_transport_sent_fin(t));
    ck_assert(!dw_test_transport_sent_reset(t));
}
END_TEST

START_TEST(a_paused_protocol_does_not_notice_the_loss) {
    connect_noter();
    receive("p");
    dw_test_transport_lose(t, ECONNRESET);
    ck_assert(dw_test_transport_connected(t));
    dw_transport_resume_producing(noter.base.transport);
    dw_test_transport_advance(t, 0);
    ck_assert_int_eq(dw_test_transport_reason(t), DW_CONNECTION_LOST);
}
END_TEST

START_TEST(a_reset_overtakes_unread_bytes) {
    connect_noter();
    receive("p");
    receive("unread");
    dw_test_transport_lose(t, ECONNRESET);
    dw_transport_resume_producing(noter.base.transport);
    dw_test_transport_advance(t, 0);
    ck_assert_uint_eq(noter.received, 1);
}
END_TEST

START_TEST(half_close_ends_who_is_not_aware) {
    connect_noter();
    dw_test_transport_half_close(t);
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_DONE");
}
END_TEST

START_TEST(half_close_leaves_who_is_aware_writing) {
    noter_init(&aware_class);
    connect_noter();
    dw_test_transport_half_close(t);
    ck_assert_str_eq(noter.notes, "made read-lost");
    dw_transport_write(noter.base.transport, "bye", 3);
    dw_transport_lose_connection(noter.base.transport);
    dw_test_transport_advance(t, 0);
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "bye");
    ck_assert_str_eq(noter.notes, "made read-lost lost DW_CONNECTION_DONE");
}
END_TEST

START_TEST(writing_to_a_peer_that_is_gone_fails_the_second_time) {
    noter_init(&aware_class);
    connect_noter();
    dw_test_transport_lose(t, 0);
    ck_assert_str_eq(noter.notes, "made read-lost");
    dw_transport_write(noter.base.transport, "1", 1);
    dw_test_transport_advance(t, 0);
    ck_assert(dw_test_transport_connected(t));
    dw_transport_write(noter.base.transport, "2", 1);
    dw_test_transport_advance(t, 0);
    ck_assert_int_eq(dw_test_transport_reason(t), DW_CONNECTION_LOST);
}
END_TEST

START_TEST(lose_connection_sends_fin) {
    connect_noter();
    receive("l");
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "l");
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_DONE");
    ck_assert(dw_test_transport_sent_fin(t));
    ck_assert(!dw_test_transport_sent_reset(t));
}
END_TEST

START_TEST(abort_connection_sends_reset) {
    connect_noter();
    receive("a");
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_ABORTED");
    ck_assert(dw_test_transport_sent_reset(t));
    ck_assert(!dw_test_transport_sent_fin(t));
    ck_assert_str_eq(dw_test_transport_written(t, NULL), "");
}
END_TEST

START_TEST(fail_inside_data_received_ends_the_connection) {
    connect_noter();
    receive("f");
    ck_assert_str_eq(noter.notes, "made lost DW_APP_ERROR");
}
END_TEST

START_TEST(free_is_as_a_reactor_that_stops) {
    connect_noter();
    dw_test_transport_free(t);
    t = NULL;
    ck_assert_str_eq(noter.notes, "made lost DW_CONNECTION_LOST");
    ck_assert(noter.destroyed);
    dw_test_transport_free(NULL);
}
END_TEST

/* ---- Memory ---- */

START_TEST(allocations_counts_what_is_not_given_back) {
    dw_reactor *reactor = dw_test_transport_reactor(t);
    void *a = dw_alloc(reactor, 10), *b = dw_alloc(reactor, 20);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 2);
    b = dw_resize(reactor, b, 5000);
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 2);
    dw_free(reactor, a);
    dw_free(reactor, b);
    dw_free(reactor, NULL);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 0);
}
END_TEST

START_TEST(fail_alloc_fails_the_nth_only) {
    dw_reactor *reactor = dw_test_transport_reactor(t);
    dw_test_transport_fail_alloc(t, 2, false);
    void *a = dw_alloc(reactor, 1);
    void *b = dw_alloc(reactor, 1);
    void *c = dw_alloc(reactor, 1);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(b);
    ck_assert_ptr_nonnull(c);
    dw_free(reactor, a);
    dw_free(reactor, c);
}
END_TEST

START_TEST(fail_alloc_and_after_fails_until_switched_off) {
    dw_reactor *reactor = dw_test_transport_reactor(t);
    dw_test_transport_fail_alloc(t, 1, true);
    ck_assert_ptr_null(dw_alloc(reactor, 1));
    ck_assert_ptr_null(dw_alloc(reactor, 1));
    dw_test_transport_fail_alloc(t, 0, false);
    void *a = dw_alloc(reactor, 1);
    ck_assert_ptr_nonnull(a);
    dw_test_transport_fail_alloc(t, 1, false);
    ck_assert_ptr_null(dw_resize(reactor, a, 100000));
    dw_free(reactor, a);
    ck_assert_uint_eq(dw_test_transport_allocations(t), 0);
}
END_TEST

START_TEST(no_memory_for_the_connection_destroys_the_protocol) {
    dw_test_transport_fail_alloc(t, 1, true);
    connect_noter();
    ck_assert(!dw_test_transport_connected(t));
    ck_assert_str_eq(noter.notes, "");
    ck_assert(noter.destroyed);
}
END_TEST

START_TEST(no_memory_in_write_aborts) {
    connect_noter();
    dw_test_transport_fail_alloc(t, 1, true);
    char bytes[] = "copied, not borrowed";
    dw_transport_write(noter.base.transport, bytes, sizeof(bytes));
    dw_test_transport_advance(t, 0);
    ck_assert_str_eq(noter.notes, "made lost DW_NO_MEMORY");
}
END_TEST

/* ---- The rest of the reactor ---- */

START_TEST(random_bytes_are_the_same_in_every_test) {
    uint8_t first[32], second[32];
    dw_reactor_random(dw_test_transport_reactor(t), first, sizeof(first));
    dw_test_transport_free(t);
    t = dw_test_transport_new();
    dw_reactor_random(dw_test_transport_reactor(t), second, sizeof(second));
    ck_assert_mem_eq(first, second, sizeof(first));
    dw_reactor_random(dw_test_transport_reactor(t), second, sizeof(second));
    ck_assert_mem_ne(first, second, sizeof(first));
}
END_TEST

START_TEST(choices_are_calm) {
    dw_reactor *reactor = dw_test_transport_reactor(t);
    ck_assert_uint_eq(dw_choose(reactor, "anything", 10), 0);
    ck_assert(!dw_maybe(reactor, "anything"));
}
END_TEST

START_TEST(the_program_cannot_listen) {
    struct counted_factory factory = {.answer = NULL};
    dw_factory_init(&factory.base, &counted_class);
    dw_reactor *reactor = dw_test_transport_reactor(t);
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 1, &factory.base, 0, NULL, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), EMFILE);
    ck_assert_uint_eq(factory.starts, 0);
}
END_TEST

START_TEST(socket_options_are_kept) {
    connect_noter();
    dw_transport *transport = noter.base.transport;
    ck_assert(!dw_transport_get_no_delay(transport));
    ck_assert_int_eq(dw_transport_set_no_delay(transport, true), 0);
    ck_assert(dw_transport_get_no_delay(transport));
    ck_assert(!dw_transport_get_keep_alive(transport));
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("test_transport");
    TCase *c = tcase_create("test_transport");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, reactor_runs_from_the_start_at_time_0);
    tcase_add_test(c, connect_calls_connection_made_before_it_returns);
    tcase_add_test(c, connect_leaves_no_port_and_keeps_the_protocols_factory);
    tcase_add_test(c, build_asks_the_factory_and_shows_it_to_the_protocol);
    tcase_add_test(c, free_is_done_with_the_factory_before_after_shutdown);
    tcase_add_test(c, build_answers_null_when_refused);
    tcase_add_test(c, build_answers_null_when_building_failed);
    tcase_add_test(c, a_second_protocol_may_follow_the_first);
    tcase_add_test_raise_signal(c, two_protocols_at_once_break_the_contract, SIGABRT);
    tcase_add_test(c, addresses_are_of_the_documentation_net);
    tcase_add_test(c, receive_is_one_piece_and_the_answer_is_there);
    tcase_add_test(c, receive_cut_gives_pieces);
    tcase_add_test(c, a_long_receive_comes_in_pieces_of_65536);
    tcase_add_test(c, written_keeps_zero_bytes_and_clear_forgets);
    tcase_add_test(c, bytes_wait_while_paused_and_arrive_joined);
    tcase_add_test(c, bytes_after_the_end_go_nowhere);
    tcase_add_test(c, without_room_bytes_stay_in_the_buffer);
    tcase_add_test(c, lose_connection_waits_for_room);
    tcase_add_test(c, advance_runs_a_call_at_its_own_time);
    tcase_add_test(c, advance_runs_calls_armed_on_the_way);
    tcase_add_test_raise_signal(c, a_call_that_re_arms_without_delay_is_a_livelock, SIGABRT);
    tcase_add_test_raise_signal(c, time_does_not_go_back, SIGABRT);
    tcase_add_test(c, lose_is_connection_done);
    tcase_add_test(c, lose_with_an_errno_is_connection_lost);
    tcase_add_test(c, a_paused_protocol_does_not_notice_the_loss);
    tcase_add_test(c, a_reset_overtakes_unread_bytes);
    tcase_add_test(c, half_close_ends_who_is_not_aware);
    tcase_add_test(c, half_close_leaves_who_is_aware_writing);
    tcase_add_test(c, writing_to_a_peer_that_is_gone_fails_the_second_time);
    tcase_add_test(c, lose_connection_sends_fin);
    tcase_add_test(c, abort_connection_sends_reset);
    tcase_add_test(c, fail_inside_data_received_ends_the_connection);
    tcase_add_test(c, free_is_as_a_reactor_that_stops);
    tcase_add_test(c, allocations_counts_what_is_not_given_back);
    tcase_add_test(c, fail_alloc_fails_the_nth_only);
    tcase_add_test(c, fail_alloc_and_after_fails_until_switched_off);
    tcase_add_test(c, no_memory_for_the_connection_destroys_the_protocol);
    tcase_add_test(c, no_memory_in_write_aborts);
    tcase_add_test(c, random_bytes_are_the_same_in_every_test);
    tcase_add_test(c, choices_are_calm);
    tcase_add_test(c, the_program_cannot_listen);
    tcase_add_test(c, socket_options_are_kept);
    suite_add_tcase(s, c);
    return s;
}

int main(void) {
    return run_suite(suite());
}
