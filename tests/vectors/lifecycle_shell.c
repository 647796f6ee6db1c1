/* SPDX-License-Identifier: MIT */
/*
 * What stands in for /bin/sh on the dry wire: as much of the shell (POSIX, XCU 2) as scripts of
 * child processes need. Commands in a row, `( ... ) &`, redirections of descriptors, and exit,
 * printf, echo, sleep, cat, read, kill, trap, exec, true, false, wait, `while :; do ...; done`;
 * $NAME of the environment or of the last read.
 *
 * Whatever else a script says makes the situation one that the dry wire cannot have; it is never
 * guessed at.
 */
#include "lifecycle.h"

#include <ctype.h>
#include <drywire/sim.h>
#include <signal.h>
#include <stdio.h>

enum {
    WORDS_MAX = 16,
    WORD_MAX = 256,
    NAME_LEN_MAX = 32,
    TRAP_MAX = 128,
    TRAPS_MAX = 4,
    STEPS_MAX = 1000
};

typedef enum doing { RUNNING, SLEEPING, COPYING, READING, WAITING } doing;

typedef struct trap {
    int signal;
    char text[TRAP_MAX];
} trap;

typedef struct shell {
    const char *at;   /* what is left of the script */
    const char *loop; /* behind `do` of the while that runs */
    doing doing;
    int in, out; /* of cat */
    bool last;   /* after `exec`: its end is ours */
    bool forked; /* by `&` */
    bool armed;  /* a trap waits for the command that runs */
    int status;
    char name[NAME_LEN_MAX]; /* what `read` sets, and to what */
    char line[WORD_MAX];
    trap traps[TRAPS_MAX];
    char caught[TRAP_MAX];
} shell;

typedef struct command {
    char words[WORDS_MAX][WORD_MAX];
    size_t count;
    int in, out;           /* redirected descriptors 0 and 1 */
    int closed[WORDS_MAX]; /* by n>&- and n<&- */
    size_t closed_count;
    bool background;
} command;

static void unknown(dw_script *script, const char *what) {
    play *p = dw_script_user(script);
    side_missing(&p->sides[SIDE_CLIENT],
                 "a child whose program no script stands for on the dry wire: %.80s", what);
    dw_script_exit(script, 127);
}

/* ---- Words ---- */

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t\n;");
}

/* What stands for the $... at `*at`; NULL for what needs a real shell. */
static const char *take_parameter(dw_script *script, const char **at) {
    const shell *sh = dw_script_state(script);
    char name[NAME_LEN_MAX];
    size_t n = 0;
    const char *c = *at + 1;
    if (*c == '$') {
        *at += 2;
        return "SELF";
    }
    while ((isalpha((unsigned char)*c) || *c == '_' || (n > 0 && isdigit((unsigned char)*c))) &&
           n + 1 < NAME_LEN_MAX) {
        name[n++] = *c++;
    }
    name[n] = '\0';
    *at = c;
    if (n == 0 || isalnum((unsigned char)*c)) {
        return NULL;
    }
    const char *value = strcmp(name, sh->name) == 0 ? sh->line : dw_script_env(script, name);
    return value != NULL ? value : "";
}

/* The next character of a word, or what a parameter stands for; false for what needs a real shell,
 * such as a value that would become several words. */
static bool take_piece(dw_script *script, const char **at, char quote, char out[WORD_MAX],
                       size_t *n) {
    if (quote != '\'' && **at == '$') {
        const char *value = take_parameter(script, at);
        if (value == NULL || (quote == '\0' && strpbrk(value, " \t\n*?[") != NULL)) {
            return false;
        }
        *n += (size_t)snprintf(out + *n, WORD_MAX - *n, "%s", value);
        return *n < WORD_MAX;
    }
    if (quote != '\'' && strchr(quote == '"' ? "`\\" : "`\\*", **at) != NULL) {
        bool escape = quote == '"' && **at == '\\' && strchr("$`\"\\\n", (*at)[1]) == NULL;
        if (!escape) {
            return false;
        }
    }
    out[(*n)++] = *(*at)++;
    return *n < WORD_MAX;
}

/* One word, unquoted; false for what needs a real shell. */
static bool take_word(dw_script *script, const char **at, char out[WORD_MAX]) {
    size_t n = 0;
    while (**at != '\0' && strchr(" \t\n;&()<>|", **at) == NULL) {
        char quote = **at == '\'' || **at == '"' ? *(*at)++ : '\0';
        do {
            if (quote != '\0' && (**at == quote || **at == '\0')) {
                *at += **at == quote;
                break;
            }
            if (!take_piece(script, at, quote, out, &n)) {
                return false;
            }
        } while (quote != '\0');
    }
    out[n] = '\0';
    return true;
}

/* n>&m, n<&m, n>&-, n<&-, >/dev/null. */
static bool take_redirection(dw_script *script, const char **at, command *c) {
    char target[WORD_MAX];
    int fd = isdigit((unsigned char)**at) ? *(*at)++ - '0' : -1;
    bool input = **at == '<';
    (*at)++;
    bool duplicate = **at == '&';
    *at += duplicate;
    *at += strspn(*at, " ");
    if (!take_word(script, at, target)) {
        return false;
    }
    fd = fd >= 0 ? fd : input ? 0 : 1;
    if (strcmp(target, "-") == 0 && duplicate && c->closed_count < WORDS_MAX) {
        c->closed[c->closed_count++] = fd;
        return true;
    }
    int to = duplicate && isdigit((unsigned char)target[0]) ? atoi(target) : -1;
    if (to < 0 || fd > 1) {
        return false;
    }
    *(fd == 0 ? &c->in : &c->out) = to;
    return true;
}

static bool is_redirection(const char *at) {
    at += isdigit((unsigned char)*at) != 0;
    return *at == '<' || *at == '>';
}

static bool take_command(dw_script *script, const char **at, command *c) {
    *c = (command){.in = 0, .out = 1};
    while (**at != '\0' && strchr("\n;&)", **at) == NULL) {
        if (is_redirection(*at)) {
            if (!take_redirection(script, at, c)) {
                return false;
            }
        } else if (c->count == WORDS_MAX || **at == '(' || **at == '|' || **at == '#' ||
                   !take_word(script, at, c->words[c->count++])) {
            return false;
        }
        *at += strspn(*at, " \t");
    }
    if (strncmp(*at, "&&", 2) == 0) {
        return false;
    }
    c->background = **at == '&';
    *at += **at == '&';
    return true;
}

/* ---- Commands ---- */

static void go_on(dw_script *script);

static void finished(dw_script *script, int status) {
    shell *sh = dw_script_state(script);
    sh->status = status;
    sh->doing = RUNNING;
    if (sh->last) {
        dw_script_exit(script, status);
    }
}

static dw_time seconds(const char *text) {
    return (dw_time)(strtod(text, NULL) * 1e9);
}

/* printf(1): escapes, %s, %d, %%. */
static void print_format(dw_script *script, const command *c) {
    char out[WORD_MAX * 4];
    size_t n = 0, next = 2;
    for (const char *f = c->words[1]; *f != '\0' && n + WORD_MAX < sizeof(out); f++) {
        if (f[0] == '\\' && f[1] == 'n') {
            out[n++] = '\n';
            f++;
        } else if (f[0] == '%' && (f[1] == 's' || f[1] == 'd')) {
            const char *word = next < c->count ? c->words[next++] : "";
            n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", word);
            f++;
        } else if (f[0] == '\\' || (f[0] == '%' && f[1] != '%')) {
            unknown(script, c->words[1]);
            return;
        } else {
            f += f[0] == '%';
            out[n++] = *f;
        }
    }
    dw_script_write(script, c->out, out, n);
    finished(script, 0);
}

static void print_words(dw_script *script, const command *c) {
    size_t first = c->count > 1 && strcmp(c->words[1], "-n") == 0 ? 2 : 1;
    for (size_t i = first; i < c->count; i++) {
        dw_script_write(script, c->out, c->words[i], strlen(c->words[i]));
        if (i + 1 < c->count) {
            dw_script_write(script, c->out, " ", 1);
        }
    }
    if (first == 1) {
        dw_script_write(script, c->out, "\n", 1);
    }
    finished(script, 0);
}

static int signal_of(const char *name) {
    static const struct {
        const char *name;
        int number;
    } names[] = {{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"INT", SIGINT},   {"HUP", SIGHUP},
                 {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"QUIT", SIGQUIT}, {"PIPE", SIGPIPE},
                 {"ABRT", SIGABRT}, {"SEGV", SIGSEGV}, {"ALRM", SIGALRM}};
    name += strncmp(name, "SIG", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].number;
        }
    }
    return isdigit((unsigned char)name[0]) ? atoi(name) : 0;
}

static void kill_self(dw_script *script, const command *c) {
    int number = SIGTERM;
    const char *option = c->count > 2 ? c->words[1] : "";
    if (strcmp(option, "-s") == 0 && c->count > 3) {
        number = signal_of(c->words[2]);
    } else if (option[0] == '-') {
        number = signal_of(option + 1);
    }
    if (number <= 0 || strcmp(c->words[c->count - 1], "SELF") != 0) {
        unknown(script, "kill");
        return;
    }
    finished(script, 0);
    dw_script_raise(script, number);
}

static void set_trap(dw_script *script, const command *c) {
    shell *sh = dw_script_state(script);
    for (size_t i = 2; i < c->count; i++) {
        size_t at = 0;
        int number = signal_of(c->words[i]);
        while (at < TRAPS_MAX && sh->traps[at].signal != 0 && sh->traps[at].signal != number) {
            at++;
        }
        if (number == 0 || at == TRAPS_MAX || strlen(c->words[1]) >= TRAP_MAX) {
            unknown(script, "trap");
            return;
        }
        sh->traps[at].signal = number;
        strcpy(sh->traps[at].text, c->words[1]);
    }
    finished(script, 0);
}

static void copy(dw_script *script, const command *c, doing how) {
    shell *sh = dw_script_state(script);
    sh->in = c->in;
    sh->out = c->out;
    sh->doing = how;
    dw_script_set_reading(script, sh->in, true);
}

static bool is(const command *c, const char *name) {
    const char *slash = strrchr(c->words[0], '/');
    return strcmp(slash != NULL ? slash + 1 : c->words[0], name) == 0;
}

static void execute(dw_script *script, const command *c) {
    shell *sh = dw_script_state(script);
    if (is(c, "exit")) {
        dw_script_exit(script, c->count > 1 ? atoi(c->words[1]) : sh->status);
        sh->at = NULL;
    } else if (is(c, "printf") && c->count > 1) {
        print_format(script, c);
    } else if (is(c, "echo")) {
        print_words(script, c);
    } else if (is(c, "sleep") && c->count == 2) {
        sh->doing = SLEEPING;
        dw_script_sleep(script, seconds(c->words[1]));
    } else if (is(c, "cat") && c->count == 1) {
        copy(script, c, COPYING);
    } else if (is(c, "read") && c->count <= 2 && strlen(c->words[1]) < NAME_LEN_MAX) {
        strcpy(sh->name, c->count == 2 ? c->words[1] : "");
        sh->line[0] = '\0';
        copy(script, c, READING);
    } else if (is(c, "kill")) {
        kill_self(script, c);
    } else if (is(c, "trap") && c->count > 2) {
        set_trap(script, c);
    } else if (is(c, "wait")) {
        sh->doing = WAITING;
    } else if (is(c, "true") || is(c, ":") || is(c, "false")) {
        finished(script, is(c, "false"));
    } else {
        unknown(script, c->words[0]);
    }
}

/* ---- Scripts ---- */

static const dw_script_class shell_script;

/* A process of its own for the text up to `end`. */
static void fork_text(dw_script *script, const char *from, size_t len) {
    char *text = strndup(from, len);
    dw_script *forked =
        text != NULL ? dw_script_fork(script, &shell_script, dw_script_user(script)) : NULL;
    if (forked == NULL) {
        unknown(script, "&");
        return;
    }
    shell *sh = dw_script_state(forked);
    sh->at = text;
    sh->forked = true;
}

static void fork_group(dw_script *script) {
    shell *sh = dw_script_state(script);
    const char *end = strchr(sh->at, ')');
    const char *after = end != NULL ? end + 1 + strspn(end + 1, " \t") : NULL;
    if (end == NULL || memchr(sh->at + 1, '(', (size_t)(end - sh->at - 1)) != NULL ||
        *after != '&' || after[1] == '&') {
        unknown(script, sh->at);
        return;
    }
    fork_text(script, sh->at + 1, (size_t)(end - sh->at - 1));
    sh->at = after + 1;
}

/* Returns false when the row of commands has come to its end. */
static bool structure(dw_script *script) {
    shell *sh = dw_script_state(script);
    static const char *const heads[] = {"while :; do ", "while true; do "};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        if (strncmp(sh->at, heads[i], strlen(heads[i])) == 0) {
            sh->at += strlen(heads[i]);
            sh->loop = sh->at;
        }
    }
    if (sh->loop != NULL && strncmp(sh->at, "done", 4) == 0) {
        sh->at = sh->loop;
    }
    if (*sh->at == '(') {
        fork_group(script);
        sh->at = skip_blanks(sh->at);
    }
    return *sh->at != '\0';
}

static void one_command(dw_script *script) {
    shell *sh = dw_script_state(script);
    command c;
    const char *from = sh->at;
    if (!take_command(script, &sh->at, &c)) {
        unknown(script, from);
        sh->at = NULL;
        return;
    }
    if (c.background) {
        fork_text(script, from, (size_t)(sh->at - from - 1));
        return;
    }
    for (size_t i = 0; i < c.closed_count; i++) {
        dw_script_close(script, c.closed[i]);
    }
    if (c.count > 0 && strcmp(c.words[0], "exec") == 0) {
        sh->last = c.count > 1;
        memmove(c.words[0], c.words[1], sizeof(c.words) - sizeof(c.words[0]));
        c.count--;
    } else if (c.closed_count > 0) {
        unknown(script, from); /* closed for one command only */
        return;
    }
    if (c.count > 0) {
        execute(script, &c);
    }
}

static void go_on(dw_script *script) {
    shell *sh = dw_script_state(script);
    const play *p = dw_script_user(script);
    for (int steps = 0; sh->doing == RUNNING && sh->at != NULL && !play_over(p); steps++) {
        if (sh->armed) {
            sh->armed = false;
            sh->at = sh->caught; /* what comes behind it is as a rule `exit` */
        }
        sh->at = skip_blanks(sh->at);
        if (steps == STEPS_MAX) {
            unknown(script, "a loop without a sleep");
        } else if (!structure(script)) {
            dw_script_exit(script, sh->status);
            sh->at = NULL;
        } else {
            one_command(script);
        }
    }
}

/* ---- What the world tells ---- */

static void begin(dw_script *script) {
    shell *sh = dw_script_state(script);
    const char *const *argv = dw_script_argv(script);
    for (int fd = 0; fd < 10; fd++) {
        dw_script_set_reading(script, fd, false);
    }
    if (sh->at == NULL && (argv[1] == NULL || strcmp(argv[1], "-c") != 0 || argv[2] == NULL)) {
        unknown(script, argv[0]);
        return;
    }
    sh->at = sh->at != NULL ? sh->at : argv[2];
    if (sh->forked) {
        dw_script_close(script, 0); /* XCU 2.9.3.1: it has /dev/null */
    }
    go_on(script);
}

/* Returns whether it has come to its end. */
static bool take_line(shell *sh, const uint8_t *data, size_t len) {
    const uint8_t *end = len > 0 ? memchr(data, '\n', len) : NULL;
    size_t part = end != NULL ? (size_t)(end - data) : len, had = strlen(sh->line);
    part = part < WORD_MAX - 1 - had ? part : WORD_MAX - 1 - had;
    memcpy(sh->line + had, data, part);
    sh->line[had + part] = '\0';
    return end != NULL;
}

static void received(dw_script *script, int fd, const uint8_t *data, size_t len) {
    shell *sh = dw_script_state(script);
    bool done = len == 0;
    if (fd != sh->in) {
        return;
    }
    if (sh->doing == COPYING && len > 0) {
        dw_script_write(script, sh->out, data, len);
    } else if (sh->doing == READING) {
        done = take_line(sh, data, len) || done;
    }
    if (done && (sh->doing == COPYING || sh->doing == READING)) {
        dw_script_set_reading(script, fd, false);
        finished(script, sh->doing == READING && len == 0);
        go_on(script);
    }
}

static void woken(dw_script *script) {
    finished(script, 0);
    go_on(script);
}

/* A trap runs when the command that runs is over; `wait` it ends. Programs of exec have none. */
static bool signalled(dw_script *script, int signal_number) {
    shell *sh = dw_script_state(script);
    for (size_t i = 0; i < TRAPS_MAX; i++) {
        if (sh->traps[i].signal != signal_number) {
            continue;
        }
        if (sh->traps[i].text[0] == '\0') {
            return true;
        }
        if (sh->last) {
            return false;
        }
        strcpy(sh->caught, sh->traps[i].text);
        sh->armed = true;
        if (sh->doing == WAITING) {
            finished(script, 128 + signal_number);
            go_on(script);
        }
        return true;
    }
    return false;
}

static const dw_script_class shell_script = {.name = "sh",
                                             .state_size = sizeof(shell),
                                             .start = begin,
                                             .received = received,
                                             .woken = woken,
                                             .signalled = signalled};

void shell_install(play *p) {
    dw_world_add_program(p->world, "sh", &shell_script, p);
    dw_world_add_program(p->world, "cat", &dw_cat_script, p);
    dw_world_add_program(p->world, "echo", &dw_echo_script, p);
}
