/* SPDX-License-Identifier: MIT */
/*
 * Situations in processes of their own: most of a play on the live wire is waiting, so many run at
 * once; and one that crashes or hangs is a difference like any other, not the end.
 *
 * A child writes one line "outcome allowed", then text; what is missing shows that it died.
 */
#include "lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE_MAX = 64, SECONDS_MAX = 30 };

/* ---- The child ---- */

static const json_t *side_script(const json_t *record, const char *name) {
    const json_t *script = json_object_get(json_object_get(record, "script"), name);
    return json_object_size(script) > 0 ? script : NULL;
}

static void play_init(play *p, const json_t *record, const backend *b, const char *poller) {
    static const char *const names[] = {[SIDE_SERVER] = "server", [SIDE_CLIENT] = "client"};
    const char *kind = json_string_value(json_object_get(record, "backend"));
    const json_t *settle = json_object_get(record, "settle");
    memset(p, 0, sizeof(*p));
    p->b = b;
    p->poller = poller;
    p->record = record;
    p->datagram = kind != NULL && strcmp(kind, "udp") == 0;
    p->stream_unix = kind != NULL && strcmp(kind, "unix") == 0;
    p->idle = json_number_value(json_object_get(settle, "idle"));
    p->idle = p->idle > 0 ? p->idle : 0.25;
    p->least = json_number_value(json_object_get(settle, "min"));
    pthread_mutex_init(&p->lock, NULL);
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *s = &p->sides[i];
        s->p = p;
        s->name = names[i];
        s->script = side_script(record, names[i]);
        s->counts = json_object();
        s->accident = SIZE_MAX;
    }
}

static void answer(FILE *out, verdict_kind result, unsigned allowed, const char *text) {
    fprintf(out, "%d %u\n%s", (int)result, allowed, text != NULL ? text : "");
}

static void play_one(const json_t *record, const backend *b, const char *poller, FILE *out) {
    play *p = malloc(sizeof(*p));
    if (p == NULL) {
        return;
    }
    play_init(p, record, b, poller);
    script_check(p);
    if (!play_over(p)) {
        b->run(p);
    }
    if (p->trouble[0] != '\0') {
        char text[TROUBLE_MAX + 8];
        snprintf(text, sizeof(text), "  %s\n", p->trouble);
        answer(out, OUTCOME_FAILED, 0, text);
    } else if (p->missing[0] != '\0') {
        answer(out, OUTCOME_SKIPPED, 0, p->missing);
    } else {
        judgement result = play_judge(p);
        answer(out, result.passed ? OUTCOME_PASSED : OUTCOME_FAILED, result.allowed, result.text);
    }
}

/* ---- The parent ---- */

typedef struct job {
    situation *s;
    pid_t pid;
    int fd;
    char *text;
    size_t len;
} job;

static bool job_start(job *j, situation *s, const backend *b, const char *poller) {
    int fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    fflush(NULL);
    *j = (job){.s = s, .pid = fork(), .fd = fds[0]};
    if (j->pid == 0) {
        close(fds[0]);
        alarm(SECONDS_MAX);
        FILE *out = fdopen(fds[1], "w");
        if (out != NULL) {
            play_one(s->record, b, poller, out);
            fflush(out);
        }
        _exit(0);
    }
    close(fds[1]);
    if (j->pid < 0) {
        close(fds[0]);
    }
    return j->pid > 0;
}

static void job_died(job *j, int status) {
    char text[120];
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        snprintf(text, sizeof(text), "  it hangs: no end after %d s\n", (int)SECONDS_MAX);
    } else if (WIFSIGNALED(status)) {
        snprintf(text, sizeof(text), "  the play died of signal %d\n", WTERMSIG(status));
    } else {
        snprintf(text, sizeof(text), "  the play ended early, with status %d\n",
                 WEXITSTATUS(status));
    }
    j->s->outcome = OUTCOME_FAILED;
    j->s->text = strdup(text);
}

static void job_end(job *j) {
    int status = 0, result = 0, used = 0;
    close(j->fd);
    while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR) {
    }
    bool complete = status == 0 && j->text != NULL &&
                    sscanf(j->text, "%d %u%n", &result, &j->s->allowed, &used) == 2 &&
                    j->text[used] == '\n';
    if (complete) {
        j->s->outcome = (verdict_kind)result;
        j->s->text = strdup(j->text + used + 1);
    } else {
        job_died(j, status);
    }
    free(j->text);
    j->pid = 0;
}

/* Returns whether the child has said all. */
static bool job_read(job *j) {
    char part[4096];
    ssize_t got = read(j->fd, part, sizeof(part));
    if (got <= 0) {
        return !(got < 0 && errno == EINTR);
    }
    char *grown = realloc(j->text, j->len + (size_t)got + 1);
    if (grown == NULL) {
        return true;
    }
    memcpy(grown + j->len, part, (size_t)got);
    j->text = grown;
    j->len += (size_t)got;
    j->text[j->len] = '\0';
    return false;
}

static void wait_for_one(job jobs[], size_t room) {
    struct pollfd fds[AT_ONCE_MAX];
    for (size_t i = 0; i < room; i++) {
        fds[i] = (struct pollfd){.fd = jobs[i].pid > 0 ? jobs[i].fd : -1, .events = POLLIN};
    }
    if (poll(fds, (nfds_t)room, -1) < 0) {
        return;
    }
    for (size_t i = 0; i < room; i++) {
        if (fds[i].fd >= 0 && fds[i].revents != 0 && job_read(&jobs[i])) {
            job_end(&jobs[i]);
        }
    }
}

void situations_play(situation *all, size_t count, const backend *b, const char *poller,
                     unsigned at_once) {
    job jobs[AT_ONCE_MAX] = {{0}};
    size_t next = 0, busy = 1, room = at_once < AT_ONCE_MAX ? at_once : AT_ONCE_MAX;
    while (busy > 0) {
        busy = 0;
        for (size_t i = 0; i < room; i++) {
            if (jobs[i].pid <= 0 && next < count) {
                situation *s = &all[next++];
                if (!job_start(&jobs[i], s, b, poller)) {
                    jobs[i].pid = 0;
                    s->outcome = OUTCOME_FAILED;
                    s->text = strdup("  no process for it\n");
                }
            }
            busy += jobs[i].pid > 0 || next < count;
        }
        if (busy > 0) {
            wait_for_one(jobs, room);
        }
    }
}
