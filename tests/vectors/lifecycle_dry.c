/* SPDX-License-Identifier: MIT */
/*
 * Plays on the dry wire: a host for each side; one host for both where they share a file system
 * (UNIX sockets). Calm: no choice deviates.
 *
 * A play is over when for `settle.idle` of virtual time no event came and no timer of a script is
 * pending, as in the recordings, or when nothing is scheduled at all.
 */
#include "lifecycle.h"

#include <drywire/sim.h>
#include <run.h>
#include <stdio.h>
#include <unistd.h>

/* Virtual time after which a play is given up. */
#define LIMIT DW_HOUR(1)

enum { USED_PORT = 4321, CLOSED_PORT = 9 };

static play *playing;

/* ---- Special targets ---- */

/* A machine that is dark never answers. */
static void add_dark_host(play *p) {
    dw_host *dark = dw_world_add_host(p->world, "dark", NULL, NULL);
    p->blackhole = dw_host_address(dark);
    p->blackhole.port = 9;
    p->hosts++;
    dw_host_crash(dark);
}

static void leave_file(play *p) {
    snprintf(p->stale, sizeof(p->stale), "%s/stale", p->directory);
    p->leaves_file = true;
}

/* Ports and files are the hosts', who come later. */
static bool prepare(play *p, const char *target) {
    if (strcmp(target, "blackhole") == 0 && !p->stream_unix) {
        add_dark_host(p);
        return true;
    }
    if (strcmp(target, "stale") == 0 || (p->stream_unix && strcmp(target, "refused") == 0)) {
        leave_file(p);
        return true;
    }
    if (strcmp(target, "missing") == 0) {
        snprintf(p->missing_path, sizeof(p->missing_path), "%s/missing", p->directory);
        return true;
    }
    return strcmp(target, "blackhole") != 0;
}

/* ---- Hosts ---- */

static dw_protocol *build_nothing(dw_factory *unused, const dw_address *peer) {
    (void)unused;
    (void)peer;
    return NULL;
}

static const dw_factory_class nobody = {.name = "nobody", .build_protocol = build_nothing};

/* An address in use, on the host that wants to bind to it. */
static void occupy(side *s) {
    static dw_factory nobodys;
    dw_factory_init(&nobodys, &nobody);
    dw_reactor_listen_tcp(s->reactor, USED_PORT, &nobodys, 0, s->host, NULL);
    dw_address_parse(&s->p->used, s->host, USED_PORT);
}

/* A program that is killed leaves the file of its UNIX socket behind. */
static void *boot_and_leave_file(dw_reactor *reactor, side *s) {
    static dw_factory nobodys;
    dw_factory_init(&nobodys, &nobody);
    int result = dw_reactor_listen_unix(reactor, s->p->stale, &nobodys, 0, 0, NULL);
    if (result < 0) {
        side_result(&(context){.s = s}, NULL, result);
    }
    return s;
}

static void *boot(dw_reactor *reactor, void *user) {
    side *s = user;
    play *p = s->p;
    if (p->leaves_file) {
        return boot_and_leave_file(reactor, s);
    }
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *one = &p->sides[i];
        if (one->machine == s->machine && one->script != NULL) {
            one->reactor = reactor;
            if (script_uses(one->script, "bind", "used")) {
                occupy(one);
            }
            side_prepare(one);
        }
    }
    return s;
}

/* machine: an address that the sides of one host have in common, until it is the host itself. */
static void add_host(play *p, side *s, const char *name) {
    snprintf(s->host, sizeof(s->host), "10.0.0.%u", ++p->hosts); /* in order of adding */
    s->machine = s->host;
    if (p->stream_unix) {
        for (int i = 0; i < SIDE_COUNT; i++) {
            p->sides[i].machine = s->host;
            memcpy(p->sides[i].host, s->host, sizeof(s->host));
        }
    }
    if (p->refused.port == 0) {
        dw_address_parse(&p->refused, s->host, 1); /* ports where nobody listens */
        dw_address_parse(&p->closed, s->host, CLOSED_PORT);
    }
    dw_host *host = dw_world_add_host(p->world, name, boot, s);
    if (p->leaves_file) {
        dw_host_kill(host);
        p->leaves_file = false;
        dw_host_restart(host);
    }
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *one = &p->sides[i];
        if (one->machine == s->host) {
            one->machine = host;
            if (one->busy_until > dw_world_now(p->world)) {
                dw_host_stall(host, one->busy_until - dw_world_now(p->world));
            }
        }
    }
}

static void add_hosts(play *p) {
    static const char *const names[] = {[SIDE_SERVER] = "server", [SIDE_CLIENT] = "client"};
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *s = &p->sides[i];
        if (s->script != NULL && s->machine == NULL) {
            add_host(p, s, names[i]);
        }
    }
}

/* ---- Running ---- */

static unsigned activity(const play *p) {
    return atomic_load(&p->sides[SIDE_SERVER].activity) +
           atomic_load(&p->sides[SIDE_CLIENT].activity);
}

static bool down(const side *s) {
    return s->script != NULL && s->machine != NULL && !dw_host_is_up(s->machine);
}

static bool moved(void *user) {
    play *p = user;
    bool returned = false;
    for (int i = 0; i < SIDE_COUNT; i++) {
        returned = returned || (down(&p->sides[i]) && !p->sides[i].returned);
    }
    return returned || activity(p) != p->seen || play_over(p);
}

static void note_returns(play *p) {
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (down(&p->sides[i])) {
            side_returned(&p->sides[i]);
        }
    }
}

static bool waits(const play *p) {
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (p->sides[i].script != NULL && !down(&p->sides[i]) && side_waits(&p->sides[i])) {
            return true;
        }
    }
    return false;
}

static void run_until_quiet(play *p) {
    dw_time idle = (dw_time)(p->idle * 1e9), least = (dw_time)(p->least * 1e9);
    bool busy = true;
    while (busy && !play_over(p) && !dw_world_failed(p->world) && dw_world_now(p->world) < LIMIT) {
        p->seen = activity(p);
        bool active = dw_world_run_until(p->world, moved, p, idle);
        note_returns(p);
        busy = active || waits(p) || dw_world_now(p->world) < least;
    }
}

static void scenario(dw_world *world) {
    play *p = playing;
    p->world = world;
    shell_install(p);
    if (targets_prepare(p)) {
        add_hosts(p);
        run_until_quiet(p);
    }
    for (int i = 0; i < SIDE_COUNT; i++) {
        side_mute(&p->sides[i]);
    }
}

/* One that is no shell's, and is there on a real machine: one that is not there is neither here. */
static bool uses_other_program(const json_t *value) {
    static const char *const known[] = {"sh", "cat", "echo"};
    const char *path = json_string_value(json_array_get(json_object_get(value, "argv"), 0));
    const char *key;
    json_t *inner;
    size_t at;
    if (path != NULL) {
        const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (strcmp(known[i], name) == 0) {
                return false;
            }
        }
        return strchr(path, '/') == NULL || access(path, X_OK) == 0;
    }
    json_array_foreach((json_t *)(uintptr_t)value, at, inner) {
        if (uses_other_program(inner)) {
            return true;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, inner) {
        if (uses_other_program(inner)) {
            return true;
        }
    }
    return false;
}

static bool impossible(play *p) {
    const json_t *script = json_object_get(p->record, "script");
    bool both = p->sides[SIDE_SERVER].script != NULL && p->sides[SIDE_CLIENT].script != NULL;
    if (p->stream_unix && both && script_uses(script, "op", "stop")) {
        side_missing(&p->sides[0], "two programs on one host, one of which ends");
    }
    if (uses_other_program(script)) {
        side_missing(&p->sides[0], "a child whose program no script stands for on the dry wire");
    }
    return play_over(p);
}

static void run(play *p) {
    dw_scenario one = {.name = "situation", .run = scenario, .leaks_ok = true};
    sim_source source = {.kind = SIM_CALM};
    sim_run_options options = {0};
    sim_outcome outcome = {0};
    sim_runner *runner = sim_runner_new();
    playing = p;
    snprintf(p->directory, sizeof(p->directory), "/run");
    if (runner == NULL || impossible(p)) {
        return;
    }
    sim_run(runner, &one, &source, &options, &outcome);
    if (outcome.failed) {
        side_trouble(&p->sides[0], "the world found: %s: %s", outcome.oracle, outcome.message);
    }
    sim_runner_free(runner);
}

static void busy(side *s, double seconds) {
    dw_time now = dw_reactor_now(s->reactor);
    dw_time from = s->busy_until > now ? s->busy_until : now;
    s->busy_until = from + (dw_time)(seconds * 1e9);
    if (s->machine != s->host) { /* else its boot is not over yet, see add_host */
        dw_host_stall(s->machine, s->busy_until - now);
    }
}

const backend backend_dry = {
    .name = "sim", .dry = true, .run = run, .busy = busy, .prepare = prepare};
