/* SPDX-License-Identifier: MIT */
/*
 * What the conformance cases about child processes share: jobs, which are recording process
 * protocols, and the child that all of them start: this program itself on a live wire, a script in
 * a world, doing the steps of steps.h. Included by one file per executable.
 */
#ifndef DRYWIRE_TESTS_PROCESS_RIG_H
#define DRYWIRE_TESTS_PROCESS_RIG_H

#include "conformance.h"
#include "steps.h"

static const char *own_path; /* this program */

static char zs[300000]; /* more than a pipe holds */

enum { JOBS_MAX = 20, ARGS_MAX = 16 };

typedef struct job job;
typedef void (*job_fn)(job *j);

/* A recording process protocol: words such as `made data1 lost1 exited:0 ended:0`; data1 once for
 * all that comes in a row. */
struct job {
    dw_process_protocol protocol;
    conf *c;
    char log[2000];
    char out[STEPS_FDS][400]; /* the first of what came, as text */
    size_t received[STEPS_FDS];
    bool lost[STEPS_FDS];
    bool exited, ended, destroyed;
    dw_reason reason;
    job_fn on_made, on_exited, on_ended;
    void (*on_data)(job *j, int fd);
    void (*on_lost)(job *j, int fd);
};

static job jobs[JOBS_MAX];
static job *const j = &jobs[0];

static inline job *job_of(dw_process_protocol *p) {
    return DW_CONTAINER_OF(p, job, protocol);
}

static inline void record(job *w, const char *format, int number) {
    char word[40];
    snprintf(word, sizeof(word), format, number);
    w->c->activity++;
    note(w->log, sizeof(w->log), word);
}

static inline void job_made(dw_process_protocol *p) {
    job *w = job_of(p);
    ck_assert_ptr_nonnull(p->transport);
    record(w, "made", 0);
    if (w->on_made != NULL) {
        w->on_made(w);
    }
}

static inline void job_data(dw_process_protocol *p, int fd, const uint8_t *data, size_t len) {
    job *w = job_of(p);
    char word[20];
    ck_assert_uint_gt(len, 0);
    ck_assert(!w->lost[fd]);
    size_t used = w->received[fd];
    for (size_t i = 0; i < len && used + i + 1 < sizeof(w->out[fd]); i++) {
        w->out[fd][used + i] = (char)data[i];
    }
    w->received[fd] += len;
    w->c->activity++;
    snprintf(word, sizeof(word), "data%d", fd);
    size_t n = strlen(w->log), m = strlen(word);
    if (n < m || strcmp(w->log + n - m, word) != 0) {
        record(w, "data%d", fd);
    }
    if (w->on_data != NULL) {
        w->on_data(w, fd);
    }
}

static inline void job_lost(dw_process_protocol *p, int fd) {
    job *w = job_of(p);
    ck_assert(!w->lost[fd]);
    w->lost[fd] = true;
    record(w, "lost%d", fd);
    if (w->on_lost != NULL) {
        w->on_lost(w, fd);
    }
}

static inline void record_end(job *w, const char *what, const dw_reason *reason) {
    char format[40];
    int status = dw_reason_exit_status(reason);
    snprintf(format, sizeof(format), "%s:%s%%d", what, status < 0 ? "sig" : "");
    record(w, format, status < 0 ? dw_reason_exit_signal(reason) : status);
}

static inline void job_exited(dw_process_protocol *p, const dw_reason *reason) {
    job *w = job_of(p);
    ck_assert(!w->exited);
    w->exited = true;
    w->reason = *reason;
    ck_assert_int_eq(dw_process_pid(p->transport), 0); /* process-process-ordered-exit-9 */
    record_end(w, "exited", reason);
    if (w->on_exited != NULL) {
        w->on_exited(w);
    }
}

static inline void job_ended(dw_process_protocol *p, const dw_reason *reason) {
    job *w = job_of(p);
    ck_assert(w->exited && !w->ended);
    ck_assert_int_eq(reason->kind, w->reason.kind);
    ck_assert_ptr_nonnull(p->transport);
    record_end(w, "ended", reason);
    if (w->on_ended != NULL) {
        w->on_ended(w);
    }
    w->ended = true;
}

static inline void job_destroy(dw_process_protocol *p) {
    ck_assert_ptr_null(p->transport);
    job_of(p)->destroyed = true;
}

static const dw_process_protocol_class job_class = {.name = "job",
                                                    .connection_made = job_made,
                                                    .child_data_received = job_data,
                                                    .child_connection_lost = job_lost,
                                                    .process_exited = job_exited,
                                                    .process_ended = job_ended,
                                                    .destroy = job_destroy};

static inline void begin(conf *c) {
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < JOBS_MAX; i++) {
        jobs[i].c = c;
        dw_process_protocol_init(&jobs[i].protocol, &job_class);
    }
    if (c->backend != NULL) {
        dw_world_add_program(c->backend, own_path, &steps_script, NULL);
    }
}

/* Steps are words with blanks between. */
static inline int try_spawn(job *w, const char *steps, const dw_spawn_options *more) {
    static char words[400];
    const char *argv[ARGS_MAX] = {own_path, steps_word};
    dw_spawn_options options = *more;
    snprintf(words, sizeof(words), "%s", steps);
    int n = 2;
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[n++] = word;
    }
    ck_assert_int_lt(n, ARGS_MAX);
    options.argv = argv;
    return dw_reactor_spawn_process(w->c->client, &w->protocol, &options, NULL);
}

static inline void spawn_with(job *w, const char *steps, const dw_child_fd *fds, size_t count) {
    ck_assert_int_eq(try_spawn(w, steps, &(dw_spawn_options){.fds = fds, .fd_count = count}), 0);
}

static inline void spawn(job *w, const char *steps) {
    spawn_with(w, steps, NULL, 0);
}

static const dw_child_fd with_3[] = {{0, DW_CHILD_READS, 0},
                                     {1, DW_CHILD_WRITES, 0},
                                     {2, DW_CHILD_WRITES, 0},
                                     {3, DW_CHILD_READS, 0}};

static inline void end(conf *c) {
    conf_until(c, &j->ended);
    conf_settle(c);
    ck_assert(j->destroyed);
    ck_assert_ptr_null(j->protocol.transport);
    ck_assert_uint_eq(dw_reactor_count(c->client).processes, 0);
    ck_assert_uint_eq(dw_reactor_count(c->client).connections, 0);
}

static inline bool has(const job *w, const char *word) {
    const char *at = strstr(w->log, word);
    return at != NULL;
}

static inline void comes_before(const job *w, const char *first, const char *second) {
    const char *a = strstr(w->log, first), *b = strstr(w->log, second);
    ck_assert_msg(a != NULL && b != NULL && a < b, "%s before %s in: %s", first, second, w->log);
}

static inline void ends_with(const job *w, const char *text) {
    size_t n = strlen(w->log), m = strlen(text);
    ck_assert_msg(n >= m && strcmp(w->log + n - m, text) == 0, "%s at the end of: %s", text,
                  w->log);
}

static inline void send_token(job *w, int fd) {
    dw_process_write_to_child(w->protocol.transport, fd, "!", 1);
}

static inline void token_on_3(job *w, int fd) {
    (void)fd;
    if (!w->lost[3]) {
        send_token(w, 3);
    }
}

static inline int rig_main(int argc, char **argv, Suite *(*make)(void)) {
    steps_main(argc, argv);
    own_path = access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" : argv[0];
    memset(zs, 'z', sizeof(zs));
    return run_suite(make());
}

#endif
