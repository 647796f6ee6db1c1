/* SPDX-License-Identifier: MIT */
/*
 * The scenarios' language: one step a line, matched word by word against the patterns in verbs.c
 * and verbs_world.c. README.md has it for people.
 */
#include "play.h"

#include <duration.h>
#include <string.h>

enum { WORDS_MAX = 16 };

typedef struct word {
    char text[TEXT_MAX];
    size_t len;
    bool quoted;
} word;

static const struct {
    const char *name;
    moment when;
} moments[] = {
    {"start", MOMENT_START},       {"connect", MOMENT_CONNECT}, {"data", MOMENT_DATA},
    {"end", MOMENT_END},           {"lost", MOMENT_LOST},       {"failed", MOMENT_FAILED},
    {"datagram", MOMENT_DATAGRAM}, {"output", MOMENT_OUTPUT},   {"exit", MOMENT_EXIT}};

/* ---- Words ---- */

/* \n, \r and \" stand for what they do in C. */
static const char *read_quoted(const char *at, const char *end, word *w) {
    for (at++; at < end && *at != '"'; at++) {
        char c = *at;
        if (c == '\\' && at + 1 < end) {
            c = *++at == 'n' ? '\n' : *at == 'r' ? '\r' : *at;
        }
        if (w->len + 1 == sizeof(w->text)) {
            return NULL;
        }
        w->text[w->len++] = c;
    }
    w->quoted = true;
    return at < end ? at + 1 : NULL;
}

static const char *read_bare(const char *at, const char *end, word *w) {
    for (; at < end && *at != ' '; at++) {
        if (w->len + 1 < sizeof(w->text)) {
            w->text[w->len++] = *at;
        }
    }
    return at;
}

/* The number of words; -1: too many, or a quotation without an end, or too long. */
static int split(const char *at, const char *end, word *words) {
    int count = 0;
    while (at != NULL) {
        at += strspn(at, " ");
        if (at >= end) {
            return count;
        }
        if (*at == '#') {
            return count;
        }
        if (count == WORDS_MAX) {
            return -1;
        }
        word *w = &words[count++];
        *w = (word){.len = 0};
        at = *at == '"' ? read_quoted(at, end, w) : read_bare(at, end, w);
    }
    return -1;
}

/* ---- Arguments ---- */

static actor *find_actor(play *p, const char *name) {
    for (unsigned i = 0; i < p->actor_count; i++) {
        if (strcmp(p->actors[i].name, name) == 0) {
            return &p->actors[i];
        }
    }
    return NULL;
}

static bool read_number(const char *text, uint64_t *out) {
    uint64_t n = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || n > 100000000) {
            return false;
        }
        n = n * 10 + (uint64_t)(*c - '0');
    }
    *out = n;
    return *text != '\0';
}

static bool read_host(play *p, const char *name, argument *out) {
    const actor *who = find_actor(p, name);
    out->host = who != NULL ? who->index - 1 : 0;
    return who != NULL;
}

/* "server:7". The host need not be one of the play: an address nobody has is one, too. */
static bool read_address(play *p, const word *w, argument *out) {
    const char *colon = strrchr(w->text, ':');
    uint64_t port;
    if (colon == NULL || !read_number(colon + 1, &port) || port > UINT16_MAX) {
        return false;
    }
    snprintf(out->text, sizeof(out->text), "%.*s", (int)(colon - w->text), w->text);
    out->port = (uint16_t)port;
    const actor *who = find_actor(p, out->text);
    out->host = who != NULL ? who->index - 1 : ACTORS_MAX;
    return true;
}

static bool read_argument(play *p, char kind, const word *w, argument *out) {
    *out = (argument){.len = w->len};
    switch (kind) {
    case 's':
        memcpy(out->text, w->text, sizeof(out->text));
        return w->quoted;
    case 'n':
        return read_number(w->text, &out->number);
    case 't':
        return sim_duration_parse(w->text, &out->time);
    case 'h':
        return read_host(p, w->text, out);
    default:
        return read_address(p, w, out);
    }
}

static bool matches(play *p, const char *pattern, const word *words, int count, argument *args) {
    int at = 0;
    size_t arg = 0;
    while (*pattern != '\0') {
        size_t len = strcspn(pattern, " ");
        if (at == count) {
            return false;
        }
        const word *w = &words[at++];
        if (pattern[0] == '%') {
            if (!read_argument(p, pattern[1], w, &args[arg++])) {
                return false;
            }
        } else if (w->quoted || w->len != len || memcmp(w->text, pattern, len) != 0) {
            return false;
        }
        pattern += len;
        pattern += strspn(pattern, " ");
    }
    return at == count;
}

/* ---- Lines ---- */

static const char *read_hosts(play *p, const word *words, int count) {
    for (int i = 0; i < count; i++) {
        if (p->actor_count == ACTORS_MAX) {
            return "too many hosts";
        }
        actor *who = &p->actors[p->actor_count++];
        memcpy(who->name, words[i].text, sizeof(who->name));
        who->index = p->actor_count;
        snprintf(who->address, sizeof(who->address), "10.0.0.%u", who->index);
        snprintf(who->address6, sizeof(who->address6), "fd00::a00:%x", who->index);
    }
    return NULL;
}

static const char *read_moment(const char *name, moment *out) {
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        if (strcmp(moments[i].name, name) == 0) {
            *out = moments[i].when;
            return NULL;
        }
    }
    return "there is no such thing to happen";
}

static const char *read_verb(play *p, const word *words, int count, step *s) {
    s->who = count > 0 ? find_actor(p, words[0].text) : NULL;
    int skip = s->who != NULL;
    for (const verb *v = s->who != NULL ? actor_verbs : world_verbs; v->pattern != NULL; v++) {
        if (matches(p, v->pattern, words + skip, count - skip, s->args)) {
            s->verb = v;
            return NULL;
        }
    }
    return "no such host, or nothing that it can do";
}

static const char *read_step(play *p, const word *words, int count) {
    if (p->step_count == STEPS_MAX) {
        return "too many steps";
    }
    step *s = &p->steps[p->step_count];
    *s = (step){.play = p, .before = true};
    if (count > 2 && (strcmp(words[0].text, "at") == 0 || strcmp(words[0].text, "on") == 0)) {
        bool at = words[0].text[0] == 'a';
        const char *wrong = NULL;
        s->before = false;
        if (!at) {
            wrong = read_moment(words[1].text, &s->when);
        } else if (!sim_duration_parse(words[1].text, &s->at)) {
            wrong = "no duration behind `at`";
        }
        if (wrong != NULL) {
            return wrong;
        }
        words += 2;
        count -= 2;
    }
    const char *wrong = read_verb(p, words, count, s);
    if (wrong == NULL && s->before && s->who != NULL) {
        return "what a host does needs an `at` or `on`";
    }
    if (wrong == NULL && s->when != MOMENT_AT && s->who == NULL) {
        return "`on` is for what hosts do: it happens to them";
    }
    if (wrong == NULL) {
        p->step_count++;
        if (s->when == MOMENT_END) {
            s->who->aware = true;
        }
    }
    return wrong;
}

static const char *read_line(play *p, const char *start, const char *end) {
    word words[WORDS_MAX];
    int count = split(start, end, words);
    if (count <= 0) {
        return count == 0 ? NULL : "too many words, or a quotation that is too long or has no end";
    }
    if (strcmp(words[0].text, "hosts") == 0) {
        return read_hosts(p, words + 1, count - 1);
    }
    if (strcmp(words[0].text, "until") == 0 && count == 2) {
        return sim_duration_parse(words[1].text, &p->until) ? NULL : "no duration behind `until`";
    }
    return read_step(p, words, count);
}

bool play_read(play *p, const char *text, size_t len, char *error, size_t size) {
    const char *end = text + len;
    unsigned line = 0;
    memset(p, 0, sizeof(*p));
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop != NULL ? stop : end;
        const char *wrong = read_line(p, text, stop);
        line++;
        if (wrong != NULL) {
            snprintf(error, size, "line %u of the scenario: %s: %.*s", line, wrong,
                     (int)(stop - text), text);
            return false;
        }
        text = stop + 1;
    }
    if (p->actor_count == 0 || p->until == 0) {
        snprintf(error, size, "the scenario has no `hosts` or no `until`");
        return false;
    }
    return true;
}
