/* SPDX-License-Identifier: MIT */
/*
 * Timers, marks and exceptions of a script, and Twisted's names for our errors and reasons.
 */
#include "lifecycle.h"

/* ---- Names ---- */

static const struct {
    int error;
    const char *cls;
} classes[] = {
    {DW_NOT_CONNECTING, "NotConnectingError"},
    {DW_NOT_DISCONNECTED, "RuntimeError"},
    {DW_PRODUCER_REGISTERED, "RuntimeError"},
    {DW_ALREADY_CONNECTED, "RuntimeError"},
    {DW_ALREADY_CALLED, "AlreadyCalled"},
    {DW_ALREADY_CANCELLED, "AlreadyCancelled"},
    {DW_NOT_RUNNING, "ReactorNotRunning"},
    {DW_CANNOT_LISTEN, "CannotListenError"},
    {DW_INVALID_ADDRESS, "InvalidAddressError"},
    {DW_INVALID_ARGUMENT, "AssertionError"},
    {DW_MESSAGE_TOO_LONG, "MessageLengthError"},
    {DW_PROCESS_EXITED_ALREADY, "ProcessExitedAlready"},
    {DW_NOT_LISTENING, "AttributeError"}, /* Twisted's port has no socket any more */
    {DW_NOT_CONNECTED, "AttributeError"},
};

const char *error_class(const char *op, int error) {
    (void)op;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].error == error) {
            return classes[i].cls;
        }
    }
    return dw_error_name(error);
}

/* "ConnectError (any other)": README, 2.3. */
const char *reason_class(const dw_reason *reason) {
    switch (reason->kind) {
    case DW_APP_ERROR:
        return "AppError";
    case DW_PROCESS_DONE:
        return "ProcessDone";
    case DW_PROCESS_TERMINATED:
        return "ProcessTerminated";
    case DW_NO_ROUTE:
    case DW_TCP_TIMED_OUT:
        return "ConnectError";
    default:
        return reason_name(reason->kind);
    }
}

/* ---- Timers ---- */

timer *timer_new(const context *ctx, const json_t *args, const char *name) {
    timer *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        side_trouble(ctx->s, "out of memory");
        return NULL;
    }
    t->ctx = *ctx;
    t->ctx.payload = NULL;
    t->ctx.sender = NULL;
    t->args = args;
    t->name = name;
    t->operations = json_object_get(args, "do");
    t->next = ctx->s->timers;
    ctx->s->timers = t;
    return t;
}

bool side_waits(const side *s) {
    for (const timer *t = s->timers; t != NULL; t = t->next) {
        if (dw_delayed_call_active(&t->call)) {
            return true;
        }
    }
    return false;
}

static void fire(timer *t) {
    if (side_note(&t->ctx, json_pack("{s:s, s:s}", "ev", "fire", "name", t->name))) {
        side_perform(&t->ctx, t->operations);
    }
}

static void pass(timer *t) {
    atomic_fetch_add(&t->ctx.s->activity, 1);
    side_perform(&t->ctx, t->operations);
}

static void due(void *user) {
    timer *t = user;
    t->run(t);
    side_caught(t->ctx.s);
}

/* A negative delay is a broken contract: recorded as what it is in Twisted. */
static void arm(const context *ctx, const json_t *args, const char *name, void (*run)(timer *t)) {
    timer *t = timer_new(ctx, args, name);
    if (t == NULL) {
        return;
    }
    t->run = run;
    contract_expect();
    dw_reactor_call_later(ctx->s->reactor, &t->call, op_time(ctx, args), due, t);
    if (contract_broken()) {
        dw_delayed_call_cancel(&t->call);
        side_raise_from(ctx, args, "AssertionError");
    }
}

static void later_op(const context *ctx, const json_t *args) {
    arm(ctx, args, "", pass);
}

static void call_later_op(const context *ctx, const json_t *args) {
    arm(ctx, args, op_text(ctx, args, "name", NULL), fire);
}

static timer *named(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "name", NULL);
    for (timer *t = ctx->s->timers; t != NULL; t = t->next) {
        if (t->run == fire && strcmp(t->name, name) == 0) {
            return t;
        }
    }
    side_raise_from(ctx, args, "KeyError"); /* there is none of that name yet */
    return NULL;
}

static void cancel_op(const context *ctx, const json_t *args) {
    timer *t = named(ctx, args);
    if (t != NULL) {
        side_result(ctx, args, dw_delayed_call_cancel(&t->call));
    }
}

static void reset_op(const context *ctx, const json_t *args) {
    timer *t = named(ctx, args);
    if (t != NULL) {
        side_result(ctx, args, dw_delayed_call_reset(&t->call, op_time(ctx, args)));
    }
}

static void delay_op(const context *ctx, const json_t *args) {
    timer *t = named(ctx, args);
    if (t != NULL) {
        side_result(ctx, args, dw_delayed_call_delay(&t->call, op_time(ctx, args)));
    }
}

static void active_op(const context *ctx, const json_t *args) {
    timer *t = named(ctx, args);
    if (t != NULL) {
        side_note(ctx, json_pack("{s:s, s:s, s:s, s:b}", "ev", "value", "of", "active", "name",
                                 t->name, "value", dw_delayed_call_active(&t->call)));
    }
}

/* ---- Without a connection ---- */

static void busy_op(const context *ctx, const json_t *args) {
    ctx->s->p->b->busy(ctx->s, (double)op_time(ctx, args) / 1e9);
}

static void mark_op(const context *ctx, const json_t *args) {
    side_note(ctx, json_pack("{s:s, s:s}", "ev", "mark", "text", op_text(ctx, args, "text", NULL)));
}

static void raise_op(const context *ctx, const json_t *args) {
    (void)args;
    ctx->s->raised = true;
}

const operation clock_operations[] = {
    {"later", later_op},   {"callLater", call_later_op},
    {"cancel", cancel_op}, {"reset", reset_op},
    {"delay", delay_op},   {"active", active_op},
    {"busy", busy_op},     {"mark", mark_op},
    {"raise", raise_op},   {NULL, NULL},
};
