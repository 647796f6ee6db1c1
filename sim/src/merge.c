/* SPDX-License-Identifier: MIT */
/*
 * --merge, and the files that a search leaves behind: what shards have found out is added up, and
 * judged as one search would have been. Called by dw_main and search.c.
 */
#include "results.h"
#include "session.h"

#include <errno.h>
#include <string.h>

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void sim_session_write_files(sim_session *s) {
    const char *name = file_name(s->o.program);
    if (s->o.junit && !sim_junit_write(s->o.junit, name, &s->records, &s->o.shard)) {
        sim_session_error(s, s->o.junit);
    }
    if (!s->o.results) {
        return;
    }
    sim_results results = {
        .shard = s->o.shard,
        .records = s->records,
        .assertions = s->sum.assertions,
        .assertion_count = s->sum.assertion_count,
    };
    sim_record_text(results.program, sizeof(results.program), name);
    if (!sim_results_write(s->o.results, &results)) {
        sim_session_error(s, s->o.results);
    }
}

static void tell_found(const sim_session *s, const sim_record *record) {
    for (size_t i = 0; i < record->found_count; i++) {
        const sim_record_found *f = &record->found[i];
        sim_outcome outcome = {.failed = true};
        memcpy(outcome.oracle, f->oracle, sizeof(f->oracle));
        memcpy(outcome.message, f->message, sizeof(f->message));
        memcpy(outcome.where, f->where, sizeof(f->where));
        sim_report_sentence(&s->report, record->name, &outcome);
        fprintf(s->report.out, "  first seen: %s; %llu runs in all%s%s\n", f->origin,
                (unsigned long long)f->times, f->path[0] ? "; run file: " : "", f->path);
    }
}

/* Of pairs and trees `planned` counts where they begin. */
static bool counts_runs(const sim_record *record) {
    return record->planned != UINT64_MAX &&
           (strcmp(record->search, "seeds") == 0 || strcmp(record->search, "sweep") == 0);
}

static void tell_summary(const sim_session *s, const sim_record *record, const sim_tally *tally) {
    char title[SIM_RECORD_TITLE];
    sim_record_title(record, title);
    if (strcmp(record->search, "exhaustive") == 0) {
        sim_report_tree(&s->report, record->name, tally, (uint32_t)record->bound);
    } else if (strcmp(record->search, "pairs") == 0) {
        sim_report_pairs(&s->report, record->name, tally);
    } else {
        sim_report_summary(&s->report, title, tally, record->planned);
    }
}

static void tell_record(sim_session *s, const sim_record *record) {
    sim_tally tally = {
        .runs = record->runs,
        .failures = record->failures,
        .pairs = record->pairs,
        .pairs_fresh = record->pairs_fresh,
        .pairs_played = record->pairs_played,
        .fresh_played = record->fresh_played,
        .cut_off = record->cut_off,
        .wall = record->wall,
        .virtual_us = record->virtual_us,
        .end = record->through ? SIM_ALL_PLAYED : SIM_OUT_OF_TIME,
    };
    tell_summary(s, record, &tally);
    if (!record->through) {
        s->cut_short = s->out_of_time = true;
        fprintf(s->report.out, "%s: not every shard was played to its end\n", record->name);
    } else if (counts_runs(record) && record->runs < record->planned) {
        s->failed = true;
        fprintf(s->report.out, "FAILED merge: %s: %llu of %llu runs were played\n", record->name,
                (unsigned long long)record->runs, (unsigned long long)record->planned);
    }
    if (s->o.report) {
        sim_report_details(&s->report, record);
    }
    s->failed = s->failed || record->failures;
    s->differs = s->differs || record->differs;
    tell_found(s, record);
}

int sim_session_merge(sim_session *s) {
    char error[SIM_RESULTS_ERROR];
    sim_results sum = {0};
    if (!sim_results_merge(&sum, s->o.filters, s->o.filter_count, error)) {
        sim_results_free(&sum);
        return sim_session_complain(s, error);
    }
    s->o.seeds_given = true; /* each shard had an end: one that missed it is out of time */
    if (s->terminal) {
        sim_tap_begin(s->terminal);
    }
    for (size_t i = 0; i < sum.records.count; i++) {
        tell_record(s, &sum.records.items[i]);
        sim_session_tap(s, &sum.records.items[i]);
    }
    sim_tally tally = {.assertions = sum.assertions, .assertion_count = sum.assertion_count};
    if (s->o.report) {
        sim_report_assertions(&s->report, &tally);
    }
    bool all_ran = sum.records.count == s->count && !s->cut_short;
    size_t unreached = sum.assertions ? sim_report_unreached(&s->report, &tally, all_ran) : 0;
    s->failed = s->failed || (unreached && s->o.strict);
    sim_session_tap_end(s);
    s->records = sum.records;
    s->sum.assertions = sum.assertions;
    s->sum.assertion_count = sum.assertion_count;
    sim_session_write_files(s);
    s->records = (sim_records){0};
    s->sum.assertions = NULL;
    sim_results_free(&sum);
    return sim_session_status(s);
}
