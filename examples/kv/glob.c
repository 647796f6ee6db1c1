/* SPDX-License-Identifier: MIT */
/*
 * Glob matching without recursion: when the text does not go on as the pattern wants, the last '*'
 * takes one character more; going back to earlier ones could not help. See glob.h.
 */
#include "glob.h"

/* One character or range of a set; moves *at behind it and says whether it has `c`. */
static bool set_item_has(kv_slice p, size_t *at, uint8_t c) {
    if (p.data[*at] == '\\' && *at + 1 < p.len) {
        *at += 2;
        return p.data[*at - 1] == c;
    }
    uint8_t low = p.data[*at];
    if (*at + 2 < p.len && p.data[*at + 1] == '-') {
        uint8_t high = p.data[*at + 2];
        *at += 3;
        return low <= high ? low <= c && c <= high : high <= c && c <= low;
    }
    *at += 1;
    return low == c;
}

/* A set whose '[' is at *at; moves *at behind its ']', or to the end when there is none. */
static bool set_has(kv_slice p, size_t *at, uint8_t c) {
    bool found = false;
    size_t i = *at + 1;
    bool negated = i < p.len && p.data[i] == '^';
    i += negated ? 1 : 0;
    while (i < p.len && p.data[i] != ']') {
        if (set_item_has(p, &i, c)) {
            found = true;
        }
    }
    *at = i < p.len ? i + 1 : i;
    return found != negated;
}

/* Whether the pattern's element at *at, no '*', takes `c`; moves *at behind it. */
static bool element_takes(kv_slice p, size_t *at, uint8_t c) {
    switch (p.data[*at]) {
    case '?':
        *at += 1;
        return true;
    case '[':
        return set_has(p, at, c);
    case '\\':
        if (*at + 1 < p.len) {
            *at += 1;
        }
        break;
    default:
        break;
    }
    *at += 1;
    return p.data[*at - 1] == c;
}

bool kv_glob(kv_slice pattern, kv_slice text) {
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, star_text = 0; /* behind the last '*', and what it has taken up to */
    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && element_takes(pattern, &p, text.data[t])) {
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
