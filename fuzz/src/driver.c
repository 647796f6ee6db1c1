/* SPDX-License-Identifier: MIT */
/*
 * A main function for fuzz targets without a fuzzing engine: runs each file given, and each file in
 * each folder given, once, in order of name. For replaying a corpus or a finding under any
 * compiler, and under AFL++ (`afl-fuzz ... -- TARGET @@`). When an input ends the process, its name
 * is the last line on stderr. Exit status: 0 all passed, 2 an input could not be read.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Longer files are an error: no input is that long. */
#define DRIVER_FILE_MAX ((size_t)64 << 20)

/* Folders within folders, at most so deep. */
#define DRIVER_DEPTH_MAX 16

static unsigned long passed, unreadable;
static const char *running; /* the input's name while it runs */

/* Only write(2) and friends are safe here (POSIX, 2.4.3). */
static void died(int signal_number) {
    static const char text[] = "\nthe input was: ";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDERR_FILENO, running, strlen(running)) < 0 || write(STDERR_FILENO, "\n", 1) < 0) {
        _exit(1);
    }
    raise(signal_number); /* SA_RESETHAND: as if there were no handler */
}

/* A sanitizer that watches for a signal itself keeps it. */
static void watch_signal(int signal_number) {
    struct sigaction old, action = {.sa_handler = died, .sa_flags = (int)SA_RESETHAND};
    if (sigaction(signal_number, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        sigaction(signal_number, &action, NULL);
    }
}

static void complain(const char *path, const char *why) {
    fprintf(stderr, "%s: %s\n", path, why);
    unreadable++;
}

/* The block is as long as the input, so that a sanitizer sees a read past its end. */
static void run_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        complain(path, strerror(errno));
        return;
    }
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        complain(path, data == NULL ? "out of memory" : "cannot be read");
    } else {
        running = path;
        LLVMFuzzerTestOneInput(data, size);
        running = "none, the driver itself";
        passed++;
    }
    free(data);
    fclose(file);
}

static void run_path(const char *path, unsigned depth);

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* By bytes, not by the locale as alphasort: the same order everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void run_entry(const char *folder, const char *name, unsigned depth) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path == NULL) {
        complain(folder, "out of memory");
        return;
    }
    snprintf(path, size, "%s/%s", folder, name);
    run_path(path, depth + 1);
    free(path);
}

static void run_folder(const char *path, unsigned depth) {
    struct dirent **entries;
    int count = depth < DRIVER_DEPTH_MAX ? scandir(path, &entries, visible, by_name) : -1;
    if (count < 0) {
        complain(path, depth < DRIVER_DEPTH_MAX ? strerror(errno) : "folders are too deep");
        return;
    }
    for (int i = 0; i < count; i++) {
        run_entry(path, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
}

static void run_path(const char *path, unsigned depth) {
    struct stat status;
    if (stat(path, &status) < 0) {
        complain(path, strerror(errno));
    } else if (S_ISDIR(status.st_mode)) {
        run_folder(path, depth);
    } else if ((uintmax_t)status.st_size > DRIVER_FILE_MAX) {
        complain(path, "is too long for an input");
    } else {
        run_file(path, (size_t)status.st_size);
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
        return 2;
    }
    running = "none, the driver itself";
    watch_signal(SIGABRT);
    watch_signal(SIGSEGV);
    watch_signal(SIGBUS);
    watch_signal(SIGFPE);
    watch_signal(SIGILL);
    for (int i = 1; i < argc; i++) {
        run_path(argv[i], 0);
    }
    printf("%lu inputs, %lu passed\n", passed + unreadable, passed);
    return unreadable > 0 ? 2 : 0;
}
