/* SPDX-License-Identifier: MIT */
/*
 * Draws the progress bar. It is written to standard error, and only when that is a terminal, so
 * that logs stay clean. Whole numbers only: nobody reads the third digit.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDTH = 10, COLUMNS_DEFAULT = 80 };

bool sim_terminal(FILE *stream) {
    return isatty(fileno(stream)) != 0;
}

bool sim_terminal_colour(FILE *stream) {
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if ((no_colour && *no_colour) || (term && strcmp(term, "dumb") == 0)) {
        return false;
    }
    return sim_terminal(stream);
}

static uint64_t wall_us(const sim_tally *tally) {
    return tally->wall > DW_USEC(1) ? (uint64_t)(tally->wall / DW_USEC(1)) : 1;
}

uint64_t sim_tally_speed(const sim_tally *tally) {
    uint64_t us = wall_us(tally);
    return tally->runs / us * 1000000 + tally->runs % us * 1000000 / us;
}

uint64_t sim_tally_ratio(const sim_tally *tally) {
    return tally->virtual_us / wall_us(tally);
}

/* How far it is, in thousandths: by runs, or by time when there is no end to the runs. */
static uint64_t thousandths(const sim_progress *p, const sim_tally *t, uint64_t total) {
    if (total == UINT64_MAX) {
        uint64_t limit = p->ends_in > 0 ? (uint64_t)p->ends_in : 1;
        uint64_t part = (uint64_t)t->wall / (limit / 1000 + 1);
        return part < 1000 ? part : 1000;
    }
    if (total > UINT64_MAX / 1000) {
        return t->runs / (total / 1000);
    }
    return total ? t->runs * 1000 / total : 1000;
}

static uint64_t seconds_left(const sim_progress *p, const sim_tally *t, uint64_t total) {
    uint64_t by_time = UINT64_MAX;
    if (p->ends_in) {
        by_time = p->ends_in > t->wall ? (uint64_t)((p->ends_in - t->wall) / DW_SEC(1)) : 0;
    }
    uint64_t speed = sim_tally_speed(t);
    uint64_t by_runs = total > t->runs && speed ? (total - t->runs) / speed : UINT64_MAX;
    return by_runs < by_time ? by_runs : by_time;
}

static size_t columns(void) {
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col;
    }
    return COLUMNS_DEFAULT;
}

void sim_progress_line(const sim_progress *progress, const sim_tally *so_far, uint64_t total,
                       size_t width, char line[SIM_PROGRESS_LINE]) {
    char bar[BAR_WIDTH + 1];
    char of[32] = "";
    char left[40] = "";
    uint64_t filled = thousandths(progress, so_far, total) * BAR_WIDTH / 1000;
    for (uint64_t i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < filled ? '#' : '-';
    }
    bar[BAR_WIDTH] = '\0';
    if (total != UINT64_MAX) {
        snprintf(of, sizeof(of), "/%" PRIu64, total);
    }
    uint64_t seconds = seconds_left(progress, so_far, total);
    if (seconds != UINT64_MAX) {
        snprintf(left, sizeof(left), "  %" PRIu64 " s left", seconds);
    }
    int len = snprintf(line, SIM_PROGRESS_LINE,
                       "%.40s [%s] %" PRIu64 "%s  %" PRIu64 " runs/s  %" PRIu64
                       " failed%s  virtual/wall %" PRIu64,
                       progress->name, bar, so_far->runs, of, sim_tally_speed(so_far),
                       so_far->failures, left, sim_tally_ratio(so_far));
    if (len > 0 && (size_t)len >= width) {
        line[width > 1 ? width - 1 : 0] = '\0'; /* a wrapped line could not be drawn over */
    }
}

void sim_progress_show(void *user, const sim_tally *so_far, uint64_t total) {
    sim_progress *p = user;
    char line[SIM_PROGRESS_LINE];
    sim_progress_line(p, so_far, total, columns(), line);
    if (p->colour) {
        fprintf(stderr, "\r\033[%dm%s\033[0m\033[K", so_far->failures ? 31 : 32, line);
    } else {
        fprintf(stderr, "\r%s\033[K", line);
    }
    fflush(stderr);
    p->shown = true;
}

void sim_progress_clear(sim_progress *progress) {
    if (progress->shown) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
        progress->shown = false;
    }
}
