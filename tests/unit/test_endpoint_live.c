/* SPDX-License-Identifier: MIT */
/*
 * Endpoints on real sockets, on each poller: TCP, UNIX sockets with their files, descriptors that
 * the process was given, and those of a service manager (sd_listen_fds(3)).
 */
#include "test_poll_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static dw_reactor *reactor;

/* ---- A client and a server ---- */

typedef struct caller {
    dw_connecting connecting;
    int connected, failed;
    dw_error kind;
    int sys_errno;
} caller;

static void caller_connected(dw_connecting *connecting, dw_protocol *protocol) {
    caller *c = connecting->user;
    ck_assert(protocol->connected);
    c->connected++;
}

static void caller_failed(dw_connecting *connecting, const dw_reason *reason) {
    caller *c = connecting->user;
    c->kind = reason->kind;
    c->sys_errno = reason->sys_errno;
    c->failed++;
}

static struct probe server_probes[4], client_probe;
static struct probes server, client;
static caller c;

static void begin(void) {
    memset(server_probes, 0, sizeof(server_probes));
    memset(&client_probe, 0, sizeof(client_probe));
    memset(&c, 0, sizeof(c));
    probes_init(&server, server_probes, 4);
    probes_init(&client, &client_probe, 1);
    reactor = new_reactor();
}

static dw_port *serve(const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_server_endpoint *endpoint = NULL;
    dw_port *port = NULL;
    int result = dw_server_endpoint_parse(reactor, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s: %s", description, error);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.base.base, &port), 0);
    dw_server_endpoint_free(endpoint);
    return port;
}

static void call(const char *description) {
    char error[DW_ENDPOINT_ERROR_MAX] = "";
    dw_client_endpoint *endpoint = NULL;
    int result = dw_client_endpoint_parse(reactor, description, &endpoint, error, sizeof(error));
    ck_assert_msg(result == 0, "%s: %s", description, error);
    ck_assert_int_eq(dw_endpoint_connect(endpoint, &c.connecting, &client.base.base,
                                         caller_connected, caller_failed, &c),
                     0);
    dw_client_endpoint_free(endpoint);
}

static void meet(const char *description) {
    call(description);
    ck_assert(turn_until(reactor, &c.connected, 1));
    ck_assert(turn_until(reactor, &server_probes[0].made, 1));
}

START_TEST(tcp_meets_tcp) {
    static const char *const servers[] = {"tcp:0:interface=127.0.0.1", "tcp6:0:interface=\\:\\:1",
                                          "tcp:0"};
    static const char *const clients[] = {"tcp:127.0.0.1:%u", "tcp6:\\:\\:1:%u",
                                          "tcp:localhost:%u"};
    char description[60];
    begin();
    dw_port *port = serve(servers[_i]);
    snprintf(description, sizeof(description), clients[_i], (unsigned)dw_port_host(port).port);
    meet(description);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_name_that_cannot_be_is_a_look_up_failure) {
    begin();
    call("tcp:nobody.invalid:80");
    ck_assert(turn_until(reactor, &c.failed, 1));
    ck_assert_int_eq(c.kind, DW_DNS_LOOKUP);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_dry_wires_prefix_is_unknown_here) {
    char error[DW_ENDPOINT_ERROR_MAX] = "", expected[DW_ENDPOINT_ERROR_MAX];
    dw_client_endpoint *endpoint = NULL;
    begin();
    ck_assert_int_eq(
        dw_client_endpoint_parse(reactor, "sim:server:80", &endpoint, error, sizeof(error)),
        DW_INVALID_ARGUMENT);
    snprintf(expected, sizeof(expected),
             "there is no client endpoint 'sim:' on the wire '%s'; it has tcp, tcp6, unix", poller);
    ck_assert_str_eq(error, expected);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- UNIX sockets ---- */

static char directory[] = "/tmp/drywire-endpoint-XXXXXX";

START_TEST(unix_meets_unix) {
    char server_text[100], client_text[100], path[100];
    struct stat facts;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/a:b=c", directory);
    snprintf(server_text, sizeof(server_text), "unix:%s/a\\:b\\=c:mode=600:backlog=5", directory);
    snprintf(client_text, sizeof(client_text), "unix:%s/a\\:b\\=c:timeout=9", directory);
    begin();
    serve(server_text);
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_uint_eq(facts.st_mode & 0777, 0600);
    meet(client_text);
    dw_reactor_free(reactor);
    unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(abstract_names_meet) {
    char server_text[80], client_text[80];
    begin();
    snprintf(server_text, sizeof(server_text), "unix:@drywire-endpoint-%d", (int)getpid());
    snprintf(client_text, sizeof(client_text), "unix:path=@drywire-endpoint-%d", (int)getpid());
    serve(server_text);
    meet(client_text);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_file_that_is_not_there_fails_with_its_errno) {
    begin();
    call("unix:/nowhere/at/all");
    ck_assert(turn_until(reactor, &c.failed, 1));
    ck_assert_int_eq(c.sys_errno, ENOENT);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Descriptors ---- */

START_TEST(a_given_listener_is_served) {
    char server_text[40], client_text[40];
    uint16_t port;
    begin();
    int fd = peer_listen(5, &port);
    snprintf(server_text, sizeof(server_text), "fd:%d", fd);
    snprintf(client_text, sizeof(client_text), "tcp:127.0.0.1:%u", (unsigned)port);
    serve(server_text);
    close(fd); /* the port has one of its own */
    meet(client_text);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_listener_is_given_without_a_description) {
    char text[40];
    uint16_t port;
    begin();
    int fd = peer_listen(5, &port);
    dw_server_endpoint *endpoint = dw_fd_server_endpoint_new(reactor, fd);
    ck_assert_ptr_nonnull(endpoint);
    ck_assert_int_eq(dw_endpoint_listen(endpoint, &server.base.base, NULL), 0);
    dw_server_endpoint_free(endpoint);
    ck_assert_int_eq(close(fd), 0); /* it stayed the program's */
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", (unsigned)port);
    meet(text);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(what_is_no_listener_is_refused_when_it_is_used) {
    dw_server_endpoint *endpoint = NULL;
    int fds[2];
    char text[40];
    begin();
    ck_assert_int_eq(pipe(fds), 0);
    snprintf(text, sizeof(text), "fd:%d", fds[0]);
    ck_assert_int_eq(dw_server_endpoint_parse(reactor, text, &endpoint, NULL, 0), 0);
    ck_assert_int_lt(dw_endpoint_listen(endpoint, &server.base.base, NULL), 0);
    dw_server_endpoint_free(endpoint);
    dw_reactor_free(reactor);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* ---- The service manager's ---- */

/* A process as a service manager starts it: descriptors 3 and 4 listen, the environment says so.
 * Returns its exit status: 0, or the number of the check that failed. No Check in here: its
 * descriptors may be among those that are replaced. */
typedef struct started {
    const char *pid, *fds, *names; /* NULL: not set; "own": this process's */
} started;

static void set(const char *name, const char *value) {
    char own[20];
    snprintf(own, sizeof(own), "%d", (int)getpid());
    if (value == NULL) {
        unsetenv(name);
    } else {
        setenv(name, strcmp(value, "own") == 0 ? own : value, 1);
    }
}

static int as_service(const started *s, int (*body)(void)) {
    uint16_t ports[2];
    int listeners[2] = {peer_listen(5, &ports[0]), peer_listen(5, &ports[1])};
    pid_t child = fork();
    if (child == 0) {
        int high[2] = {fcntl(listeners[0], F_DUPFD, 100), fcntl(listeners[1], F_DUPFD, 100)};
        dup2(high[0], 3);
        dup2(high[1], 4);
        set("LISTEN_PID", s->pid);
        set("LISTEN_FDS", s->fds);
        set("LISTEN_FDNAMES", s->names);
        probes_init(&server, server_probes, 4);
        reactor = dw_live_reactor_on(poller, NULL, &dw_syscalls_libc);
        _exit(reactor == NULL ? 99 : body());
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    close(listeners[0]);
    close(listeners[1]);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The port that a description listens on is the one of descriptor `fd`. */
static bool listens_on(const char *description, int fd) {
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    dw_server_endpoint *endpoint = NULL;
    dw_port *port = NULL;
    bool same = getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
                dw_server_endpoint_parse(reactor, description, &endpoint, NULL, 0) == 0 &&
                dw_endpoint_listen(endpoint, &server.base.base, &port) == 0 &&
                dw_port_host(port).port == ntohs(at.sin_port);
    dw_server_endpoint_free(endpoint);
    return same && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static char said[DW_ENDPOINT_ERROR_MAX];

static bool refuses(const char *description, const char *error) {
    dw_server_endpoint *endpoint = NULL;
    return dw_server_endpoint_parse(reactor, description, &endpoint, said, sizeof(said)) ==
               DW_INVALID_ARGUMENT &&
           strcmp(said, error) == 0;
}

static int two_sockets(void) {
    return !listens_on("systemd:index=0", 3)                                                   ? 1
           : !listens_on("systemd:INET:1", 4)                                                  ? 2
           : !listens_on("systemd:domain=INET:index=1", 4)                                     ? 3
           : !listens_on("systemd:name=web", 3)                                                ? 4
           : !listens_on("systemd:name=admin", 4)                                              ? 5
           : !refuses("systemd:name=adm", "no socket called 'adm' was handed to this process") ? 6
           : !refuses("systemd:index=2", "no socket 2: 2 were handed to this process")         ? 7
           : !refuses("systemd:index=0:name=web", "it takes either 'index' or 'name'")         ? 8
           : !refuses("systemd:INET", "it takes either 'index' or 'name'")                     ? 9
           : !refuses("systemd:index=x", "'index' is not a number: 'x'")                       ? 10
                                                                                               : 0;
}

static int no_sockets(void) {
    return refuses("systemd:index=0", "no sockets were handed to this process (LISTEN_PID, "
                                      "LISTEN_FDS)")
               ? 0
               : 1;
}

static int no_names(void) {
    return !listens_on("systemd:index=0", 3)                                                   ? 1
           : !refuses("systemd:name=web", "no socket called 'web' was handed to this process") ? 2
                                                                                               : 0;
}

START_TEST(sockets_of_the_service_manager_are_found_by_number_and_by_name) {
    ck_assert_int_eq(as_service(&(started){"own", "2", "web:admin"}, two_sockets), 0);
}
END_TEST

START_TEST(without_names_there_are_numbers) {
    ck_assert_int_eq(as_service(&(started){"own", "2", _i == 0 ? NULL : ""}, no_names), 0);
}
END_TEST

/* Each of these is how sd_listen_fds answers 0. */
START_TEST(what_was_meant_for_another_process_is_left_alone) {
    static const started others[] = {
        {NULL, NULL, NULL},    {"1", "2", "web:admin"}, {"own", NULL, "web"},
        {"own", "0", NULL},    {NULL, "2", NULL},       {"own", "-1", NULL},
        {"own", "two", "web"}, {"own", "2x", NULL},     {"own", "99999999999999999999", NULL}};
    ck_assert_int_eq(as_service(&others[_i], no_sockets), 0);
}
END_TEST

/* ---- The end ---- */

/* An attempt under way and a connection: freed without a callback, and nothing is left (memory
 * checkers look on). */
START_TEST(a_reactor_is_freed_whatever_its_endpoints_do) {
    char description[40];
    uint16_t port;
    int before = open_descriptors();
    int listener = peer_listen(5, &port);
    begin();
    snprintf(description, sizeof(description), "tcp:127.0.0.1:%u", (unsigned)port);
    call(description);
    if (_i > 0) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    }
    if (_i > 1) {
        ck_assert(turn_until(reactor, &c.connected, 1));
    }
    dw_reactor_free(reactor);
    ck_assert_int_eq(c.failed, 0);
    close(listener);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("endpoints");
    tcase_add_loop_test(tc, tcp_meets_tcp, 0, 3);
    tcase_add_test(tc, a_name_that_cannot_be_is_a_look_up_failure);
    tcase_add_test(tc, the_dry_wires_prefix_is_unknown_here);
    tcase_add_test(tc, unix_meets_unix);
    tcase_add_test(tc, abstract_names_meet);
    tcase_add_test(tc, a_file_that_is_not_there_fails_with_its_errno);
    tcase_add_test(tc, a_given_listener_is_served);
    tcase_add_test(tc, a_listener_is_given_without_a_description);
    tcase_add_test(tc, what_is_no_listener_is_refused_when_it_is_used);
    tcase_add_test(tc, sockets_of_the_service_manager_are_found_by_number_and_by_name);
    tcase_add_loop_test(tc, without_names_there_are_numbers, 0, 2);
    tcase_add_loop_test(tc, what_was_meant_for_another_process_is_left_alone, 0, 9);
    tcase_add_loop_test(tc, a_reactor_is_freed_whatever_its_endpoints_do, 0, 3);
    tcase_set_timeout(tc, 3 * LIMIT_S);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("endpoint_live", make_suite);
}
