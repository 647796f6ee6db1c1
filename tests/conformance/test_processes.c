/* SPDX-License-Identifier: MIT */
/*
 * Child processes on every wire: their ends, their output, signals, what is run. Expectations:
 * vectors/README.md, "Child processes"; each case names its record. Where a record's order depends
 * on sleeps, here the child waits for a byte. What is written to children, and how pipes are
 * closed, is in test_process_pipes.c.
 */
#include "process_rig.h"

/* ---- The end ---- */

/* process-process-exit-0 */
CONF_CASE(exit_status_0_is_done) {
    begin(c);
    spawn(j, "x0");
    ck_assert_str_eq(j->log, "made");
    end(c);
    ck_assert_int_eq(j->reason.kind, DW_PROCESS_DONE);
    comes_before(j, "made", "exited:0");
    ck_assert(has(j, "lost0") && has(j, "lost1") && has(j, "lost2"));
    ends_with(j, " ended:0");
}

/* process-process-exit-255 */
CONF_CASE(another_exit_status_is_terminated) {
    begin(c);
    spawn(j, "x255");
    end(c);
    ck_assert_int_eq(j->reason.kind, DW_PROCESS_TERMINATED);
    ck_assert_int_eq(dw_reason_exit_status(&j->reason), 255);
    ck_assert_int_eq(dw_reason_exit_signal(&j->reason), 0);
    comes_before(j, "exited:255", "ended:255");
    ends_with(j, " ended:255");
}

/* process-process-ordered-exit-9 */
CONF_CASE(descriptors_closed_one_by_one_are_told_one_by_one) {
    begin(c);
    j->on_lost = token_on_3;
    spawn_with(j, "c0 a3 c1 a3 c2 a3 x9", with_3, 4);
    end(c);
    ck_assert_msg(strncmp(j->log, "made lost0 lost1 lost2 ", 23) == 0, "%s", j->log);
    ends_with(j, " ended:9");
}

/* process-process-ordered-kill */
CONF_CASE(a_signal_of_its_own_ends_it) {
    begin(c);
    j->on_lost = token_on_3;
    spawn_with(j, "c0 a3 c1 a3 c2 a3 k9", with_3, 4);
    end(c);
    ck_assert_int_eq(j->reason.kind, DW_PROCESS_TERMINATED);
    ck_assert_int_eq(dw_reason_exit_status(&j->reason), -1);
    ck_assert_int_eq(dw_reason_exit_signal(&j->reason), SIGKILL);
    ck_assert_msg(strncmp(j->log, "made lost0 lost1 lost2 ", 23) == 0, "%s", j->log);
    ends_with(j, " ended:sig9");
}

/* process-process-no-fds */
CONF_CASE(without_descriptors_the_exit_is_the_end) {
    begin(c);
    spawn_with(j, "x2", with_3, 0);
    end(c);
    ck_assert_str_eq(j->log, "made exited:2 ended:2");
}

static void close_3(job *w) {
    dw_process_close_child(w->protocol.transport, 3);
}

/* process-process-exited-before-ended; vectors/README.md, section 4: 18 */
CONF_CASE(a_grandchild_that_keeps_a_descriptor_delays_the_end) {
    begin(c);
    spawn_with(j, "g3 x6", with_3, 4);
    conf_until(c, &j->exited);
    conf_settle(c);
    ck_assert_str_eq(j->log, "made exited:6");
    close_3(j);
    end(c);
    ck_assert(has(j, "lost0") && has(j, "lost1") && has(j, "lost2") && has(j, "lost3"));
    ends_with(j, " ended:6");
}

/* ---- Output ---- */

/* process-process-output, process-process-ordered-output */
CONF_CASE(output_comes_with_its_descriptor) {
    begin(c);
    j->on_data = j->on_lost = token_on_3;
    spawn_with(j, "w1:one a3 c1 a3 w2:two a3 c2 x1", with_3, 4);
    end(c);
    ck_assert_str_eq(j->out[1], "one");
    ck_assert_str_eq(j->out[2], "two");
    comes_before(j, "made data1 lost1 data2", " lost2");
}

static char named[200];

static void named_out(dw_process_protocol *p, const uint8_t *data, size_t len) {
    (void)p;
    ck_assert_mem_eq(data, "one", len);
    note(named, sizeof(named), "out");
}

static void named_err(dw_process_protocol *p, const uint8_t *data, size_t len) {
    (void)p;
    ck_assert_mem_eq(data, "two", len);
    note(named, sizeof(named), "err");
    send_token(job_of(p), 0);
}

static void named_in_lost(dw_process_protocol *p) {
    (void)p;
    note(named, sizeof(named), "in-lost");
    send_token(job_of(p), 3);
}

static void named_out_lost(dw_process_protocol *p) {
    note(named, sizeof(named), "out-lost");
    send_token(job_of(p), 3);
}

static void named_err_lost(dw_process_protocol *p) {
    note(named, sizeof(named), "err-lost");
    send_token(job_of(p), 3);
}

static const dw_process_protocol_class named_class = {.name = "named",
                                                      .out_received = named_out,
                                                      .err_received = named_err,
                                                      .in_connection_lost = named_in_lost,
                                                      .out_connection_lost = named_out_lost,
                                                      .err_connection_lost = named_err_lost,
                                                      .process_exited = job_exited,
                                                      .process_ended = job_ended,
                                                      .destroy = job_destroy};

CONF_CASE(the_three_standard_descriptors_have_callbacks_of_their_own) {
    begin(c);
    named[0] = '\0';
    dw_process_protocol_init(&j->protocol, &named_class);
    spawn_with(j, "w1:one c1 a3 w2:two a0 c0 a3 c2 a3", with_3, 4);
    end(c);
    ck_assert_str_eq(named, "out out-lost err in-lost err-lost");
}

static const dw_child_fd five[] = {{4, DW_CHILD_READS, 0},
                                   {0, DW_CHILD_READS, 0},
                                   {3, DW_CHILD_WRITES, 0},
                                   {1, DW_CHILD_WRITES, 0},
                                   {2, DW_CHILD_WRITES, 0}};

static void write_zz_to_4(job *w) {
    dw_process_write_to_child(w->protocol.transport, 4, "zz", 2);
    dw_process_close_child(w->protocol.transport, 4);
}

/* process-process-extra-fds */
CONF_CASE(further_descriptors_go_both_ways) {
    begin(c);
    j->on_made = write_zz_to_4;
    spawn_with(j, "r4:3", five, 5);
    end(c);
    ck_assert_str_eq(j->out[3], "zz");
    comes_before(j, "lost4", "data3");
    comes_before(j, "data3", "lost3");
    ends_with(j, " ended:0");
}

/* process-process-stdout-only */
CONF_CASE(a_child_may_have_nothing_but_its_output) {
    static const dw_child_fd only[] = {{1, DW_CHILD_WRITES, 0}};
    begin(c);
    spawn_with(j, "w1:x x0", only, 1);
    end(c);
    ck_assert_str_eq(j->out[1], "x");
    ck_assert(!has(j, "lost0") && !has(j, "lost2"));
}

CONF_CASE(much_output_arrives_whole) {
    begin(c);
    spawn(j, "b1:200000 x0");
    end(c);
    ck_assert_uint_eq(j->received[1], 200000);
}

CONF_CASE(a_paused_reader_hears_nothing_until_it_resumes) {
    begin(c);
    spawn(j, "w1:x w2:y a0 x0");
    dw_process_pause_producing(j->protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(j->log, "made");
    dw_process_resume_producing(j->protocol.transport);
    conf_settle(c);
    ck_assert_str_eq(j->out[1], "x");
    ck_assert_str_eq(j->out[2], "y");
    send_token(j, 0);
    end(c);
}

/* ---- Signals ---- */

/* process-process-signal-term */
CONF_CASE(a_signal_by_name) {
    begin(c);
    spawn(j, "n");
    conf_settle(c);
    ck_assert_int_eq(dw_process_signal_process(j->protocol.transport, "TERM"), 0);
    end(c);
    ends_with(j, " ended:sig15");
}

/* process-process-signal-kill */
CONF_CASE(a_signal_by_its_long_name_or_by_number) {
    begin(c);
    spawn(j, "n");
    spawn(&jobs[1], "n");
    ck_assert_int_eq(dw_process_signal_process(j->protocol.transport, "SIGKILL"), 0);
    ck_assert_int_eq(dw_process_signal(jobs[1].protocol.transport, SIGKILL), 0);
    conf_until(c, &jobs[1].ended);
    end(c);
    ends_with(j, " ended:sig9");
    ends_with(&jobs[1], " ended:sig9");
}

CONF_CASE(a_signal_nobody_knows_is_an_invalid_argument) {
    begin(c);
    spawn(j, "a0 x0");
    ck_assert_int_eq(dw_process_signal_process(j->protocol.transport, "LATER"),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_process_signal(j->protocol.transport, 1000), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_process_signal(j->protocol.transport, 0), 0);
    send_token(j, 0);
    end(c);
}

static void kill_the_dead(job *w) {
    ck_assert_int_eq(dw_process_signal_process(w->protocol.transport, "TERM"),
                     DW_PROCESS_EXITED_ALREADY);
    ck_assert_int_eq(dw_process_signal(NULL, SIGTERM), DW_PROCESS_EXITED_ALREADY);
}

/* process-process-signal-after-exit */
CONF_CASE(after_the_exit_there_is_nobody_to_signal) {
    begin(c);
    j->on_exited = j->on_ended = kill_the_dead;
    spawn(j, "x0");
    end(c);
}

static void terminate(job *w, int fd) {
    (void)fd;
    ck_assert_int_eq(dw_process_signal_process(w->protocol.transport, "TERM"), 0);
}

/* vectors/README.md, "Child processes", reasons */
CONF_CASE(a_child_that_handles_the_signal_counts_by_its_exit_status) {
    begin(c);
    j->on_data = terminate;
    spawn(j, "t15:7 w1:ready n");
    end(c);
    ck_assert_int_eq(dw_reason_exit_status(&j->reason), 7);
}

/* process-process-stop-cont */
CONF_CASE(stop_is_not_an_end) {
    begin(c);
    spawn(j, "a0 x0");
    ck_assert_int_eq(dw_process_signal_process(j->protocol.transport, "STOP"), 0);
    send_token(j, 0);
    conf_settle(c);
    ck_assert_str_eq(j->log, "made");
    ck_assert_int_eq(dw_process_signal_process(j->protocol.transport, "CONT"), 0);
    end(c);
    ends_with(j, " ended:0");
}

/* ---- What is run ---- */

/* vectors/README.md, "Child processes", missing program */
CONF_CASE(a_program_that_is_not_there_ends_with_1) {
    static const char *const argv[] = {"/nonexistent/program", "x", NULL};
    begin(c);
    ck_assert_int_eq(
        dw_reactor_spawn_process(c->client, &j->protocol, &(dw_spawn_options){.argv = argv}, NULL),
        0);
    end(c);
    ck_assert_int_eq(dw_reason_exit_status(&j->reason), 1);
    ck_assert_ptr_nonnull(strstr(j->out[2], "/nonexistent/program"));
}

CONF_CASE(the_environment_is_the_one_given) {
    static const char *const env[] = {"COLOUR=red", "SHAPE=", NULL};
    begin(c);
    ck_assert_int_eq(
        try_spawn(j, "e1:COLOUR w1:, e1:SHAPE w1:, e1:HOME x0", &(dw_spawn_options){.env = env}),
        0);
    end(c);
    ck_assert_str_eq(j->out[1], "red,,-");
}

CONF_CASE(what_cannot_be_meant_is_refused) {
    static const dw_child_fd twice[] = {{1, DW_CHILD_WRITES, 0}, {1, DW_CHILD_READS, 0}};
    static const dw_child_fd negative[] = {{-1, DW_CHILD_WRITES, 0}};
    static const dw_child_fd from_nowhere[] = {{1, DW_CHILD_INHERITS, -1}};
    static const char *const none[] = {NULL};
    begin(c);
    ck_assert_int_eq(try_spawn(j, "", &(dw_spawn_options){.fds = twice, .fd_count = 2}),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(try_spawn(j, "", &(dw_spawn_options){.fds = negative, .fd_count = 1}),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(try_spawn(j, "", &(dw_spawn_options){.fds = from_nowhere, .fd_count = 1}),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(try_spawn(j, "", &(dw_spawn_options){.fd_count = 1}), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(
        dw_reactor_spawn_process(c->client, &j->protocol, &(dw_spawn_options){.argv = none}, NULL),
        DW_INVALID_ARGUMENT);
    ck_assert_str_eq(j->log, "");
    ck_assert_uint_eq(dw_reactor_count(c->client).processes, 0);
}

static void spawn_another(job *w) {
    if (w == j) {
        spawn(&jobs[1], "w1:second x0");
    }
}

CONF_CASE(a_child_may_be_started_when_another_ends) {
    begin(c);
    j->on_ended = spawn_another;
    spawn(j, "x0");
    conf_until(c, &jobs[1].ended);
    ck_assert_str_eq(jobs[1].out[1], "second");
    end(c);
}

static void kill_all(job *w) {
    for (int i = 1; i < JOBS_MAX; i++) {
        dw_process_signal(jobs[i].protocol.transport, SIGKILL);
    }
    (void)w;
}

CONF_CASE(many_children_end_at_once) {
    begin(c);
    for (int i = 1; i < JOBS_MAX; i++) {
        spawn(&jobs[i], "n");
    }
    ck_assert_uint_eq(dw_reactor_count(c->client).processes, JOBS_MAX - 1);
    j->on_exited = kill_all;
    spawn(j, "x0");
    for (int i = 0; i < JOBS_MAX; i++) {
        conf_until(c, &jobs[i].ended);
    }
    end(c);
}

static dw_delayed_call stop_call;

static void stop_now(void *user) {
    ck_assert_int_eq(dw_reactor_stop(user), 0);
}

/* What Twisted does, by experiment: every pipe is lost, the child is let be. */
CONF_CASE(when_the_reactor_stops_the_pipes_are_lost_and_the_child_is_not_told_of) {
    begin(c);
    spawn(j, "a0 n");
    dw_process_write(j->protocol.transport, zs, sizeof(zs));
    dw_reactor_call_later(c->client, &stop_call, DW_MSEC(1), stop_now, c->client);
    pid_t pid = dw_process_pid(j->protocol.transport);
    conf_run(c);
    ck_assert_str_eq(j->log, "made lost0 lost1 lost2");
    if (c->backend == NULL) {
        ck_assert_int_eq(dw_process_signal(j->protocol.transport, SIGKILL), 0);
        ck_assert_int_eq(dw_process_pid(j->protocol.transport), pid);
        end(c);
    }
}

static Suite *suite(void) {
    Suite *suite = suite_create("conformance: processes");
    TCase *tc = tcase_create("processes");
    tcase_set_timeout(tc, 30);
    CONF_ADD(tc, exit_status_0_is_done);
    CONF_ADD(tc, another_exit_status_is_terminated);
    CONF_ADD(tc, descriptors_closed_one_by_one_are_told_one_by_one);
    CONF_ADD(tc, a_signal_of_its_own_ends_it);
    CONF_ADD(tc, without_descriptors_the_exit_is_the_end);
    CONF_ADD(tc, a_grandchild_that_keeps_a_descriptor_delays_the_end);
    CONF_ADD(tc, output_comes_with_its_descriptor);
    CONF_ADD(tc, the_three_standard_descriptors_have_callbacks_of_their_own);
    CONF_ADD(tc, further_descriptors_go_both_ways);
    CONF_ADD(tc, a_child_may_have_nothing_but_its_output);
    CONF_ADD(tc, much_output_arrives_whole);
    CONF_ADD(tc, a_paused_reader_hears_nothing_until_it_resumes);
    CONF_ADD(tc, a_signal_by_name);
    CONF_ADD(tc, a_signal_by_its_long_name_or_by_number);
    CONF_ADD(tc, a_signal_nobody_knows_is_an_invalid_argument);
    CONF_ADD(tc, after_the_exit_there_is_nobody_to_signal);
    CONF_ADD(tc, a_child_that_handles_the_signal_counts_by_its_exit_status);
    CONF_ADD(tc, stop_is_not_an_end);
    CONF_ADD(tc, a_program_that_is_not_there_ends_with_1);
    CONF_ADD(tc, the_environment_is_the_one_given);
    CONF_ADD(tc, what_cannot_be_meant_is_refused);
    CONF_ADD(tc, a_child_may_be_started_when_another_ends);
    CONF_ADD(tc, many_children_end_at_once);
    CONF_ADD(tc, when_the_reactor_stops_the_pipes_are_lost_and_the_child_is_not_told_of);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(int argc, char **argv) {
    return rig_main(argc, argv, suite);
}
