/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls, in order of (due time, sequence). Those with a delay are in a heap (timer_heap.h),
 * those without one in a plain queue. Arming never fails: when there is no memory for the heap, the
 * call waits in an unsorted list that is searched at each turn; slow, and only then.
 *
 * Invariant: `state_` says in which of the three a call is, and a call is pending if it is in one.
 */
#include "timer_heap.h"

enum { NEVER, IN_HEAP, IN_SOON, IN_SPARE, CALLED, CANCELLED };

/* So often is a real clock taken to stand still, within one callback. */
enum { CLOCK_TRUST = 64 };

/* ---- The queues ---- */

static void soon_add(struct dw_timers *timers, dw_delayed_call *call) {
    call->state_ = IN_SOON;
    call->next_ = NULL;
    call->previous_ = timers->soon_tail;
    if (timers->soon_tail != NULL) {
        timers->soon_tail->next_ = call;
    } else {
        timers->soon_head = call;
    }
    timers->soon_tail = call;
    timers->soon_count++;
}

static void soon_remove(struct dw_timers *timers, dw_delayed_call *call) {
    if (call->previous_ != NULL) {
        call->previous_->next_ = call->next_;
    } else {
        timers->soon_head = call->next_;
    }
    if (call->next_ != NULL) {
        call->next_->previous_ = call->previous_;
    } else {
        timers->soon_tail = call->previous_;
    }
    timers->soon_count--;
}

static void spare_add(struct dw_timers *timers, dw_delayed_call *call) {
    call->state_ = IN_SPARE;
    call->previous_ = NULL;
    call->next_ = timers->spare;
    if (timers->spare != NULL) {
        timers->spare->previous_ = call;
    }
    timers->spare = call;
    timers->spare_count++;
}

static void spare_remove(struct dw_timers *timers, dw_delayed_call *call) {
    if (call->previous_ != NULL) {
        call->previous_->next_ = call->next_;
    } else {
        timers->spare = call->next_;
    }
    if (call->next_ != NULL) {
        call->next_->previous_ = call->previous_;
    }
    timers->spare_count--;
}

static bool pending(const dw_delayed_call *call) {
    return call->state_ == IN_HEAP || call->state_ == IN_SOON || call->state_ == IN_SPARE;
}

static void take_out(dw_delayed_call *call) {
    struct dw_timers *timers = &call->reactor_->timers;
    if (call->state_ == IN_HEAP) {
        timer_heap_remove(timers, call);
    } else if (call->state_ == IN_SOON) {
        soon_remove(timers, call);
    } else {
        spare_remove(timers, call);
    }
}

/* Puts a call with its due time and sequence set where it belongs, and tells a wire that sleeps. */
static void put_in(dw_delayed_call *call, bool soon) {
    dw_reactor *reactor = call->reactor_;
    struct dw_timers *timers = &reactor->timers;
    if (soon) {
        soon_add(timers, call);
    } else if (dw_timer_heap_add(reactor, call)) {
        call->state_ = IN_HEAP;
    } else {
        spare_add(timers, call);
    }
    reactor_wake(reactor, call->due_);
}

/* ---- The clock ---- */

static bool has_real_clock(const dw_reactor *reactor) {
    return reactor->wire->wait != NULL && reactor->wire->wake == NULL;
}

DW_APART static void look_at_clock(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    timers->seen = reactor_now(reactor);
    timers->trust = reactor->looping && has_real_clock(reactor) ? CLOCK_TRUST : 0;
}

/* Looking at a real clock costs more than all the rest. So inside the loop it is looked at anew in
 * each callback, and in one that arms many calls now and then. */
static inline dw_time clock_seen(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    if (timers->trust == 0) {
        look_at_clock(reactor);
    } else {
        timers->trust--;
    }
    return timers->seen;
}

dw_time dw_timers_clock(dw_reactor *reactor) {
    return clock_seen(reactor);
}

/* A call without a delay has nothing to compare its time with while all others have none either;
 * then the time when the clock was last looked at does as well. */
static dw_time due_after(dw_reactor *reactor, dw_time delay) {
    const struct dw_timers *timers = &reactor->timers;
    if (delay == 0 && timer_heap_count(timers) == 0 && timers->spare == NULL &&
        reactor->aborted_head == NULL && has_real_clock(reactor)) {
        return timers->seen;
    }
    dw_time now = clock_seen(reactor);
    return delay < DW_TIME_MAX - now ? now + delay : DW_TIME_MAX;
}

/* ---- Verbs ---- */

static void move_to(dw_delayed_call *call, dw_time due, bool soon) {
    struct dw_timers *timers = &call->reactor_->timers;
    bool stays = call->state_ == IN_HEAP && !soon;
    bool later = due >= call->due_;
    if (!stays) {
        take_out(call);
    }
    call->due_ = due;
    call->sequence_ = ++timers->sequence;
    if (stays) {
        dw_timer_heap_move(timers, call, later);
        reactor_wake(call->reactor_, due);
    } else {
        put_in(call, soon);
    }
}

void dw_reactor_call_later_at(dw_reactor *reactor, dw_delayed_call *call, dw_time delay,
                              dw_delayed_fn fn, void *user, const char *where) {
    if (delay < 0) {
        dw_contract(reactor, false, "contract", "call_later with a negative delay");
        delay = 0;
    }
    if (pending(call) && call->reactor_ != reactor) {
        take_out(call);
        call->state_ = CANCELLED;
    }
    dw_time due = due_after(reactor, delay);
    call->fn_ = fn;
    call->user_ = user;
    call->reactor_ = reactor;
    call->where_ = where;
    if (pending(call)) {
        move_to(call, due, delay == 0);
    } else {
        call->due_ = due;
        call->sequence_ = ++reactor->timers.sequence;
        put_in(call, delay == 0);
    }
}

static int not_pending(const dw_delayed_call *call) {
    return call->state_ == CANCELLED ? DW_ALREADY_CANCELLED : DW_ALREADY_CALLED;
}

int dw_delayed_call_cancel(dw_delayed_call *call) {
    if (!pending(call)) {
        return not_pending(call);
    }
    take_out(call);
    call->state_ = CANCELLED;
    return 0;
}

/* time + delay, as far as there is time. */
static dw_time time_after(dw_time time, dw_time delay) {
    if (delay > 0) {
        return time > DW_TIME_MAX - delay ? DW_TIME_MAX : time + delay;
    }
    return time < INT64_MIN - delay ? INT64_MIN : time + delay;
}

int dw_delayed_call_reset(dw_delayed_call *call, dw_time delay) {
    if (!pending(call)) {
        return not_pending(call);
    }
    if (delay < 0) {
        dw_contract(call->reactor_, false, "contract", "reset with a negative delay");
        delay = 0;
    }
    move_to(call, time_after(clock_seen(call->reactor_), delay), delay == 0);
    return 0;
}

int dw_delayed_call_delay(dw_delayed_call *call, dw_time delay) {
    if (!pending(call)) {
        return not_pending(call);
    }
    move_to(call, time_after(call->due_, delay), false);
    return 0;
}

bool dw_delayed_call_active(const dw_delayed_call *call) {
    return pending(call);
}

dw_time dw_delayed_call_time(const dw_delayed_call *call) {
    return call->due_;
}

/* The next call by (due, sequence), or NULL. Of the queue without delays only what was armed up to
 * `limit` counts: the rest waits for a later turn (vectors/README.md, section 4: 14). */
static inline dw_delayed_call *next_call(struct dw_timers *timers, uint64_t limit) {
    dw_delayed_call *best = timer_heap_first(timers);
    dw_delayed_call *soon = timers->soon_head;
    if (soon != NULL && soon->sequence_ <= limit &&
        (best == NULL || timer_before(soon->due_, soon->sequence_, best->due_, best->sequence_))) {
        best = soon;
    }
    for (dw_delayed_call *call = timers->spare; call != NULL; call = call->next_) {
        if (best == NULL ||
            timer_before(call->due_, call->sequence_, best->due_, best->sequence_)) {
            best = call;
        }
    }
    return best;
}

static void run_call(dw_reactor *reactor, dw_delayed_call *call) {
    take_out(call);
    call->state_ = CALLED;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_CALL, NULL, 0, call->where_, strlen(call->where_));
    }
    call->fn_(call->user_);
    dw_reactor_flush(reactor);
}

void dw_timers_run(dw_reactor *reactor, dw_time now) {
    uint64_t limit = reactor->timers.sequence;
    reactor->timers.seen = now;
    for (;;) {
        dw_delayed_call *call = next_call(&reactor->timers, limit);
        if (call != NULL && call->due_ > now) {
            call = NULL;
        }
        dw_transport *aborted = reactor->aborted_head;
        if (aborted != NULL && aborted->aborted.sequence <= limit &&
            (call == NULL || timer_before(aborted->aborted.at, aborted->aborted.sequence,
                                          call->due_, call->sequence_))) {
            dw_stream_abort_now(aborted);
            dw_reactor_flush(reactor);
        } else if (call != NULL) {
            run_call(reactor, call);
        } else {
            return;
        }
    }
}

/* Asking changes how the calls lie in memory, and nothing that anybody could tell. */
static dw_delayed_call *next_of(const dw_reactor *reactor) {
    return next_call((struct dw_timers *)(uintptr_t)&reactor->timers, UINT64_MAX);
}

dw_time dw_timers_next_due(const dw_reactor *reactor) {
    dw_delayed_call *call = next_of(reactor);
    dw_time due = call != NULL ? call->due_ : DW_TIME_MAX;
    dw_transport *aborted = reactor->aborted_head;
    return aborted != NULL && aborted->aborted.at < due ? aborted->aborted.at : due;
}

const char *dw_reactor_pending_call(const dw_reactor *reactor) {
    const dw_delayed_call *call = next_of(reactor);
    return call != NULL ? call->where_ : NULL;
}

static void consider(const dw_delayed_call **best, const dw_delayed_call *last,
                     const dw_delayed_call *call) {
    bool after =
        last == NULL || timer_before(last->due_, last->sequence_, call->due_, call->sequence_);
    if (after && (*best == NULL ||
                  timer_before(call->due_, call->sequence_, (*best)->due_, (*best)->sequence_))) {
        *best = call;
    }
}

/* The one behind `last` (NULL: the first) of all that are pending, wherever they are. */
static const dw_delayed_call *call_behind(const struct dw_timers *timers,
                                          const dw_delayed_call *last) {
    const dw_delayed_call *best = NULL;
    for (uint32_t i = 0; i < timers->count; i++) {
        const dw_delayed_call *call = timer_node_call(&timers->heap[i]);
        if (call != NULL) {
            consider(&best, last, call);
        }
    }
    for (const dw_delayed_call *call = timers->soon_head; call != NULL; call = call->next_) {
        consider(&best, last, call);
    }
    for (const dw_delayed_call *call = timers->spare; call != NULL; call = call->next_) {
        consider(&best, last, call);
    }
    return best;
}

size_t dw_reactor_pending_calls(const dw_reactor *reactor, dw_pending_call *out, size_t max) {
    const dw_delayed_call *call = NULL;
    size_t count = 0;
    while (count < max && (call = call_behind(&reactor->timers, call)) != NULL) {
        out[count++] = (dw_pending_call){call->where_, call->due_};
    }
    return count;
}

size_t dw_timers_count(const dw_reactor *reactor) {
    const struct dw_timers *timers = &reactor->timers;
    return timer_heap_count(timers) + timers->soon_count + timers->spare_count;
}

void dw_timers_fini(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    while (timers->soon_head != NULL) {
        dw_delayed_call_cancel(timers->soon_head);
    }
    while (timers->spare != NULL) {
        dw_delayed_call_cancel(timers->spare);
    }
    for (uint32_t i = 0; i < timers->count; i++) {
        dw_delayed_call *call = timer_node_call(&timers->heap[i]);
        if (call != NULL) {
            call->state_ = CANCELLED;
        }
    }
    dw_timer_heap_free(reactor);
}
