/* SPDX-License-Identifier: MIT */
/*
 * Names in core: the lookup's life, and resolvers, the wire's and the program's own. The contract
 * is that of drywire/resolver.h, after Twisted's IHostnameResolver and IResolutionReceiver:
 * addresses one by one, then the end, and never from inside the call.
 */
#include "test_core_wire.h"

typedef struct asker {
    dw_lookup lookup;
    char log[REC_LOG_MAX];
    int cancel_after; /* addresses; 0: never */
    int found;
} asker;

static fake *f;
static asker a;

static void setup(void) {
    f = fake_new();
    memset(&a, 0, sizeof(a));
}

static void teardown(void) {
    fake_fini(f);
}

static void address_found(dw_lookup *lookup, const dw_address *address) {
    asker *self = lookup->user;
    char text[DW_ADDRESS_TEXT_MAX];
    say(self->log, dw_address_format(address, text, sizeof(text)));
    if (++self->found == self->cancel_after) {
        dw_lookup_cancel(lookup);
    }
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    asker *self = lookup->user;
    char word[80] = "done";
    ck_assert(!dw_lookup_active(lookup));
    dw_lookup_cancel(lookup); /* is over: changes nothing */
    if (failure != NULL) {
        ck_assert_int_eq(failure->kind, DW_DNS_LOOKUP);
        snprintf(word, sizeof(word), "failed:%d", failure->sys_errno);
    }
    say(self->log, word);
}

static void ask(const char *name, dw_family family) {
    ck_assert_int_eq(
        dw_reactor_resolve(&f->reactor, &a.lookup, name, family, address_found, lookup_done, &a),
        0);
    ck_assert(dw_lookup_active(&a.lookup));
    ck_assert_str_eq(a.log, "");
}

static void expect(const char *log) {
    ck_assert_str_eq(a.log, log);
}

static void expect_failure(int sys_errno) {
    char word[40];
    snprintf(word, sizeof(word), "failed:%d", sys_errno);
    expect(word);
}

static dw_address literal(const char *text) {
    dw_address address;
    ck_assert_int_eq(dw_address_parse(&address, text, 53), 0);
    return address;
}

/* What the wire answers. */
static dw_lookup *taken(void) {
    dw_lookup *lookup = f->lookup;
    ck_assert_ptr_nonnull(lookup);
    f->lookup = NULL;
    return lookup;
}

static void wire_answers(int error, const char *first, const char *second) {
    dw_address addresses[2];
    size_t count = 0;
    if (first != NULL) {
        addresses[count++] = literal(first);
    }
    if (second != NULL) {
        addresses[count++] = literal(second);
    }
    dw_lookup_done(&f->reactor, taken(), error, addresses, count);
}

/* ---- The wire's resolver ---- */

START_TEST(the_wire_is_asked_in_a_later_turn_and_its_answer_has_no_port) {
    ask("name.example", DW_FAMILY_ANY);
    ck_assert_ptr_null(f->lookup);
    fake_settle(f);
    ck_assert_str_eq(f->lookup->name, "name.example");
    wire_answers(0, "192.0.2.1", "2001:db8::1");
    expect("192.0.2.1:0 [2001:db8::1]:0 done");
}
END_TEST

START_TEST(addresses_come_as_they_are_known) {
    dw_address one = literal("192.0.2.1"), two = literal("192.0.2.2");
    ask("name.example", DW_FAMILY_ANY);
    fake_settle(f);
    ck_assert(dw_lookup_found(f->lookup, &one));
    expect("192.0.2.1:0");
    fake_advance(f, DW_SEC(1));
    ck_assert(dw_lookup_found(f->lookup, &two));
    expect("192.0.2.1:0 192.0.2.2:0");
    dw_lookup_finish(taken(), 0);
    expect("192.0.2.1:0 192.0.2.2:0 done");
}
END_TEST

START_TEST(only_the_wanted_family_is_told) {
    ask("name.example", _i == 0 ? DW_FAMILY_IPV4 : DW_FAMILY_IPV6);
    fake_settle(f);
    wire_answers(0, "192.0.2.1", "2001:db8::1");
    expect(_i == 0 ? "192.0.2.1:0 done" : "[2001:db8::1]:0 done");
}
END_TEST

START_TEST(no_address_and_no_error_is_no_data) {
    ask("name.example", DW_FAMILY_IPV6);
    fake_settle(f);
    wire_answers(0, _i == 0 ? NULL : "192.0.2.1", NULL); /* or none of that family */
    expect_failure(ENODATA);
}
END_TEST

START_TEST(an_error_is_told_with_its_errno) {
    f->resolve_error = _i == 0 ? EMFILE : 0; /* the lookup cannot even start */
    ask("name.example", DW_FAMILY_ANY);
    fake_settle(f);
    if (_i == 1) {
        wire_answers(-EMFILE, NULL, NULL);
    }
    expect_failure(EMFILE);
}
END_TEST

START_TEST(an_error_after_an_address_is_no_failure) {
    ask("name.example", DW_FAMILY_ANY);
    fake_settle(f);
    wire_answers(-EAGAIN, "192.0.2.1", NULL);
    expect("192.0.2.1:0 done");
}
END_TEST

START_TEST(a_literal_answers_itself) {
    static const struct {
        const char *literal;
        dw_family family;
        const char *log;
    } rows[] = {
        {"192.0.2.7", DW_FAMILY_ANY, "192.0.2.7:0 done"},
        {"192.0.2.7", DW_FAMILY_IPV4, "192.0.2.7:0 done"},
        {"192.0.2.7", DW_FAMILY_IPV6, "failed:61"}, /* ENODATA, errno.h of Linux */
        {"2001:db8::7", DW_FAMILY_IPV6, "[2001:db8::7]:0 done"},
        {"2001:db8::7", DW_FAMILY_IPV4, "failed:61"},
        {"fe80::1%3", DW_FAMILY_ANY, "[fe80::1%3]:0 done"},
    };
    f->resolve_error = EIO; /* nobody is asked */
    ask(rows[_i].literal, rows[_i].family);
    fake_settle(f);
    expect(rows[_i].log);
}
END_TEST

START_TEST(wrong_names_are_refused_and_touch_nothing) {
    char name[DW_NAME_MAX + 2];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    const char *names[] = {NULL, "", name};
    ck_assert_int_eq(dw_reactor_resolve(&f->reactor, &a.lookup, names[_i], DW_FAMILY_ANY,
                                        address_found, lookup_done, &a),
                     DW_INVALID_ARGUMENT);
    ck_assert(!dw_lookup_active(&a.lookup));
    name[DW_NAME_MAX] = '\0';
    ask(name, DW_FAMILY_ANY);
    ck_assert_int_eq(dw_reactor_resolve(&f->reactor, &a.lookup, "other", DW_FAMILY_ANY,
                                        address_found, lookup_done, &a),
                     DW_INVALID_ARGUMENT); /* it is under way */
    dw_lookup_cancel(&a.lookup);
}
END_TEST

/* ---- Cancelling ---- */

START_TEST(after_a_cancel_nothing_comes) {
    dw_lookup_cancel(&a.lookup); /* never began */
    ask("name.example", DW_FAMILY_ANY);
    if (_i == 1) {
        fake_settle(f);
        ck_assert_ptr_nonnull(f->lookup);
    }
    dw_lookup_cancel(&a.lookup);
    ck_assert(!dw_lookup_active(&a.lookup));
    ck_assert_ptr_null(f->lookup);
    fake_advance(f, DW_MIN(1));
    expect("");
    dw_lookup_cancel(&a.lookup);
    ask("again.example", DW_FAMILY_ANY);
    fake_settle(f);
    wire_answers(0, "192.0.2.1", NULL);
    expect("192.0.2.1:0 done");
}
END_TEST

START_TEST(who_has_had_enough_cancels_between_two_addresses) {
    dw_address one = literal("192.0.2.1");
    a.cancel_after = 2;
    ask("name.example", DW_FAMILY_ANY);
    fake_settle(f);
    dw_lookup *lookup = f->lookup;
    ck_assert(dw_lookup_found(lookup, &one));
    ck_assert(!dw_lookup_found(lookup, &one)); /* the wire hears it, and is told to forget */
    ck_assert_ptr_null(f->lookup);
    expect("192.0.2.1:0 192.0.2.1:0");
}
END_TEST

/* ---- The program's resolver ---- */

/* A table of hosts: answers at once what it knows, keeps "later", forwards the rest. */
typedef struct hosts {
    dw_resolver base;
    dw_lookup *later;
    unsigned asked, cancelled;
} hosts;

static int hosts_resolve(dw_resolver *resolver, dw_lookup *lookup) {
    hosts *self = (hosts *)resolver;
    self->asked++;
    if (strcmp(lookup->name, "later") == 0) {
        self->later = lookup;
        return 0;
    }
    if (strcmp(lookup->name, "broken") == 0) {
        return -ENOTSUP;
    }
    if (strcmp(lookup->name, "known") != 0) {
        return dw_lookup_forward(lookup);
    }
    dw_address address = literal("192.0.2.42");
    if (dw_lookup_found(lookup, &address)) {
        dw_lookup_finish(lookup, 0);
    }
    return 0;
}

static void hosts_cancel(dw_resolver *resolver, dw_lookup *lookup) {
    hosts *self = (hosts *)resolver;
    self->cancelled++;
    self->later = self->later == lookup ? NULL : self->later;
}

static const dw_resolver_class hosts_class = {"hosts", hosts_resolve, hosts_cancel};

static hosts table;

static void use_hosts(void) {
    table = (hosts){.base = {&hosts_class}};
    dw_reactor_set_resolver(&f->reactor, &table.base);
}

START_TEST(a_table_of_hosts_answers_at_once_but_not_inside_the_call) {
    use_hosts();
    ask("known", DW_FAMILY_ANY);
    fake_settle(f);
    expect("192.0.2.42:0 done");
    ck_assert_ptr_null(f->lookup);
}
END_TEST

START_TEST(what_it_does_not_know_it_forwards) {
    use_hosts();
    f->resolve_error = _i == 1 ? EMFILE : 0;
    ask("unknown", DW_FAMILY_ANY);
    fake_settle(f);
    if (_i == 0) {
        ck_assert(f->lookup == &a.lookup);
        wire_answers(0, "192.0.2.1", NULL);
        expect("192.0.2.1:0 done");
    } else {
        expect_failure(EMFILE);
    }
    ck_assert_uint_eq(table.cancelled, 0);
}
END_TEST

START_TEST(a_forwarded_lookup_is_cancelled_at_the_wire) {
    use_hosts();
    ask("unknown", DW_FAMILY_ANY);
    fake_settle(f);
    dw_lookup_cancel(&a.lookup);
    ck_assert_ptr_null(f->lookup);
    ck_assert_uint_eq(table.cancelled, 0);
}
END_TEST

START_TEST(a_resolver_may_refuse) {
    use_hosts();
    ask("broken", DW_FAMILY_ANY);
    fake_settle(f);
    expect_failure(ENOTSUP);
    ck_assert_uint_eq(table.cancelled, 0);
}
END_TEST

START_TEST(a_resolver_is_told_of_a_cancel_once) {
    use_hosts();
    ask("later", DW_FAMILY_ANY);
    fake_settle(f);
    ck_assert_ptr_nonnull(table.later);
    dw_lookup_cancel(&a.lookup);
    dw_lookup_cancel(&a.lookup);
    ck_assert_uint_eq(table.cancelled, 1);
    ck_assert_ptr_null(table.later);
    expect("");
}
END_TEST

START_TEST(lookups_under_way_stay_with_their_resolver) {
    use_hosts();
    ask("later", DW_FAMILY_ANY);
    fake_settle(f);
    dw_reactor_set_resolver(&f->reactor, NULL);
    dw_lookup_finish(table.later, -EAGAIN);
    expect_failure(EAGAIN);
    a.log[0] = '\0';
    ask("known", DW_FAMILY_ANY); /* now the wire's */
    fake_settle(f);
    ck_assert_uint_eq(table.asked, 1);
    wire_answers(0, "192.0.2.1", NULL);
    expect("192.0.2.1:0 done");
}
END_TEST

/* ---- Connectors ---- */

static rec r;
static rec_factory g;

static void connect_to(const char *host) {
    memset(&r, 0, sizeof(r));
    rec_factory_init(&g, f, &r);
    ck_assert_int_eq(dw_reactor_connect_tcp(&f->reactor, host, 80, &g.client, 0, NULL, NULL), 0);
}

START_TEST(connect_tcp_asks_the_programs_resolver) {
    use_hosts();
    connect_to("known");
    fake_settle(f);
    ck_assert_uint_eq(table.asked, 1);
    ck_assert_int_eq(f->socket_count, 1);
    ck_assert_ptr_null(f->lookup);
}
END_TEST

/* Twisted's connectTCP knows IPv4 alone: so that comes first, whichever answer does. */
START_TEST(a_connector_tries_ipv4_before_ipv6) {
    char text[DW_ADDRESS_TEXT_MAX];
    connect_to("name.example");
    fake_settle(f);
    dw_lookup *lookup = f->lookup;
    const char *answers[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"};
    const char *tried[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"};
    for (int i = 0; i < 4; i++) {
        dw_address address = literal(answers[i]);
        ck_assert(dw_lookup_found(lookup, &address));
    }
    dw_lookup_finish(taken(), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(f->socket_count, i + 1);
        dw_address peer = dw_transport_peer(DW_CONTAINER_OF(f->sockets[i].io, dw_transport, io));
        ck_assert_str_eq(dw_address_format_host(&peer, text, sizeof(text)), tried[i]);
        f->connected = -ECONNREFUSED;
        fake_ready(f, i, DW_WRITABLE);
    }
    ck_assert_int_eq(g.reason.kind, DW_CONNECTION_REFUSED);
}
END_TEST

/* ---- The end of the reactor ---- */

START_TEST(a_reactor_that_stops_fails_its_lookups) {
    use_hosts();
    dw_reactor_startup(&f->reactor);
    ask(_i == 0 ? "later" : "unknown", DW_FAMILY_ANY);
    if (_i < 2) {
        fake_settle(f);
    }
    dw_reactor_shutdown(&f->reactor);
    expect_failure(ECANCELED);
    ck_assert_ptr_null(f->lookup);
    ck_assert_uint_eq(table.cancelled, _i == 0 ? 1 : 0);
}
END_TEST

START_TEST(a_reactor_that_goes_forgets_its_lookups) {
    ask("name.example", DW_FAMILY_ANY);
    if (_i == 1) {
        fake_settle(f);
    }
    /* teardown: fake_fini finds that the wire was told */
}
END_TEST

static void freed_done(dw_lookup *lookup, const dw_reason *failure) {
    (void)failure;
    *(bool *)lookup->user = true;
    dw_free(dw_lookup_reactor(lookup), lookup);
}

static void cancelled_and_freed(dw_lookup *lookup, const dw_address *address) {
    (void)address;
    dw_lookup_cancel(lookup);
    freed_done(lookup, NULL);
}

/* Memory checkers see what is touched afterwards. */
START_TEST(the_memory_may_go_inside_the_callbacks) {
    bool gone = false;
    dw_lookup *lookup = dw_alloc_zeroed(&f->reactor, sizeof(*lookup));
    ck_assert_int_eq(dw_reactor_resolve(&f->reactor, lookup, "name.example", DW_FAMILY_ANY,
                                        _i == 0 ? address_found : cancelled_and_freed, freed_done,
                                        &gone),
                     0);
    fake_settle(f);
    if (_i == 0) {
        wire_answers(-EAGAIN, NULL, NULL);
    } else {
        dw_address address = literal("192.0.2.1");
        ck_assert(!dw_lookup_found(f->lookup, &address));
    }
    ck_assert(gone);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("resolver");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_wire_is_asked_in_a_later_turn_and_its_answer_has_no_port);
    tcase_add_test(tc, addresses_come_as_they_are_known);
    tcase_add_loop_test(tc, only_the_wanted_family_is_told, 0, 2);
    tcase_add_loop_test(tc, no_address_and_no_error_is_no_data, 0, 2);
    tcase_add_loop_test(tc, an_error_is_told_with_its_errno, 0, 2);
    tcase_add_test(tc, an_error_after_an_address_is_no_failure);
    tcase_add_loop_test(tc, a_literal_answers_itself, 0, 6);
    tcase_add_loop_test(tc, wrong_names_are_refused_and_touch_nothing, 0, 3);
    tcase_add_loop_test(tc, after_a_cancel_nothing_comes, 0, 2);
    tcase_add_test(tc, who_has_had_enough_cancels_between_two_addresses);
    tcase_add_test(tc, a_table_of_hosts_answers_at_once_but_not_inside_the_call);
    tcase_add_loop_test(tc, what_it_does_not_know_it_forwards, 0, 2);
    tcase_add_test(tc, a_forwarded_lookup_is_cancelled_at_the_wire);
    tcase_add_test(tc, a_resolver_may_refuse);
    tcase_add_test(tc, a_resolver_is_told_of_a_cancel_once);
    tcase_add_test(tc, lookups_under_way_stay_with_their_resolver);
    tcase_add_test(tc, connect_tcp_asks_the_programs_resolver);
    tcase_add_test(tc, a_connector_tries_ipv4_before_ipv6);
    tcase_add_loop_test(tc, a_reactor_that_stops_fails_its_lookups, 0, 3);
    tcase_add_loop_test(tc, a_reactor_that_goes_forgets_its_lookups, 0, 2);
    tcase_add_loop_test(tc, the_memory_may_go_inside_the_callbacks, 0, 2);
    return run_case(tc);
}
