/* SPDX-License-Identifier: MIT */
/*
 * What delayed calls cost, ours beside libev's, libuv's and libevent's where those are installed:
 *
 *     timers [CALLS [ROUNDS]]
 *
 * CALLS (a million) with random delays are scheduled, moved, cancelled, scheduled again and run;
 * then as many without a delay; then a tenth of them are the time-outs of connections, which as
 * many messages as CALLS move at random, one in ten of them closing its connection and opening
 * another, and the loop has a turn after each 64. ROUNDS (3) take turns among the libraries. Prints
 * the median of each, in ns per call or message.
 *
 * Each library's own clock and loop are used, with the same random numbers in the same order; what
 * is due has been due when the loop is let run. Calls are scheduled, moved and cancelled inside a
 * callback of the loop, as programs do. (Ours looks at the clock anew in each callback and at every
 * 64th call in it, the others once a turn.) All memory has been touched: each round begins with one
 * that is not measured.
 */
#include "drywire/drywire.h"
#include "drywire/real.h"
#include "measure.h"

#include <string.h>
#include <unistd.h>

#ifdef DRYWIRE_BENCH_libev
#include <ev.h>
#endif
#ifdef DRYWIRE_BENCH_libuv
#include <uv.h>
#endif
#ifdef DRYWIRE_BENCH_libevent
#include <event2/event.h>
#endif

enum { SCHEDULE, RESET, CANCEL, RUN, NOW, MESSAGES, STEPS };

/* The time-outs of connections. */
enum { CONNECTIONS_SHARE = 10, MESSAGES_A_TURN = 64, CLOSES_SHARE = 10 };
#define TIMEOUT_US 60000000u

enum { ROUNDS_MAX = 99 };

static size_t calls, fired;
static uint32_t *delays; /* in microseconds, below a tenth of a second */

#define LATER_US 100000000u /* what is only moved and cancelled is this much later, */
#define SOON_US  700000u    /* what is run this much */

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t random_next(uint64_t *state) {
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* Memory that is there already: the first touch of a page is the kernel's work. */
static void *touched(size_t size) {
    void *memory = malloc(calls * size);
    if (memory == NULL) {
        abort();
    }
    memset(memory, 1, calls * size);
    memset(memory, 0, calls * size);
    return memory;
}

struct library {
    const char *name;
    void (*open)(void);
    void (*close)(void);
    void (*arm)(size_t i, uint32_t us);
    void (*move)(size_t i, uint32_t us);
    void (*cancel)(size_t i);
    void (*turn)(void);               /* runs what is due */
    void (*inside)(void (*fn)(void)); /* runs it in a callback of the loop */
};

static void (*inside_fn)(void);

/* ---- Drywire ---- */

static dw_reactor *reactor;
static dw_delayed_call *dw_calls;

static void dw_fired(void *user) {
    (void)user;
    fired++;
}

static void drywire_open(void) {
    reactor = dw_live_reactor_new(NULL, &(dw_poll_options){.no_signals = true});
    dw_calls = touched(sizeof(*dw_calls));
}

static void drywire_close(void) {
    dw_reactor_free(reactor);
    free(dw_calls);
}

static void drywire_arm(size_t i, uint32_t us) {
    dw_reactor_call_later(reactor, &dw_calls[i], DW_USEC(us), dw_fired, NULL);
}

static void drywire_move(size_t i, uint32_t us) {
    dw_delayed_call_reset(&dw_calls[i], DW_USEC(us));
}

static void drywire_cancel(size_t i) {
    dw_delayed_call_cancel(&dw_calls[i]);
}

static void drywire_turn(void) {
    dw_reactor_iterate(reactor, 0);
}

static void drywire_run_inside(void *user) {
    (void)user;
    inside_fn();
}

static void drywire_inside(void (*fn)(void)) {
    dw_delayed_call call = {0};
    inside_fn = fn;
    dw_reactor_call_later(reactor, &call, 0, drywire_run_inside, NULL);
    dw_reactor_iterate(reactor, 0);
}

/* ---- libev ---- */

#ifdef DRYWIRE_BENCH_libev
static struct ev_loop *ev;
static ev_timer *ev_calls;

static void ev_fired(struct ev_loop *loop, ev_timer *timer, int events) {
    (void)loop;
    (void)timer;
    (void)events;
    fired++;
}

static void libev_open(void) {
    ev = ev_loop_new(EVBACKEND_EPOLL);
    ev_calls = touched(sizeof(*ev_calls));
}

static void libev_close(void) {
    ev_loop_destroy(ev);
    free(ev_calls);
}

static void libev_arm(size_t i, uint32_t us) {
    ev_timer_init(&ev_calls[i], ev_fired, us / 1e6, 0.);
    ev_timer_start(ev, &ev_calls[i]);
}

static void libev_move(size_t i, uint32_t us) {
    ev_calls[i].repeat = us / 1e6;
    ev_timer_again(ev, &ev_calls[i]);
}

static void libev_cancel(size_t i) {
    ev_timer_stop(ev, &ev_calls[i]);
}

static void libev_turn(void) {
    ev_run(ev, EVRUN_NOWAIT);
}

static void libev_run_inside(struct ev_loop *loop, ev_prepare *prepare, int events) {
    (void)events;
    ev_prepare_stop(loop, prepare);
    inside_fn();
}

static void libev_inside(void (*fn)(void)) {
    ev_prepare prepare;
    ev_prepare_init(&prepare, libev_run_inside);
    inside_fn = fn;
    ev_prepare_start(ev, &prepare);
    ev_run(ev, EVRUN_NOWAIT);
}
#endif

/* ---- libuv ---- */

#ifdef DRYWIRE_BENCH_libuv
static uv_loop_t uv;
static uv_timer_t *uv_calls;
static uv_prepare_t uv_step;

static void uv_fired(uv_timer_t *timer) {
    (void)timer;
    fired++;
}

static void libuv_open(void) {
    uv_loop_init(&uv);
    uv_prepare_init(&uv, &uv_step);
    uv_calls = touched(sizeof(*uv_calls));
    for (size_t i = 0; i < calls; i++) {
        uv_timer_init(&uv, &uv_calls[i]);
    }
}

static void libuv_close(void) {
    uv_close((uv_handle_t *)&uv_step, NULL);
    for (size_t i = 0; i < calls; i++) {
        uv_close((uv_handle_t *)&uv_calls[i], NULL);
    }
    uv_run(&uv, UV_RUN_DEFAULT);
    uv_loop_close(&uv);
    free(uv_calls);
}

static void libuv_arm(size_t i, uint32_t us) {
    uv_timer_start(&uv_calls[i], uv_fired, us / 1000, 0);
}

static void libuv_cancel(size_t i) {
    uv_timer_stop(&uv_calls[i]);
}

static void libuv_turn(void) {
    uv_run(&uv, UV_RUN_NOWAIT);
}

static void libuv_run_inside(uv_prepare_t *prepare) {
    uv_prepare_stop(prepare);
    inside_fn();
}

static void libuv_inside(void (*fn)(void)) {
    inside_fn = fn;
    uv_prepare_start(&uv_step, libuv_run_inside);
    uv_run(&uv, UV_RUN_NOWAIT);
}
#endif

/* ---- libevent ---- */

#ifdef DRYWIRE_BENCH_libevent
static struct event_base *base;
static struct event **event_calls;

static void event_fired(evutil_socket_t fd, short events, void *user) {
    (void)fd;
    (void)events;
    (void)user;
    fired++;
}

static void libevent_open(void) {
    base = event_base_new();
    event_calls = touched(sizeof(struct event *));
    for (size_t i = 0; i < calls; i++) {
        event_calls[i] = evtimer_new(base, event_fired, NULL);
    }
}

static void libevent_close(void) {
    for (size_t i = 0; i < calls; i++) {
        event_free(event_calls[i]);
    }
    event_base_free(base);
    free(event_calls);
}

static void libevent_arm(size_t i, uint32_t us) {
    struct timeval delay = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    evtimer_add(event_calls[i], &delay);
}

static void libevent_cancel(size_t i) {
    evtimer_del(event_calls[i]);
}

static void libevent_turn(void) {
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void libevent_run_inside(evutil_socket_t fd, short events, void *user) {
    (void)fd;
    (void)events;
    (void)user;
    inside_fn();
}

static void libevent_inside(void (*fn)(void)) {
    struct event *step = event_new(base, -1, 0, libevent_run_inside, NULL);
    inside_fn = fn;
    event_active(step, EV_TIMEOUT, 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_free(step);
}
#endif

static const struct library libraries[] = {
    {"drywire", drywire_open, drywire_close, drywire_arm, drywire_move, drywire_cancel,
     drywire_turn, drywire_inside},
#ifdef DRYWIRE_BENCH_libev
    {"libev", libev_open, libev_close, libev_arm, libev_move, libev_cancel, libev_turn,
     libev_inside},
#endif
#ifdef DRYWIRE_BENCH_libuv
    {"libuv", libuv_open, libuv_close, libuv_arm, libuv_arm, libuv_cancel, libuv_turn,
     libuv_inside},
#endif
#ifdef DRYWIRE_BENCH_libevent
    {"libevent", libevent_open, libevent_close, libevent_arm, libevent_arm, libevent_cancel,
     libevent_turn, libevent_inside},
#endif
};

enum { LIBRARIES = sizeof(libraries) / sizeof(libraries[0]) };

static double results[LIBRARIES][STEPS][ROUNDS_MAX];

/* ---- The steps ---- */

static double per_call(uint64_t began) {
    return (double)(wall_ns() - began) / (double)calls;
}

static const struct library *measured;

static void schedule_all_later(void) {
    for (size_t i = 0; i < calls; i++) {
        measured->arm(i, LATER_US + delays[i]);
    }
}

static void move_all(void) {
    for (size_t i = 0; i < calls; i++) {
        measured->move(i, LATER_US + delays[calls - 1 - i]);
    }
}

static void cancel_all(void) {
    for (size_t i = 0; i < calls; i++) {
        measured->cancel(i);
    }
}

static void schedule_all_soon(void) {
    for (size_t i = 0; i < calls; i++) {
        measured->arm(i, SOON_US + delays[i]);
    }
}

static void schedule_all_now(void) {
    for (size_t i = 0; i < calls; i++) {
        measured->arm(i, 0);
    }
}

static double inside(void (*fn)(void)) {
    uint64_t began = wall_ns();
    measured->inside(fn);
    return per_call(began);
}

static double turn_until_fired(void) {
    uint64_t began = wall_ns();
    while (fired < calls) {
        measured->turn();
    }
    fired = 0;
    return per_call(began);
}

static size_t connections;
static uint64_t message_state;

static void open_connections(void) {
    for (size_t i = 0; i < connections; i++) {
        measured->arm(i, TIMEOUT_US);
    }
}

static void some_messages(void) {
    for (int i = 0; i < MESSAGES_A_TURN; i++) {
        size_t connection = random_next(&message_state) % connections;
        if (random_next(&message_state) % CLOSES_SHARE == 0) {
            measured->cancel(connection);
            measured->arm(connection, TIMEOUT_US);
        } else {
            measured->move(connection, TIMEOUT_US);
        }
    }
}

static void close_connections(void) {
    for (size_t i = 0; i < connections; i++) {
        measured->cancel(i);
    }
}

static double messages(void) {
    message_state = 2;
    connections = calls / CONNECTIONS_SHARE + 1;
    measured->inside(open_connections);
    uint64_t began = wall_ns();
    for (size_t i = 0; i < calls; i += MESSAGES_A_TURN) {
        measured->inside(some_messages);
    }
    double each = per_call(began);
    measured->inside(close_connections);
    return each;
}

static void measure(const struct library *lib, int round, double (*out)[ROUNDS_MAX]) {
    measured = lib;
    lib->open();
    lib->inside(schedule_all_later); /* so that all memory is there */
    lib->inside(cancel_all);
    lib->turn();
    out[SCHEDULE][round] = inside(schedule_all_later);
    out[RESET][round] = inside(move_all);
    out[CANCEL][round] = inside(cancel_all);
    lib->turn();
    lib->inside(schedule_all_soon);
    usleep(SOON_US + 200000); /* they all become due, and none has before */
    out[RUN][round] = turn_until_fired();
    out[NOW][round] = inside(schedule_all_now);
    out[NOW][round] += turn_until_fired();
    out[MESSAGES][round] = messages();
    lib->close();
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(int rounds) {
    printf("%-10s %14s %14s %14s %14s %14s %14s   ns each, median (least-most)\n", "", "schedule",
           "reset", "cancel", "run", "delay 0", "time-outs");
    for (int l = 0; l < LIBRARIES; l++) {
        printf("%-10s", libraries[l].name);
        for (int s = 0; s < STEPS; s++) {
            double *all = results[l][s];
            qsort(all, (size_t)rounds, sizeof(*all), compare);
            printf(" %4.0f (%3.0f-%3.0f)", all[rounds / 2], all[0], all[rounds - 1]);
        }
        printf("\n");
    }
}

int main(int argc, char **argv) {
    uint64_t count = 1000000, rounds = 3, state = 1;
    if ((argc > 1 && !parse_number(argv[1], &count)) ||
        (argc > 2 && !parse_number(argv[2], &rounds)) || count == 0 || rounds == 0 ||
        rounds > ROUNDS_MAX || argc > 3) {
        fprintf(stderr, "usage: timers [CALLS [ROUNDS]]\n");
        return 2;
    }
    calls = (size_t)count;
    delays = malloc(calls * sizeof(*delays));
    if (delays == NULL) {
        return 1;
    }
    for (size_t i = 0; i < calls; i++) {
        delays[i] = (uint32_t)(random_next(&state) % 100000);
    }
    for (int round = 0; round < (int)rounds; round++) {
        for (int l = 0; l < LIBRARIES; l++) {
            measure(&libraries[l], round, results[l]);
        }
    }
    report((int)rounds);
    free(delays);
    return 0;
}
