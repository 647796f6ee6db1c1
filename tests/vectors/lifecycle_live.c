/* SPDX-License-Identifier: MIT */
/*
 * Plays on the live wire: both sides on one reactor, as in the recordings; a script that stops a
 * reactor gets one per side, each on a thread of its own.
 *
 * When is a play over? The recorder waited `settle.idle` without an event. Where nothing can be on
 * its way any more (no timer, no attempt, no child, no byte that was written and did not come) a
 * moment is enough: what one end of a loopback socket does has arrived at the other when the system
 * call returns, or a few milliseconds later on a busy machine. Bytes may take longer: a receiver
 * that has no room drops segments, and they come again after 200 ms.
 */
#include "lifecycle.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <drywire/real.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY DW_MSEC(4)
#define MOMENT     DW_MSEC(40)

/* ---- The end ---- */

/* Bytes that this side has written and not seen yet, more or less: in a script's two sides together
 * they tell whether something may still be in the system. */
static int64_t under_way(const side *s, bool *open) {
    int64_t sum = 0;
    for (size_t i = 0; i < s->conn_count; i++) {
        const conn *c = s->conns[i];
        *open = *open || !c->over;
        sum += (int64_t)c->sent_len - (int64_t)c->received;
    }
    return sum;
}

static bool undelivered(const play *p) {
    bool open = false;
    int64_t sum = 0;
    for (int i = 0; i < SIDE_COUNT; i++) {
        sum += under_way(&p->sides[i], &open);
    }
    return open && sum > 0;
}

static bool has_children(const side *s) {
    for (size_t i = 0; i < s->child_count; i++) {
        if (!s->children[i]->ended) {
            return true;
        }
    }
    return false;
}

static bool goes_on(const side *s) {
    return side_waits(s) || atomic_load(&s->threads) > 0;
}

static void look_at(side *s, dw_time now) {
    unsigned activity = atomic_load(&s->activity);
    if (activity != s->seen || goes_on(s)) {
        s->seen = activity;
        atomic_store(&s->last, now);
    }
    bool long_wait = s->p->threads > 1 || undelivered(s->p) || has_children(s) ||
                     dw_reactor_count(s->reactor).connecting > 0;
    atomic_store(&s->patience, long_wait ? (int64_t)(s->p->idle * 1e9) : MOMENT);
}

/* Quiet for long enough on all sides. */
static bool over(play *p, dw_time now) {
    int64_t last = 0, patience = 0, since = INT64_MAX;
    for (int i = 0; i < SIDE_COUNT; i++) {
        side *s = &p->sides[i];
        int64_t at = atomic_load(&s->last), wants = atomic_load(&s->patience);
        if (s->script == NULL) {
            continue;
        }
        since = p->started < since ? p->started : since;
        last = at > last ? at : last;
        patience = wants > patience && !atomic_load(&s->done) ? wants : patience;
    }
    return play_over(p) || (now - last > patience && now - since > (int64_t)(p->least * 1e9));
}

static bool shares(const side *a, const side *b) {
    return b->script != NULL && a->reactor == b->reactor;
}

static void look(void *user) {
    side *s = user;
    play *p = s->p;
    dw_time now = dw_reactor_now(s->reactor);
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (shares(s, &p->sides[i])) {
            look_at(&p->sides[i], now);
        }
    }
    if (atomic_load(&p->over) || over(p, now)) {
        atomic_store(&p->over, true);
        for (int i = 0; i < SIDE_COUNT; i++) {
            if (shares(s, &p->sides[i])) {
                side_mute(&p->sides[i]);
            }
        }
        dw_reactor_crash(s->reactor);
        return;
    }
    dw_reactor_call_later(s->reactor, &s->watch, LOOK_EVERY, look, s);
}

/* ---- Running ---- */

static bool make_reactor(side *s, bool signals) {
    s->reactor = dw_live_reactor_new(s->p->poller, &(dw_poll_options){.no_signals = !signals});
    if (s->reactor != NULL && strcmp(dw_live_reactor_poller(s->reactor), s->p->poller) != 0) {
        dw_reactor_free(s->reactor); /* another one stands in for it */
        s->reactor = NULL;
    }
    if (s->reactor == NULL) {
        side_missing(s, "no reactor \"%s\" on this system", s->p->poller);
    }
    return s->reactor != NULL;
}

/* Runs the reactor of `s`, and of the other side if it is the same. */
static void run_reactor(side *s) {
    play *p = s->p;
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (shares(s, &p->sides[i])) {
            side_prepare(&p->sides[i]);
        }
    }
    atomic_store(&s->last, dw_reactor_now(s->reactor));
    dw_reactor_call_later(s->reactor, &s->watch, LOOK_EVERY, look, s);
    int error = dw_reactor_run(s->reactor);
    if (error < 0) {
        side_trouble(s, "dw_reactor_run: %s", dw_strerror(error));
    }
    if (s->stop_asked) {
        side_returned(s);
    }
    atomic_store(&s->last, dw_reactor_now(s->reactor));
    atomic_store(&s->done, true);
}

static void *run_thread(void *user) {
    run_reactor(user);
    return NULL;
}

/* The server's ports exist before the client starts. */
static void run_two(play *p) {
    side *server = &p->sides[SIDE_SERVER], *client = &p->sides[SIDE_CLIENT];
    if (pthread_create(&server->thread, NULL, run_thread, server) != 0) {
        side_trouble(server, "no thread");
        return;
    }
    while (!atomic_load(&server->ready) && !atomic_load(&server->done)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    run_reactor(client);
    pthread_join(server->thread, NULL);
}

static bool ends_by_itself(const json_t *script) {
    return script_uses(script, "op", "stop") || script_uses(script, "op", "kill_self");
}

static void run_sides(play *p) {
    side *server = &p->sides[SIDE_SERVER], *client = &p->sides[SIDE_CLIENT];
    bool both = server->script != NULL && client->script != NULL;
    bool two = both && (ends_by_itself(server->script) || ends_by_itself(client->script));
    side *first = server->script != NULL ? server : client;
    if (!make_reactor(first, script_uses(first->script, "op", "kill_self"))) {
        return;
    }
    p->started = dw_reactor_now(first->reactor);
    p->threads = two ? 2 : 1;
    if (two && make_reactor(client, script_uses(client->script, "op", "kill_self"))) {
        run_two(p);
        return;
    }
    if (both) {
        client->reactor = server->reactor;
    }
    run_reactor(first);
}

static void free_reactors(play *p) {
    side *server = &p->sides[SIDE_SERVER], *client = &p->sides[SIDE_CLIENT];
    server->muted = client->muted = true;
    if (client->reactor != server->reactor) {
        dw_reactor_free(client->reactor);
    }
    dw_reactor_free(server->reactor);
}

/* ---- Special targets: sockets that stay open as long as the process ---- */

static int bound(int type, dw_address *out) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        return -1;
    }
    dw_address_parse(out, "127.0.0.1", ntohs(at.sin_port));
    return fd;
}

/* listen(2) with a backlog of 0 takes one connection; SYNs of further ones are dropped. */
static bool full_listener(dw_address *out) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = bound(SOCK_STREAM, out);
    if (fd < 0 || listen(fd, 0) != 0) {
        return false;
    }
    memcpy(&at.sin_addr, out->ip, 4);
    at.sin_port = htons(out->port);
    for (int i = 0; i < 3; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (client < 0) {
            return false;
        }
        (void)connect(client, (struct sockaddr *)&at, sizeof(at));
    }
    return true;
}

static int unix_socket(play *p, char path[DW_UNIX_PATH_MAX + 1], struct sockaddr_un *at) {
    play_fresh_path(p, path);
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(at->sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 ? fd : -1;
}

static bool full_unix_listener(play *p) {
    char path[DW_UNIX_PATH_MAX + 1];
    struct sockaddr_un at;
    int fd = unix_socket(p, path, &at);
    if (fd < 0 || listen(fd, 0) != 0) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (client < 0) {
            return false;
        }
        (void)connect(client, (struct sockaddr *)&at, sizeof(at));
    }
    return dw_address_unix(&p->blackhole, path) == 0;
}

static bool stale_path(play *p) {
    struct sockaddr_un at;
    int fd = unix_socket(p, p->stale, &at);
    return fd >= 0 && close(fd) == 0;
}

static bool prepare(play *p, const char *target) {
    int fd;
    if (strcmp(target, "refused") == 0) {
        return p->stream_unix ? stale_path(p) : bound(SOCK_STREAM, &p->refused) >= 0;
    }
    if (strcmp(target, "blackhole") == 0) {
        return p->stream_unix ? full_unix_listener(p) : full_listener(&p->blackhole);
    }
    if (strcmp(target, "stale") == 0) {
        return stale_path(p);
    }
    if (strcmp(target, "missing") == 0) {
        play_fresh_path(p, p->missing_path);
        return true;
    }
    if (strcmp(target, "used") == 0) {
        fd = bound(SOCK_STREAM, &p->used);
        return fd >= 0 && listen(fd, 1) == 0;
    }
    if (strcmp(target, "closed") == 0) {
        fd = bound(SOCK_DGRAM, &p->closed);
        return fd >= 0 && close(fd) == 0;
    }
    return strcmp(target, "unresolvable") == 0;
}

/* ---- A directory for UNIX sockets ---- */

static void make_directory(play *p) {
    const char *base = getenv("TMPDIR");
    base = base != NULL && strlen(base) < 40 ? base : "/tmp";
    snprintf(p->directory, sizeof(p->directory), "%s/dw-vectors-XXXXXX", base);
    if (mkdtemp(p->directory) == NULL) {
        side_trouble(&p->sides[0], "no directory for sockets in %s", base);
    }
}

static void remove_directory(const play *p) {
    char path[DW_UNIX_PATH_MAX + 256 + 1];
    DIR *directory = opendir(p->directory);
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", p->directory, entry->d_name);
        (void)unlink(path);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    (void)rmdir(p->directory);
}

static void run(play *p) {
    for (int i = 0; i < SIDE_COUNT; i++) {
        snprintf(p->sides[i].host, sizeof(p->sides[i].host), "127.0.0.1");
    }
    if (p->stream_unix) {
        make_directory(p);
    }
    if (!play_over(p) && targets_prepare(p)) {
        run_sides(p);
        free_reactors(p);
    }
    if (p->stream_unix) {
        remove_directory(p);
    }
}

static void busy(side *s, double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds};
    (void)s;
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0) {
    }
}

const backend backend_live = {.name = "live", .run = run, .busy = busy, .prepare = prepare};
