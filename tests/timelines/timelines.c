/* SPDX-License-Identifier: MIT */
/*
 * Golden timelines. `timelines PAGE.md` plays the page's scenario and compares the timeline with
 * the one that stands there (DRYWIRE_TIMELINES=rewrite in the environment: puts it there);
 * `timelines --kernel PAGE.md` plays it between network namespaces, too, and compares what was
 * called back; `timelines --kinds PAGE.md...` wants a page for each kind of deviation.
 */
#include "play.h"

#include <deviation.h>

#include <stdlib.h>
#include <string.h>

static document page;
static play the_play;

static bool read_page(const char *path) {
    char error[512];
    if (!document_read(&page, path, error, sizeof(error))) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    if (!play_read(&the_play, page.text + page.scenario.start, page.scenario.len, error,
                   sizeof(error))) {
        fprintf(stderr, "%s: %s\n", path, error);
        return false;
    }
    return true;
}

/* The timeline of a fresh run, to be freed, or NULL. */
static char *play_page(const char *path) {
    char error[700];
    if (!read_page(path)) {
        return NULL;
    }
    char *timeline = dry_play(&the_play, &page, error, sizeof(error));
    if (timeline == NULL) {
        fprintf(stderr, "%s: %s\n", path, error);
    }
    return timeline;
}

static int rewrite(const char *path, const char *timeline) {
    if (document_rewrite(&page, path, timeline)) {
        return EXIT_SUCCESS;
    }
    perror(path);
    return EXIT_FAILURE;
}

static int check(const char *path, const char *timeline) {
    static char expected[PAGE_MAX];
    snprintf(expected, sizeof(expected), "%.*s", (int)page.timeline.len,
             page.text + page.timeline.start);
    if (strcmp(expected, timeline) == 0) {
        return EXIT_SUCCESS;
    }
    diff_print(stderr, path, expected, "what happened", timeline);
    fprintf(stderr, "\nIf this is right: DRYWIRE_TIMELINES=rewrite and the same command.\n");
    return EXIT_FAILURE;
}

static int golden(const char *path) {
    const char *mode = getenv("DRYWIRE_TIMELINES");
    char *timeline = play_page(path);
    if (timeline == NULL) {
        return EXIT_FAILURE;
    }
    bool rewrites = mode != NULL && strcmp(mode, "rewrite") == 0;
    int status = rewrites ? rewrite(path, timeline) : check(path, timeline);
    free(timeline);
    return status;
}

static int kernel(const char *path) {
    static char seen[SUMMARY_MAX];
    char *timeline = play_page(path);
    if (timeline == NULL) {
        return EXIT_FAILURE;
    }
    free(timeline);
    int status = live_play(&the_play, page.compared, dry_summary(), seen, sizeof(seen));
    if (status == EXIT_SKIPPED) {
        fprintf(stderr, "skipped: %s\n", seen);
    } else if (status != EXIT_SUCCESS) {
        diff_print(stderr, "the dry wire", dry_summary(), "the kernel", seen);
    }
    return status;
}

/* ---- A page for each kind ---- */

static int kinds(int count, char **paths) {
    uint64_t seen = 0;
    int status = EXIT_SUCCESS;
    for (int i = 0; i < count; i++) {
        if (!read_page(paths[i])) {
            return EXIT_FAILURE;
        }
        seen |= dry_kinds(&page);
    }
    for (unsigned kind = 0; kind < SIM_KIND_COUNT; kind++) {
        if ((seen & UINT64_C(1) << kind) == 0) {
            fprintf(stderr, "no page has a deviation of kind %s\n", sim_kind_name((sim_kind)kind));
            status = EXIT_FAILURE;
        }
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--kinds") == 0) {
        return kinds(argc - 2, argv + 2);
    }
    if (argc == 3 && strcmp(argv[1], "--kernel") == 0) {
        return kernel(argv[2]);
    }
    if (argc == 2) {
        return golden(argv[1]);
    }
    fprintf(stderr, "usage: timelines [--kernel] PAGE.md | timelines --kinds PAGE.md...\n");
    return 2;
}
