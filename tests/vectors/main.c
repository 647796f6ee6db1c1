/* SPDX-License-Identifier: MIT */
/*
 * parser_vectors FILE...: plays in-memory vectors (vectors/README.md, section 1) against the
 * library and says where it differs from what Twisted did. The last line is the sum,
 * `N passed, N failed, N skipped`. Exit status 0: none failed, 1: some did, 2: wrong usage, or a
 * file that cannot be read or is not of that format.
 *
 * Nothing is told apart by its name: what is passed by a rule or skipped, is so by the record's own
 * fields, and counted in the lines before the sum.
 */
#include "judge.h"

#include <errno.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct tally {
    size_t passed, failed, skipped;
    size_t by_rule[RULE_COUNT];
} tally;

typedef struct file {
    const char *name;
    record *records;
    size_t count, room;
} file;

/* ---- Reading ---- */

static bool malformed(const file *f, size_t line, const char *why) {
    fprintf(stderr, "parser_vectors: %s:%zu: %s\n", f->name, line, why);
    return false;
}

static bool take_record(file *f, json_t *vector, size_t line) {
    record r = {.vector = vector,
                .id = json_string_value(json_object_get(vector, "id")),
                .protocol = json_string_value(json_object_get(vector, "protocol")),
                .group = json_string_value(json_object_get(vector, "group")),
                .expect = json_object_get(vector, "expect")};
    const json_t *config = json_object_get(vector, "config");
    if (r.id == NULL || r.protocol == NULL || !json_is_array(r.expect) ||
        !json_is_array(json_object_get(vector, "steps")) ||
        (config != NULL && !json_is_object(config))) {
        json_decref(vector);
        return malformed(f, line, "not a vector: id, protocol, config, steps or expect");
    }
    if (f->count == f->room) {
        size_t room = f->room > 0 ? 2 * f->room : 256;
        record *grown = realloc(f->records, room * sizeof(*grown));
        if (grown == NULL) {
            json_decref(vector);
            return malformed(f, line, "out of memory");
        }
        f->records = grown;
        f->room = room;
    }
    f->records[f->count++] = r;
    return true;
}

static bool read_lines(file *f, FILE *in) {
    char *text = NULL;
    size_t size = 0;
    bool good = true;
    for (size_t line = 1; good; line++) {
        ssize_t len = getline(&text, &size, in);
        if (len < 0) {
            break;
        }
        if (text[strspn(text, " \t\r\n")] == '\0') {
            continue;
        }
        json_error_t error;
        json_t *vector = json_loadb(text, (size_t)len, 0, &error);
        good = vector != NULL ? take_record(f, vector, line) : malformed(f, line, error.text);
    }
    free(text);
    if (good && ferror(in)) {
        fprintf(stderr, "parser_vectors: %s: %s\n", f->name, strerror(errno));
        return false;
    }
    return good;
}

static bool file_read(file *f) {
    FILE *in = fopen(f->name, "r");
    if (in == NULL) {
        fprintf(stderr, "parser_vectors: %s: %s\n", f->name, strerror(errno));
        return false;
    }
    bool good = read_lines(f, in);
    fclose(in);
    return good;
}

static void file_free(file *f) {
    for (size_t at = 0; at < f->count; at++) {
        json_decref(f->records[at].vector);
        json_decref(f->records[at].events);
    }
    free(f->records);
}

/* ---- Playing ---- */

static void report(const file *f, const record *r, tally *sum) {
    switch (r->verdict) {
    case PASSED:
        sum->passed++;
        sum->by_rule[r->rule]++;
        break;
    case SKIPPED:
        sum->skipped++;
        sum->by_rule[r->rule]++;
        break;
    default:
        sum->failed++;
        printf("FAILED %s (%s, %s)\n  %s\n", r->id, r->protocol, f->name, r->problem);
    }
}

static void file_play(file *f, tally *sum) {
    for (size_t at = 0; at < f->count; at++) {
        record_judge(&f->records[at]);
    }
    groups_judge(f->records, f->count);
    for (size_t at = 0; at < f->count; at++) {
        report(f, &f->records[at], sum);
    }
}

static void print_sum(const tally *sum) {
    for (int by = RULE_NONE + 1; by < RULE_COUNT; by++) {
        if (sum->by_rule[by] > 0) {
            printf("%zu %s by rule: %s\n", sum->by_rule[by],
                   by >= RULE_QUIRK ? "skipped" : "passed", rule_texts[by]);
        }
    }
    printf("%zu passed, %zu failed, %zu skipped\n", sum->passed, sum->failed, sum->skipped);
}

int main(int argc, char **argv) {
    tally sum = {0};
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: parser_vectors FILE...\n");
        return EXIT_USAGE;
    }
    json_object_seed(1); /* the order of keys in messages is the same each time */
    bool good = true;
    for (int i = 1; i < argc; i++) {
        file f = {.name = argv[i]};
        bool readable = file_read(&f);
        if (readable) {
            file_play(&f, &sum);
        }
        good = good && readable;
        file_free(&f);
    }
    print_sum(&sum);
    return !good ? EXIT_USAGE : sum.failed > 0 ? EXIT_FAILED : 0;
}
