/* SPDX-License-Identifier: MIT */
/*
 * The live wire, on each poller, when the system says no: out of descriptors, out of memory,
 * interrupted calls, calls that fail. Faults come from the table of system calls and from the
 * allocator, and once from the kernel itself (RLIMIT_NOFILE).
 */
#include "test_poll_support.h"

#include <sys/resource.h>

static int log_lines;

static void count_line(void *user, const char *line) {
    (void)user;
    (void)line;
    log_lines++;
}

static dw_reactor *new_reactor_with(const struct dw_syscalls *sys) {
    dw_reactor *reactor = new_reactor_on(sys);
    log_lines = 0;
    dw_reactor_set_log(reactor, count_line, NULL);
    return reactor;
}

/* ---- Out of descriptors ---- */

/* Leaves this process without a free descriptor: the limit is on their numbers (getrlimit(2)), and
 * dup takes the lowest free one, so those below are in use. */
static int use_up_descriptors(struct rlimit *before) {
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
    int last = dup(0);
    ck_assert_int_ge(last, 0);
    struct rlimit none_left = {.rlim_cur = (rlim_t)last + 1, .rlim_max = before->rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    ck_assert_int_eq(dup(0), -1);
    ck_assert_int_eq(errno, EMFILE);
    return last;
}

START_TEST(a_port_survives_a_process_out_of_descriptors) {
    struct probe all[2] = {{.made = 0}};
    struct probes probes;
    struct rlimit limit;
    dw_reactor *reactor = new_reactor_with(&dw_syscalls_libc);
    probes_init(&probes, all, 2);
    uint16_t port = listen_on(reactor, &probes, "127.0.0.1", NULL);
    int early = peer_connect(port);
    ck_assert(turn_until(reactor, &all[0].made, 1));
    int unlucky = peer_connect(port);
    int last = use_up_descriptors(&limit);
    ck_assert(turn_until(reactor, &log_lines, 1));
    ck_assert_int_eq(peer_end(unlucky), 0); /* told at once, not left hanging */
    peer_write(early, "served");            /* the others do not suffer */
    ck_assert(turn_until(reactor, &all[0].received_calls, 1));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(last);
    int late = peer_connect(port);
    ck_assert(turn_until(reactor, &all[1].made, 1));
    ck_assert_int_eq(all[0].lost, 0);
    close(early);
    close(unlucky);
    close(late);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- accept ---- */

static int accept_errno, accept_failures, accepts;

static int failing_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
    accepts++;
    if (accept_failures > 0) {
        accept_failures--;
        errno = accept_errno;
        return -1;
    }
    return dw_syscalls_libc.accept4(fd, address, len, flags);
}

/* Errors of one connection and of an interrupted call; the next connection is served. */
START_TEST(a_port_survives_errors_of_accept) {
    static const int errors[] = {EINTR, ECONNABORTED, EPROTO, ENOBUFS, ENOMEM, ENETDOWN};
    struct probe probe = {.made = 0};
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.accept4 = failing_accept4;
    accept_errno = errors[_i];
    accept_failures = 3;
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, &probe, 1);
    int peer = peer_connect(listen_on(reactor, &probes, "127.0.0.1", NULL));
    ck_assert(turn_until(reactor, &probe.made, 1));
    ck_assert_int_eq(accept_failures, 0);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

/* The system's table is full: the reserve lets this connection in to be closed, and the next one
 * finds the reserve in its place again. */
START_TEST(a_full_system_table_costs_one_connection) {
    struct probe probe = {.made = 0};
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.accept4 = failing_accept4;
    accept_errno = ENFILE;
    accept_failures = 1;
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, &probe, 1);
    uint16_t port = listen_on(reactor, &probes, "127.0.0.1", NULL);
    int before = open_descriptors();
    int unlucky = peer_connect(port);
    ck_assert(turn_until(reactor, &log_lines, 1));
    ck_assert_int_eq(peer_end(unlucky), 0);
    close(unlucky);
    ck_assert_int_eq(open_descriptors(), before);
    int lucky = peer_connect(port);
    ck_assert(turn_until(reactor, &probe.made, 1));
    close(lucky);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Interrupted calls ---- */

static int interruptions;

static bool interrupted(void) {
    errno = EINTR;
    return interruptions-- > 0;
}

static ssize_t interrupted_recv(int fd, void *buffer, size_t len, int flags) {
    return interrupted() ? -1 : dw_syscalls_libc.recv(fd, buffer, len, flags);
}

static ssize_t interrupted_sendmsg(int fd, const struct msghdr *message, int flags) {
    return interrupted() ? -1 : dw_syscalls_libc.sendmsg(fd, message, flags);
}

static ssize_t interrupted_send(int fd, const void *data, size_t len, int flags) {
    return interrupted() ? -1 : dw_syscalls_libc.send(fd, data, len, flags);
}

static int interrupted_connect(int fd, const struct sockaddr *address, socklen_t len) {
    int result = dw_syscalls_libc.connect(fd, address, len); /* goes on in the background */
    if (interrupted()) {
        return -1;
    }
    return result;
}

static int interrupted_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                             const sigset_t *mask) {
    return interrupted() ? -1 : dw_syscalls_libc.ppoll(fds, count, timeout, mask);
}

#ifdef __linux__
static int interrupted_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
    return interrupted() ? -1 : dw_syscalls_libc.epoll_wait(epoll, events, max, timeout);
}
#endif

/* A few interruptions stay inside the wire; more than DW_EINTR_MAX go round the loop. */
START_TEST(interrupted_calls_are_repeated) {
    static const int times[] = {1, DW_EINTR_MAX - 1, DW_EINTR_MAX, 3 * DW_EINTR_MAX + 5};
    struct dw_syscalls sys = dw_syscalls_libc;
    switch (_i % 3) {
    case 0:
        sys.recv = interrupted_recv;
        break;
    case 1:
        sys.sendmsg = interrupted_sendmsg;
        sys.send = interrupted_send;
        break;
    default:
        sys.ppoll = interrupted_ppoll;
#ifdef __linux__
        sys.epoll_wait = interrupted_epoll_wait;
#endif
        break;
    }
    struct probe probe = {.echo = true};
    struct probes probes;
    interruptions = 0;
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, &probe, 1);
    int peer = peer_connect(listen_on(reactor, &probes, "127.0.0.1", NULL));
    ck_assert(turn_until(reactor, &probe.made, 1));
    interruptions = times[_i / 3];
    peer_write(peer, "through");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    for (int i = 0; i < 10 && interruptions >= 0; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
    peer_expect(peer, "through");
    ck_assert_int_eq(probe.lost, 0);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(an_interrupted_connect_goes_on) {
    struct probe probe = {.made = 0};
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.connect = interrupted_connect;
    interruptions = 1;
    uint16_t port;
    int listener = peer_listen(1, &port);
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, &probe, 1);
    ck_assert_int_eq(
        dw_reactor_connect_tcp(reactor, "127.0.0.1", port, &probes.base, 0, NULL, NULL), 0);
    ck_assert(turn_until(reactor, &probe.made, 1));
    close(listener);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Calls that fail ---- */

static int failing_socket(int domain, int type, int protocol) {
    (void)domain;
    (void)type;
    (void)protocol;
    errno = EMFILE;
    return -1;
}

START_TEST(without_a_socket_listen_and_connect_fail_with_the_errno) {
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.socket = failing_socket;
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 0, &probes.base.base, 0, NULL, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), EMFILE);
    ck_assert_int_eq(dw_reactor_connect_tcp(reactor, "127.0.0.1", 1, &probes.base, 0, NULL, NULL),
                     0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_errno, EMFILE);
    dw_reactor_free(reactor);
}
END_TEST

static int failing_pipe2(int fds[2], int flags) {
    (void)fds;
    (void)flags;
    errno = ENFILE;
    return -1;
}

static int failing_open(const char *path, int flags) {
    (void)path;
    (void)flags;
    errno = EMFILE;
    return -1;
}

START_TEST(a_reactor_that_cannot_be_made_leaves_nothing) {
    int before = open_descriptors();
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.pipe2 = failing_pipe2;
    ck_assert_ptr_null(dw_live_reactor_on(poller, NULL, &sys));
    ck_assert_int_eq(errno, ENFILE);
    sys.pipe2 = dw_syscalls_libc.pipe2;
    sys.open = failing_open;
    ck_assert_ptr_null(dw_live_reactor_on(poller, NULL, &sys));
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static ssize_t no_getrandom(void *buffer, size_t len, unsigned flags) {
    (void)buffer;
    (void)len;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

START_TEST(random_bytes_differ_and_their_absence_is_told_once) {
    struct dw_syscalls sys = dw_syscalls_libc;
    uint8_t one[32], two[32];
    for (int weak = 0; weak < 2; weak++) {
        sys.getrandom = weak ? no_getrandom : dw_syscalls_libc.getrandom;
        dw_reactor *reactor = new_reactor_with(&sys);
        dw_reactor_random(reactor, one, sizeof(one));
        dw_reactor_random(reactor, two, sizeof(two));
        ck_assert_mem_ne(one, two, sizeof(one));
        ck_assert_int_eq(log_lines, weak);
        dw_reactor_free(reactor);
    }
}
END_TEST

/* ---- Out of memory ---- */

struct counted {
    int live, until_failure; /* 0: the next one fails; negative: none does */
    bool no_growth;          /* no block gets larger */
};

static bool take(struct counted *counted) {
    if (counted->until_failure == 0) {
        return false;
    }
    counted->until_failure -= counted->until_failure > 0;
    return true;
}

static void *counted_alloc(void *user, size_t size, const char *where) {
    struct counted *counted = user;
    (void)where;
    if (!take(counted)) {
        return NULL;
    }
    counted->live++;
    return malloc(size);
}

static void *counted_resize(void *user, void *block, size_t size, const char *where) {
    struct counted *counted = user;
    (void)where;
    if ((block != NULL && counted->no_growth) || !take(counted)) {
        return NULL;
    }
    counted->live += block == NULL;
    return realloc(block, size);
}

static void counted_release(void *user, void *block) {
    ((struct counted *)user)->live -= block != NULL;
    free(block);
}

START_TEST(each_allocation_of_a_new_reactor_may_fail) {
    struct counted counted = {.live = 0};
    dw_allocator allocator = {counted_alloc, counted_resize, counted_release, &counted};
    dw_poll_options options = {.allocator = &allocator};
    int before = open_descriptors();
    int failures = 0;
    for (;; failures++) {
        counted.until_failure = failures;
        dw_reactor *reactor = dw_live_reactor_new(poller, &options);
        if (reactor != NULL) {
            dw_reactor_free(reactor);
            break;
        }
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_int_eq(counted.live, 0);
        ck_assert_int_eq(open_descriptors(), before);
    }
    /* The reactor, and for poll the two arrays of its set. */
    ck_assert_int_ge(failures, strcmp(poller, "poll") == 0 ? 3 : 1);
    ck_assert_int_eq(counted.live, 0);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* poll's set has room for some sockets and grows with their number. While it cannot, the port rests
 * and the next connection waits in the kernel's queue. epoll's table of so few is one page. */
START_TEST(a_connection_waits_until_there_is_memory) {
    enum { MANY = 40 };
    static struct probe all[MANY];
    struct probes probes;
    int peers[MANY];
    struct counted counted = {.until_failure = -1, .no_growth = true};
    dw_allocator allocator = {counted_alloc, counted_resize, counted_release, &counted};
    dw_poll_options options = {.allocator = &allocator};
    dw_reactor *reactor = dw_live_reactor_new(poller, &options);
    ck_assert_ptr_nonnull(reactor);
    log_lines = 0;
    dw_reactor_set_log(reactor, count_line, NULL);
    memset(all, 0, sizeof(all));
    probes_init(&probes, all, MANY);
    uint16_t port = listen_on(reactor, &probes, "127.0.0.1", NULL);
    for (int i = 0; i < MANY; i++) {
        peers[i] = peer_connect(port);
        ck_assert(turn_until(reactor, &all[i].made, 1));
        counted.no_growth = counted.no_growth && log_lines == 0;
    }
    ck_assert_int_eq(log_lines, strcmp(poller, "poll") == 0);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(all[i].lost, 0);
        close(peers[i]);
    }
    dw_reactor_free(reactor);
    ck_assert_int_eq(counted.live, 0);
}
END_TEST

#ifdef __linux__
static int adds_left; /* descriptors that the kernel still takes into a set */

static int full_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD && adds_left-- == 0) {
        errno = ENOSPC; /* /proc/sys/fs/epoll/max_user_watches, epoll_ctl(2) */
        return -1;
    }
    return dw_syscalls_libc.epoll_ctl(epoll, operation, fd, event);
}

/* As when it is out of descriptors: the port rests, and the system's refusal costs one connection,
 * or, of a port or an attempt, is its errno. */
START_TEST(a_descriptor_that_cannot_be_watched_is_not_kept) {
    struct probe all[2] = {{.made = 0}};
    struct probes probes;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.epoll_ctl = full_epoll_ctl;
    adds_left = 2; /* the wake pipe and the port */
    dw_reactor *reactor = new_reactor_with(&sys);
    probes_init(&probes, all, 2);
    uint16_t port = listen_on(reactor, &probes, "127.0.0.1", NULL);
    int before = open_descriptors();
    int unlucky = peer_connect(port);
    ck_assert(turn_until(reactor, &log_lines, 1));
    ck_assert_int_eq(peer_end(unlucky), 0);
    close(unlucky);
    ck_assert_int_eq(open_descriptors(), before);
    int lucky = peer_connect(port);
    ck_assert(turn_until(reactor, &all[0].made, 1));
    adds_left = 0;
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 0, &probes.base.base, 0, NULL, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENOSPC);
    adds_left = 0;
    ck_assert_int_eq(
        dw_reactor_connect_tcp(reactor, "127.0.0.1", port, &probes.base, 0, NULL, NULL), 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_errno, ENOSPC);
    close(lucky);
    dw_reactor_free(reactor);
}
END_TEST
#endif

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *accepting = tcase_create("accepting");
    tcase_add_test(accepting, a_port_survives_a_process_out_of_descriptors);
    tcase_add_loop_test(accepting, a_port_survives_errors_of_accept, 0, 6);
    tcase_add_test(accepting, a_full_system_table_costs_one_connection);
    tcase_set_timeout(accepting, 3 * LIMIT_S);
    suite_add_tcase(suite, accepting);
    TCase *calls = tcase_create("calls");
    tcase_add_loop_test(calls, interrupted_calls_are_repeated, 0, 12);
    tcase_add_test(calls, an_interrupted_connect_goes_on);
    tcase_add_test(calls, without_a_socket_listen_and_connect_fail_with_the_errno);
    tcase_add_test(calls, a_reactor_that_cannot_be_made_leaves_nothing);
    tcase_add_test(calls, random_bytes_differ_and_their_absence_is_told_once);
    tcase_set_timeout(calls, 3 * LIMIT_S);
    suite_add_tcase(suite, calls);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory, each_allocation_of_a_new_reactor_may_fail);
    tcase_add_test(memory, a_connection_waits_until_there_is_memory);
#ifdef __linux__
    if (strcmp(poller, "epoll") == 0) {
        tcase_add_test(memory, a_descriptor_that_cannot_be_watched_is_not_kept);
    }
#endif
    tcase_set_timeout(memory, 3 * LIMIT_S);
    suite_add_tcase(suite, memory);
    return suite;
}

int main(void) {
    return run_on_each_poller("poll_faults", make_suite);
}
