/* SPDX-License-Identifier: MIT */
/*
 * Writes and merges results files. A merge proves that nothing was left out: it knows how many
 * shards there should be, and adds up only what belongs to one search. Called by search.c and
 * merge.c.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "results.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_MAX = 2048 };
static const char head_line[] = "drywire results 1";

/* ---- Writing ---- */

static void write_found(FILE *out, const sim_record_found *found) {
    fprintf(out, "found %" PRIu64 "\n", found->times);
    fprintf(out, "oracle %s\nmessage %s\nwhere %s\n", found->oracle, found->message, found->where);
    fprintf(out, "origin %s\npath %s\n", found->origin, found->path);
}

static void write_record(FILE *out, const sim_record *r) {
    fprintf(out, "scenario %s\nsearch %s\n", r->name, r->search);
    fprintf(out, "weather %s\nasked %" PRIu64 "\n", r->weather, r->asked);
    fprintf(out, "planned %" PRIu64 "\nfirst-seed %" PRIu64 "\n", r->planned, r->first_seed);
    fprintf(out, "runs %" PRIu64 "\nfailures %" PRIu64 "\n", r->runs, r->failures);
    fprintf(out, "pairs %" PRIu64 "\npairs-fresh %" PRIu64 "\n", r->pairs, r->pairs_fresh);
    fprintf(out, "pairs-played %" PRIu64 "\nfresh-played %" PRIu64 "\n", r->pairs_played,
            r->fresh_played);
    fprintf(out, "cut-off %" PRIu64 "\nbound %" PRIu64 "\n", r->cut_off, r->bound);
    fprintf(out, "through %d\ndiffers %d\n", r->through, r->differs);
    fprintf(out, "wall %" PRIu64 "\nvirtual %" PRIu64 "\n", (uint64_t)r->wall, r->virtual_us);
    fprintf(out, "distinct %" PRIu64 "\ndistinct-more %d\n", r->distinct, r->distinct_more);
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if (r->kinds[kind] > 0) {
            fprintf(out, "kind %" PRIu64 " %s\n", r->kinds[kind], sim_kind_name((sim_kind)kind));
        }
    }
    for (size_t i = 0; i < r->found_count; i++) {
        write_found(out, &r->found[i]);
    }
}

static void write_assertions(FILE *out, const sim_results *results) {
    dw_assertion *const *all = NULL;
    size_t count = sim_assertions(&all);
    for (size_t i = 0; i < count && i < results->assertion_count; i++) {
        const uint64_t *n = results->assertions[all[i]->index];
        fprintf(out, "assertion %" PRIu64 " %" PRIu64 " %s %s\n", n[0], n[1], all[i]->where,
                all[i]->message);
    }
}

bool sim_results_write(const char *path, const sim_results *results) {
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return false;
    }
    bool part = results->shard.total > 1;
    fprintf(out, "%s\nprogram %s\nshard %" PRIu64 " %" PRIu64 "\n", head_line, results->program,
            part ? results->shard.index + 1 : 1, part ? results->shard.total : 1);
    for (size_t i = 0; i < results->records.count; i++) {
        write_record(out, &results->records.items[i]);
    }
    write_assertions(out, results);
    fputs("end\n", out);
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}

/* ---- Reading ---- */

typedef struct reader {
    const char *path;
    char *error;
    unsigned line;
    sim_results *into;
    sim_record *record;
    sim_record_found *found;
    bool ended;
} reader;

static bool DW_PRINTF(2, 3) wrong(const reader *r, const char *format, ...) {
    va_list args;
    int len = snprintf(r->error, SIM_RESULTS_ERROR, "%.200s:%u: ", r->path, r->line);
    va_start(args, format);
    vsnprintf(r->error + len, (size_t)(SIM_RESULTS_ERROR - len), format, args);
    va_end(args);
    return false;
}

static uint64_t number(const char **text) {
    char *end;
    uint64_t n = strtoull(*text, &end, 10);
    *text = *end == ' ' ? end + 1 : end;
    return n;
}

static bool read_assertion(reader *r, const char *text) {
    dw_assertion *const *all = NULL;
    size_t count = sim_assertions(&all);
    uint64_t held = number(&text), asked = number(&text);
    if (r->into->assertions == NULL) {
        r->into->assertions = calloc(count + 1, sizeof(*r->into->assertions));
        r->into->assertion_count = count;
    }
    for (size_t i = 0; r->into->assertions != NULL && i < count; i++) {
        size_t len = strlen(all[i]->where);
        if (strncmp(all[i]->where, text, len) == 0 && text[len] == ' ' &&
            strcmp(all[i]->message, text + len + 1) == 0) {
            r->into->assertions[all[i]->index][0] += held;
            r->into->assertions[all[i]->index][1] += asked;
            return true;
        }
    }
    return wrong(r, "this program does not say \"%.100s\": it is another build", text);
}

static bool read_kind(reader *r, const char *text) {
    uint64_t times = number(&text);
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if (strcmp(text, sim_kind_name((sim_kind)kind)) == 0) {
            r->record->kinds[kind] += times;
            return true;
        }
    }
    return wrong(r, "there is no kind '%.40s'", text);
}

/* Numbers and texts of a record, by their word. */
static bool read_record_field(reader *r, const char *word, const char *text) {
    sim_record *record = r->record;
    const char *at = text;
    uint64_t n = number(&at);
    const struct {
        const char *word;
        uint64_t *to;
    } numbers[] = {
        {"planned", &record->planned},
        {"first-seed", &record->first_seed},
        {"runs", &record->runs},
        {"failures", &record->failures},
        {"pairs", &record->pairs},
        {"pairs-fresh", &record->pairs_fresh},
        {"pairs-played", &record->pairs_played},
        {"fresh-played", &record->fresh_played},
        {"cut-off", &record->cut_off},
        {"bound", &record->bound},
        {"virtual", &record->virtual_us},
        {"distinct", &record->distinct},
        {"asked", &record->asked},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(word, numbers[i].word) == 0) {
            *numbers[i].to = n;
            return true;
        }
    }
    if (strcmp(word, "wall") == 0) {
        record->wall = (dw_time)n;
    } else if (strcmp(word, "through") == 0) {
        record->through = n != 0;
    } else if (strcmp(word, "differs") == 0) {
        record->differs = n != 0;
    } else if (strcmp(word, "distinct-more") == 0) {
        record->distinct_more = n != 0;
    } else if (strcmp(word, "search") == 0) {
        sim_record_text(record->search, sizeof(record->search), text);
    } else if (strcmp(word, "weather") == 0) {
        sim_record_text(record->weather, sizeof(record->weather), text);
    } else if (strcmp(word, "kind") == 0) {
        return read_kind(r, text);
    } else if (strcmp(word, "found") == 0) {
        r->found = sim_record_find(record, &(sim_outcome){0}, "", n);
        return r->found != NULL || wrong(r, "more than %d failures", SIM_FOUND_MAX);
    } else {
        return wrong(r, "'%.40s' is no word of a results file", word);
    }
    return true;
}

static bool read_found_field(reader *r, const char *word, const char *text) {
    sim_record_found *f = r->found;
    const struct {
        const char *word;
        char *to;
        size_t size;
    } texts[] = {
        {"oracle", f->oracle, sizeof(f->oracle)}, {"message", f->message, sizeof(f->message)},
        {"where", f->where, sizeof(f->where)},    {"origin", f->origin, sizeof(f->origin)},
        {"path", f->path, sizeof(f->path)},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(word, texts[i].word) == 0) {
            sim_record_text(texts[i].to, texts[i].size, text);
            return true;
        }
    }
    return read_record_field(r, word, text);
}

static bool read_field(reader *r, const char *word, const char *text) {
    if (strcmp(word, "scenario") == 0) {
        r->found = NULL;
        r->record = sim_records_add(&r->into->records, text);
        return r->record != NULL || wrong(r, "out of memory");
    }
    if (strcmp(word, "end") == 0) {
        return r->ended = true;
    }
    if (strcmp(word, "assertion") == 0) {
        return read_assertion(r, text);
    }
    if (r->record != NULL) {
        return r->found != NULL ? read_found_field(r, word, text)
                                : read_record_field(r, word, text);
    }
    if (strcmp(word, "program") == 0) {
        sim_record_text(r->into->program, sizeof(r->into->program), text);
        return true;
    }
    if (strcmp(word, "shard") == 0) {
        r->into->shard.index = number(&text) - 1;
        r->into->shard.total = number(&text);
        return (r->into->shard.total > 0 && r->into->shard.total <= SIM_SHARDS_MAX &&
                r->into->shard.index < r->into->shard.total) ||
               wrong(r, "no such shard");
    }
    return wrong(r, "'%.40s' is no word of a results file", word);
}

static bool read_results(const char *path, sim_results *into, char *error) {
    char line[FIELD_MAX];
    reader r = {.path = path, .error = error, .into = into};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(error, SIM_RESULTS_ERROR, "%.200s: %s", path, strerror(errno));
        return false;
    }
    bool good = true;
    while (good && !r.ended && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        r.line++;
        if (r.line == 1) {
            good = strcmp(line, head_line) == 0 || wrong(&r, "this is no results file");
            continue;
        }
        size_t word = strcspn(line, " ");
        const char *text = line + word + (line[word] == ' ');
        line[word] = '\0';
        good = read_field(&r, line, text);
    }
    fclose(file);
    return good && (r.ended || wrong(&r, "the file is cut off"));
}

/* ---- Adding up ---- */

static bool same_search(const sim_record *a, const sim_record *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->search, b->search) == 0 &&
           strcmp(a->weather, b->weather) == 0 && a->asked == b->asked && a->bound == b->bound &&
           a->planned == b->planned && a->first_seed == b->first_seed;
}

static bool same_bug(const sim_record_found *a, const sim_record_found *b) {
    return strcmp(a->oracle, b->oracle) == 0 && strcmp(a->message, b->message) == 0 &&
           strcmp(a->where, b->where) == 0;
}

static void add_found(sim_record *sum, const sim_record_found *one) {
    for (size_t i = 0; i < sum->found_count; i++) {
        if (same_bug(&sum->found[i], one)) {
            sum->found[i].times += one->times;
            return;
        }
    }
    if (sum->found_count < SIM_FOUND_MAX) {
        sum->found[sum->found_count++] = *one;
    }
}

static void add_record(sim_record *sum, const sim_record *one) {
    sum->runs += one->runs;
    sum->failures += one->failures;
    sum->pairs += one->pairs;
    sum->pairs_fresh += one->pairs_fresh;
    sum->pairs_played += one->pairs_played;
    sum->fresh_played += one->fresh_played;
    sum->cut_off += one->cut_off;
    sum->wall += one->wall;
    sum->virtual_us += one->virtual_us;
    sum->distinct += one->distinct;
    sum->distinct_sum = true;
    sum->distinct_more = sum->distinct_more || one->distinct_more;
    sum->through = sum->through && one->through;
    sum->differs = sum->differs || one->differs;
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        sum->kinds[kind] += one->kinds[kind];
    }
    for (size_t i = 0; i < one->found_count; i++) {
        add_found(sum, &one->found[i]);
    }
}

static bool DW_PRINTF(2, 3) refuse(char *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error, SIM_RESULTS_ERROR, format, args);
    va_end(args);
    return false;
}

/* `one` becomes part of `sum`; the first one is all of it. */
static bool add(sim_results *sum, sim_results *one, bool first, const char *path, char *error) {
    if (first) {
        sim_shard shard = sum->shard;
        *sum = *one;
        sum->shard = shard;
        sum->shard.total = one->shard.total;
        *one = (sim_results){0};
        return true;
    }
    bool same = sum->records.count == one->records.count &&
                strcmp(sum->program, one->program) == 0 && sum->shard.total == one->shard.total;
    for (size_t i = 0; same && i < sum->records.count; i++) {
        same = same_search(&sum->records.items[i], &one->records.items[i]);
    }
    if (!same) {
        return refuse(error, "%.200s: not of the same program and search as the first file", path);
    }
    for (size_t i = 0; i < sum->records.count; i++) {
        add_record(&sum->records.items[i], &one->records.items[i]);
    }
    for (size_t i = 0;
         sum->assertions != NULL && one->assertions != NULL && i < sum->assertion_count; i++) {
        sum->assertions[i][0] += one->assertions[i][0];
        sum->assertions[i][1] += one->assertions[i][1];
    }
    return true;
}

static bool none_missing(const uint32_t *from, uint64_t total, char *error) {
    char names[200];
    size_t used = 0, missing = 0;
    for (uint64_t i = 0; i < total; i++) {
        if (from[i] != 0) {
            continue;
        }
        missing++;
        if (used + 24 < sizeof(names)) {
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%" PRIu64,
                                     missing > 1 ? ", " : "", i + 1);
        }
    }
    return missing == 0 ||
           refuse(error, "%zu of %" PRIu64 " shards missing: %s", missing, total, names);
}

bool sim_results_merge(sim_results *sum, const char *const *paths, size_t count,
                       char error[SIM_RESULTS_ERROR]) {
    uint32_t *from = NULL; /* by shard: the number of its file, from 1 */
    bool good = count > 0 || refuse(error, "no results files were named");
    for (size_t i = 0; good && i < count; i++) {
        sim_results one = {0};
        good = read_results(paths[i], &one, error);
        if (good && from == NULL) {
            from = calloc((size_t)one.shard.total, sizeof(*from));
            good = from != NULL || refuse(error, "out of memory");
        }
        sim_shard shard = one.shard;
        good = good && add(sum, &one, i == 0, paths[i], error);
        if (good && from[shard.index] != 0) {
            good = refuse(error, "%.150s: shard %" PRIu64 " is in %.150s already", paths[i],
                          shard.index + 1, paths[from[shard.index] - 1]);
        } else if (good) {
            from[shard.index] = (uint32_t)i + 1;
        }
        sim_results_free(&one);
    }
    good = good && none_missing(from, sum->shard.total, error);
    free(from);
    return good;
}

void sim_results_free(sim_results *results) {
    sim_records_free(&results->records);
    free(results->assertions);
    *results = (sim_results){0};
}
