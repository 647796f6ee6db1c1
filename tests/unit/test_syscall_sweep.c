/* SPDX-License-Identifier: MIT */
/*
 * Every system call of the live wire fails once, in every way its manual page knows, at every place
 * where a conversation makes it (the first ones each, later ones in growing steps), on each poller.
 * Whatever happens: callbacks come once and in pairs, the reactor comes to rest within bounded
 * turns, and gives back every descriptor and every byte. A fault that the library should see to by
 * itself (an interrupted call) must change nothing at all.
 */
#include "sweep_play.h"

#include "faulty_calls.h"

/* A turn that finds nothing to do for so long has been waiting for nothing. */
#define PATIENCE  DW_MSEC(50)
#define IDLES_MAX 40 /* so many of them are a hang */

enum { TURNS_MAX = 20000, QUIET_TURNS = 3, EVERY_ONE_UP_TO = 8, NTH_MAX = 1000 };

/* ---- Memory ---- */

static long blocks;

static void *counted_alloc(void *user, size_t size, const char *where) {
    (void)user, (void)where;
    blocks++;
    return malloc(size);
}

static void *counted_resize(void *user, void *block, size_t size, const char *where) {
    (void)user, (void)where;
    blocks += block == NULL;
    return realloc(block, size);
}

static void counted_release(void *user, void *block) {
    (void)user;
    blocks -= block != NULL;
    free(block);
}

static const dw_allocator counting = {counted_alloc, counted_resize, counted_release, NULL};

/* ---- One play ---- */

static char about[200]; /* which play, for messages */

#define EXPECT(condition) ck_assert_msg(condition, "%s: " #condition, about)

static void drop_line(void *user, const char *line) {
    (void)user, (void)line;
}

static void stage_init(stage *at, actor *who, play *p) {
    dw_client_factory_init(&at->factory, &stage_class);
    at->actor = who;
    who->play = p;
}

/* Turns until *over says so, and a few more. A turn makes its calls before it waits: so every other
 * one only looks. The wait itself may be what fails. */
static void turn_until_over(play *p, bool (*over)(const play *p)) {
    int idles = 0, quiet = 0;
    for (int turn = 0; quiet < QUIET_TURNS; turn++) {
        bool done = over(p);
        dw_time before = dw_reactor_now(p->reactor);
        int error = dw_reactor_iterate(p->reactor, done || turn % 2 == 0 ? 0 : PATIENCE);
        EXPECT(error == 0 || atomic_load(&faulty.fired));
        quiet = done ? quiet + 1 : 0;
        idles += !done && dw_reactor_now(p->reactor) - before >= PATIENCE;
        EXPECT(turn < TURNS_MAX);
        EXPECT(idles < IDLES_MAX);
    }
}

static bool nothing_left(const play *p) {
    dw_reactor_counts left = dw_reactor_count(p->reactor);
    return left.connections + left.connecting + left.ports + left.delayed_calls == 0;
}

/* The callbacks that come in pairs. */
static void judge_pairs(const play *p) {
    EXPECT(p->at_client.connecting == p->attempts);
    EXPECT(p->at_client.failed + p->at_client.lost == p->attempts);
    EXPECT(p->client.made == p->client.lost);
    EXPECT(p->client.made <= p->at_client.lost);
    EXPECT(p->server.made == p->server.lost);
    EXPECT(p->at_client.started == p->at_client.stopped);
    EXPECT(p->at_server.started == p->at_server.stopped);
    EXPECT(p->ping.started == p->ping.stopped && p->pong.started == p->pong.stopped);
    EXPECT(p->child.made == p->child.ended);
    EXPECT(dw_reactor_watched(p->reactor) == 0);
}

static void play_on(play *p, const situation *of) {
    p->watched_fds[0] = p->watched_fds[1] = -1;
    stage_init(&p->at_server, &p->server, p);
    stage_init(&p->at_client, &p->client, p);
    snprintf(p->path, sizeof(p->path), "sweep-%d.socket", (int)getpid());
    dw_reactor_set_log(p->reactor, drop_line, NULL);
    faulty.wake_fd = dw_live_of(p->reactor)->wake_write;
    of->begin(p);
    turn_until_over(p, play_over);
    stop_port(p);
    turn_until_over(p, nothing_left);
    judge_pairs(p);
    for (int i = 0; i < 2; i++) {
        if (p->watched_fds[i] >= 0) {
            close(p->watched_fds[i]);
        }
    }
}

/* Returns whether the n-th call was reached. Without a fault (NULL), and with one that nobody
 * should notice, all must go well. */
static bool play_with(const situation *of, const fault *how, int n) {
    static play p;
    memset(&p, 0, sizeof(p));
    memset(&faulty, 0, sizeof(faulty));
    faulty.wake_fd = -1;
    snprintf(about, sizeof(about), "%s, %s", poller, of->name);
    if (how != NULL) {
        faulty.call = how->call;
        faulty.error = how->error;
        faulty.nth = n;
        snprintf(about, sizeof(about), "%s, %s, %s number %d fails with %s", poller, of->name,
                 how->call_name, n, how->error_name);
    }
    struct dw_syscalls table = faulty_table();
    int fds = open_descriptors();
    blocks = 0;
    p.reactor = dw_live_reactor_on(poller, &(dw_poll_options){.allocator = &counting}, &table);
    EXPECT(p.reactor != NULL || atomic_load(&faulty.fired));
    if (p.reactor != NULL) {
        play_on(&p, of);
        dw_reactor_free(p.reactor);
    }
    EXPECT(blocks == 0);
    EXPECT(open_descriptors() == fds);
    bool fired = atomic_load(&faulty.fired);
    /* No socket's file is left behind, unless it could not be made sure that it is ours. */
    EXPECT(unlink(p.path) != 0 || (fired && how->call == CALL_lstat));
    if (!fired || (how->kind & FAULT_UNSEEN) != 0) {
        EXPECT(of->well(&p));
    }
    return fired;
}

static int next_place(int n) {
    return n < EVERY_ONE_UP_TO ? n + 1 : n + n / 4;
}

static void sweep_fault(const situation *of, const fault *how) {
    for (int n = 1; play_with(of, how, n); n = next_place(n)) {
        EXPECT(n < NTH_MAX);
    }
}

/* Which calls the situation makes when nothing fails. */
static void calls_of(const situation *of, bool made[CALL_COUNT]) {
    (void)play_with(of, NULL, 0);
    for (int i = 0; i < CALL_COUNT; i++) {
        made[i] = atomic_load(&faulty.seen[i]) > 0;
    }
}

START_TEST(each_failing_call_ends_in_the_right_callbacks_and_leaves_nothing) {
    const situation *of = &situations[_i];
    bool level = strcmp(poller, "poll") == 0;
    bool made[CALL_COUNT];
    calls_of(of, made);
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (made[faults[i].call] && (level || (faults[i].kind & FAULT_LEVEL) == 0)) {
            sweep_fault(of, &faults[i]);
        }
    }
}
END_TEST

static Suite *suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *sweep = tcase_create("sweep");
    tcase_set_timeout(sweep, 60);
    tcase_add_loop_test(sweep, each_failing_call_ends_in_the_right_callbacks_and_leaves_nothing, 0,
                        SITUATION_COUNT);
    suite_add_tcase(suite, sweep);
    return suite;
}

int main(void) {
    return run_on_each_poller("system calls that fail", suite);
}
