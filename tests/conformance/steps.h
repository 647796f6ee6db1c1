/* SPDX-License-Identifier: MIT */
/*
 * One small language for a child process, with two interpreters: steps_main runs as a real program
 * (the test executable starts itself), steps_script as a script of a world. Each word of argv is a
 * step, done in order; after the last one the child exits with 0.
 *
 *     w1:text  writes text to 1         b1:9999  writes that many 'z' to 1
 *     r0:1     copies 0 to 1 to its end c0       closes 0
 *     a3       waits for a byte on 3    x7       exits with 7
 *     k9       sends itself signal 9    n        waits for ever
 *     g3       starts a grandchild that has all descriptors and waits for the end of 3
 *     t15:7    from now on signal 15 makes it exit with 7
 *     e1:NAME  writes the value of an environment variable to 1, '-' if there is none
 */
#ifndef DRYWIRE_TESTS_STEPS_H
#define DRYWIRE_TESTS_STEPS_H

#include <drywire/script.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char steps_word[] = "--steps"; /* argv[1] of the real program */

typedef struct step {
    char what;
    int number;       /* a descriptor, a status, a signal */
    int second;       /* what follows a ':' as a number */
    const char *text; /* and as a text */
} step;

static inline step steps_parse(const char *word) {
    step s = {.what = word[0], .text = ""};
    const char *colon = strchr(word, ':');
    s.number = atoi(word + 1);
    if (colon != NULL) {
        s.text = colon + 1;
        s.second = atoi(colon + 1);
    }
    return s;
}

/* ---- The real program ---- */

static volatile sig_atomic_t steps_exit_code;

static inline void steps_on_signal(int number) {
    (void)number;
    _exit((int)steps_exit_code);
}

static inline void steps_write(int fd, const char *data, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, data + at, len - at);
        if (n < 0 && errno != EINTR) {
            _exit(99);
        }
        at += n > 0 ? (size_t)n : 0;
    }
}

static inline void steps_write_zs(int fd, size_t len) {
    static char block[10000];
    memset(block, 'z', sizeof(block));
    for (; len > 0; len -= len < sizeof(block) ? len : sizeof(block)) {
        steps_write(fd, block, len < sizeof(block) ? len : sizeof(block));
    }
}

static inline void steps_copy(int from, int to) {
    char buffer[4096];
    ssize_t n;
    while ((n = read(from, buffer, sizeof(buffer))) > 0) {
        steps_write(to, buffer, (size_t)n);
    }
}

static inline void steps_grandchild(int fd) {
    char byte;
    if (fork() == 0) {
        while (read(fd, &byte, 1) > 0) {
        }
        _exit(0);
    }
}

static inline void steps_do(step s) {
    char byte;
    const char *value;
    switch (s.what) {
    case 'w':
        steps_write(s.number, s.text, strlen(s.text));
        break;
    case 'b':
        steps_write_zs(s.number, (size_t)s.second);
        break;
    case 'r':
        steps_copy(s.number, s.second);
        break;
    case 'c':
        close(s.number);
        break;
    case 'a':
        (void)!read(s.number, &byte, 1);
        break;
    case 'x':
        _exit(s.number);
    case 'k':
        raise(s.number);
        break;
    case 'n':
        for (;;) {
            pause();
        }
    case 'g':
        steps_grandchild(s.number);
        break;
    case 't':
        steps_exit_code = s.second;
        signal(s.number, steps_on_signal);
        break;
    case 'e':
        value = getenv(s.text);
        steps_write(s.number, value != NULL ? value : "-", value != NULL ? strlen(value) : 1);
        break;
    default:
        _exit(98);
    }
}

/* Runs the steps and exits, if that is what argv asks for. */
static inline void steps_main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], steps_word) != 0) {
        return;
    }
    alarm(60); /* a test that fails leaves nobody behind */
    for (int i = 2; i < argc; i++) {
        steps_do(steps_parse(argv[i]));
    }
    _exit(0);
}

/* ---- The script ---- */

enum { STEPS_FDS = 16 };

struct steps_state {
    int at; /* the step to do, in argv */
    int trapped, trapped_exit;
    unsigned tokens[STEPS_FDS]; /* bytes that came and were not waited for */
    bool ended[STEPS_FDS];
};

static inline void steps_held_received(dw_script *script, int fd, const uint8_t *data, size_t len) {
    (void)data;
    if (len == 0 && fd == *(const int *)dw_script_user(script)) {
        dw_script_exit(script, 0);
    }
}

static const dw_script_class steps_held_script = {.name = "grandchild",
                                                  .received = steps_held_received};

static const int steps_numbers[STEPS_FDS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Returns whether the script goes on to the next step at once. */
static inline bool steps_perform(dw_script *script, step s) {
    struct steps_state *state = dw_script_state(script);
    const char *value;
    switch (s.what) {
    case 'w':
        dw_script_write(script, s.number, s.text, strlen(s.text));
        return true;
    case 'b':
        for (int i = 0; i < s.second; i++) {
            dw_script_write(script, s.number, "z", 1);
        }
        return true;
    case 'r':
        dw_script_set_reading(script, s.number, true);
        return state->ended[s.number];
    case 'c':
        dw_script_close(script, s.number);
        return true;
    case 'a':
        dw_script_set_reading(script, s.number, true);
        if (state->tokens[s.number] == 0) {
            return state->ended[s.number];
        }
        state->tokens[s.number]--;
        return true;
    case 'x':
        dw_script_exit(script, s.number);
        return false;
    case 'k':
        dw_script_raise(script, s.number);
        return false;
    case 'n':
        return false;
    case 'g':
        dw_script_fork(script, &steps_held_script, (void *)(uintptr_t)&steps_numbers[s.number]);
        return true;
    case 't':
        state->trapped = s.number;
        state->trapped_exit = s.second;
        return true;
    case 'e':
        value = dw_script_env(script, s.text);
        dw_script_write(script, s.number, value != NULL ? value : "-",
                        value != NULL ? strlen(value) : 1);
        return true;
    default:
        dw_script_exit(script, 98);
        return false;
    }
}

static inline void steps_go_on(dw_script *script) {
    struct steps_state *state = dw_script_state(script);
    const char *const *argv = dw_script_argv(script);
    while (argv[state->at] != NULL) {
        if (!steps_perform(script, steps_parse(argv[state->at]))) {
            return;
        }
        state->at++;
    }
    dw_script_exit(script, 0);
}

static inline void steps_start(dw_script *script) {
    struct steps_state *state = dw_script_state(script);
    for (int fd = 0; fd < STEPS_FDS; fd++) {
        dw_script_set_reading(script, fd, false);
    }
    state->at = 2;
    steps_go_on(script);
}

static inline void steps_received(dw_script *script, int fd, const uint8_t *data, size_t len) {
    struct steps_state *state = dw_script_state(script);
    step s = steps_parse(dw_script_argv(script)[state->at]);
    state->ended[fd] = state->ended[fd] || len == 0;
    if (s.what == 'r' && s.number == fd) {
        dw_script_write(script, s.second, data, len);
        state->at += len == 0;
    } else {
        state->tokens[fd] += (unsigned)len;
    }
    if (s.what == 'a' || len == 0) {
        steps_go_on(script);
    }
}

static inline bool steps_signalled(dw_script *script, int number) {
    const struct steps_state *state = dw_script_state(script);
    if (number != state->trapped) {
        return false;
    }
    dw_script_exit(script, state->trapped_exit);
    return true;
}

static const dw_script_class steps_script = {.name = "steps",
                                             .state_size = sizeof(struct steps_state),
                                             .start = steps_start,
                                             .received = steps_received,
                                             .signalled = steps_signalled};

#endif
