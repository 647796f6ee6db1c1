/* SPDX-License-Identifier: MIT */
/*
 * The pipes to child processes on every wire: writing, producers, closing from either side,
 * failures in callbacks. Expectations: vectors/README.md, "Child processes"; each case names its
 * record. The rest about children is in test_processes.c.
 */
#include "process_rig.h"

/* ---- Input ---- */

static void write_hello(job *w) {
    dw_process_write(w->protocol.transport, "hello", 5);
}

static void close_stdin_at_5(job *w, int fd) {
    if (w->received[fd] == 5) {
        dw_process_close_stdin(w->protocol.transport);
        ck_assert(!w->lost[0]);
    }
}

/* process-process-cat */
CONF_CASE(what_is_written_in_connection_made_is_read_by_the_child) {
    begin(c);
    j->on_made = write_hello;
    j->on_data = close_stdin_at_5;
    spawn(j, "r0:1");
    end(c);
    ck_assert_str_eq(j->out[1], "hello");
    comes_before(j, "data1 lost0", "lost1");
    comes_before(j, "lost0", "exited:0");
}

static void write_much_and_close(job *w) {
    dw_process *process = w->protocol.transport;
    dw_process_write(process, zs, sizeof(zs));
    ck_assert_uint_eq(dw_process_buffered(process, 0), sizeof(zs));
    dw_process_close_stdin(process);
}

/* process-process-cat-write-then-close */
CONF_CASE(close_stdin_writes_out_what_waits) {
    begin(c);
    j->on_made = write_much_and_close;
    spawn(j, "r0:1");
    end(c);
    ck_assert_uint_eq(j->received[1], sizeof(zs));
    comes_before(j, "data1", "lost0");
    comes_before(j, "lost0", "lost1");
}

static void close_stdin_twice(job *w) {
    dw_process_close_stdin(w->protocol.transport);
    dw_process_close_stdin(w->protocol.transport);
    ck_assert_str_eq(w->log, "made");
}

/* process-process-close-twice, process-process-close-stdin-in-made */
CONF_CASE(close_stdin_twice_is_harmless) {
    begin(c);
    j->on_made = close_stdin_twice;
    spawn(j, "r0:1 w1:end");
    end(c);
    ck_assert_str_eq(j->out[1], "end");
    comes_before(j, "made lost0 ", "data1");
}

static void write_and_close_again(job *w, int fd) {
    if (fd == 0) {
        dw_process_write(w->protocol.transport, "x", 1);
        dw_process_close_stdin(w->protocol.transport);
        ck_assert_uint_eq(dw_process_buffered(w->protocol.transport, 0), 0);
        send_token(w, 3);
    }
}

/* process-process-close-stdin-child, process-process-write-to-closed-stdin */
CONF_CASE(a_child_that_closes_its_stdin_is_noticed_without_writing) {
    begin(c);
    j->on_lost = write_and_close_again;
    spawn_with(j, "c0 a3 w1:x x0", with_3, 4);
    end(c);
    ck_assert_msg(strncmp(j->log, "made lost0 ", 11) == 0, "%s", j->log);
    ck_assert_str_eq(j->out[1], "x");
}

CONF_CASE(a_child_that_closes_its_stdin_is_noticed_after_writing) {
    begin(c);
    j->on_lost = write_and_close_again;
    spawn_with(j, "a0 c0 a3 w1:x x0", with_3, 4);
    conf_settle(c);
    send_token(j, 0);
    conf_until(c, &j->lost[0]);
    end(c);
    ck_assert_str_eq(j->out[1], "x");
}

/* The bytes that wait are dropped: EPIPE, and no SIGPIPE in this program. */
CONF_CASE(a_child_that_closes_a_full_stdin_is_noticed) {
    begin(c);
    j->on_lost = write_and_close_again;
    spawn_with(j, "a3 c0 a3 x0", with_3, 4);
    dw_process_write(j->protocol.transport, zs, sizeof(zs));
    conf_settle(c);
    ck_assert_uint_gt(dw_process_buffered(j->protocol.transport, 0), 0);
    ck_assert(!j->lost[0]);
    send_token(j, 3);
    end(c);
}

CONF_CASE(writing_to_what_is_not_ours_to_write_is_nothing) {
    begin(c);
    spawn(j, "a0 x0");
    dw_process_write_to_child(j->protocol.transport, 1, "x", 1);
    dw_process_write_to_child(j->protocol.transport, 9, "x", 1);
    dw_process_close_child(j->protocol.transport, 9);
    ck_assert_uint_eq(dw_process_buffered(j->protocol.transport, 1), 0);
    dw_process_write(NULL, "x", 1);
    dw_process_close_stdin(NULL);
    dw_process_lose_connection(NULL);
    dw_process_pause_producing(NULL);
    dw_process_resume_producing(NULL);
    send_token(j, 0);
    end(c);
}

/* ---- Producers on stdin ---- */

static char produced[200];
static int pieces_left;

static void p_pause(dw_producer *p) {
    (void)p;
    note(produced, sizeof(produced), "pause");
}

static void p_resume(dw_producer *p) {
    (void)p;
    note(produced, sizeof(produced), "resume");
    if (pieces_left > 0 && --pieces_left > 0) {
        dw_process_write(j->protocol.transport, zs, 70000);
    } else {
        dw_process_unregister_producer(j->protocol.transport);
        dw_process_close_stdin(j->protocol.transport);
    }
}

static void p_stop(dw_producer *p) {
    (void)p;
    note(produced, sizeof(produced), "stop");
}

static const dw_producer_class producer_class = {.name = "producer",
                                                 .pause_producing = p_pause,
                                                 .resume_producing = p_resume,
                                                 .stop_producing = p_stop};
static dw_producer producer = {.cls = &producer_class};

/* FileDescriptor.bufferSize: paused above 65536, resumed when the buffer is empty. */
CONF_CASE(a_push_producer_is_paused_and_resumed_by_stdin) {
    begin(c);
    produced[0] = '\0';
    pieces_left = 2;
    spawn(j, "r0:1");
    ck_assert_int_eq(dw_process_register_producer(j->protocol.transport, &producer, true), 0);
    ck_assert_int_eq(dw_process_register_producer(j->protocol.transport, &producer, true),
                     DW_PRODUCER_REGISTERED);
    dw_process_write(j->protocol.transport, zs, 70000);
    ck_assert_str_eq(produced, "pause");
    end(c);
    ck_assert_uint_eq(j->received[1], 140000);
    ck_assert_str_eq(produced, "pause resume pause resume");
}

CONF_CASE(a_pull_producer_is_called_at_once_and_whenever_stdin_is_empty) {
    begin(c);
    produced[0] = '\0';
    pieces_left = 3;
    spawn(j, "r0:1");
    ck_assert_int_eq(dw_process_register_producer(j->protocol.transport, &producer, false), 0);
    ck_assert_str_eq(produced, "resume");
    end(c);
    ck_assert_uint_eq(j->received[1], 140000);
    ck_assert_str_eq(produced, "resume resume resume");
}

CONF_CASE(a_producer_is_stopped_when_stdin_goes_or_never_was) {
    static const dw_child_fd only[] = {{1, DW_CHILD_WRITES, 0}, {3, DW_CHILD_READS, 0}};
    begin(c);
    produced[0] = '\0';
    spawn_with(&jobs[1], "a3 x0", only, 2);
    ck_assert_int_eq(dw_process_register_producer(jobs[1].protocol.transport, &producer, true), 0);
    ck_assert_str_eq(produced, "stop");
    send_token(&jobs[1], 3);
    conf_until(c, &jobs[1].ended);
    produced[0] = '\0';
    spawn_with(j, "a3 c0 a3 x0", with_3, 4);
    ck_assert_int_eq(dw_process_register_producer(j->protocol.transport, &producer, true), 0);
    send_token(j, 3);
    conf_until(c, &j->lost[0]);
    ck_assert_str_eq(produced, "stop");
    send_token(j, 3);
    end(c);
}

/* ---- Closing ---- */

/* vectors/README.md, "Child processes", loseConnection */
CONF_CASE(lose_connection_closes_2_1_0_and_the_child_lives_on) {
    begin(c);
    spawn_with(j, "a3 x4", with_3, 4);
    dw_process_lose_connection(j->protocol.transport);
    ck_assert_str_eq(j->log, "made");
    conf_settle(c);
    ck_assert_str_eq(j->log, "made lost2 lost1 lost0");
    ck_assert_int_ne(dw_process_pid(j->protocol.transport), 0);
    send_token(j, 3);
    end(c);
    ends_with(j, " ended:4");
}

/* process-process-close-stdout-parent */
CONF_CASE(a_write_to_a_stdout_that_we_closed_is_a_sigpipe_in_the_child) {
    begin(c);
    spawn(j, "a0 w1:x n");
    dw_process_close_stdout(j->protocol.transport);
    dw_process_close_stdout(j->protocol.transport);
    conf_until(c, &j->lost[1]);
    ck_assert_str_eq(j->log, "made lost1");
    send_token(j, 0);
    end(c);
    ck_assert_int_eq(dw_reason_exit_signal(&j->reason), SIGPIPE);
}

static void give_up(job *w, int fd) {
    (void)fd;
    dw_process_fail(w->protocol.transport, &(dw_reason){.kind = DW_APP_ERROR});
    ck_assert(!w->lost[fd]);
}

static unsigned lines_logged;

static void count_line(void *user, const char *line) {
    (void)user;
    ck_assert_ptr_nonnull(strstr(line, "job: child_data_received failed: "));
    lines_logged++;
}

/* process-process-raise-data */
CONF_CASE(a_failure_in_child_data_received_closes_that_descriptor_only) {
    begin(c);
    lines_logged = 0;
    dw_reactor_set_log(c->client, count_line, NULL);
    j->on_data = give_up;
    j->on_lost = token_on_3;
    spawn_with(j, "w1:x a3 w2:y a3 x0", with_3, 4);
    end(c);
    ck_assert_msg(strncmp(j->log, "made data1 lost1 data2 lost2 ", 29) == 0, "%s", j->log);
    ck_assert_uint_eq(lines_logged, 2);
    ends_with(j, " ended:0");
    dw_reactor_set_log(c->client, NULL, NULL);
}

static void count_other_line(void *user, const char *line) {
    (void)user;
    ck_assert_ptr_nonnull(strstr(line, "job: a callback failed: "));
    lines_logged++;
}

static void fail_elsewhere(job *w) {
    dw_process_fail(w->protocol.transport, &(dw_reason){.kind = DW_APP_ERROR});
}

/* process-process-raise-made */
CONF_CASE(a_failure_in_another_callback_is_only_logged) {
    begin(c);
    lines_logged = 0;
    dw_reactor_set_log(c->client, count_other_line, NULL);
    j->on_made = j->on_exited = j->on_ended = fail_elsewhere;
    spawn(j, "w1:x x0");
    end(c);
    ck_assert_str_eq(j->out[1], "x");
    ck_assert_uint_eq(lines_logged, 3);
    dw_reactor_set_log(c->client, NULL, NULL);
}

static Suite *suite(void) {
    Suite *suite = suite_create("conformance: process pipes");
    TCase *tc = tcase_create("processes");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, what_is_written_in_connection_made_is_read_by_the_child);
    CONF_ADD(tc, close_stdin_writes_out_what_waits);
    CONF_ADD(tc, close_stdin_twice_is_harmless);
    CONF_ADD(tc, a_child_that_closes_its_stdin_is_noticed_without_writing);
    CONF_ADD(tc, a_child_that_closes_its_stdin_is_noticed_after_writing);
    CONF_ADD(tc, a_child_that_closes_a_full_stdin_is_noticed);
    CONF_ADD(tc, writing_to_what_is_not_ours_to_write_is_nothing);
    CONF_ADD(tc, a_push_producer_is_paused_and_resumed_by_stdin);
    CONF_ADD(tc, a_pull_producer_is_called_at_once_and_whenever_stdin_is_empty);
    CONF_ADD(tc, a_producer_is_stopped_when_stdin_goes_or_never_was);
    CONF_ADD(tc, lose_connection_closes_2_1_0_and_the_child_lives_on);
    CONF_ADD(tc, a_write_to_a_stdout_that_we_closed_is_a_sigpipe_in_the_child);
    CONF_ADD(tc, a_failure_in_child_data_received_closes_that_descriptor_only);
    CONF_ADD(tc, a_failure_in_another_callback_is_only_logged);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv) {
    return rig_main(argc, argv, suite);
}
