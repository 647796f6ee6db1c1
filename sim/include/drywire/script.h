/* SPDX-License-Identifier: MIT */
/*
 * Child processes of a world: scripts that stand in for the programs that a host's program spawns.
 */
#ifndef DRYWIRE_SCRIPT_H
#define DRYWIRE_SCRIPT_H

#include "drywire/world.h"

DW_BEGIN_DECLS

/* What stands in for a program when a host's program spawns one (dw_reactor_spawn_process): a
 * script. It runs as a process of the host's machine: event-driven code outside the host's program,
 * which is told one thing at a time and answers with the verbs below. It is not crashed, stalled or
 * checked for leaks, and may keep what it needs in its state.
 *
 * How the world plays the system: a program starts 1 ms after spawn, what one side of a pipe does
 * is known at the other 20 us later. A pipe holds 65536 bytes; a write beyond that holds the script
 * up, so it is told of nothing but signals until it is done, and it exits when all is written. A
 * write that nobody will read raises SIGPIPE, which ends it unless it is handled. When the host's
 * program is killed, its children live on without it; when the machine loses power, they are gone.
 * There are no files: `directory`, `uid` and `gid` of a spawn mean nothing; what is written to an
 * inherited descriptor goes to the timeline, and reading one finds its end at once.
 *
 * Choices of the host, all calm in a calm run: `spawn` (1 no process, 2 no memory, 3 the program
 * cannot be run), `exit` (its end is known so much later), `stdin` (it closes its stdin
 * unread, and believes it has ended), `kill` (it is killed), and `cut` and `write` for what the
 * program reads and writes. */
typedef struct dw_script dw_script;

typedef struct dw_script_class {
    /* Shown in the timeline. Required. */
    const char *name;
    /* Bytes of dw_script_state, zeroed for each process. */
    size_t state_size;

    /* All slots may be NULL. The program begins. */
    void (*start)(dw_script *script);
    /* `len` bytes came in on descriptor `fd`; 0, once: its end. `data` dies when this returns.
     * Without the slot nothing is read, and a writer finds the pipe full in the end. */
    void (*received)(dw_script *script, int fd, const uint8_t *data, size_t len);
    /* The sleep is over. */
    void (*woken)(dw_script *script);
    /* A signal came, not SIGKILL and not SIGSTOP. True: that was it; false, or without the slot: it
     * does what the system does with it. */
    bool (*signalled)(dw_script *script, int signal_number);
} dw_script_class;

/* From now on a spawn of `path` runs `cls`, on every host; a later one of the same name takes its
 * place. A name without '/' stands for any directory. `path` is copied, `cls` borrowed. Anything
 * else that is spawned cannot be run: it says so on 2 and ends with exit status 1. */
void dw_world_add_program(dw_world *world, const char *path, const dw_script_class *cls,
                          void *user);

void *dw_script_state(dw_script *script);
void *dw_script_user(const dw_script *script);
dw_world *dw_script_world(const dw_script *script);
/* As spawned, NULL-terminated; a host has no environment of its own. */
const char *const *dw_script_argv(const dw_script *script);
const char *dw_script_env(const dw_script *script, const char *name);

/* Writes all of it, in time. False: there is no such descriptor to write to. */
bool dw_script_write(dw_script *script, int fd, const void *data, size_t len);
/* When all that was written to it is out. */
void dw_script_close(dw_script *script, int fd);
/* Stops and starts reading a descriptor; what comes meanwhile stays in the pipe. */
void dw_script_set_reading(dw_script *script, int fd, bool on);
/* `woken` comes in that time; a second sleep replaces the first. Input goes on coming. */
void dw_script_sleep(dw_script *script, dw_time duration);
/* Exits with a status, when all that was written is out. */
void dw_script_exit(dw_script *script, int status);
/* Sends a signal to itself. */
void dw_script_raise(dw_script *script, int signal_number);
/* Starts a process of its own, which has its descriptors, arguments and environment, and which
 * nobody waits for. Returns it, for its state to be filled in; it starts later. */
dw_script *dw_script_fork(dw_script *script, const dw_script_class *cls, void *user);

/* Ready-made: copies 0 to 1 and exits with 0 at the end of it. */
extern const dw_script_class dw_cat_script;
/* Writes its arguments, with blanks between and a newline behind them, and exits with 0. */
extern const dw_script_class dw_echo_script;
/* Exits at once with the status in argv[1], 0 without one. */
extern const dw_script_class dw_exit_script;
/* Exits with 0 after the seconds in argv[1], a whole number; for ever without one. */
extern const dw_script_class dw_sleep_script;

DW_END_DECLS

#endif
