/* SPDX-License-Identifier: MIT */
/*
 * Names on the live wire, on each poller: by c-ares against a name server of our own on the
 * loopback, slow, broken or dead as its test needs it; and by getaddrinfo on threads, with one of
 * ours in the table of system calls. Expectations: RFC 1035 (codes, truncation), RFC 6761 (names no
 * server is asked about), hosts(5).
 */
#include "dns_server.h"

static dns_server server;
static dw_reactor *reactor;

typedef struct asker {
    dw_lookup lookup;
    char log[2000];
    int found, done, cancel_after;
    int sys_errno;
} asker;

static void address_found(dw_lookup *lookup, const dw_address *address) {
    asker *a = lookup->user;
    char text[DW_ADDRESS_TEXT_MAX];
    size_t used = strlen(a->log);
    ck_assert_uint_eq(address->port, 0);
    snprintf(a->log + used, sizeof(a->log) - used, "%s%s", used > 0 ? " " : "",
             dw_address_format_host(address, text, sizeof(text)));
    if (++a->found == a->cancel_after) {
        dw_lookup_cancel(lookup);
    }
}

static void lookup_done(dw_lookup *lookup, const dw_reason *failure) {
    asker *a = lookup->user;
    ck_assert(failure == NULL || failure->kind == DW_DNS_LOOKUP);
    a->done++;
    a->sys_errno = failure != NULL ? failure->sys_errno : 0;
}

static void ask(asker *a, const char *name, dw_family family) {
    memset(a, 0, sizeof(*a));
    ck_assert_int_eq(
        dw_reactor_resolve(reactor, &a->lookup, name, family, address_found, lookup_done, a), 0);
    ck_assert_int_eq(a->found + a->done, 0);
}

static void answered(asker *a, int sys_errno) {
    ck_assert_msg(turn_until(reactor, &a->done, 1), "%s", a->log);
    ck_assert_int_eq(a->sys_errno, sys_errno);
}

static void turn(void) {
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
}

static bool has(const asker *a, const char *address) {
    return strstr(a->log, address) != NULL;
}

/* ---- c-ares ---- */

/* One try, longer than any answer takes on a busy machine; short where nobody answers. */
static dw_time patience = DW_SEC(5);

static dw_poll_options ares_options(const char *servers) {
    return (dw_poll_options){.no_signals = true,
                             .names = DW_NAMES_ARES,
                             .dns_servers = servers,
                             .dns_timeout = patience,
                             .dns_tries = 1};
}

static bool make_ares(const char *servers) {
    dw_poll_options options = ares_options(servers);
    reactor = dw_live_reactor_on(poller, &options, &dw_syscalls_libc);
    if (reactor == NULL) {
        ck_assert_int_eq(errno, ENOTSUP); /* built without it */
    }
    return reactor != NULL;
}

static bool begin_ares(void) {
    dns_start(&server);
    bool there = make_ares(server.servers);
    if (!there) {
        dns_stop(&server);
    }
    return there;
}

static void end_ares(void) {
    dw_reactor_free(reactor);
    dns_stop(&server);
}

#define ARES_TEST(test)            \
    static void test##_body(void); \
    START_TEST(test) {             \
        if (begin_ares()) {        \
            test##_body();         \
            end_ares();            \
        }                          \
    }                              \
    END_TEST                       \
    static void test##_body(void)

static asker a;

ARES_TEST(both_families_are_asked_and_all_addresses_told) {
    ask(&a, "good.test", DW_FAMILY_ANY);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 4);
    ck_assert(has(&a, "192.0.2.1") && has(&a, "192.0.2.2"));
    ck_assert(has(&a, "2001:db8::1") && has(&a, "2001:db8::2"));
}

ARES_TEST(one_family_alone_is_asked_for) {
    ask(&a, "good.test", DW_FAMILY_IPV4);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 2);
    ck_assert(has(&a, "192.0.2.1") && !has(&a, "2001:db8"));
    ck_assert_uint_eq(dns_asked(&server), 1);
    ask(&a, "good.test", DW_FAMILY_IPV6);
    answered(&a, 0);
    ck_assert(has(&a, "2001:db8::2") && !has(&a, "192.0.2"));
}

/* The A answer is held back until the AAAA answer has been told. */
ARES_TEST(an_answer_does_not_wait_for_the_other_family) {
    ask(&a, "late.test", DW_FAMILY_ANY);
    ck_assert(turn_until(reactor, &a.found, 2));
    ck_assert_int_eq(a.done, 0);
    ck_assert(has(&a, "2001:db8::1"));
    dns_release(&server);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 4);
}

ARES_TEST(one_family_without_addresses_is_no_failure) {
    ask(&a, "four.test", DW_FAMILY_ANY);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 2);
    ask(&a, "four.test", DW_FAMILY_IPV6);
    answered(&a, ENODATA);
}

ARES_TEST(one_family_that_fails_is_no_failure) {
    ask(&a, "half.test", DW_FAMILY_ANY);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 2);
}

static const struct {
    const char *name;
    int sys_errno;
} broken[] = {
    {"nobody.test", ENODATA}, /* NXDOMAIN */
    {"servfail.test", EAGAIN},  {"refused.test", EAGAIN},
    {"silent.test", ETIMEDOUT}, {"garbage.test", EIO},
};

START_TEST(each_failure_has_its_errno) {
    bool silent = broken[_i].sys_errno == ETIMEDOUT;
    patience = silent ? DW_MSEC(50) : patience;
    if (!begin_ares()) {
        return;
    }
    ask(&a, broken[_i].name, DW_FAMILY_ANY);
    answered(&a, broken[_i].sys_errno);
    ck_assert_int_eq(a.found, 0);
    if (!silent) {
        ask(&a, "good.test", DW_FAMILY_IPV4); /* and it goes on */
        answered(&a, 0);
    }
    end_ares();
}
END_TEST

/* RFC 1035, section 4.2.1: what does not fit is asked for again over TCP. */
ARES_TEST(a_truncated_answer_comes_over_tcp) {
    ask(&a, "big.test", DW_FAMILY_IPV4);
    answered(&a, 0);
    ck_assert_int_eq(a.found, DNS_BIG);
    ck_assert_uint_eq(dns_over_tcp(&server), 1);
}

ARES_TEST(a_dead_server_does_not_delay_other_names) {
    static asker dead[8];
    for (int i = 0; i < 8; i++) {
        ask(&dead[i], "silent.test", DW_FAMILY_ANY);
    }
    ask(&a, "good.test", DW_FAMILY_ANY);
    answered(&a, 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(dead[i].done, 0);
    }
}

ARES_TEST(many_names_are_all_answered) {
    enum { MANY = 60 }; /* their questions fit into a socket's buffer: none is lost */
    static asker all[MANY];
    for (int i = 0; i < MANY; i++) {
        ask(&all[i], i % 3 == 0 ? "nobody.test" : "good.test", DW_FAMILY_ANY);
    }
    for (int i = 0; i < MANY; i++) {
        answered(&all[i], i % 3 == 0 ? ENODATA : 0);
    }
}

START_TEST(the_next_server_is_asked_when_one_is_dead) {
    char servers[100];
    patience = DW_MSEC(200); /* the kernel's word reaches one of the two questions only */
    if (!begin_ares()) {
        return;
    }
    dw_reactor_free(reactor);
    uint16_t dead_port;
    close(peer_listen(1, &dead_port)); /* nobody there: ICMP port unreachable */
    snprintf(servers, sizeof(servers), "127.0.0.1:%u,%s", (unsigned)dead_port, server.servers);
    ck_assert(make_ares(servers));
    ask(&a, "good.test", DW_FAMILY_ANY);
    answered(&a, 0);
    ck_assert_int_eq(a.found, 4);
    end_ares();
}
END_TEST

START_TEST(a_server_that_is_none_fails_the_lookup_not_the_reactor) {
    if (make_ares("not an address")) {
        ask(&a, "good.test", DW_FAMILY_ANY);
        answered(&a, EINVAL);
        ask(&a, "localhost", DW_FAMILY_ANY);
        answered(&a, EINVAL);
        dw_reactor_free(reactor);
    }
}
END_TEST

/* RFC 6761, sections 6.3 and 6.4. */
static const struct {
    const char *name;
    dw_family family;
    const char *log;
    int sys_errno;
} special[] = {
    {"localhost", DW_FAMILY_ANY, "::1 127.0.0.1", 0},
    {"localhost", DW_FAMILY_IPV4, "127.0.0.1", 0},
    {"LocalHost.", DW_FAMILY_IPV6, "::1", 0},
    {"a.b.localhost", DW_FAMILY_IPV4, "127.0.0.1", 0},
    {"nobody.invalid", DW_FAMILY_ANY, "", ENODATA},
    {"invalid", DW_FAMILY_ANY, "", ENODATA},
    {"notlocalhost", DW_FAMILY_ANY, "", ENODATA}, /* a name like others: the server is asked */
};

START_TEST(special_names_are_not_asked_about) {
    if (!begin_ares()) {
        return;
    }
    ask(&a, special[_i].name, special[_i].family);
    answered(&a, special[_i].sys_errno);
    ck_assert_str_eq(a.log, special[_i].log);
    ck_assert_int_eq(dns_asked(&server) > 0, strcmp(special[_i].name, "notlocalhost") == 0);
    end_ares();
}
END_TEST

/* Without a server that answers, the hosts file still does: this machine's name, if it has it. */
ARES_TEST(the_hosts_file_is_read) {
    char name[DW_NAME_MAX + 1] = "", line[1000];
    FILE *hosts = fopen("/etc/hosts", "r");
    while (hosts != NULL && fgets(line, sizeof(line), hosts) != NULL) {
        char address[100], first[DW_NAME_MAX + 1];
        dw_address parsed;
        if (sscanf(line, "%99s %255s", address, first) == 2 && address[0] != '#' &&
            dw_address_parse(&parsed, address, 0) == 0 && strstr(first, "local") == NULL &&
            parsed.kind == DW_ADDRESS_IPV4) {
            snprintf(name, sizeof(name), "%s", first);
        }
    }
    if (hosts != NULL) {
        fclose(hosts);
    }
    if (name[0] == '\0') {
        return; /* it has none but localhost */
    }
    ask(&a, name, DW_FAMILY_IPV4);
    answered(&a, 0);
    ck_assert_uint_eq(dns_asked(&server), 0);
}

/* ---- Cancelling c-ares ---- */

static unsigned asked_before;

/* How far the lookup has come when it is given up. */
static void come_to_stage(int stage) {
    if (stage > 0) {
        turn();
        dns_wait_asked(&server, asked_before + 2);
    }
    if (stage > 1) {
        ck_assert(turn_until(reactor, &a.found, 2));
    }
}

START_TEST(after_a_cancel_nothing_comes_and_its_sockets_are_closed) {
    if (!begin_ares()) {
        return;
    }
    ask(&a, "good.test", DW_FAMILY_ANY); /* what is opened once is open */
    answered(&a, 0);
    int before = open_descriptors();
    asked_before = dns_asked(&server);
    ask(&a, _i > 1 ? "late.test" : "held.test", DW_FAMILY_ANY);
    come_to_stage(_i);
    int found = a.found;
    dw_lookup_cancel(&a.lookup);
    ck_assert_int_eq(open_descriptors(), before);
    dns_release(&server);
    asker other;
    ask(&other, "good.test", DW_FAMILY_ANY);
    answered(&other, 0);
    ck_assert_int_eq(a.found, found);
    ck_assert_int_eq(a.done, 0);
    ck_assert_uint_eq(dw_live_of(reactor)->names.count, 0);
    end_ares();
}
END_TEST

ARES_TEST(a_cancel_leaves_other_lookups_alone) {
    asker kept;
    ask(&kept, "held.test", DW_FAMILY_ANY);
    ask(&a, "held.test", DW_FAMILY_ANY);
    turn();
    dns_wait_asked(&server, 4);
    dw_lookup_cancel(&a.lookup);
    dns_release(&server);
    answered(&kept, 0);
    ck_assert_int_eq(kept.found, 4);
    ck_assert_int_eq(a.found + a.done, 0);
    ck_assert_uint_eq(dw_live_of(reactor)->names.count, 0);
}

ARES_TEST(who_has_had_enough_cancels_between_two_addresses) {
    ask(&a, "good.test", DW_FAMILY_ANY);
    a.cancel_after = 1;
    ck_assert(turn_until(reactor, &a.found, 1));
    asker other;
    ask(&other, "good.test", DW_FAMILY_ANY);
    answered(&other, 0);
    ck_assert_int_eq(a.found, 1);
    ck_assert_int_eq(a.done, 0);
    ck_assert_uint_eq(dw_live_of(reactor)->names.count, 0);
}

START_TEST(a_reactor_is_freed_in_the_middle_of_a_lookup) {
    int before = open_descriptors();
    if (!begin_ares()) {
        return;
    }
    static asker all[3];
    for (int i = 0; i < 3; i++) {
        ask(&all[i], "held.test", DW_FAMILY_ANY);
    }
    if (_i > 0) {
        turn();
        dns_wait_asked(&server, 6);
    }
    end_ares();
    ck_assert_int_eq(all[0].found + all[0].done, 0);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* ---- Memory, c-ares ---- */

typedef struct meter {
    unsigned fail_in, fails;
    size_t blocks;
} meter;

static bool fails_now(meter *m) {
    bool fails = m->fail_in > 0 && --m->fail_in == 0;
    m->fails += fails;
    return fails;
}

static void *meter_alloc(void *user, size_t size, const char *where) {
    meter *m = user;
    (void)where;
    if (fails_now(m)) {
        return NULL;
    }
    m->blocks++;
    return malloc(size);
}

static void *meter_resize(void *user, void *block, size_t size, const char *where) {
    (void)where;
    return fails_now(user) ? NULL : realloc(block, size);
}

static void meter_release(void *user, void *block) {
    meter *m = user;
    m->blocks -= block != NULL;
    free(block);
}

START_TEST(every_allocation_of_a_lookup_may_fail) {
    unsigned failures = 0;
    dns_start(&server);
    for (unsigned nth = 1; nth < 50; nth++) {
        meter m = {.fail_in = 0};
        const dw_allocator allocator = {meter_alloc, meter_resize, meter_release, &m};
        dw_poll_options options = ares_options(server.servers);
        options.names = _i == 0 ? DW_NAMES_BEST : DW_NAMES_THREADS;
        options.allocator = &allocator;
        reactor = dw_live_reactor_on(poller, &options, &dw_syscalls_libc);
        ck_assert_ptr_nonnull(reactor);
        m.fail_in = nth;
        ask(&a, "localhost", DW_FAMILY_ANY);
        ck_assert(turn_until(reactor, &a.done, 1));
        ck_assert(a.sys_errno == 0 || a.sys_errno == ENOMEM);
        dw_reactor_free(reactor);
        ck_assert_uint_eq(m.blocks, 0);
        failures += m.fails;
        if (m.fails == 0) {
            break;
        }
    }
    dns_stop(&server);
    ck_assert_uint_ge(failures, 1);
    ck_assert_uint_lt(failures, 49);
}
END_TEST

/* ---- getaddrinfo on threads ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int begun;
static int family_asked;

/* "dead..." waits at the gate, all else is 127.0.0.1 or ::1 at once. */
static int gated_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                             struct addrinfo **out) {
    pthread_mutex_lock(&gate_lock);
    begun++;
    family_asked = hints->ai_family;
    pthread_cond_broadcast(&gate_moved);
    while (!gate_open && strncmp(name, "dead", 4) == 0) {
        pthread_cond_wait(&gate_moved, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
    return getaddrinfo(hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1", service, hints, out);
}

static void open_gate(void) {
    pthread_mutex_lock(&gate_lock);
    gate_open = true;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void wait_begun(int count) {
    pthread_mutex_lock(&gate_lock);
    while (begun < count) {
        pthread_cond_wait(&gate_moved, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
}

static int locked_value(const int *value) {
    pthread_mutex_lock(&gate_lock);
    int copy = *value;
    pthread_mutex_unlock(&gate_lock);
    return copy;
}

static int threads_made, threads_allowed;

static int counted_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user) {
    if (threads_made == threads_allowed) {
        return EAGAIN;
    }
    threads_made++;
    return pthread_create(thread, attributes, start, user);
}

static struct dw_syscalls gated;

static void begin_threads(void) {
    gated = dw_syscalls_libc;
    gated.getaddrinfo = gated_getaddrinfo;
    gated.pthread_create = counted_create;
    threads_allowed = 100;
    reactor = dw_live_reactor_on(
        poller, &(dw_poll_options){.no_signals = true, .names = DW_NAMES_THREADS}, &gated);
    ck_assert_ptr_nonnull(reactor);
}

START_TEST(dead_names_hold_up_nobody_while_a_thread_is_left) {
    static asker dead[DW_NAME_THREADS_MAX - 1];
    begin_threads();
    for (int i = 0; i < DW_NAME_THREADS_MAX - 1; i++) {
        ask(&dead[i], "dead.test", DW_FAMILY_ANY);
    }
    ask(&a, "good.test", DW_FAMILY_ANY);
    answered(&a, 0);
    for (int i = 0; i < DW_NAME_THREADS_MAX - 1; i++) {
        ck_assert_int_eq(dead[i].done, 0);
    }
    open_gate();
    for (int i = 0; i < DW_NAME_THREADS_MAX - 1; i++) {
        answered(&dead[i], 0);
    }
    ck_assert_int_le(threads_made, DW_NAME_THREADS_MAX);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(there_are_so_many_threads_and_no_more) {
    static asker dead[DW_NAME_THREADS_MAX + 3];
    begin_threads();
    for (int i = 0; i < DW_NAME_THREADS_MAX + 3; i++) {
        ask(&dead[i], "dead.test", DW_FAMILY_ANY);
    }
    turn();
    wait_begun(DW_NAME_THREADS_MAX);
    ck_assert_int_eq(threads_made, DW_NAME_THREADS_MAX);
    open_gate();
    for (int i = 0; i < DW_NAME_THREADS_MAX + 3; i++) {
        answered(&dead[i], 0);
    }
    ck_assert_int_eq(threads_made, DW_NAME_THREADS_MAX);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(one_thread_after_the_other_needs_one) {
    begin_threads();
    for (int i = 0; i < 5; i++) {
        ask(&a, "good.test", DW_FAMILY_ANY);
        answered(&a, 0);
    }
    ck_assert_int_le(threads_made, 2); /* the first may still be on its way to its place */
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_thread_that_cannot_be_had_makes_names_wait) {
    static asker all[3];
    begin_threads();
    threads_allowed = 1;
    for (int i = 0; i < 3; i++) {
        ask(&all[i], "good.test", DW_FAMILY_ANY);
    }
    for (int i = 0; i < 3; i++) {
        answered(&all[i], 0);
    }
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_family_is_passed_on) {
    static const dw_family families[] = {DW_FAMILY_ANY, DW_FAMILY_IPV4, DW_FAMILY_IPV6};
    static const int asked[] = {AF_UNSPEC, AF_INET, AF_INET6};
    begin_threads();
    ask(&a, "good.test", families[_i]);
    answered(&a, 0);
    ck_assert_int_eq(locked_value(&family_asked), asked[_i]);
    ck_assert_str_eq(a.log, _i == 2 ? "::1" : "127.0.0.1");
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_cancelled_name_on_a_thread_gives_no_answer) {
    static asker dead[DW_NAME_THREADS_MAX + 1]; /* the last one waits for a thread */
    begin_threads();
    for (int i = 0; i <= DW_NAME_THREADS_MAX; i++) {
        ask(&dead[i], "dead.test", DW_FAMILY_ANY);
    }
    turn();
    wait_begun(DW_NAME_THREADS_MAX);
    for (int i = 0; i <= DW_NAME_THREADS_MAX; i++) {
        dw_lookup_cancel(&dead[i].lookup);
    }
    open_gate();
    ask(&a, "good.test", DW_FAMILY_ANY);
    answered(&a, 0);
    for (int i = 0; i <= DW_NAME_THREADS_MAX; i++) {
        ck_assert_int_eq(dead[i].found + dead[i].done, 0);
    }
    ck_assert_int_eq(locked_value(&begun), DW_NAME_THREADS_MAX + 1);
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("c-ares");
    tcase_add_test(tc, both_families_are_asked_and_all_addresses_told);
    tcase_add_test(tc, one_family_alone_is_asked_for);
    tcase_add_test(tc, an_answer_does_not_wait_for_the_other_family);
    tcase_add_test(tc, one_family_without_addresses_is_no_failure);
    tcase_add_test(tc, one_family_that_fails_is_no_failure);
    tcase_add_loop_test(tc, each_failure_has_its_errno, 0, sizeof(broken) / sizeof(broken[0]));
    tcase_add_test(tc, a_truncated_answer_comes_over_tcp);
    tcase_add_test(tc, a_dead_server_does_not_delay_other_names);
    tcase_add_test(tc, many_names_are_all_answered);
    tcase_add_test(tc, the_next_server_is_asked_when_one_is_dead);
    tcase_add_test(tc, a_server_that_is_none_fails_the_lookup_not_the_reactor);
    tcase_add_loop_test(tc, special_names_are_not_asked_about, 0,
                        sizeof(special) / sizeof(special[0]));
    tcase_add_test(tc, the_hosts_file_is_read);
    tcase_add_loop_test(tc, after_a_cancel_nothing_comes_and_its_sockets_are_closed, 0, 3);
    tcase_add_test(tc, a_cancel_leaves_other_lookups_alone);
    tcase_add_test(tc, who_has_had_enough_cancels_between_two_addresses);
    tcase_add_loop_test(tc, a_reactor_is_freed_in_the_middle_of_a_lookup, 0, 2);
    tcase_add_loop_test(tc, every_allocation_of_a_lookup_may_fail, 0, 2);
    tcase_set_timeout(tc, 3 * LIMIT_S);
    suite_add_tcase(suite, tc);
    tc = tcase_create("threads");
    tcase_add_test(tc, dead_names_hold_up_nobody_while_a_thread_is_left);
    tcase_add_test(tc, there_are_so_many_threads_and_no_more);
    tcase_add_test(tc, one_thread_after_the_other_needs_one);
    tcase_add_test(tc, a_thread_that_cannot_be_had_makes_names_wait);
    tcase_add_loop_test(tc, the_family_is_passed_on, 0, 3);
    tcase_add_test(tc, a_cancelled_name_on_a_thread_gives_no_answer);
    tcase_set_timeout(tc, 3 * LIMIT_S);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("live_resolver", make_suite);
}
