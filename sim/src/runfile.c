/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes run files. A `deviate` line is taken apart from its right end, because WHO may
 * hold spaces ("link client-1>server"). Nothing is half-read: an error leaves the file structure
 * empty. Called by replay, shrink, the reports of failures, and the Check glue.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "runfile.h"
#include "duration.h"
#include "number.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char format_line[] = "drywire run 1";

typedef struct reader {
    const char *name;
    char *error;
    unsigned long line_no;
    bool header, scenario;
    unsigned long *lines; /* of each deviation: where it stood */
    size_t lines_room;
    sim_runfile *file;
} reader;

static bool DW_PRINTF(2, 3) wrong(reader *r, const char *format, ...) {
    int used = snprintf(r->error, SIM_RUNFILE_ERROR, "%.300s:%lu: ", r->name, r->line_no);
    va_list args;
    va_start(args, format);
    vsnprintf(r->error + used, (size_t)(SIM_RUNFILE_ERROR - used), format, args);
    va_end(args);
    return false;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static void trim_right(char *text) {
    size_t len = strlen(text);
    while (len && is_blank(text[len - 1])) {
        text[--len] = '\0';
    }
}

static char *skip_blanks(char *text) {
    while (is_blank(*text)) {
        text++;
    }
    return text;
}

/* A comment begins with '#' at the start or behind a blank. */
static void cut_comment(char *text) {
    for (char *at = text; *at; at++) {
        if (*at == '#' && (at == text || is_blank(at[-1]))) {
            *at = '\0';
            break;
        }
    }
    trim_right(text);
}

/* Cuts the last word off `text` and returns it; "" when there is none. */
static char *last_word(char *text) {
    trim_right(text);
    size_t at = strlen(text);
    while (at && !is_blank(text[at - 1])) {
        at--;
    }
    char *word = text + at;
    if (at) {
        text[at - 1] = '\0';
    } else {
        static char none[1];
        return none;
    }
    return word;
}

/* Runs of blanks become one space. */
static void squeeze(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (!is_blank(*from)) {
            *to++ = *from;
        } else if (to != text && to[-1] != ' ') {
            *to++ = ' ';
        }
    }
    *to = '\0';
}

static bool read_value(reader *r, sim_deviation *d, const char *text) {
    if (sim_kind_is_time(sim_kind_of(d->what))) {
        dw_time duration = 0;
        if (!sim_duration_parse(text, &duration)) {
            return wrong(r, "'%.40s' is no duration: %s takes values such as 250ms, 1s, 17us", text,
                         d->what);
        }
        d->value = (uint64_t)duration;
    } else if (!sim_number_parse(text, &d->value)) {
        return wrong(r, "'%.40s' is no number: the value of %s", text, d->what);
    }
    if (d->value == 0) {
        return wrong(r, "the value 0 is the calm one: leave the line out");
    }
    return true;
}

static bool keep_line_no(reader *r) {
    if (r->file->list.count >= r->lines_room) {
        size_t room = r->lines_room ? r->lines_room * 2 : 64;
        unsigned long *lines = realloc(r->lines, room * sizeof(*lines));
        if (!lines) {
            return wrong(r, "out of memory");
        }
        r->lines = lines;
        r->lines_room = room;
    }
    r->lines[r->file->list.count] = r->line_no;
    return true;
}

static bool read_deviate(reader *r, char *rest) {
    cut_comment(rest);
    const char *value = last_word(rest);
    const char *nth = last_word(rest);
    const char *what = last_word(rest);
    char *who = rest;
    squeeze(who);
    trim_right(who);
    if (!*who || !*what || !*nth || !*value) {
        return wrong(r, "expected: deviate WHO WHAT NTH VALUE");
    }
    sim_deviation d = {0};
    if (strlen(who) >= sizeof(d.who)) {
        return wrong(r, "WHO is longer than %d bytes", SIM_WHO_MAX - 1);
    }
    if (strlen(what) >= sizeof(d.what)) {
        return wrong(r, "WHAT is longer than %d bytes", SIM_WHAT_MAX - 1);
    }
    strcpy(d.who, who);
    strcpy(d.what, what);
    if (!sim_number_parse(nth, &d.nth) || d.nth == 0) {
        return wrong(r, "'%.40s' is no count: NTH is 1 or more", nth);
    }
    if (!read_value(r, &d, value)) {
        return false;
    }
    if (r->file->list.count >= SIM_RUNFILE_LIST_MAX) {
        return wrong(r, "more than %d deviations", SIM_RUNFILE_LIST_MAX);
    }
    if (!keep_line_no(r)) {
        return false;
    }
    return sim_list_add(&r->file->list, &d) || wrong(r, "out of memory");
}

static bool read_scenario(reader *r, char *rest) {
    cut_comment(rest);
    if (r->scenario) {
        return wrong(r, "a second scenario: a file holds one run");
    }
    if (!*rest) {
        return wrong(r, "expected: scenario NAME");
    }
    if (strlen(rest) >= sizeof(r->file->scenario)) {
        return wrong(r, "the scenario's name is longer than %d bytes", SIM_RUNFILE_NAME_MAX - 1);
    }
    strcpy(r->file->scenario, rest);
    r->scenario = true;
    return true;
}

static bool read_weather(reader *r, char *rest) {
    cut_comment(rest);
    if (r->file->weather[0]) {
        return wrong(r, "a second weather: a run begins in one");
    }
    if (!*rest) {
        return wrong(r, "expected: weather NAME");
    }
    if (strlen(rest) >= sizeof(r->file->weather)) {
        return wrong(r, "the weather's name is longer than %d bytes", SIM_RUNFILE_WEATHER_MAX - 1);
    }
    strcpy(r->file->weather, rest);
    return true;
}

static bool read_expect(reader *r, char *rest) {
    trim_right(rest);
    char *colon = strstr(rest, ": ");
    if (!colon || colon == rest) {
        return wrong(r, "expected: expect ORACLE: MESSAGE");
    }
    *colon = '\0';
    const char *message = skip_blanks(colon + 1);
    if (r->file->has_expect) {
        return wrong(r, "a second expect: a run ends at its first failure");
    }
    if (strlen(rest) >= sizeof(r->file->oracle) || strlen(message) >= sizeof(r->file->message)) {
        return wrong(r, "the oracle's name or its message is too long");
    }
    strcpy(r->file->oracle, rest);
    strcpy(r->file->message, message);
    r->file->has_expect = true;
    return true;
}

static bool read_hash(reader *r, char *rest) {
    cut_comment(rest);
    uint64_t hash = 0;
    size_t len = strlen(rest);
    if (len != 16 || strspn(rest, "0123456789abcdef") != len) {
        return wrong(r, "expected: hash and 16 hexadecimal digits in lower case");
    }
    if (r->file->has_hash) {
        return wrong(r, "a second hash");
    }
    for (size_t i = 0; i < len; i++) {
        char c = rest[i];
        hash = hash * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    r->file->hash = hash;
    r->file->has_hash = true;
    return true;
}

static bool read_header(reader *r, char *line) {
    squeeze(line);
    if (strcmp(line, format_line) == 0) {
        r->header = true;
        return true;
    }
    if (strncmp(line, "drywire run ", 12) == 0) {
        return wrong(r, "format '%.20s' is not known here: this program reads format 1", line + 12);
    }
    return wrong(r, "no run file: the first line must be '%s'", format_line);
}

static bool read_line(reader *r, char *line) {
    static const struct {
        const char *word;
        bool (*read)(reader *r, char *rest);
    } verbs[] = {
        {"deviate", read_deviate}, {"scenario", read_scenario}, {"weather", read_weather},
        {"expect", read_expect},   {"hash", read_hash},
    };
    line = skip_blanks(line);
    trim_right(line);
    if (!*line || *line == '#') {
        return true;
    }
    if (!r->header) {
        return read_header(r, line);
    }
    size_t len = strcspn(line, " \t");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strlen(verbs[i].word) == len && memcmp(line, verbs[i].word, len) == 0) {
            return verbs[i].read(r, skip_blanks(line + len));
        }
    }
    return wrong(r, "unknown word '%.*s': known are scenario, weather, deviate, expect, hash",
                 len > 40 ? 40 : (int)len, line);
}

static bool has_control(const char *line, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < 32 && c != '\t') || c == 127) {
            return true;
        }
    }
    return false;
}

static bool read_lines(reader *r, const char *text, size_t len) {
    char line[SIM_RUNFILE_LINE_MAX + 1];
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        const char *from = text + at;
        r->line_no++;
        at += line_len + 1;
        if (line_len && from[line_len - 1] == '\r') {
            line_len--;
        }
        if (line_len > SIM_RUNFILE_LINE_MAX) {
            return wrong(r, "the line is longer than %d bytes", SIM_RUNFILE_LINE_MAX);
        }
        if (has_control(from, line_len)) {
            return wrong(r, "control characters: this is no run file");
        }
        memcpy(line, from, line_len);
        line[line_len] = '\0';
        if (!read_line(r, line)) {
            return false;
        }
    }
    return true;
}

static int compare_draws(const void *a, const void *b) {
    const sim_deviation *const *x = a;
    const sim_deviation *const *y = b;
    int order = strcmp((*x)->who, (*y)->who);
    order = order ? order : strcmp((*x)->what, (*y)->what);
    return order ? order : ((*x)->nth > (*y)->nth) - ((*x)->nth < (*y)->nth);
}

/* Each draw has one answer: the same draw twice is a slip of the editor's hand. */
static bool check_unique(reader *r) {
    const sim_list *list = &r->file->list;
    if (list->count < 2) {
        return true;
    }
    const sim_deviation **sorted = malloc(list->count * sizeof(*sorted));
    if (!sorted) {
        return wrong(r, "out of memory");
    }
    for (size_t i = 0; i < list->count; i++) {
        sorted[i] = &list->items[i];
    }
    qsort(sorted, list->count, sizeof(*sorted), compare_draws);
    bool unique = true;
    for (size_t i = 1; i < list->count && unique; i++) {
        if (compare_draws(&sorted[i - 1], &sorted[i]) == 0) {
            unsigned long first = r->lines[sorted[i - 1] - list->items];
            unsigned long second = r->lines[sorted[i] - list->items];
            r->line_no = first > second ? first : second;
            unique = wrong(r, "the same draw as in line %lu", first < second ? first : second);
        }
    }
    free(sorted);
    return unique;
}

static bool check_whole(reader *r) {
    if (!r->header) {
        r->line_no = r->line_no ? r->line_no : 1;
        return wrong(r, "no run file: the first line must be '%s'", format_line);
    }
    if (!r->scenario) {
        return wrong(r, "the file ends without a 'scenario NAME' line");
    }
    return check_unique(r);
}

bool sim_runfile_parse(const char *name, const char *text, size_t len, sim_runfile *file,
                       char error[SIM_RUNFILE_ERROR]) {
    *file = (sim_runfile){0};
    reader r = {.name = name, .error = error, .file = file};
    bool good = read_lines(&r, text, len) && check_whole(&r);
    free(r.lines);
    if (!good) {
        sim_runfile_free(file);
    }
    return good;
}

static bool DW_PRINTF(3, 4) refuse(char *error, const char *path, const char *format, ...) {
    int used = snprintf(error, SIM_RUNFILE_ERROR, "%.300s: ", path);
    va_list args;
    va_start(args, format);
    vsnprintf(error + used, (size_t)(SIM_RUNFILE_ERROR - used), format, args);
    va_end(args);
    return false;
}

/* Reads at most the limit and one byte more; NULL on an error, errno says which. */
static char *slurp(FILE *in, size_t *len) {
    size_t room = 4096;
    char *text = malloc(room);
    *len = 0;
    while (text) {
        *len += fread(text + *len, 1, room - *len, in);
        if (*len < room || *len > SIM_RUNFILE_BYTES_MAX) {
            break;
        }
        char *more = realloc(text, room * 2);
        if (!more) {
            free(text);
            errno = ENOMEM;
            return NULL;
        }
        text = more;
        room *= 2;
    }
    if (text && ferror(in)) {
        free(text);
        return NULL;
    }
    return text;
}

bool sim_runfile_read(const char *path, sim_runfile *file, char error[SIM_RUNFILE_ERROR]) {
    *file = (sim_runfile){0};
    FILE *in = fopen(path, "rb");
    if (!in) {
        return refuse(error, path, "%s", strerror(errno));
    }
    size_t len = 0;
    char *text = slurp(in, &len);
    int why = errno;
    fclose(in);
    if (!text) {
        return refuse(error, path, "%s", strerror(why));
    }
    bool good = len <= SIM_RUNFILE_BYTES_MAX
                    ? sim_runfile_parse(path, text, len, file, error)
                    : refuse(error, path, "larger than %d bytes", SIM_RUNFILE_BYTES_MAX);
    free(text);
    return good;
}

const char *sim_runfile_value(const sim_deviation *deviation, char text[32]) {
    if (sim_kind_is_time(sim_kind_of(deviation->what))) {
        return sim_duration_format((dw_time)deviation->value, text);
    }
    snprintf(text, 32, "%" PRIu64, deviation->value);
    return text;
}

static int widest(const sim_list *list, size_t offset) {
    size_t width = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t len = strlen((const char *)&list->items[i] + offset);
        width = len > width ? len : width;
    }
    return (int)width;
}

void sim_runfile_print_list(FILE *out, const sim_list *list, const char *indent) {
    int who = widest(list, offsetof(sim_deviation, who));
    int what = widest(list, offsetof(sim_deviation, what));
    char value[32];
    for (size_t i = 0; i < list->count; i++) {
        const sim_deviation *d = &list->items[i];
        fprintf(out, "%sdeviate   %-*s  %-*s  %3" PRIu64 "  %s\n", indent, who, d->who, what,
                d->what, d->nth, sim_runfile_value(d, value));
    }
}

static void print_file(FILE *out, const sim_runfile *file) {
    fprintf(out, "%s\nscenario  %s\n", format_line, file->scenario);
    if (file->weather[0]) {
        fprintf(out, "weather   %s\n", file->weather);
    }
    sim_runfile_print_list(out, &file->list, "");
    if (file->has_expect) {
        fprintf(out, "expect    %s: %s\n", file->oracle, file->message);
    }
    if (file->has_hash) {
        fprintf(out, "hash      %016" PRIx64 "\n", file->hash);
    }
}

bool sim_runfile_write(const char *path, const sim_runfile *file, char error[SIM_RUNFILE_ERROR]) {
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s.tmp-%ld", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        return refuse(error, path, "the path is too long");
    }
    FILE *out = fopen(temporary, "wb");
    if (!out) {
        return refuse(error, path, "cannot be written: %s", strerror(errno));
    }
    print_file(out, file);
    bool good = !ferror(out);
    good = fclose(out) == 0 && good;
    good = good && rename(temporary, path) == 0;
    if (!good) {
        refuse(error, path, "cannot be written: %s", strerror(errno));
        unlink(temporary);
    }
    return good;
}

bool sim_runfile_can_write_in(const char *directory, char error[SIM_RUNFILE_ERROR]) {
    char probe[PATH_MAX];
    int len = snprintf(probe, sizeof(probe), "%s/.drywire-XXXXXX", directory);
    if (len < 0 || (size_t)len >= sizeof(probe)) {
        return refuse(error, directory, "the path is too long");
    }
    int fd = mkstemp(probe);
    if (fd < 0) {
        return refuse(error, directory, "cannot write there: %s", strerror(errno));
    }
    close(fd);
    unlink(probe);
    return true;
}

void sim_runfile_free(sim_runfile *file) {
    sim_list_free(&file->list);
    *file = (sim_runfile){0};
}
