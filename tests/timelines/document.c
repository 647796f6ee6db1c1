/* SPDX-License-Identifier: MIT */
/*
 * A page: prose, a line "compared: ..." and three fenced blocks called scenario, deviations (may be
 * missing: a calm run) and timeline.
 */
#include "play.h"

#include <errno.h>
#include <string.h>

static bool load(document *d, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    d->len = fread(d->text, 1, sizeof(d->text) - 1, file);
    d->text[d->len] = '\0';
    bool whole = !ferror(file) && d->len < sizeof(d->text) - 1;
    fclose(file);
    errno = whole ? 0 : EFBIG;
    return whole;
}

/* What stands between "```NAME\n" and the next "```". */
static bool find_block(const document *d, const char *name, block *out) {
    char fence[TEXT_MAX];
    snprintf(fence, sizeof(fence), "\n```%s\n", name);
    const char *start = strstr(d->text, fence);
    if (start == NULL) {
        return false;
    }
    start += strlen(fence);
    const char *end = strncmp(start, "```\n", 4) == 0 ? start : strstr(start, "\n```\n");
    if (end == NULL) {
        return false;
    }
    end += end != start;
    *out = (block){(size_t)(start - d->text), (size_t)(end - start)};
    return true;
}

static bool find_compared(document *d) {
    const char *start = strstr(d->text, "\ncompared: ");
    if (start == NULL) {
        return false;
    }
    start += strlen("\ncompared: ");
    size_t len = strcspn(start, "\n");
    snprintf(d->compared, sizeof(d->compared), "%.*s", (int)len, start);
    return strncmp(d->compared, "namespaces", 10) == 0 ||
           strncmp(d->compared, "not, because ", 13) == 0;
}

bool document_read(document *d, const char *path, char *error, size_t size) {
    memset(d, 0, sizeof(*d));
    if (!load(d, path)) {
        snprintf(error, size, "%s: %s", path, strerror(errno));
    } else if (!find_block(d, "scenario", &d->scenario)) {
        snprintf(error, size, "%s: no ```scenario block", path);
    } else if (!find_block(d, "timeline", &d->timeline)) {
        snprintf(error, size, "%s: no ```timeline block", path);
    } else if (!find_compared(d)) {
        snprintf(error, size, "%s: no line `compared: namespaces` or `compared: not, because ...`",
                 path);
    } else {
        find_block(d, "deviations", &d->deviations);
        return true;
    }
    return false;
}

bool document_rewrite(const document *d, const char *path, const char *timeline) {
    size_t behind = d->timeline.start + d->timeline.len;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    fwrite(d->text, 1, d->timeline.start, file);
    fputs(timeline, file);
    fwrite(d->text + behind, 1, d->len - behind, file);
    bool good = !ferror(file);
    return fclose(file) == 0 && good;
}
