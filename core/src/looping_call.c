/* SPDX-License-Identifier: MIT */
/*
 * Looping calls: one delayed call that is armed anew after each tick, for the next point of the
 * grid after now. A tick may stop the loop and start it again; that an end is still to be reported
 * when it has returned is kept apart (`ended_`) from whether the loop runs.
 */
#include "drywire/looping_call.h"

#include "internal.h"

static void loop_call(void *user);

/* The grid is counted from where it began, so rounding never adds up. */
static dw_time until_next(const dw_looping_call *loop, dw_time now) {
    if (loop->interval_ == 0) {
        return 0;
    }
    return loop->interval_ - (now - loop->grid_) % loop->interval_;
}

static void schedule(dw_looping_call *loop) {
    dw_time delay = until_next(loop, dw_reactor_now(loop->reactor_));
    dw_reactor_call_later_at(loop->reactor_, &loop->call_, delay, loop_call, loop, loop->where_);
}

static void tell_stopped(const dw_looping_call *loop) {
    if (loop->stopped != NULL) {
        loop->stopped(loop->user);
    }
}

/* A reset that moves the grid behind the last tick makes that tick the grid's beginning. */
static void count_ticks(dw_looping_call *loop) {
    dw_time now = dw_reactor_now(loop->reactor_);
    dw_time from = loop->last_ > loop->grid_ ? loop->last_ : loop->grid_;
    loop->count_ = 1;
    if (loop->interval_ > 0 && now > loop->grid_) {
        dw_time since = now - loop->grid_, before = from - loop->grid_;
        loop->count_ = (uint64_t)(since / loop->interval_ - before / loop->interval_);
    }
    loop->last_ = now;
}

static void loop_call(void *user) {
    dw_looping_call *loop = user;
    count_ticks(loop);
    loop->ticking_ = true;
    loop->tick(loop->user);
    loop->ticking_ = false;
    if (loop->running_ && !dw_delayed_call_active(&loop->call_)) {
        schedule(loop);
    }
    if (loop->ended_) {
        loop->ended_ = false;
        tell_stopped(loop);
    }
}

int dw_looping_call_start_at(dw_looping_call *loop, dw_reactor *reactor, dw_time interval, bool now,
                             const char *where) {
    if (interval < 0) {
        return DW_INVALID_ARGUMENT;
    }
    if (loop->running_) {
        return DW_ALREADY_RUNNING;
    }
    loop->running_ = true;
    loop->reactor_ = reactor;
    loop->where_ = where;
    loop->interval_ = interval;
    loop->grid_ = loop->last_ = dw_reactor_now(reactor);
    if (!now) {
        schedule(loop);
    } else if (loop->ticking_) {
        dw_reactor_call_later_at(reactor, &loop->call_, 0, loop_call, loop, where);
    } else {
        loop_call(loop);
    }
    return 0;
}

int dw_looping_call_stop(dw_looping_call *loop) {
    if (!loop->running_) {
        return DW_NOT_RUNNING;
    }
    loop->running_ = false;
    dw_delayed_call_cancel(&loop->call_);
    if (loop->ticking_) {
        loop->ended_ = true;
    } else {
        tell_stopped(loop);
    }
    return 0;
}

int dw_looping_call_reset(dw_looping_call *loop) {
    if (!loop->running_) {
        return DW_NOT_RUNNING;
    }
    loop->grid_ = dw_reactor_now(loop->reactor_);
    schedule(loop);
    return 0;
}

bool dw_looping_call_running(const dw_looping_call *loop) {
    return loop->running_;
}

uint64_t dw_looping_call_count(const dw_looping_call *loop) {
    return loop->count_;
}
