/* SPDX-License-Identifier: MIT */
/*
 * Delta debugging over a list (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input", 2002: removal of ever smaller chunks), then over each value. Its one invariant: `now`
 * failed when it was last run. After each success only what the run really took is kept, which on
 * long lists does most of the work. Called for each failure found, and by --shrink.
 */
#include "shrink.h"
#include "hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS_MAX = 30,    /* of removing and lowering in turn */
    GROUPS_MAX = 64,    /* whos and whats that are tried as one cut */
    SCAN_MAX = 16,      /* small values tried one by one, so that these are truly smallest */
    DIGITS_MAX = 19,    /* of an int64_t */
    ORDINAL_DIGITS = 3, /* more is a port */
    MOVED_MAX = 32,     /* longer lists are not tried with other numbers */
    CACHE_ROOM_FIRST = 1024,
};

/* Lists are sets (each draw is there once), so a set hash does: the sum of its members' hashes. Two
 * sums of 64 bits make a false match out of the question. */
typedef struct digest {
    uint64_t a, b;
} digest;

typedef struct shrinker {
    const sim_shrink_test *test;
    sim_shrink_stats *stats;
    uint64_t attempts_max;
    dw_time cpu_max;
    sim_list *now;
    sim_list candidate;
    digest *cache; /* lists that pass; {0, 0}: free */
    size_t cached, cache_room;
    sim_shrink_end end;
} shrinker;

/* ---- Cache of tried lists ---- */

static digest digest_of(const sim_list *list) {
    digest sum = {list->count + 1, list->count + 1}; /* never {0, 0} in practice */
    for (size_t i = 0; i < list->count; i++) {
        const sim_deviation *d = &list->items[i];
        uint64_t key = sim_hash_text(mix64(sim_hash_text(HASH_START, d->who)), d->what);
        key = mix64(mix64(key ^ d->nth) + d->value);
        sum.a += key;
        sum.b += mix64(key ^ UINT64_C(0x9e3779b97f4a7c15));
    }
    return sum;
}

static digest *cache_slot(const shrinker *s, digest d) {
    size_t at = (size_t)d.a & (s->cache_room - 1);
    while ((s->cache[at].a || s->cache[at].b) &&
           !(s->cache[at].a == d.a && s->cache[at].b == d.b)) {
        at = (at + 1) & (s->cache_room - 1);
    }
    return &s->cache[at];
}

static bool cache_has(const shrinker *s, digest d) {
    const digest *slot = s->cache_room ? cache_slot(s, d) : NULL;
    return slot && (slot->a || slot->b);
}

static bool cache_grow(shrinker *s) {
    shrinker bigger = *s;
    bigger.cache_room = s->cache_room ? s->cache_room * 2 : CACHE_ROOM_FIRST;
    bigger.cache = calloc(bigger.cache_room, sizeof(*bigger.cache));
    if (!bigger.cache) {
        return false;
    }
    for (size_t i = 0; i < s->cache_room; i++) {
        if (s->cache[i].a || s->cache[i].b) {
            *cache_slot(&bigger, s->cache[i]) = s->cache[i];
        }
    }
    free(s->cache);
    s->cache = bigger.cache;
    s->cache_room = bigger.cache_room;
    return true;
}

static void cache_add(shrinker *s, digest d) {
    if (s->cached * 2 >= s->cache_room && !cache_grow(s)) {
        return; /* without memory it is only slower */
    }
    *cache_slot(s, d) = d;
    s->cached++;
}

/* ---- One attempt ---- */

static bool is_over(shrinker *s) {
    if (s->end == SIM_SHRUNK && s->stats->attempts >= s->attempts_max) {
        s->end = SIM_SHRINK_ATTEMPTS_OUT;
    }
    if (s->end == SIM_SHRUNK && s->test->spent && s->test->spent(s->test->user) > s->cpu_max) {
        s->end = SIM_SHRINK_CPU_OUT;
    }
    return s->end != SIM_SHRUNK;
}

static void keep(shrinker *s, const sim_list *list) {
    if (!sim_list_copy(s->now, list)) {
        s->end = SIM_SHRINK_NO_MEMORY;
    }
}

/* Runs the candidate; when it fails it becomes `now`. */
static bool attempt(shrinker *s) {
    digest d = digest_of(&s->candidate);
    if (cache_has(s, d)) {
        s->stats->cached++;
        return false;
    }
    if (is_over(s)) {
        return false;
    }
    const sim_list *taken = NULL;
    s->stats->attempts++;
    if (!s->test->fails(s->test->user, &s->candidate, &taken)) {
        cache_add(s, d);
        return false;
    }
    keep(s, taken && taken->count <= s->candidate.count ? taken : &s->candidate);
    return true;
}

static void candidate_clear(shrinker *s) {
    s->candidate.count = 0;
}

static void candidate_add(shrinker *s, const sim_deviation *d) {
    if (!sim_list_add(&s->candidate, d)) {
        s->end = SIM_SHRINK_NO_MEMORY;
    }
}

/* ---- Big cuts: all of one kind, all of one who ---- */

typedef const char *(*field)(const sim_deviation *d);

static const char *field_who(const sim_deviation *d) {
    return d->who;
}

static const char *field_what(const sim_deviation *d) {
    return d->what;
}

/* Tries only those whose field is `name`, or only the others. */
static bool attempt_group(shrinker *s, field of, const char *name, bool only) {
    candidate_clear(s);
    for (size_t i = 0; i < s->now->count; i++) {
        if ((strcmp(of(&s->now->items[i]), name) == 0) == only) {
            candidate_add(s, &s->now->items[i]);
        }
    }
    return s->candidate.count != 0 && s->candidate.count < s->now->count && attempt(s);
}

static size_t group_names(const sim_list *list, field of, char names[][SIM_WHO_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < list->count && count < GROUPS_MAX; i++) {
        size_t at = 0;
        while (at < count && strcmp(names[at], of(&list->items[i])) != 0) {
            at++;
        }
        if (at == count) {
            strcpy(names[count++], of(&list->items[i]));
        }
    }
    return count;
}

static void cut_groups(shrinker *s, field of) {
    static const bool orders[] = {true, false};
    char names[GROUPS_MAX][SIM_WHO_MAX];
    size_t count = group_names(s->now, of, names);
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count && s->end == SIM_SHRUNK; i++) {
            attempt_group(s, of, names[i], orders[pass]);
        }
    }
}

/* ---- Chunks ---- */

static bool attempt_without(shrinker *s, size_t from, size_t len) {
    candidate_clear(s);
    for (size_t i = 0; i < s->now->count; i++) {
        if (i < from || i >= from + len) {
            candidate_add(s, &s->now->items[i]);
        }
    }
    return attempt(s);
}

/* One walk over the list with chunks of `len`, from the end: what comes late is more often without
 * effect. */
static bool cut_pass(shrinker *s, size_t len) {
    bool any = false;
    size_t end = s->now->count;
    while (end > 0 && s->end == SIM_SHRUNK) {
        size_t from = end > len ? end - len : 0;
        any = attempt_without(s, from, end - from) || any;
        end = from < s->now->count ? from : s->now->count;
    }
    return any;
}

/* Chunks of half the list, a quarter, ... 1; single ones until a whole walk finds none to remove:
 * that walk is the proof that the list is minimal. */
static void cut_chunks(shrinker *s) {
    for (size_t len = (s->now->count + 1) / 2; len > 1; len = (len + 1) / 2) {
        cut_pass(s, len);
    }
    while (s->end == SIM_SHRUNK && cut_pass(s, 1)) {
    }
}

/* ---- Values ---- */

static sim_deviation *find(const sim_list *list, const sim_deviation *draw) {
    for (size_t i = 0; i < list->count; i++) {
        sim_deviation *d = &list->items[i];
        if (d->nth == draw->nth && strcmp(d->what, draw->what) == 0 &&
            strcmp(d->who, draw->who) == 0) {
            return d;
        }
    }
    return NULL;
}

/* The value that stands in the list for this draw; 0 when it is not there any more. */
static uint64_t value_of(const shrinker *s, const sim_deviation *draw) {
    const sim_deviation *d = find(s->now, draw);
    return d ? d->value : 0;
}

static bool attempt_value(shrinker *s, const sim_deviation *draw, uint64_t value) {
    if (!sim_list_copy(&s->candidate, s->now)) {
        s->end = SIM_SHRINK_NO_MEMORY;
        return false;
    }
    sim_deviation *d = find(&s->candidate, draw);
    if (!d || d->value == value) {
        return d != NULL;
    }
    d->value = value;
    return attempt(s);
}

/* Small values one by one, the rest by halves: the result fails, and one less passes. */
static void lower_number(shrinker *s, const sim_deviation *draw) {
    uint64_t high = draw->value;
    uint64_t low = high - 1 < SCAN_MAX ? high - 1 : SCAN_MAX;
    for (uint64_t value = 1; value <= low; value++) {
        if (attempt_value(s, draw, value)) {
            return;
        }
    }
    while (high - low > 1 && s->end == SIM_SHRUNK) {
        uint64_t middle = low + (high - low) / 2;
        if (!attempt_value(s, draw, middle)) {
            low = middle;
        } else if (value_of(s, draw) == middle) {
            high = middle;
        } else {
            return; /* the run took another value, or none: the next round sees to it */
        }
    }
}

static uint64_t power_of_ten(unsigned n) {
    uint64_t power = 1;
    while (n--) {
        power *= 10;
    }
    return power;
}

static unsigned digits_of(uint64_t value) {
    unsigned digits = 1;
    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

/* The numbers of at most `digits` significant digits, in ascending order, are counted from 1: 1, 2,
 * ... 9, 10, 20, ... 90, 100, ... for one digit. Number to rank, rounding down, and back. */
static uint64_t rank_of(uint64_t value, unsigned digits) {
    unsigned have = digits_of(value);
    if (have <= digits) {
        return value;
    }
    uint64_t first = power_of_ten(digits - 1);
    uint64_t head = value / power_of_ten(have - digits);
    return power_of_ten(digits) - 1 + (have - digits - 1) * 9 * first + (head - first) + 1;
}

static uint64_t value_at(uint64_t rank, unsigned digits) {
    uint64_t small = power_of_ten(digits) - 1;
    if (rank <= small) {
        return rank;
    }
    uint64_t first = power_of_ten(digits - 1);
    uint64_t step = (rank - small - 1) / (9 * first);
    return (first + (rank - small - 1) % (9 * first)) * power_of_ten((unsigned)step + 1);
}

/* The smallest number of so many digits that fails, given that the one at `high` does. */
static void lower_on_grid(shrinker *s, const sim_deviation *draw, unsigned digits, uint64_t high) {
    uint64_t low = 0;
    while (high - low > 1 && s->end == SIM_SHRUNK) {
        uint64_t middle = low + (high - low) / 2;
        if (!attempt_value(s, draw, value_at(middle, digits))) {
            low = middle;
        } else if (value_of(s, draw) == value_at(middle, digits)) {
            high = middle;
        } else {
            return;
        }
    }
}

/* Fewest digits first: the next such number above, then the one below. */
static void lower_time(shrinker *s, const sim_deviation *draw) {
    for (unsigned digits = 1; digits < DIGITS_MAX && s->end == SIM_SHRUNK; digits++) {
        uint64_t rank = rank_of(draw->value, digits);
        if (value_at(rank, digits) == draw->value) {
            lower_on_grid(s, draw, digits, rank);
            return;
        }
        uint64_t above = value_at(rank + 1, digits);
        if (above <= DW_TIME_MAX && attempt_value(s, draw, above)) {
            lower_on_grid(s, draw, digits, rank + 1);
            return;
        }
        if (attempt_value(s, draw, value_at(rank, digits))) {
            lower_on_grid(s, draw, digits, rank);
            return;
        }
    }
}

static bool lower_values(shrinker *s) {
    bool any = false;
    for (size_t i = 0; i < s->now->count && s->end == SIM_SHRUNK; i++) {
        sim_deviation draw = s->now->items[i];
        if (sim_kind_is_time(sim_kind_of(draw.what))) {
            lower_time(s, &draw);
        } else {
            lower_number(s, &draw);
        }
        any = any || value_of(s, &draw) != draw.value;
    }
    return any;
}

/* ---- Earlier connections ---- */

/* "client-1:3>server:6379" is the third connection of client-1: that needs two others before it,
 * and often deviations that ended those. Finds the side-th end ("client-1:3" is 0, "server:6379" is
 * 1) of such a name: where its number begins. NULL: there is no number, or one too long to be a
 * count. */
static char *ordinal_of(char *who, int side) {
    char *start = side ? strchr(who, '>') : who;
    start = start && side ? start + 1 : start;
    char *colon = start ? strpbrk(start, ":>") : NULL;
    if (!colon || *colon != ':') {
        return NULL;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    bool ends = colon[1 + digits] == '\0' || colon[1 + digits] == '>';
    return ends && digits && digits <= ORDINAL_DIGITS ? colon + 1 : NULL;
}

/* Makes the n-th connection of `end` ("client-1:") the one before. False: it is the first, or
 * another's. */
static bool lower_ordinal(sim_deviation *d, const char *end) {
    for (int side = 0; side < 2; side++) {
        char *number = ordinal_of(d->who, side);
        size_t len = strlen(end);
        if (number && (size_t)(number - d->who) >= len && memcmp(number - len, end, len) == 0 &&
            ((size_t)(number - d->who) == len || number[-1 - (ptrdiff_t)len] == '>')) {
            char rest[SIM_WHO_MAX];
            unsigned long n = strtoul(number, NULL, 10);
            strcpy(rest, number + strspn(number, "0123456789"));
            if (n > 1) {
                sprintf(number, "%lu%s", n - 1, rest); /* never longer than it was */
            }
            return n > 1;
        }
    }
    return false;
}

/* Tries the list without item `leave`, and with the connections of `end` counted one lower, in all
 * others or in item `only`. An index past the end leaves, or means, none. */
static bool attempt_earlier(shrinker *s, const char *end, size_t leave, size_t only) {
    bool any = false;
    candidate_clear(s);
    for (size_t i = 0; i < s->now->count; i++) {
        sim_deviation d = s->now->items[i];
        if (i == leave) {
            continue;
        }
        if (only >= s->now->count || i == only) {
            any = lower_ordinal(&d, end) || any;
        }
        if (find(&s->candidate, &d)) {
            return false; /* two answers to one draw */
        }
        candidate_add(s, &d);
    }
    return any && attempt(s);
}

static bool move_item_earlier(shrinker *s, size_t i) {
    sim_deviation d = s->now->items[i];
    for (int side = 0; side < 2; side++) {
        char *number = ordinal_of(d.who, side);
        if (number) {
            char end[SIM_WHO_MAX];
            const char *start = side ? strchr(d.who, '>') + 1 : d.who;
            snprintf(end, sizeof(end), "%.*s", (int)(number - start), start);
            if (attempt_earlier(s, end, i, SIZE_MAX) || attempt_earlier(s, end, SIZE_MAX, i)) {
                return true;
            }
        }
    }
    return false;
}

/* Each success lowers the sum of the counts, so this ends. */
static bool move_earlier(shrinker *s) {
    bool any = false;
    size_t i = s->now->count > MOVED_MAX ? s->now->count : 0;
    while (i < s->now->count && s->end == SIM_SHRUNK) {
        bool moved = move_item_earlier(s, i);
        any = any || moved;
        i = moved ? 0 : i + 1;
    }
    return any;
}

/* ---- Fewer draws ---- */

/* A segment that is cut is drawn for again, so that without the cut whatever follows on that
 * connection has a number one lower. Tries the list without item `leave`, and those behind it one
 * lower; with `add` the next draw takes its value, too: cut once where it was cut twice. */
static bool attempt_renumbered(shrinker *s, size_t leave, bool add) {
    sim_deviation gone = s->now->items[leave];
    bool lowered = false, added = false;
    candidate_clear(s);
    for (size_t i = 0; i < s->now->count; i++) {
        sim_deviation d = s->now->items[i];
        if (i == leave) {
            continue;
        }
        if (d.nth > gone.nth && strcmp(d.what, gone.what) == 0 && strcmp(d.who, gone.who) == 0) {
            bool next = --d.nth == gone.nth;
            d.value += add && next ? gone.value : 0;
            lowered = true;
            added = added || next;
        }
        candidate_add(s, &d);
    }
    return lowered && (added || !add) && attempt(s);
}

static bool renumber_item(shrinker *s, size_t i) {
    sim_kind kind = sim_kind_of(s->now->items[i].what);
    bool adds = kind == SIM_CUT || kind == SIM_WRITE;
    return attempt_renumbered(s, i, false) || (adds && attempt_renumbered(s, i, true));
}

/* Each success leaves fewer, so this ends. */
static bool renumber(shrinker *s) {
    bool any = false;
    size_t i = s->now->count > MOVED_MAX ? s->now->count : 0;
    while (i < s->now->count && s->end == SIM_SHRUNK) {
        bool fewer = renumber_item(s, i);
        any = any || fewer;
        i = fewer ? 0 : i + 1;
    }
    return any;
}

/* ---- All together ---- */

static void shrink_all(shrinker *s) {
    candidate_clear(s);
    if (attempt(s)) {
        return; /* it fails without any deviation */
    }
    cut_groups(s, field_what);
    cut_groups(s, field_who);
    bool more = true;
    for (int round = 0; round < ROUNDS_MAX && more && s->end == SIM_SHRUNK; round++) {
        cut_chunks(s);
        more = lower_values(s); /* lower values may make others needless */
        more = renumber(s) || more;
        more = move_earlier(s) || more;
    }
    if (more && s->end == SIM_SHRUNK) {
        s->end = SIM_SHRINK_ATTEMPTS_OUT;
    }
}

sim_shrink_end sim_shrink(sim_list *list, const sim_shrink_test *test,
                          const sim_shrink_budget *budget, sim_shrink_stats *stats) {
    shrinker s = {
        .test = test,
        .stats = stats,
        .attempts_max = budget->attempts ? budget->attempts : SIM_SHRINK_ATTEMPTS,
        .cpu_max = budget->cpu ? budget->cpu : DW_SEC(SIM_SHRINK_CPU_S),
        .now = list,
        .end = SIM_SHRUNK,
    };
    *stats = (sim_shrink_stats){0};
    if (!sim_list_copy(&s.candidate, list)) {
        return SIM_SHRINK_NO_MEMORY;
    }
    if (attempt(&s)) {
        shrink_all(&s);
    } else if (s.end == SIM_SHRUNK) {
        s.end = SIM_SHRINK_PASSES;
    }
    sim_list_free(&s.candidate);
    free(s.cache);
    return s.end;
}
