/* SPDX-License-Identifier: MIT */
/*
 * Child processes as a host's reactor sees them: the slots that start, signal and forget them, and
 * what becomes of them when the program or the machine ends. What runs in them is script.c's.
 */
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* What the choice "spawn" can bring. */
enum { SPAWN_FINE, SPAWN_NO_PROCESS, SPAWN_NO_MEMORY, SPAWN_NO_EXEC, SPAWN_OUTCOMES };

/* ---- Programs ---- */

typedef struct sim_program {
    struct sim_program *next;
    const char *path;
    const dw_script_class *cls;
    void *user;
} sim_program;

static const char *copy_text(dw_world *world, const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(sim_world_alloc(world, size), text, size);
}

void dw_world_add_program(dw_world *world, const char *path, const dw_script_class *cls,
                          void *user) {
    sim_program *program = sim_world_alloc(world, sizeof(*program));
    *program = (sim_program){world->programs, copy_text(world, path), cls, user};
    world->programs = program;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A name without a directory, on either side, is found in any. */
static bool names(const char *path, const char *executable) {
    bool both = strchr(path, '/') != NULL && strchr(executable, '/') != NULL;
    return strcmp(both ? path : last_part(path), both ? executable : last_part(executable)) == 0;
}

static const sim_program *find_program(const dw_world *world, const char *executable) {
    const sim_program *program = world->programs;
    while (program != NULL && !names(program->path, executable)) {
        program = program->next;
    }
    return program;
}

/* ---- Starting ---- */

static const char **copy_list(dw_world *world, const char *const *list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    const char **copy = sim_world_alloc(world, (count + 1) * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        copy[i] = copy_text(world, list[i]);
    }
    copy[count] = NULL;
    return copy;
}

static void add_fd(dw_script *script, const dw_child_fd *fd, dw_io *io) {
    sim_pipe *pipe = NULL;
    if (io != NULL) {
        pipe = sim_pipe_new(script->host, fd->kind == DW_CHILD_READS);
        pipe->holders = 1;
        io->socket = (dw_socket)pipe;
    }
    script->fds[script->fd_count++] =
        (sim_fd){.fd = fd->fd, .pipe = pipe, .open = true, .reading = true};
}

static size_t draw_spawn(dw_host *host) {
    if (!choice_active(host->world, SIM_SPAWN)) {
        return SPAWN_FINE;
    }
    return (size_t)sim_choice_draw(host->world, SIM_SPAWN, (sim_who){WHO_HOST, host}, "spawn",
                                   &host->spawns, SPAWN_OUTCOMES);
}

int sim_spawn(dw_reactor *reactor, dw_child *child, const dw_spawn *spawn) {
    dw_host *host = host_of(reactor);
    const dw_spawn_options *options = spawn->options;
    size_t outcome = draw_spawn(host);
    if (outcome == SPAWN_NO_PROCESS || outcome == SPAWN_NO_MEMORY) {
        return outcome == SPAWN_NO_PROCESS ? -EAGAIN : -ENOMEM;
    }
    const sim_program *program =
        outcome == SPAWN_NO_EXEC ? NULL : find_program(host->world, options->executable);
    dw_script *script = sim_script_new(host, program != NULL ? program->cls : NULL,
                                       program != NULL ? program->user : NULL, options->fd_count);
    script->argv = copy_list(host->world, options->argv);
    script->env = copy_list(host->world, options->env);
    for (size_t i = 0; i < options->fd_count; i++) {
        add_fd(script, &options->fds[i], spawn->pipes[i]);
    }
    script->child = child;
    script->pid = FIRST_PID + host->pids++;
    child->wire_data = script;
    child->pid = script->pid;
    return 0;
}

/* ---- The other slots ---- */

int sim_kill(dw_reactor *reactor, dw_child *child, int signal_number) {
    (void)reactor;
    dw_script *script = child->wire_data;
    if (signal_number < 0 || signal_number >= 64) {
        return -EINVAL;
    }
    if (signal_number > 0 && script->life != LIFE_OVER) {
        script->signals |= UINT64_C(1) << signal_number;
        sim_script_poke(script, PROCESS_TIME);
    }
    return 0;
}

void sim_forget(dw_reactor *reactor, dw_child *child) {
    (void)reactor;
    sim_script_forget(child->wire_data);
}

void sim_processes_poke(const sim_pipe *pipe) {
    for (dw_script *script = pipe->host->scripts; script != NULL; script = script->next) {
        for (size_t i = 0; i < script->fd_count; i++) {
            if (script->fds[i].open && script->fds[i].pipe == pipe) {
                sim_script_poke(script, PROCESS_TIME);
            }
        }
    }
}

/* ---- The ends of a host ---- */

static void power_off(dw_host *host) {
    sim_queue *queue = &host->world->queue;
    for (dw_script *script = host->scripts; script != NULL; script = script->next) {
        script->life = LIFE_OVER;
        sim_queue_remove(queue, &script->run);
        sim_queue_remove(queue, &script->sleep);
    }
    for (sim_pipe *pipe = host->pipes; pipe != NULL; pipe = pipe->next) {
        sim_queue_remove(queue, &pipe->ready);
    }
    host->scripts = NULL;
    host->pipes = NULL;
}

void sim_processes_end(dw_host *host, bool dark) {
    while (host->zombies != NULL) {
        sim_script_forget(host->zombies);
    }
    if (dark) {
        power_off(host);
        return;
    }
    for (dw_script *script = host->scripts; script != NULL; script = script->next) {
        script->child = NULL;
    }
    for (sim_pipe *pipe = host->pipes, *next; pipe != NULL; pipe = next) {
        next = pipe->next;
        if (pipe->open) {
            sim_pipe_close(pipe);
        }
    }
}

void sim_processes_wake(dw_host *host, dw_time until) {
    dw_world *world = host->world;
    for (sim_pipe *pipe = host->pipes; pipe != NULL; pipe = pipe->next) {
        sim_queue_remove(&world->queue, &pipe->ready);
        sim_pipe_poke(pipe);
    }
    for (dw_script *script = host->zombies; script != NULL; script = script->next) {
        if (script->exit.at == until) {
            sim_queue_remove(&world->queue, &script->exit);
            sim_world_schedule(world, &script->exit, world->now);
        }
    }
}
