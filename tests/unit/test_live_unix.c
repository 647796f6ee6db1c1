/* SPDX-License-Identifier: MIT */
/*
 * UNIX streams on real sockets, on each poller: sockets that the program made, files, full queues,
 * calls that fail. The expectations are unix(7)'s and the headers'.
 */
#include "test_poll_support.h"

#include <drywire/wrapper.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- Adopting ---- */

START_TEST(a_listener_that_the_program_made_is_served) {
    struct probe probe = {.echo = true};
    struct probes probes;
    uint16_t number;
    dw_port *port;
    int before = open_descriptors();
    dw_reactor *reactor = new_reactor();
    int fd = peer_listen(5, &number);
    probes_init(&probes, &probe, 1);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, &port), 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_uint_eq(dw_port_host(port).port, number);
    int peer = peer_connect(number);
    ck_assert(turn_until(reactor, &probe.made, 1));
    peer_write(peer, "hello");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    peer_expect(peer, "hello");
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static int tcp_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int udp_socket(void) {
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static int no_socket(void) {
    return dup(0);
}

static int no_descriptor(void) {
    return -1;
}

START_TEST(what_is_no_such_socket_is_not_adopted) {
    static int (*const make[])(void) = {tcp_socket, udp_socket, no_socket, no_descriptor};
    struct probes probes;
    dw_reactor *reactor = new_reactor();
    int before = open_descriptors();
    int fd = make[_i]();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, fd, &probes.base.base),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, NULL),
                     DW_INVALID_ARGUMENT);
    if (fd >= 0) {
        close(fd);
    }
    uint16_t number;
    fd = peer_listen(1, &number);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, fd, &probes.base.base),
                     DW_INVALID_ARGUMENT);
    close(fd);
    ck_assert_int_eq(open_descriptors(), before);
    ck_assert_uint_eq(probes.base.base.num_ports, 0);
    dw_reactor_free(reactor);
}
END_TEST

static int failing_duplicate(int fd) {
    (void)fd;
    errno = EMFILE;
    return -1;
}

static int failing_set_nonblocking(int fd) {
    (void)fd;
    errno = EPERM;
    return -1;
}

START_TEST(adopting_fails_without_a_trace) {
    struct dw_syscalls sys = dw_syscalls_libc;
    struct probes probes;
    uint16_t number;
    int fd = peer_listen(1, &number);
    if (_i == 0) {
        sys.duplicate = failing_duplicate;
    } else {
        sys.set_nonblocking = failing_set_nonblocking;
    }
    dw_reactor *reactor = new_reactor_on(&sys);
    int before = open_descriptors();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, NULL),
                     DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), _i == 0 ? EMFILE : EPERM);
    ck_assert_int_eq(open_descriptors(), before);
    ck_assert_uint_eq(dw_reactor_count(reactor).ports, 0);
    close(fd);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Files ---- */

static char dir[] = "/tmp/drywire-XXXXXX";
static char path[64];

static void make_dir(void) {
    strcpy(dir, "/tmp/drywire-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
}

static void remove_dir(void) {
    ck_assert_int_eq(rmdir(dir), 0); /* empty, or it fails */
}

/* 0666 is Twisted's, whatever the umask. */
START_TEST(the_file_has_the_bits_that_were_asked_for) {
    static const unsigned asked[] = {0, 0600, 0750};
    static const unsigned bits[] = {0666, 0600, 0750};
    struct probes probes;
    struct stat status;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    mode_t mask = umask(077);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, asked[_i], NULL),
                     0);
    umask(mask);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, bits[_i]);
    dw_reactor_free(reactor); /* takes the file with it */
}
END_TEST

START_TEST(a_file_that_was_put_in_its_place_stays) {
    struct probes probes;
    struct stat status;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, 0, NULL), 0);
    /* A new inode, made before the old one is given back, so that it cannot have its number. */
    char other[80];
    snprintf(other, sizeof(other), "%s-2", path);
    int fd = open(other, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(rename(other, path), 0);
    dw_reactor_free(reactor);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISREG(status.st_mode));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(an_adopted_socket_leaves_its_file) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct probe probe = {.made = 0};
    struct probes probes;
    dw_port *port;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, &port), 0);
    close(fd);
    ck_assert_str_eq(dw_port_host(port).path, path);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, 0, NULL), 0);
    ck_assert(turn_until(reactor, &probe.made, 1));
    dw_reactor_free(reactor);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static int failing_chmod(const char *file, mode_t mode) {
    (void)file, (void)mode;
    errno = EPERM;
    return -1;
}

START_TEST(a_file_without_its_bits_is_not_left_behind) {
    struct dw_syscalls sys = dw_syscalls_libc;
    struct probes probes;
    sys.chmod = failing_chmod;
    dw_reactor *reactor = new_reactor_on(&sys);
    int before = open_descriptors();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), EPERM);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(open_descriptors(), before);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Attempts at a listener whose queue is full ---- */

/* Linux lets one more wait than listen(2) says: a backlog of 0 takes one. */
static int full_listener(int *waiting) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    *waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(*waiting, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

START_TEST(an_attempt_waits_for_room_in_the_queue) {
    struct probe probe = {.made = 0};
    struct probes probes;
    int waiting, listener = full_listener(&waiting);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, 0, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(20)), 0);
    }
    ck_assert_int_eq(probe.made + probes.failed, 0);
    ck_assert_uint_eq(dw_reactor_count(reactor).connecting, 1);
    int first = accept(listener, NULL, NULL);
    ck_assert(turn_until(reactor, &probe.made, 1));
    int ours = accept(listener, NULL, NULL);
    peer_write(ours, "welcome");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    ck_assert_str_eq(probe.first, "welcome");
    dw_reactor_free(reactor);
    close(ours);
    close(first);
    close(waiting);
    close(listener);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(an_attempt_at_a_full_queue_times_out) {
    struct probes probes;
    int waiting, listener = full_listener(&waiting);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, DW_MSEC(60), NULL), 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_TIMEOUT);
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 0);
    dw_reactor_free(reactor);
    close(waiting);
    close(listener);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *adopted = tcase_create("adopted");
    tcase_add_test(adopted, a_listener_that_the_program_made_is_served);
    tcase_add_loop_test(adopted, what_is_no_such_socket_is_not_adopted, 0, 4);
    tcase_add_loop_test(adopted, adopting_fails_without_a_trace, 0, 2);
    suite_add_tcase(suite, adopted);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_loop_test(files, the_file_has_the_bits_that_were_asked_for, 0, 3);
    tcase_add_test(files, a_file_that_was_put_in_its_place_stays);
    tcase_add_test(files, an_adopted_socket_leaves_its_file);
    tcase_add_test(files, a_file_without_its_bits_is_not_left_behind);
    tcase_add_test(files, an_attempt_waits_for_room_in_the_queue);
    tcase_add_test(files, an_attempt_at_a_full_queue_times_out);
    tcase_set_timeout(files, 3 * LIMIT_S);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void) {
    return run_on_each_poller("live_unix", make_suite);
}
