/* SPDX-License-Identifier: MIT */
/*
 * Child processes in a world: when things happen in virtual time, what the choices do, the
 * ready-made scripts, and what becomes of children when their parent or its machine ends. Times are
 * those that drywire/script.h states; what a choice means is stated there too.
 */
#include "sim_support.h"

#include <signal.h>

typedef struct job {
    dw_process_protocol protocol;
    dw_world *world;
    char log[500], out[200];
    dw_time exited_at, made_at, data_at;
    dw_reason reason;
    bool ended;
} job;

static job *job_of(dw_process_protocol *p) {
    return DW_CONTAINER_OF(p, job, protocol);
}

static void say(job *j, const char *format, int number) {
    size_t n = strlen(j->log);
    if (n > 0) {
        n += (size_t)snprintf(j->log + n, sizeof(j->log) - n, " ");
    }
    snprintf(j->log + n, sizeof(j->log) - n, format, number);
}

static void job_made(dw_process_protocol *p) {
    job_of(p)->made_at = dw_world_now(job_of(p)->world);
    say(job_of(p), "made", 0);
}

static void job_data(dw_process_protocol *p, int fd, const uint8_t *data, size_t len) {
    job *j = job_of(p);
    size_t n = strlen(j->out);
    snprintf(j->out + n, sizeof(j->out) - n, "%.*s", (int)len, (const char *)data);
    j->data_at = dw_world_now(j->world);
    say(j, "data%d", fd);
}

static void job_lost(dw_process_protocol *p, int fd) {
    say(job_of(p), "lost%d", fd);
}

static void job_exited(dw_process_protocol *p, const dw_reason *reason) {
    job *j = job_of(p);
    j->exited_at = dw_world_now(j->world);
    j->reason = *reason;
    say(j, "exited:%d", reason->sys_errno);
}

static void job_ended(dw_process_protocol *p, const dw_reason *reason) {
    (void)reason;
    job_of(p)->ended = true;
    say(job_of(p), "ended", 0);
}

static const dw_process_protocol_class job_class = {.name = "job",
                                                    .connection_made = job_made,
                                                    .child_data_received = job_data,
                                                    .child_connection_lost = job_lost,
                                                    .process_exited = job_exited,
                                                    .process_ended = job_ended};

static job j;
static dw_host *host;

static void begin(dw_world *w) {
    j = (job){.world = w};
    dw_process_protocol_init(&j.protocol, &job_class);
    host = dw_world_add_host(w, "host", NULL, NULL);
    dw_world_add_program(w, "cat", &dw_cat_script, NULL);
    dw_world_add_program(w, "echo", &dw_echo_script, NULL);
    dw_world_add_program(w, "exit", &dw_exit_script, NULL);
    dw_world_add_program(w, "sleep", &dw_sleep_script, NULL);
}

static int try_spawn(const char *name, const char *arg) {
    const char *argv[] = {name, arg, NULL};
    return dw_reactor_spawn_process(dw_host_reactor(host), &j.protocol,
                                    &(dw_spawn_options){.argv = argv}, NULL);
}

static void spawn(const char *name, const char *arg) {
    ck_assert_int_eq(try_spawn(name, arg), 0);
}

/* ---- The calm run ---- */

static void calm_exit(dw_world *w) {
    begin(w);
    spawn("exit", "3");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_calm_child_starts_after_a_millisecond_and_is_told_of_20_us_later) {
    expect_calm(calm_exit);
    ck_assert_str_eq(j.log, "made lost2 lost1 lost0 exited:3 ended");
    ck_assert_int_eq(j.made_at, 0);
    ck_assert_int_eq(j.exited_at, DW_USEC(1020));
}
END_TEST

static void echo_words(dw_world *w) {
    const char *argv[] = {"/bin/echo", "two", "words", NULL};
    begin(w);
    ck_assert_int_eq(dw_reactor_spawn_process(dw_host_reactor(host), &j.protocol,
                                              &(dw_spawn_options){.argv = argv}, NULL),
                     0);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(echo_writes_its_arguments_wherever_it_is_said_to_lie) {
    expect_calm(echo_words);
    ck_assert_str_eq(j.out, "two words\n");
    ck_assert_int_eq(j.data_at, DW_USEC(1020));
    ck_assert_int_eq(j.reason.kind, DW_PROCESS_DONE);
}
END_TEST

static void cat_hello(dw_world *w) {
    begin(w);
    spawn("cat", NULL);
    dw_process_write(j.protocol.transport, "hello", 5);
    dw_process_close_stdin(j.protocol.transport);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(cat_copies_to_the_end_of_its_input) {
    expect_calm(cat_hello);
    ck_assert_str_eq(j.out, "hello");
    ck_assert_int_eq(j.reason.kind, DW_PROCESS_DONE);
}
END_TEST

static void sleep_2(dw_world *w) {
    begin(w);
    spawn("sleep", "2");
    dw_world_run(w, DW_SEC(5));
}

START_TEST(sleep_lasts_in_virtual_time) {
    expect_calm(sleep_2);
    ck_assert_int_eq(j.exited_at, DW_SEC(2) + DW_USEC(1020));
}
END_TEST

static void other_path(dw_world *w) {
    begin(w);
    dw_world_add_program(w, "/opt/tool", &dw_exit_script, NULL);
    spawn("/usr/bin/tool", "3");
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_program_with_a_path_is_found_by_that_path_only) {
    expect_calm(other_path);
    ck_assert_str_eq(j.out, "/usr/bin/tool: cannot be run\n");
    ck_assert_int_eq(j.reason.sys_errno, 1);
}
END_TEST

/* ---- Pipes ---- */

static size_t flood_written;

static void flood_start(dw_script *script) {
    static const uint8_t block[100000];
    ck_assert(dw_script_write(script, 1, block, sizeof(block)));
    ck_assert(!dw_script_write(script, 0, block, 1));
    ck_assert(!dw_script_write(script, 7, block, 1));
    flood_written++;
    dw_script_sleep(script, DW_MSEC(5));
}

static void flood_woken(dw_script *script) {
    flood_written++;
    dw_script_exit(script, 0);
}

static const dw_script_class flood = {.name = "flood", .start = flood_start, .woken = flood_woken};

static void held_up(dw_world *w) {
    begin(w);
    flood_written = 0;
    dw_world_add_program(w, "flood", &flood, NULL);
    spawn("flood", NULL);
    dw_process_pause_producing(j.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(flood_written, 1);
    dw_process_resume_producing(j.protocol.transport);
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(flood_written, 2);
}

START_TEST(a_script_whose_pipe_is_full_is_held_up_until_it_is_read) {
    expect_calm(held_up);
    ck_assert(j.ended);
}
END_TEST

static void deaf_child(dw_world *w) {
    static const uint8_t block[100000];
    begin(w);
    spawn("sleep", NULL);
    dw_process_write(j.protocol.transport, block, sizeof(block));
    dw_world_run(w, DW_SEC(1));
    ck_assert_uint_eq(dw_process_buffered(j.protocol.transport, 0), sizeof(block) - 65536);
    ck_assert_int_eq(dw_process_signal_process(j.protocol.transport, "KILL"), 0);
    dw_world_run(w, DW_SEC(1));
}

START_TEST(a_child_that_does_not_read_takes_what_a_pipe_holds) {
    expect_calm(deaf_child);
    ck_assert(j.ended);
}
END_TEST

/* ---- The program and the machine end ---- */

static unsigned orphan_ended, orphan_killed;

static void orphan_received(dw_script *script, int fd, const uint8_t *data, size_t len) {
    (void)fd, (void)data;
    if (len == 0) {
        orphan_ended++;
        dw_script_write(script, 1, "last words", 10);
    }
}

static bool orphan_signalled(dw_script *script, int number) {
    (void)script;
    orphan_killed += number == SIGPIPE;
    return false;
}

static const dw_script_class orphan = {
    .name = "orphan", .received = orphan_received, .signalled = orphan_signalled};

static void orphaned(dw_world *w, void (*end)(dw_host *victim)) {
    begin(w);
    orphan_ended = orphan_killed = 0;
    dw_world_add_program(w, "orphan", &orphan, NULL);
    spawn("orphan", NULL);
    dw_world_run(w, DW_SEC(1));
    end(host);
    dw_world_run(w, DW_SEC(1));
}

static void killed_parent(dw_world *w) {
    orphaned(w, dw_host_kill);
}

START_TEST(a_child_outlives_a_killed_program_and_finds_its_pipes_closed) {
    expect_calm(killed_parent);
    ck_assert_uint_eq(orphan_ended, 1);
    ck_assert_uint_eq(orphan_killed, 1);
    ck_assert_str_eq(j.log, "made");
}
END_TEST

static void dark_parent(dw_world *w) {
    orphaned(w, dw_host_crash);
}

START_TEST(a_child_is_gone_when_its_machine_loses_power) {
    expect_calm(dark_parent);
    ck_assert_uint_eq(orphan_ended, 0);
    ck_assert_str_eq(j.log, "made");
}
END_TEST

static void stopped_parent(dw_world *w) {
    orphaned(w, dw_host_stop);
}

START_TEST(a_program_that_stops_leaves_its_child_alone) {
    expect_calm(stopped_parent);
    ck_assert_uint_eq(orphan_ended, 1);
    ck_assert_str_eq(j.log, "made lost0 lost1 lost2");
}
END_TEST

static void stalled_parent(dw_world *w) {
    begin(w);
    spawn("exit", "0");
    dw_host_stall(host, DW_SEC(3));
    dw_world_run(w, DW_SEC(5));
}

START_TEST(a_stalled_program_hears_of_its_child_when_it_gets_to_run) {
    expect_calm(stalled_parent);
    ck_assert(j.ended);
    ck_assert_int_eq(j.exited_at, DW_SEC(3));
}
END_TEST

/* ---- Choices ---- */

static sim_deviation fault(const char *what, uint64_t nth, uint64_t value) {
    sim_deviation d = {.who = "host", .nth = nth, .value = value};
    snprintf(d.what, sizeof(d.what), "%s", what);
    return d;
}

static void play_fault(void (*scenario)(dw_world *w), sim_deviation d) {
    expect_list(scenario, &d, 1);
}

static sim_outcome play_quietly(void (*scenario)(dw_world *w), sim_source source) {
    played p;
    play(scenario, source, false, &p);
    sim_outcome outcome = p.outcome;
    played_free(&p);
    return outcome;
}

static int spawn_result, spawn_errno;

static void spawn_that_fails(dw_world *w) {
    begin(w);
    spawn_result = try_spawn("exit", "0");
    spawn_errno = dw_reactor_errno(dw_host_reactor(host));
    dw_world_run(w, DW_SEC(1));
}

START_TEST(spawn_may_find_no_process_or_no_memory) {
    play_fault(spawn_that_fails, fault("spawn", 1, 1));
    ck_assert_int_eq(spawn_result, DW_SYSTEM_ERROR);
    ck_assert_int_eq(spawn_errno, EAGAIN);
    ck_assert_str_eq(j.log, "");
    play_fault(spawn_that_fails, fault("spawn", 1, 2));
    ck_assert_int_eq(spawn_errno, ENOMEM);
}
END_TEST

START_TEST(spawn_may_find_that_the_program_cannot_be_run) {
    play_fault(calm_exit, fault("spawn", 1, 3));
    ck_assert_int_eq(j.reason.sys_errno, 1);
    ck_assert_str_eq(j.out, "exit: cannot be run\n");
}
END_TEST

START_TEST(an_exit_may_be_known_late) {
    play_fault(calm_exit, fault("exit", 1, (uint64_t)DW_MSEC(100)));
    ck_assert_int_eq(j.exited_at, DW_MSEC(101) + DW_USEC(20));
    ck_assert_str_eq(j.log, "made lost2 lost1 lost0 exited:3 ended");
}
END_TEST

START_TEST(a_child_may_close_its_stdin_unread) {
    play_fault(cat_hello, fault("stdin", 1, 1));
    ck_assert_msg(strncmp(j.log, "made lost0", 10) == 0, "%s", j.log);
    ck_assert_str_eq(j.out, "");
}
END_TEST

START_TEST(a_child_may_be_killed) {
    play_fault(sleep_2, fault("kill", 1, 1));
    ck_assert_int_eq(j.reason.sys_errno, -SIGKILL);
    ck_assert_int_lt(j.exited_at, DW_SEC(1));
}
END_TEST

START_TEST(output_may_be_cut) {
    play_fault(echo_words, fault("cut", 1, 4));
    ck_assert_str_eq(j.out, "two words\n");
    const char *first = strstr(j.log, "data1");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, "data1"));
}
END_TEST

START_TEST(a_write_may_be_taken_in_part) {
    play_fault(cat_hello, fault("write", 1, 2));
    ck_assert_str_eq(j.out, "hello");
}
END_TEST

static unsigned spawned, whole;

static void cat_maybe(dw_world *w) {
    begin(w);
    if (try_spawn("cat", NULL) == 0) {
        spawned++;
        dw_process_write(j.protocol.transport, "hello", 5);
        dw_process_close_stdin(j.protocol.transport);
        dw_world_run(w, DW_MIN(1));
        ck_assert_msg(j.ended || dw_world_failed(w), "%s", j.log);
        whole += j.reason.kind == DW_PROCESS_DONE && strcmp(j.out, "hello") == 0;
        ck_assert_ptr_nonnull(strstr("hello cat: cannot be run\n", j.out));
    }
}

START_TEST(every_seed_comes_to_an_end) {
    spawned = whole = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_outcome outcome = play_quietly(cat_maybe, seeded(seed));
        ck_assert_msg(!outcome.failed, "seed %u: %s: %s", (unsigned)seed, outcome.oracle,
                      outcome.message);
    }
    ck_assert_uint_lt(spawned, 300);   /* some could not be started, */
    ck_assert_uint_lt(whole, spawned); /* some went wrong, and most did not */
    ck_assert_uint_gt(whole, 150);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_run) {
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t hash = play_quietly(cat_maybe, seeded(seed)).hash;
        ck_assert_uint_eq(play_quietly(cat_maybe, seeded(seed)).hash, hash);
    }
}
END_TEST

/* ---- What a script can ask ---- */

static dw_world *asked_world;
static char asked[120];

static void ask(dw_script *script) {
    const char *const *argv = dw_script_argv(script);
    asked_world = dw_script_world(script);
    snprintf(asked, sizeof(asked), "%s %s%s HOME=%s PATH=%s user=%s", argv[0], argv[1],
             argv[2] == NULL ? "" : " and more", dw_script_env(script, "HOME"),
             dw_script_env(script, "PATH") == NULL ? "none" : "some",
             (const char *)dw_script_user(script));
    dw_script_exit(script, 0);
}

static const dw_script_class asking_script = {.name = "asks", .start = ask};

static void spawn_asking(dw_world *w) {
    static char user[] = "mine";
    const char *argv[] = {"asks", "one", NULL}, *env[] = {"HOMER=1", "HOME=/root", NULL};
    begin(w);
    asked_world = NULL;
    dw_world_add_program(w, "asks", &asking_script, user);
    ck_assert_int_eq(dw_reactor_spawn_process(dw_host_reactor(host), &j.protocol,
                                              &(dw_spawn_options){.argv = argv, .env = env}, NULL),
                     0);
    dw_world_run(w, DW_SEC(1));
    ck_assert_ptr_eq(asked_world, w);
}

START_TEST(a_script_knows_its_world_its_arguments_and_its_environment) {
    expect_calm(spawn_asking);
    ck_assert_str_eq(asked, "asks one HOME=/root PATH=none user=mine");
    ck_assert(j.ended);
}
END_TEST

/* Memory that fails at every place in turn: nothing leaks, spawn says so or the child runs. */
START_TEST(each_allocation_may_fail) {
    for (uint64_t nth = 1; nth <= 40; nth++) {
        sim_deviation d = fault("alloc", nth, 1);
        sim_list list = {&d, 1, 1};
        sim_outcome outcome = play_quietly(spawn_that_fails, listed(&list));
        ck_assert_msg(!outcome.failed, "alloc %u: %s", (unsigned)nth, outcome.message);
        ck_assert(spawn_result == 0 ? j.ended : spawn_result == DW_NO_MEMORY && !j.ended);
    }
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("sim: processes");
    TCase *tc = tcase_create("processes");
    tcase_add_test(tc, a_calm_child_starts_after_a_millisecond_and_is_told_of_20_us_later);
    tcase_add_test(tc, echo_writes_its_arguments_wherever_it_is_said_to_lie);
    tcase_add_test(tc, cat_copies_to_the_end_of_its_input);
    tcase_add_test(tc, sleep_lasts_in_virtual_time);
    tcase_add_test(tc, a_program_with_a_path_is_found_by_that_path_only);
    tcase_add_test(tc, a_script_whose_pipe_is_full_is_held_up_until_it_is_read);
    tcase_add_test(tc, a_child_that_does_not_read_takes_what_a_pipe_holds);
    tcase_add_test(tc, a_child_outlives_a_killed_program_and_finds_its_pipes_closed);
    tcase_add_test(tc, a_child_is_gone_when_its_machine_loses_power);
    tcase_add_test(tc, a_program_that_stops_leaves_its_child_alone);
    tcase_add_test(tc, a_stalled_program_hears_of_its_child_when_it_gets_to_run);
    tcase_add_test(tc, spawn_may_find_no_process_or_no_memory);
    tcase_add_test(tc, spawn_may_find_that_the_program_cannot_be_run);
    tcase_add_test(tc, an_exit_may_be_known_late);
    tcase_add_test(tc, a_child_may_close_its_stdin_unread);
    tcase_add_test(tc, a_child_may_be_killed);
    tcase_add_test(tc, output_may_be_cut);
    tcase_add_test(tc, a_write_may_be_taken_in_part);
    tcase_add_test(tc, every_seed_comes_to_an_end);
    tcase_add_test(tc, the_same_seed_gives_the_same_run);
    tcase_add_test(tc, a_script_knows_its_world_its_arguments_and_its_environment);
    tcase_add_test(tc, each_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_suite(suite());
}
