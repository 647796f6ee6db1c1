/* SPDX-License-Identifier: MIT */
/*
 * Keeps records, and writes them as JUnit XML and as TAP. Text of a failure may hold any byte; what
 * the format cannot carry becomes a '?'. Called by search.c and runner.c.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

sim_record *sim_records_add(sim_records *records, const char *name) {
    if (records->count == records->room) {
        size_t room = records->room > 0 ? records->room * 2 : 8;
        sim_record *items = realloc(records->items, room * sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        records->items = items;
        records->room = room;
    }
    sim_record *record = &records->items[records->count++];
    *record = (sim_record){0};
    sim_record_text(record->name, sizeof(record->name), name);
    return record;
}

void sim_records_free(sim_records *records) {
    free(records->items);
    *records = (sim_records){0};
}

void sim_record_text(char *to, size_t size, const char *from) {
    size_t i = 0;
    for (; from[i] != '\0' && i + 1 < size; i++) {
        to[i] = from[i] == '\n' || from[i] == '\r' || from[i] == '\t' ? ' ' : from[i];
    }
    to[i] = '\0';
}

sim_record_found *sim_record_find(sim_record *record, const sim_outcome *outcome,
                                  const char *origin, uint64_t times) {
    if (record->found_count == SIM_FOUND_MAX) {
        return NULL;
    }
    sim_record_found *found = &record->found[record->found_count++];
    *found = (sim_record_found){.times = times};
    sim_record_text(found->oracle, sizeof(found->oracle), outcome->oracle);
    sim_record_text(found->message, sizeof(found->message), outcome->message);
    sim_record_text(found->where, sizeof(found->where), outcome->where);
    sim_record_text(found->origin, sizeof(found->origin), origin);
    return found;
}

void sim_record_title(const sim_record *record, char title[SIM_RECORD_TITLE]) {
    bool seeds = strcmp(record->search, "seeds") == 0, calm = record->weather[0] == '\0';
    snprintf(title, SIM_RECORD_TITLE, "%s%s%s%s%s%s", record->name, seeds && calm ? "" : " (",
             seeds ? "" : record->search, seeds || calm ? "" : ", ", record->weather,
             seeds && calm ? "" : ")");
}

/* ---- JUnit ---- */

static void put_xml(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        switch (c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(c >= 0x20 && c < 0x7f ? c : '?', out);
        }
    }
}

static void put_attribute(FILE *out, const char *name, const char *value) {
    fprintf(out, " %s=\"", name);
    put_xml(out, value);
    fputc('"', out);
}

static void put_seconds(FILE *out, dw_time time) {
    fprintf(out, " time=\"%lld.%03lld\"", (long long)(time / DW_SEC(1)),
            (long long)(time % DW_SEC(1) / DW_MSEC(1)));
}

static bool failed(const sim_record *record) {
    return record->found_count > 0 || record->failures > 0 || record->differs;
}

static void junit_found(FILE *out, const sim_record_found *found) {
    fputs("    <failure", out);
    put_attribute(out, "type", found->oracle);
    put_attribute(out, "message", found->message);
    fputc('>', out);
    fprintf(out, "first seen: ");
    put_xml(out, found->origin);
    fprintf(out, "; runs: %" PRIu64 "; at: ", found->times);
    put_xml(out, found->where);
    if (found->path[0] != '\0') {
        fputs("; run file: ", out);
        put_xml(out, found->path);
    }
    fputs("</failure>\n", out);
}

static void junit_case(FILE *out, const char *program, const sim_record *record) {
    fputs("  <testcase", out);
    put_attribute(out, "classname", program);
    char name[SIM_RECORD_TITLE];
    sim_record_title(record, name);
    put_attribute(out, "name", name);
    put_seconds(out, record->wall);
    fputs(">\n", out);
    if (record->found_count > 0) {
        junit_found(out, &record->found[0]); /* the schema has room for one */
    } else if (record->differs) {
        fputs("    <failure type=\"determinism\" message=\"a run went two ways when played "
              "twice\"/>\n",
              out);
    }
    fprintf(out, "    <system-out>%s: %" PRIu64 " runs, %" PRIu64 " failures%s\n", record->search,
            record->runs, record->failures, record->through ? "" : ", not played to the end");
    for (size_t i = 1; i < record->found_count; i++) {
        fputs("also: ", out);
        put_xml(out, record->found[i].oracle);
        fputs(": ", out);
        put_xml(out, record->found[i].message);
        fputs(" (", out);
        put_xml(out, record->found[i].origin);
        fputs(")\n", out);
    }
    fputs("</system-out>\n  </testcase>\n", out);
}

bool sim_junit_write(const char *path, const char *program, const sim_records *records,
                     const sim_shard *shard) {
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return false;
    }
    size_t failures = 0;
    dw_time wall = 0;
    for (size_t i = 0; i < records->count; i++) {
        failures += failed(&records->items[i]);
        wall += records->items[i].wall;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n <testsuite", out);
    put_attribute(out, "name", program);
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\"", records->count,
            failures);
    put_seconds(out, wall);
    fputs(">\n", out);
    if (shard->total > 1) {
        fprintf(out,
                "  <properties><property name=\"shard\" value=\"%" PRIu64 "/%" PRIu64
                "\"/></properties>\n",
                shard->index + 1, shard->total);
    }
    for (size_t i = 0; i < records->count; i++) {
        junit_case(out, program, &records->items[i]);
    }
    fputs(" </testsuite>\n</testsuites>\n", out);
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}

/* ---- TAP ---- */

void sim_tap_begin(FILE *out) {
    fputs("TAP version 13\n", out);
}

void sim_tap_end(FILE *out, size_t count) {
    fprintf(out, "1..%zu\n", count);
    fflush(out);
}

/* A YAML scalar in double quotes. */
static void put_yaml(FILE *out, const char *name, const char *value) {
    fprintf(out, "  %s: \"", name);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\') {
            fputc('\\', out);
        }
        fputc(c >= 0x20 && c < 0x7f ? c : '?', out);
    }
    fputs("\"\n", out);
}

void sim_tap_record(FILE *out, size_t number, const sim_record *record) {
    fprintf(out, "%s %zu - ", failed(record) ? "not ok" : "ok", number);
    for (const char *c = record->name; *c != '\0'; c++) {
        fputc(*c == '#' ? '_' : *c, out); /* a '#' would begin a directive */
    }
    fprintf(out, ", %s%s%s: %" PRIu64 " runs, %" PRIu64 " failures\n", record->search,
            record->weather[0] != '\0' ? " in " : "", record->weather, record->runs,
            record->failures);
    if (record->found_count > 0) {
        const sim_record_found *found = &record->found[0];
        fputs("  ---\n", out);
        put_yaml(out, "oracle", found->oracle);
        put_yaml(out, "message", found->message);
        put_yaml(out, "first_seen", found->origin);
        if (found->path[0] != '\0') {
            put_yaml(out, "run_file", found->path);
        }
        fputs("  ...\n", out);
    }
    fflush(out);
}
