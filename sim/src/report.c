/* SPDX-License-Identifier: MIT */
/*
 * Prints findings. The order of a failure's parts is fixed (see report.h); long ones are shortened
 * in the middle, never at the end, and say by how much. Called by the runner and by the Check glue.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "report.h"
#include "progress.h"

#include <inttypes.h>
#include <string.h>

enum { RED = 31, GREEN = 32, YELLOW = 33 };

static void paint(const sim_report *r, int colour, const char *text) {
    if (r->colour) {
        fprintf(r->out, "\033[1;%dm%s\033[0m", colour, text);
    } else {
        fputs(text, r->out);
    }
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_end(const sim_report *r, const char *name, const sim_tally *t, uint64_t planned) {
    static const char *const ends[] = {
        [SIM_OUT_OF_TIME] = "out of wall time",
        [SIM_INTERRUPTED] = "interrupted",
        [SIM_TOO_MANY_DEATHS] = "given up, too many runs ended their process",
        [SIM_TOO_MANY_HANGS] = "given up, too many runs hung",
    };
    if (t->end == SIM_ALL_PLAYED) {
        return;
    }
    fprintf(r->out, "%s: %s after %" PRIu64 " run%s", name, ends[t->end], t->runs, plural(t->runs));
    if (planned != UINT64_MAX) {
        fprintf(r->out, " of %" PRIu64, planned);
    }
    fputc('\n', r->out);
}

void sim_report_summary(const sim_report *r, const char *name, const sim_tally *tally,
                        uint64_t planned) {
    char failures[64];
    snprintf(failures, sizeof(failures), "%" PRIu64 " failure%s", tally->failures,
             plural(tally->failures));
    fprintf(r->out, "%s: %" PRIu64 " run%s, ", name, tally->runs, plural(tally->runs));
    paint(r, tally->failures ? RED : GREEN, failures);
    fprintf(r->out, ", %" PRIu64 " runs/s, virtual/wall %" PRIu64 "\n", sim_tally_speed(tally),
            sim_tally_ratio(tally));
    print_end(r, name, tally, planned);
}

void sim_report_pairs(const sim_report *r, const char *name, const sim_tally *tally) {
    char failures[64];
    uint64_t all = tally->pairs > 0 ? tally->pairs : 1;
    snprintf(failures, sizeof(failures), "%" PRIu64 " failure%s", tally->failures,
             plural(tally->failures));
    fprintf(r->out, "%s: depth 2: %" PRIu64 " of %" PRIu64 " pairs played (%" PRIu64 " %%), ", name,
            tally->pairs_played, tally->pairs,
            tally->pairs_played / all * 100 + tally->pairs_played % all * 100 / all);
    paint(r, tally->failures ? RED : GREEN, failures);
    fprintf(r->out, ", %" PRIu64 " runs/s\n", sim_tally_speed(tally));
    fprintf(r->out,
            "%s: depth 2: of the %" PRIu64
            " whose second is there only because of the first, %" PRIu64 " were played\n",
            name, tally->pairs_fresh, tally->fresh_played);
    if (tally->end != SIM_ALL_PLAYED) {
        fprintf(r->out, "%s: depth 2 was ended early\n", name);
    }
}

void sim_report_tree(const sim_report *r, const char *name, const sim_tally *tally,
                     uint32_t bound) {
    uint64_t runs = tally->runs;
    fprintf(r->out, "%s: exhaustive: ", name);
    if (tally->failures) {
        fprintf(r->out, "a counter-example after %" PRIu64 " runs", runs);
    } else if (tally->end != SIM_ALL_PLAYED) {
        fprintf(r->out, "ended early; %" PRIu64 " runs held", runs);
    } else {
        fprintf(r->out, "all %" PRIu64 " runs held", runs);
    }
    fprintf(r->out, ", %" PRIu64 " runs/s\n", sim_tally_speed(tally));
    if (tally->cut_off && !tally->failures) {
        fprintf(r->out,
                "%s: exhaustive: %" PRIu64
                " of them could have gone on with more than %u deviations, "
                "which were not played\n",
                name, tally->cut_off, (unsigned)bound);
    }
}

void sim_report_sentence(const sim_report *r, const char *name, const sim_outcome *outcome) {
    paint(r, RED, "FAILED");
    fprintf(r->out, " %s: %s\n", name, outcome->message);
    fprintf(r->out, "  oracle: %s%s%s\n", outcome->oracle, outcome->where[0] ? ", at " : "",
            outcome->where);
}

static void print_shrinking(const sim_report *r, const sim_case *c) {
    if (c->list_cut) {
        fprintf(r->out, " (more than are kept: the first ones, not shrunk)");
    } else if (c->shrunk && c->shrink_end == SIM_SHRUNK) {
        fprintf(r->out, " (minimal; shrunk from %zu in %" PRIu64 " runs)", c->list_before,
                c->shrink_stats.attempts);
    } else if (c->shrunk) {
        fprintf(r->out, " (shrunk from %zu in %" PRIu64 " runs, then the budget was used up)",
                c->list_before, c->shrink_stats.attempts);
    }
}

void sim_report_list(const sim_report *r, const sim_case *c) {
    if (c->list.count == 0) {
        fprintf(r->out, "  no deviation is needed: the calm run fails\n");
        return;
    }
    sim_list shown = c->list;
    shown.count = shown.count < SIM_REPORT_LIST ? shown.count : SIM_REPORT_LIST;
    fprintf(r->out, "  %zu deviation%s", c->list.count, plural(c->list.count));
    print_shrinking(r, c);
    fprintf(r->out, ":\n");
    sim_runfile_print_list(r->out, &shown, "    ");
    if (shown.count < c->list.count) {
        fprintf(r->out, "    ... and %zu more\n", c->list.count - shown.count);
    }
}

/* How many marked lines stand before `end`. */
static size_t marked_before(const sim_timeline *t, size_t end) {
    size_t count = 0;
    for (size_t i = 0; i < end; i++) {
        count += t->lines[i].marked;
    }
    return count;
}

static void print_gap(const sim_report *r, size_t lines) {
    if (lines) {
        fprintf(r->out, "    ... %zu line%s\n", lines, plural(lines));
    }
}

void sim_report_timeline(const sim_report *r, const sim_timeline *timeline) {
    size_t last = r->lines_max ? r->lines_max : SIM_REPORT_LINES;
    size_t tail = timeline->count > last ? timeline->count - last : 0;
    tail = r->full_timeline ? 0 : tail;
    size_t marked = marked_before(timeline, tail);
    size_t skip = marked > SIM_REPORT_MARKED ? marked - SIM_REPORT_MARKED : 0;
    size_t gap = 0;
    if (timeline->count == 0) {
        return;
    }
    fprintf(r->out, "  timeline%s:\n", tail ? ", its end and what deviated" : "");
    for (size_t i = 0; i < timeline->count; i++) {
        bool shown = i >= tail;
        if (!shown && timeline->lines[i].marked) {
            shown = skip == 0;
            skip -= skip != 0;
        }
        if (!shown) {
            gap++;
            continue;
        }
        print_gap(r, gap);
        gap = 0;
        fprintf(r->out, "  %c %s\n", timeline->lines[i].marked ? '>' : ' ',
                timeline->lines[i].text);
    }
}

void sim_report_output(const sim_report *r, const char *output) {
    size_t lines = 0;
    for (const char *at = output; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    size_t skip = lines > SIM_REPORT_OUTPUT ? lines - SIM_REPORT_OUTPUT : 0;
    if (!*output) {
        return;
    }
    fprintf(r->out, "  the program printed:\n");
    print_gap(r, skip);
    for (; skip; skip--) {
        output = strchr(output, '\n') + 1;
    }
    while (*output) {
        size_t len = strcspn(output, "\n");
        fprintf(r->out, "    %.*s\n", (int)len, output);
        output += output[len] ? len + 1 : len;
    }
}

void sim_report_case(const sim_report *r, const char *name, const sim_case *c, const char *origin,
                     uint64_t times, const char *command) {
    sim_report_sentence(r, name, &c->outcome);
    if (origin) {
        fprintf(r->out, "  first seen: %s", origin);
        if (times > 1) {
            fprintf(r->out, "; %" PRIu64 " runs in all", times);
        }
        fputc('\n', r->out);
    }
    sim_report_list(r, c);
    sim_report_timeline(r, &c->timeline);
    sim_report_output(r, c->output);
    if (command) {
        fprintf(r->out, "  play it again:\n    %s\n", command);
    }
}

/* What to say of an assertion that never did its work; NULL when it did. */
static const char *unreached(const dw_assertion *a, const uint64_t counts[2], bool all_ran) {
    if (a->kind == DW_SOMETIMES && counts[1] && !counts[0]) {
        return "never true";
    }
    if (a->kind != DW_UNREACHABLE && !counts[1] && all_ran) {
        return "never reached";
    }
    return NULL;
}

size_t sim_report_unreached(const sim_report *r, const sim_tally *sum, bool all_ran) {
    dw_assertion *const *all = NULL;
    size_t count = sim_assertions(&all);
    size_t found = 0;
    for (size_t i = 0; i < count && i < sum->assertion_count; i++) {
        const char *what = unreached(all[i], sum->assertions[all[i]->index], all_ran);
        if (what) {
            paint(r, YELLOW, what);
            fprintf(r->out, ": \"%s\" (%s)", all[i]->message, all[i]->where);
            if (sum->assertions[all[i]->index][1]) {
                fprintf(r->out, ", asked %" PRIu64 " times", sum->assertions[all[i]->index][1]);
            }
            fputc('\n', r->out);
            found++;
        }
    }
    return found;
}

void sim_report_details(const sim_report *r, const sim_record *record) {
    if (record->distinct && !(record->distinct_more && record->distinct_sum)) {
        fprintf(r->out, "  traces: %s%" PRIu64 " distinct in %" PRIu64 " runs\n",
                record->distinct_more  ? "more than "
                : record->distinct_sum ? "at most "
                                       : "",
                record->distinct, record->runs);
    }
    fprintf(r->out, "  deviations taken:");
    const char *comma = "";
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if (record->kinds[kind]) {
            fprintf(r->out, "%s %s %" PRIu64, comma, sim_kind_name((sim_kind)kind),
                    record->kinds[kind]);
            comma = ",";
        }
    }
    fprintf(r->out, "%s\n  never taken:", *comma ? "" : " none");
    comma = "";
    for (int kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if (!record->kinds[kind]) {
            fprintf(r->out, "%s %s", comma, sim_kind_name((sim_kind)kind));
            comma = ",";
        }
    }
    fprintf(r->out, "%s\n", *comma ? "" : " none");
}

static const char *assertion_word(dw_assertion_kind kind) {
    switch (kind) {
    case DW_ALWAYS:
        return "always";
    case DW_SOMETIMES:
        return "sometimes";
    case DW_REACHABLE:
        return "reachable";
    case DW_UNREACHABLE:
        return "unreachable";
    }
    return "";
}

void sim_report_assertions(const sim_report *r, const sim_tally *sum) {
    dw_assertion *const *all = NULL;
    size_t count = sim_assertions(&all);
    for (size_t i = 0; i < count && i < sum->assertion_count; i++) {
        const uint64_t *n = sum->assertions[all[i]->index];
        fprintf(r->out, "%-11s true %" PRIu64 " of %" PRIu64 " times: \"%s\" (%s)\n",
                assertion_word(all[i]->kind), n[0], n[1], all[i]->message, all[i]->where);
    }
}

void sim_report_quote(char *to, size_t size, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./+:=@%,";
    if (*text && text[strspn(text, plain)] == '\0') {
        snprintf(to, size, "%s", text);
        return;
    }
    size_t used = 0;
    const size_t end = size - 2; /* room for the closing quote */
    to[used++] = '\'';
    for (; *text && used + 4 < end; text++) {
        if (*text == '\'') {
            memcpy(to + used, "'\\''", 4);
            used += 4;
        } else {
            to[used++] = *text;
        }
    }
    to[used++] = '\'';
    to[used] = '\0';
}
