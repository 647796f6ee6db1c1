/* SPDX-License-Identifier: MIT */
/*
 * The reactor of a side: its start and its end, triggers, calls from threads, broken contracts.
 */
#include "lifecycle.h"

#include <signal.h>
#include <unistd.h>

/* ---- Contracts ---- */

static _Thread_local side *watched;
static _Thread_local bool expected, broken;

static void violation(dw_reactor *reactor, const char *oracle, const char *message) {
    (void)reactor;
    if (expected) {
        broken = true;
    } else {
        side_trouble(watched, "broken contract (%s): %s", oracle, message);
    }
}

void contract_expect(void) {
    expected = true;
    broken = false;
}

bool contract_broken(void) {
    expected = false;
    return broken;
}

void side_watch_contracts(side *s) {
    dw_wire *wire = malloc(sizeof(*wire));
    if (wire == NULL) {
        side_trouble(s, "out of memory");
        return;
    }
    *wire = *s->reactor->wire;
    wire->violation = violation;
    s->reactor->wire = wire;
}

/* ---- Start and end ---- */

static void begin(void *user) {
    side *s = user;
    watched = s;
    s->begun = true;
    side_perform(&(context){.s = s}, json_object_get(s->script, "start"));
    side_caught(s);
    atomic_store(&s->ready, true);
}

static void quiet(void *user, const char *line) {
    (void)user;
    (void)line; /* `logged` is optional */
}

void side_prepare(side *s) {
    watched = s;
    side_watch_contracts(s);
    dw_reactor_set_log(s->reactor, quiet, s);
    s->half_close = op_flag(s->script, "halfclose");
    s->dispatch = op_flag(s->script, "dispatch");
    side_perform(&(context){.s = s}, json_object_get(s->script, "before_run"));
    side_caught(s);
    dw_reactor_call_when_running(s->reactor, &s->start, begin, s);
}

void side_returned(side *s) {
    if (!s->returned) {
        s->returned = true;
        side_note(&(context){.s = s}, json_pack("{s:s}", "ev", "reactor.run returned"));
    }
}

/* ---- Triggers ---- */

static void note_named(timer *t, const char *event) {
    side_note(&t->ctx, json_pack("{s:s, s:s}", "ev", event, "name", t->name));
}

static void released(void *user) {
    timer *t = user;
    note_named(t, "released");
    side_caught(t->ctx.s);
    dw_trigger_release(&t->trigger);
}

static void triggered(void *user) {
    timer *t = user;
    side *s = t->ctx.s;
    note_named(t, "trigger");
    if (!s->raised) {
        side_perform(&t->ctx, t->operations);
    }
    const json_t *wait = json_object_get(t->args, "wait");
    if (!side_caught(s) && json_is_number(wait)) {
        if (t->trigger.phase_ == DW_BEFORE_SHUTDOWN) {
            dw_trigger_hold(&t->trigger);
        }
        dw_reactor_call_later(s->reactor, &t->call, (dw_time)(json_number_value(wait) * 1e9),
                              released, t);
    }
}

static bool phase_of(const context *ctx, const json_t *args, dw_phase *out) {
    static const struct {
        const char *phase, *event;
        dw_phase is;
    } phases[] = {
        {"before", "startup", DW_BEFORE_STARTUP},   {"during", "startup", DW_DURING_STARTUP},
        {"after", "startup", DW_AFTER_STARTUP},     {"before", "shutdown", DW_BEFORE_SHUTDOWN},
        {"during", "shutdown", DW_DURING_SHUTDOWN}, {"after", "shutdown", DW_AFTER_SHUTDOWN}};
    const char *phase = op_text(ctx, args, "phase", "before");
    const char *event = op_text(ctx, args, "event", "shutdown");
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        if (strcmp(phases[i].phase, phase) == 0 && strcmp(phases[i].event, event) == 0) {
            *out = phases[i].is;
            return true;
        }
    }
    side_trouble(ctx->s, "unknown phase \"%s %s\"", phase, event);
    return false;
}

static void trigger_op(const context *ctx, const json_t *args) {
    dw_phase phase;
    timer *t =
        phase_of(ctx, args, &phase) ? timer_new(ctx, args, op_text(ctx, args, "name", NULL)) : NULL;
    if (t != NULL) {
        t->is_trigger = true;
        dw_reactor_add_trigger(ctx->s->reactor, &t->trigger, phase, triggered, t);
    }
}

static void remove_trigger_op(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "name", NULL);
    for (timer *t = ctx->s->timers; t != NULL; t = t->next) {
        if (t->is_trigger && strcmp(t->name, name) == 0) {
            dw_trigger_remove(&t->trigger);
            return;
        }
    }
    side_trouble(ctx->s, "there is no trigger \"%s\"", name);
}

/* ---- Calls ---- */

/* The end of a host runs what calls are left when its reactor has stopped, as dw_reactor_free does:
 * by then run has returned. */
static bool left_over(const side *s) {
    return s->p->b->dry && s->stop_asked && !dw_reactor_running(s->reactor);
}

static void called(void *user) {
    timer *t = user;
    if (left_over(t->ctx.s)) {
        return;
    }
    note_named(t, "fire");
    if (!t->ctx.s->raised) {
        side_perform(&t->ctx, t->operations);
    }
    side_caught(t->ctx.s);
}

static void when_running_op(const context *ctx, const json_t *args) {
    timer *t = timer_new(ctx, args, op_text(ctx, args, "name", NULL));
    if (t != NULL) {
        dw_reactor_call_when_running(ctx->s->reactor, &t->trigger, called, t);
    }
}

static void call_from_thread_op(const context *ctx, const json_t *args) {
    timer *t = timer_new(ctx, args, op_text(ctx, args, "name", NULL));
    if (t != NULL) {
        dw_reactor_call_from_thread(ctx->s->reactor, &t->from_thread, called, t);
    }
}

typedef struct thread {
    side *s;
    pthread_t reactors; /* the thread that the calls must come on */
    timer **calls;
    size_t count;
} thread;

static void from_thread(void *user) {
    timer *t = user;
    const thread *from = t->thread;
    side_note(&t->ctx,
              json_pack("{s:s, s:s, s:b}", "ev", "fromThread", "name", t->name, "in_reactor_thread",
                        pthread_equal(from->reactors, pthread_self())));
    side_caught(t->ctx.s);
    atomic_fetch_sub(&t->ctx.s->threads, 1);
}

static void *make_calls(void *user) {
    thread *from = user;
    for (size_t i = 0; i < from->count; i++) {
        dw_reactor_call_from_thread(from->s->reactor, &from->calls[i]->from_thread, from_thread,
                                    from->calls[i]);
    }
    return NULL;
}

/* All is prepared here, so that the thread allocates nothing and touches no script. */
static void from_thread_op(const context *ctx, const json_t *args) {
    const json_t *names = json_object_get(args, "names");
    thread *from = calloc(1, sizeof(*from));
    pthread_t id;
    if (from == NULL || ctx->s->p->b->dry) {
        side_missing(ctx->s, "calls from threads on a backend without threads");
        return;
    }
    *from = (thread){.s = ctx->s,
                     .reactors = pthread_self(),
                     .calls = calloc(json_array_size(names) + 1, sizeof(timer *)),
                     .count = json_array_size(names)};
    for (size_t i = 0; i < from->count; i++) {
        from->calls[i] = timer_new(ctx, args, json_string_value(json_array_get(names, i)));
        from->calls[i]->thread = from;
        from->calls[i]->name = from->calls[i]->name != NULL ? from->calls[i]->name : "?";
    }
    atomic_fetch_add(&ctx->s->threads, (unsigned)from->count);
    if (pthread_create(&id, NULL, make_calls, from) != 0) {
        side_trouble(ctx->s, "no thread");
        return;
    }
    pthread_detach(id);
}

static void running_op(const context *ctx, const json_t *args) {
    (void)args;
    side_note(ctx, json_pack("{s:s, s:s, s:b}", "ev", "value", "of", "running", "value",
                             dw_reactor_running(ctx->s->reactor)));
}

static void stop_op(const context *ctx, const json_t *args) {
    int result = dw_reactor_stop(ctx->s->reactor);
    ctx->s->stop_asked = ctx->s->stop_asked || result == 0;
    side_result(ctx, args, result);
}

static void kill_op(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "sig", op_text(ctx, args, "signal", "TERM"));
    if (ctx->s->p->b->dry) {
        side_missing(ctx->s, "a signal, on a backend that is no process of its own");
        return;
    }
    ctx->s->stop_asked = true;
    if (strcmp(name, "TERM") == 0 || strcmp(name, "SIGTERM") == 0) {
        kill(getpid(), SIGTERM);
    } else if (strcmp(name, "INT") == 0 || strcmp(name, "SIGINT") == 0) {
        kill(getpid(), SIGINT);
    } else {
        side_trouble(ctx->s, "kill_self with the unknown signal \"%s\"", name);
    }
}

const operation reactor_operations[] = {
    {"trigger", trigger_op},
    {"removeTrigger", remove_trigger_op},
    {"callWhenRunning", when_running_op},
    {"callFromThread", call_from_thread_op},
    {"fromThread", from_thread_op},
    {"running", running_op},
    {"stop", stop_op},
    {"kill_self", kill_op},
    {NULL, NULL},
};
