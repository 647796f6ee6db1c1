/* SPDX-License-Identifier: MIT */
/*
 * Names failures. Its one invariant: the same bug gets the same words in every process, so
 * addresses, process numbers and the directories of a machine are left out. Called by whoever runs
 * children.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "finding.h"
#include "runner_child.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { PHRASE = 300 };

bool sim_finding_same(const sim_outcome *a, const sim_outcome *b) {
    return a->failed && b->failed && strcmp(a->oracle, b->oracle) == 0 &&
           strcmp(a->message, b->message) == 0 && strcmp(a->where, b->where) == 0;
}

bool sim_finding_is_deadly(const sim_outcome *outcome) {
    static const char *const deadly[] = {"crash", "hang", "sanitizer"};
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        if (outcome->failed && strcmp(outcome->oracle, deadly[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Makes `outcome` a failure. */
static void DW_PRINTF(4, 5) set_failure(sim_outcome *outcome, const char *oracle, const char *where,
                                        const char *format, ...) {
    outcome->failed = true;
    snprintf(outcome->oracle, sizeof(outcome->oracle), "%s", oracle);
    snprintf(outcome->where, sizeof(outcome->where), "%s", where);
    va_list args;
    va_start(args, format);
    vsnprintf(outcome->message, sizeof(outcome->message), format, args);
    va_end(args);
}

/* The rest of the line at `at`, without control characters. */
static void copy_line(char *to, size_t size, const char *at) {
    size_t len = strcspn(at, "\r\n");
    len = len < size - 1 ? len : size - 1;
    memcpy(to, at, len);
    to[len] = '\0';
    for (char *c = to; *c; c++) {
        if ((unsigned char)*c < 32) {
            *c = ' ';
        }
    }
}

/* The start of the line that holds `at`. */
static const char *line_start(const char *text, const char *at) {
    while (at > text && at[-1] != '\n') {
        at--;
    }
    return at;
}

/* "/some/where/file.c:12:3" becomes "file.c:12": the same on every machine and column. */
static void short_place(char *place) {
    const char *slash = strrchr(place, '/');
    if (slash) {
        memmove(place, slash + 1, strlen(slash));
    }
    char *colon = strchr(place, ':');
    char *second = colon ? strchr(colon + 1, ':') : NULL;
    if (second) {
        *second = '\0';
    }
}

/* "SUMMARY: AddressSanitizer: heap-use-after-free /d/file.c:12:3 in name" as the sanitizers of gcc
 * and clang end their reports (sanitizer_common, ReportErrorSummary). */
static bool from_summary(sim_outcome *outcome, const char *text) {
    const char *at = strstr(text, "SUMMARY: ");
    if (!at) {
        return false;
    }
    char line[PHRASE];
    char place[PHRASE] = "";
    char function[PHRASE] = "";
    copy_line(line, sizeof(line), at + strlen("SUMMARY: "));
    char *in = strstr(line, " in ");
    if (in) {
        snprintf(function, sizeof(function), "%s", in);
        *in = '\0';
    }
    char *path = strrchr(line, ' ');
    if (path && (strchr(path, '/') || strchr(path, ':')) && path[-1] != ':') {
        snprintf(place, sizeof(place), "%s", path + 1);
        *path = '\0';
    }
    short_place(place);
    bool symbol = place[0] && place[0] != '(' && !strstr(place, "+0x");
    set_failure(outcome, "sanitizer", symbol ? place : "", "%s%s", line, function);
    return true;
}

/* Values differ from run to run of the same bug: "index 7 out of bounds for type 'int [4]'". */
static void blur_numbers(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        size_t digits = strspn(from, "0123456789");
        if (digits) {
            *to++ = '#';
            from += digits;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* "/d/file.c:3:4: runtime error: signed integer overflow: 1 + 2 cannot ..." (UBSan). What stands
 * behind the first colon are values, perhaps addresses; what stands before it names the bug. */
static bool from_runtime_error(sim_outcome *outcome, const char *text) {
    static const char mark[] = ": runtime error: ";
    const char *at = strstr(text, mark);
    if (!at) {
        return false;
    }
    char place[PHRASE];
    char what[PHRASE];
    const char *start = line_start(text, at);
    snprintf(place, sizeof(place), "%.*s", (int)(at - start < PHRASE ? at - start : PHRASE), start);
    short_place(place);
    copy_line(what, sizeof(what), at + strlen(mark));
    char *values = strstr(what, ": ");
    char *address = strstr(what, " 0x");
    if (values) {
        *values = '\0';
    }
    if (address) {
        *address = '\0';
    }
    blur_numbers(what);
    set_failure(outcome, "sanitizer", place, "%s", what);
    return true;
}

bool sim_finding_from_text(sim_outcome *outcome, const char *text) {
    return from_runtime_error(outcome, text) || from_summary(outcome, text);
}

/* glibc: "program: file.c:42: function: Assertion `x > 0' failed." */
static bool from_assertion(sim_outcome *outcome, const char *text) {
    const char *at = strstr(text, "Assertion `");
    const char *end = at ? strstr(at, "' failed") : NULL;
    if (!end) {
        return false;
    }
    char head[PHRASE];
    const char *start = line_start(text, at);
    snprintf(head, sizeof(head), "%.*s", (int)(at - start < PHRASE ? at - start : PHRASE), start);
    const char *program_end = strstr(head, ": ");
    char place[PHRASE];
    snprintf(place, sizeof(place), "%s", program_end ? program_end + 2 : "");
    char *space = strchr(place, ' ');
    if (space) {
        *space = '\0';
    }
    short_place(place);
    size_t len = strlen(place);
    if (len && place[len - 1] == ':') {
        place[len - 1] = '\0';
    }
    at += strlen("Assertion `");
    set_failure(outcome, "crash", place, "assertion failed: %.*s", (int)(end - at), at);
    return true;
}

/* Where the dying process said that it was; "" when it could not. */
static void fault_place(char *place, size_t size, const char *text) {
    const char *at = strstr(text, SIM_CHILD_FAULT_MARK);
    place[0] = '\0';
    if (at) {
        copy_line(place, size, at + strlen(SIM_CHILD_FAULT_MARK));
    }
}

static const char *signal_name(int number) {
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SIGSEGV, "SIGSEGV, invalid memory access"},
        {SIGBUS, "SIGBUS, invalid memory access"},
        {SIGABRT, "SIGABRT, abort() was called"},
        {SIGFPE, "SIGFPE, invalid arithmetic such as a division by zero"},
        {SIGILL, "SIGILL, invalid instruction"},
        {SIGTRAP, "SIGTRAP, trap"},
        {SIGKILL, "SIGKILL; out of memory, or killed from outside"},
        {SIGPIPE, "SIGPIPE, write to a closed pipe"},
        {SIGXCPU, "SIGXCPU, CPU limit"},
        {SIGSYS, "SIGSYS, forbidden system call"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    return NULL;
}

void sim_finding_from_death(sim_outcome *outcome, int status, const char *text) {
    if (from_summary(outcome, text) || from_runtime_error(outcome, text) ||
        from_assertion(outcome, text)) {
        return;
    }
    if (WIFEXITED(status)) {
        set_failure(outcome, "crash", "", "the run ended the process with exit(%d)",
                    WEXITSTATUS(status));
        return;
    }
    char place[PHRASE];
    const char *name = signal_name(WTERMSIG(status));
    fault_place(place, sizeof(outcome->where), text);
    if (name) {
        set_failure(outcome, "crash", place, "killed by %s", name);
    } else {
        set_failure(outcome, "crash", place, "killed by signal %d", WTERMSIG(status));
    }
}

void sim_finding_from_hang(sim_outcome *outcome, unsigned hang_s) {
    set_failure(outcome, "hang", "", "more than %u s of wall time in one run", hang_s);
}
