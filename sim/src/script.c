/* SPDX-License-Identifier: MIT */
/*
 * Scripts: what stands in for a program on the dry wire. A script is told of its start, its input,
 * signals and the end of its sleep, one thing per event; what it does in return happens when its
 * callback has returned.
 *
 * A write for which the pipe has no room holds the whole process up, as write(2) does: until it is
 * done the script hears of signals only.
 */
#include "process.h"
#include "trace.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- Life ---- */

dw_script *sim_script_new(dw_host *host, const dw_script_class *cls, void *user, size_t fd_count) {
    dw_world *world = host->world;
    dw_script *script = sim_world_alloc(world, sizeof(*script));
    *script = (dw_script){.run = {.type = EV_SCRIPT},
                          .sleep = {.type = EV_SCRIPT_SLEEP},
                          .exit = {.type = EV_SCRIPT_EXIT},
                          .host = host,
                          .cls = cls,
                          .user = user};
    size_t size = cls != NULL ? cls->state_size : 0;
    script->state = memset(sim_world_alloc(world, size), 0, size);
    script->fds = sim_world_alloc(world, (fd_count + 1) * sizeof(sim_fd));
    dw_script **last = &host->scripts;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = script;
    sim_script_poke(script, PROCESS_START_TIME);
    return script;
}

void sim_script_poke(dw_script *script, dw_time delay) {
    dw_world *world = script->host->world;
    if (script->run.place == 0 && script->life != LIFE_OVER) {
        sim_world_schedule(world, &script->run, world->now + delay);
    }
}

static const char *name_of(const dw_script *script) {
    return script->cls != NULL ? script->cls->name : "a program that could not be run";
}

static void trace(const dw_script *script, const char *what, int number) {
    dw_host *host = script->host;
    world_mark(host->world, 0x3010 + (uint64_t)(unsigned)number);
    if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "process %d, %s: %s %d", (int)script->pid,
                      name_of(script), what, number);
    }
}

/* ---- Draws ---- */

static uint64_t draw(dw_script *script, sim_kind kind, sim_draws *draws, uint64_t options) {
    dw_host *host = script->host;
    if (!choice_active(host->world, kind)) {
        return 0;
    }
    return sim_choice_draw(host->world, kind, (sim_who){WHO_HOST, host}, sim_kind_name(kind), draws,
                           options);
}

/* ---- Descriptors ---- */

static sim_fd *find_fd(const dw_script *script, int fd) {
    for (size_t i = 0; i < script->fd_count; i++) {
        if (script->fds[i].fd == fd && script->fds[i].open) {
            return &script->fds[i];
        }
    }
    return NULL;
}

static void close_fd(dw_script *script, sim_fd *fd) {
    if (!fd->open) {
        return;
    }
    fd->open = false;
    sim_bytes_drop(script->host->world, &fd->out);
    if (fd->pipe != NULL) {
        sim_pipe_release(fd->pipe);
    }
}

/* Writes what waits. False: some of it still does. */
static bool flush_fd(dw_script *script, sim_fd *fd) {
    dw_world *world = script->host->world;
    uint8_t part[1024];
    while (fd->out.len > 0) {
        if (!fd->pipe->open) {
            sim_bytes_drop(world, &fd->out); /* EPIPE, should the script live on */
            script->signals |= UINT64_C(1) << SIGPIPE;
            break;
        }
        size_t room = pipe_room(fd->pipe);
        if (room == 0) {
            return false;
        }
        size_t n = sim_bytes_take(world, &fd->out, part, room < sizeof(part) ? room : sizeof(part));
        sim_bytes_add(world, &fd->pipe->bytes, part, n);
        sim_pipe_poke(fd->pipe);
    }
    if (fd->closing) {
        close_fd(script, fd);
    }
    return true;
}

static bool flush_all(dw_script *script) {
    bool all = true;
    for (size_t i = 0; i < script->fd_count; i++) {
        if (script->fds[i].open && !flush_fd(script, &script->fds[i])) {
            all = false;
        }
    }
    return all;
}

/* ---- The end ---- */

static void unlink_script(dw_script **list, dw_script *script) {
    for (dw_script **at = list; *at != NULL; at = &(*at)->next) {
        if (*at == script) {
            *at = script->next;
            return;
        }
    }
}

void sim_script_forget(dw_script *script) {
    script->child = NULL;
    sim_queue_remove(&script->host->world->queue, &script->exit);
    unlink_script(&script->host->zombies, script);
}

static void finish(dw_script *script) {
    dw_host *host = script->host;
    dw_world *world = host->world;
    script->life = LIFE_OVER;
    sim_queue_remove(&world->queue, &script->run);
    sim_queue_remove(&world->queue, &script->sleep);
    for (size_t i = script->fd_count; i-- > 0;) {
        close_fd(script, &script->fds[i]);
    }
    unlink_script(&host->scripts, script);
    trace(script, "ends with wait status", script->status);
    if (script->child != NULL) {
        script->next = host->zombies;
        host->zombies = script;
        dw_time late = (dw_time)draw(script, SIM_EXIT, &host->exits, 0);
        sim_world_schedule(world, &script->exit, time_add(world->now + PROCESS_TIME, late));
    }
}

void sim_script_exit_event(dw_script *script) {
    dw_host *host = script->host;
    dw_child *child = script->child;
    if (host->stalled_until > host->world->now) {
        sim_world_schedule(host->world, &script->exit, host->stalled_until);
        return;
    }
    sim_script_forget(script);
    sim_host_enter(host);
    dw_child_exited(&host->reactor, child, script->status);
    sim_host_leave(host);
}

/* ---- Signals ---- */

enum { STATUS_CORE = 0x80 };

static bool is_ignored(int number) {
    return number == SIGCHLD || number == SIGCONT || number == SIGURG;
}

static bool is_stop(int number) {
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

static void take_signal(dw_script *script, int number) {
    const dw_script_class *cls = script->cls;
    bool catchable = number != SIGKILL && number != SIGSTOP && script->life == LIFE_RUNNING;
    trace(script, "signal", number);
    if (number == SIGCONT) {
        script->stopped = false;
    }
    if (catchable && cls->signalled != NULL && cls->signalled(script, number)) {
        return;
    }
    if (is_stop(number)) {
        script->stopped = true;
    } else if (!is_ignored(number)) {
        script->status = number;
        finish(script);
    }
}

/* A stopped process takes KILL and CONT only (signal(7)). */
static void take_signals(dw_script *script) {
    const uint64_t always = UINT64_C(1) << SIGKILL | UINT64_C(1) << SIGCONT;
    for (;;) {
        uint64_t now = script->stopped ? script->signals & always : script->signals;
        if (now == 0 || script->life == LIFE_OVER) {
            return;
        }
        int number = 1;
        while ((now >> number & 1) == 0) {
            number++;
        }
        script->signals &= ~(UINT64_C(1) << number);
        take_signal(script, number);
    }
}

/* ---- Callbacks ---- */

static void cannot_be_run(dw_script *script) {
    char line[200];
    snprintf(line, sizeof(line), "%s: cannot be run\n", script->argv[0]);
    script->life = LIFE_RUNNING;
    dw_script_write(script, 2, line, strlen(line));
    dw_script_exit(script, 1);
}

/* By choice the process closes its stdin unread: whoever writes to it finds out, and to the script
 * it looks like the end of its input. Returns whether it did. */
static bool closes_stdin(dw_script *script, sim_fd *fd) {
    if (fd == NULL || fd->fd != 0 || fd->pipe == NULL || !fd->open ||
        script->cls->received == NULL || draw(script, SIM_STDIN, &script->host->stdins, 2) == 0) {
        return false;
    }
    close_fd(script, fd);
    script->cls->received(script, 0, NULL, 0);
    return true;
}

static void begin(dw_script *script) {
    if (script->cls == NULL) {
        cannot_be_run(script);
        return;
    }
    script->life = LIFE_RUNNING;
    trace(script, "starts, descriptors:", (int)script->fd_count);
    if (script->cls->start != NULL) {
        script->cls->start(script);
    }
    if (script->life == LIFE_RUNNING) {
        (void)closes_stdin(script, find_fd(script, 0));
    }
}

static bool has_input(const dw_script *script, const sim_fd *fd) {
    if (script->cls->received == NULL || !fd->open || !fd->reading || fd->ended ||
        (fd->pipe != NULL && !fd->pipe->to_child)) {
        return false;
    }
    return fd->pipe == NULL || fd->pipe->bytes.len > 0 || !fd->pipe->open;
}

static sim_fd *next_input(const dw_script *script) {
    for (size_t i = 0; i < script->fd_count; i++) {
        if (has_input(script, &script->fds[i])) {
            return &script->fds[i];
        }
    }
    return NULL;
}

/* What is inherited from the program has nothing to read. */
static void hand_over(dw_script *script, sim_fd *fd) {
    dw_world *world = script->host->world;
    if (closes_stdin(script, fd)) {
        return;
    }
    size_t n = 0;
    if (fd->pipe != NULL) {
        n = sim_bytes_take(world, &fd->pipe->bytes, world->scratch, DW_RECV_MAX);
        sim_pipe_poke(fd->pipe);
    }
    fd->ended = n == 0;
    script->cls->received(script, fd->fd, world->scratch, n);
}

/* One thing at a time. Returns whether there was one. */
static bool tell(dw_script *script) {
    sim_fd *input;
    if (script->life == LIFE_STARTING) {
        begin(script);
    } else if (script->woken) {
        script->woken = false;
        if (script->cls->woken != NULL) {
            script->cls->woken(script);
        }
    } else if ((input = next_input(script)) != NULL) {
        hand_over(script, input);
    } else {
        return false;
    }
    return true;
}

/* What follows from a callback. Returns whether the script can be told more. */
static bool settle(dw_script *script) {
    bool written;
    take_signals(script);
    if (script->life == LIFE_OVER || script->stopped) {
        return false;
    }
    written = flush_all(script);
    take_signals(script); /* SIGPIPE */
    if (script->life == LIFE_EXITING && written) {
        finish(script);
    }
    return written && script->life < LIFE_EXITING && !script->stopped;
}

void sim_script_run(dw_script *script) {
    if (script->child != NULL && draw(script, SIM_KILLED, &script->host->kills, 2) != 0) {
        script->signals |= UINT64_C(1) << SIGKILL;
    }
    if (settle(script) && tell(script) && settle(script)) {
        sim_script_poke(script, 0);
    }
}

void sim_script_sleep_over(dw_script *script) {
    script->woken = true;
    sim_script_poke(script, 0);
}

/* ---- What a script can do ---- */

void *dw_script_state(dw_script *script) {
    return script->state;
}

void *dw_script_user(const dw_script *script) {
    return script->user;
}

const char *const *dw_script_argv(const dw_script *script) {
    return script->argv;
}

const char *dw_script_env(const dw_script *script, const char *name) {
    size_t len = strlen(name);
    for (const char **entry = script->env; *entry != NULL; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

dw_world *dw_script_world(const dw_script *script) {
    return script->host->world;
}

bool dw_script_write(dw_script *script, int fd, const void *data, size_t len) {
    sim_fd *to = find_fd(script, fd);
    if (to == NULL || to->closing || script->life == LIFE_OVER ||
        (to->pipe != NULL && to->pipe->to_child)) {
        return false;
    }
    if (to->pipe != NULL) {
        sim_bytes_add(script->host->world, &to->out, data, len);
    } else if (script->host->world->trace != NULL) {
        char text[300];
        sim_trace_add(script->host->world, ' ', script->host->name, "process %d, %s: prints %s",
                      (int)script->pid, name_of(script),
                      sim_trace_bytes(text, sizeof(text), data, len));
    }
    return true;
}

void dw_script_close(dw_script *script, int fd) {
    sim_fd *to = find_fd(script, fd);
    if (to != NULL && to->out.len > 0) {
        to->closing = true;
    } else if (to != NULL) {
        close_fd(script, to);
    }
}

void dw_script_set_reading(dw_script *script, int fd, bool on) {
    sim_fd *from = find_fd(script, fd);
    if (from != NULL) {
        from->reading = on;
        sim_script_poke(script, 0);
    }
}

void dw_script_sleep(dw_script *script, dw_time duration) {
    dw_world *world = script->host->world;
    if (script->life == LIFE_OVER) {
        return;
    }
    sim_queue_remove(&world->queue, &script->sleep);
    sim_world_schedule(world, &script->sleep, time_add(world->now, duration));
}

void dw_script_exit(dw_script *script, int status) {
    if (script->life < LIFE_EXITING) {
        script->life = LIFE_EXITING;
        script->status = (status & 0xff) << 8;
        sim_script_poke(script, 0);
    }
}

void dw_script_raise(dw_script *script, int signal_number) {
    if (signal_number > 0 && signal_number < 64) {
        script->signals |= UINT64_C(1) << signal_number;
        sim_script_poke(script, 0);
    }
}

dw_script *dw_script_fork(dw_script *script, const dw_script_class *cls, void *user) {
    dw_script *child = sim_script_new(script->host, cls, user, script->fd_count);
    child->argv = script->argv;
    child->env = script->env;
    child->pid = FIRST_PID + script->host->pids++;
    for (size_t i = 0; i < script->fd_count; i++) {
        const sim_fd *fd = &script->fds[i];
        if (fd->open) {
            child->fds[child->fd_count++] =
                (sim_fd){.fd = fd->fd, .pipe = fd->pipe, .open = true, .reading = true};
        }
        if (fd->open && fd->pipe != NULL) {
            fd->pipe->holders++;
        }
    }
    return child;
}
