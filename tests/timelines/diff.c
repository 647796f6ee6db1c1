/* SPDX-License-Identifier: MIT */
/*
 * The difference of two texts, line by line, as diff -u prints it: the longest common subsequence,
 * three lines of context.
 */
#include "play.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 3, LINES_MAX = 2000 };

typedef struct lines {
    const char *at[LINES_MAX + 1]; /* the last one: the end */
    size_t count;
} lines;

/* One line of the answer. */
typedef struct edit {
    const char *text;
    size_t old_line, new_line; /* where it stands, from 0 */
    char mark;
} edit;

static void split(lines *l, const char *text) {
    l->count = 0;
    while (*text != '\0' && l->count < LINES_MAX) {
        l->at[l->count++] = text;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    l->at[l->count] = text;
}

static size_t length(const lines *l, size_t i) {
    return (size_t)(l->at[i + 1] - l->at[i]);
}

static bool same(const lines *a, size_t i, const lines *b, size_t j) {
    return length(a, i) == length(b, j) && memcmp(a->at[i], b->at[j], length(a, i)) == 0;
}

/* table[i][j]: how many lines a from i on and b from j on have in common. */
static uint16_t *common(const lines *a, const lines *b) {
    size_t width = b->count + 1;
    uint16_t *table = calloc((a->count + 1) * width, sizeof(*table));
    for (size_t i = a->count; table != NULL && i-- > 0;) {
        for (size_t j = b->count; j-- > 0;) {
            uint16_t down = table[(i + 1) * width + j], right = table[i * width + j + 1];
            table[i * width + j] = same(a, i, b, j) ? (uint16_t)(table[(i + 1) * width + j + 1] + 1)
                                   : down > right   ? down
                                                    : right;
        }
    }
    return table;
}

static size_t walk(const lines *a, const lines *b, const uint16_t *table, edit *out) {
    size_t i = 0, j = 0, n = 0, width = b->count + 1;
    while (i < a->count || j < b->count) {
        if (i < a->count && j < b->count && same(a, i, b, j)) {
            out[n++] = (edit){a->at[i], i, j, ' '};
            i++;
            j++;
        } else if (j == b->count ||
                   (i < a->count && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            out[n++] = (edit){a->at[i], i, j, '-'};
            i++;
        } else {
            out[n++] = (edit){b->at[j], i, j, '+'};
            j++;
        }
    }
    return n;
}

static bool near_change(const edit *edits, size_t count, size_t i) {
    size_t from = i > CONTEXT ? i - CONTEXT : 0;
    size_t to = i + CONTEXT < count ? i + CONTEXT : count - 1;
    for (size_t k = from; k <= to; k++) {
        if (edits[k].mark != ' ') {
            return true;
        }
    }
    return false;
}

static void print_hunk(FILE *out, const edit *edits, size_t count) {
    size_t olds = 0, news = 0;
    for (size_t i = 0; i < count; i++) {
        olds += edits[i].mark != '+';
        news += edits[i].mark != '-';
    }
    fprintf(out, "@@ -%zu,%zu +%zu,%zu @@\n", edits[0].old_line + 1, olds, edits[0].new_line + 1,
            news);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%.*s\n", edits[i].mark, (int)strcspn(edits[i].text, "\n"), edits[i].text);
    }
}

void diff_print(FILE *out, const char *old_name, const char *old, const char *new_name,
                const char *new) {
    static lines a, b;
    split(&a, old);
    split(&b, new);
    uint16_t *table = common(&a, &b);
    edit *edits = malloc((a.count + b.count + 1) * sizeof(*edits));
    fprintf(out, "--- %s\n+++ %s\n", old_name, new_name);
    size_t count = table != NULL && edits != NULL ? walk(&a, &b, table, edits) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t start = i;
        while (i < count && near_change(edits, count, i)) {
            i++;
        }
        if (i > start) {
            print_hunk(out, edits + start, i - start);
        }
    }
    free(edits);
    free(table);
}
