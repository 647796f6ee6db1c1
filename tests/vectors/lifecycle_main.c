/* SPDX-License-Identifier: MIT */
/*
 * lifecycle_vectors [--backend=poll|epoll|uring|sim] [--only=TEXT] [--jobs=N] FILE...: plays the
 * life-cycle situations recorded from Twisted (vectors/README.md, section 2) on one backend, and
 * says where what the two sides were told differs. The last line is the sum, `N passed, N failed, N
 * skipped`. Exit status 0: none failed, 1: some did, 2: wrong usage, or a file that cannot be read
 * or is not of that format.
 *
 * Nothing is told apart by its name: what is skipped, or passes though the lists differ, does so by
 * a rule about what is in the script, which is printed before the sum with how often it was used.
 */
#include "lifecycle.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, SKIPS_MAX = 64, JOBS_DEFAULT = 12 };

typedef struct options {
    const backend *b;
    const char *poller, *only;
    unsigned jobs;
    bool show;
} options;

static const char *const allowance_texts[ALLOW_COUNT] = {
    "an exception where a callback cannot fail in C: the program ignores what Twisted leaves out",
    "compared up to an accident of Twisted's (README, section 5)",
    "doStop more often than doStart: an accident of Twisted's, left out",
    "how much of a stream a reset leaves to be read is not defined",
    "what a callback wrote has left when it returns; Twisted drops it if the connection ends first",
    "an order between descriptors, exit or connections that is not defined",
    "how much one reception brings, before the reader stops reading, is not defined",
};

/* ---- Reading ---- */

typedef struct list {
    situation *items;
    size_t count, room;
} list;

static bool malformed(const char *file, size_t line, const char *why) {
    fprintf(stderr, "lifecycle_vectors: %s:%zu: %s\n", file, line, why);
    return false;
}

static bool is_situation(const json_t *record) {
    return json_is_string(json_object_get(record, "id")) &&
           json_is_object(json_object_get(record, "script")) &&
           json_is_string(json_object_get(record, "backend")) &&
           (json_is_array(json_object_get(record, "client")) ||
            json_is_array(json_object_get(record, "server")));
}

static bool take(list *all, json_t *record, const char *file, size_t line, const char *only) {
    if (!is_situation(record)) {
        json_decref(record);
        return malformed(file, line, "not a situation: id, backend, script, client or server");
    }
    const char *id = json_string_value(json_object_get(record, "id"));
    if (only != NULL && strstr(id, only) == NULL) {
        json_decref(record);
        return true;
    }
    if (all->count == all->room) {
        size_t room = all->room > 0 ? 2 * all->room : 256;
        situation *grown = realloc(all->items, room * sizeof(*grown));
        if (grown == NULL) {
            json_decref(record);
            return malformed(file, line, "out of memory");
        }
        all->items = grown;
        all->room = room;
    }
    all->items[all->count++] = (situation){.record = record, .id = id, .file = file};
    return true;
}

static bool read_file(list *all, const char *file, const char *only) {
    FILE *in = fopen(file, "r");
    char *text = NULL;
    size_t size = 0;
    bool good = in != NULL;
    errno = 0;
    for (size_t line = 1; good; line++) {
        ssize_t len = getline(&text, &size, in);
        if (len < 0) {
            break;
        }
        if (text[strspn(text, " \t\r\n")] == '\0') {
            continue;
        }
        json_error_t error;
        json_t *record = json_loadb(text, (size_t)len, 0, &error);
        good = record != NULL ? take(all, record, file, line, only)
                              : malformed(file, line, error.text);
    }
    if (in == NULL || ferror(in)) {
        fprintf(stderr, "lifecycle_vectors: %s: %s\n", file, strerror(errno));
        good = false;
    }
    if (in != NULL) {
        fclose(in);
    }
    free(text);
    return good;
}

/* ---- Reporting ---- */

static void print_skips(const list *all) {
    const char *seen[SKIPS_MAX];
    size_t known = 0;
    for (size_t i = 0; i < all->count; i++) {
        const situation *s = &all->items[i];
        bool first = s->outcome == OUTCOME_SKIPPED;
        for (size_t k = 0; k < known; k++) {
            first = first && strcmp(seen[k], s->text) != 0;
        }
        if (!first) {
            continue;
        }
        size_t times = 0;
        for (size_t k = i; k < all->count; k++) {
            times += all->items[k].outcome == OUTCOME_SKIPPED &&
                     strcmp(all->items[k].text, s->text) == 0;
        }
        printf("%zu skipped by rule: %s\n", times, s->text);
        seen[known] = s->text;
        known += known + 1 < SKIPS_MAX;
    }
}

static void print_allowances(const list *all) {
    for (unsigned bit = 0; bit < ALLOW_COUNT; bit++) {
        size_t times = 0;
        for (size_t i = 0; i < all->count; i++) {
            times +=
                all->items[i].outcome == OUTCOME_PASSED && (all->items[i].allowed & 1u << bit) != 0;
        }
        if (times > 0) {
            printf("%zu passed by rule: %s\n", times, allowance_texts[bit]);
        }
    }
}

static size_t count_of(const list *all, verdict_kind what) {
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        count += all->items[i].outcome == what;
    }
    return count;
}

static void report(const list *all, bool show) {
    for (size_t i = 0; i < all->count; i++) {
        const situation *s = &all->items[i];
        if (s->outcome == OUTCOME_FAILED) {
            const char *title = json_string_value(json_object_get(s->record, "title"));
            printf("FAILED %s (%s; %s)\n%s", s->id, title != NULL ? title : "", s->file, s->text);
        } else if (show) {
            printf("%s %s %s\n", s->outcome == OUTCOME_PASSED ? "passed" : "skipped", s->id,
                   s->outcome == OUTCOME_SKIPPED ? s->text : "");
        }
    }
    print_allowances(all);
    print_skips(all);
    printf("%zu passed, %zu failed, %zu skipped\n", count_of(all, OUTCOME_PASSED),
           count_of(all, OUTCOME_FAILED), count_of(all, OUTCOME_SKIPPED));
}

/* ---- Options ---- */

static int usage(void) {
    fprintf(stderr, "usage: lifecycle_vectors [--backend=poll|epoll|uring|sim] [--only=TEXT] "
                    "[--jobs=N] [--verbose] FILE...\n");
    return EXIT_USAGE;
}

static bool backend_named(options *o, const char *name) {
    o->poller = name;
    o->b = strcmp(name, "sim") == 0 ? &backend_dry : &backend_live;
    return strcmp(name, "sim") == 0 || strcmp(name, "poll") == 0 || strcmp(name, "epoll") == 0 ||
           strcmp(name, "uring") == 0;
}

static bool option(options *o, const char *arg) {
    if (strncmp(arg, "--backend=", 10) == 0) {
        return backend_named(o, arg + 10);
    }
    if (strncmp(arg, "--only=", 7) == 0) {
        o->only = arg + 7;
        return true;
    }
    if (strncmp(arg, "--jobs=", 7) == 0) {
        o->jobs = (unsigned)atoi(arg + 7);
        return o->jobs > 0;
    }
    o->show = o->show || strcmp(arg, "--verbose") == 0;
    return strcmp(arg, "--verbose") == 0;
}

int main(int argc, char **argv) {
    options o = {.jobs = JOBS_DEFAULT};
    list all = {0};
    int at = 1;
    bool good = true;
    backend_named(&o, "poll");
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (!option(&o, argv[at])) {
            return usage();
        }
    }
    if (at >= argc) {
        return usage();
    }
    json_object_seed(1); /* the order of keys in messages is the same each time */
    for (; at < argc; at++) {
        good = read_file(&all, argv[at], o.only) && good;
    }
    situations_play(all.items, all.count, o.b, o.poller, o.jobs);
    report(&all, o.show);
    size_t failed = count_of(&all, OUTCOME_FAILED);
    for (size_t i = 0; i < all.count; i++) {
        json_decref(all.items[i].record);
        free(all.items[i].text);
    }
    free(all.items);
    return !good ? EXIT_USAGE : failed > 0 ? EXIT_FAILED : 0;
}
