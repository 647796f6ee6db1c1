/* SPDX-License-Identifier: MIT */
/*
 * Child processes in core, on a wire that does what the test says: which calls go down, what memory
 * and which sockets are held, what an observer is told, and the orders that no real system can be
 * made to show. The rest is in tests/conformance/test_processes.c.
 */
#include "test_core_wire.h"

#include "drywire/process.h"

#include <signal.h>

/* ---- The wire's part ---- */

static int spawn_answer, kill_answer, last_signal;
static unsigned spawned, forgotten;
static dw_child *children[4];
static size_t last_fd_count;

/* The pipes' sockets are numbered in the order of the options. */
static int wire_spawn(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn) {
    ck_assert_ptr_nonnull(spawn->options->executable);
    last_fd_count = spawn->options->fd_count;
    if (spawn_answer != 0) {
        return spawn_answer;
    }
    for (size_t i = 0; i < spawn->options->fd_count; i++) {
        bool inherits = spawn->options->fds[i].kind == DW_CHILD_INHERITS;
        ck_assert((spawn->pipes[i] == NULL) == inherits);
        if (!inherits) {
            ck_assert_uint_eq(spawn->pipes[i]->kind, DW_IO_PIPE);
            fake_socket_new(fake_of(reactor), spawn->pipes[i]);
        }
    }
    children[spawned++] = child;
    child->pid = 77;
    return 0;
}

static int wire_kill(dw_reactor *reactor, dw_child *child, int signal_number) {
    (void)reactor;
    ck_assert_int_eq(child->pid, 77);
    last_signal = signal_number;
    return kill_answer;
}

static void wire_forget(dw_reactor *reactor, dw_child *child) {
    (void)reactor;
    ck_assert_int_eq(child->pid, 77);
    forgotten++;
}

static dw_wire wire;

/* ---- The protocol ---- */

typedef struct job {
    dw_process_protocol protocol;
    char log[REC_LOG_MAX];
    unsigned destroyed;
    void (*on_made)(struct job *j);
    void (*on_data)(struct job *j);
    void (*on_lost)(struct job *j, int fd);
    void (*on_destroy)(struct job *j);
} job;

static job *job_of(dw_process_protocol *p) {
    return DW_CONTAINER_OF(p, job, protocol);
}

static void say_number(job *j, const char *word, int number) {
    char text[40];
    snprintf(text, sizeof(text), "%s%d", word, number);
    say(j->log, text);
}

static void job_made(dw_process_protocol *p) {
    say(job_of(p)->log, "made");
    if (job_of(p)->on_made != NULL) {
        job_of(p)->on_made(job_of(p));
    }
}

static void job_data(dw_process_protocol *p, int fd, const uint8_t *data, size_t len) {
    ck_assert(len > 0 && data != NULL);
    say_number(job_of(p), "data", fd);
    if (job_of(p)->on_data != NULL) {
        job_of(p)->on_data(job_of(p));
    }
}

static void job_lost(dw_process_protocol *p, int fd) {
    say_number(job_of(p), "lost", fd);
    if (job_of(p)->on_lost != NULL) {
        job_of(p)->on_lost(job_of(p), fd);
    }
}

static void job_exited(dw_process_protocol *p, const dw_reason *reason) {
    say_number(job_of(p), "exited", reason->sys_errno);
}

static void job_ended(dw_process_protocol *p, const dw_reason *reason) {
    say_number(job_of(p), "ended", reason->sys_errno);
}

static void job_destroy(dw_process_protocol *p) {
    job *j = job_of(p);
    ck_assert_ptr_null(p->transport);
    j->destroyed++;
    if (j->on_destroy != NULL) {
        j->on_destroy(j);
    }
}

static const dw_process_protocol_class job_class = {.name = "job",
                                                    .connection_made = job_made,
                                                    .child_data_received = job_data,
                                                    .child_connection_lost = job_lost,
                                                    .process_exited = job_exited,
                                                    .process_ended = job_ended,
                                                    .destroy = job_destroy};

static fake *f;
static job j;

static const char *const argv[] = {"program", NULL};

static void begin(void) {
    f = fake_new();
    wire = fake_wire;
    wire.spawn = wire_spawn;
    wire.kill = wire_kill;
    wire.forget = wire_forget;
    f->reactor.wire = &wire;
    j = (job){.log = ""};
    dw_process_protocol_init(&j.protocol, &job_class);
    spawn_answer = kill_answer = last_signal = 0;
    spawned = forgotten = 0;
}

static int try_spawn(void) {
    return dw_reactor_spawn_process(&f->reactor, &j.protocol, &(dw_spawn_options){.argv = argv},
                                    NULL);
}

/* Its pipes are sockets 0 (its stdin), 1 and 2. */
static void spawn(void) {
    ck_assert_int_eq(try_spawn(), 0);
}

static void end_pipe(int socket) {
    f->sockets[socket].in_end = true;
    fake_ready(f, socket, DW_READABLE);
}

static void exit_with(int status) {
    dw_child_exited(&f->reactor, children[0], status << 8);
    fake_settle(f);
}

static void end_all(void) {
    end_pipe(0);
    end_pipe(1);
    end_pipe(2);
    exit_with(0);
    fake_fini(f);
    ck_assert_uint_eq(j.destroyed, 1);
}

/* ---- Starting ---- */

START_TEST(the_defaults_are_three_pipes_and_argv_0) {
    begin();
    spawn();
    ck_assert_uint_eq(last_fd_count, 3);
    ck_assert_int_eq(dw_process_pid(j.protocol.transport), 77);
    ck_assert_ptr_eq(dw_process_reactor(j.protocol.transport), &f->reactor);
    ck_assert_uint_eq(f->sockets[0].io->want, DW_READABLE);
    ck_assert_uint_eq(f->sockets[1].io->want, DW_READABLE);
    end_all();
    ck_assert_str_eq(j.log, "made lost0 lost1 lost2 exited0 ended0");
}
END_TEST

/* Twisted's ProcessProtocol.makeConnection, which a test of a protocol calls itself. */
START_TEST(a_protocol_needs_no_child_to_be_told_that_it_has_one) {
    job alone = {.log = ""};
    dw_process *none = (dw_process *)&alone; /* only handed on */
    dw_process_protocol_init(&alone.protocol, &job_class);
    ck_assert_ptr_null(alone.protocol.transport);
    dw_process_protocol_make_connection(&alone.protocol, none);
    ck_assert_ptr_eq(alone.protocol.transport, none);
    ck_assert_str_eq(alone.log, "made");
}
END_TEST

START_TEST(a_wire_without_children_says_so) {
    begin();
    wire.spawn = NULL;
    ck_assert_int_eq(try_spawn(), DW_UNSUPPORTED);
    fake_fini(f);
}
END_TEST

START_TEST(a_wire_that_cannot_spawn_leaves_nothing) {
    begin();
    spawn_answer = -EMFILE;
    ck_assert_int_eq(try_spawn(), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EMFILE);
    ck_assert_str_eq(j.log, "");
    fake_fini(f);
    ck_assert_uint_eq(j.destroyed, 0);
}
END_TEST

/* The process, three transports, and the list of pipes. */
START_TEST(each_allocation_of_spawn_may_fail) {
    for (unsigned nth = 1; nth <= 5; nth++) {
        begin();
        f->fail_in = nth;
        ck_assert_int_eq(try_spawn(), DW_NO_MEMORY);
        ck_assert_uint_eq(spawned, 0);
        ck_assert_uint_eq(f->fails, 1);
        ck_assert_uint_eq(f->blocks, 0);
        fake_fini(f);
    }
}
END_TEST

START_TEST(an_inherited_descriptor_is_no_pipe) {
    static const dw_child_fd fds[] = {{2, DW_CHILD_INHERITS, 2}, {1, DW_CHILD_WRITES, 0}};
    dw_process *process = NULL;
    begin();
    dw_spawn_options options = {.argv = argv, .fds = fds, .fd_count = 2};
    ck_assert_int_eq(dw_reactor_spawn_process(&f->reactor, &j.protocol, &options, &process), 0);
    ck_assert_ptr_eq(process, j.protocol.transport);
    fake_receive(f, 0, "x", 1);
    end_pipe(0);
    exit_with(0);
    ck_assert_str_eq(j.log, "made data1 lost1 exited0 ended0");
    fake_fini(f);
}
END_TEST

/* ---- The end ---- */

START_TEST(the_exit_may_come_between_the_descriptors) {
    begin();
    spawn();
    end_pipe(1);
    exit_with(3);
    ck_assert_int_eq(dw_process_pid(j.protocol.transport), 0);
    end_pipe(2);
    ck_assert_ptr_nonnull(j.protocol.transport);
    end_pipe(0);
    ck_assert_str_eq(j.log, "made lost1 exited3 lost2 lost0 ended3");
    ck_assert_uint_eq(j.destroyed, 1);
    fake_fini(f);
}
END_TEST

/* wait(2): the low seven bits are the signal, 0x80 says that there is a core. */
START_TEST(a_status_with_a_core_is_a_signal) {
    begin();
    spawn();
    dw_child_exited(&f->reactor, children[0], 0x80 | SIGSEGV);
    ck_assert_str_eq(j.log, "made exited-11");
    end_pipe(0);
    end_pipe(1);
    end_pipe(2);
    fake_fini(f);
}
END_TEST

static void produce(dw_producer *p) {
    (void)p;
    dw_process_write(j.protocol.transport, "x", 1);
}

static const dw_producer_class pull_class = {.name = "pull", .resume_producing = produce};
static dw_producer pull = {.cls = &pull_class};

/* Its stdin is lost while it is in the list of those to be looked after. */
static void lose_stdin_in_a_list(void) {
    ck_assert_int_eq(dw_process_register_producer(j.protocol.transport, &pull, false), 0);
    dw_reactor_turn_calls(&f->reactor);
    ck_assert_ptr_nonnull(f->reactor.ready_head);
    end_pipe(0);
}

/* Such a pipe is freed a little later; the end waits for that too. */
START_TEST(a_pipe_that_ends_while_it_is_looked_after_ends_once) {
    begin();
    spawn();
    exit_with(0);
    end_pipe(1);
    end_pipe(2);
    lose_stdin_in_a_list();
    ck_assert_str_eq(j.log, "made exited0 lost1 lost2 lost0");
    fake_settle(f);
    ck_assert_str_eq(j.log, "made exited0 lost1 lost2 lost0 ended0");
    fake_fini(f);
}
END_TEST

START_TEST(a_reader_closed_by_us_goes_among_the_delayed_calls) {
    begin();
    spawn();
    dw_process_close_stdout(j.protocol.transport);
    ck_assert_uint_eq(f->sockets[1].io->want, 0);
    dw_reactor_turn_calls(&f->reactor);
    ck_assert_str_eq(j.log, "made lost1");
    ck_assert(!f->sockets[1].open);
    end_all();
}
END_TEST

/* ---- Writing ---- */

START_TEST(one_callbacks_writes_leave_in_one_call) {
    begin();
    spawn();
    dw_process_write(j.protocol.transport, "one", 3);
    dw_process_write(j.protocol.transport, "two", 3);
    ck_assert_uint_eq(f->sockets[0].sends, 0);
    fake_settle(f);
    ck_assert_uint_eq(f->sockets[0].sends, 1);
    ck_assert(fake_sent(f, 0, "onetwo"));
    end_all();
}
END_TEST

START_TEST(without_memory_for_what_is_written_the_pipe_ends) {
    begin();
    spawn();
    f->fail_in = 1;
    dw_process_write(j.protocol.transport, "x", 1);
    ck_assert_str_eq(j.log, "made");
    fake_settle(f);
    ck_assert_str_eq(j.log, "made lost0");
    end_pipe(1);
    end_pipe(2);
    exit_with(0);
    fake_fini(f);
}
END_TEST

START_TEST(a_send_that_fails_ends_the_pipe) {
    begin();
    spawn();
    f->sockets[0].send_error = EPIPE;
    dw_process_write(j.protocol.transport, "x", 1);
    fake_settle(f);
    ck_assert_str_eq(j.log, "made lost0");
    end_pipe(1);
    end_pipe(2);
    exit_with(0);
    fake_fini(f);
}
END_TEST

START_TEST(close_stdin_waits_until_the_pipe_took_all) {
    begin();
    spawn();
    f->sockets[0].room = 2;
    dw_process_write(j.protocol.transport, "four", 4);
    dw_process_close_stdin(j.protocol.transport);
    fake_settle(f);
    ck_assert_uint_eq(dw_process_buffered(j.protocol.transport, 0), 2);
    ck_assert_str_eq(j.log, "made");
    f->sockets[0].room = 100;
    fake_ready(f, 0, DW_WRITABLE);
    fake_settle(f);
    ck_assert(fake_sent(f, 0, "four"));
    ck_assert_str_eq(j.log, "made lost0");
    end_pipe(1);
    end_pipe(2);
    exit_with(0);
    fake_fini(f);
}
END_TEST

static void send_back(job *w) {
    dw_process_write(w->protocol.transport, f->reactor.received, f->reactor.received_len);
}

START_TEST(what_was_received_may_be_written_back_at_once) {
    begin();
    spawn();
    j.on_data = send_back;
    fake_receive(f, 1, "echo", 4);
    ck_assert(fake_sent(f, 0, "echo"));
    end_all();
}
END_TEST

/* ---- Signals ---- */

START_TEST(what_kill_answers_has_a_name) {
    begin();
    spawn();
    ck_assert_int_eq(dw_process_signal_process(j.protocol.transport, "SIGHUP"), 0);
    ck_assert_int_eq(last_signal, SIGHUP);
    kill_answer = -ESRCH;
    ck_assert_int_eq(dw_process_signal(j.protocol.transport, 1), DW_PROCESS_EXITED_ALREADY);
    kill_answer = -EINVAL;
    ck_assert_int_eq(dw_process_signal(j.protocol.transport, 999), DW_INVALID_ARGUMENT);
    kill_answer = -EPERM;
    ck_assert_int_eq(dw_process_signal(j.protocol.transport, 1), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EPERM);
    end_all();
}
END_TEST

/* ---- The reactor ends ---- */

START_TEST(a_child_of_a_reactor_that_is_freed_is_forgotten) {
    begin();
    spawn();
    fake_fini(f);
    ck_assert_uint_eq(forgotten, 1);
    ck_assert_uint_eq(j.destroyed, 1);
    ck_assert_str_eq(j.log, "made");
}
END_TEST

START_TEST(one_that_has_exited_is_not_forgotten_again) {
    begin();
    spawn();
    exit_with(0);
    end_pipe(1);
    fake_fini(f);
    ck_assert_uint_eq(forgotten, 0);
    ck_assert_uint_eq(j.destroyed, 1);
    ck_assert_str_eq(j.log, "made exited0 lost1");
}
END_TEST

/* A pipe whose transport is in a list still, when the reactor is freed. */
START_TEST(a_pipe_that_waits_to_be_freed_is_freed_with_the_reactor) {
    begin();
    spawn();
    lose_stdin_in_a_list();
    ck_assert_str_eq(j.log, "made lost0");
    fake_fini(f);
    ck_assert_uint_eq(j.destroyed, 1);
}
END_TEST

static job second;

static void write_to_second(job *w) {
    (void)w;
    if (second.protocol.transport != NULL) {
        dw_process_write(second.protocol.transport, "x", 1);
    }
}

START_TEST(destroy_may_use_another_process) {
    begin();
    second = (job){.log = ""};
    dw_process_protocol_init(&second.protocol, &job_class);
    j.on_destroy = write_to_second;
    spawn();
    ck_assert_int_eq(dw_reactor_spawn_process(&f->reactor, &second.protocol,
                                              &(dw_spawn_options){.argv = argv}, NULL),
                     0);
    fake_fini(f);
    ck_assert_uint_eq(second.destroyed, 1);
}
END_TEST

/* ---- What an observer is told ---- */

static char seen[REC_LOG_MAX];

static void observe(dw_reactor *reactor, dw_seen what, const dw_io *io, int code, const void *data,
                    size_t len) {
    static const char *const names[] = {
        [DW_SEEN_SPAWN] = "spawn",     [DW_SEEN_CHILD_DATA] = "data",
        [DW_SEEN_CHILD_LOST] = "lost", [DW_SEEN_EXITED] = "exited",
        [DW_SEEN_ENDED] = "ended",     [DW_SEEN_CHILD_WRITE] = "write"};
    char text[80];
    (void)reactor;
    bool pipe =
        what == DW_SEEN_CHILD_DATA || what == DW_SEEN_CHILD_LOST || what == DW_SEEN_CHILD_WRITE;
    ck_assert_uint_lt(what, sizeof(names) / sizeof(names[0]));
    ck_assert_msg(names[what] != NULL, "something else is told: %d", (int)what);
    ck_assert((io != NULL) == pipe);
    if (pipe) {
        ck_assert_str_eq(dw_io_name(io), "job");
    }
    snprintf(text, sizeof(text), "%s:%d:%.*s", names[what], code, (int)len,
             len > 0 ? (const char *)data : "");
    say(seen, text);
}

START_TEST(an_observer_is_told_of_children_and_of_no_connection) {
    begin();
    seen[0] = '\0';
    f->reactor.observe = observe;
    spawn();
    dw_process_write(j.protocol.transport, "in", 2);
    fake_settle(f);
    fake_receive(f, 2, "oops", 4);
    dw_process_pause_producing(j.protocol.transport);
    dw_process_resume_producing(j.protocol.transport);
    dw_process_close_stdin(j.protocol.transport);
    fake_settle(f);
    end_pipe(1);
    end_pipe(2);
    exit_with(2);
    ck_assert_str_eq(seen, "spawn:0: write:0:in data:2:oops lost:0: lost:1: lost:2: "
                           "exited:512: ended:0:");
    fake_fini(f);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("core: processes");
    TCase *tc = tcase_create("processes");
    tcase_add_test(tc, the_defaults_are_three_pipes_and_argv_0);
    tcase_add_test(tc, a_protocol_needs_no_child_to_be_told_that_it_has_one);
    tcase_add_test(tc, a_wire_without_children_says_so);
    tcase_add_test(tc, a_wire_that_cannot_spawn_leaves_nothing);
    tcase_add_test(tc, each_allocation_of_spawn_may_fail);
    tcase_add_test(tc, an_inherited_descriptor_is_no_pipe);
    tcase_add_test(tc, the_exit_may_come_between_the_descriptors);
    tcase_add_test(tc, a_status_with_a_core_is_a_signal);
    tcase_add_test(tc, a_pipe_that_ends_while_it_is_looked_after_ends_once);
    tcase_add_test(tc, a_reader_closed_by_us_goes_among_the_delayed_calls);
    tcase_add_test(tc, one_callbacks_writes_leave_in_one_call);
    tcase_add_test(tc, without_memory_for_what_is_written_the_pipe_ends);
    tcase_add_test(tc, a_send_that_fails_ends_the_pipe);
    tcase_add_test(tc, close_stdin_waits_until_the_pipe_took_all);
    tcase_add_test(tc, what_was_received_may_be_written_back_at_once);
    tcase_add_test(tc, what_kill_answers_has_a_name);
    tcase_add_test(tc, a_child_of_a_reactor_that_is_freed_is_forgotten);
    tcase_add_test(tc, one_that_has_exited_is_not_forgotten_again);
    tcase_add_test(tc, a_pipe_that_waits_to_be_freed_is_freed_with_the_reactor);
    tcase_add_test(tc, destroy_may_use_another_process);
    tcase_add_test(tc, an_observer_is_told_of_children_and_of_no_connection);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
