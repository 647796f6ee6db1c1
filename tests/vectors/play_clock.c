/* SPDX-License-Identifier: MIT */
/*
 * task.Clock and task.LoopingCall (vectors/README.md, 1.8) on core's delayed calls and looping
 * calls.
 *
 * A clock is played twice. First on a wire that wakes up late, as Twisted's clock does in each
 * advance: then all must be as recorded, `t` too. Then in own time, as Drywire's tests and
 * simulations run it: every call at its due time. There a callback's "in s seconds" begins earlier
 * than in Twisted, so what is left of the advance is added; the order must be the recorded one, and
 * each call must see its due time, or the instant that was reached if it was moved into the past.
 */
#include "rig.h"

#include "drywire/looping_call.h"

typedef struct named_call {
    struct named_call *next;
    player *player;
    const char *name;   /* the step's */
    const json_t *then; /* operations to run when it fires, or NULL */
    dw_delayed_call call;
    double due_s; /* exact */
} named_call;

/* ---- Clock ---- */

static named_call *find_call(player *p, const char *name) {
    for (named_call *c = p->object; c != NULL; c = c->next) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    player_trouble(p, "step %d: no call is named \"%s\"", (int)p->at, name);
    return NULL;
}

/* When "s seconds from now" is: in own time, from where Twisted's clock would stand. */
static double due_from_now(const player *p, double s) {
    bool inside = p->own_time && p->depth > 0;
    return (inside ? p->rig->end_s : p->rig->now_s) + s;
}

/* The calls that might as well run now: due at the same instant. */
static json_t *partners(const named_call *c) {
    json_t *names = json_array();
    for (const named_call *other = c->player->object; other != NULL; other = other->next) {
        if (dw_delayed_call_active(&other->call) &&
            dw_delayed_call_time(&other->call) == dw_delayed_call_time(&c->call)) {
            json_array_append_new(names, json_string(other->name));
        }
    }
    return names;
}

static void note_fire(const named_call *c) {
    player *p = c->player;
    json_t *event = json_pack("{s:s, s:s, s:f}", "ev", "fire", "name", c->name, "t", p->rig->now_s);
    if (p->own_time && event != NULL) {
        json_object_set_new(event, "with", partners(c));
    }
    player_note(p, event);
}

static void fired(void *user) {
    named_call *c = user;
    player *p = c->player;
    if (p->own_time && dw_delayed_call_time(&c->call) > p->rig->now) {
        player_trouble(p, "step %d: call \"%s\" ran before its due time", (int)p->at, c->name);
    }
    note_fire(c);
    size_t at;
    json_t *operation;
    p->depth++;
    json_array_foreach((json_t *)(uintptr_t)c->then, at, operation) {
        player_perform(p, operation);
    }
    p->depth--;
}

static void call_later(player *p, const json_t *args) {
    named_call *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        player_trouble(p, "out of memory");
        return;
    }
    c->player = p;
    c->name = arg_text(p, args, "name");
    c->then = json_object_get(args, "do");
    c->due_s = due_from_now(p, arg_number(p, args, "s"));
    c->next = p->object;
    p->object = c;
    dw_time delay = instant_of(c->due_s) - p->rig->now;
    dw_reactor_call_later(&p->rig->reactor, &c->call, delay, fired, c);
}

static void refused(player *p, const char *op, const char *name, int error) {
    const char *cls = error == DW_ALREADY_CALLED      ? "AlreadyCalled"
                      : error == DW_ALREADY_CANCELLED ? "AlreadyCancelled"
                                                      : dw_error_name(error);
    player_note(
        p, json_pack("{s:s, s:s, s:s, s:s}", "ev", "raised", "op", op, "name", name, "cls", cls));
}

static void move_call(player *p, named_call *c, const char *op, double s) {
    bool reset = strcmp(op, "reset") == 0;
    double due_s = reset ? due_from_now(p, s) : c->due_s + s;
    dw_time due = instant_of(due_s);
    int error = reset ? dw_delayed_call_reset(&c->call, due - p->rig->now)
                      : dw_delayed_call_delay(&c->call, due - dw_delayed_call_time(&c->call));
    if (error == 0) {
        c->due_s = due_s;
    } else {
        refused(p, op, c->name, error);
    }
}

static int in_due_order(const void *a, const void *b) {
    const named_call *x = *(named_call *const *)a, *y = *(named_call *const *)b;
    if (x->call.due_ != y->call.due_) {
        return x->call.due_ < y->call.due_ ? -1 : 1;
    }
    return x->call.sequence_ < y->call.sequence_ ? -1 : 1;
}

static void list_pending(player *p) {
    size_t count = 0;
    for (named_call *c = p->object; c != NULL; c = c->next) {
        count++;
    }
    named_call **calls = calloc(count + 1, sizeof(*calls));
    json_t *list = json_array();
    if (calls == NULL) {
        player_trouble(p, "out of memory");
        json_decref(list);
        return;
    }
    count = 0;
    for (named_call *c = p->object; c != NULL; c = c->next) {
        if (dw_delayed_call_active(&c->call)) {
            calls[count++] = c;
        }
    }
    qsort(calls, count, sizeof(*calls), in_due_order);
    for (size_t i = 0; i < count; i++) {
        double t = (double)dw_delayed_call_time(&calls[i]->call) / 1e9;
        json_array_append_new(list, json_pack("[s, f]", calls[i]->name, t));
    }
    free(calls);
    player_note(p, json_pack("{s:s, s:o}", "ev", "pending", "calls", list));
}

static void ask_call(player *p, named_call *c, const char *op) {
    if (strcmp(op, "active") == 0) {
        player_note(p, json_pack("{s:s, s:s, s:b}", "ev", op, "name", c->name, "value",
                                 (int)dw_delayed_call_active(&c->call)));
    } else {
        double t = (double)dw_delayed_call_time(&c->call) / 1e9;
        player_note(p, json_pack("{s:s, s:s, s:f}", "ev", op, "name", c->name, "t", t));
    }
}

static void perform_on_call(player *p, const char *op, const json_t *args) {
    named_call *c = find_call(p, arg_text(p, args, "name"));
    if (c == NULL) {
        return;
    }
    if (strcmp(op, "cancel") == 0) {
        int error = dw_delayed_call_cancel(&c->call);
        if (error != 0) {
            refused(p, op, c->name, error);
        }
    } else if (strcmp(op, "reset") == 0 || strcmp(op, "delay") == 0) {
        move_call(p, c, op, arg_number(p, args, "s"));
    } else {
        ask_call(p, c, op);
    }
}

static void clock_perform(player *p, const char *op, const json_t *args) {
    static const char *const on_calls[] = {"cancel", "reset", "delay", "active", "getTime"};
    if (strcmp(op, "callLater") == 0) {
        call_later(p, args);
    } else if (strcmp(op, "advance") == 0) {
        player_advance(p, args);
    } else if (strcmp(op, "pending") == 0) {
        list_pending(p);
    } else {
        for (size_t i = 0; i < sizeof(on_calls) / sizeof(on_calls[0]); i++) {
            if (strcmp(op, on_calls[i]) == 0) {
                perform_on_call(p, op, args);
                return;
            }
        }
        player_unknown(p, op);
    }
}

void play_clock(player *p, const char *protocol) {
    rig r;
    (void)protocol;
    rig_init(&r, p);
    p->perform = clock_perform;
    player_run(p);
    rig_fini(&r);
    while (p->object != NULL) {
        named_call *c = p->object;
        p->object = c->next;
        free(c);
    }
}

/* ---- Looping calls ---- */

typedef struct looping {
    dw_looping_call loop;
    player *player;
    json_int_t ticks;
} looping;

static bool tick_is(const player *p, const char *key, json_int_t n) {
    const json_t *at = json_object_get(p->config, key);
    return json_is_integer(at) && json_integer_value(at) == n;
}

static void stop(player *p) {
    looping *l = p->object;
    if (dw_looping_call_stop(&l->loop) != 0) {
        player_raised(p, "stop", "AssertionError");
    }
}

static void tick(void *user) {
    looping *l = user;
    player *p = l->player;
    json_int_t n = l->ticks++;
    player_note(p, json_pack("{s:s, s:I, s:f}", "ev", "tick", "n", n, "t", p->rig->now_s));
    if (tick_is(p, "slow_at", n)) {
        p->rig->now_s += json_number_value(json_object_get(p->config, "slow_s"));
        p->rig->now = instant_of(p->rig->now_s);
    }
    if (tick_is(p, "stop_at", n)) {
        stop(p);
    }
}

static void stopped(void *user) {
    looping *l = user;
    player_note(l->player, json_pack("{s:s}", "ev", "stopped"));
}

static void looping_perform(player *p, const char *op, const json_t *args) {
    looping *l = p->object;
    if (strcmp(op, "start") == 0) {
        dw_time interval = duration_of(arg_number(p, args, "interval"));
        bool now = json_is_true(json_object_get(args, "now"));
        int error = dw_looping_call_start(&l->loop, &p->rig->reactor, interval, now);
        if (error != 0) {
            player_raised(p, op, error == DW_INVALID_ARGUMENT ? "ValueError" : "AssertionError");
        }
    } else if (strcmp(op, "stop") == 0) {
        stop(p);
    } else if (strcmp(op, "reset") == 0) {
        if (dw_looping_call_reset(&l->loop) != 0) {
            player_raised(p, op, "AssertionError");
        }
    } else if (strcmp(op, "running") == 0) {
        player_note(
            p, json_pack("{s:s, s:b}", "ev", op, "value", (int)dw_looping_call_running(&l->loop)));
    } else if (strcmp(op, "advance") == 0) {
        rig_advance(p->rig, arg_number(p, args, "s"));
    } else {
        player_unknown(p, op);
    }
}

void play_looping_call(player *p, const char *protocol) {
    rig r;
    looping l = {.loop = {.tick = tick, .stopped = stopped, .user = &l}, .player = p};
    (void)protocol;
    rig_init(&r, p);
    p->object = &l;
    p->perform = looping_perform;
    player_run(p);
    rig_fini(&r);
}
