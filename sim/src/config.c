/* SPDX-License-Identifier: MIT */
/*
 * Reads drywire.conf: a word and a value per line, '#' begins a comment. Called by dw_main before
 * any work, so that a mistake in the file is told at once.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "config.h"
#include "number.h"
#include "options.h"
#include "sweep.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_CHARS = 1024 };

typedef struct reader {
    sim_config *config;
    sim_settings *section; /* where the lines go */
    const dw_scenario *scenarios;
    const char *path;
    char *error;
    unsigned line;
} reader;

static bool DW_PRINTF(2, 3) wrong(const reader *r, const char *format, ...) {
    va_list args;
    int len = snprintf(r->error, SIM_CONFIG_ERROR, "%.200s:%u: ", r->path, r->line);
    va_start(args, format);
    vsnprintf(r->error + len, (size_t)(SIM_CONFIG_ERROR - len), format, args);
    va_end(args);
    return false;
}

static bool number(const reader *r, const char *word, const char *value, uint64_t *out) {
    return sim_number_parse(value, out) ||
           wrong(r, "%s: '%.60s' is no number (decimal, or hexadecimal behind 0x)", word, value);
}

static bool on_seeds(reader *r, const char *value) {
    r->section->has_seeds = true;
    if (!number(r, "seeds", value, &r->section->seeds)) {
        return false;
    }
    return r->section->seeds > 0 || wrong(r, "seeds: 0 is out of range; 'skip' leaves one out");
}

static bool on_first_seed(reader *r, const char *value) {
    r->section->has_first_seed = true;
    return number(r, "first-seed", value, &r->section->first_seed);
}

static bool on_seed(reader *r, const char *value) {
    sim_settings *s = r->section;
    uint64_t seed = 0;
    if (!number(r, "seed", value, &seed)) {
        return false;
    }
    if (s->known_count == SIM_CONFIG_KNOWN_MAX) {
        return wrong(r, "more than %d seeds; keep run files instead", SIM_CONFIG_KNOWN_MAX);
    }
    uint64_t *known = realloc(s->known, (s->known_count + 1) * sizeof(*known));
    if (known == NULL) {
        return wrong(r, "out of memory");
    }
    known[s->known_count++] = seed;
    s->known = known;
    return true;
}

static bool on_kinds(reader *r, const char *value) {
    char bad[SIM_WHAT_MAX];
    r->section->has_kinds = true;
    return sim_kinds_parse(value, &r->section->kinds, bad) ||
           wrong(r, "kinds: there is no kind '%s'; there are: %s", bad, sim_kinds_known());
}

static bool on_weather(reader *r, const char *value) {
    char why[SIM_OPTIONS_ERROR];
    if (!sim_weather_check(value, why)) {
        return wrong(r, "weather: %.400s", why);
    }
    snprintf(r->section->weather, sizeof(r->section->weather), "%s", value);
    return true;
}

static bool on_skip(reader *r, const char *value) {
    if (*value != '\0') {
        return wrong(r, "skip takes no value");
    }
    r->section->skip = true;
    return r->section != &r->config->all || wrong(r, "skip stands in a scenario's section");
}

static const struct word {
    const char *name;
    bool (*on)(reader *r, const char *value);
} words[] = {
    {"seeds", on_seeds}, {"first-seed", on_first_seed}, {"seed", on_seed},
    {"kinds", on_kinds}, {"weather", on_weather},       {"skip", on_skip},
};

static bool open_section(reader *r, char *name) {
    size_t len = strlen(name);
    if (len < 2 || name[len - 1] != ']') {
        return wrong(r, "a section's name ends in ']'");
    }
    name[len - 1] = '\0';
    for (size_t i = 0; i < r->config->count; i++) {
        if (strcmp(r->scenarios[i].name, name + 1) == 0) {
            r->section = &r->config->own[i];
            return true;
        }
    }
    return wrong(r, "there is no scenario '%.60s'", name + 1);
}

static bool read_line(reader *r, char *line) {
    line[strcspn(line, "#\r\n")] = '\0';
    line += strspn(line, " \t");
    size_t len = strlen(line);
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t')) {
        line[--len] = '\0';
    }
    if (len == 0) {
        return true;
    }
    if (line[0] == '[') {
        return open_section(r, line);
    }
    size_t word = strcspn(line, " \t=");
    char *value = line + word + strspn(line + word, " \t=");
    line[word] = '\0';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].name, line) == 0) {
            return words[i].on(r, value);
        }
    }
    return wrong(r, "there is no '%.60s'; there are: seeds, first-seed, seed, kinds, weather, skip",
                 line);
}

bool sim_config_read(sim_config *config, const char *path, const dw_scenario *scenarios,
                     size_t count, char error[SIM_CONFIG_ERROR]) {
    char line[LINE_MAX_CHARS];
    reader r = {.config = config, .scenarios = scenarios, .path = path, .error = error};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(error, SIM_CONFIG_ERROR, "%.200s: %s", path, strerror(errno));
        return false;
    }
    config->count = count;
    config->own = calloc(count, sizeof(*config->own));
    r.section = &config->all;
    bool good = config->own != NULL || wrong(&r, "out of memory");
    while (good && fgets(line, sizeof(line), file) != NULL) {
        r.line++;
        if (strchr(line, '\n') == NULL && !feof(file)) {
            good = wrong(&r, "the line is longer than %d characters", LINE_MAX_CHARS - 2);
        } else {
            good = read_line(&r, line);
        }
    }
    if (good && ferror(file)) {
        good = wrong(&r, "cannot be read");
    }
    fclose(file);
    return good;
}

sim_settings sim_config_of(const sim_config *config, size_t which) {
    if (config->own == NULL) {
        return (sim_settings){0};
    }
    sim_settings s = config->own[which];
    const sim_settings *all = &config->all;
    if (!s.has_seeds) {
        s.has_seeds = all->has_seeds;
        s.seeds = all->seeds;
    }
    if (!s.has_first_seed) {
        s.has_first_seed = all->has_first_seed;
        s.first_seed = all->first_seed;
    }
    if (!s.has_kinds) {
        s.has_kinds = all->has_kinds;
        s.kinds = all->kinds;
    }
    if (s.known_count == 0) {
        s.known = all->known;
        s.known_count = all->known_count;
    }
    return s;
}

const char *sim_config_weather(const sim_config *config, size_t which) {
    const char *weather = config->all.weather;
    if (config->own != NULL && config->own[which].weather[0] != '\0') {
        weather = config->own[which].weather;
    }
    return weather[0] != '\0' ? weather : NULL;
}

void sim_config_free(sim_config *config) {
    for (size_t i = 0; config->own != NULL && i < config->count; i++) {
        free(config->own[i].known);
    }
    free(config->own);
    free(config->all.known);
    *config = (sim_config){0};
}
