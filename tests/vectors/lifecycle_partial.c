/* SPDX-License-Identifier: MIT */
/*
 * Sides that differed between Twisted's own runs are compared by what all those runs had in common
 * (README, section 2, `partial`): events that always came, pairs in order, all bytes of a channel.
 *
 * An event is a text, "name key=value ...", a repeated one has " #2"; a stream's bytes are "data
 * first" and "data last". Texts are compared without regard to the order of their fields.
 */
#include "lifecycle.h"

#include <ctype.h>
#include <stdio.h>

enum { FIELDS_MAX = 16, TEXT_MAX = 400 };

/* ---- Texts in one form: fields sorted ---- */

static bool is_field(const char *text) {
    size_t n = 0;
    while (isalpha((unsigned char)text[n]) || text[n] == '_' ||
           (n > 0 && isdigit((unsigned char)text[n]))) {
        n++;
    }
    return n > 0 && text[n] == '=';
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts "b=2 a=1" behind the name; malloc'd. */
static char *in_order(const char *text) {
    char *copy = strdup(text), *fields[FIELDS_MAX];
    size_t count = 0;
    char *sorted = malloc(strlen(text) + 1);
    for (char *at = copy; (at = strchr(at, ' ')) != NULL; at++) {
        if (is_field(at + 1) && count < FIELDS_MAX) {
            *at = '\0';
            fields[count++] = at + 1;
        }
    }
    qsort(fields, count, sizeof(fields[0]), by_text);
    strcpy(sorted, copy);
    for (size_t i = 0; i < count; i++) {
        strcat(strcat(sorted, " "), fields[i]);
    }
    free(copy);
    return sorted;
}

static bool same_text(const char *a, const char *b) {
    char *x = in_order(a), *y = in_order(b);
    bool same = strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

/* ---- Our list in texts ---- */

typedef struct token {
    char text[TEXT_MAX + 24];
    size_t at;
} token;

typedef struct tokens {
    token *items;
    size_t count;
} tokens;

static bool is_stream(const json_t *event) {
    const char *ev = json_string_value(json_object_get(event, "ev"));
    return ev != NULL && (strcmp(ev, "data") == 0 || strcmp(ev, "childData") == 0);
}

/* "data", "data c=1", "data fd=2". */
static void channel_of(const json_t *event, char text[TEXT_MAX]) {
    size_t used = (size_t)snprintf(text, TEXT_MAX, "data");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        if (json_is_integer(value) && strcmp(key, "len") != 0) {
            used += (size_t)snprintf(text + used, TEXT_MAX - used, " %s=%d", key,
                                     (int)json_integer_value(value));
        } else if (json_is_string(value) && strcmp(key, "x") == 0) {
            used +=
                (size_t)snprintf(text + used, TEXT_MAX - used, " x=%s", json_string_value(value));
        }
    }
}

static void event_words(const json_t *event, char text[TEXT_MAX]) {
    size_t used =
        (size_t)snprintf(text, TEXT_MAX, "%s", json_string_value(json_object_get(event, "ev")));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        if (strcmp(key, "ev") == 0 || used >= TEXT_MAX) {
            continue;
        }
        char *json = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        used += (size_t)snprintf(text + used, TEXT_MAX - used, " %s=%s", key,
                                 json != NULL ? json : json_string_value(value));
        free(json);
    }
}

static token *find_exact(const tokens *all, const char *text) {
    for (size_t i = 0; i < all->count; i++) {
        if (same_text(all->items[i].text, text)) {
            return &all->items[i];
        }
    }
    return NULL;
}

static void add_token(tokens *all, const char *text, size_t at) {
    token *t = &all->items[all->count++];
    snprintf(t->text, sizeof(t->text), "%.*s", TEXT_MAX + 20, text);
    t->at = at;
}

static void add_stream(tokens *all, const json_t *event, size_t at) {
    char channel[TEXT_MAX], text[TEXT_MAX + 8];
    channel_of(event, channel);
    snprintf(text, sizeof(text), "%s last", channel);
    token *last = find_exact(all, text);
    if (last != NULL) {
        last->at = at;
        return;
    }
    add_token(all, text, at);
    snprintf(text, sizeof(text), "%s first", channel);
    add_token(all, text, at);
}

static void add_event(tokens *all, const json_t *event, size_t at) {
    char words[TEXT_MAX], text[TEXT_MAX + 24];
    event_words(event, words);
    snprintf(text, sizeof(text), "%s", words);
    for (unsigned n = 2; find_exact(all, text) != NULL; n++) {
        snprintf(text, sizeof(text), "%s #%u", words, n);
    }
    add_token(all, text, at);
}

static tokens tokens_of(const json_t *list) {
    tokens all = {calloc(2 * json_array_size(list) + 1, sizeof(token)), 0};
    size_t at;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)list, at, event) {
        if (is_stream(event)) {
            add_stream(&all, event, at);
        } else {
            add_event(&all, event, at);
        }
    }
    return all;
}

/* ---- What held in all runs ---- */

static bool is_logged(const char *text) {
    return strncmp(text, "logged", 6) == 0;
}

static bool always_came(const json_t *partial, const tokens *all, char *why, size_t size) {
    size_t at;
    json_t *text;
    json_array_foreach(json_object_get(partial, "always"), at, text) {
        const char *words = json_string_value(text);
        if (!is_logged(words) && find_exact(all, words) == NULL) {
            snprintf(why, size, "always came, and did not: %s", words);
            return false;
        }
    }
    return true;
}

static bool listed(const json_t *list, const char *text) {
    size_t at;
    json_t *other;
    json_array_foreach((json_t *)(uintptr_t)list, at, other) {
        if (same_text(json_string_value(other), text)) {
            return true;
        }
    }
    return false;
}

/* What came in no run; bytes of a stream may, where the recordings had some in some runs. */
static bool never_came(const json_t *partial, const tokens *all, char *why, size_t size) {
    for (size_t i = 0; i < all->count; i++) {
        const char *text = all->items[i].text;
        if (!listed(json_object_get(partial, "always"), text) &&
            !listed(json_object_get(partial, "sometimes"), text)) {
            snprintf(why, size, "came in no run of Twisted's, and did: %s", text);
            return false;
        }
    }
    return true;
}

/* ---- Order, as far as section 3 of the README vouches for it ---- */

static const char *field_of(const char *text, const char *key, char out[40]) {
    char pattern[12];
    snprintf(pattern, sizeof(pattern), " %s=", key);
    const char *at = strstr(text, pattern);
    out[0] = '\0';
    if (at != NULL) {
        snprintf(out, 40, "%.*s", (int)strcspn(at + strlen(pattern), " "), at + strlen(pattern));
    }
    return at;
}

static bool begins(const char *text, const char *with) {
    size_t len = strlen(with);
    return strncmp(text, with, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

/* "-" for an event of no channel: a descriptor of a child, a connection, a connector. */
static void channel_name(const char *text, char out[40]) {
    char value[40];
    static const char *const of_child[] = {"inConnectionLost", "outConnectionLost",
                                           "errConnectionLost", "outReceived", "errReceived"};
    static const char *const fds[] = {"0", "1", "2", "1", "2"};
    for (size_t i = 0; i < sizeof(of_child) / sizeof(of_child[0]); i++) {
        if (begins(text, of_child[i])) {
            snprintf(out, 40, "fd%s", fds[i]);
            return;
        }
    }
    if (field_of(text, "fd", value) != NULL) {
        snprintf(out, 40, "fd%.30s", value);
    } else if (begins(text, "processExited")) {
        snprintf(out, 40, "exit");
    } else if (begins(text, "data") || begins(text, "connectionLost")) {
        field_of(text, "c", value);
        snprintf(out, 40, "n%.30s", value[0] != '\0' ? value : "0");
    } else if (begins(text, "clientConnectionLost") || begins(text, "clientConnectionFailed")) {
        field_of(text, "k", value);
        snprintf(out, 40, "n%.30s", value[0] == 'k' ? value + 1 : "0");
    } else {
        snprintf(out, 40, "-");
    }
}

/* Descriptors of a child, its exit, and connections among each other come in any order ("not
 * defined", section 3); which doStop is whose does not show. */
static bool independent(const char *a, const char *b) {
    char x[40], y[40];
    channel_name(a, x);
    channel_name(b, y);
    return x[0] != '-' && y[0] != '-' && strcmp(x, y) != 0;
}

static bool in_order_of_pairs(const json_t *partial, const tokens *all, unsigned *allowed,
                              char *why, size_t size) {
    size_t at;
    json_t *pair;
    json_array_foreach(json_object_get(partial, "order"), at, pair) {
        const char *a = json_string_value(json_array_get(pair, 0));
        const char *b = json_string_value(json_array_get(pair, 1));
        const token *x = find_exact(all, a), *y = find_exact(all, b);
        if (x == NULL || y == NULL || x->at < y->at || (x->at == y->at && x != y)) {
            continue;
        }
        if (independent(a, b)) {
            *allowed |= ALLOW_ORDER;
            continue;
        }
        snprintf(why, size, "always came in this order, and did not: %s; %s", a, b);
        return false;
    }
    return true;
}

/* ---- Bytes ---- */

static bool total_is(const side *s, const char *channel, const json_t *total) {
    bytes all = {NULL, 0};
    char name[TEXT_MAX];
    for (size_t i = 0; i < s->count; i++) {
        const noted *e = &s->events[i];
        if (!e->stream) {
            continue;
        }
        channel_of(e->json, name);
        uint8_t *grown = same_text(name, channel) ? realloc(all.data, all.len + e->len + 1) : NULL;
        if (grown != NULL) {
            all.data = grown;
            memcpy(all.data + all.len, e->data, e->len);
            all.len += e->len;
        }
    }
    json_t *sum = json_object();
    payload_set(sum, all.data, all.len);
    bool same = json_equal(sum, total);
    json_decref(sum);
    bytes_free(&all);
    return same;
}

static bool totals_are(const json_t *partial, const side *s, char *why, size_t size) {
    const char *channel;
    json_t *total;
    json_object_foreach(json_object_get(partial, "totals"), channel, total) {
        if (!total_is(s, channel, total)) {
            snprintf(why, size, "always received the same bytes, and did not: %s", channel);
            return false;
        }
    }
    return true;
}

bool partial_holds(const json_t *partial, const side *s, const json_t *got, unsigned *allowed,
                   char *why, size_t size) {
    tokens all = tokens_of(got);
    bool good = always_came(partial, &all, why, size) && never_came(partial, &all, why, size) &&
                in_order_of_pairs(partial, &all, allowed, why, size) &&
                totals_are(partial, s, why, size);
    free(all.items);
    return good;
}
