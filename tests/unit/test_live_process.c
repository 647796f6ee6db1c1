/* SPDX-License-Identifier: MIT */
/*
 * Child processes on the live wire: what a real child finds (descriptors, signals, directory, user,
 * PATH). What is common to all wires is in tests/conformance/test_processes.c. The children are
 * this program itself, started with another first argument, and sh.
 */
#define _DEFAULT_SOURCE /* setgroups */

#include "live_jobs.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

/* ---- The child's side ---- */

/* "7:12345 " for each open descriptor below 1024: its number and its inode. */
static void child_fds(int out) {
    char line[64];
    for (int fd = 0; fd < 1024; fd++) {
        struct stat s;
        if (fstat(fd, &s) == 0) {
            int n = snprintf(line, sizeof(line), "%d:%llu ", fd, (unsigned long long)s.st_ino);
            (void)!write(out, line, (size_t)n);
        }
    }
}

/* "13i 15b " for signals that are ignored and blocked. */
static void child_signals(int out) {
    char line[64];
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int number = 1; number <= 64; number++) {
        struct sigaction action;
        bool ignored = sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
        bool held = sigismember(&blocked, number) == 1;
        if (ignored || held) {
            int n = snprintf(line, sizeof(line), "%d%s ", number, ignored ? "i" : "b");
            (void)!write(out, line, (size_t)n);
        }
    }
}

static void child_main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--fds") == 0) {
        child_fds(atoi(argv[2]));
        _exit(0);
    }
    if (argc == 3 && strcmp(argv[1], "--signals") == 0) {
        child_signals(atoi(argv[2]));
        _exit(0);
    }
}

static const char *const own_program = "/proc/self/exe";

/* ---- Descriptors ---- */

static unsigned long long inode_of(int fd) {
    struct stat s;
    ck_assert_int_eq(fstat(fd, &s), 0);
    return (unsigned long long)s.st_ino;
}

/* A file without a name, at the descriptor `fd`, which the child would inherit. */
static void file_at(int fd) {
    char name[] = "/tmp/dw_process_XXXXXX";
    int file = mkstemp(name);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(dup2(file, fd), fd);
    close(file);
}

enum { FILES = 6, FIRST_FILE = 20, OUT_FD = 9 };

static unsigned random_state;

static unsigned random_below(unsigned n) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % n;
}

/* The child's 20 to 25 and 3 to 8 are ours of 20 to 25, in any order and doubled. */
static size_t random_map(dw_child_fd *map, char *expected, size_t size) {
    size_t count = 0, n = 0;
    static const int numbers[] = {3, 4, 5, 6, 7, 8, 20, 21, 22, 23, 24, 25};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i] == 20) { /* the output's place in order */
            map[count++] = (dw_child_fd){OUT_FD, DW_CHILD_WRITES, 0};
        }
        if (random_below(3) == 0) {
            continue;
        }
        int from = FIRST_FILE + (int)random_below(FILES);
        map[count++] = (dw_child_fd){numbers[i], DW_CHILD_INHERITS, from};
        n += (size_t)snprintf(expected + n, size - n, "%d:%llu ", numbers[i], inode_of(from));
    }
    for (size_t i = count; i > 1; i--) { /* the order of the map means nothing */
        size_t j = random_below((unsigned)i);
        dw_child_fd other = map[i - 1];
        map[i - 1] = map[j];
        map[j] = other;
    }
    return count;
}

/* Without the "9:inode " of the output. */
static void without_output(char *text) {
    char *at = strncmp(text, "9:", 2) == 0 ? text : strstr(text, " 9:");
    ck_assert_ptr_nonnull(at);
    at += *at == ' ';
    char *behind = strchr(at, ' ') + 1;
    memmove(at, behind, strlen(behind) + 1);
}

static void check_maps(dw_reactor *reactor, unsigned rounds) {
    const char *argv[] = {own_program, "--fds", "9", NULL};
    job j;
    for (int i = 0; i < FILES; i++) {
        file_at(FIRST_FILE + i);
    }
    file_at(57); /* nobody asks for it */
    for (unsigned round = 0; round < rounds; round++) {
        dw_child_fd map[16];
        char expected[1000] = "";
        random_state = round;
        size_t count = random_map(map, expected, sizeof(expected));
        dw_spawn_options options = {.argv = argv, .fds = map, .fd_count = count};
        ck_assert_int_eq(try_spawn(reactor, &j, &options), 0);
        ck_assert(turn_until(reactor, &j.ended, 1));
        without_output(j.out);
        ck_assert_str_eq(j.out, expected);
    }
}

START_TEST(any_map_of_descriptors_comes_out_right_and_nothing_else_is_open) {
    dw_reactor *reactor = new_reactor();
    check_maps(reactor, 40);
    dw_reactor_free(reactor);
}
END_TEST

static struct dw_syscalls sys;
static int range_calls, listings;

static int no_close_range(unsigned first, unsigned last, unsigned flags) {
    (void)first, (void)last, (void)flags;
    range_calls++; /* in the child, on our memory: vfork */
    errno = ENOSYS;
    return -1;
}

static bool no_proc;

static int open_counted(const char *path, int flags) {
    listings += strcmp(path, "/proc/self/fd") == 0;
    if (no_proc && strncmp(path, "/proc", 5) == 0) {
        errno = ENOENT;
        return -1;
    }
    return open(path, flags);
}

START_TEST(without_close_range_the_open_descriptors_are_looked_up) {
    sys = dw_syscalls_libc;
    sys.close_range = no_close_range;
    sys.open = open_counted;
    dw_reactor *reactor = new_reactor_on(&sys);
    check_maps(reactor, 10);
    ck_assert_int_eq(range_calls, 10);
    ck_assert_int_eq(listings, 10);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_proc_too_descriptors_are_closed_by_number) {
    sys = dw_syscalls_libc;
    sys.close_range = no_close_range;
    sys.open = open_counted;
    no_proc = true;
    dw_reactor *reactor = new_reactor_on(&sys);
    check_maps(reactor, 5);
    ck_assert_int_eq(listings, 5);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_source_that_is_not_open_ends_with_1_and_a_word) {
    static const char *const argv[] = {"true", NULL};
    static const dw_child_fd map[] = {{2, DW_CHILD_WRITES, 0}, {5, DW_CHILD_INHERITS, 900}};
    dw_reactor *reactor = new_reactor();
    job j;
    dw_spawn_options options = {.argv = argv, .fds = map, .fd_count = 2};
    ck_assert_int_eq(try_spawn(reactor, &j, &options), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 1);
    ck_assert_str_eq(j.err, "true: cannot be given its descriptors: no such descriptor\n");
    dw_reactor_free(reactor);
}
END_TEST

/* The standard descriptors of this program may be closed, and then pipes get their numbers. */
START_TEST(our_own_standard_descriptors_may_be_closed) {
    dw_reactor *reactor = new_reactor();
    job j;
    int saved[3];
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
        close(fd);
    }
    spawn_sh(reactor, &j, "cat; echo err >&2");
    dw_process_write(j.protocol.transport, "in", 2);
    dw_process_close_stdin(j.protocol.transport);
    bool ended = turn_until(reactor, &j.ended, 1);
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
    }
    ck_assert(ended);
    ck_assert_str_eq(j.out, "in");
    ck_assert_str_eq(j.err, "err\n");
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Signals ---- */

static void nothing(int number) {
    (void)number;
}

START_TEST(a_child_starts_with_default_signals_and_an_empty_mask) {
    static const char *const argv[] = {"/proc/self/exe", "--signals", "1", NULL};
    dw_reactor *reactor = new_reactor();
    sigset_t some;
    job j;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGHUP);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &some, NULL), 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, nothing);
    ck_assert_int_eq(try_spawn(reactor, &j, &(dw_spawn_options){.argv = argv}), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_str_eq(j.out, "");
    ck_assert_int_eq(j.reason.kind, DW_PROCESS_DONE);
    /* And ours are as they were. */
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    ck_assert(sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGINT) == 0);
    struct sigaction action;
    sigaction(SIGUSR2, NULL, &action);
    ck_assert(action.sa_handler == nothing);
    dw_reactor_free(reactor);
}
END_TEST

/* signal(7): a SIGPIPE that somebody else has sent us stays pending. */
START_TEST(a_sigpipe_that_is_pending_already_is_left_alone) {
    dw_reactor *reactor = new_reactor();
    sigset_t pipe_only, pending;
    job j;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &pipe_only, NULL), 0);
    raise(SIGPIPE);
    spawn_sh(reactor, &j, "exec <&-; exec sleep 5");
    while (j.lost == 0) {
        dw_process_write(j.protocol.transport, "x", 1);
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(1)), 0);
    }
    sigpending(&pending);
    ck_assert(sigismember(&pending, SIGPIPE) == 1);
    ck_assert_int_eq(dw_process_signal_process(j.protocol.transport, "KILL"), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    dw_reactor_free(reactor);
}
END_TEST

/* With the default action this test would be dead. The write meets a closed pipe: the reactor does
 * not get to look between. */
START_TEST(a_write_to_a_closed_stdin_raises_no_sigpipe) {
    dw_reactor *reactor = new_reactor();
    sigset_t pending;
    job j;
    signal(SIGPIPE, SIG_DFL);
    spawn_sh(reactor, &j, "exec <&-; exec >&-; kill -STOP $$; exit 3");
    siginfo_t info;
    ck_assert_int_eq(
        waitid(P_PID, (id_t)dw_process_pid(j.protocol.transport), &info, WSTOPPED | WNOWAIT), 0);
    dw_process_write(j.protocol.transport, "x", 1);
    ck_assert(turn_until(reactor, &j.lost, 2));
    sigpending(&pending);
    ck_assert(sigismember(&pending, SIGPIPE) == 0);
    ck_assert_int_eq(dw_process_signal_process(j.protocol.transport, "CONT"), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 3);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Directory, PATH, user ---- */

START_TEST(a_child_runs_in_its_directory) {
    dw_reactor *reactor = new_reactor();
    job j;
    run_sh(reactor, &j, "pwd", (dw_spawn_options){.directory = "/usr"});
    ck_assert_str_eq(j.out, "/usr\n");
    run_sh(reactor, &j, "pwd", (dw_spawn_options){.directory = "/nonexistent"});
    ck_assert_str_eq(j.out, "");
    ck_assert_str_eq(j.err, "sh: cannot be run in its directory: no such file or directory\n");
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 1);
    dw_reactor_free(reactor);
}
END_TEST

/* Makes DIRECTORY/bin/tool, a script that says where it is. */
static void make_tool(char *directory) {
    char path[200];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/bin", directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/bin/tool", directory);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("#!/bin/sh\necho tool\n", file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0700), 0);
}

static void remove_tool(const char *directory) {
    char path[200];
    snprintf(path, sizeof(path), "%s/bin/tool", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/bin", directory);
    rmdir(path);
    rmdir(directory);
}

static void run_tool(dw_reactor *reactor, job *j, const char *path, const char *directory) {
    static const char *const argv[] = {"tool", NULL};
    const char *env[] = {path, NULL};
    dw_spawn_options options = {.argv = argv, .env = env, .directory = directory};
    ck_assert_int_eq(try_spawn(reactor, j, &options), 0);
    ck_assert(turn_until(reactor, &j->ended, 1));
}

/* os.execvpe: the child's PATH, after the change of directory. */
START_TEST(a_program_is_searched_in_the_childs_path) {
    dw_reactor *reactor = new_reactor();
    char directory[] = "/tmp/dw_process_XXXXXX", path[200];
    job j;
    make_tool(directory);
    snprintf(path, sizeof(path), "PATH=/nonexistent:%s/bin:/bin", directory);
    run_tool(reactor, &j, path, NULL);
    ck_assert_str_eq(j.out, "tool\n");
    run_tool(reactor, &j, "PATH=bin", directory);
    ck_assert_str_eq(j.out, "tool\n");
    snprintf(path, sizeof(path), "%s/bin", directory);
    run_tool(reactor, &j, "PATH=/usr/bin:", path); /* an empty entry is the directory itself */
    ck_assert_str_eq(j.out, "tool\n");
    run_tool(reactor, &j, "PATH=/etc/passwd:/usr/bin", path);
    ck_assert_str_eq(j.err, "tool: cannot be run: no such file or directory\n");
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 1);
    remove_tool(directory);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_a_path_the_usual_directories_are_searched) {
    static const char *const none[] = {NULL};
    dw_reactor *reactor = new_reactor();
    job j;
    run_sh(reactor, &j, "echo here", (dw_spawn_options){.env = none});
    ck_assert_str_eq(j.out, "here\n");
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_an_environment_of_its_own_the_child_has_ours) {
    dw_reactor *reactor = new_reactor();
    job j;
    ck_assert_int_eq(setenv("DW_PROCESS_TEST", "ours", 1), 0);
    run_sh(reactor, &j, "printf %s \"$DW_PROCESS_TEST\"", (dw_spawn_options){0});
    ck_assert_str_eq(j.out, "ours");
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_file_that_is_no_program_ends_with_1) {
    static const char *const argv[] = {"/etc/passwd", NULL};
    dw_reactor *reactor = new_reactor();
    job j;
    ck_assert_int_eq(try_spawn(reactor, &j, &(dw_spawn_options){.argv = argv}), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_str_eq(j.err, "/etc/passwd: cannot be run: permission denied\n");
    ck_assert_int_eq(dw_reason_exit_status(&j.reason), 1);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_executable_may_be_another_than_argv_0) {
    static const char *const argv[] = {"another name", "-c", "printf '%s' \"$0\"", NULL};
    dw_reactor *reactor = new_reactor();
    job j;
    dw_spawn_options options = {.argv = argv, .executable = "/bin/sh"};
    ck_assert_int_eq(try_spawn(reactor, &j, &options), 0);
    ck_assert(turn_until(reactor, &j.ended, 1));
    ck_assert_str_eq(j.out, "another name");
    dw_reactor_free(reactor);
}
END_TEST

/* setgroups(2) is for the privileged, so without privileges the child cannot be run. */
START_TEST(a_child_may_run_as_another_user) {
    dw_reactor *reactor = new_reactor();
    dw_spawn_options options = {.set_ids = true, .uid = 65534, .gid = 65533};
    job j;
    if (geteuid() == 0) {
        static const gid_t groups[] = {1, 2}; /* which the child must not have */
        ck_assert_int_eq(setgroups(2, groups), 0);
    }
    run_sh(reactor, &j, "echo `id -u` `id -ru` `id -g` `id -rg` `id -G`", options);
    if (geteuid() == 0) {
        ck_assert_str_eq(j.out, "65534 65534 65533 65533 65533\n");
    } else {
        ck_assert_str_eq(j.err, "sh: cannot be run as that user: operation not permitted\n");
        ck_assert_int_eq(dw_reason_exit_status(&j.reason), 1);
    }
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("processes");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, any_map_of_descriptors_comes_out_right_and_nothing_else_is_open);
    tcase_add_test(tc, without_close_range_the_open_descriptors_are_looked_up);
    tcase_add_test(tc, without_proc_too_descriptors_are_closed_by_number);
    tcase_add_test(tc, a_source_that_is_not_open_ends_with_1_and_a_word);
    tcase_add_test(tc, our_own_standard_descriptors_may_be_closed);
    tcase_add_test(tc, a_child_starts_with_default_signals_and_an_empty_mask);
    tcase_add_test(tc, a_sigpipe_that_is_pending_already_is_left_alone);
    tcase_add_test(tc, a_write_to_a_closed_stdin_raises_no_sigpipe);
    tcase_add_test(tc, a_child_runs_in_its_directory);
    tcase_add_test(tc, a_program_is_searched_in_the_childs_path);
    tcase_add_test(tc, without_a_path_the_usual_directories_are_searched);
    tcase_add_test(tc, without_an_environment_of_its_own_the_child_has_ours);
    tcase_add_test(tc, a_file_that_is_no_program_ends_with_1);
    tcase_add_test(tc, the_executable_may_be_another_than_argv_0);
    tcase_add_test(tc, a_child_may_run_as_another_user);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv) {
    child_main(argc, argv);
    return run_on_each_poller("live processes", make);
}
