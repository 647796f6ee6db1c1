/* SPDX-License-Identifier: MIT */
/*
 * Ready-made scripts: small programs that many a test wants to spawn, and examples of how to write
 * one. They use nothing but what drywire/script.h offers.
 */
#include "drywire/script.h"

#include <stdlib.h>
#include <string.h>

static void cat_received(dw_script *script, int fd, const uint8_t *data, size_t len) {
    if (fd != 0) {
        return;
    }
    if (len == 0) {
        dw_script_exit(script, 0);
    } else if (!dw_script_write(script, 1, data, len)) {
        dw_script_exit(script, 1);
    }
}

const dw_script_class dw_cat_script = {.name = "cat", .received = cat_received};

static void echo_start(dw_script *script) {
    const char *const *argv = dw_script_argv(script);
    for (int i = 1; argv[0] != NULL && argv[i] != NULL; i++) {
        dw_script_write(script, 1, " ", i > 1);
        dw_script_write(script, 1, argv[i], strlen(argv[i]));
    }
    dw_script_write(script, 1, "\n", 1);
    dw_script_exit(script, 0);
}

const dw_script_class dw_echo_script = {.name = "echo", .start = echo_start};

/* The number in argv[1], or `otherwise`. */
static long number_of(const dw_script *script, long otherwise) {
    const char *const *argv = dw_script_argv(script);
    return argv[0] != NULL && argv[1] != NULL ? strtol(argv[1], NULL, 10) : otherwise;
}

static void exit_start(dw_script *script) {
    dw_script_exit(script, (int)number_of(script, 0));
}

const dw_script_class dw_exit_script = {.name = "exit", .start = exit_start};

static void sleep_start(dw_script *script) {
    long seconds = number_of(script, -1);
    if (seconds >= 0) {
        dw_script_sleep(script, seconds < DW_TIME_MAX / DW_SEC(1) ? DW_SEC(seconds) : DW_TIME_MAX);
    }
}

static void sleep_woken(dw_script *script) {
    dw_script_exit(script, 0);
}

const dw_script_class dw_sleep_script = {
    .name = "sleep", .start = sleep_start, .woken = sleep_woken};
