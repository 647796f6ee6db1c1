/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls, in order of (due time, sequence). A 4-ary heap with the keys inline holds those
 * with a delay, a plain queue those without one. Arming never fails: when the heap cannot grow, the
 * call waits in an unsorted list that is searched at each turn; slow, and only then.
 */
#include "internal.h"

enum { NEVER, IN_HEAP, IN_SOON, IN_SPARE, CALLED, CANCELLED };
enum { ARITY = 4, HEAP_FIRST = 16 };

typedef struct dw_timer_key {
    dw_time due;
    uint64_t sequence;
    dw_delayed_call *call;
} dw_timer_key;

const char dw_where_timers[] = "the heap of delayed calls";

static bool before(dw_time due, uint64_t sequence, dw_time other_due, uint64_t other_sequence) {
    return due < other_due || (due == other_due && sequence < other_sequence);
}

static bool key_before(const dw_timer_key *a, const dw_timer_key *b) {
    return before(a->due, a->sequence, b->due, b->sequence);
}

static void heap_put(struct dw_timers *timers, uint32_t place, dw_timer_key key) {
    timers->heap[place] = key;
    key.call->place_ = place;
}

static void heap_up(struct dw_timers *timers, uint32_t place, dw_timer_key key) {
    while (place > 0) {
        uint32_t parent = (place - 1) / ARITY;
        if (!key_before(&key, &timers->heap[parent])) {
            break;
        }
        heap_put(timers, place, timers->heap[parent]);
        place = parent;
    }
    heap_put(timers, place, key);
}

static void heap_down(struct dw_timers *timers, uint32_t place, dw_timer_key key) {
    for (;;) {
        uint32_t child = place * ARITY + 1;
        if (child >= timers->count) {
            break;
        }
        uint32_t last = child + ARITY <= timers->count ? child + ARITY : timers->count;
        uint32_t least = child;
        for (uint32_t i = child + 1; i < last; i++) {
            if (key_before(&timers->heap[i], &timers->heap[least])) {
                least = i;
            }
        }
        if (!key_before(&timers->heap[least], &key)) {
            break;
        }
        heap_put(timers, place, timers->heap[least]);
        place = least;
    }
    heap_put(timers, place, key);
}

static bool heap_reserve(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    if (timers->count < timers->room) {
        return true;
    }
    uint32_t room = timers->room > 0 ? timers->room * 2 : HEAP_FIRST;
    dw_timer_key *heap = dw_resize_at(reactor, timers->heap, room * sizeof(*heap), dw_where_timers);
    if (heap == NULL) {
        return false;
    }
    timers->heap = heap;
    timers->room = room;
    return true;
}

/* The key takes this place, or the one near it where it belongs. */
static void heap_settle(struct dw_timers *timers, uint32_t place, dw_timer_key key) {
    if (place > 0 && key_before(&key, &timers->heap[(place - 1) / ARITY])) {
        heap_up(timers, place, key);
    } else {
        heap_down(timers, place, key);
    }
}

static void heap_remove(struct dw_timers *timers, uint32_t place) {
    timers->count--;
    if (place < timers->count) {
        heap_settle(timers, place, timers->heap[timers->count]);
    }
}

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
        heap_remove(timers, call->place_);
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
    dw_timer_key key = {call->due_, call->sequence_, call};
    if (soon) {
        soon_add(timers, call);
    } else if (heap_reserve(reactor)) {
        call->state_ = IN_HEAP;
        timers->count++;
        heap_up(timers, timers->count - 1, key);
    } else {
        spare_add(timers, call);
    }
    reactor_wake(reactor, call->due_);
}

/* A call without a delay has nothing to compare its time with while all others have none either;
 * then the time when the clock was last looked at does as well, on a wire with a real clock, where
 * looking costs more than all the rest. */
static dw_time due_after(dw_reactor *reactor, dw_time delay) {
    struct dw_timers *timers = &reactor->timers;
    bool real_clock = reactor->wire->wait != NULL && reactor->wire->wake == NULL;
    if (delay == 0 && real_clock && timers->count == 0 && timers->spare == NULL &&
        reactor->aborted_head == NULL) {
        return timers->seen;
    }
    timers->seen = reactor_now(reactor);
    return delay < DW_TIME_MAX - timers->seen ? timers->seen + delay : DW_TIME_MAX;
}

void dw_reactor_call_later_at(dw_reactor *reactor, dw_delayed_call *call, dw_time delay,
                              dw_delayed_fn fn, void *user, const char *where) {
    if (!dw_contract(reactor, delay >= 0, "contract", "call_later with a negative delay")) {
        delay = 0;
    }
    if (pending(call)) {
        take_out(call);
    }
    call->fn_ = fn;
    call->user_ = user;
    call->reactor_ = reactor;
    call->where_ = where;
    call->due_ = due_after(reactor, delay);
    call->sequence_ = ++reactor->timers.sequence;
    put_in(call, delay == 0);
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

static void move_to(dw_delayed_call *call, dw_time due, bool soon) {
    struct dw_timers *timers = &call->reactor_->timers;
    bool stays = call->state_ == IN_HEAP && !soon;
    if (!stays) {
        take_out(call);
    }
    call->due_ = due;
    call->sequence_ = ++timers->sequence;
    if (stays) {
        heap_settle(timers, call->place_, (dw_timer_key){due, call->sequence_, call});
        reactor_wake(call->reactor_, due);
    } else {
        put_in(call, soon);
    }
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
    if (!dw_contract(call->reactor_, delay >= 0, "contract", "reset with a negative delay")) {
        delay = 0;
    }
    move_to(call, time_after(reactor_now(call->reactor_), delay), delay == 0);
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
static dw_delayed_call *next_call(const struct dw_timers *timers, uint64_t limit) {
    dw_delayed_call *best = timers->count > 0 ? timers->heap[0].call : NULL;
    dw_delayed_call *soon = timers->soon_head;
    if (soon != NULL && soon->sequence_ <= limit &&
        (best == NULL || before(soon->due_, soon->sequence_, best->due_, best->sequence_))) {
        best = soon;
    }
    for (dw_delayed_call *call = timers->spare; call != NULL; call = call->next_) {
        if (best == NULL || before(call->due_, call->sequence_, best->due_, best->sequence_)) {
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
            (call == NULL ||
             before(aborted->aborted.at, aborted->aborted.sequence, call->due_, call->sequence_))) {
            dw_stream_abort_now(aborted);
            dw_reactor_flush(reactor);
        } else if (call != NULL) {
            run_call(reactor, call);
        } else {
            return;
        }
    }
}

dw_time dw_timers_next_due(const dw_reactor *reactor) {
    dw_delayed_call *call = next_call(&reactor->timers, UINT64_MAX);
    dw_time due = call != NULL ? call->due_ : DW_TIME_MAX;
    dw_transport *aborted = reactor->aborted_head;
    return aborted != NULL && aborted->aborted.at < due ? aborted->aborted.at : due;
}

const char *dw_reactor_pending_call(const dw_reactor *reactor) {
    const dw_delayed_call *call = next_call(&reactor->timers, UINT64_MAX);
    return call != NULL ? call->where_ : NULL;
}

static void consider(const dw_delayed_call **best, const dw_delayed_call *last,
                     const dw_delayed_call *call) {
    bool after = last == NULL || before(last->due_, last->sequence_, call->due_, call->sequence_);
    if (after &&
        (*best == NULL || before(call->due_, call->sequence_, (*best)->due_, (*best)->sequence_))) {
        *best = call;
    }
}

/* The one behind `last` (NULL: the first) of all that are pending, wherever they are. */
static const dw_delayed_call *call_behind(const struct dw_timers *timers,
                                          const dw_delayed_call *last) {
    const dw_delayed_call *best = NULL;
    for (uint32_t i = 0; i < timers->count; i++) {
        consider(&best, last, timers->heap[i].call);
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
    return timers->count + timers->soon_count + timers->spare_count;
}

void dw_timers_fini(dw_reactor *reactor) {
    struct dw_timers *timers = &reactor->timers;
    while (timers->soon_head != NULL) {
        dw_delayed_call_cancel(timers->soon_head);
    }
    while (timers->spare != NULL) {
        dw_delayed_call_cancel(timers->spare);
    }
    while (timers->count > 0) {
        dw_delayed_call_cancel(timers->heap[timers->count - 1].call);
    }
    dw_free(reactor, timers->heap);
    timers->heap = NULL;
    timers->room = 0;
}
