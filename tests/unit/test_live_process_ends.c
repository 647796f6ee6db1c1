/* SPDX-License-Identifier: MIT */
/*
 * How child processes on the live wire end and fail: other people's children, systems without
 * pidfds, every system call that can fail, threads. What is common to all wires is in
 * tests/conformance/test_processes.c.
 */
#include "live_jobs.h"

#include <fcntl.h>

static struct dw_syscalls sys;

/* ---- Other people's children ---- */

/* A child of the program that is none of the reactor's. */
static pid_t foreign_child(int status) {
    pid_t pid = fork();
    if (pid == 0) {
        _exit(status);
    }
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void expect_status(pid_t pid, int status) {
    int got = 0;
    ck_assert_int_eq(waitpid(pid, &got, 0), pid);
    ck_assert(WIFEXITED(got) && WEXITSTATUS(got) == status);
}

START_TEST(children_of_others_are_not_waited_for) {
    dw_reactor *reactor = new_reactor();
    job j;
    pid_t foreign = foreign_child(5);
    run_sh(reactor, &j, "exit 3", (dw_spawn_options){0});
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 3);
    expect_status(foreign, 5);
    ck_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* ours was */
    dw_reactor_free(reactor);
}
END_TEST

static unsigned lines;

static void count_line(void *user, const char *line) {
    (void)user;
    ck_assert_ptr_nonnull(strstr(line, "is not known"));
    lines++;
}

START_TEST(a_child_that_another_has_waited_for_is_reported_as_255) {
    dw_reactor *reactor = new_reactor();
    job j;
    lines = 0;
    dw_reactor_set_log(reactor, count_line, NULL);
    spawn_sh(reactor, &j, "exit 3");
    expect_status(dw_process_pid(j.protocol.transport), 3);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 255);
    ck_assert_uint_eq(lines, 1);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_child_outlives_its_reactor_and_becomes_the_programs) {
    dw_reactor *reactor = new_reactor();
    job j;
    spawn_sh(reactor, &j, "cat; exit 4");
    pid_t pid = dw_process_pid(j.protocol.transport);
    dw_reactor_free(reactor);
    ck_assert(j.destroyed);
    ck_assert_ptr_null(j.protocol.transport);
    ck_assert_int_eq(j.lost + j.ended, 0);
    expect_status(pid, 4); /* its stdin has ended */
}
END_TEST

static void stop_it(void *user) {
    ck_assert_int_eq(dw_reactor_stop(user), 0);
}

START_TEST(a_child_that_ends_after_a_run_is_told_of_in_the_next) {
    dw_reactor *reactor = new_reactor();
    dw_delayed_call call = {0};
    job j;
    spawn_sh(reactor, &j, "cat; exit 4");
    dw_reactor_call_later(reactor, &call, 0, stop_it, reactor);
    ck_assert_int_eq(dw_reactor_run(reactor), 0);
    ck_assert_int_eq(j.lost, 3);
    ck_assert_int_eq(j.ended, 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 4);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Without pidfds ---- */

static int no_pidfd(pid_t pid, unsigned flags) {
    (void)pid, (void)flags;
    errno = ENOSYS;
    return -1;
}

static volatile sig_atomic_t heard;

static void hear(int number) {
    heard += number == SIGCHLD;
}

static dw_reactor *reactor_without_pidfds(void) {
    sys = dw_syscalls_libc;
    sys.pidfd_open = no_pidfd;
    return new_reactor_on(&sys);
}

START_TEST(without_pidfds_sigchld_tells) {
    dw_reactor *reactor = reactor_without_pidfds();
    struct sigaction mine = {.sa_handler = hear}, now;
    job several[5];
    heard = 0;
    ck_assert_int_eq(sigaction(SIGCHLD, &mine, NULL), 0);
    pid_t foreign = foreign_child(5);
    int before = heard;
    for (int i = 0; i < 5; i++) {
        spawn_sh(reactor, &several[i], i % 2 == 0 ? "exit 3" : "read x; exit 4");
    }
    for (int i = 0; i < 5; i += 2) {
        ck_assert(turn_until(reactor, &several[i].ended, 1));
        ck_assert_int_eq(dw_reason_exit_status(&several[i].reason), 3);
    }
    ck_assert_int_eq(several[1].ended, 0);
    ck_assert_int_eq(dw_process_signal(several[1].protocol.transport, SIGKILL), 0);
    dw_process_close_stdin(several[3].protocol.transport);
    ck_assert(turn_until(reactor, &several[1].ended, 1));
    ck_assert(turn_until(reactor, &several[3].ended, 1));
    ck_assert_int_eq(dw_reason_exit_signal(&several[1].reason), SIGKILL);
    ck_assert_int_eq(dw_reason_exit_status(&several[3].reason), 4);
    expect_status(foreign, 5);
    ck_assert_int_gt(heard, before); /* the program's handler was called too, */
    ck_assert_int_eq(sigaction(SIGCHLD, NULL, &now), 0);
    ck_assert(now.sa_handler == hear); /* and is back */
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_pidfds_a_forgotten_child_takes_the_handler_along) {
    dw_reactor *reactor = reactor_without_pidfds();
    struct sigaction now;
    job j;
    spawn_sh(reactor, &j, "cat; exit 4");
    pid_t pid = dw_process_pid(j.protocol.transport);
    dw_reactor_free(reactor);
    ck_assert_int_eq(sigaction(SIGCHLD, NULL, &now), 0);
    ck_assert(now.sa_handler == SIG_DFL);
    expect_status(pid, 4);
}
END_TEST

/* sigaction(2), SA_NOCLDWAIT: no zombies, and so no status. */
START_TEST(where_sigchld_is_ignored_the_end_is_heard_of_all_the_same) {
    for (int pidfds = 0; pidfds < 2; pidfds++) {
        dw_reactor *reactor = pidfds == 0 ? reactor_without_pidfds() : new_reactor();
        job j;
        lines = 0;
        signal(SIGCHLD, SIG_IGN);
        dw_reactor_set_log(reactor, count_line, NULL);
        run_sh(reactor, &j, "exit 3", (dw_spawn_options){0});
        ck_assert_int_eq(dw_reason_exit_status(&j.reason), 255);
        ck_assert_uint_eq(lines, 1);
        dw_reactor_free(reactor);
    }
}
END_TEST

/* ---- What fails ---- */

static int pipes_left, fcntls_left;

static int pipe2_counted(int fds[2], int flags) {
    if (pipes_left-- == 0) {
        errno = EMFILE;
        return -1;
    }
    return dw_syscalls_libc.pipe2(fds, flags);
}

static int fcntl_counted(int fd, int command, int value) {
    if (fcntls_left-- == 0) {
        errno = EIO;
        return -1;
    }
    return fcntl(fd, command, value);
}

static pid_t no_process(void (*run)(void *user), void *user) {
    (void)run, (void)user;
    errno = EAGAIN;
    return -1;
}

static int open_count(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void expect_failure(dw_reactor *reactor, int error) {
    static const char *const argv[] = {"true", NULL};
    int before = open_count();
    job j;
    ck_assert_int_eq(try_spawn(reactor, &j, &(dw_spawn_options){.argv = argv}), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), error);
    ck_assert_int_eq(open_count(), before);
    ck_assert(!j.destroyed);
    ck_assert_uint_eq(dw_reactor_count(reactor).processes, 0);
}

START_TEST(what_fails_in_spawn_leaves_nothing_behind) {
    sys = dw_syscalls_libc;
    sys.pipe2 = pipe2_counted;
    sys.fcntl = fcntl_counted;
    pipes_left = fcntls_left = 100;
    dw_reactor *reactor = new_reactor_on(&sys);
    job j;
    run_sh(reactor, &j, "exit 0", (dw_spawn_options){0});
    for (int i = 0; i < 3; i++) {
        pipes_left = i;
        fcntls_left = 100;
        expect_failure(reactor, EMFILE);
        pipes_left = 100;
        fcntls_left = i;
        expect_failure(reactor, EIO);
    }
    pipes_left = fcntls_left = 100;
    sys.vfork_run = no_process;
    expect_failure(reactor, EAGAIN);
    sys.vfork_run = dw_syscalls_libc.vfork_run;
    run_sh(reactor, &j, "exit 0", (dw_spawn_options){0});
    dw_reactor_free(reactor);
}
END_TEST

static int no_handler(int number, const struct sigaction *action, struct sigaction *old) {
    (void)number, (void)action, (void)old;
    errno = EINVAL;
    return -1;
}

START_TEST(a_child_whose_end_nobody_could_hear_of_is_not_left_running) {
    sys = dw_syscalls_libc;
    sys.pidfd_open = no_pidfd;
    sys.sigaction = no_handler;
    dw_reactor *reactor = new_reactor_on(&sys);
    expect_failure(reactor, EINVAL);
    ck_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    dw_reactor_free(reactor);
}
END_TEST

/* P_PIDFD came with Linux 5.4, pidfd_open with 5.3. */
static int waitid_of_5_3(idtype_t type, id_t id, siginfo_t *info, int options) {
    if (type != P_PID) {
        errno = EINVAL;
        return -1;
    }
    return waitid(type, id, info, options);
}

static int no_pidfd_signal(int pidfd, int signal) {
    (void)pidfd, (void)signal;
    errno = EPERM; /* a sandbox */
    return -1;
}

START_TEST(a_kernel_with_half_of_the_pidfd_calls_is_fine) {
    sys = dw_syscalls_libc;
    sys.waitid = waitid_of_5_3;
    sys.pidfd_send_signal = no_pidfd_signal;
    dw_reactor *reactor = new_reactor_on(&sys);
    job j;
    spawn_sh(reactor, &j, "exec sleep 5");
    ck_assert_int_eq(dw_process_signal_process(j.protocol.transport, "TERM"), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_int_eq(dw_reason_exit_signal(&j.reason), SIGTERM);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Other threads ---- */

static volatile int churning;

static void *churn(void *unused) {
    while (churning) {
        free(malloc(1000));
        setenv("DW_PROCESS_CHURN", "x", 0);
    }
    return unused;
}

START_TEST(children_start_while_other_threads_take_memory) {
    dw_reactor *reactor = new_reactor();
    pthread_t threads[2];
    job j;
    churning = 1;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (int i = 0; i < 50; i++) {
        run_sh(reactor, &j, "exit 3", (dw_spawn_options){0});
        ck_assert_int_eq(dw_reason_exit_status(&j.reason), 3);
    }
    churning = 0;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("ends");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, children_of_others_are_not_waited_for);
    tcase_add_test(tc, a_child_that_another_has_waited_for_is_reported_as_255);
    tcase_add_test(tc, a_child_outlives_its_reactor_and_becomes_the_programs);
    tcase_add_test(tc, a_child_that_ends_after_a_run_is_told_of_in_the_next);
    tcase_add_test(tc, without_pidfds_sigchld_tells);
    tcase_add_test(tc, without_pidfds_a_forgotten_child_takes_the_handler_along);
    tcase_add_test(tc, where_sigchld_is_ignored_the_end_is_heard_of_all_the_same);
    tcase_add_test(tc, what_fails_in_spawn_leaves_nothing_behind);
    tcase_add_test(tc, a_child_whose_end_nobody_could_hear_of_is_not_left_running);
    tcase_add_test(tc, a_kernel_with_half_of_the_pidfd_calls_is_fine);
    tcase_add_test(tc, children_start_while_other_threads_take_memory);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("live process ends", make);
}
